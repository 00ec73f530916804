# SPDX-License-Identifier: MIT
"""A gigabyte through a tunnel arrives as it was sent.

Sent by a program of our own: `iperf3 -F`, which writes what arrived to a file, drops the
end of it even on loopback (1,066,598,347 of 1,073,741,824 bytes with 3.12).
"""

from __future__ import annotations

import sys

import pytest

from tests.interop.hosts import OURS, WIREGUARD_GO, Host, wait_for
from tests.interop.tunnel import INNER4, INNER6, Tunnel

# Both print the SHA-256 of what passed.  A megabyte of noise, its place in the stream
# written over its start, so that no two are alike.
_SEND = """
import hashlib, os, socket, sys
s = socket.create_connection((sys.argv[1], 9999))
h, noise = hashlib.sha256(), bytearray(os.urandom(1 << 20))
for i in range(int(sys.argv[2])):
    noise[:8] = i.to_bytes(8, "big")
    h.update(noise)
    s.sendall(noise)
s.shutdown(socket.SHUT_WR)
s.recv(1)
print(h.hexdigest())
"""
_RECEIVE = """
import hashlib, socket, sys
l = socket.create_server(("::", 9999), family=socket.AF_INET6, dualstack_ipv6=True)
c, _ = l.accept()
h, n, b = hashlib.sha256(), 0, bytearray(1 << 20)
while got := c.recv_into(b):
    h.update(memoryview(b)[:got])
    n += got
c.send(b"!")
print(h.hexdigest(), n)
"""


@pytest.mark.parametrize(
    ("kinds", "megabytes", "to"),
    [
        pytest.param((OURS, OURS), 1024, INNER4[1], id="1GB-ours-ours"),
        pytest.param((OURS, WIREGUARD_GO), 128, INNER6[1], id="ours-go-ipv6"),
        pytest.param((WIREGUARD_GO, OURS), 128, INNER4[1], id="go-ours"),
    ],
)
def test_volume(pair: tuple[Host, Host], kinds: tuple[str, str], megabytes: int, to: str) -> None:
    a, b = pair
    tunnel = Tunnel(a, b)
    tunnel.up(kinds)
    assert a.ping(INNER4[1]) == 3
    receiver = b.start(sys.executable, "-c", _RECEIVE)
    wait_for("the receiver", lambda: ":9999" in b.run("ss", "-Hltn"))
    sent = a.run(sys.executable, "-c", _SEND, to, str(megabytes), timeout=180).strip()
    digest, count = receiver.communicate(timeout=30)[0].decode().split()
    assert int(count) == megabytes << 20
    assert digest == sent
