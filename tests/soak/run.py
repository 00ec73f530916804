# SPDX-License-Identifier: MIT
"""`make soak`: an hour of troubles (SOAK_SECONDS), a line a minute, and the closing figures."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.interop.hosts import why_not
from tests.soak.soak import SPEED, Soak


def main() -> int:
    if reason := why_not():
        print(f"cannot soak: {reason}")
        return 1
    seconds = float(os.environ.get("SOAK_SECONDS", "3600"))
    seed = int(os.environ.get("SOAK_SEED", time.time_ns()))
    print(f"{seconds:.0f} s, {SPEED:g} times as fast, SOAK_SEED={seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        soak = Soak(Path(directory), lambda line: print(line, flush=True))
        try:
            closing = soak.run(seconds, seed)
        except AssertionError as error:
            print(f"FAILED: {error}")
            return 1
    for name, figure in closing.items():
        print(f"{name}: {figure}")
    for name, count in sorted(soak.troubles.items()):
        print(f"  {count:4} {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
