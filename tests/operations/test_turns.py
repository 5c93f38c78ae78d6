"""Rotate and flip: by quarter turns exactly, by other angles against float64 interpolation."""

from __future__ import annotations

import math
from collections.abc import Callable
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
from toolkit.cases import together
from toolkit.reference import DEPTH_NOTICE, MODES, Floats, image_of, levels_of_all_kinds

from imgbatch.cli.commands import group
from imgbatch.errors import UsageError
from imgbatch.imaging import colour, resample
from imgbatch.imaging.decode import decode
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.filters import rotation
from imgbatch.imaging.picture import Picture
from imgbatch.model import Size
from imgbatch.operations import build, parse
from imgbatch.operations.geometry import Resize, SizeSpec

WORDS: Final = (
    "rotate",
    "rotate:angle=-90",
    "rotate:angle=180",
    "rotate:angle=7.5",
    "rotate:angle=-127,background=#ff000080",
    "rotate:angle=3,fit=crop",
    "rotate:angle=45,background=black",
    "flip",
    "flip:direction=vertical",
)

NEUTRAL: Final = {"rotate": "rotate:angle=0", "flip": None}

ALL_MODES: Final = (*MODES, "CMYK", "I;16", "LA;16", "RGB;16", "RGBA;16")
PROPERTY: Final = settings(max_examples=150, deadline=None, database=None, derandomize=True)
ORIENTATIONS: Final = range(1, 9)
ANY_ANGLE: Final = st.floats(-360, 360).map(lambda angle: round(angle, 6))

# From an upright picture to the result, in terms of NumPy.
LOSSLESS: Final[dict[str, Callable[[NDArray[Any]], NDArray[Any]]]] = {
    "rotate": lambda levels: np.rot90(levels, -1),
    "rotate:angle=90": lambda levels: np.rot90(levels, -1),
    "rotate:angle=180": lambda levels: levels[::-1, ::-1],
    "rotate:angle=270": lambda levels: np.rot90(levels, 1),
    "rotate:angle=-90,fit=crop": lambda levels: np.rot90(levels, 1),
    "rotate:angle=-180,background=red": lambda levels: levels[::-1, ::-1],
    "rotate:angle=-270": lambda levels: np.rot90(levels, -1),
    "rotate:angle=360": lambda levels: levels,
    "flip": lambda levels: levels[:, ::-1],
    "flip:direction=horizontal": lambda levels: levels[:, ::-1],
    "flip:direction=vertical": lambda levels: levels[::-1],
}


def bands_of(mode: str) -> int:
    return {"L": 1, "I": 1, "LA": 2, "RGB": 3}.get(mode.partition(";")[0], 4)


def of_mode(mode: str, levels: NDArray[np.uint8]) -> Picture:
    """A picture of 8-bit levels (height, width, bands), times 257 where there are 16 bits."""
    if mode == "I;16":
        return Picture.of(Image.fromarray(levels[..., 0].astype(np.uint16) * 257))
    if mode.endswith(";16"):
        deep = Deep(levels.astype(np.uint16) * 257)
        return Picture.of(Image.new("L", deep.size)).with_pixels(deep)
    return Picture.of(image_of(mode, np.ascontiguousarray(levels)))


def picture_in(mode: str, size: Size = (83, 61)) -> Picture:
    return of_mode(mode, levels_of_all_kinds(bands_of(mode), *size))


def levels_in(picture: Picture) -> NDArray[Any]:
    deep = picture.deep
    levels = deep.array if deep else np.asarray(picture.image)
    return levels.reshape(picture.size[1], picture.size[0], -1)


def on_its_side(upright: NDArray[np.uint8], orientation: int) -> Picture:
    stored = np.ascontiguousarray(pictures.stored(upright, orientation))
    size = upright.shape[1], upright.shape[0]
    picture = Picture.of(Image.fromarray(stored))
    return replace(picture, full_size=size, orientation=orientation)


