"""The subject, scales, panoramas, positions on the earth and pending crops move with the pixels.

Judged by what exiftool and tifffile read, and by where a red square is in the outputs.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin
from toolkit import pictures, regions
from toolkit.exif_blocks import both_orders
from toolkit.metadata import exiftool_tags, made, with_exiftool
from toolkit.pictures import opened

from imgbatch.imaging import affine
from imgbatch.imaging.metadata import geometry_exif, geometry_signs
from imgbatch.imaging.metadata.exif import Exif

SIZE: Final = (240, 160)
CENTRE: Final = (82, 46)
_CROP: Final = "crop:geometry=100x80+40+20"


def _scene() -> Image.Image:
    pixels = np.full((SIZE[1], SIZE[0], 3), 60, np.uint8)
    x, y = CENTRE
    pixels[y - 10 : y + 10, x - 10 : x + 10] = (250, 20, 20)
    return Image.fromarray(pixels)


def _photo(
    *,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    size: tuple[int, int] = SIZE,
) -> bytes:
    return pictures.with_metadata(_scene().resize(size), "JPEG", exif=exif, xmp=xmp)


def _exif(order: pictures.Order, orientation: int, more: Sequence[pictures.Field]) -> bytes:
    return pictures.exif_block(
        order, orientation=orientation, size=SIZE, gps=False, more=more
    ).block


def _tags(folder: Path, data: bytes, suffix: str = ".jpg", **options: Any) -> dict[str, Any]:
    """What exiftool reads in what is made of a file, and the kinds of warnings."""
    output = made(folder, data, suffix, **options)
    (tags,) = exiftool_tags(output.path.parent, "-a").values()
    return tags | {"warnings": output.warnings}


# Signs: what has none is not looked at

BOX: Final = (10.0, 10.0, 40.0, 40.0)
TELLING: Final = (
    regions.packet(regions.mwg([BOX], SIZE)),
    regions.packet(regions.acdsee([BOX], SIZE)),
    regions.packet(regions.microsoft([BOX], SIZE)),
    regions.packet(regions.iptc(regions.boundary("circle", "pixel", rbX=9, rbY=9, rbRx=9))),
    *(
        regions.packet(attributes=f'{name}="{value}"')
        for name, value in {
            "GPano:FullPanoWidthPixels": 480,
            "GFocus:FocalPointX": 0.5,
            "drone-dji:CalibratedFocalLength": 200,
            "drone-dji:DewarpData": "2020-01-02;1,2,3,4",
            "exif:SubjectLocation": "1 2",
            "exif:FocalPlaneXResolution": "3200",
            "crs:HasCrop": "True",
        }.items()
    ),
    *(
        regions.packet(f"<crs:{name}><rdf:Seq/></crs:{name}>")
        for name in ("RetouchInfo", "RetouchAreas", "RedEyeInfo", "GradientBasedCorrections")
    ),
    regions.packet("<crs:HasCrop>True</crs:HasCrop>"),
)


@pytest.mark.parametrize("number", range(len(TELLING)))
def test_each_property_has_a_sign(number: int) -> None:
    assert geometry_signs.in_packet(TELLING[number])


def test_ordinary_packets_have_none() -> None:
    assert not geometry_signs.in_packet(pictures.xmp_packet(orientation=6, gps="attributes"))
    assert not geometry_signs.in_packet(
        regions.packet(attributes='crs:HasCrop="False" crs:CropTop="0" dc:format="HasCrop"')
    )


# The main subject (CIPA DC-008, 0x9214 and 0xA214)

SUBJECTS: Final[dict[str, tuple[list[int], str | None, list[int]]]] = {
    "a point": ([82, 46], _CROP, [42, 26]),
    "a circle": ([82, 46, 20], _CROP, [42, 26, 20]),
    "a rectangle": ([82, 46, 20, 30], _CROP, [42, 26, 20, 30]),
    "a circle of which some is gone": ([50, 46, 40], _CROP, [15, 26, 30, 40]),
    "a rectangle of which some is gone": ([50, 46, 40, 20], _CROP, [15, 26, 30, 20]),
    "a point that is gone": ([20, 46], _CROP, []),
    "a circle that is gone": ([20, 46, 20], _CROP, []),
    "a rectangle that is gone": ([200, 46, 20, 20], _CROP, []),
    "five numbers": ([1, 2, 3, 4, 5], _CROP, []),
}


@with_exiftool
@both_orders
@pytest.mark.parametrize("name", SUBJECTS)
def test_subject_moves(name: str, order: pictures.Order, tmp_path: Path) -> None:
    before, crop, after = SUBJECTS[name]
    data = struct.pack(f"{order}{len(before)}H", *before)
    exif = _exif(order, 1, [(0x9214, 3, data)])
    items = "".join(f"<rdf:li>{number}</rdf:li>" for number in before)
    packet = regions.packet(f"<exif:SubjectArea><rdf:Seq>{items}</rdf:Seq></exif:SubjectArea>")

    tags = _tags(tmp_path, _photo(exif=exif, xmp=packet), filters=[crop])

    assert regions.numbers(tags, "ExifIFD:SubjectArea") == after
    found = tags.get("XMP-exif:SubjectArea", [])
    assert [float(one) for one in found] == after
    assert tags["warnings"] == []
    # Whatever else the block has is still in its place.
    assert "ExifIFD:ExposureTime" in tags
    assert tags["ExifIFD:ExifImageWidth"] == 100


@with_exiftool
@pytest.mark.parametrize("orientation", range(1, 9))
def test_subject_location_turns_with_the_picture(orientation: int, tmp_path: Path) -> None:
    exif = _exif("<", orientation, [(0xA214, 3, struct.pack("<2H", *CENTRE))])

    output = made(tmp_path, _photo(exif=exif))

    (tags,) = exiftool_tags(output.path.parent).values()
    assert regions.numbers(tags, "ExifIFD:SubjectLocation") == pytest.approx(
        _square(output.data), abs=0.6
    )


def _square(data: bytes) -> tuple[float, float]:
    """The centre of the red square in a picture."""
    pixels = np.asarray(opened(data).convert("RGB")).astype(int)
    rows, columns = np.nonzero((pixels[..., 0] > 140) & (pixels[..., 1] < 100))
    return float(columns.mean() + 0.5), float(rows.mean() + 0.5)


# The focal plane: pixels per unit of the sensor

FOCAL_PLANES: Final[dict[str, tuple[dict[str, Any], tuple[float, float]]]] = {
    "resized": ({"sizes": ["60"]}, (800, 600)),
    "cropped": ({"filters": [_CROP]}, (3200, 2400)),
    "turned": ({"filters": ["rotate:angle=90"]}, (2400, 3200)),
    "mirrored": ({"filters": ["flip"]}, (3200, 2400)),
    "stretched": ({"sizes": ["60x80"], "fit": "exact"}, (800, 1200)),
    "turned by 30": (
        {"filters": ["rotate:angle=30"]},
        (
            1 / math.hypot(math.cos(math.pi / 6) / 3200, 0.5 / 2400),
            1 / math.hypot(0.5 / 3200, math.cos(math.pi / 6) / 2400),
        ),
    ),
}


@with_exiftool
@pytest.mark.parametrize("name", FOCAL_PLANES)
def test_focal_plane_keeps_its_size(name: str, tmp_path: Path) -> None:
    options, expected = FOCAL_PLANES[name]
    fields = [
        (0xA20E, 5, struct.pack("<2I", 32_000, 10)),
        (0xA20F, 5, struct.pack("<2I", 2400, 1)),
        (0xA210, 3, struct.pack("<H", 2)),
    ]
    packet = regions.packet(
        attributes='exif:FocalPlaneXResolution="32000/10" exif:FocalPlaneYResolution="2400"'
    )

    tags = _tags(tmp_path, _photo(exif=_exif("<", 1, fields), xmp=packet), **options)

    for group in ("ExifIFD", "XMP-exif"):
        found = [tags[f"{group}:FocalPlane{axis}Resolution"] for axis in "XY"]
        assert found == pytest.approx(expected, rel=1e-6)


def test_focal_plane_without_a_value_stays(tmp_path: Path) -> None:
    words = (0x9214, 2, b"nowhere\0")
    exif = _exif("<", 1, [words, (0xA20E, 5, bytes(8)), (0xA20F, 5, bytes(8))])

    output = made(tmp_path, _photo(exif=exif), sizes=["60"])

    assert output.warnings == []
    found = opened(output.data).getexif().get_ifd(0x8769)
    assert found[0xA002] == 60
    assert 0xA20E in found
    # A place in words is none.
    assert 0x9214 not in found


@with_exiftool
def test_sizes_are_those_of_the_output_wherever_they_are(tmp_path: Path) -> None:
    packet = regions.packet(attributes='exif:PixelXDimension="240" exif:PixelYDimension="160"')

    tags = _tags(tmp_path, _photo(exif=_exif(">", 6, []), xmp=packet), sizes=["120"])

    assert (tags["ExifIFD:ExifImageWidth"], tags["ExifIFD:ExifImageHeight"]) == (80, 120)
    assert (tags["XMP-exif:ExifImageWidth"], tags["XMP-exif:ExifImageHeight"]) == (80, 120)


@with_exiftool
def test_related_size_is_that_of_the_output(tmp_path: Path) -> None:
    """DCF 2.0 has it in the Interoperability directory."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA002] = 240
    exif.get_ifd(0x8769)[0xA005] = {1: "R98", 0x1001: 240, 0x1002: 160}

    tags = _tags(tmp_path, _photo(exif=exif.tobytes()), sizes=["120"])

    found = [tags[f"InteropIFD:RelatedImage{side}"] for side in ("Width", "Height")]
    assert found == [120, 80]


