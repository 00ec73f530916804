# SPDX-License-Identifier: MIT
"""A real macOS: our engine on utun, wg-quick with it."""

from __future__ import annotations

from pathlib import Path

from tests.native.machine import (
    check_handshake,
    check_settings,
    check_wg_quick,
    configuration,
    engine,
)


def test_settings_of_the_engine(home: Path) -> None:
    with engine("utun", home) as name:
        assert name.startswith("utun")
        check_settings(name, has_mark=True)  # kept and shown, if of no use there


def test_two_engines_shake_hands(home: Path) -> None:
    (home / "two").mkdir()
    with engine("utun", home) as one, engine("utun", home / "two") as two:
        check_handshake(one, two)


def test_wg_quick(home: Path) -> None:
    check_wg_quick(configuration(home, "wgt2"))
