# SPDX-License-Identifier: MIT
"""A Windows that is not there: wireguard-nt's adapters, and daemons behind named pipes.

`windows.Backend(FakeWindows(...))` then behaves as on that system.  What a change does is
the business of `MemoryBackend`s.  The driver's bytes are written and read here anew, from
its public interface, so that the codec under test is not its own judge.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable

from wgtools.errors import AccessError
from wgtools.inet import ntop, pton
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, DeviceChange, Endpoint, HostPort, Peer, PeerChange
from wgtools.testing.memory_backend import MemoryBackend
from wgtools.uapi.server import RequestReader, errno_reply, get_reply

__all__ = ["FakePipe", "FakeWindows"]

GET, SET = 0xB098C506, 0xB098C509
INTERFACE, PEER, NETWORK = "<IH32s32sHII", "<II32s32sHH28sQQQII", "<16sHBBI"
PREFIX = "ProtectedPrefix\\Administrators\\WireGuard\\"
EPOCH = 11644473600


class FakeWindows:
    """`fail` makes the exception that the backend under test knows from its error number."""

    def __init__(
        self,
        fail: Callable[[int], Exception],
        *,
        adapters: tuple[str, ...] = (),
        daemons: tuple[str, ...] = (),
    ) -> None:
        self.fail = fail
        self.driver = MemoryBackend(*adapters)
        self.daemons = MemoryBackend(*daemons)
        self.owner = "S-1-5-18"
        self.denied = False
        self.rooms: list[int] = []  # what each reading of the driver offered
        self.opened: list[FakePipe] = []

    def adapters(self) -> list[tuple[str, str]]:
        return [(name, "\\\\?\\" + name) for name in self.driver.list()]

    def control(self, path: str, code: int, data: bytes) -> tuple[bytes, int]:
        if self.denied:
            raise self.fail(5)
        name = path.removeprefix("\\\\?\\")
        if code == SET:
            self.driver.set(name, _change(data))
            return data, 0
        self.rooms.append(len(data))
        reply = _reply(self.driver.get(name))
        if len(reply) > len(data):
            raise self.fail(234)
        return reply.ljust(len(data), b"\xaa"), len(reply)

    def scope_of(self, zone: str) -> int:
        return int(zone)

    def pipes(self) -> list[str]:
        return ["lsass", *(PREFIX + name for name in self.daemons.list()), PREFIX]

    def open_pipe(self, name: str) -> FakePipe:
        device = name.removeprefix(PREFIX)
        if self.denied:
            raise self.fail(5)
        if device not in self.daemons.list():
            raise self.fail(2)
        self.opened.append(FakePipe(self, device))
        return self.opened[-1]


class FakePipe:
    """One conversation with a daemon."""

    def __init__(self, windows: FakeWindows, device: str) -> None:
        self._windows = windows
        self._device = device
        self._reader = RequestReader()
        self.answers: deque[bytes] = deque()
        self.heard = b""
        self.closed = False

    def owner(self) -> str:
        return self._windows.owner

    def write(self, data: bytes) -> None:
        self.heard += data
        devices = self._windows.daemons
        for request in self._reader.feed(data):
            if request.is_get:
                self.answers.extend(get_reply(devices.get(self._device)))
                continue
            number = request.errno
            if request.change is not None:
                try:
                    devices.set(self._device, request.change)
                except AccessError as error:
                    number = error.errno
            self.answers.append(errno_reply(number))

    def read(self, size: int) -> bytes:
        if not self.answers:
            raise self._windows.fail(109)
        piece = self.answers.popleft()
        if piece[size:]:
            self.answers.appendleft(piece[size:])
        return piece[:size]

    def close(self) -> None:
        self.closed = True


# --- the driver's bytes ------------------------------------------------------------------


def _reply(device: Device) -> bytes:
    flags = (1 if device.public_key else 0) | (2 if device.private_key else 0)
    flags |= 4 if device.listen_port else 0
    keys = [bytes(key) if key else b"" for key in (device.private_key, device.public_key)]
    head = struct.pack(INTERFACE, flags, device.listen_port, *keys, 0, len(device.peers), 0)
    return head + b"".join(map(_peer, device.peers))


def _peer(peer: Peer) -> bytes:
    flags = 1 | (2 if peer.preshared_key else 0) | (4 if peer.keepalive else 0)
    flags |= 8 if peer.endpoint else 0
    ticks = (peer.handshake_sec + EPOCH) * 10**7 if peer.handshake_sec else 0
    head = struct.pack(
        PEER, flags, 1, bytes(peer.public_key),
        bytes(peer.preshared_key) if peer.preshared_key else b"", peer.keepalive, 0,
        _sockaddr(peer.endpoint) if peer.endpoint else b"",
        peer.tx_bytes, peer.rx_bytes, ticks, len(peer.allowed_ips), 0,
    )  # fmt: skip
    return head + b"".join(
        struct.pack(
            NETWORK, network.address, 2 if len(network.address) == 4 else 23, network.length, 0, 0
        )
        for network in peer.allowed_ips
    )


def _sockaddr(endpoint: Endpoint | HostPort) -> bytes:
    assert isinstance(endpoint, Endpoint)
    host, _, zone = endpoint.host.partition("%")
    packed, port = pton(host) or b"", endpoint.port.to_bytes(2, "big")
    if len(packed) == 4:
        return struct.pack("<H2s4s", 2, port, packed)
    return struct.pack("<H2sI16sI", 23, port, 0, packed, int(zone or 0))


def _change(data: bytes) -> DeviceChange:
    """What a request means; it must be used up exactly."""
    flags, port, private, _, _, count, _ = struct.unpack_from(INTERFACE, data)
    change = DeviceChange(
        private_key=Key(private) if flags & 2 else None,
        listen_port=port if flags & 4 else None,
        replace_peers=bool(flags & 8),
    )
    at = struct.calcsize(INTERFACE)
    for _ in range(count):
        peer, at = _peer_change(data, at)
        change.peers.append(peer)
    if at != len(data):
        raise AssertionError("a request is as long as what is in it")
    return change


def _peer_change(data: bytes, at: int) -> tuple[PeerChange, int]:
    flags, _, public, secret, keepalive, _, sockaddr, _, _, _, count, _ = struct.unpack_from(
        PEER, data, at
    )
    at += struct.calcsize(PEER)
    size = struct.calcsize(NETWORK)
    networks = [struct.unpack_from(NETWORK, data, at + size * i) for i in range(count)]
    peer = PeerChange(
        Key(public),
        preshared_key=Key(secret) if flags & 2 else None,
        keepalive=keepalive if flags & 4 else None,
        endpoint=_endpoint(sockaddr) if flags & 8 else None,
        replace_allowed_ips=bool(flags & 32),
        remove=bool(flags & 64),
        update_only=bool(flags & 128),
        allowed_ips=[
            AllowedIP(address[: {2: 4, 23: 16}[family]], length, remove=bool(bits & 1))
            for address, family, length, _, bits in networks
        ],
    )
    return peer, at + size * count


def _endpoint(data: bytes) -> Endpoint:
    family, port = struct.unpack_from("<H2s", data)
    number = int.from_bytes(port, "big")
    if family == 2:
        return Endpoint(ntop(data[4:8]), number)
    scope = int(struct.unpack_from("<I", data, 24)[0])
    return Endpoint(ntop(data[8:24]) + (f"%{scope}" if scope else ""), number)
