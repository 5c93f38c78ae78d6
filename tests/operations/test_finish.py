"""Border, vignette and grain, against float64 NumPy."""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from click.testing import CliRunner
from msgspec.structs import replace
from numpy.typing import NDArray
from PIL import Image
from toolkit import pictures
from toolkit.reference import (
    DEPTH_NOTICE,
    MODES,
    NEAREST,
    Floats,
    image_of,
    levels_of_all_kinds,
    luma,
    picture_of,
    planes_of,
)

from imgbatch.cli.commands import group
from imgbatch.errors import UsageError
from imgbatch.imaging import colour
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.filters import noise
from imgbatch.imaging.picture import Picture
from imgbatch.model import Origin
from imgbatch.operations import parse

WORDS: Final = (
    "border",
    "border:size=12.5,bottom=3",
    "border:size=20,colour=#402000,line=5,line_colour=#10c0ff",
    "border:colour=#ff000080",
    "vignette",
    "vignette:amount=1,radius=0,feather=0.5",
    "vignette:amount=-0.7,radius=0.5,feather=2",
    "grain",
    "grain:amount=1,size=20,seed=999999",
    "grain:amount=0.6,size=0.5,colour=yes,seed=7",
)

NEUTRAL: Final = {
    "border": "border:size=0",
    "vignette": "vignette:amount=0",
    "grain": "grain:amount=0",
}

ALL_MODES: Final = (*MODES, "CMYK", "I;16", "LA;16", "RGB;16", "RGBA;16")


def picture_in(mode: str, size: tuple[int, int] = (83, 61)) -> Picture:
    """A picture of any mode, with every level, named as a file is."""
    bands = {"L": 1, "I": 1, "LA": 2, "RGB": 3}.get(mode.partition(";")[0], 4)
    levels = levels_of_all_kinds(bands, *size)
    if ";" not in mode:
        picture = Picture.of(image_of(mode, levels))
    else:
        fine = levels.astype(np.uint16) * 257 ^ np.uint16(0x5A)
        picture = Picture.of(Image.new("L", size)).with_pixels(
            Image.fromarray(fine[..., 0]) if mode == "I;16" else Deep(fine)
        )
    return replace(picture, origin=Origin("meadow", ".jpg"))


def levels_in(picture: Picture) -> Floats:
    deep = picture.deep
    return deep.array.astype(np.float64) if deep else planes_of(picture.image)


def applied(words: str, picture: Picture) -> Picture:
    return parse(words).apply(picture)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("border:size=101", "border: size: found '101', expected a number from 0 to 100 %"),
        ("border:bottom=0.5", "border: bottom: found '0.5', expected a number from 1 to 10"),
        ("border:line=6", "border: found line=6 and size=5, expected a line no wider than"),
        ("border:colour=whit", "border: colour: unknown colour 'whit'"),
        ("vignette:amount=2", "vignette: amount: found '2', expected a number from -1 to 1"),
        ("vignette:feather=0", "vignette: feather: found '0', expected a number from 0.01 to 2"),
        ("vignette:radius=-1", "vignette: radius: found '-1', expected a number from 0 to 1"),
        ("grain:seed=1.5", "grain: seed: found '1.5', expected a whole number from 0 to 999999"),
        ("grain:size=0", "grain: size: found '0', expected a number from 0.5 to 20 pixels"),
        ("grain:colur=yes", "grain: found 'colur=yes', expected colour=…"),
    ],
)
def test_invalid_settings_are_refused(words: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words)
    assert message in str(caught.value)


# Border


def framed(levels: Floats, widths: tuple[int, int, int], fill: tuple[int, ...]) -> Floats:
    """Add so many pixels at the sides, above and below, in a colour."""
    side, bottom = widths[0], widths[1]
    height, width, bands = levels.shape
    made = np.empty((height + side + bottom, width + 2 * side, bands))
    made[:] = fill
    made[side : side + height, side : side + width] = levels
    return made


