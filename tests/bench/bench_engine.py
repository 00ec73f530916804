# SPDX-License-Identifier: MIT
"""What the engine costs per packet and per handshake, without sockets and TUN.

    python -m tests.bench.bench_engine

Two engines in memory carry a TCP stream: super-packets as a TUN gives them in, datagrams
as UDP GRO gives them out.  Prints microseconds of one core; what is noted is noted beside
the cipher alone, which says how fast the machine is at the moment.
"""

from __future__ import annotations

import os
import statistics
import sys
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.figures import note
from wgtools.crypto.aead import seal_into
from wgtools.engine.device import Engine
from wgtools.engine.events import Now
from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, Endpoint, PeerChange
from wgtools.testing.link import frame, pair
from wgtools.testing.packets import ipv4, net_header, tcp, with_checksum

MSS = 1380  # of a 1,420-byte packet without TCP options
SEGMENTS = 44  # what fits in one UDP GSO send
REPEAT = 7
CIPHER = "AEAD alone, 1420 bytes"


def main() -> None:
    cipher = _aead()
    print(f"{CIPHER:44} {cipher:9.2f} us")
    taken: dict[str, float] = {}

    def report(what: str, microseconds: float) -> None:
        print(f"{what:44} {microseconds:9.2f} us")
        taken[" ".join(what.split())] = microseconds

    sending, receiving = _stream(SEGMENTS)
    report(f"send, super-packets of {SEGMENTS}, per packet", sending)
    report("receive, joined, per packet", receiving)
    sending, receiving = _stream(1)
    report("send, single packets of 1420", sending)
    report("receive, single packets of 1420", receiving)
    sending, receiving = _stream(1, payload=0)
    report("send, pure ACKs", sending)
    report("receive, pure ACKs", receiving)
    report("handshakes, both sides", _handshakes(300))
    report("handshakes, responder alone", _initiations(300))
    for count in (1_000, 10_000, 100_000):
        report(f"lookup among {count:7} allowed IPs, uncached", _lookups(count))
    cipher = min(cipher, _aead())  # a yardstick taken in a bad moment would hide what got worse
    note(CIPHER, cipher, "us")
    for what, microseconds in taken.items():
        note(what, microseconds, "us", beside=cipher)


def _aead() -> float:
    seal = seal_into(bytes(32))
    data, out, nonce = bytes(1420), bytearray(1436), bytes(12)
    times = []
    for _ in range(REPEAT):
        start = perf_counter()
        for _ in range(5000):
            seal(nonce, data, None, out)
        times.append((perf_counter() - start) / 5000)
    return min(times) * 1e6


def _stream(segments: int, payload: int = MSS) -> tuple[float, float]:
    """(sending, receiving) microseconds per packet of a TCP stream."""
    joined = pair()
    a, b = joined.hosts
    joined.send(a, ipv4("10.0.0.1", "10.0.0.2", 17, bytes(8)))
    joined.run()
    packet = ipv4("10.0.0.1", "10.0.0.2", 6, tcp(1, 2, payload=os.urandom(payload * segments)))
    head = net_header(gso_type=1, gso_size=MSS, csum_start=20) if segments > 1 else bytes(10)
    if segments == 1:
        packet = with_checksum(packet)
    original = frame(packet, head)
    now = joined.clock.now
    rounds = max(1, 2000 // segments)
    best_send = best_receive = 1e9
    work = bytearray(original)
    for _ in range(REPEAT):
        spent_send = spent_receive = 0.0
        for _ in range(rounds):
            repeats = 1 if segments > 1 else SEGMENTS
            start = perf_counter()
            for _ in range(repeats):
                work[:] = original
                a.engine.frame_received(work, now)
            out = a.engine.outgoing()
            spent_send += perf_counter() - start
            for _, _, data, size in out.datagrams:
                copy = bytearray(data)
                start = perf_counter()
                b.engine.datagrams_received(copy, size, a.address, None, now)
                b.engine.outgoing()
                spent_receive += perf_counter() - start
        packets = rounds * SEGMENTS
        best_send = min(best_send, spent_send / packets)
        best_receive = min(best_receive, spent_receive / packets)
    return best_send * 1e6, best_receive * 1e6


def _handshakes(count: int) -> float:
    """Microseconds for initiation, response and confirmation, both engines together."""
    times = []
    for _ in range(3):
        joined = pair()
        a = joined.hosts[0]
        start = perf_counter()
        for _ in range(count):
            joined.clock.advance(200.0)
            joined.send(a, ipv4("10.0.0.1", "10.0.0.2", 17, bytes(8)))
            joined.run()
        times.append((perf_counter() - start) / count)
    return min(times) * 1e6


def _initiations(count: int) -> float:
    """Microseconds to take up an initiation and make the response."""
    times = []
    for _ in range(3):
        joined = pair()
        a, b = joined.hosts
        spent = 0.0
        for _ in range(count):
            joined.clock.advance(200.0)
            joined.send(a, ipv4("10.0.0.1", "10.0.0.2", 17, bytes(8)))
            _, _, data, size = a.engine.outgoing().datagrams[0]
            message = bytes(data)
            start = perf_counter()
            b.engine.datagrams_received(message, size, a.address, None, joined.clock.now)
            b.engine.outgoing()
            spent += perf_counter() - start
        times.append(spent / count)
    return min(times) * 1e6


def _lookups(count: int) -> float:
    engine = Engine(os.urandom)
    now = Now(0.0, 0)
    engine.configure(DeviceChange(private_key=Key.from_entropy(os.urandom(32))), now)
    networks = [AllowedIP((i << 8).to_bytes(4, "big"), 24 + i % 8) for i in range(count)]
    peer = PeerChange(Key(os.urandom(32)), endpoint=Endpoint("192.0.2.1", 1), allowed_ips=networks)
    engine.configure(DeviceChange(peers=[peer]), now)
    lookup = engine._allowed.lookup
    addresses = [(i << 8 | 1).to_bytes(4, "big") for i in range(0, count, max(1, count // 1000))]
    times = []
    for _ in range(REPEAT):
        start = perf_counter()
        for address in addresses:
            lookup(address)
        times.append((perf_counter() - start) / len(addresses))
    return statistics.median(times) * 1e6


if __name__ == "__main__":
    main()
