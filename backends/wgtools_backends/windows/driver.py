# SPDX-License-Identifier: MIT
"""wireguard-nt, the driver of Windows: the thin caller round the pure codec.

All that happens here is finding an adapter by its name and asking with more room until the
reply fits.  What Windows is can be replaced (`Backend(system=...)`).
"""

from __future__ import annotations

from errno import EINVAL

from wgtools.errors import AccessError

from . import codec
from .failure import ERROR_FILE_NOT_FOUND, ERROR_MORE_DATA, Win32Error, translated

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from typing import Protocol

    from wgtools.model import Device, DeviceChange

    class System(Protocol):
        """What is used of Windows.  All of it raises Win32Error."""

        def adapters(self) -> list[tuple[str, str]]:
            """Name and device path of every WireGuard adapter."""

        def control(self, path: str, code: int, data: bytes) -> tuple[bytes, int]:
            """One DeviceIoControl with `data` in the buffer: the buffer afterwards, and how
            much the driver says is in it.  Raises Win32Error."""

        def scope_of(self, zone: str) -> int:
            """The number of an interface."""


__all__ = ["WG_IOCTL_GET", "WG_IOCTL_SET", "Backend"]

WG_IOCTL_GET = 0xB098C506
WG_IOCTL_SET = 0xB098C509
_FIRST_ROOM = 1 << 14
_LAST_ROOM = 1 << 30


class Backend:
    """The adapters of the driver."""

    def __init__(self, system: System) -> None:
        self._system = system

    def list(self) -> list[str]:
        """Names of the adapters.  Raises AccessError."""
        try:
            return [name for name, _ in self._system.adapters()]
        except Win32Error as error:
            raise translated(error) from error

    def exists(self, name: str) -> bool:
        return name in self.list()

    def get(self, name: str) -> Device:
        """Raises NoSuchInterface, AccessError, ProtocolError."""
        try:
            data = self._read(self._path(name))
        except Win32Error as error:
            raise translated(error) from error
        return codec.device(name, data)

    def set(self, name: str, change: DeviceChange) -> None:
        """Raises as `get` does."""
        try:
            data = codec.change_bytes(change, scope_of=self._system.scope_of)
            self._system.control(self._path(name), WG_IOCTL_SET, data)
        except ValueError as error:
            raise AccessError("Invalid argument", errno=EINVAL, hint=str(error)) from error
        except Win32Error as error:
            raise translated(error) from error

    def _path(self, name: str) -> str:
        for known, path in self._system.adapters():
            if known == name:
                return path
        raise Win32Error(ERROR_FILE_NOT_FOUND)

    def _read(self, path: str) -> bytes:
        """A whole reply."""
        room = _FIRST_ROOM
        while True:
            try:
                data, length = self._system.control(path, WG_IOCTL_GET, bytes(room))
            except Win32Error as error:
                if error.code != ERROR_MORE_DATA or room >= _LAST_ROOM:
                    raise
                room *= 4
                continue
            return data[:length]
