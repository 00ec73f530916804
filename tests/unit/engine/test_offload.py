# SPDX-License-Identifier: MIT
"""Cutting and joining against a naive implementation that adds up words one by one."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgtools.engine.coalesce import Joiner
from wgtools.engine.events import Buffer
from wgtools.engine.offload import (
    NET_HEADER,
    checksum_of,
    checksums_of,
    complete_checksum,
    segments,
)
from wgtools.testing.link import frame
from wgtools.testing.packets import (
    ipv4,
    ipv6,
    is_sound,
    net_header,
    ones_sum,
    tcp,
    transport,
    udp,
    with_checksum,
    with_pseudo_sum,
)

FIN, PSH, ACK, URG, CWR, ECE = 0x01, 0x08, 0x10, 0x20, 0x80, 0x40
TIMESTAMPS = b"\1\1\x08\x0a" + b"12345678"


@dataclass(frozen=True, slots=True)
class Super:
    """A TCP or UDP super-packet before it is cut."""

    packet: bytes
    head: bytes
    size: int

    def cut(self) -> list[bytes]:
        whole = memoryview(frame(self.packet, self.head))
        end = len(whole) - 16
        gso_type = self.head[1]
        return [
            bytes(whole[start:stop]) for start, stop in segments(whole, end, gso_type, self.size)
        ]

    def naive(self) -> list[bytes]:
        """The same by taking everything apart and building every packet anew."""
        four = self.packet[0] >> 4 == 4
        start, protocol, _ = transport(self.packet)
        is_tcp = protocol == 6
        header = start + ((self.packet[start + 12] >> 4) * 4 if is_tcp else 8)
        payload = self.packet[header:]
        pieces = [payload[at : at + self.size] for at in range(0, len(payload), self.size)]
        out = []
        for index, piece in enumerate(pieces):
            head = bytearray(self.packet[:header])
            if four:
                struct.pack_into(">H", head, 2, header + len(piece))
                identification = struct.unpack_from(">H", head, 4)[0]
                struct.pack_into(">H", head, 4, (identification + index) % 65536)
                struct.pack_into(">H", head, 10, 0)
                struct.pack_into(">H", head, 10, ones_sum(bytes(head[:start])) ^ 0xFFFF)
            else:
                struct.pack_into(">H", head, 4, header - 40 + len(piece))
            if is_tcp:
                sequence = struct.unpack_from(">I", head, start + 4)[0]
                struct.pack_into(">I", head, start + 4, (sequence + index * self.size) % 2**32)
                if index:
                    head[start + 13] &= ~CWR
                if index < len(pieces) - 1:
                    head[start + 13] &= ~(FIN | PSH)
            else:
                struct.pack_into(">H", head, start + 4, 8 + len(piece))
            out.append(with_checksum(bytes(head) + piece))
        return out


@st.composite
def supers(draw: st.DrawFn) -> Super:
    four = draw(st.booleans())
    is_tcp = draw(st.booleans())
    size = draw(st.integers(1, 300))
    payload = draw(st.binary(min_size=1, max_size=1500))
    if is_tcp:
        content = tcp(
            draw(st.integers(0, 65535)),
            443,
            payload=payload,
            sequence=draw(st.sampled_from([0, 1, 2**32 - 1, 2**32 - 700, 12345])),
            ack=draw(st.integers(0, 2**32 - 1)),
            flags=draw(st.integers(0, 255)),
            window=draw(st.integers(0, 65535)),
            options=draw(st.sampled_from([b"", TIMESTAMPS, b"\1" * 40])),
        )
        kind = 1 if four else 4
    else:
        content = udp(draw(st.integers(0, 65535)), 53, payload)
        kind = 5
    protocol = 6 if is_tcp else 17
    if four:
        packet = ipv4(
            "10.1.2.3",
            "10.4.5.6",
            protocol,
            content,
            identification=draw(st.sampled_from([0, 1, 65535, 65534, 4711])),
            fragment=draw(st.sampled_from([0, 0x4000])),
            tos=draw(st.integers(0, 255)),
            options=draw(st.sampled_from([b"", b"\1" * 8])),
        )
    else:
        packet = ipv6("fd00::1", "2001:db8::2", protocol, content, flow=draw(st.integers(0, 9999)))
    packet = with_pseudo_sum(packet)
    start, _, _ = transport(packet)
    head = net_header(
        gso_type=kind | (0x80 if is_tcp and draw(st.booleans()) else 0),
        gso_size=size,
        csum_start=start,
        csum_offset=16 if is_tcp else 6,
    )
    return Super(packet, head, size)


@given(supers())
def test_cutting_a_super_packet_equals_building_every_packet(one: Super) -> None:
    packets = one.cut()
    assert packets == one.naive()
    assert all(is_sound(packet) for packet in packets)


@given(st.binary(max_size=3000))
def test_the_sum_is_that_of_rfc_1071(data: bytes) -> None:
    assert checksum_of(data) == ones_sum(data) % 65535


@given(supers())
def test_a_needed_checksum_is_completed(one: Super) -> None:
    start, protocol, _ = transport(one.packet)
    whole = memoryview(frame(one.packet))
    offset = 16 if protocol == 6 else 6
    assert complete_checksum(whole, len(whole) - 16, 10 + start, offset)
    assert bytes(whole[10:-16]) == with_checksum(one.packet)


def test_a_udp_checksum_of_zero_is_sent_as_all_ones() -> None:
    zero = with_checksum(ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2, bytes(2))))
    packet = ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2, zero[26:28]))
    whole = memoryview(frame(with_pseudo_sum(packet)))
    assert complete_checksum(whole, len(whole) - 16, 30, 6)
    assert bytes(whole[36:38]) == b"\xff\xff"
    head = net_header(gso_type=5, gso_size=2, csum_start=20, csum_offset=6)
    assert Super(packet, head, 2).cut()[0][26:28] == b"\xff\xff"


@pytest.mark.parametrize("start", [0, 9, 200, 65535])
def test_a_checksum_beyond_the_frame_is_refused(start: int) -> None:
    whole = memoryview(frame(ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2, b"x" * 20))))
    before = bytes(whole)
    assert not complete_checksum(whole, len(whole) - 16, start, 65535)
    assert bytes(whole) == before


# --- joining ---


def coalesce(
    room: memoryview,
    spans: list[tuple[int, int]],
    frames: list[list[Buffer]],
    *,
    udp: bool,
    hurry: bool = True,
) -> None:
    """As the receiver does: packets of the same flow as the one before need no second look."""
    joiner = Joiner(room, frames, udp=udp, sums=checksums_of)
    for at, length in spans:
        if not hurry or not joiner.extend(at, at + length):
            joiner.add(at, length)
    joiner.finish()


def join(packets: list[bytes], *, udp_too: bool = False) -> list[bytes]:
    """The frames, each as one piece: net header and packet."""
    room = memoryview(bytearray(b"".join(packets)))
    spans, at = [], 0
    for packet in packets:
        spans.append((at, len(packet)))
        at += len(packet)
    frames: list[list[bytes | bytearray | memoryview]] = []
    coalesce(room, spans, frames, udp=udp_too)
    again: list[list[Buffer]] = []
    coalesce(room, spans, again, udp=udp_too, hurry=False)
    assert again == frames, "a flow is known by its last packet as by its name"
    assert room == b"".join(packets)
    assert all(len(parts) <= 1024 for parts in frames)
    return [b"".join(parts) for parts in frames]


def apart(joined: list[bytes]) -> list[bytes]:
    """What the kernel's own segmentation would make of the frames."""
    out = []
    for whole in joined:
        flags, gso_type, hdr_len, size, start, offset = NET_HEADER.unpack_from(whole)
        packet = whole[10:]
        if not flags:
            assert (gso_type, hdr_len, size, start, offset) == (0, 0, 0, 0, 0)
            out.append(packet)
            continue
        assert packet == with_pseudo_sum(packet)
        at, protocol, _ = transport(packet)
        assert (start, offset) == (at, 16 if protocol == 6 else 6)
        assert gso_type == (5 if protocol == 17 else 1 if packet[0] >> 4 == 4 else 4)
        assert len(packet) - hdr_len > size, "more than one segment"
        if packet[0] >> 4 == 4:
            assert struct.unpack_from(">H", packet, 2)[0] == len(packet)
        else:
            assert struct.unpack_from(">H", packet, 4)[0] == len(packet) - 40
        out += Super(packet, whole[:10], size).naive()
    return out


