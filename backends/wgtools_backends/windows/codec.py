# SPDX-License-Identifier: MIT
"""wireguard-nt's structures: a change as the bytes of one request, a reply as a Device.

Pure: no handle, no name of an interface looked up.  Offsets, sizes and flags are those of
BSD_IPC 8 (the driver's public interface, compiled).  Whatever bytes come in, only
ProtocolError goes out.
"""

from __future__ import annotations

from errno import EOPNOTSUPP, EPROTO
from struct import Struct
from struct import error as struct_error

from wgtools.errors import AccessError, ProtocolError
from wgtools.inet import ntop, scoped
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, Endpoint, HostPort, Peer

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable

    from wgtools.model import DeviceChange, PeerChange

__all__ = ["change_bytes", "device"]

# Every machine that runs Windows is little-endian.
INTERFACE = Struct("<IH32s32s2xI4x")  # flags, port, private, public, peers_count
PEER = Struct("<II32s32sH2x28sQQQI4x")
NETWORK = Struct("<16sHBxI")  # address, family, cidr, flags
SOCKADDR4 = Struct("<H2s4s20x")  # SOCKADDR_INET; the port is in network order
SOCKADDR6 = Struct("<H2sI16sI")

INTERFACE_HAS_PUBLIC_KEY = 1
INTERFACE_HAS_PRIVATE_KEY = 2
INTERFACE_HAS_LISTEN_PORT = 4
INTERFACE_REPLACE_PEERS = 8

PEER_HAS_PUBLIC_KEY = 1
PEER_HAS_PRESHARED_KEY = 2
PEER_HAS_PERSISTENT_KEEPALIVE = 4
PEER_HAS_ENDPOINT = 8
PEER_REPLACE_ALLOWED_IPS = 32
PEER_REMOVE = 64
PEER_UPDATE = 128

ALLOWED_IP_REMOVE = 1

AF_INET = 2  # ws2def.h
AF_INET6 = 23
_FAMILY = {4: AF_INET, 16: AF_INET6}
_SIZE = {AF_INET: 4, AF_INET6: 16}

_TICKS = 10**7  # of a FILETIME, in a second
_EPOCH = 11_644_473_600  # seconds from 1601 to 1970
_NO_KEY = bytes(32)


def change_bytes(change: DeviceChange, *, scope_of: Callable[[str], int]) -> bytes:
    """The request that makes the change.

    Raises AccessError for a mark, which Windows does not have, and ValueError for what a
    caller got wrong: an endpoint not resolved, a number that does not fit.
    """
    if change.fwmark:
        raise AccessError(
            "Operation not supported",
            errno=EOPNOTSUPP,
            hint="Windows has no marks on packets: leave the FwMark out",
        )
    flags = INTERFACE_REPLACE_PEERS if change.replace_peers else 0
    if change.private_key is not None:
        flags |= INTERFACE_HAS_PRIVATE_KEY
    if change.listen_port is not None:
        flags |= INTERFACE_HAS_LISTEN_PORT
    private = _NO_KEY if change.private_key is None else bytes(change.private_key)
    try:
        head = INTERFACE.pack(flags, change.listen_port or 0, private, _NO_KEY, len(change.peers))
        return head + b"".join([_peer_bytes(peer, scope_of) for peer in change.peers])
    except (struct_error, OverflowError) as error:
        raise ValueError(f"a number in the change is out of range: {error}") from error


def _peer_bytes(peer: PeerChange, scope_of: Callable[[str], int]) -> bytes:
    flags = PEER_HAS_PUBLIC_KEY
    flags |= PEER_REMOVE if peer.remove else 0
    flags |= PEER_UPDATE if peer.update_only else 0
    flags |= PEER_REPLACE_ALLOWED_IPS if peer.replace_allowed_ips else 0
    flags |= 0 if peer.preshared_key is None else PEER_HAS_PRESHARED_KEY
    flags |= 0 if peer.keepalive is None else PEER_HAS_PERSISTENT_KEEPALIVE
    flags |= 0 if peer.endpoint is None else PEER_HAS_ENDPOINT
    secret = _NO_KEY if peer.preshared_key is None else bytes(peer.preshared_key)
    if isinstance(peer.endpoint, HostPort):
        raise ValueError("an endpoint must be resolved before it is set")
    sockaddr = b"" if peer.endpoint is None else _sockaddr(peer.endpoint, scope_of)
    head = PEER.pack(
        flags, 0, bytes(peer.public_key), secret, peer.keepalive or 0, sockaddr,
        0, 0, 0, len(peer.allowed_ips),
    )  # fmt: skip
    return head + b"".join([_network_bytes(network) for network in peer.allowed_ips])


