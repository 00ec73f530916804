# SPDX-License-Identifier: MIT
"""Every pair of state and input, legal or not (style rule 4)."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest

from wgtools.crypto.x25519 import public_key
from wgtools.engine import noise, peer
from wgtools.engine.context import Context
from wgtools.engine.events import Now
from wgtools.engine.noise import Handshake, Identity, State, Step, open_initiation
from wgtools.engine.peer import Move, Peer, PeerState
from wgtools.engine.session import ROTATIONS, Keyring, Rotation, Session
from wgtools.keys import Key
from wgtools.testing.entropy import FakeEntropy

if TYPE_CHECKING:
    from collections.abc import Callable

LEGAL = {
    (State.INITIATION_CONSUMED, Step.CREATE_RESPONSE),
    (State.INITIATION_CREATED, Step.CONSUME_RESPONSE),
    (State.RESPONSE_CREATED, Step.DERIVE_KEYS),
    (State.RESPONSE_CONSUMED, Step.DERIVE_KEYS),
} | set(product(State, (Step.CREATE_INITIATION, Step.CONSUME_INITIATION, Step.CLEAR)))


class _Bench:
    """A handshake in any state, and every step to try on it."""

    def __init__(self, state: State) -> None:
        self.own, self.theirs = Identity(b"a" * 32), Identity(b"b" * 32)
        self.handshake = Handshake(self.theirs.public)
        self.other = Handshake(self.own.public)
        for step in {
            State.NONE: [],
            State.INITIATION_CREATED: [Step.CREATE_INITIATION],
            State.INITIATION_CONSUMED: [Step.CONSUME_INITIATION],
            State.RESPONSE_CREATED: [Step.CONSUME_INITIATION, Step.CREATE_RESPONSE],
            State.RESPONSE_CONSUMED: [Step.CREATE_INITIATION, Step.CONSUME_RESPONSE],
        }[state]:
            self.take(step)
        assert self.handshake.state is state

    def take(self, step: Step) -> None:
        steps: dict[Step, Callable[[], object]] = {
            Step.CREATE_INITIATION: self.create_initiation,
            Step.CONSUME_INITIATION: self.consume_initiation,
            Step.CREATE_RESPONSE: lambda: self.handshake.create_response(
                index=2, ephemeral=b"c" * 32
            ),
            Step.CONSUME_RESPONSE: self.consume_response,
            Step.DERIVE_KEYS: self.handshake.derive_keys,
            Step.CLEAR: self.handshake.clear,
        }
        steps[step]()

    def create_initiation(self) -> None:
        body = self.handshake.create_initiation(
            self.own, index=1, ephemeral=b"d" * 32, wall_ns=10**18
        )
        opened = open_initiation(self.theirs, body)
        self.other.consume_initiation(self.theirs, opened, bytes(12))

    def consume_initiation(self) -> None:
        body = self.other.create_initiation(
            self.theirs, index=1, ephemeral=b"d" * 32, wall_ns=10**18
        )
        opened = open_initiation(self.own, body)
        stamp = self.handshake.authenticate(self.own, opened)
        self.handshake.consume_initiation(self.own, opened, stamp)

    def consume_response(self) -> None:
        if self.other.state is not State.INITIATION_CONSUMED:
            self.handshake.consume_response(self.own, bytes(92))
            return
        body = self.other.create_response(index=2, ephemeral=b"c" * 32)
        self.handshake.consume_response(self.own, body)


@pytest.mark.parametrize(("state", "step"), list(product(State, Step)), ids=str)
def test_every_handshake_step_in_every_state(state: State, step: Step) -> None:
    assert ((state, step) in noise.MOVES) == ((state, step) in LEGAL)
    bench = _Bench(state)
    if (state, step) in LEGAL:
        bench.take(step)
        assert bench.handshake.state is noise.MOVES[state, step]
        return
    with pytest.raises((KeyError, ValueError, noise.Refused)):
        bench.take(step)
    assert bench.handshake.state is state


def test_both_ends_derive_the_same_keys() -> None:
    bench = _Bench(State.RESPONSE_CONSUMED)
    sending, receiving, initiator = bench.handshake.derive_keys()
    assert initiator
    assert bench.other.derive_keys() == (receiving, sending, False)


def test_no_response_means_no_change() -> None:
    bench = _Bench(State.INITIATION_CREATED)
    before = {name: getattr(bench.handshake, name) for name in Handshake.__slots__}
    with pytest.raises(noise.Refused):
        bench.handshake.consume_response(bench.own, bytes(12) + public_key(b"e" * 32) + bytes(48))
    assert {name: getattr(bench.handshake, name) for name in Handshake.__slots__} == before


def _session() -> Session[None]:
    keys = (bytes(32), bytes(32), True)
    return Session(None, keys=keys, local_index=0, remote_index=0, created=0.0)


@pytest.mark.parametrize("rotation", list(Rotation))
@pytest.mark.parametrize("held", list(product((False, True), repeat=3)))
def test_every_rotation_of_every_keyring(rotation: Rotation, held: tuple[bool, bool, bool]) -> None:
    ring: Keyring[None] = Keyring()
    ring.previous, ring.current, ring.next = (_session() if has else None for has in held)
    previous, current, following = ring.previous, ring.current, ring.next
    new = _session() if rotation.name.startswith("DERIVED") else None
    if (rotation, following is not None) not in ROTATIONS:
        assert rotation is Rotation.CONFIRMED
        assert following is None
        with pytest.raises(KeyError):
            ring.rotate(rotation, new)
        return
    gone = ring.rotate(rotation, new)
    expected = {
        Rotation.DERIVED_AS_INITIATOR: (following or current, new, None),
        Rotation.DERIVED_AS_RESPONDER: (None, current, new),
        Rotation.CONFIRMED: (current, following, None),
        Rotation.ERASED: (None, None, None),
    }[rotation]
    kept = (ring.previous, ring.current, ring.next)
    assert kept == expected
    everything = {one for one in (previous, current, following, new) if one is not None}
    assert set(gone) == everything - set(kept), "what is not kept is named, to free its index"


PEER_LEGAL = {
    (PeerState.DOWN, Move.BRING_UP): PeerState.UP,
    (PeerState.UP, Move.BRING_DOWN): PeerState.DOWN,
    (PeerState.DOWN, Move.REMOVE): PeerState.REMOVED,
    (PeerState.UP, Move.REMOVE): PeerState.REMOVED,
}


@pytest.mark.parametrize(("state", "move"), list(product(PeerState, Move)), ids=str)
def test_every_move_of_a_peer_in_every_state(state: PeerState, move: Move) -> None:
    context: Context[Peer] = Context(FakeEntropy(), mtu=1420, up=True)
    one = Peer(Key(b"k" * 32), context)
    one.state = state
    moves = {
        Move.BRING_UP: lambda: one.bring_up(Now(0.0, 0)),
        Move.BRING_DOWN: one.bring_down,
        Move.REMOVE: one.remove,
    }
    assert peer.MOVES == PEER_LEGAL
    if (state, move) in PEER_LEGAL:
        moves[move]()
        assert one.state is PEER_LEGAL[state, move]
        return
    with pytest.raises(KeyError):
        moves[move]()
    assert one.state is state
