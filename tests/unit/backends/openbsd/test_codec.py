# SPDX-License-Identifier: MIT
"""OpenBSD's codec: recorded bytes both ways, and whatever else may come in."""

import errno
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vectors.replay_openbsd import run
from wgtools.errors import AccessError, ProtocolError
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, DeviceChange, Endpoint, HostPort, Peer, PeerChange
from wgtools.testing.fake_openbsd import FakeOpenBSD
from wgtools.testing.memory_backend import MemoryBackend
from wgtools_backends.bsd.layout import I386, ILP32, LP64
from wgtools_backends.openbsd import codec
from wgtools_backends.openbsd.layout import CLASSIC, DESCRIBED, PeerLayout

DOCUMENT: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "vectors/openbsd_vectors.json").read_text()
)
BOTH = (DESCRIBED, CLASSIC)
A, B, ZERO = Key(b"\x0a" * 32), Key(b"\x0b" * 32), Key(bytes(32))
PEERS = st.lists(
    st.builds(
        Peer,
        st.binary(min_size=32, max_size=32).map(Key),
        preshared_key=st.none() | st.binary(min_size=31, max_size=31).map(lambda k: Key(k + b"K")),
        endpoint=st.none()
        | st.builds(Endpoint, st.sampled_from(["192.0.2.1", "2001:db8::1"]), st.integers(0, 65535)),
        keepalive=st.integers(0, 65535),
        handshake_sec=st.integers(0, 2**63 - 1),
        handshake_nsec=st.integers(0, 999_999_999),
        rx_bytes=st.integers(0, 2**64 - 1),
        tx_bytes=st.integers(0, 2**64 - 1),
        allowed_ips=st.lists(
            st.builds(AllowedIP, st.binary(min_size=4, max_size=4), st.integers(0, 32))
            | st.builds(AllowedIP, st.binary(min_size=16, max_size=16), st.integers(0, 128)),
            max_size=3,
        ),
    ),
    max_size=3,
)


def scope_of(zone: str) -> int:
    return int(zone)


def pack(change: DeviceChange, layout: PeerLayout = DESCRIBED) -> bytes:
    return codec.change_bytes(change, layout, scope_of=scope_of)


def read(data: bytes, layouts: tuple[PeerLayout, ...] = BOTH) -> Device:
    layout = codec.layout_of(data, layouts)
    return codec.device(b"wg0", data, layout, zone_of=lambda _index: "")


def reply(device: Device, *, described: bool = True) -> bytes:
    return FakeOpenBSD(MemoryBackend(), described=described).reply(device)


def assert_refused_or_read(work: Callable[[], Device]) -> None:
    refusal: ProtocolError | None = None
    try:
        work()
    except ProtocolError as error:
        refusal = error
    assert refusal is None or (refusal.errno == errno.EPROTO and "report" in refusal.hint)


def test_all_that_was_recorded() -> None:
    passed, failures = run(DOCUMENT)
    assert failures == []
    assert passed == len(DOCUMENT["vectors"]) > 30


@pytest.mark.parametrize(
    "damage",
    [
        {"vectors": [{"id": "new", "direction": "get"}]},
        {"vectors": [{"id": "new", "direction": "list"}]},
        {"vectors": ["text"]},
        {"more": 1},
        {"vectors": [{**DOCUMENT["vectors"][0], "mood": "blue"}]},
        {"vectors": [{**DOCUMENT["vectors"][0], "packed_len": 81}]},
        {"vectors": [{**DOCUMENT["vectors"][0], "exit": 1}]},
        {"vectors": [{**DOCUMENT["vectors"][-1], "dump_output": "(none)\n"}]},
        {"vectors": [{**DOCUMENT["vectors"][-1], "device": {}}]},
    ],
)
def test_the_replay_notices(damage: dict[str, Any]) -> None:
    assert run(damage)[1] != []


