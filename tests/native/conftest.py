# SPDX-License-Identifier: MIT
"""The tier of FreeBSD, OpenBSD, NetBSD and macOS: on each, what is there for it.

Only the file of this system is collected, so that nowhere anything is skipped for being
of another; where there is none, the last lines of the run say so.
"""

import os
import sys
from pathlib import Path

import pytest

_FILES = {
    "freebsd": "test_freebsd.py",
    "openbsd": "test_openbsd.py",
    "netbsd": "test_netbsd.py",
    "darwin": "test_macos.py",
}
_MINE = next((file for name, file in _FILES.items() if sys.platform.startswith(name)), None)

collect_ignore = [file for file in _FILES.values() if file != _MINE]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _MINE is None:
        terminalreporter.write_line(
            f"not run: native: this is {sys.platform}; `make test` on FreeBSD, OpenBSD, NetBSD or"
            " macOS runs theirs"
        )


@pytest.fixture(autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.skip("making interfaces needs root")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory that only root can look into, for keys and configurations."""
    tmp_path.chmod(0o700)
    return tmp_path
