# SPDX-License-Identifier: MIT
"""wireguard-nt's structures: where every field stands, and what may come in instead."""

import contextlib
import struct
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgtools.errors import AccessError, ProtocolError
from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, Endpoint, HostPort, PeerChange
from wgtools_backends.windows import codec

A, B, ZERO = Key(b"\x0a" * 32), Key(b"\x0b" * 32), Key(bytes(32))
EPOCH = 11_644_473_600


def pack(change: DeviceChange) -> bytes:
    return codec.change_bytes(change, scope_of=int)


def one_peer(peer: PeerChange) -> bytes:
    return pack(DeviceChange(peers=[peer]))[80:]


def field(data: bytes, offset: int, size: int) -> int:
    return int.from_bytes(data[offset : offset + size], "little")


def test_sizes() -> None:
    assert (codec.INTERFACE.size, codec.PEER.size, codec.NETWORK.size) == (80, 136, 24)
    assert (codec.SOCKADDR4.size, codec.SOCKADDR6.size) == (28, 28)


def test_fields_of_the_interface() -> None:
    data = pack(DeviceChange(private_key=A, listen_port=51820, replace_peers=True))
    assert (field(data, 0, 4), field(data, 4, 2), field(data, 72, 4)) == (14, 51820, 0)
    assert (data[6:38], data[38:70], len(data)) == (bytes(A), bytes(32), 80)
    assert pack(DeviceChange()) == bytes(80)
    assert field(pack(DeviceChange(listen_port=0)), 0, 4) == 4


def test_fields_of_a_peer() -> None:
    networks = [AllowedIP.parse("10.0.0.0/8"), AllowedIP.parse("fd00::/64")]
    data = one_peer(
        PeerChange(
            A, preshared_key=B, keepalive=25, endpoint=Endpoint("fe80::1%7", 51820),
            replace_allowed_ips=True, allowed_ips=networks,
        )
    )  # fmt: skip
    assert (field(data, 0, 4), field(data, 72, 2), field(data, 128, 4)) == (
        1 | 2 | 4 | 8 | 32,
        25,
        2,
    )
    assert (data[8:40], data[40:72]) == (bytes(A), bytes(B))
    assert data[76:104].hex() == "1700ca6c00000000fe80000000000000000000000000000107000000"
    assert data[104:128] == bytes(24)
    assert data[136:160].hex() == "0a00000000000000000000000000000002000800" + "00000000"
    assert data[160:184].hex() == "fd" + "00" * 15 + "17004000" + "00000000"


def test_flags_of_a_peer() -> None:
    assert field(one_peer(PeerChange(A)), 0, 4) == 1
    assert field(one_peer(PeerChange(A, remove=True)), 0, 4) == 65
    assert field(one_peer(PeerChange(A, update_only=True, keepalive=0)), 0, 4) == 133
    away = AllowedIP(bytes(4), 0, remove=True)
    assert field(one_peer(PeerChange(A, allowed_ips=[away])), 136 + 20, 4) == 1


def reply(
    *, flags: int = 0xF, sockaddr: bytes = b"", ticks: int = 0, networks: bytes = b""
) -> bytes:
    head = struct.pack("<IH32s32s2xI4x", 7, 51820, bytes(A), bytes(B), 1)
    peer = struct.pack(
        "<II32s32sH2x28sQQQI4x",
        flags, 1, bytes(A), bytes(B), 25, sockaddr, 7, 9, ticks, len(networks) // 24,
    )  # fmt: skip
    return head + peer + networks


def test_a_reply() -> None:
    sockaddr = bytes.fromhex("0200ca6cc0000221")
    networks = bytes.fromhex("0a" + "00" * 15 + "0200080000000000")
    device = codec.device("wg0", reply(sockaddr=sockaddr, networks=networks) + b"rest")
    assert (device.name, device.listen_port) == ("wg0", 51820)
    assert (device.private_key, device.public_key) == (A, B)
    (peer,) = device.peers
    assert (peer.public_key, peer.preshared_key, peer.keepalive) == (A, B, 25)
    assert (peer.tx_bytes, peer.rx_bytes, peer.handshake_sec) == (7, 9, 0)
    assert peer.endpoint == Endpoint("192.0.2.33", 51820)
    assert list(map(str, peer.allowed_ips)) == ["10.0.0.0/8"]


