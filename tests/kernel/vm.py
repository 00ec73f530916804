# SPDX-License-Identifier: MIT
"""Runs one command under Debian's kernel, which has WireGuard, in a machine thrown away.

    python tests/kernel/vm.py [--timeout S] [--uml DIR] -- COMMAND [ARG...]

QEMU without KVM boots the kernel of `linux-image-amd64` (downloaded once, unpacked in
the cache, never installed).  The guest sees this machine's files at the same paths,
read-only below a layer in its memory, and runs the command as root in the caller's
directory, with no network but lo.  Exit status: the command's own, or 125 with the
console's end when the machine itself failed, or 124 when time ran out.

Needs qemu-system-x86, busybox-static and kmod; and no privilege.

With `--uml DIR` the machine is User-Mode Linux as tests/kernel/uml/build left it in DIR,
for work on the tests: 0.3 seconds to start, and Python is five times as fast.  There the
caller's own rights alone keep the guest's root from the host's files.
"""

from __future__ import annotations

import argparse
import contextlib
import lzma
import os
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wgtools-kernel"
PACKAGE = "linux-image-amd64"
PROGRAMS = ("qemu-system-x86_64", "busybox", "modprobe", "depmod", "dpkg-deb")
TIMED_OUT, MACHINE_FAILED = 124, 125
BOOT = 60  # seconds added to the command's own time
# To see the host's files; all else is loaded on demand.
MODULES = ("virtio_pci", "virtio_console", "overlay", "9p", "9pnet_virtio")
PASSED_ON = re.compile(r"PATH|HOME|LANG|LC_\w+|TERM|PYTHON\w+|PYTEST\w+|WGTOOLS_\w+")
# norandmaps: QEMU finds the code it has translated by address, so programs start twice
# to three times as fast without random addresses.  rcu_expedited: deleting a device waits
# for RCU twice a peer, which takes 36 seconds for 1,000 peers otherwise, and 2 so.
KERNEL_ARGUMENTS = (
    "quiet panic=-1 oops=panic norandmaps rcupdate.rcu_expedited=1 mitigations=off lsm= audit=0 "
    "tsc=reliable no_timer_check"
)

INIT = r"""#!/bin/busybox sh
b=/bin/busybox
$b mkdir -p /proc /sys /dev /host /layer /new
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
while read -r name; do $b insmod /modules/$name; done </modules/order
fail() { echo "cannot mount $1"; $b poweroff -f; }
$b mount {host} /host || fail host
$b mount -t tmpfs -o size=80% layer /layer
$b mkdir /layer/upper /layer/work
layers=lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work
$b mount -t overlay -o $layers root /new || fail root
$b mount -t tmpfs run /new/run
$b mkdir /new/run/netns /new/run/lock
$b cp /bin/busybox /guest /job /new/run/
for place in proc sys dev; do $b mount --move /$place /new/$place; done
exec $b switch_root /new /run/busybox sh /run/guest
"""

GUEST = r"""
b=/run/busybox
$b mkdir -p /dev/pts /dev/shm /lib/modules
$b mount -t devpts -o mode=620,ptmxmode=666 pts /dev/pts
$b mount -t tmpfs -o mode=1777 shm /dev/shm
$b ln -s /proc/self/fd /dev/fd
[ -e /dev/net/tun ] || { $b mkdir /dev/net; $b mknod /dev/net/tun c 10 200; }
$b ip link set lo up
{ports}
# By way of cat: a serial line is a terminal, and programs would colour what they say.
{ /bin/sh /run/job </dev/null 2>&1; echo $? >$status; } | $b cat >$output
$b sync
$b poweroff -f
"""
VIRTIO = r"""
$b ln -s {modules} /lib/modules/
while [ -z "$output" ] || [ -z "$status" ]; do
    for port in /sys/class/virtio-ports/*; do
        [ -e "$port/name" ] && read -r name <"$port/name" && eval "$name=/dev/${port##*/}"
    done
    $b usleep 10000
done
"""
SERIAL = r"""
output=/dev/ttyS0 status=/dev/ttyS1
for line in $output $status; do $b stty raw -echo <$line; done
"""


class Missing(Exception):
    """Something this machine lacks."""


class Machine(NamedTuple):
    """What differs between the two."""

    words: list[str]
    host: str  # how its root is mounted: words for mount
    ports: str  # guest's script that finds $output and $status
    modules: Sequence[Path] = ()
    environment: Mapping[str, str] = {}


