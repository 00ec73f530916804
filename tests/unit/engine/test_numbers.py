# SPDX-License-Identifier: MIT
"""The numbers of engine/constants.py, by what they do and written out.

A test that takes a limit from constants.py holds for any limit: here none is imported.
The figures are the whitepaper's (section 6.1), wireguard-go's or, where they are ours, those
that decisions and constants.py give a reason for.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from wgtools.engine.context import Context
from wgtools.engine.cookie import CookieChecker
from wgtools.engine.events import Drop, KeysErased
from wgtools.engine.outbox import Outbox
from wgtools.engine.ratelimit import LoadMeter, SourceLimiter
from wgtools.engine.receive import Routes
from wgtools.engine.replay import ReplayWindow
from wgtools.engine.session import Session
from wgtools.engine.staging import Staging
from wgtools.engine.timers import OFF, Timers
from wgtools.engine.transmit import padding
from wgtools.keys import Key
from wgtools.testing.link import Link, pair
from wgtools.testing.packets import ipv4, udp

if TYPE_CHECKING:
    from wgtools.engine.allowedips import AllowedIPs
    from wgtools.engine.peer import Peer

KIB, MIB = 1 << 10, 1 << 20
PACKET = ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2, bytes(20)))


def shaken() -> tuple[Link, Peer, Session[Peer]]:
    """Two hosts that have just shaken hands; the initiator's peer and its session."""
    joined = pair()
    joined.send(joined.hosts[0], PACKET)
    joined.run()
    (peer,) = joined.hosts[0].engine._peers.values()
    session = peer.keyring.current
    assert session is not None
    return joined, peer, session


def initiations(joined: Link, before: int) -> int:
    return sum(one.data[0] == 1 for one in joined.seen[before:])


# --- whitepaper section 6.1 ---


def test_a_session_sends_no_message_after_the_last_and_takes_none() -> None:
    session = shaken()[2]
    session.sent = 2**64 - 2**13 - 1 - 3
    assert session.can_send(session.created, 3)
    assert not session.can_send(session.created, 4)
    window = ReplayWindow()
    assert not window.accept(2**64 - 2**13 - 1)
    assert window.accept(2**64 - 2**13 - 2)


def test_a_session_lasts_180_seconds() -> None:
    session = shaken()[2]
    for able in (session.can_send, session.can_receive):
        assert able(session.created + 179.99)
        assert not able(session.created + 180.0)


@pytest.mark.parametrize(("already", "asks"), [(2**60 - 1, 0), (2**60, 1)])
def test_new_keys_are_asked_for_after_2_to_the_60_messages(already: int, asks: int) -> None:
    joined, _, session = shaken()
    joined.clock.advance(5.0)
    session.sent = already
    before = len(joined.seen)
    joined.send(joined.hosts[0], PACKET)
    joined.run()
    assert initiations(joined, before) == asks


@pytest.mark.parametrize(("age", "asks"), [(119.9, 0), (120.0, 1)])
def test_new_keys_are_asked_for_when_sending_after_120_seconds(age: float, asks: int) -> None:
    joined, _, session = shaken()
    joined.clock.advance_to(session.created + age)
    before = len(joined.seen)
    joined.send(joined.hosts[0], PACKET)
    joined.run()
    assert initiations(joined, before) == asks


@pytest.mark.parametrize(("age", "asks"), [(164.9, 0), (165.0, 1)])
def test_new_keys_are_asked_for_when_receiving_after_165_seconds(age: float, asks: int) -> None:
    joined, _, session = shaken()
    joined.clock.advance_to(session.created + age)
    before = len(joined.seen)
    joined.send(joined.hosts[1], ipv4("10.0.0.2", "10.0.0.1", 17, udp(1, 2, bytes(20))))
    joined.run()
    assert initiations(joined, before) == asks


@pytest.mark.parametrize(("pause", "asks"), [(4.9, 0), (5.0, 1)])
def test_initiations_are_five_seconds_apart(pause: float, asks: int) -> None:
    joined, peer, _ = shaken()
    joined.clock.advance(pause)
    before = len(joined.seen)
    peer.send_initiation(joined.clock.now)
    joined.run()
    assert initiations(joined, before) == asks


def test_the_timers_go_off_when_the_whitepaper_says() -> None:
    timers = Timers(lambda: 0.0)
    timers.data_sent(100.0)
    assert timers.new_handshake == 115.0  # 6.5: keepalive timeout and rekey timeout
    timers.data_received(100.0)
    assert timers.keepalive == 110.0
    timers.initiation_sent(100.0)
    assert timers.retransmit == 105.0
    timers.session_derived(100.0)
    assert timers.erase_keys == 640.0  # 6.3: three times Reject-After-Time
    assert OFF > 1e9


def test_keys_live_540_seconds_and_no_longer() -> None:
    joined, _, session = shaken()
    a = joined.hosts[0]
    joined.wait(539.9)
    assert session.local_index in a.engine._context.indices.sessions
    assert KeysErased not in map(type, a.events)
    joined.wait(0.2)
    assert not a.engine._context.indices.sessions
    assert type(a.events[-1]) is KeysErased


def test_a_cookie_is_good_for_120_seconds() -> None:
    count = iter(range(1, 100))
    checker = CookieChecker(bytes(32), lambda size: next(count).to_bytes(size, "big"))
    address = ("192.0.2.1", 1)
    first = checker._cookie(address, 1000.0)
    assert checker._cookie(address, 1119.9) == first
    assert checker._cookie(address, 1120.0) != first


