# SPDX-License-Identifier: MIT
"""Packets as tun(4) and utun have them, and what a route(4) socket says to an engine."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgtools.daemon.tun.framing import FAMILY_SIZE, Framing
from wgtools.daemon.tun.route import tells_of_routes
from wgtools.testing.packets import (
    ipv4,
    ipv6,
    net_header,
    tcp,
    udp,
    with_checksum,
    with_pseudo_sum,
)

AF_INET6 = 30  # macOS's
FOUR, SIX = struct.pack(">I", 2), struct.pack(">I", AF_INET6)
PLAIN = bytes(10)
V4 = ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2, b"four"))
V6 = ipv6("fd00::1", "fd00::2", 17, udp(1, 2, b"six"))


def written(*frame: bytes) -> list[bytes]:
    return [b"".join(buffers) for buffers in Framing(AF_INET6).packets(frame)]


def test_the_family_stands_before_each_packet() -> None:
    assert len(FOUR) == FAMILY_SIZE
    assert written(PLAIN, V4) == [FOUR + V4]
    assert written(PLAIN, V6[:40], V6[40:]) == [SIX + V6]


def test_a_frame_in_one_piece_or_cut_anywhere_is_the_same() -> None:
    for cut in range(len(V4) + 10):
        whole = PLAIN + V4
        assert written(whole[:cut], whole[cut:]) == [FOUR + V4]
    assert written(PLAIN + V6) == [SIX + V6]


def test_a_super_packet_is_cut_up() -> None:
    whole = with_pseudo_sum(ipv4("10.0.0.1", "10.0.0.2", 6, tcp(1, 2, payload=bytes(2500))))
    parts = written(net_header(flags=1, gso_type=1, gso_size=1000, csum_start=20), whole)
    assert [len(part) for part in parts] == [4 + 40 + 1000, 4 + 40 + 1000, 4 + 40 + 500]
    assert {part[:4] for part in parts} == {FOUR}


def test_a_checksum_that_is_asked_for_is_made() -> None:
    asked = with_pseudo_sum(V4)
    head = net_header(csum_start=20, csum_offset=6)
    assert written(head, asked) == [FOUR + with_checksum(V4)]
    nowhere = net_header(csum_start=2000, csum_offset=6)
    assert written(nowhere, asked) == []


@pytest.mark.parametrize(
    "frame",
    [(), (b"",), (PLAIN[:9],), (PLAIN,), (PLAIN, b""), (PLAIN, b"\x50" + bytes(30))],
)
def test_what_is_no_packet_never_reaches_the_device(frame: tuple[bytes, ...]) -> None:
    assert written(*frame) == []


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_whatever_comes_each_packet_has_its_family(frame: list[bytes]) -> None:
    for packet in written(*frame):
        assert packet[:4] == (FOUR if packet[4] >> 4 == 4 else SIX)


# --- route(4) ---


def said(kind: int, size: int = 8, length: int | None = None) -> bytes:
    """A message of `size` bytes that says it has `length`."""
    return struct.pack("=HBB", size if length is None else length, 5, kind) + bytes(size - 4)


@pytest.mark.parametrize("kind", range(32))
def test_which_messages_are_about_routes(kind: int) -> None:
    # net/route.h: ADD, DELETE, CHANGE; NEWADDR, DELADDR; OpenBSD's DESYNC
    assert tells_of_routes(said(kind)) is (kind in (1, 2, 3, 12, 13, 16))


def test_messages_are_followed_by_their_lengths() -> None:
    assert tells_of_routes(said(5, 12) + said(9, 4) + said(1))
    assert not tells_of_routes(said(5, 12) + said(9, 4))
    assert not tells_of_routes(said(5, 8, length=12) + said(1)), "that lies within the first"
    assert not tells_of_routes(said(5, 8, length=3) + said(1)), "no length ends the reading"
    assert not tells_of_routes(said(5) + said(1)[:3])
    assert not tells_of_routes(b"")
