"""Rules for the whole test run."""

from __future__ import annotations

import os

import programs
import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that needs programs from outside is skipped without them, before its fixtures."""
    for mark in item.iter_markers("external"):
        for name in mark.args:
            problem = programs.why_lacking(name)
            if problem:
                pytest.skip(problem)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """With IMGBATCH_NO_SKIPS=1 a skipped test is a failed one."""
    if report.skipped and os.environ.get("IMGBATCH_NO_SKIPS") == "1":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped, and this run allows no skips: {reason}"
