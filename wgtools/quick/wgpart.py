# SPDX-License-Identifier: MIT
"""The wg(8) part of a configuration, judged for `up` and `check`: all its mistakes.

conf/wgconf.py reads it and stops at the first, as `wg` does; here it goes on behind that
line, and in a list behind that network.  Nothing is looked up.  Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wgtools.conf import values, wgconf
from wgtools.conf.redact import hide_key
from wgtools.errors import ConfigError

if TYPE_CHECKING:
    from wgtools.conf.document import Document, Line
    from wgtools.conf.quickfile import QuickFile
    from wgtools.model import DeviceChange

__all__ = ["NotText", "judge"]

_MANY = 20  # mistakes; who has made more wants to start over
_CONTROLS = bytes({*range(32)} - {*b"\t\n\v\f\r"})
_FEW = 4  # control characters that a text may have, in whatever length
_SHARE = 20  # one byte in so many: random ones have more, UTF-16 has every other


class NotText(ConfigError):
    """The file is none of ours at all; what its lines look like is nobody's mistake."""


def judge(config: QuickFile) -> tuple[DeviceChange | None, list[ConfigError]]:
    """(what wg(8) is told, or None; the mistakes in the order of the file)."""
    document = config.wg_document()
    found: list[ConfigError] = []
    while len(found) < _MANY:
        try:
            change = wgconf.parse(document)
        except wgconf.IncompletePeer as error:
            # Behind other mistakes it may be that its key was one of them.
            return None, found or [error]
        except ConfigError as error:
            if not found and _is_binary(config):
                hint = "a configuration is text in UTF-8; UTF-16 is not, nor an archive or image"
                return None, [NotText("this is not a text file", file=config.name, hint=hint)]
            hide_key(error)
            wrong = [line for line in document.lines if line.number == error.line]
            several = _each(error, wrong[0]) if wrong else [error]
            found += several
            if not wrong or _explain(several, wrong[0], document):
                return None, found
            document.lines.remove(wrong[0])
        else:
            return None if found else change, found
    return None, found


def _explain(errors: list[ConfigError], line: Line, document: Document) -> bool:
    """Say what to do; True for a wrong header, without which the rest would be all mistakes."""
    from wgtools.conf.advice import BOM, remedy  # only for mistakes

    above = [each.raw for each in document.lines if each.number < line.number]
    for error in errors:
        error.hint = remedy(error.message, line.raw, above) or error.hint
    return line.raw.lstrip().startswith((b"[", BOM))


def _each(error: ConfigError, line: Line) -> list[ConfigError]:
    """Of a list every mistake, each where it stands; of anything else the one there is."""
    body = line.raw.partition(b"\0")[0].partition(b"#")[0]
    name, _, networks = body.partition(b"=")
    if name.translate(None, values.BLANKS).lower() != b"allowedips":
        return [error]
    found: list[ConfigError] = []
    at = len(name) + 1
    for word in networks.split(b","):
        # An empty value is no network; an empty one among others is a wrong one.
        text = word.translate(None, values.BLANKS) or b","
        try:
            values.allowed_ips(text, values.quiet)
        except ConfigError as wrong:
            each = error if not found else wrong
            hide_key(wrong)
            each.message, each.args = wrong.message, wrong.args
            each.file, each.line = error.file, error.line
            each.column = at + len(word) - len(word.lstrip(values.BLANKS)) + 1
            found.append(each)
            if len(found) == _MANY:
                break
        at += len(word) + 1
    return found or [error]


def _is_binary(config: QuickFile) -> bool:
    data = b"\n".join(line.raw for line in config.wg_lines)
    controls = len(data) - len(data.translate(None, _CONTROLS))
    return controls > _FEW and controls * _SHARE > len(data)
