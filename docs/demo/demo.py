#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`make demo`: two hosts in network namespaces, a tunnel between them, traffic across.

Everything happens in namespaces that this program makes for itself (a user namespace
too when it is not root) and that end with it: nothing of the machine is touched.

    the demo's namespace:   alice ===veth=== bob      192.0.2.0/24, 2001:db8::/64
    the tunnel:             10.0.0.1        10.0.0.2  wgtools-engine on both
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

BIN = Path(sys.executable).parent
NEEDED = ("unshare", "nsenter", "mount")  # util-linux, on every Debian
GREEN, BOLD, DIM, RESET = (
    ("\33[32m", "\33[1m", "\33[2m", "\33[0m")
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ
    else ("", "", "", "")
)


def say(text: str) -> None:
    print(text, flush=True)


def stop(message: str, hint: str) -> None:
    sys.exit(f"make demo: {message}\n\nhint: {hint}")


# ------------------------------------------------------------------ the way inside


def enter() -> None:
    """Run this program again inside namespaces of its own; returns only in there."""
    if os.environ.get("WGTOOLS_DEMO") == "inside":
        return
    missing = [name for name in NEEDED if not shutil.which(name)]
    if missing:
        stop(f"cannot find {', '.join(missing)}", "apt-get install util-linux mount")
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        stop(
            "/dev/net/tun cannot be opened, and the engine needs it",
            "as root: modprobe tun; in a container: add --device /dev/net/tun",
        )
    inside = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]
    if os.geteuid() != 0:
        inside += ["--user", "--map-root-user"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode != 0:
        stop(
            "this machine lets you make no namespaces",
            "run it as root (sudo make demo), in a container with --cap-add SYS_ADMIN and"
            " NET_ADMIN, or allow them: sysctl kernel.unprivileged_userns_clone=1",
        )
    environment = {**os.environ, "WGTOOLS_DEMO": "inside"}
    os.execvpe("unshare", [*inside, "--mount-proc", sys.executable, __file__], environment)


# ------------------------------------------------------------------ the two hosts


class Host:
    """A network and mount namespace with its own /run, kept alive by a sleeping process."""

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        self.home = home / name
        self.home.mkdir()
        self.process = subprocess.Popen(
            [
                "unshare",
                "--net",
                "--mount",
                "sh",
                "-c",
                "mount -t tmpfs tmpfs /run && echo && read _",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            stop(f"the namespace of {name} could not be made", "run it as root: sudo make demo")

    def argv(self, *command: str) -> list[str]:
        return ["nsenter", "--net", "--mount", "--target", str(self.process.pid), *command]

    def run(self, shown: str, *command: str) -> None:
        """Show a command as somebody would type it, then run it here."""
        say(f"{GREEN}{self.name}{RESET}$ {BOLD}{shown}{RESET}")
        done = subprocess.run(
            self.argv("sh", "-c", 'cd "$1"; shift; exec "$@"', "sh", str(self.home), *command),
            env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode != 0:
            sys.exit(f"make demo: this command ended with status {done.returncode}")
        say("")

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def cable(alice: Host, bob: Host) -> None:
    """A veth pair between the hosts: the network that both are on."""
    from pyroute2 import IPRoute

    with IPRoute() as here:
        here.link("add", ifname="eth-a", kind="veth", peer={"ifname": "eth-b"})
        for host, link in ((alice, "eth-a"), (bob, "eth-b")):
            (index,) = here.link_lookup(ifname=link)
            here.link("set", index=index, net_ns_pid=host.process.pid)
    for number, (host, link) in enumerate(((alice, "eth-a"), (bob, "eth-b")), 1):
        subprocess.run(host.argv(sys.executable, __file__, "plug", link, str(number)), check=True)


def plug(link: str, number: str) -> None:
    """Inside a host: the addresses of its end of the cable."""
    from pyroute2 import IPRoute

    with IPRoute() as here:
        (index,) = here.link_lookup(ifname=link)
        here.addr("add", index=index, address=f"192.0.2.{number}", prefixlen=24)
        here.link("set", index=1, state="up")
        here.link("set", index=index, state="up")


def write_configurations(alice: Host, bob: Host) -> None:
    keys = {}
    for host in (alice, bob):
        private = subprocess.run([BIN / "wg", "genkey"], stdout=subprocess.PIPE, check=True).stdout
        public = subprocess.run(
            [BIN / "wg", "pubkey"], input=private, stdout=subprocess.PIPE, check=True
        ).stdout
        keys[host.name] = private.decode().strip(), public.decode().strip()
    for number, host, other in ((1, alice, bob), (2, bob, alice)):
        file = host.home / "wg0.conf"
        file.touch(mode=0o600)
        file.write_text(
            f"[Interface]\n"
            f"Address = 10.0.0.{number}/24\n"
            f"ListenPort = 51820\n"
            f"PrivateKey = {keys[host.name][0]}\n"
            f"\n"
            f"[Peer]\n"
            f"# {other.name}\n"
            f"PublicKey = {keys[other.name][1]}\n"
            f"AllowedIPs = 10.0.0.{3 - number}/32\n"
            f"Endpoint = 192.0.2.{3 - number}:51820\n"
        )


# ------------------------------------------------------------------ traffic


def serve() -> None:
    """Inside bob: answer one connection with the digest of what it sent."""
    import hashlib
    import socket

    with socket.create_server(("10.0.0.2", 7000)) as server:
        say("ready")
        connection, _ = server.accept()
        with connection:
            digest = hashlib.sha256()
            while data := connection.recv(1 << 18):
                digest.update(data)
            connection.sendall(digest.digest())


def send(megabytes: str) -> None:
    """Inside alice: send that many megabytes to bob and compare digests."""
    import hashlib
    import socket

    digest, block, total = hashlib.sha256(), os.urandom(1 << 20), int(megabytes)
    began = time.monotonic()
    with socket.create_connection(("10.0.0.2", 7000), timeout=60) as connection:
        for _ in range(total):
            connection.sendall(block)
            digest.update(block)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(32, socket.MSG_WAITALL)
    if answer != digest.digest():
        sys.exit("the digests differ")
    rate = total * 8.388608 / (time.monotonic() - began)
    say(f"{total} MiB sent, received and equal by SHA-256: {rate:.0f} Mb/s")


def traffic(alice: Host, bob: Host) -> None:
    if shutil.which("ping"):
        alice.run("ping -c 3 10.0.0.2", "ping", "-c", "3", "-i", "0.3", "10.0.0.2")
    server = subprocess.Popen(
        bob.argv(sys.executable, __file__, "serve"), stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    server.stdout.readline()
    alice.run("send 64 MiB to 10.0.0.2", sys.executable, __file__, "send", "64")
    server.wait()


# ------------------------------------------------------------------ the play


def play(home: Path) -> None:
    alice, bob = Host("alice", home), Host("bob", home)
    try:
        cable(alice, bob)
        write_configurations(alice, bob)
        say(f"{DIM}# two hosts on 192.0.2.0/24; the wg0.conf of each names the other{RESET}\n")
        alice.run("wg-quick up ./wg0.conf", "wg-quick", "up", "./wg0.conf")
        bob.run("wg-quick up ./wg0.conf", "wg-quick", "up", "./wg0.conf")
        traffic(alice, bob)
        alice.run("wg show", "wg", "show")
        bob.run("wg show wg0 transfer", "wg", "show", "wg0", "transfer")
        bob.run("wg-quick down ./wg0.conf", "wg-quick", "down", "./wg0.conf")
        alice.run("wg-quick down ./wg0.conf", "wg-quick", "down", "./wg0.conf")
    finally:
        alice.end()
        bob.end()
    say(f"{DIM}# both namespaces are gone, and everything in them{RESET}")


def main() -> None:
    roles: dict[str, Callable[..., None]] = {"plug": plug, "serve": serve, "send": send}
    if len(sys.argv) > 1:
        roles[sys.argv[1]](*sys.argv[2:])
        return
    enter()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="wgtools-demo.") as home:
        play(Path(home))


if __name__ == "__main__":
    main()
