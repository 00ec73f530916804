# SPDX-License-Identifier: MIT
"""The verb table, and what a fault of our own looks like to a user."""

from __future__ import annotations

import gc
import re
import signal
import sys
from collections.abc import Iterator

import pytest

from wgtools.cli import wg
from wgtools.conf import arguments


@pytest.fixture(autouse=True)
def untouched_process() -> Iterator[None]:
    """`main` changes signals and the collector, as its process may."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGPIPE)}
    yield
    gc.enable()
    for number, handler in handlers.items():
        signal.signal(number, handler)


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["wg", *words])
    return wg.main()


@pytest.mark.parametrize("verb", wg._VERBS)
def test_every_verb_of_the_table_exists(verb: bytes) -> None:
    assert callable(wg._function(verb))


def test_help_lists_the_verbs_in_order(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "help") == 0
    out = capfd.readouterr().out
    listed = [line.split(":")[0].strip() for line in out.splitlines() if line.startswith("  ")]
    expected = "show showconf set setconf addconf syncconf genkey genpsk pubkey"
    assert listed == expected.split()


def test_our_own_fault_is_one_line_without_values(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_arguments: object, **_more: object) -> None:
        raise ZeroDivisionError("with a secret in it")

    monkeypatch.setattr(arguments, "parse", broken)
    assert run(monkeypatch, "set", "wg0", "fwmark", "1") == 1
    said = capfd.readouterr().err
    assert re.fullmatch(
        r"wg: internal error: ZeroDivisionError at test_wg\.py:\d+; please report it\n", said
    )


def test_a_module_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """`make install` brings none of what we need; it is no fault of ours to report."""

    def alone(*_arguments: object, **_more: object) -> None:
        raise ModuleNotFoundError("No module named 'cryptography'", name="cryptography")

    monkeypatch.setattr(arguments, "parse", alone)
    assert run(monkeypatch, "set", "wg0", "fwmark", "1") == 1
    assert capfd.readouterr().err == (
        "wg: Python has no module `cryptography' here\n\n"
        "hint: install it for this Python, or wgtools by what brings it along: a package, "
        "pipx or uv\n"
    )


def test_ignored_interrupt_stays_ignored(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup and background jobs have it
    assert run(monkeypatch, "--version") == 0
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert capfd.readouterr().out.startswith("wireguard-tools v1.0.")


def test_interrupt_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    assert run(monkeypatch, "--help", "me") == 1
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGPIPE) is signal.SIG_DFL
