"""What the checks have in common: two network namespaces, the links between them, and programs in them.

    namespace `host`: drywire ── dry0 ── routes ── wan ╌╌ bad link ╌╌ wan: namespace `far`

The bad link is a veth pair under `tc netem` where the kernel has that, and else the relay impair.py.
"""

import base64
import contextlib
import ctypes
import functools
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
HOST, FAR = f"dwhost{os.getpid()}", f"dwfar{os.getpid()}"
LIMIT = 60  # seconds that any single program may take
# What the relay does, in netem's words; most packets overtake those that are delayed.
NETEM = ["loss", "5%", "duplicate", "2%", "delay", "4ms", "reorder", "95%"]


class Skip(Exception):
    pass


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def becomes_empty(left, what):
    """Waits until `left` returns nothing."""
    until = time.monotonic() + 5
    while rest := left():
        expect(time.monotonic() < until, f"{what} {rest}")
        time.sleep(0.05)


def run(*command, **more):
    return subprocess.run(command, capture_output=True, timeout=LIMIT, **more)


def must(*command):
    result = run(*command, text=True)
    expect(result.returncode == 0, f"{' '.join(map(str, command))}: {result.stderr.strip()}")
    return result.stdout


def inside(namespace, *command, **more):
    return run("ip", "netns", "exec", namespace, *command, **more)


def content(length):
    """What both servers have at /bytes/<length>."""
    line = b"0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXY\n"
    return (line * (length // len(line) + 1))[:length]


@functools.cache
def digest_of_content(length):
    return hashlib.sha256(content(length)).hexdigest()


@functools.cache
def something_to_send(length):
    """A file with so many bytes of chance, as text without line breaks, and its digest."""
    data = base64.b64encode(os.urandom(length * 3 // 4))
    file = tempfile.NamedTemporaryFile()
    file.write(data)
    file.flush()
    return file, hashlib.sha256(data).hexdigest()


def digest(file):
    sum = hashlib.sha256()
    while piece := file.read(1 << 20):
        sum.update(piece)
    return sum.hexdigest()


def same(received, sent):
    expect(len(received) == len(sent), f"{len(received)} bytes of {len(sent)}")
    expect(received == sent, "other bytes")


def url_host(address):
    return f"[{address}]" if ":" in address else address


@contextlib.contextmanager
def entered(namespace):
    """This thread in a namespace: sockets made meanwhile belong to it."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net") as own, open(f"/var/run/netns/{namespace}") as other:
        expect(libc.setns(other.fileno(), 0x40000000) == 0, "setns")
        try:
            yield
        finally:
            expect(libc.setns(own.fileno(), 0x40000000) == 0, "setns")


@contextlib.contextmanager
def namespaces():
    # So that they are removed then, too.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    try:
        for namespace in (HOST, FAR):
            must("ip", "netns", "add", namespace)
            must("ip", "-n", namespace, "link", "set", "lo", "up")
        must("ip", "netns", "exec", HOST, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        yield
    finally:
        for namespace in (HOST, FAR):
            run("ip", "netns", "del", namespace)


def addresses(namespace, device, *cidrs):
    for cidr in cidrs:
        must("ip", "-n", namespace, "address", "add", cidr, "dev", device, *(["nodad"] if ":" in cidr else []))
    must("ip", "-n", namespace, "link", "set", device, "up")


def why_no_netem():
    """Why there are no bad links by `tc netem`; None if there are."""
    if not shutil.which("tc"):
        return "tc is not installed"
    result = run("tc", "-n", FAR, "qdisc", "add", "dev", "lo", "root", "netem", *NETEM, text=True)
    if result.returncode == 0:
        must("tc", "-n", FAR, "qdisc", "del", "dev", "lo", "root")
        return None
    return f"this kernel has no netem: {result.stderr.strip()}"


@contextlib.contextmanager
def netem():
    must("ip", "-n", HOST, "link", "add", "wan", "type", "veth", "peer", "name", "wan", "netns", FAR)
    try:
        for namespace in (HOST, FAR):
            # One segment a packet, as on a wire.
            must("ip", "-n", namespace, "link", "set", "wan", "gso_max_segs", "1")
            must("tc", "-n", namespace, "qdisc", "add", "dev", "wan", "root", "netem", *NETEM)
        yield
    finally:
        run("ip", "-n", HOST, "link", "del", "wan")


@contextlib.contextmanager
def relay(seed):
    process = subprocess.Popen([sys.executable, HERE / "impair.py", HOST, FAR, "wan", str(seed)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        expect(process.stdout.readline() == "ready\n", "the link was not made")
        yield
    finally:
        process.stdin.close()
        process.wait(10)


@contextlib.contextmanager
def bad_link(seed):
    """5 % of the packets are lost each way, 2 % are doubled, 5 % overtaken."""
    with relay(seed) if why_no_netem() else netem():
        addresses(HOST, "wan", "10.78.0.1/24", "fd00:78::1/64")
        addresses(FAR, "wan", "10.78.0.2/24", "fd00:78::2/64")
        for v4, v6 in (("10.77.0.0/24", "fd00:77::/64"), ("10.79.0.0/24", "fd00:79::/64")):
            must("ip", "-n", FAR, "route", "add", v4, "via", "10.78.0.1")
            must("ip", "-n", FAR, "route", "add", v6, "via", "fd00:78::1")
        yield


class Capture:
    """Every packet on a device of the host, for tshark."""

    def __init__(self, device):
        if not shutil.which("tshark") or not shutil.which("tcpdump"):
            raise Skip("tshark and tcpdump are not installed")
        self.folder = tempfile.TemporaryDirectory()
        self.file = f"{self.folder.name}/capture.pcap"
        # Of long packets the headers do.
        self.dump = subprocess.Popen(
            ["ip", "netns", "exec", HOST, "tcpdump", "-Z", "root", "-U", "-B", "65536", "-i", device, "-w", self.file],
            stderr=subprocess.PIPE, text=True)
        line = self.dump.stderr.readline()
        expect("listening on" in line, line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        time.sleep(0.3)
        self.dump.terminate()
        self.report = self.dump.communicate(timeout=10)[1]

    def complete(self):
        expect(re.search(r"^0 packets dropped", self.report, re.M), f"the capture has gaps: {self.report}")

    def packets(self, display_filter):
        """One line for each packet that the filter lets through."""
        checks = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
        return must("tshark", "-r", self.file, *checks, "-Y", display_filter).splitlines()
