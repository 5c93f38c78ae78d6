"""Marks and texts that are turned, repeated, or at a position."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from toolkit import ROOT, pictures
from toolkit.commands import imgbatch
from toolkit.overlays import applied, named
from toolkit.reference import Floats, image_of, levels_of_all_kinds, planes_of

import imgbatch as library
from imgbatch.errors import UsageError
from imgbatch.imaging.filters import lettering
from imgbatch.imaging.picture import Picture
from imgbatch.model import Size
from imgbatch.operations import build, parse, words_of
from imgbatch.operations.placing import MOST_TILES, Placing

FONT: Final = Path(lettering.__file__).parent / "fonts/NotoSans-Regular.ttf"
LOGO: Final = ROOT / "sample_images" / "logo-alpha.png"


def black(size: tuple[int, int] = (300, 200)) -> Picture:
    return named(Picture.of(Image.new("L", size)))


def ink(words: str, size: tuple[int, int] = (300, 200)) -> Floats:
    """White text on black, from 0 to 255."""
    return planes_of(applied(f"{words},shadow=no", black(size)).image)[..., 0]


def box(levels: Floats, above: int = 20) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what can be seen."""
    rows, columns = np.nonzero(levels > above)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def middle(levels: Floats) -> tuple[float, float]:
    """The centroid, from the upper left corner of the first pixel."""
    down, across = np.indices(levels.shape) + 0.5
    whole = levels.sum()
    return float((across * levels).sum() / whole), float((down * levels).sum() / whole)


def direction(levels: Floats) -> float:
    """In which direction ink extends most: degrees clockwise, from -90 to 90."""
    x, y = middle(levels)
    down, across = np.indices(levels.shape) + 0.5
    xx, yy = (levels * (across - x) ** 2).sum(), (levels * (down - y) ** 2).sum()
    xy = (levels * (across - x) * (down - y)).sum()
    return math.degrees(math.atan2(2 * xy, xx - yy) / 2)


# Turned


def turned_exactly(text: str, size: float, degrees: float, like: Floats) -> Floats:
    """A text drawn 16 times as large, and each pixel of the result the mean of 8 x 8 points of it,
    with the same centroid as `like`.
    """
    font = ImageFont.truetype(FONT, 16 * size)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text))
    large = Image.new("L", (right - left + 40, bottom - top + 40))
    ImageDraw.Draw(large).text((20 - left, 20 - top), text, fill=255, font=font)
    levels = planes_of(large)[..., 0]
    centre, there = middle(levels), middle(like)
    points = (np.arange(8) + 0.5) / 8
    across = (np.arange(like.shape[1])[:, None] + points).ravel() - there[0]
    down = (np.arange(like.shape[0])[:, None] + points).ravel()[:, None] - there[1]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x = np.floor(centre[0] + 16 * (across * cosine + down * sine)).astype(int)
    y = np.floor(centre[1] + 16 * (down * cosine - across * sine)).astype(int)
    inside = (x >= 0) & (y >= 0) & (x < levels.shape[1]) & (y < levels.shape[0])
    found = np.where(inside, levels[y.clip(0, len(levels) - 1), x.clip(0, levels.shape[1] - 1)], 0)
    blocks = found.reshape(like.shape[0], 8, like.shape[1], 8)
    mean: Floats = blocks.mean(axis=(1, 3))
    return mean


@pytest.mark.parametrize(
    ("size", "degrees"), [(8, 33.7), (20, -15), (20, 100), (25, -45), (30, 200), (50, 10)]
)
def test_turned_letters_have_clean_edges(size: int, degrees: float) -> None:
    found = ink(f"text:text=Rag,size={size},rotate={degrees},gravity=center,margin=0")
    exact = turned_exactly("Rag", size * 2, degrees, found)
    off = np.abs(found - exact)
    halfway = [(levels > 8) & (levels < 247) for levels in (found, exact)]
    # FreeType fits letters to the pixels of the size that they are drawn in.
    assert off[halfway[1]].mean() < 9
    assert off.max() < 32
    # Neither blurred nor hard.
    assert halfway[0].sum() == pytest.approx(halfway[1].sum(), rel=0.06)


def test_quarter_turns_only_move_pixels() -> None:
    straight, turned, back = (
        ink(f"text:text=Rag,size=20,gravity=center,rotate={angle}", (201, 201))
        for angle in (0, 90, -90)
    )
    assert np.array_equal(np.rot90(turned), straight)
    assert np.array_equal(np.rot90(back, -1), straight)
    assert np.array_equal(straight, ink("text:text=Rag,size=20,gravity=center", (201, 201)))


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (250, 250), (500, 60)])
def test_diagonal_is_that_of_each_picture_and_as_large_as_fits(size: tuple[int, int]) -> None:
    found = ink("text:text=PROOF PROOF,rotate=diagonal,size=50,gravity=center,margin=2", size)
    angle = -math.degrees(math.atan2(size[1], size[0]))
    assert direction(found) == pytest.approx(angle, abs=1.5)
    left, top, right, bottom = box(found)
    assert min(left, top, size[0] - right, size[1] - bottom) >= min(size) * 0.02 - 1
    assert max((right - left) / size[0], (bottom - top) / size[1]) > 0.75


