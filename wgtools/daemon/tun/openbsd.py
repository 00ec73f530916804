# SPDX-License-Identifier: MIT
"""The TUN of OpenBSD: /dev/tunN, whose interface comes and goes with its opener.

Not here: what every BSD's TUN does (`bsd.py`).  The rule: only names the system knows,
tunN; `tun` alone asks for the first that nobody holds.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from wgtools.daemon.tun.bsd import BSDTun, Calls, Numbers, creation_error
from wgtools.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OpenBSDTun", "adopt_tun", "create_tun"]

_UNITS = 256  # more than anyone has device nodes for

_NUMBERS = Numbers(
    af_inet6=24,
    get_mtu=0xC020697E,
    set_mtu=0x8020697F,
)


class OpenBSDTun(BSDTun):
    """An open tun(4).  Raises OSError from the constructor, with `fd` still open."""

    def __init__(self, fd: int, name: str, *, calls: Calls, mtu: int | None = None) -> None:
        super().__init__(fd, name, numbers=_NUMBERS, calls=calls, mtu=mtu)


def create_tun(name: str, *, mtu: int = 1420, calls: Calls | None = None) -> OpenBSDTun:
    """An interface, down, of MTU `mtu`.  Raises AccessError, UsageError for a foreign name."""
    calls = calls or Calls()
    try:
        fd, name = _opened(name, calls)
    except OSError as e:
        if e.errno in (errno.ENOENT, errno.ENXIO):
            raise UsageError(
                f"There is no device for interface {name}",
                hint=f"as root: cd /dev && sh MAKEDEV {name}",
            ) from e
        raise creation_error(name, e) from e
    try:
        return OpenBSDTun(fd, name, calls=calls, mtu=mtu)
    except OSError as e:
        calls.close(fd)
        raise creation_error(name, e) from e


def _opened(name: str, calls: Calls) -> tuple[int, str]:
    """A device and its name.  Raises OSError, UsageError."""
    flags = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC
    unit = name.removeprefix("tun")
    if not name.startswith("tun") or (unit and not (unit.isascii() and unit.isdigit())):
        raise UsageError(
            f"An interface of the engine cannot be called {name} on OpenBSD",
            hint="call it tun, or tun0, tun1 and so on",
        )
    if unit:
        return calls.open(f"/dev/{name}", flags), name
    for number in range(_UNITS):
        try:
            return calls.open(f"/dev/tun{number}", flags), f"tun{number}"
        except OSError as e:
            if e.errno != errno.EBUSY:
                raise
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def adopt_tun(
    fd: int,
    *,
    calls: Calls | None = None,
    device_of: Callable[[int], int] = lambda fd: os.fstat(fd).st_rdev,
) -> OpenBSDTun:
    """The TUN that somebody opened for us (WG_TUN_FD).  Raises UsageError."""
    try:
        os.set_blocking(fd, False)
        os.set_inheritable(fd, False)
        return OpenBSDTun(fd, f"tun{os.minor(device_of(fd))}", calls=calls or Calls())
    except OSError as e:
        raise UsageError(f"File descriptor {fd} is not a TUN interface: {e.strerror}") from e
