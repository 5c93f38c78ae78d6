"""Crop, smart-crop and trim: exactly the pixels that were to be kept, in every mode."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from toolkit import pictures
from toolkit.reference import Floats, image_of, levels_of_all_kinds

from imgbatch.cli.commands import group
from imgbatch.errors import PictureError, UsageError
from imgbatch.imaging import attention
from imgbatch.imaging.decode import decode
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.picture import Picture
from imgbatch.model import Size
from imgbatch.operations import build, parse
from imgbatch.operations.crop import Crop
from imgbatch.operations.geometry import GRAVITIES, Resize, SizeSpec
from imgbatch.recipes.recipe import Recipe

WORDS: Final = (
    "crop:geometry=40x30+5+7",
    "crop:geometry=50%x25.5%,gravity=southeast",
    "crop:ratio=16:9,gravity=north",
    "crop:ratio=2:3,follow=yes",
    "smart-crop",
    "smart-crop:ratio=4:5,zoom=1.5,follow=yes",
    "trim",
    "trim:tolerance=3,margin=2.5",
)

NEUTRAL: Final[dict[str, str | None]] = {
    "crop": "crop:geometry=100%x100%",
    "smart-crop": None,
    "trim": None,
}

ALL_MODES: Final = ("L", "LA", "RGB", "RGBA", "CMYK", "I;16", "LA;16", "RGB;16", "RGBA;16")
PROPERTY: Final = settings(max_examples=200, deadline=None, database=None, derandomize=True)
SIDES: Final = st.one_of(st.integers(1, 12), st.integers(1, 9_000))
SIZES: Final = st.tuples(SIDES, SIDES)
ORIENTATIONS: Final = range(1, 9)

Box = tuple[int, int, int, int]


def of_mode(mode: str, levels: NDArray[np.uint8]) -> Picture:
    """A picture of 8-bit levels (height, width, bands), times 257 where there are 16 bits."""
    if mode == "I;16":
        image = Image.fromarray(levels[..., 0].astype(np.uint16) * 257)
        return Picture.of(image)
    if mode.endswith(";16"):
        deep = Deep(levels.astype(np.uint16) * 257)
        return dataclasses.replace(
            Picture.of(Image.new("L", deep.size)).with_pixels(deep), full_size=deep.size
        )
    return Picture.of(image_of(mode, np.ascontiguousarray(levels)))


def picture_in(mode: str, size: Size = (83, 61)) -> Picture:
    return of_mode(mode, levels_of_all_kinds(bands_of(mode), *size))


def bands_of(mode: str) -> int:
    return {"L": 1, "I": 1, "LA": 2, "RGB": 3}.get(mode.partition(";")[0], 4)


def levels_in(picture: Picture) -> NDArray[Any]:
    deep = picture.deep
    levels = deep.array if deep else np.asarray(picture.image)
    return levels.reshape(picture.size[1], picture.size[0], -1)


def kept(words: str, picture: Picture) -> Box:
    """Which part an operation keeps, told by pixels that say where they are."""
    width, height = picture.size
    rows, columns = np.mgrid[0:height, 0:width].astype(np.uint16)
    marked = picture.with_pixels(Deep(np.dstack([columns, rows])))
    after = levels_in(parse(words).apply(marked))
    left, top = (int(level) for level in after[0, 0])
    right, bottom = (int(level) + 1 for level in after[-1, -1])
    assert np.array_equal(after, levels_in(marked)[top:bottom, left:right])
    return left, top, right, bottom


# What holds for all


@pytest.mark.slow
@pytest.mark.parametrize("mode", ALL_MODES)
@pytest.mark.parametrize("words", WORDS)
def test_what_is_left_are_pixels_of_the_given_picture_which_stays_as_it_is(
    words: str, mode: str
) -> None:
    picture = picture_in(mode)
    before = levels_in(picture).copy()
    after = parse(words).apply(picture)
    assert np.array_equal(levels_in(picture), before)
    assert (after.mode, after.notices) == (mode, ())
    assert after.full_size == after.size
    assert after.area == (0, 0, *after.size)
    # Noise at the top tells where a part begins; without it, any place where the rest fits.
    width, height = after.size
    found = levels_in(after)
    assert any(
        np.array_equal(found, before[top : top + height, left : left + width])
        for top in range(61 - height + 1)
        for left in range(83 - width + 1)
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("crop", "crop: found neither of geometry and ratio, expected one of them"),
        ("crop:geometry=9x9,ratio=1:1", "crop: found both of geometry and ratio"),
        ("crop:geometry=800", "crop: geometry: found '800', expected width and height, such as"),
        ("crop:geometry=0x10", "crop: geometry: found '0x10', expected width and height"),
        ("crop:geometry=10x0%", "crop: geometry: found '10x0%', expected"),
        ("crop:geometry=10.5x10", "crop: geometry: found '10.5x10', expected"),
        ("crop:geometry=10x10+5", "crop: geometry: found '10x10+5', expected"),
        ("crop:geometry=10x10+5%+5", "crop: geometry: found '10x10+5%+5', expected"),
        ("crop:geometry=10x9999999", "crop: geometry: found '10x9999999', expected"),
        ("crop:ratio=wide", "crop: ratio: found 'wide', expected width to height, such as 16:9"),
        ("crop:ratio=0:9", "crop: ratio: found '0:9', expected"),
        ("crop:ratio=3:0.0", "crop: ratio: found '3:0.0', expected"),
        ("crop:ratio=-3:2", "crop: ratio: found '-3:2', expected"),
        ("crop:ratio=3:2,gravity=middle", "crop: gravity: found 'middle', expected one of center"),
        ("crop:ratio=3:2,follow=maybe", "crop: follow: found 'maybe', expected yes or no"),
        ("crop:geometry=9x9,follow=yes", "crop: found follow without ratio, expected ratio"),
        (
            "crop:geometry=9x9+1+1,gravity=east",
            "crop: found gravity=east and a geometry that has a place",
        ),
        ("smart-crop:ratio=auto", "smart-crop: ratio: found 'auto', expected width to height"),
        ("smart-crop:zoom=0.9", "smart-crop: zoom: found '0.9', expected a number from 1 to 8"),
        ("smart-crop:zoom=8.1", "smart-crop: zoom: found '8.1', expected a number from 1 to 8"),
        ("trim:tolerance=255", "trim: tolerance: found '255', expected a whole number from 0"),
        ("trim:tolerance=-1", "trim: tolerance: found '-1', expected a whole number from 0"),
        ("trim:margin=101", "trim: margin: found '101', expected a number from 0 to 100 %"),
    ],
)
def test_what_makes_no_sense_is_refused(words: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words)
    assert str(caught.value).startswith(message)


def test_a_recipe_may_give_a_ratio_as_a_number_but_nothing_else_as_a_word() -> None:
    assert build("crop", {"ratio": 1.91}) == parse("crop:ratio=1.91")
    assert build("crop", {"ratio": 2}) == parse("crop:ratio=2")
    for wrong in (True, [3, 2], b"3:2"):
        with pytest.raises(UsageError, match="crop: ratio: found"):
            build("crop", {"ratio": wrong})


# Crop


@pytest.mark.parametrize(
    ("words", "box"),
    [
        # Of 83 x 61 pixels; what can be halves is computed by hand.
        ("geometry=40x30+5+7", (5, 7, 45, 37)),
        ("geometry=40×30+0+0", (0, 0, 40, 30)),
        ("geometry=40x30-5+7", (0, 7, 35, 37)),
        ("geometry=40x30+60-20", (60, 0, 83, 10)),
        ("geometry=40x30+82+60", (82, 60, 83, 61)),
        ("geometry=999x999+0+0", (0, 0, 83, 61)),
        ("geometry=43x31", (20, 15, 63, 46)),
        ("geometry=999x31", (0, 15, 83, 46)),
        ("geometry=43x999,gravity=east", (40, 0, 83, 61)),
        # 0.5 * 83 = 41.5 and 0.255 * 61 = 15.555
        ("geometry=50%x25.5%,gravity=southeast", (41, 45, 83, 61)),
        ("geometry=10x100%,gravity=west", (0, 0, 10, 61)),
        ("geometry=0.1%x0.1%,gravity=northwest", (0, 0, 1, 1)),
        ("geometry=200%x31,gravity=north", (0, 0, 83, 31)),
        ("geometry=50%x10+2+3", (2, 3, 44, 13)),
        # 83 * 9 / 16 = 46.7
        ("ratio=16:9,gravity=north", (0, 0, 83, 47)),
        ("ratio=16x9,gravity=south", (0, 14, 83, 61)),
        ("ratio=16/9,gravity=southwest", (0, 14, 83, 61)),
        # 83 / 1.91 = 43.46
        ("ratio=1.91,gravity=north", (0, 0, 83, 43)),
        ("ratio=1:1", (11, 0, 72, 61)),
        ("ratio=1,gravity=east", (22, 0, 83, 61)),
        # 61 * 2 / 3 = 40.67
        ("ratio=2:3,gravity=northeast", (42, 0, 83, 61)),
        # 83 * 2 / 3 = 55.33
        ("ratio=2:3,gravity=north,follow=yes", (0, 0, 83, 55)),
        ("ratio=3:2,gravity=north,follow=yes", (0, 0, 83, 55)),
        ("ratio=1:1,follow=yes,gravity=west", (0, 0, 61, 61)),
        ("ratio=999999:1,gravity=south", (0, 60, 83, 61)),
        ("ratio=0.000001,gravity=west", (0, 0, 1, 61)),
    ],
)
def test_a_crop_keeps_the_part_computed_by_hand(words: str, box: Box) -> None:
    assert kept(f"crop:{words}", picture_in("L")) == box
    left, top, right, bottom = box
    assert parse(f"crop:{words}").output_size((83, 61)) == (right - left, bottom - top)


def test_a_ratio_follows_a_picture_that_is_higher_than_wide() -> None:
    assert parse("crop:ratio=3:2,follow=yes").output_size((100, 300)) == (100, 150)
    assert parse("crop:ratio=3:2").output_size((100, 300)) == (100, 67)
    assert parse("smart-crop:ratio=3:2,follow=yes").output_size((100, 300)) == (100, 150)
    assert parse("crop:ratio=3:2,follow=yes").output_size((300, 300)) == (300, 200)


@pytest.mark.parametrize("gravity", GRAVITIES)
def test_gravity_says_which_part_is_kept(gravity: str) -> None:
    across = 0 if gravity.endswith("west") else 43 if gravity.endswith("east") else 22
    down = 0 if gravity.startswith("north") else 31 if gravity.startswith("south") else 16
    # Of 43 x 31 pixels to the left and above, half is 21.5 and 15.5: rounded to even ones.
    box = across, down, across + 40, down + 30
    assert kept(f"crop:geometry=40x30,gravity={gravity}", picture_in("L")) == box


@pytest.mark.parametrize("geometry", ["10x10+83+0", "10x10+0+61", "10x10-10+0", "5x5+0-9"])
def test_a_crop_that_leaves_nothing_fails(geometry: str) -> None:
    operation = parse(f"crop:geometry={geometry}")
    with pytest.raises(PictureError) as caught:
        operation.apply(picture_in("RGB"))
    assert str(caught.value) == f"crop: {geometry} leaves nothing of 83 x 61 pixels"
    assert (caught.value.failure.stage, caught.value.failure.kind) == ("operate", "crop")
    # Until then it is not told: names and estimates come before pixels.
    assert min(operation.output_size((83, 61))) == 1
    assert operation.needed_size((83, 61), (1, 1)) <= (83, 61)


@pytest.mark.parametrize("words", ["geometry=100%x100%", "geometry=999x999", "ratio=83:61"])
def test_a_crop_of_everything_returns_the_very_picture(words: str) -> None:
    picture = picture_in("RGBA")
    assert parse(f"crop:{words}").apply(picture) is picture


def exact_ratio(size: Size, across: int, down: int) -> tuple[Fraction, Fraction]:
    width, height = size
    if width * down >= height * across:
        return Fraction(height * across, down), Fraction(height)
    return Fraction(width), Fraction(width * down, across)


@pytest.mark.slow
@PROPERTY
@given(size=SIZES, across=st.integers(1, 40), down=st.integers(1, 40), follow=st.booleans())
def test_a_ratio_is_met_as_nearly_as_whole_pixels_can(
    size: Size, across: int, down: int, follow: bool
) -> None:
    crop = Crop(ratio=f"{across}:{down}", follow=follow)
    if follow and (size[0] > size[1]) != (across > down) and size[0] != size[1]:
        across, down = down, across
    found = crop.output_size(size)
    for side, exact, whole in zip(found, exact_ratio(size, across, down), size, strict=True):
        assert 1 <= side <= whole
        assert abs(side - exact) <= Fraction(1, 2) or side == 1


@pytest.mark.slow
@PROPERTY
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    wanted=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    corner=st.none() | st.tuples(st.integers(-20, 39), st.integers(-20, 39)),
    gravity=st.sampled_from(GRAVITIES),
    mode=st.sampled_from(ALL_MODES),
)
def test_a_crop_is_within_the_picture_and_of_the_size_that_was_told(
    size: Size, wanted: Size, corner: Size | None, gravity: str, mode: str
) -> None:
    place = "" if corner is None else f"{corner[0]:+d}{corner[1]:+d}"
    crop = build(
        "crop",
        {
            "geometry": f"{wanted[0]}x{wanted[1]}{place}",
            "gravity": "center" if corner else gravity,
        },
    )
    left, top = corner or (0, 0)
    nothing = left >= size[0] or top >= size[1] or left + wanted[0] <= 0 or top + wanted[1] <= 0
    if nothing:
        with pytest.raises(PictureError, match="leaves nothing"):
            crop.apply(picture_in(mode, size))
        return
    after = crop.apply(picture_in(mode, size))
    assert after.size == after.full_size == crop.output_size(size)
    assert after.size[0] <= min(size[0], wanted[0])
    assert after.size[1] <= min(size[1], wanted[1])


@pytest.mark.slow
@PROPERTY
@given(
    size=SIZES,
    wanted=st.tuples(st.integers(1, 9_000), st.integers(1, 9_000)),
    words=st.sampled_from(["crop:ratio=3:2", "crop:geometry=500x400", "smart-crop:zoom=2"]),
)
def test_enough_pixels_are_asked_for_and_never_more_than_there_are(
    size: Size, wanted: Size, words: str
) -> None:
    operation = parse(words)
    part = operation.output_size(size)
    wanted = min(wanted[0], part[0]), min(wanted[1], part[1])
    need = operation.needed_size(size, wanted)
    for side in (0, 1):
        assert need[side] <= size[side]
        # What the part has of it.
        assert Fraction(need[side] * part[side], size[side]) >= wanted[side]
        assert need[side] - 1 < Fraction(size[side] * wanted[side], part[side])


def test_pixels_of_a_palette_stay_in_one(tmp_path: Path) -> None:
    """They are still those of the file (`Picture.coding`)."""
    image = Image.fromarray(pictures.scene(60, 40)).quantize(20)
    image.save(tmp_path / "few.png")
    run(tmp_path / "few.png", "crop:geometry=20x10+3+4")
    with Image.open(tmp_path / "out" / "few.png") as cropped:
        assert cropped.mode == "P"
        before = image.convert("RGB").crop((3, 4, 23, 14))
        assert cropped.convert("RGB").tobytes() == before.tobytes()


# Pictures that were decoded small, or lie on their side


WIDE, HIGH = 501, 333


def camera_file(path: Path, orientation: int, wave: float) -> Floats:
    """Write a JPEG with odd sides; return its upright pixels, decoded in full by Pillow."""
    y, x = np.mgrid[0:HIGH, 0:WIDE] + 0.5
    turn = 2 * np.pi / wave
    layers = [np.sin(turn * x), np.cos(turn * (x + y) / 1.4), np.sin(turn * y + 1)]
    upright = np.rint(127 + 60 * np.stack(layers, axis=-1)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(pictures.stored(upright, orientation))
    Image.fromarray(stored).save(path, "JPEG", quality=97, subsampling=0, exif=exif)
    with Image.open(path) as file:
        full = Picture(file.copy(), "jpeg", (WIDE, HIGH), (0, 0, *file.size), orientation)
    return np.asarray(full.upright().image).astype(np.float64)


def rmse(one: Floats, other: Floats) -> float:
    return float(np.sqrt(np.mean((one - other) ** 2)))


@pytest.mark.slow
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize(
    ("words", "box", "size", "scale"),
    [
        ("crop:geometry=300x200+7+120", (7, 120, 307, 320), (60, 40), 4),
        ("crop:geometry=133x67+368+266", (368, 266, 501, 333), (66, 33), 2),
        ("crop:ratio=1:1,gravity=east", (168, 0, 501, 333), (41, 41), 8),
    ],
)
def test_a_crop_of_a_jpeg_decoded_small_shows_what_one_of_the_whole_file_does(
    tmp_path: Path, words: str, box: Box, size: Size, scale: int, orientation: int
) -> None:
    """Waves of ten pixels after the resize: a fifth of a pixel off would make five levels."""
    full = camera_file(tmp_path / "camera.jpg", orientation, wave=10 * (box[2] - box[0]) / size[0])
    crop, resize = parse(words), Resize(SizeSpec(*size), "exact")
    small = decode(str(tmp_path / "camera.jpg"), lambda file: crop.needed_size(file, size))
    sides = math.ceil(WIDE / scale), math.ceil(HIGH / scale)
    assert sorted(small.size) == sorted(sides)
    cropped = crop.apply(small)
    assert cropped.full_size == (box[2] - box[0], box[3] - box[1])
    # No more is kept than the pixels that the part touches.
    width, height = cropped.size if orientation < 5 else cropped.size[::-1]
    assert width <= (box[2] - box[0]) / scale + 2
    assert height <= (box[3] - box[1]) / scale + 2
    after = resize.apply(cropped).image

    left, top, right, bottom = box
    part = full[top:bottom, left:right].astype(np.uint8)
    expected = Image.fromarray(part).resize(size, Image.Resampling.LANCZOS)
    assert rmse(np.asarray(after, np.float64), np.asarray(expected, np.float64)) <= 2.5


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_picture_on_its_side_is_cropped_as_it_is_seen(orientation: int) -> None:
    upright = levels_of_all_kinds(3)
    stored = np.ascontiguousarray(pictures.stored(upright, orientation))
    picture = dataclasses.replace(
        Picture.of(Image.fromarray(stored)), full_size=(83, 61), orientation=orientation
    )
    part = parse("crop:geometry=40x30+5+7").apply(picture)
    assert part.full_size == (40, 30)
    assert np.array_equal(levels_in(part.upright()), upright[7:37, 5:45])


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_command_line_crops_before_it_resizes(tmp_path: Path, orientation: int) -> None:
    full = camera_file(tmp_path / "camera.jpg", orientation, wave=60)
    run(
        tmp_path / "camera.jpg",
        "crop:geometry=300x200+7+120",
        *("--filter", "resize", "--format", "png"),
        command=("resize", "--size", "60x40"),
    )
    with Image.open(tmp_path / "out" / "camera.png") as after:
        found = np.asarray(after, np.float64)
    part = Image.fromarray(full[120:320, 7:307].astype(np.uint8))
    expected = part.resize((60, 40), Image.Resampling.LANCZOS)
    assert found.shape == (40, 60, 3)
    assert rmse(found, np.asarray(expected, np.float64)) <= 1


def test_without_a_shrinking_decoder_crop_and_resize_are_equal_to_the_pixel() -> None:
    picture = picture_in("RGB")
    part = Picture.of(picture.image.crop((5, 7, 45, 37)))
    resize = Resize(SizeSpec(20, 20))
    both = resize.apply(parse("crop:geometry=40x30+5+7").apply(picture))
    assert np.array_equal(levels_in(both), levels_in(resize.apply(part)))


# Smart crop


def scene_with(patch: NDArray[np.uint8], left: int, top: int, size: Size = (240, 160)) -> Picture:
    """A patch on a soft grey gradient."""
    levels = np.empty((size[1], size[0], 3), np.uint8)
    levels[:] = np.linspace(110, 140, size[0]).astype(np.uint8)[:, None]
    height, width = patch.shape[:2]
    levels[top : top + height, left : left + width] = patch
    return Picture.of(Image.fromarray(levels))


def textured() -> NDArray[np.uint8]:
    """A checkerboard of greys, which has detail and no colour."""
    board = np.indices((40, 40)).sum(axis=0) // 5 % 2 * 120 + 60
    return np.repeat(board[..., None], 3, axis=2).astype(np.uint8)


PATCHES: Final = {
    "texture": textured(),
    "colour": np.full((40, 40, 3), (40, 90, 200), np.uint8),
    # As bright as what is around it.
    "skin": np.full((40, 40, 3), (160, 115, 95), np.uint8),
}


@pytest.mark.parametrize("patch", PATCHES)
@pytest.mark.parametrize(("left", "top"), [(5, 60), (190, 20), (100, 115), (0, 0), (200, 120)])
def test_what_draws_the_eye_is_found(patch: str, left: int, top: int) -> None:
    picture = scene_with(PATCHES[patch], left, top)
    box = kept_of("smart-crop:zoom=2", picture)
    assert box[0] - 2 <= left
    assert left + 40 <= box[2] + 2
    assert box[1] - 2 <= top
    assert top + 40 <= box[3] + 2


def kept_of(words: str, picture: Picture) -> Box:
    """Which part is kept of a picture, told by what it does to all frames that begin with it."""
    width, height = picture.full_size
    settled = parse(words).settled(picture)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.uint16)
    marks = Deep(np.dstack([columns, rows]))
    marked = Picture.of(Image.new("L", (width, height))).with_pixels(marks)
    after = levels_in(settled.apply(marked))
    return (*map(int, after[0, 0]), *(int(level) + 1 for level in after[-1, -1]))  # type: ignore[return-value]


@pytest.mark.parametrize("mode", ALL_MODES)
def test_it_is_found_in_every_mode(mode: str) -> None:
    levels = np.asarray(scene_with(PATCHES["texture"], 180, 60).image)
    bands = {1: levels[..., :1], 2: levels[..., :2].copy(), 3: levels, 4: np.dstack([levels] * 2)}
    of_bands = bands[bands_of(mode)][..., : bands_of(mode)].copy()
    if mode.removesuffix(";16") in ("LA", "RGBA"):
        of_bands[..., -1] = 255
    if mode == "CMYK":
        of_bands[..., 3] = 0
    box = kept_of("smart-crop", of_mode(mode, of_bands))
    assert box == (80, 0, 240, 160)


def test_what_cannot_be_seen_draws_no_eye() -> None:
    left, right = scene_with(textured(), 20, 60), scene_with(textured(), 180, 60)
    both = np.where(np.arange(240)[:, None] < 120, np.asarray(left.image), np.asarray(right.image))
    alpha = np.where(np.arange(240) < 120, 0, 255)[None].repeat(160, axis=0)
    picture = of_mode("RGBA", np.dstack([both, alpha]).astype(np.uint8))
    assert kept_of("smart-crop", picture)[2] == 240


def test_where_nothing_draws_the_eye_the_centre_is_kept() -> None:
    plain_one = Picture.of(Image.new("RGB", (241, 160), (90, 130, 70)))
    left, top, right, bottom = kept_of("smart-crop", plain_one)
    assert abs(left - 40.5) <= 2
    assert (top, right - left, bottom) == (0, 160, 160)


def test_it_is_the_profile_that_tells_the_colours() -> None:
    """Levels that are grey in sRGB are colours where red is brighter than it seems."""
    levels = np.full((160, 240, 3), 128, np.uint8)
    levels[60:100, 180:220] = (128, 128, 40)
    picture = Picture.of(Image.fromarray(levels), icc=pictures.wide_gamut_profile())
    assert kept_of("smart-crop", picture) == (80, 0, 240, 160)


@pytest.mark.slow
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_picture_on_its_side_and_shrunk_is_cut_as_the_whole_one_is(orientation: int) -> None:
    picture = Picture.of(Image.fromarray(pictures.scene(960, 640)))
    expected = kept_of("smart-crop:ratio=1:1,zoom=1.5", picture)
    upright = np.asarray(picture.image.reduce(4))
    stored = np.ascontiguousarray(pictures.stored(upright, orientation))
    shrunk = dataclasses.replace(
        Picture.of(Image.fromarray(stored)), full_size=(960, 640), orientation=orientation
    )
    found = kept_of("smart-crop:ratio=1:1,zoom=1.5", shrunk)
    assert np.abs(np.subtract(found, expected)).max() <= 6
    part = parse("smart-crop:ratio=1:1,zoom=1.5").apply(shrunk)
    assert part.full_size == (427, 427)
    across = part.area[2] - part.area[0]
    assert across == pytest.approx(427 / 4)


def attention_by_definition(levels: NDArray[np.uint8]) -> Floats:
    """The module's words, pixel by pixel."""
    height, width = levels.shape[:2]
    ycc = np.asarray(Image.fromarray(levels).convert("YCbCr"), np.float64)
    mean = ycc[..., 1:].mean(axis=(0, 1))
    detail, colour, skin = np.zeros((3, height, width))
    for y in range(height):
        for x in range(width):
            luma, blue, red = ycc[y, x]
            down = ycc[min(y + 1, height - 1), x, 0] - ycc[max(y - 1, 0), x, 0]
            across = ycc[y, min(x + 1, width - 1), 0] - ycc[y, max(x - 1, 0), 0]
            detail[y, x] = min(1, math.hypot(down / 2, across / 2) / 64)
            from_grey = math.hypot(blue - 128, red - 128)
            from_mean = math.hypot(blue - mean[0], red - mean[1])
            colour[y, x] = min(1, from_grey / 64, from_mean / 64)
            skin[y, x] = 77 <= blue <= 127 and 133 <= red <= 173 and 40 <= luma <= 240

    def smooth(values: Floats) -> Floats:
        found = np.empty_like(values)
        for y in range(height):
            for x in range(width):
                rows = np.clip(np.arange(y - 3, y + 4), 0, height - 1)
                columns = np.clip(np.arange(x - 3, x + 4), 0, width - 1)
                found[y, x] = values[np.ix_(rows, columns)].mean()
        return found

    sharpness = np.minimum(1, 0.25 + 3 * smooth(detail))
    measures = smooth(detail), smooth(colour) * sharpness, smooth(skin) * sharpness
    return np.sum([np.maximum(0, one - one.mean()) for one in measures], axis=0)  # type: ignore[no-any-return]


