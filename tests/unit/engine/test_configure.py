# SPDX-License-Identifier: MIT
"""configure and snapshot: what a change does, and that a wrong one does nothing."""

from __future__ import annotations

import pytest

from wgtools.crypto.x25519 import public_key
from wgtools.engine.device import Engine
from wgtools.engine.events import Drop, Now
from wgtools.errors import EngineError
from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, Endpoint, HostPort, PeerChange
from wgtools.testing.entropy import FakeEntropy
from wgtools.testing.link import frame, pair
from wgtools.testing.packets import ipv4, udp

NOW = Now(0.0, 0)
OWN = Key.from_entropy(b"o" * 32)
ONE, TWO, THREE = (Key(bytes([n]) * 32) for n in (1, 2, 3))


def engine(*peers: PeerChange, **change: object) -> Engine:
    made = Engine(FakeEntropy())
    made.configure(DeviceChange(private_key=OWN, peers=list(peers)), NOW)
    return made


def networks(device: Engine, key: Key) -> list[str]:
    (peer,) = (one for one in device.snapshot().peers if one.public_key == key)
    return [str(allowed) for allowed in peer.allowed_ips]


def nets(*texts: str) -> list[AllowedIP]:
    return [
        AllowedIP(net.address, net.length, remove=text.startswith("-"))
        for text in texts
        for net in [AllowedIP.parse(text.lstrip("-"))]
    ]


def test_a_new_engine_is_empty() -> None:
    device = Engine(FakeEntropy()).snapshot("wg0")
    assert (device.name, device.private_key, device.public_key, device.peers) == (
        "wg0", None, None, [],
    )  # fmt: skip


def test_what_is_set_is_shown() -> None:
    made = Engine(FakeEntropy())
    peer = PeerChange(
        ONE,
        preshared_key=TWO,
        endpoint=Endpoint("fe80::1%3", 51820),
        keepalive=25,
        allowed_ips=nets("10.1.2.3/16", "fd00::/64", "10.1.2.3"),
    )
    made.configure(
        DeviceChange(private_key=OWN, listen_port=51820, fwmark=0xFFFFFFFF, peers=[peer]), NOW
    )
    device = made.snapshot()
    assert device.private_key == OWN
    assert device.public_key == Key(public_key(bytes(OWN)))
    assert (device.listen_port, device.fwmark) == (51820, 0xFFFFFFFF)
    (shown,) = device.peers
    assert (shown.public_key, shown.preshared_key, shown.keepalive) == (ONE, TWO, 25)
    assert shown.endpoint == Endpoint("fe80::1%3", 51820)
    assert networks(made, ONE) == ["10.1.0.0/16", "fd00::/64", "10.1.2.3/32"]


def test_none_leaves_alone_and_zero_clears() -> None:
    made = engine(PeerChange(ONE, preshared_key=TWO, keepalive=25, allowed_ips=nets("10.0.0.0/8")))
    before = made.snapshot()
    made.configure(DeviceChange(), NOW)
    made.configure(DeviceChange(peers=[PeerChange(ONE)]), NOW)
    assert made.snapshot() == before
    zero = Key(bytes(32))
    made.configure(
        DeviceChange(
            private_key=zero,
            listen_port=0,
            fwmark=0,
            peers=[PeerChange(ONE, preshared_key=zero, keepalive=0, replace_allowed_ips=True)],
        ),
        NOW,
    )
    device = made.snapshot()
    assert (device.private_key, device.public_key) == (None, None)
    assert (device.peers[0].preshared_key, device.peers[0].keepalive) == (None, 0)
    assert device.peers[0].allowed_ips == []


