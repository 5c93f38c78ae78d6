"""What executors are given to do, by names that cost nothing.

A process that only hands jobs out need not load what carries them out: codecs and all the rest
come with `worker`, where one of these is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from imgbatch.executors import Task
from imgbatch.model import Job, Result, Run
from imgbatch.recipe import Recipe

DISK_TROUBLES = frozenset({"disk-full", "file-too-large", "disk-broken"})
"""Kinds of failures that the next file will meet, too."""


def making(recipe: Recipe, run: Run) -> Task[Job, Result]:
    """Make the outputs of a job."""
    return Task(
        function=partial(_process, recipe=recipe, run=run),
        lost=partial(_lost, run=run),
        failed=_failed,
        set_up=set_up,
        timeout=run.limits.timeout,
    )


def finished(jobs: Iterable[Job], run: Run) -> Iterator[Result]:
    """The results of those of the jobs that had published everything when they were cut off."""
    from imgbatch import worker

    return worker.finished(jobs, run)


def set_up() -> None:
    """Set a process that does nothing but this up for it."""
    from imgbatch import worker

    worker.tune_process()


def _process(job: Job, share: float, recipe: Recipe, run: Run) -> Result | None:
    from imgbatch import worker

    return worker.process(job, share, recipe, run)


def _lost(job: Job, kind: str, message: str, run: Run) -> Result:
    from imgbatch import worker

    return worker.lost(job, kind, message, run)


def _failed(result: Result) -> bool:
    return result.status == "failed"
