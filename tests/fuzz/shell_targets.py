# SPDX-License-Identifier: MIT
"""Fuzz target: the sockets' edge: what the system calls say, whatever they say.

The promise: what was received reaches the engine datagram by datagram as it came, in
order, but for what is counted; what is to be sent goes out once, or is counted once.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from tests.fuzz.dice import Dice
from wgtools.daemon.loop import Loop
from wgtools.daemon.udp import Sticky, UDPSockets
from wgtools.engine.events import Address

_SEGMENT, _GRO, _SOL_UDP = 103, 104, 17  # linux/udp.h
_TUN = 5
_ERRNOS = (
    *(errno.ENOBUFS, errno.EPERM, errno.EMSGSIZE, errno.ENETUNREACH, errno.EHOSTUNREACH),
    *(errno.EINVAL, errno.EIO, errno.EADDRNOTAVAIL, errno.ECONNREFUSED, errno.EINTR),
)
_ADDRESSES: tuple[Address, ...] = (
    ("192.0.2.2", 7),
    ("192.0.2.2", 8),
    ("192.0.2.3", 0),
    ("2001:db8::2", 7, 0, 0),
)


class _Socket:
    """Plays the kernel as the dice want it."""

    def __init__(self, family: int, dice: Dice) -> None:
        self.family = family
        self.dice = dice
        self.waiting = 0
        self.received: list[tuple[bytes, Address]] = []
        self.sent: list[bytes] = []
        self.lost = 0

    def setsockopt(self, *_: object) -> None:
        if self.dice.below(8) == 1:
            raise OSError(errno.ENOPROTOOPT, "no")

    def setblocking(self, _: bool) -> None:
        pass

    def bind(self, _: object) -> None:
        pass

    def getsockname(self) -> tuple[str, int]:
        return "", 7

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        pass

    def recvmsg_into(self, buffers: list[memoryview], _room: int) -> object:
        if not self.waiting:
            raise BlockingIOError(errno.EAGAIN, "nothing")
        self.waiting -= 1
        dice = self.dice
        if dice.below(10) == 9:
            raise OSError(dice.pick(_ERRNOS), "refused")
        size = dice.pick((1, 32, 148, 1452, 0))
        data = bytes([dice.number()]) * (size * (1 + dice.below(44))) + bytes(dice.below(size + 1))
        data = data[:65535]
        buffers[0][: len(data)] = data
        ancillary: list[tuple[int, int, bytes]] = []
        merged = len(data) > size and dice.below(4) > 0
        if merged:
            ancillary.append((_SOL_UDP, _GRO, struct.pack("=i", size)))
        address = dice.pick(_ADDRESSES)
        tunnelled = self._info(ancillary)
        step = (size or len(data)) if merged else len(data)
        if address[1] and not tunnelled and data:
            self.received += [
                (data[at : at + step], address) for at in range(0, len(data), max(step, 1))
            ]
        return len(data), ancillary, 0, address

    def _info(self, ancillary: list[tuple[int, int, bytes]]) -> bool:
        """Perhaps a word on where it was sent to; True if it came through our own tunnel."""
        dice = self.dice
        match dice.below(4):
            case 1:
                index = dice.pick((1, 2, _TUN))
                where = bytes([192, 0, 2, dice.below(3)])
                ancillary.append((socket.IPPROTO_IP, 8, struct.pack("=i4s4s", index, where, where)))
                return index == _TUN
            case 2:
                index = dice.pick((1, 2, _TUN))
                first = bytes([dice.pick((0x20, 0xFE, 0xFF)), 0x80]).ljust(16, b"\1")
                ancillary.append((socket.IPPROTO_IPV6, 50, struct.pack("=16si", first, index)))
                return index == _TUN
            case 3:
                ancillary.append((dice.below(60), dice.below(120), dice.take(dice.below(24))))
                # Not one of ours by accident.
                level, kind, _ = ancillary[-1]
                if (level, kind) == (_SOL_UDP, _GRO) or kind in (8, 50):
                    ancillary.pop()
        return False

    def sendmsg(
        self,
        buffers: Sequence[memoryview],
        control: Sequence[tuple[int, int, bytes]],
        _flags: int,
        _address: object,
    ) -> int:
        if self.dice.below(3) == 2:
            number = self.dice.pick(_ERRNOS)
            raise OSError(number, os.strerror(number))
        data = b"".join(buffers)
        sizes = [struct.unpack("=H", one)[0] for _, kind, one in control if kind == _SEGMENT]
        size = sizes[0] if sizes else len(data)
        self.sent += [data[at : at + size] for at in range(0, len(data), size)]
        return len(data)


class _Ledger:
    """An engine that writes down what reaches it."""

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, Address]] = []
        self.stickies: list[Sticky] = []

    def datagrams_received(
        self, data: memoryview, size: int, address: Address, sticky: Sticky | None, _now: object
    ) -> None:
        whole = bytes(data)
        self.taken += [(whole[at : at + size], address) for at in range(0, len(whole), size)]
        if sticky is not None:
            self.stickies.append(sticky)


def sockets(data: bytes) -> None:
    """Receives of all shapes through the loop, then sends with refusals of all kinds."""
    dice = Dice(data)
    made: list[_Socket] = []

    def open_socket(family: int, _kind: int) -> socket.socket:
        made.append(_Socket(family, dice))
        return cast(socket.socket, made[-1])

    try:
        udp = UDPSockets(7, open_socket=open_socket)
    except OSError:
        return  # without IPV6_V6ONLY there is no pair of sockets
    udp.tun_index = _TUN
    ledger = _Ledger()
    room = memoryview(bytearray(256 << 10 << 1))
    loop: Any = object.__new__(Loop)  # only its reading, without the selector and the files
    loop._interface = SimpleNamespace(udp=udp)
    loop._udp_registered = udp.sockets
    loop._datagrams = room
    loop._engine = ledger
    loop._now = None
    loop._heard, loop._turns = {}, 0
    for _ in range(20):
        if not dice.more:
            break
        if dice.below(2):
            _receive(loop, dice, dice.pick(made), ledger)
        else:
            _send(udp, dice, made, ledger)
    assert len(udp._stickies) <= 1024


def _receive(loop: Loop, dice: Dice, sock: _Socket, ledger: _Ledger) -> None:
    count = sock.waiting = 1 + dice.below(70)
    sock.received.clear()
    ledger.taken.clear()
    for _ in range(count + 2):
        loop._turns += 1 + dice.below(3)
        loop._udp_ready(cast(socket.socket, sock), 1)
    assert not sock.waiting
    assert ledger.taken == sock.received


def _send(udp: UDPSockets, dice: Dice, made: list[_Socket], ledger: _Ledger) -> None:
    size = dice.pick((1, 32, 148, 1452))
    count = 1 + dice.below(44)
    parts = [bytes([n]) * size for n in range(count)]
    parts.append(b"l" * (1 + dice.below(size)))
    sticky = dice.pick(ledger.stickies) if ledger.stickies else None
    address = dice.pick([_ADDRESSES[0], _ADDRESSES[3]])
    lost = sum(udp.troubles.values())
    for sock in made:
        sock.sent.clear()
    udp.send([(address, sticky, memoryview(b"".join(parts)), size)])
    sent = [one for sock in made for one in sock.sent]
    lost = sum(udp.troubles.values()) - lost
    assert len(sent) + lost == len(parts), (len(sent), lost, len(parts))
    remaining = iter(parts)
    assert all(one in remaining for one in sent), "in order, and none twice"
