"""drywire serves, Linux asks: curl and Python against `drywire serve --runtime tun`."""

import asyncio
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

from websockets.asyncio.client import connect

from lab import (FAR, HOST, LIMIT, Capture, Skip, addresses, bad_link, becomes_empty, digest, digest_of_content, entered, expect,
                 inside, must, something_to_send, url_host)

V4, V6 = "10.77.0.2", "fd00:77::2"
# What tshark should not have to remark on where no packet is lost and everybody reads.
SURPRISES = " || ".join(f"tcp.analysis.{name}" for name in (
    "retransmission", "fast_retransmission", "spurious_retransmission", "out_of_order", "lost_segment",
    "ack_lost_segment", "duplicate_ack", "zero_window"))


class Server:
    """One `drywire serve --runtime tun`, with the kernel's side of its link."""

    def __init__(self, binary, offload):
        self.binary, self.offload = binary, offload
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", HOST, binary, "serve", "--runtime", "tun", "--tun-name", "dry0",
             "--tun-address", f"{V4}/24", "--tun-address", f"{V6}/64", "--quiet", *(["--tun-offload"] if offload else [])],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for address in (f"{V4}:80", f"[{V6}]:80"):
            line = self.process.stdout.readline()
            if line != f"listening on http://{address}\n":
                self.process.kill()
                raise AssertionError(f"{line!r} {self.process.stderr.read()!r}")
        addresses(HOST, "dry0", "10.77.0.1/24", "fd00:77::1/64")

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        # `ip netns exec` is replaced by the program, so that the signal goes to it.
        self.process.send_signal(signal.SIGTERM)
        status, stderr = self.wait()
        if failure[0] is None:
            expect(status == 0, f"status {status}: {stderr}")

    def wait(self):
        try:
            _, stderr = self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("the server does not end") from None
        return self.process.returncode, stderr

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def curl(*arguments, namespace=HOST):
    return inside(namespace, "curl", "-sS", "--max-time", str(LIMIT - 10), *arguments)


def download(length, address, **more):
    with tempfile.NamedTemporaryFile() as file:
        url = f"http://{url_host(address)}/bytes/{length}"
        result = curl("-w", "%{stderr}%{speed_download}", "-o", file.name, url, **more)
        expect(result.returncode == 0, result.stderr)
        expect(digest(file) == digest_of_content(length), "other bytes")
    return f"{float(result.stderr) * 8 / 1e6:.0f} Mbit/s"


def upload(length, address, **more):
    """What /echo sends back while it still receives is what was sent."""
    sent, digest_of_sent = something_to_send(length)
    with tempfile.NamedTemporaryFile() as file:
        begin = time.monotonic()
        result = curl("-T", sent.name, "-o", file.name, f"http://{url_host(address)}/echo", **more)
        took = time.monotonic() - begin
        expect(result.returncode == 0, result.stderr)
        expect(digest(file) == digest_of_sent, "other bytes")
    return f"{length * 8 / 1e6 / took:.0f} Mbit/s each way"


def ping_is_answered(_):
    if not shutil.which("ping"):
        raise Skip("ping is not installed")
    for address in (V4, V6):
        result = inside(HOST, "ping", "-c", "3", "-i", "0.2", "-W", "2", address, text=True)
        expect(" 0% packet loss" in result.stdout, result.stdout + result.stderr)


def a_closed_port_refuses(_):
    for address in (V4, V6):
        result = curl(f"http://{url_host(address)}:81/")
        expect(result.returncode == 7, f"status {result.returncode}: {result.stderr}")


def curl_fetches_100_mb(_):
    return ", ".join(download(100_000_000, address) for address in (V4, V6))


def curl_uploads_100_mb(_):
    return ", ".join(upload(100_000_000, address) for address in (V4, V6))


def one_connection_serves_many_requests(_):
    result = curl("-v", *[f"http://{V4}/bytes/{n}" for n in range(1000, 1020)])
    expect(result.returncode == 0, result.stderr)
    expect(len(result.stdout) == sum(range(1000, 1020)), len(result.stdout))
    expect(result.stderr.count(b"Connected to") == 1, "more than one connection")


def fifty_at_a_time(_):
    result = curl("--parallel", "--parallel-immediate", "--parallel-max", "50", "-H", "Connection: close",
                  *[f"http://{V4}/bytes/100000" for _ in range(200)])
    expect(result.returncode == 0, result.stderr)
    expect(len(result.stdout) == 200 * 100_000, len(result.stdout))


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
        for address in (V4, V6):
            asyncio.run(session(f"ws://{url_host(address)}"))


def opened(address=V4):
    connection = socket.create_connection((address, 80), timeout=10)
    connection.sendall(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
    expect(connection.recv(4096).startswith(b"HTTP/1.1 200 "), "no answer")
    return connection


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


def left_of(port):
    """What the kernel still has of its own connections at a port."""
    return set(must("ip", "netns", "exec", HOST, "ss", "-Htan", f"sport = :{port}").splitlines()) if shutil.which("ss") else set()


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
            becomes_empty(lambda port=local: left_of(port), "the kernel still has")


def over_a_bad_link(seed, address):
    with bad_link(seed):
        return ", ".join((download(3_000_000, address, namespace=FAR), upload(1_000_000, address, namespace=FAR)))


def a_bad_link_v4(_):
    return over_a_bad_link(1, V4)


def a_bad_link_v6(_):
    return over_a_bad_link(2, V6)


def tshark_finds_nothing(server):
    """Neither what is malformed, nor what should not happen on a link that loses nothing."""
    with Capture("dry0") as capture:
        for address in (V4, V6):
            download(1_000_000, address)
            upload(200_000, address)
            curl(f"http://{url_host(address)}:81/")
        if shutil.which("ping"):
            inside(HOST, "ping", "-c", "1", V4)
            inside(HOST, "ping", "-c", "1", V6)
    capture.complete()
    ours = f"(ip.src == {V4} || ipv6.src == {V6})"
    packets = capture.packets(ours)
    expect(len(packets) > 50, f"only {len(packets)} packets")
    # Checksums are those of our packets only, and with offloads not even those: they are filled in behind the point of
    # capture, or never, as nothing leaves the machine.
    sums = ["ip", "icmp", "icmpv6"] + ([] if server.offload else ["tcp"])
    wrong = " || ".join(f"{protocol}.checksum.status == 0" for protocol in sums)
    bad = capture.packets(f"_ws.malformed || {ours} && ({wrong}) || {SURPRISES}")
    expect(not bad, "\n".join(bad[:10]))
    return f"{len(packets)} packets of ours"


CHECKS = [
    ping_is_answered, a_closed_port_refuses, curl_fetches_100_mb, curl_uploads_100_mb,
    one_connection_serves_many_requests, fifty_at_a_time, a_websocket_session, the_kernel_closes_first,
    drywire_closes_first, a_bad_link_v4, a_bad_link_v6, tshark_finds_nothing,
]
