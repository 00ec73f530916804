# SPDX-License-Identifier: MIT
"""This machine, for the verbs: its facts, its words, and who carries steps out on it."""

from __future__ import annotations

import sys

from wgtools.quick import hooks, systems
from wgtools.quick.systems.host import Host

__all__ = ["facts_here", "host_of"]

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable

    from wgtools.conf.quickfile import QuickFile
    from wgtools.quick.files import Target
    from wgtools.quick.systems.facts import HostFacts
    from wgtools.quick.updown import Talk

_FACTS = "wgtools.quick.systems.hostfacts"  # loads netifaces


def facts_here() -> HostFacts:
    """Loaded when asked for, so that a wrong file is refused without it."""
    facts: HostFacts = __import__(_FACTS, fromlist=["facts"]).facts(sys.platform)
    return facts


def host_of(
    target: Target,
    config: QuickFile,
    talk: Talk,
    *,
    save: Callable[[Host], None] = lambda _: None,
) -> Host:
    """The host as this configuration's plans see it; with its remark about hooks.

    `save` is what a step that saves does.
    """
    if remark := hooks.remark(config):
        talk.say(remark)
    host = Host(
        systems.of(sys.platform),
        facts_here(),
        env=hooks.environment(config, target.name, target.path),
        echo=talk.echo,
        say=talk.say,
        save=lambda: save(host),
    )
    return host
