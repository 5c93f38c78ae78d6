"""Blur and sharpening against float64 NumPy, written from their definitions."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from PIL import Image, ImageFilter
from toolkit import pictures
from toolkit.reference import (
    DEPTH_NOTICE,
    NEAREST,
    Floats,
    check_each_frame,
    check_refused,
    image_of,
    levels_of_all_kinds,
    luma,
    picture_of,
    planes_of,
    sixteen_bits,
    without_doubtful_luma,
)

from imgbatch.imaging.filters import blurring
from imgbatch.imaging.picture import Picture
from imgbatch.operations import parse, words_of
from imgbatch.operations.base import Operation
from imgbatch.operations.detail import Blur, OutputSharpen, Sharpen, Unsharp

# 3.8 is the last radius that is blurred at every pixel; of the two blurs of the first one that is
# not, each has the least spread possible.
DIRECT: Final = (0.2, 0.3, 0.5, 0.8, 1.0, 2.0, 3.8)
IN_TWO: Final = (3.82, 5.0, 8.0, 20.0, 100.0, 1000.0)

WORDS: Final = (
    "blur",
    "blur:radius=0.5",
    "blur:radius=8",
    "blur:radius=1000",
    "sharpen",
    "sharpen:amount=0.3",
    "sharpen:amount=8",
    "unsharp",
    "unsharp:radius=0.1",
    "unsharp:radius=4,amount=1.5",
    "unsharp:threshold=3.5",
    "unsharp:radius=250,amount=10,threshold=255",
    "unsharp:radius=250,amount=10",
    "output-sharpen",
    "output-sharpen:medium=glossy",
    "output-sharpen:medium=matte,strength=high",
    "output-sharpen:strength=low",
)
NEUTRAL: Final = {
    "blur": "blur:radius=0",
    "sharpen": "sharpen:amount=0",
    "unsharp": "unsharp:amount=0",
    "output-sharpen": None,
}

CUT: Final = 0.02
"""Levels: more than the tails of a Gaussian beyond four standard deviations, 2 * 3.2e-5 * 255."""


@cache
def _along(length: int, sigma: float) -> Floats:
    """The weights of each pixel of a row, out to six sigma; edge pixels are repeated."""
    reach = math.ceil(6 * sigma)
    taps = np.arange(-reach, reach + 1)
    weights = np.exp(-(taps**2) / (2 * sigma**2))
    weights /= weights.sum()
    matrix = np.zeros((length, length))
    pixels = np.arange(length)
    for tap, weight in zip(taps, weights, strict=True):
        matrix[pixels, np.clip(pixels + tap, 0, length - 1)] += weight
    return matrix


def _gaussian(planes: Floats, sigma: float) -> Floats:
    height, width, _ = planes.shape
    down = np.tensordot(_along(height, sigma), planes, (1, 0))
    return np.moveaxis(np.tensordot(_along(width, sigma), down, (1, 1)), 0, 1)


def _binomial(grey: Floats) -> Floats:
    around = np.pad(grey[:, :, 0], 1, mode="edge")
    height, width, _ = grey.shape
    total = np.zeros((height, width))
    for y, down in enumerate((1, 2, 1)):
        for x, across in enumerate((1, 2, 1)):
            total += across * down / 16 * around[y : y + height, x : x + width]
    return total[:, :, None]


def _sharpen(colours: Floats, amount: float) -> Floats:
    grey = luma(colours)
    return colours + amount * (grey - _binomial(grey))


def _unsharp(colours: Floats, radius: float, amount: float, threshold: float) -> Floats:
    grey = luma(colours)
    detail = grey - _gaussian(grey, radius)
    beyond = np.sign(detail) * np.maximum(np.abs(detail) - threshold, 0)
    return colours + amount * beyond


RADII: Final = {"screen": (0.6, 0.0), "glossy": (0.8, 1.0), "matte": (1.0, 1.4)}
AMOUNTS: Final = {"screen": 0.7, "glossy": 1.0, "matte": 1.3}
STRENGTHS: Final = {"low": 0.6, "standard": 1.0, "high": 1.6}


def _output_sharpen(colours: Floats, medium: str, strength: str) -> Floats:
    grey = luma(colours)
    height, width, _ = grey.shape
    least, minutes = RADII[medium]
    radius = max(least, minutes * math.radians(1 / 60) * max(height, width))
    detail = AMOUNTS[medium] * STRENGTHS[strength] * (grey - _gaussian(grey, radius))
    around = np.pad(grey, ((1, 1), (1, 1), (0, 0)), mode="edge")
    nine = np.stack(
        [around[y : y + height, x : x + width] for y in range(3) for x in range(3)], axis=0
    )
    after = np.clip(grey + detail, nine.min(axis=0) - 12, nine.max(axis=0) + 12)
    return colours + after - grey


def _expected(operation: Operation, colours: Floats) -> tuple[Floats, float]:
    """The expected result, within 0 to 255, and the tolerance."""
    match operation:
        case Blur(radius=radius):
            found, amount = (_gaussian(colours, radius) if radius else colours), 1.0
        case Sharpen(amount=amount):
            # In integers up to the single rounding.
            return np.clip(_sharpen(colours, amount), 0, 255), NEAREST
        case Unsharp(radius=radius, amount=amount, threshold=threshold):
            found = _unsharp(colours, radius, amount, threshold)
        case OutputSharpen(medium=medium, strength=strength):
            found = _output_sharpen(colours, medium, strength)
            amount = AMOUNTS[medium] * STRENGTHS[strength]
        case _:
            raise AssertionError(operation)
    return np.clip(found, 0, 255), NEAREST + amount * CUT


def _hold(operation: Operation, picture: Picture) -> None:
    """Compare the result on a picture without alpha with the reference."""
    before = planes_of(picture.image)
    after = operation.apply(picture)
    expected, near = _expected(operation, before)
    assert after.image.mode == picture.mode
    assert np.abs(planes_of(after.image) - expected).max() <= near
    assert after.notices == ()


def _noise(mode: str, width: int, height: int) -> Picture:
    chance = np.random.RandomState(5)
    pixels = chance.randint(0, 256, (height, width, len(mode)), dtype=np.uint8)
    return Picture.of(image_of(mode, without_doubtful_luma(pixels)))


# All of them


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("words", WORDS)
def test_result_matches_the_definition(words: str, mode: str) -> None:
    _hold(parse(words), picture_of(mode))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("words", [words for words in WORDS if not words.startswith("blur")])
def test_sharpening_keeps_alpha(words: str, mode: str) -> None:
    picture = picture_of(mode)
    operation = parse(words)
    after = operation.apply(picture)
    before, found = planes_of(picture.image), planes_of(after.image)
    expected, near = _expected(operation, before[..., :-1])
    assert after.image.mode == mode
    assert np.abs(found[..., :-1] - expected).max() <= near
    assert np.array_equal(found[..., -1], before[..., -1])


@pytest.mark.parametrize("words", WORDS)
def test_16_bit_grey_is_processed_in_8_bits_with_a_warning(words: str) -> None:
    picture = sixteen_bits()
    operation = parse(words)
    after = operation.apply(picture)
    expected, near = _expected(operation, np.rint(planes_of(picture.image) / 257))
    assert np.abs(planes_of(after.image) - expected).max() <= near
    assert after.notices == (DEPTH_NOTICE,)


@pytest.mark.parametrize("words", WORDS)
def test_cmyk_is_processed_in_rgb(words: str) -> None:
    inks = levels_of_all_kinds(4)
    operation = parse(words)
    after = operation.apply(Picture.of(image_of("CMYK", inks)))
    paper = 255 - inks.astype(np.float64)
    colours = np.rint(paper[:, :, :3] * paper[:, :, 3:] / 255).astype(np.uint8)
    expected = operation.apply(Picture.of(image_of("RGB", colours)))
    assert after.image.mode == "RGB"
    assert np.array_equal(planes_of(after.image), planes_of(expected.image))
    assert (after.icc, after.notices) == (None, ())


@pytest.mark.parametrize("words", WORDS)
def test_profile_and_area_are_kept(words: str) -> None:
    profile = pictures.wide_gamut_profile()
    after = parse(words).apply(picture_of("RGB", profile))
    assert after.icc == profile
    assert after.area == (0, 0, 83, 61)
    plainly = parse(words).apply(picture_of("RGB"))
    assert np.array_equal(planes_of(after.image), planes_of(plainly.image))


SHAPES: Final = [
    pytest.param(400, 613, id="several strips, the last one shorter"),
    pytest.param(400, 500, id="two whole strips"),
    pytest.param(401, 499, id="one row more than two strips"),
    pytest.param(20_001, 33, id="rows so long that a strip has few"),
    pytest.param(100_003, 2, id="rows longer than a strip"),
    pytest.param(3, 70_001, id="strips higher than wide"),
]


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(("width", "height"), SHAPES)
def test_sharpen_leaves_no_seams(mode: str, width: int, height: int) -> None:
    _hold(Sharpen(0.7), _noise(mode, width, height))


@pytest.mark.slow
@pytest.mark.parametrize("rows", [7, 33])
@pytest.mark.parametrize(
    "operation",
    [*map(Blur, (*DIRECT, *IN_TWO)), Unsharp(2.0, 3.0, 2.0), Unsharp(9.0), OutputSharpen("matte")],
    ids=words_of,
)
def test_strips_of_any_height_leave_no_seams(
    operation: Operation, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blurring, "STRIP_PIXELS", 83 * rows)
    monkeypatch.setattr(blurring, "_MIN_ROWS", 1)
    _hold(operation, picture_of("RGB"))


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("blur:radius=-1", ["blur: radius", "'-1'", "a number from 0 to 1000 pixels"]),
        ("blur:radius=1001", ["blur: radius", "'1001'", "a number from 0 to 1000 pixels"]),
        ("blur:amount=1", ["blur", "'amount=1'", "radius=…"]),
        ("unsharp:radius=0", ["unsharp: radius", "'0'", "a number from 0.1 to 250 pixels"]),
        ("unsharp:radius=251", ["unsharp: radius", "'251'", "a number from 0.1 to 250 pixels"]),
        ("unsharp:amount=11", ["unsharp: amount", "'11'", "a number from 0 to 10"]),
        ("unsharp:threshold=256", ["unsharp: threshold", "'256'", "from 0 to 255 levels"]),
        ("unsharp:treshold=2", ["unsharp", "'treshold=2'", "threshold=…"]),
        ("output-sharpen:medium=paper", ["output-sharpen: medium", "'paper'", "screen, glossy"]),
        ("output-sharpen:strength=1", ["output-sharpen: strength", "'1'", "low, standard, high"]),
    ],
)
def test_wrong_settings_say_what_is_expected(words: str, parts: list[str]) -> None:
    check_refused(words, parts)


@pytest.mark.parametrize("words", ["blur:radius=1.5", "sharpen", "unsharp", "output-sharpen"])
def test_every_frame_of_an_animation_is_changed_by_itself(tmp_path: Path, words: str) -> None:
    check_each_frame(tmp_path, words)


# Blur


@pytest.mark.slow
@pytest.mark.parametrize("radius", [*DIRECT, *IN_TWO])
def test_blur_is_a_true_gaussian_rounded_once(radius: float) -> None:
    """On noise, which has every frequency: what the coarse grid adds shows least there."""
    for picture in (_noise("RGB", 163, 141), picture_of("RGB")):
        _hold(Blur(radius), picture)


@pytest.mark.slow
@pytest.mark.parametrize("radius", [3.82, 5.0, 8.0, 20.0])
def test_blur_does_not_alias_on_its_grid(radius: float) -> None:
    """A wave as long as two of the grid's steps, or one, looks like a different one there."""
    half = radius / math.sqrt(2)
    step = int(half / 0.9)
    for length in (step, 2 * step):
        for phase in (0.0, 1.0):
            wave = 127.5 + 127.5 * np.cos(2 * np.pi * np.arange(200) / length + phase)
            pixels = np.broadcast_to(np.rint(wave).astype(np.uint8)[None, :, None], (60, 200, 1))
            for turned in (pixels, pixels.transpose(1, 0, 2)):
                picture = Picture.of(image_of("L", np.ascontiguousarray(turned)))
                found = planes_of(Blur(radius).apply(picture).image)
                expected = _gaussian(turned.astype(np.float64), radius)
                allowed = NEAREST + CUT + 255 * math.exp(-((math.pi * half / step) ** 2))
                assert np.abs(found - expected).max() <= allowed


