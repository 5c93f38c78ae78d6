"""The table of formats: files are recognised by content."""

from __future__ import annotations

import mimetypes
from io import BytesIO
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imgbatch.errors import UsageError
from imgbatch.imaging import formats
from imgbatch.imaging.formats import BY_NAME, FORMATS, Format

WRITTEN_FORMATS: Final = [BY_NAME[name] for name in formats.WRITABLE]
PROPERTY: Final = settings(max_examples=200, deadline=None, database=None, derandomize=True)


def _saved(mode: str, pillow: str, **options: Any) -> bytes:
    file = BytesIO()
    Image.new(mode, (24, 16), 1).save(file, pillow, **options)
    return file.getvalue()


def _animated(pillow: str) -> bytes:
    frames = [Image.new("RGB", (24, 16), colour) for colour in ("red", "blue")]
    return _saved("RGB", pillow, save_all=True, append_images=frames)


_MADE: Final[dict[str, list[tuple[str, dict[str, Any]]]]] = {
    "jpeg": [("RGB", {}), ("L", {"progressive": True}), ("CMYK", {}), ("RGB", {"exif": b"x" * 9})],
    "png": [("RGB", {}), ("P", {}), ("I;16", {}), ("1", {})],
    "webp": [("RGB", {}), ("RGBA", {"lossless": True})],
    "avif": [("RGB", {}), ("RGBA", {})],
    "tiff": [("RGB", {}), ("I;16B", {}), ("RGB", {"big_tiff": True}), ("CMYK", {})],
    "gif": [("P", {}), ("P", {"comment": b"so it is 89a"})],
    "bmp": [("RGB", {}), ("1", {})],
    "jpeg2000": [("RGB", {}), ("RGB", {"no_jp2": True})],
    "ppm": [("1", {}), ("L", {}), ("RGB", {}), ("F", {})],
    "qoi": [("RGB", {}), ("RGBA", {})],
    "ico": [("RGBA", {"sizes": [(16, 16)]})],
    "tga": [("RGB", {}), ("L", {"compression": "tga_rle"})],
    "heif": [("RGB", {}), ("RGBA", {})],
    "jxl": [("RGB", {}), ("I;16", {}), ("RGBA", {"distance": 1, "exif": b"II*\0"})],
}

BY_CONTENT: Final = [row for row in FORMATS if row.signatures]


def _made(row: Format) -> list[bytes]:
    formats.codec(row)
    if not formats.available(row):
        pytest.skip(f"Pillow was built without {row.label}")
    return [_saved(mode, formats.codec(row).pillow, **options) for mode, options in _MADE[row.name]]


@pytest.mark.parametrize("suffix", ["", ".jpg", ".png", ".tga", ".txt"])
@pytest.mark.parametrize("row", BY_CONTENT, ids=lambda row: row.name)
def test_file_is_recognised_by_content_whatever_its_name(row: Format, suffix: str) -> None:
    for data in _made(row):
        assert formats.recognise(data[: formats.HEAD_BYTES], suffix) is row


@pytest.mark.parametrize("name", ["png", "webp", "gif", "tiff", "avif"])
def test_animation_is_recognised_too(name: str) -> None:
    row = BY_NAME[name]
    formats.codec(row)
    if not formats.available(row):
        pytest.skip(f"Pillow was built without {row.label}")
    assert formats.recognise(_animated(formats.codec(row).pillow)[: formats.HEAD_BYTES], "") is row


def test_a_jpeg_with_a_second_picture_is_a_jpeg() -> None:
    formats.codec(BY_NAME["jpeg"])
    assert formats.recognise(_animated("MPO")[: formats.HEAD_BYTES], ".mpo") is BY_NAME["jpeg"]


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"P1\n2 2\n0 1 1 0\n", "ppm"),
        (b"P2\n2 2\n255\n", "ppm"),
        (b"P3\n2 2\n255\n", "ppm"),
        (b"MM\0*\0\0\0\x08", "tiff"),
        (b"MM\0+\0\x08\0\0", "tiff"),
        (b"GIF87a\1\0\1\0", "gif"),
    ],
)
def test_formats_that_pillow_cannot_write_are_recognised_too(head: bytes, name: str) -> None:
    assert formats.recognise(head, "") is BY_NAME[name]


def test_every_format_is_made_here() -> None:
    # Raw files of cameras have tests of their own.
    assert set(_MADE) == set(formats.WRITABLE)


@pytest.mark.parametrize("suffix", [".tga", ".icb", ".vda", ".vst"])
def test_targa_without_signature_is_recognised_by_suffix(suffix: str) -> None:
    for data in _made(BY_NAME["tga"]):
        assert formats.recognise(data[: formats.HEAD_BYTES], suffix) is BY_NAME["tga"]


@pytest.mark.parametrize("suffix", ["", ".jpg", ".txt"])
def test_without_signature_or_such_a_suffix_nothing_is_recognised(suffix: str) -> None:
    for data in [*_made(BY_NAME["tga"]), b"", b"just words", b"RIFF\0\1\0\0WAVEfmt "]:
        assert formats.recognise(data[: formats.HEAD_BYTES], suffix) is None


