"""Workers that die, hang and misbehave: every file has its outcome, and culprits are named."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from toolkit.shared import folder_of, made_once
from torture import deeds
from torture.arena import (
    Arena,
    Ended,
    leftovers,
    plant_deed,
    plant_innocents,
    same_pixels,
    visible,
    workers_of,
)
from torture.deeds import Deed
from torture.ordeals import kill_workers, undisturbed

FAULTY: Final = ("filter", "photos", "--filter", "fault", "-o", "out")

DEADLY: Final = {
    Deed.KILL_ITSELF: ("worker", "killed", "killed by signal 9 (out of memory?)"),
    Deed.CRASH: ("worker", "killed", "killed by signal 11"),
    Deed.END_WELL: ("worker", "exited", "exit code 0"),
    Deed.END_BADLY: ("worker", "exited", "exit code 3"),
    Deed.RUN_OUT_OF_MEMORY: ("operate", "memory", "not enough memory"),
    Deed.RAISE_WHAT_CANNOT_BE_PICKLED: ("operate", "fault", "UnpicklableError: no"),
    Deed.RAISE_WHAT_CANNOT_BE_LOADED: ("operate", "fault", "UnloadableError: no"),
    Deed.LEAVE: ("worker", "raised", "SystemExit: 5"),
    Deed.INTERRUPT: ("worker", "raised", "KeyboardInterrupt"),
}
GIVEN_UP: Final = ("worker", "timeout", "gave up after 4 s")
HANGING: Final = {
    Deed.HANG_HOLDING_THE_GIL: GIVEN_UP,
    Deed.HANG_BUSILY: GIVEN_UP,
    Deed.STOP_ITSELF: GIVEN_UP,
}
GUILTY: Final = {**DEADLY, **HANGING}
LUCKY: Final = (Deed.DIE_ONCE, Deed.KILL_IDLE_NEIGHBOURS)


def all_right(arena: Arena, names: list[str]) -> None:
    """Check that exactly these exist, with the sources' own pixels."""
    made, sources = visible(arena.out), visible(arena.photos)
    assert sorted(made) == sorted(names)
    assert [name for name in names if not same_pixels(made[name], sources[name])] == []
    assert leftovers(arena.out) == []


class Trouble(NamedTuple):
    """A run with everything that can go wrong in a worker, among innocent files."""

    arena: Arena
    innocent: list[str]
    guilty: dict[Deed, str]
    ended: Ended


def in_trouble(place: Path) -> Trouble:
    arena = Arena(place)
    innocent = plant_innocents(arena.photos, 30)
    innocent += [plant_deed(arena.photos, deed) for deed in LUCKY]
    guilty = {deed: plant_deed(arena.photos, deed) for deed in GUILTY}
    with arena.begun(*FAULTY, "--jobs", "2", "--timeout", "4") as process:
        return Trouble(arena, innocent, guilty, arena.end(process))


@pytest.fixture(scope="module", autouse=True)
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[Trouble]]:
    """It mostly waits, so it runs while other tests do, and is checked last."""
    folder = folder_of("trouble", tmp_path_factory)
    with ThreadPoolExecutor(1) as executor:
        yield executor.submit(made_once, folder, in_trouble)


@pytest.fixture(scope="module")
def trouble(begun: Future[Trouble]) -> Trouble:
    trouble = begun.result()
    assert trouble.ended.problems() == []
    return trouble


