# SPDX-License-Identifier: MIT
"""The calls into Windows, on libraries that are not Windows's: what is asked, what is read,
and that every handle is closed again."""

import ctypes
import errno
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from wgtools_backends.windows import win32
from wgtools_backends.windows.failure import Win32Error
from wgtools_backends.windows.win32 import Windows

ADAPTERS = (
    ("wg0", "SWD\\WireGuard\\{1}", "\\\\?\\swd#1"),
    ("office", "SWD\\WireGuard\\{2}", "\\\\?\\swd#2"),
)
SYSTEM = "S-1-5-18"


def where(pointer: Any) -> int:
    """The address that a call was given, whatever it was given as."""
    if isinstance(pointer, int):
        return pointer
    if isinstance(pointer, ctypes.c_void_p):
        return pointer.value or 0
    return ctypes.addressof(pointer)


def put(pointer: Any, data: bytes) -> None:
    ctypes.memmove(where(pointer), data, len(data))


def wide(text: str) -> bytes:
    """As a C compiler here has wchar_t; Windows's is half as wide, as its ctypes knows."""
    return bytes(ctypes.create_unicode_buffer(text))


class Libraries:
    """Functions of kernel32, setupapi, cfgmgr32 and advapi32, by their names."""

    def __init__(self) -> None:
        self.code = 0
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.opened: list[str] = []
        self.handles: set[int] = set()
        self.fail: dict[str, int] = {}  # functions that fail, with which code
        self.busy = 0  # how many times a pipe is busy
        self.reply = b""
        self.text = ctypes.create_unicode_buffer(SYSTEM)

    def load(self, _library: str) -> Any:
        return self

    def windows(self) -> Windows:
        return Windows(load=self.load, last_error=lambda: self.code)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        work = vars(type(self)).get(f"_{name}", lambda *_: 1)

        def function(*words: Any) -> Any:
            shape = function.argtypes  # type: ignore[attr-defined]  # set by who calls
            assert len(shape) == len(words)
            for kind, word in zip(shape, words, strict=True):
                kind.from_param(word)  # ctypes itself would refuse what does not fit
            self.calls.append((name, words))
            if name in self.fail:
                self.code = self.fail[name]
                return self.failed(name)
            return work(self, *words)

        return function

    @staticmethod
    def failed(name: str) -> int | None:
        if name in ("CreateFileW", "SetupDiGetClassDevsExW"):
            return 0xFFFFFFFFFFFFFFFF
        return 5 if name in ("GetSecurityInfo", "CM_Get_Device_Interface_ListW") else 0

    def _CreateFileW(self, path: str, *_words: Any) -> int:
        self.opened.append(path)
        if self.busy:
            self.busy -= 1
            self.code = 231
            return 0xFFFFFFFF
        handle = 1000 + len(self.opened)
        self.handles.add(handle)
        return handle

    def _CloseHandle(self, handle: int) -> int:
        self.handles.remove(handle)
        return 1

    def _DeviceIoControl(self, *words: Any) -> int:
        put(words[4], self.reply)
        put(words[6], len(self.reply).to_bytes(4, "little"))
        return 1

    def _SetupDiGetClassDevsExW(self, *_words: Any) -> int:
        self.handles.add(5)
        return 5

    def _SetupDiDestroyDeviceInfoList(self, devices: int) -> int:
        self.handles.remove(devices)
        return 1

    def _SetupDiEnumDeviceInfo(self, _devices: int, index: int, info: Any) -> int:
        if index == len(ADAPTERS):
            self.code = 259
            return 0
        size = int.from_bytes(info.raw[:4], "little")
        assert size == len(info.raw) == 24 + ctypes.sizeof(ctypes.c_void_p)
        put(where(info) + 20, index.to_bytes(4, "little"))
        return 1

    def _SetupDiGetDevicePropertyW(
        self, _set: int, info: Any, key: Any, kind: Any, *rest: Any
    ) -> int:
        assert bytes(key) == win32.NAME_KEY + b"\3\0\0\0"
        text = wide(ADAPTERS[info.raw[20]][0])
        assert rest[1] >= len(text)
        put(rest[0], text)
        put(kind, b"\x12\0\0\0")
        return 1

    def _SetupDiGetDeviceInstanceIdW(self, _set: int, info: Any, text: Any, *_rest: Any) -> int:
        put(text, wide(ADAPTERS[info.raw[20]][1]))
        return 1

    def _CM_Get_Device_Interface_ListW(
        self, _guid: bytes, instance: Any, path: Any, *_r: Any
    ) -> int:
        found = {known: at for _, known, at in ADAPTERS}[instance.value]
        put(path, wide(found) + wide("\\\\?\\another"))
        return 0

    def _GetSecurityInfo(self, *words: Any) -> int:
        pointer = ctypes.sizeof(ctypes.c_void_p)
        put(words[3], (77).to_bytes(pointer, "little"))
        put(words[7], (78).to_bytes(pointer, "little"))
        return 0

    def _ConvertSidToStringSidW(self, sid: Any, text: Any) -> int:
        assert sid.value == 77
        put(text, ctypes.addressof(self.text).to_bytes(ctypes.sizeof(ctypes.c_void_p), "little"))
        return 1

    def _ReadFile(self, _handle: int, buffer: Any, size: int, length: Any, *_rest: Any) -> int:
        put(buffer, self.reply[:size])
        put(length, len(self.reply[:size]).to_bytes(4, "little"))
        return 1

    def _WriteFile(self, _handle: int, data: bytes, size: int, length: Any, *_rest: Any) -> int:
        self.reply += data[: size // 2 + 1]  # a pipe may take less than all
        put(length, (size // 2 + 1).to_bytes(4, "little"))
        return 1

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [words for called, words in self.calls if called == name]


@pytest.fixture
def libraries() -> Libraries:
    return Libraries()


def test_the_property_is_the_one_of_the_driver() -> None:
    guid = uuid.UUID("65726957-7547-7261-644e-616d654b6579")
    assert guid.bytes_le == win32.NAME_KEY


def test_adapters(libraries: Libraries) -> None:
    found = libraries.windows().adapters()
    assert found == [(name, path) for name, _, path in ADAPTERS]
    ((guid, enumerator, _, flags, *_),) = libraries.named("SetupDiGetClassDevsExW")
    assert uuid.UUID(bytes_le=guid) == uuid.UUID("4d36e972-e325-11ce-bfc1-08002be10318")
    assert (enumerator, flags) == ("SWD\\WireGuard", 2)
    (guid, *_) = libraries.named("CM_Get_Device_Interface_ListW")[0]
    assert uuid.UUID(bytes_le=guid) == uuid.UUID("cac88484-7515-4c03-82e6-71a87abac361")
    assert libraries.handles == set()


@pytest.mark.parametrize(
    "function",
    [
        "SetupDiGetDevicePropertyW",
        "SetupDiGetDeviceInstanceIdW",
        "CM_Get_Device_Interface_ListW",
    ],
)
def test_an_adapter_on_its_way_out_is_left_out(libraries: Libraries, function: str) -> None:
    libraries.fail[function] = 1168
    assert libraries.windows().adapters() == []
    assert libraries.handles == set()


@pytest.mark.parametrize("function", ["SetupDiGetClassDevsExW", "SetupDiEnumDeviceInfo"])
def test_adapters_that_cannot_be_listed(libraries: Libraries, function: str) -> None:
    libraries.fail[function] = 5
    with pytest.raises(Win32Error) as raised:
        libraries.windows().adapters()
    assert raised.value.code == 5
    assert libraries.handles == set()


def test_a_control_goes_through_the_second_buffer(libraries: Libraries) -> None:
    libraries.reply = b"reply"
    assert libraries.windows().control("\\\\?\\swd#1", 0xB098C506, bytes(8)) == (b"reply\0\0\0", 5)
    ((handle, code, first, size, _, room, *_),) = libraries.named("DeviceIoControl")
    assert (handle, code, first, size, room) == (1001, 0xB098C506, None, 0, 8)
    assert libraries.opened == ["\\\\?\\swd#1"]
    assert libraries.handles == set()


def test_a_control_that_fails_closes_its_handle(libraries: Libraries) -> None:
    libraries.fail["DeviceIoControl"] = 234
    with pytest.raises(Win32Error) as raised:
        libraries.windows().control("x", 1, bytes(8))
    assert raised.value.code == 234
    assert libraries.handles == set()


def test_a_pipe(libraries: Libraries) -> None:
    pipe = libraries.windows().open_pipe("ProtectedPrefix\\x")
    assert libraries.opened == ["\\\\.\\pipe\\ProtectedPrefix\\x"]
    ((_, access, share, _, disposition, flags, _),) = libraries.named("CreateFileW")
    assert (access, share, disposition, flags) == (0xC0000000, 0, 3, 0x110000)
    assert pipe.owner() == SYSTEM
    assert len(libraries.named("LocalFree")) == 2
    pipe.write(b"get=1\n\n")
    assert libraries.reply == b"get=1\n\n"
    assert pipe.read(4) == b"get="
    pipe.close()
    assert libraries.handles == set()


@pytest.mark.parametrize("function", ["GetSecurityInfo", "ConvertSidToStringSidW"])
def test_an_owner_that_nobody_tells(libraries: Libraries, function: str) -> None:
    pipe = libraries.windows().open_pipe("x")
    libraries.fail[function] = 5
    with pytest.raises(Win32Error) as raised:
        pipe.owner()
    assert raised.value.code == 5


def test_a_read_that_ends_and_one_of_more_than_fits(libraries: Libraries) -> None:
    pipe = libraries.windows().open_pipe("x")
    libraries.fail["ReadFile"] = 234
    assert pipe.read(5) == b""
    libraries.fail["ReadFile"] = 109
    with pytest.raises(Win32Error):
        pipe.read(5)


def test_a_busy_pipe_is_waited_for_once(libraries: Libraries) -> None:
    libraries.busy = 1
    libraries.windows().open_pipe("x")
    assert libraries.named("WaitNamedPipeW") == [("\\\\.\\pipe\\x", 5000)]
    libraries.busy = 2
    with pytest.raises(Win32Error) as raised:
        libraries.windows().open_pipe("x")
    assert raised.value.code == 231
    libraries.fail["CreateFileW"] = 2
    with pytest.raises(Win32Error) as absent:
        libraries.windows().open_pipe("x")
    assert absent.value.code == 2


def test_pipes_are_a_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def listdir(path: str) -> list[str]:
        asked.append(path)
        if len(asked) > 1:
            raise OSError(errno.EACCES, "no")
        return ["a", "b"]

    monkeypatch.setattr("os.listdir", listdir)
    windows = Windows()
    assert windows.pipes() == ["a", "b"]
    with pytest.raises(Win32Error):
        windows.pipes()
    assert asked[0] == "\\\\.\\pipe\\"


def test_scopes() -> None:
    assert Windows().scope_of("7") == 7
    assert Windows().scope_of("lo") >= 1
    with pytest.raises(ValueError, match="no such interface"):
        Windows().scope_of("nosuch0")
