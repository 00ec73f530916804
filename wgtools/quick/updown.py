# SPDX-License-Identifier: MIT
"""`up`, `down` and `save` on Linux: facts, plan, apply, in that order.

The verbs over the pieces of this package, without a command line: a program
that imports wgtools may call them.  They raise WgError and print nothing themselves;
what happens is told to a `Talk`.
"""

from __future__ import annotations

import os

from wgtools import ipc
from wgtools.conf.document import Document
from wgtools.errors import WgError
from wgtools.quick import dns, files, firewall, hooks, plan, rtnetlink
from wgtools.quick.apply import NotInForce, Transaction
from wgtools.quick.host import Host, networks_of
from wgtools.quick.interrupts import interrupts
from wgtools.quick.journal import DOWN_HOOKS, Journal, remembered
from wgtools.quick.linux import link_index
from wgtools.quick.lock import POLICY, exclusive
from wgtools.quick.steps import DeleteRule, RemoveDNS, RemoveFirewall

__all__ = ["down", "down_by_journal", "save", "up"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from typing import Protocol

    from wgtools.conf.quickfile import QuickFile
    from wgtools.quick.check import Checked
    from wgtools.quick.files import Target
    from wgtools.quick.steps import Rule, SetDNS

    class Talk(Protocol):
        """Where a verb says what it does."""

        def echo(self, line: str) -> None:
            """A command that changes something, about to be done."""

        def say(self, line: str) -> None:
            """A remark, as it is."""

        def warn(self, error: WgError) -> None:
            """Something went wrong that does not end the run."""


STRICT = "WG_QUICK_STRICT"


def up(target: Target, talk: Talk, *, strict: bool | None = None) -> None:
    """Bring the interface up, or leave the host as it was.  Raises WgError.

    `strict` makes an error of what is not in force, where a warning would do; None
    asks WG_QUICK_STRICT.
    """
    from wgtools.quick import engines
    from wgtools.quick.check import check, table_names

    name = target.name
    engines.require(os.environ)
    config = files.load(target)
    checked = check(config, tables=table_names(), bad_hook=hooks.syntax_error)
    strict = os.environ.get(STRICT, "0") not in ("", "0") if strict is None else strict
    _judge_early(config, checked, name)
    dns_words = _dns_words(config, name, talk, strict=strict)
    for warning in checked.warnings:
        talk.warn(warning)
    with interrupts.noted(), exclusive(name):
        host = _host(target, config, talk, checked)
        journal = Journal(name)
        try:
            if link_index(name):
                hint = f"to take it down first, type: wg-quick down {name}"
                raise WgError(f"`{name}' already exists", hint=hint)
            _repair(journal, host, talk)
            journal.begin(
                target.path,
                {kind: [hook.text for hook in config.hooks[kind]] for kind in DOWN_HOOKS},
            )
            transaction = Transaction(
                host.carry_out, echo=talk.echo, warn=talk.warn, journal=journal, strict=strict
            )
            try:
                _go_up(transaction, host, config, checked, name, dns_words=dns_words)
            except BaseException:
                transaction.roll_back()
                raise
            if journal.problem:
                talk.say(
                    f"[!] no journal in /run/wgtools: {journal.problem}; "
                    "what a crash would leave behind, no later run would know of"
                )
        finally:
            host.netlink.close()


def _go_up(
    transaction: Transaction,
    host: Host,
    config: QuickFile,
    checked: Checked,
    name: str,
    *,
    dns_words: SetDNS | None,
) -> None:
    from wgtools.quick import engines, ipv6
    from wgtools.quick.doubts import left_out

    kernel = engines.wants_kernel(os.environ)
    transaction.apply(plan.birth(config, name, checked.change, kernel=kernel))
    device = ipc.get(name)  # as the PreUp hooks and the configuration left it
    for remark in left_out(device, checked.change):
        transaction.bear(NotInForce(remark.message, hint=remark.hint))
    mtu = checked.mtu or host.choose_mtu(device)
    why = ipv6.obstacle(name, mtu)
    networks = () if checked.table == "off" or not why[0] else networks_of(device)
    lost = ipv6.judge(name, why, checked.addresses, networks)
    if lost is not None:
        transaction.bear(lost)
    has_ipv6 = not why[0]
    transaction.apply(plan.addressing(config, name, mtu=mtu, dns=dns_words, ipv6=has_ipv6))
    with exclusive(POLICY):
        running = host.running(device, checked.table, ipv6=has_ipv6)
        transaction.apply(plan.routing(checked.table, name, running))
    transaction.apply(plan.hooks(config, "postup", name))
    interrupts.check()


def _judge_early(config: QuickFile, checked: Checked, name: str) -> None:
    """What the file alone shows would leak.  Raises WgError."""
    from wgtools.quick import ipv6

    peers = () if checked.table == "off" else checked.change.peers
    networks = [str(network) for peer in peers or () for network in peer.allowed_ips or ()]
    why = ipv6.obstacle(name, checked.mtu or 0)
    ipv6.judge(name, why, checked.addresses, networks)


def _dns_words(config: QuickFile, name: str, talk: Talk, *, strict: bool) -> SetDNS | None:
    """The step for the DNS words of the file.  Raises WgError if strict and they have no effect."""
    if not config.dns:
        return None
    method = dns.choose(os.environ)
    remark = dns.remark(method, *plan.split_dns(value.text for value in config.dns))
    if remark is not None:
        if strict:
            raise remark
        talk.warn(remark)
    return plan.dns_step(config, dns.entry_name(name, method), method)


def down(target: Target, talk: Talk) -> None:
    """Take the interface down, and whatever is left of it if it is gone.  Raises WgError."""
    config = files.load_head(target)
    _refuse_bad_save_config(config)
    _down(target, config, talk)


def down_by_journal(name: str, talk: Talk) -> bool:
    """The same for an interface whose file is gone; False if we know nothing about it."""
    known = remembered(name)
    if known is not None:
        _down(*known, talk)
    return known is not None


def _down(target: Target, config: QuickFile, talk: Talk) -> None:
    name = target.name
    with interrupts.noted(), exclusive(name):
        host = _host(target, config, talk, None)
        journal = Journal(name)
        try:
            here = ipc.exists(name)
            traces = bool(here or journal.undos or dns.left_behind(name))
            mark = 0 if traces or link_index(name) else firewall.mark_left_behind(name)
            if not here and (link_index(name) or not (traces or mark)):
                raise _not_wireguard(name)
            transaction = Transaction(
                host.carry_out, echo=talk.echo, warn=talk.warn, journal=journal
            )
            rules = _own_rules(host, journal, name, here=here, mark=mark)
            noted = any(isinstance(undo, RemoveFirewall) for undo in journal.undos)
            before, teardown, after = plan.down(
                config,
                name,
                rules=rules,
                link=here,
                save=bool(config.saves),
                dns=_dns_to_remove(config, journal, name),
                # A journal of a tunnel without policy routing spares three programs.
                firewall=bool(rules) or noted or not journal.undos,
            )
            transaction.apply(before)
            interrupts.check()
            with interrupts.shielded():
                failure = transaction.attempt(teardown)
            if failure is None:
                journal.erase()
            transaction.apply(after)
            if failure is not None:
                raise failure
        finally:
            host.netlink.close()


def _own_rules(host: Host, journal: Journal, name: str, *, here: bool, mark: int) -> list[Rule]:
    """Our rules by the journal, or by the marks and tables that lead into the link.

    `mark` is one that is known to be ours, 0 for none.
    """
    present, _ = rtnetlink.rules()
    noted = [undo.rule for undo in journal.undos if isinstance(undo, DeleteRule)]
    if not here:
        noted = plan.own_rules(noted, present, host.netlink.table_in_use)
    marks = {mark, *(rule.mark for rule in noted)}
    unknown = {rule.mark for rule in present} - marks - {0}
    if unknown and here:
        device_mark = ipc.get(name).fwmark
        through = host.netlink.leads_through
        marks |= {mark for mark in unknown if mark == device_mark or through(mark, name)}
    found = plan.find_rules(present, marks - {0})
    return found + [rule for rule in noted if rule in present and rule not in found]


def _dns_to_remove(config: QuickFile, journal: Journal, name: str) -> RemoveDNS | None:
    """What was added: by the journal, by what is there, or by what the file would add."""
    noted = [undo for undo in journal.undos if isinstance(undo, RemoveDNS)]
    if noted:
        return noted[0]
    if dns.left_behind(name):
        return RemoveDNS(name, "file")
    if not config.dns:
        return None
    method = dns.choose(os.environ)
    step = plan.dns_step(config, dns.entry_name(name, method), method)
    return RemoveDNS(step.entry, step.method) if step else None


def _repair(journal: Journal, host: Host, talk: Talk) -> None:
    """Work off what an earlier run left behind when its link was lost."""
    if not journal.undos:
        return
    from wgtools.quick.leftovers import remaining

    left = remaining(journal.undos)
    if left:
        talk.say("[!] The interface was not taken down properly: cleaning up first.")
        transaction = Transaction(host.carry_out, echo=talk.echo, warn=talk.warn, journal=journal)
        transaction.attempt(reversed(left))
        journal.erase()


def save(target: Target, talk: Talk) -> None:
    """Write the running interface back to its file.  Raises WgError."""
    config = files.load(target)
    _refuse_bad_save_config(config)
    if not ipc.exists(target.name):
        raise _not_wireguard(target.name)
    host = _host(target, config, talk, None)
    try:
        talk.echo(f"wg showconf {target.name}")
        _save(target, host)
    finally:
        host.netlink.close()


def _save(target: Target, host: Host) -> None:
    from wgtools.quick.save import saved

    name = target.name
    config = files.load(target)
    written = {value.text.lower() for value in config.addresses}
    text = saved(
        Document(files.read(target), target.path),
        config,
        ipc.get(name),
        addresses=host.netlink.addresses(name, besides=written),
        servers=dns.current_servers(name),
        mtu=host.netlink.mtu(link_index(name)) if config.mtu else 0,
    )
    try:
        files.replace(target.path, text)
    except OSError as error:
        raise WgError(
            "Could not write configuration file",
            hint=f"{error.filename or target.path}: {error.strerror}",
        ) from error


def _host(target: Target, config: QuickFile, talk: Talk, checked: Checked | None) -> Host:
    if remark := hooks.remark(config):
        talk.say(remark)
    host = Host(
        env=hooks.environment(config, target.name, target.path),
        echo=talk.echo,
        say=talk.say,
        save=lambda: _save(target, host),
        addresses=checked.addresses if checked else None,
        table=checked.table_number if checked else 0,
    )
    return host


def _refuse_bad_save_config(config: QuickFile) -> None:
    if config.saves is None and config.save_config is not None:
        from wgtools.quick.refusals import bad_save_config

        raise bad_save_config(config.save_config, config.name)


def _not_wireguard(name: str) -> WgError:
    from wgtools.quick.refusals import not_wireguard

    return not_wireguard(name, there=bool(link_index(name)))
