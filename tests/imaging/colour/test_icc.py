"""Profiles from numbers and back, and files that describe their colours without a profile.

Judged by LittleCMS (through Pillow) and by float64 matrices computed here from chromaticities.
"""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from toolkit import pictures
from toolkit.pictures import opened

import imgbatch
from imgbatch.imaging import colour
from imgbatch.imaging.colour import icc
from imgbatch.imaging.colour.icc import Primaries

Floats = NDArray[np.float64]

BRADFORD: Final = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
D50: Final = np.array([0.9642, 1.0, 0.8249])
D65: Final = (0.3127, 0.3290)
P3: Final = Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65)
BT2020: Final = Primaries((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65)
PROPHOTO: Final = Primaries(
    (0.734699, 0.265301), (0.159597, 0.840403), (0.036598, 0.000105), (0.345704, 0.358540)
)


def xyz(point: tuple[float, float]) -> Floats:
    x, y = point
    return np.array([x / y, 1, (1 - x - y) / y])


def to_xyz(primaries: Primaries) -> Floats:
    """RGB to XYZ under D50 (SMPTE RP 177, Bradford)."""
    columns = np.stack([xyz(point) for point in primaries[:3]], axis=1)
    white = xyz(primaries.white)
    columns = columns * np.linalg.solve(columns, white)
    gains = np.diag(BRADFORD @ D50 / (BRADFORD @ white))
    return np.asarray(np.linalg.inv(BRADFORD) @ gains @ BRADFORD @ columns)


def srgb_encoded(light: Floats) -> Floats:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def srgb_decoded(levels: Floats) -> Floats:
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def seen(light: Floats, primaries: Primaries) -> Floats:
    """Levels of sRGB that look like this light in these primaries."""
    back = np.linalg.inv(to_xyz(icc.SRGB))
    return srgb_encoded(light @ to_xyz(primaries).T @ back.T) * 255


def colours() -> NDArray[np.uint8]:
    levels = np.array([0, 5, 20, 64, 100, 150, 200, 255], np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(16, 32, 3)


def by_littlecms(profile: bytes, pixels: NDArray[np.uint8]) -> Floats:
    mode = "RGB" if pixels.ndim == 3 else "L"
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    image: Any = transform.apply(Image.fromarray(pixels))
    return np.asarray(image).astype(np.float64)


# Building


@pytest.mark.parametrize(
    ("primaries", "exponent"),
    [(P3, 2.2), (BT2020, 2.4), (PROPHOTO, 1.8), (icc.ADOBE_RGB, 563 / 256), (icc.SRGB, 1.0)],
)
def test_built_profile_does_what_its_numbers_say(primaries: Primaries, exponent: float) -> None:
    profile = icc.rgb_profile("test", primaries, icc.gamma(exponent))
    expected = seen((colours() / 255) ** exponent, primaries)
    # LittleCMS works in fixed point for 8 bits; the exponent is stored in 1/256.
    assert np.abs(by_littlecms(profile, colours()) - expected).max() <= 2


def test_built_srgb_profile_is_recognised_as_srgb() -> None:
    assert colour.is_srgb(icc.rgb_profile("any name", icc.SRGB, icc.srgb_curve()))
    assert colour.is_srgb(icc.grey_srgb())
    assert not colour.is_srgb(icc.grey_profile("sRGB", icc.gamma(1.8)))
    assert not colour.is_srgb(icc.adobe_rgb())


def test_built_grey_profile_does_what_its_exponent_says() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    expected = srgb_encoded((ramp / 255) ** 1.8) * 255
    found = by_littlecms(icc.grey_profile("test", icc.gamma(1.8)), ramp)
    assert np.abs(found - expected[..., None]).max() <= 2


@pytest.mark.parametrize("profile", [icc.adobe_rgb(), icc.grey_srgb()], ids=["RGB", "grey"])
def test_built_profiles_are_reproducible_and_well_formed(profile: bytes) -> None:
    assert struct.unpack(">I", profile[:4]) == (len(profile),)
    assert struct.unpack(">6H", profile[24:36]) == (2024, 1, 1, 0, 0, 0)
    assert len(profile) % 4 == 0
    assert icc.is_whole(profile)
    found = icc.tags(profile)
    assert found is not None
    assert {b"desc", b"cprt", b"wtpt"} <= found.keys()
    described = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(profile)))
    assert described.strip() in {"Compatible with Adobe RGB (1998)", "Grey with the curve of sRGB"}


