# SPDX-License-Identifier: MIT
"""No thread of a running engine keeps what the others gave up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.hosts import OURS, Hosts, wait_for
from tests.interop.test_confinement import engine_pid, is_ready

pytest.importorskip("numpy")  # whose OpenBLAS makes threads when it is loaded


def test_no_thread_that_the_environment_asked_for_keeps_privileges(
    host: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = host("one")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "4")
    one.daemon(OURS)
    wait_for("the end of start-up", lambda: is_ready(one))
    pid = engine_pid(one)
    assert [task.name for task in Path(f"/proc/{pid}/task").iterdir()] == [str(pid)]
