# SPDX-License-Identifier: MIT
"""Giving up privileges, by the kernel's own interfaces: capabilities, Landlock, seccomp.

Not here: when, and in which order (`__init__.py`).  The rule: every function tells what came
of it and raises nothing but OSError; a kernel that lacks something is not an error of ours.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import struct

__all__ = [
    "ALL_RIGHTS",
    "gain_nothing",
    "has_ipc_lock",
    "keep_needed",
    "restrict_files",
    "rights",
    "use_filter",
]

# linux/capability.h
_CAP_NET_BIND_SERVICE = 10
_CAP_NET_ADMIN = 12
_CAP_IPC_LOCK = 14
_CAPABILITY_VERSION_3 = 0x20080522
_CAPABILITIES = struct.Struct("=6I")  # effective, permitted, inheritable; low halves, high halves

# A listen port below 1024; a mark, socket buffers over the system's limit, and where the
# interface has gone to.  All of them may be asked for at any later time.
_NEEDED = {"net_bind_service": _CAP_NET_BIND_SERVICE, "net_admin": _CAP_NET_ADMIN}

# linux/prctl.h
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4

# linux/landlock.h; the numbers of its calls are the same on every architecture
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_VERSION = 1
_RULE_PATH_BENEATH = 1
_REMOVE_FILE = 1 << 5
_RULESET = struct.Struct("=QQQ")  # file system, TCP, scopes
_PATH_BENEATH = struct.Struct("=Qi")
# How many bits there are of each, by the ABI that brought the last of them.
ALL_RIGHTS = {
    1: (13, 0, 0),
    2: (14, 0, 0),
    3: (15, 0, 0),
    4: (15, 2, 0),
    5: (16, 2, 0),
    6: (16, 2, 2),
}
_SIZES = {1: 8, 2: 8, 3: 8, 4: 16, 5: 16}  # of _RULESET, by ABI; 24 from 6 on

# linux/seccomp.h
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER = 1
_FLAG_TSYNC = 1
_INSTRUCTION_SIZE = 8


def _syscall(number: int, *words: object) -> int:
    """Raises OSError."""
    return _checked(_libc().syscall(ctypes.c_long(number), *words))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


# ------------------------------------------------------------------ capabilities


def gain_nothing() -> str:
    """No program run from here gains a privilege: what Landlock and seccomp ask of those who
    have none to set them up with.  Raises OSError."""
    _checked(_libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    return "on"


def has_ipc_lock() -> bool:
    """Whether memory may be locked whatever the limit."""
    try:
        return bool(_permitted() >> _CAP_IPC_LOCK & 1)
    except OSError:
        return False


def _permitted() -> int:
    """The capabilities we may use, as bits.  Raises OSError."""
    sets = ctypes.create_string_buffer(_CAPABILITIES.size)
    _checked(_libc().capget(_header(), sets))
    _, low, _, _, high, _ = _CAPABILITIES.unpack(sets.raw)
    return int(low | high << 32)


def keep_needed() -> str:
    """Give up every capability but those of _NEEDED, for good.  Raises OSError."""
    needed = dict(_NEEDED)
    if _locked_by_privilege():
        needed["ipc_lock"] = _CAP_IPC_LOCK
    libc = _libc()
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for number in range(64):
        if number not in needed.values():
            libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)  # needs CAP_SETPCAP; else it stays
    kept = _permitted() & sum(1 << number for number in needed.values())
    low, high = kept & 0xFFFFFFFF, kept >> 32
    raw = _CAPABILITIES.pack(low, low, 0, high, high, 0)
    _checked(libc.capset(_header(), ctypes.create_string_buffer(raw, len(raw))))
    names = [name for name, number in needed.items() if kept >> number & 1]
    return f"kept {' and '.join(names) or 'none'}"


def _locked_by_privilege() -> bool:
    """Whether more memory is locked than the limit allows: without CAP_IPC_LOCK, no more could
    be had, and a stack that grows would end us."""
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    if limit == resource.RLIM_INFINITY:
        return False
    try:
        with open("/proc/self/status", "rb") as status:
            return any(line.startswith(b"VmLck:") and int(line.split()[1]) for line in status)
    except OSError:
        return True  # no /proc to tell


def _header() -> ctypes.Array[ctypes.c_char]:
    raw = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)  # 0: ourselves
    return ctypes.create_string_buffer(raw, len(raw))


# ------------------------------------------------------------------ Landlock


def _landlock_abi() -> int:
    """Raises OSError if this kernel has none, or we may not ask."""
    return _syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_CREATE_VERSION))


def rights(abi: int) -> bytes:
    """A struct landlock_ruleset_attr that takes away all rights which this ABI knows."""
    bits = ALL_RIGHTS[min(abi, max(ALL_RIGHTS))]
    return _RULESET.pack(*((1 << count) - 1 for count in bits))[: _SIZES.get(abi, _RULESET.size)]


def _allow_removal(rules: int, directory: str) -> None:
    """Raises OSError."""
    parent = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        rule = _PATH_BENEATH.pack(_REMOVE_FILE, parent)
        buffer = ctypes.create_string_buffer(rule, len(rule))
        _syscall(_ADD_RULE, rules, _RULE_PATH_BENEATH, buffer, ctypes.c_uint32(0))
    finally:
        os.close(parent)


def restrict_files(directory: str) -> str:
    """No file can be opened, made or run any more, no TCP spoken, no process outside be
    signalled; in `directory`, if there is one, files can be removed.  Raises OSError."""
    abi = _landlock_abi()
    attributes = rights(abi)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    size = ctypes.c_size_t(len(attributes))
    rules = _syscall(_CREATE_RULESET, buffer, size, ctypes.c_uint32(0))
    try:
        with contextlib.suppress(FileNotFoundError):
            _allow_removal(rules, directory)
        _syscall(_RESTRICT_SELF, rules, ctypes.c_uint32(0))
    finally:
        os.close(rules)
    return f"ABI {abi}"


# ------------------------------------------------------------------ seccomp


class _Program(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def use_filter(machine: str, program: bytes) -> str:
    """Let `program` judge every system call from now on, of all threads.  Raises OSError."""
    if not program:
        return f"none (no table of calls for such a process on {machine})"
    code = ctypes.create_string_buffer(program, len(program))
    handle = _Program(len(program) // _INSTRUCTION_SIZE, ctypes.addressof(code))
    words = ctypes.c_uint(_SET_MODE_FILTER), ctypes.c_uint(_FLAG_TSYNC), ctypes.byref(handle)
    if _syscall(_SECCOMP[machine], *words):  # the number of a thread that would not follow
        raise OSError(errno.EBUSY, "a thread has a filter of its own")
    return "on"
