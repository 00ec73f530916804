# SPDX-License-Identifier: MIT
"""Netlink's framing: messages, attributes, errors, and how to find a family and the links.

Pure: bytes in, values out, nothing of WireGuard.  Integers are in host byte order.
Whatever the bytes, the only exception is ProtocolError.  Numbers are those of
linux/netlink.h, linux/genetlink.h, linux/rtnetlink.h and linux/if_link.h.
"""

from __future__ import annotations

from errno import EPROTO
from struct import Struct

from wgtools.errors import ProtocolError

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Iterator

    # type, flags, sequence, port, start and end of the payload
    Message = tuple[int, int, int, int, int, int]

__all__ = [
    "FAMILY_REQUEST",
    "HEADER_SIZE",
    "LINKS_REQUEST",
    "Message",
    "attribute",
    "attributes",
    "error_number",
    "explanation",
    "family_number",
    "family_payload",
    "link_name",
    "links_payload",
    "malformed",
    "message",
    "split",
]

NETLINK_ROUTE = 0
NETLINK_GENERIC = 16
SOL_NETLINK = 270  # linux/socket.h
NETLINK_CAP_ACK = 10  # errors echo the header of a request, not all of it
NETLINK_EXT_ACK = 11  # errors carry the kernel's own explanation

NLMSG_ERROR = 2
NLMSG_DONE = 3
NLMSG_OVERRUN = 4
NLMSG_MIN_TYPE = 16  # below it: netlink's own messages

NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_DUMP_INTR = 0x10
NLM_F_DUMP = 0x300  # NLM_F_ROOT | NLM_F_MATCH
NLM_F_CAPPED = 0x100  # in an error
NLM_F_ACK_TLVS = 0x200  # in an error

NLA_F_NESTED = 0x8000
NLA_TYPE_MASK = 0x3FFF
NLMSGERR_ATTR_MSG = 1

GENL_ID_CTRL = 16
CTRL_CMD_GETFAMILY = 3
CTRL_ATTR_FAMILY_ID = 1
CTRL_ATTR_FAMILY_NAME = 2

RTM_GETLINK = 18
IFLA_IFNAME = 3
IFLA_LINKINFO = 18
IFLA_INFO_KIND = 1

_MESSAGE = Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE = Struct("=HH")  # nlattr: length, type
_U16 = Struct("=H")
_S32 = Struct("=i")
_GENERIC = Struct("=BBH")  # genlmsghdr: command, version, reserved
_INTERFACE = bytes(16)  # ifinfomsg, nothing asked for in particular

HEADER_SIZE = _MESSAGE.size
GENERIC_SIZE = _GENERIC.size

FAMILY_REQUEST = (GENL_ID_CTRL, NLM_F_REQUEST | NLM_F_ACK)
LINKS_REQUEST = (RTM_GETLINK, NLM_F_REQUEST | NLM_F_ACK | NLM_F_DUMP)


def malformed() -> ProtocolError:
    return ProtocolError("Protocol error", errno=EPROTO)


def message(kind: int, flags: int, sequence: int, payload: bytes) -> bytes:
    return _MESSAGE.pack(HEADER_SIZE + len(payload), kind, flags, sequence, 0) + payload


def split(data: bytes) -> Iterator[Message]:
    """The messages in what one read gave.  Raises ProtocolError."""
    position, total = 0, len(data)
    while position < total:
        if total - position < HEADER_SIZE:
            raise malformed()
        length, kind, flags, sequence, port = _MESSAGE.unpack_from(data, position)
        end = position + length
        if length < HEADER_SIZE or end > total:
            raise malformed()
        yield kind, flags, sequence, port, position + HEADER_SIZE, end
        position += (length + 3) & ~3


def attribute(kind: int, payload: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def attributes(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Type (flags taken off), start and end of each payload.  Raises ProtocolError."""
    while start < end:
        if end - start < 4:
            raise malformed()
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        stop = start + length
        if length < 4 or stop > end:
            raise malformed()
        yield kind & NLA_TYPE_MASK, start + 4, stop
        start += (length + 3) & ~3


def error_number(data: bytes, start: int, end: int) -> int:
    """What NLMSG_ERROR or NLMSG_DONE says: 0, or an errno as a positive number."""
    if end - start < 4:
        raise malformed()
    return -int(_S32.unpack_from(data, start)[0])


def explanation(data: bytes, message: Message) -> str:
    """The kernel's own words about an error, if it sent any (NETLINK_EXT_ACK)."""
    kind, flags, _, _, start, end = message
    if not flags & NLM_F_ACK_TLVS:
        return ""
    start += 4
    if kind == NLMSG_ERROR:  # the request stands between, whole or its header
        if end - start < HEADER_SIZE:
            raise malformed()
        echoed = _MESSAGE.unpack_from(data, start)[0]
        start += HEADER_SIZE if flags & NLM_F_CAPPED else (echoed + 3) & ~3
    for number, begin, stop in attributes(data, start, end):
        if number == NLMSGERR_ATTR_MSG:
            return _text(data, begin, stop).decode("ascii", "replace")
    return ""


def generic(command: int, version: int, payload: bytes) -> bytes:
    """A generic netlink payload: its header and attributes."""
    return _GENERIC.pack(command, version, 0) + payload


def family_payload(name: bytes) -> bytes:
    """Asks the controller which message type belongs to a family."""
    return generic(CTRL_CMD_GETFAMILY, 1, attribute(CTRL_ATTR_FAMILY_NAME, name + b"\0"))


def family_number(data: bytes, start: int, end: int) -> int:
    """The controller's answer; 0 if it holds no number.  Raises ProtocolError."""
    for kind, begin, stop in attributes(data, start + GENERIC_SIZE, end):
        if kind == CTRL_ATTR_FAMILY_ID and stop - begin == 2:
            return int(_U16.unpack_from(data, begin)[0])
    return 0


def links_payload() -> bytes:
    """Asks for every network interface."""
    return _INTERFACE


def link_name(data: bytes, start: int, end: int, *, kind: bytes) -> bytes:
    """The interface's name if it is of that kind, else nothing.  Raises ProtocolError."""
    name, matches = b"", False
    for number, begin, stop in attributes(data, start + len(_INTERFACE), end):
        if number == IFLA_IFNAME:
            name = _text(data, begin, stop)
        elif number == IFLA_LINKINFO:
            matches = any(
                inner == IFLA_INFO_KIND and _text(data, first, last) == kind
                for inner, first, last in attributes(data, begin, stop)
            )
    return name if matches else b""


def _text(data: bytes, start: int, end: int) -> bytes:
    """A string attribute: up to its NUL."""
    return data[start:end].partition(b"\0")[0]
