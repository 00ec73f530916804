# SPDX-License-Identifier: MIT
"""A step that Linux refuses is told with what to do, unless its door knew better."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from wgtools.errors import AccessError, WgError
from wgtools.quick.apply import Transaction
from wgtools.quick.journal import Journal
from wgtools.quick.remedies import remedy
from wgtools.quick.steps import AddAddress, AddRoutes, LinkUp, MakeLink, Route, RunHook, Step

LINK, ROUTES = MakeLink("wg0"), AddRoutes("wg0", (Route("10.0.0.0/8"),))


@pytest.mark.parametrize(
    ("step", "number", "hint"),
    [
        (LINK, errno.EPERM, "this needs CAP_NET_ADMIN"),
        (ROUTES, errno.EPERM, "this needs CAP_NET_ADMIN"),
        (ROUTES, errno.EEXIST, "another interface or the local network has that route"),
        (AddAddress("wg0", "10.0.0.1/8"), errno.EEXIST, "the interface has it already"),
    ],
)
def test_remedies(step: Step, number: int, hint: str) -> None:
    assert remedy(step, number).startswith(hint)


@pytest.mark.parametrize(
    ("step", "number"),
    [(LINK, errno.EEXIST), (LinkUp("wg0", 1420), errno.ENODEV), (RunHook("true"), errno.EPERM)],
)
def test_nothing_is_made_up(step: Step, number: int) -> None:
    assert remedy(step, number) == ""


@pytest.mark.parametrize(("known", "hint"), [("", "this needs CAP_NET_ADMIN"), ("that", "that")])
def test_a_refused_step_is_told_with_it(tmp_path: Path, known: str, hint: str) -> None:
    def carry_out(_: Step) -> None:
        raise AccessError("link wg0: Operation not permitted", errno=errno.EPERM, hint=known)

    warned: list[WgError] = []
    transaction = Transaction(
        carry_out, echo=lambda _: None, warn=warned.append, journal=Journal("wg0", str(tmp_path))
    )
    with pytest.raises(AccessError) as raised:
        transaction.apply([LINK])
    assert raised.value.hint.startswith(hint)
