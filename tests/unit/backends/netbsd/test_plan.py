# SPDX-License-Identifier: MIT
"""Changes as the operations that NetBSD knows."""

import errno
import plistlib
from typing import Any

import pytest

from wgtools.errors import AccessError
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, DeviceChange, Endpoint, HostPort, Peer, PeerChange
from wgtools_backends.netbsd import codec, plan

A, B, C, ZERO = Key(b"\x0a" * 32), Key(b"\x0b" * 32), Key(b"\x0c" * 32), Key(bytes(32))
TEN, ELEVEN = AllowedIP.parse("10.0.0.0/8"), AllowedIP.parse("11.0.0.0/8")
HOME = Endpoint("192.0.2.1", 51820)


def steps(
    change: DeviceChange, *peers: Peer, names: tuple[str, ...] | None = None, **device: Any
) -> list[tuple[int, dict[str, Any]]]:
    called = names or tuple("abc"[: len(peers)])
    state = codec.State(
        Device("wg0", peers=list(peers), **device),
        {peer.public_key: name for peer, name in zip(peers, called, strict=True)},
    )
    made = plan.operations(state, change, scope_of=int)
    return [(command, plistlib.loads(text.encode())) for command, text in made]


def test_nothing_is_nothing() -> None:
    assert steps(DeviceChange(), Peer(A)) == []
    clear = DeviceChange(listen_port=0, fwmark=0, peers=[PeerChange(A, keepalive=0)])
    assert steps(clear, Peer(A)) == []


def test_what_is_so_already_is_not_said_again() -> None:
    """`setconf` of what runs leaves every session in peace."""
    peer = PeerChange(A, preshared_key=B, endpoint=HOME, allowed_ips=[ELEVEN, TEN])
    change = DeviceChange(private_key=C, listen_port=7, replace_peers=True, peers=[peer])
    there = Peer(A, preshared_key=B, endpoint=HOME, allowed_ips=[TEN, ELEVEN])
    assert steps(change, there, private_key=Key.from_entropy(bytes(C)), listen_port=7) == []


def test_a_private_key_is_clamped_and_taken_away_by_zeros() -> None:
    assert steps(DeviceChange(private_key=Key(b"\xff" * 32))) == [
        (1, {"private_key": b"\xf8" + b"\xff" * 30 + b"\x7f"})
    ]
    assert steps(DeviceChange(private_key=ZERO)) == []
    assert steps(DeviceChange(private_key=ZERO), private_key=A) == [(1, {"private_key": bytes(32)})]


def test_the_order_of_operations() -> None:
    change = DeviceChange(private_key=C, listen_port=7, peers=[PeerChange(A, endpoint=HOME)])
    made = steps(change, Peer(A))
    assert [command for command, _ in made] == [1, 2, 8, 4]
    assert made[-1][1]["name"] == made[-2][1]["name"] == "a"


def test_a_changed_peer_keeps_what_was_not_spoken_of() -> None:
    there = Peer(A, preshared_key=B, endpoint=HOME, allowed_ips=[TEN])
    ((_, _), (_, again)) = steps(DeviceChange(peers=[PeerChange(A, allowed_ips=[ELEVEN])]), there)
    assert again["preshared_key"] == bytes(B)
    assert again["endpoint"][4:8] == b"\xc0\0\x02\x01"
    assert [each["ip"][0] for each in again["allowedips"]] == [10, 11]
    (_, (_, bare)) = steps(DeviceChange(peers=[PeerChange(A, preshared_key=ZERO)]), there)
    assert "preshared_key" not in bare


def test_a_network_that_moves_costs_both_peers_a_new_start() -> None:
    made = steps(
        DeviceChange(peers=[PeerChange(B, allowed_ips=[AllowedIP.parse("10.9.9.9/8")])]),
        Peer(A, allowed_ips=[TEN, ELEVEN]),
        Peer(B),
        Peer(C),
    )
    assert [command for command, _ in made] == [8, 8, 4, 4]
    networks = {each["name"]: [n["ip"] for n in each["allowedips"]] for _, each in made[2:]}
    assert networks == {"a": [ELEVEN.address], "b": [TEN.address]}


def test_host_bits_that_another_program_left_are_seen_through() -> None:
    """This kernel keeps them, and refuses the same network twice."""
    odd = AllowedIP.parse("10.1.2.3/8")
    same = DeviceChange(peers=[PeerChange(A, allowed_ips=[TEN])])
    assert steps(same, Peer(A, allowed_ips=[odd])) == []
    moved = DeviceChange(peers=[PeerChange(B, allowed_ips=[TEN])])
    assert [command for command, _ in steps(moved, Peer(A, allowed_ips=[odd]))] == [8, 4, 4]


