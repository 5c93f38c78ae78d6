"""Profiles implied by files that do not have one: by code points, and by EXIF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgbatch.imaging.colour import icc
from imgbatch.model import Notice

if TYPE_CHECKING:
    from imgbatch.imaging.metadata.exif import Exif

ProfileAndNotices = tuple[bytes | None, tuple[Notice, ...]]
"""A profile, None for sRGB, and warnings about what was dropped."""


def camera(mode: str, exif: Exif | None) -> bytes | None:
    """The profile of a photograph: cameras indicate Adobe RGB by EXIF alone (DCF 2.0, 5.2.2).

    `mode` is Pillow's for the pixels in the file.
    """
    if exif is None or mode not in ("RGB", "YCbCr"):
        return None
    return icc.adobe_rgb() if exif.is_adobe_rgb else None


def coded(points: tuple[int, int] | None) -> ProfileAndNotices:
    """The profile for code points of ITU-T H.273 (primaries, transfer), and warnings."""
    if points is None or icc.is_srgb_cicp(*points):
        return None, ()
    primaries, transfer = points
    if transfer == icc.UNSPECIFIED:
        transfer = 13
    if primaries == icc.UNSPECIFIED:
        # High dynamic range is BT.2020, as BT.2100 has it.
        primaries = 9 if transfer in icc.HIGH_RANGE else 1
    if icc.is_srgb_cicp(primaries, transfer):
        return None, ()
    built = icc.from_cicp(primaries, transfer)
    if built is not None:
        return built, ()
    message = f"its colour code points {primaries}/{transfer} are unknown: they are treated as sRGB"
    return None, (Notice("profile-dropped", message),)
