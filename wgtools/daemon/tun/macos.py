# SPDX-License-Identifier: MIT
"""The TUN of macOS: utun, a socket of the kernel's control family; it goes when that closes.

Not here: what every BSD's TUN does (`bsd.py`).  The rule: only names the system knows,
utunN; `utun` alone takes the first that is free, and WG_TUN_NAME_FILE tells which.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING

from wgtools.daemon.tun.bsd import BSDTun, Calls, Numbers, creation_error, text_of
from wgtools.errors import UsageError

if TYPE_CHECKING:
    from typing import Any

__all__ = ["MacOSTun", "adopt_tun", "create_tun"]

# sys/sys_domain.h, sys/kern_control.h, net/if_utun.h
_AF_SYSTEM = 32
_SYSPROTO_CONTROL = 2
_CTLIOCGINFO = 0xC0644E03
_CONTROL = b"com.apple.net.utun_control"
_CTL_INFO = struct.Struct("=I96s")
_UTUN_OPT_IFNAME = 2

_NUMBERS = Numbers(
    af_inet6=30,
    get_mtu=0xC0206933,
    set_mtu=0x80206934,
)


class MacOSTun(BSDTun):
    """An open utun.  Raises OSError from the constructor, with `fd` still open."""

    def __init__(self, fd: int, name: str, *, calls: Calls, mtu: int | None = None) -> None:
        super().__init__(fd, name, numbers=_NUMBERS, calls=calls, mtu=mtu)


def create_tun(name: str, *, mtu: int = 1420, calls: Calls | None = None) -> MacOSTun:
    """A new interface, down, of MTU `mtu`.  Raises AccessError, UsageError for a foreign name."""
    calls = calls or Calls()
    unit = _unit(name)
    try:
        control: Any = calls.socket(_AF_SYSTEM, socket.SOCK_DGRAM, _SYSPROTO_CONTROL)
    except OSError as e:
        raise creation_error(name, e) from e
    try:
        control.setblocking(False)
        number, _ = _CTL_INFO.unpack(
            calls.ioctl(control.fileno(), _CTLIOCGINFO, _CTL_INFO.pack(0, _CONTROL))
        )
        control.connect((number, unit))
        name = _name(control)
    except OSError as e:
        control.close()
        raise creation_error(name, e) from e
    fd = control.detach()
    try:
        return MacOSTun(fd, name, calls=calls, mtu=mtu)
    except OSError as e:
        calls.close(fd)
        raise creation_error(name, e) from e


def _unit(name: str) -> int:
    """The unit to connect to: one more than the number of the interface; 0 is any."""
    number = name.removeprefix("utun")
    if not name.startswith("utun") or (number and not (number.isascii() and number.isdigit())):
        raise UsageError(
            f"An interface cannot be called {name} on macOS",
            hint="call it utun, or utun0, utun1 and so on",
        )
    return int(number) + 1 if number else 0


def adopt_tun(fd: int, *, calls: Calls | None = None) -> MacOSTun:
    """The utun that somebody opened for us (WG_TUN_FD).  Raises UsageError."""
    calls = calls or Calls()
    try:
        control = calls.socket(_AF_SYSTEM, socket.SOCK_DGRAM, _SYSPROTO_CONTROL, fileno=fd)
        try:
            control.setblocking(False)
            name = _name(control)
        finally:
            control.detach()
        os.set_inheritable(fd, False)
        return MacOSTun(fd, name, calls=calls)
    except OSError as e:
        raise UsageError(f"File descriptor {fd} is not a TUN interface: {e.strerror}") from e


def _name(control: Any) -> str:
    return text_of(control.getsockopt(_SYSPROTO_CONTROL, _UTUN_OPT_IFNAME, 16))
