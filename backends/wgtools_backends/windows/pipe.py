# SPDX-License-Identifier: MIT
"""Userspace daemons of Windows: the UAPI text over a named pipe that belongs to the system.

A pipe of the right name proves nothing, anybody may make one that is free; private keys go
to no owner but LocalSystem (BSD_IPC 8).  What Windows is can be replaced
(`Backend(system=...)`).
"""

from __future__ import annotations

from errno import EACCES, EINVAL, EPROTO

from wgtools.crypto import public_key
from wgtools.errors import AccessError, NoSuchInterface, ProtocolError
from wgtools.model import Device, DeviceChange
from wgtools.resolve import found
from wgtools.uapi.client import GET_REQUEST, GetReply, SetReply, encode_set

from .failure import ERROR_BROKEN_PIPE, Win32Error, translated

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    class Pipe(Protocol):
        """An open pipe.  All of it raises Win32Error."""

        def owner(self) -> str:
            """The SID of who made it."""

        def read(self, size: int) -> bytes: ...
        def write(self, data: bytes) -> None: ...
        def close(self) -> None: ...

    class System(Protocol):
        """What is used of Windows.  All of it raises Win32Error."""

        def pipes(self) -> list[str]:
            """Names of all pipes, without `\\\\.\\pipe\\`."""

        def open_pipe(self, name: str) -> Pipe: ...


__all__ = ["LOCAL_SYSTEM", "PREFIX", "Backend"]

PREFIX = "ProtectedPrefix\\Administrators\\WireGuard\\"
LOCAL_SYSTEM = "S-1-5-18"
_CHUNK = 1 << 16
_ABSENT = 19, 6, 2  # ENODEV, ENXIO, ENOENT as the protocol has them, on every system
_PROTOCOL = 71


class Backend:
    """Devices behind the pipes of daemons."""

    def __init__(self, system: System) -> None:
        self._system = system

    def list(self) -> list[str]:
        """Names in the system's order.  Raises AccessError."""
        try:
            pipes = self._system.pipes()
        except Win32Error as error:
            raise translated(error) from error
        names = [name[len(PREFIX) :] for name in pipes if name.startswith(PREFIX)]
        return [name for name in names if _is_plain(name)]

    def exists(self, name: str) -> bool:
        return name in self.list()

    def get(self, name: str) -> Device:
        """Ask the daemon.  Raises AccessError, NoSuchInterface, ProtocolError."""
        reply = GetReply(name, public_key=public_key, resolve=found)
        self._exchange(name, (GET_REQUEST,), reply)
        return reply.device

    def set(self, name: str, change: DeviceChange) -> None:
        """Tell the daemon.  Raises as `get` does."""
        self._exchange(name, encode_set(change), SetReply())

    def _exchange(self, name: str, request: Iterable[bytes], reply: GetReply | SetReply) -> None:
        if not _is_plain(name):
            raise AccessError("Invalid argument", errno=EINVAL)
        try:
            pipe = self._system.open_pipe(PREFIX + name)
            try:
                _converse(pipe, request, reply)
            finally:
                pipe.close()
        except Win32Error as error:
            raise translated(error) from error
        if reply.status:
            raise _refused(reply.status)


def _converse(pipe: Pipe, request: Iterable[bytes], reply: GetReply | SetReply) -> None:
    owner = pipe.owner()
    if owner != LOCAL_SYSTEM:
        raise AccessError(
            "Permission denied",
            errno=EACCES,
            hint=f"the pipe belongs to {owner}, not to the system: no key was sent to it",
        )
    try:
        for piece in request:
            pipe.write(piece)
    except Win32Error as error:
        if error.code != ERROR_BROKEN_PIPE:  # else it may have answered first: read on
            raise
    while not reply.feed(_read(pipe)):
        pass


def _read(pipe: Pipe) -> bytes:
    try:
        return pipe.read(_CHUNK)
    except Win32Error as error:
        if error.code == ERROR_BROKEN_PIPE:  # the stream ended
            return b""
        raise


def _refused(status: int) -> AccessError:
    """The daemon's own numbers are Linux's, whatever this system's are."""
    if status in _ABSENT:
        return NoSuchInterface("No such device", errno=status)
    if status in (_PROTOCOL, EPROTO):
        return ProtocolError("Protocol error", errno=EPROTO)
    return AccessError(f"the daemon refused with error {status}", errno=status)


def _is_plain(name: str) -> bool:
    return bool(name) and not any(character in "\\/" or character < " " for character in name)
