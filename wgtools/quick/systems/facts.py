# SPDX-License-Identifier: MIT
"""What the plans of FreeBSD, OpenBSD and macOS ask about the host, and how it is answered.

Values and one Protocol; nothing here looks at a system.  quick/systems/hostfacts.py answers on
a real one, tests answer from tables.  Every answer is about the routing table (FIB,
rtable) and the jail that this process runs in, as ifconfig(8) and route(8) started
from here would see it: `hostfacts.facts(platform)` gives a HostFacts for a
sys.platform such as `freebsd14`.  A question that cannot be answered gets the empty answer
(None, 0, an empty tuple), never an exception: no fact is worth failing `up` for, but
the FIB, as an interface in the wrong one sends where nobody asked for.

Texts: addresses as inet_ntop(3) writes them; networks canonical, `10.0.0.0/24`,
`::/1`, with a length always and no host bits; names of interfaces as ifconfig(8).
"""

from __future__ import annotations

from wgtools.quick.value import Value

__all__ = ["Address", "Gateway", "HostFacts", "Interface", "Jail", "Path"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from typing import Protocol


class Interface(Value):
    """One interface.  `description` is that of `ifconfig NAME description TEXT`."""

    name: str
    mtu: int = 0
    up: bool = False
    description: str = ""


class Address(Value):
    """An address of an interface: without zone, with its prefix length."""

    address: str
    length: int

    @property
    def text(self) -> str:
        """As a configuration has it."""
        return f"{self.address}/{self.length}"


class Gateway(Value):
    """Where the first default route of a family leads.

    `address` has a zone where it needs one (`fe80::1%em0`), and is empty when the route
    leads straight into `interface` (shown as `link#3`, or as the interface's name).
    """

    interface: str
    address: str = ""


class Path(Value):
    """The route that a packet to one address takes: `route -n get`.

    `mtu` is the route's own, 0 if it has none (then the interface's counts).
    """

    interface: str
    gateway: str = ""
    mtu: int = 0


class Jail(Value):
    """The FreeBSD jail we are in; `vnet` when it has a network stack of its own."""

    jid: int
    vnet: bool


if TYPE_CHECKING:

    class HostFacts(Protocol):
        """Asked anew each time: nothing is kept from one call to the next."""

        def interfaces(self) -> tuple[Interface, ...]:
            """All of them, in the system's order."""

        def interface(self, name: str) -> Interface | None:
            """The one of this name, None if there is none."""

        def addresses(self, interface: str) -> tuple[Address, ...]:
            """Its addresses, IPv4 first, then IPv6, each in the system's order."""

        def default_gateway(self, family: int) -> Gateway | None:
            """Family 4 or 6.  Halves (`0.0.0.0/1`) are no default route."""

        def route_to(self, address: str) -> Path | None:
            """How one address, without zone, is reached; None if it is not."""

        def networks(self, interface: str) -> tuple[str, ...]:
            """The networks of all routes that lead into the interface, both families:
            the connected ones and those that were added; no host routes to its own
            addresses, no multicast and no link-local ones."""

        def fib(self) -> int:
            """The FIB (rtable on OpenBSD) of this process; 0 on macOS.  Raises WgError if
            the system does not tell."""

        def fibs(self) -> int:
            """How many there are (`net.fibs`); 1 where there is no such thing.
            OpenBSD: 256, they are made on demand."""

        def jail(self) -> Jail | None:
            """None outside of jails, and elsewhere than on FreeBSD."""

        def running(self, program: str) -> bool:
            """Whether a process of this name runs (`pgrep -qx`): resolvd, unwind."""
