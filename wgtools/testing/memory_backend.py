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
        self._devices = {name: _Memory(name) for name in names}

    def list(self) -> list[str]:
        return list(self._devices)

    def exists(self, name: str) -> bool:
        return name in self._devices

    def get(self, name: str) -> Device:
        """A copy of the device.  Raises NoSuchInterface."""
        return self._device(name).copy()

    def set(self, name: str, change: DeviceChange) -> None:
        """Apply a change.  Raises NoSuchInterface."""
        self._device(name).apply(change)

    def _device(self, name: str) -> _Memory:
        try:
            return self._devices[name]
        except KeyError:
            raise NoSuchInterface(os.strerror(ENODEV), errno=ENODEV) from None


class _Memory:
    """One device: its settings, its peers by key, and whose each network is."""

    def __init__(self, name: str) -> None:
        self.device = Device(name)
        self.peers: dict[bytes, Peer] = {}
        self.owners: dict[AllowedIP, Peer] = {}

    def copy(self) -> Device:
        networks: dict[bytes, list[AllowedIP]] = {key: [] for key in self.peers}
        for network, owner in self.owners.items():
            networks[bytes(owner.public_key)].append(network)
        return Device(
            self.device.name,
            private_key=self.device.private_key,
            public_key=self.device.public_key,
            listen_port=self.device.listen_port,
            fwmark=self.device.fwmark,
            peers=[
                Peer(
                    peer.public_key,
                    preshared_key=peer.preshared_key,
                    endpoint=peer.endpoint,
                    keepalive=peer.keepalive,
                    allowed_ips=networks[key],
                )
                for key, peer in self.peers.items()
            ],
        )

    def apply(self, change: DeviceChange) -> None:
        if change.private_key is not None:
            self._set_private_key(change.private_key)
        if change.listen_port is not None:
            self.device.listen_port = change.listen_port
        if change.fwmark is not None:
            self.device.fwmark = change.fwmark
        if change.replace_peers:
            self.peers.clear()
            self.owners.clear()
        for wanted in change.peers:
            self._set_peer(wanted)

    def _set_private_key(self, key: Key) -> None:
        if key.is_zero:
            self.device.private_key = self.device.public_key = None
            return
        self.device.private_key = Key.from_entropy(bytes(key))  # clamped
        self.device.public_key = Key(public_key(bytes(key)))
        self._remove(bytes(self.device.public_key))

    def _remove(self, key: bytes) -> None:
        peer = self.peers.pop(key, None)
        if peer is not None:
            self._forget_networks(peer)

    def _forget_networks(self, peer: Peer) -> None:
        self.owners = {net: owner for net, owner in self.owners.items() if owner is not peer}

    def _set_peer(self, wanted: PeerChange) -> None:
        key = bytes(wanted.public_key)
        if wanted.remove:
            self._remove(key)
            return
        peer = self.peers.get(key)
        if peer is None:
            if wanted.update_only or wanted.public_key == self.device.public_key:
                return
            peer = self.peers[key] = Peer(wanted.public_key)
        elif wanted.replace_allowed_ips:
            self._forget_networks(peer)
        if wanted.preshared_key is not None:
            peer.preshared_key = None if wanted.preshared_key.is_zero else wanted.preshared_key
        if wanted.endpoint is not None:
            assert not isinstance(wanted.endpoint, HostPort), "endpoints are resolved before a set"
            peer.endpoint = wanted.endpoint
        if wanted.keepalive is not None:
            peer.keepalive = wanted.keepalive
        for network in wanted.allowed_ips:
            self._set_allowed_ip(peer, network)

    def _set_allowed_ip(self, peer: Peer, network: AllowedIP) -> None:
        size = len(network.address)
        host_bits = size * 8 - network.length
        number = int.from_bytes(network.address, "big") >> host_bits << host_bits
        plain = AllowedIP(number.to_bytes(size, "big"), network.length)
        if not network.remove:
            self.owners[plain] = peer
        elif self.owners.get(plain) is peer:
            del self.owners[plain]
