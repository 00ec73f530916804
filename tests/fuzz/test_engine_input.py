# SPDX-License-Identifier: MIT
"""Whatever comes from the network or the TUN: nothing is raised, nothing grows, all is counted."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from wgtools.engine.device import Engine
from wgtools.engine.events import Drop
from wgtools.engine.messages import NONCE, TRANSPORT
from wgtools.testing.link import Link, frame, pair
from wgtools.testing.packets import ipv4, udp

HELLO = ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2, b"hello"))


def _shaken() -> Link:
    joined = pair()
    joined.send(joined.hosts[0], HELLO)
    joined.run()
    return joined


def _state(engine: Engine) -> object:
    """All that an unauthenticated packet must leave alone."""
    return (
        engine.snapshot(),
        dict(engine._context.indices.sessions),
        dict(engine._context.indices.handshakes),
        [
            (peer.address, peer.sticky, peer.timers.due(), peer.handshake.state)
            for peer in engine._peers.values()
        ],
        engine._context.staged_bytes,
    )


def _message(kind: int, size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size - 4, max_size=size - 4).map(
        lambda rest: bytes([kind, 0, 0, 0]) + rest
    )


DATAGRAMS = st.one_of(
    st.binary(max_size=200),
    _message(1, 148),
    _message(2, 92),
    _message(3, 64),
    _message(4, 32),
    _message(4, 96),
)


@given(
    st.lists(DATAGRAMS, max_size=5),
    st.integers(-1, 300),
    st.sampled_from(
        [("192.0.2.1", 1111), ("", 0), ("not an address", 99), ("fe80::1%7", 1, 0, 7), ("::", 5)]
    ),
)
@settings(max_examples=300, deadline=None)
def test_any_datagrams(datagrams: list[bytes], size: int, address: tuple[str, int]) -> None:
    joined = _shaken()
    engine = joined.hosts[1].engine
    before = _state(engine)
    data = b"".join(datagrams)
    engine.datagrams_received(data, size, address, None, joined.clock.now)
    assert _state(engine) == before
    out = engine.outgoing()
    assert not out.frames
    assert not out.events
    assert sum(len(data) for _, _, data, _ in out.datagrams) <= len(data), "no amplification"
    if data and size > 0:
        assert sum(engine.counters.values()) == -(-len(data) // size)


@given(st.integers(0, 147), st.integers(0, 255), st.sampled_from([0, 1, 2]))
@settings(max_examples=200, deadline=None)
def test_a_real_message_with_one_byte_changed(at: int, flip: int, which: int) -> None:
    """mac1 covers all of a handshake message but its mac2; the AEAD all that is transport."""
    joined = _shaken()
    one = joined.seen[which]
    raw = bytearray(one.data)
    at %= len(raw) - 16
    raw[at] ^= flip or 1
    host = joined.hosts[0] if which == 1 else joined.hosts[1]
    before = _state(host.engine)
    host.engine.datagrams_received(raw, len(raw), ("198.51.100.1", 9), None, joined.clock.now)
    assert _state(host.engine) == before
    assert sum(host.engine.counters.values()) == 1


@given(st.binary(max_size=300), st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_frame(data: bytes, routed: bool) -> None:
    joined = _shaken()
    engine = joined.hosts[0].engine
    raw = bytearray(data)
    if routed and len(raw) >= 30:
        raw[10] = 0x45
        raw[26:30] = bytes([10, 0, 0, 2])
    engine.frame_received(raw, joined.clock.now)
    out = engine.outgoing()
    assert len(out.datagrams) + sum(engine.counters.values()) >= 1


@given(
    st.tuples(
        st.integers(0, 255),
        st.sampled_from([0, 1, 3, 4, 5, 0x81, 0x84, 255]),
        st.integers(0, 65535),
        st.integers(0, 65535),
        st.integers(0, 65535),
        st.integers(0, 65535),
    ),
    st.sampled_from([0x45, 0x46, 0x4F, 0x41, 0x60]),
    st.binary(min_size=0, max_size=200),
    st.sampled_from([6, 17, 1]),
)
@settings(max_examples=400, deadline=None)
def test_any_net_header(
    head: tuple[int, int, int, int, int, int], first: int, rest: bytes, protocol: int
) -> None:
    import struct

    joined = _shaken()
    a, b = joined.hosts
    packet = bytearray(ipv4("10.0.0.1", "10.0.0.2", protocol, rest))
    packet[0] = first
    raw = frame(bytes(packet), struct.pack("=BBHHHH", *head))
    spare = bytes(raw[-16:])
    a.engine.frame_received(raw, joined.clock.now)
    assert bytes(raw[-16:]) == spare, "the spare bytes come back as they were"
    joined.run()
    assert not b.engine.counters.keys() - {Drop.BAD_INNER, Drop.BAD_SOURCE}


INNER = st.one_of(
    st.binary(max_size=120),
    st.tuples(
        st.sampled_from([0x45, 0x46, 0x40, 0x60, 0x6F]),
        st.integers(0, 90),
        st.sampled_from([6, 17, 1, 0]),
        st.binary(min_size=40, max_size=90),
    ).map(
        lambda t: (
            bytes([t[0], 0, 0, t[1], 0, t[1], 0x40, 0, 64, t[2], 0, 0, 10, 0, 0, 1])
            + bytes([10, 0, 0, 2])
            + t[3]
        )
    ),
)


@given(st.lists(INNER, max_size=6), st.booleans())
@settings(max_examples=300, deadline=None)
def test_anything_inside_from_a_peer_that_has_our_trust(inners: list[bytes], udp_too: bool) -> None:
    joined = _shaken()
    a, b = joined.hosts
    b.engine._receiver._coalesce_udp = udp_too
    session = next(iter(a.engine._context.indices.sessions.values()))
    before = len(b.frames)
    for inner in inners:
        sealed = bytearray(len(inner) + 16)
        session.seal(NONCE.pack(session.sent), inner, None, sealed)
        head = TRANSPORT.pack(4, session.remote_index, session.sent)
        session.sent += 1
        data = head + bytes(sealed)
        b.engine.datagrams_received(data, len(data), a.address, None, joined.clock.now)
    joined.collect()
    dropped = b.engine.counters[Drop.BAD_INNER] + b.engine.counters[Drop.BAD_SOURCE]
    empty = sum(not inner for inner in inners)
    assert len(b.frames) - before + dropped + empty == len(inners)


def test_a_flood_of_rubbish_takes_no_room() -> None:
    joined = _shaken()
    engine = joined.hosts[1].engine
    index = joined.seen[1].data[4:8]  # B's own, as anyone on the way can read it
    data = (bytes([4, 0, 0, 0]) + index + bytes(1444)) * 44
    for _ in range(2000):  # 128 MB without the shell ever draining
        engine.datagrams_received(data, 1452, ("198.51.100.1", 1), None, joined.clock.now)
    assert engine.counters == {Drop.BAD_TAG: 88_000}
    assert engine._context.outbox._used < 1 << 16
