# SPDX-License-Identifier: MIT
"""Traffic between daemons: ours with ours and with wireguard-go, each in each role."""

from __future__ import annotations

import re
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tests.interop.hosts import C_WG, OUR_WG, OURS, WIREGUARD_GO, Host, wait_for
from tests.interop.tunnel import INNER4, INNER6, OUTER4, OUTER6, PORT, Tunnel, genpsk

Pair = tuple[Host, Host]

# Who speaks first, to whom.
KINDS = [
    pytest.param((OURS, OURS), id="ours-ours"),
    pytest.param((OURS, WIREGUARD_GO), id="ours-go"),
    pytest.param((WIREGUARD_GO, OURS), id="go-ours"),
]
MIXED = KINDS[1:]


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


def test_our_wg_drives_both(pair: Pair) -> None:
    tunnel = Tunnel(*pair)
    tunnel.up((OURS, WIREGUARD_GO), wg=OUR_WG)
    both_ways(tunnel)
    for host in pair:
        assert "latest handshake" in host.run(OUR_WG, "show", "wg0")


@pytest.mark.parametrize("kinds", KINDS)
def test_preshared_key(pair: Pair, kinds: tuple[str, str]) -> None:
    tunnel = Tunnel(*pair, psk=genpsk())
    tunnel.up(kinds)
    both_ways(tunnel)


@pytest.mark.parametrize("kinds", MIXED)
def test_other_preshared_key_lets_nothing_through(pair: Pair, kinds: tuple[str, str]) -> None:
    tunnel = Tunnel(*pair)
    tunnel.up(kinds)
    other = pair[0].path("psk", genpsk())
    pair[0].run(C_WG, "set", "wg0", "peer", tunnel.public[1], "preshared-key", other)
    assert pair[0].ping(INNER4[1], "-W", "1", count=1) == 0
    assert tunnel.handshakes(pair[0]) == 0


@pytest.mark.parametrize("kinds", KINDS)
def test_persistent_keepalive_speaks_first_and_goes_on(pair: Pair, kinds: tuple[str, str]) -> None:
    tunnel = Tunnel(*pair, keepalive=1)
    tunnel.up(kinds)
    wait_for("a handshake nobody asked for", lambda: tunnel.handshakes(pair[1]))
    before, _ = tunnel.transfer(pair[1])
    # Two more keepalives of 32 bytes; that they came is all that can be said without waiting long.
    wait_for("keepalives", lambda: tunnel.transfer(pair[1])[0] >= before + 64)


@pytest.mark.parametrize("kinds", KINDS)
def test_roaming_under_a_running_ping(pair: Pair, kinds: tuple[str, str]) -> None:
    a, _ = pair
    a.run("sysctl", "-qw", "net.ipv4.conf.all.promote_secondaries=1")
    tunnel = Tunnel(*pair)
    tunnel.up(kinds)
    assert a.ping(INNER4[1]) == 3
    ping = a.start("ping", "-n", "-c", "60", "-i", "0.1", "-W", "2", INNER4[1])
    assert ping.stdout is not None
    last = 1
    for new in (11, 12, 13):
        for _ in range(5):
            ping.stdout.readline()
        if kinds[0] == WIREGUARD_GO:
            # It clings to a lost source address (it minds EINVAL, not ENETUNREACH): another port.
            a.run(C_WG, "set", "wg0", "listen-port", str(PORT + new))
            wait_for_endpoint(tunnel, f"192.0.2.1:{PORT + new}")
            continue
        a.ip(f"addr add 192.0.2.{new}/24 dev eth0")
        a.ip(f"addr del 192.0.2.{last}/24 dev eth0")
        last = new
        wait_for_endpoint(tunnel, f"192.0.2.{new}:{PORT}")
    rest = ping.communicate(timeout=30)[0].decode()
    found = re.search(r"60 packets transmitted, (\d+) received", rest)
    assert found is not None
    assert int(found[1]) >= 54, rest  # a packet may be lost at each move, the tunnel may not


def wait_for_endpoint(tunnel: Tunnel, expected: str) -> None:
    wait_for(f"endpoint {expected}", lambda: tunnel.endpoint(tunnel.b) == expected)


