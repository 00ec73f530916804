# SPDX-License-Identifier: MIT
"""The door to rtnetlink, and what goes through it in numbers: routes and rules.

pyroute2 takes 150 ms to load and 0.45 ms to encode one route: 10,000 routes would be
4.5 s of `up`, and a `down` that removes one link would be ten times the original's.
So the few messages are written down here and in quick/rtlinks.py (docs/decisions/0021).
What is called `encode_*` or `decode_*` is pure; the rest is a thin caller.
Layouts: rtnetlink(7), linux/netlink.h, linux/rtnetlink.h, linux/fib_rules.h.
"""

from __future__ import annotations

import _socket
import errno
import os
import struct

from wgtools.errors import AccessError
from wgtools.inet import pton
from wgtools.quick.steps import Rule

__all__ = [
    "CREATE",
    "EXCL",
    "LINKS",
    "MAIN",
    "Door",
    "add_routes",
    "add_rule",
    "attribute",
    "decode_rule",
    "delete_rule",
    "dump",
    "encode_route",
    "encode_rule",
    "request",
    "rules",
    "word",
]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAIN = 254  # RT_TABLE_MAIN
LINKS = 0x1  # RTMGRP_LINK
_COMPAT_TABLE = 252  # RT_TABLE_COMPAT: the real number is in an attribute
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ROUTE = struct.Struct("=8BI")  # rtmsg
_RULE = struct.Struct("=8BI")  # fib_rule_hdr
_ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type
_WORD = struct.Struct("=HHI")  # an attribute of 32 bits
_ERROR = struct.Struct("=i")

_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_RTM_NEWROUTE = 24
_RTM_NEWRULE, _RTM_DELRULE, _RTM_GETRULE = 32, 33, 34
_REQUEST, _ACK, _DUMP, EXCL, CREATE = 0x1, 0x4, 0x300, 0x200, 0x400
_SOL_NETLINK, _STRICT_CHECK = 270, 12  # NETLINK_GET_STRICT_CHK
_RTA_DST, _RTA_OIF, _RTA_TABLE = 1, 4, 15
_PROTOCOL_BOOT, _SCOPE_LINK, _SCOPE_UNIVERSE, _UNICAST = 3, 253, 0, 1

_FRA_PRIORITY, _FRA_FWMARK, _FRA_SUPPRESS_PREFIXLEN = 6, 10, 14
_FRA_TABLE, _FRA_FWMASK, _FRA_PROTOCOL = 15, 16, 21
_OURS = {_FRA_PRIORITY, _FRA_FWMARK, _FRA_SUPPRESS_PREFIXLEN, _FRA_TABLE, _FRA_FWMASK}
_LAST_KNOWN = 24  # FRA_DPORT_RANGE; what newer kernels add to every rule narrows nothing
_TO_TABLE, _INVERT, _ALL = 1, 0x2, 0xFFFFFFFF  # FR_ACT_TO_TBL, FIB_RULE_INVERT

_FAMILIES = {4: _socket.AF_INET, 6: _socket.AF_INET6}
_CHUNK = 500  # routes per send: 30 kB, far below the default socket buffers


class Door:
    """A netlink socket for one exchange, or for the notices of some groups."""

    def __init__(self, groups: int = 0) -> None:
        self._socket = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW, _socket.NETLINK_ROUTE)
        self._socket.bind((0, groups))

    def __enter__(self) -> Door:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def filter_strictly(self) -> None:
        """Have the kernel filter dumps, or a router's million routes would all come."""
        try:
            self._socket.setsockopt(_SOL_NETLINK, _STRICT_CHECK, 1)
        except OSError:
            return  # before Linux 4.20: whoever asks filters again

    def send(self, data: bytes) -> None:
        """Raises AccessError."""
        try:
            self._socket.send(data)
        except OSError as error:
            raise _refused("netlink", error.errno or 0) from error

    def messages(self) -> Iterator[tuple[int, int, bytes]]:
        """(type, sequence, body) of each message that comes, for as long as asked.

        Raises AccessError.
        """
        while True:
            yield from self.take()

    def take(self) -> Iterator[tuple[int, int, bytes]]:
        """What comes at once, from the kernel alone.  Raises AccessError."""
        try:
            data, _, flags, (port, _) = self._socket.recvmsg(1 << 16)
        except OSError as error:
            raise _refused("netlink", error.errno or 0) from error
        if port:
            return  # whoever has CAP_NET_ADMIN can send us something
        offset = 0
        while offset + _HEADER.size <= len(data):
            length, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
            if length < _HEADER.size or offset + length > len(data):
                flags |= _socket.MSG_TRUNC
                break
            yield kind, sequence, data[offset + _HEADER.size : offset + length]
            offset += (length + 3) & ~3
        if flags & _socket.MSG_TRUNC:
            raise _refused("netlink", errno.EMSGSIZE)


