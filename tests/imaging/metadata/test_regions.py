"""Regions move along with the pixels: judged by the pixels, and by what exiftool reads."""

from __future__ import annotations

import dataclasses
import math
import struct
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import pytest
from PIL import Image
from toolkit import pictures, regions
from toolkit.metadata import exiftool_tags, made, with_exiftool
from toolkit.pictures import opened
from toolkit.regions import Box

import imgbatch
from imgbatch.imaging.picture import Picture
from imgbatch.operations.base import Operation
from imgbatch.operations.crop import Crop
from imgbatch.operations.turns import Flip

SIZE: Final = (240, 160)
FACE: Final[Box] = (60, 30, 104, 62)
"""Where the square is, in pixels of the picture as it is stored."""
_MARGIN: Final = 12
_ORIENTATIONS: Final = range(1, 9)

RUNS: Final[dict[str, dict[str, Any]]] = {
    "turned upright": {},
    "resized": {"sizes": ["111"]},
    "resized to cover": {"sizes": ["90x90"], "fit": "cover"},
    "resized to cover in the north": {"sizes": ["60x100"], "fit": "cover", "gravity": "northwest"},
    "padded": {"sizes": ["100x140"], "fit": "pad", "gravity": "southeast"},
    "stretched": {"sizes": ["90x130"], "fit": "exact"},
    "outside": {"sizes": ["100x130"], "fit": "outside"},
    "enlarged": {"sizes": ["500"], "enlarge": True},
    "crop": {"filters": ["crop:geometry=130x120+25+15"]},
    "crop in per cent": {"filters": ["crop:geometry=70%x60%,gravity=west"]},
    "crop to a ratio": {"filters": ["crop:ratio=5:4,gravity=northeast"]},
    "resize and crop": {"sizes": ["120"], "filters": ["crop:geometry=75x75+5+0"]},
    "smart-crop": {"filters": ["smart-crop:ratio=1:1"]},
    "trim": {"filters": ["trim:margin=3"]},
    "mirrored": {"filters": ["flip:direction=horizontal"]},
    "upside down": {"filters": ["flip:direction=vertical"]},
    "rotated by 90": {"filters": ["rotate:angle=90"]},
    "rotated by 180": {"filters": ["rotate:angle=180"]},
    "rotated by -90": {"filters": ["rotate:angle=-90"]},
    "rotated by 20": {"filters": ["rotate:angle=20,background=black"]},
    "rotated by -130": {"filters": ["rotate:angle=-130,background=black"]},
    "straightened": {"filters": ["rotate:angle=-4,fit=crop"]},
    "border": {"filters": ["border:size=10,bottom=2,line=2"]},
    "chain": {
        "filters": [
            *("rotate:angle=90", "crop:geometry=150x150+4+20", "flip:direction=vertical"),
            *("rotate:angle=10,background=black", "border:size=5"),
        ],
        "sizes": ["180"],
    },
}


