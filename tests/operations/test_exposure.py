"""Exposure, levels, curves, posterize, equalize and threshold, against float64 NumPy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image
from toolkit import pictures
from toolkit.cases import together
from toolkit.reference import (
    MODES,
    NEAREST,
    Floats,
    check_depth_reduced,
    check_refused,
    image_of,
    levels_of_all_kinds,
    luma,
    mode_of,
    picture_of,
    planes_of,
)

from imgbatch.cli.commands import group
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.picture import Picture
from imgbatch.operations import parse
from imgbatch.operations.point import Joined, joined

Flags = NDArray[np.bool_]
Reference = Callable[[Floats, Flags], Floats]
"""From colours (height, width, 1 or 3) in 0 to 255, and which pixels are seen at all, to colours,
unrounded, perhaps out of range."""


def decoded(levels: Floats) -> Floats:
    """IEC 61966-2-1, from levels of 255 to light of 1."""
    v = levels / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def encoded(light: Floats) -> Floats:
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def rolled_off(light: Floats, brightest: float) -> Floats:
    """Reinhard's curve from half the light upwards, which takes `brightest` to 1."""
    over, most = np.maximum(0, 2 * light - 1), 2 * brightest - 1
    curve = (over + (over / most) ** 2) / (1 + over)
    return np.where(light > 0.5, 0.5 + curve / 2, light)


def _exposure(stops: float, *, protect: bool = False) -> Reference:
    def reference(colours: Floats, seen: Flags) -> Floats:
        light = decoded(colours) * 2**stops
        return encoded(rolled_off(light, 2**stops) if protect else light)

    return reference


def _in_channel(reference: Reference, channel: int) -> Reference:
    """Only in that channel, which grey does not have."""

    def one(colours: Floats, seen: Flags) -> Floats:
        changed = colours.copy()
        if colours.shape[2] == 3:
            changed[..., channel] = reference(colours, seen)[..., channel]
        return changed

    return one


def _levels(
    black: float = 0, white: float = 255, gamma: float = 1, to: tuple[float, float] = (0, 255)
) -> Reference:
    def reference(colours: Floats, seen: Flags) -> Floats:
        inside = np.interp(colours, [black, white], [0, 1])
        return inside ** (1 / gamma) * (to[1] - to[0]) + to[0]

    return reference


def fritsch_carlson(points: list[tuple[float, float]], x: Floats) -> Floats:
    """By the paper: from the ratios alpha and beta of the slopes to the secant."""
    knots, values = np.array(points, np.float64).T
    delta = np.diff(values) / np.diff(knots)
    m = np.concatenate([delta[:1], (delta[:-1] + delta[1:]) / 2, delta[-1:]])
    m[1:-1][delta[:-1] * delta[1:] <= 0] = 0
    for left, secant in enumerate(delta):
        if secant == 0:
            m[left : left + 2] = 0
            continue
        alpha, beta = m[left : left + 2] / secant
        if alpha**2 + beta**2 > 9:
            tau = 3 / math.sqrt(alpha**2 + beta**2)
            m[left], m[left + 1] = tau * alpha * secant, tau * beta * secant
    x = np.clip(x, knots[0], knots[-1])
    k = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(delta) - 1)
    h, s = np.diff(knots)[k], x - knots[k]
    # The cubic in powers of the distance from the knot.
    square = (3 * delta[k] - 2 * m[k] - m[k + 1]) / h
    cube = (m[k] + m[k + 1] - 2 * delta[k]) / h**2
    curve: Floats = values[k] + m[k] * s + square * s**2 + cube * s**3
    return curve


def _curves(*points: tuple[float, float]) -> Reference:
    return lambda colours, seen: fritsch_carlson(list(points), colours)


SOFT: Final = ((0, 0), (64, 54), (128, 130), (192, 202), (255, 255))
STRONG: Final = ((0, 0), (64, 42), (128, 130), (192, 214), (255, 255))
MATTE: Final = ((0, 30), (40, 48), (128, 130), (200, 205), (255, 240))


