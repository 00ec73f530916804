# SPDX-License-Identifier: MIT
"""`make install` and `make uninstall` in a bare root, by the system's own Python.

Debian's pip adds /local to whatever prefix it is given, and brings nothing that is needed.
"""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import pytest

from tests.packaging.roots import Root
from tests.packaging.walk import holds_pages_and_completions, walk

MAKE = "cd /root/wgtools; PIP_NO_INDEX=1 PIP_FIND_LINKS=/var/tmp make -s"
# But what Python compiles, and what pip and we keep at home.
LISTED = "find / -xdev ! -type d ! -path '/root/*' ! -path '*/__pycache__/*' | sort"


@pytest.fixture
def unpacked(source: Path, wheels: Path, root: Root) -> Root:
    root.copy(source, *wheels.glob("*.whl"))
    root.run(f"mkdir /root/wgtools; tar -xf /var/tmp/{source.name} --strip 1 -C /root/wgtools")
    return root


def test_make_install(unpacked: Root) -> None:
    root, before = unpacked, unpacked.run(LISTED)
    told = root.call(f"{MAKE} install")
    assert told.returncode == 0
    lacking = "cryptography>=42, pydantic>=2.5, pyroute2>=0.7.10, rich>=13, typer>=0.12"
    assert f"lacks {lacking}\n\nhint: install them for it, or" in told.stderr
    assert root.run("command -v wg") == "/usr/local/bin/wg\n"
    # Without them: what is missing, and what to do; no traceback, nothing to report.
    for line, module in (
        ("wg genkey | wg pubkey", "cryptography"),
        ("wgtools-engine --foreground wg7", "cryptography"),
        ("wg-quick status", "typer"),
    ):
        failed = root.call(line)
        assert failed.returncode == 1
        assert failed.stderr.partition(": ")[2] == (
            f"Python has no module `{module}' here\n\nhint: install it for this Python, or "
            "wgtools by what brings it along: a package, pipx or uv\n"
        )
    root.run(f"{MAKE} uninstall")
    assert root.run(LISTED) == before
    root.run("test -d /usr/local/bin")  # others' as well

    root.run(
        "PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install -q --no-index --find-links /var/tmp"
        " --root-user-action=ignore cryptography pydantic pyroute2 rich typer"
    )
    again = root.call(f"{MAKE} install")
    assert (again.returncode, again.stderr) == (0, "")
    walk(root)
    holds_pages_and_completions(root, "/usr/local")
    assert root.run("man wg").startswith("WG(8)")
    root.run("cd /; python3 -c 'import wgtools; wgtools.interfaces()'")
    root.run(f"{MAKE} uninstall")
    assert root.call("command -v wg").returncode != 0
    assert root.call("cd /; python3 -c 'import wgtools'").returncode == 1


@pytest.mark.parametrize("prefix", ["/usr", "/opt/a place"])
def test_make_install_elsewhere(prefix: str, unpacked: Root) -> None:
    root, before = unpacked, unpacked.run(LISTED)
    root.run(f"{MAKE} install PREFIX={quote(prefix)}")
    assert len(root.run(f"{quote(prefix)}/bin/wg genkey")) == 45
    holds_pages_and_completions(root, prefix)
    root.run(f"{MAKE} uninstall PREFIX={quote(prefix)}")
    assert root.run(LISTED) == before