@pytest.mark.parametrize(
    "primaries",
    [
        Primaries((0.64, 0.33), (0.64, 0.33), (0.15, 0.06), D65),
        Primaries((0.64, 0.33), (0.3, 0.6), (0.15, 0.0), D65),
        Primaries((0.64, 0.33), (0.3, 0.6), (0.15, 0.06), (0.9, 0.05)),
    ],
    ids=["two are the same", "beyond all colours", "white outside"],
)
def test_impossible_primaries_are_refused(primaries: Primaries) -> None:
    with pytest.raises(ValueError, match="primaries"):
        icc.rgb_profile("test", primaries, icc.gamma(2.2))


@pytest.mark.parametrize(
    ("points", "primaries", "light"),
    [
        ((12, 13), P3, srgb_decoded(colours() / 255)),
        ((9, 13), BT2020, srgb_decoded(colours() / 255)),
        # As every viewer shows them.
        ((9, 14), BT2020, srgb_decoded(colours() / 255)),
        ((12, 1), P3, srgb_decoded(colours() / 255)),
        ((1, 4), icc.SRGB, (colours() / 255) ** 2.2),
        ((12, 8), P3, colours() / 255),
    ],
)
def test_code_points_become_the_profile_they_mean(
    points: tuple[int, int], primaries: Primaries, light: Floats
) -> None:
    profile = icc.from_cicp(*points)
    assert profile is not None
    expected = seen(light, primaries)
    assert np.abs(by_littlecms(profile, colours()) - expected).max() <= 2


@pytest.mark.parametrize("points", [(3, 13), (10, 16), (1, 77)])
def test_code_points_without_a_profile_give_none(points: tuple[int, int]) -> None:
    assert icc.from_cicp(*points) is None


# Reading curves

LEVELS: Final = np.linspace(0, 1, 257)


def parametric(kind: int, *parameters: float) -> bytes:
    values = b"".join(struct.pack(">i", round(65_536 * one)) for one in parameters)
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + values


def curves_of(curve: bytes) -> Floats:
    (found,) = icc.tone_curves(icc.grey_profile("test", curve)) or ()
    return found(LEVELS)


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        pytest.param(b"curv" + bytes(8), LEVELS, id="none"),
        pytest.param(icc.gamma(1.8), LEVELS ** (461 / 256), id="gamma"),
        pytest.param(icc.srgb_curve(), srgb_decoded(LEVELS), id="table"),
        pytest.param(parametric(0, 2.4), LEVELS**2.4, id="type 0"),
        pytest.param(
            parametric(1, 2.0, 1.25, -0.25),
            np.where(LEVELS >= 0.2, (1.25 * LEVELS - 0.25) ** 2, 0),
            id="type 1",
        ),
        pytest.param(
            parametric(2, 2.0, 1.0, -0.25, 0.125),
            np.where(LEVELS >= 0.25, (LEVELS - 0.25) ** 2 + 0.125, 0.125),
            id="type 2",
        ),
        pytest.param(
            parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),
            srgb_decoded(LEVELS),
            id="type 3",
        ),
        pytest.param(
            parametric(4, 2.0, 0.75, 0.125, 0.25, 0.5, 0.03125, 0.0625),
            np.where(LEVELS >= 0.5, (0.75 * LEVELS + 0.125) ** 2 + 0.03125, LEVELS / 4 + 0.0625),
            id="type 4",
        ),
    ],
)
def test_curves_are_read_as_specified(curve: bytes, expected: Floats) -> None:
    # s15Fixed16 parameters are within 1/131072, a table of 1024 within its linear segments.
    assert np.abs(curves_of(curve) - expected).max() <= 3e-5


def test_parametric_curves_agree_with_littlecms() -> None:
    """That is, not only with our reading of the specification."""
    curve = parametric(4, 2.0, 0.75, 0.125, 0.25, 0.5, 0.03125, 0.0625)
    profile = icc.rgb_profile("test", icc.SRGB, curve)
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    (light, *_) = icc.tone_curves(profile) or ()
    expected = srgb_encoded(light(ramp / 255)) * 255
    assert np.abs(by_littlecms(profile, ramp) - expected).max() <= 2


