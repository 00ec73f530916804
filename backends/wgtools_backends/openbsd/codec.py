# SPDX-License-Identifier: MIT
"""OpenBSD's WireGuard structures: a change as the bytes of one request, a reply as a Device.

Pure: no system call, no names of interfaces looked up (callables do that).  Flags and rules
are BSD_IPC 5's.  Whatever bytes come in, only ProtocolError goes out; everything that goes
out to a kernel is checked first.
"""

from __future__ import annotations

from errno import EOPNOTSUPP, EPROTO
from struct import error as struct_error

from wgtools.errors import AccessError, ProtocolError
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, DeviceChange, Peer
from wgtools_backends.bsd import sockaddr

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wgtools.model import PeerChange

    from .layout import PeerLayout

__all__ = ["AF_INET6", "change_bytes", "device", "follow_ups", "layout_of"]

INTERFACE_HAS_PUBLIC = 1
INTERFACE_HAS_PRIVATE = 2
INTERFACE_HAS_PORT = 4
INTERFACE_HAS_RTABLE = 8
INTERFACE_REPLACE_PEERS = 16

PEER_HAS_PUBLIC = 1
PEER_HAS_PSK = 2
PEER_HAS_PKA = 4
PEER_HAS_ENDPOINT = 8
PEER_REPLACE_AIPS = 16
PEER_REMOVE = 32
PEER_UPDATE = 64

LATEST_PROTOCOL = 0  # as a request has it; replies say 1
AF_INET6 = 24  # OpenBSD's sys/socket.h
_FAMILY = {4: sockaddr.AF_INET, 16: AF_INET6}
_SIZE = {sockaddr.AF_INET: 4, AF_INET6: 16}
_NO_KEY = bytes(32)
_U32 = 0xFFFFFFFF


# --- requests ----------------------------------------------------------------------------


def change_bytes(
    change: DeviceChange, layout: PeerLayout, *, scope_of: Callable[[str], int]
) -> bytes:
    """The request that makes the change, as the kernel of `layout` reads it.

    Raises AccessError for what no OpenBSD can do, and ValueError for what a caller got
    wrong: an endpoint not resolved, a number that does not fit.
    """
    flags = INTERFACE_REPLACE_PEERS if change.replace_peers else 0
    flags |= 0 if change.private_key is None else INTERFACE_HAS_PRIVATE
    flags |= 0 if change.listen_port is None else INTERFACE_HAS_PORT
    flags |= 0 if change.fwmark is None else INTERFACE_HAS_RTABLE
    private = _NO_KEY if change.private_key is None else bytes(change.private_key)
    mark = change.fwmark or 0
    if not 0 <= mark <= _U32:
        raise ValueError(f"a mark is at most {_U32:#x}, not {mark:#x}")
    rtable = mark - (_U32 + 1) if mark > _U32 >> 1 else mark  # an int, there
    try:
        head = layout.interface.pack(
            flags, change.listen_port or 0, rtable, _NO_KEY, private, len(change.peers)
        )
        peers = [_peer_bytes(peer, layout, scope_of) for peer in change.peers]
    except (struct_error, OverflowError) as error:
        raise ValueError(f"a number in the change is out of range: {error}") from error
    return b"".join((head, *peers, bytes(layout.slack * len(peers))))


def _peer_bytes(peer: PeerChange, layout: PeerLayout, scope_of: Callable[[str], int]) -> bytes:
    flags = PEER_HAS_PUBLIC
    flags |= 0 if peer.preshared_key is None else PEER_HAS_PSK
    flags |= 0 if peer.keepalive is None else PEER_HAS_PKA
    flags |= 0 if peer.endpoint is None else PEER_HAS_ENDPOINT
    flags |= PEER_REPLACE_AIPS if peer.replace_allowed_ips else 0
    flags |= PEER_REMOVE if peer.remove else 0
    flags |= PEER_UPDATE if peer.update_only else 0
    secret = _NO_KEY if peer.preshared_key is None else bytes(peer.preshared_key)
    address = b""
    if peer.endpoint is not None:
        address = sockaddr.pack(peer.endpoint, inet6=AF_INET6, scope_of=scope_of)
    head = layout.peer.pack(
        flags, LATEST_PROTOCOL, bytes(peer.public_key), secret, peer.keepalive or 0, address,
        0, 0, 0, 0, len(peer.allowed_ips),
    )  # fmt: skip
    return head + b"".join([_network_bytes(network, layout) for network in peer.allowed_ips])


