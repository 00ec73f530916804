# SPDX-License-Identifier: MIT
"""Runs recorded cases in a world of its own: one JSON case per line in, one result out.

Started by `test_wg.py` inside fresh mount and network namespaces.  It puts an empty
directory over /var/run/wireguard and fixed files over those in /etc that decide what
names mean, then for each case makes the sockets and files it wants, runs the command
and says what happened.  It judges nothing.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pty
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Case = dict[str, Any]

SOCKETS = Path("/var/run/wireguard").resolve()
TIMEOUT = 30.0
NOW = re.compile(rb"\{\{NOW([+-]\d+)?\}\}")
ETC = {
    "hosts": "127.0.0.1 localhost\n::1 localhost6 ip6-localhost ip6-loopback\n"
    "192.0.2.10 v4.test\n2001:db8::10 v6.test\n192.0.2.20 dual.test\n2001:db8::20 dual.test\n"
    "192.0.2.30 xn--n-xga2h.test\n192.0.2.31 r\u00e4w.test\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\nservices: files\n"
    "protocols: files\n",
    "services": "domain 53/tcp\ndomain 53/udp\nntp 123/udp\nhttps 443/tcp\nhttps 443/udp\n"
    "tcponly 7777/tcp\nudponly 7778/udp aliasport\n",
    "resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
}


def to_bytes(text: Any) -> bytes | None:
    """Text of a case: a string, or base64 where it is not UTF-8."""
    if isinstance(text, dict):
        return base64.b64decode(text["b64"])
    return None if text is None else text.encode()


def from_bytes(data: bytes) -> Any:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(data).decode()}


def build_world(scratch: Path) -> None:
    """Private sockets, names and loopback.  The namespaces are there already."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    if not SOCKETS.is_dir():
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", SOCKETS.parent], check=True)
        SOCKETS.mkdir()
    (scratch / "sockets").mkdir()
    subprocess.run(["mount", "--bind", scratch / "sockets", SOCKETS], check=True)
    for name, text in ETC.items():
        (scratch / name).write_text(text)
        target = Path("/etc", name).resolve()
        subprocess.run(["mount", "--bind", scratch / name, target], check=True)


def kernel_has_wireguard() -> bool:
    probe = ["ip", "link", "add", "wgprobe", "type", "wireguard"]
    found = subprocess.run(probe, stderr=subprocess.DEVNULL, check=False).returncode == 0
    if found:
        subprocess.run(["ip", "link", "delete", "wgprobe"], check=True)
    return found


class Clock:
    """One "now" per case, taken early in a second so that it is still true when read."""

    def __init__(self) -> None:
        self.now: int | None = None

    def fill(self, text: bytes) -> bytes:
        if not NOW.search(text):
            return text
        if time.time() % 1 > 0.3:
            time.sleep(1.01 - time.time() % 1)
        self.now = now = int(time.time())
        return NOW.sub(lambda m: b"%d" % (now + int(m[1] or b"0")), text)


