# SPDX-License-Identifier: MIT
"""Many peers that call one daemon at once, as fast as it answers.

    python callers.py SERVER_PUBLIC_KEY ADDRESS PORT COUNT

run on the calling host, prints seconds and how many were answered.  Messages are made
before the clock starts; answers are counted, not read.  A source has one call under way,
and honours cookies: so it stays below what an engine allows to one source.
"""

from __future__ import annotations

import hashlib
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from wgtools.crypto.x25519 import public_key
from wgtools.engine.cookie import CookieJar
from wgtools.engine.messages import TYPE_COOKIE_REPLY, TYPE_RESPONSE
from wgtools.engine.noise import Handshake, Identity
from wgtools.keys import Key

__all__ = ["NETWORK", "config", "private_key"]

NETWORK = "10.99"  # the callers' addresses are NETWORK.0.1 to NETWORK.0.250
_PER_SOURCE = 4  # calls; a burst of five is allowed to one source
_WINDOW = 32  # under way at once: fewer than make wireguard-go ask for cookies
_PATIENCE = 3.0  # seconds without any answer


def private_key(number: int) -> bytes:
    return hashlib.blake2s(b"caller", salt=number.to_bytes(8, "little")).digest()


def config(server: Key, port: int, count: int) -> str:
    """For `wg setconf` at the daemon that is called: `count` peers of a /32 each."""
    parts = [f"[Interface]\nPrivateKey = {server.base64()}\nListenPort = {port}\n"]
    for number in range(count):
        key = Key(public_key(private_key(number)))
        high, low = divmod(number, 256)
        parts.append(f"[Peer]\nPublicKey = {key.base64()}\nAllowedIPs = 10.98.{high}.{low}/32\n")
    return "".join(parts)


class _Source:
    """One address that calls for several peers, one after the other."""

    def __init__(self, number: int, server: bytes, messages: list[bytes]) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((f"{NETWORK}.0.{number + 1}", 0))
        self.socket.setblocking(False)
        self._jar = CookieJar(server)
        self._messages = messages
        self._at = 0

    @property
    def has_more(self) -> bool:
        return self._at < len(self._messages)

    @property
    def calls(self) -> int:
        return len(self._messages)

    def call(self) -> None:
        self.socket.send(self._jar.close(self._messages[self._at], 1.0))

    def hear(self) -> bool:
        """Whether the call was answered; a cookie makes it call again."""
        answer = self.socket.recv(256)
        if answer[0] == TYPE_COOKIE_REPLY and self._jar.take(answer, 1.0):
            self.call()
        if answer[0] != TYPE_RESPONSE:
            return False
        self._at += 1
        return True


def _sources(server: bytes, count: int) -> Iterator[_Source]:
    for first in range(0, count, _PER_SOURCE):
        messages = []
        for number in range(first, min(first + _PER_SOURCE, count)):
            messages.append(
                Handshake(server).create_initiation(
                    Identity(private_key(number)),
                    index=number,
                    ephemeral=private_key(number + 1_000_000),
                    wall_ns=time.time_ns(),
                )
            )
        yield _Source(first // _PER_SOURCE, server, messages)


def _run(sources: list[_Source], address: tuple[str, int]) -> tuple[float, int]:
    """(seconds, calls answered)"""
    waiting = deque(sources)
    by_fd: dict[int, _Source] = {}
    poll = select.epoll()
    for source in sources:
        source.socket.connect(address)
        by_fd[source.socket.fileno()] = source
        poll.register(source.socket, select.EPOLLIN)
    start = last = time.perf_counter()
    answered = 0
    for _ in range(min(_WINDOW, len(waiting))):
        waiting.popleft().call()
    calls = sum(source.calls for source in sources)
    while answered < calls:
        ready = poll.poll(_PATIENCE)
        if not ready:
            break
        for fd, _ in ready:
            source = by_fd[fd]
            if source.hear():
                answered += 1
                last = time.perf_counter()
                if source.has_more:
                    waiting.append(source)
                if waiting:
                    waiting.popleft().call()
    return last - start, answered


def main(public: str, address: str, port: int, count: int) -> None:
    sources = list(_sources(bytes(Key.from_base64(public.encode())), count))
    print(*_run(sources, (address, port)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
