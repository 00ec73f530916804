# SPDX-License-Identifier: MIT
"""The grammars of single values (WG_COMPAT 4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgtools.conf import values
from wgtools.errors import ConfigError
from wgtools.model import Endpoint, HostPort

GOOD = b"2MM6Up7zgrIBGXHV5AW/HijmDAFY5j3B2G+9I4ykZZM="


class Recorder:
    """A Resolver that says what it was asked."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def begin(self) -> None:
        self.asked.append("begin")

    def endpoint(self, wanted: HostPort) -> Endpoint:
        self.asked.append(wanted.text)
        return Endpoint("192.0.2.1", 1)

    def port(self, name: bytes) -> int:
        self.asked.append(name)
        return 53


def problem(function: object, *arguments: object) -> str:
    assert callable(function)
    with pytest.raises(ConfigError) as raised:
        function(*arguments)
    return raised.value.message


def test_key() -> None:
    assert values.key(GOOD).base64().encode() == GOOD
    assert problem(values.key, b"\xffx") == ("Key is not the correct length or format: `\udcffx'")


@pytest.mark.parametrize("tail", [b"", b"\n", b" \t\n\v\f\r"])
def test_key_file(tail: bytes) -> None:
    assert values.key_file(GOOD + tail, may_be_empty=False) == values.key(GOOD)


def test_empty_key_file_is_zero_only_when_trusted() -> None:
    assert values.key_file(b"", may_be_empty=True).is_zero
    with pytest.raises(ConfigError, match="Invalid length key in key file"):
        values.key_file(b"", may_be_empty=False)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\n", "Invalid length key in key file"),
        (GOOD[:43], "Invalid length key in key file"),
        (GOOD + b"\n\0", "Found trailing character in key file: `\0'"),
        (b" " + GOOD, "Found trailing character in key file: `='"),
        (b"x" * 44 + b"y", "Found trailing character in key file: `y'"),
        (b"x" * 44, f"Key is not the correct length or format: `{'x' * 44}'"),
        (b"abc\0" + b"x" * 40, "Key is not the correct length or format: `abc'"),
    ],
)
def test_key_file_refuses(content: bytes, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        values.key_file(content, may_be_empty=True)
    assert raised.value.message == said


def test_port_asks_only_for_names() -> None:
    resolver = Recorder()
    assert values.port(b"51820", resolver) == 51820
    assert values.port(b" +080", resolver) == 80
    assert resolver.asked == []
    assert values.port(b"domain", resolver) == 53
    assert resolver.asked == [b"domain"]


@pytest.mark.parametrize("text", [b"65536", b"-1", b"99999999999999999999999"])
def test_port_out_of_range(text: bytes) -> None:
    said = f"Servname not supported for ai_socktype: `{text.decode()}'"
    assert problem(values.port, text, Recorder()) == said


def test_port_refuses_nothing_and_names_without_a_resolver() -> None:
    assert problem(values.port, b"", Recorder()) == "Unable to parse empty port"
    said = "Servname not supported for ai_socktype: `domain'"
    assert problem(values.port, b"domain", values.Unresolved()) == said


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        (b"off", 0),
        (b"OfF", 0),
        (b"0", 0),
        (b"010", 10),
        (b"4294967295", 0xFFFFFFFF),
        (b"0" * 5000 + b"1", 1),
        (b"0xcafe", 0xCAFE),
        (b"0xCAFE", 0xCAFE),
        (b"0x" + b"0" * 5000 + b"ffffffff", 0xFFFFFFFF),
        (b"0x0", 0),
    ],
)
def test_fwmark(text: bytes, mark: int) -> None:
    assert values.fwmark(text) == mark


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"0x", b"0X1", b"0xg", b"0x-1", b"0x0x1", b"0x1_0", b"-1", b"+1", b" 1", b"1 "),
        *(b"1_0", b"4294967296", b"0x100000000", b"o\xc5\xbff", b"\xd9\xa1", b"9" * 5000),
    ],
)
def test_fwmark_refuses(text: bytes) -> None:
    assert problem(values.fwmark, text).startswith("Fwmark is neither 0/off nor 0-0xffffffff: `")


@given(st.integers(0, 65535), st.integers(0, 30))
def test_keepalive(seconds: int, zeros: int) -> None:
    assert values.keepalive(b"0" * zeros + b"%d" % seconds) == seconds


@pytest.mark.parametrize("text", [b"", b"65536", b"-1", b"0x1", b"25s", b"9" * 5000, b"\xb2"])
def test_keepalive_refuses(text: bytes) -> None:
    said = "Persistent keepalive interval is neither 0/off nor 1-65535: `"
    assert problem(values.keepalive, text).startswith(said)
    assert values.keepalive(b"OFF") == 0


def test_endpoint_reads_the_retries_before_the_text() -> None:
    resolver = Recorder()
    assert problem(values.endpoint, b"", resolver) == "Unable to parse empty endpoint"
    assert resolver.asked == ["begin"]
    assert values.endpoint(b"a:1", resolver) == Endpoint("192.0.2.1", 1)
    assert resolver.asked == ["begin", "begin", b"a:1"]


def test_endpoint_without_a_resolver_stays_as_written() -> None:
    assert values.endpoint(b"a:1", values.Unresolved()) == HostPort(b"a", b"1", b"a:1")


@pytest.mark.parametrize(
    ("text", "networks", "incremental"),
    [
        (b"", [], False),
        (b"10.0.0.1", ["10.0.0.1/32"], False),
        (b"::/0,10.0.0.0/08", ["::/0", "10.0.0.0/8"], False),
        (b"+10.0.0.0/8,11.0.0.0/8", ["10.0.0.0/8", "11.0.0.0/8"], True),
        (b"-10.0.0.0/8", ["-10.0.0.0/8"], True),
    ],
)
def test_allowed_ips(text: bytes, networks: list[str], incremental: bool) -> None:
    found, signed = values.allowed_ips(text, pytest.fail)
    assert [f"{'-' if net.remove else ''}{net}" for net in found] == networks
    assert signed == incremental


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b",", "Unable to parse IP address: `'"),
        (b"10.0.0.0/8,", "Unable to parse IP address: `'"),
        (b"++10.0.0.0/8", "Unable to parse IP address: `+10.0.0.0'"),
        (b"-x/8", "Unable to parse IP address: `x'"),
        (b"[::1]/64", "Unable to parse IP address: `[::1]'"),
        (b"10.0.0.0/", "AllowedIP is not in the correct format: `10.0.0.0/'"),
        (b"+10.0.0.0/33", "AllowedIP is not in the correct format: `10.0.0.0/33'"),
        (b"::/129", "AllowedIP is not in the correct format: `::/129'"),
        (b"::/1/2", "AllowedIP is not in the correct format: `::/1/2'"),
        (b"10.0.0.0/+8", "AllowedIP is not in the correct format: `10.0.0.0/+8'"),
    ],
)
def test_allowed_ips_refuses(text: bytes, said: str) -> None:
    assert problem(values.allowed_ips, text, values.quiet) == said


def test_host_part_is_warned_about_in_order_and_kept() -> None:
    warned: list[str] = []
    found, _ = values.allowed_ips(b"-10.0.0.1/08,::1/127,::1/128,0.0.0.0/0", warned.append)
    assert warned == [
        "Warning: AllowedIP has nonzero host part: 10.0.0.1/08",
        "Warning: AllowedIP has nonzero host part: ::1/127",
    ]
    assert found[0].address == bytes([10, 0, 0, 1])
    with pytest.raises(ConfigError):
        values.allowed_ips(b"10.0.0.1/8,x", warned.append)
    assert len(warned) == 3
