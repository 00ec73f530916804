# SPDX-License-Identifier: MIT
"""Lines of styled words: rich on a terminal, the same text plain in a pipe, or JSON.

Only for wg-quick's own verbs.  The text is the same with and without colour; NO_COLOR
and TERM=dumb are rich's business.  rich is loaded when there is a terminal to paint on.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wgtools.cli import streams

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FORMAT_VERSION", "Row", "emit_json", "plain", "show"]

FORMAT_VERSION = "1.0"  # docs/decisions/0023 says when it changes

Row = list[tuple[str, str]]  # (text, style of rich or "")


def plain(row: Row) -> str:
    return "".join(text for text, _ in row)


def show(rows: Iterable[Row]) -> None:
    """To stdout; styles only where a person looks."""
    if not streams.is_terminal():
        streams.out("".join(plain(row) + "\n" for row in rows))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True, emoji=False, markup=False)
    for row in rows:
        console.print(Text.assemble(*[(_safe(text), style) for text, style in row]))


def emit_json(record: dict[str, Any]) -> None:
    """One object, its version first."""
    text = json.dumps({"format_version": FORMAT_VERSION, **record}, indent=2, default=str)
    streams.out(text + "\n")


def _safe(text: str) -> str:
    """Names with bytes that are not UTF-8 must not stop a terminal."""
    return text.encode("utf-8", "replace").decode("utf-8")
