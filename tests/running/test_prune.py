"""--prune removes what is certainly left over, and nothing else."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from typing import Any

import pytest
from toolkit.commands import CompletedText, imgbatch_here, imgbatch_text
from toolkit.commands import imgbatch as imgbatch_command
from toolkit.folders import files, plant
from toolkit.reports import rows
from toolkit.runs import JOURNAL, copy_tree

import imgbatch
from imgbatch.recipes.recipe import Recipe

JPEG = Recipe.from_options(sizes=["30"], format="jpeg")
WEBP = Recipe.from_options(sizes=["30"], format="webp")


@pytest.fixture
def shoot(tmp_path: Path) -> Path:
    """A shoot whose pictures have been made into `web`, beside a file that is somebody else's."""
    shoot = plant(tmp_path / "shoot", "a.jpg", "ü b.jpg", "day 1/c.jpg", "day 2/deep/d.jpg")
    make(shoot)
    plant(tmp_path / "web", "mine.jpg", "day 2/notes.txt")
    return shoot


def make(*paths: Path, recipe: Recipe = JPEG, **options: Any) -> list[imgbatch.Result]:
    output = options.pop("output", paths[0].parent / "web")
    return list(imgbatch.run(recipe, paths, output=output, jobs=1, **options))


def named(template: str) -> Recipe:
    return Recipe.from_options(sizes=["30"], format="jpeg", template=template)


def left(shoot: Path) -> list[str]:
    """What is in `web`, without what is not imgbatch's."""
    return [name for name in files(shoot.parent / "web") if name not in FOREIGN]


FOREIGN = ("mine.jpg", "day 2/notes.txt")
ALL = ["a.jpg", "day 1/c.jpg", "day 2/deep/d.jpg", "ü b.jpg"]


def without(*names: str) -> list[str]:
    return [name for name in ALL if name not in names]


def test_output_of_a_source_that_is_gone_is_removed_with_its_folder(shoot: Path) -> None:
    (shoot / "ü b.jpg").unlink()
    shutil.rmtree(shoot / "day 1")
    shutil.rmtree(shoot / "day 2/deep")

    make(shoot)
    assert left(shoot) == ALL
    make(shoot, prune=True)

    assert left(shoot) == ["a.jpg"]
    assert sorted(path.name for path in (shoot.parent / "web").iterdir()) == [
        *(".imgbatch", "a.jpg", "day 2", "mine.jpg")
    ]
    assert files(shoot.parent / "web") == ["a.jpg", "day 2/notes.txt", "mine.jpg"]
    # Its journal has forgotten them.
    with closing(connect(shoot.parent / "web" / JOURNAL)) as journal:
        assert journal.execute("SELECT target FROM output").fetchall() == [(b"a.jpg",)]


def test_output_that_other_options_make_no_more_is_removed(shoot: Path) -> None:
    make(shoot, recipe=WEBP)
    assert len(left(shoot)) == 8

    make(shoot, recipe=WEBP, prune=True)

    assert left(shoot) == [name.replace(".jpg", ".webp") for name in ALL]


@pytest.mark.parametrize("foreign", [False, True])
def test_outputs_that_need_not_be_made_again_stay_beside_those_that_do(
    tmp_path: Path, foreign: bool
) -> None:
    shoot = plant(tmp_path / "shoot", "a.jpg", "b.jpg")
    both = Recipe.from_options(sizes=["large=30", "small=20"])
    make(shoot, recipe=both)
    (tmp_path / "web/a-small.jpg").unlink()
    (tmp_path / "web/b-small.jpg").unlink()
    before = (tmp_path / "web/a-large.jpg").read_bytes()
    if foreign:
        (tmp_path / "web/a-large.jpg").write_bytes(b"mine")
        (tmp_path / "web/a-large.jpg").write_bytes(before)

    make(shoot, recipe=both, prune=True, on_conflict="skip")

    assert left(shoot) == ["a-large.jpg", "a-small.jpg", "b-large.jpg", "b-small.jpg"]


