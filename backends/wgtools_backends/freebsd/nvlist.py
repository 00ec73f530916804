# SPDX-License-Identifier: MIT
"""The packed form of libnv's name/value lists, as FreeBSD's kernel takes and gives them.

Pure: bytes to values and back, knowing nothing of WireGuard.  It accepts what libnv
accepts and refuses what libnv refuses (BSD_IPC 3); only ProtocolError goes out for bytes
that came in.  Nothing here recurses: a list may be nested as deep as it likes.

A list is a dict from names to values: None, bool, int, str (text, as Latin-1), bytes
(binary), a dict, or a list of these that are all of one type.
"""

from __future__ import annotations

from errno import EEXIST, EILSEQ, EINVAL, ENOENT
from struct import Struct

from wgtools.errors import ProtocolError

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    # Recursive, and open to what a sender may yet think of.
    Value = Any
    Pairs = dict[bytes, Value]

__all__ = ["pack", "unpack"]

MAGIC = 0x6C
BIG_ENDIAN = 0x80  # flags of a list's header
IGNORE_CASE = 0x01
NOT_UNIQUE = 0x02
_KNOWN_FLAGS = BIG_ENDIAN | IGNORE_CASE | NOT_UNIQUE
_NATIVE = BIG_ENDIAN if Struct("=H").pack(1) == b"\0\1" else 0

NULL, BOOL, NUMBER, STRING, NVLIST = 1, 2, 3, 4, 5
BINARY = 7
BOOL_ARRAY, NUMBER_ARRAY, STRING_ARRAY, NVLIST_ARRAY = 8, 9, 10, 11
NEXT = 254  # the end of an array's element
UP = 255  # the end of a nested list

NAME_MAX = 2048  # the NUL included
HEADER_SIZE = 19
PAIR_SIZE = 19

# magic, version, flags, descriptors, bytes that follow in the whole buffer
_HEADER = Struct("=BBBQQ")
_HEADERS = {0: Struct("<BBBQQ"), BIG_ENDIAN: Struct(">BBBQQ")}
# type, size of the name, size of the data, items
_PAIR = Struct("=BHQQ")
_PAIRS = {0: Struct("<BHQQ"), BIG_ENDIAN: Struct(">BHQQ")}
_NUMBER = Struct("=Q")
_NUMBERS = {0: Struct("<Q"), BIG_ENDIAN: Struct(">Q")}
_U64_MAX = (1 << 64) - 1


# --- writing -----------------------------------------------------------------------------


def pack(pairs: Pairs) -> bytes:
    """The list as the kernel reads it, in this machine's byte order.

    Raises ValueError for what has no packed form: an empty array, a number over 64 bits.
    """
    out = bytearray()
    headers: list[int] = []
    open_lists = [_packed_list(pairs, b"", out, headers)]
    while open_lists:
        inner = next(open_lists[-1], None)
        if inner is None:
            open_lists.pop()
        else:
            open_lists.append(inner)
    # A header holds the number of bytes from its end to the end of everything.
    for at in headers:
        _HEADER.pack_into(out, at, MAGIC, 0, _NATIVE, 0, len(out) - at - HEADER_SIZE)
    return bytes(out)


def _pair(kind: int, name: bytes, size: int, items: int = 0) -> bytes:
    if len(name) >= NAME_MAX or b"\0" in name:
        raise ValueError("a name has no NUL and less than 2048 bytes")
    return _PAIR.pack(kind, len(name) + 1, size, items) + name + b"\0"


_END_OF_ELEMENT = _pair(NEXT, b"", 0)
_END_OF_LIST = _pair(UP, b"", 0)


def _packed_list(
    pairs: Pairs, end: bytes, out: bytearray, headers: list[int]
) -> Iterator[Iterator[Any]]:
    """Writes one list, giving back each list inside it for the caller to write first."""
    headers.append(len(out))
    out += bytes(HEADER_SIZE)
    for name, value in pairs.items():
        if isinstance(value, dict):
            at = len(out)
            out += _pair(NVLIST, name, 0)
            start = len(out)
            yield _packed_list(value, _END_OF_LIST, out, headers)
            size = len(out) - start - len(_END_OF_LIST)
            out[at:start] = _pair(NVLIST, name, size)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            out += _pair(NVLIST_ARRAY, name, 0, len(value))
            for element in value:
                yield _packed_list(element, _END_OF_ELEMENT, out, headers)
        else:
            kind, data, items = _packed_value(value)
            out += _pair(kind, name, len(data), items)
            out += data
    out += end


