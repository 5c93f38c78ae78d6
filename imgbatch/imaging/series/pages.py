"""TIFF files put together into one of several pages, each with all it had (TIFF 6.0, section 2).

Every page was written as a file of its own, whoever wrote it. All places in a TIFF are counted from
its beginning, so they are counted anew, in each directory and those that hang below it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from imgbatch.imaging.metadata.directories import LONG, POINTERS, SHORT

_SUB_IFDS: Final = 0x014A
_IFD: Final = 13
# FreeOffsets, StripOffsets, TileOffsets, and those of JPEG data as TIFF 6.0 first had it.
_PLACES: Final = frozenset({0x0111, 0x0120, 0x0144, 0x0201, 0x0207, 0x0208, 0x0209})
_BYTES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_HEADER: Final = 8
_ENTRY: Final = 12
_MOST_BYTES: Final = 2**32 - 1


def joined(files: Sequence[bytes]) -> bytes:
    """One TIFF of the pages of little-endian TIFFs; raises ValueError for any other."""
    out = bytearray(files[0])
    link = _last_link(files[0])
    for data in files[1:]:
        out += bytes(len(out) % 2)
        moved = len(out) - _HEADER
        if moved + len(data) > _MOST_BYTES:
            raise ValueError("the pages together are longer than the 4 GiB of a TIFF")
        struct.pack_into("<I", out, link, moved + _first(data))
        link = moved + _last_link(data)
        out += data[_HEADER:]
        for at in _directories(data):
            _move(out, moved + at, moved)
    return bytes(out)


def _first(data: bytes) -> int:
    if data[:4] != b"II*\0":
        raise ValueError("a page is no little-endian TIFF")
    (at,) = struct.unpack_from("<I", data, 4)
    return int(at)


def _directories(data: bytes) -> list[int]:
    """Where the directories of a file's pages stand."""
    places: list[int] = []
    at = _first(data)
    while at:
        if at in places:
            raise ValueError("directories in a circle")
        places.append(at)
        (count,) = struct.unpack_from("<H", data, at)
        (at,) = struct.unpack_from("<I", data, at + 2 + count * _ENTRY)
    return places


def _last_link(data: bytes) -> int:
    """Where the place of the page behind the last one would stand."""
    last = _directories(data)[-1]
    (count,) = struct.unpack_from("<H", data, last)
    return int(last + 2 + count * _ENTRY)


def _move(out: bytearray, at: int, moved: int) -> None:
    """Count all places in the directory that stands `at` by `moved` more; also those below it.

    The link to the next page is left: between the pages of one file it is moved here.
    """
    (count,) = struct.unpack_from("<H", out, at)
    end = at + 2 + count * _ENTRY
    (link,) = struct.unpack_from("<I", out, end)
    if link:
        struct.pack_into("<I", out, end, link + moved)
    for entry in range(at + 2, end, _ENTRY):
        tag, kind, number = struct.unpack_from("<HHI", out, entry)
        cell = entry + _HEADER
        values_at = cell
        if _BYTES.get(kind, 1) * number > 4:
            values_at = struct.unpack_from("<I", out, cell)[0] + moved
            struct.pack_into("<I", out, cell, values_at)
        if tag not in _PLACES | POINTERS | {_SUB_IFDS} or kind not in (SHORT, LONG, _IFD):
            continue
        form = f"<{number}{'H' if kind == SHORT else 'I'}"
        places = [place + moved for place in struct.unpack_from(form, out, values_at)]
        if kind == SHORT:
            # They may need more room than they had.
            values_at = cell if number == 1 else len(out) + len(out) % 2
            out += bytes(values_at + 4 * number - len(out) if number > 1 else 0)
            struct.pack_into("<HHI", out, entry, tag, LONG, number)
            if number > 1:
                struct.pack_into("<I", out, cell, values_at)
        struct.pack_into(f"<{number}I", out, values_at, *places)
        if tag in POINTERS or tag == _SUB_IFDS:
            for place in places:
                _move(out, place, moved)
