"""Pictures of more than 8 bits a channel, and of odd depths: in, through and out.

Files are made here byte by byte, or by libraries that the code under test does not read them with;
expected levels are computed in float64. Outputs are read by ImageMagick and exiftool.
"""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from toolkit import pictures
from toolkit.decoding import decoded
from toolkit.deep import (
    CHANNELS,
    HEIGHT,
    WIDTH,
    array_of,
    avif,
    chunk,
    deep_files,
    jpeg2000,
    levels,
    png,
    tiff,
)

from imgbatch.errors import PictureError
from imgbatch.imaging import formats
from imgbatch.imaging.decode import Demand
from imgbatch.model import Size

Levels = NDArray[np.uint16]


def kinds(picture: Any) -> list[str]:
    return [notice.kind for notice in picture.notices]


# PNG


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("mode", CHANNELS)
def test_every_bit_of_a_png_is_read(tmp_path: Path, mode: str, interlaced: bool) -> None:
    array = levels(CHANNELS[mode])
    picture = decoded(tmp_path, png(array, interlaced=interlaced))
    assert (picture.mode, picture.size, picture.notices) == (mode, (WIDTH, HEIGHT), ())
    np.testing.assert_array_equal(array_of(picture), array)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (5, 9), (8, 1)])
def test_interlaced_png_may_lack_passes(
    tmp_path: Path, size: Size, capfd: pytest.CaptureFixture[str]
) -> None:
    array = levels(3, *size)
    np.testing.assert_array_equal(array_of(decoded(tmp_path, png(array, interlaced=True))), array)
    # libpng prints its warnings past Python.
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_transparent_level_of_a_png_becomes_alpha(
    tmp_path: Path, channels: int, interlaced: bool
) -> None:
    array = levels(channels)
    # Two that differ from it only in the last bit, which 8 bits could not distinguish.
    key = array[5, 5].copy()
    array[5, 6], array[5, 7] = key ^ 1, key
    key_chunk = chunk(b"tRNS", key.astype(">u2").tobytes())
    picture = decoded(tmp_path, png(array, interlaced=interlaced, before=key_chunk))
    assert picture.mode == ("LA;16" if channels == 1 else "RGBA;16")
    assert kinds(picture) == []
    found = array_of(picture)
    np.testing.assert_array_equal(found[..., :-1], array)
    np.testing.assert_array_equal(found[..., -1], 65_535 * (array != key).any(axis=2))
    assert found[5, 6, -1] == 65_535


def test_chunks_after_the_pixels_of_a_png_are_read(tmp_path: Path) -> None:
    upright = levels(3)
    block = pictures.exif_block(orientation=6).block
    text = b"XML:com.adobe.xmp\0\0\0\0\0" + pictures.xmp_packet()
    data = png(pictures.stored(upright, 6), behind=chunk(b"eXIf", block) + chunk(b"iTXt", text))
    picture = decoded(tmp_path, data)
    assert picture.full_size == (WIDTH, HEIGHT)
    np.testing.assert_array_equal(array_of(picture), upright)
    assert picture.metadata.exif is not None
    assert pictures.MODEL.encode() in picture.metadata.exif.tobytes()
    assert picture.metadata.xmp is not None


# TIFF


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rowsperstrip": 5},
        {"compression": "lzw"},
        {"compression": "lzw", "predictor": True, "byteorder": ">"},
        {"compression": "zlib", "predictor": True},
        {"compression": "zstd", "predictor": True},
        {"compression": "packbits"},
        {"tile": (16, 16)},
        {"tile": (32, 16), "compression": "lzw", "byteorder": ">"},
        {"planarconfig": "separate"},
        {"planarconfig": "separate", "compression": "zlib", "tile": (16, 16)},
        {"bigtiff": True, "compression": "lzw"},
        {"byteorder": ">"},
    ],
    ids=lambda options: "-".join(f"{key}:{value}" for key, value in options.items()) or "plain",
)
@pytest.mark.parametrize("mode", CHANNELS)
def test_every_bit_of_a_tiff_is_read(tmp_path: Path, mode: str, options: dict[str, Any]) -> None:
    array = levels(CHANNELS[mode])
    picture = decoded(tmp_path, tiff(array, **options), ".tif")
    assert (picture.mode, picture.size, picture.notices) == (mode, (WIDTH, HEIGHT), ())
    np.testing.assert_array_equal(array_of(picture), array)


