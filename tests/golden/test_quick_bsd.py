# SPDX-License-Identifier: MIT
"""`wg-quick` of FreeBSD, OpenBSD and macOS as a process, on a stage (bsdstage/).

The command is the real one, as are its journal, lock, hooks, signals and monitor; the
system's programs are stubs over a file that keeps what they were told.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.golden.bsdstage.stage import NAMESPACES
from tests.golden.test_quick_plans import KEYS

Json = Any

STAGE = Path(__file__).parent / "bsdstage/stage.py"
FULL = [
    "[Interface]",
    "PrivateKey = @key",
    "Address = 10.0.0.2/24, fd00::2/64",
    "DNS = 10.0.0.1, corp.example",
    "PostDown = touch /run/stage/down-%i",
    "[Peer]",
    "PublicKey = @one",
    "Endpoint = 203.0.113.5:51820",
    "AllowedIPs = 0.0.0.0/0, ::/0",
]
BARE = ["192.0.2.0/24 em0", "0.0.0.0/0 192.0.2.1"]
PIN = "203.0.113.5/32 192.0.2.1"

Play = Callable[..., list[Json]]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("mount namespaces need root and unshare")

    def played(system: str, conf: list[str], *acts: Json, **more: Json) -> list[Json]:
        text = "\n".join(conf)
        for word, key in KEYS.items():
            text = text.replace(word, key)
        name = more.pop("name", "wg0")
        job = {"system": system, "files": {f"{name}.conf": [text]}, "acts": acts} | more
        path = tmp_path / "job.json"
        path.write_text(json.dumps(job))
        done = subprocess.run(
            ["unshare", *NAMESPACES, sys.executable, STAGE, path],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        results: list[Json] = json.loads(done.stdout)
        return results

    return played


def echoed(result: Json) -> list[str]:
    return [line.removeprefix("[#] ") for line in result["err"] if line.startswith("[#] ")]


def clean(result: Json) -> None:
    """Nothing of ours is left."""
    assert result["interfaces"] == {}
    assert result["routes"] == sorted(BARE)
    assert result["resolvconf"] == {}
    assert result["resolv.conf"] == "nameserver 192.0.2.53\nsearch home.example\n"
    assert result["journals"] == result["pid files"] == result["monitors"] == []


def test_freebsd_up_and_down(play: Play) -> None:
    up, again, down, twice = play(
        "freebsd", FULL, *(["run", verb, "wg0"] for verb in ("up", "up", "down", "down"))
    )
    assert up["status"] == 0, up["err"]
    assert up["out"] == ""
    assert echoed(up) == [
        "ifconfig wg create name wg0",
        "wg addconf wg0 /dev/stdin",
        "ifconfig wg0 inet 10.0.0.2/24 alias",
        "ifconfig wg0 inet6 fd00::2/64 alias",
        "ifconfig wg0 mtu 1420",
        "ifconfig wg0 up",
        "resolvconf -a wg0 -x",
        "route -q -n add -inet6 ::/1 -interface wg0",
        "route -q -n add -inet6 8000::/1 -interface wg0",
        "route -q -n add -inet 0.0.0.0/1 -interface wg0",
        "route -q -n add -inet 128.0.0.0/1 -interface wg0",
        "route -q -n add -inet 203.0.113.5 -gateway 192.0.2.1",
        "wg-quick monitor wg0",
    ]
    assert [line for line in echoed(up) if not line.startswith("wg")] == up["log"]
    assert "[+] Backgrounding route monitor" in up["err"]
    assert up["resolvconf"] == {"wg0": "nameserver 10.0.0.1\nsearch corp.example\n"}
    assert PIN in up["routes"]
    assert "yAnz5TF" not in " ".join([*up["err"], *up["log"]])

    assert again["status"] == 1
    assert again["err"][0] == "wg-quick: `wg0' already exists"
    assert again["interfaces"] == up["interfaces"]

    assert down["status"] == 0, down["err"]
    assert down["log"] == [
        "ifconfig wg0 destroy",
        "route -q -n delete -inet 203.0.113.5",
        "resolvconf -d wg0",
    ]
    assert echoed(down) == [*down["log"], "touch /run/stage/down-wg0"]
    clean(down)
    assert twice["status"] == 1
    assert twice["err"] == [
        "wg-quick: `wg0' is not a WireGuard interface",
        "",
        "hint: it is not up; to see what is, type: wg-quick status",
    ]


def test_freebsd_a_failure_half_way_undoes_all(play: Play) -> None:
    (up,) = play(
        "freebsd", FULL, ["run", "up", "wg0"], state={"fail": {"add -inet 128.0.0.0/1": 7}}
    )
    assert up["status"] == 7
    assert up["log"][-3:] == [
        "route -q -n add -inet 128.0.0.0/1 -interface wg0",
        "resolvconf -d wg0",
        "ifconfig wg0 destroy",
    ]
    assert "wg-quick: route: exit status 7" in up["err"]
    clean(up)


@pytest.mark.parametrize("system", ["freebsd", "openbsd", "darwin"])
@pytest.mark.parametrize("half", ["-inet 128.0.0.0/1", "-inet6 8000::/1"])
def test_a_half_that_route_only_says_it_added_undoes_all(
    play: Play, system: str, half: str
) -> None:
    """As route(8) of macOS does; without it, half of a full tunnel's traffic would leak."""
    conf = [line for line in FULL if "DNS" not in line]
    (up,) = play(system, conf, ["run", "up", "wg0"], state={"hollow": [f"add {half}"]})
    assert up["status"] == 1
    said = f"wg-quick: the route to {half.split()[1]} is not there, though it was added"
    assert said in up["err"]
    clean(up)


