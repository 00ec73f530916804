# SPDX-License-Identifier: MIT
"""Figures of measurements: noted as they are taken, recorded in a file, compared with it.

A measurement calls `note`, which does nothing unless run.py asked for it.  What is compared
is the ratio to something measured in the same run (`beside`) wherever there is one: it
travels between machines and survives noise.  A figure that has none counts on its own
machine alone.  Nothing here prints or measures.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["NOTES", "Figure", "Record", "Verdict", "compare", "machine", "note", "noted"]

NOTES = "WGTOOLS_BENCH_NOTES"  # the file that `note` writes to
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` in `unit`; `beside` is that of what it is measured against, of the same run."""

    value: float
    unit: str
    beside: float | None = None
    more_is_better: bool = False

    def __post_init__(self) -> None:
        if self.value <= 0 or (self.beside is not None and self.beside <= 0):
            raise ValueError(f"no ratio can be had of {self}")

    @property
    def relative(self) -> float:
        return self.value / (self.beside or 1.0)

    def worse_than(self, before: Figure) -> float:
        """Times as bad as `before`; below 1 it is better."""
        then, now = before.relative, self.relative
        return then / now if self.more_is_better else now / then


@dataclass(frozen=True, slots=True)
class Record:
    """Figures by name (`MEASUREMENT: WHAT`), and the machine that they are of."""

    machine: dict[str, str]
    figures: dict[str, Figure] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Record:
        """Raises OSError, ValueError."""
        try:
            data = json.loads(path.read_text())
            if data["format"] != FORMAT:
                raise ValueError(f"its format is {data['format']!r}, not {FORMAT}")
            figures = {name: Figure(**given) for name, given in data["figures"].items()}
            return cls(dict(data["machine"]), figures)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"it lacks {error}" if isinstance(error, KeyError) else error
            ) from error

    def write(self, path: Path) -> None:
        """One line for each figure, so that a diff tells what has changed."""
        head = json.dumps({"format": FORMAT, "machine": self.machine}, indent=2)
        rows = [
            f"    {json.dumps(name)}: {json.dumps(_written(self.figures[name]))}"
            for name in sorted(self.figures)
        ]
        head = head.removesuffix("\n}")
        path.write_text(head + ',\n  "figures": {\n' + ",\n".join(rows) + "\n  }\n}\n")

    def of(self, measurements: set[str]) -> dict[str, Figure]:
        """Only those that these measurements have taken."""
        return {n: f for n, f in self.figures.items() if n.partition(": ")[0] in measurements}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one figure; `times` as bad as before, None if that cannot be said."""

    name: str
    before: Figure | None
    now: Figure | None
    times: float | None = None
    failed: bool = False


def note(
    name: str, value: float, unit: str, *, beside: float | None = None, more_is_better: bool = False
) -> None:
    """Keep a figure for who started this measurement, if he wants it."""
    if path := os.environ.get(NOTES):
        figure = Figure(value, unit, beside, more_is_better)
        with open(path, "a") as file:
            file.write(json.dumps({"name": name, **asdict(figure)}) + "\n")


def noted(path: Path) -> Iterator[tuple[str, Figure]]:
    """What was noted in the file."""
    for line in path.read_text().splitlines() if path.exists() else ():
        given = json.loads(line)
        yield given.pop("name"), Figure(**given)


def compare(
    before: Mapping[str, Figure], now: Mapping[str, Figure], *, most: float, same_machine: bool
) -> list[Verdict]:
    """A verdict on every name of either; more than `most` times as bad fails.

    So does a figure that is not taken any more: else a measurement that broke would pass.
    """
    found = []
    for name in [*before, *(name for name in now if name not in before)]:
        then, this = before.get(name), now.get(name)
        if then is None or this is None:
            found.append(Verdict(name, then, this, failed=this is None))
        elif (then.beside is None) != (this.beside is None):
            found.append(Verdict(name, then, this, failed=True))  # no longer the same figure
        elif this.beside is None and not same_machine:
            found.append(Verdict(name, then, this))
        else:
            times = this.worse_than(then)
            found.append(Verdict(name, then, this, times, failed=times > most))
    return found


def machine(remark: str = "") -> dict[str, str]:
    """What the figures depend on, as far as it can be told."""
    found = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "processors": str(os.cpu_count()),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": "installed" if find_spec("numpy") else "absent",
    }
    return {**found, "remark": remark} if remark else found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (row.partition(":")[2].strip() for row in lines if row.startswith("model name")), ""
    )


def _written(figure: Figure) -> dict[str, Any]:
    """Four digits are more than are certain; what is the default is left out."""
    given: dict[str, Any] = {"value": float(f"{figure.value:.4g}"), "unit": figure.unit}
    if figure.beside is not None:
        given["beside"] = float(f"{figure.beside:.4g}")
    if figure.more_is_better:
        given["more_is_better"] = True
    return given
