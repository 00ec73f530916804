# SPDX-License-Identifier: MIT
"""`wg` as a process of its own, on a kernel that follows a recorded case's script.

The test writes a file `wg` that calls `main`; $SCRIPTED_KERNEL names the case, and what
was asked of the kernel is left beside it.  All but the opening of a netlink socket is
the real command's.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from pathlib import Path
from typing import Any

from wgtools.model import AllowedIP
from wgtools.testing.fake_kernel import FakeKernel, attribute, networks
from wgtools.testing.memory_backend import MemoryBackend

Case = dict[str, Any]
NESTED = 0x8000


class ScriptedKernel(FakeKernel):
    """Gives the recorded answers in turn, the last one for ever; keeps what it is told."""

    def __init__(self, case: Case) -> None:
        links = [(name, kind or "") for name, kind in case.get("links", [])]
        super().__init__(MemoryBackend(), links=links)
        self.case = case
        self.module = case.get("family", True)
        self.interruptions = int(case.get("route_interrupted", False))
        self.gets: list[str] = []
        self.sets: list[str] = []

    def known(self, raw: bytes) -> str:
        return raw.rstrip(b"\0").decode()

    def dump(self, name: str) -> list[bytes]:
        self.gets.append(name)
        dumps = self.case.get("dumps") or [{"messages": []}]
        dump = dumps[min(len(self.gets), len(dumps)) - 1]
        if number := dump.get("error"):
            raise OSError(number, "as recorded")
        self.done_error = dump.get("done_error", 0)
        return [device(each) for each in dump["messages"]]

    def change(self, name: str, body: bytes) -> None:
        errors = self.case.get("set_errors") or [0]
        number = errors[min(len(self.sets), len(errors) - 1)]
        self.sets.append(body.hex())
        if number:
            raise OSError(number, "as recorded")


def device(entry: Case) -> bytes:
    out = attribute(1, struct.pack("=I", entry["ifindex"])) if "ifindex" in entry else b""
    out += attribute(2, entry["ifname"].encode() + b"\0")
    for kind, name in ((3, "private_key"), (4, "public_key")):
        if name in entry:
            out += attribute(kind, bytes.fromhex(entry[name]))
    if "listen_port" in entry:
        out += attribute(6, struct.pack("=H", entry["listen_port"]))
    if "fwmark" in entry:
        out += attribute(7, struct.pack("=I", entry["fwmark"]))
    if "peers" in entry:
        out += attribute(8 | NESTED, b"".join(map(peer, entry["peers"])))
    return out


def peer(entry: Case) -> bytes:
    out = attribute(1, bytes.fromhex(entry["public_key"]))
    for kind, payload in entry.get("raw", []):
        out += attribute(kind, bytes.fromhex(payload))
    if "preshared_key" in entry:
        out += attribute(2, bytes.fromhex(entry["preshared_key"]))
    if "handshake" in entry:
        out += attribute(6, struct.pack("=qq", *entry["handshake"]))
    if "keepalive" in entry:
        out += attribute(5, struct.pack("=H", entry["keepalive"]))
    if "rx" in entry:
        out += attribute(7, struct.pack("=Q", entry["rx"]))
        out += attribute(8, struct.pack("=Q", entry["tx"]))
    if "endpoint" in entry:
        out += attribute(4, sockaddr(*entry["endpoint"]))
    if entry.get("allowed_ips"):
        out += attribute(9 | NESTED, networks([AllowedIP.parse(ip) for ip in entry["allowed_ips"]]))
    return attribute(NESTED, out)


def sockaddr(host: str, port: int, scope: int) -> bytes:
    where = port.to_bytes(2, "big")
    if ":" not in host:
        return struct.pack("=H2s4s8x", socket.AF_INET, where, socket.inet_aton(host))
    packed = socket.inet_pton(socket.AF_INET6, host)
    return struct.pack("=H2sI16sI", socket.AF_INET6, where, 0, packed, scope)


def main() -> int:
    from wgtools.cli.wg import main as wg
    from wgtools_backends.linux.socket import Backend

    path = Path(os.environ["SCRIPTED_KERNEL"])
    kernel = ScriptedKernel(json.loads(path.read_text()))
    defaults = Backend.__init__.__kwdefaults__
    assert defaults is not None
    defaults["connect"] = kernel.connect
    status = wg()
    path.with_suffix(".log").write_text(json.dumps({"gets": kernel.gets, "sets": kernel.sets}))
    return status
