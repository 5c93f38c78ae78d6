"""Outputs of earlier runs are no originals: folders inside the shoot, names beside, moves."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest
from toolkit.commands import Completed, Word, imgbatch, imgbatch_text
from toolkit.folders import files, plant

from imgbatch.planning.own_outputs import _Moves
from imgbatch.store.journal import APPLICATION

BESIDE = ("--name", "{stem}-web{ext}")

Made = Callable[..., Completed]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Runs `resize -s 20` in a folder that has `s/a.jpg` and `s/sub/b.jpg`; it must go well."""
    plant(tmp_path, "s/a.jpg", "s/sub/b.jpg")

    def run(*words: Word) -> Completed:
        done = imgbatch("resize", *words, "-s", "20", cwd=tmp_path)
        assert done.returncode == 0, done.stderr.decode()
        return done

    return run


def left_out(run: Completed) -> str:
    lines = run.stderr.decode().splitlines()
    return next((line for line in lines if line.startswith("left out: ")), "")


def test_folder_of_outputs_in_the_shoot_is_no_source(tmp_path: Path, made: Made) -> None:
    made("s", "-o", "s/web")
    run = made("s", "-o", "s/thumbs")

    assert files(tmp_path / "s/thumbs") == ["a.jpg", "sub/b.jpg"]
    assert left_out(run) == "left out: 2 outputs of earlier runs (--include-outputs)"


def test_outputs_beside_their_originals_are_no_sources(tmp_path: Path, made: Made) -> None:
    first = made("s", "-o", "s", *BESIDE)
    again = made("s", "-o", "s", *BESIDE)

    assert files(tmp_path / "s") == ["a-web.jpg", "a.jpg", "sub/b-web.jpg", "sub/b.jpg"]
    assert left_out(first) == ""
    assert left_out(again) == "left out: 2 outputs of earlier runs (--include-outputs)"


def test_outputs_beside_their_originals_are_none_for_another_run(
    tmp_path: Path, made: Made
) -> None:
    made("s", "-o", "s", *BESIDE)
    made("s", "-o", "out")
    made("s/sub", "-o", "below")
    made(".", "-o", "all", "--exclude", "out/*", "--exclude", "below/*")

    assert files(tmp_path / "out") == ["a.jpg", "sub/b.jpg"]
    assert files(tmp_path / "below") == ["b.jpg"]
    assert files(tmp_path / "all") == ["s/a.jpg", "s/sub/b.jpg"]


def test_files_that_a_shell_finds_are_told_apart(tmp_path: Path, made: Made) -> None:
    made("s/a.jpg", "-o", "s", *BESIDE)
    run = made("s/a-web.jpg", "s/a.jpg", "-o", "s", *BESIDE)

    assert files(tmp_path / "s") == ["a-web.jpg", "a.jpg", "sub/b.jpg"]
    assert left_out(run) == "left out: 1 output of earlier runs (--include-outputs)"


def test_output_named_without_its_original_is_taken(tmp_path: Path, made: Made) -> None:
    made("s/a.jpg", "-o", "s", *BESIDE)
    made("s/a-web.jpg", "-o", "out")

    assert files(tmp_path / "out") == ["a-web.jpg"]


def test_folder_of_outputs_that_is_named_is_taken(tmp_path: Path, made: Made) -> None:
    made("s", "-o", "s/web")

    assert left_out(made("s/web", "-o", "out")) == ""
    assert left_out(made("s/web/sub", "-o", "below")) == ""
    assert files(tmp_path / "out") == ["a.jpg", "sub/b.jpg"]
    assert files(tmp_path / "below") == ["b.jpg"]


def test_include_outputs_takes_them(tmp_path: Path, made: Made) -> None:
    made("s", "-o", "s/web")
    run = made("s", "-o", "out", "--include-outputs")

    assert files(tmp_path / "out") == ["a.jpg", "sub/b.jpg", "web/a.jpg", "web/sub/b.jpg"]
    assert left_out(run) == ""


def test_own_output_folder_is_never_a_source(tmp_path: Path, made: Made) -> None:
    made("s", "-o", "s/web")
    made("s", "-o", "s/web", "--include-outputs")

    assert files(tmp_path / "s/web") == ["a.jpg", "sub/b.jpg"]


def test_in_place_leaves_outputs_alone(tmp_path: Path, made: Made) -> None:
    made("s", "-o", "s/web")
    before = (tmp_path / "s/web/a.jpg").read_bytes()
    run = imgbatch_text(
        *("resize", "s", "-s", "10", "--in-place", "--backup", "s/kept"), cwd=tmp_path
    )

    assert run.returncode == 0
    assert "2 done" in run.stderr
    assert (tmp_path / "s/web/a.jpg").read_bytes() == before


