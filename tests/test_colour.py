"""Colours stay what they are: profiles, conversions, and what lies under transparency.

Expected colours are computed here in float64 from the profiles' own definitions: a curve, a
matrix to CIE XYZ (D50), and back. LittleCMS's path for 8 bits works in fixed point (1.14 bits
for linear light): with the final rounding its result is within one level of the exact one, and
within two where sRGB's curve is steepest.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pictures
import pytest
from numpy.typing import NDArray
from pictures import opened
from PIL import Image, ImageCms

import imgbatch
from imgbatch.errors import PictureError, UsageError
from imgbatch.imaging import colour
from imgbatch.imaging.picture import Picture
from imgbatch.model import Colour

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


def test_16_bit_grey_is_not_reduced_in_silence_by_a_conversion(tmp_path: Path) -> None:
    deep = np.linspace(0, 65_535, 256).astype(np.uint16).reshape(16, 16)
    data, warnings = made(
        tmp_path, pictures.saved(deep, "PNG", icc_profile=GREY), ".png", profile="srgb"
    )
    assert warnings == ["depth-reduced"]
    expected = srgb_encoded((deep / 65_535) ** pictures.GREY_GAMMA) * 255
    channel = np.asarray(opened(data).convert("L")).astype(np.float64)
    assert np.abs(channel - expected).max() <= MOST_OFF


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
    for icc, space in ((WIDE, "RGB "), (GREY, "GRAY"), (CMYK, "CMYK")):
        assert ImageCms.ImageCmsProfile(BytesIO(icc)).profile.xcolor_space == space
