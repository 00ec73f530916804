# SPDX-License-Identifier: MIT
"""What ifconfig, netstat and route print, system by system.

The samples were printed by real systems and published: those of FreeBSD 12 and macOS
10.14 with jc (github.com/kellyjonbrazil/jc, tests/fixtures, MIT), FreeBSD's and NetBSD's
routing tables with jackpal/gateway (route-tables, BSD), OpenBSD's in public notes; shortened
here, with addresses of documentation where they were somebody's.
"""

from __future__ import annotations

import pytest

from wgtools.errors import WgError
from wgtools.quick.systems import bsdtext
from wgtools.quick.systems.facts import Address, Interface, Path

IFCONFIG_FREEBSD = """\
em0: flags=1008843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST,LOWER_UP> metric 0 mtu 1500
\tdescription: to the world: outside
\toptions=481009b<RXCSUM,TXCSUM,VLAN_MTU,VLAN_HWTAGGING,VLAN_HWCSUM,VLAN_HWFILTER,NOMAP>
\tether 02:7e:3f:38:56:0b
\tinet 192.0.2.12 netmask 0xffffff00 broadcast 192.0.2.255
\tinet6 fe80::7e:3fff:fe38:560b%em0 prefixlen 64 scopeid 0x1
\tinet6 2001:db8::12 prefixlen 64
\tmedia: Ethernet autoselect (1000baseT <full-duplex>)
\tstatus: active
\tnd6 options=23<PERFORMNUD,ACCEPT_RTADV,AUTO_LINKLOCAL>
lo0: flags=1008049<UP,LOOPBACK,RUNNING,MULTICAST,LOWER_UP> metric 0 mtu 16384
\toptions=680003<RXCSUM,TXCSUM,LINKSTATE,RXCSUM_IPV6,TXCSUM_IPV6>
\tinet6 ::1 prefixlen 128
\tinet6 fe80::1%lo0 prefixlen 64 scopeid 0x2
\tinet 127.0.0.1 netmask 0xff000000
\tgroups: lo
\tnd6 options=21<PERFORMNUD,AUTO_LINKLOCAL>
wg0: flags=80c1<UP,RUNNING,NOARP,MULTICAST> metric 0 mtu 1420
\toptions=80000<LINKSTATE>
\tinet 10.7.0.2 netmask 0xffffffff
\tgroups: wg
\tnd6 options=109<PERFORMNUD,IFDISABLED,NO_DAD>
"""

IFCONFIG_OPENBSD = """\
lo0: flags=2008049<UP,LOOPBACK,RUNNING,MULTICAST,LRO> mtu 32768
\tindex 2 priority 0 llprio 3
\tgroups: lo
\tinet6 ::1 prefixlen 128
\tinet6 fe80::1%lo0 prefixlen 64 scopeid 0x2
\tinet 127.0.0.1 netmask 0xff000000
enc0: flags=0<>
\tindex 1 priority 0 llprio 3
\tgroups: enc
\tstatus: active
wg0: flags=80c3<UP,BROADCAST,RUNNING,NOARP,MULTICAST> mtu 1420
\tdescription: wg-quick: office
\tindex 7 priority 0 llprio 3
\twgport 51820
\twgpeer AAAA
\t\ttx: 0, rx: 0
\t\twgaip 10.11.11.10/32
\tgroups: wg
\tinet 10.11.11.1 netmask 0xffffff00 broadcast 10.11.11.255
gre0: flags=8010<POINTOPOINT,MULTICAST> mtu 1476
\tindex 22 priority 0 llprio 6
\tencap: vnetid none txprio payload rxprio packet
\ttunnel: inet6 2001:db8::a --> 2001:db9::d ttl 64 nodf ecn
\tinet 192.168.200.1 --> 192.168.200.2 netmask 0xffffff00
\tinet6 fd42:: -->  prefixlen 127
"""

