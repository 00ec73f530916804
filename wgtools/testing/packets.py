# SPDX-License-Identifier: MIT
"""IP packets made by hand, the slow and obvious way, for tests to hold the fast way against.

Checksums are added up word by word here, as RFC 1071 says, on purpose: nothing in this
module may share arithmetic with `wgtools.engine`.
"""

from __future__ import annotations

import struct

from wgtools.inet import pton

__all__ = ["checksum", "ipv4", "ipv6", "is_sound", "net_header", "tcp", "transport", "udp"]

TCP, UDP = 6, 17


def ones_sum(data: bytes) -> int:
    """The ones' complement sum of 16-bit words (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def checksum(data: bytes) -> int:
    return ones_sum(data) ^ 0xFFFF


def packed(host: str) -> bytes:
    raw = pton(host)
    assert raw is not None
    return raw


def ipv4(
    source: str,
    destination: str,
    protocol: int,
    content: bytes,
    *,
    identification: int = 1,
    fragment: int = 0x4000,
    tos: int = 0,
    ttl: int = 64,
    options: bytes = b"",
) -> bytes:
    """An IPv4 packet; its transport checksum is filled in for TCP and UDP (`transport`)."""
    length = 20 + len(options) + len(content)
    head = struct.pack(
        ">BBHHHBBH4s4s",
        0x40 | (20 + len(options)) // 4,
        tos,
        length & 0xFFFF,
        identification,
        fragment,
        ttl,
        protocol,
        0,
        packed(source),
        packed(destination),
    )
    head += options
    head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
    return head + content


def ipv6(
    source: str, destination: str, protocol: int, content: bytes, *, hops: int = 64, flow: int = 0
) -> bytes:
    head = struct.pack(">IHBB", 0x60000000 | flow, len(content) & 0xFFFF, protocol, hops)
    return head + packed(source) + packed(destination) + content


def tcp(
    source: int,
    destination: int,
    *,
    payload: bytes = b"",
    sequence: int = 1,
    ack: int = 1,
    flags: int = 0x10,
    window: int = 1000,
    options: bytes = b"",
) -> bytes:
    """A TCP segment without a checksum."""
    head = struct.pack(
        ">HHIIBBHHH",
        source,
        destination,
        sequence & 0xFFFFFFFF,
        ack,
        (20 + len(options)) // 4 << 4,
        flags,
        window,
        0,
        0,
    )
    return head + options + payload


def udp(source: int, destination: int, payload: bytes = b"") -> bytes:
    """A UDP datagram without a checksum."""
    return struct.pack(">HHHH", source, destination, 8 + len(payload) & 0xFFFF, 0) + payload


def transport(packet: bytes) -> tuple[int, int, bytes]:
    """(where the transport header starts, protocol, pseudo-header) of an IP packet."""
    if packet[0] >> 4 == 4:
        start, protocol, addresses = (packet[0] & 15) * 4, packet[9], packet[12:20]
    else:
        start, protocol, addresses = 40, packet[6], packet[8:40]
    return start, protocol, addresses + struct.pack(">II", len(packet) - start, protocol)


def with_checksum(packet: bytes) -> bytes:
    """`packet` with its TCP or UDP checksum filled in."""
    start, protocol, pseudo = transport(packet)
    at = start + (16 if protocol == TCP else 6)
    packet = packet[:at] + bytes(2) + packet[at + 2 :]
    value = checksum(pseudo + packet[start:])
    if protocol == UDP and not value:
        value = 0xFFFF
    return packet[:at] + struct.pack(">H", value) + packet[at + 2 :]


def with_pseudo_sum(packet: bytes) -> bytes:
    """`packet` as NEEDS_CSUM means it: the pseudo-header's sum in the checksum field."""
    start, protocol, pseudo = transport(packet)
    at = start + (16 if protocol == TCP else 6)
    return packet[:at] + struct.pack(">H", ones_sum(pseudo)) + packet[at + 2 :]


def is_sound(packet: bytes) -> bool:
    """Whether every checksum of a packet holds."""
    if packet[0] >> 4 == 4 and ones_sum(packet[: (packet[0] & 15) * 4]) != 0xFFFF:
        return False
    start, protocol, pseudo = transport(packet)
    return protocol not in (TCP, UDP) or ones_sum(pseudo + packet[start:]) == 0xFFFF


def net_header(
    *,
    flags: int = 1,
    gso_type: int = 0,
    hdr_len: int = 0,
    gso_size: int = 0,
    csum_start: int = 0,
    csum_offset: int = 16,
) -> bytes:
    """A virtio_net_hdr."""
    return struct.pack("=BBHHHH", flags, gso_type, hdr_len, gso_size, csum_start, csum_offset)
