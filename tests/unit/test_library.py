# SPDX-License-Identifier: MIT
"""The names that programs import: their examples, what `watch` tells, and that they are typed."""

from __future__ import annotations

import doctest
import subprocess
import sys
import traceback
from collections.abc import Callable
from errno import ENODEV
from pathlib import Path

import pytest

import wgtools
from wgtools import ipc, library
from wgtools.errors import NoSuchInterface
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, DeviceChange, Endpoint, HostPort, Peer, PeerChange
from wgtools.testing.memory_backend import MemoryBackend

FIRST = Key.from_base64(b"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=")
SECOND = Key.from_base64(b"TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=")
SECRET = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
FILE = """\
[Interface]
Address = 10.0.0.1/24
[Peer]
PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
Endpoint = vpn.example.org:51820
"""


class Shaking(MemoryBackend):
    """A new handshake at every look."""

    looks = 0

    def get(self, name: str) -> Device:
        self.looks += 1
        device = super().get(name)
        for peer in device.peers:
            peer.handshake_sec = self.looks
        return device


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> MemoryBackend:
    memory = Shaking("wg0")
    peer = PeerChange(FIRST, allowed_ips=[AllowedIP.parse("10.0.0.2/32")])
    memory.set("wg0", DeviceChange(listen_port=51820, peers=[peer]))
    monkeypatch.setattr(ipc, "backends", lambda: (memory, memory))
    monkeypatch.setattr(ipc, "_load", lambda _: memory)
    monkeypatch.setattr(library.watch, "__kwdefaults__", {"seconds": 1.0, "sleep": lambda _: None})
    return memory


