"""What executors are given to do, under names that cost nothing to import.

A process that only hands out jobs need not load what carries them out: codecs and all the rest
come with `worker`, when one of these is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from typing import Any

from imgbatch.executors import Task
from imgbatch.model import Job, Result, Run
from imgbatch.recipes.recipe import Recipe

Deliver = Callable[[tuple[bytes, ...]], object]
"""Takes the finished files of a job."""

DISK_TROUBLES = frozenset({"disk-full", "file-too-large", "disk-broken"})
"""Kinds of failures that the next file will hit, too."""


def making(recipe: Recipe, run: Run, *, deliver: Deliver | None = None) -> Task[Job, Result]:
    """A task that makes the outputs of a job.

    In this process it can `deliver` the finished files to the caller, who then publishes them.
    """
    return Task(
        function=partial(_process, recipe=recipe, run=run, deliver=deliver),
        lost=partial(_lost, run=run),
        failed=_failed,
        set_up=set_up,
        timeout=run.limits.timeout,
    )


def finished(jobs: Iterable[Job], run: Run) -> Iterator[Result]:
    """The results of the jobs that had published everything when they were cut off."""
    results: Iterator[Result] = _recovery().finished(jobs, run)
    return results


def set_up() -> None:
    """Set up a process that does nothing but this work."""
    _worker().tune_process()


@cache
def _worker() -> Any:
    # Looked up for each job: an `import` statement takes longer to find what is loaded.
    from imgbatch.running import worker

    return worker


def _recovery() -> Any:
    from imgbatch.running import recovery

    return recovery


def _process(
    job: Job, share: float, recipe: Recipe, run: Run, deliver: Deliver | None
) -> Result | None:
    result: Result | None = _worker().process(job, share, recipe, run, deliver)
    return result


def _lost(job: Job, kind: str, message: str, run: Run) -> Result:
    result: Result = _recovery().lost(job, kind, message, run)
    return result


def _failed(result: Result) -> bool:
    return result.status == "failed"
