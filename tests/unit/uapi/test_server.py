# SPDX-License-Identifier: MIT
"""The daemon's half of the userspace protocol, on text alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, DeviceChange, Endpoint, Peer, PeerChange
from wgtools.uapi.server import (
    EINVAL,
    EPROTO,
    MAX_LINE,
    MAX_REQUEST,
    Request,
    RequestReader,
    errno_reply,
    get_reply,
)

K1, K2 = "11" * 32, "22" * 32
PEER = f"public_key={K1}\n"


def one(text: str) -> Request:
    """The only request of `text`."""
    (request,) = RequestReader().feed(text.encode("latin-1"))
    return request


def change_of(body: str) -> DeviceChange:
    request = one(f"set=1\n{body}\n")
    assert request.errno == 0, request.reason
    assert request.change is not None
    return request.change


def refusal_of(body: str) -> int:
    request = one(f"set=1\n{body}\n")
    assert request.change is None
    return request.errno


def test_get_is_a_get() -> None:
    assert one("get=1\n\n").is_get


def test_empty_set_changes_nothing() -> None:
    assert change_of("") == DeviceChange()


def test_every_key_of_a_set() -> None:
    change = change_of(
        f"private_key={'22' * 32}\nlisten_port=51820\nfwmark=4294967295\nreplace_peers=true\n"
        f"{PEER}update_only=true\npreshared_key={K2}\nendpoint=[2001:DB8::1]:7\n"
        "persistent_keepalive_interval=25\nreplace_allowed_ips=true\n"
        "allowed_ip=10.0.0.9/8\nallowed_ip=-::1/128\nprotocol_version=1\n"
        f"public_key={K2}\nremove=true\n"
    )
    assert change == DeviceChange(
        private_key=Key.from_entropy(bytes.fromhex(K2)),
        listen_port=51820,
        fwmark=0xFFFFFFFF,
        replace_peers=True,
        peers=[
            PeerChange(
                Key.from_hex(K1.encode()),
                update_only=True,
                preshared_key=Key.from_hex(K2.encode()),
                endpoint=Endpoint("2001:db8::1", 7),
                keepalive=25,
                replace_allowed_ips=True,
                allowed_ips=[
                    AllowedIP(bytes([10, 0, 0, 9]), 8),
                    AllowedIP(bytes(15) + b"\1", 128, remove=True),
                ],
            ),
            PeerChange(Key.from_hex(K2.encode()), remove=True),
        ],
    )


def test_private_key_is_clamped_and_a_zero_key_stays_zero() -> None:
    assert change_of(f"private_key={'ff' * 32}\n").private_key == Key.from_entropy(b"\xff" * 32)
    zero = change_of(f"private_key={'00' * 32}\n").private_key
    assert zero is not None
    assert zero.is_zero


def test_hex_of_either_case_is_taken() -> None:
    assert change_of(f"public_key={'aB' * 32}\n").peers[0].public_key == Key(b"\xab" * 32)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("no_such_key=1\n", id="unknown key"),
        pytest.param(f"{PEER}no_such_key=1\n", id="unknown key of a peer"),
        pytest.param(f"{PEER}listen_port=1\n", id="device key after a peer"),
        pytest.param("allowed_ip=10.0.0.0/8\n", id="peer key before a peer"),
        pytest.param("=\n", id="empty key"),
        pytest.param("listen_port=1=2\n", id="value with an equals sign"),
        pytest.param("private_key=\n", id="empty key material"),
        pytest.param(f"private_key={K1}0\n", id="key too long"),
        pytest.param(f"private_key={'zz' * 32}\n", id="key not hex"),
        pytest.param("listen_port=65536\n", id="port out of range"),
        pytest.param("listen_port=\n", id="empty port"),
        pytest.param("listen_port=+1\n", id="signed port"),
        pytest.param("listen_port=1_0\n", id="port with underscore"),
        pytest.param("listen_port= 1\n", id="port with blank"),
        pytest.param("listen_port=\xb2\n", id="superscript digit"),
        pytest.param("listen_port=" + "9" * 1000 + "\n", id="port of many digits"),
        pytest.param("fwmark=0x10\n", id="hexadecimal mark"),
        pytest.param("fwmark=4294967296\n", id="mark out of range"),
        pytest.param("replace_peers=false\n", id="replace_peers false"),
        pytest.param(f"{PEER}remove=1\n", id="remove 1"),
        pytest.param(f"{PEER}update_only=\n", id="update_only empty"),
        pytest.param(f"{PEER}replace_allowed_ips=True\n", id="replace_allowed_ips True"),
        pytest.param(f"{PEER}protocol_version=2\n", id="other protocol version"),
        pytest.param(f"{PEER}persistent_keepalive_interval=65536\n", id="keepalive"),
        pytest.param(f"{PEER}persistent_keepalive_interval=off\n", id="keepalive off"),
        pytest.param(f"{PEER}endpoint=example.org:1\n", id="name as endpoint"),
        pytest.param(f"{PEER}endpoint=192.0.2.1\n", id="endpoint without port"),
        pytest.param(f"{PEER}endpoint=[192.0.2.1]:1\n", id="IPv4 in brackets"),
        pytest.param(f"{PEER}endpoint=::1:1\n", id="IPv6 without brackets"),
        pytest.param(f"{PEER}endpoint=192.0.2.1%eth0:1\n", id="IPv4 with zone"),
        pytest.param(f"{PEER}endpoint=[fe80::1%]:1\n", id="empty zone"),
        pytest.param(f"{PEER}endpoint=[fe80::1%e\0]:1\n", id="zone with NUL"),
        pytest.param(f"{PEER}endpoint=[fe80::1%e h]:1\n", id="zone with blank"),
        pytest.param(f"{PEER}endpoint=[fe80::1%{'e' * 16}]:1\n", id="zone too long"),
        pytest.param(f"{PEER}endpoint=[fe80::1%4294967296]:1\n", id="zone over 32 bits"),
        pytest.param(f"{PEER}endpoint=[fe80::1%2147483648]:1\n", id="zone over an int"),
        pytest.param(f"{PEER}endpoint=[fe80::1%{'9' * 20}]:1\n", id="zone over 64 bits"),
        pytest.param(f"{PEER}allowed_ip=10.0.0.0\n", id="no length"),
        pytest.param(f"{PEER}allowed_ip=10.0.0.0/33\n", id="length over 32"),
        pytest.param(f"{PEER}allowed_ip=::/129\n", id="length over 128"),
        pytest.param(f"{PEER}allowed_ip=10.0.0/8\n", id="short address"),
        pytest.param(f"{PEER}allowed_ip=--10.0.0.0/8\n", id="two dashes"),
        pytest.param(f"{PEER}allowed_ip=+10.0.0.0/8\n", id="plus"),
    ],
)
def test_a31_refused_as_invalid(body: str) -> None:
    assert refusal_of(body) == EINVAL


def test_line_without_equals_is_a_protocol_error() -> None:
    assert refusal_of("listen_port\n") == EPROTO


def test_first_refusal_counts_and_the_rest_is_read_over() -> None:
    reader = RequestReader()
    text = f"set=1\nlisten_port\nbad=1\n{PEER}\nget=1\n\n"
    first, second = reader.feed(text.encode())
    assert first.errno == EPROTO
    assert second.is_get


def test_no_reason_holds_a_value() -> None:
    secret = "5ec2e7" * 10
    request = one(f"set=1\nprivate_key={secret}\n\n")
    assert request.reason
    assert secret not in request.reason


def test_text_after_get_is_invalid() -> None:
    assert one("get=1\nx\n").errno == EINVAL


@pytest.mark.parametrize("text", ["get=2\n", "set=2\n", "\n", "GET / HTTP/1.1\r\n"])
def test_unknown_operation_ends_the_connection(text: str) -> None:
    request = one(text)
    assert request.last
    assert not request.is_get
    assert request.change is None


def test_several_requests_on_one_connection() -> None:
    requests = RequestReader().feed(b"get=1\n\nset=1\n\nget=1\n\n")
    assert [request.is_get for request in requests] == [True, False, True]


def test_cut_anywhere_it_says_the_same() -> None:
    text = (
        f"set=1\nlisten_port=7\n{PEER}endpoint=192.0.2.1:9\nallowed_ip=10.0.0.0/8\n\nget=1\n\n"
    ).encode()
    whole = [request.change for request in RequestReader().feed(text)]
    for cut in range(len(text) + 1):
        reader = RequestReader()
        requests = reader.feed(text[:cut]) + reader.feed(text[cut:])
        assert [request.change for request in requests] == whole
    reader = RequestReader()
    requests = [request for byte in text for request in reader.feed(bytes([byte]))]
    assert [request.change for request in requests] == whole


LINES = st.sampled_from(
    [
        "get=1",
        "set=1",
        "",
        PEER.strip(),
        "public_key=",
        "private_key=zz",
        "listen_port=1",
        "fwmark=x",
        "allowed_ip=::/0",
        "=",
        "endpoint=[::1]:1",
        "replace_peers=true",
        "remove=true",
        "protocol_version=1",
        "update_only",
    ]
)


@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(LINES, max_size=30).map(lambda lines: "\n".join(lines).encode()),
    )
)
def test_whatever_comes_is_answered_and_never_raised(data: bytes) -> None:
    for request in RequestReader().feed(data):
        assert (request.change is not None) + request.is_get + bool(request.errno) <= 1
        if request.last:
            break


def test_midway_until_the_empty_line() -> None:
    reader = RequestReader()
    seen = [reader.is_midway]
    for piece in (b"g", b"et=1\n", b"\n"):
        reader.feed(piece)
        seen.append(reader.is_midway)
    assert seen == [False, True, True, False]


def test_endless_line_ends_the_connection() -> None:
    (request,) = RequestReader().feed(b"set=1\n" + b"x" * (MAX_LINE + 1))
    assert request.last
    assert request.errno == EPROTO


@pytest.mark.parametrize("size", [MAX_LINE, MAX_LINE + 1])
def test_a_long_line_is_judged_the_same_with_and_without_its_end(size: int) -> None:
    text = b"set=1\n" + b"x" * size
    ended, reader = RequestReader().feed(text + b"\n\n"), RequestReader()
    cut = reader.feed(text)
    if size == MAX_LINE:
        cut += reader.feed(b"\n\n")
    (one,), (other,) = ended, cut
    assert (one.errno, one.last) == (other.errno, other.last) == (EPROTO, size > MAX_LINE)


def test_a_request_at_the_limit_is_judged_the_same_however_it_is_cut() -> None:
    request = b"set=1\nfwmark=1\nfwmark=2\n\n"
    for limit, last in ((len(request), False), (len(request) - 1, True)):
        for size in range(1, len(request) + 2):
            reader, found = RequestReader(max_request=limit), list[Request]()
            for at in range(0, len(request), size):
                found += reader.feed(request[at : at + size])
            (one,) = found
            assert one.last is last


def test_endless_request_ends_the_connection() -> None:
    reader = RequestReader(max_request=10_000)
    piece = b"fwmark=1\n" * 100
    assert reader.feed(b"set=1\n") == []
    for _ in range(10_000 // len(piece)):
        assert reader.feed(piece) == []
    (request,) = reader.feed(piece)
    assert request.last


def test_size_is_counted_per_request() -> None:
    reader = RequestReader(max_request=10_000)
    request = b"set=1\n" + b"fwmark=1\n" * 1000 + b"\n"
    for _ in range(10):
        (done,) = reader.feed(request)
        assert not done.last


def test_100_000_peers_fit() -> None:
    peer = PEER + "endpoint=[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535\n"
    peer += "allowed_ip=2001:db8:ffff:ffff:ffff:ffff:ffff:ffff/128\n" * 4
    assert len(peer) * 100_000 < MAX_REQUEST


def test_replace_allowed_ips_replaces_those_before_it_too() -> None:
    body = f"{PEER}allowed_ip=10.0.0.0/8\nreplace_allowed_ips=true\nallowed_ip=::/0\n"
    assert change_of(body).peers[0].allowed_ips == [AllowedIP(bytes(16), 0)]


@pytest.mark.parametrize("zone", ["e" * 15, "br-0.1@x", "2147483647", "0"])
def test_zone_that_can_be_is_taken(zone: str) -> None:
    peer = change_of(f"{PEER}endpoint=[fe80::1%{zone}]:51820\n").peers[0]
    assert peer.endpoint == Endpoint(f"fe80::1%{zone}", 51820)


def test_zone_of_an_endpoint_is_kept() -> None:
    peer = change_of(f"{PEER}endpoint=[fe80::1%eth0]:51820\n").peers[0]
    assert peer.endpoint == Endpoint("fe80::1%eth0", 51820)


# ------------------------------------------------------------------ replies


def test_errno_is_sent_negative() -> None:
    assert errno_reply() == b"errno=0\n\n"
    assert errno_reply(98) == b"errno=-98\n\n"


def test_empty_device_says_only_errno() -> None:
    assert b"".join(get_reply(Device("wg0"))) == b"errno=0\n\n"


def test_reply_in_the_order_of_wireguard_go() -> None:
    device = Device(
        "wg0",
        private_key=Key.from_hex(K2.encode()),
        listen_port=51820,
        fwmark=3,
        peers=[
            Peer(
                Key.from_hex(K1.encode()),
                preshared_key=Key.from_hex(K2.encode()),
                endpoint=Endpoint("fe80::1%eth0", 9),
                keepalive=25,
                handshake_sec=1700000000,
                handshake_nsec=5,
                rx_bytes=1,
                tx_bytes=2**64 - 1,
                allowed_ips=[AllowedIP.parse("10.0.0.0/8"), AllowedIP.parse("::/0")],
            ),
            Peer(Key.from_hex(K2.encode())),
        ],
    )
    expected = (
        f"private_key={K2}\nlisten_port=51820\nfwmark=3\n"
        f"public_key={K1}\npreshared_key={K2}\nprotocol_version=1\nendpoint=[fe80::1%eth0]:9\n"
        "last_handshake_time_sec=1700000000\nlast_handshake_time_nsec=5\n"
        "tx_bytes=18446744073709551615\nrx_bytes=1\npersistent_keepalive_interval=25\n"
        "allowed_ip=10.0.0.0/8\nallowed_ip=::/0\n"
        f"public_key={K2}\npreshared_key={'0' * 64}\nprotocol_version=1\n"
        "last_handshake_time_sec=0\nlast_handshake_time_nsec=0\ntx_bytes=0\nrx_bytes=0\n"
        "persistent_keepalive_interval=0\n"
        "errno=0\n\n"
    )
    assert b"".join(get_reply(device)).decode() == expected


def test_large_reply_comes_in_pieces() -> None:
    peers = [Peer(Key(n.to_bytes(32, "big"))) for n in range(2000)]
    pieces = list(get_reply(Device("wg0", peers=peers)))
    assert len(pieces) > 5
    assert max(map(len, pieces)) < 64 << 10
    assert b"".join(pieces).count(b"public_key=") == 2000
