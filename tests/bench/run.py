# SPDX-License-Identifier: MIT
"""`make bench`: run every measurement, or those whose names are given.

    python tests/bench/run.py [wg engine tunnel ...] [--record FILE] [--against FILE [--most N]]
    python tests/bench/run.py tunnel --record FILE -- tcp1 --rounds 3

Each `bench_NAME.py` is a program of its own that prints a table of ratios against a
peer measured in the same run: these are the only figures worth comparing on noisy machines.
What stands behind `--` is for it.  `--record` puts the figures into a file, beside those of
other measurements that it has; `--against` compares them with such a file and fails if one
is more than N times as bad, twice in a row.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.figures import NOTES, Figure, Record, Verdict, compare, machine, noted

HERE = Path(__file__).parent
MOST = 1.3  # two runs of the same code differ by a fifth on a machine that others use


def run(name: str, words: list[str]) -> tuple[bool, dict[str, Figure]]:
    """Whether the measurement kept its own limits, and what it noted."""
    print(f"== {name}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        notes = Path(directory) / "notes"
        command = [sys.executable, str(HERE / f"bench_{name}.py"), *words]
        done = subprocess.run(command, env={**os.environ, NOTES: str(notes)}, check=False)
        print(flush=True)
        figures = {f"{name}: {what}": figure for what, figure in noted(notes)}
    return done.returncode == 0, figures


def read(path: Path) -> Record:
    try:
        return Record.read(path)
    except (OSError, ValueError) as error:
        hint = f"make one: python {sys.argv[0]} --record {path}"
        sys.exit(f"`{path}' is no record of figures: {error}\n\nhint: {hint}")


def record(path: Path, figures: dict[str, Figure], whole: set[str], remark: str) -> None:
    """Replace what was measured anew, all of it for measurements that ran as a `whole`."""
    here = machine(remark)
    kept: dict[str, Figure] = {}
    if path.exists():
        old = read(path)
        if not same(old.machine, here):
            hint = "record into another file, or remove this one first"
            sys.exit(f"`{path}' is of another machine: {told(old.machine)}\n\nhint: {hint}")
        here = {**old.machine, **here}
        kept = {name: one for name, one in old.figures.items() if name not in old.of(whole)}
    Record(here, {**kept, **figures}).write(path)


def same(one: dict[str, str], other: dict[str, str]) -> bool:
    return {**one, "remark": ""} == {**other, "remark": ""}


def told(where: dict[str, str]) -> str:
    return ", ".join(f"{key} {value}" for key, value in where.items())


def expected(old: Record, names: list[str], words: list[str], figures: Iterable[str]) -> Record:
    """What a run of these measurements must find again; with `words`, what it did find."""
    wanted = old.of(set(names))
    return replace(old, figures={n: f for n, f in wanted.items() if not words or n in figures})


def judge(old: Record, figures: dict[str, Figure], most: float) -> list[Verdict]:
    here = same(old.machine, machine())
    return compare(old.figures, figures, most=most, same_machine=here)


def again(verdicts: Iterable[Verdict], figures: dict[str, Figure], words: list[str]) -> None:
    """Measure once more what has failed; of two runs the better counts."""
    for name in dict.fromkeys(v.name.partition(": ")[0] for v in verdicts if v.failed and v.times):
        print("something is worse than it was; once more")
        for what, figure in run(name, words)[1].items():
            first = figures.setdefault(what, figure)
            if figure.worse_than(first) < 1:
                figures[what] = figure


def show(old: Record, verdicts: list[Verdict], most: float) -> None:
    print(f"beside what was recorded on: {told(old.machine)}")
    print(f"  {'times as bad':>12}  {'then':>10} {'now':>10}")
    for verdict in verdicts:
        then, now = (f"{one.relative:.4g}" if one else "-" for one in (verdict.before, verdict.now))
        times = f"{verdict.times:.2f}" if verdict.times else ""
        print(f"  {times:>12}  {then:>10} {now:>10}  {verdict.name}{_remark(verdict, most)}")


def _remark(verdict: Verdict, most: float) -> str:
    if verdict.before is None:
        return "  (new)"
    if verdict.now is None:
        return "  MISSING: not measured any more"
    if verdict.times is None:
        changed = "  CHANGED: measured beside something else: record it again"
        return changed if verdict.failed else f"  ({verdict.now.unit}, of another machine)"
    return f"  WORSE: over {most:g}" if verdict.failed else ""


def main(arguments: list[str]) -> int:
    known = [path.stem.removeprefix("bench_") for path in sorted(HERE.glob("bench_*.py"))]
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}")
    parser.add_argument("--record", metavar="FILE", type=Path, help="put the figures into it")
    parser.add_argument("--remark", default="", help="about the machine, for --record")
    parser.add_argument("--against", metavar="FILE", type=Path, help="compare with these figures")
    help_of_most = f"times as bad that is still good (default {MOST})"
    parser.add_argument("--most", metavar="N", type=float, default=MOST, help=help_of_most)
    at = arguments.index("--") if "--" in arguments else len(arguments)
    options, words = parser.parse_args(arguments[:at]), arguments[at + 1 :]
    if unknown := [name for name in options.names if name not in known]:
        print(f"no such measurement: {', '.join(unknown)}\n\nhint: there are {', '.join(known)}")
        return 1
    old = read(options.against) if options.against else None
    names = list(dict.fromkeys(options.names or known))
    good, figures = True, dict[str, Figure]()
    for name in names:
        kept, found = run(name, words)
        good &= kept
        figures |= found
    if old is not None:
        old = expected(old, names, words, figures)
        again(judge(old, figures, options.most), figures, words)
        verdicts = judge(old, figures, options.most)
        show(old, verdicts, options.most)
        good &= not any(verdict.failed for verdict in verdicts)
    if options.record:
        record(options.record, figures, set() if words else set(names), options.remark)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
