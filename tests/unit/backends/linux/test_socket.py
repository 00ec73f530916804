# SPDX-License-Identifier: MIT
"""The caller round the codec, in front of a kernel that is not there and misbehaves."""

import struct
from collections.abc import Callable
from errno import (
    EADDRINUSE,
    EBUSY,
    EINTR,
    EMFILE,
    ENAMETOOLONG,
    ENOBUFS,
    ENODEV,
    EOPNOTSUPP,
    EPERM,
    EPROTO,
    EPROTONOSUPPORT,
)

import pytest

from wgtools.errors import AccessError, NoSuchInterface, ProtocolError
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, DeviceChange, Endpoint, Peer, PeerChange
from wgtools.testing.fake_kernel import FakeKernel, FakeSocket, attribute, generic, message
from wgtools_backends.linux import Backend
from wgtools_backends.linux.socket import ATTEMPTS

PEERS = [
    Peer(
        Key(bytes([number]) * 32),
        keepalive=number,
        allowed_ips=[AllowedIP(bytes([10, number, index, 0]), 24) for index in range(30)],
    )
    for number in range(1, 20)
]


class Shelf:
    """Devices that only lie there; what they are told is kept."""

    def __init__(self) -> None:
        self.devices = [Device("wg0", listen_port=51820, peers=PEERS), Device("wg\udcff")]
        self.changes: list[DeviceChange] = []
        self.refusal: AccessError | None = None

    def list(self) -> list[str]:
        return [device.name for device in self.devices]

    def exists(self, name: str) -> bool:
        return name in self.list()

    def get(self, name: str) -> Device:
        for device in self.devices:
            if device.name == name:
                return device
        raise NoSuchInterface("", errno=ENODEV)

    def set(self, name: str, change: DeviceChange) -> None:
        self.get(name)
        if self.refusal:
            raise self.refusal
        self.changes.append(change)


class Rig:
    def __init__(self) -> None:
        self.shelf = Shelf()
        self.kernel = FakeKernel(self.shelf)
        self.pauses: list[float] = []
        self.wg = Backend(connect=self.kernel.connect, pause=self.pauses.append)

    def fails(self, call: Callable[[], object]) -> AccessError:
        with pytest.raises(AccessError) as raised:
            call()
        assert self.kernel.opened == self.kernel.closed  # no socket is left behind
        return raised.value


@pytest.fixture
def rig() -> Rig:
    return Rig()


def interrupted_system_call() -> OSError:
    return InterruptedError(EINTR, "Interrupted system call")


def no_room() -> OSError:
    return OSError(ENOBUFS, "No buffer space available")


def test_list_gives_wireguard_links_in_the_kernels_order(rig: Rig) -> None:
    assert rig.wg.list() == ["wg0", "wg\udcff"]
    assert rig.wg.exists("wg0")
    assert not rig.wg.exists("eth0")


def test_an_interrupted_list_counts(rig: Rig) -> None:
    rig.kernel.interruptions = 1
    assert rig.wg.list() == ["wg0", "wg\udcff"]
    assert rig.kernel.opened == 1


def test_list_says_why_it_failed(rig: Rig) -> None:
    rig.kernel.reads.append(OSError(EMFILE, "x"))
    error = rig.fails(rig.wg.list)
    assert (error.message, error.errno) == ("Too many open files", EMFILE)


def test_get_joins_messages(rig: Rig) -> None:
    rig.kernel.message_size = 1000
    assert rig.wg.get("wg0") == rig.shelf.devices[0]
    assert rig.wg.get("wg\udcff") == rig.shelf.devices[1]


def test_set_sends_it_all(rig: Rig) -> None:
    change = DeviceChange(
        private_key=Key(b"\7" * 32),
        listen_port=0,
        fwmark=1,
        replace_peers=True,
        peers=[
            PeerChange(
                Key(b"\1" * 32),
                preshared_key=Key(b"\2" * 32),
                endpoint=Endpoint("fe80::1%lo", 7),
                keepalive=0,
                replace_allowed_ips=True,
                allowed_ips=[AllowedIP(bytes([10, 0, 0, 1]), 8), AllowedIP(bytes(16), 0, True)],
            ),
            PeerChange(Key(b"\3" * 32), remove=True, update_only=True),
            PeerChange(Key(b"\4" * 32), endpoint=Endpoint("192.0.2.1", 51820)),
        ],
    )
    rig.wg.set("wg0", change)
    assert rig.shelf.changes == [change]


def test_get_names_the_zone_of_an_endpoint(rig: Rig) -> None:
    peers = [
        Peer(Key(b"\1" * 32), endpoint=Endpoint("fe80::1%lo", 7)),
        Peer(Key(b"\2" * 32), endpoint=Endpoint("fe80::1%7777777", 7)),
    ]
    rig.shelf.devices.append(Device("wg2", peers=peers))
    assert rig.wg.get("wg2").peers == peers


