"""A server under unfriendly load, while others go on being served: slow heads, idle connections, pipelined requests that nobody
reads the answers of. Memory is measured and printed."""

import contextlib
import re
import resource
import socket
import time
from pathlib import Path

from harness import LIMIT, OPTIONS, Server, curl, equal, expect, rest

SLOW = 200
# On threads, each connection has one.
IDLE = {"tokio": 10_000, "std": 1_000, "poll": 10_000}
REQUEST = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"


def memory(server):
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024


def is_served(server):
    """Another client gets its answer at once."""
    begun = time.monotonic()
    equal(curl(server.url + "/hello"), b"hello, world\n")
    took = time.monotonic() - begun
    expect(took < 5, f"served after {took:.1f} s")


def check(runtime):
    # The limit is inherited by the server.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    idle = min(IDLE[runtime], hard - 1000)
    server = Server(OPTIONS.binary, runtime, "--quiet", "--max-connections", str(idle + 1000))
    with contextlib.ExitStack() as open_sockets:
        def connect():
            return open_sockets.enter_context(server.socket())

        is_served(server)
        before = memory(server)

        # Heads that do not end: each byte is one more reason to wait, and none is.
        begun = time.monotonic()
        slow = [connect() for _ in range(SLOW)]
        for byte in b"GET / HTTP/1.1\r\nX: ":
            for sock in slow:
                sock.sendall(bytes([byte]))
        is_served(server)
        print(f"    {SLOW} slow heads: {(memory(server) - before) / SLOW / 1024:.1f} KiB each")

        start = memory(server)
        for _ in range(idle):
            sock = connect()
            sock.sendall(REQUEST)
            expect(sock.recv(4096).endswith(b"hello, world\n"), "no answer")
        is_served(server)
        each = (memory(server) - start) / idle
        print(f"    {idle} idle connections: {each / 1024:.1f} KiB each")
        expect(each < 40 * 1024, f"{each:.0f} bytes for an idle connection")

        # Requests without end, and no answer taken: what is sent stays in the kernel.
        start = memory(server)
        flood = [connect() for _ in range(20)]
        for sock in flood:
            sock.settimeout(0.3)
            with contextlib.suppress(TimeoutError):
                for _ in range(100):
                    sock.sendall(REQUEST * 10_000)
                raise AssertionError("37 MB of requests were taken without a response")
        is_served(server)
        grown = memory(server) - start
        print(f"    20 pipelined floods: {grown / len(flood) / 1024:.1f} KiB each")
        expect(grown < len(flood) * 2 << 20, f"grown by {grown}")

        # A slow head ends with 408 when its time is over.
        for sock in slow[:5]:
            sock.settimeout(max(1, 45 - (time.monotonic() - begun)))
            answer = rest(sock)
            expect(answer.startswith(b"HTTP/1.1 408 "), answer[:200])
        is_served(server)
    equal(server.stop(), 0)
