"""Jobs in several processes: a supervised `multiprocessing.Pool`.

A bare Pool waits for ever when a worker is killed, and terminating it can hang as well. Here the
parent knows from shared arrays which job each worker holds, polls instead of waiting, and
rebuilds the whole pool when a worker is gone: jobs that were not begun are done by the next pool,
the one that the dead worker held is tried once more, alone and last, and a second death makes it
a failed result with the cause of death. Jobs that need a larger share of the machine are done
afterwards by half as many workers, then by half of those, down to one. docs/architecture.md
explains why each piece is there.
"""

from __future__ import annotations

import multiprocessing
import pickle
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.pool import Pool
from typing import Any, Final, Generic

from msgspec import Struct, field

from imgbatch.errors import WorkersError
from imgbatch.executors import Control, JobT, ResultT, Task
from imgbatch.executors.crew import Crew, main_can_be_imported, start_methods
from imgbatch.executors.pool_worker import (
    FAILED,
    FINISHED,
    POSTPONED,
    STARTED,
    WAITING,
    Board,
    Portion,
    set_up,
    work,
)
from imgbatch.executors.serial import carry_out
from imgbatch.executors.serial import run as run_here

POLL_SECONDS: Final = 0.1
_SUSPENDED_SECONDS: Final = 1.0
_STALL_SECONDS: Final = 3.0
_DRAIN_SECONDS: Final = 0.5
_START_SECONDS: Final = 20.0
_MAX_FALSE_STARTS: Final = 3

_ALONE: Final = (
    "no worker process can be started ({}): the files are processed one by one in this one, "
    "which a crashing codec would end"
)


class _NoWorkersError(Exception):
    """Not a single worker process can be started, and why."""


_ADVICE: Final = (
    ". The recipe uses something of the main module, which workers therefore import: put the call "
    "of imgbatch under `if __name__ == '__main__':`, or move that into a module of its own"
)


def run(
    task: Task[JobT, ResultT],
    jobs: Sequence[JobT],
    portions: Iterable[Sequence[int]],
    workers: int,
    control: Control,
) -> Iterator[ResultT]:
    """Yield the results of all jobs from `workers` processes, in the order they come.

    If the system does not allow that many, there are fewer; if it allows none, the jobs are done in
    this process, after a notice, as they are in a daemonic process, which may not have children.
    Raises WorkersError in the end if workers start but cannot work. When this ends, in whatever
    way, no worker is alive.
    """
    if multiprocessing.current_process().daemon:
        return run_here(task, jobs, portions, workers, control)
    try:
        board = Board.create(max(1, len(jobs)))
        supervisor = _Supervisor(task, jobs, portions, workers, control, board)
    except (OSError, _NoWorkersError) as error:
        control.notice(_ALONE.format(_message_of(error)))
        return run_here(task, jobs, portions, workers, control)
    return supervisor.results()


