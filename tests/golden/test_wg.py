# SPDX-License-Identifier: MIT
"""Every recorded case of C `wg`, through the installed command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.golden.shapes import named_wg, same
from tests.golden.worker import NOW, to_bytes

CASES = json.loads((Path(__file__).parents[1] / "vectors" / "wg.json").read_text())["cases"]

Case = dict[str, Any]


def at(now: int, text: bytes) -> bytes:
    """Text with its tokens of relative time filled in."""
    return NOW.sub(lambda m: b"%d" % (now + int(m[1] or b"0")), text)


def differences(case: Case, got: Case) -> list[str]:
    """What is not as recorded, in words; empty if all is."""
    if "broken" in got:
        return [got["broken"]]
    wanted, modes = case["expect"], case.get("compare") or {}
    found = []
    for stream in ("stdout", "stderr"):
        want, have = to_bytes(wanted[stream]) or b"", to_bytes(got[stream]) or b""
        if got["now"] is not None:
            want = at(got["now"], want)
        if got["kernel_wireguard"]:  # recorded without: the kernel knew no family "wireguard"
            want = want.replace(b"Protocol not supported", b"No such device")
        want, have = named_wg(want), named_wg(have)
        if not same(modes.get(stream, "exact"), want, have):
            found.append(f"{stream}: {have!r} instead of {want!r}")
    found += [
        f"{what}: {got[what]!r} instead of {wanted[what]!r}"
        for what in ("exit", "uapi_set_requests")
        if got[what] != wanted[what]
    ]
    found += [f"{what}: {got[what]}" for what in ("not_gone", "not_kept") if got[what]]
    return found


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in CASES])
def test_recorded(case: Case, run_wg: Callable[[Case], Case]) -> None:
    found = differences(case, run_wg(case))
    if found and case.get("time_relative"):  # a second may have turned meanwhile
        found = differences(case, run_wg(case))
    assert found == []


def test_all_cases_are_here() -> None:
    assert len(CASES) == len({case["id"] for case in CASES}) == 934
