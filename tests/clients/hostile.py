"""WebSocket peers that mean no good, while others go on being served. For each: the Close frame that it gets, how long the others
wait at most, and what the server's memory grows by at its peak."""

import contextlib
import socket
import struct
import threading
import time
import zlib
from pathlib import Path

from harness import LIMIT, OPTIONS, Server, equal, expect, rest, until
from load import is_served, memory

MIB = 1 << 20
TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
# A key of zeros leaves the payload as it is.
KEY = bytes(4)


def frame(opcode, payload=b"", fin=True, rsv1=False, announced=None):
    length = len(payload) if announced is None else announced
    head = bytes([fin << 7 | rsv1 << 6 | opcode])
    if length < 126:
        head += bytes([0x80 | length])
    elif length < 1 << 16:
        head += struct.pack(">BH", 0xFE, length)
    else:
        head += struct.pack(">BQ", 0xFF, length)
    return head + KEY + payload


def request(*fields):
    lines = ["GET /ws/echo HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *fields, "", ""]
    return "\r\n".join(lines).encode()


class Peer:
    """A WebSocket of raw bytes."""

    def __init__(self, server, *fields):
        self.sock = server.socket()
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(request(*fields))
        head, _, self.buffer = until(self.sock, b"\r\n\r\n").partition(b"\r\n\r\n")
        expect(head.startswith(b"HTTP/1.1 101 "), head)
        self.head = head.decode()

    def send(self, data):
        """Sends all of it, unless the server has had enough before."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.sock.sendall(data)

    def take(self, count):
        while len(self.buffer) < count:
            piece = self.sock.recv(65536)
            expect(piece, "ended inside a frame")
            self.buffer += piece
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def receive(self):
        first, length = self.take(2)
        if length == 126:
            length = struct.unpack(">H", self.take(2))[0]
        elif length == 127:
            length = struct.unpack(">Q", self.take(8))[0]
        return first & 15, self.take(length)

    def close_code(self):
        """That of the Close frame, whatever comes before it."""
        while True:
            opcode, payload = self.receive()
            if opcode == CLOSE:
                return struct.unpack(">H", payload[:2])[0]

    def close(self):
        self.sock.close()


class Watch:
    """Another connection: asks for an echo all the time, and notes the longest wait."""

    def __init__(self, server):
        self.server, self.wait, self.failure = server, 0.0, None
        self.served, self.ended = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            peer = Peer(self.server)
            # Once before the attack and once after it in any case.
            while not self.ended.is_set():
                begun = time.monotonic()
                peer.send(frame(TEXT, b"still there?"))
                equal(peer.receive(), (TEXT, b"still there?"))
                self.wait = max(self.wait, time.monotonic() - begun)
                self.served.set()
                time.sleep(0.005)
            peer.close()
        except Exception as failure:
            self.failure = failure

    def __enter__(self):
        self.thread.start()
        self.served.wait(LIMIT)
        return self

    def __exit__(self, kind, *_):
        self.ended.set()
        self.thread.join(LIMIT)
        if kind is None:
            expect(self.failure is None and not self.thread.is_alive(), f"another connection was not served: {self.failure!r}")


def attack(server, name, action, limit):
    """Runs one, and holds the server to `limit` bytes."""
    with Watch(server) as watch:
        # Sets the kernel's note of the peak back.
        Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
        start, begun = memory(server), time.monotonic()
        outcome = action(server)
        took = time.monotonic() - begun
    is_served(server)
    grown = server.memory_peak() - start
    print(f"    {name}: {outcome}, {took:.1f} s; memory +{grown / MIB:.1f} MiB at its peak, others waited {watch.wait * 1000:.0f} ms")
    expect(grown < limit, f"{name}: grown by {grown}")
    expect(watch.wait < 2, f"{name}: others waited {watch.wait:.1f} s")


def empty_continuations(server):
    peer = Peer(server)
    peer.send(frame(TEXT, fin=False))
    # The limit is 2^20 fragments, which is just above a million.
    reader = threading.Thread(target=peer.send, args=(frame(CONTINUATION, fin=False) * 1_100_000,))
    reader.start()
    code = peer.close_code()
    peer.close()
    reader.join(LIMIT)
    equal(code, 1008)
    return "1.1 million empty continuations, 1008"


def a_million_fragments(server):
    peer = Peer(server)
    peer.send(frame(BINARY, fin=False) + frame(CONTINUATION, fin=False) * 1_000_000 + frame(CONTINUATION, b"end"))
    equal(peer.receive(), (BINARY, b"end"))
    peer.close()
    return "a million empty continuations, and an end: echoed"


def one_byte_at_a_time(server):
    peer = Peer(server)
    text = "κόσμε ".encode() * 1000
    for byte in frame(TEXT, text):
        peer.sock.send(bytes([byte]))
    equal(peer.receive(), (TEXT, text))
    peer.close()
    return f"{len(text)} bytes one by one: echoed"


def bomb(server):
    peer = Peer(server, "Sec-WebSocket-Extensions: permessage-deflate")
    expect("permessage-deflate" in peer.head, peer.head)
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = compressor.compress(bytes(64 * MIB)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    ratio = 64 * MIB // len(data)
    expect(ratio >= 1000, ratio)
    peer.send(frame(BINARY, data[:-4], rsv1=True))
    equal(peer.close_code(), 1009)
    peer.close()
    return f"64 MiB in {len(data)} bytes ({ratio}:1), 1009"


def ping_flood(server):
    peer = Peer(server)
    peer.send(frame(PING, b"x" * 125) * 5_000)
    equal(peer.close_code(), 1008)
    peer.close()
    return "5,000 Pings at once, 1008"


def slow_pings(server):
    """Below the limit, and no Pong is read."""
    peers = [Peer(server) for _ in range(20)]
    for _ in range(5):
        for peer in peers:
            peer.send(frame(PING, b"x" * 125) * 190)
        time.sleep(0.2)
    for peer in peers:
        peer.close()
    return "20 peers that send 950 Pings a second and read no Pong"


def announced(server):
    peers = [Peer(server) for _ in range(200)]
    for peer in peers:
        peer.send(frame(BINARY, b"x", announced=16 * MIB))
    time.sleep(0.3)
    for peer in peers:
        peer.close()
    peer = Peer(server)
    peer.send(frame(BINARY, announced=(1 << 63) - 1))
    equal(peer.close_code(), 1009)
    peer.close()
    return "200 frames that announce 16 MiB and one of 2^63-1 bytes, 1009"


def long_handshake(server):
    with server.socket() as sock:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            sock.sendall(request(*["X-Filler: y"] * 200_000))
        answer = rest(sock)
        expect(answer.startswith(b"HTTP/1.1 431 "), answer[:100])
    # Below the limit on heads: each offer and each sub-protocol is looked at.
    begun = time.monotonic()
    offers = ", ".join(["permessage-deflate; unknown"] * 500)
    protocols = ", ".join(f"p{n}" for n in range(100))
    peer = Peer(server, f"Sec-WebSocket-Extensions: {offers}", f"Sec-WebSocket-Protocol: {protocols}")
    expect("permessage-deflate" not in peer.head, peer.head)
    peer.close()
    took = time.monotonic() - begun
    expect(took < 1, f"a long handshake took {took:.1f} s")
    return f"200,000 fields, 431; 500 offers and 100 sub-protocols in {took * 1000:.0f} ms"


def half_closed(server):
    peers = [Peer(server) for _ in range(100)]
    for peer in peers:
        peer.send(frame(TEXT, b"last words"))
        peer.sock.shutdown(socket.SHUT_WR)
    for peer in peers:
        equal(peer.receive(), (TEXT, b"last words"))
        equal(rest(peer.sock), b"")
        peer.close()
    return "100 peers that end their direction without a Close frame: answered, and closed"


def never_reads(server):
    peers = [Peer(server) for _ in range(20)]
    taken = 0
    message = frame(BINARY, bytes(64 * 1024))
    for peer in peers:
        peer.sock.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            for _ in range(2000):
                peer.sock.sendall(message)
                taken += len(message)
            raise AssertionError("125 MiB were taken without a reader")
    for peer in peers:
        peer.close()
    return f"20 peers that read no echo: {taken / len(peers) / MIB:.1f} MiB taken from each, most of it in sockets"


def check(runtime):
    server = Server(OPTIONS.binary, runtime, "--quiet")
    is_served(server)
    for action, limit in [
        (one_byte_at_a_time, 4 * MIB), (empty_continuations, 8 * MIB), (a_million_fragments, 8 * MIB),
        # A message of 16 MiB is assembled in a buffer that grows.
        (bomb, 48 * MIB),
        (ping_flood, 8 * MIB), (slow_pings, 8 * MIB), (announced, 24 * MIB), (long_handshake, 8 * MIB),
        (half_closed, 16 * MIB), (never_reads, 20 * 2 * MIB),
    ]:
        attack(server, action.__name__.replace("_", " "), action, limit)
    equal(server.stop(), 0)
