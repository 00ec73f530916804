# SPDX-License-Identifier: MIT
"""The sending path when something of ours breaks in the middle of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from wgtools.engine.transmit import send_packets
from wgtools.testing.link import pair
from wgtools.testing.packets import ipv4, udp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wgtools.testing.link import Host, Link


def counters(host: Host) -> list[int]:
    """Of all datagrams that leave."""
    found = []
    for _, _, data, size in host.engine.outgoing().datagrams:
        datagrams = (data[at : at + size] for at in range(0, len(data), size))
        found += [int.from_bytes(one[8:16], "little") for one in datagrams]
    return found


def talk(joined: Link) -> None:
    joined.send(joined.hosts[0], ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2, b"hello")))


@pytest.mark.parametrize("breaks", ["what cuts up", "cipher"])
def test_no_counter_is_used_twice_whatever_breaks_half_way(breaks: str) -> None:
    joined = pair()
    a, _ = joined.hosts
    talk(joined)
    joined.run()
    (peer,) = a.engine._peers.values()
    session = peer.keyring.current
    assert session is not None
    seal, spans = session.seal, [(0, 64), (64, 144), (144, 240)]

    def packets() -> Iterator[tuple[int, int]]:
        yield from spans
        if breaks == "what cuts up":
            raise MemoryError

    def broken(nonce: bytes, *words: Any) -> Any:
        if breaks == "cipher" and nonce[4:] == (session.sent + 2).to_bytes(8, "little"):
            raise MemoryError
        return seal(nonce, *words)

    session.seal = broken
    with pytest.raises(MemoryError):
        send_packets(
            a.engine._context.outbox,
            session,
            memoryview(bytearray(256)),
            packets(),
            mtu=1420,
            address=("192.0.2.2", 2222),
            sticky=None,
        )
    session.seal = seal
    gone = counters(a)
    assert gone, "what was ready before leaves"
    talk(joined)
    (later,) = counters(a)
    assert later > max(gone)
