# SPDX-License-Identifier: MIT
"""wg-quick on FreeBSD, OpenBSD and macOS: which of them this is.

None of it is loaded on Linux, whose own way is quick/plan.py, host.py and updown.py.
"""

from __future__ import annotations

from wgtools.errors import WgError

__all__ = ["of"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from wgtools.quick.systems.system import System

_KNOWN = {  # beginning of sys.platform -> module, class
    "freebsd": ("freebsd", "FreeBSD"),
    "openbsd": ("openbsd", "OpenBSD"),
    "darwin": ("macos", "MacOS"),
}


def of(platform: str) -> System:
    """The words of a sys.platform.  Raises WgError where wg-quick has none."""
    for beginning, (module, kind) in _KNOWN.items():
        if platform.startswith(beginning):
            words = __import__(f"{__name__}.{module}", fromlist=[kind])
            made: System = getattr(words, kind)()
            return made
    raise WgError(
        f"wg-quick does not know how to set up interfaces on {platform}",
        hint="`wg` works here; addresses and routes are up to you",
    )
