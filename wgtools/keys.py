# SPDX-License-Identifier: MIT
"""Key: the 32 bytes of a Curve25519 or preshared key.

Keys come in as base64 (files, `wg`) or hex (UAPI), leave the same way, compare in
constant time, and never show themselves in a `repr` or an error.  Curve
arithmetic is not here but in `wgtools.crypto`.
"""

from __future__ import annotations

# hmac.compare_digest under its own roof: importing hmac would cost every `wg` 3 ms.
from _operator import _compare_digest
from binascii import Error as _Base64Error
from binascii import a2b_base64, b2a_base64

from wgtools.errors import InvalidKey

__all__ = ["KEY_SIZE", "Key"]

KEY_SIZE = 32  # whitepaper 5.4: every public, private and preshared key


class Key:
    """Thirty-two bytes that must not leak.  Any value is allowed, all zeros included.

    Raises InvalidKey when made from anything else.
    """

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        if len(raw) != KEY_SIZE:
            raise InvalidKey(f"a key is {KEY_SIZE} bytes, not {len(raw)}")
        self._raw = bytes(raw)

    @classmethod
    def from_base64(cls, text: bytes | str) -> Key:
        """From exactly 44 characters of canonical base64.  Raises InvalidKey."""
        if isinstance(text, str):
            text = text.encode("ascii", "replace")
        if len(text) == 44 and text[43] == 0x3D:
            try:
                raw = a2b_base64(text)
            except _Base64Error:
                raw = b""
            # a2b_base64 skips bytes outside its alphabet and spare bits: encode back.
            if len(raw) == KEY_SIZE and b2a_base64(raw, newline=False) == text:
                return cls(raw)
        raise InvalidKey("a key is 44 characters of base64, the last of them `=`")

    @classmethod
    def from_hex(cls, text: bytes | str) -> Key:
        """From exactly 64 hex digits of either case.  Raises InvalidKey."""
        if isinstance(text, str):
            text = text.encode("ascii", "replace")
        if len(text) == 64 and text.isalnum():
            try:
                return cls(bytes.fromhex(text.decode("ascii")))
            except ValueError:
                pass
        raise InvalidKey("a key is 64 hexadecimal digits here")

    @classmethod
    def from_entropy(cls, raw: bytes) -> Key:
        """A new private key from 32 random bytes, clamped (RFC 7748 section 5)."""
        key = bytearray(raw)
        if len(key) != KEY_SIZE:
            raise InvalidKey(f"a key is {KEY_SIZE} bytes, not {len(raw)}")
        key[0] &= 248
        key[31] = key[31] & 127 | 64
        return cls(bytes(key))

    def base64(self) -> str:
        """As files and `wg` have it: the key itself, in plain sight."""
        return b2a_base64(self._raw, newline=False).decode("ascii")

    def hex(self) -> str:
        """As the UAPI has it: the key itself, in plain sight."""
        return self._raw.hex()

    @property
    def is_zero(self) -> bool:
        """True for 32 zero bytes, which WireGuard reads as "no key"."""
        return bool(_compare_digest(self._raw, _ZERO))

    def __bytes__(self) -> bytes:
        return self._raw

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and bool(_compare_digest(self._raw, other._raw))

    def __hash__(self) -> int:
        return hash(self._raw)

    def __repr__(self) -> str:
        return "Key(...)"


_ZERO = bytes(KEY_SIZE)
