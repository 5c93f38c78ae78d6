"""Camera raw files made for tests.

Their "camera" sees linear sRGB, each channel weakened as `NEUTRAL` says, so the expected result is
known: the sRGB curve (IEC 61966-2-1) of what was put in.
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any, Final, Literal

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from imgbatch.model import Size
from toolkit import pictures

SIZE: Final = (192, 128)
NEUTRAL: Final = (0.5, 1.0, 0.8)
"""What the camera makes of white (AsShotNeutral)."""

# From XYZ (D65) to linear sRGB (IEC 61966-2-1), which DNG calls ColorMatrix.
TO_SRGB: Final = (
    (3.2404542, -1.5371385, -0.4985314),
    (-0.9692660, 1.8760108, 0.0415560),
    (0.0556434, -0.2040259, 1.0572252),
)
LINEAR: Final = {
    "red": (0.5, 0.05, 0.05),
    "green": (0.05, 0.5, 0.05),
    "blue": (0.05, 0.05, 0.5),
    "grey": (0.2, 0.2, 0.2),
}
# White on a twentieth of the picture, so that automatic brightening has nothing to do.
CLOCKWISE: Final = ("red", "green", "blue", "grey")


def curve(linear: float) -> int:
    """The 8-bit level of a linear value in sRGB."""
    encoded = 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
    return round(255 * encoded)


EXPECTED: Final = {name: tuple(map(curve, colour)) for name, colour in LINEAR.items()}


def scene(size: Size = SIZE) -> NDArray[np.float64]:
    """Linear light: quarters, clockwise from the top left one, and a white bar in the middle."""
    width, height = size
    light = np.empty((height, width, 3))
    light[: height // 2, : width // 2] = LINEAR["red"]
    light[: height // 2, width // 2 :] = LINEAR["green"]
    light[height // 2 :, width // 2 :] = LINEAR["blue"]
    light[height // 2 :, : width // 2] = LINEAR["grey"]
    light[height // 2 - height // 10 : height // 2 + height // 10, width // 3 : -width // 3] = 1
    return light


def rationals(values: Any) -> tuple[int, ...]:
    return tuple(number for value in values for number in (round(value * 10_000), 10_000))


def dng(
    upright: NDArray[np.float64] | None = None,
    orientation: int = 1,
    *,
    previews: tuple[bytes, ...] = (),
    exif: bytes | None = None,
    xmp: bytes | None = None,
    kind: Literal["mosaic", "linear", "monochrome"] = "mosaic",
) -> bytes:
    """A DNG (Adobe's DNG 1.4) of one plane of samples under a Bayer pattern of RGGB.

    Or, of another kind, with all colours in each pixel, or with none.
    """
    light = pictures.stored(scene() if upright is None else upright, orientation)
    seen = np.rint(light * NEUTRAL * 65_535).astype(np.uint16)
    samples, planes = seen[..., 1].copy(), 1
    if kind == "mosaic":
        samples[::2, ::2], samples[1::2, 1::2] = seen[::2, ::2, 0], seen[1::2, 1::2, 2]
    elif kind == "linear":
        samples, planes = seen, 3
    matrix = np.diag(NEUTRAL) @ np.array(TO_SRGB)
    tags: list[Any] = [
        (0x010F, 2, 0, "Testa", True),
        (0x0110, 2, 0, pictures.MODEL, True),
        (0x0112, 3, 1, orientation, True),
        (0x013B, 2, 0, pictures.ARTIST, True),
        (0xC612, 1, 4, bytes((1, 4, 0, 0)), True),  # DNGVersion
        (0xC614, 2, 0, pictures.MODEL, True),  # UniqueCameraModel
        (0xC61D, 3, planes, (65_535,) * planes, True),  # WhiteLevel
    ]
    if kind == "mosaic":
        tags += [
            (0x828D, 3, 2, (2, 2), True),  # CFARepeatPatternDim
            (0x828E, 1, 4, bytes((0, 1, 1, 2)), True),  # CFAPattern
        ]
    if kind != "monochrome":
        tags += [
            (0xC621, 10, 9, rationals(matrix.ravel()), True),  # ColorMatrix1
            (0xC628, 5, 3, rationals(NEUTRAL), True),  # AsShotNeutral
            (0xC65A, 3, 1, 21, True),  # CalibrationIlluminant1: D65
        ]
    if xmp is not None:
        tags.append((0x02BC, 1, len(xmp), xmp, True))
    file = BytesIO()
    with tifffile.TiffWriter(file, byteorder="<") as writer:
        for number, preview in enumerate(previews):
            with Image.open(BytesIO(preview)) as small:
                width, height = small.size
            # Written as a strip of one JPEG, as cameras write their previews.
            writer.write(
                iter([preview]),
                shape=(height, width, 3),
                dtype=np.uint8,
                photometric="ycbcr",
                compression="jpeg",
                rowsperstrip=height,
                subfiletype=1,
                metadata=None,
                software=False,
                extratags=tags if number == 0 else (),
                subifds=0,
            )
        writer.write(
            samples,
            photometric={"mosaic": 32_803, "linear": 34_892, "monochrome": 1}[kind],
            metadata=None,
            software=False,
            extratags=tags,
            subfiletype=0,
        )
    data = file.getvalue()
    if kind == "monochrome":
        # Linear raw, of which tifffile only writes three channels.
        entry = struct.pack("<HHI", 0x0106, 3, 1)
        data = data.replace(entry + b"\1\0", entry + struct.pack("<H", 34_892))
    return data if exif is None else with_directory(data, exif)


def with_directory(tiff: bytes, below: bytes) -> bytes:
    """A TIFF whose first directory also points to the Exif directory of an EXIF block."""
    (first,) = struct.unpack_from("<I", tiff, 4)
    (count,) = struct.unpack_from("<H", tiff, first)
    entries = tiff[first + 2 : first + 2 + 12 * count]
    link = tiff[first + 2 + 12 * count :][:4]
    at = len(tiff)
    block = pictures.directory(
        "<", [(0x9003, 2, pictures.text(pictures.TAKEN)), (0x927C, 7, below)], at
    )
    table = entries + struct.pack("<HHII", 0x8769, 4, 1, at)
    start = at + len(block)
    return (
        tiff[:4]
        + struct.pack("<I", start)
        + tiff[8:]
        + block
        + struct.pack("<H", count + 1)
        + table
        + link
    )
