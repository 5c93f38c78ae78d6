"""Recipes from the words users type, the plain values they are made of, formats and names."""

from __future__ import annotations

import dataclasses
import inspect
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from toolkit import ROOT

from imgbatch import model
from imgbatch.errors import UsageError
from imgbatch.imaging import formats
from imgbatch.imaging.formats import BY_NAME, FORMATS, Format
from imgbatch.model import (
    Encoding,
    Failure,
    FileState,
    Job,
    Limits,
    Notice,
    Origin,
    Result,
    Run,
    Size,
    Source,
    Summary,
    Target,
    Written,
)
from imgbatch.naming import FIELDS, Template, shown
from imgbatch.operations import names
from imgbatch.operations.colour import Grayscale, Sepia
from imgbatch.operations.detail import Blur, Sharpen
from imgbatch.operations.geometry import Resize, SizeSpec
from imgbatch.operations.profile import ConvertProfile
from imgbatch.operations.tone import AutoContrast, Invert
from imgbatch.recipes.recipe import Output, Recipe

WHITE: Final = (255, 255, 255, 255)
PROPERTY: Final = settings(max_examples=200, deadline=None, database=None, derandomize=True)


# From words


def test_without_any_words_a_recipe_changes_nothing() -> None:
    recipe = Recipe.from_options()
    assert recipe.name == "resized"
    assert recipe.prepare == ()
    (output,) = recipe.outputs
    assert output.operations == ()
    assert output.template == Template("{stem}{ext}")
    assert output.encoding == Encoding(None, None, "all", WHITE)


def test_a_single_size_keeps_the_plain_name() -> None:
    (output,) = Recipe.from_options("resized", sizes=["1600"]).outputs
    assert output.name == "1600"
    assert output.template.text == "{stem}{ext}"
    assert output.operations == (
        Resize(SizeSpec(1600, 1600), "inside", False, "center", WHITE, "lanczos"),
    )


def test_every_word_arrives_where_it_belongs() -> None:
    recipe = Recipe.from_options(
        "gallery",
        sizes=["300x200"],
        fit="pad",
        enlarge=True,
        gravity="northwest",
        background="#10203040",
        kernel="mitchell",
        format="WebP",
        quality=71,
        filters=["grayscale", "sharpen:amount=0.5"],
        metadata="no-gps",
        profile="srgb",
        template="{dir}/{seq:04d}{ext}",
    )
    background = (0x10, 0x20, 0x30, 0x40)
    resize = Resize(SizeSpec(300, 200), "pad", True, "northwest", background, "mitchell")
    assert recipe == Recipe(
        "gallery",
        (
            Output(
                "300x200",
                Template("{dir}/{seq:04d}{ext}"),
                (resize, ConvertProfile(), Grayscale(), Sharpen(0.5)),
                Encoding("webp", 71, "no-gps", background),
            ),
        ),
    )


def test_several_sizes_give_one_output_each_that_share_all_other_words() -> None:
    recipe = Recipe.from_options(
        sizes=["web=1600", "50%", " x200", "thumb=120x80", "a=b=2MP"], filters=["sharpen"]
    )
    assert [output.name for output in recipe.outputs] == ["web", "50%", "x200", "thumb", "a=b"]
    specs = [
        SizeSpec(1600, 1600),
        SizeSpec(percent=50),
        SizeSpec(height=200),
        SizeSpec(120, 80),
        SizeSpec(megapixels=2),
    ]
    for output, spec in zip(recipe.outputs, specs, strict=True):
        assert output.operations == (Resize(spec), Sharpen(0.8))
        assert output.template == Template("{stem}-{output}{ext}")
        assert output.encoding == recipe.outputs[0].encoding


@pytest.mark.parametrize("sizes", [["1600"], ["web=1600", "400"]])
def test_a_given_name_template_is_used_for_one_size_and_for_several(sizes: list[str]) -> None:
    recipe = Recipe.from_options(sizes=sizes, template="{output}/{stem}{ext}")
    assert {output.template.text for output in recipe.outputs} == {"{output}/{stem}{ext}"}


@pytest.mark.parametrize("word", ["keep", "KEEP"])
def test_keep_is_no_format_of_its_own(word: str) -> None:
    (output,) = Recipe.from_options(format=word, quality=90).outputs
    assert output.encoding == Encoding(format=None, quality=90)


WRITTEN_FORMATS: Final = [BY_NAME[name] for name in formats.WRITABLE]


@pytest.mark.parametrize("row", WRITTEN_FORMATS, ids=lambda row: row.name)
def test_a_quality_is_taken_where_the_format_has_one_and_refused_elsewhere(row: Format) -> None:
    if row.quality is None:
        with pytest.raises(UsageError, match=f"{row.label} has (no|a) quality"):
            Recipe.from_options(format=row.name, quality=80)
    else:
        for quality in (1, 100):
            recipe = Recipe.from_options(format=row.name, quality=quality)
            assert recipe.outputs[0].encoding == Encoding(row.name, quality)
    assert Recipe.from_options(format=row.name).outputs[0].encoding == Encoding(row.name)


def test_formats_with_a_quality_are_those_that_lose_something() -> None:
    assert {row.name for row in FORMATS if row.quality} == {
        *("jpeg", "webp", "avif", "heif", "jpeg2000")
    }