@pytest.mark.parametrize("mode", ALL_MODES)
def test_border_surrounds_every_mode_and_changes_no_pixel(mode: str) -> None:
    picture = picture_in(mode)
    after = applied("border:size=10,bottom=2.5,line=3,line_colour=black", picture)
    # Of 61 pixels: 6.1, 15.25 and 1.83.
    top = 65_535 if ";" in mode else 255
    alpha = (top,) if picture.has_alpha else ()
    bands = levels_in(picture).shape[2] - len(alpha)
    black = (0, 0, 0, 255) if mode == "CMYK" else (0,) * bands + alpha
    white = (0,) * 4 if mode == "CMYK" else (top,) * bands + alpha
    lined = framed(levels_in(picture), (2, 2, 0), black)
    assert after.mode == mode
    assert np.array_equal(levels_in(after), framed(lined, (4, 13, 0), white))
    assert after.size == (83 + 12, 61 + 6 + 15) == after.full_size
    assert after.notices == ()


@pytest.mark.parametrize("size", [(83, 61), (61, 83), (4000, 3001), (7, 7)])
def test_size_with_a_border_is_announced(size: tuple[int, int]) -> None:
    shorter = min(size)
    side, bottom = round(0.07 * shorter), round(0.14 * shorter)
    operation = parse("border:size=7,bottom=2")
    assert operation.output_size(size) == (size[0] + 2 * side, size[1] + side + bottom)


def test_coloured_border_turns_grey_into_rgb() -> None:
    for mode in ("L", "LA", "I;16"):
        picture = picture_in(mode)
        after = applied("border:colour=#c02040", picture)
        found = levels_in(after)
        scale = 257 if ";" in mode else 1
        assert found[0, 0, :3].tolist() == [scale * part for part in (0xC0, 0x20, 0x40)]
        inside = found[3:-3, 3:-3, :3]
        assert np.array_equal(inside, np.broadcast_to(levels_in(picture)[..., :1], inside.shape))


def test_transparent_border_adds_an_alpha_channel() -> None:
    for mode, expected in (("L", "LA"), ("RGB", "RGBA"), ("CMYK", "RGBA"), ("RGB;16", "RGBA;16")):
        after = applied("border:colour=#ffffff80", picture_in(mode))
        found = levels_in(after)
        assert after.mode == expected
        assert found[0, 0, -1] == (128 * 257 if ";" in mode else 128)
        assert found[5, 5, -1] == (65_535 if ";" in mode else 255)


def test_border_colour_is_converted_to_the_profile_of_the_picture() -> None:
    picture = picture_of("RGB", pictures.wide_gamut_profile())
    after = applied("border:colour=#d03010", picture)
    told = Picture.of(Image.new("RGB", (1, 1), levels_of(after, 0, 0)), icc=after.icc)
    assert np.abs(planes_of(colour.to_srgb(told).image) - [[0xD0, 0x30, 0x10]]).max() <= 1
    assert levels_of(after, 0, 0) != (0xD0, 0x30, 0x10)


def levels_of(picture: Picture, x: int, y: int) -> tuple[int, ...]:
    found = picture.image.getpixel((x, y))
    assert isinstance(found, tuple)
    return found


# Vignette


def vignette(levels: Floats, amount: float, radius: float, feather: float) -> Floats:
    height, width, _ = levels.shape
    y, x = np.mgrid[0:height, 0:width] + 0.5
    r = np.sqrt(((2 * x / width - 1) ** 2 + (2 * y / height - 1) ** 2) / 2)
    t = np.clip((r - radius) / feather, 0, 1)
    s = (t * t * (3 - 2 * t))[..., None]
    shaded: Floats = levels - (255 - levels if amount < 0 else levels) * amount * s
    return shaded


