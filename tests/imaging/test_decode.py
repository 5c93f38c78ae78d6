"""From files to pictures: upright, in a known mode, and nothing hostile gets further than that."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFile
from toolkit import pictures
from toolkit.pictures import opened, saved

import imgbatch
from imgbatch.errors import PictureError
from imgbatch.imaging import formats
from imgbatch.imaging.decode import Demand, decode, read_header
from imgbatch.imaging.picture import Picture
from imgbatch.model import MAX_PIXELS, Size

SIZE: Final = (64, 48)
SUFFIX: Final = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "AVIF": ".avif",
    "TIFF": ".tif",
    "GIF": ".gif",
    "BMP": ".bmp",
    "JPEG2000": ".jp2",
    "PPM": ".ppm",
    "QOI": ".qoi",
    "ICO": ".ico",
    "TGA": ".tga",
}


def all_of_it(size: Size) -> Size:
    return size


def decoded(
    folder: Path,
    data: bytes,
    name: str = "photo.jpg",
    least: Size | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Picture:
    """The upright picture in a file of these bytes, decoded for at least that size."""
    path = folder / name
    path.write_bytes(data)
    return decode(str(path), lambda size: least or size, max_pixels=max_pixels).upright()


def failure(
    folder: Path, data: bytes, name: str = "photo.jpg", max_pixels: int = MAX_PIXELS
) -> PictureError:
    """How these bytes fail; they must."""
    with pytest.raises(PictureError) as caught:
        decoded(folder, data, name, max_pixels=max_pixels)
    return caught.value


def failed_stage(folder: Path, data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> str | None:
    """The stage in which these bytes fail as a picture, None if they do not fail."""
    try:
        decoded(folder, data, name, max_pixels=max_pixels)
    except PictureError as error:
        return error.failure.stage
    return None


def kinds(picture: Picture) -> list[str]:
    return [notice.kind for notice in picture.notices]


def sample(source: str, **options: Any) -> bytes:
    """The four quarters in a format."""
    if source == "ICO":
        options["sizes"] = [SIZE]
    return saved(pictures.quarters(*SIZE), source, **options)


# Orientation


def oriented(source: str, orientation: int, size: Size = SIZE, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = pictures.stored(pictures.quarters(*size), orientation)
    return saved(pixels, source, exif=exif, **options)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("source", "options"),
    [
        pytest.param("JPEG", {"quality": 95}, id="jpeg"),
        pytest.param("PNG", {}, id="png"),
        pytest.param("WEBP", {"lossless": True}, id="webp"),
        pytest.param("AVIF", {"quality": 90}, id="avif"),
        pytest.param("TIFF", {}, id="tiff"),
        pytest.param("TIFF", {"compression": "tiff_adobe_deflate"}, id="tiff-compressed"),
    ],
)
def test_every_orientation_comes_out_upright(
    tmp_path: Path, source: str, options: dict[str, Any], orientation: int
) -> None:
    data = oriented(source, orientation, **options)
    picture = decoded(tmp_path, data, f"photo{SUFFIX[source]}")
    assert (picture.image.size, picture.full_size) == (SIZE, SIZE)
    assert picture.area == (0, 0, *SIZE)
    assert pictures.corners(picture.image) == pictures.UPRIGHT
    assert read_header(str(tmp_path / f"photo{SUFFIX[source]}")).size == SIZE


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "I;16", "CMYK"])
def test_every_mode_is_turned_exactly(tmp_path: Path, mode: str, orientation: int) -> None:
    count = {"L": 1, "I;16": 1, "LA": 2}.get(mode, 4)
    upright: NDArray[Any] = np.arange(6 * 9 * count, dtype=np.uint8).reshape(6, 9, count)
    if mode == "I;16":
        upright = upright[..., 0].astype(np.uint16) * 1_000
    stored = pictures.stored(upright, orientation)
    size = (stored.shape[1], stored.shape[0])
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.frombytes(mode, size, stored.tobytes()), "TIFF", exif=exif)
    picture = decoded(tmp_path, data, "photo.tif")
    assert picture.image.mode == mode
    assert picture.image.tobytes() == upright.tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_a_jpeg_shrunk_on_load_comes_out_upright(
    tmp_path: Path, orientation: int, scale: int
) -> None:
    size = (643, 477)
    data = oriented("JPEG", orientation, size, quality=95)
    picture = decoded(tmp_path, data, least=(size[0] // scale, size[1] // scale))
    assert picture.image.size == (-(-size[0] // scale), -(-size[1] // scale))
    assert picture.full_size == size
    assert pictures.corners(picture.image) == pictures.UPRIGHT
    left, top, right, bottom = picture.area
    assert (right - left, bottom - top) == (size[0] / scale, size[1] / scale)
    # The rows and columns that the decoder had to round up lie where the file's end was.
    begins = pictures.SIDES[orientation]
    assert (top > 0) == ("bottom" in begins and scale > 1)
    assert (left > 0) == ("right" in begins and scale > 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_resized_jpeg_comes_out_upright(tmp_path: Path, orientation: int) -> None:
    (tmp_path / "photo.jpg").write_bytes(oriented("JPEG", orientation, (640, 480), quality=95))
    recipe = imgbatch.Recipe.from_options(sizes=["60"], format="png")
    (result,) = imgbatch.run(recipe, [tmp_path / "photo.jpg"], output=tmp_path / "out", jobs=1)
    image = opened(Path(result.written[0].path).read_bytes())
    assert (image.size, pictures.corners(image)) == ((60, 45), pictures.UPRIGHT)


@pytest.mark.parametrize(
    ("least", "given"),
    [((640, 480), 640), ((321, 240), 640), ((320, 240), 320), ((161, 1), 320), ((1, 1), 80)],
)
def test_a_jpeg_is_never_decoded_smaller_than_needed(
    tmp_path: Path, least: Size, given: int
) -> None:
    data = saved(pictures.scene(640, 480), "JPEG")
    assert decoded(tmp_path, data, least=least).image.size[0] == given


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_shrinking_on_load_keeps_the_picture(tmp_path: Path, scale: int) -> None:
    """Compared with the mean of each square of pixels, computed here."""
    pixels = pictures.scene(640, 480)
    picture = decoded(
        tmp_path, saved(pixels, "JPEG", quality=95), least=(640 // scale, 480 // scale)
    )
    squares = pixels.reshape(480 // scale, scale, 640 // scale, scale, 3).astype(np.float64)
    off = np.asarray(picture.image).astype(np.float64) - squares.mean(axis=(1, 3))
    assert np.abs(off).mean() < 2


@pytest.mark.parametrize(
    ("least", "progressive", "given"),
    [(400, False, 400), (399, True, 800), (267, True, 800), (266, True, 400)],
)
def test_a_progressive_jpeg_is_shrunk_only_where_half_as_much_again_is_left(
    tmp_path: Path, least: int, progressive: bool, given: int
) -> None:
    data = saved(pictures.scene(800, 800), "JPEG", progressive=progressive)
    assert decoded(tmp_path, data, least=(least, least)).image.size == (given, given)


# Modes


def grey_ramp() -> NDArray[np.uint8]:
    return np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8)


def indexed() -> Image.Image:
    """An image of four indices: red, green, blue, yellow."""
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
    # What it is: the file, its suffix, the mode it is decoded to, and the pixels expected.
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
def test_every_mode_of_a_file_becomes_a_working_mode(tmp_path: Path, what: str) -> None:
    data, suffix, mode, expected = MODES[what]
    picture = decoded(tmp_path, data, f"photo{suffix}")
    assert picture.image.mode == mode
    assert np.array_equal(np.asarray(picture.image), expected)
    assert picture.notices == ()


def test_inks_of_a_jpeg_are_not_inverted(tmp_path: Path) -> None:
    """Adobe stores them inverted, and says so."""
    image = Image.new("CMYK", (16, 16), (250, 10, 60, 0))
    picture = decoded(tmp_path, saved(image, "JPEG", quality=95))
    assert picture.image.mode == "CMYK"
    off = np.asarray(picture.image).astype(int) - (250, 10, 60, 0)
    assert np.abs(off).max() <= 3


def test_luma_and_chroma_become_colours(tmp_path: Path) -> None:
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


def test_lab_becomes_colours_without_its_profile(tmp_path: Path) -> None:
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
def test_plain_floats_of_any_value_are_no_failure(tmp_path: Path, value: float) -> None:
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


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


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


# Several pictures in one file


def two_frames(source: str, suffix_options: dict[str, Any] | None = None) -> bytes:
    first = Image.fromarray(pictures.quarters(*SIZE))
    second = Image.fromarray(255 - pictures.quarters(*SIZE))
    options = suffix_options or {}
    return saved(first, source, save_all=True, append_images=[second, first], **options)


@pytest.mark.parametrize("source", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_the_first_frame_knows_how_many_there_are(tmp_path: Path, source: str) -> None:
    picture = decoded(tmp_path, two_frames(source), f"photo{SUFFIX[source]}")
    assert (picture.image.size, pictures.corners(picture.image)) == (SIZE, pictures.UPRIGHT)
    assert picture.series is not None
    assert picture.series.count == 3
    assert picture.series.kind == ("pages" if source == "TIFF" else "animation")
    assert picture.notices == ()


@pytest.mark.parametrize("source", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
@pytest.mark.parametrize("target", ["jpeg", "bmp", "jpeg2000", "qoi"])
def test_an_animation_becomes_one_picture_in_a_still_format_and_the_loss_is_told(
    tmp_path: Path, source: str, target: str
) -> None:
    path = tmp_path / f"photo{SUFFIX[source]}"
    path.write_bytes(two_frames(source))
    recipe = imgbatch.Recipe.from_options(format=target)
    (result,) = imgbatch.run(recipe, [path], output=tmp_path / "out", jobs=1)
    assert result.failure is None
    image = opened(Path(result.written[0].path).read_bytes())
    assert getattr(image, "n_frames", 1) == 1
    assert pictures.corners(image) == pictures.UPRIGHT
    (notice,) = result.notices
    assert notice.kind == "frames-dropped"
    assert "the first of 3" in notice.message


def test_a_second_picture_behind_a_jpeg_is_told(tmp_path: Path) -> None:
    """What a phone's HDR photograph and a drone's have: Pillow calls that MPO."""
    data = two_frames("MPO", {"quality": 90})
    assert Image.open(BytesIO(data)).format == "MPO"
    picture = decoded(tmp_path, data)
    assert (picture.format, kinds(picture)) == ("jpeg", ["gain-map-dropped"])
    assert pictures.corners(picture.image) == pictures.UPRIGHT


def test_a_jpeg_with_a_second_picture_is_shrunk_on_load(tmp_path: Path) -> None:
    first = Image.fromarray(pictures.quarters(640, 480))
    data = saved(first, "MPO", save_all=True, append_images=[first])
    picture = decoded(tmp_path, data, least=(80, 60))
    assert picture.image.size == (80, 60)
    assert pictures.corners(picture.image) == pictures.UPRIGHT


def test_the_sizes_of_an_icon_are_no_frames(tmp_path: Path) -> None:
    data = saved(pictures.quarters(64, 64), "ICO", sizes=[(16, 16), (64, 64), (32, 32)])
    picture = decoded(tmp_path, data, "photo.ico")
    assert (picture.image.size, kinds(picture)) == ((64, 64), ["sizes-dropped"])
    assert "3 sizes" in picture.notices[0].message
    alone = saved(pictures.quarters(64, 64), "ICO", sizes=[(64, 64)])
    assert decoded(tmp_path, alone, "photo.ico").notices == ()


# Content decides


@pytest.mark.parametrize("source", [name for name in SUFFIX if name != "TGA"])
@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.tga", "PHOTO.GIF", "photo"])
def test_content_decides_what_a_file_is(tmp_path: Path, source: str, name: str) -> None:
    picture = decoded(tmp_path, sample(source), name)
    assert picture.format == source.lower()
    assert pictures.corners(picture.image) == pictures.UPRIGHT


def test_a_format_without_signature_goes_by_its_suffix(tmp_path: Path) -> None:
    picture = decoded(tmp_path, sample("TGA"), "photo.TGA")
    assert (picture.format, pictures.corners(picture.image)) == ("tga", pictures.UPRIGHT)
    assert failure(tmp_path, sample("TGA"), "photo.jpg").failure.kind == "not-an-image"


@pytest.mark.parametrize(
    ("source", "name", "output"),
    [
        ("JPEG", "photo.png", "photo.jpg"),
        ("PNG", "photo.jpg", "photo.png"),
        ("WEBP", "photo.JPEG", "photo.webp"),
        ("JPEG", "photo.jpeg", "photo.jpeg"),
        ("JPEG", "photo.JPG", "photo.JPG"),
        ("TIFF", "photo.tiff", "photo.tiff"),
    ],
)
def test_an_output_is_named_after_what_its_source_is(
    tmp_path: Path, source: str, name: str, output: str
) -> None:
    (tmp_path / name).write_bytes(sample(source))
    recipe = imgbatch.Recipe.from_options()
    (result,) = imgbatch.run(recipe, [tmp_path / name], output=tmp_path / "out", jobs=1)
    path = Path(result.written[0].path)
    assert path.name == output
    assert opened(path.read_bytes()).format == source


# Files that are no pictures


CLASS_NAMES: Final = re.compile(r"\b\w*(Error|Exception|Warning)\b|Traceback|<.* object at")

FOREIGN: Final = {
    "empty": (b"", "empty"),
    "text": (b"Dear Ada,\nhere are the pictures you wanted.\n", "not a picture"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "PostScript"),
    "PostScript with a preview": (b"\xc5\xd0\xd3\xc6" + bytes(60), "PostScript"),
    "PDF": (b"%PDF-1.7\n1 0 obj\n", "PDF"),
    "ZIP": (b"PK\x03\x04" + bytes(60), "ZIP"),
    "a web page": (b"<!DOCTYPE html><title>404</title>", "web page"),
    "a drawing": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
    "a film": (b"\0\0\0\x18ftypisom" + bytes(60), "video"),
    "Photoshop": (b"8BPS\0\1" + bytes(60), "Photoshop"),
    "zeros": (bytes(1_000), "not a picture"),
    "one byte": (b"\xff", "not a picture"),
}


@pytest.mark.parametrize("name", ["photo.jpg", "photo.tga", "photo.tif"])
@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_no_picture_is_named_in_words(tmp_path: Path, what: str, name: str) -> None:
    data, words = FOREIGN[what]
    if name == "photo.tga" and words == "not a picture":
        words = "not supported"
    error = failure(tmp_path, data, name)
    assert error.failure.stage == "open"
    assert words in error.failure.message
    assert not CLASS_NAMES.search(error.failure.message)


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.eps", "photo.tga"])
@pytest.mark.parametrize("what", ["PostScript", "PostScript with a preview"])
def test_postscript_starts_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, name: str
) -> None:
    started: list[object] = []
    for module, function in ((subprocess, "Popen"), (os, "system"), (os, "posix_spawn")):
        monkeypatch.setattr(module, function, lambda *words, **more: started.append(words))
    failure(tmp_path, FOREIGN[what][0], name)
    assert started == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for Ghostscript is a script")
def test_postscript_in_a_folder_of_photographs_never_reaches_ghostscript(tmp_path: Path) -> None:
    photos, programs = tmp_path / "photos", tmp_path / "programs"
    photos.mkdir()
    programs.mkdir()
    for program in ("gs", "gswin64c"):
        (programs / program).write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
        (programs / program).chmod(0o755)
    (photos / "good.jpg").write_bytes(sample("JPEG"))
    (photos / "evil.jpg").write_bytes(FOREIGN["PostScript"][0])
    done = subprocess.run(
        [sys.executable, "-m", "imgbatch", "resize", str(photos), "-j", "1"],
        env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "PostScript" in done.stderr
    assert not (tmp_path / "started").exists()
    assert (tmp_path / "photos-resized" / "good.jpg").exists()


@pytest.mark.parametrize("other", ["PCX", "SGI", "DDS", "MSP"])
@pytest.mark.parametrize("name", ["photo.jpg", "photo.tga"])
def test_formats_that_are_not_in_the_table_are_not_opened(
    tmp_path: Path, other: str, name: str
) -> None:
    """Pillow knows many more, and some of them are not meant for files of strangers."""
    image = Image.new("1" if other == "MSP" else "RGB", SIZE)
    assert failure(tmp_path, saved(image, other), name).failure.stage == "open"


def test_a_missing_file_and_a_folder_are_named_in_words(tmp_path: Path) -> None:
    with pytest.raises(PictureError) as missing:
        decode(str(tmp_path / "no.jpg"), all_of_it)
    assert (missing.value.failure.stage, missing.value.failure.kind) == ("open", "not-found")
    with pytest.raises(PictureError) as folder:
        decode(str(tmp_path), all_of_it)
    assert folder.value.failure.kind == "unreadable"
    for error in (missing.value, folder.value):
        assert not CLASS_NAMES.search(error.failure.message)


# Files that are cut short or damaged


@pytest.mark.parametrize("source", SUFFIX)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_file_that_is_cut_short_fails_in_words(tmp_path: Path, source: str, share: float) -> None:
    data = saved(pictures.scene(), source)
    error = failure(tmp_path, data[: int(len(data) * share)], f"photo{SUFFIX[source]}")
    assert error.failure.stage in ("open", "decode")
    assert error.failure.kind in ("truncated", "broken")
    assert re.search("cut short|broken", error.failure.message)
    assert not CLASS_NAMES.search(error.failure.message)


@pytest.mark.slow
@pytest.mark.parametrize("source", SUFFIX)
def test_a_file_cut_short_anywhere_fails_as_a_picture(tmp_path: Path, source: str) -> None:
    """Nothing but a PictureError; the last few bytes of some formats may be missing."""
    data = sample(source)
    lengths = {*range(60), *range(60, len(data), 1 + len(data) // 40)}
    name = f"photo{SUFFIX[source]}"
    stages = [failed_stage(tmp_path, data[:length], name) for length in lengths]
    assert set(stages) <= {"open", "decode", None}
    assert stages.count(None) < 8


@pytest.mark.slow
@pytest.mark.parametrize("source", SUFFIX)
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 200), st.binary(min_size=1, max_size=4)), min_size=1, max_size=6
    )
)
def test_a_damaged_file_fails_as_a_picture_or_not_at_all(
    tmp_path_factory: pytest.TempPathFactory, source: str, changes: list[tuple[int, bytes]]
) -> None:
    data = bytearray(sample(source))
    for at, damage in changes:
        at %= len(data)
        data[at : at + len(damage)] = damage
    folder = tmp_path_factory.getbasetemp()
    stage = failed_stage(folder, bytes(data), f"damaged{SUFFIX[source]}", max_pixels=100_000)
    assert stage in ("open", "decode", "operate", None)


@pytest.mark.parametrize("raised", [KeyError("x"), IndexError("y"), TypeError(), RuntimeError("z")])
def test_whatever_a_plugin_raises_is_a_failure_of_this_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    def broken(*words: object) -> None:
        raise raised

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", broken)
    error = failure(tmp_path, sample("PNG"), "photo.png")
    assert (error.failure.stage, error.failure.kind) == ("decode", "broken")


def test_too_little_memory_is_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*words: object) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.load", broken)
    error = failure(tmp_path, sample("JPEG"))
    assert (error.failure.stage, error.failure.kind) == ("decode", "memory")
    assert "memory" in error.failure.message
    assert not CLASS_NAMES.search(error.failure.message)


@pytest.mark.parametrize("source", ["WEBP", "AVIF", "JPEG2000"])
def test_a_codec_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setattr(formats, "available", lambda row: False)
    error = failure(tmp_path, sample(source))
    assert error.failure.kind == "no-codec"
    assert formats.BY_NAME[source.lower()].label in error.failure.message


# Too many pixels


@pytest.mark.parametrize("source", SUFFIX)
def test_more_pixels_than_the_limit_are_refused(tmp_path: Path, source: str) -> None:
    name = f"photo{SUFFIX[source]}"
    error = failure(tmp_path, sample(source), name, max_pixels=SIZE[0] * SIZE[1] - 1)
    assert (error.failure.stage, error.failure.kind) == ("open", "too-large")
    assert "64 x 48" in error.failure.message
    assert decoded(tmp_path, sample(source), name, max_pixels=SIZE[0] * SIZE[1]).image.size == SIZE


def lying_png() -> bytes:
    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", b"")


def lying_jpeg() -> bytes:
    data = sample("JPEG")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", 65_500, 65_500) + data[at + 4 :]


def lying_gif() -> bytes:
    data = sample("GIF")
    return data[:6] + struct.pack("<HH", 65_535, 65_535) + data[10:]


def lying_bmp() -> bytes:
    data = sample("BMP")
    return data[:18] + struct.pack("<ii", 100_000, 100_000) + data[26:]


def lying_ppm() -> bytes:
    return b"P6\n100000 100000\n255\n" + bytes(100)


def lying_qoi() -> bytes:
    data = sample("QOI")
    return data[:4] + struct.pack(">II", 100_000, 100_000) + data[12:]


def lying_webp() -> bytes:
    """An extended header with the largest canvas there is, 16,384 x 16,384."""
    body = b"VP8X" + struct.pack("<I", 10) + b"\x10\0\0\0" + b"\xff\x3f\0" * 2
    body += sample("WEBP", lossless=True)[12:]
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def lying_tiff() -> bytes:
    data = bytearray(sample("TIFF"))
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    for at in range(first + 2, first + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, at)[0] in (0x0100, 0x0101):
            struct.pack_into("<HII", data, at + 2, 4, 1, 100_000)
    return bytes(data)


@pytest.mark.parametrize(
    ("lie", "name"),
    [
        (lying_png, "photo.png"),
        (lying_jpeg, "photo.jpg"),
        (lying_gif, "photo.gif"),
        (lying_bmp, "photo.bmp"),
        (lying_ppm, "photo.ppm"),
        (lying_qoi, "photo.qoi"),
        (lying_tiff, "photo.tif"),
    ],
)
def test_a_header_that_claims_too_much_is_refused_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: Callable[[], bytes], name: str
) -> None:
    """At 10,000 megapixels a decoder would ask for 30 GB."""
    loaded: list[object] = []
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda *words: loaded.append(words))
    error = failure(tmp_path, lie(), name)
    assert (error.failure.stage, error.failure.kind) == ("open", "too-large")
    assert "250,000,000" in error.failure.message
    assert loaded == []


def test_a_webp_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    assert failure(tmp_path, lying_webp(), "photo.webp").failure.kind in ("too-large", "broken")


@pytest.mark.parametrize("source", SUFFIX)
def test_pillows_own_limit_does_not_get_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """It warns at 89 megapixels and fails at 179; ours is 250. Here it is made tiny."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    picture = decoded(tmp_path, sample(source), f"photo{SUFFIX[source]}")
    assert pictures.corners(picture.image) == pictures.UPRIGHT
    assert read_header(str(tmp_path / f"photo{SUFFIX[source]}")).size == SIZE
    assert Image.MAX_IMAGE_PIXELS == 10


