# SPDX-License-Identifier: MIT
"""The handshake: Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s with WireGuard's fields.

Whitepaper 5.4.1 to 5.4.5, in its order and with its letters spelled out.  Not here: MACs
and cookies, indices, timers, the endpoint.  Nothing changes in a Handshake until the
message has been authenticated to the end.
"""

from __future__ import annotations

from enum import Enum, unique
from typing import NamedTuple

from wgtools.crypto.aead import InvalidTag, seal, unseal
from wgtools.crypto.blake2s import hash32, kdf1, kdf2, kdf3
from wgtools.crypto.x25519 import public_key, shared_secret
from wgtools.engine import messages, tai64n
from wgtools.engine.constants import CONSTRUCTION, IDENTIFIER
from wgtools.engine.events import Drop

__all__ = [
    "MOVES",
    "Handshake",
    "Identity",
    "Opened",
    "Refused",
    "State",
    "Step",
    "open_initiation",
]

_CHAIN_START = hash32(CONSTRUCTION)
_HASH_START = hash32(_CHAIN_START, IDENTIFIER)
_NO_PSK = bytes(32)


class Refused(Exception):
    """A message that is not taken; `reason` is what will be counted.  Never leaves the engine."""

    def __init__(self, reason: Drop) -> None:
        super().__init__(reason.value)
        self.reason = reason


@unique
class State(Enum):
    """How far a handshake has come."""

    NONE = "none"
    INITIATION_CREATED = "initiation created"
    INITIATION_CONSUMED = "initiation consumed"
    RESPONSE_CREATED = "response created"
    RESPONSE_CONSUMED = "response consumed"


@unique
class Step(Enum):
    """What can happen to a handshake."""

    CREATE_INITIATION = "create initiation"
    CONSUME_INITIATION = "consume initiation"
    CREATE_RESPONSE = "create response"
    CONSUME_RESPONSE = "consume response"
    DERIVE_KEYS = "derive keys"
    CLEAR = "clear"


# All legal moves.  Initiations may come or go at any time; one of ours that is under way
# goes on beside the answer to one of theirs (docs/decisions/0010).
MOVES: dict[tuple[State, Step], State] = {
    **{(state, Step.CREATE_INITIATION): State.INITIATION_CREATED for state in State},
    **{(state, Step.CONSUME_INITIATION): State.INITIATION_CONSUMED for state in State},
    **{(state, Step.CLEAR): State.NONE for state in State},
    (State.INITIATION_CONSUMED, Step.CREATE_RESPONSE): State.RESPONSE_CREATED,
    (State.INITIATION_CREATED, Step.CONSUME_RESPONSE): State.RESPONSE_CONSUMED,
    (State.RESPONSE_CREATED, Step.DERIVE_KEYS): State.NONE,
    (State.RESPONSE_CONSUMED, Step.DERIVE_KEYS): State.NONE,
}


class Identity:
    """This device's static key pair."""

    __slots__ = ("private", "public", "responder_hash")

    def __init__(self, private: bytes) -> None:
        self.private = private
        self.public = public_key(private)
        self.responder_hash = hash32(_HASH_START, self.public)


class Opened(NamedTuple):
    """An initiation read as far as the sender's static key: who claims to be calling."""

    sender: int
    ephemeral: bytes
    static: bytes
    sealed_stamp: bytes
    chain: bytes
    hash: bytes


def open_initiation(identity: Identity, message: bytes | memoryview) -> Opened:
    """The first half of consuming an initiation.  Raises Refused."""
    _, sender, ephemeral, sealed_static, sealed_stamp = messages.INITIATION.unpack_from(message)
    hashed = hash32(identity.responder_hash, ephemeral)
    chain = kdf1(_CHAIN_START, ephemeral)
    chain, key = kdf2(chain, _exchange(identity.private, ephemeral))
    static = _unseal(key, sealed_static, hashed)
    hashed = hash32(hashed, sealed_static)
    return Opened(sender, ephemeral, static, sealed_stamp, chain, hashed)


