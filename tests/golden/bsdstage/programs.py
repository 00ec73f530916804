#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ifconfig, route, netstat and the like of a BSD or macOS that is a file of JSON.

Every name on the stage's PATH leads here; the first word says which program is meant.  What
they are told is noted in the order it comes; what they change, `ifconfig` and `netstat`
show again in the form of each system, and every monitor's route socket hears of it.
Only the standard library: it is started for each command of a run.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Json = Any

BASE = os.environ.get("STAGE", "/run/stage")
SOCKETS = "/var/run/wireguard"
RTM_ADD = (4).to_bytes(2, sys.byteorder) + b"\5\1"  # as short as a message can be
HEADS = {"freebsd": "Netif", "openbsd": "Iface", "darwin": "Netif"}


class World:
    """The state, locked from reading to writing."""

    def __enter__(self) -> Json:
        self.file = open(f"{BASE}/state.json", "r+")
        fcntl.flock(self.file, fcntl.LOCK_EX)
        self.state = json.load(self.file)
        self.before = json.dumps(self.state)
        return self.state

    def __exit__(self, *_: object) -> None:
        text = json.dumps(self.state)
        self.file.seek(0)
        self.file.truncate()
        self.file.write(text)
        self.file.close()
        if text != self.before:
            ring()


def ring() -> None:
    """Tell everybody who listens to route messages."""
    if not glob.glob(f"{BASE}/route-*"):
        return
    import socket

    for path in glob.glob(f"{BASE}/route-*"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
            bell.setblocking(False)
            bell.sendto(RTM_ADD, path)


def note(words: str) -> None:
    with open(f"{BASE}/log", "a") as log:
        log.write(json.dumps(words) + "\n")


def die(text: str, status: int = 1) -> int:
    sys.stderr.write(text + "\n")
    return status


# ------------------------------------------------------------------ ifconfig


def ifconfig(state: Json, words: list[str]) -> int:
    links = state["interfaces"]
    if len(words) == 1:
        shown = links if words[0] == "-a" else {k: v for k, v in links.items() if k == words[0]}
        if not shown:
            return die(f"ifconfig: interface {words[0]} does not exist")
        for name, link in shown.items():
            show_interface(name, link)
        return 0
    name, verb, *rest = words
    if verb == "create":
        return create(state, name, rest)
    if name not in links:
        return die(f"ifconfig: interface {name} does not exist")
    link = links[name]
    if verb == "destroy":
        del links[name]
        state["routes"] = [r for r in state["routes"] if r["interface"] != name]
    elif verb in ("inet", "inet6"):
        link["addresses"].append(rest[0])
        network = connected(rest[0])
        if state["system"] != "darwin" or verb == "inet6":
            add_route(state, network, f"link#{len(links)}", name, "U")
    elif verb == "mtu":
        link["mtu"] = int(rest[0])
    elif verb == "up":
        link["up"] = True
    elif verb in ("fib", "tunnelfib", "description"):
        link[verb] = rest[0]
    else:
        return die(f"ifconfig: {verb}: bad value")
    return 0


def create(state: Json, name: str, rest: list[str]) -> int:
    if not state["kernel"]:
        return die("ifconfig: SIOCIFCREATE2 (wg): Invalid argument")
    wanted = rest[1] if rest[0] == "name" else name
    if wanted in state["interfaces"]:
        return die("ifconfig: SIOCIFCREATE: File exists")
    link = {"mtu": 1420, "up": False, "addresses": [], "description": ""}
    if rest[0] == "description":
        link["description"] = rest[1]
    state["interfaces"][wanted] = link
    print(wanted)
    return 0


def show_interface(name: str, link: Json) -> None:
    flags = "8043<UP,BROADCAST,RUNNING,MULTICAST>" if link["up"] else "8002<BROADCAST,MULTICAST>"
    print(f"{name}: flags={flags} metric 0 mtu {link['mtu']}")
    if link.get("description"):
        print(f"\tdescription: {link['description']}")
    for text in link["addresses"]:
        address, _, length = text.partition("/")
        if ":" in address:
            print(f"\tinet6 {address} prefixlen {length}")
        else:
            mask = (0xFFFFFFFF << (32 - int(length))) & 0xFFFFFFFF
            print(f"\tinet {address} netmask 0x{mask:08x}")


def connected(text: str) -> str:
    import ipaddress

    return str(ipaddress.ip_interface(text).network)


# ------------------------------------------------------------------ routes


def add_route(state: Json, network: str, gateway: str, interface: str, flags: str) -> None:
    route = {"network": network, "gateway": gateway, "interface": interface, "flags": flags}
    state["routes"].append(route)


def route(state: Json, words: list[str]) -> int:
    words = [word for word in words if word not in ("-q", "-n")]
    if words[0] == "nameserver":
        state["proposals"][words[1]] = words[2:]
        return 0
    if words[0] == "get":
        return get_route(state, words[-1])
    verb, _, network, *rest = words
    network = full(network)
    same = [r for r in state["routes"] if r["network"] == network]
    if verb == "delete":
        if not same:
            return die("", 1)
        state["routes"].remove(same[0])
        return 0
    if same:
        return die("", 1)
    if rest[-1] == "-blackhole":
        add_route(state, network, rest[0], "lo0", "UGHSB")
    elif rest[0] == "-gateway":
        out = next(r["interface"] for r in state["routes"] if r["network"].endswith("/0"))
        add_route(state, network, rest[1], out, "UGHS")
    elif rest[0] == "-iface":
        owner = [n for n, i in state["interfaces"].items() if rest[1] in str(i["addresses"])]
        add_route(state, network, rest[1], owner[0], "US")
    else:
        add_route(state, network, f"link#{len(rest)}", rest[1], "US")
    return 0


def full(network: str) -> str:
    return network if "/" in network else network + ("/128" if ":" in network else "/32")


def get_route(state: Json, address: str) -> int:
    import ipaddress

    wanted = ipaddress.ip_address(address)
    found = []
    for r in state["routes"]:
        network = ipaddress.ip_network(r["network"])
        if wanted in network:
            found.append((network.prefixlen, r))
    if not found:
        return die("route: route has not been found")
    best = max(found, key=lambda pair: pair[0])[1]
    flags = "UP,GATEWAY,DONE,STATIC" if "G" in best["flags"] else "UP,DONE"
    print(f"   route to: {address}\ndestination: {best['network']}")
    if "G" in best["flags"]:
        print(f"    gateway: {best['gateway']}")
    print(f"  interface: {best['interface']}\n      flags: <{flags}>")
    print(" recvpipe  sendpipe  ssthresh  rtt,msec    mtu        weight    expire")
    print(f"       0         0         0         0  {best.get('mtu', 0):>6}         1         0")
    return 0


def netstat(state: Json, words: list[str]) -> int:
    six = words[-1] == "inet6"
    print("Routing tables\n\nInternet6:" if six else "Routing tables\n\nInternet:")
    print(f"Destination Gateway Flags {HEADS[state['system']]} Expire")
    for r in state["routes"]:
        if (":" in r["network"]) == six:
            shown = "default" if r["network"] in ("0.0.0.0/0", "::/0") else r["network"]
            print(shown.removesuffix("/32"), r["gateway"], r["flags"], r["interface"])
    return 0


# ------------------------------------------------------------------ names


def networksetup(state: Json, words: list[str]) -> int:
    verb, *rest = words
    services = state["services"]
    if verb == "-listallnetworkservices":
        print("An asterisk (*) denotes that a network service is disabled.")
        print("\n".join(services))
        return 0
    name = rest[0] if rest[0] in services else "*" + rest[0]
    key = "servers" if verb.endswith("servers") else "domains"
    if verb.startswith("-get"):
        there = services[name][key]
        print("\n".join(there) if there else f"There aren't any {key} set on {rest[0]}.")
        return 0
    services[name][key] = [] if rest[1:] == ["Empty"] else rest[1:]
    return 0


def resolvconf(state: Json, words: list[str]) -> int:
    verb, name = words[:2]
    entries = state["resolvconf"]
    if verb == "-a":
        entries[name] = sys.stdin.read()
    elif verb == "-l":
        if name not in entries:
            return 1
        sys.stdout.write(entries[name])
    else:
        entries.pop(name, None)
    return 0


def told(state: Json, key: str) -> int:
    print(state["told"].get(key, ""))
    return 0 if key in state["told"] else 1


def ps(state: Json, words: list[str]) -> int:
    if "args=" not in words:
        return told(state, "jid")
    with contextlib.suppress(OSError), open(f"/proc/{words[-1]}/cmdline", "rb") as line:
        print(line.read().replace(b"\0", b" ").decode())
        return 0
    return 1


# ------------------------------------------------------------------ an engine


def engine(state: Json, words: list[str]) -> int:
    """Make an interface and stay in the background until the socket is gone."""
    import socket
    import subprocess

    (word,) = words
    name_file = os.environ.get("WG_TUN_NAME_FILE")
    real = word
    if name_file:
        number = 0
        while f"{word}{number}" in state["interfaces"]:
            number += 1
        real = f"{word}{number}"
    state["interfaces"][real] = {"mtu": 1420, "up": False, "addresses": [], "description": ""}
    os.makedirs(SOCKETS, exist_ok=True)
    path = f"{SOCKETS}/{real}.sock"
    with contextlib.suppress(OSError):
        os.unlink(path)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    door.bind(path)
    if name_file:
        with open(name_file, "w") as file:
            file.write(real + "\n")
    null = subprocess.DEVNULL
    argv = [sys.executable, os.path.abspath(__file__), "stay", path, real]
    subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, start_new_session=True)
    return 0


