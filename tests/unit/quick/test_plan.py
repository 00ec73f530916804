# SPDX-License-Identifier: MIT
"""What up and down decide, given facts (WG_QUICK_COMPAT sections 4, 5, 8 to 11)."""

from __future__ import annotations

import pytest

from wgtools.conf.document import Document
from wgtools.conf.quickfile import QuickFile
from wgtools.model import DeviceChange
from wgtools.quick import plan, steps
from wgtools.quick.plan import Running
from wgtools.quick.steps import (
    AddFirewall,
    AddRoutes,
    AddRule,
    Configure,
    DeleteLink,
    DeleteRule,
    MakeLink,
    RemoveDNS,
    RemoveFirewall,
    Route,
    Rule,
    RunHook,
    Save,
    SetDNS,
    SetMark,
    SetSourceValidMark,
    Step,
)

FULL = """[Interface]
Address = 10.0.0.1/24, fd00::1/64
DNS = 10.0.0.53, example.org
PreUp = one %i %%i
PreUp = two
PostUp = up %i
PreDown = down %i
PostDown = gone
SaveConfig = true
"""


def config(text: str = FULL) -> QuickFile:
    return QuickFile(Document(text.encode()))


def shown(steps: list[Step]) -> list[str]:
    return [line for step in steps for line in step.shown]


def test_birth_runs_preup_on_a_link_without_keys() -> None:
    change = DeviceChange()
    assert plan.birth(config(), "wg0", change) == [
        MakeLink("wg0"),
        RunHook("one wg0 %wg0", "PreUp"),
        RunHook("two", "PreUp"),
        Configure("wg0", change),
    ]


def test_addresses_come_before_the_link_is_up_and_dns_after() -> None:
    words = plan.dns_step(config(), "tun.wg0", "resolvconf")
    steps = plan.addressing(config(), "wg0", mtu=1420, dns=words)
    assert shown(steps) == [
        "ip -4 address add 10.0.0.1/24 dev wg0",
        "ip -6 address add fd00::1/64 dev wg0",
        "ip link set mtu 1420 up dev wg0",
        "resolvconf -a tun.wg0 -m 0 -x",
    ]
    assert steps[-1] == SetDNS("tun.wg0", ("10.0.0.53",), ("example.org",))


@pytest.mark.parametrize(
    ("method", "taken"),
    [("resolvconf", False), ("resolved", True), ("file", True), ("none", False)],
)
def test_search_domains_alone_go_where_they_have_a_meaning(method: str, taken: bool) -> None:
    step = plan.dns_step(config("[Interface]\nDNS = example.org\n"), "wg0", method)
    assert step == (SetDNS("wg0", (), ("example.org",), method) if taken else None)
    assert plan.dns_step(config("[Interface]\n"), "wg0", method) is None


def test_addresses_that_cannot_be_had_are_left_out() -> None:
    steps = plan.addressing(config(), "wg0", mtu=1200, dns=None, ipv6=False)
    assert shown(steps) == [
        "ip -4 address add 10.0.0.1/24 dev wg0",
        "ip link set mtu 1200 up dev wg0",
    ]


@pytest.mark.parametrize(
    ("domains", "words", "default"),
    [
        ((), ("~.",), "true"),
        (("example.org",), ("example.org", "~."), "true"),
        (("~corp.example", "example.org"), ("~corp.example", "example.org"), "false"),
    ],
)
def test_resolved_gets_all_names_unless_routing_domains_say_which(
    domains: tuple[str, ...], words: tuple[str, ...], default: str
) -> None:
    assert steps.resolvectl_calls("wg0", ("10.0.0.53",), domains) == (
        ("resolvectl", "dns", "wg0", "10.0.0.53"),
        ("resolvectl", "domain", "wg0", *words),
        ("resolvectl", "default-route", "wg0", default),
    )
    assert steps.resolvectl_calls("wg0", (), ("a.example",)) == (
        ("resolvectl", "domain", "wg0", "a.example"),
    )


def test_resolved_is_told_while_the_link_is_there() -> None:
    dns = RemoveDNS("wg0", "resolved")
    _, teardown, _ = plan.down(
        config(), "wg0", rules=[], link=True, save=False, dns=dns, firewall=False
    )
    assert teardown == [dns, DeleteLink("wg0")]


def test_routes_go_longest_first_ties_in_descending_text_order() -> None:
    networks = ["10.8.0.0/24", "9.0.0.0/24", "100.64.0.0/24", "10.10.0.0/24", "10.9.0.0/24"]
    networks += ["fd00::/64", "10.0.0.0/8", "9.0.0.0/24"]
    assert plan.route_order(networks) == [
        "fd00::/64",
        "9.0.0.0/24",
        "100.64.0.0/24",
        "10.9.0.0/24",
        "10.8.0.0/24",
        "10.10.0.0/24",
        "10.0.0.0/8",
    ]


@pytest.mark.parametrize(
    ("network", "others", "answer"),
    [
        ("10.0.5.0/24", ["10.0.0.0/16"], True),
        ("10.0.0.0/16", ["10.0.0.0/16"], True),
        ("10.0.0.0/15", ["10.0.0.0/16"], False),
        ("10.1.0.0/16", ["10.0.0.0/16"], False),
        ("fd00::7/128", ["10.0.0.0/8", "fd00::/48"], True),
        ("::/128", ["0.0.0.0/0"], False),
        ("10.0.0.0/8", [], False),
    ],
)
def test_covered(network: str, others: list[str], answer: bool) -> None:
    assert plan.covered(network, others) is answer


