#!/usr/bin/env python3
"""Writes docs/api.md, the reference of what `import wgtools` offers, out of the docstrings.

Usage: api.py            print it; `make test` compares it with the file that is there
       api.py --write    write it
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from pathlib import Path

import wgtools

FILE = Path(__file__).with_name("api.md")
HEAD = """\
# `import wgtools`

Written by `docs/api.py` out of the docstrings: edit those. Every name here stays as it is within a
major version ([semantic versioning](https://semver.org/)); what is not here may change any time.
"""
FUNCTIONS = ("interfaces", "device", "change", "read", "watch")


def main() -> None:
    if sys.argv[1:] == ["--write"]:
        FILE.write_text(reference())
    else:
        sys.stdout.write(reference())


def reference() -> str:
    """The whole page."""
    parts = [HEAD, "## Functions\n"]
    parts += [entry(name) for name in FUNCTIONS]
    parts.append("## Values\n")
    parts += [entry(name) for name in wgtools.__all__ if name not in FUNCTIONS]
    return "\n".join(parts)


def entry(name: str) -> str:
    """One name: its signature, what its docstring says, and the names within it."""
    thing = getattr(wgtools, name)
    lines = [f"### `{signature(name)}`", "", prose(inspect.getdoc(thing) or "")]
    if inspect.isclass(thing):
        for member, value in sorted(vars(thing).items()):
            if member.startswith("_") or not is_ours(value):
                continue
            lines.append(f"- `{member}{parameters(value)}`{summary(value)}")
        lines.append("")
    return "\n".join(lines)


def summary(value: object) -> str:
    """The first sentence of a docstring, for a list."""
    function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
    text = " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
    return f": {text}" if text else ""


def signature(name: str) -> str:
    """`name(parameters) -> result` as a caller sees it."""
    return f"{name}{parameters(getattr(wgtools, name))}"


def signatures() -> list[str]:
    """Of every public name, and of each public method."""
    found = []
    for name in wgtools.__all__:
        thing = getattr(wgtools, name)
        found.append(signature(name))
        if inspect.isclass(thing):
            found += [
                f"{name}.{member}{parameters(value)}"
                for member, value in sorted(vars(thing).items())
                if not member.startswith("_") and is_ours(value)
            ]
    return found


def fingerprint() -> str:
    """Of all signatures: when it changes, the changelog has to say why."""
    return hashlib.sha256("\n".join(signatures()).encode()).hexdigest()[:8]


def is_ours(value: object) -> bool:
    """Methods and properties, not slots or what a NamedTuple brings."""
    kinds = (staticmethod, classmethod, property)
    return inspect.isfunction(value) or isinstance(value, kinds)


def parameters(thing: object) -> str:
    """The part in brackets, annotations and defaults as they are written."""
    if isinstance(thing, property):
        return ""
    function = thing.__func__ if isinstance(thing, classmethod | staticmethod) else thing
    assert callable(function)
    found = inspect.signature(function)
    words = []
    keywords = False
    for each in found.parameters.values():
        if each.name in ("self", "cls"):
            continue
        if each.kind is each.KEYWORD_ONLY and not keywords:
            keywords = True
            words.append("*")
        default = "" if each.default is each.empty else f" = {shown(each.default)}"
        words.append(f"{each.name}: {annotation(each.annotation)}{default}")
    gives = "" if inspect.isclass(function) else f" -> {annotation(found.return_annotation)}"
    return f"({', '.join(words)}){gives}"


def annotation(value: object) -> str:
    """As it stands in the source, which is never evaluated."""
    return str(getattr(value, "__forward_arg__", value))


def shown(default: object) -> str:
    """A function by its name, everything else as Python writes it."""
    return default.__name__ if inspect.isroutine(default) else repr(default)


def prose(text: str) -> str:
    """Markdown of a docstring: examples as code, the rest as it is."""
    lines, inside = [], False
    for line in text.splitlines():
        example = line.startswith(">>>") or (inside and line.strip() != "")
        if example != inside:
            lines.append("```python" if example else "```")
        inside = example
        lines.append(line)
    return "\n".join([*lines, "```"] if inside else lines) + "\n"


if __name__ == "__main__":
    main()
