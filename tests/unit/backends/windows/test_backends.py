# SPDX-License-Identifier: MIT
"""The driver's caller and the pipes' on a Windows that is not there."""

import errno
import subprocess
import sys
from pathlib import PureWindowsPath

import pytest

from wgtools.errors import AccessError, NoSuchInterface, ProtocolError
from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, PeerChange
from wgtools.testing.fake_windows import PREFIX, FakeWindows
from wgtools_backends.windows import Backend, driver, pipe
from wgtools_backends.windows.failure import Win32Error, translated

A, B = Key(b"\x0a" * 32), Key(b"\x0b" * 32)


@pytest.fixture
def windows() -> FakeWindows:
    return FakeWindows(Win32Error, adapters=("nt",), daemons=("go", "both"))


def test_the_driver_is_asked_with_more_room_until_it_fits(windows: FakeWindows) -> None:
    backend = driver.Backend(windows)
    many = [PeerChange(Key(number.to_bytes(32, "big"))) for number in range(1, 500)]
    backend.set("nt", DeviceChange(peers=many))
    assert len(backend.get("nt").peers) == 499
    assert windows.rooms == [1 << 14, 1 << 16, 1 << 18]


def test_a_driver_that_never_has_enough_is_given_up(windows: FakeWindows) -> None:
    class Endless(FakeWindows):
        def control(self, path: str, code: int, data: bytes) -> tuple[bytes, int]:
            raise Win32Error(234)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "_LAST_ROOM", 1 << 16)
        with pytest.raises(AccessError) as raised:
            driver.Backend(Endless(Win32Error, adapters=("nt",))).get("nt")
    assert raised.value.errno == errno.EBUSY


def test_what_does_not_fit_never_reaches_the_driver(windows: FakeWindows) -> None:
    wrong = PeerChange(B, allowed_ips=[AllowedIP(bytes(4), 33)])
    with pytest.raises(AccessError) as raised:
        driver.Backend(windows).set("nt", DeviceChange(peers=[wrong]))
    assert raised.value.errno == errno.EINVAL
    assert windows.driver.get("nt").peers == []


def test_no_key_goes_to_a_pipe_of_somebody_else(windows: FakeWindows) -> None:
    windows.owner = "S-1-5-21-1-2-3-1001"
    backend = pipe.Backend(windows)
    with pytest.raises(AccessError) as raised:
        backend.set("go", DeviceChange(private_key=A))
    assert raised.value.errno == errno.EACCES
    assert "S-1-5-21" in raised.value.hint
    with pytest.raises(AccessError):
        backend.get("go")
    assert [each.heard for each in windows.opened] == [b"", b""]
    assert all(each.closed for each in windows.opened)


def test_pipes_of_others_are_not_listed(windows: FakeWindows) -> None:
    assert pipe.Backend(windows).list() == ["go", "both"]
    assert PureWindowsPath(PREFIX + "go").name == "go"


@pytest.mark.parametrize("name", ["", "a\\b", "../x", "a\nb"])
def test_a_name_that_would_be_another_pipe_is_asked_of_nobody(
    windows: FakeWindows, name: str
) -> None:
    with pytest.raises(AccessError) as raised:
        pipe.Backend(windows).get(name)
    assert raised.value.errno == errno.EINVAL
    assert windows.opened == []


@pytest.mark.parametrize(
    ("answer", "error", "number"),
    [
        (b"", ProtocolError, errno.EPROTO),
        (b"rubbish\n\n", ProtocolError, errno.EPROTO),
        (b"listen_port=1\n", ProtocolError, errno.EPROTO),
        (b"errno=19\n\n", NoSuchInterface, 19),
        (b"errno=13\n\n", AccessError, 13),
    ],
)
def test_what_a_daemon_says_becomes_an_error(
    answer: bytes, error: type[AccessError], number: int
) -> None:
    class Saying(FakeWindows):
        def open_pipe(self, name: str):  # type: ignore[no-untyped-def]  # the fake's own
            found = super().open_pipe(name)
            found.write = lambda data: None  # type: ignore[method-assign]  # hears nothing
            found.answers.extend([answer] if answer else [])
            return found

    with pytest.raises(error) as raised:
        pipe.Backend(Saying(Win32Error, daemons=("go",))).get("go")
    assert raised.value.errno == number


def test_a_daemon_that_hangs_up_is_heard_first() -> None:
    class HangingUp(FakeWindows):
        def open_pipe(self, name: str):  # type: ignore[no-untyped-def]  # the fake's own
            found = super().open_pipe(name)

            def write(_data: bytes) -> None:
                found.answers.append(b"errno=-22\n\n")
                raise Win32Error(109)

            found.write = write  # type: ignore[assignment, method-assign]  # that is the test
            return found

    with pytest.raises(AccessError) as raised:
        pipe.Backend(HangingUp(Win32Error, daemons=("go",))).set("go", DeviceChange())
    assert raised.value.errno == 22


def test_a_pipe_that_breaks_otherwise_is_an_error(windows: FakeWindows) -> None:
    class Broken(FakeWindows):
        def open_pipe(self, name: str):  # type: ignore[no-untyped-def]  # the fake's own
            found = super().open_pipe(name)
            found.owner = self.trouble  # type: ignore[method-assign]  # that is the test
            return found

        def trouble(self) -> str:
            raise Win32Error(1)

        def pipes(self) -> list[str]:
            raise Win32Error(5)

    broken = Broken(Win32Error, daemons=("go",))
    with pytest.raises(AccessError) as raised:
        pipe.Backend(broken).get("go")
    assert raised.value.errno == errno.EOPNOTSUPP
    assert broken.opened[0].closed
    with pytest.raises(AccessError) as refused:
        pipe.Backend(broken).list()
    assert refused.value.errno == errno.EACCES


def test_both_together(windows: FakeWindows) -> None:
    windows.driver = type(windows.driver)("nt", "both")
    backend = Backend(windows)  # type: ignore[arg-type]  # all that is used of Windows
    assert backend.list() == ["nt", "both", "go", "both"]
    assert backend.exists("nt")
    assert backend.exists("go")
    assert not backend.exists("nobody")
    for name in ("nt", "go", "both"):
        backend.set(name, DeviceChange(listen_port=7, peers=[PeerChange(A)]))
        assert backend.get(name).listen_port == 7
    assert windows.driver.get("both").listen_port == 0  # the daemon of that name wins
    with pytest.raises(NoSuchInterface):
        backend.get("nobody")
    windows.denied = True
    for name in ("nt", "go"):
        with pytest.raises(AccessError) as raised:
            backend.get(name)
        assert raised.value.errno == errno.EACCES
        assert "administrator" in raised.value.hint


def test_an_unknown_error_keeps_its_number() -> None:
    error = translated(Win32Error(1450))
    assert (error.errno, error.hint) == (errno.EIO, "Windows says: error 1450")


def test_only_this_backend_is_loaded_and_no_ctypes() -> None:
    script = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from wgtools_backends.windows import Backend\n"
        "Backend(); import wgtools_backends.windows.driver, wgtools_backends.windows.pipe\n"
        "print(*(m for m in sys.modules if m.startswith('wgtools_backends.')))\n"
        "heavy = {'typing', 'enum', 're', 'socket', 'dataclasses', 'ctypes', 'cryptography'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", script], capture_output=True, text=True, check=True
    )
    assert {name.split(".")[1] for name in done.stdout.split()} == {"windows"}
