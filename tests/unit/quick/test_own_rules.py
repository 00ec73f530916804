# SPDX-License-Identifier: MIT
"""Whose rules those are that a journal names, once its link is gone (quick/plan.py)."""

from __future__ import annotations

import pytest

from wgtools.quick.plan import own_rules
from wgtools.quick.steps import Rule

PAIR = [Rule(4, 32765, 51820), Rule(4, 32764)]
SIX = [Rule(6, 32765, 51820), Rule(6, 32764)]
OTHER = [Rule(4, 32763, 51821), Rule(4, 32762)]


@pytest.mark.parametrize(
    ("noted", "present", "used", "ours"),
    [
        (PAIR, [*OTHER, *PAIR], set(), PAIR),
        (PAIR, OTHER, {51821}, []),
        (PAIR, PAIR[1:], set(), PAIR[1:]),
        (PAIR, PAIR, {51820}, []),
        (PAIR + OTHER, PAIR + OTHER, {51820}, OTHER),
        (PAIR + SIX, PAIR + SIX, set(), PAIR + SIX),
        ([], PAIR, set(), []),
    ],
    ids=["there", "gone", "half", "another-tunnel's", "some", "both-families", "none"],
)
def test_own_rules(
    noted: list[Rule], present: list[Rule], used: set[int], ours: list[Rule]
) -> None:
    assert own_rules(noted, present, used.__contains__) == ours
