"""Directories of TIFF files and EXIF blocks, read and written without interpreting them.

What a value means does not matter here, so one of an unusual type is carried like any other.
Layout: TIFF 6.0, section 2; BigTIFF: the same with 8-byte counts and offsets.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from io import BytesIO
from typing import BinaryIO, Final, NamedTuple

from msgspec import Struct, field

from imgbatch.imaging import limits

EXIF_IFD: Final = 0x8769
GPS_IFD: Final = 0x8825
INTEROPERABILITY_IFD: Final = 0xA005
SUB_IFDS: Final = 0x014A
POINTERS: Final = frozenset({EXIF_IFD, GPS_IFD, INTEROPERABILITY_IFD})
"""Tags whose value is the place of another directory."""

BYTE: Final = 1
ASCII: Final = 2
SHORT: Final = 3
LONG: Final = 4
RATIONAL: Final = 5
UNDEFINED: Final = 7

MAX_BYTES: Final = 2**32 - 1
"""The longest file, unless it is a BigTIFF."""

# FreeOffsets, StripOffsets, TileOffsets, and those of JPEG data as TIFF 6.0 first had it.
_PLACES: Final = frozenset({0x0111, 0x0120, 0x0144, 0x0201, 0x0207, 0x0208, 0x0209})
# Section 8: the kind of data in a directory, by bits, or as earlier versions had it.
_NEW_SUBFILE_TYPE: Final = 0x00FE
_SUBFILE_TYPE: Final = 0x00FF
_REDUCED_OR_MASK: Final = 0b101
_REDUCED: Final = 2
HEADER_BYTES: Final = 8
IFD: Final = 13

# Bytes of one value by type, and of its numbers, whose bytes are swapped for another byte order.
TYPE_BYTES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_BYTES_OF_ALL: Final = TYPE_BYTES | {13: 4, 16: 8, 17: 8, 18: 8}
_NUMBER_BYTES: Final = _BYTES_OF_ALL | {5: 4, 10: 4}
_WHOLE: Final = {3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_EIGHT_TO_FOUR: Final = {16: 4, 17: 9, 18: 4}
ENTRY_BYTES: Final = 12


class Field(NamedTuple):
    """A tag, its TIFF type, and its values' bytes."""

    tag: int
    kind: int
    data: bytes

    @property
    def number(self) -> int:
        """How many values there are."""
        return len(self.data) // _BYTES_OF_ALL[self.kind]

    def turned(self) -> Field:
        """With the bytes of each number swapped."""
        return self._replace(data=_turned(self.data, _NUMBER_BYTES[self.kind]))


class Directory(Struct):
    """Fields in one byte order ("<" or ">"), and the directories that its pointers lead to.

    `lost` counts the fields that could not be read.
    """

    order: str
    fields: list[Field] = field(default_factory=list)
    below: dict[int, Directory] = field(default_factory=dict)
    lost: int = 0

    def numbers(self, tag: int) -> list[int]:
        """The values of a tag with whole numbers; none if it is missing or has another type."""
        one = next((one for one in self.fields if one.tag == tag), None)
        form = _WHOLE.get(one.kind) if one is not None else None
        if one is None or form is None:
            return []
        return list(struct.unpack(f"{self.order}{one.number}{form}", one.data))

    @property
    def lost_in_all(self) -> int:
        """How many fields could not be read, here and below."""
        return self.lost + sum(below.lost_in_all for below in self.below.values())

    def only(self, wanted: Callable[[int], bool]) -> Directory:
        """The same with only the wanted tags at the top; what is below them stays."""
        return Directory(
            self.order,
            [one for one in self.fields if wanted(one.tag)],
            {tag: below for tag, below in self.below.items() if wanted(tag)},
            self.lost,
        )

    def without(self, tag: int) -> Directory:
        """The same without a tag, here and below."""
        below = {key: one.without(tag) for key, one in self.below.items() if key != tag}
        fields = [one for one in self.fields if one.tag != tag]
        return Directory(self.order, fields, below, self.lost)

    def in_order(self, order: str) -> Directory:
        """The same in another byte order."""
        if order == self.order:
            return self
        return Directory(
            order,
            [one.turned() for one in self.fields],
            {tag: below.in_order(order) for tag, below in self.below.items()},
            self.lost,
        )