@pytest.mark.parametrize("mode", ["LA;16", "RGBA;16"])
def test_premultiplied_colours_are_divided_by_alpha(tmp_path: Path, mode: str) -> None:
    straight = levels(CHANNELS[mode]).astype(np.float64)
    straight[3, :, -1] = 0
    alpha = straight[..., -1:]
    stored = np.rint(
        straight * np.where(np.arange(straight.shape[2]) < straight.shape[2] - 1, alpha / 65_535, 1)
    )
    data = tiff(stored.astype(np.uint16), extrasamples=["assocalpha"])
    found = array_of(decoded(tmp_path, data, ".tif"))
    # From the stored values, as a quotient rounded once.
    expected = np.minimum(np.floor(stored[..., :-1] * 65_535 / np.maximum(alpha, 1) + 0.5), 65_535)
    np.testing.assert_array_equal(found[..., -1:], alpha)
    np.testing.assert_array_equal(found[..., :-1], np.where(alpha > 0, expected, 0))


def test_unspecified_extra_channel_is_dropped(tmp_path: Path) -> None:
    array = levels(4)
    picture = decoded(tmp_path, tiff(array, extrasamples=["unspecified"]), ".tif")
    assert picture.mode == "RGB;16"
    np.testing.assert_array_equal(array_of(picture), array[..., :3])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotated_tiff_comes_out_upright(tmp_path: Path, orientation: int) -> None:
    upright = levels(3)
    tags = [(0x0112, 3, 1, orientation, True)]
    data = tiff(pictures.stored(upright, orientation), extratags=tags)
    picture = decoded(tmp_path, data, ".tif")
    assert picture.full_size == (WIDTH, HEIGHT)
    np.testing.assert_array_equal(array_of(picture), upright)


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_floats_from_0_to_1_fill_16_bits(tmp_path: Path, kind: str, channels: int) -> None:
    values = (levels(channels) / 65_535).astype(kind)
    picture = decoded(tmp_path, tiff(values if channels > 1 else values[..., 0]), ".tif")
    assert kinds(picture) == []
    expected = np.rint(values.astype(np.float64) * 65_535).reshape(array_of(picture).shape)
    # Half a level more where float32 rounds the product.
    assert np.abs(array_of(picture) - expected).max() <= 1


def test_floats_beyond_1_are_scaled_with_a_warning(tmp_path: Path) -> None:
    values = levels(3).astype(np.float32) / 65_535 * 4 - 1
    picture = decoded(tmp_path, tiff(values), ".tif")
    assert kinds(picture) == ["range-scaled"]
    assert "from -1 to 3" in picture.notices[0].message
    expected = (values.astype(np.float64) + 1) / 4 * 65_535
    # float32 has 24 bits: the quotient may round the other way.
    assert np.abs(array_of(picture) - expected).max() <= 1


def test_colours_of_32_bits_keep_their_upper_16(tmp_path: Path) -> None:
    values = levels(3).astype(np.uint32) * 65_537
    picture = decoded(tmp_path, tiff(values), ".tif")
    np.testing.assert_array_equal(array_of(picture), levels(3))


def test_kind_without_a_pillow_mode_names_the_extra(tmp_path: Path, no_extra: None) -> None:
    with pytest.raises(PictureError, match=r"imgbatch\[deep\]") as caught:
        decoded(tmp_path, tiff(levels(2)), ".tif")
    assert caught.value.failure.kind == "no-codec"


def test_pillow_is_left_unchanged(tmp_path: Path) -> None:
    from PIL import TiffImagePlugin

    before = dict(TiffImagePlugin.OPEN_INFO)
    decoded(tmp_path, tiff(levels(2)), ".tif")
    assert before == TiffImagePlugin.OPEN_INFO


# Grey of odd depths, which Pillow reads


def small_tiff(
    rows: bytes, size: Size, bits: int, *, photometric: int = 1, sample_format: int = 1
) -> bytes:
    """A grey TIFF in one strip, little endian."""
    width, height = size
    fields = [
        (0x0100, 3, struct.pack("<H", width)),
        (0x0101, 3, struct.pack("<H", height)),
        (0x0102, 3, struct.pack("<H", bits)),
        (0x0103, 3, struct.pack("<H", 1)),
        (0x0106, 3, struct.pack("<H", photometric)),
        (0x0111, 4, struct.pack("<I", 8)),
        (0x0116, 3, struct.pack("<H", height)),
        (0x0117, 4, struct.pack("<I", len(rows))),
        (0x0153, 3, struct.pack("<H", sample_format)),
    ]
    rows += bytes(len(rows) % 2)
    header = b"II*\0" + struct.pack("<I", 8 + len(rows))
    return header + rows + pictures.directory("<", fields, 8 + len(rows))