def test_each_channel_has_its_own_curve() -> None:
    names = (b"rTRC", b"gTRC", b"bTRC")
    profile = icc.adobe_rgb()
    assert len(set(icc.tone_curves(profile) or ())) == 1
    one, other = icc.gamma(2.2), icc.gamma(1.8)
    tags = {name: other if name == b"gTRC" else one for name in names}
    built = pictures._icc(
        b"mntr",
        b"RGB ",
        b"XYZ ",
        {name: pictures._xyz(0.3, 0.3, 0.3) for name in (b"rXYZ", b"gXYZ", b"bXYZ")} | tags,
    )
    red, green, blue = icc.tone_curves(built) or ()
    assert red is blue
    assert np.abs(green(LEVELS) - LEVELS ** (461 / 256)).max() < 1e-6
    assert np.abs(red(LEVELS) - LEVELS ** (563 / 256)).max() < 1e-6


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param(pictures.cmyk_profile(), id="table of colours"),
        pytest.param(b"", id="nothing"),
        pytest.param(icc.adobe_rgb()[:300], id="cut short"),
        pytest.param(icc.grey_profile("test", parametric(5, 1, 1)), id="unknown type"),
        pytest.param(icc.grey_profile("test", parametric(3, 1.0)), id="parameters missing"),
        pytest.param(
            icc.grey_profile("test", b"curv" + bytes(4) + struct.pack(">I", 9)), id="no table"
        ),
        pytest.param(icc.grey_profile("test", b"sf32" + bytes(20)), id="no curve"),
        pytest.param(
            icc.grey_profile("test", icc.gamma(2))[:20]
            + b"Lab "
            + icc.grey_profile("test", icc.gamma(2))[24:],
            id="grey in Lab",
        ),
    ],
)
def test_profiles_without_simple_curves_have_none(profile: bytes) -> None:
    assert icc.tone_curves(profile) is None


# What PNG chunks tell


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(pixels: NDArray[Any], *chunks: bytes, **options: Any) -> bytes:
    """A PNG with further chunks right after its header."""
    data = pictures.saved(pixels, "PNG", **options)
    return data[:33] + b"".join(chunks) + data[33:]


def gama(gamma: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(gamma * 100_000)))


def chrm(primaries: Primaries) -> bytes:
    points = (primaries.white, *primaries[:3])
    numbers = (round(one * 100_000) for point in points for one in point)
    return chunk(b"cHRM", struct.pack(">8I", *numbers))


def cicp(primaries: int, transfer: int) -> bytes:
    return chunk(b"cICP", bytes((primaries, transfer, 0, 1)))


SRGB_CHUNK: Final = chunk(b"sRGB", b"\0")


def made(folder: Path, data: bytes, suffix: str = ".png", **options: Any) -> tuple[Any, list[str]]:
    """An output of the whole program, opened, and the kinds of its warnings."""
    source = folder / f"photo{suffix}"
    source.write_bytes(data)
    recipe = imgbatch.Recipe.from_options(**options)
    (result,) = imgbatch.run(recipe, [source], output=folder / "output", jobs=1)
    assert result.failure is None, result.failure
    written = Path(result.written[0].path).read_bytes()
    return opened(written), [one.kind for one in result.notices]


def encoded_for(gamma: float, light: Floats) -> Floats:
    return light**gamma * 255


@pytest.mark.slow
@pytest.mark.parametrize("gamma", [0.35, 0.45, 0.55, 0.7, 1.0, 1.5])
@pytest.mark.parametrize("kind", ["RGB", "P", "L"])
def test_pictures_of_different_gammas_come_out_alike(
    tmp_path: Path, gamma: float, kind: str
) -> None:
    light = np.linspace(0.02, 1, 64).reshape(8, 8)
    levels = np.rint(encoded_for(gamma, light)).astype(np.uint8)
    if kind == "P":
        image = Image.fromarray(levels, mode=None).convert("P")
        data = pictures.saved(image, "PNG")
        data = data[:33] + gama(gamma) + data[33:]
    else:
        pixels = levels if kind == "L" else np.repeat(levels[..., None], 3, axis=2)
        data = png_with(pixels, gama(gamma))
    image, warnings = made(tmp_path, data, profile="srgb")
    # The rounding to 8 bits before the conversion counts, too.
    expected = srgb_encoded((levels / 255) ** (1 / gamma)) * 255
    found = np.asarray(image.convert("RGB")).astype(np.float64)
    assert np.abs(found - expected[..., None]).max() <= 2
    assert image.mode == ("L" if kind == "L" else kind)
    assert warnings == []


