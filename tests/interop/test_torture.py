# SPDX-License-Identifier: MIT
"""What a tunnel must bear, on hosts of namespaces: moves, small paths, tunnels in tunnels,
loops, settings changed under traffic.

Where wireguard-go bears it too it is asked as well: a test that it fails would ask for
something that nobody else does.
"""

from __future__ import annotations

import re
import time

import pytest

from tests.interop.hosts import C_WG, OURS, WIREGUARD_GO, Host, Hosts, cable, wait_for
from tests.interop.tunnel import INNER4, OUTER4, OUTER6, PORT, Tunnel, genkey, pubkey

Pair = tuple[Host, Host]
BOTH = [pytest.param((OURS, OURS), id="ours"), pytest.param((WIREGUARD_GO,) * 2, id="go")]
MIXED = [*BOTH[:1], pytest.param((OURS, WIREGUARD_GO), id="ours-go")]


def answered(host: Host, address: str, *words: str, count: int = 3) -> bool:
    return host.ping(address, *words, count=count) == count


# ------------------------------------------------------------------ moves


@pytest.mark.parametrize("kinds", MIXED)
def test_both_ends_move_by_turns(pair: Pair, kinds: tuple[str, str]) -> None:
    """Whoever has moved speaks, and the other follows: no end is the server."""
    tunnel = Tunnel(*pair)
    tunnel.up(kinds)
    assert answered(pair[0], INNER4[1])
    for number in range(10, 13):
        for side, (host, other) in enumerate((pair, pair[::-1])):
            if kinds[side] == WIREGUARD_GO:  # which clings to an address that is gone
                port = PORT + number
                host.run(C_WG, "set", "wg0", "listen-port", str(port))
                moved = f"192.0.2.{side + 1}:{port}"
            else:
                host.run("sysctl", "-qw", "net.ipv4.conf.all.promote_secondaries=1")
                host.ip(f"addr add 192.0.2.{number * 10 + side}/24 dev eth0")
                old = side + 1 if number == 10 else (number - 1) * 10 + side
                host.ip(f"addr del 192.0.2.{old}/24 dev eth0")
                moved = f"192.0.2.{number * 10 + side}:{PORT}"
            assert host.ping(INNER4[1 - side], count=5) >= 4
            assert tunnel.endpoint(other) == moved
            assert answered(other, INNER4[side])


@pytest.mark.parametrize("kinds", BOTH)
def test_from_ipv4_to_ipv6_and_back(pair: Pair, kinds: tuple[str, str]) -> None:
    a, b = pair
    tunnel = Tunnel(a, b)
    tunnel.up(kinds)
    assert answered(a, INNER4[1])
    for there, here in ((OUTER6[1], OUTER6[0]), (OUTER4[1], OUTER4[0])):
        shown = [f"[{host}]:{PORT}" if ":" in host else f"{host}:{PORT}" for host in (there, here)]
        a.run(C_WG, "set", "wg0", "peer", tunnel.public[1], "endpoint", shown[0])
        assert answered(a, INNER4[1])
        assert tunnel.endpoint(b) == shown[1]
        assert answered(b, INNER4[0])


def test_source_that_goes_and_comes_back(pair: Pair) -> None:
    """The listener answers from where it was asked, while that address is its own."""
    a, b = pair
    b.ip("addr add 192.0.2.99/24 dev eth0")
    tunnel = Tunnel(a, b, outer=("192.0.2.1", "192.0.2.99"))
    tunnel.up((OURS, OURS))
    ping = b.start("ping", "-n", "-c", "60", "-i", "0.1", "-W", "2", INNER4[0])
    assert answered(a, INNER4[1])
    for _ in range(2):
        assert tunnel.endpoint(a) == f"192.0.2.99:{PORT}"
        b.ip("addr del 192.0.2.99/24 dev eth0")
        wait_for("the move", lambda: tunnel.endpoint(a) == f"192.0.2.2:{PORT}")
        b.ip("addr add 192.0.2.99/24 dev eth0")
        a.run(C_WG, "set", "wg0", "peer", tunnel.public[1], "endpoint", f"192.0.2.99:{PORT}")
        assert answered(a, INNER4[1])
    rest = ping.communicate(timeout=30)[0].decode()
    found = re.search(r"60 packets transmitted, (\d+) received", rest)
    assert found is not None
    assert int(found[1]) >= 50, rest