def _scene() -> Image.Image:
    """A dull picture with a margin of one colour, and a red square."""
    pixels = np.full((SIZE[1], SIZE[0], 3), 30, np.uint8)
    inner = np.random.default_rng(3).integers(40, 90, (SIZE[1] // 8, SIZE[0] // 8), np.uint8)
    inner = np.kron(inner, np.ones((8, 8), np.uint8))
    inner[:_MARGIN] = inner[-_MARGIN:] = inner[:, :_MARGIN] = inner[:, -_MARGIN:] = 30
    pixels[...] = inner[..., None]
    left, top, right, bottom = map(int, FACE)
    pixels[top:bottom, left:right] = (250, 20, 20)
    return Image.fromarray(pixels)


def _photo(orientation: int, xmp: bytes, image: Image.Image | None = None) -> bytes:
    left, top, right, bottom = map(int, FACE)
    centre = (left + right) // 2, (top + bottom) // 2
    area = struct.pack("<4H", *centre, right - left, bottom - top)
    exif = pictures.exif_block(
        orientation=orientation,
        size=SIZE,
        gps=False,
        more=[(0x9214, 3, area), (0xA214, 3, struct.pack("<2H", *centre))],
    ).block
    return pictures.with_metadata(image or _scene(), "JPEG", exif=exif, xmp=xmp)


def _everywhere() -> bytes:
    left, top, right, bottom = FACE
    width, height = SIZE
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    box = {"rbX": left, "rbY": top, "rbW": right - left, "rbH": bottom - top}
    part = {
        name: value / (width if name in ("rbX", "rbW") else height) for name, value in box.items()
    }
    return regions.packet(
        regions.mwg([FACE], SIZE)
        + regions.microsoft([FACE], SIZE)
        + regions.acdsee([FACE], SIZE)
        + regions.iptc(
            regions.boundary("rectangle", "pixel", **box),
            regions.boundary("rectangle", "relative", **part),
            regions.boundary("polygon", "pixel", corners),
            regions.boundary("polygon", "relative", [(x / width, y / height) for x, y in corners]),
        )
    )


def _square(path: Path) -> Box | None:
    """Where the red square is in a finished picture."""
    pixels = np.asarray(opened(path.read_bytes()).convert("RGB")).astype(int)
    red = (pixels[..., 0] > 140) & (pixels[..., 1] < 110)
    if red.sum() < 4:
        return None
    columns, rows = np.flatnonzero(red.any(axis=0)), np.flatnonzero(red.any(axis=1))
    return float(columns[0]), float(rows[0]), columns[-1] + 1.0, rows[-1] + 1.0


def _iptc_box(boundary: dict[str, Any], width: float, height: float) -> Box:
    across, down = (1.0, 1.0) if boundary["RbUnit"] == "pixel" else (width, height)
    if boundary["RbShape"] == "rectangle":
        left, top = boundary["RbX"] * across, boundary["RbY"] * down
        return left, top, left + boundary["RbW"] * across, top + boundary["RbH"] * down
    x = [one["RbX"] * across for one in boundary["RbVertices"]]
    y = [one["RbY"] * down for one in boundary["RbVertices"]]
    return min(x), min(y), max(x), max(y)


def _found(tags: dict[str, Any], size: tuple[int, int]) -> list[Box]:
    """All the boxes that metadata tell, in whatever form."""
    found = [
        *regions.mwg_boxes(tags),
        *regions.microsoft_boxes(tags),
        *regions.acdsee_boxes(tags),
        *regions.acdsee_boxes(tags, "ALGArea"),
        *(_iptc_box(one, *size) for one in regions.boundaries(tags)),
    ]
    if area := regions.numbers(tags, "ExifIFD:SubjectArea"):
        x, y, width, height = area
        found.append((x - width / 2, y - height / 2, x + width / 2, y + height / 2))
    return found


@with_exiftool
@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_regions_still_cover_what_they_covered(run: str, tmp_path: Path) -> None:
    """The judges: the red pixels, and exiftool, which reads the regions."""
    (tmp_path / "photos").mkdir()
    for orientation in _ORIENTATIONS:
        data = _photo(orientation, _everywhere())
        (tmp_path / "photos" / f"{orientation}.jpg").write_bytes(data)
    recipe = imgbatch.Recipe.from_options(quality=95, **RUNS[run])

    results = list(imgbatch.run(recipe, [tmp_path / "photos"], output=tmp_path / "out", jobs=1))

    assert [one.failure for one in results] == [None] * 8
    assert [notice.kind for one in results for notice in one.notices if run != "enlarged"] == []
    told = exiftool_tags(tmp_path / "out")
    seen = 0
    for name, tags in told.items():
        path = tmp_path / "out" / name
        square, size = _square(path), opened(path.read_bytes()).size
        boxes = _found(tags, size)
        if square is None:
            assert boxes == [], name
            continue
        seen += 1
        assert len(boxes) == 9, (name, tags)
        applied = tags["XMP-mwg-rs:RegionInfo"]["AppliedToDimensions"]
        assert (applied["W"], applied["H"]) == size
        for box in boxes:
            assert math.dist(box, square) < 3.2, (name, box, square)
            assert np.abs(np.subtract(box, square)).max() < 1.9, (name, box, square)
    assert seen >= 2
    assert len(told) == 8


def _read(folder: Path, xmp: bytes, orientation: int = 1, **options: Any) -> dict[str, Any]:
    """What exiftool reads in what was made of the scene, and the kinds of warnings."""
    output = made(folder, _photo(orientation, xmp), **options)
    (tags,) = exiftool_tags(output.path.parent).values()
    return tags | {"warnings": output.warnings}


@with_exiftool
def test_a_face_that_was_cropped_away_is_not_named(tmp_path: Path) -> None:
    faces: list[Box] = [(10, 10, 40, 40), (150, 70, 190, 110), (190, 100, 230, 140)]
    packet = regions.packet(
        regions.mwg(faces, SIZE) + regions.microsoft(faces, SIZE) + regions.acdsee(faces, SIZE)
    )

    tags = _read(tmp_path, packet, filters=["crop:geometry=100x80+120+40"])

    left = [f"{regions.NAME} {number}" for number in (1, 2)]
    info = tags["XMP-mwg-rs:RegionInfo"]["RegionList"]
    assert [one["Name"] for one in info] == left
    people = tags["XMP-MP:RegionInfoMP"]["Regions"]
    assert [one["PersonDisplayName"] for one in people] == left
    expected = [(30, 30, 70, 70), (70, 60, 100, 80)]
    for boxes in (
        regions.mwg_boxes(tags),
        regions.microsoft_boxes(tags),
        regions.acdsee_boxes(tags),
    ):
        np.testing.assert_allclose(boxes, expected, atol=1e-3)
    assert tags["warnings"] == []


@with_exiftool
def test_nothing_is_left_of_a_list_without_regions(tmp_path: Path) -> None:
    packet = _everywhere()

    output = made(tmp_path, _photo(1, packet), filters=["crop:geometry=60x60+150+90"])

    (tags,) = exiftool_tags(output.path.parent).values()
    assert not [key for key in tags if key.startswith(("XMP-mwg", "XMP-MP", "XMP-acd"))]
    assert not {"XMP-iptcExt:ImageRegion", "ExifIFD:SubjectArea"} & tags.keys()
    assert regions.NAME.encode() not in output.data
    assert output.warnings == []


@with_exiftool
@pytest.mark.parametrize("applied", [SIZE, (480, 320)])
def test_areas_in_pixels_are_of_the_size_they_were_made_for(
    applied: tuple[int, int], tmp_path: Path
) -> None:
    packet = regions.packet(regions.mwg([FACE], SIZE, applied_to=applied, unit="pixel"))

    tags = _read(tmp_path, packet, filters=["crop:geometry=100x80+40+20"])

    info = tags["XMP-mwg-rs:RegionInfo"]
    assert info["AppliedToDimensions"] == {"W": 100, "H": 80, "Unit": "pixel"}
    area = info["RegionList"][0]["Area"]
    assert (area["X"], area["Y"], area["W"], area["H"]) == (42, 26, 44, 32)


@with_exiftool
def test_regions_of_the_upright_picture_are_not_turned_again(tmp_path: Path) -> None:
    """Their size says which of the two they were made for."""
    upright = (SIZE[1], SIZE[0])
    packet = regions.packet(regions.mwg([(20, 40, 60, 100)], upright))

    tags = _read(tmp_path, packet, orientation=6, filters=["crop:geometry=100x120+10+20"])

    np.testing.assert_allclose(regions.mwg_boxes(tags), [(10, 20, 50, 80)], atol=1e-3)


@with_exiftool
def test_circles_stay_circles_unless_some_is_gone(tmp_path: Path) -> None:
    packet = regions.packet(
        regions.mwg_area(x=0.5, y=0.5, d=0.25)
        + regions.iptc(
            regions.boundary("circle", "relative", rbX=0.5, rbY=0.5, rbRx=0.1),
            regions.boundary("circle", "pixel", rbX=120, rbY=80, rbRx=24),
            regions.boundary("circle", "pixel", rbX=200, rbY=80, rbRx=30),
        )
    )

    tags = _read(tmp_path, packet, sizes=["120"], filters=["crop:geometry=80x50+25+20"])

    # Half the size; the diameter is relative to the shorter side (MWG), the radius to the width.
    area = tags["XMP-mwg-rs:RegionInfo"]["RegionList"][0]["Area"]
    assert (area["X"], area["Y"], area["D"]) == pytest.approx((35 / 80, 20 / 50, 20 / 50))
    relative, whole, cut = regions.boundaries(tags)
    assert (relative["RbX"], relative["RbY"], relative["RbRx"]) == pytest.approx(
        (35 / 80, 20 / 50, 12 / 80)
    )
    assert (whole["RbX"], whole["RbY"], whole["RbRx"]) == (35, 20, 12)
    assert cut["RbShape"] == "rectangle"
    assert "RbRx" not in cut
    assert [cut[f"Rb{name}"] for name in "XYWH"] == [60, 5, 20, 30]


@with_exiftool
def test_polygons_are_clipped(tmp_path: Path) -> None:
    triangle = [(20, 20), (100, 20), (20, 100)]
    packet = regions.packet(regions.iptc(regions.boundary("polygon", "pixel", triangle)))

    tags = _read(tmp_path, packet, filters=["crop:geometry=60x60+10+10"])

    (found,) = regions.boundaries(tags)
    corners = {(one["RbX"], one["RbY"]) for one in found["RbVertices"]}
    assert corners == {(10, 10), (60, 10), (60, 40), (40, 60), (10, 60)}


@with_exiftool
def test_points_stay_points(tmp_path: Path) -> None:
    packet = regions.packet(
        regions.mwg_area(x=0.5, y=0.25)
        + regions.iptc(regions.boundary("polygon", "pixel", [(120, 40)]))
    )

    tags = _read(tmp_path, packet, filters=["flip", "crop:geometry=120x80+60+0"])

    area = tags["XMP-mwg-rs:RegionInfo"]["RegionList"][0]["Area"]
    assert (area["X"], area["Y"]) == pytest.approx((0.5, 0.5))
    assert regions.boundaries(tags)[0]["RbVertices"] == [{"RbX": 60, "RbY": 40}]


@with_exiftool
def test_a_face_no_longer_leans_as_it_did(tmp_path: Path) -> None:
    """Its angle to the edges is dropped where those change; its confidence stays."""
    faces = (
        '<mwg-rs:Extensions rdf:parseType="Resource"><apple-fi:AngleInfoRoll>270'
        "</apple-fi:AngleInfoRoll><apple-fi:ConfidenceLevel>900</apple-fi:ConfidenceLevel>"
        "</mwg-rs:Extensions>"
    )
    packet = regions.packet(regions.mwg([FACE], SIZE, extension=faces))

    turned = made(tmp_path, _photo(6, packet))
    resized = made(tmp_path, _photo(1, packet), sizes=["100"])

    assert b"AngleInfoRoll" in resized.data
    assert b"AngleInfoRoll" not in turned.data
    assert b"ConfidenceLevel>900<" in turned.data


UNREADABLE: Final = {
    "mwg": regions.mwg_area(x=0.5),
    "a rectangle of three": regions.microsoft([FACE], SIZE).replace(", 0.2<", "<"),
    "words": regions.iptc(regions.boundary("circle", "pixel", rbX=1, rbY=2)),
    "another shape": regions.iptc(regions.boundary("ellipse", "pixel", rbX=1, rbY=2, rbRx=3)),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_region_whose_place_cannot_be_read_is_dropped_with_a_warning(
    name: str, tmp_path: Path
) -> None:
    packet = regions.packet(UNREADABLE[name], 'dc:format="a name"')

    cut = made(tmp_path, _photo(1, packet), filters=["crop:geometry=100x80+0+0"])
    still = made(tmp_path, _photo(1, packet), filters=["exposure:stops=0.5"])

    assert cut.warnings == ["metadata-dropped"]
    assert still.warnings == []
    for word in (b"mwg-rs:Area", b"MPReg:Rectangle", b"rbShape"):
        assert word not in cut.data
    assert b"a name" in cut.data


def test_people_without_a_place_stay(tmp_path: Path) -> None:
    packet = regions.packet(
        '<MP:RegionInfo rdf:parseType="Resource"><MPRI:Regions><rdf:Bag>'
        '<rdf:li MPReg:PersonDisplayName="Ann Example"/>'
        "</rdf:Bag></MPRI:Regions></MP:RegionInfo>"
    )

    output = made(tmp_path, _photo(6, packet), filters=["crop:geometry=50x50+0+0"])

    assert b"Ann Example" in output.data
    assert output.warnings == []


def test_nothing_changes_where_nothing_moves(tmp_path: Path) -> None:
    """The packet is the same, byte for byte."""
    packet = _everywhere()
    photo = _photo(1, packet)

    output = made(tmp_path, photo, filters=["exposure:stops=0.3"])
    copied = made(tmp_path, photo)

    assert packet in output.data
    assert copied.data == photo


@pytest.mark.parametrize("name", UNREADABLE)
def test_relative_regions_are_not_looked_at_by_a_resize(name: str, tmp_path: Path) -> None:
    packet = regions.packet(regions.microsoft([FACE, (0, 0, 0, 0)], SIZE))
    if name in ("mwg", "a rectangle of three"):
        packet = regions.packet(UNREADABLE[name])

    output = made(tmp_path, _photo(1, packet), sizes=["120"])

    assert packet in output.data


@pytest.mark.parametrize("policy", ["copyright", "none"])
def test_policies_that_drop_regions_do_not_warn_of_them(policy: str, tmp_path: Path) -> None:
    packet = regions.packet(UNREADABLE["another shape"])

    output = made(tmp_path, _photo(6, packet), sizes=["100"], metadata=policy)

    assert output.warnings == []
    assert b"ImageRegion" not in output.data


@with_exiftool
@pytest.mark.slow
@pytest.mark.parametrize("target", ["png", "webp", "tiff", "avif", "jxl", "heif"])
def test_regions_move_in_every_format_that_holds_them(target: str, tmp_path: Path) -> None:
    if target == "jxl":
        pytest.importorskip("imagecodecs")
    if target == "heif":
        pytest.importorskip("pillow_heif")

    tags = _read(tmp_path, _everywhere(), orientation=8, format=target, sizes=["120"])

    # Stored lying on its right side: x and y change places, and rows count from below.
    left, top, right, bottom = FACE
    expected = (top / 2, (SIZE[0] - right) / 2, bottom / 2, (SIZE[0] - left) / 2)
    np.testing.assert_allclose(regions.mwg_boxes(tags), [expected], atol=1e-3)


@with_exiftool
@pytest.mark.slow
@pytest.mark.parametrize("source", ["tiff", "heif", "jxl"])
def test_regions_refer_to_what_a_decoder_turns(source: str, tmp_path: Path) -> None:
    """Such a decoder gives upright pixels, but the regions are those of the stored ones."""
    packet = regions.packet(regions.mwg([FACE], SIZE))
    exif = pictures.exif_block(orientation=6, size=SIZE, gps=False).block
    if source == "heif":
        pillow_heif = pytest.importorskip("pillow_heif")
        buffer = BytesIO()
        pillow_heif.from_pillow(_scene()).save(buffer, exif=exif, xmp=packet, quality=95)
        data, suffix = buffer.getvalue(), ".heic"
    elif source == "jxl":
        pytest.importorskip("imagecodecs")
        # The JPEG itself, in another coding.
        data = made(tmp_path, _photo(6, packet), format="jxl", lossless=True).data
        suffix = ".jxl"
    else:
        data, suffix = pictures.with_metadata(_scene(), "TIFF", exif=exif, xmp=packet), ".tif"

    output = made(tmp_path, data, suffix, format="jpeg", sizes=["200"])

    (tags,) = exiftool_tags(output.path.parent, "-ext", "jpg").values()
    square = _square(output.path)
    assert square is not None
    np.testing.assert_allclose(regions.mwg_boxes(tags), [square], atol=1.2)


@with_exiftool
def test_several_outputs_that_start_from_each_other_agree(tmp_path: Path) -> None:
    """The smaller outputs start from the larger; each has the places of a direct way."""
    (tmp_path / "photos").mkdir()
    large = _scene().resize((1920, 1280), Image.Resampling.NEAREST)
    packet = regions.packet(regions.mwg([FACE], SIZE) + regions.microsoft([FACE], SIZE))
    (tmp_path / "photos" / "a.jpg").write_bytes(_photo(6, packet, large))
    recipe = dataclasses.replace(
        imgbatch.Recipe.from_options(sizes=["1000", "300", "60"]),
        prepare=(Crop(geometry="1100x1500+100+200"), Flip()),
    )

    list(imgbatch.run(recipe, [tmp_path / "photos"], output=tmp_path / "out", jobs=1))

    told = exiftool_tags(tmp_path / "out")
    assert len(told) == 3
    for name, tags in told.items():
        (path,) = (tmp_path / "out").rglob(name)
        square = _square(path)
        assert square is not None
        for box in (*regions.mwg_boxes(tags), *regions.microsoft_boxes(tags)):
            assert np.abs(np.subtract(box, square)).max() < 1.5, (name, box, square)


@with_exiftool
def test_a_picture_that_is_shrunk_to_fit_has_the_places_of_its_last_size(tmp_path: Path) -> None:
    noise = np.random.default_rng(5).integers(0, 256, (320, 480, 3), np.uint8)
    packet = regions.packet(regions.mwg([(60, 40, 120, 100)], (480, 320)))

    output = made(
        tmp_path,
        _photo(1, packet, Image.fromarray(noise)),
        filters=["crop:geometry=400x300+20+10"],
        max_bytes="20KB",
    )

    (tags,) = exiftool_tags(output.path.parent).values()
    width, height = opened(output.data).size
    assert width < 400
    assert output.warnings == ["scaled-down"]
    applied = tags["XMP-mwg-rs:RegionInfo"]["AppliedToDimensions"]
    assert (applied["W"], applied["H"]) == (width, height)
    scale = width / 400
    expected = [(40 * scale, 30 * scale, 100 * scale, 90 * scale)]
    np.testing.assert_allclose(regions.mwg_boxes(tags), expected, atol=0.4)


@dataclasses.dataclass(frozen=True, slots=True)
class _Halved(Operation):
    """Of another package, which does not say how it moves pixels."""

    name: ClassVar[str] = "halved"

    def apply(self, picture: Picture) -> Picture:
        width, height = picture.size
        return picture.with_image(picture.image.crop((0, 0, width // 2, height)))

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return size[0] // 2, size[1]


def test_after_an_unknown_move_all_places_are_dropped_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(_photo(1, _everywhere()))
    recipe = dataclasses.replace(imgbatch.Recipe.from_options(), prepare=(_Halved(),))

    (result,) = imgbatch.run(recipe, [tmp_path / "photos"], output=tmp_path / "out", jobs=1)

    data = (tmp_path / "out" / "a.jpg").read_bytes()
    assert {notice.kind for notice in result.notices} == {"metadata-dropped"}
    for word in (b"mwg-rs:Area", b"MPReg:Rectangle", b"rbShape", b"acdsee-rs:Name"):
        assert word not in data
    tags = Image.open(BytesIO(data)).getexif().get_ifd(0x8769)
    assert 0xA002 in tags
    assert not {0x9214, 0xA214} & tags.keys()


@pytest.mark.parametrize(
    "attributes",
    [
        'exif:FocalPlaneXResolution="3200/1" exif:FocalPlaneYResolution="3200/1"',
        'GFocus:FocalPointX="0.5" GFocus:FocalPointY="0.5"',
    ],
)
def test_after_an_unknown_move_xmp_alone_is_no_exception(tmp_path: Path, attributes: str) -> None:
    (tmp_path / "photos").mkdir()
    packet = regions.packet(attributes=attributes)
    (tmp_path / "photos" / "a.jpg").write_bytes(pictures.saved(_scene(), "JPEG", xmp=packet))
    recipe = dataclasses.replace(imgbatch.Recipe.from_options(), prepare=(_Halved(),))

    (result,) = imgbatch.run(recipe, [tmp_path / "photos"], output=tmp_path / "out", jobs=1)

    assert [notice.kind for notice in result.notices] == ["metadata-dropped"]
    assert b"Focal" not in (tmp_path / "out" / "a.jpg").read_bytes()


@with_exiftool
def test_the_first_frame_of_an_animation_has_its_regions(tmp_path: Path) -> None:
    frames = [_scene(), _scene().point(lambda level: 255 - level)]
    data = pictures.saved(
        frames[0],
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        lossless=True,
        xmp=regions.packet(regions.mwg([FACE], SIZE)),
    )

    output = made(tmp_path, data, ".webp", filters=["crop:geometry=100x80+40+20"])

    (tags,) = exiftool_tags(output.path.parent).values()
    np.testing.assert_allclose(regions.mwg_boxes(tags), [(20, 10, 64, 42)], atol=1e-3)
    assert opened(output.data).n_frames == 2  # type: ignore[attr-defined]
