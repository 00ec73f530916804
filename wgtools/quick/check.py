# SPDX-License-Identifier: MIT
"""Judges a configuration before anything is touched: all its mistakes, with their places.

What ip(8) would refuse half way through `up` is refused here, and nothing that it
would take is (short IPv4 forms, netmasks, 0x numbers).  Looking names of endpoints up
is left to the moment they are needed.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wgtools.conf.redact import without_keys
from wgtools.errors import ConfigError, WgError
from wgtools.inet import pton
from wgtools.quick.doubts import doubts
from wgtools.quick.plan import split_dns
from wgtools.quick.wgpart import NotText, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from wgtools.conf.quickfile import QuickFile, Value
    from wgtools.model import DeviceChange

__all__ = [
    "Checked",
    "ConfigErrors",
    "Interface",
    "TableWords",
    "check",
    "parse_address",
    "table_names",
]

_TABLES = {"local": 255, "main": 254, "default": 253, "unspec": 0}
_TABLE_FILES = ("/usr/share/iproute2", "/usr/lib/iproute2", "/etc/iproute2")
_MTU_MIN, _MTU_MAX = 68, 65535  # RFC 791 3.1; the length field of an IP packet
_NAME_MAX, _LABEL_MAX = 253, 63  # RFC 1035 2.3.4, as text
_NO_DOMAIN = ";/|\\:\"'<>()[]{}"  # what neither a host name nor a word of IDNA has
_IPV6_MTU = 1280  # RFC 8200 section 5

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


class ConfigErrors(WgError):
    """Every mistake found in one file, in the file's order; and what was odd besides."""

    def __init__(self, errors: list[ConfigError], warnings: Iterable[ConfigError] = ()) -> None:
        super().__init__(errors[0].message)
        self.errors = errors
        self.warnings = [*warnings]


@dataclass(frozen=True, slots=True)
class Checked:
    """A configuration without mistakes, its words understood."""

    change: DeviceChange
    addresses: dict[str, Interface]
    mtu: int | None
    table: str  # "auto", "off", or as written
    table_number: int
    saves: bool
    warnings: list[ConfigError] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TableWords:
    """What `Table` may be on a system: words, numbers, and what to say of another."""

    words: tuple[str, ...] = ("auto", "off")
    numbers: range = range(1, 2**32)
    hint: str = "write auto, off, a number, or a name from /etc/iproute2/rt_tables"


class _Findings:
    def __init__(self, file: str) -> None:
        self.file = file
        self.errors: list[ConfigError] = []
        self.warnings: list[ConfigError] = []

    def error(self, message: str, value: Value, hint: str = "") -> None:
        self.errors.append(self._at(message, value, hint))

    def warning(self, message: str, value: Value, hint: str = "") -> None:
        self.warnings.append(self._at(message, value, hint))

    def _at(self, message: str, value: Value, hint: str) -> ConfigError:
        return ConfigError(
            without_keys(message), file=self.file, line=value.line, column=value.column, hint=hint
        )


def check(
    config: QuickFile,
    *,
    tables: Mapping[str, int],
    bad_hook: Callable[[str], bool],
    words: TableWords | None = None,
) -> Checked:
    """Raises ConfigErrors.  `tables` are the names of rt_tables, `bad_hook` asks the shell."""
    found = _Findings(config.name)
    change, found.errors = judge(config)
    if found.errors and isinstance(found.errors[0], NotText):
        raise ConfigErrors(found.errors)
    addresses = _addresses(config, found)
    mtu = _mtu(config, found)
    table, number = _table(config, found, tables, words or TableWords())
    for hooks in config.hooks.values():
        for hook in hooks:
            if hook.text and bad_hook(hook.text):
                text = "the shell cannot read this hook"
                found.error(text, hook, "try it with: bash -n -O extglob -c '...'")
    if config.saves is None and config.save_config is not None:
        word = config.save_config
        found.error(f"`{word.text}' is neither true nor false", word, "write true or false")
    _dns(config, found)
    if found.errors or change is None:
        in_order = sorted(found.errors, key=lambda e: (e.line, e.column))
        raise ConfigErrors(in_order, found.warnings)
    warnings = found.warnings + doubts(config, change)
    return Checked(change, addresses, mtu, table, number, bool(config.saves), warnings)


def _addresses(config: QuickFile, found: _Findings) -> dict[str, Interface]:
    addresses = {}
    for value in config.addresses:
        address = parse_address(value.text)
        if address is None:
            hint = "write IP/LENGTH, as in 10.0.0.1/24 or fd00::1/64"
            found.error(f"`{value.text}' is not an address", value, hint)
        else:
            addresses[value.text] = address
    return addresses


