"""Boxes, made by hand here, are found where they are."""

from __future__ import annotations

import struct
from io import BytesIO

import pytest

from imgbatch.imaging import limits
from imgbatch.imaging.containers import isobmff

FOREVER = 2**64 - 1


def box(kind: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I4s", 8 + len(data), kind) + data


def wide(kind: bytes, content: bytes) -> bytes:
    """With a length of 64 bits."""
    return struct.pack(">I4sQ", 1, kind, 16 + len(content)) + content


def endless(kind: bytes, content: bytes) -> bytes:
    """Up to the end of the file."""
    return struct.pack(">I4s", 0, kind) + content


def contents(data: bytes, **how: bool) -> list[tuple[bytes, bytes]]:
    return [(one.kind, data[one.start : one.stop]) for one in isobmff.walk(BytesIO(data), **how)]


def test_lengths_of_all_three_kinds() -> None:
    data = box(b"ftyp", b"abc") + wide(b"free", b"12345") + endless(b"mdat", b"rest")

    assert contents(data) == [(b"ftyp", b"abc"), (b"free", b"12345"), (b"mdat", b"rest")]


@pytest.mark.parametrize("lost", [1, 3])
def test_last_box_that_is_cut_short_is_given_only_on_request(lost: int) -> None:
    data = (box(b"ftyp", b"abc") + box(b"uuid", b"12345"))[:-lost]

    assert contents(data) == [(b"ftyp", b"abc")]
    assert contents(data, cut_short=True)[1] == (b"uuid", b"12345"[:-lost])


def test_length_that_is_shorter_than_the_head_ends_the_walk() -> None:
    data = box(b"ftyp", b"") + struct.pack(">I4s", 7, b"free") + box(b"mdat", b"")

    assert contents(data) == [(b"ftyp", b"")]


def test_no_more_boxes_are_read_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BOXES", 5)

    assert len(contents(box(b"free", b"") * 9)) == 5
    # On each level.
    many = box(b"a   ", box(b"b   ") * 9) * 9
    assert len(list(isobmff.find(BytesIO(many), b"a   ", b"b   "))) == 25


def test_boxes_are_found_along_a_path_and_not_beside_it() -> None:
    data = (
        box(b"meta", bytes(4), box(b"iprp", box(b"ipco", box(b"colr", b"one"), box(b"colr", b"2"))))
        + box(b"iprp", box(b"ipco", box(b"colr", b"other")))
        + box(b"meta", bytes(4), box(b"iprp", box(b"ipco", box(b"pixi", b""), box(b"colr", b"3"))))
    )
    found = isobmff.find(BytesIO(data), b"meta", b"iprp", b"ipco", b"colr")

    assert [data[one.start : one.stop] for one in found] == [b"one", b"2", b"3"]


def test_colour_points_are_those_of_the_first_nclx() -> None:
    profile = box(b"colr", b"prof", b"an ICC profile")
    nclx = [
        box(b"colr", b"nclx", struct.pack(">HHHB", *numbers, 0))
        for numbers in ((9, 16, 9), (1, 13, 1))
    ]
    data = box(b"meta", bytes(4), box(b"iprp", box(b"ipco", profile, *nclx)))

    assert isobmff.code_points(BytesIO(data)) == (9, 16)
    assert isobmff.code_points(BytesIO(box(b"meta", bytes(4)))) is None


def movie(*tracks: tuple[int, int, bool]) -> bytes:
    """Of tracks with duration of all, of a segment, and whether that is repeated (version 1)."""
    times = bytes(16)
    parts = [box(b"mvhd", b"\1\0\0\0", times, struct.pack(">IQ", 1000, tracks[0][0]), bytes(80))]
    for whole, once, again in tracks:
        head = box(b"tkhd", b"\1\0\0\7", times, struct.pack(">IIQ", 1, 0, whole), bytes(60))
        edits = struct.pack(">BBBBIQqI", 1, 0, 0, again, 1, once, 0, 0x10000)
        parts.append(box(b"trak", head, box(b"edts", box(b"elst", edits))))
    return box(b"ftyp", b"avis") + box(b"moov", *parts) + box(b"mdat", b"elst tkhd moov")


@pytest.mark.parametrize(
    ("track", "plays"),
    [
        ((FOREVER, 40, True), 0),
        ((120, 40, True), 3),
        # A last one that is not whole is one, too.
        ((121, 40, True), 4),
        ((40, 40, False), 1),
        ((40, 0, True), 0),
    ],
)
def test_movie_is_played_as_its_edit_list_says(track: tuple[int, int, bool], plays: int) -> None:
    assert isobmff.plays(movie(track)) == plays


def test_track_without_an_edit_list_says_nothing() -> None:
    data = movie((120, 40, True))
    times = bytes(16)
    silent = box(b"trak", box(b"tkhd", b"\1\0\0\7", times, bytes(80)))
    (start,) = [one.start for one in isobmff.find(BytesIO(data), b"moov")]
    (stop,) = [one.stop for one in isobmff.find(BytesIO(data), b"moov")]

    both = data[: start - 8] + box(b"moov", silent, data[start:stop]) + data[stop:]

    assert isobmff.plays(both) == 3
    # A file that ends within its movie still says it.
    assert isobmff.plays(data[:stop]) == isobmff.plays(data) == 3


def test_movie_without_tracks_is_played_for_ever() -> None:
    assert isobmff.plays(box(b"ftyp", b"avif") + box(b"mdat", b"moov elst tkhd")) == 0


@pytest.mark.parametrize("plays", [1, 2, 65_535])
def test_plays_are_written_into_all_tracks(plays: int) -> None:
    endless_movie = movie((FOREVER, 40, True), (FOREVER, 40, True))

    data = isobmff.with_plays(endless_movie, plays)

    assert data == movie(*[(40 * plays, 40, plays > 1)] * 2)
    assert isobmff.with_plays(endless_movie, 0) == endless_movie


def test_contents_are_those_of_the_boxes_at_the_top() -> None:
    signature = box(b"jP  ", b"\r\n\x87\n")
    boxes = isobmff.uuid_box(b"a" * 16, b"one") + isobmff.uuid_box(b"b" * 16, b"123456")

    file = BytesIO(signature + boxes)
    assert list(isobmff.contents(file, {b"a" * 16, b"b" * 16}, 4)) == [
        (b"jP  ", b""),
        (b"a" * 16, b"one"),
        (b"b" * 16, b"1234"),
    ]
    assert list(isobmff.contents(file, {b"b" * 16}, 9))[1:] == [
        (b"a" * 16, b""),
        (b"b" * 16, b"123456"),
    ]
    heif = BytesIO(box(b"ftyp", b"mif1") + box(b"mpvd", b"video"))
    assert list(isobmff.contents(heif, {b"mpvd"}, 9)) == [(b"ftyp", b""), (b"mpvd", b"video")]
    # A bare codestream has none.
    assert list(isobmff.contents(BytesIO(b"\xff\x4f\xff\x51" + boxes), {b"a" * 16}, 4)) == []


def full(kind: bytes, version: int, *content: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24), *content)


