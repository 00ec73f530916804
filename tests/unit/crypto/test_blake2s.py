# SPDX-License-Identifier: MIT
"""BLAKE2s, its MAC and its KDF against published numbers and the standard library."""

from __future__ import annotations

import hmac

from hypothesis import given
from hypothesis import strategies as st

from wgtools.crypto.blake2s import hash32, hmac32, kdf1, kdf2, kdf3, mac16


def test_blake2s_of_rfc_7693_appendix_b() -> None:
    expected = "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982"
    assert hash32(b"abc").hex() == expected
    assert hash32(b"a", b"", b"bc").hex() == expected


def test_the_chaining_key_of_the_whitepaper() -> None:
    # wireguard-go (MIT) computes the same InitialChainKey from the construction's name.
    assert hash32(b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s").hex() == (
        "60e26daef327efc02ec335e2a025d2d016eb4206f87277f52d38d1988b78cd36"
    )


def test_mac_has_sixteen_bytes_and_depends_on_its_key() -> None:
    assert len(mac16(bytes(32), b"x")) == 16
    assert mac16(bytes(32), b"x") != mac16(bytes(31) + b"\1", b"x")
    assert mac16(bytes(16), b"x") != hash32(b"x")[:16]


@given(st.binary(max_size=64), st.binary(max_size=200))
def test_hmac_is_that_of_the_standard_library(key: bytes, data: bytes) -> None:
    assert hmac32(key, data) == hmac.new(key, data, "blake2s").digest()


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=64))
def test_kdf_is_hkdf_with_empty_info(key: bytes, data: bytes) -> None:
    def step(secret: bytes, text: bytes) -> bytes:
        return hmac.new(secret, text, "blake2s").digest()

    secret = step(key, data)
    one = step(secret, b"\1")
    two = step(secret, one + b"\2")
    three = step(secret, two + b"\3")
    assert kdf1(key, data) == one
    assert kdf2(key, data) == (one, two)
    assert kdf3(key, data) == (one, two, three)
