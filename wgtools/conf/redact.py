# SPDX-License-Identifier: MIT
"""Takes key material out of text that is about to be shown.

For messages that may end in a log: `wg-quick` prints none without.  Not for `wg`, whose
fixed lines quote what was written, as those of C `wg` do (docs/decisions/0003).  It looks
at shapes, not at meaning: a public key is hidden too, for nobody can tell them apart.
"""

from __future__ import annotations

__all__ = ["HIDDEN", "hide_key", "without_keys", "without_value"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from wgtools.errors import ConfigError

HIDDEN = "(hidden)"

_DIGITS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_KEY_RUN = 40  # of a key's 43 digits: one that lost a few is still a key
# Of a line that nobody understood: 23 digits of a key leave 118 bits to guess.
_LINE_RUN = 24
_KEY_NAMES = ("privatekey", "presharedkey", "publickey")


def without_keys(text: str, run: int = _KEY_RUN) -> str:
    """`text` with every run of at least `run` base64 digits hidden, and its padding.

    A run with slashes in one case of letters is a path: a key is one of those once in
    10^9 times.
    """
    if len(text) < run:
        return text
    parts = []
    start = kept = 0  # of the run we are in; of what is not in `parts` yet
    for at, character in enumerate(f"{text}\n"):
        if character in _DIGITS:
            continue
        if at - start >= run and not _is_path(text[start:at]):
            parts += [text[kept:start], HIDDEN]
            kept = at
            while text[kept : kept + 1] == "=":
                kept += 1
        start = at + 1
    return "".join([*parts, text[kept:]])


def without_value(line: str) -> str:
    """A line of a configuration, by stricter rules: what follows a name with "key" in it
    is hidden whatever it looks like."""
    for name in _KEY_NAMES:
        if line[: len(name)].lower() == name:
            rest = line[len(name) :]
            return line[: len(name)] + (f"={HIDDEN}" if rest[:1] == "=" else HIDDEN if rest else "")
    name, equals, value = line.partition("=")
    if "key" in name.lower() and value:
        value = HIDDEN
    return without_keys(name + equals + value, _LINE_RUN)


def hide_key(error: ConfigError) -> None:
    """Take what was written out of an error of conf/wgconf.py, if it may be a key.

    A key with one character wrong is still most of a key: not for logs.
    """
    problem, quote, value = error.message.partition(": `")
    if problem.startswith("Key "):
        error.message = problem
        error.hint = error.hint or "a key is 44 characters of base64, the last of them ="
    elif problem.startswith("Line ") and quote:
        error.message = f"{problem}: `{without_value(value[:-1])}'"
    else:
        error.message = without_keys(error.message)
    error.args = (error.message,)


def _is_path(run: str) -> bool:
    return "/" in run and (run == run.lower() or run == run.upper())