def test_earlier_output_stays_if_the_new_one_was_not_made(shoot: Path) -> None:
    (shoot / "a.jpg").write_bytes(b"no picture")

    make(shoot, recipe=WEBP, prune=True)

    assert "a.jpg" in left(shoot)
    assert "day 1/c.jpg" not in left(shoot)


def test_earlier_output_stays_if_the_new_name_is_taken(shoot: Path) -> None:
    (shoot.parent / "web/a.webp").write_bytes(b"mine")

    make(shoot, recipe=WEBP, prune=True, on_conflict="skip")

    assert left(shoot)[:3] == ["a.jpg", "a.webp", "day 1/c.webp"]


@pytest.mark.parametrize("how", ["edited", "linked", "folder linked", "replaced by a folder"])
def test_what_somebody_changed_stays(shoot: Path, how: str) -> None:
    (shoot / "day 1/c.jpg").unlink()
    output = shoot.parent / "web/day 1/c.jpg"
    if how == "edited":
        data = bytearray(output.read_bytes())
        data[-3] ^= 1
        output.write_bytes(data)
    elif how == "linked":
        output.rename(shoot.parent / "moved.jpg")
        output.symlink_to(shoot.parent / "moved.jpg")
    elif how == "folder linked":
        output.parent.rename(shoot.parent / "moved")
        output.parent.symlink_to(shoot.parent / "moved")
    else:
        output.unlink()
        output.mkdir()

    make(shoot, prune=True)

    assert output.exists()


def test_edited_output_is_named(shoot: Path) -> None:
    (shoot / "a.jpg").unlink()
    output = shoot.parent / "web/a.jpg"
    data = bytearray(output.read_bytes())
    data[-3] ^= 1
    output.write_bytes(data)

    for more in ([], ["-n"]):
        run = prune(shoot, *more)
        assert "not removed, because somebody has changed them since: web/a.jpg" in run.stderr
        assert "web/a.jpg" not in run.stdout
    assert output.read_bytes() == data


def test_copied_output_folder_is_pruned_by_content(shoot: Path) -> None:
    copy_tree(shoot.parent / "web")
    (shoot / "a.jpg").unlink()

    make(shoot, prune=True)

    assert left(shoot) == without("a.jpg")


@pytest.mark.parametrize(
    ("paths", "options"),
    [
        (["day 1"], {}),
        (["a.jpg"], {}),
        (["a.jpg", "day 1"], {}),
        (["."], {"include": ["*ü*"]}),
        (["."], {"exclude": ["*d.jpg", "*c.jpg"]}),
        (["."], {"recursive": False}),
    ],
)
def test_part_of_the_sources_says_nothing_of_the_others(
    shoot: Path, paths: list[str], options: dict[str, Any]
) -> None:
    for name in ("day 2/deep/d.jpg", "day 1/c.jpg"):
        plant(shoot, name.replace(".jpg", "-2.jpg"))
        (shoot / name).unlink()
    output = shoot.parent / "web"

    make(*(shoot / path for path in paths), output=output, prune=True, **options)

    assert "day 2/deep/d.jpg" in left(shoot)
    assert ("day 1/c.jpg" in left(shoot)) == ("day 1" not in paths)


@pytest.mark.parametrize("recipe", [JPEG, WEBP])
def test_run_over_a_part_leaves_what_a_run_over_all_made(shoot: Path, recipe: Recipe) -> None:
    output = shoot.parent / "web"

    make(shoot / "day 2", output=output, recipe=recipe, prune=True)
    assert [name for name in left(shoot) if "deep/d." not in name] == without("day 2/deep/d.jpg")
    assert "day 2/deep/d.jpg" in left(shoot)
    make(shoot, prune=True)

    assert left(shoot) == ALL


