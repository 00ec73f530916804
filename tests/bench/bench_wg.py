# SPDX-License-Identifier: MIT
"""What `wg` costs: start-up against a bare interpreter, and devices of many peers.

    python tests/bench/bench_wg.py [--quick]

Start-up is a ratio against `python3 -I -c pass` of the same interpreter, runs taken in
turns so that both meet the same noise.  Sizes go through a fake daemon that reads a
request and answers at once, with C `wg` beside ours where it is installed.  Needs no
root: the daemon's directory is put in place by `unshare --map-root-user` if it must be.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.figures import note

WG = Path(sys.executable).parent / "wg"
C_WG = Path("/usr/bin/wg")
SOCKETS = Path("/var/run/wireguard")
RATIO_LIMIT = 2.5  # issue 2, section 2: genkey and show over a bare interpreter
SETCONF_LIMIT, DUMP_LIMIT, MEMORY_LIMIT = 2.0, 1.5, 200.0  # seconds, MB; 10,000 peers
CHECKED_SIZE = 10_000
BARE = "python3 -I -c pass"


def inside_namespaces() -> None:
    """Start again with a private /var/run/wireguard."""
    if os.environ.get("WGTOOLS_BENCH_INSIDE"):
        return
    rootless = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    script = 'mount -t tmpfs tmpfs $(readlink -f /var/run) && mkdir /var/run/wireguard && exec "$@"'
    os.environ["WGTOOLS_BENCH_INSIDE"] = "1"
    command = ["unshare", "--mount", "--propagation", "private", *rootless, "sh", "-c", script]
    os.execvp("unshare", [*command, "sh", sys.executable, __file__, *sys.argv[1:]])


def with_bytecode() -> None:
    """Installed programs have compiled modules; a checkout in a careful shell may not."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = tempfile.mkdtemp(prefix="wgtools-bench-")
    for words in (["genkey"], ["show", "nosuch0", "dump"], ["setconf", "nosuch0", "/dev/null"]):
        subprocess.run([WG, *words], capture_output=True, check=False)


class Daemon(threading.Thread):
    """Answers every get with `reply` and every set with success, as fast as can be."""

    def __init__(self, name: str, reply: bytes) -> None:
        super().__init__(daemon=True)
        self.reply = reply
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(SOCKETS / f"{name}.sock"))
        self.listener.listen(8)
        self.start()

    def run(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            with connection:
                self.serve(connection)

    def serve(self, connection: socket.socket) -> None:
        tail, size = b"", 0
        while chunk := connection.recv(1 << 20):
            size += len(chunk)
            tail = (tail + chunk)[-8:]
            if tail.endswith(b"\n\n"):
                connection.sendall(self.reply if size == len(b"get=1\n\n") else b"errno=0\n\n")


def peers(count: int) -> tuple[bytes, bytes]:
    """A configuration and a daemon's reply for `count` peers of four allowed IPs each."""
    key = hashlib.sha256(b"private").digest()
    conf = ["[Interface]", f"PrivateKey = {base64.b64encode(key).decode()}"]
    reply = [f"private_key={key.hex()}", "listen_port=51820"]
    for i in range(count):
        key = hashlib.sha256(b"%d" % i).digest()
        endpoint = f"192.0.2.{i & 255}:{1024 + i % 60000}"
        networks = [
            f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}/32",
            f"172.{16 + (i >> 16)}.{i >> 8 & 255}.{i & 255}/32",
            f"2001:db8::{i >> 16:x}:{i & 0xFFFF:x}/128",
            f"2001:db8:{i >> 16:x}:{i & 0xFFFF:x}::/64",
        ]
        conf += ["", "[Peer]", f"PublicKey = {base64.b64encode(key).decode()}"]
        conf += [f"Endpoint = {endpoint}", f"AllowedIPs = {', '.join(networks)}"]
        reply += [f"public_key={key.hex()}", f"preshared_key={'0' * 64}", "protocol_version=1"]
        reply += [f"endpoint={endpoint}", "last_handshake_time_sec=1700000000"]
        reply += [f"last_handshake_time_nsec={i}", f"tx_bytes={i * 1000}", f"rx_bytes={i * 777}"]
        reply += ["persistent_keepalive_interval=25"]
        reply += [f"allowed_ip={network}" for network in networks]
    return "\n".join([*conf, ""]).encode(), "\n".join([*reply, "errno=0", "", ""]).encode()


