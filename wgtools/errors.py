# SPDX-License-Identifier: MIT
"""Every error the project raises on purpose.

One vocabulary above all backends: an errno, a `gaierror` or a library's own
exception is translated where it is met and raised `from` the original.  Nothing
here prints; only the `main` of a command does.  No message ever holds a key.
"""

from __future__ import annotations

__all__ = [
    "AccessError",
    "ConfigError",
    "EngineError",
    "InvalidKey",
    "MissingModule",
    "NoSuchInterface",
    "ProtocolError",
    "UsageError",
    "WgError",
]


class WgError(Exception):
    """Base of all: a message for a person, what to do next, and an exit status.

    `message` is one line without a full stop; `hint` says what to type or change.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if exit_code is not None:
            self.exit_code = exit_code


class UsageError(WgError):
    """The command line itself is wrong."""


class MissingModule(WgError):
    """A package of others that we need, and that this Python has not."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Python has no module `{name}' here",
            hint="install it for this Python, or wgtools by what brings it along: a package, "
            "pipx or uv",
        )


class InvalidKey(WgError, ValueError):
    """A key that is not 32 bytes, or not canonical base64 or hex."""


class ConfigError(WgError):
    """A configuration that cannot be accepted; knows where."""

    def __init__(
        self,
        message: str,
        *,
        file: str = "",
        line: int = 0,
        column: int = 0,
        hint: str = "",
        exit_code: int | None = None,
    ) -> None:
        super().__init__(message, hint=hint, exit_code=exit_code)
        self.file = file
        self.line = line  # counted from 1; 0 means "nowhere in particular"
        self.column = column  # in bytes, counted from 1; 0 means the whole line

    def __str__(self) -> str:
        """For programs and tracebacks: the place, then the message.  `wg` prints `message`."""
        return f"{self.where}: {self.message}" if self.where else self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    @property
    def where(self) -> str:
        """`file:line:column`, as far as known."""
        parts = [self.file] if self.file else []
        if self.line:
            parts.append(str(self.line))
            if self.column:
                parts.append(str(self.column))
        return ":".join(parts)


class AccessError(WgError):
    """An operation on an interface failed in the system; `errno` is its number.

    `message` is the system's own text for it, which is what `wg` prints.
    """

    def __init__(self, message: str, *, errno: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.errno = errno


class NoSuchInterface(AccessError):
    """Nothing of that name, or nothing that speaks WireGuard."""


class ProtocolError(AccessError):
    """The other end of an IPC channel broke the rules of its protocol."""


class EngineError(WgError):
    """A caller of the engine broke its contract (never: a peer did)."""
