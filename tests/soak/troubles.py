# SPDX-License-Identifier: MIT
"""What befalls the two hosts of a soak: one trouble at a time, each with its excuse.

A trouble says whether the protocol lets it end sessions.  Where it may not, packets are
lost only while it lasts; where it may, also for the moments that a handshake takes.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from tests.interop.hosts import C_WG
from tests.interop.tunnel import INNER4, PORT, genkey, pubkey

if TYPE_CHECKING:
    from tests.soak.soak import Soak

ERRORS = ("ENOBUFS", "EPERM", "EMSGSIZE", "ENETUNREACH", "EHOSTUNREACH")
_STRANGERS = 40


@dataclass(frozen=True, slots=True)
class Trouble:
    """`run` makes it, lasts as long as it lasts, and takes it back."""

    name: str
    run: Callable[[Soak, Random], None]
    ends_sessions: bool = False


def _refused(number: str) -> Trouble:
    def run(soak: Soak, random: Random) -> None:
        side = random.randrange(2)
        soak.order(side, f"fault {number} {random.choice((0.3, 1.0))}")
        time.sleep(random.uniform(0.3, 1.5))
        soak.order(side, "fault LOSS 0")

    return Trouble(f"sends fail with {number}", run)


def _loss(soak: Soak, random: Random) -> None:
    for side in (0, 1):
        soak.order(side, "fault LOSS 0.3")
        soak.order(side, "receive LOSS 0.1")
    time.sleep(2.0)
    for side in (0, 1):
        soak.order(side, "fault LOSS 0")
        soak.order(side, "receive LOSS 0")


def _flap(soak: Soak, random: Random) -> None:
    host = random.choice(soak.hosts)
    host.ip("link set wg0 down")
    time.sleep(random.choice((0.0, 0.0, 0.5, 2.0)))
    host.ip("link set wg0 up")


def _flap_fast(soak: Soak, random: Random) -> None:
    """Down and up again before anyone can look, several times."""
    host = random.choice(soak.hosts)
    host.run("sh", "-c", "for i in 1 2 3 4 5; do ip link set wg0 down; ip link set wg0 up; done")


def _flap_outside(soak: Soak, random: Random) -> None:
    host = random.choice(soak.hosts)
    host.ip("link set eth0 down")
    time.sleep(random.choice((0.0, 0.5, 1.5)))
    host.ip("link set eth0 up")


def _roam(soak: Soak, random: Random) -> None:
    """Another address outside, and the first one back a moment later.

    Who has moved must be the first to speak: the other goes on talking to where it was, and one
    who only ever answers would never be heard again (whitepaper 2.1).
    """
    side = random.randrange(2)
    host, home, other = soak.hosts[side], f"192.0.2.{side + 1}/24", f"192.0.2.{side + 11}/24"
    for gone, come in ((home, other), (other, home)):
        host.ip(f"addr add {come} dev eth0")
        host.ip(f"addr del {gone} dev eth0")
        host.call("ping", "-n", "-c", "1", "-W", "1", INNER4[1 - side])
        time.sleep(0.5)


def _port(soak: Soak, random: Random) -> None:
    soak.hosts[0].run(C_WG, "set", "wg0", "listen-port", str(random.randint(20000, 30000)))
    time.sleep(0.5)
    soak.hosts[0].run(C_WG, "set", "wg0", "listen-port", str(PORT))


def _mark(soak: Soak, random: Random) -> None:
    soak.hosts[0].run(C_WG, "set", "wg0", "fwmark", str(random.randint(1, 1000)))
    time.sleep(0.3)
    soak.hosts[0].run(C_WG, "set", "wg0", "fwmark", "off")


def _mtu(soak: Soak, random: Random) -> None:
    for mtu in (1280, 9000, 1420):
        random.choice(soak.hosts).ip(f"link set wg0 mtu {mtu}")
        time.sleep(0.2)
    for host in soak.hosts:
        host.ip("link set wg0 mtu 1420")


def _peers_go(soak: Soak, random: Random) -> None:
    """Both forget each other; one who alone forgot could be held to be his own recording."""
    for side, host in enumerate(soak.hosts):
        host.run(C_WG, "set", "wg0", "peer", soak.tunnel.public[1 - side], "remove")
    time.sleep(random.choice((0.0, 1.0)))
    for side in (1, 0):
        soak.configure(side)


def _strangers(soak: Soak, random: Random) -> None:
    """Peers nobody answers for come, try and go."""
    host = random.choice(soak.hosts)
    keys = [pubkey(genkey()) for _ in range(_STRANGERS)]
    for number, key in enumerate(keys):
        endpoint = f"192.0.2.{100 + number}:{PORT}"
        words = ["peer", key, "endpoint", endpoint, "persistent-keepalive", "1"]
        words += ["allowed-ips", f"10.99.{number}.0/24"]
        host.run(C_WG, "set", "wg0", *words)
    time.sleep(1.0)
    host.run(C_WG, "set", "wg0", *(word for key in keys for word in ("peer", key, "remove")))


def _identity(soak: Soak, random: Random) -> None:
    """One has another private key, and the other is told."""
    side = random.randrange(2)
    soak.change_key(side)


def _wall(soak: Soak, random: Random) -> None:
    side, seconds = random.randrange(2), random.choice((-86400, -3600, -1, 1, 3600, 86400))
    soak.order(side, f"wall {seconds}")
    time.sleep(1.0)
    soak.order(side, f"wall {-seconds}")


def _suspend(soak: Soak, random: Random) -> None:
    """The machine slept: its clocks went on, its processes did not."""
    side = random.randrange(2)
    pid = soak.engines[side].pid
    seconds = random.choice((20, 200, 4000))
    soak.signal_engine(side, signal.SIGSTOP)
    time.sleep(0.3)
    assert pid == soak.engines[side].pid
    soak.order(side, f"mono {seconds}")
    soak.order(side, f"wall {seconds}")
    soak.signal_engine(side, signal.SIGCONT)


def _back(soak: Soak, random: Random) -> None:
    """A monotonic clock that is none."""
    side, seconds = random.randrange(2), random.choice((1, 5, 10))
    soak.order(side, f"mono {-seconds}")
    time.sleep(1.5)
    soak.order(side, f"mono {seconds}")


TROUBLES = (
    *(_refused(number) for number in ERRORS),
    Trouble("packets are lost", _loss),
    Trouble("interface down and up", _flap, ends_sessions=True),
    Trouble("interface down and up at once", _flap_fast, ends_sessions=True),
    Trouble("cable out and in", _flap_outside),
    Trouble("address changes", _roam),
    Trouble("port changes", _port),
    Trouble("mark changes", _mark),
    Trouble("MTU changes", _mtu),
    Trouble("peers removed and back", _peers_go, ends_sessions=True),
    Trouble("strangers come and go", _strangers),
    Trouble("another private key", _identity, ends_sessions=True),
    Trouble("wall clock set", _wall),
    Trouble("suspend", _suspend, ends_sessions=True),
    Trouble("monotonic clock goes back", _back),
)
