"""The executors: every job has exactly one outcome, whatever happens to its worker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from toolkit import pool_tasks
from toolkit.shared import folder_of, made_once

Answer = dict[str, Any]


def ordered(place: Path, chunks: list[list[str]], **order: Any) -> Answer:
    """Run errands in a fresh interpreter and return the answer of `pool_tasks.carry_out`."""
    run = subprocess.run(
        [sys.executable, pool_tasks.__file__],
        input=json.dumps({"place": str(place), "chunks": chunks, **order}),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    answer: Answer = json.loads(run.stdout)
    return answer


def kinds(answer: Answer) -> dict[int, str]:
    assert len({one["number"] for one in answer["outcomes"]}) == len(answer["outcomes"])
    return {one["number"]: one["kind"] for one in answer["outcomes"]}


def nobody_left(answer: Answer) -> bool:
    return not answer["left"] and not answer["survivors"]


@pytest.mark.slow
@pytest.mark.parametrize("serial", [True, False], ids=["serial", "pool"])
def test_every_job_has_one_outcome_and_is_finished_once(tmp_path: Path, serial: bool) -> None:
    chunks = [["nothing"] * 20, ["rest", "nothing"], *[["nothing"]] * 10]

    answer = ordered(tmp_path, chunks, serial=serial)

    assert kinds(answer) == dict.fromkeys(range(32), "done")
    assert sorted(answer["finished"]) == [[number, False] for number in range(32)]
    assert not answer["workers_died"]
    assert nobody_left(answer)


@pytest.mark.slow
def test_no_jobs_give_no_outcomes(tmp_path: Path) -> None:
    assert ordered(tmp_path, [])["outcomes"] == []


@pytest.mark.slow
def test_pool_uses_several_processes_and_serial_none(tmp_path: Path) -> None:
    together = ordered(tmp_path, [["meet"]] * 8)["outcomes"]
    alone = ordered(tmp_path, [["rest"]] * 8, serial=True)["outcomes"]

    assert len({one["pid"] for one in together}) == 2
    assert len({one["pid"] for one in alone}) == 1


GUILTY: Final = {
    "kill itself": ("killed", "its worker was killed by signal 9 (out of memory?)"),
    "crash": ("killed", "its worker was killed by signal 11"),
    "end well": ("exited", "its worker process ended with exit code 0"),
    "end badly": ("exited", "its worker process ended with exit code 3"),
    "interrupt": ("raised", "KeyboardInterrupt: "),
    "leave": ("raised", "SystemExit: 5"),
    "run out of memory": ("memory", "not enough memory: use fewer --jobs"),
    "return a lambda": ("raised", "Can't pickle"),
}


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    """A run in which everything goes wrong; each culprit has innocent jobs on both sides."""
    chunks = [["nothing", deed, "nothing"] for deed in GUILTY] + [["nothing"]] * 4
    folder = folder_of("troubled", tmp_path_factory)
    return made_once(folder, lambda place: ordered(place, chunks))


@pytest.mark.slow
@pytest.mark.parametrize("deed", GUILTY)
def test_job_that_kills_its_worker_is_lost_with_the_cause(troubled: Answer, deed: str) -> None:
    number = 3 * list(GUILTY).index(deed) + 1
    (outcome,) = (one for one in troubled["outcomes"] if one["number"] == number)

    kind, cause = GUILTY[deed]
    assert outcome["kind"] == kind
    assert cause in outcome["cause"]


def test_innocent_jobs_all_finish_and_nothing_is_reported_twice(troubled: Answer) -> None:
    guilty = {3 * place + 1 for place in range(len(GUILTY))}
    everybody = range(3 * len(GUILTY) + 4)

    assert {number for number, kind in kinds(troubled).items() if kind == "done"} == (
        set(everybody) - guilty
    )
    assert sorted(troubled["finished"]) == [[number, number in guilty] for number in everybody]
    assert troubled["workers_died"]
    assert nobody_left(troubled)


@pytest.mark.slow
def test_job_that_dies_once_succeeds_the_second_time(tmp_path: Path) -> None:
    # The first was finished by the worker that then died, and its result was lost with it.
    chunks = [["nothing", "die the first time", "nothing"], ["nothing"]]

    answer = ordered(tmp_path, chunks, workers=1)

    assert kinds(answer) == dict.fromkeys(range(4), "done")
    repeated = {one["number"] for one in answer["outcomes"] if one["second_time"]}
    assert repeated == {0, 1}
    assert sorted(answer["finished"]) == [[number, False] for number in range(4)]
    assert nobody_left(answer)


@pytest.mark.slow
def test_worker_that_exits_cleanly_is_missed_too(tmp_path: Path) -> None:
    # What it left behind is looked for only if its absence was noticed.
    answer = ordered(tmp_path, [["end well"], ["nothing"]])

    assert kinds(answer) == {0: "exited", 1: "done"}
    assert answer["workers_died"]


@pytest.mark.slow
def test_killed_worker_holding_the_queue_lock_does_no_harm(tmp_path: Path) -> None:
    answer = ordered(tmp_path, [["kill idle neighbours"], *[["nothing"]] * 9])

    assert kinds(answer) == dict.fromkeys(range(10), "done")
    assert answer["workers_died"]
    assert nobody_left(answer)


@pytest.mark.slow
def test_job_over_its_time_limit_is_given_up(tmp_path: Path) -> None:
    answer = ordered(tmp_path, [["sleep long"], *[["nothing"]] * 5], timeout=3)

    assert kinds(answer) == {0: "timeout", **dict.fromkeys(range(1, 6), "done")}
    assert nobody_left(answer)


@pytest.mark.slow
def test_failing_initializer_ends_the_run_with_the_reason(tmp_path: Path) -> None:
    answer = ordered(tmp_path, [["nothing"]] * 5, bad_set_up=True)

    assert "RuntimeError: no room for workers" in answer["error"]
    assert kinds(answer) == dict.fromkeys(range(5), "no-workers")
    assert sorted(answer["finished"]) == [[number, True] for number in range(5)]
    assert nobody_left(answer)


@pytest.mark.slow
@pytest.mark.parametrize("serial", [True, False], ids=["serial", "pool"])
def test_stop_finishes_jobs_in_progress(tmp_path: Path, serial: bool) -> None:
    answer = ordered(tmp_path, [["rest"] * 30] * 4, serial=serial, stop_after=1)

    begun = {int(mark.name.removeprefix("begun-")) for mark in tmp_path.glob("begun-*")}
    assert set(kinds(answer)) == begun
    assert set(kinds(answer).values()) == {"done"}
    assert len(begun) < 120
    assert not answer["workers_died"]
    assert nobody_left(answer)


@pytest.mark.slow
def test_results_that_are_on_their_way_when_it_stops_are_waited_for(tmp_path: Path) -> None:
    answer = ordered(tmp_path, [["rest"] * 30] * 4, stop_after=1, late=1)

    begun = {int(mark.name.removeprefix("begun-")) for mark in tmp_path.glob("begun-*")}
    assert kinds(answer) == dict.fromkeys(begun, "done")
    assert nobody_left(answer)


@pytest.mark.slow
def test_abandoned_run_leaves_no_process(tmp_path: Path) -> None:
    answer = ordered(tmp_path, [["rest"]] * 100, close_after=1)

    assert len(answer["outcomes"]) == 1
    assert nobody_left(answer)


@pytest.mark.slow
def test_slow_consumer_does_not_rebuild_the_pool(tmp_path: Path) -> None:
    answer = ordered(tmp_path, [["nothing"]] * 12, look=1, stall=0.3)

    assert kinds(answer) == dict.fromkeys(range(12), "done")
    assert len({one["pid"] for one in answer["outcomes"]}) <= 2
    assert not any(one["second_time"] for one in answer["outcomes"])


@pytest.mark.slow
def test_few_chunks_are_sent_ahead(tmp_path: Path) -> None:
    answer = ordered(tmp_path, [["nothing"]] * 60, look=0.5)

    # Two for each of the two workers, and one for the result that arrived.
    assert 0 < answer["sent"] <= 5
    assert len(answer["outcomes"]) == 60


@pytest.mark.slow
@pytest.mark.parametrize("given_up", [False, True])
def test_abort_raises_when_no_worker_is_alive(tmp_path: Path, given_up: bool) -> None:
    chunks = [["nothing"], *[["sleep long"]] * 4]

    answer = ordered(tmp_path, chunks, abort_after=1, give_up_on_abort=given_up)

    assert answer["error"] == "interrupted"
    # The resource tracker is not a worker.
    assert len(answer["at_interruption"]) <= 1
    assert nobody_left(answer)


@pytest.mark.slow
def test_abort_ends_serial_in_the_middle_of_a_job(tmp_path: Path) -> None:
    chunks = [["nothing", "count for ever", "nothing"]]

    answer = ordered(tmp_path, chunks, serial=True, timeout=60, abort_when="counting")

    assert answer["error"] == "interrupted"
    assert set(kinds(answer)) == {0}
    assert not (tmp_path / "begun-2").exists()