def test_a_case_that_begins_with_a_device() -> None:
    """`syncconf` in the words of FreeBSD's recordings: nothing like it was recorded here."""
    change = DeviceChange(
        listen_port=0, fwmark=0, private_key=ZERO, peers=[PeerChange(A, remove=True), PeerChange(B)]
    )
    peers = [
        {"public_key": key.hex(), "flags": flags, "replace_allowed_ips": replace, "remove": gone,
         "allowed_ips": []}
        for key, flags, replace, gone in ((A, 1, False, True), (B, 6, True, False))
    ]  # fmt: skip
    change.peers[1].replace_allowed_ips = True
    sent = {
        suffix: pack(change, layout)
        for suffix, layout in (("", CLASSIC), ("_openbsd74", DESCRIBED))
    }
    case = {
        "direction": "set",
        "argv": ["wg", "syncconf", "wg0", "@conf"],
        "files": {"conf": f"[Interface]\n[Peer]\nPublicKey = {B.base64()}\n"},
        "runtime_before": f"port 7\nprivkey {A.hex()}\ncookie 5\npeer {A.hex()}\npsk {B.hex()}\n"
        "ka 25\naip4 0a000000 8\naip6 fd000000000000000000000000000000 8\n",
        "device": {
            "name": "wg0", "flags": 26, "private_key": ZERO.hex(), "listen_port": 0, "fwmark": 0,
            "replace_peers": False, "peers": peers,
        },
        "ioctl": [
            "SIOCGWG 0xc02069d3 name=wg0 size_in=0 data=NULL -> rc=0 size_out=336",
            "SIOCGWG 0xc02069d3 name=wg0 size_in=336 data=ptr -> rc=0 size_out=336",
            "SIOCSWG 0xc02069d2 name=wg0 size=496",
        ],
        **{f"packed_hex{suffix}": data.hex() for suffix, data in sent.items()},
        **{f"packed_len{suffix}": len(data) for suffix, data in sent.items()},
        "dump_output": "(none)\t(none)\t0\toff\n"
        f"{B.base64()}\t(none)\t(none)\t(none)\t0\t0\t0\toff\n",
    }  # fmt: skip
    assert run({"vectors": [case]}) == (1, [])
    for wrong in ({"runtime_before": "mood blue\n"}, {"runtime_before": ""}, {"dump_output": ""}):
        assert run({"vectors": [{**case, **wrong}]})[1] != []


@pytest.mark.parametrize("machine", [LP64, ILP32, I386])
@pytest.mark.parametrize("described", [False, True])
def test_a_request_is_a_reply_that_reads_back(machine: Any, described: bool) -> None:
    layout = PeerLayout(described=described, machine=machine)
    networks = [AllowedIP.parse("10.0.0.0/8"), AllowedIP.parse("fd00::/64")]
    peers = [
        PeerChange(A, preshared_key=B, keepalive=25, allowed_ips=networks),
        PeerChange(B, endpoint=Endpoint("2001:db8::1", 51820)),
    ]
    data = pack(DeviceChange(private_key=A, listen_port=7, fwmark=0xFFFFFFFF, peers=peers), layout)
    other = PeerLayout(described=not described, machine=machine)
    assert codec.layout_of(data, (other, layout)) is layout
    device = codec.device(b"wg0", data, layout, zone_of=str)
    assert (device.private_key, device.listen_port, device.fwmark) == (A, 7, 0xFFFFFFFF)
    first, second = device.peers
    assert (first.public_key, first.preshared_key, first.keepalive) == (A, B, 25)
    assert (first.allowed_ips, second.endpoint) == (networks, Endpoint("2001:db8::1", 51820))


@given(PEERS, st.booleans(), st.booleans())
def test_every_state_is_read_whatever_was_expected(
    peers: list[Peer], described: bool, expected: bool
) -> None:
    """Exact consumption finds the layout; both fit only by an unlikely accident of counts."""
    device = Device("wg0", private_key=A, public_key=B, listen_port=1, fwmark=2, peers=peers)
    data = reply(device, described=described)
    right = DESCRIBED if described else CLASSIC
    layouts = BOTH if expected else BOTH[::-1]
    if codec.layout_of(data, layouts) is right:
        assert read(data, layouts) == device
    assert read(data, (right, *layouts)) == device


@given(PEERS, st.data())
def test_a_damaged_reply_is_an_error_of_the_protocol_or_a_device(
    peers: list[Peer], data: st.DataObject
) -> None:
    whole = bytearray(reply(Device("wg0", peers=peers), described=data.draw(st.booleans())))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    for text in (bytes(whole), cut, bytes(whole) + b"\0" * data.draw(st.integers(0, 300))):
        assert_refused_or_read(partial(read, text))


@given(st.binary(max_size=1000))
def test_rubbish_is_an_error_of_the_protocol_or_a_device(data: bytes) -> None:
    for layout in BOTH:
        assert_refused_or_read(partial(codec.device, b"wg0", data, layout, zone_of=str))


