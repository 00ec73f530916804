# SPDX-License-Identifier: MIT
"""FreeBSD's words (WG_QUICK_COMPAT section 18, BSD_IPC 4.4).  Pure.

A FIB is a routing table.  Run as `setfib N wg-quick up`, everything is about that one:
route(8) is in it because we are, the interface and its outer packets are put into it.
`Table = N` leads the networks into the interface in another one only.
"""

from __future__ import annotations

from wgtools.quick.systems.actions import Command, MakeLink
from wgtools.quick.systems.system import System

__all__ = ["FreeBSD"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from wgtools.quick.steps import Step


class FreeBSD(System):
    title = "FreeBSD"
    housed = True
    table_hint = "write auto, main, off, or the number of a FIB (net.fibs says how many there are)"

    def making(self, name: str, real: str) -> MakeLink:
        return MakeLink(name, real, ("ifconfig", "wg", "create", "name", real))

    def housing(self, real: str, fib: int) -> list[Step]:
        """Packets out of the tunnel are routed in this FIB, and its own packets as well.

        The kernel's sockets start in the FIB of who makes the interface: saying so once
        more is for those that do not, and no loss where it is not known.
        """
        if not fib:
            return []
        return [
            Command(("ifconfig", real, "fib", str(fib))),
            Command(("ifconfig", real, "tunnelfib", str(fib)), spare=True),
        ]

    def in_table(self, table: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return (), ("-fib", table)
