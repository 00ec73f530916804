# SPDX-License-Identifier: MIT
"""A peer that sends its own transport message through the tunnel to the tunnel's port.

    inside_out.py PORT < KEYS      our private key and the other's public key, one a line

Whoever takes it for a move believes that the peer is inside of the tunnel that leads to it.
"""

from __future__ import annotations

import os
import socket
import sys
import time

from wgtools.engine.device import Engine
from wgtools.engine.events import Now
from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, Endpoint, PeerChange
from wgtools.testing.link import frame
from wgtools.testing.packets import ipv4, udp, with_checksum


def now() -> Now:
    return Now(time.monotonic(), time.time_ns())


def packet(port: int, content: bytes) -> bytearray:
    return frame(with_checksum(ipv4("10.77.0.2", "10.77.0.1", 17, udp(7777, port, content))))


def main(port: int) -> None:
    private, public = (Key.from_base64(line.strip()) for line in sys.stdin.buffer)
    peer = PeerChange(
        public,
        endpoint=Endpoint("192.0.2.1", port),
        allowed_ips=[AllowedIP.parse("10.77.0.1/32")],
    )
    engine = Engine(os.urandom)
    engine.configure(DeviceChange(private_key=private, peers=[peer]), now())
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(10)
    sock.bind(("192.0.2.2", port))

    def flush() -> None:
        for address, _, data, _ in engine.outgoing().datagrams:
            sock.sendto(data, address)

    engine.frame_received(packet(9, b"hello"), now())
    flush()
    data, address = sock.recvfrom(2048)  # the response
    engine.datagrams_received(data, len(data), address, None, now())
    flush()
    engine.frame_received(packet(9, b"inside"), now())
    ((_, _, message, _),) = engine.outgoing().datagrams
    engine.frame_received(packet(port, bytes(message)), now())
    flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