def _message_of(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


class _Feed(Generic[JobT]):
    """Portions handed to Pool one by one: otherwise it would take them all at once."""

    def __init__(
        self, jobs: Sequence[JobT], portions: Sequence[Sequence[int]], window: int
    ) -> None:
        self._jobs = jobs
        self._waiting = deque(portions)
        self._inside: dict[int, Sequence[int]] = {}
        self._places = threading.Semaphore(window)
        self._closed = False

    def __iter__(self) -> Iterator[Portion[JobT]]:
        """Runs in one of Pool's threads."""
        while True:
            self._places.acquire()
            if self._closed or not self._waiting:
                return
            serials = self._waiting.popleft()
            self._inside[serials[0]] = serials
            yield Portion(serials, tuple(self._jobs[serial] for serial in serials))

    @property
    def inside(self) -> list[Sequence[int]]:
        """Those that were handed out and have not come back yet."""
        return list(self._inside.values())

    def arrived(self, first: int, finished: int) -> Sequence[int]:
        """A portion came back with that many results: there is room for another."""
        serials = self._inside.pop(first)
        if finished < len(serials):
            self._waiting.append(serials[finished:])
        self._places.release()
        return serials[:finished]

    def close(self) -> None:
        """Hand out no more."""
        self._closed = True
        self._places.release()

    def unfinished(self) -> list[Sequence[int]]:
        """What never came back, and what was never handed out."""
        return [*self._inside.values(), *self._waiting]


class _Signs(Struct):
    """Signs of life from one pool: when the last one came, and what is expected.

    Silence means something else once a job has `begun`, and again when nothing is left but the
    jobs in hand (`draining`) of a pool that is `bereft` of a worker: its results may never come.
    """

    last: float = field(default_factory=time.monotonic)
    last_look: float = field(default_factory=time.monotonic)
    begun: bool = False
    draining: bool = False
    bereft: bool = False

    @property
    def patience(self) -> float:
        """How many seconds a pool at work may be silent."""
        if self.draining and self.bereft:
            return _DRAIN_SECONDS
        return _STALL_SECONDS if self.begun else _START_SECONDS


class _Supervisor(Generic[JobT, ResultT]):
    """One run: pool after pool, until every job has its one result."""

    def __init__(
        self,
        task: Task[JobT, ResultT],
        jobs: Sequence[JobT],
        portions: Iterable[Sequence[int]],
        workers: int,
        control: Control,
        board: Board,
    ) -> None:
        self._task = task
        self._pickled_task = pickle.dumps(task)
        self._needs_main = b"__main__" in self._pickled_task
        if self._needs_main and not main_can_be_imported():
            raise _NoWorkersError("the recipe uses something of a main module that has no file")
        self._workers = workers
        self._control = control
        self._methods = start_methods()
        self._jobs = jobs
        self._board = board
        self._announced = bytearray(len(jobs))
        self._answered = bytearray(len(jobs))
        self._begun = bytearray(len(jobs))
        self._todo = list(portions)
        self._postponed: list[int] = []
        self._suspects: deque[int] = deque()
        self._suspected: set[int] = set()
        self._given_up: set[int] = set()
        self._false_starts = 0

    def results(self) -> Iterator[ResultT]:
        """Yield one result for each job, unless told to stop."""
        try:
            yield from self._generations()
        except WorkersError as error:
            for serial, answered in enumerate(self._answered):
                if not answered:
                    self._finished(serial, failed=True)
                    self._answered[serial] = 1
                    yield self._task.lost(self._jobs[serial], "no-workers", str(error))
            raise
        finally:
            self._control.unanswered = [
                serial
                for serial, answered in enumerate(self._answered)
                if not answered and (self._begun[serial] or self._board.states[serial])
            ]

    def _generations(self) -> Iterator[ResultT]:
        while not self._control.stopping:
            if self._todo:
                portions, self._todo = self._todo, []
                yield from self._generation(portions, self._workers, 1 / self._workers)
            elif self._postponed:
                # Jobs that find their share too small get a larger one, with fewer workers.
                self._workers = max(1, self._workers // 2)
                self._todo = [(serial,) for serial in self._postponed]
                self._postponed = []
            elif self._suspects:
                # Alone in a pool of one: if it dies again, it was this job that did it.
                yield from self._generation([(self._suspects.popleft(),)], 1, 1)
            else:
                return

    def _generation(
        self, portions: Sequence[Sequence[int]], workers: int, share: float
    ) -> Iterator[ResultT]:
        """Run one pool until it has done everything, or has to be given up."""
        for serial in (serial for portion in portions for serial in portion):
            self._begun[serial] |= self._board.states[serial] != WAITING
            self._board.states[serial] = WAITING
        self._board.closed.value = 0
        feed = _Feed(self._jobs, portions, 2 * workers)
        setting = (self._pickled_task, self._board, share)
        try:
            pool, crew = self._hire(min(workers, len(portions)), setting)
        except _NoWorkersError as error:
            self._control.notice(_ALONE.format(error))
            yield from self._alone()
            return
        try:
            yield from self._poll(pool.imap_unordered(work, feed), feed, crew)
        finally:
            self._stop_feeding(feed)
            crew.dismiss(at_once=self._control.aborting)
        unfinished = feed.unfinished()
        if unfinished and self._control.aborting:
            # The pool was given up at the very moment.
            raise KeyboardInterrupt
        yield from self._settle(unfinished, crew)

    def _hire(self, workers: int, setting: tuple[object, ...]) -> tuple[Pool, Crew]:
        """A pool of that many workers, or fewer. Raises _NoWorkersError if there cannot be one."""
        needs_main = self._needs_main
        while True:
            for method in list(self._methods):
                crew = Crew(method)
                try:
                    return crew.start(workers, set_up, setting, needs_main=needs_main), crew
                except Exception as error:
                    # Also RuntimeError: no thread can be started.
                    trouble = _message_of(error)
                if len(self._methods) > 1:
                    # Another way of starting them may work, and is tried first from now on.
                    self._methods.remove(method)
            if workers == 1:
                raise _NoWorkersError(trouble)
            workers //= 2
            self._workers = min(self._workers, workers)

    def _alone(self) -> Iterator[ResultT]:
        """Do what is left in this process, except jobs that took a worker down."""
        for serial, answered in enumerate(self._answered):
            if answered or self._control.stopping:
                continue
            job = self._jobs[serial]
            if serial in self._suspected:
                result = self._task.lost(job, "died", "its worker process is gone")
            else:
                self._begun[serial] = 1
                result = carry_out(self._task, job, self._control)
            self._finished(serial, failed=self._task.failed(result))
            self._answered[serial] = 1
            yield result
        self._todo, self._postponed = [], []
        self._suspects.clear()

    def _poll(self, arriving: Any, feed: _Feed[JobT], crew: Crew) -> Iterator[ResultT]:
        """Yield results as they arrive; return when all have, or when no more will."""
        signs = _Signs()
        while True:
            if self._control.aborting:
                raise KeyboardInterrupt
            asked = time.monotonic()
            try:
                first, pickled = arriving.next(timeout=POLL_SECONDS)
            except StopIteration:
                return
            except multiprocessing.TimeoutError:
                pass
            else:
                signs.begun = True
                yield from self._arrived(first, pickled, feed)
                # The consumer of the results may be slow.
                asked = signs.last = time.monotonic()
            if time.monotonic() - asked > POLL_SECONDS + _SUSPENDED_SECONDS:
                signs.last = self._forgive(feed, time.monotonic() - asked)
            if time.monotonic() - signs.last_look < POLL_SECONDS:
                continue
            signs.last_look = time.monotonic()
            if self._is_over(signs, feed, crew):
                return

    def _arrived(self, first: int, pickled: bytes, feed: _Feed[JobT]) -> Iterator[ResultT]:
        """Yield the results of the portion that begins with the job `first`."""
        self._announce(feed)
        results: list[bytes] = pickle.loads(pickled)
        if self._board.trouble.value:
            self._note_false_start()
        serials = feed.arrived(first, len(results))
        self._false_starts = 0
        for serial, result in zip(serials, results, strict=True):
            if result:
                self._answered[serial] = 1
                yield pickle.loads(result)
            else:
                self._postponed.append(serial)
        if self._control.stopping:
            # At once: a tenth of a second may see many small files.
            self._stop_feeding(feed)

    def _is_over(self, signs: _Signs, feed: _Feed[JobT], crew: Crew) -> bool:
        """Look after the workers; return whether to expect nothing more from this pool."""
        alive = crew.alive()
        held = self._announce(feed)
        working = [serial for serial in held if self._board.owners[serial] in alive]
        signs.begun = signs.begun or bool(held)
        # No worker leaves of its own accord.
        lost = len(working) < len(held) or len(alive) < crew.size
        self._control.workers_died |= lost
        if lost and not signs.begun:
            self._note_false_start()
            return True
        if (lost or self._control.stopping) and not signs.draining:
            # Those that are alive finish the file in hand, and then stop.
            signs.draining = True
            self._stop_feeding(feed)
        self._give_up_overdue(working, crew)
        if working:
            # What they have done by the next look is still on its way then.
            signs.last = signs.last_look
        signs.bereft = signs.bereft or lost
        if working or time.monotonic() - signs.last <= signs.patience:
            return False
        if not signs.begun:
            self._note_false_start()
        return True

    def _forgive(self, feed: _Feed[JobT], seconds: float) -> float:
        """Discount time in which everybody was suspended (Ctrl-Z, or the machine)."""
        for portion in feed.inside:
            for serial in portion:
                if self._board.states[serial] == STARTED:
                    self._board.begun[serial] += seconds
        return time.monotonic()

    def _stop_feeding(self, feed: _Feed[JobT]) -> None:
        feed.close()
        self._board.closed.value = 1

    def _announce(self, feed: _Feed[JobT]) -> list[int]:
        """Report every job finished since the last time; return those being worked on."""
        held = []
        for portion in feed.inside:
            for serial in portion:
                state = self._board.states[serial]
                if state in FINISHED:
                    self._finished(serial, failed=state == FAILED)
                if state in FINISHED or state == POSTPONED:
                    continue
                if state == STARTED:
                    held.append(serial)
                break
        return held

    def _finished(self, serial: int, *, failed: bool) -> None:
        if not self._announced[serial]:
            self._announced[serial] = 1
            self._control.finished(self._jobs[serial], failed)

    def _give_up_overdue(self, working: Sequence[int], crew: Crew) -> None:
        now = time.monotonic()
        for serial in working:
            if self._task.timeout and now - self._board.begun[serial] > self._task.timeout:
                self._given_up.add(serial)
                crew.kill(self._board.owners[serial])

    def _note_false_start(self, why: str = "they take no work") -> None:
        """Raise WorkersError if workers keep dying before they take a job."""
        trouble = self._board.trouble.value.decode("utf-8", "replace")
        self._false_starts += 1
        if trouble or self._false_starts >= _MAX_FALSE_STARTS:
            advice = _ADVICE if self._needs_main else ""
            raise WorkersError(f"the worker processes cannot start: {trouble or why}{advice}")

    def _settle(self, unfinished: Sequence[Sequence[int]], crew: Crew) -> Iterator[ResultT]:
        """Decide about every job that a pool left without a result."""
        for portion in unfinished:
            fresh: list[int] = []
            for serial in portion:
                if self._board.states[serial] != STARTED or self._control.stopping:
                    fresh.append(serial)
                elif serial in self._given_up or serial in self._suspected:
                    self._finished(serial, failed=True)
                    self._answered[serial] = 1
                    yield self._lost(serial, crew)
                else:
                    self._suspected.add(serial)
                    self._suspects.append(serial)
            if fresh:
                self._todo.append(fresh)

    def _lost(self, serial: int, crew: Crew) -> ResultT:
        job = self._jobs[serial]
        if serial in self._given_up:
            return self._task.gave_up(job)
        return self._task.lost(job, *crew.cause(self._board.owners[serial]))
