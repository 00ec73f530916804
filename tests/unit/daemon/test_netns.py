# SPDX-License-Identifier: MIT
"""FarEar's questions to rtnetlink: whose answer it takes, and what it makes of a wrong one."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable

import pytest

from wgtools.daemon.tun.netns import FarEar

ERROR, NEWLINK, GETLINK, NEWNSID, GETNSID = 2, 16, 18, 88, 90
Answers = Callable[[int, int], list[bytes]]  # what comes for (type, sequence number)


def message(kind: int, sequence: int, payload: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(payload), kind, 0, sequence, 0) + payload


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value


def link(mtu: int = 1420) -> bytes:
    head = struct.pack("=BxHiII", 0, 65534, 7, 1, 0)
    return head + attribute(4, struct.pack("=i", mtu))


class Kernel:
    """A socket whose other end answers as told."""

    def __init__(self, answers: Answers) -> None:
        self.sequences: list[int] = []
        self.forged: list[bytes] = []  # come from another port than the kernel's
        self._answers = answers
        self._waiting: list[bytes] = []

    def settimeout(self, _seconds: float) -> None: ...
    def setblocking(self, _is: bool) -> None: ...
    def setsockopt(self, *_: int) -> None: ...
    def bind(self, _address: tuple[int, int]) -> None: ...
    def close(self) -> None: ...

    def send(self, data: bytes) -> None:
        _, kind, _, sequence, _ = struct.unpack_from("=IHHII", data)
        self.sequences.append(sequence)
        self._waiting += self._answers(kind, sequence)

    def recvfrom(self, _size: int) -> tuple[bytes, tuple[int, int]]:
        if self.forged:
            return self.forged.pop(0), (4711, 0)
        if not self._waiting:
            raise TimeoutError(errno.ETIMEDOUT, "timed out")
        return self._waiting.pop(0), (0, 0)


@pytest.fixture
def ear(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answers], tuple[FarEar, Kernel]]:
    def made(answers: Answers) -> tuple[FarEar, Kernel]:
        kernel = Kernel(answers)
        monkeypatch.setattr("socket.socket", lambda *_: kernel)
        return FarEar(), kernel

    return made


Ear = Callable[[Answers], tuple[FarEar, Kernel]]


def test_every_question_has_a_number_of_its_own(ear: Ear) -> None:
    def answers(kind: int, sequence: int) -> list[bytes]:
        if kind == NEWNSID:
            return [message(ERROR, sequence, bytes(20))]
        if kind == GETNSID:
            return [message(NEWNSID, sequence, bytes(4) + attribute(1, struct.pack("=i", 3)))]
        return [message(NEWLINK, sequence, link())]

    far, kernel = ear(answers)
    assert far.namespace_id(9) == 3
    assert far.link("wg0", 3) == (7, 1, 1420)
    assert len(set(kernel.sequences)) == 3
    assert 0 not in kernel.sequences


def test_an_answer_that_comes_late_is_not_taken_for_the_next_one(ear: Ear) -> None:
    late: list[bytes] = []

    def answers(_kind: int, sequence: int) -> list[bytes]:
        if not late:
            late.append(message(NEWLINK, sequence, link(mtu=9000)))
            return []
        return [b"short", *late, message(NEWLINK, sequence, link())]

    far, _ = ear(answers)
    with pytest.raises(OSError, match="timed out"):
        far.link("wg0", 3)
    assert far.link("wg0", 3) == (7, 1, 1420)


def test_nothing_but_late_answers_ends_in_time(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("time.monotonic", lambda: next(clock) / 4)
    far, _ = ear(lambda _kind, sequence: [message(NEWLINK, sequence - 1, link())] * 50)
    with pytest.raises(TimeoutError):
        far.link("wg0", 3)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (NEWLINK, b""),
        (NEWLINK, link()[:12]),
        (NEWLINK, link()[:16]),
        (NEWLINK, link()[:16] + attribute(4, b"\1")),
        (NEWLINK, link()[:16] + b"\0\0\0\0"),
        (NEWNSID, link()),
        (ERROR, b""),
        (ERROR, bytes(20)),  # a bare yes
    ],
)
def test_an_answer_that_is_none_is_an_error_of_the_system(
    ear: Ear, kind: int, payload: bytes
) -> None:
    far, _ = ear(lambda _kind, sequence: [message(kind, sequence, payload)])
    with pytest.raises(OSError, match="Protocol error") as caught:
        far.link("wg0", 3)
    assert caught.value.errno == errno.EPROTO


def test_the_kernels_refusal_is_passed_on(ear: Ear) -> None:
    refusal = struct.pack("=i", -errno.ENODEV)
    far, _ = ear(lambda _kind, sequence: [message(ERROR, sequence, refusal)])
    with pytest.raises(OSError, match="No such device") as caught:
        far.link("wg0", 3)
    assert caught.value.errno == errno.ENODEV


def test_an_id_that_was_there_is_asked_for(ear: Ear) -> None:
    def answers(kind: int, sequence: int) -> list[bytes]:
        if kind == NEWNSID:
            return [message(ERROR, sequence, struct.pack("=i", -errno.EEXIST))]
        return [message(NEWNSID, sequence, bytes(4) + attribute(1, struct.pack("=i", 5)))]

    far, _ = ear(answers)
    assert far.namespace_id(9) == 5


def test_an_answer_of_somebody_else_than_the_kernel_is_passed_over(ear: Ear) -> None:
    far, kernel = ear(lambda _, sequence: [message(NEWLINK, sequence, link())])
    kernel.forged = [message(NEWLINK, 1, link(9000)), message(ERROR, 1, bytes(20))]
    assert far.link("wg0", 3) == (7, 1, 1420)
    assert not kernel.forged
