# SPDX-License-Identifier: MIT
"""Reads what `plan`, `reload` and `status` compare: the host as it is, the file understood.

Everything here only looks.  It needs root where the system does: for the configuration
of a device, the packet filter, a file that is its owner's alone.
"""

from __future__ import annotations

import _socket
import ipaddress
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wgtools import ipc
from wgtools.errors import WgError
from wgtools.model import Endpoint, HostPort
from wgtools.quick import check, dns, drift, files, firewall, hooks, ipv6, plan, rtnetlink
from wgtools.quick.apply import CommandFailed, find_program, run
from wgtools.quick.dns import resolvconf, resolvfile
from wgtools.quick.linux import Netlink, link_index
from wgtools.quick.steps import SetDNS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wgtools.conf.quickfile import QuickFile
    from wgtools.keys import Key
    from wgtools.quick.check import Checked
    from wgtools.quick.drift import Live, Wanted, Words
    from wgtools.quick.files import Target

__all__ = ["LEFT_OUT", "Reading", "Subject", "is_up", "read", "subject"]

LEFT_OUT = ": left out of the comparison"
_LOCAL = 255  # RT_TABLE_LOCAL
_BOOT, _UNICAST = 3, 1  # RTPROT_BOOT: of no daemon's and not the kernel's; RTN_UNICAST
_FAMILIES = {4: _socket.AF_INET, 6: _socket.AF_INET6}
_SOURCE_VALID_MARK = "/proc/sys/net/ipv4/conf/all/src_valid_mark"


@dataclass(slots=True)
class Subject:
    """A configuration that `up` would take, and the words of it that a host must read."""

    target: Target
    config: QuickFile
    checked: Checked
    dns: SetDNS | None
    remarks: list[WgError] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.target.name


@dataclass(slots=True)
class Reading:
    """Both sides of the comparison, and what could not be found out."""

    live: Live
    wanted: Wanted
    remarks: list[WgError] = field(default_factory=list)

    @property
    def differences(self) -> list[drift.Difference]:
        return drift.compare(self.live, self.wanted)


def subject(target: Target) -> Subject:
    """Read and judge the file as `up` does.  Raises ConfigErrors, WgError."""
    config = files.load(target)
    checked = check.check(config, tables=check.table_names(), bad_hook=hooks.syntax_error)
    found = Subject(target, config, checked, None, [*checked.warnings])
    if config.dns:
        method = dns.choose(os.environ)
        remark = dns.remark(method, *plan.split_dns(value.text for value in config.dns))
        found.remarks += [remark] if remark else []
        found.dns = plan.dns_step(config, dns.entry_name(target.name, method), method)
    return found


def is_up(name: str) -> bool:
    """Whether there is a WireGuard interface of this name; also told to those without root."""
    return bool(link_index(name)) and name in ipc.list_devices()


def lookup_all(wanted: HostPort) -> list[Endpoint]:
    """Every address of an endpoint, in the order of preference; [] if nobody knows."""
    known = wanted.numeric()
    if known is not None:
        return [known]
    try:
        found = _socket.getaddrinfo(
            wanted.host, wanted.port, _socket.AF_UNSPEC, _socket.SOCK_DGRAM, _socket.IPPROTO_UDP
        )
        texts = [
            _socket.getnameinfo(entry[4], _socket.NI_NUMERICHOST | _socket.NI_NUMERICSERV)
            for entry in found
        ]
    except OSError:
        return []
    return list(dict.fromkeys(Endpoint(host, int(port)) for host, port in texts))


def first(choices: Iterable[Endpoint], written: Endpoint | HostPort | None) -> Endpoint | None:
    """The address that the system prefers, of those found."""
    known = set(choices)
    asked = lookup_all(written) if isinstance(written, HostPort) else []
    return next((one for one in asked if one in known), min(known, key=str, default=None))


def dns_method() -> str:
    """The way of this host; `none` if what is asked for is none."""
    try:
        return dns.choose(os.environ)
    except WgError:
        return "none"


def endpoints(about: Subject) -> tuple[dict[Key, list[Endpoint]], list[WgError]]:
    """What each peer's endpoint means now, and remarks about names that mean nothing."""
    found: dict[Key, list[Endpoint]] = {}
    remarks = []
    for peer in about.checked.change.peers:
        if isinstance(peer.endpoint, HostPort):
            found[peer.public_key] = lookup_all(peer.endpoint)
            if not found[peer.public_key]:
                shown = peer.endpoint.text.decode("utf-8", "surrogateescape")
                text = f"`{shown}' has no address just now{LEFT_OUT}"
                remarks.append(WgError(text, hint="is there a connection, and DNS?"))
    return found, remarks


class Eyes(Netlink):
    """rtnetlink for looking."""

    def routes_of_up(self, name: str) -> frozenset[tuple[str, int]]:
        """(network, table) of the routes through the link that `up` could have made."""
        index = link_index(name)
        found = set()
        for family, number in _FAMILIES.items():
            for entry in self._routes(number, oif=index):
                table = entry.get_attr("RTA_TABLE") or entry["table"]
                ordinary = entry["proto"] == _BOOT and entry["type"] == _UNICAST
                if ordinary and table != _LOCAL and not entry.get_attr("RTA_GATEWAY"):
                    anywhere = "0.0.0.0" if family == 4 else "::"
                    found.add(
                        (f"{entry.get_attr('RTA_DST') or anywhere}/{entry['dst_len']}", table)
                    )
        return frozenset(found)