def test_attention_is_as_it_is_defined() -> None:
    levels = pictures.scene(40, 30)
    levels[10:20, 5:15] = (224, 172, 140)
    levels[3:9, 25:33] = (200, 20, 30)
    found = attention.attention(Image.fromarray(levels))
    assert np.abs(found - attention_by_definition(levels)).max() < 1e-9
    clear = Image.fromarray(levels)
    clear.putalpha(0)
    assert attention.attention(clear).max() == 0


def test_the_best_place_is_the_best_of_all() -> None:
    drawn = np.random.RandomState(5).random_sample((30, 40)) ** 8
    drawn[12:15, 28:31] += 1
    share = 0.5, 0.6
    across, down = 20, 18
    worths: dict[tuple[int, int], float] = {}
    for top in range(30 - down + 1):
        for left in range(40 - across + 1):
            window = drawn[top : top + down, left : left + across]
            # 1/8, 1/3 - 1/8 and so on of 20 and of 18, rounded.
            inner = window[2:16, 2:18]
            thirds = [
                window[rows, columns] for rows in around_thirds(18) for columns in around_thirds(20)
            ]
            off = (2 * left / 20 - 1) ** 2 + (2 * top / 12 - 1) ** 2
            worths[left, top] = float(
                window.sum()
                + inner.sum()
                + sum(part.sum() for part in thirds) / 4
                - 0.05 * drawn.sum() * off
            )
    best = max(worths, key=lambda place: worths[place])
    found = attention.best_place(drawn, share)
    assert (found[0] * 20, found[1] * 12) == pytest.approx(best)


