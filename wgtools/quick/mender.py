# SPDX-License-Identifier: MIT
"""What the steps of `reload` mean on a Linux host: `up`'s host, and the changes it never makes.

Each looks first whether there is anything left to do: a run that was cut short is
completed by the next.
"""

from __future__ import annotations

import ipaddress
from contextlib import contextmanager
from functools import singledispatchmethod
from typing import TYPE_CHECKING

from wgtools import ipc
from wgtools.quick import firewall, hooks, live, rtnetlink, steps
from wgtools.quick.apply import run
from wgtools.quick.host import Host
from wgtools.quick.linux import Netlink, link_index
from wgtools.quick.mends import (
    AddressOff,
    Amend,
    Begin,
    DropGuard,
    Mend,
    Rebuild,
    Routes,
    RoutesOff,
    RoutesOn,
    SetMTU,
)
from wgtools.quick.steps import Step

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from wgtools.quick.live import Subject
    from wgtools.quick.updown import Talk

__all__ = ["MendingHost"]

_ANY_SCOPE = 255  # RT_SCOPE_NOWHERE: what ip(8) sends to delete a route of whatever scope


class _Hands(Netlink):
    """The changes that `up` never makes."""

    def delete_address(self, name: str, text: str) -> None:
        address = ipaddress.ip_interface(text)
        before = self.addresses(name)
        # With the first IPv4 address of a network the kernel takes the others of it, and
        # with the last of all every route; unless told to let the next one take its place.
        with _promoting(name):
            self._do(
                f"address {text} on {name}",
                self._route.addr,
                "del",
                index=self._index(name),
                address=str(address.ip),
                prefixlen=address.network.prefixlen,
            )
        after = self.addresses(name)
        for lost in before:
            if lost not in after and ipaddress.ip_interface(lost) != address:
                self.add_address(name, ipaddress.ip_interface(lost))

    def set_mtu(self, name: str, mtu: int) -> None:
        self._do(f"MTU {mtu}", self._route.link, "set", index=self._index(name), mtu=mtu)

    def delete_routes(self, name: str, routes: Routes) -> None:
        for network, table in routes:
            words: dict[str, Any] = {"dst": network, "oif": self._index(name), "table": table}
            if ":" not in network:
                words["scope"] = _ANY_SCOPE
            self._do(f"route to {network}", self._route.route, "del", **words)


@contextmanager
def _promoting(name: str) -> Iterator[None]:
    """Inside, other addresses of a network outlive its first (ip-sysctl: promote_secondaries)."""
    path = f"/proc/sys/net/ipv4/conf/{name}/promote_secondaries"
    try:
        with open(path, encoding="ascii") as file:
            before = file.read()
        with open(path, "w", encoding="ascii") as file:
            file.write("1\n")
    except OSError:  # read-only in containers: what is lost is added again
        yield
        return
    try:
        yield
    finally:
        with open(path, "w", encoding="ascii") as file:
            file.write(before)


class MendingHost(Host):
    """The host of `up`, with the steps above."""

    def __init__(self, about: Subject, talk: Talk) -> None:
        super().__init__(
            env=hooks.environment(about.config, about.name, about.target.path),
            echo=talk.echo,
            say=talk.say,
            save=lambda: None,
            addresses=about.checked.addresses,
            table=about.checked.table_number,
        )
        self.netlink: _Hands = _Hands()

    @singledispatchmethod
    def mend(self, step: Step) -> None:
        """Do one step, of either kind.  Raises WgError."""
        self.carry_out(step)

    @mend.register
    def _mend(self, step: Mend) -> None:
        self.mend(step.do)

    @mend.register
    def _begin(self, step: Begin) -> None:
        pass

    @mend.register
    def _amend(self, step: Amend) -> None:
        ipc.set(step.name, step.change)

    @mend.register
    def _address_on(self, step: steps.AddAddress) -> None:
        address = ipaddress.ip_interface(step.address)
        if str(address) not in map(_plain, self.netlink.addresses(step.name)):
            self.netlink.add_address(step.name, address)

    @mend.register
    def _address_off(self, step: AddressOff) -> None:
        if step.address in map(_plain, self.netlink.addresses(step.name)):
            self.netlink.delete_address(step.name, step.address)

    @mend.register
    def _drop_guard(self, step: DropGuard) -> None:
        kind = "ip" if step.family == 4 else "ip6"
        run(["nft", "delete", "table", kind, firewall.table_name(step.name)])

    @mend.register
    def _set_mtu(self, step: SetMTU) -> None:
        self.netlink.set_mtu(step.name, step.mtu)

    @mend.register
    def _routes_on(self, step: RoutesOn) -> None:
        there = _routes(step.name)
        missing = [route for route in step.routes if route not in there]
        if missing:
            rtnetlink.add_routes(missing, link_index(step.name))

    @mend.register
    def _routes_off(self, step: RoutesOff) -> None:
        there = _routes(step.name)
        self.netlink.delete_routes(step.name, tuple(r for r in step.routes if r in there))

    @mend.register
    def _rebuild(self, step: Rebuild) -> None:
        self._routes_on(RoutesOn(step.name, step.routes))
        if step.firewall is not None:
            self.carry_out(step.firewall)


def _plain(text: str) -> str:
    return str(ipaddress.ip_interface(text))


def _routes(name: str) -> frozenset[tuple[str, int]]:
    eyes = live.Eyes()
    try:
        return eyes.routes_of_up(name)
    finally:
        eyes.close()
