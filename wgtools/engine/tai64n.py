# SPDX-License-Identifier: MIT
"""TAI64N timestamps: how an initiation proves that it is not an old one.

Twelve bytes, big-endian, that compare as bytes (cr.yp.to/libtai/tai64.html).  Coarsened,
so that a peer learns less of our clock; monotonic, so that a clock set back does not lock
us out of peers that remember the later time.
"""

from __future__ import annotations

from struct import Struct

__all__ = ["STAMP_SIZE", "ZERO", "stamp"]

STAMP_SIZE = 12
ZERO = bytes(STAMP_SIZE)  # before any other

_BASE = 0x400000000000000A  # 2^62 and the ten seconds TAI was ahead when Unix time began
_SECOND = 10**9
# The largest power of two that still gives 50 different stamps a second, as every
# implementation coarsens: finer would tell a peer more of our clock than it needs.
GRAIN_NS = 1 << 24
_LAYOUT = Struct(">QI")


def stamp(wall_ns: int, previous: bytes = ZERO) -> bytes:
    """The timestamp of `wall_ns`, or the next after `previous` if that is not later."""
    seconds, nanoseconds = divmod(max(wall_ns, 0), _SECOND)
    now = _LAYOUT.pack(_BASE + seconds, nanoseconds - nanoseconds % GRAIN_NS)
    if now > previous:
        return now
    seconds, nanoseconds = _LAYOUT.unpack(previous)
    nanoseconds += GRAIN_NS
    if nanoseconds >= _SECOND:
        seconds, nanoseconds = seconds + 1, 0
    return _LAYOUT.pack(seconds, nanoseconds)
