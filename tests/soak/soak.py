# SPDX-License-Identifier: MIT
"""Soak: two engines with real sockets, a long time of troubles, and a verdict.

Time runs `SPEED` times as fast for them, so that a session lasts twelve seconds.  What is
asked of them: no packet is lost but by a trouble that was under way (and, where that ended
sessions, until a handshake has mended it); no descriptor, object or page more at the end
than at the start; no error of our own in the log.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random

from tests.interop.hosts import C_WG, Host, cable, wait_for
from tests.interop.tunnel import INNER4, Tunnel, genkey
from tests.soak.troubles import TROUBLES, Trouble

HERE = Path(__file__).parent
SPEED = 10.0
INTERVAL = 0.05  # seconds between probes
QUIET = 2.0  # seconds between troubles
_REMEDY = 0.5  # seconds after a trouble until all packets pass again
# After a session was lost at one end alone the other hears nothing for 15 seconds, then asks;
# if that is lost too it asks again after 5.
_HANDSHAKE = (15.4 + 2 * 5.4) / SPEED + 0.5
_STALL = 0.5  # seconds that this machine may be late before it is an excuse
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


class Soak:
    """Two hosts, their engines and what they are asked."""

    def __init__(self, directory: Path, say: Callable[[str], object]) -> None:
        self._directory = directory
        self._say = say
        self.engines: list[subprocess.Popen[bytes]] = []
        self.hosts: list[Host] = []
        self.excuses: list[tuple[float, float]] = []
        self._names: list[str] = []  # of the excuses
        self.lost: list[float] = []
        self._stood_still = 0.0  # seconds that this machine had no time for us
        self.demanded = 0  # sessions that troubles were allowed to end
        self.troubles: dict[str, int] = {}

    def run(self, seconds: float, seed: int) -> dict[str, object]:
        """All of it; the closing figures.  Raises AssertionError for a broken promise."""
        try:
            self._build()
            return self._run(seconds, Random(seed))
        finally:
            for host in self.hosts:
                host.close()
            for engine in self.engines:
                for stream in (engine.stdin, engine.stdout):
                    if stream is not None:
                        stream.close()

    # --- what troubles use ---

    def order(self, side: int, line: str) -> None:
        stdin = self.engines[side].stdin
        assert stdin is not None
        stdin.write(line.encode() + b"\n")
        stdin.flush()

    def signal_engine(self, side: int, number: int) -> None:
        os.kill(self._pid(side), number)

    def configure(self, side: int) -> None:
        host = self.hosts[side]
        host.run(C_WG, "setconf", "wg0", host.path("wg0.conf", self.tunnel.conf(side)))

    def change_key(self, side: int) -> None:
        private = list(self.tunnel.private)
        private[side] = genkey()
        old = self.tunnel.public[side]
        self.tunnel.private = (private[0], private[1])
        host, other = self.hosts[side], self.hosts[1 - side]
        host.run(C_WG, "set", "wg0", "private-key", host.path("key", private[side]))
        other.run(C_WG, "set", "wg0", "peer", old, "remove")
        self.configure(1 - side)
        # Who has another key must ask anew; the other may have no endpoint for him.
        self.configure(side)

    # --- building ---

    def _build(self) -> None:
        a, b = Host("a", self._directory), Host("b", self._directory)
        self.hosts = [a, b]
        cable(a, b)
        for side, host in enumerate(self.hosts):
            host.run("sysctl", "-qw", "net.ipv4.conf.all.promote_secondaries=1")
            host.ip(f"addr add 192.0.2.{side + 1}/24 dev eth0")
            # Of real time, which runs no faster: a neighbour that was not there yet when a cable
            # came back is asked for again after a second, ten of ours.
            host.run("sysctl", "-qw", "net.ipv4.neigh.eth0.retrans_time_ms=50")
        self.tunnel = Tunnel(a, b)
        for side, host in enumerate(self.hosts):
            self.engines.append(self._engine(host))
            wait_for("an engine", lambda host=host: host.has_socket("wg0"))  # type: ignore[misc]  # mypy: lambda
            self.tunnel.configure(side)
        assert a.ping(INNER4[1]) == 3

    def _engine(self, host: Host) -> subprocess.Popen[bytes]:
        log = (self._directory / f"{host.name}.log").open("wb")
        process = subprocess.Popen(
            host.inside(sys.executable, str(HERE / "engine.py"), str(SPEED), "wg0"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        log.close()
        host._started.append(process)
        return process

    def _pid(self, side: int) -> int:
        """nsenter replaces itself by the engine: they are one process."""
        return self.engines[side].pid

    # --- running ---

    def _run(self, seconds: float, random: Random) -> dict[str, object]:
        a, b = self.hosts
        echo = b.start(sys.executable, str(HERE / "probe.py"), "echo", INNER4[1])
        assert echo.stdout is not None
        assert echo.stdout.readline() == b"ready\n"
        with (self._directory / "probe.out").open("wb") as out:
            ask = subprocess.Popen(
                a.inside(sys.executable, str(HERE / "probe.py"), "ask", INNER4[1], str(INTERVAL)),
                stdin=subprocess.PIPE,
                stdout=out,
            )
        a._started.append(ask)
        assert ask.stdin is not None
        begun = time.monotonic()
        self._sleep(QUIET)
        first, minute = None, 1
        deck: list[Trouble] = []
        while (passed := time.monotonic() - begun - self._stood_still) < seconds:
            # Every one of them before any comes again.
            deck = deck or random.sample(TROUBLES, len(TROUBLES))
            self._suffer(deck.pop(), random)
            if passed >= 60 * minute:
                figures = self._figures()
                minute += 1
                self._say(_line(passed, figures, sum(self.troubles.values())))
                first = first or figures  # a minute is time enough to fill all that is filled once
        ask.stdin.close()
        ask.wait(30)
        passed = time.monotonic() - begun - self._stood_still
        return self._verdict(passed, first, self._figures())

    def _suffer(self, trouble: Trouble, random: Random) -> None:
        began = time.monotonic()
        trouble.run(self, random)
        after = _HANDSHAKE if trouble.ends_sessions else _REMEDY
        self.excuses.append((began - _REMEDY, time.monotonic() + after))
        self._names.append(trouble.name)
        self.troubles[trouble.name] = self.troubles.get(trouble.name, 0) + 1
        self.demanded += trouble.ends_sessions
        self._sleep(after + QUIET)

    def _sleep(self, seconds: float) -> None:
        """Sleep; a machine that does not wake us in time excuses what was lost meanwhile."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            before = time.monotonic()
            time.sleep(min(0.1, left))
            late = time.monotonic()
            if late - before > 0.1 + _STALL:
                self.excuses.append((before - _REMEDY, late + _HANDSHAKE))
                self._names.append("a standstill")
                self._stood_still += late - before - 0.1

    def _figures(self) -> list[dict[str, object]]:
        found = []
        for side, engine in enumerate(self.engines):
            self.order(side, "figures")
            assert engine.stdout is not None
            line = engine.stdout.readline()
            assert line, "an engine has ended: " + self.hosts[side].name
            figures = json.loads(line)
            pid = self._pid(side)
            figures["descriptors"] = len(os.listdir(f"/proc/{pid}/fd"))
            figures["memory"] = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_KB
            found.append(figures)
        return found

    def _verdict(
        self, passed: float, first: list[dict[str, object]] | None, last: list[dict[str, object]]
    ) -> dict[str, object]:
        lines = (self._directory / "probe.out").read_text().splitlines()
        self.lost = [float(line.split()[1]) for line in lines if line.startswith("lost")]
        asked, answered, moved = (int(word) for word in lines[-1].split()[1:])
        unexcused = [
            at for at in self.lost if not any(start <= at <= end for start, end in self.excuses)
        ]
        natural = passed * SPEED / 120
        handshakes = int(str(last[0]["handshakes"]))
        closing: dict[str, object] = {
            "seconds": round(passed),
            "of the protocol": round(passed * SPEED),
            "seconds that the machine stood still": round(self._stood_still),
            "troubles": sum(self.troubles.values()),
            "probes": asked,
            "answered": answered,
            "lost while something was wrong": len(self.lost) - len(unexcused),
            "lost for no reason": len(unexcused),
            "megabytes over TCP": round(moved / 1e6),
            "handshakes": handshakes,
            "of these renewals by age": round(natural),
            "sessions that troubles ended": self.demanded,
        }
        for side, figures in enumerate(last):
            name = self.hosts[side].name
            for what in ("memory", "descriptors", "objects", "agenda"):
                before = first[side][what] if first else "?"
                closing[f"{what} of {name}"] = f"{before} -> {figures[what]}"
            closing[f"dropped by {name}"] = figures["dropped"]
            closing[f"refused by the sockets of {name}"] = figures["troubles"]
            assert not figures["errors"], figures["errors"]
        when = [f"{at:.2f} (after {self._before(at)})" for at in unexcused[:10]]
        # A datagram may be lost now and then, on a busy machine too; a session may not.
        closing["sessions lost for no reason"] = gaps = _gaps(unexcused)
        assert not gaps, f"{gaps} sessions lost for no reason: {when}: {closing}"
        assert len(unexcused) <= 1 + asked / 5000, f"{when}: {closing}"
        assert answered > asked * 0.5, closing
        assert moved, closing
        assert natural * 0.5 <= handshakes <= natural * 1.5 + 3 * self.demanded + 10, closing
        if first is not None:
            _flat(first, last)
        return closing

    def _before(self, at: float) -> str:
        ends = [(end, name) for (_, end), name in zip(self.excuses, self._names, strict=True)]
        past = [one for one in ends if one[0] <= at]
        return f"{max(past)[1]}, {at - max(past)[0]:.2f} s ago" if past else "nothing"


def _gaps(times: list[float]) -> int:
    """How often three in a row, or more, were lost."""
    row, found = 0, 0
    for before, at in pairwise([float("-inf"), *sorted(times)]):
        row = row + 1 if at - before < 1.5 * INTERVAL else 1
        found += row == 3
    return found


def _flat(first: list[dict[str, object]], last: list[dict[str, object]]) -> None:
    """Nothing grew but by what a moment's work takes."""
    for before, after in zip(first, last, strict=True):
        for what, slack in (
            ("descriptors", 4),
            ("memory", 6144),
            ("objects", 3000),
            ("agenda", 300),
        ):
            had, has = int(str(before[what])), int(str(after[what]))
            assert has <= had + slack, f"{what}: {had} -> {has}"


def _line(passed: float, figures: list[dict[str, object]], troubles: int) -> str:
    parts = [f"{passed:6.0f} s, {troubles:4} troubles"]
    for name, one in zip("ab", figures, strict=True):
        parts.append(
            f"{name}: {one['memory']} KB, {one['descriptors']} fds, {one['objects']} objects,"
            f" {one['handshakes']} handshakes, {one['faults']} faults"
        )
    return "; ".join(parts)
