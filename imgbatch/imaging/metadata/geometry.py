"""Metadata that tell a place or a scale in the picture, moved along with its pixels.

Faces and other regions, the main subject, panoramas, the resolution of the focal plane, positions
on the earth, crops that are still to be made. They refer to the picture as it is stored, before its
orientation is applied (MWG Guidelines for Handling Image Metadata 2.0, 5.9: "Region metadata is
applied to the stored image"; CIPA DC-008, tags 0x9214 and 0xA214; GeoTIFF 1.1, 2.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from imgbatch.imaging.metadata import geometry_exif, geometry_xmp
from imgbatch.imaging.metadata.geometry_signs import TAGS, in_packet
from imgbatch.model import Notice

if TYPE_CHECKING:
    from imgbatch.imaging.affine import Geometry
    from imgbatch.imaging.metadata.exif import Exif
    from imgbatch.imaging.picture import Metadata


def moved(metadata: Metadata, geometry: Geometry) -> tuple[Metadata, tuple[Notice, ...]]:
    """The metadata for what became of the picture, and warnings about what cannot be moved.

    What lies in a part that is gone goes with it, and is no loss.
    """
    if geometry.is_still:
        return metadata, ()
    exif, packet, paths, lost = metadata.exif, metadata.xmp, metadata.paths, []
    if paths is not None and not geometry.is_whole:
        # They are in fractions of the picture.
        paths = None
        lost.append("its paths dropped: it was cropped, turned or padded")
    if exif is not None and not TAGS.isdisjoint(exif.tags()):
        exif, more = _exif_moved(exif, geometry)
        lost += more
    if packet is not None and in_packet(packet):
        try:
            packet, more = geometry_xmp.moved(packet, geometry)
            lost += more
        except ValueError as error:
            packet = None
            lost.append(f"XMP dropped: {error}")
    notices = tuple(Notice("metadata-dropped", one) for one in dict.fromkeys(lost))
    return replace(metadata, exif=exif, xmp=packet, paths=paths), notices


def _exif_moved(block: Exif, geometry: Geometry) -> tuple[Exif, list[str]]:
    exif = block.copy()
    try:
        return exif, geometry_exif.move(exif, geometry)
    except (ArithmeticError, ValueError):
        # A number is so large or so small that it cannot be calculated with.
        exif = block.copy()
        return exif, geometry_exif.drop(exif)
