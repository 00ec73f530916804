# SPDX-License-Identifier: MIT
"""What is said of each step of giving up privileges, and how loudly."""

from __future__ import annotations

import errno
import os
import types
from collections.abc import Callable

import pytest

from wgtools.daemon import confine as package
from wgtools.daemon.confine import confine, linux, warmup

Said = list[tuple[str, str]]


def refuse(*_: object) -> str:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.fixture
def confined(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """Confines as if, with some of the steps other ones."""

    def done(**steps: Callable[..., str]) -> Said:
        for step in ("gain_nothing", "keep_needed", "restrict_files", "use_filter"):
            monkeypatch.setattr(linux, step, steps.get(step, lambda *_: "on"))
        monkeypatch.setattr(warmup, "warm_up", lambda: None)
        monkeypatch.setattr(package, "_other_threads", lambda: 0)
        monkeypatch.setattr("sys.platform", "linux")
        said: Said = []
        confine(
            "/run/wireguard",
            say=lambda line: said.append(("debug", line)),
            warn=lambda line: said.append(("error", line)),
        )
        return said

    return done


def test_what_goes_well_is_for_debugging(confined: Callable[..., Said]) -> None:
    assert confined() == [
        ("debug", f"Confined by {name}: on")
        for name in ("no_new_privs", "capabilities", "Landlock", "seccomp")
    ]


@pytest.mark.parametrize(
    ("step", "name"), [("keep_needed", "capabilities"), ("use_filter", "seccomp")]
)
def test_what_every_linux_has_is_missed_as_an_error(
    confined: Callable[..., Said], step: str, name: str
) -> None:
    errors = [line for level, line in confined(**{step: refuse}) if level == "error"]
    assert errors == [f"Confined by {name}: none (Operation not permitted)"]


def test_landlock_may_be_missing(confined: Callable[..., Said]) -> None:
    said = confined(restrict_files=refuse)
    assert ("debug", "Confined by Landlock: none (Operation not permitted)") in said
    assert not [line for level, line in said if level == "error"]


def test_machine_without_a_table_of_calls(
    confined: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = linux.use_filter
    machine = types.SimpleNamespace(machine="s390x")
    monkeypatch.setattr(os, "uname", lambda: machine)
    assert confined(use_filter=judged)[-1] == (
        "error",
        "Confined by seccomp: none (no table of calls for such a process on s390x)",
    )
