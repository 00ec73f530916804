# SPDX-License-Identifier: MIT
"""Lines of styled words: rich on a terminal, the same text plain in a pipe, or JSON.

Only for wg-quick's own verbs.  The text is the same with and without colour; NO_COLOR is
plain, as for `wg show`; TERM=dumb is rich's business, which is loaded when there is a
terminal to paint on.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from wgtools.cli import streams
from wgtools.errors import WgError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FORMAT_VERSION", "Row", "emit_json", "plain", "show"]

FORMAT_VERSION = "1.0"  # docs/decisions/0023 says when it changes

Row = list[tuple[str, str]]  # (text, style of rich or "")


def plain(row: Row) -> str:
    return streams.tame("".join(text for text, _ in row))


def show(rows: Iterable[Row]) -> None:
    """To stdout; styles only where a person looks.  Raises WgError."""
    if not streams.is_terminal() or streams.setting(b"NO_COLOR"):
        _deliver("".join(plain(row) + "\n" for row in rows))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True, emoji=False, markup=False)
    try:
        for row in rows:
            console.print(Text.assemble(*[(_safe(text), style) for text, style in row]))
        sys.stdout.flush()
    except OSError as error:
        raise WgError(f"writing to standard output: {error.strerror}") from error


def emit_json(record: dict[str, Any]) -> None:
    """One object, its version first.  Raises WgError."""
    text = json.dumps({"format_version": FORMAT_VERSION, **record}, indent=2, default=str)
    _deliver(text + "\n")


def _deliver(text: str) -> None:
    streams.deliver(text.encode("utf-8", "surrogateescape"))


def _safe(text: str) -> str:
    """Names with bytes that are not UTF-8 must not stop a terminal, nor others steer it."""
    return streams.tame(text).encode("utf-8", "replace").decode("utf-8")
