# SPDX-License-Identifier: MIT
"""Replays files of the formats of freebsd_vectors.json and freebsd_malformed.json.

What a case is shows in its fields: a request that a command line makes, an answer of a
kernel in a known state, an answer put together by hand, a request put together by hand,
or a byte string with libnv's verdict.  Two things are not as recorded, on purpose: ours
never sends a private key of zeros, and it removes an allowed IP even where the kernel
ignores the request (BSD_IPC 2.4); then it is the outcome that must be right.
"""

from __future__ import annotations

import errno
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.contract.freebsd_kernel import FreeBSDKernel, Interface, KernelPanic, Peer
from tests.vectors import front_end, replay_nvlist
from tests.vectors.replay_nvlist import NotUnderstood
from wgtools.errors import AccessError, ProtocolError
from wgtools.inet import pton
from wgtools.keys import Key
from wgtools.model import AllowedIP, DeviceChange, Endpoint, PeerChange
from wgtools_backends.bsd import sockaddr
from wgtools_backends.bsd.layout import I386, LP64, Layout
from wgtools_backends.freebsd import Backend, codec, nvlist

Case = dict[str, Any]
Pairs = dict[bytes, Any]
Gone = dict[str, set[str]]  # of each peer, in base64: networks that must not be there
Check = Callable[[Case], Iterator[str]]

LAYOUTS = (LP64, I386)
ZERO = bytes(32)
KNOWN_KEY = bytes(Key.from_entropy(ZERO))  # what the kernel makes of zeros


# What a case may say.  What only tells where it is from need not be looked at.
_FIELDS = {
    *("id", "direction", "device", "packed_hex", "packed_len", "nvlist_spec", "ioctl", "argv"),
    *("files", "runtime_before", "state_before", "kernel_result", "kernel_reply_hex_after"),
    *("kernel_log", "dump_output", "dump_exit", "showconf_output", "showconf_exit", "exit"),
    *("stderr", "verdict", "recipe", "wg_show_dump"),
}
_REMARKS = re.compile("note|source|asan|sanitizer|synthetic|identical|libnv|all_builds|comment")
_TOP = {"about", "origin", "again", "licence", "license", "format", "count", "recorded_from"}


def run(document: Case) -> tuple[int, list[str]]:
    """How many cases passed, and a line about each that did not."""
    passed = 0
    failures = []
    for section, content in document.items():
        if section not in _TOP and not isinstance(content, list):
            failures.append(f"{section}: not understood")
        for number, case in enumerate(content if isinstance(content, list) else []):
            label = f"{case.get('id', number) if isinstance(case, dict) else number}"
            if found := check(case):
                failures.append(f"{section}[{number}] {label}: {'; '.join(found)}")
            passed += not found
    return passed, failures


def check(case: Any) -> list[str]:
    """Everything about one case that is not as it should be."""
    try:
        return [failure for part in _parts(case) for failure in part(case)]
    except NotUnderstood as error:
        return [f"not understood: {error}"]
    except Exception as error:  # a fault of ours is a failure of the case
        return [f"{type(error).__name__}: {error}"]


def _parts(case: Any) -> list[Check]:
    """What is to be checked about a case, as its fields tell."""
    if not isinstance(case, dict):
        raise NotUnderstood("a case that has no fields")
    if unknown := [name for name in case if name not in _FIELDS and not _REMARKS.match(name)]:
        raise NotUnderstood(f"fields {sorted(unknown)}")
    if "verdict" in case:
        return [replay_nvlist.check]
    kind, packed = case.get("direction"), case.get("packed_hex")
    if kind == "get" and isinstance(packed, str):
        state: list[Check] = [] if case.get("device") is None else [_check_state]
        return [_check_bytes, *state, _check_answer]
    if kind == "set" and isinstance(packed, str) and "kernel_result" in case:
        device: list[Check] = [] if case.get("device") is None else [_check_request]
        last = _check_command if "argv" in case else _check_ours
        return [_check_bytes, *device, _check_kernel, last]
    if kind == "set" and packed is None and "argv" in case:
        return [_check_refused]
    raise NotUnderstood(f"direction {kind!r} with {sorted(case)}")


