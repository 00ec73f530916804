# SPDX-License-Identifier: MIT
"""Internet checksums of many packets at once, by numpy where it is installed.

A packet of a TCP stream costs the engine a third less with it: numpy adds up forty packets
in the time of four (docs/decisions/0080).  Not here: what is added up, and why.  The rule:
the same numbers as engine.offload.checksums_of, or that function itself.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from wgtools.engine.offload import checksums_of

if TYPE_CHECKING:
    from wgtools.engine.offload import Sums

__all__ = ["best_sums", "numpy_sums"]

_WORTH_IT = 6000  # bytes; below, numpy's own way takes longer than the adding


def best_sums() -> Sums:
    """The fastest there is."""
    # We multiply no matrices: a pool of threads would only be more memory to lock, and keep the
    # capabilities that only the thread which asks can give up.  So whatever the caller had set.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    try:
        import numpy
    except ImportError:
        return checksums_of
    sums = numpy_sums(numpy)
    # Once now: so all that it loads is loaded, and a numpy that cannot is found out.
    sample, starts = memoryview(bytes(range(251)) * 40), list(range(3, 9000, 1001))
    try:
        right = sums(sample, starts, 999) == checksums_of(sample, starts, 999)
    except Exception:
        return checksums_of
    return sums if right else checksums_of


def numpy_sums(numpy: Any) -> Sums:
    """`checksums_of` by this numpy."""
    ndarray, add = numpy.ndarray, numpy.add.reduce
    word, long, weights = numpy.dtype("<u4"), numpy.uint64, numpy.array([1, 256, 65536], "u8")

    def sums(view: memoryview, starts: list[int], size: int) -> list[int]:
        count = len(starts)
        if count * size < _WORTH_IT or count < 2:
            return checksums_of(view, starts, size)
        first, stride = starts[0], starts[1] - starts[0]
        if stride < 1 or starts != list(range(first, first + stride * count, stride)):
            return checksums_of(view, starts, size)
        # As in checksum_of: the little end first, and the sum's bytes swapped at last.
        words, odd = size >> 2, size & 3
        table = ndarray((count, words), word, view, first, (stride, 4))
        totals = add(table, 1, long)
        if odd:
            at = first + words * 4
            totals += ndarray((count, odd), "u1", view, at, (stride, 1)) @ weights[:odd]
        found: list[int] = ((totals << 8) % 65535).tolist()
        return found

    return sums
