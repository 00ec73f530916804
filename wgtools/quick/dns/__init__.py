# SPDX-License-Identifier: MIT
"""Name servers of a tunnel: which way this host takes them, and the door to each.

Three ways, asked in this order: systemd-resolved where it is the system's resolver,
a `resolvconf` program (openresolv's, Debian's, resolved's own), else a managed block
in /etc/resolv.conf.  WG_QUICK_DNS forces one.  Which words are servers is
quick/plan.py's decision; why it is these ways stands in docs/decisions/0022.
"""

from __future__ import annotations

from wgtools.errors import WgError
from wgtools.quick.apply import find_program

__all__ = [
    "VARIABLE",
    "add",
    "choose",
    "current_servers",
    "entry_name",
    "is_left",
    "left_behind",
    "remark",
    "remove",
]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Protocol

    from wgtools.quick.steps import RemoveDNS, SetDNS

    class Door(Protocol):
        """What each of the three modules has."""

        def add(self, name: str, servers: Sequence[str], domains: Sequence[str]) -> None: ...

        def remove(self, name: str) -> None: ...


VARIABLE = "WG_QUICK_DNS"
_METHODS = ("resolved", "resolvconf", "file", "none")


def choose(environ: Mapping[str, str]) -> str:
    """`resolved`, `resolvconf`, `file` or `none`.  Raises WgError for a word that is no way."""
    forced = environ.get(VARIABLE, "")
    if forced:
        if forced not in _METHODS:
            hint = f"write one of {', '.join(_METHODS)}, or unset {VARIABLE}"
            raise WgError(f"{VARIABLE}: `{forced}' is no way to set DNS", hint=hint)
        return forced
    from wgtools.quick.dns import resolved

    if resolved.in_charge():
        return "resolved"
    return "resolvconf" if find_program("resolvconf") else "file"


def remark(method: str, servers: tuple[str, ...], domains: tuple[str, ...]) -> WgError | None:
    """What of the DNS words will not be in force, and how to get it."""
    routing = [domain for domain in domains if domain.startswith("~")]
    if method == "none" and (servers or domains):
        text = f"DNS is left alone: {VARIABLE}=none"
        return WgError(text, hint=f"unset {VARIABLE} to have it set")
    if method == "resolvconf" and domains and not servers:
        text = "resolvconf takes no search domains without a name server: they are not in force"
        return WgError(text, hint="add a server: DNS = 192.0.2.53, example.org")
    if routing and method == "file":
        text = f"routing domains such as `{routing[0]}' are not in force: /etc/resolv.conf has none"
        return WgError(text, hint="they need systemd-resolved")
    return None


def left_behind(name: str) -> bool:
    """Whether words of this interface outlived it, a reboot even."""
    from wgtools.quick.dns import resolvfile

    return resolvfile.holds(name)


def is_left(step: RemoveDNS) -> bool:
    """Whether there is still something to remove once the link is gone."""
    if step.method == "file":
        return left_behind(step.entry)
    if step.method == "resolved":
        return False  # it keeps servers per link, and forgets them with it
    from wgtools.quick.dns import resolvconf

    return resolvconf.holds(step.entry)


def entry_name(name: str, method: str) -> str:
    """Under which name this way keeps our words."""
    if method != "resolvconf":
        return name
    from wgtools.quick.dns import resolvconf

    return resolvconf.entry_name(name)


def current_servers(name: str) -> list[str]:
    """The servers in force for us if resolvconf knows them; [] if it does not."""
    if not find_program("resolvconf"):
        return []
    from wgtools.quick.dns import resolvconf

    return resolvconf.current_servers(resolvconf.entry_name(name))


def add(step: SetDNS) -> None:
    """Raises WgError; NotInForce where there is nobody to tell."""
    _door(step.method).add(step.entry, step.servers, step.domains)


def remove(step: RemoveDNS) -> None:
    """Raises WgError.  Nothing there is no error."""
    _door(step.method).remove(step.entry)


def _door(method: str) -> Door:
    """Loaded when asked for: each is as much as the rest of `down`."""
    module = {"resolved": "resolved", "file": "resolvfile"}.get(method, "resolvconf")
    door: Door = __import__(f"{__name__}.{module}", fromlist=[module])
    return door
