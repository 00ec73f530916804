# SPDX-License-Identifier: MIT
"""Where the contract's devices live: each place gives a Backend with one fresh device, wg0."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.freebsd_kernel import FreeBSDKernel
from wgtools.testing.fake_kernel import FakeKernel
from wgtools.testing.memory_backend import MemoryBackend
from wgtools_backends.bsd.layout import I386, LP64
from wgtools_backends.freebsd import Backend as FreeBSDBackend
from wgtools_backends.linux import Backend as KernelBackend
from wgtools_backends.uapi import Backend as UserspaceBackend

# A daemon with namespaces of its own, its sockets in the directory $1.
_APART = ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-ec"]
_START = """
[ -d /var/run/wireguard ] || { mount -t tmpfs tmpfs /var/run/; mkdir /var/run/wireguard; }
mount --bind "$1" /var/run/wireguard
shift
exec "$@"
"""
_PATIENCE = 20.0  # seconds for a daemon to listen; under emulation they are slow


def fake_kernel() -> KernelBackend:
    """The netlink backend on a kernel that is not there."""
    return KernelBackend(connect=FakeKernel(MemoryBackend("wg0")).connect)


def freebsd_13() -> FreeBSDBackend:
    """The FreeBSD backend on a kernel that cannot remove single allowed IPs."""
    return FreeBSDBackend(FreeBSDKernel("wg0", layout=LP64).control())


def freebsd_15() -> FreeBSDBackend:
    """The same on one that can, on a machine of 32 bits."""
    return FreeBSDBackend(FreeBSDKernel("wg0", layout=I386, removes_networks=True).control())


@contextlib.contextmanager
def real_freebsd() -> Iterator[FreeBSDBackend]:
    """The FreeBSD backend on this machine's kernel."""
    kernel = FreeBSDBackend()
    if os.geteuid():
        pytest.skip("WireGuard interfaces need root")
    if kernel.list():
        pytest.skip("this machine has WireGuard interfaces of its own")
    subprocess.run(["ifconfig", "wg", "create", "name", "wg0"], check=True)
    try:
        yield kernel
    finally:
        subprocess.run(["ifconfig", "wg0", "destroy"], check=True)


@contextlib.contextmanager
def real_kernel() -> Iterator[KernelBackend]:
    """The netlink backend on this machine's kernel: only for a machine made for that."""
    subprocess.run(["ip", "link", "add", "wg0", "type", "wireguard"], check=True)
    try:
        yield KernelBackend()
    finally:
        subprocess.run(["ip", "link", "delete", "wg0"], check=True)


def engine(directory: Path) -> contextlib.AbstractContextManager[UserspaceBackend]:
    """The userspace backend and our engine, as a process."""
    return _daemon([str(Path(sys.executable).with_name("wgtools-engine")), "-f", "wg0"], directory)


def wireguard_go(directory: Path) -> contextlib.AbstractContextManager[UserspaceBackend]:
    """The userspace backend and the most used engine of others."""
    program = shutil.which("wireguard-go")
    if program is None:
        pytest.skip("wireguard-go is not installed")
    return _daemon([program, "-f", "wg0"], directory)


@contextlib.contextmanager
def _daemon(command: list[str], directory: Path) -> Iterator[UserspaceBackend]:
    if os.geteuid():
        pytest.skip("TUN devices need root")
    process = subprocess.Popen(
        [*_APART, _START, "sh", str(directory), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(directory / "wg0.sock", process)
        yield UserspaceBackend(directory=os.fsencode(directory))
    finally:
        process.terminate()
        process.wait(_PATIENCE)


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(str(path))
            return
        if process.poll() is not None:
            pytest.fail(f"the daemon ended with status {process.returncode}")
        time.sleep(0.01)
    pytest.fail("the daemon does not listen")
