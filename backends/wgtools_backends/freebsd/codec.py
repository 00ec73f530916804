# SPDX-License-Identifier: MIT
"""WireGuard's ioctls of FreeBSD: a change as the bytes of SIOCSWG, those of SIOCGWG as a
Device.

Pure: no socket, no names of interfaces looked up (callables do that).  Names, their order
and ranges are those of BSD_IPC 4.  A change goes out only if every value in it is one the
kernel accepts: some kernels panic at others (BSD_IPC 2.4).
"""

from __future__ import annotations

from errno import EINVAL
from struct import Struct

from wgtools.errors import ProtocolError
from wgtools.inet import PORT_MAX
from wgtools.keys import KEY_SIZE, Key
from wgtools.model import AllowedIP, Device, Peer
from wgtools_backends.bsd import sockaddr

from . import nvlist

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wgtools.model import DeviceChange, PeerChange

    Pairs = dict[bytes, Any]

__all__ = ["AF_INET6", "device", "request"]

AF_INET6 = 28  # sys/socket.h of FreeBSD
FLAG_REMOVE = 1  # of an allowed IP; FreeBSD 15 (BSD_IPC 2.4)

_MARK_MAX = 0xFFFFFFFF
_KEEPALIVE_MAX = 65535
_HANDSHAKE = Struct("=qq")  # struct timespec of 64 bits: seconds, nanoseconds
_ADDRESS_SIZES = {b"ipv4": 4, b"ipv6": 16}


# --- a change ----------------------------------------------------------------------------


def request(change: DeviceChange, *, scope_of: Callable[[str], int]) -> bytes:
    """The one request that makes the change.

    Raises ValueError for what a caller got wrong: an endpoint not resolved, a number or
    an address that does not fit.  `update_only` has no place here (see `quirks`).
    """
    pairs: Pairs = {}
    if change.private_key is not None:
        pairs[b"private-key"] = bytes(change.private_key)
    if change.listen_port is not None:
        pairs[b"listen-port"] = _within(change.listen_port, PORT_MAX, "a listen port")
    if change.fwmark is not None:
        pairs[b"user-cookie"] = _within(change.fwmark, _MARK_MAX, "a mark")
    if change.replace_peers:
        pairs[b"replace-peers"] = True
    if change.peers:
        pairs[b"peers"] = [_peer_pairs(peer, scope_of) for peer in change.peers]
    return nvlist.pack(pairs)


def _within(value: int, most: int, what: str) -> int:
    if not 0 <= value <= most:
        raise ValueError(f"{what} is at most {most}, not {value}")
    return value


def _peer_pairs(peer: PeerChange, scope_of: Callable[[str], int]) -> Pairs:
    pairs: Pairs = {b"public-key": bytes(peer.public_key)}
    if peer.preshared_key is not None:
        pairs[b"preshared-key"] = bytes(peer.preshared_key)
    if peer.keepalive is not None:
        pairs[b"persistent-keepalive-interval"] = _within(
            peer.keepalive, _KEEPALIVE_MAX, "a keepalive interval"
        )
    if peer.endpoint is not None:
        pairs[b"endpoint"] = sockaddr.pack(peer.endpoint, inet6=AF_INET6, scope_of=scope_of)
    if peer.replace_allowed_ips:
        pairs[b"replace-allowedips"] = True
    if peer.remove:
        pairs[b"remove"] = True
    if peer.allowed_ips:
        pairs[b"allowed-ips"] = [_network_pairs(item) for item in peer.allowed_ips]
    return pairs


def _network_pairs(item: AllowedIP) -> Pairs:
    size = len(item.address)
    if size not in _ADDRESS_SIZES.values():
        raise ValueError("an address is 4 or 16 bytes")
    pairs: Pairs = {b"flags": FLAG_REMOVE} if item.remove else {}
    pairs[b"cidr"] = _within(item.length, size * 8, "a prefix length")
    pairs[b"ipv4" if size == 4 else b"ipv6"] = item.address
    return pairs


# --- a device ----------------------------------------------------------------------------


def device(name: str, data: bytes, *, zone_of: Callable[[int], str]) -> Device:
    """The device that the kernel's answer describes.

    As in C `wg` a value of a wrong type, size or range is as good as absent; an allowed
    IP that cannot be one makes the whole answer wrong.  Raises ProtocolError.
    """
    pairs = nvlist.unpack(data)
    return Device(
        name,
        private_key=_key(pairs, b"private-key"),
        public_key=_key(pairs, b"public-key"),
        listen_port=_number(pairs, b"listen-port", PORT_MAX),
        fwmark=_number(pairs, b"user-cookie", _MARK_MAX),
        peers=[_peer(peer, zone_of) for peer in _lists(pairs, b"peers")],
    )


def _peer(pairs: Pairs, zone_of: Callable[[int], str]) -> Peer:
    secret = _key(pairs, b"preshared-key")
    handshake = _binary(pairs, b"last-handshake-time")
    endpoint = _binary(pairs, b"endpoint")
    seconds, nanoseconds = (
        _HANDSHAKE.unpack(handshake) if len(handshake) == _HANDSHAKE.size else (0, 0)
    )
    networks = map(_network, _lists(pairs, b"allowed-ips"))
    return Peer(
        _key(pairs, b"public-key") or Key(bytes(KEY_SIZE)),
        preshared_key=None if secret is None or secret.is_zero else secret,
        endpoint=sockaddr.unpack(endpoint, inet6=AF_INET6, zone_of=zone_of),
        keepalive=_number(pairs, b"persistent-keepalive-interval", _KEEPALIVE_MAX),
        handshake_sec=seconds,
        handshake_nsec=nanoseconds,
        rx_bytes=_number(pairs, b"rx-bytes"),
        tx_bytes=_number(pairs, b"tx-bytes"),
        allowed_ips=[network for network in networks if network is not None],
    )


def _network(pairs: Pairs) -> AllowedIP | None:
    """An allowed IP; None for one that says too little.  Raises ProtocolError."""
    length = pairs.get(b"cidr")
    kind = b"ipv4" if _binary(pairs, b"ipv4") else b"ipv6"
    address = _binary(pairs, kind)
    if type(length) is not int or not address:
        return None
    if len(address) != _ADDRESS_SIZES[kind] or length > len(address) * 8:
        raise ProtocolError(
            "Malformed allowed IP",
            errno=EINVAL,
            hint="the kernel's answer holds an address or a prefix length of a wrong size",
        )
    return AllowedIP(address, length)


def _key(pairs: Pairs, name: bytes) -> Key | None:
    raw = _binary(pairs, name)
    return Key(raw) if len(raw) == KEY_SIZE else None


def _binary(pairs: Pairs, name: bytes) -> bytes:
    value = pairs.get(name)
    return value if isinstance(value, bytes) else b""


def _number(pairs: Pairs, name: bytes, most: int | None = None) -> int:
    value = pairs.get(name)
    if type(value) is not int or (most is not None and value > most):  # a bool is no number
        return 0
    return value


def _lists(pairs: Pairs, name: bytes) -> list[Pairs]:
    value = pairs.get(name)
    return value if isinstance(value, list) and isinstance(value[0], dict) else []
