# SPDX-License-Identifier: MIT
"""The kernels of FreeBSD, OpenBSD and macOS as far as a TUN's opener can tell them apart.

A device is one end of a pair of sockets that keep messages apart; ioctls, getsockopt and
route(4) are answered in the layouts of those systems' headers, and anything that such a
kernel does not know is refused as it would be.  No system is at hand to record from: the
numbers are those of the headers as golang.org/x/sys has them.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

from wgtools.daemon.tun.bsd import Calls

AF_ROUTE = 17
AF_SYSTEM = 32

SIOCGIFFLAGS = 0xC0206911
SIOCIFDESTROY = 0x80206979
SIOCSIFNAME = 0x80206928
SIOCGIFINFO_IN6, SIOCSIFINFO_IN6 = 0xC048696C, 0xC048696D
TUNSIFMODE, TUNSIFPID, TUNSIFHEAD, TUNGIFNAME = 0x8004745E, 0x2000745F, 0x80047460, 0x4020745D
CTLIOCGINFO = 0xC0644E03
UTUN_CONTROL = 5  # whatever number the kernel gave com.apple.net.utun_control

RTM_ADD, RTM_NEWADDR, RTM_IFINFO = 1, 12, 14


class BSDKernel:
    """One host with room for one TUN: `name` is what it was last called."""

    af_inet6: int
    get_mtu: int
    set_mtu: int

    def __init__(self) -> None:
        self.name = ""
        self.up = False
        self.mtu = 1500
        self.index = 0
        self.refuse: dict[str, int] = {}  # a call, or a number of ioctl, -> errno
        self.refuse_io = 0  # errno of reads and writes
        self.opened: list[str] = []
        self.asked: list[int] = []  # the numbers of all ioctls
        self.sockets: list[socket.socket] = []
        self.device: socket.socket | None = None  # the kernel's end
        self.ears: list[socket.socket] = []
        self.calls = Calls(
            open=self.open,
            close=os.close,
            readv=self.readv,
            writev=self.writev,
            ioctl=self.ioctl,
            socket=self.socket,
            index_of=self.index_of,
            name_of=self.name_of,
        )

    # What the engine calls.

    def open(self, path: str, _flags: int) -> int:
        self._may(path)
        self.opened.append(path)
        return self.attach(self.unit(path))

    def unit(self, path: str) -> str:
        return path.removeprefix("/dev/")

    def attach(self, name: str) -> int:
        """An interface `name` comes to be; the descriptor of its opener."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        theirs.setblocking(False)
        self.device, self.name, self.index = theirs, name, 9
        return ours.detach()

    def readv(self, fd: int, buffers: Sequence[Any]) -> int:
        self._check_io()
        return os.readv(fd, buffers)

    def writev(self, fd: int, buffers: Sequence[Any]) -> int:
        self._check_io()
        whole = b"".join(buffers)
        family = {4: 2, 6: self.af_inet6}.get(whole[4] >> 4) if len(whole) > 4 else None
        if family is None or whole[:4] != struct.pack(">I", family):
            raise self._error(errno.EAFNOSUPPORT)
        return os.writev(fd, buffers) if self.up else self.write_while_down()

    def write_while_down(self) -> int:
        raise self._error(errno.EHOSTDOWN)

    def _check_io(self) -> None:
        number = errno.ENXIO if self.device is None else self.refuse_io
        if number:
            raise self._error(number)

    def ioctl(self, _fd: int, number: int, data: bytes) -> bytes:
        self.asked.append(number)
        self._may(hex(number))
        if number in (SIOCGIFFLAGS, self.get_mtu, self.set_mtu):
            return self.ifreq(number, data)
        return self.own_ioctl(number, data)

    def own_ioctl(self, number: int, data: bytes) -> bytes:
        """What only this system has."""
        raise self._error(errno.ENOTTY)

    def ifreq(self, number: int, data: bytes) -> bytes:
        assert len(data) == 32
        self._known(data[:16])
        if number == self.set_mtu:
            (self.mtu,) = struct.unpack_from("=i", data, 16)
            return data
        if number == self.get_mtu:
            return data[:16] + struct.pack("=i12x", self.mtu)
        return data[:16] + struct.pack("=H14x", 0x8802 | self.up)  # with IFF_SIMPLEX, BROADCAST

    def socket(self, family: int, kind: int, protocol: int = 0, fileno: int | None = None) -> Any:
        self._may(f"socket {int(family)}")
        if family == AF_ROUTE:
            assert kind == socket.SOCK_RAW
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.ears.append(theirs)
            return ours
        # Stands for one of any family: only its number is ever used.
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sockets.append(sock)
        return sock

    def index_of(self, name: str) -> int:
        self._known(os.fsencode(name))
        return self.index

    def name_of(self, index: int) -> str:
        if index != self.index:
            raise self._error(errno.ENXIO)
        return self.name

    def _known(self, raw: bytes) -> None:
        if self.index == 0 or os.fsdecode(raw.rstrip(b"\0")) != self.name:
            raise self._error(errno.ENXIO)

    def _may(self, what: str) -> None:
        if what in self.refuse:
            raise self._error(self.refuse[what])

    @staticmethod
    def _error(number: int) -> OSError:
        return OSError(number, os.strerror(number))

    # What the world does.

    def give(self, packet: bytes, *, family: int = 2) -> None:
        """The system routes `packet` into the interface."""
        assert self.device is not None
        self.device.send(struct.pack(">I", family) + packet)

    def taken(self) -> bytes:
        """The next write, with the family in front."""
        assert self.device is not None
        return self.device.recv(70000)

    def tell(self, kind: int) -> None:
        """A message of route(4): its head as all have it, and something behind that."""
        for ear in self.ears:
            ear.send(struct.pack("=HBB", 92, 5, kind) + bytes(88))

    def set_link(self, *, up: bool | None = None, mtu: int | None = None) -> None:
        self.up = self.up if up is None else up
        self.mtu = self.mtu if mtu is None else mtu
        self.tell(RTM_IFINFO)

    def delete(self) -> None:
        """`ifconfig NAME destroy`."""
        if self.device is not None:
            self.device.close()
        self.device, self.index = None, 0
        self.tell(RTM_IFINFO)

    def stop(self) -> None:
        for sock in (*self.sockets, *self.ears, *([self.device] if self.device else [])):
            sock.close()


