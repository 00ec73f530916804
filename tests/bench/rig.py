# SPDX-License-Identifier: MIT
"""Two hosts, a cable and a tunnel between them, and the meters that are read on it.

What bench_tunnel.py measures with; nothing here prints or compares.  The rule: a rig is set
up once and measured again and again, so that kinds of engines can take turns.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from time import monotonic

from tests.interop.hosts import OURS, Host, cable, wait_for
from tests.interop.tunnel import INNER4, OUTER4, Tunnel

__all__ = ["Flow", "Rig", "cpu_seconds", "resident_mb"]

_TICKS = os.sysconf("SC_CLK_TCK")
_STREAM = 5201  # iperf3's port
_PING = re.compile(r"time=([\d.]+) ms")


@dataclass(frozen=True, slots=True)
class Flow:
    """What one transfer came to."""

    mbits: float  # a second, as the receiver saw it
    cpu_per_gbit: float  # seconds of both daemons
    lost: float = 0.0  # share of datagrams that did not arrive


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mb(pid: int) -> float:
    """Memory of a process that is in use now."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


class Rig:
    """A tunnel from host a to host b, each end run by an engine of its kind."""

    def __init__(self, kinds: tuple[str, str], directory: Path) -> None:
        directory.mkdir()
        self.kinds = kinds
        self.a, self.b = Host("a", directory), Host("b", directory)
        try:
            cable(self.a, self.b)
            for host, address in zip((self.a, self.b), OUTER4, strict=True):
                host.ip(f"addr add {address}/24 dev eth0")
            Tunnel(self.a, self.b).up(kinds, LOG_LEVEL="error")
            # Daemons in the foreground, and the first that was started on each host.
            self.pids = [host._started[0].pid for host in (self.a, self.b)]
            assert self.a.ping(INNER4[1]) == 3
            self.b.start("iperf3", "-s", "-B", INNER4[1], stdout=subprocess.DEVNULL)
            wait_for("iperf3", lambda: f":{_STREAM}" in self.b.run("ss", "-Hltn"))
        except BaseException:
            self.close()
            raise

    @property
    def is_ours(self) -> bool:
        return self.kinds == (OURS, OURS)

    def close(self) -> None:
        self.a.close()
        self.b.close()

    def cpu(self) -> float:
        return sum(cpu_seconds(pid) for pid in self.pids)

    def _iperf(self, seconds: int, *words: str) -> tuple[dict[str, float], float]:
        """(the receiver's summary, CPU seconds of the daemons for a gigabit)"""
        before = self.cpu()
        command = ["iperf3", "-c", INNER4[1], "-t", str(seconds), "-J", *words]
        summary = json.loads(self.a.run(*command))["end"]["sum_received"]
        gbits = summary["bytes"] * 8e-9
        return summary, (self.cpu() - before) / max(gbits, 1e-9)

    def tcp(self, seconds: int, streams: int, *, backwards: bool) -> Flow:
        """TCP streams from a to b, or back."""
        way = ["-R"] if backwards else []
        summary, cost = self._iperf(seconds, "-P", str(streams), *way)
        return Flow(summary["bits_per_second"] / 1e6, cost)

    def udp(self, seconds: int, size: int) -> Flow:
        """As many datagrams of `size` bytes from a to b as go in: what comes out."""
        summary, cost = self._iperf(seconds, "-u", "-b", "0", "-l", str(size))
        return Flow(summary["bits_per_second"] / 1e6, cost, summary["lost_percent"] / 100)

    def ping(self, count: int) -> tuple[float, float]:
        """Milliseconds there and back: (half of them are below, 99 of a hundred are below)."""
        words = ("ping", "-n", "-i", "0.005", "-c", str(count), "-W", "1", INNER4[1])
        times = [float(text) for text in _PING.findall(self.a.call(*words).stdout)]
        marks = quantiles(times, n=100)
        return marks[49], marks[98]

    def ping_under_load(self, count: int) -> tuple[float, float]:
        """The same beside a TCP stream."""
        seconds = int(count * 0.005) + 2
        stream = self.a.start(
            "iperf3", "-c", INNER4[1], "-t", str(seconds), stdout=subprocess.DEVNULL
        )
        begun = monotonic() + 0.5
        wait_for("the stream to run", lambda: monotonic() > begun)
        marks = self.ping(count)
        stream.wait(60)
        return marks
