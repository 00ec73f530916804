# SPDX-License-Identifier: MIT
"""Brings a running interface to its file: only what differs, and all of it or nothing.

Three parts, each from fresh facts because the one before may change them: the device,
its link and its resolver; routes, rules and firewall; last the peers that go, because a
session once ended does not come back with an undo.  The transaction is `up`'s.  Its
journal keeps holding what `down` needs, whatever moment this run ends in; a run that
was cut short is completed by the next, or taken down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wgtools.errors import WgError
from wgtools.quick import drift, firewall, live, steps
from wgtools.quick.apply import Transaction
from wgtools.quick.interrupts import interrupts
from wgtools.quick.journal import DOWN_HOOKS, Journal
from wgtools.quick.linux import link_index
from wgtools.quick.lock import POLICY, exclusive
from wgtools.quick.mender import MendingHost
from wgtools.quick.mends import (
    AddressOff,
    Begin,
    DropGuard,
    Mend,
    Rebuild,
    SetMTU,
    device_steps,
    leaving_steps,
    mark_step,
    routes_steps,
)
from wgtools.quick.refusals import not_wireguard
from wgtools.quick.steps import Step

if TYPE_CHECKING:
    from wgtools.quick.drift import Difference
    from wgtools.quick.files import Target
    from wgtools.quick.live import Reading, Subject
    from wgtools.quick.updown import Talk

__all__ = ["reload"]

_ON_DISK = (steps.DeleteLink, steps.DeleteRule, steps.RemoveDNS, steps.RemoveFirewall)


def reload(target: Target, talk: Talk) -> list[Difference]:
    """What was changed.  Raises WgError; then the interface is as it was."""
    about = live.subject(target)
    for remark in about.remarks:
        talk.warn(remark)
    with interrupts.noted(), exclusive(about.name):
        if not live.is_up(about.name):
            if link_index(about.name):
                raise not_wireguard(about.name, there=True)
            hint = f"to bring it up, type: wg-quick up {about.name}"
            raise WgError(f"`{about.name}' is not up", hint=hint)
        return _Run(about, talk).run()


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


class _Run:
    def __init__(self, about: Subject, talk: Talk) -> None:
        self.about = about
        self.name = about.name
        self.talk = talk
        self.host = MendingHost(about, talk)
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
        lines = {kind: [h.text for h in self.about.config.hooks[kind]] for kind in DOWN_HOOKS}
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
        remark = mark_step(name, now.device.fwmark, mark)
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
        found += routes_steps(name, missing, on=True)
        found += stale
        found += routes_steps(name, drift.stale_routes(now, target, wanted), on=False)
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
