# SPDX-License-Identifier: MIT
"""A peer whose endpoint lies inside the tunnel: what we send must not feed us."""

from __future__ import annotations

import struct

import pytest

from wgtools.engine.events import Drop
from wgtools.engine.peer import Peer
from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, Endpoint, PeerChange
from wgtools.testing.link import Host, Link, frame, make_host, pair
from wgtools.testing.packets import ipv4, ipv6, udp

PORT = 2222
FOUR, SIX = ("10.0.0.2", PORT), ("fd00::2", PORT, 0, 0)


def ping() -> bytes:
    return ipv4("10.0.0.1", "10.0.0.2", 1, bytes(64))


def roamed(address: tuple[str, int] | tuple[str, int, int, int]) -> Link:
    """A session, and A believes that B is at B's own tunnel address."""
    joined = pair()
    a, b = joined.hosts
    joined.send(a, ping())
    joined.run()
    joined.send(b, ipv4("10.0.0.2", "10.0.0.1", 1, bytes(64)))
    joined.collect()
    (one,) = joined.flying
    joined.flying.clear()
    a.engine.datagrams_received(one.data, one.size, address, None, joined.clock.now)
    a.engine.outgoing()
    return joined


def said(host: Host) -> list[bytes]:
    return [bytes(data) for _, _, data, _ in host.engine.outgoing().datagrams]


def routed_back(datagram: bytes, address: tuple[object, ...]) -> bytes:
    """The frame that the host makes of our datagram when its route leads into our TUN."""
    content = udp(51820, PORT, datagram)
    if len(address) == 2:
        return ipv4("10.0.0.1", "10.0.0.2", 17, content)
    return ipv6("fd00::1", "fd00::2", 17, content)


@pytest.mark.parametrize("address", [FOUR, SIX])
def test_what_we_made_is_not_encrypted_again(address: tuple[str, int]) -> None:
    joined = roamed(address)
    a = joined.hosts[0]
    joined.send(a, ping())
    (datagram,) = said(a)
    joined.send(a, routed_back(datagram, address))
    assert said(a) == []
    assert a.engine.counters[Drop.ROUTING_LOOP] == 1


def test_nor_is_our_initiation() -> None:
    joined = roamed(FOUR)
    a = joined.hosts[0]
    joined.clock.advance(200.0)
    joined.send(a, ping())
    (initiation,) = said(a)
    assert initiation[0] == 1
    joined.send(a, routed_back(initiation, FOUR))
    assert said(a) == []
    assert a.engine.counters[Drop.ROUTING_LOOP] == 1


def test_nor_the_first_fragment_of_it() -> None:
    joined = roamed(FOUR)
    a = joined.hosts[0]
    joined.send(a, ping())
    (datagram,) = said(a)
    whole = bytearray(routed_back(datagram, FOUR))
    whole[6] |= 0x20
    joined.send(a, bytes(whole))
    six = bytearray(routed_back(datagram, SIX))
    first = six[:6] + b"\x2c" + six[7:40] + bytes([17, 0, 0, 1, 0, 0, 0, 7]) + six[40:]
    only = ipv4("10.0.0.1", "10.0.0.2", 17, b"")
    joined.send(a, only)  # too short to be anything
    assert len(said(a)) == 1
    assert a.engine.counters[Drop.ROUTING_LOOP] == 1
    joined = roamed(SIX)
    a = joined.hosts[0]
    joined.send(a, ping())
    (datagram,) = said(a)
    first[56:] = datagram
    joined.send(a, bytes(first))
    assert said(a) == []
    assert a.engine.counters[Drop.ROUTING_LOOP] == 1


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_wireguard_of_others_to_the_same_endpoint_passes(kind: int) -> None:
    joined = roamed(FOUR)
    a = joined.hosts[0]
    foreign = struct.pack("<III", kind, 0xDEADBEEF, 0) + bytes(80)
    joined.send(a, routed_back(foreign, FOUR))
    assert len(said(a)) == 1
    assert not a.engine.counters


