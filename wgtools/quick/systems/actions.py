# SPDX-License-Identifier: MIT
"""The steps of plans for FreeBSD, OpenBSD and macOS: commands, and what takes them back.

Beside those of quick/steps.py that mean the same everywhere (hooks, `wg addconf`, save,
the managed block of resolv.conf).  Here a step is its command line: `shown` is what is
run, word by word, and never holds a key.  Undos can be written as words and read back
(`revived`), for quick/journal.py.  Pure.
"""

from __future__ import annotations

from wgtools.quick.steps import Step

__all__ = [
    "Back",
    "Command",
    "Destroy",
    "MakeLink",
    "Pin",
    "StartEngine",
    "StartMonitor",
    "StopMonitor",
    "Unpin",
    "Watch",
    "revived",
]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SOCKETS = "/var/run/wireguard"


class _Line:
    """For steps that are one command line, wherever it stands among their fields."""

    argv: tuple[str, ...]

    @property
    def shown(self) -> tuple[str, ...]:
        return (" ".join(self.argv),)


class Command(_Line, Step):
    """A program to run; `back` is the command that undoes it, `feed` its standard input.

    `safe` is for one that, if it fails, has done nothing; `spare` for one that may fail.
    """

    argv: tuple[str, ...]
    back: tuple[str, ...] = ()
    feed: str = ""
    safe: bool = True
    spare: bool = False

    @property
    def undo(self) -> Step | None:
        return Back(self.back) if self.back else None

    @property
    def atomic(self) -> bool:
        return self.safe

    @property
    def optional(self) -> bool:
        return self.spare


class Back(_Line, Step):
    """A command that undoes another.  It stays noted if it fails."""

    argv: tuple[str, ...]

    @property
    def lasting(self) -> bool:
        """Whether what it undoes outlives a reboot."""
        return self.argv[0] == "networksetup"


class MakeLink(_Line, Step):
    """Have the kernel make the interface `real` for the configuration `name`."""

    name: str
    real: str
    argv: tuple[str, ...]

    @property
    def undo(self) -> Step | None:
        return Destroy(self.name, self.real)

    @property
    def atomic(self) -> bool:
        return True


class StartEngine(Step):
    """Have a userspace engine make it.  `word` is what the engine is told: the name, or
    `utun` where the system numbers its interfaces, and says the real one in NAME.name."""

    name: str
    word: str
    program: str

    @property
    def shown(self) -> tuple[str, ...]:
        return (f"{self.program} {self.word}",)

    @property
    def undo(self) -> Step | None:
        named = self.name == self.word
        return Destroy(self.name, self.name if named else "", userspace=True)


class Destroy(Step):
    """Take the interface away and wait until it is gone.

    An engine leaves when its socket does.  Without `real` it is to be looked up when the
    time comes, and the lines are shown then.
    """

    name: str
    real: str
    userspace: bool = False

    @property
    def shown(self) -> tuple[str, ...]:
        return (" ".join(self.argv),) if self.real else ()

    @property
    def argv(self) -> tuple[str, ...]:
        if not self.userspace:
            return ("ifconfig", self.real, "destroy")
        files = [f"{SOCKETS}/{self.real}.sock"]
        if self.real != self.name:
            files.append(f"{SOCKETS}/{self.name}.name")
        return ("rm", "-f", *files)


class Pin(_Line, Step):
    """A host route that keeps packets to an endpoint out of the tunnel.

    Where one is there already, somebody else has seen to it: no failure of ours.
    """

    endpoint: str
    via: str  # gateway, interface, or nothing for a black hole
    argv: tuple[str, ...]
    back: tuple[str, ...]

    @property
    def undo(self) -> Step | None:
        return Unpin(self.endpoint, self.via, self.back)

    @property
    def atomic(self) -> bool:
        return True

    @property
    def optional(self) -> bool:
        return True


class Unpin(_Line, Step):
    endpoint: str
    via: str
    argv: tuple[str, ...]

    @property
    def optional(self) -> bool:
        return True  # it left with its gateway's interface


class StartMonitor(Step):
    """The process that follows what changes while the interface is up (systems/monitor.py).

    `families` are those whose endpoints are pinned, as `46`; `mtu` is `auto` if it is to
    follow; `servers` and `domains` are parted by blanks, and empty if DNS stays as it is.
    """

    name: str
    real: str
    families: str = ""
    mtu: str = ""
    servers: str = ""
    domains: str = ""

    @property
    def shown(self) -> tuple[str, ...]:
        return (f"wg-quick monitor {self.name}",)

    @property
    def undo(self) -> Step | None:
        return StopMonitor(
            self.name, self.real, self.families, self.mtu, self.servers, self.domains
        )

    @property
    def optional(self) -> bool:
        return True  # all is as it should be now, and stays so while the network does


class StopMonitor(Step):
    """Its fields are what a monitor is to watch: the journal tells it to one started anew."""

    name: str
    real: str
    families: str = ""
    mtu: str = ""
    servers: str = ""
    domains: str = ""


Watch = StopMonitor

_KINDS: Mapping[str, Callable[[list[str]], Step]] = {
    "Back": lambda words: Back(tuple(words)),
    "Destroy": lambda words: Destroy(words[0], words[1], userspace=words[2] == "True"),
    "Unpin": lambda words: Unpin(words[0], words[1], tuple(words[2:])),
    "StopMonitor": lambda words: StopMonitor(*words),
}


def revived(kind: str, words: list[str]) -> Step:
    """An undo from the words that the journal made of it.  Raises KeyError, TypeError."""
    return _KINDS[kind](words)
