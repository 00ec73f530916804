# SPDX-License-Identifier: MIT
"""Replays a file of the format of openbsd_vectors.json: our codec, our caller and our `wg`.

`run(document)` does what each case says, in both layouts of OpenBSD's peers, and compares
all that is recorded.  No case is known by its name, and what is not understood fails: a
field, a direction, a shape.  Where the recorded tool is wrong about IPv6 endpoints
(BSD_IPC 5.5), what it should have printed is put together from the recorded state.
"""

from __future__ import annotations

import binascii
import ctypes
import errno
import re
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from tests.vectors import front_end
from wgtools.inet import ntop
from wgtools.keys import Key
from wgtools.model import AllowedIP, Device, DeviceChange, Peer, PeerChange
from wgtools.testing.fake_openbsd import SIOCGWG, SIOCSWG, FakeOpenBSD
from wgtools.testing.memory_backend import MemoryBackend
from wgtools_backends.bsd import control, sockaddr
from wgtools_backends.openbsd import codec
from wgtools_backends.openbsd.ioctl import Backend
from wgtools_backends.openbsd.layout import CLASSIC, DESCRIBED, PeerLayout

Case = dict[str, Any]

# What a case may say, and what a document may hold; the rest is not understood.
FIELDS = {
    *("id", "direction", "argv", "files", "device", "exit", "stderr", "runtime_before", "source"),
    *("packed_hex", "packed_len", "ioctl", "dump_output", "showconf_output"),
    *("packed_hex_openbsd74", "packed_len_openbsd74", "ioctl_openbsd74"),
    "classic_tool_on_74_kernel_dump",
}
TOP = {"about", "origin", "licence", "again", "vectors"}
# The suffix of a layout's fields, the layout, a release that has it.
LAYOUTS = (("", CLASSIC, "7.3"), ("_openbsd74", DESCRIBED, "7.8"))
NAMES = {SIOCGWG: "SIOCGWG", SIOCSWG: "SIOCSWG"}
AF_INET6 = 24


class Mismatch(Exception):
    """One thing that is not as recorded."""


def run(document: Case) -> tuple[int, list[str]]:
    """How many cases passed, and a line about each thing that did not."""
    failures = [f"document: {key}: not understood" for key in sorted(set(document) - TOP)]
    passed = 0
    for number, case in enumerate(document.get("vectors", [])):
        found = _failures(case)
        label = case.get("id", number) if isinstance(case, dict) else number
        failures += [f"{label}: {failure}" for failure in found]
        passed += not found
    return passed, failures


def _failures(case: Any) -> list[str]:
    if not isinstance(case, dict):
        return ["not understood"]
    found = [f"field {key}: not understood" for key in sorted(set(case) - FIELDS)]
    checks: dict[str, Callable[[Case], list[str]]] = {"set": _check_set, "get": _check_get}
    check = checks.get(case.get("direction", ""))
    if check is None:
        return [*found, f"direction {case.get('direction')!r}: not understood"]
    try:
        return found + check(case)
    except Exception as error:
        return [*found, f"{type(error).__name__}: {error}"]


# --- the front end -----------------------------------------------------------------------


def wg(backend: Backend, argv: list[str]) -> tuple[int, str, str]:
    """`wg` in this process, on `backend` and with no daemons: status, stdout, stderr."""
    with mock.patch.object(control, "zone_of", return_value=""):  # this machine's do not count
        done = front_end.run(backend, argv[1:])
    return done.status, done.out, done.err


def _same(what: str, ours: object, recorded: object) -> list[str]:
    return [] if ours == recorded else [f"{what}: {_short(ours)}, recorded {_short(recorded)}"]


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) < 400 else f"{shown[:400]}... ({len(shown)} characters)"


# --- requests ----------------------------------------------------------------------------


class _Listening(Backend):
    """The backend, and what the front end asked of it."""

    changes: list[DeviceChange]

    def set(self, name: str, change: DeviceChange) -> None:
        self.changes.append(change)
        super().set(name, change)


