# SPDX-License-Identifier: MIT
"""Frames of one peer that wait for a handshake: bounded, and the newest are kept.

Copies, because the caller's buffer is only lent.  A queue and its limits; when to send or
to give up is the peer's business.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from wgtools.engine.constants import STAGED_BYTES, STAGED_BYTES_ALL, STAGED_PACKETS
from wgtools.engine.events import Drop

if TYPE_CHECKING:
    from wgtools.engine.context import Context

__all__ = ["Staging"]


class Staging:
    """A queue of frames; an empty frame stands for a keepalive."""

    __slots__ = ("_bytes", "_context", "_frames")

    def __init__(self, context: Context[Any]) -> None:
        self._context = context
        self._frames: deque[bytes | bytearray] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: bytes | bytearray) -> None:
        """Add a frame; the oldest make room."""
        self._frames.append(frame)
        self._bytes += len(frame)
        self._context.staged_bytes += len(frame)
        while self._frames and (
            len(self._frames) > STAGED_PACKETS
            or self._bytes > STAGED_BYTES
            or self._context.staged_bytes > STAGED_BYTES_ALL
        ):
            self.take()
            self._context.counters[Drop.STAGED_OVERFLOW] += 1

    def take(self) -> bytes | bytearray:
        """The oldest frame."""
        frame = self._frames.popleft()
        self._bytes -= len(frame)
        self._context.staged_bytes -= len(frame)
        return frame

    def drop(self, reason: Drop) -> None:
        """Forget all of them."""
        while self._frames:
            if self.take():
                self._context.counters[reason] += 1
