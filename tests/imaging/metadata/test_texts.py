"""Comments, texts and IPTC."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Final

import pytest
from PIL.PngImagePlugin import PngInfo
from toolkit import pictures
from toolkit.metadata import comment_of, made, small_tiff
from toolkit.pictures import opened

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


@pytest.mark.parametrize("source", COMMENTED)
@pytest.mark.parametrize("target", COMMENTED)
def test_comment_is_carried_where_the_format_has_one(
    tmp_path: Path, source: str, target: str
) -> None:
    data = commented(source, "Grüße vom Ufer: 好")
    result = made(tmp_path, data, COMMENTED[source][1], format=COMMENTED[target][0], sizes=["32"])
    assert comment_of(result.data) == "Grüße vom Ufer: 好"
    assert result.warnings == []


@pytest.mark.parametrize("target", ["webp", "avif", "tiff", "bmp", "ppm"])
def test_comment_without_a_place_is_dropped_with_a_warning(tmp_path: Path, target: str) -> None:
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
def test_comment_may_be_too_long_for_a_jpeg(tmp_path: Path, length: int) -> None:
    result = made(tmp_path, commented("PNG", "a" * length), ".png", format="jpeg")
    assert (comment_of(result.data) is None) == (length > 65_533)
    assert result.warnings == (["metadata-dropped"] if length > 65_533 else [])


@pytest.mark.parametrize("signature", ["CREATOR: gd-jpeg v1.0, quality = 90", "Lavc58.91.100"])
def test_encoder_signature_is_not_a_comment(tmp_path: Path, signature: str) -> None:
    result = made(tmp_path, commented("JPEG", signature), format="webp")
    assert result.warnings == []


def test_openjpeg_comment_is_ignored(tmp_path: Path) -> None:
    data = pictures.saved(pictures.quarters(), "JPEG2000")
    assert b"Created by OpenJPEG" in data
    result = made(tmp_path, data, ".jp2", format="png")
    assert (comment_of(result.data), result.warnings) == (None, [])


def texts_of(data: bytes) -> dict[str, str]:
    """The texts of a PNG, without its XMP."""
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
def test_png_texts_are_carried_to_a_png(tmp_path: Path, policy: str, gone: set[str]) -> None:
    """Without those that repeat the old size."""
    result = made(tmp_path, with_texts(), ".png", sizes=["32"], metadata=policy)
    assert texts_of(result.data) == {key: TEXTS[key] for key in set(TEXTS) - gone}
    assert result.warnings == []


def test_png_texts_are_dropped_elsewhere_with_a_warning(tmp_path: Path) -> None:
    assert made(tmp_path, with_texts(), ".png", format="jpeg").warnings == ["metadata-dropped"]
    result = made(tmp_path, with_texts(), ".png", format="jpeg", metadata="none")
    assert result.warnings == []


# IPTC


def test_no_gps_drops_a_caption_with_a_position(tmp_path: Path) -> None:
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
def test_records_of_any_length_are_carried_byte_by_byte(
    tmp_path: Path, target: str, length: int
) -> None:
    """Photoshop splits what is too long for one segment; the parts are joined."""
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
def test_records_stored_as_numbers_in_a_tiff_are_found(
    tmp_path: Path, order: pictures.Order, turned: bool
) -> None:
    """Some programs write the bytes as LONGs, and a library may swap these."""
    records = pictures.iptc_records()
    records += b"\0" * (-len(records) % 4)
    if turned:
        numbers = struct.unpack(f"<{len(records) // 4}I", records)
        records = struct.pack(f">{len(numbers)}I", *numbers)
    data = small_tiff(order, [(0x83BB, 4, records)])
    after = made(tmp_path, data, ".tif", format="jpeg").data
    assert pictures.image_resource(0x0404, pictures.iptc_records()) in after
