"""Errands for a pool of workers, and a script that runs them and reports the outcome.

It reads an order in JSON from standard input and writes the answer to standard output. It runs in
its own process, so that a pool that hangs does not hang the tests.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from imgbatch.errors import WorkersError
from imgbatch.executors import Control, Task, pool, serial

pickled: Final[list[int]] = []
"""The errands that this process has sent to others, by number."""


_PATIENCE_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Errand:
    """Something to do: a key of DEEDS. `place` is a folder where it may leave marks."""

    number: int
    deed: str
    place: str

    def __reduce__(self) -> tuple[type[Errand], tuple[int, str, str]]:
        pickled.append(self.number)
        return Errand, (self.number, self.deed, self.place)

    @property
    def mark(self) -> Path:
        """A file that exists once the errand has begun."""
        return Path(self.place, f"begun-{self.number}")


@dataclass(frozen=True)
class Outcome:
    """The outcome of an errand: "done", or the kind of its loss and the cause."""

    number: int
    kind: str
    cause: str = ""
    second_time: bool = False
    pid: int = 0


def do(errand: Errand, share: float) -> Any:
    second_time = errand.mark.exists()
    errand.mark.touch()
    instead = DEEDS[errand.deed](errand)
    if instead is not None:
        return instead
    return Outcome(errand.number, "done", "", second_time, os.getpid())


def lost(errand: Errand, kind: str, cause: str) -> Outcome:
    return Outcome(errand.number, kind, cause, errand.mark.exists(), os.getpid())


def failed(outcome: Any) -> bool:
    return isinstance(outcome, Outcome) and outcome.kind != "done"


def set_up() -> None:
    """No setup is needed."""


def set_up_badly() -> None:
    raise RuntimeError("no room for workers")


def _nothing(errand: Errand) -> None:
    pass


def _rest(errand: Errand) -> None:
    time.sleep(0.05)


def _meet(errand: Errand) -> None:
    """Wait until another process is here, too: however busy the machine, there is one to come."""
    Path(errand.place, f"met-{os.getpid()}").touch()
    end = time.monotonic() + _PATIENCE_SECONDS
    while len(list(Path(errand.place).glob("met-*"))) < 2 and time.monotonic() < end:
        time.sleep(0.01)


def _sleep_long(errand: Errand) -> None:
    time.sleep(600)


def _count_for_ever(errand: Errand) -> None:
    Path(errand.place, "counting").touch()
    while True:
        time.sleep(0.01)


def _kill_itself(errand: Errand) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _crash(errand: Errand) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _end_well(errand: Errand) -> None:
    os._exit(0)


def _end_badly(errand: Errand) -> None:
    os._exit(3)


def _interrupt(errand: Errand) -> None:
    raise KeyboardInterrupt


def _leave(errand: Errand) -> None:
    sys.exit(5)


def _run_out_of_memory(errand: Errand) -> None:
    raise MemoryError


def _return_a_lambda(errand: Errand) -> Callable[[], None]:
    return lambda: None


def _die_the_first_time(errand: Errand) -> None:
    mark = Path(errand.place, f"died-{errand.number}")
    if not mark.exists():
        mark.touch()
        os._exit(1)


def _kill_idle_neighbours(errand: Errand) -> None:
    """By then the neighbour waits for work and holds the lock of the pool's queue."""
    done = Path(errand.place, "killed")
    if done.exists():
        return
    done.touch()
    time.sleep(0.3)
    for pid, parent, _ in _processes():
        if pid != os.getpid() and parent == os.getppid():
            os.kill(pid, signal.SIGKILL)
    time.sleep(0.3)


DEEDS: Final[dict[str, Callable[[Errand], Any]]] = {
    "nothing": _nothing,
    "rest": _rest,
    "meet": _meet,
    "sleep long": _sleep_long,
    "count for ever": _count_for_ever,
    "kill itself": _kill_itself,
    "crash": _crash,
    "end well": _end_well,
    "end badly": _end_badly,
    "interrupt": _interrupt,
    "leave": _leave,
    "run out of memory": _run_out_of_memory,
    "return a lambda": _return_a_lambda,
    "die the first time": _die_the_first_time,
    "kill idle neighbours": _kill_idle_neighbours,
}


