# SPDX-License-Identifier: MIT
"""The netlink backend's own promises: what survives the way over bytes, and real sockets."""

from __future__ import annotations

from errno import EPROTONOSUPPORT

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgtools.errors import AccessError
from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, Endpoint, PeerChange
from wgtools.testing.fake_kernel import FakeKernel
from wgtools.testing.memory_backend import MemoryBackend
from wgtools_backends.linux import Backend

keys = st.sampled_from([bytes(32), *(bytes([number]) * 32 for number in range(1, 6))]).map(Key)
peer_keys = keys.filter(lambda key: not key.is_zero)
networks = st.one_of(
    st.builds(AllowedIP, st.binary(min_size=4, max_size=4), st.integers(0, 32), st.booleans()),
    st.builds(AllowedIP, st.binary(min_size=16, max_size=16), st.integers(0, 128), st.booleans()),
)
ports = st.integers(0, 65535)
endpoints = st.sampled_from(
    [Endpoint("192.0.2.1", 1), Endpoint("2001:db8::1", 65535), Endpoint("fe80::1%lo", 51820)]
)


def many(items: list[AllowedIP]) -> list[AllowedIP]:
    """More than fits into a message."""
    return items * 120


peer_changes = st.builds(
    PeerChange,
    peer_keys,
    remove=st.booleans(),
    update_only=st.booleans(),
    preshared_key=st.none() | keys,
    endpoint=st.none() | endpoints,
    keepalive=st.none() | ports,
    replace_allowed_ips=st.booleans(),
    allowed_ips=st.lists(networks, max_size=6)
    | st.lists(networks, min_size=2, max_size=3).map(many),
)
changes = st.builds(
    DeviceChange,
    private_key=st.none() | keys,
    listen_port=st.none() | ports,
    fwmark=st.none() | st.integers(0, (1 << 32) - 1),
    replace_peers=st.booleans(),
    peers=st.lists(peer_changes, max_size=5),
)


@given(st.lists(changes, min_size=1, max_size=4), st.sampled_from([600, 4096, 32768]))
def test_over_netlink_a_change_means_what_it_means_in_memory(
    steps: list[DeviceChange], message_size: int
) -> None:
    behind, beside = MemoryBackend("wg0"), MemoryBackend("wg0")
    kernel = FakeKernel(behind)
    kernel.message_size = message_size
    wg = Backend(connect=kernel.connect)
    for change in steps:
        wg.set("wg0", change)
        beside.set("wg0", change)
        assert wg.get("wg0") == behind.get("wg0") == beside.get("wg0")
    assert kernel.opened == kernel.closed


def test_this_machines_kernel_is_asked() -> None:
    """Through real sockets; the outcome depends on whether the kernel has the module."""
    wg = Backend()
    assert wg.list() == [name for name in wg.list() if wg.exists(name)]
    with pytest.raises(AccessError) as raised:
        wg.get("lo")
    assert raised.value.message in (
        "Protocol not supported",  # no module
        "Operation not supported",  # no WireGuard device
        "Operation not permitted",  # no privilege
    )
    assert raised.value.hint
    if raised.value.errno == EPROTONOSUPPORT:
        assert "wgtools-engine" in raised.value.hint
