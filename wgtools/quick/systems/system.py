# SPDX-License-Identifier: MIT
"""What `up` and `down` do on FreeBSD, OpenBSD and macOS, as far as they agree.

Pure: facts come in as values, plans go out as lists of steps.  A `System` is the words
of one of them; freebsd.py, openbsd.py and macos.py say where they differ.  `up` has
three plans, as on Linux (quick/plan.py): what a PreUp hook does is a fact for the next.

Full tunnels there are no policy routing: a `/0` becomes two halves, which are narrower
than the default route and leave it as it is, and each endpoint gets a host route to the
gateway, its pin, so that the tunnel's own packets do not enter it.

Rules: WG_QUICK_COMPAT sections 18 to 20, and 24 for what is done better.
"""

from __future__ import annotations

from wgtools.conf.quickfile import SPELLED
from wgtools.inet import pton
from wgtools.quick.plan import covered, route_order
from wgtools.quick.steps import RemoveDNS, RunHook, Save, SetDNS, Step
from wgtools.quick.systems.actions import (
    Command,
    Destroy,
    MakeLink,
    Pin,
    StartEngine,
    StartMonitor,
    StopMonitor,
    Unpin,
)
from wgtools.quick.value import Value

__all__ = ["HALVES", "Situation", "System", "family_of"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wgtools.conf.quickfile import QuickFile
    from wgtools.model import DeviceChange
    from wgtools.quick.systems.facts import Gateway

HALVES = {4: ("0.0.0.0/1", "128.0.0.0/1"), 6: ("::/1", "8000::/1")}
_LOOPBACK = {4: "127.0.0.1", 6: "::1"}
FAMILY = {4: "-inet", 6: "-inet6"}


class Situation(Value):
    """Facts about the device and its host, read when the interface has its addresses."""

    real: str  # the system's name of the interface
    networks: tuple[str, ...] = ()  # allowed IPs of all peers, canonical
    routed: tuple[str, ...] = ()  # networks that lead into the interface already
    endpoints: tuple[str, ...] = ()  # addresses of the peers' endpoints
    gateways: Mapping[int, Gateway | None] = {}  # family -> the default route now
    locals: Mapping[int, str] = {}  # family -> first Address, without its length
    uplinks: Mapping[int, str] = {}  # family -> an address of the default route's interface


def family_of(text: str) -> int:
    return 6 if ":" in text else 4


class System:
    """FreeBSD's words are here where they are everybody's."""

    title = ""
    kernel = True  # whether its kernel may have WireGuard
    engine_word = ""  # what an engine is told where it cannot be told the name
    knows_real = False  # whether `%I` in a hook is the configuration's name
    dns_methods: tuple[str, ...] = ("resolvconf", "file", "none")
    dns_first = False  # whether `down` takes DNS back before the interface
    dns_last = False  # whether `up` sets it behind the routes
    table_hint = ""
    housed = False  # whether the interface is put into the FIB of who makes it
    mtu_always = True  # whether the MTU is set even where it is that already

    # Single commands

    def making(self, name: str, real: str) -> MakeLink:
        raise NotImplementedError

    def starting(self, name: str, program: str) -> StartEngine:
        return StartEngine(name, self.engine_word or name, program)

    def addressing(self, real: str, address: str) -> tuple[str, ...]:
        inet = FAMILY[family_of(address)].removeprefix("-")
        return ("ifconfig", real, inet, address, "alias")

    def target(self, real: str, family: int, situation: Situation) -> tuple[str, ...]:
        """What route(8) is told to lead a network into the interface."""
        return ("-interface", real)

    def in_table(self, table: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(words before the command of route(8), words behind the family)."""
        return (), ()

    # Plans

    def birth(
        self, config: QuickFile, name: str, real: str, change: DeviceChange, *, fib: int = 0
    ) -> list[Step]:
        """What comes after the interface was made: the user's first words, wg(8)'s part."""
        return [
            *self.housing(real, fib),
            *self.hooks(config, "preup", name, real),
            WgPart(real, change),
        ]

    def housing(self, real: str, fib: int) -> list[Step]:
        return []

    def addresses(
        self, addresses: Mapping[str, object], real: str, *, mtu: int, now: int = 0
    ) -> list[Step]:
        """Addresses (as written -> as understood), MTU, up.  `now` is the MTU it has."""
        steps: list[Step] = [
            Command(self.addressing(real, _with_length(text, str(interface))))
            for text, interface in addresses.items()
        ]
        if self.mtu_always or mtu != now:
            steps.append(Command(("ifconfig", real, "mtu", str(mtu))))
        return [*steps, Command(("ifconfig", real, "up"))]

    def connections(self, table: str, situation: Situation, dns: Sequence[Step]) -> list[Step]:
        """DNS, routes, pins."""
        ways: list[Step] = [*self.routes(table, situation), *self.pins(table, situation)]
        return [*ways, *dns] if self.dns_last else [*dns, *ways]

    def routes(self, table: str, situation: Situation) -> list[Step]:
        """Routes to every allowed IP; `table` is `auto`, `main`, `off`, or a number."""
        networks = route_order(situation.networks)
        if table == "off" or not networks:
            return []
        if table not in ("auto", "main"):
            return [self._route(network, situation, table) for network in networks]
        # Longest first, so no route of ours covers a later one: only present ones can.
        return [
            self._route(part, situation)
            for network in networks
            for part in self.parts(network, table)
            if not covered(part, situation.routed)
        ]

    def parts(self, network: str, table: str) -> tuple[str, ...]:
        """The networks that are routed for one."""
        return HALVES[family_of(network)] if self.splits(network, table) else (network,)

    def defaults(self, table: str, networks: Iterable[str]) -> list[str]:
        """Those of the routes without which all traffic of a family would leak."""
        if table not in ("auto", "main"):
            return []
        whole = [network for network in route_order(networks) if network.endswith("/0")]
        return [part for network in whole for part in self.parts(network, table)]

    def splits(self, network: str, table: str) -> bool:
        """Whether a network becomes two halves."""
        return network.endswith("/0") and table in ("auto", "main")

    def _route(self, network: str, situation: Situation, table: str = "") -> Step:
        family = family_of(network)
        before, behind = self.in_table(table) if table else ((), ())
        target = self.target(situation.real, family, situation)
        return Command(
            ("route", "-q", "-n", *before, "add", FAMILY[family], *behind, network, *target)
        )

    def families(self, table: str, networks: Iterable[str]) -> tuple[int, ...]:
        """Those whose endpoints are to be pinned."""
        split = {family_of(network) for network in networks if self.splits(network, table)}
        return tuple(sorted(split))

    def pins(self, table: str, situation: Situation) -> list[Step]:
        return self.pins_of(self.families(table, situation.networks), situation)

    def pins_of(self, families: Iterable[int], situation: Situation) -> list[Step]:
        """A host route for each endpoint of these families, each once."""
        wanted = [host for host in situation.endpoints if needs_pin(host)]
        return [
            self.pin(host, situation)
            for family in families
            for host in dict.fromkeys(wanted)
            if family_of(host) == family
        ]

    def pin(self, host: str, situation: Situation) -> Step:
        """To the default gateway; without one into a black hole, against loops."""
        family = family_of(host)
        words = ("route", "-q", "-n", "add", FAMILY[family], host)
        back = ("route", "-q", "-n", "delete", FAMILY[family], host)
        gateway = situation.gateways.get(family)
        if gateway is None:
            return Pin(host, "", (*words, _LOOPBACK[family], "-blackhole"), back)
        if gateway.address:
            return Pin(host, gateway.address, (*words, "-gateway", gateway.address), back)
        into = self.straight(gateway.interface, family, situation)
        return Pin(host, gateway.interface, (*words, *into), back)

    def straight(self, interface: str, family: int, situation: Situation) -> tuple[str, ...]:
        """Like `target`, for an endpoint on the other end of a point-to-point link."""
        return ("-interface", interface)

    def watch(
        self,
        name: str,
        situation: Situation,
        table: str,
        *,
        mtu: bool,
        dns: tuple[Sequence[str], Sequence[str]],
    ) -> StartMonitor | None:
        """The monitor with its task; None if there is nothing that could change.

        `mtu` is whether it was chosen, not given; `dns` what is to be kept in force.
        """
        families = "".join(map(str, self.families(table, situation.networks)))
        servers, domains = dns
        if not (families or mtu or servers):
            return None
        return StartMonitor(
            name,
            situation.real,
            families,
            "auto" if mtu else "",
            " ".join(servers),
            " ".join(domains if servers else ()),
        )

    def hooks(self, config: QuickFile, kind: str, name: str, real: str) -> list[Step]:
        """`%i` is the interface; `%I` the configuration, where these are not the same."""
        texts = [hook.text.replace("%i", real) for hook in config.hooks[kind]]
        if self.knows_real:
            texts = [text.replace("%I", name) for text in texts]
        return [RunHook(text, SPELLED[kind]) for text in texts]

    def resolvconf(self, name: str, servers: Sequence[str], domains: Sequence[str]) -> Command:
        """DNS through openresolv, which FreeBSD has in its base."""
        text = "".join(f"nameserver {server}\n" for server in servers)
        text += f"search {' '.join(domains)}\n" if domains else ""
        argv = ("resolvconf", "-a", name, "-x")
        return Command(argv, ("resolvconf", "-d", name), feed=text)

    def down(
        self,
        config: QuickFile,
        name: str,
        real: str,
        *,
        undos: Sequence[Step],
        userspace: bool,
        save: bool,
    ) -> tuple[list[Step], list[Step], list[Step]]:
        """Three parts, as quick/plan.py's: what may call it off, tearing down, hooks.

        `undos` are what is to be undone beside the interface, oldest first; `real` is
        empty when it is gone.
        """
        before = self.hooks(config, "predown", name, real) if real else []
        if save and real:
            before.append(Save(real))
        monitor = [undo for undo in undos if isinstance(undo, StopMonitor)]
        pins = [undo for undo in undos if isinstance(undo, Unpin)]
        others = [undo for undo in undos if not isinstance(undo, StopMonitor | Unpin | Destroy)]
        dns = others[::-1]
        link: list[Step] = [Destroy(name, real, userspace)] if real else []
        # While the halves stand, an endpoint without its pin would be sought in the tunnel.
        rest = [*dns, *link, *pins[::-1]] if self.dns_first else [*link, *pins[::-1], *dns]
        return before, [*monitor, *rest], self.hooks(config, "postdown", name, real or name)


class WgPart(Step):
    """`wg addconf`, in this process; the original feeds its standard input."""

    name: str
    change: DeviceChange

    @property
    def shown(self) -> tuple[str, ...]:
        return (f"wg addconf {self.name} /dev/stdin",)


def managed_block(name: str, servers: Sequence[str], domains: Sequence[str]) -> SetDNS:
    """A block of resolv.conf that is ours, the rest left as it is (quick/dns/resolvfile.py)."""
    return SetDNS(name, tuple(servers), tuple(domains), "file")


def no_block(name: str) -> RemoveDNS:
    return RemoveDNS(name, "file")


def needs_pin(host: str) -> bool:
    """Not what never takes a default route: a zone, loopback, link-local, multicast."""
    packed = pton(host)
    if packed is None:
        return False
    if len(packed) == 4:
        return packed[0] not in (0, 127) and packed[:2] != b"\xa9\xfe" and packed[0] < 224
    local = packed[0] == 0xFE and packed[1] & 0xC0 == 0x80
    return packed[0] != 0xFF and not local and packed not in (bytes(16), bytes(15) + b"\1")


def _with_length(text: str, canonical: str) -> str:
    """As written if ifconfig(8) reads it as we do: whole, and with a length in bits.

    Without one it would guess: by class for IPv4, 64 for IPv6.
    """
    host, _, length = text.partition("/")
    return text if pton(host) and length.isdigit() else canonical
