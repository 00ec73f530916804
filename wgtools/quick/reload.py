# SPDX-License-Identifier: MIT
"""Brings a running interface to its file: only what differs, and all of it or nothing.

Three parts, each from fresh facts because the one before may change them: the device,
its link and its resolver; routes, rules and firewall; last the peers that go, because a
session once ended does not come back with an undo.  The transaction is `up`'s.  Its
journal keeps holding what `down` needs, whatever moment this run ends in; a run that
was cut short is completed by the next, or taken down.
"""

from __future__ import annotations

import ipaddress
from contextlib import contextmanager
from functools import singledispatchmethod
from typing import TYPE_CHECKING

from wgtools import ipc
from wgtools.errors import WgError
from wgtools.keys import KEY_SIZE, Key
from wgtools.model import AllowedIP, DeviceChange, PeerChange
from wgtools.quick import drift, firewall, hooks, live, rtnetlink, steps
from wgtools.quick.apply import Transaction, run
from wgtools.quick.host import Host
from wgtools.quick.interrupts import interrupts
from wgtools.quick.journal import Journal
from wgtools.quick.linux import Netlink, link_index
from wgtools.quick.lock import POLICY, exclusive
from wgtools.quick.steps import Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from wgtools.model import Device, Peer
    from wgtools.quick.drift import Difference
    from wgtools.quick.files import Target
    from wgtools.quick.live import Reading, Subject
    from wgtools.quick.updown import Talk

__all__ = ["reload"]

_NO_KEY = Key(bytes(KEY_SIZE))
_ANY_SCOPE = 255  # RT_SCOPE_NOWHERE: what ip(8) sends to delete a route of whatever scope
_DOWN_HOOKS = ("predown", "postdown")
_ON_DISK = (steps.DeleteLink, steps.DeleteRule, steps.RemoveDNS, steps.RemoveFirewall)

Routes = tuple[tuple[str, int], ...]  # (network, table)


def reload(target: Target, talk: Talk) -> list[Difference]:
    """What was changed.  Raises WgError; then the interface is as it was."""
    about = live.subject(target)
    for remark in about.remarks:
        talk.warn(remark)
    with interrupts.noted(), exclusive(about.name):
        if not live.is_up(about.name):
            hint = f"to bring it up, type: wg-quick up {about.name}"
            raise WgError(f"`{about.name}' is not up", hint=hint)
        return _Run(about, talk).run()


# Steps


class Mend(Step):
    """A step, and the one that takes it back."""

    do: Step
    back: Step | None = None

    @property
    def shown(self) -> tuple[str, ...]:
        return self.do.shown

    @property
    def undo(self) -> Step | None:
        return self.back

    @property
    def optional(self) -> bool:
        return self.do.optional

    @property
    def atomic(self) -> bool:
        return self.do.atomic


class Amend(Step):
    """What of the device differs, in one change.  Never shown: it holds keys."""

    name: str
    change: DeviceChange

    @property
    def shown(self) -> tuple[str, ...]:
        return (f"wg syncconf {self.name} /dev/fd/63",)


class AddressOff(Step):
    name: str
    address: str

    @property
    def shown(self) -> tuple[str, ...]:
        family = 6 if ":" in self.address else 4
        return (f"ip -{family} address delete {self.address} dev {self.name}",)


class SetMTU(Step):
    name: str
    mtu: int

    @property
    def shown(self) -> tuple[str, ...]:
        return (f"ip link set mtu {self.mtu} dev {self.name}",)


class RoutesOn(Step):
    """Those of them that are not there."""

    name: str
    routes: Routes

    @property
    def shown(self) -> tuple[str, ...]:
        return tuple(_route_words("add", self.name, route) for route in self.routes)


class RoutesOff(Step):
    name: str
    routes: Routes

    @property
    def shown(self) -> tuple[str, ...]:
        return tuple(_route_words("delete", self.name, route) for route in self.routes)


