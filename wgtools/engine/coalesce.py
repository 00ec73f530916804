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
from typing import TYPE_CHECKING, TypeAlias

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
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from wgtools.engine.events import Buffer
    from wgtools.engine.offload import Sums

    # (bytes of the IP header, protocol, bytes of all headers)
    _Layout: TypeAlias = tuple[int, int, int]

    # A packet that others may continue: (which of the frames it is, offset, length, layout)
    _First: TypeAlias = tuple[int, int, int, _Layout]

__all__ = ["Joiner"]

PLAIN = bytes(10)  # a virtio_net_hdr that asks for nothing

_MOST_BYTES = 65535  # in one IPv4 packet; IPv6 could take 40 more
_MOST_SEGMENTS = 512  # two buffers short of a reason to look up IOV_MAX (1024)
_DONT_FRAGMENT = 0x40

_U16 = Struct(">H")

# What may differ from packet to packet of a flow, by (IP header, protocol): length,
# identification, header checksum; then sequence and flags, or UDP length and UDP checksum.
# In IPv6 the second and the third are something else.
_VARIES = {
    (20, TCP): Struct(">2xHH4xH12xI5xB"),
    (40, TCP): Struct(">4xHH2xH32xI5xB"),
    (20, UDP): Struct(">2xHH4xH12xHH"),
    (40, UDP): Struct(">4xHH2xH32xHH"),
}


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
    """A super-packet being put together; until it is complete, `frame` is its first packet."""

    __slots__ = (
        "at",
        "follows",
        "frame",
        "header_sum",
        "identification",
        "is_tcp",
        "last_flags",
        "last_length",
        "layout",
        "length",
        "mask",
        "name",
        "payload",
        "place",
        "same",
        "size",
        "uncounted",
        "varies",
    )

    def __init__(self, name: bytes, view: memoryview, first: _First, frame: list[Buffer]) -> None:
        self.name = name
        self.frame = frame
        self.place, at, length, layout = first
        network, protocol, headers = self.layout = layout
        self.is_tcp = protocol == TCP
        self.uncounted = 0 if network == 20 else 40  # of a packet, by its length field
        self.mask = _MASKS[layout]
        # The headers, where they must not differ.
        self.same = int.from_bytes(view[at : at + headers], "big") & self.mask
        self.varies: Callable[[Buffer, int], tuple[int, ...]]
        self.varies = _VARIES[network, protocol].unpack_from
        counted, identification, header_sum, sequence, self.last_flags = self.varies(view, at)
        # What these of an IPv4 header add up to in every packet (mod 65535).
        self.header_sum = counted + identification + header_sum
        self.at = [at]  # where each packet is
        self.length = self.last_length = length  # of each packet but the last; of that one
        self.size = self.payload = length - headers  # of each payload but the last; of all
        self.follows = sequence + self.size & 0xFFFFFFFF  # the sequence number to come
        # The one to come; -1 if it does not matter (RFC 6864: with "don't fragment").
        counts = network == 20 and not view[at + 6]
        self.identification = identification + 1 & 0xFFFF if counts else -1


