# SPDX-License-Identifier: MIT
"""tests/native: that each system would run its own tests, and this one says why it runs none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# pytest in a process that takes itself to be on another system.
PRETEND = """
import sys, sysconfig, pytest
sysconfig.get_config_vars()  # those of the system that this really is
sys.platform = sys.argv.pop(1)
raise SystemExit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


def pretend(platform: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PRETEND, platform, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 5), done.stdout + done.stderr  # 5: nothing collected
    return done.stdout


@pytest.mark.parametrize(
    ("platform", "file"),
    [
        ("freebsd14", "test_freebsd.py"),
        ("openbsd7", "test_openbsd.py"),
        ("netbsd10", "test_netbsd.py"),
        ("darwin", "test_macos.py"),
    ],
)
def test_each_system_runs_its_own(platform: str, file: str) -> None:
    shown = pretend(platform, "--collect-only", "tests/native")
    collected = {line.partition("::")[0] for line in shown.splitlines() if "::" in line}
    assert collected == {f"tests/native/{file}"}
    assert "not run: native" not in shown


def test_elsewhere_than_on_linux_its_tiers_are_not_collected_and_named() -> None:
    skip = ("--ignore=tests/unit", "--ignore=tests/fuzz")  # they would be, and take long
    shown = pretend("freebsd14", "--collect-only", *skip, "tests")
    collected = {line.split("/")[1] for line in shown.splitlines() if "::" in line}
    assert collected == {"native"}
    (line,) = [line for line in shown.splitlines() if line.endswith("they are of Linux")]
    named = set(line.removeprefix("not run: ").partition(":")[0].split(", "))
    assert {"contract", "interop", "kernel", "repo"} <= named
    assert not named & {"native", "unit", "fuzz"}


def test_linux_says_why_it_runs_none() -> None:
    shown = pretend("linux", "tests/native")
    assert "\nnot run: native: this is linux; `make test` on FreeBSD" in shown
    assert "skipped" not in shown
