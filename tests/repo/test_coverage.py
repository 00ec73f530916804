# SPDX-License-Identifier: MIT
"""Pure code is tested by unit tests alone: no socket, no clock, no root needed to reach it.

The floor is where it stands, less one for rounding; raise it, never lower it.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FLOOR = 97  # per cent of lines and branches, over all of it
PURE = (
    *("wgtools/engine/*", "wgtools/conf/*", "wgtools/uapi/*", "wgtools/crypto/*"),
    *(
        "wgtools/model.py",
        "wgtools/keys.py",
        "wgtools/inet.py",
        "wgtools/quick/plan.py",
        "wgtools/quick/bsdtext.py",
    ),
    *(f"backends/wgtools_backends/linux/{name}.py" for name in ("netlink", "codec", "dump")),
    *(f"backends/wgtools_backends/freebsd/{name}.py" for name in ("nvlist", "codec", "quirks")),
    *(f"backends/wgtools_backends/bsd/{name}.py" for name in ("layout", "sockaddr")),
    *(f"backends/wgtools_backends/openbsd/{name}.py" for name in ("layout", "codec")),
    *(f"backends/wgtools_backends/netbsd/{name}.py" for name in ("proplib", "codec", "plan")),
    *(f"backends/wgtools_backends/windows/{name}.py" for name in ("codec", "failure")),
)


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


def test_unit_tests_reach_the_pure_code(tmp_path: Path) -> None:
    coverage(tmp_path, "run", "--branch", "-m", "pytest", "-q", "tests/unit")
    coverage(tmp_path, "report", f"--fail-under={FLOOR}", f"--include={','.join(PURE)}")
