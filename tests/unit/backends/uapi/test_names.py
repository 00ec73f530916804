# SPDX-License-Identifier: MIT
"""macOS: the name that a person gave, and the utun that the system did."""

import os
import socket
import threading
from pathlib import Path

import pytest

from wgtools.uapi.client import GET_REQUEST
from wgtools_backends.uapi import Backend
from wgtools_backends.uapi.names import real_name


def pair(directory: Path, name: str, real: str, *, apart: float = 0.0) -> None:
    """NAME.name and REAL.sock, so many seconds apart."""
    (directory / f"{name}.name").write_text(f"{real}\n")
    (directory / f"{real}.sock").touch()
    os.utime(directory / f"{name}.name", (1_700_000_000, 1_700_000_000))
    os.utime(directory / f"{real}.sock", (1_700_000_000, 1_700_000_000 + apart))


@pytest.mark.parametrize(("apart", "found"), [(0, b"utun4"), (-1.9, b"utun4"), (2, b"wg0")])
def test_a_pair_of_one_moment_is_believed(tmp_path: Path, apart: float, found: bytes) -> None:
    pair(tmp_path, "wg0", "utun4", apart=apart)
    assert real_name(os.fsencode(tmp_path), b"wg0") == found
    assert real_name(os.fsencode(tmp_path), b"utun4") == b"utun4"


@pytest.mark.parametrize(
    "text", ["", "utun", "../utun4", "utun4/..", "eth0", "utun\u0664", "u" * 99]
)
def test_what_is_no_utun_is_not_believed(tmp_path: Path, text: str) -> None:
    pair(tmp_path, "wg0", "utun4")
    (tmp_path / "wg0.name").write_text(text)
    assert real_name(os.fsencode(tmp_path), b"wg0") == b"wg0"


def test_no_file_no_socket_no_other_directory(tmp_path: Path) -> None:
    directory = os.fsencode(tmp_path)
    pair(tmp_path, "wg0", "utun4")
    assert real_name(directory, b"../wg0") == b"../wg0"
    assert real_name(directory, b"wg1") == b"wg1"
    (tmp_path / "utun4.sock").unlink()
    assert real_name(directory, b"wg0") == b"wg0"
    (tmp_path / "wg2.name").mkdir()
    assert real_name(directory, b"wg2") == b"wg2"


def test_both_names_reach_the_daemon_and_only_the_utun_is_listed(tmp_path: Path) -> None:
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "utun4.sock"))
        listener.listen()

        def serve() -> None:
            while len(asked) < 2:
                connection, _ = listener.accept()
                with connection:
                    if data := connection.recv(100):
                        asked.append(data)
                        connection.sendall(b"listen_port=7\nerrno=0\n\n")

        thread = threading.Thread(target=serve)
        thread.start()
        (tmp_path / "wg0.name").write_text("utun4\n")
        backend = Backend(directory=os.fsencode(tmp_path), renames=True)
        assert backend.list() == ["utun4"]
        assert backend.exists("wg0")
        assert not Backend(directory=os.fsencode(tmp_path), renames=False).exists("wg0")
        devices = [backend.get(name) for name in ("wg0", "utun4")]
        thread.join()
    assert asked == [GET_REQUEST] * 2
    assert [(device.name, device.listen_port) for device in devices] == [("utun4", 7)] * 2
