# SPDX-License-Identifier: MIT
"""Two sides joined by a cable, each with network and /run of its own: on one our engine, on
the other the kernel's WireGuard, as peers of each other."""

from __future__ import annotations

import base64
import itertools
import os
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.kernel.inside.commands import BIN, THEIRS, run

__all__ = ["ENGINE", "KERNEL", "PATIENCE", "Side", "Tunnel", "answered", "echoes", "until"]

ENGINE, KERNEL = "engine", "kernel"
PORT = 51820
PATIENCE = 30.0  # an emulated machine is slow
_APART = ["unshare", "--net", "--mount", "sh", "-ec"]
_HOLD = "mount -t tmpfs none /run; mkdir /run/lock; ip link set lo up; echo; exec sleep infinity"


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def echoes(address: str, *, count: int, interval: float) -> list[str]:
    """A ping that goes on until so many are answered; without -w, it does not wait for an
    answer longer than twice the time that others took."""
    deadline = str(int(count * interval + PATIENCE))
    return ["ping", "-n", "-c", str(count), "-i", str(interval), "-w", deadline, address]


def answered(said: str) -> int:
    """How many in a row from the first."""
    numbers = {int(number) for number in re.findall(r"icmp_seq=(\d+) ttl=", said)}
    return next(number for number in itertools.count() if number + 1 not in numbers)


class Side:
    """One host: its addresses under and in the tunnel, and its keys."""

    def __init__(self, number: int) -> None:
        self.under = {4: f"192.0.2.{number}", 6: f"2001:db8::{number}"}
        self.inner = {4: f"10.9.0.{number}", 6: f"fd09::{number}"}
        self.private = base64.b64encode(bytes([8 * number]) * 31 + b"\x40").decode()
        self.public = run(THEIRS, "pubkey", given=self.private).strip()
        self._holder = subprocess.Popen([*_APART, _HOLD], stdout=subprocess.PIPE)
        self.pid = self._holder.pid
        assert self._holder.stdout is not None
        self._holder.stdout.readline()

    def words(self, *words: str) -> list[str]:
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", *words]

    def run(self, *words: str, status: int = 0) -> str:
        return run(*self.words(*words), status=status)

    def script(self, text: str) -> str:
        return self.run("sh", "-ec", text)

    def start(self, *words: str, log: Path) -> subprocess.Popen[bytes]:
        with log.open("wb") as file:
            return subprocess.Popen(
                self.words(*words),
                stdout=file,
                stderr=file,
                env={**os.environ, "LOG_LEVEL": "verbose"},
            )

    def ping(self, address: str, *, count: int = 3, size: int = 56) -> None:
        """Raises unless each of them is answered."""
        said = self.run(*echoes(address, count=count, interval=0.05), "-s", str(size))
        assert answered(said) == count, said

    def handshake(self) -> int:
        """When the last one was, by the clock."""
        return int(self.run(THEIRS, "show", "wg0", "latest-handshakes").split()[1])

    def endpoint(self) -> str:
        """Where it takes its peer to be."""
        return self.run(THEIRS, "show", "wg0", "endpoints").split()[1]

    def close(self) -> None:
        assert self._holder.stdout is not None
        self._holder.stdout.close()
        self._holder.kill()
        self._holder.wait()


class Tunnel:
    """wg0 on both sides; `configure` it."""

    def __init__(
        self, place: Path, engine: Sequence[str] = ("wgtools-engine", "-f", "wg0")
    ) -> None:
        self.place = place
        self.engine, self.kernel = Side(1), Side(2)
        self.sides = {ENGINE: self.engine, KERNEL: self.kernel}
        cable = ["ip", "link", "add", "under", "netns", str(self.engine.pid), "type", "veth"]
        run(*cable, "peer", "under", "netns", str(self.kernel.pid))
        program = str(BIN / engine[0])
        self.log = place / "engine.log"
        self.daemon = self.engine.start(program, *engine[1:], log=self.log)
        self.kernel.run("ip", "link", "add", "wg0", "type", "wireguard")
        # nsenter has made way for the engine, which sees its own /run
        socket = f"/proc/{self.engine.pid}/root/run/wireguard/wg0.sock"
        until(lambda: os.path.exists(socket), "the engine does not listen")
        for side in self.sides.values():
            side.script(
                "ip link set under addrgenmode none up\n"  # no address that comes later
                f"ip address add {side.under[4]}/24 dev under\n"
                f"ip address add {side.under[6]}/64 dev under nodad\n"
                f"ip address add {side.inner[4]}/24 dev wg0\n"
                f"ip address add {side.inner[6]}/64 dev wg0 nodad\n"
                "ip link set wg0 up\n"
            )

    def configure(self, first: str, family: int = 4) -> None:
        """Both anew, without sessions.  Only `first` knows where the other is."""
        for side in self.sides.values():  # both, before either is anew: none answers the other
            side.script("for p in $(wg show wg0 peers); do wg set wg0 peer $p remove; done")
        for name, side in self.sides.items():
            (far,) = (other for other in self.sides.values() if other is not side)
            host = f"[{far.under[6]}]" if family == 6 else far.under[4]
            conf = self.place / f"{name}.conf"
            conf.write_text(
                f"[Interface]\nPrivateKey = {side.private}\nListenPort = {PORT}\n"
                f"[Peer]\nPublicKey = {far.public}\n"
                f"PresharedKey = {base64.b64encode(bytes([7]) * 32).decode()}\n"
                f"AllowedIPs = {far.inner[4]}/32, {far.inner[6]}/128\n"
                + (f"Endpoint = {host}:{PORT}\n" if name == first else "")
            )
            conf.chmod(0o600)
            side.run(str(BIN / "wg"), "setconf", "wg0", str(conf))

    def close(self) -> None:
        self.daemon.terminate()
        self.daemon.wait(PATIENCE)
        for side in self.sides.values():
            side.close()