class Daemon:
    """A userspace daemon of few words: one answer for every get, one for every set."""

    def __init__(self, path: Path, entry: Case, log: list[bytes], clock: Clock) -> None:
        self.get = to_bytes(entry.get("get_reply"))
        self.set = to_bytes(entry.get("set_reply", "errno=0\n\n"))
        self.log, self.clock = log, clock
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.fsencode(path))
        self.listener.listen(32)
        self.threads: list[threading.Thread] = []
        self.acceptor = threading.Thread(target=self.accept)
        self.acceptor.start()

    def accept(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            if connection.recv(1, socket.MSG_PEEK) == b"\0":  # from close()
                connection.close()
                return
            thread = threading.Thread(target=self.serve, args=(connection,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def serve(self, connection: socket.socket) -> None:
        data = b""
        with connection, contextlib.suppress(OSError):
            while chunk := connection.recv(1 << 16):
                data += chunk
                while b"\n\n" in data:
                    request, _, data = data.partition(b"\n\n")
                    if not self.answer(connection, request + b"\n\n"):
                        return
            if data:
                self.log.append(data)

    def answer(self, connection: socket.socket, request: bytes) -> bool:
        """Whether the connection stays open: real daemons leave it so after an answer."""
        if request == b"get=1\n\n":
            reply = None if self.get is None else self.clock.fill(self.get)
        else:
            self.log.append(request)
            reply = self.set
        if reply is None:
            return False
        connection.sendall(reply)
        return b"\n\n" in reply or reply.startswith(b"\n")

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX) as wake:
            wake.connect(self.listener.getsockname())
            wake.send(b"\0")
            self.acceptor.join(5)
        for thread in self.threads:
            thread.join(5)
        self.listener.close()


@contextlib.contextmanager
def sockets(case: Case, log: list[bytes], clock: Clock) -> Iterator[None]:
    """The socket directory as the case wants it, empty again afterwards."""
    entries = list(case.get("sockets") or [])
    if case.get("iface"):
        replies = {"get_reply": case["uapi_get_reply"]}
        if "uapi_set_reply" in case:
            replies["set_reply"] = case["uapi_set_reply"]
        entries.insert(0, {"name": case["iface"], **replies})
    daemons = []
    try:
        for entry in entries:
            path = SOCKETS / (entry["name"] + ("" if entry.get("raw_name") else ".sock"))
            match entry.get("kind", "daemon"):
                case "daemon":
                    daemons.append(Daemon(path, entry, log, clock))
                case "stale":
                    with socket.socket(socket.AF_UNIX) as dead:
                        dead.bind(os.fsencode(path))
                case "file":
                    path.touch()
                case "dir":
                    path.mkdir()
                case "symlink":
                    path.symlink_to(entry["target"])
        yield
    finally:
        for daemon in daemons:
            daemon.close()
        for path in SOCKETS.iterdir():
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


@contextlib.contextmanager
def standard_input(case: Case) -> Iterator[int]:
    data = to_bytes(case["stdin"])
    if data is None:
        with open(os.devnull, "rb") as nothing:
            yield nothing.fileno()
    elif case.get("stdin_kind") == "file":
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.seek(0)
            yield file.fileno()
    else:
        end, feed = os.pipe()
        feeder = threading.Thread(target=pour, args=(feed, data))
        feeder.start()
        try:
            yield end
        finally:
            os.close(end)
            feeder.join()


def pour(descriptor: int, data: bytes) -> None:
    with open(descriptor, "wb", buffering=0) as pipe, contextlib.suppress(BrokenPipeError):
        pipe.write(data)


class Output:
    """Where stdout goes, and what had arrived there when the command ended."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.data: list[bytes] = []
        self.reader: threading.Thread | None = None
        self.source = -1
        if kind == "pipe":
            self.source, self.sink = os.pipe()
        elif kind == "tty":
            self.source, self.sink = pty.openpty()
            tty.setraw(self.sink)
        elif kind.startswith("file:"):
            self.sink, name = tempfile.mkstemp()
            os.unlink(name)
            os.fchmod(self.sink, int(kind[5:], 8))
        elif kind == "closed_pipe":
            reader, self.sink = os.pipe()
            os.close(reader)
        elif kind == "closed":
            self.sink = os.open(os.devnull, os.O_WRONLY)
        else:
            self.sink = os.open(kind, os.O_WRONLY)
        if self.source >= 0:
            self.reader = threading.Thread(target=self.read)
            self.reader.start()

    def read(self) -> None:
        with contextlib.suppress(OSError):  # EIO: how a terminal ends
            while chunk := os.read(self.source, 1 << 16):
                self.data.append(chunk)

    def finish(self) -> bytes:
        if self.kind.startswith("file:"):
            size = os.lseek(self.sink, 0, os.SEEK_END)
            self.data.append(os.pread(self.sink, size, 0))
        os.close(self.sink)
        if self.reader is not None:
            self.reader.join(TIMEOUT)
            os.close(self.source)
        return b"".join(self.data)


def run(case: Case, command: str, scratch: Path) -> Case:
    """One case from beginning to end."""
    log: list[bytes] = []
    clock = Clock()
    place = Path(tempfile.mkdtemp(dir=scratch))
    for name, content in (case["files"] or {}).items():
        if isinstance(content, dict) and content.get("dir"):
            (place / name).mkdir()
        else:
            (place / name).write_bytes(to_bytes(content) or b"")
    environ = {k: v for k, v in os.environ.items() if not k.startswith("WG_")}
    for name, value in (case["env"] or {}).items():
        environ.pop(name, None)
        if value is not None:
            environ[name] = value
    argv = [command, *(os.fsdecode(to_bytes(word) or b"") for word in case["argv"])]
    if case.get("stdout_to") == "closed":
        argv = ["sh", "-c", 'exec "$@" >&-', "sh", *argv]
    with sockets(case, log, clock):
        with standard_input(case) as stdin:
            output = Output(case.get("stdout_to", "pipe"))
            try:
                done = subprocess.run(
                    argv,
                    stdin=stdin,
                    stdout=output.sink,
                    stderr=subprocess.PIPE,
                    cwd=place,
                    env=environ,
                    timeout=TIMEOUT,
                    start_new_session=True,
                    check=False,
                )
            finally:
                stdout = output.finish()
        left = {path.name for path in SOCKETS.iterdir()}
    shutil.rmtree(place)
    return {
        "exit": done.returncode,
        "stdout": from_bytes(stdout),
        "stderr": from_bytes(done.stderr),
        "uapi_set_requests": [from_bytes(request) for request in log],
        "now": clock.now,
        "not_gone": sorted(left.intersection(case.get("sockets_gone") or [])),
        "not_kept": sorted(set(case.get("sockets_kept") or []) - left),
    }


def main(command: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        build_world(scratch)
        print(json.dumps({"kernel_wireguard": kernel_has_wireguard()}), flush=True)
        for line in sys.stdin:
            try:
                result = run(json.loads(line), command, scratch)
            except Exception as error:  # a broken case must not take the others with it
                result = {"broken": repr(error)}
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
