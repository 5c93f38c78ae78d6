"""Metadata that are broken, too long, or that the format cannot hold: a warning, not a failure."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from toolkit import pictures
from toolkit.metadata import (
    NOT_HOLDING,
    SIZE,
    SUFFIXES,
    exif_of,
    made,
    photo,
    small_tiff,
    to_each,
    xmp_of,
)
from toolkit.pictures import opened

import imgbatch
from imgbatch.imaging import decode

# What does not fit


@pytest.mark.parametrize("target", NOT_HOLDING)
def test_format_that_cannot_hold_metadata_warns(tmp_path: Path, target: str) -> None:
    result = made(tmp_path, photo(), format=target)
    assert result.warnings == ["metadata-dropped"]
    assert pictures.MODEL.encode() not in result.data
    assert pictures.XMP_RIGHTS.encode() not in result.data


@pytest.mark.parametrize("target", NOT_HOLDING)
def test_nothing_to_drop_gives_no_warning(tmp_path: Path, target: str) -> None:
    plain = pictures.saved(pictures.quarters(), "JPEG", dpi=(300, 300))
    assert made(tmp_path, plain, format=target).warnings == []
    assert made(tmp_path, photo(), format=target, metadata="none").warnings == []


@pytest.mark.parametrize(
    ("too_long", "warnings"), [(0, []), (1, ["metadata-dropped"]), (8_000, ["metadata-dropped"])]
)
@pytest.mark.parametrize("tag", [0x927C, 0xFFF0])
def test_exif_too_long_for_a_jpeg_loses_maker_notes_first_with_a_warning(
    tmp_path: Path, too_long: int, warnings: list[str], tag: int
) -> None:
    def block(filler: int) -> bytes:
        more: list[pictures.Field] = [(tag, 7, b"\1" * filler)]
        return pictures.exif_block(
            orientation=1, size=(64, 48), maker_note=False, thumbnail=b"", more=more
        ).block

    # A segment holds 65,533 bytes, six of which are the identifier Exif. Values have even offsets.
    room = 65_533 - 6
    exif = block(room - len(block(10)) + 10 - room % 2 + too_long + too_long % 2)
    assert (len(exif) > room) == (too_long > 0)
    data = pictures.with_metadata(
        pictures.quarters(), "PNG", exif=exif, xmp=pictures.xmp_packet(), dpi=(300, 300)
    )
    result = made(tmp_path, data, ".png", format="jpeg")
    assert result.warnings == warnings
    if too_long == 0:
        assert exif_of(result.data) == exif
    elif tag == 0x927C:
        after = opened(result.data).getexif()
        assert (after[0x0110], after.get_ifd(0x8769)[0x9003]) == (pictures.MODEL, pictures.TAKEN)
        assert [float(one) for one in after.get_ifd(0x8825)[2]] == [48, 51, 29.6621]
        assert tag not in after.get_ifd(0x8769)
    else:
        assert exif_of(result.data) == b""
    assert pictures.XMP_RIGHTS in xmp_of(result.data)


@pytest.mark.parametrize("padding", [0, 1, 9_000])
def test_padding_does_not_make_xmp_too_long_for_a_jpeg(tmp_path: Path, padding: int) -> None:
    packet = pictures.xmp_packet()
    # The segment begins with an identifier of 29 bytes.
    packet += b" " * (65_533 - 29 - len(packet) + padding)
    data = pictures.with_metadata(
        pictures.quarters(), "PNG", exif=pictures.exif_block(orientation=1).block, xmp=packet
    )
    result = made(tmp_path, data, ".png", format="jpeg")
    assert result.warnings == []
    assert pictures.XMP_RIGHTS in xmp_of(result.data)
    assert b"xmp/extension" not in result.data
    assert "HasExtendedXMP" not in xmp_of(result.data)


def extended_packet(length: int) -> bytes:
    """A packet with a description too long for one segment, and the lens as attribute."""
    words = "".join(f"{number:07d} " for number in range(length // 8))
    return pictures.xmp_packet(gps="attributes").replace(
        b"<dc:creator>",
        f"<dc:description><rdf:Alt><rdf:li xml:lang='x-default'>{words}</rdf:li></rdf:Alt>"
        "</dc:description><dc:creator>".encode(),
    )


@pytest.mark.parametrize("target", ["jpeg", "png", "webp"])
def test_long_xmp_survives_a_jpeg_round_trip(tmp_path: Path, target: str) -> None:
    """In several segments: the extended XMP of Adobe's specification, part 3, 1.1.3.1."""
    packet = extended_packet(150_000)
    first = made(
        tmp_path,
        pictures.with_metadata(pictures.quarters(), "PNG", xmp=packet),
        ".png",
        format="jpeg",
    )
    assert first.warnings == []
    assert first.data.count(b"http://ns.adobe.com/xmp/extension/\0") == 3
    standard = xmp_of(first.data)
    assert pictures.XMP_RIGHTS in standard
    assert "0000100" not in standard
    second = made(tmp_path, first.data, format=target, sizes=["32"])
    assert second.warnings == []
    if target != "jpeg":
        assert b"HasExtendedXMP" not in second.data
        assert f"{150_000 // 8 - 1:07d} </rdf:li>" in xmp_of(second.data)
    assert second.data.count(b"http://ns.adobe.com/xmp/extension/\0") == 3 * (target == "jpeg")
    clean = made(tmp_path, first.data, format=target, metadata="no-gps")
    assert pictures.traces_of_position(clean.data) == []


