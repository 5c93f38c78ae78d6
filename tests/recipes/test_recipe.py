"""Recipes from options, the plain values they are made of, formats and names."""

from __future__ import annotations

import dataclasses
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from msgspec import Struct, structs
from toolkit.cases import together

from imgbatch.errors import UsageError
from imgbatch.imaging import formats
from imgbatch.imaging.formats import BY_NAME, FORMATS, Format
from imgbatch.model import (
    Encoding,
    Size,
)
from imgbatch.naming import Template
from imgbatch.operations.colour import Grayscale, Sepia
from imgbatch.operations.detail import Blur, Sharpen
from imgbatch.operations.geometry import Resize, SizeSpec
from imgbatch.operations.profile import ConvertProfile
from imgbatch.operations.tone import AutoContrast, Invert
from imgbatch.recipes.recipe import Output, Recipe

WRITTEN_FORMATS: Final = [BY_NAME[name] for name in formats.WRITABLE]
WHITE: Final = (255, 255, 255, 255)


# From words


def test_recipe_without_options_changes_nothing() -> None:
    recipe = Recipe.from_options()
    assert recipe.name == "resized"
    assert recipe.prepare == ()
    (output,) = recipe.outputs
    assert output.operations == ()
    assert output.template == Template("{stem}{ext}")
    assert output.encoding == Encoding(None, None, "all", WHITE)


def test_single_size_keeps_the_plain_name() -> None:
    (output,) = Recipe.from_options("resized", sizes=["1600"]).outputs
    assert output.name == "1600"
    assert output.template.text == "{stem}{ext}"
    assert output.operations == (
        Resize(SizeSpec(1600, 1600), "inside", False, "center", WHITE, "lanczos"),
    )


def test_every_option_reaches_its_field() -> None:
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


def test_several_sizes_give_one_output_each_with_shared_options() -> None:
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
def test_given_name_template_is_used_for_one_size_and_for_several(sizes: list[str]) -> None:
    recipe = Recipe.from_options(sizes=sizes, template="{output}/{stem}{ext}")
    assert {output.template.text for output in recipe.outputs} == {"{output}/{stem}{ext}"}


@pytest.mark.parametrize("word", ["keep", "KEEP"])
def test_keep_is_not_a_format_of_its_own(word: str) -> None:
    (output,) = Recipe.from_options(format=word, quality=90).outputs
    assert output.encoding == Encoding(format=None, quality=90)


@pytest.mark.parametrize("row", WRITTEN_FORMATS, ids=lambda row: row.name)
def test_quality_is_accepted_only_for_formats_that_have_one(row: Format) -> None:
    if row.quality is None:
        with pytest.raises(UsageError, match=f"{row.label} has (no|a) quality"):
            Recipe.from_options(format=row.name, quality=80)
    else:
        for quality in (1, 100):
            recipe = Recipe.from_options(format=row.name, quality=quality)
            assert recipe.outputs[0].encoding == Encoding(row.name, quality)
    assert Recipe.from_options(format=row.name).outputs[0].encoding == Encoding(row.name)


def test_formats_with_a_quality_are_the_lossy_ones() -> None:
    assert {row.name for row in FORMATS if row.quality} == {
        *("jpeg", "webp", "avif", "heif", "jxl", "jpeg2000")
    }


SETTINGS: Final[dict[str, Any]] = {
    "quality": 70,
    "lossless": True,
    "subsampling": "4:2:2",
    "progressive": True,
    "effort": 3,
    "compression": "lzw",
    "colours": 16,
    "dither": False,
    "max_bytes": 50_000,
    "dpi": 300,
}


def test_every_encoder_setting_is_tested_here() -> None:
    assert set(SETTINGS) == set(get_args(formats.Setting))


@together("setting", SETTINGS)
@pytest.mark.parametrize("row", WRITTEN_FORMATS, ids=lambda row: row.name)
def test_setting_is_refused_for_a_format_without_it(row: Format, setting: str) -> None:
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
def test_with_kept_formats_a_setting_applies_to_those_that_have_it(setting: str) -> None:
    (output,) = Recipe.from_options(**{setting: SETTINGS[setting]}).outputs
    assert output.encoding == Encoding(**{setting: SETTINGS[setting]})


