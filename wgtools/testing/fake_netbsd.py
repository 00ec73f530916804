# SPDX-License-Identifier: MIT
"""A NetBSD kernel that is not there: property lists in memory, and wg(4)'s own rules.

`Backend(ioctl=FakeNetBSD("wg0").ioctl, interfaces=...)` then behaves as on that system.
The text is read and written by plistlib, so that the codec under test is not its own
judge; what its kernel accepts and refuses is BSD_IPC 6 and sys/net/if_wg.c.  Only for
processes with 64-bit pointers.
"""

from __future__ import annotations

import ctypes
import errno
import plistlib
import re
import struct
from typing import Any

__all__ = ["FakeNetBSD"]

SIOCGDRVSPEC, SIOCSDRVSPEC = 0xC028697B, 0x8028697B
LIMIT = 32767
NETWORKS = 16  # what the kernel has room for, and does not check
_KEYS = {
    1: ({"private_key"}, {"private_key"}),
    2: ({"listen_port"}, {"listen_port"}),
    4: ({"public_key"}, {"name", "public_key", "preshared_key", "endpoint", "allowedips"}),
    8: ({"name"}, {"name"}),
}


class _Device:
    def __init__(self) -> None:
        self.private_key = bytes(32)
        self.listen_port = 0
        self.peers: list[dict[str, Any]] = []  # newest first


class FakeNetBSD:
    """Answers both calls; see the attributes for what differs."""

    def __init__(self, *names: str) -> None:
        self.devices = {name: _Device() for name in names}
        self.authorized = True
        self.calls: list[tuple[int, int]] = []  # cmd, len
        self.fail_at = -1  # the operation that fails with ENOMEM

    def interfaces(self) -> list[tuple[int, str]]:
        """All interfaces, as if_nameindex(3) has them."""
        return list(enumerate(["lo0", *self.devices, "wgx", "wm0"], 1))

    def ioctl(self, _fd: int, number: int, argument: bytearray, _mutate: bool = True) -> int:
        """As fcntl.ioctl: raises OSError."""
        if number not in (SIOCGDRVSPEC, SIOCSDRVSPEC):
            raise OSError(errno.ENOTTY, "no such call")
        raw, command, size, address = struct.unpack("=16sQQQ", argument)
        device = self.devices.get(raw.rstrip(b"\0").decode())
        if device is None:
            raise OSError(errno.ENXIO, "no such interface")
        self.calls.append((command, size))
        if number == SIOCGDRVSPEC:
            text = self.reply(device)
            if size < len(text) + 1:
                raise OSError(errno.EINVAL, "too small")
            ctypes.memmove(address, text + b"\0", len(text) + 1)
        else:
            self._operate(device, command, ctypes.string_at(address, size))
        return 0

    def reply(self, device: _Device) -> bytes:
        """What the kernel says about a device."""
        out: dict[str, Any] = {}
        if self.authorized:
            out["private_key"] = device.private_key
        if device.listen_port:
            out["listen_port"] = device.listen_port
        if device.peers:
            out["peers"] = [self._peer(peer) for peer in device.peers]
        return plistlib.dumps(out)

    def _peer(self, peer: dict[str, Any]) -> dict[str, Any]:
        shown = {**peer, "last_handshake_time_sec": 0, "last_handshake_time_nsec": 0}
        if not self.authorized or not any(peer.get("preshared_key", b"")):
            shown.pop("preshared_key", None)
        return shown

    def _operate(self, device: _Device, command: int, text: bytes) -> None:
        if not self.authorized:
            raise OSError(errno.EPERM, "not root")
        if len(text) >= LIMIT:
            raise OSError(errno.E2BIG, "too long")
        self.fail_at -= 1
        if self.fail_at == -1:
            raise OSError(errno.ENOMEM, "as the test wants")
        if re.search(rb"<integer>(?!0x)", text):
            raise AssertionError("older kernels take decimal numbers as signed ones")
        wanted: dict[str, Any] = plistlib.loads(text)
        needed, known = _KEYS[command]
        if not needed <= set(wanted) <= known:
            raise AssertionError(f"keys that are none: {set(wanted) - known}")
        if command == 1:
            device.private_key = _sized(wanted["private_key"], 32)
        elif command == 2:
            device.listen_port = wanted["listen_port"]
        elif command == 4:
            self._add(device, wanted)
        else:
            self._delete(device, wanted["name"])

    def _add(self, device: _Device, wanted: dict[str, Any]) -> None:
        _sized(wanted["public_key"], 32)
        _sized(wanted.get("preshared_key", bytes(32)), 32)
        name, networks = wanted.get("name", ""), wanted.get("allowedips", [])
        if len(name) > 16:
            raise OSError(errno.EINVAL, "too long a name")
        endpoint = wanted.get("endpoint", b"\x10\x02" + bytes(14))
        if endpoint[:2] not in (b"\x10\x02", b"\x1c\x18") or len(endpoint) != endpoint[0]:
            raise OSError(errno.EINVAL, "no address")
        if len(networks) > NETWORKS:
            raise AssertionError("this would write beyond an array of the kernel")
        taken = [network for peer in device.peers for network in peer.get("allowedips", [])]
        for network in networks:
            if len(network["ip"]) != {2: 4, 24: 16}[network["family"]]:
                raise OSError(errno.EINVAL, "no network")
        known = {(peer["public_key"], 0) for peer in device.peers}
        known |= {(peer.get("name") or peer["public_key"], 1) for peer in device.peers}
        new = {(wanted["public_key"], 0), (name or wanted["public_key"], 1)}
        if known & new or any(network in taken for network in networks):
            raise OSError(errno.EEXIST, "there already")
        device.peers.insert(0, wanted)

    def _delete(self, device: _Device, name: str) -> None:
        found = [peer for peer in device.peers if peer.get("name") == name]
        if not found:
            raise OSError(errno.ENOENT, "no such peer")
        device.peers.remove(found[0])


def _sized(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise OSError(errno.EINVAL, "a wrong size")
    return data
