# SPDX-License-Identifier: MIT
"""wgtools-engine: WireGuard for one interface, in a process of its own.

From the command line to a running loop.  Arguments and environment are those of
wireguard-go, so that whatever starts one can start the other.
"""

from __future__ import annotations

import gc
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wgtools.errors import MissingModule, UsageError, WgError
from wgtools.model import NAME_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wgtools.daemon.listener import Listener
    from wgtools.daemon.log import Log
    from wgtools.daemon.loop import Loop
    from wgtools.daemon.tun import Tun

__all__ = ["Options", "main", "parse"]

_USAGE = "Usage: wgtools-engine [-f | --foreground] INTERFACE-NAME"

_HELP = f"""{_USAGE}

Runs WireGuard on interface INTERFACE-NAME, which it creates, and listens for `wg` on
/var/run/wireguard/INTERFACE-NAME.sock.  To end it: ip link delete INTERFACE-NAME.

  -f, --foreground   stay in the foreground
  --help             show this and exit
  --version          show the version and exit

Environment:
  LOG_LEVEL                 verbose (or debug), error (the default) or silent
  WG_PROCESS_FOREGROUND=1   like -f
  WG_TUN_FD=N               use this open TUN device instead of making one
  WG_UAPI_FD=N              use this listening Unix socket instead of making one
  WG_TUN_NAME_FILE=PATH     write the name that the interface really got to PATH
  WGTOOLS_SANDBOX=off       give up no privileges once started, for debugging
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line and the environment ask for."""

    name: str
    foreground: bool = False
    log_level: str = "error"
    keep_output: bool = False
    tun_fd: int | None = None
    uapi_fd: int | None = None
    name_file: str = ""
    is_confined: bool = True


