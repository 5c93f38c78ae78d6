"""What holds for every registered operation, with the settings from each one's own tests.

A new operation needs `WORDS` in a test module that is named here, with at least one value of its
own for each setting, and in `NEUTRAL` the settings with which it changes nothing (or None).
"""

from __future__ import annotations

import dataclasses
import math
import pickle
import re
import shlex
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from click.testing import CliRunner
from msgspec.structs import replace
from toolkit import ROOT
from toolkit.cases import together
from toolkit.reference import (
    MODES,
    image_of,
    in_colour,
    levels_of_all_kinds,
    picture_of,
    planes_of,
    sixteen_bits,
)

from imgbatch.cli.operations import command
from imgbatch.errors import PictureError, UsageError
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.picture import Picture
from imgbatch.operations import build, names, parameters_of, parse, plain, words_of
from imgbatch.operations.parameters import Number

MODULES: Final = (
    *("test_operations", "test_exposure", "test_white_balance", "test_colour_operations"),
    *(
        "test_detail",
        "test_local",
        "test_denoise",
        "test_overlay",
        "test_finish",
        "test_crop",
        "test_turns",
    ),
)
WORDS: Final[tuple[str, ...]] = tuple(
    dict.fromkeys(
        words for module in MODULES for words in import_module(f"operations.{module}").WORDS
    )
)
NEUTRAL: Final[dict[str, str | None]] = {
    name: words
    for module in MODULES
    for name, words in import_module(f"operations.{module}").NEUTRAL.items()
}
# One of each, and the shortest, for slow tests.
SHORTEST: Final = {
    name: min((w for w in WORDS if w.partition(":")[0] == name), key=len) for name in NEUTRAL
}


def test_every_operation_is_tried_with_a_value_for_every_setting() -> None:
    tried = {
        (words.partition(":")[0], key)
        for words in WORDS
        for key in ("", *re.findall(r"[:,](\w+)=", words))
    }
    declared = {(name, key) for name, kind in names().items() for key in ("", *parameters_of(kind))}
    # A font is a file of the system; test_overlay makes one.
    assert declared - {("text", "font")} <= tried
    assert set(NEUTRAL) == set(names())


@pytest.mark.slow
@together("mode", MODES)
@pytest.mark.parametrize("words", [words for words in NEUTRAL.values() if words])
def test_neutral_settings_change_no_pixel(words: str, mode: str) -> None:
    picture = picture_of(mode)
    after = planes_of(parse(words).apply(picture).image)
    before = planes_of(picture.image)
    if after.shape != before.shape:
        before = np.concatenate([in_colour(before[:, :, :1]), before[:, :, 1:]], axis=2)
    assert np.array_equal(after, before)


@pytest.mark.slow
@together("mode", [*MODES, "CMYK", "I;16"])
@pytest.mark.parametrize("words", WORDS)
def test_given_picture_is_not_changed(words: str, mode: str) -> None:
    picture = sixteen_bits() if mode == "I;16" else picture_of(mode)
    before = (picture.image.tobytes(), picture.image.mode, picture.image.size)
    parse(words).apply(picture)
    assert (picture.image.tobytes(), picture.image.mode, picture.image.size) == before


@pytest.mark.parametrize("words", WORDS)
def test_says_how_it_moves_pixels(words: str) -> None:
    operation, picture = parse(words), picture_of("RGB")
    move = operation.move(picture)
    assert (move.size if move else picture.full_size) == operation.apply(picture).full_size


@pytest.mark.slow
@pytest.mark.parametrize("words", [one for one in WORDS if parse(one).pixelwise])
def test_picture_shrunk_on_load_gets_the_size_derived_from_the_file(words: str) -> None:
    whole = picture_of("RGB")
    operation = parse(words)
    picture = replace(whole, full_size=(329, 241), area=(0.0, 0.0, 82.25, 60.25))
    after = operation.apply(picture)
    assert after.full_size == operation.output_size((329, 241))
    if after.full_size == picture.full_size:
        assert (after.area, after.size) == (picture.area, picture.size)


@pytest.mark.slow
@together("size", [(1, 1), (1, 40), (40, 1), (2, 2)])
@pytest.mark.parametrize("words", WORDS)
def test_tiny_pictures_get_the_announced_size(words: str, size: tuple[int, int]) -> None:
    operation = parse(words)
    for mode in MODES:
        picture = Picture.of(image_of(mode, levels_of_all_kinds(len(mode), *size)))
        try:
            after = operation.apply(picture)
        except PictureError:
            # A crop may lie outside a picture this small.
            assert operation.name == "crop"
            continue
        if operation.sizes_known:
            assert after.upright().size == operation.output_size(size)


@pytest.mark.slow
@pytest.mark.parametrize("words", WORDS)
def test_operations_are_values(words: str) -> None:
    operation = parse(words)
    assert operation == parse(words) == parse(words_of(operation))
    assert hash(operation) == hash(parse(words))
    assert pickle.loads(pickle.dumps(operation)) == operation
    table = plain(operation)
    assert build(table.pop("name"), table) == operation
    for field in dataclasses.fields(operation):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(operation, field.name, 1)


