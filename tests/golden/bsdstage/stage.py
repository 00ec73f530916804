# SPDX-License-Identifier: MIT
"""One throw-away host of another system: plays the acts of a job, tells what became of it.

    unshare --mount --pid --fork --mount-proc --kill-child python stage.py JOB

The host has a /run and an /etc of its own and a PATH whose ifconfig, route and so on
are programs.py.  An act is a run of wg-quick, a change of the world, a signal, or
waiting for something to be so.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

Json = Any

HERE = Path(__file__).parent
BASE = Path("/run/stage")
BIN = BASE / "bin"
NAMESPACES = ("--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
PATIENCE = 20.0
STATE: Json = {
    "kernel": True,
    "interfaces": {
        "lo0": {"mtu": 16384, "up": True, "addresses": ["127.0.0.1/8"], "description": ""},
        "em0": {"mtu": 1500, "up": True, "addresses": ["192.0.2.10/24"], "description": ""},
    },
    "routes": [
        {"network": "0.0.0.0/0", "gateway": "192.0.2.1", "interface": "em0", "flags": "UGS"},
        {"network": "192.0.2.0/24", "gateway": "link#1", "interface": "em0", "flags": "U"},
    ],
    "resolvconf": {},
    "proposals": {},
    "services": {},
    "running": [],
    "told": {"jid": "0", "rtable": "0", "net.my_fibnum": "0", "net.fibs": "4"},
    "fail": {},
    "hollow": [],
}
PLATFORMS = {"freebsd": "freebsd14", "openbsd": "openbsd7", "darwin": "darwin"}
PROGRAMS = ("ifconfig", "route", "netstat", "networksetup", "resolvconf", "wgtools-engine")
QUESTIONS = ("sysctl", "id", "ps", "pgrep")


def build(job: Json) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run"], check=True)
    for directory in (BIN, BASE / "up", BASE / "work", Path("/run/wireguard")):
        directory.mkdir(parents=True)
    layers = f"lowerdir=/etc,upperdir={BASE}/up,workdir={BASE}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, "/etc"], check=True)
    shutil.rmtree("/etc/wireguard", ignore_errors=True)
    Path("/etc/wireguard").mkdir(mode=0o700)
    Path("/etc/resolv.conf").unlink(missing_ok=True)
    Path("/etc/resolv.conf").write_text("nameserver 192.0.2.53\nsearch home.example\n")
    if job["system"] == "darwin":
        Path("/var/db").mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/var/db"], check=True)
    state = json.loads(json.dumps(STATE)) | {"system": job["system"]}
    state = merged(state, job.get("state", {}))
    (BASE / "state.json").write_text(json.dumps(state))
    for name in {*PROGRAMS, *QUESTIONS} - set(job.get("lacks", [])):
        command = f"{sys.executable} -S -E {HERE}/programs.py {name}"
        (BIN / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (BIN / name).chmod(0o755)
    for name, lines in job["files"].items():
        path = Path("/etc/wireguard", name)
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o600)


def merged(state: Json, more: Json) -> Json:
    for key, value in more.items():
        both = isinstance(value, dict) and isinstance(state.get(key), dict)
        state[key] = state[key] | value if both else value
        if both:
            state[key] = {name: one for name, one in state[key].items() if one is not None}
    return state


def environment(job: Json) -> dict[str, str]:
    return {
        "PATH": f"{BIN}:/usr/sbin:/usr/bin:/sbin:/bin",
        "STAGE": str(BASE),
        "STAGE_PLATFORM": PLATFORMS[job["system"]],
        "HOME": "/root",
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        **job.get("env", {}),
    }


def state() -> Json:
    while True:
        try:
            return json.loads((BASE / "state.json").read_text())
        except ValueError:
            time.sleep(0.01)  # being written


def report() -> Json:
    """What a test wants to look at, after an act."""
    now = state()
    runtime = [*Path("/run/wgtools").glob("*"), *Path("/var/db").glob("wgtools/*")]
    return {
        "log": [json.loads(line) for line in lines(BASE / "log")],
        "interfaces": {k: v for k, v in now["interfaces"].items() if k not in ("lo0", "em0")},
        "routes": sorted(
            f"{r['network']} {r['gateway'] if 'G' in r['flags'] else r['interface']}"
            for r in now["routes"]
        ),
        "resolvconf": now["resolvconf"],
        "proposals": now["proposals"],
        "services": now["services"],
        "resolv.conf": Path("/etc/resolv.conf").read_text(),
        "conf": {p.name: p.read_text() for p in Path("/etc/wireguard").iterdir()},
        "journals": sorted(p.name for p in runtime if p.suffix == ".journal"),
        "monitors": [pid for pid in monitors() if pid],
        "pid files": sorted(p.name for p in runtime if p.suffix == ".monitor"),
    }


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def monitors() -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:
            continue
        if b"monitor" in words and any(word.endswith(b"player.py") for word in words):
            found.append(int(entry.name))
    return found


def play(act: Json, job: Json) -> Json:
    """One act, and how things are after it."""
    (kind, *what) = act
    told: Json = {}
    if kind == "run":
        told = run(what, job)
    elif kind == "interrupt":  # a run that gets a signal once a file is there, and its own
        told = run(what[2:], job, number=int(what[0]), flag=Path(what[1]))
    elif kind == "world":
        (BASE / "state.json").write_text(json.dumps(merged(state(), what[0])))
        sys.path.insert(0, str(HERE))
        import programs  # type: ignore[import-not-found]  # beside this file

        programs.ring()
    elif kind == "device":
        with (BASE / f"{what[0]}.uapi").open("a") as file:
            file.write("set=1\n" + "\n".join(what[1:]) + "\n\n")
    elif kind == "tell":
        subprocess.run(what, check=True, env=environment(job), stdout=subprocess.DEVNULL)
    elif kind == "kill monitor":
        for pid in monitors():
            os.kill(pid, signal.SIGKILL)
    elif kind == "reboot":
        for pid in monitors():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree("/run/wgtools", ignore_errors=True)
        (BASE / "state.json").write_text(json.dumps(merged(state(), what[0])))
    elif kind == "until":
        told = {"in time": until(what[0], what[1])}
    return told | report()


def run(words: list[str], job: Json, number: int = 0, flag: Path = BASE) -> Json:
    (BASE / "log").write_text("")
    player = subprocess.Popen(
        [sys.executable, HERE / "player.py", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(job),
        text=True,
    )
    if number:
        deadline = time.monotonic() + PATIENCE
        while not is_there(flag, player.pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        player.send_signal(number)
    out, err = player.communicate(timeout=PATIENCE * 3)
    settle()
    return {"status": player.returncode, "out": out, "err": err.splitlines()}


def is_there(flag: Path, pid: int) -> bool:
    """Whether the file is there; a pid file of another, who was killed, does not count."""
    if flag.suffix == ".monitor":
        return lines(flag) == [str(pid)]
    return flag.exists()


def settle() -> None:
    """Until a monitor that has just been started can be found by its file.

    One that `down` overtook ends by itself, a moment later than a test looks.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        now = report()
        if len(now["monitors"]) <= len(now["pid files"]):
            return
        time.sleep(0.05)


def until(key: str, wanted: Json) -> bool:
    """Whether part of a report is, or holds, what is wanted before patience ends."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        now = report()[key]
        if now == wanted or (isinstance(wanted, str) and wanted in now):
            return True
        time.sleep(0.05)
    return False


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    # Who started us may ignore it, as shells do for what they run in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # As process 1 we would be taken for launchd(8).
    if not job.get("launchd") and (child := os.fork()):
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    build(job)
    results = [play(act, job) for act in job["acts"]]
    for pid in monitors():
        os.kill(pid, signal.SIGKILL)
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
