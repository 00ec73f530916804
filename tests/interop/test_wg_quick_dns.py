# SPDX-License-Identifier: MIT
"""DNS of a tunnel on throw-away hosts that run the real resolvers, each from its package.

The packages are unpacked, not installed: they exclude each other, and the machine's own
resolver is nobody's to touch.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.interop.test_wg_quick import (
    FULL,
    KILLER,
    SECOND,
    bash,
    exits,
    file,
    killed,
    leftovers,
    play,
    quick,
)

Json = Any

PACKAGES = ("openresolv", "resolvconf", "systemd-resolved")
BEFORE = "# by hand\nnameserver 192.0.2.1\nsearch lan\noptions edns0"
TUNNEL = FULL.replace("10.0.0.53", "10.0.0.53, fd00::53, corp.example").replace("0.0.0.0/0, ", "")
SHOW = bash("cat /etc/resolv.conf")
NO_RESOLVCONF = {"resolvconf": False}

# /etc and /run are the host's own; /usr gets the package over it.
UNPACK = """
cp -rT {0}/etc /etc; chown -R root:root /etc/resolvconf* 2>/dev/null || :
mkdir -p /run/over; mount -t tmpfs tmpfs /run/over; mkdir /run/over/usr
cp -rT {0}/usr /run/over/usr
for d in lib sbin bin; do
    [ -d {0}/$d ] && mkdir -p /run/over/usr/$d && cp -rT {0}/$d /run/over/usr/$d
done
mount -t overlay overlay -o lowerdir=/run/over/usr:/usr /usr
"""
START = {
    "openresolv": "printf '{0}' > /run/first; resolvconf -a eth0 < /run/first",
    "resolvconf": """
        mkdir -p /run/resolvconf/interface; ln -sfn /run/resolvconf /etc/resolvconf/run
        ln -sf ../run/resolvconf/resolv.conf /etc/resolv.conf
        resolvconf --enable-updates; resolvconf -u
        printf '{0}' > /run/first; resolvconf -a eth0 < /run/first
    """,
    "systemd-resolved": """
        echo systemd-resolve:x:991:991::/:/usr/sbin/nologin >> /etc/passwd
        echo systemd-resolve:x:991: >> /etc/group
        mkdir -p /run/dbus /run/systemd/resolve; chown 991:991 /run/systemd/resolve
        rm -f /etc/resolv.conf; ln -s /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
        dbus-daemon --system --fork --nopidfile
        /usr/lib/systemd/systemd-resolved > /run/resolved.log 2>&1 < /dev/null &
        for i in $(seq 100); do
            [ -S /run/systemd/resolve/io.systemd.Resolve ] && break; sleep 0.1
        done
    """,
}


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    """Commands that put a package's resolver on a throw-away host and start it."""
    directory = tmp_path_factory.mktemp("resolvers")

    def commands(name: str) -> list[str]:
        unpacked = directory / name
        if not unpacked.exists():
            got = subprocess.run(
                ["apt-get", "download", name], cwd=directory, capture_output=True, check=False
            )
            if got.returncode:
                pytest.skip(f"no package {name} to be had")
            (archive,) = directory.glob(f"{name}_*.deb")
            subprocess.run(["dpkg", "-x", archive, unpacked], check=True)
        start = START[name].format(r"nameserver 192.0.2.1\nsearch lan\n")
        return [UNPACK.format(unpacked), "export PATH=/usr/sbin:/usr/bin:/sbin:/bin\n" + start]

    return commands


def write_before(extra: str = "") -> dict[str, Json]:
    setup = f"rm -f /etc/resolv.conf; printf '%s' '{BEFORE}' > /etc/resolv.conf; {extra}"
    return {"tools": NO_RESOLVCONF, "net": {"setup": [setup]}}


def in_force(step: Json) -> list[str]:
    return [line for line in step["stdout"].splitlines() if line and not line.startswith("#")]


OURS = ["nameserver 10.0.0.53", "nameserver fd00::53", "search corp.example"]