def test_a_scope_may_be_a_number_that_has_no_name(rig: Rig) -> None:
    change = DeviceChange(
        peers=[PeerChange(PEERS[0].public_key, endpoint=Endpoint("ff05::1%77", 1))]
    )
    rig.wg.set("wg0", change)
    assert rig.shelf.changes == [change]


def test_a_scope_that_is_nothing_is_refused(rig: Rig) -> None:
    endpoint = Endpoint("fe80::1%nosuchlink", 1)
    change = DeviceChange(peers=[PeerChange(PEERS[0].public_key, endpoint=endpoint)])
    assert rig.fails(lambda: rig.wg.set("wg0", change)).errno == ENODEV
    assert rig.shelf.changes == []


def test_a26_a_name_that_cannot_be_is_not_asked_for(rig: Rig) -> None:
    for call in (lambda: rig.wg.get("x" * 16), lambda: rig.wg.set("x" * 16, DeviceChange())):
        error = rig.fails(call)
        assert (error.message, error.errno) == ("File name too long", ENAMETOOLONG)
        assert "15 bytes" in error.hint
    assert rig.kernel.requests == []
    assert rig.fails(lambda: rig.wg.get("x" * 15)).errno == ENODEV


@pytest.mark.parametrize(
    ("name", "number", "message_text"),
    [("wg7", ENODEV, "No such device"), ("eth0", EOPNOTSUPP, "Operation not supported")],
)
def test_nothing_of_that_name(rig: Rig, name: str, number: int, message_text: str) -> None:
    for call in (lambda: rig.wg.get(name), lambda: rig.wg.set(name, DeviceChange())):
        error = rig.fails(call)
        assert isinstance(error, NoSuchInterface)
        assert (error.message, error.errno) == (message_text, number)
        assert error.hint


def test_without_the_module_the_hint_names_the_engine(rig: Rig) -> None:
    rig.kernel.module = False
    for call in (lambda: rig.wg.get("wg0"), lambda: rig.wg.set("wg0", DeviceChange())):
        error = rig.fails(call)
        assert isinstance(error, NoSuchInterface)
        assert (error.message, error.errno) == ("Protocol not supported", EPROTONOSUPPORT)
        assert "wgtools-engine" in error.hint


def test_a_controller_that_gives_no_number_means_no_module(rig: Rig) -> None:
    def no_number(data: bytes) -> bytes:
        return message(16, 0, 1, generic(1, 2, attribute(2, b"wireguard\0")))

    rig.kernel.reads.append(no_number)
    assert rig.fails(lambda: rig.wg.get("wg0")).errno == EPROTONOSUPPORT


def test_any_other_error_of_the_controller_is_told(rig: Rig) -> None:
    def denied(data: bytes) -> bytes:
        return message(2, 0, 1, struct.pack("=i", -EPERM) + bytes(16))

    rig.kernel.reads.append(denied)
    assert rig.fails(lambda: rig.wg.get("wg0")).errno == EPERM


def test_without_privilege_the_hint_names_the_capability(rig: Rig) -> None:
    rig.kernel.privileged = False
    error = rig.fails(lambda: rig.wg.get("wg0"))
    assert (error.message, error.errno) == ("Operation not permitted", EPERM)
    assert "CAP_NET_ADMIN" in error.hint


def test_the_kernels_own_words_are_the_hint(rig: Rig) -> None:
    rig.shelf.refusal = AccessError("", errno=EADDRINUSE)
    rig.kernel.words = "port taken"
    error = rig.fails(lambda: rig.wg.set("wg0", DeviceChange(listen_port=1)))
    assert (error.message, error.hint) == ("Address already in use", "the kernel says: port taken")
    rig.shelf.refusal = AccessError("", errno=EPERM)
    error = rig.fails(lambda: rig.wg.set("wg0", DeviceChange(listen_port=1)))
    assert error.hint.endswith("capability; the kernel says: port taken")


def test_the_first_error_of_a_set_stops_it(rig: Rig) -> None:
    peers = [PeerChange(peer.public_key, allowed_ips=peer.allowed_ips) for peer in PEERS]
    rig.wg.set("wg0", DeviceChange(peers=peers))
    whole = len(rig.kernel.requests)
    assert whole > 4
    rig.kernel.requests.clear()
    rig.shelf.refusal = AccessError("", errno=EADDRINUSE)
    rig.fails(lambda: rig.wg.set("wg0", DeviceChange(peers=peers)))
    assert len(rig.kernel.requests) == 2  # the family and the first part