def test_an_icon_with_a_huge_picture_inside_is_refused(tmp_path: Path) -> None:
    """Its own header says 16 x 16."""
    inside = lying_png()
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inside), 22)
    data = struct.pack("<HHH", 0, 1, 1) + entry + inside
    assert failure(tmp_path, data, "photo.ico").failure.kind == "too-large"


def icon(inside: bytes, side: int = 16) -> bytes:
    """An icon of one picture, PNG or bitmap, that says to be so large."""
    entry = struct.pack("<BBBBHHII", side, side, 0, 0, 1, 32, len(inside), 22)
    return struct.pack("<HHH", 0, 1, 1) + entry + inside


def bitmap_of_icon(width: int, height: int) -> bytes:
    """As icons hold them: upside down, with a mask behind that counts as twice the height."""
    pixels = Image.fromarray(pictures.quarters(width, height)).convert("RGBA")
    data = bytearray(saved(pixels, "DIB"))
    struct.pack_into("<i", data, 8, height * 2)
    return bytes(data) + bytes(width * height // 8)


@pytest.mark.parametrize("limit", [64 * 48, 64 * 48 - 1])
@pytest.mark.parametrize(
    "inside", [saved(pictures.quarters(64, 48), "PNG"), bitmap_of_icon(64, 48)], ids=["png", "bmp"]
)
def test_an_icon_counts_as_the_picture_inside(tmp_path: Path, inside: bytes, limit: int) -> None:
    """Its own header says 16 x 16; Pillow decodes the picture when it opens the icon."""
    (tmp_path / "photo.ico").write_bytes(icon(inside))
    if limit == 64 * 48:
        picture = decoded(tmp_path, icon(inside), "photo.ico", max_pixels=limit)
        assert pictures.corners(picture.image) == pictures.UPRIGHT
        assert read_header(str(tmp_path / "photo.ico"), limit).size == (64, 48)
    else:
        error = failure(tmp_path, icon(inside), "photo.ico", max_pixels=limit)
        assert (error.failure.stage, error.failure.kind) == ("open", "too-large")
        assert "64 x 48" in error.failure.message
        with pytest.raises(PictureError, match="64 x 48"):
            read_header(str(tmp_path / "photo.ico"), limit)


def test_a_huge_bitmap_in_an_icon_is_refused(tmp_path: Path) -> None:
    inside = bytearray(bitmap_of_icon(16, 16))
    struct.pack_into("<ii", inside, 4, 100_000, 200_000)
    error = failure(tmp_path, icon(bytes(inside)), "photo.ico")
    assert error.failure.kind == "too-large"
    assert "100000 x 100000" in error.failure.message


def test_a_webp_allocates_nothing_for_a_canvas_beyond_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    monkeypatch.setattr("PIL.WebPImagePlugin._webp.WebPAnimDecoder", made.append)
    error = failure(tmp_path, lying_webp(), "photo.webp")
    assert (error.failure.kind, made) == ("too-large", [])


@pytest.mark.parametrize("source", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_frames_together_may_be_more_than_the_limit(tmp_path: Path, source: str) -> None:
    name = f"photo{SUFFIX[source]}"
    picture = decoded(tmp_path, two_frames(source), name, max_pixels=SIZE[0] * SIZE[1])
    assert picture.image.size == SIZE
    error = failure(tmp_path, two_frames(source), name, max_pixels=SIZE[0] * SIZE[1] - 1)
    assert error.failure.kind == "too-large"


@pytest.mark.parametrize("source", SUFFIX)
def test_a_header_is_held_to_the_same_limit(tmp_path: Path, source: str) -> None:
    path = tmp_path / f"photo{SUFFIX[source]}"
    path.write_bytes(sample(source))
    assert read_header(str(path), SIZE[0] * SIZE[1]).size == SIZE
    with pytest.raises(PictureError) as caught:
        read_header(str(path), SIZE[0] * SIZE[1] - 1)
    assert caught.value.failure.kind == "too-large"


# Asking before decoding


class Refused(Exception):  # noqa: N818
    """Nothing that decoding knows."""


def demands(folder: Path, data: bytes, name: str, least: Size | None = None) -> list[Demand]:
    """What is asked for while these bytes are decoded."""
    (folder / name).write_bytes(data)
    asked: list[Demand] = []
    decode(str(folder / name), lambda size: least or size, admit=asked.append)
    return asked


@pytest.mark.parametrize("source", SUFFIX)
def test_it_is_asked_once_before_any_pixel_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    name = f"photo{SUFFIX[source]}"
    (demand,) = demands(tmp_path, sample(source), name)
    assert (demand.full_size, demand.decoded_size) == (SIZE, SIZE)
    assert demand.bytes > SIZE[0] * SIZE[1] * 3
    assert demand.format == formats.recognise(sample(source)[:32], SUFFIX[source]).name  # type: ignore[union-attr]

    touched: list[object] = []
    monkeypatch.setattr(Image, "_getdecoder", lambda *words: touched.append(words))
    monkeypatch.setattr("PIL.Image.core.new", lambda *words: touched.append(words))
    refusal = Refused()

    def refuse(demand: Demand) -> None:
        raise refusal

    with pytest.raises(Refused) as caught:
        decode(str(tmp_path / name), all_of_it, admit=refuse)
    assert caught.value is refusal
    assert touched == []


@pytest.mark.parametrize(
    "raised", [OSError("x"), MemoryError(), ValueError(), PictureError("open", "truncated", "y")]
)
@pytest.mark.parametrize("salvage", [False, True])
def test_whatever_a_refusal_raises_is_passed_on(
    tmp_path: Path, raised: Exception, salvage: bool
) -> None:
    (tmp_path / "photo.jpg").write_bytes(sample("JPEG"))
    asked = []

    def refuse(demand: Demand) -> None:
        asked.append(demand)
        raise raised

    with pytest.raises(type(raised)) as caught:
        decode(str(tmp_path / "photo.jpg"), all_of_it, salvage=salvage, admit=refuse)
    assert caught.value is raised
    assert len(asked) == 1


@pytest.mark.parametrize("orientation", [1, 6])
def test_it_is_asked_for_what_the_decoder_will_give(tmp_path: Path, orientation: int) -> None:
    size = (640, 480)
    data = oriented("JPEG", orientation, size)
    (demand,) = demands(tmp_path, data, "photo.jpg", least=(80, 60))
    assert (demand.full_size, demand.decoded_size) == (size, (80, 60))
    for source in ("PNG", "TIFF", "WEBP"):
        (whole,) = demands(tmp_path, oriented(source, orientation, size), "photo")
        assert (whole.full_size, whole.decoded_size) == (size, size)
        assert whole.bytes > demand.bytes


@pytest.mark.parametrize(
    ("mode", "plain"),
    [
        *((mode, True) for mode in ("1", "L", "P", "RGB")),
        *((mode, False) for mode in ("LA", "RGBA", "I;16", "CMYK")),
    ],
)
def test_it_is_told_whether_the_pixels_are_plain(tmp_path: Path, mode: str, plain: bool) -> None:
    source = "TIFF" if mode == "CMYK" else "PNG"
    (demand,) = demands(tmp_path, saved(Image.new(mode, SIZE), source), "photo")
    assert demand.plain is plain
    if mode == "P":
        (keyed,) = demands(tmp_path, saved(Image.new(mode, SIZE), source, transparency=0), "photo")
        assert not keyed.plain


@pytest.mark.parametrize("source", SUFFIX)
def test_decoders_go_when_they_are_done(tmp_path: Path, source: str) -> None:
    """WebP's would keep three times the pixels."""
    picture = decoded(tmp_path, sample(source), f"photo{SUFFIX[source]}")
    assert type(picture.image) is Image.Image


# Keeping what there is of a file that is cut short


def cut(data: bytes, share: float = 0.6) -> bytes:
    return data[: int(len(data) * share)]


RESCUED: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "JPEG": ("JPEG", {"quality": 95}),
    "JPEG at 1/2": ("JPEG", {"quality": 95}),
    "PNG": ("PNG", {}),
    "TIFF": ("TIFF", {}),
    "GIF": ("GIF", {"interlace": 0}),
    "BMP": ("BMP", {}),
    "PPM": ("PPM", {}),
    "TGA": ("TGA", {}),
    "packed TGA": ("TGA", {"compression": "tga_rle"}),
    "ICO": ("ICO", {"sizes": [(256, 256)]}),
}


@pytest.mark.parametrize("what", RESCUED)
def test_what_there_is_of_a_file_cut_short_is_kept(tmp_path: Path, what: str) -> None:
    source, options = RESCUED[what]
    path = tmp_path / f"photo{SUFFIX[source]}"
    data = saved(pictures.scene(256, 256), source, **options)
    least = (128, 128) if "1/2" in what else (256, 256)
    path.write_bytes(data)
    whole = np.asarray(decode(str(path), lambda size: least).image).astype(int)
    path.write_bytes(cut(data))
    asked: list[Demand] = []
    picture = decode(str(path), lambda size: least, salvage=True, admit=asked.append)
    assert kinds(picture) == ["truncated"]
    assert "cut short" in picture.notices[0].message
    assert len(asked) == 1
    pixels = np.asarray(picture.image).astype(int)
    assert pixels.shape == whole.shape
    # Some formats begin with the last row. A little is lost at the cut.
    same = (np.abs(pixels - whole).max(axis=-1) <= 8).all(axis=1)
    third = len(same) // 3
    assert same[:third].all() or same[-third:].all()
    assert not same.all()


def test_a_progressive_jpeg_cut_short_is_kept_as_a_rough_picture(tmp_path: Path) -> None:
    pixels = pictures.scene(256, 256)
    (tmp_path / "photo.jpg").write_bytes(cut(saved(pixels, "JPEG", progressive=True, quality=95)))
    picture = decode(str(tmp_path / "photo.jpg"), all_of_it, salvage=True)
    assert kinds(picture) == ["truncated"]
    assert np.abs(np.asarray(picture.image).astype(int) - pixels).mean() < 16


NOT_RESCUED: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "WEBP": ("WEBP", {}),
    "AVIF": ("AVIF", {}),
    "JPEG2000": ("JPEG2000", {}),
    "QOI": ("QOI", {}),
    "packed TIFF": ("TIFF", {"compression": "tiff_lzw"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", NOT_RESCUED)
@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.95])
def test_what_cannot_be_kept_fails_as_ever(tmp_path: Path, what: str, share: float) -> None:
    source, options = NOT_RESCUED[what]
    path = tmp_path / f"photo{SUFFIX[source]}"
    path.write_bytes(cut(saved(pictures.scene(256, 256), source, **options), share))
    failures = []
    for salvage in (False, True):
        with pytest.raises(PictureError) as caught:
            decode(str(path), all_of_it, salvage=salvage)
        failures.append(caught.value.failure)
    assert failures[0] == failures[1]


def test_the_first_failure_is_told_where_nothing_can_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*words: object) -> None:
        raise OSError("gone" if ImageFile.LOAD_TRUNCATED_IMAGES else "truncated")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", broken)
    (tmp_path / "photo.png").write_bytes(sample("PNG"))
    with pytest.raises(PictureError) as caught:
        decode(str(tmp_path / "photo.png"), all_of_it, salvage=True)
    assert caught.value.failure.kind == "truncated"
    assert "gone" not in caught.value.failure.message


