# SPDX-License-Identifier: MIT
"""The contract's devices on OpenBSD, NetBSD and Windows: kernels that are not there, by the
rules of BSD_IPC and of these systems' own sources.  And what each of them does not have."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from wgtools.testing.fake_netbsd import FakeNetBSD
from wgtools.testing.fake_openbsd import FakeOpenBSD
from wgtools.testing.fake_windows import FakeWindows
from wgtools.testing.memory_backend import MemoryBackend
from wgtools_backends.netbsd import Backend as NetBSDBackend
from wgtools_backends.openbsd import Backend as OpenBSDBackend
from wgtools_backends.windows import Backend as WindowsBackend
from wgtools_backends.windows.failure import Win32Error

if TYPE_CHECKING:
    from wgtools.ipc import Backend

__all__ = ["LACKS", "PLACES"]


def openbsd(release: str, *, steps_over: bool) -> OpenBSDBackend:
    """Under the name of a release; with or without a fault that kernels had."""
    kernel = FakeOpenBSD(MemoryBackend("wg0"), described=release >= "7.4")
    kernel.steps_over = steps_over
    return OpenBSDBackend(ioctl=kernel.ioctl, release=release)


def netbsd() -> NetBSDBackend:
    kernel = FakeNetBSD("wg0")
    return NetBSDBackend(ioctl=kernel.ioctl, interfaces=kernel.interfaces)


def windows(**names: tuple[str, ...]) -> WindowsBackend:
    return WindowsBackend(FakeWindows(Win32Error, **names))  # type: ignore[arg-type]  # all that is used


PLACES: dict[str, Callable[[], Backend]] = {
    "openbsd 6.8": lambda: openbsd("6.8", steps_over=False),
    "openbsd 7.4": lambda: openbsd("7.4", steps_over=False),
    "openbsd 7.8": lambda: openbsd("7.8", steps_over=True),
    "netbsd": netbsd,
    "windows driver": lambda: windows(adapters=("wg0",)),
    "windows daemon": lambda: windows(daemons=("wg0",)),
}

# What a change may not ask for there; a zero, which asks for nothing, may be.
LACKS: dict[str, frozenset[str]] = {
    "netbsd": frozenset({"fwmark", "keepalive"}),
    "windows driver": frozenset({"fwmark"}),
}
