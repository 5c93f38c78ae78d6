"""What files have besides pixels and metadata is carried, listed as without worth, or told.

Judge: exiftool, which lists what it finds in a source and in the output made of it.
"""

from __future__ import annotations

import json
import struct
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image
from toolkit import pictures
from toolkit.exiftool import exiftool
from toolkit.metadata import made, small_tiff, with_exiftool
from toolkit.pictures import image_resource, photoshop_segment, saved, scene, with_segments

import imgbatch
from imgbatch.imaging.codecs import beside
from imgbatch.imaging.codecs.beside import Part
from imgbatch.imaging.containers import jpeg as jpeg_container
from imgbatch.imaging.containers import photoshop
from imgbatch.model import Notice

COLOURS: Final = scene(60, 40)
PLAIN: Final = saved(COLOURS, "JPEG")
ICC: Final = pictures.wide_gamut_profile()
C2PA_UUID: Final = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
NEEDS_HEIF: Final = pytest.mark.skipif(not find_spec("pillow_heif"), reason="imgbatch[heif]")
NEEDS_JXL: Final = pytest.mark.skipif(not find_spec("imagecodecs"), reason="imgbatch[jxl]")


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def jumbf(kind: bytes = b"c2pa") -> bytes:
    """A JUMBF superbox with nothing but its description (ISO 19566-5, 6.2)."""
    uuid = kind + bytes.fromhex("00110010800000aa00389b71")
    return box(b"jumb", box(b"jumd", uuid + b"\3" + kind + b"\0"))


def jpeg(*segments: tuple[int, bytes], **options: Any) -> bytes:
    return with_segments(saved(COLOURS, "JPEG", **options), segments)


def png(kind: bytes, data: bytes = b"data", *, behind: bool = False) -> bytes:
    whole = saved(COLOURS, "PNG")
    at = len(whole) - 12 if behind else 33
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return whole[:at] + chunk + whole[at:]


def webp(kind: bytes, data: bytes = b"data") -> bytes:
    # A profile makes it an extended one.
    whole = saved(COLOURS, "WEBP", icc_profile=pictures.wide_gamut_profile())
    whole += kind + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(whole) - 8) + whole[8:]


def gif(name: bytes, data: bytes = b"data") -> bytes:
    whole = saved(COLOURS, "GIF")
    extension = b"!\xff\x0b" + name.ljust(11, b"\0") + bytes((len(data),)) + data + b"\0"
    return whole[:-1] + extension + b";"


def tiff(tag: int, data: bytes) -> bytes:
    return small_tiff("<", [(tag, 7, data)])


def heif(pixels: Any = COLOURS) -> bytes:
    import pillow_heif

    pillow_heif.register_heif_opener()
    return saved(pixels, "HEIF", quality=50)


def jxl(behind: bytes) -> bytes:
    import imagecodecs

    head = box(b"JXL ", b"\r\n\x87\n") + box(b"ftyp", b"jxl \0\0\0\0jxl ")
    return head + box(b"jxlc", bytes(imagecodecs.jpegxl_encode(COLOURS))) + behind


def notices_of(folder: Path, data: bytes, suffix: str, **options: Any) -> list[Notice]:
    (folder / f"in{suffix}").write_bytes(data)
    recipe = imgbatch.Recipe.from_options(**options)
    (result,) = imgbatch.run(
        recipe, [folder / f"in{suffix}"], output=folder / "out", jobs=1, on_conflict="overwrite"
    )
    assert result.failure is None, result.failure
    return list(result.notices)


# What is told, and what is not


def told(part: Part) -> bool:
    return part.reason == ""


def segment_of(part: Part) -> bytes:
    number = int(part.place.removeprefix("APP"))
    return jpeg((0xFFE0 + number, part.begins + b" and what follows"))


WHOLE: Final = {"JFIF: the resolution", "EXIF", "XMP", "extended XMP", "the colour profile"}
"""Segments that are more than their first bytes."""

PARTS: Final = [
    *((one, segment_of(one), ".jpg") for one in beside.JPEG if one.place != "COM"),
    *((one, png(one.begins), ".png") for one in beside.PNG if one.reason is not None),
    *((one, webp(one.begins), ".webp") for one in beside.WEBP if one.reason is not None),
    *((one, gif(one.begins), ".gif") for one in beside.GIF if one.reason is not None),
]


