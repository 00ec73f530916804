# SPDX-License-Identifier: MIT
"""An OpenBSD kernel that is not there: it answers ioctls on real bytes in memory.

`Backend(ioctl=FakeOpenBSD(devices).ioctl, release=...)` then behaves as on that system.
What a change does is the business of `devices`, usually a MemoryBackend.  The bytes are
written and read here anew, from net/if_wg.h as 64-bit compilers lay it out, so that the
codec under test is not its own judge.  Only for processes with 64-bit pointers.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from typing import TYPE_CHECKING

from wgtools.errors import AccessError
from wgtools.inet import ntop, pton
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, DeviceChange, Endpoint, HostPort, Peer, PeerChange

if TYPE_CHECKING:
    from wgtools.ipc import Backend

__all__ = ["FakeOpenBSD"]

SIOCSWG, SIOCGWG, SIOCGIFGMEMB = 0xC02069D2, 0xC02069D3, 0xC028698A
INTERFACE, NETWORK, DATA_IO = "=BxHi32s32sQ", "=B3xi16s", "=16sQQ"
PEER = {False: "=ii32s32sH2x28sQQqqQ", True: "=ii32s32sH2x28sQQqq64sQ"}


class FakeOpenBSD:
    """Answers SIOCGWG, SIOCSWG and SIOCGIFGMEMB; see the attributes for what differs."""

    def __init__(self, devices: Backend, *, described: bool = True) -> None:
        self.devices = devices
        self.described = described  # the layout since 7.4
        self.steps_over = True  # a peer that is skipped, as kernels do that are in order
        self.privileged = True
        self.group = True  # whether there ever was an interface of the kind
        self.growth = 0  # how many replies will turn out larger than was said before
        self.calls: list[tuple[int, str, int]] = []  # number, name, size given
        self.requests: list[bytes] = []  # what was set

    def ioctl(self, _fd: int, number: int, argument: bytearray, _mutate: bool = True) -> int:
        """As fcntl.ioctl: changes the argument, raises OSError."""
        if number == SIOCGIFGMEMB:
            self._members(argument)
            return 0
        if number not in (SIOCGWG, SIOCSWG):
            raise OSError(errno.ENOTTY, "no such call")
        raw, size, address = struct.unpack(DATA_IO, argument)
        name = raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        self.calls.append((number, name, size))
        try:
            if number == SIOCGWG:
                struct.pack_into("=Q", argument, 16, self._get(name, size, address))
            else:
                self._set(name, ctypes.string_at(address, size) if size else b"")
        except AccessError as error:
            known = errno.ENXIO if error.errno == errno.ENODEV else error.errno
            raise OSError(known, error.message) from error
        return 0

    def _members(self, argument: bytearray) -> None:
        if not self.group:
            raise OSError(errno.ENOENT, "no such group")
        size, address = struct.unpack_from("=I4xQ", argument, 16)
        names = b"".join(
            name.encode("utf-8", "surrogateescape").ljust(16, b"\0") for name in self.devices.list()
        )
        if size:
            if size < len(names):
                raise OSError(errno.EINVAL, "too small")
            ctypes.memmove(address, names, len(names))
        struct.pack_into("=I", argument, 16, len(names))

    def _get(self, name: str, size: int, address: int) -> int:
        """Never an error for too little room: only what would be needed."""
        device = self.devices.get(name)
        data = self.reply(device)
        if size and self.growth:
            self.growth -= 1
            return max(size, len(data)) + 24
        if len(data) <= size:
            ctypes.memmove(address, data, len(data))
        return len(data)

    def reply(self, device: Device) -> bytes:
        """What the kernel writes about a device."""
        flags = (4 if device.listen_port else 0) | (8 if device.fwmark else 0)
        rtable = struct.unpack("=i", struct.pack("=I", device.fwmark))[0]
        if not self.privileged:
            return struct.pack(INTERFACE, flags, device.listen_port, rtable, b"", b"", 0)
        flags |= 3 if device.private_key else 0
        public = bytes(device.public_key) if device.public_key else b""
        private = bytes(device.private_key) if device.private_key else b""
        head = struct.pack(
            INTERFACE, flags, device.listen_port, rtable, public, private, len(device.peers)
        )
        return head + b"".join(map(self._peer, device.peers))

    def _peer(self, peer: Peer) -> bytes:
        flags = 1 | (2 if peer.preshared_key else 0) | (4 if peer.keepalive else 0)
        flags |= 8 if peer.endpoint else 0
        fields = (
            flags, 1, bytes(peer.public_key),
            bytes(peer.preshared_key) if peer.preshared_key else b"",
            peer.keepalive, _sockaddr(peer.endpoint) if peer.endpoint else b"",
            peer.tx_bytes, peer.rx_bytes, peer.handshake_sec, peer.handshake_nsec,
        )  # fmt: skip
        described = (b"a description",) if self.described else ()
        head = struct.pack(PEER[self.described], *fields, *described, len(peer.allowed_ips))
        return head + b"".join(map(_network, peer.allowed_ips))

    def _set(self, name: str, data: bytes) -> None:
        if not self.privileged:
            raise OSError(errno.EPERM, "not root")
        self.devices.get(name)
        self.requests.append(data)
        self.devices.set(name, self.change(data))

    def change(self, data: bytes) -> DeviceChange:
        """What a request means; it must be used up exactly."""
        flags, port, rtable, _, private, count = struct.unpack_from(INTERFACE, data)
        change = DeviceChange(
            private_key=Key(private) if flags & 2 else None,
            listen_port=port if flags & 4 else None,
            fwmark=rtable & 0xFFFFFFFF if flags & 8 else None,
            replace_peers=bool(flags & 16),
        )
        at = struct.calcsize(INTERFACE)
        for _ in range(count):
            peer, end = self._peer_change(data, at)
            change.peers.append(peer)
            if self.steps_over or not (peer.remove or peer.update_only):
                at = end
        if self.steps_over and at != len(data):
            raise AssertionError("a request is as long as what is in it")
        return change

    def _peer_change(self, data: bytes, at: int) -> tuple[PeerChange, int]:
        layout = PEER[self.described]
        flags, version, public, secret, keepalive, sockaddr, *_, count = struct.unpack_from(
            layout, data, at
        )
        if version > 1:
            raise OSError(errno.EPFNOSUPPORT, "a protocol of the future")
        if not flags & 1:
            raise AssertionError("kernels are confused by peers without a key")
        at += struct.calcsize(layout)
        networks = [struct.unpack_from(NETWORK, data, at + 24 * i) for i in range(count)]
        peer = PeerChange(
            Key(public),
            preshared_key=Key(secret) if flags & 2 else None,
            keepalive=keepalive if flags & 4 else None,
            endpoint=_endpoint(sockaddr) if flags & 8 else None,
            replace_allowed_ips=bool(flags & 16),
            remove=bool(flags & 32),
            update_only=bool(flags & 64),
            allowed_ips=[
                AllowedIP(address[: {2: 4, 24: 16}[family]], length)
                for family, length, address in networks
            ],
        )
        return peer, at + 24 * count


def _network(network: AllowedIP) -> bytes:
    family = 2 if len(network.address) == 4 else 24
    return struct.pack(NETWORK, family, network.length, network.address)


def _sockaddr(endpoint: Endpoint | HostPort) -> bytes:
    assert isinstance(endpoint, Endpoint)
    host, _, zone = endpoint.host.partition("%")
    packed = pton(host) or b""
    port = endpoint.port.to_bytes(2, "big")
    if len(packed) == 4:
        return struct.pack("=BB2s4s8x", 16, 2, port, packed)
    return struct.pack("=BB2sI16sI", 28, 24, port, 0, packed, int(zone or 0))


def _endpoint(data: bytes) -> Endpoint:
    port = int.from_bytes(data[2:4], "big")
    if data[:2] == b"\x10\x02":
        return Endpoint(ntop(data[4:8]), port)
    if data[:2] != b"\x1c\x18":
        raise OSError(errno.EINVAL, "no address")
    scope = int(struct.unpack_from("=I", data, 24)[0])
    return Endpoint(ntop(data[8:24]) + (f"%{scope}" if scope else ""), port)
