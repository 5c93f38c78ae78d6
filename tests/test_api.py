"""`imgbatch.run` and the names around it, as used from Python."""

from __future__ import annotations

import importlib.resources
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from toolkit import ROOT
from toolkit.folders import files, plant
from toolkit.library import script
from toolkit.pictures import opened, saved, scene

import imgbatch
from imgbatch.model import Job, Run
from imgbatch.running import batch, worker
from imgbatch.running.settings import Settings

HALF = imgbatch.Recipe.from_options(sizes=["30"])


# Names


@pytest.mark.slow
@pytest.mark.parametrize("name", imgbatch.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", f"from imgbatch import {name}"],
        timeout=300,
        check=False,
    )

    assert run.returncode == 0
    assert name in dir(imgbatch)


def test_unknown_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'imgbatch' has no attribute 'resize'"):
        getattr(imgbatch, "resize")  # noqa: B009


def test_package_is_marked_as_typed() -> None:
    assert importlib.resources.files("imgbatch").joinpath("py.typed").is_file()


def test_all_errors_share_a_base_class() -> None:
    for kind in (imgbatch.UsageError, imgbatch.PlanError, imgbatch.NothingFoundError):
        assert issubclass(kind, imgbatch.ImgbatchError)


# Runs


def test_each_source_yields_a_result_naming_what_was_written(tmp_path: Path) -> None:
    photos = plant(tmp_path / "photos", "a.jpg", "sub/b.jpg")
    recipe = imgbatch.Recipe.from_options(sizes=["web=30", "x10"], format="png")

    results = list(imgbatch.run(recipe, [photos], output=tmp_path / "out", jobs=1))

    assert [result.source.path for result in results] == [
        f"{photos}/a.jpg",
        f"{photos}/sub/b.jpg",
    ]
    for result, stem in zip(results, ("a", "sub/b"), strict=True):
        assert isinstance(result, imgbatch.Result)
        assert result.status == "done"
        assert result.failure is None
        assert result.seconds > 0
        assert [
            (one.output, one.path, one.width, one.height, one.format) for one in result.written
        ] == [
            ("web", f"{tmp_path}/out/{stem}-web.png", 30, 20, "png"),
            ("x10", f"{tmp_path}/out/{stem}-x10.png", 15, 10, "png"),
        ]
        for one in result.written:
            data = Path(one.path).read_bytes()
            assert opened(data).size == (one.width, one.height)
            assert len(data) == one.bytes


def test_paths_may_be_strings_or_path_objects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path, "photos/a.jpg")
    monkeypatch.chdir(tmp_path)

    for photos, output in (("photos", "one"), (Path("photos"), Path("two")), ("photos", None)):
        for result in imgbatch.run(HALF, [photos], output=output, jobs=1):
            assert (result.source.path, result.status) == ("photos/a.jpg", "done")

    assert files(tmp_path) == [
        *("one/a.jpg", "photos-resized/a.jpg", "photos/a.jpg", "two/a.jpg"),
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["a.jpg", "sub/b.jpg"]),
        ({"recursive": False}, ["a.jpg"]),
        ({"include": ["*/b.*"]}, ["sub/b.jpg"]),
        ({"exclude": ["A.*"]}, ["sub/b.jpg"]),
        ({"flat": True}, ["a.jpg", "b.jpg"]),
    ],
)
def test_options_match_the_command_line(
    tmp_path: Path, options: dict[str, Any], expected: list[str]
) -> None:
    photos = plant(tmp_path / "photos", "a.jpg", "sub/b.jpg")

    list(imgbatch.run(HALF, [photos], output=tmp_path / "out", jobs=1, **options))

    assert files(tmp_path / "out") == expected


def test_skipped_source_yields_a_result_with_its_reason(tmp_path: Path) -> None:
    photos = plant(tmp_path / "photos", "a.jpg", "b.jpg")
    plant(tmp_path / "out", "b.jpg")
    options: dict[str, Any] = {"output": tmp_path / "out", "jobs": 1, "on_conflict": "skip"}

    results = {result.source.relative: result for result in imgbatch.run(HALF, [photos], **options)}

    assert [results["a.jpg"].status, results["b.jpg"].status] == ["done", "skipped"]
    assert results["b.jpg"].reason == f"already there: {tmp_path}/out/b.jpg"


