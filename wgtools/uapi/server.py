# SPDX-License-Identifier: MIT
"""The daemon's side of the userspace protocol: request text to values, values to reply text.

Not here: sockets, and what a change does.  Text arrives in pieces of any size and
is digested as it comes, so that a request of 100,000 peers costs no long pause.

The rule: a daemon refuses what it does not know (-EINVAL, or -EPROTO where a line is
no `key=value`), reads on to the empty line, and answers once.  The numbers are those
of wireguard-go.  No reason given here ever holds a value, which could be a key.
"""

from __future__ import annotations

from wgtools.errors import InvalidKey
from wgtools.inet import ntop, pton
from wgtools.keys import Key
from wgtools.model import NAME_MAX, AllowedIP, DeviceChange, Endpoint, PeerChange

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wgtools.model import Device, Peer

__all__ = [
    "EINVAL",
    "EPROTO",
    "MAX_REQUEST",
    "Request",
    "RequestReader",
    "errno_reply",
    "get_reply",
    "is_zone",
]

# Linux's numbers on every system: they are part of the protocol, not of the host.
EINVAL = 22
EPROTO = 71

MAX_LINE = 1024  # the longest legal line is an endpoint of about 80 bytes
MAX_REQUEST = 64 << 20  # 100,000 peers of four allowed IPs are about 30 MB
_MAX_INDEX = 0x7FFFFFFF  # of an interface: the kernel's are positive ints
_CHUNK = 32 << 10  # about how much reply text is made at a time


class Request:
    """One whole request.  `change` is None for a `get`; `errno` is what to refuse it with, 0 for
    nothing; `reason` is for the log; after `last` the connection cannot go on."""

    __slots__ = ("change", "errno", "last", "reason")

    def __init__(
        self,
        change: DeviceChange | None = None,
        *,
        errno: int = 0,
        reason: str = "",
        last: bool = False,
    ) -> None:
        self.change = change
        self.errno = errno
        self.reason = reason
        self.last = last

    @property
    def is_get(self) -> bool:
        return self.change is None and not self.errno and not self.last


def _too_long() -> Request:
    return Request(errno=EPROTO, reason="request too long", last=True)


class _Refused(Exception):
    """A line that cannot be accepted."""

    def __init__(self, reason: str, errno: int = EINVAL) -> None:
        super().__init__(reason)
        self.reason = reason
        self.errno = errno


class RequestReader:
    """Cuts one connection's bytes into requests."""

    __slots__ = ("_change", "_get", "_left", "_limit", "_peer", "_refused", "_size")

    def __init__(self, *, max_request: int = MAX_REQUEST) -> None:
        self._limit = max_request
        self._left = b""  # the start of a line whose end has not come
        self._get = False
        self._change: DeviceChange | None = None
        self._peer: PeerChange | None = None
        self._refused: _Refused | None = None
        self._size = 0

    @property
    def is_midway(self) -> bool:
        """Whether a request has begun that has not ended."""
        return bool(self._left) or self._get or self._change is not None

    def feed(self, data: bytes) -> list[Request]:
        """The requests that these bytes complete.  After one that is `last`, feed no more."""
        done: list[Request] = []
        lines = (self._left + data).split(b"\n") if self._left else data.split(b"\n")
        self._left = lines.pop()
        for line in lines:
            self._size += len(line) + 1
            if len(line) > MAX_LINE or self._size > self._limit:
                return [*done, _too_long()]
            if self._change is not None and line:
                if self._refused is None:
                    self._set_line(line)
                continue
            request = self._edge(line)
            if request is None:
                continue
            self._size = 0
            done.append(request)
            if request.last:
                return done
        # the same whether the rest of the line has come or not
        if len(self._left) > MAX_LINE or self._size + len(self._left) > self._limit:
            done.append(_too_long())
        return done

    def _edge(self, line: bytes) -> Request | None:
        """A line that begins or ends a request."""
        if self._change is not None:
            return self._finish()
        if self._get:
            self._get = False
            if line:
                return Request(errno=EINVAL, reason="text after get=1")
            return Request()
        if line == b"get=1":
            self._get = True
        elif line == b"set=1":
            self._change = DeviceChange()
        else:
            return Request(reason="no such operation", last=True)
        return None

    def _finish(self) -> Request:
        change, refused = self._change, self._refused
        self._change = self._peer = self._refused = None
        if refused is not None:
            return Request(errno=refused.errno, reason=refused.reason)
        return Request(change)

    def _set_line(self, line: bytes) -> None:
        key, equals, value = line.partition(b"=")
        try:
            if not equals:
                raise _Refused("a line without `=`", EPROTO)
            if key == b"public_key":
                self._peer = PeerChange(_key(value))
                assert self._change is not None
                self._change.peers.append(self._peer)
            elif self._peer is not None:
                _PEER_KEYS.get(key, _unknown)(self._peer, value)
            else:
                assert self._change is not None
                _DEVICE_KEYS.get(key, _unknown)(self._change, value)
        except _Refused as refused:
            self._refused = refused


# ------------------------------------------------------------------ one line's value


def _unknown(_change: object, _value: bytes) -> None:
    raise _Refused("unknown key, or one out of place")


def _key(value: bytes) -> Key:
    try:
        return Key.from_hex(value)
    except InvalidKey:
        raise _Refused("malformed key") from None


def _number(value: bytes, limit: int) -> int:
    if not value.isdigit() or len(value) > 20:
        raise _Refused("malformed number")
    number = int(value)
    if number > limit:
        raise _Refused("number out of range")
    return number


def _true(value: bytes) -> bool:
    if value != b"true":
        raise _Refused("only `true` is possible here")
    return True