# ------------------------------------------------------------------ sizes


def fragments(host: Host) -> int:
    """IPv4 fragments that this host has made."""
    names, numbers = (
        line.split()[1:]
        for line in host.run("cat", "/proc/net/snmp").splitlines()
        if line.startswith("Ip:")
    )
    return int(numbers[names.index("FragCreates")])


@pytest.mark.parametrize("kinds", BOTH)
def test_padding_never_makes_a_packet_that_must_be_cut(pair: Pair, kinds: tuple[str, str]) -> None:
    """The path carries exactly a full packet of the tunnel: 1,420 and 60 round it."""
    for host in pair:
        host.ip("link set eth0 mtu 1480")
    tunnel = Tunnel(*pair)
    tunnel.up(kinds)
    assert answered(tunnel.a, INNER4[1])
    before = fragments(tunnel.a)
    for size in range(1420 - 28 - 17, 1420 - 28 + 1):
        assert answered(tunnel.a, INNER4[1], "-M", "do", "-s", str(size), count=1), size
    assert fragments(tunnel.a) == before


@pytest.mark.parametrize("kinds", BOTH)
def test_cut_outside_and_cut_inside(pair: Pair, kinds: tuple[str, str]) -> None:
    for host in pair:
        host.ip("link set eth0 mtu 600")
    tunnel = Tunnel(*pair)
    tunnel.up(kinds)
    for size in (500, 572, 1200, 1392, 1393, 4000, 20000):
        assert answered(tunnel.a, INNER4[1], "-M", "dont", "-s", str(size), count=2), size
    assert fragments(tunnel.a) > 20


# ------------------------------------------------------------------ tunnels in tunnels, loops


@pytest.mark.parametrize("kinds", BOTH)
def test_tunnel_through_a_tunnel(pair: Pair, kinds: tuple[str, str]) -> None:
    outer = Tunnel(*pair)
    outer.up(kinds)
    private = genkey(), genkey()
    for side, host in enumerate(pair):
        host.daemon(kinds[side], "wg1")
        words = ["listen-port", "7777", "private-key", host.path("wg1", private[side])]
        words += ["peer", pubkey(private[1 - side]), "allowed-ips", "10.78.0.0/24"]
        if side == 0:
            words += ["endpoint", f"{INNER4[1]}:7777"]
        host.run(C_WG, "set", "wg1", *words)
        host.ip(f"addr add 10.78.0.{side + 1}/24 dev wg1")
        host.ip("link set wg1 mtu 1360")
        host.ip("link set wg1 up")
    wait_for("the port", lambda: ":7777" in pair[1].run("ss", "-Hlun"))
    a, b = pair
    assert answered(a, "10.78.0.2")
    assert answered(a, "10.78.0.2", "-M", "do", "-s", "1332")
    b.start("iperf3", "-s", "-1", "-B", "10.78.0.2")
    wait_for("iperf3", lambda: ":5201" in b.run("ss", "-Hltn"))
    assert "receiver" in a.run("iperf3", "-c", "10.78.0.2", "-n", "10M")


def test_endpoint_routed_into_its_own_tunnel(pair: Pair) -> None:
    """All but the first wrapping is refused, and when the route is right again all is well."""
    a, b = pair
    tunnel = Tunnel(a, b)
    tunnel.up((OURS, OURS))
    assert answered(a, INNER4[1])
    allow = ("peer", tunnel.public[1], "allowed-ips", "0.0.0.0/0")
    a.run(C_WG, "set", "wg0", *allow)
    a.ip("route add 192.0.2.2/32 dev wg0")
    before = tunnel.transfer(a)[1]
    assert a.ping(INNER4[1], "-W", "1", count=5) == 0
    assert tunnel.transfer(a)[1] - before < 5 * 128 + 2 * 148 + 128
    a.ip("route del 192.0.2.2/32 dev wg0")
    assert answered(a, INNER4[1])


