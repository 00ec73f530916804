# SPDX-License-Identifier: MIT
"""Bare Debian roots to install packages in, each a fresh layer over one that is made once.

A Root has network, mounts and processes of its own, so that what is started in it is gone
when it is; the machine's own files are below a layer that is thrown away.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

# What any Debian has that is more than a container's base, and what a person would expect.
INCLUDE = (
    "python3,python3-pip,make,iproute2,nftables,iputils-ping,systemd,systemd-sysv,dbus,rpm,man-db"
)

TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "dpkg-buildpackage": "dpkg-dev",
    "dh": "debhelper",
    "dh_python3": "dh-python",
    "lintian": "lintian",
    "man": "man-db",
    "rpmbuild": "rpm",
    "systemd-analyze": "systemd",
    "shellcheck": "shellcheck",
}

_DEVICES = ("null 1 3", "zero 1 5", "full 1 7", "random 1 8", "urandom 1 9", "tty 5 0")

# Stands in for the machine's start: what an init would find mounted.
_SETUP = """
set -e
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t tmpfs run run
mount -t tmpfs tmp tmp
mount -t sysfs sys sys 2>/dev/null || true
mount -t tmpfs dev dev
while read -r name major minor; do mknod -m 666 "dev/$name" c "$major" "$minor"; done
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mkdir dev/net dev/pts dev/shm
mknod -m 666 dev/net/tun c 10 200
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs cgroup sys/fs/cgroup
mkdir sys/fs/cgroup/unified sys/fs/cgroup/systemd
mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd 2>/dev/null || {
    umount sys/fs/cgroup
    mount -t cgroup2 cgroup2 sys/fs/cgroup
}
ip link set lo up
touch wgtools-test-root
"""
# Ready when it is in there, not before: whoever enters takes the root that it has.  As the first
# process it buries orphans: who waits for a daemon to be gone would wait for ever.
_HOLD = 'exec chroot . sh -c "echo ready; sleep 100000 & wait"'
_BOOT = """exec env -i container=lxc PATH="$PATH" chroot . \\
    sh -c 'echo ready; exec /lib/systemd/systemd --system'"""
# In front of everything that is run in there: never on the machine itself.
_GUARD = "test -e /wgtools-test-root || exit 99; "


def why_not() -> str:
    """What this machine lacks for the tier; empty if nothing."""
    if os.geteuid() != 0:
        return "a root of its own needs root"
    if not os.path.exists("/dev/net/tun"):
        return "no /dev/net/tun"
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    return f"not installed: {' '.join(missing)}" if missing else ""


def make_base(base: Path) -> Path:
    """A bare Debian of this machine's release, from its own mirror."""
    release = subprocess.run(
        ["sh", "-c", '. /etc/os-release; echo "$VERSION_CODENAME"'],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    words = ["mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", f"--include={INCLUDE}"]
    words += ["--dpkgopt=path-exclude=/usr/share/locale/*", release, str(base)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    base.chmod(0o755)
    return base


class Root:
    """One bare system."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        assert not os.path.samestat(os.stat(f"/proc/{pid}/root"), os.stat("/"))

    def call(self, script: str, *, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A shell script in there."""
        # Into its namespaces first; its root is that of its first process.
        enter = ["nsenter", "-t", str(self.pid), "-m", "-n", "-p", "-i", "-u", "-r", "-w"]
        path = f"PATH={os.defpath}:/usr/sbin:/sbin:/usr/local/bin"
        return subprocess.run(
            [*enter, "env", "-i", path, "HOME=/root", "sh", "-ec", _GUARD + script],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def run(self, script: str, *, stdin: str = "") -> str:
        done = self.call(script, stdin=stdin)
        assert done.returncode == 0, f"{script}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def copy(self, *files: Path) -> None:
        """Files of ours into its /var/tmp."""
        for file in files:
            path, mode = f"/var/tmp/{file.name}", f"{file.stat().st_mode & 0o777:o}"
            words = ["nsenter", "-t", str(self.pid), "-m", "-r", "-w", "sh", "-ec"]
            script = f"{_GUARD}cat > {path}; chmod {mode} {path}"
            subprocess.run([*words, script], input=file.read_bytes(), check=True)


@contextlib.contextmanager
def fresh_root(base: Path, *, boot: bool = False) -> Iterator[Root]:
    """A root that nobody has touched; with systemd running in it if it is to `boot`."""
    with tempfile.TemporaryDirectory(prefix="wgtools-root-") as name:
        directory = Path(name)
        # What is written must not land on an overlay again, which many a container's root is.
        subprocess.run(["mount", "-t", "tmpfs", "layer", name], check=True)
        try:
            for part in ("root", "upper", "work"):
                (directory / part).mkdir()
            holder = subprocess.Popen(
                ["unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork",
                 "--kill-child", "--propagation", "private",
                 "sh", "-c", _SETUP + (_BOOT if boot else _HOLD), "sh", name, str(base)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            try:
                assert holder.stdin is not None
                assert holder.stdout is not None
                holder.stdin.write("".join(f"{line}\n" for line in _DEVICES).encode())
                holder.stdin.close()
                assert holder.stdout.readline() == b"ready\n"
                yield Root(_child(holder.pid))
            finally:
                holder.kill()
                holder.wait(10)
                if holder.stdout is not None:
                    holder.stdout.close()
        finally:
            subprocess.run(["umount", "-l", name], check=True)


def _child(pid: int) -> int:
    """The first process in the new namespaces."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return int(text.split()[0])
