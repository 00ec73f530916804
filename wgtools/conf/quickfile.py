# SPDX-License-Identifier: MIT
"""wg-quick's grammar: which lines of a file are its own, and which are for wg(8).

Pure, and no judge: an address that is none is still read (quick/check.py judges).
The grammar is that of WG_QUICK_COMPAT section 3, to the byte: lines are trimmed of
blanks and tabs, words of the C locale's white space; `#` starts a comment except in
the text of a hook; keys ignore case; only `[Interface]` sections are looked at.

Every value knows its line and column, so whoever judges it can point at it.  Text
leaves as str with bytes that are not UTF-8 as surrogate escapes.
"""

from __future__ import annotations

from wgtools.conf.document import Document

__all__ = ["HOOKS", "SPELLED", "QuickFile", "Value"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from wgtools.conf.document import Line

_BLANK = b" \t"
_SPACE = b" \t\r\v\f"  # the C locale's, less LF, which ends the line
SPELLED = {"preup": "PreUp", "postup": "PostUp", "predown": "PreDown", "postdown": "PostDown"}
HOOKS = tuple(SPELLED)
_LISTS = ("address", "dns")
_SINGLES = ("mtu", "table", "saveconfig")


class Value:
    """A word or a hook from the file, and where it stands (both counted from 1)."""

    __slots__ = ("column", "line", "text")

    def __init__(self, text: str, line: int = 0, column: int = 0) -> None:
        self.text = text
        self.line = line
        self.column = column

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Value):
            return NotImplemented
        return (self.text, self.line, self.column) == (other.text, other.line, other.column)

    def __hash__(self) -> int:
        return hash((self.text, self.line, self.column))

    def __repr__(self) -> str:
        return f"Value({self.text!r}, {self.line}, {self.column})"


class QuickFile:
    """What one configuration file says to wg-quick.

    `wg_lines` are the lines that belong to wg(8), untouched, with their numbers; an
    empty MTU or Table is None, as if it had not been written.
    """

    __slots__ = ("addresses", "dns", "hooks", "mtu", "name", "save_config", "table", "wg_lines")

    def __init__(self, document: Document) -> None:
        self.name = document.name
        self.addresses: list[Value] = []
        self.dns: list[Value] = []
        self.mtu: Value | None = None
        self.table: Value | None = None
        self.save_config: Value | None = None  # the last one, whatever it says
        self.hooks: dict[str, list[Value]] = {kind: [] for kind in HOOKS}
        self.wg_lines: list[Line] = []
        inside = False
        for line in document.lines:
            if not inside and b"[" not in line.raw:  # most of a file of many peers
                self.wg_lines.append(line)
                continue
            raw = line.raw.replace(b"\0", b"").strip(_BLANK)
            key = raw.partition(b"#")[0].partition(b"=")[0].strip(_SPACE)
            lower = key.lower().decode("latin-1")
            if key.startswith(b"["):
                inside = lower == "[interface]"
            if not inside or not self._take(lower, line):
                self.wg_lines.append(line)

    def _take(self, key: str, line: Line) -> bool:
        """Keep what the line says if the key is wg-quick's; False if it is not."""
        if key in HOOKS:
            self.hooks[key].append(_value(line, line.raw))
        elif key in _LISTS:
            target = self.addresses if key == "address" else self.dns
            target.extend(_words(line))
        elif key in _SINGLES:
            value = _value(line, line.raw.partition(b"#")[0])
            if key == "saveconfig":
                self.save_config = value
            elif key == "mtu":
                self.mtu = value if value.text else None
            else:
                self.table = value if value.text else None
        else:
            return False
        return True

    def wg_document(self) -> Document:
        """The wg(8) part for `wg`'s own reader: lines keep their numbers and columns."""
        document = Document(b"", self.name)
        document.lines = [*self.wg_lines]
        return document

    def stripped(self) -> bytes:
        """The wg(8) part as `wg-quick strip` prints it: lines trimmed, one LF more."""
        lines = [line.raw.replace(b"\0", b"").strip(_BLANK) + b"\n" for line in self.wg_lines]
        return b"".join(lines) + b"\n"

    @property
    def saves(self) -> bool | None:
        """SaveConfig: True, False (also when absent), or None for a word that is neither."""
        word = "false" if self.save_config is None else self.save_config.text.lower()
        return {"true": True, "false": False}.get(word)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _value(line: Line, within: bytes) -> Value:
    """What stands after the first `=` of `within` (all of it if there is none), trimmed."""
    head, equals, tail = within.partition(b"=")
    body = tail if equals else head
    start = len(head) + 1 if equals else 0
    start += len(body) - len(body.lstrip(_SPACE))
    return Value(_text(body.replace(b"\0", b"").strip(_SPACE)), line.number, start + 1)


def _words(line: Line) -> list[Value]:
    """The items of a list: split at white space and commas, each with its column."""
    within = line.raw.partition(b"#")[0]
    head, equals, tail = within.partition(b"=")
    body, at = (tail, len(head) + 1) if equals else (head, 0)
    found = []
    for separator in (b",", b"\t", b"\r", b"\v", b"\f"):
        body = body.replace(separator, b" ")
    for word in body.split(b" "):
        if word:
            found.append(Value(_text(word.replace(b"\0", b"")), line.number, at + 1))
        at += len(word) + 1
    return found
