"""Jobs in several processes: a supervised `multiprocessing.Pool`.

A bare Pool waits for ever when a worker is killed, and terminating it can hang as well. Here the
parent knows from shared arrays which job each worker holds, polls instead of waiting, and
rebuilds the whole pool when a worker is gone: jobs that were not begun are done by the next pool,
the one that the dead worker held is tried once more, alone and last, and a second death makes it
a failed result with the cause of death. docs/architecture.md tells why each piece is there.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from ctypes import c_byte, c_char, c_double, c_int
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from multiprocessing.pool import Pool
from multiprocessing.process import BaseProcess
from typing import Any, Final, Generic

from imgbatch.errors import WorkersError
from imgbatch.executors import Control, JobT, ResultT, Task

POLL_SECONDS: Final = 0.1
TIMEOUT_SECONDS: Final = 300.0
"""A job that takes longer is given up, by killing its worker."""
_STALL_SECONDS: Final = 3.0
_DRAIN_SECONDS: Final = 0.5
_START_SECONDS: Final = 60.0
_SHUTDOWN_SECONDS: Final = 3.0
_MAX_FALSE_STARTS: Final = 3
_TROUBLE_BYTES: Final = 2000
# What multiprocessing says if two threads ask for an exit code at once and it is read only once.
_UNREAD_EXIT_CODE: Final = 255

# States of a job, written by its worker and read by the parent. One writer, one byte: no lock
# is needed, so none can be left behind by a worker that dies.
_WAITING: Final = 0
_STARTED: Final = 1
_DONE: Final = 2
_FAILED: Final = 3


@dataclass(frozen=True)
class _Board:
    """Shared arrays: for each job, by serial number, its state, its worker and its begin."""

    states: Any
    owners: Any
    begun: Any
    closed: Any
    trouble: Any

    @classmethod
    def create(cls, context: BaseContext, jobs: int) -> _Board:
        return cls(
            states=context.RawArray(c_byte, jobs),
            owners=context.RawArray(c_int, jobs),
            begun=context.RawArray(c_double, jobs),
            closed=context.RawValue(c_byte, 0),
            trouble=context.RawArray(c_char, _TROUBLE_BYTES),
        )


@dataclass(frozen=True)
class _Portion(Generic[JobT]):
    """Jobs that go to a worker together, each with its serial number."""

    serials: tuple[int, ...]
    jobs: tuple[JobT, ...]


# --- in a worker process ---------------------------------------------------------------------

_task: Task[Any, Any] | None = None
_board: _Board | None = None


def _set_up(pickled_task: bytes, board: _Board) -> None:
    """Initialise a worker. Pool starts workers for ever if this raises, so it never does."""
    global _task, _board
    _board = board
    try:
        # Ctrl-C reaches the whole process group; the parent alone decides what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        task: Task[Any, Any] = pickle.loads(pickled_task)
        task.set_up()
        _task = task
    except BaseException as error:
        text = f"{type(error).__name__}: {error}"
        board.trouble.value = text.encode("utf-8", "replace")[: _TROUBLE_BYTES - 1]


def _work(portion: _Portion[Any]) -> tuple[int, bytes]:
    """Do a portion; return its first serial number and its pickled results."""
    task, board = _task, _board
    if task is None or board is None:
        return portion.serials[0], pickle.dumps([])
    results = []
    for serial, job in zip(portion.serials, portion.jobs, strict=True):
        if board.closed.value:
            break
        board.owners[serial] = os.getpid()
        board.begun[serial] = time.monotonic()
        board.states[serial] = _STARTED
        try:
            result = task.function(job)
            # Pickled here, where a failure is this job's own and not the pool's.
            pickled = pickle.dumps(result)
        except BaseException as error:
            result = task.lost(job, "raised", f"{type(error).__name__}: {error}")
            pickled = pickle.dumps(result)
        board.states[serial] = _FAILED if task.failed(result) else _DONE
        results.append(pickled)
    return portion.serials[0], pickle.dumps(results)


# --- in the parent ---------------------------------------------------------------------------


def warm_up(preload: str) -> None:
    """Start the server that workers are forked from, importing the module `preload` in it.

    It gets ready while this process still scans and plans.
    """
    if _start_method() == "forkserver":
        multiprocessing.get_context("forkserver").set_forkserver_preload([preload])
        forkserver.ensure_running()


def run(
    task: Task[JobT, ResultT],
    chunks: Sequence[Sequence[JobT]],
    workers: int,
    control: Control,
) -> Iterator[ResultT]:
    """Yield the results of all jobs from `workers` processes, in the order they come.

    Raises WorkersError if the processes cannot even be started.
    """
    return _Supervisor(task, chunks, workers, control).results()


def _start_method() -> str:
    # Never fork: this process has threads (the pool's own, the bar's).
    return "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


class _Feed(Generic[JobT]):
    """Portions handed to Pool one by one: left alone, it would take them all at once."""

    def __init__(self, portions: Sequence[_Portion[JobT]], window: int) -> None:
        self._waiting = deque(portions)
        self._inside: dict[int, _Portion[JobT]] = {}
        self._places = threading.Semaphore(window)
        self._closed = False

    def __iter__(self) -> Iterator[_Portion[JobT]]:
        """Runs in a thread of Pool's."""
        while True:
            self._places.acquire()
            if self._closed or not self._waiting:
                return
            portion = self._waiting.popleft()
            self._inside[portion.serials[0]] = portion
            yield portion

    @property
    def inside(self) -> list[_Portion[JobT]]:
        """Those that were handed out and did not come back yet."""
        return list(self._inside.values())

    def arrived(self, first: int, finished: int) -> None:
        """A portion came back with so many results: there is a place for another."""
        portion = self._inside.pop(first)
        if finished < len(portion.serials):
            self._waiting.append(_Portion(portion.serials[finished:], portion.jobs[finished:]))
        self._places.release()

    def close(self) -> None:
        """Hand out no more."""
        self._closed = True
        self._places.release()

    def unfinished(self) -> list[_Portion[JobT]]:
        """What never came back, and what was never handed out."""
        return [*self._inside.values(), *self._waiting]