def test_16_bit_grey_of_another_gamma_stays_in_16_bits(tmp_path: Path) -> None:
    levels = np.linspace(0, 65_535, 4096).astype(np.uint16).reshape(64, 64)
    image, warnings = made(tmp_path, png_with(levels, gama(1.0)), profile="srgb")
    exact = srgb_encoded(levels / 65_535) * 65_535
    assert image.mode == "I;16"
    # The target's curve is a table of 1024 with linear segments.
    assert np.abs(np.asarray(image) - exact).max() <= 16
    assert colour.is_srgb(image.info["icc_profile"])
    assert warnings == []


@pytest.mark.parametrize(
    ("chunks", "light", "primaries"),
    [
        pytest.param([gama(0.5), chrm(P3)], (colours() / 255) ** 2.0, P3, id="gAMA and cHRM"),
        pytest.param([gama(0.5)], (colours() / 255) ** 2.0, icc.SRGB, id="gAMA alone"),
        pytest.param([cicp(12, 13)], srgb_decoded(colours() / 255), P3, id="cICP"),
        pytest.param(
            [cicp(12, 13), SRGB_CHUNK, gama(1.0)],
            srgb_decoded(colours() / 255),
            P3,
            id="cICP before sRGB and gAMA",
        ),
        pytest.param(
            [cicp(10, 13), gama(0.5)], srgb_decoded(colours() / 255), icc.SRGB, id="XYZ is dropped"
        ),
        pytest.param(
            [gama(1.0), SRGB_CHUNK],
            srgb_decoded(colours() / 255),
            icc.SRGB,
            id="sRGB before gAMA",
        ),
        pytest.param(
            [gama(0.45455), chrm(P3)], (colours() / 255) ** 2.2, P3, id="cHRM with the usual gAMA"
        ),
        pytest.param(
            [gama(0.5), chrm(Primaries((0, 0), (0, 0), (0, 0), (0, 0)))],
            (colours() / 255) ** 2.0,
            icc.SRGB,
            id="cHRM that cannot be",
        ),
        pytest.param([gama(0)], srgb_decoded(colours() / 255), icc.SRGB, id="gAMA of nothing"),
        pytest.param([gama(300)], srgb_decoded(colours() / 255), icc.SRGB, id="absurd gAMA"),
        pytest.param(
            [gama(0.45455), chrm(icc.SRGB)],
            srgb_decoded(colours() / 255),
            icc.SRGB,
            id="gAMA and cHRM of sRGB",
        ),
    ],
)
def test_png_chunks_take_effect_in_their_order_of_precedence(
    tmp_path: Path, chunks: list[bytes], light: Floats, primaries: Primaries
) -> None:
    image, warnings = made(tmp_path, png_with(colours(), *chunks), format="bmp")
    found = np.asarray(image.convert("RGB")).astype(np.float64)
    assert np.abs(found - seen(light, primaries)).max() <= 2
    assert warnings == (["profile-dropped"] if chunks[0] == cicp(10, 13) else [])


@pytest.mark.parametrize(
    "told", [cicp(1, 13), cicp(2, 2), SRGB_CHUNK, gama(0.45455), gama(0.45455) + chrm(icc.SRGB)]
)
def test_file_that_declares_srgb_needs_no_profile(tmp_path: Path, told: bytes) -> None:
    image, warnings = made(tmp_path, png_with(colours(), told), format="tiff")
    assert "icc_profile" not in image.info
    assert np.array_equal(np.asarray(image), colours())
    assert warnings == []


def test_profile_takes_precedence_over_gamma_and_code_points_over_both(tmp_path: Path) -> None:
    wide = pictures.wide_gamut_profile()
    image, _ = made(tmp_path, png_with(colours(), gama(1.0), icc_profile=wide), format="tiff")
    assert image.info["icc_profile"] == wide
    coded = png_with(colours(), cicp(12, 13), icc_profile=wide)
    image, _ = made(tmp_path, coded, format="webp", lossless=True)
    assert image.info["icc_profile"] == icc.from_cicp(12, 13)
    # The file's own says how high dynamic range is shown in the standard one.
    coded = png_with(colours(), cicp(9, 16), icc_profile=wide)
    image, warnings = made(tmp_path, coded, format="tiff")
    assert (image.info["icc_profile"], warnings) == (wide, [])


@pytest.mark.parametrize("format_name", ["jpeg", "tiff", "webp", "avif", "png"])
def test_implied_profile_is_written_where_the_format_holds_one(
    tmp_path: Path, format_name: str
) -> None:
    data = png_with(colours(), cicp(12, 13))
    image, warnings = made(tmp_path, data, format=format_name, filters=["brightness:amount=0.1"])
    assert image.info["icc_profile"] == icc.from_cicp(12, 13)
    assert warnings == []


