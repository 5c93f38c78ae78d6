"""Clarity and shadows-highlights against float64 NumPy, written from their definitions."""

from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from PIL import Image
from toolkit import ROOT, pictures
from toolkit.reference import (
    DEPTH_NOTICE,
    MODES,
    NEAREST,
    Floats,
    check_each_frame,
    check_refused,
    image_of,
    levels_of_all_kinds,
    luma,
    picture_of,
    planes_of,
)

from imgbatch.imaging.filters import guided, strips
from imgbatch.imaging.picture import Picture
from imgbatch.operations import parse
from imgbatch.operations.base import Operation
from imgbatch.operations.local import Clarity, ShadowsHighlights

WORDS: Final = (
    "clarity",
    "clarity:amount=1",
    "clarity:amount=-1",
    "clarity:radius=1",
    "clarity:amount=0.6,radius=10",
    "shadows-highlights",
    "shadows-highlights:shadows=1,highlights=0",
    "shadows-highlights:shadows=0,highlights=1",
    "shadows-highlights:shadows=1,highlights=1,radius=10",
    "shadows-highlights:shadows=0.5,radius=1",
)
NEUTRAL: Final = {
    "clarity": "clarity:amount=0",
    "shadows-highlights": "shadows-highlights:shadows=0,highlights=0",
}

NEAR: Final = NEAREST + 0.002
"""Levels: a base of 255 has 24 bits, and is a difference of values as large."""


# The definition


def _averages(length: int, step: int) -> Floats:
    """From pixels to the means of cells; the last cell may have fewer pixels."""
    cells = np.arange(length) // step
    matrix: Floats = (np.arange(cells[-1] + 1)[:, None] == cells).astype(np.float64)
    matrix /= matrix.sum(axis=1, keepdims=True)
    return matrix


def _windows(length: int, reach: int) -> Floats:
    """From cells to the means of their neighbourhoods."""
    apart = np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
    near = (apart <= reach).astype(np.float64)
    near /= near.sum(axis=1, keepdims=True)
    return near


def _between(length: int, cells: int, step: int) -> Floats:
    """From cells, whose centres are `step` pixels apart, to pixels."""
    middles = (np.arange(cells) + 0.5) * step - 0.5
    return np.stack(
        [np.interp(np.arange(length), middles, row) for row in np.eye(cells)], axis=1
    ).reshape(length, cells)


def _lines(grey: Floats, radius: int, step: int) -> tuple[Floats, Floats]:
    """The mean a and b of the guided filter at each cell; grey is (height, width), 0 to 1."""
    down, across = (_averages(length, step) for length in grey.shape)
    cells = down @ grey @ across.T
    down, across = (_windows(length, round(radius / step)) for length in cells.shape)
    mean = down @ cells @ across.T
    variance = down @ cells**2 @ across.T - mean**2
    slope = variance / (variance + 0.08**2)
    return down @ slope @ across.T, down @ (mean - slope * mean) @ across.T


def _base(grey: Floats, radius: int, step: int) -> Floats:
    """The base of grey (height, width), 0 to 1."""
    slope, offset = _lines(grey, radius, step)
    down, across = (
        _between(length, cells, step) for length, cells in zip(grey.shape, slope.shape, strict=True)
    )
    base: Floats = down @ slope @ across.T * grey + down @ offset @ across.T
    return base


