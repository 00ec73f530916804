# SPDX-License-Identifier: MIT
"""A packet every so often, and which of them were never answered.

    probe.py echo ADDRESS            answer all that come
    probe.py ask ADDRESS INTERVAL    ask; for each that had no answer in PATIENCE seconds print
                                     when it was sent (time.monotonic()), at the end a total

Every eighth is large enough to be cut by nobody and padded by the tunnel; TCP beside it
moves a quarter of a megabyte now and then, for what comes in super-packets.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import sys
import threading
import time

PORT = 7
PATIENCE = 3.0
TRANSFER = 256 << 10
_PAUSE = 5.0  # seconds between transfers


def echo(address: str) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, PORT))
    threading.Thread(target=swallow, args=(address,), daemon=True).start()
    print("ready", flush=True)
    while True:
        with contextlib.suppress(OSError):
            data, sender = sock.recvfrom(2048)
            sock.sendto(data, sender)


def swallow(address: str) -> None:
    """Take what comes over TCP, and say how much it was."""
    listener = socket.create_server((address, PORT), backlog=64)
    while True:
        with contextlib.suppress(OSError):
            sock, _ = listener.accept()
            sock.settimeout(20.0)
            with sock:
                got = 0
                while got < TRANSFER and (piece := len(sock.recv(1 << 16))):
                    got += piece
                sock.sendall(struct.pack(">I", got))


def transfer(address: str, moved: list[int]) -> None:
    while True:
        with (
            contextlib.suppress(OSError),
            socket.create_connection((address, PORT), timeout=20.0) as sock,
        ):
            sock.sendall(bytes(TRANSFER))
            (got,) = struct.unpack(">I", sock.recv(4, socket.MSG_WAITALL).ljust(4, b"\0"))
            moved[0] += got
        time.sleep(_PAUSE)


def ask(address: str, interval: float) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    moved = [0]
    threading.Thread(target=transfer, args=(address, moved), daemon=True).start()
    waiting: dict[int, float] = {}
    asked = answered = 0
    next_at = time.monotonic()
    ended = False
    while not ended or waiting:
        now = time.monotonic()
        if not ended and now >= next_at:
            next_at = max(next_at + interval, now)
            asked += 1
            waiting[asked] = now
            with contextlib.suppress(OSError):  # no route while the interface is down
                sock.sendto(
                    struct.pack(">I", asked).ljust(1300 if asked % 8 == 0 else 64), (address, PORT)
                )
        readable, _, _ = select.select(
            [sock, *([] if ended else [sys.stdin])], [], [], interval / 4
        )
        if sys.stdin in readable:
            ended = True  # the other end of the pipe was closed: hear the rest out
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while True:
                data = sock.recv(2048)
                answered += waiting.pop(struct.unpack_from(">I", data)[0], None) is not None
        now = time.monotonic()
        for number in [n for n, sent in waiting.items() if now - sent > PATIENCE]:
            print(f"lost {waiting.pop(number):.3f}", flush=True)
    print(f"total {asked} {answered} {moved[0]}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "echo":
        echo(sys.argv[2])
    else:
        ask(sys.argv[2], float(sys.argv[3]))
