# SPDX-License-Identifier: MIT
"""Texts for other programs: nft, iptables-restore, resolvconf's names, netlink, a saved file."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from wgtools.conf.document import Document
from wgtools.conf.quickfile import QuickFile
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, Endpoint, Peer
from wgtools.quick import engines, files, firewall, rtnetlink
from wgtools.quick.dns import resolvconf
from wgtools.quick.save import saved
from wgtools.quick.steps import Rule

ADDRESSES = ["10.0.0.1/24", "10.7.0.1/32", "fd00::1/64"]


def test_nft_guards_each_address_of_the_family() -> None:
    text = firewall.nft_text("wg0", 51820, (4,), ADDRESSES)
    guards = [line.strip() for line in text.splitlines() if "drop" in line]
    assert guards == [
        'iifname != "wg0" ip daddr 10.0.0.1 fib saddr type != local drop',
        'iifname != "wg0" ip daddr 10.7.0.1 fib saddr type != local drop',
    ]
    assert "meta l4proto udp meta mark 51820 ct mark set meta mark" in text
    assert text.count("add table ip wg-quick-wg0\n") == 1


def test_nft_makes_both_families_in_one_transaction() -> None:
    text = firewall.nft_text("wg0", 1, (6, 4), ADDRESSES)
    assert text.index("table ip6 wg-quick-wg0 {") < text.index("table ip wg-quick-wg0 {")


def test_names_that_nft_cannot_write_get_names_that_no_interface_has() -> None:
    assert firewall.table_name("a+b=") == "wg-quick-a/2bb/3d"
    assert firewall.table_name("wg-0.x_y") == "wg-quick-wg-0.x_y"


def test_iptables_text() -> None:
    lines = firewall.iptables_text("wg0", 51820, 6, ADDRESSES).splitlines()
    comment = '-m comment --comment "wg-quick(8) rule for wg0"'
    assert lines == [
        "*raw",
        f"-I PREROUTING ! -i wg0 -d fd00::1 -m addrtype ! --src-type LOCAL -j DROP {comment}",
        "COMMIT",
        "*mangle",
        f"-I POSTROUTING -m mark --mark 51820 -p udp -j CONNMARK --save-mark {comment}",
        f"-I PREROUTING -p udp -j CONNMARK --restore-mark {comment}",
        "COMMIT",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Address = 1\n[Peer]\nx",
        "[Interface]\nAddress = 1\n[Peer]\nAddress = 2\n[Peer]\n",
        "[Peer]\n[interface]\nDNS = 1\n  [Peer]\nDNS = 2",
        "[Interface]\nMTU = 1 # [Interface]\n[Peer]\nA\n [INTERFACE] # x\nMTU = 2\n[x]\nMTU = 3\n",
        "[Interface]\nMTU = 1\n[Peer]\n[Inter\0face]\nMTU = 2\n",
        "[Interface]\r\nPostDown = [ -e /x ]\n[ -e /y ]\nMTU = 2\r\n[Peer]\r\n",
    ],
)
def test_the_head_of_a_file_says_to_down_what_the_file_says(text: str, tmp_path: Path) -> None:
    path = tmp_path / "wg0.conf"
    path.write_bytes(text.encode())
    target = files.Target("wg0", str(path))
    whole, head = files.load(target), files.load_head(target)
    for name in ("addresses", "dns", "hooks", "mtu", "table", "save_config"):
        assert getattr(head, name) == getattr(whole, name)


@pytest.mark.parametrize(
    ("order", "prefix"),
    [
        (b"# c\nlo.inet6\nlo\ntun*\ntap*\n", "tun."),
        (b"lo\nvpn-x*\n", "vpn-x."),
        (b"lo\nvpn-x*", ""),
        (b"@(br|eth)*\n*\neth0*.inet\n", ""),
        (b"", ""),
    ],
)
def test_resolvconf_prefix(order: bytes, prefix: str) -> None:
    assert resolvconf.prefix(order) == prefix


def test_route_message_of_ipv4_to_the_byte() -> None:
    got = rtnetlink.encode_route("10.5.0.0/16", 3, 254, 7, ack=True)
    want = struct.pack("=IHHII", 52, 24, 0x605, 7, 0)
    want += struct.pack("=8BI", 2, 16, 0, 0, 254, 3, 253, 1, 0)
    want += struct.pack("=HH4s", 8, 1, bytes([10, 5, 0, 0]))
    want += struct.pack("=HHI", 8, 4, 3) + struct.pack("=HHI", 8, 15, 254)
    assert got == want


def test_route_message_of_an_ipv6_default_in_a_large_table() -> None:
    got = rtnetlink.encode_route("::/0", 3, 51820, 0, ack=False)
    want = struct.pack("=IHHII", 44, 24, 0x601, 0, 0)
    want += struct.pack("=8BI", 10, 0, 0, 0, 252, 3, 0, 1, 0)
    want += struct.pack("=HHI", 8, 4, 3) + struct.pack("=HHI", 8, 15, 51820)
    assert got == want


def test_route_message_needs_a_network() -> None:
    with pytest.raises(ValueError, match="not a network"):
        rtnetlink.encode_route("10.5/16", 3, 254, 0, ack=False)


def test_userspace_program() -> None:
    argv, shown = engines.userspace_command({})
    assert argv[1] == "-I"
    assert shown == "wgtools-engine"
    assert engines.userspace_command({engines.VARIABLE: ""})[1] == "wgtools-engine"
    assert engines.userspace_command({engines.VARIABLE: "boringtun"}) == (
        ["boringtun"],
        "boringtun",
    )


def test_file_without_comments_holds_the_running_state_and_the_hooks_as_written() -> None:
    text = "[Interface]\nMTU = 1400\nTable = Off\nDNS = 1.1.1.1, corp.example\nSaveConfig = TRUE\n"
    text += "PostDown = d && x 2>&1 \\\\ %i # t\nPreUp = u\n"
    peer = Peer(
        Key(bytes(range(32))),
        endpoint=Endpoint("192.0.2.1", 51820),
        allowed_ips=[AllowedIP.parse("10.0.0.2/32")],
    )
    device = Device("wg0", private_key=Key(bytes(32)), listen_port=5, fwmark=0xCA6C, peers=[peer])
    document = Document(text.encode())
    written = saved(
        document,
        QuickFile(document),
        device,
        addresses=["10.0.0.1/24", "fd00::1/64"],
        servers=["10.0.0.53"],
        mtu=1333,
    )
    assert written.decode() == (
        "[Interface]\nAddress = 10.0.0.1/24\nAddress = fd00::1/64\nDNS = 10.0.0.53\n"
        "DNS = corp.example\nMTU = 1333\nTable = Off\nSaveConfig = true\nPreUp = u\n"
        "PostDown = d && x 2>&1 \\\\ %i # t\nListenPort = 5\nFwMark = 0xca6c\n"
        f"PrivateKey = {Key(bytes(32)).base64()}\n\n"
        f"[Peer]\nPublicKey = {peer.public_key.base64()}\n"
        "AllowedIPs = 10.0.0.2/32\nEndpoint = 192.0.2.1:51820\n"
    )


MARK, SUPPRESS = Rule(6, 32765, 51820), Rule(4, 32764)


def rule_body(rule: Rule, *, more: bytes = b"", **header: int) -> bytes:
    """A rule as the kernel reports it: the mask is filled in, so is the protocol."""
    body = bytearray(rtnetlink.encode_rule(rule))
    for name, value in header.items():
        body[{"dst": 1, "src": 2, "tos": 3, "action": 7, "flags": 8}[name]] = value
    if rule.mark:
        body += struct.pack("=HHI", 8, 16, 0xFFFFFFFF) + struct.pack("=HHI", 8, 14, 0xFFFFFFFF)
    return bytes(body) + struct.pack("=HHB3x", 5, 21, 0) + more


@pytest.mark.parametrize("rule", [MARK, SUPPRESS], ids=lambda rule: rule.words)
def test_rules_of_ours_are_recognised(rule: Rule) -> None:
    assert rtnetlink.decode_rule(rule_body(rule), rule.family) == (rule.priority, rule)


@pytest.mark.parametrize("rule", [MARK, SUPPRESS], ids=lambda rule: rule.words)
@pytest.mark.parametrize(
    ("more", "header"),
    [
        (b"", {"src": 32}),
        (b"", {"dst": 8}),
        (b"", {"tos": 4}),
        (b"", {"action": 7}),
        (b"", {"flags": 1}),
        (struct.pack("=HH4s", 8, 3, b"eth0"), {}),
        (struct.pack("=HHB3x", 5, 22, 6), {}),
        (struct.pack("=HHI", 8, 14, 8), {}),
        (struct.pack("=HHI", 8, 15, 99), {}),
    ],
)
def test_narrower_rules_are_somebody_elses(rule: Rule, more: bytes, header: dict[str, int]) -> None:
    body = rule_body(rule, more=more, **header)
    assert rtnetlink.decode_rule(body, rule.family) == (rule.priority, None)


def test_attributes_of_newer_kernels_narrow_nothing() -> None:
    body = rule_body(MARK, more=struct.pack("=HHI", 8, 29, 0))
    assert rtnetlink.decode_rule(body, 6) == (32765, MARK)