def test_png_with_implied_colours_is_copied_unchanged(tmp_path: Path) -> None:
    data = png_with(colours(), gama(0.5), chrm(P3))
    made(tmp_path, data)
    assert (tmp_path / "output" / "photo.png").read_bytes() == data


# What AVIF boxes and EXIF tell


def avif_with(primaries: int, transfer: int, **options: Any) -> bytes:
    """An AVIF with these values in its nclx box."""
    data = bytearray(pictures.saved(pictures.scene(), "AVIF", quality=95, **options))
    at = data.index(b"nclx")
    data[at + 4 : at + 8] = struct.pack(">HH", primaries, transfer)
    return bytes(data)


def test_avif_primaries_are_read_from_a_box(tmp_path: Path) -> None:
    image, warnings = made(tmp_path, avif_with(12, 13), ".avif", format="png")
    assert image.info["icc_profile"] == icc.from_cicp(12, 13)
    assert warnings == []


@pytest.mark.parametrize(
    "points", [(1, 13), (2, 2), (1, 2), (1, 1), (1, 6), (1, 14), (1, 15), (2, 1)]
)
def test_avif_in_srgb_needs_no_profile(tmp_path: Path, points: tuple[int, int]) -> None:
    image, warnings = made(tmp_path, avif_with(*points), ".avif", format="png")
    assert "icc_profile" not in image.info
    assert warnings == []


def test_avif_of_unknown_colours_warns_of_the_loss(tmp_path: Path) -> None:
    image, warnings = made(tmp_path, avif_with(10, 17), ".avif", format="png")
    assert "icc_profile" not in image.info
    assert warnings == ["profile-dropped"]


def test_profile_of_an_avif_takes_precedence_over_its_box(tmp_path: Path) -> None:
    wide = pictures.wide_gamut_profile()
    data = pictures.saved(pictures.scene(), "AVIF", icc_profile=wide)
    image, _ = made(tmp_path, data, ".avif", format="png")
    assert image.info["icc_profile"] == wide


def camera_exif(space: int, index: str, order: pictures.Order = "<") -> bytes:
    space_field = (0xA001, 3, struct.pack(order + "H", space))
    block = pictures.exif_block(
        order, orientation=1, maker_note=False, more=[space_field], thumbnail=b""
    ).block
    assert block.count(b"R98\0") == 1
    return block.replace(b"R98\0", index.encode() + b"\0")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("space", "index", "adobe", "format_name"),
    [
        (0xFFFF, "R03", True, "JPEG"),
        (0xFFFF, "R98", False, "JPEG"),
        (1, "R03", False, "JPEG"),
        (1, "R98", False, "JPEG"),
        (2, "R98", True, "JPEG"),
        # Pillow does not write an index into a TIFF.
        (0xFFFF, "R98", False, "TIFF"),
        (2, "R98", True, "TIFF"),
    ],
)
def test_adobe_rgb_is_recognised_from_camera_exif(
    tmp_path: Path, space: int, index: str, adobe: bool, order: pictures.Order, format_name: str
) -> None:
    block = camera_exif(space, index, order)
    data = pictures.with_metadata(pictures.scene(), format_name, exif=block)
    suffix = {"JPEG": ".jpg", "TIFF": ".tif"}[format_name]
    image, warnings = made(tmp_path, data, suffix, format="png")
    assert (image.info.get("icc_profile") == icc.adobe_rgb()) is adobe
    assert ("icc_profile" in image.info) is adobe
    assert warnings == []


def test_grey_adobe_rgb_pictures_get_no_profile(tmp_path: Path) -> None:
    grey = pictures.scene()[..., 0]
    data = pictures.with_metadata(grey, "JPEG", exif=camera_exif(0xFFFF, "R03"))
    image, _ = made(tmp_path, data, ".jpg", format="png")
    assert "icc_profile" not in image.info


def test_camera_profile_takes_precedence_over_exif(tmp_path: Path) -> None:
    wide = pictures.rgb_profile(pictures.WIDE_TO_XYZ, pictures.gamma_curve(1.8))
    data = pictures.with_metadata(
        pictures.scene(), "JPEG", exif=camera_exif(0xFFFF, "R03"), icc=wide
    )
    image, _ = made(tmp_path, data, ".jpg", format="png")
    assert image.info["icc_profile"] == wide
