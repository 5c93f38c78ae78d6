"""A finished picture goes to a stream instead of a file.

It is made whole before its first byte is written. Writing is left to the caller's process, outside
of the time limit: whoever reads may be slow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from imgbatch.executors import Control, serial
from imgbatch.model import Failure, Result, Run
from imgbatch.planning.compact import Jobs
from imgbatch.recipes.recipe import Recipe
from imgbatch.running import worker_tasks

Sink = Callable[[bytes], object]
"""Writes a whole picture. Raises OSError."""


def results(jobs: Jobs, recipe: Recipe, run: Run, control: Control, sink: Sink) -> Iterator[Result]:
    """Make the jobs, one after the other, in this process, and write each into the `sink`."""
    made: list[tuple[bytes, ...]] = []
    task = worker_tasks.making(recipe, run, deliver=made.append)
    for result in serial.run(task, jobs, [range(len(jobs))], 1, control):
        if result.status == "done":
            result = _sent(result, made.pop(), sink)
        yield result


def _sent(result: Result, files: tuple[bytes, ...], sink: Sink) -> Result:
    from imgbatch.running.publish import explained

    try:
        for data in files:
            sink(data)
    except OSError as error:
        failure = Failure("write", *explained(error, "standard output"))
        return Result.failed(result.source, failure, result.seconds)
    return result
