# SPDX-License-Identifier: MIT
"""Every module can be imported on every system: what another one lacks is asked for only
where it is needed.

In a fresh process that believes to be elsewhere, with the modules and names hidden that the
Python of that system does not have.  What a name is used for is other tests' business.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOTS = {"wgtools": ROOT / "wgtools", "wgtools_backends": ROOT / "backends/wgtools_backends"}

# What only Linux's Python has; docs.python.org says of each "Availability: Linux".
LINUX_MODULES = ["pyroute2", "spwd"]
LINUX_NAMES = {
    "os": [
        *("epoll_create", "eventfd", "memfd_create", "pidfd_open", "splice", "sched_getaffinity"),
        *("setns", "unshare", "getrandom", "setxattr", "EFD_CLOEXEC", "O_PATH", "O_TMPFILE"),
        *("CLONE_NEWNET", "EFD_NONBLOCK", "MFD_CLOEXEC", "posix_fadvise"),
    ],
    "select": ["epoll", "EPOLLIN", "EPOLLOUT", "EPOLLET"],
    "selectors": ["EpollSelector"],
    **{
        module: [
            *("AF_NETLINK", "AF_PACKET", "AF_VSOCK", "SO_MARK", "SO_BINDTODEVICE", "SO_PEERCRED"),
            *("SO_INCOMING_CPU", "SO_DOMAIN", "SO_PROTOCOL", "SO_PASSCRED", "SCM_CREDENTIALS"),
            *("IP_BIND_ADDRESS_NO_PORT", "IP_PKTINFO", "IP_TRANSPARENT", "TCP_USER_TIMEOUT"),
            *("UDP_SEGMENT", "UDP_GRO", "NETLINK_ROUTE", "MSG_ERRQUEUE"),
        ]
        for module in ("socket", "_socket")
    },
    "signal": ["pidfd_send_signal", "SIGPWR", "SIGSTKFLT"],
    "resource": ["prlimit"],
    "errno": ["ENOTUNIQ", "EUNATCH", "ENOPKG", "EBADE", "ENONET", "EBADFD", "EREMCHG"],
}
MACOS_NAMES = {
    "os": ["pipe2", "setresuid", "setresgid", "getresuid", "SEEK_DATA"],
    "socket": ["SOCK_CLOEXEC", "SOCK_NONBLOCK", "MSG_NOSIGNAL"],
    "_socket": ["SOCK_CLOEXEC", "SOCK_NONBLOCK", "MSG_NOSIGNAL"],
    "signal": ["sigtimedwait", "sigwaitinfo"],
}
BSD_ABSENT_ERRNO = {"errno": ["ENODATA", "ETIME", "ENOSR", "ENOSTR"]}
WINDOWS_MODULES = [
    *("fcntl", "pwd", "grp", "termios", "tty", "pty", "resource", "syslog", "_posixsubprocess"),
    *("readline", "curses", "posix", "netifaces"),
]
WINDOWS_NAMES = {
    "os": [
        *("fork", "geteuid", "getuid", "getegid", "getgid", "setuid", "setgid", "setsid", "chown"),
        *("chroot", "fchown", "fchmod", "mkfifo", "openpty", "setgroups", "initgroups", "uname"),
        *("getgroups", "killpg", "getpgid", "setpgid", "getpgrp", "nice", "sysconf", "lockf"),
        *("O_CLOEXEC", "O_NONBLOCK", "O_NOFOLLOW", "O_DIRECTORY", "O_NOCTTY", "WNOHANG"),
        *("environb", "getenvb", "readv", "writev", "pread", "pwrite", "preadv", "sendfile"),
        *("set_blocking", "get_blocking", "waitid", "wait", "wait3", "WIFEXITED", "ttyname"),
        *("setresuid", "setresgid", "pipe2", "posix_spawn", "login_tty", "forkpty"),
    ],
    "select": ["poll", "POLLIN", "kqueue"],
    "selectors": ["PollSelector"],
    "socket": [
        *("AF_UNIX", "CMSG_SPACE", "CMSG_LEN", "SCM_RIGHTS", "send_fds", "recv_fds"),
        *("SOCK_CLOEXEC", "SOCK_NONBLOCK", "MSG_DONTWAIT", "MSG_NOSIGNAL", "SO_REUSEPORT"),
    ],
    "_socket": [
        *("AF_UNIX", "CMSG_SPACE", "CMSG_LEN", "SCM_RIGHTS", "SOCK_CLOEXEC", "SOCK_NONBLOCK"),
        *("MSG_DONTWAIT", "MSG_NOSIGNAL", "SO_REUSEPORT"),
    ],
    "signal": [
        *("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGCHLD", "SIGKILL", "SIGQUIT"),
        *("SIGTSTP", "SIGWINCH", "pthread_sigmask", "sigwait", "setitimer", "alarm", "SIG_BLOCK"),
    ],
    "time": ["clock_gettime", "clock_gettime_ns", "CLOCK_MONOTONIC", "CLOCK_BOOTTIME", "tzset"],
}


# Files of one system, which no other has a use for: its devices and its ways to be confined.
LINUX_FILES = {
    "wgtools.daemon.confine.linux",
    "wgtools.daemon.tun.linux",
    "wgtools.daemon.tun.netns",
}
POSIX_FILES = {f"wgtools.daemon.tun.{name}" for name in ("bsd", "freebsd", "openbsd", "macos")}


def merged(*parts: dict[str, list[str]]) -> dict[str, list[str]]:
    return {
        module: [name for part in parts for name in part.get(module, [])]
        for part in parts
        for module in part
    }


# sys.platform, os.name: modules that are not there, names that modules do not have.
SYSTEMS: dict[str, tuple[str, list[str], dict[str, list[str]]]] = {
    "freebsd14": ("posix", LINUX_MODULES, merged(LINUX_NAMES, BSD_ABSENT_ERRNO)),
    "openbsd7": ("posix", LINUX_MODULES, merged(LINUX_NAMES, BSD_ABSENT_ERRNO)),
    "netbsd10": ("posix", LINUX_MODULES, LINUX_NAMES),
    "darwin": ("posix", LINUX_MODULES, merged(LINUX_NAMES, MACOS_NAMES)),
    "win32": (
        "nt",
        LINUX_MODULES + WINDOWS_MODULES,
        merged(LINUX_NAMES, MACOS_NAMES, WINDOWS_NAMES),
    ),
}

PROBE = """
import json, sys
platform, osname, modules, names, wanted = json.load(sys.stdin)
# What is foreign and needs this machine's names to be imported, before they are hidden.
import asyncio, ctypes.util, dataclasses, inspect, logging, pathlib, selectors, socket, sysconfig
import subprocess, tempfile, threading, typing, zipfile, cryptography.hazmat.bindings._rust
import cryptography.hazmat.primitives.ciphers.aead, cryptography.hazmat.primitives.asymmetric.x25519
for heavy in ("pydantic", "rich.console", "rich.table", "rich.text", "typer", "shutil", "signal"):
    __import__(heavy)
