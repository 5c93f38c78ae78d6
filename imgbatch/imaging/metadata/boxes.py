"""Metadata in the boxes of a JPEG 2000 file (ISO 15444-1, annex I).

The standard has boxes for anybody's use, distinguished by a UUID; these three are agreed on.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

from imgbatch.imaging import limits

EXIF: Final = b"JpgTiffExif->JP2"
XMP: Final = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
IPTC: Final = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")

_NAMES: Final = frozenset({EXIF, XMP, IPTC})
_SIGNATURE: Final = b"jP  "
_MAX_BYTES: Final = max(limits.EXIF_BYTES, limits.XMP_BYTES, limits.IPTC_BYTES)


class Found(NamedTuple):
    """What the boxes of a file hold: a TIFF block, a packet, records."""

    exif: bytes | None
    xmp: bytes | None
    iptc: bytes | None


def read(file: BinaryIO) -> Found:
    """The metadata of a file, whose position is restored; none if it is a bare codestream."""
    before = file.tell()
    try:
        found = dict(_uuids(file))
    finally:
        file.seek(before)
    return Found(found.get(EXIF), found.get(XMP), found.get(IPTC))


def _uuids(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    size = file.seek(0, os.SEEK_END)
    at = 0
    for _ in range(limits.BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8 or (at == 0 and head[4:8] != _SIGNATURE):
            return
        length, kind = struct.unpack_from(">I4s", head)
        room = 8
        if length == 1 and len(head) == 16:
            (length,) = struct.unpack_from(">Q", head, 8)
            room = 16
        elif length == 0:
            length = size - at
        if length < room:
            return
        if kind == b"uuid" and room + 16 <= length:
            file.seek(at + room)
            name = file.read(16)
            if name in _NAMES:
                # A block that is too long is recognised by its length.
                yield name, file.read(min(length - room - 16, _MAX_BYTES + 1))
        at += length


def written(exif: bytes | None, xmp: bytes | None, iptc: bytes | None) -> bytes:
    """The boxes, to be placed after the picture."""
    contents = ((EXIF, exif), (XMP, xmp), (IPTC, iptc))
    return b"".join(
        struct.pack(">I4s", 24 + len(data), b"uuid") + name + data
        for name, data in contents
        if data
    )
