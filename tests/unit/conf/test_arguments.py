# SPDX-License-Identifier: MIT
"""The words of `wg set` (WG_COMPAT 6)."""

from __future__ import annotations

import pytest

from wgtools.conf import arguments
from wgtools.errors import ConfigError
from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, HostPort, PeerChange

A = b"2MM6Up7zgrIBGXHV5AW/HijmDAFY5j3B2G+9I4ykZZM="
B = b"5xOv8xoeXty874Ler/3ZrMurMzgi3CY/MKPxQroT3sY="
KEY_A, KEY_B = Key.from_base64(A), Key.from_base64(B)
ZERO = Key(bytes(32))


def parse(*words: bytes) -> DeviceChange:
    files = {b"a": KEY_A, b"zero": ZERO}
    return arguments.parse(list(words), read_key=files.__getitem__)


def test_device_settings() -> None:
    words = (b"listen-port", b"7", b"fwmark", b"off", b"private-key", b"a", b"listen-port", b"8")
    assert parse(*words) == DeviceChange(private_key=KEY_A, listen_port=8, fwmark=0)


def test_nothing_is_nothing() -> None:
    assert parse() == DeviceChange()


def test_peers() -> None:
    change = parse(
        *(b"peer", A, b"remove", b"peer", B, b"preshared-key", b"zero", b"endpoint", b"h:1"),
        *(b"persistent-keepalive", b"0", b"allowed-ips", b" 10.0.0.0/8 ,\t::/0", b"peer", A),
    )
    full = PeerChange(
        KEY_B,
        preshared_key=ZERO,
        endpoint=HostPort(b"h", b"1", b"h:1"),
        keepalive=0,
        replace_allowed_ips=True,
        allowed_ips=[AllowedIP.parse("10.0.0.0/8"), AllowedIP.parse("::/0")],
    )
    assert change.peers == [PeerChange(KEY_A, remove=True), full, PeerChange(KEY_A)]


@pytest.mark.parametrize(
    ("lists", "replace", "count"),
    [
        ([], False, 0),
        ([b""], True, 0),
        ([b"+10.0.0.0/8"], False, 1),
        ([b"+10.0.0.0/8", b""], True, 1),
        ([b"", b"+10.0.0.0/8"], False, 1),
        ([b"10.0.0.0/8", b"11.0.0.0/8"], True, 2),
    ],
)
def test_allowed_ips_add_up(lists: list[bytes], replace: bool, count: int) -> None:
    words = [word for text in lists for word in (b"allowed-ips", text)]
    (peer,) = parse(b"peer", A, *words).peers
    assert (peer.replace_allowed_ips, len(peer.allowed_ips)) == (replace, count)


@pytest.mark.parametrize(
    ("words", "bad"),
    [
        ((b"",), ""),
        ((b"bogus",), "bogus"),
        ((b"Listen-Port", b"1"), "Listen-Port"),
        ((b"listen-port",), "listen-port"),
        ((b"remove",), "remove"),
        ((b"endpoint", b"a:1"), "endpoint"),
        ((b"peer",), "peer"),
        ((b"peer", A, b"listen-port", b"1"), "listen-port"),
        ((b"peer", A, b"endpoint"), "endpoint"),
        ((b"peer", A, b"remove", b"x"), "x"),
        ((b"\xff",), "\udcff"),
    ],
)
def test_wrong_words(words: tuple[bytes, ...], bad: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(*words)
    assert raised.value.message == f"Invalid argument: {bad}"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ((b"peer",), "a value has to follow it"),
        ((b"peer", A, b"endpoint"), "a value has to follow it"),
        ((b"endpoint", b"a:1"), "words that can stand here: listen-port, fwmark, "),
        ((b"peer", A, b"port"), "words that can stand here: peer, preshared-key, "),
        ((b"listen-port", b"x y"), "a port is a number"),
        ((b"fwmark", b"x"), "a mark is a number"),
        ((b"peer", A, b"endpoint", b"1.2.3.4"), "write HOST:PORT"),
        ((b"peer", A, b"persistent-keepalive", b"often"), "seconds from 1 to 65535"),
        ((b"peer", A, b"allowed-ips", b"10.0.0.0/33"), "write IP/LENGTH"),
    ],
)
def test_every_wrong_word_has_a_hint(words: tuple[bytes, ...], hint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(*words)
    assert raised.value.hint.startswith(hint)
    assert ("remove" in raised.value.hint) == (words[-1] == b"port")


def test_left_to_right() -> None:
    with pytest.raises(ConfigError, match="Fwmark"):
        parse(b"fwmark", b"x", b"bogus")
    with pytest.raises(ConfigError, match="Key is not the correct"):
        parse(b"peer", b"x", b"bogus")
