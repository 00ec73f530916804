# SPDX-License-Identifier: MIT
"""Cookie replies that an onlooker makes up: what they may cost us."""

from __future__ import annotations

import pytest

from wgtools.crypto.aead import InvalidTag
from wgtools.engine.events import Drop
from wgtools.engine.messages import TYPE_COOKIE_REPLY
from wgtools.testing.link import pair
from wgtools.testing.packets import ipv4, udp

PACKET = ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2, bytes(20)))


def _false_cookie(index: bytes) -> bytes:
    return bytes([TYPE_COOKIE_REPLY, 0, 0, 0]) + index + bytes(56)


def test_an_onlooker_cannot_make_us_open_cookie_replies_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened = []

    def xunseal(*words: bytes) -> bytes:
        opened.append(words)
        raise InvalidTag

    joined = pair()
    a, b = joined.hosts
    joined.send(a, PACKET)
    joined.collect()
    index = joined.seen[-1].data[4:8]
    with monkeypatch.context() as patch:
        patch.setattr("wgtools.engine.cookie.xunseal", xunseal)
        for _ in range(100):
            a.engine.datagrams_received(_false_cookie(index), 64, b.address, None, joined.clock.now)
    assert len(opened) == 8
    assert a.engine.counters[Drop.BAD_COOKIE_REPLY] == 100


def test_no_cookie_reply_is_opened_when_the_handshake_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    joined = pair()
    joined.send(joined.hosts[0], PACKET)
    joined.run()

    def xunseal(*_words: bytes) -> bytes:
        raise AssertionError

    monkeypatch.setattr("wgtools.engine.cookie.xunseal", xunseal)
    initiation, response = joined.seen[:2]
    for host, sent in zip(joined.hosts, (initiation, response), strict=True):
        message = _false_cookie(sent.data[4:8])
        host.engine.datagrams_received(message, 64, sent.destination, None, joined.clock.now)
        assert host.engine.counters[Drop.BAD_COOKIE_REPLY] == 1
