# SPDX-License-Identifier: MIT
"""FarEar: a link in another network namespace, heard and asked about from where we are.

Not here: the TUN.  setns(2) would do it too, but needs CAP_SYS_ADMIN, which a confined
engine has not: rtnetlink answers for other namespaces by an id, under CAP_NET_ADMIN.

The rule: what the kernel lacks or forbids is an OSError, and the caller goes on with what it
knew last.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time

__all__ = ["FarEar"]

# linux/netlink.h
_SOL_NETLINK = 270
_ADD_MEMBERSHIP = 1
_LISTEN_ALL_NSID = 8
_NLMSG_ERROR = 2
_NLMSGHDR = struct.Struct("=IHHII")
_REQUEST, _ACK = 1, 4

# linux/rtnetlink.h, linux/net_namespace.h, linux/if_link.h
_RTM_NEWLINK, _RTM_GETLINK, _RTM_NEWNSID, _RTM_GETNSID = 16, 18, 88, 90
_GROUPS = (1, 5, 7, 9, 11)  # link; IPv4 address, route; IPv6 address, route
_NETNSA_NSID, _NETNSA_FD = 1, 3
_IFLA_IFNAME, _IFLA_MTU, _IFLA_TARGET_NETNSID = 3, 4, 46
_IFINFOMSG = struct.Struct("=BxHiII")  # family, type, index, flags, change
_INT = struct.Struct("=i")

_ANY = -1  # the kernel is to choose the id
_TIMEOUT = 1.0  # seconds; it answers at once
_SOCKET = (socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)


class FarEar:
    """Two rtnetlink sockets: one to ask, one that can hear all namespaces with an id.

    Raises OSError (EPERM without CAP_NET_BROADCAST, which is needed here and never again).
    """

    def __init__(self) -> None:
        self._sequence = 0
        self._ask = socket.socket(*_SOCKET)
        self.ear = socket.socket(*_SOCKET)
        try:
            self._ask.settimeout(_TIMEOUT)
            self.ear.setblocking(False)
            self.ear.setsockopt(_SOL_NETLINK, _LISTEN_ALL_NSID, 1)
            self.ear.bind((0, 0))
        except OSError:
            self.close()
            raise

    def listen(self) -> None:
        """Begin to hear of links, addresses and routes.  Raises OSError."""
        for group in _GROUPS:
            self.ear.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)

    def namespace_id(self, fd: int) -> int:
        """The id of the namespace that `fd` stands for, made if it had none.  Raises OSError."""
        handle = _attribute(_NETNSA_FD, _INT.pack(fd))
        fresh = bytes(4) + _attribute(_NETNSA_NSID, _INT.pack(_ANY)) + handle
        try:
            self._request(_RTM_NEWNSID, fresh)
        except OSError as e:
            if e.errno != errno.EEXIST:
                raise
        reply = self._request(_RTM_GETNSID, bytes(4) + handle, answer=_RTM_NEWNSID)
        return _number(_NETNSA_NSID, reply[4:])

    def link(self, name: str, namespace: int) -> tuple[int, int, int]:
        """(index, flags, MTU) of a link there.  Raises OSError."""
        words = _attribute(_IFLA_IFNAME, os.fsencode(name) + b"\0")
        words += _attribute(_IFLA_TARGET_NETNSID, _INT.pack(namespace))
        reply = self._request(_RTM_GETLINK, bytes(_IFINFOMSG.size) + words, answer=_RTM_NEWLINK)
        if len(reply) < _IFINFOMSG.size:
            raise _strange()
        _, _, index, flags, _ = _IFINFOMSG.unpack_from(reply)
        return index, flags, _number(_IFLA_MTU, reply[_IFINFOMSG.size :])

    def _request(self, kind: int, body: bytes, *, answer: int = _NLMSG_ERROR) -> bytes:
        """What came with an `answer`, by default the kernel's bare yes.  Raises OSError."""
        self._sequence = self._sequence + 1 & 0xFFFFFFFF
        flags = _REQUEST | (_ACK if answer == _NLMSG_ERROR else 0)
        head = _NLMSGHDR.pack(_NLMSGHDR.size + len(body), kind, flags, self._sequence, 0)
        self._ask.send(head + body)
        data = self._reply()
        length, found, *_ = _NLMSGHDR.unpack_from(data)
        payload = data[_NLMSGHDR.size : length]
        if found == _NLMSG_ERROR:
            if len(payload) < _INT.size:
                raise _strange()
            (number,) = _INT.unpack_from(payload)
            if number:
                raise OSError(-number, os.strerror(-number))
        if found != answer:
            raise _strange()
        return payload

    def _reply(self) -> bytes:
        """The kernel's message that answers the last request: an earlier one's may have come
        late, and whoever has CAP_NET_ADMIN can send us others."""
        deadline = time.monotonic() + _TIMEOUT
        while time.monotonic() < deadline:
            data, (port, _) = self._ask.recvfrom(65536)
            if port or len(data) < _NLMSGHDR.size:
                continue
            if _NLMSGHDR.unpack_from(data)[3] == self._sequence:
                return data
        raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))

    def close(self) -> None:
        self._ask.close()
        self.ear.close()


def _attribute(kind: int, value: bytes) -> bytes:
    padded = value.ljust(len(value) + 3 & ~3, b"\0")
    return struct.pack("=HH", 4 + len(value), kind) + padded


def _number(kind: int, data: bytes) -> int:
    """One of the attributes, if it is a number.  Raises OSError."""
    value = _attributes(data).get(kind, b"")
    if len(value) != _INT.size:
        raise _strange()
    return int(_INT.unpack(value)[0])


def _strange() -> OSError:
    return OSError(errno.EPROTO, os.strerror(errno.EPROTO))


def _attributes(data: bytes) -> dict[int, bytes]:
    found, offset = {}, 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += length + 3 & ~3
    return found


def sender(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """The namespace that a message came from; None for our own."""
    for level, kind, data in ancillary:
        if level == _SOL_NETLINK and kind == _LISTEN_ALL_NSID and len(data) == _INT.size:
            return int(_INT.unpack(data)[0])
    return None