class Rebuild(Step):
    """First to be noted and so last to be undone: what undoing the rest may not bring back.

    The kernel drops routes with the last address of a family, and guards are made for
    the addresses there are.
    """

    name: str
    routes: Routes
    firewall: steps.AddFirewall | None = None


class DropGuard(Step):
    """The nftables table of one family; the other's stays."""

    name: str
    family: int

    @property
    def shown(self) -> tuple[str, ...]:
        return ("nft -f /dev/fd/63",)


class Begin(Step):
    """Nothing; there for its undo."""


def _route_words(verb: str, name: str, route: tuple[str, int]) -> str:
    network, table = route
    family = 6 if ":" in network else 4
    more = "" if table == drift.MAIN else f" table {table}"
    return f"ip -{family} route {verb} {network} dev {name}{more}"


class _Hands(Netlink):
    """The changes that `up` never makes."""

    def delete_address(self, name: str, text: str) -> None:
        address = ipaddress.ip_interface(text)
        before = self.addresses(name)
        # With the first IPv4 address of a network the kernel takes the others of it, and
        # with the last of all every route; unless told to let the next one take its place.
        with _promoting(name):
            self._do(
                f"address {text} on {name}",
                self._route.addr,
                "del",
                index=self._index(name),
                address=str(address.ip),
                prefixlen=address.network.prefixlen,
            )
        after = self.addresses(name)
        for lost in before:
            if lost not in after and ipaddress.ip_interface(lost) != address:
                self.add_address(name, ipaddress.ip_interface(lost))

    def set_mtu(self, name: str, mtu: int) -> None:
        self._do(f"MTU {mtu}", self._route.link, "set", index=self._index(name), mtu=mtu)

    def delete_routes(self, name: str, routes: Routes) -> None:
        for network, table in routes:
            words: dict[str, Any] = {"dst": network, "oif": self._index(name), "table": table}
            if ":" not in network:
                words["scope"] = _ANY_SCOPE
            self._do(f"route to {network}", self._route.route, "del", **words)


@contextmanager
def _promoting(name: str) -> Iterator[None]:
    """Inside, other addresses of a network outlive its first (ip-sysctl: promote_secondaries)."""
    path = f"/proc/sys/net/ipv4/conf/{name}/promote_secondaries"
    try:
        with open(path, encoding="ascii") as file:
            before = file.read()
        with open(path, "w", encoding="ascii") as file:
            file.write("1\n")
    except OSError:  # read-only in containers: what is lost is added again
        yield
        return
    try:
        yield
    finally:
        with open(path, "w", encoding="ascii") as file:
            file.write(before)


class _MendingHost(Host):
    """The host of `up`, with the steps above."""

    def __init__(self, about: Subject, talk: Talk) -> None:
        super().__init__(
            env=hooks.environment(about.config, about.name, about.target.path),
            echo=talk.echo,
            say=talk.say,
            save=lambda: None,
            addresses=about.checked.addresses,
            table=about.checked.table_number,
        )
        self.netlink: _Hands = _Hands()

    @singledispatchmethod
    def mend(self, step: Step) -> None:
        """Do one step, of either kind.  Raises WgError."""
        self.carry_out(step)

    @mend.register
    def _mend(self, step: Mend) -> None:
        self.mend(step.do)

    @mend.register
    def _begin(self, step: Begin) -> None:
        pass

    @mend.register
    def _amend(self, step: Amend) -> None:
        ipc.set(step.name, step.change)

    @mend.register
    def _address_on(self, step: steps.AddAddress) -> None:
        address = ipaddress.ip_interface(step.address)
        if str(address) not in map(_plain, self.netlink.addresses(step.name)):
            self.netlink.add_address(step.name, address)

    @mend.register
    def _address_off(self, step: AddressOff) -> None:
        if step.address in map(_plain, self.netlink.addresses(step.name)):
            self.netlink.delete_address(step.name, step.address)

    @mend.register
    def _drop_guard(self, step: DropGuard) -> None:
        kind = "ip" if step.family == 4 else "ip6"
        run(["nft", "delete", "table", kind, firewall.table_name(step.name)])

    @mend.register
    def _set_mtu(self, step: SetMTU) -> None:
        self.netlink.set_mtu(step.name, step.mtu)

    @mend.register
    def _routes_on(self, step: RoutesOn) -> None:
        there = _routes(step.name)
        missing = [route for route in step.routes if route not in there]
        if missing:
            rtnetlink.add_routes(missing, link_index(step.name))

    @mend.register
    def _routes_off(self, step: RoutesOff) -> None:
        there = _routes(step.name)
        self.netlink.delete_routes(step.name, tuple(r for r in step.routes if r in there))

    @mend.register
    def _rebuild(self, step: Rebuild) -> None:
        self._routes_on(RoutesOn(step.name, step.routes))
        if step.firewall is not None:
            self.carry_out(step.firewall)


