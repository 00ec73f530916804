# SPDX-License-Identifier: MIT
"""The kernel's WireGuard over generic netlink: the thin caller around the pure codec.

All that happens here is opening sockets, matching replies to requests, asking again what
the kernel says must be asked again, and turning errnos into the project's errors.  What a
socket is can be replaced (`Backend(connect=...)`), as can the pause between two tries.
"""

from __future__ import annotations

import _socket
import os
from errno import (
    EACCES,
    EBUSY,
    ENAMETOOLONG,
    ENOBUFS,
    ENODEV,
    ENOENT,
    EOPNOTSUPP,
    EPERM,
    EPROTONOSUPPORT,
)
from time import sleep

from wgtools.errors import AccessError, NoSuchInterface

from . import codec, dump, netlink

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Protocol, TypeVar

    from wgtools.model import Device, DeviceChange

    _T = TypeVar("_T")

    Names = list[bytes]
    Payloads = list[bytes]
    Spans = list[dump.Span]

    class Transport(Protocol):
        """What is used of a netlink socket, bound to a port."""

        def send(self, data: bytes, /) -> int: ...
        def recvmsg(
            self, size: int, /
        ) -> tuple[bytes, list[tuple[int, int, bytes]], int, tuple[int, int]]: ...
        def getsockname(self) -> tuple[int, int]: ...
        def close(self) -> None: ...


__all__ = ["Backend", "open_socket"]

IFNAMSIZ = 16  # linux/if.h, its NUL included
MSG_TRUNC = 0x20  # linux/socket.h

# The kernel fills at most 32 KiB at a time in a dump (max_recvmsg_len in
# net/netlink/af_netlink.h); the message of one link with many attributes may be larger.
_READ_SIZE = 1 << 16

# A device that changes while it is read must be read again.  WG_COMPAT 13.3 says "without
# limit"; a person in front of a prompt wants an answer.  Some 8 seconds in all.
ATTEMPTS = 100
_AT_ONCE = 10  # attempts without a pause before them
_PAUSE = 0.1  # the longest, in seconds

_NO_CAPABILITY = (
    "this needs CAP_NET_ADMIN in the interface's network namespace: run it as root, "
    "or with that capability"
)
_HINTS = {
    EPERM: _NO_CAPABILITY,
    EACCES: _NO_CAPABILITY,
    ENODEV: "`wg show interfaces` lists the interfaces there are",
    EOPNOTSUPP: "the interface exists, but it is not a WireGuard one",
    ENAMETOOLONG: f"the name of an interface has at most {IFNAMSIZ - 1} bytes",
    EPROTONOSUPPORT: (
        "`wg show interfaces` lists the interfaces there are; `wgtools-engine NAME` makes an "
        "interface without the kernel's WireGuard, which is not there (or: modprobe wireguard)"
    ),
}
_NOT_THERE = (ENODEV, EOPNOTSUPP, EPROTONOSUPPORT)  # none of that name speaks WireGuard


def open_socket(protocol: int) -> Transport:
    """A netlink socket with a port of its own."""
    sock = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, protocol)
    try:
        sock.bind((0, 0))
        for option in (netlink.NETLINK_EXT_ACK, netlink.NETLINK_CAP_ACK):
            try:
                sock.setsockopt(netlink.SOL_NETLINK, option, 1)
            except OSError:  # before Linux 4.12: errors come without words
                break
    except BaseException:
        sock.close()
        raise
    return sock


class _KernelError(OSError):
    """An error the kernel answered with, and what it said about it."""

    def __init__(self, number: int, words: str = "") -> None:
        super().__init__(number, os.strerror(number))
        self.words = words


class _Lost(Exception):
    """The kernel dropped part of its answer; this conversation is over."""


class _Conversation:
    """One netlink socket: requests out, the replies that belong to them in."""

    __slots__ = ("_port", "_sequence", "_socket", "interrupted")

    def __init__(self, transport: Transport) -> None:
        self._socket = transport
        self._port = transport.getsockname()[0]
        self._sequence = 0
        self.interrupted = False  # the last dump was, by a change (NLM_F_DUMP_INTR)

    def __enter__(self) -> _Conversation:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def ask(self, kind: int, flags: int, payload: bytes) -> Iterator[dump.Span]:
        """Send one request; the payloads of its replies, to be read to the end.

        Raises OSError, _Lost, ProtocolError."""
        self.interrupted = False
        self._sequence += 1
        request = netlink.message(kind, flags, self._sequence, payload)
        _undisturbed(lambda: self._socket.send(request))
        while True:
            data = self._receive()
            for message in netlink.split(data):
                number, bits, sequence, port, start, end = message
                if sequence != self._sequence or port != self._port:
                    continue  # an answer to somebody else, or to what was given up
                self.interrupted |= bool(bits & netlink.NLM_F_DUMP_INTR)
                if number >= netlink.NLMSG_MIN_TYPE:
                    yield data, start, end
                elif number == netlink.NLMSG_OVERRUN:
                    raise _Lost
                elif number in (netlink.NLMSG_ERROR, netlink.NLMSG_DONE):
                    if error := netlink.error_number(data, start, end):
                        raise _KernelError(error, netlink.explanation(data, message))
                    return

    def _receive(self) -> bytes:
        """The next datagram from the kernel; any process may send us others."""
        sender = -1
        while sender:
            data, _, flags, (sender, _) = _undisturbed(lambda: self._socket.recvmsg(_READ_SIZE))
        if not data or flags & MSG_TRUNC:
            raise netlink.malformed()
        return data