def _posterize(number: int) -> Reference:
    def reference(colours: Floats, seen: Flags) -> Floats:
        step = np.minimum(colours.astype(np.int64) * number // 255, number - 1)
        return step.astype(np.float64) * 255 / (number - 1)

    return reference


def equalized(colours: Floats, counted: Floats) -> Floats:
    """By ranks instead of sums of a histogram."""
    ordered = np.sort(counted, axis=None)
    darkest = np.searchsorted(ordered, ordered[0], side="right")
    at_or_below = np.searchsorted(ordered, colours, side="right")
    share = (at_or_below - darkest) / (len(ordered) - darkest)
    return np.asarray(255 * np.maximum(0, share), np.float64)


def _equalize(amount: float, *, channels: bool = False) -> Reference:
    def reference(colours: Floats, seen: Flags) -> Floats:
        if channels:
            bands = np.moveaxis(colours, 2, 0)
            full = np.stack([equalized(band, band[seen]) for band in bands], axis=-1)
        else:
            full = equalized(colours, luma(colours)[seen])
        mixed: Floats = amount * full + (1 - amount) * colours
        return mixed

    return reference


def otsu(counted: Floats) -> int:
    """The first level of the light part, from means and shares."""
    between = np.zeros(256)
    for level in range(1, 256):
        dark, light = counted[counted < level], counted[counted >= level]
        if len(dark) and len(light):
            between[level] = len(dark) * len(light) * (light.mean() - dark.mean()) ** 2
    if not between.any():
        return 128
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))
    return int(best[len(best) // 2])


def _threshold(level: int | None = None) -> Reference:
    def reference(colours: Floats, seen: Flags) -> Floats:
        grey = luma(colours)
        return np.where(grey >= (otsu(grey[seen]) if level is None else level), 255.0, 0.0)

    return reference


ROWS: Final[dict[str, Reference]] = {
    "exposure": _exposure(0.5, protect=True),
    "exposure:stops=1.3": _exposure(1.3, protect=True),
    "exposure:stops=5": _exposure(5, protect=True),
    "exposure:stops=-5": _exposure(-5),
    "exposure:stops=-0.7": _exposure(-0.7),
    "exposure:stops=0.7,protect=no": _exposure(0.7),
    "exposure:stops=5,protect=no": _exposure(5),
    "exposure:stops=-1,protect=no": _exposure(-1),
    "levels:black=20.5,white=231": _levels(20.5, 231),
    "levels:gamma=1.4": _levels(gamma=1.4),
    "levels:gamma=0.1": _levels(gamma=0.1),
    "levels:gamma=10": _levels(gamma=10),
    "levels:out_black=16,out_white=235": _levels(to=(16, 235)),
    "levels:out_black=255,out_white=0": _levels(to=(255, 0)),
    "levels:black=254,white=255": _levels(254, 255),
    "levels:black=0,white=1": _levels(0, 1),
    "levels:black=30,white=200,gamma=0.8,out_black=10,out_white=250": _levels(
        30, 200, 0.8, (10, 250)
    ),
    "levels:black=50,channel=red": _in_channel(_levels(50), 0),
    "levels:black=50,channel=green": _in_channel(_levels(50), 1),
    "levels:black=50,channel=blue": _in_channel(_levels(50), 2),
    "curves": _curves(*SOFT),
    "curves:preset=soft-contrast": _curves(*SOFT),
    "curves:preset=strong-contrast": _curves(*STRONG),
    "curves:preset=matte": _curves(*MATTE),
    "curves:preset=negative": lambda colours, seen: 255 - colours,
    "curves:points=0/0 128/150 255/255": _curves((0, 0), (128, 150), (255, 255)),
    "curves:points=20/0 90/200 91/201 240/255": _curves((20, 0), (90, 200), (91, 201), (240, 255)),
    "curves:points=0/10.5 50/100 60/20 61/240 200/240 255/3": _curves(
        (0, 10.5), (50, 100), (60, 20), (61, 240), (200, 240), (255, 3)
    ),
    "curves:points=100/30 101/220": _curves((100, 30), (101, 220)),
    "curves:points=0/40 255/40": _curves((0, 40), (255, 40)),
    "curves:preset=strong-contrast,channel=red": _in_channel(_curves(*STRONG), 0),
    "curves:points=0/50 255/200,channel=green": _in_channel(_curves((0, 50), (255, 200)), 1),
    "curves:preset=matte,channel=blue": _in_channel(_curves(*MATTE), 2),
    "posterize": _posterize(6),
    "posterize:levels=2": _posterize(2),
    "posterize:levels=5": _posterize(5),
    "posterize:levels=17": _posterize(17),
    "posterize:levels=64": _posterize(64),
    "equalize": _equalize(0.5),
    "equalize:amount=1": _equalize(1),
    "equalize:amount=0.3,channels=yes": _equalize(0.3, channels=True),
    "equalize:amount=1,channels=yes": _equalize(1, channels=True),
    "threshold": _threshold(),
    "threshold:level=0": _threshold(0),
    "threshold:level=77": _threshold(77),
    "threshold:level=255": _threshold(255),
}

WORDS: Final = tuple(ROWS)

# Settings with which an operation changes nothing; None if there are none.
NEUTRAL: Final = {
    "curves": "curves:points=0/0 255/255",
    "equalize": "equalize:amount=0",
    "exposure": "exposure:stops=0",
    "levels": "levels",
    "posterize": None,
    "threshold": None,
}


def expected_of(words: str, picture: Picture) -> Floats:
    planes = planes_of(picture.image)
    bands = planes.shape[2] - picture.has_alpha
    seen = planes[..., -1] > 0 if picture.has_alpha else np.ones(planes.shape[:2], bool)
    return np.clip(ROWS[words](planes[:, :, :bands], seen), 0, 255)


@pytest.mark.slow
@together("mode", MODES)
@pytest.mark.parametrize("words", WORDS)
def test_operation_matches_its_definition_and_keeps_alpha(words: str, mode: str) -> None:
    picture = picture_of(mode)
    before = picture.image.tobytes()
    after = parse(words).apply(picture)
    expected = expected_of(words, picture)
    assert after.mode == mode_of(expected.shape[2], picture.has_alpha)
    found = planes_of(after.image)
    assert np.abs(found[:, :, : expected.shape[2]] - expected).max() <= NEAREST
    if picture.has_alpha:
        assert np.array_equal(found[..., -1], planes_of(picture.image)[..., -1])
    assert after.notices == ()
    assert picture.image.tobytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("words", WORDS)
def test_other_modes_are_processed_in_8_bits(words: str) -> None:
    fine = np.random.RandomState(3).randint(0, 65_536, (61, 83, 3)).astype(np.uint16)
    check_depth_reduced(
        words, lambda grey: expected_of(words, Picture.of(image_of("L", grey.astype(np.uint8))))
    )
    deep = Picture(Deep(fine), "png", (83, 61), (0, 0, 83, 61))
    of_eight = parse(words).apply(Picture.of(Deep(fine).to_8_bit()))
    assert parse(words).apply(deep).image.tobytes() == of_eight.image.tobytes()
    inks = levels_of_all_kinds(4)
    paper = 255 - inks.astype(np.float64)
    rgb = np.rint(paper[..., :3] * paper[..., 3:] / 255).astype(np.uint8)
    after = parse(words).apply(Picture.of(image_of("CMYK", inks)))
    of_rgb = parse(words).apply(Picture.of(image_of("RGB", rgb)))
    assert after.image.tobytes() == of_rgb.image.tobytes()


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("exposure:stops=5.1", ["exposure: stops", "5.1", "from -5 to 5 EV"]),
        ("exposure:protect=perhaps", ["exposure: protect", "'perhaps'", "yes or no"]),
        ("levels:black=-1", ["levels: black", "-1", "from 0 to 255"]),
        ("levels:gamma=0", ["levels: gamma", "'0'", "from 0.1 to 10"]),
        ("levels:channel=luma", ["levels: channel", "'luma'", "all, red, green, blue"]),
        (
            "levels:black=200,white=100",
            ["levels: ", "found black=200 and white=100", "expected black to be less than white"],
        ),
        ("levels:black=9.5,white=9.5", ["levels: ", "found black=9.5 and white=9.5"]),
        ("curves:points=0/0", ["curves: points", "'0/0'", "two or more points"]),
        ("curves:points=9/0 9/5", ["curves: points", "'9/0 9/5'", "each further right"]),
        ("curves:points=0/0 255/256", ["curves: points", "levels from 0 to 255"]),
        ("curves:preset=film", ["curves: preset", "'film'", "one of soft-contrast"]),
        (
            "curves:preset=matte,points=0/0 255/255",
            ["curves: ", "found points and preset=matte", "expected one of them"],
        ),
        ("posterize:levels=1", ["posterize: levels", "'1'", "a whole number from 2 to 64"]),
        ("posterize:levels=65", ["posterize: levels", "'65'", "a whole number from 2 to 64"]),
        ("threshold:level=128.5", ["threshold: level", "'128.5'", "a whole number from 0 to 255"]),
        ("threshold:level=256", ["threshold: level", "'256'", "a whole number from 0 to 255"]),
        ("equalize:amount=2", ["equalize: amount", "'2'", "from 0 to 1"]),
    ],
)
def test_wrong_settings_are_refused_with_found_and_expected(words: str, parts: list[str]) -> None:
    check_refused(words, parts)


