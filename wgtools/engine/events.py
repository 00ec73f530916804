# SPDX-License-Identifier: MIT
"""What goes into the engine beside bytes, and what comes out of it.

Values only: no behaviour, no protocol.  `Now` goes in; `Outgoing`, its events and the
`Drop` reasons of `Engine.counters` come out.  Nothing here holds a private key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, unique
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from wgtools.keys import Key

__all__ = [
    "Address",
    "Buffer",
    "Datagrams",
    "Drop",
    "EndpointMoved",
    "Event",
    "HandshakeCompleted",
    "HandshakeFailed",
    "KeysErased",
    "Now",
    "Outgoing",
    "Sticky",
]

Buffer: TypeAlias = bytes | bytearray | memoryview

# What the socket module gives and takes: (host, port) for IPv4, (host, port, flow, scope) for
# IPv6, hosts as numeric text.  An IPv4 address never comes as ::ffff:a.b.c.d.
Address: TypeAlias = tuple[str, int] | tuple[str, int, int, int]

# Which local address answers must leave from: the shell's own, opaque and hashable here.
Sticky: TypeAlias = object

# (address, sticky, data, size): one buffer of equal datagrams, the last perhaps shorter.
Datagrams: TypeAlias = tuple[Address, Sticky, memoryview, int]


@dataclass(frozen=True, slots=True)
class Now:
    """One look at both clocks, taken once per turn of the loop.

    `mono` is in seconds and drives every timer; `wall_ns` is Unix time in nanoseconds and
    serves only TAI64N and "latest handshake".
    """

    mono: float
    wall_ns: int


@unique
class Drop(Enum):
    """Why something was thrown away.  The values are stable names for logs and metrics."""

    # from the network, before anything is authenticated
    MALFORMED = "malformed"  # no such type, or a length that type cannot have
    NO_KEY = "no_key"  # this device has no private key
    DOWN = "down"  # the interface is down
    BAD_MAC1 = "bad_mac1"  # not made for our public key
    COOKIE_DEMANDED = "cookie_demanded"  # under load and without a valid mac2: told so
    RATE_LIMITED = "rate_limited"  # proved its address, but comes too often
    UNKNOWN_INDEX = "unknown_index"  # no handshake or session of that number
    BAD_COOKIE_REPLY = "bad_cookie_reply"  # not to our last message, or not authentic
    BAD_HANDSHAKE = "bad_handshake"  # an AEAD tag or a curve point that is wrong
    UNKNOWN_PEER = "unknown_peer"  # authentic, but of a stranger
    BAD_TAG = "bad_tag"  # transport data that does not authenticate
    # from the network, authenticated
    REPLAYED_HANDSHAKE = "replayed_handshake"  # a timestamp not newer than the last
    HANDSHAKE_FLOOD = "handshake_flood"  # one peer, over 50 initiations a second
    UNEXPECTED_RESPONSE = "unexpected_response"  # no initiation of ours is waiting
    REPLAYED_COUNTER = "replayed_counter"  # seen, or too old for the window, or spent
    EXPIRED_SESSION = "expired_session"  # older than Reject-After-Time
    BAD_INNER = "bad_inner"  # what came out is not an IP packet
    BAD_SOURCE = "bad_source"  # inner source address is not this peer's
    # from the TUN
    BAD_FRAME = "bad_frame"  # not an IP packet, or offloads that make no sense
    NO_ROUTE = "no_route"  # no peer has that destination
    NO_ENDPOINT = "no_endpoint"  # we do not know where that peer is
    ROUTING_LOOP = "routing_loop"  # our own datagram to that peer, routed back into the tunnel
    STAGED_OVERFLOW = "staged_overflow"  # an older packet made room for a newer
    STAGED_EXPIRED = "staged_expired"  # no handshake came in time
    WEAK_PEER_KEY = "weak_peer_key"  # the peer's public key gives an all-zero secret
    # either way
    OUTGOING_FULL = "outgoing_full"  # the shell does not drain `outgoing()`


@dataclass(frozen=True, slots=True)
class HandshakeCompleted:
    """A session was confirmed; `initiator` tells whether we had asked."""

    public_key: Key
    initiator: bool


@dataclass(frozen=True, slots=True)
class EndpointMoved:
    """An authenticated packet came from somewhere new; `old` is None for a first endpoint."""

    public_key: Key
    old: Address | None
    new: Address


@dataclass(frozen=True, slots=True)
class HandshakeFailed:
    """Rekey-Attempt-Time is over without an answer: the peer has gone silent."""

    public_key: Key
    attempts: int


@dataclass(frozen=True, slots=True)
class KeysErased:
    """No new session for three times Reject-After-Time: every ephemeral secret is gone."""

    public_key: Key


Event: TypeAlias = HandshakeCompleted | EndpointMoved | HandshakeFailed | KeysErased


@dataclass(slots=True)
class Outgoing:
    """Everything to be sent since the last call.  Views: good until the next engine call."""

    datagrams: list[Datagrams] = field(default_factory=list)
    frames: list[list[Buffer]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.datagrams or self.frames or self.events)
