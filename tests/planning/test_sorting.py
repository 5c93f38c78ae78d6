"""The order in which sources are numbered, and how their headers are read for it."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image
from toolkit import ROOT
from toolkit.commands import imgbatch, imgbatch_here
from toolkit.folders import files, plant
from toolkit.pictures import opened, saved, scene
from toolkit.shoots import photograph, planned_jobs

import imgbatch as api
from imgbatch.errors import PlanError, UsageError
from imgbatch.executors import Control, Task, serial
from imgbatch.model import Dated, Job, Limits
from imgbatch.naming import FIELDS, Caption
from imgbatch.planning import numbering
from imgbatch.planning.compact import Jobs
from imgbatch.planning.in_place import InPlace
from imgbatch.planning.numbering import Facts
from imgbatch.planning.plan import plan
from imgbatch.planning.scan import Selection, scan
from imgbatch.planning.to_folder import ToFolder
from imgbatch.recipes.recipe import Recipe

DATE: Final = 0x9003
MODEL: Final = 0x0110
BERLIN: Final = "CET-1CEST,M3.5.0,M10.5.0/3"
pytestmark = pytest.mark.usefixtures("in_utc")
posix_only = pytest.mark.skipif(not hasattr(time, "tzset"), reason="time zones are set by tzset")


def names_of(folder: Path, *paths: Path, **options: Any) -> dict[str, str]:
    """The name of each source's output, numbered by date."""
    recipe = Recipe.from_options(template=options.pop("template", "{seq}{ext}"))
    sources = scan([str(path) for path in paths or (folder,)], Selection())
    made = plan(sources, ToFolder(recipe, str(folder / "out"), flat=True), sort="date", **options)
    made.check()
    return {job.source.mirrored: job.targets[0].relative for job in made.jobs}


def _ns(*moment: int, fraction: int = 0) -> int:
    """Nanoseconds since 1970, computed from the calendar alone."""
    year, month, day, hour, minute, second = moment
    days = datetime(year, month, day).toordinal() - datetime(1970, 1, 1).toordinal()
    return (days * 86400 + hour * 3600 + minute * 60 + second) * 10**9 + fraction


# The numbers


def test_shots_of_two_cameras_interleave(tmp_path: Path) -> None:
    photograph(tmp_path / "a/DSC_1.jpg", "2024:05:17 10:00:00")
    photograph(tmp_path / "a/DSC_2.jpg", "2024:05:17 10:00:20")
    photograph(tmp_path / "b/IMG_1.jpg", "2024:05:17 10:00:10")
    photograph(tmp_path / "b/IMG_2.jpg", "2024:05:17 09:00:00")

    assert names_of(tmp_path, tmp_path / "a", tmp_path / "b") == {
        "a/DSC_1.jpg": "2.jpg",
        "a/DSC_2.jpg": "4.jpg",
        "b/IMG_1.jpg": "3.jpg",
        "b/IMG_2.jpg": "1.jpg",
    }


def test_fractions_of_seconds_and_time_zones_count(tmp_path: Path) -> None:
    photograph(tmp_path / "in/a.jpg", "2024:05:17 10:00:00", subsec="75")
    photograph(tmp_path / "in/b.jpg", "2024:05:17 10:00:00", subsec="7")
    photograph(tmp_path / "in/c.jpg", "2024:05:17 11:59:59", subsec="5", offset="+02:00")
    photograph(tmp_path / "in/d.jpg", "2024:05:17 03:00:01", offset="-07:00")

    assert list(names_of(tmp_path, tmp_path / "in").values()) == [
        *("3.jpg", "2.jpg", "1.jpg", "4.jpg")
    ]


def test_equal_dates_are_ordered_by_name(tmp_path: Path) -> None:
    for name in ("c", "a", "b", "sub/a"):
        photograph(tmp_path / f"in/{name}.jpg", "2024:05:17 10:00:00")
    photograph(tmp_path / "in/z.jpg", "2024:05:17 09:59:59")

    assert names_of(tmp_path, tmp_path / "in") == {
        "z.jpg": "1.jpg",
        "a.jpg": "2.jpg",
        "b.jpg": "3.jpg",
        "c.jpg": "4.jpg",
        "sub/a.jpg": "5.jpg",
    }


