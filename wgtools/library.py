# SPDX-License-Identifier: MIT
"""WireGuard for programs: read a file, list interfaces, look at one, change it, watch it.

The names that `import wgtools` offers.  They are few, and stay: a signature only changes
with a line in the changelog and a version (semver.org).  What they take and give are the
values of `wgtools.model`; what goes wrong is a WgError with a `hint`.  Nothing here prints.
"""

from __future__ import annotations

import time
from errno import ENODEV
from typing import TYPE_CHECKING, Literal, NamedTuple

from wgtools import ipc
from wgtools.conf.values import FWMARK_MAX, KEEPALIVE_MAX
from wgtools.errors import AccessError, NoSuchInterface, WgError
from wgtools.inet import PORT_MAX, pton
from wgtools.keys import Key
from wgtools.model import AllowedIP, Endpoint, HostPort
from wgtools.resolve import Resolver, resolve

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from wgtools.conf.schema import WgQuickFile
    from wgtools.model import Device, DeviceChange, Peer

__all__ = ["Event", "change", "device", "interfaces", "read", "watch"]


class Event(NamedTuple):
    """One difference between two looks at a device.

    `before` and `after` are the peer as it was and as it is; None where it was not, or is no
    more.  A peer that changed in several ways makes several events.
    """

    what: Literal["added", "removed", "endpoint", "handshake", "transfer", "settings"]
    before: Peer | None
    after: Peer | None

    @property
    def public_key(self) -> Key:
        """Of the peer that it is about."""
        peer = self.after or self.before
        assert peer is not None  # the type allows what `differences` never makes
        return peer.public_key


def interfaces() -> list[str]:
    """The names of all WireGuard interfaces, of the kernel and of userspace daemons.

    >>> interfaces()
    ['wg0']

    Raises AccessError.
    """
    return list(dict.fromkeys(ipc.list_devices()))


def device(name: str) -> Device:
    """The interface as it is now: its keys, its peers, their endpoints and counters.

    >>> wg0 = device("wg0")
    >>> wg0.listen_port
    51820
    >>> [str(network) for network in wg0.peers[0].allowed_ips]
    ['10.0.0.2/32']

    Raises NoSuchInterface, AccessError (its `hint` names the privilege that is missing).
    """
    _check(name)
    try:
        return ipc.get(name)
    except AccessError as error:
        _put_name(name, error)
        raise


def change(name: str, wanted: DeviceChange) -> None:
    """Change an interface; what is None in `wanted` stays as it is, a zero clears.

    >>> from wgtools import DeviceChange, PeerChange
    >>> peer = device("wg0").peers[0]
    >>> change("wg0", DeviceChange(peers=[PeerChange(peer.public_key, keepalive=25)]))
    >>> device("wg0").peers[0].keepalive
    25

    A HostPort among the endpoints is looked up first, which can take time.  Raises TypeError
    and ValueError before that for what no interface could be given, WgError if there is no
    such address, NoSuchInterface, AccessError.
    """
    _check(name)
    _refuse_nonsense(wanted)
    resolve(wanted, Resolver(lambda _: None))
    try:
        ipc.set(name, wanted)
    except AccessError as error:
        _put_name(name, error)
        raise


def read(path: str | os.PathLike[str]) -> WgQuickFile:
    """A configuration of wg-quick as pydantic models; its keys are shown only to who asks.

    >>> file = read("wg0.conf")
    >>> [str(address) for address in file.interface.address]
    ['10.0.0.1/24']
    >>> file.peer[0].endpoint
    'vpn.example.org:51820'

    Raises ConfigError with file, line, column and remedy, WgError if the file cannot be read,
    pydantic.ValidationError for a value that no interface could have.
    """
    from wgtools.conf.schema import WgQuickFile

    name = str(path)
    try:
        with open(path, "rb") as file:
            data = file.read()
    except (OSError, ValueError) as error:  # ValueError: a NUL, or what no path can hold
        problem = error.strerror if isinstance(error, OSError) else "that cannot be a path"
        raise WgError(f"`{name}': {problem}", hint="is the path right, and yours?") from error
    return WgQuickFile.from_text(data.decode("utf-8", "surrogateescape"), name)