def stay(path: str, real: str) -> None:
    while os.path.exists(path):
        time.sleep(0.02)
    with World() as state:
        state["interfaces"].pop(real, None)
        state["routes"] = [r for r in state["routes"] if r["interface"] != real]


PROGRAMS: dict[str, Any] = {
    "ifconfig": ifconfig,
    "route": route,
    "netstat": netstat,
    "networksetup": networksetup,
    "resolvconf": resolvconf,
    "wgtools-engine": engine,
    "sysctl": lambda state, words: told(state, words[-1]),
    "id": lambda state, words: told(state, "rtable"),
    "ps": ps,
    "pgrep": lambda state, words: 0 if words[-1] in state["running"] else 1,
}


def main() -> int:
    name, *words = sys.argv[1:]
    if name == "stay":
        stay(*words)
        return 0
    line = " ".join([name, *words])
    with World() as state:
        looks = name in ("netstat", "sysctl", "id", "ps", "pgrep") or "get" in line
        if not (looks or (name == "ifconfig" and len(words) == 1) or "-list" in line):
            note(line)
        for pattern, code in state["fail"].items():
            if pattern in line:
                return die(f"{name}: told to fail", code)
        if any(pattern in line for pattern in state["hollow"]):
            return 0  # says so, and has done nothing
        status: int = PROGRAMS[name](state, words)
        return status


if __name__ == "__main__":
    sys.exit(main())
