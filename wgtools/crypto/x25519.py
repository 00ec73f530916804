# SPDX-License-Identifier: MIT
"""X25519 (RFC 7748 section 5) on raw bytes.

Not a key store and not a handshake: two functions.  The scalar is clamped inside the
computation only.  `wg pubkey` and `wg show` start from zero for every key, so this
takes the library's compiled module itself where it can: the public API costs four
times as much to import (docs/decisions/0002).
"""

from __future__ import annotations

from wgtools.errors import InvalidKey

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    _from_private = X25519PrivateKey.from_private_bytes
    _from_public = X25519PublicKey.from_public_bytes
else:
    try:
        from cryptography.hazmat.bindings._rust import openssl

        _from_private = openssl.x25519.from_private_bytes
        _from_public = openssl.x25519.from_public_bytes
    except (ImportError, AttributeError):
        # The compiled names are not the library's promise; these are.
        from cryptography.hazmat.primitives.asymmetric.x25519 import (
            X25519PrivateKey,
            X25519PublicKey,
        )

        _from_private = X25519PrivateKey.from_private_bytes
        _from_public = X25519PublicKey.from_public_bytes

__all__ = ["WeakPublicKey", "public_key", "shared_secret"]


class WeakPublicKey(InvalidKey):
    """A public key of small order: the shared secret would be all zeros."""


def public_key(private: bytes) -> bytes:
    """The public key of 32 private bytes, clamped or not."""
    return _from_private(private).public_key().public_bytes_raw()


def shared_secret(private: bytes, public: bytes) -> bytes:
    """The Diffie-Hellman secret.  Raises WeakPublicKey, a ValueError, if it is all zeros."""
    try:
        return _from_private(private).exchange(_from_public(public))
    except ValueError as error:
        raise WeakPublicKey("the public key is a point of small order") from error
