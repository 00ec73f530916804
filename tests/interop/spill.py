# SPDX-License-Identifier: MIT
"""No private or preshared key of a test may be in what our programs said or logged.

Looked for at the end of each test, in base64 and in hexadecimal, in what Host.call brought
back and in the daemons' logs.  It knows the keys of the files and standard inputs of the
test, and skips the commands that print keys on purpose.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["Heard", "keys_in", "spilled"]

_KEY = r"([A-Za-z0-9+/]{43}=)"
_SECRET = re.compile(rf"(?i)(?:private|preshared)_?key\s*=\s*{_KEY}|\A\s*{_KEY}\s*\Z")
_PUBLIC = re.compile(rf"(?i)public_?key\s*=\s*{_KEY}")
_OURS = {"wg", "wg-quick", "wgtools-engine"}
_ON_PURPOSE = {
    *("genkey", "genpsk", "pubkey", "showconf", "strip", "dump"),
    *("private-key", "preshared-keys"),
}
_MOST = 1 << 20  # bytes of a file that are searched for keys


class Heard:
    """What was written for programs, and what they said."""

    def __init__(self) -> None:
        self.given: list[str] = []
        self.said: list[tuple[str, str]] = []

    def command(
        self, words: Sequence[str], stdin: str, stdout: str, stderr: str, *, shows: bool = False
    ) -> None:
        """`shows`: it was told to print keys."""
        self.given.append(stdin)
        ours = _OURS.intersection(map(os.path.basename, words))
        on_purpose = shows or _ON_PURPOSE.intersection(words)
        text = stderr + (stdout if ours and not on_purpose else "")
        self.said.append((" ".join(words), text))


def keys_in(texts: Iterable[str]) -> set[str]:
    """Secret keys; one that is somebody's public key as well is none."""
    secret: set[str] = set()
    public: set[str] = set()
    for text in texts:
        secret |= {one or other for one, other in _SECRET.findall(text)}
        public |= set(_PUBLIC.findall(text))
    return secret - public


def spilled(heard: Heard, directory: Path) -> list[str]:
    """Who gave a key away: commands, and logs below the directory of the test."""
    files = [path for path in directory.rglob("*") if path.is_file() and not path.is_symlink()]
    texts = {path: path.read_bytes()[:_MOST].decode(errors="replace") for path in files}
    logs = [(path.name, text) for path, text in texts.items() if path.suffix == ".log"]
    written = [text for path, text in texts.items() if path.suffix != ".log"]
    keys = keys_in([*heard.given, *written])
    needles = keys | {base64.b64decode(key).hex() for key in keys}
    return [who for who, text in (*heard.said, *logs) if any(key in text for key in needles)]
