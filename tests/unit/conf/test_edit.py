# SPDX-License-Identifier: MIT
"""A saved file keeps what its author wrote; what changed is changed in place."""

from __future__ import annotations

import pytest

from wgtools.conf import wgconf
from wgtools.conf.document import Document
from wgtools.conf.edit import edited, worth_keeping
from wgtools.conf.quickfile import QuickFile
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, Endpoint, Peer

PRIVATE, ONE, TWO, SHARED = (Key(bytes([n]) * 32) for n in range(1, 5))
FILE = f"""\
# Büro
[Interface]          # home
  PrivateKey = {PRIVATE.base64()}
Address=10.0.0.1/24,fd00::1/64 # both
ListenPort = 51820
# hooks below
PostUp = a && b 2>&1 \\\\ # tail

# the server
[Peer]
PublicKey = {ONE.base64()}
Endpoint = vpn.example.org:51820   # by name
AllowedIPs = 10.0.0.0/8, 192.168.7.5/24

# the laptop
[Peer]
PublicKey = {TWO.base64()}
AllowedIPs = 10.0.0.3/32
Endpoint=192.0.2.1:7
PersistentKeepalive = 25 # nat
"""


def device(**changes: object) -> Device:
    """What is running right after FILE was loaded."""
    server = Peer(
        ONE,
        endpoint=Endpoint("203.0.113.9", 51820),
        allowed_ips=[AllowedIP.parse("192.168.7.0/24"), AllowedIP.parse("10.0.0.0/8")],
    )
    laptop = Peer(
        TWO,
        endpoint=Endpoint("192.0.2.1", 7),
        allowed_ips=[AllowedIP.parse("10.0.0.3/32")],
        keepalive=25,
    )
    made = Device("wg0", private_key=PRIVATE, listen_port=51820, peers=[server, laptop])
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def edit(
    now: Device,
    text: str = FILE,
    addresses: tuple[str, ...] = ("10.0.0.1/24", "fd00::1/64"),
    dns: tuple[str, ...] = (),
    mtu: int = 1420,
) -> str:
    document = Document(text.encode())
    return edited(document, now, addresses=[*addresses], dns=[*dns], mtu=mtu).decode()


def test_nothing_changed_is_the_same_bytes() -> None:
    assert edit(device()) == FILE


def test_crlf_files_stay_so() -> None:
    text = FILE.replace("\n", "\r\n")
    assert edit(device(), text) == text
    assert edit(device(fwmark=1), text).count("\n") == edit(device(fwmark=1), text).count("\r\n")


@pytest.mark.parametrize(
    ("text", "keep"),
    [
        (FILE, True),
        ("[Interface]\nPostUp = a # b\n", False),
        ("[Peer]\nEndpoint = vpn.example.org:1\n", True),
        ("[Peer]\nEndpoint = [fd00::1]:1\n", False),
        ("[Peer]\nPublicKey = x # y\n", True),
    ],
)
def test_worth_keeping(text: str, keep: bool) -> None:
    assert worth_keeping(Document(text.encode())) is keep


def test_a_changed_value_keeps_its_line() -> None:
    laptop = device().peers[1]
    laptop.keepalive = 30
    laptop.endpoint = Endpoint("192.0.2.99", 8)
    laptop.preshared_key = SHARED
    now = device(listen_port=7, peers=[device().peers[0], laptop])
    want = FILE.replace("ListenPort = 51820", "ListenPort = 7")
    want = want.replace("Endpoint=192.0.2.1:7", "Endpoint=192.0.2.99:8")
    want = want.replace("= 25 # nat", f"= 30 # nat\nPresharedKey = {SHARED.base64()}")
    assert edit(now) == want


def test_new_settings_stand_behind_the_last_one_of_their_section() -> None:
    text = edit(device(fwmark=0xCA6C), dns=("10.0.0.53",))
    assert "\\\\ # tail\nDNS = 10.0.0.53\nFwMark = 0xca6c\n\n# the server" in text


def test_addresses_that_are_gone_go_and_new_ones_come_below() -> None:
    text = edit(device(), addresses=("10.0.0.1/24", "10.9.0.1/32"))
    assert "\nAddress=10.0.0.1/24 # both\nAddress = 10.9.0.1/32\n" in text


def test_a_length_of_thousands_of_digits_is_just_another_address() -> None:
    text = edit(device(), FILE.replace("10.0.0.1/24", f"10.0.0.1/{'1' * 5000}"))
    assert "\nAddress = 10.0.0.1/24\n" in text or "\nAddress=10.0.0.1/24" in text
    assert "11111" not in text