class Handshake:
    """One handshake at a time with one peer, and what must outlive it.

    `psk` may change at any moment and counts from the next message made or read.
    """

    __slots__ = (
        "_chain",
        "_ephemeral",
        "_hash",
        "_remote_ephemeral",
        "_static_static",
        "greatest_stamp",
        "local_index",
        "psk",
        "remote_index",
        "remote_static",
        "sent_stamp",
        "state",
    )

    def __init__(self, remote_static: bytes) -> None:
        self.remote_static = remote_static
        self.psk = _NO_PSK
        self.state = State.NONE
        self.local_index: int | None = None  # the index table's entry, while one is ours
        self.remote_index = 0
        self.greatest_stamp = tai64n.ZERO  # received; whitepaper 5.1
        self.sent_stamp = tai64n.ZERO
        self._static_static: bytes | None = None
        self._erase()

    def _erase(self) -> None:
        self._chain = self._hash = self._ephemeral = self._remote_ephemeral = b""

    def _move(self, step: Step) -> None:
        self.state = MOVES[self.state, step]

    def clear(self) -> None:
        """Forget the exchange under way, not the timestamps."""
        self._move(Step.CLEAR)
        self._erase()

    def identity_changed(self) -> None:
        """Our own static key is another: what was computed from the old one is void."""
        self._static_static = None
        self.clear()

    def _shared_static(self, identity: Identity) -> bytes:
        """DH of both static keys, computed once and on first need: a device with 100,000
        peers must not spend five seconds on it when it is configured."""
        if self._static_static is None:
            self._static_static = _exchange(
                identity.private, self.remote_static, weak=Drop.WEAK_PEER_KEY
            )
        return self._static_static

    def create_initiation(
        self, identity: Identity, *, index: int, ephemeral: bytes, wall_ns: int
    ) -> bytes:
        """The first message, without its MACs.  Raises Refused for a weak peer key."""
        static_static = self._shared_static(identity)
        stamp = tai64n.stamp(wall_ns, self.sent_stamp)
        public = public_key(ephemeral)
        hashed = hash32(_HASH_START, self.remote_static)
        chain = kdf1(_CHAIN_START, public)
        hashed = hash32(hashed, public)
        shared = _exchange(ephemeral, self.remote_static, weak=Drop.WEAK_PEER_KEY)
        chain, key = kdf2(chain, shared)
        sealed_static = seal(key, identity.public, hashed)
        hashed = hash32(hashed, sealed_static)
        chain, key = kdf2(chain, static_static)
        sealed_stamp = seal(key, stamp, hashed)
        self._move(Step.CREATE_INITIATION)
        self._hash = hash32(hashed, sealed_stamp)
        self._chain = chain
        self._ephemeral = ephemeral
        self.sent_stamp = stamp
        return messages.INITIATION.pack(
            messages.TYPE_INITIATION, index, public, sealed_static, sealed_stamp
        )

    def authenticate(self, identity: Identity, opened: Opened) -> bytes:
        """The timestamp of an initiation, now known to be this peer's.  Raises Refused.

        Changes nothing: `consume_initiation` does, once the caller finds no fault.
        """
        _, key = kdf2(opened.chain, self._shared_static(identity))
        stamp = _unseal(key, opened.sealed_stamp, opened.hash)
        if stamp <= self.greatest_stamp:
            raise Refused(Drop.REPLAYED_HANDSHAKE)
        return stamp

    def answer(self, stamp: bytes) -> Handshake:
        """A handshake of its own for the answer to an initiation of that timestamp.

        Ours, if one is under way, goes on: when both ends call at the same moment, both
        calls succeed, where other engines lose both and try again after five seconds
        (docs/decisions/0010).
        """
        self.greatest_stamp = stamp
        answer = Handshake(self.remote_static)
        answer.psk = self.psk
        answer._static_static = self._static_static
        return answer

    def consume_initiation(self, identity: Identity, opened: Opened, stamp: bytes) -> None:
        """Take up an initiation that `authenticate` has accepted."""
        self._move(Step.CONSUME_INITIATION)
        self._chain, _ = kdf2(opened.chain, self._shared_static(identity))
        self._hash = hash32(opened.hash, opened.sealed_stamp)
        self._remote_ephemeral = opened.ephemeral
        self.remote_index = opened.sender
        self.greatest_stamp = stamp

    def create_response(self, *, index: int, ephemeral: bytes) -> bytes:
        """The second message, without its MACs.  Raises Refused."""
        public = public_key(ephemeral)
        hashed = hash32(self._hash, public)
        chain = kdf1(self._chain, public)
        chain = kdf1(chain, _exchange(ephemeral, self._remote_ephemeral))
        chain = kdf1(chain, _exchange(ephemeral, self.remote_static, weak=Drop.WEAK_PEER_KEY))
        chain, mixed, key = kdf3(chain, self.psk)
        hashed = hash32(hashed, mixed)
        nothing = seal(key, b"", hashed)
        self._move(Step.CREATE_RESPONSE)
        self._chain = chain
        return messages.RESPONSE.pack(
            messages.TYPE_RESPONSE, index, self.remote_index, public, nothing
        )

    def consume_response(self, identity: Identity, message: bytes | memoryview) -> None:
        """Take up the answer to our initiation.  Raises Refused and then changed nothing."""
        if (self.state, Step.CONSUME_RESPONSE) not in MOVES:
            raise Refused(Drop.UNEXPECTED_RESPONSE)
        _, sender, _, ephemeral, nothing = messages.RESPONSE.unpack_from(message)
        hashed = hash32(self._hash, ephemeral)
        chain = kdf1(self._chain, ephemeral)
        chain = kdf1(chain, _exchange(self._ephemeral, ephemeral))
        chain = kdf1(chain, _exchange(identity.private, ephemeral))
        chain, mixed, key = kdf3(chain, self.psk)
        _unseal(key, nothing, hash32(hashed, mixed))
        self._move(Step.CONSUME_RESPONSE)
        self._chain = chain
        self.remote_index = sender

    def derive_keys(self) -> tuple[bytes, bytes, bool]:
        """(sending key, receiving key, were we the initiator); ends the handshake."""
        initiator = self.state is State.RESPONSE_CONSUMED
        self._move(Step.DERIVE_KEYS)
        first, second = kdf2(self._chain, b"")
        self._erase()
        return (first, second, True) if initiator else (second, first, False)


def _exchange(private: bytes, public: bytes, weak: Drop = Drop.BAD_HANDSHAKE) -> bytes:
    try:
        return shared_secret(private, public)
    except ValueError as error:
        raise Refused(weak) from error


def _unseal(key: bytes, data: bytes, additional: bytes) -> bytes:
    try:
        return unseal(key, data, additional)
    except InvalidTag as error:
        raise Refused(Drop.BAD_HANDSHAKE) from error
