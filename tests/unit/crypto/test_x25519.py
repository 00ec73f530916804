# SPDX-License-Identifier: MIT
"""X25519 by RFC 7748's own numbers, through the compiled module and through the public API."""

from __future__ import annotations

import importlib
import sys
import types

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from wgtools.crypto import x25519
from wgtools.errors import InvalidKey

# RFC 7748 section 6.1: Bob's key pair, Alice's public key, and what they share
ALICE_PUBLIC = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
BOB = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
BOB_PUBLIC = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
SHARED = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
# RFC 7748 section 5.2, the first pair
SCALAR = bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")
POINT = bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
PRODUCT = bytes.fromhex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")


@pytest.fixture(params=["compiled", "public"])
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A fresh copy of the module, which finds the compiled names or does not."""
    with monkeypatch.context() as context:
        context.delitem(sys.modules, "wgtools.crypto.x25519")
        if request.param == "public":
            bare = types.ModuleType("_rust")
            context.setitem(sys.modules, "cryptography.hazmat.bindings._rust", bare)
        fresh = importlib.import_module("wgtools.crypto.x25519")
    monkeypatch.setattr(sys.modules["wgtools.crypto"], "x25519", x25519)
    return fresh


def test_both_ways_are_tried(module: types.ModuleType, request: pytest.FixtureRequest) -> None:
    is_public = module._from_private == X25519PrivateKey.from_private_bytes
    assert is_public == request.node.name.endswith("[public]")


def test_rfc_7748(module: types.ModuleType) -> None:
    assert module.public_key(BOB) == BOB_PUBLIC
    assert module.shared_secret(BOB, ALICE_PUBLIC) == SHARED
    assert module.shared_secret(SCALAR, POINT) == PRODUCT


def test_points_of_small_order_are_refused(module: types.ModuleType) -> None:
    # The points of order 1, 2, 4 and 8 and the non-canonical forms of the first two.
    prime = 2**255 - 19
    for u in (0, 1, prime - 1, prime, prime + 1):
        with pytest.raises(module.WeakPublicKey):
            module.shared_secret(BOB, u.to_bytes(32, "little"))


def test_weak_key_is_an_invalid_key_and_a_value_error() -> None:
    assert issubclass(x25519.WeakPublicKey, InvalidKey)
    assert issubclass(x25519.WeakPublicKey, ValueError)
