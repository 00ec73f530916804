# SPDX-License-Identifier: MIT
"""How FreeBSD, OpenBSD and macOS make, name and take away a TUN, and what may go wrong."""

from __future__ import annotations

import errno
import os
import struct
import sys
from collections.abc import Callable, Generator
from typing import Any

import pytest

from tests.contract.bsd_kernel import (
    AF_ROUTE,
    AF_SYSTEM,
    RTM_NEWADDR,
    SIOCGIFFLAGS,
    TUNGIFNAME,
    TUNSIFHEAD,
    TUNSIFMODE,
    BSDKernel,
    FreeBSDKernel,
    MacOSKernel,
    OpenBSDKernel,
)
from tests.contract.test_tun_contract import packet
from wgtools.daemon import tun as daemon_tun
from wgtools.daemon.tun import FRAME_ROOM, Tun, TunGone, freebsd, macos, openbsd
from wgtools.errors import AccessError, UsageError, WgError

SIX = bytes([0x60, 0, 0, 0, 0, 0, 59, 64]) + bytes(32)  # IPv6, no next header

MAKERS: dict[type[BSDKernel], tuple[Any, str]] = {
    FreeBSDKernel: (freebsd, "wg0"),
    OpenBSDKernel: (openbsd, "tun0"),
    MacOSKernel: (macos, "utun"),
}


@pytest.fixture(params=list(MAKERS), ids=["freebsd", "openbsd", "macos"])
def kernel(request: pytest.FixtureRequest) -> Generator[BSDKernel]:
    kernel: BSDKernel = request.param()
    yield kernel
    kernel.stop()


@pytest.fixture
def make(kernel: BSDKernel) -> Generator[Callable[[], Tun]]:
    made: list[Tun] = []

    def make() -> Tun:
        module, name = MAKERS[type(kernel)]
        tun: Tun = module.create_tun(name, calls=kernel.calls)
        made.append(tun)
        return tun

    yield make
    for tun in made:
        tun.close()


def read(tun: Tun) -> bytes:
    buffer = memoryview(bytearray(b"\xee" * FRAME_ROOM))
    length = tun.read_into(buffer)
    assert buffer[-16:] == b"\xee" * 16
    return bytes(buffer[:length])


# ------------------------------------------------------------------ what they share


def test_packets_of_both_families_are_framed(kernel: BSDKernel, make: Callable[[], Tun]) -> None:
    tun = make()
    kernel.set_link(up=True)
    for whole, family in ((packet(b"x"), 2), (SIX, kernel.af_inet6)):
        kernel.give(whole, family=family)
        assert read(tun) == bytes(10) + whole
        assert tun.write([bytes(10), whole])
        assert kernel.taken() == struct.pack(">I", family) + whole


def test_longest_packet_fits(kernel: BSDKernel, make: Callable[[], Tun]) -> None:
    tun = make()
    whole = packet(bytes(65535 - 28))
    kernel.give(whole)
    assert read(tun) == bytes(10) + whole


def test_family_without_packet_is_nothing(kernel: BSDKernel, make: Callable[[], Tun]) -> None:
    tun = make()
    kernel.give(b"")
    assert read(tun) == b""


def test_asks_for_the_mtu_that_wireguard_has(kernel: BSDKernel, make: Callable[[], Tun]) -> None:
    make()
    assert kernel.mtu == 1420


def test_no_privilege_has_a_hint(kernel: BSDKernel, make: Callable[[], Tun]) -> None:
    kernel.refuse = dict.fromkeys(("/dev/tun", "/dev/tun0", f"socket {AF_SYSTEM}"), errno.EPERM)
    with pytest.raises(AccessError, match="Cannot create interface") as caught:
        make()
    assert caught.value.errno == errno.EPERM
    assert "root" in caught.value.hint


