# SPDX-License-Identifier: MIT
"""Random 32-bit indices, and what each stands for: a session, or a handshake under way.

An index names us to a peer.  It is random so that an observer learns neither how many
peers there are nor which index belongs to which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["IndexTable"]

SessionT = TypeVar("SessionT")
PeerT = TypeVar("PeerT")


class IndexTable(Generic[SessionT, PeerT]):
    """Two dictionaries that share one space of keys.

    `sessions` is read by the packet path itself; an index is in at most one of the two.
    """

    __slots__ = ("_entropy", "handshakes", "sessions")

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self.sessions: dict[int, SessionT] = {}
        self.handshakes: dict[int, PeerT] = {}

    def new_handshake(self, peer: PeerT) -> int:
        """A fresh index for a handshake of `peer`."""
        while True:
            index = int.from_bytes(self._entropy(4), "little")
            if index not in self.sessions and index not in self.handshakes:
                self.handshakes[index] = peer
                return index

    def promote(self, index: int, session: SessionT) -> None:
        """The handshake of `index` has become `session`."""
        self.handshakes.pop(index, None)
        self.sessions[index] = session

    def forget(self, index: int | None) -> None:
        """`index` stands for nothing any more."""
        if index is not None:
            self.handshakes.pop(index, None)
            self.sessions.pop(index, None)