def property_box(*properties: bytes) -> bytes:
    return full(b"meta", 0, box(b"iprp", box(b"ipco", *properties)))


def track(kind: bytes, *inside: bytes) -> bytes:
    table = full(b"stsd", 0, struct.pack(">I", 1), box(kind, bytes(78), *inside))
    return box(b"moov", box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", table)))))


def test_configuration_of_av1_is_a_property_or_in_a_sample_entry() -> None:
    item, movie = box(b"av1C", b"item"), box(b"av1C", b"movie")
    av1 = isobmff.av1_configuration
    assert (
        av1(BytesIO(property_box(box(b"ispe", b"av1C"), item, box(b"av1C", b"alpha")))) == b"item"
    )
    assert av1(BytesIO(track(b"av01", box(b"colr", b"x"), movie))) == b"movi"
    assert av1(BytesIO(track(b"av01", movie) + property_box(item))) == b"item"
    assert av1(BytesIO(property_box(box(b"colr", b"av1C")))) == b""


@pytest.mark.parametrize("count", [struct.pack(">H", 2), struct.pack(">I", 2)])
def test_items_are_found_with_the_place_of_their_type(count: bytes) -> None:
    short = full(b"infe", 2, struct.pack(">HH", 1, 0), b"av01", b"\0")
    long = full(b"infe", 3, struct.pack(">IH", 2, 0), b"Exif", b"\0")
    old = full(b"infe", 0, struct.pack(">HH", 3, 0), b"Exif", b"\0")
    table = full(b"iinf", len(count) == 4, count, short, old, long)
    data = full(b"meta", 0, box(b"hdlr", b"infeExif"), table)
    found = list(isobmff.item_types(BytesIO(data)))
    assert [kind for kind, _ in found] == [b"av01", b"Exif"]
    assert all(data[place : place + 4] == kind for kind, place in found)


def test_codestream_is_in_its_box_or_the_file_itself() -> None:
    head = box(b"jP  ", b"\r\n\x87\n") + box(b"uuid", b"\xff\x4f\xff\x51")
    assert isobmff.codestream(BytesIO(head + endless(b"jp2c", b"stream"))) == len(head) + 8
    assert isobmff.codestream(BytesIO(b"\xff\x4f\xff\x51\0\x2f" + bytes(99))) == 0