def test_a_removed_peer_takes_its_comment_along_and_a_new_one_comes_last() -> None:
    third = Peer(SHARED, allowed_ips=[AllowedIP.parse("10.0.0.4/32")])
    text = edit(device(peers=[device().peers[1], third]))
    assert "server" not in text
    assert "# the laptop\n[Peer]" in text
    assert text.endswith(f"\n\n[Peer]\nPublicKey = {SHARED.base64()}\nAllowedIPs = 10.0.0.4/32\n")


def test_the_mtu_only_where_the_file_has_one() -> None:
    assert "MTU" not in edit(device())
    assert "MTU = 1333 # x" in edit(
        device(), FILE.replace("# hooks", "MTU = 1400 # x\n# h"), mtu=1333
    )


def test_a_cleared_setting_goes() -> None:
    text = edit(device(), FILE.replace("ListenPort", "FwMark = 5\nListenPort"))
    assert text == FILE


def test_what_is_written_reads_as_what_is_running() -> None:
    now = device(listen_port=1, fwmark=9, peers=[device().peers[1]])
    text = edit(now, dns=("1.1.1.1", "corp.example")).encode()
    config = QuickFile(Document(text))
    assert [value.text for value in config.dns] == ["1.1.1.1", "corp.example"]
    change = wgconf.parse(config.wg_document())
    assert (change.listen_port, change.fwmark, change.private_key) == (1, 9, PRIVATE)
    assert [peer.public_key for peer in change.peers] == [TWO]
    assert edit(now, text.decode(), dns=("1.1.1.1", "corp.example")).encode() == text


def test_allowed_ips_that_changed_stand_in_the_first_of_their_lines() -> None:
    text = FILE.replace("AllowedIPs = 10.0.0.3/32", "AllowedIPs = 10.0.0.3/32\nallowedips=fd00::3")
    laptop = device().peers[1]
    laptop.allowed_ips = [AllowedIP.parse("10.0.0.5/32"), AllowedIP.parse("fd00::5/128")]
    want = FILE.replace("AllowedIPs = 10.0.0.3/32", "AllowedIPs = 10.0.0.5/32, fd00::5/128")
    assert edit(device(peers=[device().peers[0], laptop]), text) == want
    laptop.allowed_ips = []
    want = FILE.replace("AllowedIPs = 10.0.0.3/32\n", "")
    assert edit(device(peers=[device().peers[0], laptop]), text) == want


def test_a_file_without_an_interface_gets_one() -> None:
    text = edit(device(peers=[]), "", addresses=("10.0.0.1/24",))
    lines = text.splitlines()
    assert lines[0] == "[Interface]"
    assert sorted(lines[1:]) == sorted(
        ["Address = 10.0.0.1/24", "ListenPort = 51820", f"PrivateKey = {PRIVATE.base64()}"]
    )


def test_a_file_never_loses_its_key() -> None:
    """Who may not see the key, or a device that has none yet, must not cost the file its own."""
    assert edit(device(private_key=None)) == FILE


def test_what_wg_would_not_read_is_written_anew() -> None:
    broken = FILE.replace("ListenPort = 51820", "ListenPort = many # port")
    assert edit(device(), broken) == FILE.replace("= 51820\n", "= 51820 # port\n", 1)
    # A peer that cannot be read is none of those that run: it goes, and they are all there.
    text = edit(device(), FILE.replace("AllowedIPs = 10.0.0.3/32", "AllowedIPs = 10.0.0.3/99"))
    assert text.count("[Peer]") == 2
    assert "/99" not in text
    change = wgconf.parse(QuickFile(Document(text.encode())).wg_document())
    assert [peer.public_key for peer in change.peers] == [ONE, TWO]


def test_an_address_that_is_none_stays_a_word_of_its_own() -> None:
    text = FILE.replace("10.0.0.1/24", "10.0.0.1/x")
    assert "Address=fd00::1/64 # both\nAddress = 10.0.0.1/24\n" in edit(device(), text)
    kept = edit(device(), text, addresses=("10.0.0.1/x", "fd00::1/64"))
    assert kept == text


def test_an_endpoint_that_is_none_is_no_name_worth_keeping() -> None:
    assert not worth_keeping(Document(b"[Peer]\nEndpoint = vpn.example.org\n"))