@pytest.mark.slow
@pytest.mark.parametrize("words", WORDS)
def test_needed_pixels_are_sufficient_and_no_more_than_exist(words: str) -> None:
    operation = parse(words)
    full = (640, 480)
    made = operation.output_size(full)
    assert operation.needed_size(full, made) == full
    least = operation.needed_size(full, (max(1, made[0] // 10), max(1, made[1] // 10)))
    assert all(1 <= some <= whole for some, whole in zip(least, full, strict=True))
    if operation.pixelwise:
        assert max(least) < 200


@pytest.mark.parametrize("name", NEUTRAL)
def test_bounds_of_every_range_are_allowed_and_values_beyond_are_not(name: str) -> None:
    for key, declared in parameters_of(names()[name]).items():
        kind = declared.kind
        if not isinstance(kind, Number):
            continue
        for end, step in ((kind.low, -1), (kind.high, 1)):
            assert declared.read(key, f"{end:.12g}") == end
            with pytest.raises(UsageError, match=f"here: found .*{end + step:.12g}"):
                declared.read("here", f"{end + step:.12g}")


@pytest.mark.parametrize("name", NEUTRAL)
def test_settings_are_also_checked_when_constructed_in_python(name: str) -> None:
    kind = names()[name]
    for key, declared in parameters_of(kind).items():
        for wrong in (math.nan, [1], *([] if declared.default is None else [None])):
            with pytest.raises(UsageError, match=f"{name}: {key}"):
                kind(**{key: wrong})


@pytest.mark.parametrize("name", NEUTRAL)
def test_every_field_is_declared_with_help_and_a_default_in_range(name: str) -> None:
    kind = names()[name]
    declared = parameters_of(kind)
    assert list(declared) == [field.name for field in dataclasses.fields(kind)]
    for key, setting in declared.items():
        assert setting.help
        assert setting.check(key, setting.default) == setting.default
    assert (kind.__doc__ or "").strip()


@pytest.mark.parametrize("name", NEUTRAL)
def test_documented_example_works(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(ROOT)
    kind = names()[name]
    operation = parse(kind.example or name)
    assert type(operation) is kind


def test_list_of_operations_shows_every_setting_with_default_range_and_help() -> None:
    shown = CliRunner().invoke(command)
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    for name, kind in names().items():
        start = next(i for i, line in enumerate(lines) if line.startswith(f"{name}: "))
        settings = parameters_of(kind).items()
        for line, (key, setting) in zip(lines[start + 1 :], settings, strict=False):
            assert line.strip().startswith(f"{key}=")
            assert setting.help in line
            assert setting.expected in line
    assert any("amount=0.8" in line and "from 0 to 8" in line for line in lines)
    assert any("channels=no" in line and "yes or no" in line for line in lines)


def test_single_operation_is_shown_by_name() -> None:
    shown = CliRunner().invoke(command, ["sharpen"])
    assert "Meant for the finished size" in shown.stdout
    assert "invert" not in shown.stdout
    lines = shown.stdout.splitlines()
    assert "  amount=0.8  strength; 0 changes nothing (a number from 0 to 8)" in lines
    assert "  imgbatch filter photos -o finished --filter sharpen:amount=0.8" in lines
    assert '  operations = ["sharpen:amount=0.8"]' in lines
    wrong = CliRunner().invoke(command, ["sharpn"])
    assert "did you mean sharpen?" in str(wrong.exception)


@pytest.mark.parametrize("name", NEUTRAL)
def test_help_of_an_operation_can_be_typed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    # Files that examples name are the user's.
    for file in ("logo-alpha.png", "film.cube"):
        (tmp_path / file).write_bytes((ROOT / "sample_images" / file).read_bytes())
    monkeypatch.chdir(tmp_path)
    lines = CliRunner().invoke(command, [name]).stdout.splitlines()
    for key, setting in parameters_of(names()[name]).items():
        (at,) = (i for i, line in enumerate(lines) if line.startswith(f"  {key}="))
        shown = " ".join(lines[at : at + 2])
        assert setting.help in shown
        assert setting.expected in shown
    typed = shlex.split(lines[lines.index("To type:") + 1])
    assert typed[:-1] == ["imgbatch", "filter", "photos", "-o", "finished", "--filter"]
    recipe = tomllib.loads(lines[lines.index("In a recipe:") + 1])
    assert parse(typed[-1]) == parse(recipe["operations"][0])
    assert parse(typed[-1]).name == name


@pytest.mark.parametrize(("word", "hint"), [("resize", "--size"), ("profile", "--profile")])
def test_options_are_told_from_operations(word: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"unknown operation '{word}': .* {hint}"):
        parse(f"{word}:x=1")


@pytest.mark.slow
@together("channels", [2, 3, 4])
@pytest.mark.parametrize("name", NEUTRAL)
def test_16_bit_colours_are_reduced_with_a_warning_where_necessary(
    name: str, channels: int
) -> None:
    levels = np.random.default_rng(channels).integers(0, 65_536, (9, 11, channels))
    pixels = Deep(levels.astype(np.uint16))
    operation = parse(SHORTEST[name])
    after = operation.apply(Picture(pixels, "png", pixels.size, (0, 0, *pixels.size)))
    if after.mode.endswith(";16"):
        assert after.notices == ()
        return
    assert [notice.kind for notice in after.notices] == ["depth-reduced"]
    # The same as from 8 bits, apart from the rounding that comes first.
    eight = operation.apply(Picture.of(pixels.to_8_bit()))
    assert np.array_equal(np.asarray(after.image), np.asarray(eight.image))
