# SPDX-License-Identifier: MIT
"""The linter: what it says, where it points, and what it never shows."""

from __future__ import annotations

import pytest

from wgtools.crypto.x25519 import public_key
from wgtools.keys import Key
from wgtools.quick import lint, shellwords
from wgtools.quick.lint import ERROR, NOTE, WARNING, Surroundings

PRIVATE = "SORGYj8hT82v7mOW1jC/t0COKfHqUQP9t899AKiyxGs="
PEER = "wHVFptYnJNd5Pqc5/D5UGhPeJBZQd/F5i+tcO6EL5cc="
OTHER = "UDc3AK8HHT1Rvvc4Pv0IVA8ov08NH7M6hHBeR3C0w0M="
HEAD = f"[Interface]\nPrivateKey = {PRIVATE}\nAddress = 10.0.0.1/24\nListenPort = 51820\n"
ONE = f"[Peer]\nPublicKey = {PEER}\nAllowedIPs = 10.5.0.0/16\nEndpoint = 198.51.100.1:51820\n"
TWO = f"[Peer]\nPublicKey = {OTHER}\nAllowedIPs = 10.6.0.0/16\n"
AROUND = Surroundings(
    tables={"main": 254},
    bad_hook=lambda text: text == "if then",
    is_program=lambda word: word in ("iptables", "/usr/bin/logger"),
    public_key=lambda key: Key(public_key(bytes(key))),
)
Found = tuple[str, str, int, int]


def found(text: str, around: Surroundings = AROUND) -> list[Found]:
    some = lint.lint(text.encode(), "wg0.conf", around)
    return [(f.severity, f.code, f.line, f.column) for f in some]


def test_a_good_file_has_nothing_to_complain_of() -> None:
    assert found(HEAD + "PostUp = iptables -A FORWARD -i %i -j ACCEPT\n" + ONE + TWO) == []


OWN = Key(public_key(bytes(Key.from_base64(PRIVATE.encode())))).base64()


def test_of_what_is_no_text_nothing_more_is_said() -> None:
    assert len(found("\0".join(HEAD + ONE))) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD + ONE + ONE.replace("5.0", "6.0"), (ERROR, "key-reused", 10, 13)),
        (HEAD + ONE.replace(PEER, OWN), (ERROR, "own-key", 6, 13)),
        (
            HEAD + ONE + f"PresharedKey = {OTHER}\n" + TWO + f"PresharedKey = {OTHER}\n",
            (WARNING, "key-reused", 13, 16),
        ),
        (HEAD + ONE + f"PresharedKey = {PRIVATE}\n", (ERROR, "key-reused", 9, 16)),
        (HEAD + ONE + TWO.replace("10.6", "10.5"), (WARNING, "overlap", 11, 14)),
        (HEAD + ONE + TWO.replace("10.6.0.0/16", "10.5.7.0/24"), (NOTE, "overlap", 11, 14)),
        (HEAD + ONE.replace("198.51.100.1", "10.5.0.9"), (WARNING, "endpoint-inside", 8, 12)),
        (HEAD + ONE.replace("198.51.100.1", "10.0.0.9"), (WARNING, "endpoint-inside", 8, 12)),
        (HEAD + ONE.replace("10.5.0.0/16", "fd00::/8, 10.5.0.1/16"), (WARNING, "host-bits", 7, 24)),
        (HEAD.replace("0.0.1/24", "0.0.0/24") + ONE, (WARNING, "host-bits", 3, 11)),
        (HEAD.replace("\nL", ", 10.0.0.1/24\nL") + ONE, (ERROR, "repeated", 3, 24)),
        (HEAD + "ListenPort = 51821\n" + ONE, (WARNING, "repeated", 5, 14)),
        (HEAD.replace("51820", "70000") + ONE, (ERROR, "syntax", 4, 14)),
        (HEAD + "MTU = 67\n" + ONE, (ERROR, "syntax", 5, 7)),
        (HEAD + "DNS = 10.0.0.300\n" + ONE, (WARNING, "setting", 5, 7)),
        (HEAD + "DNS = dns..bad\n" + ONE, (WARNING, "setting", 5, 7)),
        (HEAD + "DNS = dns..bad\nBogus = 1\n" + ONE, (WARNING, "setting", 5, 7)),
        (HEAD + "DNS = 10.0.0.53,\n" + ONE, (WARNING, "setting", 5, 7)),
        (HEAD + "DNS = , 10.0.0.53\n" + ONE, (WARNING, "setting", 5, 7)),
        ("\0".join(HEAD + ONE), (ERROR, "not-text", 0, 0)),
        (HEAD + "PostUp = if then\n" + ONE, (ERROR, "syntax", 5, 10)),
        (HEAD + "PostUp = a=1; /no/such x\n" + ONE, (WARNING, "hook", 5, 15)),
        (HEAD + "AdressX = 1\n" + ONE, (ERROR, "unknown-key", 5, 1)),
        (HEAD + "[Pear]\n" + ONE, (ERROR, "unknown-section", 5, 1)),
        (HEAD + "Address\n" + ONE, (ERROR, "syntax", 5, 1)),
        (HEAD + "[Peer]\nAllowedIPs = 10.5.0.0/16\n", (ERROR, "missing-key", 5, 1)),
        (HEAD.replace("PrivateKey", "#") + ONE, (WARNING, "missing-key", 1, 1)),
        (HEAD + ONE.replace("AllowedIPs", "#"), (WARNING, "missing-allowed-ips", 5, 1)),
        (HEAD.replace("ListenPort", "#") + TWO, (WARNING, "unreachable", 5, 1)),
        (ONE, (WARNING, "no-section", 0, 0)),
        (HEAD + ONE.replace(PEER, PRIVATE), (ERROR, "own-key", 6, 13)),
        (HEAD + ONE.replace("198.51.100.1", "https://a.example"), (ERROR, "syntax", 8, 12)),
        (HEAD + ONE.replace("198.51.100.1", "198.51.100.300"), (ERROR, "syntax", 8, 12)),
        (HEAD + ONE.replace("198.51.100.1", "198.51.100.1.1"), (ERROR, "syntax", 8, 12)),
        (HEAD + ONE.replace("198.51.100.1", "2001:db8::1"), (WARNING, "setting", 8, 12)),
        (HEAD + ONE.replace("1:51820", "1:0"), (WARNING, "setting", 8, 12)),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_each_rule_points_at_its_place(text: str, expected: Found) -> None:
    assert expected in found(text)


