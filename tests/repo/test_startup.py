# SPDX-License-Identifier: MIT
"""What the classic verbs must not load: a prompt pays for every import (decision 0001).

Looking at sys.modules never flakes, where looking at a clock would.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    *("asyncio", "cryptography", "dataclasses", "enum", "importlib.metadata", "logging"),
    *("pydantic", "pyroute2", "re", "rich", "socket", "subprocess", "typer", "typing"),
    *("contextlib", "functools", "ipaddress", "pathlib", "threading", "hmac", "secrets"),
}
PROBE = """
import sys
from wgtools.cli.wg import main
sys.argv = ["wg", *sys.argv[1:]]
main()
print(*sys.modules, sep="\\n")
"""


def modules_after(*words: str) -> set[str]:
    """Modules in a process that has run `wg WORDS`."""
    done = subprocess.run(
        # -S: what site's .pth files import is not ours.
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{PROBE}", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "words",
    [
        ["show"],
        ["show", "nosuch0", "dump"],
        ["set", "nosuch0", "listen-port", "1"],
        ["set", "nosuch0", "peer", "A" * 43 + "=", "endpoint", "192.0.2.1:1"],
        ["setconf", "nosuch0", "/dev/null"],
        ["showconf", "nosuch0"],
        ["genkey"],
        ["genpsk"],
        ["--help"],
        ["--version"],
    ],
    ids=" ".join,
)
def test_classic_verbs_stay_light(words: list[str]) -> None:
    loaded = modules_after(*words)
    assert "wgtools.cli.wg" in loaded
    assert loaded & HEAVY == set()


def test_a_verb_loads_only_its_own_modules() -> None:
    loaded = modules_after("genkey")
    assert "wgtools.cli.keygen" in loaded
    assert not {"wgtools.cli.show", "wgtools.conf", "wgtools.ipc"} & loaded


def test_the_probe_would_notice() -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import typing, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) & HEAVY >= {"typing", "re"}


@pytest.mark.parametrize("command", ["wg genkey", "wg show nosuch0", "wg_quick strip nosuch0"])
def test_a_crash_leaves_no_keys_on_the_disk(command: str) -> None:
    module, *words = command.split()
    script = (
        f"import resource, sys\nsys.path[:0] = {sys.path!r}\nsys.argv = ['wg', *{words!r}]\n"
        "hard = resource.getrlimit(resource.RLIMIT_CORE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))\n"
        f"from wgtools.cli.{module} import main\nmain()\n"
        "print(hard, *resource.getrlimit(resource.RLIMIT_CORE))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", script], capture_output=True, text=True, check=True
    )
    before, soft, hard = done.stdout.splitlines()[-1].split()
    assert before != "0", "no core dumps here in any case: this proves nothing"
    assert (soft, hard) == ("0", before)  # the hard limit is left to hooks
