"""Metadata in the boxes of a JPEG 2000 file: three UUIDs are agreed on."""

from __future__ import annotations

from typing import BinaryIO, Final, NamedTuple

from imgbatch.imaging import limits
from imgbatch.imaging.containers import isobmff

EXIF: Final = b"JpgTiffExif->JP2"
XMP: Final = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
IPTC: Final = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")

_NAMES: Final = frozenset({EXIF, XMP, IPTC})
# A block that is too long is recognised by its length.
_MAX_BYTES: Final = max(limits.EXIF_BYTES, limits.XMP_BYTES, limits.IPTC_BYTES) + 1


class Found(NamedTuple):
    """What the boxes of a file hold: a TIFF block, a packet, records."""

    exif: bytes | None
    xmp: bytes | None
    iptc: bytes | None


def read(file: BinaryIO) -> Found:
    """The metadata of a file, whose position is restored; none if it is a bare codestream."""
    before = file.tell()
    try:
        found = dict(isobmff.uuids(file, _NAMES, _MAX_BYTES))
    finally:
        file.seek(before)
    return Found(found.get(EXIF), found.get(XMP), found.get(IPTC))


def written(exif: bytes | None, xmp: bytes | None, iptc: bytes | None) -> bytes:
    """The boxes, to be placed after the picture."""
    contents = ((EXIF, exif), (XMP, xmp), (IPTC, iptc))
    return b"".join(isobmff.uuid_box(name, data) for name, data in contents if data)
