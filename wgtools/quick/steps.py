# SPDX-License-Identifier: MIT
"""The steps that plans are made of: values that say what to do, and what undoes it.

A step does nothing itself; `quick/apply.py` hands it to whoever can carry it out.
`shown` are the lines echoed behind `[#] `: the ip(8), nft(8) … command that would do
the same (WG_QUICK_COMPAT section 13).  `undo` is a step again, or None when nothing
is left to undo once the link is gone.  No step ever shows a key.
"""

from __future__ import annotations

from wgtools.quick.value import Value

__all__ = [
    "AddAddress",
    "AddFirewall",
    "AddRoutes",
    "AddRule",
    "Configure",
    "DeleteLink",
    "DeleteRule",
    "LinkUp",
    "MakeLink",
    "RemoveDNS",
    "RemoveFirewall",
    "Route",
    "Rule",
    "RunHook",
    "Save",
    "SetDNS",
    "SetMark",
    "SetSourceValidMark",
    "Step",
    "resolvectl_calls",
]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wgtools.model import DeviceChange


class Step(Value):
    """One thing to do.  A failing `optional` step is a warning, not the end.

    An `atomic` step that fails has done nothing; of any other, half may be done.  What a
    `lasting` step undoes outlives a reboot.
    """

    @property
    def shown(self) -> tuple[str, ...]:
        return ()

    @property
    def undo(self) -> Step | None:
        return None

    @property
    def optional(self) -> bool:
        return False

    @property
    def atomic(self) -> bool:
        return False

    @property
    def lasting(self) -> bool:
        return False


class Rule(Value):
    """A policy rule of a full tunnel, exactly as the kernel keeps it.

    With a `mark`: `not fwmark MARK lookup MARK`.  Without: `lookup main
    suppress_prefixlength 0`.  Whatever has another selector is somebody else's.
    """

    family: int  # 4 or 6
    priority: int
    mark: int = 0

    @property
    def words(self) -> str:
        if self.mark:
            return f"not fwmark {self.mark} table {self.mark}"
        return "table main suppress_prefixlength 0"


class Route(Value):
    """A network through the tunnel; `table` as written, None for the main one."""

    network: str
    table: str | None = None

    @property
    def family(self) -> int:
        return 6 if ":" in self.network else 4


class MakeLink(Step):
    """The kernel is asked first, unless another engine was (quick/engines.py)."""

    name: str
    kernel: bool = True

    @property
    def shown(self) -> tuple[str, ...]:
        if not self.kernel:
            return ()
        return (f"ip link add dev {self.name} type wireguard",)

    @property
    def undo(self) -> Step | None:
        return DeleteLink(self.name)


class DeleteLink(Step):
    name: str

    @property
    def shown(self) -> tuple[str, ...]:
        return (f"ip link delete dev {self.name}",)


class RunHook(Step):
    """A user's own shell line, `%i` already replaced; `kind` is its key."""

    text: str
    kind: str = "a"

    @property
    def shown(self) -> tuple[str, ...]:
        return (self.text,)


class Configure(Step):
    """`wg addconf`, in this process."""

    name: str
    change: DeviceChange

    @property
    def shown(self) -> tuple[str, ...]:
        return (f"wg addconf {self.name} /dev/fd/63",)


class AddAddress(Step):
    name: str
    address: str

    @property
    def shown(self) -> tuple[str, ...]:
        family = 6 if ":" in self.address else 4
        return (f"ip -{family} address add {self.address} dev {self.name}",)


class LinkUp(Step):
    name: str
    mtu: int

    @property
    def shown(self) -> tuple[str, ...]:
        return (f"ip link set mtu {self.mtu} up dev {self.name}",)


