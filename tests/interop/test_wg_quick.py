# SPDX-License-Identifier: MIT
"""wg-quick when things go wrong, and next to the original: every time on a throw-away host.

After the last word of each story the host must be as it was before the first, but for
`src_valid_mark`, which is never set back.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.golden.quickhost import missing_tools, play_apart

Json = Any

SCRIPTS = Path(sys.executable).parent
PROGRAMS = {
    "wg-quick": str(SCRIPTS / "wg-quick"),
    "wg": str(SCRIPTS / "wg"),
    "wireguard-go": str(SCRIPTS / "wgtools-engine"),
}
LEFT_ALONE = ("sysctls", "files", "hooks", "sudo", "resolvconf")

PRIVATE = "SORGYj8hT82v7mOW1jC/t0COKfHqUQP9t899AKiyxGs="
OTHER = "UDc3AK8HHT1Rvvc4Pv0IVA8ov08NH7M6hHBeR3C0w0M="
PEER = "wHVFptYnJNd5Pqc5/D5UGhPeJBZQd/F5i+tcO6EL5cc="
FULL = f"""[Interface]
PrivateKey = {PRIVATE}
Address = 10.0.0.1/24, fd00::1/64
DNS = 10.0.0.53
PostDown = echo gone >> $HOOKLOG

[Peer]
PublicKey = {PEER}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = 198.51.100.1:51820
"""
SECOND = FULL.replace(PRIVATE, OTHER).replace("10.0.0.1", "10.1.0.1").replace("fd00::1", "fd01::1")

# Runs wg-quick and kills it, as a power cut would, before or after its Nth step.
KILLER = """
import os, signal, sys
from wgtools.cli import wg_quick
from wgtools.quick.host import Host
when, number = sys.argv[1], int(sys.argv[2])
sys.argv = ["wg-quick", *sys.argv[3:]]
carry_out, count = Host.__dict__["carry_out"], 0
def counting(self, step):
    global count
    count += 1
    if when == "before" and count == number:
        os.kill(os.getpid(), signal.SIGKILL)
    carry_out.__get__(self)(step)
    if when == "after" and count == number:
        os.kill(os.getpid(), signal.SIGKILL)
