# SPDX-License-Identifier: MIT
"""A throw-away host for one recorded wg-quick case: run the steps, tell what became of it.

    unshare --net --mount --pid --fork --mount-proc python quickhost.py JOB

The host has a veth towards a pretend router, an /etc of its own, and a PATH with just
the tools of the case.  After each step the state of the kernel and of the files is
read with the system's own tools and reduced to what the vectors hold: what differs
from before the first step, without what chance decides.  A case that is `unwatched` is
about what the steps say, and only that is told.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

Json = Any

BASE = Path("/run/qcase")  # the recorded hooks and commands name it
BIN = BASE / "bin"
LOGS = {name: BASE / f"{name}.log" for name in ("hook", "resolvconf", "sudo")}
NAMESPACES = ("--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
SYSTEM_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
SYSCTLS = (
    "net.ipv4.conf.all.src_valid_mark",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.conf.default.rp_filter",
    "net.ipv4.ip_forward",
    "net.ipv6.conf.all.forwarding",
    "net.ipv6.conf.all.disable_ipv6",
    "net.ipv6.conf.default.disable_ipv6",
)
ADDRESS_KEYS = {
    *("family", "local", "address", "prefixlen", "broadcast", "scope", "label"),
    *("secondary", "dynamic", "noprefixroute"),
}
ROUTE_KEYS = {
    *("type", "dst", "gateway", "dev", "protocol", "scope", "prefsrc", "table", "metric"),
    *("flags", "src", "metrics", "via", "tos"),
}
LINK_LOCAL = re.compile(r"\bfe80:[0-9a-fA-F:]+")
DESTINATIONS = ("203.0.113.77", "198.51.100.1", "2001:db8:77::1")

RESOLVCONF = """#!/bin/bash
# Records its words and standard input, and remembers entries for -l.
store=/run/qcase/entries; mkdir -p $store; verb=${1:-}; entry=$store/${2:-}
if [ "$verb" = -l ]; then [ -e "$entry" ] || exit 1; cat "$entry"; exit; fi
text=; [ "$verb" = -a ] && { text=$(cat; printf .); text=${text%.}; }
printf '%s\\0' $# "$@" "$text" >> /run/qcase/resolvconf.log
[ "$verb" = -a ] && [ -n "$RC_FAIL_ADD" ] && exit $RC_FAIL_ADD
[ "$verb" = -d ] && [ -n "$RC_FAIL_DEL" ] && exit $RC_FAIL_DEL
if [ "$verb" = -a ]; then printf %s "$text" > "$entry"; else rm -f "$entry"; fi
"""
SUDO = """#!/bin/bash
# Records whether it was given a prompt, and the last two words of the command.
prompt=; [ "$1" = -p ] && prompt=prompt
printf '%s\\0' "$prompt" "${@:$#-1}" >> /run/qcase/sudo.log
exit 42
"""


def sh(*argv: str) -> str:
    return subprocess.run(
        argv, stdin=subprocess.DEVNULL, check=True, capture_output=True, text=True
    ).stdout


def ask(*argv: str) -> Json:
    """The JSON that a tool prints, [] if it fails."""
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    try:
        return json.loads(done.stdout or "[]")
    except ValueError:
        return []


def install(name: str, text: str) -> None:
    path = BIN / name
    path.write_text(text)
    path.chmod(0o755)


def put(item: Json) -> None:
    path = Path(item["path"])
    if item.get("dir"):
        path.mkdir(parents=True, exist_ok=True)
    elif "link" in item:
        path.symlink_to(item["link"])
        return
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes.fromhex(item["hex"]) if "hex" in item else item["content"].encode())
    path.chmod(int(item.get("mode", "0755" if item.get("dir") else "0600"), 8))


def build(case: Json, programs: dict[str, str]) -> None:
    """Everything that stands before the first step."""
    sh("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run")
    for directory in (BIN, Path("/run/wireguard"), BASE / "up", BASE / "work", BASE / "tmp"):
        directory.mkdir(parents=True)
    layers = f"lowerdir=/etc,upperdir={BASE}/up,workdir={BASE}/work"
    sh("mount", "-t", "overlay", "overlay", "-o", layers, "/etc")
    sh("mount", "-t", "sysfs", "sysfs", "/sys")
    shutil.rmtree("/etc/wireguard", ignore_errors=True)
    shutil.rmtree("/etc/resolvconf", ignore_errors=True)
    Path("/etc/wireguard").mkdir(mode=0o700)
    names = "255 local\n254 main\n253 default\n0 unspec\n"
    put({"path": "/etc/iproute2/rt_tables", "content": names, "mode": "0644"})
    for log in LOGS.values():
        log.touch()
        log.chmod(0o666)
    build_path(case.get("tools", {}), programs)
    build_network({"v4": True, "v6": True, "mtu": 1500} | case.get("net", {}))
    for item in case.get("files", []):
        put(item)
    for command in case.get("net", {}).get("setup", []):
        sh("bash", "-ec", command)


def build_path(tools: Json, programs: dict[str, str]) -> None:
    def real(name: str) -> str:
        found = shutil.which(name, path=SYSTEM_PATH)
        if found is None:
            raise FileNotFoundError(name)
        return found

    for name in ("ip", "sysctl", *(["nft"] if tools.get("nft", True) else [])):
        (BIN / name).symlink_to(real(name))
    if flavour := tools.get("iptables", "nft"):
        multi = real(f"xtables-{flavour}-multi")
        for family in ("iptables", "ip6tables"):
            for suffix in ("", "-save", "-restore"):
                (BIN / f"{family}{suffix}").symlink_to(multi)
    resolvconf = tools.get("resolvconf", "stub")
    if resolvconf == "stub":
        install("resolvconf", RESOLVCONF)
    elif resolvconf:
        install("resolvectl", RESOLVCONF)
        (BIN / "resolvconf").symlink_to("resolvectl")
    if tools.get("sudo", "stub"):
        install("sudo", SUDO)
    for name, command in programs.items():
        install(name, f'#!/bin/sh\nexec {command} "$@"\n')


def build_network(net: Json) -> None:
    sh("ip", "link", "set", "lo", "up")
    far = subprocess.Popen(["unshare", "--net", "sleep", "1000"])
    mine = Path("/proc/self/ns/net").stat().st_ino
    while Path(f"/proc/{far.pid}/ns/net").stat().st_ino == mine:
        time.sleep(0.002)
    mtu = str(net["mtu"])
    sh(
        *("ip", "link", "add", "veth0", "address", "02:00:00:00:00:02", "type", "veth"),
        *("peer", "name", "up0", "address", "02:00:00:00:00:01", "netns", str(far.pid)),
    )
    sh("ip", "link", "set", "veth0", "addrgenmode", "none")
    sh("ip", "link", "set", "veth0", "mtu", mtu)
    router = "ip link set lo up; ip link set up0 addrgenmode none; "
    router += f"ip link set up0 mtu {mtu}; ip link set up0 up; "
    router += "ip addr add 192.0.2.1/24 dev up0; "
    if net["mtu"] >= 1280:
        router += "ip addr add 2001:db8::1/64 dev up0 nodad"
    sh("nsenter", "--net", "--target", str(far.pid), "sh", "-ec", router)
    sh("ip", "link", "set", "veth0", "up")
    for address, gateway, wanted in (
        ("192.0.2.2/24", "192.0.2.1", net["v4"]),
        ("2001:db8::2/64", "2001:db8::1", net["v6"]),
    ):
        if wanted:
            sh("ip", "addr", "add", address, "dev", "veth0", *(["nodad"] if ":" in address else []))
        if wanted and wanted != "nodefault":
            sh("ip", "route", "add", "default", "via", gateway)


class State:
    """Reads the host; knows the case's own words, to tell its numbers from random ones."""

    def __init__(self, case: Json, wg: str) -> None:
        self.case = case
        self.wg_command = wg
        words = json.dumps([case.get(key, []) for key in ("files", "steps", "net")])
        self.words = words.lower()
        self.numbers = set(re.findall(r"\d+", words))
        self.assigns_link_local = re.search(r"address[^\\]*=[^\\]*fe80:", self.words) is not None
        near = {
            str(Path(f["path"]).parent)
            for f in case.get("files", [])
            if not f.get("dir") and "conf" in f["path"]
        }
        self.directories = sorted({"/etc/wireguard", *near, *case.get("watch", [])})
        self.before: dict[str, Json] = {}
        self.before = self.settled()

    def automatic(self, address: str) -> bool:
        """A link-local address that the system made up."""
        address = address.partition("/")[0].lower()
        return address.startswith("fe80:") and address not in self.words

    def settled(self) -> dict[str, Json]:
        """The state once it stops changing (a daemon leaves in its own time)."""
        last, deadline = self.read(), time.monotonic() + 4
        while True:
            time.sleep(0.05)
            now = self.read()
            if now == last or time.monotonic() > deadline:
                return now
            last = now

    def read(self) -> dict[str, Json]:
        wg = self.wg()
        return {
            "links": self.links(),
            "addrs": self.addresses(),
            "routes4": self.routes("-4"),
            "routes6": self.routes("-6"),
            "rules4": ask("ip", "-j", "-4", "rule", "show"),
            "rules6": ask("ip", "-j", "-6", "rule", "show"),
            "nft": self.nft(),
            "iptables": self.iptables(),
            "sysctls": self.sysctls(),
            "lookups": self.lookups(wg),
            "files": self.files(),
            "wg": wg,
            "sockets": sorted(n for n in os.listdir("/run/wireguard") if n.endswith(".sock")),
        }

    def changes(self) -> dict[str, Json]:
        """The settled state less what was there before; what has gone would show as `gone`."""
        state = self.settled()
        for key, now in state.items():
            old = self.before[key]
            if key in ("wg", "files", "sockets"):
                continue
            if isinstance(now, dict):
                gone: Json = {k: v for k, v in old.items() if k not in now}
                state[key] = {k: v for k, v in now.items() if old.get(k) != v}
            else:
                gone = [item for item in old if item not in now]
                state[key] = [item for item in now if item not in old]
            if gone and key not in ("nft", "iptables"):
                state[key] = {"now": state[key], "gone": gone}
        return state

    def links(self) -> Json:
        links = ask("ip", "-j", "link", "show")
        return {
            link["ifname"]: {"mtu": link["mtu"], "up": "UP" in link["flags"]}
            for link in links
            if link["ifname"] != "lo"
        }

    def addresses(self) -> Json:
        found = {}
        for link in ask("ip", "-j", "addr", "show"):
            rows = []
            for info in link.get("addr_info", []):
                row = {key: info[key] for key in ADDRESS_KEYS if key in info}
                if info.get("valid_life_time", 2**32 - 1) != 2**32 - 1:
                    row["finite"] = True
                if not self.automatic(info.get("local", "")):
                    rows.append(row)
            if rows:
                found[link["ifname"]] = rows
        return found

    def routes(self, family: str) -> Json:
        rows = []
        for route in ask("ip", "-j", family, "route", "show", "table", "all"):
            dst, kind = route.get("dst", ""), route.get("type")
            kernels = route.get("protocol") == "kernel" and not self.assigns_link_local
            if (
                (kind == "multicast" and dst == "ff00::/8")
                or (kind == "anycast" and dst.startswith("fe80:"))
                or (dst == "fe80::/64" and kernels)
                or self.automatic(dst)
            ):
                continue
            row = {key: route[key] for key in ROUTE_KEYS if key in route} | {
                "table": route.get("table", "main")
            }
            row["flags"] = sorted(row.get("flags", []))
            rows.append({k: v for k, v in row.items() if v != [] or k not in ("flags", "metrics")})
        return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))

    def nft(self) -> Json:
        """Tables, chains and rules, those of iptables aside; rules in order."""
        listed = ask(str(shutil.which("nft", path=SYSTEM_PATH)), "-j", "list", "ruleset")
        found = []
        for item in listed["nftables"] if listed else []:
            ((kind, value),) = item.items()
            table = value.get("name" if kind == "table" else "table")
            iptables = table in ("filter", "nat", "mangle", "raw", "security")
            chance = any(
                self.automatic(address) for address in LINK_LOCAL.findall(json.dumps(value))
            )
            if kind != "metainfo" and not iptables and not chance:
                found.append(
                    {kind: {k: v for k, v in value.items() if k not in ("handle", "index")}}
                )
        order = {"table": 0, "chain": 1}

        def place(item: Json) -> tuple[str, str, int, str]:
            ((kind, value),) = item.items()
            table = value.get("name" if kind == "table" else "table") or ""
            chain = value.get("name" if kind == "chain" else "chain") or ""
            return value.get("family", ""), table, order.get(kind, 2), chain

        return sorted(found, key=place)

    def iptables(self) -> Json:
        flavour = self.case.get("tools", {}).get("iptables", "nft") or "nft"
        multi = shutil.which(f"xtables-{flavour}-multi", path=SYSTEM_PATH)
        found = {}
        for version, program in (("v4", "iptables-save"), ("v6", "ip6tables-save")):
            saved = subprocess.run(
                [str(multi), program], capture_output=True, text=True, check=False
            ).stdout
            kept: list[str] = []
            for block in re.split(r"(?m)^COMMIT$", saved):
                lines = [re.sub(r" \[\d+:\d+\]$", "", line) for line in block.splitlines()]
                lines = [
                    line
                    for line in lines
                    if line and line[0] in "*-:" and not re.match(r":\S+ ACCEPT$", line)
                ]
                chance = [
                    line for line in lines if any(map(self.automatic, LINK_LOCAL.findall(line)))
                ]
                lines = [line for line in lines if line not in chance]
                if any(line[0] in "-:" for line in lines):
                    kept += lines
            if kept:
                found[version] = kept
        return found

    def sysctls(self) -> Json:
        paths = {key: Path("/proc/sys", *key.split(".")) for key in SYSCTLS}
        return {key: path.read_text().strip() for key, path in paths.items() if path.exists()}

    def lookups(self, wg: Json) -> Json:
        """Where packets would go, unmarked and with each device's mark."""
        marks = {""} | {device["fwmark"] for device in wg.values() if device["fwmark"] != "off"}
        found = {}
        for dst in DESTINATIONS:
            for mark in sorted(marks):
                words = ["mark", mark] if mark else []
                family = "-6" if ":" in dst else "-4"
                route = ask("ip", "-j", family, "route", "get", dst, *words)
                where = route[0].get("dev", "unreachable") if route else "unreachable"
                found[" ".join([dst, *words])] = where
        return found

    def wg(self) -> Json:
        dump = subprocess.run(
            [self.wg_command, "show", "all", "dump"], capture_output=True, text=True, check=False
        ).stdout
        found: dict[str, Json] = {}
        for line in dump.splitlines():
            name, *cells = line.split("\t")
            if len(cells) == 4:
                private, public, port, mark = cells
                known = port == "0" or port in self.numbers
                device = {"private": private, "public": public, "fwmark": mark, "peers": []}
                found[name] = device | {"port": port if known else "RANDOM"}
            else:
                keys = ("public", "psk", "endpoint", "allowed")
                peer: Json = dict(zip(keys, cells, strict=False)) | {"keepalive": cells[7]}
                peer["allowed"] = sorted(peer["allowed"].split(","))
                found[name]["peers"].append(peer)
        for device in found.values():
            device["peers"].sort(key=lambda peer: peer["public"])
        return found

    def files(self) -> Json:
        first = {f["path"]: f for f in self.case.get("files", []) if "content" in f}
        found = {}
        for directory in filter(os.path.isdir, self.directories):
            for name in sorted(os.listdir(directory)):
                path = f"{directory}/{name}"
                mode = os.lstat(path).st_mode
                if stat.S_ISLNK(mode):
                    found[path] = {"link": os.readlink(path)}
                elif stat.S_ISDIR(mode):
                    found[path] = {"dir": f"{mode & 0o7777:04o}"}
                else:
                    found[path] = self.content(path, first.get(path)) | {
                        "mode": f"{mode & 0o7777:04o}"
                    }
        return found

    def content(self, path: str, given: Json) -> Json:
        raw = Path(path).read_bytes()
        if given:
            before = bytes.fromhex(given["hex"]) if "hex" in given else given["content"].encode()
            if raw == before:
                return {"content": "as given"}
        return {"content": self.normal(raw.decode("utf-8", "backslashreplace"))}

    def normal(self, text: str) -> str:
        """A written configuration, without the engine's order and what chance decides."""
        lines = []
        for line in text.split("\n"):
            key, _, value = line.partition(" = ")
            if key == "ListenPort" and value not in self.numbers:
                lines.append("ListenPort = RANDOM")
            elif key == "AllowedIPs":
                lines.append(f"AllowedIPs = {', '.join(sorted(value.split(', ')))}")
            elif key != "Address" or not self.automatic(value):
                lines.append(line)
        head, *peers = re.split(r"(?m)^(?=\[Peer\]$)", "\n".join(lines))
        blocks = [head.rstrip("\n"), *sorted(peer.strip("\n") for peer in peers)]
        return "\n\n".join(blocks) + "\n"


