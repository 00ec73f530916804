# SPDX-License-Identifier: MIT
"""The grammars of single values, shared by `wg set` and configuration files.

Each function takes the bytes somebody wrote and gives a value or raises ConfigError
with the line `wg` prints (WG_COMPAT 4, 17).  Nothing is looked up or printed here:
whoever calls brings a Resolver and a place for warnings, and they are called in the
moment a value is met, because that decides which message comes first.
"""

from __future__ import annotations

from wgtools.errors import ConfigError, InvalidKey
from wgtools.inet import PORT_MAX, port_number, pton
from wgtools.keys import KEY_SIZE, Key
from wgtools.model import AllowedIP, HostPort

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from wgtools.model import Endpoint

    class Resolver(Protocol):
        """What the outside world knows about names."""

        def begin(self) -> None:
            """Called before each endpoint is looked at."""

        def endpoint(self, wanted: HostPort) -> Endpoint | HostPort:
            """The endpoint's address.  Raises ConfigError."""

        def port(self, name: bytes) -> int:
            """The number of a UDP service.  Raises ConfigError."""

    Warn = Callable[[str], None]

__all__ = [
    "BLANKS",
    "Unresolved",
    "allowed_ips",
    "endpoint",
    "fwmark",
    "keepalive",
    "key",
    "key_file",
    "port",
    "quiet",
    "refusal",
]

BLANKS = b"\t\n\v\f\r "  # isspace(3) in the C locale, and nothing else
FWMARK_MAX = 0xFFFFFFFF
KEEPALIVE_MAX = 65535
_KEY_TEXT = 44  # base64 of 32 bytes
_HEX = b"0123456789abcdefABCDEF"
_PLUS, _MINUS = b"+", b"-"


class Unresolved:
    """The Resolver of those who only read: endpoints stay as written, ports are numbers."""

    def begin(self) -> None:
        pass

    def endpoint(self, wanted: HostPort) -> HostPort:
        return wanted

    def port(self, name: bytes) -> int:
        raise refusal("Servname not supported for ai_socktype", name)


def quiet(_warning: str) -> None:
    """A place for warnings nobody wants."""


def refusal(problem: str, value: bytes) -> ConfigError:
    """``problem: `value'``, the value's own bytes kept through surrogate escapes."""
    return ConfigError(f"{problem}: `{value.decode('utf-8', 'surrogateescape')}'")


def key(text: bytes) -> Key:
    """A key in base64 (4.1)."""
    try:
        return Key.from_base64(text)
    except InvalidKey:
        raise refusal("Key is not the correct length or format", text) from None


def key_file(content: bytes, *, may_be_empty: bool) -> Key:
    """A key from what a file holds (4.2).

    `may_be_empty`: the file is seekable and was read to a clean end, so that nothing in
    it means the zero key rather than a command that failed in a pipe.
    """
    if not content and may_be_empty:
        return Key(bytes(KEY_SIZE))
    if len(content) < _KEY_TEXT:
        raise ConfigError("Invalid length key in key file")
    trailing = content[_KEY_TEXT:].lstrip(BLANKS)
    if trailing:
        raise refusal("Found trailing character in key file", trailing[:1])
    text = content[:_KEY_TEXT]
    try:
        return Key.from_base64(text)
    except InvalidKey:
        shown = text.partition(b"\0")[0]
        raise refusal("Key is not the correct length or format", shown) from None


def port(text: bytes, resolver: Resolver) -> int:
    """A listening port: a number up to 65535 or the name of a UDP service (4.3)."""
    if not text:
        raise ConfigError("Unable to parse empty port")
    number = port_number(text)
    if number is None:
        return resolver.port(text)
    if not 0 <= number <= PORT_MAX:
        raise refusal("Servname not supported for ai_socktype", text)
    return number


def fwmark(text: bytes) -> int:
    """`off`, decimal or 0x-hexadecimal, up to 32 bits (4.4)."""
    if text.lower() == b"off":
        return 0
    if len(text) > 2 and text.startswith(b"0x"):
        digits = text[2:]
        significant = digits.lstrip(b"0")
        if not digits.strip(_HEX) and len(significant) <= 8:
            return int(significant or b"0", 16)
    else:
        number = _decimal(text, FWMARK_MAX)
        if number is not None:
            return number
    raise refusal("Fwmark is neither 0/off nor 0-0xffffffff", text)


def keepalive(text: bytes) -> int:
    """`off` or seconds up to 65535 (4.5)."""
    number = 0 if text.lower() == b"off" else _decimal(text, KEEPALIVE_MAX)
    if number is None:
        raise refusal("Persistent keepalive interval is neither 0/off nor 1-65535", text)
    return number


def endpoint(text: bytes, resolver: Resolver) -> Endpoint | HostPort:
    """`HOST:PORT` (4.7)."""
    resolver.begin()
    return resolver.endpoint(HostPort.parse(text))


def allowed_ips(text: bytes, warn: Warn) -> tuple[list[AllowedIP], bool]:
    """A list of networks without blanks (4.6), and whether it changes rather than
    replaces what the peer has: some element carries a sign."""
    networks: list[AllowedIP] = []
    incremental = False
    for element in text.split(b",") if text else ():
        sign = element[:1]
        if sign in (_PLUS, _MINUS):
            incremental = True
            networks.append(_network(element[1:], sign == _MINUS, warn))
        else:
            networks.append(_network(element, False, warn))
    return networks, incremental


def _network(element: bytes, remove: bool, warn: Warn) -> AllowedIP:
    address, slash, length = element.partition(b"/")
    packed = pton(address.decode("latin-1"))
    if packed is None:
        raise refusal("Unable to parse IP address", address)
    bits = len(packed) * 8
    if not slash:
        return AllowedIP(packed, bits, remove)
    number = _decimal(length, bits)
    if number is None:
        raise refusal("AllowedIP is not in the correct format", element)
    if number < bits and int.from_bytes(packed, "big") & ((1 << bits - number) - 1):
        warn(f"Warning: AllowedIP has nonzero host part: {element.decode('ascii')}")
    return AllowedIP(packed, number, remove)


def _decimal(text: bytes, limit: int) -> int | None:
    """A number of plain ASCII digits, any zeros in front; None above `limit`."""
    if not text.isdigit():
        return None
    if len(text) > 10:  # int() balks at thousands of digits
        text = text.lstrip(b"0") or b"0"
        if len(text) > 10:
            return None
    number = int(text)
    return number if number <= limit else None
