# SPDX-License-Identifier: MIT
"""What every Tun keeps: the one in memory, the system's own in a namespace of its own, and
those of other systems before kernels of our making (bsd_kernel.py)."""

from __future__ import annotations

import ctypes
import errno
import os
import selectors
import socket
import struct
import subprocess
from collections.abc import Callable, Generator
from typing import Protocol

import pytest

from tests.contract.bsd_kernel import (
    RTM_ADD,
    BSDKernel,
    FreeBSDKernel,
    MacOSKernel,
    OpenBSDKernel,
)
from wgtools.daemon.tun import FRAME_ROOM, Tun, TunGone, freebsd, macos, openbsd
from wgtools.daemon.tun.linux import LinuxTun, create_tun
from wgtools.testing.memory_tun import MemoryTun

CLONE_NEWNET = 0x40000000


class System(Protocol):
    """The other side of a Tun."""

    tun: Tun

    def set_link(self, *, up: bool | None = None, mtu: int | None = None) -> None: ...
    def send(self, payload: bytes) -> None: ...
    def heard(self) -> bytes: ...
    def delete(self) -> None: ...
    def change_routes(self) -> None: ...
    def close(self) -> None: ...


def packet(payload: bytes) -> bytes:
    """UDP from 10.9.0.2 to 10.9.0.1, port 7."""
    udp = struct.pack("!HHHH", 7, 7, 8 + len(payload), 0) + payload
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0,
                       bytes([10, 9, 0, 2]), bytes([10, 9, 0, 1]))  # fmt: skip
    total = sum(struct.unpack("!10H", head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + struct.pack("!H", total ^ 0xFFFF) + head[12:] + udp


class InMemory:
    def __init__(self) -> None:
        self.memory = MemoryTun("tun9", up=False)
        self.tun: Tun = self.memory

    def set_link(self, *, up: bool | None = None, mtu: int | None = None) -> None:
        self.memory.set_link(up=up, mtu=mtu)

    def send(self, payload: bytes) -> None:
        self.memory.inject(bytes(10) + packet(payload))

    def heard(self) -> bytes:
        return self.memory.written.pop(0)[38:]

    def delete(self) -> None:
        self.memory.delete()

    def change_routes(self) -> None:
        self.memory.change_routes()

    def close(self) -> None:
        self.tun.close()


class OfLinux:
    """In a network namespace that this thread enters, and leaves at the end."""

    def __init__(self) -> None:
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.libc = ctypes.CDLL(None, use_errno=True)
        assert self.libc.unshare(CLONE_NEWNET) == 0
        self.tun: Tun = create_tun("tun9")
        self.socket: socket.socket | None = None

    def ip(self, words: str) -> None:
        subprocess.run(["ip", *words.split()], check=True)

    def set_link(self, *, up: bool | None = None, mtu: int | None = None) -> None:
        if mtu is not None:
            self.ip(f"link set tun9 mtu {mtu}")
        if up is not None:
            self.ip(f"link set tun9 {'up' if up else 'down'}")
        if up:
            self.ip("addr replace 10.9.0.1/24 dev tun9")

    def _bound(self) -> socket.socket:
        if self.socket is None:
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind(("10.9.0.1", 7))
            self.socket.settimeout(5)
        return self.socket

    def send(self, payload: bytes) -> None:
        self._bound().sendto(payload, ("10.9.0.2", 7))

    def heard(self) -> bytes:
        return self._bound().recv(65536)

    def delete(self) -> None:
        self.ip("link del tun9")

    def change_routes(self) -> None:
        self.ip("route add 198.51.100.0/24 dev tun9")

    def close(self) -> None:
        self.tun.close()
        if self.socket is not None:
            self.socket.close()
        self.libc.setns(self.home, CLONE_NEWNET)
        os.close(self.home)


class OfBSD:
    """Before the kernel of another system."""

    def __init__(self, kernel: BSDKernel, tun: Tun) -> None:
        self.kernel = kernel
        self.tun = tun

    def set_link(self, *, up: bool | None = None, mtu: int | None = None) -> None:
        self.kernel.set_link(up=up, mtu=mtu)

    def send(self, payload: bytes) -> None:
        self.kernel.give(packet(payload))

    def heard(self) -> bytes:
        return self.kernel.taken()[32:]

    def delete(self) -> None:
        self.kernel.delete()

    def change_routes(self) -> None:
        self.kernel.tell(RTM_ADD)

    def close(self) -> None:
        self.tun.close()
        self.kernel.stop()


class OfFreeBSD(OfBSD):
    def __init__(self) -> None:
        kernel = FreeBSDKernel()
        super().__init__(kernel, freebsd.create_tun("tun9", calls=kernel.calls))


class OfOpenBSD(OfBSD):
    def __init__(self) -> None:
        kernel = OpenBSDKernel()
        kernel.refuse = {f"/dev/tun{unit}": errno.EBUSY for unit in range(2)}
        super().__init__(kernel, openbsd.create_tun("tun", calls=kernel.calls))


class OfMacOS(OfBSD):
    def __init__(self) -> None:
        kernel = MacOSKernel()
        super().__init__(kernel, macos.create_tun("utun9", calls=kernel.calls))


SYSTEMS: dict[str, Callable[[], System]] = {
    "memory": InMemory,
    "linux": OfLinux,
    "freebsd": OfFreeBSD,
    "openbsd": OfOpenBSD,
    "macos": OfMacOS,
}


@pytest.fixture(params=list(SYSTEMS.values()), ids=list(SYSTEMS))
def system(request: pytest.FixtureRequest) -> Generator[System]:
    if request.param is OfLinux and (os.geteuid() != 0 or not os.path.exists("/dev/net/tun")):
        pytest.skip("a TUN of the system needs root and /dev/net/tun")
    system: System = request.param()
    yield system
    system.close()


def read(tun: Tun) -> bytes:
    """The next frame that is ours to look at: the system sends some of its own."""
    buffer = memoryview(bytearray(FRAME_ROOM))
    while length := tun.read_into(buffer):
        if buffer[10] >> 4 == 4 and buffer[19] == 17:
            return bytes(buffer[:length])
    return b""


def readable(fd: int) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        return bool(selector.select(5))


def test_name_and_first_state(system: System) -> None:
    expected = "tun2" if isinstance(system, OfOpenBSD) else "tun9"
    assert system.tun.name.removeprefix("u") == expected
    link = system.tun.link()
    assert (link.up, link.mtu) == (False, 1420)


def test_nothing_to_read_is_no_error(system: System) -> None:
    assert read(system.tun) == b""


def test_frame_has_a_header_and_leaves_room_behind(system: System) -> None:
    system.set_link(up=True)
    read(system.tun)
    system.send(b"hello")
    assert readable(system.tun.fileno())
    frame = read(system.tun)
    assert len(frame) == 10 + 28 + 5
    assert frame[10] == 0x45
    assert frame[-5:] == b"hello"


def test_frame_written_in_pieces_arrives_whole(system: System) -> None:
    system.set_link(up=True)
    if isinstance(system, OfLinux):
        system._bound()
    whole = packet(b"hello")
    assert system.tun.write([bytes(10), whole[:20], memoryview(whole)[20:]])
    assert system.heard() == b"hello"


def test_what_is_no_packet_is_thrown_away(system: System) -> None:
    system.set_link(up=True)
    assert not system.tun.write([bytes(10), b"\x95" + bytes(40)])
    assert not system.tun.write([bytes(10), b""])


def test_writing_while_down_is_no_end(system: System) -> None:
    assert not system.tun.write([bytes(10), packet(b"x")])
    assert not system.tun.link().up


def test_changes_of_the_link_are_told(system: System) -> None:
    system.set_link(up=True)
    assert readable(system.tun.watch_fileno())
    system.tun.watched()
    assert system.tun.link().up
    system.set_link(mtu=1280)
    assert readable(system.tun.watch_fileno())
    system.tun.watched()
    link = system.tun.link()
    assert (link.up, link.mtu) == (True, 1280)


def test_changes_of_routes_are_told(system: System) -> None:
    system.set_link(up=True)
    while system.tun.watched():
        pass
    system.change_routes()
    assert readable(system.tun.watch_fileno())
    assert system.tun.watched()


@pytest.mark.parametrize("up", [True, False])
def test_deleted_it_says_so(system: System, up: bool) -> None:
    system.set_link(up=up)
    system.delete()
    assert readable(system.tun.fileno())
    with pytest.raises(TunGone):
        read(system.tun)
    with pytest.raises(TunGone):
        system.tun.write([bytes(10), packet(b"x")])
    with pytest.raises(TunGone):
        system.tun.link()


def test_index_is_that_of_the_system() -> None:
    if os.geteuid() != 0:
        pytest.skip("a TUN of the system needs root and /dev/net/tun")
    system = OfLinux()
    assert system.tun.link().index == socket.if_nametoindex("tun9") > 0
    system.close()


def test_closed_twice_is_closed(system: System) -> None:
    system.tun.close()
    system.tun.close()


def test_linux_takes_the_name_that_it_got() -> None:
    if os.geteuid() != 0:
        pytest.skip("a TUN of the system needs root and /dev/net/tun")
    system = OfLinux()
    other = create_tun("tun%d")
    assert isinstance(other, LinuxTun)
    assert other.name == "tun0"
    other.close()
    system.close()


def test_linux_hears_the_kernel_and_nobody_else() -> None:
    """Who has CAP_NET_ADMIN can send to our ear; that the link went down would end all sessions."""
    if os.geteuid() != 0:
        pytest.skip("a TUN of the system needs root and /dev/net/tun")
    system = OfLinux()
    tun = system.tun
    assert isinstance(tun, LinuxTun)
    assert tun._ear is not None
    system.set_link(up=True)
    tun.watched()
    before = tun.link()
    liar = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    down = struct.pack("=BxHiII", 0, 0, before.index, 0, 0)  # ifinfomsg
    forged = struct.pack("=IHHII", 32, 16, 0, 0, 0) + down  # RTM_NEWLINK
    liar.sendto(forged, tun._ear.getsockname())
    assert not tun.watched()
    assert tun.link() == before
    liar.close()
    system.close()
