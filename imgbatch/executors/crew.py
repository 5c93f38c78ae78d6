"""Starting the worker processes of one pool, knowing exactly these, and ending them.

A host program may have children of its own, and other pools (also ours) in other threads; so
nothing here asks multiprocessing for all children, or changes its process-wide state.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import connection, spawn
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any, Final, cast

from imgbatch import signals

if TYPE_CHECKING:
    from multiprocessing.pool import Pool

if sys.platform != "win32":
    from multiprocessing import forkserver, resource_tracker

_SHUTDOWN_SECONDS: Final = 3.0
# What multiprocessing raises if two threads ask for an exit code, which can be read only once.
_UNREAD_EXIT_CODE: Final = 255
_NAME: Final = "imgbatch-worker"

_serving = False
_starting: Final = threading.Lock()


def warm_up(*preload: str) -> None:
    """Start the server that workers are forked from, importing the modules `preload` in it.

    It gets ready while this process still scans and plans. Not for guests in another program: there
    is one such server per process, and the host may want it for itself. If it cannot be started,
    workers will start without it.
    """
    global _serving
    if _serving or "forkserver" not in multiprocessing.get_all_start_methods():
        return
    with suppress(Exception):
        with _held_back(signal.SIGINT, signal.SIGTERM):
            folder = tempfile.mkdtemp(prefix="pymp-")
            # Otherwise multiprocessing makes one, removes it in the end, and prints a traceback if
            # that fails, or if somebody who tidies up there was first.
            cast(Any, multiprocessing.current_process())._config["tempdir"] = folder
            removed = partial(shutil.rmtree, folder, ignore_errors=True)
            signals.before_death(removed)
            atexit.register(removed)
        # Imported in the server as well; otherwise each worker would load them.
        modules = ["imgbatch.executors.server", "imgbatch.executors.pool", *preload]
        multiprocessing.get_context("forkserver").set_forkserver_preload(modules)
        with _undisturbed():
            forkserver.ensure_running()
        _serving = True


def start_methods() -> list[str]:
    """The ways of starting workers, the best first.

    Never fork: this process has threads (the pool's own, the bar's).
    """
    return ["forkserver", "spawn"] if _serving else ["spawn"]


def main_can_be_imported() -> bool:
    """Whether new processes can import the main module: not from stdin, `-c` or a notebook."""
    main = sys.modules["__main__"]
    name: str | None = getattr(main.__spec__, "name", None)
    if name is not None:
        # multiprocessing does not import packages' `__main__`: it may lack the guard.
        return name != "__main__" and not name.endswith(".__main__")
    return os.path.isfile(getattr(main, "__file__", None) or "")


def leave_if_importing_main() -> None:
    """End this process if it is a worker that imports the main module, which calls us again.

    That module lacks the guard; the parent will say so. Otherwise whatever is called here would be
    done again by each worker.
    """
    process = multiprocessing.current_process()
    if process.name.startswith(_NAME) and multiprocessing.parent_process() is None:
        sys.exit(1)


class Crew:
    """The worker processes of one pool. Pool uses it as its context to start them from."""

    def __init__(self, method: str) -> None:
        self._context = multiprocessing.get_context(method)
        self._places = 0
        self._members: list[BaseProcess] = []
        self._pool: Pool | None = None
        self._leaving = threading.Event()
        self._terminator = threading.Thread(target=self._terminate, daemon=True)

    def start(
        self,
        size: int,
        set_up: Callable[..., None],
        setting: tuple[object, ...],
        *,
        needs_main: bool,
    ) -> Pool:
        """A pool of that many workers, each initialised by `set_up` with `setting`.

        With `needs_main` they import the main module. Raises whatever keeps them from being
        started; then none of them is alive.
        """
        from multiprocessing.pool import Pool

        self._places = size
        try:
            # Now, because there may be no thread to spare later.
            self._terminator.start()
            with _undisturbed(), _without_main_unless(needs_main):
                self._pool = Pool(size, set_up, setting, context=cast(BaseContext, self))
        except BaseException:
            self.dismiss()
            raise
        return self._pool

    def Process(self, *args: Any, **options: Any) -> Any:  # noqa: N802
        """A new worker for Pool to start; or a vacancy, since dead ones are not replaced."""
        if len(self._members) >= self._places:
            return _Vacancy()
        process: BaseProcess = cast(Any, self._context).Process(*args, **options)
        process.name = f"{_NAME}-{len(self._members) + 1}"
        self._members.append(process)
        return process

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    @property
    def size(self) -> int:
        """How many were started."""
        return len(self._started())

    def alive(self) -> frozenset[int]:
        """The ids of those that are alive.

        Their exit codes are not touched, because Pool's thread may be reading them.
        """
        ends = {member.sentinel: pid for pid, member in self._started().items()}
        gone = connection.wait(list(ends), 0)
        return frozenset(pid for end, pid in ends.items() if end not in gone)

    def cause(self, pid: int) -> tuple[str, str]:
        """Why a worker is gone: a kind, and words for a person."""
        member = self._started().get(pid)
        code = member.exitcode if member is not None else None
        if code is not None and code < 0:
            # Some libraries abort when the system has no memory left.
            short = -code in (signal.SIGKILL, signal.SIGABRT)
            hint = " (out of memory?)" if short else ""
            return "killed", f"its worker was killed by signal {-code}{hint}"
        if code is None or code == _UNREAD_EXIT_CODE:
            return "died", "its worker process is gone for an unknown reason"
        return "exited", f"its worker process ended with exit code {code}"

    def kill(self, pid: int) -> None:
        """Kill one of them."""
        self._started()[pid].kill()

    def dismiss(self, *, at_once: bool = False) -> None:
        """End the pool within a bounded time; afterwards none of its workers is alive.

        Terminating a pool whose worker was killed can hang.
        """
        self._places = 0
        if at_once:
            self._kill_all()
        self._leaving.set()
        try:
            if self._terminator.is_alive():
                self._terminator.join(_SHUTDOWN_SECONDS)
        finally:
            self._kill_all()

    def _terminate(self) -> None:
        """Runs in a thread, which holds on to a pool that hangs, so that nobody else ends it."""
        self._leaving.wait()
        if self._pool is not None:
            self._pool.terminate()

    def _kill_all(self) -> None:
        started = self._started()
        living = [started[pid] for pid in self.alive()]
        for member in living:
            member.kill()
        for member in living:
            member.join(_SHUTDOWN_SECONDS)

    def _started(self) -> dict[int, BaseProcess]:
        return {member.pid: member for member in list(self._members) if member.pid is not None}


class _Vacancy:
    """Takes the place of a worker that is gone. The pool is about to be given up anyway."""

    name = _NAME
    daemon = True
    pid = exitcode = None

    def start(self) -> None:
        """Start nothing."""

    def terminate(self) -> None:
        """End nothing."""

    def join(self) -> None:
        """Wait for nothing."""

    def is_alive(self) -> bool:
        """Always: Pool must not replace it."""
        return False


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Start processes undisturbed by Ctrl-C.

    They begin as plain interpreters, in which Ctrl-C would cause tracebacks: so it has to wait, and
    never reaches them.
    """
    if sys.platform == "win32":
        yield
        return
    # If this process is killed, its resource tracker would report leaked semaphores.
    quiet = "ignore:resource_tracker:UserWarning"
    sys.warnoptions.append(quiet)
    try:
        # Before the rest, since it lets signals through when it has started that process.
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions.remove(quiet)
    with _held_back(signal.SIGINT):
        yield


@contextmanager
def _held_back(*numbers: signal.Signals) -> Iterator[None]:
    """Hold signals back; processes that this thread starts meanwhile never get them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _without_main_unless(needed: bool) -> Iterator[None]:
    """Keep workers that are started now from importing the main module, unless it is `needed`.

    Nothing that they are given comes from it, and it may have no file (standard input), lack the
    guard, or take long. multiprocessing has no setting for that. Processes of other threads are not
    affected.
    """
    if needed:
        yield
        return
    with _starting:
        usual = spawn.get_preparation_data

        def data(name: str) -> dict[str, Any]:
            if not name.startswith(_NAME):
                return usual(name)
            # Not the folder either, which they have anyway, and which may be gone.
            return {"name": name, "sys_path": sys.path, "sys_argv": sys.argv}

        spawn.get_preparation_data = data
        try:
            yield
        finally:
            spawn.get_preparation_data = usual
