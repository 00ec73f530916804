# SPDX-License-Identifier: MIT
"""What `up` and `down` will do, decided before anything is done.

Pure: facts come in as values, plans go out as lists of steps.  `up` has three plans,
because what a PreUp hook does and what the kernel makes of an address are facts for
the next: `birth`, `addressing`, `routing`.  `wg-quick plan` may call all three with
predicted facts; nothing here ever looks at the system.

Rules by section of WG_QUICK_COMPAT: order of up 4, of down 5, MTU 8, routes 9, full
tunnel 10, DNS 11.
"""

from __future__ import annotations

from wgtools.conf.quickfile import SPELLED
from wgtools.inet import pton
from wgtools.quick.steps import (
    AddAddress,
    AddFirewall,
    AddRoutes,
    AddRule,
    Configure,
    DeleteLink,
    DeleteRule,
    LinkUp,
    MakeLink,
    RemoveDNS,
    RemoveFirewall,
    Route,
    Rule,
    RunHook,
    Save,
    SetDNS,
    SetMark,
    SetSourceValidMark,
    Step,
)
from wgtools.quick.value import Value

__all__ = [
    "Running",
    "addressing",
    "birth",
    "choose_mtu",
    "covered",
    "dns_step",
    "down",
    "find_rules",
    "free_mark",
    "hooks",
    "next_priority",
    "route_order",
    "routing",
    "split_dns",
]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from wgtools.conf.quickfile import QuickFile
    from wgtools.model import DeviceChange

OVERHEAD = 80  # section 8: IPv6 40 + UDP 8 + WireGuard 32
DEFAULT_MTU = 1500
FIRST_MARK = 51820  # section 10
LOWEST_DEFAULT = 32766  # priority of the kernel's own rule for the main table


class Running(Value):
    """Facts about the device and its host, read between two plans of `up`."""

    mark: int = 0
    networks: tuple[str, ...] = ()  # allowed IPs of all peers, canonical
    connected: tuple[str, ...] = ()  # networks of main-table routes on this link
    spare_mark: int = 0  # a number that is nobody's mark or table
    priorities: Mapping[int, int] = {}  # family -> next free
    source_valid_mark: bool = False
    firewall: str = "nft"


def hooks(config: QuickFile, kind: str, name: str) -> list[Step]:
    said = SPELLED[kind]
    return [RunHook(hook.text.replace("%i", name), said) for hook in config.hooks[kind]]


def birth(config: QuickFile, name: str, change: DeviceChange, *, kernel: bool = True) -> list[Step]:
    """The link, what the user wants done to it first, and wg(8)'s part."""
    return [MakeLink(name, kernel), *hooks(config, "preup", name), Configure(name, change)]


def addressing(
    config: QuickFile, name: str, *, mtu: int, dns: SetDNS | None, ipv6: bool = True
) -> list[Step]:
    """Addresses, the link up, and what `dns_step` made of the DNS words."""
    texts = [address.text for address in config.addresses]
    steps: list[Step] = [AddAddress(name, text) for text in texts if ipv6 or ":" not in text]
    steps.append(LinkUp(name, mtu))
    if dns is not None:
        steps.append(dns)
    return steps


def dns_step(config: QuickFile, entry: str, method: str) -> SetDNS | None:
    """None without words that this way of quick/dns takes.

    resolvconf has always been called for servers alone (section 11).
    """
    servers, domains = split_dns(value.text for value in config.dns)
    if method == "none" or not (servers or (domains and method != "resolvconf")):
        return None
    return SetDNS(entry, servers, domains, method)


def routing(table: str, name: str, running: Running) -> list[Step]:
    """Routes to every allowed IP; `table` is `auto`, `off`, or as written for ip(8)."""
    networks = route_order(running.networks)
    if table == "off" or not networks:
        return []
    if table != "auto":
        return [AddRoutes(name, tuple(Route(network, table) for network in networks))]
    narrow = [network for network in networks if not network.endswith("/0")]
    # Longest first, so no route of ours covers a later one: only connected ones can.
    missing = tuple(Route(network) for network in narrow if not covered(network, running.connected))
    steps: list[Step] = [AddRoutes(name, missing)] if missing else []
    wide = [network for network in networks if network.endswith("/0")]
    return steps + (_full_tunnel(wide, name, running) if wide else [])


def _full_tunnel(networks: list[str], name: str, running: Running) -> list[Step]:
    """Unmarked packets ask main without its default route, then our table.

    The rules stand before the route, so that nothing takes the tunnel before the
    device's own packets can avoid it; the guard stands before either.
    """
    mark = running.mark or running.spare_mark
    steps: list[Step] = [] if running.mark else [SetMark(name, mark)]
    families = tuple(Route(network).family for network in networks)
    steps.append(AddFirewall(name, mark, families, running.firewall))
    if 4 in families and not running.source_valid_mark:
        steps.append(SetSourceValidMark())
    for network in networks:
        family = Route(network).family
        priority = running.priorities.get(family, LOWEST_DEFAULT - 1)
        steps += [
            AddRule(Rule(family, priority, mark)),
            AddRule(Rule(family, priority - 1)),
            AddRoutes(name, (Route(network, str(mark)),)),
        ]
    return steps


