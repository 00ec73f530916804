# SPDX-License-Identifier: MIT
"""What every Backend promises, whoever it speaks to.

The userspace one speaks through a real socket to our own UAPI server, behind which a
MemoryBackend keeps the devices, to our engine and to wireguard-go; the netlink one to a
fake kernel and, in the machine of tests/kernel (`WGTOOLS_KERNEL_DEVICES` set), to a real one;
FreeBSD's to a kernel by the rules of the recordings and, on FreeBSD, to the real one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.contract import places, systems
from wgtools.errors import AccessError, NoSuchInterface, ProtocolError
from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, Endpoint, PeerChange
from wgtools.testing.memory_backend import MemoryBackend
from wgtools.uapi.server import RequestReader, errno_reply, get_reply
from wgtools_backends.uapi import Backend as UserspaceBackend

if TYPE_CHECKING:
    from wgtools.ipc import Backend

ZERO = Key(bytes(32))
A, B = Key(b"\x0a" * 32), Key(b"\x0b" * 32)


class Server(threading.Thread):
    """One daemon: serves `device` of a MemoryBackend until its listener is closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.devices = MemoryBackend(path.stem)
        self.name_served = path.stem
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.start()

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.serve(connection)

    def serve(self, connection: socket.socket) -> None:
        reader = RequestReader()
        while data := connection.recv(1 << 16):
            for request in reader.feed(data):
                if request.is_get:
                    for piece in get_reply(self.devices.get(self.name_served)):
                        connection.sendall(piece)
                    continue
                if request.change is not None:
                    self.devices.set(self.name_served, request.change)
                connection.sendall(errno_reply(request.errno))

    def stop(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.join()
        self.listener.close()


@contextlib.contextmanager
def userspace(directory: Path) -> Iterator[UserspaceBackend]:
    server = Server(directory / "wg0.sock")
    try:
        yield UserspaceBackend(directory=os.fsencode(directory))
    finally:
        server.stop()


HERE: dict[str, Callable[[], Backend]] = {
    "memory": lambda: MemoryBackend("wg0"),
    "fake kernel": places.fake_kernel,
    "freebsd 13": places.freebsd_13,
    "freebsd 15": places.freebsd_15,
    **systems.PLACES,
}
PLACES = [*HERE, "userspace", "engine", "wireguard-go"]
if sys.platform.startswith("freebsd"):
    PLACES += ["real freebsd"]
if os.environ.get("WGTOOLS_KERNEL_DEVICES"):
    PLACES = ["kernel"]


@pytest.fixture(params=PLACES)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """A backend with one fresh device, wg0."""
    daemons: dict[str, Callable[[Path], AbstractContextManager[Backend]]] = {
        "userspace": userspace,
        "engine": places.engine,
        "wireguard-go": places.wireguard_go,
        "real freebsd": lambda _: places.real_freebsd(),
        "kernel": lambda _: places.real_kernel(),
    }
    if request.param in HERE:
        yield HERE[request.param]()
    else:
        with daemons[request.param](tmp_path) as outside:
            yield outside


@pytest.fixture
def lacks(request: pytest.FixtureRequest) -> frozenset[str]:
    """What the system behind `backend` does not have."""
    return systems.LACKS.get(request.node.callspec.params["backend"], frozenset())


def test_lists_what_is_there(backend: Backend) -> None:
    assert backend.list() == ["wg0"]
    assert backend.exists("wg0")
    assert not backend.exists("wg1")


def test_unknown_name(backend: Backend) -> None:
    with pytest.raises(NoSuchInterface):
        backend.get("wg1")
    with pytest.raises(NoSuchInterface):
        backend.set("wg1", DeviceChange())


def test_a_change_of_nothing_changes_nothing(backend: Backend) -> None:
    backend.set("wg0", DeviceChange(private_key=A, listen_port=5, peers=[PeerChange(B)]))
    before = backend.get("wg0")
    backend.set("wg0", DeviceChange())
    assert backend.get("wg0") == before


def test_everything_is_kept(backend: Backend, lacks: frozenset[str]) -> None:
    keepalive = 0 if "keepalive" in lacks else 25
    fwmark = 0 if "fwmark" in lacks else 0xCAFE
    peer = PeerChange(
        B,
        preshared_key=A,
        endpoint=Endpoint("2001:db8::1", 51820),
        keepalive=keepalive,
        allowed_ips=[AllowedIP.parse("10.0.0.0/8"), AllowedIP.parse("fd00::/64")],
    )
    backend.set("wg0", DeviceChange(private_key=A, listen_port=7, fwmark=fwmark, peers=[peer]))
    device = backend.get("wg0")
    assert device.private_key == Key.from_entropy(bytes(A))
    assert device.public_key is not None
    assert (device.name, device.listen_port, device.fwmark) == ("wg0", 7, fwmark)
    (got,) = device.peers
    assert (got.public_key, got.preshared_key, got.keepalive) == (B, A, keepalive)
    assert got.endpoint == Endpoint("2001:db8::1", 51820)
    assert sorted(map(str, got.allowed_ips)) == ["10.0.0.0/8", "fd00::/64"]


def test_what_there_is_not_is_refused_and_nothing_is_done(
    backend: Backend, lacks: frozenset[str]
) -> None:
    for wish, change in {
        "fwmark": DeviceChange(listen_port=7, fwmark=1),
        "keepalive": DeviceChange(listen_port=7, peers=[PeerChange(B, keepalive=25)]),
    }.items():
        if wish in lacks:
            with pytest.raises(AccessError) as refusal:
                backend.set("wg0", change)
            assert refusal.value.errno == errno.EOPNOTSUPP
            assert backend.get("wg0").listen_port == 0
        else:
            backend.set("wg0", change)
            assert backend.get("wg0").listen_port == 7
            backend.set("wg0", DeviceChange(listen_port=0, fwmark=0, replace_peers=True))


def test_zero_clears(backend: Backend, lacks: frozenset[str]) -> None:
    full = PeerChange(B, preshared_key=A, keepalive=0 if "keepalive" in lacks else 25)
    mark = 0 if "fwmark" in lacks else 9
    backend.set("wg0", DeviceChange(private_key=A, listen_port=7, fwmark=mark, peers=[full]))
    clear = PeerChange(B, preshared_key=ZERO, keepalive=0)
    backend.set("wg0", DeviceChange(private_key=ZERO, listen_port=0, fwmark=0, peers=[clear]))
    device = backend.get("wg0")
    assert (device.private_key, device.public_key) == (None, None)
    assert device.fwmark == 0
    assert device.listen_port != 7  # 0, or one that the system chose
    assert (device.peers[0].preshared_key, device.peers[0].keepalive) == (None, 0)


def test_peers_come_and_go(backend: Backend) -> None:
    backend.set("wg0", DeviceChange(peers=[PeerChange(A), PeerChange(B)]))
    assert {peer.public_key for peer in backend.get("wg0").peers} == {A, B}
    backend.set("wg0", DeviceChange(peers=[PeerChange(A, remove=True)]))
    assert [peer.public_key for peer in backend.get("wg0").peers] == [B]
    backend.set("wg0", DeviceChange(replace_peers=True, peers=[PeerChange(A)]))
    assert [peer.public_key for peer in backend.get("wg0").peers] == [A]


def test_update_only_makes_no_peer(backend: Backend) -> None:
    backend.set("wg0", DeviceChange(peers=[PeerChange(A, update_only=True, preshared_key=B)]))
    assert backend.get("wg0").peers == []
    backend.set("wg0", DeviceChange(peers=[PeerChange(A)]))
    backend.set("wg0", DeviceChange(peers=[PeerChange(A, update_only=True, preshared_key=B)]))
    assert backend.get("wg0").peers[0].preshared_key == B


def networks(backend: Backend) -> dict[Key, list[str]]:
    return {p.public_key: sorted(map(str, p.allowed_ips)) for p in backend.get("wg0").peers}


def test_allowed_ips_are_masked_added_moved_and_replaced(backend: Backend) -> None:
    ten, eleven = AllowedIP.parse("10.1.2.3/8"), AllowedIP.parse("11.0.0.0/8")
    backend.set("wg0", DeviceChange(peers=[PeerChange(A, allowed_ips=[ten])]))
    assert networks(backend) == {A: ["10.0.0.0/8"]}
    backend.set("wg0", DeviceChange(peers=[PeerChange(A, allowed_ips=[eleven])]))
    assert networks(backend) == {A: ["10.0.0.0/8", "11.0.0.0/8"]}
    backend.set("wg0", DeviceChange(peers=[PeerChange(B, allowed_ips=[ten])]))
    assert networks(backend) == {A: ["11.0.0.0/8"], B: ["10.0.0.0/8"]}
    replace = PeerChange(B, replace_allowed_ips=True, allowed_ips=[eleven])
    backend.set("wg0", DeviceChange(peers=[replace]))
    assert networks(backend) == {A: [], B: ["11.0.0.0/8"]}


def test_one_allowed_ip_is_removed_or_the_change_refused(backend: Backend) -> None:
    ten, eleven = AllowedIP.parse("10.0.0.0/8"), AllowedIP.parse("11.0.0.0/8")
    backend.set("wg0", DeviceChange(peers=[PeerChange(A, allowed_ips=[ten, eleven])]))
    away = AllowedIP(eleven.address, eleven.length, remove=True)
    try:
        backend.set("wg0", DeviceChange(peers=[PeerChange(A, allowed_ips=[away])]))
    except AccessError as refusal:  # Linux before 6.16, wireguard-go before 2025
        assert refusal.errno in (errno.EINVAL, errno.EOPNOTSUPP)  # noqa: PT017  # either will do
        assert networks(backend) == {A: ["10.0.0.0/8", "11.0.0.0/8"]}
    else:
        assert networks(backend) == {A: ["10.0.0.0/8"]}


def test_many_peers(backend: Backend) -> None:
    """Requests and replies of many times a socket's buffer."""
    keys = [Key(i.to_bytes(32, "big")) for i in range(1, 3001)]
    wanted = [PeerChange(key, allowed_ips=[AllowedIP(bytes(key)[-4:], 32)]) for key in keys]
    backend.set("wg0", DeviceChange(peers=wanted))
    assert {bytes(peer.public_key) for peer in backend.get("wg0").peers} == set(map(bytes, keys))


# ------------------------------------------------------- the userspace one's own promises


@pytest.fixture
def sockets(tmp_path: Path) -> UserspaceBackend:
    return UserspaceBackend(directory=os.fsencode(tmp_path))


def test_dead_socket_is_removed_when_listed_or_asked_for(
    tmp_path: Path, sockets: UserspaceBackend
) -> None:
    for ask in (sockets.list, lambda: sockets.exists("wg0")):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(tmp_path / "wg0.sock"))
        assert not ask()
        assert list(tmp_path.iterdir()) == []


