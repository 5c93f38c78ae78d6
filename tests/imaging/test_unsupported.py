"""Files that are whole, but of a kind that cannot be read, are not called broken.

That they are whole is shown by libraries that do read them: imagecodecs and tifffile.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from toolkit import pictures

from imgbatch.errors import PictureError
from imgbatch.imaging.decode import decode
from imgbatch.model import Failure

PIXELS: Final = pictures.scene(64, 48)
CHANNELS: Final = np.dstack([PIXELS, PIXELS[..., :2]])


def failure(path: Path, data: bytes) -> Failure:
    path.write_bytes(data)
    with pytest.raises(PictureError) as caught:
        decode(str(path), lambda size: size)
    return caught.value.failure


def jpeg_12() -> bytes:
    deep = PIXELS.astype(np.uint16) << 4
    data = bytes(imagecodecs.jpeg_encode(deep, level=95, bitspersample=12))
    assert np.abs(imagecodecs.jpeg_decode(data).astype(int) - deep).mean() < 64
    return data


def jpeg_2000(channels: NDArray[Any]) -> bytes:
    data = bytes(imagecodecs.jpeg2k_encode(channels, level=0, reversible=True))
    np.testing.assert_array_equal(imagecodecs.jpeg2k_decode(data), channels)
    return data


def tiff(array: NDArray[Any], **options: Any) -> bytes:
    buffer = BytesIO()
    tifffile.imwrite(buffer, array, **options)
    buffer.seek(0)
    assert tifffile.imread(buffer).shape == array.shape
    return buffer.getvalue()


def bitmap(compression: int, data: bytes) -> bytes:
    """A bitmap that only wraps another file: BI_JPEG is 4, BI_PNG 5 (BITMAPINFOHEADER)."""
    header = struct.pack("<IiiHHIIiiII", 40, 64, 48, 1, 0, compression, len(data), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(data), 0, 0, 54) + header + data


def saved(source: str) -> bytes:
    buffer = BytesIO()
    Image.fromarray(PIXELS).save(buffer, source)
    return buffer.getvalue()


def targa(kind: int, bits: int) -> bytes:
    header = struct.pack("<BBBHHBHHHHBB", 0, 0, kind, 0, 0, 0, 0, 0, 64, 48, bits, 0)
    return header + bytes(64 * 48 * 2)


def hierarchical() -> bytes:
    """A JPEG whose frame is marked as a differential one (SOF5)."""
    return saved("JPEG").replace(b"\xff\xc0\0\x11\x08", b"\xff\xc5\0\x11\x08", 1)


def entry(data: bytes, tag: int) -> int:
    """The place of a tag's entry in the first directory of a little-endian TIFF."""
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    places = range(at + 2, at + 2 + 12 * count, 12)
    return next(one for one in places if struct.unpack_from("<H", data, one) == (tag,))


def changed(data: bytes, tag: int, kind: int, count: int, value: bytes) -> bytes:
    at = entry(data, tag)
    return data[:at] + struct.pack("<HHI", tag, kind, count) + value + data[at + 12 :]


def mask() -> bytes:
    """Of one bit, marked as a transparency mask (TIFF 6.0, section 8: 4)."""
    buffer = BytesIO()
    Image.new("1", (64, 48)).save(buffer, "TIFF")
    return changed(buffer.getvalue(), 262, 3, 1, b"\4\0\0\0")


KINDS: Final[dict[str, tuple[str, Callable[[], bytes], str]]] = {
    "12 bits": (".jpg", jpeg_12, "with 12 bits per channel"),
    "hierarchical": (".jpg", hierarchical, "with hierarchical coding"),
    "five channels": (".jp2", lambda: jpeg_2000(CHANNELS), "with 5 channels"),
    "JPEG XL": (
        ".tif",
        lambda: tiff(PIXELS, compression="jpegxl", photometric="rgb"),
        "with compression 50002",
    ),
    "LERC": (
        ".tif",
        lambda: tiff(PIXELS, compression="lerc", photometric="rgb"),
        "with compression 34887",
    ),
    "complex": (".tif", lambda: tiff(PIXELS[..., 0].astype(np.complex64)), "of 64 bits"),
    "one bit": (".tif", mask, "of 1 bit and photometric interpretation 4"),
    "100 channels": (
        ".tif",
        lambda: tiff(
            np.zeros((48, 64, 100), np.uint8), planarconfig="contig", photometric="minisblack"
        ),
        "and photometric interpretation 1",
    ),
    "JPEG inside": (".bmp", lambda: bitmap(4, saved("JPEG")), "Unsupported BMP"),
    "PNG inside": (".bmp", lambda: bitmap(5, saved("PNG")), "Unsupported BMP"),
    "camera": (
        ".nef",
        lambda: tiff(PIXELS, photometric="rgb", extratags=[(272, "s", 0, "New 9")]),
        "from a New 9",
    ),
    "Huffman": (".tga", lambda: targa(32, 24), "with Huffman coding"),
    "15 bits": (".tga", lambda: targa(2, 15), "with 15 bits per pixel"),
}


@pytest.mark.parametrize("what", KINDS)
def test_whole_file_of_an_unsupported_kind_is_not_called_broken(tmp_path: Path, what: str) -> None:
    suffix, make, words = KINDS[what]
    found = failure(tmp_path / f"photo{suffix}", make())
    assert found.kind == "no-codec"
    assert words in found.message
    assert "cannot be read" in found.message
    assert "broken" not in found.message


def cut(data: bytes) -> bytes:
    return data[:40]


def garbled(data: bytes) -> bytes:
    return data[: len(data) // 2].ljust(len(data), b"\0")


@pytest.mark.parametrize("harm", [cut, garbled])
@pytest.mark.parametrize("source", ["JPEG", "JPEG2000", "GIF"])
def test_broken_file_of_a_known_kind_is_not_called_unsupported(
    tmp_path: Path, source: str, harm: Callable[[bytes], bytes]
) -> None:
    found = failure(tmp_path / "photo", harm(saved(source)))
    assert found.kind in ("broken", "truncated", "damaged")


@pytest.mark.parametrize("tag", [256, 257, 258, 259, 262, 273, 277])
def test_tiff_with_text_for_a_number_is_not_called_unsupported(tmp_path: Path, tag: int) -> None:
    data = changed(saved("TIFF"), tag, 2, 4, b"abc\0")
    assert failure(tmp_path / "photo.tif", data).kind == "broken"


@pytest.mark.parametrize("tag", [256, 257])
def test_tiff_without_pixels_is_not_called_unsupported(tmp_path: Path, tag: int) -> None:
    data = changed(saved("TIFF"), tag, 4, 1, bytes(4))
    assert failure(tmp_path / "photo.tif", data).kind == "broken"


@pytest.mark.parametrize("tag", [258, 273])
def test_tiff_cut_off_in_its_directory_is_not_called_unsupported(tmp_path: Path, tag: int) -> None:
    data = saved("TIFF")
    found = failure(tmp_path / "photo.tif", data[: entry(data, tag)])
    assert found.kind in ("broken", "truncated")


@pytest.mark.parametrize("compression", [None, "lzw", "deflate"])
def test_tiff_that_has_lost_its_bits_is_not_called_unsupported(
    tmp_path: Path, compression: str | None
) -> None:
    """What tells how many each channel has is beyond the end."""
    data = tiff(PIXELS, photometric="rgb", compression=compression)
    data = changed(data, 258, 3, 3, struct.pack("<I", len(data)))
    assert failure(tmp_path / "photo.tif", data).kind in ("broken", "truncated")
