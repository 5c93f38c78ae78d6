"""Decode files that a test made."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image

from imgbatch.errors import PictureError
from imgbatch.imaging.decode import decode
from imgbatch.imaging.picture import Picture
from imgbatch.model import MAX_PIXELS, Size
from toolkit import pictures
from toolkit.folders import planted
from toolkit.pictures import saved

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
    folder: Path, data: bytes, name: str = "photo.jpg", least: Size | None = None, **options: Any
) -> Picture:
    """The upright picture in a file of these bytes, decoded for at least that size."""
    path = planted(folder, data, name)
    return decode(str(path), lambda size: least or size, **options).upright()


def failure(
    folder: Path, data: bytes, name: str = "photo.jpg", max_pixels: int = MAX_PIXELS
) -> PictureError:
    """The error on decoding these bytes; there must be one."""
    with pytest.raises(PictureError) as caught:
        decoded(folder, data, name, max_pixels=max_pixels)
    return caught.value


def kinds(picture: Picture) -> list[str]:
    return [notice.kind for notice in picture.notices]


def sample(source: str, **options: Any) -> bytes:
    """The four quarters in a format."""
    if source == "ICO":
        options["sizes"] = [SIZE]
    return saved(pictures.quarters(*SIZE), source, **options)


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def two_frames(source: str, suffix_options: dict[str, Any] | None = None) -> bytes:
    first = Image.fromarray(pictures.quarters(*SIZE))
    second = Image.fromarray(255 - pictures.quarters(*SIZE))
    options = suffix_options or {}
    return saved(first, source, save_all=True, append_images=[second, first], **options)
