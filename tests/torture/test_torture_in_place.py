"""In place: never a moment without a whole original or a whole result."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Final

import pytest
from toolkit.folders import planted
from toolkit.shared import folder_of, made_once
from torture.arena import Arena, Tree, leftovers, plant_deed, plant_innocents, seals, visible
from torture.deeds import Deed
from torture.ordeals import Originals, Verdict, undisturbed

WHAT: Final = ("resize", "photos", "-s", "150", "--jobs", "2")
KEPT: Final = ("--in-place", "--backup", "backup")
LOST: Final = ("--in-place", "--no-backup")
FILES: Final = 40


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """What each file becomes in an ordinary run."""

    def make(place: Path) -> Tree:
        arena = Arena(place)
        plant_innocents(arena.photos, FILES, ".jpg", 240)
        return undisturbed(arena, *WHAT, "-o", "out")

    return made_once(folder_of("ordinary", tmp_path_factory), make)


def prepared(arena: Arena, after: Tree, how: tuple[str, ...], files: int = FILES) -> Originals:
    names = plant_innocents(arena.photos, files, ".jpg", 240)
    backup = arena.place / "backup" if "--backup" in how else None
    wanted = {name: after[name] for name in names}
    return Originals(arena, (*WHAT, *how), visible(arena.photos), wanted, backup)


@pytest.mark.parametrize("how", [KEPT, LOST], ids=["backup", "no-backup"])
def test_whole_original_or_whole_result_exists_at_every_moment(
    tmp_path: Path, after: Tree, how: tuple[str, ...]
) -> None:
    originals = prepared(Arena(tmp_path), after, how)
    chance = random.Random(23)
    verdict = Verdict()

    for _ in range(3):
        verdict.add(originals.kill(chance))
    verdict.add(originals.finish())

    assert verdict.wrong() == []
    assert verdict.strikes > 0
    if how is LOST:
        assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
            "marks",
            "photos",
        ]


def test_nothing_is_compressed_twice(tmp_path: Path, after: Tree) -> None:
    originals = prepared(Arena(tmp_path), after, KEPT, 6)
    arena = originals.arena

    first = arena.run(*originals.words)

    assert first.code == 0
    assert visible(arena.photos) == originals.after
    assert visible(tmp_path / "backup") == originals.before
    assert first.rows["photos/a/0000.jpg"]["outputs"][0]["path"] == "photos/a/0000.jpg"

    before = seals(arena.photos)
    shutil.copy(tmp_path / "backup/a/0000.jpg", arena.photos / "new.jpg")
    ended = arena.run(*originals.words)

    assert ended.code == 0
    assert ended.statuses() == {**dict.fromkeys(originals.before, "skipped"), "new.jpg": "done"}
    assert ended.rows["photos/a/0000.jpg"]["reason"] == "up to date"
    now = seals(arena.photos)
    del now["new.jpg"]
    assert now == before
    assert visible(arena.photos)["new.jpg"] == originals.after["a/0000.jpg"]


def test_dying_worker_harms_no_original(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    guilty = plant_deed(arena.photos, Deed.KILL_ITSELF)
    names = plant_innocents(arena.photos, 5)
    before = visible(arena.photos)

    ended = arena.run(
        *("filter", "photos", "--filter", "fault", "--filter", "invert", "--jobs", "2", *KEPT)
    )

    assert ended.statuses() == {**dict.fromkeys(names, "done"), guilty: "failed"}
    now = visible(arena.photos)
    assert now[guilty] == before[guilty]
    assert all(now[name] != before[name] for name in names)
    assert leftovers(arena.photos) == leftovers(tmp_path / "backup") == []
    assert {name: before[name] for name in names} == {
        name: data for name, data in visible(tmp_path / "backup").items() if name != guilty
    }


def test_broken_originals_are_left_alone_and_others_keep_mode_and_owner(
    tmp_path: Path, after: Tree
) -> None:
    originals = prepared(Arena(tmp_path), after, LOST, 3)
    whole = originals.before["a/0000.jpg"]
    broken = whole[: len(whole) // 2]
    planted(originals.arena.photos, broken, "broken.jpg")
    file = originals.arena.photos / "a/0000.jpg"
    file.chmod(0o640)
    if os.getuid() == 0:
        os.chown(file, 1234, 2345)
    before = file.stat()

    ended = originals.arena.run(*originals.words)

    assert ended.code == 1
    assert ended.statuses()["broken.jpg"] == "failed"
    assert visible(originals.arena.photos) == {**originals.after, "broken.jpg": broken}
    now = file.stat()
    assert (now.st_mode, now.st_uid, now.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


def test_backup_with_other_content_is_never_overwritten(tmp_path: Path, after: Tree) -> None:
    originals = prepared(Arena(tmp_path), after, KEPT, 3)
    planted(tmp_path, b"precious", "backup/a/0000.jpg")

    ended = originals.arena.run(*originals.words)

    assert ended.code in (1, 2)
    assert (tmp_path / "backup/a/0000.jpg").read_bytes() == b"precious"
    assert visible(originals.arena.photos)["a/0000.jpg"] == originals.before["a/0000.jpg"]


@pytest.mark.parametrize(
    "words",
    [
        "resize photos --in-place",
        "resize photos --in-place --backup backup --no-backup",
        "resize photos --in-place --no-backup -o out",
        "resize photos --in-place --no-backup --flat",
        "resize photos --in-place --no-backup -s 100 -s 50",
        "resize photos --in-place --no-backup -f webp",
        "resize photos --backup backup",
    ],
)
def test_invalid_options_in_place_are_refused(tmp_path: Path, words: str) -> None:
    arena = Arena(tmp_path)
    plant_innocents(arena.photos, 3, ".jpg")
    before = seals(arena.photos)

    ended = arena.run(*words.split())

    assert ended.code == 2
    assert seals(arena.photos) == before
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "backup").exists()
