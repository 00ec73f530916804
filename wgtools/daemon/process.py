# SPDX-License-Identifier: MIT
"""What turns a program into a daemon, one that has a name and is hard to look into.

Not here: anything about WireGuard.  The rule: the shell that started us gets its prompt
back only when the daemon works, and its exit status says whether it does.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Collection, Mapping, Sequence
from types import FrameType

__all__ = [
    "become_daemon",
    "harden",
    "let_go",
    "lock_memory",
    "signal_pipe",
    "take_name",
    "tell_manager",
]

_DESCRIPTORS = 1 << 16  # nobody hands on one of a higher number

# linux/prctl.h
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_SET_NO_NEW_PRIVS = 38
# asm-generic/mman.h
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4


def let_go(keep: Collection[int | None]) -> None:
    """Close what was open for whoever started us: a lock that a script holds by a descriptor
    would be held as long as we live, and no file is to be at hand once we are confined.

    Standard streams stay, and `keep`.  To be called before anything is opened.
    """
    first = 3
    for fd in sorted(fd for fd in keep if fd is not None and fd > 2):
        os.closerange(first, fd)
        first = fd + 1
    os.closerange(first, _DESCRIPTORS)


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


def take_name(name: str, words: Sequence[str]) -> None:
    """On Linux: be `name` to ps(1) and pgrep(1), not `python3 -I -c import sys ...`.

    The command line that others see is the memory it was handed over in, which Python has
    copied.  A command that was started by its own path keeps what service managers know.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)
    if sys.argv[0].endswith(f"/{name}"):
        return
    with contextlib.suppress(OSError, ValueError, IndexError):
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        start, end = int(fields[45]), int(fields[46])  # proc(5): arg_start, arg_end
        text = b"".join(os.fsencode(word) + b"\0" for word in (name, *words))
        if start and len(text) <= end - start:
            ctypes.memset(start, 0, end - start)
            ctypes.memmove(start, text, len(text))


def harden() -> None:
    """Keep keys out of core dumps and of other programs' reach; gain no privilege ever again."""
    import resource  # here: Windows has none

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        prctl = ctypes.CDLL(None).prctl
    except AttributeError:
        return
    prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def lock_memory() -> bool:
    """Keep keys out of swap, where we may; True if so.  A fork undoes it, so call it last.

    Only what is touched, and only where no limit counts: under one, the allocation that
    reaches it would fail instead, and so would a stack that grows.
    """
    import resource

    infinite = resource.RLIM_INFINITY
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (infinite, infinite))
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != infinite and not _may_lock():
        return False
    try:
        mlockall = ctypes.CDLL(None).mlockall
    except AttributeError:
        return False
    on_fault = _MCL_ONFAULT if sys.platform.startswith("linux") else 0  # EINVAL elsewhere
    return bool(mlockall(_MCL_CURRENT | _MCL_FUTURE | on_fault) == 0)


def _may_lock() -> bool:
    """Whether we have CAP_IPC_LOCK, for which no limit counts (and which then has to stay)."""
    if not sys.platform.startswith("linux"):
        return False
    from wgtools.daemon.confine.linux import has_ipc_lock

    return has_ipc_lock()


def tell_manager(message: str, environment: Mapping[str, str]) -> None:
    """Tell the service manager, if one listens: sd_notify(3)."""
    path = environment.get("NOTIFY_SOCKET", "")
    if path[:1] not in ("/", "@"):
        return
    address = "\0" + path[1:] if path[0] == "@" else path
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(message.encode(), address)


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
