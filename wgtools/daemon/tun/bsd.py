# SPDX-License-Identifier: MIT
"""BSDTun: what the TUNs of FreeBSD, OpenBSD and macOS have in common.

Reading, writing, looking at the link, listening to route(4).  Not here: how a device is
made and named (`freebsd.py`, `openbsd.py`, `macos.py`), what is in a frame (`framing.py`).
The rule: an errno alone never says that the interface is gone, for the systems disagree
about which; after one, the system is asked whether it is still there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wgtools.daemon.tun import Link, TunGone
from wgtools.daemon.tun.framing import FAMILY_SIZE, Framing
from wgtools.daemon.tun.route import tells_of_routes
from wgtools.errors import AccessError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wgtools.engine.events import Buffer

__all__ = ["IFREQ_NAME", "BSDTun", "Calls", "Numbers", "creation_error", "text_of"]

_AF_ROUTE = 17  # sys/socket.h of FreeBSD, OpenBSD and macOS; Linux has another

# sys/sockio.h and net/if.h: the same on the three.  struct ifreq has 32 bytes.
_SIOCGIFFLAGS = 0xC0206911
_IFF_UP = 0x1
_IFREQ_MTU = struct.Struct("=16si12x")
_IFREQ_FLAGS = struct.Struct("=16sH14x")
IFREQ_NAME = struct.Struct("=16s16x")

_NO_HEADER = bytes(10)
_TAIL = 16  # of the buffer: left alone for the engine
_SPARE = 10 - FAMILY_SIZE  # by how much our header is longer than the system's
_NOT_NOW = (errno.EHOSTDOWN, errno.ENETDOWN, errno.ENOBUFS)  # FreeBSD: it was never up yet
_AT_ONCE = 32  # messages of route(4) in one turn


@dataclass(frozen=True, slots=True)
class Calls:
    """The system calls; a test gives others."""

    open: Callable[[str, int], int] = os.open
    close: Callable[[int], None] = os.close
    readv: Callable[[int, Sequence[Any]], int] = os.readv
    writev: Callable[[int, Sequence[Any]], int] = os.writev
    ioctl: Callable[[int, int, bytes], Any] = fcntl.ioctl
    index_of: Callable[[str], int] = socket.if_nametoindex
    name_of: Callable[[int], str] = socket.if_indextoname
    socket: Callable[..., socket.socket] = socket.socket


@dataclass(frozen=True, slots=True)
class Numbers:
    """Where the systems differ."""

    af_inet6: int
    get_mtu: int  # SIOCGIFMTU
    set_mtu: int  # SIOCSIFMTU
    query_family: int = socket.AF_INET  # of the socket that interfaces are asked about with


class BSDTun:
    """An open device.  Raises OSError from the constructor, with `fd` still open.

    `mtu` is what it shall have; None leaves it as it is.
    `identify` asks the system for the interface's present name, and raises OSError when
    it has none any more; `destroy` removes what outlives its descriptor.
    """

    can_udp_offload = False

    def __init__(
        self,
        fd: int,
        name: str,
        *,
        numbers: Numbers,
        calls: Calls,
        mtu: int | None = None,
        identify: Callable[[int], str] | None = None,
        destroy: Callable[[str], None] | None = None,
    ) -> None:
        self.name = name
        self._fd = fd
        self._numbers = numbers
        self._calls = calls
        self._framing = Framing(numbers.af_inet6)
        self._family = bytearray(FAMILY_SIZE)
        self._identify = identify or (lambda _fd: calls.name_of(self._index))
        self._destroy = destroy
        self._index = calls.index_of(name)
        self._query = calls.socket(numbers.query_family, socket.SOCK_DGRAM, 0)
        self._ear = _open_ear(calls)
        try:
            if mtu is not None:
                self.set_mtu(mtu)
            self._link = self._look()
        except OSError:
            self._close_sockets()
            raise

    def fileno(self) -> int:
        return self._fd

    def read_into(self, buffer: memoryview) -> int:
        try:
            length = self._calls.readv(self._fd, (self._family, buffer[10:-_TAIL]))
        except BlockingIOError:
            return 0
        except OSError as e:
            self._check_there(e)
            if e.errno in _NOT_NOW:
                return 0
            raise
        if length <= FAMILY_SIZE:
            if not length:
                self._check_there(None)
            return 0
        buffer[:10] = _NO_HEADER
        return length + _SPARE

    def write(self, frame: Sequence[Buffer]) -> bool:
        """See Tun.  Of a super-packet, True if any part of it was taken."""
        taken = False
        for packet in self._framing.packets(frame):
            try:
                # FreeBSD takes nothing, and finds no fault, while the interface is down.
                taken = self._calls.writev(self._fd, packet) > 0 or taken
            except OSError as e:
                self._check_there(e)
        return taken

    def _check_there(self, cause: OSError | None) -> None:
        try:
            self.name = self._identify(self._fd)
        except OSError:
            raise TunGone from cause

    def watch_fileno(self) -> int:
        return self._ear.fileno() if self._ear is not None else -1

    def watched(self) -> bool:
        """See Tun.  A bounded number of messages at a time; what overflowed counts as a change."""
        if self._ear is None:
            return False
        routes = False
        for _ in range(_AT_ONCE):
            try:
                routes = tells_of_routes(self._ear.recv(65536)) or routes
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: messages were lost
                routes = True
        return routes

    def link(self) -> Link:
        """See Tun.  In another network stack (a FreeBSD jail's) it stays as it was last seen."""
        self._check_there(None)
        try:
            self._link = self._look()
        except OSError:
            self._link = Link(up=self._link.up, mtu=self._link.mtu)
        return self._link

    def _look(self) -> Link:
        query, name = self._query.fileno(), os.fsencode(self.name)
        ioctl, mtu_of = self._calls.ioctl, self._numbers.get_mtu
        _, flags = _IFREQ_FLAGS.unpack(ioctl(query, _SIOCGIFFLAGS, _IFREQ_FLAGS.pack(name, 0)))
        _, mtu = _IFREQ_MTU.unpack(ioctl(query, mtu_of, _IFREQ_MTU.pack(name, 0)))
        return Link(up=bool(flags & _IFF_UP), mtu=mtu, index=self._index)

    def set_mtu(self, mtu: int) -> None:
        """Raises OSError."""
        request = _IFREQ_MTU.pack(os.fsencode(self.name), mtu)
        self._calls.ioctl(self._query.fileno(), self._numbers.set_mtu, request)

    def close(self) -> None:
        if self._fd < 0:
            return
        self._calls.close(self._fd)
        self._fd = -1
        if self._destroy is not None:
            with contextlib.suppress(OSError):
                self._destroy(self.name)
        self._close_sockets()

    def _close_sockets(self) -> None:
        self._query.close()
        if self._ear is not None:
            self._ear.close()


def _open_ear(calls: Calls) -> socket.socket | None:
    """A route(4) socket; None where forbidden."""
    try:
        ear = calls.socket(_AF_ROUTE, socket.SOCK_RAW, 0)
    except OSError:
        return None
    ear.setblocking(False)
    return ear


def text_of(raw: bytes) -> str:
    """A name as the kernel gives it: up to its NUL."""
    return os.fsdecode(raw.split(b"\0", 1)[0])


def creation_error(name: str, e: OSError) -> AccessError:
    """Why interface `name` could not be made, in our own words."""
    number = e.errno or 0
    if number in (errno.EBUSY, errno.EEXIST):
        return AccessError(f"Interface {name} is already there", errno=number)
    hint = "run as root" if number in (errno.EPERM, errno.EACCES) else ""
    return AccessError(f"Cannot create interface {name}: {e.strerror}", errno=number, hint=hint)
