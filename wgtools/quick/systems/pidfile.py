# SPDX-License-Identifier: MIT
"""Who monitors an interface: a file with a number in it, locked as long as that lives.

The lock, flock(2), tells whether the number still means something: it goes with its
process, whatever ends it.  Whoever has the lock writes the number a moment later: until
then the file may hold that of one who was killed, which somebody else may have by now.
So a number is believed once the lock has been held for a while, and if ps(1), where it
answers, shows a monitor; nobody is signalled for having inherited a number.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

from wgtools.errors import WgError
from wgtools.quick.apply import CommandFailed, run
from wgtools.quick.journal import DIRECTORY, namespace

__all__ = ["PidFile"]

_PAUSE, _PATIENCE = 0.05, 5.0  # seconds: between looks, and before the harder signal


class PidFile:
    """`/var/run/wgtools/NAME@JAIL.monitor`."""

    def __init__(self, name: str, directory: str = DIRECTORY) -> None:
        self.path = os.path.join(directory, f"{name}@{namespace()}.monitor")
        self._handle = -1

    def take(self) -> bool:
        """Make it ours; False if it is another's, who lives.  Raises OSError."""
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        # A link would have another file emptied: /var/run is not root's alone everywhere.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(self.path, flags, 0o600)
        if not (_lock(handle) and _is(handle, self.path)):
            os.close(handle)
            return False
        os.ftruncate(handle, 0)
        os.pwrite(handle, b"%d\n" % os.getpid(), 0)
        self._handle = handle
        return True

    def leave(self) -> None:
        """Remove it, if it is ours."""
        if self._handle >= 0:
            with contextlib.suppress(OSError):
                os.unlink(self.path)
            os.close(self._handle)
            self._handle = -1

    def stop(self) -> None:
        """End who has it, and wait until that has ended.  Raises WgError."""
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return  # nobody
        try:
            for number in (signal.SIGTERM, signal.SIGKILL):
                if _end(handle, number):
                    break
            else:
                raise WgError(f"the monitor of {self.path} does not end")
            with contextlib.suppress(OSError):
                os.unlink(self.path)
        finally:
            os.close(handle)


def _end(handle: int, number: int) -> bool:
    """Whether it ended within our patience."""
    deadline = time.monotonic() + _PATIENCE
    told = -1  # who was signalled
    if _lock(handle):
        return True
    while time.monotonic() < deadline:
        time.sleep(_PAUSE)  # before reading, too: see above
        if _lock(handle):
            return True
        holder = _number(handle)
        if holder not in (told, 0) and _is_monitor(holder):
            told = holder
            with contextlib.suppress(OSError):
                os.kill(holder, number)
    return False


def _number(handle: int) -> int:
    """What the file says; 0 if nothing yet, or nothing that makes sense."""
    text = os.pread(handle, 32, 0).strip()
    return int(text) if text.isdigit() else 0


def _is_monitor(number: int) -> bool:
    """Whether a process looks like one of ours; if the system does not tell, it does."""
    try:
        said = run(["ps", "-ww", "-o", "args=", "-p", str(number)], capture=True, quiet=True)
    except CommandFailed:
        return True  # no ps(1), or no process, which no signal can harm
    return b"monitor" in said.split()


def _lock(handle: int) -> bool:
    import fcntl  # here: Windows has none

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is(handle: int, path: str) -> bool:
    """Whether it is still the file of that name: its last owner may just have left."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except OSError:
        return False