@pytest.mark.parametrize("radius", [0.3, 0.5, 1.0, 5.0, 20.0])
def test_blur_is_closer_to_a_gaussian_than_box_blurs(radius: float) -> None:
    """Pillow's is three box blurs, each rounded."""
    picture = picture_of("RGB")
    expected = _gaussian(planes_of(picture.image), radius)
    own = planes_of(Blur(radius).apply(picture).image) - expected
    boxes = planes_of(picture.image.filter(ImageFilter.GaussianBlur(radius))) - expected
    assert np.abs(own).max() < 0.6 < 1.5 < np.abs(boxes).max()
    assert np.sqrt(np.mean(own**2)) < np.sqrt(np.mean(boxes**2))


def _premultiplied(image: Image.Image) -> Floats:
    """As Pillow does it, in whole levels."""
    return planes_of(image.convert(image.mode[:-1] + "a"))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("radius", [0.5, 2.0, 8.0, 1000.0])
def test_blur_weights_colours_by_alpha(radius: float, mode: str) -> None:
    picture = Picture.of(image_of(mode, levels_of_all_kinds(len(mode), 163, 141)))
    after = Blur(radius).apply(picture)
    assert after.image.mode == mode
    found = planes_of(after.image)
    expected = _gaussian(_premultiplied(picture.image), radius)
    # Alpha is rounded once. Colours are rounded again, or clipped, when divided by it.
    assert np.abs(found[..., -1] - expected[..., -1]).max() <= NEAREST + CUT
    colours = found[..., :-1] * found[..., -1:] / 255
    assert np.abs(colours - expected[..., :-1]).max() <= NEAREST + CUT + 1


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_blur_of_an_opaque_picture_is_that_of_its_colours(mode: str) -> None:
    picture = picture_of(mode)
    opaque = picture.image.copy()
    opaque.putalpha(255)
    after = planes_of(Blur(2.5).apply(Picture.of(opaque)).image)
    assert np.array_equal(after[..., :-1], planes_of(Blur(2.5).apply(picture).image))
    assert after[..., -1].min() == 255


