# SPDX-License-Identifier: MIT
"""ControlServer over socket pairs, its clock in the test's hand."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Generator

import pytest

from wgtools.daemon import control
from wgtools.daemon.control import ControlServer
from wgtools.daemon.log import ERROR, Log
from wgtools.daemon.tun import TunGone
from wgtools.keys import Key
from wgtools.model import Device, DeviceChange, Peer


class FakeListener(socket.socket):
    """Hands out one end of a socket pair for every `connect`."""

    def __init__(self) -> None:
        self.bell, self.ring = socket.socketpair()
        super().__init__(fileno=self.bell.detach())
        self.waiting: list[socket.socket] = []

    def connect_one(self) -> socket.socket:
        here, there = socket.socketpair()
        here.setblocking(False)
        self.waiting.append(there)
        self.ring.send(b"!")
        return here

    def accept(self) -> tuple[socket.socket, object]:
        self.recv(1)
        return self.waiting.pop(0), ""


class Bench:
    """A server, its selector, and what it serves."""

    def __init__(self) -> None:
        self.time = 0.0
        self.peers: list[Peer] = []
        self.changes: list[DeviceChange] = []
        self.errno = 0
        self.lines: list[str] = []
        self.error: Exception | None = None
        self.listener = FakeListener()
        self.selector = selectors.DefaultSelector()
        self.server = ControlServer(
            self.listener,
            self.selector,
            self,
            log=Log("wg0", ERROR, write=lambda line: self.lines.append(line.decode())),
            mono=lambda: self.time,
        )

    def device(self) -> Device:
        if self.error is not None:
            raise self.error
        return Device("wg0", peers=self.peers)

    def apply(self, change: DeviceChange) -> int:
        self.changes.append(change)
        return self.errno

    def turn(self) -> int:
        """What one turn of the loop does; how many were ready."""
        ready = self.selector.select(0)
        for key, events in ready:
            key.data(events)
        return len(ready)

    def settle(self) -> None:
        while self.turn():
            pass

    def connect(self, *texts: bytes) -> socket.socket:
        here = self.listener.connect_one()
        self.settle()
        for text in texts:
            here.sendall(text)
            self.settle()
        return here

    def close(self) -> None:
        self.server.close()
        self.selector.close()
        self.listener.close()
        self.listener.ring.close()


@pytest.fixture
def bench() -> Generator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False


def test_get(bench: Bench) -> None:
    with bench.connect(b"get=1\n\n") as client:
        assert client.recv(100) == b"errno=0\n\n"


def test_set(bench: Bench) -> None:
    with bench.connect(b"set=1\nlisten_port=7\n\n") as client:
        assert client.recv(100) == b"errno=0\n\n"
    assert bench.changes == [DeviceChange(listen_port=7)]


def test_refusal_of_the_device_is_sent_negative(bench: Bench) -> None:
    bench.errno = 98
    with bench.connect(b"set=1\nlisten_port=7\n\n") as client:
        assert client.recv(100) == b"errno=-98\n\n"


def test_connection_lives_for_several_requests_even_in_one_piece(bench: Bench) -> None:
    with bench.connect(b"get=1\n\nset=1\nno_such=1\n\nget=1\n\n", b"get=1\n\n") as client:
        assert client.recv(100) == b"errno=0\n\nerrno=-22\n\nerrno=0\n\nerrno=0\n\n"
        assert not is_closed(client)
    assert bench.changes == []


def test_request_in_pieces(bench: Bench) -> None:
    with bench.connect(b"ge", b"t=1", b"\n", b"\n") as client:
        assert client.recv(100) == b"errno=0\n\n"


def test_unknown_operation_closes(bench: Bench) -> None:
    with bench.connect(b"frobnicate=1\n\n") as client:
        assert is_closed(client)


def test_client_that_has_said_all_still_gets_its_answer(bench: Bench) -> None:
    with bench.listener.connect_one() as client:
        client.sendall(b"get=1\n\n")
        client.shutdown(socket.SHUT_WR)
        bench.settle()
        assert client.recv(100) == b"errno=0\n\n"
        assert is_closed(client)


def test_client_gone_in_the_middle_harms_nobody(bench: Bench) -> None:
    bench.connect(b"set=1\nlisten_port=7\n").close()
    bench.connect(b"get=1\n\n").close()
    bench.settle()
    with bench.connect(b"get=1\n\n") as client:
        assert client.recv(100) == b"errno=0\n\n"
    assert bench.changes == []


def test_clients_do_not_wait_for_each_other(bench: Bench) -> None:
    with bench.connect(b"set=1\n") as slow, bench.connect(b"get=1\n\n") as quick:
        assert quick.recv(100) == b"errno=0\n\n"
        slow.sendall(b"\n")
        bench.settle()
        assert slow.recv(100) == b"errno=0\n\n"


def test_large_reply_is_written_as_it_is_read_in_bounded_turns(bench: Bench) -> None:
    bench.peers = [Peer(Key(n.to_bytes(32, "big"))) for n in range(20_000)]
    reply = bytearray()
    with bench.connect(b"get=1\n\n") as client:
        assert bench.turn() == 0  # nothing to do until somebody reads
        while not reply.endswith(b"errno=0\n\n"):
            piece = client.recv(1 << 20)
            assert len(piece) < 1 << 20
            reply += piece
            bench.turn()
    assert reply.count(b"public_key=") == 20_000


def test_no_more_is_read_from_a_client_that_does_not_read(bench: Bench) -> None:
    bench.peers = [Peer(Key(n.to_bytes(32, "big"))) for n in range(5_000)]
    with bench.connect(b"get=1\n\n") as client:
        client.sendall(b"set=1\n\n")
        bench.settle()
        assert bench.changes == []


def test_stalled_client_is_dropped(bench: Bench) -> None:
    with bench.connect(b"set=1\nlisten") as client:
        assert bench.server.next_deadline() == control.STALL
        bench.server.expire(control.STALL - 0.1)
        assert not is_closed(client)
        bench.server.expire(control.STALL)
        assert is_closed(client)
    assert bench.server.next_deadline() is None


def test_client_that_trickles_is_dropped(bench: Bench) -> None:
    with bench.connect(b"set=1\n") as client:
        while bench.time + control.STALL - 1 < control.WHOLE:
            bench.time += control.STALL - 1
            client.send(b"fwmark=1\n")
            bench.settle()
        assert bench.server.next_deadline() == control.WHOLE
        bench.server.expire(control.WHOLE)
        assert is_closed(client)
    assert bench.changes == []


def test_client_that_goes_on_from_request_to_request_is_not_trickling(bench: Bench) -> None:
    with bench.connect(b"get=1\n") as client:
        for _ in range(20):
            bench.time += control.STALL - 1
            client.send(b"\nget=1\n")  # never a moment between two
            bench.settle()
        assert bench.time > 2 * control.WHOLE
        bench.server.expire(bench.time)
        assert not is_closed(client)


def test_client_that_does_not_read_its_reply_is_dropped(bench: Bench) -> None:
    bench.peers = [Peer(Key(n.to_bytes(32, "big"))) for n in range(5_000)]
    with bench.connect(b"get=1\n\n"):
        bench.server.expire(control.STALL)
        assert bench.server.next_deadline() is None


def test_idle_client_is_dropped_later(bench: Bench) -> None:
    with bench.connect(b"get=1\n\n") as client:
        client.recv(100)
        bench.server.expire(control.STALL)
        assert not is_closed(client)
        bench.server.expire(control.IDLE)
        assert is_closed(client)


def test_clients_over_the_limit_wait_their_turn(bench: Bench) -> None:
    clients = [bench.connect() for _ in range(control.MAX_CLIENTS)]
    late = bench.connect(b"get=1\n\n")
    assert not is_closed(late)
    clients.pop().close()
    bench.settle()
    assert late.recv(100) == b"errno=0\n\n"
    for client in (*clients, late):
        client.close()


def test_error_of_our_own_ends_one_client_and_nothing_else(bench: Bench) -> None:
    bench.error = OverflowError("a secret")
    with bench.connect(b"get=1\n\n") as client:
        assert client.recv(100) == b"errno=-5\n\n"
        assert is_closed(client)
    (line,) = bench.lines
    assert "OverflowError in test_control.py:" in line
    assert "secret" not in line
    bench.error = None
    with bench.connect(b"get=1\n\n") as client:
        assert client.recv(100) == b"errno=0\n\n"


def test_vanished_interface_is_not_an_error_of_our_own(bench: Bench) -> None:
    bench.error = TunGone()
    with bench.listener.connect_one() as client:
        client.sendall(b"get=1\n\n")
        with pytest.raises(TunGone):
            bench.settle()


def test_endless_request_is_answered_and_dropped(bench: Bench) -> None:
    with bench.connect(b"set=1\n" + b"x" * 2000) as client:
        assert client.recv(100) == b"errno=-71\n\n"
        assert is_closed(client)
