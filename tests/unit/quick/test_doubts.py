# SPDX-License-Identifier: MIT
"""What `up` warns of without reading the file as the linter does."""

from __future__ import annotations

import pytest

from wgtools.conf.document import Document
from wgtools.conf.quickfile import QuickFile
from wgtools.quick.check import check
from wgtools.quick.doubts import Doubt

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
