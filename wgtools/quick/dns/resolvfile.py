# SPDX-License-Identifier: MIT
"""DNS through a managed block at the top of /etc/resolv.conf, for hosts with no other way.

Whoever wrote the file is left their words: lines that must not count are commented
out, and taking the last block away gives back the file to the byte, whatever was added
below meanwhile.  `Contents` is pure.  The file is written through links; by rename, or
where it is a mount point (containers) in place, with a copy beside the journal from
which the next run completes what a crash cut short.
"""

from __future__ import annotations

import errno
import os

from wgtools.quick import files
from wgtools.quick.apply import NotInForce
from wgtools.quick.journal import DIRECTORY, namespace
from wgtools.quick.lock import exclusive

__all__ = ["Contents", "add", "holds", "remove"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Sequence

PATH = "/etc/resolv.conf"
_LOCK = "@resolv"  # no interface can be called so (quick/files.py)
_BEGIN = b"# Written by wg-quick(8); `wg-quick down NAME' takes it away again.\n"
_MADE = b"# There was no such file before.\n"
_ENTRY = b"# wg-quick: "
_END = b"# End of what wg-quick(8) wrote.\n"
_HIDDEN = b"#wg-quick# "
_OURS = (b"nameserver", b"domain", b"search")  # resolv.conf(5)


class Contents:
    """The file as text below, and what each interface wants above it, newest first."""

    def __init__(self, data: bytes | None) -> None:
        self.made = data is None
        self.wanted: dict[str, list[str]] = {}
        self.below = data or b""
        head, end, below = self.below.partition(_END)
        before, begin, block = head.partition(_BEGIN)
        if not (begin and end):
            return
        self.made = _MADE in block
        for line in block.splitlines():
            if line.startswith(_ENTRY):
                name, *words = os.fsdecode(line[len(_ENTRY) :]).split(" ")
                self.wanted[name] = words
        lines = (before + below).splitlines(keepends=True)
        self.below = b"".join(line.removeprefix(_HIDDEN) for line in lines)

    def put(self, name: str, words: Sequence[str]) -> None:
        self.wanted.pop(name, None)
        self.wanted = {name: list(words), **self.wanted}

    def take(self, name: str) -> None:
        self.wanted.pop(name, None)

    def render(self) -> bytes | None:
        """The whole file; None when there is to be none."""
        if not self.wanted:
            return self.below if self.below or not self.made else None
        servers, domains = self._in_force()
        hidden = (_OURS if servers else _OURS[1:]) if servers or domains else ()
        text = _BEGIN + (_MADE if self.made else b"")
        for name, words in self.wanted.items():
            text += _ENTRY + os.fsencode(" ".join([name, *words])) + b"\n"
        text += b"".join(b"nameserver " + os.fsencode(word) + b"\n" for word in servers)
        if not servers and domains:
            domains += [word for word in self._searched() if word not in domains]
        if domains:
            text += b"search " + os.fsencode(" ".join(domains)) + b"\n"
        text += _END
        for line in self.below.splitlines(keepends=True):
            # A line that looks hidden already, as the file had it, must not come back bare.
            hide = line.startswith(_HIDDEN) or line.split()[:1] in [[word] for word in hidden]
            text += (_HIDDEN if hide else b"") + line
        return text

    def _in_force(self) -> tuple[list[str], list[str]]:
        """Servers and domains of the newest interface with servers; domains of all without."""
        from wgtools.quick.plan import split_dns

        domains: list[str] = []
        for words in self.wanted.values():
            servers, searched = split_dns(words)
            # A routing domain cannot be told here; a search domain it is not.
            domains += [d for d in searched if not d.startswith("~") and d not in domains]
            if servers:
                return list(servers), domains
        return [], domains

    def _searched(self) -> list[str]:
        """What the file searches by itself: the last line of its kind counts."""
        rows = [line.split() for line in self.below.splitlines()]
        lines = [row[1:] for row in rows if row and row[0] in _OURS[1:]]
        return [os.fsdecode(word) for word in lines[-1]] if lines else []


def add(name: str, servers: Sequence[str], domains: Sequence[str], path: str = PATH) -> None:
    """Raises NotInForce when the file cannot be written."""
    with exclusive(_LOCK):
        try:
            _recover(path)
            contents = Contents(_read(path))
            contents.put(name, [*servers, *domains])
            _write(path, contents.render())
        except OSError as error:
            raise NotInForce(
                f"{path}: {error.strerror}: the name servers of the file are not in force",
                hint="make it writable, or install openresolv or systemd-resolved",
            ) from error


def remove(name: str, path: str = PATH) -> None:
    """Raises NotInForce."""
    with exclusive(_LOCK):
        try:
            _recover(path)
            before = _read(path)
            contents = Contents(before)
            if name in contents.wanted:
                contents.take(name)
                _write(path, contents.render())
        except OSError as error:
            raise NotInForce(f"{path}: {error.strerror}: it still has our block") from error


def holds(name: str, path: str = PATH) -> bool:
    """Whether the file has words of this interface; those outlive a reboot."""
    try:
        return name in Contents(_read(path)).wanted
    except OSError:
        return False


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _write(path: str, data: bytes | None) -> None:
    """Put `data` there, whole or not at all; a link stays a link, the mode as it was."""
    target = os.path.realpath(path)
    if data is None:
        os.unlink(target)
        return
    try:
        files.replace(target, data, f"{target}.wg-quick", mode=0o644)
    except OSError as error:
        # A mount point, or a directory where nothing can be made, but a file that can
        # be written: containers.
        if error.errno not in (errno.EBUSY, errno.EROFS, errno.EACCES, errno.EPERM, errno.EXDEV):
            raise
        _write_in_place(target, data)


def _write_in_place(target: str, data: bytes) -> None:
    copy = _copy_of(target)
    try:
        os.makedirs(DIRECTORY, mode=0o700, exist_ok=True)
        files.replace(copy, data)
    except OSError:
        copy = ""  # no /run to write to: less safe, not impossible
    handle = os.open(target, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(handle, data, 0)
        os.ftruncate(handle, len(data))
        os.fsync(handle)
    finally:
        os.close(handle)
    if copy:
        os.unlink(copy)


def _recover(path: str) -> None:
    """Complete a write in place that was cut short."""
    target = os.path.realpath(path)
    data, now = _read(_copy_of(target)), _read(target) or b""
    if data and len(now) > len(data) and now.startswith(data):  # the old end still there
        _write_in_place(target, data)


def _copy_of(target: str) -> str:
    """Which file is meant is part of the name: mount namespaces share /run."""
    try:
        found = os.stat(target)
        which = f"{found.st_dev:x}.{found.st_ino:x}"
    except OSError:
        which = "new"
    return os.path.join(DIRECTORY, f"@resolv.{namespace()}.{which}")
