# SPDX-License-Identifier: MIT
"""Devices from netlink messages: a real kernel's, hand-made odd ones, and any bytes."""

import json
import struct
from contextlib import suppress
from errno import EINVAL, EPROTO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgtools.errors import ProtocolError
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, Peer
from wgtools.testing.fake_kernel import attribute, generic, networks
from wgtools_backends.linux import dump, netlink

RECORDED = json.loads((Path(__file__).parents[3] / "vectors/netlink_linux.json").read_text())
NESTED = 0x8000
KEY = b"\1" * 32


def decode(*bodies: bytes) -> Device:
    payloads = [generic(0, 1, body) for body in bodies]
    spans = [(b"\xaa" + payload, 1, 1 + len(payload)) for payload in payloads]
    return dump.device(b"asked", spans, zone_of={1: "lo"}.get)  # type: ignore[arg-type]  # None is falsy


def peers(*entries: bytes) -> bytes:
    return attribute(8 | NESTED, b"".join(attribute(NESTED, entry) for entry in entries))


def peer(*parts: bytes, key: bytes = KEY) -> bytes:
    return attribute(1, key) + b"".join(parts)


def only_peer(*parts: bytes) -> Peer:
    (found,) = decode(peers(peer(*parts))).peers
    return found


def as_wg_dump(device: Device) -> str:
    """The lines of `wg show NAME dump` (WG_COMPAT 8.1)."""

    def key(value: Key | None) -> str:
        return value.base64() if value else "(none)"

    mark = f"{device.fwmark:#x}" if device.fwmark else "off"
    rows = [[key(device.private_key), key(device.public_key), str(device.listen_port), mark]]
    for each in device.peers:
        numbers = (each.handshake_sec, each.rx_bytes, each.tx_bytes, each.keepalive or "off")
        rows.append(
            [
                key(each.public_key),
                key(each.preshared_key),
                str(each.endpoint or "(none)"),
                ",".join(map(str, each.allowed_ips)) or "(none)",
                *map(str, numbers),
            ]
        )
    return "".join("\t".join(row) + "\n" for row in rows)


@pytest.mark.parametrize("name", ["get", "get-empty"])
def test_a_real_kernels_dump_reads_as_the_c_tool_reads_it(name: str) -> None:
    (case,) = (case for case in RECORDED["cases"] if case["name"] == name)
    spans = []
    for what, text in case["talk"]:
        data = bytes.fromhex(text)
        if what == "read":
            spans += [
                (data, start, end)
                for kind, *_, start, end in netlink.split(data)
                if kind > netlink.GENL_ID_CTRL
            ]
    device = dump.device(b"asked", spans, zone_of={1: "lo"}.get)  # type: ignore[arg-type]  # None is falsy
    assert device.name == ("wg0" if name == "get" else "wg1")
    assert as_wg_dump(device) == case["wg"]


def test_nothing_but_the_header_is_a_device_with_nothing() -> None:
    assert decode(b"") == Device("asked")
    assert decode() == Device("asked")


def test_device_attributes() -> None:
    device = decode(
        attribute(1, b"\7\0\0\0"),
        attribute(2, b"wg\xff\0")
        + attribute(3, bytes(32))
        + attribute(4, KEY)
        + attribute(6, struct.pack("=H", 51820))
        + attribute(7, struct.pack("=I", 0xCAFE)),
    )
    assert device == Device(
        "wg\udcff",
        private_key=Key(bytes(32)),  # present, though zero (13.3)
        public_key=Key(KEY),
        listen_port=51820,
        fwmark=0xCAFE,
    )


def test_attributes_of_a_wrong_size_and_unknown_ones_are_skipped() -> None:
    device = decode(
        attribute(3, b"short") + attribute(6, b"\1") + attribute(7, b"12345") + attribute(99, b"x"),
        peers(
            peer(
                attribute(2, b"\1" * 31),
                attribute(4, b"\2\0"),
                attribute(5, b"\1"),
                attribute(6, b"\0"),
                attribute(7, b"1234"),
                attribute(10, b"\1\0\0\0"),
                attribute(99, b"1234"),
            )
        ),
    )
    assert device == Device("asked", peers=[Peer(Key(KEY))])