def test_macos_a_half_that_another_tunnel_has_undoes_all(play: Play) -> None:
    """Of IPv4 nothing at all leads into ours."""
    conf = [*FULL[:2], "Address = 10.0.0.2/24", *FULL[4:8], "AllowedIPs = 0.0.0.0/0"]
    (up,) = play("darwin", conf, ["run", "up", "wg0"], state={"hollow": ["add -inet 0", "/1 -int"]})
    assert up["status"] == 1
    assert "the route to 0.0.0.0/1 is not there" in "".join(up["err"])
    clean(up)


def test_macos_halves_are_believed_of_route_where_netstat_tells_nothing(play: Play) -> None:
    (up,) = play(
        "darwin",
        [line for line in FULL if "DNS" not in line],
        ["run", "up", "wg0"],
        state={"fail": {"netstat -nr -W": 1}},
    )
    assert up["status"] == 0, up["err"]
    assert "128.0.0.0/1 utun0" in up["routes"]


def test_freebsd_in_a_fib_that_sysctl_does_not_tell_nothing_is_made(play: Play) -> None:
    (up,) = play(
        "freebsd", FULL, ["run", "up", "wg0"], state={"fail": {"sysctl -n net.my_fibnum": 1}}
    )
    assert up["status"] == 1
    assert "wg-quick: cannot tell which routing table we are in" in up["err"]
    assert up["log"] == []
    clean(up)


def test_freebsd_a_clean_up_does_not_stop_at_its_first_failure(play: Play) -> None:
    fails = {"add -inet 128.0.0.0/1": 7, "resolvconf -d": 9}
    (up,) = play("freebsd", FULL, ["run", "up", "wg0"], state={"fail": fails})
    assert up["status"] == 7
    assert up["interfaces"] == {}
    assert up["journals"] == ["wg0@0.journal"]


@pytest.mark.parametrize("number", [2, 15])
def test_freebsd_a_signal_undoes_all(play: Play, number: int) -> None:
    conf = [*FULL[:4], "PostUp = touch /run/stage/flag; sleep 30", *FULL[4:]]
    (up,) = play("freebsd", conf, ["interrupt", str(number), "/run/stage/flag", "up", "wg0"])
    assert up["status"] == 128 + number
    clean(up)


def test_freebsd_killed_half_way_then_down(play: Play) -> None:
    conf = [*FULL[:4], "PostUp = kill -9 $PPID", *FULL[4:]]
    up, down = play("freebsd", conf, ["run", "up", "wg0"], ["run", "down", "wg0"])
    assert up["status"] == -9
    assert PIN in up["routes"]
    assert len(up["monitors"]) == 1
    assert down["status"] == 0, down["err"]
    clean(down)


def test_freebsd_killed_half_way_and_the_interface_lost_then_up(play: Play) -> None:
    conf = [*FULL[:4], "PreUp = test -e /run/stage/second || kill -9 $PPID", *FULL[4:]]
    first, _, _, second, down = play(
        "freebsd",
        conf,
        ["run", "up", "wg0"],
        ["tell", "ifconfig", "wg0", "destroy"],
        ["tell", "touch", "/run/stage/second"],
        ["run", "up", "wg0"],
        ["run", "down", "wg0"],
    )
    assert (first["status"], second["status"], down["status"]) == (-9, 0, 0)
    assert first["journals"] == ["wg0@0.journal"]
    clean(down)


