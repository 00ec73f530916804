# SPDX-License-Identifier: MIT
"""Starts the machine and runs in it, under a real kernel's WireGuard, what `inside` holds
and the contract that every backend must pass."""

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
TIMEOUT = 540


def test_everything_inside_passes() -> None:
    try:
        vm.check_programs()
        vm.fetched_kernel()
    except vm.Missing as missing:
        pytest.skip(str(missing))
    pytest_words = [sys.executable, "-B", "-m", "pytest", "-v", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, vm.__file__, f"--timeout={TIMEOUT}", "--", *pytest_words, *SUITES],
        cwd=ROOT,
        env={**os.environ, "WGTOOLS_KERNEL_DEVICES": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 10