@pytest.mark.parametrize(
    ("mode", "hidden", "visible", "never"),
    [
        ("RGBA", (255, 0, 0, 0), (0, 0, 255, 255), [0, 1]),
        ("LA", (255, 0), (0, 255), [0]),
    ],
)
def test_blur_never_shows_the_hidden_colour_of_transparent_pixels(
    mode: str, hidden: tuple[int, ...], visible: tuple[int, ...], never: list[int]
) -> None:
    pixels = np.empty((50, 60, len(hidden)), np.uint8)
    pixels[:] = hidden
    pixels[15:35, 20:40] = visible
    after = planes_of(Blur(3.0).apply(Picture.of(image_of(mode, pixels))).image)
    seen = after[after[..., -1] > 0]
    assert len(seen) > 20 * 20
    assert seen[:, never].max() == 0


@pytest.mark.parametrize("radius", [0.5, 5.0, 1000.0])
@pytest.mark.parametrize("level", [0, 1, 90, 254, 255])
def test_blur_keeps_a_flat_picture_flat_up_to_its_edges(level: int, radius: float) -> None:
    pixels = np.full((30, 40, 3), (level, 90, 255 - level), np.uint8)
    after = Blur(radius).apply(Picture.of(image_of("RGB", pixels)))
    assert np.array_equal(planes_of(after.image), pixels)