def packed_bits(values: NDArray[Any], bits: int) -> bytes:
    """Rows of samples of `bits` bits, most significant first, each row padded to whole bytes."""
    shifts = np.arange(bits - 1, -1, -1)
    return b"".join(
        np.packbits(((row[:, None] >> shifts) & 1).astype(np.uint8)).tobytes() for row in values
    )


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits_fills_8(tmp_path: Path, bits: int, photometric: int) -> None:
    values = np.arange(16 * 9).reshape(9, 16) % (1 << bits)
    data = small_tiff(packed_bits(values, bits), (16, 9), bits, photometric=photometric)
    picture = decoded(tmp_path, data, ".tif")
    assert (picture.mode, kinds(picture)) == ("L", [])
    expected = values * 255 // ((1 << bits) - 1)
    np.testing.assert_array_equal(array_of(picture), expected if photometric else 255 - expected)


def test_grey_of_12_bits_fills_16(tmp_path: Path) -> None:
    values = np.arange(4096).reshape(64, 64)
    picture = decoded(tmp_path, small_tiff(packed_bits(values, 12), (64, 64), 12), ".tif")
    assert (picture.mode, kinds(picture)) == ("I;16", [])
    np.testing.assert_array_equal(array_of(picture), np.rint(values / 4095 * 65_535))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_grey_of_16_bits_in_either_byte_order_and_polarity(
    tmp_path: Path, photometric: str, order: str
) -> None:
    values = levels(1)[..., 0]
    data = tiff(values, photometric=photometric, byteorder=order)
    picture = decoded(tmp_path, data, ".tif")
    assert (picture.mode, kinds(picture)) == ("I;16", [])
    expected = values if photometric == "minisblack" else 65_535 - values
    np.testing.assert_array_equal(array_of(picture), expected)


@pytest.mark.parametrize(
    ("values", "warned"),
    [
        (np.arange(1000, dtype=np.uint32), False),
        (np.arange(1000, dtype=np.uint32) * 4_294_967, True),
        (np.arange(1000, dtype=np.int32), False),
        (np.arange(1000, dtype=np.int32) * 4_000_000 - 2_000_000_000, True),
        (np.arange(1000, dtype=np.int16), False),
        (np.arange(1000, dtype=np.int16) - 500, True),
        (np.arange(1000, dtype=np.float32) / 999, False),
        (np.arange(1000, dtype=np.float32), False),
        (np.arange(1000, dtype=np.float32) * 100, True),
        (np.arange(1000, dtype=np.float64) * 1e9, True),
    ],
    ids=lambda value: f"{value.dtype} to {value.max():g}" if hasattr(value, "dtype") else None,
)
def test_wide_grey_is_scaled_if_necessary(
    tmp_path: Path, values: NDArray[Any], warned: bool
) -> None:
    picture = decoded(tmp_path, tiff(values.reshape(25, 40)), ".tif")
    assert picture.mode == "I;16"
    assert kinds(picture) == (["range-scaled"] if warned else [])
    exact = values.astype(np.float64).reshape(25, 40)
    if warned:
        exact = (exact - exact.min()) / (exact.max() - exact.min()) * 65_535
    elif exact.max() <= 1:
        exact = exact * 65_535
    # Rounded once; float32 quotients may fall on the other side of a half.
    assert np.abs(array_of(picture) - exact).max() <= 0.51


# JPEG 2000, PPM, AVIF


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("codec", ["jp2", "j2k"])
@pytest.mark.parametrize("mode", CHANNELS)
def test_every_bit_of_a_jpeg_2000_is_read(tmp_path: Path, mode: str, codec: str, bits: int) -> None:
    array = levels(CHANNELS[mode]) >> (16 - bits)
    data = jpeg2000(array, bitspersample=bits, codecformat=codec)
    picture = decoded(tmp_path, data, f".{codec}")
    assert (picture.mode, kinds(picture)) == (mode, [])
    expected = np.rint(array / ((1 << bits) - 1) * 65_535)
    np.testing.assert_array_equal(array_of(picture), expected)


