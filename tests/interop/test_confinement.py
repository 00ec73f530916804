# SPDX-License-Identifier: MIT
"""What a running wgtools-engine has given up, what it can still do, and where that is missing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.interop.hosts import C_WG, ENGINE, OURS, Host, Hosts, cable, wait_for
from tests.interop.tunnel import INNER4, Tunnel

NET_BIND_SERVICE, NET_ADMIN, IPC_LOCK = 1 << 10, 1 << 12, 1 << 14

# Landlock and seccomp refused to whoever runs under this, as by an old container runtime.
_WITHOUT = """
import os, sys
from wgtools.daemon.confine import bpf, linux
numbers = {"seccomp": 317, "landlock": 444, "landlock_rule": 445, "landlock_self": 446}
if os.uname().machine == "aarch64":
    numbers["seccomp"] = 277
audit = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[os.uname().machine]
# The other way round than an engine's: what is named is refused, all else allowed.
bpf.ALLOW, bpf.REFUSE = bpf.REFUSE, bpf.ALLOW
program = bpf.assemble(bpf.Architecture(audit, numbers), {name: () for name in numbers})
assert linux.use_filter(os.uname().machine, program) == "on"
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def one(host: Hosts) -> Host:
    return host("one")


def engine_pid(host: Host) -> int:
    """Of the engine on wg0: the one process of this host that holds a TUN."""
    for pid in host._inhabitants():
        if "wgtools-engine" in Path(f"/proc/{pid}/cmdline").read_text():
            return pid
    pytest.fail("no engine")


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def is_ready(host: Host) -> bool:
    return ") Ready" in host.log() or " Ready" in host.log()


# ------------------------------------------------------------------ what is left


@pytest.mark.parametrize("background", [False, True])
def test_privileges_of_a_running_engine(one: Host, background: bool) -> None:
    if background:
        one.run(ENGINE, "wg0")
    else:
        one.daemon(OURS)
        wait_for("the end of start-up", lambda: is_ready(one))
    found = status(engine_pid(one))
    kept = int(found["CapEff"], 16)
    assert kept & ~IPC_LOCK == NET_ADMIN | NET_BIND_SERVICE
    assert int(found["CapPrm"], 16) == kept
    assert int(found["CapBnd"], 16) == kept
    assert int(found["CapInh"], 16) == int(found["CapAmb"], 16) == 0
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")
    assert found["VmLck"] != "0 kB" or not kept & IPC_LOCK
    if not background:
        assert "Confined by Landlock: ABI" in one.log()
        assert "Confined by seccomp: on" in one.log()
    # Not dumpable: what /proc has of it belongs to root, whoever it runs as.
    limits = Path(f"/proc/{engine_pid(one)}/limits").read_text()
    assert "Max core file size        0                    0" in limits


def test_only_what_it_needs_is_open(one: Host) -> None:
    one.daemon(OURS)
    wait_for("the end of start-up", lambda: is_ready(one))
    descriptors = Path(f"/proc/{engine_pid(one)}/fd")
    kinds = sorted(os.readlink(path).partition(":")[0] for path in descriptors.iterdir())
    files = [kind for kind in kinds if kind not in ("socket", "pipe", "anon_inode", "net")]
    logs = [kind for kind in files if kind.endswith(".log")]
    assert sorted(set(files) - set(logs)) == ["/dev/net/tun", "/dev/null"]
    assert len(kinds) < 20


def test_everything_stays_at_hand_when_told_to(one: Host) -> None:
    one.daemon(OURS, WGTOOLS_SANDBOX="off")
    wait_for("the end of start-up", lambda: is_ready(one))
    assert status(engine_pid(one))["Seccomp"] == "0"
    assert "Not confined" in one.log()


# ------------------------------------------------------------------ what it can still do


