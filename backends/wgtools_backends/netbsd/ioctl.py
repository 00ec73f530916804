# SPDX-License-Identifier: MIT
"""NetBSD's WireGuard over SIOCGDRVSPEC and SIOCSDRVSPEC: the thin caller round the pure
codec and plan.

All that happens here is asking with more and more room, since the kernel does not say how
much it needs, carrying operations out in order, and turning errnos into the project's
errors.  The system call, the socket and the list of interfaces are constructor arguments.
"""

from __future__ import annotations

import os
from errno import EINVAL, ENOTTY, ENXIO

from wgtools.crypto import public_key
from wgtools.errors import AccessError
from wgtools_backends.bsd import control as controls
from wgtools_backends.bsd import layout as machines

from . import codec, plan

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wgtools.model import Device, DeviceChange

__all__ = ["Backend", "inet_socket", "interfaces"]

SIOCDRVSPEC = 123  # sys/sockio.h: the index of both
_FIRST_ROOM = 1 << 14  # some 40 peers
_LAST_ROOM = 1 << 26
_PREFIX = "wg"  # NetBSD's interfaces keep the names that the kernel gives them


def inet_socket() -> controls.Socket:
    """A socket that NetBSD takes interface ioctls on."""
    import _socket

    return _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)


def interfaces() -> Iterable[tuple[int, str]]:
    """All interfaces, as if_nameindex(3) has them.  Raises OSError."""
    import _socket

    return _socket.if_nameindex()


class Backend:
    """WireGuard devices of the kernel."""

    def __init__(
        self,
        *,
        ioctl: controls.IOCtl | None = None,
        connect: Callable[[], controls.Socket] = inet_socket,
        interfaces: Callable[[], Iterable[tuple[int, str]]] = interfaces,
    ) -> None:
        self._control = controls.Control(ioctl=ioctl, connect=connect)
        self._interfaces = interfaces
        # name, cmd, len, data; aligned by itself on every machine
        self._ifdrv = self._control.layout.struct("16sWWW")

    def list(self) -> list[str]:
        """Names of the interfaces that are called `wg` and a number.  Raises AccessError."""
        try:
            names = [name for _, name in self._interfaces()]
        except OSError as error:
            raise controls.translated(error) from error
        return [name for name in names if _is_ours(name)]

    def exists(self, name: str) -> bool:
        return name in self.list()

    def get(self, name: str) -> Device:
        """Raises NoSuchInterface, AccessError, ProtocolError."""
        return self._state(name).device

    def set(self, name: str, change: DeviceChange) -> None:
        """Raises as `get` does.  What was done before an operation failed stays done."""
        raw = controls.interface_name(name)
        state = self._state(name)
        try:
            steps = plan.operations(state, change, scope_of=controls.scope_of)
        except ValueError as error:
            raise AccessError(os.strerror(EINVAL), errno=EINVAL, hint=str(error)) from error
        for done, (command, text) in enumerate(steps):
            try:
                self._call(machines.IN, raw, command, text.encode())
            except OSError as error:
                hint = f"{done} of {len(steps)} operations were done before it" if done else ""
                raise controls.translated(error, hint=hint) from error

    def _state(self, name: str) -> codec.State:
        raw = controls.interface_name(name)
        try:
            text = self._read(raw)
        except OSError as error:
            raise controls.translated(error, absent=(ENXIO, ENOTTY)) from error
        return codec.state(raw, text, public_key=public_key, zone_of=controls.zone_of)

    def _read(self, name: bytes) -> str:
        """A whole reply.  EINVAL says that the room was too small, or something else."""
        room = _FIRST_ROOM
        while True:
            try:
                data = self._call(machines.INOUT, name, codec.GET, bytes(room))
            except OSError as error:
                if error.errno != EINVAL or room >= _LAST_ROOM:
                    raise
                room *= 4
                continue
            return data.partition(b"\0")[0].decode("utf-8", "surrogateescape")

    def _call(self, direction: int, name: bytes, command: int, data: bytes) -> bytes:
        """One call with `data` in memory, and the memory afterwards."""
        room = self._control.allocate(data)
        number = machines.number(direction, SIOCDRVSPEC, self._ifdrv.size)
        self._control.call(number, self._ifdrv.pack(name, command, len(data), room.address))
        return room.read(len(data))


def _is_ours(name: str) -> bool:
    digits = name[len(_PREFIX) :]
    return name.startswith(_PREFIX) and digits.isascii() and digits.isdigit()
