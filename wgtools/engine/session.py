# SPDX-License-Identifier: MIT
"""Transport keys: one Session each, three of them in a peer's Keyring.

Whitepaper 5.4.5, 5.4.6 and 6.3.  A session knows its counters and its age; it does not
know routes, timers or the layout of IP.
"""

from __future__ import annotations

from enum import Enum, unique
from typing import TYPE_CHECKING, Generic, TypeVar

from wgtools.crypto.aead import open_into, seal_into
from wgtools.engine.constants import REJECT_AFTER_MESSAGES, REJECT_AFTER_TIME
from wgtools.engine.replay import ReplayWindow

if TYPE_CHECKING:
    from wgtools.crypto.aead import Into

__all__ = ["ROTATIONS", "Keyring", "Rotation", "Session"]

Owner = TypeVar("Owner")


class Session(Generic[Owner]):
    """One pair of transport keys.

    `seal` and `open` are the ciphers' own functions, bound once: they are called for every
    packet.  `sent` is the next counter to use, a Python integer and so never wraps.
    """

    __slots__ = (
        "created",
        "initiator",
        "local_index",
        "open",
        "owner",
        "remote_index",
        "seal",
        "sent",
        "window",
    )

    def __init__(
        self,
        owner: Owner,
        *,
        keys: tuple[bytes, bytes, bool],
        local_index: int,
        remote_index: int,
        created: float,
    ) -> None:
        sending, receiving, self.initiator = keys
        self.owner = owner
        self.local_index = local_index
        self.remote_index = remote_index
        self.created = created
        self.sent = 0
        self.seal: Into = seal_into(sending)
        self.open: Into = open_into(receiving)
        self.window = ReplayWindow()

    def can_send(self, mono: float, count: int = 1) -> bool:
        """Whether `count` more packets may go out under these keys."""
        return (
            self.sent + count <= REJECT_AFTER_MESSAGES and mono - self.created < REJECT_AFTER_TIME
        )

    def can_receive(self, mono: float) -> bool:
        return mono - self.created < REJECT_AFTER_TIME

    def stop_sending(self) -> None:
        """Our identity changed: what is under way may still arrive, nothing more leaves."""
        self.sent = REJECT_AFTER_MESSAGES


@unique
class Rotation(Enum):
    """What moves sessions along."""

    DERIVED_AS_INITIATOR = "derived as initiator"  # usable at once
    DERIVED_AS_RESPONDER = "derived as responder"  # waits for the first packet under it
    CONFIRMED = "confirmed"  # that packet came
    ERASED = "erased"


# (what happened, is there a `next`) -> where previous, current and next come from.
# What no longer has a place is forgotten.  A response confirms nothing: the initiator may
# never get it, so the responder goes on sending under `current`.
ROTATIONS: dict[tuple[Rotation, bool], tuple[str, str, str]] = {
    (Rotation.DERIVED_AS_INITIATOR, False): ("current", "new", ""),
    (Rotation.DERIVED_AS_INITIATOR, True): ("next", "new", ""),
    (Rotation.DERIVED_AS_RESPONDER, False): ("", "current", "new"),
    (Rotation.DERIVED_AS_RESPONDER, True): ("", "current", "new"),
    (Rotation.CONFIRMED, True): ("current", "next", ""),
    (Rotation.ERASED, False): ("", "", ""),
    (Rotation.ERASED, True): ("", "", ""),
}


class Keyring(Generic[Owner]):
    """The sessions of one peer: the last one, the one in use, one not yet confirmed."""

    __slots__ = ("current", "next", "previous")

    def __init__(self) -> None:
        self.previous: Session[Owner] | None = None
        self.current: Session[Owner] | None = None
        self.next: Session[Owner] | None = None

    def rotate(self, rotation: Rotation, new: Session[Owner] | None = None) -> list[Session[Owner]]:
        """Make one legal move.  Returns the sessions that fell off."""
        held = {"previous": self.previous, "current": self.current, "next": self.next, "new": new}
        move = ROTATIONS[rotation, self.next is not None]
        self.previous, self.current, self.next = (held[name] if name else None for name in move)
        kept = (self.previous, self.current, self.next)
        return [one for one in held.values() if one is not None and one not in kept]