@pytest.mark.parametrize(
    "change",
    [
        DeviceChange(listen_port=65536),
        DeviceChange(listen_port=-1),
        DeviceChange(fwmark=1 << 32),
        DeviceChange(peers=[PeerChange(ONE, keepalive=65536)]),
        DeviceChange(peers=[PeerChange(ONE, endpoint=HostPort(b"h", b"1", b"h:1"))]),
        DeviceChange(peers=[PeerChange(ONE, endpoint=Endpoint("host.example", 1))]),
        DeviceChange(peers=[PeerChange(ONE, endpoint=Endpoint("192.0.2.1", 65536))]),
        DeviceChange(peers=[PeerChange(ONE, endpoint=Endpoint("192.0.2.1%1", 1))]),
        DeviceChange(peers=[PeerChange(ONE, endpoint=Endpoint("fe80::1%eth0", 1))]),
        DeviceChange(peers=[PeerChange(ONE, endpoint=Endpoint("fe80::1%4294967296", 1))]),
        DeviceChange(peers=[PeerChange(ONE, endpoint=Endpoint("fe80::1%" + "9" * 5000, 1))]),
        DeviceChange(peers=[PeerChange(ONE, endpoint=Endpoint("fe80::1%²", 1))]),
        DeviceChange(peers=[PeerChange(ONE, allowed_ips=[AllowedIP(b"123", 1)])]),
        DeviceChange(peers=[PeerChange(ONE, allowed_ips=[AllowedIP(bytes(4), 33)])]),
        DeviceChange(peers=[PeerChange(ONE, allowed_ips=[AllowedIP(bytes(16), -1)])]),
    ],
)
def test_a_wrong_change_raises_and_changes_nothing(change: DeviceChange) -> None:
    made = engine(PeerChange(TWO, allowed_ips=nets("10.0.0.0/8")))
    before = made.snapshot()
    change.peers = [PeerChange(THREE), PeerChange(TWO, remove=True), *change.peers]
    change.replace_peers = True
    with pytest.raises(EngineError):
        made.configure(change, NOW)
    assert made.snapshot() == before


@pytest.mark.parametrize("mtu", [-1, 65536])
def test_an_impossible_mtu_is_refused(mtu: int) -> None:
    with pytest.raises(EngineError):
        Engine(FakeEntropy(), mtu=mtu)
    with pytest.raises(EngineError):
        engine().set_mtu(mtu)


def test_update_only_makes_no_peer_and_remove_takes_one() -> None:
    made = engine(PeerChange(ONE))
    made.configure(DeviceChange(peers=[PeerChange(TWO, update_only=True, keepalive=9)]), NOW)
    assert [peer.public_key for peer in made.snapshot().peers] == [ONE]
    made.configure(DeviceChange(peers=[PeerChange(ONE, update_only=True, keepalive=9)]), NOW)
    assert made.snapshot().peers[0].keepalive == 9
    made.configure(DeviceChange(peers=[PeerChange(THREE, remove=True)]), NOW)
    made.configure(DeviceChange(peers=[PeerChange(ONE, remove=True)]), NOW)
    assert made.snapshot().peers == []


def test_replace_peers_keeps_only_the_new() -> None:
    made = engine(PeerChange(ONE, allowed_ips=nets("10.0.0.0/8")), PeerChange(TWO))
    made.configure(
        DeviceChange(replace_peers=True, peers=[PeerChange(THREE), PeerChange(ONE)]), NOW
    )
    assert [peer.public_key for peer in made.snapshot().peers] == [THREE, ONE]
    assert networks(made, ONE) == []


def test_an_allowed_ip_moves_to_the_last_peer_that_asks() -> None:
    made = engine(
        PeerChange(ONE, allowed_ips=nets("10.0.0.0/8", "10.1.0.0/16")),
        PeerChange(TWO, allowed_ips=nets("10.9.9.9/8")),
    )
    assert networks(made, ONE) == ["10.1.0.0/16"]
    assert networks(made, TWO) == ["10.0.0.0/8"]


def test_allowed_ips_are_listed_in_the_order_they_were_last_given() -> None:
    made = engine(PeerChange(ONE, allowed_ips=nets("10.3.0.0/16", "10.1.0.0/16", "10.3.9.9/16")))
    assert networks(made, ONE) == ["10.1.0.0/16", "10.3.0.0/16"]