def test_list_prunes_only_for_the_files_on_it(shoot: Path) -> None:
    (shoot / "a.jpg").unlink()
    words = ("resize", "-", "-o", "web", "-s", "30", "-f", "webp", "--prune")

    imgbatch_text(*words, cwd=shoot.parent)
    run = imgbatch_here(*words, "-n", cwd=shoot.parent, stdin="shoot/ü b.jpg\n".encode())

    assert left(shoot) == ALL
    removed = [line for line in run.stdout.decode().splitlines() if "removed" in line]
    assert removed == [
        "web/ü b.jpg would be removed: other outputs are made of shoot/ü b.jpg now",
    ]


def test_folder_without_pictures_proves_nothing(shoot: Path) -> None:
    """Its disk may not be mounted."""
    other = plant(shoot.parent / "other", "x.jpg")
    make(shoot, other, output=shoot.parent / "both")
    shutil.rmtree(shoot)
    with pytest.raises(imgbatch.UsageError, match="shoot"):
        make(shoot, other, output=shoot.parent / "both", prune=True)
    shoot.mkdir()

    make(shoot, other, output=shoot.parent / "both", prune=True)
    with pytest.raises(imgbatch.NothingFoundError):
        make(shoot, prune=True)

    assert len(files(shoot.parent / "both")) == 5
    assert left(shoot) == ALL


def test_source_behind_a_link_that_leads_nowhere_is_not_gone(shoot: Path) -> None:
    disk = shoot.parent / "disk"
    (shoot / "day 1").rename(disk)
    (shoot / "day 1").symlink_to(disk)
    make(shoot, prune=True)
    assert left(shoot) == ALL

    disk.rename(shoot.parent / "unplugged")
    (shoot / "ü b.jpg").unlink()
    make(shoot, prune=True)

    assert left(shoot) == without("ü b.jpg")


def test_source_behind_a_link_is_gone_if_the_folder_is_there(shoot: Path) -> None:
    (shoot / "day 1").rename(shoot.parent / "disk")
    (shoot / "day 1").symlink_to(shoot.parent / "disk")
    (shoot.parent / "disk/c.jpg").unlink()

    make(shoot, prune=True)

    assert left(shoot) == without("day 1/c.jpg")


def test_nothing_is_removed_if_a_folder_cannot_be_listed(
    shoot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shoot / "a.jpg").unlink()
    monkeypatch.setattr("imgbatch.planning.scan._entries", _failing_for(shoot / "day 1"))

    make(shoot, prune=True)

    assert left(shoot) == ALL


def _failing_for(folder: Path) -> Any:
    from imgbatch.planning import scan

    before = scan._entries

    def entries(path: str) -> Any:
        if Path(path) == folder:
            raise OSError("input/output error")
        return before(path)

    return entries


def test_abandoned_run_removes_nothing(shoot: Path) -> None:
    (shoot / "a.jpg").unlink()
    results = imgbatch.run(
        JPEG, [shoot], output=shoot.parent / "web", jobs=1, prune=True, force=True
    )
    next(results)
    results.close()

    assert left(shoot) == ALL


def test_moved_source_is_removed_from_its_old_place_only(shoot: Path) -> None:
    (shoot / "a.jpg").rename(shoot / "day 1/a.jpg")

    make(shoot, prune=True)

    assert left(shoot) == sorted([*without("a.jpg"), "day 1/a.jpg"])


def test_edited_journal_leads_nowhere_else(shoot: Path) -> None:
    plant(shoot.parent, "precious.jpg", data=(shoot.parent / "web/a.jpg").read_bytes())
    (shoot / "a.jpg").unlink()
    with closing(connect(shoot.parent / "web" / JOURNAL)) as journal:
        journal.execute("UPDATE output SET path = '../precious.jpg' WHERE target = ?", (b"a.jpg",))
        journal.execute("UPDATE output SET path = CAST(path AS BLOB), ctime_ns = NULL")
        journal.commit()

    make(shoot, prune=True)

    assert (shoot.parent / "precious.jpg").exists()


