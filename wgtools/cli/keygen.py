# SPDX-License-Identifier: MIT
"""`wg genkey`, `wg genpsk`, `wg pubkey`: keys through pipes, never through arguments
(WG_COMPAT 10)."""

from __future__ import annotations

import os
from stat import S_ISREG

from wgtools.cli import streams
from wgtools.errors import InvalidKey, UsageError, WgError
from wgtools.keys import KEY_SIZE, Key

__all__ = ["genkey", "genpsk", "pubkey"]

_KEY_TEXT = 44
_SKIPPED = b"\0\t\n\v\f\r "  # what may follow a key on stdin
_CHUNK = 1 << 16
_OTHERS = 0o007


def genkey(program: str, words: list[bytes]) -> int:
    """A new private key."""
    _no_arguments(program, "genkey", words)
    streams.out(Key.from_entropy(_random()).base64() + "\n")
    return 0


def genpsk(program: str, words: list[bytes]) -> int:
    """A new preshared key."""
    _no_arguments(program, "genpsk", words)
    streams.out(Key(_random()).base64() + "\n")
    return 0


def pubkey(program: str, words: list[bytes]) -> int:
    """The public key of the private key on stdin."""
    _no_arguments(program, "pubkey", words)
    wrong = WgError(f"{program}: Key is not the correct length or format")
    try:
        head = streams.read_exactly(_KEY_TEXT)
    except OSError:
        head = b""
    if len(head) != _KEY_TEXT:
        raise wrong
    while tail := _read_on():
        if tail.strip(_SKIPPED):
            raise WgError(f"{program}: Trailing characters found after key")
    try:
        private = Key.from_base64(head)
    except InvalidKey:
        raise wrong from None
    from wgtools.crypto.x25519 import public_key  # only now: it is the slow import

    streams.out(Key(public_key(bytes(private))).base64() + "\n")
    return 0


def _read_on() -> bytes:
    try:
        return os.read(0, _CHUNK)
    except OSError:
        return b""


def _no_arguments(program: str, verb: str, words: list[bytes]) -> None:
    if words:
        raise UsageError(f"Usage: {program} {verb}")


def _random() -> bytes:
    """32 random bytes, after a warning if anybody may read where they go."""
    try:
        mode = os.fstat(1).st_mode
    except OSError:  # stdout is closed
        mode = 0
    if S_ISREG(mode) and mode & _OTHERS:
        streams.err(
            "Warning: writing to world accessible file.\n"
            "Consider setting the umask to 077 and trying again."
        )
    try:
        return os.urandom(KEY_SIZE)
    except OSError as error:
        raise WgError(f"getrandom: {os.strerror(error.errno or 0)}") from error
