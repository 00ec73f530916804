# SPDX-License-Identifier: MIT
"""plan, reload and status on throw-away hosts: what they say, and what becomes of the host."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.interop.hosts import BIN, OUR_WG, Host, wait_for
from wgtools.crypto.x25519 import public_key
from wgtools.keys import Key

QUICK = str(BIN / "wg-quick")
A, B, C = (Key.from_entropy(bytes([n]) * 32) for n in (1, 2, 3))
# A host has no directory of its own in /etc, and needs no resolver: paths, and no DNS.
ALONE = {"WG_QUICK_DNS": "none"}
STATE = """
ip -d link; ip addr; ip route show table all; ip -6 route show table all; ip rule; ip -6 rule
nft list ruleset; ls -lA --time-style=+%s%N /run /run/wgtools /run/wireguard; cat /etc/resolv.conf
sysctl -a -r 'net.ipv[46].conf|forward'
"""


def public(key: Key) -> str:
    return Key(public_key(bytes(key))).base64()


def file(
    own: Key, number: int, peer: Key, *, allowed: str, port: int = 51820, more: str = ""
) -> str:
    return (
        f"[Interface]\nPrivateKey = {own.base64()}\nListenPort = {port}\n"
        f"Address = 10.9.0.{number}/24, fd09::{number}/64\n{more}"
        f"[Peer]\nPublicKey = {public(peer)}\nAllowedIPs = {allowed}\n"
        f"Endpoint = 192.0.2.{3 - number}:51820\n"
    )


class Machine:
    """A host with a configuration of its own."""

    def __init__(self, host: Host, text: str) -> None:
        self.host = host
        directory = host.directory / host.name
        directory.mkdir(mode=0o700)
        self.file = directory / "wg0.conf"
        self.file.touch(mode=0o600)
        self.file.write_text(text)

    def quick(self, *words: str, status: int = 0, env: dict[str, str] | None = None) -> str:
        """Everything it said, its stdout first."""
        done = self.host.call(QUICK, *words, str(self.file), env=ALONE | (env or {}))
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def json(self, *words: str, status: int = 0) -> Any:
        done = self.host.call(QUICK, *words, "--json", str(self.file), env=ALONE)
        assert done.returncode == status, done.stdout + done.stderr
        record = json.loads(done.stdout)
        assert record["format_version"] == "1.0"
        return record

    def state(self) -> str:
        wait_for("IPv6 addresses", lambda: not self.host.ip("-6 addr show tentative"))
        # Timers of the system go on by themselves.
        text = self.host.call("sh", "-c", STATE).stdout
        return re.sub(r"(expires|valid_lft|preferred_lft|total) \S+", "", text)

    def edit(self, *changes: tuple[str, str]) -> None:
        text = self.file.read_text()
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        self.file.write_text(text)


@pytest.fixture
def pair_up(pair: tuple[Host, Host]) -> tuple[Machine, Machine]:
    """Both ends of a tunnel, up."""
    a, b = pair
    one = Machine(a, file(A, 1, B, allowed="10.9.0.2/32, fd09::2/128, 10.5.0.0/16"))
    two = Machine(b, file(B, 2, A, allowed="10.9.0.1/32, fd09::1/128"))
    one.quick("up")
    two.quick("up")
    assert a.ping("10.9.0.2") == 3
    return one, two


def commands(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("[#]")]


@pytest.mark.parametrize(
    ("allowed", "more", "env"),
    [
        ("10.9.0.2/32, 10.5.0.0/16, fd05::/48", "MTU = 1380\nPostUp = true %i\n", {}),
        ("0.0.0.0/0, ::/0", "", {"WG_QUICK_DNS": "file"}),
        ("10.5.0.0/16", "FwMark = 77\nTable = 1234\n", {"WG_QUICK_ENGINE": "wireguard-go"}),
    ],
    ids=["narrow", "full", "table"],
)
def test_plan_is_what_up_does_and_touches_nothing(
    pair: tuple[Host, Host], allowed: str, more: str, env: dict[str, str]
) -> None:
    here = Machine(pair[0], file(A, 1, B, allowed=allowed, more=more))
    before = here.state()
    planned = here.quick("plan", status=2, env=env)
    dry = here.quick("up", "--dry-run", status=2, env=env)
    assert here.state() == before
    done = here.quick("up", env=env)
    assert commands(planned) == commands(dry) == commands(done) != []
    before = here.state()
    assert "is up, and as" in here.quick("plan", env=env)
    assert here.quick("reload", env=env).startswith("wg0 was already as")
    unlocked = re.compile(r".*(lock|total).*\n|.*wgtools\n")  # reload holds a lock
    assert unlocked.sub("", here.state()) == unlocked.sub("", before)
    here.quick("down", env=env)


def counters(host: Host) -> dict[str, int]:
    rows = host.run(OUR_WG, "show", "wg0", "latest-handshakes").split("\n")
    return {key: int(when) for key, when in (row.split("\t") for row in rows if row)}


def test_pings_go_on_through_a_reload(pair_up: tuple[Machine, Machine]) -> None:
    here, there = pair_up
    handshake = counters(here.host)
    pings = here.host.start("ping", "-n", "-i", "0.02", "-c", "150", "-W", "3", "10.9.0.2")
    received = int(here.host.run(OUR_WG, "show", "wg0", "transfer").split()[1])
    here.edit(
        ("10.5.0.0/16", "10.6.0.0/16, 10.7.0.0/16"),
        ("fd09::1/64", "fd09::1/64, 10.8.0.1/24"),
        ("[Peer]", "MTU = 1400\n[Peer]"),
    )
    with here.file.open("a") as text:
        text.write(f"PersistentKeepalive = 9\n[Peer]\nPublicKey = {public(C)}\n")
        text.write("AllowedIPs = 10.9.0.3/32\n")
    assert here.json("plan", status=2)["changes"] is True
    changed = here.json("reload")["changed"]
    assert {(one["action"], one["subject"]) for one in changed} == {
        *(("change", "peer"), ("add", "peer"), ("add", "address"), ("change", "mtu")),
        *(("add", "route"), ("remove", "route")),
    }
    assert here.json("plan")["differences"] == []
    here.edit((f"[Peer]\nPublicKey = {public(C)}\nAllowedIPs = 10.9.0.3/32\n", ""))
    here.quick("reload")
    output, _ = pings.communicate(timeout=30)
    assert b"150 packets transmitted, 150 received" in output
    assert counters(here.host) == handshake
    assert int(here.host.run(OUR_WG, "show", "wg0", "transfer").split()[1]) > received
    routes = here.host.ip("route show dev wg0")
    assert "10.6.0.0/16" in routes
    assert "10.5.0.0/16" not in routes
    here.quick("down")
    there.quick("down")


def test_an_address_replaced_takes_no_route_along(pair: tuple[Host, Host]) -> None:
    here = Machine(pair[0], file(A, 1, B, allowed="10.5.0.0/16"))
    here.quick("up")
    here.edit(("10.9.0.1/24", "10.9.0.7/24"))
    assert commands(here.quick("reload")) == [
        "[#] ip -4 address add 10.9.0.7/24 dev wg0",
        "[#] ip -4 address delete 10.9.0.1/24 dev wg0",
    ]
    assert here.json("plan")["differences"] == []
    assert "10.5.0.0/16 scope link" in here.host.ip("route show dev wg0")
    here.quick("down")


def test_reload_goes_to_a_full_tunnel_and_back(pair_up: tuple[Machine, Machine]) -> None:
    here, _ = pair_up
    before = here.host.ip("rule") + here.host.run("nft", "list", "tables")
    narrow = here.file.read_text()
    here.edit(("10.5.0.0/16", "0.0.0.0/0, ::/0"), ("10.9.0.1/24", "10.9.0.7/24"))
    here.quick("reload")
    assert here.json("plan")["differences"] == []
    assert "daddr 10.9.0.7" in here.host.run("nft", "list", "ruleset")
    assert "not from all fwmark 0xca6c lookup 51820" in here.host.ip("rule")
    here.edit((", ::/0", ""))
    here.quick("reload")
    assert here.json("plan")["differences"] == []
    here.file.write_text(narrow)
    here.quick("reload")
    assert here.json("plan")["differences"] == []
    assert here.host.ip("rule") + here.host.run("nft", "list", "tables") == before
    here.edit(("10.5.0.0/16", "0.0.0.0/0, ::/0"))
    here.quick("reload")
    here.quick("down")
    assert here.host.run("nft", "list", "tables") == ""
    assert "51820" not in here.host.ip("rule") + here.host.ip("-6 rule")


# Lets the Nth step of a reload fail, or kills it there, as a power cut would.
BREAKER = """
import os, signal, sys
from wgtools.cli import wg_quick
from wgtools.errors import WgError
from wgtools.quick import reload
what, number = sys.argv[1], int(sys.argv[2])
sys.argv = ["wg-quick", *sys.argv[3:]]
carry_out, count = reload._Run._carry_out, 0
def breaking(self, step):
    global count
    count += 1
    breaks = count == number and what == "fail"
    if not (breaks and step.atomic):  # such a step has done nothing when it fails
        carry_out(self, step)
    if breaks:
        raise WgError("broken on purpose")
    if count == number:
        os.kill(os.getpid(), signal.SIGKILL)
