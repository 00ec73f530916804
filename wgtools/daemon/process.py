# SPDX-License-Identifier: MIT
"""What turns a program into a daemon, and one that is hard to look into.

Not here: anything about WireGuard.  The rule: the shell that started us gets its prompt
back only when the daemon works, and its exit status says whether it does.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
from types import FrameType

__all__ = ["become_daemon", "harden", "lock_memory", "signal_pipe"]

# linux/prctl.h
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
# asm-generic/mman.h
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4


def become_daemon(*, keep_output: bool) -> int:
    """Go on in the background, in a session of our own.

    Returns, in the child only, the descriptor to write one byte to when all is ready.  The
    parent waits for it and exits: 0, or 1 if the child died before.  Raises OSError.
    """
    ready, tell = os.pipe()
    if os.fork():
        os.close(tell)
        os._exit(0 if os.read(ready, 1) else 1)
    os.close(ready)
    os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0,) if keep_output else (0, 1, 2):
        os.dup2(null, fd)
    if null > 2:
        os.close(null)
    return tell


def harden() -> None:
    """Keep keys out of core dumps and of other programs' reach; gain no privilege ever again."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        prctl = ctypes.CDLL(None).prctl
    except AttributeError:
        return
    prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def lock_memory() -> bool:
    """Keep keys out of swap, where we may; True if so.  A fork undoes it, so call it last.

    Only without a limit: under one, the allocation that reaches it would fail instead.
    """
    try:
        infinite = resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (infinite, infinite))
        mlockall = ctypes.CDLL(None).mlockall
    except (OSError, ValueError, AttributeError):
        return False
    return bool(mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0)


def signal_pipe() -> int:
    """A descriptor that becomes readable on SIGTERM, SIGINT and SIGHUP."""
    read, write = os.pipe()  # macOS has no pipe2
    os.set_blocking(read, False)
    os.set_blocking(write, False)

    def noted(_number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(OSError):
            os.write(write, b"!")

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, noted)
    return read
