# SPDX-License-Identifier: MIT
"""mac1, mac2 and cookie replies (whitepaper 5.3, 5.4.4, 5.4.7).

Two sides: CookieChecker judges what comes to us, CookieJar closes what we send to one
peer.  Whether we are under load is not decided here.
"""

from __future__ import annotations

# hmac.compare_digest under its own roof, as in wgtools.keys.
from _operator import _compare_digest
from typing import TYPE_CHECKING

from wgtools.crypto.aead import InvalidTag, xseal, xunseal
from wgtools.crypto.blake2s import hash32, mac16
from wgtools.engine import messages
from wgtools.engine.constants import COOKIE_LIFETIME, COOKIE_TRIES, LABEL_COOKIE, LABEL_MAC1
from wgtools.inet import pton

if TYPE_CHECKING:
    from collections.abc import Callable

    from wgtools.engine.events import Address

__all__ = ["CookieChecker", "CookieJar", "packed_host"]

_NO_MAC2 = bytes(messages.MAC2_SIZE)


def packed_host(address: Address) -> bytes:
    """The 4 or 16 bytes of an address; empty if the shell gave no numeric host."""
    return pton(address[0].partition("%")[0]) or b""


class CookieChecker:
    """What we demand of handshake messages sent to us."""

    __slots__ = ("_born", "_cookie_key", "_entropy", "_mac1_key", "_secret")

    def __init__(self, public: bytes, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._mac1_key = hash32(LABEL_MAC1, public)
        self._cookie_key = hash32(LABEL_COOKIE, public)
        self._secret = b""
        self._born = 0.0

    def mac1_is_valid(self, message: bytes) -> bool:
        """Whether the sender knows our public key.  The first and cheapest check."""
        body, mac1 = message[:-32], message[-32:-16]
        return bool(_compare_digest(mac16(self._mac1_key, body), mac1))

    def mac2_is_valid(self, message: bytes, address: Address, mono: float) -> bool:
        """Whether the sender has a fresh cookie, so really lives at `address`."""
        cookie = self._cookie(address, mono)
        return bool(_compare_digest(mac16(cookie, message[:-16]), message[-16:]))

    def reply(self, message: bytes, address: Address, mono: float) -> bytes:
        """The cookie reply to an initiation or response."""
        nonce = self._entropy(24)
        cookie = self._cookie(address, mono)
        sealed = xseal(self._cookie_key, nonce, cookie, message[-32:-16])
        sender = int.from_bytes(message[4:8], "little")
        return messages.COOKIE_REPLY.pack(messages.TYPE_COOKIE_REPLY, sender, nonce, sealed)

    def _cookie(self, address: Address, mono: float) -> bytes:
        """A MAC of address *and port* under a secret that changes every two minutes."""
        if not self._secret or mono - self._born >= COOKIE_LIFETIME:
            self._secret = self._entropy(32)
            self._born = mono
        return mac16(self._secret, packed_host(address) + (address[1] & 0xFFFF).to_bytes(2, "big"))


class CookieJar:
    """The MACs on what we send to one peer, and the cookie it gave us."""

    __slots__ = ("_born", "_cookie", "_cookie_key", "_last_mac1", "_mac1_key", "_tries")

    def __init__(self, public: bytes) -> None:
        self._mac1_key = hash32(LABEL_MAC1, public)
        self._cookie_key = hash32(LABEL_COOKIE, public)
        self._last_mac1 = b""
        self._cookie = b""
        self._born = 0.0
        self._tries = 0  # wrong replies that will still be looked at

    def close(self, message: bytes, mono: float) -> bytes:
        """`message` with its mac1 and mac2."""
        mac1 = mac16(self._mac1_key, message)
        self._last_mac1 = mac1
        self._tries = COOKIE_TRIES
        if self._cookie and mono - self._born >= COOKIE_LIFETIME:
            self._cookie = b""
        if not self._cookie:
            return message + mac1 + _NO_MAC2
        closed = message + mac1
        return closed + mac16(self._cookie, closed)

    def answered(self) -> None:
        """Our last message was accepted: whoever did so sends no cookie for it."""
        self._last_mac1 = b""

    def take(self, message: bytes, mono: float) -> bool:
        """Keep the cookie of a reply to our last message; False if it is no such thing.

        Who sees our index on the way can send any number of false ones: not one, lest he
        spoil a true one with it, but not all of them are worth an AEAD.
        """
        if not self._last_mac1:
            return False
        _, _, nonce, sealed = messages.COOKIE_REPLY.unpack(message)
        try:
            self._cookie = xunseal(self._cookie_key, nonce, sealed, self._last_mac1)
        except InvalidTag:
            self._tries -= 1
            if not self._tries:
                self._last_mac1 = b""
            return False
        self._born = mono
        # One reply a message: whoever recorded it cannot keep our cookie young by replaying.
        self._last_mac1 = b""
        return True
