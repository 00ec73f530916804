# SPDX-License-Identifier: MIT
"""What was measured is recorded, and a run that is worse than the record fails.

The measurements themselves are not run here: they need a machine to themselves.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.bench import figures, run
from tests.bench.figures import Figure, Record, compare

if TYPE_CHECKING:
    from pathlib import Path

RECORDED = run.HERE / "recorded.json"
FAKE = """
import sys
sys.path.insert(0, {root!r})
from tests.bench.figures import note
note("a", float(open({source!r}).read()), "s", beside=2.0)
note("b", 5.0, "Mbit/s", more_is_better=True)
"""


def test_a_ratio_counts_if_there_is_one() -> None:
    before, now = Figure(10.0, "s", beside=2.0), Figure(30.0, "s", beside=4.0)
    assert now.worse_than(before) == pytest.approx(1.5)
    assert Figure(5.0, "Mbit/s", more_is_better=True).worse_than(
        Figure(10.0, "Mbit/s", more_is_better=True)
    ) == pytest.approx(2.0)


@pytest.mark.parametrize("given", [(0.0, None), (-1.0, None), (1.0, 0.0)])
def test_what_has_no_ratio_is_no_figure(given: tuple[float, float | None]) -> None:
    value, beside = given
    with pytest.raises(ValueError, match="no ratio"):
        Figure(value, "s", beside)


@pytest.mark.parametrize(
    ("before", "now", "same", "failed"),
    [
        (Figure(1.0, "s"), Figure(1.2, "s"), True, False),
        (Figure(1.0, "s"), Figure(1.4, "s"), True, True),
        (Figure(1.0, "s"), Figure(9.0, "s"), False, False),
        (Figure(1.0, "s", 1.0), Figure(9.0, "s", 1.0), False, True),
        (Figure(1.0, "s", 1.0), Figure(9.0, "s", 9.0), True, False),
        (Figure(1.0, "s", 1.0), Figure(1.0, "s"), True, True),
        (Figure(1.0, "s"), None, True, True),
        (None, Figure(1.0, "s"), True, False),
    ],
    ids=[
        *("within", "worse", "another machine", "ratio on another machine", "slow machine"),
        *("measured beside nothing now", "gone", "new"),
    ],
)
def test_verdicts(before: Figure | None, now: Figure | None, same: bool, failed: bool) -> None:
    (verdict,) = compare(
        {"x": before} if before else {}, {"x": now} if now else {}, most=1.3, same_machine=same
    )
    assert verdict.failed is failed


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    record = Record({"python": "3"}, {"x: y": Figure(1.5, "s", 2.0), "x: z": Figure(3.0, "MB")})
    record.write(path)
    assert Record.read(path) == record
    assert record.of({"x"}) == record.figures
    assert record.of({"y"}) == {}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 9}', '{"format": 1, "machine": {}, "figures": {"x": {}}}']
)
def test_what_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(SystemExit, match="hint: make one"):
        run.read(path)


def test_nothing_is_noted_for_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(figures.NOTES, raising=False)
    monkeypatch.chdir(tmp_path)
    figures.note("x", 1.0, "s")
    assert list(tmp_path.iterdir()) == []


def test_a_worse_run_fails_and_a_record_keeps_what_was_not_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source, recorded = tmp_path / "figure", tmp_path / "record.json"
    program = FAKE.format(root=str(run.HERE.parents[1]), source=str(source))
    (tmp_path / "bench_fake.py").write_text(program)
    (tmp_path / "bench_other.py").write_text(program)
    monkeypatch.setattr(run, "HERE", tmp_path)
    source.write_text("10")
    assert run.main(["--record", str(recorded), "--remark", "quiet"]) == 0
    assert run.main(["fake", "--against", str(recorded)]) == 0
    source.write_text("14")
    assert run.main(["fake", "--against", str(recorded), "--most", "1.5"]) == 0
    capfd.readouterr()
    assert run.main(["fake", "--against", str(recorded)]) == 1
    out = capfd.readouterr().out
    assert out.count("== fake") == 2  # it had a second chance
    assert "1.40           5          7  fake: a  WORSE: over 1.3" in out
    assert run.main(["fake", "--record", str(recorded)]) == 0
    kept = Record.read(recorded)
    assert kept.machine["remark"] == "quiet"
    assert {name: one.value for name, one in kept.figures.items() if name.endswith(": a")} == {
        "fake: a": 14.0,
        "other: a": 10.0,
    }


def test_a_record_of_another_machine_is_not_mixed_with_this_one(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    Record({"processor": "another"}, {}).write(path)
    with pytest.raises(SystemExit, match="another machine"):
        run.record(path, {}, set(), "")


def test_every_measurement_that_notes_has_a_record() -> None:
    record = Record.read(RECORDED)
    assert record.machine["remark"]
    noting = {
        path.stem.removeprefix("bench_")
        for path in run.HERE.glob("bench_*.py")
        if "import note" in path.read_text()
    }
    assert {name.partition(": ")[0] for name in record.figures} == noting
    assert json.loads(RECORDED.read_text())["format"] == figures.FORMAT
