# SPDX-License-Identifier: MIT
"""What the README promises first: `make demo` works, as root and without, and cleans up."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "docs/demo/demo.py"
# Somebody without any privilege, who may still read a checkout that only root can enter.
SOMEBODY = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]


def play(prefix: list[str], home: Path) -> str:
    done = subprocess.run(
        [*prefix, sys.executable, DEMO],
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def engines() -> set[str]:
    """Processes that run an engine, anywhere on this machine."""
    return {
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if path.read_bytes().startswith(b"wgtools-engine\0")
    }


def expect_the_whole_play(text: str) -> None:
    assert "64 MiB sent, received and equal by SHA-256" in text
    assert "alice$ wg show" in text
    assert "latest handshake: " in text
    assert "bob$ wg-quick down" in text


@pytest.mark.skipif(os.geteuid() != 0, reason="not root")
def test_demo_as_root_leaves_nothing_behind(tmp_path: Path) -> None:
    processes, links = engines(), sorted(os.listdir("/sys/class/net"))
    expect_the_whole_play(play([], tmp_path))
    assert engines() <= processes
    assert sorted(os.listdir("/sys/class/net")) == links


def test_demo_without_root(tmp_path: Path) -> None:
    allowed = subprocess.run([*SOMEBODY, "true"], check=False, capture_output=True)
    if allowed.returncode != 0:
        pytest.skip("this machine lets nobody make user namespaces")
    expect_the_whole_play(play(SOMEBODY, tmp_path))
