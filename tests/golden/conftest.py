# SPDX-License-Identifier: MIT
"""The world in which recorded cases run: made once for a whole session."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.golden.world import World

WG = Path(sys.executable).parent / "wg"


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], World]]:
    """`worlds(command)` is the world in which `command` runs."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("unshare and ip are not installed")
    made: dict[str, World] = {}

    def world(command: str) -> World:
        if command not in made:
            try:
                made[command] = World(command, tmp_path_factory.mktemp("bytecode"))
            except RuntimeError as error:
                pytest.skip(str(error))
        return made[command]

    yield world
    for one in made.values():
        one.close()


@pytest.fixture
def run_wg(worlds: Callable[[str], World]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Run a case with the installed `wg`."""
    return worlds(str(WG)).run
