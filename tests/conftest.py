"""Rules for the whole test run."""

from __future__ import annotations

import functools
import gc
import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Final

import hypothesis
import pytest
from toolkit import programs

from imgbatch.running.worker import keep_freed_memory

# The same examples in every run, however long one takes; nothing is remembered.
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("steady")

# Whoever starts the tests in the background ignores this signal, and so would commands under test.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

TORTURE: Final = Path(__file__).parent / "torture"

# To take memory from the system again, page by page, costs tests of pixels a tenth of their time.
keep_freed_memory()

# Thousands of tests are collected, and stay: the collector need not look through them again.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


# Before tests are chosen by their marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if TORTURE in item.path.parents:
            item.add_marker("torture")
            item.add_marker("slow")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test is skipped without what its marks say that it needs, before its fixtures."""
    for mark in item.iter_markers("external"):
        for name in mark.args:
            problem = programs.why_lacking(name)
            if problem:
                pytest.skip(problem)
    if item.get_closest_marker("terminal"):
        problem = _why_no_terminal()
        if problem:
            pytest.skip(problem)


@functools.cache
def _why_no_terminal() -> str | None:
    try:
        ends = os.openpty()
    except OSError as error:
        return f"there are no pseudo-terminals here: {error}"
    for end in ends:
        os.close(end)
    return None


# The report is changed where it is made: the session counts failures before it shows them.
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With IMGBATCH_NO_SKIPS=1 a skipped test is a failed one."""
    report = yield
    if report.skipped and os.environ.get("IMGBATCH_NO_SKIPS") == "1":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped, and this run allows no skips: {reason}"
    return report
