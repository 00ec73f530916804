# SPDX-License-Identifier: MIT
"""UDP sockets of systems without GSO and GRO, with options of other numbers or none."""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import Any, cast

import pytest

from tests.unit.daemon.test_udp import PEER4, PEER6, FakeHost, FakeSocket, five
from wgtools.daemon.udp import UDPSockets
from wgtools.daemon.udpoptions import UDPOptions, options_of

HERE = ipaddress.ip_address("192.0.2.1").packed
HERE6 = ipaddress.ip_address("2001:db8::1").packed

OTHERS = ["freebsd14", "openbsd7", "darwin", "sunos5"]


def opened(host: FakeHost, platform: str, *, fwmark: int = 0) -> UDPSockets:
    options = options_of(platform)
    return UDPSockets(fwmark=fwmark, open_socket=host.socket, options=options)


def set_options(udp: UDPSockets, family: int) -> dict[tuple[int, int], int]:
    sockets = cast(list[FakeSocket], udp.sockets)
    return next(sock for sock in sockets if sock.family == family).options


@pytest.mark.parametrize("platform", OTHERS)
def test_only_numbers_of_the_system_are_tried(platform: str) -> None:
    """On FreeBSD Linux's IP_PKTINFO would put IP options into every datagram."""
    udp = opened(FakeHost(), platform)
    options = options_of(platform)
    allowed = {(level, option) for level, option, _ in (*options.four, *options.six)}
    allowed |= {(socket.SOL_SOCKET, socket.SO_RCVBUF), (socket.SOL_SOCKET, socket.SO_SNDBUF)}
    allowed |= {(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY), (socket.SOL_SOCKET, options.mark)}
    for family in (socket.AF_INET, socket.AF_INET6):
        assert set(set_options(udp, family)) <= allowed
    assert not udp.has_gro
    assert not udp.has_gso


@pytest.mark.parametrize("platform", OTHERS)
def test_datagrams_go_one_by_one(platform: str) -> None:
    host = FakeHost()
    data, parts = five()
    opened(host, platform).send([(PEER4, None, data, 100), (PEER6, None, data, 100)])
    assert [sent for sent, _, _ in host.sent] == parts + parts


def asked(udp: UDPSockets, control: tuple[int, int, bytes], address: Any) -> list[Any]:
    """What is sent along with an answer to a datagram that came with `control`."""
    sock = udp.sockets[len(address) == 4]
    cast(FakeSocket, sock).incoming.append((b"x", [control], address))
    received = udp.receive(sock, memoryview(bytearray(100)))
    assert received is not None
    host = cast(FakeSocket, sock).host
    udp.send([(address, received.sticky, memoryview(b"y"), 1)])
    return host.sent.pop()[1]


@pytest.mark.parametrize("platform", ["freebsd14", "openbsd7"])
def test_bsd_answers_from_the_address_that_was_asked(platform: str) -> None:
    udp = opened(FakeHost(), platform)
    assert asked(udp, (socket.IPPROTO_IP, 7, HERE), PEER4) == [(socket.IPPROTO_IP, 7, HERE)]
    control = (socket.IPPROTO_IPV6, 46, struct.pack("=16si", HERE6, 3))
    answer = (socket.IPPROTO_IPV6, 46, struct.pack("=16si", HERE6, 0))
    assert asked(udp, control, PEER6) == [answer]


def test_macos_answers_from_the_address_that_was_asked() -> None:
    udp = opened(FakeHost(), "darwin")
    control = (socket.IPPROTO_IP, 26, struct.pack("=i4s4s", 3, HERE, HERE))
    answer = (socket.IPPROTO_IP, 26, struct.pack("=i4s4s", 0, HERE, bytes(4)))
    assert asked(udp, control, PEER4) == [answer]


@pytest.mark.parametrize("platform", ["freebsd14", "openbsd7", "darwin"])
def test_datagram_through_our_own_tunnel_is_noticed_on_ipv6(platform: str) -> None:
    udp = opened(FakeHost(), platform)
    udp.tun_index = 3
    control = (socket.IPPROTO_IPV6, 46, struct.pack("=16si", HERE6, 3))
    cast(FakeSocket, udp.sockets[1]).incoming.append((b"x", [control], PEER6))
    received = udp.receive(udp.sockets[1], memoryview(bytearray(100)))
    assert received is not None
    assert received.length == 0


@pytest.mark.parametrize(
    ("platform", "option"), [("linux", 36), ("freebsd14", 0x1015), ("openbsd7", 0x1021)]
)
@pytest.mark.parametrize(("fwmark", "signed"), [(0xCA6C, 0xCA6C), (0xFFFFFFFF, -1)])
def test_mark_of_32_bits_is_set(platform: str, option: int, fwmark: int, signed: int) -> None:
    udp = opened(FakeHost(), platform, fwmark=fwmark)
    for family in (socket.AF_INET, socket.AF_INET6):
        assert set_options(udp, family)[socket.SOL_SOCKET, option] == signed


def test_openbsd_keeps_the_routing_table_of_its_caller() -> None:
    udp = opened(FakeHost(), "openbsd7")
    assert (socket.SOL_SOCKET, 0x1021) not in set_options(udp, socket.AF_INET)
    assert udp.can_mark


def test_macos_has_no_marks_and_does_not_complain() -> None:
    udp = opened(FakeHost(), "darwin", fwmark=7)
    assert udp.can_mark
    assert all(option != 36 for _, option in set_options(udp, socket.AF_INET))


def test_buffers_are_as_large_as_the_system_lets_them_be() -> None:
    class Narrow(FakeSocket):
        def setsockopt(self, level: int, option: int, value: int) -> None:
            if option == socket.SO_RCVBUF and value > 2 << 20:
                raise OSError(55, "No buffer space available")
            super().setsockopt(level, option, value)

    host = FakeHost()

    def open_socket(family: int, _kind: int) -> socket.socket:
        return cast(socket.socket, Narrow(host, family))

    udp = UDPSockets(open_socket=open_socket, options=UDPOptions())
    size = set_options(udp, socket.AF_INET)[socket.SOL_SOCKET, socket.SO_RCVBUF]
    assert 1 << 20 <= size <= 2 << 20
