# SPDX-License-Identifier: MIT
"""Traffic between daemons: ours with ours and with wireguard-go, each in each role."""

from __future__ import annotations

import time

import pytest

from tests.interop.hosts import OURS, WIREGUARD_GO, Host
from tests.interop.tunnel import INNER4, INNER6, OUTER4, OUTER6, Tunnel

Pair = tuple[Host, Host]

# Who speaks first, to whom.
KINDS = [
    pytest.param((OURS, OURS), id="ours-ours"),
    pytest.param((OURS, WIREGUARD_GO), id="ours-go"),
    pytest.param((WIREGUARD_GO, OURS), id="go-ours"),
]


def both_ways(tunnel: Tunnel) -> None:
    """IPv4 and IPv6 inside, from both ends."""
    assert tunnel.a.ping(INNER4[1]) == 3
    assert tunnel.a.ping(INNER6[1]) == 3
    assert tunnel.b.ping(INNER4[0]) == 3
    assert tunnel.b.ping(INNER6[0]) == 3


@pytest.mark.parametrize("outer", [OUTER4, OUTER6], ids=["over-ipv4", "over-ipv6"])
@pytest.mark.parametrize("kinds", KINDS)
def test_ping(pair: Pair, kinds: tuple[str, str], outer: tuple[str, str]) -> None:
    tunnel = Tunnel(*pair, outer=outer)
    tunnel.up(kinds)
    both_ways(tunnel)
    for host in pair:
        assert time.time() - 30 < tunnel.handshakes(host) <= time.time() + 1
    (received_a, sent_a), (received_b, sent_b) = map(tunnel.transfer, pair)
    assert (received_a, sent_a) == (sent_b, received_b)  # nothing lost, counted alike
    assert sent_a >= 12 * 84