def test_incomplete_extended_xmp_is_reported(tmp_path: Path) -> None:
    source = pictures.with_metadata(pictures.quarters(), "PNG", xmp=extended_packet(150_000))
    data = made(tmp_path, source, ".png", format="jpeg").data
    at = data.rindex(b"http://ns.adobe.com/xmp/extension/\0")
    (length,) = struct.unpack(">H", data[at - 2 : at])
    result = made(tmp_path, data[: at - 4] + data[at - 2 + length :], format="webp")
    assert result.warnings == ["metadata-dropped"]
    assert pictures.XMP_RIGHTS in xmp_of(result.data)
    assert "0000100" not in xmp_of(result.data)


# What is broken


@pytest.mark.slow
@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "exif",
    [
        pytest.param(b"II*\0garbage", id="garbage"),
        pytest.param(pictures.exif_block(orientation=1).block[:21], id="cut short"),
        pytest.param(
            b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x8769, 4, 1, 8, 0), id="circle"
        ),
        pytest.param(b"no TIFF header", id="no header"),
    ],
)
@to_each
def test_broken_exif_is_dropped_with_a_warning_and_the_picture_is_made(
    tmp_path: Path, source: str, exif: bytes, target: str
) -> None:
    pixels = pictures.quarters(*SIZE)
    data = pictures.saved(pixels, source, exif=b"Exif\0\0" + exif if source == "JPEG" else exif)
    result = made(tmp_path, data, SUFFIXES[source], format=target)
    image = opened(result.data)
    assert result.warnings == ["exif-broken"]
    assert (image.size, pictures.corners(image)) == (SIZE, pictures.UPRIGHT)
    assert exif_of(result.data) == b""


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(b"<broken Orientation", id="no XML"),
        pytest.param(b'<!DOCTYPE a><a tiff:Orientation="6"/>', id="document type"),
        pytest.param(b"<a>" * 4_000 + b"Orientation" + b"</a>" * 4_000, id="deep"),
        pytest.param(pictures.xmp_packet(gps="attributes").decode().encode("utf-16"), id="UTF-16"),
    ],
)
@pytest.mark.parametrize("policy", ["all", "no-gps", "copyright"])
def test_broken_xmp_packet_is_dropped_with_a_warning(
    tmp_path: Path, packet: bytes, policy: str
) -> None:
    data = pictures.with_metadata(
        pictures.quarters(), "JPEG", exif=pictures.exif_block(orientation=1).block, xmp=packet
    )
    result = made(tmp_path, data, metadata=policy)
    assert result.warnings == ["metadata-dropped"]
    assert xmp_of(result.data) == ""
    assert opened(result.data).getexif()[0x013B] == pictures.ARTIST


@pytest.mark.slow
@to_each
def test_mutated_exif_never_fails_a_file(tmp_path: Path, target: str) -> None:
    """Whatever a damaged EXIF block holds, the picture is made."""
    whole = pictures.exif_block("<", orientation=1, thumbnail=b"t" * 40).block
    pixels = pictures.quarters(16, 16)
    random = np.random.default_rng(11)
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(60):
        block = bytearray(whole)
        for at in random.integers(8, 300, size=2):
            block[at] = random.integers(0, 256)
        # A different type for one tag, as a careless program writes it.
        block[10 + 12 * int(random.integers(0, 12)) + 2] = random.integers(1, 13)
        data = pictures.with_metadata(pixels, "JPEG", exif=bytes(block), dpi=(72, 72))
        (photos / f"{number}.jpg").write_bytes(data)
    recipe = imgbatch.Recipe.from_options(format=target, metadata="no-gps")
    results = list(imgbatch.run(recipe, [photos], output=tmp_path / "output", jobs=1))
    assert [result.failure for result in results if result.failure] == []
    assert len(results) == 60