def watch(
    name: str, *, seconds: float = 1.0, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Event]:
    """What changes on an interface, as it changes, until the interface is gone.

    >>> for event in watch("wg0"):
    ...     print(event.what, event.public_key.base64())
    ...     break
    handshake xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=

    It looks every so many `seconds`: an interface tells nobody by itself.  Raises AccessError
    and, at first, NoSuchInterface.
    """
    before = device(name)
    while True:
        sleep(seconds)
        try:
            after = device(name)
        except NoSuchInterface:
            return
        yield from differences(before, after)
        before = after


def _check(name: str) -> None:
    """Raises NoSuchInterface for what no system could have for a name."""
    try:
        if b"\0" not in name.encode("utf-8", "surrogateescape"):
            return
    except UnicodeEncodeError:
        pass
    raise NoSuchInterface(f"{name!r} cannot be the name of an interface", errno=ENODEV)


def _refuse_nonsense(wanted: DeviceChange) -> None:
    """The caller's own mistakes, by name: a system would only say "Invalid argument".

    No message holds a value that may be a key.
    """
    _want("DeviceChange.private_key", wanted.private_key, Key)
    _want_number("DeviceChange.listen_port", wanted.listen_port, PORT_MAX)
    _want_number("DeviceChange.fwmark", wanted.fwmark, FWMARK_MAX)
    for peer in wanted.peers:
        if not isinstance(peer.public_key, Key):  # the one that may not be None
            raise TypeError(f"PeerChange.public_key must be Key, not {_kind(peer.public_key)}")
        _want("PeerChange.preshared_key", peer.preshared_key, Key)
        _want_number("PeerChange.keepalive", peer.keepalive, KEEPALIVE_MAX)
        _want("PeerChange.endpoint", peer.endpoint, Endpoint, HostPort)
        if isinstance(peer.endpoint, Endpoint):
            _want_number("Endpoint.port", peer.endpoint.port, PORT_MAX)
            if pton(peer.endpoint.host.partition("%")[0]) is None:
                text = f"Endpoint.host must be an IP address, not {peer.endpoint.host!r}"
                raise ValueError(f"{text}; HostPort.parse takes names")
        for network in peer.allowed_ips:
            _want("PeerChange.allowed_ips", network, AllowedIP)
            if len(network.address) not in (4, 16):
                raise ValueError(f"AllowedIP.address has {len(network.address)} bytes, not 4 or 16")
            _want_number("AllowedIP.length", network.length, 8 * len(network.address))


def _want(name: str, value: object, *kinds: type) -> None:
    if value is not None and not isinstance(value, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{name} must be {wanted}, not {_kind(value)}")


def _want_number(name: str, value: object, most: int) -> None:
    _want(name, value, int)
    if isinstance(value, int) and not 0 <= value <= most:
        raise ValueError(f"{name} must be 0 to {most}, not {value}")


def _kind(value: object) -> str:
    return type(value).__name__


def _put_name(name: str, error: AccessError) -> None:
    """The interface before the system's text, which alone is what `wg` prints."""
    error.message = f"`{name}': {error.message}"
    error.args = (error.message,)


def differences(before: Device, after: Device) -> Iterator[Event]:
    """What is not the same, peers in the order of `after`, those that went last."""
    old = {peer.public_key: peer for peer in before.peers}
    for peer in after.peers:
        was = old.pop(peer.public_key, None)
        if was is None:
            yield Event("added", None, peer)
            continue
        if (peer.allowed_ips, peer.keepalive, peer.preshared_key) != (
            was.allowed_ips,
            was.keepalive,
            was.preshared_key,
        ):
            yield Event("settings", was, peer)
        if peer.endpoint != was.endpoint:
            yield Event("endpoint", was, peer)
        handshake = (peer.handshake_sec, peer.handshake_nsec)
        if handshake != (was.handshake_sec, was.handshake_nsec):
            yield Event("handshake", was, peer)
        if (peer.rx_bytes, peer.tx_bytes) != (was.rx_bytes, was.tx_bytes):
            yield Event("transfer", was, peer)
    for peer in old.values():
        yield Event("removed", peer, None)
