# SPDX-License-Identifier: MIT
"""Listener: the control socket as a file: made safely, watched, taken away at the end.

Not here: what is said over it (`control.py`).  The rule: a socket file is only removed when
it is known to be ours or nobody's, never while another daemon may be answering on it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import stat
import sys
import time
from collections.abc import Iterator

from wgtools.errors import AccessError, UsageError

__all__ = ["RUNTIME_DIRECTORY", "Listener", "adopt_listener", "open_listener"]

RUNTIME_DIRECTORY = "/var/run/wireguard"  # where every WireGuard tool looks

# How a daemon is told to end; every one ends when its socket is taken away.
_END = "ip link delete {name}" if sys.platform.startswith("linux") else "rm {path}"
_BACKLOG = 64
_LOCK = ".lock"  # held for a moment by a daemon that starts; stays, as removing it would race
_PATIENCE = 5.0  # seconds to wait for it
_PAUSE = 0.02
_IN_EVENTS = (
    0x4 | 0x40 | 0x200 | 0x400 | 0x800
)  # attributes, moved from, deleted, self deleted/moved


def open_listener(
    name: str, *, directory: str = RUNTIME_DIRECTORY, patience: float = _PATIENCE
) -> Listener:
    """A listening socket for interface `name`.  Raises AccessError, also if one is alive."""
    path = f"{directory}/{name}.sock"
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as e:
        raise AccessError(f"Cannot make {directory}: {e.strerror}", errno=e.errno or 0) from e
    try:
        _check_private(opened, directory)
        # Two starting at once: one finds the other's socket.
        with _locked(opened, directory, patience):
            _remove_stale(name, path)
            return Listener(_listening(path), path)
    except OSError as e:
        raise AccessError(f"Cannot make {path}: {e.strerror}", errno=e.errno or 0) from e
    finally:
        os.close(opened)


def _check_private(opened: int, directory: str) -> None:
    """Raises AccessError for a directory where others could put a socket in our place."""
    status = os.fstat(opened)
    if status.st_uid not in (0, os.geteuid()):
        raise AccessError(
            f"{directory} belongs to another user, who could take our place in it",
            errno=errno.EPERM,
            hint=f"chown root {directory}",
        )
    if status.st_mode & 0o022:
        raise AccessError(
            f"{directory} can be written to by others, who could take our place in it",
            errno=errno.EPERM,
            hint=f"chmod go-w {directory}",
        )


@contextlib.contextmanager
def _locked(opened: int, directory: str, patience: float) -> Iterator[None]:
    """Hold the directory's lock: a file that only its owner can open.

    Anyone who can read a directory can lock the directory itself, and keep it so.
    """
    import fcntl  # here: Windows has none

    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    lock = os.open(_LOCK, flags, 0o600, dir_fd=opened)
    try:
        end = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as e:
                if time.monotonic() >= end:
                    raise AccessError(
                        f"Another daemon that is starting holds {directory}/{_LOCK}",
                        errno=errno.EAGAIN,
                        hint="try again in a moment",
                    ) from e
                time.sleep(_PAUSE)
        yield
    finally:
        os.close(lock)


def adopt_listener(fd: int) -> Listener:
    """The listening socket that somebody opened for us (WG_UAPI_FD).  Raises UsageError.

    It must be a file: one that has none is nowhere to be found by `wg`, and the file in the
    usual place would be another daemon's, which is not ours to take away.
    """
    try:
        sock = socket.socket(fileno=fd)
        try:
            path = _path_of(sock)
        except OSError:
            sock.close()
            raise
    except OSError as e:
        raise UsageError(f"File descriptor {fd} cannot be the control socket: {e.strerror}") from e
    sock.setblocking(False)
    sock.set_inheritable(False)
    return Listener(sock, os.path.abspath(path))  # a daemon changes its directory


def _path_of(sock: socket.socket) -> str:
    """Raises OSError if it is not what clients could find and connect to."""
    if sock.family != socket.AF_UNIX or not sock.getsockopt(
        socket.SOL_SOCKET, socket.SO_ACCEPTCONN
    ):
        raise OSError(errno.ENOTSOCK, "not a listening Unix socket")
    bound = sock.getsockname()
    if not isinstance(bound, str) or not bound:
        raise OSError(errno.EADDRNOTAVAIL, "it is bound to no path")
    return bound


def _remove_stale(name: str, path: str) -> None:
    """Unlink a socket that nobody answers on.  Raises AccessError if somebody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                os.unlink(path)
            return  # somebody's file stays, and is in the way of `bind`, which says so
        except BlockingIOError:
            pass  # a full backlog: alive, if busy
    raise AccessError(
        f"Interface {name} already has a WireGuard daemon: something answers on {path}",
        errno=errno.EADDRINUSE,
        hint=f"stop the other one first: {_END.format(name=name, path=path)}",
    )


def _listening(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    before = os.umask(0o177)  # 0600 from its first moment
    try:
        sock.bind(path)
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock


class Listener:
    """A listening socket and the file it stands in the directory as."""

    def __init__(self, sock: socket.socket, path: str) -> None:
        self.socket = sock
        self.path = path
        self._inotify = _watch(os.path.dirname(path))
        self._identity = _identity(path)  # after the watch began: no removal goes unnoticed

    def watch_fileno(self) -> int:
        """Readable when the file may be gone; -1 where nothing tells and one must look."""
        return self._inotify

    def is_gone(self) -> bool:
        """Whether somebody took our file away, or put another in its place."""
        if self._inotify >= 0:
            with contextlib.suppress(BlockingIOError):
                os.read(self._inotify, 65536)
        return self._identity is None or _identity(self.path) != self._identity

    def close(self) -> None:
        """Stop listening; remove the file if it is still ours."""
        if self._identity is not None and _identity(self.path) == self._identity:
            with contextlib.suppress(OSError):
                os.unlink(self.path)
        self.socket.close()
        if self._inotify >= 0:
            os.close(self._inotify)
            self._inotify = -1


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _watch(directory: str) -> int:
    """An inotify descriptor on `directory`, or -1."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        fd: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if fd < 0:
            return -1
        if libc.inotify_add_watch(fd, os.fsencode(directory), ctypes.c_uint32(_IN_EVENTS)) < 0:
            os.close(fd)
            return -1
    except AttributeError:  # no such call in this libc
        return -1
    return fd