def test_settings_that_need_privileges_can_be_changed_later(pair: tuple[Host, Host]) -> None:
    a, b = pair
    tunnel = Tunnel(a, b)
    tunnel.up((OURS, OURS))
    assert a.ping(INNER4[1]) == 3
    assert status(engine_pid(b))["Seccomp"] == "2"
    b.run(C_WG, "set", "wg0", "listen-port", "443", "fwmark", "0x33")
    assert ":443" in b.run("ss", "-Hlun")
    a.run(C_WG, "set", "wg0", "peer", tunnel.public[1], "endpoint", "192.0.2.2:443")
    b.ip("link set wg0 mtu 1300")
    b.ip("link set wg0 down")
    b.ip("link set wg0 up")
    wait_for("the port", lambda: ":443" in b.run("ss", "-Hlun"))
    assert b.ping(INNER4[0]) == 3  # that was the end of its keys, so it is the one to ask
    b.run(C_WG, "set", "wg0", "fwmark", "0", "listen-port", "0")
    port = b.run(C_WG, "show", "wg0", "listen-port").strip()
    a.run(C_WG, "set", "wg0", "peer", tunnel.public[1], "endpoint", f"192.0.2.2:{port}")
    assert a.ping(INNER4[1]) == 3
    # Buffers over the system's limit, also for the sockets that were opened after start.
    limit = int(b.run("sysctl", "-n", "net.core.rmem_max"))
    found = b.run("ss", "-Hlunm", f"sport = :{port}").partition(",rb")[2]
    assert int(found.partition(",")[0]) > 2 * limit
    for one in pair:
        assert "error of our own" not in one.log()
        assert "No privilege" not in one.log()


def test_link_local_endpoint_by_the_name_of_its_link(pair: tuple[Host, Host]) -> None:
    """Names of links are asked for over a socket, which the filter knows of."""
    a, b = pair
    tunnel = Tunnel(a, b)
    tunnel.up((OURS, OURS))
    words = b.ip("-6 -o addr show dev eth0 scope link").split()
    there = words[words.index("inet6") + 1].partition("/")[0]
    a.run(C_WG, "set", "wg0", "peer", tunnel.public[1], "endpoint", f"[{there}%eth0]:51820")
    assert a.ping(INNER4[1]) == 3
    assert tunnel.endpoint(a) == f"[{there}%eth0]:51820"
    failed = a.call(C_WG, "set", "wg0", "peer", tunnel.public[1], "endpoint", "[fe80::9%3]:1")
    assert failed.returncode == 0


def test_interface_moves_on_and_comes_home(host: Hosts) -> None:
    """Followed by ids of namespaces: setns(2) is not for an engine without privileges."""
    a, b, near, far = host("a"), host("b"), host("near"), host("far")
    cable(a, b)
    for one, last in ((a, 1), (b, 2)):
        one.ip(f"addr add 192.0.2.{last}/24 dev eth0")
    Tunnel(a, b).up((OURS, OURS))

    def has_come(times: int) -> bool:
        return a.log().count("Interface up") == times

    came = 1
    for before, after in ((a, near), (near, far), (far, a), (a, far)):
        before.ip(f"link set wg0 netns {after.pid}")
        after.ip(f"addr add {INNER4[0]}/24 dev wg0")
        after.ip("link set wg0 up")
        came += 1
        wait_for("the interface to be up", partial(has_come, came))
        assert after.ping(INNER4[1]) == 3, (before.name, after.name)
    far.ip("link set wg0 down")
    wait_for("that to be heard of", lambda: a.log().count("Interface down") == came)
    far.ip("link del wg0")
    wait_for("the end", lambda: not a.has_socket("wg0"))
    assert "error of our own" not in a.log()


# ------------------------------------------------------------------ where it is missing


def test_tunnel_without_seccomp_and_landlock(pair: tuple[Host, Host]) -> None:
    a, b = pair
    log = a.directory / "a-wg0.log"
    with log.open("wb") as file:
        engine = subprocess.Popen(
            a.inside(sys.executable, "-c", _WITHOUT, ENGINE, "-f", "wg0"),
            *(-1, None, subprocess.DEVNULL, file, file),
            env=os.environ | {"LOG_LEVEL": "debug"},
        )
    try:
        wait_for("the engine", lambda: a.has_socket("wg0"))
        tunnel = Tunnel(a, b)
        b.daemon(OURS)
        tunnel.configure(1)
        tunnel.configure(0)
        assert a.ping(INNER4[1]) == 3
        assert "Confined by Landlock: none (Operation not permitted)" in a.log()
        missed = [line for line in a.log().splitlines() if line.startswith("ERROR")]
        assert len(missed) == 1
        assert missed[0].endswith(" Confined by seccomp: none (Operation not permitted)")
        assert "Confined by capabilities: kept net_bind_service and net_admin" in a.log()
    finally:
        engine.terminate()
        assert engine.wait(10) == 0


