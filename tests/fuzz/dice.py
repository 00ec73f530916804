# SPDX-License-Identifier: MIT
"""Dice: a fuzzer's bytes, read as decisions.

The same bytes give the same run, so whatever broke is a file.  When they are used up all
answers are zero, and `more` says that it is time to end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Reads `data` from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def more(self) -> bool:
        return self._at < len(self._data)

    def take(self, count: int) -> bytes:
        """At most `count` bytes, as they are."""
        taken = self._data[self._at : self._at + count]
        self._at += len(taken)
        return taken

    def number(self, size: int = 1) -> int:
        return int.from_bytes(self.take(size).ljust(size, b"\0"), "little")

    def below(self, limit: int) -> int:
        """0 to limit-1; only 0 if there is nothing to choose."""
        if limit <= 1:
            return 0
        return self.number(1 if limit <= 256 else 2 if limit <= 1 << 16 else 4) % limit

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def mutate(self, message: bytes) -> bytes:
        """`message` with a few of the faults that networks and attackers make."""
        raw = bytearray(message)
        for _ in range(1 + self.below(4)):
            at = self.below(len(raw) + 1)
            match self.below(5):
                case 0 if raw:
                    raw[at % len(raw)] ^= self.number() or 1
                case 1:
                    del raw[at:]
                case 2:
                    raw[at:at] = self.take(1 + self.below(32))
                case 3:
                    patch = self.take(1 + self.below(8))
                    raw[at : at + len(patch)] = patch
                case _:
                    del raw[at : at + 1 + self.below(16)]
        return bytes(raw)
