# SPDX-License-Identifier: MIT
"""Loop and Interface round a MemoryTun, with an engine that writes down what it is told."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections import Counter
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from wgtools.daemon.interface import Interface
from wgtools.daemon.listener import Listener, open_listener
from wgtools.daemon.log import DEBUG, Log
from wgtools.daemon.loop import Loop
from wgtools.daemon.udp import UDPSockets
from wgtools.engine.device import Engine
from wgtools.engine.events import (
    Buffer,
    Drop,
    EndpointMoved,
    HandshakeCompleted,
    Now,
    Outgoing,
)
from wgtools.errors import AccessError, EngineError
from wgtools.keys import Key
from wgtools.model import Device, DeviceChange, Endpoint, Peer, PeerChange
from wgtools.testing.memory_tun import MemoryTun
from wgtools.uapi.server import get_reply

PEER = Key(bytes(range(32)))
FAR = 1e9  # there is always a deadline, so that no turn waits
FRAME = bytes(10) + b"\x45" + bytes(39)


class FakeClock:
    """Stands until moved; waits for nothing."""

    def __init__(self) -> None:
        self.mono = 1000.0

    def now(self) -> Now:
        return Now(self.mono, 0)

    def seconds_until(self, _mono: float) -> float:
        return 0.0


class FakeEngine:
    """Notes every call; gives out what the test has put in `next_out`."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.counters: Counter[Drop] = Counter()
        self.refuses = False
        self.deadline = FAR
        self.next_out = Outgoing()
        self.peers: list[Peer] = []

    def configure(self, change: DeviceChange, _now: Now) -> None:
        if self.refuses:
            raise EngineError("no")
        self.calls.append(("configure", change))

    def snapshot(self, name: str = "") -> Device:
        return Device(name, peers=self.peers)

    def set_mtu(self, mtu: int) -> None:
        self.calls.append(("mtu", mtu))

    def bring_up(self, _now: Now) -> None:
        self.calls.append(("up",))

    def bring_down(self, _now: Now) -> None:
        self.calls.append(("down",))

    def frame_received(self, frame: memoryview, _now: Now) -> None:
        self.calls.append(("frame", bytes(frame)))

    def datagrams_received(
        self, data: memoryview, size: int, address: object, _sticky: object, _now: Now
    ) -> None:
        self.calls.append(("datagrams", bytes(data), size, address))

    def timer_due(self, now: Now) -> None:
        self.calls.append(("timer", now.mono))
        self.deadline = FAR

    def next_deadline(self) -> float | None:
        return self.deadline

    def outgoing(self) -> Outgoing:
        out, self.next_out = self.next_out, Outgoing()
        return out


class FakeUDP:
    """A pair of sockets that is one end of a socket pair."""

    def __init__(self, port: int, fwmark: int) -> None:
        self.port = port or 40000
        self.fwmark = fwmark
        self.sock, self.peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sockets = [self.sock]
        self.sent: list[object] = []
        self.merged: list[tuple[bytes, int, Any]] = []
        self.troubles: Counter[str] = Counter()
        self.has_ipv6 = self.has_gro = self.has_gso = True
        self.can_mark = True
        self.is_closed = False
        self.forgotten = 0
        self.tun_index = 0

    def receive(self, sock: socket.socket, buffer: memoryview) -> object:
        if self.merged:
            data, size, address = self.merged.pop(0)
            buffer[: len(data)] = data
            return len(data), size, address, None
        try:
            length = sock.recv_into(buffer)
        except BlockingIOError:
            return None
        return length, length, ("192.0.2.2", 7), None

    def send(self, batch: list[object]) -> None:
        self.sent += batch

    def set_fwmark(self, fwmark: int) -> None:
        self.fwmark = fwmark

    def forget_sources(self) -> None:
        self.forgotten += 1

    def close(self) -> None:
        self.is_closed = True
        self.sock.close()
        self.peer.close()


