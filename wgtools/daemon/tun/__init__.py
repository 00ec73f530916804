# SPDX-License-Identifier: MIT
"""Tun: what the loop needs of a layer 3 interface, whatever the system calls it.

One protocol for every system and for tests.  A frame always starts with the 10 bytes
of a virtio_net_hdr; a system without them gives zeros, and cuts up itself what it is given.

The systems' own are in modules of their names, and only this system's is ever imported.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from wgtools.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wgtools.engine.events import Buffer

__all__ = ["FRAME_ROOM", "Link", "Tun", "TunGone", "adopt_tun", "create_tun"]

# How sys.platform begins, and who knows its TUN.
_SYSTEMS = {"linux": "linux", "freebsd": "freebsd", "openbsd": "openbsd", "darwin": "macos"}

# A virtio_net_hdr, the longest IP packet, and the 16 bytes that the engine asks for.
FRAME_ROOM = 10 + 65535 + 16


class TunGone(Exception):
    """The interface was deleted under us: time to leave in good order."""


@dataclass(frozen=True, slots=True)
class Link:
    """What the system says of the interface."""

    up: bool
    mtu: int
    index: int = 0  # in the network namespace that we are in; 0 if it is elsewhere
    downs: int = 0  # how often it was told to have gone down: it may be up again already


class Tun(Protocol):
    """A layer 3 interface.  Nothing here blocks.

    `name` is what the system really called it.  `can_udp_offload` tells whether frames
    may be UDP super-packets; TCP ones always may.
    """

    name: str
    can_udp_offload: bool

    def fileno(self) -> int:
        """Readable when `read_into` has something, or when the interface is gone."""

    def read_into(self, buffer: memoryview) -> int:
        """One frame into `buffer` (FRAME_ROOM bytes, the last 16 left alone).

        Returns its length, 0 if there is none now.  Raises TunGone.
        """

    def write(self, frame: Sequence[Buffer]) -> bool:
        """One frame out, its buffers one after another; False if the system threw it away.

        Raises TunGone.
        """

    def watch_fileno(self) -> int:
        """Readable when `link` or the system's routes may have changed; -1 if nothing tells."""

    def watched(self) -> bool:
        """Take what made `watch_fileno` readable; True if local addresses or routes changed.

        Raises TunGone.
        """

    def link(self) -> Link:
        """The interface as it is now.  `watch_fileno` may be another one afterwards.

        Raises TunGone.
        """

    def close(self) -> None:
        """Give the interface back, which removes it.  Harmless when done before."""


class _System(Protocol):
    """What the module of a system offers."""

    def create_tun(self, name: str) -> Tun: ...
    def adopt_tun(self, fd: int) -> Tun: ...


def create_tun(name: str) -> Tun:
    """A new interface of this system, down.  Raises AccessError, UsageError."""
    return _system().create_tun(name)


def adopt_tun(fd: int) -> Tun:
    """The TUN that somebody opened for us (WG_TUN_FD).  Raises UsageError."""
    return _system().adopt_tun(fd)


def _system() -> _System:
    for prefix, name in _SYSTEMS.items():
        if sys.platform.startswith(prefix):
            return cast(_System, importlib.import_module(f"{__name__}.{name}"))
    raise UsageError(
        f"The engine knows no TUN of {sys.platform}",
        hint="it runs on Linux, FreeBSD, OpenBSD and macOS",
    )
