"""Foreign files are never taken for imgbatch's own, and its own are recognised."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from toolkit.commands import imgbatch_text
from toolkit.pictures import opened, saved, scene
from toolkit.runs import JOURNAL, SMALLER, copy_tree, in_place, outcomes, picture, rewrite

import imgbatch
from imgbatch.model import Made
from imgbatch.recipes.recipe import Recipe
from imgbatch.running import recovery, worker
from imgbatch.running.batch import prepare
from imgbatch.running.pipeline import make
from imgbatch.running.settings import Settings
from imgbatch.store import local_files, worker_log
from imgbatch.store.journal import NAME, Journal


def made(folder: Path, out: Path, recipe: Recipe = SMALLER, **options: Any) -> dict[str, str]:
    """The outcome of each source by its path below the folder."""
    results = imgbatch.run(recipe, [folder], output=out, jobs=1, **options)
    return outcomes(results)


def known(out: Path, target: str) -> Made:
    journal = Journal.open(str(out))
    row = journal.lookup(target)
    journal.close()
    assert row is not None
    return row


# Foreign files


TWO = """
[[output]]
name = "one"
path = "{stem}-w{ext}"
[[output]]
name = "two"
path = "two/{stem}{ext}"
"""


@pytest.fixture
def liar(tmp_path: Path) -> Path:
    """A folder with a PNG whose name says JPEG, so the worker decides on the output's name."""
    picture(tmp_path / "in/a.jpg", format_name="PNG")
    (tmp_path / "two.toml").write_text(TWO)
    return tmp_path / "in"


@pytest.mark.slow
def test_file_with_the_same_bytes_survives_a_failing_later_output(
    tmp_path: Path, liar: Path
) -> None:
    out = tmp_path / "out"
    (out / "two").mkdir(parents=True)
    shutil.copy(liar / "a.jpg", out / "a-w.png")
    (out / "two/a.png").write_bytes(b"somebody's")

    done = imgbatch_text("run", "two.toml", "in", "-o", "out", cwd=tmp_path)

    assert done.returncode == 1
    assert (out / "a-w.png").read_bytes() == (liar / "a.jpg").read_bytes()
    assert (out / "two/a.png").read_bytes() == b"somebody's"


@pytest.mark.slow
def test_original_with_the_same_bytes_survives_a_failing_later_output(
    tmp_path: Path, liar: Path
) -> None:
    shutil.copy(liar / "a.jpg", liar / "a-w.png")
    (liar / "two").mkdir()
    (liar / "two/a.png").write_bytes(b"somebody's")

    done = imgbatch_text("run", "two.toml", "in", "-o", "in", "--exclude", "two/*", cwd=tmp_path)

    assert done.returncode == 1
    assert (liar / "a-w.png").read_bytes() == (liar / "a.jpg").read_bytes()


@pytest.mark.slow
def test_published_outputs_are_taken_back_when_a_later_one_fails(
    tmp_path: Path, liar: Path
) -> None:
    (tmp_path / "out/two").mkdir(parents=True)
    (tmp_path / "out/two/a.png").write_bytes(b"somebody's")

    done = imgbatch_text("run", "two.toml", "in", "-o", "out", cwd=tmp_path)

    assert done.returncode == 1
    assert "the suffix of this picture is wrong" in done.stderr
    assert not (tmp_path / "out/a-w.png").exists()


