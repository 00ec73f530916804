# SPDX-License-Identifier: MIT
"""What README claims and names is so."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("vectors", ["wg", "wg_quick"])
def test_counts_of_recorded_cases(vectors: str) -> None:
    cases = json.loads((ROOT / f"tests/vectors/{vectors}.json").read_text())["cases"]
    command = vectors.replace("_", "-")
    assert re.search(rf"\b{len(cases)}(?: recorded cases)? of `{command}`", README)


def test_every_file_and_folder_named_is_there() -> None:
    named = re.findall(r"`((?:wgtools|backends|docs|tests)/[\w/.]+)`|\]\((docs/[\w/.]+)\)", README)
    paths = [a or b for a, b in named]
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_make_target_named_is_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"`?make ([a-z]+)", README)) - {"network"} <= targets


def test_picture_shows_the_demo_and_fetches_nothing() -> None:
    svg = (ROOT / "docs/demo/demo.svg").read_text()
    for shown in ("wg-quick", "latest", "handshake", "transfer"):
        assert shown in svg
    assert "url(http" not in svg
    assert "@import" not in svg
