# SPDX-License-Identifier: MIT
"""Pure code is tested by pure tests alone: no socket, no clock, no root needed to reach it.

Which code is pure is said once, by the import contract in pyproject.toml.  The floor over
all of it is where it stands, less one for rounding; raise it, never lower it.  No file of it
hides behind the others: each has a floor of its own.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
FLOOR = 98  # per cent of lines and branches, over all of it
FLOOR_OF_A_FILE = 93
# The recorded plans of the other systems are values in, values out, as unit tests are.
TESTS = ("tests/unit", "tests/golden/test_quick_plans.py")
CONTRACT = "pure code never reaches the outside world"


def pure() -> list[str]:
    """The files of the modules and packages in the contract, as patterns."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (contract,) = (one for one in settings["contracts"] if one["name"] == CONTRACT)
    found = []
    for module in contract["source_modules"]:
        path = Path(*module.split("."))
        if module.startswith("wgtools_backends"):
            path = "backends" / path
        assert (ROOT / path).is_dir() or (ROOT / path).with_suffix(".py").is_file(), module
        found.append(f"{path}/*" if (ROOT / path).is_dir() else f"{path}.py")
    return found


def coverage(tmp_path: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "coverage", *words],
        cwd=ROOT,
        env={"COVERAGE_FILE": str(tmp_path / "data"), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return done.stdout


def test_pure_tests_reach_the_pure_code(tmp_path: Path) -> None:
    coverage(tmp_path, "run", "--branch", "-m", "pytest", "-q", *TESTS)
    report = tmp_path / "report.json"
    coverage(tmp_path, "json", "-o", str(report), f"--include={','.join(pure())}")
    found = json.loads(report.read_text())
    low = {
        name: round(percent, 1)
        for name, one in found["files"].items()
        if (percent := one["summary"]["percent_covered"]) < FLOOR_OF_A_FILE
    }
    assert low == {}
    assert found["totals"]["percent_covered"] >= FLOOR