def _blob(case: Case) -> bytes:
    return bytes.fromhex(case["packed_hex"])


def _pairs(case: Case) -> Pairs | None:
    """The name/value list of a case, if it is one."""
    try:
        return nvlist.unpack(_blob(case))
    except ProtocolError:
        return None


def _differs(what: str, ours: object, recorded: object) -> Iterator[str]:
    if ours != recorded:
        yield f"{what} is {str(ours)[:300]!r}, recorded {str(recorded)[:300]!r}"


def _check_bytes(case: Case) -> Iterator[str]:
    """Our reader and writer on the recorded bytes, and on the list written out as text."""
    blob = _blob(case)
    yield from _differs("packed_len", len(blob), case.get("packed_len", len(blob)))
    pairs = _pairs(case)
    if pairs is None:
        if "EBADMSG" not in case.get("kernel_result", "") and blob:
            yield "the bytes are no name/value list"
        return
    if "nvlist_spec" in case:
        spec = replay_nvlist.parse(case["nvlist_spec"])
        yield from _differs("nvlist_spec", pairs, spec)
    if not replay_nvlist.holds_list(pairs):
        yield from _differs("packed again", nvlist.pack(pairs).hex(), blob.hex())


# --- states ------------------------------------------------------------------------------


def _state(kernel: FreeBSDKernel, text: str | None) -> None:
    """The device as a `state_before` or `runtime_before` writes it out."""
    device = kernel.interface()
    peer = Peer(ZERO)
    for line in (text or "").splitlines():
        word, *values = line.split()
        if word == "priv":
            kernel.privileged = values != ["0"]
        elif word == "peer":
            peer = device.peers[bytes.fromhex(values[0])] = Peer(bytes.fromhex(values[0]))
        elif word in _DEVICE_WORDS:
            _DEVICE_WORDS[word](device, values)
        elif word in _PEER_WORDS and device.peers:
            _PEER_WORDS[word](device, peer, values)
        else:
            raise NotUnderstood(f"a state with {word!r}")


def _device_number(name: str) -> Callable[[Interface, list[str]], None]:
    return lambda device, values: setattr(device, name, int(values[0], 0))


def _peer_number(name: str) -> Callable[[Interface, Peer, list[str]], None]:
    return lambda _, peer, values: setattr(peer, name, int(values[0], 0))


def _peer_bytes(name: str) -> Callable[[Interface, Peer, list[str]], None]:
    return lambda _, peer, values: setattr(peer, name, bytes.fromhex(values[0]))


def _network(kind: bytes) -> Callable[[Interface, Peer, list[str]], None]:
    def add(device: Interface, peer: Peer, values: list[str]) -> None:
        address = pton(values[0]) if {".", ":"} & set(values[0]) else bytes.fromhex(values[0])
        assert address is not None
        device.add_network(peer, (kind, address, int(values[1])))

    return add


def _handshake(_: Interface, peer: Peer, values: list[str]) -> None:
    peer.handshake = (int(values[0]), int(values[1]) if len(values) > 1 else 0)


_DEVICE_WORDS: dict[str, Callable[[Interface, list[str]], None]] = {
    "port": _device_number("port"),
    "cookie": _device_number("cookie"),
    "fwmark": _device_number("cookie"),
    "privkey": lambda device, values: device.set_private(bytes.fromhex(values[0])),
}
_PEER_WORDS: dict[str, Callable[[Interface, Peer, list[str]], None]] = {
    "psk": _peer_bytes("preshared"),
    **dict.fromkeys(("ep", "endpoint", "sa"), _peer_bytes("endpoint")),
    **dict.fromkeys(("ka", "keepalive"), _peer_number("keepalive")),
    "rx": _peer_number("rx"),
    "tx": _peer_number("tx"),
    **dict.fromkeys(("hs", "handshake", "last_handshake"), _handshake),
    "aip4": _network(b"ipv4"),
    "aip6": _network(b"ipv6"),
}


