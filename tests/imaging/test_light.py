"""Resampling in linear light, against a convolution of float64 light.

Expected levels are computed from the definitions of the curves: levels to light, premultiplied by
alpha, convolved (`test_resample.convolved`), and back. In 8 bits the way through 16-bit light is
rounded and clipped twice (between the two passes, as in any integer resampling), so most pixels are
within a level, and a few at hard black edges are farther off: the bounds are an RMSE of 0.5 levels,
as for plain resampling, and 1 level for all but one in a thousand.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from toolkit import pictures
from toolkit.cases import together
from toolkit.resampling import (
    PART,
    SMOOTH_KERNELS,
    WHOLE,
    Floats,
    convolved,
    picture_like,
    planes,
    rmse,
)

import imgbatch
from imgbatch.imaging import light, resample
from imgbatch.imaging.colour import icc
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.picture import Box, Picture
from imgbatch.model import Size
from imgbatch.operations.geometry import Resize, SizeSpec

Curve = Callable[[Floats], Floats]


def srgb_decoded(levels: Floats) -> Floats:
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def srgb_encoded(light: Floats) -> Floats:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.abs(light) ** (1 / 2.4) - 0.055)


def power(exponent: float) -> tuple[Curve, Curve]:
    return (lambda levels: levels**exponent), (lambda light: light ** (1 / exponent))


SRGB: Final = (srgb_decoded, srgb_encoded)
GAMMA: Final = 563 / 256

PROFILES: Final[dict[str, tuple[bytes | None, tuple[Curve, Curve]]]] = {
    "none": (None, SRGB),
    "sRGB": (icc.rgb_profile("test", icc.SRGB, icc.srgb_curve()), SRGB),
    "Adobe RGB": (pictures.wide_gamut_profile(), power(GAMMA)),
    "gamma 1.8": (icc.rgb_profile("test", icc.SRGB, icc.gamma(461 / 256)), power(461 / 256)),
    "light": (icc.rgb_profile("test", icc.SRGB, icc.gamma(1)), power(1)),
}


def as_picture(mode: str) -> Picture:
    """`picture_like`, and its 16-bit counterpart."""
    if not mode.endswith(";16") or mode == "I;16":
        return Picture.of(picture_like(mode))
    eight = planes(picture_like(mode.removesuffix(";16")))
    noise = np.random.default_rng(2).integers(0, 257, eight.shape)
    deep = Deep(np.clip(eight * 256 + noise, 0, 65_535).astype(np.uint16))
    return Picture(deep, "png", deep.size, (0, 0, *deep.size))


def levels_of(picture: Picture) -> Floats:
    deep = picture.deep
    return deep.array.astype(np.float64) if deep else planes(picture.image)


def most(mode: str) -> int:
    return 65_535 if mode.endswith(";16") else 255


def with_profile(picture: Picture, profile: bytes | None) -> Picture:
    return Picture(picture.pixels, "png", picture.size, (0, 0, *picture.size), icc=profile)


def expected_levels(
    picture: Picture, size: Size, kernel: str, box: Box, curves: tuple[Curve, Curve]
) -> Floats:
    """Levels, not rounded; colours are multiplied by alpha, as they are seen."""
    decoded, encoded = curves
    levels = levels_of(picture) / most(picture.mode)
    if not picture.has_alpha:
        found = encoded(np.clip(convolved(decoded(levels), size, kernel, box), 0, 1))
        return found * most(picture.mode)
    colours, alpha = levels[..., :-1], levels[..., -1:]
    both = convolved(np.concatenate([decoded(colours) * alpha, alpha], axis=2), size, kernel, box)
    alpha = both[..., -1:]
    share = np.divide(both[..., :-1], alpha, out=np.zeros_like(both[..., :-1]), where=alpha > 1e-9)
    alpha = np.clip(alpha, 0, 1)
    seen = encoded(np.clip(share, 0, 1)) * alpha
    return np.concatenate([seen, alpha], axis=2) * most(picture.mode)


def seen_levels(picture: Picture) -> Floats:
    levels = levels_of(picture)
    if not picture.has_alpha:
        return levels
    alpha = levels[..., -1:]
    return np.concatenate([levels[..., :-1] * alpha / most(picture.mode), alpha], axis=2)


def resized(picture: Picture, size: Size, kernel: str, box: Box) -> Picture:
    pixels = light.resize(picture, size, kernel, box)
    assert pixels is not None
    assert (pixels.mode, pixels.size) == (picture.mode, size)
    return with_profile(picture.with_image(pixels), picture.icc)


def assert_right(found: Floats, expected: Floats, mode: str) -> None:
    off = np.abs(found - expected)
    if mode.endswith(";16"):
        # float32 has 24 bits; sRGB's curve takes 4 of them in the dark, and roundings add up.
        assert rmse(found, expected) <= 1
        assert np.quantile(off, 0.999) <= 4
    else:
        assert rmse(found, expected) <= 0.5
        assert np.quantile(off, 0.999) <= 1


@pytest.fixture(params=["simd", "pillow"])
def _path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "pillow":
        monkeypatch.setattr(resample, "_found", None)
    elif resample.resize_simd is None:
        pytest.skip("cykooz-resizer is not installed here")


SIZES: Final = [
    pytest.param((63, 47), WHOLE, id="down"),
    pytest.param((301, 211), WHOLE, id="up"),
    pytest.param((41, 39), PART, id="from part"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("size", "box"), SIZES)
@pytest.mark.parametrize("kernel", SMOOTH_KERNELS)
@together("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.usefixtures("_path")
def test_8_bit_pictures_are_averaged_as_light(mode: str, kernel: str, size: Size, box: Box) -> None:
    picture = as_picture(mode)
    found = seen_levels(resized(picture, size, kernel, box))
    assert_right(found, expected_levels(picture, size, kernel, box, SRGB), mode)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["lanczos", "hamming", "mitchell"])
@pytest.mark.parametrize("mode", ["I;16", "LA;16", "RGB;16", "RGBA;16"])
@pytest.mark.usefixtures("_path")
def test_16_bit_pictures_are_averaged_as_light_and_stay_16_bits(mode: str, kernel: str) -> None:
    picture = as_picture(mode)
    found = seen_levels(resized(picture, (63, 47), kernel, WHOLE))
    assert_right(found, expected_levels(picture, (63, 47), kernel, WHOLE, SRGB), mode)
    assert len(np.unique(found)) > 1000


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "RGB;16"])
def test_curve_comes_from_the_pictures_own_profile(mode: str, name: str) -> None:
    profile, curves = PROFILES[name]
    picture = with_profile(as_picture(mode), profile)
    found = seen_levels(resized(picture, (63, 47), "lanczos", WHOLE))
    assert_right(found, expected_levels(picture, (63, 47), "lanczos", WHOLE, curves), mode)


@pytest.mark.parametrize("mode", ["L", "I;16"])
def test_grey_uses_the_curve_of_its_own_profile(mode: str) -> None:
    picture = with_profile(as_picture(mode), icc.grey_profile("test", icc.gamma(1.25)))
    found = seen_levels(resized(picture, (63, 47), "lanczos", WHOLE))
    curves = power(1.25)
    exact = expected_levels(picture, (63, 47), "lanczos", WHOLE, curves)
    assert_right(found, exact, mode)
    # The test would notice sRGB's curve.
    others = expected_levels(picture, (63, 47), "lanczos", WHOLE, SRGB)
    assert rmse(found, others) > 2 * rmse(found, exact)


def test_channels_with_different_curves_are_averaged_by_their_own() -> None:
    exponents = (1.0, 1.8, 2.5)
    tags = {
        name: icc.gamma(exponent)
        for name, exponent in zip((b"rTRC", b"gTRC", b"bTRC"), exponents, strict=True)
    }
    primaries = dict.fromkeys((b"rXYZ", b"gXYZ", b"bXYZ"), pictures._xyz(0.3, 0.3, 0.3))
    profile = pictures._icc(b"mntr", b"RGB ", b"XYZ ", primaries | tags)
    for mode in ("RGB", "RGBA", "RGB;16"):
        picture = with_profile(as_picture(mode), profile)
        found = seen_levels(resized(picture, (63, 47), "bicubic", WHOLE))
        for channel, exponent in enumerate(exponents):
            curves = power(round(exponent * 256) / 256)
            exact = expected_levels(picture, (63, 47), "bicubic", WHOLE, curves)
            assert_right(found[..., channel], exact[..., channel], mode)


def test_black_and_white_lines_become_the_grey_of_half_the_light() -> None:
    """Half the light of white is level 188 of sRGB (187.5), not 127 or 128."""
    lines = np.zeros((64, 64, 3), np.uint8)
    lines[::2] = 255
    picture = Picture.of(Image.fromarray(lines))
    found = levels_of(resized(picture, (8, 8), "box", (0, 0, 64, 64)))
    assert np.array_equal(found, np.full((8, 8, 3), 188.0))
    gamma = with_profile(picture, pictures.wide_gamut_profile())
    found = levels_of(resized(gamma, (8, 8), "box", (0, 0, 64, 64)))
    assert np.array_equal(found, np.full((8, 8, 3), round(255 * 0.5 ** (1 / GAMMA))))


@pytest.mark.usefixtures("_path")
def test_dark_sides_of_the_sharpest_edges_are_right_too() -> None:
    """Overshoots in one direction count in the other, and are not clipped."""
    rows, columns = np.mgrid[0:96, 0:96] - 48
    ring = np.where(np.abs(np.hypot(rows, columns) - 30) < 2, 255, 0)
    noise = np.random.default_rng(8).integers(0, 256, (96, 96, 3))
    for levels in (noise, np.dstack([ring] * 3)):
        picture = Picture.of(Image.fromarray(levels.astype(np.uint8)))
        found = levels_of(resized(picture, (40, 48), "lanczos", (0, 0, 96, 96)))
        averaged = convolved(srgb_decoded(levels / 255), (40, 48), "lanczos", (0, 0, 96, 96))
        wanted = 255 * srgb_encoded(np.clip(averaged, 0, 1))
        # Half a level of rounding, and the error of 16-bit light.
        assert np.abs(found - wanted).max() <= 0.6


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "RGBA"])
@pytest.mark.usefixtures("_path")
def test_flat_levels_are_unchanged(mode: str, name: str) -> None:
    """In 16-bit light the darkest levels of gamma 2.2 are less than a step apart."""
    profile = PROFILES[name][0]
    if mode.startswith("L"):
        profile = None if name == "none" else pictures.grey_profile()
    bands = len(mode)
    # Sixteen rows per level would be slow: the columns are stretched, not mixed.
    rows = np.repeat(np.arange(256, dtype=np.uint8), bands).reshape(1, 256, bands)
    pixels = np.repeat(rows, 40, axis=0)
    if mode in ("LA", "RGBA"):
        pixels[..., -1] = 255
    image = Image.frombytes(mode, (256, 40), pixels.tobytes())
    picture = with_profile(Picture.of(image), profile)
    found = levels_of(resized(picture, (256, 9), "lanczos", (0, 0, 256, 40)))
    assert np.array_equal(found, pixels[:9])


@pytest.mark.parametrize("name", ["none", "Adobe RGB", "gamma 1.8"])
def test_flat_16_bit_levels_are_unchanged(name: str) -> None:
    pixels = np.arange(65_536, dtype=np.uint16).reshape(1, -1, 1)
    pixels = np.repeat(np.repeat(pixels, 8, axis=0), 3, axis=2)
    deep = Deep(pixels)
    picture = Picture(deep, "png", deep.size, (0, 0, *deep.size), icc=PROFILES[name][0])
    found = levels_of(resized(picture, (65_536, 3), "lanczos", (0, 0, 65_536, 8)))
    assert np.abs(found - pixels[:3]).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("kernel", SMOOTH_KERNELS)
@pytest.mark.parametrize("mode", ["RGBA", "LA", "RGBA;16"])
@pytest.mark.usefixtures("_path")
def test_hidden_colour_of_transparent_pixels_never_shows(mode: str, kernel: str) -> None:
    full = most(mode)
    hidden = (full, 0) if mode == "LA" else (0, full, 0, 0)
    visible = (0, full) if mode == "LA" else (full, 0, 0, full)
    pixels = np.empty((71, 91, len(hidden)), np.uint16 if full > 255 else np.uint8)
    pixels[:] = hidden
    pixels[20:50, 25:70] = visible
    pixels[5:8, ::3] = visible
    if full > 255:
        picture = Picture(Deep(pixels), "png", (91, 71), (0, 0, 91, 71))
    else:
        picture = Picture.of(Image.frombytes(mode, (91, 71), pixels.tobytes()))
    for size in ((37, 29), (167, 131)):
        found = levels_of(resized(picture, size, kernel, (0, 0, 91, 71)))
        seen = found[found[..., -1] > 0]
        assert 0 < len(seen) < size[0] * size[1]
        # Nothing of the green; of grey, nothing of the white.
        assert seen[:, 1 if mode.startswith("RGB") else 0].max() == 0
        # Invisible pixels have no colour at all.
        assert found[found[..., -1] == 0].max() == 0


def test_strips_leave_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = as_picture("RGB")
    whole = levels_of(resized(picture, (97, 83), "lanczos", PART))
    assert len(resample.strips(picture.size, (97, 83), PART)) == 1
    monkeypatch.setattr(resample, "_STRIP_PIXELS", 2000)
    monkeypatch.setattr(resample, "_MIN_ROWS", 5)
    assert len(resample.strips(picture.size, (97, 83), PART)) > 8
    assert np.abs(levels_of(resized(picture, (97, 83), "lanczos", PART)) - whole).max() <= 1


def test_white_stays_white_where_a_curve_ends_flat() -> None:
    """A camera's curve that clips: levels from 192 on are all the same light."""
    table = pictures.table_curve(np.array([0, 0.2, 0.6, 1.0, 1.0]))
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None], 8, axis=0)
    picture = with_profile(Picture.of(Image.fromarray(ramp)), icc.grey_profile("test", table))
    found = levels_of(resized(picture, (256, 2), "box", (0, 0, 256, 8)))[0, :, 0]
    assert np.array_equal(found[:191], np.arange(191))
    assert set(found[192:]) == {255}