def around_thirds(length: int) -> list[slice]:
    """Around both thirds, an eighth to each side."""
    return [
        slice(round((third - 1 / 8) * length), round((third + 1 / 8) * length))
        for third in (1 / 3, 2 / 3)
    ]


@pytest.mark.slow
@PROPERTY
@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    ratio=st.sampled_from(["1:1", "16:9", "4:5", "1:9", "30"]),
    zoom=st.floats(1, 8),
)
def test_any_smart_crop_has_the_size_that_was_told(size: Size, ratio: str, zoom: float) -> None:
    operation = build("smart-crop", {"ratio": ratio, "zoom": zoom})
    after = operation.apply(picture_in("RGB", size))
    assert after.size == operation.output_size(size)
    # 1 of the largest of its ratio.
    largest = parse(f"crop:ratio={ratio}").output_size(size)
    for side, most in zip(after.size, largest, strict=True):
        assert side == 1 or abs(side - most / zoom) <= 0.5 + 0.5 / zoom


# Trim


def framed(
    inside: NDArray[np.uint8], colour: int | tuple[int, ...], frame: Box
) -> NDArray[np.uint8]:
    """With a border of so many pixels to the left, above, to the right and below."""
    left, top, right, bottom = frame
    height, width, bands = inside.shape
    levels = np.empty((height + top + bottom, width + left + right, bands), np.uint8)
    levels[:] = colour
    levels[top : top + height, left : left + width] = inside
    return levels


