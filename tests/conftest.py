# SPDX-License-Identifier: MIT
"""What every tier shares: nothing is skipped quietly, nothing fails for a slow machine.

In CI (`WGTOOLS_NO_SKIP` set) a tier that cannot run is a failure; elsewhere the last
lines of the run say which tier it was and what it lacks.  There Hypothesis tries the
same examples every time, so that a red run is about the change; everywhere else it
tries new ones, and with `WGTOOLS_PROFILE=fuzz` very many.

A unit test that takes long fails, by the processor's time that it took itself: what others
do on the machine does not count.
"""

import os
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# What runs on any system; all other tiers are about namespaces, netlink and programs of Linux.
_ANYWHERE = ("fuzz", "native", "unit")
_OF_LINUX = sorted(
    path.name
    for path in Path(__file__).parent.iterdir()
    if path.name not in _ANYWHERE and any(path.glob("**/test_*.py"))
)
_IS_LINUX = sys.platform.startswith("linux")
collect_ignore = [] if _IS_LINUX else list(_OF_LINUX)

# How long an example takes depends on who else is at work on the machine.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("here"), derandomize=True)
settings.register_profile("fuzz", settings.get_profile("here"), max_examples=20_000)
settings.load_profile(
    os.environ.get("WGTOOLS_PROFILE", "ci" if os.environ.get("WGTOOLS_NO_SKIP") else "here")
)


# A sixteenth of it is what docs/style.md, rule 12, asks for.  Emulated machines (native) are no
# measure, nor is a run that coverage watches, or one that was asked for more examples.
_UNIT = Path(__file__).parent / "unit"
_UNIT_SECONDS = 4.0
_IS_MEASURED = _IS_LINUX and os.environ.get("WGTOOLS_PROFILE") != "fuzz"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    start = time.process_time()
    result = yield
    spent = time.process_time() - start
    if spent > _UNIT_SECONDS and _IS_MEASURED and not sys.gettrace() and _UNIT in item.path.parents:
        pytest.fail(f"a unit test of {spent:.1f} s: make it smaller, or part of tests/fuzz")
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if os.environ.get("WGTOOLS_NO_SKIP") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons: dict[str, set[str]] = {}
    for report in terminalreporter.stats.get("skipped", []):
        tier = report.nodeid.split("::")[0].removeprefix("tests/").split("/")[0]
        longrepr = report.longrepr
        why = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
        reasons.setdefault(tier, set()).add(why.removeprefix("Skipped: "))
    if not _IS_LINUX:
        terminalreporter.write_line(f"not run: {', '.join(_OF_LINUX)}: they are of Linux")
    for tier in sorted(reasons):
        for why in sorted(reasons[tier]):
            terminalreporter.write_line(f"not run: {tier}: {why}")
