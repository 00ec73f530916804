# SPDX-License-Identifier: MIT
"""`plan` and `status` on FreeBSD, OpenBSD and macOS: looks only, touches nothing.

What `up` would do is told step by step (forecast.py).  How a running interface differs
from its file is not: that is read through rtnetlink, on Linux.
"""

from __future__ import annotations

import contextlib
import os
import sys

from wgtools import ipc
from wgtools.errors import WgError
from wgtools.quick import engines, files
from wgtools.quick.forecast import Forecast
from wgtools.quick.journal import HOME, Journal, namespace
from wgtools.quick.plan import split_dns
from wgtools.quick.status import Engine, Status
from wgtools.quick.systems import actions, dns, of
from wgtools.quick.systems.forecast import foresee
from wgtools.quick.systems.here import facts_here
from wgtools.quick.systems.host import Host, is_socket
from wgtools.quick.systems.openbsd import OpenBSD, description
from wgtools.quick.systems.up import judged

__all__ = ["forecast", "look", "names"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from wgtools.quick.files import Target
    from wgtools.quick.systems.facts import HostFacts
    from wgtools.quick.systems.system import System


def _nothing(*_: object) -> None:
    """Who only looks says nothing on the way."""


def _host(words: System, facts: HostFacts) -> Host:
    return Host(words, facts, env={}, echo=_nothing, say=_nothing, save=_nothing)


def forecast(target: Target) -> Forecast:
    """The lines that `up` would echo.  Raises WgError for what would end it first."""
    name = target.name
    words, facts = of(sys.platform), facts_here()
    engines.require(os.environ)
    config = files.load(target)
    checked = judged(config, words, facts)
    if real := _host(words, facts).real_name(name):
        raise WgError(f"`{name}' already exists" + ("" if real == name else f" as `{real}'"))
    remarks: list[WgError] = [*checked.warnings]
    if any(not isinstance(undo, actions.Destroy) for undo in Journal(name).undos):
        text = "an earlier run was cut short: `up' would clean up after it first"
        remarks.append(WgError(text, hint=f"wg-quick down {name} does so now"))
    if config.hooks["preup"]:
        remarks.append(WgError("what PreUp hooks change is not foreseen"))
    pair = split_dns(value.text for value in config.dns)
    method = dns.choose(words, os.environ, facts) if config.dns else "none"
    lost = dns.lost(method, *pair)
    remarks += [lost] if lost else []
    kernel = words.kernel and engines.wants_kernel(os.environ)
    steps = foresee(
        words,
        config,
        checked,
        facts,
        name=name,
        program="" if kernel else engines.userspace_command(os.environ)[1],
        method=method,
        services=dns.services() if method == "networksetup" and pair[0] else (),
    )
    return Forecast(tuple(line for step in steps for line in step.shown), tuple(remarks))


def names() -> list[str]:
    """Configurations that are up, and those of which a journal is left.  Raises AccessError."""
    words, facts = of(sys.platform), facts_here()
    if isinstance(words, OpenBSD):
        prefix = description("")
        shown = [interface.description for interface in facts.interfaces()]
        found = [text.removeprefix(prefix) for text in shown if text.startswith(prefix)]
    elif words.knows_real:
        entries = _entries(actions.SOCKETS, ".name")
        found = [entry for entry in entries if _host(words, facts).real_name(entry)]
    else:
        found = ipc.list_devices()
    left = [entry.partition("@") for entry in _entries(HOME, ".journal")]
    journals = [name for name, _, where in left if where == str(namespace())]
    return [*dict.fromkeys([*found, *(name for name in journals if Journal(name).undos)])]


def _entries(directory: str, suffix: str) -> list[str]:
    with contextlib.suppress(OSError):
        found = sorted(os.listdir(directory))
        return [entry.removesuffix(suffix) for entry in found if entry.endswith(suffix)]
    return []


def look(name: str) -> Status:
    """One interface, as far as the caller may see it."""
    words, facts = of(sys.platform), facts_here()
    real = _host(words, facts).real_name(name)
    journal = Journal(name)
    # Whether other undos still find something is not looked up here.
    left = [undo for undo in journal.undos if real or not isinstance(undo, actions.Destroy)]
    found = Status(name, bool(real), undo_steps=len(left))
    if journal.undos:
        found.journal = "kept" if real else "left behind" if left else "record only"
    elif os.geteuid() != 0:
        found.journal = "unknown"
    found.file = journal.config_file
    if not found.file:
        places = [f"{directory}/{name}.conf" for directory in files.DIRECTORIES]
        found.file = next((path for path in places if os.path.lexists(path)), "")
    if real:
        found.engine = Engine("unknown") if is_socket(real) else Engine("kernel")
        try:
            found.device = ipc.get(real)
        except WgError as error:
            found.remarks.append(error)
    return found
