"""Chunks of WebPs, made by Pillow, are found where they are."""

from __future__ import annotations

import pytest
from toolkit.pictures import saved, scene

from imgbatch.imaging.containers import riff

STILL = saved(scene(33, 21), "WEBP")
WITH_EXIF = saved(scene(34, 22), "WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0")
LOSSLESS = saved(scene(35, 23), "WEBP", lossless=True)


def test_chunks_of_a_file() -> None:
    assert [kind for kind, _ in riff.chunk_ends(STILL)] == [b"VP8 "]
    assert [kind for kind, _ in riff.chunk_ends(WITH_EXIF)] == [b"VP8X", b"VP8 ", b"EXIF"]


def test_last_chunk_ends_where_the_header_says() -> None:
    *_, (_, stop) = riff.chunk_ends(WITH_EXIF)

    assert stop == riff.declared_end(WITH_EXIF) == len(WITH_EXIF)
    assert [kind for kind, _ in riff.chunk_ends(WITH_EXIF[:-1])] == [b"VP8X", b"VP8 "]


def test_shortened_file_has_a_header_that_agrees() -> None:
    stops = [stop for _, stop in riff.chunk_ends(WITH_EXIF)]

    short = riff.shortened(WITH_EXIF, stops[1])

    assert [kind for kind, _ in riff.chunk_ends(short)] == [b"VP8X", b"VP8 "]
    assert riff.declared_end(short) == len(short) == stops[1]


@pytest.mark.parametrize(
    ("data", "pixels"), [(STILL, 33 * 21), (WITH_EXIF, 34 * 22), (LOSSLESS, 35 * 23)]
)
def test_pixels_are_those_of_each_kind_of_header(data: bytes, pixels: int) -> None:
    assert riff.webp_pixels(data[:30]) == pixels
