# SPDX-License-Identifier: MIT
"""What the kernel says about a WireGuard device, as the model's Device.

Pure: no socket, no names of interfaces looked up (callables do that).  Whatever bytes
come in, only ProtocolError goes out; attributes of a wrong size and unknown ones are
skipped (WG_COMPAT 13.3).  An attribute's header is read as one 32-bit word, so that one
look-up knows its type and that its size is right.
"""

from __future__ import annotations

from errno import EINVAL
from struct import Struct

from wgtools.errors import ProtocolError
from wgtools.inet import ntop
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, Endpoint, Peer

from . import codec
from .netlink import GENERIC_SIZE, NLA_F_NESTED, NLA_TYPE_MASK, attribute, attributes, malformed

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Span = tuple[bytes, int, int]  # a buffer, and where in it a message's payload lies
    Reader = Callable[[bytes, int], tuple[Any, ...]]

__all__ = ["device", "text"]

_HEADER = Struct("=HH")
_U16 = Struct("=H")


def device(
    name: bytes,
    spans: Iterable[Span],
    *,
    zone_of: Callable[[int], str],
) -> Device:
    """The device that the messages of one whole dump describe.

    `name` is what was asked for, should the kernel not say.  `zone_of` gives the name of
    a link's index, or nothing.  Attributes of a wrong size and unknown ones are skipped.
    Raises ProtocolError.
    """
    found: dict[str, Any] = {}
    peers: list[Peer] = []
    for data, start, end in spans:
        for kind, begin, stop in attributes(data, start + GENERIC_SIZE, end):
            if kind == codec.WGDEVICE_A_PEERS:
                _read_peers(data, begin, stop, peers, zone_of)
            elif kind == codec.WGDEVICE_A_IFNAME:
                name = data[begin:stop].partition(b"\0")[0] or name
            elif (field := _DEVICE_FIELDS.get((kind, stop - begin))) is not None:
                found[field[0]] = field[1](data, begin)[0]
    private, public = found.get("private_key"), found.get("public_key")
    return Device(
        text(name),
        private_key=None if private is None else Key(private),
        public_key=None if public is None else Key(public),
        listen_port=found.get("listen_port", 0),
        fwmark=found.get("fwmark", 0),
        peers=peers,
    )


def text(name: bytes) -> str:
    """An interface's name as the model has it: any bytes go, and come back unchanged."""
    return name.decode("utf-8", "surrogateescape")


_READ_U16 = _U16.unpack_from
_READ_U32 = Struct("=I").unpack_from
_READ_U64 = Struct("=Q").unpack_from
_READ_KEY = Struct("=32s").unpack_from

_DEVICE_FIELDS: dict[tuple[int, int], tuple[str, Reader]] = {
    (codec.WGDEVICE_A_PRIVATE_KEY, 32): ("private_key", _READ_KEY),
    (codec.WGDEVICE_A_PUBLIC_KEY, 32): ("public_key", _READ_KEY),
    (codec.WGDEVICE_A_LISTEN_PORT, 2): ("listen_port", _READ_U16),
    (codec.WGDEVICE_A_FWMARK, 4): ("fwmark", _READ_U32),
}


def _word(size: int, kind: int) -> int:
    """The header of an attribute with `size` bytes of payload, as one number."""
    return int(_READ_U32(_HEADER.pack(4 + size, kind), 0)[0])


# Header -> where the value goes, the attribute's size without and with padding, how it is read.
_PEER_FIELDS: dict[int, tuple[int, int, int, Reader]] = {
    _word(size, kind): (kind, 4 + size, 4 + (size + 3 & ~3), read)
    for kind, size, read in (
        (codec.WGPEER_A_PUBLIC_KEY, 32, _READ_KEY),
        (codec.WGPEER_A_PRESHARED_KEY, 32, _READ_KEY),
        (codec.WGPEER_A_ENDPOINT, 16, codec.SOCKADDR4.unpack_from),
        (codec.WGPEER_A_ENDPOINT, 28, codec.SOCKADDR6.unpack_from),
        (codec.WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, 2, _READ_U16),
        (codec.WGPEER_A_LAST_HANDSHAKE_TIME, 16, Struct("=qq").unpack_from),
        (codec.WGPEER_A_RX_BYTES, 8, _READ_U64),
        (codec.WGPEER_A_TX_BYTES, 8, _READ_U64),
    )
}
_NO_FLAGS = _word(0xFFFF - 4, NLA_TYPE_MASK)
# By attribute number: a peer about which only its key was said.
_SILENT: list[Any] = [None, None, None, None, None, (0,), (0, 0), (0,), (0,), None]


