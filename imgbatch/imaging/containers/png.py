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
_HEAD_OF_CHUNK: Final = struct.Struct(">I4s")
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

    The caller may move the file's position between items.
    """
    at = len(SIGNATURE)
    while True:
        file.seek(at)
        head = file.read(_HEAD)
        if len(head) < _HEAD:
            return
        length = int.from_bytes(head[:4])
        yield Chunk(head[4:], at, length)
        at += _HEAD + length + _TAIL


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The type and the data of each chunk, as far as they go; the last may be cut short."""
    for kind, start, length in _places(png):
        yield kind, png[start : start + length]


def whole_chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Like `chunks`, but without a last one that is cut short."""
    for kind, start, length in _places(png):
        if start + length + _TAIL <= len(png):
            yield kind, png[start : start + length]


def _places(png: bytes) -> Iterator[tuple[bytes, int, int]]:
    # What `walk` does, in a third of the time: an animation has many.
    at = len(SIGNATURE)
    while at + _HEAD <= len(png):
        length, kind = _HEAD_OF_CHUNK.unpack_from(png, at)
        yield kind, at + _HEAD, length
        at += _HEAD + length + _TAIL


def before_pixels(file: BinaryIO) -> Iterator[Chunk]:
    """Like `walk`, but stops at the first pixels, and after 1,000 chunks."""
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
