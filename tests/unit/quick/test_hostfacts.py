# SPDX-License-Identifier: MIT
"""HostFacts on programs that print what we want, and on a netifaces of our making."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.quick.test_bsdtext import (
    IFCONFIG_FREEBSD,
    IFCONFIG_OPENBSD,
    NETSTAT_FREEBSD,
    ROUTE_FREEBSD,
    ROUTE_OPENBSD,
)
from wgtools.errors import WgError
from wgtools.quick.systems import hostfacts
from wgtools.quick.systems.facts import Address, Gateway, Interface, Jail, Path
from wgtools.quick.systems.hostfacts import SystemFacts

NETSTAT6_FREEBSD = """\
Routing tables

Internet6:
Destination                       Gateway                       Flags     Netif Expire
::1                               link#2                        UHS         lo0
default                           fe80::1%em0                   UGS         em0
fe80::%wg0/64                     link#3                        U           wg0
ff02::%wg0/32                     link#3                        U           wg0
fd00:7::/64                       link#3                        U           wg0
fd00:7::9                         link#3                        UHS         wg0
8000::/1                          link#3                        US          wg0
"""

NETSTAT_MACOS = """\
Routing tables

Internet:
Destination        Gateway            Flags               Netif Expire
default            link#17            UCSg                utun3
default            192.168.1.254      UGScIg                en0
0/1                utun3              USc                 utun3
10.7.0/24          utun3              USc                 utun3
10.7.0.2           10.7.0.2           UH                  utun3
10.7.0.9           utun3              UHWIig              utun3
224.0.0/4          link#17            UmCS                utun3
255.255.255.255/32 link#17            UCS                 utun3
169.254            link#17            UCS                 utun3
"""

NETSTAT_OPENBSD = """\
Routing tables

