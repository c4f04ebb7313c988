"""A bad link: two TUN devices in two network namespaces, and packets that are lost, doubled and overtaken between them.

    impair.py NAMESPACE_A NAMESPACE_B DEVICE SEED

It does what `tc netem` does, on kernels that lack it too, and the same packets are hit in every run of a seed. Prints
`ready` once both devices are there; ends with its standard input.
"""

import fcntl
import heapq
import os
import random
import select
import struct
import sys
import threading
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
LOSS, DOUBLED, LATE = 0.05, 0.02, 0.05
DELAY, LATER = 0.002, 0.004  # seconds


def enter(namespace):
    """Moves this thread into a namespace."""
    import ctypes
    with open(f"/var/run/netns/{namespace}") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0x40000000):
            raise OSError(ctypes.get_errno(), "setns")


def open_tun(namespace, name):
    """A TUN device belongs to the namespace of the thread that opened it."""
    opened = []

    def run():
        enter(namespace)
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
        opened.append(fd)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return opened[0]


def main():
    a, b, name, seed = sys.argv[1:]
    rng = random.Random(int(seed))
    ends = [open_tun(a, name), open_tun(b, name)]
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    print("ready", flush=True)
    waiting, count = [], 0
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, fd, packet = heapq.heappop(waiting)
            try:
                os.write(fd, packet)
            except OSError:
                pass  # Down: lost.
        timeout = max(0, waiting[0][0] - time.monotonic()) if waiting else None
        readable, _, _ = select.select([*ends, sys.stdin], [], [], timeout)
        if sys.stdin in readable and not os.read(0, 1):
            return
        for fd in readable:
            while fd in other:
                try:
                    packet = os.read(fd, 65536)
                except BlockingIOError:
                    break
                for _ in range(0 if rng.random() < LOSS else 2 if rng.random() < DOUBLED else 1):
                    count += 1
                    late = LATER if rng.random() < LATE else 0
                    heapq.heappush(waiting, (time.monotonic() + DELAY + late, count, other[fd], packet))


main()