def read(
    file: BinaryIO,
    at: int | None = None,
    *,
    wanted: Callable[[int], bool] = lambda tag: True,
    most_bytes: int = limits.EXIF_BYTES,
    wide: Container[int] = (),
    apart: Container[int] = (),
) -> Directory:
    """The first directory of a TIFF file, a BigTIFF or an EXIF block, or the one `at` a place.

    With those below it, and at the top only the tags that are `wanted`. What goes beyond
    `most_bytes` of values is counted as lost. Numbers of 8 bytes become shorter, except for the
    tags `wide`. The tags `apart` at the top have as many bytes of their own, and are not counted
    if they are lost. Raises ValueError if there is none, or if it has more fields than are
    read (`limits`); one below it that cannot be read counts as lost.
    """
    try:
        order, big, first = _head(file)
        reader = _Reader(file, order, big, most_bytes, wide)
        return reader.directory(first if at is None else at, wanted, apart)
    except (struct.error, OverflowError):
        raise ValueError("a directory that is cut short") from None


def places(file: BinaryIO, most: int) -> list[int]:
    """The places of the directories of a file's pages, up to one more than `most`.

    Reduced copies of pages, and their masks, do not count as pages, unless there is nothing else. A
    repeated place ends them, as in libtiff. Raises ValueError if there is none, or if one is cut
    short.
    """
    try:
        order, big, at = _head(file)
        found: dict[int, bool] = {}
        form, room = ("Q", 8) if big else ("I", 4)
        step = 20 if big else ENTRY_BYTES
        while at and at not in found and len(found) <= most:
            count, found[at] = _begun(file, at, order, big=big)
            file.seek(step * (count - min(count, 2)), os.SEEK_CUR)
            (at,) = struct.unpack(order + form, file.read(room))
    except (struct.error, OverflowError, OSError):
        raise ValueError("a directory that is cut short") from None
    return [place for place, is_page in found.items() if is_page] or list(found)


def beginning_with_a_page(file: BinaryIO, most: int) -> BinaryIO:
    """A file whose first directory is that of its first page, as `places` has it: usually this one.

    Others begin with a thumbnail; only then are all directories looked at. The position is not
    restored. Raises ValueError like `places`.
    """
    try:
        order, big, at = _head(file)
        if at and _begun(file, at, order, big=big)[1]:
            return file
    except (struct.error, OverflowError, OSError):
        raise ValueError("a directory that is cut short") from None
    (page, *_) = places(file, most)
    if page == at:
        return file
    file.seek(0)
    data = bytearray(file.read())
    struct.pack_into(order + ("Q" if big else "I"), data, 8 if big else 4, page)
    return BytesIO(data)


def _begun(file: BinaryIO, at: int, order: str, *, big: bool) -> tuple[int, bool]:
    """How many entries a directory has, and whether it is a page's. Two of them are read."""
    file.seek(at)
    (count,) = struct.unpack(order + ("Q" if big else "H"), file.read(8 if big else 2))
    # Entries are in the order of their tags, and these two have the lowest.
    first = file.read((20 if big else ENTRY_BYTES) * min(count, 2))
    return count, _is_a_page(first, order, big=big)


def _is_a_page(entries: bytes, order: str, *, big: bool) -> bool:
    """Whether the first two entries of a directory do not say that it is a copy or a mask."""
    step, form, cell = (20, "HHQ", 12) if big else (ENTRY_BYTES, "HHI", 8)
    for at in range(0, len(entries), step):
        tag, kind, _ = struct.unpack_from(order + form, entries, at)
        if tag in (_NEW_SUBFILE_TYPE, _SUBFILE_TYPE) and kind in (SHORT, LONG):
            (value,) = struct.unpack_from(order + _WHOLE[kind], entries, at + cell)
            if value & _REDUCED_OR_MASK if tag == _NEW_SUBFILE_TYPE else value == _REDUCED:
                return False
    return True


def _head(file: BinaryIO) -> tuple[str, bool, int]:
    """Byte order, whether it is a BigTIFF, and the place of the first directory."""
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None:
        raise ValueError("no TIFF header")
    big = struct.unpack_from(order + "H", head, 2)[0] == 43
    form, place = ("Q", 8) if big else ("I", 4)
    return order, big, struct.unpack_from(order + form, head, place)[0]


class _UnreadableError(ValueError):
    """A directory has more fields than are read, was read before, or is not a directory."""


