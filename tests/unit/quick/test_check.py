# SPDX-License-Identifier: MIT
"""Everything is judged before anything is touched, several mistakes at once."""

from __future__ import annotations

import pytest

from wgtools.conf.document import Document
from wgtools.conf.quickfile import QuickFile
from wgtools.quick.check import Checked, ConfigErrors, check, parse_address

TABLES = {"main": 254, "wgvpn": 51820}


def judge(lines: str) -> Checked:
    config = QuickFile(Document(f"[Interface]\n{lines}\n".encode(), "wg0.conf"))
    return check(config, tables=TABLES, bad_hook=lambda hook: hook == "if then")


def mistakes(lines: str) -> list[tuple[str, str]]:
    with pytest.raises(ConfigErrors) as caught:
        judge(lines)
    return [(error.where, error.message) for error in caught.value.errors]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("10.0.0.1/24", "10.0.0.1/24"),
        ("10.0.0.1", "10.0.0.1/32"),
        ("10.1/16", "10.1.0.0/16"),
        ("10.0.0.1/255.255.255.0", "10.0.0.1/24"),
        ("10.0.0.0/31", "10.0.0.0/31"),
        (f"10.{'0' * 5000}.0.01", "10.0.0.1/32"),
        ("FD00:0:0:0:0:0:0:00AB/64", "fd00::ab/64"),
        ("fd00::1", "fd00::1/128"),
    ],
)
def test_addresses_that_ip_takes(text: str, meant: str) -> None:
    assert str(parse_address(text)) == meant


@pytest.mark.parametrize(
    "text",
    [
        *("10.0.0.1/33", "10.0.0.256/8", "10.0.0.1/", "10.0.0.1/-1", "1.2.3.4.5", "a", "/8", "٣.1"),
        *("10.0.0.1/255.0.255.0", "10.0.0.1/0.0.0.255"),
        *("fd00::1/129", "fd00::1/ffff::", "fe80::1%eth0/64"),
        *("1" * 5000, f"10.{'2' * 5000}", f"10.0.0.1/{'3' * 5000}"),
    ],
)
def test_addresses_that_are_none(text: str) -> None:
    assert parse_address(text) is None


def test_several_mistakes_at_once_each_with_its_place() -> None:
    lines = "Address = 10.0.0.1/24, 10.0.0.1/33\nMTU = big\nTable = nosuch\nPostUp = if then\n"
    lines += "SaveConfig = yes\nBogus = 1"
    assert mistakes(lines) == [
        ("wg0.conf:2:24", "`10.0.0.1/33' is not an address"),
        ("wg0.conf:3:7", "`big' is not an MTU"),
        ("wg0.conf:4:9", "`nosuch' is not a routing table"),
        ("wg0.conf:5:10", "the shell cannot read this hook"),
        ("wg0.conf:6:14", "`yes' is neither true nor false"),
        ("wg0.conf:7:1", "Line unrecognized: `Bogus=1'"),
    ]


@pytest.mark.parametrize(
    ("word", "table", "number"),
    [
        ("OFF", "off", 0),
        ("Auto", "auto", 0),
        ("", "auto", 0),
        ("main", "main", 254),
        ("MAIN", "MAIN", 254),
        ("wgvpn", "wgvpn", 51820),
        ("0x4d2", "0x4d2", 1234),
        ("010", "010", 8),
        ("1234", "1234", 1234),
    ],
)
def test_tables(word: str, table: str, number: int) -> None:
    checked = judge(f"Table = {word}")
    assert (checked.table, checked.table_number) == (table, number)


@pytest.mark.parametrize("word", ["-1", "0", "4294967296", "1_0", "1.5", "0x", "nosuch"])
def test_tables_that_are_none(word: str) -> None:
    assert [message for _, message in mistakes(f"Table = {word}")] == [
        f"`{word}' is not a routing table"
    ]


@pytest.mark.parametrize(("word", "mtu"), [("1400", 1400), ("0x578", 1400), ("", None)])
def test_mtu(word: str, mtu: int | None) -> None:
    assert judge(f"MTU = {word}").mtu == mtu


@pytest.mark.parametrize("word", ["70000", "67", "-5", "1500 1400", "1_400"])
def test_mtu_that_is_none(word: str) -> None:
    assert mistakes(f"MTU = {word}")[0][1] == f"`{word}' is not an MTU"


def test_what_is_doubtful_is_a_warning() -> None:
    checked = judge("Address = fd00::1/64\nMTU = 1200\nDNS = 1234, example.org")
    assert [warning.line for warning in checked.warnings if warning.line] == [3, 4]


def test_mistakes_of_the_wg_part_are_all_told_up_to_a_bad_header() -> None:
    lines = (
        "ListenPort = x\nBogus\n[Peer]\nPublicKey = short\nAllowedIPs = 1.2.3.4/99\n[Pear]\nX = 1"
    )
    assert [where for where, _ in mistakes(lines)] == [
        *("wg0.conf:2:14", "wg0.conf:3:1", "wg0.conf:5:13", "wg0.conf:6:14", "wg0.conf:7:1"),
    ]