@both_orders
def test_numbers_are_edited_and_nothing_else_moves(order: pictures.Order) -> None:
    """What a MakerNote points to stays where it is; tags may share the place of their values."""
    ratio = struct.pack(f"{order}2I", 3200, 1)
    made_by = pictures.exif_block(
        order, more=[(0xA20E, 5, ratio), (0xA20F, 5, ratio), (0xA215, 4, bytes(4))]
    )
    block = bytearray(made_by.block)
    entries = [block.index(struct.pack(f"{order}HHI", tag, 5, 1)) for tag in (0xA20E, 0xA20F)]
    block[entries[1] + 8 : entries[1] + 12] = block[entries[0] + 8 : entries[0] + 12]
    exif = Exif(bytes(block))

    exif.set_numbers(0xA20E, [1600.5])
    assert (exif.numbers(0xA20E), exif.numbers(0xA20F)) == ((1600.5,), (3200,))
    exif.set_numbers(0xA20E, [1e12])
    exif.set_numbers(0xA215, [-1])
    again = Exif(exif.tobytes())
    assert (again.numbers(0xA20E), again.numbers(0xA215)) == ((2**32 - 1,), (0,))
    again.set_numbers(0xA215, [7, 8])
    again.set_numbers(0xA20E, [])
    assert again.numbers(0xA215) == (7, 8)
    assert 0xA20E not in again.tags()
    assert again.tobytes()[made_by.maker_note_at :].startswith(made_by.maker_note)


