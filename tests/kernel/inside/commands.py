# SPDX-License-Identifier: MIT
"""Running commands where each start is dear: Python takes 0.3 s to start in the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# What the verbs import when they are asked for.
from wgtools.cli import set as _set  # noqa: F401  # before the fork
from wgtools.cli import setconf as _setconf  # noqa: F401  # before the fork
from wgtools.cli import show as _show  # noqa: F401  # before the fork
from wgtools.cli import showconf as _showconf  # noqa: F401  # before the fork
from wgtools.cli import views as _views  # noqa: F401  # before the fork
from wgtools.cli import wg as command

# And what ipc loads by name.
from wgtools_backends.linux import socket as _linux  # noqa: F401  # before the fork
from wgtools_backends.uapi import Backend as _Userspace  # noqa: F401  # before the fork

__all__ = ["BIN", "THEIRS", "run", "wg"]

BIN = Path(sys.executable).parent
THEIRS = "/usr/bin/wg"


def run(*words: str, status: int = 0, given: str | None = None) -> str:
    """What the command prints, on stderr if it is to fail."""
    done = subprocess.run(words, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == status, (words, done.stdout, done.stderr)
    return done.stderr if status else done.stdout


def wg(*words: str, status: int = 0) -> str:
    """The same of our `wg`, in a child of this process instead of a new Python."""
    out, err = os.memfd_create("out"), os.memfd_create("err")
    child = os.fork()
    if child == 0:
        result = 99
        try:
            os.dup2(out, 1)
            os.dup2(err, 2)
            sys.argv = ["wg", *words]
            result = command.main()
        finally:
            os._exit(result)
    exited = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    said = [_contents(descriptor) for descriptor in (out, err)]
    assert exited == status, (words, said)
    return said[1] if status else said[0]


def _contents(descriptor: int) -> str:
    with open(descriptor, "rb") as file:
        file.seek(0)
        return file.read().decode()
