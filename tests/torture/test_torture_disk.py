"""Disks that are full or read-only, and sources that disappear."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

import pytest
from toolkit.folders import planted
from toolkit.pictures import saved, scene
from torture.arena import (
    Arena,
    leftovers,
    partial,
    plant_deed,
    plant_innocents,
    plant_noise,
    visible,
    wait_until,
)
from torture.deeds import Deed
from torture.ordeals import (
    fill_disk,
    finish,
    plant_mixed,
    resize_disk,
    small_disk,
    undisturbed,
    why_not_mount,
)

# Each output of `plant_noise` takes some 14 kB.
NOISE: Final = ("filter", "photos", "--filter", "invert", "-o", "out", "--jobs", "2")


@pytest.fixture
def mounting(tmp_path: Path) -> None:
    problem = why_not_mount(tmp_path / "probe")
    if problem:
        pytest.skip(problem)


# Full


@pytest.mark.usefixtures("mounting")
def test_full_disk_gives_failed_rows_and_an_early_stop(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    names = plant_noise(arena.photos, 80)
    whole = undisturbed(arena, *NOISE)

    with small_disk(arena.out, 400 << 10) as out:
        planted(out, b"precious" * 100, "precious")
        ended = arena.run(*NOISE)

        assert ended.code == ended.summary["exit_code"] == 1
        done = {name for name, status in ended.statuses().items() if status == "done"}
        failed = set(ended.statuses()) - done
        assert {ended.error(f"photos/{name}")[:2] for name in failed} == {("write", "disk-full")}
        assert "stopped early:" in ended.said
        # Files in progress, and in chunks of other workers, come on top of the five.
        assert len(failed) >= 5
        assert ended.summary["not_done"] == 80 - len(done) - len(failed) > 0
        made = visible(out)
        assert made.pop("precious") == b"precious" * 100
        assert set(made) == done
        assert partial(made, whole) == []
        assert leftovers(out, logs=False) == []
        assert done < set(names)

        resize_disk(out, 64 << 20)
        (out / "precious").unlink()
        assert finish(arena, NOISE, whole).wrong() == []


@pytest.mark.usefixtures("mounting")
def test_files_already_on_a_full_disk_are_kept(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    plant_noise(arena.photos, 12)

    with small_disk(arena.out, 64 << 20) as out:
        assert arena.run(*NOISE).code == 0
        before = visible(out)
        used = os.statvfs(out)
        taken = (used.f_blocks - used.f_bfree) * used.f_frsize
        # Not enough for one more file.
        resize_disk(out, taken + (8 << 10))
        other = (*NOISE, "--filter", "gamma:amount=0.5")
        ended = arena.run(*other)

        # Not even the claims can be written, so nothing is started.
        assert ended.code == 2
        assert "No space left" in ended.said
        assert visible(out) == before
        assert leftovers(out) == []

        resize_disk(out, 64 << 20)
        ended = arena.run(*other)
        assert ended.code == 0
        assert all(made != before[name] for name, made in visible(out).items())


@pytest.mark.usefixtures("mounting")
def test_disk_full_from_the_start_does_not_crash(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    plant_noise(arena.photos, 12)
    whole = undisturbed(arena, *NOISE)

    with small_disk(arena.out, 64 << 10) as out:
        used = os.statvfs(out)
        (out / "filler").write_bytes(bytes(used.f_bfree * used.f_frsize))
        ended = arena.run(*NOISE)

        assert ended.code in (1, 2)
        assert set(visible(out)) == {"filler"}
        (out / "filler").unlink()
        resize_disk(out, 64 << 20)
        assert finish(arena, NOISE, whole).wrong() == []


@pytest.mark.usefixtures("mounting")
def test_disk_that_fills_up_at_any_moment_breaks_nothing(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    plant_mixed(arena, 30)
    words = ("resize", "photos", "-s", "200", "-s", "thumb=x20", "-o", "out", "--jobs", "2")

    verdict = fill_disk(arena, words, undisturbed(arena, *words), random.Random(1))

    assert verdict.wrong() == []


def limited(kilobytes: int) -> tuple[str, ...]:
    """No file may become larger than this, whoever writes it."""
    return ("bash", "-c", f'ulimit -f {kilobytes} && exec "$@"', "bash")


def test_file_over_the_size_limit_fails_alone(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    small = plant_noise(arena.photos, 12)
    large = [name.replace("noise", "large") for name in small[:2]]
    for name in large:
        plant_noise(arena.place / "made", 1, 600, 400)
        planted(arena.photos, (arena.place / "made/noise/000.png").read_bytes(), name)
    whole = undisturbed(arena, *NOISE)

    ended = arena.run(*NOISE, before=limited(500))

    assert ended.code == 1
    assert ended.statuses() == {
        **dict.fromkeys(small, "done"),
        **dict.fromkeys(large, "failed"),
    }
    assert {ended.error(f"photos/{name}")[:2] for name in large} == {("write", "file-too-large")}
    assert visible(arena.out) == {name: whole[name] for name in small}
    assert leftovers(arena.out) == []
    assert finish(arena, NOISE, whole).wrong() == []


def test_limit_that_even_the_journal_hits_does_not_crash(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    plant_noise(arena.photos, 12)
    whole = undisturbed(arena, *NOISE)

    ended = arena.run(*NOISE, before=limited(16))

    assert ended.code in (0, 1, 2)
    assert ended.code == 0 or "failed" in ended.said
    assert partial(visible(arena.out), whole) == []
    assert "journal" in ended.said
    # What the journal does not know counts as foreign.
    assert finish(arena, (*NOISE, "--on-conflict", "skip"), whole).wrong() == []


# Read-only


@contextmanager
def below_a_file(out: Path) -> Iterator[None]:
    out.parent.mkdir(exist_ok=True)
    out.write_bytes(b"a file")
    yield


@contextmanager
def read_only(out: Path) -> Iterator[None]:
    if os.getuid() == 0:
        with small_disk(out, 1 << 20, "ro"):
            yield
    else:
        out.mkdir(mode=0o555)
        yield


@pytest.mark.parametrize(
    ("unwritable", "output", "jobs"),
    [
        (below_a_file, "out/below", "2"),
        (below_a_file, "out", "1"),
        (read_only, "out", "1"),
        (read_only, "out/a", "2"),
    ],
)
def test_read_only_output_folder_is_a_single_error(
    tmp_path: Path,
    unwritable: Callable[[Path], AbstractContextManager[None]],
    output: str,
    jobs: str,
    request: pytest.FixtureRequest,
) -> None:
    if unwritable is read_only and os.getuid() == 0:
        request.getfixturevalue("mounting")
    arena = Arena(tmp_path)
    plant_innocents(arena.photos, 8)

    with unwritable(arena.out):
        ended = arena.run("resize", "photos", "-o", output, "--jobs", jobs)

    assert ended.code == 2
    assert len(ended.said.splitlines()) == 1
    assert output in ended.said


# Sources that disappear


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def emptied(file: Path) -> None:
    os.truncate(file, 0)


def gone(file: Path) -> None:
    file.unlink()


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


DEEDS: Final = {
    cut: {"truncated"},
    emptied: {"truncated", "empty", "not-an-image", "unknown-format"},
    gone: {"not-found"},
    a_folder: None,
    a_pipe: None,
}


def test_sources_that_change_after_the_scan_have_rows_of_their_own(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    plant_deed(arena.photos, Deed.WAIT, 400)
    innocent = plant_innocents(arena.photos, 6)
    # Formats whose pixels could be mapped into memory, and others.
    pictures = {
        suffix: saved(scene(70, 50), kind)
        for suffix, kind in ((".bmp", "BMP"), (".tif", "TIFF"), (".jpg", "JPEG"), (".png", "PNG"))
    }
    spoilt = {}
    for deed in DEEDS:
        for suffix, data in pictures.items():
            name = f"spoilt/{deed.__name__}{suffix}"
            spoilt[name] = deed
            planted(arena.photos, data, name)

    words = ("filter", "photos", "--filter", "fault", "-o", "out", "--jobs", "1", "--timeout", "20")
    with arena.begun(*words) as process:
        wait_until(arena.mark("waiting").exists, process)
        for name, deed in spoilt.items():
            deed(arena.photos / name)
        arena.mark("go").touch()
        ended = arena.end(process)

    assert ended.problems() == []
    assert ended.code == 1
    assert ended.statuses() == {
        "wait-400.png": "done",
        **dict.fromkeys(innocent, "done"),
        **dict.fromkeys(spoilt, "failed"),
    }
    found = {name: ended.error(f"photos/{name}") for name in spoilt}
    assert {stage for stage, _, _ in found.values()} <= {"open", "decode"}
    for name, deed in spoilt.items():
        kinds = DEEDS[deed]
        assert kinds is None or found[name][1] in kinds, found[name]
    assert set(visible(arena.out)) == {"wait-400.png", *innocent}


def test_output_folder_removed_during_the_run_does_not_crash(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    names = [plant_deed(arena.photos, Deed.REST, height) for height in range(8, 20)]
    words = ("filter", "photos", "--filter", "fault", "-o", "out", "--jobs", "2")

    with arena.begun(*words) as process:
        arena.wait_for_outputs(process, 3)
        shutil.rmtree(arena.out, ignore_errors=True)
        ended = arena.end(process)
    again = arena.run(*words, haste=True)

    assert ended.problems() == []
    assert set(ended.statuses()) <= set(names)
    assert again.code in (0, 2)
    if again.code == 0:
        assert set(visible(arena.out)) == set(names)
