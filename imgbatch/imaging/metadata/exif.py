"""Editing an EXIF block in place.

A camera's MakerNotes point into the block by absolute offsets, so rewriting the block breaks
them. Here entries are changed or removed in place and nothing else moves: what is kept is kept
bit for bit, and what is removed is overwritten with zeros, not just unlinked.

Layout: TIFF 6.0, section 2; tag numbers: Exif 2.32 (CIPA DC-008).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from io import BytesIO
from operator import truediv
from typing import Final, NamedTuple

from imgbatch.imaging import limits
from imgbatch.imaging.containers import tiff
from imgbatch.imaging.containers.tiff import (
    ENTRY_BYTES,
    EXIF_IFD,
    GPS_IFD,
    INTEROPERABILITY_IFD,
    POINTERS,
    Directory,
    Field,
)
from imgbatch.imaging.metadata import exif_structure, positions
from imgbatch.imaging.metadata.exif_structure import TYPE_BYTES

PREFIX: Final = b"Exif\0\0"

IMAGE_WIDTH: Final = 0x0100
IMAGE_LENGTH: Final = 0x0101
MODEL: Final = 0x0110
ORIENTATION: Final = 0x0112
X_RESOLUTION: Final = 0x011A
Y_RESOLUTION: Final = 0x011B
RESOLUTION_UNIT: Final = 0x0128
XMP: Final = 0x02BC
ARTIST: Final = 0x013B
COPYRIGHT: Final = 0x8298
DATE_TIME_ORIGINAL: Final = 0x9003
DATE_TIME_DIGITIZED: Final = 0x9004
OFFSET_TIME_ORIGINAL: Final = 0x9011
OFFSET_TIME_DIGITIZED: Final = 0x9012
SUBSEC_TIME_ORIGINAL: Final = 0x9291
SUBSEC_TIME_DIGITIZED: Final = 0x9292
MAKER_NOTE: Final = 0x927C
COLOUR_SPACE: Final = 0xA001
UNCALIBRATED: Final = 0xFFFF
PIXEL_X: Final = 0xA002
PIXEL_Y: Final = 0xA003
INTEROPERABILITY_INDEX: Final = 0x0001
RELATED_WIDTH: Final = 0x1001
RELATED_LENGTH: Final = 0x1002
GPS_TIME_STAMP: Final = 0x0007
GPS_DATE_STAMP: Final = 0x001D

# Place and length of a thumbnail's bytes: as JPEG, and as uncompressed strips.
_THUMBNAILS: Final = ((0x0201, 0x0202), (0x0111, 0x0117))
# Blocks that may contain any others: MakerNotes, XMP, Photoshop's resources, DNG's private data.
_BLOCKS: Final = frozenset({MAKER_NOTE, XMP, 0x8649, 0xC634})
_IPTC: Final = 0x83BB
# ImageDescription, UserComment, and XPTitle, XPComment, XPKeywords, XPSubject.
_FREE_TEXTS: Final = frozenset({0x010E, 0x9286, 0x9C9B, 0x9C9C, 0x9C9E, 0x9C9F})
_CENTIMETRE: Final = 3
# Resolutions that differ by less are equal, rounded to whole pixels per metre or inch.
_SAME_RESOLUTION: Final = 0.002
_SHORT: Final = 3
_LONG: Final = 4
_RATIONAL: Final = 5
_DOUBLE: Final = 12
# Types of numbers, for struct: fractions are two.
_NUMBERS: Final = {
    1: "B",
    3: "H",
    4: "I",
    5: "2I",
    6: "b",
    8: "h",
    9: "i",
    10: "2i",
    11: "f",
    12: "d",
}
_MAX_DENOMINATOR: Final = 1_000_000
_MAX_FLOAT: Final = (2 - 2**-23) * 2.0**127
# A JPEG has room for 65,527 bytes.
_LONG_BLOCK: Final = 60_000
# Parts of a thumbnail that are erased: strips of uncompressed ones.
_MAX_NUMBERS: Final = 1_000


class _Entry(NamedTuple):
    """Where an entry is, and where its value is (inline or elsewhere in the block)."""

    position: int
    tag: int
    kind: int
    number: int
    value: int
    bytes: int


class Exif:
    """An EXIF block that can be edited: parsed once, and a `copy` of it for each output.

    What cannot be read is removed: `lost` is how many tags and directories that were. Raises
    ValueError if nothing can be read, or if there is more of it than is read.
    """

    def __init__(self, block: bytes) -> None:
        block = block.removeprefix(PREFIX)
        if len(block) > limits.EXIF_BYTES:
            raise ValueError(
                f"it has {len(block):,} bytes, and at most {limits.EXIF_BYTES:,} are read"
            )
        if block[:4] not in (b"II*\0", b"MM\0*"):
            raise ValueError("no TIFF header")
        self._order = "<" if block[:2] == b"II" else ">"
        self._block = bytearray(block)
        self._first = self._long(4)
        self.lost = 0
        end = exif_structure.end_of_directories(self._block, self._order, self._first)
        if end is None:
            self._block, self.lost = exif_structure.repaired(block, self._order, self._first)
            end = exif_structure.end_of_directories(self._block, self._order, self._first) or 0
        # Some writers omit the last link of a directory at the block's end.
        self._block += bytes(max(0, end - len(self._block)))

    def tobytes(self) -> bytes:
        """The block as it is now, without the "Exif" prefix."""
        return bytes(self._block)

    def __len__(self) -> int:
        return len(self._block)

    def copy(self) -> Exif:
        """The same block, to be edited for one output; it is not checked again."""
        other = Exif.__new__(Exif)
        other._order, other._first, other.lost = self._order, self._first, self.lost
        other._block = self._block.copy()
        return other

    @property
    def orientation(self) -> int | None:
        """Tag 0x0112, 1 to 8; None if it is missing or nonsense."""
        values = self._numbers(self._first, ORIENTATION)
        return values[0] if len(values) == 1 and 1 <= values[0] <= 8 else None

    @property
    def is_adobe_rgb(self) -> bool:
        """Whether a camera says Adobe RGB: ColorSpace 0xFFFF and the index "R03" (DCF 2.0, 5.2.2).

        Some use ColorSpace 2 for it.
        """
        for ifd in self._below(self._first, EXIF_IFD):
            space = self._numbers(ifd, COLOUR_SPACE)
            if space == [2]:
                return True
            for below in self._below(ifd, INTEROPERABILITY_IFD) if space == [0xFFFF] else ():
                entry = self._find(below, INTEROPERABILITY_INDEX)
                return entry is not None and self._block[entry.value :].startswith(b"R03")
        return False

    @classmethod
    def empty(cls) -> Exif:
        """A block with nothing in it yet."""
        return cls(tiff.block(Directory("<")))

    @property
    def resolution(self) -> tuple[float, float] | None:
        """Pixels per inch across and down (0x011A, 0x011B, 0x0128); None if that makes no sense."""
        ratios = [self._ratio(tag) for tag in (X_RESOLUTION, Y_RESOLUTION)]
        across, down = ratios[0] or ratios[1], ratios[1] or ratios[0]
        if not across or not down:
            return None
        inches = 2.54 if self._numbers(self._first, RESOLUTION_UNIT) == [_CENTIMETRE] else 1
        return across * inches, down * inches

    @property
    def has_only_resolution(self) -> bool:
        """Whether it contains nothing else, except perhaps that the picture is upright."""
        allowed = {X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, ORIENTATION}
        return all(entry.tag in allowed for entry in self._entries(self._first))

    def remove_broken_resolution(self) -> None:
        """Remove a resolution that is not a number, and a unit: some readers fail on them."""
        numbers = (_SHORT, _LONG, _RATIONAL)
        kinds = {X_RESOLUTION: numbers, Y_RESOLUTION: numbers, RESOLUTION_UNIT: (_SHORT, _LONG)}
        for tag, allowed in kinds.items():
            entry = self._find(self._first, tag)
            if entry and (entry.number != 1 or entry.kind not in allowed):
                self._remove(self._first, tag)

    def has_resolution(self, dpi: tuple[float, float]) -> bool:
        """Whether its resolution is this one, except for rounding."""
        own = self.resolution
        return own is not None and all(
            abs(old - new) <= _SAME_RESOLUTION * new for old, new in zip(own, dpi, strict=True)
        )

    def set_resolution(self, dpi: tuple[float, float]) -> None:
        """Set its resolution to these pixels per inch, unless it already is."""
        if self.has_resolution(dpi):
            return
        ratios = [struct.pack(self._order + "II", *_ratio(number)) for number in dpi]
        unit = struct.pack(self._order + "H", 2)
        tags = (X_RESOLUTION, Y_RESOLUTION)
        entries = [self._find(self._first, tag) for tag in tags]
        if self._find(self._first, RESOLUTION_UNIT) and all(
            entry and (entry.kind, entry.number) == (_RATIONAL, 1) and self._is_alone(entry)
            for entry in entries
        ):
            for entry, ratio in zip(entries, ratios, strict=True):
                if entry:
                    self._block[entry.value : entry.value + 8] = ratio
            self._set_number(self._first, RESOLUTION_UNIT, 2)
            return
        fields = [Field(tag, _RATIONAL, data) for tag, data in zip(tags, ratios, strict=True)]
        self._extend([*fields, Field(RESOLUTION_UNIT, _SHORT, unit)])

    def set_text(self, tag: int, text: str) -> None:
        """Set an ASCII tag of the first directory, in UTF-8.

        There may not be room for it: a new first directory is appended at the block's end, and what
        MakerNotes point to stays where it is. The old text is erased.
        """
        data = text.encode("utf-8").replace(b"\0", b" ") + b"\0"
        self._extend([Field(tag, tiff.ASCII, data)])

    def set_colour_space(self, *, srgb: bool) -> None:
        """Make a colour space (0xA001), if there is one, agree with the pixels' profile.

        The interoperability index ("R98" for sRGB, "R03" for Adobe RGB: DCF 2.0, 5.2.2) must not
        contradict it. Some writers put the colour space into the first directory, where it does
        not belong; readers find it there, too.
        """
        for ifd in self._main():
            self._set_number(ifd, COLOUR_SPACE, 1 if srgb else UNCALIBRATED)
            for below in self._below(ifd, INTEROPERABILITY_IFD):
                entry = self._find(below, INTEROPERABILITY_INDEX)
                index = self._block[entry.value : entry.value + 3] if entry else b""
                if srgb and index == b"R03" and entry and entry.bytes in (3, 4):
                    self._block[entry.value : entry.value + 3] = b"R98"
                elif index == (b"R03" if srgb else b"R98"):
                    self._remove(below, INTEROPERABILITY_INDEX)

    def only(self, tags: Iterable[int]) -> Exif | None:
        """A new block with only these tags of the first directory, None if it has none of them."""
        wanted = frozenset(tags)
        kept = tiff.read(BytesIO(self._block)).only(wanted.__contains__)
        return Exif(tiff.block(kept)) if kept.fields else None

    def without_maker_notes(self) -> Exif:
        """A new block without MakerNotes and without gaps, as short as possible."""
        return Exif(tiff.block(tiff.read(BytesIO(self._block)).without(MAKER_NOTE)))

    def tags(self) -> frozenset[int]:
        """The tags of the first directory and the Exif directory, whether readable or not."""
        found: set[int] = set()
        pending = [self._first]
        for ifd in pending:
            table = self._block[ifd + 2 : self._end_of_entries(ifd)]
            for tag, place in struct.iter_unpack(f"{self._order}H6xI", table):
                found.add(tag)
                if tag == EXIF_IFD and len(pending) == 1:
                    pending.append(place)
        return frozenset(found)

    def numbers(self, tag: int) -> tuple[float, ...]:
        """The numbers of a tag of the first directory or the Exif directory.

        Empty if there is none, if it is not of numbers, or if one of them has no finite value.
        """
        _, entry = self._anywhere(tag)
        form = _NUMBERS.get(entry.kind) if entry else None
        if entry is None or form is None:
            return ()
        data = self._block[entry.value : entry.value + entry.bytes]
        values = list(struct.iter_unpack(self._order + form, data))
        if any(not one[-1] for one in values if len(one) == 2):
            return ()
        found = tuple(one[0] / one[1] if len(one) == 2 else one[0] for one in values)
        return found if all(map(math.isfinite, found)) else ()

    def set_numbers(self, tag: int, numbers: Sequence[float]) -> None:
        """Give an existing tag other numbers of its type; without any, remove it.

        What does not fit into the entry is appended at the block's end: another tag may share the
        old place, and finding that out is only worth it for a long block.
        """
        ifd, entry = self._anywhere(tag)
        form = _NUMBERS.get(entry.kind) if entry else None
        if not numbers:
            self._remove(ifd, tag)
        if entry is None or form is None or not numbers:
            return
        data = b"".join(_packed(self._order + form, number) for number in numbers)
        if len(data) <= 4:
            place, data = entry.position + 8, data.ljust(4, b"\0")
        elif len(self._block) > _LONG_BLOCK and len(data) == entry.bytes and self._is_alone(entry):
            place = entry.value
        else:
            self._block += bytes(len(self._block) % 2)
            place = len(self._block)
            self._put_long(entry.position + 8, place)
        self._block[place : place + len(data)] = data
        self._put_long(entry.position + 4, len(numbers))

    def add_numbers(self, tag: int, numbers: Sequence[float]) -> None:
        """Add a tag of floating-point numbers (DOUBLE) to the first directory."""
        data = struct.pack(f"{self._order}{len(numbers)}d", *numbers)
        self._extend([Field(tag, _DOUBLE, data)])

    def remove(self, tag: int) -> None:
        """Remove a tag from the first directory and the Exif directory."""
        for ifd in self._main():
            self._remove(ifd, tag)

    def _anywhere(self, tag: int) -> tuple[int, _Entry | None]:
        """Of the first directory or the Exif directory."""
        for ifd in self._main():
            entry = self._find(ifd, tag)
            if entry:
                return ifd, entry
        return self._first, None

    def _extend(self, fields: list[Field]) -> None:
        tags = {one.tag for one in fields}
        old = [entry for entry in self._entries(self._first) if entry.tag in tags]
        first = self._first
        table = first, self._end_of_directory(first)
        self._block = bytearray(tiff.extended(bytes(self._block), Directory(self._order, fields)))
        self._first = self._long(4)
        before = bytes(self._block)
        for start, length in [(one.value, one.bytes) for one in old] + [
            (table[0], table[1] - table[0])
        ]:
            self._erase(start, length)
        # A broken directory may claim what belongs to others.
        for start, stop in self._used():
            self._block[start:stop] = before[start:stop]

    def _is_alone(self, entry: _Entry) -> bool:
        """Whether nothing else shares the place of its value; in a broken block something may."""
        stop = entry.value + entry.bytes
        return (
            entry.value >= 8
            and sum(start < stop and entry.value < end for start, end in self._used()) == 1
        )

    def _ratio(self, tag: int) -> float | None:
        entry = self._find(self._first, tag)
        if entry is None or entry.number != 1:
            return None
        if entry.kind == _RATIONAL:
            above, below = self._long(entry.value), self._long(entry.value + 4)
            return above / below if below else None
        numbers = self._numbers(self._first, tag)
        return float(numbers[0]) if numbers else None

    def set_upright(self) -> None:
        """Set an existing orientation to 1; remove one that makes no sense."""
        entry = self._find(self._first, ORIENTATION)
        if entry and entry.number != 1:
            # Some readers take the first of several.
            self.remove_orientation()
        self._set_number(self._first, ORIENTATION, 1)

    def set_size(self, width: int, height: int) -> None:
        """Update the size in pixels where the block has one."""
        self._set_number(self._first, IMAGE_WIDTH, width)
        self._set_number(self._first, IMAGE_LENGTH, height)
        for ifd in self._below(self._first, EXIF_IFD):
            self._set_number(ifd, PIXEL_X, width)
            self._set_number(ifd, PIXEL_Y, height)
            for below in self._below(ifd, INTEROPERABILITY_IFD):
                self._set_number(below, RELATED_WIDTH, width)
                self._set_number(below, RELATED_LENGTH, height)

    def remove_orientation(self) -> None:
        """Remove tag 0x0112."""
        self._remove(self._first, ORIENTATION)

    def remove_thumbnail(self) -> None:
        """Remove the thumbnail, which still shows what was cropped away."""
        link = self._end_of_entries(self._first)
        second = self._long(link)
        if not second:
            return
        self._put_long(link, 0)
        before = bytes(self._block)
        used = list(self._used())
        self._erase_pictures(second)
        # A broken directory may claim what belongs to others.
        for start, stop in used:
            self._block[start:stop] = before[start:stop]
        # It is usually at the end: then the block gets shorter, too.
        end = max(len(self._block.rstrip(b"\0")), *(stop for _, stop in used))
        del self._block[end:]

    def remove_gps(self, *, names: bool = False) -> None:
        """Remove the position, and MakerNotes, which may repeat it in a maker's own form.

        The thumbnail, other blocks inside this one, and whatever no directory refers to are also
        removed: an editor may have unlinked a position and left it in place. IPTC, which has none,
        is removed if `names` of places are to go.
        """
        self.remove_thumbnail()
        tags = positions.exif_tags() | _BLOCKS | {GPS_IFD} | ({_IPTC} if names else set())
        private = list(self._spans_of(tags))
        for ifd in self._directories():
            for tag in tags:
                self._remove(ifd, tag)
        kept = bytearray(len(self._block))
        kept[:8] = self._block[:8]
        for start, stop in self._used():
            kept[start:stop] = self._block[start:stop]
        # A broken entry may claim what belonged to them.
        for start, stop in private:
            start = max(start, 8)
            kept[start:stop] = bytes(max(0, stop - start))
        for ifd in self._directories():
            table = slice(ifd, self._end_of_directory(ifd))
            kept[table] = self._block[table]
        self._block = kept

    def remove_texts(self, test: Callable[[bytes], bool]) -> bool:
        """Remove texts that people wrote, if the test says so; return whether there were any.

        Descriptions and comments, also Windows' own (in UTF-16). `remove_gps` erases them.
        """
        found = False
        for ifd in self._directories():
            tags = {
                entry.tag
                for entry in self._entries(ifd)
                if entry.tag in _FREE_TEXTS
                and test(bytes(self._block[entry.value : entry.value + entry.bytes]))
            }
            for tag in tags:
                self._remove(ifd, tag)
            found |= bool(tags)
        return found

    def _spans_of(self, tags: Collection[int]) -> Iterator[tuple[int, int]]:
        """Start and end of these entries' values, and of all of the GPS directory."""
        for ifd in self._directories():
            for entry in self._entries(ifd):
                if entry.tag not in tags:
                    continue
                yield entry.value, entry.value + entry.bytes
                if entry.tag == GPS_IFD:
                    place = self._long(entry.position + 8)
                    yield place, self._end_of_directory(place)
                    for entry in self._entries(place):
                        yield entry.value, entry.value + entry.bytes

    def text(self, tag: int) -> str | None:
        """An ASCII tag of the first directory or of the Exif directory."""
        return self._text(tag, *self._main())

    def _text(self, tag: int, *directories: int) -> str | None:
        for ifd in directories:
            entry = self._find(ifd, tag)
            if entry:
                raw = bytes(self._block[entry.value : entry.value + entry.bytes])
                return raw.partition(b"\0")[0].decode("utf-8", "replace").strip() or None
        return None

    @property
    def gps_time(self) -> str | None:
        """GPSDateStamp (0x001D) with GPSTimeStamp (0x0007), which are in UTC, if that is there."""
        for ifd in self._below(self._first, GPS_IFD):
            date, time = self._text(GPS_DATE_STAMP, ifd), self._find(ifd, GPS_TIME_STAMP)
            if date is None or time is None or (time.kind, time.number) != (_RATIONAL, 3):
                return date
            numbers = struct.unpack_from(f"{self._order}6I", self._block, time.value)
            if not all(numbers[1::2]):
                return date
            hours, minutes, seconds = map(truediv, numbers[::2], numbers[1::2])
            thousandths = round(1000 * (3600 * hours + 60 * minutes + seconds))
            minute, second = divmod(thousandths // 1000, 60)
            time_of_day = f"{minute // 60:02}:{minute % 60:02}:{second:02}"
            return f"{date} {time_of_day}.{thousandths % 1000:03}Z"
        return None

    def _unpack(self, form: str, position: int) -> int:
        if position < 0:
            raise ValueError("a value before the block")
        try:
            value: int = struct.unpack_from(self._order + form, self._block, position)[0]
        except struct.error:
            raise ValueError("a value beyond the end of the block") from None
        return value

    def _short(self, position: int) -> int:
        return self._unpack("H", position)

    def _long(self, position: int) -> int:
        return self._unpack("I", position)

    def _put_long(self, position: int, value: int) -> None:
        struct.pack_into(self._order + "I", self._block, position, value)

    def _entries(self, ifd: int) -> Iterator[_Entry]:
        for index in range(self._short(ifd)):
            position = ifd + 2 + index * ENTRY_BYTES
            tag, kind = self._short(position), self._short(position + 2)
            count = self._long(position + 4)
            length = count * TYPE_BYTES.get(kind, 0)
            value = position + 8 if length <= 4 else self._long(position + 8)
            yield _Entry(position, tag, kind, count, value, length)

    def _directories(self) -> list[int]:
        """The first directory and those below it."""
        found = [self._first]
        for ifd in found:
            found += [
                self._long(one.position + 8) for one in self._entries(ifd) if one.tag in POINTERS
            ]
        return found

    def _used(self) -> Iterator[tuple[int, int]]:
        """Start and end of all that the first directory and those below it consist of."""
        for ifd in self._directories():
            yield ifd, self._end_of_entries(ifd) + 4
            for entry in self._entries(ifd):
                yield entry.value, entry.value + entry.bytes

    def _end_of_entries(self, ifd: int) -> int:
        return ifd + 2 + self._short(ifd) * ENTRY_BYTES

    def _end_of_directory(self, ifd: int) -> int:
        # Only the first one's link means something, and some writers omit the others.
        return self._end_of_entries(ifd) + (4 if ifd == self._first else 0)

    def _find(self, ifd: int, tag: int) -> _Entry | None:
        return next((entry for entry in self._entries(ifd) if entry.tag == tag), None)

    def _main(self) -> Iterator[int]:
        """The first directory, and EXIF's own."""
        yield self._first
        yield from self._below(self._first, EXIF_IFD)

    def _below(self, ifd: int, pointer: int) -> list[int]:
        entry = self._find(ifd, pointer)
        return [self._long(entry.position + 8)] if entry else []

    def _numbers(self, ifd: int, tag: int) -> list[int]:
        """The values of a SHORT or LONG tag; none if it is missing or of another type."""
        entry = self._find(ifd, tag)
        if entry is None or entry.kind not in (_SHORT, _LONG):
            return []
        form, step = ("H", 2) if entry.kind == _SHORT else ("I", 4)
        stop = entry.value + min(entry.bytes, step * _MAX_NUMBERS)
        return [self._unpack(form, position) for position in range(entry.value, stop, step)]

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
        """Remove all entries of a tag from their directory and close the gaps."""
        entries = list(self._entries(ifd))
        kept = [one.position for one in entries if one.tag != tag]
        gone = len(entries) - len(kept)
        if not gone:
            return
        start, end = ifd + 2, self._end_of_directory(ifd)
        link = self._block[start + len(entries) * ENTRY_BYTES : end]
        table = b"".join(self._block[at : at + ENTRY_BYTES] for at in kept) + link
        self._block[start:end] = table + bytes(gone * ENTRY_BYTES)
        struct.pack_into(self._order + "H", self._block, ifd, len(kept))

    def _erase_pictures(self, ifd: int) -> None:
        """Erase the directories linked from `ifd` on, as far as they can be read."""
        # First all are found, each place once: in a hostile file all values overlap.
        erased = -1
        for start, length in sorted(self._parts_of_pictures(ifd)):
            stop = start + length
            if stop > erased:
                self._erase(max(start, erased), stop - max(start, erased))
                erased = stop

    def _parts_of_pictures(self, ifd: int) -> list[tuple[int, int]]:
        """Start and length of all that the directories linked from `ifd` on consist of."""
        found: list[tuple[int, int]] = []
        seen: list[int] = []
        try:
            while ifd >= 8 and ifd not in seen and len(seen) < limits.DIRECTORIES:
                seen.append(ifd)
                for offsets, lengths in _THUMBNAILS:
                    starts, sizes = self._numbers(ifd, offsets), self._numbers(ifd, lengths)
                    found += zip(starts, sizes, strict=False)
                found += [(entry.value, entry.bytes) for entry in self._entries(ifd)]
                found.append((ifd, self._end_of_entries(ifd) + 4 - ifd))
                ifd = self._long(self._end_of_entries(ifd))
        except ValueError:
            # Broken: it is unlinked, but where its parts are is not known.
            pass
        return found

    def _erase(self, start: int, length: int) -> None:
        stop = min(start + length, len(self._block))
        if start >= 8:
            self._block[start:stop] = bytes(max(0, stop - start))


def _packed(form: str, number: float) -> bytes:
    """A number as `struct` writes it: rounded, and no more than fits, or a fraction of two."""
    kind = form[-1]
    if kind == "f":
        number = min(max(number, -_MAX_FLOAT), _MAX_FLOAT)
    if kind in "fd":
        return struct.pack(form, number)
    most = 2 ** (8 * struct.calcsize(f"={kind}") - kind.islower()) - 1
    least = -most - 1 if kind.islower() else 0
    if "2" not in form:
        return struct.pack(form, min(max(round(number), least), most))
    from fractions import Fraction

    ratio = Fraction(min(max(number, least), most)).limit_denominator(
        min(_MAX_DENOMINATOR, max(1, int(most / max(1.0, abs(number)))))
    )
    return struct.pack(form, *ratio.as_integer_ratio())


def _ratio(number: float) -> tuple[int, int]:
    """A number as the fraction of two LONGs."""
    return (round(number), 1) if abs(number - round(number)) < 0.01 else (round(number * 100), 100)
