# SPDX-License-Identifier: MIT
"""The tree of docs/style.md names every module, and nothing that is not there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ("wgtools", "backends/wgtools_backends")


def drawn() -> set[str]:
    """Paths of the directories and Python files that the tree names.

    A line is indented by two for each directory that it is in; one that opens a directory
    may name the files of it.
    """
    text = (ROOT / "docs/style.md").read_text()
    tree = text.partition("## 1. ")[2].partition("```\n")[2].partition("```\n")[0]
    paths: set[str] = set()
    parents: list[str] = []
    for line in tree.splitlines():
        body = line.lstrip()
        del parents[(len(line) - len(body)) // 2 :]
        if opened := re.match(r"([\w./]+)/(?:\s|$)", body):
            parents.append(opened[1])
            paths.add("/".join(parents))
        names = re.findall(r"(?<![\w./*])(\w+\.py)\b", body)
        paths.update("/".join([*parents, name]) for name in names)
    return paths


def test_every_module_is_named_in_the_tree() -> None:
    modules = {
        str((path.parent if path.name == "__init__.py" else path).relative_to(ROOT))
        for source in SOURCES
        for path in (ROOT / source).rglob("*.py")
    }
    assert modules - drawn() == set()


def test_what_the_tree_names_is_there() -> None:
    paths = drawn()
    assert len(paths) > 200
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