class Bench:
    """A whole daemon but for the process."""

    def __init__(self, directory: Path, *, up: bool = True) -> None:
        self.lines: list[str] = []
        log = Log("wg0", DEBUG, write=lambda line: self.lines.append(line.decode()))
        self.clock = FakeClock()
        self.tun = MemoryTun(up=up)
        self.engine = FakeEngine()
        self.opened: list[FakeUDP] = []
        self.open_error = 0
        self.can_mark = True
        self.listener = open_listener("wg0", directory=str(directory))
        self.interface = Interface(
            self.tun,
            cast(Engine, self.engine),
            clock=self.clock,
            log=log,
            open_udp=cast(type[UDPSockets], self.open_udp),
        )
        self.slept: list[float] = []
        self.loop = Loop(
            self.interface, self.listener, clock=self.clock, log=log, sleep=self.slept.append
        )
        self.interface.refresh()

    def open_udp(self, port: int = 0, *, fwmark: int = 0) -> FakeUDP:
        if self.open_error:
            raise OSError(self.open_error, os.strerror(self.open_error))
        self.opened.append(FakeUDP(port, fwmark))
        self.opened[-1].can_mark = self.can_mark
        return self.opened[-1]

    @property
    def udp(self) -> FakeUDP:
        assert self.interface.udp is not None
        return cast(FakeUDP, self.interface.udp)

    def turn(self) -> None:
        self.loop._turn()

    def named(self, name: str) -> list[Any]:
        return [call for call in self.engine.calls if call[0] == name]

    def close(self) -> None:
        if self.loop._stop is None:
            self.loop.stop("end of test")
            self.loop.run()
        self.listener.close()
        self.tun.close()
        for udp in self.opened:
            udp.close()


@pytest.fixture
def bench(tmp_path: Path) -> Generator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def down(tmp_path: Path) -> Generator[Bench]:
    bench = Bench(tmp_path, up=False)
    yield bench
    bench.close()


# ------------------------------------------------------------------ packets


def test_frame_goes_in_with_room_behind_it(bench: Bench) -> None:
    bench.tun.inject(FRAME)
    bench.turn()
    ((_, frame),) = bench.named("frame")
    assert frame[:-16] == FRAME


def test_datagram_goes_in(bench: Bench) -> None:
    bench.udp.peer.send(b"hello")
    bench.turn()
    assert bench.named("datagrams") == [("datagrams", b"hello", 5, ("192.0.2.2", 7))]


def test_equal_datagrams_of_one_sender_go_in_together(bench: Bench) -> None:
    a, b = ("192.0.2.2", 7), ("192.0.2.3", 7)
    sent: list[tuple[bytes, int, Any]] = [
        (b"A" * 100, 100, a),
        (b"B" * 300, 100, a),  # three that GRO has merged
        (b"C" * 40, 40, a),  # shorter: the last of its kind
        (b"D" * 100, 100, a),
        (b"E" * 100, 100, b),
        (b"F" * 80, 40, b),  # shorter in sum than one before, but two
        (b"", 0, b),
        (b"", 0, b),
        (b"G" * 120, 120, b),
        (b"H" * 30, 30, b),
        (b"I" * 120, 120, b),
    ]
    bench.udp.merged = sent
    bench.udp.peer.send(b"")
    bench.turn()
    assert [call[1:] for call in bench.named("datagrams")] == [
        (b"A" * 100 + b"B" * 300 + b"C" * 40, 100, a),
        (b"D" * 100, 100, a),
        (b"E" * 100, 100, b),
        (b"F" * 80, 40, b),
        (b"G" * 120 + b"H" * 30, 120, b),
        (b"I" * 120, 120, b),
    ]


def test_no_more_than_gro_would_is_put_together(bench: Bench) -> None:
    bench.udp.merged = [(b"x" * 1400, 1400, ("192.0.2.2", 7)) for _ in range(60)]
    bench.udp.peer.send(b"")
    bench.turn()
    assert [len(call[1]) for call in bench.named("datagrams")] == [46 * 1400, 14 * 1400]