def test_file_with_the_same_bytes_is_not_adopted(tmp_path: Path, liar: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(liar / "a.jpg", out / "a.png")
    before = (out / "a.png").read_bytes()

    first = made(liar, out, Recipe.from_options(sizes=["100"]))
    second = made(liar, out, Recipe.from_options(sizes=["20"]))

    assert "exists already" in first["a.jpg"]
    assert "exists already" in second["a.jpg"]
    assert (out / "a.png").read_bytes() == before


def test_file_of_the_same_size_and_time_is_not_taken_for_a_lost_output(
    tmp_path: Path,
) -> None:
    """As `cp -p` and --preserve-dates can produce one."""
    (tmp_path / worker_log.FOLDER).mkdir()
    staged = local_files.stage(str(tmp_path / "a.jpg"), b"picture", "run", mtime_ns=10**18)
    worker_log.write(str(tmp_path), "run", [worker_log.Entry("a.jpg", staged.state)])
    (tmp_path / "a.jpg").write_bytes(b"erutcip")
    os.utime(tmp_path / "a.jpg", ns=(10**18, 10**18))

    (entry,) = worker_log.read_all(worker_log.logs(str(tmp_path))["run"][0])

    assert entry.found(str(tmp_path)) is None
    local_files.take_back(staged.target, staged.state)
    assert (tmp_path / "a.jpg").read_bytes() == b"erutcip"
    (tmp_path / "a.jpg").unlink()
    staged.publish()
    assert entry.found(str(tmp_path)) == local_files.state(str(tmp_path / "a.jpg"))
    local_files.take_back(staged.target, staged.state)
    assert not (tmp_path / "a.jpg").exists()


@pytest.mark.parametrize("what", ["pipe", "socket"])
def test_non_file_is_not_taken_for_an_empty_output_of_ours(tmp_path: Path, what: str) -> None:
    picture(tmp_path / "in/a.bmp")
    made(tmp_path / "in", tmp_path / "out")
    output = tmp_path / "out/a.bmp"
    output.unlink()
    os.mknod(output, 0o600 | (stat.S_IFIFO if what == "pipe" else stat.S_IFSOCK))

    with pytest.raises(imgbatch.PlanError, match="was changed since"):
        made(tmp_path / "in", tmp_path / "out", Recipe.from_options(sizes=["20"]))
    assert not stat.S_ISREG(output.lstat().st_mode)


# Sources that were corrected, touched, copied


def test_source_edited_with_its_time_kept_is_remade(tmp_path: Path) -> None:
    source = picture(tmp_path / "in/a.bmp")
    assert made(tmp_path / "in", tmp_path / "out") == {"a.bmp": "done"}
    before = opened((tmp_path / "out/a.bmp").read_bytes()).getpixel((3, 3))

    rewrite(source, picture(tmp_path / "other.bmp", 100).read_bytes())

    assert made(tmp_path / "in", tmp_path / "out") == {"a.bmp": "done"}
    assert opened((tmp_path / "out/a.bmp").read_bytes()).getpixel((3, 3)) != before
    assert made(tmp_path / "in", tmp_path / "out") == {"a.bmp": "up to date"}


def test_one_changed_byte_in_a_large_file_is_noticed(tmp_path: Path) -> None:
    source = tmp_path / "in/a.bmp"
    source.parent.mkdir()
    source.write_bytes(saved(scene(600, 400), "BMP"))
    made(tmp_path / "in", tmp_path / "out")
    before = source.stat()
    # Overwritten in place, so the inode stays.
    with open(source, "r+b") as file:
        file.seek(before.st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert made(tmp_path / "in", tmp_path / "out") == {"a.bmp": "done"}


def test_outputs_of_a_failed_first_attempt_are_taken_back_with_the_rest(tmp_path: Path) -> None:
    """The worker dies after its first output; then a file appears in the second one's place."""
    picture(tmp_path / "in/a.bmp")
    recipe = Recipe.from_options(sizes=["one=30", "two=20"])
    settings = Settings((str(tmp_path / "in"),), str(tmp_path / "out"), jobs=1)
    with prepare(recipe, settings) as batch:
        batch.begin()
        (job,) = batch.plan.jobs
        first = worker.process(job, 1.0, recipe, batch._run())
        assert first is not None
        (tmp_path / "out/a-two.bmp").write_bytes(b"somebody's")

        second = worker.process(job, 1.0, recipe, batch._run())

    assert second is not None
    assert second.status == "failed"
    assert [path.name for path in (tmp_path / "out").glob("*.bmp")] == ["a-two.bmp"]


def _chmod(folder: Path) -> None:
    (folder / "a.bmp").chmod(0o600)


def _restore(folder: Path) -> None:
    rewrite(folder / "a.bmp", (folder / "a.bmp").read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("touch", [_chmod, copy_tree, _restore])
def test_touched_source_is_up_to_date_and_compared_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, touch: Callable[[Path], None]
) -> None:
    picture(tmp_path / "in/a.bmp")
    made(tmp_path / "in", tmp_path / "out")
    seal = (tmp_path / "out/a.bmp").stat()
    row = known(tmp_path / "out", "a.bmp")
    touch(tmp_path / "in")

    dry = imgbatch_text("resize", "in", "-s", "30", "-o", "out", "-n", cwd=tmp_path)
    again = made(tmp_path / "in", tmp_path / "out")

    assert "up to date" in dry.stdout
    assert "remakes" not in dry.stdout
    assert again == {"a.bmp": "up to date"}
    assert (tmp_path / "out/a.bmp").stat().st_mtime_ns == seal.st_mtime_ns
    source = (tmp_path / "in/a.bmp").stat()
    assert known(tmp_path / "out", "a.bmp") == row._replace(
        source_ctime_ns=source.st_ctime_ns, source_inode=source.st_ino
    )
    # From now on it is known without being read.
    monkeypatch.setattr("imgbatch.store.checksum.of_file", None)
    assert made(tmp_path / "in", tmp_path / "out") == {"a.bmp": "up to date"}


def test_copied_tree_with_its_outputs_is_up_to_date(tmp_path: Path) -> None:
    for name in ("a.bmp", "b/c.bmp"):
        picture(tmp_path / "old/in" / name)
    made(tmp_path / "old/in", tmp_path / "old/out")
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    shutil.rmtree(tmp_path / "old")

    again = made(tmp_path / "new/in", tmp_path / "new/out")

    assert again == {"a.bmp": "up to date", "b/c.bmp": "up to date"}


def test_missing_outputs_of_a_touched_source_are_made(
    tmp_path: Path,
) -> None:
    recipe = Recipe.from_options(sizes=["a=30", "b=20"])
    source = picture(tmp_path / "in/a.bmp")
    made(tmp_path / "in", tmp_path / "out", recipe)
    seal = (tmp_path / "out/a-a.bmp").stat().st_ino
    (tmp_path / "out/a-b.bmp").unlink()
    source.chmod(0o600)

    assert made(tmp_path / "in", tmp_path / "out", recipe) == {"a.bmp": "done"}
    assert (tmp_path / "out/a-a.bmp").stat().st_ino == seal
    assert made(tmp_path / "in", tmp_path / "out", recipe) == {"a.bmp": "up to date"}


def test_row_without_ctime_and_inode_still_counts(tmp_path: Path) -> None:
    source = picture(tmp_path / "in/a.bmp")
    made(tmp_path / "in", tmp_path / "out")
    added = [*("source_ctime_ns", "source_inode", "source_hash", "ctime_ns", "inode")]
    added += ["next_source_ctime_ns", "next_source_inode"]
    with closing(sqlite3.connect(tmp_path / "out" / JOURNAL)) as journal:
        for column in added:
            journal.execute(f"ALTER TABLE output DROP COLUMN {column}")
        journal.execute("PRAGMA user_version = 1")
        journal.commit()
    source.chmod(0o600)

    assert made(tmp_path / "in", tmp_path / "out") == {"a.bmp": "up to date"}
    assert made(tmp_path / "in", tmp_path / "out", force=True) == {"a.bmp": "done"}
    assert known(tmp_path / "out", "a.bmp").source_inode == source.stat().st_ino


def test_output_edited_with_its_time_kept_is_not_replaced(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.bmp")
    made(tmp_path / "in", tmp_path / "out")
    output = tmp_path / "out/a.bmp"
    edited = bytes([*output.read_bytes()[:-1], 77])
    rewrite(output, edited)

    again = made(tmp_path / "in", tmp_path / "out", Recipe.from_options(sizes=["20"]))

    assert "was changed since imgbatch made it" in again["a.bmp"]
    assert output.read_bytes() == edited
    smaller = Recipe.from_options(sizes=["20"])
    again = made(tmp_path / "in", tmp_path / "out", smaller, on_conflict="overwrite")
    assert again == {"a.bmp": "done"}


def test_edited_output_of_a_touched_source_is_neither_adopted_nor_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe.from_options(sizes=["a=30", "b=20"])
    source = picture(tmp_path / "in/a.bmp")
    made(tmp_path / "in", tmp_path / "out", recipe)
    edited = tmp_path / "out/a-a.bmp"
    edited.write_bytes(bytes([*edited.read_bytes()[:-1], 77]))
    whole = edited.read_bytes()
    (tmp_path / "out/a-b.bmp").unlink()
    source.chmod(0o600)

    def die(*words: Any) -> None:
        raise KeyError("as if the worker had died")

    with monkeypatch.context() as patched:
        settings = Settings((str(tmp_path / "in"),), str(tmp_path / "out"), jobs=1)
        with prepare(recipe, settings) as batch:
            batch.begin()
            (job,) = batch.plan.jobs
            patched.setattr(worker, "make", die)
            worker.process(job, 1.0, recipe, batch._run())
            assert recovery.lost(job, "killed", "it died", batch._run()).status == "failed"
    assert edited.read_bytes() == whole

    assert made(tmp_path / "in", tmp_path / "out", recipe) == {"a.bmp": "done"}
    assert made(tmp_path / "in", tmp_path / "out", recipe) == {"a.bmp": "up to date"}
    with pytest.raises(imgbatch.PlanError, match="was changed since"):
        made(tmp_path / "in", tmp_path / "out", Recipe.from_options(sizes=["a=25", "b=20"]))
    assert edited.read_bytes() == whole


def test_in_place_an_edit_during_the_run_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same size, in the same file, with its time kept: only its ctime shows it."""
    for backup in (None, str(tmp_path / "kept")):
        file = picture(tmp_path / "in/a.bmp")
        edited = bytes([*file.read_bytes()[:-1], 77])

        def edit(*words: Any, file: Path = file, edited: bytes = edited) -> Any:
            finished = make(*words)
            before = file.stat()
            file.write_bytes(edited)
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
            return finished

        monkeypatch.setattr(worker, "make", edit)
        assert "was changed in the meantime" in in_place(tmp_path / "in", backup=backup)["a.bmp"]
        assert file.read_bytes() == edited


def test_output_that_was_merely_copied_is_replaced(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.bmp")
    made(tmp_path / "in", tmp_path / "out")
    rewrite(tmp_path / "out/a.bmp", (tmp_path / "out/a.bmp").read_bytes())

    again = made(tmp_path / "in", tmp_path / "out", Recipe.from_options(sizes=["20"]))

    assert again == {"a.bmp": "done"}


# Power cuts


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _with_a_hole(data: bytes) -> bytes:
    return data[:512] + bytes(512) + data[1024:-700]


@pytest.mark.parametrize("tear", [_cut, _with_a_hole])
def test_file_torn_by_a_power_cut_is_remade(tmp_path: Path, tear: Callable[[bytes], bytes]) -> None:
    for name in ("a.bmp", "b.bmp"):
        picture(tmp_path / "in" / name)
    made(tmp_path / "in", tmp_path / "out")
    output = tmp_path / "out/a.bmp"
    whole = output.read_bytes()
    output.write_bytes(tear(whole))

    assert made(tmp_path / "in", tmp_path / "out") == {"a.bmp": "done", "b.bmp": "up to date"}
    assert output.read_bytes() == whole
    assert made(tmp_path / "in", tmp_path / "out") == dict.fromkeys(
        ("a.bmp", "b.bmp"), "up to date"
    )


def test_file_that_somebody_truncated_is_left_alone(tmp_path: Path) -> None:
    for name in ("a.bmp", "b.bmp"):
        picture(tmp_path / "in" / name)
    made(tmp_path / "in", tmp_path / "out")
    smaller = b"optimised" * 20
    (tmp_path / "out/a.bmp").write_bytes(smaller)
    (tmp_path / "out/b.bmp").unlink()

    again = made(tmp_path / "in", tmp_path / "out")

    assert "exists already" in again["a.bmp"]
    assert again["b.bmp"] == "done"
    assert (tmp_path / "out/a.bmp").read_bytes() == smaller


def test_file_torn_by_a_power_cut_is_replaced_by_another_recipe_too(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.bmp")
    made(tmp_path / "in", tmp_path / "out")
    output = tmp_path / "out/a.bmp"
    os.truncate(output, 100)
    # A power cut leaves all attributes unchanged; nothing else can.
    state = local_files.state(str(output))
    assert state is not None
    with closing(sqlite3.connect(tmp_path / "out" / JOURNAL)) as journal:
        journal.execute("UPDATE output SET mtime_ns = ?, ctime_ns = ?", state[1:3])
        journal.commit()

    again = made(tmp_path / "in", tmp_path / "out", Recipe.from_options(sizes=["20"]))

    assert again == {"a.bmp": "done"}


def test_in_place_new_folders_and_logs_are_synced_before_an_original_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "in/deep/er/a.bmp")
    synced: list[str] = []
    replaced: list[int] = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor: int) -> None:
        synced.append(os.path.realpath(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    def note_replace(old: str, new: str) -> None:
        replaced.append(len(synced))
        replace(old, new)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    monkeypatch.chdir(tmp_path)

    assert in_place(Path("in"), backup="kept/backup") == {"deep/er/a.bmp": "done"}

    before = set(synced[: replaced[0]])
    folders = ("", "kept", "kept/backup", "kept/backup/deep", "kept/backup/deep/er")
    assert {str((tmp_path / name).resolve()) for name in folders} <= before
    assert {str(tmp_path / "in"), str(tmp_path / "in" / worker_log.FOLDER)} <= before
    assert any(name.endswith(".log") for name in before)


# Intruders in imgbatch's own folder


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
def test_link_in_place_of_the_journal_is_set_aside_and_not_followed(
    tmp_path: Path, suffix: str
) -> None:
    picture(tmp_path / "in/a.bmp")
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious" * 1000)
    place = tmp_path / "out" / JOURNAL
    place.parent.mkdir(parents=True)
    if suffix:
        made(tmp_path / "in", tmp_path / "out")
    place.with_name(place.name + suffix).symlink_to(victim)

    done = imgbatch_text(
        "resize", "in", "-s", "20", "-o", "out", "--on-conflict", "skip", cwd=tmp_path
    )

    assert "set aside" in done.stderr
    assert victim.read_bytes() == b"precious" * 1000


@pytest.mark.slow
def test_link_in_place_of_the_journal_folder_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.bmp")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / worker_log.FOLDER).symlink_to(tmp_path / "elsewhere")

    done = imgbatch_text("resize", "in", "-s", "20", "-o", "out", cwd=tmp_path)

    assert done.returncode == 2
    assert "is a link or a file" in done.stderr
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.slow
def test_forged_log_is_ignored_with_a_warning(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.bmp")
    made(tmp_path / "in", tmp_path / "out")
    folder = tmp_path / "out" / worker_log.FOLDER
    (folder / "planted-1.log").write_text(
        '[1, 2, 3]\n{"a": "b"}\n["a.bmp", true, [], {}, 5, 6, 7]\n'
    )
    os.mkfifo(folder / "pipe-1.log")
    (folder / "link-1.log").symlink_to("/dev/zero")

    done = imgbatch_text("resize", "in", "-s", "20", "-o", "out", cwd=tmp_path)

    assert done.returncode == 0
    assert "3 lines of the logs" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("folder", [".imgbatch", ".IMGBATCH", "x/.imgbatch"])
def test_nothing_is_written_into_the_journal_folder(tmp_path: Path, folder: str) -> None:
    picture(tmp_path / "in/a.bmp")

    named = imgbatch_text(
        "resize", "in", "-o", "out", "--name", f"{folder}/{{stem}}{{ext}}", cwd=tmp_path
    )
    output = imgbatch_text("resize", "in", "-o", f"out/{folder}", cwd=tmp_path)
    backup = imgbatch_text(
        *("resize", "in", "--in-place", "--backup", f"kept/{folder}"), cwd=tmp_path
    )

    report = imgbatch_text(
        *("resize", "in", "-o", "out", "--report", f"out/{folder}/journal.sqlite"), cwd=tmp_path
    )

    for run in (named, output, backup, report):
        assert run.returncode == 2
        assert "imgbatch keeps its journal" in run.stderr
    assert sorted(os.listdir(tmp_path)) == ["in"]


# Journals that cannot be written


def test_outputs_of_a_run_without_a_journal_are_known_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the disk failed just once: the log then holds what was to be made."""
    picture(tmp_path / "in/a.bmp")
    picture(tmp_path / "in/b.bmp")

    def broken(*words: Any, **options: Any) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", broken)
        assert made(tmp_path / "in", tmp_path / "out") == dict.fromkeys(("a.bmp", "b.bmp"), "done")

    again = made(tmp_path / "in", tmp_path / "out")

    assert again == dict.fromkeys(("a.bmp", "b.bmp"), "up to date")
    assert os.listdir(tmp_path / "out" / worker_log.FOLDER) == [NAME]
