# SPDX-License-Identifier: MIT
"""Hosts that lack something: a warning and the rest works, or an error where it would leak."""

from __future__ import annotations

import pytest

from tests.interop.test_wg_quick import FULL, bash, exits, file, leftovers, play, quick

NO_DNS = FULL.replace("DNS = 10.0.0.53\n", "")
V6_OFF = "sysctl -qw net.ipv6.conf.default.disable_ipv6=1"
ALL_OFF = "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1"
STRICT = {"WG_QUICK_STRICT": "1"}


def test_a_full_tunnel_of_both_families_without_ipv6_has_the_other() -> None:
    steps = [quick("up"), quick("down"), quick("up", env=STRICT)]
    results = play(steps, file(NO_DNS), net={"v6": False, "setup": [ALL_OFF]})
    up, down, strict = results
    assert exits(results) == [0, 0, 1], up["stderr"]
    (warning,) = [line for line in up["stderr"].splitlines() if "disable_ipv6" in line]
    assert "not in force on `wg0': fd00::1/64, ::/0" in warning
    assert up["state"]["lookups"]["203.0.113.77"] == "wg0"
    assert not up["state"]["rules6"]
    assert not up["state"]["routes6"]
    assert leftovers(down) == {}
    assert leftovers(strict) == {}


@pytest.mark.parametrize("networks", ["::/0", "0.0.0.0/0, fd05::/48"])
def test_networks_that_would_leave_in_the_clear_are_an_error(networks: str) -> None:
    text = NO_DNS.replace("0.0.0.0/0, ::/0", networks)
    (result,) = play([quick("up")], file(text), net={"setup": [V6_OFF]})
    assert result["exit"] == 1
    assert "would leave outside of the tunnel" in result["stderr"]
    assert "disable_ipv6=0" in result["stderr"]
    assert "[#]" not in result["stderr"]
    assert leftovers(result) == {}


def test_the_same_when_only_the_way_to_the_peer_shows_it() -> None:
    results = play([quick("up"), quick("down")], file(NO_DNS), net={"mtu": 1340})
    assert exits(results) == [1, 1]
    assert "an MTU of 1260 is below the 1280 that IPv6 needs" in results[0]["stderr"]
    assert leftovers(results[0]) == {}


def test_an_address_alone_cannot_leak() -> None:
    text = NO_DNS.replace("0.0.0.0/0, ::/0", "0.0.0.0/0")
    results = play([quick("up"), quick("down")], file(text), net={"setup": [V6_OFF]})
    assert exits(results) == [0, 0], results[0]["stderr"]
    assert "not in force on `wg0': fd00::1/64" in results[0]["stderr"]
    assert leftovers(results[1]) == {}


def test_without_a_packet_filter_there_is_no_guard_but_a_tunnel() -> None:
    none = {"nft": False, "iptables": False}
    steps = [quick("up"), quick("down"), quick("up", env=STRICT), bash("ip link")]
    results = play(steps, file(NO_DNS), tools=none)
    assert exits(results) == [0, 0, 1, 0]
    assert "[!] there is no `nft': packets from outside" in results[0]["stderr"]
    assert "(install nftables)" in results[0]["stderr"]
    assert results[0]["state"]["lookups"]["203.0.113.77"] == "wg0"
    assert leftovers(results[1]) == {}
    assert leftovers(results[2]) == {}
