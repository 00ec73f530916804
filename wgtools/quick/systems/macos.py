# SPDX-License-Identifier: MIT
"""macOS's words (WG_QUICK_COMPAT section 19).  Pure.

Its kernel has no WireGuard: an engine makes the next free utunN and writes that name to
`/var/run/wireguard/NAME.name`.  DNS is set for every network service by networksetup(8);
what was there before is in the undo of each step.
"""

from __future__ import annotations

from wgtools.quick.systems.actions import Command
from wgtools.quick.systems.system import System, family_of
from wgtools.quick.value import Value

__all__ = ["MacOS", "Service"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wgtools.quick.systems.actions import MakeLink

_EMPTY = "Empty"  # networksetup's word for none


class Service(Value):
    """A network service and what it is set to now; nothing where DHCP decides."""

    name: str
    servers: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()


class MacOS(System):
    title = "macOS"
    kernel = False
    knows_real = True
    engine_word = "utun"
    dns_methods = ("networksetup", "none")
    dns_last = True
    mtu_always = False
    table_hint = "Darwin only supports TABLE=auto|main|off"

    def making(self, name: str, real: str) -> MakeLink:
        raise NotImplementedError("no macOS kernel has WireGuard")

    def addressing(self, real: str, address: str) -> tuple[str, ...]:
        """A point-to-point interface wants the other end's address as well: our own."""
        if family_of(address) == 6:
            return super().addressing(real, address)
        return ("ifconfig", real, "inet", address, address.partition("/")[0], "alias")

    def splits(self, network: str, table: str) -> bool:
        return network.endswith("/0") and table == "auto"

    def networksetup(
        self, services: Iterable[Service], servers: Sequence[str], domains: Sequence[str]
    ) -> list[Command]:
        """Only what differs; nothing without a server, as the original has it."""
        if not servers:
            return []
        steps = []
        for service in services:
            for verb, now, wanted in (
                ("-setdnsservers", service.servers, tuple(servers)),
                ("-setsearchdomains", service.domains, tuple(domains)),
            ):
                if now != wanted:
                    words = ("networksetup", verb, service.name)
                    back = (*words, *(now or (_EMPTY,)))
                    steps.append(Command((*words, *(wanted or (_EMPTY,))), back))
        return steps
