# SPDX-License-Identifier: MIT
"""Makes handshake.json with implementations that are not ours.

    pip install noiseprotocol==0.3.1 pynacl
    python tests/vectors/make_handshake.py > tests/vectors/handshake.json

Noise is noiseprotocol's (MIT), XChaCha20-Poly1305 is libsodium's by way of PyNaCl (ISC,
Apache-2.0), BLAKE2s is hashlib's.  Nothing of wgtools is imported.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

# Not among our dependencies: only whoever makes the vectors again needs them.
from nacl.bindings import (  # type: ignore[import-not-found]  # not a dependency
    crypto_aead_xchacha20poly1305_ietf_encrypt as xseal,
)
from nacl.bindings import crypto_scalarmult_base
from noise.connection import (  # type: ignore[import-not-found]  # as above
    Keypair,
    NoiseConnection,
)

NAME = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
PROLOGUE = b"WireGuard v1 zx2c4 Jason@zx2c4.com"


def seeded(label: str, size: int = 32) -> bytes:
    return hashlib.shake_256(b"wgtools handshake vector: " + label.encode()).digest(size)


def scalar(label: str) -> bytes:
    raw = bytearray(seeded(label))
    raw[0] &= 248
    raw[31] = raw[31] & 127 | 64
    return bytes(raw)


def mac(key: bytes, data: bytes) -> bytes:
    return hashlib.blake2s(data, key=key, digest_size=16).digest()


def mac1_key(label: bytes, public: bytes) -> bytes:
    return hashlib.blake2s(label + public).digest()


def connection(*, initiator: bool, keys: dict[str, bytes], psk: bytes) -> Any:
    noise = NoiseConnection.from_name(NAME)
    noise.set_psks(psk)
    noise.set_prologue(PROLOGUE)
    if initiator:
        noise.set_as_initiator()
    else:
        noise.set_as_responder()
    own, other = ("initiator", "responder") if initiator else ("responder", "initiator")
    noise.set_keypair_from_private_bytes(Keypair.STATIC, keys[own + "_static"])
    noise.set_keypair_from_private_bytes(Keypair.EPHEMERAL, keys[own + "_ephemeral"])
    if initiator:
        public = crypto_scalarmult_base(keys[other + "_static"])
        noise.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, public)
    noise.start_handshake()
    return noise


def case(name: str, psk: bytes) -> dict[str, str]:
    keys = {
        who: scalar(f"{name} {who}")
        for who in (
            "initiator_static",
            "initiator_ephemeral",
            "responder_static",
            "responder_ephemeral",
        )
    }
    stamp = bytes.fromhex("400000006553f10a") + bytes.fromhex("1d000000")
    sender, receiver = bytes.fromhex("01020304"), bytes.fromhex("a1a2a3a4")
    a = connection(initiator=True, keys=keys, psk=psk)
    b = connection(initiator=False, keys=keys, psk=psk)
    a_public = crypto_scalarmult_base(keys["initiator_static"])
    b_public = crypto_scalarmult_base(keys["responder_static"])

    initiation = b"\x01\0\0\0" + sender + bytes(a.write_message(stamp))
    if bytes(b.read_message(initiation[8:])) != stamp:
        sys.exit("the two ends disagree")
    initiation += mac(mac1_key(b"mac1----", b_public), initiation) + bytes(16)
    response = b"\x02\0\0\0" + receiver + sender + bytes(b.write_message())
    a.read_message(response[12:])
    response += mac(mac1_key(b"mac1----", a_public), response) + bytes(16)

    packet = bytes.fromhex("45000020") + seeded(f"{name} packet", 28)
    data = b"\x04\0\0\0" + receiver + bytes(8) + bytes(a.encrypt(packet))
    answer = b"\x04\0\0\0" + sender + bytes(8) + bytes(b.encrypt(b""))

    nonce, cookie = seeded(f"{name} nonce", 24), seeded(f"{name} cookie", 16)
    sealed = xseal(cookie, initiation[116:132], nonce, mac1_key(b"cookie--", b_public))
    reply = b"\x03\0\0\0" + sender + nonce + sealed
    with_mac2 = initiation[:132] + mac(cookie, initiation[:132])
    out = {
        **keys,
        "psk": psk,
        "stamp": stamp,
        "initiator_public": a_public,
        "responder_public": b_public,
        "initiation": initiation,
        "response": response,
        "packet": packet,
        "data": data,
        "keepalive": answer,
        "cookie": cookie,
        "cookie_reply": reply,
        "initiation_with_mac2": with_mac2,
    }
    return {"name": name, **{key: value.hex() for key, value in out.items()}}


def main() -> None:
    document = {
        "origin": "made by tests/vectors/make_handshake.py with noiseprotocol 0.3.1 (MIT), "
        "PyNaCl (libsodium) and hashlib; the script says how to make it again",
        "licence": "MIT",
        "cases": [case("without psk", bytes(32)), case("with psk", seeded("psk"))],
    }
    json.dump(document, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