def test_a_long_block_does_not_grow() -> None:
    """It would not fit into a JPEG any more, and lose its MakerNote."""
    fields = [
        (0x9286, 7, bytes(61_000)),
        (0xA20E, 5, struct.pack("<2I", 3200, 1)),
        (0xA20F, 5, struct.pack("<2I", 3200, 1)),
    ]
    exif = Exif(_exif("<", 1, fields))
    length = len(exif)

    exif.set_numbers(0xA20E, [1600])

    assert (exif.numbers(0xA20E), exif.numbers(0xA20F), len(exif)) == ((1600,), (3200,), length)


# Positions on the earth: GeoTIFF 1.1

_SCALE: Final = (0.25, 0.5, 2.0)
_TIE: Final = (10.0, 20.0, 1.0, 500_000.0, 5_800_000.0, 30.0)
_MATRIX: Final = (0.2, 0.05, 0.0, 1000.0, 0.04, -0.3, 0.0, 2000.0, 0, 0, 0, 0, 0, 0, 0, 1)

GEO: Final[dict[str, dict[int, tuple[float, ...]]]] = {
    "scale and tie point": {0x830E: _SCALE, 0x8482: _TIE},
    "matrix": {0x85D8: _MATRIX},
    "Intergraph's matrix": {0x8480: _MATRIX},
}
TURNS: Final[dict[str, dict[str, Any]]] = {
    "resized": {"sizes": ["77"]},
    "stretched": {"sizes": ["100x90"], "fit": "exact"},
    "cropped": {"filters": [_CROP]},
    "mirrored": {"filters": ["flip"]},
    "turned": {"filters": ["rotate:angle=90"]},
    "turned by 25": {"filters": ["rotate:angle=25"]},
    "in a border": {"filters": ["border:size=10"]},
    "chain": {"sizes": ["120"], "filters": ["rotate:angle=-10,fit=crop", "flip", "border"]},
}