def test_without_a_date_the_file_time_counts(tmp_path: Path) -> None:
    moment = datetime(2024, 5, 17, 10, 0, 0, tzinfo=UTC).timestamp()
    photograph(tmp_path / "in/a.jpg", None, changed=moment + 0.25)
    photograph(tmp_path / "in/b.jpg", "2024:05:17 10:00:00")
    photograph(tmp_path / "in/c.jpg", "0000:00:00 00:00:00", changed=moment - 1)
    photograph(tmp_path / "in/d.jpg", "2024:05:17 10:00:00", subsec="3")
    plant(tmp_path / "in", "e.gif", data=saved(scene(20, 20), "GIF"))
    plant(tmp_path / "in", "f.jpg", data=b"\xff\xd8\xffbroken")
    os.utime(tmp_path / "in/e.gif", (moment + 5, moment + 5))
    os.utime(tmp_path / "in/f.jpg", (moment - 5, moment - 5))

    assert names_of(tmp_path, tmp_path / "in", template="{seq}{ext}") == {
        "f.jpg": "1.jpg",
        "c.jpg": "2.jpg",
        "b.jpg": "3.jpg",
        "a.jpg": "4.jpg",
        "d.jpg": "5.jpg",
        "e.gif": "6.gif",
    }


def test_numbers_by_name_have_not_changed(tmp_path: Path) -> None:
    photograph(tmp_path / "in/a.jpg", "2024:05:17 10:00:01")
    photograph(tmp_path / "in/b.jpg", "2024:05:17 10:00:00")
    recipe = Recipe.from_options(template="{seq}-{date:%S}{ext}")

    sources = scan([str(tmp_path / "in")], Selection())
    made = plan(sources, ToFolder(recipe, "out"), sort="name")

    assert [(job.seq, job.targets[0].relative) for job in made.jobs] == [
        (1, "1-01.jpg"),
        (2, "2-00.jpg"),
    ]


def test_name_and_number_belong_to_the_same_source(tmp_path: Path) -> None:
    """Whatever the order in which headers are read."""
    count = 40
    numbers = random.Random(5).sample(range(count), count)
    for place, number in enumerate(numbers):
        photograph(tmp_path / f"in/{place:02}.jpg", f"2024:05:17 10:00:{number:02}")

    def shuffled(jobs: Jobs) -> Iterable[Facts]:
        found = list(numbering.one_by_one(jobs))
        random.Random(6).shuffle(found)
        return found

    names = names_of(tmp_path, tmp_path / "in", template="{seq}-{date:%S}-{stem}", reader=shuffled)

    assert list(names.values()) == [
        f"{number + 1}-{number:02}-{place:02}.jpg" for place, number in enumerate(numbers)
    ]


def test_source_is_numbered_even_if_no_output_is_made(tmp_path: Path) -> None:
    for name, second in (("a", 3), ("b", 1), ("c", 2)):
        photograph(tmp_path / f"in/{name}.jpg", f"2024:05:17 10:00:0{second}")
    plant(tmp_path / "out", "1.jpg")
    recipe = Recipe.from_options(template="{seq}{ext}")
    sources = scan([str(tmp_path / "in")], Selection())

    policy = ToFolder(recipe, str(tmp_path / "out"), on_conflict="skip")
    made = plan(sources, policy, sort="date")

    assert [(job.source.relative, job.seq) for job in made.jobs] == [("a.jpg", 3), ("c.jpg", 2)]
    assert [result.source.relative for result in made.skipped] == ["b.jpg"]


# In place


def test_in_place_sources_are_numbered_too(tmp_path: Path) -> None:
    for name, second in (("a", 3), ("b", 1), ("c", 2)):
        photograph(tmp_path / f"{name}.jpg", f"2024:05:17 10:00:0{second}")
    recipe = Recipe.from_options(filters=["text:text={seq}"])
    sources = list(scan([str(tmp_path)], Selection(), in_place=True))

    by_name = plan(sources, InPlace(recipe, str(tmp_path)))
    by_date = plan(sources, InPlace(recipe, str(tmp_path)), sort="date")

    assert [job.seq for job in by_name.jobs] == [1, 2, 3]
    assert [job.seq for job in by_date.jobs] == [3, 1, 2]


# The command, and the API


def _planned(run: Any) -> dict[str, str]:
    assert run.returncode == 0, run.stderr.decode()
    pairs = (line.split(" -> ") for line in run.stdout.decode().splitlines())
    return {os.path.basename(source): target for source, target in pairs}


@pytest.fixture
def shoot(tmp_path: Path) -> Path:
    """Two cameras: by name a, b, c; by date c, a, b."""
    photograph(tmp_path / "shoot/a.jpg", "2024:05:17 10:00:00")
    photograph(tmp_path / "shoot/b.jpg", "2024:06:02 08:00:00")
    photograph(tmp_path / "shoot/c.jpg", "2024:05:17 09:00:00")
    return tmp_path


