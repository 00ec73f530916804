# SPDX-License-Identifier: MIT
"""What is in `inside` only runs in the machine that test_machine.py starts."""

import os
import platform
import subprocess
from pathlib import Path

import pytest

INSIDE = bool(os.environ.get("WGTOOLS_KERNEL_DEVICES"))
collect_ignore = [] if INSIDE else ["inside"]


def pytest_report_header() -> str | None:
    if not INSIDE:
        return None
    subprocess.run(["modprobe", "wireguard"], check=False, capture_output=True)  # or built in
    version = Path("/sys/module/wireguard/version").read_text().strip()
    return f"kernel: {platform.version()} ({platform.release()}), WireGuard {version}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for a session to grow old begins first and ends last."""
    items.sort(key=lambda item: _BEGINS_AND_ENDS.get(item.name, 0))


_BEGINS_AND_ENDS = {
    "test_a_session_of_the_kernels_begins": -1,
    "test_the_kernel_renews_its_session_in_real_time_and_nothing_is_lost": 1,
}
