# SPDX-License-Identifier: MIT
"""wgtools-engine with a clock that runs faster: `python compressed_engine.py SPEED NAME`.

The production loop, sockets and engine; only the clock is another one.
"""

from __future__ import annotations

import os
import sys
import time

from wgtools.daemon.interface import Interface
from wgtools.daemon.listener import open_listener
from wgtools.daemon.log import DEBUG, Log
from wgtools.daemon.loop import Loop
from wgtools.daemon.process import signal_pipe
from wgtools.daemon.tun.linux import create_tun
from wgtools.engine.device import Engine
from wgtools.engine.events import Now


class CompressedClock:
    """Both clocks, `speed` times as fast from the moment they are made."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._mono = time.monotonic()
        self._wall = time.time_ns()

    def now(self) -> Now:
        passed = (time.monotonic() - self._mono) * self._speed
        return Now(self._mono + passed, self._wall + int(passed * 1e9))

    def seconds_until(self, mono: float) -> float:
        return max(0.0, (mono - self.now().mono) / self._speed)


def main(speed: float, name: str) -> None:
    clock = CompressedClock(speed)
    log = Log(name, DEBUG)
    tun = create_tun(name)
    listener = open_listener(name)
    engine = Engine(os.urandom, mtu=tun.link().mtu, up=False, coalesce_udp=tun.can_udp_offload)
    loop = Loop(Interface(tun, engine, clock=clock, log=log), listener, clock=clock, log=log)
    loop.stop_when_readable(signal_pipe(), "told to by a signal")
    loop.run()
    listener.close()
    tun.close()


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2])
