"""What a file has besides its pixels, unchanged, from what its codec finds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from PIL import Image

from imgbatch.imaging.metadata import xmp
from imgbatch.imaging.metadata.exif import Exif
from imgbatch.model import Notice

if TYPE_CHECKING:
    from imgbatch.imaging.codecs.base import Codec

# Encoders sign with a comment, which is about their own work and not about the picture.
_SIGNATURE: Final = re.compile(r"Created by OpenJPEG|CREATOR: gd-jpeg|Kakadu-|Lavc\d")
_PADDING: Final = "\0 \t\r\n"


def unreadable(lost: int) -> tuple[Notice, ...]:
    """A warning if this many EXIF tags could not be read."""
    tags, were = ("tag", "was") if lost == 1 else ("tags", "were")
    message = f"{lost} EXIF {tags} that cannot be read {were} dropped"
    return (Notice("metadata-dropped", message),) if lost else ()


def packet(
    image: Image.Image, codec: Codec
) -> tuple[bytes | None, bytes | None, tuple[Notice, ...]]:
    """The XMP packet, and the extended one that a JPEG may have; and warnings.

    Only their length is checked.
    """
    raw = codec.xmp(image)
    if not raw:
        return None, None, ()
    if problem := xmp.excess(raw):
        return None, None, (Notice("metadata-dropped", f"XMP dropped: {problem}"),)
    try:
        extended = codec.extended_xmp(image, raw)
        if extended is not None and (problem := xmp.excess(extended)):
            raise ValueError(problem)
    except ValueError as error:
        return raw, None, (Notice("metadata-dropped", f"a part of XMP dropped: {error}"),)
    return raw, extended, ()


def comment(image: Image.Image, codec: Codec) -> str | None:
    """The comment; of several there is one per line."""
    found = map(_decoded, codec.comments(image))
    return "\n".join(one for one in found if one and not _SIGNATURE.match(one)) or None


def _decoded(raw: bytes | str) -> str:
    if isinstance(raw, str):
        # A PNG's text also has its language.
        return str(raw).strip(_PADDING)
    try:
        text = raw.decode("utf-8")
    except ValueError:
        text = raw.decode("latin-1")
    return text.strip(_PADDING)


def dpi(image: Image.Image, exif: Exif | None, codec: Codec) -> tuple[float, float] | None:
    """Pixels per inch across and down: the file's own, or else what EXIF says."""
    own = codec.dpi(image)
    if exif is not None and codec.exif_apart and (own is None or exif.has_resolution(own)):
        # Files that count whole pixels per metre store 300 dpi as 299.9994.
        own = exif.resolution
    if own is None:
        return None
    across, down = own
    # 1 is what Pillow gives for a TIFF without a resolution.
    return (across, down) if 1 < across <= 65_535 and 1 < down <= 65_535 else None
