"""What happens to a file's profile: kept, converted or dropped, in every format."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from toolkit import pictures
from toolkit.colours import (
    CMYK,
    GREY,
    MOST_OFF,
    PRIMARIES,
    WIDE,
    assert_close,
    grey_to_srgb,
    lab_to_srgb,
    made,
    many_colours,
    profile_of,
    seen_as_srgb,
    srgb_decoded,
    srgb_encoded,
    srgb_to_wide,
    srgb_with_a_table,
    wide_to_srgb,
)
from toolkit.pictures import opened

import imgbatch
from imgbatch.errors import UsageError
from imgbatch.imaging import colour, formats
from imgbatch.imaging.colour import icc
from imgbatch.imaging.picture import Picture

Floats = NDArray[np.float64]


def profile_file(folder: Path, icc: bytes) -> str:
    path = folder / "target.icc"
    path.write_bytes(icc)
    return str(path)


# --profile


@pytest.mark.parametrize(("source", "suffix"), [("PNG", ".png"), ("TIFF", ".tif")])
def test_profile_srgb_converts_and_declares_it(tmp_path: Path, source: str, suffix: str) -> None:
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


def test_profile_file_is_converted_to_and_embedded(tmp_path: Path) -> None:
    pixels = many_colours()
    data, warnings = made(
        tmp_path, pictures.saved(pixels, "PNG"), ".png", profile=profile_file(tmp_path, WIDE)
    )
    assert_close(opened(data), srgb_to_wide(pixels))
    assert opened(data).info["icc_profile"] == WIDE
    assert warnings == []


def test_picture_in_the_target_profile_is_left_alone(tmp_path: Path) -> None:
    pixels = many_colours()
    source = pictures.saved(pixels, "PNG", icc_profile=WIDE)
    data, _ = made(tmp_path, source, ".png", profile=profile_file(tmp_path, WIDE))
    assert np.array_equal(np.asarray(opened(data)), pixels)
    assert opened(data).info["icc_profile"] == WIDE


def test_grey_profile_file_makes_grey_pictures(tmp_path: Path) -> None:
    greys = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    data, _ = made(
        tmp_path, pictures.saved(greys, "PNG"), ".png", profile=profile_file(tmp_path, GREY)
    )
    image = opened(data)
    expected = srgb_decoded(greys[..., 0] / 255) ** (1 / pictures.GREY_GAMMA) * 255
    assert (image.mode, image.info["icc_profile"]) == ("L", GREY)
    assert np.abs(np.asarray(image) - expected)[expected > 10].max() <= MOST_OFF


def test_press_profile_file_makes_cmyk_pictures(tmp_path: Path) -> None:
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


def test_press_profile_drops_transparency_with_a_warning(tmp_path: Path) -> None:
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
    # The target's curve is a table of 1024 entries with linear segments.
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
def test_dark_greys_of_linear_curves_are_exact(gamma: float) -> None:
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
def test_file_that_is_not_a_profile_is_refused_at_once(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UsageError, match=r"target\.icc"):
        imgbatch.Recipe.from_options(profile=profile_file(tmp_path, content))


@pytest.mark.parametrize("word", ["sRGB2", "no/such/file.icc"])
def test_unknown_profile_is_refused_at_once(word: str) -> None:
    with pytest.raises(UsageError, match="srgb"):
        imgbatch.Recipe.from_options(profile=word)


# Keeping


@pytest.mark.parametrize("target", ["jpeg", "png", "tiff"])
def test_grey_profile_is_kept_with_grey_pixels(tmp_path: Path, target: str) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    source = pictures.saved(ramp, "PNG", icc_profile=GREY)
    data, warnings = made(tmp_path, source, ".png", format=target, quality=None)
    image = opened(data)
    assert (image.mode, image.info["icc_profile"]) == ("L", GREY)
    assert np.abs(np.asarray(image).astype(int) - ramp).mean() < 3
    assert warnings == []


@pytest.mark.parametrize("target", ["jpeg", "tiff"])
def test_press_profile_is_kept_with_cmyk(tmp_path: Path, target: str) -> None:
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
def test_cmyk_becomes_rgb_in_formats_without_cmyk(tmp_path: Path, target: str) -> None:
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
def test_mismatched_profile_is_dropped_with_a_warning(
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
def test_profile_that_turns_out_broken_is_dropped_with_a_warning(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    source = pictures.saved(pictures.scene(), "PNG", icc_profile=rgb_profile_that_begins_well())
    data, warnings = made(tmp_path, source, ".png", **options)
    assert warnings == ["profile-dropped"]
    off = np.asarray(opened(data)).astype(int) - pictures.scene()
    assert np.abs(off).max() <= 1


@pytest.mark.parametrize("icc_profile", [rgb_profile_that_begins_well(), WIDE[:300]])
def test_profile_that_lacks_required_tags_is_not_passed_on(
    tmp_path: Path, icc_profile: bytes
) -> None:
    source = pictures.saved(pictures.scene(), "PNG", icc_profile=icc_profile)
    data, warnings = made(tmp_path, source, ".png", format="tiff")
    assert "icc_profile" not in opened(data).info
    assert warnings == ["profile-dropped"]


def test_16_bit_grey_under_an_rgb_profile_keeps_appearance_and_depth(tmp_path: Path) -> None:
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


def test_grey_pixels_under_an_rgb_profile_keep_their_appearance(tmp_path: Path) -> None:
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


# Every space into every format


# Large even patches, so that a lossy codec keeps their means; none is outside sRGB.
PATCHES: Final = np.array(
    [[(180, 120, 100), (110, 150, 110)], [(100, 110, 160), (200, 190, 150)]], np.uint8
)


@pytest.mark.slow
@pytest.mark.parametrize("space", PRIMARIES)
@pytest.mark.parametrize("target", formats.WRITABLE)
def test_colour_looks_the_same_in_every_format(tmp_path: Path, target: str, space: str) -> None:
    if not formats.available(formats.BY_NAME[target]):
        pytest.skip(f"{target} is not available here")
    pixels = np.kron(PATCHES, np.ones((32, 32, 1), np.uint8))
    source = pictures.saved(pixels, "PNG", icc_profile=profile_of(space))
    options = {"quality": 100} if formats.BY_NAME[target].quality else {}
    data, warnings = made(tmp_path, source, ".png", format=target, **options)
    formats.codec(formats.BY_NAME[target])
    image = opened(data)
    profile = image.info.get("icc_profile")
    if profile is not None and target == "jxl":
        # libjxl writes usual profiles as numbers, and makes another one of these.
        patches = Image.fromarray(PATCHES)
        made_of_numbers = ImageCms.ImageCmsProfile(BytesIO(profile))
        srgb = ImageCms.profileToProfile(
            patches,
            made_of_numbers,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
        assert np.abs(np.asarray(srgb) - seen_as_srgb(PATCHES, space)).max() <= 2
    else:
        assert profile in (None, profile_of(space))
    assert (profile is not None) == ("icc" in formats.BY_NAME[target].holds)
    found = np.asarray(image.convert("RGB")).astype(np.float64)
    centres = found.reshape(2, 32, 2, 32, 3)[:, 8:24, :, 8:24].mean(axis=(1, 3))
    # In the numbers of the file: in ProPhoto a level is up to three of sRGB.
    off = centres - (PATCHES if profile else seen_as_srgb(PATCHES, space))
    assert np.abs(off).max() <= 2
    assert warnings == []
    # And this is not just what the numbers would have looked like without it.
    assert np.abs(seen_as_srgb(PATCHES, space) - PATCHES).max() > 5


# --metadata none


def test_metadata_none_omits_only_an_srgb_profile(tmp_path: Path) -> None:
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


def test_metadata_none_omits_a_grey_profile_with_the_srgb_curve(tmp_path: Path) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    source = pictures.saved(ramp, "PNG", icc_profile=GREY)
    data, _ = made(tmp_path, source, ".png", profile="srgb", metadata="none")
    assert "icc_profile" not in opened(data).info
    assert np.abs(np.asarray(opened(data)) - grey_to_srgb(ramp)).max() <= 1
    (tmp_path / "other").mkdir()
    data, _ = made(tmp_path / "other", source, ".png", metadata="none", format="tiff")
    assert opened(data).info["icc_profile"] == GREY
