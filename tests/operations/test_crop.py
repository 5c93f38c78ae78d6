"""Crop, smart-crop and trim: exactly the right pixels are kept, in every mode."""

from __future__ import annotations

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
from msgspec.structs import replace
from numpy.typing import NDArray
from PIL import Image
from toolkit import pictures
from toolkit.cropping import ALL_MODES, ORIENTATIONS, levels_in, picture_in
from toolkit.reference import Floats, levels_of_all_kinds

from imgbatch.cli.commands import group
from imgbatch.errors import PictureError, UsageError
from imgbatch.imaging.decode import decode
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.picture import Picture
from imgbatch.model import Size
from imgbatch.operations import build, parse
from imgbatch.operations.crop import Crop
from imgbatch.operations.geometry import GRAVITIES, Resize, SizeSpec

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

PROPERTY: Final = settings(max_examples=200, deadline=None, database=None, derandomize=True)
SIDES: Final = st.one_of(st.integers(1, 12), st.integers(1, 9_000))
SIZES: Final = st.tuples(SIDES, SIDES)
Box = tuple[int, int, int, int]


def kept(words: str, picture: Picture) -> Box:
    """The part that an operation keeps, read from pixels that encode their positions."""
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
def test_pixels_come_from_the_given_picture_which_is_unchanged(words: str, mode: str) -> None:
    picture = picture_in(mode)
    before = levels_in(picture).copy()
    after = parse(words).apply(picture)
    assert np.array_equal(levels_in(picture), before)
    assert (after.mode, after.notices) == (mode, ())
    assert after.full_size == after.size
    assert after.area == (0, 0, *after.size)
    # Noise at the top shows where a part begins; without it, any place where the rest fits.
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
        ("crop:ratio=3:2,gravity=up", "crop: gravity: found 'up', expected one of center"),
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
def test_invalid_settings_are_refused(words: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words)
    assert str(caught.value).startswith(message)


def test_recipe_accepts_a_ratio_as_a_number_but_nothing_else_instead_of_text() -> None:
    assert build("crop", {"ratio": 1.91}) == parse("crop:ratio=1.91")
    assert build("crop", {"ratio": 2}) == parse("crop:ratio=2")
    for wrong in (True, [3, 2], b"3:2"):
        with pytest.raises(UsageError, match="crop: ratio: found"):
            build("crop", {"ratio": wrong})


# Crop


@pytest.mark.parametrize(
    ("words", "box"),
    [
        # Of 83 x 61 pixels; fractions are computed by hand.
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
def test_crop_keeps_the_part_computed_by_hand(words: str, box: Box) -> None:
    assert kept(f"crop:{words}", picture_in("L")) == box
    left, top, right, bottom = box
    assert parse(f"crop:{words}").output_size((83, 61)) == (right - left, bottom - top)


def test_ratio_can_follow_a_portrait_picture() -> None:
    assert parse("crop:ratio=3:2,follow=yes").output_size((100, 300)) == (100, 150)
    assert parse("crop:ratio=3:2").output_size((100, 300)) == (100, 67)
    assert parse("smart-crop:ratio=3:2,follow=yes").output_size((100, 300)) == (100, 150)
    assert parse("crop:ratio=3:2,follow=yes").output_size((300, 300)) == (300, 200)


@pytest.mark.parametrize("gravity", GRAVITIES)
def test_gravity_selects_the_part(gravity: str) -> None:
    across = 0 if gravity.endswith("west") else 43 if gravity.endswith("east") else 22
    down = 0 if gravity.startswith("north") else 31 if gravity.startswith("south") else 16
    # Of 43 x 31 pixels to the left and above, half is 21.5 and 15.5: rounded to even ones.
    box = across, down, across + 40, down + 30
    assert kept(f"crop:geometry=40x30,gravity={gravity}", picture_in("L")) == box


@pytest.mark.parametrize("geometry", ["10x10+83+0", "10x10+0+61", "10x10-10+0", "5x5+0-9"])
def test_crop_that_leaves_nothing_fails(geometry: str) -> None:
    operation = parse(f"crop:geometry={geometry}")
    with pytest.raises(PictureError) as caught:
        operation.apply(picture_in("RGB"))
    assert str(caught.value) == f"crop: {geometry} leaves nothing of 83 x 61 pixels"
    assert (caught.value.failure.stage, caught.value.failure.kind) == ("operate", "crop")
    # Not before: names and estimates come before pixels.
    assert min(operation.output_size((83, 61))) == 1
    assert operation.needed_size((83, 61), (1, 1)) <= (83, 61)


@pytest.mark.parametrize("words", ["geometry=100%x100%", "geometry=999x999", "ratio=83:61"])
def test_crop_of_everything_returns_the_same_picture(words: str) -> None:
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
def test_ratio_is_met_to_the_nearest_whole_pixel(
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
def test_crop_lies_within_the_picture_and_has_the_announced_size(
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
def test_enough_pixels_are_requested_and_never_more_than_exist(
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


def test_palette_is_kept(tmp_path: Path) -> None:
    """The pixels are still those of the file (`Picture.coding`)."""
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
def test_crop_of_a_jpeg_shrunk_on_load_matches_that_of_the_whole(
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
def test_rotated_picture_is_cropped_upright(orientation: int) -> None:
    upright = levels_of_all_kinds(3)
    stored = np.ascontiguousarray(pictures.stored(upright, orientation))
    picture = replace(
        Picture.of(Image.fromarray(stored)), full_size=(83, 61), orientation=orientation
    )
    part = parse("crop:geometry=40x30+5+7").apply(picture)
    assert part.full_size == (40, 30)
    assert np.array_equal(levels_in(part.upright()), upright[7:37, 5:45])


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_command_line_crops_before_it_resizes(tmp_path: Path, orientation: int) -> None:
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


def test_without_shrinking_on_load_crop_and_resize_are_exact() -> None:
    picture = picture_in("RGB")
    part = Picture.of(picture.image.crop((5, 7, 45, 37)))
    resize = Resize(SizeSpec(20, 20))
    both = resize.apply(parse("crop:geometry=40x30+5+7").apply(picture))
    assert np.array_equal(levels_in(both), levels_in(resize.apply(part)))


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
def test_all_frames_of_an_animation_are_cropped_alike(tmp_path: Path, words: str, box: Box) -> None:
    """What draws the eye in the first frame is elsewhere in the others."""
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


def test_animation_that_starts_with_one_colour_is_not_trimmed(tmp_path: Path) -> None:
    levels = [np.full((30, 60), 40, np.uint8) for _ in range(2)]
    levels[1][5:15, 5:15] = 220
    (tmp_path / "moving.gif").write_bytes(moving(levels))
    run(tmp_path / "moving.gif", "trim")
    assert [frame.shape for frame in frames_of(tmp_path / "out" / "moving.gif")] == [(30, 60)] * 2