def _kernel(case: Case, layout: Layout = LP64) -> FreeBSDKernel:
    """A kernel without the removal of single allowed IPs, in the state before the case."""
    kernel = FreeBSDKernel("wg0", layout=layout)
    _state(kernel, case.get("state_before"))
    _state(kernel, case.get("runtime_before"))
    return kernel


def _dump(kernel: FreeBSDKernel) -> str:
    """What `wg show wg0 dump` says of it, to root."""
    privileged, kernel.privileged = kernel.privileged, True
    done = front_end.run(Backend(kernel.control()), ["show", "wg0", "dump"])
    kernel.privileged = privileged
    return done.out if done.status == 0 else f"exit {done.status}: {done.err}"


# --- answers -----------------------------------------------------------------------------


def _check_state(case: Case) -> Iterator[str]:
    """A kernel in the recorded state says the recorded bytes, in the recorded sizes."""
    kernel = FreeBSDKernel("wg0")
    _build(kernel, case["device"])
    device = kernel.interface()
    blob = _blob(case)
    yield from _differs("the state's bytes", kernel.get(device, len(blob))[0].hex(), blob.hex())
    for line in case.get("kernel_log", []):
        found = re.match(r"get(-1|0|big|) rc=(\d+)(?: \w+)? size=(\d+)$", line)
        if not found:
            raise NotUnderstood(f"kernel_log {line!r}")
        room = {"-1": len(blob) - 1, "0": 0, "big": len(blob) + 100, "": len(blob)}[found[1]]
        try:
            status, size = 0, kernel.get(device, room)[1]
        except OSError as error:
            status, size = error.errno or 0, room
        yield from _differs(line, (status, size), (int(found[2]), int(found[3])))


_STATE_FIELDS = {"listen_port": "port", "user_cookie": "cookie", "fwmark": "cookie"}
_PEER_FIELDS = {"keepalive": "keepalive", "rx": "rx", "tx": "tx"}
_PEER_BYTES = {"preshared_key": "preshared", "endpoint_sockaddr": "endpoint"}


def _build(kernel: FreeBSDKernel, state: Case) -> None:
    device = kernel.interface()
    for field, value in state.items():
        if field in _STATE_FIELDS:
            setattr(device, _STATE_FIELDS[field], value)
        elif field == "private_key":
            device.set_private(bytes.fromhex(value))
        elif field == "privileged":
            kernel.privileged = value
        elif field == "peers":
            for peer in value:
                _build_peer(device, peer)
        elif field != "name":
            raise NotUnderstood(f"device.{field}")


def _build_peer(device: Interface, state: Case) -> None:
    peer = Peer(bytes.fromhex(state["public_key"]))
    device.peers[peer.key] = peer
    for field, value in state.items():
        if field in _PEER_FIELDS:
            setattr(peer, _PEER_FIELDS[field], value)
        elif field in _PEER_BYTES:
            setattr(peer, _PEER_BYTES[field], bytes.fromhex(value))
        elif field == "last_handshake":
            peer.handshake = tuple(value)
        elif field == "allowed_ips":
            for item in value:
                kind = {4: b"ipv4", 6: b"ipv6"}[item["family"]]
                address = pton(item["ip"]) if "ip" in item else bytes.fromhex(item["addr"])
                assert address is not None
                device.add_network(peer, (kind, address, item["cidr"]))
        elif field != "public_key":
            raise NotUnderstood(f"device.peers.{field}")


