# SPDX-License-Identifier: MIT
"""setconf and syncconf as changes (WG_COMPAT 7)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wgtools.conf.diff import difference, replacing
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, DeviceChange, Endpoint, Peer, PeerChange
from wgtools.testing.memory_backend import MemoryBackend

ZERO = Key(bytes(32))
A, B, C = (Key(bytes([n]) * 32) for n in (1, 2, 3))


def test_replacing_clears_what_the_file_lacks() -> None:
    assert replacing(DeviceChange()) == DeviceChange(
        private_key=ZERO, listen_port=0, fwmark=0, replace_peers=True
    )
    full = DeviceChange(private_key=A, listen_port=1, fwmark=2, peers=[PeerChange(B)])
    assert replacing(full) == DeviceChange(
        private_key=A, listen_port=1, fwmark=2, replace_peers=True, peers=[PeerChange(B)]
    )


def test_without_peers_on_either_side_it_is_setconf() -> None:
    wanted = DeviceChange(peers=[PeerChange(A)])
    assert difference(wanted, Device("wg0")) == replacing(wanted)
    assert difference(DeviceChange(), Device("wg0", peers=[Peer(A)])).replace_peers


def test_removals_come_first_highest_key_first() -> None:
    running = Device("wg0", peers=[Peer(A), Peer(C), Peer(B)])
    change = difference(DeviceChange(peers=[PeerChange(B)]), running)
    assert not change.replace_peers
    assert change.peers == [
        PeerChange(C, remove=True),
        PeerChange(A, remove=True),
        PeerChange(B),
    ]


def test_a25_only_what_the_file_lacks_and_the_device_has_is_cleared() -> None:
    running = Device("wg0", peers=[Peer(A, preshared_key=B, keepalive=5), Peer(B)])
    wanted = DeviceChange(peers=[PeerChange(A), PeerChange(B), PeerChange(C)])
    change = difference(wanted, running)
    assert change.peers == [
        PeerChange(A, preshared_key=ZERO, keepalive=0),
        PeerChange(B),
        PeerChange(C),
    ]
    given_both = DeviceChange(peers=[PeerChange(A, preshared_key=C, keepalive=9)])
    assert difference(given_both, running).peers[1:] == [
        PeerChange(A, preshared_key=C, keepalive=9)
    ]


def test_repeated_keys() -> None:
    # All but the device's last entry count as absent; the file's first is amended.
    running = Device("wg0", peers=[Peer(A, keepalive=1), Peer(A), Peer(A, keepalive=3)])
    wanted = DeviceChange(peers=[PeerChange(A), PeerChange(A)])
    assert difference(wanted, running).peers == [
        PeerChange(A, remove=True),
        PeerChange(A, remove=True),
        PeerChange(A, keepalive=0),
        PeerChange(A),
    ]


KEYS = st.sampled_from([Key(bytes([n]) * 32) for n in range(1, 6)])
NETS = st.lists(st.integers(0, 9).map(lambda n: AllowedIP(bytes([10, n, 0, 0]), 16)), max_size=2)
WANTED = st.builds(
    DeviceChange,
    private_key=st.none() | KEYS,
    listen_port=st.none() | st.integers(0, 9),
    fwmark=st.none() | st.integers(0, 9),
    peers=st.lists(
        st.builds(
            PeerChange,
            KEYS,
            preshared_key=st.none() | KEYS | st.just(ZERO),
            keepalive=st.none() | st.integers(0, 9),
            endpoint=st.none() | st.just(Endpoint("192.0.2.1", 1)),
            allowed_ips=NETS,
            replace_allowed_ips=st.just(True),
        ),
        max_size=4,
        unique_by=lambda peer: bytes(peer.public_key),
    ),
)


@given(WANTED, WANTED)
def test_syncing_ends_where_setting_ends_but_for_endpoints(
    before: DeviceChange, wanted: DeviceChange
) -> None:
    device = MemoryBackend("set", "sync")
    for name in device.list():
        device.set(name, replacing(before))
    device.set("set", replacing(wanted))
    device.set("sync", difference(wanted, device.get("sync")))
    by_set, by_sync = device.get("set"), device.get("sync")
    assert (by_sync.private_key, by_sync.listen_port, by_sync.fwmark) == (
        by_set.private_key,
        by_set.listen_port,
        by_set.fwmark,
    )

    def settings(of: Device) -> dict[bytes, object]:
        return {
            bytes(p.public_key): (p.preshared_key, p.keepalive, sorted(map(str, p.allowed_ips)))
            for p in of.peers
        }

    assert settings(by_sync) == settings(by_set)