SHADES: Final = {
    "vignette": (0.4, 0.3, 0.7),
    "vignette:amount=1,radius=0,feather=0.5": (1, 0, 0.5),
    "vignette:amount=-1,radius=0.2": (-1, 0.2, 0.7),
    "vignette:amount=-0.7,radius=0.5,feather=2": (-0.7, 0.5, 2),
    "vignette:amount=0.5,radius=1": (0.5, 1, 0.7),
    "vignette:feather=0.1": (0.4, 0.3, 0.1),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("words", SHADES)
def test_vignette_matches_its_definition_and_keeps_alpha(words: str, mode: str) -> None:
    picture = picture_of(mode)
    before, after = levels_in(picture), levels_in(applied(words, picture))
    bands = before.shape[2] - picture.has_alpha
    expected = vignette(before[..., :bands], *SHADES[words])
    assert np.abs(after[..., :bands] - expected).max() <= NEAREST
    assert np.array_equal(after[..., bands:], before[..., bands:])


@pytest.mark.parametrize("size", [(400, 613), (401, 499), (60_001, 3), (100_003, 2), (2, 300)])
def test_vignette_leaves_no_seams_between_strips(size: tuple[int, int]) -> None:
    pixels = np.full((size[1], size[0], 1), 200, np.uint8)
    after = levels_in(applied("vignette", Picture.of(image_of("L", pixels))))
    expected = vignette(pixels.astype(np.float64), *SHADES["vignette"])
    assert np.abs(after - expected).max() <= NEAREST


def test_vignette_spares_the_centre_and_darkens_the_corners_equally() -> None:
    pixels = np.full((201, 301, 3), 180, np.uint8)
    after = levels_in(applied("vignette:amount=0.5", Picture.of(image_of("RGB", pixels))))
    assert after[100, 150].tolist() == [180] * 3
    corners = after[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners.min(), corners.max()) == (90, 90)


@pytest.mark.parametrize("words", ["vignette", "grain", "grain:colour=yes"])
def test_16_bits_are_processed_in_8_with_a_warning(words: str) -> None:
    deep = picture_in("I;16")
    eight = Picture.of(colour.to_8_bit(deep.image))
    eight = replace(eight, origin=deep.origin)
    after = applied(words, deep)
    assert np.array_equal(levels_in(after), levels_in(applied(words, eight)))
    assert after.notices == (DEPTH_NOTICE,)


# Grain


def counts(size: tuple[int, int], seeds: tuple[int, ...]) -> Floats:
    """How many of 32 bits are set, of PCG64's numbers in order, with one more on each side."""
    width, height = size[0] + 2, size[1] + 2
    words = (width + 1) // 2
    stream = np.random.PCG64(np.random.SeedSequence(seeds))
    rows = []
    for _ in range(height):
        numbers = [int(stream.random_raw()) for _ in range(words)]
        halves = [half for number in numbers for half in (number & 0xFFFFFFFF, number >> 32)]
        rows.append([half.bit_count() for half in halves[:width]])
    return np.array(rows, np.float64)


def weighed(numbers: Floats, aside: float) -> Floats:
    """Standard normal, each mixed with its neighbours in both directions."""
    normal = (numbers - 16) / np.sqrt(8)
    taps = np.array([aside, 1 - 2 * aside, aside])
    height, width = numbers.shape[0] - 2, numbers.shape[1] - 2
    made = np.zeros((height, width))
    for down in range(3):
        for across in range(3):
            part = normal[down : down + height, across : across + width]
            made += taps[down] * taps[across] * part
    made /= (taps**2).sum()
    return made


def lanczos(length: int, cells: int) -> Floats:
    """A matrix that enlarges `cells` to `length` by sin(πx)/(πx) sin(πx/3)/(πx/3), |x| < 3."""
    centres = (np.arange(length) + 0.5) * cells / length - 0.5
    x = np.arange(cells)[None] - centres[:, None]
    weights = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)
    matrix: Floats = weights / weights.sum(axis=1, keepdims=True)
    return matrix


