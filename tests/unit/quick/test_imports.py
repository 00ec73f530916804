# SPDX-License-Identifier: MIT
"""`down` is asked for when a machine goes down: what it loads is counted in milliseconds."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    *("asyncio", "collections", "contextlib", "dataclasses", "enum", "functools", "ipaddress"),
    *("json", "logging", "pyroute2", "re", "shutil", "signal", "socket", "subprocess"),
    *("threading", "typing", "cryptography", "wgtools.quick.check", "wgtools.quick.dns.resolved"),
)
SCRIPT = """
import sys
from wgtools.cli import wg_quick
from wgtools.quick import files, updown
print(*sys.modules)
"""


def test_the_way_down_loads_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{SCRIPT}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not set(done.stdout.split()) & set(HEAVY)
