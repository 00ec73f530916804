# SPDX-License-Identifier: MIT
"""`make bench`: run every measurement, or those whose names are given.

    python tests/bench/run.py [wg engine tunnel ...]

Each `bench_NAME.py` is a program of its own that prints a table of ratios against a
peer measured in the same run: these are the only figures worth comparing on noisy machines.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(names: list[str]) -> int:
    known = {path.stem.removeprefix("bench_"): path for path in sorted(HERE.glob("bench_*.py"))}
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no such measurement: {', '.join(unknown)}\n\nhint: there are {', '.join(known)}")
        return 1
    failed = 0
    for name in names or known:
        print(f"== {name}", flush=True)
        failed |= subprocess.run([sys.executable, known[name]], check=False).returncode != 0
        print(flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
