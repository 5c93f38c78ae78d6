"""Pages of a TIFF as files of their own, and such files joined again (TIFF 6.0, section 2).

TIFF decoders take a file as a whole, and find a page by walking past all before it: for each of
many pages that is too slow. So each is extracted, with everything it has. All offsets in a TIFF
count from its beginning, so they are recomputed, in each directory and those below it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from io import SEEK_END
from typing import BinaryIO, Final, NamedTuple

from msgspec.structs import replace

from imgbatch.imaging import limits
from imgbatch.imaging.metadata import directories
from imgbatch.imaging.metadata.directories import LONG, POINTERS, SHORT, Directory, Field

_SUB_IFDS: Final = 0x014A
# Free space, reduced copies of the page, and Photoshop's layers: nothing of it is read.
_LEFT_OUT: Final = frozenset({0x0120, 0x0121, _SUB_IFDS, 0x935C})
_STRIPS: Final = 0x0111
# Place and length of data: strips, tiles, and a JPEG stream as TIFF 6.0 first had it.
_DATA: Final = ((_STRIPS, 0x0117), (0x0144, 0x0145), (0x0201, 0x0202))
# The tables of that, which have at most this many bytes.
_TABLES: Final = (0x0207, 0x0208, 0x0209)
_TABLE_BYTES: Final = 272
_DATA_PLACES: Final = frozenset({*_TABLES, *(tag for tag, _ in _DATA)})
_IFD: Final = 13
# FreeOffsets, StripOffsets, TileOffsets, and those of JPEG data as TIFF 6.0 first had it.
_PLACES: Final = frozenset({0x0111, 0x0120, 0x0144, 0x0201, 0x0207, 0x0208, 0x0209})
_BYTES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_HEADER: Final = 8
_ENTRY: Final = 12
_MAX_BYTES: Final = 2**32 - 1
# How many times a file's length its pages together may claim: they do not overlap.
_OVERLAP: Final = 4


class _Part(NamedTuple):
    """Some of a page's data: which value of which tag tells where it is in the file."""

    tag: int
    number: int
    place: int
    length: int


class Pages:
    """The pages of a TIFF or a BigTIFF. Raises ValueError if one has no directory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, SEEK_END)
        self._places = directories.places(file, limits.PAGES)
        self._claimed = 0
        self._counted: set[int] = set()

    def __len__(self) -> int:
        return len(self._places)

    def alone(self, number: int) -> tuple[bytes, int]:
        """A TIFF with only this page (the first is 0), and how many of its tags cannot be read.

        Raises ValueError if its directory cannot be read, or if the pages overlap so much that
        they are longer than the file.
        """
        found = directories.read(
            self._file,
            self._places[number],
            wanted=lambda tag: tag not in _LEFT_OUT,
            most_bytes=self._size,
            wide=_DATA_PLACES,
        )
        parts = sorted(self._parts(found), key=self._is_cut_short)
        if number not in self._counted:
            self._counted.add(number)
            self._claimed += sum(part.length for part in parts)
        if self._claimed > _OVERLAP * self._size:
            raise ValueError("its pages overlap")
        places = {tag: [0] * len(found.numbers(tag)) for tag in _DATA_PLACES}
        at = len(directories.block(_moved(found, places)))
        body = bytearray()
        for part in parts:
            body += bytes((at + len(body)) % 2)
            places[part.tag][part.number] = at + len(body)
            self._file.seek(part.place)
            body += self._file.read(part.length)
        if at + len(body) > _MAX_BYTES:
            raise ValueError("a page is longer than the 4 GiB of a TIFF")
        return directories.block(_moved(found, places)) + body, found.lost_in_all

    def _is_cut_short(self, part: _Part) -> bool:
        """Such parts come last, where nothing can be taken for the missing data."""
        return part.place + part.length >= self._size

    def _parts(self, found: Directory) -> Iterator[_Part]:
        least = _strip_bytes(found)
        for tag, lengths_tag in _DATA:
            lengths = found.numbers(lengths_tag)
            for index, place in enumerate(found.numbers(tag)):
                # Some writers omit lengths, or get them wrong where nobody needs them.
                length = lengths[index] if index < len(lengths) else least or self._size
                length = max(length, least) if tag == _STRIPS else length
                yield _Part(tag, index, place, min(length, max(0, self._size - place)))
        for tag in _TABLES:
            for index, place in enumerate(found.numbers(tag)):
                yield _Part(tag, index, place, _TABLE_BYTES)


def _moved(found: Directory, places: Mapping[int, Sequence[int]]) -> Directory:
    """With other places in the tags that tell where data are."""
    fields: dict[int, Field] = {}
    for one in found.fields:
        moved = places.get(one.tag)
        if moved:
            one = Field(one.tag, LONG, struct.pack(f"{found.order}{len(moved)}I", *moved))
        # If there are several with one tag, the first counts.
        fields.setdefault(one.tag, one)
    return replace(found, fields=list(fields.values()))


def _strip_bytes(found: Directory) -> int:
    """The bytes of an uncompressed strip; 0 for compressed ones (TIFF 6.0, section 8)."""

    def number(tag: int, default: int) -> int:
        return next(iter(found.numbers(tag)), default)

    if number(0x0103, 1) != 1:
        return 0
    bits = found.numbers(0x0102) or [1]
    samples = max(number(0x0115, 1), len(bits)) if number(0x011C, 1) == 1 else 1
    height = number(0x0101, 0)
    row = (number(0x0100, 0) * max(bits) * samples + 7) // 8
    return row * min(number(0x0116, height), height)


def joined(files: Sequence[bytes]) -> bytes:
    """One TIFF of the pages of little-endian TIFFs; raises ValueError for any other."""
    out = bytearray(files[0])
    link = _last_link(files[0])
    for data in files[1:]:
        out += bytes(len(out) % 2)
        moved = len(out) - _HEADER
        if moved + len(data) > _MAX_BYTES:
            raise ValueError("the pages together are longer than the 4 GiB of a TIFF")
        struct.pack_into("<I", out, link, moved + _first(data))
        link = moved + _last_link(data)
        out += data[_HEADER:]
        for at in _directories(data):
            _move(out, moved + at, moved)
    return bytes(out)


def _first(data: bytes) -> int:
    if data[:4] != b"II*\0":
        raise ValueError("a page is not a little-endian TIFF")
    (at,) = struct.unpack_from("<I", data, 4)
    return int(at)


def _directories(data: bytes) -> list[int]:
    """The places of the directories of a file's pages."""
    places: dict[int, None] = {}
    at = _first(data)
    while at:
        if at in places:
            raise ValueError("directories in a circle")
        places[at] = None
        (count,) = struct.unpack_from("<H", data, at)
        (at,) = struct.unpack_from("<I", data, at + 2 + count * _ENTRY)
    return list(places)


def _last_link(data: bytes) -> int:
    """Where the place of the page after the last one would be."""
    last = _directories(data)[-1]
    (count,) = struct.unpack_from("<H", data, last)
    return int(last + 2 + count * _ENTRY)


def _move(out: bytearray, at: int, moved: int) -> None:
    """Add `moved` to all places in the directory `at`, and in those below it.

    The link to the next page of the same file is moved, too.
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