def test_an_interrupted_dump_is_asked_for_again(rig: Rig) -> None:
    rig.kernel.interruptions = 3
    assert rig.wg.get("wg0") == rig.shelf.devices[0]
    assert rig.kernel.opened == rig.kernel.closed == 4
    assert rig.pauses == []


def test_a_dump_that_never_settles_ends_in_a_clear_error(rig: Rig) -> None:
    rig.kernel.interruptions = 10_000
    error = rig.fails(lambda: rig.wg.get("wg0"))
    assert (error.message, error.errno) == ("Device or resource busy", EBUSY)
    assert "changed during each" in error.hint
    assert rig.kernel.opened == ATTEMPTS
    assert rig.pauses == sorted(rig.pauses)
    assert 5 < sum(rig.pauses) < 10


def test_a_device_that_vanishes_while_it_is_read(rig: Rig) -> None:
    rig.kernel.message_size = 1000
    rig.kernel.vanish_after = 3
    error = rig.fails(lambda: rig.wg.get("wg0"))
    assert isinstance(error, NoSuchInterface)
    assert error.errno == ENODEV


def test_a_signal_disturbs_nothing(rig: Rig) -> None:
    rig.kernel.sends += [interrupted_system_call(), interrupted_system_call()]
    rig.kernel.reads += [interrupted_system_call(), None, interrupted_system_call()]
    assert rig.wg.get("wg0") == rig.shelf.devices[0]
    assert rig.kernel.opened == 1


def overrun(data: bytes) -> bytes:
    return message(4, 0, 2, bytes(4))


@pytest.mark.parametrize("loss", [no_room(), overrun])
def test_an_answer_that_was_lost_is_asked_for_again(
    rig: Rig, loss: OSError | Callable[[bytes], bytes]
) -> None:
    rig.kernel.reads += [None, None, loss]
    assert rig.wg.get("wg0") == rig.shelf.devices[0]
    rig.kernel.reads += [None, None, loss]
    rig.wg.set("wg0", DeviceChange(listen_port=1))
    assert rig.shelf.changes[-1] == DeviceChange(listen_port=1)
    rig.kernel.sends.append(no_room())
    assert rig.wg.get("wg0") == rig.shelf.devices[0]
    assert rig.kernel.opened == rig.kernel.closed == 6


def test_answers_that_are_always_lost_end_in_a_clear_error(rig: Rig) -> None:
    rig.kernel.reads += [no_room() for _ in range(ATTEMPTS)]
    error = rig.fails(lambda: rig.wg.get("wg0"))
    assert (error.message, error.errno) == ("No buffer space available", ENOBUFS)
    assert "lost" in error.hint


@pytest.mark.parametrize("length", [0, 1, 15, 17, 40])
def test_a_short_read_is_a_protocol_error(rig: Rig, length: int) -> None:
    rig.kernel.reads += [None, None, lambda data: data[:length]]
    error = rig.fails(lambda: rig.wg.get("wg0"))
    assert isinstance(error, ProtocolError)
    assert error.errno == EPROTO


def test_a_datagram_larger_than_any_buffer_is_a_protocol_error(rig: Rig) -> None:
    rig.kernel.reads.append(lambda data: data + bytes(1 << 16))
    assert isinstance(rig.fails(lambda: rig.wg.get("wg0")), ProtocolError)


def test_messages_that_answer_somebody_else_are_passed_over(rig: Rig) -> None:
    def strangers(data: bytes) -> bytes:
        refusal = struct.pack("=i", -EPERM) + bytes(16)
        other_request = message(2, 0, 77, refusal)
        other_port = struct.pack("=IHHII", 36, 2, 0, 2, 99) + refusal
        noop = message(1, 0, 2, b"")  # NLMSG_NOOP
        return other_request + other_port + noop + data

    rig.kernel.reads += [None, None, strangers]
    assert rig.wg.get("wg0") == rig.shelf.devices[0]


def test_only_the_kernel_is_listened_to(rig: Rig) -> None:
    class Crowded(FakeSocket):
        """A socket to which another process sends, too."""

        spoken = False

        def recvmsg(
            self, size: int, /
        ) -> tuple[bytes, list[tuple[int, int, bytes]], int, tuple[int, int]]:
            self.spoken = not self.spoken
            if self.spoken:
                return message(2, 0, 1, struct.pack("=i", -EPERM) + bytes(16)), [], 0, (666, 0)
            return super().recvmsg(size)

    wg = Backend(connect=lambda protocol: Crowded(rig.kernel, protocol))
    assert wg.get("wg0") == rig.shelf.devices[0]


def test_backend_is_loaded_when_it_is_asked_for() -> None:
    import wgtools_backends.linux as package

    assert package.Backend is Backend
    with pytest.raises(AttributeError, match="Frontend"):
        package.Frontend  # noqa: B018  # the look-up is what is tested
