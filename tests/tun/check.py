"""Linux's TCP against ours: `drywire serve --runtime tun` in a network namespace of its own.

    namespace `host`: drywire ── dry0 ── routes ── wan ╌╌ impair.py ╌╌ wan: namespace `far`

Good links are tested from `host`, bad ones from `far`. Run it through `tests/tun/run`.
"""

import argparse
import asyncio
import contextlib
import hashlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import websockets
from websockets.asyncio.client import connect

HERE = Path(__file__).parent
HOST, FAR = f"dwhost{os.getpid()}", f"dwfar{os.getpid()}"
V4, V6 = "10.77.0.2", "fd00:77::2"
CHECKS = []
LIMIT = 120  # seconds that any single client may take


def check(function):
    CHECKS.append(function)
    return function


class Skip(Exception):
    pass


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def run(*command, **more):
    return subprocess.run(command, capture_output=True, timeout=LIMIT, **more)


def must(*command):
    result = run(*command, text=True)
    expect(result.returncode == 0, f"{' '.join(command)}: {result.stderr.strip()}")
    return result.stdout


def inside(namespace, *command, **more):
    return run("ip", "netns", "exec", namespace, *command, **more)


def curl(*arguments, namespace=HOST):
    return inside(namespace, "curl", "-sS", "--max-time", str(LIMIT - 10), *arguments)