@dataclass
class _Watch:
    """The worker processes of one pool, remembered so that their exit codes can be read."""

    strangers: frozenset[int | None]
    known: dict[int, BaseProcess] = field(default_factory=dict)
    alive: frozenset[int] = frozenset()

    @classmethod
    def begin(cls) -> _Watch:
        children = multiprocessing.active_children()
        return cls(frozenset(child.pid for child in children))

    def look(self) -> None:
        """Note who lives now."""
        living = set()
        for child in multiprocessing.active_children():
            if child.pid is not None and child.pid not in self.strangers:
                self.known[child.pid] = child
                living.add(child.pid)
        self.alive = frozenset(living)

    def has_losses(self) -> bool:
        """Whether a worker ended with anything but success."""
        return any(child.exitcode for pid, child in self.known.items() if pid not in self.alive)

    def cause(self, pid: int) -> tuple[str, str]:
        """Why a worker is gone: a kind, and words for a person."""
        child = self.known.get(pid)
        code = child.exitcode if child is not None else None
        if code is not None and code < 0:
            hint = " (out of memory?)" if -code == signal.SIGKILL else ""
            return "killed", f"its worker was killed by signal {-code}{hint}"
        if code is None or code == _UNREAD_EXIT_CODE:
            return "died", "its worker process is gone, and nobody knows why"
        return "exited", f"its worker process ended with exit code {code}"

    def kill(self) -> None:
        """End all that still live."""
        self.look()
        for pid in self.alive:
            self.known[pid].kill()
        for pid in self.alive:
            self.known[pid].join(_SHUTDOWN_SECONDS)


