# SPDX-License-Identifier: MIT
"""wg-quick's grammar, line by line (WG_QUICK_COMPAT section 3)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgtools.conf.document import Document
from wgtools.conf.quickfile import QuickFile, Value

VECTORS = Path(__file__).parents[2] / "vectors/wg_quick.json"
STRIPS = [c for c in json.loads(VECTORS.read_text())["cases"] if c["category"] == "strip"]


def read(text: str | bytes) -> QuickFile:
    return QuickFile(Document(text if isinstance(text, bytes) else text.encode()))


def interface(lines: str) -> QuickFile:
    return read(f"[Interface]\n{lines}\n")


def texts(values: list[Value]) -> list[str]:
    return [value.text for value in values]


@pytest.mark.parametrize("case", STRIPS, ids=lambda case: case["id"])
def test_strip_prints_what_the_original_prints(case: dict[str, Any]) -> None:
    file = case["files"][0]
    data = bytes.fromhex(file["hex"]) if "hex" in file else file["content"].encode()
    assert read(data).stripped().decode("utf-8", "backslashreplace") == case["expect"][0]["stdout"]


def test_strip_of_nothing_is_one_newline() -> None:
    assert read("").stripped() == b"\n"


@pytest.mark.parametrize(
    "header", ["[Interface]", "[INTERFACE] # x", " \t[interface]\t", "[Interface]\r"]
)
def test_header_that_enters(header: str) -> None:
    assert texts(read(f"{header}\nAddress = 1\n").addresses) == ["1"]


@pytest.mark.parametrize(
    "header",
    ["[Interface] x", "[ Interface ]", "[Interface", "\ufeff[Interface]", "#[Interface]", "[Peer]"],
)
def test_header_that_does_not_enter(header: str) -> None:
    config = read(f"{header}\nAddress = 1\n")
    assert config.addresses == []
    assert config.stripped().endswith(b"\nAddress = 1\n\n")


def test_interface_sections_add_up() -> None:
    config = read("[Interface]\nAddress=1\n[Peer]\nAddress=2\n[Interface]\nAddress=3\n")
    assert texts(config.addresses) == ["1", "3"]


def test_lists_split_at_commas_and_white_space_with_their_places() -> None:
    config = interface("Address = 10.0.0.1/24 ,\t,fd00::1 # , 9\n  address=\v1\f")
    assert config.addresses == [
        Value("10.0.0.1/24", 2, 11),
        Value("fd00::1", 2, 26),
        Value("1", 3, 12),
    ]


def test_last_single_value_wins_and_an_empty_one_is_none() -> None:
    assert interface("MTU = 1\nmtu = 2 # 3").mtu == Value("2", 3, 7)
    assert interface("MTU = 1\nMTU =").mtu is None
    assert interface("Table = 7\nTable=").table is None


def test_a27_hooks_keep_their_hash_and_inner_blanks() -> None:
    config = interface("PostUp =  echo 'a # b'  x # tail \t\nPostUp=\npostup")
    assert texts(config.hooks["postup"]) == ["echo 'a # b'  x # tail", "", "postup"]


def test_hash_before_the_equals_sign_still_ends_the_key() -> None:
    assert texts(interface("PostUp # = cmd").hooks["postup"]) == ["cmd"]


def test_key_without_equals_is_its_own_value() -> None:
    assert texts(interface("Address").addresses) == ["Address"]


@pytest.mark.parametrize(
    ("word", "saves"),
    [
        ("true", True),
        ("TRUE", True),
        ("false", False),
        ("False # x", False),
        ("yes", None),
        ("", None),
    ],
)
def test_save_config(word: str, saves: bool | None) -> None:
    assert interface(f"SaveConfig = {word}").saves is saves


def test_no_save_config_is_false() -> None:
    assert interface("").saves is False


def test_unknown_keys_and_comments_are_for_wg_with_their_numbers() -> None:
    config = interface("# c\nMTU = 5\nBogus = 1 # d")
    assert [(line.number, line.raw) for line in config.wg_document().lines] == [
        (1, b"[Interface]"),
        (2, b"# c"),
        (4, b"Bogus = 1 # d"),
    ]


def test_bytes_that_are_not_utf8_pass_through() -> None:
    config = read(b"[Interface]\nPostUp = gr\xfc\xdf\n# \xff\n")
    assert config.hooks["postup"][0].text.encode("utf-8", "surrogateescape") == b"gr\xfc\xdf"
    assert config.stripped() == b"[Interface]\n# \xff\n\n"


@given(st.lists(st.binary().map(lambda line: line.translate(None, b"[\n\0"))))
def test_any_lines_of_a_peer_are_all_for_wg(lines: list[bytes]) -> None:
    config = read(b"\n".join([b"[Peer]", *lines, b""]))
    assert config.stripped().split(b"\n")[1:-2] == [line.strip(b" \t") for line in lines]


@given(st.text(alphabet=" \t=#,[]aAdres:./0123456789\r\v", max_size=60))
def test_places_point_at_the_words(line: str) -> None:
    config = interface(f"Address = {line}".replace("[", ""))
    raw = f"Address = {line}".replace("[", "").encode()
    for value in config.addresses:
        start = value.column - 1
        assert raw[start : start + len(value.text)].decode() == value.text


def test_values_are_equal_by_word_and_place() -> None:
    one = Value("a", 1, 2)
    assert one == Value("a", 1, 2)
    assert {one, Value("a", 1, 2), Value("a", 1, 3)} == {one, Value("a", 1, 3)}
    assert one != "a"
    assert repr(one) == "Value('a', 1, 2)"