def _geo_tiff(
    tags: dict[int, tuple[float, ...]], *, point: bool = False, orientation: int = 1
) -> bytes:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, numbers in tags.items():
        info.tagtype[tag] = 12
        info[tag] = numbers
    info.tagtype[0x87AF] = 3
    info[0x87AF] = (1, 1, 0, 2, 1024, 0, 1, 1, 1025, 0, 1, 2 if point else 1)
    info[0x0112] = orientation
    return pictures.saved(_scene(), "TIFF", tiffinfo=info)


def _geo(data: bytes) -> dict[int, tuple[float, ...]]:
    """GeoTIFF's tags as tifffile reads them."""
    tifffile = pytest.importorskip("tifffile")
    with tifffile.TiffFile(BytesIO(data)) as file:
        tags = file.pages[0].tags
        return {
            tag: tuple(tags[tag].value)
            for tag in (0x830E, 0x8482, 0x85D8, 0x8480, 0xC69C)
            if tag in tags
        }


def _on_earth(tags: dict[int, tuple[float, ...]], x: float, y: float) -> tuple[float, float]:
    """Where a point of the raster is, as GeoTIFF 1.1, 7.3.2 says."""
    matrix = tags.get(0x85D8, tags.get(0x8480))
    if matrix is None:
        across, down, _ = tags[0x830E]
        column, row, _, east, north, _ = tags[0x8482][:6]
        return east + (x - column) * across, north - (y - row) * down
    found = np.array(matrix, np.float64).reshape(4, 4) @ (x, y, 0, 1)
    return float(found[0]), float(found[1])


@pytest.mark.parametrize("point", [False, True], ids=["areas", "points"])
@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("kind", GEO)
def test_the_same_place_has_the_same_position(
    kind: str, turn: str, point: bool, tmp_path: Path
) -> None:
    """The square's centre is found in the pixels; pixels that are points count from centres."""
    tags, shift = GEO[kind], 0.5 if point else 0.0

    output = made(tmp_path, _geo_tiff(tags, point=point), ".tif", **TURNS[turn])

    found, (x, y) = _geo(output.data), _square(output.data)
    expected = _on_earth(tags, CENTRE[0] - shift, CENTRE[1] - shift)
    # Half a pixel, of an output in which a pixel has up to four of the source.
    np.testing.assert_allclose(_on_earth(found, x - shift, y - shift), expected, rtol=0, atol=0.35)
    assert len({0x85D8, 0x8480, 0x830E} & found.keys()) == 1
    assert output.warnings == []