def test_freebsd_pins_follow_gateway_and_roaming(play: Play) -> None:
    other = [
        {"network": "0.0.0.0/0", "gateway": "198.51.100.1", "interface": "em0", "flags": "UGS"},
        {"network": "203.0.113.5/32", "gateway": "192.0.2.1", "interface": "em0", "flags": "UGHS"},
    ]
    public = "public_key=" + base64.b64decode(KEYS["@one"]).hex()
    results = play(
        "freebsd",
        FULL,
        ["run", "up", "wg0"],
        ["world", {"routes": other}],
        ["until", "routes", ["0.0.0.0/0 198.51.100.1", "203.0.113.5/32 198.51.100.1"]],
        ["device", "wg0", public, "endpoint=203.0.113.77:4500"],
        ["until", "routes", ["0.0.0.0/0 198.51.100.1", "203.0.113.77/32 198.51.100.1"]],
        ["world", {"routes": []}],
        ["until", "routes", ["203.0.113.77/32 127.0.0.1"]],
        ["run", "down", "wg0"],
    )
    assert [each["in time"] for each in results if "in time" in each] == [True] * 3
    assert results[-1]["status"] == 0, results[-1]["err"]
    assert results[-1]["routes"] == []
    assert results[-1]["monitors"] == results[-1]["journals"] == []


def test_freebsd_the_mtu_follows_the_way_to_the_endpoint(play: Play) -> None:
    up, _, later = play(
        "freebsd",
        [line for line in FULL if "DNS" not in line],
        ["run", "up", "wg0"],
        ["tell", "ifconfig", "em0", "mtu", "1400"],
        ["until", "log", "ifconfig wg0 mtu 1320"],
    )
    assert up["interfaces"]["wg0"]["mtu"] == 1420
    assert later["in time"]


def test_freebsd_an_interface_that_goes_by_itself_is_cleaned_up_after(play: Play) -> None:
    _, up, _, gone, down = play(
        "freebsd",
        FULL,
        ["run", "up", "wg0"],
        ["until", "pid files", ["wg0@0.monitor"]],
        ["tell", "ifconfig", "wg0", "destroy"],
        ["until", "monitors", []],
        ["run", "down", "wg0"],
    )
    assert up["in time"]
    assert len(up["monitors"]) == 1
    clean(gone)
    assert down["status"] == 1  # nothing to do any more


def test_freebsd_down_does_what_a_killed_monitor_cannot(play: Play) -> None:
    *_, down = play("freebsd", FULL, ["run", "up", "wg0"], ["kill monitor"], ["run", "down", "wg0"])
    assert down["status"] == 0
    clean(down)


def test_freebsd_a_monitor_can_be_started_anew(play: Play) -> None:
    _, _, again, _ = play(
        "freebsd",
        FULL,
        ["run", "up", "wg0"],
        ["kill monitor"],
        ["interrupt", "15", "/run/wgtools/wg0@0.monitor", "monitor", "wg0"],
        ["run", "down", "wg0"],
    )
    assert again["status"] == 0, again["err"]
    assert again["pid files"] == []
    assert PIN in again["routes"]  # an orderly end leaves the tunnel as it is


def test_freebsd_without_kernel_support_an_engine(play: Play) -> None:
    up, down = play(
        "freebsd", FULL, ["run", "up", "wg0"], ["run", "down", "wg0"], state={"kernel": False}
    )
    assert up["status"] == 0, up["err"]
    said = "[!] Missing WireGuard kernel support (ifconfig: SIOCIFCREATE2 (wg): Invalid argument)."
    assert said + " Falling back to slow userspace implementation." in up["err"]
    assert echoed(up)[:2] == ["ifconfig wg create name wg0", "wgtools-engine wg0"]
    assert echoed(down)[0] == "rm -f /var/run/wireguard/wg0.sock"
    clean(down)


def test_freebsd_without_kernel_support_and_without_an_engine(play: Play) -> None:
    (up,) = play("freebsd", FULL, ["run", "up", "--engine=kernel", "wg0"], state={"kernel": False})
    assert up["status"] == 1
    assert any("kldload if_wg" in line for line in up["err"])
    clean(up)