def test_padding_is_to_a_multiple_of_16() -> None:
    assert [size + padding(size, 1420) for size in (1, 16, 17, 1408)] == [16, 16, 32, 1408]
    assert [size + padding(size, 1420) for size in (1409, 1420)] == [1420, 1420]  # the MTU


# --- what implementations agree on: wireguard-go, device/constants.go ---


def test_retries_are_put_off_by_up_to_333_milliseconds() -> None:
    draws = iter([0, 333, 334])
    context: Context[Peer] = Context(
        lambda size: next(draws).to_bytes(size, "little"), mtu=1420, up=True
    )
    assert [context.jitter() for _ in range(3)] == [0.0, 0.333, 0.0]


@pytest.mark.parametrize(("pause", "answers"), [(0.0199, 1), (0.0201, 2)])
def test_one_peer_is_answered_50_times_a_second(pause: float, answers: int) -> None:
    joined = pair()
    a, b = joined.hosts
    (peer,) = a.engine._peers.values()
    joined.meddle = lambda _: []
    for wait in (pause, 0.0):
        peer._initiation_sent = float("-inf")
        peer.send_initiation(joined.clock.now)
        joined.collect()
        joined.deliver([one for one in joined.seen if one.data[0] == 1][-1])
        joined.clock.advance(wait)
    joined.collect()
    assert sum(one.data[0] == 2 for one in joined.seen) == answers
    assert b.engine.counters[Drop.HANDSHAKE_FLOOD] == 2 - answers


def test_the_replay_window_reaches_back_8128_counters() -> None:
    window = ReplayWindow()  # 8192 bits, of which RFC 6479 keeps a word of 64 in reserve
    assert window.accept(8129)
    assert window.accept(1)
    assert not window.accept(0)


def staging() -> tuple[Context[Peer], Staging]:
    context: Context[Peer] = Context(bytes, mtu=1420, up=True)
    return context, Staging(context)


def test_128_packets_of_a_peer_wait_for_a_handshake_and_the_newest_are_kept() -> None:
    context, waiting = staging()
    for number in range(130):
        waiting.put(number.to_bytes(2, "big"))
    assert len(waiting) == 128
    assert waiting.take() == b"\0\2"
    assert context.counters == {Drop.STAGED_OVERFLOW: 2}


# --- our own ---


def test_a_mebibyte_of_one_peer_waits() -> None:
    context, waiting = staging()
    for _ in range(20):
        waiting.put(bytes(64 * KIB))
    assert len(waiting) == 16
    assert context.staged_bytes == MIB
    assert context.counters == {Drop.STAGED_OVERFLOW: 4}


def test_64_mebibytes_of_all_peers_wait() -> None:
    context, _ = staging()
    frame = bytes(MIB)
    peers = [Staging(context) for _ in range(66)]
    for one in peers:
        one.put(frame)
    assert [len(one) for one in peers] == [1] * 64 + [0] * 2
    assert context.staged_bytes == 64 * MIB
    assert context.counters == {Drop.STAGED_OVERFLOW: 2}


def test_the_outbox_is_full_at_32_mebibytes() -> None:
    outbox = Outbox()
    for _ in range(32):
        outbox.room(MIB)
    assert not outbox.is_full
    outbox.room(1)
    assert outbox.is_full


def test_the_outbox_keeps_the_first_1024_events() -> None:
    outbox = Outbox()
    events = [KeysErased(Key(number.to_bytes(32, "big"))) for number in range(1030)]
    for event in events:
        outbox.event(event)
    assert outbox.drain().events == events[:1024]


@pytest.mark.parametrize(("size", "first"), [(1300, 50), (1301, 49), (16, 64)])
def test_one_send_has_at_most_64_datagrams_and_65000_bytes(size: int, first: int) -> None:
    outbox = Outbox()
    _, start = outbox.room(70 * size)
    outbox.datagrams(("192.0.2.1", 1), None, start, start + 70 * size, size)
    sizes = [len(data) for _, _, data, _ in outbox.drain().datagrams]
    assert sizes == [first * size, (70 - first) * size]


def test_200_handshakes_a_second_are_taken_up_unproved() -> None:
    meter = LoadMeter()
    taken = sum(meter.admit(50.0) for _ in range(300))
    assert 199 <= taken <= 200  # a bucket of floats


def test_a_source_has_five_handshakes_at_once_and_twenty_a_second() -> None:
    limiter = SourceLimiter()
    assert [limiter.allow(b"a", 50.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert not limiter.allow(b"a", 50.049)
    assert limiter.allow(b"a", 50.051)


def test_16384_sources_are_remembered() -> None:
    limiter = SourceLimiter()
    taken = sum(limiter.allow(number.to_bytes(4, "big"), 50.0) for number in range(16_400))
    assert taken == 16_384


def test_4096_destinations_are_remembered_and_then_all_forgotten() -> None:
    asked: list[bytes] = []
    table = SimpleNamespace(lookup=asked.append)
    routes: Routes = Routes(cast("AllowedIPs[Peer]", table))
    hosts = [number.to_bytes(4, "big") for number in range(4097)]
    for host in hosts[:4096] * 2:
        routes.owner(host)
    assert asked == hosts[:4096]
    routes.owner(hosts[-1])
    routes.owner(hosts[0])
    assert asked == [*hosts, hosts[0]]
