# SPDX-License-Identifier: MIT
"""What `status` says of peers that never answered."""

from __future__ import annotations

import pytest

from wgtools.cli import quick_status
from wgtools.keys import Key
from wgtools.model import Device, Endpoint, Peer
from wgtools.quick.status import Status

OWN = Key(bytes(31) + b"\1")
ONE, TWO = Key(bytes(31) + b"\2"), Key(bytes(31) + b"\3")
THERE = Endpoint("192.0.2.1", 51820)


def shown(*peers: Peer, own: Key | None = OWN) -> list[str]:
    device = Device("wg0", public_key=own, peers=list(peers))
    rows = quick_status._rows(Status("wg0", up=True, device=device), 1000)
    lines = ["".join(text for text, _ in row) for row in rows]
    return lines[lines.index("  peers    " + str(len(peers))) + 1 :]


def test_silence_is_explained_once_behind_the_first_who_keeps_it() -> None:
    silent = Peer(ONE, endpoint=THERE, tx_bytes=148)
    lines = shown(silent, Peer(TWO, endpoint=THERE, tx_bytes=148))
    assert [line[:20] for line in lines] == [
        f"    {ONE.base64()}"[:20],
        "      no handshake yet, "[:20],
        "      no answer: is ",
        "      if so, it needs"[:20],
        f"    {TWO.base64()}"[:20],
        "      no handshake yet, "[:20],
    ]
    assert lines[3].endswith(f"needs PublicKey = {OWN.base64()}")
    assert len(shown(silent, own=None)) == 3


def test_all_fits_80_columns() -> None:
    far = Endpoint("2001:db8:1:2::3:4", 51820)
    talkative = Peer(ONE, endpoint=far, handshake_sec=941, rx_bytes=9 << 40, tx_bytes=99 << 30)
    lines = shown(talkative, Peer(TWO, endpoint=far, tx_bytes=148))
    assert lines[1] == (
        "      handshake 59 s ago, 9.0 TiB in, 99.0 GiB out, [2001:db8:1:2::3:4]:51820"
    )
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    "peer",
    [
        Peer(ONE),
        Peer(ONE, tx_bytes=148, rx_bytes=92),
        Peer(ONE, tx_bytes=148, rx_bytes=92, handshake_sec=900),
        Peer(ONE, rx_bytes=148),
    ],
)
def test_who_answered_or_was_never_asked_needs_no_advice(peer: Peer) -> None:
    assert len(shown(peer)) == 2