def test_format_whose_package_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_background_is_a_css_colour(word: str, colour: tuple[int, int, int, int]) -> None:
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
def test_invalid_option_is_refused_with_help(words: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        Recipe.from_options(**words)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("character", list('/\\{}"<>|*?:'))
def test_size_name_with_an_invalid_file_name_character_is_refused(character: str) -> None:
    with pytest.raises(UsageError, match="file name"):
        Recipe.from_options(sizes=[f"a{character}b=1600"])


def test_icc_file_becomes_a_conversion_to_it(tmp_path: Path) -> None:
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
def test_unusable_profile_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "profile.icc"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"profile\.icc: not an ICC profile"):
        Recipe.from_options(profile=str(path))


def test_folder_given_as_profile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown profile"):
        Recipe.from_options(profile=str(tmp_path))


# What it needs and produces


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
def test_recipe_needs_the_most_of_any_output(words: dict[str, Any], need: Size) -> None:
    assert Recipe.from_options(**words).needed_size((6000, 4000)) == need


def test_unknown_size_is_refused_in_a_name() -> None:
    @dataclasses.dataclass(frozen=True, slots=True)
    class Guess(Sharpen):
        name = "guess"
        sizes_known = False

    output = Output("web", Template("{stem}-{width}{ext}"))
    Recipe("x", (output,))
    for prepare, steps in (((Guess(),), ()), ((), (Guess(),))):
        with pytest.raises(UsageError, match=r"\{width\} .* of web: the size after guess"):
            Recipe("x", (dataclasses.replace(output, operations=steps),), prepare)
    Recipe("x", (Output("web", Template("{stem}"), (Guess(),)),))


def test_preparation_needs_the_whole_picture() -> None:
    plain = Recipe.from_options(sizes=["1600"])
    recipe = dataclasses.replace(plain, prepare=(Blur(2.0),))
    assert recipe.needed_size((6000, 4000)) == (6000, 4000)


def test_output_that_does_not_start_with_a_resize_needs_the_whole_picture() -> None:
    resize = Resize(SizeSpec(100, 100))
    output = Output("late", Template("{stem}"), (Sharpen(), resize))
    assert output.needed_size((6000, 4000)) == (6000, 4000)


def test_output_size_follows_from_all_its_operations() -> None:
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
    """The same value with one thing changed, for every thing in it."""
    if isinstance(value, Struct):
        for name in value.__struct_fields__:
            for place, changed in _variations(getattr(value, name)):
                where = f"{type(value).__name__}.{name}{place}"
                yield where, structs.replace(value, **{name: changed})
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
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


def test_digest_changes_with_every_field() -> None:
    recipe = _rich_recipe()
    variations = dict(_variations(recipe))
    assert len(variations) > 60
    digests = {name: changed.digest for name, changed in variations.items()}
    assert recipe.digest not in digests.values()
    assert len(set(digests.values())) == len(digests)


def test_digest_distinguishes_operations_with_the_same_fields() -> None:
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
def test_equivalent_options_have_the_same_digest(
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
def test_digest_matches_earlier_versions(words: dict[str, Any], digest: str) -> None:
    """A different one would remake every existing output."""
    assert Recipe.from_options(**words).digest == digest


def test_output_digest_matches_earlier_versions() -> None:
    recipe = Recipe.from_options(format="jpeg", quality=80)
    assert recipe.digest_of(recipe.outputs[0]) == "c9763bef9362d447"


@pytest.mark.slow
def test_digest_is_short_and_the_same_in_every_process() -> None:
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
def test_recipe_survives_pickling_with_its_digest(protocol: int) -> None:
    recipe = _rich_recipe()
    copy = pickle.loads(pickle.dumps(recipe, protocol))
    assert copy == recipe
    assert copy.digest == recipe.digest


def test_recipes_and_outputs_are_frozen() -> None:
    recipe = _rich_recipe()
    template = recipe.outputs[0].template
    for thing in (recipe, recipe.outputs[0]):
        for field in dataclasses.fields(thing):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(thing, field.name, None)
    with pytest.raises(AttributeError, match="immutable"):
        template.text = "{stem}"  # type: ignore[misc]
