"""Linux's TCP against ours, each as server and as client, on TUN devices in network namespaces.

Run it through `tests/tun/run`.
"""

import argparse
import subprocess
import sys
import time

import websockets

import client_role
import rough
import server_role
from lab import Skip, namespaces, why_no_netem

FAILURES = (AssertionError, OSError, subprocess.TimeoutExpired, websockets.WebSocketException)


def check(function, subject):
    """Returns whether it holds."""
    begin = time.monotonic()
    try:
        note = function(subject) or ""
        print(f"  ok      {function.__name__} ({time.monotonic() - begin:.1f} s) {note}", flush=True)
    except Skip as reason:
        print(f"  skipped {function.__name__}: {reason}", flush=True)
    except FAILURES as error:
        print(f"  FAILED  {function.__name__}: {error!r}", flush=True)
        return False
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--only", default="", help="part of the names of the checks to run")
    arguments = parser.parse_args()
    failed = 0

    def run(checks, subject):
        wanted = [function for function in checks if arguments.only in function.__name__]
        return sum(not check(function, subject) for function in wanted)

    with namespaces():
        reason = why_no_netem()
        print("bad links: " + (f"the relay impair.py ({reason})" if reason else "tc netem"), flush=True)
        for offload in (False, True):
            how = "with offloads" if offload else "without offloads"
            print(f"drywire serve --runtime tun, {how}", flush=True)
            with server_role.Server(arguments.binary, offload) as server:
                failed += run(server_role.CHECKS + rough.CHECKS + ([] if offload else rough.CALLS), server)
            print(f"drywire get and drywire ws --runtime tun, {how}", flush=True)
            with client_role.Client(arguments.binary, offload) as client:
                failed += run(client_role.CHECKS, client)
        failed += run([rough.a_removed_device_ends_the_server], arguments.binary)
    sys.exit(1 if failed else 0)


main()
