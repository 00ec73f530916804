# SPDX-License-Identifier: MIT
"""Transactions: order, undo, what happens when either fails."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from wgtools.errors import WgError
from wgtools.quick.apply import NOT_FOUND, CommandFailed, Transaction, run
from wgtools.quick.interrupts import Interrupted, Interrupts
from wgtools.quick.journal import Journal
from wgtools.quick.steps import (
    AddRule,
    DeleteLink,
    DeleteRule,
    LinkUp,
    MakeLink,
    RemoveDNS,
    Rule,
    RunHook,
    SetDNS,
    SetSourceValidMark,
    Step,
)

MARK, SUPPRESS = Rule(4, 32765, 51820), Rule(4, 32764)
STEPS: list[Step] = [
    MakeLink("wg0"),
    LinkUp("wg0", 1420),
    SetDNS("wg0", ("10.0.0.53",), ()),
    AddRule(MARK),
    AddRule(SUPPRESS),
    RunHook("true"),
]
UNDOS = [DeleteRule(SUPPRESS), DeleteRule(MARK), RemoveDNS("wg0"), DeleteLink("wg0")]


@dataclass
class World:
    """Notes what is done; fails at the steps it is told to."""

    journal: Journal
    fails: tuple[type[Step] | Step, ...] = ()

    def __post_init__(self) -> None:
        self.done: list[Step] = []
        self.echoed: list[str] = []
        self.warned: list[str] = []
        self.noted_before: list[bool] = []
        self.transaction = Transaction(
            self.carry_out,
            echo=self.echoed.append,
            warn=lambda error: self.warned.append(error.message),
            journal=self.journal,
        )

    def carry_out(self, step: Step) -> None:
        self.noted_before.append(step.undo is None or step.undo in self.journal.undos)
        if step in self.fails or type(step) in self.fails:
            raise WgError(f"no {type(step).__name__}", exit_code=7)
        self.done.append(step)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal("wg0", str(tmp_path))


def test_steps_are_echoed_noted_and_done_in_order(journal: Journal) -> None:
    world = World(journal)
    world.transaction.apply(STEPS)
    assert world.done == STEPS
    assert world.echoed == [line for step in STEPS for line in step.shown]
    assert all(world.noted_before)
    assert journal.undos == UNDOS[::-1]


@pytest.mark.parametrize("at", range(len(STEPS)))
def test_a_failure_at_any_step_undoes_all_before_it(journal: Journal, at: int) -> None:
    world = World(journal, fails=(STEPS[at],))
    with pytest.raises(WgError, match=f"no {type(STEPS[at]).__name__}"):
        world.transaction.apply(STEPS)
    assert world.transaction.roll_back() is None
    begun = [step.undo for step in STEPS[: at + 1] if step.undo]
    if STEPS[at].atomic:
        begun.pop()
    assert world.done[at:] == begun[::-1]
    assert journal.undos == []


@pytest.mark.parametrize("bad", UNDOS, ids=lambda step: type(step).__name__)
def test_a_failing_undo_does_not_stop_the_others(journal: Journal, bad: Step) -> None:
    world = World(journal, fails=(bad,))
    world.transaction.apply(STEPS)
    failure = world.transaction.roll_back()
    assert world.done[len(STEPS) :] == [undo for undo in UNDOS if undo != bad]
    assert world.warned == [f"no {type(bad).__name__}"]
    assert (failure is None) == bad.optional
    assert journal.undos == ([] if bad.optional else [bad])


def test_optional_steps_only_warn(journal: Journal) -> None:
    world = World(journal, fails=(SetSourceValidMark,))
    world.transaction.apply([SetSourceValidMark(), RunHook("x")])
    assert world.warned == ["no SetSourceValidMark"]
    assert world.done == [RunHook("x")]


def test_journal_survives_its_process(tmp_path: Path) -> None:
    first = Journal("wg0", str(tmp_path))
    first.begin("/etc/wireguard/wg0.conf", {"predown": ["x"]})
    for undo in UNDOS:
        first.add(undo)
    first.remove(DeleteRule(MARK))
    again = Journal("wg0", str(tmp_path))
    assert again.undos == [UNDOS[0], UNDOS[2], UNDOS[3]]
    assert again.config_file == "/etc/wireguard/wg0.conf"
    assert again.hooks == {"predown": ["x"]}
    assert Journal("wg1", str(tmp_path)).undos == []
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    again.erase()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"boot": 1}', '{"boot": "x", "undo": [], "file": ""}']
)
def test_journal_that_is_not_ours_is_empty(tmp_path: Path, text: str) -> None:
    first = Journal("wg0", str(tmp_path))
    first.add(DeleteLink("wg0"))
    (file,) = tmp_path.iterdir()
    file.write_text(text)
    assert Journal("wg0", str(tmp_path)).undos == []


def test_journal_that_others_could_have_written_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its hooks run as root; /var/run belongs to more than root on a Mac."""
    first = Journal("wg0", str(tmp_path))
    first.begin("", {"predown": ["x"]})
    first.add(DeleteLink("wg0"))
    (file,) = tmp_path.iterdir()
    file.chmod(0o620)
    assert Journal("wg0", str(tmp_path)).undos == []
    file.chmod(0o600)
    assert Journal("wg0", str(tmp_path)).undos == [DeleteLink("wg0")]
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    assert (Journal("wg0", str(tmp_path)).undos == []) is (file.stat().st_uid != 0)
    moved = file.rename(tmp_path / "elsewhere")
    file.symlink_to(moved)
    monkeypatch.undo()
    assert Journal("wg0", str(tmp_path)).hooks == {}


def test_journal_that_cannot_be_written_is_a_remark(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    journal = Journal("wg0", str(tmp_path / "file"))
    journal.add(DeleteLink("wg0"))
    assert journal.problem
    assert journal.undos == [DeleteLink("wg0")]


def test_run_carries_the_status_of_the_program() -> None:
    with pytest.raises(CommandFailed, match="hook: exit status 7") as caught:
        run(["sh", "-c", "exit 7"], name="hook")
    assert caught.value.exit_code == 7
    with pytest.raises(CommandFailed, match="ended by SIGKILL") as caught:
        run(["sh", "-c", "kill -9 $$"], name="hook")
    assert caught.value.exit_code == 128 + 9


def test_run_without_the_program_is_127_as_in_a_shell() -> None:
    with pytest.raises(CommandFailed, match="command not found") as caught:
        run(["no-such-program-q"])
    assert caught.value.exit_code == NOT_FOUND


def test_run_feeds_and_captures() -> None:
    assert run(["cat"], data=b"x\n", capture=True) == b"x\n"


def test_interrupts_raise_once_and_not_behind_a_shield() -> None:
    interrupts = Interrupts()
    interrupts.check()
    interrupts.note(15, None)
    with interrupts.shielded():
        interrupts.check()
    with pytest.raises(Interrupted) as caught:
        interrupts.check()
    assert caught.value.exit_code == 128 + 15
    interrupts.check()
