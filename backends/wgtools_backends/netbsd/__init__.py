# SPDX-License-Identifier: MIT
"""NetBSD's WireGuard.  `Backend` is loaded when it is first asked for."""

from __future__ import annotations

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from .ioctl import Backend as Backend

__all__ = ["Backend"]


def __getattr__(name: str) -> object:
    if name == "Backend":
        from .ioctl import Backend

        return Backend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