def test_a_reply_with_a_network_twice_confuses_nobody() -> None:
    twice = (Peer(A, allowed_ips=[TEN, TEN]), Peer(B, allowed_ips=[TEN]))
    gone = [PeerChange(A, remove=True), PeerChange(B, replace_allowed_ips=True)]
    assert [command for command, _ in steps(DeviceChange(peers=gone), *twice)] == [8, 8, 4]


def test_removing() -> None:
    away = AllowedIP(TEN.address, TEN.length, remove=True)
    made = steps(
        DeviceChange(peers=[PeerChange(A, allowed_ips=[away]), PeerChange(C, remove=True)]),
        Peer(A, allowed_ips=[TEN]),
        Peer(B, allowed_ips=[ELEVEN]),
    )
    assert [command for command, _ in made] == [8, 4]
    assert "allowedips" not in made[1][1]
    foreign = DeviceChange(peers=[PeerChange(B, allowed_ips=[away])])
    assert steps(foreign, Peer(A, allowed_ips=[TEN]), Peer(B)) == []
    gone = DeviceChange(peers=[PeerChange(A, remove=True)])
    assert steps(gone, Peer(A, allowed_ips=[TEN])) == [(8, {"name": "a"})]


def test_a_peer_that_is_only_to_be_updated() -> None:
    change = DeviceChange(peers=[PeerChange(A, update_only=True, endpoint=HOME)])
    assert steps(change) == []
    assert len(steps(change, Peer(A))) == 2


def test_new_peers_are_called_by_their_keys_and_no_two_the_same() -> None:
    other = Key(bytes(A)[:12] + b"\xff" * 20)
    made = steps(DeviceChange(peers=[PeerChange(A), PeerChange(other)]))
    names = [each["name"] for _, each in made]
    assert names[0] == A.base64()[:16]
    assert names[1] in other.base64()
    assert len(set(names)) == 2
    taken = steps(DeviceChange(peers=[PeerChange(A)]), Peer(B), names=(A.base64()[:16],))
    assert taken[0][1]["name"] == A.base64()[1:17]


@pytest.mark.parametrize(
    "change",
    [PeerChange(A, remove=True), PeerChange(A, endpoint=HOME), PeerChange(A, allowed_ips=[TEN])],
)
def test_a_peer_without_a_name_can_only_stay(change: PeerChange) -> None:
    with pytest.raises(AccessError) as refusal:
        steps(DeviceChange(listen_port=7, peers=[change]), Peer(A), names=("",))
    assert refusal.value.errno == errno.EOPNOTSUPP
    assert "without" in refusal.value.hint
    assert steps(DeviceChange(listen_port=7), Peer(A), names=("",)) != []


def test_what_there_is_not_is_refused() -> None:
    for change in (DeviceChange(fwmark=1), DeviceChange(peers=[PeerChange(A, keepalive=25)])):
        with pytest.raises(AccessError) as refusal:
            steps(change)
        assert refusal.value.errno == errno.EOPNOTSUPP


def test_seventeen_allowed_ips_never_reach_the_kernel() -> None:
    many = [AllowedIP(bytes([10, number, 0, 0]), 16) for number in range(17)]
    assert len(steps(DeviceChange(peers=[PeerChange(A, allowed_ips=many[:16])]))) == 1
    with pytest.raises(AccessError, match="Argument list too long") as refusal:
        steps(DeviceChange(peers=[PeerChange(A, allowed_ips=many)]))
    assert "16 allowed IPs" in refusal.value.hint


@pytest.mark.parametrize(
    "change",
    [
        DeviceChange(listen_port=65536),
        DeviceChange(peers=[PeerChange(A, endpoint=Endpoint("example.org", 1))]),
        DeviceChange(peers=[PeerChange(A, endpoint=Endpoint("::1", 70000))]),
        DeviceChange(peers=[PeerChange(A, endpoint=HostPort(b"::1", b"1", b"[::1]:1"))]),
        DeviceChange(peers=[PeerChange(A, allowed_ips=[AllowedIP(bytes(4), 33)])]),
        DeviceChange(peers=[PeerChange(A, allowed_ips=[AllowedIP(bytes(3), 0)])]),
    ],
)
def test_what_does_not_fit_never_reaches_a_kernel(change: DeviceChange) -> None:
    with pytest.raises(ValueError, match=r"."):
        steps(change)
