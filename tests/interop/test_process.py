# SPDX-License-Identifier: MIT
"""wgtools-engine as a process: how it starts, what it refuses, how it ends."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest

from tests.interop.hosts import C_WG, ENGINE, OURS, Host, Hosts, cable, wait_for
from tests.interop.tunnel import INNER4, Tunnel, genkey, pubkey

# Opens a TUN and a Unix socket, then becomes wgtools-engine with both.
_HAND_OVER = """
import fcntl, os, socket, struct, sys
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"handed0", 0x0001 | 0x1000 | int(sys.argv[2])))
os.makedirs("/run/wireguard", exist_ok=True)
uapi = socket.socket(socket.AF_UNIX)
uapi.bind("/run/wireguard/handed0.sock")
uapi.listen()
for fd in (tun, uapi.fileno()):
    os.set_inheritable(fd, True)
os.environ.update(WG_TUN_FD=str(tun), WG_UAPI_FD=str(uapi.fileno()))
os.execv(sys.argv[1], [sys.argv[1], "-f", "handed0"])
"""
VNET_HDR = "16384"


def gone(host: Host, name: str = "wg0") -> bool:
    return not host.has_link(name) and not host.has_socket(name)


@pytest.fixture
def one(host: Hosts) -> Host:
    return host("one")


# ------------------------------------------------------------------ starting


def test_returns_only_when_all_is_ready(one: Host) -> None:
    started = one.call(ENGINE, "wg0")
    assert (started.returncode, started.stdout, started.stderr) == (0, "", "")
    assert one.run(C_WG, "show", "wg0") == "interface: wg0\n"
    assert one.run("stat", "-c", "%a", "/run/wireguard", "/run/wireguard/wg0.sock") == "700\n600\n"
    assert "mtu 1420" in one.ip("link show wg0")
    one.ip("link del wg0")
    wait_for("the end", lambda: gone(one))


@pytest.mark.parametrize("command", [[ENGINE], [sys.executable, "-I", "-m", "wgtools.daemon"]])
def test_is_found_by_its_name(one: Host, command: list[str]) -> None:
    environment = set(one.run("env").splitlines())
    one.run(*command, "wg0")
    here = ("--nslist", "net", "--ns", str(one.pid))  # /proc is that of the whole machine
    (pid,) = one.run("pgrep", *here, "-x", "wgtools-engine").split()
    name, line = one.run("ps", "-ww", "-o", "comm=,args=", "-p", pid).split(None, 1)
    assert name == "wgtools-engine"
    assert line == "wgtools-engine wg0\n" if command[1:] else line.endswith(f"{ENGINE} wg0\n")
    # What lies next to the command line is whole.
    kept = Path(f"/proc/{pid}/environ").read_text().rstrip("\0").split("\0")
    assert environment == set(kept)
    one.ip("link del wg0")
    wait_for("the end", lambda: gone(one))


def test_foreground_by_environment(one: Host) -> None:
    process = one.start(ENGINE, "wg0", env={"WG_PROCESS_FOREGROUND": "1"})
    wait_for("the socket", lambda: one.has_socket("wg0"))
    assert process.poll() is None


def test_says_why_it_cannot_start(one: Host) -> None:
    one.ip("link add wg0 type veth")
    failed = one.call(ENGINE, "wg0")
    assert failed.returncode == 1
    assert failed.stderr == ("wgtools-engine: Interface wg0 is already there and is not a TUN\n")


def test_without_privilege_it_says_so(one: Host) -> None:
    failed = one.call("setpriv", "--reuid=65534", "--clear-groups", "--bounding-set=-all",
                      "--inh-caps=-all", ENGINE, "wg0")  # fmt: skip
    assert failed.returncode == 1
    assert "run as root, or with CAP_NET_ADMIN" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_second_engine_for_a_name_is_refused(one: Host) -> None:
    one.daemon(OURS)
    failed = one.call(ENGINE, "wg0")
    assert failed.returncode == 1
    assert "held by another program" in failed.stderr
    assert one.run(C_WG, "show", "interfaces") == "wg0\n"


def test_second_engine_is_refused_from_another_namespace_too(one: Host) -> None:
    one.daemon(OURS)
    failed = one.call("unshare", "--net", ENGINE, "wg0")
    assert failed.returncode == 1
    assert "already has a WireGuard daemon" in failed.stderr
    assert one.run(C_WG, "show", "interfaces") == "wg0\n"


def test_socket_left_behind_is_replaced(one: Host) -> None:
    one.daemon(OURS).kill()
    wait_for("the link to go", lambda: not one.has_link("wg0"))
    assert one.has_socket("wg0")
    one.daemon(OURS)
    assert one.run(C_WG, "show", "wg0") == "interface: wg0\n"


def test_name_of_the_kernels_choice(one: Host, tmp_path: Path) -> None:
    name_file = tmp_path / "name"
    assert one.call(ENGINE, "wg%d", env={"WG_TUN_NAME_FILE": str(name_file)}).returncode == 0
    assert name_file.read_text() == "wg0\n"
    assert one.has_socket("wg0")


def test_given_descriptors_are_used(one: Host) -> None:
    process = one.start(sys.executable, "-c", _HAND_OVER, ENGINE, VNET_HDR)
    wait_for("an answer", lambda: one.call(C_WG, "show", "handed0").returncode == 0)
    one.ip("link set handed0 up")
    wait_for("a port", lambda: one.run(C_WG, "show", "handed0", "listen-port") != "0\n")
    process.terminate()
    assert process.wait(10) == 0
    assert gone(one, "handed0")


def test_given_descriptor_that_cannot_serve_is_refused(one: Host) -> None:
    process = one.start(sys.executable, "-c", _HAND_OVER, ENGINE, "0")
    _, err = process.communicate(timeout=10)
    assert process.returncode == 1
    assert b"IFF_VNET_HDR" in err
    failed = one.call(ENGINE, "-f", "wg0", env={"WG_TUN_FD": "0"})
    assert failed.returncode == 1
    assert failed.stderr.startswith("wgtools-engine: File descriptor 0 is not a TUN interface")


def test_p24_keys_are_kept_out_of_core_dumps_and_swap(one: Host) -> None:
    process = one.daemon(OURS)
    wait_for("the end of start-up", lambda: "Ready" in one.log())
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    pid = children[0] if children else str(process.pid)
    status = Path(f"/proc/{pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "VmLck:\t       0 kB" not in status or "Keys may reach swap" in one.log()
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert "Max core file size        0                    0" in limits


def test_a_lock_of_whoever_started_it_is_not_held_on(one: Host, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    one.run("sh", "-c", f"exec 9>{lock}; flock 9; {ENGINE} wg0")
    assert one.has_socket("wg0")
    one.run("flock", "--nonblock", str(lock), "true")
    one.ip("link delete wg0")


# ------------------------------------------------------------------ ending


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_is_an_orderly_exit(one: Host, number: signal.Signals) -> None:
    process = one.daemon(OURS)
    process.send_signal(number)
    assert process.wait(10) == 0
    assert gone(one)
    assert "Shutting down" in one.log()


def test_removed_socket_is_an_orderly_exit(one: Host) -> None:
    process = one.daemon(OURS)
    one.run("rm", "/run/wireguard/wg0.sock")
    assert process.wait(10) == 0
    assert gone(one)


@pytest.mark.parametrize("state", ["up", "down"])
def test_deleted_link_is_an_orderly_exit(one: Host, state: str) -> None:
    process = one.daemon(OURS)
    one.ip(f"link set wg0 {state}")
    one.ip("link del wg0")
    assert process.wait(10) == 0
    assert gone(one)


# ------------------------------------------------------------------ in between


def test_port_in_use_is_refused(one: Host) -> None:
    with_socket = one.start(
        sys.executable,
        "-c",
        "import socket, time; s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM);"
        "s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1);"
        "s.bind(('::', 7777)); time.sleep(100)",
    )
    wait_for("the port to be taken", lambda: ":7777" in one.run("ss", "-Hlun"))
    assert with_socket.poll() is None
    one.daemon(OURS)
    for state in ("down", "up"):
        one.ip(f"link set wg0 {state}")
        one.run(C_WG, "set", "wg0", "listen-port", "7000")
        failed = one.call(C_WG, "set", "wg0", "listen-port", "7777")
        assert failed.stderr == "Unable to modify interface: Address already in use\n"
        assert one.run(C_WG, "show", "wg0", "listen-port") == "7000\n"


def test_interface_follows_its_link_to_another_namespace(host: Hosts) -> None:
    """The sockets stay where the daemon was started: https://www.wireguard.com/netns/."""
    a, b, inner = host("a"), host("b"), host("inner")
    cable(a, b)
    for one, last in ((a, 1), (b, 2)):
        one.ip(f"addr add 192.0.2.{last}/24 dev eth0")
    tunnel = Tunnel(a, b)
    tunnel.up((OURS, OURS))
    a.ip(f"link set wg0 netns {inner.pid}")
    inner.ip(f"addr add {INNER4[0]}/24 dev wg0")
    inner.ip("link set wg0 up")
    wait_for("the interface to be up again", lambda: a.log().count("Interface up") == 2)
    assert inner.ping(INNER4[1]) == 3
    inner.ip("link set wg0 mtu 1280")
    wait_for("the MTU to be heard of", lambda: "MTU 1280" in a.log())
    assert "wg0" in a.run(C_WG, "show", "interfaces")
    inner.ip("link del wg0")
    wait_for("the end", lambda: not a.has_socket("wg0"))


