# SPDX-License-Identifier: MIT
"""What comes through rtnetlink's door, and what is not taken for an answer."""

from __future__ import annotations

import _socket
import struct
from collections.abc import Iterator

import pytest

from wgtools.errors import AccessError
from wgtools.quick.rtnetlink import Door

KERNEL, SOMEBODY = (0, 0), (4711, 0)
TRUNCATED = int(_socket.MSG_TRUNC)


def message(sequence: int, body: bytes = b"") -> bytes:
    return struct.pack("=IHHII", 16 + len(body), 16, 0, sequence, 0) + body


class Scripted:
    """A socket that receives what it was given."""

    said: Iterator[tuple[bytes, int, tuple[int, int]]] = iter(())

    def __init__(self, *_: int) -> None:
        pass

    def bind(self, _: object) -> None:
        pass

    def close(self) -> None:
        pass

    def recvmsg(self, _: int) -> tuple[bytes, list[object], int, tuple[int, int]]:
        data, flags, address = next(self.said)
        return data, [], flags, address


def taken(
    monkeypatch: pytest.MonkeyPatch, data: bytes, flags: int = 0, address: tuple[int, int] = KERNEL
) -> list[int]:
    """The sequences of the messages that were taken."""
    monkeypatch.setattr(Scripted, "said", iter([(data, flags, address)]))
    monkeypatch.setattr(_socket, "socket", Scripted)
    with Door() as door:
        return [sequence for _, sequence, _ in door.take()]


def test_the_kernels_messages_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert taken(monkeypatch, message(1, b"abcdef") + b"\0\0" + message(2)) == [1, 2]


def test_another_process_is_not_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    assert taken(monkeypatch, message(1), address=SOMEBODY) == []


@pytest.mark.parametrize(
    ("data", "flags"),
    [
        (message(1), TRUNCATED),
        (message(1) + message(2, b"abcdefgh")[:-4], 0),
        (struct.pack("=IHHII", 15, 16, 0, 1, 0), 0),
    ],
    ids=["by-the-socket", "in-the-middle", "shorter-than-its-header"],
)
def test_what_was_cut_short_is_an_error(
    monkeypatch: pytest.MonkeyPatch, data: bytes, flags: int
) -> None:
    with pytest.raises(AccessError, match="netlink: Message too long"):
        taken(monkeypatch, data, flags)
