# SPDX-License-Identifier: MIT
"""Name/value lists: every recorded byte string, and what has no packed form."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from wgtools.errors import ProtocolError
from wgtools_backends.freebsd import nvlist

VECTORS = Path(__file__).parents[3] / "vectors"
JUDGED = json.loads((VECTORS / "freebsd_malformed.json").read_text())["cases"]
RECORDED = json.loads((VECTORS / "freebsd_vectors.json").read_text())["vectors"]
BLOBS = {
    case["id"]: (bytes.fromhex(case["packed_hex"]), case) for case in JUDGED if case["packed_hex"]
}


@pytest.mark.parametrize("name", BLOBS)
def test_libnv_and_we_come_to_the_same_verdict(name: str) -> None:
    blob, case = BLOBS[name]
    if case["verdict"] == "accepted":
        nvlist.unpack(blob)
        return
    with pytest.raises(ProtocolError) as raised:
        nvlist.unpack(blob)
    assert errno.errorcode[raised.value.errno] == case["libnv_2024_ndebug"]["errno"]
    assert "malformed at byte" in raised.value.hint


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["id"])
def test_what_libnv_packed_is_packed_the_same(case: dict[str, Any]) -> None:
    blob = bytes.fromhex(case["packed_hex"])
    assert nvlist.pack(nvlist.unpack(blob)) == blob


EVERYTHING: dict[bytes, Any] = {
    b"nothing": None,
    b"yes": True,
    b"no": False,
    b"number": (1 << 64) - 1,
    b"text": "caf\xe9",
    b"": "an empty name",
    b"binary": b"\0\1",
    b"bools": [True, False],
    b"numbers": [0, 1 << 63],
    b"texts": ["", "a", ""],
    b"list": {b"in": {b"deeper": 1}, b"empty": {}},
    b"lists": [{}, {b"a": [{b"b": 1}, {}]}, {b"c": {b"d": b"e"}}],
    b"last": 7,
}


def test_every_type_there_and_back() -> None:
    assert nvlist.unpack(nvlist.pack(EVERYTHING)) == EVERYTHING


def test_every_cut_of_a_list_is_refused() -> None:
    whole = nvlist.pack(EVERYTHING)
    for size in range(len(whole)):
        with pytest.raises(ProtocolError):
            nvlist.unpack(whole[:size])


def test_any_byte_may_be_wrong_and_nothing_but_our_error_comes_out() -> None:
    whole = bytearray(nvlist.pack(EVERYTHING))
    met = set()
    for at in range(len(whole)):
        for bits in (0x01, 0x80, 0xFF):
            wrong = bytes(whole[:at]) + bytes([whole[at] ^ bits]) + bytes(whole[at + 1 :])
            try:
                nvlist.unpack(wrong)
            except ProtocolError as error:
                met.add(error.errno)
    assert met == {errno.EINVAL, errno.EILSEQ, errno.ENOENT}


def test_names_of_an_element_may_repeat_or_differ_in_case_if_it_says_so() -> None:
    packed = bytearray(nvlist.pack({b"a": [{b"x": 1, b"y": 2}]}))
    flags = 19 + 19 + 2 + 2
    packed[flags] = nvlist.NOT_UNIQUE
    packed[packed.index(b"y\0")] = ord("x")
    assert nvlist.unpack(bytes(packed)) == {b"a": [{b"x": 1}]}
    packed[flags] = nvlist.IGNORE_CASE
    packed[packed.rindex(b"x\0")] = ord("X")
    with pytest.raises(ProtocolError) as raised:
        nvlist.unpack(bytes(packed))
    assert raised.value.errno == errno.EEXIST


def test_lists_deeper_in_one_another_than_the_stack() -> None:
    pairs: dict[bytes, Any] = {}
    for _ in range(5_000):
        pairs = {b"a": [pairs]}
    packed = nvlist.pack(pairs)
    assert nvlist.pack(nvlist.unpack(packed)) == packed


@pytest.mark.parametrize(
    "pairs",
    [
        {b"a": -1},
        {b"a": 1 << 64},
        {b"a": b""},
        {b"a": []},
        {b"a": "\0"},
        {b"a\0": 1},
        {b"a" * 2048: 1},
    ],
    ids=repr,
)
def test_what_has_no_packed_form_is_refused(pairs: dict[bytes, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        nvlist.pack(pairs)


def test_the_longest_name() -> None:
    longest = {b"a" * 2047: 1}
    assert nvlist.unpack(nvlist.pack(longest)) == longest
