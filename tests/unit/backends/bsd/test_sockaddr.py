# SPDX-License-Identifier: MIT
"""Endpoints as BSD socket addresses, there and back."""

import pytest

from wgtools.model import Endpoint, HostPort
from wgtools_backends.bsd import sockaddr

INET6 = 28  # FreeBSD's


def scope_of(zone: str) -> int:
    return {"em0": 3, "99": 99, "far": 1 << 32}[zone]


def zone_of(index: int) -> str:
    return {3: "em0"}.get(index, "")


def pack(host: str, port: int) -> bytes:
    return sockaddr.pack(Endpoint(host, port), inet6=INET6, scope_of=scope_of)


def unpack(data: bytes) -> Endpoint | None:
    return sockaddr.unpack(data, inet6=INET6, zone_of=zone_of)


@pytest.mark.parametrize(
    ("host", "port", "packed"),
    [
        ("192.0.2.33", 51820, "1002ca6cc00002210000000000000000"),
        ("2001:db8::33", 51820, "1c1cca6c0000000020010db800000000000000000000003300000000"),
        ("fe80::1%99", 51820, "1c1cca6c00000000fe80000000000000000000000000000163000000"),
        ("fe80::1%em0", 1, "1c1c000100000000fe80000000000000000000000000000103000000"),
        ("ff02::1%em0", 1, "1c1c000100000000ff02000000000000000000000000000103000000"),
    ],
)
def test_recorded_addresses_both_ways(host: str, port: int, packed: str) -> None:
    assert pack(host, port).hex() == packed
    assert unpack(bytes.fromhex(packed)) == Endpoint(host, port)


def test_only_a_link_local_zone_has_a_name() -> None:
    assert unpack(pack("2001:db8::1%em0", 1)) == Endpoint("2001:db8::1%3", 1)


@pytest.mark.parametrize("size", [0, 1, 15, 29])
def test_other_sizes_are_no_address(size: int) -> None:
    assert unpack(b"\x10\x02".ljust(size, b"\1")[:size]) is None


def test_other_families_are_no_address() -> None:
    assert unpack(b"\x1c\x0a" + bytes(26)) is None


def test_the_length_byte_says_nothing() -> None:
    assert unpack(b"\xff\x02\0\1\xc0\0\2\1" + bytes(8)) == Endpoint("192.0.2.1", 1)


def test_what_is_missing_of_an_ipv6_address_is_zero() -> None:
    short = bytes.fromhex("1c1c00010000000020010db800000000")
    assert unpack(short) == Endpoint("2001:db8::", 1)


@pytest.mark.parametrize(
    "endpoint",
    [
        Endpoint("vpn.example.org", 1),
        Endpoint("192.0.2.1", 65536),
        Endpoint("192.0.2.1", -1),
        Endpoint("fe80::1%far", 1),
        HostPort(b"192.0.2.1", b"1", b"192.0.2.1:1"),
    ],
)
def test_what_is_no_numeric_address_is_refused(endpoint: Endpoint | HostPort) -> None:
    with pytest.raises(ValueError, match=r"."):
        sockaddr.pack(endpoint, inet6=INET6, scope_of=scope_of)
