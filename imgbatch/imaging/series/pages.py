"""Pages of a TIFF as files of their own (TIFF 6.0, section 2); `tiff.joined` is the way back.

TIFF decoders take a file as a whole, and find a page by walking past all before it: for each of
many pages that is too slow. So each is extracted, with everything it has. All offsets in a TIFF
count from its beginning, so they are recomputed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from io import SEEK_CUR, SEEK_END, SEEK_SET, BufferedIOBase, BytesIO
from typing import BinaryIO, Final, NamedTuple, cast

from msgspec.structs import replace

from imgbatch.imaging import limits
from imgbatch.imaging.containers import tiff
from imgbatch.imaging.containers.tiff import LONG, Directory, Field

# Free space, reduced copies of the page, and Photoshop's layers: nothing of it is read.
_LEFT_OUT: Final = frozenset({0x0120, 0x0121, tiff.SUB_IFDS, 0x935C})
_STRIPS: Final = 0x0111
# Place and length of data: strips, tiles, and a JPEG stream as TIFF 6.0 first had it.
_DATA: Final = ((_STRIPS, 0x0117), (0x0144, 0x0145), (0x0201, 0x0202))
# The tables of that, which have at most this many bytes.
_TABLES: Final = (0x0207, 0x0208, 0x0209)
_TABLE_BYTES: Final = 272
_DATA_PLACES: Final = frozenset({*_TABLES, *(tag for tag, _ in _DATA)})
# How many times a file's length its pages together may claim: they do not overlap.
_OVERLAP: Final = 4
_PIECE: Final = 1 << 20


class _Part(NamedTuple):
    """Some of a page's data: which value of which tag tells where it is in the file."""

    tag: int
    number: int
    place: int
    length: int


class Pages:
    """The pages of a TIFF or a BigTIFF. Raises ValueError if one has no directory."""

    def __init__(self, file: BinaryIO) -> None:
        if isinstance(file, _First):
            file = file.original
        self._file = file
        self._size = file.seek(0, SEEK_END)
        self._places = tiff.places(file, limits.PAGES)
        self._claimed = 0
        self._counted: set[int] = set()

    def __len__(self) -> int:
        return len(self._places)

    def alone(self, number: int) -> tuple[bytes, int]:
        """A TIFF with only this page (the first is 0), and how many of its tags cannot be read.

        Raises ValueError if its directory cannot be read, or if the pages overlap so much that
        they are longer than the file.
        """
        found = tiff.read(
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
        at = len(tiff.block(_moved(found, places)))
        body = bytearray()
        for part in parts:
            body += bytes((at + len(body)) % 2)
            places[part.tag][part.number] = at + len(body)
            self._file.seek(part.place)
            body += self._file.read(part.length)
        if at + len(body) > tiff.MAX_BYTES:
            raise ValueError("a page is longer than the 4 GiB of a TIFF")
        return tiff.block(_moved(found, places)) + body, found.lost_in_all

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


def first(file: BinaryIO) -> tuple[BinaryIO, int]:
    """The first page of a BigTIFF as a plain TIFF, and how many of its tags cannot be read.

    It takes no memory for pixels, and its `Pages` are those of the BigTIFF. Raises ValueError if
    there is none, or if the file is too long for that.
    """
    page = _First(file)
    return cast("BinaryIO", page), page.lost


class _First(BufferedIOBase):
    """A plain TIFF's directory, and behind it the BigTIFF, whose data stay where they are.

    So what is missing at its end is missing here, too.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.original = file
        size = file.seek(0, SEEK_END)
        page = next(iter(tiff.places(file, limits.PAGES)), None)
        if page is None:
            raise ValueError("it has no page")
        found = tiff.read(
            file,
            page,
            wanted=lambda tag: tag not in _LEFT_OUT,
            most_bytes=size,
            wide=_DATA_PLACES,
        )
        self.lost = found.lost_in_all
        places = {tag: found.numbers(tag) for tag in _DATA_PLACES}
        length = len(tiff.block(_moved(found, {tag: [0] * len(places[tag]) for tag in places})))
        begin = length + length % 2
        self._end = begin + size
        if self._end > tiff.MAX_BYTES:
            raise ValueError("it is longer than the 4 GiB of a TIFF")
        moved = {tag: [begin + min(one, size) for one in old] for tag, old in places.items()}
        self._head = tiff.block(_moved(found, moved)).ljust(begin, b"\0")
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:
        self._at = offset + {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: self._end}[whence]
        if self._at < 0:
            raise ValueError("a place before the file")
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        end = self._end if size is None or size < 0 else min(self._end, self._at + size)
        out = BytesIO()
        while self._at < end:
            piece = self._piece(min(end - self._at, _PIECE))
            if not piece:
                # Somebody cuts it short.
                break
            out.write(piece)
            self._at += len(piece)
        return out.getvalue()

    def _piece(self, length: int) -> bytes:
        behind = self._at - len(self._head)
        if behind < 0:
            return self._head[self._at : self._at + length]
        self.original.seek(behind)
        return self.original.read(length)


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
