"""Boxes of ISO base media files (ISO 14496-12, 4.2): which JPEG 2000, AVIF and HEIF are made of."""

from __future__ import annotations

import os
import struct
from collections.abc import Container, Iterator
from io import BytesIO
from math import floor
from typing import BinaryIO, Final, NamedTuple

from imgbatch.imaging import limits
from imgbatch.model import Size

_META: Final = b"meta"
_VERSION_BYTES: Final = 4
_CLAP_BYTES: Final = 32
_AV1_BYTES: Final = 4
"""Those of an av1C box that tell about the pixels."""


class Box(NamedTuple):
    """A box: its type, and where its content begins and ends."""

    kind: bytes
    start: int
    stop: int


def walk(
    file: BinaryIO, start: int = 0, stop: int | None = None, *, cut_short: bool = False
) -> Iterator[Box]:
    """The boxes between two places of a file, by default all at the top. Reads only their heads.

    With `cut_short` the last one may end after `stop`, and is given as far as it goes. The caller
    may move the file's position between items.
    """
    end = file.seek(0, os.SEEK_END) if stop is None else stop
    at = start
    for _ in range(limits.BOXES):
        if at + 8 > end:
            return
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return
        size, kind = struct.unpack_from(">I4s", head)
        content = at + 8
        if size == 1:
            if len(head) < 16:
                return
            (size,) = struct.unpack_from(">Q", head, 8)
            content += 8
        after = at + size if size else end
        if after < content or (after > end and not cut_short):
            return
        yield Box(kind, content, min(after, end))
        at = after


def find(file: BinaryIO, *path: bytes, inside: Box | None = None) -> Iterator[Box]:
    """The boxes of the last type on a path of types, each inside one before it.

    The path begins at the top, or `inside` a box. The caller may move the file's position.
    """
    start, stop = (inside.start, inside.stop) if inside else (0, None)
    for box in walk(file, start, stop, cut_short=True):
        if box.kind != path[0]:
            continue
        if box.kind == _META:
            # It has a version before the boxes in it (8.11.1).
            box = box._replace(start=box.start + _VERSION_BYTES)
        if len(path) == 1:
            yield box
        else:
            yield from find(file, *path[1:], inside=box)


def code_points(file: BinaryIO) -> tuple[int, int] | None:
    """Primaries and transfer of the first colr box of the type nclx (12.1.5), by ITU-T H.273.

    It is among the item properties. The file's position is restored.
    """
    place = file.tell()
    try:
        for box in find(file, _META, b"iprp", b"ipco", b"colr"):
            if box.stop - box.start >= 8:
                file.seek(box.start)
                kind, primaries, transfer = struct.unpack(">4sHH", file.read(8))
                if kind == b"nclx":
                    return primaries, transfer
        return None
    except (struct.error, OSError):
        return None
    finally:
        file.seek(place)


def with_code_points(data: bytes, primaries: int, transfer: int) -> bytes:
    """A file with these in each of its colr boxes of the type nclx."""
    out, file = bytearray(data), BytesIO(data)
    items = find(file, _META, b"iprp", b"ipco", b"colr")
    for box in (*items, *_in_sample_entries(file, b"colr")):
        if data[box.start : box.start + 4] == b"nclx":
            struct.pack_into(">HH", out, box.start + 4, primaries, transfer)
    return bytes(out)


