# SPDX-License-Identifier: MIT
"""`wg-quick up` and `down` on the kernel's WireGuard with a full tunnel, ours and Debian's in
turn: either takes down what the other brought up, and nothing is left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.inside.commands import BIN
from tests.kernel.inside.tunnel import Tunnel

OURS, THEIRS = str(BIN / "wg-quick"), "/usr/bin/wg-quick"
# Behind the far side; the near one has no other way there.
BEYOND = {4: "203.0.113.9", 6: "2001:db8:9::9"}
HOST = """
ip -4 rule; ip -6 rule
ip -4 route show table all; ip -6 route show table all
ip -o link | sed 's/^[0-9]*: //'; ip -o address | sed 's/^[0-9]*: //'
nft list ruleset
ls /run/wireguard 2>/dev/null || :
"""


@pytest.fixture(scope="module")
def tunnel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tunnel]:
    made = Tunnel(tmp_path_factory.mktemp("quick"))
    made.engine.script("".join(f"ip address add {a} dev lo\n" for a in BEYOND.values()))
    made.kernel.run("ip", "link", "delete", "wg0")
    yield made
    made.close()


@pytest.fixture
def conf(tunnel: Tunnel, tmp_path: Path) -> Iterator[str]:
    near, far = tunnel.kernel, tunnel.engine
    path = tmp_path / "wg0.conf"
    path.write_text(
        f"[Interface]\nPrivateKey = {near.private}\n"
        f"Address = {near.inner[4]}/24, {near.inner[6]}/64\n"
        f"[Peer]\nPublicKey = {far.public}\nEndpoint = {far.under[4]}:51820\n"
        "AllowedIPs = 0.0.0.0/0, ::/0\n"
    )
    path.chmod(0o600)
    far.run(
        "wg", "set", "wg0", "private-key", key_file(tmp_path, far.private), "listen-port", "51820"
    )
    # Known anew: the near side forgets its counters with each interface.
    far.run("wg", "set", "wg0", "peer", near.public, "remove")
    allowed = f"{near.inner[4]}/32,{near.inner[6]}/128"
    far.run("wg", "set", "wg0", "peer", near.public, "allowed-ips", allowed)
    yield str(path)
    near.script("ip link delete wg0 2>/dev/null || :")  # after a failure


def key_file(place: Path, text: str) -> str:
    path = place / "key"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("up", "down"),
    [(OURS, OURS), (OURS, THEIRS), (THEIRS, OURS)],
    ids=["ours", "up-by-ours", "up-by-theirs"],
)
def test_full_tunnel(tunnel: Tunnel, conf: str, up: str, down: str) -> None:
    near = tunnel.kernel
    before = near.script(HOST)
    shown = near.run("sh", "-ec", f"exec {up} up {conf} 2>&1")
    assert "[#] ip link add dev wg0 type wireguard" in shown.replace("add wg0", "add dev wg0")
    assert "[!]" not in shown
    (link,) = json.loads(near.run("ip", "-details", "-json", "link", "show", "wg0"))
    assert link["linkinfo"]["info_kind"] == "wireguard"
    mark = near.run("wg", "show", "wg0", "fwmark").strip()
    assert mark == "0xca6c"
    between = near.script(HOST)
    for family in (4, 6):
        rules = near.run("ip", f"-{family}", "rule")
        assert f"not from all fwmark {mark} lookup 51820" in rules
        assert "lookup main suppress_prefixlength 0" in rules
        near.ping(BEYOND[family])
    assert "table ip wg-quick-wg0" in between
    assert "table ip6 wg-quick-wg0" in between
    near.run(down, "down", conf)
    assert near.script(HOST) == before
