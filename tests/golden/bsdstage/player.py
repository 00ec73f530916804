# SPDX-License-Identifier: MIT
"""`wg-quick` as on another system: the real command, with sys.platform and four doors faked.

    player.py WORDS...      with STAGE and STAGE_PLATFORM in the environment

Faked are only what Linux does not have: the platform's name, the route socket (a Unix
socket that the stage's programs ring), the WireGuard devices (kept as the requests that
were sent to them), the search path for facts, and how a monitor is started (this file).
"""

from __future__ import annotations

import glob
import os
import select
import signal
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path

BASE = Path(os.environ.get("STAGE", "/run/stage"))
BIN = BASE / "bin"
_LOADED = (select, signal, socket, subprocess)  # before sys.platform is another
sysconfig.get_config_vars()  # from a file named after the platform

sys.platform = os.environ["STAGE_PLATFORM"]

# Only now that the platform has its other name.
from wgtools import ipc  # noqa: E402  # by its name
from wgtools.errors import NoSuchInterface  # noqa: E402  # by its name
from wgtools.quick import interpreter  # noqa: E402  # by its name
from wgtools.quick.systems import hostfacts, monitor  # noqa: E402  # by its name
from wgtools.testing.memory_backend import MemoryBackend  # noqa: E402  # by its name
from wgtools.uapi.client import encode_set  # noqa: E402  # by its name
from wgtools.uapi.server import RequestReader  # noqa: E402  # by its name


class Devices:
    """A backend over files: a device is what all requests to it have made of it."""

    def list(self) -> list[str]:
        names = [interface.name for interface in hostfacts.facts(sys.platform).interfaces()]
        return [name for name in names if name.startswith(("wg", "utun", "tun", "office"))]

    def exists(self, name: str) -> bool:
        return name in self.list()

    def get(self, name):  # type: ignore[no-untyped-def]  # as in the Protocol
        if not self.exists(name):
            (BASE / f"{name}.uapi").unlink(missing_ok=True)
            raise NoSuchInterface("No such device", errno=19)
        backend = MemoryBackend(name)
        path = BASE / f"{name}.uapi"
        for request in RequestReader().feed(path.read_bytes() if path.exists() else b""):
            if request.change is not None:
                backend.set(name, request.change)
        return backend.get(name)

    def set(self, name, change):  # type: ignore[no-untyped-def]  # as in the Protocol
        if not self.exists(name):
            raise NoSuchInterface("No such device", errno=19)
        with (BASE / f"{name}.uapi").open("ab") as file:
            file.writelines(encode_set(change))


def bell() -> socket.socket:
    path = BASE / f"route-{os.getpid()}"
    door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    door.bind(str(path))
    door.setblocking(False)
    return door


def started(name: str, called: str) -> list[str]:
    if name == "wgtools.daemon.__main__":
        return [str(BIN / called)]
    return [sys.executable, __file__]


def main() -> int:
    for module, name, fake in (
        (ipc, "_load", lambda _: Devices()),
        (hostfacts, "_PATH", str(BIN)),
        (hostfacts, "facts", lambda p: hostfacts.SystemFacts(p, netifaces=lambda: None)),
        (interpreter, "module", started),
        (monitor, "route_socket", bell),
        (monitor, "_ROAMING", 0.3),
    ):
        setattr(module, name, fake)
    from wgtools.cli import wg_quick

    sys.argv[0] = "wg-quick"
    try:
        return wg_quick.main()
    finally:
        for path in glob.glob(f"{BASE}/route-{os.getpid()}"):
            os.unlink(path)


if __name__ == "__main__":
    sys.exit(main())
