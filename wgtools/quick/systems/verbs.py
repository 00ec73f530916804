# SPDX-License-Identifier: MIT
"""`up`, `down` and `save` on FreeBSD, OpenBSD and macOS: facts, plan, apply, in that order.

What quick/updown.py is on Linux, over the same transaction, journal, lock and interrupts.
They raise WgError and print nothing themselves; what happens is told to a `Talk`.
"""

from __future__ import annotations

import os
import sys

from wgtools import ipc
from wgtools.conf.document import Document
from wgtools.conf.quickfile import QuickFile, Value
from wgtools.errors import ConfigError, WgError
from wgtools.quick import engines, files, hooks, systems
from wgtools.quick.apply import NotInForce, Transaction
from wgtools.quick.check import Checked, ConfigErrors, TableWords, check
from wgtools.quick.dns import left_behind
from wgtools.quick.interrupts import interrupts
from wgtools.quick.ipv6 import MINIMUM_MTU
from wgtools.quick.journal import Journal
from wgtools.quick.lock import POLICY, exclusive
from wgtools.quick.plan import split_dns
from wgtools.quick.systems import dns, reading
from wgtools.quick.systems.actions import Destroy, StopMonitor
from wgtools.quick.systems.host import Host, NoKernel, is_socket
from wgtools.quick.systems.openbsd import OpenBSD, next_name
from wgtools.quick.systems.system import Situation, System, no_block

__all__ = ["down", "down_by_journal", "facts_here", "host_of", "judged", "monitor", "save", "up"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from wgtools.quick.facts import HostFacts
    from wgtools.quick.files import Target
    from wgtools.quick.steps import Step
    from wgtools.quick.updown import Talk

_FACTS = "wgtools.quick.hostfacts"  # loads netifaces
STRICT = "WG_QUICK_STRICT"
_DOWN_HOOKS = ("predown", "postdown")
_TAKEN = "File exists"


def facts_here() -> HostFacts:
    """Loaded here, for those who never need it (`save` of a wrong file) and for tests."""
    facts: HostFacts = __import__(_FACTS, fromlist=["facts"]).facts(sys.platform)
    return facts


def host_of(target: Target, config: QuickFile, talk: Talk, save: bool = True) -> Host:
    """The host as this configuration's plans see it; with its remark about hooks."""
    if remark := hooks.remark(config):
        talk.say(remark)
    env = hooks.environment(config, target.name, target.path)
    words = systems.of(sys.platform)
    host = Host(
        words, facts_here(), env=env, echo=talk.echo, say=talk.say, save=lambda: _save(target, host)
    )
    return host


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
            target.path, {kind: [h.text for h in config.hooks[kind]] for kind in _DOWN_HOOKS}
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
            talk.say(f"[!] no journal can be kept: {journal.problem}")
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
    real = _make(transaction, host, name, talk)
    host.know(real)
    transaction.apply(words.birth(config, name, real, checked.change, fib=facts.fib()))
    device = ipc.get(real)  # as the PreUp hooks and the configuration left it
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
        transaction.apply(words.connections(table, situation, told, watch))
    transaction.apply(words.hooks(config, "postup", name, real))
    interrupts.check()


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


def down(target: Target, talk: Talk) -> None:
    """Take the interface down, and whatever is left of it if it is gone.  Raises WgError."""
    config = files.load_head(target)
    _refuse_save_config(config)
    _down(target, config, talk)


def down_by_journal(name: str, talk: Talk) -> bool:
    """The same for an interface whose file is gone; False if we know nothing about it."""
    journal = Journal(name)
    if not journal.undos and not left_behind(name):
        return False
    config = QuickFile(Document(b"", journal.config_file))
    for kind in _DOWN_HOOKS:
        config.hooks[kind] = [Value(text) for text in journal.hooks.get(kind, [])]
    _down(files.Target(name, journal.config_file), config, talk)
    return True


def _down(target: Target, config: QuickFile, talk: Talk) -> None:
    name = target.name
    with interrupts.noted(), exclusive(name):
        host = host_of(target, config, talk)
        journal = Journal(name)
        real = host.real_name(name)
        if (real and not ipc.exists(real)) or not (real or journal.undos or left_behind(name)):
            raise _not_wireguard(name)
        host.know(real or name)
        transaction = Transaction(host.carry_out, echo=talk.echo, warn=talk.warn, journal=journal)
        before, teardown, after = host.system.down(
            config,
            name,
            real,
            undos=_to_undo(journal, host, config, name, real),
            userspace=is_socket(real),
            save=bool(config.saves),
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


def _to_undo(journal: Journal, host: Host, config: QuickFile, name: str, real: str) -> list[Step]:
    """What the journal says, or without one what the file would have set, and what is there."""
    if journal.undos:
        return [*journal.undos]
    found: list[Step] = [no_block(name)] if left_behind(name) else []
    if config.dns and real:
        method = dns.choose(host.system, os.environ, host.facts)
        found += dns.back_by_file(host.system, method, name, real, config)
    return [StopMonitor(name, real), *found]


def monitor(name: str, talk: Talk) -> None:
    """Watch what `up` has noted until the interface is gone or a signal comes.  Raises WgError."""
    from wgtools.quick.systems.monitor import Monitor, route_socket, watch

    journal = Journal(name)
    if not any(isinstance(undo, StopMonitor) for undo in journal.undos):
        hint = "`wg-quick up` starts it where there is something to watch"
        raise WgError(f"there is nothing to monitor for `{name}'", hint=hint)
    config = QuickFile(Document(b"", journal.config_file))
    host = host_of(files.Target(name, journal.config_file), config, talk)
    try:
        door = route_socket()
    except OSError as error:
        raise WgError(f"route socket: {error.strerror}") from error
    watch(name, Monitor(name, host, talk), door, host.system.title)


def save(target: Target, talk: Talk) -> None:
    """Write the running interface back to its file.  Raises WgError."""
    config = files.load(target)
    _refuse_save_config(config)
    host = host_of(target, config, talk)
    real = host.real_name(target.name)
    if not real or not ipc.exists(real):
        raise _not_wireguard(target.name)
    talk.echo(f"wg showconf {real}")
    _save(target, host)


def _save(target: Target, host: Host) -> None:
    from wgtools.quick.save import saved

    name = target.name
    config = files.load(target)
    real = host.real_name(name)
    written = {value.text.lower() for value in config.addresses}
    link = host.facts.interface(real)
    text = saved(
        Document(files.read(target), target.path),
        config,
        ipc.get(real),
        addresses=[
            address.text
            for address in host.facts.addresses(real)
            # A TUN device makes one up for itself.
            if not address.address.startswith("fe80:") or address.text in written
        ],
        servers=_servers(host, name),
        mtu=link.mtu if config.mtu and link else 0,
    )
    try:
        files.replace(target.path, text)
    except OSError as error:
        raise WgError(
            "Could not write configuration file",
            hint=f"{error.filename or target.path}: {error.strerror}",
        ) from error


def _servers(host: Host, name: str) -> list[str]:
    """Those in force, where somebody keeps book of them; else the file's own stay."""
    if "resolvconf" not in host.system.dns_methods:
        return []
    from wgtools.quick.dns import current_servers

    return current_servers(name)


def _refuse_save_config(config: QuickFile) -> None:
    word = config.save_config
    if config.saves is None and word is not None:
        message = f"`{word.text}' is neither true nor false"
        raise ConfigErrors(
            [ConfigError(message, file=config.name, line=word.line, column=word.column)]
        )


def _not_wireguard(name: str) -> WgError:
    return WgError(f"`{name}' is not a WireGuard interface")
