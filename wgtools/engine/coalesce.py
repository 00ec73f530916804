# SPDX-License-Identifier: MIT
"""Joining consecutive segments of one flow into super-packets for the TUN.

The inverse of offload.py and what a network card's GRO does: the host's TCP then handles
one packet instead of forty.  Pure, and never wrong for being fast: what differs in
anything but sequence, length, identification, checksum and PSH is not joined, fragments
and options are left alone, and no checksum that does not hold is ever covered up by a new
one: each packet of a super-packet is verified by itself, and if one is wrong, all of them
leave apart and as they came.  (Verified together, errors of two packets could cancel.)
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from wgtools.engine.offload import (
    GSO_TCPV4,
    GSO_TCPV6,
    GSO_UDP_L4,
    NEEDS_CSUM,
    NET_HEADER,
    TCP,
    TCP_ACK,
    TCP_PSH,
    UDP,
    checksum_of,
)

if TYPE_CHECKING:
    from wgtools.engine.events import Buffer

__all__ = ["coalesce"]

PLAIN = bytes(10)  # a virtio_net_hdr that asks for nothing

_MOST_BYTES = 65535  # in one IPv4 packet; IPv6 could take 40 more
_MOST_SEGMENTS = 512  # two buffers short of a reason to look up IOV_MAX (1024)
_DONT_FRAGMENT = 0x40

_U16 = Struct(">H")
_TCP_VARIES = Struct(">I4xBB")  # at 4: sequence, (ack), data offset, flags


def _mask(header: int, *spans: tuple[int, int]) -> int:
    """All ones over `header` bytes, but zeros over `spans`."""
    mask = bytearray(b"\xff" * header)
    for start, stop in spans:
        mask[start:stop] = bytes(stop - start)
    return int.from_bytes(mask, "big")


def _masks() -> dict[tuple[int, int, int], int]:
    """What two packets of one flow must have in common, by (IP header, protocol, all headers)."""
    masks = {}
    for network, varies in ((20, ((2, 6), (10, 12))), (40, ((4, 6),))):
        masks[network, UDP, network + 8] = _mask(network + 8, *varies, (network + 4, network + 8))
        for size in range(20, 64, 4):
            headers = network + size
            masks[network, TCP, headers] = _mask(
                headers, *varies, (network + 4, network + 8), (network + 16, network + 18)
            ) & ~(TCP_PSH << (8 * (size - 14)))
    return masks


_MASKS = _masks()


class _Flow:
    """A super-packet being put together; `frame[0]` is kept free for its headers."""

    __slots__ = (
        "_same",
        "at",
        "count",
        "debts",
        "follows",
        "frame",
        "identification",
        "last_flags",
        "layout",
        "payload",
        "place",
        "size",
    )

    def __init__(
        self, payload: memoryview, place: int, layout: tuple[int, int, int], same: int
    ) -> None:
        self._same = same  # the headers under their mask
        self.frame: list[Buffer] = [PLAIN, payload]
        self.place = place  # of `frame` among the frames
        self.at: list[int] = []  # of each packet
        self.debts: list[int] = []  # of each packet: with the payload's sum 0 (mod 65535)
        self.layout = layout  # (bytes of IP header, protocol, bytes of all headers)
        self.count = 0
        self.size = self.payload = len(payload)  # of each packet but the last; of all
        self.follows = 0  # the sequence number to come
        self.identification = -1  # the one to come; -1 if it does not matter
        self.last_flags = 0

    def fits(self, same: int, size: int, sequence: int, identification: int) -> bool:
        """Whether a sound packet of this flow is the next of this super-packet."""
        return (
            self._same == same
            and size <= self.size
            and (sequence == self.follows or self.layout[1] == UDP)
            and self.layout[2] + self.payload + size <= _MOST_BYTES
            and self.identification in (-1, identification)
        )

    def is_sound(self) -> bool:
        """Whether every packet's checksum holds: headers, pseudo-header and payload add up
        to 0."""
        payloads = iter(self.frame)
        next(payloads)
        for debt, payload in zip(self.debts, payloads, strict=True):
            if (debt + checksum_of(payload)) % 65535:
                return False
        return True


def coalesce(
    view: memoryview, spans: list[tuple[int, int]], frames: list[list[Buffer]], *, udp: bool
) -> None:
    """Append the packets at `spans`, each (offset, length) in `view`, to `frames`.

    A frame is a list of buffers for one writev.  Joined or not, packets of one flow keep
    their order.  Whole IP packets only, their lengths already checked.
    """
    joiner = _Joiner(view, frames)
    for at, length in spans:
        if view[at] == 0x45:  # IPv4 without options
            network, protocol, addresses = 20, view[at + 9], at + 12
            if view[at + 6] & ~_DONT_FRAGMENT or view[at + 7]:
                protocol = -1  # a fragment
        else:
            network, protocol, addresses = 40, view[at + 6], at + 8
            if view[at] >> 4 != 6:
                protocol = -1
        if protocol == TCP and length >= network + 20:
            headers = network + (view[at + network + 12] >> 4) * 4
        elif protocol == UDP and udp and length > network + 8:
            headers = network + 8
        else:
            frames.append([PLAIN, view[at : at + length]])
            continue
        # Addresses and ports lie together: they name the flow.
        name = bytes(view[addresses : at + network + 4])
        joiner.take(at, length, name, (network, protocol, headers))
    joiner.finish()


class _Joiner:
    """The flows of one batch."""

    __slots__ = ("_apart", "_flows", "_frames", "_view")

    def __init__(self, view: memoryview, frames: list[list[Buffer]]) -> None:
        self._view = view
        self._frames = frames
        self._flows: dict[bytes, _Flow] = {}
        self._apart: dict[int, list[list[Buffer]]] = {}  # by place: what stands there instead

    def take(self, at: int, length: int, name: bytes, layout: tuple[int, int, int]) -> None:
        """Add a packet to its flow, or begin a new one with it, or pass it by."""
        view = self._view
        network, protocol, headers = layout
        size = length - headers
        flags = sequence = same = 0
        sound = size > 0 and layout in _MASKS
        if sound and protocol == TCP:
            sequence, offset, flags = _TCP_VARIES.unpack_from(view, at + network + 4)
            sound = flags & ~TCP_PSH == TCP_ACK and not offset & 15
        if sound:
            same = int.from_bytes(view[at : at + headers], "big")
            # A UDP checksum of zero is none, and stays none: nothing to verify or renew.
            sound = protocol == TCP or same & 0xFFFF != 0
        flow = self._flows.get(name)
        if not sound:
            # What comes later in this flow must not overtake this packet.
            if flow is not None:
                self._close(name)
            self._frames.append([PLAIN, view[at : at + length]])
            return
        debt = same + _pseudo_sum(view, at, length, layout)
        same &= _MASKS[layout]
        payload = view[at + headers : at + length]
        identification = view[at + 4] << 8 | view[at + 5]
        if flow is not None and flow.fits(same, size, sequence, identification):
            flow.frame.append(payload)
            flow.payload += size
        else:
            if flow is not None:
                self._close(name)
            flow = self._flows[name] = _Flow(payload, len(self._frames), layout, same)
            self._frames.append(flow.frame)
            if network == 20 and not view[at + 6]:  # without DF the identification counts
                flow.identification = identification
        flow.count += 1
        flow.at.append(at)
        flow.debts.append(debt)
        flow.last_flags = flags
        flow.follows = sequence + size & 0xFFFFFFFF
        if flow.identification >= 0:
            flow.identification = flow.identification + 1 & 0xFFFF
        if size < flow.size or flags & TCP_PSH or flow.count == _MOST_SEGMENTS:
            self._close(name)

    def finish(self) -> None:
        for name in list(self._flows):
            self._close(name)
        if self._apart:
            self._spread()

    def _spread(self) -> None:
        """Put the packets of all that was taken apart where it stood: once, for a frame in
        the middle of a list costs all that follow it."""
        frames = self._frames
        first = min(self._apart)
        spread: list[list[Buffer]] = []
        for place in range(first, len(frames)):
            spread += self._apart.get(place) or [frames[place]]
        frames[first:] = spread

    def _close(self, name: bytes) -> None:
        """Give a super-packet its headers, or take it apart if its checksums do not hold."""
        flow = self._flows.pop(name)
        if flow.count == 1:
            at = flow.at[0]
            flow.frame[1] = self._view[at : at + flow.layout[2] + flow.payload]
            return
        if flow.is_sound():
            flow.frame[0] = _headers(self._view, flow)
            return
        self._apart[flow.place] = [
            [PLAIN, self._view[at : at + flow.layout[2] + len(payload)]]
            for at, payload in zip(flow.at, flow.frame[1:], strict=True)
        ]


def _pseudo_sum(view: memoryview, at: int, length: int, layout: tuple[int, int, int]) -> int:
    """What is missing from the sum of a packet's own bytes.

    An IPv4 header adds up to 0 and so leaves the addresses to be added; an IPv6 header has
    them, but its first eight bytes are no part of the pseudo-header.
    """
    network, protocol, _ = layout
    rest = protocol + length - network
    if network == 20:
        return rest + int.from_bytes(view[at + 12 : at + 20], "big")
    return rest - int.from_bytes(view[at : at + 8], "big")


def _headers(view: memoryview, flow: _Flow) -> bytearray:
    """The virtio_net_hdr and the headers of a super-packet."""
    at = flow.at[0]
    network, protocol, headers = flow.layout
    head = bytearray(10 + headers)
    head[10:] = view[at : at + headers]
    length = headers + flow.payload
    if network == 20:
        kind = GSO_TCPV4
        _U16.pack_into(head, 12, length)
        head[20:22] = bytes(2)
        _U16.pack_into(head, 20, -int.from_bytes(head[10:30], "big") % 65535)
        addresses = int.from_bytes(head[22:30], "big")
    else:
        kind = GSO_TCPV6
        _U16.pack_into(head, 14, length - 40)
        addresses = int.from_bytes(head[18:50], "big")
    if protocol == TCP:
        place = 16
        head[10 + network + 13] |= flow.last_flags & TCP_PSH
    else:
        kind, place = GSO_UDP_L4, 6
        _U16.pack_into(head, 10 + network + 4, length - network)
    # NEEDS_CSUM: the field holds the pseudo-header's sum, the kernel adds the rest.
    pseudo = (addresses + protocol + length - network) % 65535
    _U16.pack_into(head, 10 + network + place, pseudo)
    NET_HEADER.pack_into(head, 0, NEEDS_CSUM, kind, headers, flow.size, network, place)
    return head
