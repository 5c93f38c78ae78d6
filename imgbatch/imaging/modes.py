"""The modes in which pictures are processed, and conversion to them from those of files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace
from PIL import Image

from imgbatch.imaging import colour, formats
from imgbatch.imaging.picture import Picture
from imgbatch.model import Notice

if TYPE_CHECKING:
    from imgbatch.imaging.deep import Deep

# Tags of a TIFF's pixels (TIFF 6.0, section 8).
_BITS_PER_SAMPLE: Final = 0x0102
_PHOTOMETRIC: Final = 0x0106
_SAMPLE_FORMAT: Final = 0x0153
_WHITE_IS_ZERO: Final = 0


def in_working_mode(image: Image.Image) -> tuple[Image.Image | Deep, tuple[Notice, ...]]:
    """Pixels in one of the modes L, LA, RGB, RGBA, CMYK and I;16, or Deep."""
    mode = image.mode
    transparent = "transparency" in image.info
    if mode in ("1", "L", "RGB") and transparent:
        return image.convert("RGBA" if mode == "RGB" else "LA"), ()
    if mode == "I;16" and transparent:
        return _keyed(image)
    if mode == "I;16":
        return _stretched(image), ()
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
        return _scaled_to_16_bit(image)
    return image.convert("RGB"), ()


def _keyed(image: Image.Image) -> tuple[Image.Image | Deep, tuple[Notice, ...]]:
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


def _stretched(image: Any) -> Image.Image:
    """16-bit grey as it is meant: with fewer bits, or with 0 for white (TIFF 6.0, section 8)."""
    bits, inverted, shifted = 16, False, 0
    if image.format == "TIFF":
        bits = 12 if image.tag_v2.get(_BITS_PER_SAMPLE) == (12,) else 16
        inverted = image.tag_v2.get(_PHOTOMETRIC, 1) == _WHITE_IS_ZERO
    elif image.format == "HEIF":
        # pillow-heif has them in the upper bits.
        bits = image.info.get("bit_depth", 16)
        shifted = 16 - bits
    if bits == 16 and not inverted:
        return image  # type: ignore[no-any-return]
    import numpy as np

    levels = np.asarray(image) >> shifted
    if bits < 16:
        highest = (1 << bits) - 1
        # The highest becomes 65535, rounded.
        levels = ((levels.astype(np.uint32) * 65_535 + highest // 2) // highest).astype(np.uint16)
    return Image.fromarray(65_535 - levels if inverted else levels)


def _scaled_to_16_bit(image: Image.Image) -> tuple[Image.Image, tuple[Notice, ...]]:
    """Wide integers and floats as 16-bit grey.

    Integers count as 0 to 65535 (as in a 16-bit file); floats between 0 and 1 as that range.
    Anything beyond is scaled down to fit, with a warning, never clipped.
    """
    import numpy as np

    raw = np.asarray(image)
    if image.mode == "I" and _is_unsigned_tiff(image):
        # Pillow's own numbers are signed.
        raw = raw.view(np.uint32)
    values = np.nan_to_num(raw.astype(np.float64))
    low, high = float(values.min()), float(values.max())
    if image.mode == "F" and low >= 0 and high <= 1:
        return Image.fromarray(np.rint(values * 65_535).astype(np.uint16)), ()
    if low >= 0 and high <= 65_535:
        return Image.fromarray(np.rint(values).astype(np.uint16)), ()
    span = (high - low) or 1
    scaled = np.rint((values - low) * (65_535 / span)).astype(np.uint16)
    message = f"values from {low:g} to {high:g} were scaled to 16 bits"
    return Image.fromarray(scaled), (Notice("range-scaled", message),)


def _is_unsigned_tiff(image: Any) -> bool:
    return bool(image.format == "TIFF" and image.tag_v2.get(_SAMPLE_FORMAT, (1,)) == (1,))


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