def _read_peers(
    data: bytes, start: int, end: int, peers: list[Peer], zone_of: Callable[[int], str]
) -> None:
    """Adds the peers of one PEERS nest.  One that repeats the key of the peer just before
    it, be that in the message before, only adds allowed IPs (13.3)."""
    last = bytes(peers[-1].public_key) if peers else b""
    for _, begin, stop in attributes(data, start, end):
        # In the order of the attributes' numbers, from 0 (unused) to 9.
        _, public, preshared, _, endpoint, keepalive, handshake, rx, tx, networks = (
            _peer_attributes(data, begin, stop)
        )
        if public is None:
            raise ProtocolError("Invalid argument", errno=EINVAL)
        (key,) = public
        if key == last:
            peers[-1].allowed_ips += networks or ()
            continue
        last = key
        secret = None if preshared is None else Key(preshared[0])
        peers.append(
            Peer(
                Key(key),
                preshared_key=None if secret is None or secret.is_zero else secret,
                endpoint=None if endpoint is None else _endpoint(endpoint, zone_of),
                keepalive=keepalive[0],
                handshake_sec=handshake[0],
                handshake_nsec=handshake[1],
                rx_bytes=rx[0],
                tx_bytes=tx[0],
                allowed_ips=networks,
            )
        )


def _peer_attributes(data: bytes, position: int, end: int) -> list[Any]:
    """What one peer's nest says, by attribute number.  The decoder's inner loop."""
    found = _SILENT.copy()
    known = _PEER_FIELDS.get
    while position < end:
        if end - position < 4:
            raise malformed()
        field = known(_READ_U32(data, position)[0] & _NO_FLAGS)
        if field is None:
            length, kind = _HEADER.unpack_from(data, position)
            if length < 4 or position + length > end:
                raise malformed()
            kind &= NLA_TYPE_MASK
            if kind == codec.WGPEER_A_ALLOWEDIPS:
                networks = found[kind] = found[kind] or []
                _read_networks(data, position + 4, position + length, networks)
            position += (length + 3) & ~3
            continue
        kind, length, step, read = field
        if position + length > end:
            raise malformed()
        found[kind] = read(data, position + 4)
        position += step
    return found


def _endpoint(sockaddr: tuple[Any, ...], zone_of: Callable[[int], str]) -> Endpoint | None:
    family, port, *rest = sockaddr
    number = int.from_bytes(port, "big")
    if len(rest) == 1:
        return Endpoint(ntop(rest[0]), number) if family == codec.AF_INET else None
    _, address, scope = rest
    if family != codec.AF_INET6:
        return None
    host = ntop(address)
    if scope:
        # Link-local unicast and multicast show a name, as getnameinfo(3) has it.
        local = address[0] == 0xFE and address[1] & 0xC0 == 0x80
        local = local or (address[0] == 0xFF and address[1] & 0x0F == 2)
        host += "%" + ((local and zone_of(scope)) or str(scope))
    return Endpoint(host, number)


# An allowed IP as every kernel so far writes it (CIDR_MASK, FAMILY, IPADDR): the header of
# the nest -> its size, how its four parts are read, and what the two fixed ones hold.
_KERNEL_NETWORK: dict[int, tuple[int, Reader, bytes, bytes]] = {
    _word(size - 4, kind): (
        size,
        Struct(f"=8sB3x12s{size - 24}s").unpack_from,
        _HEADER.pack(size, kind) + _HEADER.pack(5, codec.WGALLOWEDIP_A_CIDR_MASK),
        attribute(codec.WGALLOWEDIP_A_FAMILY, _U16.pack(family))
        + _HEADER.pack(size - 20, codec.WGALLOWEDIP_A_IPADDR),
    )
    for size, family in ((28, codec.AF_INET), (40, codec.AF_INET6))
    for kind in (0, NLA_F_NESTED)
}


def _read_networks(data: bytes, position: int, end: int, networks: list[AllowedIP]) -> None:
    known = _KERNEL_NETWORK.get
    while end - position >= 4:
        shape = known(_READ_U32(data, position)[0])
        if shape is not None and position + shape[0] <= end:
            size, read, fixed, between = shape
            head, length, middle, address = read(data, position)
            if head == fixed and middle == between and length <= len(address) * 8:
                networks.append(AllowedIP(address, length))
                position += size
                continue
        (length, _), begin = _HEADER.unpack_from(data, position), position + 4
        if length < 4 or position + length > end:
            raise malformed()
        if (network := _other_network(data, begin, position + length)) is not None:
            networks.append(network)
        position += (length + 3) & ~3
    if position < end:
        raise malformed()


def _other_network(data: bytes, start: int, end: int) -> AllowedIP | None:
    """An allowed IP in any other order.  One that makes no sense is skipped."""
    family, address, length = 0, b"", -1
    for kind, begin, stop in attributes(data, start, end):
        if kind == codec.WGALLOWEDIP_A_FAMILY and stop - begin == 2:
            (family,) = _READ_U16(data, begin)
        elif kind == codec.WGALLOWEDIP_A_IPADDR:
            address = data[begin:stop]
        elif kind == codec.WGALLOWEDIP_A_CIDR_MASK and stop - begin == 1:
            length = data[begin]
    if codec.FAMILY.get(len(address)) != family or not 0 <= length <= len(address) * 8:
        return None
    return AllowedIP(address, length)