def test_nothing_is_left_of_what_failed_half_way(
    kernel: BSDKernel, make: Callable[[], Tun]
) -> None:
    kernel.refuse = {hex(kernel.set_mtu): errno.EINVAL}
    with pytest.raises(AccessError, match="Cannot create interface"):
        make()
    if isinstance(kernel, FreeBSDKernel):  # elsewhere the interface goes with its opener
        assert kernel.index == 0
    if kernel.device is not None:
        assert kernel.device.recv(1) == b""  # the opener's end is closed


def test_without_a_route_socket_it_has_to_be_looked_at(
    kernel: BSDKernel, make: Callable[[], Tun]
) -> None:
    kernel.refuse = {f"socket {AF_ROUTE}": errno.EPERM}
    tun = make()
    assert tun.watch_fileno() == -1
    assert not tun.watched()
    kernel.set_link(up=True)
    assert tun.link().up


def test_new_address_is_a_change_and_the_link_is_none(
    kernel: BSDKernel, make: Callable[[], Tun]
) -> None:
    tun = make()
    kernel.set_link(up=True)
    assert not tun.watched()
    kernel.tell(RTM_NEWADDR)
    assert tun.watched()
    assert not tun.watched()


def test_lost_messages_count_as_a_change(kernel: BSDKernel, make: Callable[[], Tun]) -> None:
    tun = make()

    class Overflown:
        def recv(self, _size: int) -> bytes:
            raise OSError(errno.ENOBUFS, "No buffer space available")

        def close(self) -> None:
            pass

    ear, tun._ear = tun._ear, Overflown()  # type: ignore[attr-defined]  # a stand-in
    assert tun.watched()
    ear.close()


def test_super_packet_is_written_in_parts(kernel: BSDKernel, make: Callable[[], Tun]) -> None:
    """The engine joins TCP whoever reads it; a system without offloads gets it as it was."""
    tun = make()
    kernel.set_link(up=True)
    tcp = struct.pack("!HHIIBBHHH", 7, 8, 1000, 1, 0x50, 0x18, 100, 0, 0)
    payload = bytes(range(250))
    head = packet(b"")[:20]
    head = head[:2] + struct.pack("!H", 20 + 20 + 250) + head[4:9] + b"\x06" + head[10:]
    virtio = struct.pack("=BBHHHH", 1, 1, 40, 100, 20, 16)  # NEEDS_CSUM, TCPV4, of 100
    assert tun.write([virtio, head + tcp, payload[:100], payload[100:]])
    parts = [kernel.taken() for _ in range(3)]
    assert b"".join(part[44:] for part in parts) == payload
    assert [struct.unpack_from("!I", part, 28)[0] for part in parts] == [1000, 1100, 1200]
    for part in parts:
        assert part[:4] == struct.pack(">I", 2)
        assert sum16(part[4:24]) == 0xFFFF
        pseudo = part[16:24] + struct.pack("!HH", 6, len(part) - 24)
        assert sum16(pseudo + part[24:]) == 0xFFFF


