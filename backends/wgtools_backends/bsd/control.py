# SPDX-License-Identifier: MIT
"""The control socket: how a BSD is asked about its interfaces.

The thin edge under the pure codecs.  The system call, the socket and the memory that
pointers in a request point at are constructor arguments, so that every layout can be
driven on every machine.  What an answer means is not known here.
"""

from __future__ import annotations

import os
from array import array
from errno import EINVAL, ENAMETOOLONG, ENOENT, ENOTTY, ENXIO, EPERM

from wgtools.errors import AccessError, NoSuchInterface

from . import layout as layouts
from .layout import IFNAMSIZ, INOUT, Layout

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    IOCtl = Callable[[int, int, bytearray, bool], object]

    class Socket(Protocol):
        """What is used of a datagram socket."""

        def fileno(self) -> int: ...
        def close(self) -> None: ...

    class Memory(Protocol):
        """Bytes that stay where they are, for a request to point at."""

        address: int

        def read(self, size: int) -> bytes: ...


__all__ = [
    "Control",
    "Pinned",
    "interface_name",
    "local_socket",
    "scope_of",
    "translated",
    "zone_of",
]

SIOCGIFGMEMB = 138  # the members of a group of interfaces; net/if.h

ATTEMPTS = 100  # answers that were too large for the room asked for a moment before

_HINTS = {
    EPERM: "this needs the rights of root: run it as root",
    ENXIO: "`wg show interfaces` lists the interfaces there are",
    ENOTTY: "the interface exists, but it is not a WireGuard one",
    ENAMETOOLONG: f"the name of an interface has at most {IFNAMSIZ - 1} bytes",
}


class Pinned:
    """Memory of this process, without the 10 ms that importing ctypes costs."""

    __slots__ = ("_array", "address")

    def __init__(self, data: bytes) -> None:
        self._array = array("B", data)
        self.address = self._array.buffer_info()[0]

    def read(self, size: int) -> bytes:
        return self._array[:size].tobytes()


def local_socket() -> Socket:
    """FreeBSD's choice: there is one even in a jail without IP (BSD_IPC 1.1)."""
    import _socket

    return _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)


def _system_ioctl() -> IOCtl:
    import fcntl  # here: Windows has none

    return fcntl.ioctl


class Control:
    """Makes ioctls on a socket that it opens for each."""

    __slots__ = ("_allocate", "_connect", "_ioctl", "layout")

    def __init__(
        self,
        *,
        ioctl: IOCtl | None = None,
        connect: Callable[[], Socket] = local_socket,
        allocate: Callable[[bytes], Memory] = Pinned,
        layout: Layout = layouts.NATIVE,
    ) -> None:
        self._ioctl = ioctl
        self._connect = connect
        self._allocate = allocate
        self.layout = layout

    def allocate(self, data: bytes) -> Memory:
        """Memory that holds `data`.  Keep it until the call that points at it is done."""
        return self._allocate(data)

    def call(self, number: int, request: bytes) -> bytes:
        """One ioctl; the argument as the kernel left it.  Raises OSError."""
        ioctl = self._ioctl or _system_ioctl()
        argument = bytearray(request)
        sock = self._connect()
        try:
            while True:
                try:
                    ioctl(sock.fileno(), number, argument, True)
                except InterruptedError:
                    continue
                return bytes(argument)
        finally:
            sock.close()

    def members(self, group: bytes) -> list[bytes]:
        """Names of the interfaces in a group; none if nobody ever joined it (BSD_IPC 1.3).

        Raises OSError.
        """
        kind = self.layout
        number = layouts.number(INOUT, SIOCGIFGMEMB, kind.ifgroupreq_size)
        for _ in range(ATTEMPTS):
            try:
                answer = self.call(number, kind.ifgroupreq(group, size=0, address=0))
            except OSError as error:
                if error.errno == ENOENT:
                    return []
                raise
            room = self.allocate(bytes(kind.ifgroupreq_length(answer)))
            size = kind.ifgroupreq_length(answer)
            if not size:
                return []
            try:
                answer = self.call(number, kind.ifgroupreq(group, size=size, address=room.address))
            except OSError as error:
                if error.errno == EINVAL:  # somebody joined meanwhile
                    continue
                raise
            names = room.read(min(size, kind.ifgroupreq_length(answer)))
            fields = [names[at : at + IFNAMSIZ] for at in range(0, len(names), IFNAMSIZ)]
            return [name for name in map(layouts.text, fields) if name]
        raise OSError(EINVAL, os.strerror(EINVAL))


def interface_name(name: str) -> bytes:
    """A name as the kernel wants it.  Raises AccessError if it is too long."""
    raw = name.encode("utf-8", "surrogateescape")
    if len(raw) >= IFNAMSIZ:
        raise translated(OSError(ENAMETOOLONG, os.strerror(ENAMETOOLONG)))
    return raw


def translated(
    error: OSError, *, absent: tuple[int, ...] = (ENXIO, ENOTTY), hint: str = ""
) -> AccessError:
    """The project's own error; the system's text is its message, as `wg` prints it.

    `absent`: what says that no interface of that name speaks WireGuard."""
    number = error.errno or 0
    kind = NoSuchInterface if number in absent else AccessError
    return kind(os.strerror(number), errno=number, hint=hint or _HINTS.get(number, ""))


def zone_of(index: int) -> str:
    """The name of an interface's number, empty if there is none."""
    import _socket

    try:
        return _socket.if_indextoname(index)
    except OSError:
        return ""


def scope_of(zone: str) -> int:
    """The number of a zone (`em0`, `3`).  Raises NoSuchInterface."""
    import _socket

    try:
        return _socket.if_nametoindex(zone)
    except OSError as error:
        if zone.isascii() and zone.isdigit():
            return int(zone)
        raise translated(OSError(ENXIO, os.strerror(ENXIO))) from error