def _check_answer(case: Case) -> Iterator[str]:
    """`wg show wg0 dump` and `wg showconf wg0` where the kernel gives the recorded bytes."""
    blob = _blob(case)
    dump = {"exit": case.get("dump_exit", 0), "stdout": case.get("dump_output")}
    yield from replay_nvlist.check_show(blob, dump)
    refused = dump["exit"] < 0 or replay_nvlist.unreadable(blob)
    for layout in LAYOUTS:
        kernel = FreeBSDKernel("wg0", layout=layout)
        kernel.interface().canned = blob
        done = front_end.run(Backend(kernel.control()), ["showconf", "wg0"])
        if refused and not done.clean():
            yield f"wg showconf: not refused in one line: {done.out[:200]!r}"
        if not refused and "showconf_output" in case:
            recorded = (case.get("showconf_exit", 0), case["showconf_output"])
            yield from _differs("wg showconf", (done.status, done.out), recorded)
        if case.get("ioctl"):
            yield from _differs("ioctl", kernel.log, _for(layout, case["ioctl"]))


def _for(layout: Layout, log: list[str]) -> list[str]:
    """A log of LP64 as another layout would have it (BSD_IPC 1.1)."""
    number = "0xc02069d" if layout.word == 8 else "0xc01869d"
    return [line.replace("0xc02069d", number) for line in log]


# --- requests ----------------------------------------------------------------------------


def _check_request(case: Case) -> Iterator[str]:
    """Our codec makes the recorded bytes of the recorded change."""
    packed = codec.request(_change(case["device"]), scope_of=int)
    yield from _differs("the change's bytes", packed.hex(), case["packed_hex"])


_CHANGE_FIELDS = {"name", "flags", "private_key", "listen_port", "fwmark", "replace_peers", "peers"}


def _change(device: Case) -> DeviceChange:
    if set(device) - _CHANGE_FIELDS:
        raise NotUnderstood(f"device fields {sorted(set(device) - _CHANGE_FIELDS)}")
    private = device.get("private_key")
    return DeviceChange(
        private_key=None if private is None else Key(bytes.fromhex(private)),
        listen_port=device.get("listen_port"),
        fwmark=device.get("fwmark"),
        replace_peers=device.get("replace_peers", False),
        peers=[_peer_change(peer) for peer in device.get("peers", [])],
    )


def _peer_change(peer: Case) -> PeerChange:
    secret, packed = peer.get("preshared_key"), peer.get("endpoint_sockaddr")
    endpoint = None if packed is None else _endpoint(bytes.fromhex(packed))
    return PeerChange(
        Key(bytes.fromhex(peer["public_key"])),
        remove=peer.get("remove", False),
        preshared_key=None if secret is None else Key(bytes.fromhex(secret)),
        endpoint=endpoint,
        keepalive=peer.get("persistent_keepalive_interval"),
        replace_allowed_ips=peer.get("replace_allowed_ips", False),
        allowed_ips=[
            AllowedIP(bytes.fromhex(item["addr"]), item["cidr"], bool(item.get("flags", 0)))
            for item in peer.get("allowed_ips", [])
        ],
    )


def _check_kernel(case: Case) -> Iterator[str]:
    """The kernel that our tests run on does with the bytes what the real function did."""
    kernel = _kernel(case)
    result = case["kernel_result"]
    found = re.match(r"set rc=\d+ (\w+)$", result)
    if not found and not result.startswith("KERNEL-CRASH"):
        raise NotUnderstood(f"kernel_result {result!r}")
    ours = "OK"  # names of errnos: their numbers are those of the system it ran on
    try:
        kernel.set(kernel.interface(), _blob(case))
    except OSError as error:
        ours = errno.errorcode[error.errno or 0]
    except KernelPanic:
        ours = "panic"
    yield from _differs("the kernel", ours, found[1] if found else "panic")
    if case.get("kernel_reply_hex_after") is not None:
        state = nvlist.pack(kernel.state(kernel.interface()))
        yield from _differs("the state after", state.hex(), case["kernel_reply_hex_after"])
    if case.get("dump_output") is not None and ours != "panic":
        yield from _differs("the dump after", _dump(kernel), case["dump_output"])