# Exposure


def ramp(words: str, mode: str = "L", icc: bytes | None = None) -> Floats:
    """What each of 256 levels becomes."""
    levels = np.repeat(np.arange(256, dtype=np.uint8), len(mode)).reshape(1, 256, -1)
    picture = Picture.of(image_of(mode, levels), icc=icc)
    made: Floats = planes_of(parse(words).apply(picture).image)[0]
    return made


@pytest.mark.parametrize("stops", [0.3, 1, 2, 5])
def test_protected_highlights_are_not_clipped_and_the_rest_is_unaffected(stops: float) -> None:
    kept, clipped = (ramp(f"exposure:stops={stops},protect={p}")[:, 0] for p in ("yes", "no"))
    assert kept[-1] == 255
    assert np.all(np.diff(kept) >= 0)
    assert np.array_equal(kept[clipped < 188], clipped[clipped < 188])
    assert np.all(kept <= clipped)
    assert np.count_nonzero(kept == 255) < np.count_nonzero(clipped == 255) / 2


@pytest.mark.parametrize("stops", [-1.5, 0.8])
def test_exposure_uses_the_curve_of_the_profile(stops: float) -> None:
    words = f"exposure:stops={stops},protect=no"
    for mode, icc, gamma in (
        ("RGB", pictures.wide_gamut_profile(), pictures.WIDE_GAMMA),
        ("L", pictures.grey_profile(), pictures.GREY_GAMMA),
    ):
        # A power of light is a power of levels, so the factor applies to levels.
        factor = 2 ** (stops / gamma)
        levels = np.arange(256.0)[:, None]
        # The curve is followed in linear steps of 1/16 level.
        expected = np.clip(levels * factor, 0, 255)
        assert np.abs(ramp(words, mode, icc) - expected).max() <= NEAREST + 0.01


