# SPDX-License-Identifier: MIT
"""A tunnel whose one end is behind a NAT that forgets: nftables in a namespace of its own.

inside 10.1.0.2 -- 10.1.0.1 nat 192.0.2.254 -- 192.0.2.2 outside
"""

from __future__ import annotations

import shutil
import time

import pytest

from tests.interop.hosts import OURS, WIREGUARD_GO, Host, Hosts, cable, wait_for
from tests.interop.tunnel import INNER4, Tunnel

pytestmark = pytest.mark.skipif(shutil.which("nft") is None, reason="nft is not installed")

RULES = """
table ip nat {
  chain postrouting {
    type nat hook postrouting priority srcnat;
    oifname "eth1" masquerade fully-random
  }
}
table ip filter {
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname "eth1" ct state new drop
  }
}
"""
KINDS = [pytest.param((OURS, OURS), id="ours"), pytest.param((WIREGUARD_GO,) * 2, id="go")]


@pytest.fixture
def behind(host: Hosts) -> tuple[Host, Host, Host]:
    """(inside, nat, outside)."""
    inside, nat, outside = host("inside"), host("nat"), host("outside")
    cable(inside, nat)
    cable(nat, outside, link="eth1")
    inside.ip("addr add 10.1.0.2/24 dev eth0")
    inside.ip("route add default via 10.1.0.1")
    nat.ip("addr add 10.1.0.1/24 dev eth0")
    nat.ip("addr add 192.0.2.254/24 dev eth1")
    nat.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    outside.ip("addr add 192.0.2.2/24 dev eth1")
    nat.run("nft", "-f", nat.path("rules", RULES))
    return inside, nat, outside


def forgets_after(nat: Host, seconds: int) -> None:
    for name in ("udp_timeout", "udp_timeout_stream"):
        nat.run("sysctl", "-qw", f"net.netfilter.nf_conntrack_{name}={seconds}")


@pytest.mark.parametrize("kinds", KINDS)
def test_mapping_that_expires(behind: tuple[Host, Host, Host], kinds: tuple[str, str]) -> None:
    """Outside cannot reach inside any more, until inside speaks: from another port."""
    inside, nat, outside = behind
    forgets_after(nat, 1)
    tunnel = Tunnel(inside, outside)
    tunnel.up(kinds)
    ports = set()
    for _ in range(3):
        assert inside.ping(INNER4[1]) == 3
        assert outside.ping(INNER4[0]) == 3
        endpoint = tunnel.endpoint(outside)
        assert endpoint.startswith("192.0.2.254:")
        ports.add(endpoint)
        time.sleep(2.2)  # the mapping's second, and the kernel's for looking
        # For this probe the door is shut; wireguard-go may have a keepalive to send, ours too.
        outside.ping(INNER4[0], "-W", "1", count=1)
    assert inside.ping(INNER4[1]) == 3
    assert len(ports) > 1


@pytest.mark.parametrize("kinds", KINDS)
def test_persistent_keepalive_keeps_the_door_open(
    behind: tuple[Host, Host, Host], kinds: tuple[str, str]
) -> None:
    inside, nat, outside = behind
    forgets_after(nat, 3)
    tunnel = Tunnel(inside, outside, keepalive=1)
    tunnel.up(kinds)
    wait_for("a handshake", lambda: tunnel.handshakes(outside))
    before = tunnel.endpoint(outside)
    time.sleep(5)  # longer than the mapping lives, with nobody saying a word
    assert outside.ping(INNER4[0]) == 3
    assert tunnel.endpoint(outside) == before


def test_nat_that_loses_all_it_knew(behind: tuple[Host, Host, Host]) -> None:
    """As after a restart of the router, under a running ping from outside."""
    inside, nat, outside = behind
    tunnel = Tunnel(inside, outside, keepalive=1)
    tunnel.up((OURS, OURS))
    assert inside.ping(INNER4[1]) == 3
    first = tunnel.endpoint(outside)
    ping = outside.start("ping", "-n", "-c", "80", "-i", "0.1", "-W", "2", INNER4[0])
    # Another pool of ports, and nothing left of what was: every flow must begin anew.
    nat.run("nft", "flush", "ruleset")
    forgets_after(nat, 1)
    for link in ("eth0", "eth1"):  # what comes from outside would keep the mapping too
        nat.ip(f"link set {link} down")
    time.sleep(2.5)
    forgets_after(nat, 30)  # else the new one could go again between two keepalives
    nat.run("nft", "-f", nat.path("rules", RULES))
    for link in ("eth0", "eth1"):
        nat.ip(f"link set {link} up")

    def has_another_mapping() -> bool:
        # Without rules the NAT lets the address of inside through, until its links are down.
        endpoint = tunnel.endpoint(outside)
        return endpoint != first and endpoint.startswith("192.0.2.254:")

    wait_for("another mapping", has_another_mapping)
    assert outside.ping(INNER4[0]) == 3
    ping.kill()
    ping.wait()
