# SPDX-License-Identifier: MIT
"""Fuzz target: the life of two engines: traffic, loss, time that jumps, changed settings.

The promise beside those of network_targets: whatever happened, once the settings fit and
the network carries again, packets pass within the time that the protocol needs.
"""

from __future__ import annotations

from tests.fuzz.dice import Dice
from tests.fuzz.network_targets import check
from wgtools.crypto.x25519 import public_key
from wgtools.engine.events import Now
from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, Endpoint, PeerChange
from wgtools.testing.clock import FakeClock
from wgtools.testing.link import Flying, Host, Link, pair
from wgtools.testing.packets import ipv4, udp

_STEPS_OF_A_STORY = 120
_TIMES = (0.0, 0.001, 0.3, 1.0, 5.1, 5.4, 9.0, 10.0, 15.2, 25.0, 60.0, 119.0, 121.0, 165.0, 181.0)
_JUMPS = (541.0, 3600.0, 86400.0 * 30)
# Until a packet passes again: a handshake that failed is tried again after Rekey-Timeout and
# its jitter, and once more if the first answer crossed with another.
_RECOVERY = 3 * 5.4
_STRANGER = Key.from_entropy(bytes(range(32)))


class _Life:
    def __init__(self, dice: Dice) -> None:
        self.dice = dice
        self.joined: Link = pair()
        self.clock: FakeClock = self.joined.clock
        self.latest_wall = self.clock.wall_ns
        self.fate: list[int] = [0]
        self.swaps = 0
        self.joined.meddle = self._meddle
        self.keys = [host.key for host in self.joined.hosts]
        self.publics = [Key(public_key(bytes(key))) for key in self.keys]

    def _meddle(self, one: Flying) -> list[Flying]:
        """Most arrive; some are lost, doubled, held back until later."""
        match self.fate[0] % 8:
            case 5:
                return []
            case 6:
                return [one, one]
            case 7 if self.swaps:  # not for ever: an old call may have an answer each time
                self.swaps -= 1
                return [self.joined.seen[self.dice.number() % len(self.joined.seen)]]
            case _:
                return [one]

    def ping(self, host: Host) -> None:
        here, there = ("1", "2") if host is self.joined.hosts[0] else ("2", "1")
        content = udp(1, 2, bytes(self.dice.below(64)))
        self.joined.send(host, ipv4(f"10.0.0.{here}", f"10.0.0.{there}", 17, content))

    def turn(self, seconds: float) -> None:
        """Time passes, at once: timers are called late, as after a suspend."""
        self.clock.advance(seconds)
        self.latest_wall = max(self.latest_wall, self.clock.wall_ns)
        for host in self.joined.hosts:
            host.engine.timer_due(self.clock.now)
        self.joined.run()

    def peer_of(self, host: Host) -> PeerChange:
        """What `host` should know of the other, endpoint and all."""
        first = host is self.joined.hosts[0]
        other = self.joined.hosts[first]
        number = 2 if first else 1
        return PeerChange(
            self.publics[first],
            preshared_key=Key(bytes(32)),
            endpoint=Endpoint(other.address[0], other.address[1]),
            replace_allowed_ips=True,
            allowed_ips=[AllowedIP.parse(f"10.0.0.{number}/32")],
        )

    def change(self, host: Host) -> None:
        """One of the things that people do to a running device."""
        peer = self.peer_of(host)
        engine, now = host.engine, self.clock.now
        match self.dice.below(9):
            case 0:
                peer.remove = True
            case 1:
                peer.keepalive = self.dice.pick((0, 1, 25, 65535))
            case 2:
                peer.preshared_key = Key(self.dice.take(32).ljust(32, b"\0"))
            case 3:
                peer.allowed_ips = [AllowedIP.parse("10.0.0.0/8"), AllowedIP.parse("::/0")]
            case 4:
                thief = PeerChange(_STRANGER, allowed_ips=peer.allowed_ips)
                engine.configure(DeviceChange(peers=[thief]), now)
                return
            case 5:
                wanted = self.dice.pick((Key(bytes(32)), _STRANGER, host.key))
                engine.configure(DeviceChange(private_key=wanted), now)
                return
            case 6:
                engine.bring_down(now)
                if self.dice.below(2):
                    engine.bring_up(now)
                return
            case 7:
                engine.set_mtu(self.dice.pick((0, 576, 1280, 1420, 65535)))
                return
            case _:
                pass
        engine.configure(DeviceChange(peers=[peer]), now)

    def heal(self) -> None:
        """Settings that fit, a network that carries, clocks that go forward."""
        self.fate[0] = 0
        self.clock.wall_ns = max(self.latest_wall, self.clock.wall_ns) + 10**9
        for host, key in zip(self.joined.hosts, self.keys, strict=True):
            host.engine.set_mtu(1420)
            host.engine.configure(DeviceChange(private_key=key), self.clock.now)
            host.engine.bring_up(self.clock.now)
        for host in self.joined.hosts:
            peer = self.peer_of(host)
            peer.keepalive = 0
            host.engine.configure(DeviceChange(peers=[peer]), self.clock.now)
        self.joined.run()


def life(data: bytes) -> None:
    """A story of two engines, and that it ends well."""
    dice = Dice(data)
    world = _Life(dice)
    joined = world.joined
    for _ in range(_STEPS_OF_A_STORY):
        if not dice.more:
            break
        host = dice.pick(joined.hosts)
        match dice.below(8):
            case 0 | 1 | 2:
                world.ping(host)
            case 3:
                world.turn(dice.pick(_TIMES))
            case 4:
                world.fate[0] = dice.number()
                world.swaps = 8
            case 5:
                world.change(host)
            case 6:
                joined.move(host, (f"192.0.2.{dice.number()}", 1 + dice.below(65535)))
            case _:
                _meddle_with_time(world, dice)
        joined.run()
        _forget(joined)
        for one in joined.hosts:
            check(one.engine)
    world.heal()
    _must_pass(world)


def _meddle_with_time(world: _Life, dice: Dice) -> None:
    """A clock set by hand, a suspend, a monotonic clock that is none."""
    match dice.below(3):
        case 0:
            world.clock.wall_ns += dice.pick((-1, 1)) * dice.pick((1, 3600, 86400)) * 10**9
            world.latest_wall = max(world.latest_wall, world.clock.wall_ns)
        case 1:
            world.turn(dice.pick(_JUMPS))
        case _:
            behind = Now(world.clock.mono - dice.pick(_TIMES), world.clock.wall_ns)
            for host in world.joined.hosts:
                host.engine.timer_due(behind)


def _forget(joined: Link) -> None:
    """A story is long; what was said long ago is not needed."""
    del joined.seen[:-32]
    for host in joined.hosts:
        del host.frames[:-8]
        del host.events[:-8]


def _must_pass(world: _Life) -> None:
    """One packet a second each way arrives, after `_RECOVERY` seconds every one of them."""
    joined = world.joined
    for host in joined.hosts:
        host.frames.clear()
    passed = 0.0
    while passed < _RECOVERY:
        for host in joined.hosts:
            world.ping(host)
        joined.wait(1.0)
        passed += 1.0
    for host in joined.hosts:
        host.frames.clear()
        check(host.engine)
    for host in joined.hosts:
        world.ping(host)
    joined.run()
    got = [len(host.frames) for host in joined.hosts]
    counts = [dict(host.engine.counters) for host in joined.hosts]
    assert got == [1, 1], (got, counts)
