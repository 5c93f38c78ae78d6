"""Metadata arrive in every format that can hold them, as far as the policy allows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image
from toolkit import pictures
from toolkit.metadata import (
    COMMENT,
    HOLDING,
    ICC,
    IPTC_HOLDING,
    SIZE,
    SUFFIXES,
    exif_of,
    exiftool_tags,
    full,
    made,
    photo,
    serious,
    to_each,
    with_exiftool,
    xmp_of,
)
from toolkit.pictures import opened

import imgbatch

from_each: Final = pytest.mark.parametrize("source", [name.upper() for name in HOLDING])


# Another reader


COMMENT_HOLDING: Final = ("jpeg", "png")


# Everything, everywhere


@pytest.mark.slow
@from_each
@to_each
def test_exif_is_carried_and_describes_the_new_picture(
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
def test_profile_is_carried_bit_for_bit(tmp_path: Path, source: str, target: str) -> None:
    result = made(tmp_path, photo(source), SUFFIXES[source], format=target, sizes=["48"])
    assert opened(result.data).info["icc_profile"] == ICC


@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("target", ["jpeg", "png", "tiff", "bmp"])
def test_resolution_is_carried(tmp_path: Path, source: str, target: str) -> None:
    data = pictures.saved(pictures.quarters(), source, dpi=(240, 120))
    result = made(tmp_path, data, SUFFIXES[source], format=target)
    # PNG and BMP count whole pixels per metre: 240 dpi are 9449, which is 240.005 dpi.
    assert [float(one) for one in opened(result.data).info["dpi"]] == pytest.approx(
        [240, 120], abs=0.02
    )


@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("target", ["jpeg", "png"])
def test_no_resolution_is_invented(tmp_path: Path, source: str, target: str) -> None:
    data = pictures.saved(pictures.quarters(), source)
    result = made(tmp_path, data, SUFFIXES[source], format=target)
    assert "dpi" not in opened(result.data).info


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("target", ["jpeg", "png", "webp", "avif"])
def test_maker_notes_stay_bit_for_bit_in_place(
    tmp_path: Path, target: str, order: pictures.Order
) -> None:
    block = pictures.exif_block(order)
    after = exif_of(made(tmp_path, photo(exif=block.block), format=target, sizes=["48"]).data)
    assert after[block.maker_note_at :].startswith(block.maker_note)


@to_each
def test_old_thumbnail_is_in_no_output(tmp_path: Path, target: str) -> None:
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
def test_orientation_in_xmp_alone_is_applied(tmp_path: Path, source: str, orientation: int) -> None:
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
def test_exif_orientation_takes_precedence(tmp_path: Path, source: str) -> None:
    """An editor that rotated the picture reset EXIF and forgot XMP."""
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
def test_no_gps_removes_every_form_of_a_position_in_xmp(tmp_path: Path, gps: pictures.Gps) -> None:
    result = made(tmp_path, photo(gps=gps), metadata="no-gps")
    assert pictures.traces_of_position(result.data) == []
    assert 'xmp:Rating="4"' in xmp_of(result.data)
    # The photo is turned, and the drone's lens calibration does not fit that.
    assert result.warnings == (["metadata-dropped"] if gps == "drone" else [])


def test_no_gps_drops_an_xmp_packet_it_cannot_clean_with_a_warning(tmp_path: Path) -> None:
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
def test_copyright_keeps_only_creator_and_owner(tmp_path: Path, source: str, target: str) -> None:
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
def test_none_keeps_only_pixels_and_colours(tmp_path: Path, source: str, target: str) -> None:
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
def test_tiff_tags_do_not_bypass_the_policy(tmp_path: Path, policy: str) -> None:
    """Only the name of the city may stay (except under `none`): somebody wrote it to be read."""
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


# The command line


@pytest.mark.slow
def test_command_line_applies_the_policy(tmp_path: Path) -> None:
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
    """What exiftool reads from each pair's output, and the kinds of its warnings, by name."""
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
    return exiftool_tags(output), warnings


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
def test_every_loss_is_reported_and_nothing_else(
    source: str,
    target: str,
    through_all_pairs: tuple[dict[str, dict[str, Any]], dict[str, list[str]]],
) -> None:
    # A PNG's "Software" describes the file, so it is no loss elsewhere.
    lost = (source in IPTC_HOLDING and target not in IPTC_HOLDING) or (
        source in COMMENT_HOLDING and target not in COMMENT_HOLDING
    )
    warnings = through_all_pairs[1][name_of(source, target)]
    assert warnings == (["metadata-dropped"] if lost else [])
