"""`imgbatch.run` as a Run, `imgbatch.plan`, and the arguments they take."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any, Final

import pytest
from toolkit.folders import files, plant, tree
from toolkit.pictures import saved, scene

import imgbatch

HALF: Final = imgbatch.Recipe.from_options(sizes=30)
CUT: Final = saved(scene(), "JPEG")[:-100]


# A Run


def test_run_tells_its_length_and_counts_as_it_goes(tmp_path: Path) -> None:
    photos = plant(tmp_path / "photos", "a.jpg", "b.jpg")
    plant(photos, "c.jpg", data=CUT)

    with imgbatch.run(HALF, photos, output=tmp_path / "out", jobs=1) as results:
        assert isinstance(results, imgbatch.Run)
        assert (len(results), results.output) == (3, str(tmp_path / "out"))
        left = []
        for _ in results:
            summary = results.summary
            left.append((summary.unfinished, summary.done + summary.failed))

    assert left == [(2, 1), (1, 2), (0, 3)]
    assert (summary.done, summary.failed) == (2, 1)
    assert (summary.planned, summary.exit_code, summary.stopped) == (3, 1, None)
    assert summary.seconds > 0


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_cancelled_run_finishes_what_is_in_hand_and_leaves_the_rest(
    tmp_path: Path, jobs: int
) -> None:
    photos = plant(tmp_path / "photos", *(f"{number:02}.jpg" for number in range(40)))

    with imgbatch.run(HALF, photos, output=tmp_path / "out", jobs=jobs) as results:
        first = next(results)
        thread = threading.Thread(target=results.cancel)
        thread.start()
        thread.join()
        rest = list(results)

    assert {result.status for result in (first, *rest)} == {"done"}
    assert len(files(tmp_path / "out")) == 1 + len(rest) < 40
    assert results.summary.unfinished == 39 - len(rest)
    assert (results.summary.stopped, results.summary.exit_code) == ("it was cancelled", 1)
    again = imgbatch.run(HALF, photos, output=tmp_path / "out", jobs=1)
    assert [result.status for result in again].count("skipped") == 1 + len(rest)


def test_cancelling_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    photos = plant(tmp_path / "photos", "a.jpg")
    results = imgbatch.run(HALF, photos, output=tmp_path / "out", jobs=1)
    list(results)

    results.cancel()
    results.close()

    assert (results.summary.stopped, results.summary.exit_code) == (None, 0)


def test_left_run_releases_its_folder(tmp_path: Path) -> None:
    photos = plant(tmp_path / "photos", "a.jpg", "b.jpg")

    for begun in (False, True):
        with imgbatch.run(HALF, photos, output=tmp_path / "out", jobs=1, force=True) as results:
            assert not begun or next(results).status == "done"
        with pytest.raises(StopIteration):
            next(results)

    again = imgbatch.run(HALF, photos, output=tmp_path / "out", jobs=1)
    assert sorted(result.status for result in again) == ["done", "skipped"]


def test_in_place_replaces_and_keeps_the_originals(tmp_path: Path) -> None:
    photos = plant(tmp_path / "photos", "a.jpg")
    before = (photos / "a.jpg").read_bytes()

    with imgbatch.run(
        HALF, photos, in_place=True, backup=tmp_path / "originals", jobs=1
    ) as results:
        assert [(one.status, one.written[0].path) for one in results] == [
            ("done", f"{photos}/a.jpg")
        ]

    assert (photos / "a.jpg").read_bytes() != before
    assert (tmp_path / "originals/a.jpg").read_bytes() == before


def test_warnings_and_failures_can_be_listened_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = plant(tmp_path / "photos", "a.jpg", data=CUT)
    heard: list[logging.LogRecord] = []
    listener = logging.Handler()
    monkeypatch.setattr(listener, "emit", heard.append)
    monkeypatch.setattr(logging.getLogger("imgbatch"), "handlers", [listener])

    for salvage in (False, True):
        list(imgbatch.run(HALF, photos, output=tmp_path / "out", jobs=1, salvage=salvage))
    HALF.apply(CUT, salvage=True)

    assert [(one.name, one.levelno) for one in heard] == [
        ("imgbatch", logging.ERROR),
        ("imgbatch", logging.WARNING),
        ("imgbatch", logging.WARNING),
    ]
    assert heard[0].getMessage().startswith(f"{photos}/a.jpg: the file is cut short")
    assert heard[2].getMessage().startswith("picture: the file is cut short")


def test_run_that_is_closed_early_is_no_success(tmp_path: Path) -> None:
    photos = plant(tmp_path / "photos", "a.jpg", "b.jpg")

    for made in (0, 1):
        with imgbatch.run(HALF, photos, output=tmp_path / f"{made}", jobs=1) as results:
            for _ in range(made):
                next(results)
        summary = results.summary
        assert (summary.done, summary.unfinished) == (made, 2 - made)
        assert (summary.stopped, summary.exit_code) == ("it was closed early", 1)


def test_what_is_pruned_is_told_before_and_after(tmp_path: Path) -> None:
    photos = plant(tmp_path / "photos", "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    options: dict[str, Any] = {"output": tmp_path / "out", "jobs": 1}
    list(imgbatch.run(HALF, photos, **options))
    for name in ("b.jpg", "c.jpg"):
        (photos / name).unlink()
    made = (tmp_path / "out/c.jpg").read_bytes()
    plant(tmp_path / "out", "c.jpg", data=made[:-1] + b"x")
    before = tree(tmp_path)

    assert imgbatch.plan(HALF, photos, **options).pruned == ()
    plan = imgbatch.plan(HALF, photos, prune=True, **options)
    assert plan.pruned == (f"{tmp_path}/out/b.jpg",)
    assert "changed them since" in plan.notices[-1]
    assert tree(tmp_path) == before

    with imgbatch.run(HALF, photos, prune=True, **options) as results:
        assert not results.pruned
        list(results)
    assert (results.pruned, results.summary.pruned) == (plan.pruned, 1)
    assert files(tmp_path / "out") == ["a.jpg", "c.jpg", "d.jpg"]


# A plan


def test_plan_tells_what_would_be_done_and_writes_nothing(tmp_path: Path) -> None:
    photos = plant(tmp_path / "photos", "a.jpg", "b.jpg", "c.jpg", "d.txt")
    plant(tmp_path / "out", "c.jpg")
    list(imgbatch.run(HALF, photos / "b.jpg", output=tmp_path / "out", jobs=1))
    before = tree(tmp_path)
    options: dict[str, Any] = {"output": tmp_path / "out", "jobs": 1}

    plan = imgbatch.plan(HALF, photos, **options)

    assert isinstance(plan, imgbatch.Plan)
    assert [(one.source.relative, one.status, one.reason) for one in plan] == [
        ("a.jpg", "make", None),
        ("b.jpg", "skip", "up to date"),
    ]
    assert plan[0].files == (imgbatch.PlannedFile("30", f"{tmp_path}/out/a.jpg", "make"),)
    (conflict,) = plan.conflicts
    assert conflict.source.relative == "c.jpg"
    assert "exists already" in conflict.message
    assert "--on-conflict" in conflict.remedy
    assert plan.left_out.others == {".txt": 1}
    assert tree(tmp_path) == before
    actions = {
        one.source.relative: one.files[0].action
        for one in imgbatch.plan(HALF, photos, on_conflict="overwrite", force=True, **options)
    }
    assert actions == {"a.jpg": "make", "b.jpg": "remake", "c.jpg": "overwrite"}
    in_place = imgbatch.plan(HALF, photos, in_place=True, backup=None)
    assert [one.files[0].action for one in in_place] == ["replace"] * 3


def test_plan_agrees_with_the_run(tmp_path: Path) -> None:
    photos = plant(tmp_path / "photos", "a.jpg", "sub/b.jpg")
    options: dict[str, Any] = {"output": tmp_path / "out", "jobs": 1}

    planned = {file.path for one in imgbatch.plan(HALF, photos, **options) for file in one.files}

    results = imgbatch.run(HALF, photos, **options)
    assert planned == {one.path for result in results for one in result.written}


# Arguments


@pytest.mark.parametrize("kind", [str, Path, lambda path: [path]])
def test_a_single_path_may_stand_alone(tmp_path: Path, kind: Any) -> None:
    photos = plant(tmp_path / "photos", "a.jpg")

    (result,) = imgbatch.run(HALF, kind(photos), output=tmp_path / "out", jobs=1, include="A.*")

    assert result.status == "done"


@pytest.mark.parametrize(
    ("sizes", "names"),
    [
        (1600, ["1600"]),
        ("1600x900", ["1600x900"]),
        ([1600, "thumb=320"], ["1600", "thumb"]),
        ((), ["resized"]),
    ],
)
def test_sizes_may_be_numbers_and_stand_alone(sizes: Any, names: list[str]) -> None:
    recipe = imgbatch.Recipe.from_options(sizes=sizes, filters="sharpen")

    assert [output.name for output in recipe.outputs] == names
    assert recipe.outputs[0].operations[-1].name == "sharpen"


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ({"qualty": 3}, TypeError, r"from_options\(\) got .*'qualty'; did you mean 'quality'"),
        ({"sizes": 1.5}, imgbatch.UsageError, "found sizes 1.5"),
        ({"sizes": [True]}, imgbatch.UsageError, "found the size True"),
        ({"sizes": ""}, imgbatch.UsageError, "cannot read the size ''"),
        ({"sizes": ["", "9"]}, imgbatch.UsageError, "cannot read the size ''"),
        ({"filters": 7}, imgbatch.UsageError, "found 7, expected a name in each"),
        ({"filters": [None]}, imgbatch.UsageError, "found None, expected a name in each"),
        ({"format": 7}, imgbatch.UsageError, "found format 7, expected text"),
        ({"background": 7}, imgbatch.UsageError, "found background 7, expected text"),
        ({"quality": True}, imgbatch.UsageError, "found quality True, expected a whole number"),
        ({"progressive": 1}, imgbatch.UsageError, "found progressive 1, expected True or False"),
        ({"raw_preview": "no"}, imgbatch.UsageError, "found raw-preview 'no'"),
        ({"template": 7}, imgbatch.UsageError, "found template 7, expected text"),
        ({"fit": "covr"}, imgbatch.UsageError, "did you mean cover"),
    ],
)
def test_wrong_settings_are_refused_by_name(
    words: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        imgbatch.Recipe.from_options(**words)


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ({"outptu": "x"}, TypeError, r"run\(\) got .*'outptu'; did you mean 'output'"),
        ({"recursive": "no"}, imgbatch.UsageError, "found recursive 'no', expected True or False"),
        ({"timeout": "2m"}, imgbatch.UsageError, "found timeout '2m', expected a number"),
        ({"memory": "lots"}, imgbatch.UsageError, "found lots bytes of memory"),
        ({"output": 7}, imgbatch.UsageError, "found output 7, expected a path"),
        ({"exclude": ["*.png", 7]}, imgbatch.UsageError, "found exclude 7, expected a pattern"),
        ({"include": 7.5}, imgbatch.UsageError, "found include 7.5, expected text"),
        ({"in_place": True}, imgbatch.UsageError, "give backup=FOLDER .* or backup=None"),
        ({"paths": b"photos"}, imgbatch.UsageError, "expected a path, or a list of them"),
        ({"paths": [7]}, imgbatch.UsageError, "found paths 7, expected a path"),
        ({"backup": "b"}, imgbatch.UsageError, "found a backup without in_place"),
        ({"output": ""}, imgbatch.UsageError, "found an empty output: is a variable empty"),
        ({"subfolder": ""}, imgbatch.UsageError, "found an empty subfolder"),
        ({"in_place": True, "backup": ""}, imgbatch.UsageError, "found an empty backup"),
        ({"recursive": None}, imgbatch.UsageError, "found recursive None, expected True or False"),
        ({"sort": None}, imgbatch.UsageError, "sort: found None, expected one of name, date"),
        ({"max_pixels": None}, imgbatch.UsageError, "found a limit of None pixels"),
    ],
)
def test_wrong_arguments_are_refused_by_name(
    tmp_path: Path, words: Any, error: type[Exception], message: str
) -> None:
    photos = plant(tmp_path / "photos", "a.jpg")

    with pytest.raises(error, match=message):
        imgbatch.run(HALF, **{"paths": photos, **words})
    assert files(tmp_path) == ["photos/a.jpg"]


@pytest.mark.parametrize(
    ("recipe", "remedy"),
    [
        ("web-gallery", r"imgbatch\.Recipe\.load\('web-gallery'\)"),
        (Path("web.toml"), r"load\('web.toml'\)"),
        ({"sizes": 1600}, r"from_options\(sizes=1600\)"),
    ],
)
@pytest.mark.parametrize("call", [imgbatch.run, imgbatch.plan])
def test_what_is_no_recipe_is_refused(call: Any, recipe: Any, remedy: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=f"found the recipe .*expected a Recipe: .*{remedy}"):
        call(recipe, plant(tmp_path, "a.jpg"))


# Recipes


def test_recipe_can_be_saved_and_loaded(tmp_path: Path) -> None:
    recipe = imgbatch.Recipe.from_options("web", sizes=[1600, "thumb=320"], filters="sharpen")

    recipe.save(tmp_path / "web.toml")

    loaded = imgbatch.Recipe.load(tmp_path / "web.toml")
    assert loaded == recipe
    assert type(loaded) is imgbatch.Recipe
    assert imgbatch.Recipe.load("thumbnails").outputs
    with pytest.raises(imgbatch.UsageError, match="did you mean thumbnails"):
        imgbatch.Recipe.load("thumbnail")


def test_outputs_have_settings_of_their_own(tmp_path: Path) -> None:
    recipe = imgbatch.Recipe.of(
        [
            {"name": "web", "size": 1600, "quality": 80, "operations": ("sharpen:amount=0.5",)},
            {"size": "320x320", "fit": "cover", "format": "webp", "template": "t/{stem}{ext}"},
            imgbatch.Recipe.from_options("full").outputs[0],
        ],
        name="delivery",
        operations=["white-balance"],
        profile="srgb",
    )
    (tmp_path / "delivery.toml").write_text(
        'name = "delivery"\n[prepare]\nprofile = "srgb"\noperations = ["white-balance"]\n'
        '[[output]]\nname = "web"\nsize = 1600\nquality = 80\noperations = ["sharpen:amount=0.5"]\n'
        '[[output]]\nsize = "320x320"\nfit = "cover"\nformat = "webp"\npath = "t/{stem}{ext}"\n'
        '[[output]]\nname = "full"\npath = "{stem}{ext}"\n'
    )

    assert recipe == imgbatch.Recipe.load(tmp_path / "delivery.toml")


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ([], r"\[\[output\]\]: found none"),
        ({"size": 3}, "expected a list of tables"),
        ([{"sise": 3}], "output 1: sise: an unknown key; did you mean size"),
        ([{"name": "web", "quality": "high"}], "output 'web': quality: found 'high', expected a"),
        ([7], "output 1: found 7, expected a table"),
        ([{"size": ""}], "output 1: cannot read the size ''"),
    ],
)
def test_wrong_outputs_are_refused_by_name(outputs: Any, message: str) -> None:
    with pytest.raises(imgbatch.UsageError, match=message):
        imgbatch.Recipe.of(outputs)
