# SPDX-License-Identifier: MIT
"""NetBSD's replies as devices, and operations as text, held to the samples."""

import contextlib
import errno
import json
import plistlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgtools.crypto.x25519 import public_key
from wgtools.errors import ProtocolError
from wgtools.keys import Key
from wgtools.model import AllowedIP, Endpoint, Peer
from wgtools_backends.bsd import sockaddr
from wgtools_backends.netbsd import codec, proplib

VECTORS = Path(__file__).parents[3] / "vectors/netbsd_samples.json"
SAMPLES: dict[str, dict[str, Any]] = {
    sample["id"]: sample for sample in json.loads(VECTORS.read_text())["samples"]
}
SETS = [sample for sample in SAMPLES.values() if sample["direction"] == "set"]
GETS = [sample for sample in SAMPLES.values() if sample["direction"] == "get"]


def state(text: str) -> codec.State:
    return codec.state(b"wg0", text, public_key=public_key, zone_of=lambda _index: "")


def inet_endpoint(data: bytes) -> Endpoint | None:
    return sockaddr.unpack(data, inet6=24, zone_of=str) if data else None


def peer_of(found: dict[str, Any]) -> Peer:
    """A peer from the keys of a sample, read without the codec."""
    secret = found.get("preshared_key")
    return Peer(
        Key(found["public_key"]),
        preshared_key=Key(secret) if secret else None,
        endpoint=inet_endpoint(found.get("endpoint", b"")),
        handshake_sec=found.get("last_handshake_time_sec", 0),
        handshake_nsec=found.get("last_handshake_time_nsec", 0),
        allowed_ips=[AllowedIP(each["ip"], each["cidr"]) for each in found.get("allowedips", [])],
    )


@pytest.mark.parametrize("sample", GETS, ids=lambda sample: sample["id"])
def test_replies(sample: dict[str, Any]) -> None:
    found = plistlib.loads(sample["xml"].encode())
    read = state(sample["xml"])
    device = read.device
    private = Key(found.get("private_key", bytes(32)))
    assert device.private_key == (None if private.is_zero else private)
    if not private.is_zero:
        assert device.public_key == Key(public_key(bytes(private)))
    assert (device.name, device.listen_port) == ("wg0", found.get("listen_port", 0))
    assert device.peers == [peer_of(peer) for peer in found.get("peers", [])]
    assert list(read.names.values()) == [peer.get("name", "") for peer in found.get("peers", [])]


@pytest.mark.parametrize("sample", SETS, ids=lambda sample: sample["id"])
def test_operations_are_the_samples_to_the_byte(sample: dict[str, Any]) -> None:
    found = plistlib.loads(sample["xml"].encode())
    text = {
        codec.SET_PRIVATE_KEY: lambda: codec.private(Key(found["private_key"])),
        codec.SET_LISTEN_PORT: lambda: codec.listening(found["listen_port"]),
        codec.ADD_PEER: lambda: codec.added(peer_of(found), found.get("name", ""), scope_of=int),
        codec.DELETE_PEER: lambda: codec.deleted(found["name"]),
    }[sample["ifd_cmd"]]()
    assert text == sample["xml"]


def damaged(**changes: object) -> str:
    """A reply with one peer and one allowed IP, and with `changes` to keys of any level."""
    network: Any = {"family": 2, "cidr": 24, "ip": bytes(4)}
    peer: Any = {"public_key": bytes(32), "last_handshake_time_sec": 1}
    found: Any = {"listen_port": 1}
    for key, value in changes.items():
        level = {
            **dict.fromkeys(("family", "cidr", "ip"), network),
            **dict.fromkeys(("listen_port", "private_key", "peers"), found),
        }.get(key, peer)
        level[key] = value
    peer.setdefault("allowedips", [network])
    found.setdefault("peers", [peer])
    return proplib.dump({key: value for key, value in found.items() if value is not None})


def test_the_reply_that_is_damaged_below_is_good() -> None:
    assert str(state(damaged()).device.peers[0].allowed_ips[0]) == "0.0.0.0/24"


@pytest.mark.parametrize(
    "changes",
    [
        {"listen_port": 65536}, {"listen_port": "1"}, {"listen_port": True},
        {"private_key": bytes(31)}, {"private_key": "key"}, {"peers": {}}, {"peers": [1]},
        {"peers": [{}]}, {"peers": [{"public_key": bytes(32)}] * 2},
        {"public_key": bytes(33)}, {"public_key": b""}, {"preshared_key": bytes(1)},
        {"name": 5}, {"endpoint": "192.0.2.1"}, {"last_handshake_time_sec": 2**64},
        {"last_handshake_time_nsec": 2**32}, {"allowedips": "none"}, {"allowedips": [[]]},
        {"family": 10}, {"family": b""}, {"cidr": 33}, {"ip": bytes(16)}, {"ip": b""},
        {"family": 24, "ip": bytes(16), "cidr": 129},
    ],
)  # fmt: skip
def test_replies_that_cannot_be_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ProtocolError) as refusal:
        state(damaged(**changes))
    assert refusal.value.errno == errno.EPROTO


@pytest.mark.parametrize("text", ["", "rubbish", proplib.dump({})[:-4]])
def test_text_that_is_no_dictionary_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        state(text)
    with pytest.raises(ProtocolError):
        state("<plist><array/></plist>")


def test_zeros_are_no_keys_and_another_family_no_endpoint() -> None:
    read = state(
        damaged(private_key=bytes(32), preshared_key=bytes(32), endpoint=b"\x10\x09" + bytes(14))
    )
    (peer,) = read.device.peers
    assert (read.device.private_key, read.device.public_key) == (None, None)
    assert (peer.preshared_key, peer.endpoint) == (None, None)


VALUES = st.recursive(
    st.booleans() | st.integers(0, 300) | st.text("ab", max_size=3) | st.sampled_from(
        [b"", bytes(4), bytes(16), bytes(32), b"\x10\x02" + bytes(14)]
    ),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(
        st.sampled_from(
            ["peers", "allowedips", "public_key", "endpoint", "family", "cidr", "ip", "name"]
        ),
        inner,
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["peers", "private_key", "listen_port"]), VALUES))
def test_well_formed_nonsense_is_refused_or_read(found: dict[str, Any]) -> None:
    with contextlib.suppress(ProtocolError):
        assert state(proplib.dump(found)).device.name == "wg0"