def inside_of(mode: str) -> NDArray[np.uint8]:
    """Nothing in it is near black or white, and its alpha is not near clear."""
    return (60 + levels_of_all_kinds(bands_of(mode), 30, 20) % 120).astype(np.uint8)


FRAMES: Final[tuple[Box, ...]] = ((3, 4, 5, 6), (0, 4, 0, 0), (7, 0, 0, 1), (1, 1, 1, 1))


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("colour", [0, 255])
@pytest.mark.parametrize("mode", ALL_MODES)
def test_borders_of_one_colour_are_cut_off(mode: str, colour: int, frame: Box) -> None:
    inside = inside_of(mode)
    picture = of_mode(mode, framed(inside, colour, frame))
    found = levels_in(parse("trim").apply(picture))
    assert np.array_equal(found, levels_in(of_mode(mode, inside)))


@pytest.mark.parametrize("tolerance", [0, 1, 10, 100])
@pytest.mark.parametrize("band", [0, 1, 2])
def test_tolerance_is_the_most_that_a_channel_may_differ(tolerance: int, band: int) -> None:
    for off, seen in ((tolerance, False), (tolerance + 1, True)):
        levels = np.full((40, 50, 3), 120, np.uint8)
        levels[8, 33, band] += off
        box = kept_of(f"trim:tolerance={tolerance}", of_mode("RGB", levels))
        assert box == ((33, 8, 34, 9) if seen else (0, 0, 50, 40))
        levels[20, 11, band] = 120 - off
        box = kept_of(f"trim:tolerance={tolerance}", of_mode("RGB", levels))
        assert box == ((11, 8, 34, 21) if seen else (0, 0, 50, 40))


