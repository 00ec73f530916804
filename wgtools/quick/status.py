# SPDX-License-Identifier: MIT
"""What is up: each interface, its file, who carries it, its journal, its drift.

Looks only, and says what it could not see instead of failing: most of it needs root.
"""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wgtools import ipc
from wgtools.errors import WgError
from wgtools.quick import files, leftovers, live
from wgtools.quick.journal import DIRECTORY, Journal, namespace
from wgtools.quick.linux import link_index

if TYPE_CHECKING:
    from wgtools.model import Device
    from wgtools.quick.drift import Difference

__all__ = ["Engine", "Status", "is_another_kind", "look", "names"]

_SOCKETS = "/var/run/wireguard"
_MODULE = "wgtools.daemon"


@dataclass(frozen=True, slots=True)
class Engine:
    """Who carries an interface: `kernel`, `embedded`, `program`, or `unknown`.

    Unknown is a program whose process the caller may not look into.
    """

    kind: str
    program: str = ""
    pid: int = 0


@dataclass(slots=True)
class Status:
    """One interface.  What is None could not be seen, `remarks` say why."""

    name: str
    up: bool
    file: str = ""  # empty: no file of it is known
    engine: Engine | None = None
    device: Device | None = None
    journal: str = "none"  # or `kept`, `left behind`, `record only`, `unknown`
    undo_steps: int = 0  # of a journal left behind: that would still change something
    differences: list[Difference] | None = None
    remarks: list[WgError] = field(default_factory=list)


def names() -> list[str]:
    """Interfaces that are up, and those of which a journal is left.  Raises AccessError."""
    if sys.platform != "linux":
        from wgtools.quick.systems import telling

        return telling.names()
    found = dict.fromkeys(name for name in ipc.list_devices() if link_index(name))
    return [*found, *(name for name in _journals() if name not in found)]


def _journals() -> list[str]:
    try:
        entries = sorted(os.listdir(DIRECTORY))
    except OSError:
        return []
    parts = [entry.partition("@") for entry in entries]
    here = [name for name, _, rest in parts if rest.partition(".")[0] == str(namespace())]
    return [name for name in here if files.is_name(name) and Journal(name).undos]


def is_another_kind(name: str) -> bool:
    """Whether what is not up has its name taken by something else (told on Linux alone)."""
    return sys.platform == "linux" and bool(link_index(name))


def look(name: str) -> Status:
    """One interface, as far as the caller may see it."""
    if sys.platform != "linux":
        from wgtools.quick.systems import telling

        return telling.look(name)
    found = Status(name, live.is_up(name))
    journal = Journal(name)
    _judge_journal(found, journal)
    found.file = journal.config_file or f"{files.DIRECTORY}/{name}.conf"
    if not found.up:
        return found
    found.engine = engine_of(name)
    try:
        found.device = ipc.get(name)
        found.differences = _differences(found)
    except WgError as error:
        found.remarks.append(error)
    except OSError as error:
        text = f"{error.filename or found.file}: {error.strerror}"
        found.remarks.append(WgError(text, hint="root sees more"))
    return found


def _judge_journal(found: Status, journal: Journal) -> None:
    if not journal.undos:
        found.journal = "none" if os.geteuid() == 0 else "unknown"
        return
    left = journal.undos if found.up else leftovers.remaining(journal.undos)
    found.undo_steps = len(left)
    found.journal = "kept" if found.up else "left behind" if left else "record only"
    if found.journal == "record only" and any(journal.hooks.values()):
        hint = f"if they did not, this runs them: wg-quick down {found.name}"
        found.remarks.append(WgError("whether its Down hooks ran cannot be told", hint=hint))


def _differences(found: Status) -> list[Difference] | None:
    if not os.path.lexists(found.file):
        found.file = ""
        return None
    # The name comes from the interface: the journal's path has its links resolved.
    about = live.subject(files.Target(found.name, found.file))
    reading = live.read(about)
    found.remarks += reading.remarks
    return reading.differences


def engine_of(name: str) -> Engine:
    """By the process that listens on the interface's control socket, if there is one."""
    path = f"{_SOCKETS}/{name}.sock"
    if not os.path.exists(path):
        return Engine("kernel")
    pid = _listener(path)
    words = _command(pid)
    ours = [w for w in words if w.startswith(_MODULE) or os.path.basename(w) == "wgtools-engine"]
    if ours:
        return Engine("embedded", "wgtools-engine", pid)
    if not words:
        return Engine("unknown", pid=pid)
    return Engine("program", os.path.basename(words[0]), pid)


def _listener(path: str) -> int:
    """The process that holds the socket; 0 if it cannot be seen.

    Not by SO_PEERCRED: that names who called listen(2), and daemons fork afterwards.
    """
    try:
        owner = os.stat(path).st_uid
    except OSError:
        return 0
    # Anyone may bind a socket to such a path, in a mount namespace of their own.
    links = {f"socket:[{inode}]" for inode in _inodes({path, os.path.realpath(path)})}
    for entry in os.listdir("/proc") if links else ():
        if entry.isdigit() and links & _open_files(entry) and _user(entry) == owner:
            return int(entry)
    return 0


def _inodes(paths: set[str]) -> list[str]:
    """Of the sockets that are bound to one of these."""
    try:
        with open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as file:
            rows = [line.split() for line in file]
    except OSError:
        return []
    return [row[6] for row in rows if len(row) > 7 and row[7] in paths]


def _user(pid: str) -> int:
    """Whose rights a process has; -1 if it is gone.  Not the owner of its directory in /proc,
    which is root for whatever process gives up being dumped."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            rows = [line.split() for line in file]
        return next((int(row[2]) for row in rows if row[:1] == ["Uid:"]), -1)
    return -1


def _open_files(pid: str) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):
        for number in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found.add(os.readlink(f"/proc/{pid}/fd/{number}"))
    return found


def _command(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return [os.fsdecode(word) for word in file.read().split(b"\0") if word]
    except OSError:
        return []
