# SPDX-License-Identifier: MIT
"""Any userspace daemon's UNIX socket: the thin caller round `wgtools.uapi.client`.

Sockets live in one directory as NAME.sock.  One that nobody listens on is a daemon
that died: it is removed when met (WG_COMPAT 11).  On macOS a device goes by the name of its
utun as well as by the one that it was asked for with (`names`).  `_socket` is CPython's
own module below `socket`, at a fraction of its import time.
"""

from __future__ import annotations

import _socket
import os
import sys
from errno import EACCES, EBADF, EINVAL, ENAMETOOLONG, ENODEV, ENOENT, ENXIO, EPERM, EPROTO
from stat import S_ISSOCK

from wgtools.crypto import public_key
from wgtools.errors import AccessError, NoSuchInterface, ProtocolError
from wgtools.model import NAME_MAX, Device, DeviceChange, Endpoint, HostPort

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wgtools.uapi.client import GetReply, SetReply

__all__ = ["SOCKET_DIRECTORY", "Backend"]

SOCKET_DIRECTORY = b"/var/run/wireguard"
_SUFFIX = b".sock"
_CHUNK = 1 << 18
_QUIETLY = getattr(_socket, "MSG_NOSIGNAL", 0)  # `wg` dies of SIGPIPE, but not for a daemon


class Backend:
    """Devices behind the sockets of a directory."""

    def __init__(
        self,
        *,
        directory: bytes = SOCKET_DIRECTORY,
        socket: Callable[[int, int], _socket.socket] = _socket.socket,
        renames: bool = sys.platform == "darwin",
    ) -> None:
        self._directory = directory
        self._socket = socket
        self._renames = renames

    @property
    def hidden(self) -> str:
        """The directory, if it is there and this user may not look into it; else empty."""
        if not os.path.isdir(self._directory) or os.access(self._directory, os.X_OK):
            return ""
        return _text(self._directory)

    def list(self) -> list[str]:
        """Names in directory order; removes dead sockets.  Raises AccessError."""
        try:
            entries = os.listdir(self._directory)
        except FileNotFoundError:
            return []
        except OSError as error:
            failure = _failure(error)
            if failure.errno == EACCES:
                failure.hint = f"{_text(self._directory)} is closed to this user: run this as root"
            raise failure from error
        return [
            _text(entry[: -len(_SUFFIX)])
            for entry in entries
            if len(entry) > len(_SUFFIX)
            and entry.endswith(_SUFFIX)
            and self._is_alive(os.path.join(self._directory, entry))
        ]

    def exists(self, name: str) -> bool:
        """Whether a daemon has a socket of that name; removes a dead one."""
        return "/" not in name and self._is_alive(self._path(name))

    def get(self, name: str) -> Device:
        """Ask the daemon.  Raises AccessError, NoSuchInterface, ProtocolError."""
        from wgtools.uapi.client import GET_REQUEST, GetReply  # `list` and `exists` do without

        reply = GetReply(
            _text(self._real(name)[:NAME_MAX]),
            public_key=public_key,
            resolve=_resolve,
        )
        self._exchange(name, (GET_REQUEST,), reply)
        return reply.device

    def set(self, name: str, change: DeviceChange) -> None:
        """Tell the daemon.  Raises as `get` does."""
        from wgtools.uapi.client import SetReply, encode_set

        self._exchange(name, encode_set(change), SetReply())

    def _real(self, name: str) -> bytes:
        """What the socket is called: the name itself, but for macOS."""
        raw = name.encode("utf-8", "surrogateescape")
        if not self._renames:
            return raw
        from .names import real_name

        return real_name(self._directory, raw)

    def _path(self, name: str) -> bytes:
        return os.path.join(self._directory, self._real(name) + _SUFFIX)

    def _is_alive(self, path: bytes) -> bool:
        """A socket whose owner still listens.  A connection that fails otherwise counts
        as one, and the failure shows when it is used."""
        try:
            if not S_ISSOCK(os.stat(path).st_mode):
                return False
            self._connect(path).close()
        except ConnectionRefusedError:
            _unlink(path)
            return False
        except FileNotFoundError:
            return False
        except OSError:
            return os.path.exists(path)
        return True

    def _connect(self, path: bytes) -> _socket.socket:
        connection = self._socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            connection.connect(path)
        except OSError as error:
            connection.close()
            if error.errno is None:  # CPython's own, for a path that sun_path cannot hold
                raise OSError(ENAMETOOLONG, os.strerror(ENAMETOOLONG)) from error
            raise
        return connection

    def _open(self, name: str) -> _socket.socket:
        if "/" in name:
            raise OSError(EINVAL, os.strerror(EINVAL))
        path = self._path(name)
        if not S_ISSOCK(os.stat(path).st_mode):
            raise OSError(EBADF, os.strerror(EBADF))
        try:
            return self._connect(path)
        except ConnectionRefusedError:
            _unlink(path)
            raise

    def _exchange(self, name: str, request: Iterable[bytes], reply: GetReply | SetReply) -> None:
        try:
            connection = self._open(name)
            try:
                _send(connection, request)
                while not reply.feed(connection.recv(_CHUNK)):
                    pass
            finally:
                connection.close()
        except OSError as error:
            raise _failure(error) from error
        if reply.status:
            raise _error(reply.status)


def _send(connection: _socket.socket, request: Iterable[bytes]) -> None:
    try:
        for piece in request:
            connection.sendall(piece, _QUIETLY)
    except (BrokenPipeError, ConnectionResetError):
        pass  # a daemon may answer and hang up on the first line it dislikes: read on


def _unlink(path: bytes) -> None:
    try:  # noqa: SIM105  # contextlib is slow to import
        os.unlink(path)
    except OSError:
        pass  # somebody else was faster, or may not: it stays dead


def _failure(error: OSError) -> AccessError:
    failure = _error(error.errno or 0)
    if failure.errno in (EACCES, EPERM):
        failure.hint = "the control sockets of daemons are root's: run this as root"
    return failure


def _error(number: int) -> AccessError:
    try:
        message = os.strerror(number)
    except OverflowError:  # -2147483648 sent as an errno, negated
        message = f"Unknown error {number}"
    if number in (ENODEV, ENXIO, ENOENT):
        return NoSuchInterface(message, errno=number)
    if number == EPROTO:
        return ProtocolError(message, errno=number)
    return AccessError(message, errno=number)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _resolve(wanted: HostPort) -> Endpoint | None:
    from wgtools.resolve import found  # seldom needed, so seldom loaded

    return found(wanted)
