# SPDX-License-Identifier: MIT
"""Files for `wg setconf`: what is read, what is refused, and where (WG_COMPAT 5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgtools.conf import values, wgconf
from wgtools.conf.document import Document
from wgtools.conf.hints import hint
from wgtools.conf.writer import write
from wgtools.errors import ConfigError
from wgtools.inet import ntop
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, DeviceChange, Endpoint, HostPort, Peer, PeerChange

A = b"2MM6Up7zgrIBGXHV5AW/HijmDAFY5j3B2G+9I4ykZZM="
B = b"5xOv8xoeXty874Ler/3ZrMurMzgi3CY/MKPxQroT3sY="


def parse(text: bytes, warn: values.Warn = values.quiet) -> DeviceChange:
    return wgconf.parse(Document(text, "wg0.conf"), warn=warn)


def test_everything() -> None:
    text = b"""\
# a comment
[Interface]
PrivateKey = %s
ListenPort = 51820   # another
fwmark=0x10
[PEER]
Public Key = %s
PresharedKey=%s
AllowedIPs = 10.0.0.0/8, ::/0
AllowedIPs = 192.0.2.1
Endpoint = vpn.example.org:51820
PersistentKeepalive = 25\r
[interface]
ListenPort = 7""" % (A, B, A)
    peer = PeerChange(
        Key.from_base64(B),
        preshared_key=Key.from_base64(A),
        endpoint=HostPort(b"vpn.example.org", b"51820", b"vpn.example.org:51820"),
        keepalive=25,
        replace_allowed_ips=True,
        allowed_ips=[AllowedIP.parse(x) for x in ("10.0.0.0/8", "::/0", "192.0.2.1/32")],
    )
    assert parse(text) == DeviceChange(
        private_key=Key.from_base64(A), listen_port=7, fwmark=16, peers=[peer]
    )


def test_nothing_at_all_is_no_change() -> None:
    for text in (b"", b"\n\n", b"#", b"[Interface]", b" \t\v\f\r\n[ Inter face ]", b"\0junk"):
        assert parse(text) == DeviceChange()


@pytest.mark.parametrize(
    ("lists", "replace"),
    [
        ([], True),
        ([b"10.0.0.0/8"], True),
        ([b"+10.0.0.0/8"], False),
        ([b"+10.0.0.0/8", b"11.0.0.0/8"], True),
        ([b"10.0.0.0/8", b"-11.0.0.0/8"], False),
    ],
)
def test_replacing_is_decided_by_the_last_list(lists: list[bytes], replace: bool) -> None:
    lines = [b"[Peer]", b"PublicKey=" + A, *(b"AllowedIPs=" + text for text in lists)]
    (peer,) = parse(b"\n".join(lines)).peers
    assert peer.replace_allowed_ips == replace
    assert len(peer.allowed_ips) == len(lists)


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        (b"x", "Line unrecognized: `x'", 1, 1),
        (b"\n  Foo Bar = 1 # c", "Line unrecognized: `FooBar=1'", 2, 3),
        (b"[Interface]\nListenPort =", "Line unrecognized: `ListenPort='", 2, 1),
        (b"[Interface]\nListenPort\n", "Line unrecognized: `ListenPort'", 2, 1),
        (b"ListenPort = 1", "Line unrecognized: `ListenPort=1'", 1, 1),
        (b"[Interface]\nPublicKey=" + A, f"Line unrecognized: `PublicKey={A.decode()}'", 2, 1),
        (b"[Interface]\nListenPort =\t 1x", "Servname not supported for ai_socktype: `1x'", 2, 15),
        (b"[Peer]\nPublicKey=x", "Key is not the correct length or format: `x'", 2, 11),
        (b"[Peer]\nEndpoint=[", "Unable to find matching brace of endpoint: `['", 2, 10),
        (b"\xff", "Line unrecognized: `\udcff'", 1, 1),
        (b"\xef\xbb\xbf[Interface]", "Line unrecognized: `\ufeff[Interface]'", 1, 1),
    ],
)
def test_first_bad_line(text: bytes, message: str, line: int, column: int) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(text + b"\nworse")
    error = raised.value
    assert error.message == message
    assert (error.file, error.line, error.column) == ("wg0.conf", line, column)
    assert error.where == f"wg0.conf:{line}:{column}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"[Peer]", 1),
        (b"\n[Peer]\n[Peer]\nPublicKey=" + A, 2),
        (b"[Peer]\nPublicKey=" + A + b"\n\n[Peer]\n[Interface]\n", 4),
        (b"[Peer]\n[Peer]", 1),
    ],
)
def test_peer_without_a_key_is_found_at_the_end(text: bytes, line: int) -> None:
    with pytest.raises(wgconf.IncompletePeer, match="A peer is missing a public key") as raised:
        parse(text)
    assert (raised.value.line, raised.value.column) == (line, 0)
    with pytest.raises(ConfigError, match="Line unrecognized"):
        parse(text + b"\nx")


def test_warnings_come_before_a_later_error() -> None:
    warned: list[str] = []
    with pytest.raises(ConfigError):
        parse(b"[Peer]\nAllowedIPs = 10.0.0.1/8\nx", warned.append)
    assert warned == ["Warning: AllowedIP has nonzero host part: 10.0.0.1/8"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"\xef\xbb\xbf[Interface]", "byte-order mark"),
        (b";comment", "comments begin with #"),
        (b"[Peerlaptop]", "[Interface] and [Peer]"),
        (b"DNS=1.1.1.1", "wg-quick"),
        (b"PostUp=x", "wg-quick"),
        (b"ListenPort=5", "[Interface]"),
        (b"Endpoint=a:1", "[Peer]"),
        (b"Endpoint=", "KEY = VALUE"),
        (b"ListenPort", "KEY = VALUE"),
        (b"junk", "KEY = VALUE"),
    ],
)
def test_hints(line: bytes, said: str) -> None:
    assert said in hint(line)


def test_no_hint_where_nothing_can_be_said() -> None:
    assert hint(b"LitsenPort=1") == ""


KEYS = st.binary(min_size=32, max_size=32).map(Key)
NETWORKS = st.lists(
    st.one_of(
        st.builds(AllowedIP, st.binary(min_size=4, max_size=4), st.integers(0, 32)),
        st.builds(AllowedIP, st.binary(min_size=16, max_size=16), st.integers(0, 128)),
    ),
    max_size=4,
)
ENDPOINTS = st.builds(
    Endpoint, st.ip_addresses().map(lambda address: ntop(address.packed)), st.integers(0, 65535)
)
PEERS = st.builds(
    Peer,
    KEYS,
    preshared_key=st.none() | KEYS.filter(lambda key: not key.is_zero),
    endpoint=st.none() | ENDPOINTS,
    keepalive=st.integers(0, 65535),
    allowed_ips=NETWORKS,
)
DEVICES = st.builds(
    Device,
    st.just("wg0"),
    private_key=st.none() | KEYS,
    listen_port=st.integers(0, 65535),
    fwmark=st.integers(0, 0xFFFFFFFF),
    peers=st.lists(PEERS, max_size=3),
)


@given(DEVICES)
def test_what_is_written_is_read_back(device: Device) -> None:
    change = parse(write(device).encode())
    assert change.private_key == device.private_key
    assert (change.listen_port or 0, change.fwmark or 0) == (device.listen_port, device.fwmark)
    for peer, read in zip(device.peers, change.peers, strict=True):
        assert read.public_key == peer.public_key
        assert read.preshared_key == peer.preshared_key
        assert read.allowed_ips == peer.allowed_ips
        assert (read.keepalive or 0) == peer.keepalive
        assert isinstance(read.endpoint, HostPort | None)
        assert (read.endpoint and read.endpoint.text.decode()) == (
            None if peer.endpoint is None else str(peer.endpoint)
        )


def test_empty_device() -> None:
    assert write(Device("wg0")) == "[Interface]\n\n"


def test_two_peers_have_one_empty_line_between_them() -> None:
    a, b = Peer(Key.from_base64(A)), Peer(Key.from_base64(B), keepalive=5)
    assert write(Device("wg0", listen_port=1, peers=[a, b])) == (
        f"[Interface]\nListenPort = 1\n\n[Peer]\nPublicKey = {A.decode()}\n\n"
        f"[Peer]\nPublicKey = {B.decode()}\nPersistentKeepalive = 5\n"
    )
