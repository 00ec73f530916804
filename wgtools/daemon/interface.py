# SPDX-License-Identifier: MIT
"""Interface: one device's three parts that belong together: engine, TUN, UDP sockets.

Not here: waiting (`loop.py`).  The rule: a change of settings happens wholly or not at
all, and the sockets are open exactly while the interface is up.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import Counter
from copy import copy
from typing import TYPE_CHECKING

from wgtools.daemon.log import short_name
from wgtools.daemon.udp import UDPSockets
from wgtools.engine.events import (
    EndpointMoved,
    Event,
    HandshakeCompleted,
    HandshakeFailed,
    KeysErased,
)
from wgtools.errors import EngineError
from wgtools.model import Device, DeviceChange, Endpoint
from wgtools.uapi.server import is_zone

if TYPE_CHECKING:
    from collections.abc import Callable

    from wgtools.daemon.clock import Clock
    from wgtools.daemon.log import Log
    from wgtools.daemon.tun import Tun
    from wgtools.engine.device import Engine
    from wgtools.engine.events import Address
    from wgtools.keys import Key

__all__ = ["Interface"]

_QUIET = 10.0  # seconds between lines about the moves of one peer
_MOVES = 1024  # peers whose moves are remembered
_RETRY = 5.0  # seconds until another try to open the sockets of an interface that is up


class Interface:
    """Raises nothing but TunGone; `sockets_changed` is told whenever `udp` is another one."""

    def __init__(
        self,
        tun: Tun,
        engine: Engine,
        *,
        clock: Clock,
        log: Log,
        open_udp: Callable[..., UDPSockets] = UDPSockets,
    ) -> None:
        self.tun = tun
        self.engine = engine
        self.udp: UDPSockets | None = None
        self.sockets_changed: Callable[[], None] = lambda: None
        self.retry_at: float | None = None
        self._clock = clock
        self._log = log
        self._open_udp = open_udp
        self._port = 0  # as configured; 0 is any
        self._fwmark = 0
        self._is_up = False
        self._has_said_no_mark = False
        self._downs = 0
        self._past_troubles: Counter[str] = Counter()
        self._mtu = 0
        self._tun_index = 0
        self._moves: dict[Key, _Moves] = {}

    # -------------------------------------------------------------- the link

    def refresh(self) -> None:
        """Look at the link and follow it: up, down, another MTU.  Raises TunGone."""
        link = self.tun.link()
        self._tun_index = link.index
        if self.udp is not None:
            self.udp.tun_index = link.index
        if link.mtu != self._mtu:
            self._log.debug(f"MTU {link.mtu}")
            self._mtu = link.mtu
            self.engine.set_mtu(link.mtu)
        went_down = link.downs != self._downs  # and may be up again, before we could look
        self._downs = link.downs
        if self._is_up and (went_down or not link.up):
            self._log.debug("Interface down")
            self._is_up = False
            self.engine.bring_down(self._clock.now())
            self.close()
        if link.up and not self._is_up:
            self._log.debug("Interface up")
            self._is_up = True
            self.open()
            self.engine.bring_up(self._clock.now())

    def open(self) -> None:
        """Open the sockets; if that cannot be now, say so and set `retry_at`."""
        self.retry_at = None
        try:
            self._use(self._open_udp(self._port, fwmark=self._fwmark))
        except OSError as e:
            self._log.error(f"Cannot open UDP port {self._port or 'of any number'}: {e.strerror}")
            self.retry_at = self._clock.now().mono + _RETRY

    def close(self) -> None:
        self.retry_at = None
        if self.udp is not None:
            self._port = self.udp.port  # a port once had is asked for again, and shown meanwhile
        self._use(None)

    def _use(self, udp: UDPSockets | None) -> None:
        old, self.udp = self.udp, udp
        self.sockets_changed()
        if old is not None:
            self._past_troubles += old.troubles
            old.close()
        if udp is not None:
            udp.tun_index = self._tun_index
            self._log.debug(
                f"UDP port {udp.port}, IPv6 {_yes(udp.has_ipv6)}, GRO {_yes(udp.has_gro)}, "
                f"GSO {_yes(udp.has_gso)}"
            )
            if not udp.can_mark and not self._has_said_no_mark:
                self._has_said_no_mark = True
                self._log.error("No privilege to set a fwmark: it cannot be used")

    def troubles(self) -> Counter[str]:
        """What the sockets refused or lost, of all that there have been."""
        return self._past_troubles + (self.udp.troubles if self.udp is not None else Counter())

    # -------------------------------------------------------------- what clients ask

    def device(self) -> Device:
        device = self.engine.snapshot(self.tun.name)
        device.listen_port = self.udp.port if self.udp is not None else self._port
        device.fwmark = self._fwmark
        for peer in device.peers:
            if peer.endpoint is not None and "%" in peer.endpoint.host:
                peer.endpoint = _named_zone(peer.endpoint)
        return device

    def apply(self, change: DeviceChange) -> int:
        """All of it or nothing; 0, or the errno of the refusal."""
        udp, fresh = self.udp, None
        try:
            change = _with_numbered_zones(change)
            if self._wants_sockets(change.listen_port):
                fwmark = self._fwmark if change.fwmark is None else change.fwmark
                fresh = self._open_udp(change.listen_port, fwmark=fwmark)
            elif change.fwmark is not None and udp is not None:
                udp.set_fwmark(change.fwmark)
            try:
                self.engine.configure(change, self._clock.now())
            except Exception as e:
                if fresh is not None:
                    fresh.close()
                elif change.fwmark is not None and udp is not None:
                    udp.set_fwmark(self._fwmark)
                if not isinstance(e, EngineError):
                    raise
                self._log.debug(f"UAPI: refused: {e.message}")
                return errno.EINVAL
        except OSError as e:
            self._log.error(f"UAPI: cannot apply the change: {e.strerror}")
            return e.errno or errno.EIO
        if change.listen_port is not None:
            self._port = change.listen_port
        if change.fwmark is not None:
            self._fwmark = change.fwmark
        if fresh is not None and self._is_up:
            self.retry_at = None
            self._use(fresh)
        elif fresh is not None:
            fresh.close()  # it could be had: enough to know while the interface is down
        self._log.debug(f"UAPI: applied a change of {len(change.peers)} peers")
        return 0

    def _wants_sockets(self, port: int | None) -> bool:
        """Whether a change to `port` needs sockets other than those we have."""
        if port is None:
            return False
        if self._is_up:
            return port == 0 or self.udp is None or port != self.udp.port
        return port != 0

    # -------------------------------------------------------------- talk

    def tell(self, event: Event) -> None:
        """An event of the engine, for the log."""
        who = short_name(event.public_key)
        match event:
            case HandshakeCompleted(initiator=True):
                text = "Handshake completed, we asked"
            case HandshakeCompleted():
                text = "Handshake completed, the peer asked"
            case EndpointMoved(new=new):
                text = self._moved(event.public_key, new)
            case HandshakeFailed(attempts=attempts):
                text = f"Handshake did not complete after {attempts} attempts, giving up"
            case KeysErased():
                text = "All keys erased: no new session for a long time"
        if text:
            self._log.debug(f"{who} - {text}")

    def _moved(self, key: Key, new: Address) -> str:
        """What to say of a peer's move; nothing if one was told a moment ago.

        A peer with two addresses may move with every packet, and must not drown the rest.
        """
        mono = self._clock.now().mono
        moves = self._moves.get(key)
        if moves is None:
            if len(self._moves) >= _MOVES:
                self._moves.clear()
            moves = self._moves[key] = _Moves()
        if mono < moves.quiet_until:
            moves.untold += 1
            return ""
        moves.quiet_until = mono + _QUIET
        untold, moves.untold = moves.untold, 0
        more = f", after {untold} moves not told" if untold else ""
        return f"Endpoint is now {_shown(new)}{more}"


class _Moves:
    """What was told of one peer's moves."""

    __slots__ = ("quiet_until", "untold")

    def __init__(self) -> None:
        self.quiet_until = float("-inf")
        self.untold = 0


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _shown(address: Address) -> str:
    return str(Endpoint(address[0], address[1]))


