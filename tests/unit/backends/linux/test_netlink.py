# SPDX-License-Identifier: MIT
"""Netlink framing, against hand-made bytes and those of a real kernel."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from errno import EPROTO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgtools.errors import ProtocolError
from wgtools.testing.fake_kernel import attribute, message
from wgtools_backends.linux import netlink

RECORDED = json.loads((Path(__file__).parents[3] / "vectors/netlink_linux.json").read_text())
TALKS = {case["name"]: case["talk"] for case in RECORDED["cases"]}


def reads(name: str) -> list[bytes]:
    return [bytes.fromhex(data) for what, data in TALKS[name] if what == "read"]


def test_split_gives_type_flags_sequence_port_and_payload() -> None:
    data = message(3, 2, 7, b"abcde") + bytes(3) + message(16, 0, 8, b"")
    assert list(netlink.split(data)) == [(3, 2, 7, 4242, 16, 21), (16, 0, 8, 4242, 40, 40)]


@pytest.mark.parametrize(
    "data",
    [
        b"\x10\0\0",  # less than a header
        struct.pack("=IHHII", 15, 3, 0, 0, 0),  # shorter than its own header
        struct.pack("=IHHII", 17, 3, 0, 0, 0),  # longer than what was read
    ],
)
def test_a_message_of_a_wrong_length_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"^Protocol error$") as raised:
        list(netlink.split(data))
    assert raised.value.errno == EPROTO


def test_attributes_are_padded_to_four_and_their_flags_are_taken_off() -> None:
    data = attribute(3, b"wg0\0") + attribute(0x8000 | 8, b"12345") + attribute(0x4000 | 1, b"")
    found = [(kind, data[start:end]) for kind, start, end in netlink.attributes(data, 0, len(data))]
    assert found == [(3, b"wg0\0"), (8, b"12345"), (1, b"")]


@pytest.mark.parametrize("data", [b"\x04\0", b"\x03\0\x01\0", b"\x09\0\x01\0abcd"])
def test_an_attribute_of_a_wrong_length_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(netlink.attributes(data, 0, len(data)))


def test_an_error_without_a_number_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        netlink.error_number(b"abc", 0, 3)


def error(
    flags: int, body: bytes, kind: int = netlink.NLMSG_ERROR
) -> tuple[bytes, netlink.Message]:
    data = message(kind, flags, 1, body)
    (found,) = netlink.split(data)
    return data, found


REQUEST = struct.pack("=IHHII", 21, 28, 5, 1, 0) + b"\0\1\0\0x" + bytes(3)
WORDS = attribute(2, b"\0\0\0\0") + attribute(1, b"no such thing\0")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (error(0x300, struct.pack("=i", -19) + REQUEST[:16] + WORDS), "no such thing"),
        (error(0x200, struct.pack("=i", -19) + REQUEST + WORDS), "no such thing"),
        (error(0x200, struct.pack("=i", -19) + WORDS, netlink.NLMSG_DONE), "no such thing"),
        (error(0x100, struct.pack("=i", -19) + REQUEST[:16]), ""),
        (error(0x300, struct.pack("=i", -19) + REQUEST[:16] + attribute(2, b"1234")), ""),
        (error(0x300, struct.pack("=i", -19) + REQUEST[:16] + attribute(1, b"\xff\0")), "\ufffd"),
    ],
)
def test_the_kernels_own_words_about_an_error(
    data: tuple[bytes, netlink.Message], words: str
) -> None:
    assert netlink.explanation(*data) == words
    assert netlink.error_number(data[0], *data[1][4:]) == 19


def test_an_explanation_that_is_cut_off_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        netlink.explanation(*error(0x200, struct.pack("=i", -19) + b"short"))


def test_family_number_of_a_real_controller() -> None:
    data = reads("get")[0]
    ((kind, *_, start, end),) = netlink.split(data)
    assert kind == netlink.GENL_ID_CTRL
    assert netlink.family_number(data, start, end) == 32


def test_family_without_a_number_is_zero() -> None:
    data = bytes(4) + attribute(2, b"wireguard\0") + attribute(1, b"\x20\0\0\0")
    assert netlink.family_number(data, 0, len(data)) == 0


def test_wireguard_links_of_a_real_kernel() -> None:
    found = [
        netlink.link_name(data, start, end, kind=b"wireguard")
        for data in reads("list")
        for number, *_, start, end in netlink.split(data)
        if number == 16  # RTM_NEWLINK
    ]
    assert [name for name in found if name] == [b"wg0", b"wg1"]
    assert len(found) > 2


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (attribute(18, attribute(1, b"wireguard\0")) + attribute(3, b"wg0\0"), b"wg0"),
        (attribute(3, b"wg0\0") + attribute(18, attribute(1, b"wireguard")), b"wg0"),
        (attribute(3, b"wg0\0") + attribute(18, attribute(2, b"wireguard\0")), b""),
        (attribute(3, b"wg0\0") + attribute(18, attribute(1, b"wireguard2\0")), b""),
        (attribute(3, b"wg0\0"), b""),
        (attribute(18, attribute(1, b"wireguard\0")), b""),
    ],
)
def test_only_links_of_the_kind_have_a_name(data: bytes, name: bytes) -> None:
    assert netlink.link_name(bytes(16) + data, 0, 16 + len(data), kind=b"wireguard") == name


@given(st.binary(max_size=200), st.integers(0, 8))
def test_any_bytes_give_values_or_a_protocol_error(data: bytes, start: int) -> None:
    for read in (
        lambda: list(netlink.split(data)),
        lambda: list(netlink.attributes(data, start, len(data))),
        lambda: netlink.family_number(data, start, len(data)),
        lambda: netlink.link_name(data, start, len(data), kind=b"wireguard"),
        lambda: netlink.error_number(data, start, len(data)),
        lambda: netlink.explanation(data, (2, 0x200, 0, 0, start, len(data))),
        lambda: netlink.explanation(data, (3, 0x300, 0, 0, start, len(data))),
    ):
        with suppress(ProtocolError):
            read()
