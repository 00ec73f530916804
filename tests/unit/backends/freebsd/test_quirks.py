# SPDX-License-Identifier: MIT
"""Changes that FreeBSD's kernel would not carry out as they are meant."""

import itertools

import pytest

from wgtools.crypto.x25519 import public_key
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, DeviceChange, Peer, PeerChange
from wgtools.testing.entropy import FakeEntropy
from wgtools_backends.freebsd import quirks

ZERO = Key(bytes(32))
KNOWN = Key.from_entropy(bytes(32))
A, B, C = (Key(bytes([n]) * 32) for n in (0x0A, 0x0B, 0x0C))


def nets(*words: str) -> list[AllowedIP]:
    found = []
    for word in words:
        item = AllowedIP.parse(word.lstrip("-"))
        found.append(AllowedIP(item.address, item.length, word.startswith("-")))
    return found


def keyed(private: Key | None, *peers: Peer) -> Device:
    public = None if private is None else Key(public_key(bytes(private)))
    return Device("wg0", private_key=private, public_key=public, peers=list(peers))


def amended(device: Device, change: DeviceChange) -> quirks.Amended:
    return quirks.Amended(change, device, entropy=FakeEntropy(7))


def peer(key: Key, *words: str) -> Peer:
    return Peer(key, allowed_ips=nets(*words))


def wish(key: Key, *words: str, **more: bool) -> PeerChange:
    return PeerChange(key, allowed_ips=nets(*words), **more)  # type: ignore[arg-type]  # flags


@pytest.mark.parametrize(
    ("change", "must"),
    [
        (DeviceChange(), False),
        (DeviceChange(private_key=A, peers=[wish(A, "10.0.0.0/8")]), False),
        (DeviceChange(private_key=ZERO), True),
        (DeviceChange(peers=[wish(A, update_only=True)]), True),
        (DeviceChange(peers=[wish(A, "10.0.0.0/8"), wish(B, "-10.0.0.0/8")]), True),
    ],
)
def test_the_device_is_read_only_when_it_matters(change: DeviceChange, must: bool) -> None:
    assert quirks.must_read(change) is must


# --- a private key of zeros --------------------------------------------------------------


def test_where_there_is_no_key_none_is_sent() -> None:
    assert amended(keyed(None), DeviceChange(private_key=ZERO)).change == DeviceChange()


def test_where_there_is_one_it_gives_way_to_one_that_nobody_knows() -> None:
    sent = amended(keyed(A), DeviceChange(private_key=ZERO, listen_port=7)).change
    assert sent.listen_port == 7
    assert sent.private_key not in (None, A, ZERO, KNOWN)
    assert sent.private_key is not None
    assert sent.private_key == Key.from_entropy(bytes(sent.private_key))  # stays as it is
    other = quirks.Amended(DeviceChange(private_key=ZERO), keyed(A), entropy=FakeEntropy(8)).change
    assert other.private_key != sent.private_key


def test_that_one_is_shown_as_none_and_not_replaced_again() -> None:
    discarded = amended(keyed(A), DeviceChange(private_key=ZERO)).change.private_key
    device = keyed(discarded)
    assert amended(device, DeviceChange(private_key=ZERO)).change.private_key is None
    assert quirks.shown(device) == Device("wg0")


@pytest.mark.parametrize("key", [A, KNOWN, Key.from_entropy(bytes(A))])
def test_any_other_key_is_shown(key: Key) -> None:
    assert quirks.shown(keyed(key)).private_key == key


def test_a_key_that_is_not_zero_goes_out_as_it_is() -> None:
    assert amended(keyed(A), DeviceChange(private_key=B)).change.private_key == B


# --- update only -------------------------------------------------------------------------


def test_peers_to_be_updated_only_must_be_there() -> None:
    change = DeviceChange(
        peers=[
            wish(A, update_only=True),
            wish(B, update_only=True),  # not there
            wish(C),
            wish(C, update_only=True),  # just made
            wish(A, remove=True),
            wish(A, update_only=True),  # just removed
        ]
    )
    sent = amended(keyed(None, peer(A)), change).change
    assert [(each.public_key, each.remove) for each in sent.peers] == [
        *((A, False), (C, False), (C, False), (A, True))
    ]
    change.replace_peers = True
    sent = amended(keyed(None, peer(A)), change).change
    assert [each.public_key for each in sent.peers] == [C, C, A]