@pytest.mark.parametrize("source", SUFFIX)
def test_a_whole_file_is_not_told_to_be_cut_short(tmp_path: Path, source: str) -> None:
    path = tmp_path / f"photo{SUFFIX[source]}"
    path.write_bytes(sample(source))
    assert decode(str(path), all_of_it, salvage=True).notices == ()


def test_damage_is_no_reason_to_keep_a_file(tmp_path: Path) -> None:
    """Pillow would swallow that, too, where it allows files that are cut short."""
    data = bytearray(saved(pictures.scene(64, 48), "PNG"))
    middle = data.index(b"IDAT") + 40
    data[middle : middle + 20] = bytes(20)
    (tmp_path / "photo.png").write_bytes(data)
    with pytest.raises(PictureError) as caught:
        decode(str(tmp_path / "photo.png"), all_of_it, salvage=True)
    assert caught.value.failure.kind == "broken"


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("salvage", [False, True])
@pytest.mark.parametrize("source", ["PNG", "WEBP"])
def test_files_cut_short_are_allowed_for_a_moment_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    salvage: bool,
    elsewhere: bool,
) -> None:
    """Whatever the program around does, and however it ends."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", elsewhere)
    path = tmp_path / f"photo{SUFFIX[source]}"
    path.write_bytes(cut(saved(pictures.scene(), source)))
    seen: list[bool] = []

    def look(demand: Demand) -> None:
        seen.append(ImageFile.LOAD_TRUNCATED_IMAGES)

    try:
        decode(str(path), all_of_it, salvage=salvage, admit=look)
    except PictureError:
        failed = True
    else:
        failed = False
    assert failed == (source == "WEBP" or not salvage)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is elsewhere
    assert all(one is elsewhere for one in seen)


# Files that change while they are read


CUT_WHILE_READ: Final = """
import os, sys, threading, time
from imgbatch.errors import PictureError
from imgbatch.imaging.decode import decode

