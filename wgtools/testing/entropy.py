# SPDX-License-Identifier: MIT
"""FakeEntropy: chance that repeats itself.  For tests only: it is not random at all."""

from __future__ import annotations

from hashlib import shake_128

__all__ = ["FakeEntropy"]


class FakeEntropy:
    """`entropy(n)`: n bytes determined by the seed and the number of calls before."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._calls = 0

    def __call__(self, count: int) -> bytes:
        self._calls += 1
        return shake_128(b"%d/%d" % (self._seed, self._calls)).digest(count)
