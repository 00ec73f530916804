# SPDX-License-Identifier: MIT
"""One end of a tunnel by itself: handshakes it answers, memory, its start, many peers.

Beside rig.py, which measures what goes through a tunnel.  Every measurement makes its hosts
and removes them.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from tests.bench import callers
from tests.bench.rig import cpu_seconds, resident_mb
from tests.interop.hosts import C_WG, ENGINE, OURS, Host, cable
from tests.interop.tunnel import INNER4, OUTER4, PORT, Tunnel
from wgtools.crypto.x25519 import public_key
from wgtools.keys import Key

__all__ = ["Answers", "Peers", "measure_handshakes", "measure_peers", "measure_start"]


@dataclass(frozen=True, slots=True)
class Answers:
    """Handshakes that one daemon answered."""

    a_second: float
    a_core: float  # in one CPU second of the daemon
    memory_before: float
    memory_after: float


@dataclass(frozen=True, slots=True)
class Peers:
    """What many peers cost; `stall_ms` is the longest that a packet had to wait meanwhile."""

    to_set: float
    to_get: float
    stall_ms: float


@contextmanager
def _hosts(directory: Path) -> Iterator[tuple[Host, Host]]:
    with tempfile.TemporaryDirectory(dir=directory) as inner:
        a, b = Host("a", Path(inner)), Host("b", Path(inner))
        try:
            cable(a, b)
            for host, address in zip((a, b), OUTER4, strict=True):
                host.ip(f"addr add {address}/24 dev eth0")
            yield a, b
        finally:
            a.close()
            b.close()


def measure_handshakes(kind: str, directory: Path, count: int) -> Answers:
    """Host a's callers shake hands with the daemon on host b."""
    with _hosts(directory) as (a, b):
        a.ip(f"route add local {callers.NETWORK}.0.0/16 dev lo")
        b.ip(f"route add {callers.NETWORK}.0.0/16 via {OUTER4[0]}")
        pid = b.daemon(kind, LOG_LEVEL="error").pid
        server = Key.from_entropy(os.urandom(32))
        public = Key(public_key(bytes(server)))
        text = callers.config(server, PORT, count)
        b.run(C_WG, "setconf", "wg0", b.path("wg0.conf", text))
        b.ip("link set wg0 up")
        memory, spent = resident_mb(pid), cpu_seconds(pid)
        words = (callers.__file__, public.base64(), OUTER4[1], str(PORT), str(count))
        seconds, answered = a.run(sys.executable, *words).split()
        spent = cpu_seconds(pid) - spent
        assert int(answered) >= count * 0.99, f"{answered} of {count} answered"
        return Answers(
            int(answered) / float(seconds), int(answered) / spent, memory, resident_mb(pid)
        )


def measure_start(kind: str, directory: Path) -> tuple[float]:
    """Seconds until the command comes back, its daemon ready in the background."""
    with _hosts(directory) as (a, _):
        command = ENGINE if kind == OURS else kind
        start = perf_counter()
        a.run(command, "wg7")
        seconds = perf_counter() - start
        a.ip("link delete wg7")
        return (seconds,)


def measure_peers(kind: str, directory: Path, count: int) -> Peers:
    """Give a daemon with one busy peer `count` more, and ask for all of them."""
    with _hosts(directory) as (a, b):
        tunnel = Tunnel(a, b)
        tunnel.up((kind, kind), LOG_LEVEL="error")
        assert a.ping(INNER4[1]) == 3
        many = callers.config(Key.from_entropy(os.urandom(32)), PORT, count)
        path = b.path("many.conf", many[many.index("[Peer]") :])
        ping = a.start("ping", "-n", "-i", "0.01", "-c", "1000", INNER4[1])
        start = perf_counter()
        b.run(C_WG, "addconf", "wg0", path)
        to_set = perf_counter() - start
        start = perf_counter()
        shown = b.run(C_WG, "show", "wg0", "dump")
        to_get = perf_counter() - start
        assert shown.count("\n") == count + 2
        ping.send_signal(signal.SIGINT)
        out, _ = ping.communicate()
        times = [float(text) for text in re.findall(rb"time=([\d.]+) ms", out)]
        return Peers(to_set, to_get, max(times))
