"""Bitmaps with channels in any bits, and with a profile; the pixels are computed here."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from toolkit import pictures
from toolkit.decoding import decoded, failure, kinds

Masks = tuple[int, ...]

WIDTH, HEIGHT = 7, 5
A1: Final = (0x7C00, 0x03E0, 0x001F, 0x8000)
A4: Final = (0x0F00, 0x00F0, 0x000F, 0xF000)
A2_10: Final = (0x3FF00000, 0x000FFC00, 0x000003FF, 0xC0000000)
R565: Final = (0xF800, 0x07E0, 0x001F, 0)
ODD: Final = (0x0007, 0x0038, 0x01C0, 0xFE00)
CASES: Final = {
    "a1r5g5b5": (16, A1),
    "a4r4g4b4": (16, A4),
    "r5g6b5": (16, R565),
    "x4r4g4b4": (16, (*A4[:3], 0)),
    "odd": (16, ODD),
    "a2r10g10b10": (32, A2_10),
    "b10g10r10": (32, (0x3FF, 0xFFC00, 0x3FF00000, 0)),
    "a8b8g8r8": (32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)),
}


def values_of(bits: int) -> NDArray[np.uint32]:
    high = np.random.default_rng(bits).integers(0, 1 << bits, (HEIGHT, WIDTH))
    return high.astype(np.uint32)


def bitmap(
    bits: int,
    masks: Masks,
    values: NDArray[np.uint32],
    *,
    from_top: bool = False,
    icc: bytes = b"",
    length: int = 124,
) -> bytes:
    """A file with a header of version 3, 4 or 5 (its `length`), and bit fields."""
    rows = values if from_top else values[::-1]
    stride = -(-WIDTH * bits // 32) * 4
    pixels = b"".join(row.astype(f"<u{bits // 8}").tobytes().ljust(stride, b"\0") for row in rows)
    height = -HEIGHT if from_top else HEIGHT
    head = struct.pack("<IiiHHIIiiII", length, WIDTH, height, 1, bits, 3, len(pixels), 0, 0, 0, 0)
    head += struct.pack("<4I", *masks)
    if length == 124:
        kind = b"DEBM" if icc else b"BGRs"
        head += kind + bytes(52) + struct.pack("<II", length + len(pixels), len(icc)) + bytes(4)
    head = head.ljust(length, b"\0")
    offset = 14 + length
    whole = offset + len(pixels) + len(icc)
    return b"BM" + struct.pack("<IHHI", whole, 0, 0, offset) + head + pixels + icc


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 2), (3, 1)])
def test_tiny_bitmap_ends_before_the_masks_that_others_have(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    image = Image.new("RGB", size, (10, 200, 30))
    data = pictures.saved(image, "BMP")
    assert len(data) <= 66

    assert decoded(tmp_path, data, "a.bmp").image.tobytes() == image.tobytes()


def test_header_of_version_1_has_no_compression(tmp_path: Path) -> None:
    """BITMAPCOREHEADER (OS/2): what others have there are pixels."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    # In the file, from the bottom and in the order blue, green, red, this is 6, 0, 0, 0.
    pixels[7, 1] = (0, 0, 6)
    rows = pixels[::-1, :, ::-1].tobytes()
    head = struct.pack("<IHHHH", 12, 8, 8, 1, 24)
    data = b"BM" + struct.pack("<IHHI", 26 + len(rows), 0, 0, 26) + head + rows
    shifted = data[:26] + b"\0" * 4 + b"\6\0\0\0" + data[34:]

    assert decoded(tmp_path, shifted, "a.bmp").mode == "RGB"
    assert decoded(tmp_path, data, "a.bmp").image.tobytes() == pixels.tobytes()


def expected(masks: Masks, values: NDArray[np.uint32]) -> NDArray[np.uint8]:
    bands = []
    for mask in masks:
        if mask:
            lowest = bin(mask)[::-1].index("1")
            levels = (values & mask) >> lowest
            bands.append(np.floor(levels / (mask >> lowest) * 255 + 0.5).astype(np.uint8))
    return np.dstack(bands)


@pytest.mark.parametrize("from_top", [False, True], ids=["from the bottom", "from the top"])
@pytest.mark.parametrize("length", [56, 108, 124], ids=["v3", "v4", "v5"])
@pytest.mark.parametrize("name", CASES)
def test_channels_may_be_in_any_bits(
    tmp_path: Path, name: str, length: int, from_top: bool
) -> None:
    bits, masks = CASES[name]
    values = values_of(bits)
    data = bitmap(bits, masks, values, from_top=from_top, length=length)
    picture = decoded(tmp_path, data, "photo.bmp")
    wanted = expected(masks, values)
    assert picture.mode == ("RGBA" if masks[3] else "RGB")
    # Pillow itself rounds 5 and 6 bits another way.
    assert np.abs(np.asarray(picture.image).astype(int) - wanted).max() <= (name == "r5g6b5")
    assert kinds(picture) == []


def test_alpha_that_is_nowhere_set_means_opaque(tmp_path: Path) -> None:
    values = values_of(16) & ~np.uint32(A1[3])
    picture = decoded(tmp_path, bitmap(16, A1, values), "photo.bmp")
    alpha = np.asarray(picture.image)[..., 3]
    assert (alpha == 255).all()


def test_profile_of_version_5_is_kept(tmp_path: Path) -> None:
    icc = pictures.wide_gamut_profile()
    for bits, masks in ((16, A1), (32, CASES["a8b8g8r8"][1])):
        picture = decoded(tmp_path, bitmap(bits, masks, values_of(bits), icc=icc), "photo.bmp")
        assert picture.icc == icc
        assert kinds(picture) == []


def test_profile_that_is_cut_short_is_dropped_with_a_warning(tmp_path: Path) -> None:
    icc = pictures.wide_gamut_profile()
    data = bitmap(16, A1, values_of(16), icc=icc)[:-9]
    picture = decoded(tmp_path, data, "photo.bmp")
    assert (picture.icc, kinds(picture)) == (None, ["profile-dropped"])


@pytest.mark.parametrize("name", ["a1r5g5b5", "a2r10g10b10"])
def test_bit_fields_cut_short_are_told(tmp_path: Path, name: str) -> None:
    bits, masks = CASES[name]
    assert (
        failure(tmp_path, bitmap(bits, masks, values_of(bits))[:-3], "photo.bmp").failure.kind
        == "truncated"
    )


def test_usual_bitmaps_are_left_to_pillow(tmp_path: Path) -> None:
    for mode in ("L", "RGB", "P"):
        image = Image.fromarray(pictures.scene(20, 10)).convert(mode)
        picture = decoded(tmp_path, pictures.saved(image, "BMP"), "photo.bmp")
        assert np.array_equal(np.asarray(picture.image), np.asarray(image.convert(picture.mode)))
