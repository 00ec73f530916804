# SPDX-License-Identifier: MIT
"""Errors know what to say, what to do next, and where."""

from __future__ import annotations

import pytest

from wgtools.errors import AccessError, ConfigError, NoSuchInterface, WgError


def test_message_hint_and_exit_code() -> None:
    error = WgError("it failed", hint="try again", exit_code=3)
    assert (str(error), error.message, error.hint) == ("it failed", "it failed", "try again")
    assert error.exit_code == 3
    assert WgError("it failed").exit_code == 1


@pytest.mark.parametrize(
    ("file", "line", "column", "where"),
    [
        ("", 0, 0, ""),
        ("f", 0, 0, "f"),
        ("f", 0, 5, "f"),
        ("f", 3, 0, "f:3"),
        ("f", 3, 5, "f:3:5"),
        ("", 3, 5, "3:5"),
    ],
)
def test_where(file: str, line: int, column: int, where: str) -> None:
    error = ConfigError("x", file=file, line=line, column=column)
    assert error.where == where
    assert error.message == "x"  # all that `wg` prints
    assert str(error) == (f"{where}: x" if where else "x")
    assert repr(error) == f"ConfigError('{error}')"


def test_missing_interface_is_an_access_error_with_its_number() -> None:
    error = NoSuchInterface("No such device", errno=19)
    assert isinstance(error, AccessError)
    assert error.errno == 19
