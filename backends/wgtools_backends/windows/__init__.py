# SPDX-License-Identifier: MIT
"""WireGuard on Windows: daemons behind named pipes, and the driver wireguard-nt.

`Backend` asks both; a daemon of the name wins, as everywhere.  Which of their modules are
loaded is decided when they are needed.
"""

from __future__ import annotations

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from wgtools.ipc import Backend as Reach
    from wgtools.model import Device, DeviceChange

    from .win32 import Windows

__all__ = ["Backend"]


class Backend:
    """Every WireGuard device of this Windows."""

    def __init__(self, system: Windows | None = None) -> None:
        if system is None:
            from .win32 import Windows

            system = Windows()
        self._system = system

    def list(self) -> list[str]:
        """Names of the driver's adapters, then of daemons.  Raises AccessError."""
        return [*self._driver().list(), *self._daemons().list()]

    def exists(self, name: str) -> bool:
        return self._daemons().exists(name) or self._driver().exists(name)

    def get(self, name: str) -> Device:
        """Raises NoSuchInterface, AccessError, ProtocolError."""
        return self._owner(name).get(name)

    def set(self, name: str, change: DeviceChange) -> None:
        """Raises as `get` does."""
        self._owner(name).set(name, change)

    def _owner(self, name: str) -> Reach:
        daemons = self._daemons()
        return daemons if daemons.exists(name) else self._driver()

    def _daemons(self) -> Reach:
        from . import pipe

        return pipe.Backend(self._system)

    def _driver(self) -> Reach:
        from . import driver

        return driver.Backend(self._system)
