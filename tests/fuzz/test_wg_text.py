# SPDX-License-Identifier: MIT
"""Whatever text comes in, the parsers answer with a value or one of their own errors."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from wgtools.conf import arguments, values, wgconf
from wgtools.conf.document import Document
from wgtools.errors import ConfigError
from wgtools.keys import Key
from wgtools.model import Device, Endpoint, HostPort
from wgtools.uapi.client import GetReply, SetReply

WORDS = st.sampled_from(
    [
        *(b"[Interface]", b"[Peer]", b"ListenPort", b"FwMark", b"PrivateKey", b"PublicKey", b"="),
        *(b"PresharedKey", b"AllowedIPs", b"Endpoint", b"PersistentKeepalive", b"\n", b"\0", b"#"),
        *(
            b"10.0.0.0/8",
            b"::/0",
            b",",
            b"+",
            b"-",
            b"[::1]:5",
            b"off",
            b"0x",
            b"\xff",
            b" ",
            b"\r",
        ),
        *(b"2MM6Up7zgrIBGXHV5AW/HijmDAFY5j3B2G+9I4ykZZM=", b"9" * 5000, b"\xd9\xa0", b":", b"/"),
        *(
            b"peer",
            b"listen-port",
            b"fwmark",
            b"private-key",
            b"remove",
            b"allowed-ips",
            b"endpoint",
        ),
    ]
)
TEXT = st.lists(WORDS | st.binary(max_size=4), max_size=30).map(b"".join)
LINES = st.lists(
    st.tuples(WORDS, st.just(b"="), WORDS | st.binary(max_size=6)).map(b"".join) | WORDS,
    max_size=12,
).map(b"\n".join)

UAPI_KEYS = st.sampled_from(
    [
        *(b"private_key", b"listen_port", b"fwmark", b"public_key", b"preshared_key", b"endpoint"),
        *(b"persistent_keepalive_interval", b"allowed_ip", b"last_handshake_time_sec", b"errno"),
        *(b"last_handshake_time_nsec", b"rx_bytes", b"tx_bytes", b"protocol_version", b""),
    ]
)
UAPI_VALUES = st.sampled_from(
    [
        *(b"0" * 64, b"0b" * 32, b"0", b"7", b"-7", b"9" * 5000, b"10.0.0.0/8", b"::/0", b"::/129"),
        *(b"[::1]:5", b"1.2.3.4:5", b"name:5", b"", b"\0", b"\xff", b"["),
    ]
)
REPLY = st.lists(
    st.tuples(UAPI_KEYS, st.just(b"="), UAPI_VALUES | st.binary(max_size=5), st.just(b"\n")).map(
        b"".join
    )
    | st.binary(max_size=4),
    max_size=12,
).map(lambda lines: b"".join(lines) + b"errno=0\n\n")


@given(TEXT | LINES)
def test_configurations(text: bytes) -> None:
    document = Document(text, "f")
    wrong = None
    try:
        change = wgconf.parse(document)
        assert all(0 <= net.length <= 128 for peer in change.peers for net in peer.allowed_ips)
    except ConfigError as error:
        wrong = error
    if wrong is not None:
        assert wrong.file == "f"
        assert 1 <= wrong.line <= len(document.lines)
        assert wrong.column <= len(document.lines[wrong.line - 1].raw) + 1
        assert "\n" not in wrong.message


@given(st.lists(WORDS | st.binary(max_size=6), max_size=12))
def test_words_of_set(words: list[bytes]) -> None:
    def read_key(path: bytes) -> Key:
        return values.key_file(path, may_be_empty=True)

    with contextlib.suppress(ConfigError):
        arguments.parse(words, read_key=read_key)


@given(REPLY | st.binary(max_size=80), st.integers(1, 40))
def test_replies_end_the_same_however_they_are_cut(text: bytes, size: int) -> None:
    def resolve(wanted: HostPort) -> Endpoint | None:
        return Endpoint("::1", 1) if wanted.host == b"name" else None

    def read(pieces: list[bytes]) -> tuple[int, Device]:
        reply = GetReply("wg0", public_key=lambda raw: raw, resolve=resolve)
        while not reply.feed(pieces.pop(0) if pieces else b""):
            pass
        return reply.status, reply.device

    cut = [text[i : i + size] for i in range(0, len(text), size)]
    whole = [text] if text else []
    (status, device), (same_status, same_device) = read(cut), read(whole)
    assert status == same_status
    if status == 0:
        assert device == same_device


@given(REPLY | st.binary(max_size=80))
def test_answers_to_a_set(text: bytes) -> None:
    reply = SetReply()
    while not reply.feed(text):
        text = b""
    assert isinstance(reply.status, int)
