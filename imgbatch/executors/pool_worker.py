"""The workers' half of the pool: what is shared with them, and what they do."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from ctypes import c_byte, c_char, c_double, c_int
from multiprocessing import connection
from typing import Any, Final, Generic, TextIO, cast

from msgspec import Struct

from imgbatch.executors import JobT, Task, raised

if sys.platform != "win32":
    import fcntl

_LAST_LINE_SECONDS: Final = 5.0
_REARM_SECONDS: Final = 1.0
_TROUBLE_BYTES: Final = 2000

# States of a job, written by its worker and read by the parent. One writer, one byte: no lock
# is needed, so none can be left behind by a worker that dies.
WAITING: Final = 0
STARTED: Final = 1
DONE: Final = 2
FAILED: Final = 3
POSTPONED: Final = 4
FINISHED: Final = frozenset({DONE, FAILED})


class Board(Struct, frozen=True):
    """Shared arrays: for each job, by serial number, its state, its worker and when it began."""

    states: Any
    owners: Any
    begun: Any
    closed: Any
    trouble: Any

    @classmethod
    def create(cls, jobs: int) -> Board:
        """Raises OSError if memory cannot be shared."""
        context = multiprocessing.get_context("spawn")
        return cls(
            states=context.RawArray(c_byte, jobs),
            owners=context.RawArray(c_int, jobs),
            begun=context.RawArray(c_double, jobs),
            closed=context.RawValue(c_byte, 0),
            trouble=context.RawArray(c_char, _TROUBLE_BYTES),
        )


class Portion(Struct, Generic[JobT], frozen=True):
    """Jobs that go to a worker together, each with its serial number."""

    serials: Sequence[int]
    jobs: tuple[JobT, ...]


class _Context(Struct):
    """What a worker process knows: what to do, where to note it, and how much it may take."""

    task: Task[Any, Any]
    board: Board
    share: float
    armed: float = 0.0

    def arm(self) -> None:
        """End this process if a job takes far too long, even inside C.

        Normally the parent does that first; this is for when there is no parent any more. It starts
        a thread, so it is not repeated for each of many small jobs.
        """
        now = time.monotonic()
        if self.task.timeout and now - self.armed > _REARM_SECONDS:
            self.armed = now
            seconds = self.task.timeout + _REARM_SECONDS + _LAST_LINE_SECONDS
            # If the system has no thread to spare, we do without.
            with suppress(RuntimeError):
                faulthandler.dump_traceback_later(seconds, exit=True, file=_null_stream())

    def disarm(self) -> None:
        """Nothing is in progress."""
        if self.armed:
            self.armed = 0.0
            faulthandler.cancel_dump_traceback_later()


_context: _Context | None = None
_silence: TextIO | None = None


def _null_stream() -> TextIO:
    global _silence
    if _silence is None:
        _silence = open(os.devnull, "w")
    return _silence


def set_up(pickled_task: bytes, board: Board, share: float) -> None:
    """Initialise a worker. Pool starts workers for ever if this raises, so it never does."""
    global _context
    try:
        # The server that it was forked from has its stderr closed to keep its errors to itself.
        sys.excepthook = sys.__excepthook__
        # Ctrl-C reaches the whole process group; only the parent decides what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _die_with_the_parent()
        _keep_stderr_to_python()
        task: Task[Any, Any] = pickle.loads(pickled_task)
        task.set_up()
        _context = _Context(task, board, share)
    except BaseException as error:
        text = f"{type(error).__name__}: {error}"
        board.trouble.value = text.encode("utf-8", "replace")[: _TROUBLE_BYTES - 1]


def _die_with_the_parent() -> None:
    """End this process silently as soon as its parent is gone."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel

    def wait() -> None:
        connection.wait([sentinel])
        os._exit(1)

    # If the system has no thread to spare, the kernel takes care of it.
    with suppress(RuntimeError):
        threading.Thread(target=wait, daemon=True).start()
    if sys.platform != "win32":
        # In case C code keeps that thread from running: the kernel sends SIGIO when the other end
        # of the pipe is closed, and nobody catches that.
        signal.signal(signal.SIGIO, signal.SIG_DFL)
        fcntl.fcntl(sentinel, fcntl.F_SETOWN, os.getpid())
        flags = fcntl.fcntl(sentinel, fcntl.F_GETFL)
        fcntl.fcntl(sentinel, fcntl.F_SETFL, flags | os.O_ASYNC)


def _keep_stderr_to_python() -> None:
    """Silence what C libraries print about a broken file: its row says what matters.

    What Python prints (for example when an operation warns) still goes out, as long as there is a
    parent that may want to know.
    """
    parent = multiprocessing.parent_process()
    stream = open(os.dup(2), "w", buffering=1, errors="backslashreplace")
    os.dup2(_null_stream().fileno(), 2)
    if parent is not None:
        sys.stderr = cast(TextIO, _WhileAlive(stream, parent.sentinel))


class _WhileAlive:
    """A stream that is silent once the parent is gone: nobody is listening."""

    def __init__(self, stream: TextIO, sentinel: int) -> None:
        self._stream = stream
        self._sentinel = sentinel

    def write(self, text: str) -> int:
        return len(text) if connection.wait([self._sentinel], 0) else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def work(portion: Portion[Any]) -> tuple[int, bytes]:
    """Do a portion; return its first serial number and its pickled results (b"": postponed)."""
    context = _context
    if context is None:
        return portion.serials[0], pickle.dumps([])
    task, board = context.task, context.board
    results = []
    for serial, job in zip(portion.serials, portion.jobs, strict=True):
        if board.closed.value:
            break
        context.arm()
        board.owners[serial] = os.getpid()
        board.begun[serial] = time.monotonic()
        board.states[serial] = STARTED
        try:
            result = task.function(job, context.share)
            # Pickled here, where a failure belongs to this job and not to the pool.
            pickled = b"" if result is None else pickle.dumps(result)
        except BaseException as error:
            result = task.lost(job, *raised(error))
            pickled = pickle.dumps(result)
        if not pickled:
            board.states[serial] = POSTPONED
        else:
            board.states[serial] = FAILED if task.failed(result) else DONE
        results.append(pickled)
    context.disarm()
    return portion.serials[0], pickle.dumps(results)
