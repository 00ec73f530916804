# SPDX-License-Identifier: MIT
"""Where results wait until the shell asks: one arena of bytes, and what lies where.

Ciphertext and plaintext are written here by the ciphers themselves and leave as views.
Consecutive equal datagrams for one address become one entry, ready for UDP GSO.  The
room is bounded: a shell that does not drain it makes the engine drop, not grow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wgtools.engine.constants import (
    BYTES_PER_SEND,
    DATAGRAMS_PER_SEND,
    OUTGOING_BYTES,
    OUTGOING_EVENTS,
)
from wgtools.engine.events import Outgoing

if TYPE_CHECKING:
    from wgtools.engine.events import Address, Buffer, Datagrams, Event, Sticky

__all__ = ["Outbox"]

_CHUNK = 512 * 1024  # several super-packets; a larger request gets a chunk of its own
_KEPT = 4  # chunks kept for the next turn


class Outbox:
    """Collects datagrams, frames and events; `drain` hands them over.

    Writers first ask for room, write at the offset they get, then say what it was.
    """

    __slots__ = (
        "_chunks",
        "_datagrams",
        "_events",
        "_filled",
        "_next_chunk",
        "_run_address",
        "_run_end",
        "_run_limit",
        "_run_size",
        "_run_start",
        "_run_sticky",
        "_used",
        "_view",
        "frames",
    )

    def __init__(self) -> None:
        self._chunks = [memoryview(bytearray(_CHUNK))]
        self._restart()

    def _restart(self) -> None:
        del self._chunks[_KEPT:]
        self._view = self._chunks[0]
        self._used = 0
        self._next_chunk = 1
        self._filled = 0  # bytes in chunks before the current one
        self._datagrams: list[Datagrams] = []
        self.frames: list[list[Buffer]] = []
        self._events: list[Event] = []
        # Equal datagrams one behind another, and how far this run of them may go.
        self._run_address: Address = ("", 0)
        self._run_sticky: Sticky = None
        self._run_start = self._run_end = self._run_limit = self._run_size = 0

    @property
    def is_full(self) -> bool:
        return self._filled + self._used > OUTGOING_BYTES

    def room(self, size: int) -> tuple[memoryview, int]:
        """`size` writable bytes: (view, offset).  Valid until the next `room` or `drain`."""
        start = self._used
        if start + size > len(self._view):
            self._turn(size)
            start = 0
        self._used = start + size
        return self._view, start

    def rest(self, least: int) -> tuple[memoryview, int, int]:
        """All that is left of a chunk, `least` bytes or more: (view, start, end).

        For writers of many datagrams; what they have not called `datagrams` stays free.
        """
        if self._used + least > len(self._view):
            self._turn(least)
        return self._view, self._used, len(self._view)

    def give_back(self, view: memoryview, start: int, end: int) -> None:
        """Of the room that ends at `end` in `view`, what lies behind `start` was not needed.

        So a flood of rubbish takes no room at all.  Harmless if others have come after.
        """
        if view is self._view and self._used == end:
            self._used = start

    def _turn(self, size: int) -> None:
        self._close_run()
        self._filled += self._used
        if self._next_chunk == len(self._chunks) or len(self._chunks[self._next_chunk]) < size:
            self._chunks.insert(self._next_chunk, memoryview(bytearray(max(size, _CHUNK))))
        self._view = self._chunks[self._next_chunk]
        self._next_chunk += 1
        self._used = 0

    def datagrams(self, address: Address, sticky: Sticky, start: int, end: int, size: int) -> None:
        """The last room from `start` to `end` is datagrams of `size` bytes each.

        Only the last of a run may be shorter: it may be one that comes alone.
        """
        if (
            start != self._run_end
            or (size != self._run_size and (size > self._run_size or end - start > size))
            or end > self._run_limit
            or address != self._run_address
            or sticky != self._run_sticky
        ):
            self._begin_run(address, sticky, start, end, size)
        self._used = self._run_end = end
        if (end - self._run_start) % self._run_size:
            self._run_limit = end

    def _begin_run(self, address: Address, sticky: Sticky, start: int, end: int, size: int) -> None:
        """A new run; more than fits into one becomes several."""
        most = min(DATAGRAMS_PER_SEND, max(BYTES_PER_SEND // size, 1)) * size
        while True:
            self._close_run()
            self._run_address = address
            self._run_sticky = sticky
            self._run_start = start
            self._run_limit = start + most
            self._run_size = size
            if end <= start + most:
                return
            start = self._run_end = start + most

    def _close_run(self) -> None:
        if self._run_limit:
            data = self._view[self._run_start : self._run_end]
            self._datagrams.append((self._run_address, self._run_sticky, data, self._run_size))
            self._run_limit = 0

    def message(self, address: Address, sticky: Sticky, message: bytes) -> None:
        """One handshake message or cookie reply."""
        view, start = self.room(len(message))
        end = start + len(message)
        view[start:end] = message
        self.datagrams(address, sticky, start, end, len(message))

    def event(self, event: Event) -> None:
        if len(self._events) < OUTGOING_EVENTS:
            self._events.append(event)

    def drain(self) -> Outgoing:
        """Everything since the last call."""
        self._close_run()
        outgoing = Outgoing(self._datagrams, self.frames, self._events)
        self._restart()
        return outgoing
