# SPDX-License-Identifier: MIT
"""wgtools in one file: unpack once, then be `wg`, `wg-quick` or `wgtools-engine`.

Compiled modules cannot be loaded out of a zip file.  They are unpacked into a directory that
belongs to whoever runs this and is closed to everyone else, which is used again the next
time.  The rule: nothing is loaded from a place that anyone but root and the caller could
have written to, and nothing half written is ever seen under its final name.
"""

from __future__ import annotations

import os
import sys

try:
    import contextlib
    import errno
    import json
    import shutil
    import stat
    import tempfile
    import zipfile
except ModuleNotFoundError as e:
    sys.exit(
        f"{os.path.basename(sys.argv[0])}: this Python lacks its own module `{e.name}'\n"
        "hint: install all of Python: of Debian's packages python3, not only python3-minimal"
    )

HELP = ("-h", "--help", "help")
COMMANDS = ("wg", "wg-quick", "wgtools-engine")
# Root's, in order of preference; not from the environment, which need not be root's own.
OF_ROOT = ("/var/cache", "/run", "/root")
USAGE = """\
Usage: {0} wg | wg-quick | wgtools-engine [WORDS...]
       {0} up | down | ... | show | set | ...      the verbs of wg-quick, then those of wg

Or call it by a command's name: ln -s {1} /usr/local/bin/wg
"""


class Refused(Exception):
    """Why it cannot go on, for a person."""


def main() -> int:
    about = json.loads(read("about.json"))
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    if tag not in about["tags"] or os.uname().machine != about["machine"]:
        made_for = ", ".join(f"3.{tag[3:]}" for tag in about["tags"])
        raise Refused(
            f"this file is for Python {made_for} on {about['machine']}, and this is Python "
            f"{sys.version_info[0]}.{sys.version_info[1]} on {os.uname().machine}"
        )
    command, words = chosen(sys.argv, about["quick"], about["wg"])
    if not command:
        called = os.path.basename(sys.argv[0])
        wrong = bool(words) and words[0] not in HELP
        unknown = f"\n{called}: there is no verb `{words[0]}'\n" if wrong else ""
        sys.stderr.write(USAGE.format(called, os.path.abspath(sys.argv[0])) + unknown)
        return 1 if wrong or not words else 0
    place = unpacked(f"{about['version']}-{about['digest'][:16]}-{tag}", tag)
    at = [*(path.endswith("-packages") for path in sys.path), True].index(True)
    sys.path.insert(at, place)
    del sys.path[0]  # this file
    # Hooks look for `wg`; sudo starts this file again, which knows wg-quick by its verb.
    os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:{place}/bin"
    sys.argv = [os.path.abspath(sys.argv[0]), *words]
    module, _, function = about["scripts"][command].partition(":")
    status = getattr(__import__(module, fromlist=[function]), function)()
    return int(status or 0)


def chosen(argv: list[str], quick: list[str], wg: list[str]) -> tuple[str, list[str]]:
    """(the command, its words); an empty command when none is meant."""
    called, words = os.path.basename(argv[0]), argv[1:]
    if called in COMMANDS:
        return called, words
    if not words or words[0] in HELP:
        return "", words
    if words[0] in COMMANDS:
        return words[0], words[1:]
    return ("wg-quick" if words[0] in quick else "wg" if words[0] in wg else ""), words


def read(name: str) -> bytes:
    with zipfile.ZipFile(sys.path[0]) as file:
        return file.read(name)


# ------------------------------------------------------------------ unpacking


def unpacked(name: str, tag: str) -> str:
    """Where our packages are, unpacked now or earlier."""
    reasons = []
    for parent in parents():
        try:
            home = opened(parent)
        except OSError as e:
            reasons.append(f"{parent}: {e.strerror}")
            continue
        except Refused as e:
            reasons.append(f"{parent}: {e}")
            continue
        place = f"{home}/{name}"
        if not os.path.isdir(place):
            try:
                unpack(home, place, tag)
            except OSError as e:
                reasons.append(f"{parent}: {e.strerror}")
                continue
        return place
    remedy = (
        f"make one of {', '.join(OF_ROOT)} writable, and a place to run programs from"
        if os.geteuid() == 0
        else "set XDG_CACHE_HOME to a directory of your own that programs can be run from"
    )
    raise Refused(f"there is no place to unpack it in: {'; '.join(reasons)}\nhint: {remedy}")


def parents() -> list[str]:
    if os.geteuid() == 0:
        return list(OF_ROOT)
    cache = os.environ.get("XDG_CACHE_HOME", "")
    return [cache if cache.startswith("/") else os.path.expanduser("~/.cache")]


def opened(parent: str) -> str:
    """Our directory in `parent`, made if need be.  Raises OSError, Refused."""
    parent = os.path.realpath(parent)
    if os.geteuid():
        os.makedirs(parent, mode=0o700, exist_ok=True)
    check_above(parent)
    if os.statvfs(parent).f_flag & os.ST_NOEXEC:
        raise Refused("nothing can be run from there (noexec)")
    home = f"{parent}/wgtools"
    with contextlib.suppress(FileExistsError):
        os.mkdir(home, 0o700)
    status = os.lstat(home)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise Refused(f"{home} belongs to somebody else")
    if status.st_mode & 0o077:
        raise Refused(f"{home} is open to others; chmod 700 or remove it")
    return home


def check_above(path: str) -> None:
    """Nobody but root and we may put another directory in the place of one of these."""
    while True:
        status = os.lstat(path)
        others = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
        if others or status.st_uid not in (0, os.geteuid()):
            raise Refused(f"others can write to {path}")
        if path == "/":
            return
        path = os.path.dirname(path)


def unpack(home: str, place: str, tag: str) -> None:
    """Raises OSError."""
    fresh = tempfile.mkdtemp(prefix=".unpacking-", dir=home)
    before = os.umask(0o077)
    try:
        with zipfile.ZipFile(sys.path[0]) as file:
            for name in file.namelist():
                top, _, rest = name.partition("/")
                if top not in ("any", tag) or not rest or name.endswith("/"):
                    continue
                target = os.path.join(fresh, *rest.split("/"))
                os.makedirs(os.path.dirname(target), exist_ok=True)
                with file.open(name) as source, open(target, "xb") as copy:
                    shutil.copyfileobj(source, copy)
                if rest.startswith("bin/"):
                    os.chmod(target, 0o700)
        try:
            os.rename(fresh, place)
        except OSError as e:
            if e.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise  # else another was faster, with the same
    finally:
        os.umask(before)
        shutil.rmtree(fresh, ignore_errors=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Refused as e:
        sys.exit(f"{os.path.basename(sys.argv[0])}: {e}")
