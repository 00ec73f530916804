# SPDX-License-Identifier: MIT
"""Records wireguard_go.json: a real wireguard-go shakes hands with our engine, both ways.

As root, in a network namespace of its own, with wireguard-go, wg, ip and ping installed:

    ip netns add record && ip netns exec record \\
        python tests/vectors/record_wireguard_go.py > tests/vectors/wireguard_go.json

What wireguard-go sent is the vector; our side's chance is fixed, so that it can be
computed again.  The namespace is the caller's to remove.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from wgtools.crypto.x25519 import public_key
from wgtools.engine.device import Engine
from wgtools.engine.events import Now
from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, Endpoint, PeerChange
from wgtools.testing.entropy import FakeEntropy
from wgtools.testing.link import frame
from wgtools.testing.packets import ipv4, udp

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS, THEIRS, PSK = (
    Key.from_entropy(f"wgtools vector: {what}".encode().ljust(32, b"."))
    for what in ("our key", "their key", "a psk")
)
SEED = 20260101
WALL_NS = 1_800_000_000 * 10**9  # the wall clock stands still, so that our bytes can be made again
NAME = "wgrecord0"
PORT = 51999


HELLO = ipv4("10.77.0.1", "10.77.0.2", 17, udp(7, 7, b"hello"))


def make_engine(ours: Key, their_public: Key, psk: Key, seed: int, at: Now) -> Engine:
    """Our side as it is recorded and as the test makes it again."""
    engine = Engine(FakeEntropy(seed))
    peer = PeerChange(
        their_public,
        preshared_key=psk,
        endpoint=Endpoint("127.0.0.1", PORT),
        allowed_ips=[AllowedIP.parse("10.77.0.2/32")],
    )
    engine.configure(DeviceChange(private_key=ours, peers=[peer]), at)
    return engine


def run(*argv: str) -> None:
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


def now() -> Now:
    return Now(time.monotonic(), WALL_NS)


def talk(engine: Engine, sock: socket.socket, seconds: float) -> Iterator[tuple[str, bytes]]:
    """Carry datagrams for a while; yields ("sent" or "received", datagram)."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for address, _, data, size in engine.outgoing().datagrams:
            for at in range(0, len(data), size):
                datagram = bytes(data[at : at + size])
                yield "sent", datagram
                sock.sendto(datagram, address)
        if select.select([sock], [], [], 0.1)[0]:
            datagram, address = sock.recvfrom(65535)
            yield "received", datagram
            engine.datagrams_received(datagram, len(datagram), address, None, now())


def record(*, we_call: bool) -> dict[str, object]:
    daemon = subprocess.Popen(["wireguard-go", "-f", NAME], stderr=subprocess.DEVNULL)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        tempfile.TemporaryDirectory() as folder,
    ):
        try:
            while not Path(f"/var/run/wireguard/{NAME}.sock").exists():
                time.sleep(0.05)
            sock.bind(("127.0.0.1", 0))
            private, psk = Path(folder, "private"), Path(folder, "psk")
            private.write_text(THEIRS.base64())
            psk.write_text(PSK.base64())
            ours = Key(public_key(bytes(OURS))).base64()
            endpoint = f"127.0.0.1:{sock.getsockname()[1]}"
            run("wg", "set", NAME, "private-key", str(private), "listen-port", str(PORT))
            run("wg", "set", NAME, "peer", ours, "preshared-key", str(psk),
                "endpoint", endpoint, "allowed-ips", "10.77.0.1/32")  # fmt: skip
            run("ip", "address", "add", "10.77.0.2/24", "dev", NAME)
            run("ip", "link", "set", NAME, "up")
            engine = make_engine(OURS, Key(public_key(bytes(THEIRS))), PSK, SEED, now())
            if we_call:  # nobody listens on their port 7: their kernel says so in ICMP
                engine.frame_received(frame(HELLO), now())
            else:
                subprocess.Popen(["ping", "-c1", "-W1", "10.77.0.1"], stdout=subprocess.DEVNULL)
            return {
                "we_call": we_call,
                "messages": [[way, datagram.hex()] for way, datagram in talk(engine, sock, 2.0)],
            }
        finally:
            daemon.terminate()
            daemon.wait()


def main() -> None:
    run("ip", "link", "set", "lo", "up")
    calls = [record(we_call=True), record(we_call=False)]
    document = {
        "origin": "wireguard-go 0.0.20220316 (Debian) and this engine, recorded by "
        "tests/vectors/record_wireguard_go.py, which says how to record it again",
        "licence": "MIT",
        "wall_ns": WALL_NS,
        "our_private": bytes(OURS).hex(),
        "their_private": bytes(THEIRS).hex(),
        "psk": bytes(PSK).hex(),
        "seed": SEED,
        "calls": calls,
    }
    json.dump(document, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
