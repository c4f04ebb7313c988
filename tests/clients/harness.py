"""What the checks share: the server under test, curl, our own program, and the list of checks."""

import argparse
import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
from pathlib import Path

OPTIONS = argparse.Namespace()
HERE = Path(__file__).parent
CHECKS = []
LIMIT = 60  # seconds that any single client may take
# What the server agrees to with every client that offers compression.
COMPRESSED = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


def check(function):
    CHECKS.append(function)
    return function


class Skip(Exception):
    pass


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def equal(actual, expected):
    if actual != expected:
        raise AssertionError(f"{actual!r} is not {expected!r}")


class Server:
    """One `drywire serve`; ended by SIGTERM, which must give exit status 0."""

    def __init__(self, binary, runtime, *more):
        self.process = subprocess.Popen(
            [binary, "serve", "--listen", "127.0.0.1:0", "--runtime", runtime, *more],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        first = self.process.stdout.readline()
        match = re.fullmatch(r"listening on http(s?)://(127\.0\.0\.1):(\d+)\n", first)
        expect(match, f"first line {first!r}")
        self.host, self.port = match[2], int(match[3])
        self.url = f"http{match[1]}://{self.host}:{self.port}"
        self.ws = f"ws{match[1]}://{self.host}:{self.port}"
        self.log = []
        self.reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True)
        self.reader.start()

    def memory_peak(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        try:
            return self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("did not end within 20 s of the signal") from None

    def socket(self):
        return socket.create_connection((self.host, self.port), timeout=LIMIT)


def curl(*arguments, stdin=None):
    run = subprocess.run(["curl", "-sS", "--noproxy", "*", "--max-time", str(LIMIT), *arguments],
                         input=stdin, capture_output=True, timeout=LIMIT + 10)
    expect(run.returncode == 0, f"curl {arguments}: exit {run.returncode}: {run.stderr.decode()}")
    return run.stdout


def status(*arguments, stdin=None):
    return int(curl("-o", os.devnull, "-w", "%{http_code}", *arguments, stdin=stdin))


def until(sock, wanted):
    """Reads until `wanted` has come, or fails at the end of the stream."""
    got = bytearray()
    while wanted not in got:
        piece = sock.recv(65536)
        expect(piece, f"ended before {wanted!r}: {bytes(got)!r}")
        got += piece
    return bytes(got)


def rest(sock):
    """Everything up to the end of the stream; a reset counts as an end."""
    got = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(65536):
            got += piece
    return bytes(got)


def program(*arguments, stdin=b"", environment=None):
    """Our program, which does not see the proxies of whoever runs the checks."""
    own = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.run([OPTIONS.binary, *arguments], input=stdin, capture_output=True, timeout=LIMIT,
                          env=own | (environment or {}))