class FreeBSDKernel(BSDKernel):
    """Clones /dev/tun, renames, and keeps the interface when its opener is gone."""

    af_inet6 = 28
    get_mtu = 0xC0206933
    set_mtu = 0x80206934

    def __init__(self) -> None:
        super().__init__()
        self.has_heads = False
        self.mode = 0x10  # IFF_POINTOPOINT
        self.nd_flags = 0x21  # PERFORMNUD, AUTO_LINKLOCAL
        self.others: set[str] = set()  # names that are taken
        self.pids = 0

    def unit(self, path: str) -> str:
        assert path == "/dev/tun"
        return "tun3"

    def writev(self, fd: int, buffers: Sequence[Any]) -> int:
        assert self.has_heads
        return super().writev(fd, buffers)

    def write_while_down(self) -> int:
        return 0  # tunwrite(): "ignore silently"

    def own_ioctl(self, number: int, data: bytes) -> bytes:
        if number == TUNGIFNAME:
            if self.index == 0:
                raise self._error(errno.ENXIO)
            return os.fsencode(self.name).ljust(32, b"\0")
        if number == TUNSIFHEAD:
            self.has_heads = data == struct.pack("=i", 1)
        elif number == TUNSIFMODE:
            (self.mode,) = struct.unpack("=i", data)
        elif number == TUNSIFPID:
            self.pids += 1
        elif number == SIOCIFDESTROY:
            self._known(data[:16])
            self.delete()
        elif number == SIOCSIFNAME:
            self._rename(data)
        elif number == SIOCGIFINFO_IN6:
            self._known(data[:16])
            return data[:36] + struct.pack("=I", self.nd_flags) + data[40:]
        elif number == SIOCSIFINFO_IN6:
            assert len(data) == 72
            (self.nd_flags,) = struct.unpack_from("=I", data, 36)
        else:
            raise self._error(errno.ENOTTY)
        return data

    def _rename(self, data: bytes) -> None:
        self._known(data[:16])
        (pointer,) = struct.unpack_from("@P", data, 16)
        name = os.fsdecode(ctypes.string_at(pointer))
        if name in self.others:
            raise self._error(errno.EEXIST)
        self.name = name


class OpenBSDKernel(BSDKernel):
    """Has /dev/tun0 to /dev/tun3; the interface goes with its opener."""

    af_inet6 = 24
    get_mtu = 0xC020697E
    set_mtu = 0x8020697F

    def open(self, path: str, _flags: int) -> int:
        if path not in [f"/dev/tun{unit}" for unit in range(4)]:
            raise self._error(errno.ENOENT)
        return super().open(path, _flags)


class MacOSKernel(BSDKernel):
    """Makes utun3 by itself, and others on demand."""

    af_inet6 = 30
    get_mtu = 0xC0206933
    set_mtu = 0x80206934

    def socket(self, family: int, kind: int, protocol: int = 0, fileno: int | None = None) -> Any:
        if family == AF_SYSTEM:
            self._may("socket 32")
            assert (kind, protocol) == (socket.SOCK_DGRAM, 2)
            return ControlSocket(self, -1 if fileno is None else fileno)
        return super().socket(family, kind, protocol)

    def own_ioctl(self, number: int, data: bytes) -> bytes:
        if number != CTLIOCGINFO:
            raise self._error(errno.ENOTTY)
        assert len(data) == 100
        if data[4:].rstrip(b"\0") != b"com.apple.net.utun_control":
            raise self._error(errno.ENOENT)
        return struct.pack("=I", UTUN_CONTROL) + data[4:]


class ControlSocket:
    """PF_SYSTEM, SYSPROTO_CONTROL: becomes the utun by connecting to its unit."""

    def __init__(self, kernel: MacOSKernel, fd: int) -> None:
        self.kernel = kernel
        self.fd = fd
        self.is_closed = False

    def fileno(self) -> int:
        return self.fd

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def connect(self, address: tuple[int, int]) -> None:
        self.kernel._may("connect")
        number, unit = address
        assert number == UTUN_CONTROL
        self.fd = self.kernel.attach(f"utun{unit - 1 if unit else 3}")

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        assert (level, option) == (2, 2)
        if self.kernel.index == 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return os.fsencode(self.kernel.name).ljust(size, b"\0")

    def detach(self) -> int:
        fd, self.fd = self.fd, -1
        return fd

    def close(self) -> None:
        self.is_closed = True
        if self.fd >= 0:
            os.close(self.fd)
