"""Limits on memory, pixels and time; and that nothing depends on the number of workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from PIL import Image
from toolkit.folders import planted
from toolkit.pictures import opened, saved, scene
from torture.arena import Arena, leftovers, plant_deed, plant_innocents, same_pixels, visible
from torture.deeds import Deed

SMALL: Final = ("resize", "photos", "-s", "30", "-o", "out")


def plain(width: int, height: int) -> bytes:
    """A large picture in a small file that no decoder can shrink on load."""
    return saved(Image.new("RGB", (width, height), (90, 120, 30)), "PNG", compress_level=1)


# Memory


def test_picture_that_exceeds_the_memory_fails_alone(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    names = plant_innocents(arena.photos, 6)
    planted(arena.photos, plain(6000, 4000), "huge.png")

    ended = arena.run(*SMALL, "--jobs", "2", "--memory", "100MB")

    assert ended.code == 1
    assert ended.statuses() == {**dict.fromkeys(names, "done"), "huge.png": "failed"}
    assert ended.error("photos/huge.png")[:2] == ("open", "memory")
    assert set(visible(arena.out)) == set(names)
    assert ended.summary.get("not_done", 0) == 0


def test_pictures_that_need_a_worker_to_themselves_run_later(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    names = plant_innocents(arena.photos, 6)
    names += ["large-1.png", "large-2.png", "large-3.png"]
    for name in names[-3:]:
        planted(arena.photos, plain(4000, 2500), name)

    # 10 megapixels need more than a quarter of this, and less than all.
    ended = arena.run(*SMALL, "--jobs", "4", "--memory", "300MB")

    assert ended.code == 0, ended.said
    assert ended.statuses() == dict.fromkeys(names, "done")
    assert set(visible(arena.out)) == set(names)
    assert opened(visible(arena.out)["large-1.png"]).size == (30, 19)


@pytest.mark.parametrize(
    ("most", "fails", "jobs"), [("0.5MP", True, "1"), ("999999", True, "2"), ("1MP", False, "2")]
)
def test_more_pixels_than_allowed_are_not_decoded(
    tmp_path: Path, most: str, fails: bool, jobs: str
) -> None:
    arena = Arena(tmp_path)
    names = plant_innocents(arena.photos, 3)
    planted(arena.photos, plain(1000, 1000), "square.png")

    ended = arena.run(*SMALL, "--jobs", jobs, "--max-pixels", most)

    assert ended.code == int(fails)
    assert ended.statuses() == {
        **dict.fromkeys(names, "done"),
        "square.png": "failed" if fails else "done",
    }
    if fails:
        assert ended.error("photos/square.png")[:2] == ("open", "too-large")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--timeout 0", "timeout"),
        ("--memory much", "memory"),
        ("--max-pixels -1", "max-pixels"),
    ],
)
def test_invalid_limits_are_refused(tmp_path: Path, words: str, said: str) -> None:
    arena = Arena(tmp_path)
    plant_innocents(arena.photos, 1)

    ended = arena.run(*SMALL, *words.split())

    assert ended.code == 2
    assert said in ended.said
    assert not arena.out.exists()


# Truncated


def test_truncated_picture_is_kept_only_on_request(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    names = plant_innocents(arena.photos, 3, ".jpg")
    whole = saved(scene(300, 200), "JPEG", quality=90)
    planted(arena.photos, whole[: len(whole) * 2 // 3], "cut.jpg")

    plainly = arena.run(*SMALL, "--jobs", "2")
    assert plainly.code == 1
    assert plainly.statuses() == {**dict.fromkeys(names, "done"), "cut.jpg": "failed"}
    assert plainly.error("photos/cut.jpg")[1] == "truncated"

    salvaged = arena.run(*SMALL, "--jobs", "2", "--salvage")
    assert salvaged.code == 0
    row = salvaged.rows["photos/cut.jpg"]
    assert row["status"] == "done"
    assert [warning["kind"] for warning in row["warnings"]] == ["truncated"]
    made = np.asarray(opened(visible(arena.out)["cut.jpg"]).convert("RGB")).astype(np.float64)
    right = np.asarray(opened(whole).resize((30, 20))).astype(np.float64)
    # The upper half is there, whatever fills the rest.
    assert np.abs(made[:8] - right[:8]).mean() < 12
    assert made.shape == (20, 30, 3)


# Time


def test_slow_files_within_the_timeout_are_done(tmp_path: Path) -> None:
    # Each takes a tenth of a second; all of them together take longer than the limit for one.
    arena = Arena(tmp_path)
    names = [plant_deed(arena.photos, Deed.REST, height) for height in range(8, 53)]

    ended = arena.run(
        *("filter", "photos", "--filter", "fault", "-o", "out", "--jobs", "1", "--timeout", "4")
    )

    assert ended.code == 0
    assert ended.statuses() == dict.fromkeys(names, "done")


# Number of workers


def test_one_two_or_sixteen_processes_give_the_same(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    plant_innocents(arena.photos, 30)
    plant_innocents(arena.photos / "jpeg", 20, ".jpg", 200)
    planted(arena.photos, saved(scene(90, 60), "JPEG")[:-300], "broken.jpg")
    planted(arena.photos, b"nothing" * 100, "not-one.jpg")
    second = opened(saved(scene(20, 20)[::-1], "GIF"))
    moving = saved(scene(20, 20), "GIF", save_all=True, append_images=[second])
    planted(arena.photos, moving, "moving.gif")

    made, told = {}, {}
    for jobs in ("1", "2", "16"):
        ended = arena.run(
            *("resize", "photos", "-s", "50", "-s", "x10", "-f", "webp", "-o", "out"),
            *("--filter", "sharpen", "--jobs", jobs),
        )
        assert ended.summary["jobs"] == int(jobs)
        assert leftovers(arena.out) == []
        made[jobs] = visible(arena.out)
        told[jobs] = comparable(ended.rows, ended.summary)
        arena.out.rename(tmp_path / f"out-{jobs}")

    assert len(made["1"]) == 102
    assert made["1"] == made["2"] == made["16"]
    assert told["1"] == told["2"] == told["16"]


def comparable(rows: dict[str, Any], summary: dict[str, Any]) -> Any:
    return (
        sorted((name, {**row, "seconds": 0}) for name, row in rows.items()),
        {**summary, "seconds": 0, "jobs": 0},
    )


def test_deadly_files_do_not_affect_others(tmp_path: Path) -> None:
    # Jobs reassigned to another worker must end as they would have.
    arena = Arena(tmp_path)
    names = plant_innocents(arena.photos, 20)
    plant_deed(arena.photos, Deed.CRASH)
    words = ("filter", "photos", "--filter", "fault", "-o", "out")

    made = []
    for jobs in ("1", "2"):
        ended = arena.run(*words, "--jobs", jobs)
        assert ended.code == 1
        made.append(visible(arena.out))
        arena.out.rename(tmp_path / f"out-{jobs}")

    assert sorted(made[0]) == sorted(names)
    assert made[0] == made[1]
    sources = visible(arena.photos)
    assert all(same_pixels(made[0][name], sources[name]) for name in names)
