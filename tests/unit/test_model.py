# SPDX-License-Identifier: MIT
"""Values: equality, text, and endpoints as libc would have them."""

from __future__ import annotations

import socket

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wgtools.errors import ConfigError
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, DeviceChange, Endpoint, HostPort, Peer, PeerChange

KEY = Key(b"\1" * 32)


def test_values_compare_by_what_they_hold() -> None:
    assert Peer(KEY) == Peer(KEY)
    assert Peer(KEY) != Peer(KEY, keepalive=1)
    assert Peer(KEY) != PeerChange(KEY)
    assert Device("a") != Device("b")
    assert DeviceChange() == DeviceChange()
    assert len({Endpoint("::1", 1), Endpoint("::1", 1)}) == 1
    assert len({AllowedIP.parse("::/0"), AllowedIP.parse("::/0")}) == 1


def test_lists_are_not_shared() -> None:
    assert Peer(KEY).allowed_ips is not Peer(KEY).allowed_ips
    assert DeviceChange().peers is not DeviceChange().peers


def test_repr_hides_keys() -> None:
    assert repr(Peer(KEY)).count("Key(...)") == 1
    assert KEY.hex() not in repr(Device("wg0", private_key=KEY, peers=[Peer(KEY)]))


@pytest.mark.parametrize("text", ["10.0.0.1/32", "0.0.0.0/0", "::/0", "fe80::1/64"])
def test_allowed_ip_text(text: str) -> None:
    assert str(AllowedIP.parse(text)) == text


def test_allowed_ip_without_length_is_one_address() -> None:
    assert str(AllowedIP.parse("10.0.0.1")) == "10.0.0.1/32"
    assert str(AllowedIP.parse("::1")) == "::1/128"


@pytest.mark.parametrize(
    "text", ["", "x", "10.0.0.1/", "10.0.0.1/33", "::1/129", "::1/+1", "10.0.0.0/\u0661"]
)
def test_allowed_ip_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"IP network|prefix length"):
        AllowedIP.parse(text)


def test_endpoint_text() -> None:
    assert str(Endpoint("192.0.2.1", 1)) == "192.0.2.1:1"
    assert str(Endpoint("fe80::1%eth0", 1)) == "[fe80::1%eth0]:1"


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (b"a:1", b"a", b"1"),
        (b":1", b"", b"1"),
        (b"::1:80", b"::1", b"80"),
        (b"[::1]:80", b"::1", b"80"),
        (b"[]:80", b"", b"80"),
        (b"[a]b]:1", None, None),
        (b"[[::1]]:1", None, None),
        (b"a]:1", b"a]", b"1"),
    ],
)
def test_host_and_port(text: bytes, host: bytes | None, port: bytes | None) -> None:
    if host is None or port is None:
        with pytest.raises(ConfigError, match="Unable to find port"):
            HostPort.parse(text)
    else:
        assert HostPort.parse(text) == HostPort(host, port, text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "Unable to parse empty endpoint"),
        (b"[::1", "Unable to find matching brace of endpoint: `[::1'"),
        (b"[::1]", "Unable to find port of endpoint: `[::1]'"),
        (b"[::1]:", "Unable to find port of endpoint: `[::1]:'"),
        (b"a", "Unable to find port of endpoint: `a'"),
        (b"a:", "Unable to find port of endpoint: `a:'"),
        (b"\xff", "Unable to find port of endpoint: `\udcff'"),
    ],
)
def test_endpoint_without_host_or_port(text: bytes, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        HostPort.parse(text)
    assert raised.value.message == problem


@given(st.ip_addresses().map(str), st.integers(0, 65535), st.sampled_from(["", "0", "+", " 00"]))
@example("::ffff:1.2.3.4", 1, "")
@example("::1:2", 1, "")
@example("fe80::1", 1, "")
def test_numeric_is_what_libc_says(host: str, port: int, before: str) -> None:
    text = f"[{host}]:{before}{port}".encode()
    found = HostPort.parse(text).numeric()
    address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][4]
    flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    name, service = socket.getnameinfo(address, flags)
    assert found == Endpoint(name, int(service))


@given(st.text("0123456789.:%fx-", max_size=12).map(str.encode), st.binary(max_size=6))
@example(b"127.1", b"1")
@example(b"fe80::1%lo", b"1")
@example(b"localhost", b"1")
@example(b"::1", b"65536")
@example(b"::1", b"http")
@example(b"::1", b"-1")
def test_numeric_leaves_the_rest_to_others(host: bytes, port: bytes) -> None:
    found = HostPort(host, port, b"").numeric()
    if found is not None:
        assert 0 <= found.port <= 65535
        family = socket.AF_INET6 if b":" in host else socket.AF_INET
        socket.inet_pton(family, host.decode())


@pytest.mark.parametrize(
    "text", ["vpn.example.org:51820", "[2001:db8::1]:1", "b\u00fccher.example:1"]
)
def test_host_and_port_may_be_str_as_well(text: str) -> None:
    assert HostPort.parse(text) == HostPort.parse(text.encode())
