"""Signals to the command itself, including SIGKILL, and two commands at once."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from typing import Final

import pytest
from toolkit.shared import folder_of, made_once
from torture.arena import (
    Arena,
    Tree,
    alive_after,
    leftovers,
    partial,
    plant_deed,
    plant_innocents,
    same_pixels,
    visible,
    wait_until,
    workers_of,
)
from torture.deeds import Deed
from torture.ordeals import Verdict, finish, kill_command, plant_mixed, undisturbed

FAULTY: Final = ("filter", "photos", "--filter", "fault", "-o", "out", "--jobs", "2")
MIXED: Final = ("resize", "photos", "-s", "200", "-s", "thumb=x20", "-o", "out", "--jobs", "2")
SLOW_FILES: Final = 24


def slow_arena(place: Path) -> Arena:
    """Files that take a while each without using the processor."""
    arena = Arena(place)
    for height in range(8, 8 + SLOW_FILES):
        plant_deed(arena.photos, Deed.REST, height)
    return arena


@pytest.fixture
def slow(tmp_path: Path) -> Arena:
    return slow_arena(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """What an undisturbed run makes of the slow files."""
    folder = folder_of("undisturbed", tmp_path_factory)
    return made_once(folder, lambda place: undisturbed(slow_arena(place), *FAULTY))


def once_to_one(process: Popen[bytes], number: signal.Signals) -> None:
    process.send_signal(number)


def once_to_all(process: Popen[bytes], number: signal.Signals) -> None:
    """As a terminal does with Ctrl-C."""
    os.killpg(process.pid, number)


def twice_to_all(process: Popen[bytes], number: signal.Signals) -> None:
    os.killpg(process.pid, number)
    os.killpg(process.pid, number)
    # Two of a kind may have been merged into one.
    while process.poll() is None:
        os.killpg(process.pid, number)
        with_patience(process)


def with_patience(process: Popen[bytes]) -> None:
    with suppress(TimeoutExpired):
        process.wait(0.3)


@pytest.mark.parametrize(
    ("number", "send"),
    [
        (signal.SIGINT, once_to_all),
        (signal.SIGINT, twice_to_all),
        (signal.SIGTERM, once_to_one),
    ],
)
def test_interrupted_run_reports_correctly_and_is_finished_by_the_next(
    slow: Arena,
    whole: Tree,
    number: signal.Signals,
    send: Callable[[Popen[bytes], signal.Signals], None],
) -> None:
    with slow.begun(*FAULTY) as process:
        assert slow.wait_for_outputs(process, 3)
        send(process, number)
        ended = slow.end(process)

    assert ended.problems() == []
    assert ended.code == -number
    made = visible(slow.out)
    assert partial(made, whole) == []
    # No row without a file and no file without a row.
    assert ended.statuses() == dict.fromkeys(made, "done")
    assert 3 <= ended.summary["done"] == len(made) < SLOW_FILES
    assert ended.summary["exit_code"] == 128 + number
    assert ended.summary["not_done"] == SLOW_FILES - len(made)
    assert f"{len(made)} done in out" in ended.said
    assert f"interrupted: {SLOW_FILES - len(made)} not done" in ended.said
    assert leftovers(slow.out) == []

    rest = finish(slow, FAULTY, whole)
    assert rest.wrong() == []


def test_signal_before_any_work_ends_the_run_as_well(slow: Arena, whole: Tree) -> None:
    # It arrives while modules are loaded, the plan is made, or workers start.
    for seconds in (0.05, 0.2, 0.4):
        with slow.begun(*FAULTY) as process:
            alive_after(process.pid, seconds)
            process.send_signal(signal.SIGTERM)
            ended = slow.end(process)

        assert ended.problems() == []
        assert ended.code == -signal.SIGTERM
        assert partial(visible(slow.out), whole) == []
        assert leftovers(slow.out) == []
    assert finish(slow, FAULTY, whole).wrong() == []


# SIGKILL of the command


def test_killed_command_leaves_whole_files_and_the_next_does_the_rest(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    plant_mixed(arena, 40)
    whole = undisturbed(arena, *MIXED)
    chance = random.Random(11)
    verdict = Verdict()

    for _ in range(3):
        verdict.add(kill_command(arena, MIXED, whole, chance))
    verdict.add(finish(arena, MIXED, whole))

    assert verdict.wrong() == []
    assert verdict.strikes > 0


def test_other_options_after_a_kill_remake_everything(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    plant_innocents(arena.photos, 20, ".jpg", 200)
    whole = undisturbed(arena, *MIXED, "-q", "50")

    with arena.begun(*MIXED) as process:
        arena.wait_for_outputs(process, 12)
        process.kill()
        killed = arena.end(process)
    made_before = visible(arena.out)
    ended = arena.run(*MIXED, "-q", "50")

    assert killed.problems() == []
    assert made_before != {}
    assert ended.code == 0
    assert set(ended.statuses().values()) == {"done"}
    assert visible(arena.out) == whole
    assert leftovers(arena.out) == []


def test_run_right_after_a_killed_one_does_not_wait(slow: Arena, whole: Tree) -> None:
    # Workers of the killed one are still there, and may even finish their files.
    with slow.begun(*FAULTY) as process:
        assert slow.wait_for_outputs(process, 3)
        process.kill()
        process.wait()
        ended = slow.run(*FAULTY)
        orphans = alive_after(process.pid)

    assert ended.code == 0
    assert set(ended.statuses().values()) <= {"done", "skipped"}
    assert len(ended.rows) == SLOW_FILES
    assert orphans == []
    assert visible(slow.out) == whole
    assert finish(slow, FAULTY, whole).wrong() == []


def test_no_worker_outlives_the_command_even_if_it_hangs_in_c(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    hanging = [plant_deed(arena.photos, Deed.HANG_HOLDING_THE_GIL)]
    hanging.append(plant_deed(arena.photos, Deed.HANG_BUSILY))

    with arena.begun(*FAULTY) as process:
        wait_until(arena.mark("hanging").exists, process)
        assert workers_of(process.pid) != []
        process.kill()
        ended = arena.end(process)

    assert ended.problems() == []
    assert ended.said == ""
    assert visible(arena.out) == {}


# Two at once


def test_second_run_on_the_same_folder_is_refused_at_once(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    plant_deed(arena.photos, Deed.WAIT)
    plant_innocents(arena.photos, 5)

    with arena.begun(*FAULTY) as first:
        wait_until(arena.mark("waiting").exists, first)
        second = arena.run(*FAULTY)
        forced = arena.run(*FAULTY, "--force", "-q", "3")
        arena.mark("go").touch()
        ended = arena.end(first)

    assert (second.code, forced.code) == (2, 2)
    assert "another run" in second.said.lower()
    assert len(second.said.splitlines()) == 1
    assert ended.problems() == []
    assert ended.code == 0
    assert ended.statuses() == dict.fromkeys(visible(arena.photos), "done")
    made, sources = visible(arena.out), visible(arena.photos)
    assert sorted(made) == sorted(sources)
    assert all(same_pixels(made[name], sources[name]) for name in sources)
