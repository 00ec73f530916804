# SPDX-License-Identifier: MIT
"""What a person does with what was installed, whatever it was installed by.

Knows nothing of packages: only names of commands, and where things are to be found.
"""

from __future__ import annotations

from shlex import quote

from tests.packaging.conftest import ROOT
from tests.packaging.roots import Root

PAGES = {page.name: page.read_bytes() for page in (ROOT / "man").iterdir()}
COMPLETIONS = {
    "bash": "share/bash-completion/completions",
    "zsh": "share/zsh/site-functions",
    "fish": "share/fish/vendor_completions.d",
}


def walk(root: Root, *, wg: str = "wg", wg_quick: str = "wg-quick") -> None:
    """Keys; a tunnel up, with a hook that uses `wg`, and down again."""
    assert len(root.run(f"{wg} genkey | {wg} pubkey")) == 45
    root.run(
        f"""mkdir -p /etc/wireguard; umask 077
        {{ echo '[Interface]'; echo "PrivateKey = $({wg} genkey)"; echo 'Address = 10.9.8.1/24'
        echo 'PostUp = wg show %i listen-port > /run/hook'
        echo '[Peer]'; echo "PublicKey = $({wg} genkey | {wg} pubkey)"
        echo 'AllowedIPs = 10.9.9.0/24'; }} > /etc/wireguard/wg7.conf"""
    )
    root.run(f"{wg_quick} up wg7")
    assert "10.9.8.1/24" in root.run("ip address show wg7")
    assert "10.9.9.0/24 dev wg7" in root.run("ip route")
    assert root.run(f"{wg} show wg7 listen-port") == root.run("cat /run/hook")
    root.run("ping -n -c 1 -W 1 10.9.8.1")
    # In brackets, so that the shell that looks does not find itself.
    engines = "$(grep -l '[w]gtools[.-][de]' /proc/[0-9]*/cmdline)"
    assert "Seccomp:\t2" in root.run(f"for at in {engines}; do cat ${{at%cmdline}}status; done")
    root.run(f"{wg_quick} down wg7")
    assert "wg7" not in root.run("ip link show")
    # And what goes wrong is told, not shown as a traceback.
    failed = root.call(f"{wg_quick} up nothing7")
    assert failed.returncode == 1
    assert "does not exist" in failed.stderr


def holds_pages_and_completions(root: Root, prefix: str) -> None:
    for name, text in PAGES.items():
        command = name.removesuffix(".8")
        found = f"{prefix}/share/man/man8/{name}"
        assert root.run(f"man -M {quote(prefix)}/share/man -w {command}") == f"{found}\n"
        assert root.run(f"cat {quote(found)}").encode() == text
    for shell, place in COMPLETIONS.items():
        for file in (ROOT / "completions" / shell).iterdir():
            assert root.run(f"cat {quote(prefix)}/{place}/{file.name}") == file.read_text()
