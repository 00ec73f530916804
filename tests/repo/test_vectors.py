# SPDX-License-Identifier: MIT
"""Every file of vectors says in its header where it came from and under which licence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

VECTORS = sorted((Path(__file__).parents[1] / "vectors").rglob("*.json"))


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.name)
def test_a_file_of_vectors_has_an_origin_and_a_licence(path: Path) -> None:
    header = json.loads(path.read_bytes())
    for word in ("origin", "licence"):
        assert isinstance(header.get(word), str), f"no {word}"
        assert header[word].strip()


def test_there_are_vectors() -> None:
    assert len(VECTORS) >= 11
