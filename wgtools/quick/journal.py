# SPDX-License-Identifier: MIT
"""What has been done to the host for an interface, on disk before it is done.

One small text file per interface and network namespace under /run/wgtools, 0600,
written whole and fsynced each time.  It holds the steps that undo things, and the Down
hooks for the day when the configuration is gone; never a key.  While an interface is
up it stays; `down`, or an `up` that finds it without its link, works it off.  A host
where it cannot be written gets a remark, not a refusal.
"""

from __future__ import annotations

import os

from wgtools.quick import files, steps

__all__ = ["DIRECTORY", "Journal", "namespace"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable

    from wgtools.quick.steps import Step

DIRECTORY = "/run/wgtools"
_KINDS: dict[str, Callable[..., Step]] = {
    kind.__name__: kind
    for kind in (steps.DeleteLink, steps.DeleteRule, steps.RemoveDNS, steps.RemoveFirewall)
}


class Journal:
    """The undo list of one interface, oldest first."""

    def __init__(self, name: str, directory: str = DIRECTORY) -> None:
        self._path = os.path.join(directory, f"{name}@{namespace()}.journal")
        self.undos: list[Step] = []
        self.config_file = ""
        self.hooks: dict[str, list[str]] = {}
        self.problem = ""  # why it cannot be written, once that is known
        self._load()

    def begin(self, config_file: str, hooks: dict[str, list[str]]) -> None:
        self.config_file = config_file
        self.hooks = hooks
        self.undos = []

    def add(self, undo: Step) -> None:
        self.undos.append(undo)
        self._write()

    def remove(self, undo: Step) -> None:
        """Forget a step that has been undone."""
        if undo in self.undos:
            self.undos.remove(undo)
            self._write()

    def erase(self) -> None:
        self.undos = []
        try:
            os.unlink(self._path)
        except OSError:
            return  # never written, or in a directory that is gone as well

    def _load(self) -> None:
        try:
            with open(self._path, "rb") as file:
                self._read(file.read())
        except (OSError, ValueError, KeyError, TypeError):
            self.undos = []  # nothing there, or nothing that we could have written

    def _read(self, data: bytes) -> None:
        rows = [[_plain(word) for word in line.split(b" ")] for line in data.splitlines()]
        if not data.endswith(b"\n") or rows[0] != ["boot", _boot()]:
            return  # of another life of this machine
        undos: list[Step] = []
        hooks: dict[str, list[str]] = {}
        for kind, *words in rows[1:]:
            if kind == "file":
                (self.config_file,) = words
            elif kind == "hook":
                hooks.setdefault(words[0], []).append(words[1])
            else:
                undos.append(_step(kind, words))
        self.undos, self.hooks = undos, hooks

    def _write(self) -> None:
        if self.problem:
            return
        rows = [["boot", _boot()], ["file", self.config_file]]
        rows += [["hook", kind, text] for kind, texts in self.hooks.items() for text in texts]
        rows += [[type(undo).__name__, *_words(undo)] for undo in self.undos]
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            files.replace(self._path, b"".join(map(_line, rows)))
        except OSError as error:
            self.problem = error.strerror or str(error)


# One line per record, words parted by blanks; what a word cannot hold is escaped.


def _line(words: list[str]) -> bytes:
    return (
        b" ".join(word.encode("unicode_escape").replace(b" ", rb"\x20") for word in words) + b"\n"
    )


def _plain(word: bytes) -> str:
    return word.decode("unicode_escape")


def _step(kind: str, words: list[str]) -> Step:
    if kind == "DeleteRule":
        return steps.DeleteRule(steps.Rule(*map(int, words)))
    return _KINDS[kind](*words)


def _words(undo: Step) -> list[str]:
    if isinstance(undo, steps.DeleteRule):
        return [str(number) for number in undo.rule.as_dict().values()]
    return [str(value) for value in undo.as_dict().values()]


def namespace() -> int:
    """Interface names are per network namespace, /run often is not."""
    try:
        return os.stat("/proc/self/ns/net").st_ino
    except OSError:
        return 0


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