def parse_address(text: str) -> Interface | None:
    """`IP`, `IP/LENGTH` or `IP/NETMASK` as ip-address(8) reads them; None if it would not."""
    host, slash, mask = text.partition("/")
    packed = pton(host) if ":" in host else _short_ipv4(host)
    if packed is None or (slash and not mask):
        return None
    try:
        interface = ipaddress.ip_interface((packed, len(packed) * 8))
        if not slash:
            return interface
        if mask.isascii() and mask.isdigit():
            return ipaddress.ip_interface((packed, int(mask)))
        if len(packed) == 4 and pton(mask):
            network = ipaddress.IPv4Network(f"0.0.0.0/{mask}")
            if str(network.netmask) == mask:
                return ipaddress.ip_interface((packed, network.prefixlen))
    except ValueError:
        pass
    return None


def _short_ipv4(host: str) -> bytes | None:
    """Dotted decimal; missing parts on the right are zero (`10.1` is 10.1.0.0)."""
    parts = host.split(".")
    if len(parts) > 4 or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    # int() balks at thousands of digits; an empty rest is a zero.
    numbers = [int(part.lstrip("0")[:4] or "0") for part in parts]
    if any(number > 255 for number in numbers):
        return None
    return bytes(numbers).ljust(4, b"\0")


def _number(text: str) -> int | None:
    """Decimal, 0x hexadecimal or 0 octal, as strtoul(3) with base 0."""
    digits = text.lower()
    base = 16 if digits.startswith("0x") else 8 if digits.startswith("0") and digits != "0" else 10
    if not digits.isascii() or not digits.removeprefix("0x").isalnum():
        return None
    try:
        return int(digits, base)
    except ValueError:
        return None


def _mtu(config: QuickFile, found: _Findings) -> int | None:
    if config.mtu is None:
        return None
    mtu = _number(config.mtu.text)
    if mtu is None or not _MTU_MIN <= mtu <= _MTU_MAX:
        hint = f"{_MTU_MIN} to {_MTU_MAX}; 1420 suits most networks"
        found.error(f"`{config.mtu.text}' is not an MTU", config.mtu, hint)
        return None
    if mtu < _IPV6_MTU and any(":" in value.text for value in config.addresses):
        text = f"with an MTU of {mtu} the kernel takes IPv6 off this interface"
        found.warning(text, config.mtu, f"IPv6 needs at least {_IPV6_MTU}")
    return mtu


def _table(
    config: QuickFile, found: _Findings, tables: Mapping[str, int], words: TableWords
) -> tuple[str, int]:
    if config.table is None:
        return "auto", 0
    text = config.table.text
    if text.lower() in words.words:
        return text.lower(), 0
    number = _number(text)
    if number is None:
        number = tables.get(text, tables.get(text.lower()))
    if number is None or number not in words.numbers:
        found.error(f"`{text}' is not a routing table", config.table, words.hint)
        return "auto", 0
    return text, number


def _dns(config: QuickFile, found: _Findings) -> None:
    servers, _ = split_dns(value.text for value in config.dns)
    for value in config.dns:
        if value.text in servers:
            if pton(value.text.partition("%")[0]) is None:
                hint = "write an IP address, as 10.0.0.53 or fd00::53"
                found.warning(f"`{value.text}' is not the address of a name server", value, hint)
        elif not _is_domain(value.text):
            hint = "write 10.0.0.53 for a server, corp.example for a domain to search"
            if any(mark in value.text for mark in ";|"):
                hint = "several are separated by commas: DNS = 10.0.0.53, 10.0.0.54, corp.example"
            found.warning(f"`{value.text}' is not a domain", value, hint)


def _is_domain(text: str) -> bool:
    """Any name that DNS can hold; a dot may end it, the `~` of systemd-resolved begin it."""
    name = text.removeprefix("~").removesuffix(".")
    if any(mark in name for mark in _NO_DOMAIN):
        return False  # several addresses with the wrong thing between them, or a path
    labels = name.encode("utf-8", "surrogateescape").split(b".")
    whole = len(name) <= _NAME_MAX and all(0 < len(label) <= _LABEL_MAX for label in labels)
    return whole or text in ("~.", ".")


def table_names() -> dict[str, int]:
    """The names of routing tables on this host."""
    names = dict(_TABLES)
    for directory in _TABLE_FILES:
        paths = [os.path.join(directory, "rt_tables")]
        extra = os.path.join(directory, "rt_tables.d")
        if os.path.isdir(extra):
            paths += [os.path.join(extra, n) for n in os.listdir(extra) if n.endswith(".conf")]
        for path in paths:
            names |= _read_names(path)
    return names


def _read_names(path: str) -> dict[str, int]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            rows = [line.partition("#")[0].split() for line in file]
    except OSError:
        return {}
    numbers = [(row[1], _number(row[0])) for row in rows if len(row) == 2]
    return {name: number for name, number in numbers if number is not None}