def clean_aperture(file: BinaryIO, size: Size) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of what is shown of the main picture, before it is turned.

    `size` is that of its pixels; its clap property (ISO 14496-12, 12.1.4) may have fractions. None
    if there is none, or if nothing would be left. The file's position is restored.
    """
    place = file.tell()
    try:
        if next(find(file, _META, b"iprp", b"ipco", b"clap"), None) is None:
            return None
        box = next((one for one in _properties(file) if one.kind == b"clap"), None)
        if box is None:
            return None
        file.seek(box.start)
        numbers = struct.unpack(">4IiIiI", file.read(_CLAP_BYTES))
    except (struct.error, OSError):
        return None
    finally:
        file.seek(place)
    return _aperture(size, numbers)


def _aperture(size: Size, numbers: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    from fractions import Fraction

    if 0 in numbers[1::2]:
        return None
    across, down, right, below = (
        Fraction(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)
    )
    edges, half = [], Fraction(1, 2)
    # Rounded as by libheif, which most programs use: left edges down, all others to the nearest.
    for length, shown, offset, up in ((size[0], across, right, 0), (size[1], down, below, half)):
        first = floor(offset + Fraction(length - 1, 2) - (shown - 1) / 2 + up)
        last = floor(first + shown - 1 + half)
        edges.append((max(0, first), min(length, last + 1)))
    (left, end), (top, bottom) = edges
    if left >= end or top >= bottom or (left, top, end, bottom) == (0, 0, *size):
        return None
    return left, top, end, bottom


def _properties(file: BinaryIO) -> Iterator[Box]:
    """The properties of the primary item, in the order in which they apply (ISO 23008-12, 9.3)."""
    main = next(find(file, _META, b"pitm"), None)
    table = next(find(file, _META, b"iprp", b"ipma"), None)
    store = next(find(file, _META, b"iprp", b"ipco"), None)
    if main is None or table is None or store is None:
        return
    boxes = list(walk(file, store.start, store.stop))
    file.seek(main.start)
    (version,) = struct.unpack(">B3x", file.read(_VERSION_BYTES))
    (wanted,) = struct.unpack(">I" if version else ">H", file.read(4 if version else 2))
    file.seek(table.start)
    version, wide, count = struct.unpack(">B2xBI", file.read(_VERSION_BYTES + 4))
    for _ in range(min(count, limits.BOXES)):
        item, number = struct.unpack(">IB" if version else ">HB", file.read(5 if version else 3))
        if wide & 1:
            indices = [one & 0x7FFF for one in struct.unpack(f">{number}H", file.read(2 * number))]
        else:
            indices = [one & 0x7F for one in file.read(number)]
        if item == wanted:
            yield from (boxes[one - 1] for one in indices if 0 < one <= len(boxes))


def av1_configuration(file: BinaryIO) -> bytes:
    """The first av1C box (AV1-ISOBMFF, 2.3.3): an item's property, or in a movie's sample entry.

    Empty if there is none. The position is not restored.
    """
    for box in (*find(file, _META, b"iprp", b"ipco", b"av1C"), *_in_sample_entries(file, b"av1C")):
        file.seek(box.start)
        return file.read(min(box.stop - box.start, _AV1_BYTES))
    return b""


def _in_sample_entries(file: BinaryIO, kind: bytes) -> Iterator[Box]:
    for table in find(file, b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"):
        # It has a version and a number before the entries (8.5.2), and those of pictures 78 bytes
        # of their own (12.1.3).
        for entry in walk(file, table.start + 8, table.stop):
            yield from find(file, kind, inside=entry._replace(start=entry.start + 78))


def item_types(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """The type of each item, such as Exif, and where in the file it is (8.11.6)."""
    for table in find(file, _META, b"iinf"):
        file.seek(table.start)
        # A version, and the number of entries in 16 or 32 bits.
        first = table.start + (8 if file.read(1) != b"\0" else 6)
        for entry in find(file, b"infe", inside=table._replace(start=first)):
            file.seek(entry.start)
            version = file.read(1)
            if version in (b"\2", b"\3"):
                # A version, a number in 16 or 32 bits, and another one.
                place = entry.start + (8 if version == b"\2" else 10)
                file.seek(place)
                yield file.read(4), place


# How often a movie is played is in its edit list (8.6.6): flag 1 repeats the segment until the
# duration of the track (8.3.2) is over; a duration of all ones has no end. libavif writes the boxes
# in version 1, and so the places below are those of that version.

_FOREVER: Final = 2**64 - 1
_MOVIE: Final = (b"moov", b"mvhd")
_TRACK: Final = (b"moov", b"trak")
_HEADER: Final = b"tkhd"
_EDITS: Final = (b"edts", b"elst")
_WITH_TIMES: Final = (_MOVIE, (*_TRACK, _HEADER), (*_TRACK, b"mdia", b"mdhd"))
# In the content of mvhd, tkhd and mdhd: two times (8.2.2, 8.3.2 and 8.4.2).
_TIMES: Final = slice(4, 20)
_MOVIE_DURATION: Final = 24
_TRACK_DURATION: Final = 28
_SEGMENT_DURATION: Final = 8


def plays(data: bytes) -> int:
    """How often a movie is played, 0 for ever, which is also the result if it does not say."""
    edit, header = next(_edited(data), (b"", b""))
    if len(edit) < _SEGMENT_DURATION + 8 or len(header) < _TRACK_DURATION + 8:
        return 0
    if edit[0] != 1 or header[0] != 1:
        return 0
    if not edit[3] & 1:
        return 1
    (whole,) = struct.unpack_from(">Q", header, _TRACK_DURATION)
    (once,) = struct.unpack_from(">Q", edit, _SEGMENT_DURATION)
    return 0 if whole == _FOREVER or not once else int(-(-whole // once))


def _edited(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The edit list and the header of each track that has both."""
    file = BytesIO(data)
    for track in find(file, *_TRACK):
        edits = next(find(file, *_EDITS, inside=track), None)
        header = next(find(file, _HEADER, inside=track), None)
        if edits is not None and header is not None:
            yield data[edits.start : edits.stop], data[header.start : header.stop]


