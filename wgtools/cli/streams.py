# SPDX-License-Identifier: MIT
"""stdin, stdout, stderr, the clock and the environment, as bytes and at once.

Not `sys.stdout`: text is encoded once and handed to the kernel whole, and a write that
fails is nobody's error (WG_COMPAT 2).  Text inside wgtools is UTF-8 with surrogate
escapes whatever the locale, so that bytes come out as they came in.
"""

from __future__ import annotations

import os
import sys
import time

from wgtools.errors import MissingModule, WgError

__all__ = [
    "arguments",
    "deliver",
    "err",
    "explain",
    "is_terminal",
    "leave",
    "no_core_dumps",
    "now",
    "out",
    "read_exactly",
    "setting",
    "spelled",
    "tame",
    "tell",
    "text",
]

_STDIN, _STDOUT, _STDERR = 0, 1, 2
# A command that a message tells a person to type, as `wg-quick down wg0`.
_COMMAND = (
    r"(?<![\w./-])(wg-quick(?= (?:up|down|save|strip|plan|reload|check|status)\b)"
    r"|wg(?= (?:show|showconf|set|setconf|addconf|syncconf|genkey|genpsk|pubkey)\b))"
)


def arguments() -> list[bytes]:
    """The command line, the program's name first, as the kernel passed it."""
    return [os.fsencode(word) for word in sys.argv]


def text(data: bytes) -> str:
    """Bytes from outside as the text that messages and names are made of."""
    return data.decode("utf-8", "surrogateescape")


def out(data: str) -> None:
    """A result, to stdout."""
    failure = _write(_STDOUT, data)
    if failure:
        explain("standard output", failure)


def deliver(data: bytes) -> None:
    """A result of wg-quick's, which is whole or an error.  Raises WgError."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(_STDOUT, rest) :]
    except OSError as error:
        raise WgError(f"writing to standard output: {error.strerror}") from error


def err(message: str) -> None:
    """A line for a person, to stderr."""
    _write(_STDERR, message + "\n")


def tell(message: str) -> None:
    """The same for what may end in a log: without what looks like a key, and tame."""
    from wgtools.conf.redact import without_keys

    err(tame(without_keys(message)))


def tame(message: str) -> str:
    """Without what a terminal would obey: a file must not write on the screen as it likes, nor
    show a hook to be other than it is."""
    if message.isprintable():
        return message
    obeyed = [*range(32), *range(127, 160), *range(0xDC80, 0xDCA0)]  # the last: as bare bytes
    # Unicode's marks for the order and the end of lines (UAX 9, 3.1; UAX 14, BK).
    obeyed += [0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)]
    return message.translate({n: "?" for n in obeyed if n not in (9, 10)})


def explain(where: str, hint: str) -> None:
    """A further line, for people only: nothing unless stderr is a terminal."""
    line = ": ".join(part for part in (where, spelled(hint)) if part)
    if line and is_terminal(_STDERR):
        tell(line)


def spelled(message: str) -> str:
    """What it tells to type, under the names by which this was called: a package that lives
    beside wireguard-tools has wgtools-wg-quick, the zipapp is one file for all verbs.
    """
    called = os.path.basename(sys.argv[0])
    prefix = called.removesuffix("wg-quick") if called.endswith("wg-quick") else ""
    if not prefix and not called.endswith(".pyz"):
        return message
    import re  # only here: the classic names do not come this far

    return re.sub(_COMMAND, lambda found: prefix + found[1] if prefix else called, message)


def fault(program: str, error: BaseException) -> str:
    """One line about an error of our own: which and where, never what it says."""
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("wgtools"):
        missing = MissingModule(error.name or "")
        return f"{program}: {missing.message}\n\nhint: {missing.hint}"
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    where = ""
    if frame is not None:
        file = frame.tb_frame.f_code.co_filename.rpartition("/")[2]
        where = f" at {file}:{frame.tb_lineno}"
    return f"{program}: internal error: {type(error).__name__}{where}; please report it"


def is_terminal(descriptor: int = _STDOUT) -> bool:
    return os.isatty(descriptor)


def now() -> int:
    """Whole seconds since the epoch."""
    return int(time.time())


def setting(name: bytes) -> bytes:
    """A variable of the environment, empty when unset."""
    if os.supports_bytes_environ:
        return os.environb.get(name, b"")
    return os.fsencode(os.environ.get(name.decode("ascii"), ""))  # Windows


def no_core_dumps() -> None:
    """A crash must not write keys to the disk.  Children inherit it, and may undo it."""
    try:
        import resource  # 0.2 ms
    except ImportError:  # Windows
        return
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def leave(status: int) -> None:
    """End this process here: nothing is open that the system would not close as well.

    The interpreter's own way out frees every object first, which takes 2 to 4 ms.
    """
    for stream in (sys.stdout, sys.stderr):  # typer and rich write to these
        try:
            if stream is not None:  # closed before we began
                stream.flush()
        except (OSError, ValueError):
            pass
    os._exit(status)


def read_exactly(size: int, descriptor: int = _STDIN) -> bytes:
    """`size` bytes, fewer only at the end.  Raises OSError."""
    data = b""
    while len(data) < size:
        piece = os.read(descriptor, size - len(data))
        if not piece:
            break
        data += piece
    return data


def _write(descriptor: int, data: str) -> str:
    """Why it could not be written; C `wg` does not look, so it is nobody's error."""
    rest = memoryview(data.encode("utf-8", "surrogateescape"))
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError as error:
        return os.strerror(error.errno or 0)
    return ""
