# SPDX-License-Identifier: MIT
"""The handshake against bytes that other implementations made (tests/vectors/handshake.json)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wgtools.engine import tai64n
from wgtools.engine.cookie import CookieChecker, CookieJar
from wgtools.engine.messages import NONCE
from wgtools.engine.noise import Handshake, Identity, open_initiation
from wgtools.engine.session import Session
from wgtools.testing.entropy import FakeEntropy

CASES = json.loads((Path(__file__).parents[2] / "vectors" / "handshake.json").read_text())["cases"]


@pytest.fixture(params=CASES, ids=lambda case: str(case["name"]))
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    raw = {key: value for key, value in request.param.items() if key != "name"}
    return {key: bytes.fromhex(value) for key, value in raw.items()}


def _wall_ns(stamp: bytes) -> int:
    seconds = int.from_bytes(stamp[:8], "big") - 0x400000000000000A
    return seconds * 10**9 + int.from_bytes(stamp[8:], "big")


def _session(keys: tuple[bytes, bytes, bool]) -> Session[None]:
    return Session(None, keys=keys, local_index=0, remote_index=0, created=0.0)


def _seal(session: Session[None], data: bytes) -> bytes:
    out = bytearray(len(data) + 16)
    session.seal(NONCE.pack(0), data, None, out)
    return bytes(out)


def _open(session: Session[None], data: bytes) -> bytes:
    out = bytearray(len(data) - 16)
    session.open(NONCE.pack(0), data, None, out)
    return bytes(out)


def _initiate(case: dict[str, Any]) -> tuple[Identity, Handshake, bytes]:
    identity = Identity(case["initiator_static"])
    handshake = Handshake(case["responder_public"])
    handshake.psk = case["psk"]
    body = handshake.create_initiation(
        identity,
        index=int.from_bytes(case["initiation"][4:8], "little"),
        ephemeral=case["initiator_ephemeral"],
        wall_ns=_wall_ns(case["stamp"]),
    )
    return identity, handshake, body


def test_public_keys(case: dict[str, Any]) -> None:
    assert Identity(case["initiator_static"]).public == case["initiator_public"]
    assert Identity(case["responder_static"]).public == case["responder_public"]


def test_as_initiator(case: dict[str, Any]) -> None:
    identity, handshake, body = _initiate(case)
    jar = CookieJar(case["responder_public"])
    assert jar.close(body, 0.0) == case["initiation"]
    handshake.consume_response(identity, case["response"])
    session = _session(handshake.derive_keys())
    assert session.initiator
    assert _seal(session, case["packet"]) == case["data"][16:]
    assert _open(session, case["keepalive"][16:]) == b""


def test_as_responder(case: dict[str, Any]) -> None:
    identity = Identity(case["responder_static"])
    opened = open_initiation(identity, case["initiation"])
    assert opened.static == case["initiator_public"]
    handshake = Handshake(opened.static)
    handshake.psk = case["psk"]
    stamp = handshake.authenticate(identity, opened)
    assert stamp == case["stamp"]
    handshake.consume_initiation(identity, opened, stamp)
    body = handshake.create_response(
        index=int.from_bytes(case["response"][4:8], "little"),
        ephemeral=case["responder_ephemeral"],
    )
    assert CookieJar(case["initiator_public"]).close(body, 0.0) == case["response"]
    session = _session(handshake.derive_keys())
    assert not session.initiator
    assert _open(session, case["data"][16:]) == case["packet"]
    assert _seal(session, b"") == case["keepalive"][16:]


def test_mac1_of_both_messages(case: dict[str, Any]) -> None:
    for who, message in (("responder", "initiation"), ("initiator", "response")):
        checker = CookieChecker(case[f"{who}_public"], bytes)
        assert checker.mac1_is_valid(case[message])
        for at in range(0, len(case[message]) - 16, 7):
            changed = bytearray(case[message])
            changed[at] ^= 0x80
            assert not checker.mac1_is_valid(bytes(changed))


def test_a_cookie_reply_makes_the_next_mac2(case: dict[str, Any]) -> None:
    _, _, body = _initiate(case)
    jar = CookieJar(case["responder_public"])
    jar.close(body, 0.0)
    assert jar.take(case["cookie_reply"], 1.0)
    assert jar.close(body, 2.0) == case["initiation_with_mac2"]
    assert jar.close(body, 122.0)[-16:] == bytes(16), "a cookie is good for two minutes"


def test_our_cookie_reply_is_read_by_what_reads_theirs(case: dict[str, Any]) -> None:
    """The checker's reply is opened by a jar that test_a_cookie_reply... holds to libsodium."""
    checker = CookieChecker(case["responder_public"], FakeEntropy(3))
    _, _, body = _initiate(case)
    jar = CookieJar(case["responder_public"])
    first = jar.close(body, 0.0)
    address = ("192.0.2.1", 7)
    assert not checker.mac2_is_valid(first, address, 0.0)
    assert jar.take(checker.reply(first, address, 0.0), 0.0)
    second = jar.close(body, 1.0)
    assert checker.mac2_is_valid(second, address, 1.0)
    assert not checker.mac2_is_valid(second, ("192.0.2.1", 8), 1.0)
    assert not checker.mac2_is_valid(second, ("192.0.2.2", 7), 1.0)
    assert not checker.mac2_is_valid(second, address, 121.0), "the secret has changed"


def test_a_stamp_is_tai64n_of_its_moment() -> None:
    # cr.yp.to/libtai/tai64.html: 1992-06-02 08:07:09 TAI is 400000002a2b2c2d; WireGuard
    # takes TAI to be ten seconds ahead of Unix time, for ever.
    assert tai64n.stamp((0x2A2B2C2D - 10) * 10**9)[:8].hex() == "400000002a2b2c2d"


def test_stamps_are_coarse_and_always_grow() -> None:
    last = tai64n.ZERO
    wall = 1_700_000_000 * 10**9 + 999_999_999
    for step in (0, 0, 1, 10**9, -(10**12), 0, 10**13):
        wall += step
        stamp = tai64n.stamp(wall, last)
        assert stamp > last
        assert int.from_bytes(stamp[8:], "big") % (1 << 24) == 0
        assert int.from_bytes(stamp[8:], "big") < 10**9
        last = stamp