def test_failing_file_yields_a_result_instead_of_an_exception(tmp_path: Path) -> None:
    photos = plant(tmp_path / "photos", "a.jpg", "c.jpg")
    (photos / "b.jpg").write_bytes((photos / "a.jpg").read_bytes()[:-100])

    results = {
        result.source.relative: result
        for result in imgbatch.run(HALF, [photos], output=tmp_path / "out", jobs=1)
    }

    assert {name: result.status for name, result in results.items()} == {
        "a.jpg": "done",
        "b.jpg": "failed",
        "c.jpg": "done",
    }
    failure = results["b.jpg"].failure
    assert isinstance(failure, imgbatch.Failure)
    assert (failure.stage, failure.kind) == ("decode", "truncated")
    assert files(tmp_path / "out") == ["a.jpg", "c.jpg"]


@pytest.mark.parametrize("closed", ["photos", "closed"])
def test_unlistable_folder_yields_a_failed_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    photos = plant(tmp_path / "photos", "a.jpg", "closed/b.jpg")
    # An earlier run could list it; its folder in the output must not get in the way.
    (tmp_path / "out/closed").mkdir(parents=True)
    real = os.scandir

    def guarded(path: str) -> Any:
        if os.path.basename(path) == closed:
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", guarded)
    results = list(imgbatch.run(HALF, [photos], output=tmp_path / "out", jobs=1))

    failed = results[-1]
    assert os.path.basename(os.path.normpath(failed.source.path)) == closed
    assert failed.failure is not None
    assert failed.failure.message == "this folder cannot be listed"
    assert [result.status for result in results[:-1]] == ["done"] * (closed == "closed")


@pytest.mark.parametrize(
    ("words", "options", "error", "message"),
    [
        (["gone"], {}, imgbatch.UsageError, r"no file or folder '.*gone'"),
        (["photos"], {"jobs": 0}, imgbatch.UsageError, "found 0 jobs, expected 1 or more"),
        (["photos", "empty"], {"output": None}, imgbatch.UsageError, "--output DIR"),
        (["photos"], {"output": "photos/a.jpg"}, imgbatch.UsageError, "is the name of one file"),
        (["photos"], {"output": "photos"}, imgbatch.PlanError, "is the original"),
        (["photos"], {"output": "full"}, imgbatch.PlanError, "exists already"),
        (["empty"], {}, imgbatch.NothingFoundError, "no image found in .*empty"),
        (["photos"], {"include": ["x"]}, imgbatch.NothingFoundError, "no image found"),
    ],
)
def test_impossible_requests_raise_at_the_call_and_write_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    plant(tmp_path / "photos", "a.jpg")
    plant(tmp_path / "full", "a.jpg")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    before = files(tmp_path)

    with pytest.raises(error, match=message):
        imgbatch.run(HALF, words, **{"output": "out", "jobs": 1, **options})

    assert files(tmp_path) == before


def test_planning_happens_at_the_call_and_work_on_iteration(tmp_path: Path) -> None:
    photos = plant(tmp_path / "photos", "a.jpg")

    results = imgbatch.run(HALF, [photos], output=tmp_path / "out", jobs=1)
    plant(photos, "late.jpg")

    assert files(tmp_path / "out") == []
    assert [result.source.relative for result in results] == ["a.jpg"]


def _job(tmp_path: Path, name: str) -> Job:
    photos = plant(tmp_path / "photos", "a.jpg")
    (photos / "really a png.jpg").write_bytes(saved(scene(60, 40), "PNG"))
    settings = Settings((str(photos / name),), str(tmp_path / "out"))
    with batch.prepare(HALF, settings) as prepared:
        prepared.begin()
        (job,) = prepared.plan.jobs
    return job


def _process(job: Job, tmp_path: Path) -> imgbatch.Result:
    result = worker.process(job, 1.0, HALF, Run("run", str(tmp_path / "out")))
    assert result is not None
    return result


@pytest.mark.parametrize("name", ["a.jpg", "really a png.jpg"])
def test_second_attempt_does_not_conflict_with_its_own_output(tmp_path: Path, name: str) -> None:
    """A worker may die after publishing, before its result arrives."""
    job = _job(tmp_path, name)
    first = _process(job, tmp_path)

    second = _process(job, tmp_path)

    assert first.status == second.status == "done"
    assert first.written == second.written


