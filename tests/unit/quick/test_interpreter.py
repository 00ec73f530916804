# SPDX-License-Identifier: MIT
"""What a Python that was started again looks for, and where."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from wgtools.quick import interpreter


@pytest.mark.parametrize("places", [{"/opt/tools"}, {"/srv/a:b/c", "/srv/a:b/backends"}])
def test_it_looks_in_our_places_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, places: set[str]
) -> None:
    """Split at its colon, `/srv/a:b/c` was `/srv/a` and, below wherever one is, `b/c`."""
    monkeypatch.setattr(interpreter, "_places", lambda: places)
    python, isolated, option, code, count, *rest = interpreter.module("started_again", "wg-quick")
    assert (python, isolated, option) == (sys.executable, "-I", "-c")
    found: list[list[str]] = []
    started = ModuleType("started_again")

    def main() -> int:
        found.extend([sys.argv, sys.path])
        return 7

    setattr(started, "main", main)  # noqa: B010  # mypy knows no attributes of a module made here
    monkeypatch.setitem(sys.modules, "started_again", started)
    monkeypatch.setattr(sys, "argv", ["-c", count, *rest, "up", "wg0"])
    monkeypatch.setattr(sys, "path", ["/lib/python3", "/lib/site-packages"])
    with pytest.raises(SystemExit) as ended:
        exec(code, {})
    assert ended.value.code == 7
    assert found[0] == ["wg-quick", "up", "wg0"]
    assert found[1] == ["/lib/python3", *sorted(places), "/lib/site-packages"]
