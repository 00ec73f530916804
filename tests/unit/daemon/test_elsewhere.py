# SPDX-License-Identifier: MIT
"""What the daemon does where there is no epoll, no pipe2, no MCL_ONFAULT."""

from __future__ import annotations

import ctypes
import os
import resource
import selectors
import sys
from typing import Any

import pytest

from wgtools.daemon import process
from wgtools.daemon.loop import new_selector


def test_selector_without_epoll_is_no_kqueue_which_would_not_outlive_a_fork(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(selectors, "EpollSelector", raising=False)
    selector = new_selector()
    assert isinstance(selector, selectors.PollSelector)
    read, write = os.pipe()
    selector.register(read, selectors.EVENT_READ, "it")
    assert selector.select(0) == []
    os.write(write, b"!")
    assert [key.data for key, _ in selector.select(0)] == ["it"]
    selector.close()
    os.close(read)
    os.close(write)


@pytest.mark.parametrize(("platform", "flags"), [("linux", 7), ("freebsd14", 3)])
def test_memory_is_locked_with_the_flags_that_the_system_knows(
    monkeypatch: pytest.MonkeyPatch, platform: str, flags: int
) -> None:
    asked: list[int] = []

    class Library:
        def __init__(self, _name: None) -> None: ...

        def mlockall(self, given: int) -> int:
            asked.append(given)
            return 0

    infinite = (resource.RLIM_INFINITY,) * 2
    monkeypatch.setattr(ctypes, "CDLL", Library)
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    monkeypatch.setattr(resource, "getrlimit", lambda _which: infinite)
    monkeypatch.setattr(sys, "platform", platform)
    assert process.lock_memory()
    assert asked == [flags]


def test_signal_pipe_never_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[tuple[int, int]] = []
    handlers: list[Any] = []
    real = os.pipe

    def pipe() -> tuple[int, int]:
        ends.append(real())
        return ends[-1]

    monkeypatch.setattr("os.pipe", pipe)
    monkeypatch.setattr("signal.signal", lambda _number, handler: handlers.append(handler))
    read = process.signal_pipe()
    ((one, other),) = ends
    assert read == one
    assert not os.get_blocking(one)
    assert not os.get_blocking(other)
    for _ in range(100_000):  # more than a pipe takes
        handlers[0](15, None)
    assert os.read(one, 1) == b"!"
    os.close(one)
    os.close(other)
