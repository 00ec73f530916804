# SPDX-License-Identifier: MIT
"""What `wg-quick status` makes of interfaces that somebody else took down, or may not look into."""

from __future__ import annotations

import json
import shutil
import sys
from typing import Any

import pytest

from tests.interop.hosts import Host
from tests.interop.test_wg_quick_verbs import ALONE, QUICK, A, B, Machine, file

ORIGINAL = "/usr/bin/wg-quick"
FULL = "0.0.0.0/0, ::/0"
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def told(host: Host, *words: str) -> tuple[int, Any]:
    """The exit status, and the one interface of the JSON."""
    done = host.call(*words, QUICK, "status", "--json", "wg0", env=ALONE)
    (one,) = json.loads(done.stdout)["interfaces"]
    return done.returncode, one


@pytest.mark.skipif(shutil.which(ORIGINAL) is None, reason="no C wg-quick")
@pytest.mark.parametrize("allowed", ["10.5.0.0/16", FULL], ids=["narrow", "full"])
def test_after_anothers_down_nothing_is_left_but_the_record(
    pair: tuple[Host, Host], allowed: str
) -> None:
    host = pair[0]
    here = Machine(host, file(A, 1, B, allowed=allowed, more="PostDown = true\n"))
    here.quick("up")
    host.run(ORIGINAL, "down", str(here.file))
    status, one = told(host)
    assert (status, one["up"]) == (1, False)
    assert one["journal"] == {"state": "record only", "steps": 0}
    (remark,) = one["remarks"]
    assert remark["message"] == "whether its Down hooks ran cannot be told"
    text = host.run(QUICK, "status")
    assert text.startswith("wg0  down; nothing is left but the record of it\n")
    here.quick("down")
    assert host.run(QUICK, "status") == "nothing is up\n"


@pytest.mark.skipif(shutil.which("nft") is None, reason="no nft")
def test_what_is_truly_left_is_told_and_counted(pair: tuple[Host, Host]) -> None:
    host = pair[0]
    here = Machine(host, file(A, 1, B, allowed=FULL))
    here.quick("up")
    host.ip("link delete wg0")
    # Both rules of both families, and the guard.
    assert told(host)[1]["journal"] == {"state": "left behind", "steps": 5}
    for family in ("-4", "-6"):
        host.ip(f"{family} rule delete pref 32765")
        host.ip(f"{family} rule delete pref 32764")
    assert told(host)[1]["journal"] == {"state": "left behind", "steps": 1}
    host.run("nft", "flush", "ruleset")
    assert told(host)[1]["journal"] == {"state": "record only", "steps": 0}


@pytest.mark.skipif(shutil.which(ORIGINAL) is None, reason="no C wg-quick")
def test_rules_that_another_tunnel_has_made_its_own_are_not_left_behind(
    pair: tuple[Host, Host],
) -> None:
    host = pair[0]
    here = Machine(host, file(A, 1, B, allowed=FULL))
    here.quick("up")
    host.run(ORIGINAL, "down", str(here.file))
    other = here.file.with_name("wg1.conf")
    other.write_text(here.file.read_text().replace("10.9.0.", "10.8.0."))
    host.run(ORIGINAL, "up", str(other))  # the same mark, table and priorities
    assert "lookup 51820" in host.ip("rule")
    assert told(host)[1]["journal"]["state"] == "record only"
    host.run(ORIGINAL, "down", str(other))


def test_an_engine_that_cannot_be_seen_is_unknown(pair: tuple[Host, Host]) -> None:
    host = pair[0]
    host.run("install", "-d", "-m", "0755", "/run/wireguard")  # as wireguard-go has it
    here = Machine(host, file(A, 1, B, allowed="10.5.0.0/16"))
    here.quick("up")
    done = host.call(*NOBODY, QUICK, "status", "wg0", env=ALONE)
    if "Permission denied" in done.stderr and "wg-quick" not in done.stderr:
        pytest.skip("nobody may not run our commands here")
    assert "engine   unknown: a userspace program that cannot be seen" in done.stdout
    status, one = told(host, *NOBODY)
    assert (status, one["up"]) == (0, True)
    assert one["engine"] == {"kind": "unknown", "program": "", "pid": 0}
    assert told(host)[1]["engine"]["kind"] == "embedded"


_IMPOSTOR = """
import os, socket, time
os.setgid(65534), os.setuid(65534)
listening = socket.socket(socket.AF_UNIX)
listening.bind("/var/run/wireguard/wg0.sock")
listening.listen()
print("ready", flush=True)
time.sleep(1000)
"""


def test_another_users_socket_of_that_path_is_not_taken_for_the_engines(
    pair: tuple[Host, Host],
) -> None:
    """Whoever may make namespaces can bind to any path; its process has the lower number."""
    host = pair[0]
    room = "mount -t tmpfs own /run && install -d -o 65534 /run/wireguard"
    words = ("unshare", "--mount", "sh", "-c", f'{room} && exec "$@"', "sh")
    impostor = host.start(*words, sys.executable, "-c", _IMPOSTOR)
    assert impostor.stdout is not None
    assert impostor.stdout.readline() == b"ready\n"
    here = Machine(host, file(A, 1, B, allowed="10.5.0.0/16"))
    here.quick("up")
    engine = told(host)[1]["engine"]
    assert (engine["kind"], engine["program"]) == ("embedded", "wgtools-engine")
    assert engine["pid"] not in (0, impostor.pid)
    impostor.kill()
    impostor.wait()