def test_grey_jpeg_2000_of_16_bits_is_kept(tmp_path: Path) -> None:
    array = levels(1)[..., 0]
    data = jpeg2000(array, codecformat="jp2")
    picture = decoded(tmp_path, data, ".jp2")
    assert (picture.mode, kinds(picture)) == ("I;16", [])
    np.testing.assert_array_equal(array_of(picture), array)


@pytest.mark.parametrize("maximum", [65_535, 1023, 300])
@pytest.mark.parametrize("channels", [1, 3])
def test_netpbm_file_fills_16_bits(tmp_path: Path, channels: int, maximum: int) -> None:
    array = (levels(channels).astype(np.uint32) % (maximum + 1)).astype(np.uint16)
    head = f"P{5 if channels == 1 else 6} {WIDTH} {HEIGHT} {maximum}\n".encode()
    picture = decoded(tmp_path, head + array.astype(">u2").tobytes(), ".ppm")
    assert (picture.mode, kinds(picture)) == ("I;16" if channels == 1 else "RGB;16", [])
    expected = np.floor(array / maximum * 65_535 + 0.5).reshape(array_of(picture).shape)
    # Pillow, which reads grey, rounds halves to even.
    assert np.abs(array_of(picture) - expected).max() <= (1 if channels == 1 else 0)


@pytest.mark.parametrize("bits", [10, 12])
def test_every_bit_of_an_avif_is_read(tmp_path: Path, bits: int) -> None:
    array = levels(3) >> (16 - bits)
    # Lossless: the identity matrix, in 4:4:4.
    data = avif(array, bits, matrix=0)
    picture = decoded(tmp_path, data, ".avif")
    assert (picture.mode, kinds(picture)) == ("RGB;16", [])
    expected = np.rint(array / ((1 << bits) - 1) * 65_535)
    np.testing.assert_array_equal(array_of(picture), expected)


def test_every_bit_of_a_grey_avif_is_read(tmp_path: Path) -> None:
    array = levels(1)[..., 0] >> 6
    data = bytes(imagecodecs.avif_encode(array, level=100, bitspersample=10, numthreads=1))
    picture = decoded(tmp_path, data, ".avif")
    assert (picture.mode, kinds(picture)) == ("I;16", [])
    expected = np.rint(array / 1023 * 65_535)
    np.testing.assert_array_equal(np.asarray(picture.image), expected)


def test_unspecified_channel_of_floats_does_not_count(tmp_path: Path) -> None:
    colours = levels(3) / 65_535
    array = np.dstack([colours, np.full(colours.shape[:2], 40.0)]).astype(np.float32)
    picture = decoded(tmp_path, tiff(array, photometric="rgb", extrasamples=[0]), ".tif")
    assert (picture.mode, kinds(picture)) == ("RGB;16", [])
    np.testing.assert_array_equal(array_of(picture), levels(3))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".ppm", ".avif"])
def test_without_the_extra_8_bits_are_read_with_a_warning(
    tmp_path: Path, no_extra: None, suffix: str
) -> None:
    picture = decoded(tmp_path, deep_files()[suffix], suffix)
    assert (picture.mode, kinds(picture)) == ("RGB", ["depth-reduced"])
    assert "imgbatch[deep]" in picture.notices[0].message
    # Pillow truncates the lower bits where it does not round.
    difference = array_of(picture) - levels(3).astype(np.float64) / 257
    assert np.abs(difference).max() <= (1 if suffix != ".avif" else 3)


def test_without_the_extra_a_jpeg_2000_is_refused_because_white_would_be_black(
    tmp_path: Path, no_extra: None
) -> None:
    data = deep_files()[".jp2"]
    # What Pillow makes of 65535.
    assert Image.open(BytesIO(data)).getpixel((WIDTH - 1, HEIGHT - 1)) == (0, 0, 0)
    with pytest.raises(PictureError, match=r"imgbatch\[deep\]") as caught:
        decoded(tmp_path, data, ".jp2")
    assert caught.value.failure.kind == "no-codec"


def test_without_the_extra_a_transparent_grey_level_is_kept_in_8_bits(
    tmp_path: Path, no_extra: None
) -> None:
    array = levels(1)
    data = png(array, before=chunk(b"tRNS", array[5, 5].astype(">u2").tobytes()))
    picture = decoded(tmp_path, data)
    assert (picture.mode, kinds(picture)) == ("LA", ["depth-reduced"])
    np.testing.assert_array_equal(array_of(picture)[..., :1], np.rint(array / 257))
    np.testing.assert_array_equal(array_of(picture)[..., 1:], 255 * (array != array[5, 5]))


