# SPDX-License-Identifier: MIT
"""Our `wg` and Debian's C `wg` on kernel devices: the same bytes from each of them after
each of them has done the same."""

from __future__ import annotations

import base64
import functools
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.kernel.inside.commands import BIN, THEIRS, run, wg

# A tool, and the device that only it changes.
TOOLS: dict[str, Callable[..., str]] = {"wgours": wg, "wgtheirs": functools.partial(run, THEIRS)}
OURS = str(BIN / "wg")
READINGS = [["show", "NAME", "dump"], ["showconf", "NAME"], ["show", "NAME"]]


def key(number: int) -> str:
    return base64.b64encode(bytes([number]) * 32).decode()


@pytest.fixture(autouse=True)
def _links() -> Iterator[None]:
    for name in TOOLS:
        run("ip", "link", "add", name, "type", "wireguard")
    yield
    for name in TOOLS:
        run("ip", "link", "delete", name)


def same_afterwards() -> str:
    """Each tool on each device; what all of them say."""
    for words in READINGS:
        found = {
            (owner, name): tool(*named(words, name)).replace(name, "NAME")
            for owner, tool in TOOLS.items()
            for name in TOOLS
        }
        assert len(set(found.values())) == 1, found
    return wg("show", "wgours", "dump")


def both(*words: str) -> None:
    for name, tool in TOOLS.items():
        tool(*named(words, name))


def named(words: Sequence[str], name: str) -> list[str]:
    return [name if word == "NAME" else word for word in words]


def conf(path: Path, *peers: str, settings: str = "") -> str:
    path.write_text("[Interface]\n" + settings + "".join(f"[Peer]\n{peer}" for peer in peers))
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    full = f"PrivateKey = {key(9)}\nFwMark = 0xcafe\n"
    one = (
        f"PublicKey = {key(1)}\nPresharedKey = {key(7)}\nEndpoint = 192.0.2.1:51820\n"
        "AllowedIPs = 10.0.0.1/8, fd00::1/64\nPersistentKeepalive = 25\n"
    )
    two = f"PublicKey = {key(2)}\nEndpoint = [fe80::2%lo]:4500\nAllowedIPs = 10.1.0.0/16\n"
    moved = f"PublicKey = {key(3)}\nAllowedIPs = 10.0.0.0/8\nEndpoint = [2001:db8::1]:1\n"
    return {
        "full": conf(tmp_path / "full", one, two, settings=full),
        "moved": conf(tmp_path / "moved", two, moved, settings=full),
        "empty": conf(tmp_path / "empty"),
    }


def test_set(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(key(9))
    both("set", "NAME", "private-key", str(tmp_path / "key"), "fwmark", "0x7", "listen-port", "0")
    both(
        *("set", "NAME", "peer", key(1), "preshared-key", str(tmp_path / "key")),
        *("endpoint", "192.0.2.1:1", "persistent-keepalive", "25", "allowed-ips", "10.0.0.0/8"),
        *("peer", key(2), "allowed-ips", "10.0.0.0/8,fd00::/8"),  # takes it from the first
    )
    assert "10.0.0.0/8,fd00::/8" in same_afterwards()
    both("set", "NAME", "fwmark", "0", "peer", key(1), "remove", "peer", key(2), "allowed-ips", "")
    assert "(none)\t(none)\t(none)\t0\t0\t0\toff" in same_afterwards()


def test_setconf_addconf_syncconf(files: dict[str, str]) -> None:
    for verb, name in (
        ("setconf", "full"),
        ("addconf", "moved"),
        ("syncconf", "full"),
        ("syncconf", "moved"),
        ("setconf", "empty"),
    ):
        both(verb, "NAME", files[name])
        same_afterwards()


def test_a_thousand_peers_are_set_and_read_back(tmp_path: Path) -> None:
    peers = [
        f"PublicKey = {base64.b64encode(number.to_bytes(4, 'big') * 8).decode()}\n"
        f"Endpoint = 192.0.2.{number % 250}:{number}\n"
        f"AllowedIPs = 10.{number >> 8}.{number & 255}.0/32, 10.{number >> 8}.{number & 255}.0/25,"
        f" fd00:{number:x}::/64, fd01:{number:x}::/48\n"
        for number in range(1, 1001)
    ]
    path = conf(tmp_path / "many", *peers, settings=f"PrivateKey = {key(9)}\n")
    both("setconf", "NAME", path)
    found = {tool("show", name, "dump") for tool in TOOLS.values() for name in TOOLS}
    (text,) = found
    assert text.count("\n") == 1001
    assert text.count("/") >= 4000


@pytest.mark.parametrize("words", [["show", "lo"], ["show", "nosuch"], ["show", "x" * 15]])
def test_refusals(words: list[str]) -> None:
    assert wg(*words, status=1) == run(THEIRS, *words, status=1)


def test_list_is_in_the_kernels_order() -> None:
    for words in (["show", "interfaces"], ["show", "all", "dump"], ["show"]):
        assert wg(*words) == run(THEIRS, *words)


def test_a_device_in_another_namespace() -> None:
    run("ip", "netns", "add", "apart")
    try:
        run("ip", "link", "set", "wgours", "netns", "apart")
        assert run("ip", "netns", "exec", "apart", OURS, "show", "interfaces") == "wgours\n"
        run("ip", "netns", "exec", "apart", OURS, "set", "wgours", "fwmark", "5")
        assert "0x5" in run("ip", "netns", "exec", "apart", THEIRS, "show", "wgours", "fwmark")
        assert "No such device" in wg("show", "wgours", status=1)
        run("ip", "-n", "apart", "link", "set", "wgours", "netns", str(os.getpid()))
    finally:
        run("ip", "netns", "delete", "apart")


NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
# AmbientCapabilities=, CapabilityBoundingSet= and NoNewPrivileges= of a systemd unit
UNIT = [
    *NOBODY,
    *("--inh-caps=-all,+net_admin", "--ambient-caps=-all,+net_admin"),
    *("--bounding-set=-all,+net_admin", "--no-new-privs"),
]


def test_one_capability_is_enough() -> None:
    assert run(*UNIT, OURS, "show", "wgours", "dump") == "(none)\t(none)\t0\toff\n"
    run(*UNIT, OURS, "set", "wgours", "fwmark", "3")
    assert run(*UNIT, OURS, "show", "wgours", "fwmark") == "0x3\n"


def test_without_it_nothing_is_shown_and_a_person_is_told_its_name() -> None:
    words = [OURS, "show", "wgours"]
    denied = run(*NOBODY, *words, status=1)
    assert denied == run(*NOBODY, THEIRS, *words[1:], status=1)
    assert denied == "Unable to access interface: Operation not permitted\n"
    terminal = ["script", "-qec", shlex.join([*NOBODY, *words]), "/dev/null"]
    shown = subprocess.run(terminal, capture_output=True, text=True, check=False).stdout
    assert "CAP_NET_ADMIN" in shown
