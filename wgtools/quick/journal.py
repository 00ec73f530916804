# SPDX-License-Identifier: MIT
"""What has been done to the host for an interface, on disk before it is done.

One small JSON file per interface and network namespace under /run/wgtools, 0600,
written whole and fsynced each time.  It holds the steps that undo things, and the Down
hooks for the day when the configuration is gone; never a key.  While an interface is
up it stays; `down`, or an `up` that finds it without its link, works it off.  A host
where it cannot be written gets a remark, not a refusal.
"""

from __future__ import annotations

import contextlib
import json
import os

from wgtools.quick import files, steps

__all__ = ["DIRECTORY", "Journal", "namespace"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from typing import Any

    from wgtools.quick.steps import Step

DIRECTORY = "/run/wgtools"
_KINDS = {
    kind.__name__: kind
    for kind in (steps.DeleteLink, steps.DeleteRule, steps.RemoveDNS, steps.RemoveFirewall)
}


class Journal:
    """The undo list of one interface, oldest first."""

    def __init__(self, name: str, directory: str = DIRECTORY) -> None:
        self._path = os.path.join(directory, f"{name}@{namespace()}.json")
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
        with contextlib.suppress(OSError):
            os.unlink(self._path)

    def _load(self) -> None:
        try:
            with open(self._path, "rb") as file:
                record = json.load(file)
            if record["boot"] == _boot():
                self.undos = [_step(item) for item in record["undo"]]
                self.config_file = record["file"]
                self.hooks = record["hooks"]
        except (OSError, ValueError, KeyError, TypeError):
            self.undos = []  # nothing there, or nothing that we could have written

    def _write(self) -> None:
        record = {
            "boot": _boot(),
            "file": self.config_file,
            "hooks": self.hooks,
            "undo": [{"do": type(undo).__name__, **_record(undo)} for undo in self.undos],
        }
        if self.problem:
            return
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            files.replace(self._path, json.dumps(record).encode())
        except OSError as error:
            self.problem = error.strerror or str(error)


def _step(item: dict[str, Any]) -> Step:
    kind = _KINDS[item["do"]]
    values = {name: value for name, value in item.items() if name != "do"}
    if "rule" in values:
        values["rule"] = steps.Rule(**values["rule"])
    step: Step = kind(**values)
    return step


def _record(undo: Step) -> dict[str, object]:
    plain = undo.as_dict()
    rule = plain.get("rule")
    return plain | {"rule": rule.as_dict()} if isinstance(rule, steps.Rule) else plain


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
