# SPDX-License-Identifier: MIT
"""The calls into Windows that both backends make, through ctypes.

Nothing here decides anything.  ctypes is imported, and the libraries are loaded, when the
first call is made; a test gives libraries of its own (`Windows(load=...)`).
"""

from __future__ import annotations

from .failure import ERROR_MORE_DATA, ERROR_NO_MORE_ITEMS, ERROR_PIPE_BUSY, Win32Error

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .pipe import Pipe

__all__ = ["NAME_KEY", "Windows"]

# The property that holds an adapter's name: its GUID spells WireGuardNameKey.
NAME_KEY = b"WireGuardNameKey"
_NAME_ID = 3
# {4d36e972-e325-11ce-bfc1-08002be10318}, devguid.h; {cac88484-7515-4c03-82e6-71a87abac361},
# ndisguid.h
_CLASS_NET = bytes.fromhex("72e9364d25e3ce11bfc108002be10318")
_INTERFACE_NET = bytes.fromhex("8484c8ca1575034c82e671a87abac361")
_ENUMERATOR = "SWD\\WireGuard"

_PRESENT = 2  # DIGCF_PRESENT; setupapi.h
_TYPE_STRING = 18  # DEVPROP_TYPE_STRING; devpropdef.h
_READ_WRITE = 0xC0000000  # GENERIC_READ | GENERIC_WRITE; winnt.h
_SHARE_ALL = 7
_OPEN_EXISTING = 3
# SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION: whoever listens may see who we are, and
# not act in our name.
_IDENTIFY = 0x00110000
_FILE_OBJECT, _OWNER = 1, 1  # SE_FILE_OBJECT, OWNER_SECURITY_INFORMATION; accctrl.h
_WAIT = 5000  # milliseconds for a daemon that talks to somebody else
_INVALID = (None, 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFF)  # INVALID_HANDLE_VALUE of 64 and 32 bits
_PIPES = "\\\\.\\pipe\\"
_PATH_MAX = 4096  # characters; ours