def _plain(text: str) -> str:
    return str(ipaddress.ip_interface(text))


def _routes(name: str) -> frozenset[tuple[str, int]]:
    eyes = live.Eyes()
    try:
        return eyes.routes_of_up(name)
    finally:
        eyes.close()


class _KeptJournal(Journal):
    """The journal of `up`, while we work beside it: it only ever learns what `down` needs."""

    def add(self, undo: Step) -> None:
        if isinstance(undo, _ON_DISK) and undo not in self.undos:
            super().add(undo)

    def erase(self) -> None:
        """The interface is still up: undoing our part ends nothing."""

    def renew(self, config_file: str, hook_lines: dict[str, list[str]]) -> None:
        """The hooks for a day without the file are those of the file now."""
        before = {kind: texts for kind, texts in self.hooks.items() if texts}
        if self.undos and (config_file, hook_lines) != (self.config_file, before):
            self.config_file, self.hooks = config_file, hook_lines
            self._write()


# The run


class _Run:
    def __init__(self, about: Subject, talk: Talk) -> None:
        self.about = about
        self.name = about.name
        self.talk = talk
        self.host = _MendingHost(about, talk)
        self.journal = _KeptJournal(about.name)
        self.removed: list[Step] = []
        self.transaction = Transaction(
            self._carry_out, echo=talk.echo, warn=talk.warn, journal=self.journal
        )

    def run(self) -> list[Difference]:
        try:
            return self._run()
        finally:
            self.host.netlink.close()

    def _run(self) -> list[Difference]:
        reading = live.read(self.about)
        for remark in reading.remarks:
            self.talk.warn(remark)
        found = reading.differences
        if found:
            self._require_endpoints(reading)
            try:
                self._mend(reading)
            except BaseException:
                self.transaction.roll_back()
                raise
        for step in self.removed:
            self.journal.remove(step)
        lines = {kind: [h.text for h in self.about.config.hooks[kind]] for kind in _DOWN_HOOKS}
        lines = {kind: texts for kind, texts in lines.items() if texts}
        self.journal.renew(self.about.target.path, lines)
        return found

    def _mend(self, reading: Reading) -> None:
        self.transaction.apply([Mend(Begin(), self._rebuild(reading))])
        self.transaction.apply(device_steps(self.name, reading))
        self.transaction.apply(self._link_steps(reading))
        with exclusive(POLICY):
            now = live.read(self.about)
            self.transaction.apply(self._routing_steps(now))
        self.transaction.apply(leaving_steps(self.name, live.read(self.about)))
        interrupts.check()

    def _carry_out(self, step: Step) -> None:
        self.host.mend(step)
        done = step.do if isinstance(step, Mend) else step
        if isinstance(done, _ON_DISK):
            self.removed.append(done)
        elif done.undo in self.removed:  # made anew
            self.removed.remove(done.undo)

    def _require_endpoints(self, reading: Reading) -> None:
        """A new peer whose endpoint nobody can tell is an error now, not half way through."""
        known = {peer.public_key for peer in reading.live.device.peers}
        for peer in self.about.checked.change.peers:
            choices = reading.wanted.endpoints.get(peer.public_key)
            if peer.endpoint is not None and not choices and peer.public_key not in known:
                text = getattr(peer.endpoint, "text", b"").decode("utf-8", "surrogateescape")
                raise WgError(f"`{text}' has no address", hint="is there a connection, and DNS?")

    def _rebuild(self, reading: Reading) -> Rebuild:
        now = reading.live
        wall = None
        if now.guards and now.device.fwmark:
            tool = drift.routing_target(reading.wanted.routing or (), reading.wanted.tables)
            which = tool.firewall.tool if tool.firewall else firewall.tool()
            wall = steps.AddFirewall(self.name, now.device.fwmark, tuple(now.guards), which)
        return Rebuild(self.name, tuple(sorted(now.routes)), wall)

    def _link_steps(self, reading: Reading) -> list[Step]:
        name, now, wanted = self.name, reading.live, reading.wanted
        found: list[Step] = []
        for one in drift.address_differences(now, wanted):
            on, off = steps.AddAddress(name, one.name), AddressOff(name, one.name)
            found.append(Mend(on, off) if one.action == drift.ADD else Mend(off, on))
        if wanted.mtu and wanted.mtu != now.mtu:
            found.append(Mend(SetMTU(name, wanted.mtu), SetMTU(name, now.mtu)))
        return found + self._dns_steps(reading)

    def _dns_steps(self, reading: Reading) -> list[Step]:
        before, after = reading.live.dns, reading.wanted.dns
        if before is None or before == after:
            return []
        noted = [undo for undo in self.journal.undos if isinstance(undo, steps.RemoveDNS)]
        step = self.about.dns
        method = step.method if step else noted[0].method if noted else live.dns_method()
        entry = step.entry if step else noted[0].entry if noted else self.name
        off = steps.RemoveDNS(entry, method)
        back = steps.SetDNS(entry, *before, method) if any(before) else off
        if step is None:
            return [Mend(off, back)]
        self.journal.add(off)
        return [Mend(step, back)]

    def _routing_steps(self, reading: Reading) -> list[Step]:
        """What is missing first, so that no packet is ever without a rule that it needs."""
        name, now, wanted = self.name, reading.live, reading.wanted
        if wanted.routing is None:
            return []
        target = drift.routing_target(wanted.routing, wanted.tables)
        found: list[Step] = []
        wall_differs = drift.firewall_differs(now, target, wanted.addresses)
        mark = drift.wanted_mark(now, wanted)
        remark = _mark_step(name, now.device.fwmark, mark)
        missing = target.routes - now.routes
        if mark:
            found += remark  # the device's own packets must avoid the tunnel before it stands
        if wall_differs and target.firewall is not None:
            found += self._firewall_steps(now, target.firewall)
        needs_source = any(isinstance(s, steps.SetSourceValidMark) for s in wanted.routing)
        missing_rules = drift.missing_rules(now, target)
        if needs_source and missing_rules:
            found.append(steps.SetSourceValidMark())
        stale = [
            Mend(steps.DeleteRule(r), steps.AddRule(r)) for r in drift.stale_rules(now, target)
        ]
        if missing_rules and stale:
            found += stale  # halves of a pair stand where the new ones go
            stale = []
        found += [steps.AddRule(rule) for rule in missing_rules]
        found += _routes_steps(name, missing, on=True)
        found += stale
        found += _routes_steps(name, drift.stale_routes(now, target, wanted), on=False)
        if wall_differs and target.firewall is None:
            found.append(Mend(steps.RemoveFirewall(name)))
        return found if mark else found + remark

    def _firewall_steps(self, now: drift.Live, wall: steps.AddFirewall) -> list[Step]:
        """One that stood is put back by Rebuild, once the addresses are back."""
        undo = steps.RemoveFirewall(self.name)
        self.journal.add(undo)
        if not now.guards:
            return [Mend(wall, undo)]
        if wall.tool != "nft":
            return [Mend(undo), Mend(wall)]  # iptables has no way to replace
        extra = [family for family in now.guards if family not in wall.families]
        return [Mend(wall), *(Mend(DropGuard(self.name, family)) for family in extra)]


