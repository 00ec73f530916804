# SPDX-License-Identifier: MIT
"""WireGuard's generic netlink: its numbers, and a change as the messages that make it.

Pure: no socket, no names of interfaces looked up (a callable does that).  Numbers and
layouts are those of linux/wireguard.h; what is sent, in which order and where a large
change is cut follows WG_COMPAT 13.4.  Reading is in `dump`.
"""

from __future__ import annotations

from struct import Struct
from struct import error as struct_error

from wgtools.inet import scoped
from wgtools.model import HostPort

from .netlink import (
    HEADER_SIZE,
    NLA_F_NESTED,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    attribute,
    generic,
)

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable

    from wgtools.model import AllowedIP, DeviceChange, Endpoint, PeerChange

__all__ = ["GET_FLAGS", "SET_FLAGS", "WG_GENL_NAME", "change_payloads", "get_payload"]

WG_GENL_NAME = b"wireguard"
WG_GENL_VERSION = 1
WG_CMD_GET_DEVICE = 0
WG_CMD_SET_DEVICE = 1

WGDEVICE_A_IFNAME = 2
WGDEVICE_A_PRIVATE_KEY = 3
WGDEVICE_A_PUBLIC_KEY = 4
WGDEVICE_A_FLAGS = 5
WGDEVICE_A_LISTEN_PORT = 6
WGDEVICE_A_FWMARK = 7
WGDEVICE_A_PEERS = 8
WGDEVICE_F_REPLACE_PEERS = 1

WGPEER_A_PUBLIC_KEY = 1
WGPEER_A_PRESHARED_KEY = 2
WGPEER_A_FLAGS = 3
WGPEER_A_ENDPOINT = 4
WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL = 5
WGPEER_A_LAST_HANDSHAKE_TIME = 6
WGPEER_A_RX_BYTES = 7
WGPEER_A_TX_BYTES = 8
WGPEER_A_ALLOWEDIPS = 9
WGPEER_F_REMOVE_ME = 1
WGPEER_F_REPLACE_ALLOWEDIPS = 2
WGPEER_F_UPDATE_ONLY = 4

WGALLOWEDIP_A_FAMILY = 1
WGALLOWEDIP_A_IPADDR = 2
WGALLOWEDIP_A_CIDR_MASK = 3
WGALLOWEDIP_A_FLAGS = 4  # Linux 6.16
WGALLOWEDIP_F_REMOVE_ME = 1

AF_INET = 2  # linux/socket.h
AF_INET6 = 10

GET_FLAGS = NLM_F_REQUEST | NLM_F_ACK | NLM_F_DUMP
SET_FLAGS = NLM_F_REQUEST | NLM_F_ACK

# The smallest page of any Linux: every kernel takes a message of this size (13.4).
MESSAGE_LIMIT = 4096

_NEST = NLA_F_NESTED  # entries of PEERS and ALLOWEDIPS are nests of type 0
_HEADER = Struct("=HH")
_KEY = Struct("=HH32s")
_NUMBER16 = Struct("=HHH2x")
_NUMBER32 = Struct("=HHI")
# FAMILY, IPADDR, CIDR_MASK in their nest; without and with FLAGS
_NETWORK = {4: Struct("=HHHHH2xHH4sHHB3x"), 16: Struct("=HHHHH2xHH16sHHB3x")}
FAMILY = {4: AF_INET, 16: AF_INET6}
_REMOVE_FLAG = _NUMBER32.pack(8, WGALLOWEDIP_A_FLAGS, WGALLOWEDIP_F_REMOVE_ME)
SOCKADDR4 = Struct("=H2s4s8x")  # sockaddr_in; the port is in network order
SOCKADDR6 = Struct("=H2sI16sI")  # sockaddr_in6; the scope is in host order


def get_payload(name: bytes) -> bytes:
    """Asks for one device."""
    return generic(WG_CMD_GET_DEVICE, WG_GENL_VERSION, attribute(WGDEVICE_A_IFNAME, name + b"\0"))


def change_payloads(
    name: bytes, change: DeviceChange, *, scope_of: Callable[[str], int]
) -> list[bytes]:
    """The payloads that together make the change, to be sent in order, each after the
    acknowledgement of the one before.

    `scope_of` gives the number of a zone (`eth0`, `3`).  Raises ValueError for what a
    caller got wrong: an endpoint not resolved, a number that does not fit.
    """
    start = generic(WG_CMD_SET_DEVICE, WG_GENL_VERSION, attribute(WGDEVICE_A_IFNAME, name + b"\0"))
    try:
        batch = _Batch(start, _device_settings(change))
        for peer in change.peers:
            batch.add(peer, _peer_settings(peer, scope_of))
        return batch.finish()
    except (struct_error, OverflowError) as error:
        raise ValueError(f"a number in the change is out of range: {error}") from error


