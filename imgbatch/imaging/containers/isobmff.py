"""Boxes of ISO base media files (ISO 14496-12, 4.2): JPEG 2000, AVIF and HEIF have them."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO, Final, NamedTuple

from imgbatch.imaging import limits

_META: Final = b"meta"
_VERSION_BYTES: Final = 4


class Box(NamedTuple):
    """A box: its type, and where its content begins and ends."""

    kind: bytes
    start: int
    stop: int


def walk(
    file: BinaryIO, start: int = 0, stop: int | None = None, *, cut_short: bool = False
) -> Iterator[Box]:
    """The boxes between two places of a file, by default all at the top. Reads only their heads.

    With `cut_short` the last one may end after `stop`, and is given as far as it goes. Between
    two of them the file may be read anywhere.
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


def find(file: BinaryIO, *path: bytes) -> list[Box]:
    """The boxes of the last type on a path of types, each inside one before it.

    The file's position is restored.
    """
    place = file.tell()
    spans: list[Box] = [Box(b"", 0, file.seek(0, os.SEEK_END))]
    seen = 0
    for kind in path:
        inner = []
        for _, start, stop in spans:
            for box in walk(file, start, stop):
                seen += 1
                if seen > limits.BOXES:
                    file.seek(place)
                    return []
                if box.kind == kind:
                    # A meta box has a version before the boxes in it (8.11.1).
                    inner.append(box._replace(start=box.start + _VERSION_BYTES * (kind == _META)))
        spans = inner
    file.seek(place)
    return spans


def color_points(file: BinaryIO) -> tuple[int, int] | None:
    """Primaries and transfer of the first colr box of the type nclx (12.1.5), by ITU-T H.273.

    It is among the item properties. The file's position is restored.
    """
    place = file.tell()
    try:
        for _, start, stop in find(file, _META, b"iprp", b"ipco", b"colr"):
            if stop - start >= 8:
                file.seek(start)
                kind, primaries, transfer = struct.unpack(">4sHH", file.read(8))
                if kind == b"nclx":
                    return primaries, transfer
        return None
    except (struct.error, OSError):
        return None
    finally:
        file.seek(place)


# How often a movie is played is in its edit list (8.6.6): flag 1 repeats the segment until the
# duration of the track (8.3.2) is over; a duration of all ones has no end. libavif writes the boxes
# in version 1, and so the places below are those of that version.

_FOREVER: Final = 2**64 - 1
_MOVIE: Final = (b"moov", b"mvhd")
_TRACKS: Final = (b"moov", b"trak", b"tkhd")
_MEDIA: Final = (b"moov", b"trak", b"mdia", b"mdhd")
_EDITS: Final = (b"moov", b"trak", b"edts", b"elst")
# In the content of mvhd, tkhd and mdhd: two times (8.2.2, 8.3.2 and 8.4.2).
_TIMES: Final = slice(4, 20)
_MOVIE_DURATION: Final = 24
_TRACK_DURATION: Final = 28
_SEGMENT_DURATION: Final = 8


def plays(data: bytes) -> int:
    """How often a movie is played, 0 for ever, which is also the result if it does not say."""
    file = BytesIO(data)
    edits, tracks = find(file, *_EDITS), find(file, *_TRACKS)
    if not edits or not tracks:
        return 0
    edit, track = edits[0].start, tracks[0].start
    try:
        if data[edit] != 1 or data[track] != 1:
            return 0
        if not data[edit + 3] & 1:
            return 1
        (whole,) = struct.unpack_from(">Q", data, track + _TRACK_DURATION)
        (once,) = struct.unpack_from(">Q", data, edit + _SEGMENT_DURATION)
    except (IndexError, struct.error):
        return 0
    return 0 if whole == _FOREVER or not once else int(-(-whole // once))


def with_plays(data: bytes, plays: int) -> bytes:
    """A movie that libavif wrote to be played for ever, changed to `plays` times; 0 leaves it."""
    file = BytesIO(data)
    edits = find(file, *_EDITS)
    if plays == 0 or not edits:
        return data
    out = bytearray(data)
    (once,) = struct.unpack_from(">Q", data, edits[0].start + _SEGMENT_DURATION)
    for box in edits:
        out[box.start + 3] = plays > 1
    for path, duration in ((_MOVIE, _MOVIE_DURATION), (_TRACKS, _TRACK_DURATION)):
        for box in find(file, *path):
            if struct.unpack_from(">Q", data, box.start + duration) != (_FOREVER,):
                return data
            struct.pack_into(">Q", out, box.start + duration, once * plays)
    return bytes(out)


def without_times(data: bytes) -> bytes:
    """A movie written by libavif, without the time of writing: equal pictures, equal bytes."""
    out = bytearray(data)
    for path in (_MOVIE, _TRACKS, _MEDIA):
        for box in find(BytesIO(data), *path):
            if data[box.start] == 1:
                start = box.start + _TIMES.start
                out[start : box.start + _TIMES.stop] = bytes(_TIMES.stop - _TIMES.start)
    return bytes(out)


# Metadata of JPEG 2000 (ISO 15444-1, annex I): boxes for anybody's use, distinguished by a UUID.


def uuids(file: BinaryIO, most_bytes: int) -> Iterator[tuple[bytes, bytes]]:
    """The UUID and the content of each such box at the top, of at most so many bytes.

    None if the file has no boxes, but is a bare codestream.
    """
    for number, (kind, start, stop) in enumerate(walk(file, cut_short=True)):
        if number == 0 and kind != b"jP  ":
            return
        if kind == b"uuid" and start + 16 <= stop:
            file.seek(start)
            yield file.read(16), file.read(min(stop - start - 16, most_bytes))


def uuid_box(name: bytes, content: bytes) -> bytes:
    """A box for anybody's use."""
    return struct.pack(">I4s", 24 + len(content), b"uuid") + name + content
