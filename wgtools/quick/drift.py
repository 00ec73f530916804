# SPDX-License-Identifier: MIT
"""How a running interface differs from its file: values in, differences out.

Pure: quick/live.py brings what is running, this module compares, `plan` and `status`
show it and quick/reload.py mends it.  What the file leaves open (a port, a mark that the
full tunnel chose, what a hook sets) is no difference.  A difference never shows a
private or preshared key.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wgtools.errors import WgError
from wgtools.inet import ntop
from wgtools.keys import KEY_SIZE, Key
from wgtools.model import AllowedIP, DeviceChange, Endpoint, PeerChange
from wgtools.quick import plan
from wgtools.quick.steps import AddFirewall, AddRoutes, AddRule, Rule, SetMark

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wgtools.model import Device, Peer
    from wgtools.quick.check import Interface
    from wgtools.quick.steps import Step

__all__ = [
    "ADD",
    "CHANGE",
    "MAIN",
    "REMOVE",
    "Difference",
    "Field",
    "Live",
    "Wanted",
    "canonical",
    "compare",
    "connected_by",
    "routing_target",
]

ADD, REMOVE, CHANGE = "add", "remove", "change"
MAIN = 254  # RT_TABLE_MAIN
HIDDEN = "(hidden)"
_NO_KEY = Key(bytes(KEY_SIZE))

Words = tuple[tuple[str, ...], tuple[str, ...]]  # name servers, search domains


@dataclass(frozen=True, slots=True)
class Field:
    """One value that differs, as text; empty is "not set"."""

    name: str
    running: str
    file: str


@dataclass(frozen=True, slots=True)
class Difference:
    """What reload would add, remove or change: `subject` says of which kind, `name` which."""

    action: str
    subject: str
    name: str = ""
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Live:
    """What is running.  None is "cannot be read"."""

    device: Device
    mtu: int
    addresses: frozenset[str]  # `IP/LENGTH`, less those that the kernel made up
    routes: frozenset[tuple[str, int]]  # (network, table) of those that `up` could have made
    rules: tuple[Rule, ...]  # in the shape of ours, anybody's
    guards: Mapping[int, frozenset[str]] | None  # family -> guarded addresses
    dns: Words | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the file says, understood and looked up.  None is "leave it"."""

    change: DeviceChange
    endpoints: Mapping[Key, frozenset[Endpoint]]  # each address of a name is as good as another
    addresses: tuple[Interface, ...]
    mtu: int | None
    routing: Sequence[Step] | None  # what `plan.routing` would do on a fresh host
    tables: Mapping[str, int] = field(default_factory=dict)  # as steps write them -> numbers
    dns: Words | None = None
    hooks: str = ""  # all of them, in lower case
    own: Key | None = None  # whose peer WireGuard ignores: see `own_key`


def canonical(allowed: AllowedIP) -> str:
    """A network as the kernel and the engine report it: no host bits."""
    bits = len(allowed.address) * 8
    number = int.from_bytes(allowed.address, "big") >> bits - allowed.length
    packed = (number << bits - allowed.length).to_bytes(len(allowed.address), "big")
    return f"{ntop(packed)}/{allowed.length}"


def owners(peers: Iterable[PeerChange]) -> dict[str, Key]:
    """Whose each network is: of two peers the later has it, as the device would."""
    return {canonical(n): peer.public_key for peer in peers for n in peer.allowed_ips}


def connected_by(addresses: Iterable[Interface]) -> tuple[str, ...]:
    """The networks that the kernel itself routes to a link with these addresses."""
    return tuple(
        str(address.network)
        for address in addresses
        if address.version == 6 or address.network.prefixlen < 32
    )


def compare(live: Live, wanted: Wanted) -> list[Difference]:
    """Every difference, in the order in which they are mended."""
    return [
        *device_differences(live, wanted),
        *peer_differences(live.device, wanted),
        *address_differences(live, wanted),
        *_mtu(live, wanted),
        *_dns(live, wanted),
        *routing_differences(live, wanted),
    ]


# The device


def device_differences(live: Live, wanted: Wanted) -> list[Difference]:
    device, change = live.device, wanted.change
    found = []
    if change.private_key is not None and change.private_key != (device.private_key or _NO_KEY):
        found.append(_changed("private key", HIDDEN, HIDDEN))
    if change.listen_port and change.listen_port != device.listen_port:
        found.append(_changed("listen port", str(device.listen_port), str(change.listen_port)))
    mark = wanted_mark(live, wanted)
    if mark is not None and mark != device.fwmark:
        found.append(_changed("mark", _mark(device.fwmark), _mark(mark)))
    return found