@pytest.mark.parametrize(
    "endpoint",
    ["192.0.2:51820", "1.2.3.example:wg", "[2001:db8::1]:51820", "[fe80::1%eth0]:1", "010.1.1.1:9"],
)
def test_endpoints_that_can_be_meant(endpoint: str) -> None:
    assert found(HEAD + ONE.replace("198.51.100.1:51820", endpoint)) == []


def test_two_sections_of_one_peer_take_nothing_from_each_other() -> None:
    more = ONE.replace("/16", "/16, 10.5.7.0/24")
    assert [code for _, code, _, _ in found(HEAD + ONE + more)] == ["key-reused"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (HEAD.replace("Address", "Adress") + ONE, 3),
        (HEAD.replace("Address =", "Address") + ONE, 3),
        (HEAD.replace("PrivateKey =", "PrivateKey:") + ONE, 2),
        (HEAD.replace("ListenPort", "ListenPrt") + TWO, 4),
        (HEAD + ONE.replace("AllowedIPs", "AlowedIPs"), 7),
        (HEAD.replace("ListenPort = 51820\n", "") + ONE.replace("Endpoint", "Endpont"), 7),
    ],
)
def test_what_is_misspelt_is_not_said_to_be_missing_too(text: str, line: int) -> None:
    (remark,) = found(text)
    assert (remark[0], remark[2]) == (ERROR, line)


def test_what_another_peer_lacks_is_said_beside_a_misspelt_line() -> None:
    text = HEAD + ONE.replace("AllowedIPs", "AlowedIPs") + TWO.replace("AllowedIPs", "#")
    assert (WARNING, "missing-allowed-ips", 9, 1) in found(text)
    assert (WARNING, "missing-allowed-ips", 5, 1) not in found(text)


def test_a_full_tunnel_may_hold_its_endpoint() -> None:
    assert found(HEAD + ONE.replace("10.5.0.0/16", "0.0.0.0/0, ::/0")) == []


def test_hooks_may_set_the_private_key() -> None:
    text = HEAD.replace(f"PrivateKey = {PRIVATE}", "PostUp = /usr/bin/logger private-key")
    assert found(text + ONE) == []


def test_a_byte_order_mark_is_called_one() -> None:
    first, *_ = lint.lint(("\ufeff" + HEAD + ONE).encode(), "wg0.conf", AROUND)
    assert (first.severity, first.line) == (ERROR, 1)
    assert "byte-order mark" in first.message
    assert found("\ufeff" + HEAD + ONE) == [(ERROR, "syntax", 1, 1)]


