# SPDX-License-Identifier: MIT
"""BLAKE2s as WireGuard uses it: a hash, a keyed MAC, and HKDF over HMAC.

Whitepaper 5.4 names them Hash, Mac, Hmac and Kdf_n; the primitive is RFC 7693, HKDF is
RFC 5869 with an empty info.  Thin over hashlib, with nothing of Noise in it.
"""

from __future__ import annotations

from hashlib import blake2s

__all__ = ["hash32", "hmac32", "kdf1", "kdf2", "kdf3", "mac16"]

MAC_SIZE = 16  # whitepaper 5.4: Mac is keyed BLAKE2s with 16 bytes of output
BLOCK_SIZE = 64  # RFC 7693 section 2.1: bb for BLAKE2s

_INNER = bytes(byte ^ 0x36 for byte in range(256))  # RFC 2104 section 2
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


def hash32(*parts: bytes) -> bytes:
    """Hash of the concatenation of `parts`."""
    state = blake2s()
    for part in parts:
        state.update(part)
    return state.digest()


def mac16(key: bytes, data: bytes | memoryview) -> bytes:
    """Mac(key, data); a key has at most 32 bytes."""
    return blake2s(data, key=key, digest_size=MAC_SIZE).digest()


def hmac32(key: bytes, data: bytes) -> bytes:
    """HMAC-BLAKE2s.  The `hmac` module does the same at three times the cost, and this is
    what a handshake spends its time on besides X25519.  A key has at most 64 bytes."""
    block = key.ljust(BLOCK_SIZE, b"\0")
    inner = blake2s(block.translate(_INNER) + data).digest()
    return blake2s(block.translate(_OUTER) + inner).digest()


def kdf1(key: bytes, data: bytes) -> bytes:
    """The first output of Kdf."""
    return hmac32(hmac32(key, data), b"\x01")


def kdf2(key: bytes, data: bytes) -> tuple[bytes, bytes]:
    """The first two outputs of Kdf."""
    secret = hmac32(key, data)
    first = hmac32(secret, b"\x01")
    return first, hmac32(secret, first + b"\x02")


def kdf3(key: bytes, data: bytes) -> tuple[bytes, bytes, bytes]:
    """All three outputs of Kdf."""
    secret = hmac32(key, data)
    first = hmac32(secret, b"\x01")
    second = hmac32(secret, first + b"\x02")
    return first, second, hmac32(secret, second + b"\x03")
