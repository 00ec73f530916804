# SPDX-License-Identifier: MIT
"""The seccomp filter, judged by an interpreter of BPF; what Landlock is asked for."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import pytest

from wgtools.daemon.confine.bpf import ALLOW, KILL, REFUSE, Architecture, Condition, assemble
from wgtools.daemon.confine.calls import KILLED, allowed
from wgtools.daemon.confine.linux import ALL_RIGHTS, rights
from wgtools.daemon.confine.numbers import ARCHITECTURES
from wgtools.daemon.udpoptions import options_of

HERE = Architecture(0xC000003E, {"read": 0, "ioctl": 16, "socket": 41, "execve": 59, "open": 2})


def judge(program: bytes, audit: int, number: int, *arguments: int) -> int:
    """What the kernel would answer: its rules for seccomp programs, as far as we use them."""
    words = [argument & 0xFFFFFFFFFFFFFFFF for argument in (*arguments, *[0] * 6)][:6]
    data = struct.pack("<iIQ6Q", number, audit, 0, *words)
    code = list(struct.iter_unpack("=HBBI", program))
    accumulator = at = 0
    while True:
        operation, true, false, k = code[at]
        at += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, k)
            case 0x54:
                accumulator &= k
            case 0x15:
                at += true if accumulator == k else false
            case 0x06:
                return int(k)
            case _:
                pytest.fail(f"not an instruction we know: {operation:#x}")


def test_named_call_is_allowed_and_no_other() -> None:
    program = assemble(HERE, {"read": ()})
    assert judge(program, HERE.audit, 0) == ALLOW
    for number in (1, 2, 59, 0x40000000, 0xFFFFFF):  # the fourth: read(2) of x32
        assert judge(program, HERE.audit, number) == REFUSE


def test_numbers_of_another_architecture_end_the_process() -> None:
    program = assemble(HERE, {"read": ()})
    assert judge(program, 0x40000003, 0) == KILL  # AUDIT_ARCH_I386


def test_killed_calls() -> None:
    program = assemble(HERE, {"read": ()}, ["execve", "unheard_of"])
    assert judge(program, HERE.audit, 59) == KILL
    assert judge(program, HERE.audit, 2) == REFUSE


def test_all_conditions_must_hold() -> None:
    both = (Condition(0, (2, 10)), Condition(1, (2,), mask=0xF))
    program = assemble(HERE, {"socket": both, "read": (), "ioctl": (Condition(1, (7,)),)})
    for family, kind, verdict in (
        *((2, 2, ALLOW), (10, 0x802, ALLOW), (10, 2, ALLOW)),
        *((1, 2, REFUSE), (2, 1, REFUSE), (16, 3, REFUSE), (3, 2, REFUSE)),
    ):
        assert judge(program, HERE.audit, 41, family, kind) == verdict, (family, kind)
    assert judge(program, HERE.audit, 16, 0, 7) == ALLOW
    assert judge(program, HERE.audit, 16, 7, 0) == REFUSE
    assert judge(program, HERE.audit, 0) == ALLOW


def test_high_half_of_an_argument_does_not_count() -> None:
    program = assemble(HERE, {"ioctl": (Condition(1, (7,)),)})
    assert judge(program, HERE.audit, 16, 0, 1 << 32 | 7) == ALLOW


def test_call_that_the_architecture_lacks_is_left_out() -> None:
    assert assemble(HERE, {"read": (), "poll": ()}) == assemble(HERE, {"read": ()})


def test_nothing_allowed_is_a_filter_too() -> None:
    assert judge(assemble(HERE, {}), HERE.audit, 0) == REFUSE


def test_jump_too_far_is_a_mistake_of_ours() -> None:
    numbers = {f"call{n}": n for n in range(300)}
    with pytest.raises(ValueError, match="too far"):
        assemble(Architecture(1, numbers), {name: () for name in numbers})
    with pytest.raises(ValueError, match="too far"):
        assemble(HERE, {"ioctl": (Condition(1, tuple(range(300))),)})


def test_program_too_long_is_a_mistake_of_ours() -> None:
    numbers = {f"call{n}": n for n in range(600)}
    asked = (Condition(0, tuple(range(10))),)
    with pytest.raises(ValueError, match="too long"):
        assemble(Architecture(1, numbers), {name: asked for name in numbers})


# ------------------------------------------------------------------ the filter of an engine

MACHINES = pytest.mark.parametrize("machine", ARCHITECTURES)


def verdict(machine: str, name: str, *arguments: int, unix_query: bool = False) -> int:
    architecture = ARCHITECTURES[machine]
    program = assemble(architecture, allowed(unix_query=unix_query), KILLED)
    assert len(program) % 8 == 0
    return judge(program, architecture.audit, architecture.numbers[name], *arguments)


@MACHINES
@pytest.mark.parametrize("name", ["recvmsg", "sendmsg", "readv", "writev", "close", "accept4"])
def test_engine_may_serve(machine: str, name: str) -> None:
    assert verdict(machine, name) == ALLOW


@MACHINES
def test_every_call_that_is_allowed_has_a_number(machine: str) -> None:
    numbers: Mapping[str, int] = ARCHITECTURES[machine].numbers
    named = {*allowed(), *KILLED}
    old = {"stat", "lstat", "unlink", "poll", "epoll_wait"}  # x86-64 alone has them
    assert named - numbers.keys() == (set() if machine == "x86_64" else old)
    assert numbers.keys() <= named
    assert len(set(numbers.values())) == len(numbers)


@MACHINES
@pytest.mark.parametrize("name", ["execve", "ptrace", "mount", "setns", "bpf"])
def test_engine_ends_at_what_nothing_does_by_accident(machine: str, name: str) -> None:
    assert verdict(machine, name) == KILL


def test_no_file_is_opened_and_no_process_made() -> None:
    # x86-64: open, openat, openat2, creat, clone, fork, vfork, clone3, io_uring_setup, kill
    architecture = ARCHITECTURES["x86_64"]
    program = assemble(architecture, allowed(), KILLED)
    for number in (2, 257, 437, 85, 56, 57, 58, 435, 425, 62):
        assert judge(program, architecture.audit, number) == REFUSE, number


@MACHINES
def test_only_udp_sockets(machine: str) -> None:
    nonblocking = 2 | 0o4000 | 0o2000000
    assert verdict(machine, "socket", 2, nonblocking, 0) == ALLOW
    assert verdict(machine, "socket", 10, 2, 17) == ALLOW
    for family, kind in ((1, 2), (2, 1), (2, 3), (16, 3), (17, 3), (10, 1)):
        assert verdict(machine, "socket", family, kind) == REFUSE
    assert verdict(machine, "socket", 1, 2, unix_query=True) == ALLOW
    assert verdict(machine, "socket", 1, 1, unix_query=True) == REFUSE


@MACHINES
@pytest.mark.parametrize("name", ["mmap", "mprotect"])
def test_no_memory_becomes_code(machine: str, name: str) -> None:
    assert verdict(machine, name, 0, 4096, 3) == ALLOW
    assert verdict(machine, name, 0, 4096, 4) == REFUSE
    assert verdict(machine, name, 0, 4096, 7) == REFUSE


@MACHINES
def test_ioctls_look_and_change_nothing(machine: str) -> None:
    assert verdict(machine, "ioctl", 3, 0x8913) == ALLOW  # SIOCGIFFLAGS
    assert verdict(machine, "ioctl", 3, 0x8914) == REFUSE  # SIOCSIFFLAGS
    assert verdict(machine, "ioctl", 3, 0x400454CA) == REFUSE  # TUNSETIFF
    assert verdict(machine, "ioctl", 3, 0x5412) == REFUSE  # TIOCSTI


@MACHINES
def test_no_process_is_signalled_by_way_of_a_descriptor(machine: str) -> None:
    for command in (0, 1, 2, 3, 4, 1030):
        assert verdict(machine, "fcntl", 3, command) == ALLOW, command
    for command in (8, 10, 15, 1024, 1026):  # F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY
        assert verdict(machine, "fcntl", 3, command) == REFUSE, command


@MACHINES
def test_every_option_of_a_new_socket_can_be_set(machine: str) -> None:
    options = options_of("linux")
    assert options.probe_mark is not None
    wanted = [*options.four, *options.six, options.probe_mark]
    wanted += [(1, number, 0) for number in (options.receive_buffer, options.send_buffer, 7, 8)]
    wanted += [(17, options.gro, 1), (17, options.segment, 0)]
    wanted += [(41, 26, 1), (270, 1, 1)]  # IPV6_V6ONLY; NETLINK_ADD_MEMBERSHIP
    for level, option, _ in wanted:
        assert verdict(machine, "setsockopt", 3, level, option) == ALLOW, (level, option)


@MACHINES
def test_no_option_reaches_the_packet_filter_or_ipsec(machine: str) -> None:
    # IPT_SO_SET_REPLACE, ARPT_, EBT_, IP6T_; IP_XFRM_POLICY, IPV6_XFRM_POLICY; SO_ATTACH_BPF
    for level, option in ((0, 64), (0, 96), (0, 128), (41, 64), (0, 17), (41, 35), (1, 50)):
        assert verdict(machine, "setsockopt", 3, level, option) == REFUSE, (level, option)
    assert verdict(machine, "setsockopt", 3, 6, 1) == REFUSE  # of TCP


# ------------------------------------------------------------------ Landlock


@pytest.mark.parametrize("abi", [*ALL_RIGHTS, 7, 20])
def test_landlock_is_asked_for_all_that_the_kernel_knows(abi: int) -> None:
    asked = rights(abi)
    assert len(asked) == (8 if abi < 4 else 16 if abi < 6 else 24)
    files, tcp, scopes = struct.unpack("=QQQ", asked.ljust(24, b"\0"))
    assert files & 0b101  # execute, read
    assert files.bit_count() == {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)
    assert (tcp, scopes) == (3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
