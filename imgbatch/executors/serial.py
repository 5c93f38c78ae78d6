"""One job after the other, in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imgbatch.executors import Control, JobT, ResultT, Task


def run(
    task: Task[JobT, ResultT],
    chunks: Sequence[Sequence[JobT]],
    workers: int,
    control: Control,
) -> Iterator[ResultT]:
    """Yield the result of each job, in order."""
    for chunk in chunks:
        for job in chunk:
            if control.stopping:
                return
            result = task.function(job)
            control.finished(job, task.failed(result))
            yield result
