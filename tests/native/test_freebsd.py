# SPDX-License-Identifier: MIT
"""A real FreeBSD: if_wg(4), our engine on tun(4), wg-quick in a VNET jail of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.native.machine import (
    check_handshake,
    check_settings,
    check_wg_quick,
    configuration,
    engine,
    kernel_device,
    run,
)

JAIL = "wgtools-test"


@pytest.fixture
def jail() -> Generator[str]:
    """A jail with a network stack of its own and our files."""
    run("jail", "-c", f"name={JAIL}", "path=/", "vnet", "persist")
    try:
        run("jexec", JAIL, "ifconfig", "lo0", "127.0.0.1/8", "up")
        yield JAIL
    finally:
        subprocess.run(["jail", "-r", JAIL], check=False)


def test_settings_of_the_kernel() -> None:
    with kernel_device("wgt0", "wg", "create", "name", "wgt0") as name:
        check_settings(name, has_mark=True)


def test_settings_of_the_engine(home: Path) -> None:
    with engine("wgt1", home) as name:
        assert name == "wgt1"
        check_settings(name, has_mark=True)


def test_engine_and_kernel_shake_hands(home: Path) -> None:
    with kernel_device("wgt0", "wg", "create", "name", "wgt0") as one, engine("wgt1", home) as two:
        check_handshake(one, two)


def test_engine_that_ended_leaves_no_interface(home: Path) -> None:
    with engine("wgt1", home):
        pass
    assert "wgt1" not in run("ifconfig", "-l").split()


def test_wg_quick(jail: str, home: Path) -> None:
    check_wg_quick(configuration(home, "wgt2"), inside=("jexec", jail))
