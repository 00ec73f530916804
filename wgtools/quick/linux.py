# SPDX-License-Identifier: MIT
"""Links, addresses and routes of Linux: facts and changes, over rtnetlink.

The one place that knows pyroute2, which takes 150 ms to load: hence on the first
question that needs it, and what `down` needs is in quick/rtnetlink.py.  No decisions:
those are quick/plan.py's.  Errors leave as AccessError with the errno.
"""

from __future__ import annotations

import _socket
import errno
import os

from wgtools.errors import AccessError
from wgtools.quick import rtnetlink

__all__ = ["Netlink", "link_index"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Callable, Collection, Iterable
    from typing import Any

_FAMILIES = {4: _socket.AF_INET, 6: _socket.AF_INET6}
_KERNEL_LINK_LOCAL = 3  # IFAPROT_KERNEL_LL
_CLONED = 0x200  # RTM_F_CLONED: a cached route, not one of the table


def link_index(name: str) -> int:
    """Index of the link, also by an alternative name; 0 if there is none."""
    try:
        return _socket.if_nametoindex(name)
    except OSError:
        return 0


def _told(error: Exception, what: str) -> AccessError:
    code = int(getattr(error, "code", 0) or getattr(error, "errno", 0) or 0)
    text = os.strerror(code) if code else str(error)
    return AccessError(f"{what}: {text}", errno=code)


class Netlink:
    """rtnetlink, opened on first use.  `close` it."""

    def __init__(self) -> None:
        self._socket: Any = None

    @property
    def _route(self) -> Any:
        if self._socket is None:
            from pyroute2.iproute.linux import IPRoute

            # Strict: the kernel itself filters dumps by table and link, or a router
            # with a million routes would send them all.
            self._socket = IPRoute(strict_check=True)
        return self._socket

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _do(self, what: str, call: Callable[..., Any], *words: Any, **values: Any) -> list[Any]:
        try:
            return list(call(*words, **values))
        except (OSError, _netlink_error()) as error:
            raise _told(error, what) from error

    # Links

    def make_wireguard_link(self, name: str) -> bool:
        """True if made; False if the kernel has no WireGuard.  Raises AccessError."""
        try:
            self._do(f"link {name}", self._route.link, "add", ifname=name, kind="wireguard")
        except AccessError as error:
            if error.errno == errno.EOPNOTSUPP:
                return False
            raise
        return True

    def delete_link(self, name: str) -> None:
        rtnetlink.delete_link(self._index(name), name)

    def link_up(self, name: str, mtu: int) -> None:
        what = f"MTU {mtu} of {name}"
        self._do(what, self._route.link, "set", index=self._index(name), mtu=mtu, state="up")

    def mtu(self, index: int) -> int:
        links = self._do("link", self._route.link, "get", index=index)
        return int(links[0].get_attr("IFLA_MTU") or 0) if links else 0

    def _index(self, name: str) -> int:
        index = link_index(name)
        if not index:
            raise AccessError(f"link {name}: {os.strerror(errno.ENODEV)}", errno=errno.ENODEV)
        return index

    # Addresses

    def add_address(
        self, name: str, address: ipaddress.IPv4Interface | ipaddress.IPv6Interface
    ) -> None:
        self._do(
            f"address {address} on {name}",
            self._route.addr,
            "add",
            family=_FAMILIES[address.version],
            index=self._index(name),
            address=str(address.ip),
            prefixlen=address.network.prefixlen,
        )

    def addresses(self, name: str, besides: Collection[str] | None = None) -> list[str]:
        """`IP/LEN` for each address of the link now: IPv4 first, each in kernel order.

        With `besides`, those that the kernel made up for itself only if they are in it.
        """
        index = self._index(name)
        found = []
        for family in _FAMILIES.values():
            for entry in self._do("addresses", self._route.get_addr, family=family, index=index):
                local = entry.get_attr("IFA_LOCAL") or entry.get_attr("IFA_ADDRESS")
                address = f"{local}/{entry['prefixlen']}"
                if besides is None or address in besides or not _made_up(entry, local):
                    found.append(address)
        return found

    # Routes

    def add_routes(self, name: str, routes: Iterable[tuple[str, int]]) -> None:
        rtnetlink.add_routes(list(routes), self._index(name))

    def connected(self, name: str) -> list[str]:
        """Networks of the main table's routes on this link."""
        index = self._index(name)
        found = []
        for family, number in _FAMILIES.items():
            for entry in self._routes(number, table=rtnetlink.MAIN, oif=index):
                anywhere = "0.0.0.0" if family == 4 else "::"
                found.append(f"{entry.get_attr('RTA_DST') or anywhere}/{entry['dst_len']}")
        return found

    def table_in_use(self, table: int) -> bool:
        return any(self._routes(family, table=table) for family in _FAMILIES.values())

    def leads_through(self, table: int, name: str) -> bool:
        """Whether the table holds a route through this link."""
        index = link_index(name)
        families = _FAMILIES.values() if index else ()
        return any(self._routes(family, table=table, oif=index) for family in families)

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

    def path_mtu(self, address: str) -> int:
        """MTU on the way to an address: the route's own, else its device's; 0 if no way."""
        try:
            routes = self._do(f"route to {address}", self._route.route, "get", dst=address)
        except AccessError:
            return 0
        return self._route_mtu(routes[0]) if routes else 0

    def default_mtu(self) -> int:
        """The same of the first IPv4 default route of the main table."""
        for entry in self._routes(_socket.AF_INET, table=rtnetlink.MAIN):
            if entry["dst_len"] == 0:
                return self._route_mtu(entry)
        return 0

    def _route_mtu(self, entry: Any) -> int:
        metrics = entry.get_attr("RTA_METRICS")
        fixed = metrics.get_attr("RTAX_MTU") if metrics else None
        link = entry.get_attr("RTA_OIF")
        return int(fixed or (self.mtu(link) if link else 0))


def _made_up(entry: Any, address: str) -> bool:
    """Whether an address is a link-local one of the kernel's own making."""
    origin = entry.get_attr("IFA_PROTO")  # since Linux 5.18
    return address.startswith("fe80:") and origin in (None, _KERNEL_LINK_LOCAL)


def _netlink_error() -> type[Exception]:
    from pyroute2.netlink.exceptions import NetlinkError

    error: type[Exception] = NetlinkError
    return error
