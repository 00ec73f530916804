# SPDX-License-Identifier: MIT
"""Every recorded case of C `wg` on kernel devices, through our command as a process.

What was sent is compared in meaning: device attributes, then peers in order, a peer that
goes on in a later message merged into its first part.  Where messages are cut may differ.
"""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from errno import ENODEV, EPERM
from pathlib import Path
from typing import Any

import pytest

from tests.golden.shapes import named_wg
from tests.golden.worker import to_bytes
from tests.golden.world import World
from wgtools.testing.fake_kernel import attributes

ROOT = Path(__file__).parents[2]
CASES = json.loads((ROOT / "tests/vectors/wg_netlink.json").read_text())["cases"]
PEERS, ALLOWED_IPS, PUBLIC_KEY = 8, 9, 1
START = """#!{python}
import sys

sys.path[:0] = {paths}
from tests.golden.scripted_kernel import main

sys.exit(main())
"""

Case = dict[str, Any]
Run = Callable[[Case], Case]
Peer = tuple[dict[int, str], list[dict[int, str]]]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kernel") / "wg"
    paths = [str(ROOT), str(ROOT / "backends")]
    path.write_text(START.format(python=sys.executable, paths=paths))
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def run_wg(worlds: Callable[[str], World], command: Path) -> Run:
    world = worlds(str(command))
    script, log = command.with_name("case.json"), command.with_name("case.log")

    def run(case: Case) -> Case:
        log.unlink(missing_ok=True)
        script.write_text(json.dumps(case))
        defaults: Case = {"stdin": None, "files": {}, "uapi_get_reply": None}
        got = world.run({**defaults, **case, "env": {"SCRIPTED_KERNEL": str(script)}})
        return {**got, **json.loads(log.read_text())}

    return run


def meaning(messages: list[str]) -> tuple[dict[int, str], list[Peer]]:
    device: dict[int, str] = {}
    peers: list[Peer] = []
    for number, text in enumerate(messages):
        for kind, value in attributes(bytes.fromhex(text)):
            if kind != PEERS:
                assert device.setdefault(kind, value.hex()) == value.hex()
                continue
            for _, entry in attributes(value):
                add_peer(peers, entry, may_continue=number > 0)
    return device, peers


def add_peer(peers: list[Peer], entry: bytes, *, may_continue: bool) -> None:
    settings: dict[int, str] = {}
    networks: list[dict[int, str]] = []
    for kind, value in attributes(entry):
        if kind == ALLOWED_IPS:
            networks += [
                {part: payload.hex() for part, payload in attributes(network)}
                for _, network in attributes(value)
            ]
        else:
            settings[kind] = value.hex()
    only_key = set(settings) == {PUBLIC_KEY}
    if may_continue and peers and only_key and networks:
        last, earlier = peers[-1]
        if last[PUBLIC_KEY] == settings[PUBLIC_KEY]:
            earlier += networks
            return
    peers.append((settings, networks))


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in CASES])
def test_recorded(case: Case, run_wg: Run) -> None:
    got, wanted = run_wg(case), case["expect"]
    for stream in ("stdout", "stderr"):
        assert named_wg(to_bytes(got[stream]) or b"") == named_wg(to_bytes(wanted[stream]) or b"")
    for what in ("exit", "gets", "uapi_set_requests"):
        assert got[what] == wanted[what]
    assert bool(got["sets"]) == bool(wanted["sets"])
    assert meaning(got["sets"]) == meaning(wanted["sets"])


@pytest.mark.parametrize(
    ("case", "said", "hint"),
    [
        ({"family": False}, "Protocol not supported", "`wgtools-engine NAME` makes an interface"),
        ({"dumps": [{"error": EPERM}]}, "Operation not permitted", "this needs CAP_NET_ADMIN"),
        ({"dumps": [{"messages": [], "done_error": ENODEV}]}, "No such device", "`wg show interf"),
    ],
    ids=["no module", "no permission", "vanished"],
)
def test_a_person_is_told_what_to_do_and_a_script_is_not(
    case: Case, said: str, hint: str, command: Path, tmp_path: Path
) -> None:
    (tmp_path / "case").write_text(json.dumps(case))
    environ = {**os.environ, "SCRIPTED_KERNEL": str(tmp_path / "case")}
    heard = []
    for reader, writer in (pty.openpty(), os.pipe()):
        words = [str(command), "show", "wg-nowhere"]
        done = subprocess.run(words, stderr=writer, env=environ, check=False)
        heard.append(os.read(reader, 1 << 16).decode().splitlines())
        os.close(reader)
        os.close(writer)
        assert done.returncode == 1
    person, program = heard
    assert program == person[:1] == [f"Unable to access interface: {said}"]
    assert hint in person[1]


def test_all_cases_are_here() -> None:
    assert len(CASES) == len({case["id"] for case in CASES}) == 64


def test_the_comparison_sees_a_lost_network() -> None:
    case = next(case for case in CASES if case["id"] == "netlink/set-two-peers")
    (sent,) = case["expect"]["sets"]
    assert meaning([sent]) == meaning([sent])
    assert meaning([sent.replace("0a000000", "0a000001")]) != meaning([sent])