# Where there is no light to be had


@pytest.mark.parametrize(
    ("mode", "profile"),
    [
        pytest.param("CMYK", None, id="inks"),
        pytest.param("CMYK", pictures.cmyk_profile(), id="inks with a profile"),
        pytest.param("RGB", icc.adobe_rgb()[:300], id="broken"),
        pytest.param(
            "L",
            icc.grey_profile("test", pictures.table_curve(np.array([0.0, 0.8, 0.3, 1.0]))),
            id="a curve that falls",
        ),
        pytest.param(
            "L", icc.grey_profile("test", pictures.table_curve(np.zeros(4))), id="a flat curve"
        ),
    ],
)
def test_without_simple_curves_resampling_is_plain_with_a_warning(
    mode: str, profile: bytes | None
) -> None:
    picture = with_profile(Picture.of(picture_like(mode)), profile)
    linear = Resize(SizeSpec(100, 75), linear=True).apply(picture)
    plain = Resize(SizeSpec(100, 75)).apply(picture)
    assert [notice.kind for notice in linear.notices] == ["not-linear"]
    assert np.array_equal(planes(linear.image), planes(plain.image))


@pytest.mark.parametrize("kernel", ["nearest", "lanczos"])
@pytest.mark.parametrize("mode", ["CMYK", "RGB"])
def test_no_warning_where_nothing_is_averaged(mode: str, kernel: str) -> None:
    picture = Picture.of(picture_like(mode))
    size = SizeSpec(100, 75) if kernel == "nearest" else SizeSpec(211, 157)
    linear = Resize(size, "cover", kernel=kernel, linear=True).apply(picture)  # type: ignore[arg-type]
    plain = Resize(size, "cover", kernel=kernel).apply(picture)  # type: ignore[arg-type]
    assert linear.notices == ()
    assert np.array_equal(planes(linear.image), planes(plain.image))


