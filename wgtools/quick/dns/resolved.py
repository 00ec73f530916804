# SPDX-License-Identifier: MIT
"""DNS through systemd-resolved, told by its own `resolvectl`.

Only where it runs, listens, and is whom programs ask: a host that merely has it
installed is served by one of the other ways.  What is set belongs to the link and
leaves with it.
"""

from __future__ import annotations

import _socket
import os

from wgtools.quick.apply import NOT_FOUND, CommandFailed, NotInForce, find_program, run
from wgtools.quick.interrupts import interrupts
from wgtools.quick.steps import resolvectl_calls

__all__ = ["add", "in_charge", "remove"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Sequence

_LISTENS = "/run/systemd/resolve/io.systemd.Resolve"  # its varlink socket, since v246
_BUS = "/run/dbus/system_bus_socket"
_FILE = "/etc/resolv.conf"
_ITS_FILES = ("/run/systemd/resolve/", "/usr/lib/systemd/resolv.conf", "/lib/systemd/resolv.conf")
_STUBS = (b"127.0.0.53", b"127.0.0.54")  # systemd-resolved(8)
_TRIES, _PAUSE = 20, 0.1  # it hears of a new link a moment after the kernel made it


def in_charge() -> bool:
    """Whether it runs and programs of this host ask it."""
    return bool(find_program("resolvectl")) and _is_asked() and _answers() and _has_bus()


def add(name: str, servers: Sequence[str], domains: Sequence[str]) -> None:
    """Raises CommandFailed; NotInForce when it was forced and is not there."""
    try:
        for number, call in enumerate(resolvectl_calls(name, servers, domains)):
            _tell(call, tries=1 if number else _TRIES)
    except CommandFailed as error:
        if error.exit_code == NOT_FOUND:
            text = "there is no `resolvectl': the name servers of the file are not in force"
            hint = "install systemd-resolved, or unset WG_QUICK_DNS"
            raise NotInForce(text, hint=hint, exit_code=NOT_FOUND) from error
        raise


def remove(name: str) -> None:
    try:
        _socket.if_nametoindex(name)
    except OSError:
        return  # gone, and its name servers with it
    _tell(("resolvectl", "revert", name), tries=1)


def _tell(call: Sequence[str], *, tries: int) -> None:
    program, *words = call
    argv: list[str | bytes] = [program, "--", *map(os.fsencode, words)]  # `-wg0` is a name too
    for left in range(tries - 1, -1, -1):
        try:
            run(argv, data=b"", quiet=bool(left))
        except CommandFailed as error:
            if not left or error.exit_code == NOT_FOUND:
                raise
            interrupts.sleep(_PAUSE)
        else:
            return


def _is_asked() -> bool:
    if os.path.realpath(_FILE).startswith(_ITS_FILES):
        return True
    asked = [line.split()[1:2] for line in _lines(_FILE) if line.split()[:1] == [b"nameserver"]]
    if asked and all(server and server[0] in _STUBS for server in asked):
        return True
    hosts = [line.split() for line in _lines("/etc/nsswitch.conf") if line.startswith(b"hosts:")]
    return bool(hosts and b"resolve" in hosts[0])


def _lines(path: str) -> list[bytes]:
    try:
        with open(path, "rb") as file:
            return file.read().splitlines()
    except OSError:
        return []


def _answers() -> bool:
    """Its socket's file outlives it: only a connection tells."""
    door = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        door.connect(_LISTENS)
    except OSError:
        return False
    finally:
        door.close()
    return True


def _has_bus() -> bool:
    return "DBUS_SYSTEM_BUS_ADDRESS" in os.environ or os.path.exists(_BUS)
