"""How jobs are carried out: in this process, or in a pool of others. They know no images.

An executor is a function: it is given what to do with a job, the jobs and how to portion them, and
what to report for a job that was lost with its process, and yields one result for each job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from imgbatch.errors import MORE_MEMORY, is_short_of_memory

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")


class Task(Struct, Generic[JobT, ResultT], frozen=True):
    """What an executor is given.

    `function` makes a result of a job and never raises; it and the jobs are pickled. Its second
    argument is the share of the machine that the job may take, 0 to 1; if that is too little, it
    does nothing and returns None, and is called again with a larger one. It may also be called a
    second time for a job whose first attempt died with its process, however far that had got.
    `lost` makes the result of a job whose process died, from the kind and cause of that in words.
    `failed` tells whether a result is a failure. `set_up` is run once in each process that does
    nothing else. A job that takes longer than `timeout` seconds is given up.
    """

    function: Callable[[JobT, float], ResultT | None]
    lost: Callable[[JobT, str, str], ResultT]
    failed: Callable[[ResultT], bool]
    set_up: Callable[[], None]
    timeout: float | None = None

    def gave_up(self, job: JobT) -> ResultT:
        """The result of a job that took too long."""
        return self.lost(job, "timeout", f"gave up after {self.timeout:g} s")


def raised(error: BaseException) -> tuple[str, str]:
    """The kind and the cause when a job ends with an exception."""
    if is_short_of_memory(error):
        return "memory", f"not enough memory: {MORE_MEMORY}"
    return "raised", f"{type(error).__name__}: {error}"


class Control:
    """Controls a run from outside: tells it to stop, and reports what is finished or was lost.

    `workers_died` is set when a worker process was lost, and may have left something behind.
    `unanswered`, once the executor has ended, has the indices of jobs that were begun and have no
    result: some of them may have been finished all the same.
    """

    def __init__(
        self,
        on_finish: Callable[[object, bool], None] | None = None,
        on_notice: Callable[[str], None] | None = None,
    ) -> None:
        self.stopping = False
        self.aborting = False
        self.unanswered: list[int] = []
        self.workers_died = False
        self._on_finish = on_finish
        self._on_notice = on_notice

    def stop(self) -> None:
        """Let the files in hand finish, and start no others."""
        self.stopping = True

    def abort(self) -> None:
        """Give up the files in hand, too.

        The executor raises KeyboardInterrupt as soon as none of its processes is alive.
        """
        self.stopping = self.aborting = True

    def notice(self, text: str) -> None:
        """Report something about the run that the user should know."""
        if self._on_notice is not None:
            self._on_notice(text)

    def finished(self, job: object, failed: bool) -> None:
        """Report that a job is finished, though its result may come later."""
        if self._on_finish is not None:
            self._on_finish(job, failed)


class Executor(Protocol):
    """Carries out all jobs; yields results in the order in which they come."""

    def __call__(
        self,
        task: Task[JobT, ResultT],
        jobs: Sequence[JobT],
        portions: Iterable[Sequence[int]],
        workers: int,
        control: Control,
    ) -> Iterator[ResultT]:
        """Yield one result for each job, or fewer if `control` says stop.

        `portions` hold the indices of jobs that go to a worker together, in their order.
        """
