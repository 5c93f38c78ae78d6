"""Every call that changes files, failed in every way, one in a run.

First a run is recorded: which calls one of its threads makes, in which order. Then the command runs
once more for each of them and each fault, and strace fails just that call, or the process is killed
as it makes it. What must hold afterwards is in `judging`.
"""

from __future__ import annotations

import queue
import resource
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from toolkit.forked import Forks, HangsError
from torture import holding
from torture.arena import Ended
from torture.faults import KILL, SHORT, Fault, possible
from torture.judging import judge_at_once, judge_the_rerun
from torture.ordeals import Verdict
from torture.scenes import Role, Scene, Shape, Stage
from torture.tracing import Call, Tracer, TracingError, await_held, calls

_JOBS_OF_A_WORKER: Final = 2
_RELEASE_SECONDS: Final = 30.0
_ATTEMPTS: Final = 3


@dataclass
class Trial:
    """The outcome of one fault. `astray` says what was hit instead of the intended call."""

    fault: Fault
    call: Call
    verdict: Verdict = field(default_factory=Verdict)
    astray: str | None = None


def recorded(stage: Stage, role: Role) -> list[Call]:
    """The relevant calls of a thread in an undisturbed run."""
    stage.set_up()
    ended, found = _traced(stage, role)
    assert ended.code == 0, ended.said
    if role == "worker":
        found = found[: _end_of_jobs(found)]
    return [call for call in found if call.matters]


def tried(stage: Stage, fault: Fault, made: list[Call]) -> Trial:
    """Let a call fail, and judge the outcome."""
    call = meant = _call(made, fault)
    for attempt in range(_ATTEMPTS):
        trial = Trial(fault, meant)
        if attempt:
            # There may be more irrelevant calls of that name before it than there were.
            calls = recorded(stage, fault.role)
            if sum(one.name == fault.name for one in calls) < fault.index:
                trial.astray = "this time there are fewer such calls: another worker was quicker"
                continue
            call = _call(calls, fault)
        stage.set_up()
        try:
            ended, found = _traced(stage, fault.role, fault.error, call)
        except HangsError as error:
            trial.verdict.others.append(str(error))
            return trial
        except (TracingError, TimeoutError) as error:
            trial.astray = str(error)
            continue
        hit, trial.astray = _hit(found, fault, call, meant)
        if hit is not None:
            trial.verdict.strikes = 1
            judge_at_once(stage, ended, fault, hit, trial.verdict)
            judge_the_rerun(stage, ended, trial.verdict)
        if trial.astray is None or trial.verdict.wrong():
            break
    return trial


def _call(made: list[Call], fault: Fault) -> Call:
    return [call for call in made if call.name == fault.name][fault.index - 1]


def _hit(
    found: list[Call], fault: Fault, call: Call, meant: Call
) -> tuple[Call | None, str | None]:
    """The call that failed, and what is wrong about it."""
    if fault.error == SHORT:
        short = [one for one in found if one.error == "EFBIG"]
        return (call, None) if short else (None, "nothing was too large")
    hits = [one for one in found if (one.name, one.nth) == (call.name, call.nth)]
    if not hits:
        return None, "it was not reached"
    (hit,) = hits
    if str(hit) != str(meant):
        return hit, f"{hit} came instead of {meant}"
    return hit, None


def _traced(
    stage: Stage, role: Role, error: str | None = None, call: Call | None = None
) -> tuple[Ended, list[Call]]:
    """Run the command with one of its threads traced, and perhaps one call failed."""
    hold, log = stage.beside / "hold", stage.beside / "log"
    shutil.rmtree(hold, ignore_errors=True)
    hold.mkdir()
    log.unlink(missing_ok=True)
    inject = []
    if stage.scene.lacking is not None:
        names, lack = stage.scene.lacking
        inject.append(f"{','.join(f'?{name}' for name in names)}:error={lack}")
    if call is not None and error == KILL:
        inject.append(f"{call.name}:signal=KILL:when={call.nth}")
    elif call is not None and error != SHORT:
        inject.append(f"{call.name}:error={error}:when={call.nth}")
    tracers: list[Tracer] = []

    def begun(_: int) -> None:
        process, thread = await_held(hold)
        tracers.append(Tracer(thread, log, *inject))
        if call is not None and error == SHORT:
            _, most = resource.prlimit(process, resource.RLIMIT_FSIZE)
            half = (call.start + call.end) // 2
            resource.prlimit(process, resource.RLIMIT_FSIZE, (half, most))
        holding.let_go(hold, everybody=False)
        if role == "worker":
            _wait_for_its_jobs(Path(f"/proc/{process}/task/{thread}"), log, stage.place)
        holding.let_go(hold, everybody=True)

    try:
        ended = stage.play({holding.FOLDER: str(hold), holding.ROLE: role}, begun)
    finally:
        for tracer in tracers:
            tracer.close()
    return ended, calls(log, stage.place)


def _wait_for_its_jobs(thread: Path, log: Path, place: Path) -> None:
    """Let a worker have some jobs before the others take them."""
    end = time.monotonic() + _RELEASE_SECONDS
    while thread.exists() and time.monotonic() < end:
        found = calls(log, place) if log.exists() else []
        if _end_of_jobs(found) < len(found):
            return
        time.sleep(0.005)


def _end_of_jobs(found: list[Call]) -> int:
    """Number of calls that a worker makes for its first jobs, whose results go into a pipe."""
    ends = [at for at, call in enumerate(found) if call.name == "write" and call.is_pipe]
    return ends[_JOBS_OF_A_WORKER - 1] if len(ends) >= _JOBS_OF_A_WORKER else len(found)


def all_tried(
    place: Path,
    lanes: Sequence[Forks],
    scene: Scene,
    shape: Shape,
    choice: Callable[[list[Fault]], list[Fault]] = list,
) -> Iterator[Trial]:
    """Try the faults of a scene that `choice` takes, as many at a time as there are lanes."""
    stages = [Stage(place / str(number), forks, scene, shape) for number, forks in enumerate(lanes)]
    made = {role: recorded(stages[0], role) for role in scene.roles[shape]}
    found = [fault for role, calls in made.items() for fault in possible(stages[0], role, calls)]
    free: queue.SimpleQueue[Stage] = queue.SimpleQueue()
    for stage in stages:
        free.put(stage)

    def in_a_lane(fault: Fault) -> Trial:
        stage = free.get()
        try:
            return tried(stage, fault, made[fault.role])
        finally:
            free.put(stage)

    with ThreadPoolExecutor(len(stages)) as threads:
        try:
            yield from threads.map(in_a_lane, choice(found))
        finally:
            threads.shutdown(cancel_futures=True)
