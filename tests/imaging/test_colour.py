"""Colours stay what they are: profiles, conversions, and what lies under transparency.

Expected colours are computed here in float64 from the profiles' own definitions: a curve, a
matrix to CIE XYZ (D50), and back. LittleCMS's path for 8 bits works in fixed point (1.14 bits
for linear light): with the final rounding its result is within one level of the exact one, and
within two where sRGB's curve is steepest.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from toolkit import pictures, programs
from toolkit.pictures import opened
from toolkit.resampling import convolved

import imgbatch
from imgbatch.errors import PictureError, UsageError
from imgbatch.imaging import colour, formats
from imgbatch.imaging.colour import icc
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.picture import Picture
from imgbatch.model import Colour, Intent
from imgbatch.operations.geometry import Resize, SizeSpec

Floats = NDArray[np.float64]

WIDE: Final = pictures.wide_gamut_profile()
GREY: Final = pictures.grey_profile()
CMYK: Final = pictures.cmyk_profile()
# IEC 61966-2-1's primaries, adapted to D50 by Bradford's method.
SRGB_TO_XYZ: Final = np.array(
    [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
)
D50: Final = np.array([0.9642, 1.0, 0.8249])
MOST_OFF: Final = 2.0
USUALLY_OFF: Final = 0.5


def srgb_encoded(linear: Floats) -> Floats:
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def srgb_decoded(encoded: Floats) -> Floats:
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def wide_to_srgb(pixels: NDArray[Any]) -> Floats:
    """8-bit pixels of the wide-gamut profile as exact levels of sRGB."""
    xyz = (pixels / 255) ** pictures.WIDE_GAMMA @ pictures.WIDE_TO_XYZ.T
    return srgb_encoded(xyz @ np.linalg.inv(SRGB_TO_XYZ).T) * 255


def srgb_to_wide(pixels: NDArray[Any]) -> Floats:
    xyz = srgb_decoded(pixels / 255) @ SRGB_TO_XYZ.T
    linear = np.clip(xyz @ np.linalg.inv(pictures.WIDE_TO_XYZ).T, 0, 1)
    return np.asarray(linear ** (1 / pictures.WIDE_GAMMA) * 255)


def grey_to_srgb(pixels: NDArray[Any]) -> Floats:
    return srgb_encoded((pixels / 255) ** pictures.GREY_GAMMA) * 255


def lab_to_srgb(lab: Sequence[float]) -> Floats:
    middle = (lab[0] + 16) / 116
    parts = np.array([middle + lab[1] / 500, middle, middle - lab[2] / 200])
    xyz = np.where(parts > 6 / 29, parts**3, 3 * (6 / 29) ** 2 * (parts - 4 / 29)) * D50
    return srgb_encoded(xyz @ np.linalg.inv(SRGB_TO_XYZ).T) * 255


def many_colours() -> NDArray[np.uint8]:
    """Every eighth level of each channel with some others, and a picture."""
    levels = np.array([0, 1, 3, 8, 20, 40, 64, 96, 128, 160, 192, 224, 240, 254, 255], np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(45, 75, 3)
    return np.concatenate([cube, pictures.scene(75, 50)])


def assert_close(image: Image.Image, expected: Floats) -> None:
    off = np.abs(np.asarray(image).astype(np.float64) - expected)
    assert off.max() <= MOST_OFF
    assert off.mean() <= USUALLY_OFF


def made(folder: Path, data: bytes, suffix: str, **options: Any) -> tuple[bytes, list[str]]:
    """An output's bytes and the kinds of its warnings, through the whole program."""
    source = folder / f"photo{suffix}"
    source.write_bytes(data)
    recipe = imgbatch.Recipe.from_options(**options)
    (result,) = imgbatch.run(recipe, [source], output=folder / "output", jobs=1)
    assert result.failure is None, result.failure
    return Path(result.written[0].path).read_bytes(), [one.kind for one in result.notices]


def profile_file(folder: Path, icc: bytes) -> str:
    path = folder / "target.icc"
    path.write_bytes(icc)
    return str(path)


# Words for colours


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("white", (255, 255, 255, 255)),
        ("Black", (0, 0, 0, 255)),
        ("#fff", (255, 255, 255, 255)),
        ("#1e90ff", (30, 144, 255, 255)),
        ("#1e90ff80", (30, 144, 255, 128)),
        ("dodgerblue", (30, 144, 255, 255)),
        ("rgb(20,20,30)", (20, 20, 30, 255)),
        ("rgb(100%, 0%, 0%)", (255, 0, 0, 255)),
        ("hsl(120, 100%, 50%)", (0, 255, 0, 255)),
        ("transparent", (255, 255, 255, 0)),
        (" Transparent ", (255, 255, 255, 0)),
    ],
)
def test_css_colours_are_understood(word: str, meant: Colour) -> None:
    assert colour.parse_colour(word) == meant


@pytest.mark.parametrize("word", ["", "whit", "#12", "#gggggg", "rgb(1,2)", "12", "rgb(300,a,b)"])
def test_other_words_are_refused_with_an_example(word: str) -> None:
    with pytest.raises(UsageError, match="#1e90ff"):
        colour.parse_colour(word)


# Telling sRGB from others


def srgb_with_a_table() -> bytes:
    curve = pictures.table_curve(srgb_decoded(np.linspace(0, 1, 1024)))
    return pictures.rgb_profile(SRGB_TO_XYZ, curve, "Some camera")