def test_world_readable() -> None:
    around = Surroundings(is_program=lambda _: True, world_accessible=True)
    assert found(HEAD + ONE, around) == [(WARNING, "world-readable", 0, 0)]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("AlowedIPs = 10.0.0.0/8", "AllowedIPs"),
        ("Adress = 10.0.0.1/24", "Address"),
        ("PublicKey = x", "belongs under [Peer]"),
        ("// home", "a comment begins with #"),
        ("; home", "a comment begins with #"),
        ("mtu 1420", "write MTU = VALUE"),
        ("DNS: 10.0.0.53", "write DNS = VALUE"),
        ("peer", "write [Peer]"),
        (": :", "write KEY = VALUE"),
    ],
)
def test_did_you_mean(line: str, hint: str) -> None:
    (remark,) = lint.lint((HEAD + line + "\n" + ONE).encode(), "wg0.conf", AROUND)
    assert hint in remark.hint


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("10.5.0.0/16", "", "there is no network here", "or the line"),
        ("10.5.0.0/16", "10.5.0.0/16,", "there is no network here", "the comma"),
        ("10.5.0.0/16", "10.5.0.0/16 10.6.0.0/16", "`10.5.0.0/16 10.6.0.0/16'", "put a comma"),
        ("10.5.0.0/16", "10.5.0.0/40 # a b", "`10.5.0.0/40' is not a network", "write IP/LENGTH"),
        (PEER, f'"{PEER}"', "Key is not the correct length", "take out the quotation marks"),
    ],
)
def test_the_remedy_is_that_of_the_mistake(old: str, new: str, message: str, hint: str) -> None:
    (remark,) = lint.lint((HEAD + ONE.replace(old, new)).encode(), "wg0.conf", AROUND)
    assert remark.message.startswith(message)
    assert hint in remark.hint


def test_a_private_key_in_the_place_of_a_public_one_is_not_shown() -> None:
    text = (HEAD + ONE.replace(PEER, PRIVATE) + TWO).encode()
    assert lint.excerpt(text, 6) == "PublicKey = (hidden)"
    assert lint.excerpt(text, 10) == f"PublicKey = {OTHER}"


@pytest.mark.parametrize(
    "line",
    [
        f"PrivateKey = {PRIVATE[:-2]}",
        f"PrivateKey = {PRIVATE}x",
        f"PrivatKey = {PRIVATE}",
        f"PresharedKey={PRIVATE}",
        PRIVATE,
        f"PublicKey = {PRIVATE[:-1]}",
        f"# {PRIVATE}",
        f"PostUp = wg set %i private-key <(echo {PRIVATE})",
        f"AllowedIPs = {PRIVATE}",
        f"Endpoint = {PRIVATE}",
    ],
)
def test_no_key_is_ever_shown(line: str) -> None:
    text = f"[Interface]\n{line}\n[Peer]\n{line}\n".encode()
    shown = repr(lint.lint(text, "wg0.conf", AROUND))
    shown += "".join(lint.excerpt(text, number) for number in range(1, 6))
    assert PRIVATE[:20] not in shown


def test_excerpts_keep_their_columns() -> None:
    text = b"Address\t= 10.0.0.1/33 # \x1b[31mred"
    assert lint.excerpt(text, 1) == "Address = 10.0.0.1/33 # ?[31mred"
    assert lint.excerpt(text, 2) == ""


def test_any_bytes_are_survived() -> None:
    for data in (b"", b"\xff\xfe=\0[", b"[Interface\n=", b"[Peer]\nPublicKey=\xe9\nAllowedIPs=,,"):
        lint.lint(data, "wg0.conf", AROUND)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("iptables -A x; /opt/a b && c | d", ["iptables", "/opt/a", "c", "d"]),
        ("A=1 B=2 prog x=y", ["prog"]),
        ("echo hi > /tmp/x", []),
        ("if [ -e /x ]; then prog; fi", ["prog"]),
        ("for i in a b; do prog; done", []),
        ("$PROG x; `which x` y", []),
        ('"un closed', []),
        ("! prog & (sub)", ["prog", "sub"]),
        ("cat < file 2>&1", ["cat"]),
        ("prog # comment; other", ["prog"]),
    ],
)
def test_programs_of_a_shell_line(line: str, words: list[str]) -> None:
    assert [word for word, _ in shellwords.programs(line)] == words


@pytest.mark.parametrize(
    "peer", ["PublicKey = {}\nAllowedIPs = 10.{}.{}.1/32\nEndpoint = 192.0.2.1:5", "PublicKy = {}"]
)
def test_thousands_of_peers_take_no_time(peer: str) -> None:
    """They took 15 s when each was compared with all: more than a test may."""
    rows = ["[Interface]"]
    for n in range(5_000):
        key = Key(n.to_bytes(32, "little")).base64()
        rows += ["[Peer]", peer.format(key, n >> 8, n & 255)]
    found = lint.lint("\n".join(rows).encode(), "wg0.conf", Surroundings())
    assert "endpoint-inside" not in {each.code for each in found}


def test_the_first_network_that_holds_an_endpoint_is_named() -> None:
    text = "[Interface]\nPrivateKey = {0}\n[Peer]\nPublicKey = {1}\nEndpoint = 10.1.2.3:5\n"
    text += "AllowedIPs = 0.0.0.0/0, 10.2.0.0/16, 10.1.2.0/24, 10.0.0.0/8\n"
    keys = [Key(bytes([n]) * 32).base64() for n in (8, 9)]
    found = lint.lint(text.format(*keys).encode(), "wg0.conf", Surroundings())
    (inside,) = [each.message for each in found if each.code == "endpoint-inside"]
    assert inside.startswith("the endpoint lies in 10.1.2.0/24, ")