# What holds for all


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("rotate:angle=361", "rotate: angle: found '361', expected a number from -360 to 360 deg"),
        ("rotate:angle=-360.5", "rotate: angle: found '-360.5', expected a number from -360"),
        ("rotate:angle=left", "rotate: angle: found 'left', expected a number"),
        ("rotate:fit=cover", "rotate: fit: found 'cover', expected one of expand, crop"),
        ("rotate:background=sky", "rotate: background: unknown colour 'sky'"),
        ("rotate:degrees=4", "rotate: found 'degrees=4', expected angle=… or fit=…"),
        ("flip:direction=both", "flip: direction: found 'both', expected one of horizontal, vert"),
    ],
)
def test_invalid_settings_are_refused(words: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("mode", ALL_MODES)
@pytest.mark.parametrize("angle", [0, 360, -360])
def test_full_turn_returns_the_same_picture(angle: int, mode: str) -> None:
    picture = picture_in(mode)
    assert build("rotate", {"angle": angle}).apply(picture) is picture


@pytest.mark.slow
@PROPERTY
@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    angle=ANY_ANGLE,
    fit=st.sampled_from(["expand", "crop"]),
    mode=st.sampled_from(ALL_MODES),
)
def test_any_picture_gets_the_announced_size(size: Size, angle: float, fit: str, mode: str) -> None:
    operation = build("rotate", {"angle": angle, "fit": fit})
    after = operation.apply(picture_in(mode, size))
    assert after.size == after.full_size == operation.output_size(size)


# By quarters


@pytest.mark.slow
@together("mode", ALL_MODES)
@pytest.mark.parametrize("words", LOSSLESS)
def test_quarter_turns_and_flips_move_pixels_and_change_none(words: str, mode: str) -> None:
    picture = replace(picture_in(mode), icc=b"any")
    after = parse(words).apply(picture)
    expected = LOSSLESS[words](levels_in(picture))
    assert np.array_equal(levels_in(after), expected)
    assert (after.mode, after.icc, after.notices) == (mode, b"any", ())
    assert after.full_size == after.size == parse(words).output_size(picture.size)


@together("orientation", ORIENTATIONS)
@pytest.mark.parametrize("words", LOSSLESS)
def test_rotated_picture_is_turned_as_displayed(words: str, orientation: int) -> None:
    upright = levels_of_all_kinds(3)
    after = parse(words).apply(on_its_side(upright, orientation)).upright()
    assert np.array_equal(levels_in(after), LOSSLESS[words](upright))
    assert after.full_size == after.size
    assert after.area == (0, 0, *after.size)


@pytest.mark.slow
@together("orientation", ORIENTATIONS)
@pytest.mark.parametrize("words", LOSSLESS)
def test_shrunk_picture_is_turned_with_its_area_and_size(words: str, orientation: int) -> None:
    """A quarter of 330 x 242 pixels, the last column and row half empty."""
    upright = levels_of_all_kinds(3)
    stored_area = {True: (0.0, 0.0, 82.5, 60.5), False: (0.0, 0.0, 60.5, 82.5)}[orientation < 5]
    shrunk = replace(on_its_side(upright, orientation), full_size=(330, 242), area=stored_area)
    resize = Resize(SizeSpec(30, 30), "exact")
    before = resize.apply(shrunk)
    after = resize.apply(parse(words).apply(shrunk))
    expected = LOSSLESS[words](levels_in(before).astype(np.float64))
    # Kernels are symmetric, but the pass that comes first, rows or columns, is rounded first.
    difference = levels_in(after) - expected
    assert np.abs(difference).max() <= 3
    assert np.sqrt((difference**2).mean()) <= 0.6
    assert parse(words).apply(shrunk).full_size == parse(words).output_size((330, 242))


def test_no_more_is_decoded_than_necessary() -> None:
    assert parse("rotate").needed_size((6000, 4000), (400, 600)) == (600, 400)
    assert parse("rotate:angle=180").needed_size((6000, 4000), (600, 400)) == (600, 400)
    assert parse("flip").needed_size((6000, 4000), (600, 400)) == (600, 400)
    assert parse("rotate:angle=1").needed_size((6000, 4000), (600, 400)) == (6000, 4000)