def test_shadow_and_colour_turn_along() -> None:
    picture = named(Picture.of(Image.new("RGB", (300, 200), "white")))
    words = "text:text=HHHHH,size=15,colour=#c02040,rotate=-40,gravity=center"
    levels = planes_of(applied(words, picture).image)
    red = 255 - levels[..., 0]
    assert direction(np.where(levels[..., 1] < 200, red, 0)) == pytest.approx(-40, abs=3)
    assert np.abs(levels - (0xC0, 0x20, 0x40)).max(axis=2).min() <= 1


def turned_file(folder: Path, degrees: float) -> Path:
    """The logo as a file of its own, turned by the operation `rotate`, which has its own judge."""
    with Image.open(LOGO) as logo:
        small = logo.convert("RGBA").resize((60, 60))
    small.save(folder / "small.png")
    turned = applied(f"rotate:angle={degrees},background=transparent", Picture.of(small))
    turned.image.save(folder / "turned.png")
    return folder / "turned.png"


@pytest.mark.parametrize("degrees", [90, 25, -130])
def test_turned_mark_is_the_mark_turned(tmp_path: Path, degrees: float) -> None:
    path = turned_file(tmp_path, degrees)
    page = Picture.of(image_of("RGB", levels_of_all_kinds(3, 300, 200)))
    # 20 % of 300 pixels are the 60 of the file; those of the turned one are what it has.
    with Image.open(path) as turned:
        share = 100 * turned.width / 300
    words = f"file={tmp_path / 'small.png'},rotate={degrees}"
    found = planes_of(applied(f"watermark:{words}", page).image)
    expected = planes_of(applied(f"watermark:file={path},scale={share}", page).image)
    assert np.abs(found - expected).max() <= 1


# At a position


@pytest.mark.parametrize(
    ("words", "left", "top"),
    [
        ("x=20,y=30", 20, 30),
        ("x=20px", 20, None),
        ("x=10%,y=50%", 30, 100),
        ("y=0,gravity=east", None, 0),
        ("x=0,y=0,gravity=center,margin=10", 0, 0),
    ],
)
def test_position_is_that_of_the_upper_left_corner(
    words: str, left: int | None, top: int | None
) -> None:
    found = box(ink(f"text:text=HH,size=15,{words}"), 1)
    if left is not None:
        assert found[0] == left
    if top is not None:
        # Capitals reach as high as the line.
        assert found[1] == top
    if left is None:
        assert found[2] == 300 - 6


@pytest.mark.parametrize("words", ["x=100%,y=100%", "x=5000,y=3000", "x=99%,y=199"])
@pytest.mark.parametrize("more", ["", ",rotate=30", ",size=50"])
def test_position_beyond_the_edge_is_at_the_edge(words: str, more: str) -> None:
    left, top, right, bottom = box(ink(f"text:text=HHH,{words}{more}"), 1)
    assert 0 <= left < right <= 300
    assert 150 < bottom <= 200
    assert right >= 296
    assert top >= 0


def test_mark_has_a_position(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), "white").save(tmp_path / "mark.png")
    words = f"watermark:file={tmp_path / 'mark.png'},scale=10,opacity=1"
    for more, place in (("x=7,y=9", (7, 9)), ("x=50%,y=100%", (150, 180)), ("y=9", (264, 9))):
        found = planes_of(applied(f"{words},{more}", black()).image)[..., 0]
        assert box(found) == (*place, place[0] + 30, place[1] + 20)


# All over the picture


def test_tiled_text_is_repeated_in_rows_offset_by_half() -> None:
    once = ink("text:text=Ab,size=10,gravity=center")
    found = ink("text:text=Ab,size=10,tile=yes,spacing=20")
    drawn = lettering.drawn("Ab", None, 20, (288, 188), "left")
    across, down = (length + 40 for length in drawn.upright)
    # The centre is rounded in another way there.
    left = (300 - drawn.upright[0]) // 2 - round((300 - 12 - drawn.upright[0]) / 2) - 6
    top = (200 - drawn.upright[1]) // 2 - round((200 - 12 - drawn.upright[1]) / 2) - 6
    page = np.zeros((600, 900))
    wide = np.pad(once, ((200, 200), (300, 300)))
    for row in range(-5, 6):
        for column in range(-6, 7):
            indent = across // 2 if row % 2 else 0
            shift = top + row * down, left + column * across + indent
            if abs(shift[0]) < 200 and abs(shift[1]) < 300:
                page = np.maximum(page, np.roll(wide, shift, (0, 1)))
    assert np.array_equal(found, page[200:400, 300:600])