@pytest.mark.parametrize("address", [FOUR, SIX])
def test_later_fragments_and_other_protocols_pass(address: tuple[str, int]) -> None:
    """Only a datagram's beginning can be known: what else looks like ours is somebody's."""
    joined = roamed(address)
    a = joined.hosts[0]
    joined.send(a, ping())
    (datagram,) = said(a)
    whole = routed_back(datagram, address)
    if address is FOUR:
        others = [
            whole[:9] + b"\6" + whole[10:],  # TCP
            whole[:6] + b"\0\1" + whole[8:],  # the fragment at 8 bytes
            whole[:6] + b"\1\0" + whole[8:],  # at 2048
        ]
    else:
        fragment = bytes([17, 0, 0, 9, 0, 0, 0, 7])  # at 8 bytes
        of_tcp = bytes([6, 0, 0, 1, 0, 0, 0, 7])
        others = [
            whole[:6] + b"\6" + whole[7:],
            *(whole[:6] + b"\x2c" + whole[7:40] + one + whole[40:] for one in (fragment, of_tcp)),
        ]
    for other in others:
        joined.send(a, other)
    # One by one: the engine may join equal datagrams into one buffer.
    assert sum(len(data) // len(datagram) for data in said(a)) >= len(others)
    assert Drop.ROUTING_LOOP not in a.engine.counters


def test_our_messages_to_another_address_pass() -> None:
    """Somebody may well send a recording of them through the tunnel."""
    joined = pair()
    a = joined.hosts[0]
    joined.send(a, ping())
    joined.run()
    joined.send(a, ping())
    (datagram,) = said(a)
    joined.send(a, routed_back(datagram, FOUR))
    assert len(said(a)) == 1


def test_the_guard_outlives_no_reconfiguration() -> None:
    joined = roamed(FOUR)
    a = joined.hosts[0]
    joined.send(a, ping())
    (datagram,) = said(a)
    (peer,) = a.engine._peers.values()
    peer.set_address(("192.0.2.2", PORT))
    a.engine.frame_received(frame(routed_back(datagram, FOUR)), joined.clock.now)
    assert len(said(a)) == 1


def test_two_peers_inside_each_others_networks_do_not_send_us_round() -> None:
    """Each has moved to where the other is reached: A would wrap and wrap again."""
    joined = roamed(FOUR)
    a = joined.hosts[0]
    c = make_host("C", 9, ("192.0.2.3", 3333), joined.clock)
    joined.hosts.append(c)
    names = [host.engine.snapshot().public_key for host in (a, c)]
    assert names[0] is not None
    assert names[1] is not None
    engine, now = a.engine, joined.clock.now
    theirs = [AllowedIP.parse("10.0.0.2/32")]  # where B is now: reached through C
    there = Endpoint("10.0.0.3", 3333)  # where C is now: reached through B
    (at_b,) = engine._peers.values()
    ours = [AllowedIP.parse("10.0.0.3/32")]
    peers = [PeerChange(names[1], endpoint=there, allowed_ips=theirs)]
    peers.append(PeerChange(at_b.key, replace_allowed_ips=True, allowed_ips=ours))
    engine.configure(DeviceChange(peers=peers), now)
    # To C, in B's tunnel: an initiation for C at 10.0.0.3, which is B's to carry.
    joined.send(a, ping())
    (initiation,) = said(a)
    joined.send(a, ipv4("10.0.0.1", "10.0.0.3", 17, udp(51820, 3333, initiation)))
    assert said(a) == []
    joined.send(a, ipv4("10.0.0.1", "10.0.0.3", 1, bytes(64)))
    (datagram,) = said(a)  # to B, at 10.0.0.2, which is C's to carry
    joined.send(a, routed_back(datagram, FOUR))
    assert said(a) == []
    assert engine.counters[Drop.ROUTING_LOOP] == 2
    engine.configure(DeviceChange(replace_peers=True), now)
    assert not engine._context.hosts


def test_many_peers_behind_one_address_are_told_apart() -> None:
    joined = roamed(FOUR)
    a = joined.hosts[0]
    for n in range(3):
        peer = PeerChange(Key(bytes([n + 1]) * 32), endpoint=Endpoint("10.0.0.2", n + 1))
        a.engine.configure(DeviceChange(peers=[peer]), joined.clock.now)
    joined.send(a, ping())
    (datagram,) = said(a)
    joined.send(a, routed_back(datagram, FOUR))
    assert said(a) == []
    assert a.engine.counters[Drop.ROUTING_LOOP] == 1
    (moved, *_) = a.engine._peers.values()
    moved.set_address(("192.0.2.9", 1))
    joined.send(a, routed_back(datagram, FOUR))
    assert len(said(a)) == 1


def test_a_frame_to_a_crowded_address_costs_no_look_at_each_peer_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Behind one NAT there may be thousands, and one of them can send packets to it."""
    joined = roamed(FOUR)
    a = joined.hosts[0]
    crowd = [
        PeerChange(Key(n.to_bytes(32, "big")), endpoint=Endpoint("10.0.0.2", 10000 + n))
        for n in range(1, 200)
    ]
    a.engine.configure(DeviceChange(peers=crowd), joined.clock.now)
    asked: list[Peer] = []
    has_made = Peer.has_made

    def counted(peer: Peer, view: memoryview, end: int) -> bool:
        asked.append(peer)
        return has_made(peer, view, end)

    monkeypatch.setattr(Peer, "has_made", counted)
    joined.send(a, ping())
    (datagram,) = said(a)
    joined.send(a, routed_back(datagram, FOUR))
    assert said(a) == []
    assert [(peer.address or ("", 0))[1] for peer in asked] == [PORT]
    a.engine.configure(DeviceChange(replace_peers=True), joined.clock.now)
    assert not a.engine._context.hosts


def test_a_peer_that_moves_to_another_port_is_found_there_alone() -> None:
    joined = roamed(FOUR)
    a = joined.hosts[0]
    (peer,) = a.engine._peers.values()
    for port in (PORT, PORT + 1, PORT + 1, PORT):
        peer.set_address(("10.0.0.2", port))
        (ports,) = a.engine._context.hosts.values()
        assert {number: list(there) for number, there in ports.items()} == {port: [peer]}