def test_connected_networks_need_no_route() -> None:
    running = Running(networks=("10.0.0.2/32", "10.5.0.0/16"), connected=("10.0.0.0/24",))
    assert plan.routing("auto", "wg0", running) == [AddRoutes("wg0", (Route("10.5.0.0/16"),))]


def test_nothing_missing_is_no_step() -> None:
    running = Running(networks=("10.0.0.2/32",), connected=("10.0.0.0/24",))
    assert plan.routing("auto", "wg0", running) == []


def test_table_off_and_table_number() -> None:
    running = Running(networks=("0.0.0.0/0", "10.0.0.2/32"), connected=("10.0.0.0/24",))
    assert plan.routing("off", "wg0", running) == []
    assert shown(plan.routing("0x4d2", "wg0", running)) == [
        "ip -4 route add 10.0.0.2/32 dev wg0 table 0x4d2",
        "ip -4 route add 0.0.0.0/0 dev wg0 table 0x4d2",
    ]


def test_full_tunnel_guards_first_then_rules_then_routes() -> None:
    running = Running(
        spare_mark=51820, networks=("0.0.0.0/0", "::/0"), priorities={4: 32765, 6: 99}
    )
    assert plan.routing("auto", "wg0", running) == [
        SetMark("wg0", 51820),
        AddFirewall("wg0", 51820, (6, 4), "nft"),
        SetSourceValidMark(),
        AddRule(Rule(6, 99, 51820)),
        AddRule(Rule(6, 98)),
        AddRoutes("wg0", (Route("::/0", "51820"),)),
        AddRule(Rule(4, 32765, 51820)),
        AddRule(Rule(4, 32764)),
        AddRoutes("wg0", (Route("0.0.0.0/0", "51820"),)),
    ]


def test_a_mark_of_the_device_is_kept_and_ipv6_needs_no_sysctl() -> None:
    running = Running(mark=777, spare_mark=51820, networks=("::/0",), priorities={6: 32765})
    steps = plan.routing("auto", "wg0", running)
    assert not any(isinstance(step, SetMark | SetSourceValidMark) for step in steps)
    assert AddRoutes("wg0", (Route("::/0", "777"),)) in steps


def test_every_lasting_step_of_a_full_tunnel_has_an_undo() -> None:
    running = Running(spare_mark=51820, networks=("0.0.0.0/0",), priorities={4: 32765})
    undos = [step.undo for step in plan.routing("auto", "wg0", running) if step.undo]
    rules = [DeleteRule(Rule(4, 32765, 51820)), DeleteRule(Rule(4, 32764))]
    assert undos == [RemoveFirewall("wg0"), *rules]
    assert MakeLink("wg0").undo == DeleteLink("wg0")
    assert SetDNS("wg0", ("1",), ()).undo == RemoveDNS("wg0")


def test_down_in_the_order_of_the_original() -> None:
    rules = [Rule(4, 32765, 51820), Rule(4, 32764)]
    before, teardown, after = plan.down(
        config(), "wg0", rules=rules, link=True, save=True, dns=RemoveDNS("wg0"), firewall=True
    )
    assert before == [RunHook("down wg0", "PreDown"), Save("wg0")]
    assert teardown == [
        DeleteRule(rules[0]),
        DeleteRule(rules[1]),
        DeleteLink("wg0"),
        RemoveDNS("wg0"),
        RemoveFirewall("wg0"),
    ]
    assert after == [RunHook("gone", "PostDown")]


def test_down_without_a_link_neither_saves_nor_runs_predown() -> None:
    before, teardown, after = plan.down(
        config(), "wg0", rules=[], link=False, save=True, dns=None, firewall=True
    )
    assert before == []
    assert DeleteLink("wg0") not in teardown
    assert after == [RunHook("gone", "PostDown")]


def test_split_dns() -> None:
    words = ["1234", "1.2.3", "::1", "fe80::1%eth0", "9.9.9.9:53", "x1"]
    assert plan.split_dns(words) == (tuple(words[:-1]), ("x1",))


@pytest.mark.parametrize(
    ("paths", "default", "mtu"),
    [
        ({"a": 1500, "b": 1400}, 0, 1320),
        ({"a": 0, "b": 9000}, 1300, 8920),
        ({"a": 0}, 1390, 1310),
        ({}, 1390, 1310),
        ({}, 0, 1420),
    ],
)
def test_a28_the_mtu_is_that_of_the_narrowest_path(
    paths: dict[str, int], default: int, mtu: int
) -> None:
    assert plan.choose_mtu(paths, paths.__getitem__, lambda: default) == mtu


def test_free_mark_skips_what_is_used() -> None:
    assert plan.free_mark({51820, 51821}.__contains__) == 51822


def test_next_priority_is_one_below_the_second_rule() -> None:
    assert plan.next_priority([0, 32766, 32767]) == 32765
    assert plan.next_priority([0, 98, 99]) == 97
    assert plan.next_priority([0]) == 0
    assert plan.next_priority([0, 0]) == 0


def test_own_rules_are_a_mark_and_the_suppressing_rule_below() -> None:
    first = [Rule(4, 32765, 51820), Rule(4, 32764)]
    second = [Rule(4, 32763, 51821), Rule(4, 32762)]
    foreign = [Rule(4, 50), Rule(6, 32764)]
    present = [*foreign, *first, *second]
    assert plan.find_rules(present, {51820}) == first
    assert plan.find_rules(present, {51821}) == second
    assert plan.find_rules(present, {5182}) == []


def test_a_rule_whose_partner_is_gone_is_still_found() -> None:
    assert plan.find_rules([Rule(6, 9, 1)], {1}) == [Rule(6, 9, 1)]
