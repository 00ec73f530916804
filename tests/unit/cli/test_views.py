# SPDX-License-Identifier: MIT
"""How devices look; the recorded cases hold every byte, these the corners (WG_COMPAT 8)."""

from __future__ import annotations

import pytest

from wgtools.cli import views
from wgtools.keys import Key
from wgtools.model import Device, Peer

KEY = Key(b"\x0a" * 32)
PLAIN = views._Palette(False)


def pretty(device: Device, *, colour: bool = False) -> str:
    return views.pretty(device, now=1_000_000_000, colour=colour, hide_keys=True)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (1048575, "1024.00 KiB"),
        (1048576, "1.00 MiB"),
        (2**30, "1.00 GiB"),
        (2**40, "1.00 TiB"),
        (2**64 - 1, "16777216.00 TiB"),
    ],
)
def test_size(count: int, text: str) -> None:
    assert views._size(count, PLAIN) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "1 second"),
        (60, "1 minute"),
        (3 * 31536000 + 86400 + 61, "3 years, 1 day, 1 minute, 1 second"),
        (2 * 3600 + 59, "2 hours, 59 seconds"),
    ],
)
def test_time(seconds: int, text: str) -> None:
    assert views._time(seconds, PLAIN) == text


def test_ago() -> None:
    assert views._ago(0, PLAIN) == "Now"
    assert views._ago(5, PLAIN) == "5 seconds ago"
    assert views._ago(-1, PLAIN).startswith("(System clock wound backward")


def test_peers_by_latest_handshake_ties_as_they_came() -> None:
    times = [(0, 0), (5, 1), (5, 2), (9, 0), (5, 2), (0, 1), (0, 0)]
    peers = [
        Peer(Key(bytes([n]) * 32), handshake_sec=s, handshake_nsec=ns)
        for n, (s, ns) in enumerate(times)
    ]
    text = pretty(Device("wg0", peers=peers))
    shown = [line.removeprefix("peer: ") for line in text.split("\n") if line.startswith("peer")]
    assert shown == [peers[n].public_key.base64() for n in (3, 2, 4, 1, 5, 0, 6)]


def test_a24_a_handshake_on_the_second_is_shown() -> None:
    never, then = Peer(KEY), Peer(KEY, handshake_sec=999_999_995, handshake_nsec=0)
    assert "latest handshake: 5 seconds ago\n" in pretty(Device("wg0", peers=[then]))
    assert "latest handshake" not in pretty(Device("wg0", peers=[never]))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("wg0", "wg0"),
        ("a\x1b[31mb", "ab"),
        ("a\x1b[1;2", "a"),  # runs on into the reset behind the name
        ("a\x1bb", "a\x1bb"),
        ("\x1b[\xe9x", ""),
    ],
)
def test_names_lose_their_own_colours_with_the_others(name: str, shown: str) -> None:
    assert pretty(Device(name)) == f"interface: {shown}\n"


def test_names_keep_their_colours_where_there_are_some() -> None:
    assert "a\x1b[31mb" in pretty(Device("a\x1b[31mb"), colour=True)


def test_unknown_field() -> None:
    with pytest.raises(views.UnknownField) as raised:
        views.field(Device("wg0"), "bogus", named=False)
    assert raised.value.message == "Invalid parameter: `bogus'"


def test_fields_of_an_empty_device() -> None:
    shown = {name: views.field(Device("wg0"), name, named=True) for name in views.FIELDS}
    assert {name: text for name, text in shown.items() if text} == {
        "public-key": "wg0\t(none)\n",
        "private-key": "wg0\t(none)\n",
        "listen-port": "wg0\t0\n",
        "fwmark": "wg0\toff\n",
        "dump": "wg0\t(none)\t(none)\t0\toff\n",
    }


def test_named_rows_carry_the_name_in_each() -> None:
    device = Device("wg0", peers=[Peer(KEY), Peer(KEY)])
    assert views.field(device, "peers", named=True) == f"wg0\t{KEY.base64()}\n" * 2
