# SPDX-License-Identifier: MIT
"""Two engines joined by a list instead of a network: it can drop, repeat, delay, reorder.

No sockets, no sleeping.  What travels is in `Link.flying` for a test to look at and
meddle with, as Eve would.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wgtools.engine.device import Engine
from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, Endpoint, PeerChange
from wgtools.testing.clock import FakeClock
from wgtools.testing.entropy import FakeEntropy

if TYPE_CHECKING:
    from collections.abc import Callable

    from wgtools.engine.events import Address, Event

__all__ = ["Flying", "Host", "Link", "frame", "link", "make_host", "pair"]

PLAIN = bytes(10)
SPARE = bytes(16)


def frame(packet: bytes, net_header: bytes = PLAIN) -> bytearray:
    """A TUN frame as `Engine.frame_received` wants it: header, packet, 16 spare bytes."""
    return bytearray(net_header + packet + SPARE)


@dataclass(slots=True)
class Host:
    """An engine and what it gave out: packets for its TUN, events for its log."""

    name: str
    engine: Engine
    key: Key
    address: Address
    frames: list[bytes] = field(default_factory=list)  # virtio_net_hdr and packet, joined
    events: list[Event] = field(default_factory=list)

    @property
    def packets(self) -> list[bytes]:
        """What arrived at the TUN, without the net headers."""
        return [whole[10:] for whole in self.frames]


@dataclass(frozen=True, slots=True)
class Flying:
    """One buffer of datagrams under way."""

    source: Address
    destination: Address
    data: bytes
    size: int


@dataclass(slots=True)
class Link:
    """The network between hosts.

    `meddle` is given every buffer that is sent and returns what becomes of it: nothing,
    one, or several.
    """

    hosts: list[Host]
    clock: FakeClock
    meddle: Callable[[Flying], list[Flying]] = lambda flying: [flying]
    flying: list[Flying] = field(default_factory=list)
    seen: list[Flying] = field(default_factory=list)  # everything ever sent

    def collect(self) -> None:
        """Take what the engines want to send."""
        for host in self.hosts:
            out = host.engine.outgoing()
            for address, _, data, size in out.datagrams:
                one = Flying(host.address, address, bytes(data), size)
                self.seen.append(one)
                self.flying += self.meddle(one)
            host.frames += [b"".join(parts) for parts in out.frames]
            host.events += out.events

    def deliver(self, one: Flying) -> None:
        """Hand one buffer to whoever lives at its destination."""
        for host in self.hosts:
            if host.address == one.destination:
                host.engine.datagrams_received(one.data, one.size, one.source, None, self.clock.now)

    def run(self, rounds: int = 100) -> None:
        """Deliver until nothing flies any more, without time passing."""
        for _ in range(rounds):
            self.collect()
            if not self.flying:
                return
            flying, self.flying = self.flying, []
            for one in flying:
                self.deliver(one)
        raise AssertionError("the hosts talk for ever")

    def wait(self, seconds: float) -> None:
        """Let time pass, calling each engine at its deadlines and delivering at once."""
        end = self.clock.mono + seconds
        self.run()
        while True:
            deadlines = [host.engine.next_deadline() for host in self.hosts]
            first = min((at for at in deadlines if at is not None), default=end)
            if first >= end:
                break
            self.clock.advance_to(first)
            for host in self.hosts:
                host.engine.timer_due(self.clock.now)
            self.run()
        self.clock.advance_to(end)

    def send(self, host: Host, packet: bytes, net_header: bytes = PLAIN) -> None:
        """`host` sends a packet into its tunnel."""
        host.engine.frame_received(frame(packet, net_header), self.clock.now)

    def move(self, host: Host, address: Address) -> None:
        """`host` has another address from now on."""
        host.address = address


def link(first: Host, second: Host, clock: FakeClock) -> Link:
    """Join two hosts."""
    return Link([first, second], clock)


def make_host(name: str, seed: int, address: Address, clock: FakeClock, *, mtu: int = 1420) -> Host:
    """An engine with a key and no peers."""
    entropy = FakeEntropy(seed)
    key = Key.from_entropy(entropy(32))
    engine = Engine(entropy, mtu=mtu)
    engine.configure(DeviceChange(private_key=key), clock.now)
    return Host(name, engine, key, address)


def pair(seed: int = 1, *, mtu: int = 1420, psk: Key | None = None, keepalive: int = 0) -> Link:
    """Two hosts that know each other: A is 10.0.0.1 and fd00::1, B is 10.0.0.2 and fd00::2."""
    clock = FakeClock()
    a = make_host("A", seed * 2, ("192.0.2.1", 1111), clock, mtu=mtu)
    b = make_host("B", seed * 2 + 1, ("192.0.2.2", 2222), clock, mtu=mtu)
    for here, there, number in ((a, b, 2), (b, a, 1)):
        public = there.engine.snapshot().public_key
        assert public is not None
        peer = PeerChange(
            public,
            preshared_key=psk,
            endpoint=Endpoint(there.address[0], there.address[1]),
            allowed_ips=[
                AllowedIP.parse(f"10.0.0.{number}/32"),
                AllowedIP.parse(f"fd00::{number}/128"),
            ],
            keepalive=keepalive or None,
        )
        here.engine.configure(DeviceChange(peers=[peer]), clock.now)
    return link(a, b, clock)
