# SPDX-License-Identifier: MIT
"""The world in which recorded cases run: made once for a whole session."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

WG = Path(sys.executable).parent / "wg"
WORKER = Path(__file__).with_name("worker.py")
NAMESPACES = ["unshare", "--mount", "--net", "--propagation", "private"]


class World:
    """The worker, and a way to hand it a case."""

    def __init__(self, command: str, cache: Path) -> None:
        rootless = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        self.worker = subprocess.Popen(
            [*NAMESPACES, *rootless, sys.executable, WORKER, command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**environ, "PYTHONPYCACHEPREFIX": str(cache)},
        )
        ready = self.answer()
        if ready is None:
            raise RuntimeError("no namespaces for the recorded cases")
        self.kernel_wireguard: bool = ready["kernel_wireguard"]

    def answer(self) -> Any:
        assert self.worker.stdout is not None
        return json.loads(self.worker.stdout.readline() or "null")

    def run(self, case: dict[str, Any]) -> dict[str, Any]:
        assert self.worker.stdin is not None
        self.worker.stdin.write(json.dumps(case) + "\n")
        self.worker.stdin.flush()
        result: dict[str, Any] = self.answer()
        return {**result, "kernel_wireguard": self.kernel_wireguard}

    def close(self) -> None:
        assert self.worker.stdin is not None
        assert self.worker.stdout is not None
        self.worker.stdin.close()
        self.worker.wait(10)
        self.worker.stdout.close()


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
