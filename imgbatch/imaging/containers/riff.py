"""Chunks of a RIFF file, as WebP uses them (RFC 9649, 2.3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final

_FILE_HEAD: Final = 12
_HEAD: Final = 8
_MOST_CHUNKS: Final = 10_000


def chunk_ends(riff: bytes) -> Iterator[tuple[bytes, int]]:
    """The type of each chunk that is not cut short, and where the next one begins."""
    at = _FILE_HEAD
    while at + _HEAD <= len(riff):
        length = int.from_bytes(riff[at + 4 : at + 8], "little")
        end = at + _HEAD + length + length % 2
        if end > len(riff):
            return
        yield riff[at : at + 4], end
        at = end


def kinds(file: BinaryIO) -> Iterator[bytes]:
    """The types of the first 10,000 chunks of an extended WebP (2.7). Reads only their heads.

    Others have nothing but pixels. The position is not restored.
    """
    file.seek(0)
    head = file.read(_FILE_HEAD + _HEAD)
    if head[_FILE_HEAD : _FILE_HEAD + 4] != b"VP8X":
        return
    end, at = declared_end(head), _FILE_HEAD
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(_HEAD)
        if at + _HEAD > end or len(head) < _HEAD:
            return
        yield head[:4]
        length = int.from_bytes(head[4:], "little")
        at += _HEAD + length + length % 2


def declared_end(riff: bytes) -> int:
    """Where the file ends according to its header."""
    return _HEAD + int.from_bytes(riff[4:8], "little")


def shortened(riff: bytes, stop: int) -> bytes:
    """The file up to a chunk that begins at `stop`, with its length in the header corrected."""
    return riff[:4] + (stop - _HEAD).to_bytes(4, "little") + riff[_HEAD:stop]


def webp_pixels(head: bytes) -> int:
    """The pixels of a WebP, from its first 30 bytes (RFC 6386, 9.1; RFC 9649, 2.7.1 and 3.4).

    0 for any other file.
    """
    if head[:4] != b"RIFF" or head[8:15] != b"WEBPVP8":
        return 0
    if head[15:16] == b"X":
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
    elif head[15:16] == b"L":
        bits = int.from_bytes(head[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    return width * height
