# SPDX-License-Identifier: MIT
"""Engine: one WireGuard device as a value that is told things and asked for things.

The facade of the package: every call of the contract in docs/architecture.md arrives
here.  No clock, no chance, no socket.  Configuration and routing are done here; sending
and shaking hands in peer.py, receiving in receive.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wgtools.engine.allowedips import AllowedIPs
from wgtools.engine.constants import PADDING_MULTIPLE
from wgtools.engine.context import Context
from wgtools.engine.events import Drop, Now
from wgtools.engine.loopguard import destination_port
from wgtools.engine.noise import Identity
from wgtools.engine.offload import GSO_NONE, NET_HEADER, NET_HEADER_SIZE, checksums_of
from wgtools.engine.peer import Peer, PeerState
from wgtools.engine.receive import Receiver, Routes
from wgtools.errors import EngineError
from wgtools.inet import pton
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, Endpoint
from wgtools.model import Peer as PeerReport

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from wgtools.engine.events import Address, Buffer, Outgoing, Sticky
    from wgtools.engine.offload import Sums
    from wgtools.model import DeviceChange, PeerChange

__all__ = ["Engine"]

_SMALLEST_PACKET = 20  # an IPv4 header


class Engine:
    """One WireGuard device.

    `entropy(n)` returns n random bytes and is the only source of chance.  `mtu` is the
    inner MTU (padding never grows a packet past it).  An engine starts up; one whose
    interface is down is made with `up=False`.  `coalesce_udp` also joins UDP datagrams in
    `frames`, for a TUN that takes VIRTIO_NET_HDR_GSO_UDP_L4.  `sums` adds up many pieces at
    once and exactly as offload.checksums_of does, which it may do faster.
    """

    def __init__(
        self,
        entropy: Callable[[int], bytes],
        *,
        mtu: int = 1420,
        up: bool = True,
        coalesce_udp: bool = False,
        sums: Sums = checksums_of,
    ) -> None:
        self._context: Context[Peer] = Context(
            entropy, mtu=_in_range("MTU", mtu, 65535), up=up, sums=sums
        )
        self._peers: dict[bytes, Peer] = {}  # by public key, oldest first
        self._allowed: AllowedIPs[Peer] = AllowedIPs()
        self._routes = Routes(self._allowed)
        self._receiver = Receiver(
            self._context, self._peers, self._routes, coalesce_udp=coalesce_udp
        )
        self._private_key: Key | None = None
        self._listen_port = 0
        self._fwmark = 0
        self._last = Now(float("-inf"), 0)

    @property
    def counters(self) -> Counter[Drop]:
        """Everything that was thrown away, by reason."""
        return self._context.counters

    # --- configuration ---

    def configure(self, change: DeviceChange, now: Now) -> None:
        """Apply a change, all of it or nothing.

        Raises EngineError for a caller's mistake: an endpoint that is a HostPort or not a
        numeric address (an IPv6 zone must be a number: `fe80::1%3`), a number out of range.
        Port and mark are only kept for `snapshot`: the sockets are the shell's.
        """
        now = self._turn(now)
        self._settle(now)
        addresses = _check(change)
        if change.private_key is not None:
            self._set_private_key(change.private_key)
        if change.listen_port is not None:
            self._listen_port = change.listen_port
        if change.fwmark is not None:
            self._fwmark = change.fwmark
        if change.replace_peers:
            for peer in list(self._peers.values()):
                self._remove(peer)
        for peer_change, address in zip(change.peers, addresses, strict=True):
            self._configure_peer(peer_change, address, now)
        self._routes.forget()

    def _set_private_key(self, key: Key) -> None:
        """A new identity, or none for a zero key.  A peer with our own key goes."""
        context = self._context
        if self._private_key == (None if key.is_zero else key):
            return
        self._private_key = None if key.is_zero else key
        context.identity = None if key.is_zero else Identity(bytes(key))
        if context.identity is not None:
            ourselves = self._peers.get(context.identity.public)
            if ourselves is not None:
                self._remove(ourselves)
        for peer in self._peers.values():
            peer.identity_changed()
        self._receiver.identity_changed()

    def _configure_peer(self, change: PeerChange, address: Address | None, now: Now) -> None:
        public = bytes(change.public_key)
        identity = self._context.identity
        if identity is not None and identity.public == public:
            return  # a peer with our own key is ignored, as every implementation does
        peer = self._peers.get(public)
        if change.remove:
            if peer is not None:
                self._remove(peer)
            return
        if peer is None:
            if change.update_only:
                return
            peer = self._peers[public] = Peer(change.public_key, self._context)
            if self._context.up:
                peer.bring_up(now)
        self._change_peer(peer, change, address, now)

    def _change_peer(
        self, peer: Peer, change: PeerChange, address: Address | None, now: Now
    ) -> None:
        if change.preshared_key is not None:
            peer.handshake.psk = bytes(change.preshared_key)
        if address is not None:
            peer.set_address(address)
        if change.replace_allowed_ips:
            self._allowed.remove_all(peer)
        for allowed in change.allowed_ips:
            if allowed.remove:
                self._allowed.remove(allowed.address, allowed.length, peer)
            else:
                self._allowed.insert(allowed.address, allowed.length, peer)
        if change.keepalive is not None:
            peer.set_interval(change.keepalive, now)
        if peer.state is PeerState.UP:
            peer.flush(now)

    def _remove(self, peer: Peer) -> None:
        self._allowed.remove_all(peer)
        del self._peers[bytes(peer.key)]
        peer.remove()

    def snapshot(self, name: str = "") -> Device:
        """What `wg show` sees.  IPv6 zones are numbers."""
        identity = self._context.identity
        return Device(
            name,
            private_key=self._private_key,
            public_key=None if identity is None else Key(identity.public),
            listen_port=self._listen_port,
            fwmark=self._fwmark,
            peers=[self._report(peer) for peer in self._peers.values()],
        )

    def _report(self, peer: Peer) -> PeerReport:
        psk = Key(peer.handshake.psk)
        seconds, nanoseconds = divmod(peer.handshake_ns, 10**9)
        return PeerReport(
            peer.key,
            preshared_key=None if psk.is_zero else psk,
            endpoint=None if peer.address is None else _endpoint(peer.address),
            keepalive=peer.timers.interval,
            handshake_sec=seconds,
            handshake_nsec=nanoseconds,
            rx_bytes=peer.rx_bytes,
            tx_bytes=peer.tx_bytes,
            allowed_ips=[AllowedIP(*network) for network in self._allowed.of(peer)],
        )

    def set_mtu(self, mtu: int) -> None:
        """The interface's MTU has changed."""
        self._context.mtu = _in_range("MTU", mtu, 65535)

    def bring_up(self, now: Now) -> None:
        """The interface is up: persistent keepalives start.  Harmless when already up."""
        now = self._turn(now)
        if not self._context.up:
            self._context.up = True
            for peer in self._peers.values():
                peer.bring_up(now)

    def bring_down(self, now: Now) -> None:
        """The interface is down: timers stop, sessions and staged packets are forgotten."""
        self._settle(self._turn(now))
        if self._context.up:
            self._context.up = False
            for peer in self._peers.values():
                peer.bring_down()

    # --- packets and time ---

    def datagrams_received(
        self, data: Buffer, size: int, address: Address, sticky: Sticky, now: Now
    ) -> None:
        """One buffer of UDP payload from `address`: datagrams of `size` bytes, the last
        perhaps shorter.  `sticky` comes back with every answer to that address."""
        now = self._turn(now)
        self._settle(now)
        if size <= 0:
            self.counters[Drop.MALFORMED] += 1
            return
        refusal = self._refusal()
        if refusal is not None:
            self.counters[refusal] += -(-len(data) // size)
            return
        self._receiver.receive(memoryview(data), size, address, sticky, now)

    def frame_received(self, frame: bytearray | memoryview, now: Now) -> None:
        """One read of the TUN: a 10-byte virtio_net_hdr, an IP packet or super-packet, and
        16 spare bytes that belong to `frame` but not to the packet.  The frame is
        overwritten."""
        now = self._turn(now)
        refusal = self._refusal()
        if refusal is not None:
            self.counters[refusal] += 1
            return
        view = memoryview(frame)
        end = len(view) - PADDING_MULTIPLE
        if end < NET_HEADER_SIZE + _SMALLEST_PACKET:
            self.counters[Drop.BAD_FRAME] += 1
            return
        version = view[NET_HEADER_SIZE] >> 4
        if version == 4:
            destination = bytes(view[26:30])
        elif version == 6 and end >= NET_HEADER_SIZE + 40:
            destination = bytes(view[34:50])
        else:
            self.counters[Drop.BAD_FRAME] += 1
            return
        peer = self._routes.owner(destination)
        if peer is None:
            self.counters[Drop.NO_ROUTE] += 1
            return
        ports = self._context.hosts.get(destination)
        if ports is not None:
            there = ports.get(destination_port(view, end), ())
            if any(other.has_made(view, end) for other in there):
                self.counters[Drop.ROUTING_LOOP] += 1
                return
        _, gso_type, _, gso_size, _, _ = NET_HEADER.unpack_from(view)
        peer.send_frame(view, end, 0 if gso_type == GSO_NONE else gso_size, now)

    def timer_due(self, now: Now) -> None:
        """Do whatever has come due.  Early or late is harmless."""
        now = self._turn(now)
        self._settle(now)
        for peer in self._context.agenda.take_due(now.mono):
            peer.timer_due(now)

    def next_deadline(self) -> float | None:
        """When to call `timer_due`, on the clock of `now.mono`; None if nothing waits."""
        self._settle(self._last)
        return self._context.agenda.first()

    def outgoing(self) -> Outgoing:
        """Everything to be sent since the last call; empty when called twice."""
        self._settle(self._last)
        return self._context.outbox.drain()

    def _refusal(self) -> Drop | None:
        """Why nothing can be taken in at all just now."""
        if not self._context.up:
            return Drop.DOWN
        return Drop.OUTGOING_FULL if self._context.outbox.is_full else None

    def _turn(self, now: Now) -> Now:
        """`now`, or the last one's `mono` if that clock has gone back."""
        if now.mono < self._last.mono:
            now = Now(self._last.mono, now.wall_ns)
        self._last = now
        return now

    def _settle(self, now: Now) -> None:
        """The timers of peers that data was sent to, once for all packets of the turn."""
        unsettled = self._context.unsettled
        if unsettled:
            self._context.unsettled = []
            for peer in unsettled:
                peer.settle(now)


def _check(change: DeviceChange) -> list[Address | None]:
    """Find every fault before anything changes.  Returns the peers' endpoints as addresses."""
    _in_range("listen port", change.listen_port, 0xFFFF)
    _in_range("fwmark", change.fwmark, 0xFFFFFFFF)
    for peer in change.peers:
        _in_range("persistent keepalive", peer.keepalive, 0xFFFF)
        for allowed in peer.allowed_ips:
            if len(allowed.address) not in (4, 16):
                raise EngineError("an allowed IP's address is 4 or 16 bytes")
            _in_range("prefix length", allowed.length, len(allowed.address) * 8)
    return [_address(peer) for peer in change.peers]


def _in_range(name: str, value: int | None, most: int) -> int:
    if value is not None and not 0 <= value <= most:
        raise EngineError(f"{name} {value} is not in 0 to {most}")
    return value or 0


def _address(change: PeerChange) -> Address | None:
    """The endpoint of a change as a socket address."""
    endpoint = change.endpoint
    if endpoint is None:
        return None
    if not isinstance(endpoint, Endpoint):
        raise EngineError("an endpoint must be resolved before it reaches the engine")
    _in_range("port", endpoint.port, 0xFFFF)
    host, _, zone = endpoint.host.partition("%")
    packed = pton(host)
    if packed is None or (zone and (len(packed) == 4 or not _is_index(zone))):
        raise EngineError(f"not a numeric address: {endpoint.host}")
    if len(packed) == 4:
        return host, endpoint.port
    return host, endpoint.port, 0, int(zone or 0)


def _is_index(zone: str) -> bool:
    """Whether a zone is the number of an interface: a positive int of 32 bits."""
    return zone.isascii() and zone.isdigit() and len(zone) <= 10 and int(zone) < 1 << 31


def _endpoint(address: Address) -> Endpoint:
    if len(address) == 4 and address[3]:
        return Endpoint(f"{address[0]}%{address[3]}", address[1])
    return Endpoint(address[0], address[1])
