# SPDX-License-Identifier: MIT
"""What is dropped is counted under its reason, answered by nothing, and harms nobody."""

from __future__ import annotations

import pytest

from wgtools.engine.cookie import CookieChecker, CookieJar
from wgtools.engine.device import Engine
from wgtools.engine.events import Drop
from wgtools.engine.messages import NONCE, TRANSPORT
from wgtools.engine.noise import Refused
from wgtools.engine.receive import Gate
from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, PeerChange
from wgtools.testing.clock import FakeClock
from wgtools.testing.entropy import FakeEntropy
from wgtools.testing.link import Link, frame, pair
from wgtools.testing.packets import ipv4, ipv6, net_header, tcp, udp

THERE = ("192.0.2.1", 1111)
PACKET = ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2, bytes(20)))


def shaken() -> Link:
    joined = pair()
    joined.send(joined.hosts[0], PACKET)
    joined.run()
    return joined


def sealed(joined: Link, inner: bytes) -> bytes:
    """A transport message of A to B that says `inner`, whatever A's engine would think of it."""
    (peer,) = joined.hosts[0].engine._peers.values()
    session = peer.keyring.current
    assert session is not None
    counter, session.sent = session.sent, session.sent + 1
    message = bytearray(TRANSPORT.pack(4, session.remote_index, counter) + bytes(len(inner) + 16))
    session.seal(NONCE.pack(counter), inner, None, memoryview(message)[16:])
    return bytes(message)


def only_this(joined: Link, data: bytes, size: int) -> dict[Drop, int]:
    """What B counts for one buffer; it hands on nothing and says nothing."""
    b = joined.hosts[1]
    before = len(b.packets), len(joined.seen)
    b.engine.datagrams_received(data, size, THERE, None, joined.clock.now)
    joined.collect()
    assert (len(b.packets), len(joined.seen)) == before
    return dict(b.engine.counters)


# --- from the network ---


@pytest.mark.parametrize(
    ("data", "size", "count"),
    [
        (b"\4" + bytes(30), 31, 1),  # shorter than any message
        (b"\4" + bytes(30), 10, 4),
        (b"\7" + bytes(40), 41, 1),  # no such type
        (b"\1" + bytes(148), 149, 1),  # an initiation has 148 bytes
        (b"\4" + bytes(40), 0, 1),
    ],
)
def test_what_is_no_message(data: bytes, size: int, count: int) -> None:
    assert only_this(shaken(), data, size) == {Drop.MALFORMED: count}


def test_a_short_datagram_in_a_buffer_does_not_hide_its_neighbours() -> None:
    joined = shaken()
    message = sealed(joined, PACKET)
    b = joined.hosts[1]
    before = len(b.packets)
    data = message + message[:20]  # the last of a buffer may be shorter
    b.engine.datagrams_received(data, len(message), THERE, None, joined.clock.now)
    joined.collect()
    assert b.packets[before:] == [PACKET]
    assert b.engine.counters == {Drop.MALFORMED: 1}


def test_a_device_without_a_key_knows_no_handshake() -> None:
    engine = Engine(FakeEntropy(1), mtu=1420)
    clock = FakeClock()
    engine.datagrams_received(b"\1" + bytes(147), 148, THERE, None, clock.now)
    assert engine.counters == {Drop.NO_KEY: 1}
    assert not engine.outgoing()


def test_a_cookie_reply_to_nobody() -> None:
    assert only_this(shaken(), b"\3\0\0\0\xff\xff\xff\xff" + bytes(56), 64) == {
        Drop.UNKNOWN_INDEX: 1
    }


def test_transport_data_of_a_session_that_is_over() -> None:
    joined = shaken()
    message = sealed(joined, PACKET)
    joined.clock.advance(180.0)
    assert only_this(joined, message, len(message)) == {Drop.EXPIRED_SESSION: 1}


V6 = ipv6("fd00::1", "fd00::2", 17, udp(1, 2))


@pytest.mark.parametrize(
    "inner",
    [
        b"\x50" + bytes(47),  # neither version 4 nor 6
        PACKET[:19],
        V6[:39],
        PACKET[:2] + b"\0\x13" + PACKET[4:],  # says it is shorter than its header
        PACKET[:2] + b"\xff\xff" + PACKET[4:],  # says it is longer than it is
        V6[:4] + b"\xff\xff" + V6[6:],
    ],
)
def test_what_comes_out_is_no_packet(inner: bytes) -> None:
    joined = shaken()
    message = sealed(joined, inner)
    assert only_this(joined, message, len(message)) == {Drop.BAD_INNER: 1}


