# SPDX-License-Identifier: MIT
"""The search for spilled keys finds them, and nothing else."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

import pytest

from tests.interop.hosts import Hosts
from tests.interop.spill import Heard, keys_in, spilled

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER = base64.b64encode(bytes(range(1, 33))).decode()


@pytest.mark.parametrize(
    "text", [f"[Interface]\nPrivateKey = {KEY}\n", f"presharedkey={KEY}", f"{KEY}\n"]
)
def test_keys_that_are_found(text: str) -> None:
    assert keys_in([text]) == {KEY}


def test_a_public_key_is_no_secret() -> None:
    assert keys_in([f"PublicKey = {KEY}", f"PresharedKey = {KEY}"]) == set()


@pytest.mark.parametrize("spelt", [KEY, base64.b64decode(KEY).hex()])
def test_stderr_logs_and_our_stdout_count(tmp_path: Path, spelt: str) -> None:
    (tmp_path / "wg0.conf").write_text(f"PrivateKey = {KEY}\n")
    (tmp_path / "a-wg0.log").write_text(f"DEBUG: key {spelt}\n")
    heard = Heard()
    heard.command(["/usr/bin/wg", "show", "wg0"], "", f"key {spelt}", "")
    heard.command(["wg", "show", "wg0", "dump"], "", spelt, "")
    heard.command(["wg", "show"], "", spelt, "", shows=True)
    heard.command(["wg", "showconf", "wg0"], "", "", spelt)
    heard.command(["cat", "wg0.conf"], "", spelt, "")
    heard.command(["wg-quick", "up", "wg0"], "", OTHER, OTHER)
    assert spilled(heard, tmp_path) == ["/usr/bin/wg show wg0", "wg showconf wg0", "a-wg0.log"]


def test_it_listens_to_hosts(host: Hosts) -> None:
    one = host("a")
    key = one.path("key", KEY)
    one.run(sys.executable, "-c", f"import sys; sys.stderr.write(open({key!r}).read())")
    assert one.heard is not None
    (who,) = spilled(one.heard, one.directory)
    assert who.startswith(sys.executable)
    one.heard.said.clear()
