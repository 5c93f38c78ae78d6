"""Chunks of a PNG (third edition, W3C 2025, clause 5): walked, read and written."""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator
from io import BytesIO
from itertools import islice
from typing import BinaryIO, Final, NamedTuple
from zlib import crc32

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
PIXELS: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
"""The chunks that the pixels need."""
FRAMES: Final = frozenset({b"acTL", b"fcTL", b"fdAT"})
"""Chunks of an animation; fdAT would be taken for pixels without a frame."""

_HEAD: Final = 8
_TAIL: Final = 4
_MAX_BEFORE_PIXELS: Final = 1_000


class Chunk(NamedTuple):
    """A chunk in a file: its type, where its length field begins, and the length of its data."""

    kind: bytes
    at: int
    length: int

    @property
    def start(self) -> int:
        """Where its data begin."""
        return self.at + _HEAD

    @property
    def stop(self) -> int:
        """Where the next chunk begins."""
        return self.at + _HEAD + self.length + _TAIL


def walk(file: BinaryIO) -> Iterator[Chunk]:
    """The chunks of a file, as far as they go; the last may be cut short. Reads only their heads.

    Between two of them the file may be read anywhere.
    """
    at = len(SIGNATURE)
    while True:
        file.seek(at)
        head = file.read(_HEAD)
        if len(head) < _HEAD:
            return
        chunk = Chunk(head[4:], at, int.from_bytes(head[:4]))
        yield chunk
        at = chunk.stop


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The type and the data of each chunk, as far as they go; the last may be cut short."""
    for chunk in walk(BytesIO(png)):
        yield chunk.kind, png[chunk.start : chunk.start + chunk.length]


def whole_chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """As `chunks`, without one that is cut short."""
    for chunk in walk(BytesIO(png)):
        if chunk.stop <= len(png):
            yield chunk.kind, png[chunk.start : chunk.start + chunk.length]


def before_pixels(file: BinaryIO) -> Iterator[Chunk]:
    """As `walk`, up to the first pixels, and not for ever."""
    for chunk in islice(walk(file), _MAX_BEFORE_PIXELS):
        if chunk.kind in (b"IDAT", b"IEND"):
            return
        yield chunk


def without(file: BinaryIO, places: Container[int]) -> BytesIO:
    """A file without the chunks that begin at these places."""
    file.seek(0)
    kept = BytesIO()
    kept.write(file.read(len(SIGNATURE)))
    for chunk in walk(file):
        if chunk.at not in places:
            file.seek(chunk.at)
            kept.write(file.read(chunk.stop - chunk.at))
    return kept


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk, preceded by its length and followed by its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc32(kind + data))