class _Batch:
    """Cuts a change into messages by counting, never by trying."""

    __slots__ = ("_peers", "_prefix", "_room", "_start", "payloads")

    def __init__(self, start: bytes, settings: bytes) -> None:
        self._start = start  # what every message begins with
        self.payloads: list[bytes] = []
        self._begin(start + settings)

    def _begin(self, prefix: bytes) -> None:
        self._prefix = prefix
        self._peers: list[bytes] = []
        self._room = MESSAGE_LIMIT - HEADER_SIZE - len(prefix) - 4  # 4: the nest PEERS

    def _close(self) -> None:
        peers = b"".join(self._peers)
        nest = _HEADER.pack(4 + len(peers), WGDEVICE_A_PEERS | _NEST) + peers if peers else b""
        self.payloads.append(self._prefix + nest)
        self._begin(self._start)

    def _append(self, settings: bytes, networks: bytes) -> None:
        if networks:
            settings += _HEADER.pack(4 + len(networks), WGPEER_A_ALLOWEDIPS | _NEST)
        size = 4 + len(settings) + len(networks)
        self._peers.append(_HEADER.pack(size, _NEST) + settings + networks)
        self._room -= size

    def add(self, peer: PeerChange, settings: bytes) -> None:
        """One peer; what does not fit any more continues in the next message (13.4)."""
        if 4 + len(settings) > self._room:
            self._close()
        networks = [_network(item) for item in peer.allowed_ips]
        whole = b"".join(networks)
        if 4 + len(settings) + 4 + len(whole) <= self._room or not whole:
            self._append(settings, whole)
            return
        first = 0
        while first < len(networks):
            room = self._room - 4 - len(settings) - 4
            last = first
            while last < len(networks) and len(networks[last]) <= room:
                room -= len(networks[last])
                last += 1
            self._append(settings, b"".join(networks[first:last]))
            if last < len(networks):
                self._close()
                settings = _continuation(peer)
            first = last

    def finish(self) -> list[bytes]:
        self._close()
        return self.payloads


def _device_settings(change: DeviceChange) -> bytes:
    out = b""
    if change.private_key is not None:
        out += _KEY.pack(36, WGDEVICE_A_PRIVATE_KEY, bytes(change.private_key))
    if change.listen_port is not None:
        out += _NUMBER16.pack(6, WGDEVICE_A_LISTEN_PORT, change.listen_port)
    if change.fwmark is not None:
        out += _NUMBER32.pack(8, WGDEVICE_A_FWMARK, change.fwmark)
    if change.replace_peers:
        out += _NUMBER32.pack(8, WGDEVICE_A_FLAGS, WGDEVICE_F_REPLACE_PEERS)
    return out


def _peer_settings(peer: PeerChange, scope_of: Callable[[str], int]) -> bytes:
    """All of a peer but its allowed IPs."""
    out = _KEY.pack(36, WGPEER_A_PUBLIC_KEY, bytes(peer.public_key))
    if peer.preshared_key is not None:
        out += _KEY.pack(36, WGPEER_A_PRESHARED_KEY, bytes(peer.preshared_key))
    if peer.endpoint is not None:
        if isinstance(peer.endpoint, HostPort):
            raise ValueError("an endpoint must be resolved before it is set")
        out += attribute(WGPEER_A_ENDPOINT, _sockaddr(peer.endpoint, scope_of))
    if peer.keepalive is not None:
        out += _NUMBER16.pack(6, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, peer.keepalive)
    flags = (
        (WGPEER_F_REMOVE_ME if peer.remove else 0)
        | (WGPEER_F_REPLACE_ALLOWEDIPS if peer.replace_allowed_ips else 0)
        | (WGPEER_F_UPDATE_ONLY if peer.update_only else 0)
    )
    if flags:
        out += _NUMBER32.pack(8, WGPEER_A_FLAGS, flags)
    return out


def _continuation(peer: PeerChange) -> bytes:
    """A peer's settings in every message but its first: who it is, and what must hold for
    each part.  "Replace allowed IPs" would undo the part before."""
    out = _KEY.pack(36, WGPEER_A_PUBLIC_KEY, bytes(peer.public_key))
    flags = (WGPEER_F_REMOVE_ME if peer.remove else 0) | (
        WGPEER_F_UPDATE_ONLY if peer.update_only else 0
    )
    return out + _NUMBER32.pack(8, WGPEER_A_FLAGS, flags) if flags else out


def _network(item: AllowedIP) -> bytes:
    address = item.address
    size = len(address)
    if size not in _NETWORK:
        raise ValueError("an address is 4 or 16 bytes")
    out = _NETWORK[size].pack(
        (32 if item.remove else 24) + size, _NEST,
        6, WGALLOWEDIP_A_FAMILY, FAMILY[size],
        4 + size, WGALLOWEDIP_A_IPADDR, address,
        5, WGALLOWEDIP_A_CIDR_MASK, item.length,
    )  # fmt: skip
    return out + _REMOVE_FLAG if item.remove else out


def _sockaddr(endpoint: Endpoint, scope_of: Callable[[str], int]) -> bytes:
    packed, scope = scoped(endpoint.host, scope_of)
    port = endpoint.port.to_bytes(2, "big")
    if len(packed) == 4:
        return SOCKADDR4.pack(AF_INET, port, packed)
    return SOCKADDR6.pack(AF_INET6, port, 0, packed, scope)
