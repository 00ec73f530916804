# SPDX-License-Identifier: MIT
"""OpenBSD's caller on a kernel that is not there: sizes, sets, errors."""

import errno
import subprocess
import sys

import pytest

from wgtools.crypto.x25519 import public_key
from wgtools.errors import AccessError, NoSuchInterface
from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, PeerChange
from wgtools.testing.fake_openbsd import SIOCGWG, SIOCSWG, FakeOpenBSD
from wgtools.testing.memory_backend import MemoryBackend
from wgtools_backends.openbsd.ioctl import Backend

A, B, C = (Key(bytes([byte]) * 32) for byte in b"\x0a\x0b\x0c")


@pytest.fixture
def kernel() -> FakeOpenBSD:
    return FakeOpenBSD(MemoryBackend("wg0"))


@pytest.fixture
def backend(kernel: FakeOpenBSD) -> Backend:
    return Backend(ioctl=kernel.ioctl, release="7.8")


def test_asks_for_the_size_and_then_for_so_much(kernel: FakeOpenBSD, backend: Backend) -> None:
    assert backend.get("wg0").peers == []
    assert kernel.calls == [(SIOCGWG, "wg0", 0), (SIOCGWG, "wg0", 80)]


def test_a_device_that_grows_meanwhile_is_asked_again(
    kernel: FakeOpenBSD, backend: Backend
) -> None:
    backend.set("wg0", DeviceChange(peers=[PeerChange(A)]))
    kernel.calls, kernel.growth = [], 2
    assert len(backend.get("wg0").peers) == 1
    assert [size for _, _, size in kernel.calls] == [0, 288, 312, 336]


def test_a_device_that_always_grows_is_given_up(kernel: FakeOpenBSD, backend: Backend) -> None:
    kernel.growth = 10**6
    with pytest.raises(AccessError) as raised:
        backend.get("wg0")
    assert raised.value.errno == errno.EAGAIN
    assert len(kernel.calls) == 101


def test_a_size_beyond_all_reason_is_not_allocated(kernel: FakeOpenBSD) -> None:
    def ioctl(_fd: int, _number: int, argument: bytearray, _mutate: bool) -> int:
        argument[16:24] = (1 << 40).to_bytes(8, sys.byteorder)
        return 0

    with pytest.raises(AccessError):
        Backend(ioctl=ioctl, release="7.8").get("wg0")


def test_a_shorter_second_answer_is_what_counts(kernel: FakeOpenBSD) -> None:
    """A peer was removed between the two calls."""
    kernel.devices.set("wg0", DeviceChange(peers=[PeerChange(A), PeerChange(B)]))

    def ioctl(fd: int, number: int, argument: bytearray, mutate: bool) -> int:
        done = kernel.ioctl(fd, number, argument, mutate)
        if len(kernel.calls) == 1:
            kernel.devices.set("wg0", DeviceChange(peers=[PeerChange(B, remove=True)]))
        return done

    device = Backend(ioctl=ioctl, release="7.8").get("wg0")
    assert [peer.public_key for peer in device.peers] == [A]


def test_not_root(kernel: FakeOpenBSD, backend: Backend) -> None:
    backend.set("wg0", DeviceChange(private_key=A, listen_port=7, fwmark=3, peers=[PeerChange(B)]))
    kernel.privileged = False
    device = backend.get("wg0")
    assert (device.listen_port, device.fwmark) == (7, 3)
    assert (device.private_key, device.public_key, device.peers) == (None, None, [])
    with pytest.raises(AccessError) as raised:
        backend.set("wg0", DeviceChange())
    assert raised.value.errno == errno.EPERM
    assert "root" in raised.value.hint


def test_no_group_yet_is_no_interfaces(kernel: FakeOpenBSD, backend: Backend) -> None:
    kernel.group = False
    assert backend.list() == []
    assert not backend.exists("wg0")


