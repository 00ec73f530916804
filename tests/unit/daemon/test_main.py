# SPDX-License-Identifier: MIT
"""The command line and environment of wgtools-engine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import cast

import pytest

from wgtools.daemon.log import DEBUG, ERROR, SILENT, Log, level_of, short_name
from wgtools.daemon.loop import Loop
from wgtools.daemon.main import Options, _serve, main, parse
from wgtools.daemon.process import let_go
from wgtools.errors import UsageError, WgError
from wgtools.keys import Key


def test_name_alone() -> None:
    assert parse(["wg0"], {}) == Options("wg0")


@pytest.mark.parametrize("words", [["-f", "wg0"], ["--foreground", "wg0"], ["wg0", "-f"]])
def test_foreground(words: list[str]) -> None:
    assert parse(words, {}).foreground


def test_foreground_by_environment() -> None:
    assert parse(["wg0"], {"WG_PROCESS_FOREGROUND": "1"}).foreground
    assert not parse(["wg0"], {"WG_PROCESS_FOREGROUND": "0"}).foreground


def test_descriptors_and_name_file() -> None:
    environment = {"WG_TUN_FD": "3", "WG_UAPI_FD": "4", "WG_TUN_NAME_FILE": "name"}
    options = parse(["wg0"], environment)
    assert (options.tun_fd, options.uapi_fd, options.name_file) == (3, 4, "name")


@pytest.mark.parametrize("text", ["x", "-1", "3 ", "²", "9999999999"])
def test_malformed_descriptor(text: str) -> None:
    with pytest.raises(UsageError, match="WG_TUN_FD"):
        parse(["wg0"], {"WG_TUN_FD": text})


@pytest.mark.parametrize(
    "words",
    [[], ["a", "b"], ["-x", "wg0"], ["--frobnicate"], [""], ["."], [".."], ["a/b"], ["a b"]],
)
def test_usage_errors_come_with_the_usage(words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words, {})
    assert "INTERFACE-NAME" in caught.value.hint


def test_a26_name_of_15_bytes_is_the_longest() -> None:
    assert parse(["a" * 15], {}).name == "a" * 15
    for name in ("a" * 16, "ä" * 8):
        with pytest.raises(UsageError, match="15 bytes"):
            parse([name], {})


def test_name_after_two_dashes() -> None:
    assert parse(["--", "-f"], {}).name == "-f"


@pytest.mark.parametrize(
    ("value", "level", "keeps"),
    [
        ("", ERROR, False),
        ("verbose", DEBUG, True),
        ("debug", DEBUG, True),
        ("error", ERROR, True),
        ("silent", SILENT, False),
        ("no such level", ERROR, True),
    ],
)
def test_log_level(value: str, level: int, keeps: bool) -> None:
    options = parse(["wg0"], {"LOG_LEVEL": value})
    assert level_of(options.log_level) == level
    assert options.keep_output is keeps


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["wgtools-engine", *words])
    return main()


def test_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--help") == 0
    out, err = capsys.readouterr()
    assert out.startswith("Usage: wgtools-engine")
    assert err == ""


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.startswith("wgtools-engine v")


def test_usage_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--frobnicate", "wg0") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("wgtools-engine: Unknown option: --frobnicate\n\nUsage: ")


def test_hardened_before_anything_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def note(what: str) -> Callable[..., int]:
        def noted(*_words: object) -> int:
            done.append(what)
            if what == "TUN":
                raise WgError("enough")
            return -1

        return noted

    monkeypatch.setattr("wgtools.daemon.process.let_go", note("others"))
    monkeypatch.setattr("wgtools.daemon.process.take_name", note("name"))
    monkeypatch.setattr("wgtools.daemon.process.harden", note("harden"))
    monkeypatch.setattr("wgtools.daemon.process.signal_pipe", note("signals"))
    monkeypatch.setattr("wgtools.daemon.tun.linux.create_tun", note("TUN"))
    assert run(monkeypatch, "wg0") == 1
    assert done == ["others", "name", "harden", "signals", "TUN"]


@pytest.mark.parametrize(
    ("keep", "closed"),
    [
        ((None, None), [(3, 65536)]),
        ((7, None), [(3, 7), (8, 65536)]),
        ((4, 3), [(3, 3), (4, 4), (5, 65536)]),
        ((0, 9), [(3, 9), (10, 65536)]),
    ],
)
def test_what_our_starter_had_open_is_closed(
    monkeypatch: pytest.MonkeyPatch, keep: tuple[int | None, ...], closed: list[tuple[int, int]]
) -> None:
    done: list[tuple[int, int]] = []
    monkeypatch.setattr("os.closerange", lambda *span: done.append(span))
    let_go(keep)
    assert done == closed


class BrokenLoop:
    """Meets something that nobody foresaw."""

    def run(self) -> str:
        raise KeyError("a secret")


@pytest.mark.parametrize("level", [ERROR, DEBUG])
def test_error_of_our_own_tells_no_secret(monkeypatch: pytest.MonkeyPatch, level: int) -> None:
    monkeypatch.setattr("gc.freeze", lambda: None)
    lines = Lines(level)
    with pytest.raises(WgError, match="error of our own"):
        _serve(cast(Loop, BrokenLoop()), lines.log, -1)
    text = "".join(lines.lines)
    assert "KeyError" in text
    assert "a secret" not in text.replace('raise KeyError("a secret")', "")
    assert ("test_main.py" in text) is (level == DEBUG)


# ------------------------------------------------------------------ the log


class Lines:
    """A Log's other end, with a clock that stands until it is moved."""

    def __init__(self, level: int) -> None:
        self.lines: list[str] = []
        self.time = 0.0
        self.log = Log(
            "wg0",
            level,
            write=lambda line: self.lines.append(line.decode()),
            clock=lambda: self.time,
        )


def test_levels() -> None:
    for level, count in ((SILENT, 0), (ERROR, 1), (DEBUG, 2)):
        lines = Lines(level)
        lines.log.error("e")
        lines.log.debug("d")
        assert len(lines.lines) == count


def test_nobody_fills_a_disk_through_the_log() -> None:
    lines = Lines(DEBUG)
    for _ in range(10_000):
        lines.log.debug("again")
    assert len(lines.lines) == 200
    lines.time = 1.0
    for _ in range(10_000):
        lines.log.debug("again")
    assert len(lines.lines) == 210
    assert "9800 lines left out" in lines.lines[200]


def test_chatter_leaves_room_for_errors() -> None:
    lines = Lines(DEBUG)
    for _ in range(10_000):
        lines.log.debug("again")
    lines.log.error("serious")
    assert lines.lines[-1].startswith("ERROR: ")


def test_a_line_is_one_line() -> None:
    lines = Lines(DEBUG)
    lines.log.debug("a\nb\x1b[31m")
    assert lines.lines[0].endswith(" a?b?[31m\n")


def test_closed_terminal_does_not_end_a_tunnel() -> None:
    def broken(_line: bytes) -> None:
        raise BrokenPipeError

    log = Log("wg0", DEBUG, write=broken, clock=lambda: 0.0)
    log.debug("x")
    assert log.level == SILENT


def test_peers_go_by_a_short_name() -> None:
    assert short_name(Key(bytes(range(32)))) == "peer(AAEC…dHh8)"
