# SPDX-License-Identifier: MIT
"""No key gets through, and what is no key does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgtools.conf.redact import without_keys, without_value
from wgtools.keys import Key

KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"`{KEY}'", "`(hidden)'"),
        (f"{KEY}{KEY}", "(hidden)(hidden)"),
        (f"a {KEY[:40]} b", "a (hidden) b"),
        (f"{KEY[:39]} {KEY[:39]}", f"{KEY[:39]} {KEY[:39]}"),
        ("a" * 43, "(hidden)"),
        (f"={KEY}==x=", "=(hidden)x="),
        ("/etc/wireguard/customers/berlin/wg0.conf: nothing", None),
        (f"/etc/wireguard/{'directory/' * 9}wg0.conf", None),
        ("vpn.a-name-of-more-than-forty-characters.example.org:51820", None),
        ("", None),
    ],
)
def test_runs(text: str, shown: str | None) -> None:
    assert without_keys(text) == (text if shown is None else shown)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (f"PrivateKey{KEY}", "PrivateKey(hidden)"),
        (f"PrivatKey={KEY}", "PrivatKey=(hidden)"),
        (f'PrivateKey="{KEY}"', "PrivateKey=(hidden)"),
        ("PresharedKey=short", "PresharedKey=(hidden)"),
        ("PrivateKey=", "PrivateKey=(hidden)"),
        ("PrivateKey", "PrivateKey"),
        (f"{KEY[:20]}Key{KEY[20:]}", "(hidden)"),
        (f"Privat:{KEY}", "Privat:(hidden)"),
        (f"Privat={KEY[:24]}", "Privat=(hidden)"),
        (f"{KEY}", "(hidden)"),
        (f"{KEY[:30]}={KEY[30:]}", "(hidden)YUIgJBgB3fBmk="),
        ("Adress=10.0.0.1/24", "Adress=10.0.0.1/24"),
        ("PersistentKeepalive25", "PersistentKeepalive25"),
    ],
)
def test_lines(line: str, shown: str) -> None:
    assert without_value(line) == shown


@given(
    st.binary(min_size=32, max_size=32),
    st.text(alphabet="aZ9+/= \n'`.", max_size=9),
    st.text(alphabet="aZ9+/= \n'`.", max_size=9),
)
def test_no_key_gets_through(raw: bytes, before: str, after: str) -> None:
    key = Key(b"\x11\xf3" + raw[2:]).base64()
    assert key[:40] not in without_keys(f"{before}{key}{after}")
    assert key[:40] not in without_value(f"PrivateKey{before}{key}{after}")


def test_a_line_of_a_megabyte_of_keys_takes_no_time() -> None:
    """It took 20 s when what was left was copied for each key: more than a test may."""
    assert without_keys(f"{KEY[:40]}=" * 50_000) == "(hidden)" * 50_000