def wanted_mark(live: Live, wanted: Wanted) -> int | None:
    """The file's, else the full tunnel's, else none at all; None where a hook sets it."""
    if wanted.change.fwmark:
        return wanted.change.fwmark
    if wanted.routing is None or "fwmark" in wanted.hooks:
        return None
    chosen = [step.mark for step in wanted.routing if isinstance(step, AddFirewall | SetMark)]
    return chosen[0] if chosen else 0


def _mark(number: int) -> str:
    return f"{number:#x}" if number else "off"


def _changed(subject: str, running: str, file: str) -> Difference:
    return Difference(CHANGE, subject, "", (Field(subject, running, file),))


# Peers


def merged(peers: Iterable[PeerChange]) -> dict[Key, PeerChange]:
    """One change per key: what is said twice is said by the later."""
    found: dict[Key, PeerChange] = {}
    for peer in peers:
        one = found.setdefault(peer.public_key, PeerChange(peer.public_key))
        one.preshared_key = peer.preshared_key or one.preshared_key
        one.endpoint = peer.endpoint or one.endpoint
        one.keepalive = peer.keepalive if peer.keepalive is not None else one.keepalive
        one.allowed_ips = peer.allowed_ips
    return found


def own_key(device: Device, change: DeviceChange) -> Key | None:
    """The public key of this side, if the file has it as a peer's: no WireGuard keeps that one."""
    running = {peer.public_key for peer in device.peers}
    private = change.private_key or device.private_key
    if private is None or all(peer.public_key in running for peer in change.peers):
        return None
    from wgtools.crypto.x25519 import public_key  # only now: it is a slow import

    own = Key(public_key(bytes(private)))
    return own if any(peer.public_key == own for peer in change.peers) else None


def remarks(own: Key | None) -> list[WgError]:
    """What the comparison leaves out, for a person to know."""
    if own is None:
        return []
    text = "a peer has the PublicKey of this interface itself, and is left out"
    return [WgError(text, hint="the other side's has to stand there")]


def peer_differences(device: Device, wanted: Wanted) -> list[Difference]:
    peers = [peer for peer in wanted.change.peers if peer.public_key != wanted.own]
    in_file = merged(peers)
    owned = owners(peers)
    running = {peer.public_key: peer for peer in device.peers}
    found = []
    for key, peer in in_file.items():
        networks = frozenset(n for n, owner in owned.items() if owner == key)
        if key in running:
            fields = _peer_fields(running[key], peer, networks, wanted)
            if fields:
                found.append(Difference(CHANGE, "peer", key.base64(), fields))
        else:
            nothing = _peer_fields(_nobody(key), peer, networks, wanted)
            found.append(Difference(ADD, "peer", key.base64(), nothing))
    gone = [key for key in running if key not in in_file]
    return found + [Difference(REMOVE, "peer", key.base64()) for key in gone]


def _nobody(key: Key) -> Peer:
    from wgtools.model import Peer

    return Peer(key)


def _peer_fields(
    running: Peer, wanted_peer: PeerChange, networks: frozenset[str], wanted: Wanted
) -> tuple[Field, ...]:
    found = []
    psk = wanted_peer.preshared_key or _NO_KEY
    by_hook = wanted_peer.preshared_key is None and "preshared-key" in wanted.hooks
    if psk != (running.preshared_key or _NO_KEY) and not by_hook:
        has, wants = running.preshared_key is not None, not psk.is_zero
        found.append(Field("preshared key", HIDDEN if has else "", HIDDEN if wants else ""))
    choices = wanted.endpoints.get(running.public_key, frozenset())
    if choices and running.endpoint not in choices:
        best = ", ".join(sorted(map(str, choices)))
        found.append(Field("endpoint", str(running.endpoint or ""), best))
    have = frozenset(map(canonical, running.allowed_ips))
    if have != networks:
        found.append(Field("allowed ips", _listed(have), _listed(networks)))
    keepalive = wanted_peer.keepalive or 0
    if keepalive != running.keepalive:
        values = [str(number or "off") for number in (running.keepalive, keepalive)]
        found.append(Field("persistent keepalive", *values))
    return tuple(found)


def _listed(networks: Iterable[str]) -> str:
    return ", ".join(plan.route_order(networks)[::-1])


# The link


