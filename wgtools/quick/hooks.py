# SPDX-License-Identifier: MIT
"""The user's PreUp, PostUp, PreDown and PostDown lines (WG_QUICK_COMPAT section 12).

Each runs in a shell of its own, as bash code with errexit, pipefail and extglob, so
it can leave nothing behind for the next.  INTERFACE and CONFIG_FILE are promised;
ADDRESSES, DNS, TABLE and MTU are there for hooks written against the original's
variables.  Nothing of the wg(8) part is: the environment holds no key.
"""

from __future__ import annotations

import os
import stat
import sys

from wgtools.quick.apply import CommandFailed, find_program, run
from wgtools.quick.plan import split_dns

__all__ = ["environment", "remark", "run_hook", "syntax_error"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from wgtools.conf.quickfile import QuickFile


def environment(config: QuickFile, name: str, path: str) -> dict[str, str]:
    """What children see: the caller's environment, LC_ALL=C, and a PATH with our own `wg`."""
    env = dict(os.environ)
    env["LC_ALL"] = "C"
    here = os.path.dirname(os.path.abspath(sys.argv[0]))
    search = env.get("PATH", os.defpath)
    if here not in search.split(os.pathsep) and _has_our_wg(here):
        # Behind, not in front: in a virtual environment `here` holds a whole Python.
        env["PATH"] = f"{search}{os.pathsep}{here}"
    env |= {"INTERFACE": name, "CONFIG_FILE": path}
    env["ADDRESSES"] = " ".join(value.text for value in config.addresses)
    env["DNS"] = " ".join(split_dns(value.text for value in config.dns)[0])
    env["TABLE"] = config.table.text if config.table else ""
    env["MTU"] = config.mtu.text if config.mtu else ""
    return env


def _has_our_wg(directory: str) -> bool:
    """Whether hooks shall find `wg` there: not where anybody could put one, and more.

    wgtools.pyz may lie in /tmp, and a program that imports us nowhere in particular.
    """
    try:
        return not os.stat(directory).st_mode & stat.S_IWOTH and os.path.isfile(f"{directory}/wg")
    except OSError:
        return False


def run_hook(text: str, kind: str, env: dict[str, str]) -> None:
    """Raises CommandFailed with the hook's own status; its hint says where the hook stands."""
    line = text.encode("utf-8", "surrogateescape")
    try:
        run([*_shell(), "-c", line], name=f"{kind} hook", env=env)
    except CommandFailed as error:
        place = _place(text, kind, env)
        error.hint = f"the hook stands in {place}; if it may fail, end it with: || true"
        raise


def _place(text: str, kind: str, env: dict[str, str]) -> str:
    """`FILE:LINE` of a hook, as far as the file still has it; only asked for what failed."""
    from wgtools.errors import WgError
    from wgtools.quick import files

    path, name = env["CONFIG_FILE"], env["INTERFACE"]
    try:
        hooks = files.load(files.Target(name, path)).hooks[kind.lower()]
    except (OSError, WgError):
        return path
    for hook in hooks:
        if text in (hook.text, hook.text.replace("%i", name)):
            return f"{path}:{hook.line}"
    return path


def syntax_error(text: str) -> bool:
    """Whether the shell cannot even read the hook; runs nothing of it."""
    line = text.encode("utf-8", "surrogateescape")
    try:
        run([*_shell(), "-n", "-c", line], name="hook", data=b"", quiet=True)
    except CommandFailed:
        return True
    return False


def remark(config: QuickFile) -> str:
    """What a user should know about the shell of these hooks, or nothing."""
    if not any(config.hooks.values()) or find_program("bash"):
        return ""
    return "[!] There is no bash: hooks run in sh, without pipefail and extglob."


def _shell() -> list[str]:
    if find_program("bash"):
        return ["bash", "-e", "-o", "pipefail", "-O", "extglob"]
    return ["sh", "-e"]
