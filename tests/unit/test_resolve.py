# SPDX-License-Identifier: MIT
"""Patience with names: how often, how long, and when not (WG_COMPAT 3, 4.7)."""

from __future__ import annotations

import _socket
from collections.abc import Callable
from typing import NoReturn

import pytest

from wgtools.errors import ConfigError, UsageError
from wgtools.keys import Key
from wgtools.model import DeviceChange, Endpoint, HostPort, PeerChange
from wgtools.resolve import LookupFailed, Resolver, lookup, resolve

WANTED = HostPort.parse(b"vpn:51820")
FOUND = Endpoint("192.0.2.1", 51820)


class World:
    """A resolver's surroundings: fails `failures` times, then finds."""

    def __init__(self, failures: float, retries: bytes | None = None, final: bool = False) -> None:
        self.failures = failures
        self.final = final
        self.said: list[str] = []
        self.slept: list[float] = []
        self.asked = 0
        self.resolver = Resolver(
            self.said.append,
            environ=lambda _name: retries,
            sleep=self.slept.append,
            ask=self.ask,
        )

    def ask(self, _wanted: HostPort) -> Endpoint:
        self.asked += 1
        if self.asked <= self.failures:
            raise LookupFailed("No luck", final=self.final)
        return FOUND

    def endpoint(self) -> Endpoint:
        self.resolver.begin()
        return self.resolver.endpoint(WANTED)


def test_found_at_once() -> None:
    world = World(0)
    assert world.endpoint() == FOUND
    assert (world.said, world.slept) == ([], [])


def test_default_is_15_retries_with_growing_waits() -> None:
    world = World(15)
    assert world.endpoint() == FOUND
    waits = "1.00 1.20 1.44 1.73 2.07 2.49 2.99 3.58 4.30 5.16 6.19 7.43 8.92 10.70 12.84"
    assert [f"{seconds:.2f}" for seconds in world.slept] == waits.split()
    assert world.said == [
        f"No luck: `vpn:51820'. Trying again in {wait} seconds..." for wait in waits.split()
    ]


def test_gives_up_after_the_last_retry() -> None:
    world = World(16)
    with pytest.raises(ConfigError, match=r"^No luck: `vpn:51820'$"):
        world.endpoint()
    assert (world.asked, len(world.said)) == (16, 15)


def test_a_final_failure_is_not_tried_again() -> None:
    world = World(1, b"infinity", final=True)
    with pytest.raises(ConfigError, match=r"^No luck: `vpn:51820'$"):
        world.endpoint()
    assert world.asked == 1


def test_infinity_waits_twenty_seconds_in_the_end() -> None:
    world = World(100, b"infinity")
    assert world.endpoint() == FOUND
    assert [f"{seconds:.2f}" for seconds in world.slept[15:19]] == [
        "15.41",
        "18.49",
        "20.00",
        "20.00",
    ]
    assert world.slept[-1] == 20


@pytest.mark.parametrize(
    ("text", "retries"),
    [
        (b"", 0),
        (b"0", 0),
        (b" \t+2", 2),
        (b"007", 7),
        (b"-0", 0),
        (b"-18446744073709551613", 3),
        (b"0" * 5000, 0),
    ],
)
def test_number_of_retries(text: bytes, retries: int) -> None:
    world = World(99, text)
    with pytest.raises(ConfigError):
        world.endpoint()
    assert world.asked == retries + 1


@pytest.mark.parametrize(
    "text",
    [
        *(b"x", b" ", b"+", b"5 ", b"5x", b"-1", b"2147483648", b"Infinity", b"infinity "),
        *(b"9" * 5000, b"-99999999999999999999999", b"\xd9\xa5"),
    ],
)
def test_not_a_number_of_retries(text: bytes) -> None:
    shown = text.decode("utf-8", "surrogateescape")
    with pytest.raises(UsageError) as raised:
        World(0, text).endpoint()
    assert raised.value.message == (f"Unable to parse WG_ENDPOINT_RESOLUTION_RETRIES: `{shown}'")


def test_lookup_of_numbers_asks_nobody() -> None:
    assert lookup(HostPort.parse(b"[::FFFF:1.2.3.4]:080")) == Endpoint("::ffff:1.2.3.4", 80)


@pytest.mark.parametrize("port", [b"65536", b"-1", b"99999999999999999999"])
def test_lookup_refuses_ports_out_of_range_for_good(port: bytes) -> None:
    with pytest.raises(LookupFailed, match="Servname not supported") as raised:
        lookup(HostPort(b"vpn", port, b""))
    assert raised.value.final
    assert raised.value.hint.startswith("behind the colon stands a number")


def test_the_hint_is_about_what_is_wrong() -> None:
    """A port of no known name is not to be looked for in /etc/resolv.conf."""

    def fails(code: int, text: str) -> Callable[..., NoReturn]:
        def getaddrinfo(*_words: object) -> NoReturn:
            raise _socket.gaierror(code, text)

        return getaddrinfo

    hints = []
    for code in (_socket.EAI_SERVICE, _socket.EAI_AGAIN, _socket.EAI_NONAME):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_socket, "getaddrinfo", fails(code, "No luck"))
            said: list[str] = []
            resolver = Resolver(said.append, environ=lambda _name: b"0")
            resolver.begin()
            with pytest.raises(ConfigError, match="No luck: `vpn:wireguard'") as raised:
                resolver.endpoint(HostPort.parse(b"vpn:wireguard"))
            hints.append(raised.value.hint.split()[:3])
    assert hints == [
        ["behind", "the", "colon"],
        ["no", "name", "server"],
        ["no", "name", "server"],
    ]


def test_whole_change() -> None:
    peers = [PeerChange(Key(bytes(32)), endpoint=where) for where in (WANTED, None, FOUND)]
    resolve(DeviceChange(peers=peers), World(0).resolver)
    assert [peer.endpoint for peer in peers] == [FOUND, None, FOUND]
