# SPDX-License-Identifier: MIT
"""A flood of one kind from many addresses: `flooder.py KIND RATE SECONDS PORT < MATERIAL`.

Run by bench_flood.py on a host that owns 198.18.0.0/16.  MATERIAL is one line: the victim's
public key (initiations), or a recorded packet in hex (replays).  Prints how many were sent.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from collections.abc import Callable

from wgtools.crypto.blake2s import hash32, mac16
from wgtools.engine.constants import LABEL_MAC1
from wgtools.keys import Key

VICTIM = "203.0.113.1"
_BATCH = 50  # messages between looks at the clock
_IP_PKTINFO = 8


def _maker(kind: str, material: str) -> Callable[[int], bytes]:
    noise = os.urandom(1 << 16)
    if kind == "initiations":
        key = hash32(LABEL_MAC1, bytes(Key.from_base64(material.encode())))

        def initiation(serial: int) -> bytes:
            at = serial * 7 % 60_000
            body = struct.pack("<II", 1, serial & 0xFFFFFFFF) + noise[at : at + 108]
            return body + mac16(key, body) + bytes(16)

        return initiation
    if kind == "replays":
        recorded = bytes.fromhex(material)
        return lambda _serial: recorded
    if kind == "unknown indices":
        return lambda serial: struct.pack("<IIQ", 4, serial * 2654435761 % 2**32, 1) + noise[:80]
    return lambda serial: noise[serial * 13 % 60_000 :][: 1 + serial * 31 % 1000]


def main(kind: str, rate: float, seconds: float, port: int) -> None:
    make = _maker(kind, sys.stdin.readline().strip())
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    sources = [
        (
            socket.IPPROTO_IP,
            _IP_PKTINFO,
            struct.pack("=i4s4s", 0, bytes([198, 18, n >> 8, n & 255]), bytes(4)),
        )
        for n in range(256, 65_000)
    ]
    sent = 0
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < seconds:
        if sent > passed * rate:
            time.sleep((sent - passed * rate) / rate)
            continue
        for _ in range(_BATCH):
            source = sources[sent * 7919 % len(sources)]
            sock.sendmsg((make(sent),), (source,), 0, (VICTIM, port))
            sent += 1
    print(sent, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
