# SPDX-License-Identifier: MIT
"""The client's half of the UAPI text protocol: requests out, replies in.

No sockets: whoever has one writes what `encode_set` yields and feeds a reply what it
reads, in pieces of any size.  A reply never raises; it ends with a `status`, an errno
(WG_COMPAT 12).
"""

from __future__ import annotations

from errno import ENETUNREACH, EPROTO, ERANGE

from wgtools.errors import ConfigError
from wgtools.inet import pton
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, Endpoint, HostPort, Peer

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from wgtools.model import DeviceChange, PeerChange

__all__ = ["GET_REQUEST", "LINE_MAX", "GetReply", "SetReply", "encode_set"]

GET_REQUEST = b"get=1\n\n"

LINE_MAX = 1 << 20  # ours: an honest line has some 150 bytes, and C `wg` reads longer ones
# Ours too: three million peers.  A daemon that sends more would have our memory.  How long
# it takes is not bounded: a machine under load is slow, and a person can press Ctrl-C.
REPLY_MAX = 1 << 30

_PIECE = 4096  # lines: some 150 KB of a request at a time
_INT_MAX = 2**31 - 1
_LONG_MAX = 2**63 - 1
_ULONG_MAX = 2**64 - 1


def encode_set(change: DeviceChange) -> Iterator[bytes]:
    """The request for `change`, whose endpoints are all resolved, in pieces."""
    lines = ["set=1"]
    if change.private_key is not None:
        lines.append("private_key=" + change.private_key.hex())
    if change.listen_port is not None:
        lines.append(f"listen_port={change.listen_port}")
    if change.fwmark is not None:
        lines.append(f"fwmark={change.fwmark}")
    if change.replace_peers:
        lines.append("replace_peers=true")
    for peer in change.peers:
        _encode_peer(peer, lines)
        if len(lines) > _PIECE:
            lines.append("")
            yield _encode(lines)
            lines = []
    lines.append("\n")
    yield _encode(lines)


def _encode(lines: list[str]) -> bytes:
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def _encode_peer(peer: PeerChange, lines: list[str]) -> None:
    lines.append("public_key=" + peer.public_key.hex())
    if peer.remove:
        lines.append("remove=true")
        return
    if peer.update_only:
        lines.append("update_only=true")
    if peer.preshared_key is not None:
        lines.append("preshared_key=" + peer.preshared_key.hex())
    if peer.endpoint is not None:
        assert not isinstance(peer.endpoint, HostPort), "endpoints are resolved before a set"
        lines.append(f"endpoint={peer.endpoint}")
    if peer.keepalive is not None:
        lines.append(f"persistent_keepalive_interval={peer.keepalive}")
    if peer.replace_allowed_ips:
        lines.append("replace_allowed_ips=true")
    for network in peer.allowed_ips:
        lines.append(f"allowed_ip={'-' if network.remove else ''}{network}")


class _Bad(Exception):
    """The reply cannot be accepted; the argument is the status it ends with."""


class _Reply:
    """Lines as they come in, up to the first empty one."""

    __slots__ = ("_begun", "_length", "complete", "room", "status")

    def __init__(self) -> None:
        self._begun: list[bytes] = []  # a line whose end has not come, in pieces
        self._length = 0  # of that
        self.room = REPLY_MAX  # bytes that may still come
        self.complete = False
        self.status = EPROTO  # a reply without `errno=` is no reply

    def feed(self, data: bytes) -> bool:
        """Take what was read; true once the reply is complete, well or badly.

        Empty data means that the stream ended.
        """
        if not data:
            self._fail(EPROTO)
        if self.complete:
            return True
        try:
            lines = self._whole_lines(data)
            self._lines(lines)
        except _Bad as bad:
            self._fail(bad.args[0])
        except (ValueError, ConfigError):
            self._fail(EPROTO)
        return self.complete

    def _whole_lines(self, data: bytes) -> list[bytes]:
        self.room -= len(data)
        self._begun.append(data)
        self._length += len(data)
        lines: list[bytes] = []
        if b"\n" in data:
            lines = b"".join(self._begun).split(b"\n")
            self._begun = [lines.pop()]
            self._length = len(self._begun[0])
        if self.room < 0 or max(self._length, *map(len, lines), 0) > LINE_MAX:
            raise _Bad(EPROTO)
        return lines

    def _fail(self, status: int) -> None:
        if not self.complete:
            self.status = status
            self.complete = True

    def _lines(self, lines: list[bytes]) -> None:
        """Take whole lines, without their LF."""
        raise NotImplementedError


class SetReply(_Reply):
    """The answer to a set: status 0, or the positive errno of what went wrong.

    A daemon sends errors negative; a positive one comes out negative here, which
    strerror(3) calls `Unknown error -N`, as C `wg` does.
    """

    __slots__ = ()

    def _lines(self, lines: list[bytes]) -> None:
        for line in lines:
            if not line:
                self.complete = True
                return
            key, equals, value = line.partition(b"=")
            if not equals or b"\0" in line:
                raise _Bad(EPROTO)
            if key == b"errno":
                self.status = -_signed(value)