class _Supervisor(Generic[JobT, ResultT]):
    """One run: pool after pool, until every job has its one result."""

    def __init__(
        self,
        task: Task[JobT, ResultT],
        chunks: Sequence[Sequence[JobT]],
        workers: int,
        control: Control,
    ) -> None:
        self._task = task
        self._pickled_task = pickle.dumps(task)
        self._workers = workers
        self._control = control
        self._context = multiprocessing.get_context(_start_method())
        self._jobs: list[JobT] = [job for chunk in chunks for job in chunk]
        self._board = _Board.create(self._context, max(1, len(self._jobs)))
        self._announced = bytearray(len(self._jobs))
        self._todo = list(_numbered(chunks))
        self._suspects: deque[int] = deque()
        self._suspected: set[int] = set()
        self._given_up: set[int] = set()
        self._false_starts = 0

    def results(self) -> Iterator[ResultT]:
        """Yield one result for each job, unless told to stop."""
        while (self._todo or self._suspects) and not self._control.stopping:
            if self._todo:
                portions, self._todo = self._todo, []
                yield from self._generation(portions, self._workers)
            else:
                # Alone in a pool of one: if it dies again, it was this job that did it.
                serial = self._suspects.popleft()
                yield from self._generation([self._portion((serial,))], 1)

    def _generation(self, portions: Sequence[_Portion[JobT]], workers: int) -> Iterator[ResultT]:
        """Run one pool until it has done everything, or has to be given up."""
        self._board.closed.value = 0
        watch = _Watch.begin()
        feed = _Feed(portions, 2 * workers)
        pool = self._context.Pool(
            min(workers, len(portions)), _set_up, (self._pickled_task, self._board)
        )
        # At once: of a worker that dies before anybody looked, nobody could tell why.
        watch.look()
        try:
            yield from self._poll(pool.imap_unordered(_work, feed), feed, watch)
        finally:
            self._stop_feeding(feed)
            _shut_down(pool, watch)
        yield from self._settle(feed.unfinished(), watch)

    def _poll(self, arriving: Any, feed: _Feed[JobT], watch: _Watch) -> Iterator[ResultT]:
        """Yield results as they arrive; return when all have, or when no more will."""
        last_sign = last_look = time.monotonic()
        begun = draining = False
        while True:
            try:
                first, pickled = arriving.next(timeout=POLL_SECONDS)
            except StopIteration:
                return
            except multiprocessing.TimeoutError:
                pass
            else:
                last_sign = time.monotonic()
                begun = True
                self._announce(feed)
                results: list[bytes] = pickle.loads(pickled)
                if self._board.trouble.value:
                    self._note_false_start(watch)
                feed.arrived(first, len(results))
                yield from map(pickle.loads, results)
            if time.monotonic() - last_look < POLL_SECONDS:
                continue
            last_look = time.monotonic()
            watch.look()
            held = self._announce(feed)
            working = [serial for serial in held if self._board.owners[serial] in watch.alive]
            begun = begun or bool(held)
            lost = len(working) < len(held) or watch.has_losses()
            self._control.workers_died |= lost
            if lost and not begun:
                self._note_false_start(watch)
                return
            if (lost or self._control.stopping) and not draining:
                # Whoever lives finishes the file in hand, and then stops.
                draining = True
                self._stop_feeding(feed)
            self._give_up_overdue(working, watch)
            patience = _DRAIN_SECONDS if draining else _STALL_SECONDS if begun else _START_SECONDS
            if not working and time.monotonic() - last_sign > patience:
                return

    def _stop_feeding(self, feed: _Feed[JobT]) -> None:
        feed.close()
        self._board.closed.value = 1

    def _announce(self, feed: _Feed[JobT]) -> list[int]:
        """Tell of every job finished since the last time; return those being worked on."""
        held = []
        for portion in feed.inside:
            for serial in portion.serials:
                state = self._board.states[serial]
                if state in (_DONE, _FAILED):
                    self._finished(serial, failed=state == _FAILED)
                    continue
                if state == _STARTED:
                    held.append(serial)
                break
        return held

    def _finished(self, serial: int, *, failed: bool) -> None:
        if not self._announced[serial]:
            self._announced[serial] = 1
            self._control.finished(self._jobs[serial], failed)

    def _give_up_overdue(self, working: Sequence[int], watch: _Watch) -> None:
        now = time.monotonic()
        for serial in working:
            if now - self._board.begun[serial] > TIMEOUT_SECONDS:
                self._given_up.add(serial)
                watch.known[self._board.owners[serial]].kill()

    def _note_false_start(self, watch: _Watch) -> None:
        """Raise WorkersError if workers keep dying before they take a job."""
        trouble = self._board.trouble.value.decode("utf-8", "replace")
        self._false_starts += 1
        if trouble or self._false_starts >= _MAX_FALSE_STARTS:
            raise WorkersError(
                f"the worker processes cannot start: {trouble or 'they die at once'}. "
                "A script that calls imgbatch needs `if __name__ == '__main__':` around the call; "
                "with one job (--jobs 1) everything runs in this process."
            )

    def _settle(self, unfinished: Sequence[_Portion[JobT]], watch: _Watch) -> Iterator[ResultT]:
        """Decide about every job that a pool left without a result."""
        for portion in unfinished:
            fresh: list[int] = []
            for serial in portion.serials:
                if self._board.states[serial] != _STARTED or self._control.stopping:
                    fresh.append(serial)
                    continue
                if serial in self._given_up or serial in self._suspected:
                    self._finished(serial, failed=True)
                    yield self._lost(serial, watch)
                else:
                    self._suspected.add(serial)
                    self._suspects.append(serial)
            if fresh:
                self._todo.append(self._portion(tuple(fresh)))

    def _portion(self, serials: tuple[int, ...]) -> _Portion[JobT]:
        for serial in serials:
            self._board.states[serial] = _WAITING
        return _Portion(serials, tuple(self._jobs[serial] for serial in serials))

    def _lost(self, serial: int, watch: _Watch) -> ResultT:
        kind, cause = watch.cause(self._board.owners[serial])
        if serial in self._given_up:
            kind, cause = "timeout", f"gave up after {TIMEOUT_SECONDS:g} s"
        return self._task.lost(self._jobs[serial], kind, cause)


def _numbered(chunks: Sequence[Sequence[JobT]]) -> Iterator[_Portion[JobT]]:
    first = 0
    for chunk in chunks:
        yield _Portion(tuple(range(first, first + len(chunk))), tuple(chunk))
        first += len(chunk)


def _shut_down(pool: Pool, watch: _Watch) -> None:
    """End a pool within a bounded time: terminating one whose worker was killed can hang."""
    ending = threading.Thread(target=pool.terminate, daemon=True)
    ending.start()
    ending.join(_SHUTDOWN_SECONDS)
    watch.kill()
