# SPDX-License-Identifier: MIT
"""The verbs that the original has must not pay for those that it has not (decision 0023)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"typer", "rich", "pydantic", "wgtools.cli.quick_verbs", "wgtools.quick.lint"}
PROBE = """
import sys
from wgtools.cli.wg_quick import main
sys.argv = ["wg-quick", *sys.argv[1:]]
main()
print("--", *sys.modules, sep="\\n")
"""


def modules_after(*words: str) -> set[str]:
    """Modules in a process that has run `wg-quick WORDS`; nothing here gets as far as a change."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{PROBE}", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.rpartition("--\n")[2].split())


@pytest.fixture
def broken(tmp_path: Path) -> str:
    """A file that `up` refuses once it has read and judged all of it."""
    path = tmp_path / "nosuch0.conf"
    path.write_text("[Interface]\nAddress = 10.0.0.1/33\nPostUp = true\n[Peer]\n")
    return str(path)


@pytest.mark.parametrize("words", [["up"], ["down"], ["save"], ["strip"], ["up", "--strict"]])
def test_classic_verbs_load_nothing_of_the_new_ones(words: list[str], broken: str) -> None:
    loaded = modules_after(*words, broken)
    assert "wgtools.cli.wg_quick" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("words", [[], ["--help"], ["nonsense", "wg0"], ["up", "wg0", "wg1"]])
def test_the_usage_text_loads_nothing_at_all(words: list[str]) -> None:
    loaded = modules_after(*words)
    assert loaded & HEAVY == set()
    assert "wgtools.quick.updown" not in loaded


def test_a_pipe_needs_no_rich_and_a_linter_no_netlink(broken: str) -> None:
    loaded = modules_after("check", broken)
    assert "typer" in loaded
    assert not {"rich", "pyroute2"} & loaded
