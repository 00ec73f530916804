# SPDX-License-Identifier: MIT
"""Changes as netlink messages: bytes, order, and where they are cut."""

import json
from pathlib import Path

import pytest

from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, Endpoint, HostPort, PeerChange
from wgtools.testing.fake_kernel import attributes
from wgtools_backends.linux import codec

CASES = json.loads((Path(__file__).parents[3] / "vectors/wg_netlink.json").read_text())["cases"]
RECORDED = {case["id"].removeprefix("netlink/"): case["expect"]["sets"] for case in CASES}

ALICE = Key.from_base64(b"2MM6Up7zgrIBGXHV5AW/HijmDAFY5j3B2G+9I4ykZZM=")
BOB = Key.from_base64(b"VKO+h1gHY4v8FYsdC+RywUnt9t7P3Q62fcujwLD3d9Q=")
PRIVATE = Key.from_base64(b"5xOv8xoeXty874Ler/3ZrMurMzgi3CY/MKPxQroT3sY=")
SHARED = Key.from_base64(b"m/ZrfD3Ahhzg5bwbFOdf3V3Sz4rueAFmlzXkGMaWuk0=")


def scope_of(zone: str) -> int:
    return {"lo": 1}[zone]


def encode(change: DeviceChange, name: bytes = b"wgk0") -> list[bytes]:
    return codec.change_payloads(name, change, scope_of=scope_of)


def one_peer(**settings: object) -> DeviceChange:
    return DeviceChange(peers=[PeerChange(ALICE, **settings)])  # type: ignore[arg-type]  # mixed


def ips(*words: str) -> list[AllowedIP]:
    out = []
    for word in words:
        item = AllowedIP.parse(word.lstrip("-"))
        out.append(AllowedIP(item.address, item.length, word.startswith("-")))
    return out


def run(count: int) -> list[AllowedIP]:
    return [AllowedIP(bytes([10, 4, i >> 8, i & 255]), 32) for i in range(count)]


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("set-port", DeviceChange(listen_port=51820)),
        ("set-fwmark", DeviceChange(fwmark=0xCAFE)),
        ("set-fwmark-off", DeviceChange(fwmark=0)),
        ("set-private", DeviceChange(private_key=PRIVATE)),
        ("set-private-zero", DeviceChange(private_key=Key(bytes(32)))),
        ("set-all-device", DeviceChange(private_key=PRIVATE, listen_port=2, fwmark=1)),
        ("set-peer-psk", one_peer(preshared_key=SHARED)),
        ("set-peer-endpoint-v6", one_peer(endpoint=Endpoint("2001:db8::1", 51820))),
        ("set-peer-endpoint-scope", one_peer(endpoint=Endpoint("fe80::1%lo", 51820))),
        ("set-peer-keepalive", one_peer(keepalive=25)),
        (
            "set-peer-ips-incremental",
            one_peer(allowed_ips=ips("10.0.0.0/8", "-10.1.0.0/16", "10.2.0.0/16")),
        ),
        (
            "set-two-peers",
            DeviceChange(
                peers=[
                    PeerChange(ALICE, replace_allowed_ips=True, allowed_ips=ips("10.0.0.0/8")),
                    PeerChange(BOB, keepalive=1),
                ]
            ),
        ),
        (
            "syncconf-no-peers-in-file",
            DeviceChange(private_key=PRIVATE, listen_port=51820, fwmark=0, replace_peers=True),
        ),
        *(
            (
                f"set-boundary-{count}",
                DeviceChange(
                    peers=[
                        PeerChange(ALICE, replace_allowed_ips=True, allowed_ips=run(count)),
                        PeerChange(
                            BOB,
                            keepalive=9,
                            replace_allowed_ips=True,
                            allowed_ips=ips("fd00::/8"),
                        ),
                    ]
                ),
            )
            # 141 is not here: the C tool ends its message with an empty nest, we do not.
            for count in (128, 130, 131, 136, 137, 138, 142, 143, 144, 147, 148, 149)
        ),
    ],
)
def test_bytes_of_the_c_tool(case: str, change: DeviceChange) -> None:
    assert [payload[4:].hex() for payload in encode(change)] == RECORDED[case]
    assert {payload[:4] for payload in encode(change)} == {b"\1\1\0\0"}


def test_a_change_of_nothing_is_one_message_with_the_name() -> None:
    assert encode(DeviceChange()) == [b"\1\1\0\0\x09\0\2\0wgk0\0\0\0\0"]


def test_get_asks_by_name() -> None:
    assert codec.get_payload(b"wg0") == b"\0\1\0\0\x08\0\2\0wg0\0"


def peer_parts(payloads: list[bytes]) -> list[dict[int, bytes]]:
    return [
        dict(attributes(entry))
        for payload in payloads
        for _, entry in attributes(dict(attributes(payload[4:])).get(8, b""))
    ]


@pytest.mark.parametrize(
    ("settings", "first", "later"),
    [
        ({}, None, None),
        ({"remove": True}, 1, 1),
        ({"update_only": True}, 4, 4),
        ({"replace_allowed_ips": True}, 2, None),
        ({"replace_allowed_ips": True, "update_only": True, "remove": True}, 7, 5),
    ],
)
def test_a29_flags_that_every_part_of_a_peer_repeats(
    settings: dict[str, bool], first: int | None, later: int | None
) -> None:
    parts = peer_parts(encode(one_peer(keepalive=1, allowed_ips=run(400), **settings)))
    flags = [part[3][0] if 3 in part else None for part in parts]
    assert flags == [first, *[later] * (len(parts) - 1)]
    assert [5 in part for part in parts] == [True] + [False] * (len(parts) - 1)
    assert sum(len(attributes(part[9])) for part in parts) == 400


def test_a29_no_message_is_over_the_limit_and_only_the_first_has_device_settings() -> None:
    peers = [
        PeerChange(
            Key(bytes([i]) * 32),
            preshared_key=SHARED,
            endpoint=Endpoint("fe80::1%lo", 1),
            keepalive=i,
            allowed_ips=run(i * 3) + ips("fd00::/8", "-fd01::/16"),
        )
        for i in range(100)
    ]
    payloads = encode(DeviceChange(fwmark=1, replace_peers=True, peers=peers))
    assert max(map(len, payloads)) + 16 <= 4096
    found = [dict(attributes(payload[4:])) for payload in payloads]
    assert [sorted(each) for each in found] == [[2, 5, 7, 8]] + [[2, 8]] * (len(found) - 1)
    whole = [part for part in peer_parts(payloads) if 5 in part]
    assert [part[5][0] for part in whole] == list(range(100))


@pytest.mark.parametrize(
    "change",
    [
        one_peer(endpoint=HostPort(b"vpn.example", b"1", b"vpn.example:1")),
        one_peer(endpoint=Endpoint("vpn.example", 1)),
        one_peer(endpoint=Endpoint("192.0.2.1", 65536)),
        one_peer(endpoint=Endpoint("192.0.2.1", -1)),
        one_peer(keepalive=65536),
        one_peer(allowed_ips=[AllowedIP(b"12345", 8)]),
        one_peer(allowed_ips=[AllowedIP(b"1234", 256)]),
        DeviceChange(listen_port=-1),
        DeviceChange(fwmark=1 << 32),
    ],
)
def test_a_callers_mistake_is_a_value_error(change: DeviceChange) -> None:
    with pytest.raises(ValueError, match=r"out of range|resolved|numeric|4 or 16"):
        encode(change)