def test_turned_tiles_leave_no_part_free_and_stand_in_turned_rows() -> None:
    size = (600, 400)
    found = ink("text:text=imgbatch,size=5,tile=yes,rotate=-30,spacing=5", size)
    for top in range(0, 400, 80):
        for left in range(0, 600, 100):
            assert (found[top : top + 80, left : left + 100] > 128).any()
    # Turned back, there is nothing between the rows.
    straight = Image.fromarray(found.astype(np.uint8)).rotate(-30, Image.Resampling.BICUBIC)
    rows = planes_of(straight)[120:280, 200:400, 0].max(axis=1)
    gaps = np.flatnonzero(np.diff((rows < 30).astype(int)) == 1)
    drawn = lettering.drawn("imgbatch", None, 20, (576, 376), "left", 330)
    assert np.abs(np.diff(gaps) - (drawn.upright[1] + 20)).max() <= 2


def test_tiles_may_begin_at_a_position() -> None:
    usual, moved = (ink(f"text:text=Ab,size=10,tile=yes{more}") for more in ("", ",x=20,y=30"))
    once = box(ink("text:text=Ab,size=10,x=20,y=30"), 1)
    part = slice(once[1], once[3]), slice(once[0], once[2])
    assert np.array_equal(moved[part], ink("text:text=Ab,size=10,x=20,y=30")[part])
    assert not np.array_equal(usual, moved)


# The settings


def test_settings_that_are_not_given_change_no_digest() -> None:
    """Existing outputs stay up to date."""
    digests = [
        library.Recipe.from_options(filters=[words]).digest
        for words in ("text:text=a,size=5", f"watermark:file={LOGO},tile=yes")
    ]
    assert digests == ["cfd83e625b3518b8", "64225606cc123cab"]
    assert library.Recipe.from_options(filters=["text:text=a,size=5,x=1"]).digest not in digests


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("rotate=steep", "text: rotate: found 'steep', expected a number from -360 to 360 degrees"),
        ("rotate=361", "text: rotate: found '361', expected a number"),
        ("rotate=nan", "text: rotate: found 'nan', expected a number"),
        ("x=-5", "text: x: found '-5', expected pixels or per cent, such as 120 or 50%"),
        ("x=120%", "text: x: found '120%', expected pixels or per cent"),
        ("x=5px%", "text: x: found '5px%', expected pixels or per cent"),
        ("y=middle", "text: y: found 'middle', expected pixels or per cent"),
        ("spacing=-1", "text: spacing: found '-1', expected a number from 0 to 200 %"),
    ],
)
def test_values_out_of_range_are_refused(words: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(f"text:text=a,{words}")
    assert message in str(caught.value)


def test_python_and_recipes_may_use_numbers() -> None:
    made = build("text", {"text": "a", "x": 12, "y": "7.5 %", "rotate": "Diagonal"})
    assert made == parse("text:text=a,x=12,y=7.5%,rotate=diagonal")
    assert words_of(made) == "text:text=a,rotate=diagonal,x=12,y=7.5%"
    assert build("text", {"rotate": 45}) == parse("text:rotate=45°")


def test_orientation_is_applied_before_the_mark(tmp_path: Path) -> None:
    scene = Image.fromarray(pictures.scene(240, 160))
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "s").mkdir()
    scene.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "s/turned.png", exif=exif)
    scene.save(tmp_path / "s/upright.png")
    words = "text:text=proof,rotate=diagonal,size=40,gravity=center"
    run = imgbatch("filter", "s", "--filter", words, "-o", "out", "-j", "1", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    turned, upright = (
        np.asarray(Image.open(tmp_path / "out" / name)) for name in ("turned.png", "upright.png")
    )
    assert np.array_equal(turned, upright)
    assert np.abs(upright.astype(int) - np.asarray(scene)).max() > 60


def everywhere(placing: Placing, size: Size, cell: Size, angle: float) -> list[tuple[int, int]]:
    """What `repeated` gives, by trying far more cells than there are in the picture."""
    wide, high = placing.within
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    found = []
    for row in range(-60, 61):
        down, indent = row * cell[1], cell[0] // 2 if row % 2 else 0
        for column in range(-60, 61):
            across = column * cell[0] + indent
            x = (wide - size[0]) // 2 + round(across * cosine - down * sine)
            y = (high - size[1]) // 2 + round(across * sine + down * cosine)
            if -size[0] < x < wide and -size[1] < y < high:
                found.append((x, y))
    return found


@pytest.mark.parametrize("angle", [0, 33.3, 45, 90, 180, 217, 270, 359.999])
@pytest.mark.parametrize("within", [(90, 60), (7, 200), (1, 1)])
def test_tiles_are_all_that_meet_the_picture(within: Size, angle: float) -> None:
    placing = Placing(within, "center", 0)
    for size, cell in (((20, 9), (31, 12)), ((40, 40), (9, 7))):
        assert placing.repeated(size, cell, angle) == everywhere(placing, size, cell, angle)


@pytest.mark.parametrize("within", [(12_000, 9_000), (100_000, 100), (1, 100_000)])
def test_tiles_are_not_too_many_to_lay(within: Size) -> None:
    found = Placing(within, "center", 0).repeated((2, 2), (1, 1), 30)
    assert 0.8 * MOST_TILES < len(found) < 1.5 * MOST_TILES
