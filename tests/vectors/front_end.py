# SPDX-License-Identifier: MIT
"""`wg` inside this process, on one backend: what it prints and how it ends.

Only the edges are replaced: the command line, the descriptors, and which backends there
are.  Everything between them is the installed code.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from wgtools import ipc
from wgtools.cli import streams, wg
from wgtools.testing.memory_backend import MemoryBackend


class Result:
    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err

    def clean(self) -> bool:
        """Whether it failed as a command should: one line for a person and no result."""
        lines = self.err.splitlines()
        told = len(lines) == 1 and "internal error" not in self.err and "Traceback" not in self.err
        return self.status == 1 and not self.out and told


def run(backend: Any, words: list[str]) -> Result:
    """`wg WORDS` where `backend` is the kernel and no daemon runs."""
    written = {1: "", 2: ""}

    def write(descriptor: int, data: str) -> None:
        written[descriptor] += data

    def load(module: str) -> Any:
        return MemoryBackend() if module == ipc._USERSPACE else backend

    with (
        mock.patch.object(ipc, "_load", load),
        mock.patch.dict(ipc._KERNEL, {sys.platform: "replayed"}),
        mock.patch.object(streams, "_write", write),
        mock.patch.object(streams, "no_core_dumps"),
        mock.patch.object(streams, "is_terminal", return_value=False),
        mock.patch.object(wg, "_let_signals_kill"),
        mock.patch.object(sys, "argv", ["wg", *words]),
    ):
        try:
            status = wg.main()
        finally:
            gc.enable()
    return Result(status, written[1], written[2])


def with_files(words: list[str], files: dict[str, str], directory: Path) -> list[str]:
    """The words of a recorded case, `@name` being the path of one of its files."""
    for name, text in files.items():
        (directory / name).write_text(text)
    named = {f"@{name}": str(directory / name) for name in files}
    return [named.get(word, word) for word in words]
