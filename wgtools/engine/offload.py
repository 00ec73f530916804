# SPDX-License-Identifier: MIT
"""Cutting up what the TUN gives: checksums to complete, super-packets to split.

The other direction, joining segments into super-packets, is coalesce.py.  Pure, in place,
and wary: a frame that makes no sense yields nothing.  The layouts are those of
virtio_net_hdr (virtio 1.2 section 5.1.6), RFC 791, 8200, 9293 and 768.

All sums here are plain integers modulo 65535.  That is the Internet checksum (RFC 1071):
2^16 = 1 (mod 65535), so a big-endian number is congruent to the sum of its 16-bit words.
"""

from __future__ import annotations

from functools import cache
from struct import Struct
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Buffer = bytes | bytearray | memoryview

    # (view, where each begins, how long each is) -> what `checksum_of` says of each
    Sums: TypeAlias = Callable[[memoryview, list[int], int], list[int]]

__all__ = [
    "NET_HEADER",
    "NET_HEADER_SIZE",
    "checksum_of",
    "checksums_of",
    "complete_checksum",
    "segments",
]

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

_U16 = Struct(">H")
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


def checksums_of(view: memoryview, starts: list[int], size: int) -> list[int]:
    """`checksum_of` of many pieces of `view`, each of `size` bytes.

    Everything that needs many sums asks for them together, through a function like this
    one: where something faster is at hand, the shell passes that in (`Engine(sums=...)`).
    """
    return [checksum_of(view[start : start + size]) for start in starts]


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


def segments(
    frame: memoryview, end: int, gso_type: int, size: int, sums: Sums = checksums_of
) -> Iterator[tuple[int, int]]:
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
    if transport < packet + 20 or transport + 8 >= end:
        return iter(())
    if kind == (GSO_TCPV4 if version == 4 else GSO_TCPV6) and protocol == TCP:
        return _tcp_segments(frame, end, transport, size, sums)
    if kind == GSO_UDP_L4 and protocol == UDP:
        return _udp_segments(frame, end, transport, size, sums)
    return iter(())


# All headers of a packet as one struct, so that one call writes them.  The IP header in both
# families: (kept), length, identification, (kept), checksum, (kept, and the ports); IPv6 has
# others in place of the second and the last number, and they never change.


@cache
def _tcp_headers(four: bool, network: int, tcp_size: int) -> Struct:
    """... sequence, (ack, offset), flags, (window), checksum, (urgent pointer, options)"""
    return Struct(f"{_ip_header(four, network)}I5sB2sH{tcp_size - 18}s")


@cache
def _udp_headers(four: bool, network: int) -> Struct:
    """... length, checksum"""
    return Struct(f"{_ip_header(four, network)}HH")


def _ip_header(four: bool, network: int) -> str:
    return f">2sHH4sH{network - 8}s" if four else ">4sHH4sH30s"


def _addresses_sum(frame: memoryview, four: bool) -> int:
    """The part of the pseudo-header that does not change from packet to packet."""
    packet = NET_HEADER_SIZE
    if four:
        return int.from_bytes(frame[packet + 12 : packet + 20], "big") + frame[packet + 9]
    return int.from_bytes(frame[packet + 8 : packet + 40], "big") + frame[packet + 6]


def _payloads(
    frame: memoryview, begin: int, end: int, size: int, sums: Sums
) -> tuple[list[int], list[int]]:
    """Where the payload of each packet begins, and their sums: before any is overwritten."""
    starts = list(range(begin, end, size))
    if (end - begin) % size == 0:
        return starts, sums(frame, starts, size)
    totals = sums(frame, starts[:-1], size)
    totals.append(checksum_of(frame[starts[-1] : end]))
    return starts, totals


def _tcp_segments(
    frame: memoryview, end: int, transport: int, size: int, sums: Sums
) -> Iterator[tuple[int, int]]:
    packet = NET_HEADER_SIZE
    if transport + 20 > end:
        return
    payload = transport + (frame[transport + 12] >> 4) * 4
    if payload < transport + 20 or payload >= end:
        return
    four = frame[packet] >> 4 == 4
    network = transport - packet
    layout = _tcp_headers(four, network, payload - transport)
    write = layout.pack_into
    (
        kept0,
        length,
        number,
        kept1,
        header_sum,
        kept2,
        sequence,
        kept3,
        flags,
        window,
        tcp_sum,
        kept4,
    ) = layout.unpack_from(frame, packet)
    # What does not change of the sums of the IP header, and of all that TCP's covers: for a
    # sum, less is as good as zero.
    still = int.from_bytes(frame[packet:transport], "big") - length - number - header_sum
    constant = int.from_bytes(frame[transport:payload], "big") - sequence - flags - tcp_sum
    constant = (constant + _addresses_sum(frame, four) - network) % 65535
    before = payload - packet  # bytes of all headers
    uncounted = 0 if four else network  # in IPv6 the length is that of what follows
    starts, totals = _payloads(frame, payload, end, size, sums)
    last = len(starts) - 1
    length = before + size
    now_flags = flags & ~(TCP_FIN | TCP_PSH)
    for index, begin in enumerate(starts):
        if index == last:
            length = before + end - begin
            now_flags |= flags & (TCP_FIN | TCP_PSH)
        if four:
            header_sum = -(still + length + number) % 65535
        checksum = -(constant + sequence + now_flags + length + totals[index]) % 65535
        start = begin - before
        # fmt: off
        write(
            frame, start, kept0, length - uncounted, number, kept1, header_sum, kept2,
            sequence, kept3, now_flags, window, checksum, kept4,
        )
        # fmt: on
        yield start, start + length
        sequence = sequence + size & 0xFFFFFFFF
        now_flags &= ~TCP_CWR  # RFC 3168 6.1.2: said once
        if four:
            number = number + 1 & 0xFFFF


def _udp_segments(
    frame: memoryview, end: int, transport: int, size: int, sums: Sums
) -> Iterator[tuple[int, int]]:
    packet = NET_HEADER_SIZE
    payload = transport + 8
    four = frame[packet] >> 4 == 4
    network = transport - packet
    layout = _udp_headers(four, network)
    kept0, length, number, kept1, header_sum, kept2, _, _ = layout.unpack_from(frame, packet)
    still = int.from_bytes(frame[packet:transport], "big") - length - number - header_sum
    ports = int.from_bytes(frame[transport : transport + 4], "big")
    constant = (ports + _addresses_sum(frame, four)) % 65535
    before = payload - packet
    uncounted = 0 if four else network
    starts, totals = _payloads(frame, payload, end, size, sums)
    for begin, total in zip(starts, totals, strict=True):
        stop = min(begin + size, end)
        start = begin - before
        inner = stop - begin + 8
        if four:
            header_sum = -(still + stop - start + number) % 65535
        # The length counts twice: in the pseudo-header and in the header itself.
        checksum = -(constant + 2 * inner + total) % 65535 or 0xFFFF
        # fmt: off
        layout.pack_into(
            frame, start, kept0, stop - start - uncounted, number, kept1, header_sum, kept2,
            inner, checksum,
        )
        # fmt: on
        yield start, stop
        if four:
            number = number + 1 & 0xFFFF
