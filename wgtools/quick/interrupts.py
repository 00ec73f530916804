# SPDX-License-Identifier: MIT
"""SIGINT, SIGTERM and SIGHUP while something is half done.

A handler that raised could do so anywhere, inside a library too, where it would be
swallowed.  So it only notes the signal and passes it to the program being waited
for; `check` raises at the places where stopping is safe: between steps, after a
program, while waiting for a name to resolve.  Signals belong to the process, so there
is one `interrupts` for all of it.

`_signal`, because `signal` makes enums of its numbers for 5 ms (docs/decisions/0021).
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed has `signal` only
import time

from wgtools.errors import WgError

__all__ = ["Interrupted", "Interrupts", "interrupts"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    import subprocess
    from types import FrameType

_NAMES = {_signal.SIGINT: "SIGINT", _signal.SIGTERM: "SIGTERM", _signal.SIGHUP: "SIGHUP"}
_NAP = 0.25  # seconds between looks, when waiting


class Interrupted(WgError):
    """A signal asked us to stop; the exit status is a shell's for it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {_NAMES.get(number, number)}", exit_code=128 + number)
        self.number = number


class Interrupts:
    """What has been received, and the program that is to hear of it."""

    def __init__(self) -> None:
        self._number = 0
        self._raised = False
        self._child: subprocess.Popen[bytes] | None = None
        self._shields = 0

    def noted(self) -> _Noted:
        """Inside, signals are noted.  One that the caller ignores (nohup) stays ignored."""
        return _Noted(self.note)

    def waiting_for(self, child: subprocess.Popen[bytes]) -> _Waiting:
        """Inside, a signal is passed on to the child; the second one kills it."""
        return _Waiting(self, child)

    def shielded(self) -> _Shielded:
        """Inside, a signal waits: undoing is not to be undone, nor left half done."""
        return _Shielded(self)

    def hear(self, child: subprocess.Popen[bytes] | None) -> None:
        self._child = child

    def shield(self, change: int) -> None:
        self._shields += change

    def check(self) -> None:
        """Raise Interrupted if a signal came; once."""
        if self._number and not self._shields and not self._raised:
            self._raised = True
            raise Interrupted(self._number)

    def sleep(self, seconds: float) -> None:
        """Sleep, but not long past a signal."""
        waited = 0.0
        while waited < seconds and not self._number:
            time.sleep(min(_NAP, seconds - waited))
            waited += _NAP
        self.check()

    def note(self, number: int, _frame: FrameType | None) -> None:
        if self._child is not None and not self._shields:
            self._child.send_signal(_signal.SIGKILL if self._number else number)
        self._number = self._number or number


class _Noted:
    def __init__(self, note: object) -> None:
        self._note = note
        self._before: dict[int, object] = {}

    def __enter__(self) -> None:
        for number in _NAMES:
            handler = _signal.getsignal(number)
            if handler != _signal.SIG_IGN:
                self._before[number] = handler
                _signal.signal(number, self._note)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            _signal.signal(number, handler)


class _Waiting:
    def __init__(self, owner: Interrupts, child: subprocess.Popen[bytes]) -> None:
        self._owner, self._child = owner, child

    def __enter__(self) -> None:
        self._owner.hear(self._child)

    def __exit__(self, *_: object) -> None:
        self._owner.hear(None)


class _Shielded:
    def __init__(self, owner: Interrupts) -> None:
        self._owner = owner

    def __enter__(self) -> None:
        self._owner.shield(1)

    def __exit__(self, *_: object) -> None:
        self._owner.shield(-1)


interrupts = Interrupts()