def test_command_sorts_by_name_by_default(shoot: Path) -> None:
    words = ("resize", "shoot", "-o", "out", "-n", "--name", "{seq:03d}_{stem}{ext}")

    usual = imgbatch_here(*words, cwd=shoot)
    by_name = imgbatch_here(*words, "--sort", "name", cwd=shoot)
    by_date = imgbatch_here(*words, "--sort", "date", cwd=shoot)
    wrong = imgbatch_here(*words, "--sort", "size", cwd=shoot)

    assert _planned(usual) == _planned(by_name)
    assert list(_planned(by_name).values()) == [
        *("out/001_a.jpg", "out/002_b.jpg", "out/003_c.jpg")
    ]
    assert _planned(by_date) == {
        "a.jpg": "out/002_a.jpg",
        "b.jpg": "out/003_b.jpg",
        "c.jpg": "out/001_c.jpg",
    }
    assert wrong.returncode == 2
    assert b"'--sort'" in wrong.stderr
    assert b"'name', 'date'" in wrong.stderr


@pytest.mark.slow
def test_whole_run_by_date_into_monthly_folders(shoot: Path) -> None:
    plant(shoot / "shoot", "moving.gif", data=_moving())
    os.utime(shoot / "shoot/moving.gif", (1_600_000_000, 1_600_000_000))
    name = "{date:%Y/%m}/{parent!u}_{seq:02d}{ext}"
    words = ("filter", "shoot", "--filter", "grayscale", "--sort", "date", "--name", name)

    run = imgbatch(*words, "-o", "out", "--jobs", "2", cwd=shoot)
    again = imgbatch(*words, "-o", "out", "--jobs", "2", cwd=shoot)

    assert run.returncode == again.returncode == 0, run.stderr.decode()
    assert set(files(shoot / "out")) == {
        "2020/09/SHOOT_01.gif",
        "2024/05/SHOOT_02.jpg",
        "2024/05/SHOOT_03.jpg",
        "2024/06/SHOOT_04.jpg",
    }
    with opened((shoot / "out/2020/09/SHOOT_01.gif").read_bytes()) as gif:
        assert getattr(gif, "n_frames", 1) == 3
    assert b"4 up to date" in again.stderr