def _undisturbed(call: Callable[[], _T]) -> _T:
    """A system call, again if a signal cut it short.  Raises _Lost if the kernel says that
    it had no room for a message: none of the rest can be relied on."""
    while True:
        try:
            return call()
        except InterruptedError:
            continue
        except OSError as error:
            if error.errno == ENOBUFS:
                raise _Lost from error
            raise


def _family(kernel: _Conversation) -> int:
    """The message type of WireGuard.  Asked for anew each time: after a module is loaded
    again, the old number may belong to another family."""
    number = 0
    payload = netlink.family_payload(codec.WG_GENL_NAME)
    try:
        for span in kernel.ask(*netlink.FAMILY_REQUEST, payload):
            number = number or netlink.family_number(*span)
    except _KernelError as error:
        if error.errno != ENOENT:
            raise
    if not number:
        raise _KernelError(EPROTONOSUPPORT)
    return number


class Backend:
    """WireGuard devices of the kernel, in the network namespace of the process."""

    def __init__(
        self,
        *,
        connect: Callable[[int], Transport] = open_socket,
        pause: Callable[[float], None] = sleep,
    ) -> None:
        self._connect = connect
        self._pause = pause

    def list(self) -> list[str]:
        """Names of the WireGuard links in the kernel's order.  Raises AccessError."""
        try:
            return [dump.text(name) for name in self._attempts(self._links)]
        except OSError as error:
            raise _translated(error) from error

    def exists(self, name: str) -> bool:
        return name in self.list()

    def get(self, name: str) -> Device:
        """Raises NoSuchInterface, AccessError, ProtocolError."""
        raw = _interface_name(name)
        try:
            spans = self._attempts(lambda: self._dump(raw))
        except OSError as error:
            raise _translated(error) from error
        return dump.device(raw, spans, zone_of=_zone_of)

    def set(self, name: str, change: DeviceChange) -> None:
        """One message after the other; the first error stops, and those before it stay in
        effect.  Raises as `get` does."""
        payloads = codec.change_payloads(_interface_name(name), change, scope_of=_scope_of)
        try:
            self._attempts(lambda: self._apply(payloads))
        except OSError as error:
            raise _translated(error) from error

    def _attempts(self, work: Callable[[], _T | None]) -> _T:
        """What `work` gives, once it loses nothing on the way and gives something."""
        pause = _PAUSE / 128
        for attempt in range(ATTEMPTS):
            if attempt >= _AT_ONCE:
                self._pause(pause)
                pause = min(pause * 2, _PAUSE)
            number, hint = EBUSY, f"the device changed during each of {ATTEMPTS} readings"
            try:
                result = work()
            except _Lost:
                number, hint = ENOBUFS, f"the kernel lost part of each of {ATTEMPTS} answers"
                continue
            if result is not None:
                return result
        raise AccessError(os.strerror(number), errno=number, hint=hint + "; try again later")

    def _links(self) -> Names:
        """An interrupted dump counts: a name may be missing then, none is wrong (13.1)."""
        with _Conversation(self._connect(netlink.NETLINK_ROUTE)) as kernel:
            names = [
                netlink.link_name(*span, kind=codec.WG_GENL_NAME)
                for span in kernel.ask(*netlink.LINKS_REQUEST, netlink.links_payload())
            ]
        return [name for name in names if name]

    def _dump(self, name: bytes) -> Spans | None:
        """All of one reading, or nothing if the device changed meanwhile.

        Decoded afterwards: the faster it is read, the less can change."""
        with _Conversation(self._connect(netlink.NETLINK_GENERIC)) as kernel:
            spans = list(kernel.ask(_family(kernel), codec.GET_FLAGS, codec.get_payload(name)))
            return None if kernel.interrupted else spans

    def _apply(self, payloads: Payloads) -> bool:
        with _Conversation(self._connect(netlink.NETLINK_GENERIC)) as kernel:
            family = _family(kernel)
            for payload in payloads:
                for _ in kernel.ask(family, codec.SET_FLAGS, payload):
                    pass
        return True


def _interface_name(name: str) -> bytes:
    raw = name.encode("utf-8", "surrogateescape")
    if len(raw) >= IFNAMSIZ:
        raise _translated(OSError(ENAMETOOLONG, os.strerror(ENAMETOOLONG)))
    return raw


def _translated(error: OSError) -> AccessError:
    """The project's own error; the system's text is its message, as `wg` prints it."""
    number = error.errno or 0
    hint = _HINTS.get(number, "")
    if isinstance(error, _KernelError) and error.words:
        hint = (
            f"{hint}; the kernel says: {error.words}" if hint else f"the kernel says: {error.words}"
        )
    kind = NoSuchInterface if number in _NOT_THERE else AccessError
    return kind(os.strerror(number), errno=number, hint=hint)


def _zone_of(index: int) -> str:
    try:
        return _socket.if_indextoname(index)
    except OSError:
        return ""


def _scope_of(zone: str) -> int:
    try:
        return _socket.if_nametoindex(zone)
    except OSError as error:
        if zone.isascii() and zone.isdigit():
            return int(zone)
        raise _translated(OSError(ENODEV, os.strerror(ENODEV))) from error