IFCONFIG_MACOS = """\
stf0: flags=0<> mtu 1280
en0: flags=8863<UP,BROADCAST,SMART,RUNNING,SIMPLEX,MULTICAST> mtu 1500
\tether f0:18:98:03:d9:30\x20
\tinet6 fe80::8b7:1281:7499:b504%en0 prefixlen 64 secured scopeid 0x8\x20
\tinet 192.0.2.72 netmask 0xffffff00 broadcast 192.0.2.255
\tinet6 2001:db8:d40::24 prefixlen 64 dynamic\x20
\tnd6 options=201<PERFORMNUD,DAD>
\tmedia: autoselect
\tstatus: active
bridge0: flags=8863<UP,BROADCAST,SMART,RUNNING,SIMPLEX,MULTICAST> mtu 1500
\tConfiguration:
\t\tid 0:0:0:0:0:0 priority 0 hellotime 0 fwddelay 0
\tmember: en1 flags=3<LEARNING,DISCOVER>
\t        ifmaxaddr 0 port 11 priority 0 path cost 0
utun0: flags=8051<UP,POINTOPOINT,RUNNING,MULTICAST> mtu 2000
\tinet6 fe80::cec:23d0:8cf7:c88e%utun0 prefixlen 64 scopeid 0x10\x20
\tinet 10.7.0.2 --> 10.7.0.2 netmask 0xffffffff\x20
"""


def test_ifconfig_of_freebsd() -> None:
    assert bsdtext.interfaces(IFCONFIG_FREEBSD) == [
        (
            Interface("em0", 1500, True, "to the world: outside"),
            (
                Address("192.0.2.12", 24),
                Address("fe80::7e:3fff:fe38:560b", 64),
                Address("2001:db8::12", 64),
            ),
        ),
        (
            Interface("lo0", 16384, True),
            (Address("127.0.0.1", 8), Address("::1", 128), Address("fe80::1", 64)),
        ),
        (Interface("wg0", 1420, True), (Address("10.7.0.2", 32),)),
    ]


def test_ifconfig_of_openbsd() -> None:
    found = dict(bsdtext.interfaces(IFCONFIG_OPENBSD))
    assert [each.name for each in found] == ["lo0", "enc0", "wg0", "gre0"]
    assert found[Interface("enc0", 0, False)] == ()
    wg0 = Interface("wg0", 1420, True, "wg-quick: office")
    assert found[wg0] == (Address("10.11.11.1", 24),)
    gre0 = (Address("192.168.200.1", 24), Address("fd42::", 127))
    assert found[Interface("gre0", 1476, False)] == gre0


def test_ifconfig_of_macos() -> None:
    found = {each.name: (each, rest) for each, rest in bsdtext.interfaces(IFCONFIG_MACOS)}
    assert list(found) == ["stf0", "en0", "bridge0", "utun0"]
    assert found["stf0"] == (Interface("stf0", 1280, False), ())
    assert found["en0"][1] == (
        Address("192.0.2.72", 24),
        Address("fe80::8b7:1281:7499:b504", 64),
        Address("2001:db8:d40::24", 64),
    )
    assert found["utun0"][0].mtu == 2000
    assert found["utun0"][1][0] == Address("10.7.0.2", 32)


def test_ifconfig_of_netbsd_and_of_cidr_format() -> None:
    text = "wm0: flags=0x8843<UP,RUNNING> mtu 1500\n\tinet 192.0.2.5/24 broadcast 192.0.2.255\n"
    assert bsdtext.interfaces(text) == [(Interface("wm0", 1500, True), (Address("192.0.2.5", 24),))]


def test_ifconfig_of_nothing() -> None:
    assert bsdtext.interfaces("") == []


@pytest.mark.parametrize(
    "text",
    [
        "ifconfig: interface wg9 does not exist\n",
        "em0: flags=zz<UP> mtu 1500\n",
        "em0: flags=8843<UP> mtu lots\n",
        "em0: flags=\n",
        "em0: flags=8843<UP> mtu 1500\n\tinet\n",
        "em0: flags=8843<UP> mtu 1500\n\tinet 1.2.3 netmask 0xff\n",
        "em0: flags=8843<UP> mtu 1500\n\tinet 1.2.3.4 netmask 0xff00ff00\n",
        "em0: flags=8843<UP> mtu 1500\n\tinet 1.2.3.4 netmask 0xffffffffff\n",
        "em0: flags=8843<UP> mtu 1500\n\tinet 1.2.3.4 netmask soft\n",
        "em0: flags=8843<UP> mtu 1500\n\tinet6 ::1 prefixlen long\n",
    ],
)
def test_ifconfig_that_makes_no_sense(text: str) -> None:
    with pytest.raises(WgError, match="Cannot understand what ifconfig printed"):
        bsdtext.interfaces(text)


# ------------------------------------------------------------------ netstat

