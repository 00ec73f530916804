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
    from collections.abc import Callable, Iterable, Mapping

    from wgtools.conf.document import Line

__all__ = [
    "KEY_LIKE",
    "Entry",
    "Host",
    "Network",
    "Odd",
    "Route",
    "Section",
    "excerpt",
    "holder",
    "items",
    "key_of",
    "next_wider",
    "numeric_host",
    "odd_endpoint",
    "sections_of",
]

_SECRET = ("privatekey", "presharedkey")
KEY_LIKE = re.compile(r"[A-Za-z0-9+/]{30,}=*")  # most of a key is a key's worth of trouble

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Host = ipaddress.IPv4Address | ipaddress.IPv6Address


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

    @property
    def owner(self) -> Key | int:
        """Two sections of one key are one peer."""
        return key_of(self.peer.last("publickey")) or self.peer.line


@dataclass(frozen=True, slots=True)
class Odd:
    """A value that can be read but can hardly be meant, or can `never` work."""

    never: bool
    text: str
    hint: str


def excerpt(data: bytes, number: int) -> str:
    """The line for showing: tabs as blanks, secrets and what may be one hidden.

    So is a public key that is somewhere else in the file a secret.
    """
    rows = data.split(b"\n")
    if not 0 < number <= len(rows):
        return ""
    text = rows[number - 1].decode("utf-8", "replace").expandtabs(1).rstrip()
    printable = "".join(c if c.isprintable() else "?" for c in text)
    key, equals, rest = printable.partition("=")
    name = key.strip().lower()
    if name == "publickey" and _is_secret(rest, rows):
        return KEY_LIKE.sub("(hidden)", printable)
    if name in ("publickey", *HOOKS) and (name != "publickey" or _is_key(rest)):
        return KEY_LIKE.sub("(hidden)", printable) if name in HOOKS else printable
    if name in _SECRET and rest.strip():
        start = len(rest) - len(rest.lstrip())
        return f"{key}{equals}{rest[:start]}(hidden)"
    return KEY_LIKE.sub("(hidden)", printable)


def _is_secret(text: str, rows: Iterable[bytes]) -> bool:
    value = text.partition("#")[0].strip().encode()
    pairs = (row.partition(b"#")[0].partition(b"=") for row in rows)
    secret = tuple(name.encode() for name in _SECRET)
    return any(n.strip().lower() in secret and v.strip() == value for n, _, v in pairs)


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


def holder(networks: Iterable[Network]) -> Callable[[Host], Network | None]:
    """A function that finds the first of them that an address lies in, however many there are."""
    places: dict[Network, int] = {}
    for network in networks:
        places.setdefault(network, len(places))
    lengths = {(network.version, network.prefixlen) for network in places}

    def first(host: Host) -> Network | None:
        around = [
            ipaddress.ip_network((host.packed, length), strict=False)
            for version, length in lengths
            if version == host.version
        ]
        held = [network for network in around if network in places]
        return min(held, key=places.__getitem__, default=None)

    return first


def numeric_host(entry: Entry | None) -> Host | None:
    try:
        known = HostPort.parse(entry.value.encode()).numeric() if entry else None
        return ipaddress.ip_address(known.host) if known else None
    except (WgError, ValueError):
        return None


def odd_endpoint(text: str) -> Odd | None:
    """What is odd about a HOST:PORT that can be read as one."""
    try:
        endpoint = HostPort.parse(text.encode())
    except WgError:
        return None  # wg(8)'s reader tells
    host, port = endpoint.host.decode("utf-8", "replace"), endpoint.port.decode("utf-8", "replace")
    if "/" in text:
        return Odd(True, "this is a URL or a path", "write HOST:PORT: vpn.example.org:51820")
    if _is_no_address(host.split(".")):
        return Odd(True, f"`{host}' is not an IP address", "it has four numbers from 0 to 255")
    if ":" in host and not text.startswith("["):
        return Odd(False, f"`{port}' is taken for the port", f"write [{host}]:{port} if it is")
    if port.isdecimal() and int(port) == 0:
        return Odd(False, "nothing can be sent to port 0", "ask for the other side's ListenPort")
    return None


def _is_no_address(parts: list[str]) -> bool:
    """Four or more numbers that are not an address; nor are they a name: RFC 3696 section 2.

    Fewer are one to inet_aton(3), and so to the resolver.
    """
    numeric = all(part.isascii() and part.isdecimal() for part in parts)
    return numeric and len(parts) >= 4 and (len(parts) > 4 or any(int(p) > 255 for p in parts))


def next_wider(network: Network, owners: Mapping[Network, Route]) -> Route | None:
    """The owner of the next shorter prefix that holds this network."""
    for length in range(network.prefixlen - 1, -1, -1):
        found = owners.get(network.supernet(new_prefix=length))
        if found is not None:
            return found
    return None