@pytest.mark.slow
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("words", ["rotate", "flip", "rotate:angle=10,fit=crop"])
def test_command_line_turns_before_it_resizes(tmp_path: Path, words: str, orientation: int) -> None:
    upright = np.asarray(Image.fromarray(smooth(3)).resize((501, 333), Image.Resampling.BICUBIC))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(pictures.stored(upright, orientation))
    Image.fromarray(stored).save(tmp_path / "a.jpg", quality=97, subsampling=0, exif=exif)
    run(
        tmp_path / "a.jpg",
        *("--filter", words, "--filter", "resize", "--format", "png"),
        command=("resize", "--size", "60"),
    )
    with Image.open(tmp_path / "out" / "a.png") as made:
        found = np.asarray(made, np.float64)
        assert made.getexif().get(0x0112, 1) == 1
    full = decode(str(tmp_path / "a.jpg"), lambda size: size).upright()
    turned = levels_in(parse(words).apply(full)).astype(np.uint8)
    width, height = parse(words).output_size((501, 333))
    size = (60, round(60 * height / width)) if width > height else (round(60 * width / height), 60)
    expected = Image.fromarray(turned).resize(size, Image.Resampling.LANCZOS)
    assert found.shape[:2] == size[::-1]
    difference = found - np.asarray(expected, np.float64)
    assert np.sqrt((difference**2).mean()) <= 1.5


# By other angles: sizes


def corners_of(size: Size, angle: float) -> tuple[list[float], list[float]]:
    """The corners of a rotated rectangle, from its centre."""
    width, height = size
    radians = math.radians(angle)
    across, down = [], []
    for x in (-width / 2, width / 2):
        for y in (-height / 2, height / 2):
            across.append(x * math.cos(radians) - y * math.sin(radians))
            down.append(x * math.sin(radians) + y * math.cos(radians))
    return across, down


@PROPERTY
@given(size=st.tuples(st.integers(1, 9_000), st.integers(1, 9_000)), angle=ANY_ANGLE)
def test_expanded_canvas_has_room_for_every_corner(size: Size, angle: float) -> None:
    found = build("rotate", {"angle": angle}).output_size(size)
    for side, places in zip(found, corners_of(size, angle), strict=True):
        extent = max(places) - min(places)
        assert extent - 1e-5 <= side < extent + 1 + 1e-5


@PROPERTY
@given(size=st.tuples(st.integers(20, 9_000), st.integers(20, 9_000)), angle=ANY_ANGLE)
def test_cropped_rectangle_has_no_empty_corner_and_is_the_largest(size: Size, angle: float) -> None:
    width, height = build("rotate", {"angle": angle, "fit": "crop"}).output_size(size)
    # Turned back, its corners are in the picture.
    across, down = corners_of((width, height), -angle)
    if min(width, height) > 1:
        assert max(across) <= size[0] / 2 + 1e-4
        assert max(down) <= size[1] / 2 + 1e-4
    # For each width w, h is limited by w c + h s <= W and w s + h c <= H.
    c, s = abs(math.cos(math.radians(angle))), abs(math.sin(math.radians(angle)))
    widths = np.linspace(1e-9, math.hypot(*size), 4_001)
    with np.errstate(all="ignore"):
        heights = np.minimum((size[0] - widths * c) / s, (size[1] - widths * s) / c)
    largest = float(np.nanmax(np.maximum(widths * heights, 0), initial=0))
    assert (width + 1) * (height + 1) >= largest * (1 - 1e-6)