def test_blur_below_a_fifth_of_a_pixel_changes_nothing() -> None:
    """Computed, it would be less than half a level."""
    checkers = (np.indices((20, 20)).sum(axis=0) % 2 * 255).astype(np.uint8)[:, :, None]
    picture = Picture.of(image_of("L", checkers))
    for radius in (1e-300, 0.1, 0.199):
        assert Blur(radius).apply(picture) is picture
    assert np.abs(_gaussian(checkers.astype(np.float64), 0.199) - checkers).max() < 0.01
    assert np.array_equal(planes_of(Blur(0.2).apply(picture).image), checkers)


def test_products_are_small_enough_for_a_single_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    matmul = np.matmul

    def counted(one: Floats, other: Floats, out: Floats) -> Floats:
        sizes.append(one.shape[-2] * one.shape[-1] * other.shape[-1])
        return matmul(one, other, out=out)

    monkeypatch.setattr(np, "matmul", counted)
    for radius in (0.5, 3.8, 20.0, 1000.0):
        Blur(radius).apply(_noise("RGB", 900, 70))
    assert max(sizes) <= 2**18


# Sharpening


@pytest.mark.parametrize(
    "operation", [Sharpen(2.0), Unsharp(1.0, 2.0), OutputSharpen("matte", "high")], ids=words_of
)
def test_coloured_edge_gets_no_fringe(operation: Operation) -> None:
    """Every channel gets the same addition, so the differences between them are kept."""
    pixels = np.full((20, 20, 3), (90, 120, 100), np.uint8)
    pixels[:, 10:] = (110, 140, 120)
    after = planes_of(operation.apply(Picture.of(image_of("RGB", pixels))).image)
    assert np.array_equal(after - after[:, :, :1], np.broadcast_to([0.0, 30.0, 10.0], after.shape))
    assert after[10, 9, 0] < 90
    assert after[10, 10, 0] > 110


