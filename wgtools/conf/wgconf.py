# SPDX-License-Identifier: MIT
"""The grammar of `wg setconf` files: the lines of a Document become a DeviceChange.

Not wg-quick's grammar: an `Address` here is an error.  Every blank goes, inside words
too, before a line is looked at, and the first bad line wins (WG_COMPAT 5).
"""

from __future__ import annotations

from wgtools.conf import values
from wgtools.conf.hints import hint
from wgtools.errors import ConfigError
from wgtools.keys import KEY_SIZE, Key
from wgtools.model import DeviceChange, PeerChange

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wgtools.conf.document import Document, Line

__all__ = ["IncompletePeer", "parse"]

_UNNAMED = Key(bytes(KEY_SIZE))  # until the peer's PublicKey line comes


class IncompletePeer(ConfigError):
    """A whole file was read, and a peer in it has no public key."""


def parse(
    document: Document,
    resolver: values.Resolver | None = None,
    warn: values.Warn = values.quiet,
) -> DeviceChange:
    """What the file asks for.  Raises ConfigError with the place of the first mistake.

    Without a resolver endpoints stay HostPort and ports must be numbers.
    """
    reader = _Reader(resolver or values.Unresolved(), warn)
    for line in document.lines:
        text = _bare(line.raw)
        if text:
            try:
                reader.line(text, line.number)
            except ConfigError as error:
                _locate(error, document, line, text)
                raise
    reader.end(document)
    return reader.change


def _bare(raw: bytes) -> bytes:
    """What is left of a line without what follows a NUL, its comment and all blanks."""
    if b"\0" in raw:
        raw = raw[: raw.index(b"\0")]
    if b"#" in raw:
        raw = raw[: raw.index(b"#")]
    return raw.translate(None, values.BLANKS)


class _Reader:
    """The state between two lines."""

    __slots__ = ("change", "keys", "nameless", "peer", "resolver", "started", "warn")

    def __init__(self, resolver: values.Resolver, warn: values.Warn) -> None:
        self.resolver = resolver
        self.warn = warn
        self.change = DeviceChange()
        self.keys: Mapping[bytes, Callable[[_Reader, bytes], None]] = {}  # of this section
        self.peer = PeerChange(_UNNAMED)
        self.started = 0  # line where a peer without a PublicKey so far began
        self.nameless = 0  # the same for the first peer that ended so

    def line(self, text: bytes, number: int) -> None:
        name, _, value = text.partition(b"=")
        setting = self.keys.get(name.lower())
        if setting is not None and value:
            setting(self, value)
            return
        header = text.lower()
        if header == b"[peer]":
            self._close_peer()
            self.started = number
            self.peer = PeerChange(_UNNAMED, replace_allowed_ips=True)
            self.change.peers.append(self.peer)
            self.keys = _PEER_KEYS
        elif header == b"[interface]":
            self._close_peer()
            self.keys = _INTERFACE_KEYS
        else:
            raise values.refusal("Line unrecognized", text)

    def _close_peer(self) -> None:
        self.nameless = self.nameless or self.started
        self.started = 0

    def end(self, document: Document) -> None:
        self._close_peer()
        if self.nameless:
            raise IncompletePeer(
                "A peer is missing a public key",
                file=document.name,
                line=self.nameless,
                hint="give this [Peer] a `PublicKey = ...` line",
            )

    def listen_port(self, value: bytes) -> None:
        self.change.listen_port = values.port(value, self.resolver)

    def fwmark(self, value: bytes) -> None:
        self.change.fwmark = values.fwmark(value)

    def private_key(self, value: bytes) -> None:
        self.change.private_key = values.key(value)

    def public_key(self, value: bytes) -> None:
        self.peer.public_key = values.key(value)
        self.started = 0

    def preshared_key(self, value: bytes) -> None:
        self.peer.preshared_key = values.key(value)

    def allowed_ips(self, value: bytes) -> None:
        networks, incremental = values.allowed_ips(value, self.warn)
        self.peer.allowed_ips += networks
        self.peer.replace_allowed_ips = not incremental

    def endpoint(self, value: bytes) -> None:
        self.peer.endpoint = values.endpoint(value, self.resolver)

    def keepalive(self, value: bytes) -> None:
        self.peer.keepalive = values.keepalive(value)


_INTERFACE_KEYS = {
    b"listenport": _Reader.listen_port,
    b"fwmark": _Reader.fwmark,
    b"privatekey": _Reader.private_key,
}
_PEER_KEYS = {
    b"publickey": _Reader.public_key,
    b"presharedkey": _Reader.preshared_key,
    b"allowedips": _Reader.allowed_ips,
    b"endpoint": _Reader.endpoint,
    b"persistentkeepalive": _Reader.keepalive,
}


def _locate(error: ConfigError, document: Document, line: Line, text: bytes) -> None:
    """Point the error at the value, or at the whole line if that is what is wrong."""
    raw = line.raw
    start = 0
    if error.message.startswith("Line unrecognized"):
        error.hint = error.hint or hint(text)
    else:
        start = raw.find(b"=") + 1
    rest = raw[start:]
    error.file = document.name
    error.line = line.number
    error.column = start + len(rest) - len(rest.lstrip(values.BLANKS)) + 1
