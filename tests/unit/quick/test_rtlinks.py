# SPDX-License-Identifier: MIT
"""Our rtnetlink messages against pyroute2's, another hand's reading of the same headers."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from wgtools.inet import pton
from wgtools.quick import rtlinks
from wgtools.quick.rtnetlink import attribute, word


def decoded(kind: type, body: bytes) -> Any:
    message = kind(struct.pack("=IHHII", 16 + len(body), 0, 0, 0, 0) + body)
    message.decode()
    return message


def encoded(message: Any) -> bytes:
    message.encode()
    return bytes(message.data)[16:]


def packed(text: str) -> bytes:
    data = pton(text)
    assert data is not None
    return data


@pytest.mark.parametrize("name", ["wg0", "a+b=", "fifteen-letters"])
def test_a_new_link(name: str) -> None:
    message = decoded(ifinfmsg, rtlinks.encode_new_link(name, "wireguard"))
    assert message.get_attr("IFLA_IFNAME") == name
    assert message.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_KIND") == "wireguard"
    assert (message["index"], message["flags"], message["change"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("address", "length", "scope"),
    [("10.0.0.1", 24, 0), ("127.0.0.9", 8, 254), ("127.0.0.9", 4, 0), ("fd00::1", 64, 0)],
)
def test_a_new_address(address: str, length: int, scope: int) -> None:
    message = decoded(ifaddrmsg, rtlinks.encode_address(packed(address), length, 7))
    assert message["family"] == (10 if ":" in address else 2)
    assert (message["prefixlen"], message["index"], message["scope"]) == (length, 7, scope)
    assert message.get_attr("IFA_LOCAL") == message.get_attr("IFA_ADDRESS") == address
    assert message.get_attr("IFA_BROADCAST") is None


def test_a_route_is_read() -> None:
    message = rtmsg()
    message["family"], message["dst_len"], message["table"] = 2, 16, 252
    message["attrs"] = [
        ("RTA_TABLE", 51820),
        ("RTA_DST", "10.5.0.0"),
        ("RTA_OIF", 3),
        ("RTA_METRICS", {"attrs": [("RTAX_MTU", 1400), ("RTAX_ADVMSS", 1360)]}),
    ]
    route = rtlinks.Route(encoded(message))
    assert (route.table, route.link, route.mtu, route.length) == (51820, 3, 1400, 16)
    assert route.destination == packed("10.5.0.0")


def test_a_default_route_without_metrics_is_read() -> None:
    message = rtmsg()
    message["family"], message["table"] = 10, 254
    route = rtlinks.Route(encoded(message))
    assert (route.table, route.link, route.mtu, route.length) == (254, 0, 0, 0)
    assert route.destination == b""


@pytest.mark.parametrize("cut", range(1, 16))
def test_attributes_that_are_cut_short_are_left_out(cut: int) -> None:
    data = attribute(3, b"wg0\0\0") + word(4, 1420)
    found = rtlinks.attributes(data[:-cut])
    assert found == ({3: b"wg0\0\0"} if cut <= len(data) - 9 else {})
    assert rtlinks.attributes(data) == {3: b"wg0\0\0", 4: struct.pack("=I", 1420)}


def test_attributes_of_no_length_end_the_reading() -> None:
    assert rtlinks.attributes(bytes(16)) == {}


def _notice(index: int, *, family: int = 0, kind: int = 17) -> tuple[int, int, bytes]:
    message = ifinfmsg()
    message["family"], message["index"] = family, index
    return kind, 0, encoded(message)


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([_notice(7)], True),
        ([_notice(8), _notice(7)], True),
        ([_notice(8)], False),
        ([_notice(7, kind=16)], False),  # it only changed
        ([_notice(7, family=7)], False),  # it has left a bridge
        ([(17, 0, b"short")], False),
        ([], False),
    ],
)
def test_the_notice_that_a_link_has_gone(
    messages: list[tuple[int, int, bytes]], *, told: bool
) -> None:
    assert rtlinks.tells_of_removal(messages, 7) is told