@pytest.mark.parametrize("count", [2**64 - 1, 2**32, 5])
def test_counts_that_are_too_large_allocate_nothing(count: int) -> None:
    head = DESCRIBED.interface.pack(0, 0, 0, bytes(32), bytes(32), count)
    with pytest.raises(ProtocolError):
        read(head)
    peer = DESCRIBED.peer.pack(1, 1, bytes(32), b"", 0, b"", 0, 0, 0, 0, count)
    with pytest.raises(ProtocolError):
        read(DESCRIBED.interface.pack(0, 0, 0, b"", b"", 1) + peer)


@pytest.mark.parametrize(("family", "length"), [(10, 0), (2, 33), (24, 129), (2, -1), (0, 0)])
def test_allowed_ips_of_no_known_family_or_length_are_refused(family: int, length: int) -> None:
    data = DESCRIBED.interface.pack(0, 0, 0, b"", b"", 1)
    data += DESCRIBED.peer.pack(1, 1, bytes(32), b"", 0, b"", 0, 0, 0, 0, 1)
    with pytest.raises(ProtocolError):
        read(data + DESCRIBED.network.pack(family, length, b""))


def test_only_what_the_flags_say_is_there() -> None:
    data = DESCRIBED.interface.pack(0, 51820, 7, bytes(A), bytes(B), 1)
    data += DESCRIBED.peer.pack(
        0, 1, bytes(A), bytes(B), 25, b"\x10\x02" + b"A" * 14, 0, 0, 0, 0, 0
    )
    assert read(data) == Device("wg0", peers=[Peer(ZERO)])


def test_a_zero_psk_is_none_and_an_unknown_family_no_endpoint() -> None:
    data = DESCRIBED.interface.pack(0, 0, 0, b"", b"", 1)
    data += DESCRIBED.peer.pack(0xF, 1, bytes(A), b"", 0, b"\x10\x09" + b"A" * 14, 0, 0, 0, 0, 0)
    (peer,) = read(data).peers
    assert (peer.preshared_key, peer.endpoint, peer.keepalive) == (None, None, 0)


@pytest.mark.parametrize(
    "change",
    [
        DeviceChange(listen_port=65536),
        DeviceChange(listen_port=-1),
        DeviceChange(fwmark=2**32),
        DeviceChange(fwmark=-1),
        DeviceChange(peers=[PeerChange(A, keepalive=65536)]),
        DeviceChange(peers=[PeerChange(A, endpoint=Endpoint("192.0.2.1", 65536))]),
        DeviceChange(peers=[PeerChange(A, endpoint=Endpoint("example.org", 1))]),
        DeviceChange(peers=[PeerChange(A, endpoint=HostPort(b"::1", b"1", b"[::1]:1"))]),
        DeviceChange(peers=[PeerChange(A, allowed_ips=[AllowedIP(bytes(4), 33)])]),
        DeviceChange(peers=[PeerChange(A, allowed_ips=[AllowedIP(bytes(16), 129)])]),
        DeviceChange(peers=[PeerChange(A, allowed_ips=[AllowedIP(bytes(5), 1)])]),
        DeviceChange(peers=[PeerChange(A, allowed_ips=[AllowedIP(bytes(4), -1)])]),
    ],
)
def test_what_does_not_fit_never_reaches_a_kernel(change: DeviceChange) -> None:
    with pytest.raises(ValueError, match=r"."):
        pack(change)


def test_one_allowed_ip_cannot_be_taken_away() -> None:
    away = AllowedIP(bytes(4), 0, remove=True)
    with pytest.raises(AccessError, match="Operation not supported") as refusal:
        pack(DeviceChange(peers=[PeerChange(A, allowed_ips=[away])]))
    assert refusal.value.errno == errno.EOPNOTSUPP


def test_behind_every_peer_that_kernels_get_stuck_at_a_new_request_begins() -> None:
    gone, only, plain = PeerChange(A, remove=True), PeerChange(A, update_only=True), PeerChange(B)
    change = DeviceChange(listen_port=1, peers=[plain, gone, only, plain, plain, gone])
    assert codec.follow_ups(change) == [
        DeviceChange(peers=[only]),
        DeviceChange(peers=[plain, plain, gone]),
    ]
    assert codec.follow_ups(DeviceChange(peers=[plain, plain, gone])) == []
    assert codec.follow_ups(DeviceChange()) == []