class GetReply(_Reply):
    """The answer to a get: status 0 and a `device`, or an errno.

    `public_key` computes a public key, when the device is asked for its own; `resolve`
    gives the address of an endpoint that is not numeric, or None.
    """

    __slots__ = ("_keys", "_peer", "_public_key", "_resolve", "device")

    def __init__(
        self,
        name: str,
        *,
        public_key: Callable[[bytes], bytes],
        resolve: Callable[[HostPort], Endpoint | None],
    ) -> None:
        super().__init__()
        self.device = Device(name)
        self._public_key = public_key
        self._resolve = resolve
        self._peer = Peer(Key(bytes(32)))
        self._keys: Mapping[bytes, Callable[[GetReply, bytes], None]] = _DEVICE_KEYS

    def _lines(self, lines: list[bytes]) -> None:
        keys = self._keys
        for line in lines:
            key, equals, value = line.partition(b"=")
            if not equals:
                if line:
                    raise _Bad(EPROTO)
                self.complete = True
                return
            if b"\0" in line:
                raise _Bad(EPROTO)
            setting = keys.get(key)
            if setting is not None:
                setting(self, value)
                keys = self._keys

    def _errno(self, value: bytes) -> None:
        self.status = _number(value, _INT_MAX)

    def _private_key(self, value: bytes) -> None:
        key = Key.from_hex(value)
        self.device.private_key = key
        self.device.defer_public_key(lambda: Key(self._public_key(bytes(key))))

    def _listen_port(self, value: bytes) -> None:
        self.device.listen_port = _number(value, 0xFFFF)

    def _fwmark(self, value: bytes) -> None:
        self.device.fwmark = _number(value, 0xFFFFFFFF)

    def _new_peer(self, value: bytes) -> None:
        self._peer = Peer(Key.from_hex(value))
        self.device.peers.append(self._peer)
        self._keys = _PEER_KEYS

    def _preshared_key(self, value: bytes) -> None:
        key = Key.from_hex(value)
        self._peer.preshared_key = None if key.is_zero else key

    def _endpoint(self, value: bytes) -> None:
        wanted = HostPort.parse(value)
        found = wanted.numeric() or self._resolve(wanted)
        if found is None:
            raise _Bad(-ENETUNREACH)  # what C `wg` reports where it does not crash
        self._peer.endpoint = found

    def _keepalive(self, value: bytes) -> None:
        self._peer.keepalive = _number(value, 0xFFFF)

    def _allowed_ip(self, value: bytes) -> None:
        address, _, length = value.partition(b"/")
        packed = pton(address.decode("latin-1"))
        if packed is None:
            raise _Bad(EPROTO)
        self._peer.allowed_ips.append(AllowedIP(packed, _number(length, len(packed) * 8)))

    def _handshake_sec(self, value: bytes) -> None:
        self._peer.handshake_sec = _number(value, _LONG_MAX)

    def _handshake_nsec(self, value: bytes) -> None:
        self._peer.handshake_nsec = _number(value, _LONG_MAX)

    def _rx_bytes(self, value: bytes) -> None:
        self._peer.rx_bytes = _number(value, _ULONG_MAX)

    def _tx_bytes(self, value: bytes) -> None:
        self._peer.tx_bytes = _number(value, _ULONG_MAX)


# Keys that mean nothing where they stand are passed over, their values unread.
_DEVICE_KEYS: dict[bytes, Callable[[GetReply, bytes], None]] = {
    b"errno": GetReply._errno,
    b"private_key": GetReply._private_key,
    b"listen_port": GetReply._listen_port,
    b"fwmark": GetReply._fwmark,
    b"public_key": GetReply._new_peer,
}
_PEER_KEYS: dict[bytes, Callable[[GetReply, bytes], None]] = {
    b"errno": GetReply._errno,
    b"public_key": GetReply._new_peer,
    b"preshared_key": GetReply._preshared_key,
    b"endpoint": GetReply._endpoint,
    b"persistent_keepalive_interval": GetReply._keepalive,
    b"allowed_ip": GetReply._allowed_ip,
    b"last_handshake_time_sec": GetReply._handshake_sec,
    b"last_handshake_time_nsec": GetReply._handshake_nsec,
    b"rx_bytes": GetReply._rx_bytes,
    b"tx_bytes": GetReply._tx_bytes,
}


def _number(text: bytes, limit: int) -> int:
    """Plain decimal up to `limit`; what does not fit 64 bits counts as 2^64-1."""
    if not text.isdigit():
        raise _Bad(EPROTO)
    if len(text) > 19:  # int() balks at thousands of digits
        text = text.lstrip(b"0")[:21] or b"0"
    number = int(text)
    if number <= limit:
        return number
    if limit < _ULONG_MAX:
        raise _Bad(EPROTO)
    return _ULONG_MAX


def _signed(text: bytes) -> int:
    """A decimal of 32 bits with its sign."""
    negative = text[:1] == b"-"
    digits = text[1:] if negative else text
    if not digits.isdigit():
        raise _Bad(EPROTO)
    number = int(digits.lstrip(b"0")[:21] or b"0")
    if number > _LONG_MAX + negative:
        raise _Bad(ERANGE)
    if number > _INT_MAX + negative:
        raise _Bad(EPROTO)
    return -number if negative else number
