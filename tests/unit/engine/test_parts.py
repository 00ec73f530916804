# SPDX-License-Identifier: MIT
"""The small parts, each against an obvious version of itself."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from wgtools.engine.allowedips import AllowedIPs
from wgtools.engine.constants import HANDSHAKES_PER_SECOND, LIMIT_SOURCES, REJECT_AFTER_MESSAGES
from wgtools.engine.indextable import IndexTable
from wgtools.engine.outbox import Outbox
from wgtools.engine.ratelimit import LoadMeter, ProvedLimiter, SourceLimiter, source_of
from wgtools.engine.replay import WINDOW_SIZE, ReplayWindow
from wgtools.engine.session import Session
from wgtools.engine.timers import OFF, Agenda, Timers

# --- allowed IPs ---

ADDRESSES = st.one_of(
    st.binary(min_size=4, max_size=4),
    st.integers(0, 15).map(lambda n: bytes([10, 0, 0, n])),
    st.binary(min_size=16, max_size=16),
    st.integers(0, 15).map(lambda n: b"\xfd" + bytes(14) + bytes([n])),
)
OWNERS = st.sampled_from(["one", "two", "three"])
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["insert", "insert", "insert", "remove", "remove all"]),
        ADDRESSES,
        st.integers(0, 128),
        OWNERS,
    ),
    max_size=25,
)


class _Naive:
    """Allowed IPs as a list in the order of giving, asked from end to end."""

    def __init__(self) -> None:
        self.rows: list[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, str]] = []

    def do(self, what: str, address: bytes, length: int, owner: str) -> None:
        network = ipaddress.ip_network((address, length), strict=False)
        if what == "insert":
            self.rows = [row for row in self.rows if row[0] != network]
            self.rows.append((network, owner))
        elif what == "remove":
            self.rows = [row for row in self.rows if row != (network, owner)]
        else:
            self.rows = [row for row in self.rows if row[1] != owner]

    def lookup(self, address: bytes) -> str | None:
        ip = ipaddress.ip_address(address)
        holding = [row for row in self.rows if row[0].version == ip.version and ip in row[0]]
        return max(holding, key=lambda row: row[0].prefixlen)[1] if holding else None

    def of(self, owner: str) -> list[tuple[bytes, int]]:
        rows = [net for net, who in self.rows if who == owner]
        return [(net.network_address.packed, net.prefixlen) for net in rows]


@given(OPERATIONS, st.lists(ADDRESSES, max_size=8))
@settings(deadline=None)
def test_allowed_ips_are_as_a_plain_list_has_them(
    operations: list[tuple[str, bytes, int, str]], questions: list[bytes]
) -> None:
    fast: AllowedIPs[str] = AllowedIPs()
    naive = _Naive()
    for what, address, bits, owner in operations:
        length = bits % (len(address) * 8 + 1)
        naive.do(what, address, length, owner)
        if what == "insert":
            fast.insert(address, length, owner)
        elif what == "remove":
            fast.remove(address, length, owner)
        else:
            fast.remove_all(owner)
        for asked in (*questions, address):
            assert fast.lookup(asked) == naive.lookup(asked)
    for owner in ("one", "two", "three"):
        assert fast.of(owner) == naive.of(owner)


def test_allowed_ips_forget_empty_lengths() -> None:
    fast: AllowedIPs[str] = AllowedIPs()
    for length in range(33):
        fast.insert(bytes(4), length, "one")
    fast.remove_all("one")
    assert fast._steps == {4: [], 16: []}
    assert fast._owned == {}


# --- replay window ---


@given(st.lists(st.integers(0, 3 * WINDOW_SIZE), max_size=300), st.integers(0, 2**63))
def test_the_window_is_a_set_with_a_far_end(counters: list[int], base: int) -> None:
    window, seen, greatest = ReplayWindow(), set(), 0
    for offset in counters:
        counter = base + offset
        fresh = counter not in seen and greatest - counter <= WINDOW_SIZE
        assert window.accept(counter) is fresh
        if fresh:
            seen.add(counter)
            greatest = max(greatest, counter)


@given(
    st.lists(st.tuples(st.integers(1, 3 * WINDOW_SIZE), st.integers(1, 100)), max_size=8),
    st.integers(30, 3000),
)
def test_many_in_order_leave_the_window_as_one_by_one(
    steps: list[tuple[int, int]], looks: int
) -> None:
    fast, slow = ReplayWindow(), ReplayWindow()
    counter = 0
    for step, count in steps:
        counter += step
        assert fast.next <= counter
        fast.accept_all(counter, counter + count - 1)
        assert all([slow.accept(one) for one in range(counter, counter + count)])
        counter += count - 1
        assert fast.next == counter + 1
    for back in range(0, 2 * WINDOW_SIZE, looks):
        if back <= counter:
            assert fast.accept(counter - back) is slow.accept(counter - back)


# --- sessions ---


def test_a_session_stops_at_its_limits() -> None:
    session = Session(
        None, keys=(bytes(32), bytes(32), True), local_index=0, remote_index=0, created=100.0
    )
    assert session.can_send(279.9)
    assert not session.can_send(280.0)
    assert not session.can_receive(280.0)
    session.sent = REJECT_AFTER_MESSAGES - 3
    assert session.can_send(100.0, 3)
    assert not session.can_send(100.0, 4)
    session.stop_sending()
    assert not session.can_send(100.0)
    assert session.can_receive(100.0)


# --- limits ---


def test_a_source_gets_its_burst_and_then_its_rate() -> None:
    limiter = SourceLimiter(rate=20, burst=5)
    assert [limiter.allow(b"a", 0.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert limiter.allow(b"b", 0.0), "another source has its own"
    assert [limiter.allow(b"a", 0.051) for _ in range(2)] == [True, False]
    taken = sum(limiter.allow(b"a", 1.0 + step / 1000) for step in range(10_000))
    assert 200 <= taken <= 206


def test_the_limiter_forgets_and_is_bounded() -> None:
    limiter = SourceLimiter()
    for number in range(LIMIT_SOURCES):
        assert limiter.allow(number.to_bytes(8, "big"), 5.0)
    assert not limiter.allow(b"one too many", 5.0)
    assert len(limiter) <= 2 * LIMIT_SOURCES
    assert limiter.allow(b"one too many", 6.1)
    limiter.allow(b"x", 100.0)
    assert len(limiter) == 1


def test_the_owner_of_a_48_does_not_lock_out_others_who_proved_their_address() -> None:
    limiter = ProvedLimiter()
    owner = bytes.fromhex("20010db80001")
    taken = sum(
        limiter.allow(owner + number.to_bytes(2, "big"), 5.0) for number in range(2 * LIMIT_SOURCES)
    )
    assert taken <= LIMIT_SOURCES + 5, "what one site gets beyond the memory is one bucket"
    for host in ("20010db80002", "20010db80003"):
        assert limiter.allow(bytes.fromhex(host) + bytes(2), 5.1)
    assert limiter.allow(bytes([192, 0, 2, 1]), 5.2)


def test_even_if_sites_are_too_many_somebody_gets_in() -> None:
    limiter = ProvedLimiter()
    for number in range(2 * LIMIT_SOURCES):
        limiter.allow(number.to_bytes(6, "big") + bytes(2), 5.0)
    taken = sum(limiter.allow(b"\x20" + n.to_bytes(7, "big"), 5.0) for n in range(1000))
    assert taken == HANDSHAKES_PER_SECOND
    assert limiter.allow(b"late arrival", 5.1)


def test_a_source_is_a_32_or_a_64() -> None:
    assert source_of(bytes([192, 0, 2, 1])) == bytes([192, 0, 2, 1])
    six = ipaddress.ip_address
    assert source_of(six("2001:db8::1").packed) == source_of(six("2001:db8::ffff:0:1").packed)
    assert source_of(six("2001:db8::1").packed) != source_of(six("2001:db8:0:1::1").packed)


def test_load_begins_above_the_rate_and_ends_a_second_after() -> None:
    meter = LoadMeter(rate=10)
    assert all(meter.admit(0.0) for _ in range(10))
    assert not meter.is_heavy(0.0)
    assert not meter.admit(0.0)
    assert meter.is_heavy(0.9)
    assert not meter.admit(0.9)
    assert not meter.is_heavy(1.0)
    assert meter.admit(1.0)


# --- indices ---


def test_an_index_in_use_is_not_given_twice() -> None:
    chance = iter([b"\1\0\0\0", b"\1\0\0\0", b"\2\0\0\0", b"\2\0\0\0", b"\1\0\0\0", b"\3\0\0\0"])
    table: IndexTable[str, str] = IndexTable(lambda _: next(chance))
    assert table.new_handshake("p") == 1
    assert table.new_handshake("p") == 2
    table.promote(1, "session")
    assert table.new_handshake("q") == 3
    assert (table.sessions, table.handshakes) == ({1: "session"}, {2: "p", 3: "q"})
    table.forget(1)
    table.forget(3)
    table.forget(None)
    assert (table.sessions, table.handshakes) == ({}, {2: "p"})


# --- timers ---


@dataclass
class _Owner:
    name: str
    timers: Timers = field(default_factory=lambda: Timers(lambda: 0.25))


def test_the_agenda_calls_everyone_in_time_and_no_one_twice() -> None:
    agenda: Agenda[_Owner] = Agenda()
    one, two = _Owner("one"), _Owner("two")
    assert agenda.first() is None
    one.timers.keepalive = 10.0
    agenda.plan(one)
    two.timers.erase_keys = 5.0
    agenda.plan(two)
    one.timers.retransmit = 3.0  # sooner than planned
    agenda.plan(one)
    assert agenda.first() == 3.0
    assert agenda.take_due(2.9) == []
    assert [owner.name for owner in agenda.take_due(3.0)] == ["one"]
    one.timers.retransmit = OFF
    agenda.plan(one)
    one.timers.keepalive = 20.0  # put off: not told to the agenda, which calls early
    assert [owner.name for owner in agenda.take_due(10.0)] == ["two", "one"]
    two.timers.stop()
    for owner in (one, two):
        agenda.plan(owner)
    assert agenda.first() == 20.0
    one.timers.stop()
    one.timers.planned = OFF
    assert agenda.first() is None


def test_the_agenda_does_not_grow_with_traffic() -> None:
    agenda: Agenda[_Owner] = Agenda()
    one = _Owner("one")
    for turn in range(10_000):
        one.timers.data_sent(float(turn))
        one.timers.data_received(float(turn))
        agenda.plan(one)
        one.timers.anything_received()
        one.timers.anything_sent()
        agenda.take_due(float(turn))
    assert len(agenda._heap) < 10


# --- outbox ---


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from([32, 64, 80, 1452]), st.booleans()),
        max_size=200,
    )
)
@settings(deadline=None)
def test_the_outbox_keeps_bytes_order_and_limits(parts: list[tuple[str, int, bool]]) -> None:
    box = Outbox()
    sent: list[tuple[str, bytes]] = []
    for number, (host, size, waste) in enumerate(parts):
        if waste:
            box.room(100_000)
        data = bytes([number % 251]) * size
        box.message((host, 1), None, data)
        sent.append((host, data))
    got: list[tuple[str, bytes]] = []
    out = box.drain()
    for address, _, view, size in out.datagrams:
        assert len(view) <= 65000
        assert -(-len(view) // size) <= 64
        got += [(address[0], bytes(view[at : at + size])) for at in range(0, len(view), size)]
    assert got == sent
    assert not box.drain()


@given(
    st.lists(
        st.tuples(st.integers(1, 150), st.integers(33, 1500), st.integers(32, 1500)), max_size=8
    )
)
@settings(deadline=None)
def test_many_datagrams_at_once_leave_in_runs_that_can_be_sent(
    bursts: list[tuple[int, int, int]],
) -> None:
    box = Outbox()
    sent = []
    for count, size, last in bursts:
        short = min(last, size)
        whole = bytes([count]) * (size * (count - 1) + short)
        view, start, end = box.rest(len(whole))
        assert end - start >= len(whole)
        view[start : start + len(whole)] = whole
        box.datagrams(("a", 1), None, start, start + len(whole), size)
        sent += [whole[at : at + size] for at in range(0, len(whole), size)]
    got = []
    for _, _, view, size in box.drain().datagrams:
        assert len(view) <= 65000
        assert -(-len(view) // size) <= 64
        got += [bytes(view[at : at + size]) for at in range(0, len(view), size)]
    assert got == sent


def test_room_given_back_is_used_again_unless_others_came_after() -> None:
    box = Outbox()
    view, start = box.room(1000)
    box.give_back(view, start + 100, start + 1000)
    _, after = box.room(10)
    assert after == start + 100
    box.give_back(view, start, start + 1000)
    assert box.room(1)[1] == after + 10
