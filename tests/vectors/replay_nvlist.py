# SPDX-License-Identifier: MIT
"""Name/value lists in the forms of the recordings: written out as text, as libnv dumps
them, and byte strings with the verdict of real libnv builds.

`check(case)` runs one case of a list of malformed blobs through our reader and our `wg`.
"""

from __future__ import annotations

import errno
import os
import re
import struct
from collections.abc import Iterator
from typing import Any

from tests.contract.freebsd_kernel import FreeBSDKernel
from tests.vectors import front_end
from wgtools.errors import ProtocolError
from wgtools_backends.bsd.layout import ILP32, LP64
from wgtools_backends.freebsd import Backend, nvlist

Case = dict[str, Any]
Pairs = dict[bytes, Any]

# What glibc, under which the recordings were made, says where other systems say otherwise.
_GLIBC = {"Invalid or incomplete multibyte or wide character": errno.EILSEQ}


class NotUnderstood(Exception):
    """A word, a field or a form that this program does not know."""


# --- text forms --------------------------------------------------------------------------


def parse(text: str) -> Pairs:
    """The list that a `nvlist_spec` writes out: one pair a line, `[ name` ... `]` an array of
    `{` ... `}`, `< name` ... `>` a list in the list."""
    root: Pairs = {}
    stack: list[Any] = [root]
    for line in text.splitlines():
        kind, _, rest = line.strip().partition(" ")
        name, _, value = rest.partition(" ")
        inside = stack[-1]
        if kind == "[":
            stack.append(inside.setdefault(name.encode("latin-1"), []))
        elif kind == "<":
            stack.append(inside.setdefault(name.encode("latin-1"), {}))
        elif kind == "{":
            inside.append({})
            stack.append(inside[-1])
        elif kind in ("]", "}", ">"):
            stack.pop()
        elif kind:
            inside[name.encode("latin-1")] = _value(kind, value)
    if len(stack) != 1:
        raise NotUnderstood("a list without its end")
    return root


def _value(kind: str, text: str) -> Any:
    if kind == "n":
        return int(text, 0)
    if kind == "b":
        return text not in ("0", "false")
    if kind == "s":
        return text
    if kind == "x":
        return bytes.fromhex(text)
    if kind == "0":
        return None
    raise NotUnderstood(f"a pair of kind {kind!r}")


def holds_list(value: Any) -> bool:
    """Whether there is a list in a list: the length that its pair states is libnv's affair
    (BSD_IPC 3.4)."""
    if isinstance(value, list):
        return any(map(holds_list, value))
    if not isinstance(value, dict):
        return False
    return any(isinstance(item, dict) or holds_list(item) for item in value.values())


def dump(pairs: Pairs) -> Iterator[str]:
    """Line by line what nvlist_dump(3) prints.  Does not recurse: lists may be deep."""
    stack = [_dump_list(pairs, 0, "")]
    while stack:
        line = next(stack[-1], None)
        if line is None:
            stack.pop()
        elif isinstance(line, str):
            yield line
        else:
            stack.append(line)


def _dump_list(pairs: Pairs, level: int, end: str) -> Iterator[Any]:
    indent = "    " * level
    for name, value in pairs.items():
        head = f"{indent}{name.decode('latin-1')} "
        if isinstance(value, dict):
            yield f"{head}(NVLIST):\n"
            yield _dump_list(value, level + 1, "")
        elif isinstance(value, list) and isinstance(value[0], dict):
            yield f"{head}(NVLIST ARRAY): {len(value)}\n"
            for element in value:
                yield _dump_list(element, level + 1, f"{indent}    ,\n")
        elif isinstance(value, list):
            kind, quote = _NAMES[type(value[0])], '"' if isinstance(value[0], str) else ""
            shown = ", ".join(f"{quote}{_scalar(item)}{quote}" for item in value)
            yield f"{head}({kind} ARRAY): [ {shown} ]\n"
        elif isinstance(value, str):
            yield f"{head}(STRING): [{value}]\n"
        else:
            yield f"{head}({_NAMES[type(value)]}): {_scalar(value)}\n"
    if end:
        yield end


_NAMES = {type(None): "NULL", bool: "BOOL", int: "NUMBER", str: "STRING", bytes: "BINARY"}


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        signed = value - (value >> 63 << 64)
        return f"{value} ({signed}) ({value:#x})"
    if isinstance(value, bytes):
        return f"{len(value)} {value.hex()}"
    return str(value)


# --- a blob and its verdict --------------------------------------------------------------


def check(case: Case) -> Iterator[str]:
    """What is not as recorded."""
    blob = _blob(case)
    if len(blob) != case.get("packed_len", len(blob)):
        yield f"{len(blob)} bytes, recorded {case['packed_len']}"
    try:
        pairs = nvlist.unpack(blob)
    except ProtocolError as error:
        yield from _check_refused(case, error)
    else:
        yield from _check_accepted(case, blob, pairs)
    if case.get("wg_show_dump") is not None:
        yield from check_show(blob, case["wg_show_dump"])


