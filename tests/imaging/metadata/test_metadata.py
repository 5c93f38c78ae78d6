"""What a file says about its picture arrives in every format that can hold it, and only that."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from toolkit import pictures, programs
from toolkit.pictures import opened

import imgbatch
from imgbatch.imaging import decode

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

from_each: Final = pytest.mark.parametrize("source", [name.upper() for name in HOLDING])
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
    """One file through the whole program, in this process."""
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
    """A photograph as a camera and a photo program leave it, with all there can be in it."""
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
    """The EXIF block as it stands in a file, b"" if it has none."""
    block = opened(data).info.get("exif", b"")
    assert isinstance(block, bytes)
    return block.removeprefix(b"Exif\0\0")


# Another reader

with_exiftool: Final = pytest.mark.external("exiftool")
IPTC_HOLDING: Final = ("jpeg", "png", "tiff")
COMMENT_HOLDING: Final = ("jpeg", "png")
COMMENT: Final = "Grüße vom Ufer"


def full(source: str) -> bytes:
    """A photograph with everything that its format can hold, and that of one kind twice."""
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


def told_by_exiftool(folder: Path, *options: str) -> dict[str, dict[str, Any]]:
    """What exiftool reads in every file of a folder, by the file's name, in one call."""
    exiftool = programs.path_of("exiftool")
    command = [exiftool, "-j", "-G1", "-struct", "-n", "-r", *options, str(folder)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return {Path(tags["SourceFile"]).name: tags for tags in json.loads(answer.stdout)}


def serious(tags: dict[str, Any]) -> list[str]:
    """The warnings and errors that exiftool does not call minor itself."""
    return [
        str(text)
        for key, text in tags.items()
        if key.endswith((":Warning", ":Error")) and not str(text).startswith("[minor]")
    ]


# Everything, everywhere


@pytest.mark.slow
@from_each
@to_each
def test_exif_is_carried_and_speaks_of_the_new_picture(
    tmp_path: Path, source: str, target: str
) -> None:
    result = made(tmp_path, photo(source), SUFFIXES[source], format=target, sizes=["48"])
    image = opened(result.data)
    assert image.size == (48, 32)
    assert pictures.corners(image) == pictures.UPRIGHT
    exif = image.getexif()
    below, position = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
    assert exif[0x0110] == pictures.MODEL
    assert exif[0x013B] == pictures.ARTIST
    assert exif[0x8298] == pictures.COPYRIGHT
    assert exif.get(0x0112, 1) == 1
    assert below[0x9003] == pictures.TAKEN
    assert float(below[0x829A]) == 1 / 250
    assert (below[0xA002], below[0xA003]) == (48, 32)
    assert [float(number) for number in position[2]] == [48, 51, 29.6621]
    assert position[1] == "N"
    assert result.warnings == []


@pytest.mark.slow
@from_each
@to_each
def test_xmp_is_carried_without_orientation_and_thumbnails(
    tmp_path: Path, source: str, target: str
) -> None:
    result = made(tmp_path, photo(source), SUFFIXES[source], format=target)
    packet = xmp_of(result.data)
    assert 'xmp:Rating="4"' in packet
    assert "Sée &amp; Ufer" in packet
    assert pictures.XMP_RIGHTS in packet
    assert 'exif:GPSLatitude="48,51.494368N"' in packet
    assert "Orientation" not in packet
    assert pictures.XMP_THUMBNAIL not in packet
    assert pictures.corners(opened(result.data)) == pictures.UPRIGHT


@pytest.mark.slow
@from_each
@to_each
def test_the_profile_is_carried_bit_for_bit(tmp_path: Path, source: str, target: str) -> None:
    result = made(tmp_path, photo(source), SUFFIXES[source], format=target, sizes=["48"])
    assert opened(result.data).info["icc_profile"] == ICC


@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("target", ["jpeg", "png", "tiff", "bmp"])
def test_the_resolution_is_carried(tmp_path: Path, source: str, target: str) -> None:
    data = pictures.saved(pictures.quarters(), source, dpi=(240, 120))
    result = made(tmp_path, data, SUFFIXES[source], format=target)
    # PNG and BMP count whole pixels a metre: 240 dpi are 9449 of them, and those 240.005 dpi.
    assert [float(one) for one in opened(result.data).info["dpi"]] == pytest.approx(
        [240, 120], abs=0.02
    )


@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("target", ["jpeg", "png"])
def test_no_resolution_is_made_up(tmp_path: Path, source: str, target: str) -> None:
    data = pictures.saved(pictures.quarters(), source)
    result = made(tmp_path, data, SUFFIXES[source], format=target)
    assert "dpi" not in opened(result.data).info


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("target", ["jpeg", "png", "webp", "avif"])
def test_maker_notes_stay_bit_for_bit_at_their_place(
    tmp_path: Path, target: str, order: pictures.Order
) -> None:
    block = pictures.exif_block(order)
    after = exif_of(made(tmp_path, photo(exif=block.block), format=target, sizes=["48"]).data)
    assert after[block.maker_note_at :].startswith(block.maker_note)


@to_each
def test_the_old_thumbnail_is_in_no_output(tmp_path: Path, target: str) -> None:
    """It still shows what was cropped away."""
    secret = pictures.saved(pictures.scene(40, 30), "JPEG", quality=75)
    data = photo(exif=pictures.exif_block(thumbnail=secret).block)
    assert secret in data
    result = made(tmp_path, data, format=target)
    scan = secret[secret.index(b"\xff\xda") :]
    assert not any(scan[at : at + 24] in result.data for at in range(0, len(scan) - 24, 8))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_is_applied_and_reset(
    tmp_path: Path, orientation: int, order: pictures.Order
) -> None:
    block = pictures.exif_block(order, orientation=orientation).block
    result = made(tmp_path, photo(exif=block, orientation=orientation), sizes=["48"])
    image = opened(result.data)
    assert (image.size, pictures.corners(image)) == ((48, 32), pictures.UPRIGHT)
    assert image.getexif()[0x0112] == 1


# Orientation in two places


@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_xmp_alone_can_tell_the_orientation(tmp_path: Path, source: str, orientation: int) -> None:
    data = pictures.with_metadata(
        pictures.stored(pictures.quarters(*SIZE), orientation),
        source,
        xmp=pictures.xmp_packet(orientation=orientation),
    )
    result = made(tmp_path, data, SUFFIXES[source], format="png")
    image = opened(result.data)
    assert (image.size, pictures.corners(image)) == (SIZE, pictures.UPRIGHT)
    assert "Orientation" not in xmp_of(result.data)


@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_has_the_last_word_on_orientation(tmp_path: Path, source: str) -> None:
    """An editor that turned the picture reset EXIF and forgot XMP."""
    data = pictures.with_metadata(
        pictures.quarters(*SIZE),
        source,
        exif=pictures.exif_block(orientation=1).block,
        xmp=pictures.xmp_packet(orientation=6),
    )
    result = made(tmp_path, data, SUFFIXES[source], format="png")
    image = opened(result.data)
    assert (image.size, pictures.corners(image)) == (SIZE, pictures.UPRIGHT)


# Less than everything


@pytest.mark.slow
@from_each
@to_each
def test_no_gps_leaves_no_position_in_the_file(tmp_path: Path, source: str, target: str) -> None:
    data = photo(source)
    result = made(tmp_path, data, SUFFIXES[source], format=target, metadata="no-gps")
    assert pictures.traces_of_position(data) != []
    assert pictures.traces_of_position(result.data) == []
    exif = opened(result.data).getexif()
    assert exif[0x0110] == pictures.MODEL
    assert exif.get_ifd(0x8769)[0x9003] == pictures.TAKEN
    assert 0x8825 not in exif
    assert 0x927C not in exif.get_ifd(0x8769)
    packet = xmp_of(result.data)
    assert 'xmp:Rating="4"' in packet
    assert "GPS" not in packet
    assert opened(result.data).info["icc_profile"] == ICC
    assert result.warnings == []


@pytest.mark.parametrize("gps", ["elements", "nested", "drone", "geo"])
def test_no_gps_knows_every_form_of_a_position_in_xmp(tmp_path: Path, gps: pictures.Gps) -> None:
    result = made(tmp_path, photo(gps=gps), metadata="no-gps")
    assert pictures.traces_of_position(result.data) == []
    assert 'xmp:Rating="4"' in xmp_of(result.data)
    assert result.warnings == []


def test_no_gps_drops_a_packet_that_it_cannot_clean_and_says_so(tmp_path: Path) -> None:
    result = made(tmp_path, photo(gps="text"), metadata="no-gps")
    assert pictures.traces_of_position(result.data) == []
    assert xmp_of(result.data) == ""
    assert result.warnings == ["metadata-dropped"]


def test_no_gps_is_not_fooled_by_a_second_exif_segment(tmp_path: Path) -> None:
    first = b"Exif\0\0" + pictures.exif_block(gps=False, maker_note=False).block
    second = b"Exif\0\0" + pictures.exif_block().block
    data = pictures.with_segments(
        pictures.saved(pictures.quarters(), "JPEG"), [(0xFFE1, first), (0xFFE1, second)]
    )
    assert pictures.traces_of_position(made(tmp_path, data, metadata="no-gps").data) == []


@pytest.mark.slow
@from_each
@to_each
def test_copyright_keeps_who_made_it_and_nothing_else(
    tmp_path: Path, source: str, target: str
) -> None:
    data = photo(source)
    result = made(tmp_path, data, SUFFIXES[source], format=target, metadata="copyright")
    exif = opened(result.data).getexif()
    assert (exif[0x013B], exif[0x8298]) == (pictures.ARTIST, pictures.COPYRIGHT)
    packet = xmp_of(result.data)
    assert pictures.XMP_RIGHTS in packet
    assert "<rdf:li>Ada Licht</rdf:li>" in packet
    assert "Rating" not in packet
    assert pictures.traces_of_position(result.data) == []
    for gone in (pictures.MODEL, pictures.TAKEN, "Testa", "2024:05", "GPS", "xmp:Label"):
        assert gone.encode() not in result.data
    info = opened(result.data).info
    assert info["icc_profile"] == ICC
    assert info.get("dpi") != (300, 300)


@pytest.mark.slow
@from_each
@to_each
def test_none_keeps_nothing_but_pixels_and_colours(
    tmp_path: Path, source: str, target: str
) -> None:
    result = made(tmp_path, photo(source), SUFFIXES[source], format=target, metadata="none")
    image = opened(result.data)
    assert image.info["icc_profile"] == ICC
    assert pictures.corners(image) == pictures.UPRIGHT
    assert not {0x0110, 0x013B, 0x8298, 0x8769, 0x8825, 0x0112, 0x02BC} & set(image.getexif())
    assert xmp_of(result.data) == ""
    assert "dpi" not in image.info or target == "tiff"
    for gone in (pictures.MODEL, pictures.TAKEN, pictures.ARTIST, "Licht", "adobe:ns:meta", "GPS"):
        assert gone.encode() not in result.data
    assert result.warnings == []


@pytest.mark.parametrize("policy", ["no-gps", "copyright", "none"])
def test_a_tiffs_own_tags_do_not_slip_past_the_policy(tmp_path: Path, policy: str) -> None:
    """Only the name of the city may stay, unless nothing may: somebody wrote it to be read."""
    tags = Image.Exif()
    tags[0x02BC] = pictures.xmp_packet(gps="attributes")
    tags[0x83BB] = b"\x1c\x02\x5a\x00\x05Paris"
    tags[0x8649] = b"8BIM\x04\x04\x00\x00\x00\x00\x00\x0cPlace: Milan"
    data = pictures.saved(pictures.quarters(), "TIFF", tiffinfo=tags)
    assert b"Paris" in data
    assert b"Milan" in data
    result = made(tmp_path, data, ".tif", metadata=policy)
    assert (b"Paris" in result.data) == (policy == "no-gps")
    assert b"Milan" not in result.data
    assert pictures.traces_of_position(result.data) == []


# What does not fit


@pytest.mark.parametrize("target", NOT_HOLDING)
def test_a_format_that_cannot_hold_metadata_says_so(tmp_path: Path, target: str) -> None:
    result = made(tmp_path, photo(), format=target)
    assert result.warnings == ["metadata-dropped"]
    assert pictures.MODEL.encode() not in result.data
    assert pictures.XMP_RIGHTS.encode() not in result.data


@pytest.mark.parametrize("target", NOT_HOLDING)
def test_nothing_to_drop_is_no_warning(tmp_path: Path, target: str) -> None:
    plain = pictures.saved(pictures.quarters(), "JPEG", dpi=(300, 300))
    assert made(tmp_path, plain, format=target).warnings == []
    assert made(tmp_path, photo(), format=target, metadata="none").warnings == []


@pytest.mark.parametrize(
    ("too_long", "warnings"), [(0, []), (1, ["metadata-dropped"]), (8_000, ["metadata-dropped"])]
)
@pytest.mark.parametrize("tag", [0x927C, 0xFFF0])
def test_exif_too_long_for_a_jpeg_goes_with_a_warning_and_maker_notes_first(
    tmp_path: Path, too_long: int, warnings: list[str], tag: int
) -> None:
    def block(filler: int) -> bytes:
        more: list[pictures.Field] = [(tag, 7, b"\1" * filler)]
        return pictures.exif_block(
            orientation=1, size=(64, 48), maker_note=False, thumbnail=b"", more=more
        ).block

    # A segment holds 65,533 bytes, and six of them are the word Exif. Values begin at even places.
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
    # The segment begins with the 29 bytes of a name.
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
    """A packet with a description that is too long for one segment, and the lens as attribute."""
    words = "".join(f"{number:07d} " for number in range(length // 8))
    return pictures.xmp_packet(gps="attributes").replace(
        b"<dc:creator>",
        f"<dc:description><rdf:Alt><rdf:li xml:lang='x-default'>{words}</rdf:li></rdf:Alt>"
        "</dc:description><dc:creator>".encode(),
    )


@pytest.mark.parametrize("target", ["jpeg", "png", "webp"])
def test_long_xmp_goes_through_a_jpeg_and_back(tmp_path: Path, target: str) -> None:
    """More than one segment: the extended XMP of Adobe's specification, part 3, 1.1.3.1."""
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


def test_extended_xmp_of_which_a_part_is_missing_is_told(tmp_path: Path) -> None:
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
        pytest.param(pictures.exif_block(orientation=1).block[:100], id="cut short"),
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
def test_a_broken_packet_is_dropped_with_a_warning(
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
def test_a_mutated_block_never_fails_a_file(tmp_path: Path, target: str) -> None:
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
        # A different type for one tag: what a careless program writes.
        block[10 + 12 * int(random.integers(0, 12)) + 2] = random.integers(1, 13)
        data = pictures.with_metadata(pixels, "JPEG", exif=bytes(block), dpi=(72, 72))
        (photos / f"{number}.jpg").write_bytes(data)
    recipe = imgbatch.Recipe.from_options(format=target, metadata="no-gps")
    results = list(imgbatch.run(recipe, [photos], output=tmp_path / "output", jobs=1))
    assert [result.failure for result in results if result.failure] == []
    assert len(results) == 60


@pytest.mark.slow
def test_a_mutated_tag_never_fails_a_tiff(tmp_path: Path) -> None:
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


# Places that only some formats have


def test_exif_in_imagemagicks_place_in_a_png_is_found(tmp_path: Path) -> None:
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


def test_metadata_behind_a_pngs_pixels_are_found(tmp_path: Path) -> None:
    block = pictures.exif_block(orientation=6).block
    data = pictures.saved(pictures.stored(pictures.quarters(*SIZE), 6), "PNG", exif=block)
    at = data.index(b"eXIf") - 4
    length = struct.unpack(">I", data[at : at + 4])[0] + 12
    chunk, end = data[at : at + length], data.rindex(b"IEND") - 4
    moved = data[:at] + data[at + length : end] + chunk + data[end:]
    result = made(tmp_path, moved, ".png", format="jpeg")
    assert pictures.corners(opened(result.data)) == pictures.UPRIGHT
    assert opened(result.data).getexif()[0x0110] == pictures.MODEL


def test_a_tiffs_layout_is_not_taken_for_metadata(tmp_path: Path) -> None:
    """Strips, sizes and compression in EXIF would be those of another file."""
    data = pictures.saved(pictures.quarters(*SIZE), "TIFF", compression="tiff_lzw", artist="Ada")
    exif = opened(made(tmp_path, data, ".tif", format="jpeg", sizes=["32"]).data).getexif()
    assert exif[0x013B] == "Ada"
    assert not {0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x0111, 0x0117} & set(exif)


def test_the_layout_of_another_file_does_not_break_a_tiff(tmp_path: Path) -> None:
    """Tiles and subdirectories, as in the EXIF of a JPEG that was made from a raw file."""
    number = struct.pack("<I", 16)
    fields = [(tag, 4, number) for tag in (0x0142, 0x0143, 0x0144, 0x0145, 0x014A, 0x0153)]
    block = pictures.tiff_header("<")
    block += pictures.directory("<", [*fields, (0x0110, 2, pictures.text(pictures.MODEL))], 8)
    data = pictures.with_metadata(pictures.quarters(*SIZE), "JPEG", exif=block)
    image = opened(made(tmp_path, data, format="tiff").data)
    assert (image.size, pictures.corners(image)) == (SIZE, pictures.UPRIGHT)
    assert image.getexif()[0x0110] == pictures.MODEL
    assert not {tag for tag, _, _ in fields} & set(image.getexif())


# Comments and texts


COMMENTED: Final = {
    "JPEG": ("jpeg", ".jpg"),
    "PNG": ("png", ".png"),
    "GIF": ("gif", ".gif"),
    "JPEG2000": ("jpeg2000", ".jp2"),
}
"""The formats that hold a comment, as Pillow names them, with imgbatch's name and a suffix."""


def commented(source: str, comment: str) -> bytes:
    if source == "PNG":
        info = PngInfo()
        info.add_itxt("Comment", comment)
        return pictures.saved(pictures.quarters(), "PNG", pnginfo=info)
    return pictures.saved(pictures.quarters(), source, comment=comment.encode())


def comment_of(data: bytes) -> str | None:
    """The comment as Pillow gives it."""
    image = opened(data)
    comment = image.info.get("Comment" if image.format == "PNG" else "comment")
    return comment.decode() if isinstance(comment, bytes) else comment


@pytest.mark.parametrize("source", COMMENTED)
@pytest.mark.parametrize("target", COMMENTED)
def test_a_comment_is_carried_where_there_is_a_place_for_it(
    tmp_path: Path, source: str, target: str
) -> None:
    data = commented(source, "Grüße vom Ufer: 好")
    result = made(tmp_path, data, COMMENTED[source][1], format=COMMENTED[target][0], sizes=["32"])
    assert comment_of(result.data) == "Grüße vom Ufer: 好"
    assert result.warnings == []


@pytest.mark.parametrize("target", ["webp", "avif", "tiff", "bmp", "ppm"])
def test_a_comment_without_a_place_is_dropped_with_a_warning(tmp_path: Path, target: str) -> None:
    result = made(tmp_path, commented("JPEG", "Grüße"), format=target)
    assert result.warnings == ["metadata-dropped"]
    assert "Grüße".encode() not in result.data


@pytest.mark.parametrize(
    ("policy", "comment", "kept", "warnings"),
    [
        ("all", "at home, 48.858239", True, []),
        ("no-gps", "at home, f/2.8", True, []),
        ("no-gps", "at home, 48.858239", False, ["metadata-dropped"]),
        ("no-gps", "GPS 48 51 29 N", False, ["metadata-dropped"]),
        ("copyright", "at home", False, []),
        ("none", "at home", False, []),
    ],
)
@pytest.mark.parametrize("source", COMMENTED)
def test_policies_and_comments(
    tmp_path: Path, source: str, policy: str, comment: str, kept: bool, warnings: list[str]
) -> None:
    suffix = COMMENTED[source][1]
    result = made(tmp_path, commented(source, comment), suffix, sizes=["32"], metadata=policy)
    assert (comment.encode() in result.data) == kept
    assert result.warnings == warnings


def test_all_comments_of_a_jpeg_are_kept(tmp_path: Path) -> None:
    plain = pictures.saved(pictures.quarters(), "JPEG")
    data = pictures.with_segments(plain, [(0xFFFE, b"one"), (0xFFFE, "zwö".encode("latin-1"))])
    assert comment_of(made(tmp_path, data, format="png").data) == "one\nzwö"


@pytest.mark.parametrize("length", [65_533, 65_534])
def test_a_comment_may_be_too_long_for_a_jpeg(tmp_path: Path, length: int) -> None:
    result = made(tmp_path, commented("PNG", "a" * length), ".png", format="jpeg")
    assert (comment_of(result.data) is None) == (length > 65_533)
    assert result.warnings == (["metadata-dropped"] if length > 65_533 else [])


@pytest.mark.parametrize("signature", ["CREATOR: gd-jpeg v1.0, quality = 90", "Lavc58.91.100"])
def test_an_encoders_signature_is_no_comment(tmp_path: Path, signature: str) -> None:
    result = made(tmp_path, commented("JPEG", signature), format="webp")
    assert result.warnings == []


def test_openjpegs_own_comment_is_none(tmp_path: Path) -> None:
    data = pictures.saved(pictures.quarters(), "JPEG2000")
    assert b"Created by OpenJPEG" in data
    result = made(tmp_path, data, ".jp2", format="png")
    assert (comment_of(result.data), result.warnings) == (None, [])


def texts_of(data: bytes) -> dict[str, str]:
    """A PNG's texts, without its XMP."""
    image: Any = opened(data)
    return {key: str(text) for key, text in image.text.items() if not key.startswith("XML:")}


TEXTS: Final = {
    "Title": "Am Ufer",
    "Author": "Zoë Licht",
    "Copyright": "© 好",
    "Software": "Testa",
    "exif:GPSLatitude": "48/1, 51/1, 29/1",
    "exif:PixelXDimension": "64",
}


def with_texts() -> bytes:
    info = PngInfo()
    for number, (keyword, text) in enumerate(TEXTS.items()):
        if text.isascii():
            info.add_text(keyword, text, zip=number % 2 == 0)
        else:
            info.add_itxt(keyword, text)
    return pictures.saved(pictures.quarters(), "PNG", pnginfo=info)


@pytest.mark.parametrize(
    ("policy", "gone"),
    [
        ("all", {"exif:PixelXDimension"}),
        ("no-gps", {"exif:PixelXDimension", "exif:GPSLatitude"}),
        ("copyright", set(TEXTS) - {"Author", "Copyright"}),
        ("none", set(TEXTS)),
    ],
)
def test_a_pngs_texts_go_into_a_png(tmp_path: Path, policy: str, gone: set[str]) -> None:
    """Without those that repeat the old size."""
    result = made(tmp_path, with_texts(), ".png", sizes=["32"], metadata=policy)
    assert texts_of(result.data) == {key: TEXTS[key] for key in set(TEXTS) - gone}
    assert result.warnings == []


def test_a_pngs_texts_go_nowhere_else_and_that_is_told(tmp_path: Path) -> None:
    assert made(tmp_path, with_texts(), ".png", format="jpeg").warnings == ["metadata-dropped"]
    result = made(tmp_path, with_texts(), ".png", format="jpeg", metadata="none")
    assert result.warnings == []


# IPTC


def test_no_gps_drops_the_caption_that_tells_a_position(tmp_path: Path) -> None:
    records = pictures.iptc_records((120, b"taken at 48.858239, 2.294468"))
    resource = pictures.image_resource(0x0404, records)
    plain = pictures.saved(pictures.quarters(), "JPEG")
    data = pictures.with_segments(plain, [pictures.photoshop_segment(resource)])
    result = made(tmp_path, data, sizes=["32"], metadata="no-gps")
    assert pictures.traces_of_position(result.data) == []
    assert pictures.BY_LINE.encode() in result.data
    assert result.warnings == ["metadata-dropped"]


def test_broken_iptc_is_dropped_with_a_warning(tmp_path: Path) -> None:
    resource = pictures.image_resource(0x0404, b"nonsense, and no records")
    plain = pictures.saved(pictures.quarters(), "JPEG")
    data = pictures.with_segments(plain, [pictures.photoshop_segment(resource)])
    result = made(tmp_path, data, sizes=["32"])
    assert result.warnings == ["metadata-dropped"]
    assert b"nonsense" not in result.data


@pytest.mark.parametrize("target", ["jpeg", "tiff"])
@pytest.mark.parametrize("length", [100, 70_000])
def test_records_are_carried_byte_by_byte_however_long(
    tmp_path: Path, target: str, length: int
) -> None:
    """Photoshop cuts what is too long for one segment; the parts are joined."""
    records = pictures.iptc_records(*((25, b"k" * 1_000),) * (length // 1_000))
    info = PngInfo()
    resources = pictures.image_resource(0x0404, records)
    info.add_text("Raw profile type iptc", pictures.raw_profile("iptc", resources), zip=True)
    data = pictures.saved(pictures.quarters(), "PNG", pnginfo=info)
    first = made(tmp_path, data, ".png", format=target)
    suffix = ".jpg" if target == "jpeg" else ".tif"
    back = opened(made(tmp_path, first.data, suffix, format="png").data)
    digits = str(back.info["Raw profile type iptc"]).split(None, 2)[2]
    assert bytes.fromhex(digits) == resources
    assert (first.data.count(b"Photoshop 3.0\0") == 2) == (target == "jpeg" and length > 65_533)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("turned", [False, True])
def test_records_that_a_tiff_has_as_numbers_are_found(
    tmp_path: Path, order: pictures.Order, turned: bool
) -> None:
    """Some programs write the bytes as LONGs; and a library may turn these round."""
    records = pictures.iptc_records()
    records += b"\0" * (-len(records) % 4)
    if turned:
        numbers = struct.unpack(f"<{len(records) // 4}I", records)
        records = struct.pack(f">{len(numbers)}I", *numbers)
    data = small_tiff(order, [(0x83BB, 4, records)])
    after = made(tmp_path, data, ".tif", format="jpeg").data
    assert pictures.image_resource(0x0404, pictures.iptc_records()) in after


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
def test_the_tags_of_a_bigtiff_are_carried(tmp_path: Path, target: str) -> None:
    exif = opened(made(tmp_path, big_tiff(), ".tif", format=target, sizes=["2"]).data).getexif()
    assert exif[0x013B] == pictures.ARTIST
    assert exif[0xC7A1] == 77


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5, 6, 7, 9, 12])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tag_of_another_type_is_carried_as_it_is(
    tmp_path: Path, order: pictures.Order, kind: int
) -> None:
    """Whatever type a careless program gave the artist: in another file it is the same bytes."""
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


@pytest.mark.parametrize(("target", "warnings"), [("jpeg", []), ("tiff", ["metadata-dropped"])])
def test_a_tag_that_cannot_be_moved_is_told(
    tmp_path: Path, target: str, warnings: list[str]
) -> None:
    """Of an unknown type nobody knows how long it is; in a JPEG it stays where it is."""
    fields: list[pictures.Field] = [
        (0x0110, 2, pictures.text(pictures.MODEL)),
        (0xFFF0, 7, b"abcd"),
    ]
    block = pictures.tiff_header("<") + pictures.directory("<", fields, 8)
    block = block.replace(struct.pack("<HHI", 0xFFF0, 7, 4), struct.pack("<HHI", 0xFFF0, 99, 4))
    data = pictures.with_metadata(pictures.quarters(), "JPEG", exif=block)
    result = made(tmp_path, data, format=target, sizes=["32"])
    assert result.warnings == warnings
    assert opened(result.data).getexif()[0x0110] == pictures.MODEL


def test_pages_keep_what_the_first_one_says(tmp_path: Path) -> None:
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


# Resolution


@pytest.mark.parametrize("target", ["webp", "avif"])
def test_a_resolution_alone_makes_a_small_exif_block_where_that_is_its_place(
    tmp_path: Path, target: str
) -> None:
    data = pictures.saved(pictures.quarters(), "JPEG", dpi=(240, 120))
    result = made(tmp_path, data, format=target)
    exif = opened(result.data).getexif()
    assert (float(exif[0x011A]), float(exif[0x011B]), exif[0x0128]) == (240, 120, 2)
    assert result.warnings == []
    back = made(tmp_path, result.data, SUFFIXES[target.upper()], format="jpeg")
    assert opened(back.data).info["dpi"] == (240, 120)


@pytest.mark.parametrize("target", HOLDING)
@pytest.mark.parametrize("kind", ["in place", "another type", "centimetres"])
def test_exif_agrees_with_the_resolution_that_the_file_tells(
    tmp_path: Path, target: str, kind: str
) -> None:
    block = pictures.exif_block("<", orientation=1).block
    if kind == "another type":
        # As SHORT, in the entry itself.
        at = block.index(struct.pack("<HHI", 0x011A, 5, 1))
        block = block[:at] + struct.pack("<HHIHH", 0x011A, 3, 1, 300, 0) + block[at + 12 :]
    if kind == "centimetres":
        at = block.index(struct.pack("<HHI", 0x0128, 3, 1)) + 8
        block = block[:at] + b"\3\0" + block[at + 2 :]
    data = pictures.with_metadata(pictures.quarters(*SIZE), "JPEG", exif=block, dpi=(96, 72))
    result = made(tmp_path, data, format=target, sizes=["48"])
    exif = opened(result.data).getexif()
    assert (float(exif[0x011A]), float(exif[0x011B]), exif[0x0128]) == (96, 72, 2)
    assert exif[0x0110] == pictures.MODEL
    assert result.warnings == []


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
    """A photograph whose XMP has more attributes and elements, and with bytes behind it."""
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
def test_what_is_behind_the_picture_goes_with_a_warning_and_xmp_forgets_it(
    tmp_path: Path, told: tuple[str, str], behind: bytes, warnings: list[str], target: str
) -> None:
    result = made(tmp_path, with_behind(told, behind), format=target, sizes=["32"])
    assert result.warnings == warnings
    packet = xmp_of(result.data)
    assert pictures.XMP_RIGHTS in packet
    for gone in ("hdrgm:Version", "<Container:", " Item:", ":MotionPhoto", ":MicroVideo"):
        assert gone not in packet
    assert ("SpecialTypeID" in packet) == ("SpecialTypeID" in told[0])


def test_a_motion_photo_told_by_an_element_is_known(tmp_path: Path) -> None:
    result = made(tmp_path, with_behind(ELEMENT_XMP, VIDEO), sizes=["32"])
    assert result.warnings == ["video-dropped"]


def test_the_picture_before_blurring_inside_xmp_is_dropped(tmp_path: Path) -> None:
    """Some phones keep the sharp picture and a map of depths in extended XMP."""
    attributes = (
        'GImage:Mime="image/jpeg" GImage:Data="U0VDUkVU" '
        'xmlns:GImage="http://ns.google.com/photos/1.0/image/"'
    )
    result = made(tmp_path, with_behind((attributes, ""), b""), sizes=["32"])
    assert result.warnings == ["gain-map-dropped"]
    assert b"U0VDUkVU" not in result.data


# Places of other formats


@pytest.mark.parametrize("target", ["jpeg", "jpeg2000"])
def test_a_jpeg_2000_takes_and_gives_everything_but_a_profile(tmp_path: Path, target: str) -> None:
    """In boxes for anybody's use, which are told apart by a UUID."""
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
def test_exiftool_reads_what_a_jpeg_2000_took(tmp_path: Path, target: str) -> None:
    first = made(tmp_path, full("JPEG"), format="jpeg2000")
    second = made(tmp_path, first.data, ".jp2", format=target, sizes=["48"])
    tags = told_by_exiftool(second.path.parent)[second.path.name]
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


def test_heic_takes_and_gives_exif_and_xmp(tmp_path: Path) -> None:
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
    """Unpacked in an application extension, with a trailer that ends it for all readers."""
    plain = pictures.saved(pictures.quarters(), "GIF")
    at = 13 + 3 * (2 << (plain[10] & 7))
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    extension = b"\x21\xff\x0bXMP DataXMP" + pictures.xmp_packet() + trailer
    result = made(tmp_path, plain[:at] + extension + plain[at:], ".gif", format="png")
    assert pictures.XMP_RIGHTS in xmp_of(result.data)
    assert result.warnings == []
    result = made(tmp_path, plain[:at] + extension + plain[at:], ".gif", sizes=["32"])
    assert result.warnings == ["metadata-dropped"]


# Rights that are entered


@pytest.fixture(scope="module")
def with_rights(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, dict[str, Any]], dict[str, bytes]]:
    """What exiftool says of files that were given an artist and a copyright; and their bytes."""
    folder = tmp_path_factory.mktemp("rights")
    output, photos = folder / "output", folder / "photos"
    photos.mkdir()
    (photos / "full.jpg").write_bytes(full("JPEG"))
    (photos / "bare.jpg").write_bytes(pictures.saved(pictures.quarters(), "JPEG"))
    data = {}
    for target in HOLDING:
        for policy in ("all", "no-gps", "copyright", "none"):
            recipe = imgbatch.Recipe.from_options(
                format=target,
                metadata=policy,
                artist=NEW_ARTIST,
                copyright=NEW_COPYRIGHT,
                template=f"{{stem}}-{target}-{policy}{{ext}}",
            )
            for result in imgbatch.run(recipe, [photos], output=output, jobs=1):
                assert result.failure is None, result.failure
                path = Path(result.written[0].path)
                data[path.name] = path.read_bytes()
    return ({} if programs.why_lacking("exiftool") else told_by_exiftool(output)), data


NEW_ARTIST: Final = "Zoë Licht & Søn"
NEW_COPYRIGHT: Final = "© 2026 <Zoë>"


@pytest.mark.slow
@with_exiftool
@pytest.mark.parametrize("policy", ["all", "no-gps", "copyright", "none"])
@pytest.mark.parametrize("source", ["full", "bare"])
@to_each
def test_artist_and_copyright_are_entered_whatever_the_policy(
    target: str,
    source: str,
    policy: str,
    with_rights: tuple[dict[str, dict[str, Any]], dict[str, bytes]],
) -> None:
    tags = with_rights[0][f"{source}-{target}-{policy}{SUFFIXES[target.upper()]}"]
    told = {
        "IFD0:Artist": NEW_ARTIST,
        "IFD0:Copyright": NEW_COPYRIGHT,
        "XMP-dc:Creator": [NEW_ARTIST],
        "XMP-dc:Rights": NEW_COPYRIGHT,
    }
    assert {key: tags.get(key) for key in told} == told
    has_iptc = source == "full" and target in IPTC_HOLDING and policy != "none"
    assert tags.get("IPTC:By-line") == (NEW_ARTIST if has_iptc else None)
    assert tags.get("IPTC:CopyrightNotice") == (NEW_COPYRIGHT if has_iptc else None)
    whole = source == "full" and policy in ("all", "no-gps")
    assert tags.get("IFD0:Model") == (pictures.MODEL if whole else None)
    assert ("GPS:GPSLatitude" in tags) == (whole and policy == "all")
    assert serious(tags) == []


@pytest.mark.parametrize("target", ["jpeg", "png", "webp", "avif"])
def test_maker_notes_stay_at_their_place_when_rights_are_entered(
    target: str, with_rights: tuple[dict[str, dict[str, Any]], dict[str, bytes]]
) -> None:
    block = pictures.exif_block(orientation=6)
    data = with_rights[1][f"full-{target}-all{SUFFIXES[target.upper()]}"]
    after = exif_of(data)
    assert after[block.maker_note_at :].startswith(block.maker_note)
    assert pictures.ARTIST.encode() not in after


@pytest.mark.parametrize("target", NOT_HOLDING)
def test_rights_that_a_format_cannot_hold_are_told(tmp_path: Path, target: str) -> None:
    data = pictures.saved(pictures.quarters(), "JPEG")
    result = made(tmp_path, data, format=target, copyright=NEW_COPYRIGHT, metadata="none")
    assert result.warnings == ["metadata-dropped"]


# The colour space


def colour_spaces(data: bytes) -> tuple[int | None, str | None]:
    """ColorSpace and InteroperabilityIndex."""
    exif = opened(data).getexif()
    below = exif.get_ifd(0x8769)
    index = exif.get_ifd(0xA005).get(1)
    return below.get(0xA001), index


def block_with_space(space: int, index: str) -> bytes:
    more: list[pictures.Field] = [(0xA001, 3, struct.pack("<H", space))]
    block = pictures.exif_block("<", orientation=1, more=more).block
    return block.replace(b"R98\0", index.encode() + b"\0")


@pytest.mark.parametrize("icc", [None, ICC])
@pytest.mark.parametrize(("space", "index"), [(1, "R98"), (0xFFFF, "R98"), (0xFFFF, "THM")])
def test_exif_agrees_with_the_profile_on_the_colour_space(
    tmp_path: Path, icc: bytes | None, space: int, index: str
) -> None:
    data = pictures.with_metadata(
        pictures.quarters(), "JPEG", exif=block_with_space(space, index), icc=icc
    )
    after = colour_spaces(made(tmp_path, data, sizes=["32"]).data)
    if icc is None:
        assert after == (1, index)
    else:
        assert after == (0xFFFF, None if index == "R98" else index)


def test_what_was_adobe_rgb_and_is_now_srgb_says_so(tmp_path: Path) -> None:
    data = pictures.with_metadata(
        pictures.quarters(), "JPEG", exif=block_with_space(0xFFFF, "R03"), icc=ICC
    )
    assert colour_spaces(made(tmp_path, data, profile="srgb").data) == (1, "R98")
    assert colour_spaces(made(tmp_path, data, sizes=["32"]).data) == (0xFFFF, "R03")


# Blocks that Pillow falls over


def test_a_jpeg_that_pillow_cannot_open_for_its_exif_is_opened(tmp_path: Path) -> None:
    """Without JFIF Pillow looks for the resolution in EXIF, where an empty text stands."""
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


def test_an_avif_that_pillow_cannot_open_for_its_exif_is_opened(tmp_path: Path) -> None:
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
def test_a_second_exif_block_is_told_and_the_rest_of_a_first_one_is_not(
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
def test_exif_in_a_webp_with_and_without_its_name(tmp_path: Path, prefix: bytes) -> None:
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


def test_xmp_does_not_turn_what_its_container_has_turned(tmp_path: Path) -> None:
    """ISO 23008-12 has orientation in a property of its own, which Pillow writes for EXIF's."""
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
def test_the_header_of_a_png_is_read_without_its_pixels(tmp_path: Path, place: str) -> None:
    block = pictures.exif_block(orientation=6).block
    options: dict[str, Any] = {"exif": block}
    if place == "raw":
        options = {"pnginfo": PngInfo()}
        text = pictures.raw_profile("exif", b"Exif\0\0" + block)
        options["pnginfo"].add_text("Raw profile type exif", text, zip=True)
    data = pictures.saved(pictures.stored(pictures.scene(300, 200), 6), "PNG", **options)
    path = tmp_path / "a.png"
    # Most of the pixels are not there.
    path.write_bytes(data[: data.index(b"IDAT") + 500])
    header = decode.read_header(str(path))
    assert (header.size, header.date, header.camera) == (
        (300, 200),
        pictures.TAKEN,
        pictures.MODEL,
    )


# The command line


@pytest.mark.slow
def test_the_command_line_applies_the_policy(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(photo())
    command = [sys.executable, "-m", "imgbatch", "convert", str(photos), "-f", "webp", "--quiet"]
    subprocess.run([*command, "--metadata", "no-gps", "-j", "1"], check=True)
    data = (tmp_path / "photos-converted" / "a.webp").read_bytes()
    assert pictures.traces_of_position(data) == []
    assert opened(data).getexif()[0x0110] == pictures.MODEL


@pytest.fixture(scope="module")
def through_all_pairs(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    """What exiftool says of each pair's output, and the kinds of its warnings, by its name."""
    folder = tmp_path_factory.mktemp("pairs")
    photos, output = folder / "photos", folder / "output"
    photos.mkdir()
    for source in HOLDING:
        (photos / f"{source}{SUFFIXES[source.upper()]}").write_bytes(full(source.upper()))
    warnings: dict[str, list[str]] = {}
    for target in HOLDING:
        recipe = imgbatch.Recipe.from_options(
            format=target, sizes=["48"], template=f"{{stem}}-{target}{{ext}}"
        )
        for result in imgbatch.run(recipe, [photos], output=output, jobs=1):
            assert result.failure is None, result.failure
            name = Path(result.written[0].path).name
            warnings[name] = [notice.kind for notice in result.notices]
    return told_by_exiftool(output), warnings


def name_of(source: str, target: str) -> str:
    return f"{source}-{target}{SUFFIXES[target.upper()]}"


@pytest.mark.slow
@with_exiftool
@pytest.mark.parametrize("source", HOLDING)
@to_each
def test_exiftool_reads_the_same(
    source: str,
    target: str,
    through_all_pairs: tuple[dict[str, dict[str, Any]], dict[str, list[str]]],
) -> None:
    tags = through_all_pairs[0][name_of(source, target)]
    told = {
        "IFD0:Model": pictures.MODEL,
        "IFD0:Artist": pictures.ARTIST,
        "ExifIFD:DateTimeOriginal": pictures.TAKEN,
        "ExifIFD:ExifImageWidth": 48,
        "ExifIFD:ExifImageHeight": 32,
        "IFD0:XResolution": 300,
        "IFD0:YResolution": 300,
        "IFD0:ResolutionUnit": 2,
        "GPS:GPSLatitudeRef": "N",
        "XMP-xmp:Rating": 4,
        "XMP-xmp:Label": "Sée & Ufer",
        "XMP-dc:Creator": ["Ada Licht"],
        "XMP-dc:Rights": pictures.XMP_RIGHTS,
        "XMP-exif:ExifImageWidth": 48,
        "XMP-exif:ExifImageHeight": 32,
        "XMP-tiff:ImageWidth": 48,
        "ICC_Profile:ProfileDescription": "test colours",
    }
    assert {key: tags.get(key) for key in told} == told
    assert tags["GPS:GPSLatitude"] == pytest.approx(48.858239, abs=1e-6)
    assert tags.get("IFD0:Orientation", 1) == 1
    gone = {"XMP-tiff:Orientation", "IFD1:ThumbnailImage", "Photoshop:PhotoshopThumbnail"}
    assert not gone & set(tags)
    if source in IPTC_HOLDING and target in IPTC_HOLDING:
        iptc = {
            "IPTC:By-line": pictures.BY_LINE,
            "IPTC:CopyrightNotice": pictures.IPTC_COPYRIGHT,
            "IPTC:Caption-Abstract": pictures.CAPTION,
            "IPTC:Keywords": ["river", "shore"],
            "IPTC:City": "Köln",
        }
        assert {key: tags.get(key) for key in iptc} == iptc
    else:
        assert not [key for key in tags if key.startswith("IPTC")]
    kept_comment = source in COMMENT_HOLDING and target in COMMENT_HOLDING
    comment = tags.get("File:Comment" if target == "jpeg" else "PNG:Comment")
    assert comment == (COMMENT if kept_comment else None)
    assert tags.get("PNG:Software") == (
        "Testa Develop" if (source, target) == ("png", "png") else None
    )
    assert serious(tags) == []


@with_exiftool
@pytest.mark.parametrize("source", HOLDING)
@to_each
def test_what_a_format_cannot_hold_is_told_and_nothing_else(
    source: str,
    target: str,
    through_all_pairs: tuple[dict[str, dict[str, Any]], dict[str, list[str]]],
) -> None:
    # That a PNG's "Software" goes nowhere else is no loss: it tells of the file.
    lost = (source in IPTC_HOLDING and target not in IPTC_HOLDING) or (
        source in COMMENT_HOLDING and target not in COMMENT_HOLDING
    )
    warnings = through_all_pairs[1][name_of(source, target)]
    assert warnings == (["metadata-dropped"] if lost else [])
