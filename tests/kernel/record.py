# SPDX-License-Identifier: MIT
"""Records what a real kernel answers, for tests/vectors/netlink_linux.json.

To be run as root inside the machine of vm.py:

    python tests/kernel/vm.py -- .venv/bin/python -B tests/kernel/record.py > FILE

Every case holds what was sent and each read's bytes; next to them stands what Debian's
C `wg` said about the same device.
"""

from __future__ import annotations

import base64
import json
import os
import platform
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

from wgtools.errors import WgError
from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, PeerChange
from wgtools_backends.linux.socket import Backend, open_socket

if TYPE_CHECKING:
    from wgtools_backends.linux.socket import Transport

CASES: list[dict[str, object]] = []


class Tap:
    """A netlink socket that remembers."""

    def __init__(self, sock: Transport, log: list[list[str]]) -> None:
        self.sock, self.log = sock, log
        self.getsockname, self.close = sock.getsockname, sock.close

    def send(self, data: bytes, /) -> int:
        self.log.append(["sent", data.hex()])
        return self.sock.send(data)

    def recvmsg(
        self, size: int, /
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, tuple[int, int]]:
        answer = self.sock.recvmsg(size)
        self.log.append(["read", answer[0].hex()])
        return answer


def record(name: str, call: Callable[[Backend], object], **more: object) -> None:
    log: list[list[str]] = []
    port: list[int] = []

    def connect(protocol: int) -> Transport:
        sock = open_socket(protocol)
        port.append(sock.getsockname()[0])
        return Tap(sock, log)

    error = 0
    try:
        call(Backend(connect=connect))
    except WgError as problem:
        error = getattr(problem, "errno", -1)
    CASES.append({"name": name, "port": port[-1], "errno": error, **more, "talk": log})


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def key(number: int) -> str:
    return base64.b64encode(number.to_bytes(2, "big") * 16).decode()


def configuration() -> str:
    """Peers of every shape; one with too many allowed IPs for one message."""
    lines = ["[Interface]", f"PrivateKey = {key(0x4840)}", "ListenPort = 51820", "FwMark = 0xcafe"]
    for number in range(40):
        lines += ["[Peer]", f"PublicKey = {key(number + 1)}"]
        endpoint = ("", "192.0.2.7:51820", "[2001:db8::7]:4500", "[fe80::7%lo]:1")[number % 4]
        if endpoint:
            lines.append(f"Endpoint = {endpoint}")
        if number % 3 == 1:
            lines += [f"PresharedKey = {key(0x1111 + number)}", "PersistentKeepalive = 25"]
        count = (0, 1, 4, 4)[number % 4] if number != 20 else 2000
        networks = [
            f"10.{number}.{index >> 8}.{index & 255}/32" if index % 2 == 0
            else f"fd00:{number:x}:{index:x}::/64" for index in range(count)
        ]  # fmt: skip
        lines += [f"AllowedIPs = {', '.join(networks)}"] if networks else []
    return "\n".join(lines) + "\n"


def main() -> None:
    for name in ("wg0", "wg1"):
        run("ip", "link", "add", name, "type", "wireguard")
    with open("/tmp/record.conf", "w", encoding="ascii") as file:
        file.write(configuration())
    run("wg", "setconf", "wg0", "/tmp/record.conf")
    record("list", lambda wg: wg.list(), wg=run("wg", "show", "interfaces"))
    record("get", lambda wg: wg.get("wg0"), wg=run("wg", "show", "wg0", "dump"))
    record("get-empty", lambda wg: wg.get("wg1"), wg=run("wg", "show", "wg1", "dump"))
    record("get-no-such-device", lambda wg: wg.get("nosuch"))
    record("get-another-kind", lambda wg: wg.get("lo"))
    record("set", lambda wg: wg.set("wg1", DeviceChange(listen_port=1, fwmark=2)))
    wrong = PeerChange(Key(b"\1" * 32), allowed_ips=[AllowedIP(b"\x0a\0\0\0", 33)])
    record("set-impossible-network", lambda wg: wg.set("wg1", DeviceChange(peers=[wrong])))
    os.seteuid(65534)
    record("get-without-privilege", lambda wg: wg.get("wg0"))
    os.seteuid(0)
    origin = (
        f"Linux {platform.release()} {platform.machine()} and its answers, next to what Debian's "
        "C `wg` said of the same devices; recorded by tests/kernel/record.py. Facts, no licence "
        "needed."
    )
    cases = ",\n".join("  " + json.dumps(case) for case in CASES)
    header = f' "origin": {json.dumps(origin)},\n "licence": "facts, no licence needed",'
    print(f'{{\n{header}\n "cases": [\n{cases}\n ]\n}}')


if __name__ == "__main__":
    main()