def read(about: Subject) -> Reading:
    """Both sides for a running interface.  Raises WgError, PermissionError."""
    eyes = Eyes()
    try:
        return _read(about, eyes)
    finally:
        eyes.close()


def _read(about: Subject, eyes: Eyes) -> Reading:
    name, checked = about.name, about.checked
    device = ipc.get(name)
    known, remarks = endpoints(about)
    hook_text = " ".join(h.text.lower() for some in about.config.hooks.values() for h in some)
    mark = checked.change.fwmark or device.fwmark
    why = ipv6.obstacle(name, checked.mtu or 0)
    addresses = tuple(a for a in checked.addresses.values() if a.version == 4 or not why[0])
    owned = drift.owners(checked.change.peers)
    networks = tuple(n for n in owned if ":" not in n or not why[0])
    rules, priorities = rtnetlink.rules()
    taken = {rule.mark for rule in rules}
    routing = plan.routing(
        checked.table,
        name,
        plan.Running(
            mark=mark,
            networks=networks,
            connected=drift.connected_by(addresses),
            spare_mark=plan.free_mark(lambda n: n in taken or eyes.table_in_use(n)),
            priorities={family: plan.next_priority(list_) for family, list_ in priorities.items()},
            source_valid_mark=source_valid_mark(),
            firewall=firewall.tool(),
        ),
    )
    written = {value.text.lower() for value in about.config.addresses}
    has_addresses = eyes.addresses(name, besides=written)
    live = drift.Live(
        device=device,
        mtu=eyes.mtu(link_index(name)),
        addresses=frozenset(str(ipaddress.ip_interface(text)) for text in has_addresses),
        routes=eyes.routes_of_up(name),
        rules=tuple(rules),
        guards=guards(name),
        dns=dns_in_force(about.dns, name),
    )
    wanted = drift.Wanted(
        change=checked.change,
        endpoints={key: frozenset(found) for key, found in known.items() if found},
        addresses=addresses,
        mtu=checked.mtu,
        routing=routing,
        tables={checked.table: checked.table_number} if checked.table_number else {},
        dns=(about.dns.servers, about.dns.domains) if about.dns else ((), ()),
        hooks=hook_text,
        own=drift.own_key(device, checked.change),
    )
    return Reading(live, wanted, remarks + drift.remarks(wanted.own))


def source_valid_mark() -> bool:
    try:
        with open(_SOURCE_VALID_MARK, encoding="ascii") as file:
            return file.read().strip() == "1"
    except OSError:
        return False


def guards(name: str) -> dict[int, frozenset[str]] | None:
    """The addresses that each family's guard protects; None for who may not look.

    The kernel's own link-local ones do not count: they come and go with the link.
    """
    if os.geteuid() != 0:
        return None
    found: dict[int, frozenset[str]] = {}
    for family in _FAMILIES:
        text = _guard_text(name, family)
        if text:
            # nft: `daddr 10.0.0.1`; iptables-save: `-d 10.0.0.1/32 ! -i wg0 ... -j DROP`
            words = re.findall(r"(?:daddr|-d) ([0-9a-fA-F.:]+)", text)
            found[family] = frozenset(w for w in words if not w.startswith("fe80:"))
    return found


def _guard_text(name: str, family: int) -> str:
    if find_program("nft"):
        kind = "ip" if family == 4 else "ip6"
        argv = ["nft", "list", "table", kind, firewall.table_name(name)]
        return _output(argv)
    saved = _output(["iptables-save" if family == 4 else "ip6tables-save"])
    comment = f'"wg-quick(8) rule for {name}"'
    return "\n".join(line for line in saved.splitlines() if comment in line)


def _output(argv: list[str]) -> str:
    try:
        return run(argv, data=b"", capture=True, quiet=True).decode("utf-8", "surrogateescape")
    except CommandFailed:
        return ""


def dns_in_force(step: SetDNS | None, name: str) -> Words | None:
    """The words the resolver has of us; None where it does not tell."""
    method = step.method if step else dns_method()
    if method == "file":
        try:
            with open(resolvfile.PATH, "rb") as file:
                words = resolvfile.Contents(file.read()).wanted.get(name, [])
        except OSError:
            words = []
        return plan.split_dns(words)
    if method == "resolved":
        return _of_resolved(name, step)
    if method == "resolvconf":
        return _of_resolvconf(name)
    return None


def _of_resolved(name: str, step: SetDNS | None) -> Words:
    servers, domains = (
        _output(["resolvectl", kind, "--", name]).partition("):")[2].split()
        for kind in ("dns", "domain")
    )
    asked = step.domains if step else ()
    return tuple(servers), tuple(word for word in domains if word != "~." or word in asked)


def _of_resolvconf(name: str) -> Words | None:
    program = find_program("resolvconf")
    if not program or os.path.basename(os.path.realpath(program)) == "resolvectl":
        return None  # resolved's stand-in lists nothing
    entry = resolvconf.entry_name(name)
    kept = "/etc/resolvconf/run/interface"  # Debian's, whose -l prints all entries in one
    if os.path.isdir(kept):
        try:
            with open(f"{kept}/{entry}", encoding="utf-8", errors="surrogateescape") as file:
                text = file.read()
        except OSError:
            text = ""
    else:
        text = _output(["resolvconf", "-l", entry])
    rows = [line.split() for line in text.splitlines()]
    servers = tuple(row[1] for row in rows if row[:1] == ["nameserver"] and len(row) > 1)
    return servers, tuple(word for row in rows if row[:1] == ["search"] for word in row[1:])
