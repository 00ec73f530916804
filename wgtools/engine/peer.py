# SPDX-License-Identifier: MIT
"""One peer: where it is, its keys, its timers, and what waits to be sent to it.

Decides when to shake hands, when to send and when to give up (whitepaper section 6).
The bytes of a handshake are noise.py's, those of a packet transmit.py's; who may use
which address is the device's.
"""

from __future__ import annotations

from enum import Enum, unique
from typing import TYPE_CHECKING

from wgtools.engine import transmit
from wgtools.engine.constants import (
    INITIATIONS_PER_SECOND,
    KEEPALIVE_TIMEOUT,
    MAX_HANDSHAKE_ATTEMPTS,
    PADDING_MULTIPLE,
    REKEY_AFTER_MESSAGES,
    REKEY_AFTER_TIME,
    REKEY_ON_RECEIVE_TIME,
    REKEY_TIMEOUT,
)
from wgtools.engine.cookie import CookieJar, packed_host
from wgtools.engine.events import (
    Drop,
    EndpointMoved,
    HandshakeCompleted,
    HandshakeFailed,
    KeysErased,
)
from wgtools.engine.loopguard import is_our_own
from wgtools.engine.noise import Handshake, Opened, Refused
from wgtools.engine.session import Keyring, Rotation, Session
from wgtools.engine.staging import Staging
from wgtools.engine.timers import OFF, Timers

if TYPE_CHECKING:
    from wgtools.engine.context import Context
    from wgtools.engine.events import Address, Now, Sticky
    from wgtools.keys import Key

__all__ = ["MOVES", "Move", "Peer", "PeerState"]

_NEVER = float("-inf")


@unique
class PeerState(Enum):
    """Whether a peer may send and receive."""

    DOWN = "down"
    UP = "up"
    REMOVED = "removed"


@unique
class Move(Enum):
    """What the device does to a peer."""

    BRING_UP = "bring up"
    BRING_DOWN = "bring down"
    REMOVE = "remove"


MOVES: dict[tuple[PeerState, Move], PeerState] = {
    (PeerState.DOWN, Move.BRING_UP): PeerState.UP,
    (PeerState.UP, Move.BRING_DOWN): PeerState.DOWN,
    (PeerState.DOWN, Move.REMOVE): PeerState.REMOVED,
    (PeerState.UP, Move.REMOVE): PeerState.REMOVED,
}


