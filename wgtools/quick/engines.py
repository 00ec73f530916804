# SPDX-License-Identifier: MIT
"""Which WireGuard carries an interface: the kernel's, our own engine, or a program.

WG_QUICK_ENGINE, or `up --engine=`, says which: `auto`, `kernel`, `embedded` (our own
engine) or a program.  `auto` is the kernel's whenever it has one, else the program that
WG_QUICK_USERSPACE_IMPLEMENTATION names, else our own (WG_QUICK_COMPAT section 16; an
original would try wireguard-go).  A program is expected to go to the background by
itself once `/var/run/wireguard/NAME.sock` answers.
"""

from __future__ import annotations

import errno
import os
import sys

from wgtools.errors import AccessError, WgError
from wgtools.quick import interpreter
from wgtools.quick.apply import NOT_FOUND, CommandFailed, find_program, run

__all__ = [
    "AUTO",
    "EMBEDDED",
    "KERNEL",
    "choice",
    "kernel_only",
    "launch",
    "no_kernel",
    "refused",
    "require",
    "start_userspace",
    "userspace_command",
    "wants_kernel",
]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wgtools.model import DeviceChange

VARIABLE = "WG_QUICK_USERSPACE_IMPLEMENTATION"
ENGINE = "WG_QUICK_ENGINE"
NO_KERNEL = "[!] The kernel has no WireGuard here: using a slower userspace implementation."
AUTO, KERNEL, EMBEDDED = "auto", "kernel", "embedded"


def choice(environ: Mapping[str, str]) -> str:
    """`auto`, `kernel`, `embedded` or a program."""
    return environ.get(ENGINE, "") or AUTO


def wants_kernel(environ: Mapping[str, str]) -> bool:
    """Whether the kernel is asked first."""
    return choice(environ) in (AUTO, KERNEL)


def kernel_only(environ: Mapping[str, str]) -> bool:
    return choice(environ) == KERNEL


def require(environ: Mapping[str, str]) -> None:
    """Raises WgError if the engine asked for is a program that is not there."""
    named = choice(environ)
    if named in (AUTO, KERNEL, EMBEDDED):
        return
    path = named if "/" in named else find_program(named)
    if not (path and os.access(path, os.X_OK) and os.path.isfile(path)):
        raise WgError(
            f"there is no engine `{named}'",
            hint="an engine is auto, kernel, embedded, or a program on PATH such as wireguard-go",
            exit_code=NOT_FOUND,
        )


def no_kernel(remedy: str = "modprobe wireguard") -> WgError:
    """For who will have no other engine than the kernel's."""
    ours = "--engine=embedded uses our own engine"
    return WgError(
        "the kernel has no WireGuard here, and no other engine was to be used",
        hint=f"{remedy} may help; {ours}" if remedy else ours,
    )


def userspace_command(environ: Mapping[str, str]) -> tuple[list[str], str]:
    """(argv less the interface's name, the name of the program for the echo)."""
    chosen = choice(environ)
    by_engine = "" if chosen in (AUTO, KERNEL, EMBEDDED) else chosen
    named = by_engine or ("" if chosen == EMBEDDED else environ.get(VARIABLE, ""))
    if named:
        return [named], named
    shown = "wgtools-engine"
    return interpreter.module("wgtools.daemon.__main__", shown), shown


def start_userspace(
    name: str, *, env: Mapping[str, str], echo: Callable[[str], None], say: Callable[[str], None]
) -> None:
    """Start the program for an interface that the kernel would not, or shall not, make."""
    _, shown = userspace_command(os.environ)
    if choice(os.environ) == AUTO:
        say(NO_KERNEL)
    echo(f"{shown} {name}")
    launch(name, env=env)


def refused(error: AccessError, change: DeviceChange) -> AccessError:
    """What to say when an interface did not take its configuration."""
    hint = error.hint
    if error.errno == errno.EADDRINUSE and change.listen_port and not hint:
        hint = f"another program has UDP port {change.listen_port}; it, or ListenPort, must change"
        if sys.platform == "linux":
            hint += f"; to see which, type: ss -ulnp sport = :{change.listen_port}"
    text = f"Unable to modify interface: {error.message}"
    return AccessError(text, errno=error.errno, hint=hint)


def launch(word: str, *, env: Mapping[str, str]) -> None:
    """The program is told this word: the name, or where the system gives names `utun`."""
    argv, shown = userspace_command(os.environ)
    try:
        run([*argv, word], name=shown, data=b"", env=env, detached=True)
    except CommandFailed as error:
        if error.exit_code == NOT_FOUND:
            which = ENGINE if shown == choice(os.environ) else VARIABLE
            error.hint = f"{which} names no program on PATH; unset it to use our own engine"
        raise
