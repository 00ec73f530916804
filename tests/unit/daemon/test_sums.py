# SPDX-License-Identifier: MIT
"""Sums by numpy are those of plain Python; without numpy, or with a wrong one, they are plain."""

from __future__ import annotations

import os
import random
import sys
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgtools.daemon.sums import best_sums, numpy_sums
from wgtools.engine.offload import checksums_of

numpy: Any = pytest.importorskip("numpy")


@given(
    st.integers(0, 70),
    st.integers(1, 1501),
    st.integers(-1400, 200),
    st.integers(1, 60),
    st.integers(0, 2**32),
)
def test_numpy_adds_up_as_plain_python_does(
    first: int, size: int, gap: int, count: int, seed: int
) -> None:
    stride = max(1, size + gap)
    view = memoryview(random.Random(seed).randbytes(first + stride * count + size))
    starts = [first + stride * place for place in range(count)]
    assert numpy_sums(numpy)(view, starts, size) == checksums_of(view, starts, size)


def test_the_greatest_sums_do_not_overflow() -> None:
    view = memoryview(b"\xff" * 70_000)
    for starts, size in (([0, 2000], 60_003), (list(range(0, 40_000, 1000)), 1500)):
        assert numpy_sums(numpy)(view, starts, size) == checksums_of(view, starts, size)


@pytest.mark.parametrize("starts", [[0, 3000, 4500, 6000], [0, 0, 0], [6000, 3000, 0], [5000]])
def test_pieces_that_do_not_lie_evenly_are_added_up_one_by_one(starts: list[int]) -> None:
    view = memoryview(random.Random(1).randbytes(20_000))
    assert numpy_sums(numpy)(view, starts, 3000) == checksums_of(view, starts, 3000)


def test_numpy_is_used_where_it_is() -> None:
    assert best_sums() is not checksums_of


def test_no_pool_of_threads_whatever_the_environment_asks_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "4")
    best_sums()
    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"


def test_without_numpy_sums_are_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert best_sums() is checksums_of


class _Wrong(ModuleType):
    """A numpy that adds up wrongly."""

    ndarray, dtype, array, uint64 = numpy.ndarray, numpy.dtype, numpy.array, numpy.uint64

    class add:
        @staticmethod
        def reduce(table: Any, _axis: int, kind: Any) -> Any:
            return table.max(1).astype(kind)


def test_a_numpy_that_adds_up_wrongly_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", _Wrong("numpy"))
    assert best_sums() is checksums_of


def test_a_numpy_that_cannot_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(_Wrong):
        class add:
            @staticmethod
            def reduce(*_: object) -> None:
                raise RuntimeError

    monkeypatch.setitem(sys.modules, "numpy", Broken("numpy"))
    assert best_sums() is checksums_of