@pytest.mark.slow
def test_mutated_tag_never_fails_a_tiff(tmp_path: Path) -> None:
    pixels = pictures.quarters(16, 16)
    tags = Image.Exif()
    tags[0x013B], tags[0x8298], tags[0x0131], tags[0x011A] = "Ada Licht", "mine", "Testa", 300.0
    data = pictures.saved(pixels, "TIFF", exif=tags)
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    photos = tmp_path / "photos"
    photos.mkdir()
    for at in range(first + 2, first + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, at)[0] in (0x013B, 0x8298, 0x0131, 0x011A):
            for kind in range(1, 14):
                mutated = data[: at + 2] + struct.pack("<H", kind) + data[at + 4 :]
                (photos / f"{at}-{kind}.tif").write_bytes(mutated)
    for target in ("jpeg", "tiff"):
        recipe = imgbatch.Recipe.from_options(format=target)
        results = list(imgbatch.run(recipe, [photos], output=tmp_path / target, jobs=1))
        assert len(results) == 4 * 13
        assert [result.failure for result in results if result.failure] == []
        for result in results:
            image = Image.open(result.written[0].path)
            assert pictures.corners(image) == pictures.UPRIGHT


# Blocks that Pillow falls over


def test_jpeg_whose_exif_pillow_cannot_parse_is_opened(tmp_path: Path) -> None:
    """Without JFIF, Pillow looks for the resolution in EXIF, where there is an empty text."""
    plain = pictures.saved(pictures.stored(pictures.quarters(*SIZE), 6), "JPEG", quality=95)
    (length,) = struct.unpack(">H", plain[4:6])
    assert plain[2:4] == b"\xff\xe0"
    fields: list[pictures.Field] = [
        (0x0110, 2, pictures.text(pictures.MODEL)),
        (0x0112, 3, struct.pack("<H", 6)),
        (0x011A, 2, b"\0"),
        (0x0128, 3, struct.pack("<H", 2)),
    ]
    block = pictures.tiff_header("<") + pictures.directory("<", fields, 8)
    data = pictures.with_segments(plain[:2] + plain[4 + length :], [(0xFFE1, b"Exif\0\0" + block)])
    with pytest.raises(UnidentifiedImageError):
        Image.open(BytesIO(data))
    result = made(tmp_path, data, sizes=["48"])
    image = opened(result.data)
    assert (image.size, pictures.corners(image)) == ((48, 32), pictures.UPRIGHT)
    assert image.getexif()[0x0110] == pictures.MODEL
    assert result.warnings == []


def test_avif_whose_exif_pillow_cannot_parse_is_opened(tmp_path: Path) -> None:
    block = pictures.exif_block(orientation=None).block
    data = pictures.saved(pictures.quarters(*SIZE), "AVIF", exif=block)
    at = data.index(b"II*\0")
    data = data[:at] + b"XX" + data[at + 2 :]
    with pytest.raises(Exception):  # noqa: B017, PT011 - Pillow has no one kind for it.
        Image.open(BytesIO(data))
    result = made(tmp_path, data, ".avif", format="png")
    assert result.warnings == ["exif-broken"]
    assert pictures.corners(opened(result.data)) == pictures.UPRIGHT


@pytest.mark.parametrize("again", [True, False])
def test_second_exif_block_is_reported_but_not_the_rest_of_a_first(
    tmp_path: Path, again: bool
) -> None:
    block = pictures.exif_block(orientation=1).block
    second = b"Exif\0\0" + (pictures.exif_block(">").block if again else block[300:])
    first = b"Exif\0\0" + (block if again else block[:300])
    plain = pictures.saved(pictures.quarters(*SIZE), "JPEG")
    data = pictures.with_segments(plain, [(0xFFE1, first), (0xFFE1, second)])
    result = made(tmp_path, data, sizes=["48"])
    assert result.warnings == (["metadata-dropped"] if again else [])
    exif = opened(result.data).getexif()
    assert exif.get_ifd(0x8769)[0x9003] == pictures.TAKEN
    assert exif_of(result.data).count(b"TESTA\0") == 1


