# SPDX-License-Identifier: MIT
"""What `wg-quick up` and `down` cost, beside the original in the same namespaces.

    python tests/bench/bench_quick.py [--quick]

Both bring up the same file on the same userspace engine (wireguard-go where it is
installed, else ours), in turns.  Peers have a /32 and a /128 each, so there are twice
as many routes.  Needs root, and Debian's /usr/bin/wg-quick, which is run, never read.
The 5,000 peers take the original more than a minute.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.figures import note

OURS = str(Path(sys.executable).parent / "wg-quick")
THEIRS = "/usr/bin/wg-quick"
MARK = "WGTOOLS_BENCH_INSIDE"
FILE = "/run/bench/wg0.conf"
NAMESPACES = ("--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
# Peers -> (times as fast as the original, seconds more that are granted); issue 3, section 5.
LIMITS = {1: (1.0, 0.35), 100: (1.0, 0.0), 1000: (10.0, 0.0), 5000: (30.0, 0.0)}
ROUNDS = {1: 9, 100: 3, 1000: 3, 5000: 1}

# The peak of memory counts what a process was before exec: measure from a small one.
# Numbers of processes are given in sequence: two forks tell how many came between.
LAUNCHER = """
import os, sys, time
def fork():
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    return child
log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
nothing = os.open(os.devnull, os.O_RDWR)
before, start = fork(), time.perf_counter()
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ, file_actions=[
    (os.POSIX_SPAWN_DUP2, nothing, 0), (os.POSIX_SPAWN_DUP2, nothing, 1),
    (os.POSIX_SPAWN_DUP2, log, 2)])
_, status, usage = os.wait4(child, 0)
seconds = time.perf_counter() - start
print(seconds, usage.ru_maxrss / 1024, fork() - before - 1)
sys.exit(os.waitstatus_to_exitcode(status))
"""


class Cost:
    """Seconds, MB and processes of one run."""

    def __init__(self, words: str) -> None:
        seconds, memory, processes = words.split()
        self.seconds, self.memory, self.processes = float(seconds), float(memory), int(processes)


def inside_namespaces() -> None:
    if os.environ.get(MARK):
        return
    os.environ[MARK] = "1"
    os.execvp("unshare", ["unshare", *NAMESPACES, sys.executable, __file__, *sys.argv[1:]])


def build_host() -> None:
    script = """
    mount -t tmpfs tmpfs /run; mkdir -p /run/wireguard /run/bench; chmod 700 /run/bench
    ip link set lo up; ip link add eth9 type veth peer far9
    ip link set eth9 up; ip link set far9 up
    ip addr add 192.0.2.2/24 dev eth9; ip addr add 2001:db8::2/64 dev eth9 nodad
    ip route add default via 192.0.2.1; ip -6 route add default via 2001:db8::1
    """
    subprocess.run(["sh", "-ec", script], check=True)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # installed programs have it
    os.environ["PYTHONPYCACHEPREFIX"] = tempfile.mkdtemp(dir="/run")
    engine = shutil.which("wireguard-go") or str(Path(sys.executable).parent / "wgtools-engine")
    os.environ["WG_QUICK_USERSPACE_IMPLEMENTATION"] = engine
    print(f"engine of both: {os.path.basename(engine)}")


def write_file(count: int) -> None:
    def key(seed: str) -> str:
        return base64.b64encode(hashlib.sha256(seed.encode()).digest()).decode()

    rows = ["[Interface]", f"PrivateKey = {key('private')}"]
    rows += ["Address = 10.255.0.1/32, fd00:ff::1/128"]
    for i in range(count):
        networks = f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}/32, fd00::{i:x}/128"
        rows += ["", "[Peer]", f"PublicKey = {key(str(i))}", f"AllowedIPs = {networks}"]
    Path(FILE).write_text("\n".join([*rows, ""]))
    os.chmod(FILE, 0o600)


def measure(program: str, verb: str) -> Cost:
    command = [program, verb, FILE]
    if program == THEIRS:
        command = ["/bin/bash", *command]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LAUNCHER, "/run/bench/log", *command],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(
            f"{' '.join(command)} failed:\n{Path('/run/bench/log').read_text()[-800:]}"
        )
    return Cost(done.stdout)


def compare(count: int) -> bool:
    """Print the rows of one size; whether its limits hold."""
    write_file(count)
    programs = [OURS, *([THEIRS] if os.path.exists(THEIRS) else [])]
    costs: dict[tuple[str, str], list[Cost]] = {}
    for _ in range(ROUNDS[count]):
        for program in programs:
            for verb in ("up", "down"):
                costs.setdefault((program, verb), []).append(measure(program, verb))
    good = True
    for verb in ("up", "down"):
        ours = costs[OURS, verb]
        seconds = statistics.median(cost.seconds for cost in ours)
        line = f"{count:6}  {verb:<5}{seconds:8.3f}{ours[0].memory:7.0f}{ours[0].processes:7}"
        if len(programs) > 1:
            other = costs[THEIRS, verb]
            theirs = statistics.median(cost.seconds for cost in other)
            note(f"{verb} of {count}", seconds, "s", beside=theirs)
            times, grace = LIMITS[count]
            fine = seconds <= theirs / times + grace
            good &= fine
            line += f"{theirs:11.3f}{other[0].memory:7.0f}{other[0].processes:7}"
            line += f"{theirs / seconds:9.1f}{'' if fine else '  over'}"
        print(line, flush=True)
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="100 peers at most")
    options = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        print("not run: network namespaces need root")
        return 0
    inside_namespaces()
    build_host()
    write_file(1)
    for verb in ("up", "down"):
        measure(OURS, verb)  # to have bytecode
    print(
        f"{' peers':13}{'ours, s':>8}{'MB':>6}{'procs':>7}"
        f"{'theirs, s':>11}{'MB':>7}{'procs':>7}{'ratio':>9}"
    )
    results = [compare(count) for count in LIMITS if count <= 100 or not options.quick]
    if not all(results):
        print("over a limit")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