def test_shoot_changed_in_place_keeps_its_pictures(tmp_path: Path) -> None:
    plant(tmp_path / "shoot", "a.jpg", "b.jpg")
    words = ("--in-place", "--no-backup", "-s", "30", "-j", "1")
    imgbatch_text("resize", "shoot", *words, cwd=tmp_path)
    web = plant(tmp_path / "raw", "x.jpg")

    make(web, output=tmp_path / "shoot", prune=True)

    assert files(tmp_path / "shoot") == ["a.jpg", "b.jpg", "x.jpg"]
    refused = imgbatch_here("resize", "shoot", *words, "--prune", cwd=tmp_path)
    assert refused.returncode == 2
    assert b"--prune" in refused.stderr


@pytest.mark.parametrize("name", ["{stem}{ext}", "{stem}-web{ext}"])
def test_pictures_changed_in_place_stay_if_their_folder_was_renamed(
    tmp_path: Path, name: str
) -> None:
    """New pictures are where they were before, perhaps with the same names."""
    plant(tmp_path / "inbox", "a.jpg", "b.jpg")
    imgbatch_text("resize", "inbox", "--in-place", "--no-backup", "-s", "30", cwd=tmp_path)
    (tmp_path / "inbox").rename(tmp_path / "archive")
    inbox = plant(tmp_path / "inbox", "c.jpg" if name == "{stem}{ext}" else "a.jpg")

    make(inbox, output=tmp_path / "archive", recipe=named(name), prune=True)

    kept = files(tmp_path / "archive")
    assert len(kept) == 3
    assert {"a.jpg", "b.jpg"} < set(kept)


def test_pictures_changed_in_place_are_not_replaced_after_their_folder_was_renamed(
    tmp_path: Path,
) -> None:
    plant(tmp_path / "inbox", "a.jpg")
    imgbatch_text("resize", "inbox", "--in-place", "--no-backup", "-s", "30", cwd=tmp_path)
    (tmp_path / "inbox").rename(tmp_path / "archive")
    original = (tmp_path / "archive/a.jpg").read_bytes()
    inbox = plant(tmp_path / "inbox", "a.jpg")

    with pytest.raises(imgbatch.PlanError, match="may be an original that was changed in place"):
        make(inbox, output=tmp_path / "archive", force=True)
    make(inbox, output=tmp_path / "archive", on_conflict="rename")

    assert files(tmp_path / "archive") == ["a-2.jpg", "a.jpg"]
    assert (tmp_path / "archive/a.jpg").read_bytes() == original


def test_what_this_run_takes_for_an_original_stays(tmp_path: Path) -> None:
    shoot = plant(tmp_path / "shoot", "a.jpg")
    make(shoot, output=shoot, recipe=named("{stem}-web{ext}"))

    make(shoot, output=shoot, recipe=named("{stem}-x{ext}"), include_outputs=True, prune=True)

    assert files(shoot) == ["a-web-x.jpg", "a-web.jpg", "a-x.jpg", "a.jpg"]


def test_each_subfolder_is_pruned_by_itself(shoot: Path) -> None:
    make(shoot, output=None, subfolder="web")
    make(shoot, output=None, subfolder="thumbs")
    for name in ("a.jpg", "day 1/c.jpg"):
        (shoot / name).unlink()

    make(shoot, output=None, subfolder="web", prune=True)

    assert files(shoot) == [
        *("day 1/thumbs/c.jpg", "day 2/deep/d.jpg", "day 2/deep/thumbs/d.jpg"),
        *("day 2/deep/web/d.jpg", "thumbs/a.jpg", "thumbs/ü b.jpg", "web/ü b.jpg", "ü b.jpg"),
    ]


def test_folder_of_the_originals_stays_if_it_becomes_empty(shoot: Path) -> None:
    make(shoot, output=None, subfolder="web")
    (shoot / "day 1/c.jpg").unlink()

    make(shoot, output=None, subfolder="web", prune=True)

    assert list((shoot / "day 1").iterdir()) == []


