# SPDX-License-Identifier: MIT
"""The client's half of the UAPI, alone and against our own server's half (WG_COMPAT 12)."""

from __future__ import annotations

import itertools
from errno import ENETUNREACH, EPROTO, ERANGE

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgtools.inet import ntop
from wgtools.keys import Key
from wgtools.model import (
    AllowedIP,
    Device,
    DeviceChange,
    Endpoint,
    HostPort,
    Peer,
    PeerChange,
)
from wgtools.uapi.client import GET_REQUEST, LINE_MAX, GetReply, SetReply, encode_set
from wgtools.uapi.server import RequestReader, get_reply

A, B = Key(b"\x0a" * 32), Key(b"\x0b" * 32)
OK = b"errno=0\n\n"


def public(private: bytes) -> bytes:
    return private[::-1]


def nowhere(_wanted: HostPort) -> None:
    return None


def got(*chunks: bytes) -> GetReply:
    """A reply fed in these pieces, then the end of the stream."""
    reply = GetReply("wg0", public_key=public, resolve=nowhere)
    for chunk in [*chunks, b""]:
        if reply.feed(chunk):
            break
    return reply


def status(text: bytes) -> int:
    return got(text).status


def set_status(*chunks: bytes) -> int:
    reply = SetReply()
    for chunk in [*chunks, b""]:
        if reply.feed(chunk):
            break
    return reply.status


def test_request_in_the_one_order() -> None:
    peer = PeerChange(
        A,
        update_only=True,
        preshared_key=B,
        endpoint=Endpoint("::1", 5),
        keepalive=0,
        replace_allowed_ips=True,
        allowed_ips=[AllowedIP(bytes(4), 0), AllowedIP(bytes(16), 128, remove=True)],
    )
    change = DeviceChange(
        private_key=B,
        listen_port=0,
        fwmark=0xCAFE,
        replace_peers=True,
        peers=[peer, PeerChange(B, remove=True, keepalive=5)],
    )
    assert b"".join(encode_set(change)).decode() == (
        f"set=1\nprivate_key={B.hex()}\nlisten_port=0\nfwmark=51966\nreplace_peers=true\n"
        f"public_key={A.hex()}\nupdate_only=true\npreshared_key={B.hex()}\nendpoint=[::1]:5\n"
        "persistent_keepalive_interval=0\nreplace_allowed_ips=true\nallowed_ip=0.0.0.0/0\n"
        f"allowed_ip=-::/128\npublic_key={B.hex()}\nremove=true\n\n"
    )


def test_request_of_nothing() -> None:
    assert b"".join(encode_set(DeviceChange())) == b"set=1\n\n"


@pytest.mark.parametrize("count", [4094, 4095, 4096, 4097, 10_000])
def test_long_requests_come_in_pieces_of_whole_lines(count: int) -> None:
    *pieces, last = encode_set(DeviceChange(peers=[PeerChange(A)] * count))
    line = f"public_key={A.hex()}\n".encode()
    assert b"".join([*pieces, last]) == b"set=1\n" + line * count + b"\n"
    assert all(piece.endswith(b"\n") for piece in pieces)


def test_unresolved_endpoint_is_a_mistake_of_ours() -> None:
    peer = PeerChange(A, endpoint=HostPort(b"a", b"1", b"a:1"))
    with pytest.raises(AssertionError):
        list(encode_set(DeviceChange(peers=[peer])))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (OK, 0),
        (b"errno=-22\n\n", 22),
        (b"errno=5\n\n", -5),
        (b"x=y\nerrno=-1\nerrno=0\n\n", 0),
        (b"errno=-2147483648\n\n", 2**31),
        (b"errno=2147483647\n\n", -(2**31) + 1),
        (b"errno=000000000000000000000000000000\n\n", 0),
        (b"", EPROTO),
        (b"\n", EPROTO),
        (b"errno=0", EPROTO),
        (b"errno=0\n", EPROTO),
        (b"errno\n\n", EPROTO),
        (b"errno=\n\n", EPROTO),
        (b"errno=-\n\n", EPROTO),
        (b"errno=+1\n\n", EPROTO),
        (b"errno=1x\n\n", EPROTO),
        (b"errno=0\0\n\n", EPROTO),
        (b"errno=2147483648\n\n", EPROTO),
        (b"errno=-2147483649\n\n", EPROTO),
        (b"errno=9223372036854775807\n\n", EPROTO),
        (b"errno=9223372036854775808\n\n", ERANGE),
        (b"errno=-9223372036854775808\n\n", EPROTO),
        (b"errno=-9223372036854775809\n\n", ERANGE),
        (b"errno=" + b"9" * 5000 + b"\n\n", ERANGE),
    ],
)
def test_answer_to_a_set(text: bytes, number: int) -> None:
    assert set_status(text) == number
    assert set_status(*(text[i : i + 1] for i in range(len(text)))) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (OK, 0),
        (b"errno=13\n\n", 13),
        (b"errno=13\nerrno=0\n\n", 0),
        (b"errno=-13\n\n", EPROTO),
        (b"errno=2147483648\n\n", EPROTO),
        (b"listen_port=1\n\n", EPROTO),
        (b"errno=0\n", EPROTO),
        (b"rubbish\n" + OK, EPROTO),
        (b"x=\0\n" + OK, EPROTO),
        (b"listen_port=65536\n" + OK, EPROTO),
        (b"listen_port=+1\n" + OK, EPROTO),
        (b"listen_port=\n" + OK, EPROTO),
        (b"fwmark=4294967296\n" + OK, EPROTO),
        (b"fwmark=0x1\n" + OK, EPROTO),
        (b"private_key=00\n" + OK, EPROTO),
        (b"public_key=" + b"g" * 64 + b"\n" + OK, EPROTO),
    ],
)
def test_answer_to_a_get(text: bytes, number: int) -> None:
    assert status(text) == number
    assert got(*(text[i : i + 1] for i in range(len(text)))).status == number


