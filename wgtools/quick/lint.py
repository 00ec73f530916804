# SPDX-License-Identifier: MIT
"""What a careful colleague would say about a configuration, each remark with its place.

An `error` is what `up` refuses, or what can never work as it is written; a `warning`
comes up, but probably not as meant; a `note` is good to know.  The rules of `up` itself
are quick/check.py's and are asked there; these here compare lines with each other.
Looks at nothing but the bytes and the `Surroundings` it is handed.  No message and no
excerpt holds a private or preshared key, nor anything that may be one mistyped.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wgtools.conf import values
from wgtools.conf.advice import BOM, SETTINGS
from wgtools.conf.document import Document
from wgtools.conf.quickfile import HOOKS, SPELLED, QuickFile
from wgtools.errors import ConfigError
from wgtools.keys import Key
from wgtools.quick import check, shellwords
from wgtools.quick.doubts import Doubt
from wgtools.quick.findings import ERROR, NOTE, WARNING, Finding, refused, warned
from wgtools.quick.lintparts import (
    Entry,
    Network,
    Route,
    Section,
    excerpt,
    holder,
    items,
    key_of,
    next_wider,
    numeric_host,
    odd_endpoint,
    sections_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


__all__ = ["ERROR", "NOTE", "WARNING", "Finding", "Surroundings", "excerpt", "lint"]

_REPEATABLE = ("address", "dns", "allowedips", *HOOKS)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a file cannot say about itself."""

    tables: Mapping[str, int] = field(default_factory=dict)
    bad_hook: Callable[[str], bool] = lambda _: False
    is_program: Callable[[str], bool] = lambda _: True
    public_key: Callable[[Key], Key] | None = None
    world_accessible: bool = False


def lint(data: bytes, name: str, around: Surroundings) -> list[Finding]:
    """Every remark about the file, in its order."""
    return sorted(_Linter(data, name, around).run(), key=lambda f: (f.line, f.column))


