"""Who reads headers for names and numbers, in which process, and for how long."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from toolkit.folders import plant
from toolkit.pictures import saved, scene
from toolkit.shoots import photograph, planned_jobs

from imgbatch.executors import pool
from imgbatch.imaging import decode
from imgbatch.model import Limits, Sort, Source
from imgbatch.planning import numbering
from imgbatch.planning.compact import Jobs
from imgbatch.planning.numbering import Facts, numbered
from imgbatch.planning.plan import plan
from imgbatch.planning.scan import Selection, scan
from imgbatch.planning.to_folder import ToFolder
from imgbatch.recipes.recipe import Recipe
from imgbatch.recipes.toml import load
from imgbatch.running import batch
from imgbatch.running.settings import Settings

pytestmark = pytest.mark.usefixtures("in_utc")

# Who reads headers, and who does not


def _reader(asked: list[int]) -> numbering.Reader:
    def read(jobs: Jobs) -> Iterable[Facts]:
        asked.append(len(jobs))
        return numbering.one_by_one(jobs)

    return read


@pytest.mark.parametrize(
    ("options", "sort", "reads"),
    [
        ({"template": "{stem}{ext}"}, "date", False),
        ({"template": "{seq}{ext}"}, "date", True),
        ({"template": "{seq}{ext}"}, "name", False),
        ({"template": "{stem}-{camera}{ext}"}, "name", True),
        ({"filters": ["text:text={seq}"]}, "date", True),
        ({"filters": ["text:text={seq}"]}, "name", False),
        ({"filters": ["text:text={stem} {date}"]}, "date", False),
    ],
)
def test_headers_are_read_only_where_a_number_or_a_name_needs_them(
    tmp_path: Path, options: dict[str, Any], sort: Sort, reads: bool
) -> None:
    folder = plant(tmp_path / "in", "a.jpg", "b.jpg")
    asked: list[int] = []
    recipe = Recipe.from_options(**options)

    sources = scan([str(folder)], Selection())
    plan(sources, ToFolder(recipe, "out"), sort=sort, reader=_reader(asked))

    assert asked == ([2] if reads else [])


def test_recipe_knows_which_fields_it_uses(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(
        '[prepare]\noperations = ["text:text={parent}"]\n'
        '[[output]]\nname = "a"\npath = "{stem}-{width}"\n'
        '[[output]]\nname = "b"\npath = "{output}"\noperations = ["text:text={seq:03d}", "sepia"]\n'
    )

    recipe = load(file)

    # A name without a suffix gets that of its format.
    used = ("parent", "stem", "width", "output", "seq", "ext")
    assert all(recipe.uses(field) for field in used)
    assert not any(recipe.uses(field) for field in ("dir", "height", "date", "camera"))


def test_without_headers_sources_are_passed_on_as_they_come() -> None:
    given = []

    def sources() -> Iterator[Source]:
        for name in ("a", "b"):
            given.append(name)
            yield Source("in", name, 1, 1)

    stream = numbered(sources(), None)

    assert next(stream) == (Source("in", "a", 1, 1), 1, None)
    assert given == ["a"]
    assert next(stream) == (Source("in", "b", 1, 1), 2, None)


@pytest.mark.slow
def test_waiting_source_takes_little_memory() -> None:
    count = 10_000

    def sources() -> Iterator[Source]:
        for number in range(count):
            relative = f"2024-05-17 Wedding/Selects/IMG_{number:05}.jpg"
            yield Source("/home/somebody/Pictures", relative, 5_000_000 + number, 10**18 + number)

    def reader(jobs: Jobs) -> Iterator[Facts]:
        for job in jobs:
            yield Facts(job.seq, (6000, 4000), "2024:05:17 18:03:09", "X100V", 10**18 - job.seq)

    tracemalloc.start()
    try:
        for _, seq, facts in numbered(sources(), reader, by_date=True):
            assert facts is not None
            assert facts.seq == count + 1 - seq
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak / count < 400


# Headers read by several processes


def test_several_processes_find_what_one_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_HEADERS_OF_A_WORKER", 20)
    for number in range(0, 45, 2):
        photograph(tmp_path / f"{number:02}.jpg", f"2024:05:17 10:{number:02}:00", subsec="25")
    plant(tmp_path, "broken.jpg", data=b"\xff\xd8\xffbroken")
    plant(tmp_path, *(f"{number:02}.png" for number in range(1, 45, 2)))
    jobs = planned_jobs(tmp_path)
    calls: list[int] = []

    def counted(*arguments: Any) -> Iterator[Facts]:
        calls.append(arguments[3])
        return pool.run(*arguments)

    monkeypatch.setattr(batch, "_pool", lambda: counted)
    found = list(batch._headers(jobs, Settings((), jobs=2)))
    alone = list(batch._headers(jobs, Settings((), jobs=1)))

    assert calls == [2]
    assert sorted(found) == alone == list(numbering.one_by_one(jobs))
    assert len(alone) == len(jobs) == 46
    assert [facts.seq for facts in alone if numbering.is_unread(facts)] == [46]


def test_file_time_is_used_if_the_header_reader_died(tmp_path: Path) -> None:
    photograph(tmp_path / "a.jpg", "2024:05:17 10:00:01", changed=1_600_000_000)

    lost = numbering.unread(
        planned_jobs(tmp_path)[0], "killed", "its worker was killed by signal 9"
    )

    assert lost == Facts(1, (0, 0), None, None, 1_600_000_000 * 10**9)
    assert numbering.is_unread(lost)


def test_header_of_a_picture_with_too_many_pixels_is_not_read(tmp_path: Path) -> None:
    photograph(tmp_path / "a.jpg", "2024:05:17 10:00:00")
    (job,) = planned_jobs(tmp_path)

    found, missed = (numbering.read(job, limits=Limits(max_pixels=48 * 32 - n)) for n in (0, 1))
    assert found is not None
    assert found.size == (48, 32)
    assert missed is not None
    assert numbering.is_unread(missed)
    assert numbering.is_unread(*batch._headers(planned_jobs(tmp_path), _with_limit(48 * 32 - 1)))


def _with_limit(pixels: int) -> Settings:
    return Settings((), jobs=1, max_pixels=pixels)


# Headers that do not come to an end, or take too much


def _counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record the number of jobs given to processes, each time."""
    calls: list[int] = []

    def run(*arguments: Any) -> Iterator[Facts]:
        calls.append(len(arguments[1]))
        return pool.run(*arguments)

    monkeypatch.setattr(batch, "_pool", lambda: run)
    return calls


