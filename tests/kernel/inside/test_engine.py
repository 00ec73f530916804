# SPDX-License-Identifier: MIT
"""Our engine and the kernel's WireGuard as peers of each other: whoever speaks first, over
new sessions, and from new addresses.  Always with a preshared key."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop import compressed_engine
from tests.kernel.inside.tunnel import ENGINE, KERNEL, PATIENCE, Tunnel, answered, echoes, until

SPEED = 30  # of the engine's clock: Rekey-After-Time is four seconds


@pytest.fixture(scope="module")
def tunnel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tunnel]:
    made = Tunnel(tmp_path_factory.mktemp("tunnel"))
    yield made
    made.close()


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("first", [ENGINE, KERNEL])
def test_either_may_speak_first(tunnel: Tunnel, first: str, family: int) -> None:
    tunnel.configure(first, family)
    here, far = sorted(tunnel.sides.values(), key=lambda side: side is not tunnel.sides[first])
    assert far.endpoint() == "(none)"
    here.ping(far.inner[4])
    here.ping(far.inner[6], size=1300)
    assert far.endpoint() in (f"{here.under[4]}:51820", f"[{here.under[6]}]:51820")
    assert (":" in here.under[family]) == far.endpoint().startswith("[")
    assert abs(here.handshake() - far.handshake()) <= 1
    far.ping(here.inner[4])


@pytest.mark.parametrize("who", [ENGINE, KERNEL])
def test_either_may_roam(tunnel: Tunnel, who: str) -> None:
    """To another address, another port and another family, within one session."""
    tunnel.configure(who)
    here, far = sorted(tunnel.sides.values(), key=lambda side: side is not tunnel.sides[who])
    here.ping(far.inner[4])
    session = far.handshake()
    old, new = f"{here.under[4]}/24 dev under", "192.0.2.77/24 dev under"
    here.script(f"ip address delete {old}; ip address add {new}")
    try:
        here.ping(far.inner[4])
        assert far.endpoint() == "192.0.2.77:51820"
        here.run("wg", "set", "wg0", "listen-port", "4321")
        here.ping(far.inner[6])
        assert far.endpoint() == "192.0.2.77:4321"
        here.run(
            *("wg", "set", "wg0", "peer", far.public),
            *("endpoint", f"[{far.under[6]}]:51820"),
        )
        here.ping(far.inner[4])
        assert far.endpoint() == f"[{here.under[6]}]:4321"
        far.ping(here.inner[4])
        assert far.handshake() == session
    finally:
        here.script(f"ip address delete {new}; ip address add {old}")


def test_new_sessions_under_traffic_lose_nothing(tmp_path: Path) -> None:
    """The engine's clock runs faster, so it renews; the kernel answers in its own time."""
    tunnel = Tunnel(tmp_path, [sys.executable, "-B", compressed_engine.__file__, str(SPEED), "wg0"])
    try:
        tunnel.configure(ENGINE)
        tunnel.engine.ping(tunnel.kernel.inner[4])
        first = tunnel.kernel.handshake()
        log = tmp_path / "ping"
        words = echoes(tunnel.kernel.inner[4], count=60, interval=0.2)
        assert tunnel.engine.start(*words, log=log).wait(4 * PATIENCE) == 0
        assert answered(log.read_text()) == 60
        # 12 seconds are 360: two sessions more, at the least
        assert tunnel.log.read_text().count("Handshake completed") >= 3
        assert tunnel.kernel.handshake() - first >= 7
    finally:
        tunnel.close()


def test_an_interface_that_was_down_begins_anew(tunnel: Tunnel) -> None:
    tunnel.configure(KERNEL)
    tunnel.kernel.ping(tunnel.engine.inner[4])
    before = tunnel.log.read_text().count("Handshake completed")
    for side, far in ((tunnel.kernel, tunnel.engine), (tunnel.engine, tunnel.kernel)):
        side.run("ip", "link", "set", "wg0", "down")
        if side is tunnel.engine:  # else down and up in a breath may go unnoticed
            until(lambda: "Interface down" in tunnel.log.read_text(), "down went unnoticed")
        side.run("ip", "link", "set", "wg0", "up")
        side.run("ip", "address", "replace", f"{side.inner[6]}/64", "dev", "wg0", "nodad")
        side.ping(far.inner[4])
        far.ping(side.inner[6])
    assert tunnel.log.read_text().count("Handshake completed") - before == 2


class Aging:
    """A tunnel that carries something all the time; its session is the kernel's doing."""

    COUNT = 128  # seconds; Rekey-After-Time is 120

    def __init__(self, place: Path) -> None:
        self.tunnel = Tunnel(place)
        self.tunnel.configure(KERNEL)
        self.tunnel.kernel.ping(self.tunnel.engine.inner[4])
        self.session = self.tunnel.kernel.handshake()
        self.said = place / "ping"
        words = echoes(self.tunnel.engine.inner[4], count=self.COUNT, interval=1)
        self.ping = self.tunnel.kernel.start(*words, log=self.said)


@pytest.fixture(scope="session")
def aging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aging]:
    made = Aging(tmp_path_factory.mktemp("aging"))
    yield made
    made.ping.kill()
    made.ping.wait()
    made.tunnel.close()


def test_a_session_of_the_kernels_begins(aging: Aging) -> None:
    """First of all tests (conftest.py); the next is the last, when its time has come."""
    until(lambda: "time=" in aging.said.read_text(), "no answer")


def test_the_kernel_renews_its_session_in_real_time_and_nothing_is_lost(aging: Aging) -> None:
    assert aging.ping.wait(aging.COUNT + 2 * PATIENCE) == 0
    assert answered(aging.said.read_text()) == aging.COUNT
    for side in aging.tunnel.sides.values():
        assert 119 <= side.handshake() - aging.session <= 127
