# SPDX-License-Identifier: MIT
"""The same commands by our `wg` and by C `wg`, on real daemons: the same devices result."""

from __future__ import annotations

import pytest

from tests.interop.hosts import C_WG, OUR_WG, OURS, WIREGUARD_GO, Host, Hosts

A = "2MM6Up7zgrIBGXHV5AW/HijmDAFY5j3B2G+9I4ykZZM="
B = "ibkqKyafsP25cjSnGG1o1sllso4daWFYhQvu/BTtrOs="
C = "qvqh/OuUgyGukmljYjmOxfrWypJ+XR/xVUgdzCk+kMg="
PRIVATE = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
FIELDS = (
    *("public-key", "private-key", "fwmark", "peers", "preshared-keys"),
    *("endpoints", "allowed-ips", "latest-handshakes", "transfer", "persistent-keepalive"),
)


def steps(host: Host) -> list[list[str]]:
    """Words after the device's name, changing it one after the other."""
    key = host.path("key", PRIVATE + "\n")
    first = host.path(
        "first.conf",
        f"[Interface]\nPrivateKey = {PRIVATE}\n"
        f"[Peer]\nPublicKey = {A}\nAllowedIPs = 10.0.0.0/8, fd00::/64\nEndpoint = 192.0.2.1:5\n"
        f"[Peer]\nPublicKey = {B}\nPresharedKey = {C}\nPersistentKeepalive = 25\n",
    )
    second = host.path(
        "second.conf",
        f"[Interface]\nPrivateKey = {PRIVATE}\nFwMark = 0x20\n"
        f"[Peer]\nPublicKey = {A}\nAllowedIPs = 10.1.2.3/16\nEndpoint = [2001:db8::1]:7\n"
        f"[Peer]\nPublicKey = {C}\nAllowedIPs = 0.0.0.0/0\n",
    )
    more = host.path("more.conf", f"[Peer]\nPublicKey = {B}\nAllowedIPs = 10.1.0.0/16\n")
    return [
        ["set", "private-key", key, "fwmark", "0xcafe"],
        ["set", "peer", A, "allowed-ips", "10.0.0.1/8,::/0", "endpoint", "[::1]:5"],
        ["set", "peer", B, "preshared-key", key, "persistent-keepalive", "5"],
        ["set", "peer", B, "allowed-ips", "10.0.0.0/8", "peer", A, "persistent-keepalive", "off"],
        ["set", "peer", A, "remove", "fwmark", "bogus"],  # refused as a whole
        ["set", "peer", A, "remove"],
        ["setconf", first],
        ["addconf", more],
        ["syncconf", second],
        ["set", "private-key", "/dev/null"],
        ["setconf", "/dev/null"],
    ]


def text(host: Host, wg: str, *words: str) -> tuple[int, str, str]:
    done = host.call(wg, *words)
    # The two devices differ in their names and ports, the commands in their path.
    shown = [line for line in done.stdout.splitlines() if "istening port" not in line]
    plain = "\n".join(shown).replace("wgo", "NAME").replace("wgc", "NAME")
    return done.returncode, plain, done.stderr.replace(wg, "wg")


@pytest.mark.parametrize("kind", [WIREGUARD_GO, OURS])
def test_both_tools_leave_the_same_device(host: Hosts, kind: str) -> None:
    machine = host("a")
    for name in ("wgo", "wgc"):
        machine.daemon(kind, name)
        machine.run(OUR_WG, "set", name, "listen-port", "0")
    for verb, *words in steps(machine):
        ours = text(machine, OUR_WG, verb, "wgo", *words)
        theirs = text(machine, C_WG, verb, "wgc", *words)
        assert ours == theirs, words
        views = [["show", "{}"], ["showconf", "{}"]]
        if verb == "syncconf":  # once is enough for the fields one by one
            views += [["show", "{}", field] for field in FIELDS]
        for view in views:
            # Either tool must see the same in both devices; peers of wireguard-go come in
            # the order of a Go map.
            seen = {
                tuple(sorted(line for line in out.split("\n") if "ListenPort" not in line))
                for wg in (OUR_WG, C_WG)
                for name in ("wgo", "wgc")
                for _, out, _ in [text(machine, wg, *(word.format(name) for word in view))]
            }
            assert len(seen) == 1, (words, view)