Host.carry_out = counting
sys.exit(wg_quick.main())
"""
KILL_ENGINE = """
for p in /proc/[0-9]*; do
    if grep -q ^wgtools-engine $p/cmdline; then kill -9 ${p#/proc/}; fi
done
"""


def file(text: str, name: str = "wg0") -> Json:
    return {"path": f"/etc/wireguard/{name}.conf", "content": text}


def quick(verb: str, name: str = "wg0", **more: Json) -> Json:
    return {"argv": ["wg-quick", verb, name], **more}


def bash(text: str) -> Json:
    return {"argv": ["bash", "-c", text]}


def killed(when: str, number: int, *words: str) -> Json:
    return {"argv": [sys.executable, "-c", KILLER, when, str(number), *words]}


def play(steps: list[Json], *files: Json, **more: Json) -> list[Json]:
    if why := missing_tools():
        pytest.skip(why)
    case = {"files": [*files] or [file(FULL)], "steps": steps, **more}
    return play_apart(case, PROGRAMS, PROGRAMS["wg"])


def leftovers(step: Json) -> Json:
    return {key: value for key, value in step["state"].items() if value and key not in LEFT_ALONE}


def exits(results: list[Json]) -> list[int]:
    return [step["exit"] for step in results]


def rules(step: Json) -> list[int]:
    return [rule["priority"] for rule in step["state"]["rules4"]]


def test_a_kill_at_any_step_of_up_is_repaired_by_one_down() -> None:
    moments = [(when, number) for number in range(1, 15) for when in ("before", "after")]
    steps = [s for when, n in moments for s in (killed(when, n, "up", "wg0"), quick("down"))]
    results = play(steps)
    for (when, number), up, down in zip(moments, results[::2], results[1::2], strict=True):
        assert up["exit"] == -9, f"{when} step {number}"
        assert down["exit"] == 0, down["stderr"]
        assert leftovers(down) == {}, f"{when} step {number}"


def test_a_kill_at_any_step_of_down_is_repaired_by_another_down() -> None:
    moments = [(when, number) for number in range(1, 8) for when in ("before", "after")]
    steps = []
    for when, number in moments:
        steps += [quick("up"), killed(when, number, "down", "wg0"), quick("down")]
    results = play(steps)
    for i, (when, number) in enumerate(moments):
        up, first, second = results[3 * i : 3 * i + 3]
        assert (up["exit"], first["exit"]) == (0, -9), f"{when} step {number}: {up['stderr']}"
        assert second["exit"] == 0, second["stderr"]
        assert leftovers(second) == {}, f"{when} step {number}"


def test_the_next_up_repairs_as_well() -> None:
    results = play(
        [killed("after", 12, "up", "wg0"), bash("ip link delete wg0"), quick("up"), quick("down")]
    )
    assert exits(results) == [-9, 0, 0, 0]
    assert rules(results[2]) == [32764, 32765]
    assert leftovers(results[-1]) == {}


def test_down_after_the_engine_was_killed() -> None:
    results = play([quick("up"), bash(KILL_ENGINE), quick("down"), quick("down")])
    assert exits(results) == [0, 0, 0, 1]
    assert leftovers(results[2]) == {}
    assert results[2]["state"]["hooks"] == ["gone"]


def test_down_without_journal_and_link_goes_by_the_firewall_table() -> None:
    steps = [quick("up"), bash("rm -r /run/wgtools; ip link delete wg0"), quick("down")]
    results = play(steps)
    assert results[2]["exit"] == 0
    assert leftovers(results[2]) == {}


def test_down_after_the_file_was_deleted_runs_the_hooks_it_had() -> None:
    results = play([quick("up"), bash("rm /etc/wireguard/wg0.conf"), quick("down"), quick("down")])
    assert exits(results) == [0, 0, 0, 1]
    assert leftovers(results[2]) == {}
    assert results[2]["state"]["hooks"] == ["gone"]
    assert results[2]["state"]["resolvconf"][-1]["argv"] == ["-d", "wg0", "-f"]


@pytest.mark.parametrize("number", ["INT", "TERM", "HUP"])
@pytest.mark.parametrize("group", [True, False], ids=["group", "alone"])
def test_a_signal_during_a_full_tunnel_up_undoes_it(number: str, group: bool) -> None:
    hook = "PostUp = touch /run/qcase/ready; sleep 5\n"
    signal = {"after": "/run/qcase/ready", "sig": number, "group": group}
    text = FULL.replace("PostDown", f"{hook}PostDown")
    (result,) = play([quick("up", signal=signal)], file(text))
    assert result["exit"] == 128 + {"INT": 2, "TERM": 15, "HUP": 1}[number]
    assert leftovers(result) == {}
    assert result["state"]["hooks"] == []


def test_two_full_tunnels_at_once_never_collide() -> None:
    both = "wg-quick {0} wg0 & a=$!; wg-quick {0} wg1 & wait $a && wait $!"
    steps = [bash(both.format("up")), bash(both.format("down"))] * 3
    results = play(steps, file(FULL), file(SECOND, "wg1"))
    assert exits(results) == [0] * 6, [step["stderr"] for step in results]
    for up, down in zip(results[::2], results[1::2], strict=True):
        assert rules(up) == [32762, 32763, 32764, 32765]
        marks = {device["fwmark"] for device in up["state"]["wg"].values()}
        assert marks == {"0xca6c", "0xca6d"}
        assert leftovers(down) == {}


def test_one_up_of_two_for_the_same_name_wins() -> None:
    both = "wg-quick up wg0 & a=$!; wg-quick up wg0; b=$?; wait $a; echo $((b + $?))"
    results = play([bash(both), quick("down")])
    assert results[0]["stdout"] == "1\n"
    assert "`wg0' already exists" in results[0]["stderr"]
    assert leftovers(results[1]) == {}


@pytest.mark.parametrize("name", ["a+b=", "=", "+.-_"])
def test_names_with_odd_characters_work_everywhere(name: str) -> None:
    text = FULL + "# kept\n"
    steps = [quick("up", name), quick("save", name), quick("down", name)]
    up, save, down = play(steps, file(text, name))
    assert exits([up, save, down]) == [0, 0, 0], up["stderr"]
    assert name in up["state"]["links"]
    written = save["state"]["files"][f"/etc/wireguard/{name}.conf"]["content"]
    assert "Address = 10.0.0.1/24, fd00::1/64\n" in written
    assert "# kept\n" in written
    assert leftovers(down) == {}


def test_mistakes_are_told_at_once_and_nothing_is_touched() -> None:
    text = FULL.replace("fd00::1/64", "fd00::1/164").replace(
        "DNS", "MTU = x\nPreUp = echo no >> $HOOKLOG\nDNS"
    )
    (result,) = play([quick("up")], file(text))
    assert result["exit"] == 1
    assert "/etc/wireguard/wg0.conf:3:24: `fd00::1/164' is not an address" in result["stderr"]
    assert "/etc/wireguard/wg0.conf:4:7: `x' is not an MTU" in result["stderr"]
    assert "[#]" not in result["stderr"]
    assert leftovers(result) == {}
    assert result["state"]["hooks"] == []


@pytest.mark.parametrize("ours_first", [True, False], ids=["ours-up", "original-up"])
@pytest.mark.parametrize("nft", [True, False], ids=["nft", "iptables"])
def test_either_tool_takes_down_what_the_other_brought_up(ours_first: bool, nft: bool) -> None:
    original = shutil.which("wg-quick", path="/usr/bin:/bin")
    if original is None:
        pytest.skip("no original wg-quick on this machine")
    programs = [["wg-quick"], ["bash", original]]
    up, down = programs if ours_first else programs[::-1]
    steps = [{"argv": [*up, "up", "wg0"]}, {"argv": [*down, "down", "wg0"]}]
    results = play(steps, tools={"nft": nft})
    assert exits(results) == [0, 0], [step["stderr"] for step in results]
    assert rules(results[0]) == [32764, 32765]
    assert leftovers(results[1]) == {}


def test_reload_to_a_full_tunnel_and_back_without_nft() -> None:
    narrow = FULL.replace("0.0.0.0/0, ::/0", "10.5.0.0/16").replace("DNS = 10.0.0.53\n", "")
    tables = bash("iptables-save; ip6tables-save")
    widen = bash("sed -i 's|10.5.0.0/16|0.0.0.0/0, ::/0|' /etc/wireguard/wg0.conf")
    move = bash("sed -i 's|10.0.0.1/24|10.0.0.7/24|' /etc/wireguard/wg0.conf")
    shrink = bash("sed -i 's|0.0.0.0/0, ::/0|10.5.0.0/16|' /etc/wireguard/wg0.conf")
    reload, plan = quick("reload"), quick("plan")
    steps = [quick("up"), widen, plan, reload, plan, tables, move, reload, plan, tables]
    steps += [shrink, reload, plan, tables, widen, reload, quick("down"), tables]
    results = play(steps, file(narrow), tools={"nft": False})
    told = [step["stdout"] + step["stderr"] for step in results]
    assert exits(results) == [0, 0, 2, *[0] * 15], told
    assert "-d 10.0.0.1/32 ! -i wg0" in told[5]
    assert "-d fd00::1/128 ! -i wg0" in told[5]
    assert "-d 10.0.0.7/32 ! -i wg0" in told[9]
    assert "10.0.0.1/32" not in told[9]
    assert "wg0" not in told[13]
    assert "wg0" not in told[17]
    assert leftovers(results[-2]) == {}


def test_our_next_up_is_not_misled_by_a_journal_the_original_left_behind() -> None:
    original = shutil.which("wg-quick", path="/usr/bin:/bin")
    if original is None:
        pytest.skip("no original wg-quick on this machine")
    theirs = ["bash", original]
    steps = [
        quick("up"),
        {"argv": [*theirs, "down", "wg0"]},
        {"argv": [*theirs, "up", "wg1"]},
        quick("up"),
        quick("down"),
        quick("down", "wg1"),
    ]
    results = play(steps, file(FULL), file(SECOND, "wg1"))
    assert exits(results) == [0] * 6, [step["stderr"] for step in results]
    assert rules(results[2]) == [32764, 32765]
    assert rules(results[3]) == [32762, 32763, 32764, 32765]
    assert rules(results[4]) == [32764, 32765]
    assert leftovers(results[5]) == {}
