# SPDX-License-Identifier: MIT
"""Who is gone is not held: peers that come and go for ever take no more room than those there."""

from __future__ import annotations

import weakref
from random import Random

from wgtools.engine.timers import OFF, Agenda, Timers
from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, Endpoint, PeerChange
from wgtools.testing.link import pair
from wgtools.testing.packets import ipv4


class Owner:
    def __init__(self) -> None:
        self.timers = Timers(lambda: 0.0)


def test_peers_that_come_and_go_leave_nothing() -> None:
    joined = pair()
    engine = joined.hosts[0].engine
    for n in range(400):
        key = Key(n.to_bytes(32, "big"))
        endpoint = Endpoint("192.0.2.9", 9)
        networks = [AllowedIP.parse("10.9.0.0/16")]
        peer = PeerChange(key, endpoint=endpoint, allowed_ips=networks, keepalive=65535)
        engine.configure(DeviceChange(peers=[peer]), joined.clock.advance(0.01))
        joined.send(joined.hosts[0], ipv4("10.0.0.1", "10.9.0.1", 17, bytes(8)))
        engine.outgoing()
        engine.configure(DeviceChange(peers=[PeerChange(key, remove=True)]), joined.clock.now)
    context = engine._context
    assert len(context.agenda._heap) <= 129
    assert not context.indices.handshakes
    assert context.staged_bytes == 0
    assert set(context.hosts) == {bytes([192, 0, 2, 2])}


def test_a_removed_peer_keeps_no_secrets() -> None:
    joined = pair(psk=Key(bytes([7]) * 32))
    a = joined.hosts[0]
    joined.send(a, ipv4("10.0.0.1", "10.0.0.2", 17, bytes(8)))
    joined.run()
    (peer,) = a.engine._peers.values()
    a.engine.configure(DeviceChange(replace_peers=True), joined.clock.now)
    assert peer.handshake.psk == bytes(32)
    assert peer.handshake._static_static is None
    assert peer.keyring.current is None


def test_a_sweep_forgets_nobody_who_waits() -> None:
    random = Random(1)
    agenda: Agenda[Owner] = Agenda()
    owners = [Owner() for _ in range(50)]
    gone = weakref.WeakSet[Owner]()
    now = 0.0
    for _ in range(2500):
        now += random.random()
        owner = random.choice(owners)
        owner.timers.keepalive = now + random.choice((1.0, 5.0, 500.0))
        agenda.plan(owner)
        if random.random() < 0.1:
            owners.remove(owner)
            owner.timers.planned = OFF
            gone.add(owner)
            owners.append(Owner())
        del owner
        assert len(agenda._heap) <= 129
        for due in agenda.take_due(now):
            assert due in owners
            due.timers.keepalive = OFF
        first = agenda.first()
        waiting = [one.timers.planned for one in owners if one.timers.planned != OFF]
        assert first == (min(waiting) if waiting else None)
        assert all(
            one.timers.planned <= one.timers.due() for one in owners if one.timers.due() < OFF
        )
    assert len(gone) < 130
