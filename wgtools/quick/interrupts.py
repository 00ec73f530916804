# SPDX-License-Identifier: MIT
"""SIGINT, SIGTERM and SIGHUP while something is half done.

A handler that raised could do so anywhere, inside asyncio too, where it would be
swallowed.  So it only notes the signal and passes it to the program being waited
for; `check` raises at the places where stopping is safe: between steps, after a
program, while waiting for a name to resolve.  Signals belong to the process, so there
is one `interrupts` for all of it.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager

from wgtools.errors import WgError

__all__ = ["Interrupted", "Interrupts", "interrupts"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(WgError):
    """A signal asked us to stop; the exit status is a shell's for it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}", exit_code=128 + number)
        self.number = number


class Interrupts:
    """What has been received, and the program that is to hear of it."""

    def __init__(self) -> None:
        self._number = 0
        self._child: subprocess.Popen[bytes] | None = None
        self._woken = threading.Event()
        self._shields = 0

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Inside, signals are noted.  One that the caller ignores (nohup) stays ignored."""
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        ours = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
        for number in ours:
            signal.signal(number, self._note)
        try:
            yield
        finally:
            for number in ours:
                signal.signal(number, before[number])

    @contextmanager
    def waiting_for(self, child: subprocess.Popen[bytes]) -> Iterator[None]:
        """Inside, a signal is passed on to the child; the second one kills it."""
        self._child = child
        try:
            yield
        finally:
            self._child = None

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Inside, a signal waits: undoing is not to be undone, nor left half done."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1

    def check(self) -> None:
        """Raise Interrupted if a signal came; once."""
        if self._number and not self._shields and not self._woken.is_set():
            self._woken.set()
            raise Interrupted(self._number)

    def sleep(self, seconds: float) -> None:
        """Sleep, but not past a signal."""
        waited = 0.0
        while waited < seconds and not self._number:
            self._woken.wait(min(0.25, seconds - waited))
            waited += 0.25
        self.check()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self._child is not None and not self._shields:
            self._child.send_signal(signal.SIGKILL if self._number else number)
        self._number = self._number or number


interrupts = Interrupts()
