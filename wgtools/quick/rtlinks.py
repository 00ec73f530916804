# SPDX-License-Identifier: MIT
"""Messages of rtnetlink about links, addresses, and the way to a destination.

Those that `up` needs for every tunnel; the many routes and the rules are in
quick/rtnetlink.py, whose door is used.  `encode_*` and `attributes` are pure, the rest
asks the kernel once and decides nothing.  Layouts: rtnetlink(7), linux/if_link.h,
linux/if_addr.h, linux/rtnetlink.h.
"""

from __future__ import annotations

import _socket
import errno
import struct

from wgtools.errors import AccessError
from wgtools.quick.rtnetlink import CREATE, EXCL, attribute, dump, request, word

__all__ = [
    "Route",
    "add_address",
    "addresses",
    "attributes",
    "delete_link",
    "encode_address",
    "encode_new_link",
    "is_there",
    "link_mtu",
    "link_up",
    "make_link",
    "route_to",
    "routes",
    "tells_of_removal",
]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LINK = struct.Struct("=BxHiII")  # ifinfomsg
_ADDRESS = struct.Struct("=4BI")  # ifaddrmsg
_ROUTE = struct.Struct("=8BI")  # rtmsg
_HEAD = struct.Struct("=HH")  # rtattr: length, type
_WORD = struct.Struct("=I")

_NEWLINK, _DELLINK, _GETLINK = 16, 17, 18
_NEWADDR, _GETADDR = 20, 22
_NEWROUTE, _GETROUTE = 24, 26
_IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO, _INFO_KIND, _NESTED = 3, 4, 18, 1, 0x8000
_IFA_ADDRESS, _IFA_LOCAL, _IFA_PROTO = 1, 2, 11
_RTA_DST, _RTA_OIF, _RTA_METRICS, _RTA_TABLE, _RTAX_MTU = 1, 4, 8, 15, 2
_UP, _HOST, _TYPE = 1, 254, 0x3FFF  # IFF_UP; RT_SCOPE_HOST; NLA_TYPE_MASK
_CLONED = 0x200  # RTM_F_CLONED: a cached route, not one of the table
_KERNEL_LINK_LOCAL = 3  # IFAPROT_KERNEL_LL
_FAMILIES = {4: _socket.AF_INET, 16: _socket.AF_INET6}  # by the bytes of an address


def attributes(body: bytes, offset: int = 0) -> dict[int, bytes]:
    """The attributes from `offset` on; what is cut short is left out."""
    found = {}
    while offset + _HEAD.size <= len(body):
        length, kind = _HEAD.unpack_from(body, offset)
        if not _HEAD.size <= length <= len(body) - offset:
            break
        found[kind & _TYPE] = body[offset + _HEAD.size : offset + length]
        offset += (length + 3) & ~3
    return found


def _number(found: dict[int, bytes], kind: int) -> int:
    data = found.get(kind, b"")
    return int(_WORD.unpack_from(data)[0]) if len(data) >= _WORD.size else 0


# Links


def encode_new_link(name: str, kind: str) -> bytes:
    """The body of `ip link add dev NAME type KIND`."""
    inner = attribute(_INFO_KIND, kind.encode())
    body = _LINK.pack(_socket.AF_UNSPEC, 0, 0, 0, 0) + attribute(
        _IFLA_IFNAME, name.encode() + b"\0"
    )
    return body + attribute(_IFLA_LINKINFO | _NESTED, inner)


def make_link(name: str, kind: str) -> None:
    """Raises AccessError, with EOPNOTSUPP when the kernel knows no such kind."""
    request(_NEWLINK, encode_new_link(name, kind), f"link {name}", CREATE | EXCL)


def delete_link(index: int, name: str) -> None:
    """Return when nothing is left of the link, in the kernel's memory either (quick/removal.py)."""
    request(_DELLINK, _LINK.pack(_socket.AF_UNSPEC, 0, index, 0, 0), f"link {name}")


def tells_of_removal(messages: Iterable[tuple[int, int, bytes]], index: int) -> bool:
    """Whether one of them is the notice that the link has gone (not only from a bridge)."""
    return any(
        kind == _DELLINK and len(body) >= _LINK.size and _link_of(body) == index
        for kind, _, body in messages
    )


