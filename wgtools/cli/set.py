# SPDX-License-Identifier: MIT
"""`wg set`: words on the command line change a device (WG_COMPAT 6)."""

from __future__ import annotations

import os

from wgtools import ipc
from wgtools.cli import streams
from wgtools.conf import arguments, values
from wgtools.errors import AccessError, ConfigError, UsageError, WgError
from wgtools.model import NAME_MAX
from wgtools.resolve import Resolver

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from wgtools.keys import Key

__all__ = ["change"]

_KEY_TEXT = 44
_CHUNK = 1 << 12


def change(program: str, words: list[bytes]) -> int:
    """Send what the words ask for, in one operation."""
    if len(words) < 2:
        raise UsageError(
            f"Usage: {program} set NAME [listen-port PORT] [fwmark MARK] [private-key FILE] "
            "[peer KEY [remove] [preshared-key FILE] [endpoint HOST:PORT] "
            "[persistent-keepalive SECONDS] [allowed-ips [+|-]IP/LEN[,...]]]..."
        )
    name = streams.text(words[0][:NAME_MAX])  # cut, inside a character too (WG_COMPAT 4.8)
    wanted = arguments.parse(
        words[1:], read_key=_key_from, resolver=Resolver(streams.err), warn=streams.err
    )
    try:
        ipc.set(name, wanted)
    except AccessError as error:
        raise WgError(f"Unable to modify interface: {error.message}", hint=error.hint) from error
    return 0


def _key_from(path: bytes) -> Key:
    """The key in a file (4.2); reads on behind it only until something is wrong there."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError as error:
        text = f"fopen: {os.strerror(error.errno or 0)}"
        raise ConfigError(text, hint=f"the file that was named is {streams.text(path)}") from error
    try:
        content, clean = _read_key_text(file)
    finally:
        os.close(file)
    return values.key_file(content, may_be_empty=clean)


def _read_key_text(file: int) -> tuple[bytes, bool]:
    """What the file holds, and whether an empty one can be trusted to be empty."""
    try:
        content = streams.read_exactly(_KEY_TEXT, file)
        if not content:
            os.lseek(file, 0, os.SEEK_CUR)  # fails on a pipe, whose writer may have failed
            return b"", True
        while len(content) >= _KEY_TEXT and (tail := os.read(file, _CHUNK)):
            content += tail
            if tail.strip(values.BLANKS):
                break
    except OSError:
        return b"", False
    return content, False
