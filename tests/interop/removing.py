# SPDX-License-Identifier: MIT
"""Removes links in the ways its words say, inside of a host that a test made.

    removing.py plain|no-child|dying-child|threads|gone

Prints what the caller of the removal can see the moment it returns.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from typing import NoReturn

from wgtools.errors import AccessError
from wgtools.quick.removal import remove_link

NAME = "wg7"


def make() -> int:
    """A link with 400 routes; its index."""
    lines = [f"tuntap add dev {NAME} mode tun", f"link set {NAME} up"]
    lines += [f"route add 10.7.{i}.0/24 dev {NAME}" for i in range(200)]
    lines += [f"route add fd00:7:{i:x}::/64 dev {NAME}" for i in range(200)]
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines).encode(), check=True)
    return socket.if_nametoindex(NAME)


def seen() -> str:
    """What is to be seen of the link: its place in /sys, its index, how many routes."""
    routes = 0
    for file in ("/proc/self/net/route", "/proc/self/net/ipv6_route"):
        with open(file, encoding="ascii") as lines:
            routes += sum(NAME in line.split() for line in lines)
    indexed = NAME in (name for _, name in socket.if_nameindex())
    return f"{os.path.exists(f'/sys/class/net/{NAME}')} {indexed} {routes}"


def no_child() -> NoReturn:
    raise BlockingIOError


def unwanted() -> NoReturn:
    raise AssertionError("a program with threads was forked")


def dying_child(fork: object = os.fork) -> int:
    assert callable(fork)
    child = int(fork())
    if not child:
        os._exit(1)
    return child


def main(way: str) -> None:
    index = make()
    print("before:", seen())
    if way == "no-child":
        os.fork = no_child
    elif way == "dying-child":
        os.fork = dying_child
    elif way == "threads":
        stop = threading.Event()
        threading.Thread(target=stop.wait).start()
        os.fork = unwanted
    elif way == "gone":
        subprocess.run(["ip", "link", "delete", NAME], check=True)
    for _ in range(20 if way == "plain" else 1):
        try:
            remove_link(index, NAME)
            print("after:", seen())
        except AccessError as error:
            print("refused:", error)
        if way == "plain":
            index = make()  # the name is free at once
    if way == "threads":
        stop.set()


if __name__ == "__main__":
    main(sys.argv[1])
