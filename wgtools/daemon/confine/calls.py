# SPDX-License-Identifier: MIT
"""The system calls that a running engine makes.  Pure.

The list is what strace showed of the interop tests under CPython 3.11 and glibc, and the
calls by which other Pythons, C libraries and architectures do the same.  The rule: nothing
on it opens a file, starts a program or makes memory executable.  What a call is for stands
beside it; one is added only when a running engine is seen to need it.
"""

from __future__ import annotations

from wgtools.daemon.confine.bpf import Condition

__all__ = ["KILLED", "allowed"]

# linux/socket.h, linux/net.h, linux/in.h, linux/in6.h, linux/udp.h, linux/netlink.h
_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_SOCK_DGRAM = 2
_SOCK_FLAGS = 0o4000 | 0o2000000  # SOCK_NONBLOCK, SOCK_CLOEXEC: equal on both architectures
_LEVELS = (0, 1, 17, 41, 270)  # IPPROTO_IP, SOL_SOCKET, SOL_UDP, IPPROTO_IPV6, SOL_NETLINK
# Of whatever level: what opening another port, a mark (udpoptions.py, udp.py) and an ear
# elsewhere (tun/netns.py) set.  With CAP_NET_ADMIN, others are doors to the packet filter
# (IPT_SO_SET_REPLACE, 64) and to IPsec policies (IP_XFRM_POLICY, 17).
_OPTIONS = (
    *(1, 7, 8, 10, 23, 26),  # NETLINK_ADD_MEMBERSHIP, SO_SNDBUF, SO_RCVBUF and IP_PKTINFO,
    # IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, IPV6_V6ONLY
    *(32, 33, 36, 49),  # SO_SNDBUFFORCE, SO_RCVBUFFORCE, SO_MARK, IPV6_RECVPKTINFO
    *(103, 104),  # UDP_SEGMENT, UDP_GRO
)
# F_SETOWN and F_SETSIG would let the kernel send any signal to any process, where Landlock is
# older than Linux 6.12: linux/fcntl.h, asm-generic/fcntl.h.
_FCNTLS = (*range(5), 1030)  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL; F_DUPFD_CLOEXEC

_IOCTLS = (
    *(0x800454D2, 0x54E3),  # TUNGETIFF, TUNGETDEVNETNS: linux/if_tun.h
    *(0x8910, 0x8913, 0x8921, 0x8933),  # SIOCGIFNAME, FLAGS, MTU, INDEX: linux/sockios.h
    *(0x5421, 0x5450, 0x5451),  # FIONBIO, FIONCLEX, FIOCLEX: asm-generic/ioctls.h
)
_PROT_EXEC = 4  # asm-generic/mman-common.h

_PLAIN = (
    # packets, clients and signals; what is frequent first, for kernels before 5.11, which
    # run the filter for every call
    *("recvmsg", "sendmsg", "readv", "writev", "epoll_wait", "epoll_pwait", "epoll_pwait2"),
    *("poll", "ppoll", "read", "write", "recvfrom", "sendto", "recvmmsg", "sendmmsg"),
    *("clock_gettime", "gettimeofday", "clock_getres", "getrandom"),
    *("accept", "accept4", "close", "epoll_ctl", "epoll_create1", "shutdown"),
    *("bind", "getsockname", "getpeername", "getsockopt"),  # another listen port
    *("nanosleep", "clock_nanosleep", "restart_syscall"),
    # is the control socket still there; taking it away at the end (and nothing else, as
    # Landlock sees to)
    *("stat", "lstat", "fstat", "newfstatat", "statx", "unlink", "unlinkat"),
    # what Python and the C library do for themselves
    *("munmap", "mremap", "madvise", "brk", "futex", "sched_yield", "getrusage", "lseek"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack"),
    *("getpid", "gettid", "getuid", "geteuid", "exit", "exit_group"),
)

# What nothing harmless does by accident: no second try for whoever does it.
KILLED = (
    *("execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd"),
    *("mount", "umount2", "move_mount", "open_tree", "fsopen", "pivot_root", "chroot"),
    *("setns", "unshare", "open_by_handle_at", "swapon", "reboot"),
    *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load"),
    *("bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key"),
)


def allowed(*, unix_query: bool = False) -> dict[str, tuple[Condition, ...]]:
    """What to allow, each with all that must hold.

    `unix_query`: this C library asks for names of interfaces over a Unix socket and nothing
    else (musl), so one may be opened; glibc is content with UDP.
    """
    families = (_AF_INET, _AF_INET6, *((_AF_UNIX,) if unix_query else ()))
    no_code = (Condition(2, (0,), mask=_PROT_EXEC),)
    calls: dict[str, tuple[Condition, ...]] = {name: () for name in _PLAIN}
    calls["ioctl"] = (Condition(1, _IOCTLS),)
    calls["fcntl"] = (Condition(1, _FCNTLS),)
    calls["setsockopt"] = (Condition(1, _LEVELS), Condition(2, _OPTIONS))
    calls["socket"] = (
        Condition(0, families),
        Condition(1, (_SOCK_DGRAM,), mask=0xFFFFFFFF & ~_SOCK_FLAGS),
    )
    calls["mmap"] = calls["mprotect"] = no_code
    return calls