# The peak of memory counts what a process was before exec: measure from a small one.
LAUNCHER = """
import os, sys, time
nothing = os.open(os.devnull, os.O_WRONLY)
start = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ,
                       file_actions=[(os.POSIX_SPAWN_DUP2, nothing, 1)])
_, status, usage = os.wait4(child, 0)
print(time.perf_counter() - start, usage.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def measure(command: list[str | Path]) -> tuple[float, float]:
    """Seconds from start to exit, and the peak of memory in MB."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", LAUNCHER, *command],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds, memory = map(float, done.stdout.split())
    return seconds, memory


def start_up(rounds: int) -> bool:
    """Medians of runs in turns; whether the limit holds."""
    small = Daemon("start0", peers(2)[1])
    commands: dict[str, list[str | Path]] = {
        BARE: [sys.executable, "-I", "-c", "pass"],
        "wg genkey": [WG, "genkey"],
        "wg show wg0 dump": [WG, "show", "start0", "dump"],
        "wg set wg0 fwmark 1": [WG, "set", "start0", "fwmark", "1"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            times[name].append(measure(command)[0])
    small.listener.close()
    bare, *_ = medians = [statistics.median(values) for values in times.values()]
    print(f"{'start to exit':<24}{'ms':>8}{'ratio':>8}{'limit':>8}")
    for name, median in zip(times, medians, strict=True):
        print(f"{name:<24}{median * 1000:8.1f}{median / bare:8.2f}{RATIO_LIMIT:8.1f}")
        note(name, median * 1000, "ms", beside=None if name == BARE else bare * 1000)
    return max(medians) <= RATIO_LIMIT * bare


def sizes(counts: list[int]) -> bool:
    """The table over many peers; whether the limits hold at the size they are for."""
    good = True
    peer_of_us = C_WG if C_WG.exists() else None
    print(
        f"\n{'peers':>8}  {'command':<8}{'s':>8}{'us/peer':>9}{'MB':>8}{'C wg, s':>9}{'ratio':>7}"
    )
    for count in counts:
        conf, reply = peers(count)
        name = f"size{count}"
        Daemon(name, reply)
        with tempfile.NamedTemporaryFile() as file:
            file.write(conf)
            file.flush()
            for words, limit in (
                (["setconf", name, file.name], SETCONF_LIMIT),
                (["show", name, "dump"], DUMP_LIMIT),
            ):
                seconds, memory = measure([WG, *words])
                line = f"{count:8}  {words[0]:<8}{seconds:8.2f}{seconds / count * 1e6:9.1f}"
                line += f"{memory:8.0f}"
                if peer_of_us:
                    theirs = measure([peer_of_us, *words])[0]
                    if count >= CHECKED_SIZE:  # fewer end before they can be told from a start
                        note(f"{words[0]} of {count}", seconds, "s", beside=theirs)
                    line += f"{theirs:9.2f}{seconds / theirs:7.1f}"
                print(line, flush=True)
                if count == CHECKED_SIZE:
                    good &= seconds < limit and memory < MEMORY_LIMIT
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, 10,000 peers at most")
    options = parser.parse_args()
    inside_namespaces()
    with_bytecode()
    fast = start_up(11 if options.quick else 41)
    good = sizes([1000, 10_000] if options.quick else [1000, 10_000, 100_000])
    if not fast or not good:
        print("over a limit")
    return 0 if fast and good else 1


if __name__ == "__main__":
    sys.exit(main())