def test_a_removed_allowed_ip_goes_only_from_its_owner() -> None:
    made = engine(
        PeerChange(ONE, allowed_ips=nets("10.0.0.0/8", "fd00::/8")),
        PeerChange(TWO, allowed_ips=nets("-10.0.0.0/8", "-192.0.2.0/24")),
    )
    assert networks(made, ONE) == ["10.0.0.0/8", "fd00::/8"]
    made.configure(DeviceChange(peers=[PeerChange(ONE, allowed_ips=nets("-10.7.0.0/8"))]), NOW)
    assert networks(made, ONE) == ["fd00::/8"]


def test_a_peer_with_our_own_key_is_ignored_or_removed() -> None:
    ourselves = Key(public_key(bytes(OWN)))
    made = engine(PeerChange(ourselves), PeerChange(ONE))
    assert [peer.public_key for peer in made.snapshot().peers] == [ONE]
    made = Engine(FakeEntropy())
    made.configure(DeviceChange(peers=[PeerChange(ourselves), PeerChange(ONE)]), NOW)
    assert len(made.snapshot().peers) == 2
    made.configure(DeviceChange(private_key=OWN), NOW)
    assert [peer.public_key for peer in made.snapshot().peers] == [ONE]


@pytest.mark.parametrize("weak", [bytes(32), b"\1" + bytes(31)])
def test_a_peer_whose_key_gives_an_all_zero_secret_is_never_called(weak: bytes) -> None:
    made = engine(
        PeerChange(Key(weak), endpoint=Endpoint("192.0.2.1", 1), allowed_ips=nets("10.0.0.0/8"))
    )
    made.frame_received(frame(ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2))), NOW)
    assert not made.outgoing()
    assert made.counters == {Drop.WEAK_PEER_KEY: 1}


def test_a_new_private_key_ends_sending_under_the_old_and_shakes_hands_anew() -> None:
    joined = pair()
    a, b = joined.hosts
    joined.send(a, ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2)))
    joined.run()
    fresh = Key.from_entropy(b"f" * 32)
    a.engine.configure(DeviceChange(private_key=fresh), joined.clock.now)
    before = len(joined.seen)
    joined.send(a, ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2)))
    joined.run()
    assert [one.data[0] for one in joined.seen[before:]] == [1], "an initiation, and no answer"
    assert b.engine.counters == {Drop.UNKNOWN_PEER: 1}
    peer = PeerChange(Key(public_key(bytes(fresh))), allowed_ips=nets("10.0.0.1/32"))
    b.engine.configure(DeviceChange(peers=[peer]), joined.clock.now)
    joined.wait(6.0)
    assert len(b.packets) == 2
    again = a.engine.snapshot()
    a.engine.configure(DeviceChange(private_key=fresh), joined.clock.now)
    assert a.engine.snapshot() == again, "the same key again changes nothing"


def test_down_forgets_sessions_and_up_starts_keepalives() -> None:
    joined = pair(keepalive=25)
    a, b = joined.hosts
    joined.wait(12.0)
    a.engine.bring_down(joined.clock.now)
    assert a.engine.next_deadline() is None
    joined.send(a, ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2)))
    joined.send(b, ipv4("10.0.0.2", "10.0.0.1", 17, udp(1, 2)))
    joined.run()
    assert a.engine.counters[Drop.DOWN] == 2
    before = len(joined.seen)
    a.engine.bring_up(joined.clock.now)
    a.engine.bring_up(joined.clock.now)
    joined.run()
    assert [one.data[0] for one in joined.seen[before:]] == [1, 2, 4]


def test_a_peer_removed_is_gone_from_every_table() -> None:
    joined = pair(keepalive=25)
    a, b = joined.hosts
    joined.wait(12.0)
    joined.send(a, ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2)))
    a.engine.configure(DeviceChange(replace_peers=True), joined.clock.now)
    joined.send(b, ipv4("10.0.0.2", "10.0.0.1", 17, udp(1, 2)))
    joined.run()
    indices = a.engine._context.indices
    assert (indices.sessions, indices.handshakes) == ({}, {})
    assert a.engine.next_deadline() is None
    assert a.engine.counters[Drop.UNKNOWN_INDEX] == 1
    assert a.engine._context.staged_bytes == 0