class Tail:
    """What was added to a log since the last look."""

    def __init__(self, path: Path) -> None:
        self.path, self.seen = path, 0

    def __call__(self) -> str:
        data = self.path.read_bytes()
        data, self.seen = data[self.seen :], len(data)
        return data.decode("utf-8", "backslashreplace")


def resolvconf_calls(text: str) -> Json:
    calls, words = [], text.split("\0")
    while words and words[0]:
        count = int(words[0])
        calls.append({"argv": words[1 : count + 1], "stdin": words[count + 1]})
        words = words[count + 2 :]
    return calls


def usual_signals() -> None:
    """A test runner in the background may ignore SIGINT, which children would inherit."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)


def perform(step: Json, env: dict[str, str]) -> Json:
    """Run one step's command, with its signal."""
    for item in step.get("put", []):
        put(item)
    argv = list(step["argv"])
    argv[0] = shutil.which(argv[0], path=env["PATH"]) or argv[0]
    if uid := step.get("uid"):
        powers = "+dac_override,+dac_read_search"
        ids = ("--reuid", str(uid), "--regid", str(uid), "--clear-groups")
        argv = ["setpriv", *ids, "--inh-caps", powers, "--ambient-caps", powers, "--", *argv]
    with open(BASE / "out", "wb") as out, open(BASE / "err", "wb") as err:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=env | step.get("env", {}),
            cwd=step.get("cwd", "/"),
            start_new_session=True,
        )
        if wanted := step.get("signal"):
            while not os.path.exists(wanted["after"]) and process.poll() is None:
                time.sleep(0.01)
            send = os.killpg if wanted.get("group") else os.kill
            with contextlib.suppress(ProcessLookupError):
                send(process.pid, signal.Signals[f"SIG{wanted['sig']}"])
        try:
            status: Json = process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            status = "timeout"
    said = [(BASE / n).read_bytes().decode("utf-8", "backslashreplace") for n in ("out", "err")]
    return {"exit": status, "stdout": said[0], "stderr": said[1]}


