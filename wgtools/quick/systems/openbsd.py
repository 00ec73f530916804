# SPDX-License-Identifier: MIT
"""OpenBSD's words (WG_QUICK_COMPAT section 20, BSD_IPC 5.6).  Pure.

Its kernel numbers the interfaces; which one is ours stands in its description.  A route
leads into an interface by one of its own addresses.
"""

from __future__ import annotations

from wgtools.errors import WgError
from wgtools.quick.systems.actions import Command, MakeLink
from wgtools.quick.systems.system import Situation, System

__all__ = ["OpenBSD", "description", "next_name"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class OpenBSD(System):
    title = "OpenBSD"
    knows_real = True
    engine_word = "tun"
    dns_methods = ("resolvd", "file", "none")
    dns_first = True
    table_hint = "write auto, main, off, or the number of a routing table (rtable(4))"

    def making(self, name: str, real: str) -> MakeLink:
        argv = ("ifconfig", real, "create", "description", description(name))
        return MakeLink(name, real, argv)

    def target(self, real: str, family: int, situation: Situation) -> tuple[str, ...]:
        local = situation.locals.get(family)
        if not local:
            raise WgError(
                f"Local IPv{family} address must be set to have routes",
                hint=f"add an IPv{family} Address, or take those networks out of AllowedIPs",
            )
        return ("-iface", local)

    def straight(self, interface: str, family: int, situation: Situation) -> tuple[str, ...]:
        return ("-iface", situation.uplinks.get(family) or interface)

    def in_table(self, table: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return ("-T", table), ()

    def resolvd(self, real: str, servers: Sequence[str]) -> Command:
        """Propose servers to resolvd(8), which writes them into resolv.conf."""
        words = ("route", "nameserver", real)
        return Command((*words, *servers), words)


def description(name: str) -> str:
    return f"wg-quick: {name}"


def next_name(present: Collection[str], kind: str = "wg") -> str:
    """The lowest number that no interface has."""
    number = 0
    while f"{kind}{number}" in present:
        number += 1
    return f"{kind}{number}"
