# SPDX-License-Identifier: MIT
"""The seam between what is asked of WireGuard and who carries it out.

A backend lists, gets and sets, as the C tool's `ipc.c` has.  This module knows the
backends only by name, picks by the rule of WG_COMPAT section 11 (a userspace
socket of that name wins, else the kernel) and loads only the one it needs.
"""

from __future__ import annotations

import sys

from wgtools.errors import AccessError

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from typing import Protocol

    from wgtools.model import Device, DeviceChange

    class Backend(Protocol):
        """One way to reach WireGuard devices."""

        def list(self) -> list[str]:
            """Names of the devices, in the system's order.  Raises AccessError."""

        def exists(self, name: str) -> bool:
            """Whether this backend is the one to ask about `name`."""

        def get(self, name: str) -> Device:
            """The device.  Raises NoSuchInterface, AccessError, ProtocolError."""

        def set(self, name: str, change: DeviceChange) -> None:
            """Apply the change; all endpoints are resolved.  Raises as `get` does."""


__all__ = ["backends", "exists", "get", "list_devices", "set"]

_USERSPACE = "wgtools_backends.uapi"
_KERNEL = {  # by sys.platform, without the release that the BSDs put behind it
    "linux": "wgtools_backends.linux",
    "freebsd": "wgtools_backends.freebsd",
    "openbsd": "wgtools_backends.openbsd",
    "netbsd": "wgtools_backends.netbsd",
    "win32": "wgtools_backends.windows",
}


def list_devices() -> list[str]:
    """Names of all devices: the kernel's, then those of daemons, as the system lists them.

    A name in both appears twice.  Raises AccessError.
    """
    return [name for backend in backends() for name in backend.list() if name]


def exists(name: str) -> bool:
    """Whether there is a device called `name`; the others are not asked.  Raises AccessError."""
    if _load(_USERSPACE).exists(name):
        return True
    kernel = _kernel()
    return kernel is not None and name in _load(kernel).list()


def get(name: str) -> Device:
    """The device called `name`.  Raises NoSuchInterface, AccessError, ProtocolError."""
    try:
        return _owner(name).get(name)
    except AccessError as error:
        _advise(error)
        raise


def set(name: str, change: DeviceChange) -> None:
    """Apply `change`, whose endpoints are all resolved.  Raises as `get` does."""
    try:
        _owner(name).set(name, change)
    except AccessError as error:
        _advise(error)
        raise


def backends() -> tuple[Backend, ...]:
    """Every way to reach devices on this platform; the last is the daemons' sockets."""
    userspace = _load(_USERSPACE)
    kernel = _kernel()
    return (_load(kernel), userspace) if kernel else (userspace,)


def _owner(name: str) -> Backend:
    userspace = _load(_USERSPACE)
    kernel = _kernel()
    return _load(kernel) if kernel and not userspace.exists(name) else userspace


def _kernel() -> str | None:
    """The module that speaks with this system's kernel, if one does."""
    return _KERNEL.get(sys.platform) or _KERNEL.get(sys.platform.rstrip("0123456789"))


def _advise(error: AccessError) -> None:
    """To one who may not even see whether a daemon has the name, say that first."""
    hidden = getattr(_load(_USERSPACE), "hidden", "")
    if hidden:
        error.hint = f"{hidden} is closed to this user: run this as root"


def _load(module: str) -> Backend:
    backend: Backend = __import__(module, fromlist=["Backend"]).Backend()
    return backend
