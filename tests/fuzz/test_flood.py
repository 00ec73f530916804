# SPDX-License-Identifier: MIT
"""Floods from many sources: what they cost in memory, and that a session does not notice.

In memory and in virtual time, so that the figures are the same everywhere; what it costs
in throughput is measured by tests/bench/bench_flood.py.
"""

from __future__ import annotations

import gc
import os
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import cycle

import pytest

from wgtools.crypto.blake2s import hash32, mac16
from wgtools.engine.constants import HANDSHAKES_PER_SECOND, LABEL_MAC1, LIMIT_SOURCES
from wgtools.engine.device import Engine
from wgtools.engine.events import Address, Drop, HandshakeCompleted
from wgtools.engine.ratelimit import ProvedLimiter, SourceLimiter
from wgtools.testing.link import Host, Link, pair
from wgtools.testing.packets import ipv4, udp

PER_SECOND = 10_000
SECONDS = 10  # so 100,000 messages
SOURCES = 60_000
HELLO = ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2, b"hello"))


def sources() -> Iterator[Address]:
    """Spoofed addresses of both families, in an order that is none."""
    n = 0
    while True:
        n = (n * 75 + 74) % 65_537  # the ZX81's generator: a full period
        if n >= SOURCES:
            continue
        if n % 2:
            yield f"198.18.{n >> 8}.{n & 255}", 1024 + n % 60_000
        else:
            yield f"2001:db8:{n:x}::{n:x}", 1024 + n % 60_000, 0, 0


def established() -> Link:
    joined = pair()
    joined.send(joined.hosts[0], HELLO)
    joined.run()
    return joined


def initiation(victim: Engine, serial: int) -> bytes:
    """Rubbish with a mac1 that holds: whoever knows a public key can make it."""
    public = victim.snapshot().public_key
    assert public is not None
    body = struct.pack("<II", 1, serial) + serial.to_bytes(8, "big") * 13 + bytes(4)
    mac1 = mac16(hash32(LABEL_MAC1, bytes(public)), body)
    return body + mac1 + bytes(16)


def flood(joined: Link, victim: Host, message: Iterator[bytes]) -> int:
    """SECONDS of messages, and one packet of the session after every hundred of them; how
    many bytes the victim answered to strangers."""
    said = 0
    a = joined.hosts[0]
    source = sources()
    victim.frames.clear()
    for n in range(PER_SECOND * SECONDS):
        one = next(message)
        now = joined.clock.now
        victim.engine.datagrams_received(one, len(one), next(source), None, now)
        joined.clock.advance(1 / PER_SECOND)
        if n % 100 == 99:
            out = victim.engine.outgoing()
            said += sum(len(data) for _, _, data, _ in out.datagrams)
            assert not out.frames
            joined.send(a, HELLO)
            joined.run()
            joined.seen.clear()
    assert len(victim.frames) == PER_SECOND * SECONDS // 100, "packets of the session were lost"
    return said


def entries(engine: Engine) -> int:
    """All that an engine remembers of those who are not peers."""
    gate = engine._receiver._gate
    assert gate is not None
    proved = gate._proved
    limiters = (gate._unproved, proved._sources, proved._sites, proved._all)
    tables = engine._context.indices
    return (
        sum(len(one) for one in limiters)
        + len(tables.handshakes)
        + len(tables.sessions)
        + len(engine._routes._flows)
        + len(engine._context.agenda._heap)
    )


def test_initiations_from_everywhere() -> None:
    """Cookies come on with the load, an honest peer gets in all the same, and they go off."""
    joined = established()
    a, b = joined.hosts
    public = b.engine.snapshot().public_key
    assert public is not None
    key = hash32(LABEL_MAC1, bytes(public))

    def messages() -> Iterator[bytes]:
        serial = 0
        while True:
            serial += 1
            body = struct.pack("<II", 1, serial) + serial.to_bytes(8, "big") * 13 + bytes(4)
            yield body + mac16(key, body) + bytes(16)

    said = flood(joined, b, messages())
    counters = b.engine.counters
    total = PER_SECOND * SECONDS
    assert sum(counters.values()) == total
    # What was computed without proof of an address: a burst, then now and then another.
    assert counters[Drop.BAD_HANDSHAKE] <= HANDSHAKES_PER_SECOND * (SECONDS + 1)
    assert counters[Drop.COOKIE_DEMANDED] >= total * 0.95
    assert said == 64 * counters[Drop.COOKIE_DEMANDED]
    assert entries(b.engine) <= 2 * LIMIT_SOURCES + 100

    # Under load: a cookie first, then the handshake.
    a.events.clear()
    joined.clock.advance(125.0)
    _load(b, joined)
    demanded = counters[Drop.COOKIE_DEMANDED]
    joined.send(a, HELLO)
    joined.run()
    assert counters[Drop.COOKIE_DEMANDED] == demanded + 1
    joined.clock.advance(5.4)
    _load(b, joined)
    demanded = counters[Drop.COOKIE_DEMANDED]
    a.engine.timer_due(joined.clock.now)
    joined.run()
    assert any(isinstance(event, HandshakeCompleted) for event in a.events)
    assert counters[Drop.COOKIE_DEMANDED] == demanded

    # And after it none is demanded any more.
    joined.wait(200.0)
    a.events.clear()
    joined.send(a, HELLO)
    joined.run()
    assert any(isinstance(event, HandshakeCompleted) for event in a.events)
    assert counters[Drop.COOKIE_DEMANDED] == demanded


