"""What a server must survive, and what must end it with one clear line."""

import random
import resource
import shutil
import socket
import subprocess
import time

from lab import HOST, Skip, content, entered, expect, inside, must, same
from server_role import V4, V6, Server, download, opened

ETH_P_IP, ETH_P_IPV6 = 0x0800, 0x86DD


def a_thousand_connections(_):
    """All at once, each served, idle in between, and served again."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    request = b"GET /bytes/5000 HTTP/1.1\r\nHost: a\r\n\r\n"
    with entered(HOST):
        connections = [socket.create_connection((V4 if n % 2 else V6, 80), timeout=10) for n in range(1000)]
        for _ in range(2):
            for connection in connections:
                connection.sendall(request)
            for connection in connections:
                received = b""
                while not received.endswith(content(5000)):
                    piece = connection.recv(65536)
                    expect(piece, f"the end after {len(received)} bytes")
                    received += piece
        for connection in connections:
            connection.close()


def a_slow_reader_gets_everything_and_holds_nobody_up(_):
    with entered(HOST), socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(10)
        slow.connect((V4, 80))
        slow.sendall(b"GET /bytes/2000000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        # Its window is closed for longer than the first probes wait.
        for _ in range(10):
            begin = time.monotonic()
            download(1_000_000, V4)
            expect(time.monotonic() - begin < 5, "others wait")
            time.sleep(0.1)
        received = b""
        while piece := slow.recv(4096):
            received += piece
        same(received[-2_000_000:], content(2_000_000))


def a_killed_peer_is_no_trouble(_):
    process = subprocess.Popen(["ip", "netns", "exec", HOST, "curl", "-s", "--limit-rate", "1M", "-o", "/dev/null",
                                f"http://{V4}/bytes/100000000"])
    time.sleep(0.3)
    process.kill()
    process.wait(5)
    download(1_000_000, V4)


def a_vanished_peer_costs_nothing(server):
    """Its packets are lost both ways without a word, in the middle of a response."""
    with entered(HOST):
        must("ip", "-n", HOST, "address", "add", "10.77.0.9/24", "dev", "dry0")
        gone = socket.create_connection((V4, 80), timeout=10, source_address=("10.77.0.9", 0))
        gone.sendall(b"GET /bytes/100000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        expect(gone.recv(4096), "no answer")
        must("ip", "-n", HOST, "address", "del", "10.77.0.9/24", "dev", "dry0")
        time.sleep(0.3)
        before = server.cpu_seconds()
        time.sleep(1)
        used = server.cpu_seconds() - before
        expect(used < 0.2, f"{used} s of processor time in a second")
        download(1_000_000, V4)
        gone.close()


def a_link_that_goes_down_and_comes_back(_):
    process = subprocess.Popen(["ip", "netns", "exec", HOST, "curl", "-sS", "--max-time", "30", "--limit-rate", "10M",
                                f"http://{V4}/bytes/10000000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.2)
    must("ip", "-n", HOST, "link", "set", "dry0", "down")
    time.sleep(0.5)
    must("ip", "-n", HOST, "link", "set", "dry0", "up")
    # The kernel has forgotten this one.
    must("ip", "-n", HOST, "address", "add", "fd00:77::1/64", "dev", "dry0", "nodad")
    out, error = process.communicate(timeout=40)
    expect(process.returncode == 0, error)
    same(out, content(10_000_000))


def ones_complement(data):
    """The checksum of RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(int.from_bytes(data[at:at + 2], "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")


def nearly_right(rng, local, remote, port):
    """A segment of somebody's connection to us, with right checksums and anything else wrong."""
    is_v4 = len(local) == 4
    options = rng.randbytes(4 * rng.randrange(11))
    payload = rng.randbytes(rng.choice((0, 0, 1, 100, 1000)))
    segment = port.to_bytes(2, "big") + (80).to_bytes(2, "big") + rng.randbytes(8)
    segment += bytes([(5 + len(options) // 4) << 4 if rng.random() < 0.9 else rng.randrange(256), rng.randrange(256)])
    segment += rng.randbytes(2) + b"\0\0" + rng.randbytes(2) + options + payload
    pseudo = remote + local + len(segment).to_bytes(4, "big") + b"\0\0\0\x06"
    segment = segment[:16] + ones_complement(pseudo + segment) + segment[18:]
    if is_v4:
        head = b"\x45\0" + (20 + len(segment)).to_bytes(2, "big") + rng.choice((b"\0\0\0\0", rng.randbytes(4)))
        head += b"\x40\x06\0\0" + remote + local
        return head[:10] + ones_complement(head) + head[12:] + segment
    return b"\x60\0\0\0" + len(segment).to_bytes(2, "big") + b"\x06\x40" + remote + local + segment


def garbage_changes_nothing(_):
    """Random bytes, and segments that are nearly right, also such of a connection that is open all the time."""
    rng = random.Random(1)
    with entered(HOST):
        connections = [opened(V4), opened(V6)]
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            for n in range(20_000):
                if n % 2:
                    packet, kind = rng.randbytes(rng.randrange(1, 200)), rng.choice((ETH_P_IP, ETH_P_IPV6))
                else:
                    connection, family, local, remote, kind = rng.choice((
                        (connections[0], socket.AF_INET, V4, "10.77.0.1", ETH_P_IP),
                        (connections[1], socket.AF_INET6, V6, "fd00:77::1", ETH_P_IPV6)))
                    # A port without a connection, or one with: with a random sequence number it is nearly never its own.
                    port = rng.choice((rng.randrange(1, 65536), connection.getsockname()[1]))
                    local, remote = (socket.inet_pton(family, address) for address in (local, remote))
                    packet = nearly_right(rng, local, remote, port)
                sender.sendto(packet, ("dry0", kind))
                if n % 256 == 0:
                    time.sleep(0.001)  # The device's queue holds 500.
        for connection in connections:
            connection.sendall(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
            expect(connection.recv(4096).startswith(b"HTTP/1.1 200 "), "the connection has suffered")
            connection.close()
    for address in (V4, V6):
        download(1_000_000, address)


def a_removed_device_ends_the_server(binary):
    """With one line, at once."""
    server = Server(binary, offload=False)
    with entered(HOST), opened():
        must("ip", "-n", HOST, "link", "del", "dry0")
        status, stderr = server.wait()
    expect(status == 1 and stderr.startswith("drywire: the TUN device ") and stderr.count("\n") == 1, f"{status} {stderr!r}")


CHECKS = [
    a_thousand_connections, a_slow_reader_gets_everything_and_holds_nobody_up, a_killed_peer_is_no_trouble,
    a_vanished_peer_costs_nothing, a_link_that_goes_down_and_comes_back, garbage_changes_nothing,
]


def wrong_calls(server):
    """They end with status 2 and one line."""
    serve, get = ["serve", "--runtime", "tun"], ["get", "http://10.77.0.1/", "--runtime", "tun"]
    for arguments in (
        serve, get, ["ws", "ws://10.77.0.1/", "--runtime", "tun"],
        [*serve, "--tun-address", "nowhere"],
        [*serve, "--tun-address", "224.0.0.1"],
        [*serve, "--tun-address", V4, "--tun-address", V4],
        [*serve, "--tun-address", V4, "--tun-name", "much-too-long-a-name"],
        [*serve, "--tun-address", V4, "--tun-name", "lo"],
        [*serve, "--tun-address", V4, "--tun-name", "dry0"],  # the running server's
        [*get, "--tun-address", V4, "--tun-name", "dry0"],
        [*get, "--tun-address", V6, "--tun-name", "dry2"],
        [*serve, "--tun-address", V4, "--tun-name", "dry2", "--listen", "10.99.0.1:80"],
        ["serve", "--tun-name", "dry0"],
        ["serve", "--tun-offload"],
        ["get", "http://10.77.0.1/", "--tun-address", V4],
    ):
        result = inside(HOST, server.binary, *arguments, text=True)
        one_line = result.stderr.count("\n") == 1 and result.stderr.startswith("drywire: ")
        expect(result.returncode == 2 and one_line, f"{arguments}: {result.returncode} {result.stderr!r}")


def without_permission(server):
    if not shutil.which("setpriv"):
        raise Skip("setpriv is not installed")
    for arguments in (["serve"], ["get", "http://10.77.0.1/"]):
        result = inside(HOST, "setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
                        server.binary, *arguments, "--runtime", "tun", "--tun-address", V4, "--tun-name", "dry2", text=True)
        is_told = "cannot open the TUN device dry2" in result.stderr and "it takes root" in result.stderr
        expect(result.returncode == 2 and is_told and result.stderr.count("\n") == 1, result.stderr)


# Once is enough.
CALLS = [wrong_calls, without_permission]
