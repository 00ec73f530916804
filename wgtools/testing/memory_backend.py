# SPDX-License-Identifier: MIT
"""A Backend whose devices live in memory: what a kernel or a daemon would make of a change.

No packets flow, so nobody ever shakes hands.  The rules are the ones all implementations
share: zero clears, addresses are masked, a network belongs to the peer that got it last, a
device is no peer of itself.  tests/contract holds it to the same suite as the real ones.
"""

from __future__ import annotations

import os
from errno import ENODEV

from wgtools.crypto.x25519 import public_key
from wgtools.errors import NoSuchInterface
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, DeviceChange, HostPort, Peer, PeerChange

__all__ = ["MemoryBackend"]


class MemoryBackend:
    """Devices of the given names, with nothing set."""

    def __init__(self, *names: str) -> None:
        self._devices = {name: Device(name) for name in names}

    def list(self) -> list[str]:
        return list(self._devices)

    def exists(self, name: str) -> bool:
        return name in self._devices

    def get(self, name: str) -> Device:
        """A copy of the device.  Raises NoSuchInterface."""
        device = self._device(name)
        return Device(
            name,
            private_key=device.private_key,
            public_key=device.public_key,
            listen_port=device.listen_port,
            fwmark=device.fwmark,
            peers=[_copy(peer) for peer in device.peers],
        )

    def set(self, name: str, change: DeviceChange) -> None:
        """Apply a change.  Raises NoSuchInterface."""
        device = self._device(name)
        if change.private_key is not None:
            _set_private_key(device, change.private_key)
        if change.listen_port is not None:
            device.listen_port = change.listen_port
        if change.fwmark is not None:
            device.fwmark = change.fwmark
        if change.replace_peers:
            device.peers.clear()
        for wanted in change.peers:
            _set_peer(device, wanted)

    def _device(self, name: str) -> Device:
        try:
            return self._devices[name]
        except KeyError:
            raise NoSuchInterface(os.strerror(ENODEV), errno=ENODEV) from None


def _copy(peer: Peer) -> Peer:
    return Peer(
        peer.public_key,
        preshared_key=peer.preshared_key,
        endpoint=peer.endpoint,
        keepalive=peer.keepalive,
        allowed_ips=list(peer.allowed_ips),
    )


def _set_private_key(device: Device, key: Key) -> None:
    if key.is_zero:
        device.private_key = device.public_key = None
        return
    device.private_key = Key.from_entropy(bytes(key))  # clamped
    device.public_key = Key(public_key(bytes(key)))
    device.peers = [peer for peer in device.peers if peer.public_key != device.public_key]


def _set_peer(device: Device, wanted: PeerChange) -> None:
    found = [peer for peer in device.peers if peer.public_key == wanted.public_key]
    if wanted.remove:
        device.peers = [peer for peer in device.peers if peer not in found]
        return
    if found:
        (peer,) = found
    elif wanted.update_only or wanted.public_key == device.public_key:
        return
    else:
        peer = Peer(wanted.public_key)
        device.peers.append(peer)
    if wanted.preshared_key is not None:
        peer.preshared_key = None if wanted.preshared_key.is_zero else wanted.preshared_key
    if wanted.endpoint is not None:
        assert not isinstance(wanted.endpoint, HostPort), "endpoints are resolved before a set"
        peer.endpoint = wanted.endpoint
    if wanted.keepalive is not None:
        peer.keepalive = wanted.keepalive
    if wanted.replace_allowed_ips:
        peer.allowed_ips.clear()
    for network in wanted.allowed_ips:
        _set_allowed_ip(device, peer, network)


def _set_allowed_ip(device: Device, peer: Peer, network: AllowedIP) -> None:
    bits = len(network.address) * 8
    number = int.from_bytes(network.address, "big") >> bits - network.length
    masked = (number << bits - network.length).to_bytes(len(network.address), "big")
    plain = AllowedIP(masked, network.length)
    owners = [peer] if network.remove else device.peers
    for owner in owners:
        if plain in owner.allowed_ips:
            owner.allowed_ips.remove(plain)
    if not network.remove:
        peer.allowed_ips.append(plain)
