"""Whether an EXIF block's directories can be walked, and what can be kept if they cannot.

Programs damage single pointers and counts. Only what hangs on the damaged number is removed; the
rest stays in place, because MakerNotes point into the block by absolute offsets.

Layout: TIFF 6.0, section 2; which tags belong to which directory: Exif 3.0 (CIPA DC-008), 4.6.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from itertools import pairwise
from typing import Final, NamedTuple

from imgbatch.imaging import limits
from imgbatch.imaging.containers import tiff
from imgbatch.imaging.containers.tiff import (
    ENTRY_BYTES,
    EXIF_IFD,
    GPS_IFD,
    INTEROPERABILITY_IFD,
    LONG,
    POINTERS,
    RATIONAL,
)

# Besides TIFF 6.0's: IFD is from its supplement 1, UTF-8 from Exif 3.0.
TYPE_BYTES: Final = tiff.TYPE_BYTES | {tiff.IFD: 4, 129: 1}
_LINK: Final = 4
# The lowest tag of the Exif directory is 0x829A, the highest of GPS 0x1F.
_LOWEST_OF_EXIF: Final = 0x8000
_HIGHEST_OF_GPS: Final = 0x1F
_OF_INTEROPERABILITY: Final = frozenset({0x1000, 0x1001, 0x1002})

Span = tuple[int, int]


class Entry(NamedTuple):
    """The four fields of an entry; `cell` holds the value or, if that is longer, its place."""

    tag: int
    kind: int
    number: int
    cell: int

    @property
    def bytes(self) -> int:
        """The length of its value; 0 if its type is unknown."""
        return self.number * TYPE_BYTES.get(self.kind, 0)


def end_of_directories(block: bytes | bytearray, order: str, first: int) -> int | None:
    """Where the last directory and its link end; None if the block is damaged.

    In a sound one all directories can be walked from the `first`, and all values read: they are of
    known types, no more than are read, and nothing lies outside the block, over a directory, or
    over so much else that hostile values add up.
    """
    known, size, found = TYPE_BYTES, len(block), [(first, 0)]
    tables: list[Span] = []
    values: list[Span] = []
    entries_left, claimed = limits.EXIF_ENTRIES, 0
    for ifd, pointer in found:
        try:
            entries = _entries(block, order, ifd)
        except ValueError:
            return None
        entries_left -= len(entries)
        if entries_left < 0 or (pointer and entries and not _belongs(pointer, entries)):
            return None
        end = ifd + 2 + len(entries) * ENTRY_BYTES
        # Only the first one's link means something, and some writers omit the others.
        tables.append((ifd, end if pointer else end + _LINK))
        for tag, kind, number, cell in entries:
            if kind not in known:
                return None
            if tag in POINTERS:
                if number != 1 or kind not in (LONG, tiff.IFD) or len(found) >= limits.DIRECTORIES:
                    return None
                found.append((cell, tag))
            length = number * known[kind]
            claimed += length
            if length > 4:
                if cell < tiff.HEADER_BYTES or cell + length > size:
                    return None
                values.append((cell, cell + length))
    if claimed > limits.EXIF_OVERLAP * size:
        return None
    tables.sort()
    if any(start < stop for (_, stop), (start, _) in pairwise(tables)):
        return None
    if any(start < end and begin < stop for begin, end in tables for start, stop in values):
        return None
    last = tables[-1]
    return last[1] if last[0] == first else last[1] + _LINK


def repaired(block: bytes | bytearray, order: str, first: int) -> tuple[bytearray, int]:
    """The block with every bad value and pointer removed, and how many these were.

    Raises ValueError if the first directory cannot be read, or has more tags than are read, or if
    nothing is left.
    """
    return _Repair(block, order).done(first)


def _entries(block: bytes | bytearray, order: str, ifd: int) -> list[Entry]:
    """The entries of a directory. Raises ValueError if it is not wholly inside the block."""
    if not tiff.HEADER_BYTES <= ifd <= len(block) - 2:
        raise ValueError("a directory outside the block")
    (count,) = struct.unpack_from(order + "H", block, ifd)
    table = block[ifd + 2 : ifd + 2 + count * ENTRY_BYTES]
    if len(table) < count * ENTRY_BYTES:
        raise ValueError("a directory that is cut short")
    return list(map(Entry._make, struct.iter_unpack(order + "HHII", table)))


def _belongs(pointer: int, entries: Iterable[Entry]) -> bool:
    """Whether there is anything among the entries that is of the pointer's directory."""
    if pointer == EXIF_IFD:
        return any(one.tag >= _LOWEST_OF_EXIF for one in entries)
    if pointer == GPS_IFD:
        return any(_is_of_gps(one) for one in entries)
    return pointer != INTEROPERABILITY_IFD or any(map(_is_of_interoperability, entries))


def _is_of_gps(one: Entry) -> bool:
    # 1 is N or S, 2 the latitude as three fractions.
    if one.tag == 1:
        return one.number <= 2
    return one.kind == RATIONAL if one.tag == 2 else one.tag <= _HIGHEST_OF_GPS


def _is_of_interoperability(one: Entry) -> bool:
    # 1 is a name such as R98, 2 the version, four bytes.
    if one.tag in (1, 2):
        return one.number > 2 and one.kind != RATIONAL
    return one.tag in _OF_INTEROPERABILITY


class _Directory(NamedTuple):
    """A directory as it was found: its place, its entries, and where the last one ends.

    `is_cut` says that the block ends before it does.
    """

    place: int
    entries: list[Entry]
    end: int
    is_cut: bool