@pytest.mark.parametrize(
    ("part", "data", "suffix"),
    [
        pytest.param(*one, id=f"{one[2]}-{number}")
        for number, one in enumerate(PARTS)
        if one[0].name not in WHOLE and one[0].begins != b"plain text"
    ],
)
def test_each_part_of_the_table_is_told_or_without_worth(
    tmp_path: Path, part: Part, data: bytes, suffix: str
) -> None:
    found = notices_of(tmp_path, data, suffix, sizes=["30"])
    assert [one.kind for one in found] == ([part.kind] if told(part) else [])
    # Nothing is lost in a copy, and nothing is told to those who keep no metadata.
    assert notices_of(tmp_path, data, suffix) == []
    if part.kind in ("extras-dropped", "credentials-dropped"):
        assert notices_of(tmp_path, data, suffix, sizes=["30"], metadata="none") == []


def test_credentials_over_several_segments_are_told_once(tmp_path: Path) -> None:
    """The parts of a box have its instance number in common (ISO 19566-5, annex D)."""
    parts = [(0xFFEB, b"JP\0\1\0\0\0\1" + jumbf()), (0xFFEB, b"JP\0\1\0\0\0\2" + bytes(60))]
    other = (0xFFEB, b"JP\0\2\0\0\0\1" + jumbf(b"json"))

    found = notices_of(tmp_path, jpeg(*parts), ".jpg", sizes=["30"])
    beside_it = notices_of(tmp_path, jpeg(other, *parts), ".jpg", sizes=["30"])

    assert [one.kind for one in found] == ["credentials-dropped"]
    assert [one.kind for one in beside_it] == ["credentials-dropped", "extras-dropped"]


