"""One job after the other, in this process."""

from __future__ import annotations

import ctypes
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence

from imgbatch.executors import Control, JobT, ResultT, Task, raised

REFUSED = "refused"
"""The kind of a job that did nothing because it needs more than there is here."""


def run(
    task: Task[JobT, ResultT],
    jobs: Sequence[JobT],
    portions: Iterable[Sequence[int]],
    workers: int,
    control: Control,
) -> Iterator[ResultT]:
    """Yield the result of each job, in order. `workers` is 1, whatever it says."""
    for portion in portions:
        for index in portion:
            if control.stopping:
                return
            job = jobs[index]
            result = _watched(task, job) if task.timeout else _outcome(task, job)
            control.finished(job, task.failed(result))
            yield result


def _outcome(task: Task[JobT, ResultT], job: JobT) -> ResultT:
    result = task.function(job, 1.0)
    if result is None:
        return task.lost(job, REFUSED, "it needs more than there is")
    return result


def _watched(task: Task[JobT, ResultT], job: JobT) -> ResultT:
    """The same in a thread, so that this one need not wait for ever."""
    answer: queue.SimpleQueue[ResultT | BaseException] = queue.SimpleQueue()

    def work() -> None:
        try:
            answer.put(_outcome(task, job))
        except BaseException as error:
            answer.put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        result = answer.get(timeout=task.timeout)
    except queue.Empty:
        _abandon(thread)
        return task.gave_up(job)
    except BaseException:
        # Somebody wants to stop at once.
        _abandon(thread)
        raise
    if isinstance(result, BaseException):
        return task.lost(job, *raised(result))
    return result


def _abandon(thread: threading.Thread) -> None:
    """Let it end as soon as it is back from C: nothing may be published any more."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit)
    )