def _endpoint(value: bytes) -> Endpoint:
    host, colon, port = value.rpartition(b":")
    if not colon:
        raise _Refused("endpoint without port")
    text = host.decode("ascii", "replace")
    bracketed = text.startswith("[") and text.endswith("]")
    if bracketed:
        text = text[1:-1]
    text, percent, zone = text.partition("%")
    packed = pton(text)
    if packed is None or (len(packed) == 16) != bracketed:
        raise _Refused("endpoint is not an IP address and port")
    if percent and (len(packed) == 4 or not is_zone(zone)):
        raise _Refused("malformed zone of an endpoint")
    return Endpoint(ntop(packed) + percent + zone, _number(port, 0xFFFF))


def is_zone(zone: str) -> bool:
    """Whether a zone can be an interface: its name as Linux allows them, or its number."""
    if zone.isascii() and zone.isdigit():
        return len(zone) <= 10 and int(zone) <= _MAX_INDEX
    return (
        0 < len(zone) <= NAME_MAX
        and zone.isascii()
        and zone.isprintable()
        and not any(c in " /:%" for c in zone)
    )


def _allowed_ip(value: bytes) -> AllowedIP:
    remove = value[:1] == b"-"
    host, _slash, length = value[remove:].partition(b"/")
    packed = pton(host.decode("ascii", "replace"))
    if packed is None:
        raise _Refused("malformed allowed IP")
    return AllowedIP(packed, _number(length, len(packed) * 8), remove)


def _private_key(change: DeviceChange, value: bytes) -> None:
    key = _key(value)
    change.private_key = key if key.is_zero else Key.from_entropy(bytes(key))  # clamped


def _listen_port(change: DeviceChange, value: bytes) -> None:
    change.listen_port = _number(value, 0xFFFF)


def _fwmark(change: DeviceChange, value: bytes) -> None:
    change.fwmark = _number(value, 0xFFFFFFFF)


def _replace_peers(change: DeviceChange, value: bytes) -> None:
    change.replace_peers = _true(value)


def _update_only(peer: PeerChange, value: bytes) -> None:
    peer.update_only = _true(value)


def _remove(peer: PeerChange, value: bytes) -> None:
    peer.remove = _true(value)


def _preshared_key(peer: PeerChange, value: bytes) -> None:
    peer.preshared_key = _key(value)


def _peer_endpoint(peer: PeerChange, value: bytes) -> None:
    peer.endpoint = _endpoint(value)


def _keepalive(peer: PeerChange, value: bytes) -> None:
    peer.keepalive = _number(value, 0xFFFF)


def _replace_allowed_ips(peer: PeerChange, value: bytes) -> None:
    peer.replace_allowed_ips = _true(value)
    peer.allowed_ips.clear()  # those before this line are replaced too


def _peer_allowed_ip(peer: PeerChange, value: bytes) -> None:
    peer.allowed_ips.append(_allowed_ip(value))


def _protocol_version(_peer: PeerChange, value: bytes) -> None:
    if value != b"1":
        raise _Refused("no such version of the protocol")


_DEVICE_KEYS: dict[bytes, Callable[[DeviceChange, bytes], None]] = {
    b"private_key": _private_key,
    b"listen_port": _listen_port,
    b"fwmark": _fwmark,
    b"replace_peers": _replace_peers,
}

_PEER_KEYS: dict[bytes, Callable[[PeerChange, bytes], None]] = {
    b"update_only": _update_only,
    b"remove": _remove,
    b"preshared_key": _preshared_key,
    b"endpoint": _peer_endpoint,
    b"persistent_keepalive_interval": _keepalive,
    b"replace_allowed_ips": _replace_allowed_ips,
    b"allowed_ip": _peer_allowed_ip,
    b"protocol_version": _protocol_version,
}

# ------------------------------------------------------------------ replies


def errno_reply(errno: int = 0) -> bytes:
    """What ends every reply; `errno` is positive and goes out negative."""
    return b"errno=%d\n\n" % -errno


def get_reply(device: Device) -> Iterator[bytes]:
    """The reply to a `get`, in pieces, in the order of wireguard-go."""
    head = []
    if device.private_key is not None and not device.private_key.is_zero:
        head.append(f"private_key={device.private_key.hex()}\n")
    if device.listen_port:
        head.append(f"listen_port={device.listen_port}\n")
    if device.fwmark:
        head.append(f"fwmark={device.fwmark}\n")
    size = 0
    parts = head
    for peer in device.peers:
        text = _peer_text(peer)
        parts.append(text)
        size += len(text)
        if size >= _CHUNK:
            yield "".join(parts).encode("ascii")
            parts = []
            size = 0
    yield "".join(parts).encode("ascii") + errno_reply()


def _peer_text(peer: Peer) -> str:
    psk = peer.preshared_key
    lines = [
        f"public_key={peer.public_key.hex()}\n"
        f"preshared_key={psk.hex() if psk is not None else _ZERO_HEX}\n"
        "protocol_version=1\n"
    ]
    if peer.endpoint is not None:
        lines.append(f"endpoint={peer.endpoint}\n")
    lines.append(
        f"last_handshake_time_sec={peer.handshake_sec}\n"
        f"last_handshake_time_nsec={peer.handshake_nsec}\n"
        f"tx_bytes={peer.tx_bytes}\n"
        f"rx_bytes={peer.rx_bytes}\n"
        f"persistent_keepalive_interval={peer.keepalive}\n"
    )
    lines.extend(f"allowed_ip={network}\n" for network in peer.allowed_ips)
    return "".join(lines)


_ZERO_HEX = "0" * 64
