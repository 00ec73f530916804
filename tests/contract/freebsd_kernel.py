# SPDX-License-Identifier: MIT
"""FreeBSD's kernel as far as the backend meets it: interface ioctls on an address space.

Not a mock: it keeps devices by the rules of BSD_IPC 2 and 4, which tests/vectors holds to
what the real wgc_set() and wgc_get() did.  The numbers are written out here, so that a
wrong one in the backend meets nobody.  A request that would be a null dereference there
is an AssertionError here.
"""

from __future__ import annotations

import errno
import os
import struct
from collections import deque
from typing import Any

from wgtools.crypto.x25519 import public_key
from wgtools.errors import ProtocolError
from wgtools.keys import Key
from wgtools_backends.bsd.control import Control
from wgtools_backends.bsd.layout import LP64, Layout
from wgtools_backends.freebsd import nvlist

Pairs = dict[bytes, Any]
Network = tuple[bytes, bytes, int]  # b"ipv4" or b"ipv6", address, prefix length

# BSD_IPC 1.1; by the size of a word
SIOCSWG = {8: 0xC02069D2, 4: 0xC01869D2}
SIOCGWG = {8: 0xC02069D3, 4: 0xC01869D3}
SIOCGIFGMEMB = {8: 0xC028698A, 4: 0xC024698A}
INT32_MAX = 2147483647


class KernelPanic(AssertionError):
    """What the kernel would not have survived."""


