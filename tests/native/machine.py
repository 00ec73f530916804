# SPDX-License-Identifier: MIT
"""What the tests of a real machine have in common: our commands, a device, an engine.

They work on the machine itself, so they name their interfaces, ports and networks as
nobody else would, and take all of it away again.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

BIN = Path(sys.executable).parent
SOCKETS = Path("/var/run/wireguard")
PATIENCE = 15.0  # seconds for a process to start, a handshake to complete

Run = Callable[..., str]


def run(*words: str | Path, data: str = "") -> str:
    """A program's output; its failure is the test's."""
    done = subprocess.run(words, input=data, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def wg(*words: str, data: str = "") -> str:
    return run(BIN / "wg", *words, data=data)


def until(is_so: Callable[[], bool], what: str) -> None:
    """Wait for it, not forever."""
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end, f"not within {PATIENCE} s: {what}"
        time.sleep(0.1)


def keys(*, wg: Run = wg) -> tuple[str, str]:
    """A new private key, and its public one."""
    private = wg("genkey")
    return private, wg("pubkey", data=private).strip()


def check_settings(name: str, *, has_mark: bool, wg: Run = wg) -> None:
    """What is set on device `name` comes back: key, port, mark, peers, allowed IPs."""
    private, public = keys()
    _, peer = keys()
    _, other = keys()
    mark = ["fwmark", "0x2a"] if has_mark else []
    wg("set", name, "private-key", "/dev/stdin", "listen-port", "51983", *mark, data=private)
    wg("set", name, "peer", peer, "allowed-ips", "10.203.7.0/24,fd03:cb07::/64",
       "endpoint", "[::1]:51984", "persistent-keepalive", "25")  # fmt: skip
    wg("set", name, "peer", other, "allowed-ips", "10.203.8.9/32", "endpoint", "127.0.0.1:51985")
    device, *peers = [line.split("\t") for line in wg("show", name, "dump").splitlines()]
    assert device == [private.strip(), public, "51983", "0x2a" if has_mark else "off"]
    rows = {row[0]: row for row in peers}
    assert rows.keys() == {peer, other}
    assert rows[peer][2] == "[::1]:51984"
    assert set(rows[peer][3].split(",")) == {"10.203.7.0/24", "fd03:cb07::/64"}
    assert rows[peer][7] == "25"
    assert rows[other][2:4] == ["127.0.0.1:51985", "10.203.8.9/32"]
    wg("set", name, "peer", other, "remove")
    assert wg("show", name, "peers").split() == [peer]
    assert name in wg("show", "interfaces").split()


def check_handshake(one: str, two: str) -> None:
    """Two devices of this machine shake hands over its loopback, by keepalives alone."""
    first, first_public = keys()
    second, second_public = keys()
    wg("set", one, "private-key", "/dev/stdin", "listen-port", "51986", data=first)
    wg("set", two, "private-key", "/dev/stdin", "listen-port", "51987", data=second)
    wg("set", one, "peer", second_public, "allowed-ips", "10.203.9.2/32")
    wg("set", two, "peer", first_public, "allowed-ips", "10.203.9.1/32",
       "endpoint", "127.0.0.1:51986", "persistent-keepalive", "1")  # fmt: skip

    def both() -> bool:
        answers = [wg("show", name, "latest-handshakes").split() for name in (one, two)]
        return all(len(answer) == 2 and answer[1] != "0" for answer in answers)

    until(both, f"a handshake between {one} and {two}")
    until(lambda: int(wg("show", one, "transfer").split()[1]) > 148, "a keepalive after it")


@contextlib.contextmanager
def kernel_device(name: str, *create: str) -> Generator[str]:
    """An interface of the kernel's WireGuard, up."""
    run("ifconfig", *(create or (name, "create")))
    try:
        run("ifconfig", name, "up")
        yield name
    finally:
        run("ifconfig", name, "destroy")


@contextlib.contextmanager
def engine(name: str, home: Path) -> Generator[str]:
    """An interface of our engine, up, by whatever name it really got."""
    told = home / "name"
    told.unlink(missing_ok=True)
    process = subprocess.Popen(
        [BIN / "wgtools-engine", "-f", name],
        env={"WG_TUN_NAME_FILE": str(told), "PATH": "/sbin:/usr/sbin:/bin:/usr/bin"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(
            lambda: process.poll() is not None or (told.exists() and bool(told.read_text())),
            "the engine",
        )
        assert process.poll() is None, process.communicate()[1]
        real = told.read_text().strip()
        until((SOCKETS / f"{real}.sock").exists, "its socket")
        run("ifconfig", real, "up")
        yield real
        (SOCKETS / f"{real}.sock").unlink()  # how wg-quick ends it on these systems
        process.wait(PATIENCE)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def configuration(home: Path, name: str) -> Path:
    """A file that changes nothing of the host but two networks nobody has."""
    private, _ = keys()
    _, public = keys()
    path = home / f"{name}.conf"
    path.touch(0o600)
    path.write_text(
        f"[Interface]\nPrivateKey = {private}Address = 10.203.10.1/24, fd03:cb0a::1/64\n"
        f"MTU = 1400\n\n[Peer]\nPublicKey = {public}\n"
        "AllowedIPs = 10.203.11.0/24, fd03:cb0b::/64\nEndpoint = 127.0.0.1:51988\n"
    )
    return path


def check_wg_quick(path: Path, *, inside: tuple[str, ...] = ()) -> None:
    """Up and down again: the interface, its MTU, addresses and routes, and nothing left.

    `inside` is what goes in front of every command, such as `jexec JAIL`.
    """

    def routed(family: str, address: str) -> str:
        """What `route get` calls the interface towards `address`; empty without a route."""
        words = [*inside, "route", "-n", "get", family, address]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        fields = [line.split(":", 1) for line in done.stdout.splitlines() if ":" in line]
        return {name.strip(): value.strip() for name, value in fields}.get("interface", "")

    towards = (("-inet", "10.203.11.7"), ("-inet6", "fd03:cb0b::7"))
    before = [routed(*one) for one in towards]
    names = set(run(*inside, "ifconfig", "-l").split()) if _lists() else set()
    run(*inside, BIN / "wg-quick", "up", path)
    try:
        after = [routed(*one) for one in towards]
        assert after[0] == after[1] not in before
        shown = run(*inside, "ifconfig", after[0])
        assert "mtu 1400" in shown
        assert "inet 10.203.10.1" in shown
        assert "inet6 fd03:cb0a::1" in shown
        again = subprocess.run(
            [*inside, BIN / "wg-quick", "up", path], capture_output=True, text=True, check=False
        )
        assert again.returncode != 0
        assert "already exists" in again.stderr
    finally:
        run(*inside, BIN / "wg-quick", "down", path)
    assert [routed(*one) for one in towards] == before
    if names:
        assert set(run(*inside, "ifconfig", "-l").split()) == names


def _lists() -> bool:
    return not sys.platform.startswith("openbsd")  # has no `ifconfig -l`
