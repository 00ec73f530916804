# SPDX-License-Identifier: MIT
"""ChaCha20-Poly1305 and XChaCha20-Poly1305, for handshakes, transport data and cookies.

RFC 8439 and draft-irtf-cfrg-xchacha-03.  Bytes only: nonces, counters and headers belong
to the engine.  The transport functions write straight into a caller's buffer, so that no
packet becomes an object of its own.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

if TYPE_CHECKING:
    from collections.abc import Callable

    Buffer: TypeAlias = bytes | bytearray | memoryview

    # (nonce of 12 bytes, data, additional data, where the result goes; exact size)
    Into: TypeAlias = Callable[[bytes, Buffer, Buffer | None, bytearray | memoryview], object]

__all__ = ["TAG_SIZE", "InvalidTag", "open_into", "seal", "seal_into", "unseal", "xseal", "xunseal"]

TAG_SIZE = 16  # RFC 8439 section 2.5

_ZERO_NONCE = bytes(12)  # whitepaper 5.4.2: every handshake key seals once, with counter 0
_HAS_INTO = hasattr(ChaCha20Poly1305, "encrypt_into") and hasattr(ChaCha20Poly1305, "decrypt_into")


def seal(key: bytes, data: bytes, additional: bytes) -> bytes:
    """Aead(key, 0, data, additional) of the handshake: ciphertext and tag."""
    return ChaCha20Poly1305(key).encrypt(_ZERO_NONCE, data, additional)


def unseal(key: bytes, data: bytes, additional: bytes) -> bytes:
    """The inverse of `seal`.  Raises InvalidTag."""
    return ChaCha20Poly1305(key).decrypt(_ZERO_NONCE, data, additional)


def seal_into(key: bytes) -> Into:
    """A function that encrypts under `key` into a buffer of len(data) + 16 bytes."""
    cipher = ChaCha20Poly1305(key)
    if _HAS_INTO:
        return cipher.encrypt_into

    def encrypt_into(
        nonce: bytes, data: Buffer, additional: Buffer | None, buffer: bytearray | memoryview
    ) -> None:
        buffer[:] = cipher.encrypt(nonce, data, additional)

    return encrypt_into


def open_into(key: bytes) -> Into:
    """A function that decrypts under `key` into a buffer of len(data) - 16 bytes.

    The function raises InvalidTag; what the buffer holds then is unspecified.
    """
    cipher = ChaCha20Poly1305(key)
    if _HAS_INTO:
        return cipher.decrypt_into

    def decrypt_into(
        nonce: bytes, data: Buffer, additional: Buffer | None, buffer: bytearray | memoryview
    ) -> None:
        buffer[:] = cipher.decrypt(nonce, data, additional)

    return decrypt_into


_WORDS = Struct("<16I")
_SIGMA = (0x61707865, 0x3320646E, 0x79622D32, 0x6B206574)  # "expand 32-byte k"


def hchacha20(key: bytes, nonce: bytes) -> bytes:
    """HChaCha20 of a 32-byte key and 16-byte nonce (xchacha draft section 2.2).

    It is the ChaCha20 block without its closing addition.  A library gives the block;
    the words that were added are the input, which we know, so they can be taken off again.
    """
    block = Cipher(algorithms.ChaCha20(key, nonce), mode=None).encryptor().update(bytes(64))
    out = _WORDS.unpack(block)
    tail = Struct("<4I").unpack(nonce)
    words = [out[i] - _SIGMA[i] & 0xFFFFFFFF for i in range(4)]
    words += [out[12 + i] - tail[i] & 0xFFFFFFFF for i in range(4)]
    return Struct("<8I").pack(*words)


def xseal(key: bytes, nonce: bytes, data: bytes, additional: bytes) -> bytes:
    """XChaCha20-Poly1305 with a 24-byte nonce."""
    subkey = hchacha20(key, nonce[:16])
    return ChaCha20Poly1305(subkey).encrypt(bytes(4) + nonce[16:], data, additional)


def xunseal(key: bytes, nonce: bytes, data: bytes, additional: bytes) -> bytes:
    """The inverse of `xseal`.  Raises InvalidTag."""
    subkey = hchacha20(key, nonce[:16])
    return ChaCha20Poly1305(subkey).decrypt(bytes(4) + nonce[16:], data, additional)
