# SPDX-License-Identifier: MIT
"""What all peers of one device share: who we are, where results go, what was counted.

Data, and no behaviour beyond chance; the device (device.py) owns it and hands it down, so
that a peer never needs to know the device.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Generic, TypeVar

from wgtools.engine.constants import REKEY_JITTER_MS
from wgtools.engine.indextable import IndexTable
from wgtools.engine.offload import checksums_of
from wgtools.engine.outbox import Outbox
from wgtools.engine.timers import Agenda, Timed

if TYPE_CHECKING:
    from collections.abc import Callable

    from wgtools.engine.events import Drop
    from wgtools.engine.noise import Identity
    from wgtools.engine.offload import Sums
    from wgtools.engine.session import Session

__all__ = ["Context"]

PeerT = TypeVar("PeerT", bound=Timed)


class Context(Generic[PeerT]):
    """Shared by the device and its peers."""

    __slots__ = (
        "agenda",
        "counters",
        "entropy",
        "hosts",
        "identity",
        "indices",
        "mtu",
        "outbox",
        "staged_bytes",
        "sums",
        "unsettled",
        "up",
    )

    def __init__(
        self, entropy: Callable[[int], bytes], *, mtu: int, up: bool, sums: Sums = checksums_of
    ) -> None:
        self.entropy = entropy
        self.sums = sums
        self.mtu = mtu
        self.up = up
        self.identity: Identity | None = None  # None: no private key
        self.counters: Counter[Drop] = Counter()
        self.outbox = Outbox()
        self.agenda: Agenda[PeerT] = Agenda()
        self.indices: IndexTable[Session[PeerT], PeerT] = IndexTable(entropy)
        # Packed addresses of endpoints, their ports, and who is there, as keys.  Behind one NAT
        # there may be thousands; of one port few.
        self.hosts: dict[bytes, dict[int, dict[PeerT, None]]] = {}
        self.staged_bytes = 0  # over all peers
        self.unsettled: list[PeerT] = []  # sent data in this turn; their timers wait for its end

    def jitter(self) -> float:
        """0 to 333 ms, so that two ends do not retry in step (whitepaper 6.1)."""
        return int.from_bytes(self.entropy(2), "little") % REKEY_JITTER_MS / 1000
