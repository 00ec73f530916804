# SPDX-License-Identifier: MIT
"""`down`, `save` and `monitor` on FreeBSD, OpenBSD and macOS, and `up`, which is in up.py.

They raise WgError and print nothing themselves; what happens is told to a `Talk`.
"""

from __future__ import annotations

import os

from wgtools import ipc
from wgtools.conf.document import Document
from wgtools.conf.quickfile import QuickFile
from wgtools.errors import WgError
from wgtools.quick import files
from wgtools.quick.apply import Transaction
from wgtools.quick.dns import left_behind
from wgtools.quick.interrupts import interrupts
from wgtools.quick.journal import Journal, remembered
from wgtools.quick.lock import exclusive
from wgtools.quick.refusals import bad_save_config, not_wireguard
from wgtools.quick.systems import dns
from wgtools.quick.systems.actions import StopMonitor
from wgtools.quick.systems.here import host_of
from wgtools.quick.systems.host import Host, is_socket
from wgtools.quick.systems.system import no_block
from wgtools.quick.systems.up import up

__all__ = ["down", "down_by_journal", "monitor", "save", "up"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from wgtools.quick.files import Target
    from wgtools.quick.steps import Step
    from wgtools.quick.updown import Talk


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
        host = host_of(target, config, talk, save=lambda host: _save(target, host))
        journal = Journal(name)
        real = host.real_name(name)
        if (real and not ipc.exists(real)) or not (real or journal.undos or left_behind(name)):
            raise not_wireguard(name, there=bool(real))
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
    _refuse_bad_save_config(config)
    host = host_of(target, config, talk)
    real = host.real_name(target.name)
    if not real or not ipc.exists(real):
        raise not_wireguard(target.name, there=bool(real))
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


def _refuse_bad_save_config(config: QuickFile) -> None:
    if config.saves is None and config.save_config is not None:
        raise bad_save_config(config.save_config, config.name)