@given(supers())
def test_joining_what_was_cut_and_cutting_again_changes_nothing(one: Super) -> None:
    packets = one.cut()
    assert sorted(apart(join(packets, udp_too=True))) == sorted(packets)
    assert apart(join(packets, udp_too=True)) == packets, "one flow keeps its order"


def stream(
    count: int = 4,
    *,
    size: int = 100,
    port: int = 5,
    sequence: int = 1000,
    fragment: int = 0x4000,
) -> list[bytes]:
    """`count` packets of a TCP stream over IPv4, sound and in order."""
    return [
        with_checksum(
            ipv4(
                "10.0.0.2",
                "10.0.0.1",
                6,
                tcp(port, 443, payload=bytes([index]) * size, sequence=sequence + index * size),
                identification=7 + index,
                fragment=fragment,
            )
        )
        for index in range(count)
    ]


def test_a_stream_becomes_one_frame() -> None:
    (whole,) = join(stream(10))
    assert len(whole) == 10 + 40 + 1000
    assert apart([whole]) == stream(10)


def test_two_interleaved_streams_become_two_frames() -> None:
    mixed = [p for two in zip(stream(5), stream(5, port=6), strict=True) for p in two]
    joined = join(mixed)
    assert [len(whole) for whole in joined] == [550, 550]
    assert sorted(apart(joined)) == sorted(mixed)