SETTINGS: Final[dict[str, Any]] = {
    "quality": 70,
    "lossless": True,
    "subsampling": "4:2:2",
    "progressive": True,
    "effort": 3,
    "compression": "lzw",
    "dither": False,
    "max_bytes": 50_000,
    "dpi": 300,
}


def test_every_setting_of_an_encoder_is_tried_here() -> None:
    assert set(SETTINGS) == set(get_args(formats.Setting))


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("row", WRITTEN_FORMATS, ids=lambda row: row.name)
def test_a_setting_is_refused_for_a_format_that_does_not_have_it(row: Format, setting: str) -> None:
    words = {"format": row.name, setting: SETTINGS[setting]}
    if (row.name, setting) == ("tiff", "quality"):
        words["compression"] = "jpeg"
    if setting not in row.settings:
        word = setting.replace("_", "-")
        with pytest.raises(UsageError, match=f"{row.label} has no {word} setting: omit --"):
            Recipe.from_options(**words)
        return
    (output,) = Recipe.from_options(**words).outputs
    assert getattr(output.encoding, setting) == SETTINGS[setting]


@pytest.mark.parametrize("setting", SETTINGS)
def test_where_formats_are_kept_a_setting_counts_for_those_that_have_it(setting: str) -> None:
    (output,) = Recipe.from_options(**{setting: SETTINGS[setting]}).outputs
    assert output.encoding == Encoding(**{setting: SETTINGS[setting]})


def test_a_format_whose_package_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "installed", lambda extra: False)
    with pytest.raises(UsageError, match=r"writing heif needs: pip install 'imgbatch\[heif\]'"):
        Recipe.from_options(format="heic")


@pytest.mark.parametrize(
    ("word", "colour"),
    [
        ("white", WHITE),
        ("black", (0, 0, 0, 255)),
        ("#fff", WHITE),
        ("#1e90ff", (30, 144, 255, 255)),
        ("#1e90ff80", (30, 144, 255, 128)),
        ("dodgerblue", (30, 144, 255, 255)),
        ("rgb(20, 30, 40)", (20, 30, 40, 255)),
        ("transparent", (255, 255, 255, 0)),
        (" Transparent ", (255, 255, 255, 0)),
    ],
)
def test_the_background_is_a_css_colour(word: str, colour: tuple[int, int, int, int]) -> None:
    (output,) = Recipe.from_options(sizes=["10"], background=word).outputs
    assert output.encoding.background == colour
    assert isinstance(output.operations[0], Resize)
    assert output.operations[0].background == colour


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ({"sizes": ["big"]}, ["'big'", "1600x1200", "50%", "2MP"]),
        ({"sizes": ["web="]}, ["''", "1600x1200"]),
        ({"sizes": ["0"]}, ["'0'", "more than 0"]),
        ({"sizes": ["200%"]}, ["200%", "--enlarge"]),
        ({"sizes": ["1600", "1600"]}, ["two sizes", "'1600'", "web=1600"]),
        ({"sizes": ["web=1600", "web=800"]}, ["two sizes", "'web'", "name of its own"]),
        ({"sizes": ["a/b=1600"]}, ["'a/b'", "file name"]),
        ({"sizes": [".."]}, ["'..'", "1600x1200"]),
        ({"sizes": ["..=1600"]}, ["'..'", "file name"]),
        ({"sizes": ["{stem}=1600"]}, ["'{stem}'", "file name"]),
        ({"sizes": ["10"], "fit": "fill"}, ["'fill'", "cover", "pad", "exact"]),
        ({"sizes": ["10"], "fit": "contain"}, ["'contain'", "inside"]),
        ({"sizes": ["10"], "fit": "crop"}, ["'crop'", "cover"]),
        ({"sizes": ["10"], "fit": "tight"}, ["unknown fit 'tight'", "inside, outside, cover"]),
        ({"sizes": ["10"], "gravity": "up"}, ["unknown gravity 'up'", "center", "southeast"]),
        ({"sizes": ["10"], "kernel": "sinc"}, ["unknown kernel 'sinc'", "lanczos", "nearest"]),
        ({"background": "bleu"}, ["unknown colour 'bleu'", "#1e90ff"]),
        ({"format": "jpgg"}, ["unknown format 'jpgg'", "did you mean jpeg?"]),
        ({"format": "docx"}, ["unknown format 'docx'", "keep", "jpeg", "tga"]),
        ({"quality": 0}, ["quality 0", "1 to 100"]),
        ({"quality": 101}, ["quality 101", "1 to 100"]),
        ({"quality": -5, "format": "png"}, ["quality -5", "1 to 100"]),
        ({"quality": 80, "format": "png"}, ["PNG has no quality", "--quality"]),
        ({"quality": 80, "format": "tiff"}, ["TIFF has a quality", "--compression jpeg"]),
        ({"quality": 80, "lossless": True}, ["--lossless and --quality exclude each other"]),
        ({"effort": 11}, ["effort 11", "1 to 10"]),
        ({"subsampling": "420"}, ["unknown subsampling '420'", "4:2:0"]),
        ({"compression": "zip"}, ["unknown compression 'zip'", "deflate"]),
        ({"intent": "best"}, ["unknown intent 'best'", "perceptual", "relative"]),
        ({"metadata": "some"}, ["metadata policy 'some'", "no-gps", "copyright", "none"]),
        ({"filters": ["sharpn"]}, ["'sharpn'", "did you mean sharpen?"]),
        ({"filters": ["grayscale", "sharpen:amount=99"]}, ["sharpen: amount", "99", "0 to 8"]),
        ({"template": "{stm}{ext}"}, ["{stm}", "did you mean {stem}?"]),
        ({"profile": "sgrb"}, ["unknown profile 'sgrb'", "srgb", "ICC file", "No such file"]),
    ],
)
def test_a_word_that_makes_no_sense_is_refused_with_help(
    words: dict[str, Any], parts: list[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        Recipe.from_options(**words)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("character", list('/\\{}"<>|*?:'))
def test_a_size_name_with_a_character_that_no_file_name_may_have_is_refused(character: str) -> None:
    with pytest.raises(UsageError, match="file name"):
        Recipe.from_options(sizes=[f"a{character}b=1600"])


def test_an_icc_file_becomes_a_conversion_to_it(tmp_path: Path) -> None:
    icc = bytes(16) + b"CMYK" + bytes(16) + b"acsp" + bytes(100)
    path = tmp_path / "press.icc"
    path.write_bytes(icc)
    (output,) = Recipe.from_options(sizes=["10"], profile=str(path), filters=["invert"]).outputs
    assert output.operations[1:] == (ConvertProfile(icc), Invert())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no profile at all",
        bytes(16) + b"RGB " + bytes(116),
        bytes(16) + b"Lab " + bytes(16) + b"acsp",
    ],
    ids=["empty", "text", "without the signature", "of a Lab space"],
)
def test_a_file_that_is_no_usable_profile_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "profile.icc"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"profile\.icc: this is no ICC profile"):
        Recipe.from_options(profile=str(path))


