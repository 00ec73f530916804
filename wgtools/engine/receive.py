# SPDX-License-Identifier: MIT
"""From datagrams to what they mean: transport packets to frames, handshakes to sessions.

What an unauthenticated datagram can cost is bounded here: a transport packet one lookup
and one AEAD, a handshake message one MAC before any curve arithmetic.  Nothing of ours
changes, and no endpoint moves, before the cipher has vouched for the sender.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wgtools.crypto.aead import InvalidTag
from wgtools.engine import messages
from wgtools.engine.coalesce import Joiner
from wgtools.engine.constants import FLOWS, REJECT_AFTER_MESSAGES
from wgtools.engine.cookie import CookieChecker, packed_host
from wgtools.engine.events import Drop
from wgtools.engine.messages import KEEPALIVE_SIZE, NONCE, TRANSPORT, TRANSPORT_HEADER
from wgtools.engine.noise import Refused, open_initiation
from wgtools.engine.peer import Arrival, Peer
from wgtools.engine.ratelimit import LoadMeter, ProvedLimiter, SourceLimiter, source_of

if TYPE_CHECKING:
    from wgtools.engine.allowedips import AllowedIPs
    from wgtools.engine.context import Context
    from wgtools.engine.events import Address, Now, Sticky
    from wgtools.engine.session import Session

__all__ = ["Gate", "Receiver", "Routes"]

# No buffer holds that many packets: counters below it may be taken in order unasked.
_FAR_FROM_SPENT = REJECT_AFTER_MESSAGES - (1 << 32)


class Routes:
    """The allowed IPs with a memory in front: busy addresses cost one dictionary lookup."""

    __slots__ = ("_flows", "allowed")

    def __init__(self, allowed: AllowedIPs[Peer]) -> None:
        self.allowed = allowed
        self._flows: dict[bytes, Peer | None] = {}

    def forget(self) -> None:
        """After any change of the allowed IPs."""
        self._flows.clear()

    def owner(self, address: bytes) -> Peer | None:
        flows = self._flows
        try:
            return flows[address]
        except KeyError:
            if len(flows) >= FLOWS:
                flows.clear()
            owner = flows[address] = self.allowed.lookup(address)
            return owner


class Gate:
    """What a handshake message must pass before it may cost us curve arithmetic.

    A source that comes too often, and everyone while there is too much altogether, must
    first prove its address with a cookie; and who has proved it is still held to a rate.
    Sources are limited before they are counted as load, so that one of them alone cannot
    put all others under cookies.
    """

    __slots__ = ("_checker", "_load", "_proved", "_unproved")

    def __init__(self, checker: CookieChecker) -> None:
        self._checker = checker
        self._load = LoadMeter()
        self._unproved = SourceLimiter()
        self._proved = ProvedLimiter()

    def judge(self, message: bytes, address: Address, mono: float) -> bytes | None:
        """None to let it in, or the cookie reply to send.  Raises Refused."""
        if not self._checker.mac1_is_valid(message):
            raise Refused(Drop.BAD_MAC1)
        source = source_of(packed_host(address))
        if (
            not self._load.is_heavy(mono)
            and self._unproved.allow(source, mono)
            and self._load.admit(mono)
        ):
            return None
        if not self._checker.mac2_is_valid(message, address, mono):
            return self._checker.reply(message, address, mono)
        if not self._proved.allow(source, mono):
            raise Refused(Drop.RATE_LIMITED)
        return None


class Receiver:
    """The receiving half of a device."""

    __slots__ = ("_coalesce_udp", "_context", "_gate", "_peers", "_routes")

    def __init__(
        self,
        context: Context[Peer],
        peers: dict[bytes, Peer],
        routes: Routes,
        *,
        coalesce_udp: bool,
    ) -> None:
        self._context = context
        self._peers = peers
        self._routes = routes
        self._coalesce_udp = coalesce_udp
        self._gate: Gate | None = None

    def identity_changed(self) -> None:
        """Whoever made a cookie or a MAC for the old key must make it anew."""
        identity = self._context.identity
        if identity is None:
            self._gate = None
        else:
            self._gate = Gate(CookieChecker(identity.public, self._context.entropy))

    def receive(
        self, view: memoryview, size: int, address: Address, sticky: Sticky, now: Now
    ) -> None:
        """All datagrams of one buffer, see Engine.datagrams_received."""
        context = self._context
        counters = context.counters
        unpack, pack_nonce = TRANSPORT.unpack_from, NONCE.pack
        total = len(view)
        plain, at = context.outbox.room(total)
        reserved = at + total
        joiner = self._joiner(plain)
        run: _Run | None = None
        try:
            for start in range(0, total, size):
                stop = start + size if start + size < total else total  # min() costs a call
                if stop - start < KEEPALIVE_SIZE:
                    counters[Drop.MALFORMED] += 1
                    continue
                kind, index, counter = unpack(view, start)
                if kind != messages.TYPE_TRANSPORT or run is None or run.index != index:
                    _settle(run, address, sticky, now)
                    run = None
                    if kind == messages.TYPE_TRANSPORT:
                        run = self._begin(index, now)
                    else:
                        self._handshake(kind, bytes(view[start:stop]), address, sticky, now)
                    if run is None:
                        continue
                    joiner.forget_last()
                end = at + stop - start - KEEPALIVE_SIZE
                sealed = view[start + TRANSPORT_HEADER : stop]
                try:
                    run.open(pack_nonce(counter), sealed, None, plain[at:end])
                except InvalidTag:
                    counters[Drop.BAD_TAG] += 1
                    continue
                if counter == run.expected:
                    run.expected = counter + 1
                elif not run.accept(counter):
                    counters[Drop.REPLAYED_COUNTER] += 1
                    continue
                run.bytes += stop - start
                if end > at:
                    run.content = True
                    if joiner.extend(at, end) or self._add(joiner, plain, at, end, run.peer):
                        at = end
        finally:
            _mark(run)  # whatever happened: what was accepted is not accepted again
        context.outbox.give_back(plain, at, reserved)
        _settle(run, address, sticky, now)
        joiner.finish()

    def _joiner(self, plain: memoryview) -> Joiner:
        context = self._context
        return Joiner(plain, context.outbox.frames, udp=self._coalesce_udp, sums=context.sums)

    def _add(self, joiner: Joiner, plain: memoryview, at: int, end: int, peer: Peer) -> bool:
        """A packet of which nothing is known yet: whether it is one, and may come from there."""
        length = self._inner_length(plain, at, end, peer)
        if length:
            joiner.add(at, length)
        return length > 0

    def _begin(self, index: int, now: Now) -> _Run | None:
        """The run of packets under session `index`, if it may still receive."""
        session = self._context.indices.sessions.get(index)
        if session is None:
            self._context.counters[Drop.UNKNOWN_INDEX] += 1
            return None
        if not session.can_receive(now.mono):
            self._context.counters[Drop.EXPIRED_SESSION] += 1
            return None
        return _Run(session)

    def _inner_length(self, plain: memoryview, at: int, end: int, peer: Peer) -> int:
        """The length of the IP packet at plain[at:end] without its padding; 0 to drop it.

        Its source must belong to `peer` and to no one more specific (whitepaper section 2).
        """
        version = plain[at] >> 4
        size = end - at
        if version == 4 and size >= 20:
            length = plain[at + 2] << 8 | plain[at + 3]
            source = bytes(plain[at + 12 : at + 16])
            shortest = 20
        elif version == 6 and size >= 40:
            length = (plain[at + 4] << 8 | plain[at + 5]) + 40
            source = bytes(plain[at + 8 : at + 24])
            shortest = 40
        else:
            length, shortest, source = 0, 1, b""
        if not shortest <= length <= size:
            self._context.counters[Drop.BAD_INNER] += 1
            return 0
        if self._routes.owner(source) is not peer:
            self._context.counters[Drop.BAD_SOURCE] += 1
            return 0
        return length

    def _handshake(
        self, kind: int, message: bytes, address: Address, sticky: Sticky, now: Now
    ) -> None:
        try:
            if messages.SIZES.get(kind) != len(message):
                raise Refused(Drop.MALFORMED)
            if self._gate is None:
                raise Refused(Drop.NO_KEY)
            if kind == messages.TYPE_COOKIE_REPLY:
                self._cookie_reply(message, now)
                return
            cookie = self._gate.judge(message, address, now.mono)
            if cookie is not None:
                self._context.outbox.message(address, sticky, cookie)
                raise Refused(Drop.COOKIE_DEMANDED)
            arrival = Arrival(address, sticky, len(message))
            if kind == messages.TYPE_INITIATION:
                self._initiation(message, arrival, now)
            else:
                self._response(message, arrival, now)
        except Refused as refusal:
            self._context.counters[refusal.reason] += 1

    def _initiation(self, message: bytes, arrival: Arrival, now: Now) -> None:
        identity = self._context.identity
        if identity is None:
            raise Refused(Drop.NO_KEY)
        opened = open_initiation(identity, message)
        peer = self._peers.get(opened.static)
        if peer is None:
            raise Refused(Drop.UNKNOWN_PEER)
        peer.initiation_received(opened, arrival, now)

    def _response(self, message: bytes, arrival: Arrival, now: Now) -> None:
        index = int.from_bytes(message[8:12], "little")
        peer = self._context.indices.handshakes.get(index)
        if peer is None:
            raise Refused(Drop.UNKNOWN_INDEX)
        peer.response_received(message, arrival, now)

    def _cookie_reply(self, message: bytes, now: Now) -> None:
        index = int.from_bytes(message[4:8], "little")
        indices = self._context.indices
        peer = indices.handshakes.get(index)
        if peer is None:
            session = indices.sessions.get(index)
            if session is None:
                raise Refused(Drop.UNKNOWN_INDEX)
            peer = session.owner
        if not peer.cookie_received(message, now):
            raise Refused(Drop.BAD_COOKIE_REPLY)


class _Run:
    """Packets under one session within one buffer: what their peer is told in one go.

    Counters that come in order are noted as `expected` and marked in the window together,
    before anything else can ask it.
    """

    __slots__ = ("_first", "_window", "bytes", "content", "expected", "index", "open", "session")

    def __init__(self, session: Session[Peer]) -> None:
        self.session = session
        self.index = session.local_index
        self.open = session.open
        self.bytes = 0
        self.content = False
        self._window = session.window
        self._expect()

    @property
    def peer(self) -> Peer:
        return self.session.owner

    def _expect(self) -> None:
        """What comes next is certainly new; but near the end of all counters, ask."""
        following = self._window.next
        self.expected = self._first = following if following < _FAR_FROM_SPENT else -1

    def accept(self, counter: int) -> bool:
        """Whether an authentic packet's counter is not the expected one, but good as well."""
        self.mark()
        good = self._window.accept(counter)
        self._expect()
        return good

    def mark(self) -> None:
        """Those that came in order."""
        if self.expected > self._first:
            self._window.accept_all(self._first, self.expected - 1)
            self._first = self.expected


def _mark(run: _Run | None) -> None:
    if run is not None:
        run.mark()


def _settle(run: _Run | None, address: Address, sticky: Sticky, now: Now) -> None:
    """Tell the peer of a run, unless nothing authenticated."""
    if run is not None and run.bytes:
        run.mark()
        arrival = Arrival(address, sticky, run.bytes)
        run.peer.packets_received(run.session, arrival, content=run.content, now=now)
