# SPDX-License-Identifier: MIT
"""What FreeBSD's kernel does otherwise than the model says, and how it is made good.

Pure: values in, values out; the `ioctl` module reads and writes.  Three things need a look
at the device before a change (BSD_IPC 2.4):

- No private key can be taken away: 32 zero bytes are clamped like any other and become a
  key that everybody knows.  A device that has a key gets a random one instead, which
  nobody is told, and which is shown as none.
- There is no "update only": peers that are not there are left out of the change.
- Kernels before FreeBSD 15 do not know how to remove one allowed IP: they add it and
  report success.  What is still there afterwards is removed by replacing the whole list.
"""

from __future__ import annotations

from _blake2 import blake2s

from wgtools.keys import KEY_SIZE, Key
from wgtools.model import AllowedIP, DeviceChange, PeerChange

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable

    from wgtools.model import Device

    Gone = dict[Key, set[AllowedIP]]  # whose allowed IPs must not be there any more

__all__ = ["Amended", "must_read", "repair", "shown"]

_SEED = 16  # random bytes of a discarded key; the rest follows from them


def must_read(change: DeviceChange) -> bool:
    """Whether the device must be read before this change can be made."""
    if change.private_key is not None and change.private_key.is_zero:
        return True
    return any(
        peer.update_only or any(item.remove for item in peer.allowed_ips) for peer in change.peers
    )


def shown(device: Device) -> Device:
    """The device as people shall see it: a discarded key is none."""
    if device.private_key is not None and _is_discarded(device.private_key):
        device.private_key = None
        device.public_key = None
    return device


def _discarded(entropy: Callable[[int], bytes]) -> Key:
    """A private key that nobody can know, and that `_is_discarded` can tell."""
    seed = bytes(Key.from_entropy(entropy(_SEED).ljust(KEY_SIZE, b"\0")))[:_SEED]
    return Key.from_entropy(seed + _tail(seed))


def _is_discarded(key: Key) -> bool:
    seed = bytes(key)[:_SEED]
    return key == Key.from_entropy(seed + _tail(seed))


def _tail(seed: bytes) -> bytes:
    return blake2s(seed, digest_size=KEY_SIZE - _SEED, person=b"wg no-id").digest()


class Amended:
    """A change as this kernel can carry it out on the device that was read.

    `change` is what to send, `gone` what the kernel may fail to remove.
    """

    __slots__ = ("_held", "_owners", "change", "gone")

    def __init__(
        self, change: DeviceChange, device: Device, *, entropy: Callable[[int], bytes]
    ) -> None:
        self.gone: Gone = {}
        # Whose each network is, and the networks of each, as the change goes on.
        self._owners: dict[AllowedIP, Key] = {}
        self._held: dict[Key, set[AllowedIP]] = {}
        for present in [] if change.replace_peers else device.peers:
            self._held[present.public_key] = set()
            for item in present.allowed_ips:
                self._give(_masked(item), present.public_key)
        self.change = DeviceChange(
            private_key=_private_key(change.private_key, device, entropy),
            listen_port=change.listen_port,
            fwmark=change.fwmark,
            replace_peers=change.replace_peers,
            peers=[self._follow(peer) for peer in change.peers if self._makes_sense(peer)],
        )

    def _makes_sense(self, peer: PeerChange) -> bool:
        """Whether anything is to be done: "update only" needs a peer to update."""
        return not peer.update_only or peer.public_key in self._held

    def _follow(self, peer: PeerChange) -> PeerChange:
        """Keeps account of the networks; the peer's change without removals that an older
        kernel would turn into taking the network away from another peer."""
        key = peer.public_key
        if peer.remove or peer.replace_allowed_ips:
            for network in self._held.pop(key, set()):
                del self._owners[network]
        if peer.remove:
            return peer
        self._held.setdefault(key, set())
        return PeerChange(
            key,
            preshared_key=peer.preshared_key,
            endpoint=peer.endpoint,
            keepalive=peer.keepalive,
            replace_allowed_ips=peer.replace_allowed_ips,
            allowed_ips=[item for item in peer.allowed_ips if self._follow_network(item, key)],
        )

    def _follow_network(self, item: AllowedIP, key: Key) -> bool:
        """Whether to send it."""
        network = _masked(item)
        if not item.remove:
            self._give(network, key)
            return True
        if self._owners.get(network, key) != key:
            return False  # another peer's: there is nothing to remove
        self._owners.pop(network, None)
        self._held[key].discard(network)
        self.gone.setdefault(key, set()).add(network)
        return True

    def _give(self, network: AllowedIP, key: Key) -> None:
        before = self._owners.get(network)
        if before is not None:
            self._held[before].discard(network)
        self._owners[network] = key
        self._held[key].add(network)
        if key in self.gone:
            self.gone[key].discard(network)


def repair(device: Device, gone: Gone) -> DeviceChange | None:
    """What removes the networks that are still there; None if none is."""
    peers = []
    for peer in device.peers:
        unwanted = gone.get(peer.public_key, set())
        left = [item for item in peer.allowed_ips if _masked(item) not in unwanted]
        if len(left) < len(peer.allowed_ips):
            left.reverse()  # the kernel puts each in front of those before it
            peers.append(PeerChange(peer.public_key, replace_allowed_ips=True, allowed_ips=left))
    return DeviceChange(peers=peers) if peers else None


def _private_key(wanted: Key | None, device: Device, entropy: Callable[[int], bytes]) -> Key | None:
    if wanted is None or not wanted.is_zero:
        return wanted
    before = device.private_key
    if device.public_key is None or (before is not None and _is_discarded(before)):
        return None  # it has none already
    return _discarded(entropy)


def _masked(item: AllowedIP) -> AllowedIP:
    """The network alone: host bits cleared, as the kernel keeps it."""
    size = len(item.address)
    spare = size * 8 - item.length
    number = int.from_bytes(item.address, "big") >> spare << spare
    return AllowedIP(number.to_bytes(size, "big"), item.length)
