"""Linux serves, drywire asks: `drywire get` and `drywire ws` with `--runtime tun` against peer.py."""

import contextlib
import shutil
import subprocess
import sys
import tempfile
import time

from lab import (FAR, HERE, HOST, Capture, addresses, bad_link, becomes_empty, digest, digest_of_content, expect, inside, must,
                 run, something_to_send, url_host)
from server_role import SURPRISES, left_of

OURS4, OURS6 = "10.79.0.2", "fd00:79::2"
# The kernel, at its end of our link and behind the bad one.
NEAR, BEHIND = ("10.79.0.1", "fd00:79::1"), ("10.78.0.2", "fd00:78::2")


@contextlib.contextmanager
def linux(namespace):
    process = subprocess.Popen(["ip", "netns", "exec", namespace, sys.executable, HERE / "peer.py"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        expect(process.stdout.readline() == "ready\n", "Linux does not serve")
        yield
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


class Client:
    """How drywire is called, the device that it is called with, which stays when it ends, and whom it calls."""

    def __init__(self, binary, offload):
        self.offload = offload
        self.options = ["--runtime", "tun", "--tun-name", "dry1", "--tun-address", f"{OURS4}/24",
                        "--tun-address", f"{OURS6}/64", *(["--tun-offload"] if offload else [])]
        self.binary = binary

    def __enter__(self):
        must("ip", "-n", HOST, "tuntap", "add", "dry1", "mode", "tun")
        addresses(HOST, "dry1", "10.79.0.1/24", "fd00:79::1/64")
        self.peers = contextlib.ExitStack()
        for namespace in (HOST, FAR):
            self.peers.enter_context(linux(namespace))
        return self

    def __exit__(self, *_):
        self.peers.close()
        run("ip", "-n", HOST, "tuntap", "del", "dry1", "mode", "tun")

    def call(self, command, *arguments, **more):
        return inside(HOST, self.binary, command, *self.options, *arguments, **more)

    def get(self, *arguments):
        result = self.call("get", *arguments)
        expect(result.returncode == 0, f"status {result.returncode}: {result.stderr}")
        return result.stdout


def speed(length, begin):
    return f"{length * 8 / 1e6 / (time.monotonic() - begin):.0f} Mbit/s"


def download(client, address, length, query=""):
    with tempfile.NamedTemporaryFile() as file:
        begin = time.monotonic()
        client.get("-o", file.name, f"http://{url_host(address)}:8000/bytes/{length}{query}")
        note = speed(length, begin)
        expect(digest(file) == digest_of_content(length), "other bytes")
    return note


def upload(client, address, length):
    sent, digest_of_sent = something_to_send(length)
    begin = time.monotonic()
    answer = client.get("-X", "PUT", "-d", f"@{sent.name}", f"http://{url_host(address)}:8000/sum")
    expect(answer.decode() == digest_of_sent, f"Linux received something else: {answer}")
    return speed(length, begin)


def get_fetches_100_mb(client):
    return ", ".join(download(client, address, 100_000_000) for address in NEAR)


def get_sends_100_mb(client):
    return ", ".join(upload(client, address, 100_000_000) for address in NEAR)


def the_server_closes_first(client):
    for address in NEAR:
        download(client, address, 10_000, "?close")


def the_client_closes_first(client):
    """Our end of the stream arrives although the program ends: Linux is left with nothing, not even TIME-WAIT."""
    before = left_of(8000)
    for address in NEAR:
        download(client, address, 10_000)
    becomes_empty(lambda: left_of(8000) - before, "the kernel still has")


def a_websocket_session_with_linux(client):
    lines = ["héllo", "x" * 60_000, "the last"]
    for address in NEAR:
        # We close first, at the end of the input; then the server does.
        for end in ("", "bye\n"):
            said = "".join(f"{line}\n" for line in lines)
            result = client.call("ws", f"ws://{url_host(address)}:8001/", input=(said + end).encode())
            expect(result.returncode == 0, f"status {result.returncode}: {result.stderr}")
            expect(result.stdout.decode() == said, f"{len(result.stdout)} bytes of {len(said.encode())}")


def nobody_listens(client):
    for address in NEAR:
        result = client.call("get", f"http://{url_host(address)}:8002/", text=True)
        is_told = result.stderr == f"drywire: cannot connect to {url_host(address)}:8002: refused by the peer\n"
        expect(result.returncode == 1 and is_told, f"{result.returncode} {result.stderr!r}")


def over_a_bad_link(client, seed, address):
    with bad_link(seed):
        return ", ".join((download(client, address, 3_000_000), upload(client, address, 1_000_000)))


def from_a_bad_link_v4(client):
    return over_a_bad_link(client, 3, BEHIND[0])


def from_a_bad_link_v6(client):
    return over_a_bad_link(client, 4, BEHIND[1])


def tshark_finds_nothing_in_a_client(client):
    with Capture("dry1") as capture:
        for address in NEAR:
            download(client, address, 1_000_000)
            upload(client, address, 200_000)
    capture.complete()
    ours = f"(ip.src == {OURS4} || ipv6.src == {OURS6})"
    wrong = "" if client.offload else f"|| {ours} && tcp.checksum.status == 0"
    # A device takes up to a second to work once it is opened, so that a SYN may be lost.
    bad = capture.packets(f"_ws.malformed || ({SURPRISES}) && tcp.flags.syn == 0 {wrong}")
    expect(not bad, "\n".join(bad[:10]))
    return f"{len(capture.packets(ours))} packets of ours"


CHECKS = [
    get_fetches_100_mb, get_sends_100_mb, the_server_closes_first, the_client_closes_first,
    a_websocket_session_with_linux, nobody_listens, from_a_bad_link_v4, from_a_bad_link_v6,
    tshark_finds_nothing_in_a_client,
]
if not shutil.which("ss"):
    CHECKS.remove(the_client_closes_first)
