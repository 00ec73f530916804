# SPDX-License-Identifier: MIT
"""What ifconfig(8), netstat(1) and route(8) of the BSDs and macOS print, as values.

Text in, values out; no program is run here.  The rule: columns are found by their
headings, since each system has others, and a line that makes no sense is a WgError that
names the program, never a value that was guessed.
"""

from __future__ import annotations

from wgtools.errors import WgError
from wgtools.inet import ntop, pton
from wgtools.quick.systems.facts import Address, Interface, Path
from wgtools.quick.value import Value

__all__ = ["Route", "interfaces", "mask_length", "network_of", "path", "routes"]

_UP = 0x1  # net/if.h: IFF_UP
_INTERFACE_HEADINGS = ("Netif", "Iface", "Interface")  # FreeBSD and macOS, OpenBSD, NetBSD
_ALL = {4: "0.0.0.0/0", 6: "::/0"}
_SIZES = {4: 4, 6: 16}


class Route(Value):
    """One line of `netstat -nr`, as it stands there."""

    destination: str
    gateway: str
    flags: str
    interface: str


def _strange(program: str, line: str) -> WgError:
    return WgError(f"Cannot understand what {program} printed: {line.strip()!r}")


# ------------------------------------------------------------------ ifconfig


def interfaces(text: str) -> list[tuple[Interface, tuple[Address, ...]]]:
    """`ifconfig -a` or `ifconfig NAME`: each interface with its addresses, IPv4 first."""
    found: list[tuple[Interface, tuple[Address, ...]]] = []
    block: list[str] = []
    for line in [*text.splitlines(), "end:"]:
        if line[:1].isspace() or not line:
            block.append(line)
            continue
        if block:
            found.append(_interface(block))
        block = [line]
    return found


def _interface(block: list[str]) -> tuple[Interface, tuple[Address, ...]]:
    name, colon, rest = block[0].partition(": flags=")
    words = rest.replace("<", " ", 1).split()
    if not colon or not words:
        raise _strange("ifconfig", block[0])
    try:
        up = bool(int(words[0], 16) & _UP)
        mtu = int(_after("mtu", words) or 0)
    except ValueError as e:
        raise _strange("ifconfig", block[0]) from e
    description = ""
    four: list[Address] = []
    six: list[Address] = []
    for line in block[1:]:
        kind, _, value = line.strip().partition(" ")
        if kind == "description:":
            description = value
        elif kind in ("inet", "inet6"):
            (four if kind == "inet" else six).append(_address(line))
    return Interface(name, mtu, up, description), (*four, *six)


def _after(word: str, words: list[str]) -> str:
    """The word that follows `word`; empty if there is none."""
    at = words.index(word) + 1 if word in words else len(words)
    return words[at] if at < len(words) else ""


def _address(line: str) -> Address:
    """`inet 10.0.0.1 netmask 0xffffff00 ...`, `inet6 fe80::1%lo0 prefixlen 64 ...`"""
    _, *words = line.split()
    host, _, length = words[0].partition("/") if words else ("", "", "")
    host = host.partition("%")[0]
    packed = pton(host)
    if packed is None:
        raise _strange("ifconfig", line)
    try:
        if not length and len(packed) == 4:
            mask = _after("netmask", words) or "0xffffffff"
            length = str(mask_length(ntop(int(mask, 16).to_bytes(4, "big"))))
        return Address(ntop(packed), int(length or _after("prefixlen", words) or 128))
    except (ValueError, OverflowError) as e:
        raise _strange("ifconfig", line) from e


def mask_length(mask: str) -> int:
    """24 for `255.255.255.0`, 64 for `ffff:ffff:ffff:ffff::` or the same with `/64` behind.

    Raises ValueError.
    """
    packed = pton(mask.partition("/")[0])
    if packed is None:
        raise ValueError(f"not a netmask: {mask}")
    bits = int.from_bytes(packed, "big")
    length = bits.bit_count()
    whole = 8 * len(packed)
    if bits != (1 << whole) - (1 << (whole - length)):
        raise ValueError(f"a netmask with gaps: {mask}")
    return length


# ------------------------------------------------------------------ netstat -nr


def routes(text: str) -> list[Route]:
    """`netstat -nr -f inet` or `-f inet6`, in its order."""
    found: list[Route] = []
    columns: list[int] = []
    for line in text.splitlines():
        words = line.split()
        if not words or words[0] == "Routing" or (len(words) == 1 and line.endswith(":")):
            continue
        if words[0] == "Destination":
            columns = _columns(words, line)
        elif not columns or len(words) <= max(columns):
            raise _strange("netstat", line)
        else:
            found.append(Route(words[0], *(words[column] for column in columns)))
    return found


def _columns(headings: list[str], line: str) -> list[int]:
    """Where gateway, flags and interface stand."""
    of_interface = [name for name in _INTERFACE_HEADINGS if name in headings]
    if not of_interface or not {"Gateway", "Flags"} <= set(headings):
        raise _strange("netstat", line)
    return [headings.index(name) for name in ("Gateway", "Flags", of_interface[0])]


def network_of(destination: str, family: int) -> str:
    """The network that netstat calls `default`, `10.0.0/24`, `127` or `fe80::%em0/64`.

    Canonical, without a zone.  A bare address is one host; of fewer than four numbers it
    is a network of as many bytes, as macOS shortens those of a class.  Raises WgError.
    """
    if destination == "default":
        return _ALL[family]
    host, _, given = destination.partition("/")
    host = host.partition("%")[0]
    size = _SIZES[family]
    shown = size
    if family == 4:
        shown = host.count(".") + 1
        host += ".0" * (4 - shown)
    packed = pton(host)
    try:
        length = int(given) if given else 8 * shown
    except ValueError as e:
        raise _strange("netstat", destination) from e
    if packed is None or len(packed) != size or not 0 <= length <= 8 * size:
        raise _strange("netstat", destination)
    spare = 8 * size - length
    bits = int.from_bytes(packed, "big") >> spare << spare
    return f"{ntop(bits.to_bytes(size, 'big'))}/{length}"


# ------------------------------------------------------------------ route -n get


def path(text: str) -> Path:
    """`route -n get ADDRESS`.  The gateway is that of a route that has one."""
    fields: dict[str, str] = {}
    mtu = 0
    headings: list[str] = []
    for line in text.splitlines():
        name, colon, value = line.partition(": ")
        if headings:
            mtu = _mtu(headings, line)
            break
        if colon:
            fields.setdefault(name.strip(), value.strip())
        elif "mtu" in line.split():
            headings = line.split()
    interface = fields.get("interface", "")
    if not interface or " " in interface:
        raise _strange("route", text.strip().partition("\n")[0])
    gateway = fields.get("gateway", "")
    if "GATEWAY" not in fields.get("flags", "") or pton(gateway.partition("%")[0]) is None:
        gateway = ""
    return Path(interface, gateway, mtu)


def _mtu(headings: list[str], line: str) -> int:
    """The number under `mtu`."""
    try:
        return int(line.split()[headings.index("mtu")])
    except (ValueError, IndexError) as e:
        raise _strange("route", line) from e
