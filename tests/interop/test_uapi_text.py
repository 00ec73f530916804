# SPDX-License-Identifier: MIT
"""The C `wg` on our engine and on wireguard-go: after the same commands it says the same.

Peers come in no particular order from wireguard-go, so texts are put in order before they
are compared; everything else is compared as it is.
"""

from __future__ import annotations

import re

import pytest

from tests.interop.hosts import C_WG, OURS, WIREGUARD_GO, Host, Hosts
from tests.interop.tunnel import genkey, genpsk, pubkey

PRIVATE, PSK = genkey(), genpsk()
A, B, C = (pubkey(genkey()) for _ in range(3))

BASE = f"""[Interface]
PrivateKey = {PRIVATE}
ListenPort = 51821
FwMark = 0x10

[Peer]
PublicKey = {A}
PresharedKey = {PSK}
AllowedIPs = 10.1.0.0/16, 10.2.3.4/32, fd00::/64
Endpoint = 192.0.2.7:51820
PersistentKeepalive = 25

[Peer]
PublicKey = {B}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = [2001:db8::7]:1
"""

# Each a story of `wg` commands; a `@text` argument becomes a file holding it.
STORIES = {
    "nothing": [],
    "setconf": [["setconf", "wg0", f"@{BASE}"]],
    "setconf replaces": [
        ["setconf", "wg0", f"@{BASE}"],
        ["setconf", "wg0", f"@[Interface]\nListenPort = 51822\n[Peer]\nPublicKey = {C}\n"],
    ],
    "addconf": [
        ["setconf", "wg0", f"@{BASE}"],
        ["addconf", "wg0", f"@[Peer]\nPublicKey = {C}\nAllowedIPs = 10.1.0.0/16\n"],
    ],
    "syncconf": [
        ["setconf", "wg0", f"@{BASE}"],
        ["syncconf", "wg0", f"@{BASE.replace('25', '30').replace(B, C)}"],
    ],
    "syncconf of the same": [["setconf", "wg0", f"@{BASE}"], ["syncconf", "wg0", f"@{BASE}"]],
    "set": [
        ["set", "wg0", "listen-port", "51830", "private-key", f"@{PRIVATE}", "fwmark", "7"],
        ["set", "wg0", "peer", A, "allowed-ips", "10.9.0.0/24,10.8.1.1/24"],
        ["set", "wg0", "peer", A, "endpoint", "192.0.2.1:9"],
        ["set", "wg0", "peer", A, "persistent-keepalive", "15", "preshared-key", f"@{PSK}"],
    ],
    "set clears": [
        ["setconf", "wg0", f"@{BASE}"],
        ["set", "wg0", "fwmark", "off", "private-key", "/dev/null"],
        ["set", "wg0", "peer", A, "persistent-keepalive", "off", "preshared-key", "/dev/null"],
        ["set", "wg0", "peer", A, "allowed-ips", ""],
    ],
    "allowed IP moves": [
        ["setconf", "wg0", f"@{BASE}"],
        ["set", "wg0", "peer", B, "allowed-ips", "10.1.0.0/16"],
        ["set", "wg0", "peer", C, "allowed-ips", "10.2.3.4/32"],
    ],
    "peer removed": [["setconf", "wg0", f"@{BASE}"], ["set", "wg0", "peer", A, "remove"]],
    "stranger removed": [["setconf", "wg0", f"@{BASE}"], ["set", "wg0", "peer", C, "remove"]],
    "itself as a peer": [
        ["setconf", "wg0", f"@{BASE}"],
        ["set", "wg0", "peer", pubkey(PRIVATE), "allowed-ips", "10.66.0.0/16"],
    ],
    "becomes its own peer": [
        ["set", "wg0", "listen-port", "51830", "peer", pubkey(PRIVATE)],
        ["set", "wg0", "private-key", f"@{PRIVATE}"],
    ],
    "keys of other forms": [
        ["set", "wg0", "listen-port", "51830", "private-key", f"@{'/' * 42}8="],
    ],
    "host bits": [
        ["set", "wg0", "listen-port", "51830"],
        ["set", "wg0", "peer", A, "allowed-ips", "10.77.1.2/15,fd77::1/7,10.76.9.9/15"],
    ],
}  # fmt: skip

FIELDS = [
    "public-key",
    "private-key",
    "listen-port",
    "fwmark",
    "peers",
    "preshared-keys",
    "endpoints",
    "allowed-ips",
    "latest-handshakes",
    "persistent-keepalive",
    "transfer",
    "dump",
]
SHOWN = [
    ["show"],
    ["show", "wg0"],
    ["show", "interfaces"],
    ["show", "all", "dump"],
    *(["show", "wg0", field] for field in FIELDS),
    ["showconf", "wg0"],
]


def in_order(text: str) -> str:
    """Peers sorted, and each peer's networks."""
    networks = re.compile(r"(?<=[ \t])[0-9a-f.:]+/\d+(?:,? [0-9a-f.:]+/\d+)*")
    text = networks.sub(lambda m: " ".join(sorted(re.split(",? ", m[0]))), text)
    if "\n\n" in text:
        head, *peers = text.rstrip("\n").split("\n\n")
        return "\n\n".join([head, *sorted(peers)])
    return "\n".join(sorted(text.splitlines()))


def tell(host: Host, story: list[list[str]]) -> list[tuple[int, str, str]]:
    """Everything the C `wg` said, and then says when asked."""
    said = []
    for number, words in enumerate([*story, *SHOWN]):
        files = [
            host.path(f"file{number}", w[1:] + "\n") if w.startswith("@") else w for w in words
        ]
        done = host.call(C_WG, *files, env={"WG_HIDE_KEYS": "never", "WG_COLOR_MODE": "never"})
        said.append((done.returncode, in_order(done.stdout), done.stderr))
    return said


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_same_text_as_on_wireguard_go(host: Hosts, story: list[list[str]]) -> None:
    heard = []
    for kind in (OURS, WIREGUARD_GO):
        one = host(kind)
        one.daemon(kind)
        if not story:
            # wireguard-go has a random port even before it is up: say which.
            story = [["set", "wg0", "listen-port", "51830"]]
        heard.append(tell(one, story))
    ours, theirs = heard
    for words, our, their in zip([*story, *SHOWN], ours, theirs, strict=True):
        assert our == their, words


def test_showconf_taken_again_changes_nothing(host: Hosts) -> None:
    one = host("one")
    one.daemon(OURS)
    one.run(C_WG, "setconf", "wg0", one.path("base", BASE))
    text = one.run(C_WG, "showconf", "wg0")
    one.run(C_WG, "setconf", "wg0", one.path("again", text))
    assert one.run(C_WG, "showconf", "wg0") == text
