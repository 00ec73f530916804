# SPDX-License-Identifier: MIT
"""The words that the commands know, asked of their code: for pages and completions.

Not here: what is done with them.  The rule: nothing is listed by hand.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import typer

from wgtools.cli import quick_verbs, wg_quick

__all__ = ["ROOT", "codes", "constant", "modules", "of_up", "own_verbs"]

ROOT = Path(__file__).parents[2]


def modules(where: str) -> Iterator[ast.Module]:
    """A module, or all in a folder; without what they export."""
    place = ROOT / where
    for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
        module = ast.parse(path.read_text())
        module.body = [each for each in module.body if not _is_all(each)]
        yield module


def _is_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"


def constant(node: ast.AST) -> str:
    value = node.value if isinstance(node, ast.Constant) else ""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def of_up() -> set[str]:
    """Options of `up`."""
    return {*wg_quick._FLAGS, wg_quick._ENGINE.rstrip("=")}


def own_verbs() -> dict[str, set[str]]:
    """The verbs beyond the original, with their options."""
    group = typer.main.get_command(quick_verbs._app)
    commands = getattr(group, "commands")  # noqa: B009  # typer hides the class that has it
    return {
        name: {option for each in command.params for option in each.opts if option[0] == "-"}
        for name, command in commands.items()
    }


def codes() -> set[str]:
    """Codes of `check`: the argument behind the severity, and what is assigned to `code`."""
    found = set()
    quick = ROOT / "wgtools/quick"
    files = [*sorted(quick.glob("lint*.py")), quick / "findings.py"]
    for file in (*files, ROOT / "wgtools/cli/quick_check.py"):
        (module,) = modules(str(file))
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and len(node.args) > 1:
                severity = ast.unparse(node.args[0]).removeprefix("lint.")
                if severity in ("ERROR", "WARNING", "NOTE"):
                    found.add(constant(node.args[1]))
            elif isinstance(node, ast.Assign):
                found |= _assigned(node.targets[0], node.value)
    return found - {""}


def _assigned(target: ast.expr, value: ast.expr) -> set[str]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return {c for t, v in zip(target.elts, value.elts, strict=True) for c in _assigned(t, v)}
    return {constant(value)} if isinstance(target, ast.Name) and target.id == "code" else set()
