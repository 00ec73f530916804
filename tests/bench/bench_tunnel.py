# SPDX-License-Identifier: MIT
"""Our engine beside Debian's wireguard-go: what goes through a tunnel, and what it costs.

    python tests/bench/bench_tunnel.py [PIECE ...] [--rounds N] [--seconds N]

Pieces: tcp1 tcp4 (streams, each way), udp, ping, handshakes, start, peers; all of them if
none is named.  Run as root.  Tunnels of every kind stand at the same time and take turns, so
that whatever else the machine does meets all of them; what counts is the ratio of medians.
Both ends of a tunnel and the load share the machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.ends import Answers, Peers, measure_handshakes, measure_peers, measure_start
from tests.bench.figures import note
from tests.bench.rig import Rig
from tests.interop.hosts import OURS, WIREGUARD_GO, why_not

KINDS = {
    "ours": (OURS, OURS),
    "wireguard-go": (WIREGUARD_GO, WIREGUARD_GO),
    "ours -> wg-go": (OURS, WIREGUARD_GO),
}
PLAIN = ("ours", "wireguard-go")


class Turns:
    """Rigs of several kinds that take turns, and where they live meanwhile."""

    def __init__(self, directory: Path, rounds: int, seconds: int) -> None:
        self.directory = directory
        self.rounds = rounds
        self.seconds = seconds
        self._stack = ExitStack()
        self._rigs: dict[str, Rig] = {}

    def __enter__(self) -> Turns:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def rig(self, name: str) -> Rig:
        if name not in self._rigs:
            rig = Rig(KINDS[name], self.directory / name.replace(" ", ""))
            self._rigs[name] = rig
            self._stack.callback(rig.close)
        return self._rigs[name]

    def take(self, cases: dict[str, Callable[[], tuple[float, ...]]]) -> dict[str, list[float]]:
        """The medians of what each case gives, all cases once in every round."""
        found: dict[str, list[tuple[float, ...]]] = {name: [] for name in cases}
        for _ in range(self.rounds):
            for name, measure in cases.items():
                found[name].append(measure())
        return {
            name: [median(column) for column in zip(*rows, strict=True)]
            for name, rows in found.items()
        }


def _line(what: str, value: str, ratio: float, limit: str = "", *, good: bool = True) -> None:
    verdict = f"{limit}  {'reached' if good else 'MISSED'}" if limit else ""
    print(f"  {what:<34} {value:<28} {ratio:5.2f}  {verdict}", flush=True)


def tcp(turns: Turns, streams: int) -> None:
    print(f"TCP, {streams} stream(s), {turns.seconds} s; Mbit/s and CPU seconds per Gbit, times")

    def case(name: str, backwards: bool) -> Callable[[], tuple[float, ...]]:
        def measure() -> tuple[float, ...]:
            flow = turns.rig(name).tcp(turns.seconds, streams, backwards=backwards)
            return flow.mbits, flow.cpu_per_gbit

        return measure

    cases = {
        "ours, there": case("ours", False),
        "wireguard-go, there": case("wireguard-go", False),
        "ours, back": case("ours", True),
        "wireguard-go, back": case("wireguard-go", True),
        "ours to wireguard-go": case("ours -> wg-go", False),
        "wireguard-go to ours": case("ours -> wg-go", True),
    }
    found = turns.take(cases)
    for name, (rate, cost) in found.items():
        way = "back" if "back" in name else "there"
        ratio = rate / found[f"wireguard-go, {way}"][0]
        limit = ">= 1.2" if name.startswith("ours,") else ""
        if name.startswith("ours,"):
            beside = found[f"wireguard-go, {way}"]
            what = f"TCP, {streams} stream(s), {name}"
            note(what, rate, "Mbit/s", beside=beside[0], more_is_better=True)
            note(f"{what}, CPU", cost, "s/Gbit", beside=beside[1])
        _line(name, f"{rate:6.0f}  {cost:5.2f}", ratio, limit, good=ratio >= 1.2)


def tcp1(turns: Turns) -> None:
    tcp(turns, 1)


def tcp4(turns: Turns) -> None:
    tcp(turns, 4)


def udp(turns: Turns) -> None:
    for size in (1300, 64):
        print(f"UDP flood of {size} bytes, {turns.seconds} s; Mbit/s that arrive and share lost")

        def case(name: str, size: int = size) -> Callable[[], tuple[float, ...]]:
            def measure() -> tuple[float, ...]:
                flow = turns.rig(name).udp(turns.seconds, size)
                return flow.mbits, flow.lost

            return measure

        found = turns.take({name: case(name) for name in PLAIN})
        for name, (rate, lost) in found.items():
            _line(name, f"{rate:6.1f}  {lost:4.0%}", rate / found["wireguard-go"][0])
        if size > 64:  # of small ones, who gets the processor decides what arrives
            rate, theirs = (found[name][0] for name in PLAIN)
            note(f"UDP of {size} bytes", rate, "Mbit/s", beside=theirs, more_is_better=True)


def ping(turns: Turns) -> None:
    for what, load in (("idle", False), ("beside a TCP stream", True)):
        print(f"Ping, {what}; ms there and back, p50 and p99")

        def case(name: str, load: bool = load) -> Callable[[], tuple[float, ...]]:
            rig = turns.rig(name)
            return lambda: rig.ping_under_load(200) if load else rig.ping(200)

        found = turns.take({name: case(name) for name in PLAIN})
        for name, (half, most) in found.items():
            ratio = half / found["wireguard-go"][0]
            limit = "<= 1.5" if name == "ours" and not load else ""
            _line(name, f"{half:7.3f} {most:7.3f}", ratio, limit, good=ratio <= 1.5)
        if not load:  # how long others hold the processor differs from run to run
            note("ping", found["ours"][0], "ms", beside=found["wireguard-go"][0])


def handshakes(turns: Turns) -> None:
    count = 1000
    print(f"Handshakes answered, {count} peers that call once; a second, and of one core")
    found: dict[str, list[Answers]] = {name: [] for name in PLAIN}
    for _ in range(turns.rounds):
        for name in PLAIN:
            found[name].append(measure_handshakes(KINDS[name][0], turns.directory, count))
    reference = median(one.a_core for one in found["wireguard-go"])
    for name, all_of in found.items():
        rate, core = (median(getattr(one, of) for one in all_of) for of in ("a_second", "a_core"))
        limit = ">= 1,000 of a core" if name == "ours" else ""
        _line(name, f"{rate:6.0f}  {core:6.0f}", core / reference, limit, good=core >= 1000)
        if name == "ours":
            what = "handshakes answered by one core"
            note(what, core, "/s", beside=reference, more_is_better=True)
    print(f"Memory with {count} peers; MB resident before and after their handshakes")
    reference = median(one.memory_after for one in found["wireguard-go"])
    for name, all_of in found.items():
        before = median(one.memory_before for one in all_of)
        after = median(one.memory_after for one in all_of)
        limit = "< 60 MB" if name == "ours" else ""
        _line(name, f"{before:6.1f}  {after:6.1f}", after / reference, limit, good=after < 60)
        if name == "ours":
            note(f"memory with {count} peers", after, "MB", beside=reference)


def start(turns: Turns) -> None:
    print("Start to ready, into the background; seconds")
    found = turns.take(
        {name: partial(measure_start, KINDS[name][0], turns.directory) for name in PLAIN}
    )
    for name, (seconds,) in found.items():
        limit = "< 0.4 s" if name == "ours" else ""
        ratio = seconds / found["wireguard-go"][0]
        _line(name, f"{seconds:6.3f}", ratio, limit, good=seconds < 0.4)
    note("start to ready", found["ours"][0], "s")  # a Go program's start is no measure of ours


def peers(turns: Turns) -> None:
    count = 10_000
    print(f"{count} peers through C wg; seconds to set, to get, the longest ping meanwhile in ms")
    rows: dict[str, list[Peers]] = {name: [] for name in PLAIN}
    for _ in range(min(turns.rounds, 3)):
        for name in PLAIN:
            rows[name].append(measure_peers(KINDS[name][0], turns.directory, count))
    reference = median(one.to_set for one in rows["wireguard-go"])
    for name, all_of in rows.items():
        to_set, to_get, stall = (
            median(getattr(one, of) for one in all_of) for of in ("to_set", "to_get", "stall_ms")
        )
        limit = "3 s, 1 s" if name == "ours" else ""
        good = to_set <= 3 and to_get <= 1
        value = f"{to_set:6.2f} {to_get:6.2f} {stall:6.0f}"
        _line(name, value, to_set / reference, limit, good=good)
        if name == "ours":
            note(f"setting {count} peers", to_set, "s", beside=reference)


PIECES: dict[str, Callable[[Turns], None]] = {
    piece.__name__: piece for piece in (tcp1, tcp4, udp, ping, handshakes, start, peers)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("pieces", nargs="*", metavar="PIECE", help=f"of {', '.join(PIECES)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=1, help="of one transfer")
    options = parser.parse_args()
    unknown = [name for name in options.pieces if name not in PIECES]
    if unknown:
        parser.error(f"no such piece: {', '.join(unknown)}")
    with tempfile.TemporaryDirectory() as directory:
        for name in options.pieces or PIECES:
            with Turns(Path(directory) / name, options.rounds, options.seconds) as turns:
                turns.directory.mkdir()
                print(f"{name}: median of {options.rounds}; last column: times wireguard-go")
                PIECES[name](turns)
                print()


if __name__ == "__main__":
    if reason := why_not():
        sys.exit(f"cannot measure tunnels: {reason}")
    main()
