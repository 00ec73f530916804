# SPDX-License-Identifier: MIT
"""`wg showconf`: a device as a configuration file (WG_COMPAT 9)."""

from __future__ import annotations

from wgtools import ipc
from wgtools.cli import streams
from wgtools.conf.writer import write
from wgtools.errors import AccessError, UsageError, WgError

__all__ = ["showconf"]


def showconf(program: str, words: list[bytes]) -> int:
    """Print what `wg setconf` would accept."""
    if len(words) != 1:
        raise UsageError(f"Usage: {program} showconf NAME")
    try:
        device = ipc.get(streams.text(words[0]))
    except AccessError as error:
        raise WgError(f"Unable to access interface: {error.message}", hint=error.hint) from error
    streams.out(write(device))
    return 0