@pytest.mark.parametrize("mode", ["LA", "RGBA", "LA;16", "RGBA;16"])
def test_what_is_transparent_is_alike_whatever_its_colour(mode: str) -> None:
    levels = framed(inside_of(mode), 0, (3, 4, 5, 6))
    levels[:4, :, :-1] = 250
    levels[10:, :3, :-1] = 130
    found = levels_in(parse("trim:tolerance=0").apply(of_mode(mode, levels)))
    assert np.array_equal(found, levels_in(of_mode(mode, inside_of(mode))))


def test_an_opaque_border_around_what_is_transparent_is_one_too() -> None:
    levels = np.full((30, 40, 4), 255, np.uint8)
    levels[10:20, 5:15, 3] = 0
    assert kept_of("trim", of_mode("RGBA", levels)) == (5, 10, 15, 20)


def test_the_border_has_the_colour_that_most_corners_have() -> None:
    levels = framed(inside_of("RGB"), (250, 250, 250), (3, 4, 5, 6))
    levels[0, 0] = (255, 0, 0)
    # The red corner is not of the border.
    assert kept_of("trim", of_mode("RGB", levels)) == (0, 0, 33, 24)
    levels[-1, -1] = (248, 252, 250)
    assert kept_of("trim", of_mode("RGB", levels)) == (0, 0, 33, 24)
    levels[-1, 0] = (0, 255, 0)
    assert kept_of("trim", of_mode("RGB", levels)) == (0, 0, 33, 30)