def test_endpoints() -> None:
    six = bytes.fromhex("1700ca6c00000000fe80000000000000000000000000000107000000")
    for sockaddr, endpoint in (
        (six, Endpoint("fe80::1%7", 51820)),
        (six[:24], Endpoint("fe80::1", 51820)),
        (b"\x0a" + six[1:], None),  # Linux's number
    ):
        assert codec.device("wg0", reply(sockaddr=sockaddr)).peers[0].endpoint == endpoint


@pytest.mark.parametrize(
    ("ticks", "shown"),
    [
        (0, (0, 0)),
        (1, (0, 0)),
        (EPOCH * 10**7, (0, 0)),
        ((EPOCH + 1700000000) * 10**7 + 1234567, (1700000000, 123456700)),
        (2**64 - 1, ((2**64 - 1) // 10**7 - EPOCH, (2**64 - 1) % 10**7 * 100)),
    ],
)
def test_handshakes(ticks: int, shown: tuple[int, int]) -> None:
    (peer,) = codec.device("wg0", reply(ticks=ticks)).peers
    assert (peer.handshake_sec, peer.handshake_nsec) == shown


def test_only_what_the_flags_say_is_there() -> None:
    (peer,) = codec.device("wg0", reply(flags=0, sockaddr=b"\x02\0")).peers
    assert (peer.public_key, peer.preshared_key, peer.endpoint, peer.keepalive) == (
        ZERO, None, None, 0,
    )  # fmt: skip
    bare = codec.device("wg0", bytes(4) + b"\xff" * 66 + bytes(10))
    assert (bare.private_key, bare.public_key, bare.listen_port) == (None, None, 0)


@pytest.mark.parametrize(("family", "length"), [(10, 0), (2, 33), (23, 129), (0, 0)])
def test_allowed_ips_of_no_known_family_or_length_are_refused(family: int, length: int) -> None:
    with pytest.raises(ProtocolError):
        codec.device("wg0", reply(networks=struct.pack("<16sHBxI", b"", family, length, 0)))


@given(st.data())
def test_a_damaged_reply_is_an_error_of_the_protocol_or_a_device(data: st.DataObject) -> None:
    whole = bytearray(reply(networks=struct.pack("<16sHBxI", b"\x0a", 2, 8, 0) * 3))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    for text in (bytes(whole), cut, data.draw(st.binary(max_size=400))):
        with contextlib.suppress(ProtocolError):
            assert codec.device("wg0", text).name == "wg0"


@pytest.mark.parametrize("count", [2**32 - 1, 2])
def test_counts_that_are_too_large_allocate_nothing(count: int) -> None:
    head = reply()[:72] + count.to_bytes(4, "little") + bytes(4)
    peer = reply()[80:208] + count.to_bytes(4, "little") + bytes(4)
    for data in (head, reply()[:80] + peer):
        with pytest.raises(ProtocolError):
            codec.device("wg0", data)


def test_there_are_no_marks() -> None:
    assert pack(DeviceChange(fwmark=0)) == bytes(80)
    with pytest.raises(AccessError) as refusal:
        pack(DeviceChange(fwmark=1))
    assert "FwMark" in refusal.value.hint


@pytest.mark.parametrize(
    "change",
    [
        DeviceChange(listen_port=65536),
        DeviceChange(listen_port=-1),
        DeviceChange(peers=[PeerChange(A, keepalive=65536)]),
        DeviceChange(peers=[PeerChange(A, endpoint=Endpoint("192.0.2.1", 65536))]),
        DeviceChange(peers=[PeerChange(A, endpoint=Endpoint("example.org", 1))]),
        DeviceChange(peers=[PeerChange(A, endpoint=Endpoint("fe80::1%x", 1))]),
        DeviceChange(peers=[PeerChange(A, endpoint=HostPort(b"::1", b"1", b"[::1]:1"))]),
        DeviceChange(peers=[PeerChange(A, allowed_ips=[AllowedIP(bytes(4), 33)])]),
        DeviceChange(peers=[PeerChange(A, allowed_ips=[AllowedIP(bytes(5), 1)])]),
    ],
)
def test_what_does_not_fit_never_reaches_the_driver(change: DeviceChange) -> None:
    with pytest.raises(ValueError, match=r"."):
        partial(pack, change)()