def test_stopped_workers_hold_nothing_up(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    names = [plant_deed(arena.photos, Deed.REST, height) for height in range(8, 28)]

    with arena.begun(*FAULTY, "--jobs", "2", "--timeout", "4") as process:
        assert arena.wait_for_outputs(process, 2)
        stopped = workers_of(process.pid)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        ended = arena.end(process)

    assert ended.problems() == []
    # Files that the stopped workers held may be given up: their delay cannot be explained.
    given_up = [name for name, status in ended.statuses().items() if status != "done"]
    assert {ended.error(f"photos/{name}")[1] for name in given_up} <= {"timeout"}
    assert len(given_up) <= len(stopped) == 2
    assert set(ended.statuses()) == set(names)
    all_right(arena, [name for name in names if name not in given_up])


def test_result_that_cannot_be_pickled_leaves_nothing_unreported(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    names = plant_innocents(arena.photos, 5)
    guilty = plant_deed(arena.photos, Deed.NOTE_WHAT_CANNOT_BE_PICKLED)

    ended = arena.run(*FAULTY, "--jobs", "2")

    done = [name for name, status in ended.statuses().items() if status == "done"]
    assert set(names) <= set(done)
    assert set(ended.statuses()) == {*names, guilty}
    all_right(arena, done)


# Plugins that break the workers themselves


@pytest.mark.parametrize(
    ("how", "jobs"),
    [("missing", "2"), ("raising", "1"), ("ending", "2")],
)
def test_workers_that_cannot_start_fail_every_file_with_the_reason(
    tmp_path: Path, how: str, jobs: str
) -> None:
    arena = Arena(tmp_path, {deeds.BROKEN: how})
    names = plant_innocents(arena.photos, 12)

    ended = arena.run(*FAULTY, "--jobs", jobs)

    assert ended.code == ended.summary["exit_code"] == 1
    assert ended.statuses() == dict.fromkeys(names, "failed")
    for name in names:
        stage, _, message = ended.error(f"photos/{name}")
        assert stage == "worker"
        assert "worker processes cannot start" in message
        assert how != "raising" or "RuntimeError: this plugin is broken" in message
    assert "worker processes cannot start" in ended.said
    assert visible(arena.out) == {}
    assert leftovers(arena.out) == []


def test_workers_start_without_the_server_if_it_fails(tmp_path: Path) -> None:
    arena = Arena(tmp_path, {deeds.BROKEN: "closed"})
    names = plant_innocents(arena.photos, 12)

    ended = arena.run(*FAULTY, "--jobs", "2")

    assert ended.code == 0
    assert ended.statuses() == dict.fromkeys(names, "done")


# Kills from outside


def test_run_survives_repeated_killing_of_its_workers(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    names = plant_innocents(arena.photos, 45)
    names += [plant_deed(arena.photos, Deed.REST, height) for height in range(8, 40)]

    whole = undisturbed(arena, *FAULTY)
    chance, strikes = random.Random(5), 0
    # On a busy machine a run may end before it was struck four times: then the next one goes on.
    for _ in range(10):
        verdict = kill_workers(arena, (*FAULTY, "--force"), whole, chance, at_most=4 - strikes)
        assert verdict.wrong() == []
        strikes += verdict.strikes
        if strikes == 4:
            break

    assert strikes == 4
    all_right(arena, names)


# The run with all the trouble


@pytest.mark.parametrize("deed", GUILTY, ids=lambda deed: deed.name.lower())
def test_culprit_is_named_with_the_cause(trouble: Trouble, deed: Deed) -> None:
    stage, kind, words = GUILTY[deed]

    found = trouble.ended.error(f"photos/{trouble.guilty[deed]}")

    assert found[:2] == (stage, kind)
    assert words in found[2]


def test_innocent_files_among_culprits_are_all_done(trouble: Trouble) -> None:
    expected = dict.fromkeys(trouble.innocent, "done")
    expected |= dict.fromkeys(trouble.guilty.values(), "failed")

    assert trouble.ended.statuses() == expected
    all_right(trouble.arena, trouble.innocent)


def test_end_of_such_a_run_is_reported_correctly(trouble: Trouble) -> None:
    ended = trouble.ended

    assert ended.code == ended.summary["exit_code"] == 1
    assert (ended.summary["done"], ended.summary["failed"]) == (32, len(GUILTY))
    assert f"32 done, {len(GUILTY)} failed in out" in ended.said