# Curves


def test_curve_passes_through_its_points_and_stays_between_them() -> None:
    chance = np.random.RandomState(1)
    for _ in range(40):
        number = chance.randint(2, 8)
        across = np.sort(chance.choice(256, number, replace=False))
        up = chance.randint(0, 256, number)
        points = list(zip(across.tolist(), up.tolist(), strict=True))
        made = ramp("curves:points=" + " ".join(f"{x}/{y}" for x, y in points))[:, 0]
        assert made[across].tolist() == up.tolist()
        assert set(made[: across[0]]) <= {up[0]}
        assert set(made[across[-1] :]) <= {up[-1]}
        for (left, start), (right, end) in itertools.pairwise(points):
            steps = np.diff(made[left : right + 1])
            assert np.all(steps >= 0) if end >= start else np.all(steps <= 0)


def test_presets_are_monotone_and_keep_the_middle() -> None:
    for preset in ("soft-contrast", "strong-contrast", "matte"):
        made = ramp(f"curves:preset={preset}")[:, 0]
        assert np.all(np.diff(made) >= 0)
        assert made[128] == 130
    assert ramp("curves:preset=strong-contrast")[64, 0] < ramp("curves")[64, 0] < 64


# Posterize


@pytest.mark.parametrize("number", range(2, 65))
def test_posterize_steps_start_at_their_levels(number: int) -> None:
    levels = np.arange(256.0).reshape(1, 256, 1)
    expected = _posterize(number)(levels, np.ones((1, 256), bool))[0]
    made = ramp(f"posterize:levels={number}")
    assert np.abs(made - expected).max() <= NEAREST
    assert len(np.unique(made)) == number
    # Also if a preceding operation leaves a value slightly off.
    (chain,) = joined([parse("invert"), parse("invert"), parse(f"posterize:levels={number}")])
    plain_ramp = Picture.of(image_of("L", levels.astype(np.uint8)))
    assert np.array_equal(planes_of(chain.apply(plain_ramp).image)[0], made)


