# SPDX-License-Identifier: MIT
"""What `up` would do, step by step, told without doing any of it.

The plans are `up`'s own (quick/plan.py); the facts that it reads between two of them
are predicted from the file.  What a PreUp hook changes cannot be.  No lock is taken and
no journal written: not a byte of the host changes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wgtools.errors import WgError
from wgtools.quick import drift, engines, firewall, ipv6, live, plan, rtnetlink
from wgtools.quick.journal import Journal
from wgtools.quick.linux import link_index
from wgtools.quick.steps import DeleteLink, DeleteRule, MakeLink

if TYPE_CHECKING:
    from wgtools.quick.live import Eyes, Subject
    from wgtools.quick.steps import Step

__all__ = ["Forecast", "forecast"]

_MODULES = "/lib/modules/{}/{}"


@dataclass(frozen=True, slots=True)
class Forecast:
    """The lines that `up` would echo behind `[#] `, in order, and what it would warn of."""

    commands: tuple[str, ...]
    remarks: tuple[WgError, ...]


def forecast(about: Subject) -> Forecast:
    """Raises WgError for what would end `up` before its first step."""
    name = about.name
    if link_index(name):
        raise WgError(f"`{name}' already exists, and is not a WireGuard interface")
    engines.require(os.environ)
    remarks = [*about.remarks]
    if any(not isinstance(undo, DeleteLink) for undo in Journal(name).undos):
        text = "an earlier run was cut short: `up' would clean up after it first"
        remarks.append(WgError(text, hint=f"wg-quick down {name} does so now"))
    if about.config.hooks["preup"]:
        remarks.append(WgError("what PreUp hooks change is not foreseen"))
    eyes = live.Eyes()
    try:
        steps = _steps(about, eyes, remarks)
    finally:
        eyes.close()
    lines = [line for step in steps for line in _shown(step, name)]
    return Forecast(tuple(lines), tuple(remarks))


def _steps(about: Subject, eyes: Eyes, remarks: list[WgError]) -> list[Step]:
    name, checked, config = about.name, about.checked, about.config
    known, unknown = live.endpoints(about)
    remarks += [
        WgError(each.message.removesuffix(live.LEFT_OUT), hint=each.hint) for each in unknown
    ]
    hosts = {found[0].host: True for found in known.values() if found and "%" not in found[0].host}
    mtu = checked.mtu or plan.choose_mtu(hosts, eyes.path_mtu, eyes.default_mtu)
    networks = tuple(drift.owners(checked.change.peers))
    why = ipv6.obstacle(name, mtu)
    lost = ipv6.judge(name, why, checked.addresses, () if checked.table == "off" else networks)
    remarks += [lost] if lost is not None else []
    has_ipv6 = not why[0]
    running = _running(about, eyes, has_ipv6=has_ipv6)
    return [
        *plan.birth(config, name, checked.change, kernel=engines.wants_kernel(os.environ)),
        *plan.addressing(config, name, mtu=mtu, dns=about.dns, ipv6=has_ipv6),
        *plan.routing(checked.table, name, running),
        *plan.hooks(config, "postup", name),
    ]


def _running(about: Subject, eyes: Eyes, *, has_ipv6: bool) -> plan.Running:
    checked = about.checked
    addresses = [a for a in checked.addresses.values() if a.version == 4 or has_ipv6]
    owned = drift.owners(checked.change.peers)
    rules, priorities = rtnetlink.rules()
    # What an earlier run left is gone by then.
    left = [u.rule for u in Journal(about.name).undos if isinstance(u, DeleteRule)]
    taken = {rule.mark for rule in rules if rule not in left}
    for rule in left:
        if rule in rules and rule.priority in priorities[rule.family]:
            priorities[rule.family].remove(rule.priority)
    return plan.Running(
        mark=checked.change.fwmark or 0,
        networks=tuple(n for n in owned if ":" not in n or has_ipv6),
        connected=drift.connected_by(addresses),
        spare_mark=plan.free_mark(lambda n: n in taken or eyes.table_in_use(n)),
        priorities={family: plan.next_priority(list_) for family, list_ in priorities.items()},
        source_valid_mark=live.source_valid_mark(),
        firewall=firewall.tool(),
    )


def _shown(step: Step, name: str) -> tuple[str, ...]:
    """The step's lines, and what follows when the kernel will not make the link."""
    if not isinstance(step, MakeLink):
        return step.shown
    if step.kernel and kernel_has_wireguard():
        return step.shown
    if engines.kernel_only(os.environ):
        raise engines.no_kernel()
    _, program = engines.userspace_command(os.environ)
    return (*step.shown, f"{program} {name}")


def kernel_has_wireguard() -> bool:
    """Whether the kernel would make a WireGuard link: loaded, built in, or a module away."""
    if os.path.isdir("/sys/module/wireguard"):
        return True
    release = os.uname().release
    for index in ("modules.builtin", "modules.dep"):
        try:
            with open(_MODULES.format(release, index), encoding="utf-8", errors="replace") as file:
                if any("/wireguard.ko" in line.partition(":")[0] for line in file):
                    return True
        except OSError:
            continue
    return False
