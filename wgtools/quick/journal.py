# SPDX-License-Identifier: MIT
"""What has been done to the host for an interface, on disk before it is done.

One small text file per interface and network namespace under /run/wgtools (elsewhere
than on Linux /var/run/wgtools, which those systems empty when they boot), 0600,
written whole and fsynced each time.  It holds the steps that undo things, and the Down
hooks for the day when the configuration is gone; never a key.  While an interface is
up it stays; `down`, or an `up` that finds it without its link, works it off.  A host
where it cannot be written gets a remark, not a refusal.
"""

from __future__ import annotations

import os
import sys

from wgtools.quick import files, steps

__all__ = ["DIRECTORY", "DOWN_HOOKS", "HOME", "Journal", "namespace", "remembered"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable

    from wgtools.conf.quickfile import QuickFile
    from wgtools.quick.steps import Step

DIRECTORY = "/run/wgtools" if sys.platform == "linux" else "/var/run/wgtools"
# macOS keeps the DNS of its network services over a reboot, so the way back must last as well.
HOME = "/var/db/wgtools" if sys.platform == "darwin" else DIRECTORY
_KINDS: dict[str, Callable[..., Step]] = {
    kind.__name__: kind
    for kind in (steps.DeleteLink, steps.DeleteRule, steps.RemoveDNS, steps.RemoveFirewall)
}
DOWN_HOOKS = ("predown", "postdown")


class Journal:
    """The undo list of one interface, oldest first."""

    def __init__(self, name: str, directory: str = HOME) -> None:
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
            # Its hooks are run: it must be ours, wherever others may write beside it.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with open(os.open(self._path, flags), "rb") as file:
                status = os.fstat(file.fileno())
                if status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o022:
                    self._read(file.read())
        except (OSError, ValueError, LookupError, TypeError):
            self.undos = []  # nothing there, or nothing that we could have written

    def _read(self, data: bytes) -> None:
        rows = [[_plain(word) for word in line.split(b" ")] for line in data.splitlines()]
        if not data.endswith(b"\n") or rows[0][0] != "boot":
            return
        same = rows[0][1:] == [_boot()]  # else of another life of this machine
        undos: list[Step] = []
        hooks: dict[str, list[str]] = {}
        for kind, *words in rows[1:]:
            if kind == "file":
                (self.config_file,) = words
            elif kind == "hook":
                hooks.setdefault(words[0], []).append(words[1])
            else:
                undos.append(_step(kind, words))
        if not same:
            undos, hooks = [undo for undo in undos if undo.lasting], {}
            self.config_file = self.config_file if undos else ""
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


def remembered(name: str) -> tuple[files.Target, QuickFile] | None:
    """What `down` needs to know of an interface whose file is gone; None if we know nothing."""
    from wgtools.conf.document import Document
    from wgtools.conf.quickfile import QuickFile, Value
    from wgtools.quick.dns import left_behind

    journal = Journal(name)
    if not journal.undos and not left_behind(name):
        return None
    config = QuickFile(Document(b"", journal.config_file))
    for kind in DOWN_HOOKS:
        config.hooks[kind] = [Value(text) for text in journal.hooks.get(kind, [])]
    return files.Target(name, journal.config_file), config


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
    if kind not in _KINDS:
        from wgtools.quick.systems.actions import revived

        return revived(kind, words)
    return _KINDS[kind](*words)


def _words(undo: Step) -> list[str]:
    if isinstance(undo, steps.DeleteRule):
        return [str(number) for number in undo.rule.as_dict().values()]
    words: list[str] = []
    for value in undo.as_dict().values():
        words += value if isinstance(value, tuple) else [str(value)]
    return words


def namespace() -> int:
    """Interface names are per network namespace, or jail; /run often is not."""
    if sys.platform.startswith("freebsd"):
        return int(_told("ps", "-o", "jid=", "-p", str(os.getpid())) or 0)
    try:
        return os.stat("/proc/self/ns/net").st_ino
    except OSError:
        return 0


def _boot() -> str:
    if sys.platform == "darwin":
        return _told("sysctl", "-n", "kern.bootsessionuuid")
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _told(*words: str) -> str:
    from wgtools.quick.apply import CommandFailed, run

    try:
        return run(words, data=b"", capture=True, quiet=True).decode("ascii", "replace").strip()
    except CommandFailed:
        return ""
