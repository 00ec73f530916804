# SPDX-License-Identifier: MIT
"""Every fuzz target for a few seconds, and none of them leaves memory behind.

`make fuzz` does the same for longer and guided by coverage (run.py).  What it finds is
fixed and added to the target's seeds or, better, gets a test with a name elsewhere.
"""

from __future__ import annotations

import gc
import os
import time
import tracemalloc
from itertools import islice

import pytest

from tests.fuzz.catalogue import TARGETS
from tests.fuzz.mutator import inputs

# In CI the same inputs every time, and no more of them on a faster machine; elsewhere new ones.
SAME = bool(os.environ.get("WGTOOLS_NO_SKIP"))
SEED = 51820 if SAME else time.time_ns()
SECONDS = 40.0 / len(TARGETS)
LEAST = 20  # inputs, however slow the machine
MOST = 10_000 if SAME else None  # inputs; all targets have stood more of them than come here

_ROUND = 25  # inputs
_SLACK = 16 << 10  # bytes that interpreters take for themselves; a leak of ours would be more


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_breaks(name: str) -> None:
    target = TARGETS[name]
    end = time.monotonic() + SECONDS
    for tried, data in enumerate(islice(inputs(target.seeds, target.tokens, SEED), MOST)):
        if tried >= LEAST and time.monotonic() > end:
            return
        try:
            target.run(data)
        except BaseException:
            print(f"seed {SEED}, input {tried}: {data!r}")
            raise


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_is_left_behind(name: str) -> None:
    """The same inputs again take no more memory than they took before."""
    target = TARGETS[name]
    some = list(islice(inputs(target.seeds, target.tokens, 7), _ROUND))

    def after_a_round() -> int:
        for data in some:
            target.run(data)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        after_a_round()  # imports, caches, first times of all kinds
        before = after_a_round()
        least = min(after_a_round() - before for _ in range(2))
    finally:
        tracemalloc.stop()
    assert least < _SLACK