@pytest.mark.parametrize("kinds", KINDS)
def test_peer_removed_under_load_and_back(pair: Pair, kinds: tuple[str, str]) -> None:
    a, b = pair
    tunnel = Tunnel(*pair)
    tunnel.up(kinds)
    assert a.ping(INNER4[1]) == 3
    for side in (0, 1):
        host = pair[side]
        port = str(5201 + side)  # a server whose client was killed is busy for a while
        b.start("iperf3", "-s", "-B", INNER4[1], "-p", port)
        listening = partial(b.run, "ss", "-Hltn", f"sport = {port}")
        wait_for("iperf3", listening)
        load = a.start("iperf3", "-c", INNER4[1], "-t", "30", "-p", port)
        wait_for_load(tunnel)
        host.run(C_WG, "set", "wg0", "peer", tunnel.public[1 - side], "remove")
        assert host.run(C_WG, "show", "wg0", "peers") == ""
        load.kill()
        load.wait()
        host.run(C_WG, "setconf", "wg0", host.path("again.conf", tunnel.conf(side)))
        if side == 1:
            # The listener knows no endpoint now, and its peer's session is one it has forgotten.
            a.run(C_WG, "set", "wg0", "peer", tunnel.public[1], "remove")
            a.run(C_WG, "setconf", "wg0", a.path("again.conf", tunnel.conf(0)))
        assert a.ping(INNER4[1]) == 3


def wait_for_load(tunnel: Tunnel) -> None:
    before = tunnel.transfer(tunnel.a)[1]
    wait_for("load", lambda: tunnel.transfer(tunnel.a)[1] > before + 5_000_000)


# ------------------------------------------------------------------ MTU


# 65456: with 32 bytes round it, the largest that still fits one UDP datagram.
@pytest.mark.parametrize("mtu", [1280, 1281, 1420, 1432, 9000, 65456])
def test_mtu_edges(pair: Pair, mtu: int) -> None:
    tunnel = Tunnel(*pair)
    tunnel.up((OURS, OURS), mtu=mtu)
    a = tunnel.a
    largest = mtu - 28
    for size in (largest, largest - 1, largest - 15, largest - 16, 0, 1):
        assert a.ping(INNER4[1], "-M", "do", "-s", str(size), count=1) == 1, size
    assert a.ping(INNER6[1], "-M", "do", "-s", str(mtu - 48), count=1) == 1
    assert a.ping(INNER4[1], "-M", "do", "-s", str(largest + 1), "-W", "1", count=1) == 0
    assert a.ping(INNER4[1], "-M", "dont", "-s", str(min(largest * 2, 65507)), count=1) == 1


def test_packet_that_fits_no_datagram_is_lost_and_nothing_else(pair: Pair) -> None:
    tunnel = Tunnel(*pair)
    tunnel.up((OURS, OURS), mtu=65535)
    assert tunnel.a.ping(INNER4[1], "-s", "65428", count=1) == 1
    assert tunnel.a.ping(INNER4[1], "-s", "65507", "-W", "1", count=2) == 0
    both_ways(tunnel)


@pytest.mark.parametrize("kinds", MIXED)
def test_full_sized_packets_with_wireguard_go(pair: Pair, kinds: tuple[str, str]) -> None:
    tunnel = Tunnel(*pair)
    tunnel.up(kinds)
    for size in range(1392 - 17, 1393):
        assert tunnel.a.ping(INNER4[1], "-M", "do", "-s", str(size), count=1) == 1, size


def test_mtu_changed_under_a_running_tunnel(pair: Pair) -> None:
    tunnel = Tunnel(*pair)
    tunnel.up((OURS, OURS))
    both_ways(tunnel)
    for mtu in (1280, 1500):
        for host in pair:
            host.ip(f"link set wg0 mtu {mtu}")
        assert tunnel.a.ping(INNER4[1], "-M", "do", "-s", str(mtu - 28)) == 3


def test_path_smaller_than_what_gso_sends(pair: Pair) -> None:
    tunnel = Tunnel(*pair)
    tunnel.up((OURS, OURS))
    for host in pair:
        host.ip("link set eth0 mtu 1300")
    a, b = pair
    b.start("iperf3", "-s", "-1", "-B", INNER4[1])
    wait_for("iperf3", lambda: ":5201" in b.run("ss", "-Hltn"))
    assert "receiver" in a.run("iperf3", "-c", INNER4[1], "-n", "20M")


# ------------------------------------------------------------------ addresses


