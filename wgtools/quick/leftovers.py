# SPDX-License-Identifier: MIT
"""What of a journal whose link is gone is still there to undo.

Looks only.  A journal outlives its interface also where another wg-quick, or `ip link
delete` on a tunnel without more, has left the host clean: then it is a record and no
more.  What cannot be told counts as there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wgtools.quick import dns, firewall, plan, rtnetlink
from wgtools.quick.apply import CommandFailed
from wgtools.quick.linux import Netlink
from wgtools.quick.steps import DeleteLink, DeleteRule, RemoveDNS, RemoveFirewall

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wgtools.quick.steps import Rule, Step

__all__ = ["remaining"]


def remaining(undos: Iterable[Step]) -> list[Step]:
    """Of an interface whose link is gone: the undos that would still change this host."""
    undos = list(undos)
    noted = [undo.rule for undo in undos if isinstance(undo, DeleteRule)]
    rules = plan.own_rules(noted, rtnetlink.rules()[0], _table_in_use) if noted else []
    return [undo for undo in undos if _is_left(undo, rules)]


def _table_in_use(table: int) -> bool:
    eyes = Netlink()
    try:
        return eyes.table_in_use(table)
    finally:
        eyes.close()


def _is_left(undo: Step, rules: list[Rule]) -> bool:
    if isinstance(undo, DeleteLink):
        return False
    if isinstance(undo, DeleteRule):
        return undo.rule in rules
    if isinstance(undo, RemoveFirewall):
        return _firewall_is_left(undo.name)
    if isinstance(undo, RemoveDNS):
        return dns.is_left(undo)
    return True


def _firewall_is_left(name: str) -> bool:
    try:
        return firewall.is_left(name)
    except CommandFailed:
        return True
