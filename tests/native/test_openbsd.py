# SPDX-License-Identifier: MIT
"""A real OpenBSD: wg(4), our engine on tun(4), wg-quick."""

from __future__ import annotations

from pathlib import Path

from tests.native.machine import (
    check_handshake,
    check_settings,
    check_wg_quick,
    configuration,
    engine,
    kernel_device,
)

# The kernel wants names of its own; these are far from where anyone begins to count.
DEVICE = "wg240"


def test_settings_of_the_kernel() -> None:
    with kernel_device(DEVICE) as name:
        check_settings(name, has_mark=False)  # a routing table there, which would have to exist


def test_settings_of_the_engine(home: Path) -> None:
    with engine("tun", home) as name:
        check_settings(name, has_mark=False)


def test_engine_and_kernel_shake_hands(home: Path) -> None:
    with kernel_device(DEVICE) as one, engine("tun", home) as two:
        check_handshake(one, two)


def test_wg_quick(home: Path) -> None:
    check_wg_quick(configuration(home, "wgt2"))
