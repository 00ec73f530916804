# SPDX-License-Identifier: MIT
"""A kernel with WireGuard that is not there: it speaks real netlink bytes in memory.

`Backend(connect=FakeKernel(devices).connect)` then behaves as on a machine with the
module.  What devices there are and what a change does to them is the business of
`devices`, any backend, usually a MemoryBackend.  The bytes are written and read here
anew, from linux/wireguard.h, so that the codec under test is not its own judge; order
and cutting are those of Linux 6.1.  Faults are switched on by attributes.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from wgtools.errors import AccessError
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, DeviceChange, Endpoint, Peer, PeerChange

if TYPE_CHECKING:
    from wgtools.ipc import Backend

__all__ = ["FakeKernel", "FakeSocket", "attribute", "attributes", "generic", "message", "networks"]

PORT = 4242  # what every socket is bound to
FAMILY = 0x1C
ROUTE, GENERIC = 0, 16
ERROR, DONE, NEW_LINK, GET_LINK = 2, 3, 16, 18
MULTI, INTERRUPTED, DUMP, CAPPED, ACK_TLVS = 0x2, 0x10, 0x300, 0x100, 0x200
NESTED = 0x8000
GET_DEVICE, SET_DEVICE = 0, 1


class FakeKernel:
    """Answers requests as Linux 6.1 does; see the attributes for what can go wrong."""

    def __init__(
        self, devices: Backend, *, links: Sequence[tuple[str, str]] = (("lo", ""), ("eth0", ""))
    ) -> None:
        self.devices = devices
        self.links = list(links)  # the links that are no WireGuard devices: name, kind
        self.module = True  # whether the family exists
        self.privileged = True  # whether the caller has CAP_NET_ADMIN
        self.interruptions = 0  # how many dumps from now on will be flagged as interrupted
        self.vanish_after = -1  # messages of a dump until the device is gone
        self.done_error = 0  # an errno that ends every dump
        self.words = ""  # what the kernel adds to its errors
        self.message_size = 4096  # where the messages of a dump are cut
        # What the next reads give in place of the next datagram: an error to raise, or a
        # function of the datagram; None lets one pass.
        self.reads: deque[Exception | Callable[[bytes], bytes] | None] = deque()
        self.sends: deque[Exception | None] = deque()
        self.requests: list[bytes] = []  # everything sent, in order
        self.opened = self.closed = 0

    def connect(self, protocol: int) -> FakeSocket:
        """A netlink socket to this kernel."""
        self.opened += 1
        return FakeSocket(self, protocol)

    def answer(self, protocol: int, request: bytes) -> Iterator[bytes]:
        """The datagrams that answer one request."""
        self.requests.append(request)
        length, kind, flags, sequence, _ = struct.unpack_from("=IHHII", request)
        if length != len(request):
            raise AssertionError("a request's length must be its own")
        try:
            if protocol == ROUTE and kind == GET_LINK:
                yield from self._multipart(self._dump_links(), NEW_LINK, sequence)
            elif protocol == GENERIC and kind == GENERIC:
                yield message(GENERIC, 0, sequence, self._controller(request[20:]))
                yield self._error(request, 0)
            elif protocol == GENERIC and kind == FAMILY:
                yield from self._wireguard(request, flags, sequence)
            else:
                raise OSError(errno.EOPNOTSUPP, "unknown request")
        except (OSError, AccessError) as error:
            yield self._error(request, error.errno or errno.EPROTO)

    def _error(self, request: bytes, number: int) -> bytes:
        flags, words = CAPPED, b""
        if number and self.words:
            flags, words = flags | ACK_TLVS, attribute(1, self.words.encode() + b"\0")
        body = struct.pack("=i", -number) + request[:16] + words
        return message(ERROR, flags, _sequence(request), body)

    def _multipart(self, payloads: Iterator[bytes], kind: int, sequence: int) -> Iterator[bytes]:
        flags = MULTI
        if self.interruptions:
            self.interruptions -= 1
            flags |= INTERRUPTED
        number = self.done_error
        for count, payload in enumerate(payloads):
            if count == self.vanish_after:
                number = errno.ENODEV
                break
            yield message(kind, flags, sequence, payload)
        yield message(DONE, flags, sequence, struct.pack("=i", -number))

    def _dump_links(self) -> Iterator[bytes]:
        links = [*self.links, *((name, "wireguard") for name in self.devices.list())]
        for index, (name, kind) in enumerate(links, 1):
            info = attribute(18, attribute(1, kind.encode() + b"\0")) if kind else b""
            header = struct.pack("=BxHiII", 0, 1, index, 0, 0)
            yield header + attribute(3, name.encode("utf-8", "surrogateescape") + b"\0") + info

    def _controller(self, body: bytes) -> bytes:
        name = dict(attributes(body)).get(2, b"")
        if not self.module or name != b"wireguard\0":
            raise OSError(errno.ENOENT, "no such family")
        number = attribute(1, struct.pack("=H", FAMILY))
        return generic(1, 2, attribute(2, name) + number + attribute(3, struct.pack("=I", 1)))

    def _wireguard(self, request: bytes, flags: int, sequence: int) -> Iterator[bytes]:
        command, version = request[16:18]
        if not self.privileged:
            raise OSError(errno.EPERM, "not permitted")
        if version != 1:
            raise OSError(errno.EOPNOTSUPP, "version")
        body = request[20:]
        name = self.known(dict(attributes(body)).get(2, b""))
        if command == GET_DEVICE and flags & DUMP == DUMP:
            payloads = iter([generic(0, 1, part) for part in self.dump(name)])
            yield from self._multipart(payloads, FAMILY, sequence)
        elif command == SET_DEVICE:
            self.change(name, body)
            yield self._error(request, 0)
        else:
            raise OSError(errno.EOPNOTSUPP, "command")

    def known(self, raw: bytes) -> str:
        """The name of the device that is meant."""
        name = raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        if name in dict(self.links):
            raise OSError(errno.EOPNOTSUPP, "not a WireGuard interface")
        return name

    def dump(self, name: str) -> list[bytes]:
        """The attributes of each message that describes one device."""
        return _cut(self.devices.get(name), self.message_size)

    def change(self, name: str, body: bytes) -> None:
        """Do what one SET_DEVICE asks for."""
        self.devices.set(name, _change(body))


class FakeSocket:
    """What the backend uses of `_socket.socket`."""

    def __init__(self, kernel: FakeKernel, protocol: int) -> None:
        self._kernel = kernel
        self._protocol = protocol
        self._waiting: deque[bytes] = deque()

    def send(self, data: bytes, /) -> int:
        if self._kernel.sends and (fault := self._kernel.sends.popleft()):
            raise fault
        self._waiting.extend(self._kernel.answer(self._protocol, data))
        return len(data)

    def recvmsg(
        self, size: int, /
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, tuple[int, int]]:
        fault = self._kernel.reads.popleft() if self._kernel.reads else None
        if isinstance(fault, Exception):
            raise fault
        if not self._waiting:
            raise AssertionError("this read would wait for ever")
        data = self._waiting.popleft()
        if fault:
            data = fault(data)
        return data[:size], [], 0x20 if len(data) > size else 0, (0, 0)

    def getsockname(self) -> tuple[int, int]:
        return PORT, 0

    def close(self) -> None:
        self._kernel.closed += 1


# --- bytes -------------------------------------------------------------------------------


def message(kind: int, flags: int, sequence: int, payload: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(payload), kind, flags, sequence, PORT) + payload


def generic(command: int, version: int, body: bytes) -> bytes:
    return struct.pack("=BBH", command, version, 0) + body


def attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def attributes(body: bytes) -> list[tuple[int, bytes]]:
    """Types, their flags taken off, and payloads.  A request must be well formed."""
    found, at = [], 0
    while at < len(body):
        length, kind = struct.unpack_from("=HH", body, at)
        if length < 4 or at + length > len(body):
            raise AssertionError("an attribute's length is wrong")
        found.append((kind & 0x3FFF, body[at + 4 : at + length]))
        at += (length + 3) & ~3
    return found


def networks(items: Sequence[AllowedIP]) -> bytes:
    """The entries of an ALLOWEDIPS nest."""
    out = b""
    for item in items:
        family = socket.AF_INET if len(item.address) == 4 else socket.AF_INET6
        entry = attribute(3, bytes([item.length])) + attribute(1, struct.pack("=H", family))
        out += attribute(NESTED, entry + attribute(2, item.address))
    return out


def _sequence(request: bytes) -> int:
    return int(struct.unpack_from("=I", request, 8)[0])


def _sockaddr(endpoint: Endpoint) -> bytes:
    host, _, zone = endpoint.host.partition("%")
    if ":" not in host:
        return struct.pack(
            "=H2s4s8x", socket.AF_INET, endpoint.port.to_bytes(2, "big"), socket.inet_aton(host)
        )
    scope = int(zone) if zone.isdigit() else socket.if_nametoindex(zone) if zone else 0
    packed = socket.inet_pton(socket.AF_INET6, host)
    port = endpoint.port.to_bytes(2, "big")
    return struct.pack("=H2sI16sI", socket.AF_INET6, port, 0, packed, scope)


def _endpoint(sockaddr: bytes) -> Endpoint:
    """As getnameinfo(3) writes it."""
    (family,) = struct.unpack_from("=H", sockaddr)
    port = int.from_bytes(sockaddr[2:4], "big")
    if family == socket.AF_INET:
        return Endpoint(socket.inet_ntop(family, sockaddr[4:8]), port)
    (scope,) = struct.unpack_from("=I", sockaddr, 24)
    host = socket.inet_ntop(family, sockaddr[8:24])
    numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV | socket.NI_DGRAM
    return Endpoint(socket.getnameinfo((host, port, 0, scope), numeric)[0], port)


def _peer(peer: Peer) -> bytes:
    """What stands before a peer's allowed IPs, in the kernel's order."""
    out = attribute(1, bytes(peer.public_key))
    out += attribute(2, bytes(peer.preshared_key or Key(bytes(32))))
    out += attribute(6, struct.pack("=qq", peer.handshake_sec, peer.handshake_nsec))
    out += attribute(5, struct.pack("=H", peer.keepalive))
    out += attribute(8, struct.pack("=Q", peer.tx_bytes))
    out += attribute(7, struct.pack("=Q", peer.rx_bytes)) + attribute(10, struct.pack("=I", 1))
    return out + (attribute(4, _sockaddr(peer.endpoint)) if peer.endpoint else b"")


def _cut(device: Device, size: int) -> list[bytes]:
    """A device as messages of about `size` bytes; a peer may go on in the next."""
    head = attribute(6, struct.pack("=H", device.listen_port))
    head += attribute(7, struct.pack("=I", device.fwmark)) + attribute(1, struct.pack("=I", 7))
    name = attribute(2, device.name.encode("utf-8", "surrogateescape") + b"\0")
    head += name
    if device.private_key:
        head += attribute(3, bytes(device.private_key))
    if device.public_key:
        head += attribute(4, bytes(device.public_key))
    out, peers = [], b""
    for peer in device.peers:
        settings, rest = _peer(peer), list(peer.allowed_ips)
        while settings:
            fits = max(1, (size - len(head) - len(peers) - len(settings)) // 40)
            nest = attribute(9 | NESTED, networks(rest[:fits])) if rest else b""
            peers += attribute(NESTED, settings + nest)
            rest = rest[fits:]
            settings = attribute(1, bytes(peer.public_key)) if rest else b""
            if rest or len(head) + len(peers) > size:
                out.append(head + attribute(8 | NESTED, peers))
                head, peers = name, b""
    return [*out, head + (attribute(8 | NESTED, peers) if peers else b"")]


def _change(body: bytes) -> DeviceChange:
    """What one SET_DEVICE means."""
    found = dict(attributes(body))
    return DeviceChange(
        private_key=Key(found[3]) if 3 in found else None,
        listen_port=_number(found, 6),
        fwmark=_number(found, 7),
        replace_peers=_number(found, 5) == 1,
        peers=[_peer_change(dict(attributes(entry))) for _, entry in attributes(found.get(8, b""))],
    )


def _peer_change(found: dict[int, bytes]) -> PeerChange:
    flags = _number(found, 3) or 0
    return PeerChange(
        Key(found[1]),
        remove=bool(flags & 1),
        replace_allowed_ips=bool(flags & 2),
        update_only=bool(flags & 4),
        preshared_key=Key(found[2]) if 2 in found else None,
        endpoint=_endpoint(found[4]) if 4 in found else None,
        keepalive=_number(found, 5),
        allowed_ips=[
            AllowedIP(inner[2], inner[3][0], bool(_number(inner, 4)))
            for inner in (dict(attributes(entry)) for _, entry in attributes(found.get(9, b"")))
        ],
    )


def _number(found: dict[int, bytes], kind: int) -> int | None:
    return int.from_bytes(found[kind], sys.byteorder) if kind in found else None
