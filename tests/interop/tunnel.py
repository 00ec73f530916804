# SPDX-License-Identifier: MIT
"""A tunnel between two hosts: keys, configuration, addresses."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field

from tests.interop.hosts import C_WG, Host, wait_for

OUTER4 = ("192.0.2.1", "192.0.2.2")
OUTER6 = ("2001:db8::1", "2001:db8::2")
INNER4 = ("10.77.0.1", "10.77.0.2")
INNER6 = ("fd77::1", "fd77::2")
PORT = 51820


def genkey() -> str:
    return _wg("genkey")


def pubkey(private: str) -> str:
    return _wg("pubkey", private)


def genpsk() -> str:
    return _wg("genpsk")


def _wg(verb: str, text: str = "") -> str:
    done = subprocess.run([C_WG, verb], input=text, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@dataclass
class Tunnel:
    """Host `a` and host `b`, each with a daemon of some kind on wg0.

    Only `a` knows the other's endpoint, so only `a` can speak first.
    """

    a: Host
    b: Host
    outer: tuple[str, str] = OUTER4
    psk: str = ""
    keepalive: int = 0
    private: tuple[str, str] = field(default_factory=lambda: (genkey(), genkey()))

    @property
    def public(self) -> tuple[str, str]:
        return pubkey(self.private[0]), pubkey(self.private[1])

    def conf(self, side: int) -> str:
        other = 1 - side
        lines = [
            "[Interface]",
            f"PrivateKey = {self.private[side]}",
            f"ListenPort = {PORT}",
            "[Peer]",
            f"PublicKey = {self.public[other]}",
            f"AllowedIPs = {INNER4[other]}/32, {INNER6[other]}/128",
        ]
        if self.psk:
            lines.append(f"PresharedKey = {self.psk}")
        if side == 0:
            host = self.outer[other]
            lines.append(f"Endpoint = {f'[{host}]' if ':' in host else host}:{PORT}")
            if self.keepalive:
                lines.append(f"PersistentKeepalive = {self.keepalive}")
        return "\n".join(lines) + "\n"

    def up(self, kinds: tuple[str, str], *, mtu: int = 1420, wg: str = C_WG, **env: str) -> None:
        """Start the daemons, configure and address both ends."""
        for side, host in ((1, self.b), (0, self.a)):  # who listens first, who speaks last
            host.daemon(kinds[side], **env)
            self.configure(side, mtu=mtu, wg=wg)

    def configure(self, side: int, *, mtu: int = 1420, wg: str = C_WG) -> None:
        host = (self.a, self.b)[side]
        host.run(wg, "setconf", "wg0", host.path("wg0.conf", self.conf(side)))
        host.ip(f"link set wg0 mtu {mtu}")
        host.ip(f"addr add {INNER4[side]}/24 dev wg0")
        host.ip(f"addr add {INNER6[side]}/64 dev wg0 nodad")
        host.ip("link set wg0 up")
        # A daemon hears of it a moment later and opens its port then.
        wait_for("the UDP port", lambda: f":{PORT}" in host.run("ss", "-Hlun"))

    def handshakes(self, host: Host) -> int:
        """Unix time of the last one."""
        return int(host.run(C_WG, "show", "wg0", "latest-handshakes").split("\t")[1])

    def endpoint(self, host: Host) -> str:
        return host.run(C_WG, "show", "wg0", "endpoints").split("\t")[1].strip()

    def transfer(self, host: Host) -> tuple[int, int]:
        _, received, sent = host.run(C_WG, "show", "wg0", "transfer").split("\t")
        return int(received), int(sent)


def throughput(text: str) -> float:
    """Mbit/s that iperf3 says the receiver saw."""
    found = re.search(r"([\d.]+) ([MGK])bits/sec\s+receiver", text)
    assert found is not None, text
    return float(found[1]) * {"K": 1e-3, "M": 1.0, "G": 1e3}[found[2]]