class _Reader:
    """Reads a directory and those below it, once."""

    def __init__(
        self, file: BinaryIO, order: str, big: bool, most_bytes: int, wide: Container[int]
    ) -> None:
        self._file, self._order, self._big, self._wide = file, order, big, wide
        self._bytes_left = {False: most_bytes, True: most_bytes}
        self._entries_left = limits.EXIF_ENTRIES
        self._seen: set[int] = set()

    def directory(
        self,
        at: int,
        wanted: Callable[[int], bool] = lambda tag: True,
        apart: Container[int] = (),
    ) -> Directory:
        file, order, big = self._file, self._order, self._big
        if at in self._seen or len(self._seen) >= limits.DIRECTORIES:
            raise _UnreadableError("directories in a circle")
        self._seen.add(at)
        found = Directory(order)
        file.seek(at)
        (count,) = struct.unpack(order + ("Q" if big else "H"), file.read(8 if big else 2))
        step, form, room = (20, "HHQ", 8) if big else (ENTRY_BYTES, "HHI", 4)
        if count > self._entries_left:
            raise _UnreadableError(f"more than {limits.EXIF_ENTRIES:,} tags")
        self._entries_left -= count
        table = file.read(count * step)
        for position in range(0, len(table) - step + 1, step):
            tag, kind, number = struct.unpack_from(order + form, table, position)
            if not wanted(tag):
                continue
            length = _BYTES_OF_ALL.get(kind, 0) * number
            cell = table[position + step - room : position + step]
            data = cell[:length]
            is_apart = tag in apart
            if length > room:
                data = self._value(_number(cell, order), length, is_apart)
            if kind not in _BYTES_OF_ALL or len(data) < length:
                found.lost += not is_apart
            elif tag in POINTERS:
                self._add_below(found, tag, _number(cell, order))
            else:
                one = Field(tag, kind, data)
                shrunk = one if tag in self._wide else _shrunk(one, order)
                found.lost += shrunk is None
                found.fields += [shrunk] if shrunk is not None else []
        return found

    def _value(self, at: int, length: int, is_apart: bool) -> bytes:
        if length > self._bytes_left[is_apart]:
            return b""
        self._bytes_left[is_apart] -= length
        self._file.seek(at)
        return self._file.read(length)

    def _add_below(self, found: Directory, tag: int, at: int) -> None:
        try:
            below = self.directory(at)
        except (struct.error, OSError, OverflowError, _UnreadableError):
            below = Directory(self._order, lost=1)
        if tag == INTEROPERABILITY_IFD and below.lost:
            # The old place of one that a program moved without updating this link; no
            # loss, because it would only name a standard.
            return
        if below.fields or below.below:
            found.below[tag] = below
        else:
            found.lost += below.lost


def _number(data: bytes, order: str) -> int:
    return int.from_bytes(data, "little" if order == "<" else "big")


def _shrunk(one: Field, order: str) -> Field | None:
    """With numbers of 4 bytes instead of BigTIFF's 8; None if they are too large for that."""
    if one.kind not in _EIGHT_TO_FOUR:
        return one
    signed = one.kind == 17
    form = order + str(one.number)
    try:
        numbers = struct.unpack(form + ("q" if signed else "Q"), one.data)
        data = struct.pack(form + ("i" if signed else "I"), *numbers)
    except struct.error:
        return None
    return Field(one.tag, _EIGHT_TO_FOUR[one.kind], data)


def _turned(data: bytes, width: int) -> bytes:
    if width == 1:
        return data
    turned = bytearray(len(data))
    for index in range(width):
        turned[index::width] = data[width - 1 - index :: width]
    return bytes(turned)


def block(directory: Directory) -> bytes:
    """An EXIF block of nothing but this directory and those below it."""
    head = (b"II*\0" if directory.order == "<" else b"MM\0*") + struct.pack(
        directory.order + "I", 8
    )
    return head + _packed(directory, 8, {}, 0)


def extended(data: bytes, added: Directory, *, without: Iterable[int] = ()) -> bytes:
    """A TIFF file or an EXIF block with more in its first directory; all else stays in place.

    A new first directory is appended, with the old one's entries unchanged (their values also
    stay in place), and the header points to it. Fields of `added` replace existing ones, and those
    in `without` are removed. Raises ValueError if the directory is broken.
    """
    order = "<" if data[:2] == b"II" else ">"
    added = added.in_order(order)
    try:
        (first,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, first)
        end = first + 2 + count * ENTRY_BYTES
        (link,) = struct.unpack_from(order + "I", data, end)
    except struct.error:
        raise ValueError("a directory that is cut short") from None
    replaced = {*without, *(one.tag for one in added.fields), *added.below}
    cells: dict[int, bytes] = {}
    for position in range(first + 2, end, ENTRY_BYTES):
        (tag,) = struct.unpack_from(order + "H", data, position)
        if tag not in replaced:
            # If there are several with one tag, the first counts.
            cells.setdefault(tag, data[position : position + ENTRY_BYTES])
    whole = bytearray(data + bytes(len(data) % 2))
    struct.pack_into(order + "I", whole, 4, len(whole))
    whole += _packed(added, len(whole), cells, link)
    return bytes(whole)