def _moving() -> bytes:
    first, *rest = [(scene(24, 16) // shade).astype("uint8") for shade in (1, 2, 3)]
    images = [Image.fromarray(frame) for frame in rest]
    return saved(first, "GIF", save_all=True, append_images=images, duration=50)


@pytest.mark.slow
def test_number_drawn_into_the_picture_follows_the_date(shoot: Path) -> None:
    words = ("filter", "shoot", "-f", "png", "--jobs", "1", "--filter")
    numbers = imgbatch(*words, "text:text={seq},size=50", "--sort", "date", "-o", "a", cwd=shoot)
    assert numbers.returncode == 0, numbers.stderr.decode()
    for name, number in (("a", 2), ("b", 3), ("c", 1)):
        told = imgbatch(
            *words, f"text:text={number},size=50", "--include", f"{name}.jpg", "-o", "b", cwd=shoot
        )
        assert told.returncode == 0, told.stderr.decode()
        expected, got = (opened((shoot / out / f"{name}.png").read_bytes()) for out in "ba")
        assert got.tobytes() == expected.tobytes()


def test_api_sorts_too_and_refuses_other_orders(shoot: Path) -> None:
    recipe = api.Recipe.from_options(sizes=["20"], template="{seq}{ext}")

    results = list(api.run(recipe, [shoot / "shoot"], output=shoot / "out", jobs=1, sort="date"))

    made = {one.source.relative: os.path.basename(one.written[0].path) for one in results}
    assert made == {"a.jpg": "2.jpg", "b.jpg": "3.jpg", "c.jpg": "1.jpg"}
    wrong: Any = "camera"
    with pytest.raises(UsageError, match=r"sort: found 'camera', expected one of name, date"):
        api.run(recipe, [shoot / "shoot"], output=shoot / "out", sort=wrong)


# Files that come later


@pytest.mark.slow
def test_shifted_numbers_overwrite_nothing_silently(shoot: Path) -> None:
    words = ("resize", "shoot", "-s", "20", "-o", "out", "--sort", "date", "--jobs", "1")
    numbers = ("--name", "{seq}{ext}")
    assert imgbatch(*words, *numbers, cwd=shoot).returncode == 0
    before = {name: (shoot / "out" / name).read_bytes() for name in set(files(shoot / "out"))}
    # Between c, which was first, and a.
    photograph(shoot / "shoot/d.jpg", "2024:05:17 09:30:00")

    refused = imgbatch_here(*words, *numbers, cwd=shoot)

    assert refused.returncode == 2
    said = refused.stderr.decode()
    assert "out/2.jpg was made from another picture, " in said
    assert "out/3.jpg was made from another picture, " in said
    assert "out/1.jpg" not in said
    assert before == {
        name: (shoot / "out" / name).read_bytes() for name in set(files(shoot / "out"))
    }

    again = imgbatch(*words, *numbers, "--on-conflict", "overwrite", cwd=shoot)
    assert again.returncode == 0
    assert b"3 done (2 replaced: --on-conflict overwrite), 1 up to date" in again.stderr
    assert set(files(shoot / "out")) == {"1.jpg", "2.jpg", "3.jpg", "4.jpg"}
    settled = imgbatch(*words, *numbers, cwd=shoot)
    assert b"4 up to date" in settled.stderr


@pytest.mark.slow
def test_fewer_files_leave_the_highest_numbers_alone(shoot: Path) -> None:
    words = ("resize", "shoot", "-s", "20", "-o", "out", "--name", "{seq}{ext}", "--jobs", "1")
    assert imgbatch(*words, cwd=shoot).returncode == 0
    (shoot / "shoot/c.jpg").unlink()

    fewer = imgbatch(*words, cwd=shoot)

    assert fewer.returncode == 0
    assert b"2 up to date" in fewer.stderr
    assert set(files(shoot / "out")) == {"1.jpg", "2.jpg", "3.jpg"}


# Names that do not tell pictures apart


@pytest.mark.slow
@pytest.mark.parametrize("name", ["{date}{ext}", "{date:%Y}/{camera}_{width}x{height}{ext}"])
def test_names_without_number_or_stem_are_refused_with_a_remedy(shoot: Path, name: str) -> None:
    words = ("resize", "shoot", "-s", "20", "-o", "out", "--jobs", "1", "--name")

    refused = imgbatch_here(*words, name, cwd=shoot)
    helped = imgbatch(*words, name.replace("{ext}", "_{seq}{ext}"), cwd=shoot)

    assert refused.returncode == 2
    said = refused.stderr.decode()
    assert "would both become out/2024" in said
    assert "Put {seq} or {stem} into --name, or use --on-conflict rename (or skip)." in said
    assert helped.returncode == 0
    assert len(files(shoot / "out")) == 3


@pytest.mark.slow
def test_colliding_outputs_are_distinguished_by_case_and_format(
    tmp_path: Path,
) -> None:
    plant(tmp_path / "in", "a.png", "B/A.jpg")
    words = ("resize", "in", "--flat", "-o", "out", "--jobs", "1")

    cases = imgbatch_here(*words, "-f", "webp", "--name", "{stem!l}{ext}", cwd=tmp_path)
    outputs = imgbatch_here(
        *words, "-s", "a=20", "-s", "A=30", "--name", "{seq}{output!u}{ext}", cwd=tmp_path
    )

    assert cases.returncode == outputs.returncode == 2
    assert b"would both become out/a.webp" in cases.stderr
    assert b"a --name that distinguishes them" in cases.stderr
    assert b"the outputs a and A of in/a.png would both become out/1A.png" in outputs.stderr


def test_docs_list_every_field_and_its_fallback() -> None:
    manual = (ROOT / "docs/naming.md").read_text("utf-8")
    table = manual.partition("## Fields")[2].partition("\n## ")[0]

    assert [field for field in FIELDS if f"`{{{field}}}`" not in table] == []
    for field, meant in FIELDS.items():
        (row,) = (
            one for one in table.splitlines() if one.startswith("|") and f"{{{field}}}" in one
        )
        for fallback in ("`unknown`", "; 0 if", "when the file was modified"):
            assert (fallback in meant) == (fallback in row), (field, fallback)


# Captions


def test_caption_keeps_any_value_unchanged() -> None:
    values = {"camera": "A:/b.", "stem": "Été", "date": datetime(2024, 5, 17, 18, 3, tzinfo=UTC)}

    caption = Caption.parse("{stem!u} {camera} {date:%d/%m %H:%M} {date}")

    assert caption.render(values) == "ÉTÉ A:/b. 17/05 18:03 2024-05-17"
    assert caption.fields == {"stem", "camera", "date"}
    assert caption.literal == "   "


def test_any_executor_can_read_headers(tmp_path: Path) -> None:
    photograph(tmp_path / "a.jpg", "2024:05:17 10:00:00")
    task: Task[Job, Facts] = Task(
        function=partial(numbering.read, limits=Limits(max_pixels=10_000)),
        lost=numbering.unread,
        failed=numbering.is_unread,
        set_up=lambda: None,
        timeout=10,
    )

    (facts,) = serial.run(task, planned_jobs(tmp_path), [range(1)], 1, Control())

    moment = _ns(2024, 5, 17, 10, 0, 0)
    dated = Dated("EXIF:DateTimeOriginal")
    assert facts == Facts(1, (48, 32), "2024:05:17 10:00:00", "Testa 7", moment, dated)


def test_names_that_are_too_long_raise_plan_error(tmp_path: Path) -> None:
    folder = plant(tmp_path / "in", "a.jpg")
    recipe = api.Recipe.from_options(template="x" * 252 + "{ext}")

    with pytest.raises(PlanError, match="would get a name of 256 bytes, but at most 255 are"):
        api.run(recipe, [folder], output=tmp_path / "out", jobs=1)
