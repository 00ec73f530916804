# SPDX-License-Identifier: MIT
"""The TUN of FreeBSD: tun(4), cloned, put into the mode that takes IPv6, and renamed.

Not here: what every BSD's TUN does (`bsd.py`).  The rule: the interface outlives its
descriptor, so whoever fails half-way destroys it, and so does `close`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
from typing import TYPE_CHECKING

from wgtools.daemon.tun.bsd import IFREQ_NAME, BSDTun, Calls, Numbers, creation_error, text_of
from wgtools.errors import UsageError

if TYPE_CHECKING:
    from wgtools.daemon.tun import Link

__all__ = ["FreeBSDTun", "adopt_tun", "create_tun"]

_DEVICE = "/dev/tun"

# net/if_tun.h
_TUNSIFMODE = 0x8004745E
_TUNSIFPID = 0x2000745F
_TUNSIFHEAD = 0x80047460
_TUNGIFNAME = 0x4020745D
# net/if.h
_IFF_BROADCAST = 0x2
_IFF_MULTICAST = 0x8000
# sys/sockio.h, netinet6/in6_var.h
_SIOCSIFNAME = 0x80206928
_SIOCIFDESTROY = 0x80206979
_SIOCGIFINFO_IN6 = 0xC048696C
_SIOCSIFINFO_IN6 = 0xC048696D
# netinet6/nd6.h: struct in6_ndireq, of which we care for ndi.flags
_IN6_NDIREQ = 72
_ND_FLAGS_AT = 36
_ND6_IFF_AUTO_LINKLOCAL = 0x20
_ND6_IFF_NO_DAD = 0x100

_INT = struct.Struct("=i")
_U32 = struct.Struct("=I")
_POINTER = struct.Struct("@P")

_NUMBERS = Numbers(
    af_inet6=28,
    get_mtu=0xC0206933,
    set_mtu=0x80206934,
    query_family=socket.AF_UNIX,  # works in a jail without any IP
)


class FreeBSDTun(BSDTun):
    """An open tun(4).  Raises OSError from the constructor, with `fd` still open."""

    def __init__(self, fd: int, *, calls: Calls, mtu: int | None = None) -> None:
        self._owner = 0
        super().__init__(
            fd,
            _name(fd, calls),
            numbers=_NUMBERS,
            calls=calls,
            mtu=mtu,
            identify=lambda fd: _name(fd, calls),
            destroy=lambda name: _destroy(name, calls),
        )

    def link(self) -> Link:
        if self._owner != os.getpid():  # since we became a daemon
            self._owner = os.getpid()
            with contextlib.suppress(OSError):
                self._calls.ioctl(self._fd, _TUNSIFPID, b"")  # what `ifconfig` shows as the opener
        return super().link()


def create_tun(name: str, *, mtu: int = 1420, calls: Calls | None = None) -> FreeBSDTun:
    """A new interface, down, of MTU `mtu`.  Raises AccessError."""
    calls = calls or Calls()
    try:
        fd = calls.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as e:
        raise creation_error(name, e) from e
    try:
        cloned = _name(fd, calls)
    except OSError as e:
        calls.close(fd)
        raise creation_error(name, e) from e
    try:
        _set_up(fd, cloned, calls)
        if cloned != name:
            _rename(cloned, name, calls)
            cloned = name
        return FreeBSDTun(fd, calls=calls, mtu=mtu)
    except OSError as e:
        calls.close(fd)
        with contextlib.suppress(OSError):
            _destroy(cloned, calls)
        raise creation_error(name, e) from e


def adopt_tun(fd: int, *, calls: Calls | None = None) -> FreeBSDTun:
    """The TUN that somebody opened for us (WG_TUN_FD).  Raises UsageError."""
    calls = calls or Calls()
    try:
        os.set_blocking(fd, False)
        os.set_inheritable(fd, False)
        calls.ioctl(fd, _TUNSIFHEAD, _INT.pack(1))
        return FreeBSDTun(fd, calls=calls)
    except OSError as e:
        raise UsageError(f"File descriptor {fd} is not a TUN interface: {e.strerror}") from e


def _name(fd: int, calls: Calls) -> str:
    return text_of(calls.ioctl(fd, _TUNGIFNAME, bytes(32)))


def _set_up(fd: int, name: str, calls: Calls) -> None:
    """Families in front of packets, no point-to-point address, no link-local address.

    Of the last WireGuard makes no use, and FreeBSD puts it on and off at its own times.
    """
    calls.ioctl(fd, _TUNSIFHEAD, _INT.pack(1))
    calls.ioctl(fd, _TUNSIFMODE, _INT.pack(_IFF_BROADCAST | _IFF_MULTICAST))
    try:
        six = calls.socket(socket.AF_INET6, socket.SOCK_DGRAM, 0)
    except OSError:
        return  # a kernel without IPv6 has nothing to turn off
    with contextlib.closing(six):
        request = bytearray(os.fsencode(name).ljust(_IN6_NDIREQ, b"\0"))
        request = bytearray(calls.ioctl(six.fileno(), _SIOCGIFINFO_IN6, bytes(request)))
        (flags,) = _U32.unpack_from(request, _ND_FLAGS_AT)
        flags = flags & ~_ND6_IFF_AUTO_LINKLOCAL | _ND6_IFF_NO_DAD
        _U32.pack_into(request, _ND_FLAGS_AT, flags)
        calls.ioctl(six.fileno(), _SIOCSIFINFO_IN6, bytes(request))


def _rename(old: str, new: str, calls: Calls) -> None:
    target = ctypes.create_string_buffer(os.fsencode(new), 16)
    pointer = _POINTER.pack(ctypes.addressof(target))
    request = os.fsencode(old).ljust(16, b"\0") + pointer.ljust(16, b"\0")
    with contextlib.closing(calls.socket(_NUMBERS.query_family, socket.SOCK_DGRAM, 0)) as query:
        calls.ioctl(query.fileno(), _SIOCSIFNAME, request)


def _destroy(name: str, calls: Calls) -> None:
    with contextlib.closing(calls.socket(_NUMBERS.query_family, socket.SOCK_DGRAM, 0)) as query:
        calls.ioctl(query.fileno(), _SIOCIFDESTROY, IFREQ_NAME.pack(os.fsencode(name)))
