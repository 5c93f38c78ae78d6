"""A file appears whole or not at all, whatever the disk does."""

from __future__ import annotations

import errno
import io
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toolkit.pictures import saved, scene
from toolkit.reports import rows

from imgbatch.store import local_files

NO_LINKS = [errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK]
DISK_TROUBLE = [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EACCES]


@pytest.fixture(autouse=True, params=[True, False], ids=["nameless", "named"])
def staging(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything holds with Linux's unnamed files, and with temporary names."""
    monkeypatch.setattr(local_files, "_NAMELESS", request.param and local_files._NAMELESS)
    return "nameless" if local_files._NAMELESS else "named"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".imgbatch")


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*arguments: Any, **options: Any) -> None:
        raise error

    return fail


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("replace", [False, True])
def test_staged_file_is_hidden_next_to_its_target_until_published(
    tmp_path: Path, replace: bool, staging: str
) -> None:
    target = tmp_path / "a.jpg"

    staged = local_files.stage(str(target), b"picture", "run")

    if staging == "named":
        (name,) = names(tmp_path)
        assert name.startswith(".imgbatch-run-")
        assert name.endswith(".tmp")
    else:
        assert names(tmp_path) == []
    assert Path(staged.temporary).read_bytes() == b"picture"
    staged.publish(replace=replace)
    assert names(tmp_path) == ["a.jpg"]
    assert target.read_bytes() == b"picture"


def test_two_runs_have_different_tags() -> None:
    assert len({local_files.new_run() for _ in range(100)}) == 100


def _file(target: Path) -> None:
    target.write_bytes(b"old")


def _dangling_link(target: Path) -> None:
    target.symlink_to("nowhere")


def _folder(target: Path) -> None:
    target.mkdir()


