# SPDX-License-Identifier: MIT
"""What a WireGuard device is, and what can be changed about it, as plain values.

Two families: Device and Peer say what *is*; DeviceChange and PeerChange say what
shall *become*.  In a change, None means "leave alone" and an explicit zero (a zero
key, port 0, mark 0, keepalive 0) means "clear" (wgctrl-go's rule).  No I/O, no
resolving, no printing.

Written out with `__slots__` rather than as dataclasses: importing `dataclasses`
would double the time `wg show` takes to start (docs/decisions/0001).
"""

from __future__ import annotations

from wgtools.errors import ConfigError
from wgtools.inet import PORT_MAX, ntop, port_number, pton
from wgtools.keys import Key

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "NAME_MAX",
    "AllowedIP",
    "Device",
    "DeviceChange",
    "Endpoint",
    "HostPort",
    "Peer",
    "PeerChange",
]

NAME_MAX = 15  # bytes of an interface's name: IFNAMSIZ of linux/if.h less the NUL


class _Value:  # noqa: PLW1641  # values that change are not hashable; the others say so
    """Equality and repr over the slots of a subclass."""

    __slots__: tuple[str, ...] = ()

    def _names(self) -> tuple[str, ...]:
        return self.__slots__

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self._names())

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._names())
        return f"{type(self).__name__}({shown})"