def test_starts_with_nothing_but_net_admin(one: Host) -> None:
    few = "-all,+net_admin"
    words = ["setpriv", f"--bounding-set={few}", f"--inh-caps={few}", "--ambient-caps=-all"]
    one.run(*words, ENGINE, "wg0", timeout=10)
    found = status(engine_pid(one))
    assert int(found["CapEff"], 16) == NET_ADMIN
    assert found["Seccomp"] == "2"
    one.ip("link set wg0 up")
    one.run(C_WG, "set", "wg0", "listen-port", "7000", "fwmark", "7")
    failed = one.call(C_WG, "set", "wg0", "listen-port", "7")
    assert failed.stderr == "Unable to modify interface: Permission denied\n"
    one.ip("link del wg0")
    wait_for("the end", lambda: not one.has_socket("wg0"))


# ------------------------------------------------------------------ from within


ATTEMPTS = {
    "read a file": "open('/etc/hostname')",
    "write a file": "open('/run/x', 'w')",
    "list a directory": "os.listdir('/')",
    "make a process": "os.fork()",
    "make a thread": "threading.Thread(target=print).start()",
    "talk TCP": "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
    "talk to a local daemon": "socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)",
    "see raw packets": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "end another process": "os.kill(1, 15)",
    "load a module": "import wave",
    "make code": "mmap.mmap(-1, 4096, prot=mmap.PROT_EXEC | mmap.PROT_READ | mmap.PROT_WRITE)",
    "remove another file": "os.unlink(sys.argv[2])",
}
FATAL = {
    "run a program": "os.execv('/bin/true', ['true'])",
    "look into a process": "ctypes.CDLL(None).ptrace(16, 1, 0, 0)",
    "enter a namespace": "ctypes.CDLL(None).setns(0, 0)",
}
_PRELUDE = """
import ctypes, mmap, os, socket, sys, threading
from wgtools.daemon.confine import confine
confine(sys.argv[1], say=lambda line: None)
"""


def attempt(directory: Path, code: str) -> subprocess.CompletedProcess[str]:
    """`code` in a process that is confined as an engine is."""
    ours, other = directory / "ours", directory / "other"
    ours.mkdir()
    (ours / "wg0.sock").touch()
    other.touch()
    words = [sys.executable, "-c", _PRELUDE + code, str(ours), str(other)]
    return subprocess.run(
        words, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )


@pytest.mark.parametrize("what", ATTEMPTS)
def test_confined_process_cannot(what: str, tmp_path: Path) -> None:
    code = f"try:\n    {ATTEMPTS[what]}\nexcept (OSError, RuntimeError) as e:\n    print('no')\n"
    done = attempt(tmp_path, code)
    assert done.stdout == "no\n", done.stderr


@pytest.mark.parametrize("what", FATAL)
def test_confined_process_is_ended_when_it_tries_to(what: str, tmp_path: Path) -> None:
    done = attempt(tmp_path, f"{FATAL[what]}\nprint('went on')")
    assert done.returncode == -signal.SIGSYS
    assert "went on" not in done.stdout


def test_confined_process_can_take_its_socket_away(tmp_path: Path) -> None:
    done = attempt(tmp_path, "os.unlink(sys.argv[1] + '/wg0.sock')")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ours/wg0.sock").exists()


def test_files_are_out_of_reach_without_a_directory_too() -> None:
    code = _PRELUDE.replace("sys.argv[1], say=lambda line: None", "'/nowhere', say=print")
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert "Confined by Landlock: ABI" in done.stdout
