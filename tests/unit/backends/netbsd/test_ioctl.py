# SPDX-License-Identifier: MIT
"""NetBSD's caller on a kernel that is not there: room, operations, errors."""

import errno
import subprocess
import sys

import pytest

from wgtools.crypto.x25519 import public_key
from wgtools.errors import AccessError, NoSuchInterface
from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, PeerChange
from wgtools.testing.fake_netbsd import FakeNetBSD
from wgtools_backends.netbsd.ioctl import Backend

A, B = Key(b"\x0a" * 32), Key(b"\x0b" * 32)


@pytest.fixture
def kernel() -> FakeNetBSD:
    return FakeNetBSD("wg0", "wg10")


@pytest.fixture
def backend(kernel: FakeNetBSD) -> Backend:
    return Backend(ioctl=kernel.ioctl, interfaces=kernel.interfaces)


def test_interfaces_by_their_names(backend: Backend) -> None:
    assert backend.list() == ["wg0", "wg10"]
    assert backend.exists("wg10")
    assert not backend.exists("wgx")


def test_interfaces_that_cannot_be_listed(kernel: FakeNetBSD) -> None:
    def broken() -> list[tuple[int, str]]:
        raise OSError(errno.ENOBUFS, "no room")

    with pytest.raises(AccessError):
        Backend(ioctl=kernel.ioctl, interfaces=broken).list()


def test_the_public_key_is_worked_out(backend: Backend) -> None:
    backend.set("wg0", DeviceChange(private_key=A))
    assert backend.get("wg0").public_key == Key(public_key(bytes(A)))


def test_room_grows_until_the_reply_fits(kernel: FakeNetBSD, backend: Backend) -> None:
    keys = [Key(number.to_bytes(32, "big")) for number in range(1, 201)]
    backend.set("wg0", DeviceChange(peers=[PeerChange(key) for key in keys]))
    kernel.calls.clear()
    assert len(backend.get("wg0").peers) == 200
    rooms = [size for _, size in kernel.calls]
    assert len(rooms) > 1
    assert rooms == [rooms[0] * 4**number for number in range(len(rooms))]


def test_einval_for_another_reason_ends() -> None:
    rooms: list[int] = []

    def ioctl(_fd: int, _number: int, argument: bytearray, _mutate: bool) -> int:
        rooms.append(int.from_bytes(argument[24:32], sys.byteorder))
        raise OSError(errno.EINVAL, "as the kernel says")

    with pytest.raises(AccessError) as raised:
        Backend(ioctl=ioctl).get("wg0")
    assert raised.value.errno == errno.EINVAL
    assert max(rooms) == 1 << 26


def test_not_authorized(kernel: FakeNetBSD, backend: Backend) -> None:
    backend.set("wg0", DeviceChange(private_key=A, listen_port=7, peers=[PeerChange(B)]))
    kernel.authorized = False
    device = backend.get("wg0")
    assert (device.private_key, device.public_key, device.listen_port) == (None, None, 7)
    with pytest.raises(AccessError) as raised:
        backend.set("wg0", DeviceChange(listen_port=8))
    assert raised.value.errno == errno.EPERM
    assert "root" in raised.value.hint


def test_nobody_and_too_long_a_name(kernel: FakeNetBSD, backend: Backend) -> None:
    with pytest.raises(NoSuchInterface):
        backend.get("wg1")
    with pytest.raises(NoSuchInterface):
        backend.set("wg1", DeviceChange())
    with pytest.raises(AccessError) as raised:
        backend.get("w" * 16)
    assert raised.value.errno == errno.ENAMETOOLONG
    assert kernel.calls == []


def test_an_operation_that_fails_says_how_far_it_came(kernel: FakeNetBSD, backend: Backend) -> None:
    change = DeviceChange(listen_port=7, peers=[PeerChange(A), PeerChange(B)])
    kernel.fail_at = 1
    with pytest.raises(AccessError) as raised:
        backend.set("wg0", change)
    assert raised.value.errno == errno.ENOMEM
    assert raised.value.hint == "1 of 3 operations were done before it"
    backend.set("wg0", change)
    assert len(backend.get("wg0").peers) == 2


def test_a_change_that_does_not_fit_changes_nothing(kernel: FakeNetBSD, backend: Backend) -> None:
    wrong = PeerChange(B, allowed_ips=[AllowedIP(bytes(4), 33)])
    with pytest.raises(AccessError) as raised:
        backend.set("wg0", DeviceChange(listen_port=7, peers=[wrong]))
    assert raised.value.errno == errno.EINVAL
    assert {command for command, _ in kernel.calls} == {0}


def test_only_this_backend_is_loaded() -> None:
    script = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from wgtools_backends.netbsd import Backend\n"
        "Backend(); import wgtools_backends.netbsd.plan\n"
        "print(*(m for m in sys.modules if m.startswith('wgtools_backends.')))\n"
        "heavy = {'typing', 'enum', 're', 'socket', 'dataclasses', 'plistlib', 'cryptography'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", script], capture_output=True, text=True, check=True
    )
    systems = {name.split(".")[1] for name in done.stdout.split()}
    assert systems == {"netbsd", "bsd"}
