# SPDX-License-Identifier: MIT
"""Counters in order are marked together, and whatever happens they are marked."""

from __future__ import annotations

import pytest

from wgtools.engine.events import Drop
from wgtools.engine.receive import Receiver
from wgtools.testing.link import pair
from wgtools.testing.packets import ipv4


def test_what_was_accepted_before_an_error_of_ours_is_not_accepted_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    link = pair()
    a, b = link.hosts
    packet = ipv4("10.0.0.1", "10.0.0.2", 17, bytes(8))
    link.send(a, packet)
    link.run()
    link.send(a, packet)
    link.collect()
    (flying,) = link.flying

    def fail(*_: object) -> bool:
        raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr(Receiver, "_add", fail)
        with pytest.raises(RuntimeError):
            link.deliver(flying)
    before = b.engine.counters[Drop.REPLAYED_COUNTER]
    link.deliver(flying)
    assert b.engine.counters[Drop.REPLAYED_COUNTER] == before + 1


def test_a_buffer_with_one_packet_twice_gives_it_once() -> None:
    link = pair()
    a, b = link.hosts
    link.send(a, ipv4("10.0.0.1", "10.0.0.2", 17, bytes(8)))
    link.run()
    for _ in range(3):
        link.send(a, ipv4("10.0.0.1", "10.0.0.2", 17, bytes(8)))
    link.collect()
    (flying,) = link.flying
    data, size = flying.data, flying.size
    one, two, three = (data[at : at + size] for at in range(0, 3 * size, size))
    had = len(b.frames)
    b.engine.datagrams_received(
        one + two + two + one + three + three, size, a.address, None, link.clock.now
    )
    link.collect()
    assert len(b.frames) == had + 3
    assert b.engine.counters[Drop.REPLAYED_COUNTER] == 3
