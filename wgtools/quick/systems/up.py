# SPDX-License-Identifier: MIT
"""`up` on FreeBSD, OpenBSD and macOS: facts, plan, apply, in that order, or all undone.

What quick/updown.py is on Linux, over the same transaction, journal, lock and interrupts.
Here is decided only who makes the interface: the kernel, or an engine when it will not.
"""

from __future__ import annotations

import os

from wgtools import ipc
from wgtools.errors import WgError
from wgtools.quick import engines, files, hooks
from wgtools.quick.apply import NotInForce, Transaction
from wgtools.quick.check import Checked, TableWords, check
from wgtools.quick.doubts import left_out
from wgtools.quick.interrupts import interrupts
from wgtools.quick.ipv6 import MINIMUM_MTU
from wgtools.quick.journal import DOWN_HOOKS, Journal
from wgtools.quick.lock import POLICY, exclusive
from wgtools.quick.plan import split_dns
from wgtools.quick.systems import dns, reading
from wgtools.quick.systems.actions import Destroy
from wgtools.quick.systems.here import host_of
from wgtools.quick.systems.host import Host, NoKernel
from wgtools.quick.systems.openbsd import OpenBSD, next_name
from wgtools.quick.systems.system import Situation, System

__all__ = ["judged", "up"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wgtools.conf.quickfile import QuickFile
    from wgtools.quick.files import Target
    from wgtools.quick.systems.facts import HostFacts
    from wgtools.quick.updown import Talk

STRICT = "WG_QUICK_STRICT"
_TAKEN = "File exists"


def judged(config: QuickFile, words: System, facts: HostFacts) -> Checked:
    """The file understood, or all that is wrong with it.  Raises ConfigErrors, WgError."""
    numbers = range(facts.fibs() if any(words.in_table("0")) else 0)
    table = TableWords(("auto", "main", "off"), numbers, words.table_hint)
    checked = check(config, tables={}, bad_hook=hooks.syntax_error, words=table)
    jail = facts.jail()
    if jail is not None and not jail.vnet:
        raise WgError(
            "this jail has no network stack of its own, so no interface can be made in it",
            hint="give it `vnet` in jail.conf(5), or run wg-quick on its host",
        )
    peers = checked.change.peers or ()
    networks = tuple(str(n) for peer in peers for n in peer.allowed_ips or ())
    words.routes(
        checked.table, Situation("", networks, locals=reading.first_addresses(checked.addresses))
    )
    return checked


def up(target: Target, talk: Talk, *, strict: bool | None = None) -> None:
    """Bring the interface up, or leave the host as it was.  Raises WgError."""
    name = target.name
    engines.require(os.environ)
    config = files.load(target)
    host = host_of(target, config, talk)
    checked = judged(config, host.system, host.facts)
    strict = os.environ.get(STRICT, "0") not in ("", "0") if strict is None else strict
    method = _dns_method(config, host, talk, strict=strict)
    for warning in checked.warnings:
        talk.warn(warning)
    with interrupts.noted(), exclusive(name):
        journal = Journal(name)
        if real := host.real_name(name):
            shown = "" if real == name else f" as `{real}'"
            hint = f"to take it down first, type: wg-quick down {name}"
            raise WgError(f"`{name}' already exists{shown}", hint=hint)
        _repair(journal, host, talk)
        journal.begin(
            target.path, {kind: [h.text for h in config.hooks[kind]] for kind in DOWN_HOOKS}
        )
        transaction = Transaction(
            host.carry_out, echo=talk.echo, warn=talk.warn, journal=journal, strict=strict
        )
        try:
            _go_up(transaction, host, config, checked, name=name, method=method, talk=talk)
        except BaseException:
            transaction.roll_back()
            raise
        if journal.problem:
            talk.say(
                f"[!] no journal can be kept: {journal.problem}; "
                "what a crash would leave behind, no later run would know of"
            )
    host.stay()


def _go_up(
    transaction: Transaction,
    host: Host,
    config: QuickFile,
    checked: Checked,
    *,
    name: str,
    method: str,
    talk: Talk,
) -> None:
    words, facts = host.system, host.facts
    fib = reading.fib_for(words, facts)
    real = _make(transaction, host, name, talk)
    host.know(real)
    transaction.apply(words.birth(config, name, real, checked.change, fib=fib))
    device = ipc.get(real)  # as the PreUp hooks and the configuration left it
    for remark in left_out(device, checked.change):
        transaction.bear(NotInForce(remark.message, hint=remark.hint))
    endpoints = [peer.endpoint.host for peer in device.peers if peer.endpoint]
    mtu = checked.mtu or reading.mtu_for(facts, endpoints, real)
    if mtu < MINIMUM_MTU and any(a.version == 6 for a in checked.addresses.values()):
        text = f"an MTU of {mtu} is below the {MINIMUM_MTU} that IPv6 needs"
        transaction.bear(NotInForce(text, hint=f"write MTU = {MINIMUM_MTU}"))
    link = facts.interface(real)
    transaction.apply(
        words.addresses(checked.addresses, real, mtu=mtu, now=link.mtu if link else 0)
    )
    with exclusive(POLICY):
        situation = reading.situation(
            facts,
            real,
            networks=(str(n) for peer in device.peers for n in peer.allowed_ips),
            endpoints=endpoints,
            routed=facts.networks(real),
            addresses=checked.addresses,
        )
        pair = split_dns(value.text for value in config.dns)
        services = dns.services() if method == "networksetup" and pair[0] else ()
        told = dns.steps(words, method, name, real, words=pair, known=services)
        table = reading.table_of(checked.table, checked.table_number)
        follows = pair if method == "networksetup" else ((), ())
        watch = words.watch(name, situation, table, mtu=not checked.mtu, dns=follows)
        transaction.apply(words.connections(table, situation, told))
        _verify(words.defaults(table, situation.networks), host, real)
        transaction.apply([watch] if watch else [])
    transaction.apply(words.hooks(config, "postup", name, real))
    interrupts.check()


def _verify(networks: Sequence[str], host: Host, real: str) -> None:
    """Whether everything enters the tunnel that is to: route(8) of macOS ends well when it
    has failed.  Raises WgError."""
    for network in reading.missing(host.facts, real, networks):
        hint = f"another interface may have it: route -n get -net {network}"
        raise WgError(f"the route to {network} is not there, though it was added", hint=hint)


def _make(transaction: Transaction, host: Host, name: str, talk: Talk) -> str:
    """The interface, by the kernel or else by an engine; its name."""
    words = host.system
    kernel = words.kernel and engines.wants_kernel(os.environ)
    while kernel:
        real = name
        if isinstance(words, OpenBSD):
            real = next_name({interface.name for interface in host.facts.interfaces()})
        try:
            transaction.apply([words.making(name, real)])
        except NoKernel as error:
            if isinstance(words, OpenBSD) and _TAKEN in error.message:
                continue
            if engines.kernel_only(os.environ):
                refusal = engines.no_kernel("kldload if_wg" if words.title == "FreeBSD" else "")
                raise refusal from error
            talk.say(
                f"[!] Missing WireGuard kernel support ({error.message}). "
                "Falling back to slow userspace implementation."
            )
            break
        return real
    if engines.kernel_only(os.environ):
        raise engines.no_kernel("")
    _, program = engines.userspace_command(os.environ)
    transaction.apply([words.starting(name, program)])
    return host.named_by_engine(name) if words.engine_word else name


def _dns_method(config: QuickFile, host: Host, talk: Talk, *, strict: bool) -> str:
    """How DNS will be set.  Raises WgError if strict and some of it cannot be."""
    if not config.dns:
        return "none"
    method = dns.choose(host.system, os.environ, host.facts)
    remark = dns.lost(method, *split_dns(value.text for value in config.dns))
    if remark is not None:
        if strict:
            raise remark
        talk.warn(remark)
    if advice := dns.advice(host.system, method, host.facts):
        talk.say(advice)
    return method


def _repair(journal: Journal, host: Host, talk: Talk) -> None:
    """Work off what an earlier run left behind when its interface was lost."""
    leftovers = [undo for undo in journal.undos if not isinstance(undo, Destroy)]
    if leftovers:
        talk.say("[!] The interface was not taken down properly: cleaning up first.")
        transaction = Transaction(host.carry_out, echo=talk.echo, warn=talk.warn, journal=journal)
        transaction.attempt(reversed(leftovers))
        journal.erase()