def _changed(packet: bytes, at: int, value: int) -> bytes:
    """`packet` with one header byte changed and all checksums made good again."""
    raw = bytearray(packet)
    raw[at] = value
    raw[10:12] = bytes(2)
    struct.pack_into(">H", raw, 10, ones_sum(bytes(raw[:20])) ^ 0xFFFF)
    return with_checksum(bytes(raw))


@pytest.mark.parametrize(
    ("what", "at", "value"),
    [
        ("tos", 1, 2),
        ("ttl", 8, 63),
        ("more fragments", 6, 0x20),
        ("fragment offset", 7, 1),
        ("reserved fragment bit", 6, 0x80),
        ("source", 15, 77),
        ("ack", 31, 9),
        ("reserved bits", 32, 0x51),
        ("window", 35, 1),
        ("urgent pointer", 39, 1),
        ("FIN", 33, ACK | FIN),
        ("RST", 33, ACK | 4),
        ("SYN", 33, ACK | 2),
        ("URG", 33, ACK | URG),
        ("ECE", 33, ACK | ECE),
        ("CWR", 33, ACK | CWR),
        ("no ACK", 33, 0),
        ("sequence", 27, 200),
    ],
)
def test_what_differs_is_not_joined(what: str, at: int, value: int) -> None:
    packets = stream(4)
    packets[2] = _changed(packets[2], at, value)
    joined = join(packets)
    assert len(joined) > 1, what
    assert sorted(apart(joined)) == sorted(packets)


@pytest.mark.parametrize("at", [10, 24, 36, 40, 139])
def test_a_packet_with_a_wrong_checksum_passes_unchanged(at: int) -> None:
    packets = stream(4)
    bad = bytearray(packets[1])
    bad[at] ^= 1
    packets[1] = bytes(bad)
    joined = join(packets)
    assert bytes(10) + bytes(bad) in joined
    assert apart(joined) == packets


@pytest.mark.parametrize("size", [99, 100])
def test_a_wrong_packet_takes_its_super_packet_apart_and_no_other(size: int) -> None:
    packets = stream(4, size=size) + stream(4, size=size, port=9)
    bad = bytearray(packets[2])
    bad[-1] ^= 1
    packets[2] = bytes(bad)
    joined = join(packets)
    assert joined[:4] == [bytes(10) + packet for packet in packets[:4]]
    assert len(joined) == 5
    assert apart(joined) == packets


@pytest.mark.parametrize("size", [99, 100])
def test_two_wrong_packets_do_not_make_a_right_one(size: int) -> None:
    """A bit turned one way in one packet and the other way in the next: all sums together
    are as they should be, and neither packet is."""
    packets = [bytearray(packet) for packet in stream(4, size=size)]
    packets[1][60] ^= 1  # of a payload of ones: one less
    packets[2][60] ^= 1  # of a payload of twos: one more
    whole = [bytes(packet) for packet in packets]
    assert [is_sound(packet) for packet in whole] == [True, False, False, True]
    assert join(whole) == [bytes(10) + packet for packet in whole]


def test_a_wrong_ip_header_is_not_made_up_for_by_a_wrong_tcp_checksum() -> None:
    """The sum over both is as it should be: a header once passed for sound by that."""
    for place in range(4):
        packets = stream(4)
        bad = bytearray(packets[place])
        for at, change in ((10, 1), (36, -1)):
            (checksum,) = struct.unpack_from(">H", bad, at)
            struct.pack_into(">H", bad, at, (checksum + change) % 65535)
        packets[place] = bytes(bad)
        assert ones_sum(packets[place]) == ones_sum(stream(4)[place])
        joined = join(packets)
        assert bytes(10) + bytes(bad) in joined
        assert apart(joined) == packets


def test_a_udp_length_that_leaves_bytes_over_is_not_joined() -> None:
    """What the UDP header does not count would become part of the datagram."""
    packets = []
    for number in range(3):
        whole = ipv4("10.0.0.2", "10.0.0.1", 17, udp(7, 8, bytes(200)), identification=number)
        short = bytearray(whole)
        struct.pack_into(">H", short, 24, 100)
        # A checksum that is right for the whole, so that nothing but the length is wrong.
        packets.append(with_checksum(bytes(short)))
    assert len(join(packets, udp_too=True)) == 3