UNKNOWN: Final = {
    "a segment": (jpeg((0xFFE9, b"nobody knows")), ".jpg", "APP9"),
    "a chunk": (png(b"zzZz"), ".png", "zzZz"),
    "a chunk behind the pixels": (png(b"zzZz", behind=True), ".png", "zzZz"),
    "a chunk of a WebP": (webp(b"ZZZZ"), ".webp", "ZZZZ"),
    "an extension": (gif(b"FRACTINT001"), ".gif", "FRACTINT001"),
    "an image resource": (jpeg(photoshop_segment(image_resource(9_000, b"x"))), ".jpg", "9000"),
    "an image resource in a TIFF": (tiff(0x8649, image_resource(9_000, b"xy")), ".tif", "9000"),
    "layers": (tiff(0x935C, b"Adobe Photoshop"), ".tif", "layers"),
    "a box of an AVIF": (saved(COLOURS, "AVIF") + box(b"ZZZZ", b"x"), ".avif", "ZZZZ"),
    "a box of a JPEG 2000": (saved(COLOURS, "JPEG2000") + box(b"jp2i", b"x"), ".jp2", "IP rights"),
    "XML in a JPEG 2000": (saved(COLOURS, "JPEG2000") + box(b"xml ", b"<gml/>"), ".jp2", "XML"),
    "a UUID": (saved(COLOURS, "JPEG2000") + box(b"uuid", bytes(20)), ".jp2", "UUID"),
    "other JUMBF": (jpeg((0xFFEB, b"JP\0\1\0\0\0\1" + jumbf(b"json"))), ".jpg", "JUMBF"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_nobody_knows_is_told(tmp_path: Path, name: str) -> None:
    data, suffix, words = UNKNOWN[name]
    (notice,) = notices_of(tmp_path, data, suffix, sizes=["3"])
    assert notice.kind == "extras-dropped"
    assert words in notice.message


def in_each_format() -> dict[str, tuple[bytes, str]]:
    """Content Credentials where C2PA 2.1, A.3, has them."""
    in_uuid = box(b"uuid", C2PA_UUID + bytes(4) + b"manifest\0" + bytes(8) + jumbf())
    found = {
        "JPEG": (jpeg((0xFFEB, b"JP\0\1\0\0\0\1" + jumbf())), ".jpg"),
        "PNG": (png(b"caBX", jumbf()), ".png"),
        "WebP": (webp(b"C2PA", jumbf()), ".webp"),
        "GIF": (gif(b"C2PA_GIF\1\0\0", jumbf()), ".gif"),
        "TIFF": (tiff(0xCD41, jumbf()), ".tif"),
        "AVIF": (saved(COLOURS, "AVIF") + in_uuid, ".avif"),
        "JPEG 2000": (saved(COLOURS, "JPEG2000") + in_uuid, ".jp2"),
    }
    if find_spec("pillow_heif"):
        found["HEIC"] = heif() + in_uuid, ".heic"
    if find_spec("imagecodecs"):
        found["JPEG XL"] = jxl(jumbf()), ".jxl"
    return found


CREDENTIALS: Final = in_each_format()


@pytest.mark.parametrize("name", CREDENTIALS)
def test_content_credentials_are_told_in_each_format(tmp_path: Path, name: str) -> None:
    data, suffix = CREDENTIALS[name]
    found = notices_of(tmp_path, data, suffix, format="jpeg", sizes=["3"])
    assert [one.kind for one in found] == ["credentials-dropped"]
    assert "C2PA" in found[0].message
    assert b"c2pa" not in next((tmp_path / "out").glob("in.*")).read_bytes()
    assert notices_of(tmp_path, data, suffix, format="jpeg", sizes=["3"], metadata="none") == []


@pytest.mark.parametrize("order", [(b"c2pa", b"json"), (b"json", b"c2pa")])
def test_content_credentials_are_told_beside_other_jumbf(
    tmp_path: Path, order: tuple[bytes, bytes]
) -> None:
    data = saved(COLOURS, "AVIF") + b"".join(map(jumbf, order))
    found = notices_of(tmp_path, data, ".avif", format="jpeg", sizes=["3"])
    assert "credentials-dropped" in [one.kind for one in found]


# Judged by exiftool


def groups(path: Path) -> set[str]:
    """The groups of the tags that exiftool finds in a file, but for those it makes up."""
    (tags,) = json.loads(exiftool("-j", "-G1", "-a", "-u", path))
    found = {key.partition(":")[0] for key in tags}
    return found - {"SourceFile", "ExifTool", "System", "File", "Composite"}


@with_exiftool
def test_exiftool_misses_nothing_that_is_not_told_or_listed(tmp_path: Path) -> None:
    flir = b"FLIR\0\1\0\0" + b"FFF\0".ljust(64, b"\0")
    kodak = (
        b"Meta\0\0" + pictures.tiff_header("<") + pictures.directory("<", [(0xC350, 3, b"\1\0")], 8)
    )
    data = jpeg(
        (0xFFE0, b"JFXX\0\x10" + pictures.small_jpeg()),
        (0xFFE1, b"Exif\0\0" + pictures.exif_block(orientation=1).block),
        (0xFFE1, b"http://ns.adobe.com/xap/1.0/\0" + pictures.xmp_packet()),
        (0xFFE1, flir),
        (0xFFE3, kodak),
        (0xFFEB, b"JP\0\1\0\0\0\1" + jumbf()),
        (0xFFEC, b"Ducky\0\1\0\4\0\0\0\x3c\0\0"),
        photoshop_segment(image_resource(0x0404, pictures.iptc_records())),
        (0xFFEE, b"Adobe\0\x64\0\0\0\0\1"),
        (0xFFEF, b"Q 85"),
        icc_profile=ICC,
    )
    before = tmp_path / "before.jpg"
    before.write_bytes(data)
    result = made(tmp_path, data, sizes=["30"])
    lost = groups(before) - groups(result.path)
    # A preview; what is told; and what only says how the file was coded.
    assert lost == {"JFXX", "IFD1", "JUMBF", "MetaIFD", "Ducky", "Adobe", "GraphConv"}
    assert sorted(result.warnings) == ["credentials-dropped", "extras-dropped", "extras-dropped"]


# Clipping paths


def clipped(form: str = "JPEG") -> bytes:
    """A path of a triangle, in fractions of the sides (8.24), and the name of the clipping path."""
    knots = [(0.25, 0.25), (0.25, 0.75), (0.75, 0.5)]
    point = [struct.pack(">ii", round(y * 2**24), round(x * 2**24)) for y, x in knots]
    records = struct.pack(">HH22x", 6, 0) + struct.pack(">HH22x", 0, len(knots))
    records += b"".join(struct.pack(">H", 1) + one * 3 for one in point)
    resources = image_resource(2_000, records, b"Outline")
    resources += image_resource(2_999, b"\7Outline\0\0\0\0\0")
    if form == "TIFF":
        return tiff(0x8649, resources)
    return jpeg(photoshop_segment(resources))


def test_a_path_that_is_cut_short_is_dropped_and_told(tmp_path: Path) -> None:
    whole = image_resource(2_000, bytes(52), b"Outline")
    cut = whole + image_resource(2_001, bytes(5_200), b"Second")[:-3_000]

    output = made(tmp_path, jpeg(photoshop_segment(cut)), format="tiff")

    assert photoshop.paths(cut) == whole
    assert whole in output.data
    assert b"Second" not in output.data
    assert output.warnings == ["metadata-dropped"]


def test_a_path_without_padding_at_the_end_is_kept(tmp_path: Path) -> None:
    whole = image_resource(2_999, b"\7Outline\0\0\0\0\0")
    assert len(whole) % 2 == 0

    output = made(tmp_path, jpeg(photoshop_segment(whole[:-1])), format="tiff")

    assert whole in output.data
    assert output.warnings == []


def test_resources_of_photoshop_are_told_in_good_words(tmp_path: Path) -> None:
    def messages(*numbers: int) -> list[str]:
        resources = [image_resource(one, b"xy") for one in numbers]
        data = jpeg(photoshop_segment(*resources))
        return [one.message for one in notices_of(tmp_path, data, ".jpg", sizes=["30"])]

    # PrintInfo, RawImageMode and one that is obsolete, in exiftool's table.
    assert messages(0x042F, 0x0405, 0x0403) == []
    assert messages(9_000) == ["Photoshop's resource 9000 dropped: it cannot be carried along"]
    assert messages(9_000, 9_001) == [
        "Photoshop's resources 9000, 9001 dropped: they cannot be carried along"
    ]


def path_in(file: Path) -> tuple[str, bytes]:
    """The name of the clipping path, and the first path's records, as exiftool reads them."""
    name = exiftool("-b", "-Photoshop:ClippingPathName", file).decode()
    # Without tags that only tables of user-defined paths name.
    return name, exiftool("-b", "-u", "-Photoshop:Path*", file)


@with_exiftool
@pytest.mark.parametrize("target", ["jpeg", "png", "tiff"])
@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_clipping_paths_are_kept(tmp_path: Path, form: str, target: str) -> None:
    suffix = {"JPEG": ".jpg", "TIFF": ".tif"}[form]
    data = clipped(form)
    before = tmp_path / f"before{suffix}"
    before.write_bytes(data)
    result = made(tmp_path, data, suffix, format=target, sizes=["3"])
    assert result.warnings == []
    assert path_in(result.path) == path_in(before)
    assert path_in(result.path)[0] == "Outline"


@with_exiftool
def test_clipping_paths_and_iptc_stay_together(tmp_path: Path) -> None:
    segment = photoshop_segment(image_resource(0x0404, pictures.iptc_records()))
    data = with_segments(clipped(), [segment])
    for target in ("jpeg", "png", "tiff"):
        result = made(tmp_path, data, format=target, sizes=["30"])
        assert result.warnings == []
        assert path_in(result.path)[0] == "Outline"
        assert {"IPTC", "Photoshop"} <= groups(result.path)


MOVED: Final[dict[str, dict[str, Any]]] = {
    "cropped": {"sizes": ["30x30"], "fit": "cover"},
    "padded": {"sizes": ["30x30"], "fit": "pad"},
    "cut": {"filters": ["crop:geometry=20x20+3+3"]},
    "turned": {"filters": ["rotate:angle=180"]},
    "mirrored": {"filters": ["flip"]},
    "bordered": {"filters": ["border:size=3"]},
}
KEPT: Final[dict[str, dict[str, Any]]] = {
    "smaller": {"sizes": ["30"]},
    "squeezed": {"sizes": ["30x30"], "fit": "exact"},
    "sharper": {"sizes": ["30"], "filters": ["sharpen", "contrast:amount=1.2"]},
    "cropped to the same ratio": {"sizes": ["30x20"], "fit": "cover"},
    "turned all the way": {"sizes": ["30"], "filters": ["rotate:angle=360"]},
}


@pytest.mark.parametrize("name", [*MOVED, *KEPT])
def test_clipping_paths_are_dropped_where_pixels_move(tmp_path: Path, name: str) -> None:
    result = made(tmp_path, clipped(), **(MOVED | KEPT)[name])
    assert result.warnings == (["metadata-dropped"] if name in MOVED else [])
    assert (b"Outline" in result.data) == (name in KEPT)


def test_clipping_paths_of_a_picture_on_its_side_are_dropped(tmp_path: Path) -> None:
    block = pictures.exif_block(orientation=6).block
    data = with_segments(clipped(), [(0xFFE1, b"Exif\0\0" + block)])
    result = made(tmp_path, data, sizes=["30"])
    assert result.warnings == ["metadata-dropped"]
    assert b"Outline" not in result.data


def test_clipping_paths_follow_the_policy(tmp_path: Path) -> None:
    for policy, kept in {"all": True, "no-gps": True, "copyright": False, "none": False}.items():
        result = made(tmp_path, clipped(), sizes=["30"], metadata=policy)
        assert (result.warnings, b"Outline" in result.data) == ([], kept)
    assert made(tmp_path, clipped(), format="webp").warnings == ["metadata-dropped"]
    assert made(tmp_path, clipped(), format="webp", metadata="copyright").warnings == []


# Profiles in pieces


def in_pieces(*pieces: tuple[int, int, bytes]) -> bytes:
    return jpeg(
        *(
            (0xFFE2, b"ICC_PROFILE\0" + bytes((number, count)) + one)
            for number, count, one in pieces
        )
    )


HALF: Final = len(ICC) // 2
FIRST, SECOND = ICC[:HALF], ICC[HALF:]
PIECES: Final = {
    "in order": ([(1, 2, FIRST), (2, 2, SECOND)], True),
    "out of order": ([(2, 2, SECOND), (1, 2, FIRST)], True),
    "one twice": ([(1, 2, FIRST), (1, 2, FIRST), (2, 2, SECOND)], True),
    "counted from 0": ([(0, 2, FIRST), (1, 2, SECOND)], True),
    "with a wrong count": ([(1, 3, FIRST), (2, 3, SECOND)], True),
    "alone with a wrong count": ([(1, 2, ICC)], True),
    "without the second": ([(1, 2, FIRST)], False),
    "without the first": ([(2, 2, SECOND)], False),
    "with a gap": ([(1, 3, FIRST), (3, 3, SECOND)], False),
    "of one number": ([(1, 2, FIRST), (1, 2, SECOND)], False),
}


@with_exiftool
@pytest.mark.parametrize("name", PIECES)
def test_profile_with_a_missing_piece_is_told(tmp_path: Path, name: str) -> None:
    """The pieces of a profile (ICC.1:2022, B.4), of which exiftool puts the whole ones together."""
    pieces, whole = PIECES[name]
    payloads = [b"ICC_PROFILE\0" + bytes(head) + piece for *head, piece in pieces]
    assert jpeg_container.joined_icc(payloads) == (ICC if whole else None)
    result = made(tmp_path, in_pieces(*pieces), sizes=["30"])
    assert result.warnings == ([] if whole else ["profile-dropped"])
    assert exiftool("-b", "-icc_profile", result.path) == (ICC if whole else b"")


@with_exiftool
@pytest.mark.parametrize("method", [b"\2", b"\3"])
def test_profile_of_a_jpeg_2000_is_kept(tmp_path: Path, method: bytes) -> None:
    """In the box on colours (ISO 15444-1, I.5.3.3), where exiftool finds it, too."""
    plain = saved(COLOURS, "JPEG2000")
    at, colours = plain.index(b"jp2h") - 4, plain.index(b"colr") - 4
    (length,) = struct.unpack_from(">I", plain, at)
    assert struct.unpack_from(">I", plain, colours) == (15,)
    header = plain[at + 8 : colours] + box(b"colr", method + b"\0\0" + ICC)
    header += plain[colours + 15 : at + length]
    data = plain[:at] + box(b"jp2h", header) + plain[at + length :]
    (tmp_path / "before.jp2").write_bytes(data)
    result = made(tmp_path, data, ".jp2", format="png", sizes=["30"])
    assert result.warnings == []
    for path in (tmp_path / "before.jp2", result.path):
        assert exiftool("-b", "-icc_profile", path) == ICC


def test_profile_of_a_png_that_cannot_be_unpacked_is_told(tmp_path: Path) -> None:
    data = png(b"iCCP", b"name\0\0" + b"not zlib data")
    assert made(tmp_path, data, ".png", sizes=["30"]).warnings == ["profile-dropped"]


# Videos and sounds


def samsung(kind: int, name: bytes, data: bytes, *, exif: bool = True) -> bytes:
    """A JPEG with the trailer of Samsung's telephones, as exiftool reads it."""
    block = struct.pack("<HHI", 0, kind, len(name)) + name + data
    directory = (
        b"SEFH" + struct.pack("<II", 101, 1) + struct.pack("<HHII", 0, kind, len(block), len(block))
    )
    segments = []
    if exif:
        fields: list[pictures.Field] = [(0x010F, 2, pictures.text("samsung"))]
        segments = [
            (0xFFE1, b"Exif\0\0" + pictures.tiff_header("<") + pictures.directory("<", fields, 8))
        ]
    return jpeg(*segments) + block + directory + struct.pack("<I", len(directory)) + b"SEFT"


VIDEO: Final = struct.pack(">I", 24) + b"ftypmp42" + bytes(60)


@with_exiftool
@pytest.mark.parametrize(
    ("kind", "name", "tag", "warnings"),
    [
        (0x0A30, b"MotionPhoto_Data", "EmbeddedVideoFile", ["video-dropped"]),
        (0x0100, b"SoundShot_000", "EmbeddedAudioFile", ["extras-dropped"]),
        (0x0A20, b"FlipPhoto_002", "DualCameraImage", ["gain-map-dropped"]),
        (0x0A01, b"Image_UTC_Data", "TimeStamp", []),
    ],
)
def test_trailer_of_samsung_is_read(
    tmp_path: Path, kind: int, name: bytes, tag: str, warnings: list[str]
) -> None:
    data = samsung(kind, name, VIDEO if warnings else b"1700000000000")
    (tmp_path / "before.jpg").write_bytes(data)
    assert tag in exiftool("-G1", "-s", f"-{tag}", tmp_path / "before.jpg").decode()
    assert made(tmp_path, data, sizes=["30"]).warnings == warnings
    assert made(tmp_path, data[:-1], sizes=["30"]).warnings == []


def test_video_in_a_box_is_told(tmp_path: Path) -> None:
    data = saved(COLOURS, "AVIF") + box(b"mpvd", VIDEO)
    assert made(tmp_path, data, ".avif", sizes=["30"]).warnings == ["video-dropped"]


@NEEDS_HEIF
def test_video_of_a_heic_is_told(tmp_path: Path) -> None:
    data = heif() + box(b"mpvd", VIDEO)
    assert made(tmp_path, data, ".heic", format="jpeg").warnings == ["video-dropped"]
    assert made(tmp_path, heif(), ".heic", format="jpeg").warnings == []


# XMP in a box for XML


@with_exiftool
@pytest.mark.parametrize("target", ["jpeg", "jpeg2000"])
def test_xmp_in_the_xml_box_of_a_jpeg_2000_is_read(tmp_path: Path, target: str) -> None:
    data = saved(COLOURS, "JPEG2000") + box(b"xml ", pictures.xmp_packet())
    result = made(tmp_path, data, ".jp2", format=target, sizes=["30"])
    assert result.warnings == []
    told = exiftool("-XMP-dc:Rights", "-s3", result.path).decode()
    assert told.strip() == pictures.XMP_RIGHTS


def test_photographs_of_cameras_and_programs_are_not_warned_of(tmp_path: Path) -> None:
    """Previews, indexes and settings, as the usual ones have them."""
    resources = b"".join(
        image_resource(number, b"data")
        for number in (0x03ED, 0x03F3, 0x0406, 0x0408, 0x040A, 0x040C, 0x0414, 0x041A, 0x0425)
    )
    data = jpeg(
        (0xFFE0, b"JFXX\0\x10" + pictures.small_jpeg()),
        (0xFFE2, b"MPF\0" + bytes(20)),
        (0xFFE4, b"SCALADO\0\0\0\0"),
        (0xFFEC, b"Ducky\0\1"),
        photoshop_segment(resources),
        (0xFFEE, b"Adobe\0\x64\0\0\0\0\1"),
    )
    assert made(tmp_path, data, sizes=["30"]).warnings == []


@with_exiftool
@pytest.mark.parametrize(("kind", "warnings"), [(0x010002, []), (0x020002, ["gain-map-dropped"])])
def test_previews_behind_a_jpeg_are_without_worth_but_not_other_views(
    tmp_path: Path, kind: int, warnings: list[str]
) -> None:
    """The type of the second picture (CIPA DC-007, 5.2.3.3.1), which exiftool names."""
    data = bytearray(saved(COLOURS, "MPO", save_all=True, append_images=[Image.fromarray(COLOURS)]))
    entries = data.index(struct.pack("<HHI", 0xB002, 7, 32)) + 8
    (place,) = struct.unpack_from("<I", data, entries)
    at = data.index(b"MPF\0") + 4 + place + 16
    data[at : at + 4] = struct.pack("<I", kind)
    path = tmp_path / "before.jpg"
    path.write_bytes(data)
    named = exiftool("-MPImage2:MPImageType", "-a", "-G1", path).decode()
    assert ("Large Thumbnail" in named) == (not warnings), named
    assert made(tmp_path, bytes(data), sizes=["30"]).warnings == warnings
