"""Ten thousand WebSocket connections at a time, of which every one echoes, and a SIGTERM under load that loses no exchange."""

import contextlib
import re
import resource
import signal
import socket
import threading
import time

from harness import LIMIT, OPTIONS, Server, Skip, equal, expect, rest, until
from load import memory

CROWD = 10_000
HANDSHAKE = (b"GET /ws/echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")


def masked(text):
    """A text frame of a client, with a key of zeros (RFC 6455 5.3)."""
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text


def exactly(sock, wanted):
    got = bytearray()
    while len(got) < len(wanted):
        piece = sock.recv(len(wanted) - len(got))
        expect(piece, f"ended behind {bytes(got)!r}")
        got += piece
    equal(bytes(got), wanted)


def websockets(runtime):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # Python reports no limit as -1. What is inherited counts for the server, too.
    if 0 <= hard < CROWD + 1000:
        raise Skip(f"at most {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = Server(OPTIONS.binary, runtime, "--quiet", "--max-connections", str(CROWD + 100))
    with contextlib.ExitStack() as open_sockets:
        def opened():
            sock = open_sockets.enter_context(server.socket())
            sock.sendall(HANDSHAKE)
            head = bytearray()
            while not head.endswith(b"\r\n\r\n"):
                piece = sock.recv(4096)
                expect(piece, f"ended behind {bytes(head)!r}")
                head += piece
            expect(head.startswith(b"HTTP/1.1 101 "), head)
            return sock

        def echo(socks, text):
            for number, sock in enumerate(socks):
                sock.sendall(masked(b"%s %d" % (text, number)))
            for number, sock in enumerate(socks):
                answer = b"%s %d" % (text, number)
                exactly(sock, bytes([0x81, len(answer)]) + answer)

        # What the first connections need once is not counted.
        echo([opened() for _ in range(10)], b"first")
        before = memory(server)
        begun = time.monotonic()
        crowd = [opened() for _ in range(CROWD)]
        took = time.monotonic() - begun
        echo(crowd, b"hello from")
        begun = time.monotonic()
        echo(crowd, b"and again from")
        again = time.monotonic() - begun
        each = (memory(server) - before) / CROWD
        print(f"    {CROWD} WebSocket connections on {runtime}: {each / 1024:.1f} KiB each, "
              f"opened in {took:.1f} s, echoed in {again:.1f} s")
        expect(each < 16 * 1024, f"{each:.0f} bytes for a connection")
    equal(server.stop(), 0)


class Client(threading.Thread):
    """Asks for something, again and again, on one connection, until that ends."""

    def __init__(self, server, size):
        super().__init__(daemon=True)
        self.sock = server.socket()
        self.peer = "%s:%d" % self.sock.getsockname()
        self.size = size
        self.whole = 0
        self.failure = None
        self.start()

    def run(self):
        try:
            with self.sock:
                while self.exchange():
                    self.whole += 1
        except Exception as error:  # told by the thread that waits
            self.failure = error

    def exchange(self):
        """Returns whether a response came; one that breaks off is an error."""
        try:
            self.sock.sendall(b"GET /bytes/%d HTTP/1.1\r\nHost: x\r\n\r\n" % self.size)
        except (ConnectionResetError, BrokenPipeError):
            return False
        got = bytearray()
        while b"\r\n\r\n" not in got:
            try:
                piece = self.sock.recv(65536)
            except ConnectionResetError:
                piece = b""
            if not piece:
                expect(not got, f"broken off: {bytes(got)!r}")
                return False
            got += piece
        left = self.size - (len(got) - got.index(b"\r\n\r\n") - 4)
        while left > 0:
            piece = self.sock.recv(min(left, 65536))
            expect(piece, f"broken off {left} bytes before the end")
            left -= len(piece)
        equal(left, 0)
        return True


def sigterm_under_load(runtime):
    """Every response that the log tells of has arrived whole, and nobody new gets in."""
    server = Server(OPTIONS.binary, runtime)
    # This one keeps the server draining while somebody tries to connect.
    slow = server.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    slow.sendall(b"GET /bytes/30000000 HTTP/1.1\r\nHost: x\r\n\r\n")
    head, _, content = until(slow, b"\r\n\r\n").partition(b"\r\n\r\n")
    expect(head.startswith(b"HTTP/1.1 200 "), head)
    clients = [Client(server, size) for size in (13, 1_000, 100_000, 2_000_000) for _ in range(12)]
    time.sleep(1)
    under_way = sum(client.whole for client in clients)
    expect(under_way > 100, f"only {under_way} exchanges in a second")

    server.process.send_signal(signal.SIGTERM)
    for client in clients:
        client.join(LIMIT)
        expect(not client.is_alive(), "a connection is still open")
        if client.failure:
            raise client.failure
    expect(server.process.poll() is None, "it did not wait for the slow one")
    try:
        server.socket().close()
    except ConnectionRefusedError:
        pass
    else:
        raise AssertionError("somebody got in behind the shutdown")
    equal(len(content) + len(rest(slow)), 30_000_000)
    slow.close()
    equal(server.process.wait(20), 0)

    server.reader.join(LIMIT)
    logged = {}
    for line in server.log:
        if match := re.match(r"(\S+) GET /bytes/\d+ 200\n", line):
            logged[match[1]] = logged.get(match[1], 0) + 1
    for client in clients:
        equal((client.peer, client.whole), (client.peer, logged.get(client.peer, 0)))
    print(f"    {sum(client.whole for client in clients)} exchanges, none lost")