def content(length):
    line = b"0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXY\n"
    return (line * (length // len(line) + 1))[:length]


@contextlib.contextmanager
def entered(namespace):
    """This thread in a namespace: sockets made meanwhile belong to it."""
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net") as own, open(f"/var/run/netns/{namespace}") as other:
        expect(libc.setns(other.fileno(), 0x40000000) == 0, "setns")
        try:
            yield
        finally:
            expect(libc.setns(own.fileno(), 0x40000000) == 0, "setns")


class Server:
    """One `drywire serve --runtime tun`, with the kernel's side of its link."""

    def __init__(self, binary, *more):
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", HOST, binary, "serve", "--runtime", "tun", "--tun-name", "dry0",
             "--tun-address", f"{V4}/24", "--tun-address", f"{V6}/64", "--quiet", *more],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for address in (f"{V4}:80", f"[{V6}]:80"):
            line = self.process.stdout.readline()
            if line != f"listening on http://{address}\n":
                self.process.kill()
                raise AssertionError(f"{line!r} {self.process.stderr.read()!r}")
        must("ip", "-n", HOST, "address", "add", "10.77.0.1/24", "dev", "dry0")
        must("ip", "-n", HOST, "address", "add", "fd00:77::1/64", "dev", "dry0", "nodad")
        must("ip", "-n", HOST, "link", "set", "dry0", "up")

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        # `ip netns exec` is replaced by the program, so that the signal goes to it.
        self.process.send_signal(signal.SIGTERM)
        try:
            _, stderr = self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("the server does not end") from None
        if failure[0] is None:
            expect(self.process.returncode == 0, f"status {self.process.returncode}: {stderr}")


@contextlib.contextmanager
def bad_link(seed):
    relay = subprocess.Popen([sys.executable, HERE / "impair.py", HOST, FAR, "wan", str(seed)],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        expect(relay.stdout.readline() == "ready\n", "the link was not made")
        for namespace, v4, v6 in ((HOST, "10.78.0.1/24", "fd00:78::1/64"), (FAR, "10.78.0.2/24", "fd00:78::2/64")):
            must("ip", "-n", namespace, "address", "add", v4, "dev", "wan")
            must("ip", "-n", namespace, "address", "add", v6, "dev", "wan", "nodad")
            must("ip", "-n", namespace, "link", "set", "wan", "up")
        must("ip", "-n", FAR, "route", "add", "10.77.0.0/24", "via", "10.78.0.1")
        must("ip", "-n", FAR, "route", "add", "fd00:77::/64", "via", "fd00:78::1")
        yield
    finally:
        relay.stdin.close()
        relay.wait(10)


def download(length, address, **more):
    result = curl("-w", "%{stderr}%{speed_download}", f"http://{address}/bytes/{length}", **more)
    expect(result.returncode == 0, result.stderr)
    expect(len(result.stdout) == length, f"{len(result.stdout)} bytes of {length}")
    expect(hashlib.sha256(result.stdout).digest() == hashlib.sha256(content(length)).digest(), "other bytes")
    return f"{float(result.stderr) * 8 / 1e6:.0f} Mbit/s"


def upload(length, address, **more):
    """What /echo sends back while it still receives is what was sent."""
    data = os.urandom(length)
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        begin = time.monotonic()
        result = curl("-T", file.name, f"http://{address}/echo", **more)
    expect(result.returncode == 0, result.stderr)
    expect(hashlib.sha256(result.stdout).digest() == hashlib.sha256(data).digest(), "other bytes")
    return f"{length * 8 / 1e6 / (time.monotonic() - begin):.0f} Mbit/s each way"


@check
def ping_is_answered(_):
    if not shutil.which("ping"):
        raise Skip("ping is not installed")
    for address in (V4, V6):
        result = inside(HOST, "ping", "-c", "3", "-i", "0.2", "-W", "2", address, text=True)
        expect(" 0% packet loss" in result.stdout, result.stdout + result.stderr)


@check
def a_closed_port_refuses(_):
    for address in (V4, f"[{V6}]"):
        result = curl(f"http://{address}:81/")
        expect(result.returncode == 7, f"status {result.returncode}: {result.stderr}")


@check
def curl_fetches_100_mb(_):
    return ", ".join(download(100_000_000, address) for address in (V4, f"[{V6}]"))


@check
def curl_uploads_100_mb(_):
    return ", ".join(upload(100_000_000, address) for address in (V4, f"[{V6}]"))


@check
def one_connection_serves_many_requests(_):
    result = curl("-v", *[f"http://{V4}/bytes/{n}" for n in range(1000, 1020)])
    expect(result.returncode == 0, result.stderr)
    expect(len(result.stdout) == sum(range(1000, 1020)), len(result.stdout))
    expect(result.stderr.count(b"Connected to") == 1, "more than one connection")


@check
def fifty_at_a_time(_):
    result = curl("--parallel", "--parallel-immediate", "--parallel-max", "50", "-H", "Connection: close",
                  *[f"http://{V4}/bytes/100000" for _ in range(200)])
    expect(result.returncode == 0, result.stderr)
    expect(len(result.stdout) == 200 * 100_000, len(result.stdout))


@check
def a_websocket_session(_):
    async def session(url):
        async with connect(f"{url}/ws/echo", proxy=None) as ws:
            for message in ("héllo", bytes(range(256)) * 4096, ""):
                await ws.send(message)
                expect(await asyncio.wait_for(ws.recv(), 10) == message, "another message")
        expect(ws.close_code == 1000, ws.close_code)
        # A feed, whose events come from another connection.
        async with connect(f"{url}/feed/ws", proxy=None) as one, connect(f"{url}/feed/ws", proxy=None) as two:
            await one.send("news")
            for ws in (one, two):
                expect("news" in await asyncio.wait_for(ws.recv(), 10), "no news")

    with entered(HOST):
        for address in (V4, f"[{V6}]"):
            asyncio.run(session(f"ws://{address}"))


def opened(address=V4):
    connection = socket.create_connection((address, 80), timeout=10)
    connection.sendall(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
    expect(connection.recv(4096).startswith(b"HTTP/1.1 200 "), "no answer")
    return connection


@check
def the_kernel_closes_first(_):
    with entered(HOST):
        for address in (V4, V6):
            connection = opened(address)
            connection.shutdown(socket.SHUT_WR)
            expect(connection.recv(1) == b"", "no end of the stream")
            connection.close()
        # In the middle of a response, which is a reset.
        connection = socket.create_connection((V4, 80), timeout=10)
        connection.sendall(b"GET /bytes/100000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        expect(connection.recv(4096), "no answer")
        connection.close()
        # And with one.
        connection = opened()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        opened().close()


@check
def drywire_closes_first(_):
    with entered(HOST):
        for address in (V4, V6):
            connection = socket.create_connection((address, 80), timeout=10)
            connection.sendall(b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            received = b""
            while piece := connection.recv(4096):
                received += piece
            expect(received.startswith(b"HTTP/1.1 200 "), received)
            local = connection.getsockname()[1]
            connection.close()
            time.sleep(0.2)
            left = must("ip", "netns", "exec", HOST, "ss", "-Htan", f"sport = :{local}") if shutil.which("ss") else ""
            expect(left.strip() == "", f"the kernel still has {left}")


@check
def a_bad_link_v4(_):
    with bad_link(1):
        return ", ".join((download(10_000_000, V4, namespace=FAR), upload(5_000_000, V4, namespace=FAR)))


@check
def a_bad_link_v6(_):
    with bad_link(2):
        return ", ".join((download(10_000_000, f"[{V6}]", namespace=FAR), upload(5_000_000, f"[{V6}]", namespace=FAR)))


@check
def no_packet_is_malformed(_):
    if not shutil.which("tshark") or not shutil.which("tcpdump"):
        raise Skip("tshark and tcpdump are not installed")
    with tempfile.TemporaryDirectory() as folder:
        capture = f"{folder}/capture.pcap"
        dump = subprocess.Popen(["ip", "netns", "exec", HOST, "tcpdump", "-Z", "root", "-U", "-i", "dry0", "-w", capture],
                                stderr=subprocess.PIPE, text=True)
        try:
            line = dump.stderr.readline()
            expect("listening on" in line, line)
            for address in (V4, f"[{V6}]"):
                download(300_000, address)
                upload(300_000, address)
                curl(f"http://{address}:81/")
            if shutil.which("ping"):
                inside(HOST, "ping", "-c", "1", V4)
                inside(HOST, "ping", "-c", "1", V6)
            time.sleep(0.3)
        finally:
            dump.terminate()
            dump.communicate(timeout=10)
        # Checksums are those of our packets only: the kernel's are filled in behind the point of capture.
        ours = f"(ip.src == {V4} || ipv6.src == {V6})"
        wrong = "ip.checksum.status == 0 || tcp.checksum.status == 0 || icmp.checksum.status == 0 || icmpv6.checksum.status == 0"
        tshark = ["tshark", "-r", capture, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-Y"]
        packets = must(*tshark, ours).splitlines()
        expect(len(packets) > 100, f"only {len(packets)} packets")
        bad = must(*tshark, f"_ws.malformed || {ours} && ({wrong})").splitlines()
        expect(not bad, "\n".join(bad[:10]))
        return f"{len(packets)} packets"


def refusals(binary):
    """Wrong calls end with status 2 and one line."""
    for arguments in (
        ["--runtime", "tun"],
        ["--runtime", "tun", "--tun-address", "nowhere"],
        ["--runtime", "tun", "--tun-address", "224.0.0.1"],
        ["--runtime", "tun", "--tun-address", V4, "--tun-name", "much-too-long-a-name"],
        ["--runtime", "tun", "--tun-address", V4, "--tun-name", "lo"],
        ["--runtime", "tun", "--tun-address", V4, "--tun-name", "dry0"],  # the running server's
        ["--runtime", "tun", "--tun-address", V4, "--tun-name", "dry1", "--listen", "10.99.0.1:80"],
        ["--tun-name", "dry0"],
    ):
        result = inside(HOST, binary, "serve", *arguments, text=True)
        one_line = result.stderr.count("\n") == 1 and result.stderr.startswith("drywire: ")
        expect(result.returncode == 2 and one_line, f"{arguments}: {result.returncode} {result.stderr!r}")
    if shutil.which("setpriv"):
        result = inside(HOST, "setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
                        binary, "serve", "--runtime", "tun", "--tun-address", V4, "--tun-name", "dry1", text=True)
        expect(result.returncode == 2 and "cannot open the TUN device" in result.stderr, result.stderr)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    failed = 0
    # So that the namespaces are removed then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        for namespace in (HOST, FAR):
            must("ip", "netns", "add", namespace)
            must("ip", "-n", namespace, "link", "set", "lo", "up")
        must("ip", "netns", "exec", HOST, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for more in ([], ["--tun-offload"]):
            print(f"drywire serve --runtime tun {' '.join(more)}", flush=True)
            with Server(arguments.binary, *more) as server:
                for function in [*CHECKS, *([] if more else [refusals])]:
                    if arguments.only not in function.__name__:
                        continue
                    begin = time.monotonic()
                    try:
                        note = function(arguments.binary if function is refusals else server) or ""
                        print(f"  ok      {function.__name__} ({time.monotonic() - begin:.1f} s) {note}", flush=True)
                    except Skip as reason:
                        print(f"  skipped {function.__name__}: {reason}", flush=True)
                    except (AssertionError, OSError, subprocess.TimeoutExpired, websockets.WebSocketException) as error:
                        failed += 1
                        print(f"  FAILED  {function.__name__}: {error!r}", flush=True)
    finally:
        for namespace in (HOST, FAR):
            run("ip", "netns", "del", namespace)
    sys.exit(1 if failed else 0)


main()