sysconfig.get_config_vars()
pydantic = sys.modules["pydantic"]
type("Priming", (pydantic.BaseModel,), {"__annotations__": {"x": int}})
for module in names:
    try:
        __import__(module)
    except ImportError:
        pass


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in modules:
            raise ModuleNotFoundError(f"no module named {name} here", name=name)


sys.meta_path.insert(0, Absent())
for module in list(sys.modules):
    if module.partition(".")[0] in modules:
        del sys.modules[module]
import os
sys.platform, os.name = platform, osname
for module, hidden in names.items():
    for name in hidden:
        vars(sys.modules.get(module, sys)).pop(name, None)
failed = {}
for name in wanted:
    try:
        __import__(name)
    except BaseException as error:
        last = error.__traceback__
        while last.tb_next:
            last = last.tb_next
        place = f"{last.tb_frame.f_code.co_filename}:{last.tb_lineno}"
        failed[name] = f"{type(error).__name__}: {error} ({place})"
json.dump(failed, sys.stdout)
"""


def modules() -> list[str]:
    found = []
    for package, root in ROOTS.items():
        for path in sorted(root.rglob("*.py")):
            parts = [package, *path.relative_to(root).with_suffix("").parts]
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if not name.endswith("__main__"):  # that one runs
                found.append(name)
    return found


def failures(platform: str, wanted: list[str], *, hide: str = "") -> dict[str, str]:
    """Modules that cannot be imported there, and why."""
    osname, absent, names = SYSTEMS[platform]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{PROBE}"],
        input=json.dumps([platform, osname, [*absent, hide], names, wanted]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("platform", SYSTEMS)
def test_every_module_is_imported(platform: str) -> None:
    others = LINUX_FILES | (POSIX_FILES if platform == "win32" else set())
    known = modules()
    assert others <= set(known)
    wanted = [name for name in known if name not in others]
    assert len(wanted) > 150
    assert failures(platform, wanted) == {}


def test_the_probe_would_notice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "linux_only_a.py").write_text("from os import setns\n")
    (tmp_path / "linux_only_b.py").write_text("import fcntl\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    both = ["linux_only_a", "linux_only_b"]
    assert set(failures("win32", both)) == set(both)
    assert set(failures("darwin", both)) <= {"linux_only_a"}
    assert "wgtools.errors" in failures("darwin", ["wgtools.errors"], hide="wgtools")
