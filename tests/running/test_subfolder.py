"""--subfolder: outputs beside their originals, which no later run takes for originals."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest
from toolkit.commands import imgbatch, imgbatch_here
from toolkit.folders import files, plant

import imgbatch as library
from imgbatch.recipes.recipe import Recipe

ORIGINALS = ["a.jpg", "day 1/b.jpg", "day 1/ü/c.jpg"]
BESIDE = ["day 1/web/b.jpg", "day 1/ü/web/c.jpg", "web/a.jpg"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    plant(tmp_path / "shoot", *ORIGINALS)
    return tmp_path


def made(place: Path, typed: str) -> str:
    """Standard error of a run that goes well."""
    run = imgbatch(*shlex.split(typed), cwd=place)
    assert run.returncode == 0, run.stderr.decode()
    return run.stderr.decode()


def planned(place: Path, typed: str) -> list[str]:
    run = imgbatch_here(*shlex.split(typed), "-n", cwd=place)
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout.decode().splitlines()


def test_outputs_go_beside_their_originals_and_stay_up_to_date(place: Path) -> None:
    first = made(place, "resize shoot -s 20 --subfolder web")
    again = made(place, "resize shoot -s 20 --subfolder web")

    assert files(place / "shoot") == sorted([*ORIGINALS, *BESIDE])
    assert first.startswith("3 done in web beside the originals · ")
    assert again.splitlines() == [
        "3 up to date in web beside the originals",
        "left out: 3 outputs of earlier runs (--include-outputs)",
    ]


def test_no_later_run_takes_them_for_originals(place: Path) -> None:
    made(place, "resize shoot -s 20 --subfolder web")

    sources = [f"shoot/{name}" for name in ORIGINALS]
    for typed in (
        "resize shoot -o out",
        "resize shoot --subfolder thumb",
        "resize . -o out",
        "resize shoot --in-place --no-backup",
    ):
        told = [line.removeprefix("./") for line in planned(place, typed)]
        assert [line.split(" -> ")[0].removesuffix(" is replaced") for line in told] == sources
    told = planned(place, "resize shoot --subfolder thumb")
    assert told[1] == "shoot/day 1/b.jpg -> shoot/day 1/thumb/b.jpg"
    # What is named itself is taken.
    assert planned(place, "resize shoot/web -o out") == ["shoot/web/a.jpg -> out/a.jpg"]


@pytest.mark.parametrize(
    ("cwd", "typed"),
    [
        ("", "resize 'shoot/day 1' -s 20 --subfolder web"),
        ("", "resize shoot/a.jpg 'shoot/day 1/b.jpg' -s 20 --subfolder web"),
        ("", "resize 'shoot/day 1/ü/c.jpg' -s 20 --subfolder web"),
        ("shoot", "resize . -s 20 --subfolder web"),
        ("shoot/day 1", "resize . -s 20 --subfolder ./web/"),
        ("shoot/day 1", "resize b.jpg -s 20 --subfolder web"),
        ("shoot/day 1", "resize ../a.jpg -s 20 --subfolder web"),
    ],
)
def test_part_of_a_tree_is_up_to_date_too(place: Path, cwd: str, typed: str) -> None:
    made(place, "resize shoot -s 20 --subfolder web")

    assert {line.rpartition(" skipped: ")[2] for line in planned(place / cwd, typed)} == {
        "up to date"
    }


@pytest.mark.parametrize(
    "first", ["'shoot/day 1' --subfolder web", "'shoot/day 1/b.jpg' -o 'shoot/day 1/web/b.jpg'"]
)
def test_what_runs_over_parts_made_is_known_to_one_over_all(place: Path, first: str) -> None:
    size = "resize -s 20"
    made(place, f"{size} {first}")
    assert "exists" not in made(place, f"{size} shoot --subfolder web")

    for again in ("shoot --subfolder web", "'shoot/day 1' --subfolder web"):
        assert "up to date" in made(place, f"{size} {again}")
    assert "3 done (3 replaced" in made(place, "resize -s 10 shoot --subfolder web")
    assert "2 up to date" in made(place, "resize -s 10 'shoot/day 1' --subfolder web")
    assert files(place / "shoot") == sorted(ORIGINALS + BESIDE)


def test_moved_tree_is_up_to_date(place: Path) -> None:
    made(place, "resize shoot -s 20 --subfolder web")
    shutil.move(place / "shoot", place / "moved")

    assert made(place, "resize moved -s 20 --subfolder web").startswith("3 up to date")


def test_several_folders_have_one_journal(place: Path) -> None:
    plant(place, "other/d.jpg")
    typed = "resize shoot other -s 20 --subfolder web"
    made(place, typed)

    assert files(place / "other") == ["d.jpg", "web/d.jpg"]
    assert files(place / "shoot") == sorted([*ORIGINALS, *BESIDE])
    assert made(place, typed).startswith("4 up to date")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("--subfolder web --name '{parent}-{dir}{seq}'", "shoot/day 1/web/day 1-2.jpg"),
        ("--subfolder out/web -f webp", "shoot/day 1/out/web/b.webp"),
        ("--subfolder '{stem} é'", "shoot/day 1/{stem} é/b.jpg"),
    ],
)
def test_names_below_the_subfolder(place: Path, words: str, name: str) -> None:
    assert f"shoot/day 1/b.jpg -> {name}" in planned(place, f"resize shoot {words}")


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("--subfolder ../web", "for another place use --output"),
        ("--subfolder a/../b", "for another place use --output"),
        ("--subfolder /web", "for another place use --output"),
        ("--subfolder ./", "for another place use --output"),
        ("--subfolder ''", "is a variable empty?"),
        ("--subfolder .imgbatch", "where imgbatch keeps its journal"),
        ("--subfolder a/.IMGBATCH/b", "where imgbatch keeps its journal"),
        ("--subfolder web -o out", "omit it, or --output"),
        ("--subfolder web --flat", "omit it, or --flat"),
        ("--subfolder web --in-place --no-backup", "omit it, or --subfolder"),
        ("../{} --subfolder web", "run it once for each"),
    ],
)
def test_other_places_are_refused(place: Path, words: str, remedy: str) -> None:
    before = files(place)
    run = imgbatch_here("resize", "shoot", *shlex.split(words.format(place.name)), cwd=place)

    assert remedy in run.stderr.decode()
    assert run.returncode == 2
    assert files(place) == before
    assert not (place / "shoot/.imgbatch").exists()


def test_somebody_elses_file_there_stays(place: Path) -> None:
    plant(place, "shoot/web/a.jpg", data=b"mine")
    run = imgbatch_here("resize", "shoot/a.jpg", "--subfolder", "web", cwd=place)

    assert b"shoot/web/a.jpg exists already" in run.stderr
    assert (run.returncode, (place / "shoot/web/a.jpg").read_bytes()) == (2, b"mine")


def test_python_has_it_too(place: Path) -> None:
    recipe = Recipe.from_options(sizes=["20"])
    results = list(library.run(recipe, [place / "shoot"], subfolder="web", jobs=1))

    assert [one.status for one in results] == ["done"] * 3
    assert files(place / "shoot") == sorted([*ORIGINALS, *BESIDE])