def test_systemd_resolved_is_told_and_forgets(package: Callable[[str], list[str]]) -> None:
    ask = bash("resolvectl dns wg0; resolvectl domain wg0; resolvectl default-route wg0")
    split = TUNNEL.replace("corp.example", "~corp.example")
    steps = [quick("up"), ask, SHOW, quick("down"), quick("up", "wg1"), quick("down", "wg1")]
    steps.insert(5, bash("resolvectl domain wg1; resolvectl default-route wg1"))
    setup = {"setup": package("systemd-resolved")}
    second = split.replace("10.0.0.1", "10.1.0.1")
    results = play(steps, file(TUNNEL), file(second, "wg1"), tools=NO_RESOLVCONF, net=setup)
    assert exits(results) == [0] * 7, [step["stderr"] for step in results]
    assert "[#] resolvectl dns wg0 10.0.0.53 fd00::53\n" in results[0]["stderr"]
    told = [line.partition(": ")[2] for line in results[1]["stdout"].splitlines()]
    assert told == ["10.0.0.53 fd00::53", "corp.example ~.", "yes"]
    assert in_force(results[2])[0] == "nameserver 127.0.0.53"
    assert leftovers(results[3]) == {}
    told = [line.partition(": ")[2] for line in results[5]["stdout"].splitlines()]
    assert told == ["~corp.example", "no"]


def test_search_domains_alone_are_searched_by_programs_that_ask_resolved(
    package: Callable[[str], list[str]],
) -> None:
    text = TUNNEL.replace("10.0.0.53, fd00::53, ", "")
    setup = {"setup": package("systemd-resolved")}
    results = play(
        [quick("up"), SHOW, quick("down"), SHOW], file(text), tools=NO_RESOLVCONF, net=setup
    )
    assert exits(results) == [0] * 4, [step["stderr"] for step in results]
    assert "search corp.example" in in_force(results[1])
    assert "corp.example" not in results[3]["stdout"]


@pytest.mark.parametrize("name", ["openresolv", "resolvconf"])
def test_resolvconf_of_a_package(name: str, package: Callable[[str], list[str]]) -> None:
    setup = {"setup": package(name)}
    path = {"env": {"PATH": "/run/qcase/bin:/usr/sbin:/usr/bin:/sbin:/bin"}}
    steps = [SHOW | path, quick("up") | path, SHOW, quick("down") | path, SHOW]
    results = play(steps, file(TUNNEL), tools=NO_RESOLVCONF, net=setup)
    assert exits(results) == [0] * 5, [step["stderr"] for step in results]
    prefix = "tun." if name == "resolvconf" else ""
    assert f"[#] resolvconf -a {prefix}wg0 -m 0 -x\n" in results[1]["stderr"]
    servers = [line for line in in_force(results[2]) if line.startswith("nameserver")]
    assert servers[:2] == OURS[:2]
    assert "search corp.example" in results[2]["stdout"]
    assert results[4]["stdout"] == results[0]["stdout"]


DRIFTED = {
    "systemd-resolved": "resolvectl revert wg0",
    "openresolv": "resolvconf -f -d wg0",
    "resolvconf": "resolvconf -d tun.wg0",
}


@pytest.mark.parametrize("name", list(DRIFTED))
def test_drift_of_dns_is_told_and_mended(name: str, package: Callable[[str], list[str]]) -> None:
    """Both that of the file and that of the resolver."""
    path = {"env": {"PATH": "/run/qcase/bin:/usr/sbin:/usr/bin:/sbin:/bin"}}
    plan, reload = quick("plan") | path, quick("reload") | path
    edit = bash("sed -i s/10.0.0.53/10.0.0.99/ /etc/wireguard/wg0.conf")
    lose = bash(DRIFTED[name]) | path
    steps = [quick("up") | path, plan, edit, plan, reload, plan, SHOW, lose, plan, reload, plan]
    steps += [quick("down") | path]
    setup = {"setup": package(name)}
    results = play(steps, file(TUNNEL), tools=NO_RESOLVCONF, net=setup)
    told = [step["stdout"] + step["stderr"] for step in results]
    assert exits(results) == [0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0], told
    assert "10.0.0.99" in told[3]
    assert name == "systemd-resolved" or "nameserver 10.0.0.99" in in_force(results[6])
    assert "10.0.0.99" in told[8]
    assert leftovers(results[-1]) == {}


@pytest.mark.parametrize(
    ("way", "prepare"),
    [
        ("file", ""),
        (
            "link",
            "mv /etc/resolv.conf /run/real; ln -s /run/real /etc/resolv.conf",
        ),
        (
            "mount",
            "cp /etc/resolv.conf /run/real; mount --bind /run/real /etc/resolv.conf",
        ),
    ],
)
def test_the_file_comes_back_to_the_byte(way: str, prepare: str) -> None:
    kind = bash("stat -c %F /etc/resolv.conf; grep -c resolv.conf /proc/self/mounts || :")
    steps = [kind, quick("up"), SHOW, kind, quick("down"), SHOW, kind]
    results = play(steps, file(TUNNEL), **write_before(prepare))
    assert exits(results) == [0] * 7, [step["stderr"] for step in results]
    assert in_force(results[2]) == [*OURS, "options edns0"]
    assert results[5]["stdout"] == BEFORE
    assert results[0]["stdout"] == results[3]["stdout"] == results[6]["stdout"]
    assert way == "link" or "regular file" in results[0]["stdout"]