def test_backups_are_no_originals(tmp_path: Path, made: Made) -> None:
    made("s", "--in-place", "--backup", "s/kept")
    made("s", "-o", "out")
    made("s/kept", "-o", "again")

    assert files(tmp_path / "out") == ["a.jpg", "sub/b.jpg"]
    assert files(tmp_path / "again") == ["a.jpg", "sub/b.jpg"]


@pytest.mark.parametrize("place", ["s", "moved/s", "moved/t"])
@pytest.mark.parametrize("keep", [False, True])
def test_pictures_changed_in_place_are_originals(
    tmp_path: Path, made: Made, place: str, keep: bool
) -> None:
    made("s", "--in-place", "--no-backup")
    if place != "s":
        shutil.copytree(tmp_path / "s", tmp_path / place)
        if not keep:
            shutil.rmtree(tmp_path / "s")
    made(".", "-o", "out")

    originals = {"s", place} if keep else {place}
    assert set(files(tmp_path / "out")) == {
        f"{one}/{name}" for one in originals for name in ("a.jpg", "sub/b.jpg")
    }


def test_pictures_changed_in_place_through_a_link_are_originals(tmp_path: Path, made: Made) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "s")
    made("link/sub", "--in-place", "--no-backup")
    made("s", "-o", "out")

    assert files(tmp_path / "out") == ["a.jpg", "sub/b.jpg"]


def test_outputs_made_through_a_link_are_known(tmp_path: Path, made: Made) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "s")
    made("link", "-o", "link", *BESIDE)
    made("s", "-o", "s", *BESIDE)

    assert files(tmp_path / "s") == ["a-web.jpg", "a.jpg", "sub/b-web.jpg", "sub/b.jpg"]


@pytest.mark.parametrize("scanned", ["t", "."])
def test_moved_shoot_still_knows_its_outputs(tmp_path: Path, made: Made, scanned: str) -> None:
    made("s", "-o", "s", *BESIDE)
    (tmp_path / "s").rename(tmp_path / "t")
    made(scanned, "-o", "out")

    below = "" if scanned == "t" else "t/"
    assert files(tmp_path / "out") == [f"{below}a.jpg", f"{below}sub/b.jpg"]


def test_output_with_another_suffix_than_its_target_is_known(tmp_path: Path, made: Made) -> None:
    (tmp_path / "s/lies.png").write_bytes((tmp_path / "s/a.jpg").read_bytes())
    made("s", "-o", "s", *BESIDE)
    run = made("s", "-o", "out")

    assert files(tmp_path / "out") == ["a.jpg", "lies.jpg", "sub/b.jpg"]
    assert left_out(run) == "left out: 3 outputs of earlier runs (--include-outputs)"


def test_journal_in_use_leaves_its_subfolder_out(tmp_path: Path, made: Made) -> None:
    made("s", "-o", "s/web")
    with in_use(tmp_path / "s/web"):
        made("s", "-o", "out")

    assert files(tmp_path / "out") == ["a.jpg", "sub/b.jpg"]


@pytest.mark.parametrize(("folder", "at_work"), [("s", "s/sub"), ("s/sub", "s"), ("s", "s")])
def test_nothing_is_guessed_beside_a_run_that_is_at_work_among_originals(
    tmp_path: Path, made: Made, folder: str, at_work: str
) -> None:
    made(at_work, "--subfolder", "web")
    with in_use(tmp_path / at_work):
        refused = imgbatch("resize", folder, "-s", "20", "-o", "out", cwd=tmp_path)
        made(folder, "-o", "all", "--include-outputs")

    assert refused.returncode == 2
    assert f"{at_work}, so its outputs cannot be told".encode() in refused.stderr
    made("s", "-o", "out")
    assert files(tmp_path / "out") == ["a.jpg", "sub/b.jpg"]


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """As if a run were at work there."""
    with closing(sqlite3.connect(folder / ".imgbatch/journal.sqlite")) as owner:
        owner.execute("PRAGMA locking_mode = EXCLUSIVE")
        owner.execute("BEGIN EXCLUSIVE")
        yield


ENDLESS: Final = (
    "CREATE VIEW output AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT i AS target, i AS source, i AS next_source, i AS path FROM n"
)
ODD_TYPES: Final = (
    "CREATE TABLE output (target, source, next_source, path);"
    "INSERT INTO output VALUES ('a.jpg', 'b.jpg', NULL, NULL);"
    "INSERT INTO output VALUES (CAST('b.jpg' AS BLOB), 5, NULL, NULL);"
    "INSERT INTO output VALUES (7, NULL, NULL, CAST('a.jpg' AS BLOB));"
)


@pytest.mark.parametrize("statements", ["", ENDLESS, ODD_TYPES], ids=["junk", "endless", "types"])
def test_journal_that_is_not_ours_hides_nothing(
    tmp_path: Path, made: Made, statements: str
) -> None:
    journal = tmp_path / "s/sub/.imgbatch/journal.sqlite"
    journal.parent.mkdir()
    if statements:
        with sqlite3.connect(journal) as planted:
            planted.executescript(f"PRAGMA application_id = {APPLICATION}; {statements}")
        planted.close()
    else:
        journal.write_bytes(b"no database")
    made("s", "-o", "out")

    assert files(tmp_path / "out") == ["a.jpg", "sub/b.jpg"]


