# SPDX-License-Identifier: MIT
"""A golden case that reads as what happened: files put in place, commands, what each said.

    == put /etc/wireguard/wg0.conf
    [Interface]
    ...
    == run wg-quick plan wg0
    wg0 is down; ...
    == stderr
    ...
    == exit 2

A `put` may be followed by a mode, `run` by `as nobody`.  Between two commands files may
be put again.  No `== stderr` means that nothing may be said there, no `== exit` means 0.
What chance decides stands as `ANY_NUMBER`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Command", "Transcript", "read", "steady"]

# May read, since the interpreter can stand where others have no way in, but write nothing.
_NOBODY = (
    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--"),
)
_CHANCE = re.compile(r'(?<="pid": )[1-9]\d*|(?<=, pid )[1-9]\d*')


@dataclass(slots=True)
class Command:
    """One command and all that it must say."""

    argv: list[str]
    nobody: bool
    put: list[dict[str, str]]
    stdout: str = ""
    stderr: str = ""
    exit: int = 0

    @property
    def step(self) -> dict[str, Any]:
        """As tests/golden/quickhost.py performs it."""
        return {"argv": [*(_NOBODY if self.nobody else ()), *self.argv], "put": self.put}


@dataclass(slots=True)
class Transcript:
    """The commands of one host."""

    name: str
    commands: list[Command] = field(default_factory=list)


def read(path: Path) -> Transcript:
    """Raises ValueError for a section that is none."""
    found = Transcript(path.stem)
    put: list[dict[str, str]] = []
    for head, body in _sections(path.read_text()):
        word, _, rest = head.partition(" ")
        if word == "put":
            name, _, mode = rest.partition(" mode ")
            put.append({"path": name, "content": body, "mode": mode or "0600"})
        elif word == "run":
            line = rest.removeprefix("as nobody ")
            found.commands.append(Command(line.split(), line != rest, put, stdout=body))
            put = []
        elif word == "stderr":
            found.commands[-1].stderr = body
        elif word == "exit":
            found.commands[-1].exit = int(rest)
        else:
            raise ValueError(f"{path.name}: {head}")
    return found


def _sections(text: str) -> list[tuple[str, str]]:
    _, *parts = re.split(r"(?m)^== ", "\n" + text)
    cut = [part.partition("\n") for part in parts]
    return [(head, body) for head, _, body in cut]


def steady(text: str) -> str:
    """Without what chance decides."""
    return _CHANCE.sub("ANY_NUMBER", text)