def test_a_folder_given_as_profile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown profile"):
        Recipe.from_options(profile=str(tmp_path))


# What it needs and gives


@pytest.mark.parametrize(
    ("words", "need"),
    [
        ({"sizes": ["1600"]}, (1600, 1067)),
        ({"sizes": ["1600", "400"]}, (1600, 1067)),
        ({"sizes": ["400", "x2000"]}, (3000, 2000)),
        # One needs more of the width, the other more of the height.
        ({"sizes": ["600x100", "100x600"], "fit": "exact"}, (600, 600)),
        ({"sizes": ["400x400"], "fit": "cover"}, (600, 400)),
        ({"sizes": ["9000"]}, (6000, 4000)),
        ({"sizes": ["1600"], "filters": ["sharpen"], "profile": "srgb"}, (1600, 1067)),
        ({}, (6000, 4000)),
        ({"filters": ["sharpen"]}, (6000, 4000)),
    ],
)
def test_a_recipe_needs_the_most_that_any_of_its_outputs_needs(
    words: dict[str, Any], need: Size
) -> None:
    assert Recipe.from_options(**words).needed_size((6000, 4000)) == need


def test_a_size_that_nobody_knows_yet_is_no_part_of_a_name() -> None:
    @dataclasses.dataclass(frozen=True, slots=True)
    class Guess(Sharpen):
        name = "guess"
        sizes_known = False

    output = Output("web", Template("{stem}-{width}{ext}"))
    Recipe("x", (output,))
    for prepare, steps in (((Guess(),), ()), ((), (Guess(),))):
        with pytest.raises(UsageError, match=r"\{width\} .* of web: what guess leaves"):
            Recipe("x", (dataclasses.replace(output, operations=steps),), prepare)
    Recipe("x", (Output("web", Template("{stem}"), (Guess(),)),))


def test_what_is_done_once_before_all_outputs_needs_the_whole_picture() -> None:
    plain = Recipe.from_options(sizes=["1600"])
    recipe = dataclasses.replace(plain, prepare=(Blur(2.0),))
    assert recipe.needed_size((6000, 4000)) == (6000, 4000)


def test_an_output_whose_first_operation_is_no_resize_needs_the_whole_picture() -> None:
    resize = Resize(SizeSpec(100, 100))
    output = Output("late", Template("{stem}"), (Sharpen(), resize))
    assert output.needed_size((6000, 4000)) == (6000, 4000)


def test_an_output_tells_its_size_through_all_its_operations() -> None:
    operations = (Resize(SizeSpec(1000, 1000)), Sharpen(), Resize(SizeSpec(percent=50)))
    assert Output("x", Template("{stem}"), operations).output_size((6000, 4000)) == (500, 334)
    assert Output("x", Template("{stem}")).output_size((6000, 4000)) == (6000, 4000)


# The digest


def _rich_recipe() -> Recipe:
    """With a value in every kind of field."""
    encoding = Encoding("jpeg", 84, "no-gps", (1, 2, 3, 4), artist="Ada")
    resize = Resize(SizeSpec(1600, 1200), "cover", True, "north", (9, 8, 7, 6), "bicubic")
    share = Resize(SizeSpec(percent=12.5))
    area = Resize(SizeSpec(megapixels=2.0))
    return Recipe(
        "rich",
        (
            Output("web", Template("{stem}-{output}{ext}"), (resize, Sharpen(0.5)), encoding),
            Output("small", Template("s/{stem}{ext}"), (share, AutoContrast(1.0, True))),
            Output("plain", Template("p/{stem}{ext}"), (area, ConvertProfile(b"icc"))),
        ),
        (Blur(3.0), Grayscale()),
    )