def of_peer(line: bytes) -> GetReply:
    return got(b"public_key=" + A.hex().encode() + b"\n" + line + b"\n" + OK)


@pytest.mark.parametrize(
    "line",
    [
        *(b"allowed_ip=10.0.0.0", b"allowed_ip=10.0.0.0/33", b"allowed_ip=10.0.0.0/288"),
        *(b"allowed_ip=x/1", b"allowed_ip=-10.0.0.0/8", b"endpoint=", b"endpoint=a"),
        *(b"endpoint=[::1:1", b"rx_bytes=-1", b"preshared_key=1"),
        *(b"last_handshake_time_sec=9223372036854775808", b"persistent_keepalive_interval=65536"),
    ],
)
def test_malformed_lines_of_a_peer(line: bytes) -> None:
    assert of_peer(line).status == EPROTO


def test_endpoint_that_does_not_resolve() -> None:
    assert of_peer(b"endpoint=nosuch:1").status == -ENETUNREACH


def test_endpoint_that_needs_resolving() -> None:
    def resolve(wanted: HostPort) -> Endpoint:
        assert wanted.host == b"vpn"
        return Endpoint("192.0.2.9", 9)

    reply = GetReply("wg0", public_key=public, resolve=resolve)
    assert reply.feed(b"public_key=" + A.hex().encode() + b"\nendpoint=vpn:nine\n" + OK)
    assert reply.device.peers[0].endpoint == Endpoint("192.0.2.9", 9)


def test_numbers_too_large_for_64_bits_saturate() -> None:
    for digits in (b"18446744073709551615", b"18446744073709551616", b"0" * 30 + b"9" * 5000):
        assert of_peer(b"tx_bytes=" + digits).device.peers[0].tx_bytes == 2**64 - 1
    assert of_peer(b"tx_bytes=" + b"0" * 5000).device.peers[0].tx_bytes == 0


def test_a31_keys_out_of_place_and_unknown_keys_are_passed_over_unread() -> None:
    reply = got(
        b"allowed_ip=junk\nfuture=1\nnewer=a=b==\npublic_key="
        + A.hex().encode()
        + b"\nlisten_port=junk\nprotocol_version=junk\n"
        + OK
    )
    assert reply.status == 0
    assert reply.device == Device("wg0", peers=[Peer(A)])


def test_a24_a_handshake_on_the_second_is_one() -> None:
    # Implementations leave the nanoseconds out when there are none, or say that they are 0.
    for rest in (b"", b"\nlast_handshake_time_nsec=0"):
        (peer,) = of_peer(b"last_handshake_time_sec=5" + rest).device.peers
        assert (peer.handshake_sec, peer.handshake_nsec) == (5, 0)


def test_repeated_keys() -> None:
    key = b"public_key=" + A.hex().encode() + b"\n"
    reply = got(b"listen_port=1\nlisten_port=2\n" + key + key + OK)
    assert reply.device == Device("wg0", listen_port=2, peers=[Peer(A), Peer(A)])


def test_nothing_after_the_end_is_read() -> None:
    assert got(OK + b"rubbish\nerrno=5\n\n").status == 0
    reply = got(b"rubbish\n")
    assert reply.feed(OK)
    assert reply.status == EPROTO


def test_private_key_and_preshared_key_of_zeros() -> None:
    reply = got(b"private_key=" + b"0" * 64 + b"\n" + OK)
    assert reply.device.private_key == Key(bytes(32))
    assert of_peer(b"preshared_key=" + b"0" * 64).device.peers[0].preshared_key is None


