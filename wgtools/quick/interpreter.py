# SPDX-License-Identifier: MIT
"""How wg-quick starts Python again, as root: isolated (`-I`), so that nothing but the system's
packages and our own is loaded (docs/decisions/0040).

Not the start of this process itself: that is up to how wgtools was installed.
"""

from __future__ import annotations

import os
import site
import sys

__all__ = ["module", "script"]

# Our packages come behind the standard library and before other packages.
_BOOT = """\
import sys
_, count, *words = sys.argv
places, (name, *sys.argv) = words[: int(count)], words[int(count) :]
at = next((i for i, p in enumerate(sys.path) if p.endswith("-packages")), len(sys.path))
sys.path[at:at] = places
raise SystemExit(__import__(name, fromlist=["main"]).main())"""


def module(name: str, called: str) -> list[str]:
    """The beginning of a command that runs `main` of a module of ours, which will believe
    that it was `called` so."""
    places = _places()
    if places <= set(site.getsitepackages()):
        return [sys.executable, "-I", "-m", name.removesuffix(".__main__")]
    # One word for each: a directory with a colon in its name would be two others.
    return [sys.executable, "-I", "-c", _BOOT, str(len(places)), *sorted(places), name, called]


def script(path: str, name: str) -> list[str]:
    """The same for the script that was started, whose `main` is that of a module."""
    if sys.flags.isolated or _places() <= set(site.getsitepackages()):
        return [sys.executable, "-I", "--", path]  # it found us, or will
    return module(name, path)


def _places() -> set[str]:
    """The directories that our import packages lie in: two for a checkout, else one."""
    # By name: the core imports no backend (ipc.py).
    packages = [__import__(name) for name in ("wgtools", "wgtools_backends")]
    return {os.path.dirname(path) for package in packages for path in package.__path__}
