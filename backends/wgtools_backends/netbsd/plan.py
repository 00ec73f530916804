# SPDX-License-Identifier: MIT
"""A change as the operations that NetBSD knows: its kernel cannot change a peer, only add
one and delete one by its name, and it moves no allowed IP from peer to peer.

Pure decisions: what the device will be is worked out from what it is, and only peers that
come out different are deleted and added again.  All of it is checked before the first
operation, for the kernel takes none back (BSD_IPC 6).
"""

from __future__ import annotations

from errno import E2BIG, EOPNOTSUPP

from wgtools.errors import AccessError
from wgtools.inet import PORT_MAX
from wgtools.keys import Key
from wgtools.model import AllowedIP, HostPort, Peer

from . import codec

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable

    from wgtools.model import DeviceChange, PeerChange

    from .codec import State

    Operation = tuple[int, str]

__all__ = ["NAME_MAX", "NETWORKS_MAX", "operations"]

NAME_MAX = 16  # of a peer, in characters; net/if_wg.h
NETWORKS_MAX = 16  # of one peer; the kernel writes beyond its array and does not check
_NO_KEY = Key(bytes(32))
TEXT_MAX = 32766  # of one operation; longer ones are E2BIG


def operations(
    state: State, change: DeviceChange, *, scope_of: Callable[[str], int]
) -> list[Operation]:
    """The operations that make the change, in order.

    Raises AccessError for what NetBSD cannot do, ValueError for what a caller got wrong.
    """
    _refuse_what_there_is_not(change)
    wanted = _Peers(state, replace=change.replace_peers)
    for wish in change.peers:
        wanted.apply(wish)
    out: list[Operation] = []
    key = _clamped(change.private_key)
    if key is not None and key != (state.device.private_key or _NO_KEY):
        out.append((codec.SET_PRIVATE_KEY, codec.private(key)))
    port = change.listen_port
    if port is not None and port != state.device.listen_port:
        out.append((codec.SET_LISTEN_PORT, codec.listening(port)))
    gone = [peer for peer in state.device.peers if wanted.differs(peer)]
    out += [(codec.DELETE_PEER, codec.deleted(_name(state, peer))) for peer in gone]
    for new, name in wanted.new(state):
        if len(new.allowed_ips) > NETWORKS_MAX:
            raise _refusal(
                "Argument list too long",
                E2BIG,
                f"NetBSD's kernel holds {NETWORKS_MAX} allowed IPs for a peer, "
                f"not {len(new.allowed_ips)}",
            )
        out.append((codec.ADD_PEER, codec.added(new, name, scope_of=scope_of)))
    assert all(len(text) <= TEXT_MAX for _, text in out), "16 allowed IPs take 3 KB"
    return out


def _clamped(key: Key | None) -> Key | None:
    """As other kernels keep a private key, and this one does not: the same key, to be
    compared and shown as everywhere."""
    return key if key is None or key.is_zero else Key.from_entropy(bytes(key))


def _refuse_what_there_is_not(change: DeviceChange) -> None:
    if change.fwmark:
        raise _refusal("Operation not supported", EOPNOTSUPP, "NetBSD's wg(4) has no FwMark")
    if any(peer.keepalive for peer in change.peers):
        raise _refusal(
            "Operation not supported", EOPNOTSUPP, "NetBSD's wg(4) has no PersistentKeepalive"
        )
    if change.listen_port is not None and not 0 <= change.listen_port <= PORT_MAX:
        raise ValueError(f"a port is at most {PORT_MAX}, not {change.listen_port}")


def _name(state: State, peer: Peer) -> str:
    name = state.names[peer.public_key]
    if not name:
        raise _refusal(
            "Operation not supported",
            EOPNOTSUPP,
            "NetBSD changes and removes peers by name only, and this one was added without: "
            "destroy the interface and set it up anew",
        )
    return name


class _Peers:
    """The peers that there shall be, in order, and whose each network is."""

    def __init__(self, state: State, *, replace: bool) -> None:
        self._before = {peer.public_key: peer for peer in state.device.peers}
        # Of what is to be replaced, too, equals are found and left in peace.
        kept = [] if replace else state.device.peers
        self._peers = {peer.public_key: _copy(peer) for peer in kept}
        self._owners = {
            network: peer for peer in self._peers.values() for network in peer.allowed_ips
        }

    def apply(self, change: PeerChange) -> None:
        key = change.public_key
        if change.remove:
            if key in self._peers:
                self._disown(self._peers.pop(key))
            return
        peer = self._peers.get(key)
        if peer is None:
            if change.update_only:
                return
            peer = self._peers[key] = Peer(key)
        if change.replace_allowed_ips:
            self._disown(peer)
        if change.preshared_key is not None:
            peer.preshared_key = None if change.preshared_key.is_zero else change.preshared_key
        if change.endpoint is not None:
            if isinstance(change.endpoint, HostPort):
                raise ValueError("an endpoint must be resolved before it is set")
            peer.endpoint = change.endpoint
        for network in change.allowed_ips:
            self._network(peer, network)

    def _disown(self, peer: Peer) -> None:
        for network in peer.allowed_ips:
            if self._owners.get(network) is peer:
                del self._owners[network]
        peer.allowed_ips = []

    def _network(self, peer: Peer, network: AllowedIP) -> None:
        plain = _masked(network)
        owner = self._owners.get(plain)
        if network.remove and owner is not peer:
            return
        if owner is peer and not network.remove:
            return
        if owner is not None:
            del self._owners[plain]
            owner.allowed_ips.remove(plain)
        if not network.remove:
            self._owners[plain] = peer
            peer.allowed_ips.append(plain)

    def differs(self, before: Peer) -> bool:
        """Whether a peer that there is must go, be it to come back changed."""
        after = self._peers.get(before.public_key)
        return after is None or _settings(after) != _settings(before)

    def new(self, state: State) -> list[tuple[Peer, str]]:
        """The peers to be added, and what each is to be called."""
        known = self._before
        new = [
            peer
            for key, peer in self._peers.items()
            if key not in known or _settings(peer) != _settings(known[key])
        ]
        taken = {state.names[key] for key in self._peers if key in known}
        return [(peer, self._name(peer.public_key, state, taken)) for peer in new]

    @staticmethod
    def _name(key: Key, state: State, taken: set[str]) -> str:
        """What it was called, or part of its key: no two peers share a name."""
        if name := state.names.get(key):
            return name
        text = key.base64()
        for start in range(len(text) - NAME_MAX):
            name = text[start : start + NAME_MAX]
            if name not in taken:
                taken.add(name)
                return name
        raise ValueError("all names for a peer are taken")


def _copy(peer: Peer) -> Peer:
    return Peer(
        peer.public_key,
        preshared_key=peer.preshared_key,
        endpoint=peer.endpoint,
        allowed_ips=list(dict.fromkeys(map(_masked, peer.allowed_ips))),
    )


def _settings(peer: Peer) -> tuple[object, ...]:
    return peer.preshared_key, peer.endpoint, set(map(_masked, peer.allowed_ips))


def _masked(network: AllowedIP) -> AllowedIP:
    """Without host bits, which this kernel does not take away."""
    size = len(network.address)
    host_bits = size * 8 - network.length
    if size not in (4, 16) or not 0 <= host_bits <= size * 8:
        raise ValueError("an allowed IP is 4 or 16 bytes and a prefix length that fits")
    number = int.from_bytes(network.address, "big") >> host_bits << host_bits
    return AllowedIP(number.to_bytes(size, "big"), network.length)


def _refusal(message: str, number: int, hint: str) -> AccessError:
    return AccessError(message, errno=number, hint=hint)