def test_two_peers_in_each_others_networks(pair: Pair) -> None:
    """Packets for one are carried by the other: a loop through both."""
    a, b = pair
    private = genkey(), genkey(), genkey()
    a.daemon(OURS)
    for number, name in ((1, "wg0"), (2, "wg1")):
        b.daemon(OURS, name)
        peer = ("peer", pubkey(private[0]), "allowed-ips", "10.77.0.1/32")
        key = ("private-key", b.path(name, private[number]))
        b.run(C_WG, "set", name, "listen-port", str(7000 + number), *key, *peer)
        b.ip(f"link set {name} up")
    a.run(C_WG, "set", "wg0", "private-key", a.path("wg0", private[0]))
    for number in (1, 2):
        words = ["peer", pubkey(private[number]), "allowed-ips", f"10.77.0.{number + 1}/32"]
        a.run(C_WG, "set", "wg0", *words, "endpoint", f"192.0.2.2:{7000 + number}")
    a.ip("addr add 10.77.0.1/24 dev wg0")
    a.ip("link set wg0 up")

    def sent() -> int:
        lines = a.run(C_WG, "show", "wg0", "transfer").splitlines()
        return sum(int(line.split("\t")[2]) for line in lines)

    for number in (1, 2):
        a.ping(f"10.77.0.{number + 1}", "-W", "1", count=1)
    handshakes = a.run(C_WG, "show", "wg0", "latest-handshakes").splitlines()
    assert all(int(line.split("\t")[1]) for line in handshakes)
    for number in (1, 2):
        endpoint = f"10.77.0.{4 - number}:{7000 + number}"
        a.run(C_WG, "set", "wg0", "peer", pubkey(private[number]), "endpoint", endpoint)
    before = sent()
    for number in (1, 2):
        a.ping(f"10.77.0.{number + 1}", "-W", "1", count=3)
    assert sent() - before < 10_000


# ------------------------------------------------------------------ settings under traffic


@pytest.mark.parametrize("kinds", BOTH)
def test_port_of_another_interface_is_refused(host: Hosts, kinds: tuple[str, str]) -> None:
    one = host("a")
    for name in ("wg0", "wg1"):
        one.daemon(kinds[0], name)
    one.ip("link set wg0 up")
    one.run(C_WG, "set", "wg0", "listen-port", str(PORT))
    wait_for("the port", lambda: f":{PORT}" in one.run("ss", "-Hlun"))
    one.run(C_WG, "set", "wg1", "listen-port", "7777")
    one.ip("link set wg1 up")
    wait_for("the port", lambda: ":7777" in one.run("ss", "-Hlun"))
    done = one.call(C_WG, "set", "wg1", "listen-port", str(PORT))
    assert done.returncode == 1
    assert "Address already in use" in done.stderr
    if kinds[0] == WIREGUARD_GO:
        return  # what it does after that, it alone knows
    assert one.run(C_WG, "show", "wg1", "listen-port") == "7777\n"  # all of a change or nothing
    assert ":7777" in one.run("ss", "-Hlun")
    one.ip("link set wg0 down")
    wait_for("the port to be free", lambda: f":{PORT}" not in one.run("ss", "-Hlun"))
    one.run(C_WG, "set", "wg1", "listen-port", str(PORT))
    wait_for("the port", lambda: f":{PORT}" in one.run("ss", "-Hlun"))


@pytest.mark.parametrize("kinds", MIXED)
def test_private_key_changed_under_traffic(pair: Pair, kinds: tuple[str, str]) -> None:
    a, b = pair
    tunnel = Tunnel(a, b)
    tunnel.up(kinds)
    for round_ in range(3):
        assert answered(a, INNER4[1])
        ping = a.start("ping", "-n", "-c", "30", "-i", "0.1", "-W", "2", INNER4[1])
        old, fresh = tunnel.public[0], genkey()
        a.run(C_WG, "set", "wg0", "private-key", a.path(f"key{round_}", fresh))
        assert a.run(C_WG, "show", "wg0", "public-key").strip() == pubkey(fresh)
        tunnel.private = (fresh, tunnel.private[1])
        words = ("peer", old, "remove", "peer", pubkey(fresh), "allowed-ips", f"{INNER4[0]}/32")
        b.run(C_WG, "set", "wg0", *words)
        # The first initiation may have come before the other knew: then it is five seconds.
        wait_for("an answer", lambda: a.ping(INNER4[1], "-W", "1", count=1), seconds=15)
        ping.kill()
        ping.wait()


