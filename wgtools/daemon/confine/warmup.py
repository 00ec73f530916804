# SPDX-License-Identifier: MIT
"""Everything that would be loaded later is loaded now, while files can still be opened.

Not here: what forbids it.  The rule: whatever a running engine may come to is done once, or
imported, before it is confined; the interop tests, run confined, are the proof.
"""

from __future__ import annotations

import contextlib
import os
import time

__all__ = ["warm_up"]


def warm_up() -> None:
    _load_modules()
    _fix_time_zone()
    _use_crypto()


def _load_modules() -> None:
    import traceback

    assert traceback  # of an error of our own: main.py


def _fix_time_zone() -> None:
    """The C library looks for another /etc/localtime at every line of the log, unless TZ names
    one; and would fall back to UTC when it could not open it."""
    os.environ.setdefault("TZ", ":/etc/localtime")
    time.tzset()
    time.strftime("%Y")


def _use_crypto() -> None:
    """The library may load providers, and resolve names of its own, at the first use."""
    from wgtools.crypto.aead import InvalidTag, unseal, xseal
    from wgtools.crypto.x25519 import WeakPublicKey, public_key, shared_secret

    key, nonce = bytes(range(32)), bytes(24)
    shared_secret(key, public_key(key))
    with contextlib.suppress(WeakPublicKey):
        shared_secret(key, bytes(32))
    xseal(key, nonce, b"x", b"")
    with contextlib.suppress(InvalidTag):
        unseal(key, bytes(17), b"")
