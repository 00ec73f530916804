# SPDX-License-Identifier: MIT
"""Days of two engines in seconds: time is an argument, so it can pass as fast as we like."""

from __future__ import annotations

import gc
import tracemalloc
from random import Random

from tests.fuzz.network_targets import check
from wgtools.engine.events import HandshakeCompleted
from wgtools.testing.link import Flying, Link, pair
from wgtools.testing.packets import ipv4, udp

HELLO = ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2, b"hello"))
HOUR = 3600.0


def _hours(joined: Link, hours: int, *, every: float) -> int:
    """Packets sent both ways and arrived, over that time."""
    arrived = 0
    a, b = joined.hosts
    for _ in range(int(hours * HOUR / every)):
        joined.send(a, HELLO)
        joined.wait(every)
        arrived += len(b.frames)
        b.frames.clear()
        joined.seen.clear()
    return arrived


def test_a_day_loses_nothing_and_keeps_nothing() -> None:
    joined = pair(keepalive=25)
    _hours(joined, 2, every=7.0)
    a, b = joined.hosts
    a.events.clear()
    tracemalloc.start()
    try:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        assert _hours(joined, 22, every=7.0) == int(22 * HOUR / 7.0)
        handshakes = sum(isinstance(event, HandshakeCompleted) for event in a.events)
        for host in joined.hosts:
            host.events.clear()
            check(host.engine)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    # One session after the other, each for Rekey-After-Time and until the next packet.
    assert 22 * HOUR / 127 - 2 <= handshakes <= 22 * HOUR / 120 + 2
    assert not a.engine.counters
    assert not b.engine.counters
    assert grown < 32 << 10


def test_a_bad_network_for_hours_ends_no_session() -> None:
    """A tenth of all is lost, doubled or late; every gap in what arrives is of lost packets."""
    random = Random(1)
    joined = pair()
    late: list[Flying] = []

    def meddle(one: Flying) -> list[Flying]:
        match random.randrange(30):
            case 0:
                return []
            case 1:
                return [one, one]
            case 2:
                late.append(one)
                return []
            case 3 if late:
                return [one, late.pop(0)]
            case _:
                return [one]

    joined.meddle = meddle
    arrived = _hours(joined, 6, every=3.0)
    sent = int(6 * HOUR / 3.0)
    assert arrived >= sent * 0.9
    for host in joined.hosts:
        check(host.engine)


def test_suspends_of_every_length_are_slept_off() -> None:
    """After any sleep of one end or of both, the first packet goes through."""
    joined = pair()
    a, b = joined.hosts
    for exponent in range(24):
        joined.send(a, HELLO)
        joined.run()
        b.frames.clear()
        joined.clock.advance(2.0**exponent)
        (b if exponent % 2 else a).engine.timer_due(joined.clock.now)
        joined.collect()
        joined.flying.clear()  # what it says first is lost
        for _ in range(4):
            joined.send(a, HELLO)
            joined.wait(5.4)
        assert b.frames, exponent
        for host in joined.hosts:
            check(host.engine)