class Peer:
    """A peer of the device."""

    __slots__ = (
        "_context",
        "_initiation_sent",
        "_initiation_taken",
        "_jar",
        "_staged",
        "address",
        "handshake",
        "handshake_ns",
        "host",
        "key",
        "keyring",
        "rx_bytes",
        "state",
        "sticky",
        "timers",
        "tx_bytes",
        "unsettled",
    )

    def __init__(self, key: Key, context: Context[Peer]) -> None:
        self.key = key
        self.state = PeerState.DOWN
        self.address: Address | None = None
        self.host = b""  # of `address`, packed
        self.sticky: Sticky = None
        self.handshake = Handshake(bytes(key))
        self.keyring: Keyring[Peer] = Keyring()
        self.timers = Timers(context.jitter)
        self.handshake_ns = 0  # Unix time of the last handshake
        self.rx_bytes = 0
        self.tx_bytes = 0
        self.unsettled = False  # sent data in this turn
        self._context = context
        self._jar: CookieJar | None = None
        self._staged = Staging(context)
        self._initiation_sent = _NEVER
        self._initiation_taken = _NEVER

    # --- what the device tells it ---

    def bring_up(self, now: Now) -> None:
        self.state = MOVES[self.state, Move.BRING_UP]
        if self.timers.interval:
            self.send_keepalive(now)

    def bring_down(self) -> None:
        self.state = MOVES[self.state, Move.BRING_DOWN]
        self._forget()

    def remove(self) -> None:
        self.state = MOVES[self.state, Move.REMOVE]
        self._forget()
        self._move_out()
        self.handshake.identity_changed()  # and so what was computed from our key
        self.handshake.psk = bytes(32)

    def _forget(self) -> None:
        self.timers.stop()
        self.timers.planned = OFF
        self._erase()
        self._initiation_sent = self._initiation_taken = _NEVER

    def set_address(self, address: Address) -> None:
        """Where the user says the peer is."""
        self._move_to(address)
        self.sticky = None

    def _move_to(self, address: Address) -> None:
        host = packed_host(address)
        if self.address is None or (host, address[1]) != (self.host, self.address[1]):
            self._move_out()
            self.host = host
            ports = self._context.hosts.setdefault(host, {})
            ports.setdefault(address[1], {})[self] = None
        self.address = address

    def _move_out(self) -> None:
        hosts = self._context.hosts
        if self.address is not None and self.host in hosts:
            ports, port = hosts[self.host], self.address[1]
            ports[port].pop(self, None)
            if not ports[port]:
                del ports[port]
            if not ports:
                del hosts[self.host]
        self.host = b""

    def set_interval(self, seconds: int, now: Now) -> None:
        """Persistent keepalive; turned on, it begins at once."""
        began = seconds and not self.timers.interval
        self.timers.interval = seconds
        if not seconds:
            self.timers.persistent = OFF
        if began and self.state is PeerState.UP:
            self.send_keepalive(now)

    def identity_changed(self) -> None:
        """The device has another private key: nothing more is sent under the old one."""
        self._drop_handshake()
        self.handshake.identity_changed()
        for session in (self.keyring.current, self.keyring.next):
            if session is not None:
                session.stop_sending()
        self._initiation_sent = _NEVER

    # --- sending ---

    def send_frame(self, frame: memoryview, end: int, size: int, now: Now) -> None:
        """Send the packet or super-packet frame[:end], its virtio_net_hdr included.

        `size` is the payload of one segment, or 0.  Without a session the frame is staged.
        """
        address = self.address
        if address is None:
            self._context.counters[Drop.NO_ENDPOINT] += 1
            return
        session = self.keyring.current
        count = end // size + 1 if size else 1
        if session is None or self._staged or not session.can_send(now.mono, count):
            self._staged.put(bytearray(frame[: end + PADDING_MULTIPLE]))
            self.flush(now)
            return
        self._transmit(session, frame, end, address)

    def has_made(self, frame: memoryview, end: int) -> bool:
        """Whether frame[:end], on its way to this peer's endpoint, is a message that we made
        for it.  To encrypt that again, for this peer or another, might never end."""
        ring, indices = self.keyring, self._context.indices
        sessions = (ring.previous, ring.current, ring.next)
        theirs = [session.remote_index for session in sessions if session is not None]
        return is_our_own(frame, end, theirs=theirs, ours=(indices.handshakes, indices.sessions))

    def _transmit(
        self, session: Session[Peer], frame: memoryview, end: int, address: Address
    ) -> None:
        context = self._context
        sent = transmit.send_packets(
            context.outbox,
            session,
            frame,
            transmit.cut(frame, end, context.sums),
            mtu=context.mtu,
            address=address,
            sticky=self.sticky,
        )
        if not sent:
            context.counters[Drop.BAD_FRAME] += 1
            return
        self.tx_bytes += sent
        if not self.unsettled:
            self.unsettled = True
            context.unsettled.append(self)

    def settle(self, now: Now) -> None:
        """The end of a turn in which data was sent: its timers, once for all packets."""
        self.unsettled = False
        if self.state is not PeerState.UP:
            return
        self.timers.anything_passed(now.mono)
        self.timers.anything_sent()
        self.timers.data_sent(now.mono)
        self._keep_fresh_sending(now)
        self._context.agenda.plan(self)

    def _keep_fresh_sending(self, now: Now) -> None:
        """Whitepaper 6.2: after any transport packet, keepalives too, was sent."""
        session = self.keyring.current
        if session is not None and (
            session.sent > REKEY_AFTER_MESSAGES
            or (session.initiator and now.mono - session.created >= REKEY_AFTER_TIME)
        ):
            self.send_initiation(now)

    def flush(self, now: Now) -> None:
        """Send what is staged, or ask for the keys it needs."""
        while self._staged:
            session = self.keyring.current
            # A super-packet has at most 65,535 segments; that many counters are in reserve.
            if session is None or not session.can_send(now.mono, 1 << 16):
                self.send_initiation(now)
                return
            frame = self._staged.take()
            if self.address is None:
                self._context.counters[Drop.NO_ENDPOINT] += 1
            elif frame:
                end = len(frame) - PADDING_MULTIPLE
                self._transmit(session, memoryview(frame), end, self.address)
            else:
                self._send_empty(session, self.address, now)

    def send_keepalive(self, now: Now) -> None:
        """A sign of life, unless something better is already waiting to go."""
        if not self._staged:
            self._staged.put(b"")
        self.flush(now)

    def _send_empty(self, session: Session[Peer], address: Address, now: Now) -> None:
        self.tx_bytes += transmit.send_keepalive(
            self._context.outbox, session, address=address, sticky=self.sticky
        )
        self.timers.anything_passed(now.mono)
        self.timers.anything_sent()
        self._keep_fresh_sending(now)
        self._context.agenda.plan(self)

    # --- shaking hands ---

    def send_initiation(self, now: Now, *, retry: bool = False) -> None:
        """Ask for new keys: at most once in Rekey-Timeout, whoever wants it."""
        if not retry:
            self.timers.attempts = 0
        context = self._context
        if self.state is not PeerState.UP or now.mono - self._initiation_sent < REKEY_TIMEOUT:
            return
        if context.identity is None:
            context.counters[Drop.NO_KEY] += 1
            return
        if self.address is None:
            context.counters[Drop.NO_ENDPOINT] += 1
            return
        self._drop_handshake()
        index = context.indices.new_handshake(self)
        try:
            body = self.handshake.create_initiation(
                context.identity,
                index=index,
                ephemeral=context.entropy(32),
                wall_ns=now.wall_ns,
            )
        except Refused as refusal:
            context.indices.forget(index)
            context.counters[refusal.reason] += 1
            return
        self.handshake.local_index = index
        self._initiation_sent = now.mono
        self._send_message(body, now)
        self.timers.initiation_sent(now.mono)
        context.agenda.plan(self)

    def _send_message(self, body: bytes, now: Now) -> None:
        if self.address is None:
            return
        message = self._cookie_jar().close(body, now.mono)
        self.timers.anything_passed(now.mono)
        self.timers.anything_sent()
        self._context.outbox.message(self.address, self.sticky, message)
        self.tx_bytes += len(message)

    def _cookie_jar(self) -> CookieJar:
        if self._jar is None:
            self._jar = CookieJar(bytes(self.key))
        return self._jar

    def cookie_received(self, message: bytes, now: Now) -> bool:
        """A cookie reply; says nothing of where the peer is, and is no sign of life."""
        return self._cookie_jar().take(message, now.mono)

    def initiation_received(self, opened: Opened, arrival: Arrival, now: Now) -> None:
        """The rest of an initiation that claims to be ours.  Raises Refused."""
        context = self._context
        if context.identity is None or self.state is not PeerState.UP:
            raise Refused(Drop.DOWN)
        stamp = self.handshake.authenticate(context.identity, opened)
        if now.mono - self._initiation_taken < 1 / INITIATIONS_PER_SECOND:
            raise Refused(Drop.HANDSHAKE_FLOOD)
        self._initiation_taken = now.mono
        answer = self.handshake.answer(stamp)
        answer.consume_initiation(context.identity, opened, stamp)
        self.heard_from(arrival, now)
        index = context.indices.new_handshake(self)
        try:
            body = answer.create_response(index=index, ephemeral=context.entropy(32))
        except Refused:
            context.indices.forget(index)
            raise
        self._initiation_sent = now.mono  # the other side asks already: no need to ask too
        self._derive(answer, Rotation.DERIVED_AS_RESPONDER, index, now)
        self._send_message(body, now)
        context.agenda.plan(self)

    def response_received(self, message: bytes, arrival: Arrival, now: Now) -> None:
        """The answer to our initiation, however late it comes.  Raises Refused."""
        context = self._context
        index = self.handshake.local_index
        if context.identity is None or index is None:
            raise Refused(Drop.UNEXPECTED_RESPONSE)
        self.handshake.consume_response(context.identity, message)
        self.heard_from(arrival, now)
        self.handshake.local_index = None
        self._derive(self.handshake, Rotation.DERIVED_AS_INITIATOR, index, now)
        self._complete(now, initiator=True)
        self.send_keepalive(now)  # confirms the session to the other side, if no data does
        context.agenda.plan(self)

    def _derive(self, handshake: Handshake, rotation: Rotation, index: int, now: Now) -> None:
        session: Session[Peer] = Session(
            self,
            keys=handshake.derive_keys(),
            local_index=index,
            remote_index=handshake.remote_index,
            created=now.mono,
        )
        self._context.indices.promote(index, session)
        self._rotate(rotation, session)
        self.timers.session_derived(now.mono)

    def _rotate(self, rotation: Rotation, new: Session[Peer] | None = None) -> None:
        for session in self.keyring.rotate(rotation, new):
            self._context.indices.forget(session.local_index)

    def _complete(self, now: Now, *, initiator: bool) -> None:
        self._cookie_jar().answered()
        self.timers.handshake_complete()
        self.handshake_ns = now.wall_ns
        self._context.outbox.event(HandshakeCompleted(self.key, initiator))

    def _drop_handshake(self) -> None:
        """Whatever handshake was under way is over; its index is free."""
        self._context.indices.forget(self.handshake.local_index)
        self.handshake.local_index = None
        self.handshake.clear()

    # --- receiving ---

    def heard_from(self, arrival: Arrival, now: Now) -> None:
        """Something authentic arrived: a handshake message, or the packets of one buffer."""
        self.rx_bytes += arrival.size
        if arrival.address != self.address:
            self._context.outbox.event(EndpointMoved(self.key, self.address, arrival.address))
            self._move_to(arrival.address)
        self.sticky = arrival.sticky
        self.timers.anything_passed(now.mono)
        self.timers.anything_received()

    def packets_received(
        self, session: Session[Peer], arrival: Arrival, *, content: bool, now: Now
    ) -> None:
        """All packets of one buffer under one session; `content`: not only keepalives."""
        self.heard_from(arrival, now)
        if session is self.keyring.next:
            # The initiator has our response: the session is confirmed (whitepaper 5.1).
            self._rotate(Rotation.CONFIRMED)
            self._complete(now, initiator=False)
            self.flush(now)
        if content:
            self.timers.data_received(now.mono)
        self._keep_fresh_receiving(now)
        self._context.agenda.plan(self)

    def _keep_fresh_receiving(self, now: Now) -> None:
        """Whitepaper 6.2: ask for new keys while an answer can still use the old ones."""
        session = self.keyring.current
        if (
            session is not None
            and session.initiator
            and not self.timers.asked_in_last_minute
            and now.mono - session.created >= REKEY_ON_RECEIVE_TIME
        ):
            self.timers.asked_in_last_minute = True
            self.send_initiation(now)

    # --- time ---

    def timer_due(self, now: Now) -> None:
        """Do what has come due, then be planned anew."""
        timers = self.timers
        # First, or after a long sleep it would wipe the handshake that the others begin.
        if timers.erase_keys <= now.mono:
            timers.erase_keys = OFF
            self._erase()
            self._context.outbox.event(KeysErased(self.key))
        if timers.retransmit <= now.mono:
            timers.retransmit = OFF
            self._retransmit(now)
        if timers.keepalive <= now.mono:
            timers.keepalive = OFF
            self.send_keepalive(now)
            if timers.another_keepalive:
                timers.another_keepalive = False
                timers.keepalive = now.mono + KEEPALIVE_TIMEOUT
        if timers.new_handshake <= now.mono:
            timers.new_handshake = OFF
            self.sticky = None  # perhaps our own address is what is wrong
            self.send_initiation(now)
        if timers.persistent <= now.mono:
            timers.persistent = OFF
            self.send_keepalive(now)
            timers.anything_passed(now.mono)  # also when nothing could be sent
        self._context.agenda.plan(self)

    def _retransmit(self, now: Now) -> None:
        timers = self.timers
        if timers.attempts < MAX_HANDSHAKE_ATTEMPTS:
            timers.attempts += 1
            self.sticky = None
            self.send_initiation(now, retry=True)
            return
        self._context.outbox.event(HandshakeFailed(self.key, timers.attempts + 1))
        timers.keepalive = OFF
        self._staged.drop(Drop.STAGED_EXPIRED)
        if timers.erase_keys == OFF:
            timers.session_derived(now.mono)  # wipe the partial exchange in time

    def _erase(self) -> None:
        self._drop_handshake()
        self._rotate(Rotation.ERASED)
        self._staged.drop(Drop.STAGED_EXPIRED)


class Arrival:
    """Where something authentic came from, and how many bytes it was on the wire."""

    __slots__ = ("address", "size", "sticky")

    def __init__(self, address: Address, sticky: Sticky, size: int) -> None:
        self.address = address
        self.sticky = sticky
        self.size = size
