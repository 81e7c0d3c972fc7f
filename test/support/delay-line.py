"""A delay line for packets: what the kernel routes into this TUN device comes out of it later, in order.

Usage: delay-line.py NAME DELAY_MS JITTER_MS. Says "ready" when the device is there; ends with its stdin.
"""
import collections
import fcntl
import os
import random
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
MAX_PACKETS = 1000

name, delay, jitter = sys.argv[1], float(sys.argv[2]) / 1000, float(sys.argv[3]) / 1000
tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
print("ready", flush=True)

packets = collections.deque()
last_due = 0.0
while True:
    wait = None if not packets else max(0.0, packets[0][0] - time.monotonic())
    readable, _, _ = select.select([tun, sys.stdin], [], [], wait)
    if sys.stdin in readable:
        break
    now = time.monotonic()
    if tun in readable:
        packet = os.read(tun, 65536)
        last_due = max(last_due, now + delay + random.uniform(-jitter, jitter))
        if len(packets) < MAX_PACKETS:
            packets.append((last_due, packet))
    while packets and packets[0][0] <= now:
        os.write(tun, packets.popleft()[1])
