# SPDX-License-Identifier: MIT
"""Every recorded wg-quick case: the same end state as the original's, or the sane one.

The vectors (tests/vectors/wg_quick.json says where they come from) hold the state of
kernel, files and resolver after each step.  Where the original has a bug they also
hold the state without it, which is ours.  DEPARTURES lists the cases in which we do
better than either on purpose; docs/decisions/0020 says why.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.golden.quickhost import missing_tools, play_apart

Json = Any

HERE = Path(__file__).parent
VECTORS = HERE.parent / "vectors/wg_quick.json"
CASES: list[Json] = json.loads(VECTORS.read_text())["cases"]
SCRIPTS = Path(sys.executable).parent
WORKERS = 2

# id -> how every step must end instead: exit status, interface there afterwards
DEPARTURES = {
    "table-off-uppercase": [(0, True), (0, False)],
    "table-auto-uppercase": [(0, True), (0, False)],
    "root-asks-sudo": [(42, False), (42, False), (0, False), (42, False)],
    "link-deleted-by-hand": [(0, True), (0, False), (0, False), (0, True), (0, False)],
    "save-drops-comments": [(0, True), (0, False)],
    "address-v6-disabled": [(0, True), (0, False)],
    "mtu-below-1280-v6": [(0, True), (0, False)],
    "fw-none": [(0, True), (0, False)],
}
CLEAN = ("addrs", "routes4", "routes6", "rules4", "rules6", "nft", "iptables", "wg", "sockets")
PROGRAMS = {
    "wg-quick": str(SCRIPTS / "wg-quick"),
    "wg": str(SCRIPTS / "wg"),
    # Only reached through WG_QUICK_USERSPACE_IMPLEMENTATION: ours needs no PATH.
    "wireguard-go": str(SCRIPTS / "wgtools-engine"),
}


@pytest.fixture(scope="session")
def results(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[list[Json]]]]:
    """All collected cases, under way in the background from the first one's start."""
    if why := missing_tools():
        pytest.skip(why)
    ids = {item.name for item in request.session.items}
    wanted = [case for case in CASES if f"test_recorded_case[{case['id']}]" in ids]
    with ThreadPoolExecutor(WORKERS) as pool:
        yield {
            case["id"]: pool.submit(play_apart, case, PROGRAMS, PROGRAMS["wg"]) for case in wanted
        }
        pool.shutdown(cancel_futures=True)


def differences(step: Json, want: Json, got: Json) -> list[str]:
    """What is not as recorded, one line each."""
    found = []
    exits = [want["exit"], got["exit"]]
    if not step.get("exit_exact", True):
        exits = [bool(status) for status in exits]
    if exits[0] != exits[1]:
        found.append(f"exit: want {want['exit']}, got {got['exit']}\n{got['stderr']}")
    if want["stdout"] != got["stdout"] and not step.get("stdout_free"):
        found.append(f"stdout: want {want['stdout']!r}, got {got['stdout']!r}")
    for key in sorted(set(want["state"]) | set(got["state"])):
        wanted, is_ = want["state"].get(key), got["state"].get(key)
        if (wanted or is_) and wanted != is_ and key not in step.get("ignore", []):
            found.append(f"{key}:\n  want {json.dumps(wanted)}\n  got  {json.dumps(is_)}")
    return found


def check_departure(ends: list[tuple[int, bool]], case: Json, got: list[Json]) -> None:
    """Ends as we decided, nothing left over where no interface is, no file changed."""
    assert [(step["exit"], "wg0" in step["state"]["links"]) for step in got] == ends
    for step in got:
        if step["exit"] == 0 and step is got[-1]:
            assert {key: step["state"][key] for key in CLEAN if step["state"][key]} == {}
        contents = [file["content"] for file in step["state"]["files"].values()]
        assert contents == ["as given"] * len(case["files"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_recorded_case(case: Json, results: dict[str, Future[list[Json]]]) -> None:
    got = results[case["id"]].result()
    expected = case.get("expect_fixed") or case["expect"]
    assert len(got) == len(expected)
    if case["id"] in DEPARTURES:
        check_departure(DEPARTURES[case["id"]], case, got)
        return
    for number, (step, want, have) in enumerate(zip(case["steps"], expected, got, strict=True)):
        ignored = step.get("ignore", []) + case.get("ignore", [])
        found = differences(step | {"ignore": ignored}, want, have)
        assert not found, f"step {number} {' '.join(step['argv'])}:\n" + "\n".join(found)


def test_no_recorded_key_is_ever_echoed(results: dict[str, Future[list[Json]]]) -> None:
    """Keys of the files never show on stderr, except where wg(8) names a bad one."""
    for name, future in results.items():
        case = next(case for case in CASES if case["id"] == name)
        keys = set(re.findall(r"(?:PrivateKey|PresharedKey) = (\S{44})", json.dumps(case)))
        said = "".join(step["stderr"] for step in future.result())
        assert not [key for key in keys if key in said], name


def test_departures_are_all_cases() -> None:
    assert set(DEPARTURES) <= {case["id"] for case in CASES}