def _packed_value(value: Value) -> tuple[int, bytes, int]:
    """Type, data and number of items of a value without lists in it."""
    if value is None:
        return NULL, b"", 0
    if isinstance(value, list):
        return _packed_array(value)
    return _KINDS[type(value)], _packed_scalar(value), 0


_KINDS = {bool: BOOL, int: NUMBER, str: STRING, bytes: BINARY}


def _packed_scalar(value: Value) -> bytes:
    if isinstance(value, bool):
        return b"\1" if value else b"\0"
    if isinstance(value, int):
        if not 0 <= value <= _U64_MAX:
            raise ValueError("a number of a name/value list has 64 bits")
        return _NUMBER.pack(value)
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("a string of a name/value list has no NUL")
        return value.encode("latin-1") + b"\0"
    if not value:
        raise ValueError("a binary value of a name/value list has at least one byte")
    return bytes(value)


def _packed_array(value: list[Value]) -> tuple[int, bytes, int]:
    if not value:
        raise ValueError("an array of a name/value list has at least one item")
    kinds = {bool: BOOL_ARRAY, int: NUMBER_ARRAY, str: STRING_ARRAY}
    return kinds[type(value[0])], b"".join(map(_packed_scalar, value)), len(value)


# --- reading -----------------------------------------------------------------------------


def unpack(data: bytes) -> Pairs:
    """What libnv makes of `data` when asked with no flags.  Raises ProtocolError."""
    reader = _Reader(data)
    reader.header()
    if reader.flags & (IGNORE_CASE | NOT_UNIQUE):
        raise malformed(2, "flags that nobody asked for", EILSEQ)
    root: Pairs = {}
    reader.big_endian = reader.flags & BIG_ENDIAN
    _read_pairs(reader, root)
    return root


def malformed(at: int, what: str, errno: int = EINVAL) -> ProtocolError:
    """The error that libnv gives, and for people where and why."""
    error = ProtocolError(f"Malformed name/value list: {what}", errno=errno)
    error.hint = f"the kernel's answer is malformed at byte {at}: {what}"
    return error


class _Open:
    """A list whose end was not met yet."""

    __slots__ = ("flags", "pairs", "siblings")

    def __init__(self, pairs: Pairs, flags: int, siblings: Iterator[Pairs]) -> None:
        self.pairs = pairs
        self.flags = flags
        self.siblings = siblings  # further elements of its array


class _Reader:
    """Bytes, and how far they are read."""

    __slots__ = ("at", "big_endian", "data", "flags", "total")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.total = len(data)
        self.flags = 0  # of the last header
        self.big_endian = 0

    def header(self) -> None:
        """A list's header, up to its end."""
        at, left = self.at, self.total - self.at
        if left < HEADER_SIZE:
            raise malformed(at, "the header of a list is cut off")
        flags = self.data[at + 2]
        if self.data[at] != MAGIC or flags & ~_KNOWN_FLAGS:
            raise malformed(at, "no header of a list")
        _, _, _, descriptors, size = _HEADERS[flags & BIG_ENDIAN].unpack_from(self.data, at)
        if size != left - HEADER_SIZE or descriptors:
            raise malformed(at, "the header of a list has the wrong size or descriptors")
        self.at = at + HEADER_SIZE
        self.flags = flags

    def pair(self) -> tuple[int, bytes, int, int]:
        """Type, name, size of the data and items of the next pair, up to its data."""
        at = self.at
        if self.total - at < PAIR_SIZE:
            raise malformed(at, "a pair is cut off")
        kind, length, size, items = _PAIRS[self.big_endian].unpack_from(self.data, at)
        start = at + PAIR_SIZE + length
        name = self.data[at + PAIR_SIZE : start]
        if not 0 < length <= NAME_MAX or start > self.total or name.find(0) != length - 1:
            raise malformed(at, "the name of a pair is not as it should be")
        if size > self.total - start:
            raise malformed(at, "the data of a pair is cut off")
        self.at = start
        return kind, name[:-1], size, items


def _read_pairs(reader: _Reader, root: Pairs) -> None:
    """Everything behind the first header.  The end of the buffer ends every open list."""
    opened = [_Open(root, 0, iter(()))]
    current = opened[0]
    while (start := reader.at) < reader.total:
        kind, name, size, items = reader.pair()
        read = _VALUES.get(kind)
        if read is not None:
            begin = reader.at
            reader.at = begin + size
            _add(current, name, read(reader, begin, size, items), start)
        elif kind in (NVLIST, NVLIST_ARRAY):
            value, inner = _read_inner(reader, kind, size, items, start)
            _add(current, name, value, start)
            opened.append(inner)
            current = inner
        elif kind in (NEXT, UP):
            current = _end(reader, kind, opened, start)
        else:
            raise malformed(start, f"a pair of type {kind}")


