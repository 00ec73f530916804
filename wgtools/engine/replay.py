# SPDX-License-Identifier: MIT
"""The sliding window that accepts every counter once (RFC 6479).

A ring of 64-bit words holding 8,192 counters, one word of which is always being refilled:
so 8,128 counters back are remembered, as in every other implementation.  To be asked only
after a packet has authenticated: asking changes the window.
"""

from __future__ import annotations

from wgtools.engine.constants import REJECT_AFTER_MESSAGES, WINDOW_BITS

__all__ = ["WINDOW_SIZE", "ReplayWindow"]

_WORD = 64
_WORDS = WINDOW_BITS // _WORD
_MASK = _WORDS - 1
_FULL = (1 << _WORD) - 1
WINDOW_SIZE = WINDOW_BITS - _WORD  # RFC 6479 section 3: one block is redundant


class ReplayWindow:
    """Which of the last counters have been seen."""

    __slots__ = ("_greatest", "_ring")

    def __init__(self) -> None:
        self._greatest = 0
        self._ring = [0] * _WORDS

    def accept(self, counter: int) -> bool:
        """True the first time for a counter that is neither too old nor spent."""
        if counter >= REJECT_AFTER_MESSAGES:
            return False
        word = counter >> 6
        ring = self._ring
        greatest = self._greatest
        if counter > greatest:
            top = greatest >> 6
            if word != top:
                # Clear what the window moves over: at most the whole ring.
                for stale in range(max(top + 1, word - _MASK), word + 1):
                    ring[stale & _MASK] = 0
            self._greatest = counter
        elif greatest - counter > WINDOW_SIZE:
            return False
        bit = 1 << (counter & 63)
        slot = word & _MASK
        if ring[slot] & bit:
            return False
        ring[slot] |= bit
        return True

    def accept_all(self, first: int, last: int) -> None:
        """What `accept` would do for first to last, in order: all greater than any before,
        none spent."""
        ring = self._ring
        self.accept(first)
        self.accept(last)  # and so the window has moved, and is clear between them
        top, end = first >> 6, last >> 6
        for word in range(max(top, end - _MASK), end + 1):
            bits = _FULL
            if word == top:
                bits &= _FULL << (first & 63)
            if word == end:
                bits &= _FULL >> (63 - (last & 63))
            ring[word & _MASK] |= bits

    @property
    def next(self) -> int:
        """One more than the greatest that was accepted: what comes next, if nothing is lost."""
        return self._greatest + 1
