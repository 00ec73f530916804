# SPDX-License-Identifier: MIT
"""macOS's names: a daemon has to take utunN, and leaves in NAME.name which one it took.

The pair is believed only if both files are of one moment: the system numbers utuns anew
after a restart, and a NAME.name from before would point at somebody else's (BSD_IPC 7).
No sockets, and no writing.
"""

from __future__ import annotations

import os

__all__ = ["real_name"]

_SUFFIX = b".name"
_PREFIX = b"utun"
_LONGEST = 64  # bytes of such a file that are read; the name of an interface has 15
_PAIR = 2.0  # seconds between the two; wg-quick's


def real_name(directory: bytes, name: bytes) -> bytes:
    """The utun behind `name`, or `name` itself where nothing says that it has another."""
    if b"/" in name:
        return name
    path = os.path.join(directory, name + _SUFFIX)
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return name
    try:
        real = os.read(file, _LONGEST).strip()
        written = os.fstat(file).st_mtime
    except OSError:
        return name
    finally:
        os.close(file)
    digits = real[len(_PREFIX) :]
    if not real.startswith(_PREFIX) or not digits.isdigit():
        return name
    try:
        begun = os.stat(os.path.join(directory, real + b".sock")).st_mtime
    except OSError:
        return name
    return real if abs(begun - written) < _PAIR else name
