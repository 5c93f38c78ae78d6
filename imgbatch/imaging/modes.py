"""The modes in which pictures are processed, and conversion to them from those of files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace
from PIL import Image

from imgbatch.imaging import colour, formats
from imgbatch.imaging.picture import Picture
from imgbatch.model import Notice

if TYPE_CHECKING:
    from imgbatch.imaging.deep import Deep

PixelsAndNotices = tuple["Image.Image | Deep", tuple[Notice, ...]]
"""Pixels, and warnings about them."""

_WORKED_ON: Final = {
    **dict.fromkeys(("1", "L"), "L"),
    **dict.fromkeys(("I;16B", "I;16L", "I;16N", "I", "F"), "I;16"),
    **dict.fromkeys(("P", "YCbCr", "LAB", "HSV", "RGBX"), "RGB"),
    **dict.fromkeys(("PA", "RGBa"), "RGBA"),
    "La": "LA",
}
"""The modes of pixels in files, and those that `in_working_mode` converts them to."""


class GreyLevels(NamedTuple):
    """What the levels of an image in I;16 or I are: of `bits` bits, `shift` bits above the lowest.

    `white_is_zero` says that the highest is black; `unsigned` that those in I are, which Pillow
    takes for signed.
    """

    bits: int = 16
    white_is_zero: bool = False
    shift: int = 0
    unsigned: bool = False


Levels = Callable[[Image.Image], GreyLevels]


def worked_on(mode: str) -> str:
    """The mode of pixels that come in `mode`, unless one of their colours is transparent."""
    return _WORKED_ON.get(mode, mode)


def in_working_mode(image: Image.Image, levels: Levels) -> PixelsAndNotices:
    """Pixels in one of the modes L, LA, RGB, RGBA, CMYK and I;16, or Deep.

    `levels` tells about a grey image with more than 8 bits.
    """
    mode = image.mode
    transparent = "transparency" in image.info
    if mode in ("1", "L", "RGB") and transparent:
        return image.convert("RGBA" if mode == "RGB" else "LA"), ()
    if mode == "I;16" and transparent:
        return _keyed(image)
    if mode == "I;16":
        return _stretched(image, levels(image)), ()
    if mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
        return image, ()
    if mode == "1":
        return image.convert("L"), ()
    if mode == "P":
        return image.convert("RGBA" if transparent else "RGB"), ()
    if mode in ("PA", "RGBa"):
        return image.convert("RGBA"), ()
    if mode == "La":
        return image.convert("LA"), ()
    if mode == "LAB":
        return colour.lab_to_rgb(image), ()
    if mode in ("I", "F", "I;16B", "I;16L", "I;16N"):
        return _scaled_to_16_bit(image, levels(image))
    return image.convert("RGB"), ()


def _keyed(image: Image.Image) -> PixelsAndNotices:
    """16-bit grey with one transparent level; without the extra, in 8 bits."""
    if formats.installed("deep"):
        from imgbatch.imaging import deep_files

        return deep_files.keyed(image), ()
    import numpy as np

    opaque = np.asarray(image) != image.info["transparency"]
    grey = colour.to_8_bit(image)
    grey.putalpha(Image.fromarray(opaque.astype(np.uint8) * 255))
    message = "16-bit grey with a transparent level was reduced to 8 (imgbatch[deep] keeps them)"
    return grey, (Notice("depth-reduced", message),)


def _stretched(image: Image.Image, meant: GreyLevels) -> Image.Image:
    """16-bit grey as it is meant: with fewer bits, or with 0 for white (TIFF 6.0, section 8)."""
    bits = meant.bits
    if bits == 16 and not meant.white_is_zero:
        return image
    import numpy as np

    levels = np.asarray(image) >> meant.shift
    if bits < 16:
        highest = (1 << bits) - 1
        # The highest becomes 65535, rounded.
        levels = ((levels.astype(np.uint32) * 65_535 + highest // 2) // highest).astype(np.uint16)
    return Image.fromarray(65_535 - levels if meant.white_is_zero else levels)


def _scaled_to_16_bit(
    image: Image.Image, meant: GreyLevels
) -> tuple[Image.Image, tuple[Notice, ...]]:
    """Wide integers and floats as 16-bit grey.

    Integers count as 0 to 65535 (as in a 16-bit file); floats between 0 and 1 as that range.
    Anything beyond is scaled down to fit, with a warning, never clipped.
    """
    import numpy as np

    raw = np.asarray(image)
    if image.mode == "I" and meant.unsigned:
        # Pillow's own numbers are signed.
        raw = raw.view(np.uint32)
    values = np.nan_to_num(raw.astype(np.float64))
    low, high = float(values.min()), float(values.max())
    if image.mode == "F" and low >= 0 and high <= 1:
        light = 1 - values if meant.white_is_zero else values
        return Image.fromarray(np.rint(light * 65_535).astype(np.uint16)), ()
    if low >= 0 and high <= 65_535:
        return Image.fromarray(np.rint(values).astype(np.uint16)), ()
    span = (high - low) or 1
    from_black = high - values if meant.white_is_zero else values - low
    scaled = np.rint(from_black * (65_535 / span)).astype(np.uint16)
    message = f"values from {low:g} to {high:g} were scaled to 16 bits"
    return Image.fromarray(scaled), (Notice("range-scaled", message),)


def with_sane_profile(picture: Picture, mode: str) -> Picture:
    """Without a profile that is broken or of another colour space than the pixels."""
    if picture.icc is None:
        return picture
    if mode == "LAB":
        return replace(picture, icc=None)
    if colour.profile_fits(picture.icc, picture.mode):
        return picture
    if picture.mode in colour.GREY_MODES and colour.profile_fits(picture.icc, "RGB"):
        if colour.is_srgb(picture.icc):
            return replace(picture, icc=None)
        # Grey pixels under an RGB profile: converted to RGB they mean exactly the same.
        return colour.as_rgb(picture)
    return replace(picture, icc=None).with_notice(
        "profile-dropped", "its colour profile is broken or belongs to another colour space"
    )