def _network_bytes(network: AllowedIP, layout: PeerLayout) -> bytes:
    if network.remove:
        raise AccessError(
            "Operation not supported",
            errno=EOPNOTSUPP,
            hint="OpenBSD cannot take one allowed IP away: give the whole list anew",
        )
    family = _FAMILY.get(len(network.address))
    if family is None or not 0 <= network.length <= len(network.address) * 8:
        raise ValueError("an allowed IP is 4 or 16 bytes and a prefix length that fits")
    return layout.network.pack(family, network.length, network.address)


def follow_ups(change: DeviceChange) -> list[DeviceChange]:
    """What to ask for again of a kernel that does not step over a peer that it skips.

    Until some release before 7.8, a peer that is removed, or only to be updated and not
    there, makes the kernel look at it over and over, in place of those behind it.  Each of
    these changes begins behind such a peer and ends with the next; to a kernel that is in
    order they say nothing new.
    """
    parts: list[list[PeerChange]] = [[]]
    for peer in change.peers:
        parts[-1].append(peer)
        if peer.remove or peer.update_only:
            parts.append([])
    return [DeviceChange(peers=part) for part in parts[1:] if part]


# --- replies -----------------------------------------------------------------------------


def layout_of(data: bytes, layouts: Sequence[PeerLayout]) -> PeerLayout:
    """The first of `layouts` in which `data` is used up exactly.  Raises ProtocolError."""
    for layout in layouts:
        if _is_used_up(data, layout):
            return layout
    raise _malformed()


def _is_used_up(data: bytes, layout: PeerLayout) -> bool:
    position = layout.interface.size
    if len(data) < position:
        return False
    count = int(layout.interface.unpack_from(data)[-1])
    if count > len(data) // layout.peer.size:
        return False
    end = len(data) - layout.slack * count
    for _ in range(count):
        if position + layout.peer.size > end:
            return False
        networks = int(layout.peer.unpack_from(data, position)[-1])
        position += layout.peer.size + networks * layout.network.size
    return position == end


def device(
    name: bytes, data: bytes, layout: PeerLayout, *, zone_of: Callable[[int], str]
) -> Device:
    """The device that a whole reply describes, in the layout that `layout_of` found.

    Raises ProtocolError.
    """
    if not _is_used_up(data, layout):
        raise _malformed()
    flags, port, rtable, public, private, count = layout.interface.unpack_from(data)
    peers: list[Peer] = []
    position = layout.interface.size
    for _ in range(count):
        peer, position = _peer(data, position, layout, zone_of)
        peers.append(peer)
    return Device(
        name.decode("utf-8", "surrogateescape"),
        private_key=Key(private) if flags & INTERFACE_HAS_PRIVATE else None,
        public_key=Key(public) if flags & INTERFACE_HAS_PUBLIC else None,
        listen_port=port if flags & INTERFACE_HAS_PORT else 0,
        fwmark=rtable & _U32 if flags & INTERFACE_HAS_RTABLE else 0,
        peers=peers,
    )


def _peer(
    data: bytes, position: int, layout: PeerLayout, zone_of: Callable[[int], str]
) -> tuple[Peer, int]:
    """A peer, and where the next one begins."""
    (
        flags, _, public, secret, keepalive, endpoint, tx, rx, seconds, nanoseconds, count,
    ) = layout.peer.unpack_from(data, position)  # fmt: skip
    start = position + layout.peer.size
    end = start + count * layout.network.size
    shared = Key(secret) if flags & PEER_HAS_PSK else None
    peer = Peer(
        Key(public) if flags & PEER_HAS_PUBLIC else Key(_NO_KEY),
        preshared_key=None if shared is None or shared.is_zero else shared,
        # The C tool compares the length byte with the wrong structure and shows no IPv6
        # endpoint; the family decides here (BSD_IPC 5.5).
        endpoint=sockaddr.unpack(endpoint, inet6=AF_INET6, zone_of=zone_of)
        if flags & PEER_HAS_ENDPOINT
        else None,
        keepalive=keepalive if flags & PEER_HAS_PKA else 0,
        handshake_sec=seconds,
        handshake_nsec=nanoseconds,
        rx_bytes=rx,
        tx_bytes=tx,
        allowed_ips=[
            _network(*layout.network.unpack_from(data, at))
            for at in range(start, end, layout.network.size)
        ],
    )
    return peer, end


def _network(family: int, length: int, address: bytes) -> AllowedIP:
    size = _SIZE.get(family)
    if size is None or not 0 <= length <= size * 8:
        raise _malformed()
    return AllowedIP(address[:size], length)


def _malformed() -> ProtocolError:
    return ProtocolError(
        "Protocol error",
        errno=EPROTO,
        hint="the kernel's reply fits no OpenBSD that is known: please report its release",
    )
