# SPDX-License-Identifier: MIT
"""Bugs that other engines shipped and fixed: each is a test with its name.

`p` numbers are the 24 items of the pains study (section 3.4, from a Rust engine's changelog
and audit), `a` numbers those of the anchors study (section 9).  Items of the process round
the engine (p11 in part, p20-p24, a19-a23) are the daemon's tests under the same numbers;
tests/repo/test_named_bugs.py sees to it that none is missing.
"""

from __future__ import annotations

import ctypes
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from wgtools.engine.constants import (
    KEEPALIVE_TIMEOUT,
    REJECT_AFTER_MESSAGES,
    REJECT_AFTER_TIME,
    REKEY_TIMEOUT,
)
from wgtools.engine.events import Drop, EndpointMoved
from wgtools.engine.replay import WINDOW_SIZE, ReplayWindow
from wgtools.engine.transmit import padding
from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, PeerChange
from wgtools.testing.link import Flying, Host, Link, frame, make_host, pair
from wgtools.testing.packets import ipv4, ipv6, udp

if TYPE_CHECKING:
    from wgtools.engine.peer import Peer

INITIATION, RESPONSE, COOKIE, TRANSPORT = 1, 2, 3, 4


def kinds(joined: Link, since: int = 0) -> list[int]:
    return [flying.data[0] for flying in joined.seen[since:]]


def only_peer(host: Host) -> Peer:
    (peer,) = host.engine._peers.values()
    return peer


def ab(size: int = 20) -> bytes:
    return ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2, bytes(size)))


def ba(size: int = 20) -> bytes:
    return ipv4("10.0.0.2", "10.0.0.1", 17, udp(1, 2, bytes(size)))


def shaken(seed: int = 1, *, mtu: int = 1420, psk: Key | None = None, keepalive: int = 0) -> Link:
    """Two hosts with a confirmed session in both directions and nothing owed."""
    joined = pair(seed, mtu=mtu, psk=psk, keepalive=keepalive)
    a, b = joined.hosts
    joined.send(a, ab())
    joined.run()
    joined.send(b, ba())
    joined.run()
    assert a.packets == [ba()]
    assert b.packets == [ab()]
    return joined


# --- indices and handshakes ---


def test_p1_a12_session_indices_are_random_and_unique() -> None:
    senders = set()
    for seed in range(40):
        joined = shaken(seed)
        senders |= {one.data[4:8] for one in joined.seen if one.data[0] in (INITIATION, RESPONSE)}
    assert len(senders) == 80
    for byte in range(4):
        assert len({sender[byte] for sender in senders}) > 40, "every byte varies"


def test_p15_a11_jitter_on_retries_and_on_the_no_receive_handshake() -> None:
    retries, silences = set(), set()
    for seed in range(12):
        joined = pair(seed)
        a = joined.hosts[0]
        joined.meddle = lambda _: []
        joined.send(a, ab())
        start = joined.clock.mono
        deadline = a.engine.next_deadline()
        assert deadline is not None
        assert REKEY_TIMEOUT <= deadline - start <= REKEY_TIMEOUT + 0.334
        retries.add(deadline - start)

        joined = shaken(seed)
        a = joined.hosts[0]
        joined.wait(30.0)
        joined.meddle = lambda _: []
        joined.send(a, ab())
        joined.collect()
        wait = only_peer(a).timers.new_handshake - joined.clock.mono
        assert 15.0 <= wait <= 15.334
        silences.add(wait)
    assert len(retries) > 6
    assert len(silences) > 6


def test_p16_a16_no_burst_of_rekeys() -> None:
    joined = pair()
    a = joined.hosts[0]
    joined.meddle = lambda _: []
    sent_at: list[float] = []
    for _ in range(200):
        joined.send(a, ab())
        before = len(joined.seen)
        joined.collect()
        sent_at += [joined.clock.mono] * kinds(joined, before).count(INITIATION)
        joined.clock.advance(0.1)
        a.engine.timer_due(joined.clock.now)
    assert len(sent_at) >= 3
    assert all(later - earlier >= 5.0 for earlier, later in pairwise(sent_at))


