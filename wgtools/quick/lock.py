# SPDX-License-Identifier: MIT
"""One wg-quick at a time for an interface, and for a host's marks, tables and rules.

flock(2) on files under /run/wgtools: gone with the process, whatever ends it.
"""

from __future__ import annotations

import os

from wgtools.errors import WgError
from wgtools.quick.interrupts import interrupts
from wgtools.quick.journal import DIRECTORY

__all__ = ["POLICY", "exclusive"]

POLICY = "@policy"  # no interface can be called so (quick/files.py)
_PATIENCE = 30.0  # seconds; longer than a name takes to resolve once, shorter than a person waits
_PAUSE = 0.05


class exclusive:  # used as a verb: `with exclusive(name):`
    """Hold the lock called `what`.  Where no lock can be made, go on without one."""

    def __init__(self, what: str, directory: str = DIRECTORY) -> None:
        self._what = what
        self._directory = directory
        self._handle = -1

    def __enter__(self) -> None:
        path = os.path.join(self._directory, f"{self._what}.lock")
        try:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._handle = os.open(path, flags, 0o600)
        except OSError:
            return
        try:
            _wait(self._handle, self._what)
        except BaseException:
            os.close(self._handle)
            raise

    def __exit__(self, *_: object) -> None:
        if self._handle >= 0:
            os.close(self._handle)


def _wait(handle: int, what: str) -> None:
    import fcntl  # here: Windows has none

    waited = 0.0
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if waited >= _PATIENCE:
                raise WgError(
                    f"another wg-quick has been at work on `{what}' for {_PATIENCE:.0f} seconds",
                    hint="wait for it to end, or end it",
                ) from None
        interrupts.sleep(_PAUSE)
        waited += _PAUSE
