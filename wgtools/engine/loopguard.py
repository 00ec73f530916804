# SPDX-License-Identifier: MIT
"""Packets that we made ourselves and that come back to us as something to send.

When the route to a peer's endpoint leads into the tunnel, what is sent to the peer comes
out of the TUN, is encrypted again, for it or for another peer, and so on for ever.  Not
here: who the peers are.

The rule: only what is certainly ours is recognised.  WireGuard of another interface, or of
another host behind us, may go through this tunnel, even to this very endpoint.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from wgtools.engine.messages import TYPE_INITIATION, TYPE_RESPONSE, TYPE_TRANSPORT
from wgtools.engine.offload import NET_HEADER_SIZE, UDP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["destination_port", "is_our_own"]

_FRAGMENT = 44  # RFC 8200 4.5
_HEAD = Struct("<II")  # type and reserved bytes; the first index of every message


def _udp_payload(frame: memoryview, end: int) -> int:
    """Where the payload of a UDP datagram's beginning lies in a frame; 0 if it is no such."""
    packet = NET_HEADER_SIZE
    if frame[packet] >> 4 == 4:
        # Our datagram may have been cut to the TUN's MTU: its first fragment will do.
        if frame[packet + 9] != UDP or (frame[packet + 6] & 0x1F or frame[packet + 7]):
            return 0
        at = packet + (frame[packet] & 15) * 4
    else:
        at = packet + 40
        protocol = frame[packet + 6]
        if protocol == _FRAGMENT and at + 8 <= end:
            protocol = frame[at]
            if frame[at + 2] or frame[at + 3] & 0xF8:
                return 0
            at += 8
        if protocol != UDP:
            return 0
    return at + 8 if at + 8 + _HEAD.size <= end else 0


def destination_port(frame: memoryview, end: int) -> int:
    """The port that frame[:end] goes to, if it may carry a message of ours; else 0."""
    at = _udp_payload(frame, end)
    return frame[at - 6] << 8 | frame[at - 5] if at else 0


def is_our_own(
    frame: memoryview,
    end: int,
    *,
    theirs: Sequence[int],
    ours: Sequence[Mapping[int, object]],
) -> bool:
    """Whether frame[:end] carries a message of ours.

    Transport data is told by the peer's indices, `theirs`; a handshake message by one of
    `ours`, which it opens with.  Both are random: somebody else's is taken for one of them
    once in 2^32 packets.
    """
    at = _udp_payload(frame, end)
    if not at:
        return False
    kind, index = _HEAD.unpack_from(frame, at)
    if kind == TYPE_TRANSPORT:
        return index in theirs
    if kind in (TYPE_INITIATION, TYPE_RESPONSE):
        return any(index in known for known in ours)
    return False