NETSTAT_FREEBSD = """\
Routing tables

Internet:
Destination        Gateway            Flags     Netif Expire
default            10.88.88.2         UGS        ena0
127.0.0.1          link#2             UH          lo0
172.31.16.0/20     link#1             U          ena0
172.31.29.64       link#1             UHS         lo0
"""

NETSTAT_FREEBSD_WIDE = """\
Routing tables

Internet:
Destination        Gateway            Flags         Nhop#    Mtu      Netif Expire
default            192.0.2.1          UGS               4   1500        em0
10.7.0.0/24        link#3             U                 6   1420        wg0
"""

NETSTAT_OPENBSD = """\
Routing tables

Internet:
Destination        Gateway            Flags   Refs      Use   Mtu  Prio Iface
default            10.0.2.2           UGS        5       20     -     8 em0\x20\x20
224/4              127.0.0.1          URS        0        0 32768     8 lo0\x20\x20
10.0.2/24          10.0.2.15          UCn        1        0     -     4 em0\x20\x20
"""

NETSTAT_NETBSD = """\
Routing tables

Internet:
Destination        Gateway            Flags    Refs      Use    Mtu Interface
default            172.31.16.1        UG          -        -   9001  ena0
127/8              127.0.0.1          UGRS        -        -  33624  lo0
"""

NETSTAT_MACOS = """\
Routing tables

Internet:
Destination        Gateway            Flags        Refs      Use    Mtu   Netif Expire
default            192.168.1.254      UGSc           83       24   1500     en0\x20
127                127.0.0.1          UCS             0        0  16384     lo0\x20
192.168.1.64       e0:33:8e:68:38:d6  UHLWIi          2      470   1500     en0    753
"""


def lines(text: str) -> list[tuple[str, str, str, str]]:
    found = bsdtext.routes(text)
    return [(each.destination, each.gateway, each.flags, each.interface) for each in found]


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        (
            NETSTAT_FREEBSD,
            ("default", "10.88.88.2", "UGS", "ena0"),
            ("172.31.29.64", "link#1", "UHS", "lo0"),
        ),
        (
            NETSTAT_FREEBSD_WIDE,
            ("default", "192.0.2.1", "UGS", "em0"),
            ("10.7.0.0/24", "link#3", "U", "wg0"),
        ),
        (
            NETSTAT_OPENBSD,
            ("default", "10.0.2.2", "UGS", "em0"),
            ("10.0.2/24", "10.0.2.15", "UCn", "em0"),
        ),
        (
            NETSTAT_NETBSD,
            ("default", "172.31.16.1", "UG", "ena0"),
            ("127/8", "127.0.0.1", "UGRS", "lo0"),
        ),
        (
            NETSTAT_MACOS,
            ("default", "192.168.1.254", "UGSc", "en0"),
            ("192.168.1.64", "e0:33:8e:68:38:d6", "UHLWIi", "en0"),
        ),
    ],
    ids=["freebsd", "freebsd -W", "openbsd", "netbsd", "macos"],
)
def test_netstat_columns_are_found_by_their_headings(
    text: str, first: tuple[str, ...], last: tuple[str, ...]
) -> None:
    found = lines(text)
    assert found[0] == first
    assert found[-1] == last


def test_netstat_of_an_empty_table() -> None:
    assert bsdtext.routes("Routing tables\n\nInternet:\n") == []
    assert bsdtext.routes("") == []


@pytest.mark.parametrize(
    "text",
    [
        "netstat: kvm not available\n",
        "default 192.0.2.1 UGS em0\n",
        "Destination Gateway Flags\ndefault 192.0.2.1 UGS\n",
        "Destination Flags Netif\ndefault UGS em0\n",
        "Destination Gateway Flags Netif Expire\ndefault 192.0.2.1 UGS\n",
    ],
)
def test_netstat_that_makes_no_sense(text: str) -> None:
    with pytest.raises(WgError, match="Cannot understand what netstat printed"):
        bsdtext.routes(text)


