# SPDX-License-Identifier: MIT
"""A flood of a real port from 64,000 addresses: the session goes on, memory stays, it is told.

How much is carried meanwhile is measured by tests/bench/bench_flood.py; here only what must
hold on any machine.
"""

from __future__ import annotations

import re
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.bench.bench_flood import Scene
from tests.interop.hosts import C_WG, OURS
from tests.interop.tunnel import INNER4, genkey, pubkey

RATE, SECONDS = 8000.0, 3.0  # of initiations a quarter: twenty times what is taken unproved


@pytest.fixture
def scene(tmp_path: Path) -> Generator[Scene]:
    made = Scene(OURS, tmp_path)
    yield made
    made.close()


def counted(scene: Scene) -> dict[str, int]:
    """What the victim's log says was thrown away, once it has ended."""
    scene.daemon.terminate()
    scene.daemon.wait(10)
    told = re.findall(r"Thrown away so far: (.*)", scene.victim.log())
    pairs = [item.rpartition(" ") for item in told[-1].split(", ")]
    return {name: int(count) for name, _, count in pairs}


@pytest.mark.parametrize("kind", ["replays", "unknown indices", "rubbish"])
def test_session_under_a_flood(scene: Scene, kind: str) -> None:
    flooder = scene.flood(kind, RATE, SECONDS)
    before = scene.memory()
    assert scene.client.ping(INNER4[1], count=25) >= 24
    sent = int(flooder.communicate(timeout=30)[0])
    assert sent >= RATE
    assert scene.memory() - before < 4
    reasons = {
        "replays": {"replayed_counter"},
        "unknown indices": {"unknown_index"},
        "rubbish": {"malformed", "unknown_index", "bad_mac1"},
    }[kind]
    numbers = counted(scene)
    dropped = sum(count for name, count in numbers.items() if name in reasons)
    # What a full receive buffer lost never reached us.
    assert sent * 0.5 <= dropped <= sent


def test_cookies_come_on_and_go_off(scene: Scene) -> None:
    """A newcomer gets in under the flood, with a cookie, and later without."""
    client, victim = scene.client, scene.victim
    flooder = scene.flood("initiations", RATE, SECONDS + 8)
    before = scene.memory()
    time.sleep(1.5)
    fresh = genkey()
    words = ("peer", pubkey(fresh), "allowed-ips", f"{INNER4[0]}/32")
    victim.run(C_WG, "set", "wg0", *words)
    client.run(C_WG, "set", "wg0", "private-key", client.path("fresh", fresh))
    # The first initiation is answered with a cookie; the second, five seconds on, has it.
    begun = time.monotonic()
    while not client.ping(INNER4[1], "-W", "1", count=1):
        assert time.monotonic() - begun < 20
    assert flooder.poll() is None, "the flood was over before the newcomer was in"
    sent = int(flooder.communicate(timeout=30)[0])
    assert scene.memory() - before < 4
    # Two seconds after the flood nobody is asked for a cookie.
    time.sleep(2.0)
    other = genkey()
    words = ("peer", pubkey(other), "allowed-ips", f"{INNER4[0]}/32")
    victim.run(C_WG, "set", "wg0", *words)
    client.run(C_WG, "set", "wg0", "private-key", client.path("other", other))
    assert client.ping(INNER4[1], "-W", "4", count=1) == 1
    numbers = counted(scene)
    assert numbers["cookie_demanded"] >= sent * 0.4
    assert numbers["bad_handshake"] <= 200 * (SECONDS + 8 + 3)