def test_dead_socket_met_by_the_request_itself(tmp_path: Path, sockets: UserspaceBackend) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "wg0.sock"))
    with pytest.raises(AccessError, match="Connection refused"):
        sockets.get("wg0")
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_sockets_are_left_alone(
    tmp_path: Path, sockets: UserspaceBackend
) -> None:
    (tmp_path / "wg0.sock").touch()
    (tmp_path / ".sock").touch()
    assert sockets.list() == []
    assert not sockets.exists("wg0")
    with pytest.raises(AccessError) as raised:
        sockets.get("wg0")
    assert raised.value.errno == errno.EBADF
    assert (tmp_path / "wg0.sock").exists()


def test_name_with_a_slash_is_nobodys(sockets: UserspaceBackend) -> None:
    assert not sockets.exists("../wg0")
    with pytest.raises(AccessError) as raised:
        sockets.get("../wg0")
    assert raised.value.errno == errno.EINVAL


def test_no_directory_is_no_devices(tmp_path: Path) -> None:
    assert UserspaceBackend(directory=os.fsencode(tmp_path / "none")).list() == []


def test_directory_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AccessError, match="Not a directory"):
        UserspaceBackend(directory=os.fsencode(tmp_path / "file")).list()


def test_path_too_long_for_a_socket_is_an_error_and_not_cut(
    tmp_path: Path, sockets: UserspaceBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "w" * 90
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{name}.sock")
        listener.listen()
        long = UserspaceBackend(directory=os.fsencode(tmp_path) + b"/." * 50)
        assert long.exists(name)
        with pytest.raises(AccessError) as raised:
            long.get(name)
    assert raised.value.errno == errno.ENAMETOOLONG


@pytest.mark.parametrize(
    ("answer", "error", "number"),
    [
        (b"", ProtocolError, errno.EPROTO),
        (b"listen_port=1\n", ProtocolError, errno.EPROTO),
        (b"errno=13\n\n", AccessError, errno.EACCES),
        (b"errno=19\n\n", NoSuchInterface, errno.ENODEV),
    ],
)
def test_what_a_daemon_says_becomes_an_error(
    tmp_path: Path, sockets: UserspaceBackend, answer: bytes, error: type[AccessError], number: int
) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "wg0.sock"))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(error) as raised:
            sockets.get("wg0")
        thread.join()
    assert raised.value.errno == number


def test_daemon_that_hangs_up_on_a_long_request_is_heard_first(
    tmp_path: Path, sockets: UserspaceBackend
) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "wg0.sock"))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(10)
                connection.sendall(b"errno=-22\n\n")
                connection.shutdown(socket.SHUT_RD)

        thread = threading.Thread(target=serve)
        thread.start()
        many = DeviceChange(peers=[PeerChange(A)] * 20_000)
        with pytest.raises(AccessError, match="Invalid argument"):
            sockets.set("wg0", many)
        thread.join()


def test_smallest_errno_is_shown_and_no_crash(tmp_path: Path, sockets: UserspaceBackend) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "wg0.sock"))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"errno=-2147483648\n\n")

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(AccessError, match="Unknown error 2147483648"):
            sockets.set("wg0", DeviceChange())
        thread.join()