class Pipes(NamedTuple):
    """Descriptors that the machine writes to."""

    output: int
    console: int
    status: int


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--timeout", type=int, default=600, metavar="S")
    parser.add_argument("--memory", type=int, default=1024, metavar="MB")
    parser.add_argument("--uml", type=Path, metavar="DIR")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    try:
        return run(**vars(options))
    except Missing as missing:
        print(f"vm: {missing}", file=sys.stderr)
        return MACHINE_FAILED


def run(command: list[str], *, timeout: int, memory: int = 1024, uml: Path | None = None) -> int:
    """Run it; output goes to this process's stdout.  Raises Missing."""
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wgtools-vm-")))
        console, status = place / "console", place / "status"
        # Not our own stdout: who may write to it may still not be allowed to open it.
        copier = stack.enter_context(subprocess.Popen(["cat"], stdin=subprocess.PIPE))
        assert copier.stdin is not None
        files = [stack.enter_context(path.open("wb")) for path in (console, status)]
        pipes = Pipes(copier.stdin.fileno(), *(file.fileno() for file in files))
        machine = user_mode_linux(uml, place, memory, pipes) if uml else qemu(place, memory, pipes)
        (place / "initrd").write_bytes(initramfs(machine, job(command, timeout)))
        if not follow(machine, pipes, timeout + BOOT):
            print(f"vm: nothing was heard after {timeout + BOOT} s", file=sys.stderr)
            return TIMED_OUT
        if told := status.read_text():
            return int(told)
        tail = console.read_text(errors="replace").splitlines()[-30:]
        print("vm: the machine failed", *tail, sep="\n  | ", file=sys.stderr)
        return MACHINE_FAILED


def follow(machine: Machine, pipes: Pipes, timeout: int) -> bool:
    """Run the machine to its end; False if it had to be ended."""
    process = subprocess.Popen(
        machine.words,
        stdin=subprocess.DEVNULL,
        stdout=pipes.console,
        stderr=pipes.console,
        env={**os.environ, **machine.environment},
        pass_fds=pipes,
        process_group=0,
    )
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        return False
    finally:
        # User-Mode Linux has processes of its own, which outlive the first.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return True


def check_programs() -> None:
    lacking = [program for program in PROGRAMS if shutil.which(program) is None]
    if lacking:
        raise Missing(f"not installed: {', '.join(lacking)}")


