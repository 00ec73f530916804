# SPDX-License-Identifier: MIT
"""The caller: which ioctls are made, on which layouts, and what their errors become."""

import errno
import os

import pytest

from tests.contract.freebsd_kernel import FreeBSDKernel, Interface, Peer
from wgtools.errors import AccessError, NoSuchInterface, ProtocolError
from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, Endpoint, PeerChange
from wgtools_backends.bsd.layout import I386, LP64, Layout
from wgtools_backends.freebsd import Backend

A, B = Key(b"\x0a" * 32), Key(b"\x0b" * 32)
ZERO = Key(bytes(32))
TEN = AllowedIP.parse("10.0.0.0/8")
NOT_TEN = AllowedIP(TEN.address, TEN.length, remove=True)
BOTH = pytest.mark.parametrize("layout", [LP64, I386], ids=["lp64", "i386"])


def fault(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def crowd(count: int) -> list[Peer]:
    return [Peer(n.to_bytes(32, "big")) for n in range(1, count + 1)]


@BOTH
def test_a_reading_asks_for_the_size_and_then_for_so_much(layout: Layout) -> None:
    kernel = FreeBSDKernel("wg0", layout=layout)
    kernel.interface().port = 7
    assert Backend(kernel.control()).get("wg0").listen_port == 7
    number = "0xc02069d3" if layout is LP64 else "0xc01869d3"
    assert kernel.log == [
        f"SIOCGWG {number} name=wg0 size_in=0 data=NULL -> rc=0 size_out=58",
        f"SIOCGWG {number} name=wg0 size_in=58 data=ptr -> rc=0 size_out=58",
    ]
    assert kernel.open_sockets == 0


def test_a_device_that_grows_meanwhile_is_asked_again() -> None:
    kernel = FreeBSDKernel("wg0")
    kernel.grow = crowd(20)
    assert len(Backend(kernel.control()).get("wg0").peers) == 20
    assert len(kernel.log) == 3  # the call that failed left no line


def test_a_device_that_never_stops_growing_is_given_up() -> None:
    kernel = FreeBSDKernel("wg0")
    kernel.faults.extend([None, fault(errno.ENOSPC)] * 100)
    with pytest.raises(AccessError, match="busy") as raised:
        Backend(kernel.control()).get("wg0")
    assert raised.value.errno == errno.EBUSY
    assert "100 readings" in raised.value.hint
    assert kernel.open_sockets == 0


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENXIO, NoSuchInterface),
        (errno.ENOTTY, NoSuchInterface),
        (errno.EINVAL, NoSuchInterface),
        (errno.ENOMEM, AccessError),
        (errno.EPERM, AccessError),
    ],
)
def test_what_a_failed_reading_means(number: int, kind: type[AccessError]) -> None:
    kernel = FreeBSDKernel("wg0")
    kernel.faults.append(fault(number))
    with pytest.raises(AccessError) as raised:
        Backend(kernel.control()).get("wg0")
    assert (type(raised.value), raised.value.errno) == (kind, number)
    assert raised.value.message == os.strerror(number)
    assert isinstance(raised.value.__cause__, OSError)


def test_an_interface_of_another_kind_is_none() -> None:
    kernel = FreeBSDKernel("wg0")
    kernel.interfaces["em0"] = None
    backend = Backend(kernel.control())
    assert backend.list() == ["wg0"]
    with pytest.raises(NoSuchInterface) as raised:
        backend.get("em0")
    assert "not a WireGuard one" in raised.value.hint


def test_a_malformed_answer_says_where() -> None:
    kernel = FreeBSDKernel("wg0")
    kernel.interface().canned = b"\x6c" + bytes(20)
    with pytest.raises(ProtocolError) as raised:
        Backend(kernel.control()).get("wg0")
    assert raised.value.message == os.strerror(errno.EINVAL)
    assert "malformed at byte 0" in raised.value.hint


def test_a_name_too_long_is_not_cut() -> None:
    with pytest.raises(AccessError) as raised:
        Backend(FreeBSDKernel("w" * 15).control()).get("w" * 16)
    assert raised.value.errno == errno.ENAMETOOLONG


def test_one_without_rights_sees_no_keys_and_changes_nothing() -> None:
    kernel = FreeBSDKernel("wg0", privileged=False)
    kernel.interface().set_private(bytes(A))
    backend = Backend(kernel.control())
    device = backend.get("wg0")
    assert device.private_key is None
    assert device.public_key is not None
    with pytest.raises(AccessError) as raised:
        backend.set("wg0", DeviceChange(listen_port=1))
    assert (raised.value.errno, kernel.interface().port) == (errno.EPERM, 0)
    assert "root" in raised.value.hint


def test_a_refused_value_says_that_what_stood_before_it_stays() -> None:
    kernel = FreeBSDKernel("wg0")
    kernel.faults.append(fault(errno.EINVAL))
    with pytest.raises(AccessError) as raised:
        Backend(kernel.control()).set("wg0", DeviceChange(listen_port=1))
    assert not isinstance(raised.value, NoSuchInterface)
    assert "in effect" in raised.value.hint


