# SPDX-License-Identifier: MIT
"""IP addresses as packed bytes, read and written exactly as inet_pton(3) and
inet_ntop(3) of glibc do, in pure code.

`ipaddress` accepts other forms (netmasks, scopes) and prints others (`::1:2`
where libc has `::0.1.0.2`), and `socket` is not for pure modules.  Tests hold
both functions against `socket`.
"""

from __future__ import annotations

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PORT_MAX", "ntop", "port_number", "pton", "scoped"]

PORT_MAX = 65535

_HEX = frozenset("0123456789abcdefABCDEF")
_V4_IN_V6 = 12  # bytes before the dotted tail


def pton(text: str) -> bytes | None:
    """The 4 or 16 bytes of an address, IPv6 if `text` holds a colon; None if malformed.

    Strict: four decimal octets without leading zeros; IPv6 with an optional
    dotted tail; no brackets, no scope.
    """
    return _pton6(text) if ":" in text else _pton4(text)


def scoped(host: str, number_of: Callable[[str], int]) -> tuple[bytes, int]:
    """The bytes of an address, and the number of the zone behind its `%`; 0 without one, and
    for IPv4, which has none.  Raises ValueError, and what `number_of` does."""
    text, percent, zone = host.partition("%")
    packed = pton(text)
    if packed is None:
        raise ValueError(f"not a numeric address: {host}")
    return packed, number_of(zone) if percent and len(packed) == 16 else 0


def ntop(packed: bytes) -> str:
    """The text of 4 or 16 packed bytes.  Raises ValueError for any other length."""
    if len(packed) == 4:
        return f"{packed[0]}.{packed[1]}.{packed[2]}.{packed[3]}"
    if len(packed) != 16:
        raise ValueError("an address is 4 or 16 bytes")
    return _ntop6(packed)


def port_number(text: bytes) -> int | None:
    """The number that strtoul(3) reads from the whole of `text`: leading blanks, one sign
    and leading zeros are allowed.  None if it is not one.

    Not reduced to 16 bits, as glibc's getaddrinfo does: `70000` is 70000, for the
    caller to refuse (docs/decisions/0003).
    """
    word = text.lstrip(b" \t\n\v\f\r")
    negative = word[:1] == b"-"
    if word[:1] in (b"+", b"-"):
        word = word[1:]
    if not word.isdigit():
        return None
    word = word.lstrip(b"0")[:6] or b"0"  # six digits are too many in any case
    return -int(word) if negative else int(word)


def _pton4(text: str) -> bytes | None:
    try:
        packed = bytes(map(int, text.split(".")))
    except (ValueError, OverflowError):
        return None
    # int() takes signs, blanks, zeros in front, other scripts: print it back and compare.
    return packed if len(packed) == 4 and ntop(packed) == text else None


def _groups(text: str, *, tail: bool) -> bytes | None:
    """Colon-separated groups as bytes; with `tail` the last may be dotted."""
    if not text:
        return b""
    out = bytearray()
    words = text.split(":")
    last = len(words) - 1
    for i, word in enumerate(words):
        if tail and i == last and "." in word:
            packed = _pton4(word)
            if packed is None:
                return None
            out += packed
            continue
        if not 1 <= len(word) <= 4 or not _HEX.issuperset(word):
            return None
        out += int(word, 16).to_bytes(2, "big")
    return bytes(out)


def _pton6(text: str) -> bytes | None:
    head, gap, rest = text.partition("::")
    left = _groups(head, tail=not gap)
    if left is None:
        return None
    if not gap:
        return left if len(left) == 16 else None
    right = _groups(rest, tail=True)
    if right is None or len(left) + len(right) > 14:
        return None
    return left + bytes(16 - len(left) - len(right)) + right


def _ntop6(packed: bytes) -> str:
    words = [packed[i] << 8 | packed[i + 1] for i in range(0, 16, 2)]
    start, length = _longest_zeros(words)
    if start == 0 and (length == 6 or (length == 5 and words[5] == 0xFFFF)):
        head = "::" if length == 6 else "::ffff:"
        return head + ntop(packed[_V4_IN_V6:])
    text = [f"{word:x}" for word in words]
    if length < 2:
        return ":".join(text)
    return ":".join(text[:start]) + "::" + ":".join(text[start + length :])


def _longest_zeros(words: list[int]) -> tuple[int, int]:
    """First longest run of zero groups: (index, length)."""
    best, best_length = 0, 0
    start = -1
    for i, word in enumerate([*words, 1]):
        if word == 0:
            if start < 0:
                start = i
        elif start >= 0:
            if i - start > best_length:
                best, best_length = start, i - start
            start = -1
    return best, best_length