def refuse(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class Peer:
    def __init__(self, key: bytes) -> None:
        self.key = key
        self.preshared = bytes(32)
        self.endpoint = b""
        self.handshake = (0, 0)
        self.keepalive = self.rx = self.tx = 0
        self.networks: list[Network] = []  # newest first


class Interface:
    """A WireGuard interface."""

    def __init__(self) -> None:
        self.port = self.cookie = 0
        self.private: bytes | None = None
        self.peers: dict[bytes, Peer] = {}
        self.canned: bytes | None = None  # said instead of what is

    @property
    def public(self) -> bytes | None:
        return None if self.private is None else public_key(self.private)

    def set_private(self, raw: bytes) -> None:
        self.private = bytes(Key.from_entropy(raw))  # clamped, whatever it is
        self.peers.pop(public_key(self.private), None)

    def add_network(self, peer: Peer, network: Network) -> None:
        kind, address, length = network
        spare = len(address) * 8 - length
        number = int.from_bytes(address, "big") >> spare << spare
        network = (kind, number.to_bytes(len(address), "big"), length)
        if network not in peer.networks:
            for other in self.peers.values():
                if network in other.networks:
                    other.networks.remove(network)
            peer.networks.insert(0, network)

    def remove_network(self, peer: Peer, network: Network) -> None:
        probe = Interface()
        probe.add_network(scratch := Peer(b""), network)  # masks
        if scratch.networks[0] in peer.networks:
            peer.networks.remove(scratch.networks[0])


class FreeBSDKernel:
    """Interfaces and their ioctls.  Faults put into `faults` are raised by the next calls
    one by one (None: nothing happens)."""

    def __init__(
        self,
        *names: str,
        layout: Layout = LP64,
        removes_networks: bool = False,  # FreeBSD 15 does
        privileged: bool = True,
    ) -> None:
        self.layout = layout
        self.word = layout.word
        self.removes_networks = removes_networks
        self.privileged = privileged
        self.interfaces: dict[str, Interface | None] = {name: Interface() for name in names}
        self.memory: dict[int, bytearray] = {}
        self.faults: deque[Exception | None] = deque()
        self.log: list[str] = []
        self.requests: list[bytes] = []
        self.open_sockets = 0
        self.grow: list[Peer] = []  # peers that arrive after the next answer about a size

    def control(self) -> Control:
        return Control(
            ioctl=self.ioctl, connect=self.connect, allocate=self.allocate, layout=self.layout
        )

    def interface(self, name: str = "wg0") -> Interface:
        found = self.interfaces[name]
        assert found is not None
        return found

    # --- the edge -------------------------------------------------------------------

    def connect(self) -> FakeSocket:
        self.open_sockets += 1
        return FakeSocket(self)

    def allocate(self, data: bytes) -> FakeMemory:
        address = 0x10000 + 0x1000000 * len(self.memory)
        self.memory[address] = bytearray(data)
        return FakeMemory(self.memory[address], address)

    def ioctl(self, fd: int, number: int, argument: bytearray, mutate: bool) -> int:
        assert (fd, mutate) == (7, True)
        if self.faults and (fault := self.faults.popleft()):
            raise fault
        if number == SIOCGIFGMEMB[self.word]:
            self._members(argument)
        elif number in (SIOCGWG[self.word], SIOCSWG[self.word]):
            self._wireguard(number, argument)
        else:
            raise refuse(errno.ENOTTY)
        return 0

    def _members(self, argument: bytearray) -> None:
        form = "=16sI4xQ8x" if self.word == 8 else "=16sII12x"
        assert len(argument) == struct.calcsize(form)
        group, size, address = struct.unpack(form, argument)
        assert group == b"wg".ljust(16, b"\0")
        if not self.interfaces:
            raise refuse(errno.ENOENT)
        names = [name for name, found in self.interfaces.items() if found]
        listed = b"".join(os.fsencode(name).ljust(16, b"\0") for name in names)
        if size:
            if size < len(listed):
                raise refuse(errno.EINVAL)
            self.memory[address][: len(listed)] = listed
        argument[16:20] = struct.pack("=I", len(listed))

    def _wireguard(self, number: int, argument: bytearray) -> None:
        form = "=16sQQ" if self.word == 8 else "=16sII"
        assert len(argument) == struct.calcsize(form)
        raw, address, size = struct.unpack(form, argument)
        name = os.fsdecode(raw.partition(b"\0")[0])
        said = "SIOCSWG" if number == SIOCSWG[self.word] else "SIOCGWG"
        line = f"{said} {number:#x} name={name}"
        if name not in self.interfaces:
            raise refuse(errno.ENXIO)
        found = self.interfaces[name]
        if found is None:
            raise refuse(errno.ENOTTY)
        if said == "SIOCSWG":
            self.log.append(f"{line} size={size}")
            payload = bytes(self.memory[address][:size]) if address else b""
            self.requests.append(payload)
            self.set(found, payload)
            return
        line += f" size_in={size} data={'ptr' if address else 'NULL'}"
        reply, needed = self.get(found, size)
        self.log.append(f"{line} -> rc=0 size_out={needed}")
        if address:
            self.memory[address][: len(reply)] = reply
        struct.pack_into("=Q" if self.word == 8 else "=I", argument, 16 + self.word, needed)

    # --- wgc_get --------------------------------------------------------------------

    def get(self, found: Interface, size: int) -> tuple[bytes, int]:
        """The bytes that are copied out, and the size that is said.  Raises OSError."""
        whole = nvlist.pack(self.state(found)) if found.canned is None else found.canned
        if size == 0:
            for peer in self.grow:
                found.peers[peer.key] = peer
            self.grow.clear()
            return b"", len(whole)
        if size < len(whole):
            raise refuse(errno.ENOSPC)
        return whole, len(whole)

    def state(self, found: Interface) -> Pairs:
        pairs: Pairs = {}
        if found.port:
            pairs[b"listen-port"] = found.port
        if found.cookie:
            pairs[b"user-cookie"] = found.cookie
        if found.private is not None:
            pairs[b"public-key"] = found.public
            if self.privileged:
                pairs[b"private-key"] = found.private
        if found.peers:
            pairs[b"peers"] = [self._peer_state(peer) for peer in found.peers.values()]
        return pairs

    def _peer_state(self, peer: Peer) -> Pairs:
        pairs: Pairs = {b"public-key": peer.key}
        if self.privileged:
            pairs[b"preshared-key"] = peer.preshared
        size = {2: 16, 28: 28}.get(peer.endpoint[1] if len(peer.endpoint) > 1 else 0)
        if size:  # of a family it knows
            pairs[b"endpoint"] = peer.endpoint[:size].ljust(size, b"\0")
        pairs[b"last-handshake-time"] = struct.pack("=qq", *peer.handshake)
        pairs[b"persistent-keepalive-interval"] = peer.keepalive
        pairs[b"rx-bytes"] = peer.rx
        pairs[b"tx-bytes"] = peer.tx
        if peer.networks:
            pairs[b"allowed-ips"] = [
                {kind: address, b"cidr": length} for kind, address, length in peer.networks
            ]
        return pairs

    # --- wgc_set --------------------------------------------------------------------

    def set(self, found: Interface, payload: bytes) -> None:
        """Applies in order, and leaves what was applied where it stops.  Raises OSError."""
        if not self.privileged:
            raise refuse(errno.EPERM)
        if not payload:
            raise refuse(errno.EFAULT)
        if len(payload) >= INT32_MAX:
            raise refuse(errno.E2BIG)
        try:
            pairs = nvlist.unpack(payload)
        except ProtocolError as error:
            raise refuse(errno.EBADMSG) from error
        if pairs.get(b"replace-peers") is True:
            found.peers.clear()
        if (port := _number(pairs, b"listen-port", 65535)) is not None:
            found.port = port
        if (key := _binary(pairs, b"private-key", 32)) is not None:
            found.set_private(key)
        if (cookie := _number(pairs, b"user-cookie", 0xFFFFFFFF)) is not None:
            found.cookie = cookie
        peers = pairs.get(b"peers")
        if isinstance(peers, list) and isinstance(peers[0], dict):
            for wanted in peers:
                self._set_peer(found, wanted)

    def _set_peer(self, found: Interface, wanted: Pairs) -> None:
        key = _binary(wanted, b"public-key", 32)
        if key is None:
            raise refuse(errno.EINVAL)
        if key == found.public:
            return
        if wanted.get(b"remove") is True:
            found.peers.pop(key, None)
            return
        new = key not in found.peers
        try:
            self._change_peer(found, found.peers.setdefault(key, Peer(key)), wanted)
        except OSError as error:
            if new:
                raise KernelPanic("a wrong value in a peer that was not there") from error
            raise

    def _change_peer(self, found: Interface, peer: Peer, wanted: Pairs) -> None:
        if wanted.get(b"replace-allowedips") is True:
            peer.networks.clear()
        endpoint = wanted.get(b"endpoint")
        if isinstance(endpoint, bytes):
            if len(endpoint) > 28:
                raise refuse(errno.EINVAL)
            peer.endpoint = endpoint + peer.endpoint[len(endpoint) :]  # whatever it is
        if (preshared := _binary(wanted, b"preshared-key", 32)) is not None:
            peer.preshared = preshared
        interval = _number(wanted, b"persistent-keepalive-interval", 65535)
        if interval is not None:
            peer.keepalive = interval
        networks = wanted.get(b"allowed-ips")
        if isinstance(networks, list) and isinstance(networks[0], dict):
            for item in networks:
                self._set_network(found, peer, item)

    def _set_network(self, found: Interface, peer: Peer, item: Pairs) -> None:
        length = item.get(b"cidr")
        kind = b"ipv4" if isinstance(item.get(b"ipv4"), bytes) else b"ipv6"
        address = item.get(kind)
        if type(length) is not int or not isinstance(address, bytes):
            return
        if len(address) != {b"ipv4": 4, b"ipv6": 16}[kind] or length > len(address) * 8:
            raise refuse(errno.EINVAL)
        if self.removes_networks and item.get(b"flags") == 1:
            found.remove_network(peer, (kind, address, length))
        else:
            found.add_network(peer, (kind, address, length))


def _number(pairs: Pairs, name: bytes, most: int) -> int | None:
    value = pairs.get(name)
    if type(value) is not int:
        return None
    if value > most:
        raise refuse(errno.EINVAL)
    return value


def _binary(pairs: Pairs, name: bytes, size: int) -> bytes | None:
    value = pairs.get(name)
    if not isinstance(value, bytes):
        return None
    if len(value) != size:
        raise refuse(errno.EINVAL)
    return value


class FakeSocket:
    def __init__(self, kernel: FreeBSDKernel) -> None:
        self._kernel = kernel

    def fileno(self) -> int:
        return 7

    def close(self) -> None:
        self._kernel.open_sockets -= 1


class FakeMemory:
    def __init__(self, content: bytearray, address: int) -> None:
        self._content = content
        self.address = address

    def read(self, size: int) -> bytes:
        return bytes(self._content[:size])