def play(case: Json, programs: dict[str, str], probe: str) -> list[Json]:
    build(case, programs)
    state = None if case.get("unwatched") else State(case, probe)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("WG", "RC_", "LC_", "PYTEST"))}
    env |= {"PATH": f"{BIN}:/usr/bin:/bin", "HOOKLOG": str(LOGS["hook"]), "LANG": "C.UTF-8"}
    env |= {"TMPDIR": str(BASE / "tmp"), "USER": "root", "LOGNAME": "root"} | case.get("env", {})
    hook, resolvconf, sudo = (Tail(LOGS[name]) for name in ("hook", "resolvconf", "sudo"))
    results = []
    for step in case["steps"]:
        result = perform(step, env)
        results.append(result)
        if state is None:
            continue
        result["state"] = state.changes() | {
            "hooks": hook().splitlines(),
            "resolvconf": resolvconf_calls(resolvconf()),
            "sudo": [word for word in sudo().split("\0") if word],
        }
    return results


def play_apart(case: Json, programs: dict[str, str], probe: str) -> list[Json]:
    """The same in namespaces of its own.  Raises RuntimeError with what was said."""
    with tempfile.TemporaryDirectory(prefix="wg-quick-case-") as directory:
        job = Path(directory, "job.json")
        job.write_text(json.dumps({"case": case, "programs": programs, "probe": probe}))
        done = subprocess.run(
            ["unshare", *NAMESPACES, sys.executable, __file__, job],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        answer: list[Json] = json.loads(job.read_text())
        return answer


def missing_tools() -> str:
    """Why no case can run here, or nothing."""
    if os.geteuid() != 0:
        return "wg-quick's hosts are namespaces: run as root"
    wanted = (
        "unshare",
        "nsenter",
        "ip",
        "nft",
        "xtables-legacy-multi",
        "setpriv",
        "sysctl",
        "bash",
    )
    lacking = [tool for tool in wanted if not shutil.which(tool, path=SYSTEM_PATH)]
    return f"wg-quick's hosts need {', '.join(lacking)}" if lacking else ""


if __name__ == "__main__":
    usual_signals()
    job = json.loads(Path(sys.argv[1]).read_text())
    answer = play(job["case"], job["programs"], job["probe"])
    Path(sys.argv[1]).write_text(json.dumps(answer))
    # The daemons of the case end with this process, the first of its PID namespace.