def test_freebsd_saves_prefix_lengths_and_search_domains(play: Play) -> None:
    up, save, down = play(
        "freebsd", FULL, *(["run", verb, "wg0"] for verb in ("up", "save", "down"))
    )
    assert (up["status"], save["status"], down["status"]) == (0, 0, 0)
    text = save["conf"]["wg0.conf"]
    assert "Address = 10.0.0.2/24\n" in text
    assert "Address = fd00::2/64\n" in text
    assert "DNS = 10.0.0.1\nDNS = corp.example\n" in text


def test_freebsd_without_resolvconf_the_file_is_edited(play: Play) -> None:
    up, down = play(
        "freebsd", FULL, ["run", "up", "wg0"], ["run", "down", "wg0"], lacks=["resolvconf"]
    )
    assert up["status"] == 0, up["err"]
    assert "nameserver 10.0.0.1\n" in up["resolv.conf"]
    clean(down)


def test_freebsd_the_other_verbs(play: Play) -> None:
    dry, plan, nothing, up, status, again, reload, check, down = play(
        "freebsd",
        FULL,
        ["run", "up", "--dry-run", "wg0"],
        ["run", "plan", "--json", "wg0"],
        ["run", "status"],
        ["run", "up", "wg0"],
        ["run", "status", "wg0"],
        ["run", "plan", "wg0"],
        ["run", "reload", "wg0"],
        ["run", "check", "wg0"],
        ["run", "down", "wg0"],
    )
    assert echoed({"err": dry["out"].splitlines()}) == echoed(up), dry
    assert json.loads(plan["out"])["commands"] == echoed(up)
    assert (dry["status"], dry["log"], dry["journals"]) == (2, [], [])
    assert "nothing is up" in nothing["out"]
    assert status["status"] == 0, status["err"]
    assert "the kernel's" in status["out"]
    assert "`down' has 4 steps to undo" in status["out"]
    assert again["err"] == ["wg-quick: `wg0' already exists"]
    assert (reload["status"], reload["err"]) == (0, []), reload
    assert "was already as" in reload["out"]
    assert check["status"] != 1, check["out"]
    assert down["status"] == 0


def test_freebsd_reload_takes_over_keys_and_peers(play: Play) -> None:
    more = ["PersistentKeepalive = 25", "[Peer]", "PublicKey = @two", "AllowedIPs = 10.9.0.0/24"]
    text = "\n".join([*FULL, *more, ""])
    for word, key in KEYS.items():
        text = text.replace(word, key)
    public = "public_key=" + base64.b64decode(KEYS["@one"]).hex()
    down_first, up, _, _, reload, again, down = play(
        "freebsd",
        FULL,
        ["run", "reload", "wg0"],
        ["run", "up", "wg0"],
        ["device", "wg0", public, "endpoint=203.0.113.77:4500"],
        ["tell", "python3", "-c", f"open('/etc/wireguard/wg0.conf', 'w').write({text!r})"],
        ["run", "reload", "--json", "wg0"],
        ["run", "reload", "wg0"],
        ["run", "down", "wg0"],
    )
    assert down_first["err"][0] == "wg-quick: `wg0' is not up"
    assert (up["status"], reload["status"]) == (0, 0), reload["err"]
    changed = json.loads(reload["out"])["changed"]
    told = {(each["action"], each["name"]) for each in changed}
    assert told == {("change", KEYS["@one"]), ("add", KEYS["@two"])}
    assert echoed(reload) == ["wg syncconf wg0 /etc/wireguard/wg0.conf"]
    assert any("routes stay as they are" in line for line in reload["err"])
    # A peer that has moved is brought back where its file says it is, on every system.
    assert "endpoint" in str(changed)
    assert again["out"].startswith("wg0 was already as")
    assert down["status"] == 0


def test_freebsd_a_configuration_that_is_gone(play: Play) -> None:
    *_, down = play(
        "freebsd",
        FULL,
        ["run", "up", "wg0"],
        ["tell", "rm", "/etc/wireguard/wg0.conf"],
        ["run", "down", "wg0"],
    )
    assert down["status"] == 0, down["err"]
    assert "touch /run/stage/down-wg0" in echoed(down)
    clean(down)