def _add(current: _Open, name: bytes, value: Value, at: int) -> None:
    if current.flags & IGNORE_CASE:
        name = name.lower()
    if name not in current.pairs:
        current.pairs[name] = value
    elif not current.flags & NOT_UNIQUE:
        raise malformed(at, "a name that was there already", EEXIST)


def _read_inner(reader: _Reader, kind: int, size: int, items: int, at: int) -> tuple[Value, _Open]:
    """A nested list or an array of lists: the value, and the list to go on in."""
    if kind == NVLIST:
        if not size:
            raise malformed(at, "a nested list without data")
        reader.header()
        pairs: Pairs = {}
        return pairs, _Open(pairs, reader.flags, iter(()))
    # Each element ends in a pair: more items than fit are not worth making room for.
    if not 0 < items <= (reader.total - reader.at) // PAIR_SIZE:
        raise malformed(at, f"an array of {items} lists")
    elements: list[Pairs] = [{} for _ in range(items)]
    siblings = iter(elements)
    first = next(siblings)
    reader.header()
    reader.big_endian = reader.flags & BIG_ENDIAN
    return elements, _Open(first, reader.flags, siblings)


def _end(reader: _Reader, kind: int, opened: list[_Open], at: int) -> _Open:
    """After the end of a list: its next sibling, or the list around it."""
    current = opened[-1]
    following = next(current.siblings, None) if kind == NEXT else None
    if following is not None:
        reader.header()
        reader.big_endian = reader.flags & BIG_ENDIAN
        current.pairs, current.flags = following, reader.flags
        return current
    if len(opened) == 1:
        raise malformed(at, "the end of a list that never began", ENOENT)
    opened.pop()
    return opened[-1]


def _read_null(_reader: _Reader, start: int, size: int, _items: int) -> None:
    if size:
        raise malformed(start, "a null with data")


def _read_bool(reader: _Reader, start: int, size: int, _items: int) -> bool:
    if size != 1 or reader.data[start] > 1:
        raise malformed(start, "neither true nor false")
    return reader.data[start] == 1


def _read_number(reader: _Reader, start: int, size: int, _items: int) -> int:
    if size != _NUMBER.size:
        raise malformed(start, "a number that has not 8 bytes")
    return int(_NUMBERS[reader.big_endian].unpack_from(reader.data, start)[0])


def _read_string(reader: _Reader, start: int, size: int, _items: int) -> str:
    data = reader.data[start : start + size]
    if data.find(0) != size - 1:  # of nothing, -1 is found, and refused
        raise malformed(start, "a string that does not end in its NUL")
    return data[:-1].decode("latin-1")


def _read_binary(reader: _Reader, start: int, size: int, _items: int) -> bytes:
    if not size:
        raise malformed(start, "a binary value without bytes")
    return reader.data[start : start + size]


def _read_bools(reader: _Reader, start: int, size: int, items: int) -> list[bool]:
    if not size or size != items:
        raise malformed(start, "an array of the wrong size")
    return [byte != 0 for byte in reader.data[start : start + size]]


def _read_numbers(reader: _Reader, start: int, size: int, items: int) -> list[int]:
    if not size or size != items * _NUMBER.size:
        raise malformed(start, "an array of the wrong size")
    number = _NUMBERS[reader.big_endian]
    return [number for (number,) in number.iter_unpack(reader.data[start : start + size])]


def _read_strings(reader: _Reader, start: int, size: int, items: int) -> list[str]:
    data = reader.data[start : start + size]
    if not data.endswith(b"\0") or data.count(0) != items:
        raise malformed(start, "an array of strings that does not end in its NULs")
    return data[:-1].decode("latin-1").split("\0")


_VALUES: dict[int, Callable[[_Reader, int, int, int], Value]] = {
    NULL: _read_null,
    BOOL: _read_bool,
    NUMBER: _read_number,
    STRING: _read_string,
    BINARY: _read_binary,
    BOOL_ARRAY: _read_bools,
    NUMBER_ARRAY: _read_numbers,
    STRING_ARRAY: _read_strings,
}