class _Linter:
    def __init__(self, data: bytes, name: str, around: Surroundings) -> None:
        self.document = Document(data, name)
        self.config = QuickFile(self.document)
        self.around = around
        self.found: list[Finding] = []
        self.sections = sections_of(self.document.lines)
        self._starts = [section.line for section in self.sections]
        self._advice: list[tuple[int, str]] = []  # where another spelling may be meant
        self.interface = [s for s in self.sections if s.header == "[interface]"]
        self.peers = [s for s in self.sections if s.header == "[peer]"]
        self.hooks_text = " ".join(
            hook.text.lower() for hooks in self.config.hooks.values() for hook in hooks
        )

    def run(self) -> list[Finding]:
        self._what_up_says()
        if any(found.code == "not-text" for found in self.found):
            return self.found  # its lines are none
        self._file()
        self._repeated_settings()
        self._addresses()
        self._dns()
        self._keys()
        routes = self._routes()
        self._overlaps(routes)
        self._endpoints(routes)
        self._missing()
        self._hooks()
        return self.found

    def _say(
        self, severity: str, code: str, message: str, at: Entry | None = None, hint: str = ""
    ) -> None:
        place = (at.line, at.column, max(1, len(at.value))) if at else (0, 0, 1)
        self.found.append(Finding(severity, code, message, *place, hint=hint))

    def _setting(self, key: str) -> Entry | None:
        found = [e for section in self.interface for e in section.all(key)]
        return found[-1] if found else None

    # What quick/check.py knows

    def _what_up_says(self) -> None:
        try:
            checked = check.check(
                self.config, tables=self.around.tables, bad_hook=self.around.bad_hook
            )
        except check.ConfigErrors as error:
            self.found += [self._refused(each) for each in error.errors]
            warnings = error.warnings
        else:
            warnings = checked.warnings
        self.found += [
            warned(each, self._row(each))
            for each in warnings
            if not isinstance(each, Doubt)  # told below, and where
        ]

    def _refused(self, error: ConfigError) -> Finding:
        above = bisect_right(self._starts, error.line)
        header = self.sections[above - 1].header if above else ""
        return refused(error, self._row(error), header)

    def _row(self, error: ConfigError) -> bytes:
        return self.document.lines[error.line - 1].raw if error.line else b""

    # Comparing lines with each other

    def _file(self) -> None:
        if self.around.world_accessible:
            hint = f"chmod 600 {self.document.name}"
            self._say(WARNING, "world-readable", "everybody on this machine can read it", hint=hint)
        marked = any(line.raw.startswith(BOM) for line in self.document.lines[:1])
        if not self.interface and not marked:
            self._say(WARNING, "no-section", "there is no [Interface] section", hint="add one")

    def _repeated_settings(self) -> None:
        seen: dict[tuple[int, str], Entry] = {}
        for section in self.sections:
            scope = 0 if section.header == "[interface]" else section.line
            for entry in section.entries:
                key = entry.key.lower()
                first = seen.setdefault((scope, key), entry)
                known = any(key == k.lower() for k in SETTINGS.get(section.header, ()))
                if first is not entry and known and key not in _REPEATABLE:
                    text = f"{entry.key} is given twice, first on line {first.line}"
                    self._say(WARNING, "repeated", text, entry, "only the last one counts")

    def _addresses(self) -> None:
        seen: dict[str, int] = {}
        for value in self.config.addresses:
            address = check.parse_address(value.text)
            if address is None:
                continue
            at = Entry("Address", value.text, value.line, value.column)
            if str(address) in seen:
                text = f"{address} was given before, on line {seen[str(address)]}"
                self._say(ERROR, "repeated", text, at, "remove one of the two")
            seen.setdefault(str(address), value.line)
            network = address.network
            # RFC 3021: a /31 has no network address; IPv6 has none at all.
            has_one = address.version == 4 and network.prefixlen < 31
            if has_one and address.ip == network.network_address:
                text = f"{address} is the network itself, not a host in it"
                hint = f"perhaps {network.network_address + 1}/{network.prefixlen}"
                self._say(WARNING, "host-bits", text, at, hint)

    def _dns(self) -> None:
        for section in self.interface:
            for entry in section.all("dns"):
                words = entry.value.split(",")
                if len(words) > 1 and not all(word.strip() for word in words):
                    text = "an entry of this list is empty"
                    self._say(WARNING, "setting", text, entry, "take out the comma too many")

    def _keys(self) -> None:
        own = self._own_public_key()
        peers: dict[Key, Entry] = {}
        shared: dict[Key, Entry] = {}
        private = key_of(self._setting("privatekey"))
        for peer in self.peers:
            entry = peer.last("publickey")
            public = key_of(entry)
            if entry is not None and public is not None:
                first = peers.setdefault(public, entry)
                if first is not entry:
                    text = f"this is the key of the peer on line {first.line} as well"
                    hint = "one peer, one [Peer]: the two would be taken as one, with the"
                    self._say(ERROR, "key-reused", text, entry, f"{hint} allowed IPs of the last")
                if own is not None and public in (own, private):
                    text = "this is the interface's own key"
                    if public == private:
                        text = "this is the interface's private key"
                    hint = "give the other side's public key here; this peer would be ignored"
                    self._say(ERROR, "own-key", text, entry, hint)
            self._preshared(peer.last("presharedkey"), shared, private)

    def _preshared(self, entry: Entry | None, seen: dict[Key, Entry], private: Key | None) -> None:
        key = key_of(entry)
        if entry is None or key is None or key.is_zero:
            return
        first = seen.setdefault(key, entry)
        if first is not entry:
            text = f"this preshared key is also that of line {first.line}"
            self._say(WARNING, "key-reused", text, entry, "make each its own: wg genpsk")
        if private is not None and key == private:
            text = "the private key is used as a preshared key"
            self._say(ERROR, "key-reused", text, entry, "make another: wg genpsk")

    def _own_public_key(self) -> Key | None:
        private = key_of(self._setting("privatekey"))
        if private is None or private.is_zero or self.around.public_key is None:
            return None
        return self.around.public_key(private)

    def _routes(self) -> list[Route]:
        found = []
        for peer in self.peers:
            for entry in peer.all("allowedips"):
                for word, column in items(entry):
                    at = Entry(entry.key, word, entry.line, column)
                    network = self._network(at)
                    if network is not None:
                        found.append(Route(network, peer, at))
        return found

    def _network(self, at: Entry) -> Network | None:
        try:
            parsed, _ = values.allowed_ips(at.value.encode(), values.quiet)
        except ConfigError:
            return None
        if len(parsed) != 1 or parsed[0].remove:
            return None
        network = ipaddress.ip_network((parsed[0].address, parsed[0].length), strict=False)
        if network.network_address.packed != parsed[0].address:
            text = f"{at.value} means {network}: the bits behind the prefix are ignored"
            host = ipaddress.ip_address(parsed[0].address)
            hint = f"write {network}, or {host}/{host.max_prefixlen} for the one host"
            self._say(WARNING, "host-bits", text, at, hint)
        return network

    def _overlaps(self, routes: list[Route]) -> None:
        """Who wins: the longer prefix; of equals the peer that comes last in the file."""
        owners: dict[Network, Route] = {}
        for route in routes:
            before = owners.get(route.network)
            if before is not None and before.owner != route.owner:
                text = f"{route.network} was given to the peer on line {before.peer.line} too"
                hint = "this peer, the later, gets it; take it out of one of the two"
                self._say(WARNING, "overlap", text, route.entry, hint)
            owners[route.network] = route
        for network, route in owners.items():
            wider = next_wider(network, owners)
            if wider is not None and wider.owner != route.owner and wider.network.prefixlen:
                text = f"{network} lies within {wider.network} of the peer on line"
                hint = f"this peer, whose prefix is the longer, gets {network}"
                said = f"{text} {wider.peer.line}"
                self._say(NOTE, "overlap", said, route.entry, hint)

    def _endpoints(self, routes: list[Route]) -> None:
        for peer in self.peers:
            entry = peer.last("endpoint")
            odd = odd_endpoint(entry.value) if entry is not None else None
            if entry is not None and odd is not None:
                severity, code = (ERROR, "syntax") if odd.never else (WARNING, "setting")
                self._say(severity, code, odd.text, entry, odd.hint)
        table = (self.config.table.text if self.config.table else "auto").lower()
        if table != "auto":
            return  # routes are somebody else's business, or in a table of their own
        inside = [route.network for route in routes if route.network.prefixlen]
        for value in self.config.addresses:
            address = check.parse_address(value.text)
            if address is not None:
                inside.append(address.network)
        first = holder(inside)
        for peer in self.peers:
            entry = peer.last("endpoint")
            host = numeric_host(entry)
            hit = first(host) if host is not None else None
            if entry is not None and hit is not None:
                text = f"the endpoint lies in {hit}, which is routed into the tunnel itself"
                hint = (
                    "take it out of the allowed IPs: "
                    "nothing gets out unless a narrower route leads there"
                )
                self._say(WARNING, "endpoint-inside", text, entry, hint)

    def _missing(self) -> None:
        self._advice = sorted((found.line, found.hint) for found in self.found if found.hint)
        keyless = not self._setting("privatekey") and "private-key" not in self.hooks_text
        if self.interface and keyless and not self._misspelt("PrivateKey"):
            at = Entry("", "[Interface]", self.interface[0].line, 1)
            hint = "make one with: wg genkey"
            self._say(WARNING, "missing-key", "the interface has no PrivateKey", at, hint)
        if self.interface and not self.config.addresses and not self._misspelt("Address"):
            at = Entry("", "[Interface]", self.interface[0].line, 1)
            self._say(NOTE, "missing-address", "the interface has no Address", at)
        cut_off = self._setting("listenport") is None and not self._misspelt("ListenPort")
        for peer in self.peers:
            at = Entry("", "[Peer]", peer.line, 1)
            if not peer.all("allowedips") and not self._misspelt("AllowedIPs", peer):
                text = "this peer has no AllowedIPs: nothing is sent to it, nothing taken from it"
                self._say(WARNING, "missing-allowed-ips", text, at, "AllowedIPs = 10.0.0.2/32")
            if cut_off and not peer.all("endpoint") and not self._misspelt("Endpoint", peer):
                text = "no Endpoint here and no ListenPort above: neither side can begin"
                hint = "give this peer an Endpoint, or the interface a ListenPort"
                self._say(WARNING, "unreachable", text, at, hint)

    def _misspelt(self, name: str, section: Section | None = None) -> bool:
        """Whether a line (of the section) was probably meant to be `name`, and is told already."""
        advice = self._advice
        if section:
            after = bisect_right(self._starts, section.line)
            end = self._starts[after] if after < len(self._starts) else len(self.document.lines) + 1
            advice = advice[bisect_left(advice, (section.line,)) : bisect_left(advice, (end,))]
        said = ("did you mean ", "write ", "")
        starts = tuple(words + name for words in said)
        return any(hint.startswith(starts) for _, hint in advice)

    def _hooks(self) -> None:
        for kind, hooks in self.config.hooks.items():
            for hook in hooks:
                for word, offset in shellwords.programs(hook.text):
                    if not self.around.is_program(word):
                        at = Entry(kind, word, hook.line, hook.column + offset)
                        text = f"there is no program `{word}' here"
                        hint = f"install it, or correct the {SPELLED[kind]} line"
                        if "/" in word:
                            text = f"`{word}' is no program"
                            hint = "it must be there and executable (chmod +x)"
                        self._say(WARNING, "hook", text, at, hint)
