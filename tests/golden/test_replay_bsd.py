# SPDX-License-Identifier: MIT
"""tests/vectors/replay_bsd.py over our recordings; and that it notices when one is wrong."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.vectors import replay_bsd

VECTORS = Path(__file__).parents[1] / "vectors"
FILES = ["freebsd_vectors.json", "freebsd_malformed.json", "openbsd_vectors.json"]
Document = dict[str, Any]


def load(name: str) -> Document:
    document: Document = json.loads((VECTORS / name).read_text())
    return document


def cases(document: Document) -> list[Document]:
    return [case for value in document.values() if isinstance(value, list) for case in value]


@pytest.mark.parametrize("name", FILES)
def test_every_recorded_case_passes(name: str) -> None:
    document = load(name)
    passed, failures = replay_bsd.replay(document)
    assert failures == []
    assert passed == len(cases(document))


def test_as_a_program_it_counts_and_ends_with_a_status(tmp_path: Path) -> None:
    wrong = load("freebsd_malformed.json")
    wrong["cases"] = wrong["cases"][:3]
    wrong["cases"][1]["verdict"] = "rejected"
    (tmp_path / "wrong.json").write_text(json.dumps(wrong))
    (tmp_path / "other.json").write_text('{"vectors": [{"id": "a", "direction": "sideways"}]}')
    for files, last, status in (
        ([], "usage: replay_bsd.py FILE...", 2),
        (["wrong.json"], "2 passed, 1 failed", 1),
        (["other.json", "none.json"], "0 passed, 2 failed", 1),
        (["wrong.json", "other.json"], "2 passed, 2 failed", 1),
    ):
        done = subprocess.run(
            [sys.executable, VECTORS / "replay_bsd.py", *files],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout.splitlines()[-1], done.returncode) == (last, status), done
        assert done.stderr == ""


def wrong_text(value: str) -> str:
    """Another value of the same kind: a digit more, a digit changed."""
    digits = [i for i, letter in enumerate(value) if letter.isdigit()]
    if not digits:
        return value + "1"
    at = digits[-1]
    return value[:at] + ("7" if value[at] != "7" else "6") + value[at + 1 :]


RECORDED = [
    *("packed_len", "packed_hex", "dump_output", "showconf_output", "kernel_result"),
    *("kernel_reply_hex_after", "nvlist_spec", "kernel_log", "ioctl", "direction", "argv"),
    "device",
]
JUDGED = ["packed_len", "verdict", "wg_show_dump", "libnv_2024_ndebug"]


def change(value: Any) -> Any:
    """A recorded value as it never was."""
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return wrong_text(value)
    if isinstance(value, list):
        return [*value[:-1], change(value[-1])]
    if "exit" in value:
        return {**value, "exit": value["exit"] + 1}
    if "verdict" in value:
        return {**value, "errno": "EIO", "dump": "other"}
    return {**value, "nonsense": 1}


@pytest.mark.parametrize(
    ("name", "field"),
    [
        *[("freebsd_vectors.json", field) for field in RECORDED],
        *[("freebsd_malformed.json", field) for field in JUDGED],
    ],
)
def test_a_wrong_recording_is_noticed(name: str, field: str) -> None:
    """A field of the first five cases that have it, changed by a little, fails them."""
    having = [case for case in cases(load(name)) if case.get(field)]
    # What is made good on purpose (a key of zeros, a removal) is not as recorded anyhow,
    # and what crashed the recorded tool has no output.
    having = [case for case in having if "argv" not in case or field != "ioctl"]
    having = [case for case in having if case.get("dump_exit", 0) >= 0][:5]
    assert having
    for case in having:
        wrong = copy.deepcopy(case)
        wrong[field] = change(case[field])
        passed, failures = replay_bsd.replay({"cases": [wrong]})
        assert (passed, len(failures)) == (0, 1), (case["id"], field, wrong[field])


@pytest.mark.parametrize(
    "case",
    [
        {"direction": "set", "packed_hex": "6c"},
        {"direction": "get", "packed_hex": "6c" + "00" * 18, "surprise": 1},
        {"verdict": "accepted", "packed_hex": None, "recipe": "take a bit of everything"},
        {"direction": "get", "packed_hex": "6c" + "00" * 18, "device": {"colour": "red"}},
    ],
)
def test_what_is_not_understood_fails(case: Document) -> None:
    known = {
        "direction": "get",
        "packed_hex": "6c" + "00" * 18,
        "dump_output": "(none)\t(none)\t0\toff\n",
    }
    assert replay_bsd.replay({"vectors": [known]}) == (1, [])
    passed, failures = replay_bsd.replay({"vectors": [known, case]})
    assert (passed, len(failures)) == (1, 1)


@pytest.mark.parametrize("document", [None, [], {}, {"vectors": []}, {"vectors": ["a"]}])
def test_what_is_no_recording_fails(document: Any) -> None:
    passed, failures = replay_bsd.replay(document)
    assert passed == 0
    assert failures
