# SPDX-License-Identifier: MIT
"""`plan`, `reload`, `status` and `check` on throw-away hosts, to the letter.

The files in quick_verbs/ (transcript.py says how they are read) were written by hand from
what man/wg-quick.8 promises; each plays on a host of its own.  A change of words is made
there first, by hand.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.golden import transcript
from tests.golden.quickhost import missing_tools, play_apart
from tests.golden.transcript import Command, Transcript

Json = Any

HERE = Path(__file__).parent / "quick_verbs"
SCRIPTS = Path(sys.executable).parent
PROGRAMS = {name: str(SCRIPTS / name) for name in ("wg", "wg-quick")}
TRANSCRIPTS = {path.stem: transcript.read(path) for path in sorted(HERE.glob("*.txt"))}
NEW_VERBS = ("plan", "reload", "status", "check")
# The same on a machine whose kernel has WireGuard.
ENVIRONMENT = {"WG_QUICK_ENGINE": "embedded"}


def play(one: Transcript) -> list[Json]:
    """What each command of it said, on a host of its own."""
    case = {
        "steps": [command.step for command in one.commands],
        "env": ENVIRONMENT,
        "unwatched": True,
    }
    said: list[Json] = play_apart(case, PROGRAMS, PROGRAMS["wg"])
    for step in said:
        step["stdout"] = transcript.steady(step["stdout"])
    return said


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[list[Json]]]]:
    """All transcripts that were asked for, played by two at a time from the first one's start."""
    if why := missing_tools():
        pytest.skip(why)
    ids = {item.name for item in request.session.items}
    wanted = {name: one for name, one in TRANSCRIPTS.items() if f"test_transcript[{name}]" in ids}
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(play, one) for name, one in wanted.items()}
        pool.shutdown(cancel_futures=True)


def written(command: Command, said: Json) -> str:
    """As it would stand in the transcript."""
    text = f"== run {' '.join(command.argv)}\n{said['stdout']}"
    return text + f"== stderr\n{said['stderr']}== exit {said['exit']}\n"


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcript(name: str, results: dict[str, Future[list[Json]]]) -> None:
    commands = TRANSCRIPTS[name].commands
    said = results[name].result()
    for command, is_ in zip(commands, said, strict=True):
        want = {"stdout": command.stdout, "stderr": command.stderr, "exit": command.exit}
        assert written(command, is_) == written(command, want)


def _commands() -> list[Command]:
    return [command for one in TRANSCRIPTS.values() for command in one.commands]


@pytest.mark.parametrize("verb", NEW_VERBS)
def test_each_verb_is_there_as_text_and_json_and_for_root_and_others(verb: str) -> None:
    its = [command for command in _commands() if command.argv[:2] == ["wg-quick", verb]]
    assert {"--json" in command.argv for command in its} == {True, False}
    assert {command.nobody for command in its} == {True, False}
    assert {command.exit for command in its} >= {0, 1}


def test_json_stands_alone_and_has_what_the_manual_lists() -> None:
    manual = {
        "plan": ["interface", "file", "changes", "up", "remarks", "commands", "differences"],
        "reload": ["interface", "file", "changed"],
        "check": ["files", "errors", "warnings", "notes"],
        "status": ["interfaces"],
    }
    for command in _commands():
        if "--json" in command.argv and command.stdout:
            record = json.loads(command.stdout.replace("ANY_NUMBER", "1"))
            first, *others = record
            assert (first, record[first]) == ("format_version", "1.0")
            assert set(others) <= set(manual[command.argv[1]])
            assert set(manual[command.argv[1]]) - set(others) <= {"commands", "differences"}


def test_nothing_said_holds_a_private_or_preshared_key() -> None:
    for one in TRANSCRIPTS.values():
        files = "".join(put["content"] for command in one.commands for put in command.put)
        keys = set(re.findall(r"(?:PrivateKey|PresharedKey) = (\S{44})", files))
        assert keys
        said = "".join(command.stdout + command.stderr for command in one.commands)
        assert not [key for key in keys if key in said], one.name


def test_a_section_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("== put /etc/a\ntext\n== stdout\n")
    with pytest.raises(ValueError, match="stdout"):
        transcript.read(tmp_path / "a.txt")
