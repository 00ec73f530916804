# SPDX-License-Identifier: MIT
"""The fixtures of the interop tier, and why it cannot run where it cannot."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.interop.hosts import Host, Hosts, cable, why_not
from tests.interop.spill import Heard, spilled

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = why_not()
    for item in items:
        if HERE in item.path.parents and reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def host(tmp_path: Path) -> Generator[Hosts]:
    """`host("a")` makes one; all are removed after the test, which may have shown no key."""
    made: list[Host] = []
    heard = Heard()

    def make(name: str) -> Host:
        made.append(Host(name, tmp_path, heard))
        return made[-1]

    yield make
    for one in made:
        one.close()
    assert spilled(heard, tmp_path) == []


@pytest.fixture
def pair(host: Hosts) -> tuple[Host, Host]:
    """Two hosts with a cable: 192.0.2.1 and .2, 2001:db8::1 and ::2."""
    a, b = host("a"), host("b")
    cable(a, b)
    for one, last in ((a, 1), (b, 2)):
        one.ip(f"addr add 192.0.2.{last}/24 dev eth0")
        one.ip(f"addr add 2001:db8::{last}/64 dev eth0 nodad")
    return a, b