def test_a_kill_at_any_step_leaves_a_file_that_one_down_restores() -> None:
    assert "SIGKILL" in KILLER
    moments = [(when, number) for number in range(4, 9) for when in ("before", "after")]
    steps = [s for when, n in moments for s in (killed(when, n, "up", "wg0"), quick("down"), SHOW)]
    results = play(steps, file(TUNNEL), **write_before())
    for (when, number), down, show in zip(moments, results[1::3], results[2::3], strict=True):
        assert down["exit"] == 0, (when, number, down["stderr"])
        assert show["stdout"] == BEFORE, (when, number)


def test_a_kill_at_any_step_of_down_leaves_a_file_that_another_restores() -> None:
    moments = [(when, number) for number in range(1, 5) for when in ("before", "after")]
    steps = []
    for when, n in moments:
        steps += [quick("up"), killed(when, n, "down", "wg0"), quick("down"), SHOW]
    results = play(steps, file(TUNNEL), **write_before())
    for i, (when, number) in enumerate(moments):
        up, first, second, show = results[4 * i : 4 * i + 4]
        assert up["exit"] == 0, (when, number, up["stderr"])
        assert first["exit"] in (-9, 0), (when, number, first["stderr"])
        # A `down` that had done all it had to do leaves nothing for a second one.
        assert second["exit"] == int(first["exit"] == 0), (when, number, second["stderr"])
        assert show["stdout"] == BEFORE, (when, number)
        assert leftovers(second) == {}, (when, number)
    assert exits(results[1::4]).count(-9) >= 4


def test_after_a_reboot_there_is_no_journal_but_the_file_is_still_ours() -> None:
    reboot = bash("rm -r /run/wgtools; ip link delete wg0")
    steps = [quick("up"), reboot, quick("down"), SHOW]
    steps += [quick("up"), reboot, quick("up"), quick("down"), SHOW]
    results = play(steps, file(TUNNEL), **write_before())
    assert exits(results) == [0] * 9, [step["stderr"] for step in results]
    assert results[3]["stdout"] == results[8]["stdout"] == BEFORE


def test_two_tunnels_share_the_file_and_leave_in_any_order() -> None:
    steps = [quick("up"), quick("up", "wg1"), quick("down"), SHOW, quick("down", "wg1"), SHOW]
    second = SECOND.replace("10.0.0.53", "10.1.0.53")
    results = play(steps, file(FULL), file(second, "wg1"), **write_before())
    assert exits(results) == [0] * 6, [step["stderr"] for step in results]
    assert in_force(results[3])[0] == "nameserver 10.1.0.53"
    assert results[5]["stdout"] == BEFORE


@pytest.mark.parametrize("strict", [False, True])
def test_no_resolver_is_a_warning_unless_strict(strict: bool) -> None:
    readonly = "mount --bind /etc/resolv.conf /etc/resolv.conf; "
    readonly += "mount -o remount,bind,ro /etc/resolv.conf"
    env = {"WG_QUICK_STRICT": "1"} if strict else {}
    steps = [quick("up", env=env), SHOW, quick("down")]
    results = play(steps, file(TUNNEL), **write_before(readonly))
    assert exits(results)[0] == int(strict), results[0]["stderr"]
    assert "not in force" in results[0]["stderr"]
    assert "install openresolv or systemd-resolved" in results[0]["stderr"]
    assert ("wg0" in results[0]["state"]["links"]) is not strict
    assert results[1]["stdout"] == BEFORE
    assert leftovers(results[2]) == {}


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("none", "[!] DNS is left alone"),
        ("resolvconf", "[!] there is no `resolvconf' program"),
        ("resolved", "[!] there is no `resolvectl'"),
        ("file", "[#] edit /etc/resolv.conf: nameserver 10.0.0.53"),
        ("magic", "`magic' is no way to set DNS"),
    ],
)
def test_the_way_can_be_forced(way: str, said: str) -> None:
    env = {"WG_QUICK_DNS": way}
    steps = [quick("up", env=env), quick("down", env={}), SHOW]
    results = play(steps, file(TUNNEL), **write_before())
    assert said in results[0]["stderr"]
    assert exits(results) == ([1, 1, 0] if way == "magic" else [0, 0, 0])
    assert results[2]["stdout"] == BEFORE
