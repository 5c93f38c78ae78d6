"""One job after the other, in this process."""

from __future__ import annotations

import ctypes
import queue
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Generic

from imgbatch.executors import Control, JobT, ResultT, Task, raised

REFUSED = "refused"
"""The kind of a job that did nothing because it needs more than there is."""

_POLL_SECONDS: Final = 0.1
_UNWIND_SECONDS: Final = 3.0


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
            control.unanswered = [index]
            result = carry_out(task, job, control)
            control.unanswered = []
            control.finished(job, task.failed(result))
            yield result


def carry_out(task: Task[JobT, ResultT], job: JobT, control: Control) -> ResultT:
    """Do one job in this process, with its time limit if a thread can be started for it."""
    if not task.timeout:
        return _outcome(task, job)
    attempt = _Attempt(task, job)
    try:
        attempt.start()
    except RuntimeError:
        # The system has no thread to spare.
        return _outcome(task, job)
    return attempt.result(control)


def _outcome(task: Task[JobT, ResultT], job: JobT) -> ResultT:
    result = task.function(job, 1.0)
    if result is None:
        return task.lost(job, REFUSED, "it needs more than is available")
    return result


class _Attempt(Generic[JobT, ResultT]):
    """A job in a thread, so that this one need not wait for ever."""

    def __init__(self, task: Task[JobT, ResultT], job: JobT) -> None:
        self._task = task
        self._job = job
        self._answer: queue.SimpleQueue[ResultT | BaseException] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        # Held while checking whether the thread is over: its id may be used again.
        self._deciding = threading.Lock()
        self._over = False

    def start(self) -> None:
        """Raises RuntimeError if no thread can be started."""
        self._thread.start()

    def result(self, control: Control) -> ResultT:
        """Wait for it. Raises KeyboardInterrupt if told to abort."""
        task, job = self._task, self._job
        assert task.timeout is not None
        end = time.monotonic() + task.timeout
        while True:
            left = end - time.monotonic()
            try:
                answer = self._answer.get(timeout=max(0.0, min(left, _POLL_SECONDS)))
                break
            except queue.Empty:
                if control.aborting:
                    self._abandon()
                    # Whatever it publishes, it has done so before anybody checks what is there.
                    self._thread.join(_UNWIND_SECONDS)
                    raise KeyboardInterrupt from None
                if left <= 0:
                    self._abandon()
                    self._thread.join(_UNWIND_SECONDS)
                    return task.gave_up(job)
            except BaseException:
                # Somebody wants to stop at once.
                self._abandon()
                self._thread.join(_UNWIND_SECONDS)
                raise
        if isinstance(answer, BaseException):
            return task.lost(job, *raised(answer))
        return answer

    def _work(self) -> None:
        try:
            self._answer.put(_outcome(self._task, self._job))
        except BaseException as error:
            self._answer.put(error)
        with self._deciding:
            self._over = True

    def _abandon(self) -> None:
        """Let it end as soon as it is back from C: it must not publish anything any more."""
        with self._deciding:
            if not self._over:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread.ident or 0), ctypes.py_object(SystemExit)
                )
