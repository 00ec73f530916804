# SPDX-License-Identifier: MIT
"""Starts the machine and runs in it, under a real kernel's WireGuard, what `inside` holds
and the contract that every backend must pass.

Every test inside appears in this run's output as it ends.  `WGTOOLS_UML=DIR` takes the
machine that tests/kernel/uml/build left in DIR, not QEMU.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernel import vm

ROOT = Path(__file__).parents[2]
SUITES = ["tests/kernel/inside", "tests/contract/test_backends.py"]
TIMEOUT = 480  # seconds; the boot is not in it, and ten minutes is what CI gives us
UML = os.environ.get("WGTOOLS_UML")


def inside(*words: str, timeout: int = TIMEOUT) -> list[str]:
    place = [f"--uml={UML}"] if UML else []
    return [sys.executable, vm.__file__, f"--timeout={timeout}", *place, "--", *words]


@pytest.fixture(autouse=True)
def _machine() -> None:
    if UML:
        return
    try:
        vm.check_programs()
        vm.fetched_kernel()
    except vm.Missing as missing:
        pytest.skip(str(missing))


def test_the_commands_status_and_output_come_out() -> None:
    words = inside("sh", "-c", "echo out; echo err >&2; printf '\\0\\377'; exit 7", timeout=60)
    done = subprocess.run(words, capture_output=True, check=False)
    assert done.returncode == 7, done.stderr
    assert done.stdout == b"out\nerr\n\0\xff"


def test_a_machine_that_dies_is_no_success() -> None:
    words = inside("sh", "-c", "/run/busybox poweroff -f; exit 0", timeout=60)
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == vm.MACHINE_FAILED
    assert "the machine failed" in done.stderr


def test_everything_inside_passes(capsys: pytest.CaptureFixture[str]) -> None:
    plugins = ["-p", "no:cacheprovider", "-p", "no:randomly"]
    pytest_words = [sys.executable, "-B", "-m", "pytest", "-v", *plugins, "--durations=5"]
    last = ""
    with (
        capsys.disabled(),
        subprocess.Popen(
            inside(*pytest_words, *SUITES),
            cwd=ROOT,
            env={**os.environ, "WGTOOLS_KERNEL_DEVICES": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        print()
        for line in process.stdout:
            print("  |", line.rstrip(), flush=True)
            last = line.strip() or last
    assert process.returncode == 0
    passed = re.search(r"(\d+) passed", last)
    assert passed is not None
    assert int(passed[1]) >= 40
    assert "skipped" not in last