@pytest.mark.parametrize(
    ("words", "size"),
    [
        # 600 * cos 10° + 400 * sin 10° = 660.34, 600 * sin 10° + 400 * cos 10° = 498.11
        ("rotate:angle=10", (661, 499)),
        ("rotate:angle=-10", (661, 499)),
        ("rotate:angle=80", (499, 661)),
        ("rotate:angle=170", (661, 499)),
        # (600 cos 10° - 400 sin 10°) / cos 20° = 554.89; (400 cos 10° - 600 sin 10°) / cos 20°
        ("rotate:angle=10,fit=crop", (554, 308)),
        ("rotate:angle=-80,fit=crop", (308, 554)),
        # 200 / sin 45° = 282.8: half of the shorter side to each side of the middle.
        ("rotate:angle=45,fit=crop", (282, 282)),
        ("rotate:angle=45", (708, 708)),
    ],
)
def test_sizes_match_those_computed_by_hand(words: str, size: Size) -> None:
    assert parse(words).output_size((600, 400)) == size


# By other angles: pixels


def interpolated(levels: Floats, size: Size, angle: float) -> Floats:
    """Bicubic (Keys, a = -1/2) in float64, in two dimensions; edges are repeated."""
    height, width, _ = levels.shape
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float64)
    x, y = x + 0.5 - size[0] / 2, y + 0.5 - size[1] / 2
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    # Clockwise as seen, so each pixel comes from counterclockwise.
    across, down = x * c + y * s + width / 2 - 0.5, y * c - x * s + height / 2 - 0.5
    left, top = np.floor(across).astype(int), np.floor(down).astype(int)
    found = np.zeros((*across.shape, levels.shape[2]))
    for row in range(-1, 3):
        for column in range(-1, 3):
            weight = keys(down - top - row) * keys(across - left - column)
            rows = np.clip(top + row, 0, height - 1)
            columns = np.clip(left + column, 0, width - 1)
            found += weight[..., None] * levels[rows, columns]
    return found


def keys(distance: Floats) -> Floats:
    d = np.abs(distance)
    near, far = 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    return np.where(d < 1, near, np.where(d < 2, far, 0))


