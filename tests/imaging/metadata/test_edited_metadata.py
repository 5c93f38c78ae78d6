"""Metadata that are set or corrected: rights, resolution, colour space."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import ImageCms
from toolkit import pictures, programs
from toolkit.exiftool import exiftool
from toolkit.metadata import (
    HOLDING,
    ICC,
    IPTC_HOLDING,
    NOT_HOLDING,
    SIZE,
    SUFFIXES,
    exif_of,
    exiftool_tags,
    full,
    made,
    serious,
    to_each,
    with_exiftool,
)
from toolkit.pictures import opened
from toolkit.shared import folder_of, made_once

import imgbatch
from imgbatch.model import METADATA_POLICIES

# Resolution


@pytest.mark.parametrize("target", ["webp", "avif"])
def test_resolution_alone_makes_a_small_exif_block_where_it_belongs_there(
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
def test_exif_agrees_with_the_resolution_of_the_file(
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


# Rights that are entered


@pytest.fixture(scope="module")
def with_rights(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, dict[str, Any]], dict[str, bytes]]:
    """What exiftool reads from files that were given an artist and a copyright; and their bytes."""
    folder = tmp_path_factory.mktemp("rights")
    output, photos = folder / "output", folder / "photos"
    photos.mkdir()
    (photos / "full.jpg").write_bytes(full("JPEG"))
    (photos / "bare.jpg").write_bytes(pictures.saved(pictures.quarters(), "JPEG"))
    data = {}
    for target in HOLDING:
        for policy in METADATA_POLICIES:
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
    return ({} if programs.why_lacking("exiftool") else exiftool_tags(output)), data


NEW_ARTIST: Final = "Zoë Licht & Søn"
NEW_COPYRIGHT: Final = "© 2026 <Zoë>"


@pytest.mark.slow
@with_exiftool
@pytest.mark.parametrize("policy", METADATA_POLICIES)
@pytest.mark.parametrize("source", ["full", "bare"])
@to_each
def test_artist_and_copyright_are_set_whatever_the_policy(
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
    whole = source == "full" and policy in ("all", "no-gps", "no-location")
    assert tags.get("IFD0:Model") == (pictures.MODEL if whole else None)
    assert ("GPS:GPSLatitude" in tags) == (whole and policy == "all")
    assert serious(tags) == []


@pytest.mark.parametrize("target", ["jpeg", "png", "webp", "avif"])
def test_maker_notes_keep_their_offset_when_rights_are_set(
    target: str, with_rights: tuple[dict[str, dict[str, Any]], dict[str, bytes]]
) -> None:
    block = pictures.exif_block(orientation=6)
    data = with_rights[1][f"full-{target}-all{SUFFIXES[target.upper()]}"]
    after = exif_of(data)
    assert after[block.maker_note_at :].startswith(block.maker_note)
    assert pictures.ARTIST.encode() not in after


@pytest.mark.parametrize("target", NOT_HOLDING)
def test_rights_that_a_format_cannot_hold_are_reported(tmp_path: Path, target: str) -> None:
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
def test_exif_colour_space_agrees_with_the_profile(
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


SPACES: Final = (1, 2, 0xFFFD, 0xFFFF)
"""sRGB, what some cameras write for Adobe RGB, what some write for other spaces, uncalibrated."""

SRGB: Final = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PROFILES: Final = {"none": None, "srgb": SRGB, "wide": ICC}


def tagged(folder: Path) -> Path:
    """Photographs with every colour space and index, in EXIF (twice) and XMP, by exiftool."""
    for name, icc in PROFILES.items():
        for space in SPACES:
            for index in ("R98", "R03"):
                path = folder / f"{name}-{space}-{index}.jpg"
                path.write_bytes(pictures.with_metadata(pictures.quarters(), "JPEG", icc=icc))
                where = ("ExifIFD", "IFD0", "XMP-exif")
                words = ["-n", "-q", "-overwrite_original", f"-InteropIFD:InteropIndex={index}"]
                words += [f"-{group}:ColorSpace={space}" for group in where]
                exiftool(*words, "-XMP-photoshop:ICCProfileName=Adobe RGB (1998)", path)
    return folder


@pytest.fixture(scope="module")
def in_every_space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(folder_of("colour-spaces", tmp_path_factory), tagged)


@pytest.mark.slow
@with_exiftool
@pytest.mark.parametrize("target", ["jpeg", "png", "webp", "avif", "tiff", "jpeg2000"])
@pytest.mark.parametrize("profile", ["keep", "srgb"])
def test_every_colour_space_agrees_with_the_pixels(
    tmp_path: Path, in_every_space: Path, target: str, profile: str
) -> None:
    recipe = imgbatch.Recipe.from_options(sizes=["32"], format=target, profile=profile)
    for result in imgbatch.run(recipe, [in_every_space], output=tmp_path / "out", jobs=1):
        assert result.failure is None, result.failure
    found = exiftool_tags(tmp_path / "out")
    assert len(found) == len(PROFILES) * len(SPACES) * 2
    for name, tags in found.items():
        icc, space, index = name.partition(".")[0].split("-")
        # Without a profile only these say Adobe RGB (DCF 2.0, 5.2.2).
        adobe = icc == "none" and (space == "2" or (space == "65535" and index == "R03"))
        srgb = profile == "srgb" or target == "jpeg2000" or not (icc == "wide" or adobe)
        spaces = {tags[f"{group}:ColorSpace"] for group in ("ExifIFD", "IFD0", "XMP-exif")}
        assert spaces == {1 if srgb else 65535}, name
        assert tags.get("InteropIFD:InteropIndex") == (
            "R98" if srgb else "R03" if index == "R03" else None
        )
        named = tags["XMP-photoshop:ICCProfileName"]
        assert named == ("sRGB IEC61966-2.1" if srgb else "Adobe RGB (1998)")


def test_adobe_rgb_converted_to_srgb_says_so(tmp_path: Path) -> None:
    data = pictures.with_metadata(
        pictures.quarters(), "JPEG", exif=block_with_space(0xFFFF, "R03"), icc=ICC
    )
    assert colour_spaces(made(tmp_path, data, profile="srgb").data) == (1, "R98")
    assert colour_spaces(made(tmp_path, data, sizes=["32"]).data) == (0xFFFF, "R03")
