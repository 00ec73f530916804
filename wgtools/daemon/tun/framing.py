# SPDX-License-Identifier: MIT
"""The frames of the engine, and the packets of tun(4) and utun, which name their family.

Those devices put the address family in front of each packet, as four bytes big-endian,
and take no super-packets; the engine has a virtio_net_hdr there, and makes some.  Pure:
no device here.  The rule: what is no IP packet never reaches the device.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from wgtools.engine.offload import (
    GSO_NONE,
    NEEDS_CSUM,
    NET_HEADER,
    NET_HEADER_SIZE,
    complete_checksum,
    segments,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wgtools.engine.events import Buffer

__all__ = ["FAMILY_SIZE", "Framing"]

FAMILY_SIZE = 4

_FAMILY = Struct(">I")
_AF_INET = 2  # everywhere


class Framing:
    """One system's framing; its systems differ in the number of AF_INET6 alone."""

    __slots__ = ("_families",)

    def __init__(self, af_inet6: int) -> None:
        self._families = {4: _FAMILY.pack(_AF_INET), 6: _FAMILY.pack(af_inet6)}

    def packets(self, frame: Sequence[Buffer]) -> Iterator[list[Buffer]]:
        """What to write for `frame`, each list of buffers in one go; nothing if it is no packet.

        Use one completely before asking for the next.
        """
        if len(frame) > 1 and len(frame[0]) == NET_HEADER_SIZE and not frame[0][0] | frame[0][1]:
            family = self._family(frame[1])
            if family is not None:
                yield [family, *frame[1:]]
            return
        whole = memoryview(bytearray().join(frame))
        for start, stop in _plain_packets(whole):
            packet = whole[start:stop]
            family = self._family(packet)
            if family is not None:
                yield [family, packet]

    def _family(self, packet: Buffer) -> Buffer | None:
        return self._families.get(packet[0] >> 4) if packet else None


def _plain_packets(whole: memoryview) -> Iterator[tuple[int, int]]:
    """Where in `whole`, a frame, its packets are, cut up and with their checksums complete."""
    end = len(whole)
    if end < NET_HEADER_SIZE:
        return
    flags, gso_type, _, size, start, offset = NET_HEADER.unpack_from(whole)
    if gso_type != GSO_NONE:
        yield from segments(whole, end, gso_type, size)
    elif not flags & NEEDS_CSUM or complete_checksum(whole, end, NET_HEADER_SIZE + start, offset):
        yield NET_HEADER_SIZE, end