class Joiner:
    """The flows of one batch.  Joined or not, packets of one flow keep their order.

    `frames` gets what is ready to be written to the TUN, each as a list of buffers for one
    writev; super-packets are complete only after `finish`.
    """

    __slots__ = ("_apart", "_firsts", "_flows", "_frames", "_last", "_sums", "_udp", "_view")

    def __init__(
        self, view: memoryview, frames: list[list[Buffer]], *, udp: bool, sums: Sums
    ) -> None:
        self._view = view
        self._frames = frames
        self._udp = udp
        self._sums = sums
        self._firsts: dict[bytes, _First] = {}  # by name: no flow yet, while there is only one
        self._flows: dict[bytes, _Flow] = {}
        self._last: _Flow | None = None
        self._apart: dict[int, list[list[Buffer]]] = {}  # by place: what stands there instead

    def forget_last(self) -> None:
        """What comes now is another peer's: nothing is known of it."""
        self._last = None

    def extend(self, at: int, end: int) -> bool:
        """Whether view[at:end] opens with the next packet of the flow that was last; if so,
        it is taken.

        So all that was found out about that flow is known of this packet as well: that it is
        a packet, of that length, and who sent it.
        """
        flow = self._last
        if flow is None:
            return False
        view = self._view
        headers = flow.layout[2]
        if int.from_bytes(view[at : at + headers], "big") & flow.mask != flow.same:
            return False
        if flow.is_tcp:
            length, identification, header_sum, sequence, flags = flow.varies(view, at)
            length += flow.uncounted
            if sequence != flow.follows:
                return False
        else:
            length, identification, header_sum, inner, checksum = flow.varies(view, at)
            length += flow.uncounted
            sequence = flags = 0
            if not checksum or inner != length - flow.layout[0]:
                return False
        size = length - headers
        payload = flow.payload + size
        if (
            length > end - at
            or not 0 < size <= flow.size
            or payload + headers > _MOST_BYTES
            or (identification != flow.identification and flow.identification >= 0)
            or (
                not flow.uncounted
                and (length + identification + header_sum - flow.header_sum) % 65535
            )
        ):
            return False
        flow.at.append(at)
        flow.payload = payload
        flow.last_length = length
        flow.follows = sequence + size & 0xFFFFFFFF
        if flow.identification >= 0:
            flow.identification = identification + 1 & 0xFFFF
        if size < flow.size or flags & TCP_PSH or len(flow.at) == _MOST_SEGMENTS:
            flow.last_flags = flags
            self._close(flow)
        return True

    def add(self, at: int, length: int) -> None:
        """Take the IP packet view[at:][:length], whose length has been checked."""
        view = self._view
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
        elif protocol == UDP and self._udp and length >= network + 8:  # an empty one keeps its turn
            headers = network + 8
        else:
            self._frames.append([PLAIN, view[at : at + length]])
            return
        # Addresses and ports lie together: they name the flow.
        name = bytes(view[addresses : at + network + 4])
        first = self._firsts.pop(name, None)
        flow = self._flows.get(name)
        if first is not None:
            flow = self._flows[name] = _Flow(name, view, first, self._frames[first[0]])
        if flow is not None:
            self._last = flow
            if self.extend(at, at + length):
                return
            # What comes later in this flow must not overtake this packet.
            self._close(flow)
        layout = network, protocol, headers
        if self._begins(at, length, layout):
            self._firsts[name] = len(self._frames), at, length, layout
        self._frames.append([PLAIN, view[at : at + length]])

    def _begins(self, at: int, length: int, layout: _Layout) -> bool:
        """Whether another packet may continue this one."""
        view = self._view
        network, protocol, headers = layout
        if length <= headers or layout not in _MASKS:
            return False
        if protocol == TCP:
            at += network
            return bool(view[at + 13] == TCP_ACK and not view[at + 12] & 15)
        # A UDP checksum of zero is none: nothing to verify or renew.
        _, _, _, inner, checksum = _VARIES[network, UDP].unpack_from(view, at)
        return bool(checksum and inner == length - network)

    def finish(self) -> None:
        """Complete what was begun."""
        for flow in list(self._flows.values()):
            self._close(flow)
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

    def _close(self, flow: _Flow) -> None:
        """Give a super-packet its headers, or take it apart if its checksums do not hold."""
        self._last = None
        del self._flows[flow.name]
        view, at, length = self._view, flow.at, flow.length
        last = at[-1]
        if len(at) == 1:
            return
        if self._is_sound(flow):
            headers = flow.layout[2]
            payloads: list[Buffer] = [view[one + headers : one + length] for one in at[:-1]]
            payloads.append(view[last + headers : last + flow.last_length])
            flow.frame[:] = [_headers(view, flow), *payloads]
        else:
            apart: list[list[Buffer]] = [[PLAIN, view[one : one + length]] for one in at[:-1]]
            apart.append([PLAIN, view[last : last + flow.last_length]])
            self._apart[flow.place] = apart

    def _is_sound(self, flow: _Flow) -> bool:
        """Whether every packet's checksum holds: with its pseudo-header it adds up to 0."""
        at, length, layout = flow.at, flow.length, flow.layout
        if not flow.uncounted and int.from_bytes(self._view[at[0] : at[0] + 20], "big") % 65535:
            return False
        if flow.last_length != length:
            last, at = at[-1], at[:-1]
            (total,) = self._sums(self._view, [last], flow.last_length)
            if (total + _pseudo_sum(self._view, last, flow.last_length, layout)) % 65535:
                return False
        totals = self._sums(self._view, at, length)
        right = -_pseudo_sum(self._view, at[0], length, layout) % 65535
        return totals.count(right) == len(totals)


def _pseudo_sum(view: memoryview, at: int, length: int, layout: _Layout) -> int:
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
