# SPDX-License-Identifier: MIT
"""Which modules a system loads to reach its devices: its own backend and no other.

A process that believes to be on that system; that its calls then fail is no matter.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from tests.repo.test_startup import HEAVY

PROBE = """
import sys
sys.platform = sys.argv.pop(1)
from wgtools import ipc
try:
    ipc.get("wg0")
except Exception as error:
    from wgtools.errors import WgError
    assert isinstance(error, WgError), repr(error)
print(*sys.modules, sep="\\n")
"""
BACKENDS = {
    "linux": "linux",
    "freebsd13": "freebsd",
    "openbsd7": "openbsd",
    "netbsd10": "netbsd",
    "win32": "windows",
    "darwin": "",
}


@pytest.mark.parametrize("platform", BACKENDS)
def test_a_system_loads_its_own_backend_only(platform: str) -> None:
    backend = BACKENDS[platform]
    if backend and importlib.util.find_spec(f"wgtools_backends.{backend}") is None:
        pytest.skip(f"there is no backend for {backend} yet")
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{PROBE}", platform],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    found = {name.split(".")[1] for name in loaded if name.startswith("wgtools_backends.")}
    assert found - {"bsd", "uapi"} == ({backend} if backend else set())
    assert "uapi" in found
    assert loaded & (HEAVY | {"ctypes", "plistlib"}) == set()
