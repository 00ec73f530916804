# SPDX-License-Identifier: MIT
"""Loop: one selector, one timer, and everything a device waits for.

Not here: what any of it means.  The rule: every source gets a bounded share of a turn,
and the engine is drained once after all that came in.  What nobody foresaw costs the turn
of one source and a line of the log; only a TUN that is gone ends the loop from within.
"""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from wgtools.daemon.control import ControlServer
from wgtools.daemon.log import place_of
from wgtools.daemon.tun import FRAME_ROOM, TunGone

if TYPE_CHECKING:
    from wgtools.daemon.clock import Clock
    from wgtools.daemon.interface import Interface
    from wgtools.daemon.listener import Listener
    from wgtools.daemon.log import Log
    from wgtools.daemon.udp import Sticky
    from wgtools.engine.events import Address
    from wgtools.model import Device, DeviceChange

__all__ = ["Loop", "new_selector"]

# A share of a turn: that many system calls or bytes, whichever ends first.
_CALLS = 64
_BYTES = 256 << 10
_MERGED = 65535  # as much as UDP GRO would give at once

_SMALL = 2048  # bytes: no super-packet, and nothing that GRO has merged

_LOOK = 2.0  # seconds between looks at what nothing tells us about
_REPORT = 60.0  # seconds between lines about counters, when they changed

_STUMBLES = 64  # errors of our own after which to
_REST = 0.1  # seconds do nothing

_Callback = Callable[[int], None]


def new_selector() -> selectors.BaseSelector:
    """One that outlives the fork into the background, as a kqueue does not (kqueue(2))."""
    kind: type[selectors.BaseSelector]
    kind = getattr(selectors, "EpollSelector", selectors.PollSelector)
    return kind()