def normal_field(size: tuple[int, int], grain: float, seeds: tuple[int, ...]) -> Floats:
    scale = max(1.0, grain / 2)
    cells = round(size[0] / scale), round(size[1] / scale)
    made = weighed(counts(cells, seeds), min(max(grain - 1, 0), 1) / 4)
    if cells == size:
        return made
    enlarged: Floats = lanczos(size[1], cells[1]) @ made @ lanczos(size[0], cells[0]).T
    return enlarged


# A long edge of 83 pixels makes grains of 83 / 2000 of their size; so these are more than 20.
GRAIN: Final = (
    ("grain", 0.2, 1.0, False, 0),
    ("grain:amount=1,seed=999999", 1.0, 1.0, False, 999_999),
    ("grain:amount=0.6,colour=yes,seed=7", 0.6, 1.0, True, 7),
)


def grained(picture: Picture, amount: float, grain: float, coloured: bool, seed: int) -> Floats:
    """The colours with grain, unrounded, and clipped at white and black."""
    levels = levels_in(picture)
    colours = levels[..., : levels.shape[2] - picture.has_alpha]
    name = zlib.crc32(f"{picture.origin.stem}{picture.origin.ext}".encode())
    v = luma(colours) / 255
    fields = [
        normal_field(picture.size, grain, (seed, name, channel))
        for channel in range(colours.shape[2] if coloured else 1)
    ]
    added: Floats = 32 * amount * np.stack(fields, axis=-1) * 4 * v * (1 - v)
    clipped: Floats = np.clip(colours + added, 0, 255)
    return clipped


def tolerance(amount: float) -> float:
    """Noise is stored in whole levels, 28 per standard deviation, and then rounded once."""
    return NEAREST + 0.501 * 32 / 28 * amount


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("words", "amount", "grain", "coloured", "seed"), GRAIN)
def test_grain_matches_its_definition_and_keeps_alpha(
    words: str, amount: float, grain: float, coloured: bool, seed: int, mode: str
) -> None:
    picture = replace(picture_of(mode), origin=Origin("Müritz am Abend", ".jpg"))
    expected = grained(picture, amount, grain, coloured and mode[:3] == "RGB", seed)
    after = levels_in(applied(words, picture))
    bands = expected.shape[2]
    assert np.abs(after[..., :bands] - expected).max() <= tolerance(amount)
    assert np.array_equal(after[..., bands:], levels_in(picture)[..., bands:])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "grain"), [(1.0, 1.0), (1.5, 1.5), (2.0, 2.0), (3.0, 3.0), (7.0, 7.0)]
)
def test_grains_have_the_stated_size(size: float, grain: float) -> None:
    picture = Picture.of(Image.new("L", (2000, 9), 128))
    expected = grained(picture, 0.5, grain, False, 3)
    after = levels_in(applied(f"grain:amount=0.5,size={size},seed=3", picture))
    # Enlarging rounds twice more, to the levels of the noise. Its absolute weights sum to 1.27 in
    # each direction, the factor by which an earlier error may grow.
    extra = 0.501 * (1.27**2 + 1.27) * 32 / 28 * 0.5 if grain > 2 else 0
    assert np.abs(after - expected).max() <= tolerance(0.5) + extra


@pytest.mark.slow
def test_noise_leaves_no_seams_between_strips() -> None:
    for size, grain in (((70_001, 3), 1.5), ((300, 701), 1.2), ((100_003, 1), 1.0)):
        found = planes_of(noise.field(size, grain, (1, 2, 3)))[..., 0]
        expected = 28 * normal_field(size, grain, (1, 2, 3)) + 128
        assert np.abs(found - np.clip(expected, 1, 255)).max() <= NEAREST


