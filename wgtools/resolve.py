# SPDX-License-Identifier: MIT
"""Names of hosts and services become addresses, through libc and with patience.

The Resolver that `wgtools.conf` asks when it meets a name (WG_COMPAT 4.3, 4.7), and
`lookup` for a single try.  Numbers never get as far as libc.  `_socket` rather than
`socket`: the latter would cost every command 9 ms (docs/decisions/0001).
"""

from __future__ import annotations

import _socket
import os
from time import sleep as _sleep

from wgtools.errors import ConfigError, UsageError, WgError
from wgtools.inet import PORT_MAX, port_number
from wgtools.model import Endpoint, HostPort

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable

    from wgtools.model import DeviceChange

__all__ = ["LookupFailed", "Resolver", "found", "lookup", "resolve"]

RETRIES = 15  # when WG_ENDPOINT_RESOLUTION_RETRIES is unset
_VARIABLE = b"WG_ENDPOINT_RESOLUTION_RETRIES"
_FIRST_WAIT = 1_000_000  # microseconds, then times 6/5 each
_LONGEST_WAIT = 20_000_000
_INT_MAX = 2**31 - 1
_ULONG = 2**64
# Others (EAI_AGAIN, EAI_SYSTEM, EAI_SERVICE ...) may pass with time.
_FINAL = {
    getattr(_socket, name)
    for name in ("EAI_NONAME", "EAI_FAIL", "EAI_NODATA")
    if hasattr(_socket, name)
}
_MISSPELT = "no name server knows that name: is it spelled right?"
_NO_SERVERS = "no name server answered: is this machine online, and /etc/resolv.conf right?"
_NO_PORT = "behind the colon stands a number from 1 to 65535, as in vpn.example.org:51820"
_BAD_SERVICE = "Servname not supported for ai_socktype"


class LookupFailed(WgError):
    """Asking libc once gave nothing; `final` if asking again would not either."""

    def __init__(self, message: str, *, final: bool, hint: str = "") -> None:
        super().__init__(message, hint=hint or (_MISSPELT if final else _NO_SERVERS))
        self.final = final


def lookup(wanted: HostPort) -> Endpoint:
    """The first address of a host and service.  Raises LookupFailed."""
    known = wanted.numeric()
    if known is not None:
        return known
    number = port_number(wanted.port)
    if number is not None and not 0 <= number <= PORT_MAX:
        # glibc would take it modulo 65536.
        raise LookupFailed(_BAD_SERVICE, final=True, hint=_NO_PORT)
    # Bytes, or CPython would put the host through IDNA.
    return _ask(wanted.host, wanted.port, 0)


def found(wanted: HostPort) -> Endpoint | None:
    """The same, or None where it raises: what a daemon says may be a name."""
    try:
        return lookup(wanted)
    except LookupFailed:
        return None


def _ask(host: bytes | None, port: bytes, flags: int) -> Endpoint:
    try:
        found = _socket.getaddrinfo(
            host, port, _socket.AF_UNSPEC, _socket.SOCK_DGRAM, _socket.IPPROTO_UDP, flags
        )
        # The text in `found` has lost its zone; getnameinfo puts it back.
        name, service = _socket.getnameinfo(
            found[0][4], _socket.NI_NUMERICHOST | _socket.NI_NUMERICSERV | _socket.NI_DGRAM
        )
    except _socket.gaierror as error:
        code, text = error.args
        hint = _NO_PORT if code == _socket.EAI_SERVICE else ""
        raise LookupFailed(text, final=code in _FINAL, hint=hint) from error
    except OSError as error:  # EAI_SYSTEM
        raise LookupFailed(os.strerror(error.errno or 0), final=False) from error
    return Endpoint(name, int(service))


class Resolver:
    """Looks names up, waiting and trying again while the network may not be there yet.

    `say` gets the line about each new try.  The number of tries is read from the
    environment for every endpoint, as C `wg` does.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        *,
        environ: Callable[[bytes], bytes | None] | None = None,
        sleep: Callable[[float], None] = _sleep,
        ask: Callable[[HostPort], Endpoint] = lookup,
    ) -> None:
        self._say = say
        self._environ = environ or _variable
        self._sleep = sleep
        self._ask = ask
        self._retries: float = RETRIES

    def begin(self) -> None:
        """Read how often to try.  Raises UsageError if that is not a number."""
        self._retries = _retries(self._environ(_VARIABLE))

    def endpoint(self, wanted: HostPort) -> Endpoint:
        """The address of `wanted`.  Raises ConfigError when there is none in the end."""
        retries = self._retries
        wait = _FIRST_WAIT
        shown = wanted.text.decode("utf-8", "surrogateescape")
        while True:
            try:
                return self._ask(wanted)
            except LookupFailed as error:
                if error.final or retries <= 0:
                    text = f"{error.message}: `{shown}'"
                    raise ConfigError(text, hint=error.hint) from error
                seconds = wait / 1_000_000
                self._say(f"{error.message}: `{shown}'. Trying again in {seconds:.2f} seconds...")
            self._sleep(seconds)
            retries -= 1
            wait = min(wait * 6 // 5, _LONGEST_WAIT)

    def port(self, name: bytes) -> int:
        """The port of a UDP service.  Raises ConfigError."""
        try:
            return _ask(None, name, _socket.AI_PASSIVE).port
        except LookupFailed as error:
            shown = name.decode("utf-8", "surrogateescape")
            raise ConfigError(f"{error.message}: `{shown}'") from error


def _variable(name: bytes) -> bytes | None:
    if os.supports_bytes_environ:
        return os.environb.get(name)
    value = os.environ.get(name.decode("ascii"))  # Windows
    return None if value is None else os.fsencode(value)


def resolve(change: DeviceChange, resolver: Resolver) -> None:
    """Replace every HostPort in `change` by its address, in place."""
    for peer in change.peers:
        if isinstance(peer.endpoint, HostPort):
            resolver.begin()
            peer.endpoint = resolver.endpoint(peer.endpoint)


def _retries(value: bytes | None) -> float:
    """The variable as strtoul(3) reads it, wrap-around included."""
    if value is None:
        return RETRIES
    if value == b"infinity":
        return float("inf")
    number = _strtoul(value)
    if number is None or number > _INT_MAX:
        shown = value.decode("utf-8", "surrogateescape")
        raise UsageError(f"Unable to parse WG_ENDPOINT_RESOLUTION_RETRIES: `{shown}'")
    return number


def _strtoul(text: bytes) -> int | None:
    if not text:
        return 0
    digits = text.lstrip(b" \t\n\v\f\r")
    negative = digits[:1] == b"-"
    if digits[:1] in (b"+", b"-"):
        digits = digits[1:]
    if not digits.isdigit():
        return None
    number = int(digits.lstrip(b"0")[:21] or b"0")
    if number >= _ULONG:
        return _ULONG - 1
    return -number % _ULONG if negative else number
