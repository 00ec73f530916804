# SPDX-License-Identifier: MIT
"""The real netifaces-plus, on the one system at hand: that it says what we take it to say."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Generator

import pytest

from wgtools.quick.systems.facts import Address, Gateway
from wgtools.quick.systems.hostfacts import SystemFacts, _run

CLONE_NEWNET = 0x40000000

SETUP = (
    "link set lo up",
    "link add wg7 type veth peer name other",
    "link set other up",
    "link set wg7 up",
    "addr add 192.0.2.9/28 dev wg7",
    "addr add 2001:db8::9/60 dev wg7 nodad",
    "route add default via 192.0.2.1 dev wg7",
    "route add default via 2001:db8::1 dev wg7",
)


@pytest.fixture
def host() -> Generator[SystemFacts]:
    """In a network namespace that this thread enters, and leaves at the end."""
    if os.geteuid() != 0:
        pytest.skip("a network namespace needs root")
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(CLONE_NEWNET) == 0
    try:
        for words in SETUP:
            subprocess.run(["ip", *words.split()], check=True)
        # Of no system that has ifconfig: what is found, netifaces found.
        yield SystemFacts("linux", run=lambda _words: None)
    finally:
        libc.setns(home, CLONE_NEWNET)
        os.close(home)


def test_interfaces(host: SystemFacts) -> None:
    assert {"lo", "wg7"} <= {each.name for each in host.interfaces()}


def test_addresses(host: SystemFacts) -> None:
    assert host.addresses("lo") == (Address("127.0.0.1", 8), Address("::1", 128))
    found = host.addresses("wg7")
    assert found[:2] == (Address("192.0.2.9", 28), Address("2001:db8::9", 60))
    assert host.addresses("wg8") == ()


def test_gateways(host: SystemFacts) -> None:
    assert host.default_gateway(4) == Gateway("wg7", "192.0.2.1")
    assert host.default_gateway(6) == Gateway("wg7", "2001:db8::1")
    subprocess.run(["ip", "route", "del", "default"], check=True)
    assert host.default_gateway(4) is None


def test_programs_are_run_for_real() -> None:
    assert _run(["sh", "-c", "echo $LC_ALL"]) == "C\n"
    assert _run(["false"]) is None
    assert _run(["no-such-program-of-ours"]) is None
