"""What a journal remembers of finished files: reruns tell it as the first run did."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from toolkit.commands import CompletedText, imgbatch_text
from toolkit.folders import files, planted
from toolkit.pictures import saved, scene
from toolkit.runs import JOURNAL, in_place, picture, rewrite

import imgbatch
from imgbatch.recipes.recipe import Recipe

TO_JPEG = Recipe.from_options(sizes=["large=30", "small=20"], format="jpeg")


@pytest.fixture
def shoot(tmp_path: Path) -> Path:
    """A photograph, and a picture with transparency, which a JPEG cannot hold."""
    picture(tmp_path / "in/a b.bmp")
    clear = Image.fromarray(scene(60, 40)).convert("RGBA")
    clear.putalpha(100)
    clear.save(tmp_path / "in/klär.png")
    return tmp_path / "in"


def made(shoot: Path, **options: Any) -> dict[str, imgbatch.Result]:
    out = shoot.parent / "out"
    results = imgbatch.run(TO_JPEG, [shoot], output=out, jobs=1, **options)
    return {result.source.relative: result for result in results}


def essence(result: imgbatch.Result) -> tuple[Any, ...]:
    return result.written, [(notice.kind, notice.message) for notice in result.notices]


def forget(out: Path, *columns: str) -> None:
    """Leave the journal as a version of imgbatch that has no such columns writes it."""
    with closing(sqlite3.connect(out / JOURNAL)) as journal:
        for column in columns:
            journal.execute(f"ALTER TABLE output DROP COLUMN {column}")
        journal.commit()


def test_up_to_date_results_have_the_files_and_warnings_of_the_first_run(shoot: Path) -> None:
    first = made(shoot)
    again = made(shoot)

    assert {result.reason for result in again.values()} == {"up to date"}
    assert {name: essence(one) for name, one in again.items()} == {
        name: essence(one) for name, one in first.items()
    }
    assert len(again["a b.bmp"].written) == 2
    assert [notice.kind for notice in again["klär.png"].notices] == ["alpha-flattened"]


def test_touched_source_that_is_up_to_date_has_them_too(shoot: Path) -> None:
    first = made(shoot)
    rewrite(shoot / "klär.png", (shoot / "klär.png").read_bytes())

    again = made(shoot)["klär.png"]

    assert (again.status, again.reason) == ("skipped", "up to date")
    assert essence(again) == essence(first["klär.png"])
    assert made(shoot, strict=True)["klär.png"].status == "failed"


@pytest.mark.parametrize("before", ["up to date", "touched", "one output is missing"])
def test_strict_does_not_depend_on_what_was_made_before(shoot: Path, before: str) -> None:
    fresh = made(shoot, strict=True)["klär.png"].failure
    assert fresh is not None
    made(shoot)
    out = shoot.parent / "out"
    if before == "touched":
        rewrite(shoot / "klär.png", (shoot / "klär.png").read_bytes())
    elif before == "one output is missing":
        (out / "klär-small.jpg").unlink()
    left = files(out)

    again = made(shoot, strict=True)

    failure = again["klär.png"].failure
    assert failure is not None
    assert (failure.stage, failure.kind) == (fresh.stage, fresh.kind)
    assert failure.message.startswith(fresh.message.removesuffix(")"))
    assert again["a b.bmp"].status == "skipped"
    assert files(out) == left


def test_warning_of_an_output_that_is_kept_is_told_with_those_made_again(shoot: Path) -> None:
    made(shoot)
    (shoot.parent / "out/klär-small.jpg").unlink()

    result = made(shoot)["klär.png"]

    assert [one.output for one in result.written] == ["small"]
    assert [notice.kind for notice in result.notices] == ["alpha-flattened"]


def resize(shoot: Path, *words: str) -> CompletedText:
    return imgbatch_text("convert", "in", "-o", "out", "-f", "jpeg", *words, cwd=shoot.parent)


def test_rerun_tells_warnings_in_summary_report_and_exit_code(shoot: Path) -> None:
    resize(shoot)
    (shoot / "zweites.png").write_bytes((shoot / "klär.png").read_bytes())
    mixed = resize(shoot)
    again = resize(shoot, "-v", "--report", "report.jsonl")
    strict = resize(shoot, "--strict")
    (shoot / "klär.png").chmod(0o600)
    planned = resize(shoot, "--strict", "-n")

    assert "1 done, 2 up to date, 2 warnings in out" in mixed.stderr
    assert "(1 of them up to date, made with this warning)" in mixed.stderr
    assert "3 up to date, 2 warnings in out" in again.stderr
    assert "warning: 2 × alpha-flattened: first in/klär.png: " in again.stderr
    assert "(up to date, made with this warning)" in again.stderr
    assert "in/klär.png skipped: up to date\n  warning: transparency" in again.stderr
    lines = (shoot.parent / "report.jsonl").read_text().splitlines()
    rows = {row["source"]: row for row in map(json.loads, lines) if "source" in row}
    output = {"path": "out/klär.jpg", "width": 60, "height": 40, "format": "jpeg"}
    assert rows["in/klär.png"]["outputs"][0].items() >= output.items()
    size = (shoot.parent / "out/klär.jpg").stat().st_size
    assert rows["in/klär.png"]["outputs"][0]["bytes"] == size
    assert rows["in/klär.png"]["warnings"][0]["kind"] == "alpha-flattened"
    assert strict.returncode == 1
    assert "1 up to date, 2 failed in out" in strict.stderr
    assert "in/klär.png failed: transparency" in planned.stdout
    assert "3 files: 0 to do, 1 up to date, 2 failed (dry run" in planned.stderr


def test_journal_without_these_columns_is_read_and_gets_them(shoot: Path) -> None:
    made(shoot)
    out = shoot.parent / "out"
    forget(out, "about", "warnings")

    again = made(shoot)
    assert {(one.reason, one.written) for one in again.values()} == {("up to date", ())}
    made(shoot, force=True)

    assert made(shoot)["klär.png"].notices
    with closing(sqlite3.connect(out / JOURNAL)) as journal:
        assert journal.execute("PRAGMA user_version").fetchone() == (2,)


@pytest.mark.parametrize(
    ("column", "value"),
    [("about", "[1]"), ("about", "\0"), ("warnings", "[[1, 2]]"), ("hash", 1), ("about", b"\xff")],
)
def test_what_does_not_belong_to_the_file_is_not_believed(
    shoot: Path, column: str, value: Any
) -> None:
    """An earlier version remakes files without these columns, and anybody may edit a journal."""
    made(shoot)
    with closing(sqlite3.connect(shoot.parent / "out" / JOURNAL)) as journal:
        journal.execute(f"UPDATE output SET {column} = ?", (value,))
        journal.commit()

    again = made(shoot, strict=True)["klär.png"]

    assert (again.status, again.written, again.notices) == ("skipped", (), ())


def test_in_place_reruns_tell_their_warnings(tmp_path: Path) -> None:
    animated = saved(scene(60, 40), "PNG", save_all=True, append_images=[])
    planted(tmp_path / "in", animated, "plain.png")
    cut = saved(scene(60, 40), "JPEG")
    planted(tmp_path / "in", cut[: len(cut) * 2 // 3], "cut.jpg")
    options: dict[str, Any] = {"salvage": True, "backup": str(tmp_path / "backup")}
    in_place(tmp_path / "in", **options)

    assert in_place(tmp_path / "in", **options) == {
        "plain.png": "up to date",
        "cut.jpg": "up to date",
    }
    strict = in_place(tmp_path / "in", strict=True, **options)
    assert strict["plain.png"] == "up to date"
    assert "--strict was given" in strict["cut.jpg"]