def _load(victim: Host, joined: Link) -> None:
    """One busy moment."""
    source = sources()
    for serial in range(HANDSHAKES_PER_SECOND + 50):
        one = initiation(victim.engine, serial)
        victim.engine.datagrams_received(one, len(one), next(source), None, joined.clock.now)
    victim.engine.outgoing()


def _unknown_index(_: Link) -> Iterator[bytes]:
    serial = 0
    while True:
        serial += 1
        yield struct.pack("<IIQ", 4, serial * 2_654_435_761 % 2**32, serial) + bytes(80)


def _known_index(joined: Link) -> Iterator[bytes]:
    (index,) = joined.hosts[1].engine._context.indices.sessions
    serial = 0
    while True:
        serial += 1
        yield struct.pack("<IIQ", 4, index, serial) + bytes(80)


def _replays(joined: Link) -> Iterator[bytes]:
    a, _ = joined.hosts
    seen = []
    for _ in range(50):
        joined.send(a, HELLO)
        joined.collect()
        seen += [one.data for one in joined.flying]
        joined.run()
    return cycle(seen)


def _rubbish(_: Link) -> Iterator[bytes]:
    noise = os.urandom(4096)
    at = 0
    while True:
        at = (at + 37) % 3000
        yield noise[at : at + at % 900 + 1]


def _without_mac(_: Link) -> Iterator[bytes]:
    while True:
        yield struct.pack("<I", 1) + bytes(144)
        yield struct.pack("<I", 2) + bytes(88)
        yield struct.pack("<I", 3) + bytes(60)


@pytest.mark.parametrize(
    ("messages", "reasons"),
    [
        pytest.param(_unknown_index, {Drop.UNKNOWN_INDEX}, id="unknown-index"),
        pytest.param(_known_index, {Drop.BAD_TAG}, id="known-index"),
        pytest.param(_replays, {Drop.REPLAYED_COUNTER}, id="replays"),
        pytest.param(_rubbish, {Drop.MALFORMED}, id="rubbish"),
        pytest.param(_without_mac, {Drop.BAD_MAC1, Drop.UNKNOWN_INDEX}, id="no-mac"),
    ],
)
def test_a_hundred_thousand_from_everywhere(messages: object, reasons: set[Drop]) -> None:
    """Counted, not answered, and no memory is taken."""
    assert callable(messages)
    joined = established()
    b = joined.hosts[1]
    flow = messages(joined)
    before = entries(b.engine)
    gc.collect()
    start = sys.getallocatedblocks()
    said = flood(joined, b, flow)
    b.frames.clear()
    gc.collect()
    grown = sys.getallocatedblocks() - start
    counters = Counter(b.engine.counters)
    assert set(counters) <= reasons | {Drop.UNKNOWN_INDEX}
    assert sum(counters.values()) == PER_SECOND * SECONDS
    assert said == 0
    assert entries(b.engine) <= before + 10
    assert grown < 1000  # blocks of all sizes: caches of the interpreter, not one a message


def test_limiters_are_bounded_whoever_asks() -> None:
    unproved, proved = SourceLimiter(), ProvedLimiter()
    allowed = 0
    for n in range(200_000):
        source = n.to_bytes(8, "big")
        unproved.allow(source, 1000.0 + n / 100_000)
        allowed += proved.allow(source, 1000.0 + n / 100_000)
    assert len(unproved) <= 2 * LIMIT_SOURCES
    for limiter in (proved._sources, proved._sites, proved._all):
        assert len(limiter) <= 2 * LIMIT_SOURCES
    # Whoever owns 200,000 networks of one site gets what those remembered may, and no more.
    assert allowed <= 2 * 2 * LIMIT_SOURCES + 2 * HANDSHAKES_PER_SECOND