def _check_set(case: Case) -> list[str]:
    found: list[str] = []
    shown: list[list[str]] = []
    for suffix, layout, release in LAYOUTS:
        kernel = FakeOpenBSD(_before(case), described=layout.described)
        backend = _Listening(ioctl=kernel.ioctl, release=release)
        backend.changes = []
        with tempfile.TemporaryDirectory() as directory:
            argv = front_end.with_files(case["argv"], case.get("files", {}), Path(directory))
            status, out, err = wg(backend, argv)
        shown.append([_said(call) for call in kernel.calls])
        found += _same(f"exit{suffix}", status, case.get("exit", 0))
        found += _same(f"stdout{suffix}", out, "")
        if "stderr" in case:
            found += _same(f"stderr{suffix}", err.strip(), case["stderr"].strip())
        recorded = case.get(f"packed_hex{suffix}")
        sent = [data.hex() for data in kernel.requests]
        found += _same(f"packed_hex{suffix}", sent[:1], [] if recorded is None else [recorded])
        length = case.get(f"packed_len{suffix}")
        found += _same(f"packed_len{suffix}", [len(data) for data in kernel.requests][:1],
                       [] if length is None else [length])  # fmt: skip
        found += _repetitions(kernel.requests, layout)
        if case.get("dump_output") is not None:
            _, dump, _ = wg(backend, ["wg", "show", _name(case), "dump"])
            found += _same(f"dump_output{suffix}", dump, case["dump_output"])
        for change in backend.changes or [DeviceChange()]:
            found += _compare_change(case["device"], change, _name(case))
    return found + _compare_calls(case, shown)


def _name(case: Case) -> str:
    name: str = case["argv"][2] if "argv" in case else "wg0"
    for line in case.get("ioctl", ()):
        name = line.partition(" name=")[2].split()[0]
    return name


def _before(case: Case) -> MemoryBackend:
    """The device before the request: fresh, or as `runtime_before` says."""
    name = _name(case)
    devices = MemoryBackend(name)
    change = DeviceChange()
    for line in case.get("runtime_before", "").splitlines():
        word, *values = line.split()
        _state_words(change, word, values)
    devices.set(name, change)
    return devices


def _state_words(change: DeviceChange, word: str, values: list[str]) -> None:
    if word == "port":
        change.listen_port = int(values[0])
    elif word == "privkey":
        change.private_key = Key(bytes.fromhex(values[0]))
    elif word == "cookie":
        change.fwmark = int(values[0])
    elif word == "peer":
        change.peers.append(PeerChange(Key(bytes.fromhex(values[0]))))
    elif word == "psk":
        change.peers[-1].preshared_key = Key(bytes.fromhex(values[0]))
    elif word == "ka":
        change.peers[-1].keepalive = int(values[0])
    elif word in ("aip4", "aip6"):
        network = AllowedIP(bytes.fromhex(values[0]), int(values[1]))
        change.peers[-1].allowed_ips.append(network)
    else:
        raise Mismatch(f"runtime_before: {word}: not understood")


def _repetitions(requests: list[bytes], layout: PeerLayout) -> list[str]:
    """A kernel that does not step over skipped peers may be told of the rest again, and of
    nothing else."""
    if len(requests) < 2:
        return []
    kernel = FakeOpenBSD(MemoryBackend(), described=layout.described)
    first, *others = [kernel.change(data) for data in requests]
    again = [peer for change in others for peer in change.peers]
    bare = DeviceChange(peers=again)
    plain = all(change == DeviceChange(peers=change.peers) for change in others)
    if not plain or bare.peers != first.peers[len(first.peers) - len(again) :]:
        return ["requests behind the first: no repetition of its last peers"]
    return []


def _compare_change(device: Case, change: DeviceChange, name: str) -> list[str]:
    """Is what the front end asked for what the recorded one did?"""
    flags = (
        change.replace_peers * 1
        | (change.private_key is not None) * 2
        | (change.listen_port is not None) * 8
        | (change.fwmark is not None) * 16
    )
    ours: Case = {"name": name, "flags": flags, "replace_peers": change.replace_peers}
    if change.private_key is not None:
        ours["private_key"] = change.private_key.hex()
    if change.listen_port is not None:
        ours["listen_port"] = change.listen_port
    if change.fwmark is not None:
        ours["fwmark"] = change.fwmark
    found = _same("device", ours, {k: v for k, v in device.items() if k != "peers"})
    peers = [_peer_case(peer) for peer in change.peers]
    # Whether the tool's own bit for "has a key" is set changes nothing: every peer has one.
    recorded = [{**peer, "flags": peer["flags"] | 4} for peer in device.get("peers", [])]
    return found + _same("device peers", peers, recorded)


