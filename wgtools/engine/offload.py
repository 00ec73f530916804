# SPDX-License-Identifier: MIT
"""Cutting up what the TUN gives: checksums to complete, super-packets to split.

The other direction, joining segments into super-packets, is coalesce.py.  Pure, in place,
and wary: a frame that makes no sense yields nothing.  The layouts are those of
virtio_net_hdr (virtio 1.2 section 5.1.6), RFC 791, 8200, 9293 and 768.

All sums here are plain integers modulo 65535.  That is the Internet checksum (RFC 1071):
2^16 = 1 (mod 65535), so a big-endian number is congruent to the sum of its 16-bit words.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    Buffer = bytes | bytearray | memoryview

__all__ = ["NET_HEADER", "NET_HEADER_SIZE", "checksum_of", "complete_checksum", "segments"]

NET_HEADER = Struct("=BBHHHH")  # flags, gso_type, hdr_len, gso_size, csum_start, csum_offset
NET_HEADER_SIZE = 10

NEEDS_CSUM = 1  # VIRTIO_NET_HDR_F_NEEDS_CSUM
GSO_NONE = 0  # VIRTIO_NET_HDR_GSO_*
GSO_TCPV4 = 1
GSO_TCPV6 = 4
GSO_UDP_L4 = 5
GSO_ECN = 0x80

TCP = 6
UDP = 17
TCP_FIN = 0x01
TCP_PSH = 0x08
TCP_ACK = 0x10
TCP_CWR = 0x80

_IPV4_VARIES = Struct(">HH4sH")  # at 2: total length, identification, (kept), checksum
_TCP_VARIES = Struct(">I4sBBHH")  # at 4: sequence, (kept), (kept), flags, (kept), checksum
_U16 = Struct(">H")
_UDP_VARIES = Struct(">HH")  # at 4: length, checksum
_UDP_CHECKSUM_OFFSET = 6


# A number is congruent to the sum of its parts if it is cut at a multiple of 16 bits.  Of
# 240, that is: CPython keeps 30 bits to a digit, and a cut between digits costs no shifting.
_LONG_CUTS = tuple((240 << power, (1 << (240 << power)) - 1) for power in range(11, 5, -1))
_CUT_3840 = (1 << 3840) - 1
_CUT_1920 = (1 << 1920) - 1
_CUT_960 = (1 << 960) - 1
_CUT_480 = (1 << 480) - 1
_SHORT = 120  # bytes; below this folding saves nothing


def checksum_of(data: Buffer) -> int:
    """The sum of the 16-bit words of `data` modulo 65535; an odd byte counts as a high one.

    Folding first is worth it: one division of 1,400 bytes takes twice as long as all this
    (docs/decisions/0012).  Read from the other end the words' bytes are swapped, and so are
    the sum's; then an odd byte needs no care.
    """
    total = int.from_bytes(data, "little")
    if len(data) > _SHORT:
        if len(data) > 2000:
            for bits, mask in _LONG_CUTS:
                total = (total >> bits) + (total & mask)
        total = (total >> 7680) + (total >> 3840 & _CUT_3840) + (total & _CUT_3840)
        total = (total >> 1920) + (total & _CUT_1920)
        total = (total >> 960) + (total & _CUT_960)
        total = (total >> 480) + (total & _CUT_480)
    return (total << 8) % 65535


def complete_checksum(frame: memoryview, end: int, start: int, offset: int) -> bool:
    """Fill in the checksum at `start + offset` over frame[start:end].

    The field holds the sum of the pseudo-header, as NEEDS_CSUM promises.  False if the
    numbers do not fit the frame.
    """
    place = start + offset
    if not start >= NET_HEADER_SIZE or place + 2 > end:
        return False
    checksum = -checksum_of(frame[start:end]) % 65535
    if not checksum and offset == _UDP_CHECKSUM_OFFSET:
        checksum = 0xFFFF  # RFC 768: zero would mean "no checksum"
    _U16.pack_into(frame, place, checksum)
    return True


def segments(frame: memoryview, end: int, gso_type: int, size: int) -> Iterator[tuple[int, int]]:
    """The packets of the super-packet frame[10:end], each as (start, stop), ready to send.

    Each packet's headers are written just before its payload, over the end of the packet
    before: use one completely before asking for the next.
    """
    kind = gso_type & ~GSO_ECN
    packet = NET_HEADER_SIZE
    if end - packet < 28 or not size:  # the shortest headers are IPv4 and UDP
        return iter(())
    version = frame[packet] >> 4
    if version == 4:
        transport = packet + (frame[packet] & 15) * 4
        protocol = frame[packet + 9]
    else:
        transport = packet + 40  # extension headers are never offloaded
        protocol = frame[packet + 6]
    if kind == (GSO_TCPV4 if version == 4 else GSO_TCPV6) and protocol == TCP:
        return _tcp_segments(frame, end, transport, size)
    if kind == GSO_UDP_L4 and protocol == UDP:
        return _udp_segments(frame, end, transport, size)
    return iter(())


def _addresses_sum(frame: memoryview, packet: int) -> int:
    """The part of the pseudo-header that does not change from packet to packet."""
    if frame[packet] >> 4 == 4:
        return int.from_bytes(frame[packet + 12 : packet + 20], "big") + frame[packet + 9]
    return int.from_bytes(frame[packet + 8 : packet + 40], "big") + frame[packet + 6]


class _Network:
    """Rewrites the IP header of each packet of a super-packet."""

    __slots__ = ("_constant", "_four", "_frame", "_identification", "_kept", "_size")

    def __init__(self, frame: memoryview, packet: int, transport: int) -> None:
        self._frame = frame
        self._four = frame[packet] >> 4 == 4
        self._size = transport - packet
        if self._four:
            header = bytes(frame[packet:transport])
            self._identification = int.from_bytes(header[4:6], "big")
            self._kept = header[6:10]
            # The header's sum without total length, identification and checksum.
            still = header[:2] + bytes(4) + header[6:10] + bytes(2) + header[12:]
            self._constant = int.from_bytes(still, "big") % 65535

    def write(self, start: int, length: int, index: int) -> None:
        """The header at `start` of the packet number `index` that is `length` bytes long."""
        if not self._four:
            _U16.pack_into(self._frame, start + 4, length - 40)
            return
        identification = self._identification + index & 0xFFFF
        checksum = -(self._constant + length + identification) % 65535
        _IPV4_VARIES.pack_into(self._frame, start + 2, length, identification, self._kept, checksum)


def _tcp_segments(
    frame: memoryview, end: int, transport: int, size: int
) -> Iterator[tuple[int, int]]:
    packet = NET_HEADER_SIZE
    if transport < packet + 20 or transport + 20 > end:
        return
    payload = transport + (frame[transport + 12] >> 4) * 4
    if payload < transport + 20 or payload >= end:
        return
    headers = bytes(frame[packet:payload])
    to_tcp = transport - packet
    network = _Network(frame, packet, transport)
    sequence, ack, offset, flags, window, _ = _TCP_VARIES.unpack_from(headers, to_tcp + 4)
    # What every segment's checksum has in common: all but sequence, flags, length, payload.
    still = bytearray(headers[to_tcp:])
    still[4:8] = bytes(4)
    still[13] = 0
    still[16:18] = bytes(2)
    constant = (int.from_bytes(still, "big") + _addresses_sum(frame, packet)) % 65535
    before = payload - packet  # bytes of all headers
    tcp_size = payload - transport
    first_flags = flags & ~(TCP_FIN | TCP_PSH)
    for index, begin in enumerate(range(payload, end, size)):
        stop = begin + size
        if stop >= end:
            stop = end
            first_flags |= flags & (TCP_FIN | TCP_PSH)
        start = begin - before
        if index:
            frame[start:begin] = headers
        network.write(start, stop - start, index)
        total = checksum_of(frame[begin:stop])
        checksum = -(constant + sequence + first_flags + tcp_size + stop - begin + total) % 65535
        _TCP_VARIES.pack_into(
            frame, start + to_tcp + 4, sequence, ack, offset, first_flags, window, checksum
        )
        yield start, stop
        sequence = sequence + size & 0xFFFFFFFF
        first_flags &= ~TCP_CWR  # RFC 3168 6.1.2: said once


def _udp_segments(
    frame: memoryview, end: int, transport: int, size: int
) -> Iterator[tuple[int, int]]:
    packet = NET_HEADER_SIZE
    payload = transport + 8
    if transport < packet + 20 or payload >= end:
        return
    headers = bytes(frame[packet:payload])
    to_udp = transport - packet
    network = _Network(frame, packet, transport)
    ports = int.from_bytes(frame[transport : transport + 4], "big")
    constant = (ports + _addresses_sum(frame, packet)) % 65535
    before = payload - packet
    for index, begin in enumerate(range(payload, end, size)):
        stop = min(begin + size, end)
        start = begin - before
        if index:
            frame[start:begin] = headers
        network.write(start, stop - start, index)
        length = stop - begin + 8
        total = checksum_of(frame[begin:stop])
        # The length counts twice: in the pseudo-header and in the header itself.
        checksum = -(constant + 2 * length + total) % 65535 or 0xFFFF
        _UDP_VARIES.pack_into(frame, start + to_udp + 4, length, checksum)
        yield start, stop