def _command(case: Case, layout: Layout) -> tuple[FreeBSDKernel, front_end.Result]:
    """The command line of a case, on a kernel in the state before."""
    kernel = _kernel(case, layout)
    with tempfile.TemporaryDirectory() as directory:
        words = front_end.with_files(case["argv"][1:], case.get("files") or {}, Path(directory))
        return kernel, front_end.run(Backend(kernel.control()), words)


def _check_command(case: Case) -> Iterator[str]:
    """The command line, through `wg`, makes the recorded calls with the recorded bytes."""
    for layout in LAYOUTS:
        kernel, done = _command(case, layout)
        status = 0 if case["kernel_result"] == "set rc=0 OK" else 1
        yield from _differs("wg's exit status", done.status, case.get("exit", status))
        yield from _differs("wg's stdout", done.out, "")
        if "stderr" in case:
            yield from _differs("wg's stderr", done.err.strip(), case["stderr"].strip())
        pairs = nvlist.unpack(_blob(case))
        gone = _removals(pairs)
        if pairs.get(b"private-key") == ZERO:
            yield from _check_no_key(pairs, kernel)
        elif gone:
            yield from _differs("the first request", kernel.requests[0].hex(), case["packed_hex"])
        else:
            sent = [data.hex() for data in kernel.requests]
            yield from _differs("wg's requests", sent, [case["packed_hex"]])
            yield from _differs("ioctl", kernel.log, _for(layout, case["ioctl"]))
        yield from _check_outcome(case, pairs, kernel)


def _check_refused(case: Case) -> Iterator[str]:
    """A command line that the recorded tool did not make a request of."""
    kernel, done = _command(case, LP64)
    yield from _differs("wg's exit status", done.status, case.get("exit", 1))
    if "stderr" in case:
        yield from _differs("wg's stderr", done.err.strip(), case["stderr"].strip())
    yield from _differs("the number of requests", len(kernel.requests), 0)


def _check_outcome(case: Case, pairs: Pairs, kernel: FreeBSDKernel) -> Iterator[str]:
    """What the device is in the end: as recorded, less a private key that everybody knows,
    and less the allowed IPs that were to be removed."""
    recorded = case["dump_output"]
    if recorded is None:
        return
    first, *lines = recorded.splitlines()
    if pairs.get(b"private-key") == ZERO:
        first = "\t".join(["(none)", "(none)", *first.split("\t")[2:]])
    gone = _removals(pairs)
    for number, line in enumerate(lines):
        columns = line.split("\t")
        left = [item for item in columns[3].split(",") if item not in gone.get(columns[0], ())]
        columns[3] = ",".join(left) or "(none)"
        lines[number] = "\t".join(columns)
    wanted = "".join(f"{line}\n" for line in [first, *lines])
    yield from _differs("the dump after", _dump(kernel), wanted)


def _check_no_key(recorded: Pairs, kernel: FreeBSDKernel) -> Iterator[str]:
    """All but the private key was sent as recorded; nobody can use what the device has now."""
    yield from _differs("the number of requests", len(kernel.requests), 1)
    sent = nvlist.unpack(kernel.requests[0])
    if sent.pop(b"private-key", b"none") in (ZERO, KNOWN_KEY):
        yield "a private key was sent that everybody knows"
    rest = {name: value for name, value in recorded.items() if name != b"private-key"}
    yield from _differs("the rest of the request", nvlist.pack(sent), nvlist.pack(rest))
    if kernel.interface().private in (ZERO, KNOWN_KEY):
        yield "the device has a private key that everybody knows"


def _removals(pairs: Pairs) -> Gone:
    """The allowed IPs of each peer that shall be there no longer."""
    gone: Gone = {}
    for peer in replay_nvlist.lists(pairs, b"peers"):
        items = replay_nvlist.lists(peer, b"allowed-ips")
        for item in filter(None, map(_network_wish, items)):
            spare = len(item.address) * 8 - item.length
            masked = int.from_bytes(item.address, "big") >> spare << spare
            network = AllowedIP(masked.to_bytes(len(item.address), "big"), item.length)
            networks = gone.setdefault(Key(peer[b"public-key"]).base64(), set())
            if item.remove:
                networks.add(str(network))
            else:
                networks.discard(str(network))
    return {peer: networks for peer, networks in gone.items() if networks}


