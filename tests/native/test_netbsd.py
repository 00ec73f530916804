# SPDX-License-Identifier: MIT
"""A real NetBSD: wg(4), whose kernel takes less than others' and shows less."""

from __future__ import annotations

from tests.native.machine import kernel_device, keys, wg


def test_settings_of_the_kernel() -> None:
    private, public = keys()
    _, peer = keys()
    with kernel_device("wg240") as name:
        wg("set", name, "private-key", "/dev/stdin", "listen-port", "51983", data=private)
        wg("set", name, "peer", peer, "allowed-ips", "10.203.7.0/24", "endpoint", "127.0.0.1:51984")
        device, row = [line.split("\t") for line in wg("show", name, "dump").splitlines()]
        assert device[:3] == [private.strip(), public, "51983"]
        assert row[0] == peer
        assert row[2:4] == ["127.0.0.1:51984", "10.203.7.0/24"]
        wg("set", name, "peer", peer, "remove")
        assert wg("show", name, "peers") == ""