def _with_numbered_zones(change: DeviceChange) -> DeviceChange:
    """`change` with `fe80::1%2` for `fe80::1%eth0`: itself, or a copy if there was any.

    Raises OSError when there is no such interface.
    """
    numbered: dict[int, Endpoint] = {}
    for place, peer in enumerate(change.peers):
        endpoint = peer.endpoint
        if isinstance(endpoint, Endpoint) and "%" in endpoint.host:
            host, _, zone = endpoint.host.partition("%")
            if not (zone.isascii() and zone.isdigit()):
                numbered[place] = Endpoint(f"{host}%{_index(zone)}", endpoint.port)
    if not numbered:
        return change
    change = copy(change)
    change.peers = [copy(peer) for peer in change.peers]
    for place, endpoint in numbered.items():
        change.peers[place].endpoint = endpoint
    return change


def _index(zone: str) -> int:
    """The number of an interface.  Raises OSError."""
    try:
        return socket.if_nametoindex(zone)
    except (OSError, ValueError) as e:  # ValueError: a NUL in it
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV)) from e


def _named_zone(endpoint: Endpoint) -> Endpoint:
    """With the interface's name, as far as the protocol can say it; else with its number."""
    host, _, zone = endpoint.host.partition("%")
    try:
        name = socket.if_indextoname(int(zone))
    except (OSError, ValueError, OverflowError):
        return endpoint
    # One of digits alone would be read as a number.
    sayable = is_zone(name) and not name.isdigit()
    return Endpoint(f"{host}%{name}", endpoint.port) if sayable else endpoint
