# SPDX-License-Identifier: MIT
"""Whether an interface can have IPv6, and what it means for its user if not.

Where IPv6 is off, or the MTU below what it needs, the kernel refuses each address and
route by itself.  They are left out instead, with one warning; unless the host reaches
others over IPv6: what was meant for the tunnel would then leave in the clear, and that
is an error.
"""

from __future__ import annotations

import os

from wgtools.errors import WgError
from wgtools.quick.apply import NotInForce

__all__ = ["MINIMUM_MTU", "judge", "obstacle"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MINIMUM_MTU = 1280  # RFC 8200 section 5
_SETTINGS = "/proc/sys/net/ipv6/conf"
_ADDRESSES = "/proc/net/if_inet6"
_GLOBAL = "00"  # scope column of if_inet6
_OFF_HINT = "sysctl -w net.ipv6.conf.{0}.disable_ipv6=0; for a container, give it that sysctl"


def obstacle(name: str, mtu: int = 0) -> tuple[str, str]:
    """Why the interface (or, before it exists, a new one) has no IPv6, and the remedy; or "".

    An `mtu` of 0 is one not known yet.
    """
    if not os.path.isdir(_SETTINGS):
        return "this kernel runs without IPv6", "start it without ipv6.disable=1"
    which = name if os.path.isdir(f"{_SETTINGS}/{name}") else "default"
    if _read(f"{_SETTINGS}/{which}/disable_ipv6").strip() == "1":
        return f"IPv6 is off (net.ipv6.conf.{which}.disable_ipv6)", _OFF_HINT.format("default")
    if 0 < mtu < MINIMUM_MTU:
        text = f"an MTU of {mtu} is below the {MINIMUM_MTU} that IPv6 needs"
        return text, f"write MTU = {MINIMUM_MTU}; larger outer packets then travel in fragments"
    return "", ""


def judge(
    name: str, why: tuple[str, str], addresses: Iterable[str], networks: Iterable[str]
) -> NotInForce | None:
    """What is not in force because of an obstacle; None if nothing.

    Raises WgError if `networks`, those with a route into the tunnel, would leak.
    """
    reason, remedy = why
    routes = [network for network in networks if ":" in network]
    lost = [address for address in addresses if ":" in address] + routes
    if not reason or not lost:
        return None
    text = f"{reason}: not in force on `{name}': {_several(lost)}"
    if routes and _in_use(name):
        raise WgError(
            f"{reason}: packets to {_several(routes)} would leave outside of the tunnel",
            hint=f"{remedy}; or take these networks out of AllowedIPs",
        )
    return NotInForce(text, hint=remedy)


def _several(words: Sequence[str], most: int = 4) -> str:
    more = [f"{len(words) - most} more"] if len(words) > most else []
    return ", ".join([*words[:most], *more])


def _in_use(name: str) -> bool:
    """Whether another link has a global IPv6 address."""
    rows = [line.split() for line in _read(_ADDRESSES).splitlines()]
    return any(row[3] == _GLOBAL and row[5] not in (name, "lo") for row in rows if len(row) > 5)


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""
