# SPDX-License-Identifier: MIT
"""Sessions are replaced under running traffic and nothing is lost: in compressed time, and once
in real time."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.interop.hosts import OURS, WIREGUARD_GO, Host, cable
from tests.interop.tunnel import INNER4, Tunnel

SPEED = 40  # at which Rekey-After-Time is three seconds


def completed(host: Host) -> int:
    """How many handshakes its daemon has told of."""
    return host.log().count("Handshake completed")


def received(ping: subprocess.Popen[bytes], *, timeout: float) -> tuple[int, int]:
    """(sent, received), once it has ended."""
    out = ping.communicate(timeout=timeout)[0].decode()
    found = re.search(r"(\d+) packets transmitted, (\d+) received", out)
    assert found is not None, out
    return int(found[1]), int(found[2])


def test_rekeys_in_compressed_time_lose_nothing(pair: tuple[Host, Host]) -> None:
    a, b = pair
    tunnel = Tunnel(a, b)
    tunnel.up((f"compressed:{SPEED}", f"compressed:{SPEED}"))
    assert a.ping(INNER4[1]) == 3
    ping = a.start("ping", "-n", "-c", "300", "-i", "0.05", "-W", "3", INNER4[1])
    assert received(ping, timeout=60) == (300, 300)
    # 15 seconds are 600: five sessions of 120, give or take the moment of the first.
    assert 4 <= completed(a) <= 7, a.log()
    assert completed(b) == completed(a), b.log()


def test_session_without_traffic_is_not_renewed(pair: tuple[Host, Host]) -> None:
    a, b = pair
    tunnel = Tunnel(a, b)
    tunnel.up((f"compressed:{SPEED}", f"compressed:{SPEED}"))
    assert a.ping(INNER4[1]) == 3
    b.run("sleep", "10")  # 400 seconds: the session is over
    assert completed(a) == 1, a.log()
    assert a.ping(INNER4[1]) == 3
    assert completed(a) == 2, a.log()


@pytest.mark.slow
def test_rekey_in_real_time_loses_nothing(tmp_path: Path) -> None:
    """Three pairs side by side, for two minutes and a bit."""
    hosts: list[Host] = []
    try:
        tunnels = []
        for n, kinds in enumerate([(OURS, OURS), (OURS, WIREGUARD_GO), (WIREGUARD_GO, OURS)]):
            a, b = Host(f"a{n}", tmp_path), Host(f"b{n}", tmp_path)
            hosts += (a, b)
            cable(a, b)
            a.ip("addr add 192.0.2.1/24 dev eth0")
            b.ip("addr add 192.0.2.2/24 dev eth0")
            tunnels.append(Tunnel(a, b))
            tunnels[-1].up(kinds)
            assert a.ping(INNER4[1]) == 3
        firsts = [tunnel.handshakes(tunnel.a) for tunnel in tunnels]
        pings = [
            tunnel.a.start("ping", "-n", "-c", "680", "-i", "0.2", "-W", "3", INNER4[1])
            for tunnel in tunnels
        ]
        for ping in pings:
            assert received(ping, timeout=200) == (680, 680)
        for tunnel, first in zip(tunnels, firsts, strict=True):
            for host in (tunnel.a, tunnel.b):
                assert 115 <= tunnel.handshakes(host) - first <= 130
    finally:
        for host in hosts:
            host.close()