def _link_of(body: bytes) -> int:
    family, _, index, _, _ = _LINK.unpack_from(body)
    return int(index) if family == _socket.AF_UNSPEC else 0


def is_there(index: int) -> bool:
    body = _LINK.pack(_socket.AF_UNSPEC, 0, index, 0, 0)
    try:
        request(_GETLINK, body, "link", wanted=_NEWLINK)
    except AccessError as error:
        if error.errno == errno.ENODEV:
            return False
        raise
    return True


def link_up(index: int, mtu: int, name: str) -> None:
    body = _LINK.pack(_socket.AF_UNSPEC, 0, index, _UP, _UP) + word(_IFLA_MTU, mtu)
    request(_NEWLINK, body, f"MTU {mtu} of {name}")


def link_mtu(index: int) -> int:
    body = _LINK.pack(_socket.AF_UNSPEC, 0, index, 0, 0)
    answer = request(_GETLINK, body, "link", wanted=_NEWLINK)
    return _number(attributes(answer, _LINK.size), _IFLA_MTU)


# Addresses


def encode_address(packed: bytes, length: int, index: int) -> bytes:
    """The body of `ip address add`: without a broadcast address, a host's own in 127/8."""
    scope = _HOST if len(packed) == 4 and packed[0] == 127 and length >= 8 else 0
    body = _ADDRESS.pack(_FAMILIES[len(packed)], length, 0, scope, index)
    return body + attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)


def add_address(packed: bytes, length: int, index: int, what: str) -> None:
    request(_NEWADDR, encode_address(packed, length, index), what, CREATE | EXCL)


def addresses(index: int) -> Iterator[tuple[bytes, int, bool]]:
    """(address, prefix length, whether the kernel may have made it up) of a link.

    IPv4 first, each in the kernel's order.
    """
    for size, family in _FAMILIES.items():
        for body in dump(_GETADDR, _NEWADDR, _ADDRESS.pack(family, 0, 0, 0, index), "addresses"):
            _, length, _, _, link = _ADDRESS.unpack_from(body)
            found = attributes(body, _ADDRESS.size)
            local = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS, b"")
            if link == index and len(local) == size:
                origin = found.get(_IFA_PROTO)  # since Linux 5.18
                yield local, length, origin is None or origin[0] == _KERNEL_LINK_LOCAL


# Routes, to be read


class Route:
    """What matters here of a route: `mtu` is its own, 0 when it has none."""

    __slots__ = ("destination", "length", "link", "mtu", "table")

    def __init__(self, body: bytes) -> None:
        head = _ROUTE.unpack_from(body)
        found = attributes(body, _ROUTE.size)
        self.length = head[1]
        self.destination = found.get(_RTA_DST, b"")
        self.table = _number(found, _RTA_TABLE) or head[4]
        self.link = _number(found, _RTA_OIF)
        self.mtu = _number(attributes(found.get(_RTA_METRICS, b"")), _RTAX_MTU)


def routes(family: int, table: int, index: int = 0) -> list[Route]:
    """The routes of a table, of one link if `index`.  [] for what the kernel has not."""
    body = _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0) + word(_RTA_TABLE, table)
    if index:
        body += word(_RTA_OIF, index)
    try:
        bodies = dump(_GETROUTE, _NEWROUTE, body, "routes")
    except AccessError as error:
        if error.errno in (errno.ENOENT, errno.EAFNOSUPPORT, errno.EOPNOTSUPP):
            return []  # no such table; a kernel without that family
        raise
    # A kernel before 4.20 does not filter: do it again.
    found = [Route(each) for each in bodies if not _ROUTE.unpack_from(each)[8] & _CLONED]
    return [each for each in found if each.table == table and index in (0, each.link)]


def route_to(packed: bytes, what: str) -> Route:
    """The way a packet would take.  Raises AccessError if there is none."""
    family, bits = _FAMILIES[len(packed)], len(packed) * 8
    body = _ROUTE.pack(family, bits, 0, 0, 0, 0, 0, 0, 0) + attribute(_RTA_DST, packed)
    return Route(request(_GETROUTE, body, what, wanted=_NEWROUTE))
