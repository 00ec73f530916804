# SPDX-License-Identifier: MIT
"""Our `wg` and Debian's C `wg` side by side, on what nobody thought of recording.

Hypothesis makes daemons' replies, words for `set` and configuration files; both commands
get the same, and must leave the same exit status, texts and requests.  What Debian's
older release does otherwise is not generated: signs before allowed IPs, `syncconf` with
a preshared key or keepalive to clear, `show all endpoints`, names over 15 bytes; nor is
what docs/decisions/0003 changes.
"""

from __future__ import annotations

import base64
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.golden.shapes import named_wg
from tests.golden.worker import to_bytes
from tests.golden.world import World
from wgtools.inet import PORT_MAX, port_number

Case = dict[str, Any]
Run = Callable[[Case], Case]
Both = tuple[Run, Run]

USAGE = re.compile(rb"(?m)^(Usage: wg [a-z]+).*$")
OURS = Path(sys.executable).parent / "wg"
THEIRS = Path("/usr/bin/wg")
THOROUGH = settings(
    max_examples=int(os.environ.get("WGTOOLS_EXAMPLES", "80")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    said = subprocess.run([THEIRS, "--version"], capture_output=True, text=True, check=True).stdout
    if "wgtools" in said or "v1.0.2021" not in said:
        pytest.skip(f"{THEIRS} is not the C wg whose differences are known: {said.strip()}")
    try:
        worlds = [World(str(path), tmp_path_factory.mktemp("pyc")) for path in (OURS, THEIRS)]
    except RuntimeError as error:
        pytest.skip(str(error))
    yield worlds[0].run, worlds[1].run
    for world in worlds:
        world.close()


def outcome(result: Case) -> Case:
    """What must be the same; the prose of usage lines need not."""
    return {
        "exit": result["exit"],
        "stdout": to_bytes(result["stdout"]),
        "stderr": USAGE.sub(rb"\1", named_wg(to_bytes(result["stderr"]) or b"")),
        "requests": [to_bytes(text) for text in result["uapi_set_requests"]],
    }


def agree(both: Both, case: Case) -> None:
    whole: Case = {"stdin": None, "env": {}, "files": {}, "iface": "wg0", "uapi_get_reply": None}
    whole |= case
    whole["env"] = {"WG_ENDPOINT_RESOLUTION_RETRIES": "0", **whole["env"]}
    ours, theirs = (outcome(run(whole)) for run in both)
    assert ours == theirs


# ------------------------------------------------------------------ what both are given

RAW = st.one_of(st.binary(min_size=32, max_size=32), st.sampled_from([bytes(32), b"\xff" * 32]))
HEX = RAW.map(bytes.hex) | st.sampled_from(["", "0", "0" * 63, "0" * 65, "g" * 64, "A" * 64])


def text_of(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def flat(lists: Iterable[list[str]]) -> list[str]:
    return list(itertools.chain.from_iterable(lists))


BASE64 = RAW.map(text_of) | st.sampled_from(
    ["", "x", "A" * 43, "A" * 44, "A" * 42 + "B=", "=" * 44]
)
NUMBERS = st.one_of(
    st.integers(0, 2**65).map(str),
    st.integers(0, 65535).map(str),
    st.sampled_from(["", "0", "00", "-0", "-1", "+1", " 1", "1 ", "1_0", "0x10", "1e3", "9" * 30]),
    st.sampled_from([str(2**n + d) for n in (16, 31, 32, 63, 64) for d in (-1, 0, 1)]),
)
PORTS = st.integers(0, 65535).map(str) | st.sampled_from(["", "domain", "x", "0080", "tcponly"])
MARKS = NUMBERS | st.sampled_from(["off", "OFF", "0x", "0xg", "0xffffffff", "0x100000000", "0X1"])
V4 = st.ip_addresses(v=4).map(str) | st.sampled_from(["1.2.3", "01.2.3.4", "1.2.3.256", "", "x"])
V6 = st.ip_addresses(v=6).map(str) | st.sampled_from(
    ["::", "::1:2", "::ffff:1.2.3.4", "::1.2.3.4", "1::2::3", ":::", "fe80::1", "::1%lo", "12345::"]
)
LENGTHS = st.integers(0, 128).map("/{}".format) | st.sampled_from(["", "/", "/+1", "/033", "/ 8"])
NETWORK = st.tuples(V4 | V6, LENGTHS).map("".join)
HOSTS = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map("[{}]".format),
    st.ip_addresses(v=6).map(str),
    st.sampled_from(["", "[]", "v4.test", "v6.test", "dual.test", "[v4.test]", "127.1", "0x7f.1"]),
    st.sampled_from(["fe80::1%lo", "[fe80::1%1]", "[fe80::1%77]", "fe80::1%nosuch", "::1%lo"]),
    st.sampled_from(["ff02::1%lo", "nosuch.test", "[::1", "a]", "1", "1.2.3.4.5", "2130706433"]),
)
ENDPOINTS = (
    st.tuples(HOSTS, st.sampled_from([":", ":", ":", ""]), PORTS)
    .map("".join)
    .filter(lambda text: (port_number(text.rpartition(":")[2].encode()) or 0) <= PORT_MAX)
)
RESOLVING = st.one_of(
    st.tuples(st.ip_addresses(v=4).map(str), st.integers(0, 65535).map(":{}".format)),
    st.tuples(st.ip_addresses(v=6).map("[{}]".format), st.integers(0, 65535).map(":{}".format)),
    st.tuples(st.sampled_from(["v4.test", "[fe80::1%lo]", "[fe80::1%7]"]), st.just(":7")),
    st.sampled_from([("", ""), ("x", ""), ("[::1", ":1"), ("1.2.3.4", ":"), ("::1", "")]),
).map("".join)


def lines(*keys: tuple[str, st.SearchStrategy[str]]) -> st.SearchStrategy[str]:
    return st.one_of(
        *(
            value.map(lambda text, key=key: f"{key}={text}")  # type: ignore[misc]  # has a default
            for key, value in keys
        )
    )


HANDSHAKES = st.sampled_from(["0", "4000000000", "9223372036854775807", "9223372036854775808", "x"])
# Lengths over 128 would be taken modulo 256 by C; numbers stay in range more often than not.
REPLY_LINE = lines(
    ("public_key", HEX),
    ("public_key", RAW.map(bytes.hex)),
    ("private_key", HEX),
    ("listen_port", NUMBERS),
    ("fwmark", NUMBERS),
    ("preshared_key", HEX),
    ("endpoint", RESOLVING),
    ("persistent_keepalive_interval", NUMBERS),
    ("allowed_ip", NETWORK),
    ("last_handshake_time_sec", HANDSHAKES),
    ("last_handshake_time_nsec", NUMBERS),
    ("rx_bytes", NUMBERS),
    ("tx_bytes", NUMBERS),
    ("errno", st.sampled_from(["0", "0", "0", "1", "13", "-1", "x", "2147483648"])),
    ("unknown", st.text("ab=", max_size=3)),
    ("protocol_version", st.just("1")),
)
SMALL = st.integers(0, 65535).map(str)
GOOD_PEER = st.tuples(
    RAW.map(bytes.hex).map("public_key={}\n".format),
    RAW.map(bytes.hex).map("preshared_key={}\n".format) | st.just(""),
    st.ip_addresses().map("endpoint=[{}]:5\n".format) | st.just(""),
    SMALL.map("persistent_keepalive_interval={}\n".format),
    st.lists(st.ip_addresses().map("allowed_ip={}/16\n".format), max_size=3).map("".join),
    st.integers(0, 2**64 - 1).map("rx_bytes={}\n".format),
    st.integers(0, 2**50).map("tx_bytes={}\n".format),
    st.sampled_from(["", "last_handshake_time_sec=4000000000\n"]),
    st.integers(0, 9).map("last_handshake_time_nsec={}\n".format),
).map("".join)
GOOD_REPLY = st.tuples(
    st.sampled_from(["", f"private_key={'0b' * 32}\n", f"private_key={'0' * 64}\n"]),
    SMALL.map("listen_port={}\n".format),
    st.integers(0, 2**32 - 1).map("fwmark={}\n".format) | st.just(""),
    st.lists(GOOD_PEER, max_size=4).map("".join),
).map(lambda parts: "".join(parts) + "errno=0\n\n")
BAD_REPLY = st.tuples(
    st.lists(REPLY_LINE, max_size=6).map(lambda found: "".join(f"{line}\n" for line in found)),
    st.sampled_from(["errno=0\n\n", "errno=0\n\n", "errno=0\n", "\n", "", "junk\n\n", "errno=0"]),
).map("".join)
FIELDS = ["public-key", "private-key", "listen-port", "fwmark", "peers", "preshared-keys", "dump"]
FIELDS += ["endpoints", "allowed-ips", "latest-handshakes", "transfer", "persistent-keepalive"]
SHOWS = st.one_of(
    st.sampled_from([[], ["wg0"], ["all"], ["interfaces"], ["wg0", "bogus"], ["wg1"]]),
    st.sampled_from(FIELDS).map(lambda field: ["wg0", field]),
    st.sampled_from([f for f in FIELDS if f != "endpoints"]).map(lambda field: ["all", field]),
).map(lambda words: ["show", *words])
VIEWS = SHOWS | st.just(["showconf", "wg0"])
LOOKS = st.fixed_dictionaries(
    {},
    optional={
        "WG_COLOR_MODE": st.sampled_from(["always", "never", "auto", ""]),
        "WG_HIDE_KEYS": st.sampled_from(["never", "always", ""]),
    },
)


@THOROUGH
@given(reply=GOOD_REPLY, argv=VIEWS, env=LOOKS)
def test_what_a_device_looks_like(both: Both, reply: str, argv: list[str], env: Case) -> None:
    agree(both, {"argv": argv, "uapi_get_reply": reply, "env": env})


@THOROUGH
@given(reply=BAD_REPLY, argv=VIEWS)
@example(reply="\n", argv=["show", "wg0"])
@example(reply="errno=0\0\n\n", argv=["show", "wg0"])
@example(reply="=\n=1\nerrno=0\n\n", argv=["show", "wg0"])
def test_odd_replies(both: Both, reply: str, argv: list[str]) -> None:
    agree(both, {"argv": argv, "uapi_get_reply": reply})


LISTS = st.lists(NETWORK, max_size=3).map(",".join) | st.sampled_from([",", " 10.0.0.0/8 ,\t::/0"])
DEVICE_WORDS = st.one_of(
    PORTS.map(lambda x: ["listen-port", x]),
    MARKS.map(lambda x: ["fwmark", x]),
    st.sampled_from(["key", "empty", "short", "tail", "nosuch", ".", "/dev/null"]).map(
        lambda x: ["private-key", x]
    ),
)
PEER_WORDS = st.one_of(
    st.just(["remove"]),
    ENDPOINTS.map(lambda x: ["endpoint", x]),
    NUMBERS.map(lambda x: ["persistent-keepalive", x]),
    LISTS.map(lambda x: ["allowed-ips", x]),
    st.sampled_from(["key", "empty", "tail"]).map(lambda x: ["preshared-key", x]),
)
PEER_GROUP = st.tuples(
    BASE64.map(lambda x: ["peer", x]), st.lists(PEER_WORDS, max_size=3).map(flat)
).map(flat)
STRAY = st.sampled_from(
    [[], [], [], [], ["bogus"], ["peer"], ["remove"], ["endpoint", "a:1"], [""]]
)
SET_WORDS = st.tuples(
    st.lists(DEVICE_WORDS, max_size=2).map(flat),
    st.lists(PEER_GROUP, max_size=2).map(flat),
    STRAY,
).map(flat)
KEY = text_of(b"\x0b" * 32)
FILES = {"key": f"{KEY}\n", "empty": "", "short": "x\n", "tail": f"{KEY}\nx"}
SET_REPLIES = st.sampled_from(["errno=0\n\n"] * 4 + ["errno=-22\n\n", "errno=1\n\n", "x\n\n", "\n"])


@THOROUGH
@given(words=SET_WORDS, reply=SET_REPLIES)
def test_words_of_set(both: Both, words: list[str], reply: str) -> None:
    argv = ["set", "wg0", *words]
    agree(both, {"argv": argv, "files": FILES, "uapi_set_reply": reply})


@THOROUGH
@given(text=ENDPOINTS)
def test_endpoints(both: Both, text: str) -> None:
    agree(both, {"argv": ["set", "wg0", "peer", KEY, "endpoint", text]})


@THOROUGH
@given(text=LISTS)
def test_lists_of_networks(both: Both, text: str) -> None:
    agree(both, {"argv": ["set", "wg0", "peer", KEY, "allowed-ips", text]})


def spaced(line: str) -> st.SearchStrategy[str]:
    """The line with blanks and a comment where they do not matter, in some letter case."""
    key, equals, value = line.partition("=")
    return st.tuples(
        st.sampled_from(["", "", " ", "\t"]),
        st.sampled_from([key, key, key.lower(), key.upper(), key[:2] + " " + key[2:]]),
        st.sampled_from([equals, f" {equals} ", f"\t{equals}\v"]),
        st.sampled_from([value, value, value[:3] + " " + value[3:]]),
        st.sampled_from(["", "", "\r", " # comment", "#", "\f"]),
    ).map("".join)


INTERFACE_LINE = lines(("ListenPort", PORTS), ("FwMark", MARKS), ("PrivateKey", BASE64))
PEER_LINE = lines(
    ("PublicKey", BASE64),
    ("PresharedKey", BASE64),
    ("AllowedIPs", LISTS),
    ("Endpoint", ENDPOINTS),
    ("PersistentKeepalive", NUMBERS),
)
GOOD_SECTION = st.one_of(
    st.tuples(
        st.just("[Interface]"), st.sampled_from(["", "ListenPort=7", f"PrivateKey={KEY}"])
    ).map("\n".join),
    st.tuples(
        st.just("[Peer]"),
        RAW.map(text_of).map("PublicKey={}".format),
        st.sampled_from(["", "Endpoint=v4.test:5", "PersistentKeepalive=off", "AllowedIPs=::/0"]),
    ).map("\n".join),
)
ANY_LINE = st.one_of(
    INTERFACE_LINE.flatmap(spaced),
    PEER_LINE.flatmap(spaced),
    st.sampled_from(["", "#", "[Peer]", "[PEER]", "[ interface ]", "[x]", "Address=1.2.3.4/5"]),
)
CONF = st.one_of(
    st.lists(GOOD_SECTION | ANY_LINE, max_size=6),
    st.lists(GOOD_SECTION, max_size=5),
    PEER_LINE.flatmap(spaced).map(lambda line: ["[Peer]", f"PublicKey={KEY}", line]),
    INTERFACE_LINE.flatmap(spaced).map(lambda line: ["[Interface]", line]),
).map("\n".join)


@THOROUGH
@given(text=CONF, verb=st.sampled_from(["setconf", "addconf"]))
@example(text="[Interface]\0junk\nListenPort = 5\0\0x", verb="setconf")
@example(text="\ufeff[Interface]", verb="setconf")
@example(text="[Interface]\nListenPort\u00a0=5", verb="setconf")
def test_configurations(both: Both, text: str, verb: str) -> None:
    agree(both, {"argv": [verb, "wg0", "conf"], "files": {"conf": text}})


KNOWN_KEYS = [bytes([n]) * 32 for n in (3, 1, 2)]
FILE_PEERS = st.lists(st.sampled_from(KNOWN_KEYS), max_size=4)


@THOROUGH
@given(in_file=FILE_PEERS, in_device=FILE_PEERS, header=GOOD_SECTION)
def test_syncconf(both: Both, in_file: list[bytes], in_device: list[bytes], header: str) -> None:
    sections = [f"[Peer]\nPublicKey={text_of(raw)}\nAllowedIPs=10.0.0.0/8" for raw in in_file]
    reply = "".join(f"public_key={raw.hex()}\n" for raw in in_device)
    agree(
        both,
        {
            "argv": ["syncconf", "wg0", "conf"],
            "files": {"conf": "\n".join([header, *sections])},
            "uapi_get_reply": f"{reply}errno=0\n\n",
        },
    )


@THOROUGH
@given(
    text=st.one_of(
        BASE64,
        st.tuples(BASE64, st.sampled_from(["\n", " \n", "\0", "\n\0\t", "x", "\nx", "="])).map(
            "".join
        ),
    )
)
def test_pubkey(both: Both, text: str) -> None:
    agree(both, {"argv": ["pubkey"], "stdin": text})