@pytest.mark.slow
def test_hanging_header_affects_only_its_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        photograph(tmp_path / f"{name}.jpg", "2024:05:17 10:00:00")
    calls = _counted(monkeypatch)
    begun = threading.Event()
    read = decode.read_header

    def hanging(path: str, *arguments: Any, **options: Any) -> decode.Header:
        while path.endswith("b.jpg"):
            begun.set()
        return read(path, *arguments, **options)

    monkeypatch.setattr(decode, "read_header", hanging)
    settings = Settings((), timeout=1)
    found = list(batch._headers(planned_jobs(tmp_path), settings))
    assert begun.is_set()
    assert [facts.size for facts in found] == [(48, 32), (0, 0), (48, 32)]
    assert calls == []


def test_headers_read_by_c_libraries_are_read_in_a_killable_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photograph(tmp_path / "a.jpg", "2024:05:17 10:00:00")
    # Judged by content, not by name.
    plant(tmp_path, "b.jpg", "c.webp", data=saved(scene(48, 32), "WEBP"))
    calls = _counted(monkeypatch)
    jobs = planned_jobs(tmp_path)
    here = [numbering.read(job, here=True) for job in jobs]
    assert [facts and facts.size for facts in here] == [(48, 32), None, None]
    known = {facts.seq: facts.size for facts in batch._headers(jobs, Settings(()))}
    assert calls == [2]
    assert known == dict.fromkeys((1, 2, 3), (48, 32))
    # With one job no process is started, as `run` promises.
    known = {facts.seq: facts.size for facts in batch._headers(jobs, Settings((), jobs=1))}
    assert (calls, len(known)) == ([2], 3)
    assert all(size == (48, 32) for size in known.values())


def test_header_that_takes_too_much_memory_is_not_read(tmp_path: Path) -> None:
    plant(tmp_path, "a.webp", data=saved(scene(3000, 2000), "WEBP", method=0))
    (job,) = planned_jobs(tmp_path)
    enough, little = Limits(memory=200_000_000), Limits(memory=50_000_000)
    read = numbering.read(job, limits=enough)
    assert read is not None
    assert read.size == (3000, 2000)
    assert numbering.read(job, 0.2, limits=enough) is None
    assert numbering.read(job, limits=little) == numbering.unread(job)
