# SPDX-License-Identifier: MIT
"""ChaCha20-Poly1305 and XChaCha20-Poly1305 against their documents' own numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgtools.crypto import aead

SUNSCREEN = (
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
    b"future, sunscreen would be it."
)
KEY = bytes(range(0x80, 0xA0))
ADDITIONAL = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")


def test_hchacha20_of_xchacha_draft_2_2_1() -> None:
    nonce = bytes.fromhex("000000090000004a0000000031415927")
    expected = "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"
    assert aead.hchacha20(bytes(range(32)), nonce).hex() == expected


def test_xchacha20_poly1305_of_xchacha_draft_a_3_1() -> None:
    nonce = bytes(range(0x40, 0x58))
    sealed = aead.xseal(KEY, nonce, SUNSCREEN, ADDITIONAL)
    assert sealed.hex() == (
        "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
        "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
        "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
        "21f9664c97637da9768812f615c68b13b52e"
        "c0875924c1c7987947deafd8780acf49"
    )
    assert aead.xunseal(KEY, nonce, sealed, ADDITIONAL) == SUNSCREEN


def test_chacha20_poly1305_of_rfc_8439_2_8_2() -> None:
    nonce = bytes.fromhex("070000004041424344454647")
    out = bytearray(len(SUNSCREEN) + 16)
    aead.seal_into(KEY)(nonce, SUNSCREEN, ADDITIONAL, out)
    assert out[:16].hex() == "d31a8d34648e60db7b86afbc53ef7ec2"
    assert out[-16:].hex() == "1ae10b594f09e26a7e902ecbd0600691"
    plain = bytearray(len(SUNSCREEN))
    aead.open_into(KEY)(nonce, out, ADDITIONAL, plain)
    assert plain == SUNSCREEN


@given(st.binary(max_size=100), st.binary(max_size=40), st.integers(min_value=0))
def test_a_changed_byte_is_noticed(data: bytes, additional: bytes, where: int) -> None:
    sealed = bytearray(aead.seal(KEY, data, additional))
    assert aead.unseal(KEY, bytes(sealed), additional) == data
    sealed[where % len(sealed)] ^= 1
    with pytest.raises(aead.InvalidTag):
        aead.unseal(KEY, bytes(sealed), additional)


def test_an_older_library_without_the_into_calls_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    nonce, data = bytes(12), memoryview(b"some packet")
    new = bytearray(len(data) + 16)
    aead.seal_into(KEY)(nonce, data, None, new)
    monkeypatch.setattr(aead, "_HAS_INTO", False)
    old = bytearray(len(data) + 16)
    aead.seal_into(KEY)(nonce, data, None, old)
    assert old == new
    plain = bytearray(len(data))
    aead.open_into(KEY)(nonce, memoryview(old), None, memoryview(plain))
    assert plain == data
    old[0] ^= 1
    with pytest.raises(aead.InvalidTag):
        aead.open_into(KEY)(nonce, old, None, plain)