@pytest.mark.parametrize("orientation", range(1, 9))
def test_geotiff_counts_in_the_picture_as_stored(orientation: int, tmp_path: Path) -> None:
    tags = GEO["scale and tie point"]

    output = made(tmp_path, _geo_tiff(tags, orientation=orientation), ".tif", sizes=["200"])

    found, (x, y) = _geo(output.data), _square(output.data)
    np.testing.assert_allclose(_on_earth(found, x, y), _on_earth(tags, *CENTRE), atol=0.3, rtol=0)


def test_scales_are_exact(tmp_path: Path) -> None:
    data = _geo_tiff(GEO["scale and tie point"])

    resized = _geo(made(tmp_path, data, ".tif", sizes=["120"]).data)
    cropped = _geo(made(tmp_path, data, ".tif", filters=[_CROP]).data)

    assert resized == {0x830E: (0.5, 1.0, 2.0), 0x8482: (5, 10, 1, *_TIE[3:])}
    assert cropped == {0x830E: _SCALE, 0x8482: (-30, 0, 1, *_TIE[3:])}


def test_control_points_move_one_by_one(tmp_path: Path) -> None:
    ties = (*_TIE, 100.0, 120.0, 0.0, 500_030.0, 5_799_950.0, 31.0)

    output = made(tmp_path, _geo_tiff({0x8482: ties}), ".tif", filters=["rotate:angle=180"])

    assert _geo(output.data) == {0x8482: (230, 140, *_TIE[2:], 140, 40, *ties[8:])}


@pytest.mark.parametrize(
    ("tags", "options"),
    [
        ({0x85D8: _MATRIX[:12]}, {"sizes": ["100"]}),
        ({0x830E: _SCALE[:2], 0x8482: _TIE}, {"sizes": ["100"]}),
        ({0x830E: _SCALE}, {"filters": ["flip"]}),
    ],
    ids=["twelve numbers", "two scales", "a scale from nowhere, mirrored"],
)
def test_a_position_that_cannot_be_moved_is_dropped_with_a_warning(
    tags: dict[int, tuple[float, ...]], options: dict[str, Any], tmp_path: Path
) -> None:
    output = made(tmp_path, _geo_tiff(tags), ".tif", **options)

    assert _geo(output.data) == {}
    assert output.warnings == ["metadata-dropped"]


def test_rpcs_follow_all_but_turns_and_flips(tmp_path: Path) -> None:
    numbers = (1.0, 2.0, 80.0, 120.0, 52.0, 13.0, 40.0, 81.0, 121.0, *range(83))
    data = _geo_tiff({0xC69C: tuple(map(float, numbers))})

    cut = made(tmp_path, data, ".tif", sizes=["120"], filters=["crop:geometry=60x60+30+10"])
    found = _geo(cut.data)[0xC69C]

    # Lines and samples count from the centre of the first pixel.
    assert found[2:4] == pytest.approx((80.5 / 2 - 10 - 0.5, 120.5 / 2 - 30 - 0.5))
    assert found[7:9] == pytest.approx((40.5, 60.5))
    assert (*found[:2], *found[4:7], *found[9:]) == (*numbers[:2], *numbers[4:7], *numbers[9:])
    # GDAL's RPCs in GeoTIFF have scales above zero.
    for filters in (["rotate:angle=90"], ["rotate:angle=180"], ["flip"]):
        turned = made(tmp_path, data, ".tif", filters=filters)
        assert _geo(turned.data) == {}
        assert turned.warnings == ["metadata-dropped"]


