"""Segments, made by hand here, are found where they are."""

from __future__ import annotations

import struct
from io import BytesIO
from itertools import pairwise

import pytest

from imgbatch.imaging.containers import jpeg
from imgbatch.imaging.containers.jpeg import Segment


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


SCAN = segment(0xDA, b"scan")
START = b"\xff\xd8"


def payloads(data: bytes) -> list[tuple[int, bytes]]:
    return [(one.marker, data[one.start : one.stop]) for one in jpeg.walk(BytesIO(data))]


def test_segments_are_given_up_to_the_first_scan() -> None:
    data = START + segment(0xE1, b"first") + segment(0xFE, b"") + SCAN + segment(0xE2, b"behind")
    assert payloads(data) == [(0xE1, b"first"), (0xFE, b""), (0xDA, b"scan")]


def test_segments_follow_each_other_without_a_gap() -> None:
    data = START + b"\xff\xff" + segment(0xE0, b"jfif") + b"\xff\x01" + segment(0xDB, b"q") + SCAN
    found = list(jpeg.walk(BytesIO(data)))
    assert [one.marker for one in found] == [0xFF, 0xFF, 0xE0, 0x01, 0xDB, 0xDA]
    assert found[0].at == 2
    assert all(one.stop == other.at for one, other in pairwise(found))
    assert found[-1].stop == len(data)
    assert payloads(data)[2:] == [(0xE0, b"jfif"), (0x01, b""), (0xDB, b"q"), (0xDA, b"scan")]


@pytest.mark.parametrize("lost", [1, 3])
def test_last_segment_is_given_as_far_as_it_goes(lost: int) -> None:
    data = (START + segment(0xE1, b"cut short"))[:-lost]
    assert payloads(data) == [(0xE1, b"cut short"[:-lost])]


@pytest.mark.parametrize("rest", [b"", b"\xff", b"\xff\xe1\0", b"\0\0\0\0"])
def test_what_is_no_segment_ends_the_walk(rest: bytes) -> None:
    data = START + segment(0xE1, b"one") + rest
    assert payloads(data) == [(0xE1, b"one")]


def test_length_shorter_than_itself_moves_on() -> None:
    data = START + b"\xff\xe1\0\0" + SCAN
    assert next(jpeg.walk(BytesIO(data))) == Segment(0xE1, 2, 6)
    assert payloads(data)[0] == (0xE1, b"")


def test_what_follows_the_first_picture() -> None:
    data = START + segment(0xE1, b"\xff\xd9 not the end") + SCAN + b"pixels\xff\xd9a video"
    assert jpeg.behind(data) == b"a video"
    assert jpeg.behind(data[: data.index(b"pixels")]) == b""


def test_exif_is_hidden_and_nothing_else_moves() -> None:
    exif, xmp = segment(0xE1, jpeg.EXIF + b"block"), segment(0xE1, jpeg.XMP + b"Exif\0\0")
    hidden, block = jpeg.without_exif(START + exif + xmp + SCAN)
    assert block == b"block"
    assert hidden == START + segment(0xE1, bytes(6) + b"block") + xmp + SCAN
    assert jpeg.without_exif(START + xmp + SCAN) == (START + xmp + SCAN, b"")