def test_types_are_masked() -> None:
    assert only_peer(attribute(0x4000 | 5, b"\x19\0")).keepalive == 25


def test_the_last_attribute_may_lack_its_padding() -> None:
    entry = peer(attribute(5, b"\x19\0"))[:-2]
    nest = struct.pack("=HH", 4 + len(entry), NESTED) + entry
    whole = struct.pack("=HH", 4 + len(nest), 8 | NESTED) + nest
    assert decode(whole).peers[0].keepalive == 25


def test_a_zero_preshared_key_is_none() -> None:
    assert only_peer(attribute(2, bytes(32))).preshared_key is None
    assert only_peer(attribute(2, b"\2" * 32)).preshared_key == Key(b"\2" * 32)


def test_counters_and_times() -> None:
    found = only_peer(
        attribute(6, struct.pack("=qq", -1, 999)),
        attribute(7, struct.pack("=Q", (1 << 64) - 1)),
        attribute(8, struct.pack("=Q", 5)),
    )
    assert (found.handshake_sec, found.handshake_nsec) == (-1, 999)
    assert (found.rx_bytes, found.tx_bytes) == ((1 << 64) - 1, 5)


def sockaddr6(address: str, scope: int, family: int = 10) -> bytes:
    return struct.pack("=H2sI16sI", family, b"\x10\x01", 0, bytes.fromhex(address), scope)


LINK_LOCAL = "fe80000000000000" + "0" * 15 + "1"


@pytest.mark.parametrize(
    ("sockaddr", "endpoint"),
    [
        (struct.pack("=H2s4s8x", 2, b"\xca\x6c", bytes([192, 0, 2, 1])), "192.0.2.1:51820"),
        (struct.pack("=H2s4s8x", 10, b"\xca\x6c", bytes(4)), None),
        (sockaddr6("20010db8" + "0" * 24, 0), "[2001:db8::]:4097"),
        (sockaddr6("20010db8" + "0" * 24, 1), "[2001:db8::%1]:4097"),
        (sockaddr6(LINK_LOCAL, 0), "[fe80::1]:4097"),
        (sockaddr6(LINK_LOCAL, 1), "[fe80::1%lo]:4097"),
        (sockaddr6(LINK_LOCAL, 77), "[fe80::1%77]:4097"),
        (sockaddr6("ff020000000000000000000000000001", 1), "[ff02::1%lo]:4097"),
        (sockaddr6("ff050000000000000000000000000001", 1), "[ff05::1%1]:4097"),
        (sockaddr6(LINK_LOCAL, 0, family=2), None),
    ],
)
def test_endpoints(sockaddr: bytes, endpoint: str | None) -> None:
    found = only_peer(attribute(4, sockaddr)).endpoint
    assert (str(found) if found else None) == endpoint


V4 = AllowedIP(bytes([10, 0, 0, 0]), 8)
V6 = AllowedIP(b"\xfd" + bytes(15), 64)


def entry(family: int | None, address: bytes, mask: bytes | None, flags: int = NESTED) -> bytes:
    """An allowed IP in the C tool's order, not the kernel's."""
    body = attribute(1, struct.pack("=H", family)) if family is not None else b""
    body += attribute(2, address) + (attribute(3, mask) if mask is not None else b"")
    return attribute(flags, body)


@pytest.mark.parametrize(
    "nest",
    [
        networks([V4, V6]),
        networks([V4]).replace(b"\x1c\0\0\x80", b"\x1c\0\0\0") + networks([V6]),
        entry(2, V4.address, b"\x08") + entry(10, V6.address, b"\x40"),
        networks([V4]) + entry(10, V6.address, b"\x40", flags=0),
    ],
)
@pytest.mark.parametrize("flag", [0, NESTED])
def test_allowed_ips_in_any_order(nest: bytes, flag: int) -> None:
    assert only_peer(attribute(9 | flag, nest)).allowed_ips == [V4, V6]


