# SPDX-License-Identifier: MIT
"""From the facts of a host to what the plans want to know.

Pure but for the facts, which are asked through the Protocol of quick/systems/facts.py.
"""

from __future__ import annotations

from wgtools.quick import plan
from wgtools.quick.systems.system import Situation, family_of

__all__ = ["fib_for", "first_addresses", "missing", "mtu_for", "situation", "table_of"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wgtools.quick.systems.facts import HostFacts
    from wgtools.quick.systems.system import System

# Somewhere in each half, where hardly anybody has a narrower route; RFC 7335, RFC 6666.
_WITHIN = {
    "0.0.0.0/0": "64.0.0.1",
    "0.0.0.0/1": "64.0.0.1",
    "128.0.0.0/1": "192.0.0.8",
    "::/0": "8000::1",
    "::/1": "100::1",
    "8000::/1": "8000::1",
}


def mtu_for(facts: HostFacts, endpoints: Iterable[str], real: str) -> int:
    """The smallest on the way to any endpoint; else the default route's; less 80.

    A way through `real`, the tunnel itself, tells nothing.
    """

    def path_mtu(host: str) -> int:
        path = facts.route_to(host)
        if path is None or path.interface == real:
            return 0
        return path.mtu or _link_mtu(facts, path.interface)

    def default_mtu() -> int:
        gateways = [facts.default_gateway(family) for family in (4, 6)]
        return next((_link_mtu(facts, each.interface) for each in gateways if each), 0)

    plain = dict.fromkeys(host for host in endpoints if "%" not in host)
    return plan.choose_mtu(plain, path_mtu, default_mtu)


def _link_mtu(facts: HostFacts, name: str) -> int:
    interface = facts.interface(name)
    return interface.mtu if interface else 0


def situation(
    facts: HostFacts,
    real: str,
    *,
    networks: Iterable[str],
    endpoints: Iterable[str],
    routed: tuple[str, ...] = (),
    addresses: Mapping[str, object] | None = None,
) -> Situation:
    """What routes and pins depend on, now.

    `addresses` are those of the file, `routed` what leads into the interface already:
    both matter to routes only.
    """
    gateways = {family: facts.default_gateway(family) for family in (4, 6)}
    uplinks: dict[int, str] = {}
    for family, gateway in gateways.items():
        if gateway is not None and not gateway.address:
            own = [each.address for each in facts.addresses(gateway.interface)]
            uplinks |= {family_of(one): one for one in own[::-1] if family_of(one) == family}
    return Situation(
        real,
        networks=tuple(networks),
        routed=routed,
        endpoints=tuple(endpoints),
        gateways=gateways,
        locals=first_addresses(addresses or {}),
        uplinks=uplinks,
    )


def fib_for(words: System, facts: HostFacts) -> int:
    """That of this process, where the interface is to be in it.  Raises WgError."""
    return facts.fib() if words.housed else 0


def missing(facts: HostFacts, real: str, networks: Iterable[str]) -> list[str]:
    """Those of `networks`, all of them halves or defaults, that do not lead into `real`.

    What netstat(1) does not show, perhaps as it says it in words that we do not know,
    route(8) is asked about, by an address of each.
    """
    wanted = list(networks)
    there = facts.networks(real) if wanted else ()
    absent = [network for network in wanted if not plan.covered(network, there)]
    paths = {network: facts.route_to(_WITHIN[network]) for network in absent}
    return [n for n, path in paths.items() if path is None or path.interface != real]


def first_addresses(addresses: Mapping[str, object]) -> dict[int, str]:
    """The first Address of each family, without its length."""
    texts = [str(interface).partition("/")[0] for interface in addresses.values()]
    return {family_of(text): text for text in texts[::-1]}


def table_of(table: str, number: int) -> str:
    """As plans take it: a number in decimal."""
    return str(number) if number else table
