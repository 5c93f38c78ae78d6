"""Conflicting targets: with another source, an existing file or an original."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, get_args

import pytest
from toolkit.folders import dated_tree, plant
from toolkit.planning import planned, refusal, targets

from imgbatch.model import OnConflict
from imgbatch.planning.plan import Plan, plan
from imgbatch.planning.scan import Selection, scan
from imgbatch.planning.to_folder import ToFolder
from imgbatch.recipes.recipe import Recipe

CAFE_COMPOSED, CAFE_DECOMPOSED = "caf\u00e9.jpg", "cafe\u0301.jpg"


def reasons(made: Plan) -> dict[str, str]:
    return {result.source.relative: result.reason or "" for result in made.skipped}


# Two sources with one target


TWINS = [
    pytest.param(("a.jpg", "a.png"), {"format": "webp"}, "a.webp", id="one-stem"),
    pytest.param(("a.jpe", "a.jpg"), {"format": "jpeg"}, "a.jpg", id="two-suffixes"),
    pytest.param(("A.JPG", "a.jpg"), {}, "a.jpg", id="case"),
    pytest.param(("Sub/a.jpg", "sub/a.jpg"), {}, "sub/a.jpg", id="case-of-a-folder"),
    pytest.param((CAFE_DECOMPOSED, CAFE_COMPOSED), {}, CAFE_COMPOSED, id="unicode-form"),
    pytest.param(("STRASSE.jpg", "straße.jpg"), {}, "straße.jpg", id="folded-letter"),
    pytest.param(("x/a.jpg", "y/a.jpg"), {"flat": True}, "a.jpg", id="flat"),
    pytest.param(("a.jpg", "b.jpg"), {"template": "c{ext}"}, "c.jpg", id="template"),
    pytest.param(
        ("x.jpg", "y.jpg"), {"sizes": ["9", "8"], "template": "{output}{ext}"}, "9.jpg", id="sizes"
    ),
]


@pytest.mark.parametrize(("names", "options", "target"), TWINS)
class TestTwoSourcesWithOneTarget:
    def test_colliding_targets_are_refused_by_name(
        self, tmp_path: Path, names: tuple[str, str], options: dict[str, Any], target: str
    ) -> None:
        folder = plant(tmp_path / "in", *names)
        before = dated_tree(tmp_path)

        message = refusal(planned(folder, tmp_path / "out", **options))

        first, second = (f"{folder}/{name}" for name in names)
        assert f"{first} and {second} would both become {tmp_path}/out/{target}" in message
        assert "--on-conflict rename" in message
        template = options.get("template", "{stem}")
        assert ("Put {seq} or {stem} into --name" in message) == ("{stem}" not in template)
        assert dated_tree(tmp_path) == before

    def test_skip_keeps_the_first(
        self, tmp_path: Path, names: tuple[str, str], options: dict[str, Any], target: str
    ) -> None:
        folder = plant(tmp_path / "in", *names)

        made = planned(folder, tmp_path / "out", on_conflict="skip", **options)

        made.check()
        assert list(targets(made)) == [names[0]]
        assert list(reasons(made)) == [names[1]]
        assert f"{folder}/{names[0]}" in reasons(made)[names[1]]
        assert "--on-conflict skip" in reasons(made)[names[1]]

    def test_overwrite_keeps_the_last(
        self, tmp_path: Path, names: tuple[str, str], options: dict[str, Any], target: str
    ) -> None:
        folder = plant(tmp_path / "in", *names)

        made = planned(folder, tmp_path / "out", on_conflict="overwrite", **options)

        made.check()
        assert list(targets(made)) == [names[1]]
        assert targets(made)[names[1]][0] == target
        assert list(reasons(made)) == [names[0]]
        assert f"{folder}/{names[1]}" in reasons(made)[names[0]]

    def test_rename_keeps_both(
        self, tmp_path: Path, names: tuple[str, str], options: dict[str, Any], target: str
    ) -> None:
        folder = plant(tmp_path / "in", *names)

        made = planned(folder, tmp_path / "out", on_conflict="rename", **options)

        made.check()
        stem, suffix = os.path.splitext(target)
        assert targets(made)[names[1]][0] == f"{stem}-2{suffix}"
        assert list(targets(made)) == list(names)
        assert list(made.skipped) == []


@pytest.mark.parametrize("on_conflict", get_args(OnConflict))
@pytest.mark.parametrize(
    ("sizes", "template", "pair"),
    [
        (["60", "90"], "{stem}{ext}", ("60", "90")),
        (["web=60", "WEB=90"], None, ("web", "WEB")),
        (["60", "small=x9", "thumb=x9"], "{stem}-{height}{ext}", ("small", "thumb")),
    ],
)
def test_two_outputs_of_a_source_with_one_name_are_always_refused(
    tmp_path: Path,
    on_conflict: OnConflict,
    sizes: list[str],
    template: str | None,
    pair: tuple[str, str],
) -> None:
    folder = plant(tmp_path / "in", "a.jpg")

    made = planned(
        folder, tmp_path / "out", sizes=sizes, template=template, on_conflict=on_conflict
    )

    message = refusal(made)
    assert f"the outputs {pair[0]} and {pair[1]} of {folder}/a.jpg would both become" in message
    assert "Put {output} into --name." in message
    assert list(made.jobs) == []


@pytest.mark.parametrize("on_conflict", get_args(OnConflict))
def test_file_given_twice_is_processed_once(tmp_path: Path, on_conflict: OnConflict) -> None:
    file = str(plant(tmp_path / "in", "a.jpg") / "a.jpg")
    sources = scan([file, file], Selection())

    recipe = Recipe.from_options()
    made = plan(sources, ToFolder(recipe, str(tmp_path / "out"), on_conflict=on_conflict))

    made.check()
    assert targets(made) == {"a.jpg": ["a.jpg"]}
    assert reasons(made) == {"a.jpg": "the same file was given twice"}


# A target that exists


def test_existing_file_is_refused_by_name(tmp_path: Path) -> None:
    folder = plant(tmp_path / "in", "a.jpg", "b.jpg")
    plant(tmp_path / "out", "a.jpg")
    before = dated_tree(tmp_path)

    message = refusal(planned(folder, tmp_path / "out"))

    assert f"{tmp_path}/out/a.jpg exists already" in message
    assert "b.jpg" not in message
    assert "--on-conflict skip, overwrite or rename" in message
    assert dated_tree(tmp_path) == before


def test_existing_file_is_skipped_on_request(tmp_path: Path) -> None:
    folder = plant(tmp_path / "in", "a.jpg", "b.jpg")
    plant(tmp_path / "out", "a.jpg")

    made = planned(folder, tmp_path / "out", on_conflict="skip")

    made.check()
    assert targets(made) == {"b.jpg": ["b.jpg"]}
    assert reasons(made) == {"a.jpg": f"already there: {tmp_path}/out/a.jpg"}


def test_only_existing_files_are_replaced_and_only_on_request(tmp_path: Path) -> None:
    folder = plant(tmp_path / "in", "a.jpg", "b.jpg")
    plant(tmp_path / "out", "a.jpg")

    made = planned(folder, tmp_path / "out", on_conflict="overwrite")

    made.check()
    assert [(job.source.relative, job.targets[0].replace) for job in made.jobs] == [
        ("a.jpg", True),
        ("b.jpg", False),
    ]


def test_rename_finds_the_first_free_number(tmp_path: Path) -> None:
    folder = plant(tmp_path / "in", "a.jpe", "a.jpg", "b.jpg", "b-2.jpg")
    plant(tmp_path / "out", "a.jpg", "a-3.jpg", "b.jpg")

    made = planned(folder, tmp_path / "out", format="jpeg", on_conflict="rename")

    made.check()
    assert targets(made) == {
        "a.jpe": ["a-2.jpg"],
        "a.jpg": ["a-4.jpg"],
        "b-2.jpg": ["b-2.jpg"],
        "b.jpg": ["b-3.jpg"],
    }
    assert not any(one.replace for job in made.jobs for one in job.targets)


def test_dangling_link_counts_as_an_existing_file(tmp_path: Path) -> None:
    folder = plant(tmp_path / "in", "a.jpg")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.jpg").symlink_to("nowhere")

    assert "out/a.jpg exists already" in refusal(planned(folder, tmp_path / "out"))


@pytest.mark.parametrize("on_conflict", ["error", "skip", "overwrite"])
def test_folder_with_the_name_of_a_target_is_never_replaced(
    tmp_path: Path, on_conflict: OnConflict
) -> None:
    folder = plant(tmp_path / "in", "a.jpg")
    (tmp_path / "out/a.jpg").mkdir(parents=True)

    message = refusal(planned(folder, tmp_path / "out", on_conflict=on_conflict))

    assert f"{tmp_path}/out/a.jpg is a folder, and {folder}/a.jpg would get its name" in message


def test_all_conflicts_are_found_at_once_and_the_first_few_named(tmp_path: Path) -> None:
    names = [f"{letter}.jpg" for letter in "abcdefgh"]
    folder = plant(tmp_path / "in", *names)
    plant(tmp_path / "out", *names)

    made = planned(folder, tmp_path / "out")

    message = refusal(made)
    assert len(made.conflicts) == 8
    assert [name for name in names if name in message] == names[:5]
    assert "and 3 more" in message


# A target that is an original


def _by_name(folder: Path) -> Path:
    return folder


def _by_folder_link(folder: Path) -> Path:
    output = folder.parent / "link"
    output.symlink_to(folder)
    return output


def _by_link(folder: Path) -> Path:
    output = folder.parent / "out"
    output.mkdir()
    (output / "a.jpg").symlink_to(folder / "a.jpg")
    return output


def _by_hard_link(folder: Path) -> Path:
    output = folder.parent / "out"
    output.mkdir()
    os.link(folder / "a.jpg", output / "a.jpg")
    return output


def _by_another_ones_link(folder: Path) -> Path:
    output = folder.parent / "out"
    output.mkdir()
    os.link(folder / "z.jpg", output / "a.jpg")
    return output


WAYS_TO_AN_ORIGINAL = [_by_name, _by_folder_link, _by_link, _by_hard_link, _by_another_ones_link]


@pytest.mark.parametrize("on_conflict", ["error", "overwrite"])
@pytest.mark.parametrize("way", WAYS_TO_AN_ORIGINAL)
def test_target_that_is_an_original_is_always_refused(
    tmp_path: Path, way: Any, on_conflict: OnConflict
) -> None:
    folder = plant(tmp_path / "in", "a.jpg", "z.jpg")
    output = way(folder)
    before = dated_tree(tmp_path)

    message = refusal(planned(folder, output, on_conflict=on_conflict))

    original = "z.jpg" if way is _by_another_ones_link else "a.jpg"
    relation = "is" if way is _by_name else "is a link to"
    assert f"{output}/a.jpg {relation} the original {folder}/{original}" in message
    assert "Originals are never overwritten: use another --output or --name." in message
    assert "exists already" not in message
    assert dated_tree(tmp_path) == before


@pytest.mark.parametrize("way", WAYS_TO_AN_ORIGINAL)
def test_rename_puts_a_file_next_to_an_original(tmp_path: Path, way: Any) -> None:
    folder = plant(tmp_path / "in", "a.jpg")
    if way is _by_another_ones_link:
        plant(folder, "z.jpg")
    output = way(folder)

    made = planned(folder, output, on_conflict="rename")

    made.check()
    assert targets(made)["a.jpg"] == ["a-2.jpg"]
    assert not made.jobs[0].targets[0].replace


@pytest.mark.parametrize("way", [_by_name, _by_folder_link, _by_link, _by_hard_link])
def test_skip_skips_an_original_in_the_way(tmp_path: Path, way: Any) -> None:
    folder = plant(tmp_path / "in", "a.jpg")

    made = planned(folder, way(folder), on_conflict="skip")

    made.check()
    assert list(made.jobs) == []
    assert list(reasons(made)) == ["a.jpg"]


def test_original_whose_target_went_to_another_source_is_not_overwritten(tmp_path: Path) -> None:
    # a.jpg yields its name to a.png, whose output would then overwrite a.jpg itself.
    folder = plant(tmp_path / "in", "a.jpg", "a.png")

    made = planned(folder, folder, format="jpeg", on_conflict="overwrite")

    assert f"{folder}/a.jpg is the original {folder}/a.jpg" in refusal(made)