def test_a_peer_without_a_key_is_told_if_nothing_else_is() -> None:
    assert mistakes("[Peer]\nAllowedIPs = 10.0.0.1/32") == [
        ("wg0.conf:2", "A peer is missing a public key")
    ]


def test_every_mistake_of_a_list_is_told() -> None:
    lines = "[Peer]\nPublicKey = SORGYj8hT82v7mOW1jC/t0COKfHqUQP9t899AKiyxGs=\n"
    lines += "AllowedIPs = 10.0.0/8, 10.0.0.0/8 ,300.1.1.1,,10.0.0.0/40 # , x"
    config = QuickFile(Document(f"[Interface]\n{lines}\n".encode(), "wg0.conf"))
    with pytest.raises(ConfigErrors) as caught:
        check(config, tables=TABLES, bad_hook=lambda _: False)
    assert [(error.where, error.message) for error in caught.value.errors] == [
        ("wg0.conf:4:14", "Unable to parse IP address: `10.0.0'"),
        ("wg0.conf:4:36", "Unable to parse IP address: `300.1.1.1'"),
        ("wg0.conf:4:46", "Unable to parse IP address: `'"),
        ("wg0.conf:4:47", "AllowedIP is not in the correct format: `10.0.0.0/40'"),
    ]
    assert {error.hint for error in caught.value.errors} == {"write IP/LENGTH: 10.0.0.2/32"}


@pytest.mark.parametrize("text", ["\x7fELF\2\1\1" + 9 * "\0", "[Interface]\nMTU = 1\n"])
def test_what_is_no_text_is_one_mistake(text: str) -> None:
    config = QuickFile(Document(text.encode("utf-16"), "wg0.conf"))
    with pytest.raises(ConfigErrors) as caught:
        check(config, tables=TABLES, bad_hook=lambda _: False)
    assert [str(error) for error in caught.value.errors] == ["wg0.conf: this is not a text file"]
    assert "UTF-8" in caught.value.errors[0].hint


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("10.0.0.53, corp.example, corp.example., ~corp, ~., fd00::53, b\u00fccher.example", []),
        ("dns..bad", ["`dns..bad' is not a domain"]),
        (f".corp {64 * 'a'}.b", ["`.corp' is not a domain", f"`{64 * 'a'}.b' is not a domain"]),
        ("/etc/resolv.conf", ["`/etc/resolv.conf' is not a domain"]),
        ("10.0.0.53;10.0.0.54", ["`10.0.0.53;10.0.0.54' is not a domain"]),
        ("https://dns.example/q", ["`https://dns.example/q' is not the address of a name server"]),
        ("10.0.0.300", ["`10.0.0.300' is not the address of a name server"]),
    ],
)
def test_odd_words_of_dns_are_warnings(words: str, told: list[str]) -> None:
    key = "SORGYj8hT82v7mOW1jC/t0COKfHqUQP9t899AKiyxGs="
    warnings = judge(f"PrivateKey = {key}\nDNS = {words}").warnings
    hidden = [text.replace(64 * "a", "(hidden)") for text in told]
    assert [warning.message for warning in warnings] == hidden
    assert ["separated by commas" in warning.hint for warning in warnings] == [";" in words] * len(
        told
    )


def test_a_key_with_a_typing_error_is_not_shown() -> None:
    key = "SORGYj8hT82v7mOW1jC/t0COKfHqUQP9t899AKiyxG="
    assert mistakes(f"PrivateKey = {key}") == [
        ("wg0.conf:2:14", "Key is not the correct length or format")
    ]


def test_no_key_in_any_message() -> None:
    key = "SORGYj8hT82v7mOW1jC/t0COKfHqUQP9t899AKiyxGs="
    for _, message in mistakes(f"PrivateKey = {key}\nAddress = x\nMTU = y"):
        assert key not in message


@pytest.mark.parametrize(
    ("text", "hints"),
    [
        ("[Interface]\nAdress = 10.0.0.1/24", ["did you mean Address?"]),
        ("[Peer]\nAllowedIps2 = 10.0.0.0/8", ["did you mean AllowedIPs?"]),
        ("[Interface]\nEndpoint = 192.0.2.1:1", ["Endpoint belongs under [Peer]"]),
        ("# [Interface]\nAddress = 10.0.0.1", ["put a line [Interface] above it"]),
        ("[Interface]\n[Peers]\nPublicKey = x", ["did you mean [Peer]?"]),
        ("[Interface]\nnonsense", ["write KEY = VALUE"]),
        ("[Peer]\nEndpoint = 192.0.2.1", ["write HOST:PORT: vpn.example.org:51820"]),
        ("[Peer]\nAllowedIPs = 10.0.0.300/8", ["write IP/LENGTH: 10.0.0.2/32"]),
        (
            "\ufeff[Interface]\nAddress = 10.0.0.1",
            ["the file begins with a byte-order mark: save it as UTF-8 without one"],
        ),
    ],
)
def test_every_mistake_says_what_to_do(text: str, hints: list[str]) -> None:
    config = QuickFile(Document(text.encode(), "wg0.conf"))
    with pytest.raises(ConfigErrors) as caught:
        check(config, tables=TABLES, bad_hook=lambda _: False)
    assert [error.hint for error in caught.value.errors] == hints
