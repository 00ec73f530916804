# SPDX-License-Identifier: MIT
"""Changes as FreeBSD's requests, its answers as devices.

The recorded ones are replayed by tests/golden/test_replay_bsd.py; here is what C `wg` never
sends, and what an answer may lack.
"""

import struct
from typing import Any

import pytest

from wgtools.errors import ProtocolError
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, DeviceChange, Endpoint, HostPort, PeerChange
from wgtools_backends.freebsd import codec, nvlist

A, B = Key(b"\x0a" * 32), Key(b"\x0b" * 32)


def request(change: DeviceChange) -> dict[bytes, Any]:
    return nvlist.unpack(codec.request(change, scope_of=int))


def device(pairs: dict[bytes, Any]) -> Device:
    return codec.device("wg0", nvlist.pack(pairs), zone_of=lambda _: "")


def one_peer(**settings: object) -> DeviceChange:
    return DeviceChange(peers=[PeerChange(A, **settings)])  # type: ignore[arg-type]  # mixed


def test_nothing_is_an_empty_list() -> None:
    assert codec.request(DeviceChange(), scope_of=int) == b"\x6c" + bytes(18)


def test_everything_in_the_order_of_the_c_tool() -> None:
    change = DeviceChange(
        private_key=A,
        listen_port=1,
        fwmark=2,
        replace_peers=True,
        peers=[
            PeerChange(
                B,
                remove=True,
                preshared_key=A,
                endpoint=Endpoint("fe80::1%3", 4),
                keepalive=5,
                replace_allowed_ips=True,
                allowed_ips=[AllowedIP(bytes(4), 0, remove=True), AllowedIP(bytes(16), 128)],
            )
        ],
    )
    pairs = request(change)
    assert list(pairs) == [
        *(b"private-key", b"listen-port", b"user-cookie", b"replace-peers", b"peers")
    ]
    (peer,) = pairs[b"peers"]
    assert list(peer) == [
        *(b"public-key", b"preshared-key", b"persistent-keepalive-interval", b"endpoint"),
        *(b"replace-allowedips", b"remove", b"allowed-ips"),
    ]
    assert peer[b"allowed-ips"] == [
        {b"flags": 1, b"cidr": 0, b"ipv4": bytes(4)},
        {b"cidr": 128, b"ipv6": bytes(16)},
    ]
    assert [list(item) for item in peer[b"allowed-ips"]] == [
        [b"flags", b"cidr", b"ipv4"],
        [b"cidr", b"ipv6"],
    ]


@pytest.mark.parametrize(
    "change",
    [
        DeviceChange(listen_port=65536),
        DeviceChange(listen_port=-1),
        DeviceChange(fwmark=1 << 32),
        one_peer(keepalive=65536),
        one_peer(keepalive=-1),
        one_peer(endpoint=HostPort(b"a", b"1", b"a:1")),
        one_peer(endpoint=Endpoint("192.0.2.1", 65536)),
        one_peer(allowed_ips=[AllowedIP(bytes(4), 33)]),
        one_peer(allowed_ips=[AllowedIP(bytes(4), -1)]),
        one_peer(allowed_ips=[AllowedIP(bytes(16), 129)]),
        one_peer(allowed_ips=[AllowedIP(bytes(5), 8)]),
    ],
    ids=repr,
)
def test_what_a_kernel_may_panic_at_is_refused(change: DeviceChange) -> None:
    with pytest.raises(ValueError, match=r"."):
        codec.request(change, scope_of=int)


FULL: dict[bytes, Any] = {
    b"public-key": bytes(B),
    b"preshared-key": bytes(A),
    b"endpoint": bytes.fromhex("1002ca6cc00002210000000000000000"),
    b"last-handshake-time": struct.pack("=qq", 1700000000, 5),
    b"persistent-keepalive-interval": 25,
    b"rx-bytes": 1 << 63,
    b"tx-bytes": 2,
    b"allowed-ips": [{b"ipv4": bytes(4), b"cidr": 0}, {b"ipv6": bytes(16), b"cidr": 1}],
}


def test_a_peer_with_everything() -> None:
    (peer,) = device({b"peers": [FULL]}).peers
    assert (peer.public_key, peer.preshared_key, peer.keepalive) == (B, A, 25)
    assert peer.endpoint == Endpoint("192.0.2.33", 51820)
    assert (peer.handshake_sec, peer.handshake_nsec) == (1700000000, 5)
    assert (peer.rx_bytes, peer.tx_bytes) == (1 << 63, 2)
    assert list(map(str, peer.allowed_ips)) == ["0.0.0.0/0", "::/1"]


@pytest.mark.parametrize(
    "pairs",
    [
        {b"listen-port": 65536},
        {b"listen-port": True},
        {b"user-cookie": 1 << 32},
        {b"private-key": bytes(31), b"public-key": "text"},
        {b"peers": 3},
        {b"peers": ["text"]},
        {b"peers": {}},
        {b"future": 1},
    ],
    ids=repr,
)
def test_what_is_of_a_wrong_kind_is_absent(pairs: dict[bytes, Any]) -> None:
    assert device(pairs) == Device("wg0")


@pytest.mark.parametrize("name", [b"preshared-key", b"endpoint", b"last-handshake-time"])
def test_what_is_of_a_wrong_size_is_absent(name: bytes) -> None:
    (full,) = device({b"peers": [FULL]}).peers
    (odd,) = device({b"peers": [{**FULL, name: b"x"}]}).peers
    (less,) = device({b"peers": [{key: value for key, value in FULL.items() if key != name}]}).peers
    assert odd == less
    assert odd != full


def test_a_zero_preshared_key_is_none_and_a_missing_public_key_is_zero() -> None:
    (peer,) = device({b"peers": [{b"preshared-key": bytes(32)}]}).peers
    assert peer.preshared_key is None
    assert peer.public_key.is_zero


@pytest.mark.parametrize("item", [{b"cidr": 8}, {b"ipv4": bytes(4)}, {b"ipv4": 1, b"cidr": 8}, {}])
def test_half_an_allowed_ip_is_passed_over(item: dict[bytes, Any]) -> None:
    (peer,) = device({b"peers": [{b"allowed-ips": [item]}]}).peers
    assert peer.allowed_ips == []


@pytest.mark.parametrize(
    "item",
    [
        {b"ipv4": bytes(4), b"cidr": 33},
        {b"ipv6": bytes(16), b"cidr": 129},
        {b"ipv4": bytes(3), b"cidr": 8},
        {b"ipv4": bytes(5), b"cidr": 8},
        {b"ipv6": bytes(4), b"cidr": 8},
    ],
    ids=repr,
)
def test_an_impossible_allowed_ip_makes_the_answer_wrong(item: dict[bytes, Any]) -> None:
    """C `wg` crashes at these, or reads behind them."""
    with pytest.raises(ProtocolError):
        device({b"peers": [{b"allowed-ips": [item]}]})


def test_of_two_addresses_the_ipv4_one_counts() -> None:
    item = {b"ipv4": b"\x0a\0\0\1", b"ipv6": bytes(16), b"cidr": 32}
    (peer,) = device({b"peers": [{b"allowed-ips": [item]}]}).peers
    assert list(map(str, peer.allowed_ips)) == ["10.0.0.1/32"]