def sum16(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_checksum_that_is_due_is_completed(kernel: BSDKernel, make: Callable[[], Tun]) -> None:
    tun = make()
    kernel.set_link(up=True)
    whole = bytearray(packet(b"hello!"))
    pseudo = sum16(bytes(whole[12:20]) + struct.pack("!HH", 17, len(whole) - 20))
    struct.pack_into("!H", whole, 26, pseudo)
    assert tun.write([struct.pack("=BBHHHH", 1, 0, 0, 0, 20, 6), whole])
    heard = kernel.taken()[4:]
    assert sum16(heard[12:20] + struct.pack("!HH", 17, len(heard) - 20) + heard[20:]) == 0xFFFF
    assert not tun.write([struct.pack("=BBHHHH", 1, 0, 0, 0, 9000, 6), whole])


@pytest.mark.parametrize("frame", [[b""], [bytes(9)], [bytes(10)], [bytes(10), b"", b"E"]])
def test_frame_without_a_packet_is_thrown_away(
    kernel: BSDKernel, make: Callable[[], Tun], frame: list[bytes]
) -> None:
    tun = make()
    kernel.set_link(up=True)
    assert not tun.write(frame)


def test_error_that_is_not_the_end_is_none(kernel: BSDKernel, make: Callable[[], Tun]) -> None:
    """An errno of its own never ends the engine: EIO is FreeBSD's word for a packet too long."""
    tun = make()
    kernel.set_link(up=True)
    kernel.refuse_io = errno.EIO
    assert not tun.write([bytes(10), packet(b"x")])
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        read(tun)
    kernel.refuse_io = errno.EHOSTDOWN  # FreeBSD, of one that was never up
    assert read(tun) == b""
    kernel.refuse_io = 0
    assert tun.write([bytes(10), packet(b"x")])


def test_adopted_it_is_the_same(kernel: BSDKernel) -> None:
    fd = kernel.attach("tun3")
    if isinstance(kernel, OpenBSDKernel):
        tun: Tun = openbsd.adopt_tun(
            fd, calls=kernel.calls, device_of=lambda _fd: os.makedev(40, 3)
        )
    else:
        tun = MAKERS[type(kernel)][0].adopt_tun(fd, calls=kernel.calls)
    assert tun.name == "tun3"
    assert tun.fileno() == fd
    assert not os.get_inheritable(fd)
    kernel.give(packet(b"x"))
    assert read(tun)[10:] == packet(b"x")
    tun.close()


def test_adopting_what_is_no_tun_is_refused(kernel: BSDKernel) -> None:
    fd = os.open(os.devnull, os.O_RDWR)
    try:
        with pytest.raises(UsageError, match=f"descriptor {fd} is not a TUN"):
            MAKERS[type(kernel)][0].adopt_tun(fd, calls=kernel.calls)
    finally:
        os.close(fd)


# ------------------------------------------------------------------ FreeBSD


def test_freebsd_is_cloned_set_up_and_renamed() -> None:
    kernel = FreeBSDKernel()
    tun = freebsd.create_tun("wg0", calls=kernel.calls)
    assert (tun.name, kernel.name) == ("wg0", "wg0")
    assert kernel.opened == ["/dev/tun"]
    assert kernel.mode == 0x8002  # IFF_MULTICAST, IFF_BROADCAST
    assert kernel.nd_flags == 0x101  # PERFORMNUD stays; NO_DAD, and no AUTO_LINKLOCAL
    assert kernel.asked.index(TUNSIFHEAD) < kernel.asked.index(TUNSIFMODE)
    tun.close()
    assert kernel.index == 0  # destroyed
    kernel.stop()


def test_freebsd_name_that_is_taken_is_told_and_nothing_stays() -> None:
    kernel = FreeBSDKernel()
    kernel.others = {"wg0"}
    with pytest.raises(AccessError, match="Interface wg0 is already there"):
        freebsd.create_tun("wg0", calls=kernel.calls)
    assert kernel.index == 0
    kernel.stop()


def test_freebsd_without_ipv6_does_without() -> None:
    kernel = FreeBSDKernel()
    kernel.refuse = {"socket 10": errno.EAFNOSUPPORT, "socket 28": errno.EAFNOSUPPORT}
    freebsd.create_tun("wg0", calls=kernel.calls).close()
    assert kernel.nd_flags == 0x21
    kernel.stop()


def test_freebsd_that_cannot_name_its_clone_is_told() -> None:
    kernel = FreeBSDKernel()
    kernel.refuse = {hex(TUNGIFNAME): errno.ENOTTY}
    with pytest.raises(AccessError):
        freebsd.create_tun("wg0", calls=kernel.calls)
    kernel.stop()


def test_freebsd_follows_a_new_name() -> None:
    kernel = FreeBSDKernel()
    tun = freebsd.create_tun("wg0", calls=kernel.calls)
    kernel.name = "vpn"
    assert tun.link().mtu == 1420
    assert tun.name == "vpn"
    tun.close()
    kernel.stop()


def test_freebsd_moved_into_a_jail_is_not_gone() -> None:
    kernel = FreeBSDKernel()
    tun = freebsd.create_tun("wg0", calls=kernel.calls)
    kernel.set_link(up=True)
    assert tun.link().index == 9
    kernel.refuse = {hex(SIOCGIFFLAGS): errno.ENXIO}
    link = tun.link()
    assert (link.up, link.mtu, link.index) == (True, 1420, 0)
    tun.close()
    kernel.stop()


def test_freebsd_is_told_who_has_it_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = FreeBSDKernel()
    tun = freebsd.create_tun("wg0", calls=kernel.calls)
    for _ in range(3):
        tun.link()
    monkeypatch.setattr("os.getpid", lambda: 4711)
    tun.link()
    assert kernel.pids == 2
    tun.close()
    kernel.stop()


# ------------------------------------------------------------------ OpenBSD


@pytest.mark.parametrize("name", ["wg0", "tunnel", "tun-1", "tap0"])
def test_openbsd_has_names_of_its_own(name: str) -> None:
    kernel = OpenBSDKernel()
    with pytest.raises(UsageError, match="cannot be called") as caught:
        openbsd.create_tun(name, calls=kernel.calls)
    assert "tun0" in caught.value.hint


def test_openbsd_takes_the_first_that_is_free() -> None:
    kernel = OpenBSDKernel()
    kernel.refuse = {"/dev/tun0": errno.EBUSY}
    tun = openbsd.create_tun("tun", calls=kernel.calls)
    assert tun.name == "tun1"
    tun.close()
    kernel.stop()


def test_openbsd_device_that_is_held_is_told() -> None:
    kernel = OpenBSDKernel()
    kernel.refuse = {"/dev/tun0": errno.EBUSY}
    with pytest.raises(AccessError, match="tun0 is already there"):
        openbsd.create_tun("tun0", calls=kernel.calls)


def test_openbsd_without_a_device_node_says_how_to_make_one() -> None:
    with pytest.raises(UsageError, match="no device for interface tun7") as caught:
        openbsd.create_tun("tun7", calls=OpenBSDKernel().calls)
    assert "MAKEDEV tun7" in caught.value.hint


# ------------------------------------------------------------------ macOS


@pytest.mark.parametrize("name", ["wg0", "utunnel", "tun0"])
def test_macos_has_names_of_its_own(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be called") as caught:
        macos.create_tun(name, calls=MacOSKernel().calls)
    assert "utun0" in caught.value.hint


def test_macos_tells_which_it_took() -> None:
    kernel = MacOSKernel()
    tun = macos.create_tun("utun", calls=kernel.calls)
    assert tun.name == "utun3"
    tun.close()
    kernel.stop()


def test_macos_unit_that_is_held_is_told() -> None:
    kernel = MacOSKernel()
    kernel.refuse = {"connect": errno.EBUSY}
    with pytest.raises(AccessError, match="utun7 is already there"):
        macos.create_tun("utun7", calls=kernel.calls)


# ------------------------------------------------------------------ choosing


@pytest.mark.parametrize(
    ("platform", "name"),
    [("freebsd14", "freebsd"), ("openbsd7", "openbsd"), ("darwin", "macos"), ("linux", "linux")],
)
def test_system_is_chosen_by_its_name(
    monkeypatch: pytest.MonkeyPatch, platform: str, name: str
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(f"wgtools.daemon.tun.{name}.create_tun", asked.append)
    monkeypatch.setattr(f"wgtools.daemon.tun.{name}.adopt_tun", asked.append)
    daemon_tun.create_tun("wg0")
    daemon_tun.adopt_tun(7)
    assert asked == ["wg0", 7]


def test_system_without_a_tun_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "sunos5")
    with pytest.raises(WgError, match="no TUN of sunos5"):
        daemon_tun.create_tun("wg0")


def test_gone_while_reading_its_end(kernel: BSDKernel, make: Callable[[], Tun]) -> None:
    """A read of nothing asks whether the interface is there before it is believed."""
    tun = make()
    assert kernel.device is not None
    kernel.device.close()
    kernel.index = 0
    with pytest.raises(TunGone):
        read(tun)