@pytest.fixture(params=[True, False], ids=["renamed", "by a placeholder"])
def _exclusively(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without links: a call that renames without overwriting, or not even that."""
    if not request.param:
        monkeypatch.setattr(local_files, "_rename_exclusively", lambda *names: False)


@pytest.mark.usefixtures("_exclusively")
@pytest.mark.parametrize("link_error", [None, *NO_LINKS])
@pytest.mark.parametrize("occupy", [_file, _dangling_link, _folder])
def test_publishing_never_overwrites_a_file_that_appeared_meanwhile(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    occupy: Callable[[Path], None],
    link_error: int | None,
) -> None:
    target = tmp_path / "a.jpg"
    staged = local_files.stage(str(target), b"new", "run")
    occupy(target)
    before = target.lstat()
    if link_error is not None:
        monkeypatch.setattr(os, "link", raising(OSError(link_error, "no links here")))

    with pytest.raises(FileExistsError):
        staged.publish(replace=False)
    staged.discard()

    assert names(tmp_path) == ["a.jpg"]
    assert (target.lstat().st_ino, target.lstat().st_mtime_ns) == (
        before.st_ino,
        before.st_mtime_ns,
    )


def test_replacing_leaves_other_links_to_the_old_file_alone(tmp_path: Path) -> None:
    original, linked, soft = (tmp_path / name for name in ("original", "linked", "soft"))
    original.write_bytes(b"old")
    os.link(original, linked)
    soft.symlink_to(original)

    for target in (linked, soft):
        local_files.stage(str(target), b"new", "run").publish(replace=True)

    assert original.read_bytes() == b"old"
    assert [linked.read_bytes(), soft.read_bytes()] == [b"new", b"new"]
    assert not soft.is_symlink()
    assert names(tmp_path) == ["linked", "original", "soft"]


def test_exactly_one_of_many_publishers_of_one_name_wins(tmp_path: Path) -> None:
    target = tmp_path / "a.jpg"

    def attempt(number: int) -> int | None:
        staged = local_files.stage(str(target), b"%d" % number * 10_000, "run")
        try:
            staged.publish(replace=False)
        except FileExistsError:
            staged.discard()
            return None
        return number

    with ThreadPoolExecutor(8) as threads:
        winners = [number for number in threads.map(attempt, range(1, 9)) if number is not None]

    assert len(winners) == 1
    assert target.read_bytes() == b"%d" % winners[0] * 10_000
    assert names(tmp_path) == ["a.jpg"]


@pytest.mark.usefixtures("_exclusively")
@pytest.mark.parametrize("link_error", NO_LINKS)
def test_without_links_files_are_still_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link_error: int
) -> None:
    monkeypatch.setattr(os, "link", raising(OSError(link_error, "no links here")))

    local_files.stage(str(tmp_path / "a.jpg"), b"picture", "run").publish(replace=False)

    assert names(tmp_path) == ["a.jpg"]
    assert (tmp_path / "a.jpg").read_bytes() == b"picture"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
@pytest.mark.parametrize("way", ["link", "replace", "no links"])
def test_permissions_follow_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, mask: int, mode: int
) -> None:
    if way == "no links":
        monkeypatch.setattr(os, "link", raising(OSError(errno.EPERM, "no links here")))

    with umask(mask):
        local_files.stage(str(tmp_path / "a.jpg"), b"", "run").publish(replace=way == "replace")

    assert stat.S_IMODE((tmp_path / "a.jpg").stat().st_mode) == mode


def test_parent_folders_are_created(tmp_path: Path) -> None:
    for name in ("x/y/a.jpg", "x/y/b.jpg", "x/c.jpg"):
        local_files.stage(str(tmp_path / name), b"picture", "run").publish(replace=False)

    assert [names(tmp_path / folder) for folder in (".", "x", "x/y")] == [
        ["x"],
        ["c.jpg", "y"],
        ["a.jpg", "b.jpg"],
    ]


def test_target_may_be_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    local_files.stage("a.jpg", b"picture", "run").publish(replace=False)
    local_files.stage("b.jpg", b"left over", "run")
    local_files.sweep(["."], ["run"])

    assert names(tmp_path) == ["a.jpg"]


# Errors


_write = os.write


def _take_some(descriptor: int, data: Any) -> int:
    """Write some bytes, then no more."""
    _write(descriptor, bytes(data[:3]))
    raise OSError(errno.ENOSPC, "No space left on device")


class _FullDisk(io.FileIO):
    def write(self, data: Any) -> int:
        return _take_some(self.fileno(), data)


def test_disk_full_while_writing_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"old")
    monkeypatch.setattr(local_files, "open", _FullDisk, raising=False)
    monkeypatch.setattr(os, "write", _take_some)

    with pytest.raises(OSError, match="No space left") as caught:
        local_files.stage(str(tmp_path / "a.jpg"), b"picture", "run")

    assert caught.value.errno == errno.ENOSPC
    assert names(tmp_path) == ["a.jpg"]
    assert (tmp_path / "a.jpg").read_bytes() == b"old"


TROUBLE = [*(OSError(number, os.strerror(number)) for number in DISK_TROUBLE), KeyboardInterrupt()]


@pytest.mark.parametrize("error", TROUBLE, ids=repr)
@pytest.mark.parametrize("replace", [False, True])
def test_file_that_cannot_be_published_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: bool, error: BaseException
) -> None:
    target = tmp_path / "a.jpg"
    if replace:
        target.write_bytes(b"old")
    staged = local_files.stage(str(target), b"new", "run")
    monkeypatch.setattr(os, "replace" if replace else "link", raising(error))

    with pytest.raises(type(error)):
        staged.publish(replace=replace)

    assert names(tmp_path) == (["a.jpg"] if replace else [])
    assert not replace or target.read_bytes() == b"old"


@pytest.mark.parametrize("number", DISK_TROUBLE)
def test_without_links_a_failed_publish_leaves_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    staged = local_files.stage(str(tmp_path / "a.jpg"), b"new", "run")
    monkeypatch.setattr(os, "link", raising(OSError(errno.EPERM, "no links here")))
    monkeypatch.setattr(local_files, "_rename_exclusively", lambda *names: False)
    monkeypatch.setattr(os, "replace", raising(OSError(number, os.strerror(number))))

    with pytest.raises(OSError, match=r".") as caught:
        staged.publish(replace=False)

    assert caught.value.errno == number
    assert names(tmp_path) == []


def test_discarded_file_is_gone_and_may_be_discarded_again(tmp_path: Path) -> None:
    staged = local_files.stage(str(tmp_path / "a.jpg"), b"picture", "run")

    staged.discard()
    staged.discard()

    assert names(tmp_path) == []


@pytest.mark.parametrize("link_error", [*NO_LINKS, errno.EXDEV, errno.ENOENT])
@pytest.mark.parametrize("replace", [False, True])
def test_file_that_cannot_be_linked_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link_error: int, replace: bool
) -> None:
    monkeypatch.setattr(local_files, "_NAMELESS", True)
    staged = local_files.stage(str(tmp_path / "a.jpg"), b"picture", "run")
    real = os.link

    def link(source: str, target: str, **options: Any) -> None:
        if source.startswith("/proc"):
            raise OSError(link_error, "not from here")
        real(source, target, **options)

    monkeypatch.setattr(os, "link", link)
    staged.publish(replace=replace)

    assert names(tmp_path) == ["a.jpg"]
    assert (tmp_path / "a.jpg").read_bytes() == b"picture"
    assert staged.state.equals(local_files.state(str(tmp_path / "a.jpg")))


def test_published_file_is_in_the_staged_state(tmp_path: Path) -> None:
    for name, replace in (("a.jpg", False), ("b.jpg", True)):
        staged = local_files.stage(str(tmp_path / name), b"picture", "run")
        staged.publish(replace=replace)
        assert staged.state.equals(local_files.state(str(tmp_path / name)))
        assert staged.state.inode == (tmp_path / name).stat().st_ino


def test_known_file_is_replaced_only_while_unchanged(tmp_path: Path) -> None:
    target = tmp_path / "a.jpg"
    target.write_bytes(b"old")
    # Before what follows, even for a clock that ticks a hundred times a second.
    os.utime(target, (1e9, 1e9))
    known = local_files.state(str(target))

    local_files.stage(str(target), b"new", "run").publish(known=known)

    assert target.read_bytes() == b"new"
    newest = local_files.stage(str(target), b"newest", "run")
    with pytest.raises(FileExistsError):
        newest.publish(known=known)
    newest.discard()
    assert target.read_bytes() == b"new"
    assert names(tmp_path) == ["a.jpg"]


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for replace in (False, True, False):
        staged = local_files.stage(str(tmp_path / "a.jpg"), b"picture", "run")
        with suppress(FileExistsError):
            staged.publish(replace=replace)
        staged.discard()

    assert len(os.listdir("/proc/self/fd")) == before


def test_sweeping_removes_only_files_of_its_own_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_files, "_NAMELESS", False)
    folders = [str(tmp_path), str(tmp_path / "sub"), str(tmp_path / "gone")]
    staged = {
        run: [local_files.stage(f"{folder}/a.jpg", b"left over", run) for folder in folders[:2]]
        for run in ("mine", "mine2", "other")
    }
    for name in (".imgbatch-mine-notes", "imgbatch-mine-1.tmp", "a.jpg"):
        (tmp_path / name).write_bytes(b"somebody's")
    before = {str(path) for path in tmp_path.rglob("*")}

    local_files.sweep(folders, ["mine"])

    after = {str(path) for path in tmp_path.rglob("*")}
    assert before - after == {one.temporary for one in staged["mine"]}


# A whole run against a system limit


LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
os.execv(sys.executable, [sys.executable, "-m", "imgbatch", *sys.argv[1:]])
"""


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_file_refused_by_the_system_is_one_failed_row_and_leaves_nothing(
    tmp_path: Path, jobs: str
) -> None:
    photos, output = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    output.mkdir()
    noise = np.random.default_rng(5).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    (photos / "large.png").write_bytes(saved(noise, "PNG"))
    (photos / "plain.png").write_bytes(saved(scene(60, 40), "PNG"))
    (output / "large-full.png").write_bytes(b"old")
    words = ["-s", "thumb=20", "-s", "full=200", "--on-conflict", "overwrite", "--report", "-"]

    run = subprocess.run(
        [sys.executable, "-c", LIMITED, "resize", photos, "-o", output, "-j", jobs, *words],
        capture_output=True,
        timeout=300,
        check=False,
    )

    found, summary = rows(run.stdout)
    by_name = {os.path.basename(source): row for source, row in found.items()}
    assert run.returncode == summary["exit_code"] == 1
    assert by_name["plain.png"]["status"] == "done"
    assert by_name["large.png"]["status"] == "failed"
    assert by_name["large.png"]["error"] == {
        "stage": "write",
        "kind": "file-too-large",
        "message": f"the file system or a limit does not allow the size of {output}/large-full.png",
    }
    # The thumbnail would have fitted, but all outputs of a source are published, or none.
    assert names(output) == ["large-full.png", "plain-full.png", "plain-thumb.png"]
    assert (output / "large-full.png").read_bytes() == b"old"
