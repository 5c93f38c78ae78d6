"""Editing an EXIF block where it stands.

A camera's MakerNotes point into the block by absolute offsets, so writing the block anew breaks
them. Here entries are changed or cut out in place and nothing else moves: what is kept is kept
bit for bit, and what is removed is overwritten with zeros, not just unlinked.

Layout: TIFF 6.0, section 2; tag numbers: Exif 2.32 (CIPA DC-008).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

PREFIX: Final = b"Exif\0\0"

IMAGE_WIDTH: Final = 0x0100
IMAGE_LENGTH: Final = 0x0101
MODEL: Final = 0x0110
ORIENTATION: Final = 0x0112
ARTIST: Final = 0x013B
COPYRIGHT: Final = 0x8298
EXIF_IFD: Final = 0x8769
GPS_IFD: Final = 0x8825
DATE_TIME_ORIGINAL: Final = 0x9003
MAKER_NOTE: Final = 0x927C
PIXEL_X: Final = 0xA002
PIXEL_Y: Final = 0xA003
INTEROPERABILITY_IFD: Final = 0xA005
THUMBNAIL_OFFSET: Final = 0x0201
THUMBNAIL_LENGTH: Final = 0x0202

_POINTERS: Final = frozenset({EXIF_IFD, GPS_IFD, INTEROPERABILITY_IFD})
# Bytes of one value by TIFF field type: BYTE, ASCII, SHORT, LONG, RATIONAL, SBYTE, UNDEFINED, ...
_TYPE_BYTES: Final = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4)
_SHORT: Final = 3
_LONG: Final = 4
_ENTRY: Final = 12


class _Entry(NamedTuple):
    """Where an entry stands, and where its value does (inline or elsewhere in the block)."""

    position: int
    tag: int
    kind: int
    number: int
    value: int
    bytes: int


class Exif:
    """An EXIF block that can be edited. Raises ValueError if its structure is broken."""

    def __init__(self, block: bytes) -> None:
        block = block.removeprefix(PREFIX)
        if block[:4] not in (b"II*\0", b"MM\0*"):
            raise ValueError("no TIFF header")
        self._order = "<" if block[:2] == b"II" else ">"
        self._block = bytearray(block)
        self._first = self._long(4)
        self._check(self._first, frozenset())

    def tobytes(self) -> bytes:
        """The block as it now is, without the "Exif" prefix."""
        return bytes(self._block)

    @property
    def orientation(self) -> int:
        """Tag 0x0112, 1 to 8; 1 if it is missing or nonsense."""
        entry = self._find(self._first, ORIENTATION)
        value = self._number(entry) if entry else None
        return value if value is not None and 1 <= value <= 8 else 1

    def set_upright(self) -> None:
        """Set orientation to 1 where there is one."""
        self._set_number(self._first, ORIENTATION, 1)

    def set_size(self, width: int, height: int) -> None:
        """Update the size in pixels where the block tells one."""
        self._set_number(self._first, IMAGE_WIDTH, width)
        self._set_number(self._first, IMAGE_LENGTH, height)
        for ifd in self._below(self._first, EXIF_IFD):
            self._set_number(ifd, PIXEL_X, width)
            self._set_number(ifd, PIXEL_Y, height)

    def remove_orientation(self) -> None:
        """Cut tag 0x0112 out."""
        self._remove(self._first, ORIENTATION)

    def remove_thumbnail(self) -> None:
        """Cut out the small second picture, which still shows what was cropped away."""
        link = self._end_of_entries(self._first)
        second = self._long(link)
        if not second:
            return
        try:
            offset = self._find(second, THUMBNAIL_OFFSET)
            length = self._find(second, THUMBNAIL_LENGTH)
            if offset and length:
                self._erase(self._number(offset) or 0, self._number(length) or 0)
            self._erase_ifd(second)
        except (ValueError, struct.error):
            # The second directory is broken: unlinked below, and its place is not known.
            pass
        self._put_long(link, 0)
        # It usually stands at the end: then the block gets shorter, too.
        del self._block[len(self._block.rstrip(b"\0")) + 4 :]

    def remove_gps(self) -> None:
        """Cut out the position, and MakerNotes, which may repeat it in a maker's own form."""
        for ifd in self._below(self._first, EXIF_IFD):
            self._remove(ifd, MAKER_NOTE)
            self._remove(ifd, GPS_IFD)
        self._remove(self._first, GPS_IFD)

    def text(self, tag: int) -> str | None:
        """An ASCII tag of the first directory or of the Exif directory."""
        for ifd in (self._first, *self._below(self._first, EXIF_IFD)):
            entry = self._find(ifd, tag)
            if entry:
                raw = bytes(self._block[entry.value : entry.value + entry.bytes])
                return raw.split(b"\0")[0].decode("utf-8", "replace").strip() or None
        return None

    def _unpack(self, form: str, position: int) -> int:
        if position < 0:
            raise ValueError("a value before the block")
        try:
            value: int = struct.unpack_from(self._order + form, self._block, position)[0]
        except struct.error:
            raise ValueError("a value behind the end of the block") from None
        return value

    def _short(self, position: int) -> int:
        return self._unpack("H", position)

    def _long(self, position: int) -> int:
        return self._unpack("I", position)

    def _put_long(self, position: int, value: int) -> None:
        struct.pack_into(self._order + "I", self._block, position, value)

    def _entries(self, ifd: int) -> Iterator[_Entry]:
        for index in range(self._short(ifd)):
            position = ifd + 2 + index * _ENTRY
            tag, kind = self._short(position), self._short(position + 2)
            count = self._long(position + 4)
            length = count * (_TYPE_BYTES[kind] if kind < len(_TYPE_BYTES) else 0)
            value = position + 8 if length <= 4 else self._long(position + 8)
            yield _Entry(position, tag, kind, count, value, length)

    def _check(self, ifd: int, above: frozenset[int]) -> None:
        """Raise ValueError unless all directories can be walked and no value lies outside."""
        if ifd < 8 or ifd in above:
            raise ValueError("directories in a circle")
        for entry in self._entries(ifd):
            if entry.value + entry.bytes > len(self._block):
                raise ValueError(f"tag 0x{entry.tag:04X} points behind the end of the block")
            if entry.tag in _POINTERS:
                self._check(self._long(entry.position + 8), above | {ifd})
        if self._end_of_entries(ifd) + 4 > len(self._block):
            # Some writers leave out the last link of a directory at the block's end.
            self._block += bytes(4)

    def _end_of_entries(self, ifd: int) -> int:
        return ifd + 2 + self._short(ifd) * _ENTRY

    def _find(self, ifd: int, tag: int) -> _Entry | None:
        return next((entry for entry in self._entries(ifd) if entry.tag == tag), None)

    def _below(self, ifd: int, pointer: int) -> list[int]:
        entry = self._find(ifd, pointer)
        return [self._long(entry.position + 8)] if entry else []

    def _number(self, entry: _Entry) -> int | None:
        if entry.kind == _SHORT:
            return self._short(entry.value)
        return self._long(entry.value) if entry.kind == _LONG else None

    def _set_number(self, ifd: int, tag: int, value: int) -> None:
        entry = self._find(ifd, tag)
        if entry is None or entry.number != 1:
            return
        if entry.kind == _LONG or value > 0xFFFF:
            struct.pack_into(self._order + "HII", self._block, entry.position + 2, _LONG, 1, value)
        else:
            struct.pack_into(
                self._order + "HIHH", self._block, entry.position + 2, _SHORT, 1, value, 0
            )

    def _remove(self, ifd: int, tag: int) -> None:
        """Erase an entry and its value, and close the gap in the directory."""
        while entry := self._find(ifd, tag):
            if tag in _POINTERS:
                self._erase_ifd(self._long(entry.position + 8))
            self._erase(entry.value, entry.bytes)
            end = self._end_of_entries(ifd) + 4
            self._block[entry.position : end - _ENTRY] = self._block[entry.position + _ENTRY : end]
            self._erase(end - _ENTRY, _ENTRY)
            struct.pack_into(self._order + "H", self._block, ifd, self._short(ifd) - 1)

    def _erase_ifd(self, ifd: int) -> None:
        for entry in list(self._entries(ifd)):
            self._erase(entry.value, entry.bytes)
        self._erase(ifd, 2 + self._short(ifd) * _ENTRY)

    def _erase(self, start: int, length: int) -> None:
        stop = min(start + length, len(self._block))
        if start >= 8:
            self._block[start:stop] = bytes(max(0, stop - start))
