# SPDX-License-Identifier: MIT
"""What FreeBSD, OpenBSD and macOS have of their own: undos on disk, ways to DNS, messages.

Their plans are in tests/golden/test_quick_plans.py, whole runs in test_quick_bsd.py.
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.golden.test_quick_plans import FakeFacts
from wgtools.errors import WgError
from wgtools.quick import systems
from wgtools.quick.interrupts import Interrupted
from wgtools.quick.journal import Journal
from wgtools.quick.steps import RemoveDNS, Step
from wgtools.quick.systems import actions, dns, hostfacts, reading, rtmsg
from wgtools.quick.systems.openbsd import next_name
from wgtools.quick.systems.system import System, needs_pin

WORDS = (("10.0.0.1",), ("corp.example",))
FREEBSD, OPENBSD, MACOS = (systems.of(name) for name in ("freebsd14", "openbsd7", "darwin"))
UNDOS: list[Step] = [
    actions.Destroy("wg0", "utun3", userspace=True),
    actions.Destroy("office", "wg1"),
    actions.Destroy("wg0", "", userspace=True),
    actions.Back(("networksetup", "-setdnsservers", "USB LAN", "192.0.2.53")),
    actions.Unpin("203.0.113.5", "", ("route", "delete", "203.0.113.5")),
    actions.StopMonitor("wg0", "utun3", "46", "auto", "10.0.0.1 10.0.0.2", "corp.example"),
    actions.StopMonitor("wg0", "wg0"),
    RemoveDNS("wg0", "file"),
]


def test_undos_come_back_from_the_journal_as_they_went(tmp_path: Path) -> None:
    journal = Journal("wg0", str(tmp_path))
    journal.begin("/etc/wireguard/wg0.conf", {"predown": [], "postdown": ["a b\nc"]})
    for undo in UNDOS:
        journal.add(undo)
    again = Journal("wg0", str(tmp_path))
    assert again.undos == UNDOS
    assert again.hooks == {"postdown": ["a b\nc"]}


def test_a_kind_of_undo_that_nobody_knows_makes_the_journal_unreadable(tmp_path: Path) -> None:
    journal = Journal("wg0", str(tmp_path))
    journal.add(UNDOS[0])
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes() + b"Explode now\n")
    assert Journal("wg0", str(tmp_path)).undos == []


def test_after_a_reboot_only_what_lasts_is_left_to_undo(tmp_path: Path) -> None:
    journal = Journal("wg0", str(tmp_path))
    for undo in UNDOS:
        journal.add(undo)
    (path,) = tmp_path.iterdir()
    _, _, rest = path.read_bytes().partition(b"\n")
    path.write_bytes(b"boot another\n" + rest)
    assert Journal("wg0", str(tmp_path)).undos == [UNDOS[3]]


@pytest.mark.parametrize(
    ("system", "running", "forced", "way"),
    [
        (OPENBSD, ["resolvd"], "", "resolvd"),
        (OPENBSD, ["unwind"], "", "resolvd"),
        (OPENBSD, [], "", "file"),
        (OPENBSD, ["resolvd"], "none", "none"),
        (MACOS, [], "", "networksetup"),
        (FREEBSD, [], "file", "file"),
    ],
)
def test_ways_to_dns(system: System, running: list[str], forced: str, way: str) -> None:
    facts = FakeFacts({"running": running})
    assert dns.choose(system, {"WG_QUICK_DNS": forced}, facts) == way


def test_a_way_to_dns_of_another_system_is_refused() -> None:
    with pytest.raises(WgError, match="no way to set DNS on macOS") as caught:
        dns.choose(MACOS, {"WG_QUICK_DNS": "resolved"}, FakeFacts({}))
    assert "networksetup, none" in caught.value.hint


@pytest.mark.parametrize(
    ("running", "line"),
    [
        (["unwind", "resolvd"], "[!] WARNING: unwind will leak DNS queries"),
        (["resolvd"], "[!] WARNING: resolvd may leak DNS queries"),
        ([], "[+] resolvd is not running: /etc/resolv.conf is edited instead"),
    ],
)
def test_openbsd_says_who_may_leak(running: list[str], line: str) -> None:
    facts = FakeFacts({"running": running})
    assert dns.advice(OPENBSD, dns.choose(OPENBSD, {}, facts), facts) == line
    assert dns.advice(FREEBSD, "resolvconf", facts) == ""
    assert dns.advice(OPENBSD, "none", facts) == ""


def test_search_domains_alone_have_no_effect_on_macos_and_that_is_said() -> None:
    lost = dns.lost("networksetup", (), ("corp.example",))
    assert lost is not None
    assert dns.steps(MACOS, "networksetup", "wg0", "utun0", words=((), ("a.example",))) == []
    assert dns.lost("networksetup", *WORDS) is None


def test_search_domains_alone_go_into_the_file_on_openbsd() -> None:
    told = dns.steps(OPENBSD, "resolvd", "wg0", "wg1", words=((), ("a.example", "~b.example")))
    assert [step.shown for step in told] == [("edit /etc/resolv.conf: search a.example",)]


def test_without_a_journal_dns_is_taken_back_by_the_file() -> None:
    from wgtools.conf.document import Document
    from wgtools.conf.quickfile import QuickFile

    config = QuickFile(Document(b"[Interface]\nDNS = 10.0.0.1, corp.example\n"))
    back = dns.back_by_file(OPENBSD, "resolvd", "office", "wg1", config)
    assert [undo.shown for undo in back] == [("route nameserver wg1",)]
    back = dns.back_by_file(FREEBSD, "resolvconf", "wg0", "wg0", config)
    assert [undo.shown for undo in back] == [("resolvconf -d wg0",)]
    assert dns.back_by_file(MACOS, "networksetup", "wg0", "utun0", config) == []


@pytest.mark.parametrize(
    ("host", "needed"),
    [
        ("203.0.113.5", True),
        ("2001:db8::5", True),
        ("127.0.0.1", False),
        ("169.254.1.1", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),
        ("::1", False),
        ("fe80::1%em0", False),
        ("fe80::1", False),
        ("ff02::1", False),
        ("vpn.example", False),
    ],
)
def test_only_what_would_take_a_default_route_needs_a_pin(host: str, needed: bool) -> None:
    assert needs_pin(host) is needed


@pytest.mark.parametrize(
    ("system", "table", "routes"),
    [
        (FREEBSD, "auto", ["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"]),
        (FREEBSD, "main", ["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"]),
        (MACOS, "main", ["0.0.0.0/0", "::/0"]),
        (FREEBSD, "7", []),
        (OPENBSD, "off", []),
    ],
)
def test_routes_without_which_all_traffic_would_leak(
    system: System, table: str, routes: list[str]
) -> None:
    networks = ["10.0.0.0/8", "0.0.0.0/0", "::/0"]
    assert sorted(system.defaults(table, networks)) == sorted(routes)


def test_what_an_undo_shows_is_what_it_runs() -> None:
    shown = [undo.shown for undo in UNDOS[:5]]
    assert shown == [
        ("rm -f /var/run/wireguard/utun3.sock /var/run/wireguard/wg0.name",),
        ("ifconfig wg1 destroy",),
        (),  # which one is looked up when the time comes
        ("networksetup -setdnsservers USB LAN 192.0.2.53",),
        ("route delete 203.0.113.5",),
    ]
    # What left with its gateway's interface is no failure; everything else that stays is one.
    assert [undo.optional for undo in UNDOS[:5]] == [False, False, False, False, True]


def test_only_a_command_that_has_done_nothing_when_it_fails_needs_no_undo() -> None:
    argv, back = ("ifconfig", "wg0", "up"), ("ifconfig", "wg0", "down")
    assert actions.Command(argv).undo is None
    assert actions.Command(argv, back).undo == actions.Back(back)
    assert [actions.Command(argv, back, safe=safe).atomic for safe in (True, False)] == [
        True,
        False,
    ]
    assert actions.MakeLink("wg0", "wg0", argv).atomic
    assert not actions.StartEngine("wg0", "utun", "wgtools-engine").atomic


def test_a_way_through_the_tunnel_tells_no_mtu() -> None:
    table = {"routes": {"203.0.113.5": ["wg0", "", 0]}, "interfaces": {"wg0": {"mtu": 1280}}}
    assert reading.mtu_for(FakeFacts(table), ["203.0.113.5", "fe80::1%em0"], "wg0") == 1420
    assert reading.mtu_for(FakeFacts({"gateways": {}}), [], "wg0") == 1420


def test_the_lowest_number_that_is_free() -> None:
    assert next_name({"wg0", "wg2", "em0"}) == "wg1"
    assert next_name(set(), "utun") == "utun0"


# ------------------------------------------------------------------ route(4)


def message(kind: int, length: int = 0, version: int = 5) -> bytes:
    """What a kernel would send; only its head is looked at."""
    length = length or 152
    return struct.pack("=HBB", length, version, kind) + bytes(max(length - 4, 0))


def test_messages_are_cut_at_their_own_lengths() -> None:
    data = message(1) + message(14, 168) + message(4, 4)
    kinds = [(each.kind, each.length) for each in rtmsg.messages(data)]
    assert kinds == [(1, 152), (14, 168), (4, 4)]


@pytest.mark.parametrize("data", [b"", b"\x98", message(1)[:-1], message(1, 3)])
def test_what_is_cut_short_ends_the_list(data: bytes) -> None:
    assert rtmsg.messages(message(2) + data) == [rtmsg.Message(2, 5, 152)]


@pytest.mark.parametrize(
    ("system", "kind", "concerns"),
    [
        ("FreeBSD", 0x1, True),  # RTM_ADD
        ("FreeBSD", 0xC, True),  # RTM_NEWADDR
        ("FreeBSD", 0x11, True),  # RTM_IFANNOUNCE
        ("FreeBSD", 0x4, False),  # RTM_GET, our own question
        ("FreeBSD", 0xF, False),  # RTM_NEWMADDR
        ("OpenBSD", 0xF, True),  # RTM_IFANNOUNCE
        ("OpenBSD", 0x10, True),  # RTM_DESYNC: some were lost
        ("OpenBSD", 0x13, False),  # RTM_PROPOSAL: of name servers
        ("macOS", 0x12, True),  # RTM_IFINFO2
        ("macOS", 0x7, False),  # RTM_MISS
    ],
)
def test_which_messages_concern_us(system: str, kind: int, concerns: bool) -> None:
    assert rtmsg.concern(rtmsg.messages(message(kind)), system) is concerns


def test_one_that_concerns_us_among_many_is_seen_and_the_unknown_is_looked_after() -> None:
    assert rtmsg.concern(rtmsg.messages(message(4) + message(2)), "FreeBSD")
    assert rtmsg.concern(rtmsg.messages(message(4, version=6)), "FreeBSD")
    assert rtmsg.concern([], "FreeBSD")


@given(st.binary(max_size=400))
def test_no_bytes_can_harm_the_reader(data: bytes) -> None:
    found = rtmsg.messages(data)
    assert sum(each.length for each in found) <= len(data)


def test_a_signal_while_a_fact_is_asked_is_not_an_empty_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is raised once only: swallowed here, Ctrl-C and `down` would go unheard."""

    def interrupted(*_: object, **__: object) -> bytes:
        raise Interrupted(15)

    monkeypatch.setattr("wgtools.quick.apply.run", interrupted)
    with pytest.raises(Interrupted):
        hostfacts._run(["ifconfig", "-a"])