def address_differences(live: Live, wanted: Wanted) -> list[Difference]:
    in_file = [str(address) for address in wanted.addresses]
    found = [Difference(ADD, "address", a) for a in in_file if a not in live.addresses]
    if "addr" in wanted.hooks:
        return found  # a hook may have added the others
    gone = sorted(live.addresses - set(in_file))
    return found + [Difference(REMOVE, "address", a) for a in gone]


def _mtu(live: Live, wanted: Wanted) -> list[Difference]:
    if not wanted.mtu or wanted.mtu == live.mtu:
        return []
    return [_changed("mtu", str(live.mtu), str(wanted.mtu))]


def _dns(live: Live, wanted: Wanted) -> list[Difference]:
    if wanted.dns is None or live.dns is None or live.dns == wanted.dns:
        return []
    texts = [" ".join((*servers, *domains)) for servers, domains in (live.dns, wanted.dns)]
    return [_changed("dns", *texts)]


# Routes, rules, firewall


@dataclass(frozen=True, slots=True)
class Target:
    """What `plan.routing` aims at."""

    routes: frozenset[tuple[str, int]]
    rules: tuple[Rule, ...]
    firewall: AddFirewall | None


def routing_target(steps: Sequence[Step], tables: Mapping[str, int]) -> Target:
    routes = set()
    for step in steps:
        if isinstance(step, AddRoutes):
            for route in step.routes:
                table = MAIN if route.table is None else tables.get(route.table) or int(route.table)
                routes.add((route.network, table))
    walls = [step for step in steps if isinstance(step, AddFirewall)]
    rules = tuple(step.rule for step in steps if isinstance(step, AddRule))
    return Target(frozenset(routes), rules, walls[0] if walls else None)


def standing(family: int, mark: int, rules: Sequence[Rule]) -> bool:
    """Whether both rules of a full tunnel are there, wherever they stand."""
    found = plan.find_rules([rule for rule in rules if rule.family == family], {mark})
    return len(found) == 2


def stale_rules(live: Live, target: Target) -> list[Rule]:
    """Rules of the mark we have that the file has no use for, and halves of a pair."""
    found = plan.find_rules(live.rules, {live.device.fwmark} - {0})
    needed = {(rule.family, rule.mark) for rule in target.rules if rule.mark}
    whole = {pair for pair in needed if pair[1] and standing(pair[0], pair[1], live.rules)}
    return [rule for rule in found if (rule.family, live.device.fwmark) not in whole]


def missing_rules(live: Live, target: Target) -> list[Rule]:
    marks = {rule.family: rule.mark for rule in target.rules if rule.mark}
    return [r for r in target.rules if not standing(r.family, marks[r.family], live.rules)]


def stale_routes(live: Live, target: Target, wanted: Wanted) -> frozenset[tuple[str, int]]:
    """Routes that go; none where a hook may have made them."""
    return frozenset() if "rout" in wanted.hooks else live.routes - target.routes


def firewall_differs(live: Live, target: Target, addresses: Iterable[Interface]) -> bool:
    if live.guards is None:
        return False
    wall = target.firewall
    if wall is None or not wall.tool:
        return bool(live.guards)
    return live.guards != {
        family: frozenset(
            str(a.ip)
            for a in addresses
            if a.version == family and not str(a.ip).startswith("fe80:")
        )
        for family in wall.families
    }


def routing_differences(live: Live, wanted: Wanted) -> list[Difference]:
    if wanted.routing is None:
        return []
    target = routing_target(wanted.routing, wanted.tables)
    found = [
        Difference(ADD, "route", _route(route))
        for route in sorted(target.routes - live.routes, key=_route_key)
    ]
    found += [
        Difference(REMOVE, "route", _route(route))
        for route in sorted(stale_routes(live, target, wanted), key=_route_key)
    ]
    found += [Difference(ADD, "rule", _rule(rule)) for rule in missing_rules(live, target)]
    found += [Difference(REMOVE, "rule", _rule(rule)) for rule in stale_rules(live, target)]
    if firewall_differs(live, target, wanted.addresses):
        action = ADD if not live.guards else CHANGE if target.firewall else REMOVE
        found.append(Difference(action, "firewall", "the guard of the full tunnel"))
    return found


def _route_key(route: tuple[str, int]) -> tuple[int, int, int, int]:
    network = ipaddress.ip_network(route[0])
    return (route[1], network.version, int(network.network_address), network.prefixlen)


def _route(route: tuple[str, int]) -> str:
    network, table = route
    return network if table == MAIN else f"{network} table {table}"


def _rule(rule: Rule) -> str:
    return f"-{rule.family} {rule.words}"
