# SPDX-License-Identifier: MIT
"""`wg-quick up|down|save|strip`: its words, its root, and how its errors are printed.

Exactly the forms of WG_QUICK_COMPAT section 1, options of `up` that are ours, and the
first words that cli/quick_verbs.py knows.  Nothing of `wgtools.quick` is loaded
before the words are known to be right.
"""

from __future__ import annotations

import gc
import os
import sys

from wgtools.cli import streams
from wgtools.errors import ConfigError, WgError

__all__ = ["command", "main"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from typing import Any

_LINUX = sys.platform == "linux"
_MONITOR = "monitor"  # where the kernel does not follow routes by itself
_VERBS = ("up", "down", "save", "strip", *(() if _LINUX else (_MONITOR,)))
_OWN_VERBS = ("plan", "reload", "check", "status")  # cli/quick_verbs.py
_MONITOR_USAGE = (
    "" if _LINUX else "monitor INTERFACE is what up leaves behind to follow routes.\n\n"
)
_FLAGS = ("--strict", "--dry-run")
_ENGINE = "--engine="
_HELP = ("--help", "-h", "help")
_NOT_FOUND = 127
_STOPPED = 128 + 2  # what a shell says for SIGINT


def main() -> int:
    """Run the command line; the exit status.  Never raises for what a user did."""
    gc.disable()  # a process this short-lived has nothing to collect
    streams.no_core_dumps()
    program = os.path.basename(sys.argv[0]) or "wg-quick"
    words = [streams.text(word) for word in streams.arguments()[1:]]
    if len(words) == 1 and words[0] in _HELP:
        streams.tell(_usage(program))
        return 0
    own = bool(words) and words[0] in _OWN_VERBS
    classic, options = _split(words)
    if not own and (len(classic) != 2 or classic[0] not in _VERBS):
        streams.tell(_usage(program) + _misunderstood(program, words))
        return 1
    try:
        return _own(program, words) if own else _obey(program, classic, options)
    except WgError as error:
        _complain(program, error)
        return error.exit_code
    except KeyboardInterrupt:  # before anything was begun: later ones are noted
        return _STOPPED
    except Exception as error:  # a fault of ours: say so in one line, without values
        streams.tell(streams.fault(program, error))
        return 1


def command() -> None:
    """What the installed `wg-quick` runs: `main`, and out."""
    streams.leave(main())


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """(the words of a classic form, the options of ours among them).

    The original has none, and takes the second of two words for a name, whatever it is.
    """
    if len(words) < 3 or words[0] != "up":
        return words, []
    options = [word for word in words if word in _FLAGS or word.startswith(_ENGINE)]
    return [word for word in words if word not in options], options


def _obey(program: str, words: list[str], options: list[str]) -> int:
    """A classic verb; an option does what its environment variable does."""
    verb, word = words
    engines = [option for option in options if option.startswith(_ENGINE)]
    if "--dry-run" in options:
        return _own(program, ["plan", *engines, "--up", "--", word])
    if "--strict" in options:
        os.environ["WG_QUICK_STRICT"] = "1"
    if engines:
        os.environ["WG_QUICK_ENGINE"] = engines[-1].removeprefix(_ENGINE)
    return _act(program, verb, word, options)


def _own(program: str, words: list[str]) -> int:
    from wgtools.cli import quick_verbs

    try:
        return quick_verbs.run(program, words)
    except PermissionError as error:
        shown = f"`{error.filename}': {error.strerror}" if error.filename else str(error.strerror)
        raise WgError(shown, hint=f"run this as root: {program} {' '.join(words)}") from error


def _act(program: str, verb: str, word: str, options: list[str]) -> int:
    from wgtools.quick import files

    try:
        if verb != "strip" and os.getuid() != 0:
            return _elevate(program, verb, *options, word)
        if verb == _MONITOR:
            _verbs().monitor(word, _Talk(program))
            return 0
        try:
            target = files.locate(word)
        except WgError:
            if verb == "down" and files.is_name(word) and _down_by_journal(program, word):
                return 0
            raise
        if target.world_accessible:
            streams.tell(f"Warning: `{target.path}' is world accessible")
        if verb == "strip":
            streams.deliver(files.load(target).stripped())
            return 0
    except PermissionError as error:
        if os.getuid() != 0:
            return _elevate(program, verb, *options, word)
        raise WgError(f"`{error.filename}': {error.strerror}") from error
    getattr(_verbs(), verb)(target, _Talk(program))
    return 0


def _verbs() -> Any:
    """The module of this system's `up`, `down` and `save`."""
    name = "updown" if _LINUX else "systems.verbs"
    return __import__(f"wgtools.quick.{name}", fromlist=["up"])


def _down_by_journal(program: str, name: str) -> bool:
    found: bool = _verbs().down_by_journal(name, _Talk(program))
    return found


def _elevate(program: str, *words: str) -> int:
    """Become `sudo` running this same command; returns only if there is none."""
    from wgtools.quick import interpreter

    prompt = f"{program} must be run as root. Please enter the password for %u to continue: "
    script = os.path.abspath(sys.argv[0])
    again = interpreter.script(script, "wgtools.cli.wg_quick")
    door = ["doas"] if sys.platform.startswith("openbsd") else ["sudo", "-p", prompt]
    argv = [*door, "--", *again, *words]
    try:
        os.execvp(door[0], [os.fsencode(part) for part in argv])
    except OSError as error:
        streams.tell(f"{program}: {door[0]}: {error.strerror}")
        streams.tell(f"\nhint: run this as root: {program} {' '.join(words)}")
        return _NOT_FOUND


class _Talk:
    """Everything that is not data goes to stderr."""

    def __init__(self, program: str) -> None:
        self._program = program

    def echo(self, line: str) -> None:
        streams.tell(f"[#] {line}")

    def say(self, line: str) -> None:
        streams.tell(line)

    def warn(self, error: WgError) -> None:
        streams.tell(
            f"[!] {_placed(error)}" + (f" ({streams.spelled(error.hint)})" if error.hint else "")
        )


def _placed(error: WgError) -> str:
    where = error.where if isinstance(error, ConfigError) else ""
    return f"{where}: {error.message}" if where else error.message


def _complain(program: str, error: WgError) -> None:
    """The message, and behind an empty line what may help."""
    streams.tell(f"{program}: {error.message}")
    several = getattr(error, "errors", None)
    lines = [f"hint: {streams.spelled(error.hint)}"] if error.hint else []
    if several:
        lines = []
        for each in several:
            lines.append(_placed(each))
            if each.hint:
                lines.append(f"  hint: {streams.spelled(each.hint)}")
    elif isinstance(error, ConfigError) and error.where:
        lines.insert(0, f"at {error.where}")
    if lines:
        streams.tell("\n" + "\n".join(lines))


def _misunderstood(program: str, words: list[str]) -> str:
    """What was wrong, below the usage, where the eye is."""
    if not words:
        return ""
    if words[0] not in _VERBS:
        return f"\n\n{program}: there is no verb `{words[0]}'"
    return f"\n\n{program}: {words[0]} takes one name, of an interface or of a file"


def _usage(program: str) -> str:
    return (
        f"Usage: {program} [ up | down | save | strip ] [ CONFIG_FILE | INTERFACE ]\n\n"
        "  up     makes the interface and sets up everything the file says\n"
        "  down   takes it away again, and all that belongs to it\n"
        "  save   writes the running interface back to its file\n"
        "  strip  prints the file without what only wg-quick understands\n\n"
        f"{_MONITOR_USAGE}"
        "And more than the original: plan, reload, check, status (each takes --help), and\n"
        "up [ --engine=auto|kernel|embedded|PROGRAM ] [ --strict ] [ --dry-run ] INTERFACE\n\n"
        "INTERFACE means the file /etc/wireguard/INTERFACE.conf.  A CONFIG_FILE is a path,\n"
        "has a slash in it, and ends in /INTERFACE.conf.\n\n"
        "WG_QUICK_DNS=resolved|resolvconf|file|none says who is told of DNS; WG_QUICK_STRICT=1\n"
        "is --strict: what could not be set is an error, where a warning would do."
    )


if __name__ == "__main__":
    sys.exit(main())