def with_plays(data: bytes, plays: int) -> bytes:
    """A movie that libavif wrote to be played for ever, changed to `plays` times; 0 leaves it."""
    file = BytesIO(data)
    edits = list(find(file, *_TRACK, *_EDITS))
    if plays == 0 or not edits:
        return data
    out = bytearray(data)
    (once,) = struct.unpack_from(">Q", data, edits[0].start + _SEGMENT_DURATION)
    for box in edits:
        out[box.start + 3] = plays > 1
    for path, duration in ((_MOVIE, _MOVIE_DURATION), ((*_TRACK, _HEADER), _TRACK_DURATION)):
        for box in find(file, *path):
            if struct.unpack_from(">Q", data, box.start + duration) != (_FOREVER,):
                return data
            struct.pack_into(">Q", out, box.start + duration, once * plays)
    return bytes(out)


def without_times(data: bytes) -> bytes:
    """A movie written by libavif, without the time of writing: equal pictures, equal bytes."""
    out = bytearray(data)
    for path in _WITH_TIMES:
        for box in find(BytesIO(data), *path):
            if box.stop - box.start >= _TIMES.stop and data[box.start] == 1:
                start = box.start + _TIMES.start
                out[start : box.start + _TIMES.stop] = bytes(_TIMES.stop - _TIMES.start)
    return bytes(out)


# Restricted profiles, and any (ISO 15444-2, M.11.7.3.1).
_ICC_METHODS: Final = (b"\2", b"\3")

# JPEG 2000 (ISO 15444-1, annex I). Its metadata are in boxes for anybody's use, distinguished by a
# UUID.


def codestream(file: BinaryIO) -> int:
    """Where the codestream begins: in its box, or at the beginning of a file that is a bare one."""
    return next((box.start for box in find(file, b"jp2c")), 0)


def icc_profile(file: BinaryIO, most_bytes: int) -> bytes | None:
    """The profile in the first box on colours (I.5.3.3), of at most so many bytes, if it has one.

    The position is not restored.
    """
    for box in find(file, b"jp2h", b"colr"):
        file.seek(box.start)
        # The method, a precedence and an approximation.
        if file.read(3)[:1] in _ICC_METHODS:
            return file.read(min(max(0, box.stop - box.start - 3), most_bytes))
        break
    return None


def contents(
    file: BinaryIO, wanted: Container[bytes], most_bytes: int
) -> Iterator[tuple[bytes, bytes]]:
    """The name of each box at the top, with the content of those wanted, of at most so many bytes.

    The name is the type, or, of a box of the type uuid, its UUID. Other boxes have no content here.
    Yields nothing for a bare codestream.
    """
    for number, (kind, start, stop) in enumerate(walk(file, cut_short=True)):
        if number == 0 and kind not in (b"jP  ", b"ftyp"):
            return
        name = kind
        if kind == b"uuid" and start + 16 <= stop:
            file.seek(start)
            name = file.read(16)
            start += 16
        content = b""
        if name in wanted:
            file.seek(start)
            content = file.read(min(stop - start, most_bytes))
        yield name, content


def uuid_box(name: bytes, content: bytes) -> bytes:
    """A UUID box with this content."""
    return struct.pack(">I4s", 24 + len(content), b"uuid") + name + content