def carry_out(order: dict[str, Any]) -> dict[str, Any]:
    """Run `chunks` of deeds as ordered.

    `stop_after` and `abort_after` are numbers of finished errands, `close_after` one of outcomes;
    `abort_when` is a mark to wait for; `give_up_on_abort` says that the pool is given up at that
    very moment, for whatever reason. `timeout`, `stall` (how long a silent pool is waited for),
    `late` (how long results take to arrive) and `look` (how long to wait after the first outcome
    before counting what was sent) are seconds.
    """
    numbers = iter(range(10_000))
    portions = [[next(numbers) for _ in chunk] for chunk in order["chunks"]]
    errands = [
        Errand(number, deed, order["place"])
        for number, deed in enumerate(deed for chunk in order["chunks"] for deed in chunk)
    ]
    finished: list[tuple[int, bool]] = []

    def note(errand: Any, has_failed: bool) -> None:
        finished.append((errand.number, has_failed))
        if len(finished) == order.get("stop_after"):
            control.stop()
        if len(finished) == order.get("abort_after"):
            control.abort()

    control = Control(on_finish=note)
    if order.get("give_up_on_abort"):
        vars(pool)["_Supervisor"]._poll = _given_up_when_aborted(pool._Supervisor._poll)
    if "late" in order:
        vars(pool)["_Supervisor"]._poll = _delayed(pool._Supervisor._poll, order["late"])
    if "stall" in order:
        vars(pool)["_STALL_SECONDS"] = order["stall"]
    task: Task[Errand, Any] = Task(
        do,
        lost,
        failed,
        set_up_badly if order.get("bad_set_up") else set_up,
        order.get("timeout"),
    )
    executor = serial.run if order.get("serial") else pool.run
    outcomes: list[Outcome] = []
    error = None
    interrupted: list[int] = []
    sent = 0
    if "abort_when" in order:
        mark = Path(order["place"], order["abort_when"])
        threading.Thread(target=_abort_when, args=(control, mark), daemon=True).start()
    arriving: Iterator[Any] = executor(task, errands, portions, order.get("workers", 2), control)
    try:
        for outcome in arriving:
            outcomes.append(outcome)
            if len(outcomes) == 1 and "look" in order:
                time.sleep(order["look"])
                sent = len(set(pickled))
            if len(outcomes) == order.get("close_after"):
                arriving.close()  # type: ignore[attr-defined]
    except WorkersError as raised:
        error = str(raised)
    except KeyboardInterrupt:
        error = "interrupted"
        # At this very moment.
        interrupted = [pid for pid, parent, _ in _processes() if parent == os.getpid()]
    return {
        "outcomes": [asdict(outcome) for outcome in outcomes],
        "finished": finished,
        "error": error,
        "sent": sent,
        "workers_died": control.workers_died,
        "at_interruption": interrupted,
        "left": [child.pid for child in multiprocessing.active_children()],
        "survivors": _survivors({outcome.pid for outcome in outcomes} - {os.getpid()}),
    }


def _given_up_when_aborted(poll: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    def given_up(*about: Any) -> Iterator[Any]:
        with suppress(KeyboardInterrupt):
            yield from poll(*about)

    return given_up


class _Late:
    """Gives what arrives only some time later, as on a machine that is very busy."""

    def __init__(self, arriving: Any, seconds: float) -> None:
        self._arriving = arriving
        self._seconds = seconds
        self._held: list[tuple[float, Any]] = []

    def next(self, timeout: float) -> Any:
        if not self._held:
            found = self._arriving.next(timeout=timeout)
            self._held.append((time.monotonic() + self._seconds, found))
        if (left := self._held[0][0] - time.monotonic()) > 0:
            time.sleep(min(left, timeout))
            raise multiprocessing.TimeoutError
        return self._held.pop()[1]


def _delayed(poll: Callable[..., Iterator[Any]], seconds: float) -> Callable[..., Iterator[Any]]:
    def delayed(supervisor: Any, arriving: Any, *about: Any) -> Iterator[Any]:
        yield from poll(supervisor, _Late(arriving, seconds), *about)

    return delayed


def _abort_when(control: Control, mark: Path) -> None:
    while not mark.exists():
        time.sleep(0.01)
    control.abort()


def still_alive(session: int) -> list[int]:
    """The processes of a session that have not ended after a moment."""
    return _lasting(lambda: {pid for pid, _, its_session in _processes() if its_session == session})


def _survivors(pids: set[int]) -> list[int]:
    return _lasting(lambda: {pid for pid, _, _ in _processes()} & pids)


def _lasting(living: Callable[[], set[int]]) -> list[int]:
    for _ in range(600):
        if not living():
            return []
        time.sleep(0.05)
    return sorted(living())


def _processes() -> Iterator[tuple[int, int, int]]:
    """The id, parent and session of every process that has not ended; zombies have."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent, _, session, *_ = stat.read_text().rpartition(")")[2].split()
            if state != "Z":
                yield int(stat.parent.name), int(parent), int(session)


if __name__ == "__main__":
    json.dump(carry_out(json.load(sys.stdin)), sys.stdout)
