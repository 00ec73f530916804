# SPDX-License-Identifier: MIT
"""How recorded text and a command's text are compared.

Nearly always byte for byte.  Prose that is not part of the contract (help, usage, the
version) has a shape instead, and what a directory's order decides is sorted first.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

PROGRAM = re.compile(
    rb"(?m)^(?:(Usage: )\S+( )|\S+(: (?:Key is not the correct length or format"
    rb"|Trailing characters found after key))$)"
)


def named_wg(text: bytes) -> bytes:
    """Messages with the program's own name, as if it were called `wg`."""
    return PROGRAM.sub(lambda m: m[1] + b"wg" + m[2] if m[1] else b"wg" + m[3], text)


def same(mode: str, want: bytes, got: bytes) -> bool:
    return _MODES[mode](want, got)


def _usage(want: bytes, got: bytes) -> bool:
    def head(text: bytes) -> bytes:
        found = re.search(rb"(?m)^Usage: \S+ \S+", text)
        return text[: found.end()] if found else text

    return got.endswith(b"\n") and head(want) == head(got)


def _help(want: bytes, got: bytes) -> bool:
    def essence(text: bytes) -> tuple[bytes, list[bytes]]:
        start = text[: text.find(b"Usage: wg ") + 10]
        return start, re.findall(rb"(?m)^  ([a-z]+): \S", text)

    return essence(want) == essence(got)


def _key(clamped: bool) -> Callable[[bytes, bytes], bool]:
    def is_key(_want: bytes, got: bytes) -> bool:
        raw = base64.b64decode(got)
        whole = len(raw) == 32 and base64.b64encode(raw) + b"\n" == got
        return whole and not (clamped and (raw[0] & 7 or raw[31] & 0xC0 != 0x40))

    return is_key


def _blocks(text: bytes) -> list[bytes]:
    return sorted(block.strip(b"\n") for block in re.split(rb"\n\n(?=interface|\x1b)", text))


_MODES: dict[str, Callable[[bytes, bytes], bool]] = {
    "exact": lambda want, got: want == got,
    "sorted_lines": lambda want, got: sorted(want.split(b"\n")) == sorted(got.split(b"\n")),
    "sorted_words": lambda want, got: (
        sorted(want.split()) == sorted(got.split()) and len(want) == len(got)
    ),
    "sorted_blocks": lambda want, got: _blocks(want) == _blocks(got) and len(want) == len(got),
    "genkey": _key(clamped=True),
    "genpsk": _key(clamped=False),
    "version": lambda _, got: re.fullmatch(rb"wireguard-tools v\d\S* - \S+\n", got) is not None,
    "usage": _usage,
    "help": _help,
    "warning": lambda _, got: (
        re.fullmatch(rb"Warning: writing to world accessible file\.\n.*umask.*077.*\n", got)
        is not None
    ),
}
