# SPDX-License-Identifier: MIT
"""From a frame of the TUN to datagrams: cut, complete, pad, encrypt.

Knows nothing of peers or timers: a session, a frame, where to.  Nothing is copied: the
cipher reads from the frame and writes into the outbox.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wgtools.engine.constants import PADDING_MULTIPLE
from wgtools.engine.messages import (
    KEEPALIVE_SIZE,
    NONCE,
    TRANSPORT,
    TRANSPORT_HEADER,
    TYPE_TRANSPORT,
)
from wgtools.engine.offload import (
    GSO_NONE,
    NEEDS_CSUM,
    NET_HEADER,
    NET_HEADER_SIZE,
    complete_checksum,
    segments,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wgtools.engine.events import Address, Sticky
    from wgtools.engine.offload import Sums
    from wgtools.engine.outbox import Outbox
    from wgtools.engine.session import Session

__all__ = ["cut", "padding", "send_keepalive", "send_packets"]

_ZEROS = bytes(PADDING_MULTIPLE)


def padding(length: int, mtu: int) -> int:
    """Zero bytes to add to a packet: up to a multiple of 16, but not past the MTU
    (whitepaper 5.4.6).  A packet longer than the MTU is padded as its last MTU's worth."""
    last = length % mtu if mtu and length > mtu else length
    padded = -(-last // PADDING_MULTIPLE) * PADDING_MULTIPLE
    return (min(padded, mtu) if mtu else padded) - last


def cut(frame: memoryview, end: int, sums: Sums) -> Iterable[tuple[int, int]]:
    """The packets of frame[:end], which opens with its virtio_net_hdr; empty if it is
    nonsense.  Take each before asking for the next (offload.segments)."""
    flags, gso_type, _, gso_size, start, offset = NET_HEADER.unpack_from(frame)
    if gso_type != GSO_NONE:
        return segments(frame, end, gso_type, gso_size, sums)
    if flags & NEEDS_CSUM and not complete_checksum(frame, end, NET_HEADER_SIZE + start, offset):
        return ()
    return ((NET_HEADER_SIZE, end),)


def send_packets(
    outbox: Outbox,
    session: Session[Any],
    frame: memoryview,
    packets: Iterable[tuple[int, int]],
    *,
    mtu: int,
    address: Address,
    sticky: Sticky,
) -> int:
    """Encrypt `packets`, given as (start, stop) in `frame`.  Returns the bytes on the wire.

    There must be 16 spare bytes behind the last packet, and counters left for all.
    """
    # One name for each of what every packet needs: attributes are looked up once.
    seal, remote_index, counter = session.seal, session.remote_index, session.sent
    pack_header, pack_nonce = TRANSPORT.pack_into, NONCE.pack
    sent = known = length = pad = size = at = begin = end = 0
    try:
        for start, stop in packets:
            if stop - start != length:
                length = stop - start
                pad = -length % PADDING_MULTIPLE
                if length + pad > mtu:
                    pad = padding(length, mtu)
                size = length + pad + KEEPALIVE_SIZE
            after = at + size
            if size != known or after > end:
                if at > begin:
                    outbox.datagrams(address, sticky, begin, at, known)
                known = size
                view, begin, end = outbox.rest(size)
                at = begin
                after = at + size
            if pad:
                covered = bytes(frame[stop : stop + pad])
                frame[stop : stop + pad] = _ZEROS[:pad]
            pack_header(view, at, TYPE_TRANSPORT, remote_index, counter)
            sealed = view[at + TRANSPORT_HEADER : after]
            nonce = pack_nonce(counter)
            counter += 1
            seal(nonce, frame[start : stop + pad], None, sealed)
            if pad:
                frame[stop : stop + pad] = covered
            at = after
            sent += size
        if at > begin:
            outbox.datagrams(address, sticky, begin, at, known)
    finally:
        session.sent = counter  # whatever happened: no counter is used twice (whitepaper 5.4.6)
    return sent


def send_keepalive(
    outbox: Outbox, session: Session[Any], *, address: Address, sticky: Sticky
) -> int:
    """Encrypt nothing.  Returns the bytes on the wire."""
    view, at = outbox.room(KEEPALIVE_SIZE)
    counter = session.sent
    session.sent = counter + 1
    TRANSPORT.pack_into(view, at, TYPE_TRANSPORT, session.remote_index, counter)
    session.seal(NONCE.pack(counter), b"", None, view[at + TRANSPORT_HEADER : at + KEEPALIVE_SIZE])
    outbox.datagrams(address, sticky, at, at + KEEPALIVE_SIZE, KEEPALIVE_SIZE)
    return KEEPALIVE_SIZE