def test_answers_leave_from_the_address_that_was_asked(pair: Pair) -> None:
    a, b = pair
    b.ip("addr add 192.0.2.99/24 dev eth0")
    tunnel = Tunnel(a, b, outer=("192.0.2.1", "192.0.2.99"))
    tunnel.up((OURS, OURS))
    assert a.ping(INNER4[1]) == 3
    assert tunnel.endpoint(a) == f"192.0.2.99:{PORT}"
    # That address goes: the listener may not go on using it, nor fall silent.
    b.ip("addr del 192.0.2.99/24 dev eth0")
    assert b.ping(INNER4[0], count=10) >= 8
    assert tunnel.endpoint(a) == f"192.0.2.2:{PORT}"


def test_link_local_endpoint(pair: Pair) -> None:
    a, b = pair
    shown = b.run("ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "link")
    found = re.search(r"fe80::[0-9a-f:]+", shown)
    assert found is not None
    wait_for("the address", lambda: "tentative" not in a.run("ip", "-6", "addr", "show", "eth0"))
    wait_for("the address", lambda: "tentative" not in b.run("ip", "-6", "addr", "show", "eth0"))
    tunnel = Tunnel(a, b, outer=("", f"{found[0]}%eth0"))
    tunnel.up((OURS, OURS))
    assert tunnel.endpoint(a) == f"[{found[0]}%eth0]:{PORT}"
    both_ways(tunnel)


def test_peer_cannot_move_into_its_own_tunnel(pair: Pair) -> None:
    """It moved, and every answer came out of the TUN again to be encrypted once more."""
    a, b = pair
    tunnel = Tunnel(a, b)
    a.daemon(OURS)
    tunnel.configure(0)
    keys = f"{tunnel.private[1]}\n{tunnel.public[0]}\n"
    b.run(sys.executable, str(Path(__file__).with_name("inside_out.py")), str(PORT), stdin=keys)
    wait_for("the message inside", lambda: tunnel.transfer(a)[0] > 148 + 32 + 80)
    a.ping(INNER4[1], "-W", "1", count=1)
    assert tunnel.endpoint(a) == f"192.0.2.2:{PORT}"
    assert tunnel.transfer(a)[1] < 10_000


def test_mark_is_on_what_is_sent(pair: Pair) -> None:
    a, b = pair
    tunnel = Tunnel(a, b)
    tunnel.up((OURS, OURS))
    both_ways(tunnel)
    a.run(C_WG, "set", "wg0", "fwmark", "0x77")
    a.ip("rule add fwmark 0x77 blackhole")
    assert a.ping(INNER4[1], "-W", "1", count=1) == 0
    a.run(C_WG, "set", "wg0", "fwmark", "off")
    assert a.ping(INNER4[1]) == 3


def test_port_changed_under_a_running_tunnel(pair: Pair) -> None:
    a, b = pair
    tunnel = Tunnel(a, b)
    tunnel.up((OURS, OURS))
    both_ways(tunnel)
    a.run(C_WG, "set", "wg0", "listen-port", "7777")
    assert a.run(C_WG, "show", "wg0", "listen-port") == "7777\n"
    assert a.ping(INNER4[1]) == 3
    assert tunnel.endpoint(b) == "192.0.2.1:7777"


def test_host_without_ipv6(pair: Pair) -> None:
    for host in pair:
        host.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        host.run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
    tunnel = Tunnel(*pair)
    for side, host in enumerate(pair):
        host.daemon(OURS)
        host.run(C_WG, "setconf", "wg0", host.path("wg0.conf", tunnel.conf(side)))
        host.ip(f"addr add {INNER4[side]}/24 dev wg0")
        host.ip("link set wg0 up")
    assert tunnel.a.ping(INNER4[1]) == 3


def test_down_and_up_again(pair: Pair) -> None:
    a, b = pair
    tunnel = Tunnel(a, b)
    tunnel.up((OURS, OURS))
    both_ways(tunnel)
    a.ip("link set wg0 down")
    wait_for("the port to close", lambda: f":{PORT}" not in a.run("ss", "-Hlun"))
    a.ip("link set wg0 up")
    a.ip(f"addr replace {INNER6[0]}/64 dev wg0 nodad")
    wait_for("the port to open", lambda: f":{PORT}" in a.run("ss", "-Hlun"))
    both_ways(tunnel)