def test_p17_a15_a_late_response_within_the_attempt_is_accepted() -> None:
    joined = pair()
    a, b = joined.hosts
    joined.send(a, ab())
    joined.collect()
    (initiation,) = joined.flying
    joined.flying = []
    joined.deliver(initiation)
    joined.collect()
    (response,) = joined.flying
    joined.flying = []
    joined.clock.advance(4.9)
    a.engine.timer_due(joined.clock.now)
    joined.deliver(response)
    joined.run()
    assert b.packets == [ab()]
    assert not a.engine.counters


def test_p14_a4_a_psk_change_waits_for_the_next_handshake() -> None:
    joined = shaken(psk=Key(b"1" * 32))
    a, b = joined.hosts
    before = len(joined.seen)
    for host in (a, b):
        peer = PeerChange(only_peer(host).key, preshared_key=Key(b"2" * 32))
        host.engine.configure(DeviceChange(peers=[peer]), joined.clock.now)
    joined.send(a, ab())
    joined.run()
    assert b.packets[-1] == ab()
    assert kinds(joined, before) == [TRANSPORT], "the session lives on"
    joined.wait(200.0)
    joined.send(a, ab())
    joined.run()
    assert len(b.packets) == 3
    assert not b.engine.counters


# --- counters and windows ---


@pytest.mark.parametrize("left", [0, 1, 2])
def test_p7_a5_reject_after_messages_is_enforced_when_sending(left: int) -> None:
    joined = shaken()
    a, b = joined.hosts
    session = only_peer(a).keyring.current
    assert session is not None
    session.sent = REJECT_AFTER_MESSAGES - left
    before = len(joined.seen)
    joined.clock.advance(6.0)  # the last initiation is over Rekey-Timeout ago
    for _ in range(left):
        joined.send(a, ab())
    a.engine.frame_received(frame(ab()), joined.clock.now)
    joined.collect()
    data = b"".join(f.data for f in joined.seen[before:] if f.data[0] == TRANSPORT)
    assert len(data) == left * 80
    assert INITIATION in kinds(joined, before)
    assert session.sent == REJECT_AFTER_MESSAGES
    joined.run()
    assert len(b.packets) == 1 + left + 1, "the last went under new keys"


def test_p8_counters_have_64_bits() -> None:
    joined = shaken()
    a, b = joined.hosts
    session = only_peer(a).keyring.current
    assert session is not None
    joined.clock.advance(6.0)
    for start in (2**32 - 1, 2**32, 2**53, 2**63):
        session.sent = start
        joined.send(a, ab())
        joined.collect()
        (one,) = (f for f in joined.flying if f.data[0] == TRANSPORT)
        assert int.from_bytes(one.data[8:16], "little") == start
        joined.deliver(one)
        joined.flying = []
        joined.collect()
        assert b.packets[-1] == ab()
        joined.flying = []


def test_p9_a6_the_replay_window_has_the_edges_of_the_kernel() -> None:
    # The numbers of the kernel's self-test, as ported in wireguard-go's replay_test.go (MIT).
    limit = WINDOW_SIZE + 1
    spent = REJECT_AFTER_MESSAGES
    window = ReplayWindow()
    for counter, expected in [
        (0, True), (1, True), (1, False), (9, True), (8, True), (7, True), (7, False),
        (limit, True), (limit - 1, True), (limit - 1, False), (limit - 2, True), (2, True),
        (2, False), (limit + 16, True), (3, False), (limit + 16, False), (limit * 4, True),
        (limit * 4 - (limit - 1), True), (10, False), (limit * 4 - limit, False),
        (limit * 4 - (limit + 1), False), (limit * 4 - (limit - 2), True),
        (limit * 4 + 1 - limit, False), (0, False), (spent, False), (spent - 1, True),
        (spent, False), (spent - 1, False), (spent - 2, True), (spent + 1, False),
        (spent + 2, False), (spent - 2, False), (spent - 3, True), (0, False),
    ]:  # fmt: skip
        assert window.accept(counter) is expected, counter