# Several in one look-up

CHAINS: Final = (
    ("exposure:stops=0.7,protect=no", "curves:preset=strong-contrast", "levels:gamma=1.4"),
    ("levels:black=30,white=200,gamma=0.8,out_black=10,out_white=250", "exposure", "curves"),
    ("equalize", "exposure:stops=-0.7", "levels:black=50,channel=green", "curves:preset=matte"),
)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("chain", CHAINS)
def test_neighbouring_operations_are_rounded_only_once(chain: tuple[str, ...], mode: str) -> None:
    picture = picture_of(mode)
    operations = joined(parse(words) for words in chain)
    assert len(operations) == 1
    planes = planes_of(picture.image)
    colours = planes[..., : planes.shape[2] - picture.has_alpha]
    seen = planes[..., -1] > 0 if picture.has_alpha else np.ones(planes.shape[:2], bool)
    for words in chain:
        colours = np.clip(ROWS[words](colours, seen), 0, 255)
    found = planes_of(operations[0].apply(picture).image)
    assert np.abs(found[..., : colours.shape[2]] - colours).max() <= NEAREST
    settled = operations[0].settled(picture)
    assert np.array_equal(planes_of(settled.apply(picture).image), found)


def test_measuring_operations_start_a_new_lookup() -> None:
    kinds = [type(one) for one in joined(parse(w) for w in ("exposure", "equalize", "curves"))]
    assert kinds == [type(parse("exposure")), Joined]


# Equalize and threshold


@pytest.mark.parametrize("words", ["equalize:amount=1", "equalize:channels=yes"])
def test_single_level_is_left_alone(words: str) -> None:
    for mode in MODES:
        flat = np.full((9, 7, len(mode)), 77, np.uint8)
        after = parse(words).apply(Picture.of(image_of(mode, flat)))
        assert np.array_equal(planes_of(after.image), flat)


@pytest.mark.parametrize(
    ("levels", "first_white"),
    [
        # And the middle of all levels that separate them; and nothing to separate.
        ([50, 50, 200], 126),
        ([0, 255], 128),
        ([10, 11], 11),
        ([77], 128),
        ([200], 128),
    ],
)
def test_otsu_threshold_lies_midway_between_the_classes(
    levels: list[int], first_white: int
) -> None:
    picture = Picture.of(image_of("L", np.array(levels, np.uint8)[None, :, None]))
    assert parse("threshold").settled(picture) == parse(f"threshold:level={first_white}")


def test_levels_beyond_all_luma_are_mixed_with_black_and_white() -> None:
    """The luma of these colours ranges from 79 to 100, their levels from 0 to 255."""
    colours = np.array([[(255, 0, 24), (0, 134, 0), (100, 100, 100)]], np.uint8)
    after = planes_of(
        parse("equalize:amount=0.4").apply(Picture.of(image_of("RGB", colours))).image
    )
    assert after[0, :2].tolist() == [[255, 0, 14], [0, round(0.6 * 134 + 0.4 * 255), 0]]
    assert after[0, 2].tolist() == [162, 162, 162]


