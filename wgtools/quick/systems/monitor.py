# SPDX-License-Identifier: MIT
"""`wg-quick monitor`: follows what changes on the host while an interface is up.

Endpoints that roam and gateways that change get their pins renewed; an MTU that was
chosen, not given, follows the way to the endpoints; on macOS every network service
keeps the tunnel's DNS.  When the interface goes without `down`, what was done for it
is undone.  What to watch, and every change, stands in the journal: whatever ends this
process, `down` knows what is left, and `wg-quick monitor NAME` takes over.

It is told of changes by a route(4) socket.  Roaming makes no such message, so while
there are pins the device is asked every few seconds.
"""

from __future__ import annotations

import os
import select
import signal
import time

from wgtools import ipc
from wgtools.errors import WgError
from wgtools.quick.apply import Transaction
from wgtools.quick.interrupts import Interrupted, interrupts
from wgtools.quick.journal import Journal
from wgtools.quick.lock import exclusive
from wgtools.quick.systems import dns, reading, rtmsg
from wgtools.quick.systems.actions import Back, Command, Destroy, Pin, StopMonitor, Unpin, Watch
from wgtools.quick.systems.macos import MacOS
from wgtools.quick.systems.pidfile import PidFile

__all__ = ["Monitor", "watch"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from wgtools.model import Device
    from wgtools.quick.journal import Journal as Book
    from wgtools.quick.systems.host import Host
    from wgtools.quick.updown import Talk

_AF_ROUTE = 17  # sys/socket.h of FreeBSD, OpenBSD, xnu
_QUIET, _MOST = 0.2, 1.0  # seconds: messages come in swarms; wait for the end of one
_AGAIN = 2.0  # macOS is not done when it says so (WG_QUICK_COMPAT 19)
_ROAMING = 5.0  # seconds between questions about endpoints
_SHARE = 20.0  # a device of thousands of peers is asked less often: at most 5 % of the time


class Monitor:
    """One interface's follower.  `turn` may be called at any time; it does what is due."""

    def __init__(
        self,
        name: str,
        host: Host,
        talk: Talk,
        *,
        journal: Callable[[str], Book] = Journal,
        device: Callable[[str], Device] = ipc.get,
    ) -> None:
        self._name = name
        self._host = host
        self._talk = talk
        self._journal = journal
        self._device = device
        self._hopeless: set[tuple[str, str]] = set()  # pins that route(8) refused
        self._real = ""
        self._hosts: list[str] = []  # of the endpoints at the last turn
        self.roaming = False  # whether endpoints must be asked for

    def turn(self, *, changed: bool) -> bool:
        """Bring all in step; False when there is nothing to watch any more.

        `changed` is whether the host's network is not what it was at the last turn.
        """
        if not changed and self._nobody_roamed():
            return True
        with exclusive(self._name):
            journal = self._journal(self._name)
            watched = [undo for undo in journal.undos if isinstance(undo, StopMonitor)]
            if not watched:
                return False
            transaction = Transaction(
                self._host.carry_out, echo=self._talk.echo, warn=self._talk.warn, journal=journal
            )
            if self._host.real_name(self._name) != watched[0].real:
                self._clean_up(journal, transaction)
                return False
            self._real, self.roaming = watched[0].real, bool(watched[0].families)
            self._follow(watched[0], journal, transaction, changed=changed)
        return True

    def _nobody_roamed(self) -> bool:
        """The usual answer, without a lock and without starting a program."""
        try:
            return _hosts_of(self._device(self._real)) == self._hosts
        except Interrupted:
            raise
        except WgError:
            return False

    def _clean_up(self, journal: Book, transaction: Transaction) -> None:
        """The interface is gone without `down`: undo the rest of what `up` did."""
        rest = [u for u in journal.undos if not isinstance(u, Destroy | StopMonitor)]
        with interrupts.shielded():
            if transaction.attempt(reversed(rest)) is None:
                journal.erase()

    def _follow(
        self, watch: Watch, journal: Book, transaction: Transaction, *, changed: bool
    ) -> None:
        self._hosts = _hosts_of(self._device(watch.real))
        if watch.families:
            self._pins(watch, journal, transaction, changed=changed)
        if watch.mtu and changed:
            self._mtu(watch, journal)
        if watch.servers and changed:
            self._dns(watch, journal, transaction)

    def _pins(
        self,
        watch: Watch,
        journal: Book,
        transaction: Transaction,
        *,
        changed: bool,
    ) -> None:
        if changed:
            self._hopeless.clear()
        facts = self._host.facts
        situation = reading.situation(facts, watch.real, networks=(), endpoints=self._hosts)
        families = [int(digit) for digit in watch.families]
        steps = self._host.system.pins_of(families, situation)
        wanted = {(pin.endpoint, pin.via): pin for pin in steps if isinstance(pin, Pin)}
        noted = [undo for undo in journal.undos if isinstance(undo, Unpin)]
        for undo in noted:
            if (undo.endpoint, undo.via) not in wanted or (changed and self._lost(undo, watch)):
                with interrupts.shielded():
                    transaction.attempt([undo])
                journal.remove(undo)  # if it failed, the route went with its gateway
        there = {(u.endpoint, u.via) for u in journal.undos if isinstance(u, Unpin)}
        for key, pin in wanted.items():
            if key not in there and key not in self._hopeless:
                transaction.apply([pin])
                if pin.undo not in journal.undos:
                    self._hopeless.add(key)

    def _lost(self, pin: Unpin, watch: Watch) -> bool:
        """Whether packets to the endpoint would take the tunnel: somebody removed the pin."""
        path = self._host.facts.route_to(pin.endpoint)
        return path is not None and path.interface == watch.real

    def _mtu(self, watch: Watch, journal: Book) -> None:
        holes = {
            undo.endpoint for undo in journal.undos if isinstance(undo, Unpin) and not undo.via
        }
        known = [host for host in self._hosts if host not in holes]
        if holes and not known:
            return  # offline: nothing to go by
        link = self._host.facts.interface(watch.real)
        mtu = reading.mtu_for(self._host.facts, known, watch.real)
        if link is not None and link.mtu != mtu:
            step = Command(("ifconfig", watch.real, "mtu", str(mtu)))
            self._talk.echo(*step.shown)
            self._host.carry_out(step)

    def _dns(self, watch: Watch, journal: Book, transaction: Transaction) -> None:
        """Services that came get ours; of those that went, nothing is to be put back."""
        system = self._host.system
        assert isinstance(system, MacOS)
        services = dns.services()
        names = {service.name for service in services}
        backs = [undo for undo in journal.undos if isinstance(undo, Back)]
        noted = {undo.argv[1:3] for undo in backs if undo.argv[0] == "networksetup"}
        for undo in backs:
            if undo.argv[1:3] in noted and undo.argv[2] not in names:
                journal.remove(undo)
        wanted = system.networksetup(services, watch.servers.split(), watch.domains.split())
        transaction.apply(
            Command(step.argv) if step.argv[1:3] in noted else step for step in wanted
        )


def _hosts_of(device: Device) -> list[str]:
    return [peer.endpoint.host for peer in device.peers if peer.endpoint]


class _Bell:
    """A pipe that a signal writes to, so that waiting ends."""

    def __enter__(self) -> int:
        self._ends = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK) if hasattr(os, "pipe2") else _pipe()
        self._before = signal.set_wakeup_fd(self._ends[1], warn_on_full_buffer=False)
        return self._ends[0]

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._before)
        for end in self._ends:
            os.close(end)