path, delay = sys.argv[1], 0.0
data = open(path, "rb").read()
for attempt in range(25):
    with open(path, "wb") as file:
        file.write(data)
    cutter = threading.Timer(attempt * 0.002, os.truncate, (path, 5_000))
    try:
        decode(path, lambda size: size, admit=lambda demand: cutter.start())
    except PictureError:
        pass
    cutter.join()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not cut a file that is open")
@pytest.mark.parametrize(
    ("source", "options"),
    [
        pytest.param("TIFF", {"compression": "tiff_lzw"}, id="tiff-lzw"),
        pytest.param("TIFF", {"compression": "jpeg"}, id="tiff-jpeg"),
        pytest.param("TIFF", {}, id="tiff"),
        pytest.param("BMP", {}, id="bmp"),
    ],
)
def test_a_file_cut_short_while_it_is_read_kills_nobody(
    tmp_path: Path, source: str, options: dict[str, Any]
) -> None:
    """libtiff maps the files it is given into memory; what is gone from a map is a SIGBUS."""
    noise = np.random.default_rng(1).integers(0, 256, (1_500, 2_000, 3), dtype=np.uint8)
    path = tmp_path / f"photo{SUFFIX[source]}"
    path.write_bytes(saved(noise, source, **options))
    done = subprocess.run(
        [sys.executable, "-c", CUT_WHILE_READ, str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    # libtiff itself may say something there.
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)


# Headers


@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_a_header_tells_size_date_and_camera(tmp_path: Path, source: str) -> None:
    pixels = pictures.stored(pictures.quarters(*SIZE), 6)
    path = tmp_path / "photo"
    path.write_bytes(
        pictures.with_metadata(pixels, source, exif=pictures.exif_block(orientation=6).block)
    )
    header = read_header(str(path))
    assert header.size == SIZE
    assert (header.date, header.camera) == (pictures.TAKEN, pictures.MODEL)


@pytest.mark.parametrize("source", ["JPEG", "GIF", "BMP"])
def test_a_header_without_exif_tells_the_size_alone(tmp_path: Path, source: str) -> None:
    path = tmp_path / "photo"
    path.write_bytes(sample(source))
    header = read_header(str(path))
    assert (header.size, header.date, header.camera) == (SIZE, None, None)


def test_a_header_of_no_picture_is_a_picture_error(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"text")
    with pytest.raises(PictureError):
        read_header(str(path))
