# SPDX-License-Identifier: MIT
"""What each step means on FreeBSD, OpenBSD and macOS: mostly a program to run.

Between the plans, which know nothing of the host, and the host.  It decides only what
must be decided on the spot; facts come from quick/systems/facts.py's Protocol.
"""

from __future__ import annotations

import os
import stat
import sys

from wgtools import ipc
from wgtools.errors import AccessError, WgError
from wgtools.quick import dns, engines, hooks, interpreter, steps
from wgtools.quick.apply import CommandFailed, NotInForce, run, start
from wgtools.quick.interrupts import interrupts
from wgtools.quick.systems import actions
from wgtools.quick.systems.openbsd import OpenBSD, description
from wgtools.quick.systems.pidfile import PidFile
from wgtools.quick.systems.system import FAMILY, WgPart, family_of
from wgtools.resolve import Resolver, resolve

__all__ = ["Host", "NoKernel", "is_socket"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from subprocess import Popen

    from wgtools.quick.steps import Step
    from wgtools.quick.systems.facts import HostFacts, Interface
    from wgtools.quick.systems.system import System

_PAUSE, _PATIENCE = 0.1, 5.0  # seconds: between looks, and for an engine to leave
_PAIR = 2.0  # seconds between the socket's and the name file's times (WG_QUICK_COMPAT 19)
_MONITOR = "[+] Backgrounding route monitor"


class NoKernel(WgError):
    """The kernel would not make the interface; the message is its own."""


class Host:
    """The machine as seen by one configuration's plans."""

    def __init__(
        self,
        system: System,
        facts: HostFacts,
        *,
        env: Mapping[str, str],
        echo: Callable[[str], None],
        say: Callable[[str], None],
        save: Callable[[], None],
    ) -> None:
        self.system = system
        self.facts = facts
        self._env = dict(env)
        self._echo = echo
        self._say = say
        self._save = save
        self._monitor: Popen[bytes] | None = None
        self._ways: dict[type[Step], Callable[..., None]] = {
            actions.Command: self._command,
            actions.Back: self._command,
            actions.MakeLink: self._make_link,
            actions.StartEngine: self._start_engine,
            actions.Destroy: self._destroy,
            actions.Pin: self._pin,
            actions.Unpin: self._command,
            actions.StartMonitor: self._start_monitor,
            actions.StopMonitor: self._stop_monitor,
            WgPart: self._configure,
            steps.RunHook: lambda step: hooks.run_hook(step.text, step.kind, self._env),
            steps.Save: lambda _: self._save(),
            steps.SetDNS: dns.add,
            steps.RemoveDNS: dns.remove,
        }

    def carry_out(self, step: Step) -> None:
        """Do one step.  Raises WgError."""
        self._ways[type(step)](step)

    def know(self, real: str) -> None:
        """Tell hooks the system's name of the interface."""
        self._env["REAL_INTERFACE"] = real

    # Facts

    def real_name(self, name: str) -> str:
        """The system's name of a configuration's interface; empty if it is not up.  Raises
        WgError if nobody can tell."""
        if not self.system.knows_real:
            return name if self._is_there(name) else ""
        if isinstance(self.system, OpenBSD):
            ours = [i.name for i in self._interfaces() if i.description == description(name)]
            return ours[0] if ours else ""
        real = self.named_by_engine(name)
        return real if real and self._is_there(real) else ""

    def _is_there(self, real: str) -> bool:
        """Raises WgError if nobody can tell."""
        if self.facts.interface(real):
            return True
        return any(each.name == real for each in self._interfaces())

    def _interfaces(self) -> tuple[Interface, ...]:
        """All of them.  Raises WgError if the system does not tell, as there always is a
        loopback: what is not seen must not be taken for gone, and cleaned up after."""
        found = self.facts.interfaces()
        if not any(each.mtu for each in found):
            hint = "`ifconfig -a` fails, or prints what we cannot read"
            raise WgError("cannot tell which interfaces there are", hint=hint)
        return found

    def named_by_engine(self, name: str) -> str:
        """What the engine wrote to NAME.name, if its socket is as old as that."""
        named = f"{actions.SOCKETS}/{name}.name"
        try:
            with open(named, encoding="ascii") as file:
                real = file.read().strip()
            socket = os.stat(f"{actions.SOCKETS}/{real}.sock")
            old = abs(socket.st_mtime - os.stat(named).st_mtime) >= _PAIR
        except (OSError, ValueError):
            return ""
        return "" if old or not stat.S_ISSOCK(socket.st_mode) else real

    # Steps

    def _command(self, step: actions.Command | actions.Back | actions.Unpin) -> None:
        feed = getattr(step, "feed", "")
        # networksetup complains on its standard output.
        said = self._run(step.argv, feed.encode("utf-8", "surrogateescape"))
        for line in said.splitlines():
            if "Error" in line:
                self._say(line)

    def _run(self, argv: tuple[str, ...], feed: bytes = b"", *, heard: bool = False) -> str:
        words = [word.encode("utf-8", "surrogateescape") for word in argv]
        done = run(words, data=feed, env=self._env, capture=True, heard=heard)
        return done.decode("utf-8", "surrogateescape")

    def _pin(self, step: actions.Pin) -> None:
        try:
            self._run(step.argv)
        except CommandFailed as error:
            text = f"no route of its own for the endpoint {step.endpoint}: {error.message}"
            raise NotInForce(text, hint="there may be one already") from error

    def _make_link(self, step: actions.MakeLink) -> None:
        before = {interface.name for interface in self.facts.interfaces()}
        try:
            self._run(step.argv, heard=True)
        except CommandFailed as error:
            said = error.said or error.message
            if "SIOCSIFNAME" in said and "File exists" in said:
                self._sweep(before)
                raise WgError(said, hint="another wg-quick was faster; try again") from error
            raise NoKernel(said) from error

    def _sweep(self, before: set[str]) -> None:
        """Remove an interface that was made but could not be named."""
        for interface in self.facts.interfaces():
            new = interface.name not in before
            if new and interface.name.startswith("wg") and interface.name[2:].isdigit():
                self._run(("ifconfig", interface.name, "destroy"))

    def _start_engine(self, step: actions.StartEngine) -> None:
        env = dict(self._env)
        if step.word != step.name:
            os.makedirs(actions.SOCKETS, mode=0o755, exist_ok=True)
            env["WG_TUN_NAME_FILE"] = f"{actions.SOCKETS}/{step.name}.name"
        engines.launch(step.word, env=env)
        numbered = step.word != step.name
        real = self.named_by_engine(step.name) if numbered else self.real_name(step.name)
        if not real:
            raise WgError(f"the userspace implementation ended without making `{step.name}'")
        if isinstance(self.system, OpenBSD):
            self._tell("ifconfig", real, "description", description(step.name))
        if numbered:
            self._say(f"[+] Interface for {step.name} is {real}")

    def _tell(self, *argv: str) -> None:
        self._echo(" ".join(argv))
        self._run(argv)

    def _destroy(self, step: actions.Destroy) -> None:
        if not step.real:
            real = self.named_by_engine(step.name)
            if not real:
                return
            step = actions.Destroy(step.name, real, step.userspace)
            self._echo(" ".join(step.argv))
        elif not step.userspace and not self._is_there(step.real):
            return
        self._run(step.argv)
        if not self._gone(step.real) and step.userspace:
            self._tell("ifconfig", step.real, "destroy")  # the engine had died before
        for network in self.facts.networks(step.real):
            self._tell("route", "-q", "-n", "delete", FAMILY[family_of(network)], network)

    def _gone(self, real: str) -> bool:
        """Wait: the answer to the command comes before the interface has gone."""
        waited = 0.0
        while self._is_there(real):
            if waited >= _PATIENCE:
                return False
            interrupts.sleep(_PAUSE)
            waited += _PAUSE
        return True

    def _configure(self, step: WgPart) -> None:
        resolve(step.change, Resolver(self._say, sleep=interrupts.sleep))
        try:
            ipc.set(step.name, step.change)
        except AccessError as error:
            raise engines.refused(error, step.change) from error

    def _start_monitor(self, step: actions.StartMonitor) -> None:
        self._say(_MONITOR)
        argv = interpreter.module("wgtools.cli.wg_quick", "wg-quick")
        words = [*argv, "monitor", step.name]
        self._monitor = start(words, name="wg-quick monitor", env=self._env)

    def _stop_monitor(self, step: actions.StopMonitor) -> None:
        if self._monitor is not None:  # just started, and perhaps not in its file yet
            from subprocess import TimeoutExpired

            self._monitor.terminate()
            try:
                self._monitor.wait(_PATIENCE)
            except TimeoutExpired:
                self._monitor.kill()
                self._monitor.wait()
        PidFile(step.name).stop()

    def stay(self) -> None:
        """Wait for the monitor when launchd(8) started us: a job that ends has no process."""
        if self._monitor is not None and sys.platform == "darwin" and os.getppid() == 1:
            self._monitor.wait()


def is_socket(real: str) -> bool:
    """Whether a userspace engine has the interface."""
    try:
        return stat.S_ISSOCK(os.stat(f"{actions.SOCKETS}/{real}.sock").st_mode)
    except OSError:
        return False
