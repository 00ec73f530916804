# SPDX-License-Identifier: MIT
"""Links, addresses and routes of Linux: facts and changes, in the words of the plans.

Text on this side, bytes behind: what `up` and `down` need from quick/rtlinks.py and
quick/rtnetlink.py; for the rarer questions and changes of other verbs there is pyroute2,
which takes 150 ms to load (docs/decisions/0021).  No decisions: those are
quick/plan.py's.  Errors leave as AccessError with the errno.
"""

from __future__ import annotations

import _socket
import errno
import os

from wgtools.errors import AccessError
from wgtools.inet import pton
from wgtools.quick import rtlinks, rtnetlink

__all__ = ["Netlink", "link_index"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Callable, Collection, Iterable
    from typing import Any

_FAMILIES = (_socket.AF_INET, _socket.AF_INET6)
_CLONED = 0x200  # RTM_F_CLONED: a cached route, not one of the table
_ANYWHERE = {_socket.AF_INET: bytes(4), _socket.AF_INET6: bytes(16)}

_PRIVILEGE = "this needs CAP_NET_ADMIN; in a container: --cap-add NET_ADMIN"


def link_index(name: str) -> int:
    """Index of the link, also by an alternative name; 0 if there is none."""
    try:
        return _socket.if_nametoindex(name)
    except OSError:
        return 0


def _index(name: str) -> int:
    index = link_index(name)
    if not index:
        raise AccessError(f"link {name}: {os.strerror(errno.ENODEV)}", errno=errno.ENODEV)
    return index


def _text(packed: bytes) -> str:
    return _socket.inet_ntop(_socket.AF_INET if len(packed) == 4 else _socket.AF_INET6, packed)


class Netlink:
    """The network of this host.  `close` it: pyroute2's socket may have been opened."""

    def __init__(self) -> None:
        self._socket: Any = None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # Links

    def make_wireguard_link(self, name: str) -> bool:
        """True if made; False if the kernel has no WireGuard.  Raises AccessError."""
        try:
            rtlinks.make_link(name, "wireguard")
        except AccessError as error:
            if error.errno == errno.EOPNOTSUPP:
                return False
            raise
        return True

    def delete_link(self, name: str) -> None:
        from wgtools.quick.removal import remove_link  # `up` does without

        remove_link(_index(name), name)

    def link_up(self, name: str, mtu: int) -> None:
        rtlinks.link_up(_index(name), mtu, name)

    def mtu(self, index: int) -> int:
        return rtlinks.link_mtu(index)

    # Addresses

    def add_address(
        self, name: str, address: ipaddress.IPv4Interface | ipaddress.IPv6Interface
    ) -> None:
        length = address.network.prefixlen
        what = f"address {address} on {name}"
        rtlinks.add_address(address.ip.packed, length, _index(name), what)

    def addresses(self, name: str, besides: Collection[str] | None = None) -> list[str]:
        """`IP/LEN` for each address of the link now: IPv4 first, each in kernel order.

        With `besides`, those that the kernel made up for itself only if they are in it.
        """
        found = []
        for packed, length, unasked in rtlinks.addresses(_index(name)):
            address = f"{_text(packed)}/{length}"
            made_up = unasked and address.startswith("fe80:")
            if besides is None or address in besides or not made_up:
                found.append(address)
        return found

    # Routes

    def add_routes(self, name: str, routes: Iterable[tuple[str, int]]) -> None:
        rtnetlink.add_routes(list(routes), _index(name))

    def connected(self, name: str) -> list[str]:
        """Networks of the main table's routes on this link."""
        index = _index(name)
        return [
            f"{_text(route.destination or _ANYWHERE[family])}/{route.length}"
            for family in _FAMILIES
            for route in rtlinks.routes(family, rtnetlink.MAIN, index)
        ]

    def table_in_use(self, table: int) -> bool:
        return any(rtlinks.routes(family, table) for family in _FAMILIES)

    def leads_through(self, table: int, name: str) -> bool:
        """Whether the table holds a route through this link."""
        index = link_index(name)
        return bool(index) and any(rtlinks.routes(family, table, index) for family in _FAMILIES)

    def path_mtu(self, address: str) -> int:
        """MTU on the way to an address: the route's own, else its device's; 0 if no way."""
        packed = pton(address)
        try:
            return self._route_mtu(rtlinks.route_to(packed, "route")) if packed else 0
        except AccessError:
            return 0

    def default_mtu(self) -> int:
        """The same of the first IPv4 default route of the main table."""
        for route in rtlinks.routes(_socket.AF_INET, rtnetlink.MAIN):
            if route.length == 0:
                return self._route_mtu(route)
        return 0

    def _route_mtu(self, route: rtlinks.Route) -> int:
        return route.mtu or (self.mtu(route.link) if route.link else 0)

    # With pyroute2

    @property
    def _route(self) -> Any:
        if self._socket is None:
            from pyroute2.iproute.linux import IPRoute

            # Strict: the kernel itself filters dumps by table and link.
            self._socket = IPRoute(strict_check=True)
        return self._socket

    def _do(self, what: str, call: Callable[..., Any], *words: Any, **values: Any) -> list[Any]:
        from pyroute2.netlink.exceptions import NetlinkError

        try:
            return list(call(*words, **values))
        except (OSError, NetlinkError) as error:
            code = int(getattr(error, "code", 0) or getattr(error, "errno", 0) or 0)
            text = os.strerror(code) if code else str(error)
            hint = _PRIVILEGE if code in (errno.EPERM, errno.EACCES) else ""
            raise AccessError(f"{what}: {text}", errno=code, hint=hint) from error

    def _index(self, name: str) -> int:
        return _index(name)

    def _routes(self, family: int, **narrowed: int) -> list[Any]:
        try:
            found = self._do("routes", self._route.get_routes, family=family, **narrowed)
        except AccessError as error:
            if error.errno in (errno.ENOENT, errno.EAFNOSUPPORT, errno.EOPNOTSUPP):
                return []  # no such table; a kernel without that family
            raise
        # A kernel before 4.20 does not filter: do it again.
        keep = []
        for entry in found:
            table = entry.get_attr("RTA_TABLE") or entry["table"]
            link = entry.get_attr("RTA_OIF")
            fits = table == narrowed.get("table", table) and link == narrowed.get("oif", link)
            if fits and not entry["flags"] & _CLONED:
                keep.append(entry)
        return keep
