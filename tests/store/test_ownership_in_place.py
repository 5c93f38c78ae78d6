"""Who owns a file when the target is the source: links, other runs, permissions."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from toolkit.commands import imgbatch as command
from toolkit.commands import imgbatch_text
from toolkit.runs import JOURNAL, copy_tree, in_place, picture, rewrite

from imgbatch.errors import UsageError
from imgbatch.model import FileState
from imgbatch.recipes.recipe import Recipe
from imgbatch.store import local_files
from imgbatch.store.journal import Journal

# In place, behind links


@pytest.mark.slow
def test_in_place_files_behind_a_link_are_refused_by_name(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.bmp")
    outside = picture(tmp_path / "elsewhere/b.bmp")
    before = outside.read_bytes()
    (tmp_path / "in/linked").symlink_to(tmp_path / "elsewhere")

    refused = imgbatch_text("resize", "in", "-s", "30", "--in-place", "--no-backup", cwd=tmp_path)

    assert refused.returncode == 2
    assert "in/linked/b.bmp is reached by the link in/linked" in refused.stderr
    assert "--exclude 'linked/*'" in refused.stderr
    assert outside.read_bytes() == before
    assert in_place(tmp_path / "in", exclude=("linked/*",)) == {"a.bmp": "done"}
    assert outside.read_bytes() == before


@pytest.mark.slow
def test_in_place_a_list_does_not_follow_a_link_either(tmp_path: Path) -> None:
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
    assert b"is reached by the link" in refused.stderr
    assert outside.read_bytes() == before


def test_in_place_a_link_to_a_folder_inside_hides_nothing(tmp_path: Path) -> None:
    """It sorts before the folder it leads to, which is processed under its own name."""
    picture(tmp_path / "in/real/b.bmp")
    (tmp_path / "in/alias").symlink_to("real")

    assert in_place(tmp_path / "in") == {"real/b.bmp": "done"}


def test_in_place_the_given_folder_may_be_a_link(tmp_path: Path) -> None:
    picture(tmp_path / "real/b.bmp")
    (tmp_path / "in").symlink_to("real")

    assert in_place(tmp_path / "in") == {"b.bmp": "done"}


def test_in_place_an_edited_result_is_not_replaced_without_a_backup(tmp_path: Path) -> None:
    """Its time was kept; and the backup folder holds the file from before the first run."""
    file = picture(tmp_path / "in/a.bmp")
    in_place(tmp_path / "in", backup=str(tmp_path / "kept"))
    edited = bytes([*file.read_bytes()[:-1], 77])
    rewrite(file, edited)

    same = in_place(tmp_path / "in", backup=str(tmp_path / "kept"))
    other = in_place(
        tmp_path / "in", Recipe.from_options(sizes=["20"]), backup=str(tmp_path / "kept")
    )

    # It is small enough, so nothing needs to be done.
    assert same == {"a.bmp": "done"}
    assert "use another --backup folder" in other["a.bmp"]
    assert file.read_bytes() == edited


def test_in_place_a_copied_tree_is_up_to_date_and_may_be_remade(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.bmp")
    in_place(tmp_path / "in", backup=str(tmp_path / "kept"))
    copy_tree(tmp_path / "in")
    kept = (tmp_path / "kept/a.bmp").read_bytes()

    same = in_place(tmp_path / "in", backup=str(tmp_path / "kept"))
    other = in_place(
        tmp_path / "in", Recipe.from_options(sizes=["20"]), backup=str(tmp_path / "kept")
    )

    assert (same, other) == ({"a.bmp": "up to date"}, {"a.bmp": "done"})
    assert (tmp_path / "kept/a.bmp").read_bytes() == kept


@pytest.mark.slow
def test_in_place_hard_links_are_reported_before_they_part(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.bmp")
    os.link(tmp_path / "in/a.bmp", tmp_path / "in/b.bmp")
    picture(tmp_path / "in/c.bmp")
    options = ("resize", "in", "-s", "30", "--in-place", "--no-backup")

    dry = imgbatch_text(*options, "-n", cwd=tmp_path)
    done = imgbatch_text(*options, cwd=tmp_path)

    for run in (dry, done):
        assert run.returncode == 0
        assert "in/a.bmp and in/b.bmp are one file" in run.stderr
        assert "c.bmp" not in run.stderr
    assert (tmp_path / "in/a.bmp").stat().st_nlink == 1


# In place, alongside other runs


@pytest.mark.parametrize("other", [".", "a", "a/b/c"])
def test_two_runs_in_place_never_work_on_the_same_files(tmp_path: Path, other: str) -> None:
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


def test_idle_journals_of_others_are_left_alone(tmp_path: Path) -> None:
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
def test_group_permissions_are_not_given_to_another_group(
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


def test_group_member_keeps_its_permissions(tmp_path: Path) -> None:
    file = tmp_path / "a.bmp"
    file.write_bytes(b"original")
    os.chown(file, -1, 54321)
    file.chmod(0o2664)

    staged = local_files.stage(str(file), b"result", "run", like=str(file), durable=True)

    found = os.stat(staged.temporary)
    assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (54321, 0o2664)