def test_openbsd_up_save_and_down(play: Play) -> None:
    taken = {"wg0": {"mtu": 1420, "up": True, "addresses": [], "description": "wg-quick: other"}}
    up, save, down = play(
        "openbsd",
        FULL,
        *(["run", verb, "office"] for verb in ("up", "save", "down")),
        name="office",
        state={"interfaces": taken, "running": ["resolvd"]},
    )
    assert up["status"] == 0, up["err"]
    assert "[!] WARNING: resolvd may leak DNS queries" in up["err"]
    assert echoed(up)[:1] == ["ifconfig wg1 create description wg-quick: office"]
    assert up["proposals"] == {"wg1": ["10.0.0.1"]}
    # The search list is ours; what else stands in the file stays.
    assert "search corp.example home.example\n" in up["resolv.conf"]
    assert "nameserver 192.0.2.53\n" in up["resolv.conf"]
    assert save["status"] == 0, save["err"]
    assert "Address = 10.0.0.2/24\n" in save["conf"]["office.conf"]
    assert down["status"] == 0, down["err"]
    assert down["log"][0] == "route nameserver wg1"
    assert down["proposals"] == {"wg1": []}
    assert down["interfaces"] == taken
    assert down["resolv.conf"] == "nameserver 192.0.2.53\nsearch home.example\n"
    assert down["journals"] == down["monitors"] == []


SERVICES = {
    "Wi-Fi": {"servers": [], "domains": []},
    "*USB LAN": {"servers": ["192.0.2.53", "192.0.2.54"], "domains": ["home.example"]},
}
MAC = {"told": {"kern.bootsessionuuid": "one"}, "services": SERVICES}
OURS = {"servers": ["10.0.0.1"], "domains": ["corp.example"]}


def test_macos_up_and_down(play: Play) -> None:
    dry, up, status, twice, down = play(
        "darwin",
        FULL,
        ["run", "up", "--dry-run", "wg0"],
        *(["run", verb, "wg0"] for verb in ("up", "status", "up", "down")),
        state=MAC,
    )
    assert echoed({"err": dry["out"].splitlines()}) == echoed(up), dry
    assert "userspace" in status["out"]
    assert up["status"] == 0, up["err"]
    assert "[+] Interface for wg0 is utun0" in up["err"]
    assert up["services"] == {"Wi-Fi": OURS, "*USB LAN": OURS}
    assert "203.0.113.5/32 192.0.2.1" in up["routes"]
    assert twice["err"][0] == "wg-quick: `wg0' already exists as `utun0'"
    assert down["status"] == 0, down["err"]
    assert down["services"] == SERVICES
    clean(down)


def test_macos_new_services_get_the_tunnels_dns_and_lost_ones_are_forgotten(play: Play) -> None:
    new = {"Thunderbolt": {"servers": ["9.9.9.9"], "domains": []}}
    without = {"Wi-Fi": OURS, "*USB LAN": None} | new
    _, _, followed, down = play(
        "darwin",
        FULL,
        ["run", "up", "wg0"],
        ["world", {"services": without}],
        ["until", "services", {"Wi-Fi": OURS, "Thunderbolt": OURS}],
        ["run", "down", "wg0"],
        state=MAC,
    )
    assert followed["in time"]
    assert down["services"] == {"Wi-Fi": SERVICES["Wi-Fi"]} | new


def test_macos_dns_comes_back_after_a_reboot_in_between(play: Play) -> None:
    other = {"told": {"kern.bootsessionuuid": "two"}, "interfaces": {}}
    _, reboot, down = play(
        "darwin", FULL, ["run", "up", "wg0"], ["reboot", other], ["run", "down", "wg0"], state=MAC
    )
    assert reboot["services"]["Wi-Fi"] == OURS
    assert down["status"] == 0, down["err"]
    assert down["services"] == SERVICES
    assert down["journals"] == []


def test_macos_a_daemon_that_died_is_cleaned_up_after(play: Play) -> None:
    _, _, gone = play(
        "darwin",
        FULL,
        ["run", "up", "wg0"],
        ["tell", "rm", "/var/run/wireguard/utun0.sock"],
        ["until", "services", SERVICES],
        state=MAC,
    )
    assert gone["in time"]


def test_macos_launchd_sees_a_job_that_runs_as_long_as_the_monitor(play: Play) -> None:
    kill = "until kill $(cat /run/wgtools/wg0@*.monitor); do sleep 0.1; done"
    conf = [*FULL[:4], f"PostUp = ({kill}) > /dev/null 2>&1 &", *FULL[4:]]
    (up,) = play("darwin", conf, ["run", "up", "wg0"], state=MAC, launchd=True)
    assert up["status"] == 0, up["err"]
    assert up["monitors"] == []