def test_second_attempt_overwrites_nothing_unplanned(tmp_path: Path) -> None:
    # The plan looked for a file of this name with .jpg; the real format shows only on decoding.
    job = _job(tmp_path, "really a png.jpg")
    other = tmp_path / "out/really a png.png"
    other.write_bytes(b"somebody's")

    result = _process(job, tmp_path)

    assert result.failure is not None
    assert result.failure.kind == "exists"
    assert other.read_bytes() == b"somebody's"


# Programs with worker processes


@pytest.mark.slow
def test_readme_program_runs(tmp_path: Path) -> None:
    plant(tmp_path, "photos/a.jpg", "photos/sub/b.jpg")
    readme = ROOT / "README.md"
    _, _, rest = readme.read_text(encoding="utf-8").partition("```python\n")
    program, _, _ = rest.partition("```")
    assert "imgbatch.run(" in program

    run = script(tmp_path, program)

    assert run.stderr == ""
    assert run.returncode == 0
    assert sorted(line.split()[0] for line in run.stdout.splitlines()) == [
        "photos/a.jpg",
        "photos/sub/b.jpg",
    ]
    assert len(files(tmp_path / "web")) == 4


EARLY_END = """
import imgbatch

if __name__ == "__main__":
    recipe = imgbatch.Recipe.from_options(sizes=["30"])
    results = imgbatch.run(recipe, ["photos"], output="out", jobs=2)
    print(next(results).status)
    {ending}
    import multiprocessing
    print(multiprocessing.active_children())
"""


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["results.close()", "del results"])
def test_abandoned_results_leave_no_process_and_no_temporary_file(
    tmp_path: Path, ending: str
) -> None:
    plant(tmp_path, *(f"photos/{number}.jpg" for number in range(60)))

    run = script(tmp_path, EARLY_END.format(ending=ending))

    assert run.stderr == ""
    assert run.stdout.splitlines() == ["done", "[]"]
    made = files(tmp_path / "out")
    assert all(name.endswith(".jpg") for name in made)
    assert all(opened((tmp_path / "out" / name).read_bytes()).size == (30, 20) for name in made)


@pytest.mark.slow
def test_two_runs_in_one_program_do_not_interfere(tmp_path: Path) -> None:
    plant(tmp_path, *(f"photos/{number}.jpg" for number in range(6)))

    run = script(
        tmp_path,
        "import imgbatch\n"
        "if __name__ == '__main__':\n"
        "    for size in ('30', '12'):\n"
        "        recipe = imgbatch.Recipe.from_options(sizes=[size])\n"
        "        results = imgbatch.run(recipe, ['photos'], output=size, jobs=2)\n"
        "        print(sorted(one.width for result in results for one in result.written))\n",
    )

    assert run.stderr == ""
    assert run.stdout.splitlines() == [str([30] * 6), str([12] * 6)]


# Several outputs of one source

TWO = imgbatch.Recipe.from_options(sizes=["big=30", "small=10"])


def test_all_outputs_of_a_source_are_published_or_none(tmp_path: Path) -> None:
    photos = plant(tmp_path / "photos", "a.jpg")
    out = tmp_path / "out"
    results = imgbatch.run(TWO, [photos], output=out, jobs=1)
    # Appears after planning, in the way of the second output.
    (out / "a-small.jpg").write_bytes(b"somebody's")

    (result,) = results

    assert result.failure is not None
    assert result.failure.kind == "exists"
    assert files(out) == ["a-small.jpg"]
    assert (out / "a-small.jpg").read_bytes() == b"somebody's"


def test_skip_makes_only_missing_outputs(tmp_path: Path) -> None:
    photos = plant(tmp_path / "photos", "a.jpg", "b.jpg")
    out = tmp_path / "out"
    out.mkdir()
    for name in ("a-big.jpg", "b-big.jpg", "b-small.jpg"):
        (out / name).write_bytes(b"there")

    results = list(imgbatch.run(TWO, [photos], output=out, jobs=1, on_conflict="skip"))

    made = {one.source.relative: (one.status, [w.output for w in one.written]) for one in results}
    assert made == {"a.jpg": ("done", ["small"]), "b.jpg": ("skipped", [])}
    assert opened((out / "a-small.jpg").read_bytes()).width == 10
    assert (out / "a-big.jpg").read_bytes() == b"there"


def test_limits_accept_strings_with_units(tmp_path: Path) -> None:
    plant(tmp_path / "in", "a.jpg")

    (result,) = imgbatch.run(
        HALF, [tmp_path / "in"], output=tmp_path / "out", memory="1GB", max_pixels="1MP"
    )

    assert result.status == "done"