def _parted(colours: Floats, percent: float) -> tuple[Floats, Floats]:
    """The luma and its base, (height, width, 1) from 0 to 1."""
    grey = luma(colours)[:, :, 0] / 255
    radius = max(1, round(percent / 100 * max(grey.shape)))
    step = max(1, radius // 4)
    return grey[:, :, None], _base(grey, radius, step)[:, :, None]


def _expected(operation: Operation, colours: Floats) -> Floats:
    match operation:
        case Clarity(amount=amount, radius=radius):
            grey, base = _parted(colours, radius)
            change = (3**amount - 1) * 4 * grey * (1 - grey) * (grey - base)
            return np.clip(colours + 255 * change, 0, 255)
        case ShadowsHighlights(shadows=shadows, highlights=highlights, radius=radius):
            _, base = _parted(colours, radius)
            gain = 1 + 2 * shadows * (1 - base) ** 3 - 2 * highlights * (1 - base) * base**2
            brightest = colours.max(axis=2, keepdims=True)
            made: Floats = colours * np.minimum(gain, 255 / np.maximum(brightest, 1))
            return made
    raise AssertionError(operation)


def _hold(operation: Operation, picture: Picture) -> None:
    before = planes_of(picture.image)
    given = picture.image.copy()
    after = operation.apply(picture)
    found = planes_of(after.image)
    colours = before.shape[2] - picture.has_alpha
    assert after.image.mode == picture.mode
    expected = _expected(operation, before[:, :, :colours])
    assert np.abs(found[:, :, :colours] - expected).max() <= NEAR
    assert np.array_equal(found[:, :, colours:], before[:, :, colours:])
    assert picture.image == given


def _wide(mode: str, width: int, height: int) -> Picture:
    return Picture.of(image_of(mode, levels_of_all_kinds(len(mode), width, height)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("words", WORDS)
def test_matches_the_definition(words: str, mode: str) -> None:
    """Cells of one pixel and, with the largest radius, of two."""
    _hold(parse(words), picture_of(mode))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("words", WORDS)
def test_matches_the_definition_with_larger_cells(words: str, mode: str) -> None:
    """Up to ten pixels, the last one partial; several strips and blocks, the last one shorter."""
    _hold(parse(words), _wide(mode, 417, 303))


SHAPES: Final = [(1, 1), (1, 2), (2, 1), (1, 90), (90, 1), (2, 203), (5, 4), (190, 31), (3001, 3)]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", SHAPES)
def test_any_shape_works(shape: tuple[int, int], mode: str) -> None:
    for words in ("clarity:amount=1", "shadows-highlights:shadows=1,radius=10"):
        _hold(parse(words), _wide(mode, *shape))


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_strips_of_any_height_leave_no_seams(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (strips, guided):
        monkeypatch.setattr(module, "STRIP_PIXELS", 83 * rows)
    _hold(Clarity(1.0, 10.0), picture_of("RGB"))
    _hold(ShadowsHighlights(1.0, 1.0, 10.0), picture_of("RGB"))


def test_tall_strip_of_pixels_takes_little_memory() -> None:
    """Interpolation uses matrices, which must not grow with the height."""
    picture = _wide("L", 1, 30_000)
    Clarity().apply(picture)
    tracemalloc.start()
    try:
        Clarity(radius=1.0).apply(picture)
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


def test_products_are_small_enough_for_a_single_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    matmul = np.matmul

    def counted(one: Floats, other: Floats, out: Floats) -> Floats:
        sizes.append(one.shape[0] * one.shape[1] * other.shape[1])
        return matmul(one, other, out=out)

    monkeypatch.setattr(np, "matmul", counted)
    for radius in (1.0, 3.0, 10.0):
        Clarity(radius=radius).apply(_wide("L", 1300, 90))
    assert max(sizes) <= 2**18


# Effects on pictures


def _flat(level: int) -> Picture:
    return Picture.of(Image.new("L", (12, 9), level))


def test_clarity_leaves_flat_pictures_alone() -> None:
    for level, amount in itertools.product(range(0, 256, 3), (1.0, -1.0)):
        picture = _flat(level)
        assert Clarity(amount).apply(picture).image == picture.image


@pytest.mark.slow
@pytest.mark.parametrize("shadows", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("highlights", [0.0, 0.5, 1.0])
def test_brighter_bases_stay_brighter(shadows: float, highlights: float) -> None:
    """From black, which is fixed, to white, which is fixed: as a curve of flat pictures."""
    operation = ShadowsHighlights(shadows, highlights)
    levels = [planes_of(operation.apply(_flat(level)).image)[0, 0, 0] for level in range(256)]
    assert (levels[0], levels[255]) == (0, 255)
    assert np.diff(levels).min() >= 0
    if shadows and not highlights:
        assert levels[32] - 32 > 20 * shadows > levels[220] - 220 >= 0
    if highlights and not shadows:
        assert 200 - levels[200] > 20 * highlights > 40 - levels[40] >= 0


def test_positive_amount_adds_contrast_and_negative_removes_it() -> None:
    """A wave of ±6 levels around the middle, far smaller than what counts as an edge."""
    wave = 128 + 6 * np.sin(np.arange(400) / 400 * 2 * np.pi * 40)
    pixels = np.broadcast_to(np.rint(wave).astype(np.uint8)[None, :, None], (50, 400, 1))
    picture = Picture.of(image_of("L", np.ascontiguousarray(pixels)))
    middle = slice(60, 340)
    before = planes_of(picture.image)[25, middle, 0].std()
    for amount, factor in ((1.0, 3.0), (0.3, 3**0.3), (-0.3, 3**-0.3), (-1.0, 1 / 3)):
        after = planes_of(Clarity(amount).apply(picture).image)[25, middle, 0].std()
        assert after / before == pytest.approx(factor, rel=0.1)


def test_clarity_fades_out_towards_black_and_white() -> None:
    changes = {}
    for level in (2, 20, 64, 128, 191, 235, 253):
        pixels = np.full((60, 60, 1), level, np.uint8)
        pixels[::2, ::2] = level + 2
        before = planes_of(image_of("L", pixels))
        after = planes_of(Clarity(1.0).apply(Picture.of(image_of("L", pixels))).image)
        changes[level] = np.abs(after - before).mean()
    assert changes[128] > 1
    assert changes[2] == changes[253] == 0
    assert changes[20] < changes[64] <= changes[128]
    assert changes[235] < changes[191] <= changes[128]


@pytest.mark.parametrize(
    ("words", "most"),
    [
        ("clarity", 4),
        ("clarity:amount=1", 21),
        ("shadows-highlights", 3),
        ("shadows-highlights:shadows=1,highlights=1", 12),
    ],
)
def test_edge_gets_hardly_any_halo(words: str, most: int) -> None:
    """At a step of 130 levels, its surroundings are hardly darker or brighter than far away.

    An unsharp mask with the amount of the first two would add 19 and 97 levels.
    """
    pixels = np.full((60, 400, 1), 60, np.uint8)
    pixels[:, 200:] = 190
    line = planes_of(parse(words).apply(Picture.of(image_of("L", pixels))).image)[30, :, 0]
    dark, bright = line[0], line[-1]
    assert dark < bright
    assert np.abs(line[:200] - dark).max() <= most
    assert np.abs(line[200:] - bright).max() <= most


def test_shadows_keep_their_texture() -> None:
    """It is multiplied like its surroundings; a tone curve alone would flatten it."""
    chance = np.random.RandomState(3)
    pixels = np.rint(50 + chance.normal(0, 4, (90, 120, 1))).astype(np.uint8)
    after = planes_of(ShadowsHighlights(1.0, 0.0).apply(Picture.of(image_of("L", pixels))).image)
    assert after.mean() / pixels.mean() > 1.8
    assert after.std() / after.mean() > 0.9 * pixels.std() / pixels.mean()


def test_colours_keep_their_ratios() -> None:
    pixels = np.full((20, 20, 3), (80, 40, 20), np.uint8)
    after = planes_of(ShadowsHighlights(1.0, 0.0).apply(Picture.of(image_of("RGB", pixels))).image)
    red, green, blue = after[10, 10]
    assert red > 120
    assert red / green == pytest.approx(2, abs=0.03)
    assert green / blue == pytest.approx(2, abs=0.06)


def test_light_in_the_dark_keeps_its_colour() -> None:
    """Its brightest channel reaches 255 at most, and takes the others with it."""
    pixels = np.full((40, 40, 3), 8, np.uint8)
    pixels[20, 20] = (240, 120, 60)
    after = planes_of(ShadowsHighlights(1.0, 0.0).apply(Picture.of(image_of("RGB", pixels))).image)
    assert after[20, 20].tolist() == [255, 128, 64]


@pytest.mark.parametrize("words", [words for words in WORDS if "radius=1," not in words])
def test_grey_picture_in_rgb_stays_grey(words: str) -> None:
    picture = picture_of("L")
    after = parse(words).apply(Picture.of(picture.image.convert("RGB")))
    alone = parse(words).apply(picture)
    assert after.image.mode == "RGB"
    assert after.image == alone.image.convert("RGB")


def test_shrinking_first_looks_the_same() -> None:
    """So that a decoder may shrink: the same to the eye, a bit over a level."""
    levels = levels_of_all_kinds(3, 960, 640)
    levels[:160] = levels[160:320]
    image = image_of("RGB", levels)
    small = image.reduce(2)
    for words in ("clarity", "shadows-highlights:shadows=0.6"):
        operation = parse(words)
        assert operation.pixelwise
        assert operation.needed_size((960, 640), (480, 320)) == (480, 320)
        before = planes_of(operation.apply(Picture.of(image)).image.reduce(2))
        after = planes_of(operation.apply(Picture.of(small)).image)
        assert np.sqrt(np.mean((after - before) ** 2)) < 1.2


def test_cells_look_like_per_pixel_filtering() -> None:
    """The base from means differs from the plain guided filter by less than eyes see."""
    with Image.open(ROOT / "sample_images" / "mountains.jpg") as photo:
        image = photo.convert("L").resize((480, 320))
    grey = planes_of(image)[:, :, 0] / 255
    radius = 24
    found = guided.Base(image, radius, 20.4).rows(0, np.asarray(image))
    assert np.sqrt(np.mean((found - 255 * _base(grey, radius, 1)) ** 2)) < 1.5
    assert np.abs(255 * grey - found).mean() > 3


# As every operation


def test_alpha_is_neither_used_nor_changed() -> None:
    for words in ("clarity:amount=1", "shadows-highlights:shadows=1"):
        seen = parse(words).apply(picture_of("RGBA")).image
        opaque = picture_of("RGBA").image
        opaque.putalpha(255)
        plainly = parse(words).apply(Picture.of(opaque)).image
        assert np.array_equal(planes_of(seen)[..., :3], planes_of(plainly)[..., :3])


@pytest.mark.parametrize("words", WORDS)
def test_16_bits_and_cmyk_are_converted_first(words: str) -> None:
    grey = picture_of("L").image
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    after = parse(words).apply(Picture.of(deep))
    assert after.image == parse(words).apply(Picture.of(grey)).image
    assert after.notices == (DEPTH_NOTICE,)
    inks = Picture.of(picture_of("RGB").image.convert("CMYK"))
    assert parse(words).apply(inks).image.mode == "RGB"


@pytest.mark.parametrize("words", WORDS)
def test_profile_and_area_are_kept(words: str) -> None:
    profile = pictures.wide_gamut_profile()
    after = parse(words).apply(picture_of("RGB", profile))
    assert (after.icc, after.area) == (profile, (0, 0, 83, 61))


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("clarity:amount=1.5", ["clarity: amount", "'1.5'", "a number from -1 to 1"]),
        ("clarity:amount=-2", ["clarity: amount", "'-2'", "a number from -1 to 1"]),
        ("clarity:radius=0.5", ["clarity: radius", "'0.5'", "from 1 to 10 % of the long edge"]),
        ("clarity:radus=2", ["clarity", "'radus=2'", "radius=…"]),
        ("shadows-highlights:shadows=-0.1", ["shadows-highlights: shadows", "'-0.1'", "0 to 1"]),
        ("shadows-highlights:highlights=2", ["shadows-highlights: highlights", "'2'", "0 to 1"]),
        ("shadows-highlights:radius=11", ["shadows-highlights: radius", "'11'", "from 1 to 10 %"]),
        ("shadow-highlights", ["shadow-highlights", "shadows-highlights"]),
    ],
)
def test_wrong_settings_say_what_is_expected(words: str, parts: list[str]) -> None:
    check_refused(words, parts)


@pytest.mark.parametrize("words", ["clarity:amount=1", "shadows-highlights"])
def test_every_frame_of_an_animation_is_changed(tmp_path: Path, words: str) -> None:
    check_each_frame(tmp_path, words)
