# SPDX-License-Identifier: MIT
"""Layouts and numbers of the BSDs, held to what compilers made of their headers."""

import json
from pathlib import Path
from typing import Any

import pytest

from wgtools_backends.bsd import layout
from wgtools_backends.bsd.layout import I386, ILP32, IN, INOUT, LP64, Layout

VECTORS = Path(__file__).parents[3] / "vectors/bsd_layouts.json"
TARGETS: dict[str, Any] = json.loads(VECTORS.read_text())["layouts"]
KINDS = {"lp64": LP64, "ilp32-align8": ILP32, "i386": I386}
IFREQ_SIZE = 32  # of FreeBSD and OpenBSD
WITH_GROUPS = [name for name, found in TARGETS.items() if "SIOCGIFGMEMB" in found["ioctl"]]


def kind(target: str) -> Layout:
    return KINDS[target.partition(".")[2]]


@pytest.mark.parametrize("target", WITH_GROUPS)
def test_numbers_of_the_calls_on_groups_and_interfaces(target: str) -> None:
    recorded = TARGETS[target]["ioctl"]
    size = kind(target).ifgroupreq_size
    made = {
        "SIOCGIFGMEMB": layout.number(INOUT, 138, size),
        "SIOCGIFGROUP": layout.number(INOUT, 136, size),
        "SIOCAIFGROUP": layout.number(IN, 135, size),
        "SIOCIFDESTROY": layout.number(IN, 121, IFREQ_SIZE),
        "SIOCGIFFLAGS": layout.number(INOUT, 17, IFREQ_SIZE),
    }
    assert {name: f"{value:#x}" for name, value in made.items()} == {
        name: recorded[name] for name in made
    }


@pytest.mark.parametrize("target", WITH_GROUPS)
def test_ifgroupreq_fields_stand_where_the_compiler_puts_them(target: str) -> None:
    request = kind(target).ifgroupreq(b"wg", size=0x11223344, address=0x55667788)
    offset = TARGETS[target]["offset"]
    assert len(request) == TARGETS[target]["sizeof"]["ifgroupreq"]
    start, size = offset["ifgroupreq.ifgr_len"]
    assert request[start : start + size] == (0x11223344).to_bytes(4, "little")
    start, _ = offset["ifgroupreq.ifgr_ifgru"]
    assert request[start : start + 4] == (0x55667788).to_bytes(4, "little")
    assert kind(target).ifgroupreq_length(request) == 0x11223344


def test_a_native_layout_is_one_of_the_known() -> None:
    assert layout.NATIVE in KINDS.values()


def test_a_word_is_a_pointer() -> None:
    assert [kind.struct("16sWW").size for kind in (LP64, ILP32, I386)] == [32, 24, 24]


def test_text_ends_at_its_nul() -> None:
    assert layout.text(b"wg0\0rest\0") == b"wg0"
    assert layout.text(b"sixteen-bytes-no") == b"sixteen-bytes-no"
