# SPDX-License-Identifier: MIT
"""OpenBSD's structures, held to what compilers made of its headers; choosing one of two."""

import json
from pathlib import Path
from typing import Any

import pytest

from wgtools_backends.bsd import layout as machines
from wgtools_backends.bsd.layout import I386, ILP32, LP64
from wgtools_backends.openbsd.layout import CLASSIC, DESCRIBED, PeerLayout, of, release_number

VECTORS = Path(__file__).parents[3] / "vectors/bsd_layouts.json"
TARGETS: dict[str, Any] = {
    name: found
    for name, found in json.loads(VECTORS.read_text())["layouts"].items()
    if name.startswith("openbsd")
}
MACHINES = {"lp64": LP64, "ilp32-align8": ILP32, "i386": I386}
KEY = bytes(range(32))


def made(target: str) -> PeerLayout:
    kind, _, machine = target.partition(".")
    return PeerLayout(described=kind == "openbsd-74", machine=MACHINES[machine])


def at(target: str, field: str) -> slice:
    offset, size = TARGETS[target]["offset"][field]
    return slice(offset, offset + size)


def test_there_are_six() -> None:
    assert len(TARGETS) == 6


@pytest.mark.parametrize("target", TARGETS)
def test_sizes(target: str) -> None:
    layout, recorded = made(target), TARGETS[target]
    assert layout.data_io.size == recorded["sizeof"]["wg_data_io"]
    assert layout.interface.size == at(target, "wg_interface_io.i_peers").start
    assert layout.peer.size == at(target, "wg_peer_io.p_aips").start
    assert layout.peer.size + layout.slack == recorded["sizeof"]["wg_peer_io"]
    assert layout.network.size == recorded["sizeof"]["wg_aip_io"]


@pytest.mark.parametrize("target", TARGETS)
def test_numbers_of_the_calls(target: str) -> None:
    size = made(target).data_io.size
    for name, index in (("SIOCSWG", 210), ("SIOCGWG", 211)):
        number = machines.number(machines.INOUT, index, size)
        assert f"{number:#x}" == TARGETS[target]["ioctl"][name]


@pytest.mark.parametrize("target", TARGETS)
def test_fields_of_the_argument_and_the_interface(target: str) -> None:
    layout = made(target)
    argument = layout.data_io.pack(b"wg0", 7, 9)
    assert argument[at(target, "wg_data_io.wgd_name")] == b"wg0".ljust(16, b"\0")
    assert number(argument, at(target, "wg_data_io.wgd_size")) == 7
    assert number(argument, at(target, "wg_data_io.wgd_interface")) == 9
    head = layout.interface.pack(31, 51820, -1, KEY, KEY[::-1], 5)
    assert number(head, at(target, "wg_interface_io.i_flags")) == 31
    assert number(head, at(target, "wg_interface_io.i_port")) == 51820
    assert head[at(target, "wg_interface_io.i_rtable")] == b"\xff" * 4
    assert head[at(target, "wg_interface_io.i_public")] == KEY
    assert head[at(target, "wg_interface_io.i_private")] == KEY[::-1]
    assert number(head, at(target, "wg_interface_io.i_peers_count")) == 5


@pytest.mark.parametrize("target", TARGETS)
def test_fields_of_a_peer_and_an_allowed_ip(target: str) -> None:
    layout = made(target)
    peer = layout.peer.pack(1, 2, KEY, KEY[::-1], 3, b"E" * 28, 4, 5, 6, 7, 8)
    assert peer[at(target, "wg_peer_io.p_public")] == KEY
    assert peer[at(target, "wg_peer_io.p_psk")] == KEY[::-1]
    assert peer[at(target, "wg_peer_io.p_endpoint")] == b"E" * 28
    numbers = {
        name: number(peer, at(target, f"wg_peer_io.p_{name}"))
        for name in ("flags", "protocol_version", "pka", "txbytes", "rxbytes", "aips_count")
    }
    assert numbers == {
        **{"flags": 1, "protocol_version": 2, "pka": 3},
        **{"txbytes": 4, "rxbytes": 5, "aips_count": 8},
    }
    handshake = peer[at(target, "wg_peer_io.p_last_handshake")]
    assert number(handshake, slice(0, 8)) == 6
    assert number(handshake, slice(8, 12)) == 7
    network = layout.network.pack(24, 64, KEY[:16])
    assert network[at(target, "wg_aip_io.a_af")] == b"\x18"
    assert number(network, at(target, "wg_aip_io.a_cidr")) == 64
    assert network[at(target, "wg_aip_io.a_addr")] == KEY[:16]


def number(data: bytes, where: slice) -> int:
    return int.from_bytes(data[where], "little")  # the recordings are little-endian


@pytest.mark.parametrize(
    ("release", "first"),
    [
        ("6.8", CLASSIC), ("6.9", CLASSIC), ("7.3", CLASSIC),
        ("7.4", DESCRIBED), ("7.9", DESCRIBED), ("8.0", DESCRIBED), ("10.2", DESCRIBED),
        ("", DESCRIBED), ("7", DESCRIBED), ("seven.four", DESCRIBED), ("7.x", DESCRIBED),
    ],
)  # fmt: skip
def test_the_release_decides_which_layout_is_tried_first(release: str, first: PeerLayout) -> None:
    layouts = of(release)
    assert layouts[0] is first
    assert set(layouts) == {CLASSIC, DESCRIBED}


def test_releases_compare_as_numbers() -> None:
    assert release_number("6.9") < release_number("7.0") < release_number("10.0")
    assert release_number("7.8-current") == (7, 8)
