# SPDX-License-Identifier: MIT
"""What a route(4) socket says, as far as an engine cares: that addresses or routes changed.

Pure.  Every BSD's message begins with its length, a version and a type; what follows
differs from system to system and is not looked at: the system is asked instead.
"""

from __future__ import annotations

from struct import Struct

__all__ = ["tells_of_routes"]

_HEAD = Struct("=HBB")  # net/route.h: rtm_msglen, rtm_version, rtm_type

# net/route.h of FreeBSD, OpenBSD and macOS, which agree on these.
_RTM_ADD, _RTM_DELETE, _RTM_CHANGE = 1, 2, 3
_RTM_NEWADDR, _RTM_DELADDR = 12, 13
_RTM_DESYNC = 16  # OpenBSD: messages were lost; elsewhere 16 is about an interface
_ROUTES = (_RTM_ADD, _RTM_DELETE, _RTM_CHANGE, _RTM_NEWADDR, _RTM_DELADDR, _RTM_DESYNC)


def tells_of_routes(data: bytes) -> bool:
    """Whether one of the messages in `data` is about an address or a route, or says that some
    were lost."""
    offset = 0
    while offset + _HEAD.size <= len(data):
        length, _version, kind = _HEAD.unpack_from(data, offset)
        if kind in _ROUTES:
            return True
        if length < _HEAD.size:
            return False
        offset += length
    return False
