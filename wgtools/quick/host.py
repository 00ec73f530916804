# SPDX-License-Identifier: MIT
"""What each kind of step means on a Linux host: one method per kind.

Between the plans, which know nothing of the system, and the modules that each know
one part of it.  It decides nothing but what must be decided on the spot: kernel or
userspace, which addresses the firewall guards, what counts as a connected network.
"""

from __future__ import annotations

import errno
import os

from wgtools import ipc
from wgtools.errors import AccessError, WgError
from wgtools.model import DeviceChange
from wgtools.quick import dns, firewall, hooks, plan, rtnetlink, steps
from wgtools.quick.interrupts import interrupts
from wgtools.quick.linux import Netlink, link_index

__all__ = ["Host", "networks_of"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wgtools.model import Device
    from wgtools.quick.check import Interface
    from wgtools.quick.steps import Step

_SOURCE_VALID_MARK = "/proc/sys/net/ipv4/conf/all/src_valid_mark"
_WAYS: dict[type[Step], Callable[[Host, Any], None]] = {}


def _does(
    kind: type[Step],
) -> Callable[[Callable[[Host, Any], None]], Callable[[Host, Any], None]]:
    """Marks the method that does steps of a kind (functools' dispatch costs 4 ms to load)."""

    def keep(way: Callable[[Host, Any], None]) -> Callable[[Host, Any], None]:
        _WAYS[kind] = way
        return way

    return keep


class Host:
    """The machine as seen by one interface's plans."""

    def __init__(
        self,
        *,
        env: dict[str, str],
        echo: Callable[[str], None],
        say: Callable[[str], None],
        save: Callable[[], None],
        addresses: dict[str, Interface] | None = None,
        table: int = 0,
    ) -> None:
        self.netlink = Netlink()
        self._env = env
        self._echo = echo
        self._say = say
        self._save = save
        self._addresses = addresses or {}
        self._table = table

    def carry_out(self, step: Step) -> None:
        """Do one step.  Raises WgError."""
        _WAYS[type(step)](self, step)

    # Facts

    def choose_mtu(self, device: Device) -> int:
        endpoints = [peer.endpoint.host for peer in device.peers if peer.endpoint]
        plain = [host for host in endpoints if "%" not in host]
        return plan.choose_mtu(
            dict.fromkeys(plain), self.netlink.path_mtu, self.netlink.default_mtu
        )

    def running(self, device: Device, table: str, *, ipv6: bool = True) -> plan.Running:
        """The facts that `plan.routing` asks for; the dear ones only when they matter.

        Without `ipv6` as if no peer had networks of that family.
        """
        networks = tuple(n for n in networks_of(device) if ipv6 or ":" not in n)
        if table != "auto" or not networks:
            return plan.Running(networks=networks)
        connected = tuple(self.netlink.connected(device.name))
        if not any(network.endswith("/0") for network in networks):
            return plan.Running(networks=networks, connected=connected)
        ours, priorities = rtnetlink.rules()
        marks = {rule.mark for rule in ours}
        return plan.Running(
            mark=device.fwmark,
            spare_mark=plan.free_mark(lambda n: n in marks or self.netlink.table_in_use(n)),
            networks=networks,
            connected=connected,
            priorities={family: plan.next_priority(list_) for family, list_ in priorities.items()},
            source_valid_mark=_source_valid_mark(),
            firewall=firewall.tool(),
        )

    # Steps

    @_does(steps.MakeLink)
    def _make_link(self, step: steps.MakeLink) -> None:
        from wgtools.quick import engines  # `down` does without

        if engines.wants_kernel(os.environ):
            if self.netlink.make_wireguard_link(step.name):
                return
            if engines.kernel_only(os.environ):
                raise engines.no_kernel()
        engines.start_userspace(step.name, env=self._env, echo=self._echo, say=self._say)
        if not link_index(step.name):
            raise WgError(f"the userspace implementation ended without making `{step.name}'")

    @_does(steps.DeleteLink)
    def _delete_link(self, step: steps.DeleteLink) -> None:
        if link_index(step.name):
            self.netlink.delete_link(step.name)

    @_does(steps.RunHook)
    def _run_hook(self, step: steps.RunHook) -> None:
        hooks.run_hook(step.text, step.kind, self._env)

    @_does(steps.Configure)
    def _configure(self, step: steps.Configure) -> None:
        from wgtools.resolve import Resolver, resolve  # `down` does without

        resolve(step.change, Resolver(self._say, sleep=interrupts.sleep))
        try:
            ipc.set(step.name, step.change)
        except AccessError as error:
            from wgtools.quick import engines

            raise engines.refused(error, step.change) from error

    @_does(steps.AddAddress)
    def _add_address(self, step: steps.AddAddress) -> None:
        self.netlink.add_address(step.name, self._addresses[step.address])

    @_does(steps.LinkUp)
    def _link_up(self, step: steps.LinkUp) -> None:
        self.netlink.link_up(step.name, step.mtu)

    @_does(steps.SetDNS)
    def _set_dns(self, step: steps.SetDNS) -> None:
        dns.add(step)

    @_does(steps.RemoveDNS)
    def _remove_dns(self, step: steps.RemoveDNS) -> None:
        dns.remove(step)

    @_does(steps.AddRoutes)
    def _add_routes(self, step: steps.AddRoutes) -> None:
        pairs = [(route.network, self._table_of(route)) for route in step.routes]
        self.netlink.add_routes(step.name, pairs)

    def _table_of(self, route: steps.Route) -> int:
        if route.table is None:
            return rtnetlink.MAIN
        return self._table or int(route.table)

    @_does(steps.SetMark)
    def _set_mark(self, step: steps.SetMark) -> None:
        ipc.set(step.name, DeviceChange(fwmark=step.mark))

    @_does(steps.AddRule)
    def _add_rule(self, step: steps.AddRule) -> None:
        rtnetlink.add_rule(step.rule)

    @_does(steps.DeleteRule)
    def _delete_rule(self, step: steps.DeleteRule) -> None:
        try:
            rtnetlink.delete_rule(step.rule)
        except AccessError as error:
            if error.errno != errno.ENOENT:
                raise

    @_does(steps.SetSourceValidMark)
    def _set_source_valid_mark(self, _: steps.SetSourceValidMark) -> None:
        try:
            with open(_SOURCE_VALID_MARK, "w", encoding="ascii") as file:
                file.write("1\n")
        except OSError as error:
            raise WgError(
                f"cannot set net.ipv4.conf.all.src_valid_mark: {error.strerror}; "
                "where rp_filter is strict, answers from the tunnel will be dropped",
                hint="set it to 1 from outside, for a container with its --sysctl option",
            ) from error

    @_does(steps.AddFirewall)
    def _add_firewall(self, step: steps.AddFirewall) -> None:
        addresses = self.netlink.addresses(step.name)
        firewall.add(step.name, step.mark, step.families, addresses, step.tool)

    @_does(steps.RemoveFirewall)
    def _remove_firewall(self, step: steps.RemoveFirewall) -> None:
        firewall.remove(step.name, self._echo)

    @_does(steps.Save)
    def _write_back(self, _: steps.Save) -> None:
        self._save()


def networks_of(device: Device) -> tuple[str, ...]:
    """The allowed IPs of all peers."""
    return tuple(str(network) for peer in device.peers for network in peer.allowed_ips)


def _source_valid_mark() -> bool:
    try:
        with open(_SOURCE_VALID_MARK, encoding="ascii") as file:
            return file.read().strip() == "1"
    except OSError:
        return False
