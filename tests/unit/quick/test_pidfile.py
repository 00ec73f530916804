# SPDX-License-Identifier: MIT
"""Who is signalled when a monitor is to end: nobody but a monitor, whatever the file says."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from wgtools.errors import WgError
from wgtools.quick.apply import CommandFailed
from wgtools.quick.lock import exclusive
from wgtools.quick.systems import pidfile
from wgtools.quick.systems.pidfile import PidFile

KILLED, LIVING = 4001, 4002
OURS = b"/usr/bin/python3 -I -m wgtools.cli.wg_quick monitor wg0\n"


class Monitor:
    """Holds the lock of wg0's file until a signal that it heeds comes to its number."""

    def __init__(self, file: PidFile, monkeypatch: pytest.MonkeyPatch) -> None:
        self.signalled: list[tuple[int, int]] = []
        self.heeds: tuple[int, ...] = (signal.SIGTERM,)
        self.number = LIVING
        self.shown: dict[int, bytes] = {LIVING: OURS, KILLED: b"/usr/sbin/sshd\n"}
        self.at_pause: list[Callable[[], None]] = []
        self._now = 0.0
        self._handle = os.open(file.path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        monkeypatch.setattr("time.sleep", self._sleep)
        monkeypatch.setattr("time.monotonic", lambda: self._now)
        monkeypatch.setattr("os.kill", self._kill)
        monkeypatch.setattr(pidfile, "run", self._ps)

    def write(self, number: int) -> None:
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, b"%d\n" % number, 0)

    def end(self) -> None:
        fcntl.flock(self._handle, fcntl.LOCK_UN)

    def _sleep(self, seconds: float) -> None:
        self._now += seconds
        if self.at_pause:
            self.at_pause.pop(0)()

    def _kill(self, number: int, sent: int) -> None:
        self.signalled.append((number, sent))
        if number == self.number and sent in self.heeds:
            self.end()

    def _ps(self, words: list[str], **_: bool) -> bytes:
        assert words[:-1] == ["ps", "-ww", "-o", "args=", "-p"]
        if int(words[-1]) not in self.shown:
            raise CommandFailed("ps: exit status 1")
        return self.shown[int(words[-1])]


@pytest.fixture
def file(tmp_path: Path) -> PidFile:
    return PidFile("wg0", str(tmp_path))


@pytest.fixture
def monitor(file: PidFile, monkeypatch: pytest.MonkeyPatch) -> Monitor:
    return Monitor(file, monkeypatch)


def test_the_holder_is_asked_to_end_once(file: PidFile, monitor: Monitor) -> None:
    monitor.write(LIVING)
    file.stop()
    assert monitor.signalled == [(LIVING, signal.SIGTERM)]
    assert not os.path.exists(file.path)


def test_nobody_is_signalled_for_the_number_of_one_who_was_killed(
    file: PidFile, monitor: Monitor
) -> None:
    """The next monitor has the lock already, and writes its number while we wait."""
    monitor.write(KILLED)
    monitor.shown[KILLED] = OURS  # not even if it is a monitor, of another interface
    monitor.at_pause = [lambda: monitor.write(LIVING)]
    file.stop()
    assert monitor.signalled == [(LIVING, signal.SIGTERM)]


def test_nor_for_a_number_that_another_program_has_by_now(file: PidFile, monitor: Monitor) -> None:
    monitor.write(KILLED)
    monitor.at_pause = [lambda: None, lambda: None, lambda: monitor.write(LIVING)]
    file.stop()
    assert monitor.signalled == [(LIVING, signal.SIGTERM)]


@pytest.mark.parametrize("text", [b"", b"-1\n", b"0\n", b"one\n"])
def test_no_number_is_no_reason_to_guess(file: PidFile, monitor: Monitor, text: bytes) -> None:
    Path(file.path).write_bytes(text)
    with pytest.raises(WgError, match="does not end"):
        file.stop()
    assert monitor.signalled == []


def test_without_ps_the_number_is_believed(file: PidFile, monitor: Monitor) -> None:
    monitor.write(LIVING)
    monitor.shown = {}
    file.stop()
    assert monitor.signalled == [(LIVING, signal.SIGTERM)]


def test_who_does_not_heed_is_killed(file: PidFile, monitor: Monitor) -> None:
    monitor.write(LIVING)
    monitor.heeds = (signal.SIGKILL,)
    file.stop()
    assert monitor.signalled == [(LIVING, signal.SIGTERM), (LIVING, signal.SIGKILL)]


def test_one_who_ends_by_itself_is_not_signalled(file: PidFile, monitor: Monitor) -> None:
    monitor.write(LIVING)
    monitor.at_pause = [monitor.end]
    file.stop()
    assert monitor.signalled == []


def test_taken_by_one_at_a_time(file: PidFile, tmp_path: Path) -> None:
    assert file.take()
    assert Path(file.path).read_text() == f"{os.getpid()}\n"
    assert not PidFile("wg0", str(tmp_path)).take()
    file.leave()
    assert not os.path.exists(file.path)
    file.stop()  # nobody


def test_a_link_empties_no_other_file(file: PidFile, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("still here")
    os.symlink(precious, file.path)
    with pytest.raises(OSError, match="symbolic link"):
        file.take()
    assert precious.read_text() == "still here"


def test_nor_is_one_made_by_the_lock(tmp_path: Path) -> None:
    (tmp_path / "wg0.lock").symlink_to(tmp_path / "made")
    with exclusive("wg0", str(tmp_path)):
        assert not (tmp_path / "made").exists()
