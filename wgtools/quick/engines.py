# SPDX-License-Identifier: MIT
"""Which WireGuard carries an interface: the kernel's, our own engine, or a program.

The kernel's whenever it has one.  Else the program that WG_QUICK_USERSPACE_IMPLEMENTATION
names, else the engine of this project (WG_QUICK_COMPAT section 16; an original would try
wireguard-go).  Either way the program is expected to go to the background by itself
once `/var/run/wireguard/NAME.sock` answers.
"""

from __future__ import annotations

import os
import sys

from wgtools.quick.apply import NOT_FOUND, CommandFailed, run

__all__ = ["start_userspace", "userspace_command"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VARIABLE = "WG_QUICK_USERSPACE_IMPLEMENTATION"


def userspace_command(environ: Mapping[str, str]) -> tuple[list[str], str]:
    """(argv less the interface's name, the name of the program for the echo)."""
    named = environ.get(VARIABLE, "")
    if named:
        return [named], named
    # The interpreter we run in, not PATH, knows where we are; -P keeps the current
    # directory, anybody's, off root's import path.
    return [sys.executable, "-P", "-m", "wgtools.daemon"], "wgtools-engine"


def start_userspace(
    name: str, *, env: Mapping[str, str], echo: Callable[[str], None], say: Callable[[str], None]
) -> None:
    """Start the program for an interface that the kernel would not make."""
    argv, shown = userspace_command(os.environ)
    say("[!] The kernel has no WireGuard here: using a slower userspace implementation.")
    echo(f"{shown} {name}")
    try:
        run([*argv, name], name=shown, data=b"", env=env, detached=True)
    except CommandFailed as error:
        if error.exit_code == NOT_FOUND:
            error.hint = f"{VARIABLE} names no program on PATH; unset it to use our own engine"
        raise