@pytest.mark.parametrize(
    ("destination", "family", "network"),
    [
        ("default", 4, "0.0.0.0/0"),
        ("default", 6, "::/0"),
        ("10.0.2/24", 4, "10.0.2.0/24"),
        ("0/1", 4, "0.0.0.0/1"),
        ("128.0/1", 4, "128.0.0.0/1"),
        ("128.0.0.0/1", 4, "128.0.0.0/1"),
        ("127", 4, "127.0.0.0/8"),
        ("169.254", 4, "169.254.0.0/16"),
        ("192.168.71", 4, "192.168.71.0/24"),
        ("192.0.2.7", 4, "192.0.2.7/32"),
        ("192.0.2.7/24", 4, "192.0.2.0/24"),
        ("::1", 6, "::1/128"),
        ("8000::/1", 6, "8000::/1"),
        ("fe80::%utun0/64", 6, "fe80::/64"),
        ("fe80::1%lo0", 6, "fe80::1/128"),
    ],
)
def test_network_of_a_destination(destination: str, family: int, network: str) -> None:
    assert bsdtext.network_of(destination, family) == network


@pytest.mark.parametrize(
    ("destination", "family"),
    [("host.example", 4), ("1.2.3.4/33", 4), ("1.2.3.4/x", 4), ("::1", 4), ("10.0.0.1", 6),
     ("1.2.3.4.5", 4), ("::/-1", 6), ("", 4)],
)  # fmt: skip
def test_destination_that_makes_no_sense(destination: str, family: int) -> None:
    with pytest.raises(WgError, match="Cannot understand what netstat printed"):
        bsdtext.network_of(destination, family)


# ------------------------------------------------------------------ route -n get

ROUTE_FREEBSD = """\
   route to: 198.51.100.7
destination: 0.0.0.0
       mask: 0.0.0.0
    gateway: 192.0.2.1
        fib: 0
  interface: em0
      flags: <UP,GATEWAY,DONE,STATIC>
 recvpipe  sendpipe  ssthresh  rtt,msec    mtu        weight    expire
       0         0         0         0      1500         1         0
"""

ROUTE_OPENBSD = """\
   route to: fd42::1
destination: fd42::1
       mask: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
    gateway: fd42::
  interface: gre0
 if address: fd42::
   priority: 3 ()
      flags: <UP,HOST,DONE,CLONED>
     use       mtu    expire
    3181         0         0\x20
"""

ROUTE_MACOS = """\
   route to: 172.16.112.2
destination: 172.16.112.0
       mask: 255.255.240.0
    gateway: 192.0.2.3
  interface: utun4
      flags: <UP,GATEWAY,DONE,STATIC,PRCLONING>
 recvpipe  sendpipe  ssthresh  rtt,msec    rttvar  hopcount      mtu     expire
       0         0         0         0         0         0      1400         0
"""

ROUTE_MACOS6 = """\
   route to: default
destination: default
       mask: default
    gateway: fe80::1%en0
  interface: en0
      flags: <UP,GATEWAY,DONE,STATIC>
"""


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (ROUTE_FREEBSD, Path("em0", "192.0.2.1", 1500)),
        (ROUTE_OPENBSD, Path("gre0", "", 0)),
        (ROUTE_MACOS, Path("utun4", "192.0.2.3", 1400)),
        (ROUTE_MACOS6, Path("en0", "fe80::1%en0", 0)),
        ("interface: em0\nflags: <UP,GATEWAY>\ngateway: link#3\n", Path("em0")),
    ],
    ids=["freebsd", "openbsd", "macos", "macos inet6", "link"],
)
def test_path_to_an_address(text: str, path: Path) -> None:
    assert bsdtext.path(text) == path


@pytest.mark.parametrize(
    "text",
    [
        "",
        "route: writing to routing socket: not in table\n",
        "   route to: 192.0.2.7\n",
        "interface: em0\n use mtu expire\n 0 much 0\n",
        "interface: em0\n use mtu expire\n 0\n",
    ],
)
def test_path_that_makes_no_sense(text: str) -> None:
    with pytest.raises(WgError, match="Cannot understand what route printed"):
        bsdtext.path(text)


# ------------------------------------------------------------------ netmasks


@pytest.mark.parametrize(
    ("mask", "length"),
    [
        ("255.255.255.0", 24),
        ("0.0.0.0", 0),
        ("255.255.255.255", 32),
        ("ffff:ffff:ffff:ffff::", 64),
        ("ffff:ffff:ffff:ffff::/64", 64),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", 128),
        ("::", 0),
    ],
)
def test_length_of_a_mask(mask: str, length: int) -> None:
    assert bsdtext.mask_length(mask) == length


@pytest.mark.parametrize("mask", ["", "255.0.255.0", "24", "ffff::ffff"])
def test_mask_that_is_none(mask: str) -> None:
    with pytest.raises(ValueError, match="netmask"):
        bsdtext.mask_length(mask)
