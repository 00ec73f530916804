# SPDX-License-Identifier: MIT
"""The netlink codec on large devices, beside pyroute2's WireGuard decoder.

    python tests/bench/bench_netlink.py [--quick]

The bytes are a real kernel's (tests/vectors/netlink_linux.json): its peers with four
allowed IPs, repeated under new keys and packed into messages of the size the kernel
made.  Every row is measured in a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import struct
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.figures import note
from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, Endpoint, PeerChange
from wgtools.testing.fake_kernel import attribute, attributes, generic, message
from wgtools_backends.linux import codec, dump, netlink

RECORDED = Path(__file__).parents[1] / "vectors/netlink_linux.json"
MESSAGE_SIZE = 32440  # the largest read of the recorded dump
LIMIT, LIMITED_SIZE = 0.5, 10_000  # seconds, peers: issue 4
RATIO = 10.0  # over pyroute2, same issue
LINEAR = 1.5  # how much dearer a peer may be among ten times as many
FAMILY, PEERS, NESTED, ALLOWED_IPS = 32, 8, 0x8000, 9


def recorded_peers() -> tuple[bytes, list[bytes]]:
    """The device's own attributes, and the bodies of its peers with four allowed IPs."""
    cases = {case["name"]: case for case in json.loads(RECORDED.read_text())["cases"]}
    head = b""
    bodies: list[bytes] = []
    for what, text in cases["get"]["talk"]:
        data = bytes.fromhex(text)
        for kind, *_, start, end in netlink.split(data) if what == "read" else ():
            if kind != FAMILY:
                continue
            for number, value in attributes(data[start + 4 : end]):
                if number != PEERS:
                    head += attribute(number, value) if not bodies else b""
                    continue
                for _, body in attributes(value):
                    networks = dict(attributes(body)).get(ALLOWED_IPS, b"")
                    if len(attributes(networks)) == 4:
                        bodies.append(body)
    return head, bodies


def kernel_dump(count: int) -> list[bytes]:
    """What the kernel would send for `count` such peers: one buffer per read."""
    head, bodies = recorded_peers()
    reads: list[bytes] = []
    peers, room = bytearray(), MESSAGE_SIZE
    for number in range(count):
        body = bodies[number % len(bodies)]
        key = struct.pack(">QQ", number, number) * 2
        entry = attribute(NESTED, body[:4] + key + body[36:])
        if room < len(entry):
            reads.append(
                message(FAMILY, 2, 2, generic(0, 1, head + attribute(PEERS, bytes(peers))))
            )
            head, peers, room = attribute(2, b"wg0\0"), bytearray(), MESSAGE_SIZE
        peers += entry
        room -= len(entry)
    reads.append(message(FAMILY, 2, 2, generic(0, 1, head + attribute(PEERS, bytes(peers)))))
    return reads


def decode(count: int) -> Callable[[], object]:
    reads = kernel_dump(count)

    def work() -> int:
        spans = [(data, start, end) for data in reads for *_, start, end in netlink.split(data)]
        device = dump.device(b"wg0", spans, zone_of=lambda index: "lo")
        assert len(device.peers) == count
        return len(device.peers)

    return work


def encode(count: int) -> Callable[[], object]:
    networks = [
        AllowedIP.parse(ip) for ip in ("10.0.0.1/32", "10.0.1.0/24", "fd00::/64", "fd01::/48")
    ]
    peers = [
        PeerChange(
            Key(number.to_bytes(32, "big")),
            endpoint=Endpoint("192.0.2.1", 51820),
            keepalive=25,
            replace_allowed_ips=True,
            allowed_ips=networks,
        )
        for number in range(1, count + 1)
    ]
    change = DeviceChange(replace_peers=True, peers=peers)
    return lambda: codec.change_payloads(b"wg0", change, scope_of=int)


def decode_pyroute2(count: int) -> Callable[[], object]:
    """Every value of every attribute: pyroute2 decodes what is read, when it is read."""
    from pyroute2.netlink.generic.wireguard import wgmsg

    reads = kernel_dump(count)

    def touch(node: object) -> None:
        attrs = node.get("attrs", ()) if isinstance(node, dict) else ()
        for _, value in attrs:
            for child in value if isinstance(value, list) else [value]:
                touch(child)

    def work() -> int:
        peers = 0
        for data in reads:
            found = wgmsg(data)
            found.decode()
            touch(found)
            peers += len(found.get_attr("WGDEVICE_A_PEERS"))
        assert peers == count
        return peers

    return work


ROWS: dict[str, Callable[[int], Callable[[], object]]] = {
    "decode": decode,
    "encode": encode,
    "pyroute2 decode": decode_pyroute2,
}


def measured(row: tuple[str, int, int]) -> tuple[float, float]:
    """Best time in seconds, and megabytes that the first run took."""
    name, count, runs = row
    work = ROWS[name](count)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times, grown = [], 0.0
    for number in range(runs):
        begun = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - begun)
        if not number:
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        del result
    return min(times), grown


def rows(quick: bool) -> Iterator[tuple[str, int, int]]:
    for name in ("decode", "encode"):
        yield name, 1_000, 5
        yield name, LIMITED_SIZE, 5
        if not quick:
            yield name, 10 * LIMITED_SIZE, 2
    yield "pyroute2 decode", 1_000 if quick else LIMITED_SIZE, 1 if quick else 2


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="without the largest sizes")
    quick = parser.parse_args().quick
    print(f"peers with 4 allowed IPs, netlink bytes of Linux 6.1; {os.cpu_count()} CPUs")
    print(f"{'':16} {'peers':>7} {'seconds':>9} {'us/peer':>9} {'MB':>7}")
    per_peer: dict[tuple[str, int], float] = {}
    for row in rows(quick):
        name, count, _ = row
        with get_context("spawn").Pool(1) as pool:
            seconds, megabytes = pool.apply(measured, (row,))
        per_peer[name, count] = seconds / count
        cost = f"{seconds:9.3f} {seconds / count * 1e6:9.2f} {megabytes:7.1f}"
        print(f"{name:16} {count:7} {cost}", flush=True)
    theirs = next(cost for (name, _), cost in per_peer.items() if name.startswith("pyroute2"))
    ratio = theirs / per_peer["decode", LIMITED_SIZE]
    print(f"pyroute2's decoder takes {ratio:.1f} times as long as ours")
    for name in ("decode", "encode"):
        note(f"{name}, a peer", per_peer[name, LIMITED_SIZE] * 1e6, "us", beside=theirs * 1e6)
    failures = [
        f"{name} of {LIMITED_SIZE} peers takes over {LIMIT} s"
        for name in ("decode", "encode")
        if per_peer[name, LIMITED_SIZE] * LIMITED_SIZE > LIMIT
    ]
    if ratio < RATIO:
        failures.append(f"less than {RATIO:.0f} times faster than pyroute2")
    for name in () if quick else ("decode", "encode"):
        if per_peer[name, 10 * LIMITED_SIZE] > LINEAR * per_peer[name, LIMITED_SIZE]:
            failures.append(f"{name} is not linear")
    for failure in failures:
        print(f"MISSED: {failure}")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
