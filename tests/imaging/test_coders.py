"""Encoder settings take effect, and a source's own coding is kept where possible."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import get_sampling
from toolkit.pictures import exif_block, opened, saved, scene, stored, with_metadata

import imgbatch
from imgbatch.model import Written


def made(tmp_path: Path, data: bytes, name: str = "a.jpg", **words: Any) -> Image.Image:
    """The single output of one file, opened with Pillow."""
    return opened(Path(written(tmp_path, data, name, **words).path).read_bytes())


def written(tmp_path: Path, data: bytes, name: str = "a.jpg", **words: Any) -> Written:
    (tmp_path / "in").mkdir(exist_ok=True)
    file = tmp_path / "in" / name
    file.write_bytes(data)
    recipe = imgbatch.Recipe.from_options(**words)
    (result,) = imgbatch.run(
        recipe, [file], output=tmp_path / "out", jobs=1, on_conflict="overwrite"
    )
    assert result.failure is None, result.failure
    assert not result.written[0].copied
    return result.written[0]


def pixels(image: Image.Image) -> NDArray[np.int16]:
    return np.asarray(image).astype(np.int16)


def tables(image: Any) -> dict[int, list[int]]:
    return {number: list(table) for number, table in image.quantization.items()}


# JPEG: the source's own tables and subsampling


ODD_TABLES = [[3 + index // 4 for index in range(64)], [4 + index // 2 for index in range(64)]]


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_of_unchanged_size_keeps_tables_and_subsampling(
    tmp_path: Path, subsampling: int, progressive: bool
) -> None:
    data = saved(
        scene(), "JPEG", qtables=ODD_TABLES, subsampling=subsampling, progressive=progressive
    )
    image: Any = made(tmp_path, data, metadata="none")
    assert tables(image) == tables(opened(data))
    assert get_sampling(image) == subsampling
    assert bool(image.info.get("progressive")) == progressive
    # Rounding again in the same steps changes hardly anything.
    lost_before = np.abs(pixels(opened(data)) - scene()).mean()
    assert np.abs(pixels(image) - pixels(opened(data))).mean() < lost_before / 3


def test_turned_jpeg_keeps_its_tables(tmp_path: Path) -> None:
    data = with_metadata(stored(scene(), 6), "JPEG", exif=exif_block(orientation=6).block)
    image = made(tmp_path, data)
    assert image.size == (96, 64)
    assert tables(image) == tables(opened(data))


@pytest.mark.parametrize("sampling", ["440", "411"])
def test_chroma_that_cannot_be_kept_halved_is_kept_whole(tmp_path: Path, sampling: str) -> None:
    import imagecodecs

    along = np.indices((64, 96))[1 if sampling == "440" else 0] % 8 < 4
    colours = np.where(along[..., None], (230, 30, 30), (30, 30, 230)).astype(np.uint8)
    data = bytes(imagecodecs.jpeg8_encode(colours, level=95, subsampling=sampling))
    image: Any = made(tmp_path, data, metadata="none")
    assert get_sampling(image) == 0
    assert tables(image) == tables(opened(data))
    assert np.abs(pixels(image) - pixels(opened(data))).max() <= 6


@pytest.mark.parametrize("orientation", [3, 5, 6, 7, 8])
def test_chroma_halved_across_is_whole_in_a_picture_on_its_side(
    tmp_path: Path, orientation: int
) -> None:
    columns = np.indices((64, 96))[1] % 8 < 4
    colours = np.where(columns[..., None], (230, 30, 30), (30, 30, 230)).astype(np.uint8)
    block = exif_block(orientation=orientation).block
    image = stored(colours, orientation)
    data = saved(image, "JPEG", exif=b"Exif\0\0" + block, quality=95, subsampling=1)
    upright = ImageOps.exif_transpose(opened(data))
    made_of_it: Any = made(tmp_path, data)
    assert get_sampling(made_of_it) == (0 if orientation >= 5 else 1)
    if orientation >= 5:
        assert np.abs(pixels(made_of_it) - pixels(upright)).max() <= 8


@pytest.mark.parametrize("words", [{}, {"subsampling": "4:2:0"}, {"quality": 80}])
def test_no_ink_of_a_cmyk_jpeg_is_halved(tmp_path: Path, words: dict[str, Any]) -> None:
    inks = np.random.default_rng(3).integers(0, 2, (64, 96, 4)) * 200
    source = Image.fromarray(inks.astype(np.uint8), "CMYK")
    image: Any = made(tmp_path, saved(source, "TIFF"), "a.tif", format="jpeg", **words)
    assert {layer[1:3] for layer in image.layer} == {(1, 1)}
    lost = np.abs(pixels(image) - inks).mean(axis=(0, 1))
    assert lost.max() < 12
    assert lost.max() < 1.2 * lost.min()


def test_grey_or_cmyk_jpeg_keeps_its_tables(tmp_path: Path) -> None:
    for mode in ("L", "CMYK"):
        data = saved(Image.fromarray(scene()).convert(mode), "JPEG", qtables=ODD_TABLES)
        image = made(tmp_path, data, metadata="none")
        assert (image.mode, tables(image)) == (mode, tables(opened(data)))


def test_grayscale_keeps_the_luma_table(tmp_path: Path) -> None:
    data = saved(scene(), "JPEG", qtables=ODD_TABLES)
    image = made(tmp_path, data, filters=["grayscale"])
    assert (image.mode, tables(image)[0]) == ("L", tables(opened(data))[0])


@pytest.mark.parametrize(
    "words", [{"sizes": ["50"]}, {"sizes": ["64x64"], "fit": "cover"}, {"quality": 85}]
)
def test_resampled_jpeg_or_one_with_quality_gets_new_tables(
    tmp_path: Path, words: dict[str, Any]
) -> None:
    image = made(tmp_path, saved(scene(), "JPEG", qtables=ODD_TABLES, subsampling=0), **words)
    assert tables(image) == tables(opened(saved(scene(), "JPEG", quality=85)))
    assert get_sampling(image) == 2


@pytest.mark.parametrize(("quality", "sampling"), [(60, 2), (89, 2), (90, 0), (100, 0)])
def test_quality_sets_tables_and_full_chroma_from_90(
    tmp_path: Path, quality: int, sampling: int
) -> None:
    image = made(tmp_path, saved(scene(), "PNG"), "a.png", format="jpeg", quality=quality)
    assert tables(image) == tables(opened(saved(scene(), "JPEG", quality=quality)))
    assert get_sampling(image) == sampling


# Settings


@pytest.mark.parametrize(("ratio", "number"), [("4:4:4", 0), ("4:2:2", 1), ("4:2:0", 2)])
def test_subsampling_is_as_requested(tmp_path: Path, ratio: str, number: int) -> None:
    for quality in (None, 70, 95):
        image = made(tmp_path, saved(scene(), "JPEG"), subsampling=ratio, quality=quality)
        assert get_sampling(image) == number
    one = written(tmp_path, saved(scene(), "JPEG"), format="avif", subsampling=ratio)
    found = re.search(rb"av1C..(.)", Path(one.path).read_bytes(), re.DOTALL)
    # AV1-ISOBMFF 2.3.3: the two bits of chroma subsampling, across and down.
    assert found is not None
    assert (found[1][0] >> 2) & 3 == {0: 0b00, 1: 0b10, 2: 0b11}[number]


def test_progressive_is_written_on_request(tmp_path: Path) -> None:
    assert made(tmp_path, saved(scene(), "JPEG"), progressive=True).info.get("progressive")
    assert not made(tmp_path, saved(scene(), "JPEG"), sizes=["50"]).info.get("progressive")


@pytest.mark.slow
@pytest.mark.parametrize("target", ["jpeg", "png", "webp", "avif", "heif"])
def test_more_effort_makes_a_smaller_file_of_the_same_picture(tmp_path: Path, target: str) -> None:
    data = saved(scene(192, 128), "PNG")
    files = {
        effort: written(tmp_path, data, "a.png", format=target, effort=effort).bytes
        for effort in (1, 10)
    }
    # x265 spends what it saves on quality.
    assert files[10] != files[1] if target == "heif" else files[10] < files[1]
    if target in ("jpeg", "png"):
        images = [made(tmp_path, data, "a.png", format=target, effort=one) for one in (1, 10)]
        assert np.array_equal(pixels(images[0]), pixels(images[1]))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("target", ["webp", "jpeg2000"])
def test_lossless_is_exact(tmp_path: Path, target: str, mode: str) -> None:
    array = np.dstack([scene(), np.tile(np.arange(96, dtype=np.uint8) * 2, (64, 1))])
    array = array[:, :, : len(mode)]
    for extra in ({"quality": 50}, {"lossless": True}):
        image = made(tmp_path, saved(array, "PNG"), "a.png", format=target, **extra)
        same = np.array_equal(np.asarray(image.convert(mode)), array)
        assert same == ("lossless" in extra)


COMPRESSION = {"none": 1, "packbits": 32_773, "lzw": 5, "deflate": 8, "zstd": 50_000, "jpeg": 7}
"""Tag 0x0103 (TIFF 6.0, section 3, and libtiff's registrations)."""


@pytest.mark.parametrize("word", COMPRESSION)
def test_tiff_is_compressed_as_requested(tmp_path: Path, word: str) -> None:
    image: Any = made(tmp_path, saved(scene(), "PNG"), "a.png", format="tiff", compression=word)
    assert image.tag_v2[0x0103] == COMPRESSION[word]
    off = np.abs(pixels(image) - scene())
    assert off.mean() < 5 if word == "jpeg" else off.max() == 0


def test_tiff_modes_that_jpeg_lacks_are_deflated(tmp_path: Path) -> None:
    alpha = np.dstack([scene(), np.full((64, 96), 90, np.uint8)])
    image: Any = made(
        tmp_path, saved(alpha, "PNG"), "a.png", format="tiff", compression="jpeg", quality=50
    )
    assert image.tag_v2[0x0103] == COMPRESSION["deflate"]
    assert np.array_equal(np.asarray(image), alpha)


# Palettes and black and white


def indexed(colours: int, *, transparent: bool = False) -> tuple[bytes, NDArray[np.uint8]]:
    """A PNG with a palette, and the colours it shows."""
    numbers = (np.arange(96 * 64).reshape(64, 96) // 7 % colours).astype(np.uint8)
    palette = np.random.default_rng(5).permutation(np.arange(256 * 3) % 251).astype(np.uint8)
    palette = palette.reshape(256, 3)
    image = Image.frombytes("P", (96, 64), numbers.tobytes())
    image.putpalette(palette.tobytes())
    options: dict[str, Any] = {}
    alpha = np.full(256, 255, np.uint8)
    if transparent:
        alpha[: colours // 2] = 40
        options["transparency"] = alpha.tobytes()
    seen = np.dstack([palette[numbers], alpha[numbers]])
    return saved(image, "PNG", **options), seen if transparent else seen[:, :, :3]


@pytest.mark.parametrize("colours", [2, 5, 200, 256])
@pytest.mark.parametrize("transparent", [False, True])
def test_palette_is_kept_where_pixels_are(tmp_path: Path, colours: int, transparent: bool) -> None:
    data, seen = indexed(colours, transparent=transparent)
    image = made(tmp_path, data, "a.png", metadata="none")
    assert image.mode == "P"
    assert np.array_equal(np.asarray(image.convert("RGBA" if transparent else "RGB")), seen)


def test_palette_is_kept_where_a_filter_maps_colours(tmp_path: Path) -> None:
    data, seen = indexed(200)
    image = made(tmp_path, data, "a.png", filters=["invert"])
    assert image.mode == "P"
    assert np.array_equal(pixels(image.convert("RGB")), 255 - seen.astype(np.int16))


def test_palette_is_dropped_where_new_colours_appear(tmp_path: Path) -> None:
    data, _ = indexed(200)
    assert made(tmp_path, data, "a.png", sizes=["50"]).mode == "RGB"
    assert made(tmp_path, data, "a.png", filters=["blur"]).mode == "RGB"


@pytest.mark.parametrize(("source", "suffix"), [("PNG", ".png"), ("TIFF", ".tif")])
def test_black_and_white_stays_bilevel_where_possible(
    tmp_path: Path, source: str, suffix: str
) -> None:
    dots = np.random.default_rng(3).random((64, 96)) > 0.7
    data = saved(Image.fromarray(dots), source)
    assert Image.open(BytesIO(data)).mode == "1"
    image: Any = made(tmp_path, data, f"a{suffix}", metadata="none")
    assert (image.mode, np.array_equal(np.asarray(image), dots)) == ("1", True)
    if source == "TIFF":
        # CCITT Group 4 (TIFF 6.0, section 11), which scanners and fax machines write.
        assert image.tag_v2[0x0103] == 4
    smaller = made(tmp_path, data, f"a{suffix}", sizes=["48"])
    assert smaller.mode == "L"
    assert len(np.unique(pixels(smaller))) > 2


@pytest.mark.parametrize("size", [(32, 32), (33, 9), (640, 480)])
@pytest.mark.parametrize("quality", [30, 85, 95])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_jpeg2000_of_a_flat_picture_keeps_its_colour(
    tmp_path: Path, mode: str, quality: int, size: tuple[int, int]
) -> None:
    colour = (10, 220, 90, 255)[: len(mode)] if mode != "L" else 110
    data = saved(Image.new(mode, size, colour), "PNG")
    image = made(tmp_path, data, "a.png", format="jpeg2000", quality=quality)
    lost = np.sqrt(np.mean((pixels(image).astype(float) - np.array(colour)) ** 2))
    # The PSNR that the quality stands for.
    assert lost <= 255 / 10 ** ((20 + 0.3 * quality - 1) / 20)