def test_per_channel_curves_expand_grey_frames_and_a_single_one_fits_colour() -> None:
    colour, grey = picture_of("RGB"), picture_of("L")
    equalize = parse("equalize:amount=1,channels=yes")
    red = Picture.of(colour.image.getchannel("R"))
    made = equalize.settled(colour).apply(grey)
    assert made.mode == "L"
    after = planes_of(equalize.settled(red).apply(colour).image)
    assert np.array_equal(after[..., :1], planes_of(equalize.apply(colour).image)[..., :1])
    one_by_one = equalize.settled(red).apply(Picture.of(colour.image.getchannel("G")))
    assert np.array_equal(after[..., 1:2], planes_of(one_by_one.image))
    assert made.image.tobytes() == equalize.settled(red).apply(grey).image.tobytes()


def test_transparent_pixels_are_not_measured() -> None:
    hidden = np.zeros((20, 20, 2), np.uint8)
    hidden[::2, :, 0] = 255
    hidden[5:10, :, 0] = np.arange(100, 120)
    hidden[5:10, :, 1] = 1
    for words in ("threshold", "equalize:amount=1"):
        after = planes_of(parse(words).apply(Picture.of(image_of("LA", hidden))).image)
        alone = planes_of(parse(words).apply(Picture.of(image_of("LA", hidden[5:10]))).image)
        assert np.array_equal(after[5:10], alone)
    nothing = np.zeros((4, 4, 2), np.uint8)
    nothing[..., 0] = np.arange(4) * 80
    picture = Picture.of(image_of("LA", nothing))
    assert np.array_equal(planes_of(parse("equalize").apply(picture).image), nothing)
    assert parse("threshold").settled(picture) == parse("threshold:level=128")


def test_threshold_uses_srgb_and_drops_the_profile() -> None:
    old = pictures.grey_profile()
    made = ramp("threshold:level=100", icc=old)[:, 0]
    light = (np.arange(256) / 255) ** pictures.GREY_GAMMA
    # Level 94 is the first that is as light as level 100 of sRGB.
    wanted = np.rint(encoded(light)) >= 100
    assert np.array_equal(made > 0, wanted)
    assert not np.array_equal(made > 0, np.arange(256) >= 100)
    picture = picture_of("RGB", pictures.wide_gamut_profile())
    assert parse("threshold").apply(picture).icc is None


# Animation


def test_every_frame_is_changed_alike(tmp_path: Path) -> None:
    """A light goes on in the second frame: static parts keep their levels."""
    dim = np.full((30, 40, 3), (60, 70, 20), np.uint8)
    dim[10:20, :20] = (90, 110, 40)
    dim[20:, :] = (30, 20, 50)
    lit = dim.copy()
    lit[22:, 20:] = (255, 250, 0)
    frames = [Image.fromarray(one) for one in (dim, lit, dim)]
    data = pictures.saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    (tmp_path / "a.gif").write_bytes(data)
    for number, words in enumerate(("exposure", "equalize:amount=1", "threshold", "posterize")):
        out = tmp_path / str(number)
        done = CliRunner().invoke(
            group, ["filter", str(tmp_path / "a.gif"), "--filter", words, "-o", str(out)]
        )
        assert done.exit_code == 0, done.output
        made = []
        with Image.open(BytesIO((out / "a.gif").read_bytes())) as image:
            for frame in range(3):
                image.seek(frame)
                made.append(np.asarray(image.convert("RGB")).astype(np.float64))
        alone = planes_of(parse(words).apply(Picture.of(frames[0])).image)
        assert np.array_equal(made[0], np.broadcast_to(alone, made[0].shape))
        still = np.all(dim == lit, axis=2)
        assert np.array_equal(made[1][still], made[0][still])
        assert np.array_equal(made[2], made[0])
        assert not np.array_equal(made[0], dim)
        assert made[1][25, 30].tolist() != made[0][25, 30].tolist()