@pytest.mark.parametrize(
    ("margin", "box"),
    [
        # Of 20 pixels.
        (0, (23, 24, 53, 44)),
        (5, (22, 23, 54, 45)),
        (50, (13, 14, 63, 54)),
        # No further than the picture goes.
        (100, (3, 4, 73, 62)),
    ],
)
def test_a_margin_is_kept_around_the_rest(margin: float, box: Box) -> None:
    levels = framed(inside_of("L"), 0, (23, 24, 25, 18))
    assert kept_of(f"trim:margin={margin}", of_mode("L", levels)) == box


@pytest.mark.parametrize("mode", ALL_MODES)
def test_a_picture_of_one_colour_is_left_as_it_is(mode: str) -> None:
    picture = of_mode(mode, np.full((7, 9, bands_of(mode)), 77, np.uint8))
    assert parse("trim").apply(picture) is picture


def test_strips_make_no_difference() -> None:
    """Wide enough that a strip is three rows."""
    levels = np.full((20, 40_000, 1), 30, np.uint8)
    levels[7, 39_000] = 90
    levels[13, 200] = 90
    operation = parse("trim").settled(of_mode("L", levels))
    assert operation == parse("crop:geometry=38801x7+200+7")


def test_a_name_cannot_tell_a_size_that_only_the_pixels_tell() -> None:
    assert parse("trim").output_size((90, 70)) == (90, 70)
    assert parse("trim").needed_size((90, 70), (9, 7)) == (90, 70)
    with pytest.raises(UsageError, match="what trim leaves is only known"):
        Recipe.from_options(filters=["trim"], template="{stem}-{width}{ext}")
    Recipe.from_options(filters=["crop:ratio=1:1"], template="{stem}-{width}{ext}")