def _message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body


def attribute(kind: int, data: bytes) -> bytes:
    """One rtattr, padded to four bytes."""
    return _ATTRIBUTE.pack(4 + len(data), kind) + data + b"\0" * (-len(data) & 3)


def word(kind: int, value: int) -> bytes:
    """One rtattr of 32 bits."""
    return _WORD.pack(8, kind, value)


def _refused(what: str, code: int) -> AccessError:
    return AccessError(f"{what}: {os.strerror(code)}", errno=code)


def _code(body: bytes) -> int:
    return -int(_ERROR.unpack_from(body)[0])


def request(kind: int, body: bytes, what: str, flags: int = 0, *, wanted: int = 0) -> bytes:
    """One message; the body of the answer of the type `wanted`, else the acknowledgement.

    Raises AccessError with `what` in its message.
    """
    flags |= _REQUEST if wanted else _REQUEST | _ACK
    with Door() as door:
        door.send(_message(kind, flags, 0, body))
        for answer, _, rest in door.messages():
            if answer == _NLMSG_ERROR:
                code = _code(rest)
                if code:
                    raise _refused(what, code)
                return b""
            if answer == wanted:
                return rest
    return b""


def dump(kind: int, wanted: int, body: bytes, what: str) -> list[bytes]:
    """The bodies of all messages that answer a question for a list.  Raises AccessError."""
    found: list[bytes] = []
    with Door() as door:
        door.filter_strictly()
        door.send(_message(kind, _REQUEST | _DUMP, 0, body))
        for answer, _, rest in door.messages():
            if answer == wanted:
                found.append(rest)
            elif answer in (_NLMSG_DONE, _NLMSG_ERROR):
                code = _code(rest) if len(rest) >= _ERROR.size else 0
                if code > 0:  # also at the end: what was found by then is not all
                    raise _refused(what, code)
                break
    return found


# Routes


def encode_route(network: str, link: int, table: int, sequence: int, *, ack: bool) -> bytes:
    """One RTM_NEWROUTE with the defaults of `ip route add NETWORK dev LINK table TABLE`."""
    address, _, length = network.partition("/")
    packed = pton(address)
    if packed is None:
        raise ValueError(f"not a network: {network}")
    v4 = len(packed) == 4
    body = _ROUTE.pack(
        _socket.AF_INET if v4 else _socket.AF_INET6,
        int(length),
        0,  # no source selector
        0,  # TOS
        table if table < 256 else _COMPAT_TABLE,
        _PROTOCOL_BOOT,
        _SCOPE_LINK if v4 else _SCOPE_UNIVERSE,
        _UNICAST,
        0,  # no flags
    )
    if int(length):
        body += _ATTRIBUTE.pack(4 + len(packed), _RTA_DST) + packed
    body += _WORD.pack(8, _RTA_OIF, link) + _WORD.pack(8, _RTA_TABLE, table)
    flags = _REQUEST | CREATE | EXCL | (_ACK if ack else 0)
    return _message(_RTM_NEWROUTE, flags, sequence, body)


def add_routes(routes: Sequence[tuple[str, int]], link: int) -> None:
    """Add (network, table) pairs through the link; AccessError names the first refused.

    Only the last message of a chunk asks for an answer: the kernel works through all
    of them in order and reports each failure by itself.
    """
    with Door() as door:
        for start in range(0, len(routes), _CHUNK):
            chunk = routes[start : start + _CHUNK]
            last = len(chunk) - 1
            door.send(
                b"".join(
                    encode_route(network, link, table, i, ack=i == last)
                    for i, (network, table) in enumerate(chunk)
                )
            )
            code, index = _first_failure(door, last)
            if code:
                raise _refused(f"route to {chunk[index][0]}", code)


