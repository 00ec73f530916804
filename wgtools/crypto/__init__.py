# SPDX-License-Identifier: MIT
"""The one door to the `cryptography` library, which is opened when somebody goes through it.

Importing this package costs nothing: readers of devices take `public_key` from here, and
only a device that is asked for its public key pays for X25519.
"""

from __future__ import annotations

__all__ = ["public_key"]


def public_key(private: bytes) -> bytes:
    """As x25519.public_key.  Raises InvalidKey."""
    from wgtools.crypto import x25519  # 6 ms that `wg set` does not need

    return x25519.public_key(private)
