# SPDX-License-Identifier: MIT
"""Least privilege: what a running engine gives up once it has all that it needs.

Not here: how each system is asked for it (`linux.py`; the other systems have no module
yet).  The rule: every step is taken as far as this system allows and says what came of it;
none of them keeps a tunnel from starting.  docs/decisions/0060 has the table.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from contextlib import suppress

__all__ = ["confine"]


# What every kernel we run on has; Landlock is newer than some of them.
_EXPECTED = ("capabilities", "seccomp")


def confine(
    directory: str, *, say: Callable[[str], None], warn: Callable[[str], None] | None = None
) -> None:
    """Give up everything but serving; of files, only those in `directory` can still be removed.

    Call it last, in the process that is to stay: what is not imported by then never will be.
    `warn` is told instead of `say` that a step which every Linux has came to nothing.
    """
    if not sys.platform.startswith("linux"):
        say("Not confined: not on this system")
        return
    from wgtools.daemon.confine import linux
    from wgtools.daemon.confine.warmup import warm_up

    warm_up()
    others = _other_threads()
    machine, program = os.uname().machine, _program()
    # Files when no more has to be opened; seccomp at the end, as it forbids the rest of this.
    steps: tuple[tuple[str, Callable[[], str]], ...] = (
        ("no_new_privs", linux.gain_nothing),
        ("capabilities", linux.keep_needed),
        ("Landlock", lambda: linux.restrict_files(directory)),
        ("seccomp", lambda: linux.use_filter(machine, program)),
    )
    for name, step in steps:
        try:
            came = step()
        except OSError as e:
            came = f"none ({e.strerror})"
        failed = name in _EXPECTED and came.startswith("none (")
        (warn if failed and warn is not None else say)(f"Confined by {name}: {came}")
    if others:
        say(f"Confined by seccomp alone: {others} other threads, which we never meant to have")


def _other_threads() -> int:
    """Capabilities and Landlock are each thread's own affair; seccomp takes them all."""
    try:
        return len(os.listdir("/proc/self/task")) - 1
    except OSError:
        return 0


def _program() -> bytes:
    """The seccomp filter for this process; empty if we have no table for it."""
    from wgtools.daemon.confine.bpf import assemble
    from wgtools.daemon.confine.calls import KILLED, allowed
    from wgtools.daemon.confine.numbers import ARCHITECTURES

    architecture = ARCHITECTURES.get(os.uname().machine)
    if architecture is None or struct.calcsize("P") != 8:
        return b""
    return assemble(architecture, allowed(unix_query=not _is_glibc()), KILLED)


def _is_glibc() -> bool:
    with suppress(ValueError, OSError):
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    return False