class Endpoint(_Value):
    """A peer's UDP address: `host` in the numeric text of getnameinfo(3), `port` 0-65535.

    A link-local IPv6 host carries its zone (`fe80::1%eth0`).
    """

    __slots__ = ("host", "port")

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    def __hash__(self) -> int:
        return hash((self.host, self.port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class HostPort(_Value):
    """An endpoint as somebody wrote it, not looked up yet: raw bytes, port perhaps a name.

    `text` is the whole value, for messages.  The `cli` resolves it before any backend
    sees it.
    """

    __slots__ = ("host", "port", "text")

    def __init__(self, host: bytes, port: bytes, text: bytes) -> None:
        self.host = host
        self.port = port
        self.text = text

    @classmethod
    def parse(cls, text: bytes | str) -> HostPort:
        """Split `HOST:PORT` or `[HOST]:PORT` (WG_COMPAT 4.7).  Raises ConfigError.

        Without brackets the host ends at the last colon; within them anything goes.
        """
        if isinstance(text, str):
            text = text.encode("utf-8", "surrogateescape")
        if not text:
            raise ConfigError("Unable to parse empty endpoint")
        shown = text.decode("utf-8", "surrogateescape")
        if text[0] == 0x5B:
            host, brace, rest = text[1:].partition(b"]")
            if not brace:
                raise ConfigError(f"Unable to find matching brace of endpoint: `{shown}'")
            port = rest[1:] if rest[:1] == b":" else b""
        else:
            host, colon, port = text.rpartition(b":")
            port = port if colon else b""
        if not port:
            raise ConfigError(f"Unable to find port of endpoint: `{shown}'")
        return cls(host, port, text)

    def numeric(self) -> Endpoint | None:
        """The endpoint if host and port are plain numbers, as libc would read and print
        them; None if somebody has to be asked."""
        host = self.host.decode("latin-1")
        packed = pton(host)
        port = port_number(self.port)
        if packed is None or port is None or not 0 <= port <= PORT_MAX:
            return None
        return Endpoint(host if len(packed) == 4 else ntop(packed), port)


class AllowedIP(_Value):
    """A network: `address` packed (4 or 16 bytes, host bits as given), `length` in bits.

    `remove` only means something inside a PeerChange: take this network away.
    """

    __slots__ = ("address", "length", "remove")

    def __init__(self, address: bytes, length: int, remove: bool = False) -> None:
        self.address = address
        self.length = length
        self.remove = remove

    @classmethod
    def parse(cls, text: str) -> AllowedIP:
        """From `IP/LEN` or `IP`.  Raises ValueError.  For library users and tests;
        `wg` has its own grammar (`conf`)."""
        host, slash, length = text.partition("/")
        packed = pton(host)
        bits = len(packed) * 8 if packed else 0
        if packed is None or (slash and not (length.isascii() and length.isdigit())):
            raise ValueError(f"not an IP network: {text}")
        if slash and int(length) > bits:
            raise ValueError(f"prefix length over {bits}: {text}")
        return cls(packed, int(length) if slash else bits)

    def __hash__(self) -> int:
        return hash((self.address, self.length, self.remove))

    def __str__(self) -> str:
        return f"{ntop(self.address)}/{self.length}"


class Peer(_Value):
    """A peer as a device reports it.

    `keepalive` is in seconds, 0 for off; `handshake_sec` and `handshake_nsec` are the Unix time
    of the last handshake, 0 for never; `rx_bytes` and `tx_bytes` count what came and went over
    the wire; `preshared_key` is None when there is none.
    """

    __slots__ = (
        "allowed_ips",
        "endpoint",
        "handshake_nsec",
        "handshake_sec",
        "keepalive",
        "preshared_key",
        "public_key",
        "rx_bytes",
        "tx_bytes",
    )

    def __init__(
        self,
        public_key: Key,
        *,
        preshared_key: Key | None = None,
        endpoint: Endpoint | None = None,
        keepalive: int = 0,
        handshake_sec: int = 0,
        handshake_nsec: int = 0,
        rx_bytes: int = 0,
        tx_bytes: int = 0,
        allowed_ips: list[AllowedIP] | None = None,
    ) -> None:
        self.public_key = public_key
        self.preshared_key = preshared_key  # None when all zero
        self.endpoint = endpoint
        self.keepalive = keepalive  # seconds, 0 = off
        self.handshake_sec = handshake_sec  # Unix time of the last handshake, 0 = never
        self.handshake_nsec = handshake_nsec
        self.rx_bytes = rx_bytes
        self.tx_bytes = tx_bytes
        self.allowed_ips = [] if allowed_ips is None else allowed_ips


class Device(_Value):
    """A WireGuard interface as its backend reports it.

    `listen_port` 0 is none yet; `fwmark` 0 is off; the keys are None where none is set, or where
    the caller may not see them.  The UAPI does not report the public key: its client leaves the
    6 ms that computing it costs a new process (docs/decisions/0002) to whoever asks for it.
    """

    __slots__ = ("_compute", "_public_key", "fwmark", "listen_port", "name", "peers", "private_key")

    def __init__(
        self,
        name: str,
        *,
        private_key: Key | None = None,
        public_key: Key | None = None,
        listen_port: int = 0,
        fwmark: int = 0,
        peers: list[Peer] | None = None,
    ) -> None:
        self.name = name  # undecodable bytes as surrogate escapes
        self.private_key = private_key
        self._public_key = public_key
        self._compute: Callable[[], Key] | None = None
        self.listen_port = listen_port
        self.fwmark = fwmark
        self.peers = [] if peers is None else peers

    def _names(self) -> tuple[str, ...]:
        return ("fwmark", "listen_port", "name", "peers", "private_key", "public_key")

    @property
    def public_key(self) -> Key | None:
        """The one that belongs to the private key; None if there is none."""
        if self._compute is not None:
            self.public_key = self._compute()
        return self._public_key

    @public_key.setter
    def public_key(self, key: Key | None) -> None:
        self._public_key = key
        self._compute = None

    def defer_public_key(self, compute: Callable[[], Key]) -> None:
        """Let `public_key` be what `compute` gives, once, when somebody asks for it."""
        self._compute = compute


class PeerChange(_Value):
    """What shall become of one peer.  None leaves alone, zero clears.

    `update_only` does nothing if there is no such peer; `remove` takes it away;
    `replace_allowed_ips` removes those it has first.  `keepalive` is in seconds.
    """

    __slots__ = (
        "allowed_ips",
        "endpoint",
        "keepalive",
        "preshared_key",
        "public_key",
        "remove",
        "replace_allowed_ips",
        "update_only",
    )

    def __init__(
        self,
        public_key: Key,
        *,
        remove: bool = False,
        update_only: bool = False,
        preshared_key: Key | None = None,
        endpoint: Endpoint | HostPort | None = None,
        keepalive: int | None = None,
        replace_allowed_ips: bool = False,
        allowed_ips: list[AllowedIP] | None = None,
    ) -> None:
        self.public_key = public_key
        self.remove = remove
        self.update_only = update_only  # do nothing if there is no such peer
        self.preshared_key = preshared_key
        self.endpoint = endpoint  # a HostPort must be resolved before `ipc.set`
        self.keepalive = keepalive
        self.replace_allowed_ips = replace_allowed_ips
        self.allowed_ips = [] if allowed_ips is None else allowed_ips


class DeviceChange(_Value):
    """What shall become of a device; `DeviceChange()` changes nothing.

    A zero `private_key` removes the device's, `listen_port` 0 lets the system choose, `fwmark` 0
    turns it off; `replace_peers` removes every peer first.
    """

    __slots__ = ("fwmark", "listen_port", "peers", "private_key", "replace_peers")

    def __init__(
        self,
        *,
        private_key: Key | None = None,
        listen_port: int | None = None,
        fwmark: int | None = None,
        replace_peers: bool = False,
        peers: list[PeerChange] | None = None,
    ) -> None:
        self.private_key = private_key  # a zero key removes the device's
        self.listen_port = listen_port
        self.fwmark = fwmark
        self.replace_peers = replace_peers  # remove every peer first
        self.peers = [] if peers is None else peers