def test_files_that_pillow_reads_whole_are_left_to_it(tmp_path: Path) -> None:
    for name, options in {
        "PNG": {},
        "TIFF": {},
        "PPM": {},
        "JPEG2000": {},
        "AVIF": {"speed": 10},
        "WEBP": {},
        "JPEG": {},
    }.items():
        data = pictures.saved(pictures.scene(), name, **options)
        file = BytesIO(data)
        row = formats.recognise(data[: formats.HEAD_BYTES], "")
        assert row is not None
        assert formats.codec(row).lost_bits(Image.open(file), file) == 0
        picture = decoded(tmp_path, data, ".any")
        assert (picture.mode, kinds(picture)) == ("RGB", [])


def test_cmyk_of_16_bits_is_reduced_with_a_warning(tmp_path: Path) -> None:
    data = tiff(levels(4), photometric="separated", extrasamples=None)
    picture = decoded(tmp_path, data, ".tif")
    assert (picture.mode, kinds(picture)) == ("CMYK", ["depth-reduced"])
    assert "imgbatch[deep]" not in picture.notices[0].message


# Damage


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jp2", ".ppm"])
@pytest.mark.parametrize("part", [0.5, 0.9])
def test_truncated_file_is_reported_as_such(tmp_path: Path, suffix: str, part: float) -> None:
    data = deep_files()[suffix]
    if suffix == ".tif":
        # tifffile writes its directory first, so it is the pixels that are missing.
        assert struct.unpack_from("<I", data, 4)[0] < len(data) // 4
    with pytest.raises(PictureError) as caught:
        decoded(tmp_path, data[: int(len(data) * part)], suffix)
    assert (caught.value.failure.stage, caught.value.failure.kind) == ("decode", "truncated")


def test_truncated_interlaced_png_is_reported_as_such(tmp_path: Path) -> None:
    data = png(levels(3), interlaced=True)
    with pytest.raises(PictureError) as caught:
        decoded(tmp_path, data[: len(data) // 2])
    assert caught.value.failure.kind == "truncated"


def test_salvage_keeps_a_truncated_png_in_8_bits(tmp_path: Path) -> None:
    array = np.random.default_rng(3).integers(0, 65_536, (60, 50, 3), dtype=np.uint16)
    data = png(array)
    picture = decoded(tmp_path, data[: len(data) // 2], salvage=True)
    assert picture.mode == "RGB"
    assert sorted(kinds(picture)) == ["depth-reduced", "truncated"]
    np.testing.assert_array_equal(array_of(picture)[:25], array[:25] >> 8)


def test_damage_raises_nothing_but_picture_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    outcomes = set()
    for suffix, whole in deep_files().items():
        for _ in range(25):
            data = bytearray(whole)
            for place in rng.integers(0, len(data), 3):
                data[place] = rng.integers(0, 256)
            # Half of them are hit where the sizes are.
            if rng.random() < 0.5:
                data[rng.integers(8, 120)] = rng.integers(0, 256)
            try:
                picture = decoded(tmp_path, bytes(data), suffix, max_pixels=10_000_000)
            except PictureError as error:
                outcomes.add(error.failure.kind)
            else:
                outcomes.add(picture.mode)
    assert {"broken", "truncated", "RGB;16"} <= outcomes


def test_header_with_too_many_pixels_is_refused_before_decoding(tmp_path: Path) -> None:
    for suffix, data in deep_files().items():
        with pytest.raises(PictureError) as caught:
            decoded(tmp_path, data, suffix, max_pixels=WIDTH * HEIGHT - 1)
        assert caught.value.failure.kind == "too-large"


def test_memory_demand_is_made_before_decoding(tmp_path: Path) -> None:
    asked: list[Demand] = []
    for suffix, data in deep_files().items():
        decoded(tmp_path, data, suffix, admit=asked.append)
    pixels = WIDTH * HEIGHT
    assert {demand.mode for demand in asked} == {"RGB;16"}
    # The array and the file are the minimum.
    for demand, data in zip(asked, deep_files().values(), strict=True):
        assert demand.bytes - 4_000_000 > pixels * 6 + len(data)
