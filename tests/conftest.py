"""Rules for the whole test run."""

from __future__ import annotations

import functools
import gc
import os
import signal
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

import hypothesis
import pytest
from toolkit import programs

from imgbatch.running.worker import keep_freed_memory

_NO_SKIPS: Final = "IMGBATCH_NO_SKIPS"

# The same examples in every run, with no deadline; nothing is stored between runs.
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("steady")

# Tests started in the background inherit an ignored SIGINT, and so would the commands they run.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Nobody's own defaults steer the tests.
os.environ["XDG_CONFIG_HOME"] = os.devnull
for variable in {name for name in os.environ if name.startswith("IMGBATCH_")} - {_NO_SKIPS}:
    del os.environ[variable]

TORTURE: Final = str(Path(__file__).parent / "torture") + os.sep

# Returning memory to the system and faulting it in again costs pixel tests a tenth of their time.
keep_freed_memory()

# The thousands of collected tests stay alive; the garbage collector need not scan them again.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run in UTC, without daylight saving time, wherever the tests run."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC0")
        _set_zone()
        yield
    _set_zone()


def _set_zone() -> None:
    if hasattr(time, "tzset"):
        time.tzset()


# Runs before tests are selected by marker.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        # Parents of paths take longer than everything else here.
        if str(item.path).startswith(TORTURE):
            item.add_marker("torture")
            item.add_marker("slow")
    # These mostly wait: at the end, where they come by name, they would leave processors idle.
    items.sort(key=lambda item: not str(item.path).startswith(TORTURE))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test before its fixtures are set up if what its markers require is missing."""
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


def _is_left_out(item: pytest.Item) -> bool:
    """Whether a test needs a program that need not be there."""
    marks = item.iter_markers("external")
    return any(programs.may_be_lacking(name) for mark in marks for name in mark.args)


# Change the report where it is made: the session counts failures before it shows them.
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With IMGBATCH_NO_SKIPS=1, turn a skipped test into a failure."""
    report = yield
    if report.skipped and os.environ.get(_NO_SKIPS) == "1" and not _is_left_out(item):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped, and this run allows no skips: {reason}"
    return report
