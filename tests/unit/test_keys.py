# SPDX-License-Identifier: MIT
"""Key: what is accepted, what comes out, and that nothing leaks."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgtools.errors import InvalidKey
from wgtools.keys import KEY_SIZE, Key

RAW = st.binary(min_size=KEY_SIZE, max_size=KEY_SIZE)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
GOOD = b"2MM6Up7zgrIBGXHV5AW/HijmDAFY5j3B2G+9I4ykZZM="


@given(RAW)
def test_text_forms_come_back(raw: bytes) -> None:
    key = Key(raw)
    assert key.base64().encode() == base64.b64encode(raw)
    assert Key.from_base64(key.base64().encode()) == key
    assert Key.from_hex(key.hex().encode()) == Key.from_hex(key.hex().upper().encode()) == key
    assert bytes(key) == raw
    assert hash(key) == hash(Key(raw))


@pytest.mark.parametrize("last", ALPHABET)
def test_last_letter_has_no_spare_bits(last: str) -> None:
    text = GOOD[:42] + last.encode() + b"="
    if last in "AEIMQUYcgkosw048":
        assert Key.from_base64(text).base64().encode() == text
    else:
        with pytest.raises(InvalidKey):
            Key.from_base64(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        GOOD[:-1],
        GOOD + b"\n",
        b" " + GOOD[1:],
        GOOD[:20] + b"-" + GOOD[21:],
        GOOD[:20] + b"=" + GOOD[21:],
        GOOD[:42] + b"==",
        GOOD[:43] + b"A",
        b"=" * 44,
        GOOD[:40] + b"\xc3\xa9==",
    ],
)
def test_other_base64_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidKey):
        Key.from_base64(text)


@pytest.mark.parametrize(
    "text",
    [b"", b"0" * 63, b"0" * 65, b"0" * 63 + b"g", b"00 " * 21 + b"0", "\u0660".encode() * 32],
)
def test_other_hex_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidKey):
        Key.from_hex(text)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(InvalidKey):
        Key(bytes(size))
    with pytest.raises(InvalidKey):
        Key.from_entropy(bytes(size))


@given(RAW)
def test_entropy_is_clamped(raw: bytes) -> None:
    key = bytes(Key.from_entropy(raw))
    assert key[0] & 7 == 0
    assert key[31] & 0xC0 == 0x40
    assert key[1:31] == raw[1:31]
    assert (key[0] | 7, key[31] & 0x3F) == (raw[0] | 7, raw[31] & 0x3F)


def test_zero() -> None:
    assert Key(bytes(32)).is_zero
    assert not Key(bytes(31) + b"\1").is_zero


def test_equal_only_to_keys() -> None:
    assert Key(bytes(32)) != bytes(32)
    assert Key(bytes(32)) != Key(b"\1" * 32)


@given(RAW)
def test_repr_shows_nothing(raw: bytes) -> None:
    assert repr(Key(raw)) == str(Key(raw)) == "Key(...)"


@given(st.binary(max_size=43))
def test_errors_show_nothing(text: bytes) -> None:
    for make in (Key.from_base64, Key.from_hex):
        with pytest.raises(InvalidKey, match=r"^a key is (44 characters|64 hexadecimal) .*$"):
            make(text)


def test_text_may_be_str_as_well() -> None:
    key = Key(bytes(range(32)))
    assert Key.from_base64(key.base64()) == Key.from_hex(key.hex()) == key
    for text in ("", "\xe9" * 44, "\ud800" * 64):
        with pytest.raises(InvalidKey):
            Key.from_base64(text)
        with pytest.raises(InvalidKey):
            Key.from_hex(text)
