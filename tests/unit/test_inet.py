# SPDX-License-Identifier: MIT
"""inet: held against the C library's own reading and writing of addresses."""

from __future__ import annotations

import socket

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wgtools.inet import ntop, port_number, pton, scoped

V4ISH = st.lists(st.sampled_from("0123456789.+- _\u00b2"), max_size=17).map("".join)
V6ISH = st.lists(
    st.sampled_from(["0", "1", "f", "F", "g", ":", "::", ".", "1.2.3.4", "ffff", "%", "10000"]),
    max_size=14,
).map("".join)


def libc(text: str) -> bytes | None:
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except (OSError, UnicodeEncodeError, ValueError):
        return None


@given(st.one_of(V4ISH, V6ISH, st.text(max_size=20)))
@example("1.2.3.04")
@example("1.2.3.256")
@example("1.2.3.4.5")
@example("1.2.3." + "9" * 5000)
@example("::")
@example(":::")
@example("1::")
@example(":1")
@example("1:2:3:4:5:6:7:8")
@example("1:2:3:4:5:6:7::")
@example("1:2:3:4:5:6:7:8::")
@example("::1:2:3:4:5:6:7:8")
@example("1:2:3:4:5:6:1.2.3.4")
@example("::1.2.3.4")
@example("1.2.3.4::")
@example("::1.2.3")
@example("1::2::3")
def test_pton_reads_what_libc_reads(text: str) -> None:
    assert pton(text) == libc(text)


@given(st.ip_addresses().map(str))
def test_pton_reads_every_address(text: str) -> None:
    assert pton(text) == libc(text) is not None


@given(st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)))
@example(bytes(16))
@example(bytes(15) + b"\1")
@example(bytes(14) + b"\1\2")
@example(bytes(13) + b"\1\2\3")
@example(bytes(10) + b"\xff\xff\1\2\3\4")
@example(bytes.fromhex("20010db8000000010000000000000001"))
@example(bytes.fromhex("00010000000100000001000000010000"))
@example(bytes.fromhex("00010000000000010000000000010001"))
@example(bytes.fromhex("00010001000100010001000100010000"))
def test_ntop_prints_what_libc_prints(packed: bytes) -> None:
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    assert ntop(packed) == socket.inet_ntop(family, packed)


@pytest.mark.parametrize("size", [0, 3, 5, 15, 17])
def test_ntop_refuses_other_lengths(size: int) -> None:
    with pytest.raises(ValueError, match="4 or 16"):
        ntop(bytes(size))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"0", 0),
        (b"51820", 51820),
        (b" \t\n\v\f\r+080", 80),
        (b"-0", 0),
        (b"-1", -1),
        (b"65536", 65536),
        (b"0" * 5000 + b"7", 7),
        (b"9" * 5000, 999999),
        (b"", None),
        (b"+", None),
        (b"+-1", None),
        (b"1 ", None),
        (b"0x1", None),
        (b"http", None),
        ("\u0663".encode(), None),
    ],
)
def test_port_number(text: bytes, number: int | None) -> None:
    assert port_number(text) == number


def test_scoped_asks_for_the_number_of_a_zone() -> None:
    numbers = {"eth0": 3}
    assert scoped("fe80::1%eth0", numbers.__getitem__) == (pton("fe80::1"), 3)
    assert scoped("fe80::1", numbers.__getitem__) == (pton("fe80::1"), 0)
    assert scoped("10.0.0.1%nobody", numbers.__getitem__) == (pton("10.0.0.1"), 0)
    with pytest.raises(ValueError, match=r"not a numeric address: vpn\.example%eth0"):
        scoped("vpn.example%eth0", numbers.__getitem__)
