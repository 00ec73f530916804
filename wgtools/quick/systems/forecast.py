# SPDX-License-Identifier: MIT
"""What `up` would do on FreeBSD, OpenBSD or macOS, told without doing any of it.

The plans are `up`'s own; the facts that it reads half way are predicted from the file.
What a PreUp hook changes cannot be.  Pure but for the facts of the host.
"""

from __future__ import annotations

from wgtools.model import HostPort
from wgtools.quick.plan import split_dns
from wgtools.quick.systems import dns, reading
from wgtools.quick.systems.macos import MacOS
from wgtools.quick.systems.openbsd import OpenBSD, next_name

__all__ = ["foresee", "real_name"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wgtools.conf.quickfile import QuickFile
    from wgtools.quick.check import Checked
    from wgtools.quick.steps import Step
    from wgtools.quick.systems.facts import HostFacts
    from wgtools.quick.systems.macos import Service
    from wgtools.quick.systems.system import System

_ENGINES_MTU = 1420  # of an interface that an engine has just made: ours, wireguard-go


def real_name(words: System, facts: HostFacts, name: str, *, engine: bool) -> str:
    """The name that the system would give."""
    present = {interface.name for interface in facts.interfaces()}
    if engine and words.engine_word:
        return next_name(present, words.engine_word)
    return next_name(present) if isinstance(words, OpenBSD) else name


def foresee(
    words: System,
    config: QuickFile,
    checked: Checked,
    facts: HostFacts,
    *,
    name: str,
    program: str = "",
    method: str = "none",
    services: Sequence[Service] = (),
) -> list[Step]:
    """All steps in their order.  With a `program` that is the engine, else the kernel."""
    real = real_name(words, facts, name, engine=bool(program))
    peers = checked.change.peers or ()
    known = [peer.endpoint for peer in peers if peer.endpoint is not None]
    numeric = [one.numeric() if isinstance(one, HostPort) else one for one in known]
    endpoints = [one.host for one in numeric if one is not None]
    situation = reading.situation(
        facts,
        real,
        networks=[str(network) for peer in peers for network in peer.allowed_ips or ()],
        endpoints=endpoints,
        routed=_connected(words, checked),
        addresses=checked.addresses,
    )
    pair = split_dns(value.text for value in config.dns)
    mtu = checked.mtu or reading.mtu_for(facts, endpoints, real)
    now = _ENGINES_MTU if program else 0
    told = dns.steps(words, method, name, real, words=pair, known=services)
    table = reading.table_of(checked.table, checked.table_number)
    follows = pair if method == "networksetup" else ((), ())
    watch = words.watch(name, situation, table, mtu=not checked.mtu, dns=follows)
    return [
        words.starting(name, program) if program else words.making(name, real),
        *words.birth(config, name, real, checked.change, fib=reading.fib_for(words, facts)),
        *words.addresses(checked.addresses, real, mtu=mtu, now=now),
        *words.connections(table, situation, told),
        *([watch] if watch else []),
        *words.hooks(config, "postup", name, real),
    ]


def _connected(words: System, checked: Checked) -> tuple[str, ...]:
    """What the kernel routes by itself; a point-to-point IPv4 address gives no network."""
    found = [
        str(interface.network)
        for interface in checked.addresses.values()
        if interface.version == 6 or not isinstance(words, MacOS)
    ]
    return tuple(dict.fromkeys(found))