def test_subfolders_of_a_part_are_pruned_by_the_journal_above(shoot: Path) -> None:
    plant(shoot, "day 1/e.jpg")
    make(shoot, output=None, subfolder="web")
    for name in ("a.jpg", "day 1/c.jpg"):
        (shoot / name).unlink()

    make(shoot / "day 1", output=None, subfolder="web", prune=True)

    assert (shoot / "web/a.jpg").exists()
    assert files(shoot / "day 1") == ["e.jpg", "web/e.jpg"]


@pytest.mark.parametrize("output", [("-o", "b.jpg"), ("-o", "-"), ()])
def test_files_that_are_named_one_by_one_are_not_left_over(
    shoot: Path, output: tuple[str, ...]
) -> None:
    words = ("resize", "a.jpg", "-s", "30")
    imgbatch_text(*words, "-o", "c.jpg", cwd=shoot)

    made = imgbatch_command(*words, *output, cwd=shoot)
    refused = imgbatch_here(*words, *output, "--prune", cwd=shoot)

    assert made.returncode == 0
    assert b"left over" not in made.stderr
    assert refused.returncode == 2
    assert b"omit it, or give a folder" in refused.stderr
    assert (shoot / "c.jpg").exists()


def test_pictures_from_standard_input_are_different_ones(shoot: Path) -> None:
    for name in ("a", "ü b"):
        picture = (shoot / f"{name}.jpg").read_bytes()
        words = ("-s", "30", "--name", f"{name}{{ext}}", "-o", "web/", "--prune")
        run = imgbatch_command("resize", "-", *words, cwd=shoot, stdin=picture)
        assert run.returncode == 0, run.stderr

    assert files(shoot / "web") == ["a.jpg", "ü b.jpg"]


def prune(shoot: Path, *words: str) -> CompletedText:
    given = ("resize", "shoot", "-o", "web", "-s", "30", "-f", "jpeg", "--prune", "-j", "1")
    return imgbatch_text(*given, *words, cwd=shoot.parent)


def test_dry_run_summary_and_report_tell_what_is_removed(shoot: Path) -> None:
    (shoot / "a.jpg").unlink()
    hint = imgbatch_text(
        *("resize", "shoot", "-o", "web", "-s", "20", "-f", "webp", "-j", "1", "--report", "-"),
        cwd=shoot.parent,
    )
    for name in files(shoot.parent / "web"):
        if name.endswith(".webp"):
            (shoot.parent / "web" / name).unlink()

    words = ("resize", "shoot", "-o", "web", "-s", "30", "-f", "jpeg", "-n")
    told = imgbatch_here(*words, cwd=shoot.parent).stderr.decode()
    dry = prune(shoot, "-n")
    assert "a.jpg" in left(shoot)
    run = prune(shoot, "-v", "--report", "report.jsonl")
    again = prune(shoot)

    assert (
        "left over: 1 output from sources that are gone, 3 outputs that these options do not make "
        "(--prune removes them)"
    ) in hint.stderr
    assert "left over: 1 output from sources that are gone (--prune removes them)" in told
    _, summary = rows(hint.stdout.encode())
    assert summary["left_over"] == {"source-gone": 1, "not-made": 3}
    assert "web/a.jpg would be removed: shoot/a.jpg is gone" in dry.stdout.splitlines()
    assert "3 up to date, 1 output to remove" in dry.stderr
    assert "3 up to date, 1 output removed in web" in run.stderr
    assert "web/a.jpg removed: shoot/a.jpg is gone" in run.stderr.splitlines()
    report = (shoot.parent / "report.jsonl").read_bytes()
    assert rows(report)[1]["pruned"] == 1
    assert b'{"pruned": {"path": "web/a.jpg", "source": "' in report
    assert left(shoot) == without("a.jpg")
    assert "remove" not in again.stderr
    assert "left over" not in again.stderr
