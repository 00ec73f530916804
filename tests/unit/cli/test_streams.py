# SPDX-License-Identifier: MIT
"""stdout and stderr as bytes, and files read no further than they must be."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from wgtools.cli import paper, streams
from wgtools.errors import WgError


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for end in (reader, writer):
        try:
            os.close(end)
        except OSError:  # the test closed it
            continue


def test_text_and_bytes_are_each_others_inverse() -> None:
    raw = bytes(range(1, 256)) + "\u00fc".encode()
    assert streams.text(raw).encode("utf-8", "surrogateescape") == raw


def test_a_failed_write_is_nobodys_error(capfd: pytest.CaptureFixture[str]) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        streams._write(full, "data")
    finally:
        os.close(full)
    streams._write(full, "data")  # now a closed descriptor
    assert capfd.readouterr() == ("", "")


def test_a_result_that_cannot_be_written_is_an_error(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(streams, "_STDOUT", full)
    said = "writing to standard output: No space left on device"
    with pytest.raises(WgError, match=said):
        paper.show([[("a", "")]])
    with pytest.raises(WgError, match=said):
        paper.emit_json({})
    os.close(full)
    assert capfd.readouterr() == ("", "")


def test_no_text_from_a_file_steers_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    wild = "a\x1b]0;title\x07\tb\u009bJ\x7f\nc \u00fc\udcff"
    tame = "a?]0;title?\tb?J?\nc \u00fc\udcff"
    assert streams.tame(wild) == tame
    streams.tell(wild)
    paper.show([[(wild, "bold")]])
    shown = "a?]0;title?\tb?J?\nc \u00fc"
    out, err = capfd.readouterr()
    assert out[: len(shown)] == err[: len(shown)] == shown


@pytest.mark.parametrize(
    ("wild", "shown"),
    [
        ("wg\udc9b31m", "wg?31m"),  # CSI as one byte, where a terminal is not of UTF-8
        ("PostUp = true \u202e; fr- mr\u202c", "PostUp = true ?; fr- mr?"),
        ("\u2066a\u2069 \u200fb\u061c", "?a? ?b?"),
        ("a\u2028[#] b", "a?[#] b"),
        ("\ufeffMTU \u200b\udce4\ud7ff", "\ufeffMTU \u200b\udce4\ud7ff"),
    ],
)
def test_nothing_is_shown_to_be_other_than_it_is(wild: str, shown: str) -> None:
    assert streams.tame(wild) == shown


def test_out_and_err(capfd: pytest.CaptureFixture[str]) -> None:
    streams.out("a\n")
    streams.err("b")
    streams.explain("file:1", "said to nobody: stderr is no terminal")
    assert capfd.readouterr() == ("a\n", "b\n")


def test_read_exactly_puts_short_reads_together(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.write(writer, b"abcdef")
    assert streams.read_exactly(4, reader) == b"abcd"
    os.close(writer)
    assert streams.read_exactly(4, reader) == b"ef"


def test_setting_of_an_unset_variable_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WG_COLOR_MODE", raising=False)
    assert streams.setting(b"WG_COLOR_MODE") == b""
    monkeypatch.setenv("WG_COLOR_MODE", "always")
    assert streams.setting(b"WG_COLOR_MODE") == b"always"


@pytest.mark.parametrize(
    ("called", "told"),
    [
        ("/usr/bin/wg-quick", "to clean up: wg-quick down wg0 (or wg genkey)"),
        (
            "/usr/libexec/wgtools/wgtools-wg-quick",
            "to clean up: wgtools-wg-quick down wg0 (or wgtools-wg genkey)",
        ),
        ("/opt/wgtools.pyz", "to clean up: wgtools.pyz down wg0 (or wgtools.pyz genkey)"),
    ],
)
def test_what_is_to_be_typed_has_the_name_it_was_called_by(
    called: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [called, "status"])
    message = "to clean up: wg-quick down wg0 (or wg genkey)"
    assert streams.spelled(message) == told
    assert streams.spelled(told) == told  # what has the name already keeps it
    said = "the wg device, /opt/wg show, that is a setting of wg-quick"
    assert streams.spelled(said) == said
