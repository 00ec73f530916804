# SPDX-License-Identifier: MIT
"""What a tunnel carries while somebody floods its port: our engine and wireguard-go.

Run as root: `python tests/bench/bench_flood.py [SECONDS [RATE]]`.  Three hosts: a client
with a session, the victim, and an attacker who sends from 64,000 addresses, RATE a second
(initiations a quarter of that).  Everybody shares the machine, attacker included, and
what he burns is missing too.  Shares are of what passes without a flood, measured before
and after.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.figures import note
from tests.bench.flooder import VICTIM
from tests.interop.hosts import OURS, WIREGUARD_GO, Host, cable, wait_for, why_not
from tests.interop.tunnel import INNER4, PORT, Tunnel, throughput

CALM = ""
FLOODS = (CALM, "initiations", "replays", "unknown indices", "rubbish", CALM)
_FLOODER = str(Path(__file__).with_name("flooder.py"))
_RECORD = """
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
s.bind(("eth0", 0x0800))
print("ready", flush=True)
while True:
    packet = s.recv(2048)
    if packet[23] == 17 and packet[42] == 4 and len(packet) > 100:
        print(packet[42:].hex(), flush=True)
        break
"""


class Scene:
    """Client, victim and attacker, and a tunnel between the first two."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.client, self.victim, self.attacker = (
            Host(name, directory) for name in ("client", "victim", "attacker")
        )
        cable(self.client, self.victim)
        cable(self.attacker, self.victim, link="eth1")
        self.client.ip("addr add 192.0.2.1/24 dev eth0")
        self.victim.ip("addr add 192.0.2.2/24 dev eth0")
        self.victim.ip(f"addr add {VICTIM}/24 dev eth1")
        self.attacker.ip("addr add 203.0.113.2/24 dev eth1")
        self.attacker.ip("route add local 198.18.0.0/16 dev lo")
        self.victim.ip("route add 198.18.0.0/16 via 203.0.113.2")
        for name in ("all", "eth1"):
            self.victim.run("sysctl", "-qw", f"net.ipv4.conf.{name}.rp_filter=0")
        self.tunnel = Tunnel(self.client, self.victim)
        level = "debug" if kind == OURS else "error"
        self.daemon = self.victim.daemon(kind, LOG_LEVEL=level)
        self.tunnel.configure(1)
        self.client.daemon(kind, LOG_LEVEL="error")
        self.tunnel.configure(0)
        assert self.client.ping(INNER4[1]) == 3

    def record(self) -> str:
        """A transport packet of the session, as somebody on the way sees it."""
        ear = self.victim.start(sys.executable, "-c", _RECORD)
        assert ear.stdout is not None
        ear.stdout.readline()
        self.client.ping(INNER4[1], count=1)
        recorded = ear.stdout.readline().decode().strip()
        assert recorded
        return recorded

    def memory(self) -> float:
        """Resident megabytes of the victim's daemon."""
        text = Path(f"/proc/{self.daemon.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", text)
        assert found is not None
        return int(found[1]) / 1024

    def flood(self, kind: str, rate: float, seconds: float) -> subprocess.Popen[bytes]:
        material = self.record() if kind == "replays" else self.tunnel.public[1]
        if kind == "initiations":
            rate /= 4
        flooder = self.attacker.start(
            *(sys.executable, _FLOODER, kind, str(rate), str(seconds), str(PORT)),
            stdin=subprocess.PIPE,
        )
        assert flooder.stdin is not None
        flooder.stdin.write(material.encode() + b"\n")
        flooder.stdin.flush()
        return flooder

    def measure(self, kind: str, rate: float, seconds: float) -> tuple[float, float, float]:
        """(Mbit/s of one TCP stream, median ms of a ping, messages sent a second) meanwhile."""
        self.victim.start("iperf3", "-s", "-1", "-B", INNER4[1])
        wait_for("iperf3", lambda: ":5201" in self.victim.run("ss", "-Hltn"))
        flooder = self.flood(kind, rate, seconds + 2.5) if kind else None
        time.sleep(0.7)  # the flooder makes its addresses
        text = self.client.run("iperf3", "-c", INNER4[1], "-t", str(seconds), "-f", "m")
        done = self.client.run("ping", "-n", "-q", "-c", "15", "-i", "0.05", INNER4[1])
        found = re.search(r"= [\d.]+/([\d.]+)/", done)
        assert found is not None
        flooded = 0.0
        if flooder is not None:
            flooded = int(flooder.communicate(timeout=30)[0] or 0) / (seconds + 2.5)
        return throughput(text), float(found[1]), flooded

    def close(self) -> None:
        for host in (self.client, self.victim, self.attacker):
            host.close()


def main(seconds: float, rate: float) -> None:
    print(f"one TCP stream to the victim, {seconds:g} s each, under floods from 64,000 addresses")
    for kind in (OURS, WIREGUARD_GO):
        with tempfile.TemporaryDirectory() as directory:
            scene = Scene(kind, Path(directory))
            try:
                before = scene.memory()
                found = [(flood, *scene.measure(flood, rate, seconds)) for flood in FLOODS]
                calm = mean(speed for flood, speed, _, _ in found if flood == CALM)
                for flood, speed, ping, flooded in found:
                    print(
                        f"  {kind:<13} {flood or 'no flood':<16} {flooded:8.0f} /s "
                        f"{speed:7.0f} Mbit/s {speed / calm:6.2f}   ping {ping:6.2f} ms",
                        flush=True,
                    )
                after = scene.memory()
                print(f"  {kind:<13} memory {before:.1f} -> {after:.1f} MB")
                if kind == OURS:  # what passes meanwhile is one sample: not for a record
                    note("memory after all floods", after, "MB", beside=before)
            finally:
                scene.close()
            told = re.findall(r"Thrown away so far: (.*)", scene.victim.log())
            if told:
                print(f"  {kind:<13} counted: {told[-1]}")


if __name__ == "__main__":
    if reason := why_not():
        sys.exit(f"cannot measure floods: {reason}")
    words = [float(word) for word in sys.argv[1:]]
    main(*(words + [3.0, 20_000.0][len(words) :]))
