"""Denoising against float64 NumPy, written from its definitions, and against Pillow's median."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image, ImageFilter
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

from imgbatch.imaging.filters import denoising, strips
from imgbatch.imaging.filters import median as medians
from imgbatch.imaging.picture import Picture
from imgbatch.operations import parse
from imgbatch.operations.base import Operation
from imgbatch.operations.denoise import Denoise

WORDS: Final = (
    "denoise",
    "denoise:strength=1,colour=1",
    "denoise:strength=0,colour=0.3",
    "denoise:strength=0.5,colour=0",
    "denoise:strength=0.01,colour=0.01",
    "denoise:method=median",
    "denoise:method=median,radius=2",
    "denoise:method=median,radius=3",
)
NEUTRAL: Final = {"denoise": "denoise:strength=0,colour=0"}

NEAR: Final = NEAREST + 0.005
"""Levels: a variance is the difference of sums of squares in 24 bits, of which noise is a part."""

MARGIN: Final = 10
"""More than the reach of windows of 5 x 5 cells of two pixels, twice, and interpolation."""


# The definitions


def _around(plane: Floats) -> Floats:
    """The 25 values around each pixel, except for the outermost two."""
    return sliding_window_view(plane, (5, 5))


def _estimates(planes: list[Floats], cell: int, deviation: float) -> tuple[Floats, list[Floats]]:
    """For the windows containing a cell, the means of u and u * m, weighted by u; 4 cells in."""
    windows = [sliding_window_view(plane, (5 * cell, 5 * cell))[::cell, ::cell] for plane in planes]
    means = [window.mean(axis=(2, 3)) for window in windows]
    variance = np.mean([window.var(axis=(2, 3)) for window in windows], axis=0)
    share = deviation**2 / np.maximum(variance, deviation**2)
    total = _around(share).sum(axis=(2, 3))
    weighted = [_around(share * share * mean).sum(axis=(2, 3)) / total for mean in means]
    return _around(share * share).sum(axis=(2, 3)) / total, weighted


def _between_cells(cells: Floats, first: int, height: int, width: int) -> Floats:
    """Pixels from the upper left of cell `first` on, interpolated between cell centres."""
    down, across = (
        np.stack([np.interp(np.arange(2 * first, 2 * first + length), middles, row) for row in eye])
        for length, middles, eye in (
            (length, 2 * np.arange(count) + 0.5, np.eye(count))
            for length, count in zip((height, width), cells.shape, strict=True)
        )
    )
    between: Floats = down.T @ cells @ across
    return between


def _smooth(colours: Floats, luma_deviation: float, colour_deviation: float) -> Floats:
    height, width, _ = colours.shape
    # Padded to an even number, too.
    after = [(MARGIN, MARGIN + side % 2) for side in (height, width)]
    wide = np.pad(colours, [*after, (0, 0)], mode="edge")
    inner = slice(MARGIN, MARGIN + height), slice(MARGIN, MARGIN + width)
    grey = luma(wide)[:, :, 0]
    lighter = np.zeros((height, width))
    if luma_deviation:
        share, (mean,) = _estimates([grey], 1, luma_deviation)
        near = slice(MARGIN - 4, MARGIN - 4 + height), slice(MARGIN - 4, MARGIN - 4 + width)
        lighter = mean[near] - share[near] * grey[inner]
    made = colours + lighter[:, :, None]
    if colour_deviation and colours.shape[2] == 3:
        planes = [wide[:, :, band] - grey for band in (2, 0)]
        share, means = _estimates(planes, 2, colour_deviation)
        first = MARGIN // 2 - 4
        shares = _between_cells(share, first, height, width)
        blue, red = (
            _between_cells(mean, first, height, width) - shares * plane[inner]
            for mean, plane in zip(means, planes, strict=True)
        )
        green = -(0.299 * red + 0.114 * blue) / 0.587
        made = made + np.stack([red, green, blue], axis=2)
    return made


def _median(colours: Floats, radius: int) -> Floats:
    wide = np.pad(colours, ((radius, radius), (radius, radius), (0, 0)), mode="edge")
    around = sliding_window_view(wide, (2 * radius + 1, 2 * radius + 1), axis=(0, 1))
    made: Floats = np.median(around, axis=(3, 4))
    return made


def _expected(operation: Denoise, colours: Floats) -> Floats:
    if operation.method == "median":
        return _median(colours, operation.radius or 1)
    strength = 0.25 if operation.strength is None else operation.strength
    colour = 0.5 if operation.colour is None else operation.colour
    return np.clip(_smooth(colours, 20 * strength, 20 * colour), 0, 255)


def _hold(operation: Operation, picture: Picture) -> None:
    assert isinstance(operation, Denoise)
    before = planes_of(picture.image)
    given = picture.image.copy()
    after = operation.apply(picture)
    found = planes_of(after.image)
    colours = before.shape[2] - picture.has_alpha
    assert after.image.mode == picture.mode
    expected = _expected(operation, before[:, :, :colours])
    near = 0 if operation.method == "median" else NEAR
    assert np.abs(found[:, :, :colours] - expected).max() <= near
    assert np.array_equal(found[:, :, colours:], before[:, :, colours:])
    assert picture.image == given


def _wide(mode: str, width: int, height: int) -> Picture:
    return Picture.of(image_of(mode, levels_of_all_kinds(len(mode), width, height)))


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("words", WORDS)
def test_matches_the_definition(words: str, mode: str) -> None:
    _hold(parse(words), picture_of(mode))


SHAPES: Final = [(1, 1), (1, 2), (2, 1), (1, 90), (90, 1), (2, 203), (5, 4), (7, 7), (64, 50)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", SHAPES)
def test_any_shape_works(shape: tuple[int, int], mode: str) -> None:
    for words in ("denoise:strength=0.5", "denoise:method=median,radius=3"):
        _hold(parse(words), _wide(mode, *shape))


@pytest.mark.parametrize("pixels", [1, 300, 1500])
def test_tiles_of_any_size_leave_no_seams(pixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "STRIP_PIXELS", pixels)
    monkeypatch.setattr(denoising, "STRIP_PIXELS", pixels)
    monkeypatch.setattr(denoising, "_WIDEST", 26)
    monkeypatch.setattr(medians, "_STRIP_BYTES", 700)
    _hold(Denoise(strength=0.5, colour=0.5), picture_of("RGB"))
    _hold(Denoise("median", radius=2), picture_of("RGB"))


@pytest.mark.slow
def test_picture_of_several_tiles() -> None:
    picture = _wide("RGB", 1039, 131)
    _hold(Denoise(), picture)
    _hold(Denoise("median"), picture)


@pytest.mark.parametrize("level", [1, 128, 252])
def test_faint_noise_is_measured_at_any_level(level: int) -> None:
    """Its variance is the small difference of large sums."""
    pixels = np.full((60, 60, 1), level, np.uint8)
    pixels += np.random.RandomState(4).randint(0, 3, pixels.shape).astype(np.uint8)
    for strength in (0.001, 0.01, 0.04, 1.0):
        _hold(Denoise(strength=strength), Picture.of(image_of("L", pixels)))


# The median


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("radius", [1, 2, 3])
def test_median_matches_pillow(radius: int, mode: str) -> None:
    """Up to the edges."""
    picture = _wide(mode, 211, 157)
    expected = picture.image.filter(ImageFilter.MedianFilter(2 * radius + 1))
    assert Denoise("median", radius=radius).apply(picture).image == expected


def test_median_of_every_pattern_of_nine_pixels() -> None:
    """A sorting network that is right for all zeros and ones is right for everything."""
    windows = np.array(list(itertools.product((0, 255), repeat=9)), np.uint8)
    pixels = np.ascontiguousarray(windows.reshape(16 * 32, 3, 3).swapaxes(0, 1).reshape(3, -1, 1))
    found = planes_of(Denoise("median").apply(Picture.of(image_of("L", pixels))).image)
    assert np.array_equal(found[1, 1::3, 0], np.median(windows, axis=1))


@pytest.mark.parametrize("radius", [2, 3])
def test_median_of_nearly_balanced_windows(radius: int) -> None:
    """Half of the pixels and one are white, or black, in random order."""
    side = 2 * radius + 1
    chance = np.random.RandomState(5)
    half = side * side // 2
    rows = [[255] * (half + number % 2) + [0] * (half + 1 - number % 2) for number in range(4000)]
    windows = np.array([chance.permutation(row) for row in rows], np.uint8)
    pixels = np.ascontiguousarray(
        windows.reshape(-1, side, side).swapaxes(0, 1).reshape(side, -1, 1)
    )
    after = Denoise("median", radius=radius).apply(Picture.of(image_of("L", pixels)))
    found = planes_of(after.image)[radius, radius::side, 0]
    assert found.tolist() == [255 * (number % 2) for number in range(4000)]


@pytest.mark.parametrize(("side", "most"), [(3, 20), (5, 132), (7, 390)])
def test_networks_have_no_needless_exchanges(side: int, most: int) -> None:
    assert sum(len(network.steps) for network in medians._networks(side)) <= most


def test_specks_vanish_and_edges_stay() -> None:
    pixels = np.full((40, 60, 3), 60, np.uint8)
    pixels[:, 30:] = (180, 200, 90)
    specked = pixels.copy()
    specked[::5, ::5] = 255
    after = Denoise("median").apply(Picture.of(image_of("RGB", specked)))
    assert np.array_equal(planes_of(after.image), pixels)


# Smoothing


def _photo() -> Floats:
    with Image.open(ROOT / "sample_images" / "mountains.jpg") as photo:
        return planes_of(photo.convert("RGB").resize((450, 300)))


def _noisy(colours: Floats, deviation: float) -> Picture:
    noise = np.random.RandomState(11).normal(0, deviation, colours.shape)
    return Picture.of(image_of("RGB", np.rint(np.clip(colours + noise, 0, 255)).astype(np.uint8)))


def _decibels(found: Picture, colours: Floats) -> float:
    """The peak signal-to-noise ratio."""
    return float(20 * np.log10(255 / np.sqrt(np.mean((planes_of(found.image) - colours) ** 2))))


@pytest.mark.parametrize(("deviation", "strength", "gain"), [(5, 0.15, 3.0), (10, 0.33, 5.0)])
def test_noisy_photo_gets_closer_to_the_clean_one(
    deviation: float, strength: float, gain: float
) -> None:
    """The noise of each channel by itself has 0.67 of its deviation left in the luma."""
    clean = _photo()
    noisy = _noisy(clean, deviation)
    after = Denoise(strength=strength, colour=1.5 * strength).apply(noisy)
    assert _decibels(after, clean) - _decibels(noisy, clean) > gain
    median = Denoise("median").apply(noisy)
    assert _decibels(after, clean) > _decibels(median, clean) + 1


def test_default_improves_a_noisy_photo_and_hardly_harms_a_clean_one() -> None:
    clean = _photo()
    noisy = _noisy(clean, 8)
    assert _decibels(Denoise().apply(noisy), clean) - _decibels(noisy, clean) > 4
    assert _decibels(Denoise().apply(_noisy(clean, 0)), clean) > 34


def test_flat_areas_lose_nearly_all_noise_and_edges_little() -> None:
    """An edge in the luma, and one that is almost only in the colours, in the middle of a cell."""
    for left, right in (((60, 60, 60), (180, 180, 180)), ((200, 40, 40), (40, 40, 200))):
        colours = np.full((60, 90, 3), left, np.float64)
        colours[:, 45:] = right
        found = planes_of(Denoise(strength=0.35, colour=0.6).apply(_noisy(colours, 10)).image)
        for even in (slice(8, 36), slice(54, 82)):
            assert (found - colours)[:, even].std() < 10 / 4
        step = found[:, 45].mean(axis=0) - found[:, 44].mean(axis=0)
        assert step == pytest.approx(np.subtract(right, left), abs=9)


def test_colours_are_smoothed_more_than_luma() -> None:
    colours = np.full((60, 90, 3), 120.0)
    noisy = _noisy(colours, 10)
    found = planes_of(Denoise(strength=0.3, colour=0.5).apply(noisy).image)
    before = planes_of(noisy.image)

    def kept(part: Floats, whole: Floats) -> float:
        return float(part.std() / whole.std())

    assert kept(found[:, :, 0] - found[:, :, 1], before[:, :, 0] - before[:, :, 1]) < 0.2
    assert 0.2 < kept(luma(found), luma(before)) < 0.5


def test_colour_leaves_the_luma_and_strength_the_colours() -> None:
    picture = picture_of("RGB")
    before = planes_of(picture.image)
    inside = (before.min(axis=2) > 30) & (before.max(axis=2) < 225)
    coloured = planes_of(Denoise(strength=0.0, colour=0.3).apply(picture).image)
    weights = np.array([0.299, 0.587, 0.114])
    assert np.abs((coloured - before) @ weights)[inside].max() <= 0.5
    lighter = planes_of(Denoise(strength=0.5, colour=0.0).apply(picture).image) - before
    assert np.array_equal(lighter[inside], np.broadcast_to(lighter[..., :1], before.shape)[inside])


def test_flat_pictures_are_unchanged() -> None:
    for level in range(0, 256, 5):
        pixels = np.full((14, 13, 3), (level, 255 - level, 90), np.uint8)
        picture = Picture.of(image_of("RGB", pixels))
        for operation in (Denoise(strength=1.0, colour=1.0), Denoise("median", radius=3)):
            assert operation.apply(picture).image == picture.image


# As every operation


@pytest.mark.parametrize("words", WORDS)
def test_grey_picture_in_rgb_stays_grey(words: str) -> None:
    picture = picture_of("L")
    after = parse(words).apply(Picture.of(picture.image.convert("RGB")))
    alone = parse(words).apply(picture)
    assert after.image == alone.image.convert("RGB")


def test_colour_alone_leaves_a_grey_picture_unchanged() -> None:
    grey, with_alpha = picture_of("L"), picture_of("LA")
    operation = Denoise(strength=0.0, colour=1.0)
    assert operation.apply(grey).image is grey.image
    assert operation.apply(with_alpha).image == with_alpha.image


def test_alpha_is_neither_used_nor_changed() -> None:
    for words in ("denoise", "denoise:method=median"):
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


def test_profile_and_area_are_kept() -> None:
    profile = pictures.wide_gamut_profile()
    for words in WORDS:
        after = parse(words).apply(picture_of("RGB", profile))
        assert (after.icc, after.area) == (profile, (0, 0, 83, 61))


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("denoise:strength=1.5", ["denoise: strength", "'1.5'", "a number from 0 to 1"]),
        ("denoise:colour=-1", ["denoise: colour", "'-1'", "a number from 0 to 1"]),
        ("denoise:method=mean", ["denoise: method", "'mean'", "one of smooth, median"]),
        ("denoise:colur=1", ["denoise", "'colur=1'", "colour=…"]),
        (
            "denoise:method=median,radius=4",
            ["denoise: radius", "'4'", "a whole number from 1 to 3 pixels"],
        ),
        ("denoise:method=median,radius=1.5", ["denoise: radius", "'1.5'", "a whole number"]),
        ("denoise:radius=2", ["denoise: found radius=2 with method=smooth", "strength or colour"]),
        (
            "denoise:method=median,strength=0.5",
            ["denoise: found strength=0.5 with method=median", "expected radius"],
        ),
        (
            "denoise:method=median,colour=0",
            ["denoise: found colour=0 with method=median", "expected radius"],
        ),
    ],
)
def test_wrong_settings_say_what_is_expected(words: str, parts: list[str]) -> None:
    check_refused(words, parts)


@pytest.mark.parametrize("words", ["denoise:strength=0.6", "denoise:method=median"])
def test_every_frame_of_an_animation_is_changed(tmp_path: Path, words: str) -> None:
    check_each_frame(tmp_path, words)