def test_ten_thousand_peers_in_two_seconds(one: Host) -> None:
    one.daemon(OURS)
    lines = ["[Interface]", f"PrivateKey = {genkey()}"]
    for n in range(10_000):
        lines += ["[Peer]", f"PublicKey = {_nth_key(n)}"]
        lines.append("AllowedIPs = " + ", ".join(f"{_nth_net(n * 4 + i)}/32" for i in range(4)))
    path = one.path("big.conf", "\n".join(lines) + "\n")
    began = time.monotonic()
    one.run(C_WG, "setconf", "wg0", path)
    set_took = time.monotonic() - began
    began = time.monotonic()
    dump = one.run(C_WG, "show", "wg0", "dump")
    dump_took = time.monotonic() - began
    assert len(dump.splitlines()) == 10_001
    assert set_took < 2, set_took
    assert dump_took < 1.5, dump_took


def _nth_key(n: int) -> str:
    from wgtools.keys import Key

    return Key(n.to_bytes(31, "big") + b"\x40").base64()


def _nth_net(n: int) -> str:
    return f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"


def test_client_that_stalls_holds_up_nobody(pair: tuple[Host, Host]) -> None:
    a, _ = pair
    tunnel = Tunnel(*pair)
    tunnel.up((OURS, OURS))
    stalled = a.start(
        sys.executable,
        "-c",
        "import socket, time; s = socket.socket(socket.AF_UNIX);"
        "s.connect('/run/wireguard/wg0.sock'); s.send(b'set=1\\n'); print('x', flush=True);"
        "time.sleep(100)",
    )
    assert stalled.stdout is not None
    assert stalled.stdout.readline() == b"x\n"
    assert a.ping(INNER4[1]) == 3
    assert tunnel.handshakes(a) > 0


