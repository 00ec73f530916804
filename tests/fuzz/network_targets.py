# SPDX-License-Identifier: MIT
"""Fuzz targets: what comes to an engine from the network and from its TUN.

A target takes any bytes, reads them as a little story (`Dice`) and raises only when the
engine broke a promise: that nothing raises, that every datagram and every frame is either
taken or counted under one reason, and that who proves nothing gets no more than he sent.
"""

from __future__ import annotations

import struct

from tests.fuzz.dice import Dice
from wgtools.engine.device import Engine
from wgtools.engine.events import Address, Drop
from wgtools.engine.messages import NONCE, TRANSPORT
from wgtools.testing.link import Host, Link, frame, pair
from wgtools.testing.packets import ipv4, ipv6, tcp, udp

_STEPS_OF_A_STORY = 40
# Counted once a peer has vouched for the packet: its bytes are in `rx_bytes` as well.
_INSIDE = {Drop.BAD_INNER, Drop.BAD_SOURCE}
_STRANGERS: list[Address] = [
    ("198.51.100.7", 0),
    ("", 0),
    ("not an address", 99),
    ("2001:db8::9", 9, 0, 0),
    ("fe80::1%7", 1, 0, 7),
]
_TIMES = (0.0, 0.02, 1.0, 5.4, 10.0, 25.0, 121.0, 181.0, 541.0, -30.0, 1e6)
_SIZES = (0, 1, 4, 31, 32, 33, 64, 92, 148, 149, 1452, -1)
_AGENDA = 300  # entries that no engine of one or two peers ever needs, however long the story


def check(engine: Engine) -> None:
    """What must hold at any moment between two calls."""
    context = engine._context
    peers = list(engine._peers.values())
    rings = [peer.keyring for peer in peers]
    held = [one for ring in rings for one in (ring.previous, ring.current, ring.next) if one]
    sessions = context.indices.sessions
    assert len(sessions) == len(held)
    assert all(sessions[one.local_index] is one for one in held)
    waiting = {p.handshake.local_index for p in peers if p.handshake.local_index is not None}
    assert set(context.indices.handshakes) == waiting
    assert context.staged_bytes == sum(peer._staged._bytes for peer in peers)
    assert len(context.agenda._heap) <= _AGENDA, len(context.agenda._heap)


def heard(engine: Engine) -> int:
    return sum(peer.rx_bytes for peer in engine._peers.values())


