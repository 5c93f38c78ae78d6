"""Metadata in places that only some formats have."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image
from toolkit import pictures
from toolkit.metadata import (
    COMMENT,
    SIZE,
    comment_of,
    exif_of,
    exiftool_tags,
    full,
    made,
    serious,
    small_tiff,
    with_exiftool,
    xmp_of,
)
from toolkit.pictures import opened

# Places that only some formats have


def test_exif_stored_by_imagemagick_in_a_png_is_found(tmp_path: Path) -> None:
    """A zTXt chunk with the block in hexadecimal digits."""
    block = b"Exif\0\0" + pictures.exif_block(orientation=6).block
    text = f"\nexif\n{len(block):8}\n{block.hex()}\n".encode()
    body = b"Raw profile type exif\0\0" + zlib.compress(text)
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body
    chunk += struct.pack(">I", zlib.crc32(b"zTXt" + body))
    plain = pictures.saved(pictures.stored(pictures.quarters(*SIZE), 6), "PNG")
    result = made(tmp_path, plain[:33] + chunk + plain[33:], ".png", format="jpeg")
    image = opened(result.data)
    assert (image.size, pictures.corners(image)) == (SIZE, pictures.UPRIGHT)
    assert image.getexif()[0x0110] == pictures.MODEL


def test_metadata_after_the_pixels_of_a_png_are_found(tmp_path: Path) -> None:
    block = pictures.exif_block(orientation=6).block
    data = pictures.saved(pictures.stored(pictures.quarters(*SIZE), 6), "PNG", exif=block)
    at = data.index(b"eXIf") - 4
    length = struct.unpack(">I", data[at : at + 4])[0] + 12
    chunk, end = data[at : at + length], data.rindex(b"IEND") - 4
    moved = data[:at] + data[at + length : end] + chunk + data[end:]
    result = made(tmp_path, moved, ".png", format="jpeg")
    assert pictures.corners(opened(result.data)) == pictures.UPRIGHT
    assert opened(result.data).getexif()[0x0110] == pictures.MODEL


def test_tiff_layout_is_not_taken_for_metadata(tmp_path: Path) -> None:
    """Strips, sizes and compression in EXIF would be those of another file."""
    data = pictures.saved(pictures.quarters(*SIZE), "TIFF", compression="tiff_lzw", artist="Ada")
    exif = opened(made(tmp_path, data, ".tif", format="jpeg", sizes=["32"]).data).getexif()
    assert exif[0x013B] == "Ada"
    assert not {0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x0111, 0x0117} & set(exif)


def test_layout_of_another_file_does_not_break_a_tiff(tmp_path: Path) -> None:
    """Tiles and subdirectories, as in the EXIF of a JPEG made from a raw file."""
    number = struct.pack("<I", 16)
    fields = [(tag, 4, number) for tag in (0x0142, 0x0143, 0x0144, 0x0145, 0x014A, 0x0153)]
    block = pictures.tiff_header("<")
    block += pictures.directory("<", [*fields, (0x0110, 2, pictures.text(pictures.MODEL))], 8)
    data = pictures.with_metadata(pictures.quarters(*SIZE), "JPEG", exif=block)
    image = opened(made(tmp_path, data, format="tiff").data)
    assert (image.size, pictures.corners(image)) == (SIZE, pictures.UPRIGHT)
    assert image.getexif()[0x0110] == pictures.MODEL
    assert not {tag for tag, _, _ in fields} & set(image.getexif())


# TIFFs of every kind


def big_tiff() -> bytes:
    """The same as a BigTIFF, whose counts and offsets have 8 bytes, with a name in it."""
    name = pictures.text(pictures.ARTIST)
    values: list[tuple[int, int, int, bytes]] = [
        (0x0100, 3, 1, struct.pack("<H", 4)),
        (0x0101, 3, 1, struct.pack("<H", 4)),
        (0x0102, 3, 1, struct.pack("<H", 8)),
        (0x0103, 3, 1, struct.pack("<H", 1)),
        (0x0106, 3, 1, struct.pack("<H", 1)),
        (0x0111, 16, 1, struct.pack("<Q", 16)),
        (0x0117, 16, 1, struct.pack("<Q", 16)),
        (0x013B, 2, len(name), struct.pack("<Q", 32 + 8 + 9 * 20 + 8)),
        (0xC7A1, 16, 1, struct.pack("<Q", 77)),
    ]
    cells = b"".join(
        struct.pack("<HHQ", tag, kind, count) + data.ljust(8, b"\0")
        for tag, kind, count, data in values
    )
    head = b"II+\0" + struct.pack("<HHQ", 8, 0, 32)
    pixels = bytes(range(0, 256, 16))
    return head + pixels + struct.pack("<Q", 9) + cells + bytes(8) + name


@pytest.mark.parametrize("target", ["jpeg", "tiff"])
def test_bigtiff_tags_are_carried(tmp_path: Path, target: str) -> None:
    exif = opened(made(tmp_path, big_tiff(), ".tif", format=target, sizes=["2"]).data).getexif()
    assert exif[0x013B] == pictures.ARTIST
    assert exif[0xC7A1] == 77


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5, 6, 7, 9, 12])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tag_of_an_unexpected_type_is_carried_unchanged(
    tmp_path: Path, order: pictures.Order, kind: int
) -> None:
    """Whatever type a careless program gave the artist, another file gets the same bytes."""
    value = bytes(range(65, 81))
    width = {3: 2, 4: 4, 5: 4, 9: 4, 12: 8}.get(kind, 1)
    data = small_tiff(order, [(0x013B, 2, value)])
    at = data.index(struct.pack(order + "HHI", 0x013B, 2, 16))
    count = 16 // (8 if kind == 5 else width)
    data = data[:at] + struct.pack(order + "HHI", 0x013B, kind, count) + data[at + 8 :]
    after = made(tmp_path, data, ".tif", format="tiff", sizes=["2"]).data
    native = value
    if order == ">":
        native = b"".join(value[i : i + width][::-1] for i in range(0, 16, width))
    assert after[:2] == b"II"
    assert native in after
    assert struct.pack("<HHI", 0x013B, kind, count) in after


@pytest.mark.parametrize("target", ["jpeg", "tiff"])
def test_tag_of_an_unknown_type_is_reported(tmp_path: Path, target: str) -> None:
    """Its length is unknown."""
    fields: list[pictures.Field] = [
        (0x0110, 2, pictures.text(pictures.MODEL)),
        (0xFFF0, 7, b"abcd"),
    ]
    block = pictures.tiff_header("<") + pictures.directory("<", fields, 8)
    block = block.replace(struct.pack("<HHI", 0xFFF0, 7, 4), struct.pack("<HHI", 0xFFF0, 99, 4))
    data = pictures.with_metadata(pictures.quarters(), "JPEG", exif=block)
    result = made(tmp_path, data, format=target, sizes=["32"])
    assert result.warnings == ["metadata-dropped"]
    assert opened(result.data).getexif()[0x0110] == pictures.MODEL


def test_pages_keep_the_metadata_of_the_first(tmp_path: Path) -> None:
    tags = Image.Exif()
    tags[0x013B] = pictures.ARTIST
    pages = [Image.fromarray(pictures.quarters(40 + 8 * number, 24)) for number in range(3)]
    data = pictures.saved(
        pages[0], "TIFF", exif=tags, save_all=True, append_images=pages[1:], compression="tiff_lzw"
    )
    result = made(tmp_path, data, ".tif", format="tiff", compression="deflate")
    image: Any = opened(result.data)
    assert image.getexif()[0x013B] == pictures.ARTIST
    assert image.n_frames == 3
    for number in range(3):
        image.seek(number)
        assert image.size == (40 + 8 * number, 24)
        assert pictures.corners(image) == pictures.UPRIGHT


# What is behind the picture


def second_picture() -> bytes:
    return pictures.saved(pictures.scene(24, 16), "JPEG")


VIDEO: Final = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(64)

GAIN_MAP_XMP: Final = (
    'hdrgm:Version="1.0" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"',
    '<Container:Directory xmlns:Container="http://ns.google.com/photos/1.0/container/" '
    'xmlns:Item="http://ns.google.com/photos/1.0/container/item/"><rdf:Seq><rdf:li '
    'rdf:parseType="Resource"><Container:Item Item:Semantic="GainMap" Item:Length="99"/>'
    "</rdf:li></rdf:Seq></Container:Directory>",
)

_GCAMERA: Final = 'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/"'
MOTION_XMP: Final = (f'GCamera:MotionPhoto="1" GCamera:SpecialTypeID="x" {_GCAMERA}', "")
MICRO_XMP: Final = (f'GCamera:MicroVideo="1" GCamera:MicroVideoOffset="96" {_GCAMERA}', "")
ELEMENT_XMP: Final = ("", f"<GCamera:MotionPhoto {_GCAMERA}>1</GCamera:MotionPhoto>")


def with_behind(told: tuple[str, str], behind: bytes) -> bytes:
    """A photograph whose XMP has more attributes and elements, followed by further bytes."""
    attributes, elements = told
    packet = pictures.xmp_packet().replace(
        b'xmp:Rating="4"', f'xmp:Rating="4" {attributes}'.encode()
    )
    packet = packet.replace(b"<dc:creator>", f"{elements}<dc:creator>".encode())
    block = pictures.exif_block(orientation=1).block
    return pictures.with_metadata(pictures.quarters(), "JPEG", exif=block, xmp=packet) + behind


@pytest.mark.parametrize(
    ("told", "behind", "warnings"),
    [
        pytest.param(GAIN_MAP_XMP, second_picture(), ["gain-map-dropped"], id="gain map"),
        pytest.param(GAIN_MAP_XMP, b"", [], id="no gain map any more"),
        pytest.param(MOTION_XMP, VIDEO, ["video-dropped"], id="motion photo"),
        pytest.param(MICRO_XMP, VIDEO, ["video-dropped"], id="micro video"),
        pytest.param(MOTION_XMP, b"", [], id="no video any more"),
        pytest.param((MOTION_XMP[0].replace('"1"', '"0"'), ""), VIDEO, [], id="not told"),
        pytest.param(("", ""), b"", [], id="nothing"),
    ],
)
@pytest.mark.parametrize("target", ["jpeg", "webp"])
def test_data_after_the_picture_are_dropped_with_a_warning_and_removed_from_xmp(
    tmp_path: Path, told: tuple[str, str], behind: bytes, warnings: list[str], target: str
) -> None:
    result = made(tmp_path, with_behind(told, behind), format=target, sizes=["32"])
    assert result.warnings == warnings
    packet = xmp_of(result.data)
    assert pictures.XMP_RIGHTS in packet
    for gone in ("hdrgm:Version", "<Container:", " Item:", ":MotionPhoto", ":MicroVideo"):
        assert gone not in packet
    assert ("SpecialTypeID" in packet) == ("SpecialTypeID" in told[0])


def test_motion_photo_declared_by_an_element_is_recognised(tmp_path: Path) -> None:
    result = made(tmp_path, with_behind(ELEMENT_XMP, VIDEO), sizes=["32"])
    assert result.warnings == ["video-dropped"]


def test_unblurred_picture_inside_xmp_is_dropped(tmp_path: Path) -> None:
    """Some phones keep the sharp picture and a depth map in extended XMP."""
    attributes = (
        'GImage:Mime="image/jpeg" GImage:Data="U0VDUkVU" '
        'xmlns:GImage="http://ns.google.com/photos/1.0/image/"'
    )
    result = made(tmp_path, with_behind((attributes, ""), b""), sizes=["32"])
    assert result.warnings == ["gain-map-dropped"]
    assert b"U0VDUkVU" not in result.data


# Places of other formats


@pytest.mark.parametrize("target", ["jpeg", "jpeg2000"])
def test_jpeg_2000_carries_everything_except_a_profile(tmp_path: Path, target: str) -> None:
    """In boxes for any use, identified by a UUID."""
    first = made(tmp_path, full("JPEG"), format="jpeg2000")
    block = pictures.exif_block(orientation=6)
    assert first.data[first.data.index(b"JpgTiffExif->JP2") + 16 :][
        block.maker_note_at :
    ].startswith(block.maker_note)
    second = made(tmp_path, first.data, ".jp2", format=target, sizes=["48"])
    assert (first.warnings, second.warnings) == ([], [])
    clean = made(tmp_path, first.data, ".jp2", format=target, metadata="no-gps")
    assert pictures.traces_of_position(clean.data) == []


@pytest.mark.slow
@with_exiftool
@pytest.mark.parametrize("target", ["jpeg", "jpeg2000"])
def test_exiftool_reads_jpeg_2000_metadata(tmp_path: Path, target: str) -> None:
    first = made(tmp_path, full("JPEG"), format="jpeg2000")
    second = made(tmp_path, first.data, ".jp2", format=target, sizes=["48"])
    tags = exiftool_tags(second.path.parent)[second.path.name]
    told = {
        "IFD0:Model": pictures.MODEL,
        "IFD0:XResolution": 300,
        "ExifIFD:ExifImageWidth": 48,
        "XMP-dc:Rights": pictures.XMP_RIGHTS,
        "XMP-tiff:ImageWidth": 48,
        "IPTC:By-line": pictures.BY_LINE,
    }
    assert {key: tags.get(key) for key in told} == told
    assert comment_of(second.data) == COMMENT
    assert serious(tags) == []


def test_heic_carries_exif_and_xmp(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif")
    first = made(tmp_path, full("JPEG"), format="heif", sizes=["48"])
    assert first.warnings == ["metadata-dropped"]
    block = pictures.exif_block(orientation=6)
    assert block.maker_note in first.data
    second = made(tmp_path, first.data, ".heic", format="jpeg")
    image = opened(second.data)
    assert second.warnings == []
    assert (image.size, pictures.corners(image)) == ((48, 32), pictures.UPRIGHT)
    assert image.getexif()[0x0110] == pictures.MODEL
    assert image.info["dpi"] == (300, 300)
    assert exif_of(second.data)[block.maker_note_at :].startswith(block.maker_note)
    assert pictures.XMP_RIGHTS in xmp_of(second.data)


def test_xmp_in_a_gif_is_found(tmp_path: Path) -> None:
    """Stored raw in an application extension, with a trailer that ends it for any reader."""
    plain = pictures.saved(pictures.quarters(), "GIF")
    at = 13 + 3 * (2 << (plain[10] & 7))
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    extension = b"\x21\xff\x0bXMP DataXMP" + pictures.xmp_packet() + trailer
    result = made(tmp_path, plain[:at] + extension + plain[at:], ".gif", format="png")
    assert pictures.XMP_RIGHTS in xmp_of(result.data)
    assert result.warnings == []
    result = made(tmp_path, plain[:at] + extension + plain[at:], ".gif", sizes=["32"])
    assert result.warnings == ["metadata-dropped"]