@pytest.mark.parametrize("number", [errno.ENXIO, errno.ENOTTY])
def test_what_is_no_wireguard_interface(number: int) -> None:
    def ioctl(*_words: object) -> int:
        raise OSError(number, "as the kernel says")

    backend = Backend(ioctl=ioctl, release="7.8")
    with pytest.raises(NoSuchInterface) as raised:
        backend.get("em0")
    assert raised.value.errno == number
    with pytest.raises(NoSuchInterface):
        backend.set("em0", DeviceChange())


def test_listing_that_fails_says_so() -> None:
    def ioctl(*_words: object) -> int:
        raise OSError(errno.EACCES, "as the kernel says")

    with pytest.raises(AccessError):
        Backend(ioctl=ioctl, release="7.8").list()


def test_a_name_that_is_too_long_is_asked_of_nobody(kernel: FakeOpenBSD, backend: Backend) -> None:
    with pytest.raises(AccessError) as raised:
        backend.get("w" * 16)
    assert raised.value.errno == errno.ENAMETOOLONG
    assert kernel.calls == []


def test_a_change_that_does_not_fit_is_asked_of_nobody(
    kernel: FakeOpenBSD, backend: Backend
) -> None:
    wrong = PeerChange(B, allowed_ips=[AllowedIP(bytes(4), 33)])
    with pytest.raises(AccessError) as raised:
        backend.set("wg0", DeviceChange(listen_port=7, peers=[PeerChange(A), wrong]))
    assert raised.value.errno == errno.EINVAL
    assert kernel.calls == []


def test_a_signal_is_no_end() -> None:
    kernel = FakeOpenBSD(MemoryBackend("wg0"))
    interruptions = [True, True]

    def ioctl(fd: int, number: int, argument: bytearray, mutate: bool) -> int:
        if interruptions:
            interruptions.pop()
            raise InterruptedError
        return kernel.ioctl(fd, number, argument, mutate)

    assert Backend(ioctl=ioctl, release="7.8").get("wg0").name == "wg0"


@pytest.mark.parametrize(("release", "requests"), [("7.3", 3), ("7.8", 1)])
def test_removals_before_other_peers_reach_kernels_that_get_stuck(
    release: str, requests: int
) -> None:
    kernel = FakeOpenBSD(MemoryBackend("wg0"), described=release != "7.3")
    kernel.steps_over = release != "7.3"
    backend = Backend(ioctl=kernel.ioctl, release=release)
    backend.set("wg0", DeviceChange(peers=[PeerChange(A), PeerChange(B)]))
    kernel.requests.clear()
    gone = [PeerChange(A, remove=True), PeerChange(B, remove=True)]
    backend.set("wg0", DeviceChange(listen_port=7, peers=[*gone, PeerChange(C, keepalive=5)]))
    device = backend.get("wg0")
    assert [(peer.public_key, peer.keepalive) for peer in device.peers] == [(C, 5)]
    assert (device.listen_port, len(kernel.requests)) == (7, requests)


def test_the_device_itself_is_not_sent_as_a_peer_to_kernels_that_get_stuck() -> None:
    kernel = FakeOpenBSD(MemoryBackend("wg0"), described=False)
    own = PeerChange(Key(public_key(bytes(A))))
    change = DeviceChange(private_key=A, listen_port=9, peers=[own, PeerChange(B)])
    Backend(ioctl=kernel.ioctl, release="7.3").set("wg0", change)
    assert kernel.change(kernel.requests[0]).peers == [PeerChange(B)]
    assert len(change.peers) == 2
    Backend(ioctl=kernel.ioctl, release="7.3").set("wg0", DeviceChange(peers=[PeerChange(B)]))
    assert kernel.calls[-1][0] == SIOCSWG


def test_only_this_backend_is_loaded() -> None:
    script = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from wgtools_backends.openbsd import Backend\n"
        "Backend(release='7.8')\n"
        "print(*(m for m in sys.modules if m.startswith('wgtools_backends.')))\n"
        "heavy = {'typing', 'enum', 're', 'socket', 'dataclasses', 'ctypes', 'cryptography'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", script], capture_output=True, text=True, check=True
    )
    systems = {name.split(".")[1] for name in done.stdout.split()}
    assert systems == {"openbsd", "bsd"}