def _pipe() -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends


def route_socket() -> socket.socket:
    import socket

    door = socket.socket(_AF_ROUTE, socket.SOCK_RAW, socket.AF_UNSPEC)
    door.setblocking(False)
    return door


def watch(name: str, monitor: Monitor, door: socket.socket, title: str) -> None:
    """Turn until the interface is gone, or a signal says so.  Raises WgError."""
    mine = PidFile(name)
    with _Bell() as bell, interrupts.noted():  # in this order no signal goes unheard
        try:
            if not mine.take():
                raise WgError(f"`{name}' is monitored already")
        except OSError as error:
            raise WgError(f"{mine.path}: {error.strerror}") from error
        try:
            _loop(monitor, door, bell, title)
        except Interrupted:
            pass  # as `down` has it: it does the rest itself
        finally:
            mine.leave()
            door.close()


def _loop(monitor: Monitor, door: socket.socket, bell: int, title: str) -> None:
    changed, again = True, 0.0
    while True:
        began = time.monotonic()
        try:
            if not monitor.turn(changed=changed):
                return
        except Interrupted:
            raise
        except WgError:
            again = began + _AGAIN  # a device that is just busy, a lock that is held for long
        interrupts.check()
        now = time.monotonic()
        pause = max(_ROAMING, (now - began) * _SHARE) if monitor.roaming else None
        if again:
            pause = min(pause or _AGAIN, max(again - now, 0.0))
        heard = _wait(door, bell, pause, title)
        interrupts.check()
        due = bool(again) and time.monotonic() >= again
        again = time.monotonic() + _AGAIN if heard else 0.0 if due else again
        changed = heard or due


def _wait(door: socket.socket, bell: int, pause: float | None, title: str) -> bool:
    """Whether something that concerns us happened within the pause; None waits for ever."""
    deadline = None if pause is None else time.monotonic() + pause
    while True:
        left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        ready, _, _ = select.select([door.fileno(), bell], [], [], left)
        if bell in ready or not ready:
            return False
        if _concerns(door, title):
            _drain(door, bell)
            return True


def _drain(door: socket.socket, bell: int) -> None:
    """Until it has been quiet for a moment."""
    end = time.monotonic() + _MOST
    while time.monotonic() < end:
        ready, _, _ = select.select([door.fileno(), bell], [], [], _QUIET)
        if bell in ready or not ready:
            return
        _concerns(door, "")


def _concerns(door: socket.socket, title: str) -> bool:
    try:
        return rtmsg.concern(rtmsg.messages(door.recv(65536)), title)
    except BlockingIOError:
        return False
    except OSError:
        return True  # ENOBUFS: some were lost