def _mark_step(name: str, now: int, wanted: int | None) -> list[Step]:
    if wanted is None or wanted == now:
        return []
    return [Mend(steps.SetMark(name, wanted), steps.SetMark(name, now))]


def _routes_steps(name: str, routes: Iterable[tuple[str, int]], *, on: bool) -> list[Step]:
    some = tuple(sorted(routes))
    if not some:
        return []
    return (
        [Mend(RoutesOn(name, some), RoutesOff(name, some))]
        if on
        else [Mend(RoutesOff(name, some), RoutesOn(name, some))]
    )


# The device


def device_steps(name: str, reading: Reading) -> list[Step]:
    """Keys, port, and the peers that stay or come; those that go wait for the end."""
    now, wanted = reading.live, reading.wanted
    forward, back = DeviceChange(), DeviceChange()
    for one in drift.device_differences(now, wanted):
        if one.subject == "private key":
            forward.private_key = wanted.change.private_key
            back.private_key = now.device.private_key or _NO_KEY
        elif one.subject == "listen port":
            forward.listen_port, back.listen_port = (
                wanted.change.listen_port,
                now.device.listen_port,
            )
    running = {peer.public_key: peer for peer in now.device.peers}
    in_file = drift.merged(wanted.change.peers)
    for one in drift.peer_differences(now.device, wanted):
        key = Key.from_base64(one.name.encode())
        if one.action == drift.REMOVE:
            # What it loses to others comes back with their undo.
            back.peers.append(_restored(running[key], {"allowed ips"}))
            continue
        fields = {each.name for each in one.fields}
        forward.peers.append(_change(in_file[key], fields, reading))
        back.peers.append(
            _restored(running[key], fields) if key in running else PeerChange(key, remove=True)
        )
    back.peers.sort(key=lambda peer: not peer.remove)  # first those that came
    if forward == DeviceChange():
        return []
    return [Mend(Amend(name, forward), Amend(name, back))]