reload._Run._carry_out = breaking
sys.exit(wg_quick.main())
"""


def test_a_reload_that_fails_at_any_step_leaves_all_as_it_was(
    pair_up: tuple[Machine, Machine], tmp_path: Path
) -> None:
    here, _ = pair_up
    breaker = tmp_path / "breaker.py"
    breaker.write_text(BREAKER)
    old = here.file.read_text()
    # Its session ends with the old key; it must come back with it.
    here.edit(
        ("10.5.0.0/16", "10.6.0.0/16, 0.0.0.0/0"),
        ("10.9.0.1/24", "10.9.0.7/24"),
        ("[Peer]", "MTU = 1400\n[Peer]"),
        ("51820\nAddress", "51999\nAddress"),
    )
    new = here.file.read_text()
    python = str(BIN / "python")
    wg = here.host.run(OUR_WG, "showconf", "wg0")
    volatile = re.compile(r".*wgtools.*\n|.*(lock|json|journal).*\n")
    here.host.run("sysctl", "-q", "net.ipv4.conf.all.src_valid_mark=1")  # never set back
    before = volatile.sub("", here.state())
    for number in range(1, 40):
        done = here.host.call(python, str(breaker), "fail", str(number), "reload", str(here.file))
        if done.returncode == 0:
            break
        assert "broken on purpose" in done.stderr
        assert here.host.run(OUR_WG, "showconf", "wg0") == wg, f"step {number}"
        assert volatile.sub("", here.state()) == before, f"step {number}:\n{done.stderr}"
    assert number >= 9
    # Killed half way it can be completed, or taken down.
    here.file.write_text(old)
    here.quick("reload")
    here.file.write_text(new)
    here.host.call(python, str(breaker), "kill", "6", "reload", str(here.file))
    here.quick("reload")
    assert here.json("plan")["differences"] == []
    here.file.write_text(old)
    here.quick("reload")
    assert here.host.ping("10.9.0.2") == 3
    here.file.write_text(new)
    here.host.call(python, str(breaker), "kill", "8", "reload", str(here.file))
    here.quick("down")
    assert here.host.run("nft", "list", "tables") == ""
    assert "51820" not in here.host.ip("rule") + here.host.ip("-6 rule")


def test_status_tells_file_engine_journal_and_drift(pair_up: tuple[Machine, Machine]) -> None:
    here, there = pair_up
    (one,) = here.json("status")["interfaces"]
    assert (one["interface"], one["up"], one["file"]) == ("wg0", True, str(here.file))
    assert one["engine"]["kind"] == "embedded"
    words = Path(f"/proc/{one['engine']['pid']}/cmdline").read_bytes()
    assert words.rstrip(b"\0") == b"wgtools-engine\0wg0"
    assert one["journal"]["state"] == "kept"
    assert one["differences"] == []
    assert one["peers"][0]["latest_handshake"] > 0
    here.edit(("10.5.0.0/16", "10.6.0.0/16"))
    text = here.host.run(QUICK, "status")
    assert re.search(r"^wg0  up$", text, re.M)
    assert "+ route 10.6.0.0/16" in text
    assert A.base64() not in text
    assert "\x1b" not in text
    here.host.ip("link delete wg0")
    wait_for("the engine's end", lambda: not here.host.has_socket("wg0"))
    done = here.host.call(QUICK, "status", "wg0")
    assert done.returncode == 1
    assert "down; nothing is left but the record of it" in done.stdout
    there.host.call(QUICK, "down", str(there.file), env=ALONE)
    assert there.host.run(QUICK, "status") == "nothing is up\n"
    assert there.host.call(QUICK, "status", "wg0").returncode == 1


@pytest.mark.parametrize(
    ("engine", "status", "said"),
    [
        ("kernel", 1, "the kernel has no WireGuard here"),
        ("no-such-engine", 127, "there is no engine `no-such-engine'"),
        ("embedded", 0, "[#] wgtools-engine wg0"),
        ("wireguard-go", 0, "[#] wireguard-go wg0"),
    ],
)
def test_the_engine_that_was_asked_for(
    pair: tuple[Host, Host], engine: str, status: int, said: str
) -> None:
    here = Machine(pair[0], file(A, 1, B, allowed="10.9.0.2/32"))
    if engine == "kernel" and Path("/sys/module/wireguard").exists():
        status, said = 0, "[#] ip link add dev wg0 type wireguard"
    text = here.quick("up", f"--engine={engine}", status=status)
    assert said in text
    assert pair[0].has_link("wg0") == (status == 0)
    if status == 0:
        (one,) = here.json("status")["interfaces"]
        assert engine in (one["engine"]["kind"], one["engine"]["program"])
        here.quick("down")


def test_plan_needs_no_root_for_what_anyone_may_know(pair: tuple[Host, Host]) -> None:
    host = pair[0]
    file_ = Path("/tmp") / f"wgq{host.pid}.conf"  # where others can read
    file_.write_text(file(A, 1, B, allowed="10.5.0.0/16"))
    try:
        nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        done = host.call(*nobody, QUICK, "plan", str(file_), env=ALONE)
        if "Permission denied" in done.stderr and "wg-quick" not in done.stderr:
            pytest.skip("nobody may not run our commands here")
        assert done.returncode == 2, done.stderr
        assert f"ip -4 route add 10.5.0.0/16 dev wgq{host.pid}" in done.stdout
        done = host.call(*nobody, QUICK, "reload", str(file_), env=ALONE)
        assert done.returncode == 1
        assert "reload needs root" in done.stderr
    finally:
        file_.unlink()


def test_ones_own_key_as_a_peers_is_no_difference_but_a_remark(pair: tuple[Host, Host]) -> None:
    here = Machine(pair[0], file(A, 1, A, allowed="10.9.0.2/32"))
    for verb in ("up", "reload", "plan"):
        said = here.quick(verb)
        assert "[!] a peer has the PublicKey of this interface itself, and is left out" in said
        assert "+ peer" not in said
    here.quick("down")


def test_who_has_the_port_can_be_found_out(pair: tuple[Host, Host]) -> None:
    here = Machine(pair[0], file(A, 1, B, allowed="10.9.0.2/32"))
    pair[0].daemon("ours", "wg9")
    pair[0].run(OUR_WG, "set", "wg9", "listen-port", "51820")
    pair[0].ip("link set wg9 up")  # only now it holds the port
    said = here.quick("up", status=1)
    assert "hint: another program has UDP port 51820" in said
    assert "ss -ulnp sport = :51820" in said


def test_a_plan_says_which_name_has_no_address(pair: tuple[Host, Host]) -> None:
    here = Machine(pair[0], file(A, 1, B, allowed="10.9.0.2/32"))
    text = re.sub("Endpoint = .*", "Endpoint = no.such.invalid:51820", here.file.read_text())
    here.file.write_text(text)
    said = here.quick("plan", status=2)
    assert "[!] `no.such.invalid:51820' has no address just now (" in said
