# SPDX-License-Identifier: MIT
"""Recorded conversations with wireguard-go, replayed (tests/vectors/wireguard_go.json).

What it sent must be understood; what we sent, with the same entropy, must come out again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wgtools.crypto.x25519 import public_key
from wgtools.engine.device import Engine
from wgtools.engine.events import HandshakeCompleted, Now
from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, Endpoint, PeerChange
from wgtools.testing.entropy import FakeEntropy
from wgtools.testing.link import frame
from wgtools.testing.packets import ipv4, is_sound, udp

RECORD = json.loads((Path(__file__).parents[2] / "vectors" / "wireguard_go.json").read_text())
HELLO = ipv4("10.77.0.1", "10.77.0.2", 17, udp(7, 7, b"hello"))
THERE = ("127.0.0.1", 51999)


def key(name: str) -> Key:
    return Key(bytes.fromhex(RECORD[name]))


@pytest.mark.parametrize("call", RECORD["calls"], ids=["we call", "they call"])
def test_a_recorded_conversation(call: dict[str, Any]) -> None:
    now = Now(0.0, RECORD["wall_ns"])
    engine = Engine(FakeEntropy(RECORD["seed"]))
    peer = PeerChange(
        Key(public_key(bytes(key("their_private")))),
        preshared_key=key("psk"),
        endpoint=Endpoint(*THERE),
        allowed_ips=[AllowedIP.parse("10.77.0.2/32")],
    )
    engine.configure(DeviceChange(private_key=key("our_private"), peers=[peer]), now)
    if call["we_call"]:
        engine.frame_received(frame(HELLO), now)
    packets, completed = [], []
    expected = [bytes.fromhex(text) for way, text in call["messages"] if way == "sent"]
    sent: list[bytes] = []
    for way, text in [*call["messages"], ("end", "")]:
        out = engine.outgoing()
        for _, _, data, size in out.datagrams:
            sent += [bytes(data[at : at + size]) for at in range(0, len(data), size)]
        packets += [b"".join(parts)[10:] for parts in out.frames]
        completed += [one for one in out.events if isinstance(one, HandshakeCompleted)]
        if way == "received":
            datagram = bytes.fromhex(text)
            engine.datagrams_received(datagram, len(datagram), THERE, None, now)
    assert sent == expected
    assert not engine.counters
    assert [one.initiator for one in completed] == [call["we_call"]]
    (packet,) = packets
    assert is_sound(packet)
    assert packet[9] == 1
    assert packet[20] == (3 if call["we_call"] else 8), "port unreachable, or a ping"
    if call["we_call"]:
        assert HELLO in packet