def _network_bytes(network: AllowedIP) -> bytes:
    family = _FAMILY.get(len(network.address))
    if family is None or not 0 <= network.length <= len(network.address) * 8:
        raise ValueError("an allowed IP is 4 or 16 bytes and a prefix length that fits")
    flags = ALLOWED_IP_REMOVE if network.remove else 0
    return NETWORK.pack(network.address, family, network.length, flags)


def _sockaddr(endpoint: Endpoint, scope_of: Callable[[str], int]) -> bytes:
    packed, scope = scoped(endpoint.host, scope_of)
    port = endpoint.port.to_bytes(2, "big")
    if len(packed) == 4:
        return SOCKADDR4.pack(AF_INET, port, packed)
    return SOCKADDR6.pack(AF_INET6, port, 0, packed, scope)


def device(name: str, data: bytes) -> Device:
    """The device that a whole reply describes.  Raises ProtocolError.

    What follows the last peer is not looked at: the driver's buffer may be larger.
    """
    if len(data) < INTERFACE.size:
        raise _malformed()
    flags, port, private, public, count = INTERFACE.unpack_from(data)
    peers: list[Peer] = []
    position = INTERFACE.size
    for _ in range(count):
        peer, position = _peer(data, position)
        peers.append(peer)
    return Device(
        name,
        private_key=Key(private) if flags & INTERFACE_HAS_PRIVATE_KEY else None,
        public_key=Key(public) if flags & INTERFACE_HAS_PUBLIC_KEY else None,
        listen_port=port if flags & INTERFACE_HAS_LISTEN_PORT else 0,
        peers=peers,
    )


def _peer(data: bytes, position: int) -> tuple[Peer, int]:
    """A peer and where the next one begins."""
    if position + PEER.size > len(data):
        raise _malformed()
    flags, _, public, secret, keepalive, sockaddr, tx, rx, ticks, count = PEER.unpack_from(
        data, position
    )
    start, position = position + PEER.size, position + PEER.size + count * NETWORK.size
    if position > len(data):
        raise _malformed()
    shared = Key(secret) if flags & PEER_HAS_PRESHARED_KEY else None
    peer = Peer(
        Key(public) if flags & PEER_HAS_PUBLIC_KEY else Key(_NO_KEY),
        preshared_key=None if shared is None or shared.is_zero else shared,
        endpoint=_endpoint(sockaddr) if flags & PEER_HAS_ENDPOINT else None,
        keepalive=keepalive if flags & PEER_HAS_PERSISTENT_KEEPALIVE else 0,
        handshake_sec=max(ticks // _TICKS - _EPOCH, 0),
        handshake_nsec=ticks % _TICKS * 100 if ticks // _TICKS >= _EPOCH else 0,
        rx_bytes=rx,
        tx_bytes=tx,
        allowed_ips=[
            _network(*NETWORK.unpack_from(data, at)) for at in range(start, position, NETWORK.size)
        ],
    )
    return peer, position


def _network(address: bytes, family: int, length: int, _flags: int) -> AllowedIP:
    size = _SIZE.get(family)
    if size is None or length > size * 8:
        raise _malformed()
    return AllowedIP(address[:size], length)


def _endpoint(sockaddr: bytes) -> Endpoint | None:
    family, port, address = SOCKADDR4.unpack(sockaddr)
    number = int.from_bytes(port, "big")
    if family == AF_INET:
        return Endpoint(ntop(address), number)
    if family != AF_INET6:
        return None
    _, _, _, address, scope = SOCKADDR6.unpack(sockaddr)
    return Endpoint(ntop(address) + (f"%{scope}" if scope else ""), number)


def _malformed() -> ProtocolError:
    return ProtocolError(
        "Protocol error", errno=EPROTO, hint="the driver's reply cannot be what it should be"
    )
