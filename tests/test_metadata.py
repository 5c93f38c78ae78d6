"""What a file says about its picture arrives in every format that can hold it, and only that."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pictures
import pytest
from pictures import opened
from PIL import Image

import imgbatch

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
NOT_HOLDING: Final = ("gif", "bmp", "jpeg2000", "ppm", "qoi", "ico", "tga")

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
    photos.mkdir(exist_ok=True)
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


# Everything, everywhere


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


@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "TIFF"])
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


@pytest.mark.parametrize("policy", ["all", "no-gps", "copyright", "none"])
@pytest.mark.parametrize(("source", "suffix"), [("JPEG", ".jpg"), ("GIF", ".gif")])
def test_a_comment_in_the_file_is_never_carried(
    tmp_path: Path, source: str, suffix: str, policy: str
) -> None:
    """No policy speaks of comments, and nobody knows what is in them."""
    data = pictures.saved(pictures.quarters(), source, comment=b"at home, 48.858239")
    assert b"48.858239" in data
    assert b"48.858239" not in made(tmp_path, data, suffix, metadata=policy).data


@pytest.mark.parametrize("policy", ["no-gps", "copyright", "none"])
def test_a_tiffs_own_tags_do_not_slip_past_the_policy(tmp_path: Path, policy: str) -> None:
    tags = Image.Exif()
    tags[0x02BC] = pictures.xmp_packet(gps="attributes")
    tags[0x83BB] = b"\x1c\x02\x5a\x00\x05Paris"
    tags[0x8649] = b"8BIM\x04\x04\x00\x00\x00\x00\x00\x0cPlace: Paris"
    data = pictures.saved(pictures.quarters(), "TIFF", tiffinfo=tags)
    assert b"Paris" in data
    result = made(tmp_path, data, ".tif", metadata=policy)
    assert b"Paris" not in result.data
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
def test_exif_too_long_for_a_jpeg_is_dropped_with_a_warning(
    tmp_path: Path, too_long: int, warnings: list[str]
) -> None:
    def block(filler: int) -> bytes:
        more: list[pictures.Field] = [(0xFFF0, 7, b"\1" * filler)]
        return pictures.exif_block(orientation=1, size=(64, 48), thumbnail=b"", more=more).block

    # A segment holds 65,533 bytes, and six of them are the word Exif.
    room = 65_533 - 6
    exif = block(room - len(block(10)) + 10 - room % 2)
    exif += b"\1" * (room - len(exif) + too_long)
    data = pictures.with_metadata(
        pictures.quarters(), "PNG", exif=exif, xmp=pictures.xmp_packet(), icc=ICC
    )
    result = made(tmp_path, data, ".png", format="jpeg")
    assert result.warnings == warnings
    assert exif_of(result.data) == (exif if not too_long else b"")
    assert pictures.XMP_RIGHTS in xmp_of(result.data)
    assert opened(result.data).info["icc_profile"] == ICC


@pytest.mark.parametrize(("too_long", "warnings"), [(0, []), (1, ["metadata-dropped"])])
def test_xmp_too_long_for_a_jpeg_is_dropped_with_a_warning(
    tmp_path: Path, too_long: int, warnings: list[str]
) -> None:
    packet = pictures.xmp_packet()
    # The segment begins with the 29 bytes of a name.
    packet += b" " * (65_533 - 29 - len(packet) + too_long)
    data = pictures.with_metadata(
        pictures.quarters(), "PNG", exif=pictures.exif_block(orientation=1).block, xmp=packet
    )
    result = made(tmp_path, data, ".png", format="jpeg")
    assert result.warnings == warnings
    assert (pictures.XMP_RIGHTS in xmp_of(result.data)) == (not too_long)
    assert opened(result.data).getexif()[0x0110] == pictures.MODEL


# What is broken


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


# The command line, and another reader


def test_the_command_line_applies_the_policy(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(photo())
    command = [sys.executable, "-m", "imgbatch", "convert", str(photos), "-f", "webp", "--quiet"]
    subprocess.run([*command, "--metadata", "no-gps", "-j", "1"], check=True)
    data = (tmp_path / "photos-converted" / "a.webp").read_bytes()
    assert pictures.traces_of_position(data) == []
    assert opened(data).getexif()[0x0110] == pictures.MODEL


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_exiftool_reads_the_same(tmp_path: Path) -> None:
    paths = {
        target: made(
            tmp_path, photo(), format=target, sizes=["48"], template=f"{target}{{ext}}"
        ).path
        for target in HOLDING
    }
    command = ["exiftool", "-j", "-G0", "-n", *map(str, paths.values())]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    for target, tags in zip(paths, json.loads(answer.stdout), strict=True):
        told = {
            "EXIF:Model": pictures.MODEL,
            "EXIF:DateTimeOriginal": pictures.TAKEN,
            "EXIF:ExifImageWidth": 48,
            "EXIF:ExifImageHeight": 32,
            "XMP:Rating": 4,
            "XMP:Rights": pictures.XMP_RIGHTS,
            "ICC_Profile:ProfileDescription": "test colours",
        }
        assert {key: tags.get(key) for key in told} == told, target
        assert tags["EXIF:GPSLatitude"] == pytest.approx(48.858239, abs=1e-6), target
        assert tags.get("EXIF:Orientation", 1) == 1, target
        assert "XMP:Orientation" not in tags, target
        assert "EXIF:ThumbnailImage" not in tags, target
        serious = [
            text
            for key, text in tags.items()
            if key.endswith((":Warning", ":Error")) and not str(text).startswith("[minor]")
        ]
        assert serious == [], target