def _blob(case: Case) -> bytes:
    if case.get("packed_hex") is not None:
        return bytes.fromhex(case["packed_hex"])
    recipe = case.get("recipe") or ""
    found = re.match(
        r"N=(\d+): root header; N times \[pair type 11 name \"(\w+)\" datasize 0 nitems 1, "
        r"element header\]; N NEXT pairs; every header size = bytes after it$",
        recipe,
    )
    if not found:
        raise NotUnderstood(f"neither packed_hex nor a known recipe: {recipe[:60]!r}")
    levels, name = int(found[1]), found[2].encode() + b"\0"
    array = struct.pack("<BHQQ", 11, len(name), 0, 1) + name
    size = levels * (len(array) + 19 + 20)
    out = [struct.pack("<BBBQQ", 0x6C, 0, 0, 0, size)]
    for level in range(1, levels + 1):
        rest = size - level * (len(array) + 19)
        out.append(array + struct.pack("<BBBQQ", 0x6C, 0, 0, 0, rest))
    return b"".join(out) + struct.pack("<BHQQx", 254, 1, 0, 0) * levels


def _builds(case: Case) -> Iterator[Case]:
    """What builds of libnv said, the newest first, those that came to the same verdict."""
    for name in ("libnv_2024_ndebug", "libnv_2024", *sorted(case)):
        said: Any = case.get(name)
        known = name.startswith("libnv") and isinstance(said, dict)
        if known and said.get("verdict") == case["verdict"]:
            yield said


def _check_refused(case: Case, error: ProtocolError) -> Iterator[str]:
    if case["verdict"] != "rejected":
        yield f"refused ({error.hint}), recorded {case['verdict']}"
        return
    if not error.hint:
        yield "refused without saying why"
    said = next(_builds(case), {}).get("errno")
    ours = errno.errorcode.get(error.errno)
    if said not in (None, ours):
        yield f"refused with {ours}, recorded {said}"


def _check_accepted(case: Case, blob: bytes, pairs: Pairs) -> Iterator[str]:
    if case["verdict"] != "accepted":
        yield f"accepted, recorded {case['verdict']}"
        return
    said = next(_builds(case), {})
    text = said.get("dump")
    if text is not None:
        cut = text.endswith("...")  # recorded up to here
        lines = dump(pairs)
        ours = ""
        while len(ours) <= len(text) and (line := next(lines, "")):
            ours += line
        if (ours[: len(text) - 3] != text[:-3]) if cut else (ours != text):
            yield f"read as {ours[:300]!r}, recorded {text[:300]!r}"
    again = said.get("repack")
    packed = nvlist.pack(pairs)
    if again == "same":
        # What a reader passes over (flags of elements, counts of scalars) is not kept.
        same = packed == blob or (len(packed) == len(blob) and packed == _repacked(packed))
        if not same:
            yield "packed again, it is not the same"
    elif again is not None and not packed.hex().startswith(again):
        yield f"packed again it is {packed.hex()[:100]}, recorded {again[:100]}"


def _repacked(packed: bytes) -> bytes:
    return nvlist.pack(nvlist.unpack(packed))


def check_show(blob: bytes, recorded: Case, words: tuple[str, ...] = ("dump",)) -> Iterator[str]:
    """`wg show wg0 dump` where the kernel's answer is `blob`."""
    for layout in (LP64, ILP32):
        kernel = FreeBSDKernel("wg0", layout=layout)
        kernel.interface().canned = blob
        done = front_end.run(Backend(kernel.control()), ["show", "wg0", *words])
        if recorded["exit"] < 0 or unreadable(blob):  # the C tool crashed, or read too far
            if not done.clean():
                yield f"wg show: not refused in one line: {done.status} {done.out[:200]!r}"
            continue
        said = _native(recorded.get("stderr", ""))
        if (done.status, done.out) != (recorded["exit"], recorded["stdout"]):
            yield f"wg show: {done.status} {done.out[:300]!r}, recorded {recorded}"[:900]
        elif done.err.strip() != said.strip():
            yield f"wg show: stderr {done.err!r}, recorded {said!r}"


def _native(text: str) -> str:
    """A recorded message with this system's words for its errno."""
    for said, number in _GLIBC.items():
        text = text.replace(said, os.strerror(number))
    return text


def unreadable(blob: bytes) -> bool:
    """Whether an answer holds an allowed IP at which the C tool crashes, or reads behind the
    value: ours refuses the answer (BSD_IPC 4.3)."""
    try:
        pairs = nvlist.unpack(blob)
    except ProtocolError:
        return False
    for peer in lists(pairs, b"peers"):
        for item in lists(peer, b"allowed-ips"):
            for name, size in ((b"ipv4", 4), (b"ipv6", 16)):
                address, length = item.get(name), item.get(b"cidr")
                if isinstance(address, bytes) and type(length) is int:
                    if len(address) != size or length > size * 8:
                        return True
                    break  # the first of the two is the one that counts
    return False


def lists(pairs: Pairs, name: bytes) -> list[Pairs]:
    """The elements of an array of lists; none if it is something else."""
    value = pairs.get(name)
    return value if isinstance(value, list) and isinstance(value[0], dict) else []
