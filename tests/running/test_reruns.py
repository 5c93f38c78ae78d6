"""Second runs, in one folder or two: nothing is lost, mistaken for another or made needlessly."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from typing import Any

import pytest
from toolkit.commands import imgbatch as imgbatch_run
from toolkit.commands import imgbatch_here, imgbatch_text
from toolkit.folders import planted
from toolkit.pictures import opened, saved, scene

import imgbatch
from imgbatch.model import FileState
from imgbatch.running import batch, recovery, worker
from imgbatch.running.settings import Settings
from imgbatch.store import local_files
from imgbatch.store.journal import Journal

RECIPE = imgbatch.Recipe.from_options(sizes=["30"], format="jpeg")


def bitmap(folder: Path, name: str, shade: int = 0) -> Path:
    """An uncompressed picture, so all have the same size in bytes; and all get the same time."""
    data = saved((scene(60, 40) // 2 + shade).astype("uint8"), "BMP")
    file = planted(folder, data, name)
    os.utime(file, (1_700_000_000, 1_700_000_000))
    return file


def made(folder: Path, out: Path, **options: Any) -> dict[str, str]:
    """The outcome of each source by its path below the folder."""
    results = imgbatch.run(RECIPE, [folder], output=out, jobs=1, **options)
    return {result.source.relative: result.reason or result.status for result in results}


def pixel(file: Path) -> int:
    value = opened(file.read_bytes()).convert("L").getpixel((3, 3))
    assert isinstance(value, int)
    return value


def test_other_picture_of_same_size_and_time_is_not_up_to_date(tmp_path: Path) -> None:
    bitmap(tmp_path / "a", "1.bmp")
    bitmap(tmp_path / "b", "1.bmp", 100)
    made(tmp_path / "a", tmp_path / "out")

    with pytest.raises(imgbatch.PlanError, match="was made from another picture"):
        made(tmp_path / "b", tmp_path / "out")


def test_shifted_running_number_is_not_up_to_date(tmp_path: Path) -> None:
    recipe = imgbatch.Recipe.from_options(sizes=["30"], format="jpeg", template="{seq}{ext}")
    for number in range(3):
        bitmap(tmp_path / "in", f"{number}.bmp", 50 * number)
    list(imgbatch.run(recipe, [tmp_path / "in"], output=tmp_path / "out", jobs=1))
    (tmp_path / "in/0.bmp").unlink()

    with pytest.raises(imgbatch.PlanError, match="was made from another picture"):
        imgbatch.run(recipe, [tmp_path / "in"], output=tmp_path / "out", jobs=1)


def test_moved_folder_is_up_to_date_and_remade_if_necessary(tmp_path: Path) -> None:
    bitmap(tmp_path / "in", "a.bmp")
    made(tmp_path / "in", tmp_path / "out")
    (tmp_path / "in").rename(tmp_path / "moved")

    assert made(tmp_path / "moved", tmp_path / "out") == {"a.bmp": "up to date"}
    assert made(tmp_path / "moved", tmp_path / "out", force=True) == {"a.bmp": "done"}


@pytest.mark.parametrize("on_conflict", ["error", "skip", "overwrite", "rename"])
def test_copied_output_folder_is_up_to_date(tmp_path: Path, on_conflict: Any) -> None:
    bitmap(tmp_path / "in", "a.bmp")
    made(tmp_path / "in", tmp_path / "out")
    shutil.copytree(tmp_path / "out", tmp_path / "copy", copy_function=shutil.copyfile)

    again = made(tmp_path / "in", tmp_path / "copy", on_conflict=on_conflict)

    assert again == {"a.bmp": "up to date"}


def test_edit_that_keeps_the_time_is_not_overwritten(tmp_path: Path) -> None:
    bitmap(tmp_path / "in", "a.bmp")
    made(tmp_path / "in", tmp_path / "out")
    output = tmp_path / "out/a.jpg"
    before = output.stat()
    output.write_bytes(output.read_bytes() + b"edited")
    os.utime(output, ns=(before.st_atime_ns, before.st_mtime_ns))

    with pytest.raises(imgbatch.PlanError, match="was changed since"):
        made(tmp_path / "in", tmp_path / "out")


def test_output_left_by_a_power_cut_is_remade_and_then_known(tmp_path: Path) -> None:
    for name in ("a.bmp", "b.bmp"):
        bitmap(tmp_path / "in", name)
    made(tmp_path / "in", tmp_path / "out")
    # The outputs of this run were on disk; what the journal and the logs knew of it was not.
    with closing(connect(tmp_path / "out/.imgbatch/journal.sqlite")) as journal:
        journal.execute(
            "UPDATE output SET next_source = source, next_source_size = source_size,"
            " next_source_mtime_ns = source_mtime_ns, next_recipe = recipe,"
            " source = NULL, source_size = NULL, source_mtime_ns = NULL, recipe = NULL,"
            " size = NULL, mtime_ns = NULL"
        )
        journal.commit()

    assert set(made(tmp_path / "in", tmp_path / "out").values()) == {"done"}
    assert set(made(tmp_path / "in", tmp_path / "out").values()) == {"up to date"}


def test_source_dated_in_the_far_future_is_processed_and_known(tmp_path: Path) -> None:
    file = bitmap(tmp_path / "in", "a.bmp")
    os.utime(file, (13_569_465_600, 13_569_465_600))

    assert made(tmp_path / "in", tmp_path / "out") == {"a.bmp": "done"}
    assert made(tmp_path / "in", tmp_path / "out") == {"a.bmp": "up to date"}


@pytest.mark.slow
def test_nul_in_a_list_fails_alone(tmp_path: Path) -> None:
    bitmap(tmp_path / "in", "a.bmp")
    made(tmp_path / "in", tmp_path / "out")
    words = ("resize", "-", "-o", "out", "--force", "-f", "jpeg")
    run = imgbatch_run(*words, cwd=tmp_path, stdin=b"in/a.bmp\nin/x\0y.bmp\n")

    assert run.returncode == 1
    assert b"1 done (1 replaced: made with other options before), 1 failed" in run.stderr


def test_corrupt_journal_next_to_logs_of_dead_runs_is_set_aside(tmp_path: Path) -> None:
    bitmap(tmp_path / "in", "a.bmp")
    made(tmp_path / "in", tmp_path / "out")
    keep = tmp_path / "out/.imgbatch"
    for run in ("dead", "dead2"):
        (keep / f"{run}-1.log").write_text('["a.jpg",1,2,null,null]\n')
    journal = (keep / "journal.sqlite").read_bytes()
    (keep / "journal.sqlite").write_bytes(journal[:4096] + b"\x55" * (len(journal) - 4096))

    assert made(tmp_path / "in", tmp_path / "out", on_conflict="overwrite") == {"a.bmp": "done"}
    assert made(tmp_path / "in", tmp_path / "out") == {"a.bmp": "up to date"}


def test_lock_outlives_the_journal(tmp_path: Path) -> None:
    journal = Journal.open(str(tmp_path))
    journal.begin("run", [("a.jpg", b"/a.jpg", FileState(1, 1), "digest")])
    assert journal._connection is not None
    # As on a full disk.
    journal._connection.execute("PRAGMA query_only = ON")
    journal.collect()
    journal._last_collected = 0
    journal.collect()

    with pytest.raises(imgbatch.UsageError, match="another run"):
        Journal.open(str(tmp_path))
    journal.finish()


def test_discarding_old_logs_spares_files_opened_since(tmp_path: Path) -> None:
    staged = local_files.stage(str(tmp_path / "a.jpg"), b"picture", "run")
    staged.publish()
    with open(tmp_path / "other", "wb"):
        staged.discard()
        assert (tmp_path / "other").exists()
    assert (tmp_path / "a.jpg").exists()


# In place


@pytest.mark.slow
def test_hard_link_to_the_original_is_not_a_backup(tmp_path: Path) -> None:
    original = bitmap(tmp_path / "in/sub", "a.bmp").read_bytes()
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep/sub").symlink_to("../in/sub")

    run = imgbatch_text(
        *("resize", "in", "-s", "30", "--in-place", "--backup", "keep"), cwd=tmp_path
    )

    assert run.returncode == 1
    assert "where the original itself is" in run.stderr
    assert (tmp_path / "in/sub/a.bmp").read_bytes() == original


@pytest.mark.slow
def test_originals_in_a_backup_below_the_folder_are_not_sources(tmp_path: Path) -> None:
    original = bitmap(tmp_path / "in", "a.bmp").read_bytes()
    shrink = ("resize", "in", "-s", "30", "--in-place")
    assert imgbatch_text(*shrink, "--backup", "in/originals", cwd=tmp_path).returncode == 0

    assert imgbatch_text(*shrink, "--no-backup", cwd=tmp_path).returncode == 0

    assert (tmp_path / "in/originals/a.bmp").read_bytes() == original
    assert opened((tmp_path / "in/a.bmp").read_bytes()).size == (30, 20)


@pytest.mark.slow
def test_failed_run_of_another_recipe_does_not_forget_what_was_made(tmp_path: Path) -> None:
    bitmap(tmp_path / "in", "a.bmp")
    shrink = ("resize", "in", "-s", "30", "--in-place", "--no-backup")
    imgbatch_text(*shrink, cwd=tmp_path)
    result = (tmp_path / "in/a.bmp").read_bytes()
    other = ("filter", "in", "--filter", "invert", "--in-place", "--no-backup")
    assert imgbatch_text(*other, "--max-pixels", "10", cwd=tmp_path).returncode == 1

    run = imgbatch_text(*shrink, cwd=tmp_path)

    assert "1 up to date" in run.stderr
    assert (tmp_path / "in/a.bmp").read_bytes() == result


@pytest.mark.slow
def test_names_that_differ_in_case_are_two_files(tmp_path: Path) -> None:
    bitmap(tmp_path / "in", "a.bmp")
    bitmap(tmp_path / "in", "A.bmp", 50)
    if len(os.listdir(tmp_path / "in")) < 2:
        pytest.skip("this file system does not tell upper from lower case")

    run = imgbatch_text("resize", "in", "-s", "30", "--in-place", "--no-backup", cwd=tmp_path)

    assert "2 done" in run.stderr


@pytest.mark.slow
def test_file_attributes_that_cannot_be_kept_require_a_backup(tmp_path: Path) -> None:
    views = [opened(saved(scene(60, 40), "PNG")), opened(saved(scene(60, 40) // 2, "PNG"))]
    pair = tmp_path / "in/a.jpg"
    pair.parent.mkdir()
    views[0].save(pair, "MPO", save_all=True, append_images=views[1:])
    before = pair.read_bytes()
    shrink = ("resize", "in", "-s", "30", "--in-place")

    refused = imgbatch_text(*shrink, "--no-backup", cwd=tmp_path)
    assert refused.returncode == 1
    assert "needs a --backup" in refused.stderr
    assert pair.read_bytes() == before

    assert imgbatch_text(*shrink, "--backup", "keep", cwd=tmp_path).returncode == 0
    assert (tmp_path / "keep/a.jpg").read_bytes() == before


@pytest.mark.slow
def test_in_place_a_later_recipe_warns_that_it_works_on_a_result(tmp_path: Path) -> None:
    original = bitmap(tmp_path / "in", "a.bmp").read_bytes()
    words = ("resize", "in", "--in-place", "--backup", "keep", "-v")
    imgbatch_text(*words, "-s", "30", cwd=tmp_path)

    run = imgbatch_text(*words, "-s", "20", cwd=tmp_path)

    assert run.returncode == 0
    assert "now remade from that, not from the original" in run.stderr
    assert (tmp_path / "keep/a.bmp").read_bytes() == original
    assert opened((tmp_path / "in/a.bmp").read_bytes()).size == (20, 13)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--timeout", "0"), "timeout"),
        (("--timeout", "inf"), "timeout"),
        (("--timeout", "nan"), "timeout"),
        (("--max-pixels", "0"), "pixels"),
        (("--memory", "0"), "memory"),
        (("--memory", "lots"), "expected a number"),
        (("--backup", "x"), "only go with --in-place"),
        (("--in-place",), "give --backup DIR"),
        (("--in-place", "--backup", "x", "--no-backup"), "not both"),
        (("--in-place", "--backup", "in"), "use another"),
        (("--in-place", "--no-backup", "-f", "png"), "keeps the format"),
        (("--in-place", "--no-backup", "-s", "1", "-s", "2"), "one output"),
        (("--in-place", "--no-backup", "-o", "x"), "no --output"),
        (("--in-place", "--no-backup", "--name", "x{ext}"), "no --output"),
        (("--in-place", "--no-backup", "--on-conflict", "skip"), "no --on-conflict"),
    ],
)
def test_contradictory_options_are_refused_before_any_work(
    tmp_path: Path, words: tuple[str, ...], complaint: str
) -> None:
    before = bitmap(tmp_path / "in", "a.bmp").read_bytes()

    run = imgbatch_here("resize", "in", *words, cwd=tmp_path)

    assert run.returncode == 2
    assert complaint in run.stderr.decode()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["in", "in/a.bmp"]
    assert (tmp_path / "in/a.bmp").read_bytes() == before


# Many failures


def test_paths_that_are_too_long_do_not_stop_a_run(tmp_path: Path) -> None:
    # No single name is too long, only the whole path; the limit is known only to the system.
    template = "/".join(["{stem}"] * 20) + "-{output}{ext}"
    recipe = imgbatch.Recipe.from_options(
        sizes=["one=30", "two=20"], format="jpeg", template=template
    )
    for number in range(7):
        bitmap(tmp_path / "in", f"{number}{'x' * 220}.bmp")
    bitmap(tmp_path / "in", "z.bmp")
    settings = Settings((str(tmp_path / "in"),), str(tmp_path / "out"), jobs=1)

    with batch.prepare(recipe, settings) as prepared:
        prepared.begin()
        statuses = [result.status for result in prepared.results()]

    assert sorted(statuses) == ["done", *["failed"] * 7]
    assert prepared.stopped is None


# Workers that die behind the work


@pytest.mark.parametrize("published", [0, 1, 2])
def test_lost_job_is_done_if_it_had_published_everything(tmp_path: Path, published: int) -> None:
    recipe = imgbatch.Recipe.from_options(sizes=["one=30", "two=20"], format="jpeg")
    bitmap(tmp_path / "in", "a.bmp")
    settings = Settings((str(tmp_path / "in"),), str(tmp_path / "out"), jobs=1)
    with batch.prepare(recipe, settings) as prepared:
        prepared.begin()
        (job,) = prepared.plan.jobs
        run = prepared._run()
        first = worker.process(job, 1.0, recipe, run)
        assert first is not None
        for written in first.written[published:]:
            os.unlink(written.path)

        result = recovery.lost(job, "timeout", "gave up after 1 s", run)

    left = sorted(path.name for path in (tmp_path / "out").glob("*.jpg"))
    if published == 2:
        assert (result.status, result.written) == ("done", first.written)
        assert left == ["a-one.jpg", "a-two.jpg"]
    else:
        assert result.failure is not None
        assert result.failure.kind == "timeout"
        assert left == []