def test_many_wrong_packets_cost_no_more_than_each_its_own() -> None:
    """Every frame was once searched for among all before it, and cut out of them."""
    packets = []
    for flow in range(400):
        two = stream(2, size=8, port=1000 + flow)
        packets += [two[0], two[1][:-1] + b"?"]
    room = memoryview(b"".join(packets))
    spans = [(at, 48) for at in range(0, len(room), 48)]
    frames = _Counting([[b"earlier"]] * 3)
    coalesce(room, spans, frames, udp=False)
    assert frames[:3] == [[b"earlier"]] * 3
    assert [b"".join(parts)[10:] for parts in frames[3:]] == packets
    assert frames.touched < 10 * len(packets)


class _Counting(list[list[Buffer]]):
    """A list that counts the items that walks and cuts pass by."""

    touched = 0

    def __iter__(self) -> Iterator[list[Buffer]]:
        for item in super().__iter__():
            self.touched += 1
            yield item

    def __setitem__(self, key: Any, value: Any) -> None:
        self.touched += len(self) if isinstance(key, slice) else 1
        super().__setitem__(key, value)


def test_push_and_a_short_segment_end_a_frame() -> None:
    packets = stream(6)
    packets[2] = _changed(packets[2], 33, ACK | PSH)
    assert [len(whole) for whole in join(packets)] == [350, 350]
    packets = stream(3) + stream(2, size=50, sequence=1300) + stream(2, sequence=1400)
    assert [len(whole) for whole in join(packets)] == [50 + 350, 50 + 50, 50 + 200]


def test_a_frame_is_at_most_65535_bytes_long() -> None:
    joined = join(stream(60, size=1380))
    assert all(len(whole) - 10 <= 65535 for whole in joined)
    assert len(joined) == 2


def test_without_df_the_identification_must_be_consecutive() -> None:
    assert len(join(stream(4, fragment=0))) == 1
    packets = stream(4, fragment=0)
    packets[2] = _changed(packets[2], 5, 200)
    assert len(join(packets)) > 1
    packets = stream(4)
    packets[2] = _changed(packets[2], 5, 200)
    assert len(join(packets)) == 1, "RFC 6864: with DF it means nothing"


def test_pure_acks_and_their_order() -> None:
    ack = with_checksum(ipv4("10.0.0.2", "10.0.0.1", 6, tcp(5, 443, sequence=1200, ack=2)))
    packets = [*stream(2), ack, *stream(2, sequence=1200)]
    assert apart(join(packets)) == packets


def test_ipv6_extension_headers_and_ipv4_options_are_left_alone() -> None:
    hop = bytes([6, 0, 1, 4, 0, 0, 0, 0])
    six = [ipv6("fd00::1", "fd00::2", 0, hop + tcp(1, 2, payload=b"x" * 50)) for _ in range(3)]
    assert join(six) == [bytes(10) + packet for packet in six]
    four = [
        with_checksum(
            ipv4(
                "10.0.0.2",
                "10.0.0.1",
                6,
                tcp(5, 443, payload=b"y" * 100, sequence=1 + 100 * index),
                options=b"\1" * 4,
            )
        )
        for index in range(3)
    ]
    assert join(four) == [bytes(10) + packet for packet in four]


def test_udp_is_joined_only_when_asked() -> None:
    packets = [
        with_checksum(
            ipv4("10.0.0.2", "10.0.0.1", 17, udp(7, 8, bytes([n]) * 200), identification=n)
        )
        for n in range(5)
    ]
    assert len(join(packets)) == 5
    (whole,) = join(packets, udp_too=True)
    assert whole[1] == 5
    assert apart([whole]) == packets
    bare = [packet[:26] + bytes(2) + packet[28:] for packet in packets]
    assert len(join(bare, udp_too=True)) == 5, "no checksum: nothing to verify, nothing to renew"


def test_an_empty_udp_datagram_keeps_its_place_in_the_flow() -> None:
    packets = [
        with_checksum(ipv4("10.0.0.2", "10.0.0.1", 17, udp(7, 8, bytes(size)), identification=n))
        for n, size in enumerate((200, 200, 0, 200, 200))
    ]
    assert apart(join(packets, udp_too=True)) == packets


@given(st.lists(st.binary(min_size=20, max_size=90), max_size=8), st.booleans())
def test_joining_rubbish_changes_nothing(packets: list[bytes], udp_too: bool) -> None:
    whole = [
        bytes([(0x45, 0x60)[n % 2]]) + p[1:] if len(p) > 40 or n % 2 == 0 else b"\x45" + p[1:]
        for n, p in enumerate(packets)
    ]
    assert sorted(apart(join(whole, udp_too=udp_too))) == sorted(whole)
