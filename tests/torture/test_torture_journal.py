"""A rerun does only what is left, whatever happened to sources, outputs and the journal."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from toolkit.folders import planted
from toolkit.pictures import saved, scene
from torture.arena import (
    JOURNAL,
    Arena,
    Ended,
    leftovers,
    plant_deed,
    plant_innocents,
    seals,
    visible,
    wait_until,
)
from torture.deeds import Deed

WORDS: Final = ("resize", "photos", "-s", "30", "-o", "out", "--jobs", "2")
FILES: Final = 7
OTHER: Final = saved(scene(55, 35)[::-1], "JPEG")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    """Sources, and the outputs of a first run."""
    arena = Arena(tmp_path_factory.mktemp("made"))
    plant_innocents(arena.photos, FILES, ".jpg")
    assert arena.run(*WORDS).code == 0
    assert len(visible(arena.out)) == FILES
    shutil.copytree(arena.photos, arena.place / "kept/photos")
    shutil.copytree(arena.out, arena.place / "kept/out")
    return arena


@pytest.fixture
def made(pristine: Arena) -> Arena:
    """The same place (the journal knows it by path), restored to its state after that run."""
    for folder in (pristine.photos, pristine.out):
        shutil.rmtree(folder)
        shutil.copytree(pristine.place / "kept" / folder.name, folder)
    return pristine


def remade(arena: Arena, *words: str) -> tuple[Ended, set[str]]:
    """Run again; return the files that were rewritten (or written for the first time)."""
    before = seals(arena.out)
    ended = arena.run(*WORDS, *words)
    assert ended.code == 0, ended.said
    assert leftovers(arena.out) == []
    return ended, {name for name, seal in seals(arena.out).items() if before.get(name) != seal}


def all_but(arena: Arena, *done: str) -> dict[str, str]:
    """The statuses of a run that made only these."""
    return {name: "done" if name in done else "skipped" for name in visible(arena.photos)}


FIRST: Final = "a/0000.jpg"


def test_nothing_is_made_twice(made: Arena) -> None:
    ended, rewritten = remade(made)

    assert rewritten == set()
    assert ended.statuses() == all_but(made)
    assert {row["reason"] for row in ended.rows.values()} == {"up to date"}
    assert (ended.summary["done"], ended.summary["skipped"]) == (0, FILES)


def test_exactly_what_changed_is_remade(made: Arena, tmp_path: Path) -> None:
    fresh = Arena(tmp_path)
    changed, newer, missing, emptied, removed, *_ = sorted(visible(made.photos))
    planted(made.photos, OTHER, changed)
    stat = (made.photos / newer).stat()
    os.utime(made.photos / newer, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    (made.out / missing).unlink()
    (made.out / emptied).write_bytes(b"")
    (made.photos / removed).unlink()
    planted(made.photos, OTHER, "added.jpg")
    expected = {changed, newer, missing, emptied, "added.jpg"}

    ended, rewritten = remade(made)

    assert ended.statuses() == all_but(made, *expected)
    assert rewritten == expected
    shutil.copytree(made.photos, fresh.photos)
    assert fresh.run(*WORDS).code == 0
    now = visible(made.out)
    # Removing a source removes nothing.
    assert len(now.pop(removed)) > 0
    assert now == visible(fresh.out)
    assert remade(made)[1] == set()


@pytest.mark.parametrize("words", [("-q", "31"), ("--filter", "invert")])
def test_other_options_remake_everything(made: Arena, words: tuple[str, ...]) -> None:
    before = visible(made.out)

    ended, rewritten = remade(made, *words)

    assert set(ended.statuses().values()) == {"done"}
    assert rewritten == set(before)
    now = visible(made.out)
    assert all(now[name] != before[name] for name in before)


def test_missing_one_of_two_outputs_is_remade(made: Arena) -> None:
    words = (*WORDS, "-s", "small=x10", "-o", "two")
    assert made.run(*words).code == 0
    two = made.place / "two"
    before = visible(two)
    (two / sorted(before)[0]).unlink()

    ended = made.run(*words)

    assert ended.code == 0
    assert sorted(ended.statuses().values()) == ["done"] + ["skipped"] * (FILES - 1)
    assert visible(two) == before


def test_changed_output_is_refused_by_default(made: Arena) -> None:
    before = visible(made.out)
    with open(made.out / FIRST, "ab") as file:
        file.write(b"precious")
    altered = visible(made.out)

    for words in ((), ("--force",)):
        refused = made.run(*WORDS, *words)
        assert refused.code == 2
        assert FIRST in refused.said
        assert visible(made.out) == altered

    skipped = made.run(*WORDS, "--on-conflict", "skip")
    assert skipped.code == 0
    assert visible(made.out) == altered
    assert skipped.statuses() == all_but(made)

    ended, rewritten = remade(made, "--on-conflict", "overwrite")
    assert rewritten == {FIRST}
    assert ended.statuses() == all_but(made, FIRST)
    assert visible(made.out) == before


def test_foreign_file_among_own_ones_is_refused(made: Arena) -> None:
    planted(made.photos, OTHER, "new.jpg")
    planted(made.out, b"precious", "new.jpg")
    before = seals(made.out)

    ended = made.run(*WORDS)

    assert ended.code == 2
    assert seals(made.out) == before


def test_force_remakes_everything(made: Arena) -> None:
    before = visible(made.out)

    ended, rewritten = remade(made, "--force")

    assert rewritten == set(before)
    assert set(ended.statuses().values()) == {"done"}
    assert visible(made.out) == before
    assert remade(made)[1] == set()


def test_failed_file_is_tried_again(made: Arena) -> None:
    planted(made.photos, OTHER[:-200], "new.jpg")
    assert made.run(*WORDS).code == 1
    assert made.run(*WORDS).statuses() == {**all_but(made), "new.jpg": "failed"}
    planted(made.photos, OTHER, "new.jpg")

    assert remade(made)[1] == {"new.jpg"}


def test_source_changed_during_the_run_is_remade_by_the_next(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    words = ("filter", "photos", "--filter", "fault", "-o", "out", "--jobs", "1")
    plant_deed(arena.photos, Deed.WAIT, 100)
    changing = plant_innocents(arena.photos, 3)[0]

    with arena.begun(*words) as process:
        wait_until(arena.mark("waiting").exists, process)
        planted(arena.photos, saved(scene(44, 33), "PNG"), changing)
        arena.mark("go").touch()
        first = arena.end(process)
    second = arena.run(*words)

    assert (first.problems(), first.code) == ([], 0)
    assert second.code == 0
    done = {name for name, status in second.statuses().items() if status == "done"}
    assert done == {changing}
    assert arena.run(*words).summary["skipped"] == 4


# The journal itself


def randomised(journal: Path) -> None:
    journal.write_bytes(random.Random(1).randbytes(20_000))


def damaged_inside(journal: Path) -> None:
    """With a valid header, so that it can be opened."""
    data = bytearray(journal.read_bytes())
    data[200:] = random.Random(2).randbytes(len(data) - 200)
    journal.write_bytes(data)


def foreign(journal: Path) -> None:
    journal.unlink()
    database = sqlite3.connect(journal)
    database.execute("CREATE TABLE accounts (name TEXT, balance INTEGER)")
    database.execute("INSERT INTO accounts VALUES ('Ada', 100)")
    database.commit()
    database.close()


def folder(journal: Path) -> None:
    journal.unlink()
    (journal / "with").mkdir(parents=True)


@pytest.mark.parametrize("spoil", [randomised, damaged_inside, foreign, folder])
def test_corrupt_journal_is_set_aside_with_a_warning(
    made: Arena, spoil: Callable[[Path], None]
) -> None:
    journal = made.out / JOURNAL / "journal.sqlite"
    for beside in ("-wal", "-shm"):
        Path(f"{journal}{beside}").unlink(missing_ok=True)
    spoil(journal)
    before = visible(made.out)

    ended, rewritten = remade(made, "--on-conflict", "overwrite")

    # Existing outputs were unknown, so they counted as foreign.
    assert "journal" in ended.said
    assert "set aside" in ended.said
    assert rewritten == set(before)
    assert visible(made.out) == before
    assert len(list((made.out / JOURNAL).iterdir())) > 1, "it was thrown away"
    again, rewritten = remade(made)
    assert rewritten == set()
    assert "journal" not in again.said


def test_refusal_after_losing_the_journal_says_so(made: Arena) -> None:
    randomised(made.out / JOURNAL / "journal.sqlite")
    before = seals(made.out)

    ended = made.run(*WORDS)

    assert ended.code == 2
    assert "journal" in ended.said
    assert seals(made.out) == before
