# SPDX-License-Identifier: MIT
"""Fuzz targets: text from clients, from daemons and from files.

The promise: an answer or a WgError, the same however the text was cut, and what was
accepted once is accepted again when it is written out.
"""

from __future__ import annotations

import contextlib
import selectors
import socket

from tests.fuzz.dice import Dice
from wgtools.conf import arguments, edit, hints, redact, values, wgconf, writer
from wgtools.conf.document import Document
from wgtools.conf.quickfile import QuickFile
from wgtools.daemon.control import ControlServer, _Client
from wgtools.daemon.log import DEBUG, Log
from wgtools.engine.device import Engine
from wgtools.engine.events import Now
from wgtools.errors import EngineError, WgError
from wgtools.keys import Key
from wgtools.model import Device, DeviceChange, Endpoint, HostPort
from wgtools.testing.entropy import FakeEntropy
from wgtools.uapi.client import GetReply, SetReply
from wgtools.uapi.server import Request, RequestReader, get_reply

_NOW = Now(1000.0, 10**18)


def _numbered(wanted: HostPort) -> Endpoint:
    """What a resolver makes of `fe80::1%9`."""
    return Endpoint(wanted.host.decode(), int(wanted.port))


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def uapi_server(data: bytes) -> None:
    """Requests to a daemon, in pieces of any size, applied to an engine and shown again."""
    dice = Dice(data)
    size = 1 + dice.below(64)
    text = data[1:]
    whole, pieces = _requests([text]), _requests(_cut(text, size))
    assert [_summary(one) for one in whole] == [_summary(one) for one in pieces]
    engine = Engine(FakeEntropy(1))
    for request in whole:
        if request.change is None:
            continue
        try:
            engine.configure(request.change, _NOW)
        except EngineError:
            continue  # e.g. the name of an interface for a zone: the shell makes it a number
        reply = GetReply("", public_key=lambda raw: raw, resolve=_numbered)
        for piece in get_reply(engine.snapshot()):
            reply.feed(piece)
        assert reply.status == 0
        assert reply.device.peers == engine.snapshot().peers


def _requests(pieces: list[bytes]) -> list[Request]:
    reader, found = RequestReader(max_request=1 << 16), []
    for piece in pieces:
        found += reader.feed(piece)
        if found and found[-1].last:
            break
    return found


def _summary(request: Request) -> object:
    return request.change, request.errno, request.reason, request.last


class _Served:
    """A device that takes what it is given."""

    def device(self) -> Device:
        return Device("wg0")

    def apply(self, change: DeviceChange) -> int:
        return len(change.peers) % 3


def control(data: bytes) -> None:
    """A client of the control socket that says anything, reads or not, and goes away."""
    dice = Dice(data)
    said: list[bytes] = []
    log = Log("wg0", DEBUG, write=said.append, clock=lambda: 0.0)
    with selectors.DefaultSelector() as selector:
        listener, unused = socket.socketpair()
        ours, theirs = socket.socketpair()
        mono = 0.0
        server = ControlServer(listener, selector, _Served(), log=log, mono=lambda: mono)
        ours.setblocking(False)
        theirs.setblocking(False)
        client = _Client(server, ours)
        server._clients.add(client)
        selector.register(ours, selectors.EVENT_READ, client.ready)
        while dice.more and client in server._clients:
            try:
                theirs.send(dice.take(1 + dice.below(200)))
                if dice.below(2):
                    theirs.recv(1 << 16)
            except OSError:
                break
            for key, events in selector.select(0):
                if key.fileobj is ours:
                    key.data(events)
            mono += dice.below(20)
            deadline = server.next_deadline()
            if deadline is not None and deadline <= mono:
                server.expire(mono)
        theirs.close()
        unused.close()
        for key, events in selector.select(0):
            if key.fileobj is ours:
                key.data(events)
        server.close()
        ours.close()
        listener.close()
    assert not any(b"error of our own" in line for line in said), said


def uapi_client(data: bytes) -> None:
    """Replies of a daemon, to `get` and to `set`."""
    dice = Dice(data)
    size = 1 + dice.below(64)
    text = data[1:]
    (status, device), (same, same_device) = _reply([text]), _reply(_cut(text, size))
    assert status == same
    if status == 0:
        assert device == same_device
    answer = SetReply()
    for piece in (*_cut(text, size), b""):
        if answer.feed(piece):
            break
    assert isinstance(answer.status, int)


def _reply(pieces: list[bytes]) -> tuple[int, Device]:
    def resolve(wanted: HostPort) -> Endpoint | None:
        return Endpoint("::1", 1) if wanted.host == b"name" else None

    reply = GetReply("wg0", public_key=lambda raw: raw, resolve=resolve)
    for piece in (*(piece for piece in pieces if piece), b""):
        if reply.feed(piece):
            break
    return reply.status, reply.device


def configuration(data: bytes) -> None:
    """Files of `wg` and of `wg-quick`: read, checked, edited, written, read again."""
    document = Document(data, "f")
    try:
        change = wgconf.parse(document)
    except WgError:
        hints.hint(data)
    else:
        for peer in change.peers:  # names are for others to resolve
            if isinstance(peer.endpoint, HostPort) or (peer.endpoint and "%" in peer.endpoint.host):
                peer.endpoint = None
        engine = Engine(FakeEntropy(1))
        engine.configure(change, _NOW)
        device = engine.snapshot()
        again = Engine(FakeEntropy(2))
        again.configure(wgconf.parse(Document(writer.write(device).encode(), "g")), _NOW)
        assert again.snapshot() == device
    redact.without_keys(data.decode("utf-8", "replace"))
    try:
        quick = QuickFile(document)
        wgconf.parse(quick.wg_document())
    except WgError:
        return
    quick.stripped()
    edited = edit.edited(document, Device("f"), addresses=["10.0.0.1/24"], dns=[], mtu=1420)
    QuickFile(Document(edited, "f"))


def schema(data: bytes) -> None:
    """The pydantic models: from text, to text, and the same again."""
    data = data.replace(b"\0", b"")  # what follows one is not read by `wg`
    from pydantic import ValidationError

    from wgtools.conf.schema import WgQuickFile

    try:
        file = WgQuickFile.from_text(data.decode("utf-8", "surrogateescape"))
    except (WgError, ValidationError):
        return
    assert WgQuickFile.from_text(file.to_text()) == file


def words(data: bytes) -> None:
    """The words of `wg set`."""

    def read_key(path: bytes) -> Key:
        return values.key_file(path, may_be_empty=True)

    with contextlib.suppress(WgError):
        arguments.parse(data.split(b"\0"), read_key=read_key)