def test_noise_is_the_same_on_every_machine() -> None:
    # Computed once, by the definition above, with Python's own integers.
    assert counts((2, 1), (0, 1, 0)).astype(int).tolist() == PINNED
    assert noise._counts((2, 1), (0, 1, 0)).tolist() == PINNED


PINNED: Final = [[13, 19, 20, 13], [19, 16, 15, 19], [16, 14, 13, 13]]


def even(level: int, size: tuple[int, int] = (400, 300), mode: str = "L") -> Picture:
    return Picture.of(Image.new(mode, size, (level,) * len(mode) if len(mode) > 1 else level))


@pytest.mark.parametrize("grain", [1.0, 10.0, 18.0])
@pytest.mark.parametrize("amount", [0.1, 0.4])
def test_grain_has_the_stated_strength_and_keeps_the_mean(amount: float, grain: float) -> None:
    found = levels_in(applied(f"grain:amount={amount},size={grain}", even(128)))
    assert found.std() == pytest.approx(32 * amount, rel=0.05)
    assert abs(found.mean() - 128) < 0.05 * 32 * amount


def test_grain_is_strongest_in_midtones_and_spares_black_and_white() -> None:
    spread = [levels_in(applied("grain", even(level))).std() for level in (0, 32, 128, 224, 255)]
    assert spread[0] == spread[4] == 0
    assert 0 < spread[1] < 0.6 * spread[2] > spread[3] > 0


def test_grain_is_the_same_in_all_channels_unless_coloured() -> None:
    picture = Picture.of(Image.new("RGB", (200, 200), (140, 120, 90)))
    grey, coloured = (
        levels_in(applied(words, picture)) - [140, 120, 90]
        for words in ("grain", "grain:colour=yes")
    )
    assert np.array_equal(grey[..., 0], grey[..., 1])
    assert np.array_equal(grey[..., 0], grey[..., 2])
    between = np.corrcoef(coloured.reshape(-1, 3).T)
    assert np.abs(between - np.eye(3)).max() < 0.03


def test_grain_is_repeatable_and_differs_by_name_and_seed() -> None:
    picture = replace(even(128), origin=Origin("a", ".jpg"))
    found = {
        (stem, ext, seed): levels_in(
            applied(
                f"grain:seed={seed}",
                replace(picture, origin=Origin(stem, ext, "b", 9, 3, "web")),
            )
        ).tobytes()
        for stem in ("a", "b\udcff")
        for ext in (".jpg", ".png")
        for seed in (0, 1)
    }
    assert len(set(found.values())) == len(found)
    assert found["a", ".jpg", 0] == levels_in(applied("grain", picture)).tobytes()


# Animations


def moving(frames: int = 3) -> bytes:
    """A GIF of distinct frames."""
    levels: list[NDArray[np.uint8]] = [
        np.full((30, 40), 90 + 40 * number, np.uint8) for number in range(frames)
    ]
    first, *rest = map(Image.fromarray, levels)
    buffer = BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=rest, duration=100, loop=0)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "words", ["border:size=10", "vignette:amount=1,radius=0", "grain:amount=0.5"]
)
def test_every_frame_of_an_animation_is_changed_alike(tmp_path: Path, words: str) -> None:
    (tmp_path / "moving.gif").write_bytes(moving())
    out = tmp_path / "out"
    ran = CliRunner().invoke(
        group,
        ["filter", str(tmp_path / "moving.gif"), "--filter", words, "--no-dither", "-o", str(out)],
    )
    assert ran.exit_code == 0, ran.output
    found = []
    with Image.open(out / "moving.gif") as image:
        for frame in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(frame)
            found.append(image.convert("L"))
    assert len(found) == 3
    for number, seen in enumerate(found):
        picture = replace(
            Picture.of(Image.new("L", (40, 30), 90 + 40 * number)),
            origin=Origin("moving", ".gif"),
        )
        expected = planes_of(applied(words, picture).image)
        assert np.abs(planes_of(seen) - expected).max() <= 1