def test_each_page_has_its_own_geometry(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    buffer = BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        for number, size in enumerate(((160, 240, 3), (80, 300, 3))):
            scale = (0x830E, 12, 3, (1.0 + number, 1.0 + number, 0.0), True)
            tie = (0x8482, 12, 6, (0.0, 0.0, 0.0, 13.0, 52.0, 0.0), True)
            file.write(np.zeros(size, np.uint8), photometric="rgb", extratags=[scale, tie])

    output = made(tmp_path, buffer.getvalue(), ".tif", sizes=["120"])

    with tifffile.TiffFile(BytesIO(output.data)) as found:
        scales = [page.tags[0x830E].value[:2] for page in found.pages]
    assert scales == [(2, 2), (5, 5)]


# Panoramas (Google's GPano)

PANORAMA: Final = {
    "ProjectionType": "equirectangular",
    "FullPanoWidthPixels": 480,
    "FullPanoHeightPixels": 240,
    "CroppedAreaImageWidthPixels": 240,
    "CroppedAreaImageHeightPixels": 160,
    "CroppedAreaLeftPixels": 100,
    "CroppedAreaTopPixels": 40,
    "PoseHeadingDegrees": 90,
    "StitchingSoftware": "Testa Stitch",
}
_SIZES: Final = tuple(name for name in PANORAMA if name.endswith("Pixels"))
STILL_PANORAMAS: Final[dict[str, tuple[dict[str, Any], tuple[int, ...]]]] = {
    "resized": ({"sizes": ["120"]}, (240, 120, 120, 80, 50, 20)),
    # 9 rows are 4 % more than 13 columns.
    "tiny": ({"sizes": ["13"]}, (26, 14, 13, 9, 5, 2)),
    "cropped": ({"filters": [_CROP]}, (480, 240, 100, 80, 140, 60)),
    "to cover": ({"sizes": ["80x80"], "fit": "cover"}, (240, 120, 80, 80, 70, 20)),
    "both": ({"sizes": ["120"], "filters": ["crop:ratio=1:1"]}, (240, 120, 80, 80, 70, 20)),
}
NO_PANORAMAS: Final[dict[str, dict[str, Any]]] = {
    "turned": {"filters": ["rotate:angle=180"]},
    "straightened": {"filters": ["rotate:angle=1,fit=crop"]},
    "mirrored": {"filters": ["flip"]},
    "stretched": {"sizes": ["100x100"], "fit": "exact"},
    "in a border": {"filters": ["border"]},
    "padded": {"sizes": ["200x200"], "fit": "pad"},
}


def _panorama(**changes: object) -> bytes:
    values = PANORAMA | changes
    fields = "".join(
        f"<GPano:{name}>{value}</GPano:{name}>"
        for name, value in values.items()
        if value is not None
    )
    return _photo(xmp=regions.packet(fields))


@with_exiftool
@pytest.mark.parametrize("name", STILL_PANORAMAS)
def test_a_part_of_a_panorama_is_one(name: str, tmp_path: Path) -> None:
    options, expected = STILL_PANORAMAS[name]

    tags = _tags(tmp_path, _panorama(), **options)

    assert tuple(tags[f"XMP-GPano:{one}"] for one in _SIZES) == expected
    assert tags["XMP-GPano:ProjectionType"] == "equirectangular"
    assert tags["XMP-GPano:PoseHeadingDegrees"] == 90
    assert tags["warnings"] == []


@with_exiftool
@pytest.mark.parametrize("name", NO_PANORAMAS)
def test_what_is_no_panorama_any_more_does_not_say_so(name: str, tmp_path: Path) -> None:
    tags = _tags(tmp_path, _panorama(), **NO_PANORAMAS[name])

    assert {key for key in tags if "GPano" in key} == {"XMP-GPano:StitchingSoftware"}
    assert tags["warnings"] == ["metadata-dropped"]


@with_exiftool
def test_a_panorama_that_another_program_resized_gets_its_true_size(tmp_path: Path) -> None:
    """Twice as large as the file is now."""
    whole = _panorama(
        FullPanoWidthPixels=960,
        FullPanoHeightPixels=480,
        CroppedAreaImageWidthPixels=480,
        CroppedAreaImageHeightPixels=320,
        CroppedAreaLeftPixels=200,
        CroppedAreaTopPixels=80,
        LargestValidInteriorRectLeft=20,
    )

    tags = _tags(tmp_path, whole, filters=[_CROP])

    assert tuple(tags[f"XMP-GPano:{one}"] for one in _SIZES) == (480, 240, 100, 80, 140, 60)


@with_exiftool
def test_a_panorama_without_sizes_survives_only_a_resize(tmp_path: Path) -> None:
    bare = _panorama(**dict.fromkeys(_SIZES))

    resized = _tags(tmp_path, bare, sizes=["100"])
    cropped = _tags(tmp_path, bare, filters=[_CROP])

    assert resized["XMP-GPano:ProjectionType"] == "equirectangular"
    assert resized["warnings"] == []
    assert "XMP-GPano:ProjectionType" not in cropped
    assert cropped["warnings"] == ["metadata-dropped"]


@with_exiftool
def test_a_panorama_whose_sizes_contradict_the_picture_is_none(tmp_path: Path) -> None:
    tags = _tags(tmp_path, _panorama(CroppedAreaImageWidthPixels=400), sizes=["120"])

    assert "XMP-GPano:ProjectionType" not in tags
    assert tags["warnings"] == ["metadata-dropped"]


@with_exiftool
def test_the_valid_part_of_a_panorama_is_cut_with_it(tmp_path: Path) -> None:
    interior = dict(zip(("Left", "Top", "Width", "Height"), (20, 30, 200, 100), strict=True))
    names = {f"LargestValidInteriorRect{name}": value for name, value in interior.items()}

    tags = _tags(tmp_path, _panorama(**names), filters=[_CROP])

    assert [tags[f"XMP-GPano:{name}"] for name in names] == [0, 10, 100, 70]


# What is still to be done: Camera Raw's crop and local edits

CROPS: Final[dict[str, tuple[dict[str, Any], tuple[float, ...]]]] = {
    "resized": ({"sizes": ["120"]}, (0.25, 0.125, 0.75, 0.5)),
    # 60, 20, 180, 80 in 240 x 160, cut to what is between 40, 20 and 140, 100.
    "cropped": ({"filters": [_CROP]}, (0.2, 0, 1, 0.75)),
    "mirrored": ({"filters": ["flip"]}, (0.25, 0.125, 0.75, 0.5)),
    "upside down": ({"filters": ["flip:direction=vertical"]}, (0.25, 0.5, 0.75, 0.875)),
    "turned": ({"filters": ["rotate:angle=90"]}, (0.5, 0.25, 0.875, 0.75)),
}
_SIDES: Final = ("Left", "Top", "Right", "Bottom")


def _crop(**more: object) -> bytes:
    values = {"HasCrop": "True", "CropAngle": 0, "Exposure2012": "+0.5", **more}
    sides = dict(zip(_SIDES, (0.25, 0.125, 0.75, 0.5), strict=True))
    values |= {f"Crop{side}": value for side, value in sides.items()}
    attributes = " ".join(f'crs:{name}="{value}"' for name, value in values.items())
    edits = (
        "<crs:PaintBasedCorrections><rdf:Seq><rdf:li>dab</rdf:li></rdf:Seq>"
        "</crs:PaintBasedCorrections>"
    )
    return _photo(xmp=regions.packet(edits if more.get("Painted") else "", attributes))


@with_exiftool
@pytest.mark.parametrize("name", CROPS)
def test_a_crop_that_is_still_to_be_made_moves(name: str, tmp_path: Path) -> None:
    options, expected = CROPS[name]

    tags = _tags(tmp_path, _crop(), **options)

    assert [tags[f"XMP-crs:Crop{side}"] for side in _SIDES] == pytest.approx(expected)
    assert tags["XMP-crs:HasCrop"] is True
    assert tags["warnings"] == []


@with_exiftool
@pytest.mark.parametrize(
    ("more", "options"),
    [
        ({"CropAngle": 3}, {"filters": [_CROP]}),
        ({}, {"filters": ["rotate:angle=5"]}),
        ({}, {"filters": ["crop:geometry=20x20+0+100"]}),
    ],
    ids=["at an angle", "in a turned picture", "of what is gone"],
)
def test_a_crop_that_does_not_fit_is_dropped_with_a_warning(
    more: dict[str, Any], options: dict[str, Any], tmp_path: Path
) -> None:
    tags = _tags(tmp_path, _crop(**more), **options)

    assert not [key for key in tags if "Crop" in key]
    assert float(tags["XMP-crs:Exposure2012"]) == 0.5
    assert tags["warnings"] == ["metadata-dropped"]


def test_edits_that_were_made_are_history(tmp_path: Path) -> None:
    """Lightroom's exports say what was done, and not what is to be done."""
    data = _crop(AlreadyApplied="True", Painted="1")

    output = made(tmp_path, data, filters=[_CROP])

    assert b'crs:CropTop="0.125"' in output.data
    assert b"PaintBasedCorrections" in output.data
    assert output.warnings == []


def test_local_edits_go_where_their_places_change(tmp_path: Path) -> None:
    data = _crop(Painted="1", HasCrop="False")

    resized = made(tmp_path, data, sizes=["120"])
    cropped = made(tmp_path, data, filters=[_CROP])

    assert b"PaintBasedCorrections" in resized.data
    assert resized.warnings == []
    assert b"PaintBasedCorrections" not in cropped.data
    assert cropped.warnings == ["metadata-dropped"]


# Points and scales of single makers


@with_exiftool
def test_focus_point_moves(tmp_path: Path) -> None:
    x, y = CENTRE[0] / SIZE[0], CENTRE[1] / SIZE[1]
    data = _photo(
        xmp=regions.packet(attributes=f'GFocus:FocalPointX="{x}" GFocus:FocalPointY="{y}"')
    )

    moved = made(tmp_path, data, filters=["flip", "crop:geometry=120x100+100+20"])
    gone = made(tmp_path, data, filters=["crop:geometry=50x50+150+100"])

    found = pictures.opened(moved.data)
    square = _square(moved.data)
    packet = found.info["xmp"].decode()
    assert f'FocalPointX="{square[0] / 120:.6f}'.rstrip("0") in packet
    assert f'FocalPointY="{square[1] / 100:.6f}'.rstrip("0") in packet
    assert b"FocalPoint" not in gone.data
    assert gone.warnings == []


def test_lens_calibration_in_pixels_follows_all_but_turns(tmp_path: Path) -> None:
    data = _photo(
        xmp=regions.packet(
            attributes='drone-dji:CalibratedFocalLength="200.5" '
            'drone-dji:CalibratedOpticalCenterX="120" drone-dji:CalibratedOpticalCenterY="80" '
            'drone-dji:DewarpData="2020-01-02;201,202,3,-4,-0.26,0.11,0,0,-0.03"'
        )
    )

    cut = made(tmp_path, data, sizes=["120"], filters=["crop:geometry=60x60+20+0"])
    turned = made(tmp_path, data, filters=["flip"])

    assert b'CalibratedFocalLength="100.25"' in cut.data
    assert b'CalibratedOpticalCenterX="40"' in cut.data
    assert b'CalibratedOpticalCenterY="40"' in cut.data
    # The centre of the lens was at 123, 76, so it is at 41.5, 38, and the picture's at 30, 30.
    assert b'DewarpData="2020-01-02;100.5,101,11.5,8,-0.26,0.11,0,0,-0.03"' in cut.data
    assert b"Calibrated" not in turned.data
    assert b"DewarpData" not in turned.data
    assert turned.warnings == ["metadata-dropped"]


def test_focal_planes_of_any_map_are_lengths_on_the_sensor() -> None:
    """Against NumPy: a step of one pixel in the output, led back to the sensor."""
    one = affine.moved(3, 4).then(affine.rotated(33)).then(affine.scaled(0.5, 0.25))
    matrix = np.array([[one.xx, one.xy], [one.yx, one.yy]])
    steps = np.linalg.inv(matrix) / np.array([[3200.0], [2400.0]])

    found = geometry_exif.focal_plane((3200, 2400), one)

    assert found == pytest.approx(1 / np.linalg.norm(steps, axis=0))
