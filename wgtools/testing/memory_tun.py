# SPDX-License-Identifier: MIT
"""MemoryTun: a Tun for tests, whose other end is two lists.

It keeps the promises of `wgtools.daemon.tun.Tun` (tests/contract holds it to them) and can
be watched by a real selector.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING

from wgtools.daemon.tun import Link, TunGone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wgtools.engine.events import Buffer

__all__ = ["MemoryTun"]


class MemoryTun:
    """An interface in memory, up or down as told, deletable."""

    def __init__(self, name: str = "wg0", *, mtu: int = 1420, up: bool = True) -> None:
        self.name = name
        self.can_udp_offload = True
        self.written: list[bytes] = []
        self._waiting: deque[bytes] = deque()
        self._link = Link(up=up, mtu=mtu)
        self._is_deleted = False
        self._routes_changed = False
        self._readable, self._wake = _pipe()
        self._watchable, self._ring = _pipe()
        self._is_closed = False

    # What the system would do.

    def inject(self, frame: bytes) -> None:
        """The system sends `frame` (with its 10-byte header) into the tunnel."""
        self._waiting.append(frame)
        os.write(self._wake, b"!")

    def set_link(
        self, *, up: bool | None = None, mtu: int | None = None, index: int | None = None
    ) -> None:
        """`ip link set`."""
        old = self._link
        self._link = Link(
            up=old.up if up is None else up,
            mtu=old.mtu if mtu is None else mtu,
            index=old.index if index is None else index,
            downs=old.downs + (old.up and up is False),
        )
        os.write(self._ring, b"!")

    def change_routes(self) -> None:
        self._routes_changed = True
        os.write(self._ring, b"!")

    def delete(self) -> None:
        """`ip link delete`."""
        self._is_deleted = True
        os.write(self._wake, b"!")
        os.write(self._ring, b"!")

    # Tun.

    def fileno(self) -> int:
        return self._readable

    def read_into(self, buffer: memoryview) -> int:
        self._check()
        if not self._waiting:
            return 0
        os.read(self._readable, 1)
        frame = self._waiting.popleft()
        buffer[: len(frame)] = frame
        return len(frame)

    def write(self, frame: Sequence[Buffer]) -> bool:
        self._check()
        whole = b"".join(frame)
        if not self._link.up or len(whole) < 11 or whole[10] >> 4 not in (4, 6):
            return False
        self.written.append(whole)
        return True

    def watch_fileno(self) -> int:
        return self._watchable

    def watched(self) -> bool:
        try:
            os.read(self._watchable, 4096)
        except BlockingIOError:
            return False
        self._check()
        changed, self._routes_changed = self._routes_changed, False
        return changed

    def link(self) -> Link:
        self._check()
        return self._link

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            for fd in (self._readable, self._wake, self._watchable, self._ring):
                os.close(fd)

    def _check(self) -> None:
        if self._is_deleted:
            raise TunGone


def _pipe() -> tuple[int, int]:
    """Neither end blocks.  (macOS has no pipe2.)"""
    ends = os.pipe()
    for fd in ends:
        os.set_blocking(fd, False)
    return ends