FOREIGN: Final = [
    (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"),
    (b"\xc5\xd0\xd3\xc6\x20\0\0\0", "PostScript"),
    (b"%PDF-1.7\n", "PDF"),
    (b"8BPS\0\1\0\0", "Photoshop"),
    (b"\0\0\0\x18ftypisom\0\0\0\0", "video"),
    (b"\0\0\0\x14ftypqt  \0\0\0\0", "video"),
    (b"\x1aE\xdf\xa3\x01\0\0\0", "Matroska"),
    (b"PK\3\4\x14\0\0\0", "ZIP"),
    (b"<svg xmlns=", "SVG"),
    (b"<?xml version=", "XML"),
    (b"<!DOCTYPE html>", "web page"),
    (b"<html><head>", "web page"),
]


@pytest.mark.parametrize("suffix", [".jpg", ".tga", ""])
@pytest.mark.parametrize(("head", "what"), FOREIGN, ids=lambda value: str(value)[:20])
def test_foreign_file_is_not_recognised_but_named(head: bytes, what: str, suffix: str) -> None:
    assert formats.recognise(head, suffix) is None
    assert what in (formats.describe_foreign(head) or "")


def test_unknown_content_is_given_no_name() -> None:
    assert formats.describe_foreign(b"") is None
    assert formats.describe_foreign(b"hello") is None


@PROPERTY
@given(head=st.binary(max_size=formats.HEAD_BYTES))
def test_any_bytes_are_recognised_or_not_without_an_error(head: bytes) -> None:
    row = formats.recognise(head, ".jpg")
    assert row is None or row.matches(head)
    # An incomplete signature does not count.
    assert not any(row.matches(head[:1]) for row in FORMATS)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        *((name, name) for name in formats.WRITABLE),
        *((name.upper(), name) for name in formats.WRITABLE),
        *(("jpg", "jpeg"), (".JPG", "jpeg"), (".jpeg", "jpeg"), ("Jpg", "jpeg")),
        *(("tif", "tiff"), (".TIF", "tiff"), ("jp2", "jpeg2000"), ("j2k", "jpeg2000")),
        *(("pgm", "ppm"), (".png", "png")),
    ],
)
def test_format_is_found_by_all_its_spellings(word: str, name: str) -> None:
    assert formats.lookup(word) is BY_NAME[name]


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("jpge", ["'jpge'", "did you mean jpeg?"]),
        ("WEPB", ["'WEPB'", "did you mean webp?"]),
        ("tifff", ["did you mean tiff?"]),
        ("avi", ["did you mean avif?"]),
        ("raw", ["unknown format 'raw'", "one of: keep"]),
        ("", ["''", "one of: keep, jpeg, png"]),
        ("document", ["'document'", "one of: keep, jpeg, png"]),
    ],
)
def test_unknown_format_is_refused_with_the_nearest_or_all(word: str, parts: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        formats.lookup(word)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("jpeg", ".jpg", ".jpg"),
        ("jpeg", ".JPG", ".JPG"),
        ("jpeg", ".jpeg", ".jpeg"),
        ("jpeg", ".jfif", ".jfif"),
        # What is written is no longer a multi-picture file.
        ("jpeg", ".mpo", ".jpg"),
        ("jpeg", ".png", ".jpg"),
        ("jpeg", "", ".jpg"),
        ("png", ".apng", ".png"),
        ("tiff", ".TIFF", ".TIFF"),
        ("tiff", ".jpg", ".tif"),
        ("ppm", ".pgm", ".pgm"),
        ("ppm", ".pfm", ".ppm"),
        ("jpeg2000", ".j2k", ".j2k"),
        ("webp", ".jpg", ".webp"),
    ],
)
def test_output_keeps_its_suffix_only_if_it_fits_the_format(
    name: str, before: str, after: str
) -> None:
    assert BY_NAME[name].suffix_for(before) == after


def test_every_suffix_is_lower_case_and_belongs_to_one_format() -> None:
    suffixes = [one for row in FORMATS for one in (*row.suffixes, *row.read_suffixes)]
    assert len(set(suffixes)) == len(suffixes)
    assert all(one == one.lower() and one.startswith(".") for one in suffixes)
    assert {one: row.name for one, row in formats.SUFFIXES.items()} == {
        one: row.name for row in FORMATS for one in (*row.suffixes, *row.read_suffixes)
    }


@pytest.mark.parametrize("row", BY_CONTENT, ids=lambda row: row.name)
def test_enough_of_a_file_is_read_to_recognise_it(row: Format) -> None:
    for signature in row.signatures:
        assert max(offset + len(magic) for offset, magic in signature) <= formats.HEAD_BYTES


@pytest.mark.parametrize("row", WRITTEN_FORMATS, ids=lambda row: row.name)
def test_pillow_writes_and_reads_back_every_mode_in_the_table(row: Format) -> None:
    formats.codec(row)
    if not formats.available(row):
        pytest.skip(f"Pillow was built without {row.label}")
    for mode in row.modes:
        options = {"sizes": [(24, 16)]} if row.name == "ico" else {}
        data = _saved(mode, formats.codec(row).pillow, **options)
        with Image.open(BytesIO(data), formats=(formats.codec(row).pillow,)) as image:
            image.load()
            assert image.size == (24, 16)
    assert row.alpha == ("RGBA" in row.modes)


def test_media_types_are_those_that_python_and_pillow_know() -> None:
    kinds = mimetypes.MimeTypes()
    for row in WRITTEN_FORMATS:
        known = {kinds.guess_type(f"a{suffix}")[0] for suffix in row.suffixes}
        if formats.available(row):
            known.add(Image.MIME.get(formats.codec(row).pillow))
        # QOI is not registered, and they do not know JPEG XL (ISO 18181-2, annex E).
        assert row.mime in known or row.name in ("qoi", "jxl"), (row.name, known)
