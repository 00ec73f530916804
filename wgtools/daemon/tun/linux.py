# SPDX-License-Identifier: MIT
"""The TUN of Linux, with offloads, and the rtnetlink ear that hears what becomes of it.

Not here: what is in a frame.  The rule: only the TUN itself says that it is gone
(EBADFD); rtnetlink also says so of an interface that has merely moved to another
network namespace, and then the ear moves after it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from wgtools.daemon.tun import Link, TunGone
from wgtools.daemon.tun.netns import FarEar, sender
from wgtools.errors import AccessError, UsageError

if TYPE_CHECKING:
    from wgtools.engine.events import Buffer

__all__ = ["LinuxTun", "adopt_tun", "create_tun"]

# linux/if_tun.h
_TUNSETIFF = 0x400454CA
_TUNSETOFFLOAD = 0x400454D0
_TUNGETIFF = 0x800454D2
_TUNSETVNETHDRSZ = 0x400454D8
_TUNGETDEVNETNS = 0x54E3
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000
_IFF_VNET_HDR = 0x4000
_F_CSUM, _F_TSO4, _F_TSO6, _F_USO4, _F_USO6 = 0x01, 0x02, 0x04, 0x20, 0x40
_TCP_OFFLOADS = _F_CSUM | _F_TSO4 | _F_TSO6
_UDP_OFFLOADS = _F_USO4 | _F_USO6  # Linux 6.2

# linux/sockios.h, linux/if.h
_SIOCGIFFLAGS = 0x8913
_SIOCGIFMTU = 0x8921
_SIOCSIFMTU = 0x8922
_IFF_UP = 0x1

# linux/rtnetlink.h
_RTM_NEWLINK, _RTM_DELLINK = 16, 17
_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400  # link, IPv4 and IPv6 addresses and routes
_NLMSGHDR = struct.Struct("=IHHII")
_ANCILLARY = socket.CMSG_SPACE(4)  # the id of a network namespace

_NO_HEADER = bytes(10)
_IFREQ_SIZE = 40


def _ifreq(name: bytes, tail: bytes = b"") -> bytes:
    return struct.pack("16s24s", name, tail)


_IN_A_CONTAINER = "in a container, it needs --device /dev/net/tun"
_NO_DEVICE = {
    errno.ENOENT: f"load the tun module (modprobe tun); {_IN_A_CONTAINER}",
    errno.ENODEV: "load the tun module (modprobe tun)",
    errno.EACCES: "run as root",
    errno.EPERM: _IN_A_CONTAINER,  # the devices cgroup
}


def create_tun(name: str, *, mtu: int = 1420) -> LinuxTun:
    """A new interface, down, of MTU `mtu`.  `name` may hold one %d.  Raises AccessError."""
    try:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as e:
        hint = _NO_DEVICE.get(e.errno or 0, "")
        raise AccessError(
            f"Cannot open /dev/net/tun: {e.strerror}", errno=e.errno or 0, hint=hint
        ) from e
    try:
        flags = struct.pack("H", _IFF_TUN | _IFF_NO_PI | _IFF_VNET_HDR)
        fcntl.ioctl(fd, _TUNSETIFF, _ifreq(os.fsencode(name), flags))
        tun = LinuxTun(fd)
    except OSError as e:
        os.close(fd)
        raise _creation_error(name, e) from e
    try:
        tun.set_mtu(mtu)
    except OSError as e:
        tun.close()
        raise AccessError(f"Cannot set the MTU of {name}: {e.strerror}", errno=e.errno or 0) from e
    return tun


def _creation_error(name: str, e: OSError) -> AccessError:
    number = e.errno or 0
    if number == errno.EBUSY:
        return AccessError(
            f"Interface {name} is already there, held by another program", errno=number
        )
    if number == errno.EINVAL:
        return AccessError(f"Interface {name} is already there and is not a TUN", errno=number)
    hint = "run as root, or with CAP_NET_ADMIN" if number == errno.EPERM else ""
    if hint and os.geteuid() == 0:
        hint = "this needs CAP_NET_ADMIN; in a container: --cap-add NET_ADMIN"
    return AccessError(f"Cannot create interface {name}: {e.strerror}", errno=number, hint=hint)


def adopt_tun(fd: int) -> LinuxTun:
    """The TUN that somebody opened for us (WG_TUN_FD).  Raises UsageError."""
    try:
        os.set_blocking(fd, False)
        os.set_inheritable(fd, False)
        return LinuxTun(fd)
    except OSError as e:
        raise UsageError(f"File descriptor {fd} is not a TUN interface: {e.strerror}") from e


class LinuxTun:
    """An open TUN.  Raises OSError if `fd` is none, UsageError if it has no virtio_net_hdr."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        name, flags = self._identify()
        if not flags & _IFF_VNET_HDR or not flags & _IFF_NO_PI or not flags & _IFF_TUN:
            raise UsageError(
                f"Interface {name} was not opened with IFF_TUN, IFF_NO_PI and IFF_VNET_HDR"
            )
        self.name = name
        fcntl.ioctl(fd, _TUNSETVNETHDRSZ, struct.pack("i", len(_NO_HEADER)))
        self.can_udp_offload = self._offload(_TCP_OFFLOADS | _UDP_OFFLOADS)
        if not self.can_udp_offload and not self._offload(_TCP_OFFLOADS):
            self._offload(0)
        self._has_left = False
        self._namespace: int | None = None  # the id of where the interface is; None: with us
        self._home = _our_namespace()
        self._far = _open_far()
        self._query = socket.socket(
            socket.AF_INET6 if socket.has_ipv6 else socket.AF_INET, socket.SOCK_DGRAM
        )
        self._ear = _open_ear()
        self._index = socket.if_nametoindex(name)
        self._downs = 0
        self._link = self._look()
        self._told_up = self._link.up

    def _identify(self) -> tuple[str, int]:
        raw, flags = struct.unpack("16sH22x", fcntl.ioctl(self._fd, _TUNGETIFF, bytes(_IFREQ_SIZE)))
        return os.fsdecode(raw.rstrip(b"\0")), flags

    def _offload(self, offloads: int) -> bool:
        try:
            fcntl.ioctl(self._fd, _TUNSETOFFLOAD, offloads)
        except OSError:
            return False
        return True

    def fileno(self) -> int:
        return self._fd

    def read_into(self, buffer: memoryview) -> int:
        try:
            return os.readv(self._fd, (buffer[:-16],))
        except BlockingIOError:
            return 0
        except OSError as e:
            raise self._gone_or_lost(e) from e

    def _gone_or_lost(self, e: OSError) -> Exception:
        """TunGone for an error that means so; else the error, which nobody foresaw."""
        if e.errno in (errno.EBADFD, errno.EIO, errno.EBADF, errno.ENODEV):
            return TunGone()
        return e

    def write(self, frame: Sequence[Buffer]) -> bool:
        try:
            os.writev(self._fd, frame)
        except OSError as e:
            if e.errno == errno.EBADFD:
                raise TunGone from e
            return False  # EIO: the interface is down; EINVAL: not a packet it would take
        return True

    def watch_fileno(self) -> int:
        return self._ear.fileno() if self._ear is not None else -1

    def watched(self) -> bool:
        """See Tun.  A bounded number of messages at a time; what overflowed counts as a change."""
        if self._ear is None:
            return False
        routes = False
        for _ in range(32):
            try:
                data, ancillary, _, (port, _) = self._ear.recvmsg(65536, _ANCILLARY)
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: messages were lost
                routes = True
                continue
            if port:
                continue  # not the kernel's
            namespace, messages = sender(ancillary), _messages(data)
            if namespace is None:  # the sockets are with us, wherever the interface is
                routes = routes or any(
                    kind not in (_RTM_NEWLINK, _RTM_DELLINK) for kind, _, _ in messages
                )
            if namespace == self._namespace:
                self._hear(messages)
        return routes

    def _hear(self, messages: Iterable[tuple[int, int, bool]]) -> None:
        """What became of our link: a look would not tell of one that went down and up."""
        for kind, index, up in messages:
            if index != self._index:
                continue
            if kind == _RTM_DELLINK:
                self._has_left = True
            else:
                self._downs += self._told_up and not up
                self._told_up = up

    def _follow(self) -> None:
        """Our link has left where it was: find out where to, and listen there."""
        self._has_left = False
        self.name, _ = self._identify_or_gone()
        try:
            there = fcntl.ioctl(self._fd, _TUNGETDEVNETNS)
        except OSError:
            return  # no privilege for it: what we knew of the link last stays true
        try:
            if _is_same(there, self._home):
                self._index = socket.if_nametoindex(self.name)
                self._namespace = None
            elif self._far is not None:
                self._namespace = self._far.namespace_id(there)
                if self._ear is not self._far.ear:
                    self._far.listen()
                    if self._ear is not None:
                        self._ear.close()
                    self._ear = self._far.ear
                self._index, _, _ = self._far.link(self.name, self._namespace)
        except OSError:
            return
        finally:
            os.close(there)

    def _identify_or_gone(self) -> tuple[str, int]:
        try:
            return self._identify()
        except OSError as e:
            raise TunGone from e

    def link(self) -> Link:
        if self._has_left:
            self._follow()
        try:
            self._link = self._look()
        except OSError:
            # In no sight, yet not gone: it has left, which may be seen before it is told.
            self._follow()
            with contextlib.suppress(OSError):
                self._link = self._look()
        return self._link

    def _look(self) -> Link:
        self.name, _ = self._identify_or_gone()  # `ip link set NAME name OTHER` is allowed
        if self._namespace is not None and self._far is not None:
            _, flags, mtu = self._far.link(self.name, self._namespace)
            return Link(up=bool(flags & _IFF_UP), mtu=mtu, downs=self._downs)
        request = _ifreq(os.fsencode(self.name))
        (flags,) = struct.unpack_from("16xH", fcntl.ioctl(self._query, _SIOCGIFFLAGS, request))
        (mtu,) = struct.unpack_from("16xi", fcntl.ioctl(self._query, _SIOCGIFMTU, request))
        index = self._index if self._is_here() else 0
        return Link(up=bool(flags & _IFF_UP), mtu=mtu, index=index, downs=self._downs)

    def _is_here(self) -> bool:
        """Whether the interface is in our own network namespace, as far as one can tell."""
        try:
            there = fcntl.ioctl(self._fd, _TUNGETDEVNETNS)
        except OSError:
            return self._namespace is None  # no privilege to ask: it was here when it began
        try:
            return _is_same(there, self._home)
        finally:
            os.close(there)

    def set_mtu(self, mtu: int) -> None:
        """Raises OSError."""
        fcntl.ioctl(self._query, _SIOCSIFMTU, _ifreq(os.fsencode(self.name), struct.pack("i", mtu)))

    def close(self) -> None:
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        self._query.close()
        if self._ear is not None:
            self._ear.close()
        if self._far is not None:
            self._far.close()
        if self._home >= 0:
            os.close(self._home)


