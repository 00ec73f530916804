# SPDX-License-Identifier: MIT
"""What NetBSD's wg(4) says and hears, as property lists: replies as a Device, operations as
text.

Pure: no system call; names of interfaces and the interface's public key, which the kernel
does not tell, come from callables.  Keys and their types are BSD_IPC 6's.  Whatever text
comes in, only ProtocolError goes out.
"""

from __future__ import annotations

from errno import EPROTO

from wgtools.errors import ProtocolError
from wgtools.inet import PORT_MAX
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, Peer
from wgtools_backends.bsd import sockaddr

from . import proplib

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable

    Dictionary = dict[str, proplib.Value]

__all__ = [
    "ADD_PEER",
    "AF_INET6",
    "DELETE_PEER",
    "GET",
    "SET_LISTEN_PORT",
    "SET_PRIVATE_KEY",
    "State",
    "added",
    "deleted",
    "listening",
    "private",
    "state",
]

GET = 0  # ifd_cmd; the only one of SIOCGDRVSPEC
SET_PRIVATE_KEY = 1
SET_LISTEN_PORT = 2
ADD_PEER = 4
DELETE_PEER = 8

AF_INET6 = 24  # NetBSD's sys/socket.h
_FAMILY = {4: sockaddr.AF_INET, 16: AF_INET6}
_SIZE = {sockaddr.AF_INET: 4, AF_INET6: 16}
_U32, _U64 = 2**32 - 1, 2**64 - 1


class State:
    """A device, and what the kernel calls its peers: without a name none can be deleted."""

    __slots__ = ("device", "names")

    def __init__(self, device: Device, names: dict[Key, str]) -> None:
        self.device = device
        self.names = names


# --- operations --------------------------------------------------------------------------


def private(key: Key) -> str:
    """Sets the private key; zeros take it away."""
    return proplib.dump({"private_key": bytes(key)})


def listening(port: int) -> str:
    """Sets the port."""
    return proplib.dump({"listen_port": port})


def added(peer: Peer, name: str, *, scope_of: Callable[[str], int]) -> str:
    """Adds a peer; there is no changing one.  Raises ValueError for a wrong endpoint."""
    wanted: Dictionary = {"name": name} if name else {}
    wanted["public_key"] = bytes(peer.public_key)
    if peer.preshared_key is not None:
        wanted["preshared_key"] = bytes(peer.preshared_key)
    if peer.endpoint is not None:
        wanted["endpoint"] = sockaddr.pack(peer.endpoint, inet6=AF_INET6, scope_of=scope_of)
    if peer.allowed_ips:
        wanted["allowedips"] = [_network_words(network) for network in peer.allowed_ips]
    return proplib.dump(wanted)


def _network_words(network: AllowedIP) -> Dictionary:
    family = _FAMILY[len(network.address)]
    return {"family": family, "cidr": network.length, "ip": network.address}


def deleted(name: str) -> str:
    """Deletes the peer of that name."""
    return proplib.dump({"name": name})


# --- replies -----------------------------------------------------------------------------


def state(
    name: bytes,
    text: str,
    *,
    public_key: Callable[[bytes], bytes],
    zone_of: Callable[[int], str],
) -> State:
    """What a whole reply describes.  Raises ProtocolError.

    `public_key` is asked when somebody wants the device's.
    """
    try:
        found = proplib.load(text)
    except proplib.Malformed as error:
        raise _malformed() from error
    if not isinstance(found, dict):
        raise _malformed()
    device = Device(
        name.decode("utf-8", "surrogateescape"),
        listen_port=_number(found, "listen_port", PORT_MAX),
    )
    raw = _data(found, "private_key")
    secret = _key(raw) if raw else None
    if secret is not None and not secret.is_zero:
        device.private_key = secret
        device.defer_public_key(lambda: Key(public_key(bytes(secret))))
    names: dict[Key, str] = {}
    for entry in _dictionaries(found, "peers"):
        peer = _peer(entry, zone_of)
        if peer.public_key in names:
            raise _malformed()
        names[peer.public_key] = _text(entry, "name")
        device.peers.append(peer)
    return State(device, names)


def _peer(entry: Dictionary, zone_of: Callable[[int], str]) -> Peer:
    raw = _data(entry, "preshared_key")
    secret = _key(raw) if raw else None
    return Peer(
        _key(_data(entry, "public_key")),
        preshared_key=None if secret is None or secret.is_zero else secret,
        endpoint=sockaddr.unpack(_data(entry, "endpoint"), inet6=AF_INET6, zone_of=zone_of),
        handshake_sec=_number(entry, "last_handshake_time_sec", _U64),
        handshake_nsec=_number(entry, "last_handshake_time_nsec", _U32),
        allowed_ips=[_network(network) for network in _dictionaries(entry, "allowedips")],
    )


def _network(entry: Dictionary) -> AllowedIP:
    size = _SIZE.get(_number(entry, "family", 255))
    address = _data(entry, "ip")
    if len(address) != size:
        raise _malformed()
    return AllowedIP(address, _number(entry, "cidr", size * 8))


def _number(entry: Dictionary, key: str, limit: int) -> int:
    value = entry.get(key, 0)
    if type(value) is not int or not 0 <= value <= limit:
        raise _malformed()
    return value


def _data(entry: Dictionary, key: str) -> bytes:
    value = entry.get(key, b"")
    if not isinstance(value, bytes):
        raise _malformed()
    return value


def _text(entry: Dictionary, key: str) -> str:
    value = entry.get(key, "")
    if not isinstance(value, str):
        raise _malformed()
    return value


def _dictionaries(entry: Dictionary, key: str) -> list[Dictionary]:
    values = entry.get(key, [])
    if not isinstance(values, list):
        raise _malformed()
    found = [value for value in values if isinstance(value, dict)]
    if len(found) != len(values):
        raise _malformed()
    return found


def _key(raw: bytes) -> Key:
    if len(raw) != 32:
        raise _malformed()
    return Key(raw)


def _malformed() -> ProtocolError:
    return ProtocolError(
        "Protocol error",
        errno=EPROTO,
        hint="the kernel's reply fits no NetBSD that is known: please report its release",
    )