# Garbage, endless lines, halves of requests, floods that nobody reads the answers of; all
# the places taken, and more at the door.
_BAD_CLIENTS = """
import os, socket, time
kept = []
for n in range(120):
    s = socket.socket(socket.AF_UNIX)
    s.setblocking(False)
    try:
        s.connect('/run/wireguard/wg0.sock')
        s.send((os.urandom(4096), b'x' * 4096, b'set=1\\nlisten_po', b'get=1\\n\\n' * 9999)[n % 4])
    except OSError:
        pass
    kept.append(s)
print('x', flush=True)
time.sleep(100)
"""


def test_bad_clients_hold_up_no_packet(pair: tuple[Host, Host]) -> None:
    a, b = pair
    Tunnel(a, b).up((OURS, OURS))
    assert a.ping(INNER4[1]) == 3
    bad = a.start(sys.executable, "-c", _BAD_CLIENTS)
    assert bad.stdout is not None
    assert bad.stdout.readline() == b"x\n"
    done = a.run("ping", "-n", "-q", "-c", "100", "-i", "0.01", "-W", "1", INNER4[1])
    assert "100 received" in done
    assert "Traceback" not in a.log()


def test_noise_on_the_port_harms_nothing(pair: tuple[Host, Host]) -> None:
    """Datagrams of every length and of the largest, empty ones too, from somebody else."""
    a, b = pair
    tunnel = Tunnel(a, b)
    tunnel.up((OURS, OURS))
    assert a.ping(INNER4[1]) == 3
    b.run(
        sys.executable,
        "-c",
        "import os, socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "for n in (*range(300), 1500, 9000, 65507):\n"
        "    for kind in range(6):\n"
        "        s.sendto((bytes([kind, 0, 0, 0]) + os.urandom(n))[:n], ('192.0.2.1', 51820))\n",
    )
    # Merged by GRO: 64 datagrams of 1000 in one.
    b.run(
        sys.executable,
        "-c",
        "import os, socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.setsockopt(17, 103, 1000)\n"
        "for _ in range(50): s.sendto(os.urandom(64000), ('192.0.2.1', 51820))\n",
    )
    assert a.ping(INNER4[1]) == 3
    assert len(a.log()) < 10_000
    assert "Traceback" not in a.log()


def test_key_never_reaches_the_log(one: Host) -> None:
    private, other = genkey(), pubkey(genkey())
    one.daemon(OURS)
    conf = f"[Interface]\nPrivateKey = {private}\n[Peer]\nPublicKey = {other}\n"
    one.run(C_WG, "setconf", "wg0", one.path("wg0.conf", conf))
    assert private not in one.log()
    assert other not in one.log()