@pytest.mark.parametrize("more", [{}, {"private_key": ZERO}])
def test_a_wrong_value_never_reaches_the_kernel(more: dict[str, Key]) -> None:
    kernel = FreeBSDKernel("wg0")
    wrong = DeviceChange(peers=[PeerChange(A, allowed_ips=[AllowedIP(bytes(4), 33)])], **more)  # type: ignore[arg-type]  # a key
    with pytest.raises(ValueError, match="prefix length"):
        Backend(kernel.control()).set("wg0", wrong)
    assert (kernel.requests, kernel.log) == ([], [])


def test_a_zone_that_is_no_interface_is_refused_before_the_call() -> None:
    kernel = FreeBSDKernel("wg0")
    peer = PeerChange(A, endpoint=Endpoint("fe80::1%no-such-if", 1))
    with pytest.raises(NoSuchInterface):
        Backend(kernel.control()).set("wg0", DeviceChange(peers=[peer]))
    assert kernel.log == []


@BOTH
def test_removing_where_the_kernel_would_add(layout: Layout) -> None:
    """A kernel that does not know the flag (before FreeBSD 15)."""
    kernel = FreeBSDKernel("wg0", layout=layout)
    backend = Backend(kernel.control())
    backend.set("wg0", DeviceChange(peers=[PeerChange(A, allowed_ips=[TEN]), PeerChange(B)]))
    backend.set("wg0", DeviceChange(peers=[PeerChange(B, allowed_ips=[NOT_TEN])]))
    assert [len(peer.allowed_ips) for peer in backend.get("wg0").peers] == [1, 0]
    backend.set("wg0", DeviceChange(peers=[PeerChange(A, allowed_ips=[NOT_TEN])]))
    assert [len(peer.allowed_ips) for peer in backend.get("wg0").peers] == [0, 0]


def test_removing_where_the_kernel_can_takes_one_request() -> None:
    kernel = FreeBSDKernel("wg0", removes_networks=True)
    backend = Backend(kernel.control())
    backend.set("wg0", DeviceChange(peers=[PeerChange(A, allowed_ips=[TEN])]))
    backend.set("wg0", DeviceChange(peers=[PeerChange(A, allowed_ips=[NOT_TEN])]))
    assert len(kernel.requests) == 2
    assert backend.get("wg0").peers[0].allowed_ips == []


def test_an_allowed_ip_that_stays_whatever_is_done_is_an_error() -> None:
    kernel = FreeBSDKernel("wg0")
    kernel.interface().peers[bytes(A)] = peer = Peer(bytes(A))
    peer.networks = [(b"ipv4", TEN.address, TEN.length)]
    kernel.interface().canned, _ = kernel.get(kernel.interface(), 1 << 20)
    with pytest.raises(AccessError) as raised:
        Backend(kernel.control()).set(
            "wg0", DeviceChange(peers=[PeerChange(A, allowed_ips=[NOT_TEN])])
        )
    assert raised.value.errno == errno.EOPNOTSUPP


def test_nobody_is_left_with_a_key_that_everybody_knows() -> None:
    kernel = FreeBSDKernel("wg0")
    backend = Backend(kernel.control(), entropy=os.urandom)
    backend.set("wg0", DeviceChange(private_key=ZERO))
    assert kernel.interface().private is None
    backend.set("wg0", DeviceChange(private_key=A))
    backend.set("wg0", DeviceChange(private_key=ZERO))
    assert kernel.interface().private not in (None, bytes(32), bytes(Key.from_entropy(bytes(32))))
    assert backend.get("wg0").private_key is None
    assert backend.get("wg0").public_key is None


@BOTH
def test_listing(layout: Layout) -> None:
    kernel = FreeBSDKernel(layout=layout)
    backend = Backend(kernel.control())
    assert backend.list() == []  # nobody ever made one
    kernel.interfaces = {name: Interface() for name in ("wg0", "vpn", "sixteen-minus-1")}
    assert backend.list() == ["wg0", "vpn", "sixteen-minus-1"]
    kernel.interfaces = {"em0": None}
    assert backend.list() == []


def test_listing_while_somebody_joins() -> None:
    kernel = FreeBSDKernel("wg0", "wg1")
    kernel.faults.extend([None, fault(errno.EINVAL)])
    assert Backend(kernel.control()).list() == ["wg0", "wg1"]
    kernel.faults.extend([None, fault(errno.EINVAL)] * 100)
    with pytest.raises(AccessError):
        Backend(kernel.control()).list()


def test_a_listing_that_fails() -> None:
    for calls in ([fault(errno.EPERM)], [None, fault(errno.EFAULT)]):
        kernel = FreeBSDKernel("wg0")
        kernel.faults.extend(calls)
        with pytest.raises(AccessError):
            Backend(kernel.control()).list()


def test_an_interrupted_call_is_made_again() -> None:
    kernel = FreeBSDKernel("wg0")
    kernel.faults.extend([InterruptedError(errno.EINTR, "signal")] * 3)
    assert Backend(kernel.control()).exists("wg0")


def test_pinned_memory_is_where_it_says() -> None:
    """What the fake kernel cannot show: the address is one of this process."""
    import ctypes

    from wgtools_backends.bsd.control import Pinned

    memory = Pinned(b"hello")
    assert ctypes.string_at(memory.address, 5) == b"hello"
    ctypes.memmove(memory.address, b"HE", 2)
    assert memory.read(4) == b"HEll"