def test_sharpen_of_a_step_follows_its_weights() -> None:
    """A step of 20 levels, whose 3 x 3 blur differs from it by a quarter of that on either side."""
    pixels = np.full((20, 20, 1), 90, np.uint8)
    pixels[:, 10:] = 110
    after = planes_of(Sharpen(2.0).apply(Picture.of(image_of("L", pixels))).image)
    assert after[10, 8:12, 0].tolist() == [90, 90 - 2 * 5, 110 + 2 * 5, 110]


@pytest.mark.parametrize("words", ["sharpen:amount=8", "unsharp:radius=3,amount=10"])
def test_overshoot_is_clipped_at_black_and_white(words: str) -> None:
    """Even where it exceeds a byte, and each channel by itself."""
    pixels = np.zeros((9, 9, 3), np.uint8)
    pixels[4, 4] = (255, 254, 250)
    pixels[:, 8] = (3, 200, 0)
    _hold(parse(words), Picture.of(image_of("RGB", pixels)))


def test_unsharp_leaves_differences_within_the_threshold_alone() -> None:
    chance = np.random.RandomState(2)
    pixels = (100 + chance.randint(-2, 3, (40, 50, 1))).astype(np.uint8)
    picture = Picture.of(image_of("L", pixels))
    after = Unsharp(1.0, 10.0, 4.0).apply(picture)
    assert np.array_equal(planes_of(after.image), pixels)
    after = Unsharp(1.0, 10.0).apply(picture)
    assert not np.array_equal(planes_of(after.image), pixels)


def test_no_jump_at_the_threshold() -> None:
    """When a faint dot grows by a level, its sharpened version grows by at most its amount."""
    seen = []
    for level in range(100, 130):
        pixels = np.full((15, 15, 1), 100, np.uint8)
        pixels[7, 7] = level
        after = Unsharp(1.0, 2.0, 6.0).apply(Picture.of(image_of("L", pixels)))
        seen.append(planes_of(after.image)[7, 7, 0])
    assert 1 <= np.diff(seen).min() <= np.diff(seen).max() <= 1 + 2 + 1
    assert seen[5] == 105


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("medium", RADII)
def test_output_sharpen_follows_the_medium_and_the_strength(medium: str, strength: str) -> None:
    _hold(OutputSharpen(medium, strength), picture_of("RGB"))


@pytest.mark.slow
@pytest.mark.parametrize("medium", RADII)
@pytest.mark.parametrize("size", [(3000, 16), (16, 3000)])
def test_output_sharpen_follows_the_long_edge(size: tuple[int, int], medium: str) -> None:
    _hold(OutputSharpen(medium), Picture.of(image_of("RGB", levels_of_all_kinds(3, *size))))


def test_output_sharpen_gives_edges_a_narrow_halo_and_texture_the_full_effect() -> None:
    pixels = np.full((40, 60, 1), 60, np.uint8)
    pixels[:, 30:] = 180
    pixels[20, 10] = 65
    operation = OutputSharpen("matte", "high")
    after = planes_of(operation.apply(Picture.of(image_of("L", pixels))).image)
    assert after[5].min() == 60 - 12
    assert after[5].max() == 180 + 12
    detail = 5 * (1 - _along(61, 1.0)[30, 30] ** 2)
    assert after[20, 10, 0] == round(65 + 1.3 * 1.6 * detail)