def test_srgb_is_known_by_what_it_does() -> None:
    assert colour.is_srgb(colour.srgb_profile())
    assert colour.is_srgb(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    assert colour.is_srgb(srgb_with_a_table())


@pytest.mark.parametrize(
    "icc",
    [
        pytest.param(WIDE, id="wide gamut"),
        pytest.param(GREY, id="grey"),
        pytest.param(CMYK, id="CMYK"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"x" * 500, id="garbage"),
        pytest.param(WIDE[:200], id="cut short"),
        pytest.param(
            pictures.rgb_profile(
                pictures.WIDE_TO_XYZ, pictures.gamma_curve(2.2), "sRGB IEC61966-2.1"
            ),
            id="named sRGB",
        ),
        pytest.param(
            pictures.rgb_profile(SRGB_TO_XYZ, pictures.gamma_curve(1.8)), id="another curve"
        ),
    ],
)
def test_other_profiles_are_not_srgb(icc: bytes) -> None:
    assert not colour.is_srgb(icc)


def test_the_srgb_profile_is_the_same_every_day() -> None:
    icc = colour.srgb_profile()
    written, fixed = icc[24:36], (2024, 1, 1, 0, 0, 0)
    assert struct.unpack(">6H", written) == fixed
    # Its identity would be a checksum, over that date as well.
    assert icc[84:100] == bytes(16)
    today = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert icc[:24] + icc[36:] == today[:24] + today[36:]
    assert struct.unpack(">I", icc[:4]) == (len(icc),)
    colour.srgb_profile.cache_clear()
    assert colour.srgb_profile() == icc


@pytest.mark.parametrize(
    ("icc", "space"),
    [(WIDE, b"RGB "), (GREY, b"GRAY"), (CMYK, b"CMYK"), (b"", None), (WIDE[:100], None)],
)
def test_a_profiles_space_is_read_from_its_header(icc: bytes, space: bytes | None) -> None:
    assert colour.profile_space(icc) == space


@pytest.mark.parametrize(
    ("icc", "fits"),
    [(WIDE, {"RGB", "RGBA"}), (GREY, {"L", "LA", "I;16"}), (CMYK, {"CMYK"}), (b"x" * 200, set())],
)
def test_a_profile_fits_the_modes_of_its_space(icc: bytes, fits: set[str]) -> None:
    modes = ("L", "LA", "I;16", "RGB", "RGBA", "CMYK")
    assert {mode for mode in modes if colour.profile_fits(icc, mode)} == fits


# Converting


def test_wide_gamut_colours_become_the_same_colours_in_srgb() -> None:
    pixels = many_colours()
    converted = colour.to_srgb(Picture.of(Image.fromarray(pixels), icc=WIDE))
    assert converted.icc is None
    assert np.abs(wide_to_srgb(pixels) - pixels).max() > 30
    assert_close(converted.image, wide_to_srgb(pixels))


def test_the_white_of_another_medium_becomes_white() -> None:
    """Relative colorimetric: the paper's or the screen's tint is not copied."""
    bluish = pictures.rgb_profile(
        pictures.WIDE_TO_XYZ, pictures.gamma_curve(2.2), white=(0.9505, 1.0, 1.0891)
    )
    # A scanner's: the white of a screen counts as D50 in any case.
    bluish = bluish[:12] + b"scnr" + bluish[16:]
    white = Picture.of(Image.new("RGB", (2, 2), (255, 255, 255)), icc=bluish)
    assert colour.to_srgb(white).image.getpixel((0, 0)) == (255, 255, 255)


def test_srgb_colours_become_the_same_colours_in_a_wider_space() -> None:
    pixels = many_colours()
    converted = colour.convert(Picture.of(Image.fromarray(pixels)), WIDE)
    assert converted.icc == WIDE
    assert_close(converted.image, srgb_to_wide(pixels))


def test_grey_under_a_profile_becomes_the_same_grey_in_srgb() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    converted = colour.to_srgb(Picture.of(Image.fromarray(ramp), icc=GREY))
    expected = grey_to_srgb(ramp)
    channels = np.asarray(converted.image.convert("RGB")).astype(np.float64)
    assert np.abs(channels - expected[..., None]).max() <= MOST_OFF
    assert np.abs(expected - ramp).max() > 15


def test_alpha_is_not_touched_by_a_conversion() -> None:
    alpha = np.arange(256, dtype=np.uint8).reshape(16, 16)
    pixels = np.dstack([pictures.scene(16, 16), alpha])
    for source, target in ((WIDE, colour.srgb_profile()), (None, WIDE)):
        converted = colour.convert(Picture.of(Image.fromarray(pixels), icc=source), target)
        assert converted.image.mode == "RGBA"
        assert np.array_equal(np.asarray(converted.image.getchannel("A")), alpha)
    grey = Image.merge("LA", (Image.fromarray(alpha[::-1].copy()), Image.fromarray(alpha)))
    after = colour.convert(Picture.of(grey, icc=GREY), colour.srgb_profile())
    assert np.array_equal(np.asarray(after.image.getchannel("A")), alpha)
    expected = grey_to_srgb(alpha[::-1])
    assert np.abs(np.asarray(after.image.getchannel("G")) - expected).max() <= MOST_OFF


@pytest.mark.parametrize("ink", pictures.CMYK_INKS, ids=str)
def test_inks_under_a_press_profile_become_their_overprints(ink: tuple[int, int, int]) -> None:
    image = Image.new("CMYK", (2, 2), (*(255 * one for one in ink), 0))
    converted = colour.to_srgb(Picture.of(image, icc=CMYK)).image
    lightness, a, b = pictures.CMYK_INKS[ink]
    # The profile's table has 8 bits for lightness.
    expected = lab_to_srgb((round(lightness * 2.55) / 2.55, a, b))
    assert np.abs(np.asarray(converted) - expected).max() <= MOST_OFF


def test_inks_without_a_profile_become_what_every_viewer_shows() -> None:
    rng = np.random.default_rng(3)
    inks = rng.integers(0, 256, (20, 20, 4), dtype=np.uint8)
    image = Image.frombytes("CMYK", (20, 20), inks.tobytes())
    converted = colour.to_srgb(Picture.of(image)).image
    paper = 255 - inks.astype(np.float64)
    expected = paper[..., :3] * paper[..., 3:] / 255
    assert np.abs(np.asarray(converted) - expected).max() <= 1


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("icc", [None, srgb_with_a_table()], ids=["none", "sRGB"])
def test_srgb_pixels_stay_as_they_are(mode: str, icc: bytes | None) -> None:
    image = Image.fromarray(pictures.scene()).convert(mode)
    picture = Picture.of(image, icc=icc if mode.startswith("RGB") else None)
    converted = colour.to_srgb(picture)
    assert converted.image.tobytes() == image.tobytes()
    assert (converted.image.mode, converted.icc) == (mode, None)


def test_a_target_profile_that_cannot_be_used_fails_the_picture() -> None:
    broken = WIDE[:132] + bytes(len(WIDE) - 132)
    with pytest.raises(PictureError) as caught:
        colour.convert(Picture.of(Image.new("RGB", (4, 4))), broken)
    assert caught.value.failure.kind == "profile"


def test_16_bits_become_8_by_rounding() -> None:
    levels = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
    exact = levels.astype(np.float64) * 255 / 65_535
    after = np.asarray(colour.to_8_bit(Image.fromarray(levels))).astype(np.float64)
    assert np.abs(after - exact).max() <= 0.5


# --profile


@pytest.mark.parametrize(("source", "suffix"), [("PNG", ".png"), ("TIFF", ".tif")])
def test_profile_srgb_converts_and_says_so_in_the_file(
    tmp_path: Path, source: str, suffix: str
) -> None:
    pixels = many_colours()
    data, warnings = made(
        tmp_path, pictures.saved(pixels, source, icc_profile=WIDE), suffix, profile="srgb"
    )
    image = opened(data)
    assert_close(image, wide_to_srgb(pixels))
    assert colour.is_srgb(image.info["icc_profile"])
    assert warnings == []


def test_profile_srgb_leaves_an_srgb_picture_and_its_profile_alone(tmp_path: Path) -> None:
    pixels, icc = pictures.scene(), srgb_with_a_table()
    data, _ = made(tmp_path, pictures.saved(pixels, "PNG", icc_profile=icc), ".png", profile="srgb")
    assert np.array_equal(np.asarray(opened(data)), pixels)
    assert opened(data).info["icc_profile"] == icc


def test_profile_srgb_leaves_a_picture_without_profile_alone(tmp_path: Path) -> None:
    data, _ = made(tmp_path, pictures.saved(pictures.scene(), "PNG"), ".png", profile="srgb")
    assert np.array_equal(np.asarray(opened(data)), pictures.scene())
    assert "icc_profile" not in opened(data).info


def test_a_profile_file_is_converted_to_and_attached(tmp_path: Path) -> None:
    pixels = many_colours()
    data, warnings = made(
        tmp_path, pictures.saved(pixels, "PNG"), ".png", profile=profile_file(tmp_path, WIDE)
    )
    assert_close(opened(data), srgb_to_wide(pixels))
    assert opened(data).info["icc_profile"] == WIDE
    assert warnings == []


def test_a_picture_in_the_wanted_profile_is_left_alone(tmp_path: Path) -> None:
    pixels = many_colours()
    source = pictures.saved(pixels, "PNG", icc_profile=WIDE)
    data, _ = made(tmp_path, source, ".png", profile=profile_file(tmp_path, WIDE))
    assert np.array_equal(np.asarray(opened(data)), pixels)
    assert opened(data).info["icc_profile"] == WIDE


def test_a_grey_profile_file_makes_grey_pictures(tmp_path: Path) -> None:
    greys = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    data, _ = made(
        tmp_path, pictures.saved(greys, "PNG"), ".png", profile=profile_file(tmp_path, GREY)
    )
    image = opened(data)
    expected = srgb_decoded(greys[..., 0] / 255) ** (1 / pictures.GREY_GAMMA) * 255
    assert (image.mode, image.info["icc_profile"]) == ("L", GREY)
    assert np.abs(np.asarray(image) - expected)[expected > 10].max() <= MOST_OFF


def test_a_press_profile_file_makes_cmyk_pictures(tmp_path: Path) -> None:
    white_and_black = np.array([[[255] * 3, [0] * 3]] * 2, np.uint8)
    data, _ = made(
        tmp_path,
        pictures.saved(white_and_black, "PNG"),
        ".png",
        profile=profile_file(tmp_path, CMYK),
        format="tiff",
    )
    image = opened(data)
    assert (image.mode, image.info["icc_profile"]) == ("CMYK", CMYK)
    assert np.abs(np.asarray(image)[0] - np.array([[0, 0, 0, 0], [0, 0, 0, 255]])).max() <= 1


def test_a_press_profile_has_no_transparency_and_says_so(tmp_path: Path) -> None:
    data, warnings = made(
        tmp_path,
        pictures.saved(Image.new("RGBA", (4, 4), (0, 0, 0, 0)), "PNG"),
        ".png",
        profile=profile_file(tmp_path, CMYK),
        format="tiff",
    )
    assert warnings == ["alpha-flattened"]
    # What was transparent is paper now, not the black that was hidden there.
    assert opened(data).getpixel((1, 1)) == (0, 0, 0, 0)


def test_16_bit_grey_is_converted_in_16_bits(tmp_path: Path) -> None:
    deep = np.linspace(0, 65_535, 4096).astype(np.uint16).reshape(64, 64)
    data, warnings = made(
        tmp_path, pictures.saved(deep, "PNG", icc_profile=GREY), ".png", profile="srgb"
    )
    image = opened(data)
    assert warnings == []
    assert (image.mode, colour.is_srgb(image.info["icc_profile"])) == ("I;16", True)
    expected = srgb_encoded((deep / 65_535) ** pictures.GREY_GAMMA) * 65_535
    # The target's curve is a table of 1024 entries with straight lines between.
    assert np.abs(np.asarray(image) - expected).max() <= 16


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_stays_grey_when_it_is_converted_to_srgb(tmp_path: Path, mode: str) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    grey = Image.fromarray(ramp).convert(mode)
    source = pictures.saved(grey, "PNG", icc_profile=GREY)
    data, warnings = made(tmp_path, source, ".png", profile="srgb")
    image = opened(data)
    assert (image.mode, warnings) == (mode, [])
    assert colour.is_srgb(image.info["icc_profile"])
    found = np.asarray(image.getchannel(0)).astype(np.float64)
    assert np.abs(found - grey_to_srgb(ramp)).max() <= 1


@pytest.mark.parametrize("gamma", [1.0, 1.5, 2.6])
def test_dark_greys_of_straight_curves_are_exact(gamma: float) -> None:
    """LittleCMS's table for grey is 10 levels off at gamma 1, where half of it is dark."""
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    profile = icc.grey_profile("test", icc.gamma(gamma))
    picture = Picture.of(Image.fromarray(ramp), icc=profile)
    expected = srgb_encoded((ramp / 255) ** gamma) * 255
    for target in (icc.grey_srgb(), colour.srgb_profile()):
        converted = colour.convert(picture, target)
        channel = np.asarray(converted.image.getchannel(0)).astype(np.float64)
        assert np.abs(channel - expected).max() <= 1


@pytest.mark.parametrize(
    "content", [b"", b"not a profile", WIDE[:30], WIDE[:16] + b"Lab " + WIDE[20:]]
)
def test_a_file_that_is_no_profile_is_refused_at_once(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UsageError, match=r"target\.icc"):
        imgbatch.Recipe.from_options(profile=profile_file(tmp_path, content))


@pytest.mark.parametrize("word", ["sRGB2", "no/such/file.icc"])
def test_an_unknown_profile_is_refused_at_once(word: str) -> None:
    with pytest.raises(UsageError, match="srgb"):
        imgbatch.Recipe.from_options(profile=word)


# Keeping


@pytest.mark.parametrize("target", ["jpeg", "png", "tiff"])
def test_a_grey_profile_stays_with_grey_pixels(tmp_path: Path, target: str) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    source = pictures.saved(ramp, "PNG", icc_profile=GREY)
    data, warnings = made(tmp_path, source, ".png", format=target, quality=None)
    image = opened(data)
    assert (image.mode, image.info["icc_profile"]) == ("L", GREY)
    assert np.abs(np.asarray(image).astype(int) - ramp).mean() < 3
    assert warnings == []


@pytest.mark.parametrize("target", ["jpeg", "tiff"])
def test_a_press_profile_stays_with_its_inks(tmp_path: Path, target: str) -> None:
    source = pictures.saved(
        Image.new("CMYK", (16, 16), (200, 20, 40, 60)), "TIFF", icc_profile=CMYK
    )
    data, warnings = made(tmp_path, source, ".tif", format=target)
    image = opened(data)
    assert (image.mode, image.info["icc_profile"]) == ("CMYK", CMYK)
    assert np.abs(np.asarray(image).astype(int) - (200, 20, 40, 60)).max() <= 4
    assert warnings == []


# Formats that cannot hold a profile, or not those pixels


@pytest.mark.parametrize(
    ("target", "suffix"), [("bmp", ".bmp"), ("ppm", ".ppm"), ("qoi", ".qoi"), ("ico", ".ico")]
)
def test_formats_without_profiles_get_srgb_pixels(tmp_path: Path, target: str, suffix: str) -> None:
    pixels = many_colours()
    source = pictures.saved(pixels, "PNG", icc_profile=WIDE)
    data, warnings = made(tmp_path, source, ".png", format=target)
    assert_close(opened(data).convert("RGB"), wide_to_srgb(pixels))
    assert "icc_profile" not in opened(data).info
    assert warnings == []


def test_jpeg_2000_gets_srgb_pixels(tmp_path: Path) -> None:
    pixels = pictures.scene()
    source = pictures.saved(pixels, "PNG", icc_profile=WIDE)
    data, _ = made(tmp_path, source, ".png", format="jpeg2000", quality=95)
    expected = wide_to_srgb(pixels)
    assert np.abs(expected - pixels).mean() > 5
    assert np.abs(np.asarray(opened(data)) - expected).mean() < 2


@pytest.mark.parametrize("target", ["gif", "tga"])
def test_other_formats_without_profiles_get_srgb_pixels(tmp_path: Path, target: str) -> None:
    green = np.full((16, 16, 3), (120, 200, 120), np.uint8)
    source = pictures.saved(green, "PNG", icc_profile=WIDE)
    data, _ = made(tmp_path, source, ".png", format=target)
    expected = wide_to_srgb(green)
    assert np.abs(expected - green).max() > 20
    assert np.abs(np.asarray(opened(data).convert("RGB")) - expected).max() <= 3


@pytest.mark.parametrize("target", ["webp", "avif"])
def test_grey_with_a_profile_becomes_srgb_in_colour_only_formats(
    tmp_path: Path, target: str
) -> None:
    greys = np.repeat(np.arange(20, 256, 60, dtype=np.uint8), 16)[None, :].repeat(16, axis=0)
    source = pictures.saved(greys, "PNG", icc_profile=GREY)
    data, warnings = made(tmp_path, source, ".png", format=target, quality=95)
    image = opened(data)
    assert colour.is_srgb(image.info["icc_profile"])
    off = np.asarray(image).astype(np.float64) - grey_to_srgb(greys)[..., None]
    assert np.abs(off).mean() < 3
    assert warnings == []


@pytest.mark.parametrize("target", ["png", "webp", "bmp"])
def test_inks_become_colours_in_formats_without_inks(tmp_path: Path, target: str) -> None:
    image = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    with_profile = pictures.saved(image, "TIFF", icc_profile=CMYK)
    data, warnings = made(tmp_path, with_profile, ".tif", format=target)
    lightness, a, b = pictures.CMYK_INKS[1, 0, 0]
    expected = lab_to_srgb((round(lightness * 2.55) / 2.55, a, b))
    assert np.abs(np.asarray(opened(data)).mean(axis=(0, 1)) - expected).max() <= 4
    assert opened(data).info.get("icc_profile", CMYK) == CMYK or colour.is_srgb(
        opened(data).info["icc_profile"]
    )
    assert warnings == []


# Profiles that do not fit


def rgb_profile_that_begins_well() -> bytes:
    return WIDE[:132] + b"\xee" * (len(WIDE) - 132)


@pytest.mark.parametrize(
    ("mode", "icc"),
    [
        pytest.param("RGB", b"x" * 300, id="garbage"),
        pytest.param("RGB", WIDE[:100], id="cut short"),
        pytest.param("RGB", GREY, id="grey on colours"),
        pytest.param("RGB", CMYK, id="CMYK on colours"),
        pytest.param("L", CMYK, id="CMYK on grey"),
        pytest.param("CMYK", WIDE, id="RGB on inks"),
    ],
)
@pytest.mark.parametrize("target", ["jpeg", "tiff"])
def test_a_profile_that_cannot_be_meant_is_dropped_with_a_warning(
    tmp_path: Path, mode: str, icc: bytes, target: str
) -> None:
    image = Image.fromarray(pictures.scene()).convert(mode)
    data, warnings = made(
        tmp_path, pictures.saved(image, "TIFF", icc_profile=icc), ".tif", format=target
    )
    assert warnings == ["profile-dropped"]
    assert "icc_profile" not in opened(data).info
    assert opened(data).mode == mode
    if target == "tiff":
        assert opened(data).tobytes() == image.tobytes()


@pytest.mark.parametrize("options", [{"profile": "srgb"}, {"format": "bmp"}])
def test_a_profile_that_turns_out_broken_is_dropped_with_a_warning(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    source = pictures.saved(pictures.scene(), "PNG", icc_profile=rgb_profile_that_begins_well())
    data, warnings = made(tmp_path, source, ".png", **options)
    assert warnings == ["profile-dropped"]
    off = np.asarray(opened(data)).astype(int) - pictures.scene()
    assert np.abs(off).max() <= 1


@pytest.mark.parametrize("icc_profile", [rgb_profile_that_begins_well(), WIDE[:300]])
def test_a_profile_without_its_parts_is_not_passed_on(tmp_path: Path, icc_profile: bytes) -> None:
    source = pictures.saved(pictures.scene(), "PNG", icc_profile=icc_profile)
    data, warnings = made(tmp_path, source, ".png", format="tiff")
    assert "icc_profile" not in opened(data).info
    assert warnings == ["profile-dropped"]


def test_16_bit_grey_under_an_rgb_profile_keeps_its_meaning_and_depth(tmp_path: Path) -> None:
    deep = np.linspace(0, 65_535, 256).astype(np.uint16).reshape(16, 16)
    source = pictures.saved(deep, "PNG", icc_profile=WIDE)
    data, warnings = made(tmp_path, source, ".png", format="tiff")
    installed = formats.installed("deep")
    assert warnings == ([] if installed else ["depth-reduced"])
    tifffile = pytest.importorskip("tifffile")
    expected = np.repeat(deep[..., None], 3, axis=2)
    assert np.array_equal(tifffile.imread(BytesIO(data)), expected)
    assert tifffile.TiffFile(BytesIO(data)).pages[0].tags[34675].value == WIDE
    (tmp_path / "srgb").mkdir()
    source = pictures.saved(deep, "PNG", icc_profile=colour.srgb_profile())
    data, warnings = made(tmp_path / "srgb", source, ".png", format="tiff")
    assert (opened(data).mode, warnings) == ("I;16", [])


def test_grey_pixels_under_an_rgb_profile_keep_their_meaning(tmp_path: Path) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    source = pictures.saved(Image.fromarray(ramp), "TIFF", icc_profile=WIDE)
    data, warnings = made(tmp_path, source, ".tif", format="png")
    image = opened(data)
    assert (image.mode, image.info["icc_profile"]) == ("RGB", WIDE)
    assert np.array_equal(np.asarray(image), np.repeat(ramp[..., None], 3, axis=2))
    assert warnings == []


def test_grey_pixels_under_an_srgb_profile_stay_grey_without_it(tmp_path: Path) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    source = pictures.saved(Image.fromarray(ramp), "TIFF", icc_profile=colour.srgb_profile())
    data, warnings = made(tmp_path, source, ".tif", format="png")
    image = opened(data)
    assert (image.mode, "icc_profile" in image.info) == ("L", False)
    assert np.array_equal(np.asarray(image), ramp)
    assert warnings == []


# 16 bits a channel


def deep_picture(array: NDArray[np.uint16], profile: bytes | None = None) -> Picture:
    height, width = array.shape[:2]
    return Picture(Deep(array), "png", (width, height), (0, 0, width, height), icc=profile)


def deep_colours() -> NDArray[np.uint16]:
    rng = np.random.default_rng(4)
    return rng.integers(0, 65_536, (60, 50, 3), dtype=np.uint16)


def without_extra_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "installed", lambda extra: False)


needs_deep: Final = pytest.mark.skipif(
    not formats.installed("deep"), reason="the extra deep is not installed"
)


@needs_deep
def test_16_bit_colours_are_converted_in_16_bits() -> None:
    pixels = deep_colours()
    alpha = pixels[..., :1][::-1]
    for array in (pixels, np.dstack([pixels, alpha])):
        converted = colour.to_srgb(deep_picture(array, WIDE))
        assert converted.deep is not None
        assert (converted.icc, converted.notices) == (None, ())
        found = converted.deep.array
        expected = wide_to_srgb(pixels / 257) * 257
        off = np.abs(found[..., :3] - expected)
        # What differs are the sixth decimals of the primaries, and there the curve is steep.
        assert np.quantile(off, 0.95) <= 16
        assert off.max() <= 257
        if array.shape[2] == 4:
            assert np.array_equal(found[..., 3:], alpha)


@needs_deep
def test_16_bit_grey_becomes_16_bit_colours_of_an_rgb_profile() -> None:
    levels = np.linspace(0, 65_535, 1024).astype(np.uint16).reshape(32, 32)
    converted = colour.convert(Picture.of(Image.fromarray(levels), icc=GREY), WIDE)
    assert converted.deep is not None
    light = (levels / 65_535) ** pictures.GREY_GAMMA
    expected = light ** (1 / pictures.WIDE_GAMMA) * 65_535
    # A profile's primaries add up to white within 1/65536.
    assert np.abs(converted.deep.array - expected[..., None])[light > 0.001].max() <= 40
    with_alpha = colour.convert(
        deep_picture(np.dstack([levels, levels[::-1]]), GREY), icc.grey_srgb()
    )
    assert with_alpha.deep is not None
    assert np.array_equal(with_alpha.deep.array[..., 1], levels[::-1])
    exact = srgb_encoded(light) * 65_535
    assert np.abs(with_alpha.deep.array[..., 0] - exact).max() <= 16


@needs_deep
def test_16_bit_colours_become_inks_or_grey_of_a_profile() -> None:
    pixels = deep_colours()
    inks = colour.convert(deep_picture(pixels), CMYK)
    assert (inks.mode, inks.notices) == ("CMYK", ())
    eight = colour.convert(Picture.of(Image.fromarray((pixels // 257).astype(np.uint8))), CMYK)
    assert np.abs(np.asarray(inks.image).astype(int) - np.asarray(eight.image)).max() <= 2
    grey = colour.convert(deep_picture(pixels), GREY)
    assert (grey.mode, grey.icc) == ("I;16", GREY)
    light = srgb_decoded(pixels / 65_535) @ SRGB_TO_XYZ[1]
    expected = light ** (1 / pictures.GREY_GAMMA) * 65_535
    assert np.abs(np.asarray(grey.image) - expected).max() <= 64


def test_without_the_extra_16_bit_colours_are_converted_in_8_with_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_extra_deep(monkeypatch)
    pixels = deep_colours()
    converted = colour.to_srgb(deep_picture(pixels, WIDE))
    assert [notice.kind for notice in converted.notices] == ["depth-reduced"]
    assert_close(converted.image, wide_to_srgb(np.rint(pixels / 257)))
    # Grey to grey is a matter of curves alone, which needs nothing.
    grey = colour.to_srgb(Picture.of(Image.fromarray(pixels[..., 0].copy()), icc=GREY))
    assert (grey.mode, grey.notices) == ("I;16", ())


@needs_deep
def test_a_broken_profile_of_16_bit_colours_is_dropped_with_a_warning() -> None:
    broken = WIDE[:132] + bytes(len(WIDE) - 132)
    pixels = deep_colours()
    converted = colour.convert(deep_picture(pixels, broken), colour.srgb_profile())
    assert [notice.kind for notice in converted.notices] == ["profile-dropped"]
    assert converted.deep is not None
    assert np.abs(converted.deep.array.astype(int) - pixels).max() <= 64


def test_16_bit_colours_are_rounded_to_8_for_an_operation() -> None:
    pixels = deep_colours()
    tonal = colour.to_tonal(deep_picture(pixels))
    assert tonal.mode == "RGB"
    assert np.abs(np.asarray(tonal.image) - pixels / 257).max() <= 0.5
    assert [notice.kind for notice in tonal.notices] == ["depth-reduced"]


# Other judges


@pytest.mark.slow
@pytest.mark.external("tificc")
@pytest.mark.parametrize("intent", ["perceptual", "relative", "saturation", "absolute"])
@pytest.mark.parametrize("target", ["wide", "press"])
def test_littlecmss_own_program_converts_alike(tmp_path: Path, intent: Intent, target: str) -> None:
    """In 16 bits where the picture has them, so the precision is judged as well."""
    tifffile = pytest.importorskip("tifffile")
    number = ["perceptual", "relative", "saturation", "absolute"].index(intent)
    # A scanner's white counts in an absolute rendering; a screen's would not.
    profile = pictures.rgb_profile(
        pictures.WIDE_TO_XYZ, pictures.gamma_curve(2.2), white=(0.9505, 1.0, 1.0891)
    )
    source = profile[:12] + b"scnr" + profile[16:]
    chosen = {"wide": WIDE, "press": CMYK}[target]
    for name, data in (("source.icc", source), ("target.icc", chosen)):
        (tmp_path / name).write_bytes(data)
    pixels = deep_colours()
    tifffile.imwrite(tmp_path / "in.tif", pixels, photometric="rgb", metadata=None)
    options = ["-c0", "-w16", f"-t{number}", *(["-b"] if intent == "relative" else [])]
    names = [str(tmp_path / name) for name in ("source.icc", "target.icc", "in.tif", "out.tif")]
    tificc = programs.path_of("tificc")
    subprocess.run(
        [tificc, *options, f"-i{names[0]}", f"-o{names[1]}", names[2], names[3]],
        check=True,
        capture_output=True,
    )
    theirs = tifffile.imread(names[3]).astype(np.float64)
    ours = colour.convert(deep_picture(pixels, source), chosen, intent)
    if target == "press":
        assert np.abs(np.asarray(ours.image) - theirs / 257).max() <= 1
    elif formats.installed("deep"):
        assert ours.deep is not None
        assert np.abs(ours.deep.array - theirs).max() <= 2
    eight = np.rint(pixels / 257).astype(np.uint8)
    plain = colour.convert(Picture.of(Image.fromarray(eight), icc=source), chosen, intent)
    off = np.abs(np.asarray(plain.image) - theirs / 257)
    # LittleCMS's own shortcut for 8 bits, and the rounding before.
    assert np.quantile(off, 0.99) <= 2.5


def test_intents_differ_where_they_must() -> None:
    """Absolute keeps the tint of a scanner's white; black is only moved with compensation."""
    profile = pictures.rgb_profile(
        pictures.WIDE_TO_XYZ, pictures.gamma_curve(2.2), white=(0.9505, 1.0, 1.0891)
    )
    white = Picture.of(
        Image.new("RGB", (2, 2), (255, 255, 255)), icc=profile[:12] + b"scnr" + profile[16:]
    )
    relative = colour.to_srgb(white, "relative").image.getpixel((0, 0))
    absolute = colour.to_srgb(white, "absolute").image.getpixel((0, 0))
    assert relative == (255, 255, 255)
    assert isinstance(absolute, tuple)
    assert absolute[0] < 250


@needs_deep
@pytest.mark.parametrize("deep", [False, True])
def test_black_is_compensated_for_the_relative_intent_alone(*, deep: bool) -> None:
    """A profile whose black is 4 % of the light: level 59 at gamma 563/256, if it is not moved.

    (To a profile of version 4 the other intents move it, too: ICC.1:2010, 6.3.4.)
    """
    lifted = pictures.table_curve(np.linspace(0.04, 1, 64))
    profile = pictures.rgb_profile(SRGB_TO_XYZ, lifted)
    picture = Picture.of(Image.new("RGB", (2, 2)), icc=profile)
    if deep:
        picture = deep_picture(np.zeros((2, 2, 3), np.uint16), profile)
    for intent, expected in (("relative", 0), ("saturation", 59), ("perceptual", 59)):
        converted = colour.convert(picture, WIDE, intent)  # type: ignore[arg-type]
        array = converted.deep.array / 257 if converted.deep else np.asarray(converted.image)
        assert np.abs(array.astype(np.float64) - expected).max() <= 1


def test_an_absolute_rendering_of_grey_keeps_the_papers_white() -> None:
    """Of a scanner: 0.8 of the light is level 231 of sRGB (230.8), relatively it is white."""
    white = pictures._xyz(0.8 * 0.9642, 0.8, 0.8 * 0.8249)
    tags = {b"wtpt": white, b"kTRC": pictures.gamma_curve(2.2)}
    profile = pictures._icc(b"scnr", b"GRAY", b"XYZ ", tags)
    picture = Picture.of(Image.new("L", (2, 2), 255), icc=profile)
    assert colour.to_srgb(picture, "relative").image.getpixel((0, 0)) == 255
    found = colour.to_srgb(picture, "absolute").image.getpixel((0, 0))
    assert isinstance(found, int | float)
    assert abs(found - 231) <= 1


@pytest.mark.parametrize("format_name", ["bmp", "png"])
def test_the_option_for_intents_reaches_the_pixels(tmp_path: Path, format_name: str) -> None:
    profile = pictures.rgb_profile(
        pictures.WIDE_TO_XYZ, pictures.gamma_curve(2.2), white=(0.9505, 1.0, 1.0891)
    )
    data = pictures.saved(
        Image.new("RGB", (8, 8), (255, 255, 255)),
        "PNG",
        icc_profile=profile[:12] + b"scnr" + profile[16:],
    )
    options = {"format": format_name, "profile": "srgb" if format_name == "png" else "keep"}
    for intent, tinted in (("relative", False), ("absolute", True)):
        folder = tmp_path / intent
        folder.mkdir()
        made_of, _ = made(folder, data, ".png", intent=intent, **options)
        pixel = opened(made_of).convert("RGB").getpixel((0, 0))
        assert (pixel != (255, 255, 255)) is tinted


@pytest.mark.slow
@pytest.mark.external("imagemagick")
@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
@pytest.mark.parametrize("profile", [None, CMYK], ids=["plain", "press"])
def test_imagemagick_sees_the_same_inks(tmp_path: Path, kind: str, profile: bytes | None) -> None:
    """Pillow writes a JPEG's inks as Adobe does, inverted, and says so in a marker."""
    rng = np.random.default_rng(6)
    inks = np.kron(rng.integers(0, 256, (4, 4, 4)), np.ones((16, 16, 1))).astype(np.uint8)
    image = Image.frombytes("CMYK", (64, 64), inks.tobytes())
    options: dict[str, Any] = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    suffix = {"JPEG": ".jpg", "TIFF": ".tif"}[kind]
    source = pictures.saved(image, kind, icc_profile=profile, **options)
    data, warnings = made(tmp_path, source, suffix, format="png")
    assert warnings == []
    (tmp_path / "target.icc").write_bytes(colour.srgb_profile())
    photo = str(tmp_path / f"photo{suffix}")
    command = [programs.path_of("imagemagick"), photo, "-depth", "8"]
    if profile is None:
        command += ["-colorspace", "sRGB"]
    else:
        command += ["-black-point-compensation", "-intent", "relative"]
        command += ["-profile", str(tmp_path / "target.icc")]
    theirs = subprocess.run([*command, "rgb:-"], check=True, capture_output=True).stdout
    pixels = np.frombuffer(theirs, np.uint8).reshape(64, 64, 3).astype(int)
    assert np.abs(np.asarray(opened(data).convert("RGB")) - pixels).max() <= 2


# Every space into every format

PRIMARIES: Final = {
    "Display P3": (icc.Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290))),
    "Adobe RGB": icc.ADOBE_RGB,
    "ProPhoto": icc.Primaries(
        (0.734699, 0.265301), (0.159597, 0.840403), (0.036598, 0.000105), (0.345704, 0.358540)
    ),
}
EXPONENTS: Final = {"Display P3": None, "Adobe RGB": 563 / 256, "ProPhoto": 1.8}
BRADFORD: Final = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def matrix_of(primaries: icc.Primaries) -> Floats:
    """RGB to XYZ under D50 (SMPTE RP 177, Bradford)."""
    points = [np.array([x / y, 1, (1 - x - y) / y]) for x, y in primaries]
    columns, white = np.stack(points[:3], axis=1), points[3]
    columns = columns * np.linalg.solve(columns, white)
    gains = np.diag(BRADFORD @ D50 / (BRADFORD @ white))
    return np.asarray(np.linalg.inv(BRADFORD) @ gains @ BRADFORD @ columns)


def seen_as_srgb(levels: NDArray[Any], space: str) -> Floats:
    """What levels of 0 to 255 in a space look like, in levels of sRGB."""
    exponent = EXPONENTS[space]
    light = srgb_decoded(levels / 255) if exponent is None else (levels / 255) ** exponent
    xyz = light @ matrix_of(PRIMARIES[space]).T
    return srgb_encoded(xyz @ np.linalg.inv(SRGB_TO_XYZ).T) * 255


def profile_of(space: str) -> bytes:
    """Not `icc.rgb_profile`'s: from the matrix here, with the builder of the tests."""
    exponent = EXPONENTS[space]
    table = pictures.table_curve(srgb_decoded(np.linspace(0, 1, 4096)))
    curve = table if exponent is None else pictures.gamma_curve(exponent)
    return pictures.rgb_profile(matrix_of(PRIMARIES[space]), curve)


# Large even patches, so that a lossy codec keeps their means; none is beyond sRGB.
PATCHES: Final = np.array(
    [[(180, 120, 100), (110, 150, 110)], [(100, 110, 160), (200, 190, 150)]], np.uint8
)


@pytest.mark.slow
@pytest.mark.parametrize("space", PRIMARIES)
@pytest.mark.parametrize("target", formats.WRITABLE)
def test_the_colour_seen_is_the_same_in_every_format(
    tmp_path: Path, target: str, space: str
) -> None:
    if not formats.available(formats.BY_NAME[target]):
        pytest.skip(f"{target} is not available here")
    pixels = np.kron(PATCHES, np.ones((32, 32, 1), np.uint8))
    source = pictures.saved(pixels, "PNG", icc_profile=profile_of(space))
    options = {"quality": 100} if formats.BY_NAME[target].quality else {}
    data, warnings = made(tmp_path, source, ".png", format=target, **options)
    formats.load_plugin(formats.BY_NAME[target])
    image = opened(data)
    profile = image.info.get("icc_profile")
    assert profile in (None, profile_of(space))
    assert (profile is not None) == ("icc" in formats.BY_NAME[target].holds)
    found = np.asarray(image.convert("RGB")).astype(np.float64)
    centres = found.reshape(2, 32, 2, 32, 3)[:, 8:24, :, 8:24].mean(axis=(1, 3))
    # In the numbers of the file: where those are ProPhoto's, a level is up to three of sRGB's.
    off = centres - (PATCHES if profile else seen_as_srgb(PATCHES, space))
    assert np.abs(off).max() <= 2
    assert warnings == []
    # And this is not just what the numbers would have looked like without it.
    assert np.abs(seen_as_srgb(PATCHES, space) - PATCHES).max() > 5


# --metadata none


def test_metadata_none_leaves_an_srgb_profile_away_and_no_other(tmp_path: Path) -> None:
    for name, profile, kept in (
        ("srgb", srgb_with_a_table(), None),
        ("wide", WIDE, WIDE),
    ):
        folder = tmp_path / name
        folder.mkdir()
        pixels = pictures.scene()
        source = pictures.saved(pixels, "PNG", icc_profile=profile)
        data, warnings = made(folder, source, ".png", format="tiff", metadata="none")
        assert opened(data).info.get("icc_profile") == kept
        assert np.array_equal(np.asarray(opened(data)), pixels)
        assert warnings == []
        data, _ = made(folder, source, ".png", format="tiff", metadata="no-gps")
        assert opened(data).info["icc_profile"] == profile


def test_metadata_none_leaves_a_grey_profile_with_srgbs_curve_away(tmp_path: Path) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    source = pictures.saved(ramp, "PNG", icc_profile=GREY)
    data, _ = made(tmp_path, source, ".png", profile="srgb", metadata="none")
    assert "icc_profile" not in opened(data).info
    assert np.abs(np.asarray(opened(data)) - grey_to_srgb(ramp)).max() <= 1
    (tmp_path / "other").mkdir()
    data, _ = made(tmp_path / "other", source, ".png", metadata="none", format="tiff")
    assert opened(data).info["icc_profile"] == GREY


# Backgrounds

BLUE: Final[Colour] = (30, 144, 255, 255)


@pytest.mark.parametrize("space", PRIMARIES)
@pytest.mark.parametrize("kind", ["flatten", "pad"])
def test_a_background_is_the_colour_that_was_asked_for_in_any_space(space: str, kind: str) -> None:
    clear = Image.new("RGBA", (16, 8), (255, 0, 0, 0 if kind == "flatten" else 255))
    picture = Picture.of(clear, icc=profile_of(space))
    if kind == "flatten":
        after = colour.flatten(picture, BLUE)
    else:
        after = Resize(SizeSpec(16, 16), "pad", background=BLUE).apply(picture)
    assert after.icc == profile_of(space)
    found = np.asarray(after.image.convert("RGB"))[0, 0].astype(np.float64)
    # Rounded to whole levels, of which one of ProPhoto's is up to three of sRGB's.
    assert np.abs(seen_as_srgb(found, space) - BLUE[:3]).max() <= (3 if space == "ProPhoto" else 2)
    assert np.abs(found - BLUE[:3]).max() > 5


def test_a_background_of_grey_is_the_grey_that_was_asked_for() -> None:
    """Level 100 of sRGB is 0.1274 of the light; at gamma 461/256, level 81.1."""
    for mode in ("LA", "LA;16"):
        pixels = np.zeros((4, 4, 2), np.uint8)
        clear = Image.frombytes("LA", (4, 4), pixels.tobytes())
        picture = Picture.of(clear, icc=GREY)
        if mode == "LA;16":
            picture = deep_picture(pixels.astype(np.uint16), GREY)
        flat = colour.flatten(picture, (100, 100, 100, 255))
        levels = np.asarray(flat.image).astype(np.float64)
        exact = srgb_decoded(np.array(100 / 255)) ** (1 / pictures.GREY_GAMMA)
        assert flat.mode == ("L" if mode == "LA" else "I;16")
        most = 255 if mode == "LA" else 65_535
        assert np.abs(levels - exact * most).max() <= most / 255
        assert flat.icc == GREY


def test_a_background_under_a_broken_profile_keeps_its_numbers() -> None:
    broken = WIDE[:132] + bytes(len(WIDE) - 132)
    picture = Picture.of(Image.new("RGB", (4, 4)), icc=broken)
    assert colour.levels_of(BLUE, picture) == BLUE[:3]


@pytest.mark.parametrize(
    ("background", "inks"),
    [
        ((255, 255, 255, 255), (0, 0, 0, 0)),
        ((0, 0, 0, 255), (0, 0, 0, 255)),
        ((255, 0, 0, 255), (0, 255, 255, 0)),
        ((100, 50, 25, 255), (0, 127, 191, 155)),
    ],
)
def test_a_background_of_inks_looks_like_its_colour(
    background: Colour, inks: tuple[int, ...]
) -> None:
    picture = Picture.of(Image.new("CMYK", (4, 4)))
    assert colour.levels_of(background, picture) == inks
    back = colour.to_srgb(Picture.of(Image.new("CMYK", (1, 1), inks))).image.getpixel((0, 0))
    assert np.abs(np.array(back) - background[:3]).max() <= 1
    white = colour.levels_of((255, 255, 255, 255), Picture.of(picture.image, icc=CMYK))
    assert max(white) <= 1


@pytest.mark.parametrize("channels", [2, 4])
def test_16_bit_colours_are_flattened_and_padded_in_16_bits(channels: int) -> None:
    rng = np.random.default_rng(5)
    array = rng.integers(0, 65_536, (20, 30, channels), dtype=np.uint16)
    background = (200, 200, 200, 255) if channels == 2 else (200, 100, 50, 255)
    flat = colour.flatten(deep_picture(array), background)
    share = array[..., -1:] / 65_535
    below = np.array(background[: channels - 1]) * 257.0
    expected = array[..., :-1] * share + below * (1 - share)
    found = flat.deep.array if flat.deep else np.asarray(flat.image)[..., None]
    assert np.abs(found - expected).max() <= 0.5
    assert [notice.kind for notice in flat.notices] == ["alpha-flattened"]
    opaque = array.copy()
    opaque[..., -1] = 65_535
    plain = colour.flatten(deep_picture(opaque), background)
    assert (plain.has_alpha, plain.notices) == (False, ())
    padded = Resize(SizeSpec(40, 40), "pad", background=background, enlarge=True).apply(
        deep_picture(array)
    )
    assert padded.deep is not None
    assert padded.mode == deep_picture(array).mode
    assert padded.deep.array[0, 0].tolist() == [*below.astype(int), 65_535]
    clear = Resize(SizeSpec(30, 40), "pad", background=(0, 0, 0, 0)).apply(
        deep_picture(np.ascontiguousarray(array[..., :1].repeat(3, axis=2)))
    )
    assert clear.mode == "RGBA;16"
    assert clear.deep is not None
    assert clear.deep.array[0, 0].tolist() == [0, 0, 0, 0]
    assert clear.deep.array[20, 0, 3] == 65_535


# Alpha: no fringes


def red_on_clear_green(kind: str) -> bytes:
    """A red square that is opaque, on green that is not to be seen."""
    red = np.zeros((64, 64), bool)
    red[17:47, 17:47] = True
    if kind == "RGBA":
        pixels = np.where(red[..., None], (255, 0, 0, 255), (0, 255, 0, 0)).astype(np.uint8)
        return pictures.saved(pixels, "PNG")
    if kind == "LA":
        pixels = np.where(red[..., None], (0, 255), (255, 0)).astype(np.uint8)
        return pictures.saved(Image.frombytes("LA", (64, 64), pixels.tobytes()), "PNG")
    if kind == "L with a transparent level":
        return pictures.saved(np.where(red, 0, 255).astype(np.uint8), "PNG", transparency=255)
    if kind == "RGB with a transparent colour":
        pixels = np.where(red[..., None], (255, 0, 0), (0, 255, 0)).astype(np.uint8)
        return pictures.saved(pixels, "PNG", transparency=(0, 255, 0))
    image = Image.fromarray(red.astype(np.uint8), mode=None)
    indexed = image.convert("P")
    indexed.putdata(red.astype(np.uint8).ravel().tolist())
    indexed.putpalette([0, 255, 0, 255, 0, 0])
    return pictures.saved(indexed, "PNG", transparency=0)


KINDS_OF_ALPHA: Final = (
    *("RGBA", "LA", "L with a transparent level", "RGB with a transparent colour", "palette"),
)


HOW: Final[dict[str, dict[str, Any]]] = {
    "resize": {"sizes": ["24"]},
    "linear resize": {"sizes": ["24"], "linear": True},
    "blur": {"filters": ["blur"]},
}


@pytest.mark.parametrize("kind", KINDS_OF_ALPHA)
@pytest.mark.parametrize("how", HOW)
def test_what_is_hidden_leaves_no_fringe(tmp_path: Path, kind: str, how: str) -> None:
    """Colours weighted by alpha: all that is seen is red, however little of it."""
    data, warnings = made(tmp_path, red_on_clear_green(kind), ".png", **HOW[how])
    image = opened(data).convert("RGBA")
    pixels = np.asarray(image).astype(np.float64)
    seen = pixels[pixels[..., 3] > 0]
    hidden_channel = 1
    assert seen[:, hidden_channel].max() == 0
    partly = seen[(seen[:, 3] > 20) & (seen[:, 3] < 235)]
    assert len(partly) > 20
    if not kind.startswith("L"):
        # As red as before: alpha near 0 leaves few levels for the colour.
        assert partly[:, 0].min() >= 250
    exact = np.zeros((64, 64))
    exact[17:47, 17:47] = 255
    if how != "blur":
        whole = (0.0, 0.0, 64.0, 64.0)
        exact = np.clip(convolved(exact[..., None], (24, 24), "lanczos", whole)[..., 0], 0, 255)
        # In 8 bits what overshoots is clipped between the two directions: at the corners.
        assert np.quantile(np.abs(pixels[..., 3] - exact), 0.97) <= 1
    else:
        assert abs(pixels[..., 3].mean() - exact.mean()) <= 0.5
    assert warnings == []


# Flattening


def see_through() -> NDArray[np.uint8]:
    alpha = np.tile(np.linspace(0, 255, 96).astype(np.uint8), (64, 1))
    return np.dstack([pictures.scene(), alpha])


@pytest.mark.parametrize("background", [(255, 255, 255, 255), (30, 144, 255, 255), (0, 0, 0, 0)])
def test_flattening_lays_colours_over_the_background(background: Colour) -> None:
    pixels = see_through()
    flat = colour.flatten(Picture.of(Image.fromarray(pixels)), background)
    share = pixels[..., 3:].astype(np.float64) / 255
    expected = pixels[..., :3] * share + np.array(background[:3]) * (1 - share)
    assert flat.image.mode == "RGB"
    assert np.abs(np.asarray(flat.image) - expected).max() <= 1
    assert [notice.kind for notice in flat.notices] == ["alpha-flattened"]


@pytest.mark.parametrize(
    ("background", "mode"), [((200, 200, 200, 255), "L"), ((30, 144, 255, 255), "RGB")]
)
def test_grey_stays_grey_over_a_grey_background_alone(background: Colour, mode: str) -> None:
    grey, alpha = see_through()[..., 0], see_through()[..., 3]
    image = Image.merge("LA", (Image.fromarray(grey), Image.fromarray(alpha)))
    flat = colour.flatten(Picture.of(image), background)
    share = alpha.astype(np.float64) / 255
    for channel, below in zip(flat.image.split(), background[: len(mode)], strict=True):
        expected = grey * share + below * (1 - share)
        assert np.abs(np.asarray(channel) - expected).max() <= 1
    assert flat.image.mode == mode


@pytest.mark.parametrize(("mode", "opaque"), [("RGBA", "RGB"), ("LA", "L")])
def test_an_alpha_channel_that_hides_nothing_goes_without_a_word(mode: str, opaque: str) -> None:
    image = Image.fromarray(pictures.scene()).convert(mode)
    flat = colour.flatten(Picture.of(image), (255, 0, 0, 255))
    assert flat.image.tobytes() == image.convert(opaque).tobytes()
    assert flat.notices == ()


def test_what_was_hidden_does_not_shine_through(tmp_path: Path) -> None:
    hidden = pictures.saved(Image.new("RGBA", (8, 8), (255, 0, 0, 0)), "PNG")
    data, warnings = made(tmp_path, hidden, ".png", format="bmp", background="#1e90ff")
    assert opened(data).getpixel((4, 4)) == (30, 144, 255)
    assert warnings == ["alpha-flattened"]


def test_flattening_keeps_the_profile_of_its_pixels(tmp_path: Path) -> None:
    source = pictures.saved(see_through(), "PNG", icc_profile=WIDE)
    data, _ = made(tmp_path, source, ".png", format="jpeg")
    assert opened(data).info["icc_profile"] == WIDE


# Lab


def test_lab_becomes_the_same_colours_in_srgb() -> None:
    colours = [(50, 0, 0), (70, 20, 30), (40, -20, 10), (90, 5, -8), (20, 10, -25), (100, 0, 0)]
    # As in a TIFF: lightness in 255 steps, and the others as signed bytes.
    data = bytes(
        value
        for lightness, a, b in colours
        for value in (round(lightness * 2.55), a % 256, b % 256)
    )
    image = Image.frombytes("LAB", (len(colours), 1), data)
    converted = np.asarray(colour.lab_to_rgb(image)).astype(np.float64)[0]
    for found, (lightness, a, b) in zip(converted, colours, strict=True):
        expected = lab_to_srgb((round(lightness * 2.55) / 2.55, a, b))
        assert np.abs(found - expected).max() <= MOST_OFF


def test_the_profiles_of_these_tests_are_ones_that_littlecms_reads() -> None:
    for profile, space in ((WIDE, "RGB "), (GREY, "GRAY"), (CMYK, "CMYK")):
        assert ImageCms.ImageCmsProfile(BytesIO(profile)).profile.xcolor_space == space
