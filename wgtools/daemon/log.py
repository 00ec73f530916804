# SPDX-License-Identifier: MIT
"""Log: the engine process talks to stderr, in lines, and not too many of them.

Levels are wireguard-go's (LOG_LEVEL: verbose or debug, error, silent).  A bucket of
lines stands between the network and the disk, one for each level: what arrives faster
is counted and said so later, and chatter leaves room for errors.  Nothing here is given
key material: peers go by `short_name`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from wgtools.keys import Key

__all__ = ["DEBUG", "ERROR", "SILENT", "Log", "level_of", "place_of", "short_name"]

SILENT, ERROR, DEBUG = 0, 1, 2

_LEVELS = {"verbose": DEBUG, "debug": DEBUG, "error": ERROR, "silent": SILENT}
_BURST = 200.0  # lines at once
_RATE = 10.0  # lines per second after that


def level_of(word: str) -> int:
    """The level that LOG_LEVEL names; `error` for anything unknown, as wireguard-go has it."""
    return _LEVELS.get(word, ERROR)


def short_name(key: Key) -> str:
    """A public key as logs show it."""
    text = key.base64()
    return f"peer({text[:4]}…{text[39:43]})"


def place_of(e: BaseException) -> str:
    """Kind and place of an exception for the log, never its text, which may hold anything."""
    trace = e.__traceback__
    if trace is None:
        return type(e).__name__
    while trace.tb_next is not None:
        trace = trace.tb_next
    file = os.path.basename(trace.tb_frame.f_code.co_filename)
    return f"{type(e).__name__} in {file}:{trace.tb_lineno}"


def _to_stderr(line: bytes) -> None:
    os.write(2, line)


class Log:
    """Writes lines of one interface at or below a level."""

    def __init__(
        self,
        name: str,
        level: int,
        *,
        write: Callable[[bytes], object] = _to_stderr,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.level = level
        self._prefix = f"({name})"
        self._write = write
        self._clock = clock
        self._tokens = {"ERROR": _BURST, "DEBUG": _BURST}
        self._filled = clock()
        self._dropped = 0

    @property
    def is_debug(self) -> bool:
        return self.level >= DEBUG

    def error(self, message: str) -> None:
        if self.level >= ERROR:
            self._line("ERROR", message)

    def debug(self, message: str) -> None:
        if self.level >= DEBUG:
            self._line("DEBUG", message)

    def _line(self, level: str, message: str) -> None:
        now = self._clock()
        for name, tokens in self._tokens.items():
            self._tokens[name] = min(_BURST, tokens + (now - self._filled) * _RATE)
        self._filled = now
        if self._tokens[level] < 1:
            self._dropped += 1
            return
        self._tokens[level] -= 1
        if self._dropped:
            message += f" [{self._dropped} lines left out before this one]"
            self._dropped = 0
        stamp = time.strftime("%Y/%m/%d %H:%M:%S")
        printable = "".join(c if c.isprintable() else "?" for c in message)
        line = f"{level}: {self._prefix} {stamp} {printable}\n"
        try:
            self._write(line.encode("utf-8", "backslashreplace"))
        except OSError:
            self.level = SILENT  # nobody listens: a closed terminal must not end a tunnel
