# SPDX-License-Identifier: MIT
"""What counts as a difference between a running interface and its file, and what does not."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface

import pytest

from wgtools.crypto.x25519 import public_key
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, DeviceChange, Endpoint, Peer, PeerChange
from wgtools.quick import drift, mends, plan
from wgtools.quick.drift import Live, Wanted
from wgtools.quick.live import Reading
from wgtools.quick.steps import Rule

A, B, C = (Key(bytes([n]) * 32) for n in (1, 2, 3))
HERE, THERE = Endpoint("192.0.2.1", 1), Endpoint("192.0.2.2", 2)


def nets(*texts: str) -> list[AllowedIP]:
    return [AllowedIP.parse(text) for text in texts]


def live(**more: object) -> Live:
    peers = [
        Peer(A, endpoint=HERE, allowed_ips=nets("10.5.0.0/16")),
        Peer(B, preshared_key=C, keepalive=25, allowed_ips=nets("10.6.0.0/16")),
    ]
    device = Device("wg0", private_key=C, listen_port=7, peers=peers)
    base = Live(
        device=device,
        mtu=1420,
        addresses=frozenset({"10.0.0.1/24"}),
        routes=frozenset({("10.5.0.0/16", 254), ("10.6.0.0/16", 254)}),
        rules=(),
        guards={},
        dns=((), ()),
    )
    return replace(base, **more)  # type: ignore[arg-type]  # fields by name


def file_peers() -> list[PeerChange]:
    return [
        PeerChange(A, allowed_ips=nets("10.5.0.0/16")),
        PeerChange(B, preshared_key=C, keepalive=25, allowed_ips=nets("10.6.0.1/16")),
    ]


def wanted(*peers: PeerChange, table: str = "auto", mark: int = 0, **more: object) -> Wanted:
    change = DeviceChange(private_key=C, peers=list(peers) or file_peers())
    networks = tuple(drift.owners(change.peers))
    running = plan.Running(mark=mark, spare_mark=51820, networks=networks, source_valid_mark=True)
    base = Wanted(
        change=change,
        endpoints={A: frozenset({HERE, THERE})},
        addresses=(ip_interface("10.0.0.1/24"),),
        mtu=None,
        routing=plan.routing(table, "wg0", running),
        dns=((), ()),
    )
    return replace(base, **more)  # type: ignore[arg-type]  # fields by name


def told(now: Live, file: Wanted) -> list[str]:
    return [f"{d.action} {d.subject} {d.name}".strip() for d in drift.compare(now, file)]


def test_what_the_file_leaves_open_is_no_difference() -> None:
    assert told(live(), wanted()) == []


def test_a_name_with_several_addresses_means_any_of_them() -> None:
    assert told(live(), wanted(endpoints={A: frozenset({THERE, HERE})})) == []
    assert told(live(), wanted(endpoints={A: frozenset({THERE})})) == [f"change peer {A.base64()}"]


def test_a_name_that_nobody_knows_is_left_alone() -> None:
    assert told(live(), wanted(endpoints={})) == []


@pytest.mark.parametrize(
    ("peers", "expected"),
    [
        (file_peers()[:1], [f"remove peer {B.base64()}", "remove route 10.6.0.0/16"]),
        (
            [*file_peers(), PeerChange(C, allowed_ips=nets("10.7.0.0/16"))],
            [f"add peer {C.base64()}", "add route 10.7.0.0/16"],
        ),
        (
            [file_peers()[0], PeerChange(B, allowed_ips=nets("10.6.0.0/16"))],
            [f"change peer {B.base64()}"],
        ),
    ],
    ids=["gone", "new", "without its key and keepalive"],
)
def test_peers(peers: list[PeerChange], expected: list[str]) -> None:
    assert told(live(), wanted(*peers)) == expected


def test_a_peer_that_is_this_side_itself_is_none() -> None:
    """WireGuard ignores it: as a difference it would never go away."""
    own = Key(public_key(bytes(C)))
    peers = [*file_peers(), PeerChange(own, allowed_ips=nets("10.5.0.0/16"))]
    change = DeviceChange(private_key=C, peers=peers)
    assert drift.own_key(live().device, change) == own
    assert drift.own_key(live().device, DeviceChange(peers=peers)) == own
    assert drift.own_key(live().device, DeviceChange(private_key=A, peers=peers)) is None
    assert drift.own_key(live().device, DeviceChange(peers=file_peers())) is None
    file = wanted(*peers, own=own)
    assert told(live(), file) == []
    assert [bool(remark.hint) for remark in drift.remarks(file.own)] == [True]
    assert drift.remarks(wanted().own) == []


def test_of_two_peers_with_a_network_the_later_has_it() -> None:
    both = [PeerChange(A, allowed_ips=nets("10.5.0.0/16", "10.6.0.0/16")), file_peers()[1]]
    assert told(live(), wanted(*both)) == []


def test_a_network_of_the_full_tunnel_brings_rules_and_a_guard() -> None:
    peers = [PeerChange(A, allowed_ips=nets("0.0.0.0/0")), file_peers()[1]]
    assert told(live(), wanted(*peers))[-5:] == [
        "add route 0.0.0.0/0 table 51820",
        "remove route 10.5.0.0/16",
        "add rule -4 not fwmark 51820 table 51820",
        "add rule -4 table main suppress_prefixlength 0",
        "add firewall the guard of the full tunnel",
    ]


FULL_RULES = (Rule(4, 32765, 51820), Rule(4, 32764))


def full(now: Live) -> Live:
    device = Device("wg0", private_key=C, fwmark=51820, peers=now.device.peers)
    device.peers[0].allowed_ips = nets("0.0.0.0/0")
    return replace(
        now,
        device=device,
        routes=frozenset({("0.0.0.0/0", 51820), ("10.6.0.0/16", 254)}),
        rules=FULL_RULES,
        guards={4: frozenset({"10.0.0.1"})},
    )


def test_a_full_tunnel_as_it_should_be() -> None:
    peers = [PeerChange(A, allowed_ips=nets("0.0.0.0/0")), file_peers()[1]]
    assert told(full(live()), wanted(*peers, mark=51820)) == []


def test_half_a_pair_of_rules_is_made_whole() -> None:
    peers = [PeerChange(A, allowed_ips=nets("0.0.0.0/0")), file_peers()[1]]
    now = replace(full(live()), rules=FULL_RULES[:1])
    assert told(now, wanted(*peers, mark=51820)) == [
        "add rule -4 not fwmark 51820 table 51820",
        "add rule -4 table main suppress_prefixlength 0",
        "remove rule -4 not fwmark 51820 table 51820",
    ]


def test_rules_of_another_tunnel_are_not_ours_to_mind() -> None:
    assert told(live(rules=(Rule(4, 32765, 51821), Rule(4, 32764))), wanted()) == []


def test_a_guard_follows_the_addresses() -> None:
    peers = [PeerChange(A, allowed_ips=nets("0.0.0.0/0")), file_peers()[1]]
    now = replace(full(live()), guards={4: frozenset({"10.9.9.9"})})
    assert told(now, wanted(*peers, mark=51820)) == ["change firewall the guard of the full tunnel"]
    assert told(replace(now, guards=None), wanted(*peers, mark=51820)) == []


def test_what_hooks_set_is_theirs() -> None:
    device = Device("wg0", private_key=C, fwmark=9, peers=live().device.peers)
    now = live(
        device=device,
        addresses=frozenset({"10.0.0.1/24", "10.8.0.1/24"}),
        routes=frozenset({("10.5.0.0/16", 254), ("10.6.0.0/16", 254), ("10.9.0.0/16", 254)}),
    )
    hooks = "ip addr add x; ip route add y; wg set wg0 fwmark 9"
    assert told(now, wanted(hooks=hooks)) == []
    assert told(now, wanted()) == [
        "change mark",
        "remove address 10.8.0.1/24",
        "remove route 10.9.0.0/16",
    ]


def test_mtu_dns_port_and_key() -> None:
    file = wanted(mtu=1300, dns=(("10.0.0.53",), ("example.org",)))
    file.change.listen_port, file.change.private_key = 8, A
    assert told(live(), file) == [
        "change private key",
        "change listen port",
        "change mtu",
        "change dns",
    ]
    assert told(live(dns=None), wanted(dns=(("10.0.0.53",), ()))) == []


def test_no_difference_shows_a_secret() -> None:
    file = wanted(PeerChange(B, preshared_key=A, allowed_ips=nets("10.6.0.0/16")))
    file.change.private_key = A
    shown = repr(drift.compare(live(), file)).replace(f"name='{A.base64()}'", "")
    assert "(hidden)" in shown
    assert A.base64() not in shown
    assert C.base64() not in shown


def test_reload_sends_only_what_differs_of_a_peer() -> None:
    change = PeerChange(B, preshared_key=C, keepalive=10, allowed_ips=nets("10.6.0.0/16"))
    (step,) = mends.device_steps("wg0", Reading(live(), wanted(file_peers()[0], change)))
    assert isinstance(step, mends.Mend)
    assert step.do == mends.Amend("wg0", DeviceChange(peers=[PeerChange(B, keepalive=10)]))
    assert step.back == mends.Amend("wg0", DeviceChange(peers=[PeerChange(B, keepalive=25)]))


def test_reload_removes_peers_last_and_could_bring_them_back() -> None:
    reading = Reading(live(), wanted(file_peers()[0]))
    assert mends.device_steps("wg0", reading) == []
    (step,) = mends.leaving_steps("wg0", reading)
    assert isinstance(step, mends.Mend)
    assert step.do == mends.Amend("wg0", DeviceChange(peers=[PeerChange(B, remove=True)]))
    assert isinstance(step.back, mends.Amend)
    (back,) = step.back.change.peers
    assert (back.preshared_key, back.keepalive) == (C, 25)
    assert [str(network) for network in back.allowed_ips] == ["10.6.0.0/16"]
