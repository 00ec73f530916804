# SPDX-License-Identifier: MIT
"""Four minutes of `make soak`, forty of the protocol's: every trouble, no packet without excuse."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.interop.hosts import why_not
from tests.soak.soak import Soak

SECONDS = 240.0


@pytest.mark.slow
@pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")
def test_four_minutes_of_troubles(tmp_path: Path) -> None:
    seed = 51820 if os.environ.get("WGTOOLS_NO_SKIP") else time.time_ns()
    print(f"SOAK_SEED={seed}")
    closing = Soak(tmp_path, print).run(SECONDS, seed)
    for name, figure in closing.items():
        print(f"{name}: {figure}")
