# SPDX-License-Identifier: MIT
"""The words of `wg set` become a DeviceChange (WG_COMPAT 6).

Words are taken left to right, and files are read and names resolved as they are met;
both are done by whoever calls, through `read_key` and the Resolver.
"""

from __future__ import annotations

from wgtools.conf import values
from wgtools.errors import ConfigError
from wgtools.model import DeviceChange, PeerChange

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wgtools.keys import Key

__all__ = ["parse"]


def parse(
    words: list[bytes],
    *,
    read_key: Callable[[bytes], Key],
    resolver: values.Resolver | None = None,
    warn: values.Warn = values.quiet,
) -> DeviceChange:
    """The change that `words` ask for.  Raises ConfigError at the first wrong one."""
    reader = _Reader(read_key, resolver or values.Unresolved(), warn)
    rest = iter(words)
    for word in rest:
        reader.word(word, rest)
    return reader.change


class _Reader:
    """The device, and the peer whose settings are being given."""

    __slots__ = ("change", "peer", "read_key", "resolver", "settings", "warn")

    def __init__(
        self, read_key: Callable[[bytes], Key], resolver: values.Resolver, warn: values.Warn
    ) -> None:
        self.read_key = read_key
        self.resolver = resolver
        self.warn = warn
        self.change = DeviceChange()
        self.settings = _DEVICE
        self.peer: PeerChange | None = None

    def word(self, word: bytes, rest: Iterator[bytes]) -> None:
        if word == b"remove" and self.peer is not None:
            self.peer.remove = True
            return
        setting = self.settings.get(word)
        value = None if setting is None else next(rest, None)
        if setting is None or value is None:
            shown = word.decode("utf-8", "surrogateescape")
            raise ConfigError(f"Invalid argument: {shown}", hint=self._known(setting is None))
        try:
            setting(self, value)
        except ConfigError as error:
            error.hint = error.hint or _ADVICE[word]
            raise

    def _known(self, unknown: bool) -> str:
        if not unknown:
            return "a value has to follow it"
        words = [word.decode() for word in self.settings] + ["remove"] * (self.peer is not None)
        return f"words that can stand here: {', '.join(words)}"

    def listen_port(self, value: bytes) -> None:
        self.change.listen_port = values.port(value, self.resolver)

    def fwmark(self, value: bytes) -> None:
        self.change.fwmark = values.fwmark(value)

    def private_key(self, value: bytes) -> None:
        self.change.private_key = self.read_key(value)

    def new_peer(self, value: bytes) -> None:
        self.peer = PeerChange(values.key(value))
        self.change.peers.append(self.peer)
        self.settings = _PEER


def _preshared_key(reader: _Reader, peer: PeerChange, value: bytes) -> None:
    peer.preshared_key = reader.read_key(value)


def _endpoint(reader: _Reader, peer: PeerChange, value: bytes) -> None:
    peer.endpoint = values.endpoint(value, reader.resolver)


def _keepalive(_reader: _Reader, peer: PeerChange, value: bytes) -> None:
    peer.keepalive = values.keepalive(value)


def _allowed_ips(reader: _Reader, peer: PeerChange, value: bytes) -> None:
    bare = value.translate(None, values.BLANKS)
    networks, incremental = values.allowed_ips(bare, reader.warn)
    peer.allowed_ips += networks
    peer.replace_allowed_ips = not incremental


def _of_peer(
    setting: Callable[[_Reader, PeerChange, bytes], None],
) -> Callable[[_Reader, bytes], None]:
    def apply(reader: _Reader, value: bytes) -> None:
        assert reader.peer is not None  # the table is only in force after `peer`
        setting(reader, reader.peer, value)

    return apply


# For people only: scripts see the fixed text alone (docs/decisions/0003).
_KEY_FILE = "the file has to hold a key as `wg genkey` prints it, and nothing else"
_ADVICE = {
    b"listen-port": "a port is a number from 0 to 65535",
    b"fwmark": "a mark is a number, decimal or 0x and hexadecimal, or off",
    b"private-key": _KEY_FILE,
    b"peer": "a public key is 44 characters of base64, the last of them =",
    b"preshared-key": _KEY_FILE,
    b"endpoint": "write HOST:PORT, as in vpn.example.org:51820 or [2001:db8::1]:51820",
    b"persistent-keepalive": "seconds from 1 to 65535, or off",
    b"allowed-ips": "write IP/LENGTH, as in 10.0.0.0/24; several are separated by commas",
}
_DEVICE: dict[bytes, Callable[[_Reader, bytes], None]] = {
    b"listen-port": _Reader.listen_port,
    b"fwmark": _Reader.fwmark,
    b"private-key": _Reader.private_key,
    b"peer": _Reader.new_peer,
}
_PEER: dict[bytes, Callable[[_Reader, bytes], None]] = {
    b"peer": _Reader.new_peer,
    b"preshared-key": _of_peer(_preshared_key),
    b"endpoint": _of_peer(_endpoint),
    b"persistent-keepalive": _of_peer(_keepalive),
    b"allowed-ips": _of_peer(_allowed_ips),
}
