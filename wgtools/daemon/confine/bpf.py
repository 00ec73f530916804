# SPDX-License-Identifier: MIT
"""A seccomp filter from a table of system calls: classic BPF, as bytes.  Pure.

Not here: which calls (`calls.py`), and handing it to the kernel (`linux.py`).  The rule: a
call that no line of the table names is refused, and so is every call by another
architecture's numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["ALLOW", "KILL", "REFUSE", "Architecture", "Condition", "assemble"]

# linux/seccomp.h
ALLOW = 0x7FFF0000
KILL = 0x80000000  # the whole process
_ERRNO = 0x00050000
_EPERM = 1  # asm-generic/errno-base.h
REFUSE = _ERRNO | _EPERM

# linux/filter.h, linux/bpf_common.h
_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
_IF_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K
_INSTRUCTION = struct.Struct("=HBBI")  # struct sock_filter: code, jt, jf, k
_MAX = 4096  # BPF_MAXINSNS
_FAR = 255  # a jump is one byte

# struct seccomp_data
_NUMBER = 0
_ARCHITECTURE = 4
_ARGUMENTS = 16


@dataclass(frozen=True, slots=True)
class Architecture:
    """Whose system call numbers: an AUDIT_ARCH_* of linux/audit.h."""

    audit: int
    numbers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Condition:
    """`(argument & mask)` is one of `values`.

    Of an argument the low 32 bits are looked at (both our architectures are little-endian):
    all that is conditioned here is an int to the kernel, or a set of bits below 32.
    """

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF

    @property
    def offset(self) -> int:
        return _ARGUMENTS + 8 * self.argument


_Instruction = tuple[int, int, int, int]


def assemble(
    architecture: Architecture,
    allowed: Mapping[str, Sequence[Condition]],
    killed: Sequence[str] = (),
) -> bytes:
    """A filter that allows each of `allowed` when all its conditions hold, ends the process for
    one of `killed`, and refuses the rest with EPERM.

    Names that the architecture has no number for are left out.
    """
    code: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_IF_EQUAL, 1, 0, architecture.audit),
        (_RETURN, 0, 0, KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    numbers = architecture.numbers
    plain = [numbers[name] for name, asked in allowed.items() if name in numbers and not asked]
    code += _any_of(plain, ALLOW)
    code += _any_of([numbers[name] for name in killed if name in numbers], KILL)
    for name, asked in allowed.items():
        if name in numbers and asked:
            block = _if_all(asked)
            code += [(_IF_EQUAL, 0, _jump(len(block)), numbers[name]), *block]
    code.append((_RETURN, 0, 0, REFUSE))
    if len(code) > _MAX:
        raise ValueError("a filter too long for the kernel")
    return b"".join(_INSTRUCTION.pack(*line) for line in code)


def _any_of(numbers: Sequence[int], verdict: int) -> list[_Instruction]:
    """`verdict` if what is loaded is one of `numbers`; else on to what follows."""
    if not numbers:
        return []
    last = len(numbers) - 1
    tests: list[_Instruction] = [
        (_IF_EQUAL, _jump(last - place), 1 if place == last else 0, number)
        for place, number in enumerate(numbers)
    ]
    return [*tests, (_RETURN, 0, 0, verdict)]


def _if_all(conditions: Sequence[Condition]) -> list[_Instruction]:
    """ALLOW if all hold, else REFUSE.  Takes what is loaded away, so it ends either way."""
    code: list[_Instruction] = []
    for condition in conditions:
        code += [(_LOAD, 0, 0, condition.offset), (_AND, 0, 0, condition.mask)]
        count = len(condition.values)
        # One that matches jumps over the refusal that stands behind the last of them.
        code += [
            (_IF_EQUAL, _jump(count - place), 0, value)
            for place, value in enumerate(condition.values)
        ]
        code.append((_RETURN, 0, 0, REFUSE))
    return [*code, (_RETURN, 0, 0, ALLOW)]


def _jump(distance: int) -> int:
    if distance > _FAR:
        raise ValueError("a jump too far for BPF")
    return distance
