# SPDX-License-Identifier: MIT
"""Property lists: recorded ones, plistlib's, and text that is none."""

import contextlib
import json
import plistlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgtools_backends.netbsd import proplib

VECTORS = Path(__file__).parents[3] / "vectors/netbsd_samples.json"
SAMPLES: list[dict[str, Any]] = json.loads(VECTORS.read_text())["samples"]
# What XML 1.0 can hold: no controls, no surrogates.
TEXT = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), max_size=9)
VALUES = st.recursive(
    st.booleans() | st.integers(0, 2**64 - 1) | TEXT | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def plist(body: str) -> str:
    return f'<?xml version="1.0"?>\n<plist version="1.0">\n{body}\n</plist>\n'


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["id"])
def test_samples_are_read_as_plistlib_reads_them(sample: dict[str, Any]) -> None:
    assert proplib.load(sample["xml"]) == plistlib.loads(sample["xml"].encode())


@pytest.mark.parametrize(
    "sample", [s for s in SAMPLES if s["direction"] == "set"], ids=lambda sample: sample["id"]
)
def test_what_is_written_is_the_sample_to_the_byte(sample: dict[str, Any]) -> None:
    assert proplib.dump(plistlib.loads(sample["xml"].encode())) == sample["xml"]


@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_there_and_back(value: dict[str, Any]) -> None:
    text = proplib.dump(value)
    assert proplib.load(text) == value
    assert plistlib.loads(text.encode()) == value
    assert proplib.load(plistlib.dumps(value).decode()) == value


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("<dict/>", {}),
        ("<array/>", []),
        ("<array><string/><data/><true/><false/></array>", ["", b"", True, False]),
        ("<array><integer>-5</integer><integer>-0x10</integer></array>", [-5, -16]),
        ("<integer> 0XFF </integer>", 255),
        ("<string>&lt;&amp;lt;&gt;&quot;&apos;</string>", "<&lt;>\"'"),
        ("<data>\n\tAA\n\tAA\n</data>", bytes(3)),
        ("<!-- a word --><true/>", True),
    ],
)
def test_values(body: str, value: object) -> None:
    assert proplib.load(plist(body)) == value


@pytest.mark.parametrize(
    "text",
    [
        "", "text", "<plist>", "</plist>", "<plist></plist>", "<true/>", "<plist/>",
        plist(""), plist("<true/><true/>"), plist("<dict>"), plist("</dict>"),
        plist("<dict></array>"), plist("<array></dict>"), plist("<array>text</array>"),
        plist("<dict><key>a</key></dict>"), plist("<dict><true/></dict>"),
        plist("<dict><key>a</key><key>b</key><true/></dict>"),
        plist("<dict><key>a</key><true/><key>a</key><true/></dict>"),
        plist("<key>a</key>"), plist("<array><key>a</key></array>"),
        plist("<integer></integer>"), plist("<integer>five</integer>"),
        plist("<integer>--5</integer>"), plist("<integer>1_000</integer>"),
        plist("<integer>0x</integer>"), plist(f"<integer>{'9' * 5000}</integer>"),
        plist("<integer>\u0665</integer>"), plist("<data>A</data>"), plist("<data>*</data>"),
        plist("<data>AAAA====</data>"), plist("<real>1.5</real>"), plist("<string>a"),
        plist("<string>a<true/></string>"), plist("<true/>") * 2, plist("<true/>") + "<true/>",
        "<plist><plist><true/></plist></plist>", plist("<array>" * 20 + "</array>" * 20),
        "<plist><true/", plist("<array><plist></array>"), "<plist><array></plist></array>",
    ],
)  # fmt: skip
def test_text_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(proplib.Malformed):
        proplib.load(text)


TAGS = ["plist", "array", "dict", "key", "string", "data", "integer", "true", "false"]
PIECES = st.sampled_from(
    [form.format(tag) for tag in TAGS for form in ("<{}>", "</{}>", "<{}/>")]
    + ["a", "AAAA", "0x5", "-", "\n", "<", ">", "&lt;", "<?xml?>"]
)


@given(st.lists(PIECES, max_size=20).map("".join) | st.text(max_size=40))
def test_whatever_comes_in_only_malformed_goes_out(text: str) -> None:
    for whole in (text, f"<plist>{text}</plist>"):
        with contextlib.suppress(proplib.Malformed):
            proplib.load(whole)


@given(st.sampled_from(SAMPLES), st.data())
def test_damaged_samples(sample: dict[str, Any], data: st.DataObject) -> None:
    text = sample["xml"]
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    with contextlib.suppress(proplib.Malformed):
        proplib.load(text[:start] + data.draw(st.sampled_from(["", "<", "x", text])) + text[end:])