def _peer_case(peer: PeerChange) -> Case:
    flags = (
        peer.remove * 1
        | peer.replace_allowed_ips * 2
        | 4
        | (peer.preshared_key is not None) * 8
        | (peer.keepalive is not None) * 16
    )
    ours: Case = {
        "public_key": peer.public_key.hex(),
        "flags": flags,
        "replace_allowed_ips": peer.replace_allowed_ips,
        "remove": peer.remove,
        "allowed_ips": [
            {
                "family": 4 if len(network.address) == 4 else 6,
                "cidr": network.length,
                "flags": int(network.remove),
                "addr": network.address.hex(),
                "ip": ntop(network.address),
            }
            for network in peer.allowed_ips
        ],
    }
    if peer.preshared_key is not None:
        ours["preshared_key"] = peer.preshared_key.hex()
    if peer.keepalive is not None:
        ours["persistent_keepalive_interval"] = peer.keepalive
    if peer.endpoint is not None:
        ours["endpoint"] = str(peer.endpoint)
        packed = sockaddr.pack(peer.endpoint, inet6=AF_INET6, scope_of=int)
        ours["endpoint_sockaddr"] = packed.hex()
    return ours


def _said(call: tuple[int, str, int], size_out: int | None = None) -> str:
    """A call as the recordings have it."""
    number, name, size = call
    head = f"{NAMES[number]} {number:#x} name={name}"
    if number == SIOCSWG:
        return f"{head} size={size}"
    data = "ptr" if size else "NULL"
    return f"{head} size_in={size} data={data} -> rc=0 size_out={size_out}"


def _compare_calls(case: Case, shown: list[list[str]]) -> list[str]:
    """`ioctl` was recorded with one of the two headers; repetitions are looked at before,
    and what a get gave in the cases of its own."""
    gets = re.compile("SIOCGWG.*")
    ours = [[gets.sub("SIOCGWG", line) for line in lines] for lines in shown]
    found = []
    for suffix, among in (("", ours), ("_openbsd74", ours[1:])):
        if suffix and f"ioctl{suffix}" not in case:
            continue
        recorded = [gets.sub("SIOCGWG", line) for line in case.get(f"ioctl{suffix}", [])]
        if recorded not in [lines[: len(recorded) or None] for lines in among]:
            found.append(f"ioctl{suffix}: {_short(among)}, recorded {_short(recorded)}")
    return found


# --- replies -----------------------------------------------------------------------------


