"""Numbers that cannot be calculated with, and packets made to take long or to grow.

They cost what they stand for, and never the picture.
"""

from __future__ import annotations

import math
import struct
import sys
from pathlib import Path
from typing import Final

import pytest
from toolkit import pictures, regions
from toolkit.metadata import exiftool_tags, made, with_exiftool
from toolkit.pictures import opened, scene

from imgbatch.imaging import affine
from imgbatch.imaging.metadata import (
    geometry,
    geometry_exif,
    geometry_signs,
    geometry_xmp,
    xml_tree,
)
from imgbatch.imaging.metadata.exif import Exif
from imgbatch.imaging.picture import Metadata

SIZE: Final = (240, 160)
WHOLE: Final = affine.Geometry.of(SIZE, 1)
CUT: Final = WHOLE.then(affine.Move(affine.moved(-50, -50), (100, 80)))
ONE_ROW_LESS: Final = WHOLE.then(affine.Move(affine.moved(0, -1), (240, 159)))
LARGER: Final = WHOLE.resized((2400, 1600))
DOUBLE: Final = 12
FLOAT: Final = 11


def photo(*fields: pictures.Field, xmp: bytes | None = None) -> bytes:
    exif = pictures.exif_block("<", orientation=1, size=SIZE, gps=False, more=fields).block
    return pictures.with_metadata(scene(*SIZE), "JPEG", exif=exif, xmp=xmp)


def doubles(tag: int, *numbers: float) -> pictures.Field:
    return tag, DOUBLE, struct.pack(f"<{len(numbers)}d", *numbers)


@pytest.mark.parametrize(
    "number", [math.inf, math.nan, 1.7e308, 5e-324], ids=["infinite", "NaN", "huge", "tiny"]
)
@pytest.mark.parametrize("tag", [0x9214, 0xA20E, 0x830E, 0x8482, 0x85D8, 0xC69C])
@pytest.mark.parametrize("move", [CUT, LARGER], ids=["cut", "larger"])
def test_a_number_in_exif_that_is_none_costs_only_its_tag(
    tag: int, number: float, move: affine.Geometry
) -> None:
    count = {0x9214: 3, 0x830E: 3, 0x8482: 6, 0x85D8: 16, 0xC69C: 92}.get(tag, 1)
    field = doubles(tag, *[1.0] * (count - 1), number)
    exif = Exif(pictures.exif_block("<", more=[field, doubles(0xA20F, 1000)]).block)

    moved, _ = geometry.moved(Metadata(exif), move)

    assert moved.exif is not None
    assert exif.tags() - moved.exif.tags() <= geometry_signs.TAGS
    assert all(map(math.isfinite, moved.exif.numbers(tag)))


@with_exiftool
@pytest.mark.parametrize("tag", [0x9214, 0xA20E])
def test_a_picture_with_such_a_number_is_made(tmp_path: Path, tag: int) -> None:
    numbers = (1.0, 1.0, math.inf) if tag == 0x9214 else (math.inf,)
    output = made(tmp_path, photo(doubles(tag, *numbers)), sizes=["120"])
    (tags,) = exiftool_tags(output.path.parent).values()
    assert tags["IFD0:Model"] == pictures.MODEL
    assert set(output.warnings) <= {"metadata-dropped"}


def test_a_float_does_not_grow_beyond_its_range() -> None:
    fields = [(tag, FLOAT, struct.pack("<f", 3e38)) for tag in (0xA20E, 0xA20F)]
    exif = Exif(pictures.exif_block("<", more=fields).block)

    geometry_exif.move(exif, LARGER)

    assert exif.numbers(0xA20E) == exif.numbers(0xA20F)
    # The largest finite number of IEEE 754's binary32.
    assert exif.numbers(0xA20E) == struct.unpack("<f", bytes.fromhex("ffff7f7f"))


def test_numbers_that_cannot_be_calculated_with_are_told() -> None:
    fields = [doubles(tag, 5e-324) for tag in (0xA20E, 0xA20F)]
    exif = Exif(pictures.exif_block("<", more=[*fields, (0xA217, 3, b"\2\0")]).block)

    moved, notices = geometry.moved(
        Metadata(exif), LARGER.then(affine.Move(affine.scaled(0, 0), (1, 1)))
    )

    assert moved.exif is not None
    assert exif.tags() - moved.exif.tags() == {0xA20E, 0xA20F}
    (notice,) = notices
    assert "tags of EXIF that tell a place" in notice.message


