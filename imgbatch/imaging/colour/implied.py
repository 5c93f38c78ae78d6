"""Profiles implied by files that do not have one: by code points, and by EXIF."""

from __future__ import annotations

from imgbatch.imaging.colour import icc
from imgbatch.imaging.metadata import exif
from imgbatch.model import Notice

ProfileAndNotices = tuple[bytes | None, tuple[Notice, ...]]
"""A profile, None for sRGB, and warnings about what was dropped."""


def camera(mode: str, block: bytes | None) -> bytes | None:
    """The profile of a photograph: cameras indicate Adobe RGB by EXIF alone (DCF 2.0, 5.2.2).

    `mode` is Pillow's for the pixels in the file, `block` a TIFF block.
    """
    if not block or mode not in ("RGB", "YCbCr"):
        return None
    try:
        return icc.adobe_rgb() if exif.Exif(block).is_adobe_rgb else None
    except ValueError:
        return None


def coded(points: tuple[int, int] | None) -> ProfileAndNotices:
    """The profile for code points of ITU-T H.273 (primaries, transfer), and warnings."""
    if points is None or icc.is_srgb_cicp(*points):
        return None, ()
    primaries, transfer = points
    if transfer == icc.UNSPECIFIED:
        transfer = 13
    if primaries == icc.UNSPECIFIED:
        primaries = 1
    if icc.is_srgb_cicp(primaries, transfer):
        return None, ()
    built = icc.from_cicp(primaries, transfer)
    if built is not None:
        return built, ()
    what = icc.UNUSABLE_TRANSFERS.get(transfer)
    message = (
        f"its colours are {what} (high dynamic range), which is not supported: they are treated as "
        "sRGB"
        if what
        else f"its colour code points {primaries}/{transfer} are unknown: they are treated as sRGB"
    )
    return None, (Notice("profile-dropped", message),)
