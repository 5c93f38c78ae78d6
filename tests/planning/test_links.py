"""Links among the sources: followed, each folder once, unless --no-links passes over them."""

from __future__ import annotations

from pathlib import Path

import pytest
from toolkit.commands import imgbatch_here
from toolkit.folders import SMALL, plant

import imgbatch


@pytest.fixture
def shoot(tmp_path: Path) -> Path:
    """A shoot with links to a file, to a folder, to itself and to nothing."""
    plant(tmp_path / "elsewhere", "day 2/b.jpg", "c.jpg", data=SMALL)
    shoot = plant(tmp_path / "shoot", "a.jpg")
    (shoot / "färben").symlink_to("../elsewhere/day 2")
    (shoot / "c.jpg").symlink_to(tmp_path / "elsewhere/c.jpg")
    (shoot / "again").symlink_to(".")
    (shoot / "lost.jpg").symlink_to("nowhere.jpg")
    return shoot


def planned(tmp_path: Path, *words: str) -> list[str]:
    """The sources of a dry run."""
    run = imgbatch_here("resize", *words, "-o", "out", "-n", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    return [line.partition(" -> ")[0] for line in run.stdout.decode().splitlines()]


def test_links_are_followed_each_folder_once(tmp_path: Path, shoot: Path) -> None:
    assert planned(tmp_path, "shoot") == ["shoot/a.jpg", "shoot/c.jpg", "shoot/färben/b.jpg"]


def test_no_links_passes_over_links_to_files_and_folders(tmp_path: Path, shoot: Path) -> None:
    assert planned(tmp_path, "shoot", "--no-links") == ["shoot/a.jpg"]


def test_links_named_themselves_are_followed(tmp_path: Path, shoot: Path) -> None:
    named = planned(tmp_path, "shoot/färben", "shoot/c.jpg", "--no-links")

    assert named == ["shoot/färben/b.jpg", "shoot/c.jpg"]


def test_in_place_links_that_are_passed_over_refuse_nothing(tmp_path: Path, shoot: Path) -> None:
    words = ("resize", "shoot", "--in-place", "--no-backup", "-n")

    refused = imgbatch_here(*words, cwd=tmp_path)
    run = imgbatch_here(*words, "--no-links", cwd=tmp_path)

    assert (refused.returncode, run.returncode) == (2, 0)
    assert run.stdout.decode() == "shoot/a.jpg is replaced\n"


def test_passed_over_links_are_told_where_nothing_else_is(tmp_path: Path, shoot: Path) -> None:
    (shoot / "a.jpg").unlink()

    run = imgbatch_here("resize", "shoot", "-o", "out", "--no-links", cwd=tmp_path)

    assert run.returncode == 3
    assert b"(4 links left out by --no-links)" in run.stderr


def test_links_is_an_argument_in_python(tmp_path: Path, shoot: Path) -> None:
    recipe = imgbatch.Recipe.from_options()

    results = imgbatch.run(recipe, [shoot], output=tmp_path / "out", links=False, jobs=1)

    assert [result.source.relative for result in results] == ["a.jpg"]
