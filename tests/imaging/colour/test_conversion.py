"""Profiles are distinguished and converted, against float64 references and other programs."""

from __future__ import annotations

import struct
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from toolkit import pictures, programs
from toolkit.colours import (
    CMYK,
    GREY,
    MOST_OFF,
    SRGB_TO_XYZ,
    WIDE,
    assert_close,
    deep_picture,
    grey_to_srgb,
    lab_to_srgb,
    made,
    many_colours,
    srgb_decoded,
    srgb_encoded,
    srgb_to_wide,
    srgb_with_a_table,
    wide_to_srgb,
)
from toolkit.pictures import opened

from imgbatch.errors import PictureError
from imgbatch.imaging import colour, formats
from imgbatch.imaging.colour import icc
from imgbatch.imaging.picture import Picture
from imgbatch.model import Intent

Floats = NDArray[np.float64]


# Telling sRGB from others


def test_srgb_is_recognised_by_what_it_does() -> None:
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


def test_built_in_srgb_profile_does_not_depend_on_the_date() -> None:
    icc = colour.srgb_profile()
    written, fixed = icc[24:36], (2024, 1, 1, 0, 0, 0)
    assert struct.unpack(">6H", written) == fixed
    # Its ID would be a checksum that covers the date as well.
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
def test_colour_space_is_read_from_the_profile_header(icc: bytes, space: bytes | None) -> None:
    assert colour.profile_space(icc) == space


@pytest.mark.parametrize(
    ("icc", "fits"),
    [(WIDE, {"RGB", "RGBA"}), (GREY, {"L", "LA", "I;16"}), (CMYK, {"CMYK"}), (b"x" * 200, set())],
)
def test_profile_fits_the_modes_of_its_space(icc: bytes, fits: set[str]) -> None:
    modes = ("L", "LA", "I;16", "RGB", "RGBA", "CMYK")
    assert {mode for mode in modes if colour.profile_fits(icc, mode)} == fits


# Converting


def test_wide_gamut_colours_look_the_same_in_srgb() -> None:
    pixels = many_colours()
    converted = colour.to_srgb(Picture.of(Image.fromarray(pixels), icc=WIDE))
    assert converted.icc is None
    assert np.abs(wide_to_srgb(pixels) - pixels).max() > 30
    assert_close(converted.image, wide_to_srgb(pixels))


def test_media_white_becomes_white() -> None:
    """Relative colorimetric: the tint of the paper or screen is not copied."""
    bluish = pictures.rgb_profile(
        pictures.WIDE_TO_XYZ, pictures.gamma_curve(2.2), white=(0.9505, 1.0, 1.0891)
    )
    # A scanner's profile: the white of a screen counts as D50 in any case.
    bluish = bluish[:12] + b"scnr" + bluish[16:]
    white = Picture.of(Image.new("RGB", (2, 2), (255, 255, 255)), icc=bluish)
    assert colour.to_srgb(white).image.getpixel((0, 0)) == (255, 255, 255)


def test_srgb_colours_look_the_same_in_a_wider_space() -> None:
    pixels = many_colours()
    converted = colour.convert(Picture.of(Image.fromarray(pixels)), WIDE)
    assert converted.icc == WIDE
    assert_close(converted.image, srgb_to_wide(pixels))


def test_grey_under_a_profile_looks_the_same_in_srgb() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    converted = colour.to_srgb(Picture.of(Image.fromarray(ramp), icc=GREY))
    expected = grey_to_srgb(ramp)
    channels = np.asarray(converted.image.convert("RGB")).astype(np.float64)
    assert np.abs(channels - expected[..., None]).max() <= MOST_OFF
    assert np.abs(expected - ramp).max() > 15


def test_conversion_keeps_alpha() -> None:
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
def test_cmyk_under_a_press_profile_becomes_its_overprints(ink: tuple[int, int, int]) -> None:
    image = Image.new("CMYK", (2, 2), (*(255 * one for one in ink), 0))
    converted = colour.to_srgb(Picture.of(image, icc=CMYK)).image
    lightness, a, b = pictures.CMYK_INKS[ink]
    # The profile's table has 8 bits for lightness.
    expected = lab_to_srgb((round(lightness * 2.55) / 2.55, a, b))
    assert np.abs(np.asarray(converted) - expected).max() <= MOST_OFF


def test_cmyk_without_a_profile_becomes_what_every_viewer_shows() -> None:
    rng = np.random.default_rng(3)
    inks = rng.integers(0, 256, (20, 20, 4), dtype=np.uint8)
    image = Image.frombytes("CMYK", (20, 20), inks.tobytes())
    converted = colour.to_srgb(Picture.of(image)).image
    paper = 255 - inks.astype(np.float64)
    expected = paper[..., :3] * paper[..., 3:] / 255
    assert np.abs(np.asarray(converted) - expected).max() <= 1


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("icc", [None, srgb_with_a_table()], ids=["none", "sRGB"])
def test_srgb_pixels_are_unchanged(mode: str, icc: bytes | None) -> None:
    image = Image.fromarray(pictures.scene()).convert(mode)
    picture = Picture.of(image, icc=icc if mode.startswith("RGB") else None)
    converted = colour.to_srgb(picture)
    assert converted.image.tobytes() == image.tobytes()
    assert (converted.image.mode, converted.icc) == (mode, None)


def test_unusable_target_profile_fails_the_picture() -> None:
    broken = WIDE[:132] + bytes(len(WIDE) - 132)
    with pytest.raises(PictureError) as caught:
        colour.convert(Picture.of(Image.new("RGB", (4, 4))), broken)
    assert caught.value.failure.kind == "profile"


def test_16_bits_become_8_by_rounding() -> None:
    levels = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
    exact = levels.astype(np.float64) * 255 / 65_535
    after = np.asarray(colour.to_8_bit(Image.fromarray(levels))).astype(np.float64)
    assert np.abs(after - exact).max() <= 0.5


# 16 bits a channel


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
        # The sixth decimals of the primaries differ, and the curve is steep there.
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
def test_16_bit_colours_become_cmyk_or_grey_of_a_profile() -> None:
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
    # Grey to grey takes only curves, for which the extra is not needed.
    grey = colour.to_srgb(Picture.of(Image.fromarray(pixels[..., 0].copy()), icc=GREY))
    assert (grey.mode, grey.notices) == ("I;16", ())


@needs_deep
def test_broken_profile_of_16_bit_colours_is_dropped_with_a_warning() -> None:
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
def test_tificc_converts_alike(tmp_path: Path, intent: Intent, target: str) -> None:
    """In 16 bits where the picture has them, so precision is compared as well."""
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
    """Absolute keeps the tint of a scanner's white; black moves only with compensation."""
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
def test_black_point_compensation_applies_to_the_relative_intent_only(*, deep: bool) -> None:
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


def test_absolute_intent_keeps_the_media_white_of_grey() -> None:
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
def test_intent_option_reaches_the_pixels(tmp_path: Path, format_name: str) -> None:
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
def test_imagemagick_sees_the_same_cmyk(tmp_path: Path, kind: str, profile: bytes | None) -> None:
    """Pillow writes CMYK JPEGs as Adobe does, inverted, and says so in a marker."""
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


# Lab


def test_lab_looks_the_same_in_srgb() -> None:
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


def test_littlecms_reads_the_profiles_of_these_tests() -> None:
    for profile, space in ((WIDE, "RGB "), (GREY, "GRAY"), (CMYK, "CMYK")):
        assert ImageCms.ImageCmsProfile(BytesIO(profile)).profile.xcolor_space == space
