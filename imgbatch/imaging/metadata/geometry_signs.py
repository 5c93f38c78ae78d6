"""Cheap signs of metadata that tell a place or a scale in the picture: tags, and words in XMP.

Most pictures have none, and need neither a tree nor anything that `geometry` loads.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from imgbatch.imaging.picture import Metadata

SUBJECT_AREA: Final = 0x9214
SUBJECT_LOCATION: Final = 0xA214
FOCAL_PLANES: Final = ((0xA20E, 0xA20F), (0x920E, 0x920F))
"""Pixels per unit of the sensor across and down, of EXIF and of TIFF/EP."""

PIXEL_SCALE: Final = 0x830E
TIEPOINTS: Final = 0x8482
TRANSFORMATION: Final = 0x85D8
INTERGRAPH: Final = 0x8480
GEO_KEYS: Final = 0x87AF
RPC: Final = 0xC69C
"""Rational polynomial coefficients, which locate a satellite's picture (GDAL)."""

TAGS: Final = frozenset(
    {
        *(SUBJECT_AREA, SUBJECT_LOCATION, PIXEL_SCALE, TIEPOINTS, TRANSFORMATION, INTERGRAPH, RPC),
        *(tag for pair in FOCAL_PLANES for tag in pair),
    }
)
"""Those that are moved with the pixels."""

_WORDS: Final = (
    *(b"schemas/regions/", b"photo/1.2/t/RegionInfo", b":ImageRegion", b"acdsee.com/regions/"),
    *(b"photos/1.0/panorama/", b"photos/1.0/focus/", b":Calibrated", b":DewarpData"),
    *(
        b":SubjectArea",
        b":SubjectLocation",
        b":FocalPlane",
        b"BasedCorrections",
        b":RetouchInfo",
        b":RetouchAreas",
    ),
    b":RedEyeInfo",
)
_CROPPED: Final = re.compile(rb"HasCrop(?:\s{0,99}=\s{0,99}[\"']|>)\s{0,99}[Tt]rue")


def tells_places(metadata: Metadata) -> bool:
    """Whether there may be something to move along with the pixels."""
    exif, packet = metadata.exif, metadata.xmp
    if metadata.paths is not None:
        return True
    if exif is not None and not TAGS.isdisjoint(exif.tags()):
        return True
    return packet is not None and in_packet(packet)


def in_packet(packet: bytes) -> bool:
    """Whether an XMP packet may have such a property."""
    # This is ten times as fast as one pattern for all of them.
    for word in _WORDS:
        if word in packet:
            return True
    return b"HasCrop" in packet and _CROPPED.search(packet) is not None