@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_exif_in_a_webp_with_and_without_its_identifier(tmp_path: Path, prefix: bytes) -> None:
    block = pictures.exif_block(orientation=6).block
    data = pictures.saved(
        pictures.stored(pictures.quarters(*SIZE), 6), "WEBP", lossless=True, exif=block
    )
    at = data.index(b"EXIF")
    body = prefix + block + b"\0" * (len(prefix + block) % 2)
    chunk = b"EXIF" + struct.pack("<I", len(prefix + block)) + body
    data = data[:at] + chunk
    data = b"RIFF" + struct.pack("<I", len(data) - 8) + data[8:]
    image = opened(made(tmp_path, data, ".webp", format="jpeg").data)
    assert (image.size, pictures.corners(image)) == (SIZE, pictures.UPRIGHT)
    assert image.getexif()[0x0110] == pictures.MODEL


def test_xmp_orientation_is_ignored_where_the_container_has_its_own(tmp_path: Path) -> None:
    """ISO 23008-12 has a property for orientation, which Pillow writes for that in EXIF."""
    data = pictures.with_metadata(
        pictures.stored(pictures.quarters(*SIZE), 6),
        "AVIF",
        exif=pictures.exif_block(orientation=6).block,
        xmp=pictures.xmp_packet(orientation=3),
    )
    assert b"irot" in data
    image = opened(made(tmp_path, data, ".avif", format="png").data)
    assert (image.size, pictures.corners(image)) == (SIZE, pictures.UPRIGHT)


@pytest.mark.parametrize("place", ["eXIf", "raw"])
def test_png_header_is_read_without_its_pixels(tmp_path: Path, place: str) -> None:
    block = pictures.exif_block(orientation=6).block
    options: dict[str, Any] = {"exif": block}
    if place == "raw":
        options = {"pnginfo": PngInfo()}
        text = pictures.raw_profile("exif", b"Exif\0\0" + block)
        options["pnginfo"].add_text("Raw profile type exif", text, zip=True)
    data = pictures.saved(pictures.stored(pictures.scene(300, 200), 6), "PNG", **options)
    path = tmp_path / "a.png"
    # Most of the pixels are missing.
    path.write_bytes(data[: data.index(b"IDAT") + 500])
    header = decode.read_header(str(path))
    assert (header.size, header.date, header.camera) == (
        (300, 200),
        pictures.TAKEN,
        pictures.MODEL,
    )


# In a TIFF, where EXIF and IPTC are tags of one directory

IPTC_RECORDS = b"\x1c\2\x50\0\4Mara"


def test_iptc_of_a_tiff_is_kept_if_exif_is_broken(tmp_path: Path) -> None:
    # The directory of EXIF is the first one again.
    circle = (0x8769, 4, struct.pack("<I", 24))
    data = small_tiff("<", [(0x83BB, 7, IPTC_RECORDS), circle])
    result = made(tmp_path, data, ".tif", format="jpeg")
    assert result.warnings == ["metadata-dropped"]
    assert IPTC_RECORDS in result.data


@pytest.mark.parametrize("tag", [0x83BB, 0x8649])
def test_iptc_that_cannot_be_read_is_no_exif_tag(tmp_path: Path, tag: int) -> None:
    data = bytearray(small_tiff("<", [(tag, 7, bytes(12)), (0x9C9B, 1, bytes(4))]))
    at = data.index(struct.pack("<HHI", tag, 7, 12))
    data[at + 8 : at + 12] = struct.pack("<I", 1 << 30)
    assert made(tmp_path, bytes(data), ".tif", format="jpeg").warnings == []


def test_exif_and_iptc_of_a_tiff_have_room_of_their_own(tmp_path: Path) -> None:
    many = 9_000_000
    resources = b"8BIM" + struct.pack(">HBxI", 0x040F, 0, many) + bytes(many)
    tags = [(0x8649, 7, resources), (0x9C9B, 1, bytes(many))]
    result = made(tmp_path, small_tiff("<", tags), ".tif", format="png")
    assert result.warnings == []
    assert len(result.data) > many // 1_100
    assert struct.pack("<HHI", 0x9C9B, 1, many) in result.data
