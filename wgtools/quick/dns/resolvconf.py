# SPDX-License-Identifier: MIT
"""DNS through a `resolvconf` program (WG_QUICK_COMPAT section 11).

Finds out under which name resolvconf wants to know us, adds, removes and lists.
openresolv's, Debian's and resolvectl under that name are told the same words.
"""

from __future__ import annotations

import os

from wgtools.quick.apply import NOT_FOUND, CommandFailed, NotInForce, find_program, run

__all__ = ["add", "current_servers", "entry_name", "holds", "prefix", "remove"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Iterable

_ORDER = "/etc/resolvconf/interface-order"
_CLASSIC = "/etc/resolvconf/run/interface"
_NOBODY = "there is no `resolvconf' program: the name servers of the file are not in force"
_NEEDS = "install openresolv or systemd-resolved, or set WG_QUICK_DNS=file"


def prefix(order: bytes) -> str:
    """What the first line of the form `word*` asks names to begin with, with a dot.

    A last line without its newline does not count.
    """
    for line in order.split(b"\n")[:-1]:
        word = line[:-1]
        if line.endswith(b"*") and word and word.replace(b"-", b"a").isalnum() and word.isascii():
            return word.decode() + "."
    return ""


def entry_name(name: str) -> str:
    """Our name in resolvconf's books; prefixed only for the classic implementation."""
    program = find_program("resolvconf")
    if not os.path.isfile(_ORDER) or (program and os.path.islink(program)):
        return name
    with open(_ORDER, "rb") as file:
        return prefix(file.read()) + name


def add(name: str, servers: Iterable[str], domains: Iterable[str]) -> None:
    text = "".join(f"nameserver {server}\n" for server in servers)
    if words := " ".join(domains):
        text += f"search {words}\n"
    data = text.encode("utf-8", "surrogateescape")
    try:
        run(["resolvconf", "-a", name, "-m", "0", "-x"], data=data)
    except CommandFailed as error:
        if error.exit_code == NOT_FOUND:
            raise NotInForce(_NOBODY, hint=_NEEDS, exit_code=NOT_FOUND) from error
        raise


def remove(name: str) -> None:
    run(["resolvconf", "-d", name, "-f"], data=b"")


def holds(entry: str) -> bool:
    """Whether there are words of an entry whose link is gone; without the program, who knows."""
    program = find_program("resolvconf")
    if not program:
        return True
    if os.path.basename(os.path.realpath(program)) == "resolvectl":
        return False  # they were the link's own
    if os.path.isdir(_CLASSIC):  # Debian's, whose -l prints all entries in one
        return os.path.exists(os.path.join(_CLASSIC, entry))
    try:
        return bool(run(["resolvconf", "-l", entry], data=b"", capture=True, quiet=True))
    except CommandFailed:
        return False


def current_servers(entry: str) -> list[str]:
    """The servers in force for us, asked of resolvconf, else of its classic directory."""
    try:
        text = run(["resolvconf", "-l", entry], data=b"", capture=True, quiet=True)
    except CommandFailed:
        try:
            with open(os.path.join(_CLASSIC, entry), "rb") as file:
                text = file.read()
        except OSError:
            return []
    words = [line.split() for line in text.decode("utf-8", "surrogateescape").splitlines()]
    return [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
