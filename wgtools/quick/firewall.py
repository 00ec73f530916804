# SPDX-License-Identifier: MIT
"""The packet filter of a full tunnel: texts for nft and iptables-restore, and their use.

One table per family named `wg-quick-NAME` (WG_QUICK_COMPAT section 10): packets to
the tunnel's own addresses that did not come through it are dropped, and the mark of
the device's UDP packets comes back on the answers, for reverse-path filtering.
nftables where there is an `nft`, in one transaction; iptables only where there is none.
"""

from __future__ import annotations

from wgtools.quick.apply import NOT_FOUND, CommandFailed, NotInForce, find_program, run

__all__ = [
    "add",
    "iptables_text",
    "is_left",
    "mark_left_behind",
    "nft_text",
    "remove",
    "table_name",
    "tool",
]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_NFT_FAMILY = {4: "ip", 6: "ip6"}
_IPTABLES = {4: "iptables", 6: "ip6tables"}
_MISSING = (
    "there is no `{}': packets from outside to the tunnel's addresses are not dropped, and where "
    "rp_filter is strict, answers to the tunnel are"
)
_REMEDY = "install nftables"


def tool() -> str:
    """`nft`, `iptables`, or nothing."""
    if find_program("nft"):
        return "nft"
    return "iptables" if find_program("iptables-restore") else ""


def table_name(name: str) -> str:
    """The table of an interface.  `+` and `=`, which nft has no way to write, go as `/2b`
    and `/3d`: no interface name holds a slash, so no two names meet."""
    return "wg-quick-" + name.replace("+", "/2b").replace("=", "/3d")


def nft_text(name: str, mark: int, families: Iterable[int], addresses: list[str]) -> str:
    """One transaction that makes the tables anew."""
    blocks = []
    for family in families:
        kind = _NFT_FAMILY[family]
        guard = "".join(
            f'    iifname != "{name}" {kind} daddr {address} fib saddr type != local drop\n'
            for address in _of(family, addresses)
        )
        table = f"{kind} {table_name(name)}"
        # Adding first lets the deletion succeed; what a crash left is replaced, not doubled.
        blocks.append(
            f"add table {table}\n"
            f"delete table {table}\n"
            f"table {table} {{\n"
            f"  chain preraw {{\n"
            f"    type filter hook prerouting priority -300; policy accept;\n"
            f"{guard}"
            f"  }}\n"
            f"  chain premangle {{\n"
            f"    type filter hook prerouting priority -150; policy accept;\n"
            f"    meta l4proto udp meta mark set ct mark\n"
            f"  }}\n"
            f"  chain postmangle {{\n"
            f"    type filter hook postrouting priority -150; policy accept;\n"
            f"    meta l4proto udp meta mark {mark} ct mark set meta mark\n"
            f"  }}\n"
            f"}}\n"
        )
    return "".join(blocks)


def iptables_text(name: str, mark: int, family: int, addresses: list[str]) -> str:
    """The same for iptables-restore; a trailing `+` in a name is iptables' wildcard there."""
    comment = f'-m comment --comment "{_comment(name)}"'
    guard = "".join(
        f"-I PREROUTING ! -i {name} -d {address} -m addrtype ! --src-type LOCAL -j DROP {comment}\n"
        for address in _of(family, addresses)
    )
    return (
        f"*raw\n{guard}COMMIT\n*mangle\n"
        f"-I POSTROUTING -m mark --mark {mark} -p udp -j CONNMARK --save-mark {comment}\n"
        f"-I PREROUTING -p udp -j CONNMARK --restore-mark {comment}\nCOMMIT\n"
    )


def _comment(name: str) -> str:
    return f"wg-quick(8) rule for {name}"


def _of(family: int, addresses: list[str]) -> list[str]:
    return [a.partition("/")[0] for a in addresses if (":" in a) == (family == 6)]


def add(name: str, mark: int, families: Iterable[int], addresses: list[str], which: str) -> None:
    """Raises CommandFailed; NotInForce where a packet filter is missing."""
    if not which:
        raise NotInForce(_MISSING.format("nft"), hint=_REMEDY)
    if which == "nft":
        run(["nft", "-f", "-"], data=nft_text(name, mark, families, addresses).encode())
        return
    for family in families:
        program = f"{_IPTABLES[family]}-restore"
        try:
            run([program, "-n"], data=iptables_text(name, mark, family, addresses).encode())
        except CommandFailed as error:
            if error.exit_code == NOT_FOUND:
                raise NotInForce(_MISSING.format(program), hint=_REMEDY) from error
            raise


def remove(name: str, echo: Callable[[str], None]) -> None:
    """Remove what carries our name in either system, if anything; the first error is raised."""
    failed: CommandFailed | None = None
    if find_program("nft"):
        try:
            _remove_tables(name, echo)
        except CommandFailed as error:
            failed = error
    for program in _IPTABLES.values():
        if find_program(f"{program}-save"):
            try:
                _remove_rules(name, program, echo)
            except CommandFailed as error:
                failed = failed or error
    if failed:
        raise failed


def mark_left_behind(name: str) -> int:
    """The mark in a table of ours, whoever made it; 0 if there is none."""
    if not find_program("nft"):
        return 0
    for family in _NFT_FAMILY.values():
        argv = ["nft", "list", "table", family, table_name(name)]
        try:
            words = run(argv, capture=True, quiet=True).decode("utf-8", "replace").split()
        except CommandFailed:
            continue
        # `meta mark 0x0000ca6c ct mark set meta mark`; next to it `meta mark set ct mark`
        for i in range(len(words) - 3):
            is_rule = words[i : i + 2] == ["meta", "mark"] and words[i + 3] == "ct"
            if is_rule and words[i + 2].startswith("0x"):
                return int(words[i + 2], 16)
    return 0


def is_left(name: str) -> bool:
    """Whether `remove` would find anything.  Raises CommandFailed."""
    if find_program("nft") and _families_of_tables(name):
        return True
    programs = [program for program in _IPTABLES.values() if find_program(f"{program}-save")]
    return any(_deletions(name, program) for program in programs)


def _remove_tables(name: str, echo: Callable[[str], None]) -> None:
    families = _families_of_tables(name)
    if families:
        echo("nft -f /dev/fd/63")
        text = "".join(f"delete table {family} {table_name(name)}\n" for family in families)
        run(["nft", "-f", "-"], data=text.encode())


def _families_of_tables(name: str) -> list[str]:
    wanted = table_name(name)
    listed = run(["nft", "list", "tables"], capture=True).decode("utf-8", "replace")
    words = [line.split() for line in listed.splitlines()]
    return [w[1] for w in words if len(w) == 3 and w[0] == "table" and w[2] == wanted]


def _remove_rules(name: str, program: str, echo: Callable[[str], None]) -> None:
    lines = _deletions(name, program)
    if lines:
        echo(f"{program}-restore -n")
        run([f"{program}-restore", "-n"], data=("\n".join(lines) + "\n").encode())


def _deletions(name: str, program: str) -> list[str]:
    """What `restore` must be told; [] if no rule carries our name."""
    saved = run([f"{program}-save"], capture=True, quiet=True).decode("utf-8", "replace")
    mark = f'--comment "{_comment(name)}"'
    lines, found = [], False
    for line in saved.splitlines():
        if line.startswith("*") or line == "COMMIT":
            lines.append(line)
        elif line.startswith("-A ") and mark in line:
            lines.append("-D " + line[3:])
            found = True
    return lines if found else []
