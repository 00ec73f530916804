# SPDX-License-Identifier: MIT
"""`wg`: the table of its verbs, and the one place where their errors are printed.

A verb is a module with `run(program, words)`, imported when it is asked for.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # below `signal`, which imports enum
import gc

from wgtools.cli import streams
from wgtools.errors import WgError

__all__ = ["command", "main"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable

# verb -> module, function, what it does; in the order of the help text
_VERBS = {
    b"show": ("show", "show", "Shows the configuration and state of WireGuard devices"),
    b"showconf": ("showconf", "showconf", "Prints a device as a configuration file"),
    b"set": ("set", "change", "Changes settings of a device and its peers"),
    b"setconf": ("setconf", "setconf", "Makes a device what a configuration file says"),
    b"addconf": ("setconf", "addconf", "Adds what a configuration file says to a device"),
    b"syncconf": ("setconf", "syncconf", "Like setconf, without disturbing peers that stay"),
    b"genkey": ("keygen", "genkey", "Writes a new private key to stdout"),
    b"genpsk": ("keygen", "genpsk", "Writes a new preshared key to stdout"),
    b"pubkey": ("keygen", "pubkey", "Reads a private key from stdin, writes its public key"),
}
_HELP = (b"-h", b"--help", b"help")
_VERSION = (b"-v", b"--version", b"version")
# Scripts take the second word and compare it with upstream's releases: the first part
# is the release whose behaviour this is, measured (WG_COMPAT).
_COMPATIBLE = "1.0.20260223"
_URL = "https://www.wireguard.com/"


def main() -> int:
    """Run the command line; the exit status.  Never raises for what a user did."""
    _let_signals_kill()
    # A short life: what a cycle holds is freed by the end.  Collections among the
    # values of 100,000 peers would cost a third of the time (tests/bench/bench_wg.py).
    gc.disable()
    program, *words = streams.arguments()
    try:
        return _run(streams.text(program), words)
    except WgError as error:
        streams.err(error.message)
        streams.explain("", error.hint)
        return error.exit_code
    except Exception as error:  # a fault of ours: say so in one line, without values
        streams.err(streams.fault(streams.text(program), error))
        return 1


def _run(program: str, words: list[bytes]) -> int:
    if len(words) == 1 and words[0] in _HELP:
        streams.out(_usage(program))
        return 0
    if len(words) == 1 and words[0] in _VERSION:
        from wgtools import __version__

        streams.out(f"wireguard-tools v{_COMPATIBLE}+wgtools{__version__} - {_URL}\n")
        return 0
    verb = words[0] if words else b"show"
    if verb not in _VERBS:
        streams.err(f"Invalid subcommand: `{streams.text(verb)}'\n{_usage(program)[:-1]}")
        return 1
    streams.no_core_dumps()
    return _function(verb)(program, words[1:])


def _function(verb: bytes) -> Callable[[str, list[bytes]], int]:
    module, name, _ = _VERBS[verb]
    function: Callable[[str, list[bytes]], int] = getattr(
        __import__(f"wgtools.cli.{module}", fromlist=[name]), name
    )
    return function


def _usage(program: str) -> str:
    verbs = "".join([f"  {verb.decode()}: {said}\n" for verb, (_, _, said) in _VERBS.items()])
    return (
        f"Usage: {program} SUBCOMMAND [ARGUMENT...]\n\nSubcommands:\n{verbs}"
        "A subcommand with wrong arguments says what it takes.\n"
    )


def command() -> None:
    """What the installed `wg` runs: `main`, and out."""
    streams.leave(main())


def _let_signals_kill() -> None:
    """Die of SIGPIPE and SIGINT as other commands do, without a word."""
    if hasattr(_signal, "SIGPIPE"):
        _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:  # else: ignored
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
