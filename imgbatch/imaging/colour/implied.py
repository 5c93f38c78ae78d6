"""Profiles implied by files that do not have one: by PNG chunks, nclx boxes, and EXIF."""

from __future__ import annotations

from typing import BinaryIO, Final

from PIL import Image

from imgbatch.imaging.colour import icc
from imgbatch.imaging.containers import isobmff, png
from imgbatch.imaging.formats import Format
from imgbatch.imaging.metadata import exif
from imgbatch.model import Notice

ProfileAndNotices = tuple[bytes | None, tuple[Notice, ...]]
"""A profile, None for sRGB, and warnings about what was dropped."""

_GREY: Final = frozenset({"1", "L", "LA", "La", "I;16", "I;16B", "I"})
_AROUND_SRGB: Final = 0.0006
"""How far a gAMA chunk may be from 1/2.2, which files in sRGB have (PNG, 11.3.2.5)."""
_CICP_BYTES: Final = 4


def profile(
    image: Image.Image, row: Format, file: BinaryIO, exif_block: bytes | None
) -> ProfileAndNotices:
    """The profile of an opened image of the format `row`: its own, or an implied one.

    `file` is read where Pillow does not tell enough, and its position restored. `exif_block` is a
    TIFF block.
    """
    own = image.info.get("icc_profile") or None
    if row.name == "png":
        return _png(image, own, file)
    if own is not None:
        return own, ()
    if row.name == "avif":
        return _coded(isobmff.code_points(file))
    if row.name == "heif":
        found = image.info.get("nclx_profile") or {}
        return _coded((found.get("color_primaries", 2), found.get("transfer_characteristics", 2)))
    if exif_block and row.name in ("jpeg", "tiff") and image.mode in ("RGB", "YCbCr"):
        return _camera(exif_block), ()
    return None, ()


def _camera(block: bytes) -> bytes | None:
    """Cameras indicate Adobe RGB by EXIF alone (DCF 2.0, 5.2.2)."""
    try:
        return icc.adobe_rgb() if exif.Exif(block).is_adobe_rgb else None
    except ValueError:
        return None


def _coded(points: tuple[int, int] | None) -> ProfileAndNotices:
    """The meaning of code points of ITU-T H.273 (primaries, transfer)."""
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


# PNG (third edition): of cICP, iCCP, sRGB and gAMA with cHRM, the first one present counts (4.3).


def _png(image: Image.Image, own: bytes | None, file: BinaryIO) -> ProfileAndNotices:
    found: ProfileAndNotices = (None, ())
    points = code_points(file)
    if points is not None:
        found = _coded(points)
        if not found[1]:
            return found
    if own is not None:
        return own, ()
    if found[1] or "srgb" in image.info:
        return found
    gamma, chromaticity = image.info.get("gamma"), image.info.get("chromaticity")
    # Beyond these it is a mistake; 0.00001 would be one, too.
    if not gamma or not 0.05 <= gamma <= 10:
        return None, ()
    usual = abs(gamma - 1 / 2.2) < _AROUND_SRGB
    if image.mode in _GREY:
        return (None if usual else icc.grey_profile(_named(gamma), icc.gamma(1 / gamma))), ()
    primaries = _primaries(chromaticity) if chromaticity else icc.SRGB
    if primaries is None:
        return None, ()
    if _like_srgb(primaries):
        if usual:
            return None, ()
        primaries = icc.SRGB
    curve = icc.gamma(1 / gamma)
    try:
        return icc.rgb_profile(_named(gamma), primaries, curve), ()
    except ValueError:
        # Impossible primaries: the gamma still holds.
        return (None if usual else icc.rgb_profile(_named(gamma), icc.SRGB, curve)), ()


def _named(gamma: float) -> str:
    return f"PNG gamma {gamma:g}"


def _primaries(chromaticity: tuple[float, ...]) -> icc.Primaries | None:
    """From a cHRM chunk, which begins with white (PNG, 11.3.2.1)."""
    pairs = tuple(zip(chromaticity[::2], chromaticity[1::2], strict=True))
    white, red, green, blue = pairs
    return icc.Primaries(red, green, blue, white)


def _like_srgb(primaries: icc.Primaries) -> bool:
    return all(
        abs(one - other) < 0.002
        for point, known in zip(primaries, icc.SRGB, strict=True)
        for one, other in zip(point, known, strict=True)
    )


def code_points(file: BinaryIO) -> tuple[int, int] | None:
    """Primaries and transfer of a cICP chunk, which Pillow does not read (PNG, 11.3.2.6).

    The file's position is restored.
    """
    place = file.tell()
    try:
        for chunk in png.before_pixels(file):
            if chunk.kind == b"cICP" and chunk.length == _CICP_BYTES:
                file.seek(chunk.start)
                primaries, transfer = file.read(2)
                return primaries, transfer
        return None
    except ValueError:
        return None
    finally:
        file.seek(place)