def parse(words: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Raises UsageError."""
    foreground = environment.get("WG_PROCESS_FOREGROUND") == "1"
    names: list[str] = []
    for i, word in enumerate(words):
        if word in ("-f", "--foreground"):
            foreground = True
        elif word == "--":
            names += words[i + 1 :]
            break
        elif word.startswith("-"):
            raise UsageError(f"Unknown option: {word}", hint=_USAGE)
        else:
            names.append(word)
    if len(names) != 1:
        raise UsageError("One interface name is needed", hint=_USAGE)
    level = environment.get("LOG_LEVEL", "")
    return Options(
        name=_checked(names[0]),
        foreground=foreground,
        log_level=level or "error",
        keep_output=level not in ("", "silent"),
        tun_fd=_descriptor(environment, "WG_TUN_FD"),
        uapi_fd=_descriptor(environment, "WG_UAPI_FD"),
        name_file=environment.get("WG_TUN_NAME_FILE", ""),
        is_confined=environment.get("WGTOOLS_SANDBOX") != "off",
    )


def _checked(name: str) -> str:
    raw = os.fsencode(name)
    if not raw or name in (".", "..") or "/" in name or any(c.isspace() for c in name):
        raise UsageError(f"Not a name for an interface: {name!r}", hint=_USAGE)
    if len(raw) > NAME_MAX:
        raise UsageError(f"An interface name has at most {NAME_MAX} bytes: {name}")
    return name


def _descriptor(environment: Mapping[str, str], variable: str) -> int | None:
    text = environment.get(variable, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise UsageError(f"{variable} is not the number of a file descriptor: {text}")
    return int(text)


def main() -> int:
    """The command `wgtools-engine`; returns its exit status."""
    words = sys.argv[1:]
    if words and words[0] in ("--help", "-h"):
        sys.stdout.write(_HELP)
        return 0
    if words and words[0] == "--version":
        from wgtools import __version__

        sys.stdout.write(f"wgtools-engine v{__version__}\n")
        return 0
    try:
        return _run(parse(words, os.environ))
    except WgError as e:
        text = f"wgtools-engine: {e.message}\n"
        if e.hint:
            text += f"\n{e.hint}\n" if e.hint == _USAGE else f"\nhint: {e.hint}\n"
        sys.stderr.write(text)
        return e.exit_code


def _run(options: Options) -> int:
    from wgtools.daemon.process import become_daemon, harden, let_go, signal_pipe, take_name

    let_go((options.tun_fd, options.uapi_fd))
    take_name("wgtools-engine", sys.argv[1:])  # while /proc is there: confined, it is not
    harden()  # before a key can come in, and before anything is mapped that holds one
    # Only now: `--help` and a mistyped command should not wait for the crypto library.
    from wgtools.daemon.listener import adopt_listener, open_listener
    from wgtools.daemon.log import Log, level_of
    from wgtools.daemon.tun import TunGone, adopt_tun, create_tun

    signals = signal_pipe()  # first of all: nothing may be left behind from here on
    tun = create_tun(options.name) if options.tun_fd is None else adopt_tun(options.tun_fd)
    log = Log(tun.name, level_of(options.log_level))
    listener = None
    try:
        if options.uapi_fd is None:
            listener = open_listener(tun.name)
        else:
            listener = adopt_listener(options.uapi_fd)
        if options.name_file:
            _write_name(options.name_file, tun.name)
        loop = _loop(tun, listener, log)
        loop.stop_when_readable(signals, "told to by a signal")
        ready = -1 if options.foreground else become_daemon(keep_output=options.keep_output)
        # In the process that stays, with all that it needs: there is no way back.
        _confine(options, listener, log)
        _serve(loop, log, ready)
    except TunGone:
        log.debug("Shutting down: the interface is gone")
    except ModuleNotFoundError as e:
        raise MissingModule(e.name or "") from e
    except OSError as e:
        raise WgError(f"Cannot go on: {e.strerror}") from e
    finally:
        if listener is not None:
            listener.close()
        tun.close()
    return 0


def _write_name(path: str, name: str) -> None:
    try:
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(name + "\n")
    except OSError as e:
        raise WgError(f"Cannot write {path}: {e.strerror}") from e


def _loop(tun: Tun, listener: Listener, log: Log) -> Loop:
    from wgtools.daemon.clock import SystemClock
    from wgtools.daemon.interface import Interface
    from wgtools.daemon.loop import Loop
    from wgtools.daemon.sums import best_sums
    from wgtools.engine.device import Engine

    clock = SystemClock()
    engine = Engine(
        os.urandom,
        mtu=tun.link().mtu,
        up=False,
        coalesce_udp=tun.can_udp_offload,
        sums=best_sums(),
    )
    return Loop(Interface(tun, engine, clock=clock, log=log), listener, clock=clock, log=log)


def _confine(options: Options, listener: Listener, log: Log) -> None:
    from wgtools.daemon.process import lock_memory, tell_manager

    tell_manager("READY=1", os.environ)  # whoever connects is heard from here on
    if not lock_memory():
        log.debug("Keys may reach swap: no privilege to lock memory")
    if not options.is_confined:
        log.error("Not confined: WGTOOLS_SANDBOX=off")
        return
    from wgtools.daemon.confine import confine

    confine(os.path.dirname(listener.path), say=log.debug, warn=log.error)


def _serve(loop: Loop, log: Log, ready: int) -> None:
    """Run until the end.  What nobody foresaw ends it with a line, no more."""
    gc.collect()
    gc.freeze()  # what start-up made stays: no use looking at it again
    log.debug("Ready")
    if ready >= 0:
        os.write(ready, b"!")
        os.close(ready)
    try:
        reason = loop.run()
    except Exception as e:
        if log.is_debug:
            import traceback

            # Where, but not what: the text of an exception may hold anything.
            for line in "".join(traceback.format_tb(e.__traceback__)).splitlines():
                log.debug(line)
        log.error(f"Ended by an error of our own ({type(e).__name__}): please report it")
        raise WgError("Ended by an error of our own") from None
    log.debug(f"Shutting down: {reason}")