def _check_ours(case: Case) -> Iterator[str]:
    """A request put together by hand: what our backend makes of the same wish, if it can be
    wished at all, has the same effect; what is refused or crashes there is never sent."""
    pairs, result = _pairs(case), case["kernel_result"]
    if pairs is None:
        return  # nobody can wish that
    kernel = _kernel(case)
    accepted = result == "set rc=0 OK"
    try:
        Backend(kernel.control()).set("wg0", _wish(pairs))
    except AccessError as error:
        yield from _differs("the error", errno.errorcode[error.errno], result.rpartition(" ")[2])
    except (ValueError, KeyError):  # not to be expressed, or refused
        if accepted and not _beyond_wishes(pairs):
            yield "refused, though the kernel takes it"
        if kernel.requests:
            yield "a request was sent nevertheless"
    else:
        if not accepted:
            yield f"sent, recorded {result}"
        yield from _check_outcome(case, pairs, kernel)


def _wish(pairs: Pairs) -> DeviceChange:
    """The change that a request asks for; as in the kernel, what is of a wrong type says
    nothing.  Raises ValueError or KeyError for what the model cannot express."""
    private = _typed(pairs, b"private-key", bytes)
    return DeviceChange(
        private_key=None if private is None else Key(private),
        listen_port=_typed(pairs, b"listen-port", int),
        fwmark=_typed(pairs, b"user-cookie", int),
        replace_peers=bool(_typed(pairs, b"replace-peers", bool)),
        peers=[_peer_wish(peer) for peer in replay_nvlist.lists(pairs, b"peers")],
    )


def _typed(pairs: Pairs, name: bytes, kind: type) -> Any:
    return pairs[name] if type(pairs.get(name)) is kind else None


def _peer_wish(pairs: Pairs) -> PeerChange:
    secret, raw = _typed(pairs, b"preshared-key", bytes), _typed(pairs, b"endpoint", bytes)
    endpoint = None if raw is None else _endpoint(raw)
    if raw is not None and endpoint is None:
        raise ValueError("an endpoint that is none")
    networks = replay_nvlist.lists(pairs, b"allowed-ips")
    return PeerChange(
        Key(pairs[b"public-key"]),
        remove=bool(_typed(pairs, b"remove", bool)),
        preshared_key=None if secret is None else Key(secret),
        endpoint=endpoint,
        keepalive=_typed(pairs, b"persistent-keepalive-interval", int),
        replace_allowed_ips=bool(_typed(pairs, b"replace-allowedips", bool)),
        allowed_ips=[item for each in networks if (item := _network_wish(each)) is not None],
    )


def _network_wish(pairs: Pairs) -> AllowedIP | None:
    """An allowed IP; None where the kernel passes over it."""
    address = _typed(pairs, b"ipv4", bytes) or _typed(pairs, b"ipv6", bytes)
    length = _typed(pairs, b"cidr", int)
    if address is None or length is None:
        return None
    return AllowedIP(address, length, pairs.get(b"flags") == codec.FLAG_REMOVE)


def _endpoint(raw: bytes) -> Endpoint | None:
    return sockaddr.unpack(raw, inet6=codec.AF_INET6, zone_of=lambda _: "")


def _beyond_wishes(pairs: Pairs) -> bool:
    """Whether a request holds what the kernel takes and no user can ask us for."""
    peers = replay_nvlist.lists(pairs, b"peers")
    given = [raw for peer in peers if (raw := _typed(peer, b"endpoint", bytes)) is not None]
    removed = any(peer.get(b"remove") is True for peer in peers)  # the rest is not looked at
    return removed or any(_endpoint(raw) is None for raw in given)