def test_what_comes_out_is_sent_and_written(bench: Bench) -> None:
    datagram = (("192.0.2.2", 7), None, memoryview(b"x"), 1)
    bench.engine.next_out = Outgoing([datagram], [[FRAME[:10], FRAME[10:]]], [])
    bench.turn()
    assert bench.udp.sent == [datagram]
    assert bench.tun.written == [FRAME]


def test_one_source_cannot_starve_the_others(bench: Bench) -> None:
    for _ in range(1000):
        bench.tun.inject(FRAME)
    bench.udp.peer.send(b"hello")
    bench.turn()
    assert len(bench.named("frame")) == 64
    assert len(bench.named("datagrams")) == 1


def test_what_a_host_answers_at_once_leaves_in_the_same_turn(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ping is answered before the system returns from being told."""
    write = bench.tun.write

    def answering(frame: Sequence[Buffer]) -> bool:
        bench.tun.inject(FRAME)
        return write(frame)

    monkeypatch.setattr(bench.tun, "write", answering)
    bench.engine.next_out = Outgoing(frames=[[FRAME]])
    bench.turn()
    assert bench.tun.written == [FRAME]
    assert bench.named("frame") == [("frame", FRAME + bytes(16))]


def test_large_frames_end_a_share_sooner(bench: Bench) -> None:
    for _ in range(64):
        bench.tun.inject(FRAME + bytes(60_000))
    bench.turn()
    assert len(bench.named("frame")) == 5


def test_timer(bench: Bench) -> None:
    bench.engine.deadline = 1001.0
    bench.turn()
    assert bench.named("timer") == []
    bench.clock.mono = 1001.0
    bench.turn()
    assert bench.named("timer") == [("timer", 1001.0)]


def test_events_are_told(bench: Bench) -> None:
    moved = EndpointMoved(PEER, None, ("2001:db8::2", 7, 0, 0))
    bench.engine.next_out = Outgoing([], [], [HandshakeCompleted(PEER, initiator=True), moved])
    bench.turn()
    assert bench.lines[-2].endswith("peer(AAEC…dHh8) - Handshake completed, we asked\n")
    assert bench.lines[-1].endswith("peer(AAEC…dHh8) - Endpoint is now [2001:db8::2]:7\n")


def test_peer_that_moves_all_the_time_is_told_of_now_and_then(bench: Bench) -> None:
    def told() -> list[str]:
        return [line for line in bench.lines if "Endpoint is now" in line]

    for n in range(100):
        moved = EndpointMoved(PEER, None, ("192.0.2.2", 1000 + n))
        bench.engine.next_out = Outgoing([], [], [moved])
        bench.turn()
    assert len(told()) == 1
    bench.clock.mono += 10
    bench.engine.next_out = Outgoing([], [], [EndpointMoved(PEER, None, ("192.0.2.2", 7))])
    bench.turn()
    assert told()[1].endswith("Endpoint is now 192.0.2.2:7, after 99 moves not told\n")


def test_counters_are_told_when_they_changed_and_not_often(bench: Bench) -> None:
    def told() -> int:
        return sum("bad_mac1" in line for line in bench.lines)

    bench.turn()
    bench.engine.counters[Drop.BAD_MAC1] += 1
    bench.turn()
    assert told() == 0
    for _ in range(3):
        bench.clock.mono += 60
        bench.turn()
    assert told() == 1


def test_frame_that_the_tun_refuses_is_counted(bench: Bench) -> None:
    bench.engine.next_out = Outgoing([], [[bytes(10), b"\x95"]], [])
    bench.turn()
    bench.clock.mono += 60
    bench.turn()
    assert "refused by the TUN 1" in bench.lines[-1]


# ------------------------------------------------------------------ the link


def test_sockets_are_open_while_the_interface_is_up(down: Bench) -> None:
    assert down.interface.udp is None
    down.tun.set_link(up=True)
    down.turn()
    udp = down.udp
    assert down.named("up")
    down.tun.set_link(up=False)
    down.turn()
    assert down.named("down")
    assert udp.is_closed
    assert down.interface.udp is None


def test_down_and_up_before_anyone_looks_ends_sessions_all_the_same(bench: Bench) -> None:
    bench.turn()
    udp = bench.udp
    bench.tun.set_link(up=False)
    bench.tun.set_link(up=True)
    bench.turn()
    assert [call[0] for call in bench.engine.calls][-2:] == ["down", "up"]
    assert udp.is_closed
    assert bench.udp is not udp
    bench.tun.change_routes()
    bench.turn()
    assert len(bench.named("down")) == 1


def test_troubles_of_sockets_outlive_them(bench: Bench) -> None:
    bench.udp.troubles["ENOBUFS"] = 2
    bench.tun.set_link(up=False)
    bench.turn()
    bench.engine.next_out = Outgoing(datagrams=[(("192.0.2.2", 7), None, memoryview(b"x"), 1)])
    bench.tun.set_link(up=True)
    bench.interface.close()
    bench.loop._flush()
    bench.turn()
    bench.udp.troubles["ENOBUFS"] = 1
    assert bench.interface.troubles() == {"ENOBUFS": 3}
    bench.loop._report()
    assert "ENOBUFS 3, no socket to send from 1" in bench.lines[-1]


def test_mtu_is_followed(bench: Bench) -> None:
    bench.tun.set_link(mtu=1280)
    bench.turn()
    assert bench.named("mtu") == [("mtu", 1420), ("mtu", 1280)]


def test_sockets_know_the_tunnel_that_they_carry(down: Bench) -> None:
    down.tun.set_link(up=True, index=9)
    down.turn()
    assert down.udp.tun_index == 9
    assert down.interface.apply(DeviceChange(listen_port=7)) == 0
    assert down.udp.tun_index == 9
    down.tun.set_link(index=0)
    down.turn()
    assert down.udp.tun_index == 0


def test_changed_routes_forget_sources(bench: Bench) -> None:
    bench.tun.change_routes()
    bench.turn()
    assert bench.udp.forgotten == 1


def test_port_taken_when_the_interface_comes_up_is_tried_again(down: Bench) -> None:
    down.open_error = errno.EADDRINUSE
    down.tun.set_link(up=True)
    down.turn()
    assert down.interface.udp is None
    assert "Address already in use" in "".join(down.lines)
    down.open_error = 0
    down.turn()
    assert down.interface.udp is None
    down.clock.mono += 5
    down.turn()
    assert down.udp.port == 40000


def test_a23_without_privilege_there_is_no_mark_and_it_says_so_once(down: Bench) -> None:
    down.can_mark = False
    for _ in range(2):
        for up in (True, False):
            down.tun.set_link(up=up)
            down.turn()
    assert sum("No privilege to set a fwmark" in line for line in down.lines) == 1


def test_error_of_our_own_costs_a_turn_of_one_source(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_words: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(bench.engine, "datagrams_received", broken)
    monkeypatch.setattr(bench.engine, "timer_due", broken)
    bench.engine.deadline = bench.clock.mono
    bench.udp.peer.send(b"poison")
    bench.tun.inject(FRAME)
    out = Outgoing([], [[FRAME[:10], FRAME[10:]]], [])
    bench.engine.next_out = out
    bench.turn()
    assert len(bench.named("frame")) == 1
    assert bench.tun.written == [FRAME]
    lines = [line for line in bench.lines if "An error of our own" in line]
    assert len(lines) == 2
    assert "ZeroDivisionError in test_loop.py:" in lines[0]
    assert "secret" not in "".join(lines)


def test_error_in_every_turn_does_not_take_the_whole_processor(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_buffer: memoryview) -> int:
        raise OSError(errno.ENOMEM, "again and again")

    monkeypatch.setattr(bench.tun, "read_into", broken)
    bench.tun.inject(FRAME)
    for _ in range(640):
        bench.turn()
    assert bench.slept == [0.1] * 10


def test_refresh_that_fails_can_be_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise OSError(errno.ENOBUFS, "not now")

    with monkeypatch.context() as patch:
        patch.setattr(bench.interface, "refresh", broken)
        bench.tun.set_link(mtu=1300)
        bench.turn()
    bench.tun.set_link(mtu=1280)
    bench.turn()
    assert bench.named("mtu")[-1] == ("mtu", 1280)


def test_p21_a22_vanished_tun_is_an_orderly_exit(bench: Bench) -> None:
    bench.tun.delete()
    assert bench.loop.run() == "the interface is gone"


def test_a22_removed_control_socket_is_an_orderly_exit(bench: Bench) -> None:
    os.unlink(bench.listener.path)
    assert bench.loop.run() == "the control socket was removed"


def test_signal_is_an_orderly_exit(bench: Bench) -> None:
    read, write = os.pipe()
    bench.loop.stop_when_readable(read, "told to by a signal")
    os.write(write, b"!")
    assert bench.loop.run() == "told to by a signal"
    os.close(read)
    os.close(write)


# ------------------------------------------------------------------ settings


def test_actual_port_is_reported(bench: Bench) -> None:
    assert bench.interface.device().listen_port == 40000


def test_new_port_opens_new_sockets_and_keeps_the_mark(bench: Bench) -> None:
    assert bench.interface.apply(DeviceChange(fwmark=3)) == 0
    old = bench.udp
    assert bench.interface.apply(DeviceChange(listen_port=7)) == 0
    assert (bench.udp.port, bench.udp.fwmark) == (7, 3)
    assert old.is_closed
    device = bench.interface.device()
    assert (device.listen_port, device.fwmark) == (7, 3)


def test_same_port_keeps_its_sockets(bench: Bench) -> None:
    old = bench.udp
    assert bench.interface.apply(DeviceChange(listen_port=40000)) == 0
    assert bench.udp is old


def test_port_in_use_is_refused_and_the_old_state_kept(bench: Bench) -> None:
    old = bench.udp
    bench.open_error = errno.EADDRINUSE
    change = DeviceChange(listen_port=7, peers=[PeerChange(PEER)])
    assert bench.interface.apply(change) == errno.EADDRINUSE
    assert bench.udp is old
    assert not old.is_closed
    assert bench.named("configure") == []


def test_port_in_use_is_refused_even_while_down(down: Bench) -> None:
    down.open_error = errno.EADDRINUSE
    assert down.interface.apply(DeviceChange(listen_port=7)) == errno.EADDRINUSE
    down.open_error = 0
    assert down.interface.apply(DeviceChange(listen_port=7)) == 0
    assert down.interface.udp is None
    assert down.opened[-1].is_closed
    assert down.interface.device().listen_port == 7


def test_refusal_of_the_engine_undoes_the_rest(bench: Bench) -> None:
    old = bench.udp
    bench.engine.refuses = True
    assert bench.interface.apply(DeviceChange(listen_port=7)) == errno.EINVAL
    assert bench.udp is old
    assert bench.opened[-1].is_closed
    assert bench.interface.apply(DeviceChange(fwmark=7)) == errno.EINVAL
    assert old.fwmark == 0
    assert bench.interface.device().fwmark == 0


def test_zones_are_numbers_inside_and_names_outside(bench: Bench) -> None:
    lo = socket.if_nametoindex("lo")
    change = DeviceChange(peers=[PeerChange(PEER, endpoint=Endpoint("fe80::1%lo", 7))])
    assert bench.interface.apply(change) == 0
    ((_, applied),) = bench.named("configure")
    assert applied.peers[0].endpoint == Endpoint(f"fe80::1%{lo}", 7)
    bench.engine.peers = [Peer(PEER, endpoint=Endpoint(f"fe80::1%{lo}", 7))]
    assert bench.interface.device().peers[0].endpoint == Endpoint("fe80::1%lo", 7)


def test_zone_that_is_no_interface_is_refused(bench: Bench) -> None:
    change = DeviceChange(peers=[PeerChange(PEER, endpoint=Endpoint("fe80::1%nosuch", 7))])
    assert bench.interface.apply(change) == errno.ENODEV
    assert bench.named("configure") == []


def test_zone_that_can_be_none_is_refused(bench: Bench) -> None:
    change = DeviceChange(peers=[PeerChange(PEER, endpoint=Endpoint("fe80::1%a\0b", 7))])
    assert bench.interface.apply(change) == errno.ENODEV


def test_change_stays_what_it_was(bench: Bench) -> None:
    change = DeviceChange(peers=[PeerChange(PEER, endpoint=Endpoint("fe80::1%lo", 7))])
    assert bench.interface.apply(change) == 0
    assert change.peers[0].endpoint == Endpoint("fe80::1%lo", 7)


@pytest.mark.parametrize("name", ["wé0", "wg\udcff", "wg\x1b[31m", "w%g", "5"])
def test_zone_whose_name_the_protocol_cannot_say_is_a_number(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Linux takes nearly any bytes for a name; a peer there must not spoil every reply."""
    monkeypatch.setattr(socket, "if_indextoname", lambda _: name)
    odd = Endpoint("fe80::1%3", 7)
    bench.engine.peers = [Peer(PEER, endpoint=odd)]
    device = bench.interface.device()
    assert device.peers[0].endpoint == odd
    assert b"endpoint=[fe80::1%3]:7\n" in b"".join(get_reply(device))


def test_zone_too_large_for_the_system_is_shown_as_it_is(bench: Bench) -> None:
    odd = Endpoint("fe80::1%99999999999999999999", 7)
    bench.engine.peers = [Peer(PEER, endpoint=odd)]
    assert bench.interface.device().peers[0].endpoint == odd


# ------------------------------------------------------------------ the control socket


def test_p23_control_socket_is_private_and_its_directory_not_given_away(tmp_path: Path) -> None:
    directory = tmp_path / "wireguard"
    listener = open_listener("wg0", directory=str(directory))
    assert directory.stat().st_mode & 0o777 == 0o700
    assert directory.stat().st_uid == os.geteuid()
    assert (directory / "wg0.sock").stat().st_mode & 0o777 == 0o600
    listener.close()
    assert not (directory / "wg0.sock").exists()


def test_reader_of_the_directory_cannot_hold_us_up(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    reader = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(reader, fcntl.LOCK_EX)  # which any user may do there
    open_listener("wg0", directory=str(tmp_path), patience=0.0).close()
    assert (tmp_path / ".lock").stat().st_mode & 0o777 == 0o600
    os.close(reader)


def test_lock_that_is_held_is_waited_for_no_longer_than_told(tmp_path: Path) -> None:
    lock = os.open(tmp_path / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(AccessError, match="Another daemon that is starting"):
        open_listener("wg0", directory=str(tmp_path), patience=0.0)
    os.close(lock)
    open_listener("wg0", directory=str(tmp_path), patience=0.0).close()


def test_lock_is_not_looked_for_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AccessError):
        open_listener("wg0", directory=str(tmp_path))
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770])
def test_directory_that_others_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(AccessError, match="written to by others") as caught:
        open_listener("wg0", directory=str(tmp_path))
    assert "chmod go-w" in caught.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, -1)
    with pytest.raises(AccessError, match="another user"):
        open_listener("wg0", directory=str(tmp_path))


def test_second_daemon_of_a_name_is_refused(tmp_path: Path) -> None:
    first = open_listener("wg0", directory=str(tmp_path))
    with pytest.raises(AccessError, match="already has a WireGuard daemon"):
        open_listener("wg0", directory=str(tmp_path))
    assert not first.is_gone()
    first.close()


def leave_stale(tmp_path: Path) -> str:
    path = str(tmp_path / "wg0.sock")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    return path


def test_stale_socket_is_replaced(tmp_path: Path) -> None:
    leave_stale(tmp_path)
    open_listener("wg0", directory=str(tmp_path)).close()


def test_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "wg0.sock"
    path.write_text("mine")
    with pytest.raises(AccessError):
        open_listener("wg0", directory=str(tmp_path))
    assert path.read_text() == "mine"


def test_socket_of_a_successor_is_not_removed(tmp_path: Path) -> None:
    first = open_listener("wg0", directory=str(tmp_path))
    os.unlink(first.path)
    second: Listener = open_listener("wg0", directory=str(tmp_path))
    assert first.is_gone()
    first.close()
    assert os.path.exists(second.path)
    second.close()
