# SPDX-License-Identifier: MIT
"""`wg-quick plan NAME`: what `up` would do, or how a running interface differs from its file.

Exit status (docs/decisions/0023): 0 nothing would change, 2 something would, 1 an error.
"""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

from wgtools.cli import paper, streams
from wgtools.errors import ConfigError, WgError
from wgtools.quick import drift, engines, files, live
from wgtools.quick.forecast import forecast
from wgtools.quick.journal import Journal

if TYPE_CHECKING:
    from wgtools.cli.paper import Row
    from wgtools.quick.drift import Difference
    from wgtools.quick.files import Target

__all__ = ["difference_records", "difference_rows", "located", "remark_rows", "remark_text", "run"]

NOTHING, SOMETHING = 0, 2
_SIGNS = {drift.ADD: ("+", "green"), drift.REMOVE: ("-", "red"), drift.CHANGE: ("~", "yellow")}


def run(word: str, *, as_json: bool, engine: str, up_only: bool) -> int:
    if engine:
        os.environ[engines.ENGINE] = engine
    if sys.platform != "linux":
        return _elsewhere(word, as_json=as_json)
    about = live.subject(located("plan", word))
    name, path = about.name, about.target.path
    if live.is_up(name):
        if up_only:
            hint = f"to see what differs from its file, type: wg-quick plan {name}"
            raise WgError(f"`{name}' already exists", hint=hint)
        reading = live.read(about)
        found = reading.differences
        remarks = [*about.remarks, *reading.remarks]
        body: dict[str, Any] = {"up": True, "differences": difference_records(found)}
        rows = _differing(name, path, found)
    else:
        foreseen = forecast(about)
        remarks = [*foreseen.remarks]
        body = {"up": False, "commands": list(foreseen.commands)}
        rows = _foreseen(name, path, foreseen.commands)
        found = []
    changes = bool(found) or not body["up"]
    if as_json:
        _emit(name, path, changes, body, remarks)
    else:
        paper.show([*remark_rows(remarks), *rows])
    return SOMETHING if changes else NOTHING


def located(verb: str, word: str) -> Target:
    """The file, as `up` finds it; if it came from elsewhere, that is hinted.  Raises WgError."""
    try:
        return files.locate(word)
    except WgError as error:
        path = Journal(word).config_file if files.is_name(word) else ""
        if path and os.path.isfile(path):
            error.hint = f"`{word}' is from elsewhere: wg-quick {verb} {shlex.quote(path)}"
        raise


def _elsewhere(word: str, *, as_json: bool) -> int:
    """Where only what `up` would do can be told."""
    from wgtools.quick.systems import telling

    target = located("plan", word)
    foreseen = telling.forecast(target)
    if as_json:
        body = {"up": False, "commands": list(foreseen.commands)}
        _emit(target.name, target.path, True, body, [*foreseen.remarks])
    else:
        rows = _foreseen(target.name, target.path, foreseen.commands)
        paper.show([*remark_rows([*foreseen.remarks]), *rows])
    return SOMETHING


def _emit(
    name: str, path: str, changes: bool, body: dict[str, Any], remarks: list[WgError]
) -> None:
    told = [{"message": _placed(each), "hint": each.hint} for each in remarks]
    head = {"interface": name, "file": path, "changes": changes}
    paper.emit_json({**head, **body, "remarks": told})


def _foreseen(name: str, path: str, commands: tuple[str, ...]) -> list[Row]:
    rows: list[Row] = [[(name, "bold"), (f" is down; `up' would do this, as {path} says:", "")]]
    return rows + [[("[#] ", "dim"), (line, "")] for line in commands]


def _differing(name: str, path: str, found: list[Difference]) -> list[Row]:
    if not found:
        return [[(name, "bold"), (" is up, and as ", "green"), (path, ""), (" says", "green")]]
    rows: list[Row] = [[(name, "bold"), (f" is up, and differs from {path}:", "")]]
    rows += difference_rows(found)
    return [
        *rows,
        [
            ("to bring it to its file: ", "dim"),
            (streams.spelled(f"wg-quick reload {name}"), "bold"),
        ],
    ]


def difference_rows(found: list[Difference]) -> list[Row]:
    """A line for each, and one for each value that differs."""
    rows: list[Row] = []
    for one in found:
        sign, style = _SIGNS[one.action]
        head: Row = [(f"  {sign} ", style), (one.subject, "bold")]
        if one.name:
            head.append((f" {one.name}", ""))
        if len(one.fields) == 1 and not one.name:
            head += [(": ", ""), *_values(one.fields[0], one.action)]
            rows.append(head)
            continue
        rows.append(head)
        for each in one.fields:
            rows.append([(f"      {each.name}: ", "dim"), *_values(each, one.action)])
    return rows


def _values(each: drift.Field, action: str) -> Row:
    if action == drift.ADD:
        return [(each.file, "")]
    running, file = each.running or "(none)", each.file or "(none)"
    if running == file == drift.HIDDEN:
        return [("another one", "")]
    if ", " in running + file:  # lists: what goes and what comes is enough
        before, after = ([w for w in text.split(", ") if w] for text in (each.running, each.file))
        gone = [f"-{word}" for word in before if word not in after]
        new = [f"+{word}" for word in after if word not in before]
        return [(" ".join([*gone, *new]), "")]
    return [(running, "red"), (" -> ", "dim"), (file, "green")]


def difference_records(found: list[Difference]) -> list[dict[str, Any]]:
    return [
        {
            "action": one.action,
            "subject": one.subject,
            "name": one.name,
            "fields": [{"name": f.name, "running": f.running, "file": f.file} for f in one.fields],
        }
        for one in found
    ]


def remark_rows(remarks: list[WgError]) -> list[Row]:
    rows: list[Row] = []
    for each in remarks:
        row: Row = [("[!] ", "yellow"), (_placed(each), "")]
        rows.append([*row, (f" ({streams.spelled(each.hint)})", "dim")] if each.hint else row)
    return rows


def remark_text(error: WgError) -> str:
    return "".join(paper.plain(row) for row in remark_rows([error]))


def _placed(error: WgError) -> str:
    where = error.where if isinstance(error, ConfigError) else ""
    return f"{where}: {error.message}" if where else error.message
