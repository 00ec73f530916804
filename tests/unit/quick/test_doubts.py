# SPDX-License-Identifier: MIT
"""What `up` warns of without reading the file as the linter does."""

from __future__ import annotations

import pytest

from wgtools.conf.document import Document
from wgtools.conf.quickfile import QuickFile
from wgtools.crypto.x25519 import public_key
from wgtools.keys import Key
from wgtools.model import Device, DeviceChange, Peer, PeerChange
from wgtools.quick.check import check
from wgtools.quick.doubts import Doubt, left_out

KEY = "SORGYj8hT82v7mOW1jC/t0COKfHqUQP9t899AKiyxGs="
ONE = "[Peer]\nPublicKey = wHVFptYnJNd5Pqc5/D5UGhPeJBZQd/F5i+tcO6EL5cc=\nAllowedIPs = "
TWO = "[Peer]\nPublicKey = DrxIueBX2fsNcQqZnEYShnqWRNzpfDumrLxYe56EsDI=\nAllowedIPs = "
OWN = f"PrivateKey = {KEY}\n"


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (OWN + ONE + "10.0.0.0/24\n" + TWO + "10.0.1.0/24, 10.0.0.0/25", []),
        (OWN + ONE + "10.0.0.0/24, 10.0.0.0/24\n" + TWO + "::/0", []),
        (OWN + ONE + "0.0.0.0/0\n" + TWO + "::/0", []),
        (OWN + ONE + "10.0.0.0/24\n" + TWO + "10.0.0.7/24", ["10.0.0.7/24: allowed IPs of"]),
        (OWN + ONE + "::/0,fd00::/8\n" + TWO + "::/0,fd00::/8", ["::/0 and 1 more: allowed"]),
        ("PostUp = WG SET %i Private-Key <(pass my/key)\n", []),
        ("", ["there is no PrivateKey"]),
    ],
)
def test_doubts(text: str, messages: list[str]) -> None:
    config = QuickFile(Document(f"[Interface]\n{text}\n".encode(), "wg0.conf"))
    found = check(config, tables={}, bad_hook=lambda _: False).warnings
    assert all(isinstance(each, Doubt) and each.hint for each in found)
    assert len(found) == len(messages)
    assert all("type: " in each.hint or "with: " in each.hint for each in found)
    for each, message in zip(found, messages, strict=True):
        assert each.message.startswith(message)


def test_a_peer_that_was_not_kept_is_the_interface_itself() -> None:
    private = Key.from_base64(KEY)
    own, other = Key(public_key(bytes(private))), Key(b"\1" * 32)
    change = DeviceChange(private_key=private, peers=[PeerChange(own), PeerChange(other)])
    device = Device("wg0", private_key=private, peers=[Peer(other)])
    (remark,) = left_out(device, change)
    assert "a peer has the PublicKey of this interface itself" in remark.message
    assert left_out(device, DeviceChange(peers=[PeerChange(other)])) == []
    # A hook may have taken one away: that is its business.
    assert (
        left_out(Device("wg0", private_key=private), DeviceChange(peers=[PeerChange(other)])) == []
    )
