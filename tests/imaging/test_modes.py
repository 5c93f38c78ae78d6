"""Every mode of a file becomes one of the working modes."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from toolkit import pictures
from toolkit.decoding import decoded, kinds, png_chunk
from toolkit.pictures import saved

from imgbatch.imaging import formats


def grey_ramp() -> NDArray[np.uint8]:
    return np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8)


def indexed() -> Image.Image:
    """A palette image of four indices: red, green, blue, yellow."""
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) % 4).convert("P")
    image.putpalette([*pictures.RED, *pictures.GREEN, *pictures.BLUE, *pictures.YELLOW])
    return image


def indexed_colours(*alphas: int) -> NDArray[np.uint8]:
    table = np.array([pictures.RED, pictures.GREEN, pictures.BLUE, pictures.YELLOW], np.uint8)
    if alphas:
        table = np.column_stack([table, np.array(alphas, np.uint8)])
    return table[np.arange(64).reshape(8, 8) % 4]


GREYS: Final = grey_ramp()
DEEP: Final = np.linspace(0, 65_535, 64).astype(np.uint16).reshape(8, 8)
SCENE: Final = pictures.scene(8, 8)
KEY: Final = tuple(int(one) for one in SCENE[3, 4])
WITH_GREYS: Final = np.dstack([SCENE, GREYS])
GREY_ALPHA: Final = np.dstack([GREYS, GREYS[::-1]])


def of_bytes(mode: str, pixels: NDArray[Any]) -> Image.Image:
    return Image.frombytes(mode, (8, 8), pixels.tobytes())


def indexed_with_alpha() -> Image.Image:
    image = indexed().convert("PA")
    image.putalpha(Image.fromarray(GREYS))
    return image


def see_through_where(mask: NDArray[np.bool_], pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.dstack([pixels, np.where(mask, 0, 255).astype(np.uint8)])


BLACK_OR_WHITE: Final = np.where(GREYS > 100, 255, 0).astype(np.uint8)

MODES: Final[dict[str, tuple[bytes, str, str, NDArray[Any]]]] = {
    # The case: the file, its suffix, the mode it is decoded to, and the pixels expected.
    "1": (saved(Image.fromarray(GREYS > 100), "PNG"), ".png", "L", BLACK_OR_WHITE),
    "1 with a transparent level": (
        saved(Image.fromarray(GREYS > 100), "PNG", transparency=0),
        ".png",
        "LA",
        see_through_where(BLACK_OR_WHITE == 0, BLACK_OR_WHITE),
    ),
    "L": (saved(GREYS, "PNG"), ".png", "L", GREYS),
    "L with a transparent level": (
        saved(GREYS, "PNG", transparency=40),
        ".png",
        "LA",
        see_through_where(GREYS == 40, GREYS),
    ),
    "LA": (saved(of_bytes("LA", GREY_ALPHA), "PNG"), ".png", "LA", GREY_ALPHA),
    "P": (saved(indexed(), "PNG"), ".png", "RGB", indexed_colours()),
    "P of GIF": (saved(indexed(), "GIF"), ".gif", "RGB", indexed_colours()),
    "P with alphas": (
        saved(indexed(), "PNG", transparency=bytes((255, 0, 128, 7))),
        ".png",
        "RGBA",
        indexed_colours(255, 0, 128, 7),
    ),
    "P with a transparent index": (
        saved(indexed(), "PNG", transparency=2),
        ".png",
        "RGBA",
        indexed_colours(255, 255, 0, 255),
    ),
    "P of GIF with a transparent index": (
        saved(indexed(), "GIF", transparency=1),
        ".gif",
        "RGBA",
        indexed_colours(255, 0, 255, 255),
    ),
    "PA": (
        saved(indexed_with_alpha(), "TIFF"),
        ".tif",
        "RGBA",
        np.dstack([indexed_colours(), GREYS]),
    ),
    "RGB": (saved(SCENE, "PNG"), ".png", "RGB", SCENE),
    "RGB with a transparent colour": (
        saved(SCENE, "PNG", transparency=KEY),
        ".png",
        "RGBA",
        see_through_where((SCENE == KEY).all(axis=-1), SCENE),
    ),
    "RGBA": (saved(WITH_GREYS, "PNG"), ".png", "RGBA", WITH_GREYS),
    "CMYK": (saved(of_bytes("CMYK", WITH_GREYS), "TIFF"), ".tif", "CMYK", WITH_GREYS),
    "I;16": (saved(DEEP, "PNG"), ".png", "I;16", DEEP),
    "I;16 of TIFF": (saved(DEEP, "TIFF"), ".tif", "I;16", DEEP),
    "I;16B": (saved(of_bytes("I;16B", DEEP.astype(">u2")), "TIFF"), ".tif", "I;16", DEEP),
    "I": (saved(DEEP.astype(np.int32), "TIFF"), ".tif", "I;16", DEEP),
    "F of 0 to 1": (saved((DEEP / 65_535).astype(np.float32), "TIFF"), ".tif", "I;16", DEEP),
    "F of 0 to 65535": (saved(DEEP.astype(np.float32), "TIFF"), ".tif", "I;16", DEEP),
}


@pytest.mark.parametrize("what", MODES)
def test_every_mode_becomes_a_working_mode(tmp_path: Path, what: str) -> None:
    data, suffix, mode, expected = MODES[what]
    picture = decoded(tmp_path, data, f"photo{suffix}")
    assert picture.image.mode == mode
    assert np.array_equal(np.asarray(picture.image), expected)
    assert picture.notices == ()


def test_jpeg_cmyk_is_not_inverted(tmp_path: Path) -> None:
    """Adobe stores it inverted, and says so."""
    image = Image.new("CMYK", (16, 16), (250, 10, 60, 0))
    picture = decoded(tmp_path, saved(image, "JPEG", quality=95))
    assert picture.image.mode == "CMYK"
    off = np.asarray(picture.image).astype(int) - (250, 10, 60, 0)
    assert np.abs(off).max() <= 3


def test_ycbcr_becomes_rgb(tmp_path: Path) -> None:
    """A TIFF of YCbCr: the full-range matrix of JFIF (ITU-T T.871)."""
    luma, blue, red = (plane.astype(np.float64) for plane in np.moveaxis(SCENE, 2, 0))
    expected = np.stack(
        [
            luma + 1.402 * (red - 128),
            luma - 0.344136 * (blue - 128) - 0.714136 * (red - 128),
            luma + 1.772 * (blue - 128),
        ],
        axis=-1,
    )
    picture = decoded(tmp_path, saved(of_bytes("YCbCr", SCENE), "TIFF"), "photo.tif")
    assert picture.image.mode == "RGB"
    assert np.abs(np.asarray(picture.image) - np.clip(expected, 0, 255)).max() <= 1


def test_lab_becomes_rgb_without_its_profile(tmp_path: Path) -> None:
    lab = np.array([[[255, 0, 0], [128, 0, 0]]] * 2, np.uint8)
    image = Image.frombytes("LAB", (2, 2), lab.tobytes())
    data = saved(image, "TIFF", icc_profile=pictures.wide_gamut_profile())
    picture = decoded(tmp_path, data, "photo.tif")
    assert (picture.image.mode, picture.icc) == ("RGB", None)
    # Half the lightness is a luminance of 0.1849, which sRGB encodes as 0.4675.
    expected = np.array([[255] * 3, [119] * 3])
    assert np.abs(np.asarray(picture.image)[0].astype(int) - expected).max() <= 2


@pytest.mark.parametrize(("low", "high"), [(-100.0, 100_000), (0.0, 100_000), (-0.5, 1.0)])
def test_floats_of_another_range_are_scaled_with_a_warning(
    tmp_path: Path, low: float, high: float
) -> None:
    values = np.linspace(low, high, 64).astype(np.float32).reshape(8, 8)
    picture = decoded(tmp_path, saved(values, "TIFF"), "photo.tif")
    share = (values - values.min()) / (values.max() - values.min())
    off = np.asarray(picture.image).astype(np.float64) - share * 65_535
    assert np.abs(off).max() <= 1
    assert kinds(picture) == ["range-scaled"]


def test_integers_beyond_16_bits_are_scaled_with_a_warning(tmp_path: Path) -> None:
    values = np.linspace(-5, 2_000_000_000, 64).astype(np.int32).reshape(8, 8)
    picture = decoded(tmp_path, saved(values, "TIFF"), "photo.tif")
    pixels = np.asarray(picture.image)
    assert (pixels.min(), pixels.max()) == (0, 65_535)
    assert (np.diff(pixels.ravel().astype(int)) > 0).all()
    assert kinds(picture) == ["range-scaled"]


@pytest.mark.parametrize(
    "value", [np.nan, np.inf, -np.inf, -3.0, 1e30], ids=["nan", "inf", "-inf", "-3", "1e30"]
)
def test_floats_of_any_value_do_not_fail(tmp_path: Path, value: float) -> None:
    values = np.full((8, 8), value, np.float32)
    picture = decoded(tmp_path, saved(values, "TIFF"), "photo.tif")
    assert picture.image.mode == "I;16"


@pytest.mark.usefixtures("without_deep")
def test_deep_grey_with_a_transparent_level_keeps_its_transparency(tmp_path: Path) -> None:
    key = int(DEEP[2, 2])
    picture = decoded(tmp_path, saved(DEEP, "PNG", transparency=key), "photo.png")
    assert picture.image.mode == "LA"
    grey, alpha = np.moveaxis(np.asarray(picture.image), 2, 0)
    assert np.array_equal(alpha, np.where(key == DEEP, 0, 255))
    assert np.abs(grey - DEEP / 257).max() <= 0.5
    assert kinds(picture) == ["depth-reduced"]


@pytest.fixture
def without_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the optional packages for 16 bits a channel were not installed."""
    monkeypatch.setattr(formats, "installed", lambda extra: extra != "deep")