@pytest.mark.parametrize("number", ["1e-320", "1e-200", "1/1e300", "1e300/1e-300", "nan", "inf"])
def test_a_number_in_xmp_that_is_none_costs_only_what_hangs_on_it(
    tmp_path: Path, number: str
) -> None:
    sizes = "".join(
        f'GPano:{name}="{number}" '
        for name in (
            *("FullPanoWidthPixels", "FullPanoHeightPixels"),
            *("CroppedAreaImageWidthPixels", "CroppedAreaImageHeightPixels"),
        )
    )
    faces = regions.mwg([(60.0, 40.0, 90.0, 70.0)], SIZE)
    faces = faces.replace(f'stDim:w="{SIZE[0]}"', f'stDim:w="{number}"')
    focal = f'exif:FocalPlaneXResolution="{number}" exif:FocalPlaneYResolution="{number}" '
    kept = 'dc:format="image/jpeg"'

    packet = regions.packet(faces, sizes + focal + kept)
    output = made(tmp_path, photo(xmp=packet), filters=["crop:geometry=100x80+40+20"])

    image = opened(output.data)
    assert image.size == (100, 80)
    assert b"image/jpeg" in image.info["xmp"]
    assert set(output.warnings) <= {"metadata-dropped"}


def test_an_error_of_arithmetic_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        math.log(0)

    monkeypatch.setattr("imgbatch.imaging.metadata.regions.move", fails)

    with pytest.raises(ValueError, match="a number in it cannot be calculated with"):
        geometry_xmp.moved(regions.packet(), CUT)


# Packets made to take long, or to grow


def searches(packet: bytes, move: affine.Geometry) -> int:
    """How often a list is searched through for one thing while a packet is moved."""
    found = 0

    def note(_: object, event: str, called: object) -> None:
        nonlocal found
        name = getattr(called, "__name__", "")
        found += event == "c_call" and name in ("remove", "index", "insert")

    sys.setprofile(note)
    try:
        geometry_xmp.moved(packet, move)
    finally:
        sys.setprofile(None)
    return found


def polygon(corners: str) -> bytes:
    boundary = regions.boundary("polygon", "relative")
    vertices = f"<Iptc4xmpExt:rbVertices><rdf:Seq>{corners}</rdf:Seq></Iptc4xmpExt:rbVertices>"
    return regions.packet(regions.iptc(boundary + vertices))


def corner(x: float, y: float, more: str = "") -> str:
    fields = f"<Iptc4xmpExt:rbX>{x}</Iptc4xmpExt:rbX><Iptc4xmpExt:rbY>{y}</Iptc4xmpExt:rbY>"
    return f'<rdf:li rdf:parseType="Resource">{fields}{more}</rdf:li>'


SPARE: Final = corner(0.3, 0.3) + corner(0.5, 0.3) + 1000 * corner(0.9, 0.9)


@pytest.mark.parametrize(
    "packet",
    [
        regions.packet(regions.mwg([(0.0, 0.0, 1.0, 1.0)] * 1000, SIZE)),
        regions.packet("<crs:RetouchInfo/>" * 1000),
        polygon(SPARE),
    ],
    ids=["regions", "properties", "corners"],
)
def test_what_goes_is_removed_in_one_go(packet: bytes) -> None:
    assert searches(packet, CUT) < 50


def test_corners_that_clipping_adds_bring_nothing_along() -> None:
    """A zigzag across the upper edge gets two corners for each tooth."""
    zigzag = [((one + 1) / 500, -5 if one % 2 else 0.5) for one in range(400)]
    last = corner(1, 1, "<Iptc4xmpExt:more/>" * 2000)
    packet = polygon("".join(corner(*one) for one in zigzag) + last)

    moved, lost = geometry_xmp.moved(packet, ONE_ROW_LESS)

    assert lost == []
    assert moved.count(b"<Iptc4xmpExt:rbX>") > 1.2 * len(zigzag)
    assert moved.count(b"<Iptc4xmpExt:more/>") <= 2000
    assert len(moved) < 2 * len(packet)


@pytest.mark.parametrize(
    "last",
    [
        f'<rdf:li xmlns:a="{"a" * 5000}" a:rbX="1" a:rbY="1"/>',
        f'<rdf:li xmlns:{"a" * 5000}="a" {"a" * 5000}:rbX="1" {"a" * 5000}:rbY="1"/>',
    ],
    ids=["namespace", "prefix"],
)
def test_long_names_are_not_repeated(last: str) -> None:
    zigzag = [((one + 1) / 500, -5 if one % 2 else 0.5) for one in range(400)]
    packet = polygon("".join(corner(*one) for one in zigzag) + last)

    with pytest.raises(ValueError, match="too long to be repeated"):
        geometry_xmp.moved(packet, ONE_ROW_LESS)


def test_a_field_beside_one_without_a_prefix_has_none() -> None:
    """A circle that is cut becomes a rectangle, which has two more fields."""
    area = '<Area xmlns="http://ns.adobe.com/xmp/sType/Area#"><x>0.2</x><y>0.2</y><d>0.4</d></Area>'
    faces = regions.mwg_area(x=0.2)
    start, stop = faces.index("<mwg-rs:Area"), faces.index("</rdf:li>")
    packet = regions.packet(
        faces[:start]
        + area.replace("Area", "mwg-rs:Area", 1)[:-7]
        + "</mwg-rs:Area>"
        + faces[stop:]
    )

    moved, _ = geometry_xmp.moved(packet, CUT)

    assert b"<:" not in moved
    assert b"<w>" in moved
    xml_tree.parsed(moved)
