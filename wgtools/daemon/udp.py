# SPDX-License-Identifier: MIT
"""UDPSockets: the outer side of a device, one IPv4 and one IPv6 socket on the same port.

Many datagrams per system call in both directions (UDP_GRO, UDP_SEGMENT), answers from
the address that was asked (IP_PKTINFO), a mark for policy routing.  Not here: what a
datagram means.

The rule: whatever the kernel lacks or refuses is left off and the datagram sent in a
plainer way; what cannot be sent at all is counted and never raised.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import struct
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from wgtools.daemon.udpoptions import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wgtools.daemon.udpoptions import UDPOptions
    from wgtools.engine.events import Address, Datagrams

__all__ = ["Received", "Sticky", "UDPSockets"]

_SOL_UDP = 17  # linux/udp.h: only Linux has options of this level that we use

_BUFFER = 7 << 20  # what measured best for wireguard-go (commit f26efb6)
_SMALL_BUFFER = 256 << 10  # below it a system's own size will do
_RANDOM_PORT_TRIES = 100
_NO_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)
_PATIENCE_MS = 20  # how long a full send buffer may hold the loop
_MEMORY = 1024  # addresses remembered of a kind: a peer must not make us grow

_PKTINFO4 = struct.Struct("=i4s4s")  # ifindex, the address to answer from, the one asked
_PKTINFO6 = struct.Struct("=16si")
_SEGMENT = struct.Struct("=H")
_INT = struct.Struct("=i")
_cmsg_space = getattr(socket, "CMSG_SPACE", int)  # Windows has none of it, and no engine
_ANCILLARY = _cmsg_space(_PKTINFO6.size) + _cmsg_space(4)

_CONCESSIONS = 5  # source, segments, and a full buffer now and then

_Control = tuple[int, int, bytes]
OpenSocket = Callable[[int, int], socket.socket]


class Sticky:
    """Control data that makes an answer leave from the address that was asked, while it is true.

    Shared by all who asked there: only what proves the address wrong, not the fault of one
    destination, may end it.
    """

    __slots__ = ("alive", "control")

    def __init__(self, control: _Control) -> None:
        self.control = control
        self.alive = True


# What to send, where, from where, and the size of its datagrams (0: it is only one).
_Job = tuple["memoryview", "Address", Sticky | None, int]


class Received(NamedTuple):
    """One receive: `length` bytes, datagrams of `size` (the last may be shorter)."""

    length: int
    size: int
    address: Address
    sticky: Sticky | None


class UDPSockets:
    """A bound pair of sockets.  Raises OSError from the constructor only."""

    def __init__(
        self,
        port: int = 0,
        *,
        fwmark: int = 0,
        open_socket: OpenSocket = socket.socket,
        options: UDPOptions = OPTIONS,
    ) -> None:
        self._options = options
        self.troubles: Counter[str] = Counter()  # by errno name
        self.has_gso = True
        self.has_gro = False
        self.can_mark = False
        self.tun_index = 0  # of the TUN, if it is in the sockets' network namespace
        self._no_gso_to: set[Address] = set()
        self._stickies: dict[tuple[int, bytes], Sticky] = {}
        self._segment: dict[int, _Control] = {}
        self._v4: socket.socket | None = None
        self._v6: socket.socket | None = None
        self.port = 0
        self._bind(port, open_socket)
        try:
            for sock in self.sockets:
                self._prepare(sock)
            # Setting none needs the same privilege: without it we want to know, no more.
            probe = options.probe_mark
            self.can_mark = probe is None or _option(self.sockets[0], *probe)
            if fwmark:
                self.set_fwmark(fwmark)
        except OSError:
            self.close()
            raise

    @property
    def sockets(self) -> list[socket.socket]:
        return [sock for sock in (self._v4, self._v6) if sock is not None]

    @property
    def has_ipv6(self) -> bool:
        return self._v6 is not None

    # -------------------------------------------------------------- opening

    def _bind(self, port: int, open_socket: OpenSocket) -> None:
        """Both families on one port; a random one is drawn again if IPv6 has it taken."""
        tries = 1 if port else _RANDOM_PORT_TRIES
        for left in range(tries - 1, -1, -1):
            self._v4 = _bound(open_socket, socket.AF_INET, port)
            actual = self._v4.getsockname()[1] if self._v4 is not None else port
            try:
                self._v6 = _bound(open_socket, socket.AF_INET6, actual)
            except OSError as e:
                self.close()
                if e.errno == errno.EADDRINUSE and left:
                    continue
                raise
            if not self.sockets:
                raise OSError(errno.EAFNOSUPPORT, "neither IPv4 nor IPv6 on this host")
            self.port = self.sockets[0].getsockname()[1]
            return

    def _prepare(self, sock: socket.socket) -> None:
        options = self._options
        for forced, plain in (
            (options.receive_buffer, socket.SO_RCVBUF),
            (options.send_buffer, socket.SO_SNDBUF),
        ):
            if not forced or not _option(sock, socket.SOL_SOCKET, forced, _BUFFER):
                _enlarge(sock, plain)
        for setting in options.four if sock.family == socket.AF_INET else options.six:
            _option(sock, *setting)
        self.has_gro = _has(sock, options.gro, 1) or self.has_gro
        self.has_gso = _has(sock, options.segment, 0) and self.has_gso

    def set_fwmark(self, fwmark: int) -> None:
        """Nothing where there are no marks.  Raises OSError (EPERM without CAP_NET_ADMIN)."""
        signed = fwmark - (1 << 32) if fwmark >> 31 else fwmark  # setsockopt takes a C int
        for sock in self.sockets if self._options.mark else ():
            sock.setsockopt(socket.SOL_SOCKET, self._options.mark, signed)
        self.forget_sources()

    def forget_sources(self) -> None:
        """Routes or addresses changed: answer from wherever the system thinks best, until asked
        again."""
        for sticky in self._stickies.values():
            sticky.alive = False
        self._stickies.clear()
        self._no_gso_to.clear()

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()
        self._v4 = self._v6 = None

    # -------------------------------------------------------------- receiving

    def receive(self, sock: socket.socket, buffer: memoryview) -> Received | None:
        """One datagram, or several of one sender that GRO has put together; None if none waits.

        What no honest peer can have sent comes back empty: from port 0, or through our own
        tunnel, where it would make the peer's endpoint lie inside of what leads to it.
        """
        try:
            length, ancillary, _flags, address = sock.recvmsg_into([buffer], _ANCILLARY)
        except BlockingIOError:
            return None
        except OSError as e:
            self._count(e)
            return None
        size = length
        sticky = None
        for level, kind, data in ancillary:
            if level == _SOL_UDP:
                if kind == self._options.gro:
                    size = _INT.unpack_from(data)[0] or length
            elif self.tun_index and self._interface(kind, data) == self.tun_index:
                self.troubles["through our own tunnel"] += 1
                return Received(0, 0, address, None)
            else:
                sticky = self._sticky(kind, data)
        if not length:
            self.troubles["empty"] += 1  # legal UDP, and nothing
        elif not address[1]:
            self.troubles["from port 0"] += 1
            return Received(0, 0, address, None)
        return Received(length, size, address, sticky)

    def _sticky(self, kind: int, data: bytes) -> Sticky | None:
        known = self._stickies.get((kind, data))
        if known is not None and known.alive:
            return known  # one that had died: asked again, it is ours again
        control = self._answer_control(kind, data)
        if control is None:
            return None
        if len(self._stickies) >= _MEMORY:
            self.forget_sources()
        sticky = self._stickies[kind, data] = Sticky(control)
        return sticky

    def _interface(self, kind: int, data: bytes) -> int:
        """The interface that a datagram came in by; 0 if that is not said."""
        options, index = self._options, 0
        if kind == options.pktinfo4 and len(data) == _PKTINFO4.size:
            index, _, _ = _PKTINFO4.unpack(data)
        elif kind == options.pktinfo6 and len(data) == _PKTINFO6.size:
            _, index = _PKTINFO6.unpack(data)
        return index

    def _answer_control(self, kind: int, data: bytes) -> _Control | None:
        """The control message to answer with: the address that was asked, the interface left to
        the routing table, but for link-local addresses, which mean nothing without one."""
        options = self._options
        if kind == options.pktinfo4 and len(data) == _PKTINFO4.size:
            _index, source, _asked = _PKTINFO4.unpack(data)
            return socket.IPPROTO_IP, kind, _PKTINFO4.pack(0, source, bytes(4))
        if kind == options.address4 and len(data) == 4:
            return socket.IPPROTO_IP, kind, data
        if kind == options.pktinfo6 and len(data) == _PKTINFO6.size:
            source, index = _PKTINFO6.unpack(data)
            if source[:1] == b"\xff":
                return None
            link_local = source[0] == 0xFE and source[1] & 0xC0 == 0x80
            answer = _PKTINFO6.pack(source, index if link_local else 0)
            return socket.IPPROTO_IPV6, kind, answer
        return None

    # -------------------------------------------------------------- sending

    def send(self, batch: Iterable[Datagrams]) -> None:
        """Everything in `batch`, in as few system calls as the kernel allows."""
        for address, sticky, data, size in batch:
            assert sticky is None or isinstance(sticky, Sticky)
            sock = self._v4 if len(address) == 2 else self._v6
            if sock is None:
                self.troubles["no socket of that family"] += -(-len(data) // size)
            elif len(data) <= size:
                self._send(sock, (data, address, sticky, 0))
            elif self.has_gso and address not in self._no_gso_to:
                self._send(sock, (data, address, sticky, size))
            else:
                self._send_singly(sock, (data, address, sticky, size))

    def _send(self, sock: socket.socket, job: _Job) -> None:
        """One system call; again, and plainer, as long as there is something to leave off."""
        data, address, sticky, size = job
        is_doubted = False  # whether the source may be what the kernel disliked
        for _ in range(_CONCESSIONS):
            control: list[_Control] = []
            if sticky is not None and sticky.alive and not is_doubted:
                control.append(sticky.control)
            if size:
                control.append(self._segments_of(size))
            try:
                sock.sendmsg((data,), control, 0, address)
            except BlockingIOError as e:
                if not _writable(sock):
                    self._lose(e, job)
                    return
            except OSError as e:
                if e.errno in _SOURCE_REFUSED and len(control) > bool(size):
                    is_doubted = True
                elif size and self._concede_segments(e, address):
                    self._send_singly(sock, job)
                    return
                else:
                    self._lose(e, job)
                    return
            except (OverflowError, ValueError):
                self.troubles["not an address to send to"] += _datagrams(job)
                return
            else:
                if is_doubted and sticky is not None:
                    sticky.alive = False  # all went well without: that address is not ours any more
                return
        self.troubles["gave up"] += _datagrams(job)

    def _concede_segments(self, e: OSError, address: Address) -> bool:
        """Leave off UDP_SEGMENT if the kernel may have disliked it; False if not."""
        if e.errno not in _GSO_REFUSED:
            return False
        if e.errno == errno.EIO:
            self.has_gso = False  # a device that cannot checksum: it will not learn
        else:
            # More than this one way carries in one piece; others may.
            if len(self._no_gso_to) >= _MEMORY:
                self._no_gso_to.clear()
            self._no_gso_to.add(address)
        return True

    def _send_singly(self, sock: socket.socket, job: _Job) -> None:
        data, address, sticky, size = job
        for start in range(0, len(data), size):
            self._send(sock, (data[start : start + size], address, sticky, 0))

    def _segments_of(self, size: int) -> _Control:
        control = self._segment.get(size)
        if control is None:
            if len(self._segment) >= _MEMORY:
                self._segment.clear()
            control = self._segment[size] = (
                _SOL_UDP,
                self._options.segment,
                _SEGMENT.pack(size),
            )
        return control

    def _lose(self, e: OSError, job: _Job) -> None:
        self.troubles[errno.errorcode.get(e.errno or 0, "unknown")] += _datagrams(job)

    def _count(self, e: OSError) -> None:
        self.troubles[errno.errorcode.get(e.errno or 0, "unknown")] += 1


_SOURCE_REFUSED = (errno.EINVAL, errno.EADDRNOTAVAIL, errno.ENODEV, errno.ENETUNREACH)
_GSO_REFUSED = (errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.EOPNOTSUPP)


def _bound(open_socket: OpenSocket, family: int, port: int) -> socket.socket | None:
    """A non-blocking socket on `port`; None where the host lacks the family.  Raises OSError."""
    try:
        sock = open_socket(family, socket.SOCK_DGRAM)
    except OSError as e:
        if e.errno in _NO_FAMILY:
            return None
        raise
    try:
        sock.setblocking(False)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(("", port))
    except OSError as e:
        sock.close()
        if e.errno in _NO_FAMILY:
            return None
        raise
    return sock


def _option(sock: socket.socket, level: int, option: int, value: int) -> bool:
    try:
        sock.setsockopt(level, option, value)
    except OSError:
        return False
    return True


def _has(sock: socket.socket, option: int, value: int) -> bool:
    """Whether the kernel knows a UDP option, and takes `value` for it."""
    return bool(option) and _option(sock, _SOL_UDP, option, value)


def _enlarge(sock: socket.socket, buffer: int) -> None:
    """As large as the system lets it be: the BSDs refuse what is over their limit."""
    size = _BUFFER
    while size >= _SMALL_BUFFER and not _option(sock, socket.SOL_SOCKET, buffer, size):
        size //= 2


def _datagrams(job: _Job) -> int:
    data, _, _, size = job
    return -(-len(data) // size) if size else 1


def _writable(sock: socket.socket) -> bool:
    """Whether the send buffer has room again within a moment."""
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    with contextlib.suppress(InterruptedError):
        return bool(poll.poll(_PATIENCE_MS))
    return False
