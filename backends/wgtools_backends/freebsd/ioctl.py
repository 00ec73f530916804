# SPDX-License-Identifier: MIT
"""The kernel's WireGuard over SIOCGWG and SIOCSWG: the thin caller around the pure codec.

All that happens here is making ioctls, asking for enough room, and turning errnos into the
project's errors.  The system call and the layout of its arguments are those of the
`Control` it is given.
"""

from __future__ import annotations

import os
from errno import EBUSY, EINVAL, ENOSPC, ENOTTY, ENXIO, EOPNOTSUPP

from wgtools.errors import AccessError, ProtocolError
from wgtools_backends.bsd.control import (
    ATTEMPTS,
    Control,
    interface_name,
    scope_of,
    translated,
    zone_of,
)
from wgtools_backends.bsd.layout import INOUT, number

from . import codec, quirks

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable

    from wgtools.model import Device, DeviceChange

    Names = list[str]

__all__ = ["Backend"]

GROUP = b"wg"  # of every interface that the cloner of this name made

# sys/sockio.h
SIOCSWG = 210
SIOCGWG = 211

_NAME_AND_DATA = "16sWW"  # struct wg_data_io: name, pointer, size (BSD_IPC 2.1)

# Which errnos of a reading say that nothing of that name speaks WireGuard (BSD_IPC 2.2).
_ABSENT = (ENXIO, ENOTTY, EINVAL)
_REFUSED = (
    "the kernel refused a value, or the interface is not a WireGuard one; "
    "what stands before that value in the change is in effect"
)


class Backend:
    """WireGuard devices of the kernel, in the jail and VNET of the process."""

    def __init__(
        self, control: Control | None = None, *, entropy: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._control = Control() if control is None else control
        self._entropy = entropy
        self._wg_data_io = self._control.layout.struct(_NAME_AND_DATA)

    def list(self) -> Names:
        """Names of the WireGuard interfaces in the kernel's order.  Raises AccessError."""
        try:
            names = self._control.members(GROUP)
        except OSError as error:
            raise translated(error) from error
        return [name.decode("utf-8", "surrogateescape") for name in names]

    def exists(self, name: str) -> bool:
        return name in self.list()

    def get(self, name: str) -> Device:
        """Raises NoSuchInterface, AccessError, ProtocolError."""
        return quirks.shown(self._read(name))

    def set(self, name: str, change: DeviceChange) -> None:
        """In one request, or in two if a kernel cannot remove single allowed IPs.  The first
        wrong thing stops it, and what stood before it stays.  Raises as `get` does."""
        raw = interface_name(name)
        if not quirks.must_read(change):
            self._write(raw, change)
            return
        codec.request(change, scope_of=scope_of)  # refuse what is wrong before anything is done
        amended = quirks.Amended(change, self._read(name), entropy=self._entropy)
        self._write(raw, amended.change)
        if amended.gone and (repair := quirks.repair(self._read(name), amended.gone)):
            self._write(raw, repair)
            if quirks.repair(self._read(name), amended.gone):
                hint = "the kernel does not let an allowed IP go; replace the whole list"
                raise AccessError(os.strerror(EOPNOTSUPP), errno=EOPNOTSUPP, hint=hint)

    def _read(self, name: str) -> Device:
        """The device as the kernel has it."""
        raw = interface_name(name)
        try:
            data = self._answer(raw)
        except OSError as error:
            raise translated(error, absent=_ABSENT) from error
        try:
            return codec.device(name, data, zone_of=zone_of)
        except ProtocolError as error:  # with the system's words, as `wg` prints them
            said = os.strerror(error.errno)
            raise ProtocolError(said, errno=error.errno, hint=error.hint) from error

    def _answer(self, name: bytes) -> bytes:
        """The kernel's description of a device, however it grows meanwhile.

        Raises OSError, AccessError."""
        request = number(INOUT, SIOCGWG, self._wg_data_io.size)
        spare = 0
        for _ in range(ATTEMPTS):
            size = self._data_call(request, name, 0, 0)
            room = self._control.allocate(bytes(size + spare))
            try:
                size = self._data_call(request, name, room.address, size + spare)
            except OSError as error:
                if error.errno != ENOSPC:
                    raise
                spare = size // 4 + 4096  # peers were added meanwhile, and more may come
                continue
            return room.read(size)
        hint = f"the device grew during each of {ATTEMPTS} readings; try again later"
        raise AccessError(os.strerror(EBUSY), errno=EBUSY, hint=hint)

    def _write(self, name: bytes, change: DeviceChange) -> None:
        data = self._control.allocate(payload := codec.request(change, scope_of=scope_of))
        request = number(INOUT, SIOCSWG, self._wg_data_io.size)
        try:
            self._data_call(request, name, data.address, len(payload))
        except OSError as error:
            hint = _REFUSED if error.errno == EINVAL else ""
            raise translated(error, hint=hint) from error

    def _data_call(self, request: int, name: bytes, address: int, size: int) -> int:
        """One of WireGuard's two calls; the size that the kernel says.  Raises OSError."""
        answer = self._control.call(request, self._wg_data_io.pack(name, address, size))
        return int(self._wg_data_io.unpack(answer)[2])
