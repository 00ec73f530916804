# SPDX-License-Identifier: MIT
"""The seam between what is asked of WireGuard and who carries it out.

A backend has three verbs, as the C tool's `ipc.c` has.  This module knows the
backends only by name, picks by the rule of WG_COMPAT section 11 (a userspace
socket of that name wins, else the kernel) and loads only the one it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