@pytest.mark.parametrize("kinds", BOTH)
def test_thousands_of_networks(pair: Pair, kinds: tuple[str, str]) -> None:
    """Every second address of a /19 and as many of IPv6: those that are listed, no others."""
    a, b = pair
    tunnel = Tunnel(a, b)
    tunnel.up(kinds)
    listed = [f"10.128.{n >> 7}.{n * 2 & 255}/32" for n in range(4096)]
    listed += [f"fd80::{n * 2 + 1:x}/128" for n in range(4096)]
    conf = tunnel.conf(0).replace("AllowedIPs = ", f"AllowedIPs = {', '.join(listed)}, ")
    begun = time.monotonic()
    a.run(C_WG, "setconf", "wg0", a.path("many.conf", conf))
    assert time.monotonic() - begun < 5.0
    shown = a.run(C_WG, "show", "wg0", "allowed-ips").split("\t")[1].split()
    assert set(listed) <= set(shown)
    assert len(shown) == len(listed) + 2
    for words in ("route add local 10.128.0.0/16 dev lo", "-6 route add local fd80::/64 dev lo"):
        b.ip(words)
    for words in ("route add 10.128.0.0/16 dev wg0", "-6 route add fd80::/64 dev wg0"):
        a.ip(words)
    for n in (0, 1, 127, 128, 2047, 4095):
        assert answered(a, f"10.128.{n >> 7}.{n * 2 & 255}", count=1), n
        assert answered(a, f"fd80::{n * 2 + 1:x}", count=1), n
    for n in (0, 4095):
        assert not a.ping(f"10.128.{n >> 7}.{(n * 2 & 255) + 1}", "-W", "1", count=1)
    assert not a.ping("fd80::2", "-W", "1", count=1)


@pytest.mark.parametrize("kind", [OURS, WIREGUARD_GO])
def test_networks_that_move_between_peers(pair: Pair, host: Hosts, kind: str) -> None:
    """One address, two peers who both have it: it answers who owns it at the moment."""
    a, b = pair
    c = host("c")
    cable(a, c, link="eth1")
    a.ip("addr add 198.51.100.1/24 dev eth1")
    c.ip("addr add 198.51.100.2/24 dev eth1")
    private = genkey(), genkey(), genkey()
    shared = "10.99.0.1"
    a.daemon(kind)
    a.run(C_WG, "set", "wg0", "private-key", a.path("key", private[0]))
    a.ip("addr add 10.77.0.1/24 dev wg0")
    a.ip("link set wg0 up")
    for number, (one, outer) in enumerate(((b, "192.0.2.2"), (c, "198.51.100.2")), 1):
        one.daemon(OURS)
        words = ["listen-port", str(PORT), "private-key", one.path("key", private[number])]
        words += ["peer", pubkey(private[0]), "allowed-ips", "10.77.0.1/32"]
        one.run(C_WG, "set", "wg0", *words)
        one.ip(f"addr add {shared}/32 dev wg0")
        one.ip("link set wg0 up")
        one.ip("route add 10.77.0.1/32 dev wg0")
        peer = ("peer", pubkey(private[number]), "endpoint", f"{outer}:{PORT}")
        a.run(C_WG, "set", "wg0", *peer, "allowed-ips", f"10.77.0.{number + 1}/32")
    a.ip(f"route add {shared}/32 dev wg0")
    wait_for("ports", lambda: all(f":{PORT}" in one.run("ss", "-Hlun") for one in (b, c)))

    def received(one: Host) -> int:
        return int(one.run(C_WG, "show", "wg0", "transfer").split("\t")[1])

    for turn in range(4):
        owner, other = (b, c) if turn % 2 else (c, b)
        number = 1 if owner is b else 2
        networks = f"10.77.0.{number + 1}/32,{shared}/32"
        a.run(C_WG, "set", "wg0", "peer", pubkey(private[number]), "allowed-ips", networks)
        before = received(other)
        assert answered(a, shared)
        assert received(other) == before
        shown = a.run(C_WG, "show", "wg0", "allowed-ips")
        assert shown.count(f"{shared}/32") == 1


def test_link_that_flaps_faster_than_anyone_looks(pair: Pair) -> None:
    a, b = pair
    tunnel = Tunnel(a, b)
    tunnel.up((OURS, OURS))
    for _ in range(3):
        assert answered(a, INNER4[1])
        downs = a.log().count("Interface down")
        script = "for i in 1 2 3 4 5; do ip link set wg0 down; ip link set wg0 up; done"
        a.run("sh", "-c", script)
        wait_for("the port", lambda: f":{PORT}" in a.run("ss", "-Hlun"))
        wait_for("it to be seen", lambda downs=downs: a.log().count("Interface down") > downs)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    assert answered(a, INNER4[1])
