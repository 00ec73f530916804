# SPDX-License-Identifier: MIT
"""Carries plans out: prints each step, does it, remembers its undo, rolls back.

The two doors to the outside that steps go through are here: `run`, the only place
that starts programs, and `Transaction`.  What a step means on this system is the
business of whoever is passed as `carry_out`.
"""

from __future__ import annotations

import os

from wgtools.errors import AccessError, WgError
from wgtools.quick.interrupts import Interrupted, interrupts

__all__ = [
    "NOT_FOUND",
    "CommandFailed",
    "NotInForce",
    "Transaction",
    "find_program",
    "run",
    "start",
]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from subprocess import Popen

    from wgtools.quick.journal import Journal
    from wgtools.quick.steps import Step

NOT_FOUND = 127  # what a shell says for a program that is not there


class CommandFailed(WgError):
    """A program that we started did not end well; carries its own exit status.

    `said` is what it wrote to its standard error, if that was asked for.
    """

    said = ""


class NotInForce(WgError):
    """Something that was asked for cannot be had here, yet nothing leaks without it.

    A warning, unless the user is strict.  The message says what is not in force.
    """


def run(
    argv: Sequence[str | bytes],
    *,
    name: str = "",
    data: bytes | None = None,
    env: Mapping[str, str] | None = None,
    capture: bool = False,
    quiet: bool = False,
    heard: bool = False,
    detached: bool = False,
) -> bytes:
    """Start a program and wait for it; its standard output if `capture`.

    Without `data` it inherits our standard input.  `heard` keeps what it says for the
    error, `quiet` throws it away.  `detached` gives it a session of
    its own, so that the terminal's Ctrl-C is ours alone.  Raises CommandFailed with
    `name` in the message (argv[0] if not given: never a whole command line).
    """
    import subprocess  # 20 ms, and most of the ways down start no program

    name = name or os.fsdecode(argv[0])
    inherit = None if data is None else subprocess.PIPE
    try:
        process = subprocess.Popen(  # a list, never a shell
            argv,
            stdin=inherit,
            stdout=subprocess.PIPE if capture else None,
            stderr=subprocess.PIPE if heard else subprocess.DEVNULL if quiet else None,
            env=env,
            start_new_session=detached,
        )
    except OSError as error:
        raise _not_started(name, error) from error
    with process, interrupts.waiting_for(process):
        output, said = process.communicate(data)
    interrupts.check()
    if process.returncode:
        failure = _failure(name, process.returncode)
        failure.said = (said or b"").decode("utf-8", "surrogateescape").strip()
        raise failure
    return output or b""


def start(argv: Sequence[str], *, name: str, env: Mapping[str, str]) -> Popen[bytes]:
    """Start a program that goes its own way: no terminal, no directory, a session of its own."""
    import subprocess

    null = subprocess.DEVNULL
    try:
        return subprocess.Popen(
            argv, stdin=null, stdout=null, stderr=null, cwd="/", env=env, start_new_session=True
        )
    except OSError as error:
        raise _not_started(name, error) from error


def _not_started(name: str, error: OSError) -> CommandFailed:
    if isinstance(error, FileNotFoundError):
        return CommandFailed(f"{name}: command not found", exit_code=NOT_FOUND)
    return CommandFailed(f"{name}: {error.strerror}", exit_code=126)


def find_program(name: str) -> str:
    """Path of the program that `run` would start, or nothing."""
    # Not shutil.which: shutil brings four compression libraries along.
    for directory in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(directory, name)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return ""


def _failure(name: str, status: int) -> CommandFailed:
    if status < 0:
        import signal

        killer = signal.Signals(-status).name
        return CommandFailed(f"{name}: ended by {killer}", exit_code=128 - status)
    return CommandFailed(f"{name}: exit status {status}", exit_code=status)


class Transaction:
    """Steps done so far, newest last, and the way back."""

    def __init__(
        self,
        carry_out: Callable[[Step], None],
        *,
        echo: Callable[[str], None],
        warn: Callable[[WgError], None],
        journal: Journal,
        strict: bool = False,
    ) -> None:
        self._strict = strict
        self._carry_out = carry_out
        self._echo = echo
        self._warn = warn
        self._journal = journal
        self._undos: list[Step] = []

    def bear(self, error: NotInForce) -> None:
        """Warn of something that will not be in force; raise it if strict."""
        if self._strict:
            raise error
        self._warn(error)

    def apply(self, steps: Iterable[Step]) -> None:
        """Do the steps in order; the journal knows each before it is done.

        An undo counts from before its step: half a step is undone too.
        """
        for step in steps:
            interrupts.check()
            undo = step.undo
            if undo is not None:
                self._journal.add(undo)
                self._undos.append(undo)
            self._show(step)
            try:
                self._carry_out(step)
            except Interrupted:
                raise
            except WgError as error:
                if undo is not None and step.atomic:
                    self._undos.remove(undo)
                    self._journal.remove(undo)
                if isinstance(error, AccessError) and not error.hint:
                    from wgtools.quick.remedies import remedy

                    error.hint = remedy(step, error.errno)
                bearable = step.optional or isinstance(error, NotInForce)
                if self._strict or not bearable:
                    raise
                self._warn(error)

    def attempt(self, steps: Iterable[Step]) -> WgError | None:
        """Do the steps, each whether or not those before it failed; the first failure."""
        first: WgError | None = None
        for step in steps:
            self._show(step)
            try:
                self._carry_out(step)
            except WgError as error:
                self._warn(error)
                if not step.optional:
                    first = first or error
            else:
                self._journal.remove(step)
        return first

    def roll_back(self) -> WgError | None:
        """Undo everything, newest first, whichever part of it fails."""
        undos, self._undos = self._undos[::-1], []
        with interrupts.shielded():
            first = self.attempt(undos)
        if first is None:
            self._journal.erase()
        return first

    def _show(self, step: Step) -> None:
        for line in step.shown:
            self._echo(line)