Internet:
Destination        Gateway            Flags   Refs      Use   Mtu  Prio Iface
10.11.11/24        10.11.11.1         UCn        1        0     -     4 wg0
10.11.11.1         wg0                UHl        0       10     -     1 wg0
10.11.11.7         wg0                UHc        0       10     -     3 wg0
10.11.11.255       10.11.11.1         UHb        0        0     -     1 wg0
192.168.7/24       10.11.11.1         US         0        0     -     8 wg0
"""

NOTHING = "Routing tables\n"


class Netifaces:
    """The module, for one interface `em0`."""

    AF_INET = 2
    AF_INET6 = 28

    def __init__(self, **gateways: tuple[str, str]) -> None:
        self.default = {getattr(self, name): value for name, value in gateways.items()}
        self.netmask = "255.255.255.0"

    def interfaces(self) -> list[str]:
        return ["em0", "wg0", "new0"]

    def ifaddresses(self, name: str) -> dict[int, list[dict[str, str]]]:
        if name != "em0":
            raise ValueError("You must specify a valid interface name.")
        four = {"addr": "192.0.2.12", "netmask": self.netmask, "broadcast": "192.0.2.255"}
        six = [
            {"addr": "fe80::1%em0", "netmask": "ffff:ffff:ffff:ffff::/64"},
            {"addr": "2001:db8::12"},
            {"addr": "rubbish"},
        ]
        return {18: [{"addr": "02:7e:3f:38:56:0b"}], 2: [four], 28: six}

    def gateways(self) -> dict[Any, Any]:
        return {"default": self.default}


def facts(
    platform: str, answers: dict[str, str | None], module: Netifaces | None = None
) -> SystemFacts:
    def run(words: list[str]) -> str | None:
        return answers.get(" ".join(words))

    return SystemFacts(platform, run=run, netifaces=lambda: module)


FREEBSD: dict[str, str | None] = {
    "ifconfig -a": IFCONFIG_FREEBSD,
    "ifconfig wg0": IFCONFIG_FREEBSD[IFCONFIG_FREEBSD.index("wg0:") :],
    "ifconfig em0": IFCONFIG_FREEBSD[: IFCONFIG_FREEBSD.index("lo0:")],
    "netstat -nr -W -f inet": NETSTAT_FREEBSD,
    "netstat -nr -W -f inet6": NETSTAT6_FREEBSD,
    "route -n get -inet 198.51.100.7": ROUTE_FREEBSD,
    "route -n get -inet6 fd42::1": ROUTE_OPENBSD,
}


def test_interfaces_in_the_order_of_netifaces() -> None:
    found = facts("freebsd14", FREEBSD, Netifaces()).interfaces()
    assert [each.name for each in found] == ["em0", "wg0", "new0"]
    assert found[0].description == "to the world: outside"
    assert found[2] == Interface("new0")


def test_interfaces_without_netifaces() -> None:
    assert [each.name for each in facts("freebsd14", FREEBSD).interfaces()] == ["em0", "lo0", "wg0"]


def test_one_interface_and_none() -> None:
    host = facts("freebsd14", FREEBSD)
    assert host.interface("wg0") == Interface("wg0", 1420, True)
    assert host.interface("wg9") is None


def test_interface_is_none_of_its_group() -> None:
    """On OpenBSD `ifconfig wg` prints every interface of the group."""
    host = facts("openbsd7", {"ifconfig wg": IFCONFIG_OPENBSD})
    assert host.interface("wg") is None


def test_addresses_from_netifaces() -> None:
    assert facts("freebsd14", {}, Netifaces()).addresses("em0") == (
        Address("192.0.2.12", 24),
        Address("fe80::1", 64),
        Address("2001:db8::12", 128),
    )


def test_addresses_from_ifconfig_when_netifaces_does_not_know() -> None:
    assert facts("freebsd14", FREEBSD, Netifaces()).addresses("wg0") == (Address("10.7.0.2", 32),)
    assert facts("freebsd14", FREEBSD).addresses("em0")[0] == Address("192.0.2.12", 24)
    odd = Netifaces()
    odd.netmask = "255.0.255.0"
    assert facts("freebsd14", FREEBSD, odd).addresses("em0")[0] == Address("192.0.2.12", 24)
    assert facts("freebsd14", FREEBSD).addresses("wg9") == ()


def test_default_gateway_from_netifaces() -> None:
    module = Netifaces(AF_INET=("192.0.2.1", "em0"))
    assert facts("freebsd14", {}, module).default_gateway(4) == Gateway("em0", "192.0.2.1")
    assert facts("freebsd14", {}, module).default_gateway(6) is None


@pytest.mark.parametrize("address", ["", "02:7e:3f:38:56:0b", "fe80::1", "fe80::1%em0"])
def test_default_gateway_from_netstat_when_netifaces_has_no_zone(address: str) -> None:
    host = facts("freebsd14", FREEBSD, Netifaces(AF_INET6=(address, "em0")))
    assert host.default_gateway(6) == Gateway("em0", "fe80::1%em0")


def test_default_gateway_from_netstat() -> None:
    assert facts("freebsd14", FREEBSD).default_gateway(4) == Gateway("ena0", "10.88.88.2")


def test_default_route_that_leads_straight_into_an_interface() -> None:
    answers: dict[str, str | None] = {"netstat -nr -W -f inet": NETSTAT_MACOS}
    assert facts("darwin", answers).default_gateway(4) == Gateway("utun3")


def test_macos_default_route_of_one_interface_only_is_passed_over() -> None:
    text = NETSTAT_MACOS.replace("link#17            UCSg ", "link#17            UCSgI")
    text = text.replace("UGScIg", "UGScg ")
    answers: dict[str, str | None] = {"netstat -nr -W -f inet": text}
    assert facts("darwin", answers).default_gateway(4) == Gateway("en0", "192.168.1.254")


def test_route_to_an_address() -> None:
    host = facts("freebsd14", FREEBSD)
    assert host.route_to("198.51.100.7") == Path("em0", "192.0.2.1", 1500)
    assert host.route_to("fd42::1") == Path("gre0")
    assert host.route_to("203.0.113.1") is None


def test_networks_of_freebsd() -> None:
    answers = FREEBSD | {
        "ifconfig wg0": "wg0: flags=80c1<UP> mtu 1420\n\tinet6 fd00:7::9 prefixlen 64\n"
    }
    assert facts("freebsd14", answers).networks("wg0") == ("fd00:7::/64", "8000::/1")


def test_networks_of_macos() -> None:
    answers: dict[str, str | None] = {
        "netstat -nr -W -f inet": NETSTAT_MACOS,
        "netstat -nr -W -f inet6": NOTHING,
        "ifconfig utun3": "utun3: flags=8051<UP> mtu 1420\n\tinet 10.7.0.2 --> 10.7.0.2 netmask "
        "0xffffffff\n",
    }
    assert facts("darwin", answers).networks("utun3") == ("0.0.0.0/0", "0.0.0.0/1", "10.7.0.0/24")


def test_networks_of_openbsd() -> None:
    answers: dict[str, str | None] = {
        "netstat -nr -f inet": NETSTAT_OPENBSD,
        "netstat -nr -f inet6": NOTHING,
    }
    assert facts("openbsd7", answers).networks("wg0") == ("10.11.11.0/24", "192.168.7.0/24")


@pytest.mark.parametrize(
    ("platform", "answers", "fib", "fibs"),
    [
        ("freebsd14", {"sysctl -n net.my_fibnum": "2\n", "sysctl -n net.fibs": "4\n"}, 2, 4),
        ("freebsd14", {"sysctl -n net.my_fibnum": "0\n"}, 0, 1),
        ("openbsd7", {"id -R": "5\n"}, 5, 256),
        ("darwin", {"sysctl -n net.fibs": "4\n"}, 0, 1),
    ],
)
def test_fib(platform: str, answers: dict[str, str | None], fib: int, fibs: int) -> None:
    host = facts(platform, answers)
    assert (host.fib(), host.fibs()) == (fib, fibs)


@pytest.mark.parametrize(
    ("platform", "answers"),
    [
        ("freebsd14", {}),
        ("freebsd14", {"sysctl -n net.my_fibnum": ""}),
        ("freebsd14", {"sysctl -n net.my_fibnum": "-1\n"}),
        ("openbsd7", {"id -R": "id: unknown option\n"}),
    ],
)
def test_fib_that_nobody_tells_is_not_0(platform: str, answers: dict[str, str | None]) -> None:
    with pytest.raises(WgError, match="which routing table") as caught:
        facts(platform, answers).fib()
    assert caught.value.hint


@pytest.mark.parametrize("vnet", [True, False])
def test_jail(vnet: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getpid", lambda: 4711)
    answers: dict[str, str | None] = {
        "sysctl -n security.jail.jailed": "1\n",
        "sysctl -n security.jail.vnet": f"{int(vnet)}\n",
        "ps -o jid= -p 4711": "  12\n",
    }
    assert facts("freebsd14", answers).jail() == Jail(12, vnet)
    assert facts("openbsd7", answers).jail() is None
    answers["sysctl -n security.jail.jailed"] = "0\n"
    assert facts("freebsd14", answers).jail() is None


def test_running() -> None:
    host = facts("openbsd7", {"pgrep -qx resolvd": ""})
    assert host.running("resolvd")
    assert not host.running("unwind")


@pytest.mark.parametrize("rubbish", [None, "", "rubbish\n", "a b c d e f\n", "em0: flags=?\n"])
@pytest.mark.parametrize("platform", ["freebsd14", "openbsd7", "darwin"])
def test_what_makes_no_sense_is_an_empty_answer(platform: str, rubbish: str | None) -> None:
    """No fact is worth failing `up` for, but the FIB."""
    host = SystemFacts(platform, run=lambda _words: rubbish, netifaces=lambda: None)
    assert host.interfaces() == ()
    assert host.interface("wg0") is None
    assert host.addresses("wg0") == ()
    assert host.default_gateway(4) is host.default_gateway(6) is None
    assert host.route_to("192.0.2.7") is host.route_to("::1") is None
    assert host.networks("wg0") == ()
    assert host.fibs() >= 1
    assert host.jail() is None


def test_destination_that_makes_no_sense_spoils_no_more_than_its_table() -> None:
    table = "Destination Gateway Flags Netif\nhost.example link#3 U wg0\n"
    answers: dict[str, str | None] = {
        "netstat -nr -W -f inet": table,
        "netstat -nr -W -f inet6": NETSTAT6_FREEBSD,
    }
    assert "fd00:7::/64" in facts("freebsd14", answers).networks("wg0")


def test_facts_of_a_platform_need_no_netifaces(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "netifaces", None)
    assert hostfacts._netifaces() is None
    assert isinstance(hostfacts.facts("freebsd14"), SystemFacts)
