# SPDX-License-Identifier: MIT
"""`wg-quick reload NAME`: has the system's reload.py do it, and tells what was done.

Commands are echoed to stderr as `up` does; what was changed goes to stdout.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from wgtools.cli import paper, quick_plan, streams
from wgtools.errors import WgError

if TYPE_CHECKING:
    from wgtools.cli.paper import Row

__all__ = ["run"]


def run(word: str, *, as_json: bool) -> int:
    target = quick_plan.located("reload", word)
    if os.geteuid() != 0:
        raise WgError("reload needs root", hint=f"sudo wg-quick reload {word}")
    if sys.platform == "linux":
        from wgtools.quick.reload import reload
    else:
        from wgtools.quick.systems.reload import reload
    found = reload(target, _Talk())
    if as_json:
        records = quick_plan.difference_records(found)
        paper.emit_json({"interface": target.name, "file": target.path, "changed": records})
        return 0
    rows: list[Row] = [[(target.name, "bold"), (f" was already as {target.path} says", "green")]]
    if found:
        rows = [[(target.name, "bold"), (f" is now as {target.path} says:", "green")]]
    paper.show([*rows, *quick_plan.difference_rows(found)])
    return 0


class _Talk:
    """Everything that is not data goes to stderr."""

    def echo(self, line: str) -> None:
        streams.tell(f"[#] {line}")

    def say(self, line: str) -> None:
        streams.tell(line)

    def warn(self, error: WgError) -> None:
        streams.tell(quick_plan.remark_text(error))
