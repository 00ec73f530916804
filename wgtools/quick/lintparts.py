# SPDX-License-Identifier: MIT
"""A configuration as quick/lint.py looks at it: sections, entries, where each word stands.

Beside conf/quickfile.py, whose grammar is `up`'s: here nothing is lost, so that a remark
can point at it.  Pure.  `excerpt` shows a line without its secrets.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wgtools.conf.quickfile import HOOKS
from wgtools.errors import InvalidKey, WgError
from wgtools.keys import Key
from wgtools.model import HostPort

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wgtools.conf.document import Line

__all__ = [
    "KEY_LIKE",
    "Entry",
    "Network",
    "Route",
    "Section",
    "excerpt",
    "items",
    "key_of",
    "next_wider",
    "numeric_host",
    "sections_of",
]

_SECRET = ("privatekey", "presharedkey")
KEY_LIKE = re.compile(r"[A-Za-z0-9+/]{30,}=*")  # most of a key is a key's worth of trouble

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(slots=True)
class Entry:
    """`KEY = VALUE` as it stands: the value trimmed, without its comment."""

    key: str
    value: str
    line: int
    column: int


@dataclass(slots=True)
class Section:
    header: str  # "[peer]"; "" before the first
    line: int
    entries: list[Entry] = field(default_factory=list)

    def all(self, key: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.key.lower() == key]

    def last(self, key: str) -> Entry | None:
        found = self.all(key)
        return found[-1] if found else None


@dataclass(frozen=True, slots=True)
class Route:
    """One allowed IP: whose it is and where it is written."""

    network: Network
    peer: Section
    entry: Entry


def excerpt(data: bytes, number: int) -> str:
    """The line for showing: tabs as blanks, secrets and what may be one hidden."""
    rows = data.split(b"\n")
    if not 0 < number <= len(rows):
        return ""
    text = rows[number - 1].decode("utf-8", "replace").expandtabs(1).rstrip()
    printable = "".join(c if c.isprintable() else "?" for c in text)
    key, equals, rest = printable.partition("=")
    name = key.strip().lower()
    if name in ("publickey", *HOOKS) and (name != "publickey" or _is_key(rest)):
        return KEY_LIKE.sub("(hidden)", printable) if name in HOOKS else printable
    if name in _SECRET and rest.strip():
        start = len(rest) - len(rest.lstrip())
        return f"{key}{equals}{rest[:start]}(hidden)"
    return KEY_LIKE.sub("(hidden)", printable)


def _is_key(text: str) -> bool:
    try:
        Key.from_base64(text.partition("#")[0].strip().encode())
    except InvalidKey:
        return False
    return True


def sections_of(lines: Iterable[Line]) -> list[Section]:
    found = [Section("", 0)]
    for line in lines:
        text = line.raw.decode("utf-8", "replace").replace("\0", "")
        body = text if _is_hook(text) else text.partition("#")[0]
        name, equals, value = body.partition("=")
        if body.strip().startswith("["):
            found.append(Section("".join(body.split()).lower(), line.number))
        elif equals:
            column = len(name) + 2 + len(value) - len(value.lstrip())
            found[-1].entries.append(Entry(name.strip(), value.strip(), line.number, column))
    return found


def _is_hook(text: str) -> bool:
    return text.partition("=")[0].strip().lower() in HOOKS


def items(entry: Entry) -> list[tuple[str, int]]:
    """The items of a comma-separated value, each with its column."""
    found = []
    for match in re.finditer(r"[^,]+", entry.value):
        word = match[0].strip()
        if word:
            lead = len(match[0]) - len(match[0].lstrip())
            found.append((word, entry.column + match.start() + lead))
    return found


def key_of(entry: Entry | None) -> Key | None:
    try:
        return Key.from_base64(entry.value.encode()) if entry else None
    except InvalidKey:
        return None


def numeric_host(entry: Entry | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        known = HostPort.parse(entry.value.encode()).numeric() if entry else None
        return ipaddress.ip_address(known.host) if known else None
    except (WgError, ValueError):
        return None


def next_wider(network: Network, owners: Mapping[Network, Route]) -> Route | None:
    """The owner of the next shorter prefix that holds this network."""
    for length in range(network.prefixlen - 1, -1, -1):
        found = owners.get(network.supernet(new_prefix=length))
        if found is not None:
            return found
    return None
