"""How jobs are carried out: in this process, or in a pool of others. They know no images.

An executor is a function: it gets what to do with one job, portions of jobs, and what to say of
a job that was lost with its process, and yields one result for each job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Task(Generic[JobT, ResultT]):
    """What an executor is handed.

    `function` makes a result of a job and never raises; it and the jobs are pickled. It may be
    called a second time for a job whose first attempt died with its process, however far that
    had come. `lost`
    makes the result of a job whose process died: its kind and its cause in words. `failed` tells
    whether a result is a failure. `set_up` is run once in each process that does nothing else.
    """

    function: Callable[[JobT], ResultT]
    lost: Callable[[JobT, str, str], ResultT]
    failed: Callable[[ResultT], bool]
    set_up: Callable[[], None]


class Control:
    """The strings into and out of a run: told to stop, telling what is finished or was lost.

    `workers_died` is set when a worker process was lost, and may have left something behind.
    """

    def __init__(self, on_finish: Callable[[object, bool], None] | None = None) -> None:
        self.stopping = False
        self.workers_died = False
        self._on_finish = on_finish

    def stop(self) -> None:
        """Let the files in hand finish, and begin no other."""
        self.stopping = True

    def finished(self, job: object, failed: bool) -> None:
        """One job is finished, though its result may come later."""
        if self._on_finish is not None:
            self._on_finish(job, failed)


class Executor(Protocol):
    """Carries out all chunks; yields results in the order in which they come."""

    def __call__(
        self,
        task: Task[JobT, ResultT],
        chunks: Sequence[Sequence[JobT]],
        workers: int,
        control: Control,
    ) -> Iterator[ResultT]:
        """Yield one result for each job, or fewer if `control` says stop."""
