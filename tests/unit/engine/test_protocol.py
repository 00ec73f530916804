# SPDX-License-Identifier: MIT
"""Two engines, a bad network and time: what must hold whatever happens between them."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wgtools.engine.events import Drop, HandshakeCompleted, HandshakeFailed, KeysErased
from wgtools.testing.link import Flying, Link, frame, pair
from wgtools.testing.packets import ipv4, net_header, tcp, udp, with_pseudo_sum

if TYPE_CHECKING:
    from collections.abc import Callable

ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "wait", "timers", "big", "roam"]),
        st.integers(0, 3000),
    ),
    max_size=25,
)


def packet(number: int, *, back: bool = False) -> bytes:
    ends = ("10.0.0.2", "10.0.0.1") if back else ("10.0.0.1", "10.0.0.2")
    return ipv4(*ends, 17, udp(1, 2, number.to_bytes(4, "big") * 5))


def bad_network(seed: int) -> Callable[[Flying], list[Flying]]:
    """Drops, repeats, delays and reorders; what it delays it gives out with later traffic."""
    chance = Random(seed)
    held: list[Flying] = []

    def meddle(flying: Flying) -> list[Flying]:
        fate = chance.random()
        if fate < 0.15:
            return []
        if fate < 0.25:
            return [flying, flying]
        if fate < 0.45:
            held.append(flying)
            return []
        out = [flying, *held]
        held.clear()
        chance.shuffle(out)
        return out

    return meddle


def play(joined: Link, actions: list[tuple[str, int]]) -> tuple[list[bytes], list[bytes]]:
    """Do the actions; returns what was sent to B and to A."""
    a, b = joined.hosts
    to_b, to_a = [], []
    for number, (action, value) in enumerate(actions):
        if action == "a":
            to_b.append(packet(number))
            joined.send(a, to_b[-1])
        elif action == "b":
            to_a.append(packet(number, back=True))
            joined.send(b, to_a[-1])
        elif action == "wait":
            joined.wait(value / 10)
        elif action == "timers":
            for host in joined.hosts:
                host.engine.timer_due(joined.clock.now)
        elif action == "big":
            whole = ipv4("10.0.0.1", "10.0.0.2", 6, tcp(1, 2, payload=bytes(value + 1)))
            head = net_header(gso_type=1, gso_size=500, csum_start=20)
            joined.send(a, with_pseudo_sum(whole), head)
        else:
            joined.move(a, ("192.0.2.1", 1000 + value))
        joined.run(1000)
    return to_b, to_a


@given(ACTIONS, st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_no_packet_arrives_twice_or_changed(actions: list[tuple[str, int]], seed: int) -> None:
    joined = pair()
    joined.meddle = bad_network(seed)
    to_b, to_a = play(joined, actions)
    a, b = joined.hosts
    arrived_b = [one for one in b.packets if one[9] == 17]
    assert len(set(arrived_b)) == len(arrived_b)
    assert set(arrived_b) <= set(to_b)
    assert len(set(a.packets)) == len(a.packets)
    assert set(a.packets) <= set(to_a)


@given(ACTIONS, st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_once_the_network_heals_packets_arrive(actions: list[tuple[str, int]], seed: int) -> None:
    joined = pair()
    joined.meddle = bad_network(seed)
    play(joined, actions)
    joined.meddle = lambda flying: [flying]
    a, b = joined.hosts
    joined.wait(30.0)
    joined.send(a, packet(0xFFFFFFFF))
    joined.wait(200.0)  # longer than any session lives
    joined.send(a, packet(0xFFFFFFFE))
    joined.wait(20.0)
    assert packet(0xFFFFFFFE) in b.packets
    joined.send(b, packet(0xFFFFFFFD, back=True))
    joined.wait(20.0)
    assert packet(0xFFFFFFFD, back=True) in a.packets


@given(ACTIONS, st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_replayable(actions: list[tuple[str, int]], seed: int) -> None:
    """Equal inputs and equal entropy give equal bytes."""

    def run() -> list[object]:
        joined = pair(3)
        joined.meddle = bad_network(seed)
        play(joined, actions)
        return [
            joined.seen,
            *((h.frames, h.events, h.engine.counters, h.engine.snapshot()) for h in joined.hosts),
            [host.engine.next_deadline() for host in joined.hosts],
        ]

    assert run() == run()


def test_a_session_is_renewed_by_its_initiator_and_nothing_is_lost() -> None:
    joined = pair()
    a, b = joined.hosts
    for number in range(600):
        joined.send(a, packet(number))
        joined.send(b, packet(number, back=True))
        joined.run()
        joined.wait(1.0)
    assert len(set(b.packets)) == len(set(a.packets)) == 600
    initiations = [one for one in joined.seen if one.data[0] == 1]
    assert 5 <= len(initiations) <= 10, "both ends ask at the same moments here"
    assert not a.engine.counters
    assert not b.engine.counters


def test_when_both_call_at_once_both_calls_succeed() -> None:
    joined = pair()
    a, b = joined.hosts
    joined.send(a, packet(0))
    joined.send(b, packet(1, back=True))
    joined.run()
    assert [one.data[0] for one in joined.seen[:4]] == [1, 1, 2, 2]
    assert b.packets == [packet(0)]
    assert a.packets == [packet(1, back=True)]
    for host in (a, b):
        assert not host.engine.counters
        assert len(host.engine._context.indices.sessions) == 2
        assert not host.engine._context.indices.handshakes
    joined.send(a, packet(2))
    joined.send(b, packet(3, back=True))
    joined.run()
    assert b.packets[-1] == packet(2)
    assert a.packets[-1] == packet(3, back=True)


def test_a_receiver_that_initiated_asks_before_the_session_dies() -> None:
    joined = pair()
    a, b = joined.hosts
    joined.send(a, packet(0))
    joined.run()
    joined.wait(164.9)
    before = len(joined.seen)
    joined.send(b, packet(1, back=True))
    joined.run()
    assert [one.data[0] for one in joined.seen[before:]] == [4]
    joined.wait(0.2)
    joined.send(b, packet(2, back=True))
    joined.run()
    assert [one.data[0] for one in joined.seen[before:]] == [4, 4, 1, 2, 4]


def test_keepalives_alone_keep_the_keys_fresh() -> None:
    joined = pair(keepalive=25)
    joined.wait(6.0)
    before = len(joined.seen)
    joined.wait(1000.0)
    later = joined.seen[before:]
    assert 14 <= len([one for one in later if one.data[0] == 1]) <= 18, "two ends, every 125 s"
    for host in joined.hosts:
        assert not host.engine.counters


@pytest.mark.parametrize("initiator", [True, False])
def test_either_end_asks_for_new_keys_after_many_messages(initiator: bool) -> None:
    joined = pair()
    a, b = joined.hosts
    joined.send(a, packet(0))
    joined.run()
    joined.wait(10.0)
    sender = a if initiator else b
    (peer,) = sender.engine._peers.values()
    assert peer.keyring.current is not None
    peer.keyring.current.sent = 2**60  # whitepaper 6.1
    before = len(joined.seen)
    joined.send(sender, packet(1, back=not initiator))
    joined.run()
    kinds = [one.data[0] for one in joined.seen[before:] if one.source == sender.address]
    assert kinds == [4, 1, 4]


def test_the_first_packet_waits_for_the_response_and_the_responder_for_it() -> None:
    joined = pair()
    a, b = joined.hosts
    joined.send(a, packet(0))
    joined.collect()
    joined.deliver(joined.flying.pop())
    joined.send(b, packet(1, back=True))  # B has an unconfirmed session: it must wait
    joined.collect()
    assert [one.data[0] for one in joined.flying] == [2]
    joined.run()
    assert b.packets == [packet(0)]
    assert a.packets == [packet(1, back=True)]
    assert [type(event) for event in a.events] == [HandshakeCompleted]


def test_a_silent_peer_is_given_up_after_ninety_seconds_and_called_again_for_traffic() -> None:
    joined = pair()
    a = joined.hosts[0]
    joined.meddle = lambda _: []
    joined.send(a, packet(0))
    joined.wait(110.0)
    attempts = len(joined.seen)
    assert attempts == 1 + 18  # whitepaper 6.4: for 90 seconds, every 5 at most
    assert any(isinstance(event, HandshakeFailed) for event in a.events)
    assert a.engine.counters[Drop.STAGED_EXPIRED] == 1
    joined.wait(60.0)
    assert len(joined.seen) == attempts
    joined.send(a, packet(1))
    joined.run()
    assert len(joined.seen) == attempts + 1


def test_keys_are_erased_after_nine_minutes() -> None:
    joined = pair()
    a, b = joined.hosts
    joined.send(a, packet(0))
    joined.run()
    joined.wait(540.0 - 1)  # whitepaper 6.3: three times Reject-After-Time
    assert a.engine._context.indices.sessions
    joined.wait(2.0)
    for host in (a, b):
        assert not host.engine._context.indices.sessions
        assert isinstance(host.events[-1], KeysErased)
        assert host.engine.next_deadline() is None


def test_waking_after_a_day_does_everything_once() -> None:
    joined = pair(keepalive=25)
    a, b = joined.hosts
    joined.wait(1.0)
    before = len(joined.seen)
    joined.clock.advance(86400.0)
    for host in joined.hosts:
        host.engine.timer_due(joined.clock.now)
    joined.run()
    assert [one.data[0] for one in joined.seen[before:]].count(1) <= 2
    joined.send(a, packet(0))
    joined.run()
    assert b.packets == [packet(0)]


def test_a_replayed_initiation_is_refused() -> None:
    joined = pair()
    a, b = joined.hosts
    joined.send(a, packet(0))
    joined.run()
    joined.wait(30.0)
    before = len(joined.seen)
    joined.deliver(joined.seen[0])
    joined.run()
    assert len(joined.seen) == before
    assert b.engine.counters == {Drop.REPLAYED_HANDSHAKE: 1}


def test_one_peer_cannot_flood_with_fresh_initiations() -> None:
    joined = pair()
    a, b = joined.hosts
    (peer,) = a.engine._peers.values()
    joined.meddle = lambda _: []
    for _ in range(4):
        peer._initiation_sent = float("-inf")
        peer.send_initiation(joined.clock.now)
    joined.collect()
    for one in joined.seen:
        joined.deliver(one)
    assert b.engine.counters == {Drop.HANDSHAKE_FLOOD: 3}


def test_staged_packets_are_bounded_and_the_newest_are_kept() -> None:
    joined = pair()
    a, b = joined.hosts
    for number in range(128 + 50):
        joined.send(a, packet(number))
    joined.run()
    assert b.packets == [packet(number) for number in range(50, 128 + 50)]
    assert a.engine.counters == {Drop.STAGED_OVERFLOW: 50}
    assert a.engine._context.staged_bytes == 0


def test_staged_super_packets_are_bounded_by_bytes() -> None:
    joined = pair()
    a = joined.hosts[0]
    whole = with_pseudo_sum(ipv4("10.0.0.1", "10.0.0.2", 6, tcp(1, 2, payload=bytes(60000))))
    head = net_header(gso_type=1, gso_size=1380, csum_start=20)
    for _ in range(100):
        joined.send(a, whole, head)
    assert a.engine._context.staged_bytes <= 1 << 20
    joined.run()
    (peer,) = a.engine._peers.values()
    assert a.engine._context.staged_bytes == peer._staged._bytes == 0


def test_a_shell_that_does_not_drain_makes_the_engine_drop_and_not_grow() -> None:
    joined = pair()
    a = joined.hosts[0]
    joined.send(a, packet(0))
    joined.run()
    whole = with_pseudo_sum(ipv4("10.0.0.1", "10.0.0.2", 6, tcp(1, 2, payload=bytes(64000))))
    head = net_header(gso_type=1, gso_size=1380, csum_start=20)
    for _ in range(700):
        a.engine.frame_received(frame(whole, head), joined.clock.now)
    assert a.engine.counters[Drop.OUTGOING_FULL] > 0
    assert sum(len(data) for _, _, data, _ in a.engine.outgoing().datagrams) < 34 << 20
    assert sum(len(chunk) for chunk in a.engine._context.outbox._chunks) <= 4 << 20


def test_equal_datagrams_leave_as_one_buffer_of_at_most_64() -> None:
    joined = pair()
    a = joined.hosts[0]
    joined.send(a, packet(0))
    joined.run()
    for number in range(100):
        joined.send(a, packet(number))
    joined.send(a, ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2)))
    joined.send(a, packet(101))
    out = a.engine.outgoing()
    assert [(len(data), size) for _, _, data, size in out.datagrams] == [
        (64 * 80, 80),
        (36 * 80 + 64, 80),
        (80, 80),
    ]
    assert not a.engine.outgoing()


def test_a_super_packet_leaves_as_buffers_of_at_most_65000_bytes() -> None:
    joined = pair()
    a, b = joined.hosts
    whole = with_pseudo_sum(
        ipv4("10.0.0.1", "10.0.0.2", 6, tcp(1, 2, payload=bytes(range(250)) * 260))
    )
    head = net_header(gso_type=1, gso_size=1380, csum_start=20)
    joined.send(a, packet(0))
    joined.run()
    before = len(joined.seen)
    joined.send(a, whole, head)
    joined.run()
    sizes = [(len(one.data), one.size) for one in joined.seen[before:]]
    assert all(length <= 65000 and size == 1452 for length, size in sizes)
    assert len(sizes) == 2
    assert b"".join(one[40:] for one in b.packets[1:]) == bytes(range(250)) * 260


def test_answers_leave_with_the_sticky_of_what_they_answer() -> None:
    joined = pair()
    a, b = joined.hosts
    joined.send(a, packet(0))
    (address, _, data, size) = a.engine.outgoing().datagrams[0]
    assert address == b.address
    b.engine.datagrams_received(bytes(data), size, a.address, b"pktinfo", joined.clock.now)
    (entry,) = b.engine.outgoing().datagrams
    assert entry[:2] == (a.address, b"pktinfo")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_buffer_of_any_kind_and_many_datagrams_is_taken(
    kind: Callable[[bytes], bytes],
) -> None:
    joined = pair()
    a, b = joined.hosts
    joined.send(a, packet(0))
    joined.run()
    for number in range(1, 6):
        joined.send(a, packet(number))
    (entry,) = a.engine.outgoing().datagrams
    b.engine.datagrams_received(kind(bytes(entry[2])), 80, a.address, None, joined.clock.now)
    joined.collect()
    assert b.packets == [packet(number) for number in range(6)]