def qemu(place: Path, memory: int, pipes: Pipes) -> Machine:
    check_programs()
    kernel = fetched_kernel()
    modules = kernel_modules(kernel)
    words = [
        *("qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-M", "q35"),
        *("-m", f"{memory}M", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-kernel", str(plain_kernel(kernel)), "-initrd", str(place / "initrd")),
        *("-append", f"console=ttyS0 {KERNEL_ARGUMENTS}", "-serial", "file:/dev/fdset/0"),
        *("-add-fd", f"fd={pipes.console},set=0"),
        "-virtfs",
        "local,path=/,mount_tag=host,security_model=none,multidevs=remap,readonly=on",
        *("-device", "virtio-serial-pci"),
        *(word for name in ("output", "status") for word in port(name, getattr(pipes, name))),
    ]
    directory = modules[0]
    while directory.parent.name != "modules":
        directory = directory.parent
    host = "-t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose host"
    ports = VIRTIO.replace("{modules}", shlex.quote(str(directory)))
    return Machine(words, host, ports, modules)


def port(name: str, descriptor: int) -> list[str]:
    """A virtio-serial port of the guest that writes to one of our descriptors."""
    return [
        *("-add-fd", f"fd={descriptor},set={descriptor}"),
        *("-chardev", f"file,id={name},path=/dev/fdset/{descriptor},append=on"),
        *("-device", f"virtserialport,chardev={name},name={name}"),
    ]


def user_mode_linux(built: Path, place: Path, memory: int, pipes: Pipes) -> Machine:
    words = [
        *(str(built.resolve() / "linux"), f"mem={memory}M", f"initrd={place / 'initrd'}"),
        *(f"uml_dir={place}", "umid=uml", "con=null", f"con0=null,fd:{pipes.console}"),
        *(
            "ssl=null",
            f"ssl0=null,fd:{pipes.output}",
            f"ssl1=null,fd:{pipes.status}",
            *KERNEL_ARGUMENTS.split(),
        ),
    ]
    preload = {"LD_PRELOAD": str(built.resolve() / "xstate.so")}
    return Machine(words, "-t hostfs -o ro,/ none", SERIAL, (), preload)


def job(command: list[str], timeout: int) -> str:
    """The guest's script; SIGINT first, so that pytest can say where it was."""
    passed = [
        f"export {key}={shlex.quote(value)}"
        for key, value in os.environ.items()
        if PASSED_ON.fullmatch(key)
    ]
    line = f"exec timeout -s INT -k 15 {timeout} {shlex.join(command)}"
    return "\n".join([*passed, f"cd {shlex.quote(os.getcwd())}", line, ""])


# --- the kernel --------------------------------------------------------------------------


def fetched_kernel() -> Path:
    """The vmlinuz of the newest kernel in the cache; downloaded if there is none."""
    found: list[Path] = sorted(
        CACHE.glob("*/boot/vmlinuz-*"), key=lambda path: path.stat().st_mtime
    )
    if found:
        return found[-1]
    depends = subprocess.run(
        ["apt-cache", "depends", PACKAGE], check=False, capture_output=True, text=True
    ).stdout
    names: list[str] = re.findall(r"Depends: (linux-image-\d\S*)", depends)
    if not names:
        raise Missing(f"apt knows no {PACKAGE}: try apt-get update")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        place = Path(name)
        fetch = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", names[0]]
        done = subprocess.run(fetch, cwd=place, check=False, capture_output=True, text=True)
        if done.returncode:
            raise Missing(f"cannot download {names[0]}: {done.stderr.strip()}")
        (archive,) = place.glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", archive, place / "root"], check=True)
        (image,) = place.glob("root/boot/vmlinuz-*")
        version = image.name.removeprefix("vmlinuz-")
        subprocess.run(["depmod", "-b", place / "root", version], check=True)
        (place / "root").rename(CACHE / names[0])
    return CACHE / names[0] / "boot" / image.name


def plain_kernel(image: Path) -> Path:
    """The image decompressed: QEMU boots it as it is (PVH), 5 seconds sooner."""
    plain = image.with_name("vmlinux")
    if not plain.exists():
        data = image.read_bytes()
        # Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length
        start = ((data[0x1F1] or 4) + 1) * 512
        offset, length = struct.unpack_from("<II", data, 0x248)
        payload = data[start + offset : start + offset + length]
        if not payload.startswith(b"\xfd7zXZ\0"):
            return image
        half = plain.with_name(f"vmlinux.{os.getpid()}")
        half.write_bytes(lzma.LZMADecompressor().decompress(payload))
        half.rename(plain)
    return plain


def kernel_modules(image: Path) -> list[Path]:
    """The files of MODULES and what they depend on, in the order of loading."""
    base, version = image.parents[1], image.name.removeprefix("vmlinuz-")
    files: list[Path] = []
    for name in MODULES:
        words = ["modprobe", "-d", str(base), "-S", version, "--show-depends", name]
        shown = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        for line in shown.splitlines():
            verb, *rest = line.split()
            if verb == "insmod" and Path(rest[0]) not in files:
                files.append(Path(rest[0]))
    return files


def initramfs(machine: Machine, job: str) -> bytes:
    """A cpio archive ("newc", Documentation/driver-api/early-userspace/buffer-format.rst)."""
    files: dict[str, bytes | None] = {
        "bin": None,
        "modules": None,
        "init": INIT.replace("{host}", machine.host).encode(),
        "guest": GUEST.replace("{ports}", machine.ports).encode(),
        "job": job.encode(),
        "bin/busybox": Path(shutil.which("busybox") or "").read_bytes(),
        "modules/order": "".join(f"{path.name}\n" for path in machine.modules).encode(),
        **{f"modules/{path.name}": path.read_bytes() for path in machine.modules},
    }
    out = bytearray()
    for number, (name, data) in enumerate([*files.items(), ("TRAILER!!!", b"")], 1):
        mode = 0o040755 if data is None else 0o100755
        body, label = data or b"", name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(label), 0)
        for part in (b"070701" + b"".join(b"%08X" % field for field in fields) + label, body):
            out += part + bytes(-len(part) % 4)
    return bytes(out)


if __name__ == "__main__":
    sys.exit(main())
