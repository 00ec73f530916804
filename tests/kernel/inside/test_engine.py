# SPDX-License-Identifier: MIT
"""Our engine and the kernel's WireGuard as peers of each other, in two namespaces."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
ENGINE, KERNEL = "engine", "kernel"  # the namespaces
PRESHARED = base64.b64encode(b"\7" * 32).decode()
PATIENCE = 30.0  # an emulated machine is slow


def run(*words: str, given: str | None = None) -> str:
    done = subprocess.run(words, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout.strip()


def there(namespace: str, *words: str) -> str:
    return run("ip", "netns", "exec", namespace, *words)


@pytest.fixture
def tunnel(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """wg0 on both sides of a veth; the underlay's family is the parameter."""
    addresses = {ENGINE: "192.0.2.1", KERNEL: "192.0.2.2"}
    if request.param == 6:
        addresses = {ENGINE: "2001:db8::1", KERNEL: "2001:db8::2"}
    for name in (ENGINE, KERNEL):
        run("ip", "netns", "add", name)
    run("ip", "link", "add", "u", "netns", ENGINE, "type", "veth", "peer", "u", "netns", KERNEL)
    for name, address in addresses.items():
        there(name, "ip", "link", "set", "lo", "up")
        there(name, "ip", "link", "set", "u", "up")
        flags = ["nodad"] if request.param == 6 else []
        there(name, "ip", "address", "add", f"{address}/{120 if flags else 24}", "dev", "u", *flags)
    process = subprocess.Popen(
        ["ip", "netns", "exec", ENGINE, str(BIN / "wgtools-engine"), "-f", "wg0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    there(KERNEL, "ip", "link", "add", "wg0", "type", "wireguard")
    try:
        deadline = time.monotonic() + PATIENCE
        while not os.path.exists("/var/run/wireguard/wg0.sock"):
            assert process.poll() is None, "the engine ended at once"
            assert time.monotonic() < deadline, "the engine does not listen"
            time.sleep(0.1)
        configure(tmp_path, addresses)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)
        for name in (ENGINE, KERNEL):
            run("ip", "netns", "delete", name)


def configure(place: Path, addresses: dict[str, str]) -> None:
    private = {name: run("wg", "genkey") for name in addresses}
    public = {name: run("wg", "pubkey", given=key) for name, key in private.items()}
    for number, (name, other) in enumerate(((ENGINE, KERNEL), (KERNEL, ENGINE)), 1):
        host = addresses[other]
        (place / name).write_text(
            f"[Interface]\nPrivateKey = {private[name]}\nListenPort = 51820\n"
            f"[Peer]\nPublicKey = {public[other]}\nPresharedKey = {PRESHARED}\n"
            f"Endpoint = {f'[{host}]' if ':' in host else host}:51820\n"
            "AllowedIPs = 10.9.0.0/24, fd09::/64\n"
        )
        (place / name).chmod(0o600)
        # The engine's socket has this name too; the kernel's device has no socket, so
        # whoever configures it must not see that directory.
        hidden = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /var/run && exec "$@"', "sh"]
        tool = [str(BIN / "wg"), "setconf", "wg0", str(place / name)]
        there(name, *(hidden if name == KERNEL else []), *tool)
        there(name, "ip", "address", "add", f"10.9.0.{number}/24", "dev", "wg0")
        there(name, "ip", "address", "add", f"fd09::{number}/64", "dev", "wg0", "nodad")
        there(name, "ip", "link", "set", "wg0", "up")


@pytest.mark.parametrize("tunnel", [4, 6], indirect=True, ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("first", [ENGINE, KERNEL])
@pytest.mark.usefixtures("tunnel")
def test_either_may_speak_first(first: str) -> None:
    far = 2 if first == ENGINE else 1
    there(first, "ping", "-c", "3", "-i", "0.2", "-W", "20", f"10.9.0.{far}")
    there(first, "ping", "-c", "3", "-i", "0.2", "-W", "20", "-s", "1300", f"fd09::{far}")