@pytest.mark.parametrize("source", ["10.0.0.2", "10.0.0.3", "192.0.2.1"])
def test_a_source_that_is_not_the_peers(source: str) -> None:
    joined = shaken()
    message = sealed(joined, ipv4(source, "10.0.0.2", 17, udp(1, 2)))
    assert only_this(joined, message, len(message)) == {Drop.BAD_SOURCE: 1}


def test_who_has_proved_his_address_is_still_held_to_a_rate() -> None:
    public = bytes(range(32))
    entropy = FakeEntropy(1)
    gate = Gate(CookieChecker(public, entropy))
    jar = CookieJar(public)

    def judged() -> bytes | None:
        return gate.judge(jar.close(b"\1\0\0\0" + entropy(112), 50.0), THERE, 50.0)

    assert [judged() for _ in range(5)] == [None] * 5
    cookie = judged()
    assert cookie is not None
    assert jar.take(cookie, 50.0)
    assert [judged() for _ in range(5)] == [None] * 5
    with pytest.raises(Refused) as caught:
        judged()
    assert caught.value.reason is Drop.RATE_LIMITED
    with pytest.raises(Refused) as caught:
        gate.judge(bytes(148), THERE, 50.0)
    assert caught.value.reason is Drop.BAD_MAC1


# --- from the TUN ---


@pytest.mark.parametrize(
    ("packet", "head", "reason"),
    [
        (b"", bytes(10), Drop.BAD_FRAME),
        (PACKET[:19], bytes(10), Drop.BAD_FRAME),
        (b"\x50" + bytes(47), bytes(10), Drop.BAD_FRAME),
        (V6[:39], bytes(10), Drop.BAD_FRAME),
        (PACKET, net_header(csum_start=2000), Drop.BAD_FRAME),
        (ipv4("10.0.0.1", "10.0.0.3", 17, udp(1, 2)), bytes(10), Drop.NO_ROUTE),
        (ipv6("fd00::1", "fd00::3", 17, udp(1, 2)), bytes(10), Drop.NO_ROUTE),
    ],
)
def test_a_frame_that_goes_nowhere(packet: bytes, head: bytes, reason: Drop) -> None:
    joined = shaken()
    a = joined.hosts[0]
    before = len(joined.seen)
    a.engine.frame_received(frame(packet, head), joined.clock.now)
    joined.collect()
    assert len(joined.seen) == before
    assert a.engine.counters == {reason: 1}


TCP4 = ipv4("10.0.0.1", "10.0.0.2", 6, tcp(1, 2, payload=bytes(100)))
TCP6 = ipv6("fd00::1", "fd00::2", 6, tcp(1, 2, payload=bytes(100)))


@pytest.mark.parametrize(
    ("packet", "gso_type", "size"),
    [
        (TCP4, 1, 0),  # segments of nothing
        (PACKET[:20], 1, 1000),  # no room for a transport header
        (b"\x41" + TCP4[1:], 1, 50),  # an IP header of 4 bytes
        (b"\x4f" + TCP4[1:64], 1, 50),  # one that ends where the packet does
        (TCP4, 4, 50),  # TCP over IPv6, it says
        (TCP6, 1, 50),  # over IPv4
        (TCP4, 5, 50),  # UDP
        (PACKET, 1, 50),  # TCP
        (TCP4, 3, 50),  # UDP fragments, which nobody asked for
        (TCP4[:32], 1, 50),  # a TCP header cut short
        (TCP4[:32] + b"\x40" + TCP4[33:], 1, 50),  # of 16 bytes
        (TCP4[:32] + b"\xf0" + TCP4[33:64], 1, 50),  # longer than the packet
    ],
)
def test_a_super_packet_that_makes_no_sense(packet: bytes, gso_type: int, size: int) -> None:
    joined = shaken()
    a = joined.hosts[0]
    before = len(joined.seen)
    head = net_header(flags=1, gso_type=gso_type, gso_size=size, csum_start=20)
    a.engine.frame_received(frame(packet, head), joined.clock.now)
    joined.collect()
    assert len(joined.seen) == before
    assert a.engine.counters == {Drop.BAD_FRAME: 1}


def test_a_peer_without_an_endpoint() -> None:
    joined = pair()
    a = joined.hosts[0]
    stranger = PeerChange(Key(bytes(range(32))), allowed_ips=[AllowedIP.parse("10.0.0.9/32")])
    a.engine.configure(DeviceChange(peers=[stranger]), joined.clock.now)
    joined.send(a, ipv4("10.0.0.1", "10.0.0.9", 17, udp(1, 2)))
    joined.collect()
    assert joined.seen == []
    assert a.engine.counters == {Drop.NO_ENDPOINT: 1}
