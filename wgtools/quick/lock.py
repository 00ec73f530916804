# SPDX-License-Identifier: MIT
"""One wg-quick at a time for an interface, and for a host's marks, tables and rules.

flock(2) on files under /run/wgtools: gone with the process, whatever ends it.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager

from wgtools.errors import WgError
from wgtools.quick.interrupts import interrupts
from wgtools.quick.journal import DIRECTORY

__all__ = ["POLICY", "exclusive"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Iterator

POLICY = "@policy"  # no interface can be called so (quick/files.py)
_PATIENCE = 30.0  # seconds; longer than a name takes to resolve once, shorter than a person waits
_PAUSE = 0.05


@contextmanager
def exclusive(what: str, directory: str = DIRECTORY) -> Iterator[None]:
    """Hold the lock called `what`.  Where no lock can be made, go on without one."""
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        handle = os.open(
            os.path.join(directory, f"{what}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
    except OSError:
        yield
        return
    try:
        _wait(handle, what)
        yield
    finally:
        os.close(handle)


def _wait(handle: int, what: str) -> None:
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