class _Recorded:
    """A kernel that answers every SIOCGWG with the recorded bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.lines: list[str] = []

    def ioctl(self, _fd: int, number: int, argument: bytearray, _mutate: bool = True) -> int:
        if number != SIOCGWG:
            raise OSError(errno.ENOTTY, "nothing else is recorded")
        name, size, address = struct.unpack("=16sQQ", argument)
        if size >= len(self.data):
            ctypes.memmove(address, self.data, len(self.data))
        struct.pack_into("=Q", argument, 16, len(self.data))
        call = number, name.rstrip(b"\0").decode(), size
        self.lines.append(_said(call, len(self.data)))
        return 0


def _check_get(case: Case) -> list[str]:
    found: list[str] = []
    name = _name(case)
    for suffix, layout, release in LAYOUTS:
        data = bytes.fromhex(case[f"packed_hex{suffix}"])
        found += _same(f"packed_len{suffix}", len(data), case[f"packed_len{suffix}"])
        kernel = _Recorded(data)
        ours = wg(Backend(ioctl=kernel.ioctl, release=release), ["wg", "show", name, "dump"])
        found += _same(f"dump{suffix}", ours, (0, _right_dump(case), ""))
        found += _same(f"ioctl{suffix}", kernel.lines, case[f"ioctl{suffix}"])
        for other in ("6.8", "7.3", "7.4", "8.0"):  # a snapshot calls itself what it will be
            backend = Backend(ioctl=_Recorded(data).ioctl, release=other)
            ours = wg(backend, ["wg", "show", name, "dump"])
            found += _same(f"dump{suffix} under {other}", ours, (0, _right_dump(case), ""))
            if "showconf_output" in case:
                ours = wg(backend, ["wg", "showconf", name])
                found += _same(f"showconf{suffix}", ours, (0, _right_conf(case), ""))
        device = codec.device(name.encode(), data, layout, zone_of=lambda _index: "")
        found += _compare_device(case["device"], device)
    wrong = case.get("classic_tool_on_74_kernel_dump")
    if wrong is not None and not isinstance(wrong, str):
        found.append("classic_tool_on_74_kernel_dump: not understood")
    return found


def _endpoints(case: Case) -> list[str]:
    """Of each peer, the IPv6 endpoint that the C tool does not show; empty if it has none."""
    peers = case["device"].get("peers", []) if case["device"].get("privileged", True) else []
    return [_inet6_text(bytes.fromhex(peer.get("endpoint_sockaddr", ""))) for peer in peers]


def _inet6_text(data: bytes) -> str:
    if len(data) != 28 or data[1] != AF_INET6:
        return ""
    scope = int.from_bytes(data[24:28], "little")
    zone = f"%{scope}" if scope else ""
    return f"[{ntop(data[8:24])}{zone}]:{int.from_bytes(data[2:4], 'big')}"


def _right_dump(case: Case) -> str:
    """The recorded dump with the endpoints that belong there."""
    first, *lines = case["dump_output"].splitlines()
    for number, endpoint in enumerate(_endpoints(case)):
        columns = lines[number].split("\t")
        if endpoint:
            columns[2] = endpoint
        lines[number] = "\t".join(columns)
    return "".join(f"{line}\n" for line in [first, *lines])


def _right_conf(case: Case) -> str:
    """The recorded file with the endpoints that belong there, in the order of `showconf`."""
    sections = case["showconf_output"].split("\n[Peer]\n")
    for number, endpoint in enumerate(_endpoints(case), 1):
        lines = sections[number].splitlines(keepends=True)
        if endpoint and not any(line.startswith("Endpoint") for line in lines):
            after = [i for i, line in enumerate(lines) if not line.startswith("Persistent")]
            end = max(i for i in after if lines[i].strip()) + 1
            lines.insert(end, f"Endpoint = {endpoint}\n")
        sections[number] = "".join(lines)
    return "\n[Peer]\n".join(sections)


_STATE = {"private_key", "listen_port", "rtable", "privileged", "peers"}
_PEER_STATE = {
    *("public_key", "preshared_key", "endpoint_sockaddr", "keepalive", "last_handshake"),
    *("rx", "tx", "allowed_ips", "description"),
}


def _compare_device(state: Case, device: Device) -> list[str]:
    """Does the decoded device say what the kernel was made to hold?"""
    found = [f"device {key}: not understood" for key in sorted(set(state) - _STATE)]
    root = state.get("privileged", True)
    found += _same("listen_port", device.listen_port, state.get("listen_port", 0))
    found += _same("rtable", device.fwmark, state.get("rtable", 0) & 0xFFFFFFFF)
    private = state.get("private_key") if root else None
    clamped = Key.from_entropy(bytes.fromhex(private)) if private else None
    found += _same("private_key", _hex(device.private_key), _hex(clamped))
    found += _same("public_key", device.public_key is None, clamped is None)
    peers = state.get("peers", []) if root else []
    found += _same("peers", len(device.peers), len(peers))
    for recorded, peer in zip(peers, device.peers, strict=False):
        found += _compare_peer(recorded, peer)
    return found


def _hex(key: Key | None) -> str | None:
    return None if key is None else key.hex()


def _compare_peer(recorded: Case, peer: Peer) -> list[str]:
    found = [f"peer {key}: not understood" for key in sorted(set(recorded) - _PEER_STATE)]
    secret = recorded.get("preshared_key")
    if secret and not any(binascii.unhexlify(secret)):
        secret = None  # zeros are no key
    endpoint = None
    if peer.endpoint is not None:
        packed = sockaddr.pack(peer.endpoint, inet6=AF_INET6, scope_of=int)
        endpoint = packed.hex()
    ours = (
        peer.public_key.hex(), _hex(peer.preshared_key), endpoint, peer.keepalive,
        [peer.handshake_sec, peer.handshake_nsec], peer.rx_bytes, peer.tx_bytes,
        [str(network) for network in peer.allowed_ips],
    )  # fmt: skip
    wanted = (
        recorded["public_key"], secret, recorded.get("endpoint_sockaddr"),
        recorded.get("keepalive", 0), recorded.get("last_handshake", [0, 0]),
        recorded.get("rx", 0), recorded.get("tx", 0),
        [f"{each['ip']}/{each['cidr']}" for each in recorded.get("allowed_ips", [])],
    )  # fmt: skip
    return found + _same("peer", ours, wanted)