@pytest.mark.parametrize(
    "odd",
    [
        entry(2, V4.address, b"\x21"),
        networks([AllowedIP(V4.address, 33)]),
        networks([AllowedIP(V6.address, 129)]),
        entry(10, V4.address, b"\x08"),
        entry(7, V4.address, b"\x08"),
        entry(None, V4.address, b"\x08"),
        entry(2, V4.address, None),
        entry(2, V4.address, b"\x08\0"),
        entry(2, b"123", b"\x08"),
        attribute(NESTED, attribute(1, b"\2")),
        attribute(NESTED, b""),
        attribute(NESTED, attribute(99, bytes(12)) + attribute(98, b"")),
    ],
)
def test_an_allowed_ip_that_makes_no_sense_is_skipped(odd: bytes) -> None:
    found = only_peer(attribute(9 | NESTED, networks([V4]) + odd + networks([V6])))
    assert found.allowed_ips == [V4, V6]


def test_several_nests_of_allowed_ips_add_up() -> None:
    nests = attribute(9, networks([V4])) + attribute(9, networks([V6]))
    assert only_peer(nests).allowed_ips == [V4, V6]


def test_a30_a_peer_goes_on_in_the_next_message_and_its_settings_are_the_firsts() -> None:
    device = decode(
        peers(peer(attribute(5, b"\x19\0"), attribute(9, networks([V4])))),
        attribute(2, b"asked\0") + peers(peer(attribute(9, networks([V6]))), peer()),
        peers(peer(attribute(5, b"\7\0")), peer(key=b"\2" * 32)),
    )
    assert device.peers == [
        Peer(Key(KEY), keepalive=25, allowed_ips=[V4, V6]),
        Peer(Key(b"\2" * 32)),
    ]


def test_equal_peers_that_are_not_adjacent_stay_apart() -> None:
    device = decode(peers(peer(), peer(key=b"\2" * 32)), peers(peer()))
    assert [bytes(each.public_key)[0] for each in device.peers] == [1, 2, 1]


def test_a_peer_without_a_key_fails_the_reading() -> None:
    with pytest.raises(ProtocolError, match=r"^Invalid argument$") as raised:
        decode(peers(attribute(5, b"\1\0")))
    assert raised.value.errno == EINVAL


@pytest.mark.parametrize(
    "body",
    [
        b"\x03",
        peers(peer(b"\4\0")),
        peers(peer(b"\3\0\5\0")),
        peers(peer(b"\x30\0\x63\0")),
        peers(peer(b"\x24\0\2\0")),  # a known attribute that goes past the end
        peers(peer(attribute(9, b"\1\0"))),
        peers(peer(attribute(9, b"\3\0\0\0"))),
        peers(peer(attribute(9, b"\x1c\0\0\x80"))),
        peers(peer(attribute(9, attribute(NESTED, b"\x09\0\1\0")))),
    ],
)
def test_wrong_lengths_are_protocol_errors(body: bytes) -> None:
    with pytest.raises(ProtocolError) as raised:
        decode(body)
    assert raised.value.errno == EPROTO


@given(st.binary(max_size=300))
def test_any_bytes_give_a_device_or_a_protocol_error(body: bytes) -> None:
    for data in (
        body,
        attribute(8, body),
        peers(body),
        peers(peer(body)),
        peers(peer(attribute(9, body))),
    ):
        with suppress(ProtocolError):
            assert isinstance(decode(data), Device)


@given(st.data())
def test_any_damage_to_a_good_dump_gives_a_device_or_a_protocol_error(data: st.DataObject) -> None:
    body = bytearray(
        attribute(2, b"wg0\0")
        + peers(
            peer(attribute(4, sockaddr6(LINK_LOCAL, 1)), attribute(9, networks([V4, V6]))),
            peer(attribute(2, KEY), attribute(5, b"\1\0"), key=b"\2" * 32),
        )
    )
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ProtocolError):
        assert isinstance(decode(bytes(body)), Device)