def test_every_example_is_true(
    backend: MemoryBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wg0.conf").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner()
    examples = doctest.DocTestFinder().find(library, "wgtools.library")
    shown = {test.name.rpartition(".")[2] for test in examples if test.examples}
    for test in examples:
        runner.run(test)
    assert runner.failures == 0
    functions = {name for name in library.__all__ if name.islower()}
    assert shown == functions


def test_a_device_of_two_backends_is_listed_once(backend: MemoryBackend) -> None:
    assert library.interfaces() == ["wg0"]


def test_an_endpoint_is_looked_up_before_it_is_set(backend: MemoryBackend) -> None:
    wanted = PeerChange(FIRST, endpoint=HostPort.parse(b"192.0.2.1:51820"))
    wgtools.change("wg0", DeviceChange(peers=[wanted]))
    assert wgtools.device("wg0").peers[0].endpoint == Endpoint("192.0.2.1", 51820)


def test_an_interface_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise NoSuchInterface("No such device", errno=ENODEV)

    monkeypatch.setattr(ipc, "get", missing)
    monkeypatch.setattr(ipc, "set", missing)
    calls: list[Callable[[], object]] = [
        lambda: wgtools.device("wg7"),
        lambda: wgtools.change("wg7", DeviceChange()),
        lambda: next(wgtools.watch("wg7")),
    ]
    for call in calls:
        with pytest.raises(NoSuchInterface) as caught:
            call()
        assert str(caught.value) == caught.value.message == "`wg7': No such device"
        assert caught.value.errno == ENODEV


@pytest.mark.parametrize("name", ["wg\0", "\0", "wg\ud800"])
def test_what_can_be_no_name_is_no_interface(name: str) -> None:
    for act in (lambda: wgtools.device(name), lambda: wgtools.change(name, DeviceChange())):
        with pytest.raises(NoSuchInterface, match="cannot be the name of an interface"):
            act()


def test_what_can_be_no_path_is_no_file() -> None:
    for path in ("wg0.conf\0", "\ud800"):
        with pytest.raises(wgtools.WgError, match="that cannot be a path"):
            wgtools.read(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(wgtools.WgError, match="No such file") as caught:
        wgtools.read(tmp_path / "wg9.conf")
    assert caught.value.hint


def test_a_mistake_in_a_file_has_its_place(tmp_path: Path) -> None:
    (tmp_path / "wg0.conf").write_text("[Interface]\nListenPort = x\n")
    with pytest.raises(wgtools.ConfigError) as caught:
        wgtools.read(tmp_path / "wg0.conf")
    assert caught.value.line == 2


@pytest.mark.parametrize(
    "line",
    [
        f"PrivateKey = {SECRET[:43]}",
        f"PrivateKey = {SECRET}A",
        f"PrivateKey {SECRET}",
        f"PrivatKey = {SECRET}",
        f"ListenPort = {SECRET}",
        f"FwMark = {SECRET[:43]}",
        f"[Peer]\nPresharedKey = {SECRET[:43]}",
        f"[Peer]\nEndpoint = {SECRET}",
        f"[Peer]\nAllowedIPs = {SECRET}",
    ],
)
def test_a_mistyped_key_is_in_no_form_of_the_error(tmp_path: Path, line: str) -> None:
    (tmp_path / "wg0.conf").write_text(f"[Interface]\n{line}\n")
    with pytest.raises(wgtools.ConfigError) as caught:
        wgtools.read(tmp_path / "wg0.conf")
    error: BaseException | None = caught.value
    shown = "".join(traceback.format_exception(caught.value))
    while error is not None:  # also what `from None` keeps out of a traceback
        shown += f"{error} {error!r} {error.args!r} {vars(error)}"
        error = error.__cause__ or error.__context__
    secret = [SECRET[at : at + 12] for at in range(len(SECRET) - 12)]
    assert not [part for part in secret if part in shown]
    assert str(caught.value).startswith(f"{tmp_path}/wg0.conf:")


def test_differences_are_told_peer_by_peer() -> None:
    here = Endpoint("192.0.2.1", 1)
    before = Device("wg0", peers=[Peer(FIRST), Peer(SECOND)])
    third = Key(bytes(31) + b"\1")
    moved = Peer(FIRST, endpoint=here, handshake_nsec=1, rx_bytes=1, keepalive=3)
    after = Device("wg0", peers=[moved, Peer(third)])
    events = list(library.differences(before, after))
    assert [(event.what, event.public_key) for event in events] == [
        ("settings", FIRST),
        ("endpoint", FIRST),
        ("handshake", FIRST),
        ("transfer", FIRST),
        ("added", third),
        ("removed", SECOND),
    ]
    assert (events[0].before, events[0].after) == (before.peers[0], moved)
    assert list(library.differences(after, after)) == []


def test_watching_ends_with_the_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([Device("wg0"), Device("wg0", peers=[Peer(FIRST)])])

    def get(name: str) -> Device:
        for device in looks:
            return device
        raise NoSuchInterface("No such device")

    monkeypatch.setattr(ipc, "get", get)
    waited: list[float] = []
    events = list(library.watch("wg0", seconds=5, sleep=waited.append))
    assert [event.what for event in events] == ["added"]
    assert waited == [5, 5]


def test_each_public_name_is_there_and_no_other() -> None:
    for name in wgtools.__all__:
        assert getattr(wgtools, name).__name__ == name
    assert set(wgtools.__all__) <= set(dir(wgtools))
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        _ = wgtools.nothing_of_ours  # type: ignore[attr-defined]  # that is the point


def test_importing_the_package_costs_nothing() -> None:
    code = "import sys, wgtools; print(*[name for name in sys.modules if 'wgtools' in name])"
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["wgtools"]


def one(key: object = FIRST, **settings: object) -> DeviceChange:
    return DeviceChange(peers=[PeerChange(key, **settings)])  # type: ignore[arg-type]  # to be refused


@pytest.mark.parametrize(
    ("wanted", "kind", "said"),
    [
        (DeviceChange(listen_port=65536), ValueError, "listen_port must be 0 to 65535, not 65536"),
        (DeviceChange(fwmark=-1), ValueError, "fwmark must be 0 to 4294967295, not -1"),
        (one(keepalive=70000), ValueError, "keepalive must be 0 to 65535, not 70000"),
        (one(endpoint=Endpoint("192.0.2.1", -1)), ValueError, "port must be 0 to 65535, not -1"),
        (one(endpoint=Endpoint("vpn.example", 1)), ValueError, "an IP address, not 'vpn.example'"),
        (one(allowed_ips=[AllowedIP(bytes(4), 33)]), ValueError, "length must be 0 to 32, not 33"),
        (one(allowed_ips=[AllowedIP(bytes(5), 1)]), ValueError, "has 5 bytes, not 4 or 16"),
        (one(allowed_ips=["10.0.0.0/8"]), TypeError, "must be AllowedIP, not str"),
        (one(endpoint="192.0.2.1:1"), TypeError, "must be Endpoint or HostPort, not str"),
        (one(keepalive="25"), TypeError, "keepalive must be int, not str"),
        (one(preshared_key=SECRET), TypeError, "preshared_key must be Key, not str"),
        (one(None), TypeError, "public_key must be Key, not NoneType"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_interface_could_be_given_is_named(
    backend: MemoryBackend, wanted: DeviceChange, kind: type[Exception], said: str
) -> None:
    before = backend.get("wg0").peers
    with pytest.raises(kind) as caught:
        wgtools.change("wg0", wanted)
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)
    assert [peer.keepalive for peer in backend.get("wg0").peers] == [p.keepalive for p in before]


def test_all_that_an_interface_can_be_given_is_taken(backend: MemoryBackend) -> None:
    networks = [AllowedIP.parse(text) for text in ("0.0.0.0/0", "::/0", "2001:db8::1/128")]
    for endpoint in (Endpoint("fe80::1%eth0", 65535), HostPort.parse("192.0.2.1:1"), None):
        peer = PeerChange(FIRST, endpoint=endpoint, keepalive=65535, allowed_ips=networks)
        wgtools.change("wg0", DeviceChange(listen_port=0, fwmark=0xFFFFFFFF, peers=[peer]))
    (found,) = wgtools.device("wg0").peers
    assert (found.keepalive, found.endpoint) == (65535, Endpoint("192.0.2.1", 1))
