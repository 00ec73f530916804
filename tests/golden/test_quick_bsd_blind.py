# SPDX-License-Identifier: MIT
"""`wg-quick` of FreeBSD and OpenBSD where ifconfig(8) does not answer, on a stage."""

from __future__ import annotations

import pytest

from tests.golden.test_quick_bsd import FULL, Play, clean, play

__all__ = ["play"]  # the fixture


@pytest.mark.parametrize("system", ["freebsd", "openbsd"])
def test_an_interface_that_cannot_be_seen_is_not_taken_for_gone(play: Play, system: str) -> None:
    """Neither the monitor nor a verb takes DNS and pins away from a tunnel that still stands."""
    blind = {"fail": {"ifconfig -a": 1, "ifconfig wg0": 1}}
    _, up, _, again, down, _, later = play(
        system,
        FULL,
        ["run", "up", "wg0"],
        ["until", "pid files", ["wg0@0.monitor"]],
        ["world", blind],
        ["run", "up", "wg0"],
        ["run", "down", "wg0"],
        ["world", {"fail": {"ifconfig -a": None, "ifconfig wg0": None}}],
        ["run", "down", "wg0"],
    )
    said = "wg-quick: cannot tell which interfaces there are"
    kept = ("routes", "resolvconf", "resolv.conf", "interfaces", "journals", "monitors")
    for each in (again, down):
        assert each["status"] == 1
        assert said in each["err"]
        assert {what: each[what] for what in kept} == {what: up[what] for what in kept}
    assert later["status"] == 0, later["err"]
    clean(later)