def _variations(value: Any) -> Iterator[tuple[str, Any]]:
    """The same value with one thing in it changed, for every thing in it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            if not field.compare:
                continue
            for place, changed in _variations(getattr(value, field.name)):
                name = f"{type(value).__name__}.{field.name}{place}"
                yield name, dataclasses.replace(value, **{field.name: changed})
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            for place, changed in _variations(item):
                yield f"[{index}].{place}", (*value[:index], changed, *value[index + 1 :])
        if value and not isinstance(value[0], int):
            yield " shortened", value[:-1]
            yield " doubled", (*value, value[-1])
        if value[::-1] != value:
            yield " turned round", value[::-1]
    elif isinstance(value, bool):
        yield "", not value
    elif value is None:
        yield "", 7
    elif isinstance(value, bytes):
        yield "", bytes(len(value))
    else:
        yield "", value + {int: 1, float: 0.25, str: "x"}[type(value)]


def test_the_digest_changes_with_every_field() -> None:
    recipe = _rich_recipe()
    variations = dict(_variations(recipe))
    assert len(variations) > 60
    digests = {name: changed.digest for name, changed in variations.items()}
    assert recipe.digest not in digests.values()
    assert len(set(digests.values())) == len(digests)


def test_the_digest_tells_operations_with_the_same_fields_apart() -> None:
    digests = {
        Recipe("x", (Output("x", Template("{stem}"), (operation,)),)).digest
        for operation in (Invert(0.5), Sepia(0.5), Sharpen(0.5), Blur(0.5))
    }
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"sizes": ["1600"]}, {"sizes": ["1600"], "fit": "inside", "kernel": "lanczos"}),
        ({"format": "jpg"}, {"format": "JPEG"}),
        ({"background": "white"}, {"background": "#fff"}),
        ({"filters": ["sharpen"]}, {"filters": ["Sharpen:amount=0.80"]}),
        ({"sizes": ["web=1600"]}, {"sizes": ["web=1600x1600"]}),
    ],
)
def test_the_same_thing_said_in_other_words_has_the_same_digest(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert Recipe.from_options(**one) == Recipe.from_options(**other)
    assert Recipe.from_options(**one).digest == Recipe.from_options(**other).digest


@pytest.mark.parametrize(
    ("words", "digest"),
    [
        ({}, "6682ca2e1c365153"),
        (
            {
                "name": "r",
                "sizes": ["web=1600", "50%"],
                "fit": "pad",
                "format": "webp",
                "filters": ["sharpen", "sepia"],
                "quality": 70,
                "background": "navy",
            },
            "461b21dbaa989066",
        ),
        (
            {
                "metadata": "no-gps",
                "artist": "Ada",
                "copyright": "(c) Ada",
                "max_bytes": "20KB",
                "dither": False,
                "profile": "srgb",
                "raw_preview": True,
            },
            "266bfc6398822cc2",
        ),
    ],
)
def test_a_digest_is_what_it_was_in_versions_before(words: dict[str, Any], digest: str) -> None:
    """Another one means that every output there is would be made anew."""
    assert Recipe.from_options(**words).digest == digest


def test_the_digest_of_an_output_is_what_it_was_in_versions_before() -> None:
    recipe = Recipe.from_options(format="jpeg", quality=80)
    assert recipe.digest_of(recipe.outputs[0]) == "c9763bef9362d447"


@pytest.mark.slow
def test_the_digest_is_short_and_the_same_in_every_process() -> None:
    words = "'r', sizes=['web=1600', '50%'], fit='pad', filters=['sharpen', 'sepia'], format='webp'"
    program = (
        f"from imgbatch.recipes.recipe import Recipe; print(Recipe.from_options({words}).digest)"
    )
    here = Recipe.from_options(
        "r", sizes=["web=1600", "50%"], fit="pad", filters=["sharpen", "sepia"], format="webp"
    ).digest
    assert len(here) == 16
    assert set(here) <= set("0123456789abcdef")
    for seed in ("0", "1", "4711"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == here


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_recipe_survives_pickling_with_its_digest(protocol: int) -> None:
    recipe = _rich_recipe()
    copy = pickle.loads(pickle.dumps(recipe, protocol))
    assert copy == recipe
    assert copy.digest == recipe.digest


def test_recipes_and_outputs_are_frozen() -> None:
    recipe = _rich_recipe()
    for thing in (recipe, recipe.outputs[0], recipe.outputs[0].template):
        for field in dataclasses.fields(thing):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(thing, field.name, None)


# Plain values

SOURCE: Final = Source(
    "photos", "a/b \udcff.jpg", 1234, 1_700_000_000_123_456_789, "photos", 12, 34
)
WRITTEN: Final = Written("web", "out/a.jpg", 1600, 1067, 300_000, "jpeg", True)
FAILURE: Final = Failure("decode", "truncated", "cut short")
FAILED: Final = Result.failed(SOURCE, FAILURE, 0.5)

VALUES: Final = (
    SOURCE,
    Encoding(
        "webp",
        80,
        "copyright",
        (1, 2, 3, 4),
        "perceptual",
        "4:2:2",
        True,
        True,
        3,
        "lzw",
        False,
        "Ada",
        "(c) Ada",
        500_000,
        True,
        300,
    ),
    Target(
        *("web", "out", "a.jpg"),
        replace=True,
        known=FileState(12, 34, 56, 78),
        any_suffix=True,
        again=True,
        claimed=True,
        unless=1234,
        standing="a.png",
        known_hash=5678,
    ),
    Origin("a", ".jpg", "b", 7, 12, "web", "c"),
    Job(SOURCE, (Target("web", "out", "a.jpg"), Target("thumb", "out", "b.jpg")), 7),
    Limits(1.5, 2, 3),
    Run("word", "out", Limits(), True, "backup", True, True, True, True),
    Notice("depth-reduced", "it was"),
    FAILURE,
    WRITTEN,
    Result(SOURCE, "done", (WRITTEN,), (Notice("enlarged", "b"),), None, "why", 1.5),
    FAILED,
    Summary(2, 9, 1, 2, 3, 1, 4, 5, 6, 7.5, 15, "full", True, [FAILED]),
)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_plain_value_survives_pickling(value: Any, protocol: int) -> None:
    copy = pickle.loads(pickle.dumps(value, protocol))
    assert type(copy) is type(value)
    assert copy == value


def test_every_class_of_the_model_is_pickled_here_with_no_field_left_at_its_default() -> None:
    classes = {
        kind
        for _, kind in inspect.getmembers(model, dataclasses.is_dataclass)
        if kind.__module__ == model.__name__
    }
    assert {type(value) for value in VALUES} == classes
    for kind in classes:
        for field in dataclasses.fields(kind):
            if field.default is dataclasses.MISSING:
                continue
            told = [getattr(value, field.name) for value in VALUES if type(value) is kind]
            assert any(value != field.default for value in told), (kind, field.name)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_plain_values_are_slotted_and_all_but_the_summary_frozen(value: Any) -> None:
    assert not hasattr(value, "__dict__")
    if isinstance(value, Summary):
        return
    assert hash(value) == hash(dataclasses.replace(value))
    for field in dataclasses.fields(value):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field.name, None)


@pytest.mark.parametrize(
    ("root", "relative", "below", "path", "mirrored"),
    [
        ("photos", "a/b.jpg", "", os.path.join("photos", "a", "b.jpg"), "a/b.jpg"),
        ("photos", "a/b.jpg", "x", os.path.join("photos", "a", "b.jpg"), "x/a/b.jpg"),
        ("", "b.jpg", "", "b.jpg", "b.jpg"),
        (".", "b.jpg", "", os.path.join(".", "b.jpg"), "b.jpg"),
    ],
)
def test_a_source_knows_its_path_and_its_place_in_the_output(
    root: str, relative: str, below: str, path: str, mirrored: str
) -> None:
    source = Source(root, relative, 1, 2, below)
    assert (source.path, source.mirrored) == (path, mirrored)


def test_a_summary_counts_results_and_keeps_the_first_failures() -> None:
    summary = Summary(planned=9)
    two = (WRITTEN, dataclasses.replace(WRITTEN, bytes=7))
    summary.add(Result(SOURCE, "done", two, (Notice("enlarged", "b"), Notice("truncated", "d"))))
    summary.add(Result(SOURCE, "skipped", reason="exists"))
    assert summary.exit_code == 0
    failures = [Result.failed(SOURCE, Failure("open", "k", str(n))) for n in range(5)]
    for failure in failures:
        summary.add(failure)
    counts = (summary.done, summary.skipped, summary.failed, summary.warnings, summary.unfinished)
    assert counts == (1, 1, 5, 2, 2)
    assert summary.copied == 1
    assert (summary.bytes_in, summary.bytes_out) == (1234, 300_007)
    assert summary.failures == failures[:3]
    assert summary.exit_code == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, 0),
        ({"failed": 1}, 1),
        ({"report_lost": True}, 1),
        ({"signal": 2}, 130),
        ({"signal": 15, "failed": 3}, 143),
    ],
)
def test_the_exit_code_says_what_a_run_came_to(changes: dict[str, Any], code: int) -> None:
    assert Summary(**changes).exit_code == code


# Formats


def _saved(mode: str, pillow: str, **options: Any) -> bytes:
    file = BytesIO()
    Image.new(mode, (24, 16), 1).save(file, pillow, **options)
    return file.getvalue()


def _animated(pillow: str) -> bytes:
    frames = [Image.new("RGB", (24, 16), colour) for colour in ("red", "blue")]
    return _saved("RGB", pillow, save_all=True, append_images=frames)


_MADE: Final[dict[str, list[tuple[str, dict[str, Any]]]]] = {
    "jpeg": [("RGB", {}), ("L", {"progressive": True}), ("CMYK", {}), ("RGB", {"exif": b"x" * 9})],
    "png": [("RGB", {}), ("P", {}), ("I;16", {}), ("1", {})],
    "webp": [("RGB", {}), ("RGBA", {"lossless": True})],
    "avif": [("RGB", {}), ("RGBA", {})],
    "tiff": [("RGB", {}), ("I;16B", {}), ("RGB", {"big_tiff": True}), ("CMYK", {})],
    "gif": [("P", {}), ("P", {"comment": b"so it is 89a"})],
    "bmp": [("RGB", {}), ("1", {})],
    "jpeg2000": [("RGB", {}), ("RGB", {"no_jp2": True})],
    "ppm": [("1", {}), ("L", {}), ("RGB", {}), ("F", {})],
    "qoi": [("RGB", {}), ("RGBA", {})],
    "ico": [("RGBA", {"sizes": [(16, 16)]})],
    "tga": [("RGB", {}), ("L", {"compression": "tga_rle"})],
    "heif": [("RGB", {}), ("RGBA", {})],
}

BY_CONTENT: Final = [row for row in FORMATS if row.signatures]


def _made(row: Format) -> list[bytes]:
    formats.load_plugin(row)
    if not formats.available(row):
        pytest.skip(f"Pillow was built without {row.label}")
    return [_saved(mode, row.pillow, **options) for mode, options in _MADE[row.name]]


@pytest.mark.parametrize("suffix", ["", ".jpg", ".png", ".tga", ".txt"])
@pytest.mark.parametrize("row", BY_CONTENT, ids=lambda row: row.name)
def test_a_file_is_recognised_by_its_content_whatever_it_is_called(
    row: Format, suffix: str
) -> None:
    for data in _made(row):
        assert formats.recognise(data[: formats.HEAD_BYTES], suffix) is row


@pytest.mark.parametrize("name", ["png", "webp", "gif", "tiff", "avif"])
def test_an_animation_is_recognised_as_well(name: str) -> None:
    row = BY_NAME[name]
    formats.load_plugin(row)
    if not formats.available(row):
        pytest.skip(f"Pillow was built without {row.label}")
    assert formats.recognise(_animated(row.pillow)[: formats.HEAD_BYTES], "") is row


def test_a_jpeg_with_a_second_picture_is_a_jpeg() -> None:
    formats.load_plugin(BY_NAME["jpeg"])
    assert formats.recognise(_animated("MPO")[: formats.HEAD_BYTES], ".mpo") is BY_NAME["jpeg"]


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"P1\n2 2\n0 1 1 0\n", "ppm"),
        (b"P2\n2 2\n255\n", "ppm"),
        (b"P3\n2 2\n255\n", "ppm"),
        (b"MM\0*\0\0\0\x08", "tiff"),
        (b"MM\0+\0\x08\0\0", "tiff"),
        (b"GIF87a\1\0\1\0", "gif"),
    ],
)
def test_what_pillow_does_not_write_is_recognised_too(head: bytes, name: str) -> None:
    assert formats.recognise(head, "") is BY_NAME[name]


def test_every_format_is_made_here() -> None:
    # A camera's raw files have tests of their own.
    assert set(_MADE) == set(formats.WRITABLE)


@pytest.mark.parametrize("suffix", [".tga", ".icb", ".vda", ".vst"])
def test_a_targa_file_which_has_no_signature_goes_by_its_suffix(suffix: str) -> None:
    for data in _made(BY_NAME["tga"]):
        assert formats.recognise(data[: formats.HEAD_BYTES], suffix) is BY_NAME["tga"]


@pytest.mark.parametrize("suffix", ["", ".jpg", ".txt"])
def test_without_a_signature_or_such_a_suffix_nothing_is_recognised(suffix: str) -> None:
    for data in [*_made(BY_NAME["tga"]), b"", b"just words", b"RIFF\0\1\0\0WAVEfmt "]:
        assert formats.recognise(data[: formats.HEAD_BYTES], suffix) is None


FOREIGN: Final = [
    (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"),
    (b"\xc5\xd0\xd3\xc6\x20\0\0\0", "PostScript"),
    (b"%PDF-1.7\n", "PDF"),
    (b"8BPS\0\1\0\0", "Photoshop"),
    (b"\0\0\0\x18ftypisom\0\0\0\0", "video"),
    (b"\0\0\0\x14ftypqt  \0\0\0\0", "video"),
    (b"\x1aE\xdf\xa3\x01\0\0\0", "Matroska"),
    (b"PK\3\4\x14\0\0\0", "ZIP"),
    (b"<svg xmlns=", "SVG"),
    (b"<?xml version=", "XML"),
    (b"<!DOCTYPE html>", "web page"),
    (b"<html><head>", "web page"),
]


@pytest.mark.parametrize("suffix", [".jpg", ".tga", ""])
@pytest.mark.parametrize(("head", "what"), FOREIGN, ids=lambda value: str(value)[:20])
def test_a_foreign_file_is_never_taken_for_a_picture_and_called_by_its_name(
    head: bytes, what: str, suffix: str
) -> None:
    assert formats.recognise(head, suffix) is None
    assert what in (formats.describe_foreign(head) or "")


def test_what_nobody_knows_is_not_given_a_name() -> None:
    assert formats.describe_foreign(b"") is None
    assert formats.describe_foreign(b"hello") is None


@PROPERTY
@given(head=st.binary(max_size=formats.HEAD_BYTES))
def test_any_bytes_are_recognised_or_not_without_an_error(head: bytes) -> None:
    row = formats.recognise(head, ".jpg")
    assert row is None or row.matches(head)
    # A signature that is not whole is none.
    assert not any(row.matches(head[:1]) for row in FORMATS)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        *((name, name) for name in formats.WRITABLE),
        *((name.upper(), name) for name in formats.WRITABLE),
        *(("jpg", "jpeg"), (".JPG", "jpeg"), (".jpeg", "jpeg"), ("Jpg", "jpeg")),
        *(("tif", "tiff"), (".TIF", "tiff"), ("jp2", "jpeg2000"), ("j2k", "jpeg2000")),
        *(("pgm", "ppm"), (".png", "png")),
    ],
)
def test_a_format_is_found_under_all_its_spellings(word: str, name: str) -> None:
    assert formats.lookup(word) is BY_NAME[name]


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("jpge", ["'jpge'", "did you mean jpeg?"]),
        ("WEPB", ["'WEPB'", "did you mean webp?"]),
        ("tifff", ["did you mean tiff?"]),
        ("avi", ["did you mean avif?"]),
        ("raw", ["unknown format 'raw'", "one of: keep"]),
        ("", ["''", "one of: keep, jpeg, png"]),
        ("document", ["'document'", "one of: keep, jpeg, png"]),
    ],
)
def test_an_unknown_format_is_refused_with_the_nearest_or_all(word: str, parts: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        formats.lookup(word)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("jpeg", ".jpg", ".jpg"),
        ("jpeg", ".JPG", ".JPG"),
        ("jpeg", ".jpeg", ".jpeg"),
        ("jpeg", ".jfif", ".jfif"),
        # What is written is no longer a multi-picture file.
        ("jpeg", ".mpo", ".jpg"),
        ("jpeg", ".png", ".jpg"),
        ("jpeg", "", ".jpg"),
        ("png", ".apng", ".png"),
        ("tiff", ".TIFF", ".TIFF"),
        ("tiff", ".jpg", ".tif"),
        ("ppm", ".pgm", ".pgm"),
        ("ppm", ".pfm", ".ppm"),
        ("jpeg2000", ".j2k", ".j2k"),
        ("webp", ".jpg", ".webp"),
    ],
)
def test_an_output_keeps_its_suffix_only_if_that_fits_the_format(
    name: str, before: str, after: str
) -> None:
    assert BY_NAME[name].suffix_for(before) == after


def test_every_suffix_belongs_to_one_format_and_is_written_in_lower_case() -> None:
    suffixes = [one for row in FORMATS for one in (*row.suffixes, *row.read_suffixes)]
    assert len(set(suffixes)) == len(suffixes)
    assert all(one == one.lower() and one.startswith(".") for one in suffixes)
    assert {one: row.name for one, row in formats.SUFFIXES.items()} == {
        one: row.name for row in FORMATS for one in (*row.suffixes, *row.read_suffixes)
    }


@pytest.mark.parametrize("row", BY_CONTENT, ids=lambda row: row.name)
def test_enough_of_a_file_is_read_to_recognise_it(row: Format) -> None:
    for signature in row.signatures:
        assert max(offset + len(magic) for offset, magic in signature) <= formats.HEAD_BYTES


@pytest.mark.parametrize("row", WRITTEN_FORMATS, ids=lambda row: row.name)
def test_pillow_writes_every_mode_that_the_table_says_and_reads_it_back(row: Format) -> None:
    formats.load_plugin(row)
    if not formats.available(row):
        pytest.skip(f"Pillow was built without {row.label}")
    for mode in row.modes:
        options = {"sizes": [(24, 16)]} if row.name == "ico" else {}
        data = _saved(mode, row.pillow, **options)
        with Image.open(BytesIO(data), formats=(row.pillow,)) as image:
            image.load()
            assert image.size == (24, 16)
    assert row.alpha == ("RGBA" in row.modes)


# Names

VALUES_OF_NAMES: Final[dict[str, object]] = {
    "stem": "Ørsted 1",
    "ext": ".jpg",
    "dir": "2024/may",
    "parent": "may",
    "output": "web",
    "width": 1600,
    "height": 1067,
    "seq": 7,
    "date": datetime(2024, 5, 31, 18, 4, 9, tzinfo=UTC),
    "camera": "X100V",
}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("{stem}{ext}", "Ørsted 1.jpg"),
        ("{stem}-{output}{ext}", "Ørsted 1-web.jpg"),
        ("{dir}/{stem}{ext}", "2024/may/Ørsted 1.jpg"),
        ("{output}/{dir}/{stem}{ext}", "web/2024/may/Ørsted 1.jpg"),
        ("{seq:04d}{ext}", "0007.jpg"),
        ("{width}x{height}{ext}", "1600x1067.jpg"),
        ("{width:06}{ext}", "001600.jpg"),
        ("{date}{ext}", "2024-05-31.jpg"),
        ("{date:%Y%m%d-%H%M%S}{ext}", "20240531-180409.jpg"),
        ("{date:%Y/%m}/{stem}{ext}", "2024/05/Ørsted 1.jpg"),
        ("{camera}_{stem:>10}{ext}", "X100V_  Ørsted 1.jpg"),
        ("{stem:.3}{ext}", "Ørs.jpg"),
        ("{parent}-{seq}{ext}", "may-7.jpg"),
        ("{stem!u}_{output!u}{ext!l}", "ØRSTED 1_WEB.jpg"),
        ("{camera!l:.2}{date!u:%b}{ext}", "x1MAY.jpg"),
        ("{{{stem}}}{ext}", "{Ørsted 1}.jpg"),
        ("always-the-same.png", "always-the-same.png"),
    ],
)
def test_a_template_is_filled_in(text: str, name: str) -> None:
    assert Template.parse(text).render(VALUES_OF_NAMES) == name


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_can_be_used(field: str) -> None:
    template = Template.parse(f"a{{{field}}}")
    assert template.fields == {field}
    assert template.needs_header == (field in ("width", "height", "date", "camera"))
    assert template.render(VALUES_OF_NAMES).startswith("a")
    assert set(VALUES_OF_NAMES) == set(FIELDS)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("{stm}{ext}", ["unknown field {stm}", "did you mean {stem}?"]),
        ("{stem}{extt}", ["unknown field {extt}", "did you mean {ext}?"]),
        ("{Width}{ext}", ["unknown field {Width}", "did you mean {width}?"]),
        ("{iso}{ext}", ["unknown field {iso}", "stem, ext, dir", "camera"]),
        ("{}{ext}", ["unknown field {}", "stem, ext"]),
        ("{0}{ext}", ["unknown field {0}"]),
        ("{stem.__class__}", ["unknown field {stem.__class__}"]),
        ("{stem[0]}", ["unknown field {stem[0]}", "did you mean {stem}?"]),
        ("{stem", ["cannot read the name template '{stem'"]),
        ("stem}", ["cannot read the name template 'stem}'"]),
        ("{stem!z}", ["cannot read the name template", "found !z, expected !l", "!u"]),
        ("{stem!r}", ["found !r, expected !l"]),
        ("{stem!lower}", ["cannot read the name template"]),
        ("{stem:1000}", ["cannot read the name template", "999 characters"]),
        ("a\0b", ["NUL"]),
        ("{stem:d}", ["cannot read the name template"]),
        ("{seq:%Y}", ["cannot read the name template"]),
        ("{width:.2}", ["cannot read the name template"]),
        ("{seq:{width}}", ["cannot read the name template", "a field inside another"]),
        ("{seq:0{nothing}}", ["cannot read the name template", "a field inside another"]),
        ("", ["''", "ends in a folder"]),
        ("{dir}/", ["'{dir}/'", "ends in a folder"]),
        ("web\\", ["ends in a folder"]),
    ],
)
def test_a_bad_template_is_refused_with_a_reason(text: str, parts: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        Template.parse(text)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        *("/tmp/{stem}{ext}", "../{stem}{ext}", "{dir}/../{stem}{ext}", "a/../../b", "..\\{stem}"),
        *("..", "{stem}/..", "{date:../..}/{stem}", "{date:%Y/../..}/{stem}", "{date:/etc}/{stem}"),
    ],
)
def test_a_template_that_leaves_the_output_folder_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="leaves the output folder"):
        Template.parse(text)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("a/b", "a_b"),
        ("a\\b", "a_b"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("..", "__"),
        ("line\nbreak\0\t", "line_break__"),
        ("a:b", "a_b"),
        ('<a>"b"|c?*', "_a__b__c__"),
        ("a. .", "a___"),
        (". a", ". a"),
        ("CON", "_CON"),
        ("aux.1", "_aux.1"),
        ("Lpt9", "_Lpt9"),
        ("COM¹", "_COM¹"),
        ("console", "console"),
        ("\x7f\x9b", "__"),
        ("a..b", "a..b"),
        ("été", "été"),
    ],
)
@pytest.mark.parametrize("field", ["camera", "output"])
def test_a_value_cannot_add_a_folder_or_leave_one(field: str, value: str, name: str) -> None:
    template = Template.parse(f"{{{field}}}/{{seq}}")
    assert template.render({**VALUES_OF_NAMES, field: value}) == f"{name}/7"


@pytest.mark.slow
@PROPERTY
@given(value=st.text())
def test_whatever_a_camera_calls_itself_the_name_stays_in_its_folder(value: str) -> None:
    name = Template.parse("{camera}/x{camera}").render({"camera": value})
    parts = name.split("/")
    assert len(parts) == 2
    assert ".." not in parts
    assert not set(name) & set('<>:"\\|?*\0')
    assert not any(part.endswith((".", " ")) for part in parts)


@pytest.mark.parametrize(
    ("text", "screen"),
    [
        ("photos/Ørsted 1.jpg", "photos/Ørsted 1.jpg"),
        ("日本 🎞.jpg", "日本 🎞.jpg"),
        ("a\nb", r"a\nb"),
        ("a\tb\rc", r"a\tb\rc"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\x9b31m", r"\x9b31m"),
        # Text after this sign would be shown from right to left.
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        ("a\u2028b", r"a\u2028b"),
        # A byte that is not UTF-8 stays itself: the stream writes it out.
        ("a\udcff\nb", "a\udcff\\nb"),
        ("", ""),
    ],
)
def test_control_characters_are_written_out_on_the_screen(text: str, screen: str) -> None:
    assert shown(text) == screen


@PROPERTY
@given(text=st.text())
def test_what_is_shown_is_always_one_line_without_control_characters(text: str) -> None:
    line = shown(text)
    assert len(line.splitlines()) <= 1
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in line)


def test_operations_of_a_recipe_are_those_that_have_a_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Files of examples are seen from there.
    monkeypatch.chdir(ROOT)
    words = [kind.example or name for name, kind in names().items()]
    recipe = Recipe.from_options(filters=words)
    assert [operation.name for operation in recipe.outputs[0].operations] == list(names())
