"""What is not imgbatch's is never taken for its own, and what is its own is known again."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from toolkit.commands import imgbatch as command
from toolkit.commands import told
from toolkit.pictures import opened, saved, scene

import imgbatch
from imgbatch.errors import UsageError
from imgbatch.model import FileState, Made, Result
from imgbatch.recipes.recipe import Recipe
from imgbatch.running import recovery, worker
from imgbatch.running.batch import prepare
from imgbatch.running.pipeline import make
from imgbatch.running.settings import Settings
from imgbatch.store import local_files, worker_log
from imgbatch.store.journal import NAME, Journal

SMALLER = Recipe.from_options(sizes=["30"])
JOURNAL = Path(worker_log.FOLDER) / NAME


def picture(file: Path, shade: int = 0, format_name: str = "BMP") -> Path:
    """A BMP has the same size in bytes whatever is on it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(saved((scene(60, 40) // 2 + shade).astype("uint8"), format_name))
    return file


def rewrite(file: Path, data: bytes) -> None:
    """As `exiftool -P` and `rsync --times` do it: a new file with the old time."""
    before = file.stat()
    beside = file.with_name("rewritten")
    beside.write_bytes(data)
    os.utime(beside, ns=(before.st_atime_ns, before.st_mtime_ns))
    beside.replace(file)


def made(folder: Path, out: Path, recipe: Recipe = SMALLER, **options: Any) -> dict[str, str]:
    """What became of each source, by its name below the folder."""
    results = imgbatch.run(recipe, [folder], output=out, jobs=1, **options)
    return outcomes(results)


def in_place(folder: Path, recipe: Recipe = SMALLER, **options: Any) -> dict[str, str]:
    settings = Settings((str(folder),), jobs=1, in_place=True, **options)
    with prepare(recipe, settings) as batch:
        batch.plan.check()
        batch.begin()
        return outcomes([*batch.plan.skipped, *batch.results()])


def outcomes(results: Iterator[Result] | list[Result]) -> dict[str, str]:
    return {
        one.source.relative: one.reason or (one.failure.message if one.failure else one.status)
        for one in results
    }


def known(out: Path, target: str) -> Made:
    journal = Journal.open(str(out))
    row = journal.lookup(target)
    journal.close()
    assert row is not None
    return row


# Files of somebody else


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
    """A folder with a PNG whose name says JPEG: what becomes of it is named by the worker."""
    picture(tmp_path / "in/a.jpg", format_name="PNG")
    (tmp_path / "two.toml").write_text(TWO)
    return tmp_path / "in"


@pytest.mark.slow
def test_a_file_with_the_same_bytes_stays_when_a_later_output_fails(
    tmp_path: Path, liar: Path
) -> None:
    out = tmp_path / "out"
    (out / "two").mkdir(parents=True)
    shutil.copy(liar / "a.jpg", out / "a-w.png")
    (out / "two/a.png").write_bytes(b"somebody's")

    done = told("run", "two.toml", "in", "-o", "out", cwd=tmp_path)

    assert done.returncode == 1
    assert (out / "a-w.png").read_bytes() == (liar / "a.jpg").read_bytes()
    assert (out / "two/a.png").read_bytes() == b"somebody's"


@pytest.mark.slow
def test_an_original_with_the_same_bytes_stays_when_a_later_output_fails(
    tmp_path: Path, liar: Path
) -> None:
    shutil.copy(liar / "a.jpg", liar / "a-w.png")
    (liar / "two").mkdir()
    (liar / "two/a.png").write_bytes(b"somebody's")

    done = told("run", "two.toml", "in", "-o", "in", "--exclude", "two/*", cwd=tmp_path)

    assert done.returncode == 1
    assert (liar / "a-w.png").read_bytes() == (liar / "a.jpg").read_bytes()


@pytest.mark.slow
def test_what_was_published_is_taken_back_when_a_later_output_fails(
    tmp_path: Path, liar: Path
) -> None:
    (tmp_path / "out/two").mkdir(parents=True)
    (tmp_path / "out/two/a.png").write_bytes(b"somebody's")

    done = told("run", "two.toml", "in", "-o", "out", cwd=tmp_path)

    assert done.returncode == 1
    assert "the suffix of this picture is wrong" in done.stderr
    assert not (tmp_path / "out/a-w.png").exists()


def test_a_file_with_the_same_bytes_is_not_adopted(tmp_path: Path, liar: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(liar / "a.jpg", out / "a.png")
    before = (out / "a.png").read_bytes()

    first = made(liar, out, Recipe.from_options(sizes=["100"]))
    second = made(liar, out, Recipe.from_options(sizes=["20"]))

    assert "exists already" in first["a.jpg"]
    assert "exists already" in second["a.jpg"]
    assert (out / "a.png").read_bytes() == before


def test_a_file_of_the_same_size_and_time_is_no_proof_of_a_lost_jobs_output(
    tmp_path: Path,
) -> None:
    """As `cp -p` and --preserve-dates together make one."""
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
def test_what_is_no_file_is_not_taken_for_an_empty_one_of_ours(tmp_path: Path, what: str) -> None:
    picture(tmp_path / "in/a.bmp")
    made(tmp_path / "in", tmp_path / "out")
    output = tmp_path / "out/a.bmp"
    output.unlink()
    os.mknod(output, 0o600 | (stat.S_IFIFO if what == "pipe" else stat.S_IFSOCK))

    with pytest.raises(imgbatch.PlanError, match="was changed since"):
        made(tmp_path / "in", tmp_path / "out", Recipe.from_options(sizes=["20"]))
    assert not stat.S_ISREG(output.lstat().st_mode)


# Sources that were corrected, touched, copied


def test_a_source_that_was_edited_with_its_time_kept_is_made_anew(tmp_path: Path) -> None:
    source = picture(tmp_path / "in/a.bmp")
    assert made(tmp_path / "in", tmp_path / "out") == {"a.bmp": "done"}
    before = opened((tmp_path / "out/a.bmp").read_bytes()).getpixel((3, 3))

    rewrite(source, picture(tmp_path / "other.bmp", 100).read_bytes())

    assert made(tmp_path / "in", tmp_path / "out") == {"a.bmp": "done"}
    assert opened((tmp_path / "out/a.bmp").read_bytes()).getpixel((3, 3)) != before
    assert made(tmp_path / "in", tmp_path / "out") == {"a.bmp": "up to date"}


def test_one_byte_in_the_middle_of_a_large_file_makes_it_another(tmp_path: Path) -> None:
    source = tmp_path / "in/a.bmp"
    source.parent.mkdir()
    source.write_bytes(saved(scene(600, 400), "BMP"))
    made(tmp_path / "in", tmp_path / "out")
    before = source.stat()
    # Written into, so the inode stays.
    with open(source, "r+b") as file:
        file.seek(before.st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert made(tmp_path / "in", tmp_path / "out") == {"a.bmp": "done"}


def test_what_a_first_attempt_published_is_taken_back_with_the_rest(tmp_path: Path) -> None:
    """The worker died behind its first output; somebody puts a file in the second one's place."""
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


def _copy_tree(folder: Path) -> None:
    shutil.copytree(folder, folder.with_name("copy"), copy_function=shutil.copy2)
    shutil.rmtree(folder)
    folder.with_name("copy").rename(folder)


def _restore(folder: Path) -> None:
    rewrite(folder / "a.bmp", (folder / "a.bmp").read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("touch", [_chmod, _copy_tree, _restore])
def test_a_source_that_was_only_touched_is_up_to_date_and_compared_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, touch: Callable[[Path], None]
) -> None:
    picture(tmp_path / "in/a.bmp")
    made(tmp_path / "in", tmp_path / "out")
    seal = (tmp_path / "out/a.bmp").stat()
    row = known(tmp_path / "out", "a.bmp")
    touch(tmp_path / "in")

    dry = told("resize", "in", "-s", "30", "-o", "out", "-n", cwd=tmp_path)
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


def test_a_copied_tree_with_its_outputs_is_up_to_date(tmp_path: Path) -> None:
    for name in ("a.bmp", "b/c.bmp"):
        picture(tmp_path / "old/in" / name)
    made(tmp_path / "old/in", tmp_path / "old/out")
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    shutil.rmtree(tmp_path / "old")

    again = made(tmp_path / "new/in", tmp_path / "new/out")

    assert again == {"a.bmp": "up to date", "b/c.bmp": "up to date"}


def test_of_several_outputs_those_that_are_missing_are_made_beside_a_touched_source(
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


def test_a_row_of_before_the_marks_were_recorded_is_as_good_as_it_was(tmp_path: Path) -> None:
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


def test_an_output_that_was_edited_with_its_time_kept_is_not_replaced(tmp_path: Path) -> None:
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


def test_an_edited_output_beside_a_touched_source_is_neither_adopted_nor_removed(
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


def test_in_place_an_edit_in_the_midst_of_a_run_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same size, in the same file, with its time kept: only its ctime tells."""
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
        assert "was changed meanwhile" in in_place(tmp_path / "in", backup=backup)["a.bmp"]
        assert file.read_bytes() == edited


def test_an_output_that_was_only_copied_is_replaced(tmp_path: Path) -> None:
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
def test_what_a_power_cut_tore_is_made_anew(tmp_path: Path, tear: Callable[[bytes], bytes]) -> None:
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


def test_what_somebody_made_smaller_is_left_alone(tmp_path: Path) -> None:
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


def test_what_a_power_cut_tore_is_replaced_by_another_recipe_too(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.bmp")
    made(tmp_path / "in", tmp_path / "out")
    output = tmp_path / "out/a.bmp"
    os.truncate(output, 100)
    # A power cut leaves all marks as they were; nothing else can.
    state = local_files.state(str(output))
    assert state is not None
    with closing(sqlite3.connect(tmp_path / "out" / JOURNAL)) as journal:
        journal.execute("UPDATE output SET mtime_ns = ?, ctime_ns = ?", state[1:3])
        journal.commit()

    again = made(tmp_path / "in", tmp_path / "out", Recipe.from_options(sizes=["20"]))

    assert again == {"a.bmp": "done"}


def test_in_place_new_folders_and_logs_are_on_the_disk_before_an_original_goes(
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


# In place, behind links


@pytest.mark.slow
def test_in_place_what_lies_behind_a_link_is_refused_by_name(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.bmp")
    outside = picture(tmp_path / "elsewhere/b.bmp")
    before = outside.read_bytes()
    (tmp_path / "in/linked").symlink_to(tmp_path / "elsewhere")

    refused = told("resize", "in", "-s", "30", "--in-place", "--no-backup", cwd=tmp_path)

    assert refused.returncode == 2
    assert "in/linked/b.bmp lies behind the link in/linked" in refused.stderr
    assert "--exclude 'linked/*'" in refused.stderr
    assert outside.read_bytes() == before
    assert in_place(
        tmp_path / "in", selection=imgbatch.planning.scan.Selection(exclude=("linked/*",))
    ) == {"a.bmp": "done"}
    assert outside.read_bytes() == before


@pytest.mark.slow
def test_in_place_a_list_does_not_lead_through_a_link_either(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.bmp")
    outside = picture(tmp_path / "elsewhere/b.bmp")
    (tmp_path / "in/linked").symlink_to(tmp_path / "elsewhere")
    before = outside.read_bytes()

    refused = command(
        *("resize", "-", "-s", "30", "--in-place", "--no-backup"),
        stdin=b"in/a.bmp\nin/linked/b.bmp\n",
        cwd=tmp_path,
    )

    assert refused.returncode == 2
    assert b"lies behind the link" in refused.stderr
    assert outside.read_bytes() == before


def test_in_place_a_link_to_a_folder_inside_hides_nothing(tmp_path: Path) -> None:
    """It comes before the folder it leads to, which is worked on under its own name."""
    picture(tmp_path / "in/real/b.bmp")
    (tmp_path / "in/alias").symlink_to("real")

    assert in_place(tmp_path / "in") == {"real/b.bmp": "done"}


def test_in_place_the_given_folder_may_be_a_link(tmp_path: Path) -> None:
    picture(tmp_path / "real/b.bmp")
    (tmp_path / "in").symlink_to("real")

    assert in_place(tmp_path / "in") == {"b.bmp": "done"}


def test_in_place_an_edited_result_is_not_replaced_without_a_backup_of_it(tmp_path: Path) -> None:
    """Its time was kept; and what the backup folder has is what it was before the first run."""
    file = picture(tmp_path / "in/a.bmp")
    in_place(tmp_path / "in", backup=str(tmp_path / "kept"))
    edited = bytes([*file.read_bytes()[:-1], 77])
    rewrite(file, edited)

    same = in_place(tmp_path / "in", backup=str(tmp_path / "kept"))
    other = in_place(
        tmp_path / "in", Recipe.from_options(sizes=["20"]), backup=str(tmp_path / "kept")
    )

    # It is small enough, so nothing has to be done to it.
    assert same == {"a.bmp": "done"}
    assert "use another --backup folder" in other["a.bmp"]
    assert file.read_bytes() == edited


def test_in_place_a_copied_tree_is_up_to_date_and_may_be_made_again(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.bmp")
    in_place(tmp_path / "in", backup=str(tmp_path / "kept"))
    _copy_tree(tmp_path / "in")
    kept = (tmp_path / "kept/a.bmp").read_bytes()

    same = in_place(tmp_path / "in", backup=str(tmp_path / "kept"))
    other = in_place(
        tmp_path / "in", Recipe.from_options(sizes=["20"]), backup=str(tmp_path / "kept")
    )

    assert (same, other) == ({"a.bmp": "up to date"}, {"a.bmp": "done"})
    assert (tmp_path / "kept/a.bmp").read_bytes() == kept


@pytest.mark.slow
def test_in_place_twins_are_told_before_they_part(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.bmp")
    os.link(tmp_path / "in/a.bmp", tmp_path / "in/b.bmp")
    picture(tmp_path / "in/c.bmp")
    options = ("resize", "in", "-s", "30", "--in-place", "--no-backup")

    dry = told(*options, "-n", cwd=tmp_path)
    done = told(*options, cwd=tmp_path)

    for run in (dry, done):
        assert run.returncode == 0
        assert "in/a.bmp and in/b.bmp are one file" in run.stderr
        assert "c.bmp" not in run.stderr
    assert (tmp_path / "in/a.bmp").stat().st_nlink == 1


# In place, beside other runs


@pytest.mark.parametrize("other", [".", "a", "a/b/c"])
def test_two_runs_in_place_are_never_at_work_on_the_same_files(tmp_path: Path, other: str) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    file = picture(tmp_path / "a/b/c/a.bmp")
    before = file.read_bytes()
    at_work = Journal.open(str(tmp_path / other))
    at_work.begin("other", [])

    with pytest.raises(UsageError, match="another run is"):
        in_place(tmp_path / "a/b")

    assert file.read_bytes() == before
    at_work.finish()
    assert in_place(tmp_path / "a/b") == {"c/a.bmp": "done"}
    assert not list(tmp_path.rglob("*.log"))


def test_journals_of_others_that_are_at_rest_are_left_as_they_are(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.bmp")
    for folder in (tmp_path, tmp_path / "in/below"):
        folder.mkdir(exist_ok=True)
        at_rest = Journal.open(str(folder))
        at_rest.begin("other", [("a.jpg", b"/a.jpg", FileState(1, 1), "digest")])
        at_rest.close()
    there = sorted(tmp_path.rglob("journal.sqlite*"))

    assert in_place(tmp_path / "in") == {"a.bmp": "done"}
    assert sorted(tmp_path.rglob("journal.sqlite*")) == sorted({*there, tmp_path / "in" / JOURNAL})


# Rights


def test_in_place_a_private_photo_is_private_at_every_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = picture(tmp_path / "in/a.bmp")
    file.chmod(0o600)
    modes: list[int] = []
    real = os.open

    def note(path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
        descriptor = real(path, flags, mode, **options)
        if flags & os.O_CREAT and str(path).endswith(".tmp"):
            modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(os, "open", note)
    # Another file system: the backup is a copy.
    monkeypatch.setattr(os, "link", _no_links)

    assert in_place(tmp_path / "in", backup=str(tmp_path / "kept")) == {"a.bmp": "done"}

    assert modes == [0o600, 0o600]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "kept/a.bmp").stat().st_mode) == 0o600


def _no_links(*names: Any, **options: Any) -> None:
    raise OSError(errno.EPERM, "no links here")


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(0o640, 0o600), (0o664, 0o644), (0o660, 0o600), (0o644, 0o644), (0o2755, 0o755)],
)
def test_rights_of_a_group_are_not_handed_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, expected: int
) -> None:
    file = tmp_path / "a.bmp"
    file.write_bytes(b"original")
    os.chown(file, -1, 54321)
    file.chmod(mode)

    def refuse(path: Any, owner: int, group: int) -> None:
        raise PermissionError(errno.EPERM, "not a member")

    monkeypatch.setattr(os, "chown", refuse)
    staged = local_files.stage(str(file), b"result", "run", like=str(file), durable=True)

    assert stat.S_IMODE(os.stat(staged.temporary).st_mode) == expected


def test_a_member_of_the_group_keeps_its_rights(tmp_path: Path) -> None:
    file = tmp_path / "a.bmp"
    file.write_bytes(b"original")
    os.chown(file, -1, 54321)
    file.chmod(0o2664)

    staged = local_files.stage(str(file), b"result", "run", like=str(file), durable=True)

    found = os.stat(staged.temporary)
    assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (54321, 0o2664)


# What is put into imgbatch's own folder


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
def test_a_link_in_the_journals_place_is_set_aside_and_not_written_through(
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

    done = told("resize", "in", "-s", "20", "-o", "out", "--on-conflict", "skip", cwd=tmp_path)

    assert "set aside" in done.stderr
    assert victim.read_bytes() == b"precious" * 1000


@pytest.mark.slow
def test_a_link_in_the_place_of_the_journals_folder_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.bmp")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / worker_log.FOLDER).symlink_to(tmp_path / "elsewhere")

    done = told("resize", "in", "-s", "20", "-o", "out", cwd=tmp_path)

    assert done.returncode == 2
    assert "is a link or a file" in done.stderr
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.slow
def test_a_log_that_nobody_wrote_is_ignored_with_a_word(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.bmp")
    made(tmp_path / "in", tmp_path / "out")
    folder = tmp_path / "out" / worker_log.FOLDER
    (folder / "planted-1.log").write_text(
        '[1, 2, 3]\n{"a": "b"}\n["a.bmp", true, [], {}, 5, 6, 7]\n'
    )
    os.mkfifo(folder / "pipe-1.log")
    (folder / "link-1.log").symlink_to("/dev/zero")

    done = told("resize", "in", "-s", "20", "-o", "out", cwd=tmp_path)

    assert done.returncode == 0
    assert "3 lines of the logs" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("folder", [".imgbatch", ".IMGBATCH", "x/.imgbatch"])
def test_nothing_is_written_into_the_journals_folder(tmp_path: Path, folder: str) -> None:
    picture(tmp_path / "in/a.bmp")

    named = told("resize", "in", "-o", "out", "--name", f"{folder}/{{stem}}{{ext}}", cwd=tmp_path)
    output = told("resize", "in", "-o", f"out/{folder}", cwd=tmp_path)
    backup = told(*("resize", "in", "--in-place", "--backup", f"kept/{folder}"), cwd=tmp_path)

    report = told(
        *("resize", "in", "-o", "out", "--report", f"out/{folder}/journal.sqlite"), cwd=tmp_path
    )

    for run in (named, output, backup, report):
        assert run.returncode == 2
        assert "imgbatch keeps its journal" in run.stderr
    assert sorted(os.listdir(tmp_path)) == ["in"]


# Journals that cannot be written


def test_what_a_run_without_a_journal_made_is_known_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the disk failed just once: what was to be made stands in the log then."""
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