def down(
    config: QuickFile,
    name: str,
    *,
    rules: Iterable[Rule],
    link: bool,
    save: bool,
    dns: RemoveDNS | None,
    firewall: bool,
) -> tuple[list[Step], list[Step], list[Step]]:
    """Three parts: what may still call it off, the tearing down, the hooks after it.

    A failure in the first leaves all as it is; one in the second never keeps a later
    step from being tried.  Without `dns` no DNS is touched,
    without `firewall` no packet filter.
    """
    before = hooks(config, "predown", name) if link else []
    if save and link:
        before.append(Save(name))
    teardown: list[Step] = [DeleteRule(rule) for rule in rules]
    if link:
        teardown.append(DeleteLink(name))
    if dns is not None:
        # What resolved is told belongs to the link, and can be taken back as long as it is there.
        last = len(teardown) - link if dns.method == "resolved" else len(teardown)
        teardown.insert(last, dns)
    if firewall:
        teardown.append(RemoveFirewall(name))
    return before, teardown, hooks(config, "postdown", name)


def split_dns(words: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(servers, search domains): digits and dots only, or any colon, make a server."""
    servers: list[str] = []
    domains: list[str] = []
    for word in words:
        is_server = ":" in word or not word.strip("0123456789.")
        (servers if is_server else domains).append(word)
    return tuple(servers), tuple(domains)


def choose_mtu(
    endpoints: Iterable[str], path_mtu: Callable[[str], int], default_mtu: Callable[[], int]
) -> int:
    """Section 8, for a file without MTU: the smallest path MTU to an endpoint, less 80.

    `path_mtu` and `default_mtu` give 0 for "unknown".
    """
    known = [mtu for mtu in map(path_mtu, endpoints) if mtu > 0]
    return (min(known) if known else default_mtu() or DEFAULT_MTU) - OVERHEAD


def route_order(networks: Iterable[str]) -> list[str]:
    """Each network once, longest prefix first, equal lengths in descending text order."""
    return sorted(set(networks), key=lambda n: (int(n.rpartition("/")[2]), n), reverse=True)


def covered(network: str, others: Iterable[str]) -> bool:
    """Whether one of the networks `others` contains all of `network`."""
    bits, length = _bits(network)
    for other in others:
        wide, wide_length = _bits(other)
        if len(wide) == len(bits) and wide_length <= length:
            shift = len(bits) * 8 - wide_length
            if int.from_bytes(bits, "big") >> shift == int.from_bytes(wide, "big") >> shift:
                return True
    return False


def _bits(network: str) -> tuple[bytes, int]:
    address, _, length = network.partition("/")
    return pton(address) or b"", int(length)


def free_mark(in_use: Callable[[int], bool]) -> int:
    """The first number from 51820 upwards that is nobody's table."""
    mark = FIRST_MARK
    while in_use(mark):
        mark += 1
    return mark


def next_priority(priorities: list[int]) -> int:
    """The priority the kernel would give a new rule: one below the second of the list."""
    return priorities[1] - 1 if len(priorities) > 1 and priorities[1] > 0 else 0


def find_rules(present: Collection[Rule], marks: Collection[int]) -> list[Rule]:
    """The rules of a tunnel with one of these marks, among those `present`.

    Its suppressing rule is the one just below; another tunnel's, or one that somebody
    made by hand, stands elsewhere and stays.
    """
    found: list[Rule] = []
    for rule in sorted(present, key=lambda r: (r.family, -r.priority)):
        if rule.mark and rule.mark in marks:
            found.append(rule)
            partner = Rule(rule.family, rule.priority - 1)
            if partner in present:
                found.append(partner)
    return found


def own_rules(
    noted: Sequence[Rule], present: Collection[Rule], is_used: Callable[[int], bool]
) -> list[Rule]:
    """The noted rules that are present, but for those that are another tunnel's by now.

    `is_used` tells of the number of a table whether it holds routes.  Those of a lost link
    are lost with it: a table that holds some is somebody's, as are the rule that leads to
    it and the one that was made next, one priority before it.
    """
    lost = {mark for mark in {rule.mark for rule in noted} - {0} if is_used(mark)}
    foreign = {(rule.family, rule.priority) for rule in noted if rule.mark in lost}
    return [
        rule
        for rule in noted
        if rule in present
        and not {(rule.family, rule.priority), (rule.family, rule.priority + 1)} & foreign
    ]
