# SPDX-License-Identifier: MIT
"""`wg setconf`, `wg addconf`, `wg syncconf`: a file changes a device (WG_COMPAT 5, 7).

The device is not touched before the whole file has been understood.
"""

from __future__ import annotations

import os

from wgtools import ipc
from wgtools.cli import streams
from wgtools.conf import wgconf
from wgtools.conf.diff import difference, replacing
from wgtools.conf.document import Document
from wgtools.errors import AccessError, ConfigError, UsageError, WgError
from wgtools.model import NAME_MAX
from wgtools.resolve import Resolver

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from wgtools.model import DeviceChange

__all__ = ["addconf", "setconf", "syncconf"]

_CHUNK = 1 << 20


def setconf(program: str, words: list[bytes]) -> int:
    """Make the device what the file says."""
    name, wanted = _read(program, "setconf", words)
    return 1 if wanted is None else _apply(name, replacing(wanted))


def addconf(program: str, words: list[bytes]) -> int:
    """Send what the file says and no more."""
    name, wanted = _read(program, "addconf", words)
    return 1 if wanted is None else _apply(name, wanted)


def syncconf(program: str, words: list[bytes]) -> int:
    """Like setconf, leaving sessions of peers that stay alone."""
    name, wanted = _read(program, "syncconf", words)
    if wanted is None:
        return 1
    if not wanted.peers:
        return _apply(name, replacing(wanted))
    try:
        running = ipc.get(name)
    except AccessError as error:
        raise WgError(
            f"Unable to retrieve current interface configuration: {error.message}",
            hint=error.hint,
        ) from error
    return _apply(name, difference(wanted, running))


def _apply(name: str, change: DeviceChange) -> int:
    try:
        ipc.set(name, change)
    except AccessError as error:
        raise WgError(f"Unable to modify interface: {error.message}", hint=error.hint) from error
    return 0


def _read(program: str, verb: str, words: list[bytes]) -> tuple[str, DeviceChange | None]:
    """The name and the file's wishes; None, with everything said, if there is a mistake."""
    if len(words) != 2:
        raise UsageError(f"Usage: {program} {verb} NAME FILE")
    name = streams.text(words[0][:NAME_MAX])
    document = Document(_content(words[1]), streams.text(words[1]))
    try:
        return name, wgconf.parse(document, Resolver(streams.err), streams.err)
    except ConfigError as error:
        incomplete = isinstance(error, wgconf.IncompletePeer)
        streams.err(error.message)
        streams.err("Invalid configuration" if incomplete else "Configuration parsing error")
        streams.explain(error.where, error.hint)
        return name, None


def _content(path: bytes) -> bytes:
    """The whole file.  Raises WgError, for a directory too (docs/decisions/0003)."""
    try:
        file = os.open(path, os.O_RDONLY)
        try:
            pieces = []
            while piece := os.read(file, _CHUNK):
                pieces.append(piece)
        finally:
            os.close(file)
    except OSError as error:
        text = f"fopen: {os.strerror(error.errno or 0)}"
        raise WgError(text, hint=f"the file that was named is {streams.text(path)}") from error
    return b"".join(pieces)