def _packed(directory: Directory, at: int, cells: Mapping[int, bytes], link: int) -> bytes:
    """A directory to be placed `at` an offset, followed by its values and those below it.

    `cells` are entries by tag that are used unchanged.
    """
    order = directory.order
    entries = dict(cells)
    start = at + 2 + (len(cells) + len(directory.fields) + len(directory.below)) * ENTRY_BYTES + 4
    behind = bytearray()
    for tag, kind, data in directory.fields:
        value = data.ljust(4, b"\0")
        if len(data) > 4:
            value = struct.pack(order + "I", start + len(behind))
            behind += data + bytes(len(data) % 2)
        count = len(data) // _BYTES_OF_ALL[kind]
        entries[tag] = struct.pack(order + "HHI", tag, kind, count) + value
    for tag, below in directory.below.items():
        place = start + len(behind)
        entries[tag] = struct.pack(order + "HHII", tag, LONG, 1, place)
        behind += _packed(below, place, {}, 0)
    # Two fields of one tag leave fewer entries; the room is kept, so that offsets stay right.
    spare = bytes(start - at - 2 - 4 - len(entries) * ENTRY_BYTES)
    table = b"".join(entries[tag] for tag in sorted(entries))
    head, last = struct.pack(order + "H", len(entries)), struct.pack(order + "I", link)
    return head + table + last + spare + bytes(behind)


def joined(files: Sequence[bytes]) -> bytes:
    """One TIFF of the pages of TIFFs in one byte order; raises ValueError for any other."""
    order = _classic_order(files[0])
    out = bytearray(files[0])
    link = _last_link(files[0], order)
    for data in files[1:]:
        out += bytes(len(out) % 2)
        moved = len(out) - HEADER_BYTES
        if moved + len(data) > MAX_BYTES:
            raise ValueError("the pages together are longer than the 4 GiB of a TIFF")
        struct.pack_into(order + "I", out, link, moved + _first(data, order))
        link = moved + _last_link(data, order)
        out += data[HEADER_BYTES:]
        for at in _pages(data):
            _move(out, moved + at, moved, order)
    return bytes(out)


def _classic_order(data: bytes) -> str:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        raise ValueError("a page is not a TIFF")
    return order


def _first(data: bytes, order: str) -> int:
    if _classic_order(data) != order:
        raise ValueError("a page is in another byte order")
    (at,) = struct.unpack_from(order + "I", data, 4)
    return int(at)


def _last_link(data: bytes, order: str) -> int:
    """Where the place of the page after the last one would be."""
    last = _pages(data)[-1]
    (count,) = struct.unpack_from(order + "H", data, last)
    at = int(last + 2 + count * ENTRY_BYTES)
    if data[at : at + 4] != bytes(4):
        raise ValueError("directories in a circle")
    return at


def _pages(data: bytes) -> list[int]:
    found = places(BytesIO(data), limits.PAGES)
    if len(found) > limits.PAGES:
        raise ValueError(f"more than {limits.PAGES:,} pages")
    return found


def _move(out: bytearray, at: int, moved: int, order: str) -> None:
    """Add `moved` to all places in the directory `at`, and in those below it.

    The link to the next page of the same file is moved, too.
    """
    (count,) = struct.unpack_from(order + "H", out, at)
    end = at + 2 + count * ENTRY_BYTES
    (link,) = struct.unpack_from(order + "I", out, end)
    if link:
        struct.pack_into(order + "I", out, end, link + moved)
    for entry in range(at + 2, end, ENTRY_BYTES):
        tag, kind, number = struct.unpack_from(order + "HHI", out, entry)
        cell = entry + HEADER_BYTES
        values_at = cell
        if _BYTES_OF_ALL.get(kind, 1) * number > 4:
            values_at = struct.unpack_from(order + "I", out, cell)[0] + moved
            struct.pack_into(order + "I", out, cell, values_at)
        if tag not in _PLACES | POINTERS | {SUB_IFDS} or kind not in (SHORT, LONG, IFD):
            continue
        form = f"{order}{number}{'H' if kind == SHORT else 'I'}"
        targets = [place + moved for place in struct.unpack_from(form, out, values_at)]
        if kind == SHORT:
            # They may need more room than they had.
            values_at = cell if number == 1 else len(out) + len(out) % 2
            out += bytes(values_at + 4 * number - len(out) if number > 1 else 0)
            struct.pack_into(order + "HHI", out, entry, tag, LONG, number)
            if number > 1:
                struct.pack_into(order + "I", out, cell, values_at)
        struct.pack_into(f"{order}{number}I", out, values_at, *targets)
        if tag in POINTERS or tag == SUB_IFDS:
            for place in targets:
                _move(out, place, moved, order)
