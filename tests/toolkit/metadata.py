"""Pictures with metadata, and the metadata of outputs."""

from __future__ import annotations

import json
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import imgbatch
from toolkit import pictures
from toolkit.exiftool import exiftool
from toolkit.pictures import opened

SUFFIXES: Final = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "AVIF": ".avif",
    "TIFF": ".tif",
    "BMP": ".bmp",
}

HOLDING: Final = ("jpeg", "png", "webp", "avif", "tiff")
"""The formats that hold EXIF, XMP and ICC profiles."""

NOT_HOLDING: Final = ("gif", "bmp", "ppm", "qoi", "ico", "tga")
to_each: Final = pytest.mark.parametrize("target", HOLDING)
ICC: Final = pictures.wide_gamut_profile()
SIZE: Final = (96, 64)


@dataclass(frozen=True)
class Made:
    """An output: its bytes, and the kinds of its warnings."""

    data: bytes
    warnings: list[str]
    path: Path


def made(folder: Path, data: bytes, suffix: str = ".jpg", **options: Any) -> Made:
    """Process one file with the whole program, in this process."""
    photos = folder / "photos"
    shutil.rmtree(photos, ignore_errors=True)
    photos.mkdir()
    (photos / f"photo{suffix}").write_bytes(data)
    recipe = imgbatch.Recipe.from_options(**options)
    output = folder / "output"
    (result,) = imgbatch.run(recipe, [photos], output=output, jobs=1, on_conflict="overwrite")
    assert result.failure is None, result.failure
    path = Path(result.written[0].path)
    return Made(path.read_bytes(), [notice.kind for notice in result.notices], path)


def photo(
    source: str = "JPEG",
    *,
    exif: bytes | None = None,
    orientation: int | None = 6,
    gps: pictures.Gps | None = "attributes",
    xmp_orientation: int | None = 6,
) -> bytes:
    """A photograph as a camera and a photo program leave it, with every kind of metadata."""
    turned = orientation or xmp_orientation or 1
    return pictures.with_metadata(
        pictures.stored(pictures.quarters(*SIZE), turned),
        source,
        exif=pictures.exif_block(orientation=orientation).block if exif is None else exif,
        xmp=pictures.xmp_packet(orientation=xmp_orientation, gps=gps, thumbnail=True),
        icc=ICC,
        dpi=(300, 300) if source in ("JPEG", "PNG", "TIFF") else None,
    )


def xmp_of(data: bytes) -> str:
    """The XMP packet of a file, "" if it has none."""
    packet = opened(data).info.get("xmp", b"")
    return packet.decode() if isinstance(packet, bytes) else str(packet)


def exif_of(data: bytes) -> bytes:
    """The EXIF block as stored in a file, b"" if it has none."""
    block = opened(data).info.get("exif", b"")
    assert isinstance(block, bytes)
    return block.removeprefix(b"Exif\0\0")


with_exiftool: Final = pytest.mark.external("exiftool")
IPTC_HOLDING: Final = ("jpeg", "png", "tiff")
COMMENT: Final = "Grüße vom Ufer"


def full(source: str) -> bytes:
    """A photograph with everything that its format can hold, and with duplicates."""
    exif = pictures.exif_block(orientation=6).block
    packet = pictures.xmp_packet(orientation=6, gps="attributes", thumbnail=True).replace(
        b'xmp:Rating="4"',
        b'xmp:Rating="4" tiff:ImageWidth="64" exif:PixelXDimension="64"'
        b' exif:PixelYDimension="96" xmlns:exif="http://ns.adobe.com/exif/1.0/"'
        b' xmlns:tiff="http://ns.adobe.com/tiff/1.0/"',
    )
    packet = packet.replace(
        b'xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"',
        b"",
        1,
    )
    pixels = pictures.stored(pictures.quarters(*SIZE), 6)
    records = pictures.iptc_records()
    if source == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode())
        info.add_text("Comment", COMMENT)
        info.add_text("Raw profile type iptc", pictures.raw_profile("iptc", records), zip=True)
        info.add_text("Software", "Testa Develop")
        return pictures.saved(
            pixels, "PNG", exif=exif, pnginfo=info, icc_profile=ICC, dpi=(300, 300)
        )
    if source == "TIFF":
        tags = Image.Exif()
        tags.load(exif)
        for tag in (0x0100, 0x0101):
            del tags[tag]
        tags[0x02BC], tags[0x83BB] = packet, records
        return pictures.saved(pixels, "TIFF", exif=tags, icc_profile=ICC, dpi=(300, 300))
    dpi = (300, 300) if source == "JPEG" else None
    data = pictures.with_metadata(pixels, source, exif=exif, xmp=packet, icc=ICC, dpi=dpi)
    if source != "JPEG":
        return data
    resources = (
        pictures.image_resource(0x03ED, struct.pack(">I4xI4x", 72 << 16, 72 << 16)),
        pictures.image_resource(0x0404, records),
        pictures.image_resource(0x040C, bytes(28) + pictures.small_jpeg()),
    )
    return pictures.with_segments(
        data, [pictures.photoshop_segment(*resources), (0xFFFE, COMMENT.encode())]
    )


def exiftool_tags(folder: Path, *options: str) -> dict[str, dict[str, Any]]:
    """What exiftool reads from every file of a folder, by file name, in one call."""
    answer = exiftool("-j", "-G1", "-struct", "-n", "-r", *options, folder)
    return {Path(tags["SourceFile"]).name: tags for tags in json.loads(answer)}


def serious(tags: dict[str, Any]) -> list[str]:
    """The warnings and errors that exiftool itself does not call minor."""
    return [
        str(text)
        for key, text in tags.items()
        if key.endswith((":Warning", ":Error")) and not str(text).startswith("[minor]")
    ]


def comment_of(data: bytes) -> str | None:
    """The comment as Pillow returns it."""
    image = opened(data)
    comment = image.info.get("Comment" if image.format == "PNG" else "comment")
    return comment.decode() if isinstance(comment, bytes) else comment


def small_tiff(order: pictures.Order, more: list[pictures.Field]) -> bytes:
    """A grey TIFF of 4 x 4 pixels, made byte by byte, with more tags."""
    short, long = order + "H", order + "I"
    fields: list[pictures.Field] = [
        (0x0100, 3, struct.pack(short, 4)),
        (0x0101, 3, struct.pack(short, 4)),
        (0x0102, 3, struct.pack(short, 8)),
        (0x0103, 3, struct.pack(short, 1)),
        (0x0106, 3, struct.pack(short, 1)),
        (0x0111, 4, struct.pack(long, 8)),
        (0x0117, 4, struct.pack(long, 16)),
        *more,
    ]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(long, 24)
    return head + bytes(range(0, 256, 16)) + pictures.directory(order, fields, 24)