class Windows:
    """The system that this process runs on."""

    __slots__ = ("_last_error", "_libraries", "_load")

    def __init__(
        self,
        *,
        load: Callable[[str], Any] | None = None,
        last_error: Callable[[], int] | None = None,
    ) -> None:
        self._load = load
        self._last_error = last_error
        self._libraries: dict[str, Any] = {}

    # --- pipes ---------------------------------------------------------------------------

    def pipes(self) -> list[str]:
        """Names of all pipes, without the prefix that all have.  Raises Win32Error."""
        import os

        try:
            return os.listdir(_PIPES)
        except OSError as error:
            raise Win32Error(getattr(error, "winerror", None) or 0) from error

    def open_pipe(self, name: str) -> Pipe:
        """Opens a pipe to talk.  Raises Win32Error."""
        path = _PIPES + name
        try:
            return _Pipe(self, self._open(path, share=0, flags=_IDENTIFY))
        except Win32Error as error:
            if error.code != ERROR_PIPE_BUSY:
                raise
        self.call("kernel32", "WaitNamedPipeW", "su:u", path, _WAIT)
        return _Pipe(self, self._open(path, share=0, flags=_IDENTIFY))

    # --- adapters ------------------------------------------------------------------------

    def adapters(self) -> list[tuple[str, str]]:
        """Name and device path of every WireGuard adapter that is there.  Raises Win32Error."""
        devices = self.call(
            "setupapi", "SetupDiGetClassDevsExW", "pspupsp:p",
            _CLASS_NET, _ENUMERATOR, None, _PRESENT, None, None, None, bad=_INVALID,
        )  # fmt: skip
        try:
            return [found for found in map(self._adapter, *self._infos(devices)) if all(found)]
        finally:
            self.call("setupapi", "SetupDiDestroyDeviceInfoList", "p:u", devices)

    def _infos(self, devices: int) -> tuple[list[int], list[bytes]]:
        """Every SP_DEVINFO_DATA of a set, beside the set."""
        import ctypes

        pointer = ctypes.sizeof(ctypes.c_void_p)
        size = 24 + pointer  # cbSize, ClassGuid, DevInst, Reserved
        infos: list[bytes] = []
        while True:
            info = ctypes.create_string_buffer(size.to_bytes(4, "little"), size)
            try:
                self.call("setupapi", "SetupDiEnumDeviceInfo", "pup:u", devices, len(infos), info)
            except Win32Error as error:
                if error.code == ERROR_NO_MORE_ITEMS:
                    return [devices] * len(infos), infos
                raise
            infos.append(info.raw)

    def _adapter(self, devices: int, raw: bytes) -> tuple[str, str]:
        """Name and path of one; empty where it has none, being on its way in or out."""
        import ctypes

        info = ctypes.create_string_buffer(raw, len(raw))
        key = ctypes.create_string_buffer(NAME_KEY + _NAME_ID.to_bytes(4, "little"), 20)
        kind = ctypes.c_uint32()
        text = ctypes.create_unicode_buffer(_PATH_MAX)
        instance = ctypes.create_unicode_buffer(_PATH_MAX)
        path = ctypes.create_unicode_buffer(_PATH_MAX)
        try:
            self.call(
                "setupapi", "SetupDiGetDevicePropertyW", "pppppupu:u",
                devices, info, key, ctypes.addressof(kind), text, ctypes.sizeof(text), None, 0,
            )  # fmt: skip
            self.call(
                "setupapi", "SetupDiGetDeviceInstanceIdW", "pppup:u",
                devices, info, instance, _PATH_MAX, None,
            )  # fmt: skip
        except Win32Error:
            return "", ""
        # This one returns its error, 0 for none.
        failed = self.call(
            "cfgmgr32", "CM_Get_Device_Interface_ListW", "pppuu:u",
            _INTERFACE_NET, instance, path, _PATH_MAX, 0, bad=(),
        )  # fmt: skip
        if failed or kind.value != _TYPE_STRING:
            return "", ""
        return text.value, path.value  # a list of strings: up to the first NUL is the first

    def control(self, path: str, code: int, data: bytes) -> tuple[bytes, int]:
        """One DeviceIoControl: the buffer afterwards, and how much the driver says is in it.

        Both of WireGuard's codes move a buffer of the caller's directly, which is the second
        one of the call, whichever way it goes.  Raises Win32Error."""
        import ctypes

        handle = self._open(path, share=_SHARE_ALL, flags=0)
        try:
            buffer = ctypes.create_string_buffer(data, len(data))
            length = ctypes.c_uint32()
            self.call(
                "kernel32", "DeviceIoControl", "pupupupp:u",
                handle, code, None, 0, buffer, len(data), ctypes.addressof(length), None,
            )  # fmt: skip
            return buffer.raw, length.value
        finally:
            self.close(handle)

    def scope_of(self, zone: str) -> int:
        """The number of an interface, by its own name or as it stands.  Raises ValueError."""
        import socket

        if zone.isascii() and zone.isdigit():
            return int(zone)
        try:
            return socket.if_nametoindex(zone)
        except OSError as error:
            raise ValueError(f"no such interface: {zone}") from error

    # --- calls ---------------------------------------------------------------------------

    def call(
        self,
        library: str,
        name: str,
        shape: str,
        *words: object,
        bad: tuple[object, ...] = (None, 0),
    ) -> Any:
        """One call.  `shape` is its arguments and its result: `p` a pointer or handle, `u` a
        number of 32 bits, `s` text.  Raises Win32Error if it returns what is `bad`."""
        import ctypes

        kinds = {"p": ctypes.c_void_p, "u": ctypes.c_uint32, "s": ctypes.c_wchar_p}
        arguments, _, result = shape.partition(":")
        function = getattr(self._library(library), name)
        function.argtypes = [kinds[letter] for letter in arguments]
        function.restype = kinds[result]
        value = function(*words)
        if value in bad:
            raise Win32Error(self._error())
        return value

    def _library(self, name: str) -> Any:
        if name not in self._libraries:
            if self._load is None:
                import ctypes

                self._libraries[name] = vars(ctypes)["WinDLL"](name, use_last_error=True)
            else:
                self._libraries[name] = self._load(name)
        return self._libraries[name]

    def _error(self) -> int:
        if self._last_error is not None:
            return self._last_error()
        import ctypes

        return int(vars(ctypes)["get_last_error"]())

    def _open(self, path: str, *, share: int, flags: int) -> int:
        return int(
            self.call(
                "kernel32", "CreateFileW", "suupuup:p",
                path, _READ_WRITE, share, None, _OPEN_EXISTING, flags, None, bad=_INVALID,
            )
        )  # fmt: skip

    def close(self, handle: int) -> None:
        self.call("kernel32", "CloseHandle", "p:u", handle, bad=())


class _Pipe:
    """An open pipe."""

    __slots__ = ("_handle", "_windows")

    def __init__(self, windows: Windows, handle: int) -> None:
        self._windows = windows
        self._handle = handle

    def owner(self) -> str:
        """The SID of who made it, as text.  Raises Win32Error."""
        import ctypes

        sid, descriptor, text = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
        call = self._windows.call
        failed = call(
            "advapi32", "GetSecurityInfo", "puuppppp:u",
            self._handle, _FILE_OBJECT, _OWNER, ctypes.addressof(sid), None, None, None,
            ctypes.addressof(descriptor), bad=(),
        )  # fmt: skip
        if failed:
            raise Win32Error(failed)
        try:
            call("advapi32", "ConvertSidToStringSidW", "pp:u", sid, ctypes.addressof(text))
            return ctypes.wstring_at(text.value or 0)
        finally:
            for memory in (text, descriptor):
                call("kernel32", "LocalFree", "p:p", memory, bad=())

    def read(self, size: int) -> bytes:
        """What there is, at most `size` bytes.  Raises Win32Error."""
        import ctypes

        buffer = ctypes.create_string_buffer(size)
        length = ctypes.c_uint32()
        try:
            self._windows.call(
                "kernel32", "ReadFile", "ppupp:u",
                self._handle, buffer, size, ctypes.addressof(length), None,
            )  # fmt: skip
        except Win32Error as error:
            if error.code != ERROR_MORE_DATA:  # a message larger than the room: the rest follows
                raise
        return buffer.raw[: length.value]

    def write(self, data: bytes) -> None:
        """All of it.  Raises Win32Error."""
        import ctypes

        length = ctypes.c_uint32()
        while data:
            self._windows.call(
                "kernel32", "WriteFile", "ppupp:u",
                self._handle, data, len(data), ctypes.addressof(length), None,
            )  # fmt: skip
            data = data[length.value :]

    def close(self) -> None:
        self._windows.close(self._handle)
