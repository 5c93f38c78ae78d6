"""Parts that are cut away from AVIF and HEIC (clap), with turns and mirrors, in 8 and 10 bits.

The order is that of ISO 23000-22, 7.3.6.7: cropped, turned anticlockwise (irot), mirrored (imir).
Expected pixels are cut out of what was encoded; heif-convert (libheif) decodes the same files.
"""

from __future__ import annotations

import itertools
import struct
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image
from toolkit import pictures, programs
from toolkit.decoding import decoded
from toolkit.properties import clap, with_properties

from imgbatch.imaging.containers import isobmff
from imgbatch.imaging.decode import Demand, read_header
from imgbatch.imaging.picture import Picture, turn

SIZE = (64, 48)
BOX = (10, 6, 50, 36)
TURNS = list(itertools.product(range(4), (None, 0, 1)))


def whole() -> NDArray[np.uint8]:
    """Ramps, which survive encoding, and say where they are from."""
    down, across = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    return np.stack([across * 3, down * 4, 250 - across - down * 2], -1).astype(np.uint8)


def shown(quarters: int, mirror: int | None) -> NDArray[np.uint8]:
    left, top, right, bottom = BOX
    upright = np.rot90(whole()[top:bottom, left:right], quarters)
    return {None: upright, 0: upright[::-1], 1: upright[:, ::-1]}[mirror]


def avif(bits: int) -> bytes:
    levels = whole() if bits == 8 else whole().astype(np.uint16) << 2
    options: dict[str, Any] = {"pixelformat": "444", "speed": 9, "numthreads": 1}
    return bytes(imagecodecs.avif_encode(levels, level=100, bitspersample=bits, **options))


def cropped(
    bits: int = 8, quarters: int = 0, mirror: int | None = None, aperture: bytes | None = None
) -> bytes:
    properties = [(b"clap", clap(SIZE, BOX) if aperture is None else aperture)]
    if quarters:
        properties.append((b"irot", bytes([quarters])))
    if mirror is not None:
        properties.append((b"imir", bytes([mirror])))
    return with_properties(avif(bits), *properties)


def levels(picture: Picture) -> NDArray[np.float64]:
    upright = picture.upright()
    return upright.deep.array / 257 if upright.deep else np.asarray(upright.image, np.float64)


def heic(bits: int, orientation: int) -> bytes:
    """Its encoder takes multiples of 64 pixels, and crops: so there is an aperture to change."""
    file, size = BytesIO(), (64, 64)
    block = pictures.exif_block(orientation=orientation).block
    options = {"quality": -1, "chroma": "444", "matrix_coefficients": 0, "exif": block}
    pixels = whole() if bits == 8 else whole().astype(np.uint16) * 257
    pillow_heif.encode("RGB" if bits == 8 else "RGB;16", SIZE, pixels.tobytes(), file, **options)
    data = file.getvalue()
    place = data.index(b"clap") + 4
    assert data[data.index(b"ispe") + 8 :][:8] == struct.pack(">2I", *size)
    return data[:place] + clap(size, BOX) + data[place + 32 :]


@pytest.mark.parametrize(("quarters", "mirror"), TURNS)
@pytest.mark.parametrize("bits", [8, 10])
def test_avif_is_cropped_then_turned_then_mirrored(
    tmp_path: Path, bits: int, quarters: int, mirror: int | None
) -> None:
    asked: list[Demand] = []
    data = cropped(bits, quarters, mirror)
    picture = decoded(tmp_path, data, "photo.avif", admit=asked.append)
    expected = shown(quarters, mirror)
    size = expected.shape[1::-1]
    assert (picture.full_size, asked[0].full_size, asked[0].decoded_size) == (size,) * 3
    assert picture.notices == ()
    assert np.abs(levels(picture) - expected).max() <= 3
    assert read_header(str(tmp_path / "photo.avif")).size == size


@pytest.mark.external("heif-convert")
@pytest.mark.parametrize(("quarters", "mirror"), TURNS)
def test_libheif_crops_and_turns_an_avif_alike(
    tmp_path: Path, quarters: int, mirror: int | None
) -> None:
    picture = decoded(tmp_path, cropped(8, quarters, mirror), "photo.avif")
    assert np.abs(levels(picture) - of_libheif(tmp_path / "photo.avif")).max() <= 3


@pytest.mark.external("heif-convert")
@pytest.mark.parametrize(
    "numbers",
    [
        (81, 2, 61, 2, -3, 2, 1, 2),
        (41, 1, 31, 1, -3, 2, 0, 1),
        (40, 1, 30, 1, 1, 3, -7, 4),
        (40, 1, 30, 1, 3, 4, -1, 4),
        (40, 1, 30, 1, 1, 2, 1, 2),
        (161, 4, 30, 1, 0, 1, 0, 1),
        # Beyond the edges.
        (100, 1, 30, 1, 0, 1, 0, 1),
    ],
    ids=str,
)
def test_fractions_are_rounded_as_by_libheif(tmp_path: Path, numbers: tuple[int, ...]) -> None:
    data = cropped(8, aperture=struct.pack(">4IiIiI", *numbers))
    found, seen = levels(decoded(tmp_path, data, "a.avif")), of_libheif(tmp_path / "a.avif")
    assert found.shape == seen.shape
    # A pixel further it would be three or four levels.
    assert np.abs(found - seen).mean() <= 1.5


@pytest.mark.parametrize(
    "numbers",
    [(40, 0, 30, 1, 0, 1, 0, 1), (40, 1, 30, 1, 500, 1, 0, 1), (64, 1, 48, 1, 0, 1, 0, 1)],
)
def test_aperture_without_sense_crops_nothing(tmp_path: Path, numbers: tuple[int, ...]) -> None:
    data = cropped(8, aperture=struct.pack(">4IiIiI", *numbers))
    assert decoded(tmp_path, data, "a.avif").full_size == SIZE


def test_aperture_of_another_item_does_not_count(tmp_path: Path) -> None:
    data = bytearray(cropped())
    place = data.index(b"ipma") + 4
    # The item that has the properties.
    struct.pack_into(">H", data, place + 8, 7)
    assert isobmff.clean_aperture(BytesIO(cropped()), SIZE) == BOX
    assert isobmff.clean_aperture(BytesIO(data), SIZE) is None


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("bits", [8, 10])
def test_heic_is_cropped_and_turned(tmp_path: Path, bits: int, orientation: int) -> None:
    picture = decoded(tmp_path, heic(bits, orientation), "photo.heic")
    left, top, right, bottom = BOX
    part = Image.fromarray(np.ascontiguousarray(whole()[top:bottom, left:right]))
    expected = np.asarray(turn(part, orientation))
    assert picture.full_size == expected.shape[1::-1]
    assert picture.mode == ("RGB" if bits == 8 else "RGB;16")
    assert np.abs(levels(picture) - expected).max() <= 1


def of_libheif(path: Path) -> NDArray[np.float64]:
    seen = path.with_suffix(".png")
    command = [programs.path_of("heif-convert"), str(path), str(seen)]
    subprocess.run(command, check=True, capture_output=True)
    with Image.open(seen) as image:
        return np.asarray(image.convert("RGB"), np.float64)
