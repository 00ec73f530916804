# SPDX-License-Identifier: MIT
"""Hosts made of namespaces, cables between them, and WireGuard daemons on them.

A Host is a process that holds a network and a mount namespace with a /run of its own; when
it ends, so does everything that was made on it.  Nothing is left, nothing else is touched.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.interop.spill import Heard

OURS = "ours"
WIREGUARD_GO = "wireguard-go"

# Our commands as installed, and the C ones.
BIN = Path(sys.executable).parent
ENGINE = str(BIN / "wgtools-engine")
OUR_WG = str(BIN / "wg")
C_WG = "/usr/bin/wg"
COMPRESSED = Path(__file__).with_name("compressed_engine.py")

TOOLS = (
    "ip",
    "ss",
    "unshare",
    "nsenter",
    "setpriv",
    "sysctl",
    "ping",
    "iperf3",
    WIREGUARD_GO,
    C_WG,
)

_HOLD = (
    "mount -t tmpfs run /run && mount -t sysfs sys /sys 2>/dev/null; ip link set lo up;"
    " echo ready; exec sleep 100000"
)


def why_not() -> str:
    """What this machine lacks for the tier; empty if nothing."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not os.path.exists("/dev/net/tun"):
        return "no /dev/net/tun"
    for tool in TOOLS:
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    return ""


def wait_for(what: str, true: Callable[[], object], *, seconds: float = 10.0) -> None:
    """Until `true()` is; a test fails that waits longer."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.02)


class Host:
    """A machine of its own, as far as networks and /run go."""

    def __init__(self, name: str, directory: Path, heard: Heard | None = None) -> None:
        self.name = name
        self.directory = directory
        self.heard = heard
        self._started: list[subprocess.Popen[bytes]] = []
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-c", _HOLD], stdout=subprocess.PIPE
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n"

    @property
    def pid(self) -> int:
        return self._holder.pid

    def inside(self, *words: str) -> list[str]:
        return ["nsenter", "-t", str(self.pid), "-n", "-m", "--", *words]

    def run(self, *words: str, stdin: str = "", timeout: float = 60.0) -> str:
        """The command's stdout; a failure fails the test with its stderr."""
        done = self.call(*words, stdin=stdin, timeout=timeout)
        if done.returncode:
            pytest.fail(f"{self.name}: {' '.join(words)}: {done.returncode}: {done.stderr}")
        return done.stdout

    def call(
        self, *words: str, stdin: str = "", timeout: float = 60.0, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.inside(*words),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=None if env is None else os.environ | env,
        )
        if self.heard is not None:
            shows = (env or {}).get("WG_HIDE_KEYS") == "never"
            self.heard.command(words, stdin, done.stdout, done.stderr, shows=shows)
        return done

    def start(
        self,
        *words: str,
        env: dict[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        pass_fds: tuple[int, ...] = (),
    ) -> subprocess.Popen[bytes]:
        """A command in the background, killed at the end."""
        process = subprocess.Popen(
            self.inside(*words),
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=os.environ | (env or {}),
            pass_fds=pass_fds,
        )
        self._started.append(process)
        return process

    def ip(self, words: str) -> str:
        return self.run("ip", *words.split())

    def has_link(self, name: str) -> bool:
        return self.call("ip", "link", "show", name).returncode == 0

    def has_socket(self, name: str) -> bool:
        return self.call("test", "-S", f"/run/wireguard/{name}.sock").returncode == 0

    def path(self, name: str, text: str) -> str:
        """A private file of this host."""
        path = self.directory / f"{self.name}-{name}"
        path.touch(mode=0o600)
        path.write_text(text)
        if self.heard is not None:
            self.heard.given.append(text)  # it may be replaced before the end
        return str(path)

    def daemon(self, kind: str, name: str = "wg0", **env: str) -> subprocess.Popen[bytes]:
        """A WireGuard daemon in the foreground, ready.  `compressed:N` is ours, N times as fast."""
        kind, _, speed = kind.partition(":")
        command = [ENGINE if kind == OURS else kind, "-f"]
        if speed:
            command = [sys.executable, str(COMPRESSED), speed]
        log = (self.directory / f"{self.name}-{name}.log").open("wb")
        process = subprocess.Popen(
            self.inside(*command, name),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | {"LOG_LEVEL": "debug"} | env,
        )
        log.close()
        self._started.append(process)
        wait_for(f"{kind} on {self.name}", lambda: process.poll() is not None or self._ready(name))
        if process.returncode is not None:
            pytest.fail(f"{kind} on {self.name} ended: {self.log(name)}")
        return process

    def _ready(self, name: str) -> bool:
        return self.has_socket(name) and self.has_link(name)

    def log(self, name: str = "wg0") -> str:
        return (self.directory / f"{self.name}-{name}.log").read_text(errors="replace")

    def ping(self, address: str, *words: str, count: int = 3, timeout: float = 60.0) -> int:
        """How many of `count` pings were answered."""
        done = self.call(
            "ping", "-n", "-c", str(count), "-i", "0.1", "-W", "3", *words, address, timeout=timeout
        )
        found = re.search(r"(\d+) received", done.stdout)
        return int(found[1]) if found else 0

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.terminate()
        for process in self._started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        # What daemonised itself is still in the namespaces.
        for pid in self._inhabitants():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._holder.kill()
        self._holder.wait(10)
        assert self._holder.stdout is not None
        self._holder.stdout.close()

    def _inhabitants(self) -> Iterator[int]:
        """Processes of this host's network namespace other than its holder."""
        home = os.stat(f"/proc/{self.pid}/ns/net").st_ino
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) != self.pid:
                with contextlib.suppress(OSError):
                    if os.stat(f"/proc/{entry}/ns/net").st_ino == home:
                        yield int(entry)


def cable(a: Host, b: Host, *, link: str = "eth0") -> None:
    """A veth between two hosts, up on both."""
    a.ip(f"link add {link} netns {a.pid} type veth peer name {link} netns {b.pid}")
    for host in (a, b):
        host.ip(f"link set {link} up")


Hosts = Callable[[str], Host]  # the fixture `host`