def deep_png(pixels: NDArray[np.uint16], colour_type: int) -> bytes:
    """A PNG of 16 bits a channel, which Pillow cannot write."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    height, width = pixels.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", head)
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def deep_tiff(pixels: NDArray[np.uint16], order: pictures.Order) -> bytes:
    """An uncompressed TIFF of 16 bits a channel."""
    height, width, channels = pixels.shape
    data = pixels.astype(order + "u2").tobytes()

    def directory(at: int) -> bytes:
        longs = ((0x0100, width), (0x0101, height), (0x0111, at), (0x0116, height))
        shorts = ((0x0103, 1), (0x0106, 2), (0x0115, channels))
        fields: list[pictures.Field] = [
            *((tag, 4, struct.pack(order + "I", value)) for tag, value in longs),
            *((tag, 3, struct.pack(order + "H", value)) for tag, value in shorts),
            (0x0117, 4, struct.pack(order + "I", len(data))),
            (0x0102, 3, struct.pack(order + "H", 16) * channels),
        ]
        return pictures.directory(order, fields, 8)

    return pictures.tiff_header(order) + directory(8 + len(directory(0))) + data


DEEP_COLOURS: Final = (np.arange(8 * 8 * 4).reshape(8, 8, 4) * 255).astype(np.uint16)


@pytest.mark.parametrize(
    ("data", "suffix", "channels"),
    [
        pytest.param(deep_png(DEEP_COLOURS[..., :3], 2), ".png", 3, id="PNG"),
        pytest.param(deep_png(DEEP_COLOURS, 6), ".png", 4, id="PNG with alpha"),
        pytest.param(deep_tiff(DEEP_COLOURS[..., :3], "<"), ".tif", 3, id="TIFF"),
        pytest.param(deep_tiff(DEEP_COLOURS[..., :3], ">"), ".tif", 3, id="TIFF, big-endian"),
    ],
)
@pytest.mark.usefixtures("without_deep")
def test_deep_colours_are_reduced_with_a_warning(
    tmp_path: Path, data: bytes, suffix: str, channels: int
) -> None:
    picture = decoded(tmp_path, data, f"photo{suffix}")
    expected = DEEP_COLOURS[..., :channels].astype(np.float64) / 257
    assert np.abs(np.asarray(picture.image) - expected).max() <= 1
    assert kinds(picture) == ["depth-reduced"]
