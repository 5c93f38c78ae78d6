"""Records of IPTC-IIM (version 4.2), and the places that hold them in other formats' blocks.

A data set is the byte 0x1C, the numbers of its record and of itself, its length and its value.
Most programs write only record 2 (the "application record"), preceded by 1:90 if the text is in
UTF-8.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

from imgbatch.imaging import limits
from imgbatch.imaging.containers import photoshop
from imgbatch.imaging.metadata import positions

CHARACTER_SET: Final = (1, 90)
BY_LINE: Final = (2, 80)
COPYRIGHT: Final = (2, 116)
# By-line and its title, credit, source, copyright notice, and whom to ask.
_RIGHTS: Final = frozenset({(2, 80), (2, 85), (2, 110), (2, 115), (2, 116), (2, 118)})
# The form, the version and the data of a preview of what the file showed before.
_PREVIEW: Final = frozenset({(2, 200), (2, 201), (2, 202)})
_VERSION: Final = (2, 0)
_UTF_8: Final = b"\x1b%G"
MARKER: Final = 0x1C
# For longer values, this field has the number of bytes of the length (1.6 of the specification).
_LONG: Final = 0x8000

PHOTOSHOP: Final = b"Photoshop 3.0\0"
"""The beginning of JPEG's APP13 segments with Photoshop's image resources."""


class DataSet(NamedTuple):
    """One data set: the numbers of its record and its own, and its value."""

    record: int
    number: int
    value: bytes

    @property
    def name(self) -> tuple[int, int]:
        """Its two numbers."""
        return self.record, self.number


def parsed(records: bytes) -> list[DataSet]:
    """The data sets, without the padding after them.

    Raises ValueError if they are broken, or more than is read.
    """
    if len(records) > limits.IPTC_BYTES:
        raise ValueError(
            f"it has {len(records):,} bytes, and at most {limits.IPTC_BYTES:,} are read"
        )
    sets = list(islice(_parsed(records), limits.IPTC_SETS + 1))
    if len(sets) > limits.IPTC_SETS:
        raise ValueError(f"it has more than {limits.IPTC_SETS:,} data sets")
    return sets


def _parsed(records: bytes) -> Iterator[DataSet]:
    at, end = 0, len(records.rstrip(b"\0"))
    while at < end:
        if records[at] != MARKER or at + 5 > len(records):
            raise ValueError("something other than IPTC data sets")
        record, number, length = struct.unpack_from(">BBH", records, at + 1)
        at += 5
        if length >= _LONG:
            width = length - _LONG
            length = int.from_bytes(records[at : at + width], "big")
            at += width
        if at + length > len(records):
            raise ValueError("an IPTC data set that is cut short")
        yield DataSet(record, number, records[at : at + length])
        at += length


def working_bytes(records: bytes) -> int:
    """The memory it takes to parse records and write them again."""
    return 3 * len(records) + 300 * min(records.count(MARKER), limits.IPTC_SETS)


def packed(sets: Iterable[DataSet]) -> bytes:
    """The data sets as bytes."""
    return b"".join(
        struct.pack(">BBB", MARKER, record, number) + _length(len(value)) + value
        for record, number, value in sets
    )


def _length(length: int) -> bytes:
    if length < _LONG:
        return struct.pack(">H", length)
    return struct.pack(">HI", _LONG | 4, length)


def clean(records: bytes) -> bytes | None:
    """Without the preview (2:200 to 2:202), which still shows what was cropped away, and padding.

    None if nothing is left. Raises ValueError if the records are broken.
    """
    return _filtered(records, lambda one: one.name not in _PREVIEW)


def without_position(records: bytes, *, names: bool = False) -> tuple[bytes | None, bool]:
    """Without data sets whose text contains a position in numbers; and whether there were any.

    IIM has no data set for coordinates. Those that are `names` of places (2:26 to 2:101: city,
    country and the like) are meant to be read, so they stay unless they are to go, too.
    """
    nameless: bytes | None = records
    if names:
        nameless = _filtered(records, lambda one: not positions.is_place_set(*one.name))
    if nameless is None:
        return None, False
    kept = _filtered(nameless, lambda one: not positions.in_text(one.value))
    return kept, kept != nameless


def rights_only(records: bytes) -> bytes | None:
    """Only by-line, credit, source, copyright notice and contact; None if there are none."""
    sets = parsed(records)
    if not any(one.name in _RIGHTS for one in sets):
        return None
    return packed(one for one in sets if one.name in _RIGHTS | {CHARACTER_SET, _VERSION})


def with_rights(records: bytes, artist: str | None, copyright: str | None) -> bytes:  # noqa: A002
    """With another by-line (2:80) and copyright notice (2:116), if they are given."""
    new = {BY_LINE: artist, COPYRIGHT: copyright}
    given = {name: text for name, text in new.items() if text}
    sets = parsed(records)
    if CHARACTER_SET not in (one.name for one in sets) and not _plain(given.values()):
        sets = [_in_utf_8(one) for one in sets]
        sets.insert(0, DataSet(*CHARACTER_SET, _UTF_8))
    kept = [one for one in sets if one.name not in given]
    kept += [DataSet(*name, text.encode("utf-8")) for name, text in given.items()]
    # Data sets may be in any order within a record, but records are in order.
    return packed(sorted(kept, key=lambda one: one.record))


def _plain(texts: Iterable[str]) -> bool:
    return all(text.isascii() for text in texts)


def _in_utf_8(one: DataSet) -> DataSet:
    """A value of record 2 that was in Latin-1, the default."""
    if one.record != 2 or one.name == _VERSION or one.value.isascii():
        return one
    try:
        one.value.decode("utf-8")
    except ValueError:
        return one._replace(value=one.value.decode("latin-1").encode("utf-8"))
    return one


def _filtered(records: bytes, wanted: Callable[[DataSet], bool]) -> bytes | None:
    sets = parsed(records)
    kept = [one for one in sets if wanted(one)]
    return packed(kept) if any(one.record != 1 for one in kept) else None


def from_resources(packed: bytes) -> bytes | None:
    """The records in Photoshop's image resources (number 0x0404), or None."""
    found = [one.data for one in photoshop.resources(packed) if one.number == photoshop.IPTC]
    return b"".join(found) or None


def to_resources(records: bytes) -> bytes:
    """Photoshop's image resources with these records in them, and nothing else."""
    return photoshop.resource(photoshop.IPTC, records)
