# SPDX-License-Identifier: MIT
"""The clock of the loop: the one place where the engine's time comes from."""

from __future__ import annotations

import time
from typing import Protocol

from wgtools.engine.events import Now

__all__ = ["Clock", "SystemClock"]

# Boot time runs on while the machine sleeps, and with it the age of sessions.
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", 0))


class Clock(Protocol):
    """Tests put a faster one here."""

    def now(self) -> Now:
        """Both clocks at once."""

    def seconds_until(self, mono: float) -> float:
        """How long to wait, in real seconds, for `now().mono` to reach `mono`; never negative."""


class SystemClock:
    """The clocks of this machine."""

    def now(self) -> Now:
        return Now(time.clock_gettime(_BOOTTIME), time.time_ns())

    def seconds_until(self, mono: float) -> float:
        return max(0.0, mono - time.clock_gettime(_BOOTTIME))