def smooth(bands: int, width: int = 120, height: int = 90) -> NDArray[np.uint8]:
    """Waves of some twenty pixels, on which all good interpolations agree."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    layers = [
        127 + 60 * np.sin(x / (3 + band) + band) + 50 * np.cos(y / 4 - x / 9)
        for band in range(bands)
    ]
    levels: NDArray[np.uint8] = np.rint(np.stack(layers, axis=-1)).astype(np.uint8)
    return levels


def within(size: Size, after: Size, angle: float, margin: float) -> NDArray[np.bool_]:
    """Which pixels of the result lie in the picture, at this distance from its edges."""
    y, x = np.mgrid[0 : after[1], 0 : after[0]].astype(np.float64)
    x, y = x + 0.5 - after[0] / 2, y + 0.5 - after[1] / 2
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    beyond = np.maximum(np.abs(x * c + y * s) - size[0] / 2, np.abs(y * c - x * s) - size[1] / 2)
    inside: NDArray[np.bool_] = beyond <= -margin
    return inside


ANGLES: Final = (0.2, 3, -7.5, 30, 45, -45, 60, 97, 135, -135, 181, 300, -359)


@pytest.mark.slow
@pytest.mark.parametrize("fit", ["expand", "crop"])
@together("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("angle", ANGLES)
def test_any_angle_matches_bicubic_interpolation_in_float64(
    angle: float, mode: str, fit: str
) -> None:
    levels = smooth(bands_of(mode))
    operation = build("rotate", {"angle": angle, "fit": fit})
    after = operation.apply(of_mode(mode, levels))
    exact = interpolated(levels.astype(np.float64), after.size, angle)
    inside = within((120, 90), after.size, angle, 6)
    assert inside.sum() > 1_000
    difference = (levels_in(after) - exact)[inside]
    # Each of three shears rounds levels, and offsets to 1/32 of a pixel, worth 0.5 levels here.
    assert np.abs(difference).max() <= 3
    assert np.sqrt((difference**2).mean()) <= 0.8
    assert abs(difference.mean()) <= 0.05
    assert (after.mode, after.notices) == (mode, ())


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("angle", [7, -100])
def test_alpha_is_premultiplied(mode: str, angle: float) -> None:
    levels = smooth(bands_of(mode))
    levels[..., -1] = 60 + levels[..., -1] // 2
    after = build("rotate", {"angle": angle}).apply(of_mode(mode, levels))
    alpha = levels[..., -1:] / 255
    premultiplied = np.concatenate([levels[..., :-1] * alpha, levels[..., -1:]], axis=2)
    exact = interpolated(premultiplied, after.size, angle)
    exact[..., :-1] /= exact[..., -1:] / 255
    difference = (levels_in(after) - exact)[within((120, 90), after.size, angle, 6)]
    # One premultiplied level is up to four where alpha is 65.
    assert np.abs(difference).max() <= 2.5 * 255 / 65
    assert np.sqrt((difference**2).mean()) <= 1.5


def test_invisible_colours_are_not_mixed_in() -> None:
    levels = np.zeros((60, 60, 4), np.uint8)
    levels[:] = (255, 0, 0, 0)
    levels[20:40, 20:40] = (0, 0, 255, 255)
    after = levels_in(parse("rotate:angle=20,background=#ff000000").apply(of_mode("RGBA", levels)))
    seen = after[..., 3] > 20
    assert seen.sum() > 380
    assert after[seen][:, 0].max() <= 8
    assert after[seen][:, 2].min() >= 247


def test_angles_are_clockwise_around_the_centre() -> None:
    levels = np.zeros((101, 101, 1), np.uint8)
    # To the right of the centre; after 30 degrees it is below, at 40 cos 30° and 40 sin 30°.
    levels[49:52, 89:92] = 255
    after = levels_in(parse("rotate:angle=30,background=black").apply(of_mode("L", levels)))
    weights = after[..., 0].astype(np.float64)
    y, x = np.mgrid[0 : after.shape[0], 0 : after.shape[1]] + 0.5
    centre = after.shape[1] / 2, after.shape[0] / 2
    found = (x * weights).sum() / weights.sum(), (y * weights).sum() / weights.sum()
    assert found[0] - centre[0] == pytest.approx(40 * math.cos(math.pi / 6), abs=0.1)
    assert found[1] - centre[1] == pytest.approx(20, abs=0.1)


@pytest.mark.parametrize("angle", [12.5, -40, 100])
@pytest.mark.parametrize("size", [(90, 70), (40, 3), (1, 30)])
def test_edge_pixels_are_mixed_with_the_background(size: Size, angle: float) -> None:
    """White on black shows how much of a pixel is covered, if it is turned with the picture."""
    white = of_mode("L", np.full((size[1], size[0], 1), 255, np.uint8))
    after = build("rotate", {"angle": angle, "background": "black"}).apply(white)
    width, height = after.size
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    x, y = x + 0.5 - width / 2, y + 0.5 - height / 2
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))

    def covered(place: Floats, length: int) -> Floats:
        first, last = np.maximum(place - 0.5, -length / 2), np.minimum(place + 0.5, length / 2)
        overlap: Floats = np.maximum(0, last - first)
        return overlap

    share = covered(x * c + y * s, size[0]) * covered(y * c - x * s, size[1])
    assert np.abs(levels_in(after)[..., 0] - 255 * share).max() <= 1.01
    # Nothing is lost, and nothing is gained.
    assert levels_in(after).sum() / 255 == pytest.approx(size[0] * size[1], rel=0.05)


@pytest.mark.slow
@together("mode", ALL_MODES)
@pytest.mark.parametrize("angle", [1, 14, -44, 75, 200])
def test_cropped_result_shows_no_background(angle: float, mode: str) -> None:
    levels = np.full((60, 90, bands_of(mode)), 200, np.uint8)
    words = f"rotate:angle={angle},fit=crop,background=#ff000000"
    after = parse(words).apply(of_mode(mode, levels))
    expected = {"I;16": "L"}.get(mode, mode.removesuffix(";16"))
    assert after.mode == expected
    assert np.unique(levels_in(after)).tolist() == [200]


@pytest.mark.parametrize(
    ("mode", "background", "after", "corner"),
    [
        ("L", "#808080", "L", (128,)),
        ("L", "#102030", "RGB", (16, 32, 48)),
        ("L", "#80808040", "LA", (128, 64)),
        ("LA", "black", "LA", (0, 255)),
        ("LA", "#10203040", "RGBA", (16, 32, 48, 64)),
        ("RGB", "#102030", "RGB", (16, 32, 48)),
        ("RGB", "#10203080", "RGBA", (16, 32, 48, 128)),
        ("RGBA", "white", "RGBA", (255, 255, 255, 255)),
        ("RGBA", "#10203000", "RGBA", (0, 0, 0, 0)),
        ("CMYK", "white", "CMYK", (0, 0, 0, 0)),
        ("CMYK", "black", "CMYK", (0, 0, 0, 255)),
        ("CMYK", "#ffffff80", "RGBA", (255, 255, 255, 128)),
        ("I;16", "#102030", "RGB", (16, 32, 48)),
        ("RGB;16", "#102030", "RGB", (16, 32, 48)),
    ],
)
def test_corners_have_the_background_colour(
    mode: str, background: str, after: str, corner: tuple[int, ...]
) -> None:
    made = build("rotate", {"angle": 20, "background": background}).apply(picture_in(mode))
    assert made.mode == after
    levels = levels_in(made).astype(int)
    for found in (levels[0, 0], levels[0, -1], levels[-1, 0], levels[-1, -1]):
        if corner[-1] == 0 and after == "RGBA":
            assert found[-1] == 0
        else:
            # Premultiplied and back, a level at low alpha is slightly off.
            assert np.abs(found - corner).max() <= 2
    assert not np.array_equal(levels[len(levels) // 2, 40], corner)


def test_background_is_given_in_srgb() -> None:
    picture = replace(picture_in("RGB"), icc=pictures.wide_gamut_profile())
    made = parse("rotate:angle=20,background=#c02040").apply(picture)
    expected = colour.levels_of((192, 32, 64, 255), picture)
    assert expected != (192, 32, 64)
    assert tuple(levels_in(made)[0, 0]) == expected
    assert made.icc == picture.icc


@pytest.mark.parametrize("mode", ["I;16", "LA;16", "RGB;16", "RGBA;16"])
def test_16_bits_are_reduced_with_a_warning_except_by_quarter_turns(mode: str) -> None:
    picture = picture_in(mode)
    for fit in ("crop", "expand"):
        made = build("rotate", {"angle": 20, "fit": fit}).apply(picture)
        (notice,) = made.notices
        assert notice.kind == "depth-reduced"
        if mode == "I;16":
            assert notice == DEPTH_NOTICE
        plain_one = build("rotate", {"angle": 20, "fit": fit}).apply(
            picture_in("L" if mode == "I;16" else mode.removesuffix(";16"))
        )
        assert np.array_equal(levels_in(made), levels_in(plain_one))


@pytest.mark.slow
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("words", ["rotate:angle=20", "rotate:angle=-100,fit=crop"])
def test_any_angle_works_on_a_picture_stored_rotated(words: str, orientation: int) -> None:
    upright = levels_of_all_kinds(3)
    expected = parse(words).apply(Picture.of(Image.fromarray(upright)))
    found = parse(words).apply(on_its_side(upright, orientation))
    assert (found.orientation, found.full_size, found.area) == (1, found.size, (0, 0, *found.size))
    assert np.array_equal(levels_in(found), levels_in(expected))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("words", ["rotate:angle=33", "rotate:angle=-4,fit=crop"])
def test_tiles_leave_no_seams(monkeypatch: pytest.MonkeyPatch, words: str, mode: str) -> None:
    whole = parse(words).apply(picture_in(mode, (150, 110)))
    monkeypatch.setattr(rotation, "_TILE", 32)
    monkeypatch.setattr(rotation, "_PIECE", 11)
    tiled = parse(words).apply(picture_in(mode, (150, 110)))
    assert np.array_equal(levels_in(whole), levels_in(tiled))


def test_result_is_the_same_without_simd(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = of_mode("RGB", smooth(3))
    found = levels_in(parse("rotate:angle=20").apply(picture)).astype(int)
    monkeypatch.setattr(resample, "_resize", resample.resize_pillow)
    plainly = levels_in(parse("rotate:angle=20").apply(picture))
    assert np.abs(found - plainly).max() <= 2


def test_flat_colour_is_unchanged() -> None:
    for level in (0, 1, 127, 254, 255):
        picture = of_mode("RGB", np.full((50, 70, 3), level, np.uint8))
        for angle in (3, 45, -77):
            made = build("rotate", {"angle": angle, "background": [level] * 3}).apply(picture)
            assert np.unique(levels_in(made)).tolist() == [level]


def test_turning_back_nearly_restores_the_picture() -> None:
    """Sharper than by two-dimensional bicubic interpolation, on noise that is a little soft."""
    noise = np.random.RandomState(2).randint(0, 256, (60, 80, 3)).astype(np.uint8)
    image = Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)
    levels = np.asarray(image)

    def error(there: Floats) -> float:
        height, width = there.shape[0], there.shape[1]
        top, left = (height - 120) // 2 + 20, (width - 160) // 2 + 20
        difference = there[top : top + 80, left : left + 120] - levels[20:100, 20:140]
        return float(np.sqrt((difference**2).mean()))

    once = parse("rotate:angle=20").apply(Picture.of(image))
    back = levels_in(parse("rotate:angle=-20").apply(once)).astype(np.float64)
    size = back.shape[1], back.shape[0]
    reference = np.rint(np.clip(interpolated(levels.astype(np.float64), once.size, 20), 0, 255))
    assert error(back) < error(np.clip(interpolated(reference, size, -20), 0, 255))
    assert error(back) <= 4


# Memory


def test_conversion_and_tile_are_counted_as_memory() -> None:
    size = (4000, 3000)
    quarter, slight = parse("rotate:angle=90"), parse("rotate:angle=1")
    first = quarter.working_bytes(size, (3000, 4000), mode="RGB")
    assert first == int(4.5 * 12e6)
    assert slight.working_bytes(size, slight.output_size(size), mode="RGB") > 2 * first
    # A small picture has a small tile.
    assert slight.working_bytes((10, 10), (15, 15), mode="RGB") < 20_000


# Animations


def run(path: Path, *words: str, command: tuple[str, ...] = ("filter",)) -> None:
    verb, *before = command
    output = str(path.parent / "out")
    ran = CliRunner().invoke(group, [verb, str(path), *before, *words, "-o", output])
    assert ran.exit_code == 0, ran.output


@pytest.mark.parametrize(
    "words", ["rotate", "flip:direction=vertical", "rotate:angle=30,background=black"]
)
def test_every_frame_of_an_animation_is_turned_alike(tmp_path: Path, words: str) -> None:
    frames = [np.full((30, 40), 40, np.uint8) for _ in range(3)]
    for number, frame in enumerate(frames):
        frame[5:15, 5 + 10 * number : 15 + 10 * number] = 200
    first, *rest = map(Image.fromarray, frames)
    buffer = BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=rest, duration=100, loop=0)
    (tmp_path / "moving.gif").write_bytes(buffer.getvalue())
    run(tmp_path / "moving.gif", "--filter", words, "--no-dither")
    with Image.open(tmp_path / "out" / "moving.gif") as image:
        assert image.n_frames == 3  # type: ignore[attr-defined]
        for number, frame in enumerate(frames):
            image.seek(number)
            found = np.asarray(image.convert("L")).astype(int)
            expected = levels_in(parse(words).apply(Picture.of(Image.fromarray(frame))))[..., 0]
            assert found.shape == expected.shape
            # A GIF has 256 colours: those of edges are merged.
            assert np.abs(found - expected).max() <= 4
