# SPDX-License-Identifier: MIT
"""A configuration file as it was written: every byte, and where everything stands.

This is the one reading of the text that both grammars share: `wg`'s (conf/wgconf.py)
and wg-quick's (conf/quickfile.py) walk the same lines.  It judges nothing.  A
document written unchanged is the same bytes; one edited keeps everything else.
Everything is bytes: nothing is decoded, and lines end at LF only (WG_COMPAT 19).
"""

from __future__ import annotations

__all__ = ["Document", "Line"]


class Line:
    """One line: its number (from 1) and its bytes, without the LF."""

    __slots__ = ("number", "raw")

    def __init__(self, number: int, raw: bytes) -> None:
        self.number = number
        self.raw = raw

    def column(self, part: bytes) -> int:
        """Column (in bytes, from 1) where `part` first stands; 0 if it does not."""
        return self.raw.find(part) + 1 if part else 0


class Document:
    """The lines of a file, its name for messages, and whether the last LF was there."""

    __slots__ = ("lines", "name", "newline_at_end")

    def __init__(self, data: bytes, name: str = "") -> None:
        rows = data.split(b"\n")
        self.newline_at_end = rows[-1] == b""
        if self.newline_at_end:
            rows.pop()
        self.name = name
        self.lines = [Line(number, raw) for number, raw in enumerate(rows, 1)]

    def to_bytes(self) -> bytes:
        body = b"\n".join([line.raw for line in self.lines])
        return body + b"\n" if self.lines and self.newline_at_end else body
