# SPDX-License-Identifier: MIT
"""What a read of a route(4) socket says: which messages, and whether they concern us.

Pure.  Only the four bytes that all messages of all these systems begin with are read:
what has changed is then asked of quick/systems/facts.py, as ifconfig(8) and route(8) see it.
"""

from __future__ import annotations

import struct

from wgtools.quick.value import Value

__all__ = ["Message", "concern", "messages"]

# net/route.h of FreeBSD 14, OpenBSD 7.5, xnu: rtm_msglen u16, rtm_version u8, rtm_type u8.
_HEADER = struct.Struct("=HBB")
_VERSION = 5  # RTM_VERSION of all three
# RTM_ADD, DELETE, CHANGE, REDIRECT, NEWADDR, DELADDR, IFINFO: the same numbers everywhere.
_EVERYWHERE = frozenset({0x1, 0x2, 0x3, 0x6, 0xC, 0xD, 0xE})
_MORE = {
    "FreeBSD": frozenset({0x11}),  # RTM_IFANNOUNCE
    "OpenBSD": frozenset({0xF, 0x10, 0x14}),  # RTM_IFANNOUNCE, DESYNC, CHGADDRATTR
    "macOS": frozenset({0x12}),  # RTM_IFINFO2
}


class Message(Value):
    """One message's head."""

    kind: int
    version: int
    length: int


def messages(data: bytes) -> list[Message]:
    """The messages in one read; what is cut short or makes no sense ends the list."""
    found = []
    while len(data) >= _HEADER.size:
        length, version, kind = _HEADER.unpack_from(data)
        if not _HEADER.size <= length <= len(data):
            break
        found.append(Message(kind, version, length))
        data = data[length:]
    return found


def concern(found: list[Message], system: str) -> bool:
    """Whether routes, addresses or interfaces may be other than before.

    A read without one whole message, or a foreign version, is taken for yes: looking
    once too often costs little.
    """
    kinds = _EVERYWHERE | _MORE.get(system, frozenset())
    return not found or any(m.version != _VERSION or m.kind in kinds for m in found)
