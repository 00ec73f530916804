# SPDX-License-Identifier: MIT
"""A process in namespaces of its own that runs cases with one command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

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
