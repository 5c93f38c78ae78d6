"""What the boxes of an AVIF sequence contain, and Pillow neither reads nor writes.

How often it is played is in the edit list (ISO 14496-12, 8.6.6): flag 1 repeats the segment
until the duration of the track (8.3.2) is over; a duration of all ones has no end. libavif writes
the boxes in version 1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

_FOREVER: Final = 2**64 - 1
# From the name of a box of version 1 to its two times (ISO 14496-12, 8.2.2, 8.3.2 and 8.4.2), and
# to its duration.
_TIMES: Final = slice(8, 24)
_MOVIE: Final = 28
_TRACK: Final = 32
_SEGMENT: Final = 12


def plays(data: bytes) -> int:
    """How often a file is played, 0 for ever, which is also the result if it does not say."""
    moov = data.find(b"moov")
    edits, track = data.find(b"elst", moov), data.find(b"tkhd", moov)
    if min(moov, edits, track) < 0:
        return 0
    try:
        if data[edits + 4] != 1 or data[track + 4] != 1:
            return 0
        if not data[edits + 7] & 1:
            return 1
        (whole,) = struct.unpack_from(">Q", data, track + _TRACK)
        (once,) = struct.unpack_from(">Q", data, edits + _SEGMENT)
    except (IndexError, struct.error):
        return 0
    return 0 if whole == _FOREVER or not once else int(-(-whole // once))


def with_plays(data: bytes, plays: int) -> bytes:
    """A file that libavif wrote to be played for ever, changed to `plays` times; 0 leaves it."""
    moov = data.find(b"moov")
    edits = list(_places(data, b"elst", moov))
    if plays == 0 or moov < 0 or not edits:
        return data
    out = bytearray(data)
    (once,) = struct.unpack_from(">Q", data, edits[0] + _SEGMENT)
    for at in edits:
        out[at + 7] = plays > 1
    for name, duration in ((b"mvhd", _MOVIE), (b"tkhd", _TRACK)):
        for at in _places(data, name, moov):
            if struct.unpack_from(">Q", data, at + duration) != (_FOREVER,):
                return data
            struct.pack_into(">Q", out, at + duration, once * plays)
    return bytes(out)


def without_times(data: bytes) -> bytes:
    """A file written by libavif, without the time of writing: equal pictures, equal bytes."""
    moov = data.find(b"moov")
    if moov < 0:
        return data
    out = bytearray(data)
    for name in (b"mvhd", b"tkhd", b"mdhd"):
        for at in _places(data, name, moov):
            if data[at + 4] == 1:
                out[at + _TIMES.start : at + _TIMES.stop] = bytes(_TIMES.stop - _TIMES.start)
    return bytes(out)


def _places(data: bytes, name: bytes, start: int) -> Iterator[int]:
    # The boxes of a movie come before its pixels, in which the same letters may occur.
    end = start - 4 + int.from_bytes(data[start - 4 : start])
    at = data.find(name, start, end)
    while at >= 0:
        yield at
        at = data.find(name, at + 4, end)
