# SPDX-License-Identifier: MIT
"""OpenBSD's WireGuard over ioctl: the thin caller round the pure codec.

All that happens here is asking for a size and then for so much, choosing the layout, and
turning errnos into the project's errors.  The system call, the socket and the release are
constructor arguments.
"""

from __future__ import annotations

import os
from errno import EAGAIN, EINVAL

from wgtools.errors import AccessError
from wgtools.keys import Key
from wgtools.model import DeviceChange
from wgtools_backends.bsd import control as controls
from wgtools_backends.bsd import layout as machines

from . import codec
from .layout import PeerLayout, of, release_number

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable

    from wgtools.model import Device

__all__ = ["Backend", "inet_socket"]

SIOCSWG = 210  # net/if_wg.h: the indices of the two calls
SIOCGWG = 211
_GROUP = b"wg"  # every interface of the kind joins it

# From some release on, the kernel steps over peers that it skips.  if_wg.c 1.47, in 7.8,
# does; 6.8 does not; which was the first is not known to us.
_STEPS_OVER = (7, 8)
_REPLY_MAX = 1 << 30  # ours: five million peers
_REFUSED_WHOLE = "nothing was changed"


def inet_socket() -> controls.Socket:
    """A socket that OpenBSD takes interface ioctls on."""
    import _socket

    return _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)


class Backend:
    """WireGuard devices of the kernel."""

    def __init__(
        self,
        *,
        ioctl: controls.IOCtl | None = None,
        connect: Callable[[], controls.Socket] = inet_socket,
        release: str | None = None,
    ) -> None:
        self._control = controls.Control(ioctl=ioctl, connect=connect)
        self._release = os.uname().release if release is None else release
        self._layouts: tuple[PeerLayout, ...] = of(self._release)

    def list(self) -> list[str]:
        """Names of the WireGuard interfaces.  Raises AccessError."""
        try:
            names = self._control.members(_GROUP)
        except OSError as error:
            raise controls.translated(error) from error
        return [name.decode("utf-8", "surrogateescape") for name in names]

    def exists(self, name: str) -> bool:
        return name in self.list()

    def get(self, name: str) -> Device:
        """Raises NoSuchInterface, AccessError, ProtocolError.

        Not root: only the port and the mark, and no error (BSD_IPC 5.3)."""
        raw = controls.interface_name(name)
        try:
            data = self._read(raw)
        except OSError as error:
            raise controls.translated(error) from error
        layout = codec.layout_of(data, self._layouts)
        return codec.device(raw, data, layout, zone_of=controls.zone_of)

    def set(self, name: str, change: DeviceChange) -> None:
        """Raises as `get` does."""
        raw = controls.interface_name(name)
        requests = [change]
        if release_number(self._release) < _STEPS_OVER:
            change = _without_itself(change)
            requests = [change, *codec.follow_ups(change)]
        try:
            packed = [
                codec.change_bytes(part, self._layouts[0], scope_of=controls.scope_of)
                for part in requests
            ]
        except ValueError as error:
            raise AccessError(os.strerror(EINVAL), errno=EINVAL, hint=str(error)) from error
        try:
            for data in packed:
                self._call(machines.INOUT, SIOCSWG, raw, data)
        except OSError as error:
            raise controls.translated(error) from error

    def _call(self, direction: int, index: int, name: bytes, data: bytes) -> tuple[int, bytes]:
        """One call with `data` in memory: the size that the kernel left, and the memory."""
        kind = self._layouts[0].data_io
        room = self._control.allocate(data)
        number = machines.number(direction, index, kind.size)
        answer = self._control.call(number, kind.pack(name, len(data), room.address if data else 0))
        size = int(kind.unpack(answer)[1])
        return size, room.read(min(size, len(data)))

    def _read(self, name: bytes) -> bytes:
        """A whole reply: the kernel says how large it is, whatever room it was given."""
        data = b""
        size, _ = self._call(machines.INOUT, SIOCGWG, name, data)
        for _ in range(controls.ATTEMPTS):
            if size > _REPLY_MAX:
                break
            room = size
            size, data = self._call(machines.INOUT, SIOCGWG, name, bytes(room))
            if size <= room:
                return data
        raise OSError(EAGAIN, os.strerror(EAGAIN))


def _without_itself(change: DeviceChange) -> DeviceChange:
    """Without the peer that is the device itself, which the kernel skips."""
    if change.private_key is None or change.private_key.is_zero or not change.peers:
        return change
    from wgtools.crypto.x25519 import public_key  # 6 ms that no other call needs

    own = Key(public_key(bytes(change.private_key)))
    return DeviceChange(
        private_key=change.private_key,
        listen_port=change.listen_port,
        fwmark=change.fwmark,
        replace_peers=change.replace_peers,
        peers=[peer for peer in change.peers if peer.public_key != own],
    )
