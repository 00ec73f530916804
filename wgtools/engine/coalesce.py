# SPDX-License-Identifier: MIT
"""Joining consecutive segments of one flow into super-packets for the TUN.

The inverse of offload.py and what a network card's GRO does: the host's TCP then handles
one packet instead of forty.  Pure, and never wrong for being fast: what differs in
anything but sequence, length, identification, checksum and PSH is not joined, fragments
and options are left alone, and no checksum that has not been verified is ever covered up
by a new one.
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
        "follows",
        "frame",
        "identification",
        "last_flags",
        "layout",
        "payload",
        "size",
    )

    def __init__(
        self, payload: memoryview, at: int, layout: tuple[int, int, int], same: int
    ) -> None:
        self._same = same  # the headers under their mask
        self.frame: list[Buffer] = [PLAIN, payload]
        self.at = at  # of the first packet
        self.layout = layout  # (bytes of IP header, protocol, bytes of all headers)
        self.count = 1
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

    __slots__ = ("_flows", "_frames", "_view")

    def __init__(self, view: memoryview, frames: list[list[Buffer]]) -> None:
        self._view = view
        self._frames = frames
        self._flows: dict[bytes, _Flow] = {}

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
            sound = _checksums_hold(view, at, length, layout, same)
        flow = self._flows.get(name)
        if not sound:
            # What comes later in this flow must not overtake this packet.
            if flow is not None:
                _finish(view, self._flows.pop(name))
            self._frames.append([PLAIN, view[at : at + length]])
            return
        same &= _MASKS[layout]
        payload = view[at + headers : at + length]
        identification = view[at + 4] << 8 | view[at + 5]
        if flow is not None and flow.fits(same, size, sequence, identification):
            flow.frame.append(payload)
            flow.count += 1
            flow.payload += size
        else:
            if flow is not None:
                _finish(view, flow)
            flow = self._flows[name] = _Flow(payload, at, layout, same)
            self._frames.append(flow.frame)
            if network == 20 and not view[at + 6]:  # without DF the identification counts
                flow.identification = identification
        flow.last_flags = flags
        flow.follows = sequence + size & 0xFFFFFFFF
        if flow.identification >= 0:
            flow.identification = flow.identification + 1 & 0xFFFF
        if size < flow.size or flags & TCP_PSH or flow.count == _MOST_SEGMENTS:
            _finish(view, self._flows.pop(name))

    def finish(self) -> None:
        for flow in self._flows.values():
            _finish(self._view, flow)


def _checksums_hold(
    view: memoryview, at: int, length: int, layout: tuple[int, int, int], whole: int
) -> bool:
    """Whether the packet may get new checksums; `whole` is all its headers as a number."""
    network, protocol, headers = layout
    if network == 20 and (whole >> 8 * (headers - 20)) % 65535:
        return False
    # A UDP checksum of zero is none, and stays none: nothing to verify, nothing to renew.
    if protocol == UDP and not whole & 0xFFFF:
        return False
    # The addresses lie just before the transport header, so one number sums up both.
    total = checksum_of(view[at + (12 if network == 20 else 8) : at + length])
    return (total + protocol + length - network) % 65535 == 0


def _finish(view: memoryview, flow: _Flow) -> None:
    """Close a super-packet: write its headers."""
    at = flow.at
    network, protocol, headers = flow.layout
    if flow.count == 1:
        flow.frame[1] = view[at : at + headers + flow.payload]
        return
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
    flow.frame[0] = head