class Loop:
    """Runs one interface until something says to stop."""

    def __init__(
        self,
        interface: Interface,
        listener: Listener,
        *,
        clock: Clock,
        log: Log,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._interface = interface
        self._engine = interface.engine
        self._tun = interface.tun
        self._listener = listener
        self._clock = clock
        self._log = log
        self._selector = new_selector()
        self._udp_registered: list[socket.socket] = []
        self._frame = memoryview(bytearray(FRAME_ROOM))
        self._datagrams = memoryview(bytearray(_BYTES + FRAME_ROOM))
        self._now = clock.now()
        self._stop: str | None = None
        self._next_look = self._next_report = self._now.mono
        self._sleep = sleep
        self._stumbles = 0
        self._lone = False  # a single frame was written last
        self._unsent = 0  # datagrams, or what GSO would have made of them
        self._turns = 0
        self._heard: dict[str, int] = {}  # by source: the last turn that something came in
        self._unwritten = 0  # frames that the system would not take
        self._reported: dict[object, int] = {}
        self._control = ControlServer(
            listener.socket, self._selector, self, log=log, mono=lambda: self._now.mono
        )
        self._watch(self._tun.fileno(), self._tun_ready)
        self._watched = self._tun.watch_fileno()
        self._watch(self._watched, self._link_changed)
        self._watch(listener.watch_fileno(), self._listener_touched)
        self._needs_looks = self._tun.watch_fileno() < 0 or listener.watch_fileno() < 0
        interface.sockets_changed = self._sockets_changed

    def _watch(self, fd: int, callback: _Callback) -> None:
        if fd >= 0:
            self._selector.register(fd, selectors.EVENT_READ, callback)

    # -------------------------------------------------------------- running

    def stop_when_readable(self, fd: int, reason: str) -> None:
        """Leave in good order when `fd` has something: the signals come this way."""

        def stop(_events: int) -> None:
            os.read(fd, 4096)
            self.stop(reason)

        self._watch(fd, stop)

    def stop(self, reason: str) -> None:
        self._stop = reason

    def run(self) -> str:
        """Until told to stop, or the interface or the control socket is taken away; why."""
        try:
            self._refresh()
            self._listener_touched(0)
            while self._stop is None:
                self._turn()
        except TunGone:
            self._stop = "the interface is gone"
        finally:
            if self._log.is_debug:
                self._report()
            self._control.close()
            self._interface.close()
            self._selector.close()
        return self._stop or ""

    def _turn(self) -> None:
        deadline = self._deadline()
        wait = None if deadline is None else self._clock.seconds_until(deadline)
        ready = self._selector.select(wait)
        self._now = self._clock.now()
        self._turns += 1
        for key, events in ready:
            try:
                key.data(events)
            except TunGone:
                raise
            except Exception as e:
                self._stumble(e)
        # What came in leaves before anything else is looked at: somebody waits for it.
        self._guarded(self._flush)
        if self._lone:
            self._guarded(self._take_answer)
        if self._log.is_debug or (deadline is not None and deadline <= self._now.mono):
            self._guarded(self._on_time)
            self._guarded(self._flush)

    def _guarded(self, part: Callable[[], None]) -> None:
        try:
            part()
        except TunGone:
            raise
        except Exception as e:
            self._stumble(e)

    def _stumble(self, e: Exception) -> None:
        """An error of our own: say where it was, and go on.

        A tunnel that lives is worth more than a clean end; but one that stumbles in every
        turn must not take a whole processor for it.
        """
        self._log.error(f"An error of our own ({place_of(e)}): please report it")
        self._stumbles += 1
        if self._stumbles % _STUMBLES == 0:
            self._sleep(_REST)

    def _deadline(self) -> float | None:
        """The nearest moment at which something must be done; None if nothing waits."""
        moments = [
            self._engine.next_deadline(),
            self._control.next_deadline(),
            self._interface.retry_at,
            self._next_look if self._needs_looks else None,
        ]
        return min((moment for moment in moments if moment is not None), default=None)

    def _on_time(self) -> None:
        mono = self._now.mono
        deadline = self._engine.next_deadline()
        if deadline is not None and deadline <= mono:
            self._engine.timer_due(self._now)
        deadline = self._control.next_deadline()
        if deadline is not None and deadline <= mono:
            self._control.expire(mono)
        retry_at = self._interface.retry_at
        if retry_at is not None and retry_at <= mono:
            self._interface.open()
        if self._needs_looks and self._next_look <= mono:
            self._next_look = mono + _LOOK
            self._refresh()
            self._listener_touched(0)
        if self._log.is_debug and self._next_report <= mono:
            self._next_report = mono + _REPORT
            self._report()

    # -------------------------------------------------------------- packets

    def _is_alone(self, source: str) -> bool:
        """Whether a small packet of `source` is likely to be the only one that waits: nothing
        came from there in the last turn.

        Then asking for a second takes as long as sending the first; if there is one after
        all, the selector tells.
        """
        last = self._heard.get(source, 0)
        self._heard[source] = self._turns
        return last < self._turns - 1

    def _tun_ready(self, _events: int) -> None:
        read_into, frame, engine, now = self._tun.read_into, self._frame, self._engine, self._now
        room = _BYTES
        alone = self._is_alone("tun")
        for _ in range(_CALLS):
            length = read_into(frame)
            if not length:
                return
            engine.frame_received(frame[: length + 16], now)
            room -= length
            if room < 0 or (alone and length < _SMALL):
                return

    def _udp_ready(self, sock: socket.socket, _events: int) -> None:
        """Read what waits, and put together what the kernel did not: datagrams of one sender
        and size reach the engine in one buffer, whether GRO merged them or not."""
        udp, room, engine, now = self._interface.udp, self._datagrams, self._engine, self._now
        if udp is None or sock not in self._udp_registered:
            return  # another callback of this turn closed it
        start = end = size = 0
        address: Address = ("", 0)
        sticky: Sticky | None = None
        alone = self._is_alone("udp")
        for _ in range(_CALLS):
            received = udp.receive(sock, room[end:])
            if received is None:
                break
            length, one, sender, source = received
            if not length:
                continue  # an empty datagram is legal UDP, and nothing
            joins = (
                (one == size or one == length < size)
                and sender == address
                and source is sticky
                and (end - start) % size == 0
                and end - start + length <= _MERGED
            )
            if not joins:
                if end > start:
                    engine.datagrams_received(room[start:end], size, address, sticky, now)
                start, size, address, sticky = end, one, sender, source
            end += length
            if end > _BYTES or (alone and length < _SMALL):
                break
        if end > start:
            engine.datagrams_received(room[start:end], size, address, sticky, now)

    def _take_answer(self) -> None:
        """A host answers a ping, or a handshake of TCP, before it returns from being told: then
        the answer is there already, and need not wait for another turn."""
        self._lone = False
        self._tun_ready(0)
        self._flush()

    def _flush(self) -> None:
        out = self._engine.outgoing()
        self._lone = len(out.frames) == 1
        udp = self._interface.udp
        if udp is not None:
            udp.send(out.datagrams)
        else:
            self._unsent += len(out.datagrams)
        write = self._tun.write
        for frame in out.frames:
            if not write(frame):
                self._unwritten += 1
        if out.events and self._log.is_debug:
            for event in out.events:
                self._interface.tell(event)

    # -------------------------------------------------------------- what else may happen

    def _sockets_changed(self) -> None:
        for sock in self._udp_registered:
            self._selector.unregister(sock)
        udp = self._interface.udp
        self._udp_registered = udp.sockets if udp is not None else []
        for sock in self._udp_registered:
            self._selector.register(sock, selectors.EVENT_READ, partial(self._udp_ready, sock))

    def _link_changed(self, _events: int) -> None:
        if self._tun.watched() and self._interface.udp is not None:
            self._interface.udp.forget_sources()
        self._refresh()

    def _refresh(self) -> None:
        """Follow the link; its watch may have become another one, or be about to."""
        if self._watched >= 0:
            self._selector.unregister(self._watched)
        try:
            self._interface.refresh()
        finally:
            self._watched = self._tun.watch_fileno()
            self._watch(self._watched, self._link_changed)

    def _listener_touched(self, _events: int) -> None:
        if self._listener.is_gone():
            self.stop("the control socket was removed")

    # Served, for the control clients: what came before in this turn must be out first, for
    # the engine's buffers do not outlive the next call into it.

    def device(self) -> Device:
        self._flush()
        return self._interface.device()

    def apply(self, change: DeviceChange) -> int:
        self._flush()
        return self._interface.apply(change)

    def _report(self) -> None:
        counters: dict[object, int] = {drop.value: n for drop, n in self._engine.counters.items()}
        counters.update(self._interface.troubles())
        if self._unsent:
            counters["no socket to send from"] = self._unsent
        if self._unwritten:
            counters["refused by the TUN"] = self._unwritten
        if counters != self._reported:
            self._reported = counters
            shown = ", ".join(f"{name} {count}" for name, count in counters.items())
            self._log.debug(f"Thrown away so far: {shown}")