def test_p9_the_replay_window_counts_from_its_bulk_edges() -> None:
    for counters, refused in [
        (range(1, WINDOW_SIZE + 1), []),
        (range(2, WINDOW_SIZE + 2), [0]),
        (range(WINDOW_SIZE + 1, 0, -1), []),
        (range(WINDOW_SIZE + 2, 1, -1), [0]),
        ([*range(WINDOW_SIZE, 0, -1), WINDOW_SIZE + 1], [0]),
    ]:
        window = ReplayWindow()
        assert all(window.accept(counter) for counter in counters)
        assert not any(window.accept(counter) for counter in counters)
        assert not any(window.accept(counter) for counter in refused)


# --- padding, endpoints, addresses ---


def test_p2_a13_payload_is_padded_to_16_but_not_past_the_mtu() -> None:
    joined = shaken(mtu=1420)
    a = joined.hosts[0]
    joined.clock.advance(1.0)
    for length in [*range(28, 80), 1403, 1404, 1405, 1408, 1409, 1419, 1420]:
        packet = ab(length - 28)
        before = len(joined.seen)
        joined.send(a, packet)
        joined.run()
        (one,) = joined.seen[before:]
        inner = len(one.data) - 32
        assert inner == min((length + 15) // 16 * 16, 1420)
        assert joined.hosts[1].packets[-1] == packet


@pytest.mark.parametrize(
    ("length", "mtu", "expected"),
    [(0, 1420, 0), (1, 1420, 15), (16, 1420, 0), (1419, 1420, 1), (1420, 1420, 0),
     (1421, 1420, 15), (2840, 1420, 0), (2839, 1420, 1), (1419, 0, 5), (100, 8, 4)],
)  # fmt: skip
def test_p2_padding_of_odd_sizes(length: int, mtu: int, expected: int) -> None:
    assert padding(length, mtu) == expected


def test_p3_a8_the_endpoint_follows_any_authenticated_packet() -> None:
    for what in ("data", "keepalive", "initiation", "response"):
        joined = shaken() if what in ("data", "keepalive") else pair()
        a, b = joined.hosts
        mover, other = (b, a) if what == "response" else (a, b)
        if what == "keepalive":
            only_peer(a).send_keepalive(joined.clock.now)
        else:
            joined.send(a, ab())
        joined.collect()
        if what == "response":
            joined.deliver(joined.flying.pop())
            joined.collect()
        (one,) = joined.flying
        joined.flying = []
        moved = Flying(("198.51.100.7", 4500), one.destination, one.data, one.size)
        joined.deliver(moved)
        joined.collect()
        assert only_peer(other).address == ("198.51.100.7", 4500), what
        assert EndpointMoved(mover.key, None, ("", 0)).public_key == mover.key
        assert any(
            isinstance(event, EndpointMoved) and event.new == ("198.51.100.7", 4500)
            for event in other.events
        )


def test_p3_a8_the_endpoint_does_not_follow_a_cookie_reply_or_a_forgery() -> None:
    joined = pair()
    a, b = joined.hosts
    joined.send(a, ab())
    joined.collect()
    (initiation,) = joined.flying
    gate = b.engine._receiver._gate
    assert gate is not None
    reply = gate._checker.reply(initiation.data, a.address, joined.clock.mono)
    a.engine.datagrams_received(reply, 64, ("198.51.100.7", 1), None, joined.clock.now)
    assert not a.engine.counters, "the cookie was taken"
    assert only_peer(a).address == b.address

    joined = shaken()
    a, b = joined.hosts
    joined.send(a, ab())
    joined.collect()
    (one,) = joined.flying
    forged = bytearray(one.data)
    forged[-1] ^= 1
    b.engine.datagrams_received(forged, one.size, ("198.51.100.7", 1), None, joined.clock.now)
    assert only_peer(b).address == a.address
    assert b.engine.counters == {Drop.BAD_TAG: 1}


def test_p10_a7_a_source_is_checked_against_its_most_specific_owner() -> None:
    joined = shaken()
    a, b = joined.hosts
    narrow = Key(b"n" * 32)
    change = DeviceChange(
        peers=[
            PeerChange(only_peer(b).key, allowed_ips=[AllowedIP.parse("10.0.0.0/8")]),
            PeerChange(narrow, allowed_ips=[AllowedIP.parse("10.9.9.0/24")]),
        ]
    )
    b.engine.configure(change, joined.clock.now)
    before = len(b.frames)
    joined.send(a, ipv4("10.9.8.1", "10.0.0.2", 17, udp(1, 2)))
    joined.run()
    assert len(b.frames) == before + 1
    joined.send(a, ipv4("10.9.9.1", "10.0.0.2", 17, udp(1, 2)))
    joined.run()
    assert len(b.frames) == before + 1
    assert b.engine.counters == {Drop.BAD_SOURCE: 1}


# --- cookies and limits ---


def _flood(joined: Link, count: int, sources: int, port: int = 0) -> None:
    """Initiations with a good mac1 and nothing else, from `sources` addresses, to host B."""
    b = joined.hosts[1]
    gate = b.engine._receiver._gate
    assert gate is not None
    for number in range(count):
        who = number % sources
        body = b"\x01\0\0\0" + number.to_bytes(112, "big")
        mac1 = _mac1(b.engine.snapshot().public_key, body)
        b.engine.datagrams_received(
            body + mac1 + bytes(16),
            148,
            (f"203.0.{who >> 8}.{who & 255}", port or 1 + number % 60000),
            None,
            joined.clock.now,
        )


def _mac1(public: Key | None, body: bytes) -> bytes:
    import hashlib

    assert public is not None
    key = hashlib.blake2s(b"mac1----" + bytes(public)).digest()
    return hashlib.blake2s(body, key=key, digest_size=16).digest()


def test_p4_a9_the_cookie_mac_covers_the_port_too() -> None:
    joined = pair()
    a, b = joined.hosts
    _flood(joined, 1000, 1000)
    b.engine.outgoing()
    joined.send(a, ab())
    joined.run()
    assert kinds(joined) == [INITIATION, COOKIE]
    joined.clock.advance(5.5)
    _flood(joined, 1000, 1000)
    b.engine.outgoing()
    a.engine.timer_due(joined.clock.now)
    joined.collect()
    (initiation,) = joined.flying
    joined.flying = []
    assert initiation.data[-16:] != bytes(16)
    elsewhere = (a.address[0], a.address[1] + 1)
    joined.deliver(Flying(elsewhere, b.address, initiation.data, 148))
    out = b.engine.outgoing()
    assert [len(data) for _, _, data, _ in out.datagrams] == [64], "another port, another cookie"
    joined.deliver(initiation)
    out = b.engine.outgoing()
    assert [len(data) for _, _, data, _ in out.datagrams] == [92]


def test_p5_a10_one_flooding_source_does_not_put_others_under_cookies() -> None:
    joined = pair()
    a, b = joined.hosts
    _flood(joined, 2000, 1)
    b.engine.outgoing()
    assert b.engine.counters[Drop.COOKIE_DEMANDED] > 1900
    joined.send(a, ab())
    joined.run()
    assert kinds(joined)[:2] == [INITIATION, RESPONSE]
    assert b.packets == [ab()]


def test_p5_a_64_is_one_source_of_ipv6() -> None:
    joined = pair()
    b = joined.hosts[1]
    public = b.engine.snapshot().public_key
    for number in range(100):
        body = b"\x01\0\0\0" + number.to_bytes(112, "big")
        message = body + _mac1(public, body) + bytes(16)
        address = (f"2001:db8::{number + 1:x}", 5, 0, 0)
        b.engine.datagrams_received(message, 148, address, None, joined.clock.now)
    assert b.engine.counters[Drop.COOKIE_DEMANDED] == 95


def test_p6_no_cookie_reply_just_because_many_handshakes_were_once_seen() -> None:
    joined = pair()
    a, b = joined.hosts
    for _ in range(300):  # a quiet day: one handshake every other second
        _flood(joined, 1, 1)
        joined.clock.advance(2.0)
    _flood(joined, 2000, 2000)
    assert b.engine.counters[Drop.COOKIE_DEMANDED] > 0
    b.engine.outgoing()
    joined.clock.advance(2.1)
    joined.send(a, ab())
    joined.run()
    assert COOKIE not in kinds(joined)
    assert b.packets == [ab()]


# --- keepalives ---


def test_p11_an_oversized_datagram_does_not_stop_the_receiver() -> None:
    joined = shaken()
    b = joined.hosts[1]
    for size in (65535, 65507, 2000):
        for first in (0, 1, 2, 3, 4):
            data = bytes([first, 0, 0, 0]) + bytes(size - 4)
            b.engine.datagrams_received(data, size, ("192.0.2.9", 1), None, joined.clock.now)
    joined.send(joined.hosts[0], ab())
    joined.run()
    assert b.packets[-1] == ab()
    assert sum(b.engine.counters.values()) == 15


def test_p12_a1_a_keepalive_is_not_answered_with_a_keepalive() -> None:
    joined = shaken()
    a = joined.hosts[0]
    joined.wait(60.0)
    before = len(joined.seen)
    only_peer(a).send_keepalive(joined.clock.now)
    joined.wait(100.0)
    assert [len(one.data) for one in joined.seen[before:]] == [32]


def test_p12_a2_the_passive_keepalive_runs_from_the_first_unanswered_data() -> None:
    joined = shaken()
    a, b = joined.hosts
    joined.wait(60.0)
    before = len(joined.seen)
    start = joined.clock.mono
    for _ in range(4):
        joined.send(a, ab())
        joined.run()
        joined.wait(2.0)
    assert only_peer(b).timers.keepalive == start + KEEPALIVE_TIMEOUT
    joined.wait(2.0)
    assert [len(f.data) for f in joined.seen[before:] if f.source == b.address] == []
    joined.wait(0.001)
    assert [len(f.data) for f in joined.seen[before:] if f.source == b.address] == [32]


def test_p13_a3_persistent_keepalive_is_put_off_by_any_authenticated_packet() -> None:
    joined = shaken(keepalive=25)
    a, b = joined.hosts
    first = len(joined.seen)
    for _ in range(10):
        joined.wait(9.0)
        before = len(joined.seen)
        joined.send(a, ab())
        joined.run()
        joined.send(b, ba())
        joined.run()
        assert [len(one.data) for one in joined.seen[before:]] == [80, 80]
    only_data = [len(one.data) for one in joined.seen[first:] if one.data[0] == TRANSPORT]
    assert 32 not in only_data, "never idle for 25 s"
    before = len(joined.seen)
    joined.wait(34.9)
    assert [len(one.data) for one in joined.seen[before:]] == [32], "passive, after ten seconds"
    joined.wait(0.2)
    assert len(joined.seen) > before + 1, "persistent, 25 s after that"


def test_a18_a_long_one_way_stream_is_answered_every_ten_seconds() -> None:
    """The kernel's "need another keepalive": without it the sender would take the receiver
    of a one-way stream for dead and shake hands again and again."""
    joined = shaken()
    a, b = joined.hosts
    joined.wait(30.0)
    before = len(joined.seen)
    for _ in range(60):
        joined.send(a, ab())
        joined.run()
        joined.wait(1.0)
    answers = [f for f in joined.seen[before:] if f.source == b.address]
    assert [len(f.data) for f in answers] == [32] * len(answers)
    assert 5 <= len(answers) <= 6
    assert INITIATION not in kinds(joined, before)


# --- clocks, counters ---


def test_p18_a14_a_clock_that_steps_back_neither_crashes_nor_fires_everything() -> None:
    joined = shaken(keepalive=25)
    a, b = joined.hosts
    deadline = a.engine.next_deadline()
    joined.clock.mono -= 500.0
    joined.clock.wall_ns -= 3600 * 10**9
    before = len(joined.seen)
    for host in joined.hosts:
        host.engine.timer_due(joined.clock.now)
    joined.run()
    assert len(joined.seen) == before
    assert a.engine.next_deadline() == deadline
    joined.send(a, ab())
    joined.run()
    assert b.packets[-1] == ab()
    joined.clock.mono += 500.0
    joined.clock.advance(REJECT_AFTER_TIME)  # the wall clock is still an hour behind
    joined.send(a, ab())
    joined.run()
    assert b.packets[-1] == ab()
    assert len(b.packets) == 3
    assert not b.engine.counters, "TAI64N went on growing"


def test_p19_a17_traffic_counters_count_all_bytes_of_authenticated_messages() -> None:
    joined = pair()
    a, b = joined.hosts
    joined.send(a, ab())  # 48 bytes of packet: initiation 148, response 92, data 80
    joined.run()
    sent, received = 148 + 80, 92
    for host, tx, rx in ((a, sent, received), (b, received, sent)):
        (report,) = host.engine.snapshot().peers
        assert (report.tx_bytes, report.rx_bytes) == (tx, rx)
    joined.clock.advance(1.0)
    only_peer(b).send_keepalive(joined.clock.now)
    joined.run()
    assert a.engine.snapshot().peers[0].rx_bytes == 92 + 32
    assert b.engine.snapshot().peers[0].tx_bytes == 92 + 32


def test_p19_a17_the_last_handshake_is_its_wall_clock_time() -> None:
    joined = pair()
    a, b = joined.hosts
    joined.clock.wall_ns += 123_456_789
    joined.send(a, ab())
    joined.run()
    for host in (a, b):
        (report,) = host.engine.snapshot().peers
        assert (report.handshake_sec, report.handshake_nsec) == (1_700_000_000, 123_456_789)
    joined = pair()
    joined.send(joined.hosts[0], ab())
    joined.collect()
    (initiation,) = joined.flying
    joined.deliver(initiation)
    report = joined.hosts[1].engine.snapshot().peers[0]
    assert report.handshake_sec == 0, "a responder's handshake counts when it is confirmed"


def test_p24_nothing_secret_shows_itself() -> None:
    joined = shaken(psk=Key(b"p" * 32))
    a = joined.hosts[0]
    peer = only_peer(a)
    assert peer.keyring.current is not None
    shown = " ".join(
        repr(thing) for thing in (peer, peer.handshake, peer.keyring.current, a.engine, a.events)
    )
    for secret in (b"p" * 32, bytes(a.key)):
        assert repr(secret)[2:-1] not in shown
        assert secret.hex() not in shown
    handshake = peer.handshake
    assert (handshake._chain, handshake._hash, handshake._ephemeral) == (b"", b"", b"")


def test_p8_the_wire_counter_does_not_depend_on_the_platform() -> None:
    from wgtools.engine.messages import NONCE, TRANSPORT

    assert TRANSPORT.size == 16
    assert NONCE.pack(2**63 + 5)[4:] == bytes(ctypes.c_uint64(2**63 + 5))  # both little-endian


def test_ipv6_inside_goes_the_same_way() -> None:
    joined = shaken()
    a, b = joined.hosts
    packet = ipv6("fd00::1", "fd00::2", 17, udp(1, 2, b"six"))
    joined.send(a, packet)
    joined.run()
    assert b.packets[-1] == packet


def test_make_host_has_no_peers() -> None:
    from wgtools.testing.clock import FakeClock

    host = make_host("C", 9, ("192.0.2.3", 3), FakeClock())
    assert host.engine.snapshot().peers == []