def _first_failure(door: Door, last: int) -> tuple[int, int]:
    """(errno, index) of the first message refused, (0, last) when none was."""
    failed: tuple[int, int] | None = None
    try:
        for kind, sequence, body in door.messages():
            if kind == _NLMSG_ERROR:
                code = _code(body)
                if code and failed is None:
                    failed = (code, sequence)
                if sequence == last:
                    break
    except AccessError as error:
        # So many were refused that the answers did not fit.
        if error.errno != errno.ENOBUFS or failed is None:
            raise
    return failed or (0, last)


# Rules


def encode_rule(rule: Rule) -> bytes:
    """The body of RTM_NEWRULE or RTM_DELRULE: all that a rule of ours is."""
    table = rule.mark or MAIN
    number = table if table < 256 else _COMPAT_TABLE
    flags = _INVERT if rule.mark else 0
    body = _RULE.pack(_FAMILIES[rule.family], 0, 0, 0, number, 0, 0, _TO_TABLE, flags)
    body += _WORD.pack(8, _FRA_PRIORITY, rule.priority) + _WORD.pack(8, _FRA_TABLE, table)
    if rule.mark:
        return body + _WORD.pack(8, _FRA_FWMARK, rule.mark)
    return body + _WORD.pack(8, _FRA_SUPPRESS_PREFIXLEN, 0)


def add_rule(rule: Rule) -> None:
    request(_RTM_NEWRULE, encode_rule(rule), f"rule {rule.words}", CREATE | EXCL)


def delete_rule(rule: Rule) -> None:
    """Raises AccessError, with ENOENT when there is no such rule."""
    request(_RTM_DELRULE, encode_rule(rule), f"rule {rule.words}")


def decode_rule(body: bytes, family: int) -> tuple[int, Rule | None]:
    """(priority, the rule if nothing but our own two shapes fits it)."""
    if len(body) < _RULE.size:
        return 0, None
    _, dst, src, tos, table, _, _, action, flags = _RULE.unpack_from(body)
    words: dict[int, int] = {}
    foreign = bool(dst or src or tos or action != _TO_TABLE or flags & ~_INVERT)
    offset = _RULE.size
    while offset + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        if length < _ATTRIBUTE.size or offset + length > len(body):
            break
        if kind in _OURS and length == _WORD.size:
            words[kind] = _WORD.unpack_from(body, offset)[2]
        elif kind <= _LAST_KNOWN and kind != _FRA_PROTOCOL:
            foreign = True
        offset += (length + 3) & ~3
    priority = words.get(_FRA_PRIORITY, 0)
    table, mark = words.get(_FRA_TABLE, table), words.get(_FRA_FWMARK, 0)
    mask, suppress = words.get(_FRA_FWMASK, 0), words.get(_FRA_SUPPRESS_PREFIXLEN, _ALL)
    inverted = bool(flags & _INVERT)
    if foreign:
        return priority, None
    if mark and mark == table and mask == _ALL and inverted and suppress == _ALL:
        return priority, Rule(family, priority, mark)
    if not mark and not inverted and table == MAIN and suppress == 0:
        return priority, Rule(family, priority)
    return priority, None


def rules() -> tuple[list[Rule], dict[int, list[int]]]:
    """The rules that have the shape of ours, and the priorities of all, in order."""
    ours: list[Rule] = []
    priorities: dict[int, list[int]] = {}
    for family in _FAMILIES:
        found = [decode_rule(body, family) for body in _dump_rules(family)]
        priorities[family] = [priority for priority, _ in found]
        ours += [rule for _, rule in found if rule is not None]
    return ours, priorities


def _dump_rules(family: int) -> list[bytes]:
    body = _RULE.pack(_FAMILIES[family], 0, 0, 0, 0, 0, 0, 0, 0)
    try:
        return dump(_RTM_GETRULE, _RTM_NEWRULE, body, "rules")
    except AccessError as error:
        if error.errno in (errno.EAFNOSUPPORT, errno.EOPNOTSUPP):
            return []  # a kernel without that family, or without policy routing
        raise
