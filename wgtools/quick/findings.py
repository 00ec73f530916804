# SPDX-License-Identifier: MIT
"""One remark of `check`, and what `up` would refuse as such a remark.

quick/lint.py compares lines; here a mistake that quick/check.py has found gets its code, its
place in characters and words that say more than those `wg` is held to.  Pure.  No message
holds what may be a key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wgtools.conf.advice import (
    BOM,
    NO_BOM,
    advice_on,
    lacks_equals,
    plainly,
    similar,
    spelled_out,
)
from wgtools.quick.lintparts import KEY_LIKE
from wgtools.quick.wgpart import NotText

if TYPE_CHECKING:
    from wgtools.errors import ConfigError

__all__ = ["ERROR", "NOTE", "WARNING", "Finding", "refused", "warned"]

ERROR, WARNING, NOTE = "error", "warning", "note"

_KEY_SIZE_HINT = "a key is 44 characters of base64, the last of them ="


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark.  Line and column count from 1 (the column in characters); 0 is "the file"."""

    severity: str
    code: str
    message: str
    line: int = 0
    column: int = 0
    length: int = 1
    hint: str = ""


def warned(error: ConfigError, row: bytes) -> Finding:
    """What `up` would only warn of; `row` is the line that it is about."""
    column, length = _place(error, row)
    return Finding(WARNING, "setting", error.message, error.line, column, length, error.hint)


def refused(error: ConfigError, row: bytes, header: str) -> Finding:
    """What `up` would stop at; `header` is that of the section, in small letters."""
    if isinstance(error, NotText):
        return Finding(ERROR, "not-text", error.message, hint=error.hint)
    if error.message.startswith("Line unrecognized"):
        # The line may be a key behind a mistyped name: quote no more than the name.
        return _unknown(error.line, row.decode("utf-8", "replace"), header)
    code, message, hint = "syntax", error.message, error.hint
    column, length = _place(error, row)
    written = row.decode("utf-8", "replace")[column - 1 :]
    if message.startswith("Key "):
        code, message = "key", message.partition(": `")[0]
        hint = hint or _KEY_SIZE_HINT
        if written.startswith(('"', "'")):
            hint = "take out the quotation marks"
    elif message.startswith("A peer is missing"):
        code, column, length = "missing-key", 1, len("[Peer]")
    message, hint = plainly(message, hint, written)
    message = KEY_LIKE.sub("(hidden)", message)
    return Finding(ERROR, code, message, error.line, column, length, hint)


def _place(error: ConfigError, row: bytes) -> tuple[int, int]:
    """Column and length in characters, to the end of the word that is quoted or of the line."""
    before, behind = row[: max(0, error.column - 1)], row[max(0, error.column - 1) :]
    word = behind.partition(b"#")[0].rstrip().decode("utf-8", "replace")
    quoted = re.search(r"`([^']+)'", error.message)
    if quoted and word.startswith(quoted[1]):
        word = quoted[1]
    return len(before.decode("utf-8", "replace")) + 1, max(1, len(word))


def _unknown(line: int, text: str, header: str) -> Finding:
    body = text.partition("#")[0]
    column = len(body) - len(body.lstrip()) + 1
    name, equals, value = (part.strip() for part in body.partition("="))
    if text.startswith(BOM.decode()):
        message, code, hint = "the file begins with a byte-order mark", "syntax", NO_BOM
        name = body.strip()
    elif name.startswith("["):
        hint = similar(name, ("[Interface]", "[Peer]")) or "sections: [Interface] and [Peer]"
        message, code = f"there is no section `{name}'", "unknown-section"
    elif not equals or lacks_equals(name, value):
        name = body.strip()
        message, code, hint = "this line says nothing", "syntax", spelled_out(name)
    elif not value:
        message, code, hint = f"`{name}' has no value", "syntax", "give it one, or remove it"
    elif not header:
        message, code = f"`{name}' stands before any section", "no-section"
        hint = "put a line [Interface] above it"
    else:
        message, code = f"there is no setting `{name}' under {header.title()}", "unknown-key"
        hint = advice_on(name, header)
    message = KEY_LIKE.sub("(hidden)", message)
    return Finding(ERROR, code, message, line, column, max(1, len(name)), hint)