# Through the whole program


def made(folder: Path, data: bytes, suffix: str, **options: Any) -> tuple[NDArray[Any], list[str]]:
    source = folder / f"photo{suffix}"
    source.write_bytes(data)
    recipe = imgbatch.Recipe.from_options(**options)
    (result,) = imgbatch.run(recipe, [source], output=folder / "output", jobs=1)
    assert result.failure is None, result.failure
    image = pictures.opened(Path(result.written[0].path).read_bytes())
    return np.asarray(image), [one.kind for one in result.notices]


@pytest.mark.parametrize(("linear", "level"), [(True, 188), (False, 128)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_option_reaches_the_pixels(
    tmp_path: Path, linear: bool, level: int, orientation: int
) -> None:
    lines = np.zeros((64, 48), np.uint8)
    lines[::2] = 255
    block = pictures.exif_block(orientation=orientation, thumbnail=b"").block
    data = pictures.with_metadata(lines, "PNG", exif=block)
    found, warnings = made(
        tmp_path, data, ".png", sizes=["32"], kernel="box", linear=linear, metadata="none"
    )
    assert found.shape == ((32, 24) if orientation == 1 else (24, 32))
    assert np.abs(found.astype(int) - level).max() <= 1
    assert warnings == []


def test_16_bit_grey_stays_16_bit(tmp_path: Path) -> None:
    lines = np.zeros((64, 64), np.uint16)
    lines[::2] = 65_535
    data = pictures.saved(lines, "PNG")
    found, warnings = made(tmp_path, data, ".png", sizes=["8"], kernel="box", linear=True)
    # sRGB's level of half the light: 1.055 * 0.5 ** (1 / 2.4) - 0.055
    assert found.dtype == np.uint16
    assert np.abs(found.astype(int) - 48_192).max() <= 2
    assert warnings == []


def test_cmyk_is_resampled_plainly_with_a_warning(tmp_path: Path) -> None:
    data = pictures.saved(Image.new("CMYK", (64, 64), (200, 20, 40, 60)), "TIFF")
    _, warnings = made(tmp_path, data, ".tif", sizes=["32"], linear=True)
    assert warnings == ["not-linear"]


@pytest.mark.slow
def test_plain_resize_of_a_jpeg_loads_neither_numpy_nor_linear_light(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(pictures.saved(pictures.scene(), "JPEG"))
    program = f"""
import sys
from imgbatch.imaging.decode import decode
from imgbatch.imaging.encode import encode
from imgbatch.model import Encoding
from imgbatch.operations.geometry import Resize, SizeSpec
for linear in (False, True):
    resize = Resize(SizeSpec(20, 20), linear=linear)
    picture = decode({str(tmp_path / "photo.jpg")!r}, lambda size: resize.needed_size(size, size))
    encode(resize.apply(picture), Encoding())
    print("numpy" in sys.modules, "imgbatch.imaging.light" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout.split("\n")[:2] == ["False False", "True True"], done.stderr
