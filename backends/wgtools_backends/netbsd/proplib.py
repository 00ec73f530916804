# SPDX-License-Identifier: MIT
"""Property lists as proplib(3) has them in XML: text in, Python values out, and back.

Not an XML parser: only what NetBSD's kernel writes and reads, which plistlib would cost
30 ms of imports to read, and writes with decimal integers where older kernels need
hexadecimal ones (BSD_IPC 6).  Whatever text comes in, only Malformed goes out; nothing
recurses, so depth is bounded by a number and not by the stack.
"""

from __future__ import annotations

from binascii import Error as _Base64Error
from binascii import a2b_base64, b2a_base64

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Iterator

    Value = bool | int | str | bytes | list["Value"] | dict[str, "Value"]

__all__ = ["Malformed", "dump", "load"]

_OPENING = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<!DOCTYPE plist PUBLIC "-//Apple Computer//DTD PLIST 1.0//EN" '
    '"http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n'
    '<plist version="1.0">\n'
)
_CLOSING = "</plist>\n"
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&apos;", "'"), ("&quot;", '"'), ("&amp;", "&"))
_DEPTH_MAX = 16  # ours: a device's peers' allowed IPs are five deep
_DIGITS_MAX = 22  # of an integer's text: 64 bits, with sign and `0x`
_LEAVES = ("string", "data", "integer", "key")


class Malformed(ValueError):
    """This is no property list."""


def dump(value: dict[str, Value]) -> str:
    """The text of a dictionary: keys sorted, integers in hexadecimal, one tab a level."""
    return "".join((_OPENING, *_lines(value, ""), _CLOSING))


def _lines(value: Value, indent: str) -> Iterator[str]:
    if isinstance(value, dict):
        yield f"{indent}<dict>\n"
        for key in sorted(value):
            yield f"{indent}\t<key>{_escaped(key)}</key>\n"
            yield from _lines(value[key], indent + "\t")
        yield f"{indent}</dict>\n"
    elif isinstance(value, list):
        yield f"{indent}<array>\n"
        for item in value:
            yield from _lines(item, indent + "\t")
        yield f"{indent}</array>\n"
    else:
        yield f"{indent}{_leaf(value)}\n"


def _leaf(value: bool | int | str | bytes) -> str:
    if isinstance(value, bool):
        return "<true/>" if value else "<false/>"
    if isinstance(value, int):
        return f"<integer>{value:#x}</integer>"
    if isinstance(value, str):
        return f"<string>{_escaped(value)}</string>"
    return f"<data>{b2a_base64(value, newline=False).decode('ascii')}</data>"


def _escaped(text: str) -> str:
    text = text.replace("&", "&amp;")
    for entity, character in _ENTITIES[:-1]:
        text = text.replace(character, entity)
    return text


def load(text: str) -> Value:
    """The value in a property list.  Raises Malformed."""
    reader = _Reader()
    for tag, content in _tags(text):
        reader.take(tag, content)
    return reader.result()


def _tags(text: str) -> Iterator[tuple[str, str]]:
    """Every tag without its brackets, and the text between it and the next."""
    pieces = text.split("<")
    if pieces[0].strip():
        raise Malformed("text before the first tag")
    for piece in pieces[1:]:
        tag, closed, content = piece.partition(">")
        if not closed:
            raise Malformed("a tag without its end")
        if tag[:1] not in ("?", "!"):  # the declaration, the document type, comments
            yield tag, content


class _Reader:
    """Containers that are open, innermost last, and the key that waits for its value."""

    __slots__ = ("_done", "_key", "_leaf", "_open", "_plist")

    def __init__(self) -> None:
        self._open: list[list[Value] | dict[str, Value]] = []
        self._key: list[str | None] = []  # beside each of them
        self._leaf: tuple[str, str] | None = None  # an element with text, begun
        self._plist = 0  # how often <plist> was opened or closed
        self._done: list[Value] = []

    def take(self, tag: str, content: str) -> None:
        if self._leaf is not None:
            name, value = self._leaf
            if tag != f"/{name}":
                raise Malformed(f"<{name}> is not closed")
            self._leaf = None
            self._finish(name, value)
        elif tag in _LEAVES:
            self._leaf = tag, content
            return
        else:
            self._structure(tag)
        if content.strip():
            raise Malformed("text outside of an element")

    def _structure(self, tag: str) -> None:
        if tag.partition(" ")[0] == "plist" or tag == "/plist":
            self._plist += 1
            if (tag == "/plist") != (self._plist == 2) or self._open:
                raise Malformed("<plist> in a wrong place")
        elif tag in ("dict", "array"):
            if len(self._open) == _DEPTH_MAX:
                raise Malformed("too deep")
            self._open.append({} if tag == "dict" else [])
            self._key.append(None)
        elif tag in ("/dict", "/array"):
            wanted = dict if tag == "/dict" else list
            if not self._open or type(self._open[-1]) is not wanted or self._key.pop() is not None:
                raise Malformed(f"<{tag}> in a wrong place")
            self._add(self._open.pop())
        elif tag in ("dict/", "array/"):
            self._add({} if tag == "dict/" else [])
        elif tag in ("true/", "false/"):
            self._add(tag == "true/")
        elif tag in ("string/", "data/"):
            self._add("" if tag == "string/" else b"")
        else:
            raise Malformed("an element that is unknown")

    def _finish(self, name: str, text: str) -> None:
        if name == "key":
            if not self._open or not isinstance(self._open[-1], dict) or self._key[-1] is not None:
                raise Malformed("<key> in a wrong place")
            self._key[-1] = _unescaped(text)
        elif name == "string":
            self._add(_unescaped(text))
        elif name == "integer":
            self._add(_integer(text))
        else:
            self._add(_data(text))

    def _add(self, value: Value) -> None:
        if self._plist != 1:
            raise Malformed("a value outside of <plist>")
        if not self._open:
            self._done.append(value)
            return
        container = self._open[-1]
        if isinstance(container, list):
            container.append(value)
            return
        key, self._key[-1] = self._key[-1], None
        if key is None or key in container:
            raise Malformed("a value without a key, or a key twice")
        container[key] = value

    def result(self) -> Value:
        if self._plist != 2 or self._leaf is not None or len(self._done) != 1:
            raise Malformed("not one value in one <plist>")
        return self._done[0]


def _unescaped(text: str) -> str:
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    return text


def _integer(text: str) -> int:
    digits = text.strip()
    body = digits.removeprefix("-")
    try:
        if len(digits) > _DIGITS_MAX or not body.isalnum() or not body.isascii():
            raise ValueError
        number = int(body, 16) if body[:2] in ("0x", "0X") else int(body)
    except ValueError:
        raise Malformed("an integer that is none") from None
    return -number if body is not digits else number


def _data(text: str) -> bytes:
    """Canonical base64; blanks may stand anywhere."""
    compact = "".join(text.split()).encode("utf-8", "surrogateescape")
    try:
        raw = a2b_base64(compact)
    except _Base64Error:
        raise Malformed("data that is not base64") from None
    if b2a_base64(raw, newline=False) != compact:  # a2b_base64 skips what it does not know
        raise Malformed("data that is not base64")
    return raw
