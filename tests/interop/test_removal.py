# SPDX-License-Identifier: MIT
"""A link that `down` has removed is gone when it returns, however the removal went."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.interop.hosts import Hosts

REMOVING = (sys.executable, str(Path(__file__).with_name("removing.py")))
THERE, GONE = "True True 400", "False False 0"


def test_nothing_is_to_be_seen_and_the_name_is_free_at_once(host: Hosts) -> None:
    lines = host("a").run(*REMOVING, "plain").splitlines()
    assert lines == [f"before: {THERE}", *[f"after: {GONE}"] * 20]


@pytest.mark.parametrize("way", ["no-child", "dying-child", "threads"])
def test_without_a_child_it_is_done_all_the_same(host: Hosts, way: str) -> None:
    assert host("a").run(*REMOVING, way).splitlines() == [f"before: {THERE}", f"after: {GONE}"]


def test_a_link_that_has_gone_meanwhile_is_an_error(host: Hosts) -> None:
    lines = host("a").run(*REMOVING, "gone").splitlines()
    assert lines == [f"before: {THERE}", "refused: link wg7: No such device"]


def test_a_refusal_is_told_by_the_child(host: Hosts) -> None:
    one = host("a")
    one.ip("tuntap add dev wg7 mode tun")
    program = (
        "import socket; from wgtools.quick.removal import remove_link\n"
        "remove_link(socket.if_nametoindex('wg7'), 'wg7')"
    )
    done = one.call(
        "setpriv",
        "--bounding-set=-net_admin",
        "--inh-caps=-net_admin",
        sys.executable,
        "-c",
        program,
    )
    assert done.stderr.endswith("AccessError: link wg7: Operation not permitted\n")
    assert one.has_link("wg7")
