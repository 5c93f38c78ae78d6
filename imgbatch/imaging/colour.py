"""Colour: profiles, and getting from one mode to another without changing what is seen.

Transforms are LittleCMS's, relative colorimetric with black-point compensation. A picture
without a profile is taken as sRGB (grey: with the sRGB curve), as browsers do.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, lru_cache
from typing import Final

from PIL import Image, ImageColor

from imgbatch.errors import PictureError, UsageError
from imgbatch.imaging.picture import Picture
from imgbatch.model import WHITE, Colour

_SPACES: Final = {
    "L": b"GRAY",
    "LA": b"GRAY",
    "I;16": b"GRAY",
    "RGB": b"RGB ",
    "RGBA": b"RGB ",
    "CMYK": b"CMYK",
    "LAB": b"Lab ",
}


def parse_colour(word: str) -> Colour:
    """A CSS colour (`white`, `#fff`, `rgb(0,0,0)`, `transparent`) as red, green, blue, alpha.

    Raises UsageError for anything else.
    """
    if word.strip().lower() == "transparent":
        # White where a format turns out to have no alpha.
        return (255, 255, 255, 0)
    try:
        red, green, blue, *alpha = ImageColor.getrgb(word)
    except ValueError:
        raise UsageError(
            f"unknown colour {word!r}: give a CSS colour such as white, #1e90ff or rgb(20,20,20)"
        ) from None
    return red, green, blue, alpha[0] if alpha else 255


def profile_space(icc: bytes) -> bytes | None:
    """The colour space signature of an ICC profile (ICC.1, header bytes 16-19), None if broken."""
    if len(icc) < 132 or icc[36:40] != b"acsp":
        return None
    return icc[16:20]


def profile_fits(icc: bytes, mode: str) -> bool:
    """Whether a profile is whole enough to have a header, and speaks of this mode's space."""
    return profile_space(icc) == _SPACES.get(mode)


@cache
def srgb_profile() -> bytes:
    """LittleCMS's sRGB profile, with a fixed date so that outputs are the same every day."""
    from PIL import ImageCms

    icc = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    icc[24:36] = bytes.fromhex("07E8 0001 0001 0000 0000 0000")
    return bytes(icc)


@lru_cache(maxsize=16)
def is_srgb(icc: bytes) -> bool:
    """Whether a profile is sRGB: by what it does to a few colours, not by its name."""
    if profile_space(icc) != b"RGB ":
        return False
    probe = Image.new("RGB", (16, 1))
    probe.putdata(
        [(r, g, b) for r in (0, 255) for g in (0, 255) for b in (0, 255)]
        + [(level, level, level) for level in (20, 60, 118, 190)]
        + [(200, 60, 40), (40, 160, 90), (60, 90, 200), (224, 172, 140)]
    )
    try:
        same = _transformed(probe, icc, srgb_profile(), "RGB")
    except PictureError:
        return False
    pairs = zip(probe.tobytes(), same.tobytes(), strict=True)
    return all(abs(before - after) <= 1 for before, after in pairs)


def to_srgb(picture: Picture) -> Picture:
    """The same colours in sRGB: mode L, LA, RGB or RGBA, with no profile left to need.

    CMYK without a profile is converted by the simple formula, which every viewer uses.
    """
    if picture.icc is not None and not is_srgb(picture.icc):
        picture = convert(picture, srgb_profile())
    elif picture.image.mode == "CMYK":
        picture = picture.with_pixels(picture.image.convert("RGB"))
    return replace(picture, icc=None)


def convert(picture: Picture, icc: bytes) -> Picture:
    """The same colours in the space of the RGB, grey or CMYK profile `icc`, which is attached.

    A picture whose own profile cannot be used is taken as one without, with a warning. Raises
    PictureError if `icc` cannot be used.
    """
    try:
        return _convert(picture, icc)
    except PictureError as error:
        if picture.icc is None:
            raise
        return _convert(replace(picture, icc=None), icc).with_notice("profile-dropped", str(error))


def _convert(picture: Picture, icc: bytes) -> Picture:
    mode = {b"GRAY": "L", b"CMYK": "CMYK"}.get(profile_space(icc) or b"", "RGB")
    if picture.image.mode == "I;16":
        picture = to_tonal(picture)
    if mode == "CMYK":
        picture = flatten(picture, WHITE)
    image = picture.image
    source = picture.icc
    if source is None:
        image = image.convert("RGBA" if picture.has_alpha else "RGB")
        source = srgb_profile()
    if not picture.has_alpha:
        return replace(picture.with_pixels(_transformed(image, source, icc, mode)), icc=icc)
    alpha = image.getchannel("A")
    opaque = image.convert("L" if image.mode == "LA" else "RGB")
    converted = _transformed(opaque, source, icc, mode)
    converted.putalpha(alpha)
    return replace(picture.with_pixels(converted), icc=icc)


def lab_to_rgb(image: Image.Image) -> Image.Image:
    """A Lab image (D50, as TIFF stores it) in sRGB."""
    from PIL import ImageCms

    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    return _transformed(image, lab, srgb_profile(), "RGB")


def to_8_bit(image: Image.Image) -> Image.Image:
    """A 16-bit grey image in 8 bits: 65535 becomes 255, rounded."""
    import numpy as np

    wide = np.asarray(image).astype(np.uint32)
    return Image.fromarray(((wide * 255 + 32_767) // 65_535).astype(np.uint8))


def to_tonal(picture: Picture) -> Picture:
    """What tone operations work on: 8 bits a channel in L, LA, RGB or RGBA."""
    if picture.image.mode == "I;16":
        return picture.with_pixels(to_8_bit(picture.image)).with_notice(
            "depth-reduced", "16-bit grey was reduced to 8 bits for an operation"
        )
    return to_srgb(picture) if picture.image.mode == "CMYK" else picture


def flatten(picture: Picture, background: Colour) -> Picture:
    """Without alpha, over `background`; a warning if anything was transparent at all."""
    if not picture.has_alpha:
        return picture
    opaque_mode = "L" if picture.image.mode == "LA" else "RGB"
    low, _ = picture.image.getchannel("A").getextrema()
    if low == 255:
        return picture.with_pixels(picture.image.convert(opaque_mode))
    below = Image.new("RGBA", picture.image.size, (*background[:3], 255))
    below.alpha_composite(picture.image.convert("RGBA"))
    grey_below = background[0] == background[1] == background[2]
    flat = below.convert(opaque_mode if grey_below else "RGB")
    profile = picture.icc if flat.mode == opaque_mode else None
    return replace(picture.with_pixels(flat), icc=profile).with_notice(
        "alpha-flattened", "transparency was flattened; --background sets the colour below it"
    )


def _transformed(image: Image.Image, source: bytes, target: bytes, mode: str) -> Image.Image:
    try:
        # ImageCms reports a profile it cannot use as PyCMSError, OSError or TypeError.
        return _transform(source, target, image.mode, mode).apply(image)  # type: ignore[no-any-return]
    except Exception as error:
        raise PictureError("operate", "profile", f"its colour profile fails: {error}") from error


@lru_cache(maxsize=16)
def _transform(source: bytes, target: bytes, mode_in: str, mode_out: str):  # type: ignore[no-untyped-def]
    from io import BytesIO

    from PIL import ImageCms

    return ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(BytesIO(source)),
        ImageCms.ImageCmsProfile(BytesIO(target)),
        mode_in,
        mode_out,
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
