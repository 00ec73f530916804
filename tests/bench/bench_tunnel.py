# SPDX-License-Identifier: MIT
"""One TCP stream through a tunnel, each way: our engine and wireguard-go, by turns.

Run as root: `python tests/bench/bench_tunnel.py [SECONDS [ROUNDS]]`.  Both ends of a
tunnel and iperf3 share the machine; what counts is the ratio within one run.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.interop.hosts import OURS, WIREGUARD_GO, Host, cable, wait_for, why_not
from tests.interop.tunnel import INNER4, Tunnel, throughput


def measure(kinds: tuple[str, str], seconds: int, *, backwards: bool) -> float:
    """Mbit/s of one TCP stream from the first end to the second, or back."""
    with tempfile.TemporaryDirectory() as directory:
        a, b = Host("a", Path(directory)), Host("b", Path(directory))
        try:
            cable(a, b)
            a.ip("addr add 192.0.2.1/24 dev eth0")
            b.ip("addr add 192.0.2.2/24 dev eth0")
            tunnel = Tunnel(a, b)
            tunnel.up(kinds, LOG_LEVEL="error")
            assert a.ping(INNER4[1]) == 3
            b.start("iperf3", "-s", "-1", "-B", INNER4[1])
            wait_for("iperf3", lambda: ":5201" in b.run("ss", "-Hltn"))
            words = ["iperf3", "-c", INNER4[1], "-t", str(seconds), "-f", "m"]
            return throughput(a.run(*words, *(["-R"] if backwards else [])))
        finally:
            a.close()
            b.close()


def main(seconds: int, rounds: int) -> None:
    cases = [
        ("ours -> ours", (OURS, OURS), False),
        ("wireguard-go -> wireguard-go", (WIREGUARD_GO, WIREGUARD_GO), False),
        ("ours -> wireguard-go", (OURS, WIREGUARD_GO), False),
        ("wireguard-go -> ours", (OURS, WIREGUARD_GO), True),
    ]
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, kinds, backwards in cases:
            found.setdefault(name, []).append(measure(kinds, seconds, backwards=backwards))
    reference = median(found["wireguard-go -> wireguard-go"])
    print(f"TCP, one stream, {seconds} s, median of {rounds}, MTU 1420")
    for name, rates in found.items():
        rate = median(rates)
        print(f"  {name:<30} {rate:7.0f} Mbit/s   {rate / reference:5.2f} of wireguard-go")


if __name__ == "__main__":
    if reason := why_not():
        sys.exit(f"cannot measure tunnels: {reason}")
    words = [int(word) for word in sys.argv[1:]]
    main(*(words + [5, 3][len(words) :]))
