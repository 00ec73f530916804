# SPDX-License-Identifier: MIT
"""UDPSockets on sockets that refuse what they are told to refuse."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from wgtools.daemon import udp as udp_module
from wgtools.daemon.udp import Sticky, UDPSockets
from wgtools.engine.events import Address

HERE4 = (socket.IPPROTO_IP, 8, struct.pack("=i4s4s", 3, bytes([192, 0, 2, 1]), bytes(4)))
ANSWER4 = (socket.IPPROTO_IP, 8, struct.pack("=i4s4s", 0, bytes([192, 0, 2, 1]), bytes(4)))
PEER4 = ("192.0.2.2", 51820)
PEER6 = ("2001:db8::2", 51820, 0, 0)
SEGMENT = 103

Control = tuple[int, int, bytes]


class FakeSocket:
    """Says what it was sent; refuses as `refuse` tells."""

    def __init__(self, host: FakeHost, family: int) -> None:
        self.host = host
        self.family = family
        self.options: dict[tuple[int, int], int] = {}
        self.port = 0
        self.incoming: list[object] = []

    def setblocking(self, flag: bool) -> None:
        self.blocks = flag

    def setsockopt(self, level: int, option: int, value: int) -> None:
        if (level, option) in self.host.forbidden_options:
            raise OSError(errno.EPERM, "no")
        self.options[level, option] = value

    def bind(self, address: tuple[str, int]) -> None:
        port = address[1] or self.host.random_ports.pop(0)
        if self.family in self.host.unbindable:
            raise OSError(errno.EADDRNOTAVAIL, "no such family here")
        if (self.family, port) in self.host.taken:
            raise OSError(errno.EADDRINUSE, "taken")
        self.port = port
        self.host.open.add(self)

    def getsockname(self) -> tuple[str, int]:
        return "", self.port

    def close(self) -> None:
        self.host.open.discard(self)

    def recvmsg_into(self, buffers: list[memoryview], _size: int) -> object:
        if not self.incoming:
            raise BlockingIOError(errno.EAGAIN, "nothing")
        answer = self.incoming.pop(0)
        if isinstance(answer, OSError):
            raise answer
        data, ancillary, address = cast(tuple[bytes, list[Control], Any], answer)
        buffers[0][: len(data)] = data
        return len(data), ancillary, 0, address

    def sendmsg(
        self, buffers: Sequence[bytes], control: Sequence[Control], _flags: int, address: Any
    ) -> int:
        data = b"".join(buffers)
        number = self.host.refuse(data, list(control))
        if number:
            raise OSError(number, os.strerror(number))
        self.host.sent.append((data, list(control), address))
        return len(data)


class FakeHost:
    """Makes sockets and decides what they can."""

    def __init__(self) -> None:
        self.random_ports = list(range(40000, 41000))
        self.taken: set[tuple[int, int]] = set()
        self.absent: set[int] = set()
        self.unbindable: set[int] = set()
        self.forbidden_options: set[tuple[int, int]] = set()
        self.refuse: Callable[[bytes, list[Control]], int] = lambda _data, _control: 0
        self.sent: list[tuple[bytes, list[Control], Any]] = []
        self.open: set[FakeSocket] = set()

    def socket(self, family: int, _kind: int) -> socket.socket:
        if family in self.absent:
            raise OSError(errno.EAFNOSUPPORT, "absent")
        return cast(socket.socket, FakeSocket(self, family))

    def sockets(self, port: int = 0, *, fwmark: int = 0) -> UDPSockets:
        return UDPSockets(port, fwmark=fwmark, open_socket=self.socket)

    def datagrams(self) -> list[bytes]:
        """What was sent, cut as the kernel would cut it."""
        cut = []
        for data, control, _ in self.sent:
            sizes = [struct.unpack("=H", value)[0] for _, kind, value in control if kind == SEGMENT]
            size = sizes[0] if sizes else len(data)
            cut += [data[i : i + size] for i in range(0, len(data), size)]
        return cut


def five(size: int = 100) -> tuple[memoryview, list[bytes]]:
    """Four datagrams of `size` and a shorter fifth, in one buffer and apart."""
    parts = [bytes([65 + i]) * size for i in range(4)] + [b"last"]
    return memoryview(b"".join(parts)), parts


# ------------------------------------------------------------------ opening


def test_both_families_on_one_port() -> None:
    udp = FakeHost().sockets()
    assert [sock.getsockname()[1] for sock in udp.sockets] == [40000, 40000]
    assert udp.port == 40000


def test_p20_a21_random_port_taken_on_ipv6_is_drawn_again() -> None:
    host = FakeHost()
    host.taken = {(socket.AF_INET6, 40000), (socket.AF_INET6, 40001)}
    assert host.sockets().port == 40002
    assert len(host.open) == 2


def test_set_port_taken_on_ipv6_is_refused_and_nothing_stays_open() -> None:
    host = FakeHost()
    host.taken = {(socket.AF_INET6, 7)}
    with pytest.raises(OSError, match="taken"):
        host.sockets(7)
    assert host.open == set()


@pytest.mark.parametrize("how", ["absent", "unbindable"])
def test_p20_a21_host_without_ipv6_carries_on_with_ipv4(how: str) -> None:
    host = FakeHost()
    getattr(host, how).add(socket.AF_INET6)
    udp = host.sockets()
    assert not udp.has_ipv6
    udp.send([(PEER6, None, memoryview(b"x"), 1), (PEER4, None, memoryview(b"y"), 1)])
    assert host.datagrams() == [b"y"]
    assert udp.troubles == {"no socket of that family": 1}


def test_host_without_any_family_is_an_error() -> None:
    host = FakeHost()
    host.absent = {socket.AF_INET, socket.AF_INET6}
    with pytest.raises(OSError, match="neither"):
        host.sockets()


def test_mark_without_privilege_is_refused_and_nothing_stays_open() -> None:
    host = FakeHost()
    host.forbidden_options = {(socket.SOL_SOCKET, 36)}
    with pytest.raises(PermissionError):
        host.sockets(fwmark=1)
    assert host.open == set()
    assert not host.sockets().can_mark  # none is no error
    host.forbidden_options = set()
    assert host.sockets().can_mark


def test_kernel_without_offloads_is_no_error() -> None:
    host = FakeHost()
    host.forbidden_options = {(17, 103), (17, 104), (socket.SOL_SOCKET, 32)}
    udp = host.sockets()
    assert not udp.has_gro
    assert not udp.has_gso
    data, parts = five()
    udp.send([(PEER4, None, data, 100)])
    assert host.datagrams() == parts
    assert all(control == [] for _, control, _ in host.sent)


# ------------------------------------------------------------------ sending


def test_equal_datagrams_go_in_one_call() -> None:
    host = FakeHost()
    data, parts = five()
    host.sockets().send([(PEER6, None, data, 100)])
    assert len(host.sent) == 1
    assert host.datagrams() == parts


def refuse_segments(number: int) -> Callable[[bytes, list[Control]], int]:
    return lambda _data, control: number if any(c[1] == SEGMENT for c in control) else 0


def test_gso_refused_with_eio_loses_nothing_and_is_left_off_for_good() -> None:
    host = FakeHost()
    udp = host.sockets()
    host.refuse = refuse_segments(errno.EIO)
    data, parts = five()
    udp.send([(PEER4, None, data, 100)])
    assert host.datagrams() == parts
    assert not udp.has_gso


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EMSGSIZE])
def test_gso_refused_for_its_size_is_left_off_towards_that_peer_only(number: int) -> None:
    host = FakeHost()
    udp = host.sockets()
    host.refuse = refuse_segments(number)
    data, parts = five()
    udp.send([(PEER4, None, data, 100)])
    assert host.datagrams() == parts
    assert udp.has_gso
    host.refuse = lambda _data, _control: 0
    host.sent.clear()
    udp.send([(PEER4, None, data, 100), (PEER6, None, data, 100)])
    assert [len(data) for data, _, _ in host.sent] == [100, 100, 100, 100, 4, 404]


def test_p22_a20_partial_send_loses_only_what_was_refused() -> None:
    host = FakeHost()
    udp = host.sockets()
    host.forbidden_options = set()
    udp.has_gso = False
    host.refuse = lambda data, _control: errno.ENOBUFS if data[:1] == b"B" else 0
    data, parts = five()
    udp.send([(PEER4, None, data, 100)])
    assert host.datagrams() == [parts[0], *parts[2:]]
    assert udp.troubles == {"ENOBUFS": 1}


@pytest.mark.parametrize(
    "number",
    [errno.ENOBUFS, errno.EPERM, errno.EMSGSIZE, errno.ENETUNREACH, errno.EHOSTUNREACH],
)
def test_what_cannot_be_sent_is_counted(number: int) -> None:
    host = FakeHost()
    udp = host.sockets()
    host.refuse = lambda _data, _control: number
    udp.send([(PEER4, None, memoryview(b"x"), 1)])
    assert udp.troubles == {errno.errorcode[number]: 1}


def test_full_buffer_is_waited_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost()
    udp = host.sockets()
    full = [errno.EAGAIN, errno.EAGAIN]
    host.refuse = lambda _data, _control: full.pop() if full else 0
    monkeypatch.setattr(udp_module, "_writable", lambda _sock: True)
    udp.send([(PEER4, None, memoryview(b"x"), 1)])
    assert host.datagrams() == [b"x"]


def test_buffer_that_stays_full_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost()
    udp = host.sockets()
    host.refuse = lambda _data, _control: errno.EAGAIN
    monkeypatch.setattr(udp_module, "_writable", lambda _sock: False)
    udp.send([(PEER4, None, memoryview(b"x"), 1)])
    assert udp.troubles == {"EAGAIN": 1}
    monkeypatch.setattr(udp_module, "_writable", lambda _sock: True)
    udp.send([(PEER4, None, memoryview(b"x"), 1)])
    assert udp.troubles == {"EAGAIN": 1, "gave up": 1}


# ------------------------------------------------------------------ receiving, and answering


TUN = 9
THROUGH_TUN = [
    (socket.IPPROTO_IP, 8, struct.pack("=i4s4s", TUN, bytes([10, 0, 0, 1]), bytes(4))),
    (socket.IPPROTO_IPV6, 50, struct.pack("=16si", b"\xfd" + bytes(15), TUN)),
]


@pytest.mark.parametrize("control", THROUGH_TUN)
def test_datagram_through_our_own_tunnel_comes_empty_and_is_counted(control: Control) -> None:
    udp = FakeHost().sockets()
    udp.tun_index = TUN
    inside = (b"x" * 32, [control], PEER4)
    outside = (b"y" * 32, [HERE4], PEER4)
    assert received(udp, inside, outside) == [(0, 0, PEER4), (32, 32, PEER4)]
    assert udp.troubles == {"through our own tunnel": 1}
    udp.tun_index = 0  # it moved to another namespace: that number is another interface's now
    assert received(udp, inside) == [(32, 32, PEER4)]


def test_datagram_from_port_0_comes_empty_and_is_counted() -> None:
    """No answer could ever be sent to it."""
    udp = FakeHost().sockets()
    assert received(udp, (b"x", [], ("192.0.2.2", 0))) == [(0, 0, ("192.0.2.2", 0))]
    assert udp.troubles == {"from port 0": 1}


def received(udp: UDPSockets, *incoming: object) -> list[tuple[int, int, Address]]:
    sock = cast(FakeSocket, udp.sockets[0])
    sock.incoming += incoming
    buffer = memoryview(bytearray(65536))
    got = []
    while sock.incoming:
        one = udp.receive(udp.sockets[0], buffer)
        if one is not None:
            got.append((one.length, one.size, one.address))
    return got


def test_merged_datagrams_come_with_their_size() -> None:
    udp = FakeHost().sockets()
    merged = (b"x" * 350, [(17, 104, struct.pack("=i", 100))], PEER4)
    assert received(udp, merged) == [(350, 100, PEER4)]


def test_p11_a19_oversized_or_merged_datagram_does_not_stop_the_receiver() -> None:
    udp = FakeHost().sockets()
    merged = (b"x" * 65535, [(17, 104, struct.pack("=i", 1))], PEER4)
    oversized = OSError(errno.EMSGSIZE, "too long")
    assert received(udp, merged, oversized, (b"after", [], PEER4)) == [
        (65535, 1, PEER4),
        (5, 5, PEER4),
    ]
    assert udp.troubles == {"EMSGSIZE": 1}


def sticky_of(udp: UDPSockets, control: Control) -> Sticky | None:
    sock = cast(FakeSocket, udp.sockets[0])
    sock.incoming.append((b"x", [control], PEER4))
    got = udp.receive(udp.sockets[0], memoryview(bytearray(10)))
    assert got is not None
    return got.sticky


def test_answer_leaves_from_the_address_that_was_asked() -> None:
    host = FakeHost()
    udp = host.sockets()
    sticky = sticky_of(udp, HERE4)
    assert sticky is sticky_of(udp, HERE4)
    udp.send([(PEER4, sticky, memoryview(b"x"), 1)])
    assert host.sent == [(b"x", [ANSWER4], PEER4)]


def test_source_that_the_kernel_refuses_is_cleared_and_sent_again() -> None:
    host = FakeHost()
    udp = host.sockets()
    sticky = sticky_of(udp, HERE4)
    host.refuse = lambda _data, control: errno.EINVAL if ANSWER4 in control else 0
    data, parts = five()
    udp.send([(PEER4, sticky, data, 100)])
    assert host.datagrams() == parts
    assert udp.has_gso
    assert len(host.sent) == 1
    host.sent.clear()
    udp.send([(PEER4, sticky, memoryview(b"x"), 1)])
    assert host.sent == [(b"x", [], PEER4)]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENETUNREACH])
def test_destination_at_fault_leaves_the_source_to_all_others(number: int) -> None:
    """Port 0 is EINVAL, an address without a route ENETUNREACH: anyone can pretend either."""
    host = FakeHost()
    udp = host.sockets()
    sticky = sticky_of(udp, HERE4)
    host.refuse = lambda data, _control: number if data[:1] == b"A" else 0
    data, _ = five()
    udp.send([(("198.51.100.1", 1), sticky, data, 100), (PEER4, sticky, memoryview(b"x"), 1)])
    assert host.sent[-1] == (b"x", [ANSWER4], PEER4)
    assert udp.troubles[errno.errorcode[number]]
    assert sticky is not None
    assert sticky.alive


def test_source_that_had_died_lives_again_when_it_is_asked() -> None:
    host = FakeHost()
    udp = host.sockets()
    host.refuse = lambda _data, control: errno.EADDRNOTAVAIL if ANSWER4 in control else 0
    udp.send([(PEER4, sticky_of(udp, HERE4), memoryview(b"x"), 1)])
    host.refuse = lambda _data, _control: 0
    udp.send([(PEER4, sticky_of(udp, HERE4), memoryview(b"x"), 1)])
    assert [control for _, control, _ in host.sent] == [[], [ANSWER4]]


def test_address_that_cannot_be_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    udp = FakeHost().sockets()
    monkeypatch.setattr(udp.sockets[1], "sendmsg", too_large)
    udp.send([(PEER6, None, memoryview(b"x"), 1), (PEER4, None, memoryview(b"y"), 1)])
    assert udp.troubles == {"not an address to send to": 1}


def too_large(*_words: object) -> int:
    raise OverflowError("scope")


def test_refused_source_and_refused_gso_together_lose_nothing() -> None:
    host = FakeHost()
    udp = host.sockets()
    sticky = sticky_of(udp, HERE4)
    host.refuse = lambda _data, control: errno.EINVAL if control else 0
    data, parts = five()
    udp.send([(PEER4, sticky, data, 100)])
    assert host.datagrams() == parts


def test_changed_routes_forget_sources_until_asked_again() -> None:
    host = FakeHost()
    udp = host.sockets()
    old = sticky_of(udp, HERE4)
    udp.forget_sources()
    udp.send([(PEER4, old, memoryview(b"x"), 1)])
    assert host.sent[-1][1] == []
    udp.send([(PEER4, sticky_of(udp, HERE4), memoryview(b"x"), 1)])
    assert host.sent[-1][1] == [ANSWER4]


def test_link_local_answer_names_its_interface_and_others_do_not() -> None:
    udp = FakeHost().sockets()
    for address, index in ((b"\xfe\x80" + bytes(14), 3), (b"\x20\x01" + bytes(14), 0)):
        sticky = sticky_of(udp, (socket.IPPROTO_IPV6, 50, struct.pack("=16si", address, 3)))
        assert sticky is not None
        assert sticky.control[2] == struct.pack("=16si", address, index)


def test_peers_cannot_make_us_remember_without_end() -> None:
    udp = FakeHost().sockets()
    for n in range(5000):
        sticky_of(udp, (socket.IPPROTO_IP, 8, struct.pack("=iI4s", 0, n, bytes(4))))
    assert len(udp._stickies) <= 1024
