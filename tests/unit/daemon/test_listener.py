# SPDX-License-Identifier: MIT
"""Control sockets that somebody else opened: only files are taken, and only they taken away."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from wgtools.daemon.listener import adopt_listener
from wgtools.errors import UsageError

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")


def listening(address: str) -> int:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(address)
        sock.listen()
        return os.dup(sock.fileno())


@pytest.mark.parametrize("address", ["\0wgtools-test", ""])
def test_a_given_socket_without_a_file_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="bound to no path"):
        adopt_listener(listening(address))


def test_a_given_socket_is_known_wherever_the_daemon_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listener = adopt_listener(listening("wg0.sock"))
    monkeypatch.chdir("/")
    assert not listener.is_gone()
    listener.close()
    assert not (tmp_path / "wg0.sock").exists()