def leaving_steps(name: str, reading: Reading) -> list[Step]:
    device: Device = reading.live.device
    gone = {
        one.name
        for one in drift.peer_differences(device, reading.wanted)
        if one.action == drift.REMOVE
    }
    if not gone:
        return []
    peers = [peer for peer in device.peers if peer.public_key.base64() in gone]
    everything = {"preshared key", "endpoint", "allowed ips", "persistent keepalive"}
    forward = DeviceChange(peers=[PeerChange(peer.public_key, remove=True) for peer in peers])
    back = DeviceChange(peers=[_restored(peer, everything) for peer in peers])
    return [Mend(Amend(name, forward), Amend(name, back))]


def _change(wanted: PeerChange, fields: set[str], reading: Reading) -> PeerChange:
    """Only what differs: a peer keeps its session through all of it."""
    key = wanted.public_key
    change = PeerChange(key)
    if "preshared key" in fields:
        change.preshared_key = wanted.preshared_key or _NO_KEY
    if "endpoint" in fields:
        change.endpoint = live.first(reading.wanted.endpoints[key], wanted.endpoint)
    if "persistent keepalive" in fields:
        change.keepalive = wanted.keepalive or 0
    if "allowed ips" in fields:
        owned = drift.owners(reading.wanted.change.peers)
        change.replace_allowed_ips = True
        change.allowed_ips = [AllowedIP.parse(n) for n, owner in owned.items() if owner == key]
    return change


def _restored(peer: Peer, fields: set[str]) -> PeerChange:
    change = PeerChange(peer.public_key)
    if "preshared key" in fields:
        change.preshared_key = peer.preshared_key or _NO_KEY
    if "endpoint" in fields:
        change.endpoint = peer.endpoint
    if "persistent keepalive" in fields:
        change.keepalive = peer.keepalive
    if "allowed ips" in fields:
        change.replace_allowed_ips = True
        change.allowed_ips = list(peer.allowed_ips)
    return change
