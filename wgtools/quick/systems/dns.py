# SPDX-License-Identifier: MIT
"""Name servers of a tunnel on FreeBSD, OpenBSD and macOS: which way, and its steps.

FreeBSD tells resolvconf(8), OpenBSD resolvd(8), macOS networksetup(8).  Where there is
no resolvconf or resolvd, nobody but us writes resolv.conf, and it gets a managed block
(quick/dns/resolvfile.py); so do search domains on OpenBSD, whose resolvd takes none.
WG_QUICK_DNS forces a way, as on Linux.
"""

from __future__ import annotations

from wgtools.errors import WgError
from wgtools.quick.apply import CommandFailed, NotInForce, find_program, run
from wgtools.quick.dns import VARIABLE, remark
from wgtools.quick.plan import split_dns
from wgtools.quick.systems.macos import MacOS, Service
from wgtools.quick.systems.openbsd import OpenBSD
from wgtools.quick.systems.system import managed_block, no_block

__all__ = ["advice", "back_by_file", "choose", "lost", "services", "steps"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wgtools.conf.quickfile import QuickFile
    from wgtools.quick.steps import Step
    from wgtools.quick.systems.facts import HostFacts
    from wgtools.quick.systems.system import System


def choose(system: System, environ: Mapping[str, str], facts: HostFacts) -> str:
    """One of the system's ways, or `none`.  Raises WgError for a word that is none."""
    forced = environ.get(VARIABLE, "")
    if forced and forced not in system.dns_methods:
        hint = f"write one of {', '.join(system.dns_methods)}, or unset {VARIABLE}"
        raise WgError(f"{VARIABLE}: `{forced}' is no way to set DNS on {system.title}", hint=hint)
    if forced:
        return forced
    first, *_ = system.dns_methods
    if first == "resolvd":
        return first if facts.running("unwind") or facts.running("resolvd") else "file"
    if first == "resolvconf":
        return first if find_program("resolvconf") else "file"
    return first


def advice(system: System, method: str, facts: HostFacts) -> str:
    """What OpenBSD's users are told before DNS is set."""
    if not isinstance(system, OpenBSD) or method == "none":
        return ""
    if facts.running("unwind"):
        return "[!] WARNING: unwind will leak DNS queries"
    if method == "resolvd":
        return "[!] WARNING: resolvd may leak DNS queries"
    return "[+] resolvd is not running: /etc/resolv.conf is edited instead"


def lost(method: str, servers: tuple[str, ...], domains: tuple[str, ...]) -> NotInForce | None:
    """What of the DNS words will not be in force."""
    if method == "networksetup" and domains and not servers:
        text = "search domains without a name server are not in force"
        return NotInForce(text, hint="add a server: DNS = 192.0.2.53, example.org")
    found = remark("file" if method in ("resolvd", "networksetup") else method, servers, domains)
    return NotInForce(found.message, hint=found.hint) if found else None


def steps(
    system: System,
    method: str,
    name: str,
    real: str,
    *,
    words: tuple[tuple[str, ...], tuple[str, ...]],
    known: Sequence[Service] = (),
) -> list[Step]:
    """`words` are (servers, search domains); `known` the services of macOS.  Pure."""
    servers, domains = words
    plain = tuple(domain for domain in domains if not domain.startswith("~"))
    if method == "none" or not (servers or domains):
        return []
    if method == "file":
        return [managed_block(name, servers, plain)]
    if method == "networksetup":
        assert isinstance(system, MacOS)
        return [*system.networksetup(known, servers, plain)]
    if method == "resolvconf":
        return [system.resolvconf(name, servers, domains)] if servers else []
    assert isinstance(system, OpenBSD)
    told: list[Step] = [system.resolvd(real, servers)] if servers else []
    return [*told, managed_block(name, (), plain)] if plain else told


def back_by_file(
    system: System, method: str, name: str, real: str, config: QuickFile
) -> list[Step]:
    """What to take back when no journal tells: what the file would have set, oldest first.

    Nothing on macOS: what was set before is not known any more.
    """
    if method == "networksetup":
        return []
    words = split_dns(value.text for value in config.dns)
    done = steps(system, method, name, real, words=words)
    return [undo for undo in (step.undo for step in done) if undo and undo != no_block(name)]


def services() -> tuple[Service, ...]:
    """The network services of macOS, the disabled ones too, with what they are set to."""
    lines = _ask("-listallnetworkservices").splitlines()[1:]  # the first explains the asterisk
    names = [line.removeprefix("*") for line in lines]
    return tuple(
        Service(name, _answer("-getdnsservers", name), _answer("-getsearchdomains", name))
        for name in names
    )


def _answer(verb: str, service: str) -> tuple[str, ...]:
    """A word per line; a sentence is its way of saying that there is none."""
    lines = tuple(line for line in _ask(verb, service).splitlines() if line)
    return () if any(" " in line for line in lines) else lines


def _ask(*words: str) -> str:
    try:
        text = run(["networksetup", *words], data=b"", capture=True, quiet=True)
    except CommandFailed as error:
        raise WgError(f"cannot read the DNS settings: {error.message}") from error
    return text.decode("utf-8", "surrogateescape")