class _Repair:
    """Walks a block from directory to directory, keeping what can be read."""

    def __init__(self, block: bytes | bytearray, order: str) -> None:
        self._block, self._order = bytearray(block), order
        self._lost = 0
        self._tables: list[Span] = []
        self._entries_left = limits.EXIF_ENTRIES
        self._reads_left = 2 * limits.DIRECTORIES

    def done(self, first: int) -> tuple[bytearray, int]:
        top = self._read(first)
        # Some writers omit the last link at the block's end.
        self._block += bytes(max(0, top.end + _LINK - len(self._block)))
        self._accept(top, top.end + _LINK)
        found = [top]
        for one in found:
            found += self._below(one, limits.DIRECTORIES - len(found))
        left = claimed = 0
        for one in found:
            kept = []
            for entry in one.entries:
                fits = self._is_readable(entry, claimed)
                claimed += entry.bytes if fits else 0
                kept += [entry] if fits else []
            # One with nothing at all in it is padding.
            self._lost += len(one.entries) - len(kept) - one.entries.count(Entry(0, 0, 0, 0))
            self._lost += one.is_cut
            left += len(kept)
            self._write(one, kept)
        if self._lost and not left:
            raise ValueError("none of its tags can be read")
        return self._block, self._lost

    def _read(self, ifd: int) -> _Directory:
        """A directory as far as it goes. Raises ValueError if it does not even begin."""
        block, order = self._block, self._order
        self._reads_left -= 1
        if self._reads_left < 0 or not tiff.HEADER_BYTES <= ifd <= len(block) - 2:
            raise ValueError("a directory outside the block")
        (count,) = struct.unpack_from(order + "H", block, ifd)
        whole = min(count, (len(block) - ifd - 2) // ENTRY_BYTES, limits.EXIF_ENTRIES + 1)
        start = ifd + 2
        table = block[start : start + whole * ENTRY_BYTES]
        entries = list(map(Entry._make, struct.iter_unpack(order + "HHII", table)))
        entries = entries[: _true_count(entries, start)]
        if len(entries) > limits.EXIF_ENTRIES:
            raise ValueError(f"it has more than {limits.EXIF_ENTRIES:,} tags")
        is_cut = count > whole == len(entries)
        return _Directory(ifd, entries, start + len(entries) * ENTRY_BYTES, is_cut)

    def _below(self, parent: _Directory, room: int) -> list[_Directory]:
        """The directories that can be read of those that pointers lead to.

        The other pointers are removed.
        """
        candidates: list[tuple[float, int, _Directory]] = []
        for number, entry in enumerate(parent.entries):
            if entry.tag not in POINTERS:
                continue
            try:
                one = self._read(entry.cell)
            except ValueError:
                continue
            good = sum(map(self._is_inside, one.entries))
            if good and 2 * good >= len(one.entries) and _belongs(entry.tag, one.entries):
                candidates.append((-good / len(one.entries), number, one))
        accepted: dict[int, _Directory] = {}
        # Where two overlap, the better one is the real one.
        for _, number, one in sorted(candidates):
            if len(accepted) < room and self._accept(one, one.end):
                accepted[number] = one
        for number, entry in reversed(list(enumerate(parent.entries))):
            if number in accepted:
                parent.entries[number] = Entry(entry.tag, LONG, 1, entry.cell)
            elif entry.tag in POINTERS:
                del parent.entries[number]
                self._lost += 1
        return [accepted[number] for number in sorted(accepted)]

    def _accept(self, one: _Directory, end: int) -> bool:
        """Reserve the place of a directory, unless it is another one's or there are too many."""
        is_free = not any(one.place < stop and start < end for start, stop in self._tables)
        if not is_free or len(one.entries) > self._entries_left:
            return False
        self._entries_left -= len(one.entries)
        self._tables.append((one.place, end))
        return True

    def _is_inside(self, entry: Entry) -> bool:
        """Whether an entry is of a known type, and its value inside the block."""
        if entry.kind not in TYPE_BYTES:
            return False
        return entry.bytes <= 4 or tiff.HEADER_BYTES <= entry.cell <= len(self._block) - entry.bytes

    def _is_readable(self, entry: Entry, claimed: int) -> bool:
        """Whether a value is inside the block, not over a directory, and not one of too many."""
        length = entry.bytes
        if not self._is_inside(entry) or claimed + length > limits.EXIF_OVERLAP * len(self._block):
            return False
        start, stop = entry.cell, entry.cell + length
        return length <= 4 or not any(begin < stop and start < end for begin, end in self._tables)

    def _write(self, one: _Directory, kept: list[Entry]) -> None:
        """Write a directory with fewer entries, and zeros in place of the others."""
        start, end = one.place + 2, one.end + (0 if one.place != self._tables[0][0] else _LINK)
        link = self._block[one.end : end]
        table = b"".join(struct.pack(self._order + "HHII", *entry) for entry in kept)
        struct.pack_into(self._order + "H", self._block, one.place, len(kept))
        self._block[start:end] = (table + link).ljust(end - start, b"\0")


def _true_count(entries: list[Entry], start: int) -> int:
    """How many entries a directory has whose count may be too large.

    What follows it is its link, which hardly makes an entry of a known type, and values that its
    entries point to.
    """
    end = start + len(entries) * ENTRY_BYTES
    furthest = 0
    for number, entry in enumerate(entries):
        if entry.kind not in TYPE_BYTES and furthest > start + number * ENTRY_BYTES:
            return number
        if entry.cell < end and (entry.bytes > 4 or entry.tag in POINTERS):
            furthest = max(furthest, entry.cell)
    return len(entries)
