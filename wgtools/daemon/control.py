# SPDX-License-Identifier: MIT
"""ControlServer: the UAPI clients of one device, served without ever waiting for one.

Not here: the protocol (`uapi.server`), and what a change does (`interface.py`).

The rule: a client costs the data path no more per turn than one bounded piece of work, is
read from only when it has read its replies, and is dropped when it stands still.
"""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
from collections import deque
from typing import TYPE_CHECKING, Protocol

from wgtools.daemon.log import place_of
from wgtools.daemon.tun import TunGone
from wgtools.uapi.server import RequestReader, errno_reply, get_reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wgtools.daemon.log import Log
    from wgtools.model import Device, DeviceChange
    from wgtools.uapi.server import Request

__all__ = ["ControlServer", "Served"]

MAX_CLIENTS = 64
STALL = 30.0  # seconds for a client that has begun something to get on with it
WHOLE = 120.0  # seconds for all of a request: 100,000 peers take a quarter of it
IDLE = 300.0  # seconds for one that has nothing to ask
_PIECE = 64 << 10
_SENDS_PER_TURN = 8


class Served(Protocol):
    """What the clients ask about."""

    def device(self) -> Device:
        """The device as it is."""

    def apply(self, change: DeviceChange) -> int:
        """Change it; 0, or the errno it is refused with."""


class ControlServer:
    """Accepts, reads, answers and drops clients as `selector` tells it to.

    Callbacks are registered as the `data` of the selector's keys.
    """

    def __init__(
        self,
        listener: socket.socket,
        selector: selectors.BaseSelector,
        served: Served,
        *,
        log: Log,
        mono: Callable[[], float],
    ) -> None:
        self._listener = listener
        self._selector = selector
        self._clients: set[_Client] = set()
        self._is_accepting = False
        self.served = served
        self.log = log
        self.mono = mono
        self._accept_if_room()

    def next_deadline(self) -> float | None:
        return min((client.deadline for client in self._clients), default=None)

    def expire(self, mono: float) -> None:
        """Drop the clients whose time is over."""
        for client in [client for client in self._clients if client.deadline <= mono]:
            self.log.debug("UAPI: client dropped: too slow")
            self.drop(client)

    def drop(self, client: _Client) -> None:
        if client in self._clients:
            self._clients.remove(client)
            self._selector.unregister(client.socket)
            client.socket.close()
            self._accept_if_room()

    def want(self, client: _Client, events: int) -> None:
        """Wake `client` for these events from now on."""
        if client.events != events:
            client.events = events
            self._selector.modify(client.socket, events, client.ready)

    def close(self) -> None:
        for client in list(self._clients):
            self.drop(client)
        if self._is_accepting:
            self._selector.unregister(self._listener)
            self._is_accepting = False

    def _accept_if_room(self) -> None:
        room = len(self._clients) < MAX_CLIENTS
        if room and not self._is_accepting:
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        elif not room and self._is_accepting:
            self._selector.unregister(self._listener)  # the others wait in the backlog
        self._is_accepting = room

    def _accept(self, _events: int) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return  # it went away again, or no descriptor is free: nothing to do about either
        sock.setblocking(False)
        client = _Client(self, sock)
        self._clients.add(client)
        self._selector.register(sock, selectors.EVENT_READ, client.ready)
        self._accept_if_room()


class _Client:
    """One connection: requests in, replies out, in order."""

    def __init__(self, server: ControlServer, sock: socket.socket) -> None:
        self.socket = sock
        self.events = selectors.EVENT_READ
        self.deadline = server.mono() + STALL
        self._server = server
        self._reader = RequestReader()
        self._requests: deque[Request] = deque()
        self._reply: Iterator[bytes] = iter(())
        self._unsent = memoryview(b"")
        self._is_ending = False  # nothing more will be read
        self._began: float | None = None  # when the request that is coming in began

    def ready(self, events: int) -> None:
        """What the selector calls.  Raises TunGone only: a client never ends the daemon."""
        try:
            if events & selectors.EVENT_READ:
                self._read()
            self._work()
        except OSError:
            self._server.drop(self)
        except TunGone:
            raise
        except Exception as e:
            self._give_up(e)

    def _give_up(self, e: Exception) -> None:
        """An error of our own: tell the log and the client that it was, and part."""
        self._server.log.error(
            f"UAPI: a request met an error of our own ({place_of(e)}): please report it"
        )
        if not self._unsent:
            with contextlib.suppress(OSError):
                self.socket.send(errno_reply(errno.EIO))
        self._server.drop(self)

    def _read(self) -> None:
        try:
            data = self.socket.recv(_PIECE)
        except BlockingIOError:
            return
        if not data:
            self._is_ending = True
            return
        complete = self._reader.feed(data)
        if complete:
            self._began = None  # what is in now is of another one
        self._requests.extend(complete)
        if self._requests and self._requests[-1].last:
            self._is_ending = True

    def _work(self) -> None:
        """Answer and send as far as it goes without waiting, and not for too long."""
        for _ in range(_SENDS_PER_TURN):
            if not self._unsent and not self._next_piece():
                if self._is_ending:
                    self._server.drop(self)
                    return
                self.deadline = self._patience(self._server.mono())
                self._server.want(self, selectors.EVENT_READ)
                return
            try:
                sent = self.socket.send(self._unsent)
            except BlockingIOError:
                break
            self._unsent = self._unsent[sent:]
            self.deadline = self._server.mono() + STALL
        self._server.want(self, selectors.EVENT_WRITE)

    def _patience(self, mono: float) -> float:
        """Until when to wait for more.  One who trickles shall not keep a place for good."""
        if not self._reader.is_midway:
            self._began = None
            return mono + IDLE
        if self._began is None:
            self._began = mono
        return min(mono + STALL, self._began + WHOLE)

    def _next_piece(self) -> bool:
        """Find something to send; False if all is said."""
        while True:
            piece = next(self._reply, b"")
            if piece:
                self._unsent = memoryview(piece)
                return True
            if not self._requests:
                return False
            self._reply = self._answer(self._requests.popleft())

    def _answer(self, request: Request) -> Iterator[bytes]:
        if request.is_get:
            return get_reply(self._server.served.device())
        number = request.errno
        if request.change is not None:
            number = self._server.served.apply(request.change)
        elif request.reason:
            self._server.log.debug(f"UAPI: refused: {request.reason}")
        if request.last and not number:
            return iter(())
        return iter((errno_reply(number),))
