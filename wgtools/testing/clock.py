# SPDX-License-Identifier: MIT
"""FakeClock: time that passes when a test says so.  Never reads a real clock."""

from __future__ import annotations

from wgtools.engine.events import Now

__all__ = ["FakeClock"]


class FakeClock:
    """Both clocks of the engine's `Now`, moved by hand.

    >>> clock = FakeClock()
    >>> clock.advance(5.0).mono - FakeClock().now.mono
    5.0
    """

    def __init__(self, mono: float = 1000.0, wall_ns: int = 1_700_000_000 * 10**9) -> None:
        self.mono = mono
        self.wall_ns = wall_ns

    @property
    def now(self) -> Now:
        return Now(self.mono, self.wall_ns)

    def advance(self, seconds: float) -> Now:
        """Move both clocks on; returns the new now."""
        self.mono += seconds
        self.wall_ns += round(seconds * 10**9)
        return self.now

    def advance_to(self, mono: float) -> Now:
        """Move on to a deadline; never back."""
        return self.advance(max(0.0, mono - self.mono))