class SetDNS(Step):
    """Servers and search domains for the resolver; `entry` is its name for us.

    `method` is one of quick/dns: `resolved`, `resolvconf` or `file`.
    """

    entry: str
    servers: tuple[str, ...]
    domains: tuple[str, ...]
    method: str = "resolvconf"

    @property
    def shown(self) -> tuple[str, ...]:
        if self.method == "resolved":
            calls = resolvectl_calls(self.entry, self.servers, self.domains)
            return tuple(" ".join(call) for call in calls)
        if self.method == "file":
            words = [f"nameserver {server}" for server in self.servers]
            words += [f"search {' '.join(self.domains)}"] if self.domains else []
            return (f"edit /etc/resolv.conf: {', '.join(words)}",)
        return (f"resolvconf -a {self.entry} -m 0 -x",)

    @property
    def undo(self) -> Step | None:
        return RemoveDNS(self.entry, self.method)

    @property
    def atomic(self) -> bool:
        return True


def resolvectl_calls(
    name: str, servers: Sequence[str], domains: Sequence[str]
) -> tuple[tuple[str, ...], ...]:
    """What systemd-resolved is told: a command per line.

    Without routing domains (`~corp.example`) every name goes to the tunnel's servers,
    as `resolvconf -x` has it; with them, only the names that they match.
    """
    split = any(domain.startswith("~") for domain in domains)
    everything = bool(servers) and not split
    words = (*domains, "~.") if everything else tuple(domains)
    calls: list[tuple[str, ...]] = [("resolvectl", "dns", name, *servers)] if servers else []
    if words:
        calls.append(("resolvectl", "domain", name, *words))
    if servers:
        calls.append(("resolvectl", "default-route", name, "true" if everything else "false"))
    return tuple(calls)


class RemoveDNS(Step):
    entry: str
    method: str = "resolvconf"

    @property
    def shown(self) -> tuple[str, ...]:
        if self.method == "resolved":
            return (f"resolvectl revert {self.entry}",)
        if self.method == "file":
            return ("restore /etc/resolv.conf",)
        return (f"resolvconf -d {self.entry} -f",)

    @property
    def optional(self) -> bool:
        return True


class AddRoutes(Step):
    """Many routes in one go; they leave with the link."""

    name: str
    routes: tuple[Route, ...]

    @property
    def shown(self) -> tuple[str, ...]:
        return tuple(
            f"ip -{route.family} route add {route.network} dev {self.name}"
            + (f" table {route.table}" if route.table else "")
            for route in self.routes
        )


class SetMark(Step):
    name: str
    mark: int

    @property
    def shown(self) -> tuple[str, ...]:
        return (f"wg set {self.name} fwmark {self.mark}",)


class AddRule(Step):
    rule: Rule

    @property
    def shown(self) -> tuple[str, ...]:
        return (f"ip -{self.rule.family} rule add {self.rule.words}",)

    @property
    def undo(self) -> Step | None:
        return DeleteRule(self.rule)

    @property
    def atomic(self) -> bool:
        return True


class DeleteRule(Step):
    """Removes this rule and no other: all its attributes must match."""

    rule: Rule

    @property
    def shown(self) -> tuple[str, ...]:
        return (f"ip -{self.rule.family} rule delete pref {self.rule.priority}",)


class SetSourceValidMark(Step):
    """Lets reverse-path filtering see marks.  Never set back, others may rely on it."""

    @property
    def shown(self) -> tuple[str, ...]:
        return ("sysctl -q net.ipv4.conf.all.src_valid_mark=1",)

    @property
    def optional(self) -> bool:
        return True  # read-only /proc/sys in containers: replies may be dropped, nothing leaks


class AddFirewall(Step):
    """The tables that guard a full tunnel's addresses and carry its mark."""

    name: str
    mark: int
    families: tuple[int, ...]
    tool: str  # "nft", "iptables", or "" where there is neither

    @property
    def shown(self) -> tuple[str, ...]:
        if not self.tool:
            return ()
        if self.tool == "nft":
            return ("nft -f /dev/fd/63",)
        names = {4: "iptables-restore -n", 6: "ip6tables-restore -n"}
        return tuple(names[family] for family in self.families)

    @property
    def undo(self) -> Step | None:
        return RemoveFirewall(self.name)


class RemoveFirewall(Step):
    """Whatever carries our name, in nftables and iptables; echoed only if there is any."""

    name: str

    @property
    def optional(self) -> bool:
        return True


class Save(Step):
    """Write the running state back to the file."""

    name: str

    @property
    def shown(self) -> tuple[str, ...]:
        return (f"wg showconf {self.name}",)
