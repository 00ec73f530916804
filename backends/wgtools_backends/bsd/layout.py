# SPDX-License-Identifier: MIT
"""How the BSDs lay out the arguments of interface ioctls, and number the calls.

Pure: bytes in, bytes out.  Not here: what is special to one system's WireGuard.  All
numbers come from BSD_IPC 1.1 and 1.2, where a compiler made them; every layout can be
asked for on every machine, so that 32-bit systems are tested on 64-bit ones.
"""

from __future__ import annotations

from struct import Struct, calcsize

__all__ = [
    "I386",
    "IFNAMSIZ",
    "ILP32",
    "IN",
    "INOUT",
    "LP64",
    "NATIVE",
    "OUT",
    "Layout",
    "number",
    "text",
]

IFNAMSIZ = 16  # net/if.h, the NUL included

OUT = 0x40000000  # sys/ioccom.h: the kernel writes the argument
IN = 0x80000000
INOUT = IN | OUT
_SIZE_MASK = 0x1FFF
_GROUP = ord("i")  # of every call on an interface


def number(direction: int, index: int, size: int) -> int:
    """An ioctl's number; the size of its argument is part of it."""
    return direction | (size & _SIZE_MASK) << 16 | _GROUP << 8 | index


class Layout:
    """What a C compiler makes of a struct: the size of a pointer, and how 64-bit numbers
    are aligned."""

    __slots__ = ("_ifgroupreq", "align8", "word", "word_format")

    def __init__(self, *, word: int, align8: int) -> None:
        self.word = word  # bytes of a pointer, a size_t, a long
        self.align8 = align8  # at which multiples a 64-bit number may stand
        self.word_format = "Q" if word == 8 else "I"
        # name, len, union of a pointer and a name
        self._ifgroupreq = Struct("=16sI4xQ8x" if word == 8 else "=16sII12x")

    def struct(self, fields: str) -> Struct:
        """`fields` of the struct module without padding, `W` standing for a word."""
        return Struct("=" + fields.replace("W", self.word_format))

    @property
    def ifgroupreq_size(self) -> int:
        return self._ifgroupreq.size

    def ifgroupreq(self, group: bytes, *, size: int, address: int) -> bytes:
        """Asks about the members of a group, whose names go to `address`."""
        return self._ifgroupreq.pack(group, size, address)

    def ifgroupreq_length(self, request: bytes) -> int:
        """How many bytes of names there are."""
        return int(self._ifgroupreq.unpack(request)[1])


LP64 = Layout(word=8, align8=8)  # amd64, arm64, riscv64
ILP32 = Layout(word=4, align8=8)  # armv7
I386 = Layout(word=4, align8=4)
_OF_32_BITS = ILP32 if calcsize("@BQ") == 16 else I386
NATIVE = LP64 if calcsize("P") == 8 else _OF_32_BITS


def text(field: bytes) -> bytes:
    """A string in a field of fixed size: up to its NUL."""
    return field.partition(b"\0")[0]
