# SPDX-License-Identifier: MIT
"""A directory of sockets that this user may not look into: which, and what to do."""

import os
from errno import EACCES
from pathlib import Path

import pytest

from wgtools.errors import AccessError
from wgtools_backends.uapi import Backend


def test_a_closed_directory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> list[bytes]:
        raise PermissionError(EACCES, os.strerror(EACCES), path)

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(AccessError) as caught:
        Backend(directory=os.fsencode(tmp_path)).list()
    error = caught.value
    assert (error.message, error.errno) == ("Permission denied", EACCES)  # all that C `wg` says
    assert error.hint == f"{tmp_path} is closed to this user: run this as root"