KEYS = st.binary(min_size=32, max_size=32).map(Key)
NETWORKS = st.one_of(
    st.builds(AllowedIP, st.binary(min_size=4, max_size=4), st.integers(0, 32), st.booleans()),
    st.builds(AllowedIP, st.binary(min_size=16, max_size=16), st.integers(0, 128), st.booleans()),
)
ENDPOINTS = st.builds(
    Endpoint, st.ip_addresses().map(lambda address: ntop(address.packed)), st.integers(0, 65535)
)
PORTS = st.integers(0, 65535)
CLAMPED = st.binary(min_size=32, max_size=32).map(Key.from_entropy)


def plain(network: AllowedIP) -> AllowedIP:
    return AllowedIP(network.address, network.length)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    found = [data[a:b] for a, b in itertools.pairwise(edges)]
    return [piece for piece in found if piece]


CHANGES = st.builds(
    DeviceChange,
    private_key=st.none() | CLAMPED | st.just(Key(bytes(32))),
    listen_port=st.none() | PORTS,
    fwmark=st.none() | st.integers(0, 2**32 - 1),
    replace_peers=st.booleans(),
    peers=st.lists(
        st.one_of(
            st.builds(PeerChange, KEYS, remove=st.just(True)),
            st.builds(
                PeerChange,
                KEYS,
                update_only=st.booleans(),
                preshared_key=st.none() | KEYS,
                endpoint=st.none() | ENDPOINTS,
                keepalive=st.none() | PORTS,
                replace_allowed_ips=st.booleans(),
                allowed_ips=st.lists(NETWORKS, max_size=3),
            ),
        ),
        max_size=3,
    ),
)


@given(CHANGES, st.lists(st.integers(0, 5000), max_size=5))
def test_our_server_reads_every_request_of_ours(change: DeviceChange, cuts: list[int]) -> None:
    reader = RequestReader()
    requests = [
        r for piece in pieces(b"".join(encode_set(change)), cuts) for r in reader.feed(piece)
    ]
    assert [(r.errno, r.change) for r in requests] == [(0, change)]
    assert [r.is_get for r in reader.feed(GET_REQUEST)] == [True]


DEVICES = st.builds(
    Device,
    st.just("wg0"),
    private_key=st.none() | KEYS.filter(lambda key: not key.is_zero),
    listen_port=PORTS,
    fwmark=st.integers(0, 2**32 - 1),
    peers=st.lists(
        st.builds(
            Peer,
            KEYS,
            preshared_key=st.none() | KEYS.filter(lambda key: not key.is_zero),
            endpoint=st.none() | ENDPOINTS,
            keepalive=PORTS,
            handshake_sec=st.integers(0, 2**63 - 1),
            handshake_nsec=st.integers(0, 999_999_999),
            rx_bytes=st.integers(0, 2**64 - 1),
            tx_bytes=st.integers(0, 2**64 - 1),
            allowed_ips=st.lists(NETWORKS.map(plain), max_size=3),
        ),
        max_size=3,
    ),
)


@given(DEVICES, st.lists(st.integers(0, 5000), max_size=5))
def test_our_client_reads_every_reply_of_ours(device: Device, cuts: list[int]) -> None:
    if device.private_key is not None:
        device.public_key = Key(public(bytes(device.private_key)))
    reply = got(*pieces(b"".join(get_reply(device)), cuts))
    assert reply.status == 0
    assert reply.device == device


def test_a_line_without_end_is_refused_before_it_costs_much() -> None:
    for reply in (SetReply(), GetReply("wg0", public_key=public, resolve=nowhere)):
        pieces = LINE_MAX // 4096
        assert [reply.feed(b"x" * 4096) for _ in range(pieces + 1)] == [False] * pieces + [True]
        assert reply.status == EPROTO


def test_a_line_may_be_long_but_not_too_long_however_it_comes() -> None:
    line = b"listen_port=" + b"0" * (LINE_MAX - 13) + b"7"
    assert len(line) == LINE_MAX
    assert status(line + b"\n" + OK) == 0
    assert status(line.replace(b"=", b"=0") + b"\n" + OK) == EPROTO


def test_a_reply_without_end_is_refused() -> None:
    reply = GetReply("wg0", public_key=public, resolve=nowhere)
    reply.room = 10_000  # REPLY_MAX would take a while
    piece = b"rx_bytes=1\n" * 100
    assert [reply.feed(piece) for _ in range(10)] == [False] * 9 + [True]
    assert reply.status == EPROTO


def test_the_public_key_is_computed_only_when_asked_for_and_once() -> None:
    asked = []

    def count(private: bytes) -> bytes:
        asked.append(private)
        return private[::-1]

    reply = GetReply("wg0", public_key=count, resolve=nowhere)
    assert reply.feed(f"private_key={A.hex()}\n".encode() + OK)
    assert (reply.status, asked) == (0, [])
    assert reply.device.public_key == reply.device.public_key == A
    assert asked == [bytes(A)]
