# SPDX-License-Identifier: MIT
"""The facts of quick/systems/facts.py, asked of a real FreeBSD, OpenBSD or macOS.

Names, addresses and default gateways come from netifaces, the rest from ifconfig(8),
netstat(1), route(8) and sysctl(8), whose words `bsdtext.py` reads.  The rule: whatever
fails, a missing program as well as words that make no sense, is one empty answer; but
for `fib`, where empty is an answer too, and the wrong one.
"""

from __future__ import annotations

import os

from wgtools.errors import WgError
from wgtools.inet import ntop, pton
from wgtools.quick.systems import bsdtext
from wgtools.quick.systems.facts import Address, Gateway, Interface, Jail, Path

__all__ = ["SystemFacts", "facts"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wgtools.quick.systems.facts import HostFacts

    Run = Callable[[list[str]], str | None]

_PATH = "/sbin:/usr/sbin:/bin:/usr/bin:/usr/local/bin"
_FAMILIES = {4: "inet", 6: "inet6"}
_OWN_TABLE = {"freebsd": ["sysctl", "-n", "net.my_fibnum"], "openbsd": ["id", "-R"]}
_OPENBSD_TABLES = 256  # rdomain(4): RT_TABLEID_MAX + 1

# net/route.h: flags of netstat whose routes lead to one neighbour or to ourselves, or (`I`,
# on macOS) count only for sockets bound to an interface.  A letter may mean something else
# on another system.
_NO_NETWORK = {"freebsd": "Lb", "openbsd": "Lblc", "darwin": "LWbI"}
_SCOPED = {"darwin": "I"}

# Multicast, broadcast and link-local, by the first bytes of an address.
_LOCAL_ONLY = (b"\xa9\xfe", b"\xff\xff\xff\xff")


def facts(platform: str) -> HostFacts:
    """For a `sys.platform` such as `freebsd14`."""
    return SystemFacts(platform)


def _run(words: list[str]) -> str | None:
    """What a program prints; None if it is not there or fails."""
    from wgtools.quick.apply import run
    from wgtools.quick.interrupts import Interrupted

    env = {"PATH": _PATH, "LC_ALL": "C"}  # no IFCONFIG_FORMAT, which changes netmasks
    try:
        return os.fsdecode(run(list(words), env=env, capture=True, quiet=True))
    except Interrupted:
        raise  # it comes once only: whoever asks is to stop
    except (WgError, OSError):
        return None


def _netifaces() -> Any:
    """The module, or None: all it knows can be had from the programs, if less directly."""
    try:
        import netifaces
    except ImportError:
        return None
    return netifaces


class SystemFacts:
    """Asks anew each time.  `run` and `netifaces` may be other ones, for a test."""

    def __init__(
        self, platform: str, *, run: Run = _run, netifaces: Callable[[], Any] = _netifaces
    ) -> None:
        self._system = platform.rstrip("0123456789.")
        self._run = run
        self._netifaces = netifaces

    # -------------------------------------------------------------- interfaces

    def interfaces(self) -> tuple[Interface, ...]:
        known = {interface.name: interface for interface, _ in self._ifconfig("-a")}
        module = self._netifaces()
        names = module.interfaces() if module is not None else known
        return tuple(known.get(name) or Interface(name) for name in names)

    def interface(self, name: str) -> Interface | None:
        return next((each for each, _ in self._ifconfig(name) if each.name == name), None)

    def addresses(self, interface: str) -> tuple[Address, ...]:
        module = self._netifaces()
        if module is not None:
            try:
                return _addresses(module, module.ifaddresses(interface))
            except (ValueError, OSError):  # no such interface; or a netmask with gaps
                pass
        found = self._ifconfig(interface)
        return next((addresses for each, addresses in found if each.name == interface), ())

    def _ifconfig(self, which: str) -> list[tuple[Interface, tuple[Address, ...]]]:
        text = self._run(["ifconfig", which])
        try:
            return bsdtext.interfaces(text or "")
        except WgError:
            return []

    # -------------------------------------------------------------- routes

    def default_gateway(self, family: int) -> Gateway | None:
        """See HostFacts.  netstat where netifaces does not say it: a route without a gateway,
        or a link-local one, whose zone it may not know."""
        module = self._netifaces()
        if module is not None:
            kind = module.AF_INET if family == 4 else module.AF_INET6
            address, interface = module.gateways().get("default", {}).get(kind, ("", ""))[:2]
            packed = pton(address)
            if packed is not None and not _is_local_only(packed):
                return Gateway(interface, address)
        for route in self._routes(family):
            if route.destination == "default" and not _any(self._system, _SCOPED, route.flags):
                gateway = route.gateway if pton(route.gateway.partition("%")[0]) else ""
                return Gateway(route.interface, gateway)
        return None

    def route_to(self, address: str) -> Path | None:
        family = "-inet6" if ":" in address else "-inet"
        text = self._run(["route", "-n", "get", family, address])
        try:
            return bsdtext.path(text) if text else None
        except WgError:
            return None

    def networks(self, interface: str) -> tuple[str, ...]:
        own = {each.address for each in self.addresses(interface)}
        found: dict[str, None] = {}
        for family in _FAMILIES:
            for route in self._routes(family):
                if route.interface != interface:
                    continue
                if _any(self._system, _NO_NETWORK, route.flags):
                    continue
                network = bsdtext.network_of(route.destination, family)
                host, _, length = network.partition("/")
                packed = pton(host) or b""
                if host in own and int(length) == 8 * len(packed):
                    continue
                if not _is_local_only(packed):
                    found[network] = None
        return tuple(found)

    def _routes(self, family: int) -> list[bsdtext.Route]:
        wide = ["-W"] if self._system in ("freebsd", "darwin") else []  # cut no address short
        text = self._run(["netstat", "-nr", *wide, "-f", _FAMILIES[family]])
        try:
            found = bsdtext.routes(text or "")
            for route in found:
                bsdtext.network_of(route.destination, family)
        except WgError:
            return []
        return found

    # -------------------------------------------------------------- the process

    def fib(self) -> int:
        words = _OWN_TABLE.get(self._system)
        if words is None:
            return 0
        text = (self._run(words) or "").strip()
        if not (text.isascii() and text.isdigit()):
            said = " ".join(words)
            raise WgError("cannot tell which routing table we are in", hint=f"`{said}' fails")
        return int(text)

    def fibs(self) -> int:
        if self._system == "freebsd":
            return max(1, self._number(["sysctl", "-n", "net.fibs"]))
        return _OPENBSD_TABLES if self._system == "openbsd" else 1

    def jail(self) -> Jail | None:
        if self._system != "freebsd":
            return None
        if self._number(["sysctl", "-n", "security.jail.jailed"]) != 1:
            return None
        jid = self._number(["ps", "-o", "jid=", "-p", str(os.getpid())])
        return Jail(jid, vnet=self._number(["sysctl", "-n", "security.jail.vnet"]) == 1)

    def running(self, program: str) -> bool:
        return self._run(["pgrep", "-qx", program]) is not None

    def _number(self, words: list[str]) -> int:
        """What a program prints, if that is a number, else 0."""
        text = (self._run(words) or "").strip()
        return int(text) if text.isascii() and text.isdigit() else 0


def _any(system: str, table: dict[str, str], flags: str) -> bool:
    return any(flag in table.get(system, "") for flag in flags)


def _is_local_only(packed: bytes) -> bool:
    """Multicast, broadcast or link-local."""
    if len(packed) == 4:
        return packed[0] & 0xF0 == 0xE0 or packed.startswith(_LOCAL_ONLY)
    return packed[0] == 0xFF or (packed[0] == 0xFE and packed[1] & 0xC0 == 0x80)


def _addresses(module: Any, of: dict[int, list[dict[str, str]]]) -> tuple[Address, ...]:
    """What netifaces says of one interface.  Raises ValueError."""
    found: list[Address] = []
    for kind, size in ((module.AF_INET, 32), (module.AF_INET6, 128)):
        for entry in of.get(kind, []):
            packed = pton(entry.get("addr", "").partition("%")[0])
            if packed is None:
                continue
            mask = entry.get("netmask", "")
            found.append(Address(ntop(packed), bsdtext.mask_length(mask) if mask else size))
    return tuple(found)
