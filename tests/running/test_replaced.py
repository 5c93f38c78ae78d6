"""Why files are remade is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from toolkit.commands import imgbatch_text
from toolkit.reports import rows
from toolkit.runs import picture, rewrite

import imgbatch
from imgbatch.recipes.recipe import Recipe

SMALL = Recipe.from_options(sizes=["30"], format="jpeg")
SMALLER = Recipe.from_options(sizes=["20"], format="jpeg")


def made(tmp_path: Path, recipe: Recipe = SMALL, **options: Any) -> imgbatch.Summary:
    summary = imgbatch.Summary()
    for result in imgbatch.run(recipe, [tmp_path / "in"], output=tmp_path / "out", **options):
        summary.add(result)
    return summary


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = picture(tmp_path / "in/a.bmp")
    assert made(tmp_path, jobs=1).replaced == {}
    return file


def test_other_options(tmp_path: Path, source: Path) -> None:
    assert made(tmp_path, SMALLER, jobs=1).replaced == {"options": 1}
    assert made(tmp_path, SMALLER, jobs=1).replaced == {}


def test_changed_source(tmp_path: Path, source: Path) -> None:
    picture(source, 50)
    assert made(tmp_path, jobs=1).replaced == {"source": 1}


def test_source_edited_with_its_time_kept(tmp_path: Path, source: Path) -> None:
    rewrite(source, picture(tmp_path / "other.bmp", 90).read_bytes())
    assert made(tmp_path, jobs=1).replaced == {"source": 1}


def test_force(tmp_path: Path, source: Path) -> None:
    assert made(tmp_path, force=True, jobs=1).replaced == {"force": 1}


def test_emptied_output(tmp_path: Path, source: Path) -> None:
    (tmp_path / "out/a.jpg").write_bytes(b"")
    assert made(tmp_path, jobs=1).replaced == {"damaged": 1}


def test_missing_output_replaces_nothing(tmp_path: Path, source: Path) -> None:
    (tmp_path / "out/a.jpg").unlink()
    assert made(tmp_path, SMALLER, jobs=1).replaced == {}


def test_file_of_somebody_else(tmp_path: Path, source: Path) -> None:
    (tmp_path / "out/a.jpg").write_bytes(b"mine")
    assert made(tmp_path, on_conflict="overwrite", jobs=1).replaced == {"conflict": 1}


def test_summary_and_report_tell_it_once_for_each_source(tmp_path: Path, source: Path) -> None:
    picture(tmp_path / "in/b.bmp")
    words = ("resize", "in", "-o", "out", "-f", "jpeg", "--report", "-")
    run = imgbatch_text(*words, "-s", "20", cwd=tmp_path)
    forced = imgbatch_text(*words, "-s", "20", "--force", cwd=tmp_path)

    assert "2 done (1 replaced: made with other options before) in out" in run.stderr
    files, summary = rows(run.stdout.encode())
    assert files["in/a.bmp"]["outputs"][0]["replaced"] == "options"
    assert "replaced" not in files["in/b.bmp"]["outputs"][0]
    assert summary["replaced"] == {"options": 1}
    assert "2 done in out" in forced.stderr
