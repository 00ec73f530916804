# SPDX-License-Identifier: MIT
"""wgtools-engine with troubles to order: `python engine.py SPEED NAME`.

The production loop, sockets and engine; but the clock runs `SPEED` times as fast and can be
set, and the sockets fail as told.  Orders come on stdin, a line each:

    fault ERRNO SHARE      that share of sends ends with ERRNO; `fault LOSS 0.5` loses them
    receive ERRNO SHARE    the same for receives
    wall SECONDS           the wall clock is set on, or back
    mono SECONDS           as after a suspend; a clock that goes back is none, but see
    figures                one line of JSON on stdout
"""

from __future__ import annotations

import errno
import gc
import json
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Iterable
from functools import partial
from typing import Any

from wgtools.daemon.interface import Interface
from wgtools.daemon.listener import open_listener
from wgtools.daemon.log import DEBUG, Log
from wgtools.daemon.loop import Loop
from wgtools.daemon.process import signal_pipe
from wgtools.daemon.tun.linux import create_tun
from wgtools.daemon.udp import UDPSockets
from wgtools.engine.device import Engine
from wgtools.engine.events import Now


class SetClock:
    """Both clocks, `speed` times as fast, and set at will."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._start = time.monotonic()
        self._wall = time.time_ns()
        self.mono_offset = 0.0
        self.wall_offset = 0.0

    def now(self) -> Now:
        passed = (time.monotonic() - self._start) * self._speed
        wall = self._wall + int((passed + self.wall_offset) * 1e9)
        return Now(self._start + passed + self.mono_offset, wall)

    def seconds_until(self, mono: float) -> float:
        return max(0.0, (mono - self.now().mono) / self._speed)


class Faults:
    """What befalls system calls: an errno (0: the datagram is lost) and how often."""

    def __init__(self) -> None:
        self.sending: tuple[int, float] = (0, 0.0)
        self.receiving: tuple[int, float] = (0, 0.0)
        self.met = 0

    def meet(self, which: tuple[int, float]) -> bool:
        """Whether this call is one that gets lost.  Raises OSError."""
        number, share = which
        if not share or random.random() >= share:
            return False
        self.met += 1
        if number:
            raise OSError(number, os.strerror(number))
        return True


class FaultySocket(socket.socket):
    """A UDP socket that fails as `faults` tell."""

    faults: Faults

    def sendmsg(self, buffers: Iterable[Any], *rest: Any) -> int:
        buffers = list(buffers)
        if self.faults.meet(self.faults.sending):
            return sum(len(buffer) for buffer in buffers)
        return super().sendmsg(buffers, *rest)

    def recvmsg_into(self, *words: Any) -> Any:
        received = super().recvmsg_into(*words)
        if self.faults.meet(self.faults.receiving):
            raise BlockingIOError(errno.EAGAIN, "lost")
        return received


def open_faulty(faults: Faults, family: int, kind: int) -> socket.socket:
    sock = FaultySocket(family, kind)
    sock.faults = faults
    return sock


class Lines:
    """What the log is written to: the end of it, and how many handshakes it told of."""

    def __init__(self) -> None:
        self.handshakes = 0
        self.errors: list[str] = []

    def __call__(self, line: bytes) -> None:
        self.handshakes += b"Handshake completed" in line
        if line.startswith(b"ERROR"):
            self.errors.append(line.decode(errors="replace").strip())
            del self.errors[:-20]
        os.write(2, line)


def obey(
    clock: SetClock, faults: Faults, engine: Engine, interface: Interface, lines: Lines
) -> None:
    """Orders until stdin ends."""
    for line in sys.stdin:
        what, *words = line.split()
        match what:
            case "fault" | "receive":
                number = 0 if words[0] == "LOSS" else int(getattr(errno, words[0]))
                fault = number, float(words[1])
                if what == "fault":
                    faults.sending = fault
                else:
                    faults.receiving = fault
            case "wall":
                clock.wall_offset += float(words[0])
            case "mono":
                clock.mono_offset += float(words[0])
            case "figures":
                gc.collect()
                found = {
                    "objects": len(gc.get_objects()),
                    "handshakes": lines.handshakes,
                    "errors": lines.errors,
                    "faults": faults.met,
                    "agenda": len(engine._context.agenda._heap),
                    "sessions": len(engine._context.indices.sessions),
                    "dropped": {reason.value: n for reason, n in engine.counters.items()},
                    "troubles": dict(interface.troubles()),
                }
                print(json.dumps(found), flush=True)


def main(speed: float, name: str) -> None:
    clock, faults, lines = SetClock(speed), Faults(), Lines()
    log = Log(name, DEBUG, write=lines)
    tun = create_tun(name)
    listener = open_listener(name)
    engine = Engine(os.urandom, mtu=tun.link().mtu, up=False, coalesce_udp=tun.can_udp_offload)
    open_udp = partial(UDPSockets, open_socket=partial(open_faulty, faults))
    interface = Interface(tun, engine, clock=clock, log=log, open_udp=open_udp)
    loop = Loop(interface, listener, clock=clock, log=log)
    loop.stop_when_readable(signal_pipe(), "told to by a signal")
    orders = (clock, faults, engine, interface, lines)
    threading.Thread(target=obey, args=orders, daemon=True).start()
    loop.run()
    listener.close()
    tun.close()


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2])