# Animations


def moving(levels: list[NDArray[np.uint8]]) -> bytes:
    first, *rest = map(Image.fromarray, levels)
    buffer = BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=rest, duration=100, loop=0)
    return buffer.getvalue()


def run(path: Path, words: str, *more: str, command: tuple[str, ...] = ("filter",)) -> None:
    verb, *before = command
    output = str(path.parent / "out")
    ran = CliRunner().invoke(
        group, [verb, str(path), *before, "--filter", words, *more, "-o", output]
    )
    assert ran.exit_code == 0, ran.output


def frames_of(path: Path) -> list[NDArray[Any]]:
    found = []
    with Image.open(path) as image:
        for frame in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(frame)
            found.append(np.asarray(image.convert("L")))
    return found


@pytest.mark.parametrize(
    ("words", "box"),
    [
        ("crop:geometry=20x10+5+6", (5, 6, 25, 16)),
        ("smart-crop:ratio=1:1", (30, 0, 60, 30)),
        ("trim", (45, 12, 55, 22)),
    ],
)
def test_all_frames_of_an_animation_are_cut_alike(tmp_path: Path, words: str, box: Box) -> None:
    """What draws the eye in the first one is elsewhere in the others."""
    levels = [np.full((30, 60), 40, np.uint8) for _ in range(3)]
    levels[0][12:22, 45:55] = 200
    levels[1][5:15, 5:15] = 220
    levels[2][14:20, 40:50] = 240
    (tmp_path / "moving.gif").write_bytes(moving(levels))
    run(tmp_path / "moving.gif", words)
    left, top, right, bottom = box
    found = frames_of(tmp_path / "out" / "moving.gif")
    assert len(found) == 3
    for frame, before in zip(found, levels, strict=True):
        assert frame.shape == (bottom - top, right - left)
        assert np.abs(frame.astype(int) - before[top:bottom, left:right]).max() <= 1


def test_an_animation_that_begins_with_one_colour_is_not_trimmed(tmp_path: Path) -> None:
    levels = [np.full((30, 60), 40, np.uint8) for _ in range(2)]
    levels[1][5:15, 5:15] = 220
    (tmp_path / "moving.gif").write_bytes(moving(levels))
    run(tmp_path / "moving.gif", "trim")
    assert [frame.shape for frame in frames_of(tmp_path / "out" / "moving.gif")] == [(30, 60)] * 2