class World:
    """Two hosts that know each other, and everything they ever said, for replaying."""

    def __init__(self) -> None:
        self.joined: Link = pair()
        self.clock = self.joined.clock
        self.pool: list[bytes] = []
        for host in self.joined.hosts:
            host.engine.frame_received(self._packet(host, 20), self.clock.now)
            self.joined.run()
        self.pool += [one.data for one in self.joined.seen]

    def _packet(self, host: Host, length: int) -> bytearray:
        here, there = ("1", "2") if host is self.joined.hosts[0] else ("2", "1")
        return frame(ipv4(f"10.0.0.{here}", f"10.0.0.{there}", 17, udp(1, 2, bytes(length))))

    def send(self, host: Host, length: int) -> None:
        """A packet into the tunnel; what comes of it stays in the pool."""
        host.engine.frame_received(self._packet(host, length), self.clock.now)
        self.collect(host)

    def collect(self, host: Host) -> int:
        """Take what the engine says; the bytes for the network."""
        out = host.engine.outgoing()
        said = 0
        for _, _, data, size in out.datagrams:
            said += len(data)
            self.pool += [bytes(data[at : at + size]) for at in range(0, len(data), size)]
        del self.pool[:-64]
        host.frames += [b"".join(parts) for parts in out.frames]
        del host.frames[:-16]
        return said

    def deliver(self, host: Host, data: bytes, size: int, address: Address) -> None:
        """Hand over one buffer and hold the engine to its accounts."""
        engine = host.engine
        before, bytes_before = dict(engine.counters), heard(engine)
        engine.datagrams_received(data, size, address, None, self.clock.now)
        dropped = sum(
            number - before.get(reason, 0)
            for reason, number in engine.counters.items()
            if reason not in _INSIDE
        )
        got = heard(engine) - bytes_before
        step = size if size > 0 else max(len(data), 1)
        count = -(-len(data) // size) if size > 0 else 1  # a nonsense of a size is counted once
        taken = -(-got // step)
        # A cookie reply that is taken leaves no trace in the numbers.
        cookies = sum(data[at : at + 1] == b"\3" for at in range(0, len(data), step))
        assert dropped + taken <= count <= dropped + taken + cookies, (dropped, taken, count)
        frames = len(host.frames)
        said = self.collect(host)
        if not taken:
            assert len(host.frames) == frames
            assert said <= len(data), "an amplifier"

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for host in self.joined.hosts:
            host.engine.timer_due(self.clock.now)
            self.collect(host)


def _datagram(dice: Dice, world: World) -> bytes:
    """One datagram: as it was, mutated, or made up round an index that is in use."""
    match dice.below(4):
        case 0 if world.pool:
            return dice.pick(world.pool)
        case 1 | 2 if world.pool:
            return dice.mutate(dice.pick(world.pool))
        case _:
            indices = [0]
            for host in world.joined.hosts:
                table = host.engine._context.indices
                indices += [*table.sessions, *table.handshakes]
            head = struct.pack("<II", dice.below(6), dice.pick(indices))
            return (head + dice.take(dice.below(40))).ljust(max(0, dice.pick(_SIZES)), b"\0")


def network(data: bytes) -> None:
    """Messages of all four types: real, replayed, mutated, forged, alone and in super-buffers,
    from peers, from strangers and from a peer that turned."""
    dice = Dice(data)
    world = World()
    for _ in range(_STEPS_OF_A_STORY):
        if not dice.more:
            break
        host = dice.pick(world.joined.hosts)
        other = next(one for one in world.joined.hosts if one is not host)
        address = dice.pick([other.address, other.address, *_STRANGERS])
        match dice.below(8):
            case 0 | 1:
                one = _datagram(dice, world)
                world.deliver(host, one, dice.pick([len(one), len(one), *_SIZES]), address)
            case 2 | 3:
                many = [_datagram(dice, world) for _ in range(1 + dice.below(6))]
                whole = b"".join(many)
                world.deliver(host, whole, dice.pick([len(many[0]), *_SIZES]), address)
            case 4:
                world.send(host, dice.below(200))
            case 5:
                world.pass_time(dice.pick(_TIMES))
            case 6:
                gate = host.engine._receiver._gate
                assert gate is not None
                gate._load._heavy_until = world.clock.mono + dice.below(3)
            case _:
                _treason(dice, world, host, other)
    for host in world.joined.hosts:
        check(host.engine)


def _treason(dice: Dice, world: World, victim: Host, traitor: Host) -> None:
    """A peer seals whatever it likes, under any counter."""
    session = next(iter(traitor.engine._context.indices.sessions.values()), None)
    if session is None:
        return
    inner = dice.take(dice.below(100))
    if dice.below(2):
        inner = ipv4("10.0.0.1", "10.0.0.2", dice.pick((6, 17, 1)), inner)
        inner = dice.mutate(inner) if dice.below(2) else inner
    counter = dice.pick((session.sent, 0, 2**64 - 1, 2**64 - 2**13 - 1, session.sent + 9000))
    sealed = bytearray(len(inner) + 16)
    session.seal(NONCE.pack(counter), inner, None, sealed)
    message = TRANSPORT.pack(4, session.remote_index, counter) + bytes(sealed)
    world.deliver(victim, message, len(message), traitor.address)


def tun(data: bytes) -> None:
    """Frames of a TUN: any virtio header, super-packets, hostile IP headers."""
    dice = Dice(data)
    world = World()
    a, b = world.joined.hosts
    for _ in range(_STEPS_OF_A_STORY):
        if not dice.more:
            break
        raw = _frame(dice)
        spare = bytes(raw[-16:])
        before = sum(a.engine.counters.values())
        a.engine.frame_received(raw, world.clock.now)
        assert bytes(raw[-16:]) == spare, "the spare bytes come back as they were"
        out = a.engine.outgoing()
        dropped = sum(a.engine.counters.values()) - before
        assert dropped + bool(out.datagrams) == 1, (dropped, len(out.datagrams))
        for _, _, sent, size in out.datagrams:
            world.deliver(b, bytes(sent), size, a.address)
    assert not b.engine.counters.keys() - _INSIDE
    check(a.engine)


_PROTOCOLS = (6, 17, 1, 44, 0)
_GSO_TYPES = (0, 1, 4, 5, 0x81, 0x84, 3, 255)


def _frame(dice: Dice) -> bytearray:
    if dice.below(8) == 0:
        return bytearray(dice.take(dice.below(120)))
    payload = dice.take(dice.below(64)) * (1 + dice.below(60))
    protocol = dice.pick(_PROTOCOLS)
    content = payload
    if protocol == 6:
        content = tcp(1, 2, payload=payload, flags=dice.number(), options=bytes(dice.below(11) * 4))
    elif protocol == 17:
        content = udp(1, 2, payload)
    if dice.below(2):
        packet = ipv6("fd00::1", "fd00::2", protocol, content)
    else:
        options = bytes(dice.below(11) * 4)
        packet = ipv4("10.0.0.1", "10.0.0.2", protocol, content, options=options)
    if dice.below(3) == 0:
        packet = dice.mutate(packet)
    head = struct.pack(
        "=BBHHHH",
        dice.pick((0, 1, 2, 255)),
        dice.pick(_GSO_TYPES),
        dice.number(2),
        dice.pick((0, 1, 7, 100, 1380, 65535)),
        dice.pick((0, 20, 40, 34, 65535)),
        dice.pick((16, 6, 0, 65535)),
    )
    return frame(packet[:65000], head)
