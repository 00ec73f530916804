# SPDX-License-Identifier: MIT
"""Files: from the word on the command line to the configuration, and writing one.

Names and paths by WG_QUICK_COMPAT section 1; writing so that a crash leaves either
the old file or the new one, readable by its owner alone from the first byte.
"""

from __future__ import annotations

import os
import stat
import sys

from wgtools.errors import WgError
from wgtools.model import NAME_MAX

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from wgtools.conf.quickfile import QuickFile

__all__ = ["Target", "is_name", "load", "load_head", "locate", "missing_hint", "read", "replace"]

DIRECTORY = "/etc/wireguard"
# WG_QUICK_COMPAT 1: the first that has the file; if none has, the last is named.
DIRECTORIES = (
    (DIRECTORY, "/usr/local/etc/wireguard")
    if sys.platform.startswith(("freebsd", "darwin"))
    else (DIRECTORY,)
)
_MOST = 5  # names in a hint
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_=+.-")


class Target:
    """A configuration: `name` of the interface from the path as given, `path` resolved."""

    __slots__ = ("name", "path", "world_accessible")

    def __init__(self, name: str, path: str, *, world_accessible: bool = False) -> None:
        self.name = name
        self.path = path
        self.world_accessible = world_accessible


def is_name(word: str) -> bool:
    return 1 <= len(word) <= NAME_MAX and _NAME.issuperset(word)


def locate(word: str) -> Target:
    """The file that a NAME or PATH means.  Raises WgError with the fixed first lines."""
    path = word
    if is_name(word):
        choices = [f"{directory}/{word}.conf" for directory in DIRECTORIES]
        path = next((one for one in choices[:-1] if os.path.exists(one)), choices[-1])
    try:
        found = os.stat(path) if path else None
    except PermissionError:
        raise
    except OSError:
        found = None
    if found is None:
        raise WgError(f"`{path}' does not exist", hint=missing_hint(word))
    stem = os.path.basename(path)
    if path.endswith("/") or not stem.endswith(".conf") or not is_name(stem[: -len(".conf")]):
        hint = f"a name has 1 to {NAME_MAX} of the characters a-z A-Z 0-9 _ = + . -"
        if is_name(stem) and not stem.endswith(".conf"):
            hint = f"rename it to {stem}.conf"
        raise WgError(
            "The config file must be a valid interface name, followed by .conf", hint=hint
        )
    name = stem[: -len(".conf")]
    if stat.S_ISDIR(found.st_mode):
        raise WgError(f"`{path}' is a directory", hint="a configuration is a file")
    if name in (".", ".."):
        raise WgError(f"`{name}' cannot be the name of an interface")
    resolved = os.path.realpath(path)
    directory = os.stat(os.path.dirname(resolved))
    shared = found.st_mode & directory.st_mode & 0o007
    return Target(name, resolved, world_accessible=bool(shared))


def missing_hint(word: str) -> str:
    """What was probably meant: the file here, another name, or another place."""
    if not word:
        return "name an interface or a file"
    if not is_name(word):
        return _missing_path_hint(word)
    for here in (word, f"{word}.conf"):
        if os.path.isfile(here):
            return f"to use the file in this directory, type ./{here}"
    if meant := _by_name_alone(word):
        return meant
    places = " and ".join(DIRECTORIES)
    what = f"looked for {word}.conf in {places}{_which_has()}"
    return f"{what}; a path needs a slash, as in ./{word}.conf"


def _by_name_alone(path: str) -> str:
    """For `wg0.conf', which is typed as wg0 from anywhere."""
    stem = os.path.basename(path).removesuffix(".conf")
    if not path.endswith(".conf") or not is_name(stem):
        return ""
    places = [f"{directory}/{stem}.conf" for directory in DIRECTORIES]
    there = [place for place in places if os.path.exists(place)]
    return f"for {there[0]}, type its name alone: {stem}" if there else ""


def _which_has() -> str:
    """Names that would do, if the caller may know them."""
    try:
        entries = sorted({name for place in DIRECTORIES for name in _listed(place)})
    except PermissionError:
        return ""
    names = [name[: -len(".conf")] for name in entries if name.endswith(".conf")]
    names = [name for name in names if is_name(name)]
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f" (there: {', '.join(names[:_MOST])}{more})" if names else " (nothing is there)"


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _missing_path_hint(word: str) -> str:
    if "/" not in word and len(word) > NAME_MAX:
        return f"an interface name has at most {NAME_MAX} characters, so this was taken as a file"
    if os.path.isfile(f"{word}.conf"):
        return f"there is {word}.conf"
    stem = os.path.basename(word).removesuffix(".conf")
    if len(stem) > NAME_MAX:
        return f"`{stem}' is too long for the name of an interface: {NAME_MAX} characters at most"
    if meant := _by_name_alone(word):
        return meant
    return "" if os.path.isabs(word) else f"looked for {os.path.abspath(word)}"


def read(target: Target) -> bytes:
    """Raises WgError."""
    try:
        with open(target.path, "rb") as file:
            return file.read()
    except PermissionError:
        raise
    except OSError as error:
        raise WgError(f"`{target.path}': {error.strerror}") from error


def load(target: Target) -> QuickFile:
    """The file, read by wg-quick's grammar; nothing is judged.  Raises as `read` does."""
    from wgtools.conf.document import Document
    from wgtools.conf.quickfile import QuickFile

    return QuickFile(Document(read(target), target.path))


def load_head(target: Target) -> QuickFile:
    """The same without the peers at its end: all that `down` asks of a file of thousands."""
    from wgtools.conf.document import Document
    from wgtools.conf.quickfile import QuickFile

    data = read(target)
    last = data.lower().rfind(b"[interface]")
    end = data.find(b"\n[", max(last, 0))
    if end >= 0 and b"\0" not in data:  # NULs count as not there, within a header too
        data = data[: end + 1]
    return QuickFile(Document(data, target.path))


def replace(path: str, data: bytes, temporary: str = "", *, mode: int = 0o600) -> None:
    """Put `data` in the place of `path`, at once and lasting.  Raises OSError.

    The temporary file lies beside it; an old one, left by a crash, goes first.  Another
    `mode` than the owner's alone is for a file of the system's: what is there now counts more.
    """
    temporary = temporary or f"{path}.tmp"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(temporary, flags, 0o600)
    done = False
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            if mode != 0o600:
                _make_like(path, file.fileno(), mode)
            os.fsync(file.fileno())
        os.rename(temporary, path)
        done = True
    finally:
        if not done and os.path.lexists(temporary):
            os.unlink(temporary)
    directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _make_like(path: str, handle: int, mode: int) -> None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        os.fchmod(handle, mode)
    else:
        os.fchown(handle, found.st_uid, found.st_gid)
        os.fchmod(handle, stat.S_IMODE(found.st_mode))