def test_journals_are_not_all_open_at_once(tmp_path: Path, made: Made) -> None:
    """Each of many shoots has its own."""
    made("s", "-o", "s", *BESIDE)
    for number in range(60):
        shutil.copytree(tmp_path / "s", tmp_path / f"all/{number}")
    shutil.rmtree(tmp_path / "s")
    words = ("resize", "all", "-s", "20", "-o", "out", "-n")
    # A new process has about ten files open.
    run = imgbatch(*words, cwd=tmp_path, before=("prlimit", "--nofile=50"))

    assert run.returncode == 0
    assert len(run.stdout.splitlines()) == 120
    assert b"cannot be listed" not in run.stdout


def test_missing_originals_are_not_sought_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = os.fsencode("/" + "a/" * 500)
    sought: list[str] = []
    monkeypatch.setattr(os.path, "isfile", lambda path: sought.append(path))
    moves = _Moves()
    for number in range(100):
        assert moves.original(gone + b"%d.jpg" % number, str(tmp_path), f"{number}.jpg") is None

    assert len(sought) <= 3 * 32


def test_emptied_journal_folder_is_a_folder_like_any_other(tmp_path: Path, made: Made) -> None:
    made("s", "-o", "s/web")
    shutil.rmtree(tmp_path / "s/web/.imgbatch")
    (tmp_path / "s/web/.imgbatch").mkdir()
    made("s", "-o", "out")

    assert files(tmp_path / "out") == ["a.jpg", "sub/b.jpg", "web/a.jpg", "web/sub/b.jpg"]


def test_journal_without_rows_makes_no_folder_of_outputs(tmp_path: Path, made: Made) -> None:
    made("s/sub", "-o", "s/sub", *BESIDE)
    with sqlite3.connect(tmp_path / "s/sub/.imgbatch/journal.sqlite") as journal:
        journal.execute("DELETE FROM output")
    journal.close()
    made("s", "-o", "out")

    assert files(tmp_path / "out") == ["a.jpg", "sub/b-web.jpg", "sub/b.jpg"]


def test_reading_a_journal_leaves_nothing_behind(tmp_path: Path, made: Made) -> None:
    made("s", "-o", "s/web")
    before = sorted(os.listdir(tmp_path / "s/web/.imgbatch"))
    made("s", "-o", "out")

    assert sorted(os.listdir(tmp_path / "s/web/.imgbatch")) == before


def test_nothing_but_outputs_says_so(tmp_path: Path, made: Made) -> None:
    made("s", "-o", "q/web")
    run = imgbatch_text("resize", "q", cwd=tmp_path)

    assert run.returncode == 3
    assert run.stderr == (
        "imgbatch: no image found in q (2 outputs of earlier runs left out: --include-outputs "
        "takes them)\n"
    )


def test_pictures_left_out_by_patterns_are_counted_where_none_is_found(
    tmp_path: Path, made: Made
) -> None:
    run = imgbatch_text("resize", "s", "--include", "*.png", cwd=tmp_path)

    assert run.returncode == 3
    assert "2 left out by --include or --exclude" in run.stderr


@pytest.mark.parametrize(
    "name", ["@eaDir", "#recycle", "@Recycle", "$RECYCLE.BIN", "lost+found", ".thumbnails"]
)
def test_folders_of_the_system_are_left_out_and_named(
    tmp_path: Path, made: Made, name: str
) -> None:
    plant(tmp_path, f"s/{name}/a.jpg", f"s/sub/{name}/x/b.jpg")
    run = made("s", "-o", "out")
    made(f"s/{name}", "-o", "named")
    assert left_out(made("s", "-o", "top", "--no-recursive")) == ""

    assert files(tmp_path / "out") == ["a.jpg", "sub/b.jpg"]
    assert left_out(run) == f"left out: {name}"
    assert files(tmp_path / "named") == ["a.jpg"]


def test_report_counts_what_was_no_picture(tmp_path: Path, made: Made) -> None:
    names = ("1.mov", "2.MOV", "3.mov", "x.psd", "a.xmp", "sub/b.xmp", "README", ".hidden.mov")
    plant(tmp_path / "s", *names, data=b"")
    made("s", "-o", "s/web")
    made("s", "-o", "out", "--exclude", "sub/*", "--report", "rows.jsonl")

    summary = json.loads((tmp_path / "rows.jsonl").read_text().splitlines()[-1])["summary"]
    assert summary["left_out"] == {
        "outputs": 2,
        "unselected": 1,
        "others": {".mov": 3, ".psd": 1, ".xmp": 2, "": 1},
    }
