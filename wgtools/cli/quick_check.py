# SPDX-License-Identifier: MIT
"""`wg-quick check FILE…`: reads files, asks quick/lint.py, shows what it found.

Exit status (docs/decisions/0023): 0 nothing to complain of, 1 an error, 2 warnings only.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

from wgtools.cli import paper, streams
from wgtools.errors import WgError
from wgtools.quick import check, files, hooks, lint
from wgtools.quick.apply import find_program

if TYPE_CHECKING:
    from wgtools.cli.paper import Row
    from wgtools.keys import Key
    from wgtools.quick.lint import Finding

__all__ = ["run"]

CLEAN, ERRORS, WARNINGS = 0, 1, 2
_STYLES = {lint.ERROR: "bold red", lint.WARNING: "bold yellow", lint.NOTE: "bold cyan"}


def run(words: list[str], *, as_json: bool, ignore: list[str]) -> int:
    results = [_judge(word, set(ignore)) for word in words]
    counts = {
        kind: sum(f.severity == kind for _, _, found in results for f in found) for kind in _STYLES
    }
    if as_json:
        paper.emit_json(
            {
                "files": [
                    {"file": path, "findings": [_record(f) for f in found]}
                    for path, _, found in results
                ],
                **{f"{kind}s": count for kind, count in counts.items()},
            }
        )
    else:
        paper.show(_rows(results, counts))
    return ERRORS if counts[lint.ERROR] else WARNINGS if counts[lint.WARNING] else CLEAN


def _judge(word: str, ignore: set[str]) -> tuple[str, bytes, list[Finding]]:
    """(path, its bytes, findings); a file that cannot be read is a finding as well."""
    path = word
    is_path = "/" in word or word.endswith(".conf") or os.path.isfile(word)
    if not is_path and files.is_name(word):
        path = f"{files.DIRECTORY}/{word}.conf"
    try:
        with open(path, "rb") as file:
            data = file.read()
        around = _surroundings(path)
    except OSError as error:
        text = f"cannot be read: {error.strerror}"
        hint = _unreadable_hint(word, path, error)
        return path, b"", [lint.Finding(lint.ERROR, "unreadable", text, hint=hint)]
    found = [f for f in lint.lint(data, path, around) if f.code not in ignore]
    stem = os.path.basename(path).removesuffix(".conf")
    if "file-name" not in ignore and not (path.endswith(".conf") and files.is_name(stem)):
        hint = "call it NAME.conf, NAME being 1 to 15 of the characters a-z A-Z 0-9 _ = + . -"
        text = f"wg-quick would not take a file called {os.path.basename(path)}"
        found.insert(0, lint.Finding(lint.WARNING, "file-name", text, hint=hint))
    return path, data, found


def _unreadable_hint(word: str, path: str, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "only root may: run this as root"
    if isinstance(error, IsADirectoryError):
        return f"name the files in it: wg-quick check {path.rstrip('/')}/*.conf"
    if isinstance(error, FileNotFoundError):
        return files.missing_hint(word if path != word else os.path.join(".", word))
    return ""


def _surroundings(path: str) -> lint.Surroundings:
    resolved = os.path.realpath(path)
    mode = os.stat(resolved).st_mode & os.stat(os.path.dirname(resolved)).st_mode
    return lint.Surroundings(
        tables=check.table_names(),
        bad_hook=hooks.syntax_error,
        is_program=_is_program,
        public_key=_public_key,
        world_accessible=bool(stat.S_IMODE(mode) & 0o007),
    )


def _is_program(word: str) -> bool:
    if "/" in word:
        return os.access(word, os.X_OK) and os.path.isfile(word)
    return bool(find_program(word)) or word in ("wg", "wg-quick")  # ours come along


def _public_key(private: Key) -> Key:
    from wgtools.crypto.x25519 import public_key
    from wgtools.keys import Key

    try:
        return Key(public_key(bytes(private)))
    except (ValueError, WgError):
        return Key(bytes(32))  # no peer of anybody's


def _record(finding: Finding) -> dict[str, Any]:
    names = ("severity", "code", "message", "line", "column", "length", "hint")
    return {name: getattr(finding, name) for name in names}


def _rows(results: list[tuple[str, bytes, list[Finding]]], counts: dict[str, int]) -> list[Row]:
    rows: list[Row] = []
    for path, data, found in results:
        for finding in found:
            rows += _finding_rows(path, data, finding)
            rows.append([])
    rows.append(_summary(len(results), counts))
    return rows


def _finding_rows(path: str, data: bytes, finding: Finding) -> list[Row]:
    where = path
    if finding.line:
        where = f"{path}:{finding.line}:{finding.column}"
    style = _STYLES[finding.severity]
    rows: list[Row] = [
        [
            (f"{where}: ", "bold"),
            (f"{finding.severity}: ", style),
            (finding.message, "bold"),
            (f" [{finding.code}]", "dim"),
        ]
    ]
    text = lint.excerpt(data, finding.line) if finding.line else ""
    if text:
        number = str(finding.line)
        column = min(max(1, finding.column), len(text) + 1)
        width = max(1, min(finding.length, len(text) - column + 1))
        rows.append([(f" {number} | ", "blue"), (text, "")])
        caret = " " * (column - 1)
        rows.append([(f" {' ' * len(number)} | ", "blue"), (caret, ""), ("^" * width, style)])
    if finding.hint:
        rows.append([("   remedy: ", "green"), (streams.spelled(finding.hint), "")])
    return rows


def _summary(number: int, counts: dict[str, int]) -> Row:
    said = [_count(count, kind) for kind, count in counts.items() if count]
    text = ", ".join(said) or "nothing to complain of"
    style = next((_STYLES[kind] for kind, count in counts.items() if count), "bold green")
    return [(text, style), (f" in {_count(number, 'file')}", "")]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