def _open_ear() -> socket.socket | None:
    """An rtnetlink socket that hears of links, addresses and routes; None where forbidden."""
    try:
        ear = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0
        )
    except OSError:
        return None
    try:
        ear.bind((0, _GROUPS))
    except OSError:
        ear.close()
        return None
    return ear


def _messages(data: bytes) -> list[tuple[int, int, bool]]:
    """(type, ifi_index, is up) of every message; the index is 0 where it is not of a link."""
    found = []
    offset = 0
    while offset + _NLMSGHDR.size <= len(data):
        length, kind, *_ = _NLMSGHDR.unpack_from(data, offset)
        if length < _NLMSGHDR.size or offset + length > len(data):
            break
        index = flags = 0
        if kind in (_RTM_NEWLINK, _RTM_DELLINK) and length >= _NLMSGHDR.size + 12:
            index, flags = struct.unpack_from("=iI", data, offset + _NLMSGHDR.size + 4)  # ifinfomsg
        found.append((kind, index, bool(flags & _IFF_UP)))
        offset += (length + 3) & ~3
    return found


def _our_namespace() -> int:
    """A descriptor of the network namespace that we are in; -1 where there is no /proc."""
    try:
        return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _is_same(there: int, home: int) -> bool:
    """Whether two descriptors are of one namespace; if one cannot tell, it is."""
    return home < 0 or os.path.samestat(os.fstat(there), os.fstat(home))


def _open_far() -> FarEar | None:
    try:
        return FarEar()
    except OSError:
        return None
