# SPDX-License-Identifier: MIT
"""Five timers of a peer, the eight moments that move them, and the agenda of all peers.

Whitepaper section 6.  A timer is a moment on the `now.mono` clock, or OFF.  The hooks only
set moments; what happens when one passes is the peer's business (peer.py).
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from math import inf
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from wgtools.engine.constants import (
    ERASE_KEYS_TIME,
    KEEPALIVE_TIMEOUT,
    NEW_HANDSHAKE_TIME,
    REKEY_TIMEOUT,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OFF", "Agenda", "Timed", "Timers"]

OFF = inf
_SWEEP = 128  # entries of an agenda that are not worth a look


class Timers:
    """The timers of one peer.  `jitter()` gives 0 to 333 ms; `interval` is the persistent
    keepalive in seconds, 0 for none."""

    __slots__ = (
        "_jitter",
        "another_keepalive",
        "asked_in_last_minute",
        "attempts",
        "erase_keys",
        "interval",
        "keepalive",
        "new_handshake",
        "persistent",
        "planned",
        "retransmit",
    )

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self.interval = 0
        self.planned = OFF  # the agenda's own: when this peer is in it
        self.stop()

    def stop(self) -> None:
        """The peer goes down or away."""
        self.retransmit = OFF  # no answer to our initiation
        self.keepalive = OFF  # we owe the peer a sign of life
        self.new_handshake = OFF  # we sent data and heard nothing
        self.erase_keys = OFF
        self.persistent = OFF
        self.attempts = 0
        # More data came while a keepalive was already owed: after that one, owe another.
        # The kernel keeps this flag and so do we: a one-way stream longer than ten seconds
        # must be answered every ten seconds, or the sender takes us for dead.
        self.another_keepalive = False
        self.asked_in_last_minute = False

    def due(self) -> float:
        """The first moment that something must be done."""
        return min(
            self.retransmit, self.keepalive, self.new_handshake, self.erase_keys, self.persistent
        )

    # --- the hooks ---

    def data_sent(self, mono: float) -> None:
        """After a transport packet with content was sent (whitepaper 6.5)."""
        if self.new_handshake == OFF:
            self.new_handshake = mono + NEW_HANDSHAKE_TIME + self._jitter()

    def data_received(self, mono: float) -> None:
        """After a transport packet with content was received: never for a keepalive, or two
        idle peers would answer each other for ever (whitepaper 6.5)."""
        if self.keepalive == OFF:
            self.keepalive = mono + KEEPALIVE_TIMEOUT
        else:
            self.another_keepalive = True

    def anything_sent(self) -> None:
        """After any authenticated packet was sent: keepalive, data or handshake."""
        self.keepalive = OFF

    def anything_received(self) -> None:
        """After any authenticated packet was received: keepalive, data or handshake."""
        self.new_handshake = OFF

    def anything_passed(self, mono: float) -> None:
        """Before any authenticated packet is sent, and after one is received."""
        if self.interval:
            self.persistent = mono + self.interval

    def initiation_sent(self, mono: float) -> None:
        """After a handshake initiation was sent (whitepaper 6.4)."""
        self.retransmit = mono + REKEY_TIMEOUT + self._jitter()

    def session_derived(self, mono: float) -> None:
        """After transport keys were made, by either side (whitepaper 6.3)."""
        self.erase_keys = mono + ERASE_KEYS_TIME

    def handshake_complete(self) -> None:
        """After the initiator consumed a response, or the responder got the first packet
        under the new keys."""
        self.retransmit = OFF
        self.attempts = 0
        self.asked_in_last_minute = False


class Timed(Protocol):
    """Something that owns timers."""

    @property
    def timers(self) -> Timers: ...


Owner = TypeVar("Owner", bound=Timed)


class Agenda(Generic[Owner]):
    """Who must be called next.

    A heap with lazy corrections: putting a timer off costs nothing, because an owner that
    is called early is simply planned again.  What that leaves behind is swept out when it is
    more than half, so that peers who are gone are not held for hours.
    """

    __slots__ = ("_heap", "_most", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Owner]] = []
        self._serial = 0
        self._most = _SWEEP  # entries before the next sweep

    def plan(self, owner: Owner) -> None:
        """Make sure that `owner` is called no later than its timers ask for."""
        timers = owner.timers
        due = timers.due()
        if due < timers.planned:
            timers.planned = due
            self._serial += 1
            heappush(self._heap, (due, self._serial, owner))
            if len(self._heap) > self._most:
                self._sweep()

    def _sweep(self) -> None:
        """Only one entry for each owner, the one that holds."""
        held = {id(entry[2]): entry for entry in self._heap if entry[2].timers.planned == entry[0]}
        self._heap[:] = held.values()
        heapify(self._heap)
        self._most = max(_SWEEP, 2 * len(self._heap))

    def first(self) -> float | None:
        """The first planned moment."""
        heap = self._heap
        while heap and heap[0][2].timers.planned != heap[0][0]:
            heappop(heap)  # replaced by an earlier one
        return heap[0][0] if heap else None

    def take_due(self, mono: float) -> list[Owner]:
        """Those whose moment has come, in order; each is off the agenda until planned anew."""
        due: list[Owner] = []
        heap = self._heap
        while heap and heap[0][0] <= mono:
            when, _, owner = heappop(heap)
            if owner.timers.planned == when:
                owner.timers.planned = OFF
                due.append(owner)
        return due
