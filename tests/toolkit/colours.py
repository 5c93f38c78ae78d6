"""Profiles, and their colours in sRGB, computed in float64."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import imgbatch
from imgbatch.imaging.colour import icc
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.picture import Picture
from toolkit import pictures

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
    """Every eighth level of each channel combined with some others, and a picture."""
    levels = np.array([0, 1, 3, 8, 20, 40, 64, 96, 128, 160, 192, 224, 240, 254, 255], np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(45, 75, 3)
    return np.concatenate([cube, pictures.scene(75, 50)])


def assert_close(image: Image.Image, expected: Floats) -> None:
    off = np.abs(np.asarray(image).astype(np.float64) - expected)
    assert off.max() <= MOST_OFF
    assert off.mean() <= USUALLY_OFF


def made(folder: Path, data: bytes, suffix: str, **options: Any) -> tuple[bytes, list[str]]:
    """An output's bytes and the kinds of its warnings, made by the whole program."""
    source = folder / f"photo{suffix}"
    source.write_bytes(data)
    recipe = imgbatch.Recipe.from_options(**options)
    (result,) = imgbatch.run(recipe, [source], output=folder / "output", jobs=1)
    assert result.failure is None, result.failure
    return Path(result.written[0].path).read_bytes(), [one.kind for one in result.notices]


def srgb_with_a_table() -> bytes:
    curve = pictures.table_curve(srgb_decoded(np.linspace(0, 1, 1024)))
    return pictures.rgb_profile(SRGB_TO_XYZ, curve, "Some camera")


def deep_picture(array: NDArray[np.uint16], profile: bytes | None = None) -> Picture:
    height, width = array.shape[:2]
    return Picture(Deep(array), "png", (width, height), (0, 0, width, height), icc=profile)


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
    """Convert levels of 0 to 255 in a space to levels of sRGB."""
    exponent = EXPONENTS[space]
    light = srgb_decoded(levels / 255) if exponent is None else (levels / 255) ** exponent
    xyz = light @ matrix_of(PRIMARIES[space]).T
    return srgb_encoded(xyz @ np.linalg.inv(SRGB_TO_XYZ).T) * 255


def profile_of(space: str) -> bytes:
    """Unlike `icc.rgb_profile`: from the matrix here, with the builder of the tests."""
    exponent = EXPONENTS[space]
    table = pictures.table_curve(srgb_decoded(np.linspace(0, 1, 4096)))
    curve = table if exponent is None else pictures.gamma_curve(exponent)
    return pictures.rgb_profile(matrix_of(PRIMARIES[space]), curve)