# --- removal of single allowed IPs -------------------------------------------------------


def test_what_another_peer_has_is_not_removed_lest_it_move() -> None:
    device = keyed(None, peer(A, "10.0.0.0/8"), peer(B))
    made = amended(device, DeviceChange(peers=[wish(B, "-10.1.2.3/8", "11.0.0.0/8")]))
    assert made.change.peers[0].allowed_ips == nets("11.0.0.0/8")
    assert made.gone == {}


def test_what_the_peer_has_or_nobody_has_is_removed_and_looked_for_afterwards() -> None:
    device = keyed(None, peer(A, "10.0.0.0/8", "fd00::/8"))
    made = amended(device, DeviceChange(peers=[wish(A, "-10.1.2.3/8", "-12.0.0.0/8")]))
    assert made.change.peers[0].allowed_ips == nets("-10.1.2.3/8", "-12.0.0.0/8")
    assert made.gone == {A: set(nets("10.0.0.0/8", "12.0.0.0/8"))}


def test_what_comes_back_in_the_same_change_is_not_missed() -> None:
    device = keyed(None, peer(A, "10.0.0.0/8"))
    made = amended(device, DeviceChange(peers=[wish(A, "-10.0.0.0/8", "10.0.0.0/8")]))
    assert made.gone == {A: set()}


def test_the_change_itself_moves_allowed_ips() -> None:
    device = keyed(None, peer(A, "10.0.0.0/8"), peer(B, "11.0.0.0/8"))
    change = DeviceChange(
        peers=[
            wish(B, "10.0.0.0/8"),
            wish(A, "-10.0.0.0/8"),  # B's by now
            wish(B, "-10.0.0.0/8"),
            wish(B, replace_allowed_ips=True),
            wish(A, "-11.0.0.0/8"),  # nobody's by now
            wish(B, remove=True),
        ]
    )
    made = amended(device, change)
    assert [each.allowed_ips for each in made.change.peers] == [
        *(nets("10.0.0.0/8"), [], nets("-10.0.0.0/8"), [], nets("-11.0.0.0/8"), [])
    ]
    assert made.gone == {B: set(nets("10.0.0.0/8")), A: set(nets("11.0.0.0/8"))}


def test_nothing_to_repair_when_all_is_gone() -> None:
    gone = {A: set(nets("10.0.0.0/8"))}
    assert quirks.repair(keyed(None, peer(A, "11.0.0.0/8"), peer(B, "10.0.0.0/8")), gone) is None


def test_what_is_still_there_is_removed_by_the_whole_list_in_its_order() -> None:
    gone = {A: set(nets("10.0.0.0/8"))}
    device = keyed(None, peer(A, "12.0.0.0/8", "10.0.0.0/8", "11.0.0.0/8"), peer(B))
    repair = quirks.repair(device, gone)
    assert repair == DeviceChange(
        peers=[wish(A, "11.0.0.0/8", "12.0.0.0/8", replace_allowed_ips=True)]
    )


def test_other_settings_of_a_peer_are_kept() -> None:
    change = PeerChange(A, preshared_key=B, keepalive=5, allowed_ips=nets("-10.0.0.0/8"))
    assert amended(keyed(None), DeviceChange(peers=[change])).change.peers == [change]


def test_many_peers_that_replace_their_allowed_ips_take_no_time_to_follow() -> None:
    keys = [Key(n.to_bytes(32, "big")) for n in range(1, 3001)]
    wishes = [wish(key, f"10.{n >> 8}.{n & 255}.0/24") for n, key in enumerate(keys)]
    for each in itertools.chain(wishes, wishes):
        each.replace_allowed_ips = True
    made = amended(keyed(A), DeviceChange(private_key=ZERO, peers=wishes + wishes))
    assert len(made.change.peers) == 6000
